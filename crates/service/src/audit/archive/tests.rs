//! Seven years go by, over memory: what is archived, what is removed, and what is found then.

use std::sync::atomic::Ordering;

use salus_auth::record::{AuditHold, RetentionClass};
use salus_store::memory::Memory;
use salus_store::{AuditTree, Log, LogBatch, Seq};

use super::stage::{DAY_MS, Stage, YEAR_MS};
use super::*;
use crate::audit::entry::Entry;
use crate::audit::verify::{Means, Report, verify};
use crate::retention::NewHold;

/// Two months of entries, and seven years later.
async fn later() -> Stage {
    let stage = Stage::new().await;
    stage.seen(&["a", "b", "a"]).await;
    stage.keep_checkpoint().await;
    stage.advance_ms(40 * DAY_MS);
    stage.seen(&["b", "a"]).await;
    stage.keep_checkpoint().await;
    stage.advance_ms(7 * YEAR_MS);
    stage.seen(&["c"]).await;
    stage
}

async fn run(stage: &Stage) -> Run {
    let run = stage.service.run_audit_archive(false).await.unwrap();
    assert_eq!(run.faults, [""; 0]);
    run
}

async fn faults(stage: &Stage) -> Vec<String> {
    stage.service.verify_audit_archive().await.unwrap().faults
}

/// Who saw a chart, of what is archived alone.
async fn archived(stage: &Stage, patient: &str) -> usize {
    let cx = stage.cx();
    let found = stage.service.archived_events(&cx, patient, (None, None));
    found.await.unwrap().len()
}

/// The same, of what is in the store.
async fn stored(stage: &Stage, patient: &str) -> usize {
    let cx = stage.cx();
    let snapshot = stage.service.whole_snapshot(&cx).await.unwrap();
    let query = salus_store::AuditQuery {
        about: Some((salus_store::Kind::named("Patient"), patient.into())),
        limit: 100,
        ..salus_store::AuditQuery::default()
    };
    snapshot.audit(&query).await.unwrap().len()
}

