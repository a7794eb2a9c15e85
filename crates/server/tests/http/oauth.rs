//! OAuth 2.1 for programs: discovery, keys, assertions, introspection, revocation.

use std::time::{SystemTime, UNIX_EPOCH};

use salus_auth::jwk::{Jwk, Jwks};
use salus_auth::jwt;
use salus_crypto::signing::{Algorithm, SigningKey};
use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

pub(crate) fn key(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).unwrap();
    SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap()
}

fn jwks(key: &SigningKey) -> Value {
    let jwk = Jwk {
        id: Some("mine".into()),
        algorithm: None,
        key: key.public(),
    };
    serde_json::to_value(Jwks::new(vec![jwk])).unwrap()
}

/// Registers a client.
#[track_caller]
pub(crate) fn register(project: &Project, client: &Value) -> Answer {
    let path = format!("/p/{}/admin/clients", project.slug);
    project.server.admin("POST", &path, client)
}

#[track_caller]
fn backend(project: &Project, id: &str, key: &SigningKey, scopes: &str) {
    let client = json!({
        "id": id, "name": id, "scopes": scopes,
        "token_endpoint_auth_method": "private_key_jwt", "jwks": jwks(key),
    });
    let made = register(project, &client).expect(201).json();
    assert_eq!(made["client_secret"], Value::Null);
}

fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn assertion(project: &Project, id: &str, key: &SigningKey, jti: &str) -> String {
    let claims = json!({
        "iss": id, "sub": id, "jti": jti, "exp": now_s() + 200,
        "aud": format!("{}/auth/token", issuer(project)),
    });
    jwt::sign(key, "mine", &claims).unwrap()
}

pub(crate) fn issuer(project: &Project) -> String {
    format!("http://{}/p/{}", project.server.address(), project.slug)
}

/// Sends a form to an endpoint of a project.
#[track_caller]
pub(crate) fn form(project: &Project, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let body: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let request = Request::new("POST", &format!("/p/{}{path}", project.slug))
        .header("Content-Type", "application/x-www-form-urlencoded");
    project.send(request.body(body))
}

fn with_assertion(project: &Project, assertion: &str) -> Answer {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("scope", "system/Patient.r"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", assertion),
    ];
    form(project, "/auth/token", &pairs)
}

#[track_caller]
pub(crate) fn check_error(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.json()["error"], code, "{}", answer.body);
}

#[test]
fn discovery_leads_to_what_is_served() {
    let project = project("oauth-discovery");
    let slug = &project.slug;
    for path in [
        format!("/.well-known/oauth-authorization-server/p/{slug}"),
        format!("/p/{slug}/.well-known/oauth-authorization-server"),
        format!("/p/{slug}/fhir/.well-known/smart-configuration"),
    ] {
        let answer = project.send(Request::new("GET", &path)).expect(200);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        let document = answer.json();
        assert_eq!(document["issuer"], issuer(&project), "{path}");
        for (member, url) in document.as_object().unwrap() {
            let Some(url) = url.as_str().filter(|url| url.starts_with("http")) else {
                continue;
            };
            let (_, path) = url.split_once("//").unwrap();
            let path = &path[path.find('/').unwrap()..];
            let answer = project.send(Request::new("OPTIONS", path));
            assert!(answer.status < 300 || member == "issuer", "{member} {url}");
        }
    }
    let system = Request::new("GET", "/.well-known/oauth-authorization-server/p/nowhere");
    project.send(system).expect(404);
}

#[test]
fn keys_are_replaced_with_an_overlap() {
    let project = project("oauth-keys");
    let path = format!("/p/{}/auth/jwks", project.slug);
    let names = || -> Vec<String> {
        let keys = project.send(Request::new("GET", &path)).expect(200).json();
        let keys = keys["keys"].as_array().unwrap().clone();
        assert!(keys.iter().all(|key| key["d"].is_null()));
        let name = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        keys.iter().map(name).collect()
    };
    let before = names();
    assert_eq!(before.len(), 3);
    assert_eq!(names(), before);
    let rotate = format!("/p/{}/admin/keys/rotate", project.slug);
    project
        .server
        .admin("POST", &rotate, &Value::Null)
        .expect(200);
    let after = names();
    assert_eq!(after.len(), 6);
    assert!(before.iter().all(|name| after.contains(name)));
}

#[test]
fn backend_services_sign_in_with_a_key_of_their_own() {
    let project = project("oauth-backend");
    for (id, algorithm) in [
        ("es384", Algorithm::Es384),
        ("rs384", Algorithm::Rs384),
        ("es256", Algorithm::Es256),
    ] {
        let key = key(algorithm);
        backend(&project, id, &key, "system/Patient.rs");
        let given = with_assertion(&project, &assertion(&project, id, &key, "1"));
        let given = given.expect(200).json();
        assert_eq!(given["expires_in"], 300);
        assert_eq!(given["scope"], "system/Patient.r");
        let token = given["access_token"].as_str().unwrap();
        project.with(token).get("Patient/none").expect(404);
        project.with(token).get("Patient").expect(403);
    }
}

