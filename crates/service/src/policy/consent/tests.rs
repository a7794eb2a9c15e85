//! Consents at random: what is found is what each record is permitted or denied.

use std::collections::BTreeSet;
use std::sync::Arc;

use salus_auth::record::{Care, Consenting};
use salus_auth::{PurposeOfUse, Subject};
use salus_store::Scope;
use salus_store::memory::Memory;
use serde_json::{Value, json};

use super::super::tests::user;
use crate::choice::Choice;
use crate::fhir::Handling;
use crate::fhir::search::host::{Host, context};

const SCOPE: Scope = Scope(1);
/// 2014-05-13.
const NOW_MS: i64 = 1_400_000_000_000;
const ACT: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const LEVEL: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";

/// A provision with one value of each criterion at most.
#[derive(Debug)]
struct Said {
    permits: bool,
    actor: Option<&'static str>,
    action: Option<&'static str>,
    label: Option<(&'static str, &'static str)>,
    class: Option<&'static str>,
    code: Option<&'static str>,
    end: Option<&'static str>,
    meaning: Option<&'static str>,
    purpose: Option<&'static str>,
    nested: Vec<Said>,
}

impl Said {
    fn any(choice: &mut Choice, depth: u64) -> Self {
        let nested = if depth == 0 { 0 } else { choice.below(3) };
        Self {
            permits: choice.below(2) == 0,
            actor: choice.maybe(&[
                "Practitioner/d",
                "Practitioner/e",
                "Organization/o",
                "Group/g",
            ]),
            action: choice.maybe(&["access", "correct", "else"]),
            label: choice.maybe(&[(ACT, "SPI"), (ACT, "ETH"), (LEVEL, "N"), (LEVEL, "R")]),
            class: choice.maybe(&["Observation", "Condition", "else"]),
            code: choice.maybe(&["x", "y"]),
            end: choice.maybe(&["2014-05-12", "2014-05-13"]),
            meaning: if choice.below(4) == 0 {
                Some(choice.of(&["instance", "related"]))
            } else {
                None
            },
            purpose: if choice.below(4) == 0 {
                Some(choice.of(&["TREAT", "HRESCH", "DSRCH", "else"]))
            } else {
                None
            },
            nested: (0..nested).map(|_| Self::any(choice, depth - 1)).collect(),
        }
    }

    fn json(&self) -> Value {
        let mut said = json!({"type": if self.permits { "permit" } else { "deny" }});
        if let Some(actor) = self.actor {
            said["actor"] = json!([{"role": {"coding": [{"code": "PRCP"}]},
                "reference": {"reference": actor}}]);
        }
        if let Some(action) = self.action {
            said["action"] = json!([{"coding": [{"code": action}]}]);
        }
        if let Some((system, code)) = self.label {
            said["securityLabel"] = json!([{"system": system, "code": code}]);
        }
        if let Some(class) = self.class {
            said["class"] = json!([{"code": class}]);
        }
        if let Some(code) = self.code {
            said["code"] = json!([{"coding": [{"system": "s", "code": code}]}]);
        }
        if let Some(end) = self.end {
            said["period"] = json!({"end": end});
        }
        if let Some(meaning) = self.meaning {
            said["data"] = json!([{"meaning": meaning,
                "reference": {"reference": "Observation/r0"}}]);
        }
        if let Some(purpose) = self.purpose {
            said["purpose"] = json!([{"code": purpose}]);
        }
        if !self.nested.is_empty() {
            said["provision"] = self.nested.iter().map(Self::json).collect();
        }
        said
    }

    /// Whether it is about a record; what cannot be known counts where it denies.
    fn is_about(&self, record: &Record, denies: bool, stated: Option<&str>) -> bool {
        let holds = |holds: Option<bool>| holds.unwrap_or(denies);
        let actor = self.actor.map_or(Some(true), |actor| match actor {
            "Group/g" => None,
            actor => Some(actor != "Practitioner/e"),
        });
        let action = self.action.map_or(Some(true), |action| match action {
            "else" => None,
            action => Some(action == "access"),
        });
        let label = self.label.is_none_or(|label| match label {
            (ACT, "SPI") => matches!(record.label, Some((ACT, "PSY"))),
            (LEVEL, "N") if denies => matches!(record.label, Some((LEVEL, "N" | "R" | "V"))),
            (LEVEL, "N") => !matches!(record.label, Some((LEVEL, "R" | "V"))),
            (LEVEL, "R") if denies => matches!(record.label, Some((LEVEL, "R" | "V"))),
            (LEVEL, "R") => !matches!(record.label, Some((LEVEL, "V"))),
            label => record.label == Some(label),
        });
        let class = self.class.map_or(Some(true), |class| match class {
            "else" => None,
            class => Some(class == record.ty),
        });
        let data = self.meaning.map_or(Some(true), |meaning| match meaning {
            "related" => None,
            _ => Some(record.ty == "Observation" && record.id == "r0"),
        });
        let code = self.code.is_none_or(|code| record.code == code);
        let purpose = match (self.purpose, stated) {
            (None, _) => Some(true),
            (Some("else"), _) | (_, None) => None,
            (Some("HRESCH"), Some("DSRCH")) => Some(true),
            (Some(purpose), Some(stated)) => Some(purpose == stated),
        };
        let lasts = self.end != Some("2014-05-12");
        holds(actor)
            && holds(action)
            && holds(class)
            && holds(data)
            && label
            && code
            && holds(purpose)
            && lasts
    }

