//! Clients that register themselves (RFC 7591, RFC 7592), and how far that goes.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::oauth::{check_error, form, issuer};
use crate::oauth_users::{BACK, Browser, PASSWORD, authorize, hidden, place, text, told, trade};
use crate::wire::{Answer, Request};

#[track_caller]
fn set(project: &Project, setting: &Value) -> Answer {
    let path = format!("/p/{}/admin/registration", project.slug);
    project.server.admin("PUT", &path, setting)
}

fn ask(project: &Project, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let path = format!("/p/{}/auth/register{path}", project.slug);
    let mut request = Request::new(method, &path).header("Content-Type", "application/json");
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    project.send(request)
}

fn register(project: &Project, token: Option<&str>, body: &Value) -> Answer {
    ask(project, "POST", "", token, body)
}

fn public() -> Value {
    json!({
        "client_name": "Stranger", "redirect_uris": [BACK], "token_endpoint_auth_method": "none",
    })
}

/// What the documents of discovery say of registration.
fn discovered(project: &Project) -> [Value; 3] {
    let paths = [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/fhir/.well-known/smart-configuration",
    ];
    paths.map(|path| {
        let path = format!("/p/{}{path}", project.slug);
        let document = project.send(Request::new("GET", &path)).expect(200).json();
        document["registration_endpoint"].clone()
    })
}

#[test]
fn clients_register_where_the_project_lets_them_and_nowhere_else() {
    let project = project("registration-modes");
    let tokens = format!("/p/{}/admin/registration/tokens", project.slug);
    let admin = |method, path: &str, body: Value| project.server.admin(method, path, &body);

    check_error(&register(&project, None, &public()), 403, "access_denied");
    assert!(discovered(&project).iter().all(Value::is_null));

    set(&project, &json!({"mode": "token"})).expect(200);
    let place = json!(format!("{}/auth/register", issuer(&project)));
    assert!(discovered(&project).iter().all(|one| *one == place));
    for token in [None, Some("none"), Some(project.server.token())] {
        let refused = register(&project, token, &public());
        check_error(&refused, 401, "invalid_token");
        let way = refused.header("www-authenticate").unwrap();
        assert!(
            way.starts_with("Bearer") && way.contains("invalid_token"),
            "{way}"
        );
    }

    let new = json!({"name": "Vendor", "days": 1, "uses": 1});
    let made = admin("POST", &tokens, new.clone()).expect(201).json();
    let token = text(&made, "token");
    let listed = admin("GET", &tokens, Value::Null).expect(200);
    assert!(
        !listed.body.contains(&token) && listed.body.contains("Vendor"),
        "{}",
        listed.body
    );
    // What cannot be registered uses nothing up.
    check_error(
        &register(&project, Some(&token), &json!({})),
        400,
        "invalid_redirect_uri",
    );
    let client = register(&project, Some(&token), &public()).expect(201);
    assert_eq!(client.header("cache-control"), Some("no-store"));
    check_error(
        &register(&project, Some(&token), &public()),
        401,
        "invalid_token",
    );
    let listed = admin("GET", &tokens, Value::Null).expect(200).json();
    assert_eq!(listed["tokens"], json!([]));
    let ended = admin("POST", &tokens, new).expect(201).json();
    let path = format!("{tokens}/{}", text(&ended, "id"));
    admin("DELETE", &path, Value::Null).expect(200);
    admin("DELETE", &path, Value::Null).expect(404);
    let refused = register(&project, Some(&text(&ended, "token")), &public());
    check_error(&refused, 401, "invalid_token");

    // An administrator sees which clients came by themselves, and removes them.
    let clients = format!("/p/{}/admin/clients", project.slug);
    let listed = admin("GET", &clients, Value::Null).expect(200).json();
    let listed = listed["clients"].as_array().unwrap().clone();
    let own: Vec<_> = listed
        .iter()
        .filter(|one| one["registered_itself"].is_object())
        .collect();
    assert_eq!(own.len(), 1, "{listed:?}");
    let id = text(&client.json(), "client_id");
    assert_eq!(own[0]["client_id"], *id);
    let events = "AuditEvent?type=110100&_count=50";
    let events = project.get(events).expect(200);
    assert!(events.body.contains("registered-itself"), "{}", events.body);
    assert!(events.body.contains("InitialToken"), "{}", events.body);
    admin("DELETE", &format!("{clients}/{id}"), Value::Null).expect(200);
    let access = text(&client.json(), "registration_access_token");
    let gone = ask(
        &project,
        "GET",
        &format!("/{id}"),
        Some(&access),
        &Value::Null,
    );
    check_error(&gone, 401, "invalid_token");
}

