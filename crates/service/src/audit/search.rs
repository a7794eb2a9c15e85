//! AuditEvent through FHIR read and search.
//!
//! Entries are kept by the store's audit log, found by the record they are
//! about and by time (`log`); what else a search asks is decided on the entry as a
//! resource, as the one asking sees it (`masked`), with the same filter as any other search.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::json::{Document, Limits};
use salus_fhir::search::{Extractor, Total};
use salus_store::{
    At, AuditQuery, AuditRecord, Candidate, Filter, Param, Position, Rows, Seq, Snapshot, Sort,
};

use super::entry::{Entry, Outcome, What};
use super::event;
use super::masked::View;
use super::way::{self, Way};
use crate::Service;
use crate::context::Context;
use crate::cursor::{self, Beside};
use crate::error::{Error, Kind};
use crate::fhir::part_of;
use crate::fhir::reply::{Reply, Status};
use crate::fhir::rows;
use crate::fhir::search::{Asked, Place, outcome, part, shown};
use crate::fhir::types::ResourceType;
use crate::fhir::writer::BundleWriter;

/// Entries one request looks at; the next page goes on from there.
const LOOKED_AT_MAX: usize = 100_000;

const DATE: Param = Param::named(ResourceType::AUDIT_EVENT, "date");

/// What one request found in the log.
#[derive(Default)]
struct Page {
    events: Vec<(Seq, String)>,
    /// The entry behind which the log goes on, in the order in which it was read.
    goes_on: Option<Seq>,
    /// Where the page before ends, and where the next one begins.
    previous: Option<Position>,
    next: Option<Position>,
}

impl Service {
    /// One audit entry.
    pub(crate) async fn read_audit_event(
        &self,
        cx: &Context,
        ty: ResourceType,
        id: &str,
        parameters: &[(String, String)],
    ) -> Result<Reply, Error> {
        let target = Target::Type(ResourceType::AUDIT_EVENT);
        let grant = self
            .authorize_on(cx, What::Read, Action::Read, target, id)
            .await?;
        let work = async {
            let absent = || Error::not_found("there is no such audit event");
            let subset = part(ty, parameters)?;
            let seq = event::seq(id).ok_or_else(absent)?;
            let query = AuditQuery {
                ascending: true,
                after: seq.0.checked_sub(1).map(Seq),
                limit: 1,
                ..AuditQuery::default()
            };
            let found = self.snapshot(cx).await?.audit(&query).await?;
            let record = found.into_iter().find(|record| record.seq == seq);
            let Some(record) = record else {
                return Err(self.archived(cx, &grant, seq).await?.unwrap_or_else(absent));
            };
            let view = self.audit_view(cx, &grant).await?;
            let shown = view.shown(std::slice::from_ref(&record)).await?;
            let shown = shown.into_iter().flatten().next().ok_or_else(absent)?;
            self.shown_audit(cx, &grant, What::Read, "").await?;
            let whole = Reply {
                version: Some(1),
                updated_ms: Some(record.time_ms),
                body: Some(shown.into()),
                ..Reply::with(Status::Ok)
            };
            Ok(part_of(whole, subset.as_ref()))
        };
        let ty = ResourceType::AUDIT_EVENT;
        self.attempt_on(cx, &grant, What::Read, (ty, id), work)
            .await
    }

