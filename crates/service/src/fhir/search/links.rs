//! Chains and `_has` over canonical URLs
//! (<https://hl7.org/fhir/R4/search.html#chaining>,
//! <https://hl7.org/fhir/R4/references.html#canonical>).
//!
//! A store follows references to records, and knows no URLs. So before the
//! search becomes a query, what satisfies the inner condition is found, and the
//! link becomes a condition on URLs, beside the one on references. The inner
//! condition is the one of the literal link, with the caller's grant in it.

use salus_auth::{Action, Target};
use salus_fhir::definitions::SearchParameter;
use salus_fhir::issue::{Issue, IssueType};
use salus_fhir::search::{Clause, Extractor};
use salus_store::{Filter, Hit, Kind, Param, Query, Snapshot, Test};

use super::canonical::{self, Naming, Wanted};
use super::criteria::Criteria;
use crate::context::Context;
use crate::error::{Error, Kind as ErrorKind};
use crate::fhir::terms::Terms;
use crate::fhir::types::ResourceType;

/// More resources than these are not followed by their URLs.
const FOLLOWED_MAX: usize = 1000;

/// A link that may be a canonical URL.
pub(crate) struct Link<'c> {
    /// Whose condition it is.
    ty: ResourceType,
    reference: &'static SearchParameter,
    way: Way,
    /// The type at its other end.
    other: &'static str,
    clause: &'c Clause,
}

#[derive(Clone, Copy)]
enum Way {
    /// A chain.
    To,
    /// `_has`.
    From,
}

impl<'c> Link<'c> {
    /// Whether it is worth a closer look.
    pub(crate) fn may_be_in(name: &str, value: &str) -> bool {
        let is_filter = name == "_filter" || name.ends_with("._filter");
        let is_chain = name.contains('.') || name.starts_with("_has:");
        is_chain || is_filter && value.contains(['.', '['])
    }

    /// Adds those of a clause, the inner ones first.
    pub(crate) fn put(cx: &Context, ty: ResourceType, clause: &'c Clause, all: &mut Vec<Self>) {
        match clause {
            Clause::Chain { reference, targets } => {
                for (other, clause) in targets {
                    let link = (*reference, Way::To, *other, clause);
                    Self::put_one(cx, ty, link, all);
                }
            }
            Clause::Has {
                ty: other,
                reference,
                clause,
            } => Self::put_one(cx, ty, (*reference, Way::From, *other, clause), all),
            Clause::All(clauses) | Clause::Any(clauses) => {
                clauses.iter().for_each(|it| Self::put(cx, ty, it, all));
            }
            Clause::Not(clause) => Self::put(cx, ty, clause, all),
            Clause::Own(_) | Clause::Listed(_) => {}
        }
    }

    fn put_one(
        cx: &Context,
        ty: ResourceType,
        (reference, way, other, clause): (&'static SearchParameter, Way, &'static str, &'c Clause),
        all: &mut Vec<Self>,
    ) {
        let Some(end) = ResourceType::named(other) else {
            return;
        };
        Self::put(cx, end, clause, all);
        let (from, to) = match way {
            Way::To => (ty, end),
            Way::From => (end, ty),
        };
        let of_urls = |it: &Extractor| it.is_canonical(reference.code);
        if canonical::has_url(to)
            && !canonical::hides_url(cx.subject.hidden(), to)
            && cx.parameters.extractor(from.name).is_some_and(of_urls)
        {
            all.push(Self {
                ty,
                reference,
                way,
                other,
                clause,
            });
        }
    }

    /// Finds out what is at its other end. What is wrong with its condition is
    /// said when the search is understood.
    pub(crate) async fn find(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        terms: &mut Terms,
    ) -> Result<(), Error> {
        let Ok(literal) = self.literal(&mut Criteria::of(cx, terms)) else {
            return Ok(());
        };
        if terms.link(self.ty, &literal).is_some() {
            return Ok(());
        }
        let by_url = match &literal {
            Filter::Refers { filter, .. } | Filter::Referred { filter, .. }
                if **filter == Filter::Nothing =>
            {
                Filter::Nothing
            }
            Filter::Refers {
                param,
                kind,
                filter,
            } => naming(snapshot, *param, *kind, filter).await?,
            Filter::Referred {
                kind,
                param,
                filter,
            } => {
                let referrers = Referrers {
                    snapshot,
                    kind: *kind,
                    param: *param,
                    filter,
                };
                referrers.name(cx, self.ty).await?
            }
            Filter::Everything
            | Filter::Nothing
            | Filter::All(_)
            | Filter::Any(_)
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..) => Filter::Nothing,
        };
        terms.add_link(self.ty, literal, by_url);
        Ok(())
    }

