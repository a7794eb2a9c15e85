//! Starting, stopping, signing in, TLS: what an operator meets.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::host::{Server, project, salus, shared};
use crate::wire::{Answer, Request, exchange};

#[track_caller]
fn fails(arguments: &[&str], data: &Path) -> String {
    let output = salus(&["serve", "--data"])
        .arg(data)
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn plain_listeners_are_for_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let reason = fails(&["--listen", "0.0.0.0:0"], &data);
    assert!(
        reason.contains("without TLS") && reason.contains("--tls-elsewhere"),
        "{reason}"
    );
    assert!(!data.exists());
    let reason = fails(&["--tls-certificate", "c.pem"], &data);
    assert!(reason.contains("--tls-key"), "{reason}");
    let reason = fails(
        &["--tls-certificate", "none.pem", "--tls-key", "none.pem"],
        &data,
    );
    assert!(reason.contains("none.pem"), "{reason}");
    let reason = fails(&["--log", "loud,,="], &data);
    assert!(reason.contains("log level"), "{reason}");
}

#[test]
fn flags_come_before_variables_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("salus.toml");
    std::fs::write(&file, "listen = \"0.0.0.0:1\"\n[log]\nlevel = \"debug\"\n").unwrap();
    let check = |variable: Option<&str>, flags: &[&str], expect: &str| {
        let mut command = salus(&["serve", "--data", "/nowhere/salus", "--config"]);
        command.arg(&file).args(flags);
        if let Some(value) = variable {
            command.env("SALUS_LISTEN", value);
        }
        let output = command.output().unwrap();
        let reason = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && reason.contains(expect),
            "{reason}"
        );
    };
    check(None, &[], "listen on 0.0.0.0:1 without TLS");
    check(Some("0.0.0.0:2"), &[], "listen on 0.0.0.0:2 without TLS");
    let flag = ["--listen", "0.0.0.0:3"];
    check(Some("0.0.0.0:2"), &flag, "listen on 0.0.0.0:3 without TLS");
    std::fs::write(&file, "lisen = \"127.0.0.1:1\"\n").unwrap();
    check(None, &[], "salus.toml is not a valid configuration");
}

/// A certificate for localhost and its key, as files.
pub(crate) fn certificate(folder: &Path) -> (String, String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (text(&chain), text(&key), made.cert.der().clone())
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn tls_is_served_from_certificate_files() {
    let folder = tempfile::tempdir().unwrap();
    let (chain, key, trusted) = certificate(folder.path());
    let arguments = ["--demo=0", "--tls-certificate", &chain, "--tls-key", &key];
    let server = Server::start_on(&folder.path().join("data"), &arguments);
    assert!(
        server.ready["base"]
            .as_str()
            .unwrap()
            .starts_with("https://")
    );
    let mut roots = RootCertStore::empty();
    roots.add(trusted).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    let ask = |name: &'static str| -> std::io::Result<Answer> {
        let name = ServerName::try_from(name).unwrap();
        let session = ClientConnection::new(Arc::clone(&config), name).unwrap();
        let request = Request::new("GET", "/fhir/metadata").header("Host", "localhost");
        exchange(
            StreamOwned::new(session, server.connect()),
            &request.bytes(),
        )
    };
    let statement = ask("localhost").unwrap().expect(200).json();
    assert_eq!(statement["implementation"]["url"], "https://localhost/fhir");
    assert!(ask("elsewhere.example").is_err());
    // Plain HTTP is not answered there.
    let request = Request::new("GET", "/fhir/metadata").header("Host", "localhost");
    assert!(exchange(server.connect(), &request.bytes()).is_err());
}

