//! The policies of a project: written by its administrators, kept here as they
//! are just now, compiled for each session.
//!
//! A change ends no session but has each one read anew, so that the next
//! request is decided by what the policies say then.

mod break_glass;
mod care;
mod compile;
mod condition;
mod consent;
mod fields;
pub(crate) mod masked;
mod purposes;
mod questions;
pub(crate) mod relations;
pub(crate) mod scopes;
mod sets;
#[cfg(test)]
mod tests;
pub(crate) mod writes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use salus_auth::policy::Fault;
use salus_auth::record::{Policy, Saved, SystemRecord};
use salus_auth::{Action, Grant, Subject};
use salus_fhir::issue::{Issue, IssueType};
use salus_store::{Scope, Store};

use crate::Service;
use crate::audit::entry::{Entry, Outcome, What};
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::pipeline::Write;
use crate::records::all;
use relations::Patients;

pub use break_glass::NewBreakGlass;
pub(crate) use care::Cares;
pub(crate) use consent::Consents;
pub use sets::{PolicySet, SETS};

/// Policies of a project at most.
const POLICIES_MAX: usize = 100;

/// The policies of projects, as far as somebody asked for them.
#[derive(Default)]
pub(crate) struct Policies {
    now: RwLock<HashMap<Scope, Arc<[Saved<Policy>]>>>,
    /// Counts changes, so that what was read before one is not kept.
    changes: AtomicU64,
    /// Changes are made one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Policies {
    async fn of(&self, store: &dyn Store, scope: Scope) -> Result<Arc<[Saved<Policy>]>, Error> {
        if let Some(known) = self.now.read().get(&scope) {
            return Ok(Arc::clone(known));
        }
        let changes = self.changes.load(Ordering::SeqCst);
        let saved = all::<Policy>(store, scope, POLICIES_MAX).await?;
        let saved: Arc<[_]> = saved.into();
        let mut now = self.now.write();
        if self.changes.load(Ordering::SeqCst) == changes {
            now.insert(scope, Arc::clone(&saved));
        }
        Ok(saved)
    }

    fn forget(&self, scope: Scope) {
        let mut now = self.now.write();
        self.changes.fetch_add(1, Ordering::SeqCst);
        now.remove(&scope);
    }
}

/// Has policies and sessions read anew when it goes, even if the request that
/// changes a policy is given up between its commit and its answer.
struct Changing<'s>(&'s Service, Scope);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.policies.forget(self.1);
        self.0.sessions.forget_all();
    }
}

impl Service {
    /// A subject under the policies of its project.
    pub(crate) async fn under_policies(
        &self,
        subject: Arc<Subject>,
        now_ms: i64,
    ) -> Result<Arc<Subject>, Error> {
        let scope = subject.home();
        let policies = self.policies.of(&*self.store, scope).await?;
        let (subject, _) = self.under_these(&policies, subject, now_ms).await?;
        Ok(subject)
    }

    /// A subject under some policies, and the patients that it stands to.
    async fn under_these(
        &self,
        policies: &[Saved<Policy>],
        subject: Arc<Subject>,
        now_ms: i64,
    ) -> Result<(Arc<Subject>, Patients), Error> {
        let cx = self.operator_context(subject.home());
        let wanted = compile::relationships(policies, &subject);
        let (patients, fresh) = self.patients(&subject, &wanted, now_ms).await?;
        let rules = compile::rules(&cx, policies, &subject, &patients);
        let own = subject.scopes().filter(|scopes| scopes.are_narrowed());
        let own = own.map(|own| scopes::rules(&cx, own, None));
        let all = rules.into_iter().chain(own.map(Arc::new));
        let mut subject = all.fold(Arc::unwrap_or_clone(subject), Subject::under);
        if let Some(fresh) = fresh {
            subject = subject.while_fresh(fresh);
        }
        if let Some(until_ms) = patients.emergency_until_ms() {
            subject = subject.in_emergency(until_ms);
        }
        Ok((Arc::new(subject), patients))
    }

