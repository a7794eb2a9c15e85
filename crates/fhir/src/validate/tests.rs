//! Faults and where they are reported.

use proptest::prelude::*;

use super::{Limits, resource, resource_within};
use crate::issue::{Issue, IssueType};
use crate::json::{self, Document};

fn parse(text: &str) -> Document {
    Document::parse(text.into(), &json::Limits::default()).unwrap()
}

/// Validates by everything that can be checked, also what a write does not look at.
fn all_checks(document: &Document) -> Result<(), Vec<Issue>> {
    let limits = Limits {
        reference_targets: true,
        ..Limits::default()
    };
    resource_within(document.root(), &limits).map(|_| ())
}

/// Validates; compares the faults as `place: text`.
#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let document = parse(text);
    let found = match all_checks(&document) {
        Ok(_) => Vec::new(),
        Err(issues) => issues.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expect);
}

/// Validates a Patient with these members.
#[track_caller]
fn patient(members: &str, expect: &[&str]) {
    check(
        &format!(r#"{{"resourceType":"Patient",{members}}}"#),
        expect,
    );
}

/// Validates an Observation with these members beside the required ones.
#[track_caller]
fn observation(members: &str, expect: &[&str]) {
    let text = format!(
        r#"{{"resourceType":"Observation","status":"final","code":{{"text":"x"}},{members}}}"#
    );
    check(&text, expect);
}

#[test]
fn a_right_resource_has_no_faults() {
    patient(
        r#""id":"a-1.B","active":true,"name":[{"use":"official","family":"F","given":["G","H"]}],
        "birthDate":"1970-01","_birthDate":{"extension":[{"url":"http://x","valueCode":"y"}]},
        "deceasedBoolean":false,"multipleBirthInteger":2,
        "contact":[{"relationship":[{"text":"x"}],"name":{"text":"y"}}],
        "text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"}"#,
        &[],
    );
    observation(
        r#""valueQuantity":{"value":1.50e2,"unit":"mg","comparator":"<"}"#,
        &[],
    );
}

