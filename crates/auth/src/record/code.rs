//! Codes that a client trades for tokens (RFC 6749, 4.1.2; OAuth 2.1, 4.1.2).

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::client::scopes_as_text;
use super::{LaunchContext, Saved, SystemRecord, expires_row};
use crate::oauth::{Code as Kind, Fault};
use crate::{PurposeOfUse, Scopes, Secret, token};

/// How long a code is good for.
const LIFETIME_MS: i64 = 60 * 1000;

/// What a user agreed to, and with whom.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed {
    /// The client's id.
    pub client: Box<str>,
    /// The number of the scope where the user's record is.
    pub home: u32,
    /// The user's id.
    pub user: Box<str>,
    /// What the client may do and know.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// The patient that it is about, if it is about one.
    #[serde(default)]
    pub patient: Option<Box<str>>,
    /// What else the client is told of the place where it was opened.
    #[serde(default)]
    pub context: LaunchContext,
    /// What the client wants to find in the id token.
    #[serde(default)]
    pub nonce: Option<String>,
    /// When the user signed in, in milliseconds since 1970 UTC.
    pub signed_in_ms: i64,
    /// When they proved last who they are, if that was not then; 0 is then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub proved_ms: i64,
    /// How (RFC 8176).
    pub methods: Vec<String>,
    /// What the client acts for, if it has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<PurposeOfUse>,
}
salus_phi::guard!(Agreed);

fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

impl Agreed {
    /// When the user proved last who they are.
    #[must_use]
    pub fn proof_ms(&self) -> i64 {
        match self.proved_ms {
            0 => self.signed_in_ms,
            at_ms => at_ms,
        }
    }
}

/// A code, in the scope of its project. Its id is the code's hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// What it stands for.
    pub agreed: Agreed,
    redirect: String,
    /// The SHA-256 of the verifier that the client has to bring (RFC 7636, 4.2).
    challenge: String,
    expires_ms: i64,
    /// The authorization that it was traded for.
    #[serde(default)]
    pub used: Option<Box<str>>,
}
salus_phi::guard!(Code);

impl SystemRecord for Code {
    const NAME: &'static str = "salus:Code";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl Code {
    /// A new code, for the client alone, and its record.
    #[must_use]
    pub fn make(
        random: &[u8; 32],
        agreed: Agreed,
        (redirect, challenge): (&str, &str),
        now_ms: i64,
    ) -> (Secret, Saved<Self>) {
        let secret = Secret::new(salus_crypto::base64url(random));
        let code = Self {
            agreed,
            redirect: redirect.to_owned(),
            challenge: challenge.to_owned(),
            expires_ms: now_ms.saturating_add(LIFETIME_MS),
            used: None,
        };
        let saved = Saved::new(Self::id(secret.expose()), code);
        (secret, saved)
    }

    /// The id of the record of a code.
    #[must_use]
    pub fn id(code: &str) -> Box<str> {
        token::id(code)
    }

    /// Whether it may be traded by this client, who sends this redirect URI and verifier.
    ///
    /// # Errors
    /// `invalid_grant`.
    pub fn check(
        &self,
        client: &str,
        redirect: Option<&str>,
        verifier: Option<&str>,
        now_ms: i64,
    ) -> Result<(), Fault> {
        let refuse = |why| Err(Fault::new(Kind::InvalidGrant, why));
        if *self.agreed.client != *client || self.expires_ms <= now_ms {
            return refuse("the code is not valid");
        }
        if redirect != Some(&*self.redirect) {
            return refuse("redirect_uri is not the one that the code was asked for with");
        }
        match verifier {
            Some(verifier) if is_verifier(verifier) && challenge(verifier) == self.challenge => {
                Ok(())
            }
            Some(_) | None => refuse("code_verifier does not fit the code_challenge"),
        }
    }
}

/// The challenge of a verifier: S256, the only method there is.
fn challenge(verifier: &str) -> String {
    salus_crypto::base64url(&salus_crypto::sha256(verifier.as_bytes()))
}

/// RFC 7636, 4.1.
fn is_verifier(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_holds_for_who_asked_for_it() {
        // The example of RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        let agreed = Agreed {
            client: "app".into(),
            home: 1,
            user: "u".into(),
            scopes: Scopes::default(),
            patient: None,
            context: LaunchContext::default(),
            nonce: None,
            signed_in_ms: 0,
            proved_ms: 0,
            methods: Vec::new(),
            purpose: None,
        };
        let back = "https://app.example.org/back";
        let (_, code) = Code::make(&[1; 32], agreed, (back, challenge), 1000);
        let check = |client, redirect, verifier, now_ms| {
            code.value.check(client, redirect, verifier, now_ms).is_ok()
        };
        let (back, verifier) = (Some(back), Some(verifier));
        assert!(check("app", back, verifier, 60_999));
        assert!(!check("app", back, verifier, 61_000));
        assert!(!check("other", back, verifier, 2000));
        assert!(!check(
            "app",
            Some("https://app.example.org/"),
            verifier,
            2000
        ));
        assert!(!check("app", None, verifier, 2000));
        assert!(!check("app", back, None, 2000));
        assert!(!check("app", back, Some(challenge), 2000));
        assert!(!check("app", back, Some("short"), 2000));
    }
}
