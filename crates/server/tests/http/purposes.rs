//! Purposes of use: what requests state, and what rules, consents, jobs and the audit make of it.

use serde_json::{Value, json};

use crate::bulk::{path_of, place, signed};
use crate::oauth::{check_error, form, register};
use crate::oauth_users::{BACK, Browser, authorize, place as app_place, text, told, trade};
use crate::relations::Ward;
use crate::wire::{Answer, Request};

const HEADER: &str = "Salus-Purpose-Of-Use";

impl Ward {
    /// Asks for a purpose.
    #[track_caller]
    fn ask_for(&self, token: &str, purpose: &str, path: &str) -> Answer {
        let path = format!("/p/{}/fhir/{path}", self.0.slug);
        let request = Request::new("GET", &path)
            .header("Authorization", format!("Bearer {token}"))
            .header(HEADER, purpose);
        self.0.send(request)
    }

    #[track_caller]
    fn finds_for(&self, token: &str, purpose: &str, search: &str) -> String {
        let mut found = self.ask_for(token, purpose, search).expect(200).found();
        found.sort();
        found.join(" ")
    }

    fn allow_purposes(&self, allowed: &[&str]) {
        let care = json!({"purposes": {"default": "TREAT", "allowed": allowed}});
        self.admin("PUT", "/admin/care", care).expect(200);
    }
}

fn allow(id: &str, kinds: &[&str], purposes: &[&str]) -> Value {
    json!({"id": id, "effect": "allow", "subjects": ["role:staff"], "actions": ["*"],
        "kinds": kinds, "purposes": purposes})
}

/// A ward whose staff sees all for treatment, and observations of patient `a` for research.
fn ward(slug: &str) -> (Ward, String) {
    let ward = Ward::new(slug);
    ward.allow_purposes(&["TREAT", "HRESCH"]);
    let mut research = allow("research", &["Observation"], &["HRESCH"]);
    research["condition"] = "Patient/a/*".into();
    ward.policy(json!([allow("care", &["*"], &["TREAT"]), research]));
    let token = ward.user("staff", "staff", "Practitioner/d");
    (ward, token)
}

/// What the audit says that something was done for, each time.
fn purposes(ward: &Ward, what: &str) -> Vec<Value> {
    let search = format!("AuditEvent?subtype={what}&_count=1000");
    let found = ward.0.get(&search).expect(200).json();
    let entries = found["entry"].as_array().unwrap().iter();
    let events = entries.map(|entry| &entry["resource"]);
    events
        .map(|event| event["purposeOfEvent"][0]["coding"][0]["code"].clone())
        .collect()
}

#[test]
fn a_rule_counts_for_its_purposes_and_what_is_below_them() {
    let (ward, token) = ward("purposes-rules");
    assert_eq!(
        ward.finds(&token, "Observation"),
        "Observation/oa Observation/ob"
    );
    assert_eq!(
        ward.finds_for(&token, "TREAT", "Observation"),
        "Observation/oa Observation/ob"
    );
    assert_eq!(
        ward.finds_for(&token, "COC", "Observation"),
        "Observation/oa Observation/ob"
    );
    for purpose in ["HRESCH", "CLINTRCH"] {
        assert_eq!(
            ward.finds_for(&token, purpose, "Observation"),
            "Observation/oa"
        );
        ward.ask_for(&token, purpose, "Observation/ob").expect(404);
        ward.ask_for(&token, purpose, "Observation/oa").expect(200);
        ward.ask_for(&token, purpose, "Patient").expect(403);
        let included = "Observation?_include=Observation:subject";
        assert_eq!(ward.finds_for(&token, purpose, included), "Observation/oa");
        let history = ward
            .ask_for(&token, purpose, "Observation/_history")
            .expect(200);
        assert_eq!(history.found(), ["Observation/oa"]);
    }
    // The audit tells what each was for, also where that was not said.
    let searches = purposes(&ward, "search-type");
    for purpose in ["TREAT", "COC", "HRESCH", "CLINTRCH"] {
        assert!(
            searches.contains(&purpose.into()),
            "{purpose}: {searches:?}"
        );
    }
    // A rule that denies, denies these only.
    let all = json!({"id": "all", "effect": "allow", "subjects": ["role:staff"],
        "actions": ["*"], "kinds": ["*"]});
    let mut no_research = allow("no-research", &["Observation"], &["HRESCH"]);
    no_research["effect"] = "deny".into();
    ward.policy(json!([all, no_research]));
    assert_eq!(
        ward.finds(&token, "Observation"),
        "Observation/oa Observation/ob"
    );
    ward.ask_for(&token, "DSRCH", "Observation").expect(403);
}

