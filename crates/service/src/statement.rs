//! Statements that anybody checks offline, years later: JSON Web Signatures.
//!
//! Each is a flattened JWS (RFC 7515, 7.2.2) by Ed25519 (RFC 8037, 3.1). Beside the members that
//! the standard names stands the payload as people read it, which a signature does not cover by
//! itself (it must be ignored, 7.2.1): who checks compares both.

use salus_crypto::ed25519::{self, PUBLIC_BYTES};
use salus_crypto::{Ed25519Key, base64url, from_base64url, sha256};
use serde_json::{Value, json};

/// Bytes of a statement, at most.
pub const BYTES_MAX: usize = 1 << 20;

/// What a statement is about.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// The type in its header: a statement of another type is not taken for it.
    pub ty: &'static str,
    /// The member with what people read.
    pub shown: &'static str,
}

/// Why a statement proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is none of this form.
    #[error("this is no such statement")]
    Form,
    /// Another key signed it, or it was changed.
    #[error("the signature is not by this key, or what was signed was changed")]
    Signature,
    /// What people read in it is not what was signed.
    #[error("what it shows is not what was signed")]
    Shown,
}

/// The statement that says it.
#[must_use]
pub fn sign(key: &Ed25519Key, form: Form, payload: &Value) -> Value {
    let public = key.public();
    let header = json!({"alg": "EdDSA", "kid": key_id(&public), "typ": form.ty});
    let protected = base64url(header.to_string().as_bytes());
    let signed = base64url(payload.to_string().as_bytes());
    let signature = key.sign(format!("{protected}.{signed}").as_bytes());
    json!({
        form.shown: payload,
        "payload": signed,
        "protected": protected,
        "signature": base64url(&signature),
    })
}

/// What was signed, if this key signed it.
///
/// # Errors
/// Why it proves nothing.
pub fn verify(text: &[u8], form: Form, public: &[u8; PUBLIC_BYTES]) -> Result<Value, Fault> {
    if text.len() > BYTES_MAX {
        return Err(Fault::Form);
    }
    let jws: Value = serde_json::from_slice(text).map_err(|_| Fault::Form)?;
    let member = |name: &str| jws.get(name).and_then(Value::as_str).ok_or(Fault::Form);
    let bytes = |name: &str| from_base64url(member(name)?).ok_or(Fault::Form);
    let header: Value = serde_json::from_slice(&bytes("protected")?).map_err(|_| Fault::Form)?;
    let is = |name: &str, value: &str| header.get(name).and_then(Value::as_str) == Some(value);
    // What we do not know of must not be passed over (RFC 7515, 4.1.11).
    if !is("alg", "EdDSA") || !is("typ", form.ty) || header.get("crit").is_some() {
        return Err(Fault::Form);
    }
    let message = format!("{}.{}", member("protected")?, member("payload")?);
    ed25519::verify(public, message.as_bytes(), &bytes("signature")?)
        .map_err(|_| Fault::Signature)?;
    let payload: Value = serde_json::from_slice(&bytes("payload")?).map_err(|_| Fault::Form)?;
    match jws.get(form.shown).is_none_or(|shown| *shown == payload) {
        true => Ok(payload),
        false => Err(Fault::Shown),
    }
}

/// The same for a statement of one of these forms.
///
/// # Errors
/// Why it proves nothing.
pub fn verify_one(
    text: &[u8],
    forms: &[Form],
    public: &[u8; PUBLIC_BYTES],
) -> Result<Value, Fault> {
    let mut checked = forms.iter().map(|form| verify(text, *form, public));
    let of_one = checked.find(|checked| *checked != Err(Fault::Form));
    of_one.unwrap_or(Err(Fault::Form))
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

    const FORM: Form = Form {
        ty: "salus-shred-certificate+jws",
        shown: "certificate",
    };

    fn key(byte: u8) -> Ed25519Key {
        Ed25519Key::from_secret(&SecretKey::from_bytes([byte; 32])).unwrap()
    }

    #[test]
    fn what_was_signed_is_proved_and_any_change_is_noticed() {
        let payload = json!({"patient": "a", "erased": {"records": {}}});
        let signed = sign(&key(1), FORM, &payload);
        let check = |jws: &Value| verify(jws.to_string().as_bytes(), FORM, &key(1).public());
        assert_eq!(check(&signed), Ok(payload));
        let other = verify(signed.to_string().as_bytes(), FORM, &key(2).public());
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
            let read = verify(text.as_bytes(), FORM, &key(1).public());
            assert_eq!(read, Err(Fault::Form));
        }
    }

    #[test]
    fn another_algorithm_or_form_is_not_taken() {
        let header = base64url(br#"{"alg":"none","typ":"salus-shred-certificate+jws"}"#);
        let jws = json!({"protected": header, "payload": "e30", "signature": ""});
        let checked = verify(jws.to_string().as_bytes(), FORM, &key(1).public());
        assert_eq!(checked, Err(Fault::Form));
        let other = Form {
            ty: "salus-other+jws",
            ..FORM
        };
        let signed = sign(&key(1), other, &json!({})).to_string();
        let checked = verify(signed.as_bytes(), FORM, &key(1).public());
        assert_eq!(checked, Err(Fault::Form));
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
