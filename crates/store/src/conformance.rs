//! The suite every engine passes.
//!
//! An engine says in a test how it is opened, and gets one test per case:
//!
//! ```
//! use std::sync::Arc;
//! use salus_store::{Store, conformance::Engine, memory::Memory};
//!
//! struct InMemory;
//!
//! impl Engine for InMemory {
//!     fn create(&self) -> Arc<dyn Store> {
//!         Arc::new(Memory::new())
//!     }
//! }
//!
//! salus_store::conformance!(InMemory);
//! ```
//!
//! The expression is evaluated anew for each case, so it may own a temporary
//! folder. Engines that keep something implement [`Engine::reopen`] too, and
//! those that need a runtime implement [`Engine::wait`].
//!
//! `SALUS_STORE_SEED` and `SALUS_STORE_STEPS` steer the random cases; a
//! failure prints the seed it had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the suite is test code that other crates run"
)]

mod choice;
mod commits;
mod comparisons;
mod composites;
mod data;
mod filters;
#[cfg(test)]
mod forms;
mod links;
mod logs;
mod many;
mod pages;
mod purges;
mod random;
mod records;
mod reindex;
mod scopes;
mod sizes;
mod sorts;
mod texts;
mod together;
mod trees;
mod values;

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread::Thread;

use crate::{
    At, AuditQuery, AuditRecord, Batch, Change, Committed, Error, Filter, Found, History, Hit,
    Kind, Param, Query, Record, Reply, Scope, Seq, Snapshot, Store, Superseded,
};

/// How the suite gets a store of the engine under test.
pub trait Engine: Send + Sync {
    /// A new, empty store. Called once in a case, first.
    fn create(&self) -> Arc<dyn Store>;

