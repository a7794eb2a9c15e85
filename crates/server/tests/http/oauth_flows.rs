//! Ways to tokens beside the code: requests sent ahead, devices, tokens handed on, and
//! keys that servers keep.

use serde_json::{Value, json};

use crate::oauth::{check_error, form, register};
use crate::oauth_users::{Browser, PASSWORD, Place, authorize, place, text, told, trade};
use crate::wire::{Answer, Request};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Signs in at a page: where the user goes from there.
fn sign_in(browser: &mut Browser, place: &Place, page: &Answer) -> Answer {
    let user = [("email", "first@example.org"), ("password", PASSWORD)];
    let done = browser.submit(place, page, "/auth/authorize/sign-in", &user);
    let next = done.expect(303).header("location").unwrap().to_owned();
    let (_, path) = next.split_once("/auth/").unwrap();
    browser.get(place, &format!("/auth/{path}")).expect(200)
}

fn allow(browser: &mut Browser, place: &Place, page: &Answer) -> Answer {
    let allow = [("decision", "allow")];
    browser.submit(place, page, "/auth/authorize/decision", &allow)
}

#[test]
fn a_request_sent_ahead_holds_once_for_its_client() {
    let place = place();
    let query = authorize(&[("scope", "openid user/Patient.rs")]);
    let (_, pushed) = query.split_once('?').unwrap();
    let push = |body: &str| {
        let request = Request::new("POST", "/auth/par")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body);
        place.project.send(request)
    };
    let made = push(pushed).expect(201);
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let name = text(&made.json(), "request_uri");
    let ask = |client: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([("client_id", client), ("request_uri", &*name)]);
        format!("/auth/authorize?{}", query.finish())
    };
    let mut browser = Browser::default();
    browser.get(&place, &ask("other")).expect(400);
    let page = browser.get(&place, &ask("app")).expect(200);
    let page = sign_in(&mut browser, &place, &page);
    let done = allow(&mut browser, &place, &page).expect(303);
    let code = told(done.header("location").unwrap(), "code").unwrap();
    trade(&place, &[("code", &code)]).expect(200);
    browser.get(&place, &ask("app")).expect(400);
    // What would be refused later is refused now.
    check_error(
        &push(&pushed.replace("S256", "plain")),
        400,
        "invalid_request",
    );
    check_error(
        &push(&pushed.replace("app.example.org", "b.example.org")),
        400,
        "invalid_request",
    );
    check_error(
        &push(&pushed.replace("client_id=app", "client_id=no")),
        401,
        "invalid_client",
    );
    check_error(
        &push(&format!("{pushed}&request_uri=x")),
        400,
        "invalid_request",
    );
}

#[test]
fn a_device_gets_what_a_user_agreed_to_elsewhere() {
    let place = place();
    let client = json!({
        "id": "tv", "name": "Wall display", "token_endpoint_auth_method": "none",
        "scopes": "user/Patient.rs offline_access", "grant_types": [DEVICE, "refresh_token"],
    });
    register(&place.project, &client).expect(201);
    let begin = || {
        let pairs = [("client_id", "tv"), ("scope", "user/*.rs offline_access")];
        form(&place.project, "/auth/device_authorization", &pairs)
            .expect(200)
            .json()
    };
    let poll = |waiting: &Value| {
        let code = text(waiting, "device_code");
        let pairs = [
            ("grant_type", DEVICE),
            ("client_id", "tv"),
            ("device_code", &*code),
        ];
        form(&place.project, "/auth/token", &pairs)
    };
    let waiting = begin();
    check_error(&poll(&waiting), 400, "authorization_pending");
    check_error(&poll(&waiting), 400, "slow_down");
    let mut browser = Browser::default();
    let place_of = text(&waiting, "verification_uri_complete");
    let (_, path) = place_of.split_once("/auth/").unwrap();
    let page = browser.get(&place, &format!("/auth/{path}")).expect(200);
    let code = text(&waiting, "user_code");
    assert!(
        page.body.contains(&format!("value=\"{code}\"")),
        "{}",
        page.body
    );
    let typed = code.replace('-', "").to_lowercase();
    let page = browser
        .get(&place, &format!("/auth/authorize?user_code={typed}"))
        .expect(200);
    let page = sign_in(&mut browser, &place, &page);
    assert!(
        page.body.contains(&format!("a device that shows {code}")),
        "{}",
        page.body
    );
    let done = allow(&mut browser, &place, &page).expect(200);
    assert!(done.body.contains("goes on now"), "{}", done.body);
    let given = poll(&waiting).expect(200).json();
    assert_eq!(given["scope"], "user/Patient.rs offline_access");
    place
        .project
        .with(&text(&given, "access_token"))
        .get("Patient")
        .expect(200);
    assert!(given["refresh_token"].is_string());
    check_error(&poll(&waiting), 400, "invalid_grant");
    // A code that was answered is none any more, and neither is any other.
    browser
        .get(&place, &format!("/auth/authorize?user_code={typed}"))
        .expect(400);
    let second = begin();
    let path = format!("/auth/authorize?user_code={}", text(&second, "user_code"));
    let page = browser.get(&place, &path).expect(200);
    let deny = [("decision", "deny")];
    browser
        .submit(&place, &page, "/auth/authorize/decision", &deny)
        .expect(200);
    check_error(&poll(&second), 400, "access_denied");
    // Whoever guesses is held up.
    let wrong = || browser_status(&place, "/auth/authorize?user_code=BBBBBBBB");
    let held = (0..40).map(|_| wrong()).find(|status| *status != 400);
    assert_eq!(held, Some(429));
    // Others are not registered for it.
    let other = [("client_id", "app"), ("scope", "openid")];
    let answer = form(&place.project, "/auth/device_authorization", &other);
    check_error(&answer, 400, "unauthorized_client");
}

