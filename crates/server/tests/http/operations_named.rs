//! Operations that rules open or shut by name, for users who sign in.

use serde_json::{Value, json};

use crate::bulk::place;
use crate::relations::Ward;
use crate::wire::{Answer, Request};

fn rule(id: &str, effect: &str, role: &str, actions: &[&str], kinds: &[&str]) -> Value {
    json!({"id": id, "effect": effect, "subjects": [format!("role:{role}")],
        "actions": actions, "kinds": kinds})
}

impl Ward {
    #[track_caller]
    fn call(&self, token: &str, method: &str, path: &str) -> Answer {
        let path = format!("{}/{path}", self.0.base());
        let mut request = Request::new(method, &path)
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/fhir+json");
        if path.contains("$export") {
            request = request.header("Prefer", "respond-async");
        }
        self.0.send(request)
    }
}

#[test]
fn a_rule_shuts_an_operation_for_its_subjects() {
    let ward = Ward::new("named-shut");
    let all = |role: &str| rule(&format!("all-{role}"), "allow", role, &["*"], &["*"]);
    let shut = rule("shut", "deny", "clerk", &["$everything", "$export"], &["*"]);
    let group = rule("group", "deny", "doctor", &["$everything"], &["Encounter"]);
    ward.policy(json!([all("clerk"), all("doctor"), shut, group]));
    let clerk = ward.user("clerk", "clerk", "Practitioner/d");
    let doctor = ward.user("doctor", "doctor", "Practitioner/d");
    for path in [
        "Patient/a/$everything",
        "Patient/$everything",
        "$export",
        "Patient/$export",
    ] {
        ward.call(&clerk, "GET", path).expect(403);
        assert!(ward.call(&doctor, "GET", path).status < 300, "{path}");
    }
    ward.call(&clerk, "GET", "Patient/a/$meta").expect(200);
    ward.call(&clerk, "GET", "Patient/a").expect(200);
    ward.call(&doctor, "GET", "Encounter/x/$everything")
        .expect(403);
    // In a batch, too.
    let entry = json!({"request": {"method": "GET", "url": "Patient/a/$everything"}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let answer = ward.ask(&clerk, "POST", "/fhir", batch).expect(200).json();
    let status = answer["entry"][0]["response"]["status"].as_str().unwrap();
    assert!(status.starts_with("403"), "{status}");
    // Clients are shut out as users are.
    let everyone = json!({"id": "x", "effect": "deny", "subjects": ["everyone"],
        "actions": ["$everything"], "kinds": ["*"]});
    ward.policy(json!([everyone]));
    ward.0.get("Patient/a/$everything").expect(403);
    ward.0.get("Patient/a").expect(200);
    ward.admin("GET", "/fhir/Patient/a/$everything", Value::Null)
        .expect(200);
}

#[test]
fn an_operation_that_a_rule_allows_by_name_is_closed_to_others() {
    let ward = Ward::new("named-open");
    let all = |role: &str| rule(&format!("all-{role}"), "allow", role, &["*"], &["*"]);
    ward.policy(json!([all("clerk"), all("doctor")]));
    let clerk = ward.user("clerk", "clerk", "Practitioner/d");
    let doctor = ward.user("doctor", "doctor", "Practitioner/d");
    ward.call(&clerk, "GET", "$export").expect(202);
    let mut open = rule("open", "allow", "doctor", &["$export"], &["*"]);
    ward.policy(json!([all("clerk"), all("doctor"), open.clone()]));
    ward.call(&clerk, "GET", "$export").expect(403);
    ward.call(&clerk, "GET", "Patient/a/$everything")
        .expect(200);
    let job = place(&ward.call(&doctor, "GET", "$export").expect(202));
    let own = ward.0.with(&doctor);
    crate::bulk::wait(&own, &job).expect(200);
    // What a client may, its scopes say.
    let request = Request::new("GET", &format!("{}/$export", ward.0.base()))
        .header("Prefer", "respond-async");
    crate::bulk::signed(&ward.0, request).expect(202);
    // For its purposes only.
    open["purposes"] = json!(["HRESCH"]);
    ward.policy(json!([all("doctor"), open]));
    ward.call(&doctor, "GET", "$export").expect(403);
    // It gives nothing that the other actions do not.
    ward.policy(json!([rule(
        "o",
        "allow",
        "doctor",
        &["$everything"],
        &["*"]
    )]));
    ward.call(&doctor, "GET", "Patient/a/$everything")
        .expect(403);
}

#[test]
fn what_administrators_may_do_a_rule_may_allow_by_name() {
    let ward = Ward::new("named-purge");
    for name in ["Erasmus", "Zwingli"] {
        for id in ["a", "b"] {
            let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": name}]});
            ward.0.put(&patient).expect(200);
        }
    }
    let mut own = rule("own", "allow", "keeper", &["*"], &["*"]);
    own["condition"] = "Patient/a/*".into();
    ward.policy(json!([own.clone()]));
    let keeper = ward.user("keeper", "keeper", "Practitioner/d");
    for path in ["Patient/a/$purge-history", "$purge-history", "$reindex"] {
        ward.call(&keeper, "POST", path).expect(403);
    }
    let named = ["$purge-history", "$reindex"];
    let open = rule("open", "allow", "keeper", &named, &["*"]);
    ward.policy(json!([own, open]));
    ward.call(&keeper, "POST", "Patient/b/$purge-history")
        .expect(404);
    let purged = |answer: Answer| answer.expect(200).json()["parameter"][0]["valueInteger"].clone();
    // Of the records that they may delete only.
    assert_eq!(purged(ward.call(&keeper, "POST", "$purge-history")), 2);
    let versions = |id: &str| {
        ward.0
            .get(&format!("Patient/{id}/_history"))
            .expect(200)
            .found()
    };
    assert_eq!((versions("a").len(), versions("b").len()), (1, 3));
    ward.call(&keeper, "POST", "$reindex").expect(200);
    // What is no operation stays the administrators'.
    ward.ask(&keeper, "GET", "/admin/reindex", Value::Null)
        .expect(403);
    let rules = ward.0.get("AuditEvent?_count=50").expect(200);
    assert!(rules.body.contains("urn:salus:rule:test/open"));
}

#[test]
fn questions_know_operations() {
    let ward = Ward::new("named-asked");
    let all = rule("all", "allow", "clerk", &["*"], &["*"]);
    let open = rule("open", "allow", "clerk", &["$reindex"], &["*"]);
    let shut = rule("shut", "deny", "clerk", &["$everything"], &["Patient"]);
    ward.policy(json!([all, open, shut]));
    let ask = |action: &str, about: Option<(&str, &str)>| {
        let mut question = json!({"as": {"roles": ["clerk"]}, "action": action});
        if let Some((member, value)) = about {
            question[member] = value.into();
        }
        let body = json!({"questions": [question]});
        ward.admin("POST", "/admin/policy-questions", body)
    };
    let answer = |action: &str, about| ask(action, about).expect(200).json()["answers"][0].clone();
    let on_patient = Some(("resource", "Patient/a"));
    let everything = answer("$everything", on_patient);
    assert_eq!(
        (&everything["allowed"], &everything["named"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(everything["rules"][0]["rule"], "test/shut");
    let reindex = answer("$reindex", None);
    assert_eq!(
        (&reindex["allowed"], &reindex["rule"]),
        (&json!(true), &json!("test/open"))
    );
    assert_eq!(answer("$merge", Some(("type", "Patient")))["named"], false);
    assert_eq!(answer("$lastn", on_patient)["allowed"], false);
    ask("$nothing", None).expect(400);
    ask("read", None).expect(400);
}

#[test]
fn who_sees_the_audit_whole_and_accounts_for_disclosures_can_be_asked() {
    let ward = Ward::new("named-audit");
    let all = |role: &str| rule(&format!("all-{role}"), "allow", role, &["*"], &["*"]);
    let open = |id: &str, role: &str, action: &str| rule(id, "allow", role, &[action], &["*"]);
    ward.policy(json!([
        all("clerk"),
        all("officer"),
        rule(
            "reads",
            "allow",
            "officer",
            &["read", "search"],
            &["AuditEvent"]
        ),
        rule(
            "looks",
            "allow",
            "clerk",
            &["read", "search"],
            &["AuditEvent"]
        ),
        open("sees", "officer", "$audit"),
        open("accounts", "officer", "$disclosures"),
    ]));
    let questions = |role: &str| {
        let one = |action: &str| json!({"as": {"roles": [role]}, "action": action});
        let body = json!({"questions": [one("$audit"), one("$disclosures")]});
        let answer = ward.admin("POST", "/admin/policy-questions", body);
        answer.expect(200).json()["answers"].clone()
    };
    let officer = questions("officer");
    for (at, rule) in ["sees", "accounts"].into_iter().enumerate() {
        assert_eq!(officer[at]["allowed"], true, "{officer}");
        let named = officer[at]["rules"].to_string();
        assert!(named.contains(rule), "{officer}");
    }
    let clerk = questions("clerk");
    for at in 0..2 {
        assert_eq!(clerk[at]["allowed"], false, "{clerk}");
    }
}
