//! The one function that decides: [`authorize`]. What no rule allows is refused.
//!
//! | who | may |
//! |---|---|
//! | anyone | read capabilities, sign in; once signed in, sign out |
//! | a user | see and change their own account, and what the rules of the project's policies allow and do not deny (see [`Rules`]) |
//! | a client | in its own project, what its scopes say (see [`crate::Scopes`]) and no rule denies |
//! | an administrator | everything in the projects where they hold the role; with it on the system, projects, users of the system and metrics |
//! | the operator | everything |
//! | whoever needs a second factor and has brought none | what anyone may, and see and change their own account |
//!
//! An administrator of the system has no part in a project's records or
//! clients until given a role there, which is a change of a record and so in
//! the audit. Nobody writes audit events: the server does. The system's own
//! scope holds no resources.

pub mod compartment;
mod condition;
mod context;
mod deed;
mod fields;
mod fresh;
mod labels;
mod operation;
mod rules;
#[cfg(test)]
mod tests;
mod written;

use std::sync::Arc;

use salus_store::{Filter, Kind, Scope};

pub use condition::{Bindings, Condition, Filled};
pub use context::{BINARY, CONTEXT, CONTEXT_KIND, context_code};
pub use deed::Deed;
pub use fields::{Mask, Masks};
pub use fresh::Fresh;
pub use labels::Label;
pub use operation::{Named, Operation, Operations};
pub use rules::{Rules, Statement};
pub use written::{BYTES_MAX, Fault};

use crate::scopes::{AUDIT_EVENT, Rights as Right};
use crate::subject::Rights;
use crate::{Scopes, Subject};
use operation::Gate;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the current version of a resource.
    Read,
    /// Read one version of a resource.
    VRead,
    /// Read the versions of a resource.
    HistoryInstance,
    /// Read the versions of all resources of a type.
    HistoryType,
    /// Read the versions of all resources.
    HistorySystem,
    /// Search a type.
    Search,
    /// Create a resource.
    Create,
    /// Update a resource, or create it under an id of the client's.
    Update,
    /// Change part of a resource.
    Patch,
    /// Delete a resource.
    Delete,
    /// Send a batch; its entries are decided one by one.
    Batch,
    /// Have a resource validated; one that is stored has to be read, too.
    Validate,
    /// Send a transaction; its entries are decided one by one.
    Transaction,
    /// Send a message to be handled.
    ProcessMessage,
    /// Destroy superseded versions of resources.
    PurgeHistory,
    /// See how long records are kept, what is held, and what was disposed of.
    ReadRetention,
    /// Say how long records are kept, and dispose of what is due.
    WriteRetention,
    /// Put records under legal hold, and lift it.
    Hold,
    /// Destroy all that is held of a patient.
    Shred,
    /// Read what the server can do.
    Capabilities,
    /// Prove who one is.
    SignIn,
    /// End one's own session.
    SignOut,
    /// See one's own account.
    ReadAccount,
    /// Change one's own account.
    WriteAccount,
    /// List projects.
    ReadProjects,
    /// Create or change projects.
    WriteProjects,
    /// List the users of a project or of the system.
    ReadUsers,
    /// Create, change or suspend users.
    WriteUsers,
    /// List the clients of a project.
    ReadClients,
    /// Create, change or delete clients.
    WriteClients,
    /// See how far the search indexes of a project are.
    ReadIndex,
    /// Hold up the building of search indexes, or let it go on.
    WriteIndex,
    /// See the settings of a project.
    ReadSettings,
    /// Change the settings of a project.
    WriteSettings,
    /// Read the server's metrics.
    ReadMetrics,
    /// See which keys there are and how old they are.
    ReadKeys,
    /// Give keys successors.
    WriteKeys,
    /// Learn how a search was answered.
    Explain,
    /// Tell apps with which patient they begin.
    Launch,
    /// Begin a job, follow one's own or cancel it; what it reads and writes is decided by itself.
    Job,
}

