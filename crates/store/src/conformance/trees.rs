//! The hash tree over the audit.

use salus_crypto::merkle::{self, Hash};

use super::Subject;
use super::data::*;
use crate::{AuditQuery, Batch, SUBTREE, Scope, Seq, TreeHead, TreeLeaf};

/// Entries of two scopes in turns, so many batches of so many.
fn fill(subject: &Subject<'_>, batches: i64, entries: usize) {
    for number in 0..batches {
        let scope = if number % 3 == 0 { TWO } else { ONE };
        let body = |entry: usize| format!("{number}.{entry}");
        let audit = (0..entries).map(|at| entry(&body(at), &[])).collect();
        let puts = Vec::new();
        subject.must(Batch {
            audit,
            ..Batch::of(scope, number, puts)
        });
    }
}

fn head(subject: &Subject<'_>) -> TreeHead {
    let store = subject.store();
    subject.wait(store.audit_tree().tree_head()).unwrap()
}

fn leaves(subject: &Subject<'_>, first: u64, limit: usize) -> Vec<TreeLeaf> {
    let store = subject.store();
    let open = |scope: Scope| scope == ONE;
    let leaves = store.audit_tree().tree_leaves(first, limit, &open);
    subject.wait(leaves).unwrap()
}

fn subtrees(subject: &Subject<'_>, level: u32, first: u64, limit: usize) -> Vec<Hash> {
    let store = subject.store();
    let roots = store.audit_tree().subtrees(level, first, limit);
    subject.wait(roots).unwrap()
}

/// The head is that of the leaves, and each opened leaf is the one of its entry.
#[track_caller]
fn check(subject: &Subject<'_>, size: usize) -> Vec<TreeLeaf> {
    let all = leaves(subject, 0, usize::MAX);
    assert_eq!(all.len(), size);
    let hashes: Vec<_> = all.iter().map(|leaf| leaf.leaf).collect();
    let root = merkle::root(&hashes);
    let size = size as u64;
    assert_eq!(head(subject), TreeHead { size, root });
    assert!(all.is_sorted_by(|one, next| one.seq < next.seq));
    for leaf in &all {
        assert_eq!(leaf.opened.is_some(), leaf.scope == ONE);
        if let Some(opened) = &leaf.opened {
            let (scope, time_ms) = (leaf.scope, leaf.time_ms);
            let again = |time_ms| opened.form.leaf(&opened.salt, scope, time_ms, &opened.body);
            assert_eq!(again(time_ms), leaf.leaf);
            assert_ne!(again(time_ms + 1), leaf.leaf, "the time is in the leaf");
        }
    }
    all
}

pub(super) fn the_tree_has_the_entries_of_all_scopes_in_order(subject: &Subject<'_>) {
    check(subject, 0);
    fill(subject, 10, 2);
    subject.must(batch(40, vec![patient("a", 1)]));
    fill(subject, 2, 1);
    let all = check(subject, 22);
    let opened = all.iter().filter_map(|leaf| leaf.opened.as_ref());
    let bodies: Vec<_> = opened.map(|opened| opened.body.clone()).collect();
    assert_eq!((&*bodies[0], &*bodies[11]), (&b"1.0"[..], &b"8.1"[..]));
    for (first, limit) in [(0, 1), (3, 5), (21, 9), (22, 1), (0, 0)] {
        let end = (first + limit).min(all.len());
        let expected = all.get(first..end).unwrap_or_default();
        assert_eq!(
            leaves(subject, first as u64, limit),
            expected,
            "{first} {limit}"
        );
    }
}

pub(super) fn subtrees_are_those_of_the_leaves(subject: &Subject<'_>) {
    let size = 3 * SUBTREE as usize + 8;
    fill(subject, 97, 8);
    let all = check(subject, size);
    let hashes: Vec<_> = all.iter().map(|leaf| leaf.leaf).collect();
    let expected: Vec<_> = hashes
        .chunks_exact(SUBTREE as usize)
        .map(merkle::root)
        .collect();
    assert_eq!(subtrees(subject, 1, 0, 100), expected);
    assert_eq!(subtrees(subject, 1, 1, 1), expected[1..2]);
    assert_eq!(subtrees(subject, 1, 3, 1), Vec::<Hash>::new());
    assert_eq!(subtrees(subject, 2, 0, 1), Vec::<Hash>::new());
    for first in [250, 256, 511, 700] {
        let part = leaves(subject, first as u64, 20);
        assert_eq!(part, all[first..first + 20], "from {first}");
    }
}

