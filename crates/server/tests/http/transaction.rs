//! Batches and transactions: <https://hl7.org/fhir/R4/http.html#transaction>.

use serde_json::{Value, json};

use crate::host::project;
use crate::wire::Answer;

fn bundle(ty: &str, entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": ty, "entry": entries})
}

fn request(method: &str, url: &str) -> Value {
    json!({"method": method, "url": url})
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:s", "value": id}]})
}

fn basic(subject: &str) -> Value {
    json!({"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": subject}})
}

#[track_caller]
fn statuses(answer: &Answer) -> Vec<String> {
    let bundle = answer.json();
    let entries = bundle["entry"].as_array().unwrap().iter();
    let status = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
    entries.map(status).collect()
}

#[track_caller]
fn location_id(answer: &Answer, entry: usize) -> String {
    let bundle = answer.json();
    let location = bundle["entry"][entry]["response"]["location"]
        .as_str()
        .unwrap();
    location.split('/').nth_back(2).unwrap().to_owned()
}

#[test]
fn entries_of_a_batch_stand_alone() {
    let project = project("batch");
    let entries = json!([
        {"resource": patient("a"), "request": request("PUT", "Patient/a")},
        {"resource": {"resourceType": "Patient", "gender": "wrong"}, "request": request("POST", "Patient")},
        {"request": request("GET", "Patient/none")},
        {"resource": basic("Patient/a"), "request": request("POST", "Basic")},
        {"request": request("DELETE", "Basic/none")},
        {"request": request("GET", "Patient?what=1")},
    ]);
    let answer = project.post("", &bundle("batch", entries)).expect(200);
    assert_eq!(answer.json()["type"], "batch-response");
    assert_eq!(
        statuses(&answer),
        ["201", "422", "404", "201", "204", "400"]
    );
    let outcome = &answer.json()["entry"][1]["response"]["outcome"];
    assert_eq!(outcome["issue"][0]["expression"][0], "Patient.gender");
    let reads = json!([
        {"request": request("GET", "Patient/a")},
        {"request": request("GET", "Patient?_id=a")},
        {"request": request("GET", "Patient/a/_history/1")},
        {"request": request("GET", "Patient/a/_history")},
    ]);
    let answer = project.post("", &bundle("batch", reads)).expect(200);
    assert_eq!(statuses(&answer), ["200"; 4]);
    assert_eq!(answer.json()["entry"][0]["resource"]["id"], "a");
    assert_eq!(answer.json()["entry"][1]["resource"]["type"], "searchset");
    assert_eq!((project.count("Patient"), project.count("Basic")), (1, 1));
}

#[test]
fn references_between_entries_become_references_to_what_is_stored() {
    let project = project("transaction-links");
    let urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
    let text = format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"{urn}\">x</a></div>");
    let mut linked = basic(urn);
    linked["text"] = json!({"status": "generated", "div": text});
    linked["extension"] = json!([{"url": "urn:e", "valueUri": urn}]);
    let entries = json!([
        {"fullUrl": "urn:uuid:15efabf0-4be2-4561-91ce-51548425acb9", "resource": linked, "request": request("POST", "Basic")},
        {"fullUrl": urn, "resource": patient("ignored"), "request": request("POST", "Patient")},
        {"resource": basic("Patient?identifier=urn:s|ignored"), "request": request("POST", "Basic")},
    ]);
    // A condition is met by what is there before, not by what comes with it.
    project
        .post("", &bundle("transaction", entries.clone()))
        .expect(412);
    assert_eq!((project.count("Patient"), project.count("Basic")), (0, 0));
    let there = project.post("Patient", &patient("x")).expect(201).id();
    let mut entries = entries;
    entries[2]["resource"]["subject"]["reference"] = json!("Patient?identifier=urn:s|x");
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(answer.json()["type"], "transaction-response");
    assert_eq!(statuses(&answer), ["201"; 3]);
    let (first, target, third) = (
        location_id(&answer, 0),
        location_id(&answer, 1),
        location_id(&answer, 2),
    );
    let stored = project.get(&format!("Basic/{first}")).expect(200);
    assert_eq!(
        stored.json()["subject"]["reference"],
        format!("Patient/{target}")
    );
    assert!(!stored.body.contains("urn:uuid:"), "{}", stored.body);
    let third = project.get(&format!("Basic/{third}")).expect(200).json();
    assert_eq!(third["subject"]["reference"], format!("Patient/{there}"));
    // A question mark may be escaped.
    let entry = json!({"resource": basic("Patient?identifier=urn:s|x"), "request": request("POST", "Basic")});
    let escaped = bundle("transaction", json!([entry])).to_string();
    let escaped = escaped.replace('?', "\\u003f");
    let request = project.request("POST", "").body(escaped);
    let made = location_id(&project.send(request).expect(200), 0);
    let made = project.get(&format!("Basic/{made}")).expect(200).json();
    assert_eq!(made["subject"]["reference"], format!("Patient/{there}"));
    assert_eq!(
        project
            .get(&format!("Basic?subject=Patient/{target}"))
            .expect(200)
            .found()
            .len(),
        1
    );
}

