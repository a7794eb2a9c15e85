//! `$import` of files that other servers have:
//! <https://github.com/smart-on-fhir/bulk-import>.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::bulk::{lines, place, signed, wait};
use crate::host::{Project, Server};
use crate::serving::certificate;
use crate::wire::{Answer, Request};

/// A server that has files.
pub(crate) struct Files {
    address: SocketAddr,
    /// The paths that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

/// What is asked for: the path, how often it was before, and where to answer.
pub(crate) struct Asked<'a> {
    pub(crate) path: &'a str,
    before: usize,
    pub(crate) to: &'a mut TcpStream,
}

impl Files {
    pub(crate) fn serve(
        answer: impl Fn(Asked<'_>) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let Some(path) = asked_path(&stream) else {
                        return;
                    };
                    let before = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(path.clone());
                        seen.iter().filter(|other| **other == path).count() - 1
                    };
                    // Who asked may have gone away.
                    let _ = answer(Asked {
                        path: &path,
                        before,
                        to: &mut stream,
                    });
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A list of these files, as plain JSON.
    pub(crate) fn list(&self, paths: &[&str]) -> Value {
        let file =
            |path: &&str| json!({"type": "Basic", "url": format!("{}{path}", self.origin())});
        let files: Vec<Value> = paths.iter().map(file).collect();
        json!({"inputFormat": "application/fhir+ndjson", "input": files})
    }
}

fn asked_path(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    for line in lines {
        if line.ok()?.is_empty() {
            break;
        }
    }
    first.split(' ').nth(1).map(str::to_owned)
}

