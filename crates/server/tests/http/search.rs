//! Search: <https://hl7.org/fhir/R4/search.html>.

use serde_json::{Value, json};

use crate::host::{Project, project};

/// A small practice: two patients, what was seen in them, and a catalogue of codes.
fn practice(slug: &str) -> Project {
    let project = project(slug);
    for resource in [
        json!({
            "resourceType": "Patient", "id": "ada", "active": true, "gender": "female", "birthDate": "1970-03-05",
            "identifier": [{"system": "urn:mrn", "value": "1"}, {"value": "bare"}],
            "name": [{"family": "Lovelace", "given": ["Ada", "Augusta"]}],
            "generalPractitioner": [{"reference": "Practitioner/doc"}],
        }),
        json!({
            "resourceType": "Patient", "id": "bob", "gender": "male", "birthDate": "1985",
            "identifier": [{"system": "urn:mrn", "value": "2"}],
            "name": [{"family": "Müller", "given": ["Bob"]}],
            "managingOrganization": {"reference": "Organization/clinic"},
        }),
        json!({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "Hale"}]}),
        json!({"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": {"reference": "Organization/trust"}}),
        json!({"resourceType": "Organization", "id": "trust", "name": "Trust"}),
        observation("heart", "ada", "8867-4", "2020-05-01T10:00:00Z", 80.0),
        observation("heart2", "ada", "8867-4", "2020-06-01", 64.5),
        observation(
            "weight",
            "bob",
            "29463-7",
            "2021-01-02T03:04:05+02:00",
            82.25,
        ),
        json!({
            "resourceType": "RiskAssessment", "id": "risk", "status": "final", "subject": {"reference": "Patient/ada"},
            "prediction": [{"probabilityDecimal": 0.25}],
        }),
        json!({"resourceType": "ValueSet", "id": "set", "status": "active", "url": "http://example.org/fhir/ValueSet/set"}),
        json!({"resourceType": "Basic", "id": "logical", "code": {"text": "x"}, "subject": {"identifier": {"system": "urn:mrn", "value": "9"}}}),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

fn observation(id: &str, patient: &str, code: &str, date: &str, value: f64) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": format!("Patient/{patient}")},
        "effectiveDateTime": date,
        "valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "u", "unit": "units"},
    })
}

