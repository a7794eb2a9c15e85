//! Policies written as text, for users and clients, through the service.

mod hidden;
mod questions;
mod random;

use std::collections::BTreeSet;
use std::sync::Arc;

use salus_auth::record::{Client, Email, Membership, Profile, User};
use salus_auth::{Operation, PurposeOfUse, Scopes, Subject, credentials};
use salus_store::Scope;
use salus_store::memory::Memory;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Kind;
use crate::fhir::search::host::{Host, context};
use crate::fhir::{
    BundleOptions, Handling, PatchFormat, ReadConditions, Returns, Which, WriteCondition,
    WriteOptions,
};

const SCOPE: Scope = Scope(1);
const NOW_MS: i64 = 1_400_000_000_000;

/// A user of the project with a role and profiles, as `Practitioner/p`.
pub(super) fn user(role: &str, profiles: &[&str]) -> Subject {
    let profiles = profiles.iter().map(|text| Profile::parse(text).unwrap());
    let user = User {
        profiles: profiles.collect(),
        ..User::new(Email::parse("a@b").unwrap(), 0)
    };
    let membership = Membership {
        groups: vec!["g".into()],
        roles: vec![role.to_owned()],
        mfa_required: false,
    };
    Subject::user(SCOPE, "u", &user, &membership).acting_for(Some(PurposeOfUse::TREAT))
}

fn client(scopes: &str) -> Subject {
    let scopes = Scopes::parse(scopes).unwrap();
    let (_, secret) = credentials::client_secret(&[1; 32]);
    let client = Client::register("c", "c", secret, scopes.clone(), 0).unwrap();
    Subject::client(SCOPE, "c", &client.value, &scopes)
}

/// A world of two patients, of whom one has a practitioner.
struct World(Host);

impl World {
    async fn new() -> Self {
        let host = Host::over(Arc::new(Memory::new())).await;
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        let subject = |id: &str| json!({"reference": format!("Patient/{id}")});
        let observation = |id: &str, of: &str, status: &str| {
            json!({"resourceType": "Observation", "id": id, "status": status,
                "code": {"text": "x"}, "subject": subject(of)})
        };
        for resource in [
            json!({"resourceType": "Practitioner", "id": "d"}),
            json!({"resourceType": "Patient", "id": "a", "active": true,
                "generalPractitioner": [{"reference": "Practitioner/d"}]}),
            json!({"resourceType": "Patient", "id": "b", "active": true}),
            observation("oa", "a", "final"),
            observation("ob", "b", "final"),
            observation("oc", "a", "cancelled"),
        ] {
            host.put(&cx, &resource).await.unwrap();
        }
        Self(host)
    }

    async fn policy(&self, name: &str, rules: Value) -> Result<bool, Vec<String>> {
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        let body = json!({"rules": rules}).to_string();
        let written = self.0.service.write_policy(&cx, name, body.as_bytes());
        let text = |error: crate::error::Error| {
            let issues = error.issues().iter();
            issues.map(|issue| issue.details.to_string()).collect()
        };
        written.await.map(|(_, new)| new).map_err(text)
    }

    async fn as_one(&self, subject: Subject) -> Context {
        let subject = self
            .0
            .service
            .under_policies(subject.into(), NOW_MS)
            .await
            .unwrap();
        Context {
            subject,
            ..context(Subject::anonymous(), SCOPE, NOW_MS)
        }
    }

    /// What a search finds, or that it is refused.
    async fn finds(&self, subject: Subject, url: &str) -> String {
        let cx = self.as_one(subject).await;
        match self.0.search(&cx, url, Handling::Strict).await {
            Ok(answer) => {
                let pages = answer.pages.into_iter();
                let mut names: Vec<String> = pages
                    .flat_map(|page| [page.matches, page.included].concat())
                    .collect();
                names.sort();
                names.join(" ")
            }
            Err(error) => format!("{:?}", error.kind()),
        }
    }

    async fn read(&self, subject: Subject, ty: &str, id: &str) -> Option<Kind> {
        let cx = self.as_one(subject).await;
        let conditions = ReadConditions::default();
        let read = self.0.service.read(&cx, ty, id, &conditions).await;
        read.err().map(|error| error.kind())
    }
}