#[test]
fn an_assertion_holds_once_and_for_its_client_only() {
    let project = project("oauth-assertions");
    let (own, other) = (key(Algorithm::Es384), key(Algorithm::Es384));
    backend(&project, "own", &own, "system/Patient.r");
    backend(&project, "other", &other, "system/Patient.r");
    let text = assertion(&project, "own", &own, "once");
    with_assertion(&project, &text).expect(200);
    check_error(&with_assertion(&project, &text), 401, "invalid_client");
    // The same name of another client's assertion is another.
    with_assertion(&project, &assertion(&project, "other", &other, "once")).expect(200);
    let forged = assertion(&project, "own", &other, "2");
    check_error(&with_assertion(&project, &forged), 401, "invalid_client");
    let unknown = assertion(&project, "nobody", &own, "3");
    check_error(&with_assertion(&project, &unknown), 401, "invalid_client");
    check_error(&with_assertion(&project, "a.b.c"), 401, "invalid_client");
    // Who has a key has no secret.
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", "own"),
        ("client_secret", "none"),
    ];
    let answer = form(&project, "/auth/token", &pairs);
    check_error(&answer, 401, "invalid_client");
    assert!(answer.header("www-authenticate").is_some());
}

#[test]
fn tokens_are_looked_into_and_taken_back() {
    let project = project("oauth-revoked");
    let secret = |id: &str| {
        let client = json!({"id": id, "name": id, "scopes": "system/*.rs"});
        let made = register(&project, &client).expect(201).json();
        made["client_secret"].as_str().unwrap().to_owned()
    };
    let (mine, theirs) = (secret("mine"), secret("theirs"));
    let token = project.sign_in("mine", &mine);
    let ask = |path: &str, id: &str, secret: &str| {
        let pairs = [
            ("client_id", id),
            ("client_secret", secret),
            ("token", &token),
        ];
        form(&project, path, &pairs)
    };
    let told = ask("/auth/introspect", "theirs", &theirs)
        .expect(200)
        .json();
    assert_eq!(told["active"], true);
    assert_eq!(told["client_id"], "mine");
    assert_eq!(told["scope"], "system/*.rs");
    assert_eq!(told["iss"], issuer(&project));
    check_error(
        &ask("/auth/introspect", "theirs", &mine),
        401,
        "invalid_client",
    );
    // Another's token goes on, and it is not told whose it is.
    ask("/auth/revoke", "theirs", &theirs).expect(200);
    project.with(&token).get("Patient").expect(200);
    ask("/auth/revoke", "mine", &mine).expect(200);
    project.with(&token).get("Patient").expect(401);
    let told = ask("/auth/introspect", "mine", &mine).expect(200).json();
    assert_eq!(told, json!({"active": false}));
    ask("/auth/revoke", "mine", &mine).expect(200);
}

#[test]
fn a_parameter_comes_once_and_a_proof_in_one_way() {
    let project = project("oauth-forms");
    let check = |pairs: &[(&str, &str)]| {
        check_error(
            &form(&project, "/auth/token", pairs),
            400,
            "invalid_request",
        );
    };
    let kind = ("grant_type", "client_credentials");
    check(&[kind, kind, ("client_id", "a"), ("client_secret", "b")]);
    check(&[("client_id", "a"), ("client_secret", "b")]);
    check(&[kind, ("client_assertion", "a.b.c")]);
    check(&[
        kind,
        ("client_assertion_type", "jwt"),
        ("client_assertion", "a.b.c"),
    ]);
}

#[test]
fn a_client_that_does_not_go_together_is_refused() {
    let project = project("oauth-registered");
    let refused = |client: Value| {
        register(&project, &client).expect(400);
    };
    let with = |member: &str, value: Value| {
        let mut client = json!({"name": "n", "scopes": "system/*.rs"});
        client[member] = value;
        client
    };
    refused(with("token_endpoint_auth_method", json!("none")));
    refused(with("token_endpoint_auth_method", json!("private_key_jwt")));
    refused(with("token_endpoint_auth_method", json!("tls_client_auth")));
    refused(with("grant_types", json!([])));
    refused(with("grant_types", json!(["password"])));
    refused(with("grant_types", json!(["authorization_code"])));
    refused(with("redirect_uris", json!(["https://app.example.org/"])));
    refused(with("jwks", json!({"keys": []})));
    refused(with("more", json!(1)));
}
