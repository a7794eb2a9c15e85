//! What a stranger can send before anything is known of them: tokens, scopes,
//! addresses, keys, assertions, what providers say, requests of clients, sealed texts, links, passwords;
//! and the words of mails, which administrators send.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::credentials::check_strength;
use salus_auth::jwk::Jwks;
use salus_auth::jwt::Jwt;
use salus_auth::openid::{self, Expected, Metadata};
use salus_auth::record::{Email, Link, Mail, MailText, Refresh};
use salus_auth::template::Template;
use salus_auth::{Scopes, Token};
use salus_crypto::SecretKey;
use salus_service::oauth::Asked;

const ISSUER: &str = "https://id.example.org";
const PROVIDER: &[u8] = br#"{"issuer":"https://id.example.org","authorization_endpoint":"",
    "token_endpoint":"","jwks_uri":""}"#;

fuzz_target!(|text: &str| {
    if let Some(token) = Token::parse(text) {
        assert!(!token.session_id().is_empty());
    }
    if let Ok(scopes) = Scopes::parse(text) {
        let again = Scopes::parse(&scopes.text()).expect("what we print can be read");
        assert_eq!(again, scopes);
        let same = scopes.intersect(&scopes).text();
        let same: Vec<&str> = same.split(' ').collect();
        let kept = scopes.text().split(' ').all(|scope| same.contains(&scope));
        assert!(kept, "what both have is what each has");
    }
    if let Ok(email) = Email::parse(text) {
        let again = Email::parse(email.expose()).expect("what we print can be read");
        assert_eq!(again.expose(), email.expose());
    }
    if let Some(refresh) = Refresh::parse(text) {
        assert!(!refresh.id.is_empty() && Token::parse(text).is_none());
    }
    if let Ok(keys) = Jwks::parse(text) {
        let again = serde_json::to_string(&keys).expect("keys can be written");
        assert_eq!(
            Jwks::parse(&again).expect("what we print can be read"),
            keys
        );
        if let Some(jwt) = Jwt::parse(text) {
            let found = keys.candidates(jwt.key_id(), jwt.algorithm());
            let claims: Option<serde_json::Value> = jwt.claims(found.map(|jwk| &jwk.key));
            assert!(claims.is_none(), "nobody has the key");
        }
        let metadata = Metadata::parse(PROVIDER, ISSUER).expect("it is one");
        let expected = Expected {
            issuer: ISSUER,
            client_id: "us",
            nonce: "n",
            sent_ms: 0,
            max_age_s: None,
        };
        let told = openid::check(text, (&metadata, &keys), expected, 0);
        assert!(told.is_err(), "nobody has the key");
    }
    if let Ok(metadata) = Metadata::parse(text.as_bytes(), ISSUER) {
        let _ = (metadata.takes_basic(), metadata.names_itself());
    }
    if let Some(jwt) = Jwt::parse(text) {
        let _ = jwt.unproved::<serde_json::Value>();
    }
    let words = MailText {
        subject: text.to_owned(),
        text: text.to_owned(),
        html: Some(text.to_owned()),
    };
    for mail in Mail::ALL {
        let _ = words.check(mail);
        if let Ok(template) = Template::parse(text, mail.places()) {
            let filled = template.html(|_| "<\"'>");
            let plain = template.plain(|_| "");
            let signs = |text: &str| text.matches(['<', '>', '"', '\'']).count();
            assert_eq!(signs(&filled), signs(&plain), "what is filled in is text");
        }
    }
    if let Ok(email) = Email::parse("someone@example.org") {
        let _ = check_strength(text, 8, &email, &[text, "Example"]);
    }
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let asked = Asked::of(pairs);
    let back = asked.back("https://issuer.example.org", &[("code", "c")]);
    assert!(
        back.starts_with(&asked.redirect_uri),
        "nobody is sent elsewhere"
    );
    let key = SecretKey::from_bytes([7; 32]);
    let scope = salus_store::Scope(3);
    assert!(Link::id(&key, scope, text).is_err(), "nobody has the key");
    assert!(
        key.open_text(b"cursor", text).is_err(),
        "nobody has the key"
    );
});
