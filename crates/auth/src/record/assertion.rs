//! Assertions that clients have used, so that none is used twice (RFC 7523, 3).

use salus_store::{Precondition, Row};
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, expires_row};
use crate::token;

/// An assertion, or the challenge of a passkey, that was used. Its id is a hash of what it was and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assertion {
    /// When it ends by itself, in milliseconds since 1970 UTC.
    pub expires_ms: i64,
}

impl SystemRecord for Assertion {
    const NAME: &'static str = "salus:Assertion";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl Assertion {
    /// One that a client uses now.
    pub(crate) fn used(client: &str, jti: &str, expires_s: i64) -> Saved<Self> {
        let expires_ms = expires_s.saturating_mul(1000);
        // No id of a client has this sign.
        Saved::new(token::id(&format!("{client} {jti}")), Self { expires_ms })
    }

    /// A challenge that a passkey has signed now.
    #[must_use]
    pub fn challenge(text: &str, expires_ms: i64) -> Saved<Self> {
        Saved::new(token::id(&format!("passkey {text}")), Self { expires_ms })
    }

    /// That it was never used.
    #[must_use]
    pub fn unused(saved: &Saved<Self>) -> Precondition {
        Precondition::VersionIs {
            kind: Self::KIND,
            id: saved.id.clone(),
            version: None,
        }
    }
}
