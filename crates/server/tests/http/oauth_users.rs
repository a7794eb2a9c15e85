//! Clients that act for users: the pages, codes, refresh tokens, OpenID Connect.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use base64ct::Encoding;
use salus_auth::jwk::Jwks;
use salus_auth::jwt::Jwt;
use salus_crypto::{base64url, sha256};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{Project, Server};
use crate::oauth::{check_error, form, register};
use crate::wire::{Answer, Request};

pub(crate) const PASSWORD: &str = "a-good-long-password";
pub(crate) const BACK: &str = "https://app.example.org/back";
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A server with one administrator, who has a password, and a public client.
pub(crate) struct Place {
    pub(crate) project: Project,
    _folder: TempDir,
}

/// A browser: it keeps its cookies.
#[derive(Default)]
pub(crate) struct Browser(BTreeMap<String, String>);

impl Browser {
    pub(crate) fn send(&mut self, place: &Place, request: Request) -> Answer {
        let cookies: Vec<String> = self.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = request.header("Cookie", cookies.join("; "));
        let answer = place.project.send(request);
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                assert!(value.contains("; HttpOnly; SameSite="), "{value}");
                let (pair, _) = value.split_once(';').unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub(crate) fn get(&mut self, place: &Place, path: &str) -> Answer {
        self.send(place, Request::new("GET", path))
    }

    /// The same by a link on another site, with the cookies that go along.
    pub(crate) fn get_from_elsewhere(&mut self, place: &Place, path: &str) -> Answer {
        let (mut lax, strict): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(name, _)| matches!(&**name, "salus" | "salus-provider"));
        std::mem::swap(&mut self.0, &mut lax);
        let answer = self.get(place, path);
        for (name, value) in strict {
            self.0.entry(name).or_insert(value);
        }
        answer
    }

    /// What it keeps under a name.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &**value)
    }

    /// Fills in the form of a page.
    pub(crate) fn submit(
        &mut self,
        place: &Place,
        page: &Answer,
        path: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        // Pages are answers of several paths: where they send is never relative.
        let action = format!("<form method=\"post\" action=\"{path}\"");
        assert!(page.body.contains(&action), "{}", page.body);
        let mut body = form_urlencoded::Serializer::new(String::new());
        for name in ["request", "form"] {
            body.append_pair(name, &hidden(&page.body, name));
        }
        body.extend_pairs(more);
        let request = Request::new("POST", path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(body.finish());
        self.send(place, request)
    }

    /// Signs in and agrees: where the user is sent back to.
    pub(crate) fn agree(&mut self, place: &Place, scope: &str) -> String {
        self.agree_to(place, &authorize(&[("scope", scope)]))
    }

    /// The same for any request.
    pub(crate) fn agree_to(&mut self, place: &Place, path: &str) -> String {
        let page = self.get(place, path).expect(200);
        let user = [("email", "first@example.org"), ("password", PASSWORD)];
        let done = self
            .submit(place, &page, "/auth/authorize/sign-in", &user)
            .expect(303);
        let next = done.header("location").unwrap().to_owned();
        let (_, path) = next
            .split_once(&place.project.server.address().to_string())
            .unwrap();
        let page = self.get(place, path).expect(200);
        assert!(page.body.contains("first@example.org"), "{}", page.body);
        let allow = [("decision", "allow")];
        let done = self
            .submit(place, &page, "/auth/authorize/decision", &allow)
            .expect(303);
        done.header("location").unwrap().to_owned()
    }
}

pub(crate) fn hidden(html: &str, name: &str) -> String {
    let (_, rest) = html
        .split_once(&format!("name=\"{name}\" value=\""))
        .unwrap();
    let (value, _) = rest.split_once('"').unwrap();
    value.replace("&amp;", "&")
}

/// The path of a request, with other values than the usual ones.
pub(crate) fn authorize(changes: &[(&str, &str)]) -> String {
    let mut pairs = BTreeMap::from([
        ("client_id", "app"),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "s&1"),
        ("nonce", "n"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    pairs.extend(changes.iter().copied());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("/auth/authorize?{}", query.finish())
}

pub(crate) fn place() -> Place {
    place_with(&[])
}

/// The same, of a server that is started with more arguments.
pub(crate) fn place_with(more: &[&str]) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["--dev"], more].concat();
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    server.set_up("first@example.org", PASSWORD);
    let body = json!({"email": "first@example.org", "password": PASSWORD}).to_string();
    let token = server
        .send(Request::new("POST", "/auth/sign-in").body(body))
        .expect(200)
        .json();
    let mut server = server;
    server.ready["admin_token"] = token["access_token"].clone();
    let project = Project {
        server: Arc::new(server),
        slug: "default".to_owned(),
        token: token["access_token"].as_str().unwrap().to_owned(),
    };
    let client = json!({
        "id": "app", "name": "The <App>", "token_endpoint_auth_method": "none",
        "scopes": "openid profile fhirUser offline_access launch/patient user/Patient.rs patient/*.rs",
        "grant_types": ["authorization_code", "refresh_token"], "redirect_uris": [BACK],
    });
    register(&project, &client).expect(201);
    Place {
        project,
        _folder: folder,
    }
}