pub(super) fn a_tree_lasts(subject: &Subject<'_>) {
    fill(subject, 90, 3);
    let before = check(subject, 270);
    if !subject.reopen() {
        return;
    }
    assert_eq!(check(subject, 270), before);
    fill(subject, 90, 3);
    check(subject, 540);
    assert_eq!(subtrees(subject, 1, 0, 9).len(), 2);
}

fn clear(subject: &Subject<'_>, scope: Scope, seqs: &[Seq]) -> u64 {
    let store = subject.store();
    subject.wait(store.audit_tree().clear(scope, seqs)).unwrap()
}

fn is_cleared(subject: &Subject<'_>, scope: Scope, seq: Seq) -> bool {
    let store = subject.store();
    subject
        .wait(store.audit_tree().is_cleared(scope, seq))
        .unwrap()
}

/// What a query finds in the first scope.
fn found(subject: &Subject<'_>, about: Option<&str>) -> Vec<String> {
    let query = AuditQuery {
        about: about.map(|id| (PATIENT, id.into())),
        ascending: true,
        limit: 1000,
        ..AuditQuery::default()
    };
    let records = subject.now(ONE).audit(&query);
    let body = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    records.iter().map(|record| body(&record.body)).collect()
}

pub(super) fn what_is_cleared_leaves_its_leaf(subject: &Subject<'_>) {
    let about = |n: i64| if n % 2 == 0 { "a" } else { "b" };
    let seqs: Vec<Seq> = (0..300)
        .map(|n| {
            let audit = vec![entry(&n.to_string(), &[(PATIENT, about(n))])];
            let batch = Batch::of(ONE, n, Vec::new());
            subject.must(Batch { audit, ..batch }).seq
        })
        .collect();
    let before = leaves(subject, 0, 1000);
    let (head_before, roots) = (head(subject), subtrees(subject, 1, 0, 9));
    assert_eq!(clear(subject, ONE, &seqs[10..298]), 288);
    assert_eq!(clear(subject, ONE, &seqs[..20]), 10, "each goes once");
    let check = |subject: &Subject<'_>| {
        assert_eq!(found(subject, None), ["298", "299"]);
        assert_eq!(found(subject, Some("a")), ["298"]);
        let after = leaves(subject, 0, 1000);
        for (was, is) in before.iter().zip(&after) {
            let gone = is.seq < seqs[298];
            assert_eq!((is.cleared, is.opened.is_none()), (gone, gone));
            let same = TreeLeaf {
                opened: is.opened.clone(),
                cleared: is.cleared,
                ..was.clone()
            };
            assert_eq!(*is, same);
            assert_eq!(is_cleared(subject, ONE, is.seq), gone);
        }
        assert_eq!(after.len(), before.len());
        assert_eq!(head(subject), head_before);
        assert_eq!(subtrees(subject, 1, 0, 9), roots);
        let faults = subject.wait(subject.store().check()).expect("a check");
        assert_eq!(faults, [""; 0]);
    };
    check(subject);
    if !subject.reopen() {
        return;
    }
    check(subject);
    fill(subject, 3, 1);
    assert_eq!(found(subject, None), ["298", "299", "1.0", "2.0"]);
}

pub(super) fn only_entries_of_the_scope_are_cleared(subject: &Subject<'_>) {
    let seq = subject.must(batch(1, vec![patient("a", 1)])).seq;
    fill(subject, 2, 1);
    let all = leaves(subject, 0, 9);
    let mut seqs: Vec<Seq> = all.iter().map(|leaf| leaf.seq).collect();
    seqs.extend([seq, Seq(99), seqs[1]]);
    assert_eq!(clear(subject, ONE, &seqs), 1);
    let cleared = leaves(subject, 0, 9)
        .iter()
        .map(|leaf| leaf.cleared)
        .collect::<Vec<_>>();
    assert_eq!(cleared, [false, true]);
    assert!(!is_cleared(subject, TWO, all[1].seq));
    assert_eq!(body(&subject.now(ONE).get(PATIENT, "a").unwrap()), "a 1");
}