fn browser_status(place: &Place, path: &str) -> u16 {
    Browser::default().get(place, path).status
}

#[test]
fn a_token_is_handed_on_and_gives_less() {
    let place = place();
    let back = Browser::default().agree(&place, "openid offline_access user/Patient.rs");
    let code = told(&back, "code").unwrap();
    let first = trade(&place, &[("code", &code)]).expect(200).json();
    let client = |id: &str, grants: Value| {
        let client = json!({"id": id, "name": id, "grant_types": grants,
            "scopes": "openid offline_access user/Patient.r system/*.cruds"});
        text(
            &register(&place.project, &client).expect(201).json(),
            "client_secret",
        )
    };
    let secret = client("backend", json!([EXCHANGE]));
    let other = client("other", json!(["client_credentials"]));
    let exchange = |id: &str, secret: &str, token: &str, scope: &str| {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("client_id", id),
            ("client_secret", secret),
            ("subject_token", token),
            ("subject_token_type", ACCESS_TOKEN),
            ("scope", scope),
        ];
        form(&place.project, "/auth/token", &pairs)
    };
    let token = text(&first, "access_token");
    let given = exchange("backend", &secret, &token, "").expect(200).json();
    assert_eq!(given["scope"], "user/Patient.r");
    assert_eq!(given["issued_token_type"], ACCESS_TOKEN);
    assert!(given["refresh_token"].is_null() && given["id_token"].is_null());
    let mut last = text(&given, "access_token");
    let asks = place.project.with(&last);
    asks.get("Patient").expect(403);
    asks.get("Patient/none").expect(404);
    check_error(
        &exchange("other", &other, &token, ""),
        400,
        "unauthorized_client",
    );
    let more = exchange("backend", &secret, &token, "user/Observation.rs");
    check_error(&more, 400, "invalid_scope");
    check_error(
        &exchange("backend", &secret, "sl1.x", ""),
        400,
        "invalid_request",
    );
    // A client's own token is nobody's to hand on.
    let own = place.project.client("own", "system/Patient.rs");
    check_error(
        &exchange("backend", &secret, &own, ""),
        400,
        "invalid_request",
    );
    for _ in 0..2 {
        let next = exchange("backend", &secret, &last, "").expect(200).json();
        last = text(&next, "access_token");
    }
    check_error(
        &exchange("backend", &secret, &last, ""),
        400,
        "invalid_request",
    );
    // All of it ends with what the user agreed to.
    let revoke = [
        ("client_id", "app"),
        ("token", &*text(&first, "refresh_token")),
    ];
    form(&place.project, "/auth/revoke", &revoke).expect(200);
    asks.get("Patient/none").expect(401);
    place.project.with(&last).get("Patient/none").expect(401);
}

#[test]
fn a_servers_key_is_good_from_its_addresses_until_it_is_ended() {
    let project = crate::host::project("service-keys");
    project.client("lab", "system/Patient.rs system/Observation.cruds");
    let path = "/p/service-keys/admin/clients/lab/keys";
    let admin = |method, path: &str, body: &Value| project.server.admin(method, path, body);
    let key = |name: &str, scopes: &str, addresses: Value| json!({"name": name, "scopes": scopes, "addresses": addresses, "days": 30});
    let here = key(
        "Analyser",
        "system/Observation.cruds",
        json!(["127.0.0.0/8", "::1"]),
    );
    let made = admin("POST", path, &here).expect(201).json();
    let token = text(&made, "key");
    let asks = project.with(&token);
    asks.get("Observation").expect(200);
    asks.get("Patient").expect(403);
    let elsewhere = key("Elsewhere", "", json!(["192.0.2.0/24"]));
    let other = admin("POST", path, &elsewhere).expect(201).json();
    project
        .with(&text(&other, "key"))
        .get("Patient")
        .expect(401);
    let listed = admin("GET", path, &Value::Null).expect(200);
    assert!(!listed.body.contains(&token));
    let listed = listed.json();
    let keys = listed["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2, "{listed}");
    let of = |name: &str| keys.iter().find(|key| key["name"] == name).unwrap();
    assert_eq!(
        of("Analyser")["addresses"],
        json!(["127.0.0.0/8", "::1/128"])
    );
    assert_eq!(of("Analyser")["scopes"], "system/Observation.cruds");
    assert!(of("Analyser")["used"].is_string() && of("Elsewhere")["used"].is_null());
    // Nothing is good for ever, from everywhere by default, or for more than its client.
    let mut endless = here.clone();
    endless["days"] = json!(367);
    admin("POST", path, &endless).expect(400);
    admin("POST", path, &key("Open", "", json!([]))).expect(400);
    admin("POST", path, &key("Bad", "", json!(["192.0.2.1/24"]))).expect(400);
    admin(
        "POST",
        path,
        &key("More", "system/Encounter.r", json!(["::1"])),
    )
    .expect(400);
    let none = "/p/service-keys/admin/clients/none/keys";
    admin("POST", none, &here).expect(404);
    let id = text(&made, "id");
    admin("DELETE", &format!("{none}/{id}"), &Value::Null).expect(404);
    admin("DELETE", &format!("{path}/{id}"), &Value::Null).expect(200);
    asks.get("Observation").expect(401);
}
