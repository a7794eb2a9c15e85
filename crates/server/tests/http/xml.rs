//! Resources in XML, sent and asked for
//! (<https://hl7.org/fhir/R4/http.html#mime-type>).

use serde_json::{Value, json};

use crate::host::{Project, project};
use crate::wire::{Answer, Request};

const XML: &str = "application/fhir+xml";
const OF_XML: &str = "application/fhir+xml; charset=utf-8";
const OF_JSON: &str = "application/fhir+json; charset=utf-8";

fn patient(inside: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{inside}</Patient>")
}

impl Project {
    fn sends_xml(&self, method: &str, path: &str, body: &str) -> Request {
        let request = self.request(method, path).header("Content-Type", XML);
        request.body(body)
    }

    #[track_caller]
    fn post_xml(&self, path: &str, body: &str) -> Answer {
        self.send(self.sends_xml("POST", path, body))
    }

    #[track_caller]
    fn get_xml(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).header("Accept", XML))
    }
}

/// The answer is a resource of this type in XML.
#[track_caller]
fn check_xml(answer: &Answer, ty: &str) {
    assert_eq!(answer.header("content-type"), Some(OF_XML));
    assert_eq!(answer.header("vary"), Some("Accept"));
    let start =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{ty} xmlns=\"http://hl7.org/fhir\">");
    assert!(answer.body.starts_with(&start), "{}", answer.body);
    assert!(answer.body.ends_with(&format!("</{ty}>")));
}

#[test]
fn a_resource_in_xml_is_the_same_in_json() {
    let project = project("xml-life");
    let sent = patient(
        "<id value=\"a\"/><!-- x --><extension url=\"http://example.org/e\">\
         <valueDecimal value=\"1.50\"/></extension><name><family value=\"&lt;A&gt;\"/>\
         <given value=\"B\"/><given id=\"g\" value=\"C\"/></name><birthDate value=\"1970-03\"/>",
    );
    let made = project.send(project.sends_xml("PUT", "Patient/a", &sent));
    let made = made.expect(201);
    check_xml(&made, "Patient");
    assert_eq!(made.header("etag"), Some("W/\"1\""));

    let read = project.get("Patient/a").expect(200);
    assert!(read.body.contains("\"valueDecimal\":1.50"), "{}", read.body);
    let mut value = read.json();
    value.as_object_mut().unwrap().remove("meta");
    let expected = json!({
        "resourceType": "Patient",
        "id": "a",
        "extension": [{"url": "http://example.org/e", "valueDecimal": 1.5}],
        "name": [{"family": "<A>", "given": ["B", "C"], "_given": [null, {"id": "g"}]}],
        "birthDate": "1970-03",
    });
    assert_eq!(value, expected);

    let shown = project.get_xml("Patient/a").expect(200);
    assert_eq!(shown.body, made.body);
    let version = project.get("Patient/a/_history/1?_format=xml").expect(200);
    assert_eq!(version.body, made.body);
    // What was read can be sent again.
    let again = project.send(project.sends_xml("PUT", "Patient/a", &shown.body));
    assert_eq!(again.expect(200).header("etag"), Some("W/\"2\""));
}

#[test]
fn a_created_resource_is_answered_as_asked() {
    let project = project("xml-create");
    let sent = patient("<active value=\"true\"/>");
    let answer = |accept: &str| {
        let request = project.sends_xml("POST", "Patient", &sent);
        project.send(request.header("Accept", accept)).expect(201)
    };
    check_xml(&answer(XML), "Patient");
    check_xml(&answer("*/*"), "Patient");
    assert_eq!(
        answer("application/fhir+json").header("content-type"),
        Some(OF_JSON)
    );
    for generic in ["application/xml", "text/xml", "application/json"] {
        let ty = answer(generic).header("content-type").unwrap().to_owned();
        assert_eq!(ty, format!("{generic}; charset=utf-8"));
    }
    for ty in [
        "application/xml",
        "text/xml; charset=UTF-8",
        "application/fhir+xml; fhirVersion=4.0",
    ] {
        let request = project.sends_xml("POST", "Patient", &sent);
        project.send(request.header("Content-Type", ty)).expect(201);
    }
    let minimal = project.sends_xml("POST", "Patient", &sent);
    let minimal = project
        .send(minimal.header("Prefer", "return=minimal"))
        .expect(201);
    assert_eq!(minimal.body, "");
    let outcome = project.sends_xml("POST", "Patient", &sent);
    let outcome = project.send(outcome.header("Prefer", "return=OperationOutcome"));
    check_xml(&outcome.expect(201), "OperationOutcome");
}

