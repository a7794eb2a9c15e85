//! `_include` and `_revinclude`: <https://hl7.org/fhir/R4/search.html#revinclude>.
//!
//! References are followed by index rows, without reading bodies twice. What
//! the caller may not search is not included either.

use std::collections::{BTreeMap, HashMap, HashSet};

use salus_auth::{Action, Target};
use salus_fhir::definitions::{self, SearchKind, SearchParameter};
use salus_fhir::search::{Include, Parameters};
use salus_store::{Filter, Hit, Kind, Param, Query, Record, Row, Snapshot, Test, Value};

use super::Asked;
use super::canonical::{self, Naming, Wanted};
use crate::Service;
use crate::context::Context;
use crate::error::Error;
use crate::fhir::rows as index;
use crate::fhir::types::ResourceType;

/// Resources added to one page at most; more is said in the bundle.
const INCLUDED_MAX: usize = 1000;
/// Resources read at once at least.
const READ_AT_ONCE: usize = 100;
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
    /// Of contained resources, the type under which they are kept.
    ty: ResourceType,
    id: Box<str>,
    rows: Vec<Row>,
}

/// What is to be looked for: resources of one type.
struct Step {
    ty: ResourceType,
    filter: Filter,
    keep: Keep,
}

/// Which of those that are found are meant.
enum Keep {
    All,
    /// Those that these URLs name.
    Named(Wanted),
    /// Those that name one of the sources.
    Naming(Naming),
}

/// What is gathered for a page.
struct Gathered {
    included: Included,
    seen: HashSet<(Kind, Box<str>)>,
    /// What was added in this round.
    sources: Vec<Source>,
    most: usize,
}

/// The parameters by which the matches' references are followed.
pub(super) fn rows(cx: &Context, asked: &Asked) -> Vec<Param> {
    let (includes, reverse) = (&asked.control.includes, &asked.control.reverse_includes);
    params(&cx.parameters, (includes, reverse), asked.ty, |_| true)
}

impl Service {
    /// What the includes add to a page.
    pub(super) async fn include<'h>(
        &self,
        cx: &Context,
        asked: &Asked,
        snapshot: &dyn Snapshot,
        hits: impl Iterator<Item = (ResourceType, &'h Hit)> + Send,
    ) -> Result<Included, Error> {
        let (includes, reverse) = (&asked.control.includes, &asked.control.reverse_includes);
        if includes.is_empty() && reverse.is_empty() {
            return Ok(Included::default());
        }
        let known = &*cx.parameters;
        let mut gathered = Gathered::around(hits.map(|(ty, hit)| source(ty, hit)).collect());
        let iterates = includes.iter().chain(reverse).any(|it| it.iterate);
        for round in 0..=ROUNDS_MAX {
            if round == ROUNDS_MAX {
                // Only to know whether there would be more.
                gathered.most = gathered.included.records.len();
            }
            let applies = |include: &&Include| round == 0 || include.iterate;
            let sources = std::mem::take(&mut gathered.sources);
            let forward = || includes.iter().filter(applies);
            let mut steps = targets(known, forward(), &sources, &gathered.seen);
            steps.extend(canonicals(known, forward(), &sources));
            for include in reverse.iter().filter(applies) {
                steps.extend(referring(known, include, &sources));
                steps.extend(naming(known, include, &sources));
            }
            for step in steps {
                self.take(cx, asked, snapshot, step, &mut gathered).await?;
            }
            if gathered.sources.is_empty() || !iterates || gathered.included.cut {
                break;
            }
        }
        Ok(gathered.included)
    }

