//! Sessions: what a bearer token stands for. The id is the token's hash.

use salus_store::{Comparison, Filter, Param, Query, Row, Test, Value};
use serde::{Deserialize, Serialize};

use super::client::scopes_as_text;
use super::{SystemRecord, matching, token_row, with_token};
use crate::Scopes;

const OWNER: Param = Param::named("salus:Session", "owner");
const EXPIRES: Param = Param::named("salus:Session", "expires");

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// A client that acts for a user; what it was given is its authorization's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// Whose a session is; the record lies in the session's scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The user of this id.
    User(Box<str>),
    /// The client of this id.
    Client(Box<str>),
}

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
        vec![
            token_row(OWNER, &self.owner.text()),
            Row {
                param: EXPIRES,
                value: Value::Date {
                    from_ms: self.expires_ms,
                    to_ms: self.expires_ms.saturating_add(1),
                },
            },
        ]
    }
}

impl Session {
    /// The sessions of an owner, to list or revoke them.
    #[must_use]
    pub fn of(owner: &Owner) -> Query {
        with_token::<Self>(OWNER, &owner.text())
    }

    /// The sessions that ended before a time, to delete them.
    #[must_use]
    pub fn ended(before_ms: i64) -> Query {
        let ended = Test::Date(Comparison::Before, before_ms, before_ms.saturating_add(1));
        matching::<Self>(Filter::Value(EXPIRES, ended))
    }
}