/// What an auditor finds in an export of the archive.
async fn checked(
    stage: &Stage,
    elsewhere: Vec<(String, Note)>,
    change: impl Fn(&mut String),
) -> Report {
    let cx = stage.service.operator_context(Scope::SYSTEM);
    let export = stage.service.export_archived(&cx, &[], (0, None));
    let (mut export, mut text) = (export.await.unwrap(), String::new());
    while let Some(piece) = export.next().await.unwrap() {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    change(&mut text);
    let means = Means {
        keys: vec![stage.service.log_verifier().unwrap()],
        elsewhere,
        part: true,
        ..Means::default()
    };
    verify(&mut text.as_bytes(), &means, &mut |_, _| {}).unwrap()
}

#[tokio::test]
async fn nothing_is_archived_before_its_years_are_over() {
    let stage = Stage::new().await;
    stage.seen(&["a"]).await;
    stage.advance_ms(5 * YEAR_MS);
    stage.seen(&["a"]).await;
    let run = run(&stage).await;
    assert_eq!((run.made.len(), run.removed), (0, 0));
    assert_eq!(stored(&stage, "a").await, 2);
}

#[tokio::test]
async fn what_is_old_is_archived_and_removed_and_still_proved() {
    let stage = later().await;
    let old = stage.keep_checkpoint().await;
    let dry = stage.service.run_audit_archive(true).await.unwrap();
    assert_eq!((dry.made.len(), stored(&stage, "a").await), (2, 3));
    assert!(stage.objects.all.lock().is_empty());
    let before = stage.service.leaves((0, 5)).await.unwrap();
    let run = run(&stage).await;
    assert_eq!(run.made.len(), 2, "a segment for each month");
    assert_eq!(run.removed, run.made[1].places.1);
    assert_eq!((run.held, run.kept), (0, 0));
    for (patient, gone) in [("a", 3), ("b", 2), ("c", 0)] {
        assert_eq!(archived(&stage, patient).await, gone, "{patient}");
        let left = usize::from(patient == "c");
        assert_eq!(stored(&stage, patient).await, left, "{patient}");
    }
    let after = stage.service.leaves((0, 5)).await.unwrap();
    for (was, is) in before.iter().zip(&after) {
        assert_eq!((was.leaf, is.cleared, &is.opened), (is.leaf, true, &None));
    }
    assert_eq!(faults(&stage).await, [""; 0]);
    let report = checked(&stage, vec![("old".into(), old)], |_| {}).await;
    assert!(report.is_good(), "{:?}", report.findings);
    assert_eq!((report.shown, report.hidden), (run.removed, 0));
    assert_eq!(report.later, 1, "the newest checkpoint covers more");
    // Once more: there is nothing to do.
    let again = self::run(&stage).await;
    assert_eq!((again.made.len(), again.removed), (0, 0));
}

#[tokio::test]
async fn a_changed_export_of_the_archive_is_noticed() {
    let stage = later().await;
    run(&stage).await;
    let line = |text: &mut String, change: fn(&str) -> String| {
        let all: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = all
            .iter()
            .rposition(|line| line.contains("\"n\":"))
            .unwrap()
            - 1;
        let all = all.iter().enumerate();
        let all = all.map(|(n, line)| {
            if n == at {
                change(line)
            } else {
                format!("{line}\n")
            }
        });
        *text = all.collect();
    };
    let edited = checked(&stage, Vec::new(), |text| {
        line(text, |line| line.replace("\"time\":1", "\"time\":2") + "\n");
    });
    assert!(!edited.await.is_good());
    let deleted = checked(&stage, Vec::new(), |text| line(text, |_| String::new()));
    assert!(!deleted.await.is_good());
    let cut = checked(&stage, Vec::new(), |text| {
        let end = text.trim_end().rfind('\n').unwrap();
        text.truncate(end + 1);
    });
    assert!(!cut.await.is_good());
}

#[tokio::test]
async fn what_was_done_to_a_segment_is_named_and_nothing_of_it_is_removed() {
    type Change = fn(&mut BTreeMapOf);
    type BTreeMapOf = std::collections::BTreeMap<String, Bytes>;
    let cases: [(&str, Change); 4] = [
        ("is missing", |all| drop(all.pop_first())),
        ("changed", |all| {
            let bytes = all.values_mut().next().unwrap();
            let mut changed = bytes.to_vec();
            changed[400] ^= 1;
            *bytes = changed.into();
        }),
        ("cut off", |all| {
            let bytes = all.values_mut().next().unwrap();
            *bytes = bytes.slice(..bytes.len() - 25);
        }),
        ("is another segment", |all| {
            let second = all.values().nth(1).unwrap().clone();
            *all.values_mut().next().unwrap() = second;
        }),
    ];
    for (expected, change) in cases {
        let stage = later().await;
        // Everything is held, so that it is archived and stays.
        let hold = hold(&stage, &[], None).await;
        let held = run(&stage).await;
        assert!(held.made.len() == 2 && held.held > 0);
        change(&mut stage.objects.all.lock());
        let found = faults(&stage).await;
        assert!(
            found.iter().any(|fault| fault.contains(expected)),
            "{expected}: {found:?}"
        );
        let cx = stage.cx();
        let lifted = stage
            .service
            .lift_hold(&cx, &hold, "it is over by now")
            .await;
        lifted.unwrap();
        let run = stage.service.run_audit_archive(false).await.unwrap();
        assert_eq!(run.faults.len(), 1, "{expected}: {:?}", run.faults);
        assert_eq!(stored(&stage, "a").await, 2, "{expected}");
    }
}

async fn hold(stage: &Stage, patients: &[&str], since_ms: Option<i64>) -> Box<str> {
    let new = NewHold {
        name: "Case".into(),
        reason: "a claim was filed".into(),
        patients: patients.iter().map(|&id| id.into()).collect(),
        searches: Vec::new(),
        audit: Some(AuditHold { since_ms }),
    };
    stage.service.place_hold(&stage.cx(), new).await.unwrap().id
}

#[tokio::test]
async fn what_is_held_stays_and_others_around_it_go() {
    let stage = later().await;
    let id = hold(&stage, &["a"], None).await;
    let held = run(&stage).await;
    assert_eq!(held.held, 3);
    assert_eq!(
        (stored(&stage, "a").await, archived(&stage, "a").await),
        (4, 0)
    );
    assert_eq!(
        (stored(&stage, "b").await, archived(&stage, "b").await),
        (0, 2)
    );
    let cx = stage.cx();
    let lifted = stage.service.lift_hold(&cx, &id, "it is over by now");
    lifted.await.unwrap();
    let free = run(&stage).await;
    assert_eq!((free.made.len(), free.removed, free.held), (0, 3, 0));
    assert_eq!(archived(&stage, "a").await, 3);
    assert_eq!(faults(&stage).await, [""; 0]);
}

#[tokio::test]
async fn all_since_a_time_may_be_held() {
    let stage = later().await;
    let since_ms = stage.cx().now_ms - 7 * YEAR_MS;
    hold(&stage, &[], Some(since_ms - DAY_MS)).await;
    let run = run(&stage).await;
    assert_eq!(run.held, 2, "those of the second month, of this project");
    assert_eq!(
        (stored(&stage, "a").await, stored(&stage, "b").await),
        (1, 1)
    );
}

#[tokio::test]
async fn a_project_may_keep_its_audit_longer_and_not_shorter() {
    let stage = later().await;
    let class = |years| RetentionClass {
        name: "audit".into(),
        types: vec!["AuditEvent".into()],
        years,
        cold_after_years: None,
        from: Default::default(),
        minors: None,
        then: Default::default(),
    };
    let cx = stage.cx();
    let short = stage.service.write_retention(&cx, vec![class(5)]).await;
    assert!(told(&short.unwrap_err()).contains("6 or more"));
    stage
        .service
        .write_retention(&cx, vec![class(9)])
        .await
        .unwrap();
    let run = run(&stage).await;
    assert_eq!((run.made.len(), run.kept), (2, 5));
    assert_eq!(stored(&stage, "a").await, 3);
    stage.advance_ms(2 * YEAR_MS + 60 * DAY_MS);
    assert_eq!(self::run(&stage).await.kept, 0);
    assert_eq!(archived(&stage, "a").await, 3);
}

#[tokio::test]
async fn what_stays_is_not_read_again_until_it_may_go() {
    let stage = later().await;
    let id = hold(&stage, &["a"], None).await;
    assert_eq!(run(&stage).await.held, 3);
    // Nobody looks: what went behind its back is not missed.
    let held = stage.service.leaves((0, 5)).await.unwrap();
    let held = held.iter().find(|leaf| {
        let entry = leaf
            .opened
            .as_ref()
            .map(|opened| Entry::decode(&opened.body).unwrap());
        entry.is_some_and(|entry| entry.what == What::Read)
    });
    let seqs = [held.unwrap().seq];
    stage.store.clear(stage.scope(), &seqs).await.unwrap();
    assert_eq!(run(&stage).await.held, 3);
    // Another hold: it is looked at, and the figures are put right.
    hold(&stage, &["b"], None).await;
    assert_eq!(run(&stage).await.held, 2);
    let listed = stage.service.list_audit_segments().await.unwrap();
    let left = |segments: &[AuditSegment]| segments.iter().map(|one| one.left).sum::<u64>();
    assert_eq!(left(&listed), 2);
    let cx = stage.cx();
    let lifted = stage.service.lift_hold(&cx, &id, "it is over by now");
    lifted.await.unwrap();
    assert_eq!(run(&stage).await.removed, 2);
}

#[tokio::test]
async fn a_run_that_was_cut_off_behind_the_removal_is_put_right() {
    let stage = later().await;
    run(&stage).await;
    let service = &stage.service;
    let cx = service.operator_context(Scope::SYSTEM);
    let grant = service.allow(&cx, What::Disposal, Action::WriteSettings);
    let grant = grant.await.unwrap();
    // As it was noted before the removal.
    let mut before = service.segments().await.unwrap().remove(0);
    before.value.left = before.value.places.1 - before.value.places.0;
    service.note_left(&grant, &before, true).await.unwrap();
    assert_eq!(run(&stage).await.removed, 0);
    let listed = service.list_audit_segments().await.unwrap();
    assert!(listed.iter().all(|one| one.left == 0));
}

#[tokio::test]
async fn what_cannot_be_read_back_is_not_removed() {
    let stage = later().await;
    stage.objects.loses.store(true, Ordering::Relaxed);
    stage.service.run_audit_archive(false).await.unwrap_err();
    assert_eq!(stored(&stage, "a").await, 3);
    stage.objects.loses.store(false, Ordering::Relaxed);
    run(&stage).await;
    assert_eq!(archived(&stage, "a").await, 3);
}

#[tokio::test]
async fn a_run_that_was_cut_off_behind_the_writing_is_taken_up() {
    let mut stage = later().await;
    // A store that has not learnt of its segments: the same log, restored from before.
    let twin = restored(&stage).await;
    run(&stage).await;
    let objects = stage.objects.all.lock().clone();
    stage.over(twin).await;
    let again = run(&stage).await;
    assert_eq!(again.made.len(), 2);
    assert_eq!(
        *stage.objects.all.lock(),
        objects,
        "nothing is written twice"
    );
    assert_eq!(archived(&stage, "a").await, 3);
    assert_eq!(faults(&stage).await, [""; 0]);
}

#[tokio::test]
async fn a_store_restored_behind_a_removal_knows_its_archive() {
    let mut stage = later().await;
    run(&stage).await;
    let twin = restored(&stage).await;
    stage.over(twin).await;
    assert_eq!(
        (stored(&stage, "a").await, archived(&stage, "a").await),
        (0, 3)
    );
    assert_eq!(faults(&stage).await, [""; 0]);
    let again = run(&stage).await;
    assert_eq!((again.made.len(), again.removed), (0, 0));
}

#[tokio::test]
async fn what_a_restore_brought_back_is_removed_again() {
    let mut stage = later().await;
    // As an archive has it that was shipped to before the entries were removed.
    let mut shipped = log(&stage).await;
    run(&stage).await;
    shipped.extend(log(&stage).await.into_iter().skip(shipped.len()));
    stage.over(made_of(shipped).await).await;
    assert_eq!(
        (stored(&stage, "a").await, archived(&stage, "a").await),
        (3, 0)
    );
    assert_eq!(faults(&stage).await, [""; 0]);
    let again = run(&stage).await;
    assert_eq!(again.made.len(), 0);
    assert_eq!(
        (stored(&stage, "a").await, archived(&stage, "a").await),
        (0, 3)
    );
}

/// A store made of the log of this one.
async fn restored(stage: &Stage) -> Memory {
    made_of(log(stage).await).await
}

async fn log(stage: &Stage) -> Vec<LogBatch> {
    stage.store.batches(Seq(0), usize::MAX).await.unwrap()
}

async fn made_of(log: Vec<LogBatch>) -> Memory {
    let (store, mut restoring) = Memory::restore();
    restoring.add(log).await.unwrap();
    restoring.finish().await.unwrap();
    store
}

#[tokio::test]
async fn a_log_that_is_not_that_of_its_checkpoints_is_not_archived() {
    let stage = Stage::new().await;
    stage.seen(&["a"]).await;
    let head = stage.store.tree_head().await.unwrap();
    let forged = salus_store::TreeHead {
        root: [9; 32],
        ..head
    };
    let note = stage.service.sign_part(forged).unwrap();
    stage.also_kept(note);
    stage.advance_ms(40 * DAY_MS);
    stage.seen(&["a"]).await;
    stage.advance_ms(7 * YEAR_MS);
    stage.service.run_audit_archive(false).await.unwrap_err();
    assert!(stage.objects.all.lock().is_empty());
    assert_eq!(stored(&stage, "a").await, 2);
}

#[tokio::test]
async fn a_segment_ends_with_as_many_entries_as_it_may_have() {
    let mut stage = later().await;
    stage.service.settings.audit.entries_max = 2;
    let run = run(&stage).await;
    assert!(run.made.len() > 2);
    assert!(run.made.iter().all(|one| one.places.1 - one.places.0 <= 2));
    assert_eq!(faults(&stage).await, [""; 0]);
}
