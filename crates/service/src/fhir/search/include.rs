//! `_include` and `_revinclude`: <https://hl7.org/fhir/R4/search.html#revinclude>.
//!
//! References are followed by index rows, without reading bodies twice. What
//! the caller may not search is not included either.

use std::collections::{BTreeMap, HashMap, HashSet};

use salus_auth::{Action, Target};
use salus_fhir::definitions::{self, SearchKind, SearchParameter};
use salus_fhir::search::{Include, Parameters};
use salus_store::{Filter, Found, Hit, Kind, Param, Query, Record, Row, Snapshot, Test, Value};

use super::Asked;
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::rows as index;
use crate::fhir::types::ResourceType;

/// Resources added to one page at most; more is said in the bundle.
const INCLUDED_MAX: usize = 1000;
/// How many times `:iterate` goes on from what was included.
const ROUNDS_MAX: usize = 8;

/// What was added to a page.
#[derive(Default)]
pub(super) struct Included {
    pub(super) records: Vec<Record>,
    /// There was more than a page may have.
    pub(super) cut: bool,
}

/// A resource whose references may be followed.
struct Source {
    kind: Kind,
    id: Box<str>,
    rows: Vec<Row>,
}

/// The parameters by which the matches' references are followed.
pub(super) fn rows(cx: &Context, asked: &Asked) -> Vec<Param> {
    params(&cx.parameters, &asked.control.includes, asked.ty)
}

impl Service {
    /// What the includes add to a page.
    pub(super) async fn include(
        &self,
        cx: &Context,
        asked: &Asked,
        snapshot: &dyn Snapshot,
        found: &Found,
    ) -> Result<Included, Error> {
        let mut included = Included::default();
        let (includes, reverse) = (&asked.control.includes, &asked.control.reverse_includes);
        if includes.is_empty() && reverse.is_empty() {
            return Ok(included);
        }
        let known = &*cx.parameters;
        let mut seen: HashSet<(Kind, Box<str>)> = found
            .hits
            .iter()
            .map(|hit| (hit.record.kind, hit.record.id.clone()))
            .collect();
        let mut sources: Vec<Source> = found.hits.iter().map(source).collect();
        let iterates = includes.iter().chain(reverse).any(|it| it.iterate);
        for round in 0..ROUNDS_MAX {
            let applies = |include: &&Include| round == 0 || include.iterate;
            let mut queries = targets(known, includes.iter().filter(applies), &sources, &seen);
            queries.extend(canonicals(known, includes.iter().filter(applies), &sources));
            for include in reverse.iter().filter(applies) {
                queries.extend(referring(known, include, &sources));
            }
            sources.clear();
            for (ty, filter) in queries {
                let room = INCLUDED_MAX - included.records.len();
                // Without room, one more tells that there is more.
                let limit = room.max(1);
                let found = self.related(cx, asked, snapshot, ty, filter, limit).await?;
                included.cut |= found.next.is_some() || room == 0 && !found.hits.is_empty();
                for hit in found.hits.into_iter().take(room) {
                    if seen.insert((hit.record.kind, hit.record.id.clone())) {
                        sources.push(source(&hit));
                        included.records.push(hit.record);
                    }
                }
            }
            if sources.is_empty() || !iterates || included.cut {
                break;
            }
            included.cut = round + 1 == ROUNDS_MAX;
        }
        Ok(included)
    }

    /// Resources of one type, if the caller may search it.
    async fn related(
        &self,
        cx: &Context,
        asked: &Asked,
        snapshot: &dyn Snapshot,
        ty: ResourceType,
        filter: Filter,
        room: usize,
    ) -> Result<Found, Error> {
        let target = Target::Type(ty.name);
        let Ok(grant) = salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target) else {
            return Ok(Found::default());
        };
        let iterated = asked.control.includes.iter().filter(|i| i.iterate).cloned();
        let query = Query {
            kind: ty.kind,
            filter: Filter::All(vec![filter, grant.filter().clone()]),
            sort: Vec::new(),
            limit: room,
            after: None,
            rows: params(&cx.parameters, &iterated.collect::<Vec<_>>(), ty),
        };
        Ok(snapshot.find(&query).await?)
    }
}

fn source(hit: &Hit) -> Source {
    Source {
        kind: hit.record.kind,
        id: hit.record.id.clone(),
        rows: hit.rows.clone(),
    }
}

/// The reference parameters of a type that an include means.
fn meant(known: &Parameters, include: &Include, ty: ResourceType) -> Vec<&'static SearchParameter> {
    if include.source.is_some_and(|source| source != ty.name) {
        return Vec::new();
    }
    match include.reference {
        Some(parameter) => vec![parameter],
        None => known
            .of(ty.name)
            .filter(|parameter| parameter.kind == SearchKind::Reference)
            .collect(),
    }
}

fn params(known: &Parameters, includes: &[Include], ty: ResourceType) -> Vec<Param> {
    let parameters = includes
        .iter()
        .flat_map(|include| meant(known, include, ty));
    let mut params: Vec<Param> = parameters
        .map(|parameter| index::param(ty.name, parameter))
        .collect();
    params.sort_unstable();
    params.dedup();
    params
}

