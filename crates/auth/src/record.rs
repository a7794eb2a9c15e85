//! Records of our own kinds: users, groups, clients, sessions, set-up links, projects.
//!
//! Their stored form is one byte of version, 1, and a JSON object; the field
//! names below are part of it. Users, groups and clients are kept in the scope
//! of their project, administrators of the server and projects in
//! [`salus_store::Scope::SYSTEM`].

mod alert;
mod assertion;
mod audit_archive;
mod audit_log;
mod authorization;
mod brands;
mod break_glass;
mod care;
mod client;
mod code;
mod cold;
mod cors;
mod device;
mod factors;
mod group;
mod history;
mod hold;
mod identity;
mod index;
mod launch;
mod link;
mod mail;
mod passing;
mod places;
mod policy;
mod project;
mod provider;
mod provider_account;
mod provider_request;
mod pushed;
mod redirect;
mod registration;
mod retention;
mod rows;
mod session;
mod setup;
mod shred;
mod sign_in;
mod signing_key;
mod theme;
mod user;

use bytes::Bytes;
use salus_store::{
    Content, Filter, Kind, Param, Position, Precondition, Put, Query, Record, Row, SealKey,
};
use salus_store::{Test, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use alert::{
    ALERT_EVENTS_MAX, Alert, AlertLimit, AlertProgress, AlertRule, AlertSetting, Alerting,
    Disposition, DispositionOutcome, Unsent, Webhook,
};
pub use assertion::Assertion;
pub use audit_archive::{AuditArchive, AuditSegment};
pub use audit_log::AuditLog;
pub use authorization::{Authorization, Refresh};
pub use brands::Brands;
pub use break_glass::{BreakGlass, Reason, ReasonCode, Review, ReviewOutcome};
pub use care::{Care, Consenting, UserPurposes};
pub use client::{AuthMethod, Client, GrantType, Registration};
pub use code::{Agreed, Code};
pub use cold::{Cold, ColdBack, ColdBlob, ColdMove, ColdObject, ColdState, ColdVersion};
pub use cors::Cors;
pub use device::{DEVICE_INTERVAL_MS, DEVICE_LIFETIME_MS, Device};
pub use factors::{FACTORS_MAX, Factor, Factors, Means, check_name as check_factor_name};
pub use group::{CLOSURE_MAX, Group, Membership, PARENTS_MAX, Walk, role_names};
pub use history::{History, Purged};
pub use hold::{AuditHold, Hold, Lifted};
pub use identity::{Identity, LockOut, SignUp};
pub use index::{Goal, Index, Step};
pub use launch::{LAUNCH_LIFETIME_MS, Launch, LaunchContext, LaunchedWith};
pub use link::{Gives, Link, Purpose};
pub use mail::{Letter, Mail, MailText};
use passing::expires_row;
pub use passing::{PASSING, Passing};
pub use places::{Places, Visit};
pub use policy::{Effect, Party, Policy, Relationship, Rule, Verb};
pub use project::Project;
pub use provider::{
    Create, GroupMapping, PROVIDERS_MAX, Provider, SecondFactor, is_name as is_provider_name,
};
pub use provider_account::{Foreign, PROVIDER_ACCOUNTS_MAX, ProviderAccount};
pub use provider_request::{
    PROVIDER_REQUEST_LIFETIME_MS, ProviderPurpose, ProviderRequest, Sent, Stage,
};
pub use pushed::{PUSHED_LIFETIME_MS, Pushed};
pub use registration::{
    DynamicRegistration, INITIAL_TOKENS_MAX, InitialToken, RegistrationMode, SelfRegistered,
};
pub use retention::{Disposal, KeptFrom, Minors, Retention, RetentionClass, Then};
pub use rows::{ROWS, RowsOf};
pub use session::{KEYS_MAX, Key, Owner, Session, Through};
pub use setup::SetupLink;
pub use shred::Shred;
pub use sign_in::SignIn;
pub use signing_key::SigningKey;
pub use theme::{Colours, Logo, Theme};
pub use user::{Email, GROUPS_MAX, PROFILES_MAX, Profile, ProfileType, ROLES_MAX, User};

use crate::Error;

const VERSION: u8 = 1;

/// A kind of record.
pub trait SystemRecord: Serialize + DeserializeOwned {
    /// Its name.
    const NAME: &'static str;
    /// Its kind in the store.
    const KIND: Kind = Kind::named(Self::NAME);

    /// The values that it is found by.
    fn rows(&self) -> Vec<Row>;
}

/// Whether an account works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It does.
    Active,
    /// It does not until someone makes it active again.
    Suspended,
}