#[test]
fn requests_under_way_finish_when_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &["--demo=0"]);
    let body = json!({"resourceType": "Basic", "id": "a", "code": {"text": "x"}}).to_string();
    let request = Request::new("PUT", "/fhir/Basic/a")
        .header("Host", "localhost")
        .header("Authorization", format!("Bearer {}", server.token()))
        .header("Content-Type", "application/fhir+json")
        .header("Expect", "100-continue")
        .body(body.clone())
        .bytes();
    let mut stream = server.connect();
    stream
        .write_all(&request[..request.len() - body.len()])
        .unwrap();
    // The server asks for the body: the request is under way.
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(go_on, *b"HTTP/1.1 100 Continue\r\n\r\n");
    server.terminate();
    wait_until_refused(&server);
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(server.stop_after_signal().success());
    let server = Server::start_on(&data, &["--demo=0"]);
    server
        .admin("GET", "/fhir/Basic/a", &Value::Null)
        .expect(200);
}

/// Waits until the server takes no more connections.
fn wait_until_refused(server: &Server) {
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_demo_has_fresh_credentials_each_time_and_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = Server::start_on(&data, &["--demo=2"]);
    let count = |server: &Server| {
        let answer = server
            .admin("GET", "/fhir/Patient?_summary=count", &Value::Null)
            .expect(200);
        answer.json()["total"].clone()
    };
    assert_eq!(count(&first), 2);
    let ready = first.ready.clone();
    assert!(first.stop().success());
    let again = Server::start_on(&data, &["--demo=2"]);
    assert_eq!(count(&again), 2);
    for name in ["admin_token", "client_secret"] {
        assert_ne!(again.ready[name], ready[name]);
    }
    let token = |secret: &Value| {
        let form = format!(
            "grant_type=client_credentials&client_id=demo&client_secret={}",
            secret.as_str().unwrap()
        );
        again.send(Request::new("POST", "/auth/token").body(form))
    };
    token(&ready["client_secret"]).expect(401);
    let granted = token(&again.ready["client_secret"]).expect(200).json();
    let bearer = format!("Bearer {}", granted["access_token"].as_str().unwrap());
    again
        .send(Request::new("GET", "/fhir/Patient").header("Authorization", bearer))
        .expect(200);
    // Without --demo the folder is served, and no token is printed.
    assert!(again.stop().success());
    let plain = Server::start_on(&data, &[]);
    let mut names: Vec<_> = plain.ready.as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["base", "fhir"]);
}

#[test]
fn the_demo_text_holds_lines_that_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = salus(&["serve", "--demo=1", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        let done = line.contains("/auth/token");
        lines.push(line);
        if done {
            break;
        }
    }
    let curls: Vec<_> = lines
        .iter()
        .filter(|line| line.trim_start().starts_with("curl "))
        .collect();
    let outputs: Vec<Option<Output>> = curls
        .iter()
        .map(|line| {
            std::process::Command::new("sh")
                .args(["-c", &line.replace("curl ", "curl -sS --fail ")])
                .output()
                .ok()
        })
        .collect();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(curls.len(), 3, "{lines:?}");
    for (line, output) in curls.iter().zip(outputs) {
        let output = output.unwrap();
        // 127: this machine has no curl.
        let ok = output.status.success() || output.status.code() == Some(127);
        assert!(ok, "{line}: {output:?}");
        assert!(
            output.stdout.len() > 50 || output.status.code() == Some(127),
            "{line}: {output:?}"
        );
    }
}