    /// Adds what a step finds, if the caller may search it.
    async fn take(
        &self,
        cx: &Context,
        asked: &Asked,
        snapshot: &dyn Snapshot,
        step: Step,
        gathered: &mut Gathered,
    ) -> Result<(), Error> {
        // Who is named by a URL, and by whom, tells of the URL.
        let hidden = cx.subject.hidden();
        let tells = hidden.types().filter_map(ResourceType::named);
        let is_named = !matches!(step.keep, Keep::All);
        if is_named && tells.into_iter().any(|ty| canonical::hides_url(hidden, ty)) {
            return Ok(());
        }
        let target = Target::Type(step.ty.name);
        let Ok(grant) = salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target) else {
            return Ok(());
        };
        let control = &asked.control;
        let both = (&*control.includes, &*control.reverse_includes);
        let mut rows = params(&cx.parameters, both, step.ty, |include| include.iterate);
        rows.extend(step.keep.params(step.ty));
        rows.sort_unstable();
        rows.dedup();
        let mut query = Query {
            kind: step.ty.kind,
            filter: Filter::All(vec![step.filter, grant.filter().clone()]),
            sort: Vec::new(),
            limit: 0,
            after: None,
            rows,
        };
        let mut candidates = Vec::new();
        loop {
            // Some of them may be there already.
            query.limit = gathered.room().saturating_add(1).max(READ_AT_ONCE);
            let found = snapshot.find(&query).await?;
            for hit in found.hits {
                match &step.keep {
                    Keep::All => gathered.add(step.ty, &hit),
                    Keep::Named(_) => candidates.push(hit),
                    Keep::Naming(naming) if naming.accepts(&hit.rows) => {
                        gathered.add(step.ty, &hit);
                    }
                    Keep::Naming(_) => {}
                }
            }
            gathered.included.cut |= found.next.is_some() && candidates.len() > INCLUDED_MAX;
            query.after = found.next;
            if query.after.is_none() || gathered.included.cut {
                break;
            }
        }
        if let Keep::Named(wanted) = &step.keep {
            let chosen = wanted.choose(step.ty, &candidates);
            chosen
                .into_iter()
                .for_each(|hit| gathered.add(step.ty, hit));
        }
        Ok(())
    }
}

impl Gathered {
    fn around(sources: Vec<Source>) -> Self {
        let name = |source: &Source| (source.ty.kind, source.id.clone());
        Self {
            included: Included::default(),
            seen: sources.iter().map(name).collect(),
            sources,
            most: INCLUDED_MAX,
        }
    }

    fn room(&self) -> usize {
        self.most - self.included.records.len().min(self.most)
    }

    fn add(&mut self, ty: ResourceType, hit: &Hit) {
        let name = (hit.record.kind, hit.record.id.clone());
        if self.seen.contains(&name) {
            return;
        }
        if self.room() == 0 {
            self.included.cut = true;
            return;
        }
        self.seen.insert(name);
        self.sources.push(source(ty, hit));
        self.included.records.push(hit.record.clone());
    }
}

impl Keep {
    /// The parameters that have to be known of what is found.
    fn params(&self, ty: ResourceType) -> Vec<Param> {
        match self {
            Self::All => Vec::new(),
            Self::Named(_) => canonical::params(ty).to_vec(),
            Self::Naming(naming) => vec![naming.param()],
        }
    }
}

