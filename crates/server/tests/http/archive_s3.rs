//! A server that ships to S3: a small stand-in checks every signature and condition, and
//! misbehaves.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use salus_crypto::sha256;

use crate::archive::{put, wait_shipped};
use crate::host::salus;

pub(crate) const KEY: &str = "EXAMPLEKEY";
pub(crate) const SECRET: &str = "example/secret";

/// What the stand-in does with a put.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It asks for patience.
    Busy,
    /// It does it, and says that it failed.
    DoneButFailed,
    /// It does it, and breaks off.
    Cut,
    /// It takes its time.
    Slow,
    /// It says that the content is not what was signed.
    BadDigest,
}

#[derive(Default)]
pub(crate) struct Bucket {
    pub(crate) objects: BTreeMap<String, Bytes>,
    faults: VecDeque<Fault>,
    /// What was wrong with requests.
    pub(crate) wrong: Vec<String>,
    pub(crate) locks: Vec<String>,
}

pub(crate) type Shared = Arc<Mutex<Bucket>>;

/// Starts the stand-in on a free port.
pub(crate) fn start(bucket: Shared) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let router = Router::new().fallback(answer).with_state(bucket);
            axum::serve(listener, router).await.unwrap();
        });
    });
    address
}

async fn answer(State(bucket): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    if let Err(why) = check(&head.method, &head.uri, &head.headers, &body) {
        bucket.lock().unwrap().wrong.push(why);
        return StatusCode::FORBIDDEN.into_response();
    }
    let key = head
        .uri
        .path()
        .trim_start_matches("/bucket")
        .trim_start_matches('/')
        .to_owned();
    match (head.method.as_str(), key.is_empty()) {
        ("GET", true) => list(&bucket, head.uri.query().unwrap_or_default()),
        ("GET", false) => get(&bucket, &key, &head.headers),
        ("PUT", _) => put_object(&bucket, key, &head.headers, body).await,
        ("DELETE", _) => {
            bucket.lock().unwrap().objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

async fn put_object(bucket: &Shared, key: String, headers: &HeaderMap, body: Bytes) -> Response {
    let fault = bucket.lock().unwrap().faults.pop_front();
    if let Some(Fault::Slow) = fault {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut bucket = bucket.lock().unwrap();
    if headers
        .get("if-none-match")
        .is_none_or(|value| value != "*")
    {
        bucket.wrong.push("a put without its condition".into());
    }
    if headers.get("x-amz-checksum-sha256").is_none() {
        bucket.wrong.push("a put without its checksum".into());
    }
    if let Some(mode) = headers.get("x-amz-object-lock-mode") {
        let until = &headers["x-amz-object-lock-retain-until-date"];
        let lock = format!("{} {}", mode.to_str().unwrap(), until.to_str().unwrap());
        bucket.locks.push(lock);
    }
    match fault {
        Some(Fault::Busy) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Fault::BadDigest) => return StatusCode::BAD_REQUEST.into_response(),
        Some(_) | None => {}
    }
    if bucket.objects.contains_key(&key) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    bucket.objects.insert(key, body);
    match fault {
        Some(Fault::DoneButFailed) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::Cut) => {
            let broken = futures_util::stream::iter([Err::<Bytes, _>("cut")]);
            let headers = [("content-length", "5")];
            (headers, Body::from_stream(broken)).into_response()
        }
        _ => ([("etag", "\"1\"")], StatusCode::OK).into_response(),
    }
}

fn get(bucket: &Shared, key: &str, headers: &HeaderMap) -> Response {
    let Some(object) = bucket.lock().unwrap().objects.get(key).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let about = [
        ("etag", "\"1\""),
        ("last-modified", "Mon, 02 Nov 2026 10:00:00 GMT"),
    ];
    let Some(range) = headers.get("range") else {
        return (about, object).into_response();
    };
    let range = range.to_str().unwrap().strip_prefix("bytes=0-").unwrap();
    let end = (range.parse::<usize>().unwrap() + 1).min(object.len());
    let said = format!("bytes 0-{}/{}", end - 1, object.len());
    let range = [("content-range", said)];
    (
        StatusCode::PARTIAL_CONTENT,
        about,
        range,
        object.slice(..end),
    )
        .into_response()
}

/// Three at a time, so that whoever lists has to go on.
fn list(bucket: &Shared, query: &str) -> Response {
    let query: HashMap<String, String> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let (prefix, after) = (text("prefix"), text("continuation-token"));
    let bucket = bucket.lock().unwrap();
    let wanted = |key: &&String| key.starts_with(&prefix) && **key > after;
    let keys: Vec<_> = bucket.objects.keys().filter(wanted).take(4).collect();
    let mut xml = String::from("<ListBucketResult>");
    for key in keys.iter().take(3) {
        let size = bucket.objects[*key].len();
        xml.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size>\
             <LastModified>2026-11-02T10:00:00.000Z</LastModified><ETag>1</ETag></Contents>"
        ));
    }
    let more = keys.len() > 3;
    xml.push_str(&format!("<IsTruncated>{more}</IsTruncated>"));
    if more {
        xml.push_str(&format!(
            "<NextContinuationToken>{}</NextContinuationToken>",
            keys[2]
        ));
    }
    xml.push_str("</ListBucketResult>");
    ([("content-type", "application/xml")], xml).into_response()
}

