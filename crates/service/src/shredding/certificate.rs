//! The certificate of a shredding: what NIST SP 800-88r2, 4.6 and appendix B, wants of one, as
//! a JSON Web Signature that anybody checks offline.
//!
//! It is a flattened JWS (RFC 7515, 7.2.2) by Ed25519 (RFC 8037, 3.1). Beside the members that
//! the standard names stands `certificate`, the payload as people read it, which a signature
//! does not cover by itself (it must be ignored, 7.2.1): who checks compares both.

use std::collections::BTreeMap;

use salus_auth::record::Shred;
use salus_crypto::ed25519::{self, PUBLIC_BYTES};
use salus_crypto::{Ed25519Key, base64url, from_base64url, sha256};
use serde_json::{Value, json};

use crate::time::instant;

/// Bytes of a certificate, at most.
pub const BYTES_MAX: usize = 1 << 20;
const TYPE: &str = "salus-shred-certificate+jws";
/// That of a report of disposals, which the same key signs.
const DISPOSALS: &str = "salus-disposal-report+jws";
/// By when copies of the keyring from before have to be destroyed.
const COPIES_MS: i64 = 30 * 86_400_000;

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is no certificate.
    #[error("this is no certificate of a shredding")]
    Form,
    /// Another key signed it, or it was changed.
    #[error("the signature is not by this key, or the certificate was changed")]
    Signature,
    /// What people read in it is not what was signed.
    #[error("what it shows is not what was signed")]
    Shown,
}

/// What a certificate says.
pub(super) struct Facts<'a> {
    pub(super) project: &'a str,
    pub(super) patient: &'a str,
    pub(super) shred: &'a Shred,
    pub(super) erased: &'a BTreeMap<String, (u64, u64)>,
    pub(super) keys: u32,
    pub(super) blobs: usize,
    pub(super) jobs: usize,
    /// Objects in cold storage with records of the patient, and how many could not be removed.
    pub(super) cold: (usize, usize),
    pub(super) done_ms: i64,
}

impl Facts<'_> {
    pub(super) fn view(&self) -> Value {
        let (begun, done) = (instant(self.shred.begun_ms), instant(self.done_ms));
        let found = self.erased.iter().map(|(ty, (records, versions))| {
            (
                ty.clone(),
                json!({"records": records, "versions": versions}),
            )
        });
        let found: serde_json::Map<_, _> = found.collect();
        // When it is finished after a crash, some of them are gone already.
        let planned = self.shred.plan.get("erased").cloned();
        json!({
            "version": 1,
            "project": self.project,
            "patient": self.patient,
            "requestedBy": self.shred.by,
            "reason": self.shred.reason,
            "begun": begun,
            "done": done,
            "method": {
                "standard": "NIST SP 800-88 Rev. 2",
                "sanitization": "Purge",
                "technique": "cryptographic erase",
                "cipher": "XAES-256-GCM",
                "keyBits": 256,
                // None if they were destroyed before a crash.
                "keysDestroyed": Some(self.keys).filter(|keys| *keys > 0),
                "keysKept": "in the keyring of the server only, wrapped by the key of the project",
                "how": "the wrapped key was overwritten where it lay, and the disk told to keep it",
            },
            "erased": {
                "records": planned.unwrap_or_else(|| found.into()),
                "files": self.blobs,
                "jobs": self.jobs,
            },
            "verified": {
                "versionsLeft": 0,
                "keyring": "refuses the keys of the patient, and gives no other",
                "index": "no value of the patient's records is in it; tables that held some were written anew",
            },
            "stays": self.shred.plan.get("stays").cloned().unwrap_or_default(),
            "copies": [
                {"copy": "store", "unreadable": done},
                {"copy": "archive, and copies of the store", "unreadable": begun,
                 "since": "what they hold is sealed with keys that are destroyed"},
                {"copy": "cold storage", "unreadable": begun, "objects": self.cold.0, "objectsLeft": self.cold.1,
                 "since": "what it holds is sealed with keys that are destroyed; objects that were left are locked there, or could not be asked for"},
                {"copy": "copies of the data folder made before", "destroyBy": instant(self.done_ms.saturating_add(COPIES_MS)),
                 "by": "the operator", "until": "then values of the index in the engine's files, sealed with the key of the whole store, can be read by who has them and the keyring"},
                {"copy": "copies of the keyring made before", "destroyBy": instant(self.done_ms.saturating_add(COPIES_MS)),
                 "by": "the operator", "until": "then what they unlock can be read by who has them"},
                {"copy": "files exported, printed or sent before", "by": "whoever received them"},
            ],
        })
    }
}

/// The certificate that says it.
pub(super) fn sign(key: &Ed25519Key, payload: &Value) -> Value {
    signed(key, TYPE, payload)
}

/// A report of disposals, signed as certificates are.
pub(crate) fn sign_disposals(key: &Ed25519Key, payload: &Value) -> Value {
    signed(key, DISPOSALS, payload)
}

fn signed(key: &Ed25519Key, ty: &str, payload: &Value) -> Value {
    let public = key.public();
    let header = json!({"alg": "EdDSA", "kid": key_id(&public), "typ": ty});
    let protected = base64url(header.to_string().as_bytes());
    let signed = base64url(payload.to_string().as_bytes());
    let signature = key.sign(format!("{protected}.{signed}").as_bytes());
    json!({
        "certificate": payload,
        "payload": signed,
        "protected": protected,
        "signature": base64url(&signature),
    })
}

