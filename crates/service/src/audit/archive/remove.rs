//! Removes from the store what was archived: after its segment was read back once more and
//! compared, when the years of its project are over, and if no legal hold is on it. The leaves stay.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use futures_util::future::BoxFuture;
use salus_auth::Grant;
use salus_auth::record::{AuditSegment, Saved};
use salus_store::{Scope, Seq, TreeLeaf};

use super::held::{Held, in_force};
use super::make::holds;
use super::{Run, failed};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::context::Context;
use crate::error::Error;
use crate::pipeline::Write;

/// Entries cleared in one write.
const STEP: usize = 2000;

/// What becomes of the entries of a segment that are in the store.
#[derive(Default)]
struct Decided {
    /// What goes, by scope, and the latest time of it.
    go: BTreeMap<Scope, (Vec<Seq>, i64)>,
    left: Left,
}

/// The years and the holds of a scope.
struct Rule {
    cutoff_ms: i64,
    held: Held,
}

/// What runs have found of segments that have entries in the store, by their numbers: who asks
/// again by the same rules need not read them. It is not written down, since a store that was restored may have
/// entries again.
pub(crate) type Known = BTreeMap<u64, Left>;

/// What of a segment stays.
#[derive(Default)]
pub(crate) struct Left {
    held: u64,
    kept: u64,
    by: BTreeMap<Scope, Because>,
}

/// Why entries of a scope stay.
struct Because {
    /// The holds that it was decided by.
    holds: Vec<(Box<str>, u64)>,
    /// The earliest time of an entry that waits for its years to be over.
    earliest_ms: Option<i64>,
}

