//! Content of superseded versions goes for good, and the log stays whole.

use super::Subject;
use super::data::*;
use crate::{
    Batch, Error, Filter, HistoryOf, Precondition, Purge, Put, SealKey, Seq, Shred, Superseded,
};

fn purge(id: &str, below: u64) -> Batch {
    let purge = Purge {
        kind: PATIENT,
        id: id.into(),
        below,
    };
    Batch {
        purged: vec![purge],
        audit: vec![entry("purged", &[(PATIENT, id)])],
        ..batch(90, Vec::new())
    }
}

/// Versions that are read: their bodies, `-` for a deletion, `purged`, or
/// nothing if there is none.
#[track_caller]
fn reads(subject: &Subject<'_>, id: &str, expected: &[&str]) {
    let view = subject.now(ONE);
    let read =
        (1..=expected.len() as u64).map(|version| match view.try_version(PATIENT, id, version) {
            Ok(Some(record)) => body(&record).to_owned(),
            Ok(None) => String::new(),
            Err(Error::Purged) => "purged".to_owned(),
            Err(error) => panic!("{error:?}"),
        });
    assert_eq!(read.collect::<Vec<_>>(), expected);
}

#[track_caller]
fn history_of(subject: &Subject<'_>, id: &str, expected: &[&str]) {
    let view = subject.now(ONE);
    let own = view.history(&history(HistoryOf::Record(PATIENT, id.into())));
    assert_eq!(versions(&own), expected);
    let all = view.history(&history(HistoryOf::Kinds(vec![PATIENT])));
    let mut all = versions(&all);
    all.retain(|version| version.starts_with(&format!("{id} ")));
    assert_eq!(all, expected);
}

fn is_whole(subject: &Subject<'_>) {
    let faults = subject.wait(subject.store().check()).expect("a check");
    assert_eq!(faults, [""; 0]);
}

pub(super) fn a_purged_version_is_gone_and_the_log_is_whole(subject: &Subject<'_>) {
    for version in 1..=4 {
        subject.must(batch(
            10,
            vec![patient("a", version), patient("b", version)],
        ));
    }
    // Looked at, so that an engine may have kept them.
    reads(subject, "a", &["a 1", "a 2", "a 3", "a 4"]);
    subject.must(purge("a", 3));
    reads(subject, "a", &["purged", "purged", "a 3", "a 4", ""]);
    reads(subject, "b", &["b 1", "b 2", "b 3", "b 4"]);
    history_of(subject, "a", &["a 4", "a 3"]);
    let changes = subject.changes(Seq(0), 100);
    assert_eq!(changes.len(), 8);
    let purged: Vec<_> = changes.iter().filter(|change| change.purged).collect();
    let facts = purged.iter().map(|change| {
        let record = &change.record;
        (
            &*record.id,
            record.version,
            record.seq,
            record.time_ms,
            body(record),
        )
    });
    let facts: Vec<_> = facts.collect();
    assert_eq!(facts, [("a", 1, Seq(1), 10, ""), ("a", 2, Seq(3), 10, "")]);
    assert_eq!(subject.now(ONE).count(&patients(Filter::Everything)), 2);
    is_whole(subject);
    // Once more, and further.
    subject.must(purge("a", 3));
    subject.must(purge("a", 4));
    reads(subject, "a", &["purged", "purged", "purged", "a 4"]);
    subject.must(batch(20, vec![patient("a", 5)]));
    reads(subject, "a", &["purged", "purged", "purged", "a 4", "a 5"]);
    is_whole(subject);
}

pub(super) fn only_superseded_content_is_purged(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1), patient("b", 1)]));
    subject.must(batch(20, vec![deletion("a", 2)]));
    subject.must(batch(30, vec![patient("a", 3)]));
    subject.must(batch(40, vec![deletion("a", 4)]));
    for id in ["a", "b", "c"] {
        subject.must(purge(id, u64::MAX));
    }
    reads(subject, "a", &["purged", "-", "purged", "-"]);
    reads(subject, "b", &["b 1", ""]);
    reads(subject, "c", &[""]);
    history_of(subject, "a", &["a 4", "a 2"]);
    subject.must(batch(50, vec![patient("a", 5)]));
    reads(subject, "a", &["purged", "-", "purged", "-", "a 5"]);
    // A version that the batch itself supersedes was the newest before it.
    let both = Batch {
        puts: vec![patient("b", 2)],
        ..purge("b", 9)
    };
    subject.must(both);
    reads(subject, "b", &["b 1", "b 2"]);
    is_whole(subject);
}

