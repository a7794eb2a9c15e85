//! FHIR history: <https://hl7.org/fhir/R4/http.html#history>.
//!
//! `_sort` is that of R5 (<https://hl7.org/fhir/R5/http.html#history>): by
//! `_lastUpdated`, either way. The store gives versions newest first; the
//! other way is its pages from the end, each turned round.

pub(crate) mod visible;

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use salus_auth::{Action, Target};
use salus_fhir::search::Subset;
use salus_store::{At, Content, Found, History, HistoryOf, Kind, Position, Record, Snapshot};

use super::reply::{Reply, Status};
use super::types::ResourceType;
use super::writer::BundleWriter;
use super::{binary, check_id, resource_type, search};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::cursor::{self, Beside, CURSOR, Cursor};
use crate::error::Error;
use crate::ids;
use visible::Visible;

const COUNT_DEFAULT: usize = 50;
const COUNT_MAX: usize = 1000;
const PURPOSE: &str = "history";

/// A request for versions, as a cursor keeps it too.
struct Asked {
    /// `Patient/1`, `Patient` or nothing.
    path: String,
    count: Option<usize>,
    /// As the client wrote it, an instant.
    since: Option<String>,
    /// As the client wrote it, a time of any precision.
    at: Option<String>,
    sort: Option<Order>,
    /// `_summary` and `_elements`, which part of each version is given.
    part: Vec<(String, String)>,
}

/// The order of versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// `-_lastUpdated`, as ever.
    NewestFirst,
    /// `_lastUpdated`
    OldestFirst,
    /// `none`: the server's choice.
    None,
}

/// The orders by their names.
const ORDERS: [(&str, Order); 3] = [
    ("-_lastUpdated", Order::NewestFirst),
    ("_lastUpdated", Order::OldestFirst),
    ("none", Order::None),
];

impl Service {
    /// The versions of one resource, newest first.
    pub async fn history_instance(
        &self,
        cx: &Context,
        ty: &str,
        id: &str,
        parameters: Vec<(String, String)>,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let (what, action) = (What::HistoryInstance, Action::HistoryInstance);
        let target = Target::Type(ty.name);
        let grant = self.authorize_on(cx, what, action, target, id).await?;
        let work = async {
            check_id(id)?;
            check_kept(ty)?;
            let snapshot = self.snapshot(cx).await?;
            self.check_seen(cx, &*snapshot, &grant, ty, id).await?;
            let of = HistoryOf::Record(ty.kind, id.into());
            let path = format!("{}/{id}", ty.name);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            let of = (of, Visible::all());
            let (reply, found) = self.history(cx, of, path, &parameters, entry).await?;
            if found == 0
                && !parameters
                    .iter()
                    .any(|(name, _)| [CURSOR, "_since", "_at"].contains(&&**name))
            {
                return Err(super::read::absent());
            }
            Ok(reply)
        };
        self.attempt_on(cx, &grant, what, (ty.name, id), work).await
    }

    /// The versions of all resources of a type, newest first.
    pub async fn history_type(
        &self,
        cx: &Context,
        ty: &str,
        parameters: Vec<(String, String)>,
    ) -> Result<Reply, Error> {
        let ty = resource_type(ty)?;
        let (what, action) = (What::HistoryType, Action::HistoryType);
        let target = Target::Type(ty.name);
        let grant = self.authorize(cx, what, action, target).await?;
        let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        let work = async {
            check_kept(ty)?;
            if binary::is_binary(ty.kind) && binary::context::narrows(cx) {
                let message =
                    "you may not read all that Binaries belong to; ask for the history of one";
                return Err(Error::new(crate::error::Kind::Forbidden, message));
            }
            let visible = Visible::of(ty.kind, grant.filter());
            let of = (HistoryOf::Kinds(vec![ty.kind]), visible);
            self.history(cx, of, ty.name.to_owned(), &parameters, entry)
                .await
        };
        let (reply, _) = self.attempt(cx, &grant, what, ty.name, work).await?;
        Ok(reply)
    }