#[test]
fn what_may_not_be_stated_is_refused() {
    let (ward, token) = ward("purposes-refused");
    for (purpose, status) in [
        ("", 400),
        ("treat", 400),
        ("TREAT, HRESCH", 400),
        ("TREATMENT", 400),
        ("HPAYMT", 403),
        ("ETREAT", 403),
        ("BTG", 403),
    ] {
        ward.ask_for(&token, purpose, "Observation").expect(status);
    }
    let path = format!("/p/{}/fhir/Observation", ward.0.slug);
    let twice = format!("TREAT\r\n{HEADER}: HRESCH");
    ward.ask_for(&token, &twice, "Observation").expect(400);
    // Where nobody is known, nothing is told of it.
    let unknown = Request::new("GET", &path).header(HEADER, "nothing");
    ward.0.send(unknown).expect(401);
    let refused = ward.0.get("AuditEvent?outcome=4&_count=50").expect(200);
    let rules = ["purpose-unknown", "purpose-not-allowed"];
    for rule in rules.map(|rule| format!("urn:salus:rule:{rule}")) {
        assert!(refused.body.contains(&rule), "{rule}: {}", refused.body);
    }
    // The project says what users may state, from the next request on.
    ward.allow_purposes(&["TREAT", "ETREAT", "HPAYMT"]);
    ward.ask_for(&token, "ETREAT", "Observation").expect(200);
    ward.ask_for(&token, "HPAYMT", "Observation").expect(403);
    ward.ask_for(&token, "HRESCH", "Observation").expect(403);
    for wrong in [json!(["BTG"]), json!(["HRESCH"]), json!(["x"]), json!([])] {
        let care = json!({"purposes": {"allowed": wrong}});
        ward.admin("PUT", "/admin/care", care).expect(400);
    }
    let care = json!({"purposes": {"default": "HRESCH", "allowed": ["HRESCH"]}});
    ward.admin("PUT", "/admin/care", care).expect(200);
    assert_eq!(ward.finds(&token, "Observation"), "Observation/oa");
}

#[test]
fn a_batch_and_a_deferred_request_are_for_what_was_stated() {
    let (ward, token) = ward("purposes-batch");
    let post = |prefer: Option<&str>| {
        let entry = json!({"request": {"method": "GET", "url": "Observation"}});
        let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
        let mut request = Request::new("POST", &ward.0.base())
            .header("Authorization", format!("Bearer {token}"))
            .header("Content-Type", "application/fhir+json")
            .header(HEADER, "HRESCH")
            .body(batch.to_string());
        if let Some(prefer) = prefer {
            request = request.header("Prefer", prefer);
        }
        ward.0.send(request)
    };
    let here = post(None).expect(200).json();
    assert_eq!(here["entry"][0]["resource"]["total"], 1, "{here}");
    let job = place(&post(Some("respond-async")).expect(202));
    let own = ward.0.with(&token);
    let later = crate::bulk::wait(&own, &job).expect(200).json();
    let bundle = &later["entry"][0]["resource"]["entry"][0]["resource"];
    assert_eq!(bundle["total"], 1, "{later}");
}

