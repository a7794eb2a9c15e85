//! Bodies that are too large, come too slowly or not at all change nothing.

use std::io::{Read, Write};

use serde_json::Value;

use crate::bad_input::{GOOD, check_outcome, check_untouched, guarded};
use crate::host::Server;
use crate::wire::{Request, exchange};

#[test]
fn bodies_over_the_limit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--demo=0", "--body-bytes-max", "100000"];
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    let large = format!(
        r#"{{"resourceType":"Basic","code":{{"text":"{}"}}}}"#,
        "x".repeat(200_000)
    );
    let post = || {
        Request::new("POST", "/fhir/Basic")
            .header("Authorization", format!("Bearer {}", server.token()))
            .header("Content-Type", "application/fhir+json")
    };
    check_outcome(&server.send(post().body(large.clone())).expect(413));
    // The same in pieces, without saying how long it will be.
    let mut chunked = Vec::new();
    for piece in large.as_bytes().chunks(10_000) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let request = post().header("Transfer-Encoding", "chunked").body(chunked);
    check_outcome(&server.send(request).expect(413));
    // Announced, never sent.
    let announced = post().header("Content-Length", "100000000000");
    check_outcome(&server.send(announced).expect(413));
    let small = format!(
        r#"{{"resourceType":"Basic","code":{{"text":"{}"}}}}"#,
        "x".repeat(90_000)
    );
    server.send(post().body(small)).expect(201);
    let total = server
        .admin("GET", "/fhir/Basic?_summary=count", &Value::Null)
        .expect(200);
    assert_eq!(total.json()["total"], 1);
    // Heads have a limit too.
    let head = post().header("X-Large", "x".repeat(200_000)).body(GOOD);
    assert_eq!(server.send(head).status, 431);
}

#[test]
fn half_a_body_has_no_effect() {
    let project = guarded("bad-half");
    let whole = project
        .request("PUT", "Patient/a")
        .header("Host", "localhost")
        .header("Content-Length", (GOOD.len() + 50).to_string())
        .body(GOOD)
        .bytes();
    let mut stream = project.server.connect();
    stream.write_all(&whole).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    // Whatever the server says, if anything, to one who has gone away.
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
    check_untouched(&project);
}

#[test]
fn slow_clients_are_let_go() {
    let project = guarded("bad-slow");
    // A head that does not end, and a body that does not come: both at once, each ends by itself.
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let mut stream = project.server.connect();
            stream
                .write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n")
                .unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            let answer = String::from_utf8(answer).unwrap();
            assert!(
                answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
                "{answer}"
            );
        });
        threads.spawn(|| {
            let request = project
                .request("PUT", "Patient/a")
                .header("Host", "localhost")
                .header("Content-Length", "100")
                .body("{");
            let answer = exchange(project.server.connect(), &request.bytes()).unwrap();
            assert_eq!(answer.status, 408);
        });
    });
    check_untouched(&project);
}
