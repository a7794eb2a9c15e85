//! What a shipper promises, on a log in memory and destinations that misbehave.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use salus_crypto::SecretKey;
use salus_crypto::merkle::Frontier;
use salus_store::{
    Error, Log, LogBatch, LogHead, LogPart, Reply, Scope, SealedBlob, SealedBlobs, Seq,
};
use tokio::sync::watch;

use crate::destination::Trouble;
use crate::{
    Answer, Archive, Destination, Folder, Keys, Object, Phase, Put, Settings, Shipping, Source,
    Until,
};

/// A log that is told what is in it.
pub(crate) struct Written {
    batches: Mutex<Vec<LogBatch>>,
    seq: watch::Sender<u64>,
    blobs: Mutex<Vec<(SealedBlob, Bytes)>>,
    finished: AtomicU64,
}

impl Written {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            batches: Mutex::default(),
            seq: watch::Sender::new(0),
            blobs: Mutex::default(),
            finished: AtomicU64::new(0),
        })
    }

    /// Commits a version and an audit entry.
    pub(crate) fn commit(&self, text: &str) {
        let first = *self.seq.borrow() + 1;
        let digest = salus_crypto::sha256(text.as_bytes());
        self.batches.lock().push(LogBatch {
            first: Seq(first),
            last: Seq(first + 1),
            time_ms: 1_000 * first as i64,
            scope: Scope(1),
            chain: digest,
            parts: vec![
                LogPart::Version(Bytes::copy_from_slice(text.as_bytes())),
                LogPart::Audit {
                    leaf: digest,
                    entry: Bytes::from_static(b"entry"),
                    about: Vec::new(),
                },
            ],
        });
        self.seq.send_replace(first + 1);
    }

    /// Takes batches of another log, which go on where this one ends.
    pub(crate) fn take(&self, batches: Vec<LogBatch>) {
        for batch in batches {
            assert_eq!(batch.first.0, *self.seq.borrow() + 1);
            self.seq.send_replace(batch.last.0);
            self.batches.lock().push(batch);
        }
    }

    pub(crate) fn blob(&self, id: &str, bytes: usize) -> SealedBlob {
        let blob = SealedBlob {
            scope: Scope(1),
            id: id.into(),
        };
        let content = vec![5; bytes].into();
        self.blobs.lock().push((blob.clone(), content));
        self.finished.fetch_add(1, Ordering::Relaxed);
        blob
    }

    pub(crate) fn forget(&self, blob: &SealedBlob) {
        self.blobs.lock().retain(|(other, _)| other != blob);
    }

    pub(crate) fn batches(&self) -> Vec<LogBatch> {
        self.batches.lock().clone()
    }

    pub(crate) fn source(self: &Arc<Self>) -> Source {
        Source {
            log: Arc::clone(self) as Arc<dyn Log>,
            blobs: Arc::clone(self) as Arc<dyn SealedBlobs>,
        }
    }
}

impl Log for Written {
    fn head(&self) -> Reply<'_, LogHead> {
        let batches = self.batches();
        let mut frontier = Frontier::default();
        for part in batches.iter().flat_map(|batch| &batch.parts) {
            if let LogPart::Audit { leaf, .. } = part {
                frontier.append(*leaf);
            }
        }
        let head = LogHead {
            seq: Seq(*self.seq.borrow()),
            chain: batches.last().map_or([0; 32], |batch| batch.chain),
            audit_size: frontier.size(),
            audit_root: frontier.root(),
            key_slots: 4,
        };
        Box::pin(async move { Ok(head) })
    }

    fn batches(&self, after: Seq, bytes: usize) -> Reply<'_, Vec<LogBatch>> {
        let behind = self.batches().into_iter();
        let behind = behind.filter(|batch| batch.first > after);
        let some: Vec<_> = behind.take(bytes.div_ceil(100).min(7)).collect();
        Box::pin(async move { Ok(some) })
    }

    fn grown(&self, after: Seq) -> Reply<'_, ()> {
        let mut seq = self.seq.subscribe();
        Box::pin(async move {
            let grown = seq.wait_for(|seq| *seq > after.0).await;
            grown.map(|_| ()).map_err(|_| Error::Misuse("it is gone"))
        })
    }

    fn dictionaries(&self) -> Reply<'_, Vec<Bytes>> {
        Box::pin(async { Ok(vec![Bytes::from_static(b"words")]) })
    }
}