/// Searches by GET and by POST: the ids found, those that match first.
#[track_caller]
pub(crate) fn check(project: &Project, search: &str, expect: &[&str]) {
    let (ty, query) = search.split_once('?').unwrap_or((search, ""));
    let get = project.get(search).expect(200);
    let post = project
        .request("POST", &format!("{ty}/_search"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query);
    let post = project.send(post).expect(200);
    for (answer, how) in [(get, "GET"), (post, "POST")] {
        let ids = answer.found();
        let mut ids: Vec<&str> = ids.iter().map(|id| id.split_once('/').unwrap().1).collect();
        if !search.contains("_sort") {
            ids.sort_unstable();
        }
        assert_eq!(ids, expect, "{how} {search}");
    }
}

#[test]
fn every_type_of_parameter_finds_its_values() {
    let project = practice("search-types");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    // Tokens.
    check("Patient?identifier=urn:mrn%7C1", &["ada"]);
    check("Patient?identifier=1", &["ada"]);
    check("Patient?identifier=urn:mrn%7C", &["ada", "bob"]);
    check("Patient?identifier=%7Cbare", &["ada"]);
    check("Patient?identifier=%7C1", &[]);
    check("Patient?gender=male", &["bob"]);
    check("Patient?gender:not=male", &["ada"]);
    check("Patient?active=true", &["ada"]);
    check("Patient?active:missing=true", &["bob"]);
    check("Patient?gender=female,male", &["ada", "bob"]);
    check("Patient?gender=female&gender=male", &[]);
    check(
        "Observation?code=http://loinc.org%7C8867-4&subject=Patient/ada",
        &["heart", "heart2"],
    );
    // Strings.
    check("Patient?family=love", &["ada"]);
    check("Patient?family=LOVELACE", &["ada"]);
    check("Patient?family=muller", &["bob"]);
    check("Patient?family:exact=Lovelace", &["ada"]);
    check("Patient?family:exact=lovelace", &[]);
    check("Patient?family:contains=lace", &["ada"]);
    check("Patient?name=aug", &["ada"]);
    check("Patient?given=bob,ada", &["ada", "bob"]);
    // Dates.
    check("Patient?birthdate=1970-03-05", &["ada"]);
    check("Patient?birthdate=1970", &["ada"]);
    check("Patient?birthdate=gt1980", &["bob"]);
    check("Patient?birthdate=lt1980&birthdate=ge1970-03-05", &["ada"]);
    check("Observation?date=2020-05-01", &["heart"]);
    check(
        "Observation?date=ge2020-06-01&date=le2021-01-02",
        &["heart2", "weight"],
    );
    check("Observation?date=2021-01-02T01:04:05Z", &["weight"]);
    check("Observation?date=sa2020-05-02", &["heart2", "weight"]);
    check("Observation?date=ne2020", &["weight"]);
    // References.
    check("Observation?subject=Patient/ada", &["heart", "heart2"]);
    check("Observation?subject=ada", &["heart", "heart2"]);
    check("Observation?patient=bob", &["weight"]);
    check("Observation?subject:Patient=ada", &["heart", "heart2"]);
    check("Observation?subject=Group/ada", &[]);
    check("Basic?subject:identifier=urn:mrn%7C9", &["logical"]);
    // What has no value to compare is not missing for that.
    check("Basic?subject:missing=false", &["logical"]);
    check("Basic?subject:missing=true", &[]);
    check("Basic?code:missing=false", &["logical"]);
    check("Basic?author:missing=true", &["logical"]);
    // Numbers and quantities.
    check("RiskAssessment?probability=0.25", &["risk"]);
    check("RiskAssessment?probability=gt0.2", &["risk"]);
    check("RiskAssessment?probability=lt0.2", &[]);
    check("Observation?value-quantity=80", &["heart"]);
    check("Observation?value-quantity=80%7C%7Cu", &["heart"]);
    check("Observation?value-quantity=80%7C%7Cunits", &["heart"]);
    let ucum = "Observation?value-quantity=80%7Chttp://unitsofmeasure.org%7C";
    check(&format!("{ucum}u"), &["heart"]);
    check(&format!("{ucum}units"), &[]);
    check(
        "Observation?value-quantity=82.25%7Chttp://unitsofmeasure.org%7Cu",
        &["weight"],
    );
    check(
        "Observation?value-quantity=gt64.5%7C%7Cu",
        &["heart", "weight"],
    );
    check(
        "Observation?value-quantity=64.5%7Chttp://unitsofmeasure.org%7Cother",
        &[],
    );
    // URIs.
    check(
        "ValueSet?url=http://example.org/fhir/ValueSet/set",
        &["set"],
    );
    check("ValueSet?url:below=http://example.org/fhir/", &["set"]);
    check("ValueSet?url=http://example.org/fhir/", &[]);
    // Those of every type.
    check("Patient?_id=ada", &["ada"]);
    check("Patient?_id=ada,bob,none", &["ada", "bob"]);
    check("Patient?_lastUpdated=gt2001", &["ada", "bob"]);
    check("Patient?_lastUpdated=lt2001", &[]);
    check("Patient", &["ada", "bob"]);
    check("Appointment", &[]);
}

#[test]
fn results_are_sorted_counted_and_extended_as_asked() {
    let project = practice("search-results");
    let check = |search, expect: &[&str]| check(&project, search, expect);
    check("Observation?_sort=date", &["heart", "heart2", "weight"]);
    check("Observation?_sort=-date", &["weight", "heart2", "heart"]);
    check("Patient?_sort=family", &["ada", "bob"]);
    check("Patient?_sort=-family", &["bob", "ada"]);
    check("Patient?_sort=-_id", &["bob", "ada"]);
    check("Patient?_sort=gender,-birthdate", &["ada", "bob"]);
    check("Patient?_sort=_lastUpdated", &["ada", "bob"]);
    check("Patient?_sort=-_lastUpdated", &["bob", "ada"]);
    check("Observation?_sort=-date&_count=1", &["weight"]);
    check(
        "Observation?code=8867-4&_include=Observation:subject",
        &["ada", "heart", "heart2"],
    );
    check(
        "Observation?_id=weight&_include=Observation:subject:Patient",
        &["bob", "weight"],
    );
    check(
        "Observation?_id=weight&_include=Observation:subject:Group",
        &["weight"],
    );
    check(
        "Observation?_id=weight&_include=Observation:*",
        &["bob", "weight"],
    );
    check(
        "Patient?_id=ada&_revinclude=Observation:subject",
        &["ada", "heart", "heart2"],
    );
    check(
        "Patient?_id=ada&_revinclude=RiskAssessment:subject&_include=Patient:general-practitioner",
        &["ada", "doc", "risk"],
    );
    check(
        "Observation?_id=weight&_include=Observation:subject&_include:iterate=Patient:organization&_include:iterate=Organization:partof",
        &["bob", "clinic", "trust", "weight"],
    );
    let modes = project
        .get("Observation?_id=weight&_include=Observation:subject")
        .expect(200)
        .json();
    assert_eq!(modes["entry"][0]["search"]["mode"], "match");
    assert_eq!(modes["entry"][1]["search"]["mode"], "include");
    let total = |search: &str| project.get(search).expect(200).json()["total"].as_u64();
    assert_eq!(total("Observation?_total=accurate&_count=1"), Some(3));
    assert_eq!(total("Observation?_total=none&_count=1"), None);
    assert_eq!(total("Observation?_count=0"), Some(3));
    assert_eq!(total("Observation?_summary=count"), Some(3));
    assert_eq!(total("Observation?_count=0&code=8867-4"), Some(2));
    assert_eq!(total("Observation?subject=Patient/ada"), Some(2));
}

#[test]
fn updates_and_deletes_change_what_is_found() {
    let project = practice("search-changes");
    let ada = json!({"resourceType": "Patient", "id": "ada", "name": [{"family": "King"}]});
    project.put(&ada).expect(200);
    check(&project, "Patient?family=lovelace", &[]);
    check(&project, "Patient?family=king", &["ada"]);
    check(&project, "Patient?identifier=1", &[]);
    project.delete("Patient/ada").expect(204);
    check(&project, "Patient?family=king", &[]);
    check(&project, "Patient", &["bob"]);
    check(
        &project,
        "Observation?subject=Patient/ada&_include=Observation:subject",
        &["heart", "heart2"],
    );
}

/// The first issue of a refused search.
#[track_caller]
pub(crate) fn refused(project: &Project, search: &str) -> (String, String) {
    let outcome = project.get(search).expect(400).json();
    let issue = &outcome["issue"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&issue["details"]["text"]),
        text(&issue["expression"][0]),
    )
}

