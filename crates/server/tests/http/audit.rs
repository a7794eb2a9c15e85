//! What happened, as AuditEvent: <https://hl7.org/fhir/R4/auditevent.html>.

use base64ct::Encoding as _;
use serde_json::{Value, json};

use crate::balp;
use crate::host::{Project, project};
use crate::wire::{Answer, Request};

/// The newest entry of a request.
#[track_caller]
fn event(project: &Project, answer: &Answer) -> Value {
    let request_id = answer.header("x-request-id").unwrap();
    let page = project.get("AuditEvent?_count=20").expect(200).json();
    let mut entries = page["entry"].as_array().unwrap().iter();
    let of_request = |entry: &&Value| {
        entry["resource"]["entity"][0]["what"]["identifier"]["value"] == request_id
    };
    let entry = entries.find(of_request);
    entry.unwrap_or_else(|| panic!("no entry of {request_id}"))["resource"].clone()
}

/// What was asked, the action, the outcome and the records concerned, in short.
#[track_caller]
fn check(project: &Project, answer: Answer, expect: &str) -> Value {
    let event = event(project, &answer);
    let entities = event["entity"].as_array().unwrap().iter();
    let mut records: Vec<_> = entities
        .filter_map(|e| e["what"]["reference"].as_str())
        .collect();
    records.sort_unstable();
    let code = event["subtype"][0]["code"]
        .as_str()
        .or(event["type"]["code"].as_str());
    let (action, outcome) = (event["action"].as_str(), event["outcome"].as_str());
    let found = format!(
        "{} {} {} {}",
        code.unwrap(),
        action.unwrap(),
        outcome.unwrap(),
        records.join(" ")
    );
    assert_eq!(found.trim_end(), expect, "{event}");
    balp::check(&event);
    event
}

fn patient() -> Value {
    json!({"resourceType": "Patient", "id": "p", "name": [{"family": "Audited"}]})
}

fn observation() -> Value {
    json!({"resourceType": "Observation", "id": "o", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}})
}

#[test]
fn every_interaction_is_told_as_it_was() {
    let project = project("audit-interactions");
    let check = |answer, expect: &str| check(&project, answer, expect);
    let event = check(
        project.put(&patient()),
        "update U 0 Patient/p Patient/p/_history/1",
    );
    assert_eq!(
        event["agent"][0]["who"]["identifier"]["value"],
        "Client/all"
    );
    assert_eq!(event["agent"][0]["requestor"], true);
    assert_eq!(event["agent"][0]["network"]["address"], "127.0.0.1");
    check(
        project.put(&observation()),
        "update U 0 Observation/o/_history/1 Patient/p",
    );
    let made = project.post("Basic", &json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": "Patient/p"}}));
    let basic = made.id();
    let expect = format!("create C 0 Basic/{basic}/_history/1 Patient/p");
    check(made, &expect);
    check(
        project.get("Observation/o"),
        "read R 0 Observation/o/_history/1 Patient/p",
    );
    check(
        project.get("Observation/o/_history/1"),
        "vread R 0 Observation/o/_history/1 Patient/p",
    );
    check(
        project.get("Observation/o/_history"),
        "history-instance R 0 Observation/o/_history/1 Patient/p",
    );
    check(
        project.get("Observation/_history"),
        "history-type R 0 Observation/o/_history/1 Patient/p",
    );
    let event = check(
        project.get("Observation?subject=Patient/p&_include=Observation:subject"),
        "search-type E 0 Observation/o/_history/1 Patient/p Patient/p/_history/1",
    );
    let query = event["entity"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|entity| entity["query"].as_str());
    assert_eq!(
        query,
        Some("c3ViamVjdD1QYXRpZW50JTJGcCZfaW5jbHVkZT1PYnNlcnZhdGlvbiUzQXN1YmplY3Q=")
    );
    check(project.get("Patient?family=nobody"), "search-type E 0");
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": observation(), "request": {"method": "PUT", "url": "Observation/o"}},
        {"request": {"method": "DELETE", "url": format!("Basic/{basic}")}},
    ]});
    let expect =
        format!("transaction E 0 Basic/{basic}/_history/2 Observation/o/_history/2 Patient/p");
    check(project.post("", &bundle), &expect);
    check(
        project.delete("Observation/o"),
        "delete D 0 Observation/o/_history/3 Patient/p",
    );
    check(project.delete("Observation/none"), "delete D 0");
}

