//! What is hidden is not there, whatever else is; what is kept is as it was.

use super::*;
use crate::definitions::{self, SearchParameter};
use crate::json::{Document, Limits, Node};

fn parse(text: &str) -> Document {
    Document::parse(text.into(), &Limits::default()).unwrap()
}

fn hidden(paths: &[&str]) -> Hidden {
    let mut hidden = Hidden::default();
    let paths: Vec<Path> = paths
        .iter()
        .map(|text| Path::parse(text).unwrap())
        .collect();
    for path in &paths {
        hidden.add(path.ty(), &Paths::of(path.ty(), &paths));
    }
    hidden
}

/// What of a resource without narrative and meta is left; the tag is checked here.
#[track_caller]
fn hides(paths: &[&str], resource: &str, left: &str) {
    let hidden = hidden(paths);
    let document = parse(resource);
    let ty = document
        .root()
        .get("resourceType")
        .and_then(Node::str)
        .unwrap();
    let found = hidden.hide(document.root(), hidden.on(&ty)).unwrap();
    let tag = format!(r#","meta":{{"tag":[{}]}}"#, crate::search::SUBSETTED);
    assert_eq!(found.replace(&tag, ""), left, "{paths:?}");
    // Hiding again changes nothing.
    let again = parse(&found);
    let ty = again
        .root()
        .get("resourceType")
        .and_then(Node::str)
        .unwrap();
    assert_eq!(hidden.hide(again.root(), hidden.on(&ty)).unwrap(), found);
}

#[test]
fn paths_name_elements_there_are() {
    for text in [
        "Patient.telecom",
        "Patient.contact.telecom.value",
        "Patient.identifier.where(system='urn:x')",
        "Patient.identifier.where(system='urn:x').value",
        "Observation.value",
        "Observation.component.value",
        "Observation.value.code",
        "Questionnaire.item.item.text",
        "Patient.extension.where(url='http://x.org/a')",
        "Patient.birthDate.extension",
    ] {
        let path = Path::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(path.to_string(), text);
    }
    assert_eq!(
        Path::parse("Patient.deceased[x]").unwrap().to_string(),
        "Patient.deceased"
    );
    for text in [
        "",
        "Patient",
        "Patient.",
        "Patient.x",
        "patient.name",
        "HumanName.family",
        "Patient.name.",
        "Patient..name",
        "Patient.valueString",
        "Patient.where(a='b')",
        "Patient.name.where(a=b)",
        "Patient.name.where(a='b'",
        "Patient.name.where(a='b')x",
        "Patient.name.where(a='b').where(c='d')",
        "Patient.id",
        "Patient.meta.tag",
        "Binary.data",
        "AuditEvent.agent",
    ] {
        assert!(Path::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_hidden_is_not_there() {
    let patient = r#"{"resourceType":"Patient","text":{"div":"1970"},"birthDate":"1970","_birthDate":{"id":"b"},"active":true}"#;
    hides(
        &["Patient.birthDate"],
        patient,
        r#"{"resourceType":"Patient","active":true}"#,
    );
    hides(
        &["Patient.deceased"],
        r#"{"resourceType":"Patient","deceasedBoolean":true,"id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1"}"#,
    );
    hides(
        &["Patient.contact.telecom"],
        r#"{"resourceType":"Patient","contact":[{"telecom":[{"value":"1"}]},{"gender":"male","telecom":[]}]}"#,
        r#"{"resourceType":"Patient","contact":[{"gender":"male"}]}"#,
    );
    hides(
        &["Patient.identifier.where(system='urn:ssn')"],
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:ssn","value":"1"},{"system":"urn:m","value":"2"}]}"#,
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:m","value":"2"}]}"#,
    );
    hides(
        &["Patient.identifier.where(system='urn:ssn').value"],
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:\u0073sn","value":"1"}]}"#,
        r#"{"resourceType":"Patient","identifier":[{"system":"urn:\u0073sn"}]}"#,
    );
    hides(
        &["Patient.name.given.extension"],
        r#"{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[{"extension":[{"url":"u"}]},{"id":"x"}]}]}"#,
        r#"{"resourceType":"Patient","name":[{"given":["A","B"],"_given":[null,{"id":"x"}]}]}"#,
    );
    // The tag tells nothing: it is there without anything that is hidden, too.
    hides(
        &["Patient.telecom"],
        r#"{"resourceType":"Patient","id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1"}"#,
    );
}

#[test]
fn resources_within_others_are_as_by_themselves() {
    let (hide, tag) = (
        hidden(&["Patient.telecom"]),
        format!(r#""meta":{{"tag":[{}]}}"#, crate::search::SUBSETTED),
    );
    let patient = r#"{"resourceType":"Patient","telecom":[{"value":"secret"}]}"#;
    for outside in [
        format!(
            r#"{{"resourceType":"Observation","text":{{"div":"secret"}},"contained":[{patient}]}}"#
        ),
        format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{patient}}}]}}"#),
        format!(
            r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Bundle","entry":[{{"resource":{patient}}}]}}}}]}}"#
        ),
        format!(
            r#"{{"resourceType":"Parameters","parameter":[{{"name":"a","part":[{{"name":"b","resource":{patient}}}]}}]}}"#
        ),
    ] {
        let document = parse(&outside);
        let found = hide.hide(document.root(), Paths::NONE).unwrap();
        assert!(!found.contains("secret") && found.contains(&tag), "{found}");
        parse(&found);
    }
    let other =
        parse(r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Group"}}]}"#);
    assert_eq!(hide.hide(other.root(), Paths::NONE), None);
}

#[track_caller]
fn meets(one: &[&str], other: &[&str], both: &[&str]) {
    let paths = |texts: &[&str]| {
        let all: Vec<Path> = texts
            .iter()
            .map(|text| Path::parse(text).unwrap())
            .collect();
        Paths::of("Patient", &all)
    };
    assert_eq!(paths(one).and(&paths(other)), paths(both));
    assert_eq!(paths(other).and(&paths(one)), paths(both));
}

#[test]
fn what_both_hide_is_hidden_by_both() {
    meets(
        &["Patient.address"],
        &["Patient.address.line"],
        &["Patient.address.line"],
    );
    meets(&["Patient.address"], &["Patient.name"], &[]);
    meets(&["Patient.address"], &[], &[]);
    let (ssn, mrn) = (
        "Patient.identifier.where(system='s')",
        "Patient.identifier.where(system='m')",
    );
    meets(
        &[ssn],
        &["Patient.identifier.value"],
        &["Patient.identifier.where(system='s').value"],
    );
    meets(&[ssn], &[mrn], &[]);
    let other = "Patient.identifier.where(use='old')";
    meets(&[ssn], &[other], &[ssn, other]);
    let all = [ssn, "Patient.identifier", "Patient.identifier.value"];
    let all: Vec<Path> = all.iter().map(|text| Path::parse(text).unwrap()).collect();
    assert_eq!(Paths::of("Patient", &all).iter().count(), 1);
}

#[track_caller]
fn bars(path: &str, barred: &[&str]) {
    let hidden = hidden(&[path]);
    let ty = path.split('.').next().unwrap();
    // What `deceased` reads is not made out, and `_query` is no parameter by itself.
    let unknown = |parameter: &SearchParameter| matches!(parameter.code, "_query" | "deceased");
    let reads = |parameter: &&SearchParameter| {
        let reads = hidden.is_read_by(ty, parameter);
        assert!(reads || !unknown(parameter));
        reads && !unknown(parameter)
    };
    let all = definitions::r4().search_parameters(ty).iter();
    let found: Vec<&str> = all.filter(reads).map(|parameter| parameter.code).collect();
    assert_eq!(found, barred, "{path}");
}

#[test]
fn parameters_that_tell_of_what_is_hidden() {
    bars("Patient.birthDate", &["_content", "_text", "birthdate"]);
    bars(
        "Patient.telecom",
        &["_content", "_text", "email", "phone", "telecom"],
    );
    bars(
        "Patient.telecom.use",
        &["_content", "_text", "email", "phone", "telecom"],
    );
    bars(
        "Patient.address.city",
        &["_content", "_text", "address", "address-city"],
    );
    bars("Patient.deceased", &["_content", "_text", "death-date"]);
    bars("Patient.photo", &["_content", "_text"]);
    let values = [
        "_content",
        "_text",
        "code-value-concept",
        "code-value-date",
        "code-value-quantity",
        "code-value-string",
        "combo-code-value-concept",
        "combo-code-value-quantity",
        "combo-value-concept",
        "combo-value-quantity",
        "value-concept",
        "value-date",
        "value-quantity",
        "value-string",
    ];
    bars("Observation.value", &values);
}

const STORED: &str = r#"{"resourceType":"Patient","text":{"status":"generated","div":"x"},"telecom":[{"value":"secret"}],"gender":"male","contact":[{"gender":"male","telecom":[{"value":"secret"}]}]}"#;

/// What a sender without sight of `paths` sends, and what comes of it; or the faults.
#[track_caller]
fn keeps(
    (paths, read_only): (&[&str], &[&str]),
    stored: Option<&str>,
    sent: &str,
    result: Result<&str, &[&str]>,
) {
    let all = hidden(paths);
    let (stored, sent) = (stored.map(parse), parse(sent));
    let fixed: Vec<Path> = read_only
        .iter()
        .map(|text| Path::parse(text).unwrap())
        .collect();
    let fixed = Paths::of("Patient", &fixed);
    let stored = stored.as_ref().map(Document::root);
    let found = keep(stored, sent.root(), (&all, all.on("Patient"), &fixed));
    match (found, result) {
        (Ok(text), Ok(expected)) => {
            let (text, expected) = (parse(&text), parse(expected));
            let same = crate::patch::equal::equal(text.root(), expected.root());
            assert!(same, "{}", text.text());
        }
        (Err(faults), Err(expected)) => {
            let found: Vec<&str> = faults.iter().map(|fault| &*fault.path).collect();
            assert_eq!(found, expected);
        }
        (found, expected) => panic!("{found:?} for {expected:?}"),
    }
}

#[test]
fn what_is_hidden_stays_as_it_was() {
    let telecom: &[&str] = &["Patient.telecom"];
    let sent = r#"{"resourceType":"Patient","gender":"female"}"#;
    let with = r#"{"resourceType":"Patient","gender":"female","text":{"status":"generated","div":"x"},"telecom":[{"value":"secret"}]}"#;
    keeps((telecom, &[]), Some(STORED), sent, Ok(with));
    keeps((telecom, &[]), None, sent, Ok(sent));
    let tagged = format!(
        r#"{{"resourceType":"Patient","meta":{{"tag":[{}]}},"gender":"female"}}"#,
        crate::search::SUBSETTED
    );
    keeps((telecom, &[]), None, &tagged, Ok(sent));
    let written =
        r#"{"resourceType":"Patient","text":{"status":"generated","div":"new"},"gender":"female"}"#;
    let text = r#"{"resourceType":"Patient","gender":"female","text":{"status":"generated","div":"new"},"telecom":[{"value":"secret"}]}"#;
    keeps((telecom, &[]), Some(STORED), written, Ok(text));
    let own = r#"{"resourceType":"Patient","telecom":[{"value":"secret"}]}"#;
    let barred: Result<&str, &[&str]> = Err(&["Patient.telecom"]);
    keeps((telecom, &[]), Some(STORED), own, barred);
    keeps((telecom, &[]), None, own, barred);
}

#[test]
fn what_is_hidden_in_part_is_not_changed() {
    let part: (&[&str], &[&str]) = (&["Patient.contact.telecom"], &[]);
    let as_seen = r#"{"resourceType":"Patient","telecom":[{"value":"secret"}],"gender":"other","contact":[{"gender":"male"}]}"#;
    let as_was = STORED.replace(
        r#""gender":"male","contact"#,
        r#""gender":"other","contact"#,
    );
    keeps(part, Some(STORED), as_seen, Ok(&as_was));
    let changed = r#"{"resourceType":"Patient","contact":[{"gender":"female"}]}"#;
    let barred: Result<&str, &[&str]> = Err(&["Patient.contact"]);
    keeps(part, Some(STORED), changed, barred);
    keeps(part, Some(STORED), r#"{"resourceType":"Patient"}"#, barred);
    keeps(part, None, changed, Ok(changed));
    keeps(part, None, STORED, barred);
}

#[test]
fn what_is_new_may_hold_others_without_what_is_hidden_of_them() {
    let all = hidden(&["Patient.telecom"]);
    let check = |patient: &str, may: bool| {
        let sent = format!(r#"{{"resourceType":"Observation","contained":[{patient}]}}"#);
        let sent = parse(&sent);
        let kept = keep(None, sent.root(), (&all, Paths::NONE, Paths::NONE));
        assert_eq!(kept.is_ok(), may, "{patient} {kept:?}");
    };
    check(
        r#"{"resourceType":"Patient","id":"p","text":{"div":"x"}}"#,
        true,
    );
    check(
        r#"{"resourceType":"Patient","id":"p","telecom":[{"value":"1"}]}"#,
        false,
    );
}

#[test]
fn what_is_read_only_is_sent_as_it_is() {
    let fixed: (&[&str], &[&str]) = (&[], &["Patient.gender", "Patient.contact.telecom"]);
    keeps(fixed, Some(STORED), STORED, Ok(STORED));
    let other = STORED.replace("male", "female");
    keeps(fixed, Some(STORED), &other, Err(&["Patient.gender"]));
    let none = r#"{"resourceType":"Patient"}"#;
    keeps(
        fixed,
        Some(STORED),
        none,
        Err(&["Patient.contact.telecom", "Patient.gender"]),
    );
    keeps(fixed, None, none, Ok(none));
    keeps(
        fixed,
        None,
        STORED,
        Err(&["Patient.contact.telecom", "Patient.gender"]),
    );
}

#[test]
fn what_is_kept_of_what_is_shown_is_what_was_stored() {
    crate::validate::corpus::each_example(|name, text| {
        let Ok(stored) = Document::parse(text, &Limits::default()) else {
            return;
        };
        let Some(ty) = stored.root().get("resourceType").and_then(Node::str) else {
            return;
        };
        let Some(id) = definitions::r4().resource_named(&ty) else {
            return;
        };
        let keys = definitions::r4().keys(definitions::Parent::Type(id));
        for key in keys.iter().step_by(3) {
            let element = definitions::r4().element(key.element);
            let Ok(path) = Path::parse(&format!("{ty}.{}", element.name)) else {
                continue;
            };
            let mut hidden = Hidden::default();
            hidden.add(path.ty(), &Paths::of(path.ty(), [&path]));
            let own = hidden.on(&ty).clone();
            let shown = hidden.hide(stored.root(), &own).unwrap();
            let shown = Document::parse(shown.into(), &Limits::default()).unwrap();
            let kept = keep(
                Some(stored.root()),
                shown.root(),
                (&hidden, &own, Paths::NONE),
            );
            let kept = kept.unwrap_or_else(|faults| panic!("{name}: {faults:?}"));
            let kept = Document::parse(kept.into(), &Limits::default()).unwrap();
            assert!(
                crate::patch::equal::equal(kept.root(), stored.root()),
                "{name} without {path}"
            );
        }
    });
}