    /// A page of audit entries, newest first unless asked otherwise.
    pub(crate) fn search_audit<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        mut asked: Asked,
        place: Place,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let snapshot = self.store.snapshot(cx.scope, place.at).await?;
            no_includes(&asked)?;
            let at = cursor::take(&place.position)?;
            let filter = asked.query_within(&Filter::Everything, 0).filter;
            no_links(&filter)?;
            let limit = asked.count();
            let ascending = ascending(&asked.sort())?;
            let view = self.audit_view(cx, grant).await?;
            let all = [&filter, grant.filter()];
            let log = Way::driven(&*snapshot, &all, ascending, at).await?;
            let from_ms = log.begins_ms().unwrap_or(i64::MIN);
            let page = page((&*snapshot, &view), (&filter, limit), log.clone(), at).await?;
            let total = match (limit, at, page.next, asked.control.total) {
                (0, ..) | (.., Some(Total::Accurate | Total::Estimate)) => {
                    Some(count((&*snapshot, &view), &filter, log).await?)
                }
                (.., Some(Total::None)) => None,
                (_, None, None, None) => Some(page.events.len() as u64),
                _ => None,
            };
            self.shown_audit(cx, grant, What::Search, &asked.text())
                .await?;
            let beside = Beside {
                previous: page.previous.map(cursor::put),
                next: page.next.map(cursor::put),
                last: None,
            };
            let links = self.links(cx, &asked, snapshot.seq(), &beside)?;
            if self.removed_until(cx.scope).await? >= Some(from_ms) {
                asked.notices.push(in_archive());
            }
            Ok(Reply {
                body: Some(bundle(cx, &asked, total, &links, &page)),
                ..Reply::with(Status::Ok)
            })
        })
    }

    /// Where an entry is that was removed from the store, for who may see the whole audit: of
    /// others nobody can tell whether they might.
    async fn archived(
        &self,
        cx: &Context,
        grant: &Grant,
        seq: Seq,
    ) -> Result<Option<Error>, Error> {
        let whole = grant.audits() && *grant.filter() == Filter::Everything;
        if !whole || !self.tree().is_cleared(cx.scope, seq).await? {
            return Ok(None);
        }
        let segment = self.segment_with(seq.0).await?;
        let place = segment.map_or_else(String::new, |segment| {
            let (from, to) = segment.places;
            format!(": salus audit archive export --from {from} --to {to}")
        });
        let details = format!("this entry is in the audit archive{place}");
        Ok(Some(Error::new(Kind::Gone, details)))
    }

    /// The log as the one asking sees it, by the policies and records that there are now.
    async fn audit_view<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
    ) -> Result<View<'a>, Error> {
        let now = self.store.snapshot(cx.scope, At::Now).await?;
        Ok(View::of(cx, grant, now))
    }

    async fn shown_audit(
        &self,
        cx: &Context,
        grant: &Grant,
        what: What,
        query: &str,
    ) -> Result<(), Error> {
        let mut entry = Entry::new(cx, what, Outcome::Success, grant.rule());
        entry.ty = ResourceType::AUDIT_EVENT.into();
        entry.query = query.into();
        self.record(cx, entry).await
    }
}

