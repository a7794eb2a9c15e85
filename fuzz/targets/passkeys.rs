//! What authenticators write and browsers send on, as a stranger may make it up.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_auth::mfa::passkey::{Assertion, Expected, Passkey, Registration, read_attestation};

fuzz_target!(|bytes: &[u8]| {
    if let Some((_, credential, key)) = read_attestation(bytes) {
        assert!(!credential.is_empty());
        assert!(key.verify(b"message", bytes).is_err(), "nobody has the key");
    }
    if let Ok(made) = serde_json::from_slice::<Registration>(bytes) {
        let challenge = made.challenge().unwrap_or_default();
        let expected = Expected {
            challenge: &challenge,
            origin: "https://fhir.example.org",
            party: "fhir.example.org",
        };
        if let Some(passkey) = made.check(expected) {
            let kept = serde_json::to_string(&passkey).expect("it can be kept");
            let again: Passkey = serde_json::from_str(&kept).expect("what we print can be read");
            assert_eq!(passkey, again);
        }
    }
    if let Ok(signed) = serde_json::from_slice::<Assertion>(bytes) {
        let _ = signed.challenge();
    }
});
