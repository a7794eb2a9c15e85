//! Texts: found by their words, in order of relevance.

use super::data::*;
use super::{Subject, View};
use crate::{
    Batch, Error, Filter, Param, Piece, Query, Reindexed, Relevance, Row, Sort, Test, TextTest,
    Value, Wanted, Word, Words,
};

const TEXT: Param = Param::named("Patient", "_content");

/// Words whose stems are their first four letters. A bar ends the lead.
fn text(words: &str) -> Row {
    let lead_end = words.split(' ').position(|word| word == "|").unwrap_or(0);
    let words = words.split(' ').filter(|word| *word != "|");
    let words = words.zip(0..).map(|(word, at)| Word {
        word: word.into(),
        stem: word.get(..4).unwrap_or(word).into(),
        at,
    });
    let value = Value::Words(Words::of(words.collect(), lead_end as u32));
    row(TEXT, value)
}

fn fill(subject: &Subject<'_>) {
    let put = |id: &str, words: &str| patient_with(id, 1, vec![text(words)]);
    let puts = vec![
        put("often", "infection infected infectious"),
        put("once", "an infection of the foot"),
        put("long", "the foot | and much more than that of an infection"),
        put("none", "attack of the heart"),
        patient("silent", 1),
    ];
    subject.must(batch(1, puts));
}

fn stem(stem: &str) -> Wanted {
    Wanted::One(Piece::Stem(stem.into()))
}

fn prefix(start: &str) -> Piece {
    Piece::Prefix(start.into())
}

fn test(lead: bool, wanted: Wanted) -> TextTest {
    TextTest { lead, wanted }
}

#[track_caller]
fn check(view: &View<'_>, test: TextTest, expected: &str) {
    let filter = Filter::Value(TEXT, Test::Words(test.clone()));
    let query = Query {
        sort: vec![Sort::Relevance(Relevance(vec![(TEXT, test)]))],
        ..patients(filter)
    };
    let expected: Vec<_> = expected.split_whitespace().collect();
    assert_eq!(ids(&view.find(&query)), expected);
    assert_eq!(view.count(&query), expected.len() as u64);
}

pub(super) fn texts_are_found_by_their_words(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let check = |wanted: Wanted, expected: &str| check(&view, test(false, wanted), expected);
    check(stem("infe"), "often once long");
    check(stem("infection"), "");
    check(Wanted::One(prefix("infectio")), "long once often");
    check(Wanted::All(vec![stem("foot"), stem("infe")]), "once long");
    check(
        Wanted::Any(vec![stem("foot"), stem("hear")]),
        "none once long",
    );
    check(
        Wanted::Without(stem("the").into(), stem("foot").into()),
        "none",
    );
    let phrase = vec![
        Piece::Stem("of".into()),
        Piece::Stem("the".into()),
        prefix("f"),
    ];
    check(Wanted::Phrase(phrase), "once");
    check(Wanted::All(Vec::new()), "");
    check(Wanted::Any(Vec::new()), "");
    check(Wanted::Phrase(Vec::new()), "");
}

pub(super) fn the_lead_of_a_text_is_asked_alone(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    check(&view, test(true, stem("foot")), "long");
    check(&view, test(true, Wanted::One(prefix("foo"))), "long");
    check(&view, test(true, stem("infe")), "");
}

pub(super) fn nothing_else_sees_texts(subject: &Subject<'_>) {
    fill(subject);
    let view = subject.now(ONE);
    let present = patients(Filter::Value(TEXT, Test::Present));
    assert_eq!(view.count(&present), 0);
    let picked = view.find(&Query {
        rows: vec![TEXT],
        ..patients(Filter::Ids(vec!["none".into()]))
    });
    assert_eq!(picked.hits[0].rows, [text("attack of the heart")]);
}

pub(super) fn a_parameter_has_one_text(subject: &Subject<'_>) {
    let rows = vec![text("a"), text("b")];
    let refused = subject.commit(batch(1, vec![patient_with("a", 1, rows)]));
    assert!(matches!(refused, Err(Error::Misuse(_))));
}

pub(super) fn texts_change_with_their_records(subject: &Subject<'_>) {
    fill(subject);
    let before = subject.now(ONE);
    let new = patient_with("once", 2, vec![text("an attack")]);
    let changes: Batch = batch(2, vec![new, deletion("long", 2)]);
    subject.must(changes);
    check(&subject.now(ONE), test(false, stem("infe")), "often");
    check(&subject.now(ONE), test(false, stem("atta")), "once none");
    check(&before, test(false, stem("infe")), "often once long");
}

pub(super) fn texts_are_indexed_anew(subject: &Subject<'_>) {
    fill(subject);
    let new = |id: &str, rows| Reindexed {
        kind: PATIENT,
        id: id.into(),
        version: 1,
        rows,
        main_date_ms: None,
    };
    subject.must(Batch {
        reindexed: vec![
            new("silent", vec![text("infection of infections")]),
            new("often", vec![text("an attack")]),
            new("long", Vec::new()),
            new("once", vec![text("an infection of the foot")]),
        ],
        ..batch(2, Vec::new())
    });
    check(&subject.now(ONE), test(false, stem("infe")), "silent once");
    check(&subject.now(ONE), test(false, stem("atta")), "often none");
    check(&subject.now(ONE), test(false, stem("foot")), "once");
    subject.must(batch(3, vec![patient("silent", 2)]));
    check(&subject.now(ONE), test(false, stem("infe")), "once");
    if subject.reopen() {
        check(&subject.now(ONE), test(false, stem("infe")), "once");
        check(&subject.now(ONE), test(false, stem("atta")), "often none");
    }
}