    fn denies(&self, record: &Record, stated: Option<&str>) -> bool {
        let inner = self.nested.iter().any(|one| one.denies(record, stated));
        let permitted = self.nested.iter().any(|one| one.permits(record, stated));
        self.is_about(record, true, stated) && (inner || !self.permits && !permitted)
    }

    fn permits(&self, record: &Record, stated: Option<&str>) -> bool {
        let denied = self.nested.iter().any(|one| one.denies(record, stated));
        let inner = self.nested.iter().any(|one| one.permits(record, stated));
        self.is_about(record, false, stated) && !denied && (inner || self.permits)
    }
}

#[derive(Debug)]
struct Record {
    ty: &'static str,
    id: String,
    patient: u64,
    code: &'static str,
    label: Option<(&'static str, &'static str)>,
}

impl Record {
    fn any(choice: &mut Choice, at: u64) -> Self {
        Self {
            ty: choice.of(&["Observation", "Condition"]),
            id: format!("r{at}"),
            patient: choice.below(4),
            code: choice.of(&["x", "y"]),
            label: choice.maybe(&[
                (ACT, "PSY"),
                (ACT, "ETH"),
                (LEVEL, "N"),
                (LEVEL, "R"),
                (LEVEL, "V"),
            ]),
        }
    }

    fn json(&self) -> Value {
        let mut record = json!({"resourceType": self.ty, "id": self.id,
            "code": {"coding": [{"system": "s", "code": self.code}]},
            "subject": {"reference": format!("Patient/p{}", self.patient)}});
        if self.ty == "Observation" {
            record["status"] = "final".into();
        }
        if let Some((system, code)) = self.label {
            record["meta"] = json!({"security": [{"system": system, "code": code}]});
        }
        record
    }
}

#[tokio::test]
async fn what_is_found_is_what_consents_leave() {
    let mut told = [0, 0];
    for seed in 0..25 {
        let mut choice = Choice(seed);
        let host = Host::over(Arc::new(Memory::new())).await;
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        let records: Vec<Record> = (0..16).map(|at| Record::any(&mut choice, at)).collect();
        let said: Vec<(u64, Said)> = (0..5)
            .map(|_| (choice.below(4), Said::any(&mut choice, 2)))
            .collect();
        let mut resources = vec![
            json!({"resourceType": "Organization", "id": "o", "name": "o"}),
            json!({"resourceType": "Practitioner", "id": "d"}),
            json!({"resourceType": "Practitioner", "id": "e"}),
            json!({"resourceType": "Group", "id": "g", "type": "person", "actual": true}),
            json!({"resourceType": "PractitionerRole", "id": "r",
                "practitioner": {"reference": "Practitioner/d"},
                "organization": {"reference": "Organization/o"}}),
            json!({"resourceType": "Observation", "id": "r0", "status": "final", "code": {"text": "x"}}),
        ];
        resources
            .extend((0..4).map(|at| json!({"resourceType": "Patient", "id": format!("p{at}")})));
        resources.extend(records.iter().map(Record::json));
        resources.extend(said.iter().enumerate().map(|(at, (patient, said))| {
            json!({"resourceType": "Consent", "id": format!("c{at}"), "status": "active",
                "scope": {"coding": [{"code": "patient-privacy"}]},
                "category": [{"text": "x"}], "policyRule": {"text": "x"},
                "patient": {"reference": format!("Patient/p{patient}")},
                "provision": said.json()})
        }));
        for resource in resources {
            host.put(&cx, &resource).await.unwrap();
        }
        let rule = json!({"id": "all", "effect": "allow", "subjects": ["everyone"],
            "actions": ["*"], "kinds": ["*"]});
        let rules = json!({"rules": [rule]}).to_string();
        host.service
            .write_policy(&cx, "p", rules.as_bytes())
            .await
            .unwrap();
        for model in [Consenting::OptOut, Consenting::OptIn] {
            let care = Care {
                consent: model,
                ..Care::default()
            };
            host.service.write_care(&cx, care).await.unwrap();
            let stated = choice.of(&[None, Some("TREAT"), Some("HRESCH"), Some("DSRCH")]);
            let purpose = stated.and_then(PurposeOfUse::parse);
            let subject = user("x", &["Practitioner/d"]).acting_for(purpose);
            let subject = host.service.under_policies(subject.into(), NOW_MS);
            let cx = crate::context::Context {
                subject: subject.await.unwrap(),
                ..context(Subject::anonymous(), SCOPE, NOW_MS)
            };
            let mut found = BTreeSet::new();
            for ty in ["Observation", "Condition"] {
                let answer = host.search(&cx, ty, Handling::Strict).await.unwrap();
                found.extend(answer.pages.into_iter().flat_map(|page| page.matches));
            }
            // One that was there before and is of nobody, unless it was replaced.
            if records[0].ty != "Observation" {
                assert_eq!(found.remove("Observation/r0"), model == Consenting::OptOut);
            }
            let of = |record: &Record| {
                let mut of = said
                    .iter()
                    .filter(|(patient, _)| *patient == record.patient);
                let denied = of.clone().any(|(_, said)| said.denies(record, stated));
                let permitted = of.any(|(_, said)| said.permits(record, stated));
                !denied && (permitted || model == Consenting::OptOut)
            };
            let meant = records.iter().filter(|record| of(record));
            let meant = meant.map(|record| format!("{}/{}", record.ty, record.id));
            let meant: BTreeSet<String> = meant.collect();
            assert_eq!(
                found, meant,
                "seed {seed}, {model:?}, {stated:?}: {said:#?} {records:#?}"
            );
            told[usize::from(model == Consenting::OptIn)] += meant.len();
        }
    }
    assert!(told[0] > 100 && told[1] > 20, "{told:?}");
}