#[test]
fn an_export_keeps_its_purpose() {
    let (ward, token) = ward("purposes-export");
    let exported = |purpose: Option<&str>| {
        let mut request = Request::new("GET", &format!("{}/$export", ward.0.base()))
            .header("Authorization", format!("Bearer {token}"))
            .header("Prefer", "respond-async");
        if let Some(purpose) = purpose {
            request = request.header(HEADER, purpose);
        }
        let own = ward.0.with(&token);
        let job = place(&ward.0.send(request).expect(202));
        let manifest = crate::bulk::wait(&own, &job).expect(200).json();
        let files = manifest["output"].as_array().unwrap().iter();
        let lines = files.flat_map(|file| {
            let path = path_of(file["url"].as_str().unwrap());
            let file = signed(&own, Request::new("GET", &path)).expect(200);
            let lines: Vec<String> = file.body.lines().map(str::to_owned).collect();
            lines
        });
        lines.count()
    };
    assert_eq!(exported(Some("HRESCH")), 1);
    assert!(exported(None) > 4);
    assert!(purposes(&ward, "operation").contains(&"HRESCH".into()));
}

#[test]
fn consents_compare_with_what_is_stated() {
    let (ward, token) = ward("purposes-consents");
    let all = json!({"id": "all", "effect": "allow", "subjects": ["role:staff"],
        "actions": ["*"], "kinds": ["*"]});
    ward.policy(json!([all]));
    let consent = json!({"resourceType": "Consent", "id": "c", "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]}, "category": [{"text": "x"}],
        "policyRule": {"text": "x"}, "patient": {"reference": "Patient/a"},
        "provision": {"type": "deny", "purpose": [{"code": "HRESCH"}]}});
    ward.0.put(&consent).expect(201);
    let care = json!({"consent": "opt-out",
        "purposes": {"allowed": ["TREAT", "HRESCH", "HMARKT"]}});
    ward.admin("PUT", "/admin/care", care).expect(200);
    let both = "Observation/oa Observation/ob";
    assert_eq!(ward.finds(&token, "Observation"), both);
    assert_eq!(ward.finds_for(&token, "HMARKT", "Observation"), both);
    for purpose in ["HRESCH", "BIORCH"] {
        assert_eq!(
            ward.finds_for(&token, purpose, "Observation"),
            "Observation/ob"
        );
    }
    // Of a client that states nothing nobody knows; one that is registered is known.
    let registered = |id: &str, more: Value| {
        let mut client = json!({"id": id, "name": id, "scopes": "system/*.rs"});
        client
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let made = ward
            .admin("POST", "/admin/clients", client)
            .expect(201)
            .json();
        ward.0.sign_in(id, made["client_secret"].as_str().unwrap())
    };
    let unknown = registered("plain", json!({}));
    assert_eq!(ward.finds(&unknown, "Observation"), "Observation/ob");
    ward.ask_for(&unknown, "TREAT", "Observation").expect(403);
    let known = registered(
        "known",
        json!({"purposes": ["TREAT", "HRESCH"], "default_purpose": "TREAT"}),
    );
    assert_eq!(ward.finds(&known, "Observation"), both);
    assert_eq!(
        ward.finds_for(&known, "HRESCH", "Observation"),
        "Observation/ob"
    );
    ward.ask_for(&known, "HMARKT", "Observation").expect(403);
    for wrong in [
        json!({"id": "w", "name": "w", "scopes": "system/*.rs", "purposes": ["BTG"]}),
        json!({"id": "w", "name": "w", "scopes": "system/*.rs", "purposes": ["x"]}),
        json!({"id": "w", "name": "w", "scopes": "system/*.rs", "default_purpose": "TREAT"}),
    ] {
        ward.admin("POST", "/admin/clients", wrong).expect(400);
    }
}

