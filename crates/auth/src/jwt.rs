//! Signed tokens: <https://www.rfc-editor.org/rfc/rfc7519> in the compact form
//! of RFC 7515, section 7.1, with the care that RFC 8725 asks for.
//!
//! The algorithm is one of four, all with public keys, and it has to fit the
//! key: there is no `none`, and no key that could be taken for another kind.

use salus_crypto::signing::{Algorithm, PublicKey, SigningKey};
use salus_crypto::{base64url, from_base64url};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::jwk::{algorithm, algorithm_name};

/// The longest token read.
const BYTES_MAX: usize = 16 << 10;

/// A token that has the right form; nothing is known of it before [`Self::claims`].
pub struct Jwt<'a> {
    algorithm: Algorithm,
    key_id: Option<Box<str>>,
    signed: &'a str,
    claims: Vec<u8>,
    signature: Vec<u8>,
}
salus_phi::guard!(Jwt<'_>);

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<Box<str>>,
    /// What must be understood; we understand none of it.
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart; `None` if it has not the form of one that we check.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header: Header = serde_json::from_slice(&from_base64url(header)?).ok()?;
        if header.crit.is_some() {
            return None;
        }
        Some(Self {
            algorithm: algorithm(&header.alg)?,
            key_id: header.kid,
            signed,
            claims: from_base64url(claims)?,
            signature: from_base64url(signature)?,
        })
    }

    /// The algorithm it says it is signed with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key it says it is signed with.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// What it claims, if one of these keys has signed it.
    #[must_use]
    pub fn claims<'k, T: DeserializeOwned>(
        &self,
        keys: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Option<T> {
        let signed = self.signed.as_bytes();
        let checks = |key: &PublicKey| key.verify(self.algorithm, signed, &self.signature).is_ok();
        if !keys.into_iter().any(checks) {
            return None;
        }
        serde_json::from_slice(&self.claims).ok()
    }

    /// What it claims, unproved: to find out which keys to ask.
    #[must_use]
    pub fn unproved<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.claims).ok()
    }
}

/// Signs claims.
///
/// # Errors
/// When the library fails.
pub fn sign(key: &SigningKey, key_id: &str, claims: &impl Serialize) -> Result<String, Error> {
    const FAILED: Error = Error::Record("key to sign with");
    let header = serde_json::json!({
        "alg": algorithm_name(key.algorithm()),
        "kid": key_id,
        "typ": "JWT",
    });
    let claims = serde_json::to_vec(claims).map_err(|_| FAILED)?;
    let header = base64url(header.to_string().as_bytes());
    let signed = format!("{header}.{}", base64url(&claims));
    let signature = key.sign(signed.as_bytes()).map_err(|_| FAILED)?;
    Ok(format!("{signed}.{}", base64url(&signature)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(algorithm: Algorithm) -> SigningKey {
        let pkcs8 = SigningKey::generate(algorithm).unwrap();
        SigningKey::from_pkcs8(algorithm, &pkcs8).unwrap()
    }

    #[test]
    fn claims_are_known_by_the_right_key_only() {
        let (right, wrong) = (key(Algorithm::Es384), key(Algorithm::Es384));
        let claims = json!({"sub": "me"});
        let text = sign(&right, "k", &claims).unwrap();
        let jwt = Jwt::parse(&text).unwrap();
        assert_eq!(
            (jwt.key_id(), jwt.algorithm()),
            (Some("k"), Algorithm::Es384)
        );
        assert_eq!(jwt.claims::<Value>([&right.public()]), Some(claims.clone()));
        assert_eq!(jwt.claims::<Value>([&wrong.public()]), None);
        assert_eq!(
            jwt.claims::<Value>([&wrong.public(), &right.public()]),
            Some(claims.clone())
        );
        assert_eq!(jwt.claims::<Value>([]), None);
        assert_eq!(jwt.unproved::<Value>(), Some(claims));
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", base64url(b"{\"sub\":\"you\"}"));
        let forged = Jwt::parse(&forged).unwrap();
        assert_eq!(forged.claims::<Value>([&right.public()]), None);
    }

    #[track_caller]
    fn check_form(header: &str, good: bool) {
        let text = format!(
            "{}.{}.{}",
            base64url(header.as_bytes()),
            base64url(b"{}"),
            "AA"
        );
        assert_eq!(Jwt::parse(&text).is_some(), good, "{header}");
    }

    #[test]
    fn other_forms_are_no_tokens() {
        check_form(r#"{"alg":"RS256"}"#, true);
        check_form(
            r#"{"alg":"ES384","typ":"JWT","kid":"x","jku":"https://example.org"}"#,
            true,
        );
        check_form(r#"{"alg":"none"}"#, false);
        check_form(r#"{"alg":"HS256"}"#, false);
        check_form(r#"{"alg":"RS256","alg":"none"}"#, false);
        check_form(r#"{"alg":"RS256","crit":["exp"]}"#, false);
        check_form(r#"{"alg":"RS256","kid":1}"#, false);
        check_form(r#"{}"#, false);
        check_form("", false);
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c.d",
            "e30.e30.",
            &"a".repeat(20_000),
        ] {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
    }
}