pub(super) fn older_points_refuse_what_was_purged(subject: &Subject<'_>) {
    let coded = |version| patient_with("a", version, vec![row(CODE, token("", "x"))]);
    let first = subject.must(batch(10, vec![coded(1), patient("b", 1)])).seq;
    let second = subject.must(batch(20, vec![coded(2)])).seq;
    subject.must(batch(30, vec![coded(3)]));
    let at = |seq| subject.at(ONE, seq);
    assert_eq!(at(first).find(&patients(has_code("x"))).hits.len(), 1);
    subject.must(purge("a", 2));
    let found = subject.wait(at(first).snapshot.find(&patients(has_code("x"))));
    assert!(matches!(found, Err(Error::SnapshotGone(_))), "{found:?}");
    let got = subject.wait(at(first).snapshot.get(PATIENT, "a"));
    assert!(matches!(got, Err(Error::SnapshotGone(_))), "{got:?}");
    assert_eq!(body(&at(first).get(PATIENT, "b").unwrap()), "b 1");
    assert_eq!(body(&at(second).get(PATIENT, "a").unwrap()), "a 2");
    assert_eq!(at(second).find(&patients(has_code("x"))).hits.len(), 1);
    // A history leaves it out at every point.
    let of = history(HistoryOf::Record(PATIENT, "a".into()));
    assert_eq!(versions(&at(first).history(&of)), [""; 0]);
    assert_eq!(versions(&at(second).history(&of)), ["a 2"]);
}

pub(super) fn superseded_versions_are_walked_in_steps(subject: &Subject<'_>) {
    for version in 1..=3 {
        let both = vec![patient("a", version), patient("b", version)];
        subject.must(batch(10 + version as i64, both));
    }
    subject.must(batch(20, vec![deletion("b", 4)]));
    let walk = |id: Option<&str>, limit: usize| {
        let (mut after, mut all) = (Seq(0), Vec::new());
        loop {
            let found = subject.now(ONE).superseded(PATIENT, id, after, limit);
            let seen = found.versions.iter();
            all.extend(seen.map(|one| {
                let (from, until) = (one.time_ms, one.superseded_ms);
                format!(
                    "{} {} of {}, {from}-{until}",
                    one.id, one.version, one.newest
                )
            }));
            match found.next {
                Some(next) => after = next,
                None => return all,
            }
        }
    };
    let all = [
        "a 1 of 3, 11-12",
        "b 1 of 4, 11-12",
        "a 2 of 3, 12-13",
        "b 2 of 4, 12-13",
        "b 3 of 4, 13-20",
    ];
    assert_eq!(walk(None, 100), all);
    assert_eq!(walk(None, 2), all);
    assert_eq!(walk(None, 1), all);
    assert_eq!(walk(Some("b"), 2), [all[1], all[3], all[4]]);
    assert_eq!(walk(Some("c"), 2), [""; 0]);
    subject.must(purge("b", 3));
    assert_eq!(walk(None, 2), [all[0], all[2], all[4]]);
}

pub(super) fn what_is_refused_purges_nothing(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1)]));
    subject.must(batch(10, vec![patient("a", 2)]));
    let condition = Precondition::VersionIs {
        kind: PATIENT,
        id: "a".into(),
        version: Some(1),
    };
    let refused = subject.commit(Batch {
        preconditions: vec![condition],
        ..purge("a", 2)
    });
    assert!(
        matches!(refused, Err(Error::Conflict { .. })),
        "{refused:?}"
    );
    let mut twice = purge("a", 2);
    twice.purged.extend(twice.purged.clone());
    for impossible in [twice, purge("", 2)] {
        let refused = subject.commit(impossible);
        assert!(matches!(refused, Err(Error::Misuse(_))), "{refused:?}");
    }
    reads(subject, "a", &["a 1", "a 2"]);
    subject.must(Batch {
        scope: TWO,
        ..purge("a", 2)
    });
    reads(subject, "a", &["a 1", "a 2"]);
}

pub(super) fn a_purge_lasts(subject: &Subject<'_>) {
    for version in 1..=3 {
        subject.must(batch(10, vec![patient("a", version)]));
    }
    subject.must(Batch {
        audit: Vec::new(),
        ..purge("a", 3)
    });
    if subject.reopen() {
        reads(subject, "a", &["purged", "purged", "a 3"]);
        history_of(subject, "a", &["a 3"]);
        is_whole(subject);
    }
}

