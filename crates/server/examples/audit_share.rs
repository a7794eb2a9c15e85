//! What the audit takes of the throughput of reads: `cargo run --release -p salus-server --example audit_share`.
//!
//! Sixteen clients read patients over HTTP from a router over the embedded engine in a folder, in windows
//! of three kinds by turns. In the first, audit entries are committed. In the second, the store answers commits of
//! nothing but audit entries when one page was written for all that wait, and durable: what the disk alone
//! takes. In the third it answers them at once. Who makes entries and waits for them does so in all three: what is lost
//! between the first kind and the third is what writing the entries costs, the flush of the disk included.
//! On a machine that others use, the CPU's time of a read tells more, with which throughput goes where the
//! cores are what is short; that of the clients is in it. A third argument, the number of a kind, keeps to that
//! kind, for a profile. `bench/audit_share.py` runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // as in tests
#![allow(clippy::print_stdout, reason = "the figures go to standard output")]

#[path = "../tests/support/staged.rs"]
#[allow(dead_code)]
mod staged;

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use rustix::fs::OFlags;
use salus_api::Peer;
use salus_crypto::{Founding, Keyring, SecretKey};
use salus_service::Service;
use salus_store::{Batch, Committed, Reply, Seq, Store};
use salus_store_embedded::{Embedded, Options};
use serde_json::{Value, json};
use staged::{Staged, router_settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tower::ServiceExt;

/// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: usize = 16;
const PATIENTS: u64 = 2_000;
/// After each change of the kind of window, what is not counted.
const SETTLES: Duration = Duration::from_millis(300);

/// What happens to a commit of nothing but audit entries.
#[derive(Clone, Copy)]
enum Kind {
    Audited,
    Flushed,
    Spared,
}

const KINDS: [Kind; 3] = [Kind::Audited, Kind::Flushed, Kind::Spared];

/// A store that can leave the audit of reads out.
struct Sparing {
    inner: Arc<Embedded>,
    kind: AtomicUsize,
    flushes: Sender<oneshot::Sender<()>>,
}

const LEFT_OUT: Committed = Committed { seq: Seq(0) };

impl Store for Sparing {
    salus_store::pass_on!(
        inner: snapshot, changes, sealed, forget, audit_tree, ready, check, disk_bytes, close
    );

    fn commit(&self, batch: Batch) -> Reply<'_, Committed> {
        let is_audit = batch.puts.is_empty() && batch.purged.is_empty();
        let kind = match is_audit {
            true => KINDS[self.kind.load(Ordering::Relaxed)],
            false => Kind::Audited,
        };
        match kind {
            Kind::Audited => self.inner.commit(batch),
            Kind::Flushed => {
                let (told, tells) = oneshot::channel();
                self.flushes.send(told).unwrap();
                Box::pin(async {
                    tells.await.unwrap();
                    Ok(LEFT_OUT)
                })
            }
            Kind::Spared => Box::pin(async { Ok(LEFT_OUT) }),
        }
    }
}

/// Writes a page for all who wait, past the cache of the system. As the store does, it first waits for as many as
/// there were last time.
fn write_pages(folder: &Path, waiting: &Receiver<oneshot::Sender<()>>, runtime: &Handle) {
    let path = folder.join("pages");
    std::fs::write(&path, vec![1; PAGES * PAGE]).unwrap();
    let direct = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(direct)
        .open(path)
        .unwrap();
    let page = Page([1; PAGE]);
    let (mut held, mut expected) = (Vec::new(), 1);
    for place in (0..PAGES).cycle() {
        if held.is_empty() {
            let Ok(first) = waiting.recv() else {
                return;
            };
            held.push(first);
        }
        let until = Instant::now() + Duration::from_millis(1);
        while held.len() < expected {
            match waiting.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(next) => held.push(next),
                Err(_) => break,
            }
        }
        held.extend(waiting.try_iter());
        file.write_all_at(&page.0, (place * PAGE) as u64).unwrap();
        let behind: Vec<_> = waiting.try_iter().collect();
        expected = held.len() + behind.len();
        let told = std::mem::replace(&mut held, behind);
        runtime.spawn(async move { told.into_iter().for_each(|one| _ = one.send(())) });
    }
}

/// Writes past the cache begin at such a place in memory.
#[repr(align(4096))]
struct Page([u8; PAGE]);

