//! Policies as administrators write them: read whole, or every fault named by
//! its place, as `rules[2].kinds[0]`.
//!
//! Whether a condition is a search that the project understands is for the one
//! to tell who has its search parameters.

use std::borrow::Cow;

use salus_fhir::definitions;
use salus_fhir::mask::Path;
use serde_json::{Map, Value};

use super::condition::{Bindings, Condition};
use super::deed::{CHANGING, Deed, SEEING};
use super::labels::Label;
use crate::PurposeOfUse;
use crate::record::{Effect, Party, Policy, Relationship, Rule, Verb};

/// Bytes of a policy at most.
pub const BYTES_MAX: usize = 256 * 1024;
/// Rules of a policy at most.
const RULES_MAX: usize = 200;
/// Entries of a list at most.
const LIST_MAX: usize = 200;
/// Bytes of a condition at most.
const CONDITION_MAX: usize = 2000;
/// Bytes of a description at most.
const DESCRIPTION_MAX: usize = 2000;
/// Faults told at most.
const FAULTS_MAX: usize = 50;

const SUBJECT: &str = "must be user:ID, group:ID, role:NAME, client:ID or everyone";
const ACTION: &str =
    "must be *, read, search, history, create, update, patch, delete, or an operation as $export";
const PURPOSE: &str = "must be a code of the value set v3-PurposeOfUse, as TREAT or HRESCH";
const RELATIONSHIP: &str =
    "must be care-team, encounter, general-practitioner, proxy or break-glass";
const LABEL: &str = "must be a code of sensitivity or confidentiality, as PSY or R, or SYSTEM|CODE";
const KIND: &str = "must be a FHIR R4 resource type or *";

/// What is wrong with a policy, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place, as `rules[0].condition`; empty is the whole.
    pub place: String,
    /// What is wrong there, as the rest of a sentence about it.
    pub details: String,
}
salus_phi::guard!(Fault);

impl Fault {
    /// A fault at a place.
    #[must_use]
    pub fn at(place: impl Into<String>, details: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            details: details.into(),
        }
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, up to 50 faults.
    pub fn parse(text: &[u8]) -> Result<Self, Vec<Fault>> {
        if text.len() > BYTES_MAX {
            return Err(vec![Fault::at("", "must have 262144 bytes at most")]);
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            vec![Fault::at("", format!("cannot be read as JSON: {place}"))]
        })?;
        let mut reading = Reading::default();
        let policy = reading.policy(&value);
        match policy {
            Some(policy) if reading.faults.is_empty() => Ok(policy),
            Some(_) | None => {
                reading.faults.truncate(FAULTS_MAX);
                Err(reading.faults)
            }
        }
    }

    /// A name that a policy may have: 1 to 64 lower-case letters, digits, `-`, `.` or `_`.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
        let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        starts && name.len() <= 64 && name.bytes().all(plain)
    }
}

#[derive(Default)]
struct Reading {
    faults: Vec<Fault>,
}

impl Reading {
    fn policy(&mut self, value: &Value) -> Option<Policy> {
        let members = self.members(value, "", &["description", "rules"])?;
        let description = members.get("description").map(Value::as_str);
        let fits = |text: &Option<&str>| text.is_some_and(|text| text.len() <= DESCRIPTION_MAX);
        if description.is_some_and(|text| !fits(&text)) {
            self.fault("description", "must be a text of 2000 bytes at most");
        }
        let description = description.flatten().unwrap_or_default().to_owned();
        let Some(Value::Array(items)) = members.get("rules") else {
            self.fault("rules", "must be there, as a list of rules");
            return None;
        };
        if items.len() > RULES_MAX {
            self.fault("rules", "must be 200 at most");
            return None;
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let place = format!("rules[{at}]");
            let Some(rule) = self.rule(item, &place) else {
                continue;
            };
            if rules.iter().any(|other| other.id == rule.id) {
                self.fault(&format!("{place}.id"), "is that of another rule");
            }
            rules.push(rule);
        }
        Some(Policy { description, rules })
    }

