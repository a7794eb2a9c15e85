//! Who is asking.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use salus_fhir::mask::Hidden;
use salus_store::{Filter, Kind, Scope};
use serde::{Deserialize, Serialize};

use crate::policy::{BINARY, Bindings, Deed, Fresh, Masks, Rules};
use crate::record::{Client, Membership, Profile, User};
use crate::{Agent, Level, Limit, PurposeOfUse, Purposes, Scopes};

/// The one a request comes from. It carries what it may do, compiled, so that
/// deciding looks nothing up.
#[derive(Clone, Debug)]
pub struct Subject {
    home: Scope,
    who: Who,
    /// Who it is, for the audit.
    agent: Arc<Agent>,
    rights: Rights,
    membership: Membership,
    profiles: Vec<Profile>,
    /// What policies leave of that; nothing is all of it.
    rules: Option<Arc<Rules>>,
    /// Which Binaries are there, by deed, once that is known.
    binaries: [OnceLock<Option<Arc<Filter>>>; Deed::ALL.len()],
    /// What a client that acts for it was given.
    limit: Option<Arc<Limit>>,
    /// Whether what its rules were made of still holds; nothing is that it does.
    fresh: Option<Arc<Fresh>>,
    /// Until when it has broken the glass for some patient, if it has.
    emergency_until_ms: Option<i64>,
    /// When a person proved last who they are, in milliseconds since 1970 UTC.
    proved_ms: Option<i64>,
    /// They have to bring a second factor, and have not.
    lacks_factor: bool,
    /// What it acts for, if that is known.
    purpose: Option<PurposeOfUse>,
    /// What its requests may state instead.
    purposes: Purposes,
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
    /// What the rules of policies allow, and nothing else.
    Rules,
}

/// How much of the id of a session stands in the audit.
const SESSION_SHOWN: usize = 16;

/// What the audit says of a user.
fn agent_of(label: &str, user: &User, membership: &Membership) -> Agent {
    let is_staff = |profile: &&Profile| !matches!(profile.ty.name(), "Patient" | "RelatedPerson");
    let staff = user.profiles.iter().all(|profile| is_staff(&profile));
    let mut profiles = user.profiles.iter();
    let profile = profiles.clone().find(is_staff).or_else(|| profiles.next());
    Agent {
        name: if staff { user.name.as_str() } else { "" }.into(),
        roles: membership.roles.join(" ").into(),
        profile: profile.map(Profile::text).unwrap_or_default().into(),
        ..Agent::named(label)
    }
}