#[test]
fn a_folder_is_set_up_once_with_the_link() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start_on(&data, &[]);
    // The link is printed after the server is ready.
    let link = loop {
        if let Some((_, rest)) = server.log().split_once("/setup?link=")
            && let Some((link, _)) = rest.split_once('\n')
        {
            break link.trim().to_owned();
        }
        std::thread::yield_now();
    };
    let page = server
        .send(Request::new("GET", &format!("/setup?link={link}")))
        .expect(200);
    assert!(
        page.body.contains("<form") && page.body.contains(&link),
        "{}",
        page.body
    );
    let injected = server
        .send(Request::new("GET", "/setup?link=%22%3E%3Cscript%3E"))
        .expect(200);
    assert!(!injected.body.contains("<script"), "{}", injected.body);
    let set_up = |link: &str, password: &str| {
        let form = format!("link={link}&email=first%40example.org&password={password}");
        server.send(
            Request::new("POST", "/setup")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(form),
        )
    };
    set_up("wrong", "a-good-long-password").expect(403);
    set_up(&link, "short").expect(400);
    let mut at_once: Vec<u16> = std::thread::scope(|threads| {
        let use_it = || set_up(&link, "a-good-long-password").status;
        let running: Vec<_> = (0..3).map(|_| threads.spawn(use_it)).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    at_once.sort_unstable();
    assert!(
        at_once[0] == 200 && at_once[1] >= 403 && at_once[2] <= 409,
        "{at_once:?}"
    );
    set_up(&link, "a-good-long-password").expect(403);
    let page = server.send(Request::new("GET", "/setup")).expect(200);
    assert!(!page.body.contains("<form"), "{}", page.body);
    let sign_in = |password: &str| {
        let body = json!({"email": "First@Example.org", "password": password}).to_string();
        server.send(Request::new("POST", "/auth/sign-in").body(body))
    };
    sign_in("a-wrong-long-password").expect(401);
    let session = sign_in("a-good-long-password").expect(200);
    assert_eq!(session.header("cache-control"), Some("no-store"));
    let bearer = format!(
        "Bearer {}",
        session.json()["access_token"].as_str().unwrap()
    );
    let ask = |method: &str, path: &str| {
        server.send(Request::new(method, path).header("Authorization", bearer.clone()))
    };
    // A second factor has to come first: see `mfa`.
    ask("GET", "/fhir/Patient").expect(403);
    ask("GET", "/auth/me").expect(200);
    ask("POST", "/auth/sign-out").expect(200);
    ask("GET", "/auth/me").expect(401);
    assert!(!server.log().contains("a-good-long-password"));
    assert!(server.stop().success());
    // It has an administrator now: no further link, and no demo.
    let server = Server::start_on(&data, &[]);
    assert_eq!(server.log().matches("/setup?link=").count(), 1);
    assert!(server.stop().success());
    let reason = fails(&["--demo=0", "--listen", "127.0.0.1:0"], &data);
    assert!(reason.contains("not made with --demo"), "{reason}");
}

#[test]
fn clients_sign_in_by_form_or_basic() {
    let project = project("serving-clients");
    let new =
        json!({"id": "app", "name": "App", "scopes": "system/Patient.rs system/Observation.cruds"});
    let made = project
        .server
        .admin("POST", "/p/serving-clients/admin/clients", &new)
        .expect(201)
        .json();
    let secret = made["client_secret"].as_str().unwrap();
    let ask = |form: &str, basic: Option<String>| {
        let request = Request::new("POST", "/p/serving-clients/auth/token").body(form);
        project.send(match basic {
            Some(pair) => request.header("Authorization", format!("Basic {}", base64(&pair))),
            None => request,
        })
    };
    let form = |id: &str, secret: &str| {
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
    };
    let granted = ask(&form("app", secret), None).expect(200);
    assert_eq!(granted.header("cache-control"), Some("no-store"));
    let granted = granted.json();
    assert_eq!(granted["token_type"], "Bearer");
    assert_eq!(
        granted["scope"],
        "system/Patient.rs system/Observation.cruds"
    );
    assert!(granted["expires_in"].as_i64().unwrap() > 60);
    let by_basic = ask(
        "grant_type=client_credentials",
        Some(format!("app:{secret}")),
    )
    .expect(200)
    .json();
    assert_ne!(by_basic["access_token"], granted["access_token"]);
    let narrow = format!("{}&scope=system/Patient.r", form("app", secret));
    let narrow = ask(&narrow, None).expect(200).json();
    assert_eq!(narrow["scope"], "system/Patient.r");
    let narrow = project.with(narrow["access_token"].as_str().unwrap());
    narrow.get("Patient/none").expect(404);
    narrow.get("Patient").expect(403);
    let invalid = |answer: Answer, status: u16, code: &str| {
        assert_eq!(
            answer.clone().expect(status).json()["error"],
            code,
            "{}",
            answer.body
        );
    };
    invalid(ask(&form("app", "wrong"), None), 401, "invalid_client");
    invalid(ask(&form("none", secret), None), 401, "invalid_client");
    invalid(
        ask(
            "grant_type=client_credentials",
            Some("app:wrong".to_owned()),
        ),
        401,
        "invalid_client",
    );
    invalid(
        ask("grant_type=client_credentials", None),
        400,
        "invalid_request",
    );
    invalid(
        ask("grant_type=password&username=a&password=b", None),
        400,
        "unsupported_grant_type",
    );
    invalid(
        ask(
            &format!("{}&scope=system/Basic.r", form("app", secret)),
            None,
        ),
        400,
        "invalid_scope",
    );
    // The client of one project is unknown in another.
    let elsewhere = Request::new("POST", "/auth/token").body(form("app", secret));
    invalid(project.send(elsewhere), 401, "invalid_client");
}

fn base64(text: &str) -> String {
    use base64ct::Encoding;
    base64ct::Base64::encode_string(text.as_bytes())
}

#[test]
fn a_removed_client_is_out_at_once() {
    let project = project("serving-removed");
    let token = project.client("app", "system/*.cruds");
    project.with(&token).get("Patient").expect(200);
    project
        .server
        .admin(
            "DELETE",
            "/p/serving-removed/admin/clients/app",
            &Value::Null,
        )
        .expect(200);
    project.with(&token).get("Patient").expect(401);
    let again = json!({"id": "app", "name": "n", "scopes": "system/*.cruds"});
    project
        .server
        .admin("POST", "/p/serving-removed/admin/clients", &again)
        .expect(409);
}

#[test]
fn the_data_folder_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start_on(&data, &["--demo=0"]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("control.sock")), 0o600);
    assert_eq!(mode(&data.join("keys")), 0o700);
    let mut keys = 0;
    for item in std::fs::read_dir(data.join("keys")).unwrap() {
        let path = item.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        keys += 1;
    }
    assert!(keys > 0);
    // One server a folder.
    let reason = fails(&["--demo=0", "--listen", "127.0.0.1:0"], &data);
    assert!(reason.contains("cannot open"), "{reason}");
}