#[test]
fn what_is_not_understood_is_refused_with_what_would_be() {
    let project = practice("search-refused");
    let (text, place) = refused(&project, "Patient?nme=x");
    assert!(
        text.contains("birthdate") && text.contains("name"),
        "{text}"
    );
    assert_eq!(place, "http.nme");
    let (text, _) = refused(&project, "Patient?family:below=x");
    assert!(
        text.contains("exact") && text.contains("contains"),
        "{text}"
    );
    for search in [
        "Patient?birthdate=soon",
        "Patient?birthdate=xx2020",
        "Patient?_count=many",
        "Patient?_count=-1",
        "Patient?_sort=nothing",
        "Patient?_include=Patient:nothing",
        "Patient?_include=Organization:partof",
        "Patient?_include=Patient",
        "Patient?_revinclude=Observation:nothing",
        "Patient?_total=some",
        "Patient?active:missing=maybe",
        "Patient?identifier:what=x",
        "Patient?_elements=nothing",
        "Patient?_summary=some",
        "Patient?_has:Observation:nothing:code=1",
        "Observation?subject.nothing=x",
        "RiskAssessment?probability=x",
        "Observation?value-quantity=5%7Cu",
        "Patient?family=%FF",
    ] {
        project.get(search).expect(400);
    }
    let lenient = |search: &str| {
        let request = project
            .request("GET", search)
            .header("Prefer", "handling=lenient");
        project.send(request)
    };
    let bundle = lenient("Patient?nme=x&gender=male").expect(200);
    assert_eq!(bundle.found()[0], "Patient/bob");
    let entries = bundle.json()["entry"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[1]["search"]["mode"], "outcome");
    assert_eq!(entries[1]["resource"]["issue"][0]["severity"], "warning");
    assert!(!bundle.link("self").unwrap().contains("nme"));
    // A value that is wrong is wrong for lenient clients too.
    lenient("Patient?birthdate=soon").expect(400);
    let form = project.request("POST", "Patient/_search").body("{}");
    project.send(form).expect(415);
}
