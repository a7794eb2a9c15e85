//! Signing out of a browser, at the wish of an app (OpenID Connect RP-Initiated Logout) and
//! without one.

use salus_auth::jwt;
use salus_crypto::signing::Algorithm;
use serde_json::{Value, json};

use crate::host::Server;
use crate::oauth::{key, register};
use crate::oauth_users::{BACK, Browser, Place, authorize, place, text, told, trade};
use crate::wire::{Answer, Request};

const OUT: &str = "https://app.example.org/out";
const DECISION: &str = "/auth/logout/decision";

/// A place where an app may send people to sign out; somebody is signed in at a browser,
/// and the app has a token and an id token.
fn signed_in() -> (Place, Browser, Value) {
    let place = place();
    let client = json!({
        "id": "leaver", "name": "The <App>", "token_endpoint_auth_method": "none",
        "scopes": "openid offline_access user/Patient.rs", "redirect_uris": [BACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "post_logout_redirect_uris": [OUT],
    });
    register(&place.project, &client).expect(201);
    let mut browser = Browser::default();
    browser.agree(&place, "openid");
    let given = agree(&place, &mut browser, "openid user/Patient.rs");
    (place, browser, given)
}

/// Agrees to what the app asks for, at a browser where somebody is signed in.
fn agree(place: &Place, browser: &mut Browser, scope: &str) -> Value {
    let path = authorize(&[("client_id", "leaver"), ("scope", scope)]);
    let page = browser.get(place, &path).expect(200);
    let allow = [("decision", "allow")];
    let done = browser
        .submit(place, &page, "/auth/authorize/decision", &allow)
        .expect(303);
    let back = done.header("location").unwrap().to_owned();
    let code = told(&back, "code").unwrap();
    let given = trade(place, &[("code", &code), ("client_id", "leaver")]);
    given.expect(200).json()
}

fn logout(pairs: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("/auth/logout?{}", query.finish())
}

fn is_in(place: &Place, browser: &mut Browser) -> bool {
    let page = browser.get(place, &authorize(&[])).expect(200);
    page.body.contains("value=\"allow\"")
}

#[track_caller]
fn leave(place: &Place, browser: &mut Browser, page: &Answer) -> Answer {
    browser.submit(place, page, DECISION, &[("decision", "leave")])
}

#[test]
fn a_user_who_says_so_is_signed_out_and_goes_back_to_the_app() {
    let (place, mut browser, given) = signed_in();
    let lasting = agree(
        &place,
        &mut browser,
        "openid offline_access user/Patient.rs",
    );
    let hint = text(&given, "id_token");
    let path = logout(&[
        ("id_token_hint", &*hint),
        ("post_logout_redirect_uri", OUT),
        ("state", "s&1"),
    ]);
    let page = browser.get(&place, &path).expect(200);
    assert!(page.body.contains("The &lt;App&gt;") && page.body.contains("first@example.org"));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("form-action 'self' https://app.example.org;"),
        "{policy}"
    );
    // Nobody is signed out before they say so.
    let stays = browser.submit(&place, &page, DECISION, &[("decision", "stay")]);
    assert_eq!(stays.expect(200).header("location"), None);
    assert!(is_in(&place, &mut browser));
    let now = place.project.with(&text(&given, "access_token"));
    let later = place.project.with(&text(&lasting, "access_token"));
    now.get("Patient").expect(200);

    let gone = leave(&place, &mut browser, &page).expect(303);
    assert_eq!(
        gone.header("location"),
        Some("https://app.example.org/out?state=s%261")
    );
    assert_eq!(gone.header("cache-control"), Some("no-store"));
    assert!(!is_in(&place, &mut browser));
    // What the app may do while the user is there ends; what it may when they are away does not.
    now.get("Patient").expect(401);
    later.get("Patient").expect(200);
    // There is nobody to ask any more, and the way back is there.
    let page = browser.get(&place, &path).expect(200);
    assert!(
        page.body
            .contains("href=\"https://app.example.org/out?state=s%261\""),
        "{}",
        page.body
    );
}

