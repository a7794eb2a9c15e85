//! Signing in by providers of OpenID Connect: the way there and back, and all that is refused on it.

use serde_json::{Value, json};

use crate::oauth_users::{Browser, PASSWORD, Place, authorize, hidden, place_with};
use crate::openid_provider::{CLIENT, Provider, SECRET, Twist};
use crate::wire::{Answer, Request};

/// The project `default` of a server, some providers, and the first of them set up.
pub(crate) struct Stage {
    pub(crate) place: Place,
    pub(crate) providers: Vec<Provider>,
}

impl Stage {
    /// With as many providers, the first set up as `hospital` with these changes.
    pub(crate) fn new(count: usize, changes: Value) -> Self {
        Self::with(count, changes, &[])
    }

    /// The same, with more arguments of the server.
    pub(crate) fn with(count: usize, changes: Value, arguments: &[&str]) -> Self {
        let providers: Vec<Provider> = (0..count).map(|_| Provider::new()).collect();
        let origins: Vec<String> = providers.iter().map(Provider::issuer).collect();
        let origins = format!("--provider-origins={}", origins.join(","));
        let place = place_with(&[&[&*origins], arguments].concat());
        let stage = Self { place, providers };
        stage.set_up(0, "hospital", changes).expect(201);
        stage
    }

    pub(crate) fn provider(&self) -> &Provider {
        &self.providers[0]
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.place.project.server.admin(method, path, &body)
    }

    /// Sets a provider up under a name.
    pub(crate) fn set_up(&self, provider: usize, name: &str, changes: Value) -> Answer {
        let mut new = self.setting(provider, changes);
        new["name"] = json!(name);
        self.admin("POST", "/admin/providers", new)
    }

    pub(crate) fn setting(&self, provider: usize, changes: Value) -> Value {
        let mut new = json!({
            "label": "The <Hospital>", "issuer": self.providers[provider].issuer(),
            "client_id": CLIENT, "client_secret": SECRET,
        });
        for (name, value) in changes.as_object().unwrap() {
            new[name] = value.clone();
        }
        new
    }

