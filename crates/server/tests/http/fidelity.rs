//! A write keeps every byte but `id` and `meta`.

use crate::host::{Project, project};

/// Stores a text by PUT and POST, and reads it back by every way there is.
#[track_caller]
fn check(project: &Project, ty: &str, members: &str) {
    let sent = format!("{{\"resourceType\":\"{ty}\",\"id\":\"a\"{members}}}");
    let put = project.send(
        project
            .request("PUT", &format!("{ty}/a"))
            .body(sent.clone()),
    );
    assert!(matches!(put.status, 200 | 201), "{}", put.body);
    let read = project.get(&format!("{ty}/a")).expect(200).body;
    assert_eq!(read, put.body);
    assert!(read.ends_with(&format!("{members}}}")), "{read}");
    let posted = format!("{{\"resourceType\":\"{ty}\"{members}}}");
    let made = project
        .send(project.request("POST", ty).body(posted))
        .expect(201);
    assert!(
        made.body.ends_with(&format!("{members}}}")),
        "{}",
        made.body
    );
    let found = project.get(&format!("{ty}?_id=a")).expect(200).body;
    assert!(found.contains(&read), "{found}");
    let history = project.get(&format!("{ty}/a/_history")).expect(200).body;
    assert!(history.contains(&read), "{history}");
    let transaction = format!(
        "{{\"resourceType\":\"Bundle\",\"type\":\"transaction\",\"entry\":[{{\"resource\":{sent},\"request\":{{\"method\":\"PUT\",\"url\":\"{ty}/a\"}}}}]}}"
    );
    project
        .send(project.request("POST", "").body(transaction))
        .expect(200);
    let read = project.get(&format!("{ty}/a")).expect(200).body;
    assert!(read.ends_with(&format!("{members}}}")), "{read}");
}

#[test]
fn texts_come_back_as_they_were_sent() {
    let project = project("fidelity");
    let decimals = [
        "1.00",
        "1e3",
        "0.10",
        "-0.0",
        "100000000000000000.123456789",
        "1E-22",
    ];
    for decimal in decimals {
        let members = format!(
            ",\"status\":\"final\",\"code\":{{\"text\":\"x\"}},\"valueQuantity\":{{\"value\":{decimal}}}"
        );
        check(&project, "Observation", &members);
    }
    for members in [
        // Order of properties, and white space of every kind.
        ",\"code\":{\"text\":\"b\" ,\n\t\"coding\" : [ {\"code\":\"c\",\"system\":\"urn:s\"}\r\n] } ",
        ",\"created\":\"2020\",\"code\":{\"text\":\"x\"}",
        // Escapes as they were written, and characters outside ASCII.
        ",\"code\":{\"text\":\"\\u00e9 \\/ \\\" \\ud83d\\ude00 é 😀 \\t\"}",
        ",\"code\":{\"text\":\"x\"},\"extension\":[{\"url\":\"urn:e\",\"valueDecimal\":2.50}]",
        ",\"_created\":{\"id\":\"n\",\"extension\":[{\"url\":\"urn:e\",\"valueCode\":\"asked\"}]},\"code\":{\"_text\":{\"extension\":[{\"url\":\"urn:e\",\"valueCode\":\"unknown\"}]}}",
    ] {
        check(&project, "Basic", members);
    }
}

#[test]
fn meta_keeps_what_the_client_says_in_it() {
    let project = project("fidelity-meta");
    let sent = r#"{ "id":"a", "meta" : {"tag":[{"code":"t"}], "versionId":"77","profile":["urn:p"],"lastUpdated":"2001-01-01T00:00:00Z" },"resourceType":"Basic","code":{"text":"x"} }"#;
    let put = project
        .send(project.request("PUT", "Basic/a").body(sent))
        .expect(201)
        .json();
    assert_eq!(put["meta"]["versionId"], "1");
    assert_ne!(put["meta"]["lastUpdated"], "2001-01-01T00:00:00Z");
    assert_eq!(put["meta"]["tag"][0]["code"], "t");
    assert_eq!(put["meta"]["profile"][0], "urn:p");
}

#[test]
fn an_id_of_the_clients_own_is_replaced_on_create() {
    let project = project("fidelity-id");
    let sent = r#"{"resourceType":"Basic","id":"mine","code":{"text":"x"}}"#;
    let made = project
        .send(project.request("POST", "Basic").body(sent))
        .expect(201);
    assert_ne!(made.id(), "mine");
    assert_eq!(made.json()["id"], made.id());
    project.get("Basic/mine").expect(404);
}
