//! Removes from the store what was archived: after its segment was read back once more and
//! compared, when the years of its project are over, and if no legal hold is on it. The leaves stay.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use salus_auth::Grant;
use salus_auth::record::{AuditSegment, Saved};
use salus_store::{Scope, Seq, TreeLeaf};

use super::held::{Held, in_force};
use super::make::holds;
use super::{Run, failed};
use crate::Service;
use crate::audit::entry::{Entity, Entry, Outcome, What};
use crate::error::Error;
use crate::pipeline::Write;

/// Entries cleared in one write.
const STEP: usize = 2000;

/// What becomes of the entries of a segment that are in the store.
#[derive(Default)]
struct Decided {
    /// What goes, by scope, and the latest time of it.
    go: BTreeMap<Scope, (Vec<Seq>, i64)>,
    held: u64,
    kept: u64,
}

/// The years and the holds of a scope.
struct Rule {
    cutoff_ms: i64,
    held: Held,
}

impl Service {
    pub(super) async fn remove_archived(
        &self,
        grant: &Grant,
        dry_run: bool,
        run: &mut Run,
    ) -> Result<(), Error> {
        for mut saved in self.segments().await? {
            if saved.value.left == 0 && self.is_empty(saved.value.places).await? {
                continue;
            }
            let stored = self.leaves(saved.value.places).await?;
            // Whoever places a hold waits, and holds what is there then.
            let _turn = self.ending.read().await;
            let decided = self.decide_removal(&stored).await?;
            run.held += decided.held;
            run.kept += decided.kept;
            let count: usize = decided.go.values().map(|(seqs, _)| seqs.len()).sum();
            if dry_run || count == 0 {
                run.removed += count as u64;
                continue;
            }
            match self.read_segment(&saved.value).await {
                Ok(archived) if holds(&archived.leaves, &stored) => {}
                Ok(_) => {
                    run.faults.push(format!(
                        "{} is not what the store has: nothing of it is removed",
                        saved.value.name()
                    ));
                    continue;
                }
                Err(fault) => {
                    run.faults.push(fault);
                    continue;
                }
            }
            run.removed += self.remove(grant, &saved.value, &decided).await?;
            saved.value.left = decided.held + decided.kept;
            saved.value.held = decided.held;
            self.note_removed(grant, &saved).await?;
        }
        Ok(())
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
            if held {
                decided.held += 1;
            } else if kept || leaf.time_ms >= rule.cutoff_ms {
                decided.kept += 1;
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

    async fn note_removed(&self, grant: &Grant, saved: &Saved<AuditSegment>) -> Result<(), Error> {
        let cx = self.operator_context(Scope::SYSTEM);
        let entry = removal(&cx, grant, &saved.value, 0);
        let writes = vec![Write::system(grant, "AuditSegment", saved.put()?)];
        let unchanged = vec![saved.unchanged()];
        self.commit_system(&cx, entry, unchanged, writes).await
    }
}

/// The entry about a removal.
fn removal(
    cx: &crate::context::Context,
    grant: &Grant,
    segment: &AuditSegment,
    count: usize,
) -> Entry {
    let mut entry = Entry::new(cx, What::Disposal, Outcome::Success, grant.rule());
    let name = segment.name();
    entry.query = match count {
        0 => format!("audit entries of {name} were removed from the store").into(),
        _ => format!("{count} audit entries of {name} are removed from the store").into(),
    };
    entry.entities.push(Entity {
        ty: "AuditSegment".into(),
        id: AuditSegment::id(segment.number).into(),
        version: 0,
    });
    entry
}