/// Checks a signature of version 4 as its description says, with nothing of what made it.
fn check(method: &Method, uri: &http::Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or(format!("no {name}"))
    };
    let authorization = text("authorization")?;
    let parts = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("another algorithm")?;
    let parts: HashMap<_, _> = parts
        .split(',')
        .filter_map(|part| part.trim().split_once('='))
        .collect();
    let (key, scope) = parts["Credential"].split_once('/').ok_or("no scope")?;
    if key != KEY {
        return Err("another key".into());
    }
    let hash = text("x-amz-content-sha256")?;
    if hash != hex(&sha256(body)) {
        return Err(format!("the hash of the body is another: {hash}"));
    }
    let mut canonical = format!("{method}\n{}\n{}\n", uri.path(), canonical_query(uri));
    for name in parts["SignedHeaders"].split(';') {
        canonical.push_str(&format!("{name}:{}\n", text(name)?.trim()));
    }
    for name in headers
        .keys()
        .filter(|name| name.as_str().starts_with("x-amz-"))
    {
        if !parts["SignedHeaders"]
            .split(';')
            .any(|signed| signed == name.as_str())
        {
            return Err(format!("{name} is not signed"));
        }
    }
    canonical.push_str(&format!("\n{}\n{hash}", parts["SignedHeaders"]));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        text("x-amz-date")?,
        hex(&sha256(canonical.as_bytes()))
    );
    let mut signing = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        signing = hmac(&signing, part.as_bytes()).to_vec();
    }
    match hex(&hmac(&signing, to_sign.as_bytes())) == parts["Signature"] {
        true => Ok(()),
        false => Err(format!("{method} {uri}: the signature is another")),
    }
}

fn canonical_query(uri: &http::Uri) -> String {
    let mut pairs: Vec<_> = uri.query().unwrap_or_default().split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&sha256(key)),
    }
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], text].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_check_of_signatures_is_that_of_the_standard() {
    // RFC 4231, test case 2.
    assert!(hex(&hmac(b"Jefe", b"what do ya want for nothing?")).starts_with("5bdcc146bf60754e"));
}

#[test]
fn a_store_is_shipped_to_s3_whatever_it_does() {
    let bucket = Shared::default();
    let address = start(Arc::clone(&bucket));
    let room = tempfile::tempdir().unwrap();
    let data = room.path().join("data");
    let credentials = room.path().join("credentials");
    let text = format!("[archive]\naws_access_key_id={KEY}\naws_secret_access_key={SECRET}\n");
    std::fs::write(&credentials, text).unwrap();
    let archive = format!(
        "s3://bucket/some/prefix?region=eu-central-1&endpoint=http://{address}\
         &lock=governance&lock-days=2"
    );
    bucket.lock().unwrap().faults = [
        Fault::Busy,
        Fault::DoneButFailed,
        Fault::Cut,
        Fault::Slow,
        Fault::BadDigest,
    ]
    .into();
    // The file is named in the configuration's folder by variables, so by the process's own.
    let variables = [
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
        ("AWS_PROFILE", "archive"),
    ];
    let server =
        crate::host::Server::start_with(&data, &["--demo=0", "--archive", &archive], &variables);
    for id in ["one", "two", "three", "four", "five", "six"] {
        put(&server, id);
        wait_shipped(&data, &archive);
    }
    let mut base = salus(&["backup", "base", "--json", "--data"]);
    base.arg(&data)
        .args(["--archive", &archive])
        .envs(variables);
    let output = base.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(server.stop().success());
    let mut command = salus(&["backup", "verify", "--json", "--data"]);
    command
        .arg(&data)
        .args(["--archive", &archive])
        .envs(variables);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let verified: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verified["archives"][0]["bases"], 1, "{verified}");
    let bucket = bucket.lock().unwrap();
    assert_eq!(bucket.wrong, Vec::<String>::new());
    assert_eq!(bucket.faults.len(), 0, "all of them have happened");
    assert!(bucket.objects.len() > 3);
    assert!(
        bucket
            .objects
            .keys()
            .all(|key| key.starts_with("some/prefix/"))
    );
    assert!(
        bucket
            .locks
            .iter()
            .all(|lock| lock.starts_with("GOVERNANCE 20")),
        "{:?}",
        bucket.locks
    );
}