impl Action {
    /// Every action, for tables and tests.
    pub const ALL: [Self; 40] = [
        Self::Read,
        Self::VRead,
        Self::HistoryInstance,
        Self::HistoryType,
        Self::HistorySystem,
        Self::Search,
        Self::Create,
        Self::Update,
        Self::Patch,
        Self::Delete,
        Self::Batch,
        Self::Validate,
        Self::Transaction,
        Self::ProcessMessage,
        Self::PurgeHistory,
        Self::ReadRetention,
        Self::WriteRetention,
        Self::Hold,
        Self::Shred,
        Self::Capabilities,
        Self::SignIn,
        Self::SignOut,
        Self::ReadAccount,
        Self::WriteAccount,
        Self::ReadProjects,
        Self::WriteProjects,
        Self::ReadUsers,
        Self::WriteUsers,
        Self::ReadClients,
        Self::WriteClients,
        Self::ReadIndex,
        Self::WriteIndex,
        Self::ReadSettings,
        Self::WriteSettings,
        Self::ReadMetrics,
        Self::ReadKeys,
        Self::WriteKeys,
        Self::Explain,
        Self::Launch,
        Self::Job,
    ];

    /// What it does to records, if anything.
    #[must_use]
    pub fn deed(self) -> Option<Deed> {
        self.class().deed()
    }

    fn class(self) -> Class {
        match self {
            Self::Capabilities | Self::SignIn => Class::Open,
            Self::SignOut => Class::Own,
            Self::ReadAccount | Self::WriteAccount => Class::OwnAccount,
            Self::Read | Self::VRead => Class::Resource(Right::READ, Deed::Read),
            Self::HistoryInstance => Class::Resource(Right::READ, Deed::History),
            Self::Search => Class::Resource(Right::SEARCH, Deed::Search),
            Self::HistoryType => Class::Resource(Right::SEARCH, Deed::History),
            Self::Create => Class::Resource(Right::CREATE, Deed::Create),
            Self::Update => Class::Resource(Right::UPDATE, Deed::Update),
            Self::Patch => Class::Resource(Right::UPDATE, Deed::Patch),
            Self::Delete => Class::Resource(Right::DELETE, Deed::Delete),
            Self::HistorySystem => Class::AllResources,
            Self::PurgeHistory
            | Self::ReadRetention
            | Self::WriteRetention
            | Self::Hold
            | Self::Shred => Class::Past,
            Self::Batch | Self::Transaction | Self::Validate | Self::ProcessMessage | Self::Job => {
                Class::Envelope
            }
            Self::ReadUsers
            | Self::WriteUsers
            | Self::ReadClients
            | Self::WriteClients
            | Self::ReadIndex
            | Self::WriteIndex
            | Self::ReadSettings
            | Self::WriteSettings
            | Self::Explain => Class::Accounts,
            Self::ReadProjects | Self::WriteProjects | Self::ReadKeys | Self::WriteKeys => {
                Class::Projects
            }
            Self::ReadMetrics => Class::Metrics,
            Self::Launch => Class::Launches,
        }
    }
}

/// Actions that one rule decides alike.
#[derive(Clone, Copy)]
enum Class {
    Open,
    Own,
    /// For users only: nobody else has an account.
    OwnAccount,
    Resource(Right, Deed),
    AllResources,
    /// What ends records, and what forbids it: for administrators only, since it cannot be undone.
    Past,
    Envelope,
    Accounts,
    Projects,
    Metrics,
    Launches,
}

impl Class {
    /// What is done to records, if anything.
    fn deed(self) -> Option<Deed> {
        match self {
            Self::Resource(_, deed) => Some(deed),
            Self::AllResources => Some(Deed::History),
            Self::Open
            | Self::Own
            | Self::OwnAccount
            | Self::Past
            | Self::Envelope
            | Self::Accounts
            | Self::Projects
            | Self::Metrics
            | Self::Launches => None,
        }
    }
}