#[test]
fn all_entries_happen_or_none() {
    let project = project("transaction-atomic");
    project.put(&patient("there")).expect(201);
    let good = json!({"resource": patient("new"), "request": request("PUT", "Patient/new")});
    let gone = json!({"request": request("DELETE", "Patient/there")});
    let check = |last: Value, status: u16| {
        let entries = json!([good, gone, last]);
        let answer = project
            .post("", &bundle("transaction", entries))
            .expect(status);
        assert_eq!(answer.json()["resourceType"], "OperationOutcome");
        project.get("Patient/new").expect(404);
        assert_eq!(
            project.get("Patient/there").expect(200).header("etag"),
            Some("W/\"1\"")
        );
        answer
    };
    let invalid = json!({"resource": {"resourceType": "Patient", "birthDate": "soon"}, "request": request("POST", "Patient")});
    let answer = check(invalid, 422).json();
    let expression = answer["issue"][0]["expression"][0].as_str().unwrap();
    assert!(expression.contains("birthDate"), "{expression}");
    let unmet = json!({"resource": patient("b"), "request": {"method": "PUT", "url": "Patient/b", "ifMatch": "W/\"1\""}});
    check(unmet, 412);
    let unresolved = json!({"resource": basic("Patient?identifier=urn:s|none"), "request": request("POST", "Basic")});
    check(unresolved, 412);
    let unknown =
        json!({"resource": basic("Patient?nothing=1"), "request": request("POST", "Basic")});
    check(unknown, 400);
    let mismatch = json!({"resource": patient("b"), "request": request("POST", "Observation")});
    check(mismatch, 400);
    let audit = json!({"request": request("DELETE", "AuditEvent/1")});
    check(audit, 403);
    let no_patch = json!({"request": request("PATCH", "Patient/there")});
    check(no_patch, 400);
    let no_request = json!({"resource": patient("c")});
    check(no_request, 400);
}

#[test]
fn every_fault_is_named_with_its_entry() {
    let project = project("transaction-faults");
    let urn = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9";
    let post =
        |url: &str, resource: Value| json!({"resource": resource, "request": request("POST", url)});
    let mut linked = basic(urn);
    linked["created"] = json!("soon");
    let mut target = post(
        "Patient",
        json!({"resourceType": "Patient", "gender": "x", "what": 1}),
    );
    target["fullUrl"] = json!(urn);
    let mut entries = vec![target, post("Patient", patient("a")), post("Basic", linked)];
    let faults = |entries: &[Value]| -> Vec<String> {
        let answer = project.post("", &bundle("transaction", json!(entries)));
        let outcome = answer.expect(422).json();
        let issues = outcome["issue"].as_array().unwrap().iter();
        issues
            .map(|issue| issue["expression"][0].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        faults(&entries),
        [
            "Bundle.entry[0].resource.gender",
            "Bundle.entry[0].resource.what",
            "Bundle.entry[2].resource.created",
        ]
    );
    entries.extend(vec![
        post(
            "Patient",
            json!({"resourceType": "Patient", "x": 1})
        );
        150
    ]);
    assert_eq!(faults(&entries).len(), 100);
    assert_eq!(project.count("Patient"), 0);
}

#[test]
fn no_two_entries_write_one_resource() {
    let project = project("transaction-twice");
    project.put(&patient("a")).expect(201);
    let put = |id: &str| json!({"resource": patient(id), "request": request("PUT", &format!("Patient/{id}"))});
    let delete = |id: &str| json!({"request": request("DELETE", &format!("Patient/{id}"))});
    for entries in [
        json!([put("a"), put("a")]),
        json!([put("a"), delete("a")]),
        json!([delete("a"), delete("a")]),
        json!([put("b"), put("b")]),
        json!([put("b"), delete("b")]),
        json!([delete("b"), delete("b")]),
    ] {
        project
            .post("", &bundle("transaction", entries))
            .expect(400);
    }
    assert_eq!(
        project.get("Patient/a").expect(200).header("etag"),
        Some("W/\"1\"")
    );
    project.get("Patient/b").expect(404);
    // One condition, twice: both entries cannot create.
    let make = json!({"resource": patient("c"), "request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=urn:s|c"}});
    project
        .post("", &bundle("transaction", json!([make, make])))
        .expect(400);
    assert_eq!(project.count("Patient"), 1);
}

