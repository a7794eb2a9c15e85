//! The suite fails an engine with a fault: each case named here is seen to
//! fail for the fault that it is there for.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a fault changes one thing and leaves all others"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::memory::Memory;
use crate::{Content, Filter, HistoryOf, Hit, Param, Plan, Superseded, Test};

/// What an engine may get wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    LosesTheLastPut,
    CommitsPutByPut,
    IgnoresPreconditions,
    ChecksBeforeItCommits,
    ShowsScopeOneToAll,
    ShowsTheNewestState,
    IgnoresTheSort,
    IgnoresThePosition,
    SaysThereIsMore,
    FindsOldRows,
    FoldsExactText,
    ForgetsDeletions,
    LosesRows,
    LeavesOutHistory,
    EndsNoBatch,
    SkipsAChange,
    ForgetsAudit,
    LeavesOldRows,
    ForgetsPurges,
    CountsAPage,
    FollowsToNothing,
    ForgetsTheInnerFilter,
    MixesTuples,
}

struct Faulty(Fault);

impl Engine for Faulty {
    fn create(&self) -> Arc<dyn Store> {
        let inner = Memory::new();
        Arc::new(FaultyStore {
            inner,
            fault: self.0,
        })
    }
}

#[derive(Clone)]
struct FaultyStore {
    inner: Memory,
    fault: Fault,
}

impl FaultyStore {
    async fn commit_wrongly(&self, mut batch: Batch) -> Result<Committed, Error> {
        match self.fault {
            Fault::LosesTheLastPut if batch.puts.len() > 1 => drop(batch.puts.pop()),
            Fault::CommitsPutByPut => {
                for put in std::mem::take(&mut batch.puts) {
                    let puts = vec![put];
                    let audit = Vec::new();
                    let one = Batch {
                        puts,
                        audit,
                        ..batch.clone()
                    };
                    self.inner.commit(one).await?;
                    std::thread::yield_now();
                }
            }
            Fault::IgnoresPreconditions => batch.preconditions.clear(),
            Fault::ChecksBeforeItCommits => {
                let puts = Vec::new();
                let check = Batch {
                    puts,
                    audit: Vec::new(),
                    ..batch.clone()
                };
                self.inner.commit(check).await?;
                std::thread::yield_now();
                batch.preconditions.clear();
            }
            Fault::ForgetsAudit => batch.audit.clear(),
            Fault::LeavesOldRows => batch.reindexed.clear(),
            Fault::ForgetsPurges => batch.purged.clear(),
            _ => {}
        }
        self.inner.commit(batch).await
    }
}

impl Store for FaultyStore {
    crate::pass_on!(inner: sealed, forget, audit_tree, ready, check, close);

    fn snapshot(&self, scope: Scope, at: At) -> Reply<'_, Box<dyn Snapshot>> {
        Box::pin(async move {
            let scope = match self.fault {
                Fault::ShowsScopeOneToAll => Scope(1),
                _ => scope,
            };
            let inner = self.inner.snapshot(scope, at).await?;
            let (store, seq) = (self.clone(), inner.seq());
            Ok(Box::new(FaultySnapshot {
                store,
                inner,
                seq,
                scope,
            }) as Box<dyn Snapshot>)
        })
    }

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        Box::pin(self.commit_wrongly(batch))
    }

    fn changes(&self, after: Seq, limit: usize) -> Reply<'_, Vec<Change>> {
        Box::pin(async move {
            let mut changes = self.inner.changes(after, limit).await?;
            match self.fault {
                Fault::EndsNoBatch => changes
                    .iter_mut()
                    .for_each(|change| change.ends_batch = false),
                Fault::SkipsAChange if changes.len() > 3 => drop(changes.remove(1)),
                _ => {}
            }
            Ok(changes)
        })
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

struct FaultySnapshot {
    store: FaultyStore,
    inner: Box<dyn Snapshot>,
    seq: Seq,
    scope: Scope,
}

