//! What searches ask of terminology and of hierarchies: the codes of value
//! sets (`:in`, `:not-in`), codes above and below others, and records above and
//! below others (<https://hl7.org/fhir/R4/search.html#modifiers>).
//!
//! It is found out before the search becomes a query, in the snapshot that the
//! search shows. A value set or code system that the search names must be one
//! that the caller may read; otherwise there is none. What that one is composed
//! of the server reads for itself: it only gives it its meaning.

mod cache;
mod canonical;
mod evident;
mod source;
mod tree;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use salus_fhir::definitions::SearchKind;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Asking, Clause, Criterion, Modifier, Operand, Search};
use salus_store::{At, Filter, Param, Seq, Snapshot, Test, Tokens};
use salus_terminology::{Direction, Error as Unknown};

use super::search::Link;
use super::types::ResourceType;
use crate::Service;
use crate::context::Context;
use crate::error::{Error, Kind};

pub(crate) use cache::Cache;
use source::Source;

/// Something that has to be known before a search can be a query.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    /// The codes of a value set, by canonical URL or reference.
    Set(Box<str>),
    /// A code of a system, and all above or below it.
    Codes(Direction, Box<str>, Box<str>),
    /// The records above or below one of a type, by its id.
    Records(Direction, &'static str, Box<str>),
}
salus_phi::guard!(Wanted);

/// What was found out about one thing.
#[derive(Clone)]
pub(crate) enum Known {
    /// Codes.
    Codes(Arc<Codes>),
    /// Ids of records, without the one asked about.
    Records(Arc<[Box<str>]>),
    /// The caller may not search the type.
    Denied,
    /// There is no answer.
    Unknown(Unknown),
}
salus_phi::guard!(Known);

/// The codes that an answer has.
pub(crate) struct Codes {
    tokens: Tokens,
    /// Systems of which any code is in.
    systems: Vec<Box<str>>,
}
salus_phi::guard!(Codes);

impl Codes {
    /// A record has one of them under a parameter.
    pub(crate) fn filter(&self, param: Param) -> Filter {
        let whole = self.systems.iter().map(|system| Test::Token {
            system: Some(system.clone()),
            code: None,
        });
        let mut tests: Vec<Test> = whole.collect();
        if !self.tokens.is_empty() || tests.is_empty() {
            tests.push(Test::Tokens(self.tokens.clone()));
        }
        let mut filters: Vec<Filter> = tests
            .into_iter()
            .map(|test| Filter::Value(param, test))
            .collect();
        match filters.len() {
            1 => filters.remove(0),
            _ => Filter::Any(filters),
        }
    }
}

/// What was found out for a search.
#[derive(Default)]
pub(crate) struct Terms {
    known: HashMap<Wanted, Known>,
    /// Links from or to resources of a type by reference, each with what finds
    /// the same by canonical URL.
    links: Vec<(ResourceType, Filter, Filter)>,
    /// The point that it was read at, if anything was.
    seq: Option<Seq>,
}

impl Terms {
    /// What is known of something that the search wants.
    pub(crate) fn known(&self, wanted: &Wanted) -> Option<&Known> {
        self.known.get(wanted)
    }

    /// A link of resources of a type by reference, or by what else is known of it.
    pub(crate) fn followed(&self, ty: ResourceType, literal: Filter) -> Filter {
        match self.link(ty, &literal) {
            None | Some(Filter::Nothing) => literal,
            Some(by_url) => Filter::Any(vec![literal, by_url.clone()]),
        }
    }

    /// What finds a link by canonical URL, if that was found out.
    pub(crate) fn link(&self, ty: ResourceType, literal: &Filter) -> Option<&Filter> {
        let mut links = self.links.iter();
        let found = links.find(|(of, known, _)| *of == ty && known == literal);
        found.map(|(.., by_url)| by_url)
    }

    /// Adds what finds a link by canonical URL.
    pub(crate) fn add_link(&mut self, ty: ResourceType, literal: Filter, by_url: Filter) {
        self.links.push((ty, literal, by_url));
    }

    /// Where the search has to look, so that it agrees with what was read.
    pub(crate) fn at(&self, otherwise: At) -> At {
        self.seq.map_or(otherwise, At::Seq)
    }

    /// Finds out what searches for these types want.
    pub(crate) fn find<'a>(
        cx: &'a Context,
        snapshot: &'a dyn Snapshot,
        cache: &'a Cache,
        wanted: Vec<Wanted>,
    ) -> BoxFuture<'a, Result<Self, Error>> {
        Box::pin(async move {
            let mut terms = Self {
                known: HashMap::with_capacity(wanted.len()),
                links: Vec::new(),
                seq: Some(snapshot.seq()),
            };
            if wanted.is_empty() {
                return Ok(terms);
            }
            let source = Source::new(cx, snapshot, cache).await?;
            for one in wanted {
                if terms.known.contains_key(&one) {
                    continue;
                }
                let known = match &one {
                    Wanted::Records(direction, ty, id) => {
                        tree::records(cx, snapshot, *direction, ty, id).await?
                    }
                    Wanted::Set(_) | Wanted::Codes(..) => source.codes(&one).await?,
                };
                if let Known::Unknown(error) = &known
                    && error.is_costly()
                {
                    return Err(too_costly(*error));
                }
                terms.known.insert(one, known);
            }
            Ok(terms)
        })
    }
}