    /// The same store opened again, after the suite has closed and dropped
    /// it; `None` if this engine keeps nothing.
    fn reopen(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// Waits for a future on this thread. Called from several threads at once.
    fn wait(&self, future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
        block_on(future);
    }
}

/// One case of the suite.
pub struct Case {
    /// What should happen, as the name of a test.
    pub name: &'static str,
    run: fn(&Subject<'_>),
}

/// Runs the case of this name on a new store; panics if the engine fails it.
pub fn run(name: &str, engine: &dyn Engine) {
    let case = CASES.iter().find(|case| case.name == name);
    let case = case.unwrap_or_else(|| panic!("there is no case {name}"));
    let store = Mutex::new(Some(engine.create()));
    let subject = Subject { engine, store };
    (case.run)(&subject);
    let faults = subject.wait(subject.store().check());
    assert_eq!(faults.unwrap(), Vec::<String>::new(), "faults afterwards");
    subject.wait(subject.store().close()).unwrap();
}

/// Makes from one list the table of cases and the macro that turns them into tests.
macro_rules! cases {
    ($dollar:tt $($module:ident: $($name:ident)*;)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[
            $($(Case { name: stringify!($name), run: $module::$name }),*),*
        ];

        /// One test per case of [`conformance`](mod@crate::conformance), each on
        /// its own evaluation of an expression that is an
        /// [`Engine`](crate::conformance::Engine).
        #[macro_export]
        macro_rules! conformance {
            ($dollar engine:expr) => {
                $($(
                    #[test]
                    fn $name() {
                        $crate::conformance::run(stringify!($name), &$dollar engine);
                    }
                )*)*
            };
        }
    };
}

cases! { $
    records:
        nothing_is_found_in_an_empty_store
        a_put_reads_back_with_all_its_facts
        every_version_stays_readable
        a_deletion_is_a_version
        a_deleted_record_can_be_created_again
        kinds_do_not_mix
        ids_of_all_characters_are_kept_apart
        ids_that_cannot_be_are_refused_and_never_found;
    commits:
        a_version_that_is_not_the_next_is_a_conflict
        a_failing_batch_leaves_nothing
        the_first_failing_precondition_is_named
        version_is_compares_the_newest_version
        none_match_looks_at_current_records_only
        preconditions_see_the_state_before_the_batch
        impossible_batches_are_misuse
        an_empty_batch_changes_nothing
        points_are_counted_without_gaps
        a_snapshot_does_not_change
        every_point_keeps_its_counts
        a_point_never_reached_is_gone
        a_closed_store_refuses_commits
        what_was_committed_is_there_after_reopening;
    scopes:
        no_read_shows_another_scope
        preconditions_see_their_own_scope;
    values:
        tokens_match_by_system_and_code
        tokens_of_odd_characters_are_kept_apart
        sets_of_tokens_match_any_of_theirs
        strings_match_folded_or_exactly
        references_match_by_id_and_kind
        texts_end_and_have_an_order
        other_values_are_of_the_same_type
        places_are_found_by_their_distance
        uris_match_in_their_hierarchy
        a_value_is_present_whatever_its_type;
    comparisons:
        dates_compare_as_spans
        dates_compare_where_a_record_has_several
        numbers_compare_at_any_precision
        quantities_compare_with_their_unit
        the_time_of_the_version_is_compared;
    filters:
        filters_combine
        rows_of_older_versions_are_not_searched
        hits_carry_the_rows_asked_for;
    composites:
        composites_match_within_one_tuple
        composites_are_of_any_types
        composites_sort_by_their_components
        impossible_composites_are_misuse;
    links:
        records_are_found_by_what_they_refer_to
        records_are_found_by_what_refers_to_them
        links_nest_and_combine
        links_see_the_state_of_the_snapshot
        links_stay_in_their_scope
        linked_records_come_in_order
        links_that_go_too_far_are_misuse
        preconditions_look_at_other_records;
    sorts:
        strings_and_tokens_sort_by_their_text
        tokens_sort_by_code
        dates_sort_by_their_start
        numbers_sort_as_numbers
        quantities_references_and_uris_sort
        times_and_ids_sort_both_ways
        what_is_only_there_is_sorted_as_if_it_were_not
        strings_sort_beside_what_is_only_there
        keys_decide_one_after_the_other;
    texts:
        texts_are_found_by_their_words
        the_lead_of_a_text_is_asked_alone
        nothing_else_sees_texts
        a_parameter_has_one_text
        texts_change_with_their_records
        texts_are_indexed_anew;
    pages:
        without_keys_the_newest_write_comes_first
        a_limit_of_zero_gives_nothing
        pages_stay_whole_while_others_write
        a_position_from_nowhere_breaks_nothing;
    reindex:
        rows_are_replaced_without_a_new_version
        only_the_current_version_gets_new_rows
        a_version_with_new_rows_is_superseded_as_any
        impossible_rows_are_misuse
        what_a_batch_holds_is_let_go
        a_walk_sees_each_current_record_once;
    purges:
        a_purged_version_is_gone_and_the_log_is_whole
        only_superseded_content_is_purged
        older_points_refuse_what_was_purged
        superseded_versions_are_walked_in_steps
        what_is_refused_purges_nothing
        a_purge_lasts
        single_versions_are_shredded_and_those_between_stay
        what_a_patients_key_sealed_is_found
        what_is_forgotten_is_found_by_no_older_point;
    logs:
        the_history_of_a_record_is_newest_first
        the_history_of_kinds_is_newest_first
        the_newest_version_of_kinds_is_known_at_any_point
        history_since_a_time_leaves_out_what_is_older
        history_at_a_time_has_what_was_current_then
        history_pages_stay_whole_while_others_write
        changes_come_in_commit_order_of_all_scopes
        audit_entries_come_in_both_orders_and_pages
        audit_entries_are_found_by_what_they_are_about
        audit_entries_are_found_by_time;
    trees:
        the_tree_has_the_entries_of_all_scopes_in_order
        subtrees_are_those_of_the_leaves
        a_tree_lasts
        what_is_cleared_leaves_its_leaf
        only_entries_of_the_scope_are_cleared;
    sizes:
        bodies_of_every_size_read_back
        a_large_batch_is_one_commit
        a_record_may_have_many_and_long_values;
    together:
        of_many_conditional_creates_one_wins
        of_many_linked_conditional_creates_one_wins
        of_many_updates_of_one_version_one_wins
        independent_commits_all_succeed
        no_reader_sees_half_a_batch
        a_follower_of_changes_misses_nothing;
    random:
        random_operations_are_answered_as_in_memory;
    many:
        many_records_are_searched_as_in_memory;
}

pub(crate) use random::{IDS, Place, committed_batches, number_from, params, places};

/// A store under test.
struct Subject<'a> {
    engine: &'a dyn Engine,
    store: Mutex<Option<Arc<dyn Store>>>,
}

impl Subject<'_> {
    fn store(&self) -> Arc<dyn Store> {
        let store = self.store.lock().unwrap();
        Arc::clone(store.as_ref().expect("the store is open"))
    }

