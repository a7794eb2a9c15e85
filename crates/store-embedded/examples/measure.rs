//! Measures the engine on a load like ours: observations of 1.4 KB with 15
//! rows, 16 clients with a batch each, patients of 100 records.
//!
//! `cargo run --release -p salus-store-embedded --example measure -- [records] [dir]`;
//! with `GROW=1` it only writes, and tells what each tenth of the records cost.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for the shell"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use salus_crypto::{Founding, Keyring};
use salus_store::ordered::Decimal;
use salus_store::{
    At, AuditEntry, AuditQuery, Batch, Comparison, Content, Filter, Kind, Param, Put, Query, Row,
    Scope, SealKey, Sort, Store, Test, Value,
};
use salus_store_embedded::{Embedded, Options};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: u64 = 16;
const PER_PATIENT: u64 = 100;
const SCOPE: Scope = Scope(1);
const KIND: Kind = Kind::named("Observation");
const PATIENT: Kind = Kind::named("Patient");
const CODES: u64 = 40;

fn param(code: &str) -> Param {
    Param::named("Observation", code)
}

fn uuid(space: u64, n: u64) -> Box<str> {
    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ space;
    let low = mixed.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        mixed >> 32,
        mixed & 0xFFFF,
        low & 0xFFF,
        (low >> 12) & 0xFFF,
        low >> 16
    )
    .into()
}

fn token(code: &str, system: &str, value: &str) -> Row {
    Row {
        param: param(code),
        value: Value::Token {
            system: system.into(),
            code: value.into(),
        },
    }
}

fn reference(code: &str, kind: Kind, id: Box<str>) -> Row {
    Row {
        param: param(code),
        value: Value::Reference { kind, id },
    }
}

fn date_of(n: u64) -> i64 {
    1_500_000_000_000 + (n.wrapping_mul(7_919_977) % 200_000_000_000) as i64
}

fn rows(n: u64) -> Vec<Row> {
    let patient = uuid(1, n / PER_PATIENT);
    let code = format!("{}-{}", 8000 + n % CODES, n % 7);
    let date = Value::Date {
        from_ms: date_of(n),
        to_ms: date_of(n) + 1000,
    };
    let loinc = "http://loinc.org";
    let exact = format!("Measurement {}", n % CODES);
    let number = Decimal::parse(&format!("{}.{}", 60 + n % 90, n % 10)).unwrap();
    vec![
        token("code", loinc, &code),
        token("combo-code", loinc, &code),
        token(
            "category",
            "http://terminology.hl7.org/CodeSystem/observation-category",
            "vital-signs",
        ),
        token("status", "http://hl7.org/fhir/observation-status", "final"),
        token(
            "identifier",
            "https://hospital.example/observations",
            &uuid(3, n),
        ),
        token("_tag", "https://hospital.example/tags", "imported"),
        reference("patient", PATIENT, patient.clone()),
        reference("subject", PATIENT, patient),
        reference("encounter", Kind::named("Encounter"), uuid(4, n / 10)),
        reference("performer", Kind::named("Practitioner"), uuid(5, n % 200)),
        Row {
            param: param("date"),
            value: date,
        },
        Row {
            param: param("value-quantity"),
            value: Value::Quantity {
                value: number,
                system: "http://unitsofmeasure.org".into(),
                code: "mm[Hg]".into(),
            },
        },
        Row {
            param: param("value-string"),
            value: Value::String {
                folded: exact.to_lowercase().into(),
                exact: exact.into(),
            },
        },
        Row {
            param: param("_profile"),
            value: Value::Uri(
                "http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs".into(),
            ),
        },
        token(
            "combo-value-concept",
            "http://snomed.info/sct",
            &format!("{}", 271_649_006 + n % 5),
        ),
    ]
}

