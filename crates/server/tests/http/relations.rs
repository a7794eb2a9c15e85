//! Rules about the patients to whom a user stands in a relationship, for users who sign in.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::Answer;

/// A project with some patients.
pub(crate) struct Ward(pub(crate) Project);

impl Ward {
    pub(crate) fn new(slug: &str) -> Self {
        let ward = Self(project(slug));
        for id in ["a", "b"] {
            let patient = json!({"resourceType": "Patient", "id": id, "birthDate": "2020-01-01"});
            ward.0.put(&patient).expect(201);
            ward.put_observation(&format!("o{id}"), id, &[]);
        }
        ward.0
            .put(&json!({"resourceType": "Practitioner", "id": "d"}))
            .expect(201);
        ward
    }

    #[track_caller]
    pub(crate) fn put_observation(&self, id: &str, of: &str, labels: &[(&str, &str)]) {
        let labels = labels.iter().map(|(system, code)| {
            let system = format!("http://terminology.hl7.org/CodeSystem/{system}");
            json!({"system": system, "code": code})
        });
        let mut observation = json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"text": "x"}, "subject": {"reference": format!("Patient/{of}")}});
        let labels: Vec<Value> = labels.collect();
        if !labels.is_empty() {
            observation["meta"] = json!({"security": labels});
        }
        self.0.put(&observation).expect(201);
    }

    #[track_caller]
    pub(crate) fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.0.admin(method, path, &body)
    }

    #[track_caller]
    pub(crate) fn policy(&self, rules: Value) {
        let answer = self.admin("PUT", "/admin/policies/test", json!({"rules": rules}));
        assert!(answer.status < 300, "{}", answer.body);
    }

    /// Makes a user of a role with a profile, who signs in.
    #[track_caller]
    pub(crate) fn user(&self, name: &str, role: &str, profile: &str) -> String {
        let more = json!({"roles": [role], "profiles": [profile]});
        self.0.user(name, &more);
        self.sign_in(name)
    }

    #[track_caller]
    pub(crate) fn sign_in(&self, name: &str) -> String {
        self.0.sign_in_user(name)
    }

    #[track_caller]
    pub(crate) fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.0.ask(token, method, path, &body)
    }

    /// What a user finds, by type and id.
    #[track_caller]
    pub(crate) fn finds(&self, token: &str, search: &str) -> String {
        let answer = self.ask(token, "GET", &format!("/fhir/{search}"), Value::Null);
        let mut found = answer.expect(200).found();
        found.sort();
        found.join(" ")
    }
}

fn rule(relationship: &str) -> Value {
    json!({"id": relationship, "effect": "allow", "subjects": ["role:clinician", "role:parent"],
        "actions": ["*"], "kinds": ["*"], "relationship": relationship})
}

fn care_team(who: &str, status: &str, end: Option<&str>) -> Value {
    let mut participant = json!({"member": {"reference": who}});
    if let Some(end) = end {
        participant["period"] = json!({"end": end});
    }
    json!({"resourceType": "CareTeam", "id": "t", "status": status,
        "subject": {"reference": "Patient/a"}, "participant": [participant]})
}