/// What it is done to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// Resources of a type.
    Type(&'a str),
    /// The whole project, or the server.
    System,
}
salus_phi::guard!(Target<'_>);

impl<'a> Target<'a> {
    /// The type, where there is one.
    #[must_use]
    pub fn type_name(self) -> Option<&'a str> {
        match self {
            Self::Type(name) => Some(name),
            Self::System => None,
        }
    }
}

/// Decides whether `subject` may do this in `scope`.
///
/// # Errors
/// The rule that refuses it.
pub fn authorize(
    subject: &Arc<Subject>,
    scope: Scope,
    action: Action,
    target: Target<'_>,
) -> Result<Grant, Denied> {
    authorize_by(subject, scope, action, target, None)
}

/// Decides whether `subject` may call an operation in `scope`, which does this
/// to its target: as [`authorize`], unless rules shut it. What is for
/// administrators only is also open to users whom a rule allows it by name.
///
/// # Errors
/// The rule that refuses it.
pub fn authorize_operation(
    subject: &Arc<Subject>,
    scope: Scope,
    (operation, action): (Operation, Action),
    target: Target<'_>,
) -> Result<Grant, Denied> {
    let rules = subject.rules();
    let gate = rules.map_or(Gate::Unnamed, |rules| rules.gate(operation, target));
    match gate {
        Gate::Unnamed => authorize_by(subject, scope, action, target, None),
        Gate::Shut => {
            authorize_by(subject, scope, action, target, None)?;
            Err(Denied("a rule shuts the operation"))
        }
        Gate::Allowed(rule) => authorize_by(subject, scope, action, target, Some(rule)),
    }
}

fn authorize_by(
    subject: &Arc<Subject>,
    scope: Scope,
    action: Action,
    target: Target<'_>,
    named: Option<Arc<str>>,
) -> Result<Grant, Denied> {
    let class = action.class();
    let always = matches!(class, Class::Open | Class::Own | Class::OwnAccount);
    if subject.lacks_factor() && !always {
        return Err(Denied(NO_FACTOR));
    }
    let rule = match (named, class) {
        (Some(rule), Class::Past | Class::Accounts) => {
            by_name(subject, scope, class, target, rule)?
        }
        _ => decide(subject, scope, class, target)?,
    };
    let rule = ruled(subject, class, target, rule)?;
    let rule = within_limit(subject, scope, action, target, rule)?;
    let deed = if let Class::Past = class {
        // What goes for good is as good as deleted.
        Deed::Delete
    } else {
        class.deed().unwrap_or(Deed::Read)
    };
    Ok(Grant {
        subject: Arc::clone(subject),
        scope,
        action,
        visible: target
            .type_name()
            .and_then(|name| visible(subject, deed, Kind::named(name))),
        rule,
    })
}

/// Proof that a subject may do something. Only [`authorize`] makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    subject: Arc<Subject>,
    scope: Scope,
    action: Action,
    visible: Option<Arc<Filter>>,
    rule: Rule,
}

/// The rule that allowed something.
#[derive(Clone)]
enum Rule {
    Named(&'static str),
    /// That of a scope, or those of rules.
    Scope(Arc<str>),
}
salus_phi::guard!(Rule);

impl Grant {
    /// Who was allowed.
    #[must_use]
    pub fn subject(&self) -> &Arc<Subject> {
        &self.subject
    }

    /// Where.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// What.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The rule that allowed it, for the audit.
    #[must_use]
    pub fn rule(&self) -> &str {
        match &self.rule {
            Rule::Named(name) => name,
            Rule::Scope(text) => text,
        }
    }

