//! What a shredding takes, what it leaves, and what stands against it.

use std::collections::{BTreeMap, BTreeSet};

use salus_auth::policy::compartment;
use salus_auth::record::{Cold, Profile, SystemRecord, User};
use salus_store::{At, Filter, Kind as RecordKind, Query, Scope, SealKey, Seq, Snapshot};
use serde_json::{Value, json};

use crate::Service;
use crate::cold::ColdOfPatient;
use crate::context::Context;
use crate::error::{Error, Kind};
use crate::fhir::types::ResourceType;
use crate::policy::relations::PATIENT;
use crate::retention::{Patients, Until, kept_until};
use crate::time::instant;

/// Versions of the log looked at at a time.
const STEP: usize = 5_000;
/// Records read at a time.
const PAGE: usize = 500;
/// Records and accounts that are named, of each kind.
const NAMED_MAX: usize = 100;

/// All that a patient's key sealed and is there yet, by record.
pub(super) type Targets = BTreeMap<(RecordKind, Box<str>), Target>;

/// One record of which the key sealed versions.
#[derive(Debug, Default)]
pub(super) struct Target {
    /// Those with content, in order.
    pub(super) versions: Vec<u64>,
    /// The newest version of the record, whatever sealed it.
    pub(super) newest: u64,
}

impl Target {
    /// Whether the key sealed the record as it is now.
    pub(super) fn is_current(&self) -> bool {
        self.versions.last() == Some(&self.newest)
    }
}

/// What a shredding takes, what it leaves, and what stands against it.
#[derive(Clone, Default)]
pub struct Plan {
    patient: Box<str>,
    /// Records and versions of each type.
    erased: BTreeMap<String, (u64, u64)>,
    /// Jobs whose files go, since they may hold the patient.
    jobs: usize,
    /// Records in the compartments of several patients, or that only refer to this one.
    shared: BTreeMap<String, u64>,
    shared_ids: Vec<String>,
    /// Accounts whose profile is the patient.
    users: Vec<Box<str>>,
    /// How many of the records are under legal hold.
    held: u64,
    /// How many of each type have to be kept yet, and until when; without a time if nobody knows.
    kept: BTreeMap<String, (u64, Option<i64>)>,
    /// What cold storage has of the patient.
    pub(super) cold: ColdOfPatient,
}
salus_phi::guard!(Plan);

impl Plan {
    /// Refuses what may not go.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.held > 0 {
            let details = "records of this patient are under legal hold: lift the hold first, if \
                           you may (GET /admin/holds; salus hold list)";
            return Err(Error::new(Kind::Conflict, details));
        }
        if self.kept.is_empty() {
            return Ok(());
        }
        let until = self
            .kept
            .values()
            .filter_map(|(_, until_ms)| *until_ms)
            .max();
        let unknown = self.kept.values().any(|(_, until_ms)| until_ms.is_none());
        let until = match (until, unknown) {
            (Some(ms), false) => format!("the last until {}", instant(ms)),
            _ => "some of them until a date that nobody knows".to_owned(),
        };
        let count: u64 = self.kept.values().map(|(count, _)| count).sum();
        Err(Error::new(
            Kind::Conflict,
            format!(
                "{count} records of this patient have to be kept, {until}: wait, or change the \
                 classes of the project if they are wrong (GET /admin/retention; salus retention show)"
            ),
        ))
    }

    /// What is in cold storage is shared, held and kept as what is here.
    fn add_cold(&mut self) {
        for (ty, id) in &self.cold.shared {
            *self.shared.entry(ty.clone()).or_default() += 1;
            if self.shared_ids.len() < NAMED_MAX {
                self.shared_ids.push(format!("{ty}/{id}"));
            }
        }
        self.held += self.cold.held;
        for (ty, (count, until_ms)) in &self.cold.kept {
            let kept = self.kept.entry(ty.clone()).or_insert((0, Some(i64::MIN)));
            kept.0 += count;
            kept.1 = kept.1.zip(*until_ms).map(|(one, other)| one.max(other));
        }
    }

    /// As JSON.
    #[must_use]
    pub fn view(&self) -> Value {
        let erased = self.erased.iter().map(|(ty, (records, versions))| {
            (
                ty.clone(),
                json!({"records": records, "versions": versions}),
            )
        });
        let kept = self.kept.iter().map(|(ty, (count, until_ms))| {
            (
                ty.clone(),
                json!({"records": count, "until": until_ms.map(instant)}),
            )
        });
        json!({
            "patient": self.patient,
            "erased": erased.collect::<serde_json::Map<_, _>>(),
            "jobs": self.jobs,
            "cold": {"records": self.cold.records, "objects": self.cold.objects.len()},
            "stays": {
                "shared": self.shared,
                "sharedRecords": self.shared_ids,
                "users": self.users,
                "audit": true,
            },
            "refused": {
                "held": self.held,
                "kept": kept.collect::<serde_json::Map<_, _>>(),
            },
        })
    }
}

impl Service {
    /// What the key of a patient sealed and is there yet. Opens nothing.
    pub(super) async fn sealed_for(&self, scope: Scope, patient: &str) -> Result<Targets, Error> {
        let (mut targets, mut after) = (Targets::new(), Seq(0));
        loop {
            let found = self.store.sealed(scope, patient, after, STEP).await?;
            for one in found.versions {
                let target = targets.entry((one.kind, one.id)).or_default();
                target.newest = one.newest;
                if !one.deleted {
                    target.versions.push(one.version);
                }
            }
            let Some(next) = found.next else {
                targets.retain(|_, target| !target.versions.is_empty());
                return Ok(targets);
            };
            after = next;
            tokio::task::yield_now().await;
        }
    }