    /// The policies of a project, by name.
    pub async fn list_policies(&self, cx: &Context) -> Result<Vec<Saved<Policy>>, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        self.noted(cx, &grant, What::AdminRead).await?;
        let policies = self.policies.of(&*self.store, cx.scope).await?;
        Ok(policies.to_vec())
    }

    /// One policy.
    pub async fn read_policy(&self, cx: &Context, name: &str) -> Result<Saved<Policy>, Error> {
        let grant = self
            .allow(cx, What::AdminRead, Action::ReadSettings)
            .await?;
        let work = async {
            let all = self.policies.of(&*self.store, cx.scope).await?;
            let found = all.iter().find(|policy| *policy.id == *name);
            let found = found.cloned().ok_or_else(absent)?;
            self.noted(cx, &grant, What::AdminRead).await?;
            Ok(found)
        };
        self.attempt(cx, &grant, What::AdminRead, "Policy", work)
            .await
    }

    /// Writes a policy, new or anew; tells whether it is new.
    pub async fn write_policy(
        &self,
        cx: &Context,
        name: &str,
        body: &[u8],
    ) -> Result<(Saved<Policy>, bool), Error> {
        let grant = self
            .allow(cx, What::PolicyChange, Action::WriteSettings)
            .await?;
        let work = self.put_policy(cx, &grant, name, body);
        self.attempt(cx, &grant, What::PolicyChange, "Policy", work)
            .await
    }

    /// Removes a policy.
    pub async fn delete_policy(&self, cx: &Context, name: &str) -> Result<(), Error> {
        let grant = self
            .allow(cx, What::PolicyChange, Action::WriteSettings)
            .await?;
        let work = async {
            let _turn = self.policies.turn.lock().await;
            let known = self.policies.of(&*self.store, cx.scope).await?;
            let policy = known.iter().find(|policy| *policy.id == *name);
            let policy = policy.ok_or_else(absent)?;
            let write = Write::system(&grant, "Policy", policy.delete());
            self.change(cx, &grant, write).await
        };
        self.attempt(cx, &grant, What::PolicyChange, "Policy", work)
            .await
    }

    async fn put_policy(
        &self,
        cx: &Context,
        grant: &Grant,
        name: &str,
        body: &[u8],
    ) -> Result<(Saved<Policy>, bool), Error> {
        if !Policy::is_name(name) {
            return Err(Error::invalid(
                "the name of a policy must be 1 to 64 lower-case letters, digits, -, . or _, \
                 beginning with a letter or digit",
            ));
        }
        let policy = Policy::parse(body).map_err(refuse)?;
        let faults = compile::faults(&self.operator_context(cx.scope), &policy);
        if !faults.is_empty() {
            return Err(refuse(faults));
        }
        let _turn = self.policies.turn.lock().await;
        let known = self.policies.of(&*self.store, cx.scope).await?;
        let before = known.iter().find(|policy| *policy.id == *name);
        if before.is_none() && known.len() >= POLICIES_MAX {
            return Err(Error::new(
                Kind::Conflict,
                "a project has 100 policies at most",
            ));
        }
        // A policy that was deleted goes on from its last version.
        let record = self.snapshot(cx).await?.head(Policy::KIND, name).await?;
        let mut next = Saved::new(name, policy);
        next.version = record.map_or(0, |record| record.version);
        let write = Write::system(grant, "Policy", next.put()?);
        self.change(cx, grant, write).await?;
        next.version += 1;
        Ok((next, before.is_none()))
    }

    /// Commits a change, and lets it count from the next request on.
    async fn change(&self, cx: &Context, grant: &Grant, write: Write) -> Result<(), Error> {
        let entry = Entry::new(cx, What::PolicyChange, Outcome::Success, grant.rule());
        let _changing = Changing(self, cx.scope);
        self.commit(cx, entry, Vec::new(), vec![write]).await?;
        Ok(())
    }
}

fn absent() -> Error {
    Error::not_found("there is no policy of this name")
}

fn refuse(faults: Vec<Fault>) -> Error {
    let issue = |fault: Fault| {
        let place = match fault.place.is_empty() {
            true => "the policy".to_owned(),
            false => fault.place.clone(),
        };
        let details = format!("{place} {}", fault.details);
        Issue::error(IssueType::Value, fault.place, details)
    };
    Error::with_issues(Kind::Invalid, faults.into_iter().map(issue).collect())
}