#[test]
fn the_type_must_be_known_and_stored() {
    check("[]", &["a resource must be a JSON object"]);
    check("{}", &["a resource must say its type in resourceType"]);
    let unknown = &["resourceType must name a type of resource of FHIR R4"];
    for name in [
        "\"DomainResource\"",
        "\"HumanName\"",
        "\"X\"",
        "1",
        "null",
        "\"\"",
    ] {
        check(&format!(r#"{{"resourceType":{name}}}"#), unknown);
    }
    check(r#"{"resourceType":"Patient"}"#, &[]);
}

#[test]
fn unknown_properties_are_named() {
    patient(
        r#""foo":1,"name":[{"bar":2}],"contact":[{"baz":3}],"_foo":{},"_name":[{}]"#,
        &[
            "Patient.foo: unknown property foo: Patient has no such element",
            "Patient.name[0].bar: unknown property bar: HumanName has no such element",
            "Patient.contact[0].baz: unknown property baz: Patient.contact has no such element",
            "Patient._foo: unknown property _foo: Patient has no such element",
            "Patient._name: unknown property _name: Patient has no such element",
        ],
    );
    patient(
        r#""Mrs Smith, 7 Elm Street":1,"name":[{"resourceType":"HumanName","text":"x"}]"#,
        &[
            "Patient: a property has a name that is no element of Patient",
            "Patient.name[0].resourceType: unknown property resourceType: HumanName has no such element",
        ],
    );
}

#[test]
fn cardinality_is_kept() {
    patient(
        r#""birthDate":["1970"],"name":{"text":"x"},"photo":[],"maritalStatus":{},"gender":null,"text":null"#,
        &[
            "Patient.birthDate: must not be an array: the element does not repeat",
            "Patient.name: must be an array: the element repeats",
            "Patient.photo: an array must not be empty: leave it out instead",
            "Patient.maritalStatus: an object must not be empty: leave it out instead",
            "Patient.gender: must not be null: leave it out instead",
            "Patient.text: must not be null: leave it out instead",
        ],
    );
    check(
        r#"{"resourceType":"Observation","component":[{"valueInteger":1}]}"#,
        &[
            "Observation.component[0].code: code is required",
            "Observation.status: status is required",
            "Observation.code: code is required",
        ],
    );
    patient(
        r#""name":[null,{"text":"x"}],"link":[{"type":"seealso"}]"#,
        &[
            "Patient.name[0]: must not be null",
            "Patient.link[0].other: other is required",
        ],
    );
    check(
        r#"{"resourceType":"Questionnaire","status":"draft","item":[{"linkId":"1","type":"group","item":[{"linkId":"2"}]}]}"#,
        &["Questionnaire.item[0].item[0].type: type is required"],
    );
}

#[test]
fn choices_have_one_type_that_is_allowed() {
    observation(
        r#""valueString":"x","valueInteger":1"#,
        &["Observation.value: must have one type only: has valueString and valueInteger"],
    );
    observation(
        r#""valueString":"x","_valueInteger":{"extension":[{"url":"u","valueCode":"c"}]}"#,
        &["Observation.value: must have one type only: has valueString and valueInteger"],
    );
    observation(r#""valueString":"x","_valueString":{"id":"a"}"#, &[]);
    observation(
        r#""valueAddress":{"text":"x"},"value":"x""#,
        &[
            "Observation.valueAddress: unknown property valueAddress: Observation has no such element",
            "Observation.value: unknown property value: Observation has no such element",
        ],
    );
    observation(
        r#""valueQuantity":{"value":"1"},"component":[{"code":{"text":"x"},"valueQuantity":{"unit":1}}]"#,
        &[
            "Observation.value.value: must be a JSON number",
            "Observation.component[0].value.unit: must be a JSON string",
        ],
    );
}

#[test]
fn primitives_carry_extensions_beside_them() {
    let extension = r#"{"extension":[{"url":"http://x","valueCode":"y"}]}"#;
    patient(
        &format!(
            r#""name":[{{"given":["a",null],"_given":[null,{extension}]}}],"_birthDate":{extension}"#
        ),
        &[],
    );
    patient(
        &format!(r#""name":[{{"given":["a"],"_given":[null,{extension}]}}]"#),
        &[
            "Patient.name[0].given: the values and their extensions must be arrays of the same length",
        ],
    );
    patient(
        r#""name":[{"given":["a",null],"_given":[{"id":"1"},null]}],"_active":true,"_gender":{}"#,
        &[
            "Patient.name[0].given[1]: must not be null",
            "Patient.active: must be a JSON object",
            "Patient.gender: an object must not be empty: leave it out instead",
        ],
    );
    patient(
        r#""name":[{"_given":[null]}],"_birthDate":{"value":"1"}"#,
        &[
            "Patient.name[0].given[0]: must not be null: there is no value beside it",
            "Patient.birthDate.value: unknown property value: date has no such element",
        ],
    );
    // An extension instead of a value counts for a required element.
    check(
        &format!(r#"{{"resourceType":"Observation","_status":{extension},"code":{{"text":"x"}}}}"#),
        &[],
    );
}

#[test]
fn very_many_gaps_are_no_burden() {
    let nulls = "null,".repeat(100_000);
    let extension = r#"{"extension":[{"url":"u","valueCode":"c"}]},"#.repeat(100_000);
    patient(
        &format!(r#""name":[{{"given":[{nulls}"x"],"_given":[{extension}null]}}]"#),
        &[],
    );
}

#[test]
fn required_codes_are_in_their_value_sets() {
    patient(
        r#""gender":"F""#,
        &[
            "Patient.gender: must be a code of the value set http://hl7.org/fhir/ValueSet/administrative-gender",
        ],
    );
    let condition = |status: &str| {
        format!(
            r#"{{"resourceType":"Condition","subject":{{"display":"x"}},"clinicalStatus":{status}}}"#
        )
    };
    let system = "http://terminology.hl7.org/CodeSystem/condition-clinical";
    let fault = "Condition.clinicalStatus: must be a code of the value set http://hl7.org/fhir/ValueSet/condition-clinical";
    check(
        &condition(&format!(
            r#"{{"coding":[{{"code":"x"}},{{"system":"{system}","code":"active"}}]}}"#
        )),
        &[],
    );
    check(
        &condition(&format!(
            r#"{{"coding":[{{"system":"{system}","code":"x"}}]}}"#
        )),
        &[fault],
    );
    check(
        &condition(r#"{"coding":[{"system":"http://x","code":"active"}]}"#),
        &[fault],
    );
    check(&condition(r#"{"text":"active"}"#), &[fault]);
    // MIME types are not enumerated.
    patient(r#""photo":[{"contentType":"image/anything"}]"#, &[]);
}

#[test]
fn a_write_may_refer_to_any_type() {
    let text = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Slot/1"}}"#;
    let document = parse(text);
    assert!(resource(document.root()).is_ok_and(|valid| valid.node().get("subject").is_some()));
}

#[test]
fn references_lead_to_allowed_types() {
    let fault = |at: &str| {
        format!("Observation.subject.{at}: must refer to Patient or Group or Device or Location")
    };
    for (reference, is_right) in [
        ("Patient/1", true),
        ("Patient/1/_history/2", true),
        ("http://example.org/fhir/Group/1", true),
        ("urn:uuid:9d2c", true),
        ("http://example.org/anything", true),
        ("Patient?identifier=http://x/Organization/y", true),
        ("Organization?identifier=x|y", false),
        ("no reference", true),
        ("Observation/1", false),
        ("http://example.org/fhir/Organization/1/_history/2", false),
    ] {
        let expect = match is_right {
            true => vec![],
            false => vec![fault("reference")],
        };
        let expect: Vec<&str> = expect.iter().map(String::as_str).collect();
        observation(
            &format!(r#""subject":{{"reference":"{reference}"}}"#),
            &expect,
        );
    }
    observation(r#""subject":{"type":"Observation"}"#, &[&fault("type")]);
    observation(r#""focus":[{"reference":"Slot/1"}]"#, &[]);
}

#[test]
fn contained_resources_are_checked_and_found() {
    observation(
        r##""contained":[{"resourceType":"Patient","id":"p","gender":"x"},{"resourceType":"Organization","id":"o","name":"O"}],
        "subject":{"reference":"#p"},"device":{"reference":"#nothing"},"specimen":{"reference":"#o"}"##,
        &[
            "Observation.contained[0].gender: must be a code of the value set http://hl7.org/fhir/ValueSet/administrative-gender",
            "Observation.device.reference: must lead to a contained resource (ref-1)",
            "Observation.specimen.reference: must refer to Specimen",
        ],
    );
    observation(
        r#""contained":[{"id":"x"},{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]},"x"]"#,
        &[
            "Observation.contained[0]: a resource must say its type in resourceType",
            "Observation.contained[1].contained: a contained resource must not contain others (dom-2)",
            "Observation.contained[2]: a resource must be a JSON object",
        ],
    );
}

#[test]
fn resources_in_bundles_and_parameters_are_checked() {
    check(
        r##"{"resourceType":"Bundle","type":"collection","entry":[
        {"resource":{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"O"}],
            "managingOrganization":{"reference":"#o"}}},
        {"resource":{"resourceType":"Patient","managingOrganization":{"reference":"#o"},"foo":1}},
        {"resource":{"resourceType":"X"}}]}"##,
        &[
            "Bundle.entry[1].resource.managingOrganization.reference: must lead to a contained resource (ref-1)",
            "Bundle.entry[1].resource.foo: unknown property foo: Patient has no such element",
            "Bundle.entry[2].resource: resourceType must name a type of resource of FHIR R4",
        ],
    );
    check(
        r#"{"resourceType":"Parameters","parameter":[{"name":"a","part":[{"name":"b","resource":{"resourceType":"Patient","active":1}}]}]}"#,
        &["Parameters.parameter[0].part[0].resource.active: must be true or false"],
    );
}

#[test]
fn extensions_have_a_url_and_a_value_or_extensions() {
    patient(
        r#""extension":[{"url":"http://x"},{"valueCode":"a"},{"url":"u","valueCode":"a","extension":[{"url":"b","valueCode":"c"}]},
        {"url":"u","_valueCode":{"id":"x"}}]"#,
        &[
            "Patient.extension[0]: an extension must have either a value or extensions (ext-1)",
            "Patient.extension[1].url: url is required",
            "Patient.extension[2]: an extension must have either a value or extensions (ext-1)",
            "Patient.extension[3].value: must have more than an id (ele-1)",
        ],
    );
    patient(
        r#""text":{"status":"empty","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>","_div":{"extension":[{"url":"u","valueCode":"c"}]}}"#,
        &["Patient.text._div: unknown property _div: Narrative has no such element"],
    );
}

#[test]
fn simple_quantities_have_no_comparator() {
    observation(
        r#""referenceRange":[{"low":{"value":1,"comparator":"<"}}]"#,
        &[
            "Observation.referenceRange[0].low.comparator: is not allowed here: the element is a SimpleQuantity",
        ],
    );
}

/// Puts a JSON value into an extension of a type.
#[track_caller]
fn primitive(key: &str, right: &[&str], wrong: &[&str]) {
    for (values, is_right) in [(right, true), (wrong, false)] {
        for value in values {
            let text = format!(
                r#"{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{{"url":"u","value{key}":{value}}}]}}"#
            );
            let document = parse(&text);
            let found = all_checks(&document).map_err(|issues| {
                assert_eq!(issues.len(), 1, "{issues:?}");
                assert_eq!(issues[0].expression, "Basic.extension[0].value");
            });
            assert_eq!(found.is_ok(), is_right, "{key} {value}");
        }
    }
}

#[test]
fn primitive_formats_are_kept() {
    primitive(
        "Boolean",
        &["true", "false"],
        &["\"true\"", "1", "null", "{}", "[true]"],
    );
    primitive(
        "Integer",
        &["0", "-2147483648", "2147483647"],
        &["2147483648", "1.0", "1e2", "\"1\"", "true"],
    );
    primitive("PositiveInt", &["1"], &["0", "-1", "2147483648"]);
    primitive("UnsignedInt", &["0", "1"], &["-1", "1.5"]);
    primitive(
        "Decimal",
        &["0", "-1.50", "1e10", "0.1E-3"],
        &["\"1\"", "null"],
    );
    primitive(
        "String",
        &["\" \"", "\"a\\tb\\r\\n\"", "\"ü\""],
        &["\"\"", "\"a\\u0007\"", "1"],
    );
    primitive(
        "Code",
        &["\"a\"", "\"a b\"", "\"a\\u00a0\""],
        &["\" a\"", "\"a \"", "\"a  b\"", "\"\""],
    );
    primitive(
        "Id",
        &["\"a-1.B\""],
        &[
            "\"a_b\"",
            "\"\"",
            "\"a/b\"",
            "\"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff12345\"",
        ],
    );
    primitive(
        "Uri",
        &["\"a\"", "\"http://x/y?z#a\""],
        &["\"a b\"", "\"\"", "\"a\\u00a0\""],
    );
    primitive("Url", &["\"a\""], &["\"a b\""]);
    primitive("Canonical", &["\"http://x|1\""], &["\"a b\""]);
    primitive(
        "Oid",
        &["\"urn:oid:1.2.0.3\""],
        &[
            "\"1.2.3\"",
            "\"urn:oid:3.1\"",
            "\"urn:oid:1.02\"",
            "\"urn:oid:1\"",
            "\"urn:oid:1.\"",
        ],
    );
    primitive(
        "Uuid",
        &["\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\""],
        &[
            "\"c757873d-ec9a-4326-a141-556f43239520\"",
            "\"urn:uuid:C757873D-ec9a-4326-a141-556f43239520\"",
            "\"urn:uuid:c757873d\"",
        ],
    );
    primitive(
        "Base64Binary",
        &["\"AAAA\"", "\"AA==\"", "\"AAA=\"", "\"AA\\nAA\""],
        &["\"A\"", "\"AA=A\"", "\"A===\"", "\"====\"", "\"AA-_\""],
    );
    primitive("Markdown", &["\"# a\""], &["\"\"", "\"\\u0001\""]);
}

#[test]
fn dates_and_times_are_kept() {
    primitive(
        "Date",
        &["\"2024\"", "\"2024-02\"", "\"2024-02-29\""],
        &[
            "\"2023-02-29\"",
            "\"2024-13\"",
            "\"24\"",
            "\"2024-1-1\"",
            "\"2024-01-01T00:00:00Z\"",
            "2024",
            "\"0000\"",
        ],
    );
    primitive(
        "DateTime",
        &[
            "\"2024\"",
            "\"2024-02-29\"",
            "\"2024-02-29T23:59:60Z\"",
            "\"2024-02-29T10:00:00.123+05:30\"",
            "\"2024-02-29T10:00:00-14:00\"",
        ],
        &[
            "\"2024-02-29T10:00:00\"",
            "\"2024-02-29T10:00Z\"",
            "\"2024-02-29T24:00:00Z\"",
            "\"2024-02-29 10:00:00Z\"",
            "\"2024-02-29T10:00:00+15:00\"",
            "\"2024-02T10:00:00Z\"",
        ],
    );
    primitive(
        "Instant",
        &["\"2024-02-29T10:00:00Z\""],
        &["\"2024-02-29\"", "\"2024-02-29T10:00:00\""],
    );
    primitive(
        "Time",
        &["\"23:59:59\"", "\"00:00:00.5\""],
        &["\"24:00:00\"", "\"10:00\"", "\"10:00:00Z\""],
    );
}

#[test]
fn issues_say_what_kind_they_are() {
    let document = parse(
        r#"{"resourceType":"Observation","foo":1,"status":"x","issued":"y","valueString":"","contained":[]}"#,
    );
    let codes: Vec<IssueType> = all_checks(&document)
        .unwrap_err()
        .iter()
        .map(|issue| issue.code)
        .collect();
    assert_eq!(
        codes,
        [
            IssueType::Structure,
            IssueType::CodeInvalid,
            IssueType::Value,
            IssueType::Value,
            IssueType::Structure,
            IssueType::Required,
        ]
    );
}

#[test]
fn the_number_of_issues_has_an_end() {
    let names = vec![r#"{"x":1}"#; 500].join(",");
    let document = parse(&format!(r#"{{"resourceType":"Patient","name":[{names}]}}"#));
    let limits = Limits {
        issues_max: 7,
        ..Limits::default()
    };
    assert_eq!(
        resource_within(document.root(), &limits).unwrap_err().len(),
        7
    );
    assert_eq!(resource(document.root()).unwrap_err().len(), 100);
}

#[test]
fn the_depth_has_an_end() {
    let deep = r#"{"url":"u","extension":["#;
    let text = format!(
        r#"{{"resourceType":"Patient","extension":[{}{}{}]}}"#,
        deep.repeat(30),
        r#"{"url":"u","valueCode":"x"}"#,
        "]}".repeat(30)
    );
    check_depth(&text, 64, true);
    check_depth(&text, 20, false);
}

#[track_caller]
fn check_depth(text: &str, depth_max: usize, is_right: bool) {
    let limits = Limits {
        depth_max,
        ..Limits::default()
    };
    let document = Document::parse(
        text.into(),
        &json::Limits {
            depth_max: 1000,
            ..json::Limits::default()
        },
    );
    let document = document.unwrap();
    let found = resource_within(document.root(), &limits);
    assert_eq!(found.is_ok(), is_right);
}

#[test]
fn no_value_is_repeated_in_an_issue() {
    let marker = "Zaphod";
    let text = r#"{"resourceType":"Patient","id":"Zaphod!","active":"Zaphod","gender":"Zaphod","birthDate":"Zaphod",
        "name":[{"use":"Zaphod","given":["Zaphod",null]}],"managingOrganization":{"reference":"Patient/Zaphod"},
        "text":{"status":"Zaphod","div":"<b>Zaphod</b>"},"contained":["Zaphod"]}"#;
    let document = parse(text);
    let issues = all_checks(&document).unwrap_err();
    assert_eq!(issues.len(), 9 + 1);
    assert!(
        issues
            .iter()
            .all(|issue| !issue.to_string().contains(marker))
    );
}

/// JSON that looks a little like a resource.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("Patient"),
            Just("Bundle"),
            Just("2024-01-01"),
            Just("final"),
            Just("Patient/1"),
            Just("#a"),
            Just("<div xmlns='http://www.w3.org/1999/xhtml'><p")
        ]
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-z_]{0,6}",
        prop_oneof![
            Just("resourceType"),
            Just("name"),
            Just("_given"),
            Just("given"),
            Just("extension"),
            Just("valueString"),
            Just("valueReference"),
            Just("contained"),
            Just("entry"),
            Just("resource"),
            Just("reference"),
            Just("subject"),
            Just("text"),
            Just("div"),
            Just("url"),
            Just("code"),
            Just("coding"),
            Just("identifier"),
            Just("id"),
        ]
        .prop_map(String::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..8).prop_map(Value::from_iter),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anything_is_answered(json in any_json(), ty in prop_oneof![Just("Patient"), Just("Bundle"), Just("Observation"), Just("Questionnaire")]) {
        let mut json = json;
        if let Some(members) = json.as_object_mut() {
            members.insert("resourceType".into(), ty.into());
        }
        let document = parse(&json.to_string());
        match resource(document.root()) {
            Ok(valid) => prop_assert!(valid.resource().type_name() == ty),
            Err(issues) => prop_assert!(!issues.is_empty() && issues.len() <= 100),
        }
    }
}
