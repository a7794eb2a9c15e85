//! Chains, `_has`, composites: conditions on other resources, and on several
//! values of one element (<https://hl7.org/fhir/R4/search.html#chaining>).

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn reference(to: &str) -> Value {
    json!({"reference": to})
}

fn code(code: &str) -> Value {
    json!({"coding": [{"system": "http://loinc.org", "code": code}]})
}

fn quantity(value: f64) -> Value {
    json!({"value": value, "system": "http://unitsofmeasure.org", "code": "mm[Hg]", "unit": "mmHg"})
}

/// Two patients of two clinics of one trust, their encounters and findings.
fn clinics(slug: &str) -> Project {
    let project = project(slug);
    let observation = |id: &str, of: &str, what: &str, value: f64| {
        json!({
            "resourceType": "Observation", "id": id, "status": "final", "code": code(what),
            "subject": reference(of), "effectiveDateTime": "2020-05-01", "valueQuantity": quantity(value),
        })
    };
    for resource in [
        json!({"resourceType": "Organization", "id": "trust", "name": "Trust"}),
        json!({"resourceType": "Organization", "id": "north", "name": "North Clinic", "partOf": reference("Organization/trust")}),
        json!({"resourceType": "Organization", "id": "south", "name": "South Clinic"}),
        json!({
            "resourceType": "Patient", "id": "ada", "gender": "female", "birthDate": "1970-03-05",
            "name": [{"family": "Lovelace"}], "managingOrganization": reference("Organization/north"),
        }),
        json!({
            "resourceType": "Patient", "id": "bob", "gender": "male", "birthDate": "1985-01-01",
            "name": [{"family": "Müller"}], "managingOrganization": reference("Organization/south"),
        }),
        json!({"resourceType": "Device", "id": "north-probe", "deviceName": [{"name": "North", "type": "other"}]}),
        json!({
            "resourceType": "Group", "id": "102", "type": "person", "actual": true,
            "member": [{"entity": reference("Patient/ada")}],
        }),
        json!({
            "resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
            "subject": reference("Patient/ada"),
        }),
        json!({
            "resourceType": "Encounter", "id": "stay", "status": "finished", "class": {"code": "IMP"},
            "subject": reference("Patient/bob"),
        }),
        observation("high", "Patient/ada", "8480-6", 140.0),
        observation("low", "Patient/bob", "8480-6", 100.0),
        observation("pulse", "Patient/bob", "8867-4", 130.0),
        observation("probed", "Device/north-probe", "8867-4", 1.0),
        json!({
            "resourceType": "Observation", "id": "panel", "status": "final", "code": code("85354-9"),
            "subject": reference("Patient/ada"),
            "component": [
                {"code": code("8480-6"), "valueQuantity": quantity(120.0)},
                {"code": code("8462-4"), "valueQuantity": quantity(80.0)},
                {"code": {"coding": [{"code": "odd$one"}]}, "valueCodeableConcept": {"coding": [{"code": "a,b"}]}},
            ],
        }),
        json!({
            "resourceType": "Provenance", "id": "signed", "recorded": "2020-01-01T00:00:00Z",
            "target": [reference("Observation/high")], "agent": [{"who": reference("Organization/north")}],
        }),
        json!({"resourceType": "Observation", "id": "dangling", "status": "final", "code": code("x"), "subject": reference("Patient/none")}),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn chains_find_resources_by_what_they_refer_to() {
    let project = clinics("links-chains");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check("Observation?subject:Patient.name=love", &["high", "panel"]);
    check(
        "Observation?subject:Patient.name=LOVE,mull&code=8480-6",
        &["high", "low"],
    );
    check("Observation?patient.gender=male", &["low", "pulse"]);
    check("Observation?patient.gender:not=male", &["high", "panel"]);
    check("Observation?patient.birthdate=gt1980", &["low", "pulse"]);
    check(
        "Observation?patient.name:exact=M%C3%BCller",
        &["low", "pulse"],
    );
    check("Observation?patient._id=ada", &["high", "panel"]);
    check("Observation?patient._id:missing=true", &[]);
    check(
        "Observation?patient.telecom:missing=true",
        &["high", "low", "panel", "pulse"],
    );
    check("Observation?patient.name=nobody", &[]);
    // Two links and three.
    check(
        "Observation?patient.organization.name=north",
        &["high", "panel"],
    );
    check(
        "Observation?patient.organization.partof.name=trust",
        &["high", "panel"],
    );
    check(
        "Observation?patient.organization.partof=trust&value-quantity=gt130",
        &["high"],
    );
    check(
        "Provenance?target:Observation.subject:Patient.organization.name=north",
        &["signed"],
    );
    // The parts of a chain can name the types, or leave them to be inferred.
    check(
        "Observation?subject:Patient.organization:Organization.name=south",
        &["low", "pulse"],
    );
    check("Observation?subject.name=love", &["high", "panel"]);
    check("Observation?subject.device-name=north", &["probed"]);
    // Each parameter may be fulfilled by another resource, and all must be.
    check("Observation?patient.gender=male&patient.name=love", &[]);
    check("Observation?patient.gender=male&code=8867-4", &["pulse"]);
    // They are ordered, counted, continued and included like others.
    check(
        "Observation?patient.gender=male&_sort=-value-quantity",
        &["pulse", "low"],
    );
    let page = project
        .get("Observation?patient.gender=male&_count=1&_total=accurate")
        .expect(200);
    assert_eq!(page.json()["total"], 2);
    let next = project.get(&page.link("next").unwrap()).expect(200);
    assert_eq!(next.found().len(), 1);
    assert_ne!(next.found(), page.found());
    // What is deleted or changed is followed no more.
    project.delete("Organization/trust").expect(204);
    check("Observation?patient.organization.partof.name=trust", &[]);
    check(
        "Observation?patient.organization.partof=trust",
        &["high", "panel"],
    );
}

#[test]
fn resources_are_found_by_what_refers_to_them() {
    let project = clinics("links-has");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check("Patient?_has:Observation:patient:code=8867-4", &["bob"]);
    check(
        "Patient?_has:Observation:patient:code=8480-6",
        &["ada", "bob"],
    );
    check(
        "Patient?_has:Observation:patient:code:not=8480-6",
        &["ada", "bob"],
    );
    check(
        "Patient?_has:Observation:patient:value-quantity=gt135&gender=female",
        &["ada"],
    );
    check(
        "Patient?_has:Observation:patient:value-quantity=gt135&gender=male",
        &[],
    );
    check(
        "Patient?_has:Observation:subject:code=http://loinc.org%7C8867-4,85354-9",
        &["ada", "bob"],
    );
    check("Patient?_has:Group:member:_id=102", &["ada"]);
    check(
        "Device?_has:Observation:subject:code=8867-4",
        &["north-probe"],
    );
    // Nested, and with chains on both sides.
    check(
        "Patient?_has:Observation:patient:_has:Provenance:target:agent=Organization/north",
        &["ada"],
    );
    check(
        "Organization?_has:Patient:organization:_has:Encounter:subject:class=IMP",
        &["south"],
    );
    check("Encounter?patient._has:Group:member:_id=102", &["visit"]);
    check(
        "Encounter?patient._has:Observation:patient:code=8867-4",
        &["stay"],
    );
    check(
        "Patient?_has:Encounter:patient:patient.organization.name=south",
        &["bob"],
    );
    check(
        "Organization?_has:Patient:organization:name=love&name=north",
        &["north"],
    );
    check(
        "Patient?_has:Observation:patient:code=8480-6&_has:Encounter:patient:class=AMB",
        &["ada"],
    );
    check(
        "Patient?_has:Observation:patient:code=8867-4&_revinclude=Encounter:patient",
        &["bob", "stay"],
    );
    // Conditions on writes follow them too.
    let new = json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": reference("Patient/ada")});
    let create = |condition: &str| {
        let request = project
            .request("POST", "Basic")
            .header("If-None-Exist", condition);
        project.send(request.body(new.to_string()))
    };
    create("patient._has:Group:member:_id=102").expect(201);
    create("patient._has:Group:member:_id=102").expect(200);
}

#[test]
fn composites_hold_within_one_element() {
    let project = clinics("links-composites");
    let check = |search: &str, expect: &[&str]| check(&project, search, expect);
    check(
        "Observation?code-value-quantity=http://loinc.org%7C8480-6$gt120",
        &["high"],
    );
    check("Observation?code-value-quantity=8480-6$lt120", &["low"]);
    check("Observation?code-value-quantity=8867-4$130", &["pulse"]);
    check(
        "Observation?code-value-quantity=8480-6$140%7Chttp://unitsofmeasure.org%7Cmm[Hg]",
        &["high"],
    );
    check("Observation?code-value-quantity=8480-6$140%7C%7Ckg", &[]);
    check(
        "Observation?component-code-value-quantity=8480-6$120",
        &["panel"],
    );
    check("Observation?component-code-value-quantity=8480-6$80", &[]);
    check(
        "Observation?combo-code-value-quantity=8480-6$ge120",
        &["high", "panel"],
    );
    check(
        "Observation?combo-code-value-quantity=8480-6$ge120,8867-4$130",
        &["high", "panel", "pulse"],
    );
    check(
        "Observation?component-code-value-concept=odd\\$one$a\\,b",
        &["panel"],
    );
    check("Observation?component-code-value-concept=odd\\$one$b", &[]);
    // Behind links.
    check(
        "Patient?_has:Observation:patient:code-value-quantity=8480-6$gt120",
        &["ada"],
    );
    let (text, _) = refused(&project, "Observation?code-value-quantity=8480-6");
    assert!(text.contains("2 parts") && text.contains('$'), "{text}");
    let (text, _) = refused(&project, "Observation?code-value-quantity=8480-6$1.2.3");
    assert!(text.contains("number"), "{text}");
}

#[test]
fn links_that_make_no_sense_say_what_would() {
    let project = clinics("links-refused");
    let contains = |search: &str, words: &[&str]| {
        let (text, _) = refused(&project, search);
        assert!(
            words.iter().all(|word| text.contains(word)),
            "{search}: {text}"
        );
    };
    contains("Observation?code.name=x", &["only references", "subject"]);
    contains(
        "Observation?patient.nothing=x",
        &["birthdate", "organization"],
    );
    contains(
        "Observation?subject:Practitioner.name=x",
        &["Patient", "Device"],
    );
    contains("Observation?patient.birthdate=2020-13", &["must be a date"]);
    contains("Observation?patient.name:below=x", &["exact", "contains"]);
    contains("Provenance?target.name=x", &["any type", ":Patient.name"]);
    contains(
        "Patient?_has:Observation=x",
        &["_has:Type:reference:parameter"],
    );
    contains("Patient?_has:Nothing:patient:code=x", &["known type"]);
    contains(
        "Patient?_has:Observation:encounter:code=x",
        &["patient", "subject"],
    );
    let long = format!("Organization?{}name=x", "partof.".repeat(7));
    contains(&long, &["more than 6 links"]);
    let most = format!("Organization?{}name=x", "partof.".repeat(6));
    check(&project, &most, &[]);
    contains("AuditEvent?patient.name=x", &["audit events"]);
    contains(
        "Patient?_has:AuditEvent:patient:action=R",
        &["audit events"],
    );
    // Of all types in between, too many.
    contains(
        "Task?owner.organization.endpoint.organization.partof.partof.partof.name=x",
        &["links"],
    );
}

#[test]
fn conditions_on_types_that_one_may_not_search_match_nothing() {
    let project = clinics("links-access");
    let token = project.client("observer", "system/Observation.rs system/Organization.rs");
    let observer = project.with(&token);
    check(&observer, "Observation?code=8867-4", &["probed", "pulse"]);
    for hidden in [
        "Observation?patient.gender=male",
        "Observation?patient.gender:not=male",
        "Observation?patient.name:missing=false",
        "Observation?patient.organization.name=north",
        "Observation?_has:Provenance:target:_id=signed",
        "Organization?_has:Patient:organization:name=love",
    ] {
        let bundle = observer.get(hidden).expect(200).json();
        assert_eq!(bundle["total"], 0, "{hidden}");
        let entry = &bundle["entry"][0];
        assert_eq!(entry["search"]["mode"], "outcome");
        assert_eq!(entry["resource"]["issue"][0]["code"], "suppressed");
        let total = observer
            .get(&format!("{hidden}&_summary=count"))
            .expect(200);
        assert_eq!(total.json()["total"], 0, "{hidden}");
    }
    // As the condition of a write it would hold whatever is there.
    let writer = project.with(&project.client("writer", "system/Basic.cs"));
    let new = json!({"resourceType": "Basic", "code": {"text": "x"}});
    let request = writer
        .request("POST", "Basic")
        .header("If-None-Exist", "patient.name=love");
    writer.send(request.body(new.to_string())).expect(403);
}