#[test]
fn a_care_team_shows_its_patient_from_the_next_request_on() {
    let ward = Ward::new("relations-team");
    ward.policy(json!([rule("care-team")]));
    let token = ward.user("doc", "clinician", "Practitioner/d");
    let finds = || ward.finds(&token, "Observation");
    assert_eq!(finds(), "");
    ward.0
        .put(&care_team("Practitioner/d", "active", None))
        .expect(201);
    assert_eq!(finds(), "Observation/oa");
    assert_eq!(ward.finds(&token, "Patient"), "Patient/a");
    let read = |id: &str| ward.ask(&token, "GET", &format!("/fhir/Patient/{id}"), Value::Null);
    read("a").expect(200);
    read("b").expect(404);
    let observation = |of: &str| {
        json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{of}")}})
    };
    let create = |of: &str| ward.ask(&token, "POST", "/fhir/Observation", observation(of));
    create("a").expect(201);
    create("b").expect(403);
    for (status, end) in [("inactive", None), ("active", Some("2020-01-01"))] {
        ward.0
            .put(&care_team("Practitioner/d", status, end))
            .expect(200);
        assert_eq!(finds(), "", "{status}");
        ward.0
            .put(&care_team("Practitioner/d", "active", None))
            .expect(200);
        assert!(finds().contains("Observation/oa"));
    }
    // Through a role, and through the organization that it is held in.
    ward.0
        .put(&json!({"resourceType": "Organization", "id": "o", "name": "o"}))
        .expect(201);
    let role = |active: bool| {
        json!({"resourceType": "PractitionerRole", "id": "r", "active": active,
            "practitioner": {"reference": "Practitioner/d"},
            "organization": {"reference": "Organization/o"}})
    };
    ward.0.put(&role(true)).expect(201);
    for who in ["PractitionerRole/r", "Organization/o"] {
        ward.0.put(&care_team(who, "active", None)).expect(200);
        assert!(finds().contains("Observation/oa"), "{who}");
        ward.0.put(&role(false)).expect(200);
        assert_eq!(finds(), "", "{who}");
        ward.0.put(&role(true)).expect(200);
    }
    ward.0.delete("CareTeam/t");
    assert_eq!(finds(), "");
}

#[test]
fn an_encounter_relates_while_it_lasts_and_as_long_as_the_project_says() {
    let ward = Ward::new("relations-encounter");
    ward.policy(json!([rule("encounter"), rule("general-practitioner")]));
    let token = ward.user("doc", "clinician", "Practitioner/d");
    let finds = || ward.finds(&token, "Patient");
    let encounter = |status: &str, end: Option<&str>| {
        let mut encounter = json!({"resourceType": "Encounter", "id": "e", "status": status,
            "class": {"code": "AMB"}, "subject": {"reference": "Patient/a"},
            "participant": [{"individual": {"reference": "Practitioner/d"}}],
            "period": {"start": "2020-01-01"}});
        if let Some(end) = end {
            encounter["period"]["end"] = end.into();
        }
        encounter
    };
    ward.0.put(&encounter("in-progress", None)).expect(201);
    assert_eq!(finds(), "Patient/a");
    ward.0.put(&encounter("cancelled", None)).expect(200);
    assert_eq!(finds(), "");
    ward.0
        .put(&encounter("finished", Some("2020-01-02")))
        .expect(200);
    assert_eq!(finds(), "");
    let set = |hours: u32| {
        ward.admin(
            "PUT",
            "/admin/care",
            json!({"encounter_grace_hours": hours}),
        )
    };
    set(8784).expect(200);
    let end = ward
        .admin("GET", "/admin/care", Value::Null)
        .expect(200)
        .json();
    assert_eq!(end["encounter_grace_hours"], 8784);
    assert_eq!(end["proxy_until_age"], 18);
    set(9000).expect(400);
    ward.admin("PUT", "/admin/care", json!({"unknown": 1}))
        .expect(400);
    ward.ask(&token, "GET", "/admin/care", Value::Null)
        .expect(403);
    let general = json!({"resourceType": "Patient", "id": "b",
        "generalPractitioner": [{"reference": "Practitioner/d"}]});
    ward.0.put(&general).expect(200);
    assert_eq!(finds(), "Patient/b");
    ward.0
        .put(&json!({"resourceType": "Patient", "id": "b"}))
        .expect(200);
    assert_eq!(finds(), "");
}

