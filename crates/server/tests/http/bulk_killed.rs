//! A server that is killed in the middle of a job goes on with it at the next start.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bulk::{path_of, place};
use crate::host::{Server, salus};
use crate::wire::{Answer, Request};

const RECORDS: usize = 6000;

fn send(server: &Server, method: &str, path: &str, body: &str) -> Answer {
    let ty = match path.contains("$import") {
        true => "application/fhir+ndjson",
        false => "application/fhir+json",
    };
    let request = Request::new(method, path)
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Prefer", "respond-async")
        .header("Content-Type", ty);
    server.send(match body {
        "" => request,
        body => request.body(body),
    })
}

/// Asks until it is over or, if asked to, has begun: the manifest if it is over.
fn wait(server: &Server, job: &str, begun: bool) -> Option<Value> {
    loop {
        let answer = server.admin("GET", job, &Value::Null);
        match answer.status {
            200 => return Some(answer.json()),
            202 if begun && !answer.header("x-progress").unwrap().contains("waiting") => {
                return None;
            }
            202 | 429 => {}
            _ => panic!("{}: {}", answer.status, answer.body),
        }
    }
}

fn text() -> String {
    let line = |number| json!({"resourceType": "Basic", "id": format!("b{number}"), "code": {"text": "x"}});
    let lines = (0..RECORDS).map(|number| format!("{}\n", line(number)));
    lines.collect()
}

#[test]
fn an_import_and_an_export_survive_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start_on(&data, &["--demo=0"]);
    let job = place(&send(&server, "POST", "/fhir/$import", &text()).expect(202));
    let mut in_the_middle = 0;
    let report = loop {
        match wait(&server, &job, true) {
            Some(manifest) => break manifest,
            None if in_the_middle > 2 => break wait(&server, &job, false).unwrap(),
            None => {
                in_the_middle += 1;
                // Dropping kills it.
                drop(server);
                server = Server::start_on(&data, &["--demo=0"]);
            }
        }
    };
    assert!(in_the_middle > 0, "it was never killed in the middle");
    assert_eq!(report["output"][0]["count"], RECORDS, "{report}");
    let job = place(&send(&server, "GET", "/fhir/$export", "").expect(202));
    let mut manifest = wait(&server, &job, true);
    drop(server);
    let server = Server::start_on(&data, &["--demo=0"]);
    if manifest.is_none() {
        // Those that the export had not come to are changed under it.
        let change = json!({"resourceType": "Basic", "id": "b0", "code": {"text": "later"}});
        send(&server, "PUT", "/fhir/Basic/b0", &change.to_string());
        manifest = wait(&server, &job, false);
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for file in manifest.unwrap()["output"].as_array().unwrap() {
        let path = path_of(file["url"].as_str().unwrap());
        let answer = server.admin("GET", &path, &Value::Null).expect(200);
        for line in answer.body.lines() {
            let resource: Value = serde_json::from_str(line).unwrap();
            assert_eq!(resource["meta"]["versionId"], "1");
            *seen
                .entry(resource["id"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
    }
    assert_eq!(seen.len(), RECORDS);
    assert!(seen.values().all(|times| *times == 1));
    assert!(server.stop().success());
    let check = salus(&["check", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}