#[test]
fn deletes_come_first_and_reads_last_whatever_the_order() {
    let project = project("transaction-order");
    project.put(&patient("old")).expect(201);
    let entries = json!([
        {"request": request("GET", "Patient?_total=accurate&_count=0")},
        {"request": request("GET", "Patient/new")},
        {"resource": patient("new"), "request": request("PUT", "Patient/new")},
        {"resource": patient("x"), "request": request("POST", "Patient")},
        {"request": request("DELETE", "Patient/old")},
    ]);
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(statuses(&answer), ["200", "200", "201", "201", "204"]);
    assert_eq!(answer.json()["entry"][0]["resource"]["total"], 2);
    assert_eq!(answer.json()["entry"][1]["resource"]["id"], "new");
}

#[test]
fn conditional_creates_find_what_is_there() {
    let project = project("transaction-conditional");
    let there = project.post("Patient", &patient("a")).expect(201).id();
    let entry = |value: &str| {
        json!({
            "fullUrl": format!("urn:uuid:05efabf0-4be2-4561-91ce-51548425acb{}", value.len()),
            "resource": patient(value),
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": format!("identifier=urn:s|{value}")},
        })
    };
    let linked = basic("urn:uuid:05efabf0-4be2-4561-91ce-51548425acb1");
    let entries =
        json!([entry("a"), entry("bb"), {"resource": linked, "request": request("POST", "Basic")}]);
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(statuses(&answer), ["200", "201", "201"]);
    assert_eq!(location_id(&answer, 0), there);
    let basic = project
        .get(&format!("Basic/{}", location_id(&answer, 2)))
        .expect(200)
        .json();
    assert_eq!(basic["subject"]["reference"], format!("Patient/{there}"));
    project.post("Patient", &patient("a")).expect(201);
    project
        .post("", &bundle("transaction", json!([entry("a")])))
        .expect(412);
    assert_eq!(project.count("Patient"), 3);
}

#[test]
fn prefer_shows_what_a_transaction_stored() {
    let project = project("transaction-prefer");
    let send = |prefer: &str| {
        let entries = json!([{"resource": patient("a"), "request": request("PUT", "Patient/a")}]);
        let request = project.request("POST", "").header("Prefer", prefer);
        let answer = project
            .send(request.body(bundle("transaction", entries).to_string()))
            .expect(200);
        answer.json()["entry"][0].clone()
    };
    assert_eq!(send("return=minimal").get("resource"), None);
    let shown = send("return=representation");
    assert_eq!(shown["resource"]["meta"]["versionId"], "2");
    assert_eq!(shown["response"]["etag"], "W/\"2\"");
}

#[test]
fn only_batches_and_transactions_are_taken() {
    let project = project("transaction-kinds");
    for ty in ["collection", "searchset", "history", "message"] {
        project
            .post("", &json!({"resourceType": "Bundle", "type": ty}))
            .expect(400);
    }
    project.post("", &patient("a")).expect(400);
    let empty = project
        .post(
            "",
            &json!({"resourceType": "Bundle", "type": "transaction"}),
        )
        .expect(200);
    assert_eq!(empty.json()["type"], "transaction-response");
}

/// Parameters that give a patient to be matched, and others.
fn parameters(of: Value) -> Value {
    json!({"resourceType": "Parameters", "parameter": of})
}

