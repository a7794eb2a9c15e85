//! SMART App Launch over HTTP: launches, the choice of a patient, scopes with
//! searches, and what a user leaves out.

use serde_json::{Value, json};

use crate::oauth::register;
use crate::oauth_users::{BACK, Browser, PASSWORD, Place, authorize, place, text, told, trade};
use crate::wire::{Answer, Request};

const SCOPES: &str = "openid offline_access launch launch/patient launch/encounter patient/*.cruds \
                      user/*.cruds";

/// A place with two patients, of whom one has been measured and was there.
pub(crate) fn clinic() -> Place {
    let place = place();
    for id in ["app2", "other"] {
        let client = json!({
            "id": id, "name": "Growth chart", "token_endpoint_auth_method": "none",
            "scopes": SCOPES,
            "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [BACK],
        });
        register(&place.project, &client).expect(201);
    }
    let observation = |id: &str, of: &str, category: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "x"},
            "subject": {"reference": format!("Patient/{of}")},
            "category": [{"coding": [{"system": "urn:c", "code": category}]}]})
    };
    for resource in [
        json!({"resourceType": "Patient", "id": "eve", "name": [{"given": ["Eve"], "family": "Adams"}],
            "birthDate": "1970-01-02"}),
        json!({"resourceType": "Patient", "id": "bob", "name": [{"text": "Bob Best", "family": "Best"}]}),
        observation("lab", "eve", "laboratory"),
        observation("vital", "eve", "vital-signs"),
        observation("bobs", "bob", "laboratory"),
        json!({"resourceType": "Encounter", "id": "visit", "status": "finished",
            "class": {"code": "AMB", "display": "ambulatory"}, "subject": {"reference": "Patient/eve"}}),
    ] {
        place.project.put(&resource).expect(201);
    }
    place
}

/// Signs in at the page of a request: the page after it.
fn sign_in(browser: &mut Browser, place: &Place, changes: &[(&str, &str)]) -> Answer {
    let page = browser.get(place, &authorize(changes)).expect(200);
    let user = [("email", "first@example.org"), ("password", PASSWORD)];
    let done = browser.submit(place, &page, "/auth/authorize/sign-in", &user);
    let next = done.expect(303).header("location").unwrap().to_owned();
    let (_, path) = next.split_once("/auth/").unwrap();
    browser.get(place, &format!("/auth/{path}"))
}

/// What the client is given for what the user decides on a page.
fn decide(browser: &mut Browser, place: &Place, page: &Answer, more: &[(&str, &str)]) -> Value {
    let decision = [&[("decision", "allow")], more].concat();
    let path = "/auth/authorize/decision";
    let done = browser.submit(place, page, path, &decision).expect(303);
    let code = told(done.header("location").unwrap(), "code").unwrap();
    let pairs = [("code", &*code), ("client_id", "app2")];
    trade(place, &pairs).expect(200).json()
}

fn launch(place: &Place, body: &Value) -> Answer {
    place.project.server.admin("POST", "/auth/launch", body)
}

/// Where a request ends that goes no further.
#[track_caller]
fn check_back(answer: Answer, error: &str) {
    let back = answer.expect(303).header("location").unwrap().to_owned();
    assert_eq!(told(&back, "error").as_deref(), Some(error), "{back}");
}

