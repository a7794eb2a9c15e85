//! Links in mail: whoever has one reads the mail of its address.
//!
//! A link is `<id>.<mac>`: the id of its record and, over it, the code of a key that only this
//! server has. So a link can be made again when a mail has to be sent again, nothing
//! in the store is a link or leads to one, and who guesses is told by arithmetic. It works once
//! and for a time: using it deletes the record.

use salus_crypto::SecretKey;
use salus_store::{Param, Query, Row, Scope};
use serde::{Deserialize, Serialize};

use super::{Email, Profile, Saved, SystemRecord, expires_row, token_row, with_token};
use crate::{Error, Refusal, Secret};

const HOUR_MS: i64 = 60 * 60 * 1000;
const ADDRESS: Param = Param::named("salus:Link", "address");
const USER: Param = Param::named("salus:Link", "user");
const PURPOSE: Param = Param::named("salus:Link", "purpose");

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Making an account that its owner asked for.
    SignUp,
    /// Making one that somebody else has prepared, or choosing its first password.
    Invitation,
    /// Saying that mail reaches a user.
    Verify,
    /// Choosing a new password.
    Recover,
}

impl Purpose {
    /// For how many hours one is good.
    #[must_use]
    pub fn hours(self) -> i64 {
        match self {
            Self::SignUp | Self::Verify => 24,
            Self::Invitation => 7 * 24,
            Self::Recover => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign-up",
            Self::Invitation => "invitation",
            Self::Verify => "verify",
            Self::Recover => "recover",
        }
    }
}

/// A link's record, in the scope of its project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it is good for.
    pub purpose: Purpose,
    /// The address that it is sent to.
    pub email: Email,
    /// The user that it is about, if there is one yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// When it was made, in milliseconds since 1970 UTC.
    pub made_ms: i64,
    /// When it ends.
    pub expires_ms: i64,
    /// What an invitation gives.
    #[serde(default)]
    pub gives: Gives,
}
salus_phi::guard!(Link);

/// What somebody who was invited will be.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gives {
    /// What people call them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The groups that they will be in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
    /// The roles that they will hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Who they are among the resources of the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// Who invited them, as the audit names people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}
salus_phi::guard!(Gives);

impl SystemRecord for Link {
    const NAME: &'static str = "salus:Link";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            token_row(ADDRESS, self.email.expose()),
            token_row(PURPOSE, self.purpose.name()),
            expires_row::<Self>(self.expires_ms),
        ];
        rows.extend(self.user.as_ref().map(|id| token_row(USER, id)));
        rows
    }
}

impl Link {
    /// A new link to an address.
    #[must_use]
    pub fn new(purpose: Purpose, email: Email, now_ms: i64) -> Self {
        Self {
            purpose,
            email,
            user: None,
            made_ms: now_ms,
            expires_ms: now_ms.saturating_add(purpose.hours() * HOUR_MS),
            gives: Gives::default(),
        }
    }

    /// Those that were sent to an address.
    #[must_use]
    pub fn to(email: &Email) -> Query {
        with_token::<Self>(ADDRESS, email.expose())
    }

    /// Those about a user.
    #[must_use]
    pub fn about(user: &str) -> Query {
        with_token::<Self>(USER, user)
    }

    /// Those for a purpose.
    #[must_use]
    pub fn with_purpose(purpose: Purpose) -> Query {
        with_token::<Self>(PURPOSE, purpose.name())
    }

    /// What a mail says, for the link of this record.
    #[must_use]
    pub fn secret(key: &SecretKey, scope: Scope, id: &str) -> Secret {
        let mac = salus_crypto::base64url(&mac(key, scope, id));
        Secret::new(format!("{id}.{mac}"))
    }

    /// The id of the record of a link that was made here.
    ///
    /// # Errors
    /// [`Error::Refused`] when it was not.
    pub fn id<'a>(key: &SecretKey, scope: Scope, link: &'a str) -> Result<&'a str, Error> {
        let unknown = Error::Refused(Refusal::Unknown);
        let Some((id, given)) = link.split_once('.') else {
            return Err(unknown);
        };
        if !salus_fhir::reference::is_id(id) {
            return Err(unknown);
        }
        let expected = salus_crypto::base64url(&mac(key, scope, id));
        match salus_crypto::same(expected.as_bytes(), given.as_bytes()) {
            true => Ok(id),
            false => Err(unknown),
        }
    }

    /// Whether a link, as it was found by [`Self::id`], may be used for one of these.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check(
        found: Option<Saved<Self>>,
        purposes: &[Purpose],
        now_ms: i64,
    ) -> Result<Saved<Self>, Error> {
        match found {
            Some(link) if !purposes.contains(&link.value.purpose) => {
                Err(Error::Refused(Refusal::Unknown))
            }
            Some(link) if link.value.expires_ms <= now_ms => Err(Error::Refused(Refusal::Expired)),
            Some(link) => Ok(link),
            None => Err(Error::Refused(Refusal::Unknown)),
        }
    }
}

fn mac(key: &SecretKey, scope: Scope, id: &str) -> [u8; 32] {
    key.mac(format!("link {} {id}", scope.0).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_one_of_this_server_and_project() {
        let key = SecretKey::from_bytes([1; 32]);
        let link = Link::secret(&key, Scope(3), "abc");
        let link = link.expose();
        assert_eq!(Link::id(&key, Scope(3), link).ok(), Some("abc"));
        let other = SecretKey::from_bytes([2; 32]);
        assert!(Link::id(&other, Scope(3), link).is_err());
        assert!(Link::id(&key, Scope(4), link).is_err());
        assert!(Link::id(&key, Scope(3), &link.replace("abc", "abd")).is_err());
        for bad in ["", ".", "abc", "abc.", "a b.x", &link[..link.len() - 1]] {
            assert!(Link::id(&key, Scope(3), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_is_good_for_its_purpose_and_time() {
        let email = Email::parse("ada@example.org").unwrap();
        let link = Saved::new("abc", Link::new(Purpose::Recover, email, 1000));
        let check = |purpose, now_ms| Link::check(Some(link.clone()), &[purpose], now_ms).is_ok();
        assert!(check(Purpose::Recover, 1000 + HOUR_MS - 1));
        assert!(!check(Purpose::Recover, 1000 + HOUR_MS));
        assert!(!check(Purpose::Verify, 1000));
        assert!(Link::check(None, &[Purpose::Recover], 0).is_err());
    }
}
