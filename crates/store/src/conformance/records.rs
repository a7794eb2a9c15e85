//! What was put is what is read, by id and version.

use super::Subject;
use super::data::*;
use crate::{AuditQuery, Content, Error, Filter, HistoryOf, Kind, Put, Record, SealKey, Seq};

pub(super) fn nothing_is_found_in_an_empty_store(subject: &Subject<'_>) {
    subject.wait(subject.store().ready()).expect("ready");
    let view = subject.now(ONE);
    assert_eq!(view.seq(), Seq(0));
    assert_eq!(view.get(PATIENT, "a"), None);
    assert_eq!(view.head(PATIENT, "a"), None);
    assert_eq!(view.version(PATIENT, "a", 1), None);
    let everything = patients(Filter::Everything);
    assert_eq!(view.find(&everything).hits, []);
    assert_eq!(view.find(&everything).next, None);
    assert_eq!(view.count(&everything), 0);
    let all = history(HistoryOf::Kinds(vec![PATIENT]));
    assert_eq!(view.history(&all).hits, []);
    assert_eq!(view.history(&all).next, None);
    let limit = 10;
    let query = AuditQuery {
        limit,
        ..AuditQuery::default()
    };
    assert_eq!(view.audit(&query), []);
    assert_eq!(subject.changes(Seq(0), 10), []);
}

pub(super) fn a_put_reads_back_with_all_its_facts(subject: &Subject<'_>) {
    let sealed = SealKey::Patient("p".into());
    let first = Put {
        main_date_ms: Some(5),
        ..patient("a", 1)
    };
    let second = Put {
        seal: sealed.clone(),
        ..patient("b", 1)
    };
    let committed = subject.must(batch(-7, vec![first, second]));
    assert_eq!(committed.seq, Seq(2));
    let record = |id: &str, seq, seal| Record {
        kind: PATIENT,
        id: id.into(),
        version: 1,
        time_ms: -7,
        seq: Seq(seq),
        seal,
        content: Content::Body(format!("{id} 1").into()),
    };
    let view = subject.now(ONE);
    assert_eq!(view.seq(), Seq(2));
    assert_eq!(view.get(PATIENT, "a"), Some(record("a", 1, SealKey::Scope)));
    assert_eq!(view.get(PATIENT, "b"), Some(record("b", 2, sealed.clone())));
    let head = record("b", 2, sealed.clone()).without_body();
    assert_eq!(view.head(PATIENT, "b"), Some(head));
    assert_eq!(view.version(PATIENT, "b", 1), Some(record("b", 2, sealed)));
}

pub(super) fn every_version_stays_readable(subject: &Subject<'_>) {
    for version in 1..=20 {
        subject.must(batch(10, vec![patient("a", version)]));
    }
    let view = subject.now(ONE);
    assert_eq!(body(&view.get(PATIENT, "a").unwrap()), "a 20");
    for version in 1..=20 {
        let record = view.version(PATIENT, "a", version).unwrap();
        assert_eq!((record.version, record.seq), (version, Seq(version)));
        assert_eq!(body(&record), format!("a {version}"));
    }
    for version in [0, 21, u64::MAX] {
        assert_eq!(view.version(PATIENT, "a", version), None);
    }
    assert_eq!(ids(&view.find(&patients(Filter::Everything))), ["a"]);
}

pub(super) fn a_deletion_is_a_version(subject: &Subject<'_>) {
    let rows = vec![row(CODE, token("", "x"))];
    subject.must(batch(10, vec![patient_with("a", 1, rows)]));
    subject.must(batch(20, vec![deletion("a", 2)]));
    let view = subject.now(ONE);
    let newest = view.get(PATIENT, "a").unwrap();
    assert_eq!((newest.version, newest.time_ms), (2, 20));
    assert_eq!(newest.content, Content::Deleted);
    assert_eq!(body(&view.version(PATIENT, "a", 1).unwrap()), "a 1");
    assert_eq!(view.version(PATIENT, "a", 2), Some(newest));
    for filter in [
        Filter::Everything,
        has_code("x"),
        Filter::Ids(vec!["a".into()]),
    ] {
        assert_eq!(ids(&view.find(&patients(filter.clone()))), [""; 0]);
        assert_eq!(view.count(&patients(filter)), 0);
    }
    let before = subject.at(ONE, Seq(1));
    assert_eq!(ids(&before.find(&patients(has_code("x")))), ["a"]);
}

