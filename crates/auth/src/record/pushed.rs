//! Requests that a client sent ahead of its user (RFC 9126).

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, expires_row};
use crate::token;

/// How long the user may take to come.
pub const PUSHED_LIFETIME_MS: i64 = 90 * 1000;
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// A request, in the scope of its project. Its id is the hash of its name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    client: Box<str>,
    /// The parameters, encoded as a form.
    pub request: String,
    expires_ms: i64,
}
salus_phi::guard!(Pushed);

impl SystemRecord for Pushed {
    const NAME: &'static str = "salus:Pushed";

    fn rows(&self) -> Vec<Row> {
        vec![expires_row::<Self>(self.expires_ms)]
    }
}

impl Pushed {
    /// A request of a client, and its name.
    #[must_use]
    pub fn make(
        random: &[u8; 32],
        client: &str,
        request: String,
        now_ms: i64,
    ) -> (String, Saved<Self>) {
        let name = format!("{PREFIX}{}", salus_crypto::base64url(random));
        let pushed = Self {
            client: client.into(),
            request,
            expires_ms: now_ms.saturating_add(PUSHED_LIFETIME_MS),
        };
        let id = token::id(&name);
        (name, Saved::new(id, pushed))
    }

    /// The id of the record of a name.
    #[must_use]
    pub fn id(name: &str) -> Box<str> {
        token::id(name)
    }

    /// Whether this client may use it now.
    #[must_use]
    pub fn is_for(&self, client: &str, now_ms: i64) -> bool {
        *self.client == *client && now_ms < self.expires_ms
    }
}
