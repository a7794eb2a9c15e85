//! Searches over several types: all of them, those that `_type` names, or
//! those of a compartment (<https://hl7.org/fhir/R4/http.html#search>).
//!
//! Each type is searched by itself, under the grant for it. Without an order
//! one type comes after the other; in one, their pages are merged by the
//! values that sort them.

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use salus_auth::{Action, Grant, Target};
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Problem, Subset};
use salus_store::Snapshot;

use super::named::Named;
use super::page::Match;
use super::range::{Compartment, Range, hides_compartment};
use super::streams::{self, Stream};
use super::within::{self, Shown};
use super::{Asked, Place, lenient, page, read, text};
use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::reply::{Reply, Status};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;
use crate::fhir::{Handling, resource_type};

const TYPE: &str = "_type";
/// Most types named in an issue.
const NAMED_MAX: usize = 10;
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
            let hidden = cx.subject.hidden();
            let mut ranges = compartment.ranges();
            ranges.retain(|range| !hides_compartment(hidden, name, range.ty));
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

    fn search_several<'a>(
        &'a self,
        cx: &'a Context,
        path: &'a str,
        ranges: Vec<Range>,
        parameters: Vec<(String, String)>,
        handling: Handling,
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
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
                let (mut parameters, mut place) = (request.parameters, request.place);
                let named = self.named(cx, &types, &mut parameters, &place).await?;
                let wanted = named.as_ref().map_or(&[][..], Named::search);
                let wanted = [&parameters[..], wanted].concat();
                let terms = self.terms(cx, place.at, &types, &wanted).await?;
                place.at = terms.at(place.at);
                let mut all = all_of(cx, granted, parameters, &terms, handling)?;
                if let Some(named) = named {
                    let among: Vec<_> = types.iter().map(|ty| ty.name).collect();
                    for (asked, _) in &mut all {
                        named.add(cx, &among, &terms, asked)?;
                    }
                }
                if let Some((first, _)) = all.first_mut() {
                    first.pairs.extend(request.listed);
                }
                let snapshot = self.snapshot_at(cx, place.at).await?;
                if all
                    .first()
                    .is_some_and(|(asked, _)| within::is_wanted(asked))
                {
                    let position = &place.position;
                    return self
                        .search_contained(cx, "", &all, &*snapshot, position)
                        .await;
                }
                let streams: Vec<Stream> = all
                    .into_iter()
                    .map(|(asked, grant)| Stream::new(cx, asked, &grant))
                    .collect();
                let first = streams.first().ok_or_else(no_type)?;
                let of = ("", first.rule(), &first.asked);
                self.page_of_several(cx, of, &streams, &*snapshot, &place.position)
                    .await
            };
            self.attempt(cx, &grant, What::Search, "", work).await
        })
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
        let first = first.ok_or_else(no_type)?;
        Ok((first, granted))
    }

    /// The page at a position, of what was asked of some type, or of several
    /// without a name, by the rule that allows it.
    pub(super) fn page_of_several<'a>(
        &'a self,
        cx: &'a Context,
        (ty, rule, asked): (&'a str, &'a str, &'a Asked),
        streams: &'a [Stream],
        snapshot: &'a dyn Snapshot,
        position: &'a [u8],
    ) -> BoxFuture<'a, Result<Reply, Error>> {
        Box::pin(async move {
            let found = streams::page_at(streams, snapshot, asked, position).await?;
            let sources = found.hits.iter();
            let sources = sources.filter_map(|(at, hit)| Some((streams.get(*at)?.asked.ty, hit)));
            let included = self.include(cx, asked, snapshot, sources).await?;
            let mut shown = Vec::with_capacity(found.hits.len());
            for (at, hit) in &found.hits {
                shown.extend(Shown::of(snapshot, hit).await?.map(|one| (*at, one)));
            }
            let mut entry = Entry::new(cx, What::Search, Outcome::Success, rule);
            entry.ty = ty.into();
            entry.query = asked.text().into();
            let records = shown.iter().map(|(_, one)| one.stored());
            entry.shows(records.chain(&included.records));
            self.record(cx, entry).await?;
            let beside = asked.with_last(found.beside());
            let links = self.links(cx, asked, snapshot.seq(), &beside)?;
            let subsets: Vec<Option<Subset>> = streams.iter().map(|it| it.asked.subset()).collect();
            let relevances: Vec<_> = streams.iter().map(|it| it.asked.relevance()).collect();
            let shown = shown.iter().map(|(at, one)| {
                let score = relevances.get(*at).and_then(Option::as_ref);
                Match {
                    record: one.record(),
                    subset: subsets.get(*at).and_then(Option::as_ref),
                    score: score.map(|by| text::score(by, one.hit)),
                }
            });
            let total = found.total;
            Ok(Reply {
                body: Some(page::searchset(cx, asked, total, &links, shown, &included)),
                ..Reply::with(Status::Ok)
            })
        })
    }
}