#[test]
fn what_was_refused_is_told_too() {
    let project = project("audit-refusals");
    let check = |answer, expect: &str| check(&project, answer, expect);
    check(project.get("Patient/none"), "read R 4 Patient/none");
    check(project.get("Patient/_"), "read R 4");
    check(project.get("Patient?nothing=1"), "search-type E 4");
    check(
        project.post("Patient", &json!({"resourceType": "Patient", "x": 1})),
        "create C 4",
    );
    check(
        project.send(project.request("PUT", "Patient/p").body("{")),
        "update U 4 Patient/p",
    );
    check(
        project.send(
            project
                .request("DELETE", "Patient/p")
                .header("If-Match", "W/\"1\""),
        ),
        "delete D 4 Patient/p",
    );
    let bad = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "Patient", "x": 1}, "request": {"method": "POST", "url": "Patient"}},
    ]});
    check(project.post("", &bad), "transaction E 4");
    let weak = project.with(&project.client("weak", "system/Basic.r"));
    let event = check(weak.get("Patient/p"), "read R 4 Patient/p");
    assert_eq!(
        event["agent"][0]["who"]["identifier"]["value"],
        "Client/weak"
    );
    assert_eq!(
        event["agent"][0]["policy"][0],
        "urn:salus:rule:no-scope-allows-it"
    );
    let event = check(
        project.send(project.request("GET", "Patient/p").without("Authorization")),
        "110122 E 4",
    );
    assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "Anonymous");
    let form = "grant_type=client_credentials&client_id=all&client_secret=wrong";
    let wrong = project
        .send(Request::new("POST", "/p/audit-refusals/auth/token").body(form))
        .expect(401);
    check(wrong, "110122 E 4");
}

#[test]
fn an_operation_in_vain_is_told_by_its_name() {
    let project = project("audit-operations");
    let check = |answer: Answer, expect: &str| {
        let event = check(&project, answer, expect);
        let mut entities = event["entity"].as_array().unwrap().iter();
        let query = entities
            .find_map(|entity| entity["query"].as_str())
            .unwrap();
        String::from_utf8(base64ct::Base64::decode_vec(query).unwrap()).unwrap()
    };
    let failed = project.get("Patient/none/$everything");
    assert_eq!(check(failed, "operation E 4 Patient/none"), "$everything");
    let weak = project.with(&project.client("weak", "system/Basic.r"));
    let refused = weak.get("Patient/p/$meta");
    assert_eq!(check(refused, "operation E 4 Patient/p"), "$meta");
    let body = project.request("POST", "Patient/p/$meta-add").body("{");
    assert_eq!(
        check(project.send(body), "operation E 4 Patient/p"),
        "$meta-add"
    );
    let unread = project.request("POST", "Patient/$validate");
    let unread = unread.header("Content-Type", "text/turtle").body("{}");
    assert_eq!(check(project.send(unread), "operation E 4"), "$validate");
}