#[test]
fn a_parent_acts_for_a_child_until_somebody_ends_it() {
    let ward = Ward::new("relations-proxy");
    let mut of_child = rule("proxy");
    of_child["actions"] = json!(["read", "search"]);
    // Who is old enough to sign in may end it themselves.
    let revoke = json!({"id": "revoke", "effect": "allow", "subjects": ["role:patient"],
        "actions": ["read", "update"], "kinds": ["RelatedPerson"],
        "condition": "RelatedPerson?patient=%user.patient"});
    ward.policy(json!([of_child, revoke]));
    let related = |active: bool| {
        json!({"resourceType": "RelatedPerson", "id": "m", "active": active,
            "patient": {"reference": "Patient/a"},
            "relationship": [{"coding": [{"code": "MTH"}]}]})
    };
    ward.0.put(&related(true)).expect(201);
    let parent = ward.user("parent", "parent", "RelatedPerson/m");
    let child = ward.user("child", "patient", "Patient/a");
    let finds = || ward.finds(&parent, "Observation");
    assert_eq!(finds(), "Observation/oa");
    let path = "/fhir/Observation/oa";
    ward.ask(&parent, "DELETE", path, Value::Null).expect(403);
    ward.ask(&parent, "GET", path, Value::Null).expect(200);
    ward.admin("PUT", "/admin/care", json!({"proxy_until_age": 2}))
        .expect(200);
    assert_eq!(finds(), "");
    ward.admin("PUT", "/admin/care", json!({})).expect(200);
    assert_eq!(finds(), "Observation/oa");
    let answer = ward.ask(&child, "PUT", "/fhir/RelatedPerson/m", related(false));
    answer.expect(200);
    assert_eq!(finds(), "");
    let answer = ward.ask(&parent, "PUT", "/fhir/RelatedPerson/m", related(true));
    assert!(
        answer.status == 403 || answer.status == 404,
        "{}",
        answer.status
    );
}

#[test]
fn labels_shut_what_they_mark() {
    let ward = Ward::new("relations-labels");
    ward.put_observation("mind", "a", &[("v3-ActCode", "PSY")]);
    ward.put_observation("alcohol", "a", &[("v3-ActCode", "ETHUD")]);
    ward.put_observation("very", "a", &[("v3-Confidentiality", "V")]);
    ward.put_observation("normal", "a", &[("v3-Confidentiality", "N")]);
    let allow = |id: &str, more: Value| {
        let mut rule = json!({"id": id, "effect": "allow", "subjects": [format!("role:{id}")],
            "actions": ["*"], "kinds": ["Observation"]});
        rule.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        rule
    };
    ward.policy(json!([
        allow("plain", json!({"exceptLabels": ["SPI", "R"]})),
        allow("mind", json!({"labels": ["PSY"]})),
        allow("all", json!({})),
        {"id": "no-alcohol", "effect": "deny", "subjects": ["role:all"], "actions": ["*"],
            "kinds": ["*"], "labels": ["SUD"]},
    ]));
    for (role, expect) in [
        ("plain", "Observation/normal Observation/oa Observation/ob"),
        ("mind", "Observation/mind"),
        (
            "all",
            "Observation/mind Observation/normal Observation/oa Observation/ob Observation/very",
        ),
    ] {
        let token = ward.user(role, role, "Practitioner/d");
        assert_eq!(ward.finds(&token, "Observation"), expect, "{role}");
        // Nobody marks, or takes marks away from, what they may not see afterwards or before.
        let alcohol = json!({"resourceType": "Observation", "id": "alcohol", "status": "final",
            "code": {"text": "x"}});
        // Who could not have created it is told the same as under a free id.
        let status = if role == "mind" { 403 } else { 404 };
        ward.ask(&token, "PUT", "/fhir/Observation/alcohol", alcohol)
            .expect(status);
    }
    let wrong = json!({"rules": [allow("a", json!({"labels": ["NOTHING"]}))]});
    let answer = ward
        .admin("PUT", "/admin/policies/wrong", wrong)
        .expect(400);
    assert!(
        answer.body.contains("rules[0].labels[0]"),
        "{}",
        answer.body
    );
    let of_nobody = json!({"relationship": "care-team", "kinds": ["*", "Medication"]});
    let wrong = json!({"rules": [allow("a", of_nobody)]});
    let answer = ward
        .admin("PUT", "/admin/policies/wrong", wrong)
        .expect(400);
    assert!(answer.body.contains("for Medication"), "{}", answer.body);
    let wrong = json!({"rules": [allow("a", json!({"relationship": "friend"}))]});
    let answer = ward
        .admin("PUT", "/admin/policies/wrong", wrong)
        .expect(400);
    assert!(
        answer.body.contains("rules[0].relationship"),
        "{}",
        answer.body
    );
}