pub(crate) fn whole(to: &mut TcpStream, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(
        to,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    to.write_all(body)
}

fn basic(id: &str) -> String {
    format!(
        "{}\n",
        json!({"resourceType": "Basic", "id": id, "code": {"text": "x"}})
    )
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A server that may fetch from there, and its first project.
fn server(data: &Path, files: &Files, arguments: &[&str]) -> Arc<Server> {
    let origins = format!("--import-origins={}", files.origin());
    let arguments = [&["--demo=0", &origins], arguments].concat();
    Arc::new(Server::start_on(data, &arguments))
}

pub(crate) fn import(project: &Project, list: &Value) -> Answer {
    let request = Request::new("POST", &format!("{}/$import", project.base()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/fhir+json")
        .body(list.to_string());
    signed(project, request)
}

/// The files with whom all sorts of things go wrong.
fn odd(asked: Asked<'_>) -> std::io::Result<()> {
    let Asked { path, before, to } = asked;
    let path = path.split('?').next().unwrap();
    match path {
        "/plain" => {
            let text = format!("{}not json SECRET\n\n{}", basic("p1"), basic("p2"));
            whole(to, "ETag: \"1\"\r\n", text.as_bytes())
        }
        "/coded" => whole(
            to,
            "Content-Encoding: gzip\r\n",
            &gzip(basic("c1").as_bytes()),
        ),
        "/file.gz" => {
            let members = [gzip(basic("g1").as_bytes()), gzip(basic("g2").as_bytes())];
            whole(to, "", &members.concat())
        }
        "/flaky" if before == 0 => to.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        "/flaky" => whole(to, "", basic("f1").as_bytes()),
        "/cut" if before == 0 => {
            write!(
                to,
                "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}",
                basic("t1")
            )
        }
        "/cut" => whole(to, "", (basic("t1") + &basic("t2")).as_bytes()),
        "/moved" => {
            to.write_all(b"HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\r\n")
        }
        "/endless" => {
            to.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                to.write_all(&[b'x'; 1 << 16])?;
            }
        }
        "/bomb" => whole(
            to,
            "Content-Encoding: gzip\r\n",
            &gzip(&vec![b'\n'; 10 << 20]),
        ),
        "/broken" => whole(
            to,
            "Content-Encoding: gzip\r\n",
            b"no gzip at all, but long enough",
        ),
        _ => to.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
    }
}

#[test]
fn each_file_is_told_of_and_a_faulty_one_keeps_no_other_back() {
    let files = Files::serve(odd);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = server(&data, &files, &["--import-bytes-max=1000000"]);
    let project = Project::create(&server, "files");
    let expected = [
        ("/plain?sig=SECRET", 2, 1),
        ("/coded", 1, 0),
        ("/file.gz", 2, 0),
        ("/flaky", 1, 0),
        ("/cut", 2, 0),
        ("/moved", 0, 1),
        ("/endless", 0, 1),
        ("/bomb", 0, 1),
        ("/broken", 0, 1),
        ("/missing?sig=SECRET", 0, 1),
    ];
    let job = place(&import(&project, &files.list(&expected.map(|file| file.0))).expect(202));
    let manifest = wait(&project, &job).expect(200).json();
    for (at, (path, loaded, failed)) in expected.into_iter().enumerate() {
        let report = json!({"type": "Basic", "inputUrl": format!("{}{path}", files.origin()),
            "count": loaded, "failed": failed});
        assert_eq!(manifest["output"][at], report);
    }
    assert_eq!(project.count("Basic"), 8);
    let faults = lines(&project, &manifest, "error");
    let told: Vec<&str> = faults
        .iter()
        .map(|outcome| outcome["issue"][0]["details"]["text"].as_str().unwrap())
        .collect();
    let origin = files.origin();
    let begins = [
        "file 1, line 2: ".to_owned(),
        format!("file 6 ({origin}): its server answered 302"),
        format!("file 7 ({origin}): it is longer than 1000000 bytes"),
        format!("file 8 ({origin}): it is longer than 1000000 bytes"),
        format!("file 9 ({origin}): it cannot be inflated"),
        format!("file 10 ({origin}): its server answered 404"),
    ];
    assert_eq!(told.len(), begins.len(), "{told:?}");
    for (told, begins) in told.iter().zip(&begins) {
        assert!(told.starts_with(begins), "{told}");
    }
    assert_eq!(
        files
            .asked()
            .iter()
            .filter(|path| path.starts_with("/plain"))
            .count(),
        1
    );
    assert!(!told.join(" ").contains("SECRET"), "{told:?}");
    assert!(!server.log().contains("SECRET"), "{}", server.log());
    let events = server.admin("GET", "/p/files/fhir/AuditEvent?_count=1000", &Value::Null);
    let events = events.expect(200).body;
    assert!(!events.contains("SECRET"));
    signed(&project, Request::new("DELETE", &job)).expect(202);
}

#[test]
fn nothing_is_fetched_from_where_nobody_has_allowed_it() {
    let (files, other) = (Files::serve(odd), Files::serve(odd));
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder.path().join("data"), &files, &[]);
    let project = Project::create(&server, "closed");
    let refused = |list: Value, status: u16| {
        let answer = import(&project, &list).expect(status);
        assert!(!answer.body.contains("SECRET"), "{}", answer.body);
        answer.body
    };
    let told = refused(other.list(&["/plain?SECRET"]), 422);
    assert!(told.contains("input[0].url"), "{told}");
    let host = files.address;
    for url in [
        format!("http://SECRET@{host}/plain"),
        format!("http://{host}/plain#SECRET"),
        format!("ftp://{host}/SECRET"),
        "SECRET".to_owned(),
    ] {
        refused(json!({"input": [{"url": url}]}), 400);
    }
    refused(
        json!({"input": [{"url": format!("https://{host}/SECRET")}]}),
        422,
    );
    refused(json!({"input": []}), 400);
    refused(json!({"resourceType": "Patient", "id": "SECRET"}), 400);
    assert_eq!(files.asked(), Vec::<String>::new());
    assert_eq!(other.asked(), Vec::<String>::new());
    // Parameters in XML are Parameters.
    let url = format!("{}/coded", files.origin());
    let xml = format!(
        r#"<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="input"/><part><name value="url"/><valueUrl value="{url}"/></part></parameter></Parameters>"#
    );
    let request = Request::new("POST", &format!("{}/$import", project.base()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/fhir+xml");
    let job = place(&signed(&project, request.clone().body(xml)).expect(202));
    let manifest = wait(&project, &job).expect(200).json();
    assert_eq!(manifest["output"][0]["count"], 1, "{manifest}");
    let typed = Request::new("POST", &format!("{}/$import?type=Basic", project.base()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/fhir+json");
    signed(&project, typed.body(files.list(&["/coded"]).to_string())).expect(400);
    project.send(request).expect(401);
    assert_eq!(project.count("Basic"), 1);
}

/// As many lines as take several checkpoints, none with an id: each would be
/// there twice if it were loaded twice.
const LINES: usize = 6000;

/// A file that stops coming before its end until it is told to go on.
fn held(asked: Asked<'_>, hold: &Mutex<Receiver<()>>) -> std::io::Result<()> {
    let line = |number: usize| {
        json!({"resourceType": "Basic", "code": {"text": number.to_string()}}).to_string() + "\n"
    };
    let text: String = (0..LINES).map(line).collect();
    if asked.path == "/first" {
        return whole(asked.to, "", line(LINES).as_bytes());
    }
    let length = text.len();
    write!(
        asked.to,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nETag: \"1\"\r\n\r\n"
    )?;
    let (before, after) = text.split_at(length * 9 / 10);
    asked.to.write_all(before.as_bytes())?;
    if asked.before == 0 {
        // Until the test has ended what is being tested.
        let _ = hold.lock().unwrap().recv();
        return Ok(());
    }
    asked.to.write_all(after.as_bytes())
}

/// Begins an import of the file that is held, and waits until it is held.
fn begin_held(server: &Server, files: &Files) -> String {
    let request = Request::new("POST", "/fhir/$import")
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/json")
        .body(files.list(&["/first", "/held"]).to_string());
    let job = place(&server.send(request).expect(202));
    loop {
        let answer = server.admin("GET", &job, &Value::Null);
        if answer.status == 429 {
            continue;
        }
        let progress = answer.expect(202).header("x-progress").unwrap().to_owned();
        if progress == "file 2 of 2, 5001 loaded" {
            return job;
        }
    }
}

#[test]
fn nobody_waits_for_a_file_that_does_not_come() {
    let (_release, hold): (Sender<()>, Receiver<()>) = channel();
    let hold = Mutex::new(hold);
    let files = Files::serve(move |asked| {
        let asked = Asked { before: 0, ..asked };
        held(asked, &hold)
    });
    let folder = tempfile::tempdir().unwrap();
    let server = server(&folder.path().join("data"), &files, &[]);
    let job = begin_held(&server, &files);
    server.admin("DELETE", &job, &Value::Null).expect(202);
    server.admin("GET", &job, &Value::Null).expect(404);
    let found = server.admin("GET", "/fhir/Basic?_summary=count", &Value::Null);
    assert_eq!(found.expect(200).json()["total"], 5001);
    let request = files.list(&["/held"]);
    let request = Request::new("POST", "/fhir/$import")
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Prefer", "respond-async")
        .header("Content-Type", "application/json")
        .body(request.to_string());
    server.send(request).expect(202);
    while files.asked().len() < 3 {
        std::thread::yield_now();
    }
    let server = Arc::into_inner(server).unwrap();
    assert!(server.stop().success());
}

#[test]
fn a_file_over_tls_comes_from_the_host_that_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key, _) = certificate(folder.path());
    let arguments = ["--demo=0", "--tls-certificate", &chain, "--tls-key", &key];
    // Its metadata is a resource on a line that anyone may read.
    let other = Server::start_on(&folder.path().join("other"), &arguments);
    let port = other.ready["base"].as_str().unwrap().rsplit(':').next();
    let port = port.unwrap().to_owned();
    let origins = format!("--import-origins=https://localhost:{port},https://127.0.0.1:{port}");
    let arguments = ["--demo=0", &origins, "--import-roots", &chain];
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    let project = Project::create(&Arc::new(server), "tls");
    let url = |host| json!({"url": format!("https://{host}:{port}/fhir/metadata")});
    let list = json!({"input": [url("127.0.0.1"), url("localhost")]});
    let job = place(&import(&project, &list).expect(202));
    let manifest = wait(&project, &job).expect(200).json();
    let output = &manifest["output"];
    assert_eq!(
        (&output[0]["count"], &output[0]["failed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(
        (&output[1]["count"], &output[1]["failed"]),
        (&json!(1), &json!(0))
    );
    let told = lines(&project, &manifest, "error")[0]["issue"][0]["details"]["text"].to_string();
    assert!(told.contains("cannot be trusted"), "{told}");
    assert_eq!(project.count("CapabilityStatement"), 1);
}

#[test]
fn an_import_goes_on_in_the_middle_of_a_file_after_a_crash() {
    let (release, hold): (Sender<()>, Receiver<()>) = channel();
    let hold = Mutex::new(hold);
    let files = Files::serve(move |asked| held(asked, &hold));
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let job = {
        let server = server(&data, &files, &[]);
        begin_held(&server, &files)
    };
    // It was killed when it was dropped.
    drop(release);
    let server = server(&data, &files, &[]);
    let manifest = loop {
        let answer = server.admin("GET", &job, &Value::Null);
        match answer.status {
            202 | 429 => {}
            _ => break answer.expect(200).json(),
        }
    };
    assert_eq!(manifest["output"][0]["count"], 1, "{manifest}");
    assert_eq!(manifest["output"][1]["count"], LINES, "{manifest}");
    assert_eq!(manifest["error"], json!([]));
    let found = server.admin("GET", "/fhir/Basic?_summary=count", &Value::Null);
    assert_eq!(found.expect(200).json()["total"], LINES + 1);
    assert_eq!(files.asked(), ["/first", "/held", "/held"]);
}