#[test]
fn what_could_not_be_read_is_told_too() {
    let project = project("audit-unreadable");
    let check = |answer: Answer, status, expect: &str| {
        let event = check(&project, answer.expect(status), expect);
        let rule = &event["agent"][0]["policy"][0];
        assert_eq!(rule, "urn:salus:rule:request-not-readable");
        assert_eq!(
            event["agent"][0]["who"]["identifier"]["value"],
            "Client/all"
        );
    };
    let with = |method, path, name: &str, value: &str| {
        project.send(project.request(method, path).header(name, value).body("{}"))
    };
    let (ty, long) = ("Content-Type", "100000000000");
    let turtle = "text/turtle";
    check(
        with("PUT", "Patient/p", ty, turtle),
        415,
        "update U 4 Patient/p",
    );
    check(with("PUT", "Patient/_", ty, turtle), 415, "update U 4");
    check(with("POST", "Nothing", ty, turtle), 415, "create C 4");
    check(with("POST", "", ty, turtle), 415, "batch E 4");
    check(
        with("POST", "Patient/_search", ty, turtle),
        415,
        "search-type E 4",
    );
    check(
        with("GET", "Patient/p", "Accept", turtle),
        406,
        "read R 4 Patient/p",
    );
    check(
        with("POST", "Patient", "Content-Length", long),
        413,
        "create C 4",
    );
    check(
        with("DELETE", "Patient/p", "If-Match", "two"),
        400,
        "delete D 4 Patient/p",
    );
    check(project.get("Patient?name=%FF"), 400, "search-type E 4");
    let clients = "/p/audit-unreadable/admin/clients";
    let unread = project
        .server
        .admin("POST", clients, &json!([]))
        .expect(400);
    let event = event(&project, &unread);
    assert_eq!(
        (&event["action"], &event["outcome"]),
        (&json!("U"), &json!("4"))
    );
}

#[test]
fn asking_in_vain_is_found_by_the_patient_asked_for() {
    let project = project("audit-in-vain");
    project.put(&patient()).expect(201);
    let weak = project.with(&project.client("weak", "system/Basic.cruds"));
    weak.get("Patient/p").expect(403);
    weak.get("Patient/p/_history").expect(403);
    weak.put(&patient()).expect(403);
    weak.delete("Patient/p").expect(403);
    let entry = json!({"request": {"method": "DELETE", "url": "Patient/p"}});
    for (ty, status) in [("batch", 200), ("transaction", 403)] {
        let bundle = json!({"resourceType": "Bundle", "type": ty, "entry": [entry]});
        weak.post("", &bundle).expect(status);
    }
    let search = "AuditEvent?patient=p&outcome=4&agent:identifier=urn:salus:subject%7CClient/weak";
    assert_eq!(project.get(search).expect(200).found().len(), 6);
}

#[test]
fn administration_in_vain_is_told() {
    let project = project("audit-admin");
    let server = &project.server;
    let in_vain = |method: &str, path: &str, body: Value, status: u16| {
        let answer = server.admin(method, path, &body).expect(status);
        let request_id = answer.header("x-request-id").unwrap().to_owned();
        let endpoint = path.split("/admin").next().unwrap();
        let endpoint = if endpoint.is_empty() {
            "/p/system"
        } else {
            endpoint
        };
        let audit = server.admin("GET", &format!("{endpoint}/fhir/AuditEvent"), &Value::Null);
        assert!(
            audit.expect(200).body.contains(&request_id),
            "{method} {path}"
        );
    };
    let slug = |slug: &str| json!({"slug": slug, "name": "n"});
    in_vain("POST", "/admin/projects", slug("audit-admin"), 409);
    in_vain("POST", "/admin/projects", slug("No Slug"), 400);
    let clients = "/p/audit-admin/admin/clients";
    let client = json!({"id": "all", "name": "n", "scopes": "system/*.r"});
    in_vain("POST", clients, client, 409);
    in_vain("DELETE", &format!("{clients}/none"), Value::Null, 404);
}