fn bundle(
    cx: &Context,
    asked: &Asked,
    total: Option<u64>,
    links: &[(&'static str, String)],
    page: &Page,
) -> Bytes {
    let bytes = page.events.iter().map(|(_, text)| text.len() + 160).sum();
    let mut bundle = BundleWriter::new("searchset", bytes);
    if let Some(total) = total {
        bundle.total(total);
    }
    bundle.links(links);
    let subset = asked.subset();
    for (seq, text) in &page.events {
        let ty = ResourceType::AUDIT_EVENT;
        let mut entry = bundle.begin_entry();
        entry.text("fullUrl", &format!("{}/{ty}/{}", cx.base, event::id(*seq)));
        entry.json("resource", &shown(text.as_bytes(), subset.as_ref()));
        entry.object("search", &[("mode", "match")]);
        entry.end();
    }
    outcome(&mut bundle, asked, false);
    bundle.finish()
}

/// What a search says that reaches further back than the store.
fn in_archive() -> Issue {
    Issue::warning(
        IssueType::Incomplete,
        String::new(),
        "older entries are in the audit archive: they are not among what was found".to_owned(),
    )
}

/// Audit events refer to what they are about by their own means.
fn no_includes(asked: &Asked) -> Result<(), Error> {
    let control = &asked.control;
    if control.includes.is_empty() && control.reverse_includes.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(
        "a search of audit events cannot include others",
    ))
}

/// An entry does not change with the records that it is about.
fn no_links(filter: &Filter) -> Result<(), Error> {
    match filter.is_linked() {
        false => Ok(()),
        true => Err(Error::invalid(
            "a search of audit events cannot look into what they refer to: no chains and no _has; \
             search the records first, then the audit by patient=ID or entity=Type/ID",
        )),
    }
}

/// The log is in order of time and can be read in that order only.
fn ascending(sort: &[Sort]) -> Result<bool, Error> {
    match sort {
        [] => Ok(false),
        [Sort::Value { param, descending }] if *param == DATE => Ok(!descending),
        [Sort::Updated { descending }] => Ok(!descending),
        _ => Err(Error::invalid(
            "audit events can be sorted by date only: _sort=date or -date",
        )),
    }
}

/// A page of the log, in the order asked for.
async fn page(
    (snapshot, view): (&dyn Snapshot, &View<'_>),
    (filter, limit): (&Filter, usize),
    log: Way,
    at: Option<Position>,
) -> Result<Page, Error> {
    if limit == 0 {
        return Ok(Page::default());
    }
    let ascending = log.ascending();
    let mut page = find((snapshot, view), filter, log, limit).await?;
    let beside = at.and_then(Position::seq);
    if at.is_some_and(Position::is_backward) {
        page.events.reverse();
        page.next = beside.map(Position::After);
        let end = page.goes_on.and_then(|seq| way::before(seq, !ascending));
        page.previous = end.map(Position::UpTo);
    } else {
        page.previous = beside.map(Position::UpTo);
        page.next = page.goes_on.map(Position::After);
    }
    Ok(page)
}

/// Reads the log until a page is full, its end is reached, or enough was looked at.
async fn find(
    (snapshot, view): (&dyn Snapshot, &View<'_>),
    filter: &Filter,
    mut log: Way,
    limit: usize,
) -> Result<Page, Error> {
    let mut page = Page::default();
    let mut looked_at = 0;
    loop {
        let (records, more) = log.next(snapshot).await?;
        looked_at += records.len();
        let shown = view.shown(&records).await?;
        for (record, text) in records.iter().zip(shown) {
            let Some(text) = text else {
                continue;
            };
            if !matches(filter, record, &text)? {
                continue;
            }
            let last = page.events.last().map(|(seq, _)| *seq);
            if page.events.len() == limit {
                // There is one more than the page may have.
                page.goes_on = last;
                return Ok(page);
            }
            page.events.push((record.seq, text));
        }
        if !more {
            return Ok(page);
        }
        if looked_at >= LOOKED_AT_MAX {
            let last = page.events.last().map(|(seq, _)| *seq);
            let full = page.events.len() == limit;
            page.goes_on = if full { last } else { log.after() };
            return Ok(page);
        }
    }
}

async fn count(
    (snapshot, view): (&dyn Snapshot, &View<'_>),
    filter: &Filter,
    log: Way,
) -> Result<u64, Error> {
    let (mut count, mut looked_at) = (0, 0);
    let mut log = log.begun_anew();
    loop {
        let (records, more) = log.next(snapshot).await?;
        let shown = view.shown(&records).await?;
        for (record, text) in records.iter().zip(shown) {
            let found = text.map_or(Ok(false), |text| matches(filter, record, &text));
            count += u64::from(found?);
        }
        looked_at += records.len();
        if !more {
            return Ok(count);
        }
        if looked_at >= LOOKED_AT_MAX {
            return Err(Error::new(
                Kind::Unprocessable,
                "there are too many audit events to count; narrow the search by date or patient",
            ));
        }
    }
}

/// Whether a filter finds an event of this text.
pub(super) fn matches(filter: &Filter, record: &AuditRecord, text: &str) -> Result<bool, Error> {
    if *filter == Filter::Everything {
        return Ok(true);
    }
    let failed = || Error::new(Kind::Internal, "an audit entry cannot be read");
    let document =
        Document::parse(text.as_bytes().to_vec(), &Limits::default()).map_err(|_| failed())?;
    let extractor = Extractor::for_type(ResourceType::AUDIT_EVENT).ok_or_else(failed)?;
    let none: [&str; 0] = [];
    let entries = extractor
        .extract(document.root(), &none)
        .map_err(|_| failed())?;
    let rows = rows::rows(extractor, &entries, document.root());
    let candidate = Candidate {
        id: &event::id(record.seq),
        time_ms: record.time_ms,
        seq: record.seq,
        rows: Rows::of(&rows),
    };
    Ok(filter.matches(&candidate))
}
