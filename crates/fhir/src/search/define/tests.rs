//! Definitions: where they apply, why they are refused, what they find.

use super::*;
use crate::json::{Document, Limits as JsonLimits};
use crate::search::{Asking, Search};

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), &JsonLimits::default()).unwrap()
}

fn text_of(more: &str) -> String {
    let all = r#""resourceType":"SearchParameter","status":"active","url":"http://x/y""#;
    format!("{{{all},{more}}}")
}

/// The types on which it is a parameter, or what is wrong.
#[track_caller]
fn check(more: &str, expected: Result<&[&str], &str>) {
    let document = document(&text_of(more));
    let defined = define(document.root(), Parameters::r4());
    match (defined, expected) {
        (Ok(own), Ok(types)) => {
            let found: Vec<&str> = own.iter().map(|own| own.ty).collect();
            assert_eq!(found, types, "{more}");
        }
        (Err(issue), Err(reason)) => assert!(issue.to_string().contains(reason), "{issue}"),
        (defined, _) => panic!("{more}: {defined:?}"),
    }
}

#[test]
fn definitions_apply_to_the_types_of_their_bases() {
    let eye = r#""code":"eye","type":"token","expression":"Patient.extension.where(url='http://x/eye').value""#;
    check(&format!(r#"{eye},"base":["Patient"]"#), Ok(&["Patient"]));
    let part = r#""code":"part","type":"string","base":["Patient","Person"],"expression":"Patient.contact.name | Person.name.period.start.toString()""#;
    check(part, Ok(&["Patient", "Person"]));
    let lang =
        r#""code":"lang","type":"token","base":["Resource"],"expression":"Resource.language""#;
    let found = define(document(&text_of(lang)).root(), Parameters::r4()).unwrap();
    assert_eq!(found.len(), definitions::r4().resource_types().count() - 1);
    check(
        r#""code":"x","type":"token","base":["AuditEvent"],"expression":"AuditEvent.language""#,
        Err("other than AuditEvent"),
    );
}

#[test]
fn what_is_not_active_or_stands_for_a_parameter_of_r4_adds_nothing() {
    let draft = r#"{"resourceType":"SearchParameter","status":"draft","url":"http://x"}"#;
    assert!(
        define(document(draft).root(), Parameters::r4())
            .unwrap()
            .is_empty()
    );
    let us =
        r#""code":"birthdate","type":"date","base":["Patient"],"expression":"Patient.birthDate""#;
    check(us, Ok(&[]));
    let derived = r#""code":"birthdate","type":"date","base":["Patient"],"expression":"Patient.extension.value","derivedFrom":"http://hl7.org/fhir/SearchParameter/individual-birthdate""#;
    check(derived, Ok(&[]));
    let near = r#""code":"near","type":"special","base":["Location"],"derivedFrom":"http://hl7.org/fhir/SearchParameter/Location-near""#;
    check(near, Ok(&[]));
    let other = r#""code":"birthdate","type":"date","base":["Patient"],"expression":"Patient.extension.value""#;
    check(other, Err("another parameter of Patient"));
}

#[test]
fn what_cannot_be_served_is_refused_with_the_reason() {
    let base = r#""base":["Patient"],"expression":"Patient.name""#;
    check(
        &format!(r#""code":"x","type":"special",{base}"#),
        Err("SearchParameter.type: is not one that can be served; allowed: number, date"),
    );
    check(
        &format!(r#""code":"x","type":"spatial",{base}"#),
        Err("allowed: number, date"),
    );
    check(
        &format!(r#""code":"a:b","type":"string",{base}"#),
        Err("code"),
    );
    check(
        &format!(r#""code":"_x","type":"string",{base}"#),
        Err("code"),
    );
    check(
        &format!(r#""code":"x","type":"date",{base}"#),
        Err("leads to nothing of Patient"),
    );
    check(
        r#""code":"x","type":"date","base":["Patient"]"#,
        Err("expression"),
    );
    check(
        r#""code":"x","type":"date","base":["Nothing"],"expression":"x""#,
        Err("base"),
    );
    let broken =
        r#""code":"x","type":"date","base":["Patient"],"expression":"Patient.name.where(""#;
    check(broken, Err("expression"));
    let composite = r#""code":"x","type":"composite","base":["Patient"],"expression":"Patient""#;
    check(composite, Err("component"));
}

#[test]
fn equal_definitions_are_kept_once() {
    let text = text_of(
        r#""code":"eye","type":"token","base":["Patient"],"expression":"Patient.language""#,
    );
    let first = define(document(&text).root(), Parameters::r4()).unwrap();
    // Whatever else the resource says, and how its text is laid out.
    let again = text.replace(r#""code""#, r#" "description" : "Again", "code""#);
    for text in [&text, &again] {
        let second = define(document(text).root(), Parameters::r4()).unwrap();
        assert_eq!(first, second);
    }
    let other = text.replace("language", "gender");
    assert_ne!(
        first,
        define(document(&other).root(), Parameters::r4()).unwrap()
    );
}

/// The set with the parameters of these definitions.
fn set(definitions: &[&str]) -> Parameters {
    let mut all = Vec::new();
    for more in definitions {
        let known = Parameters::with(all.iter().map(|own| (*own, "x".into(), None)), None);
        all.extend(define(document(&text_of(more)).root(), &known).unwrap());
    }
    Parameters::with(all.into_iter().map(|own| (own, "x".into(), None)), None)
}

#[track_caller]
fn asks(parameters: &Parameters, query: (&str, &str), expected: Result<(), &str>) {
    let asking = Asking {
        hidden: crate::mask::Hidden::NOTHING,
        parameters,
        own_bases: &[],
        now_ms: 0,
    };
    let (_, problems) = Search::parse("Observation", &[query], &asking);
    match (problems.first(), expected) {
        (None, Ok(())) => {}
        (Some(problem), Err(reason)) => {
            assert!(problem.issue.to_string().contains(reason), "{problem:?}");
        }
        (problem, _) => panic!("{query:?}: {problem:?}"),
    }
}

#[test]
fn a_definition_limits_how_it_is_used() {
    let set = set(&[
        r#""code":"when","type":"date","base":["Observation"],"expression":"Observation.issued","comparator":["ge"],"multipleOr":false"#,
        r#""code":"who","type":"reference","base":["Observation"],"expression":"Observation.performer","target":["Practitioner"],"chain":["name"],"modifier":["missing"]"#,
    ]);
    asks(&set, ("when", "ge2020"), Ok(()));
    asks(&set, ("when", "2020"), Ok(()));
    asks(&set, ("when", "lt2020"), Err("allowed: ge"));
    asks(&set, ("when", "2020,2021"), Err("no alternatives"));
    asks(&set, ("who.name", "x"), Ok(()));
    asks(&set, ("who.family", "x"), Err("allowed: name"));
    asks(&set, ("who:missing", "true"), Ok(()));
    asks(&set, ("who:identifier", "x"), Err("allowed: missing"));
    asks(&set, ("_sort", "when"), Ok(()));
    asks(&set, ("_include", "Observation:who"), Ok(()));
    asks(
        &set,
        ("_include", "Observation:when"),
        Err("names no reference"),
    );
}

/// The values of the own parameters of an Observation.
#[track_caller]
fn extracts(definition: &str, observation: &str, expected: &[&str]) {
    let set = set(&[definition]);
    let text = format!(r#"{{"resourceType":"Observation",{observation}}}"#);
    let document = document(&text);
    let extractor = set.extractor("Observation").unwrap();
    let entries = extractor.extract(document.root(), &[""; 0]).unwrap();
    let own = entries.iter().filter(|entry| {
        let parameter = extractor.parameters()[usize::from(entry.parameter)];
        parameter.limits.is_some()
    });
    let found: Vec<String> = own.map(|entry| format!("{:?}", entry.value)).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{found} is not {expected}");
    }
}

#[test]
fn expressions_of_any_kind_give_values() {
    let base = r#""base":["Observation"]"#;
    let of = |ty: &str, expression: &str| {
        format!(r#""code":"mine","type":"{ty}",{base},"expression":"{expression}""#)
    };
    let value = r#""status":"final","valueInteger":7,"note":[{"text":"Some"},{"text":"More"}]"#;
    extracts(
        &of("number", "(Observation.value as integer)"),
        value,
        &["7"],
    );
    extracts(&of("number", "Observation.note.count()"), value, &["2"]);
    extracts(&of("token", "Observation.note.exists()"), value, &["true"]);
    extracts(
        &of("string", "Observation.note.select(text.upper())"),
        value,
        &["some", "more"],
    );
    extracts(&of("token", "Observation.status"), value, &["final"]);
    let parts = format!(
        r#""code":"both","type":"composite",{base},"expression":"Observation","component":[
        {{"definition":"http://hl7.org/fhir/SearchParameter/Observation-status","expression":"status"}},
        {{"definition":"http://hl7.org/fhir/SearchParameter/Observation-status","expression":"status"}}]"#
    );
    extracts(&parts, value, &["Composite"]);
}

#[test]
fn a_parameter_that_is_being_built_is_refused_wherever_it_is_used() {
    let definition = r#""code":"who","type":"reference","base":["Observation"],"expression":"Observation.performer","target":["Practitioner"]"#;
    let own = define(document(&text_of(definition)).root(), Parameters::r4()).unwrap();
    let building = std::sync::Arc::new(crate::search::Building::default());
    let set = Parameters::with(
        own.into_iter()
            .map(|own| (own, "x".into(), Some(building.clone()))),
        None,
    );
    for (name, value) in [
        ("who", "Practitioner/1"),
        ("who:missing", "true"),
        ("who.name", "x"),
        ("_has:Observation:who:status", "final"),
        ("_sort", "-who"),
        ("_include", "Observation:who"),
        ("_include", "Observation:*"),
        ("_include", "*"),
    ] {
        let ty = if name.starts_with("_has") {
            "Practitioner"
        } else {
            "Observation"
        };
        let asking = Asking {
            hidden: crate::mask::Hidden::NOTHING,
            parameters: &set,
            own_bases: &[],
            now_ms: 0,
        };
        let (_, problems) = Search::parse(ty, &[(name, value)], &asking);
        let codes: Vec<_> = problems.iter().map(|problem| problem.issue.code).collect();
        assert_eq!(codes, [IssueType::Transient], "{name}");
        assert!(!problems[0].is_ignorable());
    }
    asks(&set, ("_include", "Observation:subject"), Ok(()));
}