#[test]
fn breaking_the_glass_opens_one_patient_for_a_while_and_is_seen() {
    let ward = Ward::new("relations-glass");
    ward.put_observation("part2", "a", &[("v3-ActCode", "42CFRPart2")]);
    let mut opens = rule("break-glass");
    opens["actions"] = json!(["read", "search"]);
    ward.policy(json!([rule("care-team"), opens]));
    let token = ward.user("doc", "clinician", "Practitioner/d");
    let other = ward.user("other", "visitor", "Practitioner/d");
    let finds = || ward.finds(&token, "Observation");
    assert_eq!(finds(), "");
    let begin = |token: &str, patient: &str, text: &str, part_2: Value| {
        let reason = json!({"code": "ETREAT", "text": text});
        let body = json!({"patient": patient, "reason": reason, "part_2": part_2});
        ward.ask(token, "POST", "/auth/break-glass", body)
    };
    let why = "unconscious in the lobby";
    // Only who is meant by a rule, with a reason, for a patient that there is.
    begin(&other, "a", why, Value::Null).expect(403);
    begin(&token, "a", "x", Value::Null).expect(400);
    begin(&token, "nobody", why, Value::Null).expect(404);
    begin(&token, "a", why, json!("x")).expect(400);
    assert_eq!(finds(), "");
    let begun = begin(&token, "a", why, Value::Null).expect(201).json();
    assert_eq!(begun["patient"], "a");
    let answer = ward
        .ask(&token, "GET", "/fhir/Observation", Value::Null)
        .expect(200);
    assert_eq!(answer.found(), ["Observation/oa"]);
    let until = begun["until"].as_str().unwrap();
    let banner = format!("active; until={until}");
    assert_eq!(answer.header("salus-break-glass"), Some(&*banner));
    let other = ward.ask(&other, "GET", "/fhir/metadata", Value::Null);
    assert_eq!(other.header("salus-break-glass"), None);
    // What a program of Part 2 wrote takes an attestation of its own.
    let refused = ward
        .ask(&token, "GET", "/fhir/Observation/part2", Value::Null)
        .expect(404);
    assert_eq!(refused.header("salus-break-glass"), Some(&*banner));
    let unreadable = ward.ask(&token, "POST", "/fhir/Observation", json!("no resource"));
    assert_eq!(unreadable.header("salus-break-glass"), Some(&*banner));
    let attested = begin(&token, "a", why, json!("a medical emergency, 42 CFR 2.51"));
    let attested = attested.expect(201).json();
    ward.ask(&token, "GET", "/fhir/Observation/part2", Value::Null)
        .expect(200);
    assert_eq!(finds(), "Observation/oa Observation/part2");
    // It is in the audit as what it is.
    let found = ward.0.get("AuditEvent?_count=100").expect(200).json();
    let entries = found["entry"].as_array().unwrap();
    let is_emergency =
        |entry: &&Value| entry["resource"]["purposeOfEvent"][0]["coding"][0]["code"] == "BTG";
    let emergencies: Vec<_> = entries.iter().filter(is_emergency).collect();
    let of = |code: &str| {
        let of = |entry: &&&Value| {
            let event = &entry["resource"];
            event["type"]["code"] == code || event["subtype"][0]["code"] == code
        };
        emergencies.iter().filter(of).count()
    };
    assert!(of("110113") >= 2, "the alert");
    assert!(
        of("search-type") >= 2 && of("read") >= 1,
        "and what was done"
    );
    // It can be ended, by the user alone.
    let own = ward
        .ask(&token, "GET", "/auth/break-glass", Value::Null)
        .expect(200)
        .json();
    assert_eq!(own["emergencies"].as_array().unwrap().len(), 2);
    for id in [&begun["id"], &attested["id"]] {
        let path = format!("/auth/break-glass/{}", id.as_str().unwrap());
        ward.ask(&ward.sign_in("other"), "DELETE", &path, Value::Null)
            .expect(404);
        ward.ask(&token, "DELETE", &path, Value::Null).expect(200);
    }
    let answer = ward
        .ask(&token, "GET", "/fhir/Observation", Value::Null)
        .expect(200);
    assert_eq!(answer.found(), [""; 0]);
    assert_eq!(answer.header("salus-break-glass"), None);
    // And waits for somebody to look at it.
    let queue = |state: &str| {
        let path = format!("/admin/break-glass{state}");
        let found = ward.admin("GET", &path, Value::Null).expect(200).json();
        found["emergencies"].as_array().unwrap().len()
    };
    assert_eq!(queue(""), 2);
    let path = format!(
        "/admin/break-glass/{}/review",
        begun["id"].as_str().unwrap()
    );
    ward.ask(&token, "POST", &path, json!({"outcome": "justified"}))
        .expect(403);
    ward.admin("POST", &path, json!({"outcome": "fine"}))
        .expect(400);
    let reviewed = ward
        .admin("POST", &path, json!({"outcome": "justified"}))
        .expect(200)
        .json();
    assert_eq!(reviewed["review"]["outcome"], "justified");
    assert_eq!((queue(""), queue("?state=all")), (1, 2));
    ward.admin("GET", "/admin/break-glass?state=x", Value::Null)
        .expect(400);
}