    fn rule(&mut self, value: &Value, place: &str) -> Option<Rule> {
        let known = [
            "id",
            "effect",
            "subjects",
            "actions",
            "kinds",
            "condition",
            "relationship",
            "labels",
            "exceptLabels",
            "purposes",
            "hidden",
            "readOnly",
        ];
        let members = self.members(value, place, &known)?;
        let id = members.get("id").and_then(Value::as_str);
        let id = id.filter(|id| Policy::is_name(id)).map(str::to_owned);
        if id.is_none() {
            let form = "must be 1 to 64 lower-case letters, digits, -, . or _";
            self.fault(&format!("{place}.id"), form);
        }
        let effect = match members.get("effect").and_then(Value::as_str) {
            Some("allow") => Some(Effect::Allow),
            Some("deny") => Some(Effect::Deny),
            _ => {
                self.fault(&format!("{place}.effect"), "must be allow or deny");
                None
            }
        };
        let subjects = self.list((members, place, "subjects"), SUBJECT, Party::parse);
        let actions = self.list((members, place, "actions"), ACTION, Verb::parse);
        let kinds = self.list((members, place, "kinds"), KIND, |kind| {
            let known = kind == "*" || definitions::r4().resource_named(kind).is_some();
            known.then(|| kind.to_owned())
        });
        let condition = self.condition(members.get("condition"), place, &kinds);
        let relationship = self.relationship(members.get("relationship"), place);
        let labels = self.list_if_there((members, place, "labels"), LABEL, Label::parse);
        let except_labels =
            self.list_if_there((members, place, "exceptLabels"), LABEL, Label::parse);
        let purposes =
            self.list_if_there((members, place, "purposes"), PURPOSE, PurposeOfUse::parse);
        self.check_operations(members, place, &actions);
        let does = |deeds: &[Deed]| {
            let does = |deed: &Deed| actions.contains(&Verb::Deed(*deed));
            actions.contains(&Verb::Any) || deeds.iter().any(does)
        };
        let hidden = self.paths((members, place, "hidden"), &kinds);
        if !hidden.is_empty() && !does(&SEEING) {
            self.fault(
                &format!("{place}.hidden"),
                "needs read, search or history among the actions",
            );
        }
        let read_only = self.paths((members, place, "readOnly"), &kinds);
        if !read_only.is_empty() && !does(&CHANGING) {
            self.fault(
                &format!("{place}.readOnly"),
                "needs create, update or patch among the actions",
            );
        }
        // Of the audit there are a patient's entries, or all.
        for name in ["relationship", "labels", "exceptLabels"] {
            if members.contains_key(name) && kinds.iter().any(|kind| kind == "AuditEvent") {
                self.fault(&format!("{place}.{name}"), "cannot be on AuditEvent");
            }
        }
        Some(Rule {
            id: id?,
            effect: effect?,
            subjects,
            actions,
            kinds,
            condition,
            relationship,
            labels,
            except_labels,
            purposes,
            hidden,
            read_only,
        })
    }

    /// An operation is opened or shut as a whole; which records it is about other rules say.
    fn check_operations(&mut self, members: &Map<String, Value>, place: &str, actions: &[Verb]) {
        if !actions
            .iter()
            .any(|verb| matches!(verb, Verb::Operation(_)))
        {
            return;
        }
        let of_records = |verb: &Verb| !matches!(verb, Verb::Operation(_));
        if actions.iter().any(of_records) {
            let details = "cannot be operations and other actions in one rule; write two";
            self.fault(&format!("{place}.actions"), details);
        }
        for name in [
            "condition",
            "relationship",
            "labels",
            "exceptLabels",
            "hidden",
            "readOnly",
        ] {
            if members.contains_key(name) {
                let details = "cannot be on operations; the rules of other actions say for which \
                               records they may be called";
                self.fault(&format!("{place}.{name}"), details);
            }
        }
    }

    fn relationship(&mut self, value: Option<&Value>, place: &str) -> Option<Relationship> {
        let found = value?.as_str().and_then(Relationship::named);
        if found.is_none() {
            self.fault(&format!("{place}.relationship"), RELATIONSHIP);
        }
        found
    }

    /// Paths of elements, if there are any, of the rule's types.
    fn paths(
        &mut self,
        (members, place, name): (&Map<String, Value>, &str, &str),
        kinds: &[String],
    ) -> Vec<String> {
        if !members.contains_key(name) {
            return Vec::new();
        }
        let of_kinds = |path: &Path| kinds.iter().any(|kind| kind == "*" || kind == path.ty());
        self.texts((members, place, name), |item| match item.map(Path::parse) {
            Some(Ok(path)) if of_kinds(&path) => Ok(path.to_string()),
            Some(Ok(_)) => Err("is an element of another type than the rule is about".into()),
            Some(Err(details)) => Err(details.into()),
            None => Err("must be a text".into()),
        })
    }

    fn condition(
        &mut self,
        value: Option<&Value>,
        place: &str,
        kinds: &[String],
    ) -> Option<String> {
        let place = format!("{place}.condition");
        let text = value?.as_str().filter(|text| text.len() <= CONDITION_MAX);
        let Some(text) = text else {
            self.fault(&place, "must be a text of 2000 bytes at most");
            return None;
        };
        match Condition::parse(text) {
            Ok(condition) => {
                if let Err(details) = check(&condition, kinds) {
                    self.fault(&place, details);
                }
            }
            Err(details) => self.fault(&place, details),
        }
        Some(text.to_owned())
    }