impl FaultySnapshot {
    async fn find_wrongly(&self, query: &Query) -> Result<Found, Error> {
        let mut query = query.clone();
        let fault = self.store.fault;
        match fault {
            Fault::IgnoresTheSort => query.sort.clear(),
            Fault::IgnoresThePosition => query.after = None,
            Fault::FoldsExactText
            | Fault::FollowsToNothing
            | Fault::ForgetsTheInnerFilter
            | Fault::MixesTuples => query.filter = mistake(fault, query.filter),
            Fault::LosesRows => drop(query.rows.pop()),
            Fault::ShowsTheNewestState => {
                let now = self.store.inner.snapshot(self.scope, At::Now).await?;
                return now.find(&query).await;
            }
            _ => {}
        }
        let mut found = self.inner.find(&query).await?;
        if fault == Fault::SaysThereIsMore && found.next.is_none() && !found.hits.is_empty() {
            found.next = Some(crate::Position::After(found.hits[0].record.seq));
        }
        if fault == Fault::FindsOldRows && found.hits.is_empty() {
            for seq in (self.seq.0.saturating_sub(10)..self.seq.0).rev() {
                let before = At::Seq(Seq(seq));
                let before = self.store.inner.snapshot(self.scope, before).await?;
                found = before.find(&query).await?;
                if !found.hits.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// The filter as an engine with a fault understands it.
fn mistake(fault: Fault, filter: Filter) -> Filter {
    let each = |filters: Vec<Filter>| {
        let filters = filters.into_iter().map(|filter| mistake(fault, filter));
        filters.collect()
    };
    match (fault, filter) {
        (_, Filter::All(filters)) => Filter::All(each(filters)),
        (_, Filter::Any(filters)) => Filter::Any(each(filters)),
        (_, Filter::Not(filter)) => Filter::Not(Box::new(mistake(fault, *filter))),
        (Fault::FoldsExactText, Filter::Value(param, Test::StringIs(text))) => {
            let text = text.to_lowercase();
            Filter::Value(param, Test::StringStarts(text.into()))
        }
        (Fault::FollowsToNothing, Filter::Refers { param, filter, .. })
            if *filter == Filter::Everything =>
        {
            Filter::Value(param, Test::Present)
        }
        (Fault::ForgetsTheInnerFilter, Filter::Referred { kind, param, .. }) => {
            let filter = Box::new(Filter::Everything);
            Filter::Referred {
                kind,
                param,
                filter,
            }
        }
        (Fault::MixesTuples, Filter::Value(param, Test::Composite(tests))) => {
            let alone = |at: usize| {
                let mut alone = vec![Test::Present; tests.len()];
                alone[at] = tests[at].clone();
                Filter::Value(param, Test::Composite(alone))
            };
            Filter::All((0..tests.len()).map(alone).collect())
        }
        (_, other) => other,
    }
}

impl Snapshot for FaultySnapshot {
    fn seq(&self) -> Seq {
        self.seq
    }

    fn get<'a>(&'a self, kind: Kind, id: &'a str) -> Reply<'a, Option<Record>> {
        Box::pin(async move {
            let mut record = self.inner.get(kind, id).await?;
            if self.store.fault == Fault::ForgetsDeletions {
                record = record.filter(|record| record.content != Content::Deleted);
            }
            Ok(record)
        })
    }

    fn version<'a>(&'a self, kind: Kind, id: &'a str, version: u64) -> Reply<'a, Option<Record>> {
        self.inner.version(kind, id, version)
    }

    fn superseded<'a>(
        &'a self,
        kind: Kind,
        id: Option<&'a str>,
        after: Seq,
        limit: usize,
    ) -> Reply<'a, Superseded> {
        self.inner.superseded(kind, id, after, limit)
    }

    fn history<'a>(&'a self, query: &'a History) -> Reply<'a, Found> {
        Box::pin(async move {
            let mut found = self.inner.history(query).await?;
            let kinds = matches!(query.of, HistoryOf::Kinds(_));
            if self.store.fault == Fault::LeavesOutHistory && kinds {
                found
                    .hits
                    .retain(|hit| hit.record.content != Content::Deleted);
            }
            Ok(found)
        })
    }

    fn find<'a>(&'a self, query: &'a Query) -> Reply<'a, Found> {
        Box::pin(self.find_wrongly(query))
    }

    fn explain<'a>(&'a self, query: &'a Query) -> Reply<'a, (Found, Plan)> {
        self.inner.explain(query)
    }

    fn estimate<'a>(&'a self, query: &'a Query) -> Reply<'a, Option<u64>> {
        Box::pin(async move {
            let estimate = self.inner.estimate(query).await?;
            Ok(match self.store.fault {
                Fault::CountsAPage => estimate.map(|count| count.min(query.limit as u64)),
                _ => estimate,
            })
        })
    }

    fn walk<'a>(
        &'a self,
        kind: Kind,
        before: Seq,
        limit: usize,
        rows: &'a [Param],
    ) -> Reply<'a, Vec<Hit>> {
        self.inner.walk(kind, before, limit, rows)
    }

