//! The published examples and the synthetic patients, where they are at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::resource_within;
use crate::json::{Document, Limits, Node};

/// The folder of published data, or a message that it is not there.
pub(crate) fn shared(inside: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("SALUS_SHARED").map_or(root, PathBuf::from);
    let path = folder.join(inside);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

/// The faults of a document, a line each; `strict` looks at more than a write does.
fn faults(text: Vec<u8>, strict: bool) -> Vec<String> {
    let document = match Document::parse(text, &Limits::default()) {
        Ok(document) => document,
        Err(error) => return vec![error.to_string()],
    };
    let limits = super::Limits {
        reference_targets: strict,
        ..super::Limits::default()
    };
    match resource_within(document.root(), &limits) {
        Ok(_) => Vec::new(),
        Err(issues) => issues.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn synthetic_patients_are_right() {
    let Some(folder) = shared("data/synthea") else {
        return;
    };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let found = faults(std::fs::read(&path).unwrap(), false);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

/// Hands over each published example: its name and its text.
pub(crate) fn each_example(mut hand_over: impl FnMut(&str, Vec<u8>)) -> bool {
    let Some(path) = shared("data/fhir-packages/hl7.fhir.r4.examples-4.0.1.tgz") else {
        return false;
    };
    let packed = std::fs::File::open(path).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let name = path.strip_prefix("package/").unwrap_or(&path);
        if name.ends_with(".json") && name != "package.json" && !name.starts_with('.') {
            let mut text = Vec::new();
            entry.read_to_end(&mut text).unwrap();
            hand_over(name, text);
        }
    }
    true
}

#[test]
fn published_examples_are_right() {
    let (mut all, mut wrong) = (0, BTreeMap::new());
    let found = each_example(|name, text| {
        all += 1;
        let found = faults(text, true);
        if !found.is_empty() {
            wrong.insert(name.to_owned(), found);
        }
    });
    if !found {
        return;
    }
    assert!(all > 5000, "{all}");
    for (name, reason) in FAULTY {
        assert!(
            wrong.remove(*name).is_some(),
            "{name} is right now: {reason}"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Published examples that break the standard, and how.
const FAULTY: &[(&str, &str)] = &[
    (
        "ActivityDefinition-blood-tubes-supply.json",
        "its narrative shows nothing (txt-2)",
    ),
    (
        "ActivityDefinition-heart-valve-replacement.json",
        "its narrative shows nothing (txt-2)",
    ),
    (
        "EventDefinition-example.json",
        "its narrative shows nothing (txt-2)",
    ),
    (
        "Questionnaire-zika-virus-exposure-assessment.json",
        "its narrative shows nothing (txt-2)",
    ),
    (
        "Bundle-dataelements.json",
        "has entries with the same fullUrl (bdl-7)",
    ),
    (
        "DeviceMetric-example.json",
        "refers to a type that the element does not allow",
    ),
    (
        "DeviceUseStatement-example.json",
        "refers to a type that the element does not allow",
    ),
    ("ImplementationGuide-fhir.json", "has no name and no status"),
    (
        "MedicationRequest-medrx0301.json",
        "refers to a type that the element does not allow",
    ),
    (
        "Observation-clinical-gender.json",
        "refers to a type that the element does not allow",
    ),
    ("Questionnaire-qs1.json", "an item has no linkId"),
    (
        "SearchParameter-codesystem-extensions-CodeSystem-author.json",
        "has no base",
    ),
    (
        "SearchParameter-codesystem-extensions-CodeSystem-effective.json",
        "has no base",
    ),
    (
        "SearchParameter-codesystem-extensions-CodeSystem-end.json",
        "has no base",
    ),
    (
        "SearchParameter-codesystem-extensions-CodeSystem-keyword.json",
        "has no base",
    ),
    (
        "SearchParameter-codesystem-extensions-CodeSystem-workflow.json",
        "has no base",
    ),
    (
        "SearchParameter-questionnaireresponse-extensions-QuestionnaireResponse-item-subject.json",
        "its id is longer than 64 characters",
    ),
    (
        "SearchParameter-valueset-extensions-ValueSet-author.json",
        "has no base",
    ),
    (
        "SearchParameter-valueset-extensions-ValueSet-effective.json",
        "has no base",
    ),
    (
        "SearchParameter-valueset-extensions-ValueSet-end.json",
        "has no base",
    ),
    (
        "SearchParameter-valueset-extensions-ValueSet-keyword.json",
        "has no base",
    ),
    (
        "SearchParameter-valueset-extensions-ValueSet-workflow.json",
        "has no base",
    ),
    (
        "StructureDefinition-Definition.json",
        "is not abstract and has no base (sdf-4)",
    ),
    (
        "StructureDefinition-Event.json",
        "is not abstract and has no base (sdf-4)",
    ),
    (
        "StructureDefinition-FiveWs.json",
        "is not abstract and has no base (sdf-4)",
    ),
    (
        "StructureDefinition-Request.json",
        "is not abstract and has no base (sdf-4)",
    ),
    ("ig-r4.json", "has no name and no status"),
];

/// One right example of each type is damaged in every member in every way
/// that must be noticed.
#[test]
fn damage_to_any_member_is_noticed() {
    for (kind, text) in &one_of_each_type() {
        let text = std::str::from_utf8(text).unwrap();
        let document = Document::parse(text.into(), &Limits::default()).unwrap();
        for index in 0..document.nodes_len() {
            damage(kind, text, document.node(index).unwrap());
        }
    }
}

/// A right example of each type, as far as there are short ones.
fn one_of_each_type() -> BTreeMap<String, Vec<u8>> {
    let mut chosen = BTreeMap::new();
    let found = each_example(|name, text| {
        let kind = name.split('-').next().unwrap_or_default();
        if (500..6000).contains(&text.len())
            && !FAULTY.iter().any(|(faulty, _)| *faulty == name)
            && !chosen.contains_key(kind)
        {
            chosen.insert(kind.to_owned(), text);
        }
    });
    assert!(!found || chosen.len() > 100, "{}", chosen.len());
    chosen
}

/// Without any one of its members an example may break invariants. Those that
/// the members decide are evaluated too in tests, and must come out the same.
#[test]
fn what_members_decide_is_what_evaluation_finds() {
    let mut broken = BTreeSet::new();
    let chosen = one_of_each_type();
    for text in chosen.values() {
        let text = std::str::from_utf8(text).unwrap();
        let document = Document::parse(text.into(), &Limits::default()).unwrap();
        let members = (0..document.nodes_len()).filter_map(|index| document.node(index));
        for member in members.filter(|node| node.key().is_some()) {
            let found = faults(without(text, member).into_bytes(), false);
            let rules = found
                .iter()
                .filter_map(|fault| fault.split_once("invariant "));
            broken.extend(rules.map(|(_, rule)| rule.to_owned()));
        }
    }
    assert!(chosen.is_empty() || broken.len() > 30, "{broken:#?}");
}

fn without(text: &str, member: Node<'_>) -> String {
    let span = member.member_span();
    let (before, after) = (text[..span.start].trim_end(), text[span.end..].trim_start());
    match (before.strip_suffix(','), after.strip_prefix(',')) {
        (Some(before), _) => format!("{before}{after}"),
        (None, Some(after)) => format!("{before}{after}"),
        (None, None) => format!("{before}{after}"),
    }
}

/// Renames a member, and gives it values that no element has.
#[track_caller]
fn damage(kind: &str, text: &str, member: Node<'_>) {
    let Some(key) = member.key() else {
        return;
    };
    let name_end = member.member_span().start + 1 + key.len();
    let renamed = format!("{}X{}", &text[..name_end], &text[name_end..]);
    let (before, after) = (&text[..member.span().start], &text[member.span().end..]);
    let replaced = ["null", "{}", "[]", "[null]", "\"\"", "[[]]", "[{}]"];
    let replaced = replaced.map(|value| format!("{before}{value}{after}"));
    for damaged in std::iter::once(renamed).chain(replaced) {
        let found = faults(damaged.clone().into_bytes(), true);
        assert!(!found.is_empty(), "{kind} {key}: {damaged}");
        assert!(
            found
                .iter()
                .all(|fault| fault.starts_with(kind) || key == "resourceType")
        );
    }
}