    /// A list of texts that is not empty, each understood, if the member is there.
    fn list_if_there<T>(
        &mut self,
        (members, place, name): (&Map<String, Value>, &str, &str),
        form: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        match members.contains_key(name) {
            true => self.list((members, place, name), form, parse),
            false => Vec::new(),
        }
    }

    /// A list of texts that is not empty, each understood.
    fn list<T>(
        &mut self,
        of: (&Map<String, Value>, &str, &str),
        form: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        self.texts(of, |item| item.and_then(&parse).ok_or(form.into()))
    }

    /// A list of texts that is not empty: what each comes to, or what is wrong with it.
    fn texts<T>(
        &mut self,
        (members, place, name): (&Map<String, Value>, &str, &str),
        read: impl Fn(Option<&str>) -> Result<T, Cow<'static, str>>,
    ) -> Vec<T> {
        let place = format!("{place}.{name}");
        let items = members.get(name).and_then(Value::as_array);
        let items = items.filter(|items| (1..=LIST_MAX).contains(&items.len()));
        let Some(items) = items else {
            self.fault(&place, "must be a list of 1 to 200 texts");
            return Vec::new();
        };
        let mut found = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match read(item.as_str()) {
                Ok(one) => found.push(one),
                Err(details) => self.fault(&format!("{place}[{at}]"), details),
            }
        }
        found
    }

    /// The members of an object that has no others than these.
    fn members<'v>(
        &mut self,
        value: &'v Value,
        place: &str,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Value::Object(members) = value else {
            self.fault(place, "must be an object");
            return None;
        };
        if members.keys().any(|name| !known.contains(&name.as_str())) {
            let details = format!("has another member than {}", known.join(", "));
            self.fault(place, details);
        }
        Some(members)
    }

    fn fault(&mut self, place: &str, details: impl Into<String>) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault::at(place, details));
        }
    }
}

