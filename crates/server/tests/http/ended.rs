//! Every closed route, and every page, against what was good once: the sixth column of the
//! matrix in `routes.rs`. It runs in this process, where the test has the clock.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use http_body_util::BodyExt;
use salus_api::Peer;
use salus_crypto::SecretKey;
use salus_service::Service;
use salus_store::memory::Memory;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::host::{Project, shared};
use crate::oauth_users::{BACK, PASSWORD, VERIFIER, authorize, hidden};
use crate::routes::{closed, request};
use crate::staged::{Staged, router_settings};
use crate::wire::{Answer, Request};

const START_MS: i64 = 1_767_225_600_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A server in this process.
pub(crate) struct Inside {
    world: Arc<Staged>,
    pub(crate) service: Arc<Service>,
    router: Router,
    runtime: tokio::runtime::Runtime,
}

impl Inside {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let world = Arc::new(Staged::at(START_MS));
        let (store, blobs) = (Arc::new(Memory::new()), Arc::new(Memory::new()));
        let settings = salus_service::Settings {
            development: true,
            ..salus_service::Settings::default()
        };
        let key = SecretKey::from_bytes([7; 32]);
        let opened = Service::open(store, blobs, Arc::clone(&world) as _, settings, key);
        let service = Arc::new(runtime.block_on(opened).unwrap());
        let router = salus_api::router(Arc::clone(&service), router_settings());
        Self {
            world,
            service,
            router,
            runtime,
        }
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.world.advance_ms(ms);
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    fn send_as(&self, peer: Option<Peer>, request: &Request) -> Answer {
        let mut request = request.clone().header("Host", "inside").for_router();
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let router = self.router.clone();
        self.block_on(async move {
            let answer = router.oneshot(request).await.unwrap();
            let headers = answer.headers().iter();
            let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
            let headers = headers.map(|(name, value)| (name.to_string(), text(value)));
            let (status, headers) = (answer.status().as_u16(), headers.collect());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            Answer {
                status,
                headers,
                body: String::from_utf8_lossy(&body).into_owned(),
            }
        })
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.send_as(None, request)
    }

    /// A request of the operator.
    #[track_caller]
    pub(crate) fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = Request::new(method, path)
            .header("Content-Type", "application/json")
            .body(body.to_string());
        self.send_as(Some(Peer::Operator), &request)
    }

    pub(crate) fn with(&self, token: &str, request: Request) -> Answer {
        self.send(&request.header("Authorization", format!("Bearer {token}")))
    }

    #[track_caller]
    pub(crate) fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        self.send(&Request::new("POST", path).body(form.finish()))
    }

    #[track_caller]
    fn user(&self, project: &str, user: &Value) -> String {
        let mut user = user.clone();
        user["password"] = json!(PASSWORD);
        let made = self.operate("POST", &format!("/p/{project}/admin/users"), &user);
        text(&made.expect(201), "id")
    }

    #[track_caller]
    fn sign_in(&self, project: &str, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let path = format!("/p/{project}/auth/sign-in");
        text(
            &self
                .send(&Request::new("POST", &path).body(body))
                .expect(200),
            "access_token",
        )
    }
}

#[track_caller]
fn text(answer: &Answer, name: &str) -> String {
    let json = answer.json();
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("{json}"))
        .to_owned()
}

/// A browser at the default project.
struct At<'h> {
    host: &'h Inside,
    cookies: BTreeMap<String, String>,
}

impl<'h> At<'h> {
    fn new(host: &'h Inside) -> Self {
        Self {
            host,
            cookies: BTreeMap::new(),
        }
    }

