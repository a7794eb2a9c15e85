//! `_list`: what is on a list (<https://hl7.org/fhir/R4/search.html#list>),
//! or on one of the lists that need not be kept as a List
//! (<https://hl7.org/fhir/R4/lifecycle.html#lists>).

use super::operand::{ALTERNATIVES_MAX, split};
use super::parameters::Parameters;
use crate::issue::{Issue, IssueType};
use crate::reference::{self, Reference};

/// The name of the parameter.
pub(super) const NAME: &str = "_list";

/// A list of which resources are asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum Listed {
    /// The List of this id.
    Id(Box<str>),
    /// What is current, as far as the resources say themselves.
    Current(Current),
}
salus_phi::guard!(Listed);

/// What is current: <https://hl7.org/fhir/R4/lifecycle.html#lists>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// Conditions that a patient has.
    Problems,
    /// Medications that a patient takes.
    Medications,
    /// Allergies and intolerances that a patient has.
    Allergies,
    /// Those of them against medications.
    DrugAllergies,
}

impl Current {
    const ALL: [(&str, Self, &[&str]); 4] = [
        ("$current-problems", Self::Problems, &["Condition"]),
        (
            "$current-medications",
            Self::Medications,
            &["MedicationStatement", "MedicationRequest"],
        ),
        (
            "$current-allergies",
            Self::Allergies,
            &["AllergyIntolerance"],
        ),
        (
            "$current-drug-allergies",
            Self::DrugAllergies,
            &["AllergyIntolerance"],
        ),
    ];
}

/// Reads the lists, of which a resource must be on one.
pub(super) fn listed(ty: &str, text: &str, parameters: &Parameters) -> Result<Vec<Listed>, Issue> {
    let mut all = Vec::new();
    for part in split(text, b',') {
        if all.len() == ALTERNATIVES_MAX {
            let details = format!("more than {ALTERNATIVES_MAX} alternatives");
            return Err(Issue::error(IssueType::TooCostly, "http._list", details));
        }
        all.push(one(ty, part)?);
    }
    // What is current, resources say themselves.
    if all.iter().any(|one| matches!(one, Listed::Id(_))) {
        let ready = parameters.check_lists();
        ready.map_err(|not| not.at("http._list".to_owned()))?;
    }
    Ok(all)
}

fn one(ty: &str, text: &str) -> Result<Listed, Issue> {
    if text.starts_with('$') {
        let known = Current::ALL.iter();
        let mut known = known.filter(|(_, _, types)| types.contains(&ty));
        if let Some((_, current, _)) = known.clone().find(|(name, ..)| *name == text) {
            return Ok(Listed::Current(*current));
        }
        let names: Vec<&str> = known.by_ref().map(|(name, ..)| *name).collect();
        let allowed = match names[..] {
            [] => Current::ALL
                .map(|(name, _, of)| format!("{name} of {}", of.join(" or ")))
                .join(", "),
            _ => names.join(", "),
        };
        let details = format!("there is no such list of {ty}; allowed: {allowed}");
        return Err(Issue::error(IssueType::NotSupported, "http._list", details));
    }
    let id = match Reference::parse(text, &[] as &[&str]) {
        Some(Reference::Local(local)) if local.ty == "List" => local.id,
        _ if reference::is_id(text) => text,
        _ => {
            let details = "the value must be the id of a List, or $current-problems and the like";
            return Err(Issue::error(IssueType::Value, "http._list", details));
        }
    };
    Ok(Listed::Id(id.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ty: &str, text: &str) -> Result<Vec<Listed>, Issue> {
        listed(ty, text, Parameters::r4())
    }

    #[test]
    fn lists_are_named_by_id_or_by_what_they_are() {
        let id = |id: &str| Listed::Id(id.into());
        assert_eq!(read("Patient", "42").unwrap(), [id("42")]);
        assert_eq!(read("Patient", "List/42,7").unwrap(), [id("42"), id("7")]);
        let current = Listed::Current(Current::Problems);
        assert_eq!(read("Condition", "$current-problems").unwrap(), [current]);
    }

    #[track_caller]
    fn refuse(ty: &str, text: &str, words: &str) {
        let issue = read(ty, text).expect_err(text);
        assert!(issue.details.contains(words), "{text}: {issue}");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        refuse("Patient", "", "id of a List");
        refuse("Patient", "42,", "id of a List");
        refuse("Patient", "Patient/42", "id of a List");
        refuse(
            "Patient",
            "$current-problems",
            "$current-problems of Condition",
        );
        refuse(
            "Condition",
            "$current-allergies",
            "allowed: $current-problems",
        );
        refuse(
            "AllergyIntolerance",
            "$x",
            "$current-allergies, $current-drug-allergies",
        );
    }
}