#[test]
fn the_token_of_a_client_is_bound_to_what_it_asked_for() {
    let ward = Ward::new("purposes-token");
    let client = json!({"id": "lab", "name": "Laboratory", "scopes": "system/*.rs",
        "purposes": ["HRESCH", "TREAT"], "default_purpose": "TREAT"});
    let made = register(&ward.0, &client).expect(201).json();
    let secret = text(&made, "client_secret");
    let ask = |purpose: &str| {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", "lab"),
            ("client_secret", &*secret),
            ("purpose_of_use", purpose),
        ];
        form(&ward.0, "/auth/token", &pairs)
    };
    check_error(&ask("HMARKT"), 400, "invalid_request");
    check_error(&ask("research"), 400, "invalid_request");
    let bound = ask("urn:oid:2.16.840.1.113883.5.8#HRESCH")
        .expect(200)
        .json();
    let token = text(&bound, "access_token");
    ward.ask_for(&token, "TREAT", "Observation").expect(403);
    ward.ask_for(&token, "HRESCH", "Observation").expect(200);
    ward.ask_for(&token, "DSRCH", "Observation").expect(200);
    let pairs = [
        ("client_id", "lab"),
        ("client_secret", &*secret),
        ("token", &*token),
    ];
    let seen = form(&ward.0, "/auth/introspect", &pairs).expect(200).json();
    let of = &seen["extensions"]["ihe_iua"]["purpose_of_use"][0];
    assert_eq!(of["code"], "HRESCH", "{seen}");
    let deny = json!([{"id": "x", "effect": "deny", "subjects": ["everyone"],
        "actions": ["*"], "kinds": ["*"], "purposes": ["HRESCH"]}]);
    ward.policy(deny);
    ward.ask(&token, "GET", "/fhir/Observation", Value::Null)
        .expect(403);
    let other = text(&ask("").expect(200).json(), "access_token");
    ward.ask(&other, "GET", "/fhir/Observation", Value::Null)
        .expect(200);
}

#[test]
fn an_app_asks_for_a_purpose_that_it_may_state() {
    let place = app_place();
    let study = json!({"id": "study", "name": "Study", "token_endpoint_auth_method": "none",
        "scopes": "openid user/Patient.rs", "grant_types": ["authorization_code"],
        "redirect_uris": [BACK], "purposes": ["HRESCH"]});
    register(&place.project, &study).expect(201);
    let path = |client: &str, purpose: &str| {
        let scope = ("scope", "openid user/Patient.rs");
        authorize(&[scope, ("client_id", client), ("purpose_of_use", purpose)])
    };
    // The other app is registered for no purpose.
    for (client, purpose) in [("app", "HRESCH"), ("study", "TREAT"), ("study", "nothing")] {
        let refused = Browser::default()
            .get(&place, &path(client, purpose))
            .expect(303);
        let back = refused.header("location").unwrap().to_owned();
        assert_eq!(
            told(&back, "error").unwrap(),
            "invalid_request",
            "{client} {purpose}"
        );
    }
    let back = Browser::default().agree_to(&place, &path("study", "CLINTRCH"));
    let code = told(&back, "code").unwrap();
    let given = trade(&place, &[("client_id", "study"), ("code", &code)])
        .expect(200)
        .json();
    let own = place.project.with(&text(&given, "access_token"));
    own.get("Patient").expect(200);
    let stated = |purpose: &str| own.send(own.request("GET", "Patient").header(HEADER, purpose));
    stated("CLINTRCHPC").expect(200);
    stated("HRESCH").expect(403);
    stated("TREAT").expect(403);
}

#[test]
fn questions_are_asked_for_a_purpose() {
    let (ward, token) = ward("purposes-asked");
    let ask = |who: Value| {
        let question = json!({"as": who, "action": "search", "type": "Patient"});
        let body = json!({"questions": [question]});
        ward.admin("POST", "/admin/policy-questions", body)
    };
    let answer = |who: Value| ask(who).expect(200).json()["answers"][0].clone();
    assert_eq!(answer(json!({"roles": ["staff"]}))["rule"], "test/care");
    let research = answer(json!({"roles": ["staff"], "purpose": "HRESCH"}));
    assert_eq!(research["allowed"], false);
    ask(json!({"roles": ["staff"], "purpose": "x"})).expect(400);
    ask(json!({"roles": ["staff"], "purpose": "HMARKT"})).expect(400);
    ward.ask_for(&token, "HRESCH", "Patient").expect(403);
}
