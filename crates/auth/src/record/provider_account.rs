//! Accounts that users have at providers, and sign in by.
//!
//! One is found by issuer and subject together, and by nothing else: a subject is unique at its
//! issuer only, and an address can be given to somebody else (OpenID Connect Core, 5.7).

use salus_store::{Param, Query, Row};
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord, token_row, with_token};
use crate::token;

const USER: Param = Param::named("salus:ProviderAccount", "user");

/// Such accounts of one user at most.
pub const PROVIDER_ACCOUNTS_MAX: usize = 20;

/// Who somebody is at a provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    /// The name of the provider in this project.
    pub provider: Box<str>,
    /// Its name as an issuer.
    pub issuer: String,
    /// Its name for them.
    pub subject: String,
    /// When they proved it there, in milliseconds since 1970 UTC, as far as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved_ms: Option<i64>,
    /// Whether that counts as two factors here.
    #[serde(default)]
    pub two: bool,
    /// The ids of the groups that the provider puts them into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
}
salus_phi::guard!(Foreign);

impl Foreign {
    /// The id of the record of this account: a hash, since a subject may be a name.
    #[must_use]
    pub fn id(&self) -> Box<str> {
        // No issuer has a line break.
        token::id(&format!("{}\n{}", self.issuer, self.subject))
    }
}

/// An account at a provider that is connected with a user, in the scope of both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderAccount {
    /// The user's id.
    pub user: Box<str>,
    /// The name of the provider in this project.
    pub provider: Box<str>,
    /// Its name as an issuer.
    pub issuer: String,
    /// Its name for the user.
    pub subject: String,
    /// When it was connected, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// When it was used last to sign in; 0 is never.
    #[serde(default)]
    pub used_ms: i64,
    /// The ids of the groups that the provider has put the user into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
}
salus_phi::guard!(ProviderAccount);

impl SystemRecord for ProviderAccount {
    const NAME: &'static str = "salus:ProviderAccount";

    fn rows(&self) -> Vec<Row> {
        vec![token_row(USER, &self.user)]
    }
}

impl ProviderAccount {
    /// Connects an account with a user; `version` is that of a record that was deleted.
    #[must_use]
    pub fn connect(foreign: &Foreign, user: &str, version: u64, now_ms: i64) -> Saved<Self> {
        let value = Self {
            user: user.into(),
            provider: foreign.provider.clone(),
            issuer: foreign.issuer.clone(),
            subject: foreign.subject.clone(),
            created_ms: now_ms,
            used_ms: 0,
            groups: Vec::new(),
        };
        Saved {
            id: foreign.id(),
            version,
            value,
        }
    }

    /// Those of a user.
    #[must_use]
    pub fn of(user: &str) -> Query {
        with_token::<Self>(USER, user)
    }

    /// The groups of a user when a provider now says these: what it gave before and gives no
    /// longer goes, and so does whatever else its mapping has.
    #[must_use]
    pub fn regroup(
        &mut self,
        mut groups: Vec<Box<str>>,
        mapped: &[Box<str>],
        given: Vec<Box<str>>,
    ) -> Vec<Box<str>> {
        groups.retain(|id| !mapped.contains(id) && !self.groups.contains(id));
        groups.extend(given.iter().cloned());
        groups.sort_unstable();
        groups.dedup();
        self.groups = given;
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(issuer: &str, subject: &str) -> Foreign {
        Foreign {
            provider: "p".into(),
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            proved_ms: None,
            two: false,
            groups: Vec::new(),
        }
    }

    #[test]
    fn an_account_is_known_by_issuer_and_subject_together() {
        let one = foreign("https://a.example", "1").id();
        assert_eq!(one, foreign("https://a.example", "1").id());
        assert_ne!(one, foreign("https://b.example", "1").id());
        assert_ne!(one, foreign("https://a.example", "2").id());
        assert_ne!(one, foreign("https://a.example1", "").id());
        let renamed = Foreign {
            provider: "q".into(),
            ..foreign("https://a.example", "1")
        };
        assert_eq!(one, renamed.id());
    }

    #[test]
    fn only_groups_that_a_provider_manages_come_and_go() {
        let foreign = foreign("https://a.example", "1");
        let mut account = ProviderAccount::connect(&foreign, "u", 0, 0).value;
        let ids = |texts: &[&str]| -> Vec<Box<str>> { texts.iter().map(|&id| id.into()).collect() };
        let mapped = ids(&["a", "b"]);
        let groups = account.regroup(ids(&["own"]), &mapped, ids(&["a"]));
        assert_eq!(groups, ids(&["a", "own"]));
        let groups = account.regroup(groups, &mapped, ids(&["b"]));
        assert_eq!(groups, ids(&["b", "own"]));
        // What was mapped once and is no longer goes with the next sign-in.
        let groups = account.regroup(groups, &[], Vec::new());
        assert_eq!(groups, ids(&["own"]));
    }
}
