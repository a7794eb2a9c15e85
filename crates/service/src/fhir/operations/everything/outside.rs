//! What the resources of a compartment refer to outside of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use salus_fhir::definitions;
use salus_fhir::reference::Local;
use salus_store::{Content, Kind, Record, SealKey};

use crate::context::Context;
use crate::fhir::search::hides_compartment;
use crate::fhir::types::ResourceType;

/// What the resources of a compartment refer to outside of it.
pub(super) struct Outside<'c> {
    base: &'c str,
    /// The types of which a patient's records are.
    of_patients: HashSet<Kind>,
    /// Those of which it is hidden whose they are.
    of_somebody: HashSet<Kind>,
    /// The key of the patient whose records are shown.
    patient: Option<SealKey>,
    /// What is shown, or was asked for.
    known: HashMap<Kind, HashSet<Box<str>>>,
    /// What was referred to and not known then.
    named: BTreeMap<&'static str, HashSet<Box<str>>>,
}

impl<'c> Outside<'c> {
    /// What the records of this patient refer to; of no patient, those of all.
    pub(super) fn of(cx: &'c Context, patient: Option<SealKey>) -> Self {
        let of_patients = ResourceType::all().into_iter().filter(|ty| {
            let codes = definitions::r4().compartment("Patient", ty.name);
            ty.name == "Patient" || !codes.is_empty()
        });
        let hidden = cx.subject.hidden();
        let of_somebody = ResourceType::all().into_iter();
        let of_somebody = of_somebody.filter(|ty| hides_compartment(hidden, "Patient", *ty));
        Self {
            base: &cx.base,
            of_patients: of_patients.map(|ty| ty.kind).collect(),
            of_somebody: of_somebody.map(|ty| ty.kind).collect(),
            patient,
            known: HashMap::new(),
            named: BTreeMap::new(),
        }
    }

    /// Takes note of resources that are shown, and of what they refer to.
    pub(super) fn take(&mut self, shown: &[Record]) {
        for record in shown {
            let of_kind = self.known.entry(record.kind).or_default();
            of_kind.insert(record.id.clone());
        }
        for record in shown {
            let Content::Body(body) = &record.content else {
                continue;
            };
            each_local(body, self.base, |ty, id| {
                let is_known = |ids: &HashSet<Box<str>>| ids.contains(id);
                if !self.known.get(&ty.kind).is_some_and(is_known) {
                    let named = self.named.entry(ty.name).or_default();
                    if !named.contains(id) {
                        named.insert(id.into());
                    }
                }
            });
        }
    }

    /// What these refer to and is not known yet, by type, in order. It is known then.
    pub(super) fn steps(&mut self) -> Vec<(ResourceType, Vec<Box<str>>)> {
        let mut steps = Vec::new();
        for (name, named) in std::mem::take(&mut self.named) {
            let Some(ty) = ResourceType::named(name) else {
                continue;
            };
            let known = self.known.entry(ty.kind).or_default();
            let new = named.into_iter().filter(|id| known.insert(id.clone()));
            let mut ids: Vec<Box<str>> = new.collect();
            ids.sort_unstable();
            if !ids.is_empty() {
                steps.push((ty, ids));
            }
        }
        steps
    }

    /// Records of other patients are not shown, whoever refers to them; nor those
    /// that would tell by it whose they are.
    pub(super) fn admits(&self, record: &Record) -> bool {
        let is_own = Some(&record.seal) == self.patient.as_ref();
        !self.of_patients.contains(&record.kind)
            || is_own && !self.of_somebody.contains(&record.kind)
    }
}

/// Visits what a resource refers to on this server, by type and id.
pub(in super::super) fn each_local(
    body: &[u8],
    base: &str,
    mut visit: impl FnMut(ResourceType, &str),
) {
    each_reference(body, |text| {
        let own = text.strip_prefix(base);
        let text = own.map_or(text, |rest| rest.trim_start_matches('/'));
        if let Some(local) = Local::parse(text)
            && let Some(ty) = ResourceType::named(local.ty)
        {
            visit(ty, local.id);
        }
    });
}

/// Visits the texts of all references in a resource. What is stored is valid
/// JSON, so a member is found without reading the rest; one whose name or
/// value has escapes is passed over.
fn each_reference(body: &[u8], mut visit: impl FnMut(&str)) {
    const NAME: &[u8] = b"\"reference\"";
    let mut rest = body;
    while let Some(at) = memchr::memmem::find(rest, NAME) {
        rest = &rest[at + NAME.len()..];
        let value = rest.trim_ascii_start();
        let Some(value) = value.strip_prefix(b":") else {
            continue;
        };
        let Some(value) = value.trim_ascii_start().strip_prefix(b"\"") else {
            continue;
        };
        let end = memchr::memchr(b'"', value).unwrap_or(value.len());
        if let Ok(text) = std::str::from_utf8(&value[..end]) {
            visit(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::each_reference;

    #[track_caller]
    fn check(body: &str, expect: &[&str]) {
        let mut found = Vec::new();
        each_reference(body.as_bytes(), |text| found.push(text.to_owned()));
        assert_eq!(found, expect, "{body}");
    }

    #[test]
    fn references_are_found_wherever_they_stand() {
        check(r#"{"subject":{"reference":"Patient/1"}}"#, &["Patient/1"]);
        check(
            "{\"a\":[{\"reference\" :\n \"A/1\"},{\"b\":{\"reference\":\"B/2\"}}]}",
            &["A/1", "B/2"],
        );
    }

    #[test]
    fn texts_and_other_values_are_no_references() {
        check(r#"{"code":"reference"}"#, &[]);
        check(r#"{"text":"\"reference\":\"Patient/1\""}"#, &[]);
        check(r#"{"reference":{"reference":"A/1"}}"#, &["A/1"]);
        check(r#"{"reference"#, &[]);
        check(r#"{"reference":"A/1"#, &["A/1"]);
    }
}