impl SealedBlobs for Written {
    fn all(&self) -> Reply<'_, Vec<SealedBlob>> {
        let all = self
            .blobs
            .lock()
            .iter()
            .map(|(blob, _)| blob.clone())
            .collect();
        Box::pin(async move { Ok(all) })
    }

    fn sealed<'a>(&'a self, blob: &'a SealedBlob, at: u64, max: usize) -> Reply<'a, Option<Bytes>> {
        let blobs = self.blobs.lock();
        let found = blobs.iter().find(|(other, _)| other == blob);
        let bytes = found.map(|(_, bytes)| {
            let at = (at as usize).min(bytes.len());
            bytes.slice(at..bytes.len().min(at + max))
        });
        Box::pin(async move { Ok(bytes) })
    }

    fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    fn finished_since(&self, count: u64) -> Option<Vec<SealedBlob>> {
        let blobs = self.blobs.lock();
        let since = blobs.get(count as usize..)?;
        Some(since.iter().map(|(blob, _)| blob.clone()).collect())
    }
}

/// Objects in memory, and how many of the next attempts to put one fail in which way.
#[derive(Default)]
pub(crate) struct Objects {
    objects: Mutex<BTreeMap<String, Bytes>>,
    /// Attempts that do nothing.
    refused: AtomicU64,
    /// Attempts that make the object and say that they did not.
    unsaid: AtomicU64,
    /// How often a list was asked for.
    lists: AtomicU64,
    /// Attempts that make the object and say that there was one, as when a client of S3 has tried
    /// again behind an answer that was lost.
    repeated: AtomicU64,
}

impl Objects {
    /// So many of the next attempts say that there was one, though they have made it.
    pub(crate) fn repeat(&self, attempts: u64) {
        self.repeated.store(attempts, Ordering::Relaxed);
    }

    /// Another place with the same objects.
    pub(crate) fn copy(&self) -> Arc<Self> {
        Arc::new(Self {
            objects: Mutex::new(self.objects.lock().clone()),
            ..Self::default()
        })
    }

    /// The names of those that are there.
    pub(crate) fn names(&self, prefix: &str) -> Vec<String> {
        let objects = self.objects.lock();
        let names = objects.keys().filter(|name| name.starts_with(prefix));
        names.cloned().collect()
    }

    /// How often a list was asked for.
    pub(crate) fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// Changes an object, or takes it away.
    pub(crate) fn change(&self, name: &str, change: impl Fn(&mut Vec<u8>) -> bool) {
        let mut objects = self.objects.lock();
        let mut bytes = objects.remove(name).unwrap().to_vec();
        if change(&mut bytes) {
            objects.insert(name.to_owned(), bytes.into());
        }
    }
}

fn spend(count: &AtomicU64) -> bool {
    let less = |count: u64| count.checked_sub(1);
    count
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        .is_ok()
}

pub(crate) fn broken() -> Trouble {
    Trouble {
        label: "memory".into(),
        reason: "it broke off".into(),
        lasting: false,
    }
}