#[test]
fn nobody_is_signed_out_by_strangers() {
    let (place, mut browser, given) = signed_in();
    let hint = text(&given, "id_token");
    let asked = [("id_token_hint", &*hint), ("client_id", "leaver")];
    let page = browser.get(&place, &logout(&asked)).expect(200);
    // A link, a form of another site, a form of another browser, and one of another page.
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(asked)
        .finish();
    let posted = Request::new("POST", "/auth/logout").body(query);
    let posted = browser.send(&place, posted).expect(303);
    let next = posted.header("location").unwrap();
    assert!(next.contains("/auth/logout?id_token_hint="), "{next}");
    let bare = Request::new("POST", DECISION).body("decision=leave");
    browser.send(&place, bare).expect(403);
    Browser::default()
        .submit(&place, &page, DECISION, &[("decision", "leave")])
        .expect(403);
    let elsewhere = Request::new("POST", DECISION)
        .header("Origin", "https://evil.example")
        .body(filled(&page));
    browser.send(&place, elsewhere).expect(403);
    let consent = browser.get(&place, &authorize(&[])).expect(200);
    let other = Request::new("POST", DECISION).body(filled(&consent));
    browser.send(&place, other).expect(403);
    assert!(is_in(&place, &mut browser));
    leave(&place, &mut browser, &page).expect(200);
    assert!(!is_in(&place, &mut browser));
}

/// The form of a page, with the decision to leave.
fn filled(page: &Answer) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for name in ["request", "form"] {
        form.append_pair(name, &crate::oauth_users::hidden(&page.body, name));
    }
    form.append_pair("decision", "leave");
    form.finish()
}

#[test]
fn nobody_is_sent_where_the_app_is_not_at_home() {
    let (place, mut browser, given) = signed_in();
    let hint = text(&given, "id_token");
    let forged = {
        let claims = json!({"aud": "leaver", "iss": issuer(&place.project.server)});
        jwt::sign(&key(Algorithm::Rs256), "mine", &claims).unwrap()
    };
    for pairs in [
        [
            ("post_logout_redirect_uri", "https://evil.example/"),
            ("id_token_hint", &*hint),
        ],
        [
            ("post_logout_redirect_uri", "https://app.example.org/out/"),
            ("id_token_hint", &*hint),
        ],
        [
            ("post_logout_redirect_uri", OUT),
            ("id_token_hint", &*forged),
        ],
        [("post_logout_redirect_uri", OUT), ("id_token_hint", "no")],
        [("post_logout_redirect_uri", OUT), ("client_id", "app")],
        [("post_logout_redirect_uri", OUT), ("client_id", "none")],
        [("post_logout_redirect_uri", OUT), ("state", "s")],
    ] {
        let page = browser.get(&place, &logout(&pairs)).expect(200);
        assert!(
            page.body.contains("You will stay here"),
            "{pairs:?}: {}",
            page.body
        );
        assert!(!page.body.contains("evil.example<"), "{}", page.body);
    }
    let both = [
        ("post_logout_redirect_uri", OUT),
        ("id_token_hint", &*hint),
        ("client_id", "app"),
    ];
    let page = browser.get(&place, &logout(&both)).expect(200);
    let gone = leave(&place, &mut browser, &page).expect(200);
    assert_eq!(gone.header("location"), None);
    assert!(!is_in(&place, &mut browser));
}

fn issuer(server: &Server) -> String {
    format!("http://{}", server.address())
}

#[test]
fn pages_behind_signing_in_have_a_way_out() {
    let (place, mut browser, _) = signed_in();
    let link = "<a href=\"/auth/logout\">Sign out</a>";
    let page = browser.get(&place, &authorize(&[])).expect(200);
    assert!(page.body.contains(link), "{}", page.body);
    // It leads to a page that asks, also below the project's other address.
    let page = browser.get(&place, "/auth/logout").expect(200);
    assert!(!page.body.contains("sent you here"), "{}", page.body);
    let below = browser.get(&place, "/p/default/auth/logout").expect(200);
    assert!(
        below
            .body
            .contains("action=\"/p/default/auth/logout/decision\""),
        "{}",
        below.body
    );
    leave(&place, &mut browser, &page).expect(200);
    let page = browser.get(&place, "/auth/logout").expect(200);
    assert!(
        page.body.contains("You are not signed in here."),
        "{}",
        page.body
    );
    // Before anybody has signed in there is no way out.
    let page = browser.get(&place, &authorize(&[])).expect(200);
    assert!(!page.body.contains(link), "{}", page.body);
    let document = Request::new("GET", "/.well-known/openid-configuration");
    let document = place.project.send(document).expect(200).json();
    let end = format!("{}/auth/logout", issuer(&place.project.server));
    assert_eq!(document["end_session_endpoint"], end);
}
