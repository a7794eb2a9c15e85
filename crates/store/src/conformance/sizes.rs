//! Large things, and empty ones.

use bytes::Bytes;

use super::Subject;
use super::data::*;
use crate::{
    AuditEntry, AuditQuery, Batch, Content, Filter, HistoryOf, Param, Put, Query, Seq, Sort, Test,
    Value,
};

pub(super) fn bodies_of_every_size_read_back(subject: &Subject<'_>) {
    let sizes = [
        0,
        1,
        2,
        15,
        16,
        17,
        255,
        256,
        1_023,
        4_096,
        65_535,
        65_536,
        300_000,
        1 << 20,
    ];
    // Bytes that do not compress, and bytes that do.
    let noise = |size: usize| -> Bytes {
        let mut state = size as u64 + 1;
        let bytes = (0..size).map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        });
        bytes.collect()
    };
    let mut bodies: Vec<(String, Bytes)> = Vec::new();
    for size in sizes {
        bodies.push((format!("noise-{size}"), noise(size)));
        bodies.push((format!("same-{size}"), Bytes::from(vec![0; size])));
    }
    for (id, bytes) in &bodies {
        let content = Content::Body(bytes.clone());
        let put = Put {
            content,
            ..patient(id, 1)
        };
        let about = vec![(PATIENT, id.as_str().into())];
        let audit = vec![AuditEntry {
            body: bytes.clone(),
            about,
        }];
        subject.must(Batch {
            audit,
            ..batch(10, vec![put])
        });
    }
    let view = subject.now(ONE);
    for (id, bytes) in &bodies {
        let content = view.get(PATIENT, id).unwrap().content;
        assert!(content == Content::Body(bytes.clone()), "{id} differs");
        let about = Some((PATIENT, id.as_str().into()));
        let entries = view.audit(&AuditQuery {
            about,
            limit: 2,
            ..AuditQuery::default()
        });
        assert!(
            entries.len() == 1 && entries[0].body == *bytes,
            "audit of {id} differs"
        );
    }
    let changes = subject.changes(Seq(0), 1_000);
    let same = changes.iter().zip(&bodies).all(|(change, (id, bytes))| {
        *change.record.id == **id && change.record.content == Content::Body(bytes.clone())
    });
    assert!(same && changes.len() == bodies.len());
}

pub(super) fn a_large_batch_is_one_commit(subject: &Subject<'_>) {
    const RECORDS: usize = 20_000;
    let rows = |n: usize| {
        let number = i64::try_from(n).unwrap();
        vec![
            row(CODE, token("s", &format!("{}", n % 10))),
            row(DATE, date(-number, 0)),
            row(NAME, text(&format!("Name {n}"))),
        ]
    };
    let id = |n: usize| format!("r{n}");
    let puts = |version| {
        (0..RECORDS)
            .map(|n| patient_with(&id(n), version, rows(n)))
            .collect()
    };
    let committed = subject.must(batch(10, puts(1)));
    assert_eq!(committed.seq, Seq(RECORDS as u64));
    let mut wrong: Vec<Put> = puts(2);
    wrong[RECORDS - 1].version = 3;
    assert!(subject.commit(batch(20, wrong)).is_err());
    let view = subject.now(ONE);
    assert_eq!(view.seq(), committed.seq);
    assert_eq!(view.count(&patients(Filter::Everything)), RECORDS as u64);
    assert_eq!(view.count(&patients(has_code("3"))), RECORDS as u64 / 10);
    let sort = vec![Sort::Value {
        param: DATE,
        descending: false,
    }];
    let query = Query {
        sort,
        limit: 3,
        ..patients(has_code("9"))
    };
    assert_eq!(ids(&view.find(&query)), ["r19999", "r19989", "r19979"]);
    let all = view.history(&history(HistoryOf::Kinds(vec![PATIENT])));
    assert_eq!(all.hits.len(), RECORDS);
    let mut after = Seq(0);
    let mut seen = 0;
    loop {
        let changes = subject.changes(after, 999);
        let Some(last) = changes.last() else { break };
        after = last.record.seq;
        seen += changes.len();
        let ends = changes.iter().filter(|change| change.ends_batch).count();
        assert_eq!(ends, usize::from(seen == RECORDS));
    }
    assert_eq!(seen, RECORDS);
    let deletions = (0..RECORDS).map(|n| deletion(&id(n), 2)).collect();
    subject.must(batch(30, deletions));
    assert_eq!(subject.now(ONE).count(&patients(Filter::Everything)), 0);
}

pub(super) fn a_record_may_have_many_and_long_values(subject: &Subject<'_>) {
    let long = |n: usize| format!("{}{n}", "long ".repeat(2_000));
    let mut rows: Vec<_> = (0..2_000)
        .map(|n| row(CODE, token("s", &format!("c{n}"))))
        .collect();
    rows.extend((0..20).map(|n| row(NAME, text(&long(n)))));
    rows.extend((0..20).map(|n| row(Param(7), Value::Uri(long(n).into()))));
    rows.push(row(Param(8), token(&long(1), &long(2))));
    subject.must(batch(
        10,
        vec![patient_with("a", 1, rows.clone()), patient("b", 1)],
    ));
    let view = subject.now(ONE);
    for n in [0, 1, 1_999] {
        assert_eq!(
            ids(&view.find(&patients(has_code(&format!("c{n}"))))),
            ["a"]
        );
    }
    let is = |param, test| ids_of(&view, Filter::Value(param, test));
    assert_eq!(is(NAME, Test::StringIs(long(19).into())), ["a"]);
    assert_eq!(is(NAME, Test::StringIs(long(20).into())), [""; 0]);
    assert_eq!(is(NAME, Test::StringStarts(long(7).into())), ["a"]);
    assert_eq!(is(NAME, Test::StringContains("g 19".into())), ["a"]);
    assert_eq!(is(Param(7), Test::UriIs(long(3).into())), ["a"]);
    assert_eq!(is(Param(7), Test::UriIs(long(33).into())), [""; 0]);
    let token = |code: String| Test::Token {
        system: Some(long(1).into()),
        code: Some(code.into()),
    };
    assert_eq!(is(Param(8), token(long(2))), ["a"]);
    assert_eq!(is(Param(8), token(long(3))), [""; 0]);
    let query = Query {
        rows: vec![CODE],
        ..patients(has_code("c5"))
    };
    let carried = view.find(&query).hits.remove(0).rows;
    assert_eq!(carried, rows[..2_000]);
    subject.must(batch(20, vec![deletion("a", 2)]));
    assert_eq!(subject.now(ONE).count(&patients(has_code("c5"))), 0);
}

fn ids_of(view: &super::View<'_>, filter: Filter) -> Vec<String> {
    let found = view.find(&patients(filter));
    ids(&found).into_iter().map(str::to_owned).collect()
}
