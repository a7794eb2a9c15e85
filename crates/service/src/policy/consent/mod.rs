//! The consents of a project's patients as predicates for one subject
//! ([0032](../../../../../docs/adr/0032-consents-as-predicates.md)).
//!
//! All active consents are read once and kept until one changes. For a subject
//! what is about it is settled (actor, purpose, period), and patients whose
//! consents come to the same share one filter. It stands among the rules as
//! what a rule denies, so nothing can allow past it.

mod meaning;
mod read;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use salus_auth::policy::{Deed, Fresh, Statement, compartment};
use salus_auth::record::{Consenting, Effect};
use salus_fhir::mask::Paths;
use salus_store::{Filter, Kind, References, Scope};

pub(crate) use self::meaning::About;
use self::meaning::{Settled, any, not};
use self::read::{Parsed, Provision};
use super::relations::{PATIENT, Watch};
use crate::fhir::types::ResourceType;

pub(crate) const CONSENT: Kind = Kind::named("Consent");
/// Stands for all consents where they are watched.
pub(crate) const ALL: &str = "*";

/// What consents may come to in different ways for one subject; the patients of
/// further ones are denied whole.
const SHAPES_MAX: usize = 64;

/// The consents of projects, as they are just now.
#[derive(Default)]
pub(crate) struct Consents(Mutex<HashMap<Scope, Kept>>);

/// All of a project, as long as that holds.
type Kept = (Arc<Fresh>, Arc<[Parsed]>);

impl Consents {
    pub(super) fn known(&self, scope: Scope, now_ms: i64) -> Option<Arc<[Parsed]>> {
        let kept = self.0.lock();
        let (_, all) = kept.get(&scope).filter(|(fresh, _)| fresh.holds(now_ms))?;
        Some(Arc::clone(all))
    }

    pub(super) fn keep(&self, scope: Scope, fresh: Arc<Fresh>, all: &Arc<[Parsed]>) {
        self.0.lock().insert(scope, (fresh, Arc::clone(all)));
    }
}

pub(crate) use read::consent as parse;
pub(crate) type All = Arc<[Parsed]>;

/// Whose consents count, and how, for one subject.
#[derive(Clone, Debug)]
pub(crate) struct Consented {
    model: Consenting,
    shapes: Vec<(Vec<Settled>, References)>,
}

impl Consented {
    /// What consents come to for a subject at a time.
    pub(super) fn of(model: Consenting, all: &[Parsed], about: &About, watch: &Watch) -> Self {
        let mut by_patient: BTreeMap<&str, Vec<Settled>> = BTreeMap::new();
        for Parsed { patient, root } in all {
            watch_times(root, about.now_ms, watch);
            if let Some(settled) = Settled::of(root, about) {
                by_patient.entry(patient).or_default().push(settled);
            }
        }
        let mut by_shape: BTreeMap<Vec<Settled>, Vec<Box<str>>> = BTreeMap::new();
        for (patient, mut shape) in by_patient {
            shape.sort_unstable();
            shape.dedup();
            if by_shape.len() >= SHAPES_MAX && !by_shape.contains_key(&shape) {
                shape = vec![Settled::denied()];
            }
            by_shape.entry(shape).or_default().push(patient.into());
        }
        let shapes = by_shape.into_iter();
        let shapes = shapes.map(|(shape, ids)| (shape, References::of(PATIENT, ids)));
        Self {
            model,
            shapes: shapes.collect(),
        }
    }

    /// What is denied, but for records of a type that `except` gives.
    pub(super) fn statements(&self, except: impl Fn(&str) -> Vec<Filter>) -> Vec<Statement> {
        let mut statements = Vec::new();
        let types = ResourceType::all().into_iter();
        // What patients consented to is for who may see consents at all.
        for ty in types.filter(|ty| ty.kind != CONSENT) {
            let except = except(ty.name);
            for writes in [false, true] {
                let Some(denied) = self.denied(ty.name, writes) else {
                    continue;
                };
                let mut all = vec![denied];
                all.extend(except.iter().cloned().map(not));
                let deeds = Deed::ALL.into_iter();
                statements.push(Statement {
                    rule: "consent".into(),
                    effect: Effect::Deny,
                    kind: ty.kind,
                    deeds: deeds.filter(|deed| deed.writes() == writes).collect(),
                    filter: open(meaning::all(all)),
                    hidden: Paths::default(),
                    read_only: Paths::default(),
                });
            }
        }
        statements
    }

    /// The records of a type that consents deny; `None` if those of the type are of no patient.
    fn denied(&self, ty: &str, writes: bool) -> Option<Filter> {
        let (mut denied, mut permitted) = (Vec::new(), Vec::new());
        compartment::of_patients::<&str>(ty, &[])?;
        for (shape, patients) in &self.shapes {
            let records = compartment::of_set("Patient", ty, patients)?;
            let of = |filters: Vec<Filter>| meaning::all(vec![records.clone(), any(filters)]);
            denied.push(of(shape.iter().map(|one| one.denies(ty, writes)).collect()));
            permitted.push(of(shape
                .iter()
                .map(|one| one.permits(ty, writes))
                .collect()));
        }
        if self.model == Consenting::OptIn {
            denied.push(not(any(permitted)));
        }
        Some(any(denied))
    }
}

/// Who may look for records finds none of those that are denied; that all are
/// is nothing to be told.
fn open(denied: Filter) -> Filter {
    match denied == Filter::Everything {
        true => Filter::Not(Filter::Ids(Vec::new()).into()),
        false => denied,
    }
}

/// Notes when provisions begin and end.
fn watch_times(provision: &Provision, now_ms: i64, watch: &Watch) {
    if let Some(time) = provision.time {
        watch.until(time.changes_after(now_ms));
    }
    for inner in &provision.nested {
        watch_times(inner, now_ms, watch);
    }
}
