//! People who sign in: administrators, and the users of a project.
//!
//! Membership is kept with the member. A group lists nobody, so that one of
//! ten thousand is no large record, and joining one changes one record
//! ([0028](../../../../docs/adr/0028-membership-with-the-member.md)).

use salus_store::{Param, Query, Row, Scope};
use serde::{Deserialize, Serialize};

use super::{Saved, Status, SystemRecord, token_row, with_token};
use crate::credentials::PasswordHash;
use crate::{Error, Role};

const EMAIL: Param = Param::named("salus:User", "email");
const GROUP: Param = Param::named("salus:User", "group");
const PROFILE: Param = Param::named("salus:User", "profile");

/// How many groups a user is in themselves, at most.
pub const GROUPS_MAX: usize = 100;
/// How many roles a user or a group holds, at most.
pub const ROLES_MAX: usize = 50;
/// How many resources a user is, at most.
pub const PROFILES_MAX: usize = 20;

/// A user. Its id is random, so that it can stand in audit and logs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Where mail reaches them; what they sign in with.
    pub email: Email,
    /// What their password is checked against; without one nobody signs in by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordHash>,
    /// What they administer, by number of the scope.
    pub roles: Vec<(u32, Role)>,
    /// Whether they may sign in.
    pub status: Status,
    /// When the account was made, in milliseconds since 1970 UTC.
    pub created_ms: i64,
    /// What people call them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When they proved that mail to the address reaches them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_ms: Option<i64>,
    /// The ids of the groups that they are in themselves, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Box<str>>,
    /// The roles that they hold themselves, by name, in order. What a role
    /// gives, policy says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role_names: Vec<String>,
    /// Who they are among the resources of the project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
}
salus_phi::guard!(User);

impl SystemRecord for User {
    const NAME: &'static str = "salus:User";

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![token_row(EMAIL, &self.email.0)];
        rows.extend(self.groups.iter().map(|id| token_row(GROUP, id)));
        rows.extend(
            self.profiles
                .iter()
                .map(|one| token_row(PROFILE, &one.text())),
        );
        rows
    }
}

impl User {
    /// A user who has no password yet, is in no group and may do nothing.
    #[must_use]
    pub fn new(email: Email, now_ms: i64) -> Self {
        Self {
            email,
            password: None,
            roles: Vec::new(),
            status: Status::Active,
            created_ms: now_ms,
            name: String::new(),
            verified_ms: None,
            groups: Vec::new(),
            role_names: Vec::new(),
            profiles: Vec::new(),
        }
    }

    /// A new administrator of these scopes, under a random id.
    #[must_use]
    pub fn administrator(
        id: &str,
        email: Email,
        password: PasswordHash,
        of: &[Scope],
        now_ms: i64,
    ) -> Saved<Self> {
        let roles = of.iter().map(|scope| (scope.0, Role::Administrator));
        let user = Self {
            password: Some(password),
            roles: roles.collect(),
            ..Self::new(email, now_ms)
        };
        Saved::new(id, user)
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

    /// Those who are in a group themselves.
    #[must_use]
    pub fn in_group(id: &str) -> Query {
        with_token::<Self>(GROUP, id)
    }

    /// Those who are a resource.
    #[must_use]
    pub fn with_profile(profile: &Profile) -> Query {
        with_token::<Self>(PROFILE, &profile.text())
    }
}

/// A resource that stands for a user in the records of their project.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Profile {
    /// Its type.
    #[serde(rename = "type")]
    pub ty: ProfileType,
    /// Its id.
    pub id: Box<str>,
}
salus_phi::guard!(Profile);

/// The types of resource that a user can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ProfileType {
    /// Somebody who is cared for.
    Patient,
    /// Somebody who cares.
    Practitioner,
    /// Somebody who stands by a patient.
    RelatedPerson,
}

impl ProfileType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Patient, Self::Practitioner, Self::RelatedPerson];

    /// Its name in FHIR.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Patient => "Patient",
            Self::Practitioner => "Practitioner",
            Self::RelatedPerson => "RelatedPerson",
        }
    }
}

impl Profile {
    /// Reads a reference, as `Patient/7`.
    ///
    /// # Errors
    /// [`Error::Name`] when it is not a reference to one of the three types.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = Error::Name {
            what: "profile",
            form: "Patient/, Practitioner/ or RelatedPerson/ and the id of the resource",
        };
        let Some((name, id)) = text.split_once('/') else {
            return Err(refused);
        };
        let known = ProfileType::ALL.into_iter().find(|ty| ty.name() == name);
        match known {
            Some(ty) if salus_fhir::reference::is_id(id) => Ok(Self { ty, id: id.into() }),
            Some(_) | None => Err(refused),
        }
    }

    /// The reference, as `Patient/7`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}", self.ty.name(), self.id)
    }
}

/// An e-mail address, in lower case.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email(String);

impl Email {
    /// Reads an address that mail can be sent to without quoting: the `Dot-string` and
    /// the `Domain` of RFC 5321, 4.1.2, with the letters of any language (RFC 6531), at most
    /// 254 bytes. Only mail itself can tell whether it exists.
    ///
    /// # Errors
    /// [`Error::Email`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim().to_lowercase();
        let (local, domain) = text.split_once('@').ok_or(Error::Email)?;
        let other = |c: char| !c.is_ascii() && !c.is_control() && !c.is_whitespace();
        let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let whole = |part: &str, fits: &dyn Fn(char) -> bool| {
            let atoms = part.split('.');
            atoms
                .into_iter()
                .all(|atom| !atom.is_empty() && atom.chars().all(|c| fits(c) || other(c)))
        };
        let good = whole(local, &atext) && whole(domain, &letter);
        if good && local.len() <= 64 && text.len() <= 254 {
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