    /// What a shredding comes to.
    pub(super) async fn plan_shred(
        &self,
        cx: &Context,
        patient: &str,
        targets: &Targets,
    ) -> Result<Plan, Error> {
        let mut plan = Plan {
            patient: patient.into(),
            erased: counted(targets),
            jobs: self.count_jobs(cx.scope).await?,
            users: self.accounts_of(cx, patient).await?,
            ..Plan::default()
        };
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        self.find_shared(&*snapshot, patient, &mut plan).await?;
        self.find_refusals(cx, &*snapshot, (patient, targets), &mut plan)
            .await?;
        plan.cold = self.cold_of_patient(cx, &*snapshot, patient).await?;
        plan.add_cold();
        Ok(plan)
    }

    async fn accounts_of(&self, cx: &Context, patient: &str) -> Result<Vec<Box<str>>, Error> {
        let Ok(profile) = Profile::parse(&format!("Patient/{patient}")) else {
            return Ok(Vec::new());
        };
        let snapshot = self.store.snapshot(cx.scope, At::Now).await?;
        let query = User::with_profile(&profile);
        let found = snapshot.find(&query).await?;
        Ok(found.hits.into_iter().map(|hit| hit.record.id).collect())
    }

    /// What is in the patient's compartment and not sealed with their key: it is of others, too.
    async fn find_shared(
        &self,
        snapshot: &dyn Snapshot,
        patient: &str,
        plan: &mut Plan,
    ) -> Result<(), Error> {
        for ty in ResourceType::all() {
            let Some(filter) = compartment::of_patients(ty.name, &[patient]) else {
                continue;
            };
            let mut after = None;
            loop {
                let query = Query {
                    after,
                    ..query(ty.kind, filter.clone())
                };
                let page = snapshot.find(&query).await?;
                for hit in page.hits {
                    if hit.record.seal != SealKey::Scope {
                        continue;
                    }
                    *plan.shared.entry(ty.name.to_owned()).or_default() += 1;
                    if plan.shared_ids.len() < NAMED_MAX {
                        plan.shared_ids
                            .push(format!("{}/{}", ty.name, hit.record.id));
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What is under legal hold, or has to be kept.
    async fn find_refusals(
        &self,
        cx: &Context,
        snapshot: &dyn Snapshot,
        (patient, targets): (&str, &Targets),
        plan: &mut Plan,
    ) -> Result<(), Error> {
        let (held, setting) = (self.held(cx).await?, self.saved_retention(cx).await?.value);
        let seal = SealKey::Patient(patient.into());
        let mut kinds: BTreeSet<RecordKind> = targets.keys().map(|(kind, _)| *kind).collect();
        // Also when nothing of the patient is left but what refers to them.
        kinds.insert(PATIENT);
        let mut known = Patients::default();
        for kind in kinds {
            let of = targets.range((kind, "".into())..);
            let of = of.take_while(|((of, _), _)| *of == kind);
            let mut ids: Vec<&str> = of.map(|((_, id), _)| &**id).collect();
            if kind == PATIENT && ids.is_empty() {
                ids.push(patient);
            }
            if kind == Cold::KIND {
                // Asked about by itself.
                continue;
            }
            for some in ids.chunks(PAGE) {
                let named: Vec<_> = some.iter().map(|id| (*id, &seal)).collect();
                if !held.is_empty() {
                    plan.held += held.among(cx, snapshot, kind, &named).await?.len() as u64;
                }
            }
            let Some(ty) = ResourceType::of(kind) else {
                continue;
            };
            let Some(class) = setting.of(ty.name) else {
                continue;
            };
            // What is another patient's now is kept with that one.
            let is_current = |id: &&str| {
                let target = targets.get(&(kind, (*id).into()));
                target.is_none_or(Target::is_current)
            };
            for id in ids.into_iter().filter(is_current) {
                let Some(record) = snapshot.get(kind, id).await? else {
                    continue;
                };
                if record.content == salus_store::Content::Deleted {
                    continue;
                }
                let until = kept_until(cx, snapshot, (class, ty), &record, &mut known).await?;
                if until.is_over(cx.now_ms) {
                    continue;
                }
                let kept = plan
                    .kept
                    .entry(ty.name.to_owned())
                    .or_insert((0, Some(i64::MIN)));
                kept.0 += 1;
                kept.1 = match until {
                    Until::Ms(ms) => kept.1.map(|known| known.max(ms)),
                    Until::Unknown => None,
                };
            }
        }
        Ok(())
    }
}

fn query(kind: RecordKind, filter: Filter) -> Query {
    Query {
        kind,
        filter,
        sort: Vec::new(),
        limit: PAGE,
        after: None,
        rows: Vec::new(),
    }
}

/// Records and versions by type; those that are no resources count as one.
pub(super) fn counted(targets: &Targets) -> BTreeMap<String, (u64, u64)> {
    let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ((kind, _), target) in targets {
        let name = ResourceType::of(*kind).map_or("other", |ty| ty.name);
        let count = counts.entry(name.to_owned()).or_default();
        count.0 += 1;
        count.1 += target.versions.len() as u64;
    }
    counts
}
