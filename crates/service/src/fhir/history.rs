//! FHIR history: <https://hl7.org/fhir/R4/http.html#history>.

use salus_auth::{Action, Target};
use salus_store::{At, Content, Found, History, HistoryOf};

use super::reply::{Reply, Status};
use super::types::ResourceType;
use super::writer::BundleWriter;
use super::{check_id, resource_type, search};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::cursor::Cursor;
use crate::error::Error;

const COUNT_DEFAULT: usize = 50;
const COUNT_MAX: usize = 1000;
const CURSOR: &str = "_cursor";
const PURPOSE: &str = "history";

/// A request for versions, as a cursor keeps it too.
struct Asked {
    /// `Patient/1`, `Patient` or nothing.
    path: String,
    count: usize,
    since_ms: Option<i64>,
}

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
            let of = HistoryOf::Record(ty.kind, id.into());
            let path = format!("{}/{id}", ty.name);
            let entry = Entry::new(cx, what, Outcome::Success, grant.rule());
            let (reply, found) = self.history(cx, of, path, &parameters, entry).await?;
            if found == 0
                && !parameters
                    .iter()
                    .any(|(name, _)| name == CURSOR || name == "_since")
            {
                return Err(Error::not_found("there is no such resource"));
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
            let of = HistoryOf::Kinds(vec![ty.kind]);
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
        let kinds = ResourceType::all().into_iter().map(|ty| ty.kind).collect();
        let work = self.history(
            cx,
            HistoryOf::Kinds(kinds),
            String::new(),
            &parameters,
            entry,
        );
        let (reply, _) = self.attempt(cx, &grant, what, "", work).await?;
        Ok(reply)
    }

    /// One page, and how many versions are on it.
    async fn history(
        &self,
        cx: &Context,
        of: HistoryOf,
        path: String,
        parameters: &[(String, String)],
        mut entry: Entry,
    ) -> Result<(Reply, usize), Error> {
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
        let snapshot = self.store.snapshot(cx.scope, at).await?;
        let query = History {
            of,
            since_ms: asked.since_ms,
            limit: asked.count,
            after: cursor.map(|cursor| cursor.position),
        };
        let found = snapshot.history(&query).await?;
        let about = entry.shows(found.hits.iter().map(|hit| &hit.record));
        self.record(cx, &entry, about).await?;
        let body = self.history_bundle(cx, &asked, snapshot.seq(), &found)?;
        let reply = Reply {
            body: Some(body),
            ..Reply::with(Status::Ok)
        };
        Ok((reply, found.hits.len()))
    }

    fn history_bundle(
        &self,
        cx: &Context,
        asked: &Asked,
        seq: salus_store::Seq,
        found: &Found,
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
        let mut links = vec![("self", url.clone())];
        if let Some(position) = &found.next {
            let cursor = Cursor {
                seq,
                request: asked.to_request(),
                position: position.clone(),
            };
            let text = cursor.seal(&self.cursor_key, cx, PURPOSE)?;
            links.push(("next", format!("{url}?{CURSOR}={text}")));
        }
        bundle.links(&links);
        for hit in &found.hits {
            version_entry(&mut bundle, cx, &hit.record);
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

/// One version, with the request that made it.
fn version_entry(bundle: &mut BundleWriter, cx: &Context, record: &salus_store::Record) {
    let Some(ty) = ResourceType::of(record.kind) else {
        return;
    };
    let path = format!("{}/{}", ty.name, record.id);
    let mut entry = bundle.begin_entry();
    entry.text("fullUrl", &format!("{}/{path}", cx.base));
    let (method, status) = match &record.content {
        Content::Body(body) => {
            entry.json("resource", body);
            if record.version == 1 {
                ("POST", "201")
            } else {
                ("PUT", "200")
            }
        }
        Content::Deleted => ("DELETE", "204"),
    };
    let url = if method == "POST" { ty.name } else { &path };
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

impl Asked {
    fn from_parameters(path: String, parameters: &[(String, String)]) -> Result<Self, Error> {
        let mut asked = Self {
            path,
            count: COUNT_DEFAULT,
            since_ms: None,
        };
        for (name, value) in parameters {
            match name.as_str() {
                "_count" => {
                    let count: usize = value
                        .parse()
                        .map_err(|_| Error::invalid("_count is not a number"))?;
                    asked.count = count.clamp(1, COUNT_MAX);
                }
                "_since" => {
                    let since = search::instant_ms(value);
                    let since = since.ok_or_else(|| Error::invalid("_since is not an instant"))?;
                    asked.since_ms = Some(since);
                }
                "_format" | "_pretty" => {}
                _ => {
                    return Err(Error::invalid(
                        "a history takes _count, _since, _format and _pretty only",
                    ));
                }
            }
        }
        Ok(asked)
    }

    fn to_request(&self) -> String {
        let since = self.since_ms.map(|ms| ms.to_string()).unwrap_or_default();
        format!("{} {} {since}", self.path, self.count)
    }

    fn from_request(text: &str) -> Option<Self> {
        let mut parts = text.split(' ');
        Some(Self {
            path: parts.next()?.to_owned(),
            count: parts.next()?.parse().ok()?,
            since_ms: parts.next()?.parse().ok(),
        })
    }
}
