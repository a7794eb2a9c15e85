//! Who is asking.

use std::collections::BTreeMap;

use salus_store::{Filter, Kind, Scope};
use serde::{Deserialize, Serialize};

use crate::Scopes;
use crate::record::{Client, Membership, Profile, User};

/// The one a request comes from. It carries what it may do, compiled, so that
/// deciding looks nothing up.
#[derive(Clone, Debug)]
pub struct Subject {
    home: Scope,
    who: Who,
    label: Box<str>,
    rights: Rights,
    /// Of each kind named here only these records; of others all.
    visible: BTreeMap<Kind, Filter>,
    membership: Membership,
    profiles: Vec<Profile>,
}

/// What kind of subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A person who administers.
    Administrator,
    /// A person who does not: policy says what they may.
    User,
    /// A program.
    Client,
    /// Whoever runs the command line on this machine, with the keys and the data folder.
    Operator,
    /// Nobody has proved who they are.
    Anonymous,
}

/// What a user is in one project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Does and sees everything in it, the audit too.
    Administrator,
}

#[derive(Clone, Debug)]
pub(crate) enum Rights {
    None,
    /// Of the operator, who has the keys and could read the files as well.
    Everything,
    Roles(Vec<(Scope, Role)>),
    Scopes(Scopes),
}

impl Subject {
    /// Nobody known.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            home: Scope::SYSTEM,
            who: Who::Anonymous,
            label: "Anonymous".into(),
            rights: Rights::None,
            visible: BTreeMap::new(),
            membership: Membership::default(),
            profiles: Vec::new(),
        }
    }

    /// The operator on this machine. Never made for a request from a network.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            home: Scope::SYSTEM,
            who: Who::Operator,
            label: "Operator/local".into(),
            rights: Rights::Everything,
            visible: BTreeMap::new(),
            membership: Membership::default(),
            profiles: Vec::new(),
        }
    }

    /// A user whose record is kept in `home`, with what their groups come to.
    ///
    /// Roles in other projects count only for users of the system: a
    /// project's administrators cannot write themselves into another.
    #[must_use]
    pub fn user(home: Scope, id: &str, user: &User, membership: &Membership) -> Self {
        let roles = user
            .roles
            .iter()
            .map(|(scope, role)| (Scope(*scope), *role));
        let roles = roles.filter(|(scope, _)| home == Scope::SYSTEM || *scope == home);
        let roles: Vec<(Scope, Role)> = roles.collect();
        let (who, kind) = match roles.is_empty() {
            true => (Who::User, "User"),
            false => (Who::Administrator, "Administrator"),
        };
        Self {
            home,
            who,
            label: format!("{kind}/{id}").into(),
            rights: Rights::Roles(roles),
            visible: BTreeMap::new(),
            membership: membership.clone(),
            profiles: user.profiles.clone(),
        }
    }

    /// A client whose record is kept in `home`, with what its token was given
    /// of what the client may do.
    #[must_use]
    pub fn client(home: Scope, id: &str, client: &Client, given: &Scopes) -> Self {
        Self {
            home,
            who: Who::Client,
            label: format!("Client/{id}").into(),
            rights: Rights::Scopes(client.scopes.intersect(given)),
            visible: BTreeMap::new(),
            membership: Membership::default(),
            profiles: Vec::new(),
        }
    }

    /// The same one, for whom of these kinds only the records of a filter are
    /// there. Nobody is narrowed yet: rules about records come with policies,
    /// and this is what they will be compiled to. A test proves by it that
    /// search shows nothing past them.
    #[must_use]
    pub fn seeing_only(mut self, visible: BTreeMap<Kind, Filter>) -> Self {
        self.visible = visible;
        self
    }

    /// What kind of subject.
    #[must_use]
    pub fn who(&self) -> Who {
        self.who
    }

    /// The scope that its record is kept in.
    #[must_use]
    pub fn home(&self) -> Scope {
        self.home
    }

    /// Kind and id, as `Client/demo`: for audit and logs, without a name or address.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The id of the user's record, which is kept in [`Self::home`].
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match self.who {
            Who::Administrator | Who::User => self.label.split_once('/').map(|(_, id)| id),
            Who::Anonymous | Who::Operator | Who::Client => None,
        }
    }

    /// The ids of all groups that the user is in, in order.
    #[must_use]
    pub fn groups(&self) -> &[Box<str>] {
        &self.membership.groups
    }

    /// The names of all roles that the user holds, in order; the built-in one
    /// of administrators is none of these.
    #[must_use]
    pub fn role_names(&self) -> &[String] {
        &self.membership.roles
    }

    /// Who the user is among the resources of their project.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The scopes of a client, as an answer to it shows them.
    #[must_use]
    pub fn scopes(&self) -> Option<&Scopes> {
        match &self.rights {
            Rights::Scopes(scopes) => Some(scopes),
            Rights::None | Rights::Everything | Rights::Roles(_) => None,
        }
    }

    /// The records of a kind that are there for it; `None` is all.
    pub(crate) fn visible(&self, kind: Kind) -> Option<&Filter> {
        self.visible.get(&kind)
    }

    /// The kinds of which not all records are there for it.
    pub(crate) fn narrowed(&self) -> impl Iterator<Item = (&Kind, &Filter)> {
        self.visible.iter()
    }

    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Whether it may be met in a scope at all.
    pub(crate) fn reaches(&self, scope: Scope) -> bool {
        match &self.rights {
            Rights::None => false,
            Rights::Everything => true,
            Rights::Roles(roles) => roles.iter().any(|(held, _)| *held == scope),
            Rights::Scopes(_) => self.home == scope,
        }
    }
}