fn body(n: u64) -> Bytes {
    let patient = uuid(1, n / PER_PATIENT);
    let text = format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2026-01-01T00:00:{:02}.000Z","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-vital-signs"],"tag":[{{"system":"https://hospital.example/tags","code":"imported"}}]}},"identifier":[{{"system":"https://hospital.example/observations","value":"{}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"Vital signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"{}-{}","display":"Measurement {}"}}],"text":"Measurement {}"}},"subject":{{"reference":"Patient/{patient}","display":"Example Person {}"}},"encounter":{{"reference":"Encounter/{}"}},"performer":[{{"reference":"Practitioner/{}","display":"Dr. Example {}"}}],"effectiveDateTime":"2021-03-0{}T10:{:02}:00+01:00","issued":"2021-03-01T10:{:02}:00.123+01:00","valueQuantity":{{"value":{}.{},"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}},"referenceRange":[{{"low":{{"value":60,"unit":"mmHg"}},"high":{{"value":140,"unit":"mmHg"}},"text":"60 to 140 mmHg"}}],"note":[{{"text":"Taken sitting, after five minutes of rest, on the left arm; cuff of size {}."}}]}}"#,
        n % 60,
        uuid(3, n),
        8000 + n % CODES,
        n % 7,
        n % CODES,
        n % CODES,
        n / PER_PATIENT,
        uuid(4, n / 10),
        uuid(5, n % 200),
        n % 200,
        1 + n % 9,
        n % 60,
        n % 59,
        60 + n % 90,
        n % 10,
        n % 4,
        id = uuid(2, n),
    );
    Bytes::from(text)
}

fn put(n: u64, version: u64) -> Batch {
    let put = Put {
        kind: KIND,
        id: uuid(2, n),
        version,
        content: Content::Body(body(n)),
        rows: rows(n),
        main_date_ms: Some(date_of(n)),
        seal: SealKey::Patient(uuid(1, n / PER_PATIENT)),
    };
    Batch::of(SCOPE, time_of(n), vec![put])
}

fn audited(n: u64) -> Batch {
    Batch {
        audit: vec![AuditEntry {
            body: Bytes::from(format!(
                r#"{{"a":"read","who":"{}","rule":"role:clinician","what":["Observation/{}"],"at":{n}}}"#,
                uuid(9, n % 50),
                uuid(2, n)
            )),
            about: vec![(KIND, uuid(2, n))],
        }],
        ..Batch::of(SCOPE, time_of(n), Vec::new())
    }
}

fn time_of(n: u64) -> i64 {
    1_700_000_000_000 + n as i64
}

/// Processor seconds used so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
    let ticks: u64 = fields[12].parse::<u64>().unwrap() + fields[13].parse::<u64>().unwrap();
    ticks as f64 / 100.0
}

fn memory_mb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1024
}

/// Runs an action so many times on all clients and prints what it cost.
async fn measure<F, R>(name: &str, count: u64, make: F)
where
    F: Fn(u64) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send,
{
    let make = Arc::new(make);
    let next = Arc::new(AtomicU64::new(0));
    let (begun, cpu_begun) = (Instant::now(), cpu());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (make, next) = (Arc::clone(&make), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return times;
                    }
                    let begun = Instant::now();
                    make(n).await;
                    times.push(begun.elapsed().as_micros() as u64);
                }
            })
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let (wall, used) = (begun.elapsed().as_secs_f64(), cpu() - cpu_begun);
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!(
        "{name:<28} {:>9.0}/s  {:>7.1} us CPU  p50 {:>6} us  p99 {:>6} us  RSS {} MB",
        count as f64 / wall,
        used * 1e6 / count as f64,
        at(0.5),
        at(0.99),
        memory_mb("VmRSS"),
    );
}

fn page_query(patient: u64, n: u64) -> Query {
    Query {
        kind: KIND,
        filter: Filter::All(vec![
            Filter::Value(
                param("patient"),
                Test::Reference {
                    kind: Some(PATIENT),
                    id: uuid(1, patient),
                },
            ),
            Filter::Value(
                param("category"),
                Test::Token {
                    system: None,
                    code: Some("vital-signs".into()),
                },
            ),
            Filter::Value(
                param("date"),
                Test::Date(
                    Comparison::GreaterOrEqual,
                    date_of(n) - 80_000_000_000,
                    date_of(n),
                ),
            ),
        ]),
        sort: vec![Sort::Value {
            param: param("date"),
            descending: true,
        }],
        limit: 20,
        after: None,
        rows: Vec::new(),
    }
}