    /// The versions of all resources, newest first.
    pub async fn history_system(
        &self,
        cx: &Context,
        parameters: Vec<(String, String)>,
    ) -> Result<Reply, Error> {
        let (what, action) = (What::HistorySystem, Action::HistorySystem);
        let grant = self.authorize(cx, what, action, Target::System).await?;
        let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        let hides_binaries = binary::context::narrows(cx);
        let kinds = ResourceType::all().into_iter().map(|ty| ty.kind);
        let kinds = kinds.filter(|kind| !(hides_binaries && binary::is_binary(*kind)));
        let (kinds, visible) = Visible::each(cx, kinds.collect());
        let work = self.history(
            cx,
            (HistoryOf::Kinds(kinds), visible),
            String::new(),
            &parameters,
            entry,
        );
        let (reply, _) = self.attempt(cx, &grant, what, "", work).await?;
        Ok(reply)
    }

    /// One page, and how many versions are on it.
    fn history<'a>(
        &'a self,
        cx: &'a Context,
        (of, visible): (HistoryOf, Visible),
        path: String,
        parameters: &'a [(String, String)],
        mut entry: Entry,
    ) -> BoxFuture<'a, Result<(Reply, usize), Error>> {
        Box::pin(async move {
            let cursor = match parameters.iter().find(|(name, _)| name == CURSOR) {
                Some((_, text)) => Some(Cursor::open(&self.cursor_key, cx, PURPOSE, text)?),
                None => None,
            };
            let asked = match &cursor {
                Some(cursor) => Asked::from_request(&cursor.request)
                    .filter(|asked| asked.path == path)
                    .ok_or_else(|| Error::invalid("the cursor belongs to another history"))?,
                None => Asked::from_parameters(path, parameters)?,
            };
            let at = cursor
                .as_ref()
                .map_or(At::Now, |cursor| At::Seq(cursor.seq));
            let parts = Parts::of(&of, &asked.part)?;
            let snapshot = self.snapshot_at(cx, at).await?;
            let query = History {
                of,
                since_ms: asked.since.as_deref().and_then(search::instant_ms),
                current_ms: asked.at.as_deref().and_then(span_ms),
                limit: asked.count.unwrap_or(COUNT_DEFAULT),
                after: asked.position(cursor.as_ref())?,
            };
            let found = asked.in_order(visible.page(&*snapshot, &query).await?);
            entry.shows(found.hits.iter().map(|hit| &hit.record));
            self.record(cx, entry).await?;
            let body = self.history_bundle(cx, &asked, &*snapshot, &found, &parts);
            let body = body.await?;
            let reply = Reply {
                body: Some(body),
                ..Reply::with(Status::Ok)
            };
            Ok((reply, found.hits.len()))
        })
    }

    async fn history_bundle(
        &self,
        cx: &Context,
        asked: &Asked,
        snapshot: &dyn Snapshot,
        found: &Found,
        parts: &Parts,
    ) -> Result<bytes::Bytes, Error> {
        let bytes = found.hits.iter().map(|hit| match &hit.record.content {
            Content::Body(body) => body.len() + 320,
            Content::Deleted => 320,
        });
        let mut bundle = BundleWriter::new("history", bytes.sum());
        let url = match asked.path.as_str() {
            "" => format!("{}/_history", cx.base),
            path => format!("{}/{path}/_history", cx.base),
        };
        let mut links = vec![("self", asked.under(&url))];
        let page = Cursor {
            seq: snapshot.seq(),
            request: asked.under(&asked.path),
            position: Vec::new(),
        };
        let beside = (&*url, &Beside::of(found));
        links.extend(cursor::links(&self.cursor_key, cx, PURPOSE, &page, beside)?);
        bundle.links(&links);
        for (index, hit) in found.hits.iter().enumerate() {
            let beside = match asked.sort {
                Some(Order::OldestFirst) => index.checked_sub(1),
                Some(Order::NewestFirst | Order::None) | None => Some(index + 1),
            };
            let older = beside.and_then(|at| found.hits.get(at));
            let older = older.map(|hit| &hit.record);
            let creates = creates(snapshot, &hit.record, older).await?;
            let subset = parts.0.get(&hit.record.kind);
            version_entry(&mut bundle, cx, &hit.record, creates, subset);
        }
        Ok(bundle.finish())
    }
}