#[test]
fn a_transaction_comes_and_goes_in_xml() {
    let project = project("xml-transaction");
    let bundle = "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"transaction\"/>\
        <entry><fullUrl value=\"urn:uuid:5c1d2a1e-7d4f-4b60-9f3c-0a4f8f0c9d11\"/><resource><Patient>\
        <active value=\"true\"/></Patient></resource><request><method value=\"POST\"/>\
        <url value=\"Patient\"/></request></entry><entry><resource><Basic><code><text value=\"x\"/></code>\
        <subject><reference value=\"urn:uuid:5c1d2a1e-7d4f-4b60-9f3c-0a4f8f0c9d11\"/></subject></Basic>\
        </resource><request><method value=\"POST\"/><url value=\"Basic\"/></request></entry></Bundle>";
    let answer = project.post_xml("", bundle).expect(200);
    check_xml(&answer, "Bundle");
    assert!(
        answer
            .body
            .contains("<type value=\"transaction-response\"/>")
    );
    let found = project
        .get("Basic?subject:Patient.active=true")
        .expect(200)
        .json();
    assert_eq!(found["total"], 1);
}

#[test]
fn searches_and_histories_are_told_in_xml() {
    let project = project("xml-search");
    for id in ["a", "b", "c"] {
        let resource = json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}});
        project.put(&resource).expect(201);
    }
    let found = project.get_xml("Basic?_sort=_id").expect(200);
    check_xml(&found, "Bundle");
    assert!(
        found.body.contains("<resource><Basic><id value=\"a\"/>"),
        "{}",
        found.body
    );
    check_xml(&project.get_xml("Basic/a/_history").expect(200), "Bundle");
    check_xml(&project.get_xml("_history").expect(200), "Bundle");
    let form = project
        .request("POST", "Basic/_search")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("_format=xml&_id=b");
    check_xml(&project.send(form).expect(200), "Bundle");
    // A client that cannot send headers goes on in the format it asked for.
    for first in [
        "Basic?_count=2&_format=xml",
        "_history?_count=2&_format=xml",
    ] {
        let page = project.get(first).expect(200);
        let (_, link) = page
            .body
            .split_once("<relation value=\"next\"/><url value=\"")
            .unwrap();
        let (link, _) = link.split_once('"').unwrap();
        let path = link.split_once("/p/").unwrap().1.replace("&amp;", "&");
        check_xml(&project.get(&format!("/p/{path}")).expect(200), "Bundle");
    }
}

#[test]
fn capabilities_and_refusals_are_told_in_xml() {
    let project = project("xml-refusals");
    let statement = project.get_xml("metadata").expect(200);
    check_xml(&statement, "CapabilityStatement");
    assert!(
        statement
            .body
            .contains("<format value=\"application/fhir+xml\"/>")
    );
    check_xml(
        &project.get_xml("Patient/none").expect(404),
        "OperationOutcome",
    );
    check_xml(&project.get_xml("Nothing").expect(404), "OperationOutcome");
    check_xml(
        &project.get_xml("a/b/c/d/e").expect(404),
        "OperationOutcome",
    );
    check_xml(
        &project.get("Patient?nothing=1&_format=xml").expect(400),
        "OperationOutcome",
    );
    let method = project.request("PUT", "metadata").header("Accept", XML);
    check_xml(&project.send(method).expect(405), "OperationOutcome");
    let anonymous = project.request("GET", "Patient/a").header("Accept", XML);
    let anonymous = project.send(anonymous.without("Authorization")).expect(401);
    check_xml(&anonymous, "OperationOutcome");
    // Administration speaks JSON only.
    let admin = project
        .request("GET", "/admin/projects")
        .header("Accept", XML);
    assert_eq!(
        project.send(admin).expect(403).header("content-type"),
        Some(OF_JSON)
    );
}