    fn wait<T: Send>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        let mut result = None;
        let future = async { result = Some(reply.await) };
        self.engine.wait(Box::pin(future));
        result.expect("the engine waits until the reply is there")
    }

    fn commit(&self, batch: Batch) -> Result<Committed, Error> {
        self.wait(self.store().commit(batch))
    }

    /// Commits what must succeed.
    #[track_caller]
    fn must(&self, batch: Batch) -> Committed {
        match self.commit(batch) {
            Ok(committed) => committed,
            Err(error) => panic!("the batch was refused: {error:?}"),
        }
    }

    fn open(&self, scope: Scope, at: At) -> Result<View<'_>, Error> {
        let snapshot = self.wait(self.store().snapshot(scope, at))?;
        let subject = self;
        Ok(View { subject, snapshot })
    }

    #[track_caller]
    fn now(&self, scope: Scope) -> View<'_> {
        self.open(scope, At::Now).expect("a snapshot opens")
    }

    #[track_caller]
    fn at(&self, scope: Scope, seq: Seq) -> View<'_> {
        let view = self.open(scope, At::Seq(seq));
        view.expect("a snapshot of an earlier point opens")
    }

    #[track_caller]
    fn changes(&self, after: Seq, limit: usize) -> Vec<Change> {
        let changes = self.wait(self.store().changes(after, limit));
        changes.expect("changes can be read")
    }

    /// Closes the store and opens it again; false if the engine keeps nothing.
    fn reopen(&self) -> bool {
        self.wait(self.store().close()).expect("the store closes");
        let mut store = self.store.lock().unwrap();
        *store = None;
        *store = self.engine.reopen();
        let kept = store.is_some();
        if !kept {
            *store = Some(self.engine.create());
        }
        kept
    }
}

/// A snapshot under test, whose reads must succeed.
struct View<'a> {
    subject: &'a Subject<'a>,
    snapshot: Box<dyn Snapshot>,
}

impl View<'_> {
    fn seq(&self) -> Seq {
        self.snapshot.seq()
    }

    #[track_caller]
    fn get(&self, kind: Kind, id: &str) -> Option<Record> {
        let record = self.subject.wait(self.snapshot.get(kind, id));
        record.expect("get")
    }

    #[track_caller]
    fn head(&self, kind: Kind, id: &str) -> Option<Record> {
        let record = self.subject.wait(self.snapshot.head(kind, id));
        record.expect("head")
    }

    #[track_caller]
    fn version(&self, kind: Kind, id: &str, version: u64) -> Option<Record> {
        let record = self.subject.wait(self.snapshot.version(kind, id, version));
        record.expect("version")
    }

    fn try_version(&self, kind: Kind, id: &str, version: u64) -> Result<Option<Record>, Error> {
        self.subject.wait(self.snapshot.version(kind, id, version))
    }

    #[track_caller]
    fn superseded(&self, kind: Kind, id: Option<&str>, after: Seq, limit: usize) -> Superseded {
        let walk = self.snapshot.superseded(kind, id, after, limit);
        self.subject.wait(walk).expect("superseded")
    }

    #[track_caller]
    fn history(&self, query: &History) -> Found {
        let found = self.subject.wait(self.snapshot.history(query));
        found.expect("history")
    }

    #[track_caller]
    fn find(&self, query: &Query) -> Found {
        let found = self.subject.wait(self.snapshot.find(query));
        found.expect("find")
    }

    #[track_caller]
    fn holds(&self, kind: Kind, id: &str, filter: &Filter) -> bool {
        let holds = self.subject.wait(self.snapshot.holds(kind, id, filter));
        holds.expect("holds")
    }

    #[track_caller]
    fn walk(&self, kind: Kind, before: Seq, limit: usize, rows: &[Param]) -> Vec<Hit> {
        let walk = self.snapshot.walk(kind, before, limit, rows);
        self.subject.wait(walk).expect("walk")
    }

    #[track_caller]
    fn count(&self, query: &Query) -> u64 {
        let count = self.subject.wait(self.snapshot.count(query));
        count.expect("count")
    }

    #[track_caller]
    fn estimate(&self, query: &Query) -> Option<u64> {
        let estimate = self.subject.wait(self.snapshot.estimate(query));
        estimate.expect("estimate")
    }

    #[track_caller]
    fn explain(&self, query: &Query) -> Found {
        let explained = self.subject.wait(self.snapshot.explain(query));
        explained.expect("explain").0
    }

    #[track_caller]
    fn changed(&self, kinds: &[Kind]) -> Option<Seq> {
        let changed = self.subject.wait(self.snapshot.changed(kinds));
        changed.expect("changed")
    }

    #[track_caller]
    fn audit(&self, query: &AuditQuery) -> Vec<AuditRecord> {
        let records = self.subject.wait(self.snapshot.audit(query));
        records.expect("audit")
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls on this thread until ready; enough for futures that need no runtime.
pub(crate) fn block_on(future: Pin<Box<dyn Future<Output = ()> + Send + '_>>) {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut context).is_pending() {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests;