pub(super) fn a_deleted_record_can_be_created_again(subject: &Subject<'_>) {
    subject.must(batch(10, vec![patient("a", 1)]));
    subject.must(batch(20, vec![deletion("a", 2)]));
    subject.must(batch(30, vec![patient("a", 3)]));
    let view = subject.now(ONE);
    assert_eq!(body(&view.get(PATIENT, "a").unwrap()), "a 3");
    assert_eq!(body(&view.version(PATIENT, "a", 2).unwrap()), "-");
    assert_eq!(view.count(&patients(Filter::Everything)), 1);
    let all = view.history(&history(HistoryOf::Record(PATIENT, "a".into())));
    assert_eq!(versions(&all), ["a 3", "a 2", "a 1"]);
}

pub(super) fn kinds_do_not_mix(subject: &Subject<'_>) {
    let put = |kind, version| of_kind(kind, patient("a", version));
    // Numbers of kinds that are neighbours or the ends of their range.
    let kinds = [PATIENT, Kind(PATIENT.0 + 1), Kind(0), Kind(u32::MAX)];
    subject.must(batch(10, kinds.iter().map(|&kind| put(kind, 1)).collect()));
    subject.must(batch(20, vec![put(PATIENT, 2)]));
    let view = subject.now(ONE);
    for kind in kinds {
        let versions = if kind == PATIENT { 2 } else { 1 };
        assert_eq!(view.get(kind, "a").unwrap().version, versions);
        assert_eq!(view.get(kind, "a").unwrap().kind, kind);
        assert_eq!(view.count(&query(kind, Filter::Everything)), 1);
        assert_eq!(ids(&view.find(&query(kind, Filter::Everything))), ["a"]);
        let of = HistoryOf::Kinds(vec![kind]);
        assert_eq!(view.history(&history(of)).hits.len() as u64, versions);
    }
    assert_eq!(view.get(OBSERVATION, "a"), None);
}

pub(super) fn ids_of_all_characters_are_kept_apart(subject: &Subject<'_>) {
    let mut all: Vec<String> = (1..128_u8)
        .map(|byte| char::from(byte).to_string())
        .collect();
    all.extend((1..128_u8).map(|byte| format!("a{}", char::from(byte))));
    all.extend(
        [
            "aaa",
            "ab\u{1}\u{2}",
            "é",
            "日本語",
            "\u{10FFFF}",
            "\u{FFFD}",
        ]
        .map(str::to_owned),
    );
    all.extend(["x".repeat(63), "x".repeat(64), "\u{10FFFF}".repeat(16)]);
    let code = |id: &str| vec![row(CODE, token("", id))];
    let puts = all.iter().map(|id| patient_with(id, 1, code(id))).collect();
    subject.must(batch(10, puts));
    let view = subject.now(ONE);
    assert_eq!(view.count(&patients(Filter::Everything)), all.len() as u64);
    for id in &all {
        assert_eq!(body(&view.get(PATIENT, id).unwrap()), format!("{id} 1"));
        let by_id = Filter::Ids(vec![id.as_str().into()]);
        assert_eq!(ids(&view.find(&patients(by_id))), [id]);
        assert_eq!(ids(&view.find(&patients(has_code(id)))), [id]);
        let of = HistoryOf::Record(PATIENT, id.as_str().into());
        assert_eq!(versions(&view.history(&history(of))), [format!("{id} 1")]);
    }
}

pub(super) fn ids_that_cannot_be_are_refused_and_never_found(subject: &Subject<'_>) {
    subject.must(batch(
        10,
        vec![patient("a", 1), patient(&"x".repeat(64), 1)],
    ));
    let view = subject.now(ONE);
    for id in ["", "\0", "a\0", &"x".repeat(65), &"x".repeat(100_000)] {
        let refused = subject.commit(batch(20, vec![patient(id, 1)]));
        assert!(matches!(refused, Err(Error::Misuse(_))), "{refused:?}");
        assert_eq!(view.get(PATIENT, id), None);
        assert_eq!(view.version(PATIENT, id, 1), None);
        let of = HistoryOf::Record(PATIENT, id.into());
        assert_eq!(view.history(&history(of)).hits, []);
        let by_id = Filter::Ids(vec![id.into()]);
        assert_eq!(view.find(&patients(by_id)).hits, []);
    }
}