#[test]
fn a_batch_has_operations_by_post() {
    let project = project("batch-operations");
    project.put(&patient("a")).expect(201);
    let meta = parameters(json!([{"name": "meta", "valueMeta": {"tag": [{"code": "x"}]}}]));
    let entries = json!([
        {"resource": meta, "request": request("POST", "Patient/a/$meta-add")},
        {"resource": parameters(json!([{"name": "resource", "resource": patient("a")}])),
            "request": request("POST", "Patient/$match")},
        {"resource": patient("a"), "request": request("POST", "Patient/$validate?mode=create")},
        {"request": request("POST", "Patient/a/$everything?_count=1")},
        {"request": request("POST", "Patient/none/$everything")},
        {"request": request("POST", "Observation/$match")},
        {"request": request("POST", "$nothing")},
        {"request": request("POST", "$export")},
        {"request": request("POST", "a/b/c/$meta")},
        {"resource": patient("a"), "request": request("POST", "Patient/a/$meta-add")},
    ]);
    let answer = project
        .post("", &bundle("batch", entries.clone()))
        .expect(200);
    let expect = [
        "200", "200", "200", "200", "404", "404", "404", "400", "400", "400",
    ];
    assert_eq!(statuses(&answer), expect);
    let shown = |entry: usize| answer.json()["entry"][entry]["resource"]["resourceType"].clone();
    let types = [0, 1, 2, 3].map(shown);
    assert_eq!(
        types,
        ["Parameters", "Bundle", "OperationOutcome", "Bundle"]
    );
    assert_eq!(project.get("Patient?_tag=x").json()["total"], 1);
    // As it is with each alone: refused, and in the audit by name.
    let weak = project.with(&project.client("weak", "system/Patient.s"));
    let answer = weak.post("", &bundle("batch", entries)).expect(200);
    let expect = [
        "403", "200", "200", "403", "403", "403", "404", "400", "400", "403",
    ];
    assert_eq!(statuses(&answer), expect);
    let refused =
        project.get("AuditEvent?outcome=4&agent:identifier=urn:salus:subject|Client/weak");
    // As Base64 of its name.
    assert!(refused.expect(200).body.contains("JG1ldGEtYWRk"));
}

#[test]
fn a_transaction_has_operations_that_write_nothing() {
    let project = project("transaction-operations");
    let put = json!({"resource": patient("a"), "request": request("PUT", "Patient/a")});
    let entries = json!([
        {"request": request("POST", "Patient/a/$everything")},
        put,
        {"resource": parameters(json!([{"name": "resource", "resource": patient("a")}])),
            "request": request("POST", "Patient/$match")},
        {"request": request("POST", "Patient/none/$everything")},
    ]);
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(statuses(&answer), ["200", "201", "200", "404"]);
    // They see what was committed.
    assert_eq!(answer.json()["entry"][0]["resource"]["total"], 1);
    for url in [
        "Patient/b/$meta-add",
        "Patient/$merge",
        "$purge-history",
        "$reindex",
        "$export",
        "$import",
    ] {
        let put = json!({"resource": patient("b"), "request": request("PUT", "Patient/b")});
        let entries = json!([put, {"request": request("POST", url)}]);
        let answer = project
            .post("", &bundle("transaction", entries))
            .expect(400);
        assert!(
            answer.body.contains("Bundle.entry[1]: an operation"),
            "{url}"
        );
        project.get("Patient/b").expect(404);
    }
    let composition = json!({"resourceType": "Composition", "id": "c", "status": "final",
        "type": {"text": "x"}, "date": "2020", "author": [{"reference": "Patient/a"}], "title": "x"});
    project.put(&composition).expect(201);
    let entries = json!([
        {"request": request("POST", "Composition/c/$document")},
        {"request": request("POST", "Composition/c/$document?persist=true")},
    ]);
    let answer = project
        .post("", &bundle("transaction", entries))
        .expect(200);
    assert_eq!(statuses(&answer), ["200", "400"]);
    assert_eq!(project.count("Bundle"), 0);
}

#[test]
fn what_the_client_has_is_not_shown_again() {
    let project = project("transaction-conditional-read");
    project.put(&json!({"resourceType": "Patient", "id": "p"}));
    let get = |more: Value| {
        let mut request = json!({"method": "GET", "url": "Patient/p"});
        request
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"request": request})
    };
    for ty in ["batch", "transaction"] {
        let entries = [
            get(json!({"ifNoneMatch": "W/\"1\""})),
            get(json!({"ifNoneMatch": "W/\"2\""})),
            get(json!({"ifModifiedSince": "2100-01-01T00:00:00Z"})),
            get(json!({"ifModifiedSince": "2000-01-01T00:00:00Z"})),
            get(json!({"method": "HEAD"})),
        ];
        let bundle = json!({"resourceType": "Bundle", "type": ty, "entry": entries});
        let answer = project.post("", &bundle).expect(200).json();
        let answers = answer["entry"].as_array().unwrap().iter();
        let shown: Vec<_> = answers
            .map(|entry| {
                let status = entry["response"]["status"].as_str().unwrap();
                (status, entry.get("resource").is_some())
            })
            .collect();
        let (seen, new) = (("304 Not Modified", false), ("200 OK", true));
        assert_eq!(shown, [seen, new, seen, new, ("200 OK", false)], "{answer}");
    }
    let wrong = get(json!({"ifModifiedSince": "yesterday"}));
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [wrong]});
    project.post("", &bundle).expect(422);
}
