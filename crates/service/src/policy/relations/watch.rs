//! Who has to look anew when a record changes.
//!
//! A set of patients is watched for the records that it was read from, and for
//! those that name its user: by kind and id of either. Each commit that
//! touches such records tells when it is done, by a value that the batch
//! holds; even if nobody waits for the commit any more.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use salus_auth::policy::Fresh;
use salus_auth::record::{BreakGlass, SystemRecord, User};
use salus_store::{Kind, Param, Put, Scope, Value};

use super::super::consent::{ALL, CONSENT};
use super::{CARE_TEAM, ENCOUNTER, PATIENT, RELATED_PERSON, ROLE};

/// Changes that are remembered for who was reading meanwhile.
const RECENT_MAX: usize = 1024;

/// By which parameters records of a kind name who stands to a patient.
const NAMING: [(Kind, &[Param]); 4] = [
    (CARE_TEAM, &[Param::named("CareTeam", "participant")]),
    (ENCOUNTER, &[Param::named("Encounter", "participant")]),
    (ROLE, &[Param::named("PractitionerRole", "practitioner")]),
    (PATIENT, &[Param::named("Patient", "general-practitioner")]),
];

type Key = (Scope, Kind, Box<str>);

/// All that is watched.
#[derive(Default)]
pub(crate) struct Relations(Mutex<Watched>);

#[derive(Default)]
struct Watched {
    by: HashMap<Key, Vec<Weak<Fresh>>>,
    /// How many keys were touched so far.
    touched: u64,
    recent: VecDeque<Key>,
    /// When there are as many keys, those that nobody watches any more are removed.
    sweep_at: usize,
}

impl Relations {
    /// Begins to watch, before anything is read.
    pub(super) fn watch(self: &Arc<Self>, scope: Scope) -> Watch {
        Watch {
            fresh: Arc::new(Fresh::default()),
            since: self.0.lock().touched,
            keys: Mutex::default(),
            scope,
            relations: Arc::clone(self),
        }
    }

    fn touched(&self, keys: &[Key]) {
        let mut watched = self.0.lock();
        for key in keys {
            for fresh in watched.by.remove(key).into_iter().flatten() {
                if let Some(fresh) = fresh.upgrade() {
                    fresh.end();
                }
            }
            watched.touched += 1;
            if watched.recent.len() >= RECENT_MAX {
                watched.recent.pop_front();
            }
            watched.recent.push_back(key.clone());
        }
    }
}

/// A set of patients that is being read.
pub(crate) struct Watch {
    fresh: Arc<Fresh>,
    since: u64,
    keys: Mutex<HashSet<(Kind, Box<str>)>>,
    scope: Scope,
    relations: Arc<Relations>,
}

impl Watch {
    /// It rests on this, or on what names this.
    pub(crate) fn on(&self, kind: Kind, id: &str) {
        self.keys.lock().insert((kind, id.into()));
    }

    /// It may be another from then on.
    pub(crate) fn until(&self, ms: i64) {
        self.fresh.until(ms);
    }

    /// All has been read. What was touched meanwhile may have been read before.
    pub(crate) fn end(self) -> Arc<Fresh> {
        let keys = self.keys.into_inner();
        let mut watched = self.relations.0.lock();
        let missed = watched.touched - self.since;
        let kept = watched.recent.len() as u64;
        let mut last = watched.recent.iter().rev();
        let touched = last
            .by_ref()
            .take(usize::try_from(missed).unwrap_or(usize::MAX));
        let mut touched = touched.filter(|(scope, ..)| *scope == self.scope);
        if missed > kept || touched.any(|(_, kind, id)| keys.contains(&(*kind, id.clone()))) {
            self.fresh.end();
            return self.fresh;
        }
        for (kind, id) in keys {
            let key = (self.scope, kind, id);
            let watching = watched.by.entry(key).or_default();
            watching.retain(|one| one.strong_count() > 0);
            watching.push(Arc::downgrade(&self.fresh));
        }
        watched.sweep();
        self.fresh
    }
}

impl Watched {
    fn sweep(&mut self) {
        if self.by.len() < self.sweep_at.max(RECENT_MAX) {
            return;
        }
        self.by.retain(|_, watching| {
            watching.retain(|one| one.strong_count() > 0);
            !watching.is_empty()
        });
        self.sweep_at = self.by.len() * 2;
    }
}

/// A commit under way; when it goes, it is done.
pub(crate) struct Touch {
    keys: Vec<Key>,
    relations: Arc<Relations>,
}

impl Drop for Touch {
    fn drop(&mut self) {
        self.relations.touched(&self.keys);
    }
}

/// What a commit touches, if that may be watched.
pub(crate) fn touch(relations: &Arc<Relations>, scope: Scope, puts: &[Put]) -> Option<Touch> {
    let mut keys = Vec::new();
    for put in puts {
        if put.kind == CONSENT {
            keys.push((scope, CONSENT, ALL.into()));
            continue;
        }
        if put.kind == BreakGlass::KIND {
            let users = put.rows.iter().filter_map(BreakGlass::user_of);
            keys.extend(users.map(|user| (scope, User::KIND, user.into())));
            continue;
        }
        let naming = NAMING.iter().find(|(kind, _)| *kind == put.kind);
        if naming.is_none() && put.kind != RELATED_PERSON {
            continue;
        }
        keys.push((scope, put.kind, put.id.clone()));
        let params = naming.map_or(&[][..], |(_, params)| *params);
        let named = put.rows.iter().filter(|row| params.contains(&row.param));
        for row in named {
            if let Value::Reference { kind, id } = &row.value {
                keys.push((scope, *kind, id.clone()));
            }
        }
    }
    let relations = Arc::clone(relations);
    (!keys.is_empty()).then_some(Touch { keys, relations })
}
