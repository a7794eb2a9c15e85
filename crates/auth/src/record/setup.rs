//! The link by which the first administrator of a new server sets it up.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, expires_row};
use crate::{Error, Refusal, Secret, token};

/// How long a link is good for.
const LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// A link's record, in the system's scope. Its id is the hash of the secret in the link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupLink {
    /// When it ends, in milliseconds since 1970 UTC.
    pub expires_ms: i64,
}

impl SystemRecord for SetupLink {
    const NAME: &'static str = "salus:SetupLink";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl SetupLink {
    /// A new link: the secret for its URL, and the record.
    #[must_use]
    pub fn make(random: &[u8; 32], now_ms: i64) -> (Secret, Saved<Self>) {
        let secret = Secret::new(salus_crypto::base64url(random));
        let id = Self::id(secret.expose());
        let expires_ms = now_ms.saturating_add(LIFETIME_MS);
        (secret, Saved::new(id, Self { expires_ms }))
    }

    /// The id of the record of a link.
    #[must_use]
    pub fn id(secret: &str) -> Box<str> {
        token::id(secret)
    }

    /// Whether a link, as it was found by [`Self::id`], may be used. Using it
    /// is deleting it, in the batch that makes the administrator.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check(found: Option<Saved<Self>>, now_ms: i64) -> Result<Saved<Self>, Error> {
        match found {
            None => Err(Error::Refused(Refusal::Unknown)),
            Some(link) if link.value.expires_ms <= now_ms => Err(Error::Refused(Refusal::Expired)),
            Some(link) => Ok(link),
        }
    }
}
