//! Edits leave all other bytes alone, and undo each other.

use super::*;
use crate::json::{Document, Limits};
use proptest::prelude::*;

const STAMP: Stamp<'static> = Stamp {
    id: "a1",
    version: "3",
    last_updated: "2026-01-02T03:04:05.678Z",
};

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

#[track_caller]
fn check_stamp(text: &str, expected: &str) {
    let document = document(text);
    assert_eq!(stamp(document.root(), &STAMP), expected);
}

#[test]
fn missing_members_come_behind_the_type() {
    check_stamp(
        r#"{ "resourceType" : "Patient" , "active" : true }"#,
        concat!(
            r#"{ "resourceType" : "Patient","id":"a1","meta":{"versionId":"3","#,
            r#""lastUpdated":"2026-01-02T03:04:05.678Z"} , "active" : true }"#
        ),
    );
}

#[test]
fn present_members_keep_their_place() {
    check_stamp(
        r#"{"active":true,"meta":{"tag":[],"lastUpdated":"x","versionId":"9"},"id": "b","resourceType":"Patient"}"#,
        concat!(
            r#"{"active":true,"meta":{"tag":[],"lastUpdated":"2026-01-02T03:04:05.678Z","versionId":"3"},"#,
            r#""id": "a1","resourceType":"Patient"}"#
        ),
    );
}

#[test]
fn names_with_escapes_are_the_names_that_they_mean() {
    check_stamp(
        r#"{"resourceType":"Patient","\u0069d":"b","m\u0065ta":{"tag":[],"versionI\u0064":"9"}}"#,
        concat!(
            r#"{"resourceType":"Patient","\u0069d":"a1","m\u0065ta":"#,
            r#"{"lastUpdated":"2026-01-02T03:04:05.678Z","tag":[],"versionI\u0064":"3"}}"#
        ),
    );
}

#[test]
fn other_members_of_meta_stay() {
    check_stamp(
        r#"{"resourceType":"Patient","id":"b","meta":{ "profile":["http://p"] }}"#,
        concat!(
            r#"{"resourceType":"Patient","id":"a1","meta":{ "versionId":"3","#,
            r#""lastUpdated":"2026-01-02T03:04:05.678Z","profile":["http://p"] }}"#
        ),
    );
}

