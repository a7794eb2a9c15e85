//! A shred ledger and a certificate of a shredding, damaged in any way: neither is taken for
//! another than the one that was written.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_crypto::{Ledger, SecretKey};
use salus_service::shredding::certificate::FORM;
use salus_service::statement::{read_key, verify};

fuzz_target!(|input: &[u8]| {
    let key = SecretKey::from_bytes([7; 32]);
    if let Some(ledger) = Ledger::read(input, &key) {
        // Nobody makes a MAC of this key by chance: at most a torn end was there.
        assert!(ledger.shreddings.is_empty());
    }
    assert!(verify(input, FORM, &[7; 32]).is_err());
    if let Ok(text) = std::str::from_utf8(input)
        && let Some(public) = read_key(text)
    {
        assert!(verify(input, FORM, &public).is_err());
    }
});