fn allow(id: &str, actions: &[&str], kinds: &[&str], condition: Option<&str>) -> Value {
    let mut rule = json!({"id": id, "effect": "allow", "subjects": ["role:clinician"],
        "actions": actions, "kinds": kinds});
    if let Some(condition) = condition {
        rule["condition"] = condition.into();
    }
    rule
}

fn deny(id: &str, kinds: &[&str], condition: Option<&str>) -> Value {
    let mut rule = allow(id, &["*"], kinds, condition);
    rule["effect"] = "deny".into();
    rule["subjects"] = json!(["everyone"]);
    rule
}

fn doctor() -> Subject {
    user("clinician", &["Practitioner/d"])
}

#[tokio::test]
async fn a_user_sees_what_rules_allow_and_nothing_else() {
    let world = World::new().await;
    assert_eq!(world.finds(doctor(), "Patient").await, "Forbidden");
    let own = "Patient?general-practitioner=%user.practitioner";
    let of_own = "Observation?subject:Patient.general-practitioner=%user.practitioner";
    let rules = json!([
        allow("own", &["read", "search"], &["Patient"], Some(own)),
        allow(
            "of-own",
            &["read", "search"],
            &["Observation"],
            Some(of_own)
        ),
    ]);
    assert_eq!(world.policy("clinicians", rules).await, Ok(true));
    assert_eq!(world.finds(doctor(), "Patient").await, "Patient/a");
    assert_eq!(
        world.finds(doctor(), "Observation").await,
        "Observation/oa Observation/oc"
    );
    let included = "Observation?_id=oa,ob&_include=Observation:subject";
    assert_eq!(
        world.finds(doctor(), included).await,
        "Observation/oa Patient/a"
    );
    assert_eq!(world.finds(doctor(), "Practitioner").await, "Forbidden");
    assert_eq!(world.read(doctor(), "Patient", "a").await, None);
    assert_eq!(
        world.read(doctor(), "Patient", "b").await,
        Some(Kind::NotFound)
    );
    assert_eq!(
        world.finds(user("clerk", &[]), "Patient").await,
        "Forbidden"
    );
    // A clinician who is no practitioner has no patients.
    assert_eq!(
        world.finds(user("clinician", &[]), "Patient").await,
        "Forbidden"
    );
}

#[test]
fn rules_know_every_operation() {
    let there = crate::fhir::operations::OPERATIONS.iter();
    // What is no operation of FHIR and has a name in rules.
    let ours = ["audit", "disclosures"];
    let there: BTreeSet<&str> = there.map(|operation| operation.name).chain(ours).collect();
    let known: BTreeSet<&str> = Operation::all().map(Operation::name).collect();
    assert_eq!(known, there);
}

#[tokio::test]
async fn what_a_rule_denies_no_rule_allows() {
    let world = World::new().await;
    let rules = json!([
        allow("all", &["*"], &["*"], None),
        deny(
            "cancelled",
            &["Observation"],
            Some("Observation?status=cancelled")
        ),
    ]);
    world.policy("p", rules).await.unwrap();
    assert_eq!(
        world.finds(doctor(), "Observation").await,
        "Observation/oa Observation/ob"
    );
    let by_client = world.finds(client("system/*.rs"), "Observation").await;
    assert_eq!(by_client, "Observation/oa Observation/ob");
    assert_eq!(
        world
            .finds(
                doctor(),
                "Patient?_has:Observation:subject:status=cancelled"
            )
            .await,
        ""
    );
    world
        .policy("q", json!([deny("none", &["Observation"], None)]))
        .await
        .unwrap();
    assert_eq!(world.finds(doctor(), "Observation").await, "Forbidden");
    assert_eq!(
        world.finds(client("system/*.rs"), "Observation").await,
        "Forbidden"
    );
    assert_eq!(world.finds(doctor(), "AuditEvent").await, "Forbidden");
    let administrator = Subject::operator();
    assert_eq!(
        world.finds(administrator, "Observation?_id=oc").await,
        "Observation/oc"
    );
    let cx = context(Subject::operator(), SCOPE, NOW_MS);
    world.0.service.delete_policy(&cx, "q").await.unwrap();
    assert_eq!(
        world.finds(doctor(), "Observation?_id=oa").await,
        "Observation/oa"
    );
}