/// What the sources refer to, by type.
fn targets<'i>(
    known: &Parameters,
    includes: impl Iterator<Item = &'i Include>,
    sources: &[Source],
    seen: &HashSet<(Kind, Box<str>)>,
) -> Vec<(ResourceType, Filter)> {
    let mut wanted: HashMap<Kind, Vec<Box<str>>> = HashMap::new();
    for include in includes {
        let only = include.target.map(Kind::named);
        for source in sources {
            let Some(ty) = ResourceType::of(source.kind) else {
                continue;
            };
            let params: Vec<Param> = meant(known, include, ty)
                .into_iter()
                .map(|parameter| index::param(ty.name, parameter))
                .collect();
            for row in source.rows.iter().filter(|row| params.contains(&row.param)) {
                if let Value::Reference { kind, id } = &row.value
                    && only.is_none_or(|only| only == *kind)
                    && !seen.contains(&(*kind, id.clone()))
                {
                    let ids = wanted.entry(*kind).or_default();
                    if !ids.contains(id) {
                        ids.push(id.clone());
                    }
                }
            }
        }
    }
    let mut queries: Vec<_> = wanted
        .into_iter()
        .filter_map(|(kind, ids)| Some((ResourceType::of(kind)?, Filter::Ids(ids))))
        .collect();
    queries.sort_by_key(|(ty, _)| ty.name);
    queries
}

/// What the sources name by a canonical URL, by type.
fn canonicals<'i>(
    known: &Parameters,
    includes: impl Iterator<Item = &'i Include>,
    sources: &[Source],
) -> Vec<(ResourceType, Filter)> {
    let mut wanted: BTreeMap<&'static str, Vec<Filter>> = BTreeMap::new();
    for include in includes {
        for source in sources {
            let Some(ty) = ResourceType::of(source.kind) else {
                continue;
            };
            for parameter in meant(known, include, ty) {
                let param = index::param(ty.name, parameter);
                let rows = source.rows.iter().filter(|row| row.param == param);
                let uris: Vec<&str> = rows.filter_map(|row| uri(&row.value)).collect();
                for target in with_urls(include, parameter) {
                    let filters = uris.iter().filter_map(|uri| named(target, uri, &uris));
                    wanted.entry(target.name).or_default().extend(filters);
                }
            }
        }
    }
    let queries = wanted.into_iter().filter(|(_, any)| !any.is_empty());
    queries
        .filter_map(|(ty, any)| Some((ResourceType::named(ty)?, Filter::Any(any))))
        .collect()
}

fn uri(value: &Value) -> Option<&str> {
    if let Value::Uri(uri) = value {
        Some(uri)
    } else {
        None
    }
}

/// The types to which a reference may lead by a canonical URL.
fn with_urls(include: &Include, parameter: &SearchParameter) -> Vec<ResourceType> {
    let definitions = definitions::r4();
    let names = parameter.targets.iter().map(|id| definitions.ty(*id).name);
    let names = names.filter(|name| include.target.is_none_or(|target| target == *name));
    names
        .filter(|name| definitions.search_parameter(name, "url").is_some())
        .filter_map(ResourceType::named)
        .collect()
}

/// The resource of a canonical URL, with the version if it names one. One with
/// a version is among the `others` without it too, and means the one with it.
fn named(ty: ResourceType, canonical: &str, others: &[&str]) -> Option<Filter> {
    let is_with_version = |other: &&str| {
        let rest = other.strip_prefix(canonical);
        rest.is_some_and(|rest| rest.starts_with('|'))
    };
    if others.iter().any(is_with_version) {
        return None;
    }
    let (url, version) = match canonical.split_once('|') {
        Some((url, version)) => (url, Some(version)),
        None => (canonical, None),
    };
    let is_url = Test::UriIs(url.into());
    let url = Filter::Value(Param::named(ty.name, "url"), is_url);
    let Some(version) = version else {
        return Some(url);
    };
    let code = Some(version.into());
    let is_version = Test::Token { system: None, code };
    let version = Filter::Value(Param::named(ty.name, "version"), is_version);
    Some(Filter::All(vec![url, version]))
}

/// What refers to the sources by the include's parameters.
fn referring(
    known: &Parameters,
    include: &Include,
    sources: &[Source],
) -> Option<(ResourceType, Filter)> {
    let ty = ResourceType::named(include.source?)?;
    let only = include.target.map(Kind::named);
    let mut tests = Vec::new();
    for parameter in meant(known, include, ty) {
        let param = index::param(ty.name, parameter);
        for source in sources {
            if only.is_none_or(|only| only == source.kind) {
                let (kind, id) = (Some(source.kind), source.id.clone());
                tests.push(Filter::Value(param, Test::Reference { kind, id }));
            }
        }
    }
    (!tests.is_empty()).then_some((ty, Filter::Any(tests)))
}