    fn send(&mut self, request: Request) -> Answer {
        let cookies = self.cookies.iter().map(|(k, v)| format!("{k}={v}"));
        let cookies: Vec<String> = cookies.collect();
        let answer = self
            .host
            .send(&request.header("Cookie", cookies.join("; ")));
        let set = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie");
        for (_, value) in set {
            let (pair, _) = value.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    fn page(&mut self) -> Answer {
        self.send(Request::new("GET", &authorize(&[]))).expect(200)
    }

    fn submit(&mut self, page: &Answer, step: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        for name in ["request", "form"] {
            form.append_pair(name, &hidden(&page.body, name));
        }
        form.extend_pairs(more);
        let path = format!("/auth/{step}");
        self.send(Request::new("POST", &path).body(form.finish()))
    }

    #[track_caller]
    fn sign_in(&mut self, email: &str) -> Answer {
        let page = self.page();
        let user = [("email", email), ("password", PASSWORD)];
        self.submit(&page, "authorize/sign-in", &user)
    }

    /// Agrees to what a client asks for: what it gets.
    fn agree(&mut self, client: &str) -> Answer {
        let path = authorize(&[("client_id", client)]);
        let page = self.send(Request::new("GET", &path)).expect(200);
        let back = self.submit(&page, "authorize/decision", &[("decision", "allow")]);
        let back = back.expect(303).header("location").unwrap().to_owned();
        let (_, query) = back.split_once('?').unwrap();
        let mut answer = form_urlencoded::parse(query.as_bytes());
        let (_, code) = answer.find(|(name, _)| name == "code").unwrap();
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
            ("code", &*code),
        ];
        self.host.form("/auth/token", &pairs).expect(200)
    }

    /// Whether the page of agreeing is shown, and not that of signing in.
    fn is_in(&mut self) -> bool {
        let page = self.page();
        let (agrees, signs_in) = (
            page.body.contains("value=\"allow\""),
            page.body.contains("name=\"password\""),
        );
        assert_ne!(agrees, signs_in, "{}", page.body);
        agrees
    }
}

/// The default project with an app, a record, and users; and another project.
fn furnished() -> Inside {
    let host = Inside::start();
    let app = json!({"id": "app", "name": "App", "scopes": "openid user/*.cruds",
        "token_endpoint_auth_method": "none", "redirect_uris": [BACK],
        "grant_types": ["authorization_code"]});
    host.operate("POST", "/admin/clients", &app).expect(201);
    let patient = json!({"resourceType": "Patient", "id": "target"});
    host.operate("PUT", "/fhir/Patient/target", &patient)
        .expect(201);
    host.operate(
        "POST",
        "/admin/projects",
        &json!({"slug": "other", "name": "Other"}),
    )
    .expect(201);
    host.user("default", &json!({"email": "user@example.org"}));
    host.user(
        "default",
        &json!({"email": "admin@example.org", "administers": ["default"]}),
    );
    host.user(
        "other",
        &json!({"email": "foreign@example.org", "administers": ["other"]}),
    );
    host
}

/// A token of each sort.
fn tokens(host: &Inside) -> Vec<(&'static str, String)> {
    let program =
        json!({"id": "program", "name": "P", "scopes": "system/*.cruds system/AuditEvent.rs"});
    let made = host.operate("POST", "/admin/clients", &program).expect(201);
    let secret = text(&made, "client_secret");
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", "program"),
        ("client_secret", &*secret),
    ];
    let program = host.form("/auth/token", &pairs).expect(200);
    let key = json!({"name": "Key", "addresses": ["::/0"], "days": 1});
    let key = host.operate("POST", "/admin/clients/program/keys", &key);
    let mut browser = At::new(host);
    browser.sign_in("user@example.org").expect(303);
    let app = browser.agree("app");
    vec![
        ("a client's", text(&program, "access_token")),
        ("a server's key", text(&key.expect(201), "key")),
        ("a user's", host.sign_in("default", "user@example.org")),
        (
            "an administrator's",
            host.sign_in("default", "admin@example.org"),
        ),
        ("an app's for a user", text(&app, "access_token")),
    ]
}

#[test]
fn a_token_that_would_not_be_taken_is_not_active() {
    let host = furnished();
    let looker = json!({"id": "looker", "name": "L", "scopes": "system/Patient.r"});
    let looker = host.operate("POST", "/admin/clients", &looker).expect(201);
    let secret = text(&looker, "client_secret");
    let is_active = |token: &str| {
        let pairs = [
            ("client_id", "looker"),
            ("client_secret", &*secret),
            ("token", token),
        ];
        let told = host.form("/auth/introspect", &pairs).expect(200).json();
        told["active"] == true
    };
    let identity = json!({"sign_up": "closed", "idle_minutes": 10});
    host.operate("PUT", "/admin/identity", &identity)
        .expect(200);
    let all = tokens(&host);
    assert!(all.iter().all(|(_, token)| is_active(token)));
    // People who wait too long are logged off, programs are not.
    host.advance_ms(10 * 60 * 1000);
    for (whose, token) in &all {
        let taken = host.with(token, Request::new("GET", "/fhir/Patient/target"));
        assert_eq!(is_active(token), taken.status != 401, "{whose}");
        assert_eq!(
            is_active(token),
            ["a client's", "a server's key"].contains(whose)
        );
    }
    host.advance_ms(DAY_MS);
    assert!(!all.iter().any(|(_, token)| is_active(token)));
}

/// How many requests without a valid token are in the audit.
fn refused(host: &Inside) -> u64 {
    let of = |project: &str| {
        let path = format!("/p/{project}/fhir/AuditEvent?type=110114&outcome=4&_summary=count");
        let found = host.operate("GET", &path, &Value::Null).expect(200).json();
        found["total"].as_u64().unwrap_or_else(|| panic!("{found}"))
    };
    of("default") + of("system")
}

