//! Content that is long: it passes the server piece by piece, whatever becomes of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;

use serde_json::json;

use crate::host::{Project, Server};

const PIECE: usize = 64 << 10;

/// The piece of this number.
fn piece(number: usize) -> Vec<u8> {
    let mut piece = format!("{number:016}").into_bytes().repeat(PIECE / 16);
    piece.truncate(PIECE);
    piece
}

/// Sends pieces without saying how many there will be; the whole answer.
fn upload(project: &Project, path: &str, pieces: usize) -> String {
    let request = project
        .request("PUT", path)
        .header("Host", project.server.address().to_string())
        .header("Content-Type", "application/dicom")
        .header("Transfer-Encoding", "chunked");
    let mut stream = project.server.connect();
    stream.write_all(&request.bytes()).unwrap();
    for number in 0..pieces {
        let head = format!("{PIECE:x}\r\n");
        // A server that refuses early does not read the rest.
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(&piece(number)))
            .and_then(|()| stream.write_all(b"\r\n"));
        if sent.is_err() {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

/// Reads an answer's body, and tells how long it is; each of its pieces is seen once.
fn download(project: &Project, path: &str, accept: &str, mut see: impl FnMut(&[u8])) -> usize {
    let request = project
        .request("GET", path)
        .header("Host", project.server.address().to_string())
        .header("Accept", accept);
    let mut stream = project.server.connect();
    stream.write_all(&request.bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let (mut buffer, mut length, mut filled) = (vec![0; PIECE], 0, 0);
    loop {
        let read = stream.read(&mut buffer[filled..]).unwrap();
        length += read;
        filled += read;
        if filled == PIECE || read == 0 {
            see(&buffer[..filled]);
            filled = 0;
        }
        if read == 0 {
            return length;
        }
    }
}

/// A number of KiB in `/proc/PID/status`.
fn memory(server: &Server, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn round(project: &Project, id: &str, pieces: usize) {
    let path = format!("Binary/{id}");
    let answer = upload(project, &path, pieces);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let mut number = 0;
    let length = download(project, &path, "*/*", |seen| {
        if !seen.is_empty() {
            assert!(seen == piece(number), "piece {number}");
        }
        number += 1;
    });
    assert_eq!(length, pieces * PIECE);
    let length = download(project, &path, "application/fhir+json", |_| {});
    assert!(length > pieces * PIECE / 3 * 4, "{length}");
    let length = download(project, &path, "application/fhir+xml", |_| {});
    assert!(length > pieces * PIECE / 3 * 4, "{length}");
}

#[test]
fn long_content_needs_little_memory() {
    let server = Arc::new(Server::start());
    let project = Project::create(&server, "binary-long");
    // What is allocated once is not what this is about.
    round(&project, "warm", 128);
    // Peaks are counted from here, where the system can.
    let _ = std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5");
    let Some(before) = memory(&server, "VmHWM") else {
        eprintln!("skipped: this system does not tell the memory of a process");
        return;
    };
    round(&project, "long", 1024);
    let after = memory(&server, "VmHWM").unwrap();
    assert!(
        after.saturating_sub(before) < 16 << 10,
        "from {before} to {after} KiB for 64 MiB"
    );
}

#[test]
fn what_is_too_long_or_broken_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0", "--binary-bytes-max", "1000000"]);
    let server = Arc::new(server);
    let project = Project::create(&server, "binary-limit");
    let answer = upload(&project, "Binary/long", 20);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let announced = project
        .request("PUT", "Binary/long")
        .header("Content-Type", "a/b");
    let announced = announced.header("Content-Length", "1000001");
    project.send(announced).expect(413);
    // The end of a body that is broken off.
    let request = project
        .request("PUT", "Binary/long")
        .header("Content-Type", "a/b");
    let request = request
        .header("Content-Length", "900000")
        .body(vec![b'x'; 300_000]);
    let request = request.header("Host", server.address().to_string());
    let mut stream = server.connect();
    stream.write_all(&request.bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
        "{answer}"
    );
    project.get("Binary/long").expect(404);
    let refused = project
        .get("AuditEvent?entity=Binary/long&outcome=4")
        .expect(200);
    assert!(refused.found().len() >= 2, "{}", refused.body);
    // Nothing is left of it, when the requests have ended.
    drop(project);
    let server = Arc::into_inner(server).unwrap();
    assert!(server.stop().success());
    let left = std::fs::read_dir(data.join("store/blobs/new")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn content_outlives_the_server_and_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Arc::new(Server::start_on(&data, &["--demo=0"]));
    let project = Project::create(&server, "binary-kept");
    project
        .put(&json!({"resourceType": "Patient", "id": "p"}))
        .expect(201);
    upload(&project, "Binary/a", 10);
    let (slug, token) = (project.slug.clone(), project.token.clone());
    drop(project);
    assert!(Arc::into_inner(server).unwrap().stop().success());
    let check = || {
        crate::host::salus(&["check", "--data"])
            .arg(&data)
            .output()
            .unwrap()
    };
    assert!(check().status.success());
    let server = Arc::new(Server::start_on(&data, &["--demo=0"]));
    let project = Project {
        server,
        slug,
        token,
    };
    let mut pieces = 0;
    download(&project, "Binary/a", "*/*", |_| pieces += 1);
    assert!(pieces >= 10);
    drop(project);
    let mut files = Vec::new();
    find(&data.join("store/blobs"), &mut files);
    assert_eq!(files.len(), 1);
    let mut bytes = std::fs::read(&files[0]).unwrap();
    assert!(!bytes.windows(16).any(|part| part == b"0000000000000003"));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    let found = check();
    assert!(!found.status.success());
    assert!(String::from_utf8_lossy(&found.stdout).contains("blob binary-"));
}

fn find(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => find(&path, files),
            false => files.push(path),
        }
    }
}
