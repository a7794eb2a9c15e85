//! Sessions: what a bearer token stands for. The id is the token's hash.

use std::net::IpAddr;

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::client::scopes_as_text;
use super::{SystemRecord, expires_row, token_row, with_token};
use crate::{Error, Network, PurposeOfUse, Scopes};

const OWNER: Param = Param::named("salus:Session", "owner");
const KEY_OF: Param = Param::named("salus:Session", "key");

/// A session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose it is.
    pub owner: Owner,
    /// What the token was given, for a client.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// When it began, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// When it was used, as far as that was kept; 0 is not since it began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used_ms: i64,
    /// The client that acts for the user, if it is not the user who does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// How the user signed in, if that was here (RFC 8176).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// What a server is given to keep, if it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// When the user proved last who they are; 0 is when the session began.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub proved_ms: i64,
    /// The purpose that it is for, if it is bound to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<PurposeOfUse>,
}
salus_phi::guard!(Session);

/// Keys of a client at most.
pub const KEYS_MAX: usize = 50;
const KEY_DAYS_MAX: i64 = 366;
const KEY_NETWORKS_MAX: usize = 20;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A key that a server keeps: a session of its client that lasts longer, and is
/// good for requests from these networks only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What people call it.
    pub name: String,
    /// Where it is used.
    pub addresses: Vec<Network>,
}
salus_phi::guard!(Key);

impl Key {
    /// Checks a key before it is made, and for how long it is to be good, in days.
    ///
    /// # Errors
    /// [`Error::Name`] says what is wrong.
    pub fn check(&self, days: i64) -> Result<(), Error> {
        super::project::check_name(&self.name)?;
        let refuse = |what, form| Err(Error::Name { what, form });
        if !(1..=KEY_NETWORKS_MAX).contains(&self.addresses.len()) {
            return refuse("addresses", "1 to 20");
        }
        if !(1..=KEY_DAYS_MAX).contains(&days) {
            return refuse("days", "1 to 366");
        }
        Ok(())
    }

    /// Days in milliseconds.
    #[must_use]
    pub fn lifetime_ms(days: i64) -> i64 {
        days.saturating_mul(DAY_MS)
    }

    /// Whether a request may come from there. One that did not come over a network may.
    #[must_use]
    pub fn is_good_from(&self, remote: Option<IpAddr>) -> bool {
        let within = |address| self.addresses.iter().any(|one| one.contains(address));
        remote.is_none_or(within)
    }
}

/// A client that acts for a user; what it was given is its authorization's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// The number of the project where client and authorization are.
    pub project: u32,
    /// The client's id.
    pub client: Box<str>,
    /// The authorization's id. When it is deleted, the session has ended.
    pub authorization: Box<str>,
    /// What the client asked for of what it was given.
    #[serde(with = "scopes_as_text")]
    pub scopes: Scopes,
    /// How many clients handed it on.
    #[serde(default)]
    pub exchanges: u8,
}
salus_phi::guard!(Through);

/// Whose a session is; the record lies in the session's scope.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The user of this id.
    User(Box<str>),
    /// The client of this id.
    Client(Box<str>),
}
salus_phi::guard!(Owner);

fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

impl Owner {
    fn text(&self) -> String {
        match self {
            Self::User(id) => format!("User/{id}"),
            Self::Client(id) => format!("Client/{id}"),
        }
    }
}

impl SystemRecord for Session {
    const NAME: &'static str = "salus:Session";

    fn rows(&self) -> Vec<Row> {
        let key = self.key.as_ref();
        let key = key.map(|_| token_row(KEY_OF, &self.owner.text()));
        let rows = [
            token_row(OWNER, &self.owner.text()),
            expires_row::<Self>(self.expires_ms),
        ];
        rows.into_iter().chain(key).collect()
    }
}

impl Session {
    /// In place of a time: nobody said when the user proved who they are, so it was long ago.
    pub const LONG_AGO_MS: i64 = 1;

    /// When the user proved last who they are, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn proof_ms(&self) -> i64 {
        match self.proved_ms {
            0 => self.created_ms,
            at_ms => at_ms,
        }
    }

    /// The sessions of an owner, to list or revoke them.
    #[must_use]
    pub fn of(owner: &Owner) -> Query {
        with_token::<Self>(OWNER, &owner.text())
    }

    /// The keys of an owner.
    #[must_use]
    pub fn keys_of(owner: &Owner) -> Query {
        with_token::<Self>(KEY_OF, &owner.text())
    }
}