    fn count<'a>(&'a self, query: &'a Query) -> Reply<'a, u64> {
        Box::pin(async move {
            let count = self.inner.count(query).await?;
            Ok(match self.store.fault {
                Fault::CountsAPage => count.min(query.limit as u64),
                _ => count,
            })
        })
    }

    fn changed<'a>(&'a self, kinds: &'a [Kind]) -> Reply<'a, Option<Seq>> {
        self.inner.changed(kinds)
    }

    fn audit<'a>(&'a self, query: &'a AuditQuery) -> Reply<'a, Vec<AuditRecord>> {
        self.inner.audit(query)
    }
}

const RANDOM: &str = "random_operations_are_answered_as_in_memory";

#[track_caller]
fn check(fault: Fault, cases: &[&str]) {
    for case in cases {
        let result = catch_unwind(AssertUnwindSafe(|| run(case, &Faulty(fault))));
        assert!(result.is_err(), "{case} passes an engine that {fault:?}");
    }
}

#[test]
fn faults_of_commits_are_caught() {
    check(
        Fault::LosesTheLastPut,
        &["points_are_counted_without_gaps", RANDOM],
    );
    check(
        Fault::CommitsPutByPut,
        &[
            "a_failing_batch_leaves_nothing",
            "no_reader_sees_half_a_batch",
            RANDOM,
        ],
    );
    check(
        Fault::IgnoresPreconditions,
        &["the_first_failing_precondition_is_named", RANDOM],
    );
    check(
        Fault::ChecksBeforeItCommits,
        &["of_many_conditional_creates_one_wins"],
    );
    check(
        Fault::ForgetsAudit,
        &["points_are_counted_without_gaps", RANDOM],
    );
    check(
        Fault::LeavesOldRows,
        &["rows_are_replaced_without_a_new_version", RANDOM],
    );
    check(
        Fault::ForgetsPurges,
        &["a_purged_version_is_gone_and_the_log_is_whole", RANDOM],
    );
}

#[test]
fn faults_of_views_are_caught() {
    check(
        Fault::ShowsScopeOneToAll,
        &["no_read_shows_another_scope", RANDOM],
    );
    check(
        Fault::ShowsTheNewestState,
        &[
            "a_snapshot_does_not_change",
            "pages_stay_whole_while_others_write",
            RANDOM,
        ],
    );
    check(
        Fault::ForgetsDeletions,
        &["a_deletion_is_a_version", RANDOM],
    );
    check(
        Fault::LeavesOutHistory,
        &["the_history_of_kinds_is_newest_first", RANDOM],
    );
    check(
        Fault::EndsNoBatch,
        &["changes_come_in_commit_order_of_all_scopes", RANDOM],
    );
    check(
        Fault::SkipsAChange,
        &["a_follower_of_changes_misses_nothing", RANDOM],
    );
}

#[test]
fn faults_of_searches_are_caught() {
    check(Fault::IgnoresTheSort, &["numbers_sort_as_numbers", RANDOM]);
    check(Fault::IgnoresThePosition, &[RANDOM]);
    check(Fault::SaysThereIsMore, &[RANDOM]);
    check(
        Fault::FindsOldRows,
        &["rows_of_older_versions_are_not_searched", RANDOM],
    );
    check(Fault::FoldsExactText, &["strings_match_folded_or_exactly"]);
    check(Fault::LosesRows, &["hits_carry_the_rows_asked_for", RANDOM]);
    check(Fault::CountsAPage, &["a_limit_of_zero_gives_nothing"]);
    check(
        Fault::FollowsToNothing,
        &["records_are_found_by_what_they_refer_to", RANDOM],
    );
    check(
        Fault::ForgetsTheInnerFilter,
        &["records_are_found_by_what_refers_to_them", RANDOM],
    );
    check(
        Fault::MixesTuples,
        &["composites_match_within_one_tuple", RANDOM],
    );
}