/// Refuses the history of what has only one version.
fn check_kept(ty: ResourceType) -> Result<(), Error> {
    if ty.name == ResourceType::AUDIT_EVENT {
        return Err(Error::not_found(
            "audit events never change, so they have no history; search them",
        ));
    }
    Ok(())
}

/// Whether a version made its resource: the first one, or one that follows a
/// deletion. `older` is the next version on the page, likely the one before.
async fn creates(
    snapshot: &dyn Snapshot,
    record: &Record,
    older: Option<&Record>,
) -> Result<bool, Error> {
    if record.version == 1 {
        return Ok(true);
    }
    let before = record.version - 1;
    let is_before = |older: &&Record| {
        (older.kind, &older.id, older.version) == (record.kind, &record.id, before)
    };
    if let Some(older) = older.filter(is_before) {
        return Ok(older.content == Content::Deleted);
    }
    let older = match snapshot.version(record.kind, &record.id, before).await {
        // Deletions are not purged.
        Err(salus_store::Error::Purged) => return Ok(false),
        older => older?,
    };
    Ok(older.is_none_or(|older| older.content == Content::Deleted))
}

/// One version, with the request that made it.
fn version_entry(
    bundle: &mut BundleWriter,
    cx: &Context,
    record: &Record,
    creates: bool,
    subset: Option<&Subset>,
) {
    let Some(ty) = ResourceType::of(record.kind) else {
        return;
    };
    let path = format!("{}/{}", ty.name, record.id);
    let mut entry = bundle.begin_entry();
    entry.text("fullUrl", &format!("{}/{path}", cx.base));
    if let Content::Body(body) = &record.content {
        entry.json("resource", &search::shown(body, subset));
    }
    let posted = record.version == 1 && ids::is_ours(&record.id, record.time_ms);
    let (method, url, status) = match (&record.content, creates) {
        (Content::Deleted, _) => ("DELETE", &*path, "204"),
        (Content::Body(_), true) if posted => ("POST", ty.name, "201"),
        (Content::Body(_), true) => ("PUT", &*path, "201"),
        (Content::Body(_), false) => ("PUT", &*path, "200"),
    };
    entry.object("request", &[("method", method), ("url", url)]);
    entry.object(
        "response",
        &[
            ("status", status),
            ("etag", &format!("W/\"{}\"", record.version)),
            ("lastModified", &crate::time::instant(record.time_ms)),
        ],
    );
    entry.end();
}

/// The time that a date or an instant means, from its first millisecond to
/// behind its last.
fn span_ms(text: &str) -> Option<(i64, i64)> {
    salus_fhir::search::Span::parse(text).map(|span| (span.from_ms, span.to_ms))
}

fn order(text: &str) -> Result<Order, Error> {
    let known = ORDERS.iter().find(|(name, _)| *name == text);
    let known = known.map(|(_, order)| *order);
    known.ok_or_else(|| {
        Error::invalid("a history is sorted by _lastUpdated or -_lastUpdated, or by none")
    })
}

/// Which part of the resources of each kind is given, if not all.
struct Parts(BTreeMap<Kind, Subset>);