/// What can be told of a condition without the project's parameters.
fn check(condition: &Condition<'_>, kinds: &[String]) -> Result<(), String> {
    let is_whole = condition.compartment.is_some() && condition.search.is_empty();
    if kinds.iter().any(|kind| kind == "AuditEvent") && !is_whole {
        return Err("can be a compartment only on AuditEvent: Patient/ID/*".to_owned());
    }
    if let Some(ty) = condition.ty
        && kinds != [ty]
    {
        return Err("names a type that is not the rule's only kind".to_owned());
    }
    if let Some((name, place)) = condition.compartment {
        let known = definitions::r4().compartments();
        if !known.contains(&name) {
            return Err(format!(
                "must be about one of the compartments {}",
                known.join(", ")
            ));
        }
        Bindings::example().ids(name, place)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str =
        r#"{"id":"a","effect":"allow","subjects":["everyone"],"actions":["*"],"kinds":["*"]}"#;

    #[track_caller]
    fn refuses(text: &str, places: &[&str]) {
        let faults = Policy::parse(text.as_bytes()).unwrap_err();
        let have: Vec<&str> = faults.iter().map(|fault| &*fault.place).collect();
        assert_eq!(have, places, "{faults:?}");
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let text = format!(
            r#"{{"description":"x","rules":[{RULE},{{"id":"b","effect":"deny",
            "subjects":["user:1","group:g","role:r","client:c"],"actions":["read","search",
            "history","create","update","patch","delete"],"kinds":["Patient"],
            "condition":"Patient?active=true","purposes":["TREAT","HRESCH"],
            "hidden":["Patient.telecom"],"readOnly":["Patient.name.family"]}},
            {{"id":"c","effect":"allow","subjects":["role:r"],"actions":["$export","$merge"],
            "kinds":["*"]}}]}}"#
        );
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(&policy).unwrap(), value);
        let again: Policy = serde_json::from_value(value).unwrap();
        assert_eq!(again, policy);
    }

    #[test]
    fn faults_are_named_by_their_places() {
        refuses("", &[""]);
        refuses("[]", &[""]);
        refuses("{}", &["rules"]);
        refuses(r#"{"rules":[],"x":1}"#, &[""]);
        refuses(r#"{"rules":[],"description":1}"#, &["description"]);
        refuses(&format!(r#"{{"rules":[{RULE},{RULE}]}}"#), &["rules[1].id"]);
        refuses(
            r#"{"rules":[{"id":"A","effect":"may","subjects":["x"],"actions":[],"kinds":["patient"]}]}"#,
            &[
                "rules[0].id",
                "rules[0].effect",
                "rules[0].subjects[0]",
                "rules[0].actions",
                "rules[0].kinds[0]",
            ],
        );
        let faults = |condition: &str, kinds: &str| {
            let rule = RULE.replace(r#""kinds":["*"]"#, &format!(r#""kinds":[{kinds}]"#));
            let rule = rule.replace('}', &format!(r#","condition":"{condition}"}}"#));
            Policy::parse(format!(r#"{{"rules":[{rule}]}}"#).as_bytes()).is_err()
        };
        assert!(!faults("Patient/%user.patient/*", r#""*""#));
        assert!(!faults("Patient?active=true", r#""Patient""#));
        assert!(!faults("Patient/%user.patient/*", r#""AuditEvent""#));
        for (condition, kinds) in [
            ("Patient?active=true", r#""*""#),
            ("Patient?active=true", r#""Patient","Group""#),
            ("?_id=1", r#""AuditEvent""#),
            ("Patient/1/*?action=R", r#""AuditEvent""#),
            ("Medication/1/*", r#""*""#),
            ("Patient/%user.practitioner/*", r#""*""#),
            ("Patient", r#""Patient""#),
        ] {
            assert!(faults(condition, kinds), "{condition}");
        }
    }

    #[test]
    fn elements_are_those_of_the_types_that_a_rule_is_about() {
        let faults = |more: &str, places: &[&str]| {
            let rule = RULE.replace(r#""*"],"kinds":["*"]"#, more);
            refuses(&format!(r#"{{"rules":[{rule}]}}"#), places);
        };
        faults(
            r#""read"],"kinds":["Group"],"hidden":["Patient.name","Group.x",1,"Group.id"]"#,
            &[
                "rules[0].hidden[0]",
                "rules[0].hidden[1]",
                "rules[0].hidden[2]",
                "rules[0].hidden[3]",
            ],
        );
        faults(
            r#""create"],"kinds":["*"],"hidden":["Patient.name"],"readOnly":[]"#,
            &["rules[0].hidden", "rules[0].readOnly"],
        );
        faults(
            r#""delete"],"kinds":["*"],"readOnly":["Patient.name"]"#,
            &["rules[0].readOnly"],
        );
    }

    #[test]
    fn what_narrows_is_not_for_the_audit() {
        let narrow = |name: &str, value: &str, kind: &str| {
            let rule = RULE.replace(r#""kinds":["*"]"#, &format!(r#""kinds":["*","{kind}"]"#));
            let rule = rule.replace('}', &format!(r#","{name}":{value}}}"#));
            let text = format!(r#"{{"rules":[{rule}]}}"#);
            Policy::parse(text.as_bytes()).is_ok()
        };
        for (name, value) in [
            ("relationship", r#""proxy""#),
            ("labels", r#"["R"]"#),
            ("exceptLabels", r#"["SUD","http://x|y"]"#),
        ] {
            assert!(narrow(name, value, "Patient"), "{name}");
            assert!(!narrow(name, value, "AuditEvent"), "{name}");
            assert!(!narrow(name, "[]", "Patient") && !narrow(name, r#""x""#, "Patient"));
        }
    }

    #[test]
    fn operations_are_opened_and_shut_as_a_whole() {
        let faults = |actions: &str, more: &str, places: &[&str]| {
            let rule = RULE.replace(r#""actions":["*"]"#, &format!(r#""actions":[{actions}]"#));
            let rule = rule.replace('}', &format!("{more}}}"));
            refuses(&format!(r#"{{"rules":[{rule}]}}"#), places);
        };
        faults(r#""$nothing""#, "", &["rules[0].actions[0]"]);
        faults(r#""export""#, "", &["rules[0].actions[0]"]);
        faults(r#""$export","read""#, "", &["rules[0].actions"]);
        faults(
            r#""$export""#,
            r#","condition":"Patient/%user.patient/*","labels":["R"]"#,
            &["rules[0].condition", "rules[0].labels"],
        );
        let purposes = r#","purposes":["TREAT","treat","PurposeOfUse",1]"#;
        let places = [1, 2, 3].map(|at| format!("rules[0].purposes[{at}]"));
        faults(
            r#""read""#,
            purposes,
            &places.each_ref().map(String::as_str),
        );
        faults(r#""read""#, r#","purposes":[]"#, &["rules[0].purposes"]);
    }

    #[test]
    fn there_is_no_end_of_faults_and_few_are_told() {
        let rules = vec!["1"; RULES_MAX].join(",");
        let faults = Policy::parse(format!(r#"{{"rules":[{rules}]}}"#).as_bytes());
        assert_eq!(faults.unwrap_err().len(), FAULTS_MAX);
    }
}
