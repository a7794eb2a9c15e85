//! Searches over several types: all of them, those that `_type` names, or
//! those of a compartment (<https://hl7.org/fhir/R4/http.html#search>).
//!
//! Each type is searched by itself, under the grant for it. Without an order
//! one type comes after the other; in an order that all types share, their
//! pages are merged.

use std::borrow::Cow;

use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Problem, Subset, Total};

use super::include::Included;
use super::range::{Compartment, Range};
use super::streams::{Page, Stream, count, in_turn, merged};
use super::{Asked, Place, lenient, page, read};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::reply::{Reply, Status};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;
use crate::fhir::{Handling, resource_type};

const TYPE: &str = "_type";
/// Most values of a search, counted for each of its types.
const VALUES_MAX: usize = 50_000;

/// What several types are asked for.
struct Request {
    ranges: Vec<Range>,
    /// `_type`, as it was given.
    listed: Option<(String, String)>,
    parameters: Vec<(String, String)>,
    place: Place,
}

impl Service {
    /// Finds resources of all types, or of those that `_type` names.
    pub async fn search_system(
        &self,
        cx: &Context,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let ranges = Range::everything();
        self.search_several(cx, "", ranges, parameters, handling)
            .await
    }

    /// Finds resources of a type, or with `*` of all types, in a compartment:
    /// `Patient/1/Observation`.
    pub async fn search_compartment(
        &self,
        cx: &Context,
        (name, id): (&str, &str),
        member: &str,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let compartment = Compartment::of(name, id)?;
        if member == "*" {
            let path = format!("{name}/{id}/*");
            let ranges = compartment.ranges();
            return self
                .search_several(cx, &path, ranges, parameters, handling)
                .await;
        }
        let range = compartment.range(resource_type(member)?)?;
        self.search_range(cx, range, parameters, handling).await
    }

    /// One type that `_type` named.
    async fn search_one(
        &self,
        cx: &Context,
        range: Range,
        parameters: Vec<(String, String)>,
        place: Place,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let ty = range.ty.name;
        let grant = self
            .authorize(cx, What::Search, Action::Search, Target::Type(ty))
            .await?;
        let work = self.search_placed(cx, &grant, range, parameters, place, handling);
        self.attempt(cx, &grant, What::Search, ty, work).await
    }

    async fn search_several(
        &self,
        cx: &Context,
        path: &str,
        ranges: Vec<Range>,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> Result<Reply, Error> {
        let mut request = match self.request(cx, path, ranges.clone(), parameters) {
            Ok(request) => request,
            Err(error) => {
                let (grant, _) = self.granted(cx, ranges, false).await?;
                let failed = async { Err(error) };
                return self.attempt(cx, &grant, What::Search, "", failed).await;
            }
        };
        let is_named = request.listed.is_some();
        if is_named
            && request.ranges.len() == 1
            && let Some(mut range) = request.ranges.pop()
        {
            range.listed = request.listed;
            let (parameters, place) = (request.parameters, request.place);
            return self
                .search_one(cx, range, parameters, place, handling)
                .await;
        }
        let (grant, granted) = self.granted(cx, request.ranges, is_named).await?;
        let work = async {
            let types: Vec<_> = granted.iter().map(|(range, _)| range.ty).collect();
            let (parameters, mut place) = (request.parameters, request.place);
            let terms = self.terms(cx, place.at, &types, &parameters).await?;
            place.at = terms.at(place.at);
            let mut streams = streams(cx, granted, parameters, &terms, handling)?;
            if let Some(first) = streams.first_mut() {
                first.asked.pairs.extend(request.listed);
            }
            self.page_of_several(cx, &streams, place).await
        };
        self.attempt(cx, &grant, What::Search, "", work).await
    }

    /// Reads what several types are asked for.
    fn request(
        &self,
        cx: &Context,
        path: &str,
        mut ranges: Vec<Range>,
        parameters: Vec<(String, String)>,
    ) -> Result<Request, Error> {
        let (mut parameters, place) = self.place(cx, path, parameters)?;
        let listed = listed(&mut parameters)?;
        if let Some((_, text)) = &listed {
            ranges = chosen(ranges, text)?;
        }
        Ok(Request {
            ranges,
            listed,
            parameters,
            place,
        })
    }

    /// The types that the one asking may search, each with the grant for it,
    /// and the first of the grants. A type that was named and may not be
    /// searched is a refusal, and so is it when there is none at all.
    async fn granted(
        &self,
        cx: &Context,
        ranges: Vec<Range>,
        named: bool,
    ) -> Result<(Grant, Vec<(Range, Grant)>), Error> {
        let mut granted = Vec::with_capacity(ranges.len());
        let last = ranges.len();
        for (at, range) in ranges.into_iter().enumerate() {
            let target = Target::Type(range.ty.name);
            let must = named || granted.is_empty() && at + 1 == last;
            if must {
                let grant = self.authorize(cx, What::Search, Action::Search, target);
                granted.push((range, grant.await?));
            } else if let Ok(grant) =
                salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target)
            {
                granted.push((range, grant));
            }
        }
        let first = granted.first().map(|(_, grant)| grant.clone());
        let first = first.ok_or_else(|| Error::invalid("there is no type to search"))?;
        Ok((first, granted))
    }