fn simple(filter: Filter, sort: Vec<Sort>) -> Query {
    Query {
        kind: KIND,
        filter,
        sort,
        limit: 20,
        after: None,
        rows: Vec::new(),
    }
}

/// Writes batches of 500 records and tells what each tenth of them cost.
async fn grow(store: Arc<Embedded>, count: u64) {
    let batches = count / 500 / 10;
    for tenth in 0..10 {
        let store = Arc::clone(&store);
        let written = written_mb();
        measure(
            &format!("tenth {tenth}, batches of 500"),
            batches,
            move |n| {
                let store = Arc::clone(&store);
                async move {
                    let first = (tenth * batches + n) * 500;
                    let mut batch = put(first, 1);
                    for n in first + 1..first + 500 {
                        batch.puts.extend(put(n, 1).puts);
                    }
                    store.commit(batch).await.unwrap();
                }
            },
        )
        .await;
        println!("    written {} MB", written_mb() - written);
    }
}

/// Megabytes that this process has written to files.
fn written_mb() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("wchar")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        / 1_000_000
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let mut args = std::env::args().skip(1);
    let count: u64 = args.next().map_or(200_000, |n| n.parse().unwrap());
    let temp = tempfile::tempdir().unwrap();
    let dir = args
        .next()
        .map_or(temp.path().into(), std::path::PathBuf::from);
    let keyring = Keyring::open(&dir.join("keys"), Founding::New, 0).unwrap();
    let dictionary: &'static [u8] = match std::env::var("DICTIONARY").as_deref() {
        Ok("0") => &[],
        _ => {
            let samples: Vec<u8> = (0..5).flat_map(|n| body(n * 777)).collect();
            samples.leak()
        }
    };
    let options = Options {
        dictionary,
        ..Options::new(dir.join("store"), keyring)
    };
    let reopened = options.clone();
    let store = Embedded::open(options).unwrap();
    println!("body {} bytes, {} rows", body(1).len(), rows(1).len());
    if std::env::var("GROW").is_ok() {
        return grow(store, count).await;
    }

    let s = Arc::clone(&store);
    measure("create", count, move |n| {
        let s = Arc::clone(&s);
        async move { assert!(s.commit(put(n, 1)).await.is_ok()) }
    })
    .await;
    measure(
        "(making the batches)",
        count,
        |n| async move { drop(put(n, 1)) },
    )
    .await;
    println!(
        "disk {:.0} bytes a record",
        store.disk_bytes() as f64 / count as f64
    );
    let s = Arc::clone(&store);
    measure("audit only", count, move |n| {
        let s = Arc::clone(&s);
        async move { assert!(s.commit(audited(n)).await.is_ok()) }
    })
    .await;
    if std::env::var("WRITES_ONLY").is_ok() {
        return;
    }
    let s = Arc::clone(&store);
    measure("get", count, move |n| {
        let s = Arc::clone(&s);
        async move {
            let snapshot = s.snapshot(SCOPE, At::Now).await.unwrap();
            let id = uuid(2, n.wrapping_mul(7919) % count);
            snapshot.get(KIND, &id).await.unwrap().unwrap();
        }
    })
    .await;
    type Make = Arc<dyn Fn(u64) -> Query + Send + Sync>;
    let queries: Vec<(&str, Make)> = vec![
        (
            "patient+category+date page",
            Arc::new(move |n| page_query(n * 31 % (count / PER_PATIENT), n)),
        ),
        (
            "patient+code page",
            Arc::new(move |n| {
                let of = n * 31 % (count / PER_PATIENT);
                simple(
                    Filter::All(vec![
                        Filter::Value(
                            param("patient"),
                            Test::Reference {
                                kind: None,
                                id: uuid(1, of),
                            },
                        ),
                        Filter::Value(
                            param("code"),
                            Test::Token {
                                system: Some("http://loinc.org".into()),
                                code: Some(format!("{}-{}", 8000 + n % CODES, n % 7).into()),
                            },
                        ),
                    ]),
                    Vec::new(),
                )
            }),
        ),
        (
            "identifier",
            Arc::new(move |n| {
                simple(
                    Filter::Value(
                        param("identifier"),
                        Test::Token {
                            system: None,
                            code: Some(uuid(3, n * 37 % count)),
                        },
                    ),
                    Vec::new(),
                )
            }),
        ),
        (
            "code, newest first",
            Arc::new(|n| {
                simple(
                    Filter::Value(
                        param("code"),
                        Test::Token {
                            system: None,
                            code: Some(format!("{}-{}", 8000 + n % CODES, n % 7).into()),
                        },
                    ),
                    Vec::new(),
                )
            }),
        ),
        (
            "everything, newest first",
            Arc::new(|_| simple(Filter::Everything, Vec::new())),
        ),
        (
            "everything by date",
            Arc::new(|_| {
                simple(
                    Filter::Everything,
                    vec![Sort::Value {
                        param: param("date"),
                        descending: true,
                    }],
                )
            }),
        ),
        (
            "category by date",
            Arc::new(|_| {
                simple(
                    Filter::Value(
                        param("category"),
                        Test::Token {
                            system: None,
                            code: Some("vital-signs".into()),
                        },
                    ),
                    vec![Sort::Value {
                        param: param("date"),
                        descending: true,
                    }],
                )
            }),
        ),
        (
            "date range",
            Arc::new(|n| {
                simple(
                    Filter::Value(
                        param("date"),
                        Test::Date(Comparison::Equal, date_of(n), date_of(n) + 86_400_000),
                    ),
                    Vec::new(),
                )
            }),
        ),
        (
            "string start by -_lastUpdated",
            Arc::new(|n| {
                simple(
                    Filter::Value(
                        param("value-string"),
                        Test::StringStarts(format!("measurement {}", n % 9).into()),
                    ),
                    vec![Sort::Updated { descending: true }],
                )
            }),
        ),
    ];
    let only = std::env::var("ONLY").unwrap_or_default();
    for (name, make) in queries {
        if !name.contains(&only) {
            continue;
        }
        let s = Arc::clone(&store);
        measure(
            name,
            if only.is_empty() { 4000 } else { 20_000 },
            move |n| {
                let (s, query) = (Arc::clone(&s), make(n));
                async move {
                    let snapshot = s.snapshot(SCOPE, At::Now).await.unwrap();
                    drop(snapshot.find(&query).await.unwrap());
                }
            },
        )
        .await;
    }
    if !only.is_empty() {
        return;
    }
    let s = Arc::clone(&store);
    measure("count of a category", 20, move |_| {
        let s = Arc::clone(&s);
        async move {
            let snapshot = s.snapshot(SCOPE, At::Now).await.unwrap();
            let query = simple(
                Filter::Value(
                    param("category"),
                    Test::Token {
                        system: None,
                        code: Some("vital-signs".into()),
                    },
                ),
                Vec::new(),
            );
            assert_eq!(snapshot.count(&query).await.unwrap(), count);
        }
    })
    .await;
    let s = Arc::clone(&store);
    measure("update", count / 10, move |n| {
        let s = Arc::clone(&s);
        async move { assert!(s.commit(put(n * 7, 2)).await.is_ok()) }
    })
    .await;
    let snapshot = store.snapshot(SCOPE, At::Now).await.unwrap();
    let audit = AuditQuery {
        limit: 20,
        ..AuditQuery::default()
    };
    assert_eq!(snapshot.audit(&audit).await.unwrap().len(), 20);
    drop(snapshot);
    let begun = Instant::now();
    assert_eq!(store.check().await.unwrap(), Vec::<String>::new());
    println!("check {} ms", begun.elapsed().as_millis());
    let begun = Instant::now();
    store.close().await.unwrap();
    println!("close {} ms", begun.elapsed().as_millis());
    drop(store);
    let begun = Instant::now();
    let store = Embedded::open(reopened).unwrap();
    println!("reopen {} ms", begun.elapsed().as_millis());
    println!(
        "disk {:.0} bytes a record; RSS {} MB, peak {} MB",
        store.disk_bytes() as f64 / count as f64,
        memory_mb("VmRSS"),
        memory_mb("VmHWM"),
    );
}