/// A record with its place in the store.
#[derive(Clone, PartialEq, Eq)]
pub struct Saved<T> {
    /// Its id.
    pub id: Box<str>,
    /// Its newest version; 0 before the first.
    pub version: u64,
    /// What it says.
    pub value: T,
}

impl<T> std::fmt::Debug for Saved<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Saved [phi]")
    }
}

impl<T: SystemRecord> Saved<T> {
    /// A record that is not stored yet.
    #[must_use]
    pub fn new(id: impl Into<Box<str>>, value: T) -> Self {
        Self {
            id: id.into(),
            version: 0,
            value,
        }
    }

    /// Reads a record; `None` if it is deleted.
    ///
    /// # Errors
    /// When it is not of this kind or not in a form that we know.
    pub fn read(record: &Record) -> Result<Option<Self>, Error> {
        let Content::Body(body) = &record.content else {
            return Ok(None);
        };
        let value = match body.split_first() {
            Some((&VERSION, json)) if record.kind == T::KIND => serde_json::from_slice(json).ok(),
            _ => None,
        };
        Ok(Some(Self {
            id: record.id.clone(),
            version: record.version,
            value: value.ok_or(Error::Record(T::NAME))?,
        }))
    }

    /// The next version of this record, for a batch.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no record of ours gives reason for.
    pub fn put(&self) -> Result<Put, Error> {
        let mut body = vec![VERSION];
        serde_json::to_writer(&mut body, &self.value).map_err(|_| Error::Record(T::NAME))?;
        let content = Content::Body(Bytes::from(body));
        let mut rows = self.value.rows();
        Row::sort(&mut rows);
        Ok(self.next(content, rows))
    }

    /// That nobody changes it meanwhile, for a batch.
    #[must_use]
    pub fn unchanged(&self) -> Precondition {
        Precondition::VersionIs {
            kind: T::KIND,
            id: self.id.clone(),
            version: Some(self.version),
        }
    }

    /// The same, where it may not be stored yet.
    #[must_use]
    pub fn unchanged_or_new(&self) -> Precondition {
        Precondition::VersionIs {
            kind: T::KIND,
            id: self.id.clone(),
            version: (self.version > 0).then_some(self.version),
        }
    }

    /// The deletion of this record, for a batch.
    #[must_use]
    pub fn delete(&self) -> Put {
        self.next(Content::Deleted, Vec::new())
    }

    fn next(&self, content: Content, rows: Vec<Row>) -> Put {
        Put {
            kind: T::KIND,
            id: self.id.clone(),
            version: self.version + 1,
            content,
            rows,
            main_date_ms: None,
            seal: SealKey::Scope,
        }
    }
}

/// The deletion of a record of whatever kind, for a batch.
#[must_use]
pub fn deletion(record: &Record) -> Put {
    Put {
        kind: record.kind,
        id: record.id.clone(),
        version: record.version + 1,
        content: Content::Deleted,
        rows: Vec::new(),
        main_date_ms: None,
        seal: SealKey::Scope,
    }
}

/// A page of all records of a kind, by id.
#[must_use]
pub fn all<T: SystemRecord>(limit: usize, after: Option<Position>) -> Query {
    Query {
        sort: vec![salus_store::Sort::Id { descending: false }],
        limit,
        after,
        ..matching::<T>(Filter::Everything)
    }
}

/// The records of a kind with one token.
fn with_token<T: SystemRecord>(param: Param, code: &str) -> Query {
    matching::<T>(Filter::Value(
        param,
        Test::Token {
            system: None,
            code: Some(code.into()),
        },
    ))
}

fn matching<T: SystemRecord>(filter: Filter) -> Query {
    Query {
        kind: T::KIND,
        filter,
        sort: Vec::new(),
        limit: 100,
        after: None,
        rows: Vec::new(),
    }
}

fn token_row(param: Param, code: &str) -> Row {
    Row {
        param,
        value: Value::Token {
            system: "".into(),
            code: code.into(),
        },
    }
}

#[cfg(test)]
mod tests;