    /// Whether entries of the audit are shown whole: to administrators and the operator,
    /// to clients with a scope for them, and to users whom a rule allows `$audit`. To
    /// others what an entry says of records and people is masked.
    #[must_use]
    pub fn audits(&self) -> bool {
        let target = Target::Type(AUDIT_EVENT);
        let rules = self.subject.rules();
        match self.subject.rights() {
            Rights::None => false,
            Rights::Everything | Rights::Roles(_) | Rights::Scopes(_) => {
                *self.filter() == Filter::Everything
            }
            Rights::Rules => {
                let gate = rules.map(|rules| rules.gate(Operation::AUDIT, target));
                matches!(gate, Some(Gate::Allowed(_)))
            }
        }
    }

    /// Which records it holds for: part of every query made under it.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        const EVERY_RECORD: &Filter = &Filter::Everything;
        self.visible.as_deref().unwrap_or(EVERY_RECORD)
    }
}

/// The records of a kind to which a subject may do something; `None` is all.
#[must_use]
pub fn visible(subject: &Subject, deed: Deed, kind: Kind) -> Option<Arc<Filter>> {
    match kind {
        BINARY => subject.binaries(deed, context::binaries),
        kind => subject.visible(deed, kind),
    }
}

/// The rule that refuses who has to bring a second factor first.
const NO_FACTOR: &str = "no second factor";

/// A refusal. The one asking is told that, and no more; the audit has the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied(&'static str);

impl Denied {
    /// The rule that refused it, for the audit.
    #[must_use]
    pub fn rule(self) -> &'static str {
        self.0
    }

    /// Whether a second factor has to come first.
    #[must_use]
    pub fn is_for_want_of_a_factor(self) -> bool {
        self.0 == NO_FACTOR
    }
}

/// What a client that acts for the subject was given takes away, and gives nothing.
fn within_limit(
    subject: &Subject,
    scope: Scope,
    action: Action,
    target: Target<'_>,
    rule: Rule,
) -> Result<Rule, Denied> {
    let Some(limit) = subject.limit() else {
        return Ok(rule);
    };
    let right = if let Class::Resource(right, _) = action.class() {
        Some(right)
    } else {
        None
    };
    let lets = limit.lets(scope, action, right, target).map(Rule::Scope);
    lets.ok_or(Denied("no scope of the client allows it"))
}

fn decide(
    subject: &Subject,
    scope: Scope,
    class: Class,
    target: Target<'_>,
) -> Result<Rule, Denied> {
    if let Class::Open = class {
        return Ok(Rule::Named("open to all"));
    }
    if let Rights::None = subject.rights() {
        return Err(Denied("not signed in"));
    }
    let own = matches!(class, Class::Own | Class::OwnAccount);
    // Those without any role can still sign out where they signed in.
    if !(subject.reaches(scope) || own && subject.home() == scope) {
        return Err(Denied("of another project"));
    }
    match class {
        Class::Own => return Ok(Rule::Named("one's own session")),
        Class::OwnAccount if subject.user_id().is_some() => {
            return Ok(Rule::Named("one's own account"));
        }
        Class::OwnAccount => return Err(Denied("no account")),
        Class::Open
        | Class::Resource(..)
        | Class::AllResources
        | Class::Past
        | Class::Envelope
        | Class::Accounts
        | Class::Projects
        | Class::Metrics
        | Class::Launches => {}
    }
    fits(class, scope, target)?;
    match subject.rights() {
        Rights::None => Err(Denied("not signed in")),
        Rights::Everything => Ok(Rule::Named("operator")),
        // Reaching a scope is holding a role there, and there is one role.
        Rights::Roles(_) => Ok(Rule::Named("administrator")),
        Rights::Scopes(scopes) => by_scopes(scopes, class, target),
        Rights::Rules => match class {
            Class::Resource(..) | Class::AllResources | Class::Envelope => {
                Ok(Rule::Named("entries are decided one by one"))
            }
            Class::Open
            | Class::Own
            | Class::OwnAccount
            | Class::Past
            | Class::Accounts
            | Class::Projects
            | Class::Metrics
            | Class::Launches => Err(Denied("no rule allows it")),
        },
    }
}

