//! Protected health information stays in resources: not in logs, metrics,
//! errors, nor readable on the disk (45 CFR 164.312(a)(2)(iv), 164.514(b)(2)).
//!
//! Marked values are stored and sent in every way there is; then everything
//! the server left behind is searched for them. `cargo test -p salus-server --test http phi` runs
//! all of it.

mod everywhere;
mod left;
mod marks;
mod ways;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64ct::{Base64Unpadded, Encoding};
use serde_json::{Value, json};

use crate::host::{ALL, Project, Server};
use crate::wire::{Answer, Request};

const SEED: u64 = 7;
/// Shorter forms could stand somewhere by chance.
const LENGTH_MIN: usize = 8;

#[test]
fn marked_values_leak_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Arc::new(Server::start_on(
        &data,
        &["--demo=0", "--log", "debug", "--log-format", "json"],
    ));
    let marked = salus_synthetic::markers(SEED);
    let project = Project::create(&server, "marked");
    let mut errors = Vec::new();
    let stored = project
        .send(project.request("POST", "").body(marked.bundle.clone()))
        .expect(200);
    let patient = location(&stored, 0);
    let values: Vec<&str> = marked
        .values
        .iter()
        .map(String::as_str)
        .filter(|v| v.len() >= LENGTH_MIN)
        .collect();
    assert!(values.len() > 100, "{} values", values.len());
    for (n, value) in values.iter().enumerate() {
        say(&project, value, n, &mut errors);
    }
    read_everything(&project, &patient);
    send_the_resources_badly(&project, &marked.bundle, &mut errors);
    let bad_secret = format!(
        "grant_type=client_credentials&client_id={0}&client_secret={0}",
        encode(values[0])
    );
    errors.push(project.send(Request::new("POST", "/p/marked/auth/token").body(bad_secret)));
    let sign_in = json!({"email": format!("{}@example.org", values[0].replace(' ', "")), "password": values[1]});
    errors.push(server.admin("POST", "/p/marked/auth/sign-in", &sign_in));
    let metrics = server
        .admin("GET", "/metrics", &Value::Null)
        .expect(200)
        .body;
    assert!(errors.len() > 500, "{} errors", errors.len());

    let patterns = Patterns::of(&values);
    for error in &errors {
        assert!(error.status >= 400, "{} {}", error.status, error.body);
        patterns.check("an error", error.body.as_bytes());
    }
    patterns.check("the metrics", metrics.as_bytes());
    let log = server.log();
    assert!(
        log.lines().count() > 500,
        "the log has {} lines",
        log.lines().count()
    );
    patterns.check("the log", log.as_bytes());
    drop(project);
    let server = Arc::into_inner(server).unwrap();
    assert!(server.stop().success());
    let files = search_files(&patterns, folder.path());
    assert!(files > 5, "{files} files");
    // The search finds what is there.
    assert!(patterns.find(marked.bundle.as_bytes()).is_some());
}