fn source(ty: ResourceType, hit: &Hit) -> Source {
    Source {
        ty,
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

/// The parameters of a type by which some includes are followed.
fn params(
    known: &Parameters,
    (includes, reverse): (&[Include], &[Include]),
    ty: ResourceType,
    applies: impl Fn(&Include) -> bool,
) -> Vec<Param> {
    let forward = includes.iter().filter(|include| applies(include));
    let mut params: Vec<Param> = forward
        .flat_map(|include| meant(known, include, ty))
        .map(|parameter| index::param(ty.name, parameter))
        .collect();
    let mut reverse = reverse.iter().filter(|include| applies(include));
    if canonical::has_url(ty) && reverse.any(|include| !referrers(known, include, ty).is_empty()) {
        params.extend(canonical::params(ty));
    }
    params.sort_unstable();
    params.dedup();
    params
}

/// The parameters of an include that may name resources of a type by their URL.
fn referrers(
    known: &Parameters,
    include: &Include,
    target: ResourceType,
) -> Vec<&'static SearchParameter> {
    let only = include.target.is_none_or(|only| only == target.name);
    let Some(ty) = include
        .source
        .and_then(ResourceType::named)
        .filter(|_| only)
    else {
        return Vec::new();
    };
    let mut parameters = meant(known, include, ty);
    let definitions = definitions::r4();
    parameters.retain(|parameter| {
        let mut names = parameter.targets.iter().map(|id| definitions.ty(*id).name);
        names.any(|name| name == target.name)
    });
    parameters
}

/// What the sources refer to, by type.
fn targets<'i>(
    known: &Parameters,
    includes: impl Iterator<Item = &'i Include>,
    sources: &[Source],
    seen: &HashSet<(Kind, Box<str>)>,
) -> Vec<Step> {
    let mut wanted: HashMap<Kind, Vec<Box<str>>> = HashMap::new();
    for include in includes {
        let only = include.target.map(Kind::named);
        for source in sources {
            let ty = source.ty;
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
    let step = |(kind, ids)| {
        Some(Step {
            ty: ResourceType::of(kind)?,
            filter: Filter::Ids(ids),
            keep: Keep::All,
        })
    };
    let mut steps: Vec<Step> = wanted.into_iter().filter_map(step).collect();
    steps.sort_by_key(|step| step.ty.name);
    steps
}

/// What the sources name by a canonical URL, by type.
fn canonicals<'i>(
    known: &Parameters,
    includes: impl Iterator<Item = &'i Include>,
    sources: &[Source],
) -> Vec<Step> {
    let mut wanted: BTreeMap<&'static str, Wanted> = BTreeMap::new();
    for include in includes {
        for source in sources {
            let ty = source.ty;
            for parameter in meant(known, include, ty) {
                let uris = canonical::uris(&source.rows, index::param(ty.name, parameter));
                if uris.is_empty() {
                    continue;
                }
                for target in with_urls(include, parameter) {
                    wanted.entry(target.name).or_default().add(&uris);
                }
            }
        }
    }
    let step = |(name, wanted): (&'static str, Wanted)| {
        let ty = ResourceType::named(name)?;
        Some(Step {
            ty,
            filter: wanted.filter(ty),
            keep: Keep::Named(wanted),
        })
    };
    wanted.into_iter().filter_map(step).collect()
}

/// The types to which a reference may lead by a canonical URL.
fn with_urls(include: &Include, parameter: &SearchParameter) -> Vec<ResourceType> {
    let definitions = definitions::r4();
    let names = parameter.targets.iter().map(|id| definitions.ty(*id).name);
    let names = names.filter(|name| include.target.is_none_or(|target| target == *name));
    let types = names.filter_map(ResourceType::named);
    types.filter(|ty| canonical::has_url(*ty)).collect()
}

/// What refers to the sources by the include's parameters.
fn referring(known: &Parameters, include: &Include, sources: &[Source]) -> Option<Step> {
    let ty = ResourceType::named(include.source?)?;
    let only = include.target.map(Kind::named);
    let mut tests = Vec::new();
    for parameter in meant(known, include, ty) {
        let param = index::param(ty.name, parameter);
        for source in sources {
            if only.is_none_or(|only| only == source.ty.kind) {
                let (kind, id) = (Some(source.ty.kind), source.id.clone());
                tests.push(Filter::Value(param, Test::Reference { kind, id }));
            }
        }
    }
    (!tests.is_empty()).then_some(Step {
        ty,
        filter: Filter::Any(tests),
        keep: Keep::All,
    })
}

/// What names the sources by their canonical URLs, for each parameter.
fn naming(known: &Parameters, include: &Include, sources: &[Source]) -> Vec<Step> {
    let Some(ty) = include.source.and_then(ResourceType::named) else {
        return Vec::new();
    };
    let mut all: BTreeMap<Param, Naming> = BTreeMap::new();
    for source in sources {
        let target = source.ty;
        for parameter in referrers(known, include, target) {
            let param = index::param(ty.name, parameter);
            let naming = all.entry(param).or_insert_with(|| Naming::by(param));
            naming.add(target, &source.rows);
        }
    }
    let step = |naming: Naming| {
        Some(Step {
            ty,
            filter: naming.filter()?,
            keep: Keep::Naming(naming),
        })
    };
    all.into_values().filter_map(step).collect()
}