#[test]
fn an_app_is_launched_once_with_what_it_is_about() {
    let place = clinic();
    let made = launch(
        &place,
        &json!({"client_id": "app2", "patient": "eve", "encounter": "visit", "intent": "grow",
            "need_patient_banner": false, "tenant": "ward", "fhirContext": [{"reference": "Observation/lab"}]}),
    );
    let made = made.expect(201).json();
    let opaque = text(&made, "launch");
    let asks = [
        ("client_id", "app2"),
        ("scope", "launch patient/Observation.rs offline_access"),
        ("launch", &*opaque),
    ];
    let mut browser = Browser::default();
    let page = sign_in(&mut browser, &place, &asks).expect(200);
    assert!(
        page.body.contains("name=\"patient\" value=\"eve\""),
        "{}",
        page.body
    );
    let given = decide(&mut browser, &place, &page, &[("patient", "eve")]);
    for (name, value) in [
        ("patient", json!("eve")),
        ("encounter", json!("visit")),
        ("intent", json!("grow")),
        ("need_patient_banner", json!(false)),
        ("tenant", json!("ward")),
        ("fhirContext", json!([{"reference": "Observation/lab"}])),
    ] {
        assert_eq!(given[name], value, "{given}");
    }
    assert!(text(&given, "smart_style_url").ends_with("/auth/smart-style.json"));
    let asks_for = place.project.with(&text(&given, "access_token"));
    asks_for.get("Observation/lab").expect(200);
    asks_for.get("Observation/bobs").expect(404);
    asks_for.get("Patient/eve").expect(403);
    // The context stays with it.
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", "app2"),
        ("refresh_token", &*text(&given, "refresh_token")),
    ];
    let again = crate::oauth::form(&place.project, "/auth/token", &pairs);
    assert_eq!(again.expect(200).json()["encounter"], "visit");
    // Once, and for this app only; without a launch there is none.
    check_back(browser.get(&place, &authorize(&asks)), "invalid_request");
    let second = text(
        &launch(&place, &json!({"client_id": "other"}))
            .expect(201)
            .json(),
        "launch",
    );
    for changes in [
        vec![
            ("client_id", "app2"),
            ("scope", "launch"),
            ("launch", &*second),
        ],
        vec![("client_id", "app2"), ("scope", "launch")],
        vec![
            ("client_id", "app2"),
            ("scope", "openid"),
            ("launch", &*second),
        ],
        vec![("client_id", "app2"), ("scope", "launch"), ("launch", "x")],
    ] {
        check_back(browser.get(&place, &authorize(&changes)), "invalid_request");
    }
    // Whom the user cannot see they give nobody.
    let nobody = json!({"client_id": "app2", "patient": "nobody"});
    let third = text(&launch(&place, &nobody).expect(201).json(), "launch");
    let changes = [
        ("client_id", "app2"),
        ("scope", "launch"),
        ("launch", &*third),
    ];
    check_back(browser.get(&place, &authorize(&changes)), "access_denied");
}

#[test]
fn launches_are_made_by_who_may() {
    let place = clinic();
    let body = json!({"client_id": "app2", "patient": "eve"});
    let ehr = place.project.client("ehr", "salus/launch.create");
    let none = place.project.client("none", "system/*.cruds");
    let as_client = |token: &str| {
        let request = Request::new("POST", "/auth/launch")
            .header("Authorization", format!("Bearer {token}"))
            .body(body.to_string());
        place.project.send(request)
    };
    as_client(&ehr).expect(201);
    as_client(&none).expect(403);
    place.project.with(&ehr).get("Patient/eve").expect(403);
    launch(&place, &json!({"client_id": "ehr"})).expect(400);
    launch(&place, &json!({"client_id": "app2", "patient": "a b"})).expect(400);
}

#[test]
fn a_user_chooses_a_patient_that_they_see() {
    let place = clinic();
    let mut browser = Browser::default();
    let asks = [
        ("client_id", "app2"),
        ("scope", "launch/patient launch/encounter patient/*.rs"),
    ];
    let page = sign_in(&mut browser, &place, &asks).expect(200);
    assert!(page.body.contains("Eve Adams, 1970-01-02"), "{}", page.body);
    assert!(page.body.contains("Bob Best"));
    let path = "/auth/authorize/patient";
    let page = browser
        .submit(&place, &page, path, &[("name", "best")])
        .expect(200);
    assert!(page.body.contains("Bob Best") && !page.body.contains("Eve"));
    let none = browser
        .submit(&place, &page, path, &[("name", "zz")])
        .expect(200);
    assert!(none.body.contains("Nobody of this name"));
    let page = browser
        .submit(&place, &none, path, &[("patient", "nobody")])
        .expect(200);
    assert!(page.body.contains("Choose a patient"), "{}", page.body);
    let page = browser
        .submit(&place, &page, path, &[("patient", "eve")])
        .expect(200);
    assert!(page.body.contains("ambulatory, finished"), "{}", page.body);
    let chosen = [("patient", "eve"), ("encounter", "visit")];
    let given = decide(&mut browser, &place, &page, &chosen);
    assert_eq!(
        (&given["patient"], &given["encounter"]),
        (&json!("eve"), &json!("visit"))
    );
    assert_eq!(given["need_patient_banner"], true);
    let asks = place.project.with(&text(&given, "access_token"));
    assert_eq!(asks.get("Observation").expect(200).found().len(), 2);
    asks.get("Patient/bob").expect(404);
    // Nobody decides about a patient without choosing one.
    let page = browser.get(
        &place,
        &authorize(&[("client_id", "app2"), ("scope", "patient/*.rs")]),
    );
    let without = [("decision", "allow")];
    let page = browser.submit(
        &place,
        &page.expect(200),
        "/auth/authorize/patient",
        &without,
    );
    assert!(page.expect(200).body.contains("Choose a patient"));
}