    fn literal(&self, criteria: &mut Criteria<'_>) -> Result<Filter, Issue> {
        match self.way {
            Way::To => criteria.refers(self.ty, self.reference, (self.other, self.clause)),
            Way::From => criteria.referred(self.ty, (self.other, self.reference), self.clause),
        }
    }
}

/// What names, by a parameter, a resource of some kind that satisfies a filter.
async fn naming(
    snapshot: &dyn Snapshot,
    param: Param,
    kind: Kind,
    filter: &Filter,
) -> Result<Filter, Error> {
    let Some(ty) = ResourceType::of(kind) else {
        return Ok(Filter::Nothing);
    };
    let mut naming = Naming::by(param);
    for hit in definitions(snapshot, ty, filter.clone()).await? {
        naming.add(ty, &hit.rows);
    }
    Ok(naming.of_versions().unwrap_or(Filter::Nothing))
}

/// The resources of a type that have a URL and satisfy a filter, with URLs and
/// versions.
async fn definitions(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    filter: Filter,
) -> Result<Vec<Hit>, Error> {
    let params = canonical::params(ty);
    let [url, _] = params;
    let query = Query {
        kind: ty.kind,
        filter: Filter::All(vec![Filter::Value(url, Test::Present), filter]),
        sort: Vec::new(),
        limit: FOLLOWED_MAX,
        after: None,
        rows: params.to_vec(),
    };
    let found = snapshot.find(&query).await?;
    match found.next {
        None => Ok(found.hits),
        Some(_) => Err(too_many(ty)),
    }
}

fn too_many(ty: ResourceType) -> Error {
    let details = format!(
        "the search follows the canonical URLs of more than {FOLLOWED_MAX} resources of type {}; \
         narrow the condition in the chain or in _has",
        ty.name
    );
    let issue = Issue::error(IssueType::TooCostly, "http", details);
    Error::with_issues(ErrorKind::Unprocessable, vec![issue])
}

/// Resources that satisfy a filter and name others by a parameter.
struct Referrers<'r> {
    snapshot: &'r dyn Snapshot,
    kind: Kind,
    param: Param,
    filter: &'r Filter,
}

impl Referrers<'_> {
    /// What they name of a type: few by the URLs that they hold. When they are
    /// many, each that may be named is asked for whether one of them does.
    async fn name(&self, cx: &Context, ty: ResourceType) -> Result<Filter, Error> {
        let names = Filter::Value(self.param, Test::Present);
        let (hits, is_all) = self.some(names, FOLLOWED_MAX).await?;
        let mut wanted = Wanted::default();
        for hit in &hits {
            wanted.add(&canonical::uris(&hit.rows, self.param));
        }
        if is_all && wanted.len() <= FOLLOWED_MAX {
            return Ok(wanted.of_versions(ty));
        }
        let target = Target::Type(ty.name);
        let grant = salus_auth::authorize(&cx.subject, cx.scope, Action::Search, target);
        let Ok(grant) = grant else {
            return Ok(Filter::Nothing);
        };
        let mut ids = Vec::new();
        for hit in definitions(self.snapshot, ty, grant.filter().clone()).await? {
            let mut naming = Naming::by(self.param);
            naming.add(ty, &hit.rows);
            let is_named = match naming.of_versions() {
                _ if hits.iter().any(|by| naming.accepts(&by.rows)) => true,
                Some(names) => !self.some(names, 1).await?.0.is_empty(),
                None => false,
            };
            if is_named {
                ids.push(hit.record.id);
            }
        }
        Ok(Filter::Ids(ids))
    }

    /// At most so many of them, of which something holds, and whether these are all.
    async fn some(&self, holds: Filter, limit: usize) -> Result<(Vec<Hit>, bool), Error> {
        let query = Query {
            kind: self.kind,
            filter: Filter::All(vec![self.filter.clone(), holds]),
            sort: Vec::new(),
            limit,
            after: None,
            rows: vec![self.param],
        };
        let found = self.snapshot.find(&query).await?;
        Ok((found.hits, found.next.is_none()))
    }
}
