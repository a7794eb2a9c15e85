//! FHIR search: <https://hl7.org/fhir/R4/search.html>.
//!
//! A request is understood whole or refused (unless the client asks for
//! lenience); the grant's predicate is part of the query, never a filter on
//! the result. All pages of one search show one snapshot.

#[cfg(test)]
mod access;
mod asked;
mod canonical;
#[cfg(test)]
mod cases;
mod criteria;
mod ends;
mod explain;
#[cfg(test)]
pub(crate) mod host;
mod include;
mod links;
mod listed;
mod named;
#[cfg(test)]
mod oracle;
mod page;
mod range;
pub(crate) mod rule;
pub mod served;
mod several;
mod streams;
mod terms;
mod text;
mod within;

pub(crate) use asked::{Asked, part, part_among};
use futures_util::future::BoxFuture;
pub(crate) use links::Link;
use page::Match;
pub(crate) use page::{outcome, shown};
pub use range::compartments;
pub(crate) use range::{compartment, compartments_of, hides_compartment};

use asked::{lenient, read};
use range::Range;
use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType, Severity};
use salus_fhir::search::Total;
use salus_store::{At, Error as Costly, Filter, Position, Query, Seq, Snapshot};

use super::reply::{Reply, Status};
use super::terms::Terms;
use super::types::ResourceType;
use super::{Handling, resource_type};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::cursor::{self, Beside, CURSOR, Cursor};
use crate::error::{Error, Kind};

const PURPOSE: &str = "search";

/// Where in a search a page is.
pub(crate) struct Place {
    pub(crate) at: At,
    /// As a cursor holds it; empty is the first page.
    pub(crate) position: Vec<u8>,
}

impl Service {
    /// Finds resources of a type.
    pub async fn search(
        &self,
        cx: &Context,
        ty: &str,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let range = Range::of_type(resource_type(ty)?);
        self.search_range(cx, range, parameters, handling).await
    }

    async fn search_range(
        &self,
        cx: &Context,
        range: Range,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let ty = range.ty.name;
        let target = Target::Type(ty);
        let grant = self
            .authorize(cx, What::Search, Action::Search, target)
            .await?;
        let work = async {
            let (parameters, place) = self.place(cx, &range.path, parameters)?;
            self.search_placed(cx, &grant, range, parameters, place, handling)
                .await
        };
        self.attempt(cx, &grant, What::Search, ty, work).await
    }

