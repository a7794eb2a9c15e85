//! Programs that sign in with a secret (OAuth 2.1 client credentials).

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Saved, Status, SystemRecord};
use crate::credentials::SecretHash;
use crate::{Error, Scopes};

/// A client. Its id is chosen by whoever registers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// What people call it.
    pub name: String,
    /// What its secret is checked against.
    pub secret: SecretHash,
    /// The most it may do.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// Whether it may sign in.
    pub status: Status,
    /// When it was registered, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}

impl SystemRecord for Client {
    const NAME: &'static str = "salus:Client";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Client {
    /// A new client.
    ///
    /// # Errors
    /// When the id is not 1 to 64 letters, digits, `-`, `.` or `_`, or the
    /// name is empty or longer than 200 bytes.
    pub fn register(
        id: &str,
        name: &str,
        secret: SecretHash,
        scopes: Scopes,
        now_ms: i64,
    ) -> Result<Saved<Self>, Error> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            return Err(Error::Name {
                what: "client id",
                form: "1 to 64 letters, digits, -, . or _",
            });
        }
        super::project::check_name(name)?;
        Ok(Saved::new(
            id,
            Self {
                name: name.to_owned(),
                secret,
                scopes,
                status: Status::Active,
                created_ms: now_ms,
            },
        ))
    }
}

/// Scopes are stored as the text that people know.
pub(super) mod scopes_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::Scopes;

    pub(in crate::record) fn serialize<S: Serializer>(
        scopes: &Scopes,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(&scopes.text())
    }

    pub(in crate::record) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Scopes, D::Error> {
        let text = String::deserialize(from)?;
        Scopes::parse(&text).map_err(serde::de::Error::custom)
    }
}