#[test]
fn health_and_metrics_tell_how_it_is() {
    let server = shared();
    for path in ["/", "/health/live", "/health/ready", "/fhir/metadata"] {
        let answer = server.send(Request::new("GET", path)).expect(200);
        assert!(
            answer
                .header("x-request-id")
                .is_some_and(|id| id.len() == 16)
        );
    }
    let metrics = server
        .admin("GET", "/metrics", &Value::Null)
        .expect(200)
        .body;
    for name in [
        "salus_requests_total{route=\"health-live\",status=\"200\"}",
        "salus_request_seconds_bucket",
        "salus_store_bytes",
    ] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"));
    // What collects metrics has a client of its own, in the server's scope.
    let new = json!({"id": "collector", "name": "Collector", "scopes": "salus/metrics.read"});
    let made = server
        .admin("POST", "/p/system/admin/clients", &new)
        .expect(201)
        .json();
    let form = format!(
        "grant_type=client_credentials&client_id=collector&client_secret={}",
        made["client_secret"].as_str().unwrap()
    );
    let token = server
        .send(Request::new("POST", "/p/system/auth/token").body(form))
        .expect(200)
        .json();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let ask =
        |path: &str| server.send(Request::new("GET", path).header("Authorization", bearer.clone()));
    ask("/metrics").expect(200);
    ask("/admin/projects").expect(403);
    ask("/p/system/fhir/AuditEvent").expect(403);
    ask("/fhir/Patient").expect(403);
}