#[test]
fn odd_resources_are_stamped_too() {
    let meta = r#""meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.678Z"}"#;
    check_stamp("{}", &format!(r#"{{"id":"a1",{meta}}}"#));
    check_stamp(r#"{"x":1}"#, &format!(r#"{{"id":"a1",{meta},"x":1}}"#));
    check_stamp(r#"{"id":1,"meta":[]}"#, &format!(r#"{{"id":"a1",{meta}}}"#));
    check_stamp(
        r#"{"id":"b","x":1}"#,
        &format!(r#"{{"id":"a1",{meta},"x":1}}"#),
    );
    let first = r#""versionId":"3","lastUpdated":"2026-01-02T03:04:05.678Z""#;
    check_stamp(
        r#"{"id":"b","meta":{}}"#,
        &format!(r#"{{"id":"a1","meta":{{{first}}}}}"#),
    );
}

#[test]
fn stripping_a_stamp_gives_the_text_that_was_sent() {
    for text in [
        r#"{"resourceType":"Patient"}"#,
        r#"{ "resourceType" : "Patient" , "active" : true }"#,
        r#"{"active":true, "meta": {"tag":[ ] } , "resourceType":"Patient"}"#,
        "{}",
        r#"{ "x" : 1 }"#,
    ] {
        let stamped = document(&stamp(document(text).root(), &STAMP));
        assert_eq!(strip(stamped.root()), text);
    }
}

#[test]
fn stripping_takes_one_comma_with_each_member() {
    for (text, expected) in [
        (r#"{"id":"1","meta":{"versionId":"1"},"x":1}"#, r#"{"x":1}"#),
        (r#"{"x":1,"id":"1","meta":{"versionId":"1"}}"#, r#"{"x":1}"#),
        (r#"{"id":"1"}"#, "{}"),
        (
            r#"{"meta":{"versionId":"1","source":"s","lastUpdated":"2"}}"#,
            r#"{"meta":{"source":"s"}}"#,
        ),
    ] {
        assert_eq!(strip(document(text).root()), expected);
    }
}

#[test]
fn published_examples_keep_all_else_when_stamped() {
    crate::validate::corpus::each_example(|name, text| {
        let Ok(sent) = Document::parse(text, &Limits::default()) else {
            return;
        };
        let stamped = document(&stamp(sent.root(), &STAMP));
        let id = stamped.root().get("id").and_then(Node::plain_str);
        assert_eq!(id, Some(STAMP.id), "{name}");
        assert_eq!(strip(stamped.root()), strip(sent.root()), "{name}");
    });
}

#[track_caller]
fn check_rewrite(text: &str, expected: &str) {
    let document = document(text);
    let mut splices = Splices::new();
    let rewrite = |literal: &str| match literal {
        "urn:uuid:p" => Some("Patient/1".to_owned()),
        "Practitioner?identifier=9" => Some("Practitioner/2".to_owned()),
        "http://old/Binary/b" => Some("Binary/3".to_owned()),
        _ => None,
    };
    add_rewrites(document.root(), rewrite, &mut splices);
    assert_eq!(splices.apply(document.root()), expected);
}

#[test]
fn references_are_rewritten_wherever_they_are() {
    check_rewrite(
        r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"},"performer":[{"reference": "Practitioner?identifier=9"},{"reference":"Patient/7"}]}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference": "Practitioner/2"},{"reference":"Patient/7"}]}"#,
    );
    check_rewrite(
        r#"{"resourceType":"Patient","extension":[{"url":"http://e","valueReference":{"reference":"urn:uuid:p"}}]}"#,
        r#"{"resourceType":"Patient","extension":[{"url":"http://e","valueReference":{"reference":"Patient/1"}}]}"#,
    );
    check_rewrite(
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"}}]}"#,
        r#"{"resourceType":"Patient","contained":[{"resourceType":"Observation","subject":{"reference":"Patient/1"}}]}"#,
    );
}

#[test]
fn links_of_other_types_are_rewritten_and_plain_text_is_not() {
    check_rewrite(
        r#"{"resourceType":"DocumentReference","content":[{"attachment":{"url":"http://old/Binary/b","title":"http://old/Binary/b"}}]}"#,
        r#"{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Binary/3","title":"http://old/Binary/b"}}]}"#,
    );
    let identifier = r#"{"resourceType":"Patient","identifier":[{"value":"urn:uuid:p"}]}"#;
    check_rewrite(identifier, identifier);
    let canonical =
        r#"{"resourceType":"QuestionnaireResponse","questionnaire":"http://old/Binary/b"}"#;
    check_rewrite(canonical, canonical);
}

#[test]
fn the_narrative_links_too() {
    check_rewrite(
        r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><a href=\"urn:uuid:p\">urn:uuid:p</a><img alt=\"\" src=\"http://old/Binary/b\"/></div>"}}"#,
        r#"{"resourceType":"Patient","text":{"status":"generated","div":"<div><a href=\"Patient/1\">urn:uuid:p</a><img alt=\"\" src=\"Binary/3\"/></div>"}}"#,
    );
}

#[test]
fn stamp_and_rewrites_go_in_one_pass_over_a_part_of_a_document() {
    let document = document(
        r#"[{"other":"urn:uuid:p"},{"resourceType":"Observation","subject":{"reference":"urn:uuid:p"},"id":"x"}]"#,
    );
    let node = document.root().children().nth(1).unwrap();
    let mut splices = Splices::new();
    add_stamp(node, &STAMP, &mut splices);
    add_rewrites(node, |_| Some("Patient/1".to_owned()), &mut splices);
    assert_eq!(
        splices.apply(node),
        concat!(
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"id":"a1","#,
            r#""meta":{"versionId":"3","lastUpdated":"2026-01-02T03:04:05.678Z"}}"#
        )
    );
}

#[test]
fn overlapping_edits_do_not_tear_the_text() {
    let document = document(r#"{"a":"b"}"#);
    let mut splices = Splices::new();
    splices.replace(1..5, "X");
    splices.replace(2..3, "Y");
    splices.replace(7..400, "Z");
    assert_eq!(splices.apply(document.root()), r#"{X"b"}"#);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn strip_undoes_stamp(members in proptest::collection::vec(("[a-c]{2,6}", "\\PC{0,8}"), 0..5), space in " {0,2}") {
        let mut text = format!("{{{space}\"resourceType\":{space}\"Patient\"");
        for (n, (key, value)) in members.iter().enumerate() {
            text.push_str(&format!("{space},\"{key}{n}\":{space}"));
            write::string(&mut text, value);
        }
        text.push('}');
        let stamped = document(&stamp(document(&text).root(), &STAMP));
        prop_assert_eq!(strip(stamped.root()), text);
    }
}