#[track_caller]
fn location(answer: &Answer, entry: usize) -> String {
    let bundle = answer.json();
    let location = bundle["entry"][entry]["response"]["location"]
        .as_str()
        .unwrap();
    location.split("/_history/").next().unwrap().to_owned()
}

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Sends one value in every place that a request has.
fn say(project: &Project, value: &str, n: usize, errors: &mut Vec<Answer>) {
    let coded = encode(value);
    // Found or not, but never refused.
    for search in [
        format!("Patient?name={coded}"),
        format!("Patient?identifier={coded}&_count=1"),
    ] {
        let ok = project.get(&search);
        assert!(
            ok.status == 200 || value.contains(['|', ',', '\\', '$']),
            "{}",
            ok.body
        );
    }
    let form = project
        .request("POST", "Patient/_search")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("family={coded}"));
    project.send(form);
    // Names of parameters and members are told to the one who sent them, but not logged.
    let named = [
        project.request("GET", &format!("Patient?{coded}=x")),
        project.request("GET", &format!("Patient?name:{coded}=x")),
        project
            .request("POST", "Patient")
            .body(json!({"resourceType": "Patient", value: 1}).to_string()),
        project
            .request("POST", "Patient")
            .header("If-None-Exist", format!("{coded}=1"))
            .body(r#"{"resourceType":"Patient"}"#),
    ];
    let xml = |body: String| {
        let request = project.request("POST", "Patient");
        request
            .header("Content-Type", "application/fhir+xml")
            .body(body)
    };
    let bad = [
        project.request("GET", &format!("Patient?birthdate=x{coded}")),
        project.request("GET", &format!("Patient?_sort={coded}")),
        project.request("GET", &format!("Patient?_include={coded}")),
        project.request("GET", &format!("Patient?_cursor={coded}")),
        project.request("GET", &format!("Patient?_format={coded}")),
        project.request("GET", &format!("Patient/{coded}")),
        project.request("GET", &format!("{coded}/1")),
        project.request("GET", &format!("Patient/1/_history/{coded}")),
        project.request("GET", &format!("Patient/_history?_since={coded}")),
        project.request("GET", &format!("Patient/_history?_count={coded}")),
        project.request("GET", &format!("/p/marked/nothing/{coded}?{coded}")),
        project.request("DELETE", &format!("Patient/{coded}!")),
        project.request("PUT", "Patient/a").body(json!({"resourceType": "Patient", "id": value}).to_string()),
        project.request("POST", "Patient").body(json!({"resourceType": value}).to_string()),
        project.request("POST", "Patient").body(json!({"resourceType": "Patient", "gender": value}).to_string()),
        project.request("POST", "Patient").body(json!({"resourceType": "Patient", "birthDate": format!("x{value}")}).to_string()),
        project.request("POST", "Patient").body(json!({"resourceType": "Patient", "name": value}).to_string()),
        project.request("POST", "Patient").body(json!({"resourceType": "Patient", "generalPractitioner": [{"reference": format!("Practitioner/{value}!")}], "x": 1}).to_string()),
        project.request("POST", "Patient").body(format!("{{\"resourceType\":\"Patient\",\"name\":[{{\"text\":\"{value}\"}}] {value}")),
        project.request("POST", "Patient").header("Content-Type", format!("text/{coded}")).body(value),
        project.request("PUT", "Patient/a").header("If-Match", coded.clone()).body(r#"{"resourceType":"Patient","id":"a"}"#),
        xml(format!("<Patient xmlns=\"http://hl7.org/fhir\"><active value=\"{value}\"/></Patient>")),
        xml(format!("<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"a\" x:{coded}=\"{value}\"/></Patient>")),
        xml(format!("<Patient xmlns=\"{value}\">{value}<a></{value}>")),
        project.request("GET", "Patient/1").header("Authorization", format!("Bearer {coded}")),
        project.request("GET", "Patient/1").header("Accept", format!("image/{coded}")),
        project.request("POST", "").body(bundle(json!({"request": {"method": "GET", "url": value}}), value).to_string()),
        project.request("POST", "").body(bundle(json!({"fullUrl": value, "request": {"method": "PUT", "url": value}}), "transaction").to_string()),
        project.request("POST", "").body(bundle(json!({
            "resource": {"resourceType": "Basic", "code": {"text": value}, "subject": {"reference": format!("Patient?identifier=none-{coded}")}},
            "request": {"method": "POST", "url": "Basic"},
        }), "transaction").to_string()),
    ];
    for request in named {
        project.send(request);
    }
    // All of them with the first values, one of them with each of the others.
    for (at, request) in bad.into_iter().enumerate() {
        if n < 12 || at == n % 26 {
            errors.push(project.send(request));
        }
    }
}

fn bundle(entry: Value, ty: &str) -> Value {
    json!({"resourceType": "Bundle", "type": ty, "entry": [entry]})
}

fn read_everything(project: &Project, patient: &str) {
    for path in [
        patient,
        &format!("{patient}/_history"),
        &format!("{patient}/_history/1"),
        "_history?_count=5",
        "Observation?_include=Observation:subject&_revinclude=Provenance:target",
        &format!("Observation?subject={patient}&_sort=-date"),
        "AuditEvent?_count=50",
        &format!("AuditEvent?patient={patient}"),
    ] {
        project.get(path).expect(200);
    }
    project
        .with(&project.client("weak", "system/Basic.r"))
        .get(patient)
        .expect(403);
    project
        .with(&project.client("other", ALL))
        .delete("Patient/none")
        .expect(204);
}

/// Each marked resource with a fault, so that validation walks past its values.
fn send_the_resources_badly(project: &Project, bundle: &str, errors: &mut Vec<Answer>) {
    let mut bundle: Value = serde_json::from_str(bundle).unwrap();
    for entry in bundle["entry"].as_array_mut().unwrap() {
        let resource = entry["resource"].as_object_mut().unwrap();
        let ty = resource["resourceType"].as_str().unwrap().to_owned();
        resource.insert("id".to_owned(), json!("bad"));
        resource.insert("unknownElement".to_owned(), json!(1));
        let body = Value::Object(resource.clone()).to_string();
        errors.push(
            project.send(
                project
                    .request("PUT", &format!("{ty}/bad"))
                    .body(body.clone()),
            ),
        );
        errors.push(project.send(project.request("POST", "Flag").body(body)));
    }
    errors.push(project.post("", &bundle));
}

/// Everything to search for, found by its first bytes.
struct Patterns(HashMap<[u8; 8], Vec<Vec<u8>>>);

impl Patterns {
    fn of(values: &[&str]) -> Self {
        let mut patterns = Self(HashMap::new());
        for value in values {
            patterns.add(value.as_bytes());
            patterns.add(encode(value).as_bytes());
            let wide: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
            patterns.add(&wide);
            // Base64 depends on where in three bytes a value begins; its ends mix with what is beside it.
            for offset in 0..3 {
                let shifted = [&b"xx"[..offset], value.as_bytes()].concat();
                let coded = Base64Unpadded::encode_string(&shifted);
                let inner = &coded.as_bytes()[if offset == 0 { 0 } else { 4 }..coded.len() - 1];
                if inner.len() >= 2 * LENGTH_MIN {
                    patterns.add(inner);
                }
            }
        }
        patterns
    }

    fn add(&mut self, pattern: &[u8]) {
        let Some(first) = pattern.first_chunk::<8>() else {
            return;
        };
        self.0.entry(*first).or_default().push(pattern.to_vec());
    }

    fn find(&self, text: &[u8]) -> Option<String> {
        text.windows(8).enumerate().find_map(|(at, window)| {
            let candidates = self.0.get(window.first_chunk::<8>()?)?;
            let found = candidates
                .iter()
                .find(|pattern| text[at..].starts_with(pattern))?;
            Some(String::from_utf8_lossy(found).into_owned())
        })
    }

    #[track_caller]
    fn check(&self, place: &str, text: &[u8]) {
        if let Some(value) = self.find(text) {
            panic!(
                "{value:?} is in {place}: {}",
                String::from_utf8_lossy(&text[..text.len().min(600)])
            );
        }
    }
}

/// Searches all files and their names; how many there are.
#[track_caller]
fn search_files(patterns: &Patterns, folder: &Path) -> usize {
    let mut count = 0;
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = path.display().to_string();
        patterns.check(&name, name.as_bytes());
        if path.is_dir() {
            count += search_files(patterns, &path);
        } else {
            patterns.check(&name, &std::fs::read(&path).unwrap());
            count += 1;
        }
    }
    count
}