#[test]
fn no_closed_route_answers_a_session_that_ended_by_time() {
    let host = furnished();
    let tokens = tokens(&host);
    let project = Project {
        server: shared(),
        slug: "default".to_owned(),
        token: String::new(),
    };
    for (whose, token) in &tokens {
        // It was good, whatever it may do.
        let answer = host.with(token, Request::new("GET", "/fhir/Patient/target"));
        assert_ne!(answer.status, 401, "{whose}: {}", answer.body);
    }
    host.advance_ms(DAY_MS);
    let before = refused(&host);
    let mut asked = 0;
    for route in closed() {
        for (whose, token) in &tokens {
            let answer = host.with(token, request(&project, route));
            assert_eq!(
                answer.status, 401,
                "{whose} {}: {}",
                route.name, answer.body
            );
            assert!(
                answer.header("www-authenticate").is_some(),
                "{}",
                route.name
            );
            asked += 1;
        }
    }
    assert_eq!(refused(&host) - before, asked);
    let patient = host.operate("GET", "/fhir/Patient/target", &Value::Null);
    assert_eq!(patient.expect(200).header("etag"), Some("W/\"1\""));
}

#[test]
fn pages_know_who_is_there_by_a_cookie_that_is_good() {
    let host = furnished();
    // None, and one that is made up.
    assert!(!At::new(&host).is_in());
    let mut forger = At::new(&host);
    let made_up = format!("sb1.1.{}", "A".repeat(43));
    forger.cookies.insert("salus".to_owned(), made_up);
    assert!(!forger.is_in());
    // Right.
    let mut user = At::new(&host);
    user.sign_in("user@example.org").expect(303);
    assert!(user.is_in());
    // Of another project, though they administer that one.
    let mut foreign = At::new(&host);
    foreign.sign_in("foreign@example.org").expect(403);
    assert!(!foreign.is_in());
    // A token in the place of the cookie.
    let mut bearer = At::new(&host);
    let token = host.sign_in("default", "user@example.org");
    bearer.cookies.insert("salus".to_owned(), token);
    assert!(!bearer.is_in());
    // Weaker: who has to have a second factor by now, and has brought none.
    let identity = |mfa: bool| json!({"sign_up": "closed", "mfa_required": mfa});
    host.operate("PUT", "/admin/identity", &identity(true))
        .expect(200);
    assert!(!user.is_in());
    host.operate("PUT", "/admin/identity", &identity(false))
        .expect(200);
    assert!(user.is_in());
    // Revoked, here by signing out.
    let mut leaving = At::new(&host);
    leaving.sign_in("user@example.org").expect(303);
    let stolen = leaving.cookies["salus"].clone();
    let page = leaving
        .send(Request::new("GET", "/auth/logout"))
        .expect(200);
    leaving
        .submit(&page, "logout/decision", &[("decision", "leave")])
        .expect(200);
    leaving.cookies.insert("salus".to_owned(), stolen);
    assert!(!leaving.is_in());
    // Expired: neither the page nor a form that was filled in before gives anything.
    let page = user.page();
    host.advance_ms(DAY_MS);
    assert!(!user.is_in());
    for step in ["authorize/decision", "authorize/patient"] {
        let answer = user.submit(&page, step, &[("decision", "allow")]);
        assert_eq!(answer.header("location"), None, "{step}");
        assert!(
            answer.body.contains("name=\"password\""),
            "{step}: {}",
            answer.body
        );
    }
}

#[test]
fn clients_that_nobody_uses_are_removed_and_others_stay() {
    let host = furnished();
    host.operate(
        "PUT",
        "/admin/registration",
        &json!({"mode": "open", "scopes": "openid user/*.rs"}),
    )
    .expect(200);
    let register = |name: &str| {
        let body = json!({"client_name": name, "redirect_uris": [BACK],
            "token_endpoint_auth_method": "none"});
        let request = Request::new("POST", "/auth/register").body(body.to_string());
        text(&host.send(&request).expect(201), "client_id")
    };
    let (used, unused) = (register("Used"), register("Unused"));
    let mut browser = At::new(&host);
    browser.sign_in("user@example.org").expect(303);
    browser.agree(&used);

    let sweep = || host.block_on(host.service.sweep_registrations()).unwrap();
    host.advance_ms(7 * DAY_MS - 1);
    assert_eq!(sweep(), 0);
    host.advance_ms(1);
    assert_eq!(sweep(), 1);
    let clients = host
        .operate("GET", "/admin/clients", &Value::Null)
        .expect(200);
    assert!(clients.body.contains(&used) && !clients.body.contains(&unused));
    let told = "/fhir/AuditEvent?type=110100";
    let told = host.operate("GET", told, &Value::Null).expect(200);
    assert!(told.body.contains("nobody-used-it"), "{}", told.body);
    host.advance_ms(183 * DAY_MS);
    assert_eq!(sweep(), 1);
}