#[test]
fn the_audit_is_searched_like_other_resources() {
    let project = project("audit-search");
    project.put(&patient()).expect(201);
    project.put(&observation()).expect(201);
    let read = project.get("Observation/o").expect(200);
    let other = json!({"resourceType": "Patient", "id": "q"});
    project.put(&other).expect(201);
    project
        .with(&project.client("second", "system/*.rs"))
        .get("Patient/q")
        .expect(200);
    project.delete("Observation/o").expect(204);
    let count = |search: &str| {
        let answer = project.get(&format!("AuditEvent?{search}")).expect(200);
        answer.found().len()
    };
    assert_eq!(count("patient=p"), 4);
    assert_eq!(count("patient=Patient/q"), 2);
    assert_eq!(count("patient=p&action=R"), 1);
    assert_eq!(count("patient=p,q&action=R"), 2);
    assert_eq!(count("action=D"), 1);
    assert_eq!(count("action=D&patient=q"), 0);
    assert_eq!(
        count("agent:identifier=urn:salus:subject%7CClient/second&action=R"),
        1
    );
    assert_eq!(count("entity=Observation/o"), 3);
    assert_eq!(count("subtype=delete"), 1);
    assert_eq!(count("outcome=4&patient=p"), 0);
    assert_eq!(count("date=gt2999"), 0);
    assert!(count("date=gt2020&_count=100") >= 6);
    assert_eq!(count("date=gt2020&patient=p&_count=2"), 2);
    let event = event(&project, &read);
    let id = event["id"].as_str().unwrap();
    assert_eq!(count(&format!("_id={id}")), 1);
    let same = project.get(&format!("AuditEvent/{id}")).expect(200).json();
    assert_eq!(same, event);
    project.get("AuditEvent/999999999").expect(404);
    project.get("AuditEvent/x").expect(404);
    let (newest, oldest) = (
        project
            .get("AuditEvent?_sort=-date&patient=p")
            .expect(200)
            .found(),
        project
            .get("AuditEvent?_sort=date&patient=p")
            .expect(200)
            .found(),
    );
    assert!(
        newest.iter().eq(oldest.iter().rev()),
        "{newest:?} {oldest:?}"
    );
    let (mut paged, mut next) = (Vec::new(), Some("AuditEvent?patient=p&_count=1".to_owned()));
    while let Some(path) = next {
        let page = project.get(&path).expect(200);
        paged.extend(page.found());
        next = page.link("next");
    }
    assert_eq!(paged, newest);
    for entry in project.get("AuditEvent?_count=200").expect(200).json()["entry"]
        .as_array()
        .unwrap()
    {
        balp::check(&entry["resource"]);
    }
}

#[test]
fn nobody_writes_the_audit() {
    let project = project("audit-writes");
    project.put(&patient()).expect(201);
    let mut event = project.get("AuditEvent").expect(200).json()["entry"][0]["resource"].clone();
    let path = format!(
        "/p/audit-writes/fhir/AuditEvent/{}",
        event["id"].as_str().unwrap()
    );
    let server = &project.server;
    let before = server.admin("GET", &path, &Value::Null).expect(200).body;
    event["outcome"] = json!("8");
    let put = |who: &str| {
        let request = Request::new("PUT", &path).header("Content-Type", "application/fhir+json");
        project.send(
            request
                .header("Authorization", format!("Bearer {who}"))
                .body(event.to_string()),
        )
    };
    for token in [server.token(), &project.token] {
        put(token).expect(403);
        let as_them = project.with(token);
        as_them.delete(&path).expect(403);
        as_them.post("AuditEvent", &event).expect(403);
        let entries = json!([
            {"request": {"method": "DELETE", "url": format!("AuditEvent/{}", event["id"].as_str().unwrap())}},
            {"resource": event, "request": {"method": "POST", "url": "AuditEvent"}},
        ]);
        let batch = as_them
            .post(
                "",
                &json!({"resourceType": "Bundle", "type": "batch", "entry": entries}),
            )
            .expect(200)
            .json();
        assert_eq!(batch["entry"][0]["response"]["status"], "403 Forbidden");
        assert_eq!(batch["entry"][1]["response"]["status"], "403 Forbidden");
        as_them
            .post(
                "",
                &json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}),
            )
            .expect(403);
    }
    assert_eq!(
        server.admin("GET", &path, &Value::Null).expect(200).body,
        before
    );
}