fn no_type() -> Error {
    Error::invalid("there is no type to search")
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

/// Reads the parameters for each type. All criteria must be known to all types
/// (<https://hl7.org/fhir/R4/search.html#all>); in vain for one is in vain for
/// all, or it would narrow some types only.
fn all_of(
    cx: &Context,
    granted: Vec<(Range, Grant)>,
    mut parameters: Vec<(String, String)>,
    terms: &Terms,
    handling: Handling,
) -> Result<Vec<(Asked, Grant)>, Error> {
    let values = parameters.iter().map(|(_, value)| value.split(',').count());
    if values.sum::<usize>() * granted.len() > VALUES_MAX {
        let details = "too many values for so many types; name the types with _type";
        let issue = Issue::error(IssueType::TooCostly, "http", details);
        return Err(Error::with_issues(ErrorKind::Invalid, vec![issue]));
    }
    let among: Vec<&'static str> = granted.iter().map(|(range, _)| range.ty.name).collect();
    let read_all = |parameters: &[(String, String)]| {
        let mut problems = Problems::default();
        let mut all = Vec::with_capacity(granted.len());
        for (range, _) in &granted {
            let (asked, found) = read(cx, (range.ty, &among), parameters, terms);
            problems.add(range.ty.name, found);
            all.push(asked);
        }
        (all, problems.of(among.len()))
    };
    let (mut all, problems) = read_all(&parameters);
    let ignored = lenient(problems, handling)?;
    if !ignored.is_empty() {
        let mut at = 0..;
        let known = |at: Option<usize>| !ignored.iter().any(|problem| Some(problem.at) == at);
        parameters.retain(|_| known(at.next()));
        all = read_all(&parameters).0;
    }
    all.iter().try_for_each(super::explain::refuse_of_several)?;
    let mut notices: Vec<Issue> = Vec::new();
    for notice in all.iter_mut().flat_map(|asked| asked.notices.drain(..)) {
        if !notices.contains(&notice) {
            notices.push(notice);
        }
    }
    if let Some(first) = all.first_mut() {
        first.pairs = parameters;
        first.notices = notices;
        first.ignore(ignored);
    }
    let with = |(mut asked, (range, grant)): (Asked, (Range, Grant))| {
        asked.path = range.path;
        asked.filters.extend(range.within);
        (asked, grant)
    };
    Ok(all.into_iter().zip(granted).map(with).collect())
}

/// Parameters that some types do not understand.
#[derive(Default)]
struct Problems(Vec<(Problem, Vec<&'static str>)>);

impl Problems {
    fn add(&mut self, ty: &'static str, found: Vec<Problem>) {
        for problem in found {
            match self.0.iter_mut().find(|(known, _)| known.at == problem.at) {
                Some((_, types)) => types.push(ty),
                None => self.0.push((problem, vec![ty])),
            }
        }
    }

    /// Of so many types; where others understand a parameter, those that do
    /// not are named.
    fn of(self, types: usize) -> Vec<Problem> {
        let with_types = |(mut problem, mut lacking): (Problem, Vec<&'static str>)| {
            lacking.dedup();
            if problem.is_ignorable() && lacking.len() < types {
                let more = lacking.len().saturating_sub(NAMED_MAX);
                lacking.truncate(NAMED_MAX);
                let mut names = lacking.join(", ");
                if more > 0 {
                    names += &format!(" and {more} more");
                }
                let details = problem.issue.details;
                problem.issue.details = format!("not for {names}: {details}").into();
            }
            problem
        };
        self.0.into_iter().map(with_types).collect()
    }
}

fn refused(details: impl Into<Cow<'static, str>>) -> Error {
    let issue = Issue::error(IssueType::Value, "http._type", details);
    Error::with_issues(ErrorKind::Invalid, vec![issue])
}