const PAGE: usize = 4096;
const PAGES: usize = 256;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| {
        arguments
            .next()
            .map_or(default, |text| text.parse().unwrap())
    };
    let (windows, seconds): (u64, u64) = (number(10), number(3));
    let only = arguments.next().map(|text| text.parse().unwrap());
    let folder = tempfile::tempdir_in(".").unwrap();
    let keyring = Keyring::open(&folder.path().join("keys"), Founding::New, 1).unwrap();
    let engine = Embedded::open(Options::new(folder.path().join("store"), keyring)).unwrap();
    let (flushes, waiting) = channel();
    let path = folder.path().to_owned();
    let runtime = Handle::current();
    std::thread::spawn(move || write_pages(&path, &waiting, &runtime));
    let store = Arc::new(Sparing {
        inner: Arc::clone(&engine),
        kind: AtomicUsize::new(0),
        flushes,
    });
    let world = Arc::new(Staged::at(1_767_225_600_000));
    let settings = salus_service::Settings::default();
    let key = SecretKey::from_bytes([7; 32]);
    let opened = Service::open(Arc::clone(&store) as _, engine, world, settings, key).await;
    let router = salus_api::router(Arc::new(opened.unwrap()), router_settings());
    let token = prepare(&router).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let reads = Arc::new(AtomicU64::new(0));
    for client in 0..CLIENTS as u64 {
        tokio::spawn(read(address, token.clone(), client, Arc::clone(&reads)));
    }
    let (mut rates, mut costs) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for kind in (0..windows).flat_map(|_| 0..KINDS.len()) {
        if only.is_some_and(|only: usize| only != kind) {
            continue;
        }
        store.kind.store(kind, Ordering::Relaxed);
        tokio::time::sleep(SETTLES).await;
        let (begun, before) = (Instant::now(), reads.load(Ordering::Relaxed));
        let busy_ms = cpu_ms();
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let read = reads.load(Ordering::Relaxed) - before;
        rates[kind].push(read as f64 / begun.elapsed().as_secs_f64());
        costs[kind].push((cpu_ms() - busy_ms) / read as f64);
    }
    let [audited, flushed, spared] = rates.map(median);
    let [audited_ms, flushed_ms, spared_ms] = costs.map(median);
    let told = json!({"clients": CLIENTS, "windows": windows, "seconds": seconds,
        "audited": audited.round(), "flushed": flushed.round(), "spared": spared.round(),
        "share": 1.0 - audited / spared, "shareOfFlushes": 1.0 - flushed / spared,
        "auditedMs": audited_ms, "flushedMs": flushed_ms, "sparedMs": spared_ms,
        "shareOfCpu": 1.0 - spared_ms / audited_ms});
    println!("{told}");
}

/// Of nothing, if that kind was left out, it is no number.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What this process has used of the cores, its clients included, in milliseconds: ticks of ten.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    ticks
        .map(|field| field.parse::<f64>().unwrap() * 10.0)
        .sum()
}

/// Makes patients and a client that may read them; its token.
async fn prepare(router: &Router) -> String {
    let client = json!({"id": "a", "name": "A", "scopes": "system/*.crus"});
    let made = ask(router, "POST", "/admin/clients", &client.to_string()).await;
    let secret = made["client_secret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id=a&client_secret={secret}");
    for number in 0..PATIENTS {
        let id = format!("p{number}");
        let patient = json!({"resourceType": "Patient", "id": id, "active": true, "gender": "other",
            "name": [{"family": format!("Family{number}"), "given": ["Given"]}],
            "birthDate": "1970-01-01", "address": [{"city": "Somewhere", "country": "XX"}]});
        ask(
            router,
            "PUT",
            &format!("/fhir/Patient/{id}"),
            &patient.to_string(),
        )
        .await;
    }
    let answer = ask(router, "POST", "/auth/token", &form).await;
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn ask(router: &Router, method: &str, path: &str, body: &str) -> Value {
    let mut request = Request::builder().method(method).uri(path);
    if !path.starts_with("/auth") {
        request = request.header("Content-Type", "application/json");
    }
    let mut request = request.body(Body::from(body.to_owned())).unwrap();
    if !path.starts_with("/auth") {
        request.extensions_mut().insert(Peer::Operator);
    }
    let answer = router.clone().oneshot(request).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or_default()
}

/// Reads one patient after the other over a connection of its own.
async fn read(address: SocketAddr, token: String, client: u64, reads: Arc<AtomicU64>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 1 << 16];
    for turn in 0.. {
        let id = (client * 7_919 + turn * 31) % PATIENTS;
        let request = format!(
            "GET /fhir/Patient/p{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = 0;
        loop {
            let more = stream.read(&mut buffer[got..]).await.unwrap();
            assert!(more > 0, "the server closed a connection");
            got += more;
            if is_whole(&buffer[..got]) {
                break;
            }
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "a read failed");
        reads.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.to_ascii_lowercase();
    let length = length.split_once("content-length: ").map(|(_, rest)| rest);
    let length = length.and_then(|rest| rest.lines().next()?.parse::<usize>().ok());
    length.is_some_and(|length| body.len() >= length)
}
