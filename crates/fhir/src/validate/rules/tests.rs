//! Invariants broken and kept, by hand and by evaluation.

use std::fmt::Write as _;

use crate::definitions;
use crate::fhirpath::{Expression, Options};
use crate::json::{self, Document};
use crate::validate::{Limits, resource, resource_within};

fn parse(text: &str) -> Document {
    Document::parse(text.into(), &json::Limits::default()).unwrap()
}

/// Validates a resource, given without its braces. Of what breaks, the place and the key
/// are expected: `Patient.contact[0] pat-1`.
#[track_caller]
fn check(ty: &str, members: &str, expect: &[&str]) {
    let document = parse(&format!(r#"{{"resourceType":"{ty}",{members}}}"#));
    let found = match resource(document.root()) {
        Ok(_) => Vec::new(),
        Err(issues) => issues,
    };
    let found = found.iter().map(|issue| {
        let details = issue.details.trim_start_matches("must keep the invariant ");
        let key = match details.split_once(": ") {
            Some((key, _)) => key,
            None => details.rsplit(['(', ')']).nth(1).unwrap_or(details),
        };
        format!("{} {key}", issue.expression)
    });
    assert_eq!(found.collect::<Vec<_>>(), expect);
}

#[track_caller]
fn observation(members: &str, expect: &[&str]) {
    let required = r#""status":"final","code":{"coding":[{"system":"s","code":"c"}]}"#;
    check("Observation", &format!("{required},{members}"), expect);
}

#[test]
fn the_rule_and_its_place_are_named() {
    let document = parse(r#"{"resourceType":"Patient","contact":[{"gender":"male"}]}"#);
    let issues = resource(document.root()).unwrap_err();
    let found: Vec<_> = issues.iter().map(ToString::to_string).collect();
    let rule = "name.exists() or telecom.exists() or address.exists() or organization.exists()";
    assert_eq!(
        found,
        [format!(
            "Patient.contact[0]: must keep the invariant pat-1: {rule}"
        )]
    );
}

#[test]
fn rules_of_types_and_elements_are_kept() {
    check("Patient", r#""contact":[{"name":{"text":"x"}}]"#, &[]);
    check(
        "Patient",
        r#""telecom":[{"value":"1"}],"photo":[{"data":"AAAA"}]"#,
        &["Patient.telecom[0] cpt-2", "Patient.photo[0] att-1"],
    );
    check("Organization", r#""active":true"#, &["Organization org-1"]);
    check(
        "Organization",
        r#""name":"x","telecom":[{"use":"work"},{"use":"home"}],"address":[{"use":"home"}]"#,
        &[
            "Organization.telecom[1] org-3",
            "Organization.address[0] org-2",
        ],
    );
    observation(
        r#""dataAbsentReason":{"text":"x"},"valueInteger":1,"referenceRange":[{"type":{"text":"x"}}]"#,
        &["Observation.referenceRange[0] obs-3", "Observation obs-6"],
    );
    let component = |code| {
        let coding = format!(r#"{{"coding":[{{"system":"s","code":"{code}"}}]}}"#);
        format!(r#""valueInteger":1,"component":[{{"code":{coding},"valueInteger":2}}]"#)
    };
    observation(&component("c"), &["Observation obs-7"]);
    observation(&component("d"), &[]);
}

#[test]
fn rules_of_a_base_hold_for_what_is_derived() {
    observation(
        r#""valueQuantity":{"value":1,"code":"mg"}"#,
        &["Observation.value qty-3"],
    );
    check(
        "Condition",
        r#""subject":{"reference":"Patient/1"},"onsetAge":{"value":-1,"code":"a"}"#,
        &["Condition.onset age-1", "Condition.onset qty-3"],
    );
}

#[test]
fn what_cannot_be_resolved_is_not_held_against_a_resource() {
    let participant = |member: &str| {
        let organization = r#""onBehalfOf":{"reference":"Organization/1"}"#;
        format!(r#""participant":[{{{member}{organization}}}]"#)
    };
    check("CareTeam", &participant(""), &[]);
    let member = |reference: &str| format!(r#""member":{{"reference":"{reference}"}},"#);
    check("CareTeam", &participant(&member("Practitioner/1")), &[]);
    check("CareTeam", &participant(&member("urn:uuid:1")), &[]);
    let contained = |ty: &str| {
        let participant = participant(&member("#a"));
        format!(r#""contained":[{{"resourceType":"{ty}","id":"a"}}],{participant}"#)
    };
    check("CareTeam", &contained("Practitioner"), &[]);
    let broken = &["CareTeam.participant[0] ctm-1"];
    check("CareTeam", &contained("Patient"), broken);
}

#[test]
fn rules_hold_for_content_that_is_shared() {
    let item =
        r#"{"linkId":"1","type":"group","item":[{"linkId":"2","type":"display","readOnly":true}]}"#;
    check(
        "Questionnaire",
        &format!(r#""status":"draft","item":[{item}]"#),
        &["Questionnaire.item[0].item[0] que-9"],
    );
}

#[test]
fn rules_hold_for_primitives_and_choices() {
    let max = |max| {
        format!(
            r#""url":"u","name":"N","status":"draft","kind":"logical","abstract":true,"type":"t",
            "differential":{{"element":[{{"id":"A","path":"A","max":"{max}"}}]}}"#
        )
    };
    let place = "StructureDefinition.differential.element[0].max eld-3";
    check("StructureDefinition", &max("-1"), &[place]);
    check("StructureDefinition", &max("*"), &[]);
    let risk = |low| {
        format!(
            r#""status":"final","subject":{{"reference":"Patient/1"}},
            "prediction":[{{"probabilityRange":{{"low":{low}}}}},{{"probabilityDecimal":0.5}}]"#
        )
    };
    let percent = r#"{"value":1,"system":"http://unitsofmeasure.org","code":"%"}"#;
    check("RiskAssessment", &risk(percent), &[]);
    let place = "RiskAssessment.prediction[0].probability ras-1";
    check(
        "RiskAssessment",
        &risk(&percent.replace('%', "1")),
        &[place],
    );
}

#[test]
fn a_period_does_not_end_before_it_starts() {
    let period = |start, end| format!(r#""effectivePeriod":{{"start":"{start}","end":"{end}"}}"#);
    let kept = |start, end| observation(&period(start, end), &[]);
    let broken = |start, end| observation(&period(start, end), &["Observation.effective per-1"]);
    kept("2020-01-01", "2020-01-01");
    kept("2020", "2020-06-01");
    kept("2020-01-01T10:00:00Z", "2020-01-01T10:00:00Z");
    kept("2020-01-01T10:00:00+02:00", "2020-01-01T09:00:00Z");
    broken("2020-01-02", "2020-01-01");
    broken("2020-01-01T10:00:01Z", "2020-01-01T10:00:00Z");
    broken("2020-01-01T10:00:00Z", "2020-01-01T10:00:00+02:00");
    broken("2020-01", "2019");
    // Without a zone nobody knows.
    kept("2020-01-01T10:00:00Z", "2019");
}

#[test]
fn elements_have_more_than_an_id() {
    check(
        "Patient",
        r#""maritalStatus":{"id":"a"},"_birthDate":{"id":"b"},"name":[{"given":["x",null],"_given":[{"id":"c"},{"id":"d"}]}]"#,
        &[
            "Patient.maritalStatus ele-1",
            "Patient.birthDate ele-1",
            "Patient.name[0].given[1] ele-1",
        ],
    );
    check("Patient", r#""id":"a""#, &[]);
    check("Patient", r#""gender":"male","_gender":{"id":"a"}"#, &[]);
}

#[test]
fn contained_resources_are_linked() {
    let contained = |inner: &str, outer: &str| {
        format!(
            r##""contained":[{{"resourceType":"Patient","id":"p","link":[{{"type":"refer","other":{{"reference":"{inner}"}}}}]}}]{outer}"##
        )
    };
    let lost = &["Observation.contained[0] dom-3"];
    observation(&contained("Patient/1", ""), lost);
    observation(&contained("#", ""), &[]);
    observation(&contained("#p", ""), &[]);
    let subject = r##","subject":{"reference":"#p"}"##;
    observation(&contained("Patient/1", subject), &[]);
    let link = r##","extension":[{"url":"u","valueUri":"#p"}]"##;
    observation(&contained("Patient/1", link), &[]);
    let text = r##","extension":[{"url":"u","valueString":"#p"}]"##;
    observation(&contained("Patient/1", text), lost);
}

#[test]
fn the_entries_of_a_bundle_fit_its_type() {
    let request = r#""request":{"method":"DELETE","url":"Patient/1"}"#;
    let response = r#""response":{"status":"200"}"#;
    let bundle = |ty, entries: &str, expect: &[&str]| {
        let members = format!(r#""type":"{ty}","entry":[{entries}]"#);
        check("Bundle", &members, expect);
    };
    bundle("transaction", &format!("{{{request}}}"), &[]);
    bundle("history", &format!("{{{request},{response}}}"), &[]);
    bundle(
        "transaction",
        &format!("{{{response}}}"),
        &["Bundle.entry[0] bdl-3", "Bundle.entry[0] bdl-4"],
    );
    bundle(
        "batch-response",
        &format!(r#"{{{request},"search":{{"score":1}}}}"#),
        &[
            "Bundle.entry[0] bdl-3",
            "Bundle.entry[0] bdl-4",
            "Bundle.entry[0] bdl-2",
        ],
    );
    let of = |version| {
        let meta = format!(r#""meta":{{"versionId":"{version}"}}"#);
        format!(r#"{{"fullUrl":"urn:uuid:1","resource":{{"resourceType":"Patient",{meta}}}}}"#)
    };
    let (one, two) = (of("1"), of("2"));
    bundle("collection", &format!("{one},{two}"), &[]);
    bundle(
        "collection",
        &format!("{one},{two},{one}"),
        &["Bundle.entry[2].fullUrl bdl-7"],
    );
    bundle(
        "collection",
        r#"{"fullUrl":"http://a/Patient/1/_history/1","link":[{"relation":"a","url":"b"}]}"#,
        &["Bundle.entry[0] bdl-5", "Bundle.entry[0].fullUrl bdl-8"],
    );
    check(
        "Bundle",
        r#""type":"collection","total":1"#,
        &["Bundle bdl-1"],
    );
}

#[test]
fn a_rule_with_a_slip_is_read_as_it_was_meant() {
    let when = |answer| {
        format!(
            r#""status":"draft","item":[{{"linkId":"1","type":"group","item":[{{"linkId":"2","type":"string",
            "enableWhen":[{{"question":"1","operator":"exists",{answer}}}]}}]}}]"#
        )
    };
    check("Questionnaire", &when(r#""answerBoolean":true"#), &[]);
    check(
        "Questionnaire",
        &when(r#""answerInteger":1"#),
        &["Questionnaire.item[0].item[0].enableWhen[0] que-7"],
    );
}

#[test]
fn without_the_structure_there_is_nothing_to_hold_a_rule_against() {
    let document = parse(r#"{"resourceType":"Patient","contact":[{"gender":1}]}"#);
    let issues = resource(document.root()).unwrap_err();
    assert_eq!(issues.len(), 1, "{issues:?}");
}

#[test]
fn rules_can_be_left_out() {
    let document = parse(r#"{"resourceType":"Organization"}"#);
    let limits = Limits {
        invariants: false,
        ..Limits::default()
    };
    assert!(resource_within(document.root(), &limits).is_ok());
    assert!(resource(document.root()).is_err());
}

#[test]
fn what_would_cost_too_much_is_refused() {
    let mut elements = r#"{"id":"A","path":"A","definition":"d","min":0,"max":"1","base":{"path":"A","min":0,"max":"1"}}"#.to_owned();
    for n in 0..2000 {
        let _ = write!(
            elements,
            r#",{{"id":"{n}","path":"A.b{n}","definition":"d","min":0,"max":"1","base":{{"path":"A","min":0,"max":"1"}}}}"#
        );
    }
    let members = format!(
        r#""url":"u","name":"N","status":"draft","kind":"resource","abstract":true,"type":"A","snapshot":{{"element":[{elements}]}}"#
    );
    check(
        "StructureDefinition",
        &members,
        &["StructureDefinition.snapshot is too large for the invariant sdf-8 to be checked"],
    );
}

#[test]
fn every_rule_can_be_compiled() {
    let definitions = definitions::r4();
    let of_types = definitions.types().flat_map(|ty| ty.invariants);
    let of_elements = definitions
        .types()
        .flat_map(|ty| ty.elements)
        .flat_map(|id| definitions.element(*id).invariants);
    let mut count = 0;
    for rule in of_types.chain(of_elements).filter(|rule| rule.is_error) {
        let compiled = Expression::compile_with(rule.expression, None, Options::default());
        assert!(compiled.is_ok(), "{}: {compiled:?}", rule.key);
        count += 1;
    }
    assert!(count > 200, "{count}");
}