impl Destination for Objects {
    fn label(&self) -> &str {
        "memory"
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, Put> {
        Box::pin(async move {
            if spend(&self.refused) {
                return Err(broken());
            }
            let mut objects = self.objects.lock();
            if objects.contains_key(name) {
                return Ok(Put::Taken);
            }
            objects.insert(name.to_owned(), bytes);
            match (spend(&self.unsaid), spend(&self.repeated)) {
                (true, _) => Err(broken()),
                (false, true) => Ok(Put::Taken),
                (false, false) => Ok(Put::Made),
            }
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move { Ok(self.objects.lock().get(name).cloned()) })
    }

    fn head<'a>(&'a self, name: &'a str, bytes: u64) -> Answer<'a, Option<Bytes>> {
        Box::pin(async move {
            let object = self.objects.lock().get(name).cloned();
            Ok(object.map(|object| object.slice(..object.len().min(bytes as usize))))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<Object>> {
        Box::pin(async move {
            self.lists.fetch_add(1, Ordering::Relaxed);
            let objects = self.objects.lock();
            let listed = objects.iter().filter(|(name, _)| name.starts_with(prefix));
            let listed = listed.map(|(name, bytes)| Object {
                name: name.clone(),
                bytes: bytes.len() as u64,
                made_ms: 0,
            });
            Ok(listed.collect())
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            self.objects.lock().remove(name);
            Ok(())
        })
    }
}

pub(crate) fn archive(destination: Arc<dyn Destination>) -> Archive {
    let keys = Keys::from_secret(SecretKey::from_bytes([3; 32]));
    Archive::open(destination, keys)
}

fn settings() -> Settings {
    Settings {
        linger: Duration::ZERO,
        retry_min: Duration::from_millis(1),
        ..Settings::usual(|| 5)
    }
}

pub(crate) fn ship(written: &Arc<Written>, archive: &Archive) -> Shipping {
    Shipping::start(written.source(), archive.clone(), settings())
}

/// Ships all there is, and ends.
pub(crate) async fn ship_all(written: &Arc<Written>, archive: &Archive) -> Phase {
    let shipping = ship(written, archive);
    shipping.stop(Duration::from_secs(20)).await.phase
}

/// What can be read of an archive, and why not more.
pub(crate) async fn read(archive: &Archive, until: Until) -> (Vec<LogBatch>, Option<crate::Error>) {
    let mut reading = archive.read(until).await.unwrap();
    let mut batches = Vec::new();
    loop {
        match reading.next().await {
            Ok(Some(more)) => batches.extend(more),
            Ok(None) => return (batches, None),
            Err(error) => return (batches, Some(error)),
        }
    }
}

#[track_caller]
fn stopped(phase: &Phase, words: &str) {
    match phase {
        Phase::Stopped(reason) => assert!(reason.contains(words), "{reason}"),
        Phase::Starting | Phase::Shipping | Phase::Failing(_) => panic!("{phase:?}"),
    }
}

#[tokio::test]
async fn what_was_committed_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let archive = archive(Arc::new(Folder::open(&folder.path().join("a/b"))));
    let written = Written::new();
    (0..20).for_each(|n| written.commit(&format!("text {n}")));
    assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    (0..5).for_each(|n| written.commit(&format!("more {n}")));
    assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    let (batches, end) = read(&archive, Until::End).await;
    assert!(end.is_none(), "{end:?}");
    assert_eq!(batches, written.batches());
    assert_eq!(archive.dictionaries().await.unwrap(), [&b"words"[..]]);
    let (some, _) = read(&archive, Until::Seq(Seq(9))).await;
    assert_eq!(some, written.batches()[..4], "a commit is not cut");
    let (some, _) = read(&archive, Until::TimeMs(5_500)).await;
    assert_eq!(some, written.batches()[..3]);
    let mut reading = archive.read(Until::End).await.unwrap();
    while reading.next().await.unwrap().is_some() {}
    let head = written.head().await.unwrap();
    assert_eq!(reading.reached().frontier.root(), head.audit_root);
    assert_eq!(reading.reached().chain, head.chain);
}

#[tokio::test]
async fn a_commit_is_shipped_without_being_asked_for() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    let shipping = ship(&written, &archive);
    let waited = async {
        for n in 1..=3 {
            written.commit("text");
            while shipping.status().shipped < Seq(2 * n) {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited)
        .await
        .unwrap();
    assert_eq!(shipping.status().behind_since_ms, None);
    assert_eq!(read(&archive, Until::End).await.0, written.batches());
}

#[tokio::test]
async fn failures_are_tried_again_and_leave_nothing_double() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    (0..30).for_each(|n| written.commit(&format!("text {n}")));
    objects.refused.store(3, Ordering::Relaxed);
    objects.unsaid.store(2, Ordering::Relaxed);
    let shipping = ship(&written, &archive);
    let status = shipping.stop(Duration::from_secs(20)).await;
    assert_eq!(status.phase, Phase::Shipping);
    assert_eq!(status.errors, 5);
    let (batches, end) = read(&archive, Until::End).await;
    assert!(end.is_none());
    assert_eq!(batches, written.batches());
}

#[tokio::test]
async fn blobs_are_there_before_the_segments_that_name_them() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    let long = super::blobs::PART_BYTES * 2 + 5;
    let (one, two) = (written.blob("one", 10), written.blob("two", long));
    written.commit("text");
    assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    assert_eq!(
        archive.blobs().await.unwrap(),
        [(one.clone(), 10), (two.clone(), long as u64)]
    );
    assert_eq!(archive.blob_part(&two, 2).await.unwrap().unwrap().len(), 5);
    assert_eq!(archive.blob_part(&two, 3).await.unwrap(), None);
    // One that lacks its first part was not shipped whole.
    objects.remove("blobs/00000001/two/000000").await.unwrap();
    written.commit("more");
    assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    assert_eq!(archive.blobs().await.unwrap().len(), 2);
    assert!(archive.blob_part(&two, 0).await.unwrap().is_some());
}

#[tokio::test]
async fn of_two_that_ship_one_ends() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let (one, two) = (Written::new(), Written::new());
    for written in [&one, &two] {
        written.commit("the same");
    }
    let first = ship(&one, &archive);
    let second = ship(&two, &archive);
    let shipped = |shipping: &Shipping| shipping.status().shipped == Seq(2);
    while !shipped(&first) || !shipped(&second) {
        let ended = matches!(second.status().phase, Phase::Stopped(_))
            || matches!(first.status().phase, Phase::Stopped(_));
        if ended {
            break;
        }
        tokio::task::yield_now().await;
    }
    one.commit("his");
    two.commit("hers");
    let within = Duration::from_secs(20);
    let phases = [
        first.stop(within).await.phase,
        second.stop(within).await.phase,
    ];
    let ended: Vec<_> = phases
        .iter()
        .filter(|phase| **phase != Phase::Shipping)
        .collect();
    assert_eq!(ended.len(), 1, "{phases:?}");
    stopped(ended[0], "was made by another");
    assert!(read(&archive, Until::End).await.1.is_none());
}

#[tokio::test]
async fn a_store_that_does_not_go_on_where_the_archive_ends_is_refused() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    (0..3).for_each(|n| written.commit(&format!("text {n}")));
    assert_eq!(ship_all(&written, &archive).await, Phase::Shipping);
    let older = Written::new();
    older.commit("text 0");
    stopped(
        &ship_all(&older, &archive).await,
        "holds commits that this store does not have",
    );
    let other = Written::new();
    (0..4).for_each(|n| other.commit(&format!("another {n}")));
    stopped(
        &ship_all(&other, &archive).await,
        "other commits than this store",
    );
    let foreign = Archive::open(
        objects.clone(),
        Keys::from_secret(SecretKey::from_bytes([4; 32])),
    );
    stopped(
        &ship_all(&written, &foreign).await,
        "it is of another store",
    );
    assert_eq!(read(&archive, Until::End).await.0, written.batches());
}

#[tokio::test]
async fn damage_is_named_and_all_before_it_is_read() {
    let objects = Arc::new(Objects::default());
    let archive = archive(objects.clone());
    let written = Written::new();
    for n in 0..4 {
        written.commit(&format!("text {n}"));
        ship_all(&written, &archive).await;
    }
    let names: Vec<_> = objects.objects.lock().keys().cloned().collect();
    let names: Vec<_> = names
        .into_iter()
        .filter(|name| name.starts_with("segments/"))
        .collect();
    assert_eq!(names.len(), 4);
    let whole = objects.objects.lock().clone();
    let check = async |change: &dyn Fn(&mut BTreeMap<String, Bytes>), before: usize, text: &str| {
        *objects.objects.lock() = whole.clone();
        change(&mut objects.objects.lock());
        let (batches, end) = read(&archive, Until::End).await;
        assert_eq!(batches, written.batches()[..before]);
        assert_eq!(end.map(|end| end.to_string()).as_deref(), Some(text));
    };
    check(
        &|objects| drop(objects.remove(&names[2])),
        2,
        "segment 3, from seq 5: it is missing",
    )
    .await;
    check(
        &|objects| {
            let mut bytes = objects[&names[2]].to_vec();
            bytes[200] ^= 1;
            objects.insert(names[2].clone(), bytes.into());
        },
        2,
        "segments/000000000003-00000000000000000005: it is damaged: a frame is not the one that \
         was sealed",
    )
    .await;
    check(
        &|objects| {
            let (one, two) = (objects[&names[1]].clone(), objects[&names[2]].clone());
            objects.insert(names[2].clone(), one);
            objects.insert(names[1].clone(), two);
        },
        1,
        "segments/000000000002-00000000000000000003: its name is not its own: in it is \
         segments/000000000003-00000000000000000005",
    )
    .await;
}
