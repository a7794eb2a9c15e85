//! Signing in on the pages with a second factor.

use salus_auth::jwk::Jwks;
use salus_auth::jwt::Jwt;
use serde_json::{Value, json};

use crate::mfa::code;
use crate::mfa::virtual_key::VirtualKey;
use crate::oauth_users::{Browser, PASSWORD, Place, authorize, place, text, told, trade};
use crate::wire::{Answer, Request};

const USER: [(&str, &str); 2] = [("email", "first@example.org"), ("password", PASSWORD)];
const STRICT: (&str, &str) = ("acr_values", "https://refeds.org/profile/mfa");

/// What stands between two texts of a page.
#[track_caller]
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("{page}"));
    rest.split_once(after).unwrap().0
}

/// Sends the form of a half-done sign-in.
fn factor(browser: &mut Browser, place: &Place, page: &Answer, kind: &str, code: &str) -> Answer {
    let more = [("kind", kind), ("code", code)];
    browser.submit(place, page, "/auth/authorize/factor", &more)
}

/// The page behind a link to the server itself.
fn follow(browser: &mut Browser, place: &Place, url: &str) -> Answer {
    let address = place.project.server.address().to_string();
    let (_, path) = url.split_once(&address).unwrap();
    browser.get(place, path)
}

#[test]
fn an_app_can_ask_for_a_second_factor_and_the_pages_set_it_up() {
    let place = place();
    let mut browser = Browser::default();
    let page = browser.get(&place, &authorize(&[STRICT])).expect(200);
    let page = browser
        .submit(&place, &page, "/auth/authorize/sign-in", &USER)
        .expect(200);
    assert!(page.body.contains("<svg role=\"img\""), "{}", page.body);
    let secret = between(&page.body, "<code>", "</code>").to_owned();
    // What is half done opens nothing.
    let again = browser.get(&place, &authorize(&[STRICT])).expect(200);
    assert!(again.body.contains("<title>Sign in"), "{}", again.body);
    let page = factor(&mut browser, &place, &page, "enrol", "000000x").expect(403);
    assert!(page.body.contains("id=\"wrong\""), "{}", page.body);
    assert_eq!(between(&page.body, "<code>", "</code>"), secret);
    let done = factor(&mut browser, &place, &page, "enrol", &code(&secret, 0)).expect(200);
    let recovery = between(&done.body, "<li><code>", "</code>").to_owned();
    assert_eq!(done.body.matches("<li>").count(), 10);
    let next = between(&done.body, "<a class=\"button\" href=\"", "\"").replace("&amp;", "&");
    let page = follow(&mut browser, &place, &next).expect(200);
    let allow = [("decision", "allow")];
    let back = browser
        .submit(&place, &page, "/auth/authorize/decision", &allow)
        .expect(303);
    let back = back.header("location").unwrap().to_owned();
    let given = trade(&place, &[("code", &told(&back, "code").unwrap())]).expect(200);
    let keys = place.project.send(Request::new("GET", "/auth/jwks"));
    let keys = Jwks::parse(&keys.expect(200).body).unwrap();
    let id_token = text(&given.json(), "id_token");
    let jwt = Jwt::parse(&id_token).unwrap();
    let candidates = keys.candidates(jwt.key_id(), jwt.algorithm());
    let claims: Value = jwt.claims(candidates.map(|jwk| &jwk.key)).unwrap();
    assert_eq!(claims["acr"], "https://refeds.org/profile/mfa");
    assert_eq!(claims["amr"], json!(["pwd", "otp", "mfa"]));

    // From now on it is asked for, whoever wants to know.
    let mut other = Browser::default();
    let page = other.get(&place, &authorize(&[])).expect(200);
    let page = other
        .submit(&place, &page, "/auth/authorize/sign-in", &USER)
        .expect(200);
    assert!(page.body.contains("<title>Second factor"), "{}", page.body);
    let used = code(&secret, 0);
    let page = factor(&mut other, &place, &page, "totp", &used).expect(403);
    // Without its cookie the form is nothing.
    let mut third = Browser::default();
    factor(&mut third, &place, &page, "recovery", &recovery).expect(403);
    let done = factor(&mut other, &place, &page, "recovery", &recovery).expect(303);
    let next = done.header("location").unwrap().to_owned();
    let page = follow(&mut other, &place, &next).expect(200);
    assert!(page.body.contains("Allow access"), "{}", page.body);
}

#[test]
fn a_passkey_is_set_up_in_the_sign_in_that_it_was_made_for() {
    let place = place();
    let origin = format!("http://{}", place.project.server.address());
    let begin = |browser: &mut Browser| {
        let page = browser
            .get(&place, &authorize(&[STRICT, ("prompt", "login")]))
            .expect(200);
        let done = browser.submit(&place, &page, "/auth/authorize/sign-in", &USER);
        done.expect(200)
    };
    let challenge = |page: &Answer| {
        let text = between(&page.body, "&quot;challenge&quot;:&quot;", "&quot;");
        text.to_owned()
    };
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    let (page, elsewhere) = (begin(&mut browser), begin(&mut other));
    let mut key = VirtualKey::new();
    let made = |page: &Answer| {
        let made = key.register(&challenge(page), &origin, "127.0.0.1");
        made.to_string()
    };
    let foreign = made(&elsewhere);
    let page = factor(&mut browser, &place, &page, "enrol-passkey", &foreign).expect(403);
    assert!(page.body.contains("id=\"wrong\""), "{}", page.body);
    factor(&mut browser, &place, &page, "enrol-passkey", "{}").expect(400);
    let right = made(&page);
    let done = factor(&mut browser, &place, &page, "enrol-passkey", &right).expect(200);
    assert_eq!(done.body.matches("<li>").count(), 10);

    // It is the second factor now, and what was signed once is not taken again.
    let page = begin(&mut other);
    assert!(page.body.contains("<title>Second factor"), "{}", page.body);
    assert!(!page.body.contains("app shows"), "{}", page.body);
    let signed = key.assert((&challenge(&page), &origin, "127.0.0.1"), "", false);
    let signed = signed.to_string();
    factor(&mut other, &place, &page, "passkey", &signed).expect(303);
    let page = begin(&mut browser);
    let page = factor(&mut browser, &place, &page, "passkey", &signed).expect(403);
    // There is something new to be signed.
    let signed = key.assert((&challenge(&page), &origin, "127.0.0.1"), "", false);
    let signed = signed.to_string();
    factor(&mut browser, &place, &page, "passkey", &signed).expect(303);
}

#[test]
fn the_script_is_a_file_of_ours() {
    let place = place();
    let script = place
        .project
        .send(Request::new("GET", "/auth/passkey.js"))
        .expect(200);
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    // It is not sent again to who has it.
    let tag = script.header("etag").unwrap();
    assert!(tag.starts_with('"'), "{tag}");
    let again = |tag: &str| {
        let request = Request::new("GET", "/auth/passkey.js").header("If-None-Match", tag);
        place.project.send(request)
    };
    assert_eq!(again(tag).expect(304).body, "");
    again("\"other\"").expect(200);
    let mut browser = Browser::default();
    let page = browser.get(&place, &authorize(&[])).expect(200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    let sent = [("kind", "passkey"), ("code", "{}")];
    browser
        .submit(&place, &page, "/auth/authorize/passkey", &sent)
        .expect(400);
    let nobody = json!({"id": "AA", "response": {
        "clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"}});
    let nobody = nobody.to_string();
    let sent = [("kind", "passkey"), ("code", &*nobody)];
    browser
        .submit(&place, &page, "/auth/authorize/passkey", &sent)
        .expect(403);
}