#[test]
fn pretty_xml_has_lines() {
    let project = project("xml-pretty");
    project
        .post_xml("Patient", &patient("<active value=\"true\"/>"))
        .expect(201);
    let found = project.get("Patient?_format=xml&_pretty=true").expect(200);
    assert!(
        found.body.contains("\n  <entry>\n    <fullUrl value="),
        "{}",
        found.body
    );
}

/// XML that FHIR forbids: where, and why.
#[track_caller]
fn check_refused(project: &Project, inside: &str, place: Value, why: &str) {
    let request = project.sends_xml("POST", "Patient", &patient(inside));
    let answer = project.send(request.header("Accept", "application/fhir+json"));
    let issue = answer.expect(400).json()["issue"][0].clone();
    assert_eq!(issue["expression"], place);
    let text = issue["details"]["text"].as_str().unwrap();
    assert!(text.contains(why), "{text}");
}

#[test]
fn xml_that_fhir_forbids_is_refused_with_its_place() {
    let project = project("xml-forbidden");
    let check = |inside: &str, place, why: &str| check_refused(&project, inside, place, why);
    check(
        "<shoe value=\"46\"/>",
        json!(["Patient"]),
        "unknown element shoe",
    );
    check(
        "<name><given value=\"a\"/><family value=\"b\"/></name>",
        json!(["Patient.name[0].family"]),
        "in the order",
    );
    check(
        "<id xmlns=\"\" value=\"a\"/>",
        json!(["Patient.id"]),
        "namespace",
    );
    check(
        "<name><given/></name>",
        json!(["Patient.name[0].given[0]"]),
        "empty",
    );
    check("<id value=\"a\">", json!(["Patient.id"]), "line 1, column");
    check("text", json!(["Patient"]), "text is allowed");
    let bomb = "<!DOCTYPE a [<!ENTITY b \"c\">]><Patient xmlns=\"http://hl7.org/fhir\"/>";
    check_xml(
        &project.post_xml("Patient", bomb).expect(400),
        "OperationOutcome",
    );
    project.post_xml("Patient", "").expect(400);
    // Form is one thing, validity another.
    project
        .post_xml("Patient", &patient("<gender value=\"x\"/>"))
        .expect(422);
    project
        .post_xml("Observation", &patient("<active value=\"true\"/>"))
        .expect(400);
    assert_eq!(project.count("Patient"), 0);
}

#[test]
fn policy_decides_before_a_body_is_read_in_either_format() {
    let project = project("xml-policy");
    let weak = project.with(&project.client("weak", "system/Observation.cruds"));
    let json = "application/fhir+json";
    for (method, path) in [
        ("POST", "Patient"),
        ("PUT", "Patient/a"),
        ("PATCH", "Patient/a"),
        ("POST", "Patient/$match"),
        ("POST", "Patient/a/$meta-add"),
        ("POST", "$purge-history"),
    ] {
        for (ty, body) in [(XML, "<Patient"), (json, "{")] {
            let send = |project: &Project| {
                let request = project.request(method, path).header("Content-Type", ty);
                project.send(request.body(body))
            };
            send(&weak).expect(403);
            let answer = match path {
                "$purge-history" => continue,
                _ => send(&project).expect(400),
            };
            let told = if ty == XML { "FHIR XML" } else { "JSON" };
            assert!(answer.body.contains(told), "{path}: {}", answer.body);
        }
    }
    // What cannot be read is in the audit once, as what it was to be.
    let refused =
        "AuditEvent?outcome=4&subtype=create&_count=100&agent:identifier=urn:salus:subject|";
    let of_weak = project.get(&format!("{refused}Client/weak")).expect(200);
    assert_eq!(of_weak.json()["entry"].as_array().unwrap().len(), 2);
}