/// A parameter of the place that a user is sent back to.
pub(crate) fn told(url: &str, name: &str) -> Option<String> {
    let query = url.strip_prefix(BACK)?.strip_prefix('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

pub(crate) fn trade(place: &Place, changes: &[(&str, &str)]) -> Answer {
    let mut pairs = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ]);
    pairs.extend(changes.iter().copied());
    let pairs: Vec<_> = pairs.into_iter().collect();
    form(&place.project, "/auth/token", &pairs)
}

fn refresh(place: &Place, token: &str) -> Answer {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", token),
    ];
    form(&place.project, "/auth/token", &pairs)
}

pub(crate) fn text(answer: &Value, name: &str) -> String {
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

#[test]
fn a_client_acts_for_a_user_who_agreed() {
    let place = place();
    let mut browser = Browser::default();
    let back = browser.agree(
        &place,
        "openid profile offline_access user/Patient.rs user/*.cruds",
    );
    let base = format!("http://{}", place.project.server.address());
    assert_eq!(told(&back, "state").as_deref(), Some("s&1"));
    assert_eq!(told(&back, "iss").as_deref(), Some(&*base));
    let code = told(&back, "code").unwrap();
    let wrong = "x".repeat(43);
    check_error(
        &trade(&place, &[("code", &code), ("code_verifier", &wrong)]),
        400,
        "invalid_grant",
    );
    check_error(
        &trade(&place, &[("code", &code), ("redirect_uri", "https://x")]),
        400,
        "invalid_grant",
    );
    let given = trade(&place, &[("code", &code)]).expect(200);
    assert_eq!(given.header("cache-control"), Some("no-store"));
    let given = given.json();
    assert_eq!(
        given["scope"],
        "openid profile offline_access user/Patient.rs"
    );
    let token = text(&given, "access_token");

    // It may what the user may and it was given.
    let asks = place.project.with(&token);
    asks.get("Patient").expect(200);
    asks.get("Observation").expect(403);
    asks.put(&json!({"resourceType": "Patient", "id": "a"}))
        .expect(403);
    let clients =
        Request::new("GET", "/admin/clients").header("Authorization", format!("Bearer {token}"));
    asks.send(clients).expect(403);
    let export = asks
        .request("GET", "$export")
        .header("Prefer", "respond-async");
    asks.send(export).expect(403);

    // The token endpoint that was asked is below the project's other address.
    check_id_token(&place, &format!("{base}/p/default"), &given);
    let told = asks
        .send(asks.request("GET", "/auth/userinfo"))
        .expect(200)
        .json();
    assert!(told["sub"].is_string(), "{told}");

    // The cookie is no token, and what signed in is no cookie.
    let cookie = browser.0["salus"].clone();
    place.project.with(&cookie).get("Patient").expect(401);

    // A code that comes twice ends what it gave.
    check_error(&trade(&place, &[("code", &code)]), 400, "invalid_grant");
    asks.get("Patient").expect(401);
    check_error(
        &refresh(&place, &text(&given, "refresh_token")),
        400,
        "invalid_grant",
    );
}

/// The id token is signed by a key that the project shows, and says who signed in.
fn check_id_token(place: &Place, base: &str, given: &Value) {
    let keys = place
        .project
        .send(Request::new("GET", "/auth/jwks"))
        .expect(200);
    let keys = Jwks::parse(&keys.body).unwrap();
    let id_token = text(given, "id_token");
    let jwt = Jwt::parse(&id_token).unwrap();
    let candidates = keys.candidates(jwt.key_id(), jwt.algorithm());
    let claims: Value = jwt.claims(candidates.map(|jwk| &jwk.key)).unwrap();
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["nonce"]),
        (&json!(base), &json!("app"), &json!("n"))
    );
    assert_eq!(claims["amr"], json!(["pwd"]));
    let hash = sha256(text(given, "access_token").as_bytes());
    assert_eq!(claims["at_hash"], base64url(&hash[..16]));
}