impl Service {
    /// What a search for these types has to know beforehand: nothing, for most.
    pub(crate) async fn terms(
        &self,
        cx: &Context,
        at: At,
        types: &[ResourceType],
        parameters: &[(String, String)],
    ) -> Result<Terms, Error> {
        if !parameters.iter().any(|(name, value)| may_want(name, value)) {
            return Ok(Terms::default());
        }
        let searches = searches(cx, types, parameters);
        let (mut wanted, mut links) = (Vec::new(), Vec::new());
        for (ty, search) in &searches {
            for (_, clause) in &search.clauses {
                put_wanted(ty.name, clause, &mut wanted);
                Link::put(cx, *ty, clause, &mut links);
            }
        }
        if wanted.is_empty() && links.is_empty() {
            return Ok(Terms::default());
        }
        let hidden = cx.subject.hidden();
        let defines = |ty: &str| !hidden.on(ty).is_empty();
        if !wanted.is_empty() && (defines("ValueSet") || defines("CodeSystem")) {
            let details = "searches by value sets and hierarchies of codes tell of elements that \
                           are hidden from you";
            return Err(Error::new(Kind::Forbidden, details));
        }
        let snapshot = self.store.snapshot(cx.scope, at).await?;
        let mut terms = Terms::find(cx, &*snapshot, &self.terms, wanted).await?;
        for link in links {
            link.find(cx, &*snapshot, &mut terms).await?;
        }
        Ok(terms)
    }
}

/// Whether it is worth a closer look.
fn may_want(name: &str, value: &str) -> bool {
    let modifiers = [":in", ":not-in", ":above", ":below"];
    modifiers.iter().any(|modifier| name.ends_with(modifier))
        || Link::may_be_in(name, value)
        || is_filter(name, value)
}

fn is_filter(name: &str, value: &str) -> bool {
    let mut words = value.split_whitespace();
    name == "_filter" && words.any(|word| matches!(word, "in" | "ni" | "ss" | "sb"))
}

/// The parameters as searches for these types.
fn searches(
    cx: &Context,
    types: &[ResourceType],
    parameters: &[(String, String)],
) -> Vec<(ResourceType, Search)> {
    let asking = Asking {
        own_bases: &[&cx.base],
        parameters: &cx.parameters,
        hidden: cx.subject.hidden(),
        now_ms: cx.now_ms,
    };
    let search = |ty: &ResourceType| (*ty, Search::parse(ty.name, parameters, &asking).0);
    types.iter().map(search).collect()
}

fn put_wanted(ty: &str, clause: &Clause, all: &mut Vec<Wanted>) {
    match clause {
        Clause::Own(criterion) => {
            let values = criterion.values.iter();
            all.extend(values.filter_map(|operand| Wanted::of(ty, criterion, operand)?.ok()));
        }
        Clause::Chain { targets, .. } => {
            for (target, clause) in targets {
                put_wanted(target, clause, all);
            }
        }
        Clause::Has { ty, clause, .. } => put_wanted(ty, clause, all),
        Clause::All(clauses) | Clause::Any(clauses) => {
            clauses
                .iter()
                .for_each(|clause| put_wanted(ty, clause, all));
        }
        Clause::Not(clause) => put_wanted(ty, clause, all),
        Clause::Listed(_) => {}
    }
}

impl Wanted {
    /// What a value of a criterion on a type asks for; `None` if that is
    /// nothing of this kind.
    ///
    /// # Errors
    /// How the value should have been.
    pub(crate) fn of(
        ty: &str,
        criterion: &Criterion,
        operand: &Operand,
    ) -> Option<Result<Self, &'static str>> {
        let modifier = criterion.modifier?;
        if let (Modifier::In | Modifier::NotIn, Operand::Uri(set)) = (modifier, operand) {
            return Some(Ok(Self::Set(set.clone())));
        }
        let direction = if modifier == Modifier::Above {
            Direction::Above
        } else if modifier == Modifier::Below {
            Direction::Below
        } else {
            return None;
        };
        match (criterion.parameter.kind, operand) {
            (SearchKind::Token, Operand::Token { system, code }) => {
                let (system, code) = (system.as_deref(), code.as_deref());
                Some(codes(ty, criterion, direction, system, code))
            }
            (SearchKind::Reference, Operand::Reference { ty, id, version }) => {
                Some(match (ty, version) {
                    (Some(ty), None) if tree::parent(ty).is_some() => {
                        Ok(Self::Records(direction, ty, id.clone()))
                    }
                    (Some(_), None) => Err("must be of a type that has a hierarchy"),
                    _ => Err("must be Type/id"),
                })
            }
            _ => None,
        }
    }
}

fn codes(
    ty: &str,
    criterion: &Criterion,
    direction: Direction,
    system: Option<&str>,
    code: Option<&str>,
) -> Result<Wanted, &'static str> {
    let code = code.filter(|code| !code.is_empty());
    let code = code.ok_or("must be system|code, or a code whose system is evident")?;
    let system = match system {
        Some(system) => Some(system).filter(|system| !system.is_empty()),
        None => evident::system(ty, criterion.parameter),
    };
    let system =
        system.ok_or("must be system|code: the system of a code alone is not evident here")?;
    Ok(Wanted::Codes(direction, system.into(), code.into()))
}

fn too_costly(error: Unknown) -> Error {
    let issue = Issue::error(IssueType::TooCostly, "http", error.to_string());
    Error::with_issues(Kind::Unprocessable, vec![issue])
}
