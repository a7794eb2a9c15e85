//! What a stranger can send before anything is known of them: tokens, scopes,
//! addresses, sealed texts.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::record::Email;
use salus_auth::{Scopes, Token};
use salus_crypto::SecretKey;

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
    let key = SecretKey::from_bytes([7; 32]);
    assert!(
        key.open_text(b"cursor", text).is_err(),
        "nobody has the key"
    );
});