impl Parts {
    fn of(of: &HistoryOf, asked: &[(String, String)]) -> Result<Self, Error> {
        if asked.is_empty() {
            return Ok(Self(BTreeMap::new()));
        }
        let kinds = match of {
            HistoryOf::Record(kind, _) => std::slice::from_ref(kind),
            HistoryOf::Kinds(kinds) => kinds,
        };
        let types: Vec<_> = kinds.iter().filter_map(|k| ResourceType::of(*k)).collect();
        let names: Vec<&'static str> = types.iter().map(|ty| ty.name).collect();
        let mut parts = BTreeMap::new();
        for ty in types {
            let part = search::part_among((ty, &names), asked)?;
            parts.extend(part.map(|part| (ty.kind, part)));
        }
        Ok(Self(parts))
    }
}

impl Asked {
    fn from_parameters(path: String, parameters: &[(String, String)]) -> Result<Self, Error> {
        let mut asked = Self {
            path,
            count: None,
            since: None,
            at: None,
            sort: None,
            part: Vec::new(),
        };
        for (name, value) in parameters {
            match name.as_str() {
                "_count" if asked.count.is_none() => {
                    let count: usize = value
                        .parse()
                        .map_err(|_| Error::invalid("_count is not a number"))?;
                    if count == 0 {
                        return Err(Error::invalid("_count must be 1 or more"));
                    }
                    asked.count = Some(count.min(COUNT_MAX));
                }
                "_since" if asked.since.is_none() => {
                    search::instant_ms(value)
                        .ok_or_else(|| Error::invalid("_since is not an instant"))?;
                    asked.since = Some(value.clone());
                }
                "_at" if asked.at.is_none() => {
                    span_ms(value).ok_or_else(|| {
                        Error::invalid(
                            "_at is not a date or time, as 2026-05 or 2026-05-01T10:00:00Z",
                        )
                    })?;
                    asked.at = Some(value.clone());
                }
                "_sort" if asked.sort.is_none() => asked.sort = Some(order(value)?),
                "_count" | "_since" | "_at" | "_sort" => {
                    return Err(Error::invalid("a parameter must not be repeated"));
                }
                "_summary" | "_elements" => asked.part.push((name.clone(), value.clone())),
                "_format" | "_pretty" => {}
                _ => {
                    return Err(Error::invalid(
                        "a history takes _count, _since, _at, _sort, _summary, _elements, _format and _pretty only",
                    ));
                }
            }
        }
        Ok(asked)
    }

    /// The request as it was understood, below a path or URL.
    fn under(&self, path: &str) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        if let Some(count) = self.count {
            text.append_pair("_count", &count.to_string());
        }
        if let Some(since) = &self.since {
            text.append_pair("_since", since);
        }
        if let Some(at) = &self.at {
            text.append_pair("_at", at);
        }
        let sort = ORDERS.iter().find(|(_, order)| Some(*order) == self.sort);
        if let Some((name, _)) = sort {
            text.append_pair("_sort", name);
        }
        text.extend_pairs(&self.part);
        let text = text.finish();
        let question = if text.is_empty() { "" } else { "?" };
        format!("{path}{question}{text}")
    }

    /// Where a page lies in the order of the store.
    fn position(&self, cursor: Option<&Cursor>) -> Result<Option<Position>, Error> {
        let position = match cursor {
            Some(cursor) => cursor::take(&cursor.position)?,
            None => None,
        };
        Ok(match self.sort {
            Some(Order::OldestFirst) => position.or(Some(Position::End)),
            Some(Order::NewestFirst | Order::None) | None => position,
        })
    }

    /// A page of the store, in the order asked for.
    fn in_order(&self, mut found: Found) -> Found {
        if self.sort == Some(Order::OldestFirst) {
            found.hits.reverse();
            std::mem::swap(&mut found.next, &mut found.previous);
        }
        found
    }

    /// Reads what [`Self::under`] wrote.
    fn from_request(text: &str) -> Option<Self> {
        let (path, parameters) = text.split_once('?').unwrap_or((text, ""));
        Self::from_parameters(path.to_owned(), &search::pairs(parameters)).ok()
    }
}
