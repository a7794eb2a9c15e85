//! Answers and bodies in the content codings gzip, br and zstd.

use std::io::{Read, Write};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::bulk;
use crate::host::{Project, project};
use crate::http2::{connect, run};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

/// An answer whose body is any bytes.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    /// What else it depends on.
    fn varies(&self) -> Vec<&str> {
        let values = self.headers.get_all("vary").iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

#[track_caller]
fn send(
    project: &Project,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let url = format!(
        "http://{}{}/{path}",
        project.server.address(),
        project.base()
    );
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .header("Authorization", format!("Bearer {}", project.token))
        .header("Content-Type", "application/fhir+json")
        .body(Full::from(body))
        .unwrap();
    run(async {
        let answer = connect(project.server.address())
            .await
            .send_request(request)
            .await
            .unwrap();
        let (parts, body) = answer.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    })
}

fn decode(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_end(&mut text),
        "br" => brotli::Decompressor::new(body, 4096).read_to_end(&mut text),
        "zstd" => zstd::stream::read::Decoder::new(body)
            .unwrap()
            .read_to_end(&mut text),
        other => panic!("{other}"),
    }
    .unwrap();
    text
}

fn encode(coding: &str, text: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
            encoder.write_all(text).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::encode_all(text, 19).unwrap(),
        other => panic!("{other}"),
    }
}

fn long_patient() -> Value {
    let names: Vec<Value> = (0..200)
        .map(|n| json!({"family": format!("Family{n}")}))
        .collect();
    json!({"resourceType": "Patient", "id": "long", "name": names})
}

#[test]
fn answers_come_in_the_coding_that_was_asked_for() {
    let project = project("codings-out");
    project.put(&long_patient()).expect(201);
    project
        .put(&json!({"resourceType": "Patient", "id": "short"}))
        .expect(201);
    let plain = send(&project, "GET", "Patient/long", &[], Vec::new());
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.varies(), ["Accept", "Accept-Encoding"]);
    for coding in CODINGS {
        for path in ["Patient/long", "Patient?_id=long", "metadata"] {
            let whole = send(&project, "GET", path, &[], Vec::new());
            let asked = [("Accept-Encoding", coding)];
            let coded = send(&project, "GET", path, &asked, Vec::new());
            assert_eq!(
                (coded.status, coded.header("content-encoding")),
                (200, Some(coding)),
                "{path}"
            );
            assert_eq!(
                coded.header("content-length"),
                Some(&*coded.body.len().to_string())
            );
            assert_eq!(coded.header("etag"), whole.header("etag"));
            assert!(coded.body.len() < whole.body.len() / 2, "{coding} {path}");
            let text = decode(coding, &coded.body);
            // Pages have an id of their own each time.
            assert_eq!(text.len(), whole.body.len(), "{coding} {path}");
            let head = send(&project, "HEAD", path, &asked, Vec::new());
            assert_eq!((head.status, head.body.len()), (200, 0));
            assert_eq!(head.header("content-encoding"), Some(coding));
        }
        let asked = [("Accept-Encoding", coding)];
        let short = send(&project, "GET", "Patient/short", &asked, Vec::new());
        assert_eq!(
            (short.header("content-encoding"), short.varies()),
            (None, vec!["Accept"])
        );
    }
}

#[test]
fn files_of_an_export_come_in_the_coding_that_was_asked_for() {
    let project = project("codings-files");
    project.put(&long_patient()).expect(201);
    let manifest = bulk::export(&project, "$export?_type=Patient");
    let file = manifest["output"][0]["url"].as_str().unwrap();
    let (_, path) = file.split_once(&format!("{}/", project.base())).unwrap();
    let whole = send(&project, "GET", path, &[], Vec::new());
    assert_eq!(whole.header("content-encoding"), None);
    for coding in CODINGS {
        let asked = [("Accept-Encoding", coding)];
        let coded = send(&project, "GET", path, &asked, Vec::new());
        assert_eq!(coded.header("content-encoding"), Some(coding));
        assert!(coded.varies().contains(&"Accept-Encoding"));
        assert!(coded.body.len() < whole.body.len() / 2, "{coding}");
        assert_eq!(decode(coding, &coded.body), whole.body);
    }
}

#[test]
fn bodies_may_come_in_a_coding() {
    let project = project("codings-in");
    let patient = long_patient();
    for coding in CODINGS {
        let body = encode(coding, patient.to_string().as_bytes());
        let coded = [("Content-Encoding", coding)];
        let answer = send(&project, "PUT", "Patient/long", &coded, body);
        assert!(
            matches!(answer.status, 200 | 201),
            "{coding} {}",
            answer.status
        );
        let read = project.get("Patient/long").expect(200).json();
        assert_eq!(read["name"], patient["name"]);
        // What is not in the coding that it claims.
        for bad in [&b"{\"resourceType\":\"Patient\"}"[..], &[0xff; 20]] {
            let answer = send(&project, "PUT", "Patient/bad", &coded, bad.to_vec());
            assert_eq!(answer.status, 400, "{coding}");
        }
        // A small body that becomes larger than what is accepted.
        let bomb = encode(coding, &vec![b' '; (64 << 20) + 1]);
        let answer = send(&project, "PUT", "Patient/bad", &coded, bomb);
        assert_eq!(answer.status, 413, "{coding}");
    }
    for coding in ["deflate", "gzip, gzip", "compress"] {
        let answer = send(
            &project,
            "PUT",
            "Patient/bad",
            &[("Content-Encoding", coding)],
            b"{}".to_vec(),
        );
        assert_eq!(answer.status, 415, "{coding}");
    }
    project.get("Patient/bad").expect(404);
}
