//! Modifiers of tokens and references, and values with several parts:
//! <https://hl7.org/fhir/R4/search.html#ptypes>.

use serde_json::json;

use crate::host::{Project, project};
use crate::search::{check, refused};

fn ward(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ada", "gender": "female",
            "identifier": [
                {"system": "urn:a", "value": "7", "type": {"text": "Old Number", "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}},
                {"system": "urn:b", "value": "8", "type": {"coding": [{"code": "SS"}]}},
            ],
        }),
        json!({"resourceType": "Patient", "id": "bob", "identifier": [{"system": "urn:a", "value": "8"}]}),
        json!({
            "resourceType": "Condition", "id": "cough",
            "subject": {"reference": "Patient/ada", "display": "Ada the First"},
            "code": {"text": "A bad Cough", "coding": [{"system": "urn:c", "code": "c1", "display": "Réd throat"}]},
        }),
        json!({
            "resourceType": "Condition", "id": "words",
            "subject": {"reference": "Patient/bob/_history/1"}, "code": {"text": "bad temper"},
        }),
        json!({
            "resourceType": "Observation", "id": "pressure", "status": "final", "code": {"coding": [{"code": "bp", "display": "Pressure"}]},
            "component": [{"code": {"coding": [{"code": "sys", "display": "Upper"}]}, "valueInteger": 1}],
        }),
        json!({
            "resourceType": "QuestionnaireResponse", "id": "answers", "status": "completed",
            "questionnaire": "http://example.org/q|2.0",
        }),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn modifiers_of_tokens_and_references() {
    let project = ward("search-modifiers");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    // Identifiers by their type.
    let v2 = "http://terminology.hl7.org/CodeSystem/v2-0203";
    check(
        &format!("Patient?identifier:of-type={v2}%7CMR%7C7"),
        &["ada"],
    );
    check(&format!("Patient?identifier:of-type={v2}%7CMR%7C8"), &[]);
    check(&format!("Patient?identifier:of-type={v2}%7CSS%7C8"), &[]);
    check("Patient?identifier:of-type=%7CSS%7C8", &["ada"]);
    // Words of one text, or their beginnings, in any case and without accents.
    check("Condition?code:text=a+bad", &["cough"]);
    check("Condition?code:text=red", &["cough"]);
    check("Condition?code:text=throat", &["cough"]);
    check("Condition?code:text=bad+throat", &[]);
    check("Condition?code:text=bad,RED", &["cough", "words"]);
    check("Patient?identifier:text=old", &["ada"]);
    check("Condition?subject:text=ada", &["cough"]);
    check("Observation?combo-code:text=upper", &["pressure"]);
    check("Observation?combo-code:text=pressure", &["pressure"]);
    check("Observation?code:text=upper", &[]);
    // Words alone are no code, but they are not missing.
    check("Condition?code:missing=false", &["cough", "words"]);
    check("Condition?code:not=c1", &["words"]);
    check("Patient?gender:not=male", &["ada", "bob"]);
    check("Patient?gender:not=male,female", &["bob"]);
    // What the store itself knows of each record.
    check("Patient?_id:missing=true", &[]);
    check("Patient?_lastUpdated:missing=false", &["ada", "bob"]);
    // Versions.
    check("Condition?subject=Patient/bob", &["words"]);
    check("Condition?subject=Patient/bob/_history/1", &["words"]);
    check("Condition?subject=Patient/bob/_history/2", &[]);
    check("Condition?subject=Patient/ada/_history/1", &[]);
    let q = "QuestionnaireResponse?questionnaire=http://example.org/q";
    check(q, &["answers"]);
    check(&format!("{q}%7C2.0"), &["answers"]);
    check(&format!("{q}%7C3.0"), &[]);
}

#[test]
fn modifiers_say_what_their_values_must_be() {
    let project = ward("search-modifiers-refused");
    let (text, _) = refused(&project, "Patient?identifier:of-type=MR%7C7");
    assert!(text.contains("system|code|value"), "{text}");
    let (text, place) = refused(&project, "Condition?code:in=http://x");
    assert!(text.contains("value set is not known"), "{text}");
    assert_eq!(place, "http.code");
    let lenient = project
        .request(
            "GET",
            "Condition?code:on=http://x&code=c1&subject=Patient/ada",
        )
        .header("Prefer", "handling=lenient");
    let bundle = project.send(lenient).expect(200);
    assert_eq!(bundle.found()[0], "Condition/cough");
    let own = bundle.link("self").unwrap();
    assert!(own.ends_with("?code=c1&subject=Patient%2Fada"), "{own}");
}
