//! Which resource a canonical URL means
//! (<https://hl7.org/fhir/R4/references.html#canonical>): the one of that
//! version, or without a version the newest that is active.

use std::cmp::Ordering;

use salus_fhir::definitions;
use salus_fhir::reference::{Canonical, Reference};
use salus_store::{Filter, Hit, Query, Record, Snapshot, Test, ValueRef};

use crate::error::Error;
use crate::fhir::rows;
use crate::fhir::types::ResourceType;

/// So many resources of one URL are looked at, newest first.
const VERSIONS_MAX: usize = 100;

/// The resource of a type that a canonical URL or a reference means, among
/// those that a filter lets see.
pub(super) async fn resource(
    snapshot: &dyn Snapshot,
    ty: ResourceType,
    canonical: &str,
    visible: &Filter,
    own_bases: &[&str],
) -> Result<Option<Record>, Error> {
    let local = Reference::parse(canonical, own_bases).and_then(Reference::local);
    if let Some(local) = local {
        if local.ty != ty.name || local.version.is_some() {
            return Ok(None);
        }
        let by_id = Filter::Ids(vec![local.id.into()]);
        let found = snapshot.find(&query(ty, by_id, visible)).await?;
        return Ok(found.hits.into_iter().next().map(|hit| hit.record));
    }
    let asked = Canonical::parse(canonical);
    let Some(url) = definitions::r4().search_parameter(ty.name, "url") else {
        return Ok(None);
    };
    let by_url = Filter::Value(rows::param(ty.name, url), Test::UriIs(asked.url.into()));
    let found = snapshot.find(&query(ty, by_url, visible)).await?;
    let mut best: Option<Candidate> = None;
    for hit in found.hits {
        let candidate = Candidate::of(hit);
        let fits = asked
            .version
            .is_none_or(|version| *candidate.version == *version);
        if fits
            && best
                .as_ref()
                .is_none_or(|best| candidate.is_better_than(best))
        {
            best = Some(candidate);
        }
    }
    Ok(best.map(|candidate| candidate.record))
}

fn query(ty: ResourceType, filter: Filter, visible: &Filter) -> Query {
    let parameters = definitions::r4().search_parameters(ty.name).iter();
    let shown = parameters.filter(|parameter| matches!(parameter.code, "status" | "version"));
    Query {
        kind: ty.kind,
        filter: if *visible == Filter::Everything {
            filter
        } else {
            Filter::All(vec![visible.clone(), filter])
        },
        sort: Vec::new(),
        limit: VERSIONS_MAX,
        after: None,
        rows: shown.map(|shown| rows::param(ty.name, shown)).collect(),
    }
}

struct Candidate {
    record: Record,
    version: Box<str>,
    is_active: bool,
}

impl Candidate {
    fn of(hit: Hit) -> Self {
        let (mut version, mut is_active) = ("".into(), false);
        for row in &hit.rows {
            if let ValueRef::Token { code, system } = row.value.borrow() {
                match system {
                    "http://hl7.org/fhir/publication-status" => is_active = code == "active",
                    _ => version = code.into(),
                }
            }
        }
        Self {
            record: hit.record,
            version,
            is_active,
        }
    }

    /// Those that are compared come newest first.
    fn is_better_than(&self, other: &Self) -> bool {
        let by_version = || compare(&self.version, &other.version);
        let order = self.is_active.cmp(&other.is_active).then_with(by_version);
        order.is_gt()
    }
}

/// Versions part by part, numbers as numbers: `2.9` comes before `2.10`.
fn compare(one: &str, other: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(u64, String)> {
        let parts = version.split(['.', '-', '+']);
        parts
            .map(|part| (part.parse().unwrap_or(0), part.to_owned()))
            .collect()
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn versions_are_in_the_order_of_their_numbers() {
        let versions = ["", "1", "1.0", "2.9", "2.10", "2018-08-12", "2026-04-01"];
        for two in versions.windows(2) {
            assert!(compare(two[0], two[1]).is_lt(), "{two:?}");
        }
    }
}
