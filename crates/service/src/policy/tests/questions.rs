//! What policies come to, asked before they count.

use super::*;

impl World {
    async fn answer(&self, policies: Value, question: Value) -> Value {
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        let body = json!({"policies": policies, "questions": [question]}).to_string();
        let answers = self.0.service.ask_policies(&cx, body.as_bytes()).await;
        answers.unwrap_or_else(|error| panic!("{:?}", error.issues()))["answers"][0].clone()
    }
}

#[tokio::test]
async fn a_change_can_be_compared_before_it_counts() {
    let world = World::new().await;
    let all = allow("all", &["search"], &["Patient", "Observation"], None);
    world.policy("p", json!([all])).await.unwrap();
    let own = allow("own", &["search"], &["Patient"], Some("Patient?_id=a"));
    let groups = allow("groups", &["search"], &["Practitioner"], None);
    let ask = async |policies: Value, ty: &str| {
        let question = json!({"as": {"roles": ["clinician"]}, "action": "search", "type": ty,
            "compare": true});
        let answer = world.answer(policies, question).await;
        (
            answer["gained"].as_u64().unwrap(),
            answer["lost"].as_u64().unwrap(),
        )
    };
    let next = json!({"p": {"rules": [own, groups]}});
    assert_eq!(ask(next.clone(), "Patient").await, (0, 1));
    assert_eq!(ask(next.clone(), "Observation").await, (0, 3));
    assert_eq!(ask(next, "Practitioner").await, (1, 0));
    assert_eq!(ask(json!({"p": null}), "Patient").await, (0, 2));
    assert_eq!(ask(json!({}), "Patient").await, (0, 0));
    // Nothing has changed by asking.
    assert_eq!(world.finds(doctor(), "Patient?_id=b").await, "Patient/b");
}

#[tokio::test]
async fn what_is_gained_and_lost_is_told_by_id_and_by_element() {
    let world = World::new().await;
    let all = allow("all", &["read", "update"], &["Observation"], None);
    world.policy("p", json!([all])).await.unwrap();
    let finals = allow(
        "finals",
        &["read"],
        &["Observation"],
        Some("Observation?status=final"),
    );
    let mut next = finals.clone();
    next["hidden"] = json!(["Observation.subject"]);
    let question = |action: &str, ids: u64| {
        json!({"as": {"roles": ["clinician"]}, "action": action, "type": "Observation",
            "compare": true, "ids": ids})
    };
    let policies = json!({"p": {"rules": [next]}});
    let answer = world.answer(policies.clone(), question("read", 5)).await;
    assert_eq!((&answer["lost"], &answer["gained"]), (&json!(1), &json!(0)));
    assert_eq!(answer["lostIds"], json!(["oc"]));
    assert_eq!(answer["elementsLost"], json!(["Observation.subject"]));
    let answer = world.answer(policies.clone(), question("update", 2)).await;
    assert_eq!(answer["lost"], 3);
    assert_eq!(answer["lostIds"], json!(["oa", "ob"]));
    let answer = world.answer(policies, question("delete", 2)).await;
    assert_eq!((&answer["lost"], answer.get("lostIds")), (&json!(0), None));
}

#[tokio::test]
async fn each_part_of_a_rule_is_told_of() {
    let world = World::new().await;
    let mut rule = allow(
        "own",
        &["read"],
        &["Observation"],
        Some("Observation?status=final&subject=%user.patient"),
    );
    rule["exceptLabels"] = json!(["R"]);
    let none = allow("team", &["read"], &["Observation"], None);
    let mut team = none.clone();
    team["relationship"] = "care-team".into();
    let mut bare = deny("bare", &["Observation"], None);
    bare["hidden"] = json!(["Observation.code"]);
    let policies = json!({"p": {"rules": [rule, team, bare]}});
    let question = |profiles: Value, id: &str| {
        json!({"as": {"roles": ["clinician"], "profiles": profiles}, "action": "read",
            "resource": format!("Observation/{id}")})
    };
    let ask =
        |profiles: Value, id: &'static str| world.answer(policies.clone(), question(profiles, id));
    let matches = |answer: &Value| {
        let rules = answer["rules"].as_array().unwrap().iter();
        let of = |rule: &Value| {
            let parts = rule["parts"].as_array().into_iter().flatten();
            let parts: Vec<String> = parts.map(|part| part["matches"].to_string()).collect();
            format!(
                "{} {} {}",
                rule["rule"].as_str().unwrap(),
                rule["matches"],
                parts.join(",")
            )
        };
        rules.map(of).collect::<Vec<_>>()
    };
    let answer = ask(json!(["Patient/a"]), "oa").await;
    assert_eq!(answer["rule"], "p/own");
    assert_eq!(answer["hidden"], json!(["Observation.code"]));
    let expect = [
        "p/own true true,true,true",
        "p/team false false",
        "p/bare true ",
    ];
    assert_eq!(matches(&answer), expect);
    let answer = ask(json!(["Patient/b"]), "oc").await;
    assert_eq!(matches(&answer)[0], "p/own false true,false,false");
    // What denies elements does not decide about the record.
    assert_eq!(answer["rule"], "no rule allows it");
    let answer = ask(json!([]), "oa").await;
    assert_eq!(matches(&answer)[0], "p/own false true,true,false");
    let because = &answer["rules"][0]["parts"][2]["because"];
    assert_eq!(because, "this one has nothing of what it names");
}

#[tokio::test]
async fn a_write_is_tried_with_what_it_would_leave() {
    let world = World::new().await;
    let mut rule = allow(
        "of-a",
        &["create", "update", "read"],
        &["Observation"],
        Some("Observation?subject=Patient/a"),
    );
    rule["readOnly"] = json!(["Observation.status"]);
    world.policy("p", json!([rule])).await.unwrap();
    let ask = async |action: &str, id: Option<&str>, content: Value| {
        let mut question = json!({"as": {"roles": ["clinician"]}, "action": action,
            "content": content});
        if let Some(id) = id {
            question["resource"] = format!("Observation/{id}").into();
        }
        world.answer(json!({}), question).await
    };
    let new = |of: &str| {
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{of}")}})
    };
    // Who may not change an element may not choose it, either.
    let answer = ask("create", None, new("a")).await;
    assert_eq!(answer["elements"], json!(["Observation.status"]));
    assert_eq!(
        ask("create", None, new("b")).await["rules"][0]["matches"],
        false
    );
    let mut kept = observation("oa", "a");
    kept["code"]["text"] = "y".into();
    let answer = ask("update", Some("oa"), kept.clone()).await;
    assert_eq!(answer["allowed"], true, "{answer}");
    kept["status"] = "amended".into();
    assert_eq!(ask("update", Some("oa"), kept).await["allowed"], false);
    let answer = ask("update", Some("oa"), observation("oa", "b")).await;
    assert_eq!(
        (&answer["allowed"], &answer["rule"]),
        (&json!(false), &json!("no rule allows it"))
    );
    let answer = ask("update", Some("ob"), observation("ob", "a")).await;
    assert_eq!(answer["allowed"], false, "what it was counts, too");
    // Nothing was written.
    assert_eq!(
        world
            .finds(Subject::operator(), "Observation?code:text=y")
            .await,
        ""
    );
}