fn sealed_with(patient: &str, put: Put) -> Put {
    Put {
        seal: SealKey::Patient(patient.into()),
        ..put
    }
}

fn shred(id: &str, versions: &[u64]) -> Batch {
    let shred = Shred {
        kind: PATIENT,
        id: id.into(),
        versions: versions.to_vec(),
    };
    Batch {
        shredded: vec![shred],
        ..batch(90, Vec::new())
    }
}

pub(super) fn single_versions_are_shredded_and_those_between_stay(subject: &Subject<'_>) {
    for version in 1..=5 {
        let put = sealed_with(["x", "y"][version as usize % 2], patient("a", version));
        subject.must(batch(10 + version as i64, vec![put]));
    }
    reads(subject, "a", &["a 1", "a 2", "a 3", "a 4", "a 5"]);
    // The newest stays, and so does what never was.
    subject.must(shred("a", &[2, 4, 5, 9]));
    reads(subject, "a", &["a 1", "purged", "a 3", "purged", "a 5"]);
    history_of(subject, "a", &["a 5", "a 3", "a 1"]);
    is_whole(subject);
    let found = subject.now(ONE).superseded(PATIENT, Some("a"), Seq(0), 9);
    let Superseded { versions, .. } = found;
    let spans = versions.iter().map(|one| (one.version, one.superseded_ms));
    assert_eq!(spans.collect::<Vec<_>>(), [(1, 12), (3, 14)]);
    subject.must(Batch {
        audit: Vec::new(),
        ..purge("a", 4)
    });
    reads(
        subject,
        "a",
        &["purged", "purged", "purged", "purged", "a 5"],
    );
    is_whole(subject);
    if subject.reopen() {
        reads(
            subject,
            "a",
            &["purged", "purged", "purged", "purged", "a 5"],
        );
        is_whole(subject);
    }
}

pub(super) fn what_a_patients_key_sealed_is_found(subject: &Subject<'_>) {
    let put = |id, version| sealed_with("x", patient(id, version));
    subject.must(batch(10, vec![put("a", 1), patient("b", 1)]));
    subject.must(batch(20, vec![patient("a", 2), put("b", 2)]));
    subject.must(batch(30, vec![sealed_with("y", patient("c", 1))]));
    subject.must(batch(40, vec![deletion("b", 3)]));
    subject.must(Batch {
        scope: TWO,
        ..batch(50, vec![put("a", 1)])
    });
    let walk = |patient: &str, limit: usize| {
        let (mut after, mut all) = (Seq(0), Vec::new());
        loop {
            let found = subject.store();
            let found = subject.wait(found.sealed(ONE, patient, after, limit));
            let found = found.expect("a walk");
            let seen = found.versions.iter();
            all.extend(seen.map(|one| format!("{} {} of {}", one.id, one.version, one.newest)));
            match found.next {
                Some(next) => after = next,
                None => return all,
            }
        }
    };
    assert_eq!(walk("x", 100), ["a 1 of 2", "b 2 of 3"]);
    assert_eq!(walk("x", 1), ["a 1 of 2", "b 2 of 3"]);
    assert_eq!(walk("z", 2), [""; 0]);
    subject.must(shred("a", &[1]));
    assert_eq!(walk("x", 3), ["b 2 of 3"]);
}

pub(super) fn what_is_forgotten_is_found_by_no_older_point(subject: &Subject<'_>) {
    let coded = |version| patient_with("a", version, vec![row(CODE, token("", "x"))]);
    let first = subject.must(batch(10, vec![coded(1), patient("b", 1)])).seq;
    subject.must(batch(20, vec![deletion("a", 2)]));
    subject.must(purge("a", 9));
    subject
        .wait(subject.store().forget())
        .expect("it is forgotten");
    let query = patients(has_code("x"));
    let found = match subject.open(ONE, crate::At::Seq(first)) {
        Ok(view) => subject.wait(view.snapshot.find(&query)),
        Err(error) => Err(error),
    };
    assert!(matches!(found, Err(Error::SnapshotGone(_))), "{found:?}");
    let view = subject.now(ONE);
    assert_eq!(view.count(&query), 0);
    assert_eq!(view.count(&patients(Filter::Everything)), 1);
    reads(subject, "a", &["purged", "-"]);
    is_whole(subject);
}