/// What was signed, if a key of this name did.
///
/// # Errors
/// Why it proves nothing.
pub fn verify(text: &[u8], public: &[u8; PUBLIC_BYTES]) -> Result<Value, Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault::Form);
    }
    let jws: Value = serde_json::from_slice(text).map_err(|_| Fault::Form)?;
    let member = |name: &str| jws.get(name).and_then(Value::as_str).ok_or(Fault::Form);
    let bytes = |name: &str| from_base64url(member(name)?).ok_or(Fault::Form);
    let header: Value = serde_json::from_slice(&bytes("protected")?).map_err(|_| Fault::Form)?;
    let is = |name: &str, value: &str| header.get(name).and_then(Value::as_str) == Some(value);
    // What we do not know of must not be passed over (RFC 7515, 4.1.11).
    let known = is("typ", TYPE) || is("typ", DISPOSALS);
    if !is("alg", "EdDSA") || !known || header.get("crit").is_some() {
        return Err(Fault::Form);
    }
    let message = format!("{}.{}", member("protected")?, member("payload")?);
    ed25519::verify(public, message.as_bytes(), &bytes("signature")?)
        .map_err(|_| Fault::Signature)?;
    let payload: Value = serde_json::from_slice(&bytes("payload")?).map_err(|_| Fault::Form)?;
    match jws.get("certificate").is_none_or(|shown| *shown == payload) {
        true => Ok(payload),
        false => Err(Fault::Shown),
    }
}

/// A public key as a JSON Web Key (RFC 8037, 2).
#[must_use]
pub fn jwk(public: &[u8; PUBLIC_BYTES]) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64url(public),
        "kid": key_id(public),
        "use": "sig",
    })
}

/// The key that a text names: a JSON Web Key, or its 32 bytes in URL-safe Base64.
#[must_use]
pub fn read_key(text: &str) -> Option<[u8; PUBLIC_BYTES]> {
    let text = text.trim();
    let key = match text.starts_with('{') {
        true => {
            let jwk: Value = serde_json::from_str(text).ok()?;
            let is = |name: &str, value: &str| jwk.get(name)?.as_str().map(|is| is == value);
            (is("kty", "OKP")? && is("crv", "Ed25519")?).then_some(())?;
            from_base64url(jwk.get("x")?.as_str()?)?
        }
        false => from_base64url(text)?,
    };
    key.try_into().ok()
}

/// The first bytes of the key's hash.
fn key_id(public: &[u8; PUBLIC_BYTES]) -> String {
    base64url(&sha256(public)[..12])
}

#[cfg(test)]
mod tests {
    use salus_crypto::SecretKey;

    use super::*;

    fn key(byte: u8) -> Ed25519Key {
        Ed25519Key::from_secret(&SecretKey::from_bytes([byte; 32])).unwrap()
    }

    #[test]
    fn what_was_signed_is_proved_and_any_change_is_noticed() {
        let payload = json!({"patient": "a", "erased": {"records": {}}});
        let signed = sign(&key(1), &payload);
        let check = |jws: &Value| verify(jws.to_string().as_bytes(), &key(1).public());
        assert_eq!(check(&signed), Ok(payload));
        let other = verify(signed.to_string().as_bytes(), &key(2).public());
        assert_eq!(other, Err(Fault::Signature));
        for member in ["payload", "protected", "signature"] {
            let mut changed = signed.clone();
            let text = changed[member].as_str().unwrap();
            let first = if text.starts_with('e') { "f" } else { "e" };
            changed[member] = format!("{first}{}", &text[1..]).into();
            assert!(check(&changed).is_err(), "{member}");
            changed.as_object_mut().unwrap().remove(member);
            assert_eq!(check(&changed), Err(Fault::Form));
        }
        let mut shown = signed.clone();
        shown["certificate"]["patient"] = "b".into();
        assert_eq!(check(&shown), Err(Fault::Shown));
        shown.as_object_mut().unwrap().remove("certificate");
        check(&shown).unwrap();
        for text in ["", "{}", "[]", "null", r#"{"protected":1}"#] {
            assert_eq!(verify(text.as_bytes(), &key(1).public()), Err(Fault::Form));
        }
    }

    #[test]
    fn another_algorithm_is_not_taken() {
        let header = base64url(br#"{"alg":"none","typ":"salus-shred-certificate+jws"}"#);
        let jws = json!({"protected": header, "payload": "e30", "signature": ""});
        let checked = verify(jws.to_string().as_bytes(), &key(1).public());
        assert_eq!(checked, Err(Fault::Form));
    }

    #[test]
    fn a_report_is_proved_as_a_certificate_is_and_is_none() {
        let payload = json!({"report": "disposals", "disposals": []});
        let report = sign_disposals(&key(1), &payload);
        let text = report.to_string();
        assert_eq!(
            verify(text.as_bytes(), &key(1).public()),
            Ok(payload.clone())
        );
        // What it is is signed, too.
        let mut changed = report;
        changed["protected"] = sign(&key(1), &payload)["protected"].clone();
        let checked = verify(changed.to_string().as_bytes(), &key(1).public());
        assert_eq!(checked, Err(Fault::Signature));
    }

    #[test]
    fn keys_are_read_as_they_are_shown() {
        let public = key(1).public();
        assert_eq!(read_key(&jwk(&public).to_string()), Some(public));
        assert_eq!(read_key(&format!("{}\n", base64url(&public))), Some(public));
        for text in ["", "{}", "e30", r#"{"kty":"OKP","crv":"X25519","x":"e30"}"#] {
            assert_eq!(read_key(text), None, "{text}");
        }
    }
}
