//! A server that is killed while it builds an index goes on at the next start.

use serde_json::{Value, json};

use crate::host::{Server, salus};
use crate::search_custom::ready;
use crate::wire::Request;

const RECORDS: usize = 3000;

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let path = format!("/fhir/{path}");
    let request = Request::new(method, path.trim_end_matches('/'))
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Content-Type", "application/fhir+json");
    let request = match body.is_null() {
        true => request,
        false => request.body(body.to_string()),
    };
    let answer = server.send(request);
    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
    answer.json()
}

fn define(server: &Server, round: usize) {
    let expression = format!("Basic.code.text | Basic.extension.where(url='urn:{round}').value");
    let definition = json!({
        "resourceType": "SearchParameter", "id": "words", "status": "active", "code": "words",
        "url": "urn:words", "name": "words", "description": "words", "base": ["Basic"], "type": "string",
        "expression": expression,
    });
    send(server, "PUT", "SearchParameter/words", &definition);
}

fn found(server: &Server) -> u64 {
    let bundle = send(
        server,
        "GET",
        "Basic?words=even&_summary=count",
        &Value::Null,
    );
    bundle["total"].as_u64().unwrap()
}

fn fill(server: &Server) {
    let numbers: Vec<usize> = (0..RECORDS).collect();
    for part in numbers.chunks(500) {
        let entries: Vec<Value> = part
            .iter()
            .map(|number| {
                let text = if number % 2 == 0 { "even" } else { "odd" };
                json!({
                    "resource": {"resourceType": "Basic", "code": {"text": text}},
                    "request": {"method": "POST", "url": "Basic"},
                })
            })
            .collect();
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        send(server, "POST", "", &bundle);
    }
}

#[test]
fn an_index_is_completed_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fill(&Server::start_on(&data, &["--demo=0"]));
    let mut in_the_middle = 0;
    for round in 0..6 {
        let server = Server::start_on(&data, &["--demo=0"]);
        define(&server, round);
        loop {
            let state = server
                .admin("GET", "/admin/reindex", &Value::Null)
                .expect(200)
                .json();
            let done = state["parameters"][0]["done"].as_u64().unwrap();
            let complete = state["complete"] == true;
            if complete || done > 0 {
                in_the_middle += usize::from(!complete);
                break;
            }
        }
        // Dropping kills it.
        drop(server);
        let server = Server::start_on(&data, &["--demo=0"]);
        ready(&server, "default");
        assert_eq!(found(&server), RECORDS as u64 / 2);
    }
    assert!(in_the_middle > 0, "it was never killed in the middle");
    let check = salus(&["check", "--data", data.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
    let data = data.to_str().unwrap();
    let state = salus(&["reindex", "--wait", "--json", "--data", data])
        .output()
        .unwrap();
    let state: Value = serde_json::from_slice(&state.stdout).unwrap();
    assert_eq!(state["complete"], true);
}
