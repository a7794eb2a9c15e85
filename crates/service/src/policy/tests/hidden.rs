//! Elements that are hidden, or not to be changed: through every way to a resource.

use super::*;
use crate::fhir::CreateOptions;

/// A world whose patients have telephones; clinicians see these of their own only.
async fn world() -> World {
    let world = World::new().await;
    let cx = context(Subject::operator(), SCOPE, NOW_MS);
    for (id, of) in [("a", "d"), ("b", "e")] {
        let patient = json!({"resourceType": "Patient", "id": id, "active": true,
            "text": {"status": "generated",
                "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">secret</div>"},
            "telecom": [{"system": "phone", "value": format!("secret-{id}")}],
            "gender": "female",
            "contact": [{"name": {"family": "K"}, "gender": "male",
                "telecom": [{"system": "phone", "value": format!("secret-{id}")}]}],
            "generalPractitioner": [{"identifier": {"value": of}}]});
        world.0.put(&cx, &patient).await.unwrap();
    }
    world
}

fn hiding(mut rule: Value, hidden: &[&str]) -> Value {
    rule["hidden"] = json!(hidden);
    rule
}

/// All that a clinician may do, without telephones but for those of patient `a`.
async fn without_telephones() -> World {
    let world = world().await;
    let all = hiding(
        allow("all", &["*"], &["*"], None),
        &["Patient.telecom", "Patient.contact.telecom"],
    );
    let own = allow(
        "own",
        &["read", "search"],
        &["Patient"],
        Some("Patient?_id=a"),
    );
    world.policy("p", json!([all, own])).await.unwrap();
    world
}

impl World {
    async fn text(&self, id: &str) -> String {
        let cx = self.as_one(doctor()).await;
        let conditions = ReadConditions::default();
        let reply = self.0.service.read(&cx, "Patient", id, &conditions);
        String::from_utf8(reply.await.unwrap().body.unwrap().to_vec()).unwrap()
    }

    /// What is stored, as the operator sees it.
    async fn stored(&self, id: &str) -> Value {
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        let conditions = ReadConditions::default();
        let reply = self.0.service.read(&cx, "Patient", id, &conditions);
        serde_json::from_slice(&reply.await.unwrap().body.unwrap()).unwrap()
    }

    async fn patch(&self, body: Value) -> Result<String, Kind> {
        let cx = self.as_one(doctor()).await;
        let options = WriteOptions {
            condition: WriteCondition::None,
            idempotency_key: None,
        };
        let patch = (PatchFormat::Json, body.to_string().into());
        let which = Which::Id("b");
        let patched = self.0.service.patch(&cx, "Patient", which, patch, &options);
        let reply = patched.await.map_err(|error| error.kind())?;
        Ok(String::from_utf8(reply.body.unwrap().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn what_is_hidden_is_shown_by_no_way_to_a_resource() {
    let world = without_telephones().await;
    let own = world.text("a").await;
    assert!(
        own.contains("secret-a") && !own.contains("SUBSETTED"),
        "{own}"
    );
    let other = world.text("b").await;
    assert!(
        !other.contains("secret") && other.contains("SUBSETTED"),
        "{other}"
    );
    let cx = &world.as_one(doctor()).await;
    let service = &world.0.service;
    let conditions = &ReadConditions::default();
    let none = Vec::new;
    let search = |ty: &'static str, text: &str| {
        let pairs = crate::fhir::search::pairs(text);
        async move {
            let found = service.search(cx, ty, pairs, Handling::Strict).await;
            found.unwrap().body.unwrap()
        }
    };
    for body in [
        service
            .vread(cx, ("Patient", "b", "2"), &none())
            .await
            .unwrap()
            .body
            .unwrap(),
        service
            .history_instance(cx, "Patient", "b", none())
            .await
            .unwrap()
            .body
            .unwrap(),
        search("Patient", "_id=b").await,
        search("Observation", "_id=ob&_include=Observation:subject").await,
        search("Observation", "_id=ob&_include=*").await,
        search("Patient", "_id=b&_elements=telecom,contact").await,
    ] {
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.contains("SUBSETTED") && !text.contains("secret"),
            "{text}"
        );
    }
    for (page, count) in [
        (service.history_type(cx, "Patient", none()).await, 2),
        (service.history_system(cx, none()).await, 2),
    ] {
        let text = String::from_utf8(page.unwrap().body.unwrap().to_vec()).unwrap();
        assert!(!text.contains("secret-b"), "{text}");
        assert_eq!(text.matches("secret-a").count(), count, "{text}");
    }
    let binary = service.read(cx, "Patient", "c", conditions).await;
    assert_eq!(binary.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn what_tells_of_what_is_hidden_is_barred_whatever_there_is() {
    let world = without_telephones().await;
    for url in [
        "Patient?telecom=secret-b",
        "Patient?phone=x",
        "Patient?telecom:missing=true",
        "Patient?_sort=telecom",
        "Patient?_sort=_id,-telecom",
        "Patient?_text=secret",
        "Patient?_content=secret",
        "Patient?_filter=telecom%20eq%20x",
        "Observation?subject:Patient.telecom=x",
        "Observation?patient.phone=x",
        "Practitioner?_has:Patient:general-practitioner:telecom=x",
        "Practitioner?_has:Observation:performer:patient.telecom=x",
        "Observation?_contained=true",
    ] {
        assert_eq!(world.finds(doctor(), url).await, "Forbidden", "{url}");
        let cx = world.as_one(doctor()).await;
        let found = world.0.search(&cx, url, Handling::Lenient).await;
        assert!(found.is_err(), "{url}");
    }
    assert_eq!(
        world.finds(doctor(), "Patient?gender=female").await,
        "Patient/a Patient/b"
    );
    let cx = world.as_one(doctor()).await;
    let options = CreateOptions {
        if_none_exist: Some("telecom=secret-b".to_owned()),
        ..CreateOptions::default()
    };
    let body = r#"{"resourceType":"Patient"}"#;
    let created = world
        .0
        .service
        .create(&cx, "Patient", body.into(), &options)
        .await;
    assert_eq!(created.unwrap_err().kind(), Kind::Forbidden);
}

#[tokio::test]
async fn a_chain_may_be_hidden_itself() {
    let world = world().await;
    let all = hiding(allow("all", &["*"], &["*"], None), &["Observation.subject"]);
    world.policy("p", json!([all])).await.unwrap();
    for url in [
        "Observation?subject=Patient/a",
        "Observation?patient.gender=female",
        "Observation?_include=Observation:subject",
        "Observation?_include=*",
        "Patient?_revinclude=Observation:subject",
        "Patient?_has:Observation:subject:status=final",
    ] {
        assert_eq!(world.finds(doctor(), url).await, "Forbidden", "{url}");
    }
    let cx = world.as_one(doctor()).await;
    let compartment = ("Patient", "a");
    let within = world.0.service.search_compartment(
        &cx,
        compartment,
        "Observation",
        Vec::new(),
        Handling::Strict,
    );
    assert_eq!(within.await.unwrap_err().kind(), Kind::Forbidden);
}

#[tokio::test]
async fn what_is_hidden_is_neither_lost_nor_changed() {
    let world = without_telephones().await;
    let before = world.stored("b").await;
    // What was shown is sent back, with one change.
    let mut shown: Value = serde_json::from_str(&world.text("b").await).unwrap();
    shown["gender"] = "other".into();
    assert_eq!(world.put(doctor(), &shown).await, None);
    let after = world.stored("b").await;
    for element in ["telecom", "contact", "text"] {
        assert_eq!(before[element], after[element], "{element}");
    }
    assert_eq!(after["gender"], "other");
    assert!(after["meta"].get("tag").is_none(), "{after}");
    // What is hidden cannot be sent, nor what holds hidden parts be changed.
    let mut telecom = shown.clone();
    telecom["telecom"] = before["telecom"].clone();
    assert_eq!(world.put(doctor(), &telecom).await, Some(Kind::Forbidden));
    let mut contact = shown.clone();
    contact["contact"][0]["gender"] = "other".into();
    assert_eq!(world.put(doctor(), &contact).await, Some(Kind::Forbidden));
    assert_eq!(
        world.transaction(doctor(), &[telecom]).await,
        Some(Kind::Forbidden)
    );
    let new = json!({"resourceType": "Patient", "id": "new", "telecom": [{"system": "phone"}]});
    assert_eq!(world.put(doctor(), &new).await, Some(Kind::Forbidden));
    // Patches see what reads show.
    let test = json!([{"op": "test", "path": "/telecom/0/value", "value": "secret-b"}]);
    assert!(world.patch(test).await.is_err());
    let add = json!([{"op": "add", "path": "/telecom", "value": [{"system": "phone"}]}]);
    assert_eq!(world.patch(add).await, Err(Kind::Forbidden));
    let replace = json!([{"op": "replace", "path": "/gender", "value": "male"}]);
    let answer = world.patch(replace).await.unwrap();
    assert!(
        !answer.contains("secret") && answer.contains("SUBSETTED"),
        "{answer}"
    );
    let after = world.stored("b").await;
    assert_eq!(
        (&after["telecom"], &after["gender"]),
        (&before["telecom"], &json!("male"))
    );
    assert!(after["meta"].get("tag").is_none(), "{after}");
}

#[tokio::test]
async fn read_only_elements_are_seen_and_not_changed() {
    let world = world().await;
    let mut rule = allow("all", &["*"], &["*"], None);
    rule["readOnly"] = json!(["Patient.gender"]);
    world.policy("p", json!([rule])).await.unwrap();
    let mut patient = world.stored("b").await;
    patient["active"] = false.into();
    assert_eq!(world.put(doctor(), &patient).await, None);
    patient["gender"] = "male".into();
    assert_eq!(world.put(doctor(), &patient).await, Some(Kind::Forbidden));
    let new = json!({"resourceType": "Patient", "id": "n", "gender": "male"});
    assert_eq!(world.put(doctor(), &new).await, Some(Kind::Forbidden));
    assert_eq!(
        world.finds(doctor(), "Patient?gender=female").await,
        "Patient/a Patient/b"
    );
}

#[tokio::test]
async fn a_rule_that_denies_elements_leaves_the_records() {
    let world = world().await;
    let all = allow("all", &["*"], &["*"], None);
    let mut none = hiding(
        deny("none", &["Patient", "Observation"], None),
        &["Patient.telecom"],
    );
    none["actions"] = json!(["read"]);
    world.policy("p", json!([all, none])).await.unwrap();
    let text = world.text("a").await;
    let patient: Value = serde_json::from_str(&text).unwrap();
    assert!(
        text.contains("SUBSETTED") && patient.get("telecom").is_none(),
        "{text}"
    );
    assert_eq!(world.finds(doctor(), "Patient?_id=a").await, "Patient/a");
    assert_eq!(
        world.finds(doctor(), "Observation?_id=oa").await,
        "Observation/oa"
    );
    // Clients, whose scopes allow what they do, are denied them too.
    let client = client("system/*.cruds");
    assert_eq!(
        world.finds(client.clone(), "Patient?phone=x").await,
        "Forbidden"
    );
    assert_eq!(world.finds(client, "Patient?_id=a").await, "Patient/a");
}