#[test]
fn refresh_tokens_are_replaced_and_hold_once() {
    let place = place();
    let back = Browser::default().agree(&place, "offline_access user/Patient.rs");
    let first = trade(&place, &[("code", &told(&back, "code").unwrap())])
        .expect(200)
        .json();
    assert!(first["id_token"].is_null());
    let second = refresh(&place, &text(&first, "refresh_token"))
        .expect(200)
        .json();
    let asks = place.project.with(&text(&second, "access_token"));
    asks.get("Patient").expect(200);
    // Two have the first one: both lose everything.
    check_error(
        &refresh(&place, &text(&first, "refresh_token")),
        400,
        "invalid_grant",
    );
    asks.get("Patient").expect(401);
    check_error(
        &refresh(&place, &text(&second, "refresh_token")),
        400,
        "invalid_grant",
    );
    check_error(&refresh(&place, "sr1.x.y"), 400, "invalid_grant");

    let back = Browser::default().agree(&place, "offline_access user/Patient.rs");
    let given = trade(&place, &[("code", &told(&back, "code").unwrap())])
        .expect(200)
        .json();
    let asks = place.project.with(&text(&given, "access_token"));
    let revoke = [
        ("client_id", "app"),
        ("token", &*text(&given, "refresh_token")),
    ];
    form(&place.project, "/auth/revoke", &revoke).expect(200);
    asks.get("Patient").expect(401);

    // Without its client a token is nothing.
    let back = Browser::default().agree(&place, "user/Patient.rs");
    let given = trade(&place, &[("code", &told(&back, "code").unwrap())])
        .expect(200)
        .json();
    assert!(given["refresh_token"].is_null());
    let asks = place.project.with(&text(&given, "access_token"));
    asks.get("Patient").expect(200);
    place
        .project
        .server
        .admin("DELETE", "/admin/clients/app", &Value::Null)
        .expect(200);
    asks.get("Patient").expect(401);
}

#[test]
fn nobody_is_sent_where_no_client_is() {
    let place = place();
    let mut browser = Browser::default();
    for (name, value) in [
        ("client_id", "other"),
        ("client_id", ""),
        ("redirect_uri", "https://evil.example.org/"),
        ("redirect_uri", "https://app.example.org/back/"),
        ("redirect_uri", ""),
    ] {
        let page = browser
            .get(&place, &authorize(&[(name, value)]))
            .expect(400);
        assert_eq!(page.header("location"), None, "{name} {value}");
        assert_eq!(
            page.header("content-type"),
            Some("text/html; charset=utf-8")
        );
    }
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "system/*.rs", "invalid_scope"),
        ("aud", "https://other.example.org/fhir", "invalid_request"),
        ("prompt", "none", "login_required"),
    ] {
        let answer = browser
            .get(&place, &authorize(&[(name, value)]))
            .expect(303);
        let back = answer.header("location").unwrap().to_owned();
        assert_eq!(
            told(&back, "error").as_deref(),
            Some(error),
            "{name} {value}"
        );
        assert_eq!(told(&back, "state").as_deref(), Some("s&1"));
        assert!(told(&back, "iss").is_some());
    }
}