impl Service {
    pub(super) fn remove_archived<'a>(
        &'a self,
        grant: &'a Grant,
        dry_run: bool,
        (run, known): (&'a mut Run, &'a mut Known),
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut rules = BTreeMap::new();
            for saved in self.segments().await? {
                let number = saved.value.number;
                if saved.value.left == 0 && self.is_empty(saved.value.places).await? {
                    continue;
                }
                let noted = (saved.value.left, saved.value.held);
                if let Some(left) = known.get(&number)
                    && (left.held + left.kept, left.held) == noted
                    && self.is_decided(left, &mut rules).await?
                {
                    run.held += left.held;
                    run.kept += left.kept;
                    continue;
                }
                known.remove(&number);
                let left = self.remove_some(grant, dry_run, saved, run).await?;
                known.extend(left.map(|left| (number, left)));
            }
            Ok(())
        })
    }

    /// Removes of a segment what may go; what stays, if it was looked at to the end.
    async fn remove_some(
        &self,
        grant: &Grant,
        dry_run: bool,
        mut saved: Saved<AuditSegment>,
        run: &mut Run,
    ) -> Result<Option<Left>, Error> {
        let stored = self.leaves(saved.value.places).await?;
        // Whoever places a hold waits, and holds what is there then.
        let _turn = self.ending.read().await;
        let decided = self.decide_removal(&stored).await?;
        let (held, kept) = (decided.left.held, decided.left.kept);
        run.held += held;
        run.kept += kept;
        let count: usize = decided.go.values().map(|(seqs, _)| seqs.len()).sum();
        if dry_run {
            run.removed += count as u64;
            return Ok((count == 0).then_some(decided.left));
        }
        if count > 0 {
            let fault = match self.read_segment(&saved.value).await {
                Ok(archived) if holds(&archived.leaves, &stored) => None,
                Ok(_) => Some(format!(
                    "{} is not what the store has: nothing of it is removed",
                    saved.value.name()
                )),
                Err(fault) => Some(fault),
            };
            if let Some(fault) = fault {
                run.faults.push(fault);
                return Ok(None);
            }
            run.removed += self.remove(grant, &saved.value, &decided).await?;
        }
        // Also of what a run that was cut off has removed.
        if count > 0 || (saved.value.left, saved.value.held) != (held + kept, held) {
            saved.value.left = held + kept;
            saved.value.held = held;
            self.note_left(grant, &saved, count > 0).await?;
        }
        Ok(Some(decided.left))
    }

    /// Whether nothing more of a segment may go than when it was looked at.
    async fn is_decided(
        &self,
        left: &Left,
        rules: &mut BTreeMap<Scope, Rule>,
    ) -> Result<bool, Error> {
        for (scope, because) in &left.by {
            let rule = match rules.entry(*scope) {
                Occupied(known) => known.into_mut(),
                Vacant(unknown) => unknown.insert(self.rule_of(*scope).await?),
            };
            let earliest_ms = because.earliest_ms;
            let waits = earliest_ms.is_none_or(|earliest_ms| earliest_ms >= rule.cutoff_ms);
            if !waits || rule.held.versions() != because.holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing is left of a segment whose entries were all removed: a store that was
    /// restored from a log of before has them again.
    async fn is_empty(&self, (first, end): (u64, u64)) -> Result<bool, Error> {
        for place in [first, end.saturating_sub(1)] {
            let leaves = self.tree().tree_leaves(place, 1, &|_| false).await?;
            if leaves.iter().any(|leaf| !leaf.cleared) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Which entries may go.
    async fn decide_removal(&self, stored: &[TreeLeaf]) -> Result<Decided, Error> {
        let mut rules: BTreeMap<Scope, Rule> = BTreeMap::new();
        let mut decided = Decided::default();
        for leaf in stored.iter().filter(|leaf| !leaf.cleared) {
            let rule = match rules.entry(leaf.scope) {
                Occupied(known) => known.into_mut(),
                Vacant(unknown) => unknown.insert(self.rule_of(leaf.scope).await?),
            };
            // Of one whose key was destroyed nothing can be read here or there.
            let entry = leaf
                .opened
                .as_ref()
                .map(|opened| Entry::decode(&opened.body));
            let held = entry.as_ref().is_some_and(|entry| match entry {
                Some(entry) => rule.held.has(leaf.time_ms, entry),
                None => true,
            });
            let kept = entry.flatten().is_some_and(|entry| in_force(&entry));
            let because = || Because {
                holds: rule.held.versions(),
                earliest_ms: None,
            };
            let because = decided.left.by.entry(leaf.scope).or_insert_with(because);
            if held {
                decided.left.held += 1;
            } else if kept {
                decided.left.kept += 1;
            } else if leaf.time_ms >= rule.cutoff_ms {
                decided.left.kept += 1;
                let before_ms = because.earliest_ms.unwrap_or(i64::MAX);
                because.earliest_ms = Some(before_ms.min(leaf.time_ms));
            } else {
                let begun = || (Vec::new(), leaf.time_ms);
                let (seqs, latest_ms) = decided.go.entry(leaf.scope).or_insert_with(begun);
                seqs.push(leaf.seq);
                *latest_ms = leaf.time_ms.max(*latest_ms);
            }
        }
        Ok(decided)
    }

    async fn rule_of(&self, scope: Scope) -> Result<Rule, Error> {
        let cx = self.operator_context(scope);
        let years = self.audit_years(&cx).await?;
        Ok(Rule {
            cutoff_ms: self.cutoff_ms(years),
            held: self.held_audit(scope).await?,
        })
    }

    /// Says so in the audit of each project, and where questions are answered; then they go.
    async fn remove(
        &self,
        grant: &Grant,
        segment: &AuditSegment,
        decided: &Decided,
    ) -> Result<u64, Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let mut archive = self.saved_audit_archive().await?;
        for (scope, (seqs, latest_ms)) in &decided.go {
            let until = archive.value.removed.entry(scope.0).or_insert(*latest_ms);
            *until = (*until).max(*latest_ms);
            if *scope != Scope::SYSTEM {
                let own = self.operator_context(*scope);
                let entry = removal(&own, grant, segment, seqs.len());
                self.record(&own, entry).await?;
            }
        }
        let all = decided.go.values().map(|(seqs, _)| seqs.len()).sum();
        let entry = removal(&cx, grant, segment, all);
        let writes = vec![Write::system(grant, "AuditArchive", archive.put()?)];
        let unchanged = vec![archive.unchanged_or_new()];
        self.commit_system(&cx, entry, unchanged, writes).await?;
        let mut removed = 0;
        for (scope, (seqs, _)) in &decided.go {
            for step in seqs.chunks(STEP) {
                removed += self.tree().clear(*scope, step).await.map_err(failed)?;
            }
        }
        Ok(removed)
    }

    /// Notes what of a segment stays, behind a removal or as it was counted again.
    pub(super) async fn note_left(
        &self,
        grant: &Grant,
        saved: &Saved<AuditSegment>,
        removed: bool,
    ) -> Result<(), Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let name = saved.value.name();
        let what = match removed {
            true => format!("audit entries of {name} were removed from the store"),
            false => format!("audit entries of {name} that stay in the store were counted"),
        };
        let entry = entry(&cx, grant, &saved.value, what);
        let writes = vec![Write::system(grant, "AuditSegment", saved.put()?)];
        let unchanged = vec![saved.unchanged()];
        self.commit_system(&cx, entry, unchanged, writes).await
    }
}

/// The entry about a removal that is about to be made.
fn removal(cx: &Context, grant: &Grant, segment: &AuditSegment, count: usize) -> Entry {
    let name = segment.name();
    let what = format!("{count} audit entries of {name} are removed from the store");
    entry(cx, grant, segment, what)
}

/// An entry about a segment.
fn entry(cx: &Context, grant: &Grant, segment: &AuditSegment, what: String) -> Entry {
    let mut entry = Entry::new(cx, What::Disposal, Outcome::Success, grant.rule());
    entry.query = what.into();
    entry.entities.push(Entity {
        ty: "AuditSegment".into(),
        id: AuditSegment::id(segment.number).into(),
        version: 0,
    });
    entry
}
