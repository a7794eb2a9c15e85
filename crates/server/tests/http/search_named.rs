//! `_query`: <https://hl7.org/fhir/R4/search.html#query>.

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::search::{check, refused};

fn definition(id: &str, code: &str, status: &str, search: &str) -> Value {
    json!({
        "resourceType": "OperationDefinition", "id": id, "name": "Query", "status": status, "kind": "query",
        "code": code, "resource": ["Patient"], "system": false, "type": true, "instance": false,
        "extension": [{"url": "urn:salus:named-query", "valueString": search}],
        "parameter": [
            {"name": "called", "use": "in", "min": 1, "max": "1", "type": "string"},
            {"name": "since", "use": "in", "min": 0, "max": "1", "type": "date"},
            {"name": "sex", "use": "in", "min": 0, "max": "*", "type": "string", "searchType": "token"},
        ],
    })
}

fn practice(slug: &str) -> Project {
    let project = project(slug);
    let patient = |id: &str, family: &str, gender: &str, born: &str| {
        json!({
            "resourceType": "Patient", "id": id, "name": [{"family": family}], "gender": gender, "birthDate": born,
        })
    };
    for resource in [
        patient("ada", "Smith", "female", "1970-01-01"),
        patient("bob", "Smith", "male", "1980-01-01"),
        patient("eve", "Smythe", "other", "1990-01-01"),
        patient("odd", "Smith,Smythe", "other", "1990-01-01"),
        definition(
            "q1",
            "family",
            "active",
            "family={called}&birthdate=ge{since}&gender={sex}&_sort=-birthdate",
        ),
        definition("q2", "old", "retired", "family={called}"),
        definition("q3", "broken", "active", "famly={called}"),
        definition("q4", "twice", "active", "family={called}"),
        definition("q5", "twice", "active", "family={called}"),
    ] {
        project.put(&resource).expect(201);
    }
    project
}

#[test]
fn named_queries_find_what_they_stand_for() {
    let project = practice("named");
    let find = |rest: &str, expect: &[&str]| {
        check(&project, &format!("Patient?_query=family&{rest}"), expect);
    };
    find("called=smi", &["ada", "bob", "odd"]);
    find("called=smi&since=1975-01-01", &["bob", "odd"]);
    find("called=smi&sex=male,female", &["ada", "bob"]);
    find("called=smi&sex=male&sex=female", &["ada", "bob"]);
    find("called=smi&gender=male", &["bob"]);
    find("called=smith,smythe", &["odd"]);
    find("called=smi%26gender=male", &[]);
    find("called=smi&_sort=birthdate", &["ada", "bob", "odd"]);
    // Its own order, and pages of it.
    let first = project
        .get("Patient?_query=family&called=smi&_count=2")
        .expect(200);
    assert_eq!(first.found(), ["Patient/odd", "Patient/bob"]);
    let own = first.link("self").expect("a link to itself");
    assert!(own.contains("_query=family"), "{own}");
    let next = first.link("next").expect("a second page");
    let next = project.get(&next).expect(200);
    assert_eq!(next.found(), ["Patient/ada"]);
}

#[test]
fn what_a_query_does_not_take_is_refused() {
    let project = practice("named-refused");
    for (search, words) in [
        ("_query=none", "no such query"),
        ("_query=old&called=x", "no such query"),
        ("_query=", "name of a query"),
        ("_query=family&_query=family", "repeated"),
        ("_query=family", "needs called"),
        ("_query=family&called=a&called=b", "one value"),
        ("_query=family&called=a&since=soon", "must be a date"),
        (
            "_query=broken&called=a",
            "not valid: unknown search parameter",
        ),
        ("_query=twice&called=a", "several"),
    ] {
        let (details, place) = refused(&project, &format!("Patient?{search}"));
        assert!(details.contains(words), "{search}: {details}");
        assert_eq!(place, "http._query");
    }
    let (details, _) = refused(&project, "Observation?_query=family&called=a");
    assert!(details.contains("no such query"), "{details}");
    let reader = project.with(&project.client("reader", "system/Patient.rs"));
    reader.get("Patient?_query=family&called=smi").expect(403);
}
