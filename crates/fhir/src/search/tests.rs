//! Values as the tables of the specification say, out of whole resources:
//! <https://hl7.org/fhir/R4/search.html#ptypes>.

mod ranges;

use super::*;
use crate::compartment;
use crate::json::{Document, Limits, Node};
use crate::splice::{self, Splices, Stamp};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

const OWN: &[&str] = &["http://localhost/fhir"];

fn document(text: &str) -> Document {
    Document::parse(text.as_bytes().to_vec(), &Limits::default()).unwrap()
}

fn extractor(node: Node<'_>) -> &'static Extractor {
    let ty = node.get("resourceType").and_then(Node::plain_str).unwrap();
    Extractor::for_type(ty).unwrap()
}

fn show(value: &Value<'_>) -> String {
    let instant = |ms: i64| match ms {
        i64::MIN => "..".to_owned(),
        i64::MAX => "..".to_owned(),
        ms => jiff::Timestamp::from_millisecond(ms).unwrap().to_string(),
    };
    match value {
        Value::Token { system, code } => format!("{system}|{code}"),
        Value::Words(words) => format!("{words:?}"),
        Value::OfType {
            system,
            code,
            value,
        } => format!("{system}|{code}|{value}"),
        Value::Composite(parts) => parts.iter().map(show).collect::<Vec<_>>().join(" $ "),
        Value::String { folded, exact } => format!("{folded}={exact}"),
        Value::Date(span) => format!("{}/{}", instant(span.from_ms), instant(span.to_ms)),
        Value::Number(number) => number.to_string(),
        Value::Quantity {
            value,
            system,
            code,
        } => format!("{value}|{system}|{code}"),
        Value::Amount { value, unit, code } => format!("{value} {unit} as {code}"),
        Value::Range { low, high } => {
            let end = |end: &Option<Box<Value<'_>>>| end.as_deref().map_or("..".to_owned(), show);
            format!("{} to {}", end(low), end(high))
        }
        Value::Reference {
            ty,
            id,
            version: None,
        } => format!("{ty}/{id}"),
        Value::Reference {
            ty,
            id,
            version: Some(v),
        } => format!("{ty}/{id}@{v}"),
        Value::ReferenceUri(url) => format!("<{url}>"),
        Value::ReferenceIdentifier { system, value } => format!("identifier {system}|{value}"),
        Value::Uri(uri) => format!("<{uri}>"),
        Value::Place {
            latitude,
            longitude,
        } => format!("{latitude} north {longitude} east"),
        Value::Present => "present".to_owned(),
    }
}

/// The values of one parameter of a resource, given without its braces.
#[track_caller]
fn check(ty: &str, members: &str, code: &str, expected: &[&str]) {
    let document = document(&format!(r#"{{"resourceType":"{ty}",{members}}}"#));
    let extractor = extractor(document.root());
    let number = extractor.parameters().iter().position(|p| p.code == code);
    let number = number.expect("a parameter of the type");
    let entries = extractor.extract(document.root(), OWN).unwrap();
    let found = entries
        .iter()
        .filter(|entry| usize::from(entry.parameter) == number);
    assert_eq!(
        found.map(|entry| show(&entry.value)).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn places_from_positions() {
    let at = |latitude: &str, longitude: &str| {
        format!(r#""position":{{"latitude":{latitude},"longitude":{longitude}}}"#)
    };
    let expected = ["48.850 north -2.5e1 east"];
    check("Location", &at("48.850", "-2.5e1"), "near", &expected);
    check("Location", &at("90.5", "0"), "near", &["present"]);
    check("Location", &at("0", "-181"), "near", &["present"]);
    check(
        "Location",
        r#""position":{"latitude":1}"#,
        "near",
        &["present"],
    );
    check("Location", r#""name":"x""#, "near", &[]);
}

#[test]
fn tokens_from_codings() {
    let code = r#""code":{"coding":[{"system":"http://loinc.org","code":"8480-6","display":"Systolic"},{"code":"x"}],"text":"BP"}"#;
    let expected = ["http://loinc.org|8480-6", "\"systolic\"", "|x", "\"bp\""];
    check("Observation", code, "code", &expected);
    // Its words are those of `code` and `component-code`.
    let expected = ["http://loinc.org|8480-6", "|x"];
    check("Observation", code, "combo-code", &expected);
    check(
        "Observation",
        r#""code":{"text":"only words"}"#,
        "code",
        &["\"only words\"", "present"],
    );
    check(
        "Observation",
        r#""code":{"coding":[{"system":"http://s"}]}"#,
        "code",
        &["http://s|"],
    );
    check(
        "Encounter",
        r#""class":{"system":"http://c","code":"AMB"}"#,
        "class",
        &["http://c|AMB"],
    );
    let tag =
        r#""meta":{"tag":[{"system":"http://t","code":"a"},{"system":"http://t","code":"a"}]}"#;
    check("Patient", tag, "_tag", &["http://t|a"]);
}

#[test]
fn tokens_from_identifiers_contacts_and_primitives() {
    let identifier = r#""identifier":[{"system":"http://mrn","value":"7","type":{"text":"A Number","coding":[{"system":"http://t","code":"MR"},{"code":"X"},{"system":"http://none"}]}},{"value":"8"},{"system":"http://none"}]"#;
    let expected = [
        "\"a number\"",
        "http://mrn|7",
        "http://t|MR|7",
        "|X|7",
        "|8",
    ];
    check("Patient", identifier, "identifier", &expected);
    let telecom = r#""telecom":[{"system":"phone","value":"555","use":"home"},{"system":"email","value":"a@b"}]"#;
    check("Patient", telecom, "telecom", &["home|555", "|a@b"]);
    check("Patient", telecom, "phone", &["home|555"]);
    check("Patient", telecom, "email", &["|a@b"]);
    check("Patient", r#""active":true"#, "active", &["|true"]);
    check("ValueSet", r#""version":"1.2""#, "version", &["|1.2"]);
}

#[test]
fn composites_keep_together_what_is_of_one_element() {
    let pressure = r#""status":"final","code":{"coding":[{"system":"http://l","code":"bp"},{"code":"y"}]},"component":[
        {"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":120,"unit":"mmHg","system":"http://u","code":"mm[Hg]"}},
        {"code":{"coding":[{"code":"dia"}]},"valueQuantity":{"value":80,"code":"mm[Hg]"}},
        {"code":{"coding":[{"code":"none"}]},"valueString":"x"}]"#;
    let components = [
        "|sys $ 120|http://u|mm[Hg]",
        "|sys $ 120||mmHg",
        "|dia $ 80||mm[Hg]",
    ];
    check(
        "Observation",
        pressure,
        "component-code-value-quantity",
        &components,
    );
    check("Observation", pressure, "code-value-quantity", &[]);
    // It is the union of the two.
    check("Observation", pressure, "combo-code-value-quantity", &[]);
    let weight = r#""code":{"coding":[{"code":"w"},{"code":"v"}],"text":"Weight"},"valueQuantity":{"value":7}"#;
    check(
        "Observation",
        weight,
        "code-value-quantity",
        &["|w $ 7||", "|v $ 7||"],
    );
    let dated = r#""code":{"coding":[{"code":"d"}]},"valueDateTime":"2020-01-01""#;
    let day = "2020-01-01T00:00:00Z/2020-01-02T00:00:00Z";
    check(
        "Observation",
        dated,
        "code-value-date",
        &[&format!("|d $ {day}")],
    );
    check(
        "DocumentReference",
        r#""relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}}]"#,
        "relationship",
        &["DocumentReference/1 $ http://hl7.org/fhir/document-relationship-type|replaces"],
    );
    check(
        "Group",
        r#""characteristic":[{"code":{"coding":[{"code":"g"}]},"valueBoolean":true},{"code":{"coding":[{"code":"h"}]},"valueCodeableConcept":{"coding":[{"code":"i"}]}}]"#,
        "characteristic-value",
        &["|g $ |true", "|h $ |i"],
    );
    check(
        "MolecularSequence",
        r#""referenceSeq":{"chromosome":{"coding":[{"code":"1"}]},"windowStart":3,"windowEnd":9},"variant":[{"start":4,"end":5}]"#,
        "chromosome-variant-coordinate",
        &["|1 $ 4 $ 5"],
    );
}

#[test]
fn every_composite_can_have_values_or_is_a_union() {
    let definitions = crate::definitions::r4();
    let mut unions = Vec::new();
    for ty in definitions.resource_types() {
        let extractor = Extractor::for_type(ty.name).unwrap();
        for (parameter, number) in extractor.parameters().iter().zip(0_u16..) {
            let is_union = extractor.is_union(number);
            if is_union {
                let members: Vec<&str> = extractor.kept_under(parameter).map(|p| p.code).collect();
                unions.push(format!("{} = {}", parameter.code, members.join(" | ")));
            }
            if parameter.kind == crate::definitions::SearchKind::Composite {
                let compounds = extractor.places.iter().flat_map(|place| &place.compounds);
                let has_values = compounds.clone().any(|it| it.parameter == number);
                assert!(has_values != is_union, "{} {}", ty.name, parameter.code);
            }
        }
    }
    assert!(unions.contains(&"combo-code = code | component-code".to_owned()));
    let combo = "combo-code-value-quantity = code-value-quantity | component-code-value-quantity";
    assert!(unions.contains(&combo.to_owned()), "{unions:#?}");
}

#[test]
fn too_many_tuples_are_refused() {
    let codings = r#"{"code":"x"},"#.repeat(300);
    let codings = codings.trim_end_matches(',');
    let text = format!(
        r#"{{"resourceType":"Observation","code":{{"coding":[{codings}]}},"valueCodeableConcept":{{"coding":[{codings}]}}}}"#
    );
    let document = document(&text);
    let extractor = extractor(document.root());
    assert!(extractor.extract(document.root(), OWN).is_err());
}

#[test]
fn a_code_has_the_one_system_of_its_required_value_set() {
    check(
        "Patient",
        r#""gender":"male""#,
        "gender",
        &["http://hl7.org/fhir/administrative-gender|male"],
    );
    check(
        "Observation",
        r#""status":"final""#,
        "status",
        &["http://hl7.org/fhir/observation-status|final"],
    );
}

#[test]
fn strings_fold_and_keep_their_parts() {
    let name = r#""name":[{"family":"Müller","given":["Ana  María","B"],"text":"Dr. Müller"}]"#;
    let parts = [
        "dr. muller=Dr. Müller",
        "muller=Müller",
        "ana maria=Ana  María",
        "b=B",
    ];
    check("Patient", name, "name", &parts);
    check("Patient", name, "family", &["muller=Müller"]);
    check("Patient", name, "given", &["ana maria=Ana  María", "b=B"]);
    let address = r#""address":[{"line":["1 Main St"],"city":"Zürich","postalCode":"8001"}]"#;
    let parts = ["1 main st=1 Main St", "zurich=Zürich", "8001=8001"];
    check("Patient", address, "address", &parts);
    check("Patient", address, "address-city", &["zurich=Zürich"]);
    check("Patient", r#""name":[{"family":"  "}]"#, "family", &[]);
}

#[test]
fn long_strings_are_cut() {
    let family = "é".repeat(400);
    let cut = "é".repeat(STRING_BYTES_MAX / 2);
    check(
        "Patient",
        &format!(r#""name":[{{"family":"{family}"}}]"#),
        "family",
        &[&format!("{}={cut}", "e".repeat(STRING_BYTES_MAX / 2))],
    );
}

#[test]
fn dates_are_spans() {
    let day = "1980-02-01T00:00:00Z/1980-03-01T00:00:00Z";
    check("Patient", r#""birthDate":"1980-02""#, "birthdate", &[day]);
    check("Patient", r#""birthDate":"1980-02-99""#, "birthdate", &[]);
    let second = "2020-01-01T10:00:00Z/2020-01-01T10:00:01Z";
    check(
        "Observation",
        r#""effectiveDateTime":"2020-01-01T12:00:00+02:00""#,
        "date",
        &[second],
    );
    check(
        "Observation",
        r#""effectiveInstant":"2020-01-01T10:00:00Z""#,
        "date",
        &[second],
    );
}

#[test]
fn periods_may_be_open() {
    let (start, end) = ("2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z");
    check(
        "Encounter",
        r#""period":{"start":"2020-01-01","end":"2020-01"}"#,
        "date",
        &[&format!("{start}/{end}")],
    );
    check(
        "Encounter",
        r#""period":{"start":"2020-01-01"}"#,
        "date",
        &[&format!("{start}/..")],
    );
    check(
        "Encounter",
        r#""period":{"end":"2020-01-31"}"#,
        "date",
        &[&format!("../{end}")],
    );
    check("Encounter", r#""period":{}"#, "date", &[]);
}

#[test]
fn a_timing_is_its_outer_limits() {
    check(
        "Observation",
        r#""effectiveTiming":{"event":["2020-03-01","2020-01-01"],"repeat":{"count":3}}"#,
        "date",
        &["2020-01-01T00:00:00Z/2020-03-02T00:00:00Z"],
    );
    check(
        "Observation",
        r#""effectiveTiming":{"repeat":{"boundsPeriod":{"start":"2020-01-01"}}}"#,
        "date",
        &["2020-01-01T00:00:00Z/.."],
    );
}

#[test]
fn numbers_and_quantities_keep_their_text() {
    let prediction = r#""prediction":[{"probabilityDecimal":0.10},{"probabilityDecimal":1e-3}]"#;
    check(
        "RiskAssessment",
        prediction,
        "probability",
        &["0.10", "1e-3"],
    );
    let range = r#""prediction":[{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]"#;
    check("RiskAssessment", range, "probability", &["1 to 2"]);
    let open = r#""prediction":[{"probabilityRange":{"low":{"value":1}}},{"probabilityRange":{}}]"#;
    check("RiskAssessment", open, "probability", &["1 to .."]);
    let quantity = r#""valueQuantity":{"value":120.0,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}"#;
    check(
        "Observation",
        quantity,
        "value-quantity",
        &["120.0||mmHg", "1599864e1 m-1.s-2.g as mm[Hg]"],
    );
    let same = r#""valueQuantity":{"value":1,"system":"http://unitsofmeasure.org","code":"kg"}"#;
    check(
        "Observation",
        same,
        "value-quantity",
        &["1||kg", "1e3 g as kg"],
    );
    let unknown = r#""valueQuantity":{"value":1,"unit":"boxes","system":"http://unitsofmeasure.org","code":"bx"}"#;
    check(
        "Observation",
        unknown,
        "value-quantity",
        &["1|http://unitsofmeasure.org|bx", "1||boxes"],
    );
    let unit = r#""valueQuantity":{"value":1,"unit":"mg"}"#;
    check("Observation", unit, "value-quantity", &["1||mg"]);
    check("Observation", unit, "combo-value-quantity", &["1||mg"]);
    let both = r#""valueQuantity":{"value":1,"unit":"mg","system":"http://s","code":"mg"}"#;
    check("Observation", both, "value-quantity", &["1|http://s|mg"]);
    let no_code = r#""valueQuantity":{"value":1,"unit":"mg","system":"http://s"}"#;
    check(
        "Observation",
        no_code,
        "value-quantity",
        &["1|http://s|", "1||mg"],
    );
    check(
        "Observation",
        r#""valueQuantity":{"value":1}"#,
        "value-quantity",
        &["1||"],
    );
    let money = r#""totalNet":{"value":9.50,"currency":"EUR"}"#;
    check(
        "Invoice",
        money,
        "totalnet",
        &["9.50|urn:iso:std:iso:4217|EUR"],
    );
    let age = r#""onsetAge":{"value":52,"system":"http://unitsofmeasure.org","code":"a"}"#;
    check(
        "Condition",
        age,
        "onset-age",
        &["52||a", "16409952e2 s as a"],
    );
}

#[test]
fn references_to_our_records_and_to_others() {
    let subject = |reference: &str| format!(r#""subject":{{"reference":"{reference}"}}"#);
    check(
        "Observation",
        &subject("Patient/1"),
        "subject",
        &["Patient/1"],
    );
    check(
        "Observation",
        &subject("Patient/1"),
        "patient",
        &["Patient/1"],
    );
    check(
        "Observation",
        &subject("Patient/1/_history/2"),
        "subject",
        &["Patient/1@2"],
    );
    check(
        "Observation",
        &subject("http://localhost/fhir/Patient/1"),
        "subject",
        &["Patient/1"],
    );
    let foreign = "http://other/fhir/Patient/1";
    check(
        "Observation",
        &subject(foreign),
        "subject",
        &[&format!("<{foreign}>")],
    );
    check(
        "Observation",
        &subject(foreign),
        "patient",
        &[&format!("<{foreign}>")],
    );
    check("Observation", &subject("Group/1"), "subject", &["Group/1"]);
    check("Observation", &subject("Group/1"), "patient", &[]);
    check(
        "Observation",
        &subject("urn:uuid:1"),
        "subject",
        &["<urn:uuid:1>"],
    );
    let escaped = r#""subject":{"reference":"Patient\/1"}"#;
    check("Observation", escaped, "subject", &["Patient/1"]);
}

#[test]
fn references_by_identifier() {
    let subject =
        r#""subject":{"type":"Patient","identifier":{"system":"http://mrn","value":"7"}}"#;
    check(
        "Observation",
        subject,
        "subject",
        &["identifier http://mrn|7", "present"],
    );
    check(
        "Observation",
        subject,
        "patient",
        &["identifier http://mrn|7", "present"],
    );
}

#[test]
fn canonicals_are_found_with_and_without_version() {
    check(
        "QuestionnaireResponse",
        r#""questionnaire":"http://q/1|2.0#part""#,
        "questionnaire",
        &["<http://q/1>", "<http://q/1|2.0>"],
    );
    check(
        "Measure",
        r#""relatedArtifact":[{"type":"depends-on","resource":"http://l/1"},{"type":"citation","resource":"http://l/2"}]"#,
        "depends-on",
        &["<http://l/1>"],
    );
}

#[test]
fn uris() {
    check(
        "ValueSet",
        r#""url":"http://v/1""#,
        "url",
        &["<http://v/1>"],
    );
    let profile = r#""meta":{"profile":["http://p/1"]}"#;
    check("Patient", profile, "_profile", &["<http://p/1>"]);
}

#[test]
fn the_first_resource_of_a_bundle() {
    check(
        "Bundle",
        r#""type":"document","entry":[{"resource":{"resourceType":"Composition","id":"c"}},{"resource":{"resourceType":"Patient","id":"p"}}]"#,
        "composition",
        &["Composition/c"],
    );
}

#[test]
fn an_expression_that_is_no_path() {
    check(
        "Patient",
        r#""deceasedDateTime":"2020""#,
        "deceased",
        &["|true"],
    );
    check(
        "Patient",
        r#""deceasedBoolean":true"#,
        "deceased",
        &["|true"],
    );
    check(
        "Patient",
        r#""deceasedBoolean":false"#,
        "deceased",
        &["|false"],
    );
    check("Patient", r#""active":true"#, "deceased", &["|false"]);
    check(
        "Patient",
        r#""deceasedDateTime":"2020""#,
        "death-date",
        &["2020-01-01T00:00:00Z/2021-01-01T00:00:00Z"],
    );
}

#[test]
fn what_has_nothing_to_compare_is_not_missing() {
    for (members, code) in [
        (r##""subject":{"reference":"#p"}"##, "subject"),
        (
            r#""subject":{"reference":"Patient?identifier=1"}"#,
            "subject",
        ),
        (r#""valueQuantity":{"unit":"mg"}"#, "value-quantity"),
        (r#""effectivePeriod":{"extension":[{"url":"u"}]}"#, "date"),
        (r#""code":{"coding":[{"userSelected":true}]}"#, "code"),
        (r#""identifier":[{"system":"http://mrn"}]"#, "identifier"),
    ] {
        check("Observation", members, code, &["present"]);
    }
    let words = r#""subject":{"display":"A"}"#;
    check("Observation", words, "subject", &["\"a\"", "present"]);
    let two = r#""identifier":[{"system":"http://mrn"},{"value":"1"}]"#;
    check("Observation", two, "identifier", &["|1"]);
    check("Observation", r#""subject":{}"#, "subject", &[]);
    // A value that is missing with a reason is missing.
    let reason = r#""_effectiveDateTime":{"extension":[{"url":"u","valueCode":"unknown"}]}"#;
    check("Observation", reason, "date", &[]);
}

#[test]
fn wrong_shapes_give_no_values_and_harm_nothing() {
    for members in [
        r#""subject":[[[{"reference":7}]]],"code":"x","effectiveDateTime":{},"valueQuantity":[null]"#,
        r#""subject":"Patient/1","identifier":{"value":{}},"status":[1]"#,
        r#""component":{"code":{"coding":{"code":null}}}"#,
    ] {
        let document = document(&format!(r#"{{"resourceType":"Observation",{members}}}"#));
        let entries = extractor(document.root()).extract(document.root(), OWN);
        let entries = entries.unwrap();
        let is_empty = |entry: &Entry<'_>| entry.value == Value::Present;
        assert!(entries.iter().all(is_empty), "{members}");
    }
}

/// JSON with the names that an Observation's parameters look at, in any shape.
fn any_shape() -> impl Strategy<Value = String> {
    let names = "code|coding|system|value|valueQuantity|subject|reference|identifier|component|\
                 effectivePeriod|effectiveTiming|event|start|end|repeat|boundsPeriod|meta|tag|status";
    let name = proptest::sample::select(names.split('|').collect::<Vec<_>>());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,3})?",
        "\"[a-zA-Z0-9:/#? .é-]{0,20}\"",
        "\"(Patient/[a-z0-9]{1,4}|2[0-9]{3}(-0[1-9](-1[0-9])?)?|urn:uuid:[a-f]{3})\"",
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let members = proptest::collection::btree_map(name.clone(), inner.clone(), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..3)
                .prop_map(|items| format!("[{}]", items.join(","))),
            members.prop_map(|members| {
                let members = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(1),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_shape_makes_it_panic_or_repeat_itself(value in any_shape()) {
        let extractor = Extractor::for_type("Observation").unwrap();
        let document = document(&value);
        let entries = extractor.extract(document.root(), OWN).unwrap();
        let different: HashSet<_> = entries.iter().collect();
        prop_assert_eq!(different.len(), entries.len());
        let _ = extractor.main_date(&entries);
        let _ = compartment::patients("Observation", "o", &entries);
    }
}

#[test]
fn too_many_values_are_refused() {
    let member = |n: usize| format!(r#"{{"entity":{{"reference":"Patient/{n}"}}}}"#);
    let members: Vec<String> = (0..=VALUES_MAX).map(member).collect();
    let text = format!(
        r#"{{"resourceType":"Group","member":[{}]}}"#,
        members.join(",")
    );
    let document = document(&text);
    assert!(
        extractor(document.root())
            .extract(document.root(), OWN)
            .is_err()
    );
}

#[test]
fn the_main_date_is_the_clinical_one() {
    let date = |text: &str| {
        let document = document(text);
        let extractor = extractor(document.root());
        let entries = extractor.extract(document.root(), OWN).unwrap();
        extractor.main_date(&entries)
    };
    let condition =
        r#"{"resourceType":"Condition","recordedDate":"2021-01-01","onsetDateTime":"2020"}"#;
    assert_eq!(date(condition), Span::parse("2020"));
    let recorded = r#"{"resourceType":"Condition","recordedDate":"2021-01-01"}"#;
    assert_eq!(date(recorded), Span::parse("2021-01-01"));
    assert_eq!(
        date(r#"{"resourceType":"Patient","birthDate":"2000"}"#),
        None
    );
}

#[test]
fn a_record_is_in_the_compartment_of_its_patient() {
    let patients = |text: &str, id: &str| {
        let document = document(text);
        let extractor = extractor(document.root());
        let entries = extractor.extract(document.root(), OWN).unwrap();
        let found = compartment::patients(extractor.ty(), id, &entries);
        found.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let observation = r#"{"resourceType":"Observation","subject":{"reference":"Patient/1"},"performer":[{"reference":"Patient/2"},{"reference":"Practitioner/3"}]}"#;
    assert_eq!(patients(observation, "o"), ["1", "2"]);
    assert_eq!(patients(r#"{"resourceType":"Patient"}"#, "p"), ["p"]);
    let group = r#"{"resourceType":"Observation","subject":{"reference":"Group/1"}}"#;
    assert_eq!(patients(group, "o"), [""; 0]);
    assert_eq!(patients(r#"{"resourceType":"Organization"}"#, "o"), [""; 0]);
}

#[test]
fn every_parameter_with_values_of_its_own_has_a_place() {
    let mut silent = Vec::new();
    for ty in crate::definitions::r4().resource_types() {
        let extractor = Extractor::for_type(ty.name).unwrap();
        silent.extend(
            extractor
                .without_values()
                .map(|p| format!("{}.{}", ty.name, p.code)),
        );
    }
    assert_eq!(silent, [""; 0]);
}

fn synthea() -> Vec<PathBuf> {
    let shared = std::env::var_os("SALUS_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(shared.join("data/synthea")) else {
        println!(
            "skipped: no Synthea bundles beside the workspace (SALUS_SHARED names the folder)"
        );
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// Each resource of a bundle as the server would store it: stamped, and with
/// the references to other entries made relative.
fn stored(bundle: &Document) -> Vec<Document> {
    let entries = || bundle.root().get("entry").unwrap().children();
    let text = |node: Node<'_>, key: &str| node.get(key).unwrap().plain_str().unwrap().to_owned();
    let names: HashMap<String, String> = entries()
        .map(|entry| {
            let resource = entry.get("resource").unwrap();
            let name = format!(
                "{}/{}",
                text(resource, "resourceType"),
                text(resource, "id")
            );
            (text(entry, "fullUrl"), name)
        })
        .collect();
    let resource = |entry: Node<'_>| {
        let resource = entry.get("resource").unwrap();
        let id = text(resource, "id");
        let stamp = Stamp {
            id: &id,
            version: "1",
            last_updated: "2026-01-01T00:00:00.000Z",
        };
        let mut splices = Splices::new();
        splice::add_stamp(resource, &stamp, &mut splices);
        splice::add_rewrites(
            resource,
            |literal| names.get(literal).cloned(),
            &mut splices,
        );
        document(&splices.apply(resource))
    };
    entries().map(resource).collect()
}

#[test]
fn synthea_records_have_their_values() {
    for file in synthea() {
        let bundle = Document::parse(std::fs::read(&file).unwrap(), &Limits::default()).unwrap();
        for document in stored(&bundle) {
            let resource = document.root();
            let extractor = extractor(resource);
            let entries = extractor.extract(resource, OWN).unwrap();
            let name = |e: &Entry<'_>| extractor.parameters()[usize::from(e.parameter)].code;
            let has = |code: &str| entries.iter().any(|entry| name(entry) == code);
            match extractor.ty() {
                "Observation" => {
                    assert!(has("code") && has("patient") && has("date") && has("status"));
                    let quantity = resource.get("valueQuantity").is_some();
                    assert_eq!(has("value-quantity"), quantity);
                    assert!(extractor.main_date(&entries).is_some());
                    assert_eq!(compartment::patients("Observation", "", &entries).len(), 1);
                }
                "Patient" => assert!(has("name") && has("birthdate") && has("gender")),
                "Encounter" => assert!(has("class") && has("date") && has("participant")),
                "Claim" => assert!(has("patient") && has("created") && has("provider")),
                _ => assert!(!entries.is_empty(), "{}", extractor.ty()),
            }
        }
    }
}
