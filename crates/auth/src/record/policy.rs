//! Policies of a project: rules that say who may do what with which records.
//!
//! The stored form is the JSON that administrators write, read by
//! [`Policy::parse`], which names each fault by its place. A policy's id is
//! its name. What rules come to for somebody is [`crate::policy::Rules`].

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;
use crate::PurposeOfUse;
use crate::policy::{Deed, Label, Operation};

/// Rules that are written and changed together.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its rules. Their order means nothing.
    pub rules: Vec<Rule>,
}
salus_phi::guard!(Policy);

/// One rule. What no rule allows is refused, and what one denies is, too,
/// whatever others allow.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Its name within the policy; `policy/rule` stands in the audit.
    pub id: String,
    /// Whether it allows or denies.
    pub effect: Effect,
    /// Whom it is about: each of these.
    pub subjects: Vec<Party>,
    /// What they do: each of these.
    pub actions: Vec<Verb>,
    /// Types of resource; `*` is every one but `AuditEvent`.
    pub kinds: Vec<String>,
    /// Which records: `Type?search`, `?search` for each of the types, or
    /// `Patient/ID/*` for a compartment, with or without a search behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Only records of patients to whom the user stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relationship: Option<Relationship>,
    /// Only records with one of these labels in `meta.security`, or one that
    /// they include.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Only records with none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except_labels: Vec<Label>,
    /// Only requests for one of these purposes, or one below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<PurposeOfUse>,
    /// Elements that it does not show, as `Patient.telecom`. A rule that denies
    /// with some denies these, not the records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<String>,
    /// Elements that it does not let change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub read_only: Vec<String>,
}
salus_phi::guard!(Rule);

impl Rule {
    /// Whether it is about elements of records only: it denies these.
    #[must_use]
    pub fn denies_fields(&self) -> bool {
        let has_some = !self.hidden.is_empty() || !self.read_only.is_empty();
        self.effect == Effect::Deny && has_some
    }

    /// The operations that it names.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        self.actions.iter().filter_map(|verb| match verb {
            Verb::Operation(operation) => Some(*operation),
            Verb::Any | Verb::Deed(_) => None,
        })
    }

    /// Whether it counts for requests for some purposes; none is that nobody knows.
    #[must_use]
    pub fn is_for(&self, purposes: &[PurposeOfUse]) -> bool {
        let is_meant = |own: &PurposeOfUse| purposes.iter().any(|one| one.is(*own));
        match (self.purposes.is_empty(), purposes.is_empty()) {
            (true, _) => true,
            (false, true) => self.effect == Effect::Deny,
            (false, false) => self.purposes.iter().any(is_meant),
        }
    }
}

/// How a user stands to patients, as records say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relationship {
    /// A participant of an active care team.
    CareTeam,
    /// A participant of an encounter, while it lasts and a little longer.
    Encounter,
    /// Named by the patient as general practitioner.
    GeneralPractitioner,
    /// A related person who acts for the patient: a parent, until the child is of age.
    Proxy,
    /// Who has broken the glass for the patient.
    BreakGlass,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// What it matches may be done.
    Allow,
    /// What it matches may not.
    Deny,
}

/// Whom a rule is about.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Party {
    /// The user of this id.
    User(Box<str>),
    /// Users in the group of this id, themselves or through other groups.
    Group(Box<str>),
    /// Users who hold this role.
    Role(Box<str>),
    /// The client of this id.
    Client(Box<str>),
    /// All users and clients.
    Everyone,
}
salus_phi::guard!(Party);

/// What somebody does, as rules name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Verb {
    /// Whatever is done to records.
    Any,
    /// This.
    Deed(Deed),
    /// Calling this, as `$export`.
    Operation(Operation),
}

impl Relationship {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::CareTeam,
        Self::Encounter,
        Self::GeneralPractitioner,
        Self::Proxy,
        Self::BreakGlass,
    ];

    /// Its name in rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CareTeam => "care-team",
            Self::Encounter => "encounter",
            Self::GeneralPractitioner => "general-practitioner",
            Self::Proxy => "proxy",
            Self::BreakGlass => "break-glass",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

impl SystemRecord for Policy {
    const NAME: &'static str = "salus:Policy";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Party {
    /// What a text names; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "everyone" {
            return Some(Self::Everyone);
        }
        let (form, name) = text.split_once(':')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
            return None;
        }
        match form {
            "user" => Some(Self::User(name.into())),
            "group" => Some(Self::Group(name.into())),
            "role" => Some(Self::Role(name.into())),
            "client" => Some(Self::Client(name.into())),
            _ => None,
        }
    }
}

impl From<Party> for String {
    fn from(party: Party) -> Self {
        match party {
            Party::User(id) => format!("user:{id}"),
            Party::Group(id) => format!("group:{id}"),
            Party::Role(name) => format!("role:{name}"),
            Party::Client(id) => format!("client:{id}"),
            Party::Everyone => "everyone".to_owned(),
        }
    }
}

impl TryFrom<String> for Party {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a subject")
    }
}

impl Verb {
    /// What a text names; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "*" => Some(Self::Any),
            name => match name.strip_prefix('$') {
                Some(name) => Operation::named(name).map(Self::Operation),
                None => Deed::named(name).map(Self::Deed),
            },
        }
    }
}

impl From<Verb> for String {
    fn from(verb: Verb) -> Self {
        match verb {
            Verb::Any => "*".to_owned(),
            Verb::Deed(deed) => deed.name().to_owned(),
            Verb::Operation(operation) => format!("${}", operation.name()),
        }
    }
}

impl TryFrom<String> for Verb {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not an action")
    }
}