#[test]
fn the_pages_are_safe() {
    let place = place();
    let mut browser = Browser::default();
    let page = browser.get(&place, &authorize(&[])).expect(200);
    assert!(page.body.contains("The &lt;App&gt;"), "{}", page.body);
    // One file of ours, and nothing else.
    assert_eq!(page.body.matches("<script").count(), 1);
    assert!(
        page.body
            .contains("<script src=\"/auth/passkey.js\" defer></script>")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    // Under `no-referrer` browsers would say that forms come from `null`.
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    let user = [("email", "first@example.org"), ("password", PASSWORD)];
    // A form from elsewhere has no cookie of ours, or another one.
    let elsewhere = Browser::default().submit(&place, &page, "/auth/authorize/sign-in", &user);
    elsewhere.expect(403);
    let mut other = Browser::default();
    other.get(&place, &authorize(&[])).expect(200);
    other
        .submit(&place, &page, "/auth/authorize/sign-in", &user)
        .expect(403);
    let wrong = [
        ("email", "first@example.org"),
        ("password", "a-wrong-long-password"),
    ];
    let again = browser
        .submit(&place, &page, "/auth/authorize/sign-in", &wrong)
        .expect(403);
    assert!(again.body.contains("role=\"alert\"") && !browser.0.contains_key("salus"));
    let unknown = [("email", "nobody@example.org"), ("password", PASSWORD)];
    let same = browser
        .submit(&place, &page, "/auth/authorize/sign-in", &unknown)
        .expect(403);
    // But for the address that was typed, and what a passkey would sign, which is always another.
    let without = |page: &Answer, typed: &str| {
        let (before, rest) = page.body.split_once("&quot;challenge&quot;:").unwrap();
        let (_, after) = rest.split_once(',').unwrap();
        [before, after].concat().replace(typed, "")
    };
    let (unknown, known) = (unknown[0].1, wrong[0].1);
    assert_eq!(without(&same, unknown), without(&again, known));
    // Who does not agree gives nothing.
    browser
        .submit(&place, &page, "/auth/authorize/sign-in", &user)
        .expect(303);
    let page = browser.get(&place, &authorize(&[])).expect(200);
    let deny = [("decision", "deny")];
    let back = browser
        .submit(&place, &page, "/auth/authorize/decision", &deny)
        .expect(303);
    let back = back.header("location").unwrap().to_owned();
    assert_eq!(told(&back, "error").as_deref(), Some("access_denied"));
    // An administrator is no patient, so nothing is about one.
    let answer = browser
        .get(&place, &authorize(&[("scope", "patient/*.rs")]))
        .expect(303);
    let back = answer.header("location").unwrap().to_owned();
    assert_eq!(told(&back, "error").as_deref(), Some("access_denied"));
}

#[test]
fn pages_look_as_the_project_wants() {
    let place = place();
    let admin = |method, body: &Value| place.project.server.admin(method, "/admin/theme", body);
    let get = |path: &str| place.project.send(Request::new("GET", path));
    get("/auth/logo").expect(204);
    let png = base64ct::Base64::encode_string(b"\x89PNG\r\n\x1a\nx");
    let theme = json!({
        "name": "<Clinic>",
        "colours": {"background": "#ffffff", "text": "#102030", "accent": "#0b5cad"},
        "logo": {"type": "image/png", "data": png},
    });
    admin("PUT", &theme).expect(200);
    assert_eq!(admin("GET", &Value::Null).expect(200).json(), theme);
    let page = get(&authorize(&[])).expect(200);
    assert!(page.body.contains("&lt;Clinic&gt;"), "{}", page.body);
    assert!(page.body.contains("src=\"/auth/logo\" alt=\"\""));
    let sheet = get("/auth/style.css").expect(200);
    assert!(sheet.body.contains("--text: #102030"), "{}", sheet.body);
    // It is no text, as other answers are.
    let mut stream = std::net::TcpStream::connect(place.project.server.address()).unwrap();
    let ask = "GET /auth/logo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).unwrap();
    let mut logo = Vec::new();
    stream.read_to_end(&mut logo).unwrap();
    assert!(String::from_utf8_lossy(&logo).contains("content-type: image/png"));
    assert!(logo.ends_with(b"\x89PNG\r\n\x1a\nx"));
    let style = get("/auth/smart-style.json").expect(200).json();
    assert_eq!(style["color_text"], "#102030");
    // What nobody could read is no theme.
    let faint =
        json!({"colours": {"background": "#ffffff", "text": "#eeeeee", "accent": "#0b5cad"}});
    admin("PUT", &faint).expect(400);
    let script = json!({"logo": {"type": "image/svg+xml", "data": png}});
    admin("PUT", &script).expect(400);
    admin("PUT", &json!({})).expect(200);
    assert!(!get(&authorize(&[])).expect(200).body.contains("Clinic"));
}

#[test]
fn signing_in_anew_is_asked_for_once() {
    let place = place();
    for changes in [
        [("prompt", "login consent"), ("max_age", "")],
        [("max_age", "0"), ("prompt", "")],
    ] {
        let mut browser = Browser::default();
        let page = browser.get(&place, &authorize(&changes)).expect(200);
        let user = [("email", "first@example.org"), ("password", PASSWORD)];
        let path = "/auth/authorize/sign-in";
        let done = browser.submit(&place, &page, path, &user).expect(303);
        let next = done.header("location").unwrap().to_owned();
        let (_, path) = next.split_once("/auth/").unwrap();
        let page = browser.get(&place, &format!("/auth/{path}")).expect(200);
        assert!(page.body.contains("value=\"allow\""), "{}", page.body);
    }
}

/// ASVS 5.0, 7.2.4.
#[test]
fn signing_in_anew_ends_the_session_that_the_browser_had() {
    let place = place();
    let mut browser = Browser::default();
    browser.agree(&place, "openid");
    let had = || {
        Browser(BTreeMap::from([(
            "salus".to_owned(),
            browser.0["salus"].clone(),
        )]))
    };
    let (mut before, mut kept) = (had(), had());
    let mut elsewhere = Browser::default();
    elsewhere.agree(&place, "openid");
    let is_in = |browser: &mut Browser| {
        let page = browser.get(&place, &authorize(&[])).expect(200);
        page.body.contains("value=\"allow\"")
    };
    assert!(is_in(&mut before));
    let anew = authorize(&[("prompt", "login")]);
    let page = browser.get(&place, &anew).expect(200);
    let user = [("email", "first@example.org"), ("password", PASSWORD)];
    let path = "/auth/authorize/sign-in";
    // A wrong password ends nothing.
    let wrong = [("email", "first@example.org"), ("password", "wrong")];
    browser.submit(&place, &page, path, &wrong).expect(403);
    assert!(is_in(&mut before));
    browser.submit(&place, &page, path, &user).expect(303);
    assert!(is_in(&mut browser));
    assert!(!is_in(&mut kept));
    // That of another browser goes on.
    assert!(is_in(&mut elsewhere));
}

#[test]
fn a_user_takes_back_what_a_client_may() {
    let place = place();
    let back = Browser::default().agree(&place, "offline_access user/Patient.rs");
    let given = trade(&place, &[("code", &told(&back, "code").unwrap())]);
    let given = given.expect(200).json();
    let asks = place.project.with(&text(&given, "access_token"));
    asks.get("Patient").expect(200);
    // The client itself sees nothing of it.
    asks.send(asks.request("GET", "/auth/me/apps")).expect(403);
    let own = |method, path: &str| place.project.server.admin(method, path, &Value::Null);
    let apps = own("GET", "/auth/me/apps").expect(200).json();
    let app = &apps["apps"][0];
    assert_eq!(app["client_id"], "app", "{apps}");
    assert_eq!(app["scope"], "offline_access user/Patient.rs");
    own("DELETE", "/auth/me/apps/none").expect(404);
    let path = format!("/auth/me/apps/{}", text(app, "id"));
    own("DELETE", &path).expect(200);
    asks.get("Patient").expect(401);
    let again = refresh(&place, &text(&given, "refresh_token"));
    check_error(&again, 400, "invalid_grant");
    let apps = own("GET", "/auth/me/apps").expect(200).json();
    assert_eq!(apps, json!({"apps": []}));
}

#[test]
fn tokens_of_administrators_of_the_server_are_looked_into_and_taken_back() {
    let place = place();
    let looker = json!({"id": "looker", "name": "Looker", "scopes": "system/Patient.r"});
    let looker = register(&place.project, &looker).expect(201).json();
    let secret = text(&looker, "client_secret");
    let look = |project: &str, secret: &str, token: &str| {
        let project = Project {
            slug: project.to_owned(),
            ..place.project.clone()
        };
        let pairs = [
            ("client_id", "looker"),
            ("client_secret", secret),
            ("token", token),
        ];
        form(&project, "/auth/introspect", &pairs)
            .expect(200)
            .json()
    };
    let back = Browser::default().agree(&place, "openid user/Patient.rs");
    let given = trade(&place, &[("code", &told(&back, "code").unwrap())]);
    let token = text(&given.expect(200).json(), "access_token");
    let told = look("default", &secret, &token);
    assert_eq!(
        (&told["active"], &told["client_id"], &told["scope"]),
        (
            &json!(true),
            &json!("app"),
            &json!("openid user/Patient.rs")
        )
    );
    // So is what they sign in with themselves, where they have a part.
    let own = place.project.token.clone();
    assert_eq!(look("default", &secret, &own)["active"], true);
    let other = json!({"slug": "other", "name": "Other"});
    place
        .project
        .server
        .admin("POST", "/admin/projects", &other)
        .expect(201);
    let there = Project {
        slug: "other".to_owned(),
        ..place.project.clone()
    };
    let looker = json!({"id": "looker", "name": "Looker", "scopes": "system/Patient.r"});
    let elsewhere = text(
        &register(&there, &looker).expect(201).json(),
        "client_secret",
    );
    // What an app was given is of one project.
    assert_eq!(look("other", &elsewhere, &token), json!({"active": false}));
    assert_eq!(look("other", &elsewhere, &own)["active"], true);
    // Its client takes it back, and no other.
    let revoke = |id: &str, secret: &str| {
        let pairs = [
            ("client_id", id),
            ("client_secret", secret),
            ("token", &*token),
        ];
        let some = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        form(&place.project, "/auth/revoke", &some.collect::<Vec<_>>()).expect(200);
    };
    revoke("looker", &secret);
    let asks = place.project.with(&token);
    asks.get("Patient").expect(200);
    revoke("app", "");
    asks.get("Patient").expect(401);
    assert_eq!(look("default", &secret, &token), json!({"active": false}));
}