impl Subject {
    /// Nobody known.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            home: Scope::SYSTEM,
            who: Who::Anonymous,
            agent: Agent::named("Anonymous").into(),
            rights: Rights::None,
            membership: Membership::default(),
            profiles: Vec::new(),
            rules: None,
            binaries: Default::default(),
            limit: None,
            fresh: None,
            emergency_until_ms: None,
            proved_ms: None,
            lacks_factor: false,
            purpose: None,
            purposes: Purposes::default(),
        }
    }

    /// The operator on this machine. Never made for a request from a network.
    #[must_use]
    pub fn operator() -> Self {
        Self {
            home: Scope::SYSTEM,
            who: Who::Operator,
            agent: Agent::named("Operator/local").into(),
            rights: Rights::Everything,
            membership: Membership::default(),
            profiles: Vec::new(),
            rules: None,
            binaries: Default::default(),
            limit: None,
            fresh: None,
            emergency_until_ms: None,
            proved_ms: None,
            lacks_factor: false,
            purpose: None,
            purposes: Purposes::default(),
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
            agent: agent_of(&format!("{kind}/{id}"), user, membership).into(),
            rights: Rights::Roles(roles),
            membership: membership.clone(),
            profiles: user.profiles.clone(),
            rules: None,
            binaries: Default::default(),
            limit: None,
            fresh: None,
            emergency_until_ms: None,
            proved_ms: None,
            lacks_factor: false,
            purpose: None,
            purposes: Purposes::default(),
        }
    }

    /// A client whose record is kept in `home`, with what its token was given
    /// of what the client may do.
    #[must_use]
    pub fn client(home: Scope, id: &str, client: &Client, given: &Scopes) -> Self {
        Self {
            home,
            who: Who::Client,
            agent: Agent {
                name: client.name.as_str().into(),
                recipient: client.recipient.clone(),
                ..Agent::named(&format!("Client/{id}"))
            }
            .into(),
            rights: Rights::Scopes(client.scopes.intersect(given).of(Level::System)),
            membership: Membership::default(),
            profiles: Vec::new(),
            rules: None,
            binaries: Default::default(),
            limit: None,
            fresh: None,
            emergency_until_ms: None,
            proved_ms: None,
            lacks_factor: false,
            purpose: None,
            purposes: Purposes::default(),
        }
    }

    /// The same one under what rules leave. Users without the role of an
    /// administrator may what the rules allow; of clients they take away what
    /// the rules do not allow, too. Administrators, the operator and nobody
    /// known are under none.
    #[must_use]
    pub fn under(mut self, rules: Arc<Rules>) -> Self {
        match &self.rights {
            Rights::Roles(roles) if roles.is_empty() => self.rights = Rights::Rules,
            Rights::Rules | Rights::Scopes(_) => {}
            Rights::None | Rights::Everything | Rights::Roles(_) => return self,
        }
        let both = self.rules.map(|own| own.and(&rules));
        self.rules = Some(both.map_or(rules, Arc::new));
        self.binaries = Default::default();
        self
    }

    /// The same one, for whom of these kinds only the records of a filter are
    /// there, whoever it is. A test proves by it that nothing is shown past them.
    #[must_use]
    pub fn seeing_only(mut self, visible: BTreeMap<Kind, Filter>) -> Self {
        self.rules = Some(Rules::seeing_only(visible).into());
        self.binaries = Default::default();
        self
    }

    /// What of it may stand in the conditions of rules.
    #[must_use]
    pub fn bindings(&self) -> Bindings {
        let profiles = self.profiles.iter();
        let profiles = profiles.map(|profile| (profile.ty.name(), profile.id.clone()));
        Bindings {
            id: self.user_id().map(Into::into),
            profiles: profiles.collect(),
        }
    }

    /// The same one, as far as a client that acts for it may go; the rules say for
    /// which records the scopes of the limit hold.
    #[must_use]
    pub fn limited(mut self, limit: Arc<Limit>, rules: Rules) -> Self {
        let both = self.rules.map(|own| own.and(&rules));
        self.rules = Some(both.unwrap_or(rules).into());
        self.binaries = Default::default();
        self.limit = Some(limit);
        self
    }

    /// The same one, as long as what its rules were made of holds.
    #[must_use]
    pub fn while_fresh(mut self, fresh: Arc<Fresh>) -> Self {
        self.fresh = Some(fresh);
        self
    }

    /// The same one, who has broken the glass for some patient.
    #[must_use]
    pub fn in_emergency(mut self, until_ms: i64) -> Self {
        self.emergency_until_ms = Some(until_ms);
        self
    }

    /// Until when the glass is broken, if it is at a time.
    #[must_use]
    pub fn emergency(&self, now_ms: i64) -> Option<i64> {
        self.emergency_until_ms
            .filter(|until_ms| now_ms < *until_ms)
    }

    /// Whether what its rules were made of holds at a time.
    #[must_use]
    pub fn is_fresh(&self, now_ms: i64) -> bool {
        self.fresh.as_ref().is_none_or(|fresh| fresh.holds(now_ms))
    }

    /// What a client that acts for it was given, if one does.
    #[must_use]
    pub fn limit(&self) -> Option<&Arc<Limit>> {
        self.limit.as_ref()
    }

    /// The same person, who proved at this time who they are.
    #[must_use]
    pub fn proved(self, at_ms: i64) -> Self {
        Self {
            proved_ms: Some(at_ms),
            ..self
        }
    }

    /// When they did; `None` is no person's session.
    #[must_use]
    pub fn proved_ms(&self) -> Option<i64> {
        self.proved_ms
    }

    /// The same person, who may do nothing but care for their own account
    /// until they bring a second factor.
    #[must_use]
    pub fn without_factor(self) -> Self {
        Self {
            lacks_factor: true,
            ..self
        }
    }

    /// The same one, who acts for a purpose; `None` is one that nobody knows.
    #[must_use]
    pub fn acting_for(self, purpose: Option<PurposeOfUse>) -> Self {
        Self { purpose, ..self }
    }

    /// The same one, whose requests may state these.
    #[must_use]
    pub fn with_purposes(self, purposes: Purposes) -> Self {
        Self { purposes, ..self }
    }

    /// What its requests may state.
    #[must_use]
    pub fn purposes(&self) -> &Purposes {
        &self.purposes
    }

    /// What it acts for, if that is known.
    #[must_use]
    pub fn purpose(&self) -> Option<PurposeOfUse> {
        self.purpose
    }

    /// The id of the client that it is, if it is one.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match self.who {
            Who::Client => self.label().split_once('/').map(|(_, id)| id),
            Who::Administrator | Who::User | Who::Anonymous | Who::Operator => None,
        }
    }

    /// Whether a second factor has to come first.
    #[must_use]
    pub fn lacks_factor(&self) -> bool {
        self.lacks_factor
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
        &self.agent.label
    }

    /// The same with all that the audit says of it.
    #[must_use]
    pub fn agent(&self) -> &Arc<Agent> {
        &self.agent
    }

    /// The same one, in a session of this id.
    #[must_use]
    pub fn in_session(mut self, id: &str) -> Self {
        // Part of it tells sessions apart, and less can be done with it.
        let short = id.get(..SESSION_SHOWN).unwrap_or(id);
        Arc::make_mut(&mut self.agent).session = short.into();
        self
    }

    /// The same one, for whom a client acts.
    #[must_use]
    pub fn through_app(mut self, id: &str, client: &Client) -> Self {
        let agent = Arc::make_mut(&mut self.agent);
        agent.app = id.into();
        agent.app_name = client.name.as_str().into();
        agent.recipient.clone_from(&client.recipient);
        self
    }

    /// The id of the user's record, which is kept in [`Self::home`].
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match self.who {
            Who::Administrator | Who::User => self.label().split_once('/').map(|(_, id)| id),
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
            Rights::None | Rights::Everything | Rights::Roles(_) | Rights::Rules => None,
        }
    }

    /// The records of a kind to which it may do something; `None` is all.
    pub(crate) fn visible(&self, deed: Deed, kind: Kind) -> Option<Arc<Filter>> {
        let allowed = self.rules.as_ref()?.allowed(kind, deed);
        match allowed {
            Some(allowed) => allowed.filter.clone(),
            None => Some(Arc::new(Filter::Nothing)),
        }
    }

    /// The same of Binaries, which is made when it is first asked for.
    pub(crate) fn binaries(
        &self,
        deed: Deed,
        make: impl FnOnce(&Self, Deed) -> Option<Filter>,
    ) -> Option<Arc<Filter>> {
        let place = self.binaries.get(deed as usize);
        let made = || make(self, deed).map(Arc::new);
        match place {
            Some(place) => place.get_or_init(made).clone(),
            None => self.visible(deed, BINARY),
        }
    }

    /// What is hidden from it of records that it sees, if anything.
    #[must_use]
    pub fn masks(&self) -> Option<&Arc<Masks>> {
        self.rules.as_ref()?.masks()
    }

    /// What is hidden from it of some record, by type.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        self.masks().map_or(Hidden::NOTHING, |masks| masks.hidden())
    }

    /// The rules that it is under.
    pub(crate) fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }

    /// Whether rules leave it something, or nothing.
    #[must_use]
    pub fn is_under_rules(&self) -> bool {
        self.rules.is_some()
    }

    /// Whether its writes are held against rules, too.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        let has_a_say = match &self.rights {
            Rights::Rules | Rights::Scopes(_) => true,
            Rights::None | Rights::Everything | Rights::Roles(_) => false,
        };
        (has_a_say || self.limit.is_some()) && self.rules.is_some()
    }

    pub(crate) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Whether it may be met in a scope at all.
    #[must_use]
    pub fn reaches(&self, scope: Scope) -> bool {
        match &self.rights {
            Rights::None => false,
            Rights::Everything => true,
            Rights::Roles(roles) => roles.iter().any(|(held, _)| *held == scope),
            Rights::Scopes(_) | Rights::Rules => self.home == scope,
        }
    }
}
