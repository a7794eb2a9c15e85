//! What the resources of a compartment refer to outside of it.

use std::collections::{BTreeMap, HashSet};

use salus_fhir::definitions;
use salus_fhir::reference::Local;
use salus_store::{Content, Kind, Record, SealKey};

use crate::context::Context;
use crate::fhir::types::ResourceType;

/// What the resources of a compartment refer to outside of it.
pub(super) struct Outside<'c> {
    base: &'c str,
    /// The types of which a patient's records are.
    of_patients: HashSet<Kind>,
    /// The key of the patient whose records are shown.
    patient: Option<SealKey>,
    seen: HashSet<(Kind, Box<str>)>,
}

impl<'c> Outside<'c> {
    pub(super) fn of(cx: &'c Context, ty: ResourceType, id: &str, members: &[Record]) -> Self {
        let of_patients = ResourceType::all().into_iter().filter(|ty| {
            let codes = definitions::r4().compartment("Patient", ty.name);
            ty.name == "Patient" || !codes.is_empty()
        });
        let patient = match ty.name {
            "Patient" => Some(SealKey::Patient(id.into())),
            _ => {
                let mut own = members.iter().filter(|record| record.kind == ty.kind);
                own.next().map(|record| record.seal.clone())
            }
        };
        Self {
            base: &cx.base,
            of_patients: of_patients.map(|ty| ty.kind).collect(),
            patient: patient.filter(|seal| *seal != SealKey::Scope),
            seen: members
                .iter()
                .map(|record| (record.kind, record.id.clone()))
                .collect(),
        }
    }

    /// What these refer to and was not seen before, by type.
    pub(super) fn steps<'r>(
        &mut self,
        sources: impl IntoIterator<Item = &'r Record>,
    ) -> Vec<(ResourceType, Vec<Box<str>>)> {
        let mut steps: BTreeMap<&'static str, Vec<Box<str>>> = BTreeMap::new();
        for source in sources {
            let Content::Body(body) = &source.content else {
                continue;
            };
            each_local(body, self.base, |ty, id| {
                if self.seen.insert((ty.kind, id.into())) {
                    steps.entry(ty.name).or_default().push(id.into());
                }
            });
        }
        let typed = |(name, ids)| Some((ResourceType::named(name)?, ids));
        steps.into_iter().filter_map(typed).collect()
    }

    /// Records of other patients are not shown, whoever refers to them.
    pub(super) fn admits(&self, record: &Record) -> bool {
        !self.of_patients.contains(&record.kind) || Some(&record.seal) == self.patient.as_ref()
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