#[tokio::test]
async fn patients_have_their_compartment() {
    let world = World::new().await;
    let mut rule = allow(
        "own",
        &["read", "search", "history"],
        &["*"],
        Some("Patient/%user.patient/*"),
    );
    rule["subjects"] = json!(["role:patient"]);
    world.policy("patients", json!([rule])).await.unwrap();
    let patient = || user("patient", &["Patient/a"]);
    assert_eq!(world.finds(patient(), "Patient").await, "Patient/a");
    assert_eq!(
        world.finds(patient(), "Observation").await,
        "Observation/oa Observation/oc"
    );
    assert_eq!(world.finds(patient(), "Practitioner").await, "Forbidden");
    assert_eq!(
        world.finds(user("patient", &[]), "Patient").await,
        "Forbidden"
    );
    let both = || user("patient", &["Patient/a", "Patient/b"]);
    assert_eq!(world.finds(both(), "Patient").await, "Patient/a Patient/b");
    let cx = world.as_one(patient()).await;
    for (ty, expect) in [("Observation", 2), ("Patient", 1)] {
        let found = world
            .0
            .service
            .history_type(&cx, ty, Vec::new())
            .await
            .unwrap();
        let bundle: Value = serde_json::from_slice(&found.body.unwrap()).unwrap();
        assert_eq!(bundle["entry"].as_array().unwrap().len(), expect);
    }
    let found = world
        .0
        .service
        .history_system(&cx, Vec::new())
        .await
        .unwrap();
    let bundle: Value = serde_json::from_slice(&found.body.unwrap()).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn histories_have_pages_of_what_is_there() {
    let world = World::new().await;
    let cx = context(Subject::operator(), SCOPE, NOW_MS);
    for at in 0..40 {
        let of = if at % 3 == 0 { "a" } else { "b" };
        let resource = json!({"resourceType": "Observation", "id": format!("n{at}"),
            "status": "final", "code": {"text": "x"}, "subject": {"reference": format!("Patient/{of}")}});
        world.0.put(&cx, &resource).await.unwrap();
    }
    let mut rule = allow(
        "own",
        &["history"],
        &["Observation"],
        Some("Patient/%user.patient/*"),
    );
    rule["subjects"] = json!(["role:patient"]);
    world.policy("patients", json!([rule])).await.unwrap();
    let cx = world.as_one(user("patient", &["Patient/a"])).await;
    for sort in ["-_lastUpdated", "_lastUpdated"] {
        let mut ids = Vec::new();
        let mut asked = vec![
            ("_count".to_owned(), "5".to_owned()),
            ("_sort".to_owned(), sort.to_owned()),
        ];
        let mut back = None;
        for _ in 0..4 {
            let page = world
                .0
                .service
                .history_type(&cx, "Observation", asked)
                .await
                .unwrap();
            let bundle: Value = serde_json::from_slice(&page.body.unwrap()).unwrap();
            let entries = bundle["entry"].as_array().unwrap();
            assert!(
                entries.len() == 5 || ids.len() == 15,
                "full but for the last"
            );
            ids.extend(entries.iter().map(|entry| entry["resource"]["id"].clone()));
            let link = |relation: &str| {
                let links = bundle["link"].as_array().unwrap();
                let link = links.iter().find(|link| link["relation"] == relation)?;
                let (_, query) = link["url"].as_str().unwrap().split_once('?').unwrap();
                Some(crate::fhir::search::pairs(query))
            };
            back = link("previous");
            match link("next") {
                Some(next) => asked = next,
                None => break,
            }
        }
        assert_eq!(ids.len(), 16, "{ids:?}");
        let page = world
            .0
            .service
            .history_type(&cx, "Observation", back.unwrap())
            .await
            .unwrap();
        let bundle: Value = serde_json::from_slice(&page.body.unwrap()).unwrap();
        let before = bundle["entry"].as_array().unwrap().iter();
        let before: Vec<Value> = before
            .map(|entry| entry["resource"]["id"].clone())
            .collect();
        assert_eq!(before, ids[10..15]);
    }
}

#[tokio::test]
async fn conditions_that_mean_nothing_are_refused_by_their_place() {
    let world = World::new().await;
    for (kinds, condition, says) in [
        (
            &["Patient"][..],
            "Patient?nonsense=1",
            "rules[0].condition for Patient",
        ),
        (
            &["*"],
            "?subject=Patient/1",
            "rules[0].condition for ActivityDefinition",
        ),
        (
            &["Medication"],
            "Patient/%user.patient/*",
            "the type is never in",
        ),
        (
            &["Patient"],
            "Patient?_include=Patient:organization",
            "search criteria only",
        ),
        (
            &["Patient"],
            "Patient?_sort=_id&active=true",
            "search criteria only",
        ),
        (
            &["Patient"],
            "Patient?active=%user.name",
            "something else than",
        ),
        (
            &["Observation"],
            "Observation?code:in=http://x",
            "rules[0].condition for Observation",
        ),
    ] {
        let rule = allow("a", &["read"], kinds, Some(condition));
        let faults = world.policy("p", json!([rule])).await.unwrap_err();
        assert!(faults[0].contains(says), "{condition}: {faults:?}");
    }
    let whole = allow("a", &["read"], &["*"], Some("Patient/%user.patient/*"));
    assert_eq!(world.policy("p", json!([whole.clone()])).await, Ok(true));
    assert_eq!(world.policy("p", json!([whole.clone()])).await, Ok(false));
    assert!(world.policy("P", json!([whole])).await.is_err());
}

impl World {
    async fn put(&self, subject: Subject, resource: &Value) -> Option<Kind> {
        let cx = self.as_one(subject).await;
        let written = self.0.put(&cx, resource).await;
        written.err().map(|error| error.kind())
    }

    async fn delete(&self, subject: Subject, ty: &str, id: &str) -> Option<Kind> {
        let cx = self.as_one(subject).await;
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let done = self.0.service.delete(&cx, ty, Which::Id(id), &options);
        done.await.err().map(|error| error.kind())
    }

    async fn transaction(&self, subject: Subject, resources: &[Value]) -> Option<Kind> {
        let cx = self.as_one(subject).await;
        let entry = |resource: &Value| {
            let (ty, id) = (&resource["resourceType"], &resource["id"]);
            let url = format!("{}/{}", ty.as_str().unwrap(), id.as_str().unwrap());
            json!({"resource": resource, "request": {"method": "PUT", "url": url}})
        };
        let entries: Vec<Value> = resources.iter().map(entry).collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        let options = BundleOptions {
            returns: Returns::Minimal,
            handling: Handling::Strict,
            idempotency_key: None,
        };
        let done = self
            .0
            .service
            .bundle(&cx, bundle.to_string().into(), options);
        done.await.err().map(|error| error.kind())
    }
}

fn observation(id: &str, of: &str) -> Value {
    json!({"resourceType": "Observation", "id": id, "status": "final",
        "code": {"text": "x"}, "subject": {"reference": format!("Patient/{of}")}})
}

#[tokio::test]
async fn a_write_has_to_be_allowed_on_what_was_and_on_what_will_be() {
    let world = World::new().await;
    let own = "Patient?general-practitioner=%user.practitioner";
    let of_own = "Observation?subject:Patient.general-practitioner=%user.practitioner";
    let rules = json!([
        allow("own", &["*"], &["Patient"], Some(own)),
        allow("of-own", &["*"], &["Observation"], Some(of_own)),
    ]);
    world.policy("clinicians", rules).await.unwrap();
    let forbidden = Some(Kind::Forbidden);
    assert_eq!(world.put(doctor(), &observation("oa", "a")).await, None);
    assert_eq!(world.put(doctor(), &observation("new", "a")).await, None);
    assert_eq!(
        world.put(doctor(), &observation("new", "b")).await,
        forbidden
    );
    assert_eq!(
        world.put(doctor(), &observation("other", "b")).await,
        forbidden
    );
    // What is hidden is not there, and deleting it is done already.
    assert_eq!(
        world.put(doctor(), &observation("ob", "a")).await,
        Some(Kind::NotFound)
    );
    assert_eq!(world.delete(doctor(), "Observation", "ob").await, None);
    assert_eq!(
        world.finds(Subject::operator(), "Observation?_id=ob").await,
        "Observation/ob"
    );
    assert_eq!(world.delete(doctor(), "Observation", "oc").await, None);
    assert_eq!(
        world.finds(Subject::operator(), "Observation?_id=oc").await,
        ""
    );
    // A patient may not be taken from, or given to, the practitioner's own.
    let patient = |id: &str, of: &[&str]| {
        let of = of
            .iter()
            .map(|id| json!({"reference": format!("Practitioner/{id}")}));
        json!({"resourceType": "Patient", "id": id, "generalPractitioner": of.collect::<Vec<_>>()})
    };
    assert_eq!(world.put(doctor(), &patient("a", &["e"])).await, forbidden);
    assert_eq!(
        world.put(doctor(), &patient("b", &["d"])).await,
        Some(Kind::NotFound)
    );
    // What a transaction writes is looked at as it will be.
    let both = [patient("n", &["d"]), observation("of-n", "n")];
    assert_eq!(world.transaction(doctor(), &both).await, None);
    let both = [patient("m", &["e"]), observation("of-m", "m")];
    assert_eq!(world.transaction(doctor(), &both).await, forbidden);
    let found = world.finds(Subject::operator(), "Patient?_id=m,n").await;
    assert_eq!(found, "Patient/n");
}

#[tokio::test]
async fn what_may_be_seen_may_not_always_be_changed() {
    let world = World::new().await;
    let rules = json!([
        allow("see", &["read", "search"], &["Observation"], None),
        allow(
            "write",
            &["update", "delete"],
            &["Observation"],
            Some("Patient/a/*")
        ),
    ]);
    world.policy("p", rules).await.unwrap();
    let forbidden = Some(Kind::Forbidden);
    assert_eq!(world.put(doctor(), &observation("oa", "a")).await, None);
    assert_eq!(
        world.put(doctor(), &observation("ob", "a")).await,
        forbidden
    );
    assert_eq!(world.delete(doctor(), "Observation", "ob").await, forbidden);
    assert_eq!(world.delete(doctor(), "Observation", "oa").await, None);
    // A client writes what its scopes say and no rule denies.
    let finals = deny("finals", &["Observation"], Some("Observation?status=final"));
    world.policy("q", json!([finals])).await.unwrap();
    let program = || client("system/*.cruds");
    assert_eq!(
        world.put(program(), &observation("oc", "b")).await,
        forbidden
    );
    // Under a hidden id as under a free one, but that nothing is made.
    for id in ["ob", "free"] {
        let put = world.put(program(), &observation(id, "b")).await;
        assert_eq!(put, forbidden, "{id}");
    }
    let registered = |id: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "registered",
            "code": {"text": "x"}})
    };
    let put = world.put(program(), &registered("ob")).await;
    assert_eq!(put, Some(Kind::NotFound));
    assert_eq!(world.put(program(), &registered("oc")).await, None);
}

#[tokio::test]
async fn what_cannot_be_read_cannot_be_patched() {
    let world = World::new().await;
    let rules = json!([
        allow("patch", &["patch"], &["Observation"], None),
        allow("read", &["read"], &["Observation"], Some("Patient/a/*")),
    ]);
    world.policy("p", rules).await.unwrap();
    let cx = world.as_one(doctor()).await;
    let patch = async |id: &str| {
        let body = json!([{"op": "test", "path": "/status", "value": "final"}]).to_string();
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let sent = (PatchFormat::Json, body.into());
        let service = &world.0.service;
        let done = service.patch(&cx, "Observation", Which::Id(id), sent, &options);
        done.await.err().map(|error| error.kind())
    };
    assert_eq!(patch("oa").await, None);
    assert_eq!(patch("ob").await, Some(Kind::NotFound));
}
