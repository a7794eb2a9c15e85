//! People who sign in with a password. For now each of them administers something.

use salus_store::{Param, Query, Row, Scope};
use serde::{Deserialize, Serialize};

use super::{Saved, Status, SystemRecord, token_row, with_token};
use crate::credentials::PasswordHash;
use crate::{Error, Role};

const EMAIL: Param = Param::named("salus:User", "email");

/// A user. Its id is random, so that it can stand in audit and logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Where mail reaches them; what they sign in with.
    pub email: Email,
    /// What their password is checked against.
    pub password: PasswordHash,
    /// What they are, by number of the scope.
    pub roles: Vec<(u32, Role)>,
    /// Whether they may sign in.
    pub status: Status,
    /// When the account was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
}

impl SystemRecord for User {
    const NAME: &'static str = "salus:User";

    fn rows(&self) -> Vec<Row> {
        vec![token_row(EMAIL, &self.email.0)]
    }
}

impl User {
    /// A new administrator of these scopes, under a random id.
    #[must_use]
    pub fn administrator(
        id: &str,
        email: Email,
        password: PasswordHash,
        of: &[Scope],
        now_ms: i64,
    ) -> Saved<Self> {
        Saved::new(
            id,
            Self {
                email,
                password,
                roles: of
                    .iter()
                    .map(|scope| (scope.0, Role::Administrator))
                    .collect(),
                status: Status::Active,
                created_ms: now_ms,
            },
        )
    }

    /// Gives the role of administrator in a scope.
    pub fn administers(&mut self, scope: Scope) {
        let role = (scope.0, Role::Administrator);
        if !self.roles.contains(&role) {
            self.roles.push(role);
        }
    }

    /// The user of an address. As a `NoneMatch` it keeps addresses unique.
    #[must_use]
    pub fn with_email(email: &Email) -> Query {
        with_token::<Self>(EMAIL, &email.0)
    }
}

/// An e-mail address, in lower case.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email(String);

impl Email {
    /// Reads an address: something, an `@`, something, at most 254 bytes.
    /// Only mail itself can tell whether it exists.
    ///
    /// # Errors
    /// [`Error::Email`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_lowercase();
        let whole = match text.split_once('@') {
            Some((local, domain)) => {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            }
            None => false,
        };
        let clean = !text.contains(|c: char| c.is_control() || c.is_whitespace());
        if whole && clean && text.len() <= 254 {
            Ok(Self(text))
        } else {
            Err(Error::Email)
        }
    }

    /// The address.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Email")
    }
}