    /// A user of the project with a password: their id.
    pub(crate) fn user(&self, email: &str) -> String {
        let new = json!({"email": email, "password": PASSWORD});
        let made = self.admin("POST", "/admin/users", new).expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Goes to a provider by the button of a sign-in page: where that leads.
    #[track_caller]
    pub(crate) fn leave(
        &self,
        browser: &mut Browser,
        name: &str,
        asked: &[(&str, &str)],
    ) -> String {
        let page = browser.get(&self.place, &authorize(asked)).expect(200);
        let more = [("provider", name)];
        let page = browser
            .submit(&self.place, &page, "/auth/authorize/provider", &more)
            .expect(200);
        link(&page)
    }

    /// Goes to the first provider and comes back.
    #[track_caller]
    pub(crate) fn come(&self, browser: &mut Browser) -> Answer {
        let url = self.leave(browser, "hospital", &[]);
        let back = self.provider().visit(&url);
        browser.get_from_elsewhere(&self.place, &back)
    }

    /// Who is asked to agree, behind an answer that signs in.
    #[track_caller]
    pub(crate) fn who(&self, browser: &mut Browser, answer: Answer) -> String {
        let next = answer.expect(303).header("location").unwrap().to_owned();
        let address = self.place.project.server.address().to_string();
        let (_, path) = next.split_once(&address).unwrap();
        let page = browser.get(&self.place, path).expect(200);
        assert!(page.body.contains("value=\"allow\""), "{}", page.body);
        let (_, rest) = page
            .body
            .split_once("@example.org")
            .unwrap_or_else(|| panic!("{}", page.body));
        let before = page.body.len() - rest.len() - "@example.org".len();
        let name = page.body[..before].rsplit(['>', ' ']).next().unwrap();
        name.to_owned()
    }

    /// Signs in at the page on which an unknown account is connected.
    #[track_caller]
    pub(crate) fn connect(
        &self,
        browser: &mut Browser,
        page: &Answer,
        (email, password): (&str, &str),
    ) -> Answer {
        let ticket = hidden(&page.body, "ticket");
        let more = [
            ("ticket", &*ticket),
            ("email", email),
            ("password", password),
        ];
        browser.submit(&self.place, page, "/auth/authorize/connect", &more)
    }

    /// Asks for something with a token of a user's own.
    pub(crate) fn own(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        let request = Request::new(method, path)
            .header("Authorization", format!("Bearer {token}"))
            .body(body.to_string());
        self.place.project.send(request)
    }

    /// A token of a user's own, by their password.
    pub(crate) fn token(&self, email: &str) -> String {
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let request = Request::new("POST", "/auth/sign-in").body(body);
        let given = self.place.project.send(request).expect(200).json();
        given["access_token"].as_str().unwrap().to_owned()
    }
}

/// Where a page leads at once, and its link as well.
#[track_caller]
pub(crate) fn link(page: &Answer) -> String {
    let (_, rest) = page.body.split_once("content=\"0; url=").unwrap();
    let (url, rest) = rest.split_once('"').unwrap();
    assert!(
        rest.contains(&format!("<a href=\"{url}\"")),
        "{}",
        page.body
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    url.replace("&amp;", "&")
}

fn is_connect_page(page: &Answer) -> bool {
    page.body.contains("<h1>Connect your account</h1>")
}

#[test]
fn a_user_signs_in_by_a_provider() {
    let stage = Stage::new(1, json!({"scopes": ["email"]}));
    stage.user("ada@example.org");
    let names = stage
        .place
        .project
        .send(Request::new("GET", "/auth/providers"));
    let expect = json!({"providers": [{"name": "hospital", "label": "The <Hospital>"}]});
    assert_eq!(names.expect(200).json(), expect);

    let mut browser = Browser::default();
    let page = browser.get(&stage.place, &authorize(&[])).expect(200);
    let button =
        "<button name=\"provider\" value=\"hospital\">Sign in with The &lt;Hospital&gt;</button>";
    assert!(page.body.contains(button), "{}", page.body);
    let url = stage.leave(&mut browser, "hospital", &[]);
    assert!(url.contains("&scope=openid+email&"), "{url}");
    assert!(
        !url.contains("max_age") && !url.contains("acr_values"),
        "{url}"
    );
    assert_eq!(browser.cookie("salus-provider").unwrap().len(), 43);
    let back = stage.provider().visit(&url);
    let page = browser.get_from_elsewhere(&stage.place, &back).expect(200);
    // Whoever is new there signs in here once.
    assert!(is_connect_page(&page), "{}", page.body);
    assert_eq!(browser.cookie("salus"), None);
    let ada = ("ada@example.org", PASSWORD);
    let done = stage.connect(&mut browser, &page, ada);
    assert_eq!(stage.who(&mut browser, done), "ada");

    let mut other = Browser::default();
    let done = stage.come(&mut other);
    assert_eq!(stage.who(&mut other, done), "ada");
    // What was asked of each sign-in was asked once.
    let provider = stage.provider();
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1);
    assert_eq!((provider.asked("/jwks"), provider.asked("/token")), (1, 2));
    let log = stage.place.project.server.log();
    for secret in [SECRET, "code-0", "ada@", "hospital"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// One thing that a provider does wrong, or says.
type Case = (&'static str, Option<Twist>, Value);

#[test]
fn every_wrong_answer_is_refused() {
    let stage = Stage::new(1, json!({}));
    let ada = stage.user("ada@example.org");
    let mut first = Browser::default();
    let page = stage.come(&mut first).expect(200);
    let user = ("ada@example.org", PASSWORD);
    stage.connect(&mut first, &page, user).expect(303);
    let says = |claims: Value| {
        let mut all = json!({"sub": "1"});
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    let twist = |name, twist| (name, Some(twist), json!({}));
    let claim = |name, claims| (name, None, claims);
    let other = "https://other.example.org";
    let cases: Vec<Case> = vec![
        twist("another state", Twist::OtherState),
        twist("no state", Twist::NoState),
        twist("the iss of another provider", Twist::OtherIss),
        twist("no iss where each answer has one", Twist::NoIss),
        twist("an error", Twist::Error),
        twist("no code", Twist::NoCode),
        twist("alg none", Twist::AlgNone),
        twist("alg HS256", Twist::AlgHs256),
        twist("a key of somebody else", Twist::OtherKey),
        twist("a key that is shown nowhere", Twist::UnknownKey),
        twist("a code that is not taken", Twist::NoToken),
        twist("a redirect", Twist::Redirect),
        claim("another issuer", json!({"iss": other})),
        claim(
            "the issuer with a slash",
            json!({"iss": format!("{}/", stage.provider().issuer())}),
        ),
        claim("another audience", json!({"aud": "other"})),
        claim("no audience", json!({"aud": []})),
        claim("two audiences", json!({"aud": [CLIENT, "other"]})),
        claim("given to another", json!({"azp": "other"})),
        claim("expired", json!({"exp": "now-120"})),
        claim("no end", json!({"exp": null})),
        claim("of the future", json!({"iat": "now120"})),
        claim("of long ago", json!({"iat": "now-3600"})),
        claim("not yet", json!({"nbf": "now120"})),
        claim("another nonce", json!({"nonce": "x"})),
        claim("no nonce", json!({"nonce": null})),
        claim("no subject", json!({"sub": ""})),
    ];
    for (name, twist, claims) in cases {
        stage.provider().twist(twist);
        stage.provider().says(says(claims));
        let mut browser = Browser::default();
        let answer = stage.come(&mut browser);
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        assert_eq!(browser.cookie("salus"), None, "{name}");
        assert!(
            !is_connect_page(&answer) && !answer.body.contains("<b>"),
            "{name}"
        );
    }
    stage.provider().twist(None);
    // A proof that is older than the app wants.
    for (max_age, auth_time, status) in [
        ("0", "now-120", 403),
        ("0", "now0", 303),
        ("3600", "now-120", 303),
    ] {
        stage
            .provider()
            .says(json!({"sub": "1", "auth_time": auth_time}));
        let mut browser = Browser::default();
        let url = stage.leave(&mut browser, "hospital", &[("max_age", max_age)]);
        assert!(url.contains(&format!("&max_age={max_age}")), "{url}");
        assert_eq!(url.contains("&prompt=login"), max_age == "0", "{url}");
        let back = stage.provider().visit(&url);
        browser
            .get_from_elsewhere(&stage.place, &back)
            .expect(status);
    }
    stage.provider().says(json!({"sub": "1"}));
    // An answer comes once, to the browser that asked, at the place of its provider.
    let mut browser = Browser::default();
    let back = stage
        .provider()
        .visit(&stage.leave(&mut browser, "hospital", &[]));
    let mut thief = Browser::default();
    thief.get(&stage.place, &back).expect(403);
    stage.leave(&mut thief, "hospital", &[]);
    thief.get_from_elsewhere(&stage.place, &back).expect(403);
    let elsewhere = back.replace("/hospital/", "/clinic/");
    browser
        .get_from_elsewhere(&stage.place, &elsewhere)
        .expect(403);
    let done = browser.get_from_elsewhere(&stage.place, &back);
    assert_eq!(stage.who(&mut browser, done), "ada");
    browser.get_from_elsewhere(&stage.place, &back).expect(403);
    // Who is suspended stays out.
    let path = format!("/admin/users/{ada}");
    stage
        .admin("PATCH", &path, json!({"status": "suspended"}))
        .expect(200);
    let mut browser = Browser::default();
    stage.come(&mut browser).expect(403);
    assert_eq!(browser.cookie("salus"), None);
    stage
        .admin("PATCH", &path, json!({"status": "active"}))
        .expect(200);
    // A provider that is not active is no way in.
    let setting = stage.setting(0, json!({"active": false}));
    let back = stage
        .provider()
        .visit(&stage.leave(&mut browser, "hospital", &[]));
    stage
        .admin("PUT", "/admin/providers/hospital", setting)
        .expect(200);
    browser.get_from_elsewhere(&stage.place, &back).expect(403);
    let page = browser.get(&stage.place, &authorize(&[])).expect(200);
    assert!(!page.body.contains("name=\"provider\""), "{}", page.body);
}

#[test]
fn keys_that_a_provider_replaces_are_asked_for_once_a_while() {
    let stage = Stage::new(1, json!({}));
    let mut browser = Browser::default();
    stage.come(&mut browser).expect(200);
    assert_eq!(stage.provider().asked("/jwks"), 1);
    // They were asked for just now.
    stage.provider().rotate("second");
    stage.come(&mut browser).expect(403);
    assert_eq!(stage.provider().asked("/jwks"), 1);
}

#[test]
fn one_subject_of_two_providers_is_two_users() {
    let stage = Stage::new(2, json!({"create": "verified-mail"}));
    stage
        .set_up(
            1,
            "clinic",
            json!({"label": "Clinic", "create": "verified-mail"}),
        )
        .expect(201);
    stage
        .admin("PUT", "/admin/identity", json!({"sign_up": "open"}))
        .expect(200);
    let mut ids = Vec::new();
    for (index, name) in ["hospital", "clinic"].into_iter().enumerate() {
        let email = format!("{name}@example.org");
        let says = json!({"sub": "1", "email": email, "email_verified": true, "name": name});
        stage.providers[index].says(says);
        let mut browser = Browser::default();
        let url = stage.leave(&mut browser, name, &[]);
        let back = stage.providers[index].visit(&url);
        let done = browser.get_from_elsewhere(&stage.place, &back);
        assert_eq!(stage.who(&mut browser, done), name);
        let path = format!("/admin/users?email={email}");
        let found = stage.admin("GET", &path, Value::Null).expect(200).json();
        let user = &found["users"][0];
        assert_eq!(
            (&user["name"], &user["verified"]),
            (&json!(name), &json!(true))
        );
        assert_eq!(user["has_password"], false);
        ids.push(user["id"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    // The address of the one at the provider of the other is nobody's way in.
    let says = json!({"sub": "2", "email": "hospital@example.org", "email_verified": true});
    stage.providers[1].says(says);
    let mut browser = Browser::default();
    let url = stage.leave(&mut browser, "clinic", &[]);
    let back = stage.providers[1].visit(&url);
    let page = browser.get_from_elsewhere(&stage.place, &back).expect(200);
    assert!(is_connect_page(&page) && browser.cookie("salus").is_none());
}

#[test]
fn what_is_set_up_is_checked_and_its_secret_is_shown_to_nobody() {
    let stage = Stage::new(2, json!({}));
    let shown = stage
        .admin("GET", "/admin/providers/hospital", Value::Null)
        .expect(200);
    assert!(!shown.body.contains(SECRET), "{}", shown.body);
    let shown = shown.json();
    assert_eq!(
        (&shown["has_secret"], &shown["create"]),
        (&json!(true), &json!("never"))
    );
    let place = format!(
        "http://{}/auth/providers/hospital/callback",
        stage.place.project.server.address()
    );
    assert_eq!(shown["redirect_uri"], place);
    stage.set_up(0, "hospital", json!({})).expect(409);
    stage.set_up(0, "again", json!({})).expect(409);
    stage.set_up(1, "Clinic", json!({})).expect(400);
    stage
        .set_up(1, "clinic", json!({"client_secret": null}))
        .expect(400);
    stage
        .set_up(1, "clinic", json!({"issuer": "https://id.example.org"}))
        .expect(400);
    stage
        .set_up(
            1,
            "clinic",
            json!({"groups": {"claim": "g", "values": {"a": "none"}}}),
        )
        .expect(400);
    stage
        .set_up(1, "clinic", json!({"create": "anyone"}))
        .expect(400);
    stage.providers[1].twist(Some(Twist::EndpointElsewhere));
    let refused = stage.set_up(1, "clinic", json!({})).expect(422);
    assert!(
        refused.body.contains("--provider-origins"),
        "{}",
        refused.body
    );
    stage.providers[1].twist(Some(Twist::OtherIssuer));
    let paused = json!({"active": false});
    stage.set_up(1, "clinic", paused).expect(201);
    // What stays of it is the secret, unless it is to be told to somebody else.
    let kept = stage.setting(0, json!({"client_secret": null, "label": "Other"}));
    let changed = stage
        .admin("PUT", "/admin/providers/hospital", kept)
        .expect(200);
    assert_eq!(changed.json()["has_secret"], true);
    stage
        .admin("DELETE", "/admin/providers/clinic", Value::Null)
        .expect(200);
    let moved = stage.setting(1, json!({"client_secret": null, "active": false}));
    stage
        .admin("PUT", "/admin/providers/hospital", moved)
        .expect(400);
    stage
        .admin("DELETE", "/admin/providers/clinic", Value::Null)
        .expect(404);
    let listed = stage
        .admin("GET", "/admin/providers", Value::Null)
        .expect(200)
        .json();
    assert_eq!(listed["providers"].as_array().unwrap().len(), 1);

    // Proof by a key of ours in place of the secret.
    let setting = stage.setting(
        0,
        json!({"client_secret": null, "token_endpoint_auth_method": "private_key_jwt"}),
    );
    let changed = stage
        .admin("PUT", "/admin/providers/hospital", setting)
        .expect(200);
    assert_eq!(changed.json()["has_secret"], false);
    stage.come(&mut Browser::default()).expect(200);
}
