//! Sessions seen lately, and when each was used.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use salus_auth::record::{Key, Owner, Session};
use salus_auth::{PurposeOfUse, Subject};
use salus_fhir::search::Parameters;
use salus_store::Scope;

/// Sessions kept in memory; others are read from the store.
const SESSIONS_KEPT: usize = 10_000;
/// Purposes of one session for which it is kept in memory, beside its own.
const PURPOSES_KEPT: usize = 4;
/// How often the store is told that a key is in use.
const KEY_KEPT_MS: i64 = 15 * 60 * 1000;

/// Sessions seen lately.
pub(crate) struct Sessions {
    seen: quick_cache::sync::Cache<Box<str>, Arc<Seen>>,
    /// Counts what ended sessions, so that one read just before is not kept.
    ended: AtomicU64,
    operator: Arc<Subject>,
    anonymous: Arc<Subject>,
}

/// A session that was read, and whom it speaks for.
pub(super) struct Seen {
    pub(super) subject: Arc<Subject>,
    /// The search parameters that the conditions of its rules are made of.
    parameters: Weak<Parameters>,
    home: Scope,
    owner: Owner,
    expires_ms: i64,
    /// It ends when it is not used for so long.
    idle_ms: Option<i64>,
    /// Where it is good, if it is a key.
    key: Option<Key>,
    used_ms: AtomicI64,
    /// The use that the store knows of.
    kept_ms: AtomicI64,
    /// The same session acting for other purposes that its requests stated lately.
    stating: Mutex<Vec<Stating>>,
}

/// Whom a session speaks for that acts for another purpose.
struct Stating {
    purpose: PurposeOfUse,
    subject: Arc<Subject>,
    parameters: Weak<Parameters>,
}

/// What a use of a session means.
pub(super) enum Use {
    /// It has ended.
    Over,
    /// Nothing else.
    Noted,
    /// The store should know of it.
    ToBeKept,
}

impl Seen {
    pub(super) fn new(
        (subject, parameters): (Arc<Subject>, Weak<Parameters>),
        home: Scope,
        session: Session,
        idle_ms: Option<i64>,
    ) -> Self {
        let used_ms = session.used_ms.max(session.created_ms);
        Self {
            subject,
            parameters,
            home,
            owner: session.owner,
            expires_ms: session.expires_ms,
            idle_ms,
            key: session.key,
            used_ms: AtomicI64::new(used_ms),
            kept_ms: AtomicI64::new(used_ms),
            stating: Mutex::default(),
        }
    }

    /// The one who acts for another purpose, if it is known and holds.
    pub(super) fn acting_for(
        &self,
        purpose: PurposeOfUse,
        now_ms: i64,
        parameters: impl FnOnce() -> Arc<Parameters>,
    ) -> Option<Arc<Subject>> {
        let known = self.stating.lock();
        let found = known.iter().find(|one| one.purpose == purpose)?;
        let subject = &found.subject;
        let holds = subject.is_fresh(now_ms) && is_meant(subject, &found.parameters, parameters);
        holds.then(|| Arc::clone(subject))
    }

    /// Keeps the one who acts for another purpose; what was stated longest ago goes.
    pub(super) fn keep(
        &self,
        purpose: PurposeOfUse,
        subject: &Arc<Subject>,
        parameters: Weak<Parameters>,
    ) {
        let mut known = self.stating.lock();
        known.retain(|one| one.purpose != purpose);
        if known.len() >= PURPOSES_KEPT {
            known.remove(0);
        }
        known.push(Stating {
            purpose,
            subject: Arc::clone(subject),
            parameters,
        });
    }

    /// Whether its rules mean what they meant when they were compiled: the
    /// search parameters of the project are those that there were.
    pub(super) fn is_meant(&self, parameters: impl FnOnce() -> Arc<Parameters>) -> bool {
        is_meant(&self.subject, &self.parameters, parameters)
    }