#[test]
fn no_setting_lets_strangers_have_what_only_administrators_give() {
    let project = project("registration-setting");
    for refused in [
        json!({"mode": "open", "scopes": "openid system/Patient.rs"}),
        json!({"mode": "open", "grant_types": ["client_credentials"]}),
        json!({"mode": "token", "scopes": "salus/launch.create"}),
        json!({"mode": "token", "scopes": "system/AuditEvent.rs"}),
        json!({"mode": "token", "scopes": "user/Patient.rs?nonsense=1"}),
        json!({"mode": "token", "clients_max": 0}),
        json!({"mode": "sometimes"}),
        json!({"scopes": "openid"}),
    ] {
        set(&project, &refused).expect(400);
    }
    let path = format!("/p/{}/admin/registration", project.slug);
    let setting = project
        .server
        .admin("GET", &path, &Value::Null)
        .expect(200)
        .json();
    assert_eq!(setting["mode"], "off", "{setting}");
}

#[test]
fn a_client_looks_after_its_registration() {
    let project = project("registration-own");
    set(&project, &json!({"mode": "open"})).expect(200);
    let mut said = json!({
        "client_name": "Stranger", "redirect_uris": [BACK], "logo_uri": "https://x.example/l.png",
        "post_logout_redirect_uris": ["https://app.example.org/out"], "unheard_of": {"a": 1},
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let made = register(&project, None, &said).expect(201).json();
    let (id, secret) = (text(&made, "client_id"), text(&made, "client_secret"));
    assert_eq!(made["client_secret_expires_at"], 0);
    assert!(made["client_id_issued_at"].as_i64().unwrap() > 1_700_000_000);
    assert_eq!(made["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(made["response_types"], json!(["code"]));
    assert!(made["unheard_of"].is_null() && made["logo_uri"].is_null());
    let own = format!("/{id}");
    let place = format!("{}/auth/register{own}", issuer(&project));
    assert_eq!(made["registration_client_uri"], place);
    let access = text(&made, "registration_access_token");

    let read = ask(&project, "GET", &own, Some(&access), &Value::Null)
        .expect(200)
        .json();
    assert_eq!(read["registration_access_token"], *access);
    assert!(
        read["client_secret"].is_null(),
        "it is known by its hash only"
    );
    // Its secret, and the token of another, open nothing.
    let other = register(&project, None, &public()).expect(201).json();
    let other = text(&other, "registration_access_token");
    for wrong in [None, Some(&*secret), Some(&*other), Some(&*project.token)] {
        for method in ["GET", "PUT", "DELETE"] {
            let refused = ask(&project, method, &own, wrong, &json!({}));
            check_error(&refused, 401, "invalid_token");
        }
    }
    check_error(
        &ask(&project, "GET", "/all", Some(&access), &Value::Null),
        401,
        "invalid_token",
    );

    let change = |said: &Value, access: &str| ask(&project, "PUT", &own, Some(access), said);
    check_error(&change(&said, &access), 400, "invalid_client_metadata");
    said["client_id"] = json!(id);
    said["client_secret"] = json!("another");
    check_error(&change(&said, &access), 400, "invalid_client_metadata");
    said["client_secret"] = json!(secret);
    said["scope"] = json!("system/*.cruds salus/metrics.read");
    check_error(&change(&said, &access), 400, "invalid_client_metadata");
    said["scope"] = json!("openid patient/Observation.rs");
    said["client_name"] = json!("Another name");
    let changed = change(&said, &access).expect(200).json();
    assert_eq!(changed["scope"], "openid patient/Observation.rs");
    assert_eq!(changed["client_name"], "Another name");
    let next = text(&changed, "registration_access_token");
    check_error(
        &ask(&project, "GET", &own, Some(&access), &Value::Null),
        401,
        "invalid_token",
    );
    // The secret is as it was, but opens nothing that is for clients of administrators.
    let looks = [
        ("client_id", &*id),
        ("client_secret", &*secret),
        ("token", &*project.token),
    ];
    check_error(
        &form(&project, "/auth/introspect", &looks),
        400,
        "unauthorized_client",
    );
    let grants = [
        ("grant_type", "client_credentials"),
        ("client_id", &*id),
        ("client_secret", &*secret),
    ];
    check_error(
        &form(&project, "/auth/token", &grants),
        400,
        "unauthorized_client",
    );

    // When no more are taken, it may go but not change.
    set(&project, &json!({"mode": "off"})).expect(200);
    check_error(&change(&said, &next), 403, "access_denied");
    ask(&project, "DELETE", &own, Some(&next), &Value::Null).expect(204);
    check_error(
        &ask(&project, "GET", &own, Some(&next), &Value::Null),
        401,
        "invalid_token",
    );
}

#[test]
fn what_cannot_be_registered_is_refused_in_the_words_of_the_standard() {
    let project = project("registration-errors");
    set(&project, &json!({"mode": "open"})).expect(200);
    for (name, value, error) in [
        (
            "redirect_uris",
            json!(["http://evil.example/"]),
            "invalid_redirect_uri",
        ),
        ("redirect_uris", json!([]), "invalid_redirect_uri"),
        (
            "jwks_uri",
            json!("https://x.example/jwks"),
            "invalid_client_metadata",
        ),
        (
            "grant_types",
            json!(["client_credentials"]),
            "invalid_client_metadata",
        ),
        ("scope", json!("system/*.rs"), "invalid_client_metadata"),
        (
            "client_name",
            json!("a\u{202e}b"),
            "invalid_client_metadata",
        ),
        (
            "software_statement",
            json!("no"),
            "invalid_software_statement",
        ),
        (
            "software_statement",
            json!("eyJhbGciOiJSUzI1NiJ9.e30.AA"),
            "unapproved_software_statement",
        ),
    ] {
        let mut said = public();
        said[name] = value;
        let refused = register(&project, None, &said);
        check_error(&refused, 400, error);
        assert!(!refused.body.contains("evil.example"), "{}", refused.body);
    }
}

#[test]
fn a_project_and_an_address_have_so_many() {
    let project = project("registration-bounds");
    set(&project, &json!({"mode": "open", "clients_max": 1})).expect(200);
    register(&project, None, &public()).expect(201);
    for _ in 0..19 {
        check_error(&register(&project, None, &public()), 403, "access_denied");
    }
    let held = register(&project, None, &public()).expect(429);
    assert!(held.header("retry-after").is_some());
}

#[test]
fn users_see_that_an_app_registered_itself_and_where_it_leads() {
    let place = place();
    let setting = json!({"mode": "open", "scopes": "openid user/Patient.rs"});
    set(&place.project, &setting).expect(200);
    let mut said = public();
    said["client_name"] = json!("<b>Your Hospital</b>");
    said["redirect_uris"] = json!(["http://127.0.0.1/back", BACK]);
    let made = register(&place.project, None, &said).expect(201).json();
    let id = text(&made, "client_id");
    let mut browser = Browser::default();
    let path = authorize(&[("client_id", &*id), ("scope", "openid user/*.cruds")]);
    let warned = |page: &Answer| {
        assert!(page.body.contains("registered itself"), "{}", page.body);
        assert!(
            page.body.contains("<code>https://app.example.org</code>"),
            "{}",
            page.body
        );
        assert!(
            page.body.contains("&lt;b&gt;Your Hospital"),
            "{}",
            page.body
        );
    };
    let page = browser.get(&place, &path).expect(200);
    warned(&page);
    let user = [("email", "first@example.org"), ("password", PASSWORD)];
    browser
        .submit(&place, &page, "/auth/authorize/sign-in", &user)
        .expect(303);
    let page = browser.get(&place, &path).expect(200);
    warned(&page);
    assert!(!hidden(&page.body, "request").is_empty());
    let allow = [("decision", "allow")];
    let done = browser
        .submit(&place, &page, "/auth/authorize/decision", &allow)
        .expect(303);
    let back = done.header("location").unwrap().to_owned();
    let code = told(&back, "code").unwrap();
    let given = trade(&place, &[("code", &code), ("client_id", &id)])
        .expect(200)
        .json();
    assert_eq!(given["scope"], "openid user/Patient.rs");
    let asks = place.project.with(&text(&given, "access_token"));
    asks.get("Patient").expect(200);
    // It is asked each time: nothing is remembered for it.
    let silent = authorize(&[("client_id", &*id), ("prompt", "none")]);
    let back = browser.get(&place, &silent).expect(303);
    let back = back.header("location").unwrap().to_owned();
    assert_eq!(told(&back, "error").as_deref(), Some("consent_required"));
    // Any port of the loopback address that it named.
    for (uri, status) in [
        ("http://127.0.0.1:49152/back", 200),
        ("http://localhost:49152/back", 400),
        ("http://127.0.0.1:49152/other", 400),
    ] {
        let path = authorize(&[("client_id", &*id), ("redirect_uri", uri)]);
        browser.get(&place, &path).expect(status);
    }
    // An app that an administrator looked at says nothing of the kind.
    let page = browser.get(&place, &authorize(&[])).expect(200);
    assert!(!page.body.contains("registered itself"));
    // When it goes, all that it was given goes with it.
    let access = text(&made, "registration_access_token");
    ask(
        &place.project,
        "DELETE",
        &format!("/{id}"),
        Some(&access),
        &Value::Null,
    )
    .expect(204);
    asks.get("Patient").expect(401);
}