    async fn page_of_several(
        &self,
        cx: &Context,
        streams: &[Stream],
        place: Place,
    ) -> Result<Reply, Error> {
        let Some(first) = streams.first() else {
            return Err(Error::invalid("there is no type to search"));
        };
        let snapshot = self.store.snapshot(cx.scope, place.at).await?;
        let (asked, begins) = (&first.asked, place.after.is_none());
        let found = match (asked.count(), asked.control.sort.is_empty()) {
            (0, _) => Page::default(),
            (limit, true) => in_turn(streams, &*snapshot, limit, place.after).await?,
            (limit, false) => merged(streams, &*snapshot, limit, place.after).await?,
        };
        let whole = begins && asked.count() > 0 && found.next.is_none();
        let total = match asked.control.total {
            Some(Total::Accurate | Total::Estimate) => Some(count(streams, &*snapshot).await?),
            _ if asked.count() == 0 => Some(count(streams, &*snapshot).await?),
            Some(Total::None) => None,
            None => whole.then_some(found.records.len() as u64),
        };
        let mut entry = Entry::new(cx, What::Search, Outcome::Success, first.grant.rule());
        entry.query = asked.text().into();
        entry.shows(found.records.iter().map(|(_, record)| record));
        self.record(cx, entry).await?;
        let next = match found.next {
            Some(position) => Some(self.next(cx, asked, snapshot.seq(), position)?),
            None => None,
        };
        let subsets: Vec<Option<Subset>> = streams.iter().map(|it| it.asked.subset()).collect();
        let shown = found.records.iter();
        let shown = shown.map(|(at, record)| (record, subsets.get(*at).and_then(Option::as_ref)));
        let none = Included::default();
        Ok(Reply {
            body: Some(page::searchset(cx, asked, total, next, shown, &none)),
            ..Reply::with(Status::Ok)
        })
    }
}

/// Takes `_type` out of the parameters.
fn listed(parameters: &mut Vec<(String, String)>) -> Result<Option<(String, String)>, Error> {
    let is_listed = |(name, _): &mut (String, String)| name == TYPE;
    let mut found: Vec<_> = parameters.extract_if(.., is_listed).collect();
    let first = found.pop();
    if !found.is_empty() {
        return Err(refused("the parameter must not be repeated"));
    }
    Ok(first)
}

/// Of what may be searched, what is named.
fn chosen(mut ranges: Vec<Range>, text: &str) -> Result<Vec<Range>, Error> {
    let types: Option<Vec<_>> = text.split(',').map(ResourceType::named).collect();
    let Some(types) = types else {
        return Err(refused(
            "the value must be types of resources, with commas between them",
        ));
    };
    for ty in &types {
        if !ranges.iter().any(|range| range.ty == *ty) {
            return Err(refused(format!("{} cannot be searched here", ty.name)));
        }
    }
    ranges.retain(|range| types.contains(&range.ty));
    Ok(ranges)
}

/// Reads the parameters for each type. All must be known to all types; in
/// vain for one is in vain for all, or it would narrow some types only.
fn streams(
    cx: &Context,
    granted: Vec<(Range, Grant)>,
    mut parameters: Vec<(String, String)>,
    terms: &Terms,
    handling: Handling,
) -> Result<Vec<Stream>, Error> {
    let values = parameters.iter().map(|(_, value)| value.split(',').count());
    if values.sum::<usize>() * granted.len() > VALUES_MAX {
        let details = "too many values for so many types; name the types with _type";
        let issue = Issue::error(IssueType::TooCostly, "http", details);
        return Err(Error::with_issues(ErrorKind::Invalid, vec![issue]));
    }
    let read_all = |parameters: &[(String, String)]| {
        let mut problems: Vec<Problem> = Vec::new();
        let mut all = Vec::with_capacity(granted.len());
        for (range, _) in &granted {
            let (asked, found) = read(cx, range.ty, parameters, terms);
            for problem in found.into_iter().chain(alone(&asked, parameters.len())) {
                if !problems.iter().any(|known| known.at == problem.at) {
                    problems.push(problem);
                }
            }
            all.push(asked);
        }
        (all, problems)
    };
    let (mut all, problems) = read_all(&parameters);
    let ignored = lenient(problems, handling)?;
    if !ignored.is_empty() {
        let mut at = 0..;
        let known = |at: Option<usize>| !ignored.iter().any(|problem| Some(problem.at) == at);
        parameters.retain(|_| known(at.next()));
        all = read_all(&parameters).0;
    }
    if let Some(first) = all.first_mut() {
        first.pairs = parameters;
        first.ignore(ignored);
    }
    let with = |(mut asked, (range, grant)): (Asked, (Range, Grant))| {
        asked.path = range.path;
        asked.filters.extend(range.within);
        Stream { asked, grant }
    };
    Ok(all.into_iter().zip(granted).map(with).collect())
}

/// What a search of one type can have, and one of several cannot.
fn alone(asked: &Asked, at: usize) -> Option<Problem> {
    let control = &asked.control;
    let sorts = |code: &str| matches!(code, "_id" | "_lastUpdated");
    let (location, details) = if !control.includes.is_empty() {
        (
            "http._include",
            "only a search of one type can include others; name it with _type",
        )
    } else if !control.reverse_includes.is_empty() {
        (
            "http._revinclude",
            "only a search of one type can include others; name it with _type",
        )
    } else if !control.sort.iter().all(|key| sorts(key.parameter.code)) {
        (
            "http._sort",
            "several types have no common order by that; allowed: _id, _lastUpdated",
        )
    } else {
        return None;
    };
    let issue = Issue::error(IssueType::Value, location, details);
    Some(Problem { at, issue })
}

fn refused(details: impl Into<Cow<'static, str>>) -> Error {
    let issue = Issue::error(IssueType::Value, "http._type", details);
    Error::with_issues(ErrorKind::Invalid, vec![issue])
}
