//! What a drill checks, each with its outcome: computing only, on what was restored and what the
//! running store, the archive and earlier reports say of it.

use std::collections::{BTreeMap, BTreeSet};

use salus_service::drill::{Difference, Sample, compare};
use salus_service::fhir::types::ResourceType;
use salus_service::restored::Given;
use salus_store::{Kind, Scope};
use salus_store_embedded::Counts;
use serde_json::{Value, json};

/// Faults that a report lists of one check.
const LISTED_MAX: usize = 20;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// There was nothing to hold it against.
    NotChecked,
}

/// A check.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) outcome: Outcome,
    /// What is wrong, or against what it was not checked.
    pub(super) said: Vec<String>,
}

impl Check {
    /// A check that fails if there are faults.
    pub(super) fn of(name: &'static str, faults: Vec<String>) -> Self {
        let outcome = match faults.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed,
        };
        Self {
            name,
            outcome,
            said: faults,
        }
    }

    pub(super) fn none(name: &'static str, why: &str) -> Self {
        Self {
            name,
            outcome: Outcome::NotChecked,
            said: vec![why.to_owned()],
        }
    }

    pub(super) fn json(&self) -> Value {
        let outcome = match self.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::NotChecked => "not checked",
        };
        let mut check = json!({"name": self.name, "outcome": outcome});
        if !self.said.is_empty() {
            let listed: Vec<_> = self.said.iter().take(LISTED_MAX).collect();
            check["said"] = json!(listed);
            check["more"] = self.said.len().saturating_sub(LISTED_MAX).into();
        }
        check
    }
}

/// What the archive lacks. Of blobs the number is told and no names: somebody may have chosen
/// what one is called.
pub(super) fn archive(damaged: &[String], listed: &[String]) -> Vec<String> {
    let blobs = damaged.iter().filter(|one| one.starts_with("the blob "));
    let blobs = blobs.count();
    let segments = damaged.iter().filter(|one| !one.starts_with("the blob "));
    let mut faults: Vec<String> = segments.cloned().collect();
    if faults.is_empty() {
        // The same, from the names alone.
        faults.extend_from_slice(listed);
    }
    if blobs > 0 {
        faults.push(format!("{blobs} blobs are missing or damaged"));
    }
    faults
}

/// What a type is called; our own kinds are told together.
pub(super) fn name(kind: Kind) -> &'static str {
    ResourceType::of(kind).map_or("other", |ty| ty.name)
}

type Kinds = BTreeMap<(Scope, Kind), Counts>;

/// Where two stores do not hold as many records and versions.
pub(super) fn counts(expected: &Kinds, restored: &Kinds) -> Vec<String> {
    let all: BTreeSet<_> = expected.keys().chain(restored.keys()).collect();
    let mut faults = Vec::new();
    for of in all {
        let expected = expected.get(of).copied().unwrap_or_default();
        let restored = restored.get(of).copied().unwrap_or_default();
        if expected != restored {
            let (scope, kind) = (of.0.0, name(of.1));
            faults.push(format!(
                "{kind} of project number {scope}: {} records and {} versions were restored, and there were {} and {}",
                restored.records, restored.versions, expected.records, expected.versions
            ));
        }
    }
    faults
}

/// Whether every record that there is was met when rows were given, or is without content.
pub(super) fn indexed(given: &Given, lost: usize, restored: &Kinds) -> Vec<String> {
    let mut faults = Vec::new();
    let there: u64 = restored.values().map(|counts| counts.records).sum();
    let without = (lost + given.contained.len()) as u64;
    let met = given.records + given.unreadable + given.failed + without;
    if met != there {
        faults.push(format!(
            "{there} records are there, and {met} were indexed or are unreadable"
        ));
    }
    if given.failed > 0 {
        faults.push(format!("{} records cannot be indexed", given.failed));
    }
    faults
}

/// The counts by type, for people.
pub(super) fn by_type(kinds: &Kinds) -> BTreeMap<&'static str, Counts> {
    let mut types: BTreeMap<&'static str, Counts> = BTreeMap::new();
    for ((_, kind), counts) in kinds {
        let of = types.entry(name(*kind)).or_default();
        of.records += counts.records;
        of.versions += counts.versions;
    }
    types
}

/// The checks of records that were chosen, and of searches for them.
pub(super) fn samples(live: Option<&[Sample]>, restored: &[Sample]) -> [Check; 2] {
    let lost = restored.iter().filter(|sample| !sample.finds_itself);
    let mut searches = told(lost.map(|sample| {
        let kind = name(Kind(sample.kind));
        format!("a {kind} is not found by its own values")
    }));
    let Some(live) = live else {
        let why = "no running store shows this point";
        return [Check::none("records", why), Check::of("searches", searches)];
    };
    let Difference {
        records,
        searches: other,
    } = compare(live, restored);
    let records = records.iter().map(|kind| {
        let kind = name(*kind);
        format!("a {kind} is not what it is in the running store")
    });
    searches.extend(told(other.iter().map(|(kind, code)| {
        let kind = name(*kind);
        format!("{kind}?{code}= is not what it is in the running store")
    })));
    [
        Check::of("records", told(records)),
        Check::of("searches", searches),
    ]
}

/// Each text once, with how often it was said.
fn told(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for text in texts {
        *counted.entry(text).or_default() += 1;
    }
    let told = counted.into_iter().map(|(text, times)| match times {
        1 => text,
        times => format!("{text} ({times} times)"),
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENT: Kind = Kind::named("Patient");

    fn kinds(records: u64, versions: u64) -> Kinds {
        let counts = Counts { records, versions };
        [((Scope(1), PATIENT), counts)].into()
    }

    #[test]
    fn what_is_missing_is_counted_by_type() {
        assert!(counts(&kinds(2, 3), &kinds(2, 3)).is_empty());
        let [fault] = &counts(&kinds(2, 3), &kinds(1, 3))[..] else {
            panic!("not one fault")
        };
        assert!(fault.starts_with("Patient of project number 1: 1 records"));
        assert_eq!(counts(&Kinds::new(), &kinds(1, 1)).len(), 1);
        assert_eq!(by_type(&kinds(2, 3))["Patient"].records, 2);
    }

    #[test]
    fn blobs_are_counted_and_segments_named() {
        let damaged = ["segments/1: it is missing", "the blob binary-a: x"].map(str::to_owned);
        let faults = archive(&damaged, &damaged[..1]);
        assert_eq!(
            faults,
            [
                "segments/1: it is missing",
                "1 blobs are missing or damaged"
            ]
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let check = Check::of("counts", vec!["x".to_owned(); 30]).json();
        assert_eq!(check["said"].as_array().unwrap().len(), 20);
        assert_eq!(
            (&check["more"], &check["outcome"]),
            (&json!(10), &json!("failed"))
        );
        assert_eq!(Check::of("a", Vec::new()).json()["outcome"], "passed");
    }
}
