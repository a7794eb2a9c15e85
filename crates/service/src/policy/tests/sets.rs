//! The policy sets that come with the server do what they say.

use super::super::sets::SETS;
use super::*;

#[tokio::test]
async fn every_set_allows_and_refuses_what_it_has_to() {
    for (name, text) in SETS {
        let mut set: Value = serde_json::from_str(text).unwrap();
        let test = set.as_object_mut().unwrap().remove("test").unwrap();
        let host = Host::over(Arc::new(Memory::new())).await;
        let cx = context(Subject::operator(), SCOPE, NOW_MS);
        for resource in test["fixture"].as_array().unwrap() {
            host.put(&cx, resource).await.unwrap();
        }
        let body = set.to_string();
        let written = host.service.write_policy(&cx, name, body.as_bytes()).await;
        written.unwrap_or_else(|error| panic!("{name}: {:?}", error.issues()));
        let questions = json!({"questions": test["questions"]}).to_string();
        let answers = host.service.ask_policies(&cx, questions.as_bytes()).await;
        let answers = answers.unwrap_or_else(|error| panic!("{name}: {:?}", error.issues()));
        let asked = test["questions"].as_array().unwrap();
        assert!(asked.len() > 5, "{name}");
        for (question, answer) in asked.iter().zip(answers["answers"].as_array().unwrap()) {
            for (member, expected) in question["expect"].as_object().unwrap() {
                assert_eq!(&answer[member], expected, "{name}: {question} {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_change_can_be_compared_before_it_counts() {
    let world = World::new().await;
    let all = allow("all", &["search"], &["Patient", "Observation"], None);
    world.policy("p", json!([all])).await.unwrap();
    let own = allow("own", &["search"], &["Patient"], Some("Patient?_id=a"));
    let groups = allow("groups", &["search"], &["Practitioner"], None);
    let cx = context(Subject::operator(), SCOPE, NOW_MS);
    let ask = async |policies: Value, ty: &str| {
        let question = json!({"as": {"roles": ["clinician"]}, "action": "search", "type": ty,
            "compare": true});
        let body = json!({"policies": policies, "questions": [question]}).to_string();
        let answers = world
            .0
            .service
            .ask_policies(&cx, body.as_bytes())
            .await
            .unwrap();
        let answer = &answers["answers"][0];
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