#[test]
fn consents_of_patients_count_where_a_project_says_so() {
    let ward = Ward::new("relations-consent");
    ward.policy(
        json!([{"id": "all", "effect": "allow", "subjects": ["role:clinician"],
        "actions": ["*"], "kinds": ["*"]}]),
    );
    let token = ward.user("doc", "clinician", "Practitioner/d");
    let finds = || ward.finds(&token, "Observation");
    let consent = |status: &str, kind: &str| {
        let actor = json!([{"role": {"coding": [{"code": "PRCP"}]},
            "reference": {"reference": "Practitioner/d"}}]);
        json!({"resourceType": "Consent", "id": "c", "status": status,
            "scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"text": "x"}],
            "patient": {"reference": "Patient/a"}, "policyRule": {"text": "x"},
            "provision": {"type": kind, "actor": actor}})
    };
    let model = |model: &str| ward.admin("PUT", "/admin/care", json!({"consent": model}));
    ward.0.put(&consent("active", "deny")).expect(201);
    assert_eq!(finds(), "Observation/oa Observation/ob");
    model("opt-out").expect(200);
    assert_eq!(finds(), "Observation/ob");
    let write = || {
        let observation = json!({"resourceType": "Observation", "status": "final",
            "code": {"text": "x"}, "subject": {"reference": "Patient/a"}});
        ward.ask(&token, "POST", "/fhir/Observation", observation)
    };
    write().expect(403);
    ward.0.put(&consent("inactive", "deny")).expect(200);
    assert_eq!(finds(), "Observation/oa Observation/ob");
    model("opt-in").expect(200);
    assert_eq!(finds(), "");
    write().expect(403);
    ward.0.put(&consent("active", "permit")).expect(200);
    assert_eq!(finds(), "Observation/oa");
    write().expect(201);
    model("else").expect(400);
    // What consents say stands above what a program's scopes do.
    let program = ward.0.with(&ward.0.client("program", "system/*.rs"));
    assert_eq!(program.get("Observation").expect(200).found(), [""; 0]);
}

#[test]
fn no_payer_learns_of_what_patients_paid_themselves() {
    let ward = Ward::new("relations-payer");
    ward.put_observation("own", "a", &[("v3-ActCode", "HIPAASelfPay")]);
    ward.policy(
        json!([{"id": "all", "effect": "allow", "subjects": ["everyone"],
        "actions": ["*"], "kinds": ["*"]}]),
    );
    let payer = ward.user("payer", "payer", "Practitioner/d");
    let doctor = ward.user("doc", "clinician", "Practitioner/d");
    let all = "Observation/oa Observation/ob";
    assert_eq!(ward.finds(&payer, "Observation"), all);
    ward.ask(&payer, "GET", "/fhir/Observation/own", Value::Null)
        .expect(404);
    assert_eq!(
        ward.finds(&doctor, "Observation"),
        format!("{all} Observation/own")
    );
    let program = ward.0.with(&ward.0.client("insurer", "system/*.rs"));
    let finds = || program.get("Observation").expect(200).found().len();
    assert_eq!(finds(), 3);
    ward.admin("PUT", "/admin/care", json!({"payer_clients": ["insurer"]}))
        .expect(200);
    assert_eq!(finds(), 2);
}
