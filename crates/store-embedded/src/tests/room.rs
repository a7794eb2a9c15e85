//! A folder for a store and its keys, and short words for what tests do with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use salus_crypto::{Founding, Keyring};
use salus_store::{
    At, AuditEntry, Batch, Content, Error, Filter, Found, Kind, Param, Position, Put, Query, Row,
    Scope, SealKey, Seq, Snapshot, Store, Value,
};

use crate::{Embedded, Options, Retention};

pub(crate) const SCOPE: Scope = Scope(1);
pub(crate) const KIND: Kind = Kind::named("Observation");
pub(crate) const PATIENT: Kind = Kind::named("Patient");
pub(crate) const CODE: Param = Param::named("Observation", "code");

/// Where a store lives during a test.
pub(crate) struct Room {
    pub(crate) dir: PathBuf,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Room {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.into(),
            runtime: tokio::runtime::Runtime::new().unwrap(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        let keyring = self.keyring();
        Options {
            disk_bytes_min: 0,
            retention: Retention {
                // Only when a test asks for it.
                time: Duration::from_secs(100_000),
                versions_max: usize::MAX,
            },
            ..Options::new(self.dir.join("store"), keyring)
        }
    }

    /// A store that was just dropped may hold its keys a moment longer, as
    /// whoever still closes a blob of it does.
    fn keyring(&self) -> Arc<Keyring> {
        let keys = self.dir.join("keys");
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            match Keyring::open(&keys, Founding::New, 0) {
                Err(salus_crypto::Error::Locked(_)) if Instant::now() < until => {
                    std::thread::yield_now();
                }
                opened => return opened.unwrap(),
            }
        }
    }

    pub(crate) fn open(&self) -> Arc<Embedded> {
        Embedded::open(self.options()).unwrap()
    }

    pub(crate) fn commit(&self, store: &Embedded, batch: Batch) -> Result<Seq, Error> {
        let committed = self.runtime.block_on(store.commit(batch));
        committed.map(|committed| committed.seq)
    }

    pub(crate) fn snapshot(&self, store: &Embedded, at: At) -> Result<Box<dyn Snapshot>, Error> {
        self.runtime.block_on(store.snapshot(SCOPE, at))
    }

    pub(crate) fn find(&self, snapshot: &dyn Snapshot, query: &Query) -> Result<Found, Error> {
        self.runtime.block_on(snapshot.find(query))
    }

    #[track_caller]
    pub(crate) fn check(&self, store: &Embedded) {
        let faults = self.runtime.block_on(store.check()).unwrap();
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// A batch of one observation.
pub(crate) fn put(id: &str, version: u64, code: &str) -> Batch {
    batch(vec![observation(id, version, code)])
}

pub(crate) fn batch(puts: Vec<Put>) -> Batch {
    Batch {
        audit: vec![AuditEntry {
            body: Bytes::from_static(b"somebody did something"),
            about: vec![(KIND, "x".into())],
        }],
        ..Batch::of(SCOPE, 1_000, puts)
    }
}

pub(crate) fn observation(id: &str, version: u64, code: &str) -> Put {
    Put {
        kind: KIND,
        id: id.into(),
        version,
        content: Content::Body(Bytes::from(format!("{id} {version} {code}"))),
        rows: vec![Row {
            param: CODE,
            value: Value::Token {
                system: "http://loinc.org".into(),
                code: code.into(),
            },
        }],
        main_date_ms: None,
        seal: SealKey::Patient(id.into()),
    }
}

pub(crate) fn everything(limit: usize, after: Option<Position>) -> Query {
    Query {
        kind: KIND,
        filter: Filter::Everything,
        sort: Vec::new(),
        limit,
        after,
        rows: Vec::new(),
    }
}

pub(crate) fn ids(found: &Found) -> Vec<&str> {
    found.hits.iter().map(|hit| &*hit.record.id).collect()
}

/// Numbers that look random and are the same every time.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}