    /// Notes that the session is used. What the store knows is behind by a
    /// quarter of the time allowed at most: so much sooner does a session
    /// end that the memory forgot, and never later.
    pub(super) fn used(&self, now_ms: i64, remote: Option<IpAddr>) -> Use {
        let is_elsewhere = |key: &Key| !key.is_good_from(remote);
        if self.expires_ms <= now_ms || self.key.as_ref().is_some_and(is_elsewhere) {
            return Use::Over;
        }
        let keep_ms = match (self.idle_ms, &self.key) {
            (Some(idle_ms), _) => idle_ms / 4,
            (None, Some(_)) => KEY_KEPT_MS,
            (None, None) => return Use::Noted,
        };
        let last_ms = self.used_ms.load(Ordering::Relaxed);
        let idle = now_ms.saturating_sub(last_ms);
        if self.idle_ms.is_some_and(|most_ms| idle >= most_ms) {
            return Use::Over;
        }
        self.used_ms.fetch_max(now_ms, Ordering::Relaxed);
        let kept_ms = self.kept_ms.load(Ordering::Relaxed);
        let behind = now_ms.saturating_sub(kept_ms) >= keep_ms;
        let order = Ordering::Relaxed;
        let first = || {
            let swapped = self.kept_ms.compare_exchange(kept_ms, now_ms, order, order);
            swapped.is_ok()
        };
        match behind && first() {
            true => Use::ToBeKept,
            false => Use::Noted,
        }
    }
}

fn is_meant(
    subject: &Subject,
    compiled: &Weak<Parameters>,
    parameters: impl FnOnce() -> Arc<Parameters>,
) -> bool {
    !subject.is_under_rules() || compiled.as_ptr() == Arc::as_ptr(&parameters())
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            seen: quick_cache::sync::Cache::new(SESSIONS_KEPT),
            ended: AtomicU64::new(0),
            operator: Arc::new(Subject::operator()),
            anonymous: Arc::new(Subject::anonymous()),
        }
    }

    pub(crate) fn anonymous(&self) -> Arc<Subject> {
        Arc::clone(&self.anonymous)
    }

    pub(super) fn operator(&self) -> Arc<Subject> {
        Arc::clone(&self.operator)
    }

    /// Reads everything anew: something that decides over sessions changed.
    pub(crate) fn forget_all(&self) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.seen.clear();
    }

    /// Reads the sessions of an owner anew: their record changed.
    pub(crate) fn forget_owner(&self, home: Scope, owner: &Owner) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.seen
            .retain(|_, seen| seen.home != home || seen.owner != *owner);
    }

    /// Reads a session anew: it ended.
    pub(crate) fn forget(&self, id: &str) {
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.seen.remove(id);
    }

    pub(super) fn seen(&self, id: &str) -> Option<Arc<Seen>> {
        self.seen.get(id)
    }

    /// When a session was used, as far as the memory knows.
    pub(crate) fn used_ms(&self, id: &str) -> Option<i64> {
        let seen = self.seen.get(id)?;
        Some(seen.used_ms.load(Ordering::Relaxed))
    }

    /// How often something ended sessions.
    pub(super) fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }

    /// Keeps what was read when [`Self::ended`] was this; nothing if a session ended since.
    pub(super) fn keep(&self, id: &str, seen: &Arc<Seen>, ended: u64) {
        self.seen.insert(id.into(), Arc::clone(seen));
        if self.ended() != ended {
            self.seen.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use salus_auth::Scopes;

    use super::*;

    #[test]
    fn few_purposes_of_a_session_are_kept() {
        let session = Session {
            owner: Owner::User("u".into()),
            scopes: Scopes::default(),
            created_ms: 0,
            expires_ms: 1,
            used_ms: 0,
            through: None,
            methods: Vec::new(),
            key: None,
            proved_ms: 0,
            purpose: None,
        };
        let subject = Arc::new(Subject::anonymous());
        let own = (Arc::clone(&subject), Weak::new());
        let seen = Seen::new(own, Scope(1), session, None);
        let purposes: Vec<PurposeOfUse> = PurposeOfUse::all().take(PURPOSES_KEPT + 2).collect();
        for purpose in purposes.iter().chain(&purposes[2..]) {
            seen.keep(*purpose, &subject, Weak::new());
        }
        let none = || unreachable!("nobody is under rules here");
        let known = |purpose: &PurposeOfUse| seen.acting_for(*purpose, 0, none).is_some();
        assert!(purposes[2..].iter().all(known) && !purposes[..2].iter().any(known));
    }
}