#[test]
fn a_scope_with_a_search_shows_and_takes_no_more() {
    let place = clinic();
    let mut browser = Browser::default();
    let scope = "user/Observation.cruds?category=urn:c|laboratory user/Patient.rs?nothing=x";
    let asks = [("client_id", "app2"), ("scope", scope)];
    let page = sign_in(&mut browser, &place, &asks).expect(200);
    let given = decide(&mut browser, &place, &page, &[]);
    assert_eq!(
        given["scope"],
        "user/Observation.cruds?category=urn:c|laboratory"
    );
    let asks = place.project.with(&text(&given, "access_token"));
    let mut found = asks.get("Observation").expect(200).found();
    found.sort();
    assert_eq!(found, ["Observation/bobs", "Observation/lab"]);
    asks.get("Observation/vital").expect(404);
    asks.get("Patient").expect(403);
    let mut lab = asks.get("Observation/lab").expect(200).json();
    lab["category"][0]["coding"][0]["code"] = json!("vital-signs");
    asks.put(&lab).expect(403);
    let mut vital = place.project.get("Observation/vital").expect(200).json();
    vital["status"] = json!("amended");
    // It is refused as under an id that is free.
    asks.put(&vital).expect(403);
    // The same of a client that acts for itself.
    let token = place
        .project
        .client("own", "system/Observation.rs?category=laboratory");
    let own = place.project.with(&token);
    assert_eq!(own.get("Observation").expect(200).found().len(), 2);
    own.get("Observation/vital").expect(404);
    let bad = json!({"id": "bad", "name": "Bad", "scopes": "system/Patient.rs?nothing=x"});
    register(&place.project, &bad).expect(400);
}

#[test]
fn a_user_leaves_out_what_they_like() {
    let place = clinic();
    let mut browser = Browser::default();
    let scope = "openid offline_access user/Patient.rs user/Observation.rs";
    let asks = [("client_id", "app2"), ("scope", scope)];
    let page = sign_in(&mut browser, &place, &asks).expect(200);
    let kept = [("chosen", "scopes"), ("scope-3", "user/Observation.rs")];
    let given = decide(&mut browser, &place, &page, &kept);
    assert_eq!(given["scope"], "openid user/Observation.rs");
    assert!(given["refresh_token"].is_null());
    let asks = place.project.with(&text(&given, "access_token"));
    asks.get("Patient").expect(403);
    asks.get("Observation").expect(200);
    // What was not asked for cannot be added.
    let page = browser.get(
        &place,
        &authorize(&[("client_id", "app2"), ("scope", scope)]),
    );
    let page = page.expect(200);
    let more = [
        ("chosen", "scopes"),
        ("scope-0", "user/*.cruds"),
        ("scope-2", "user/Patient.rs"),
    ];
    let given = decide(&mut browser, &place, &page, &more);
    assert_eq!(given["scope"], "openid user/Patient.rs");
    let none = [("chosen", "scopes"), ("decision", "allow")];
    let page = browser.get(
        &place,
        &authorize(&[("client_id", "app2"), ("scope", scope)]),
    );
    let done = browser.submit(&place, &page.expect(200), "/auth/authorize/decision", &none);
    check_back(done, "access_denied");
}

#[test]
fn a_request_may_come_as_a_form() {
    let place = clinic();
    let query = authorize(&[]);
    let (path, form) = query.split_once('?').unwrap();
    let request = Request::new("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    let answer = place.project.send(request).expect(303);
    let next = answer.header("location").unwrap();
    assert!(next.ends_with(&query), "{next}");
}

#[test]
fn a_project_shows_its_brands() {
    let place = place();
    let get = |path: &str| place.project.send(Request::new("GET", path)).expect(200);
    let write = |body: &Value| place.project.server.admin("PUT", "/admin/brands", body);
    let configuration = "/fhir/.well-known/smart-configuration";
    assert!(get(configuration).json()["user_access_brand_bundle"].is_null());
    let bundle = |ty: &str| {
        json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"fullUrl": "https://example.org/a", "resource": {"resourceType": ty, "name": "Clinic",
                "active": true}},
        ]})
    };
    write(&bundle("Organization")).expect(200);
    let place_of = text(&get(configuration).json(), "user_access_brand_bundle");
    let (_, path) = place_of.split_once("/auth/").unwrap();
    let shown = get(&format!("/auth/{path}"));
    assert_eq!(shown.header("access-control-allow-origin"), Some("*"));
    assert_eq!(shown.json(), bundle("Organization"));
    write(&json!({"resourceType": "Patient"})).expect(400);
    write(&bundle("Location")).expect(400);
    write(&json!({"resourceType": "Bundle", "type": "collection"})).expect(400);
    write(&json!({"resourceType": "Bundle", "type": "nothing"})).expect(400);
    write(&Value::Null).expect(200);
    assert!(get(configuration).json()["user_access_brand_bundle"].is_null());
}