/// What otherwise only administrators may do, for users whom a rule allows it.
fn by_name(
    subject: &Subject,
    scope: Scope,
    class: Class,
    target: Target<'_>,
    rule: Arc<str>,
) -> Result<Rule, Denied> {
    match subject.rights() {
        Rights::Rules if subject.reaches(scope) => {
            fits(class, scope, target)?;
            Ok(Rule::Scope(rule))
        }
        Rights::None
        | Rights::Everything
        | Rights::Roles(_)
        | Rights::Scopes(_)
        | Rights::Rules => decide(subject, scope, class, target),
    }
}

/// What the rules of policies leave of what was decided.
fn ruled(
    subject: &Subject,
    class: Class,
    target: Target<'_>,
    decided: Rule,
) -> Result<Rule, Denied> {
    const REFUSED: Denied = Denied("no rule allows it");
    let Some(rules) = subject.rules() else {
        return Ok(decided);
    };
    let allowed = match (class, target) {
        (Class::Resource(_, deed), Target::Type(name)) => {
            rules.allowed(Kind::named(name), deed).ok_or(REFUSED)?
        }
        (Class::AllResources, _) => rules.somewhere(Deed::History).ok_or(REFUSED)?,
        (Class::Envelope, _) if rules.is_empty() => return Err(REFUSED),
        (
            Class::Open
            | Class::Own
            | Class::OwnAccount
            | Class::Resource(..)
            | Class::Past
            | Class::Envelope
            | Class::Accounts
            | Class::Projects
            | Class::Metrics
            | Class::Launches,
            _,
        ) => return Ok(decided),
    };
    Ok(match subject.rights() {
        Rights::Rules => Rule::Scope(Arc::clone(&allowed.rule)),
        Rights::None | Rights::Everything | Rights::Roles(_) | Rights::Scopes(_) => decided,
    })
}

/// What nobody may do, because it makes no sense there.
fn fits(class: Class, scope: Scope, target: Target<'_>) -> Result<(), Denied> {
    let in_system = scope == Scope::SYSTEM;
    match (class, target) {
        (Class::Resource(Right::READ | Right::SEARCH, _), Target::Type(AUDIT_EVENT)) => Ok(()),
        (Class::Resource(..) | Class::Past, Target::Type(AUDIT_EVENT)) => {
            Err(Denied("audit is written by the server only"))
        }
        (Class::Resource(..), Target::System) | (Class::AllResources, Target::Type(_)) => {
            Err(Denied("no such action"))
        }
        (
            Class::Resource(..)
            | Class::AllResources
            | Class::Past
            | Class::Envelope
            | Class::Launches,
            _,
        ) if in_system => Err(Denied("no resources outside projects")),
        (Class::Projects | Class::Metrics, _) if !in_system => {
            Err(Denied("of the system, not of a project"))
        }
        (
            Class::Open
            | Class::Own
            | Class::OwnAccount
            | Class::Resource(..)
            | Class::AllResources
            | Class::Past
            | Class::Envelope
            | Class::Accounts
            | Class::Projects
            | Class::Metrics
            | Class::Launches,
            _,
        ) => Ok(()),
    }
}

fn by_scopes(scopes: &Scopes, class: Class, target: Target<'_>) -> Result<Rule, Denied> {
    let scope = match class {
        Class::Resource(right, _) => {
            let ty = target.type_name().unwrap_or_default();
            scopes.on_type(ty, right)
        }
        Class::AllResources => scopes.on_all_types(Right::SEARCH),
        Class::Envelope if !scopes.is_empty() => {
            return Ok(Rule::Named("entries are decided one by one"));
        }
        Class::Metrics => scopes.on_metrics(),
        Class::Launches => scopes.on_launches(),
        Class::Envelope
        | Class::Past
        | Class::Open
        | Class::Own
        | Class::OwnAccount
        | Class::Accounts
        | Class::Projects => None,
    };
    scope
        .map(|text| Rule::Scope(Arc::clone(text)))
        .ok_or(Denied("no scope allows it"))
}