    /// A page of resources of one type.
    fn search_placed<'a>(
        &'a self,
        cx: &'a Context,
        grant: &'a Grant,
        range: Range,
        mut parameters: Vec<(String, String)>,
        mut place: Place,
        handling: Handling,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let owner = range.path.split('/').next().unwrap_or_default();
            if range.within.is_some() && hides_compartment(cx.subject.hidden(), owner, range.ty) {
                let details =
                    "what is in this compartment tells of elements that are hidden from you";
                return Err(Error::new(Kind::Forbidden, details));
            }
            let named = self.named(cx, &[range.ty], &mut parameters, &place).await?;
            let terms = match &named {
                None => self.terms(cx, place.at, &[range.ty], &parameters).await?,
                Some(named) => {
                    let all = [&parameters[..], named.search()].concat();
                    self.terms(cx, place.at, &[range.ty], &all).await?
                }
            };
            place.at = terms.at(place.at);
            let mut asked = understand(cx, range.ty, parameters, &terms, handling)?;
            if let Some(named) = named {
                named.add(cx, &[], &terms, &mut asked)?;
            }
            asked.path = range.path;
            asked.filters.extend(range.within);
            asked.pairs.extend(range.listed);
            if within::is_wanted(&asked) {
                let snapshot = self.snapshot_at(cx, place.at).await?;
                let (ty, all) = (asked.ty.name, [(asked, grant.clone())]);
                let position = &place.position;
                return self
                    .search_contained(cx, ty, &all, &*snapshot, position)
                    .await;
            }
            if asked.ty.name == ResourceType::AUDIT_EVENT {
                explain::refuse(&asked)?;
                return self.search_audit(cx, grant, asked, place).await;
            }
            self.search_granted(cx, grant, asked, place).await
        })
    }

    /// Reads a link's cursor, or begins a new search.
    fn place(
        &self,
        cx: &Context,
        path: &str,
        parameters: Vec<(String, String)>,
    ) -> Result<(Vec<(String, String)>, Place), Error> {
        let Some((_, text)) = parameters.iter().find(|(name, _)| name == CURSOR) else {
            let place = Place {
                at: At::Now,
                position: Vec::new(),
            };
            return Ok((parameters, place));
        };
        let cursor = Cursor::open(&self.cursor_key, cx, PURPOSE, text)?;
        let (asked, query) = cursor.request.split_once('?').unwrap_or_default();
        let other =
            |(name, _): &(String, String)| !matches!(name.as_str(), CURSOR | "_format" | "_pretty");
        if asked != path || parameters.iter().any(other) {
            return Err(Error::invalid(
                "a cursor holds its whole search; follow the link as it is",
            ));
        }
        let place = Place {
            at: At::Seq(cursor.seq),
            position: cursor.position,
        };
        Ok((pairs(query), place))
    }

    /// Understands the search that is the condition of a write. One on what the
    /// caller may not search would hold whatever is there, so it is refused.
    pub(crate) async fn understand_condition(
        &self,
        cx: &Context,
        ty: ResourceType,
        text: &str,
    ) -> Result<Asked, Error> {
        let parameters = pairs(text);
        let terms = self.terms(cx, At::Now, &[ty], &parameters).await?;
        let asked = understand(cx, ty, parameters, &terms, Handling::Strict)?;
        if within::is_wanted(&asked) {
            let details = "a condition is not on contained resources; allowed: false";
            let issue = Issue::error(IssueType::Value, "http._contained", details);
            return Err(Error::with_issues(Kind::Invalid, vec![issue]));
        }
        if !asked.notices.is_empty() {
            let issues = asked.notices.into_iter().map(|notice| Issue {
                severity: Severity::Error,
                ..notice
            });
            return Err(Error::with_issues(Kind::Forbidden, issues.collect()));
        }
        Ok(asked)
    }

    async fn search_granted(
        &self,
        cx: &Context,
        grant: &Grant,
        mut asked: Asked,
        place: Place,
    ) -> Result<Reply, Error> {
        let snapshot = self.snapshot_at(cx, place.at).await?;
        let mut query = asked.query(grant, asked.count());
        query.after = cursor::take(&place.position)?;
        if query.after == Some(Position::End) {
            query.limit = last_page(snapshot.count(&query).await?, query.limit);
        }
        query.rows = include::rows(cx, &asked);
        query.rows.extend(asked.words());
        let found = explain::find(cx, grant, &mut asked, &*snapshot, &query).await?;
        let total = self
            .total(&asked, &query, &*snapshot, &found, grant)
            .await?;
        let sources = found.hits.iter().map(|hit| (asked.ty, hit));
        let included = self.include(cx, &asked, &*snapshot, sources);
        let included = included.await?;
        let mut entry = Entry::new(cx, What::Search, Outcome::Success, grant.rule());
        entry.ty = asked.ty.name.into();
        entry.query = asked.text().into();
        let shown = found.hits.iter().map(|hit| &hit.record);
        entry.shows(shown.chain(&included.records));
        self.record(cx, entry).await?;
        let beside = asked.with_last(Beside::of(&found));
        let links = self.links(cx, &asked, snapshot.seq(), &beside)?;
        let subset = asked.subset();
        let relevance = asked.relevance();
        let shown = found.hits.iter().map(|hit| Match {
            record: &hit.record,
            subset: subset.as_ref(),
            score: relevance.as_ref().map(|by| text::score(by, hit)),
        });
        Ok(Reply {
            body: Some(page::searchset(cx, &asked, total, &links, shown, &included)),
            ..Reply::with(Status::Ok)
        })
    }

    /// The number of matches: when asked for, or when one page shows it.
    async fn total(
        &self,
        asked: &Asked,
        query: &Query,
        snapshot: &dyn Snapshot,
        found: &salus_store::Found,
        grant: &Grant,
    ) -> Result<Option<u64>, Error> {
        let whole = query.limit > 0 && query.after.is_none() && found.next.is_none();
        match asked.control.total {
            _ if whole && asked.control.total != Some(Total::None) => {
                Ok(Some(found.hits.len() as u64))
            }
            Some(Total::Estimate) => estimate(snapshot, query, grant.filter()).await,
            Some(Total::Accurate) => Ok(Some(snapshot.count(query).await?)),
            _ if query.limit == 0 => Ok(Some(snapshot.count(query).await?)),
            Some(Total::None) | None => Ok(None),
        }
    }

    /// The links of a page: `self`, as the search was understood, and those
    /// to the pages beside it.
    pub(crate) fn links(
        &self,
        cx: &Context,
        asked: &Asked,
        seq: Seq,
        beside: &Beside,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let text = asked.text();
        let url = asked.url(cx);
        let question = if text.is_empty() { "" } else { "?" };
        let own = [("self", format!("{url}{question}{text}"))];
        let page = Cursor {
            seq,
            request: format!("{}?{text}", asked.path),
            position: Vec::new(),
        };
        let others = cursor::links(&self.cursor_key, cx, PURPOSE, &page, (&url, beside))?;
        Ok(own.into_iter().chain(others).collect())
    }
}

/// How many of so many matches are on the last page, when all others are full.
fn last_page(total: u64, limit: usize) -> usize {
    let limit = limit as u64;
    let rest = total.checked_rem(limit).unwrap_or_default();
    if rest == 0 {
        limit as usize
    } else {
        rest as usize
    }
}

/// Understands a search, or says what is wrong with it.
fn understand(
    cx: &Context,
    ty: ResourceType,
    parameters: Vec<(String, String)>,
    terms: &Terms,
    handling: Handling,
) -> Result<Asked, Error> {
    let (mut asked, problems) = read(cx, (ty, &[]), &parameters, terms);
    let ignored = lenient(problems, handling)?;
    let is_ignored = |at: usize| ignored.iter().any(|problem| problem.at == at);
    let pairs = parameters.into_iter().enumerate();
    asked.pairs = pairs
        .filter(|(at, _)| !is_ignored(*at))
        .map(|(_, pair)| pair)
        .collect();
    asked.ignore(ignored);
    Ok(asked)
}

/// About how many match. An estimate tells how many resources of the type
/// there are: where the grant hides some, or the search looks at others of
/// which it may, the matches are counted instead, if that costs no more than a
/// search may.
async fn estimate(
    snapshot: &dyn Snapshot,
    query: &Query,
    visible: &Filter,
) -> Result<Option<u64>, Error> {
    if *visible == Filter::Everything && !query.filter.is_linked() {
        return Ok(snapshot.estimate(query).await?);
    }
    match snapshot.count(query).await {
        Ok(count) => Ok(Some(count)),
        Err(Costly::TooCostly { .. } | Costly::TookTooLong { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The pairs of a query's text, decoded.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// An instant, or the first one of a date.
pub(crate) fn instant_ms(text: &str) -> Option<i64> {
    salus_fhir::search::Span::parse(text).map(|span| span.from_ms)
}
