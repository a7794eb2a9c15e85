//! Bases over a store in memory whose content is purged: what they hold, what of the archive goes by
//! them, and what is left when either is cut off or damaged.

mod cut;
mod damaged;
mod followed;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use salus_store::memory::Memory;
use salus_store::{
    At, AuditEntry, Batch, Content, Kind, Log, LogBatch, LogHead, LogPart, Purge, Put, Reply,
    Scope, SealKey, SealedBlobs, Seq, Store,
};

use super::{Pace, Taken};
use crate::shipper::tests::{Objects, Written, archive, read};
use crate::{
    Archive, Error, Folder, Phase, Pruned, Settings, Shipping, Sizes, Source, Until, Watch, Window,
    read_whole,
};

const HOUR_MS: i64 = 60 * 60 * 1000;
const MINUTE_MS: i64 = 60 * 1000;
const KIND: Kind = Kind::named("Patient");
const SCOPE: Scope = Scope(1);
const IDS: u64 = 5;
const PACE: Pace = Pace {
    bytes: 400,
    read_bytes: 200,
    rest: 0,
};

/// The same numbers each time (xorshift).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// A store, all that was committed to it, and its archive.
struct Room {
    store: Memory,
    given: Mutex<Vec<Batch>>,
    now_ms: AtomicI64,
    random: Mutex<Seeded>,
    objects: Arc<Objects>,
    archive: Archive,
    /// How often it commits more while its log is read.
    busy: AtomicU64,
    /// Who ships meanwhile.
    watch: Mutex<Option<Watch>>,
}

impl Room {
    fn new(seed: u64) -> Arc<Self> {
        let objects = Arc::new(Objects::default());
        Arc::new(Self {
            store: Memory::new(),
            given: Mutex::default(),
            now_ms: AtomicI64::new(0),
            random: Mutex::new(Seeded(seed | 1)),
            archive: archive(objects.clone()),
            objects,
            busy: AtomicU64::new(0),
            watch: Mutex::new(None),
        })
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.lock().below(bound)
    }

    fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Commits a version of a record, or purges those before its last, ten minutes later.
    async fn commit(self: &Arc<Self>) {
        let id = self.below(IDS);
        match self.below(4) {
            0 => self.purge(id).await,
            _ => self.put(id).await,
        }
    }

    fn version(&self, id: u64) -> u64 {
        let name = format!("id{id}");
        let given = self.given.lock();
        let puts = given.iter().flat_map(|batch| &batch.puts);
        puts.filter(|put| *put.id == *name).count() as u64
    }

    async fn put(&self, id: u64) {
        let version = self.version(id) + 1;
        let name = format!("id{id}");
        let put = Put {
            kind: KIND,
            id: name.clone().into(),
            version,
            content: Content::Body(format!("content-{id}-{version}.").into()),
            rows: Vec::new(),
            main_date_ms: None,
            seal: SealKey::Patient(name.into()),
        };
        self.give(vec![put], Vec::new()).await;
    }

    /// What is purged before it was shipped is in no archive.
    async fn is_shipped(self: &Arc<Self>) {
        let watch = self.watch.lock().clone();
        let Some(watch) = watch else {
            return self.ship().await;
        };
        while watch.status().shipped < head(&self.store).await.seq {
            tokio::task::yield_now().await;
        }
    }

    /// Purges what was before the newest version.
    async fn purge(self: &Arc<Self>, id: u64) {
        self.is_shipped().await;
        let below = self.version(id);
        let purge = Purge {
            kind: KIND,
            id: format!("id{id}").into(),
            below,
        };
        let purged = if below > 0 { vec![purge] } else { Vec::new() };
        self.give(Vec::new(), purged).await;
    }

    async fn give(&self, puts: Vec<Put>, purged: Vec<Purge>) {
        let now_ms = self.now_ms.fetch_add(10 * MINUTE_MS, Ordering::Relaxed);
        let entry = AuditEntry {
            body: format!("entry {now_ms}").into(),
            about: Vec::new(),
        };
        let batch = Batch {
            audit: vec![entry],
            purged,
            ..Batch::of(SCOPE, now_ms, puts)
        };
        self.store.commit(batch.clone()).await.unwrap();
        self.given.lock().push(batch);
    }

    fn source(self: &Arc<Self>) -> Source {
        Source {
            log: Arc::new(self.store.clone()),
            blobs: Written::new() as Arc<dyn SealedBlobs>,
        }
    }

    fn shipping(self: &Arc<Self>) -> Shipping {
        let settings = Settings {
            linger: Duration::ZERO,
            bytes: 200,
            retry_min: Duration::from_millis(1),
            ..Settings::usual(|| 5)
        };
        Shipping::start(self.source(), self.archive.clone(), settings)
    }

    async fn ship(self: &Arc<Self>) {
        let phase = self.shipping().stop(Duration::from_secs(20)).await.phase;
        assert_eq!(phase, Phase::Shipping);
    }

    /// Takes a base while the store goes on; what is committed meanwhile is shipped.
    async fn base(self: &Arc<Self>, commits: u64) -> Taken {
        self.ship().await;
        self.busy.store(commits, Ordering::Relaxed);
        let shipping = self.shipping();
        *self.watch.lock() = Some(shipping.watch());
        let taken = take(&self.archive, &Busy(Arc::clone(self))).await.unwrap();
        *self.watch.lock() = None;
        shipping.stop(Duration::from_secs(20)).await;
        taken
    }

    async fn prune(&self, window_ms: i64) -> Pruned {
        prune(&self.archive, self.now_ms(), window_ms)
            .await
            .unwrap()
    }

    /// The store as it was after so many commits.
    async fn twin(&self, commits: usize) -> Memory {
        let twin = Memory::new();
        let given = self.given.lock()[..commits].to_vec();
        for batch in given {
            twin.commit(batch).await.unwrap();
        }
        twin
    }

    /// That an instant is restored as it was, from what an archive has.
    async fn restores(&self, archive: &Archive, commits: usize) {
        let twin = self.twin(commits).await;
        let time_ms = self.given.lock()[commits - 1].time_ms;
        for until in [
            Until::TimeMs(time_ms),
            Until::TimeMs(time_ms + 9 * MINUTE_MS),
            Until::Seq(twin.head().await.unwrap().seq),
        ] {
            let restored = restore(archive, until).await;
            let place = format!("{until:?} after {commits} commits");
            assert_eq!(head(&restored).await, head(&twin).await, "{place}");
            assert_eq!(records(&restored).await, records(&twin).await, "{place}");
        }
    }

    async fn is_whole(&self, archive: &Archive) {
        let verified = archive.verify_log(&|_, _| true, &|_, _| {}).await.unwrap();
        assert_eq!(verified.faults, Vec::<String>::new());
        assert_eq!(verified.seq, archive.summary().await.unwrap().last_seq);
    }
}

/// A log that grows when it is read.
struct Busy(Arc<Room>);

impl Log for Busy {
    fn head(&self) -> Reply<'_, LogHead> {
        self.0.store.head()
    }

    fn batches(&self, after: Seq, bytes: usize) -> Reply<'_, Vec<LogBatch>> {
        Box::pin(async move {
            let less = |count: u64| count.checked_sub(1);
            let busy = &self.0.busy;
            if busy
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                .is_ok()
            {
                self.0.commit().await;
            }
            self.0.store.batches(after, bytes).await
        })
    }

    fn grown(&self, after: Seq) -> Reply<'_, ()> {
        self.0.store.grown(after)
    }

    fn dictionaries(&self) -> Reply<'_, Vec<Bytes>> {
        self.0.store.dictionaries()
    }
}

async fn take(archive: &Archive, log: &dyn Log) -> Result<Taken, Error> {
    archive
        .take_base(log, PACE, || 5, &|_, _| true, &|_, _| {})
        .await
}

async fn prune(archive: &Archive, now_ms: i64, window_ms: i64) -> Result<Pruned, Error> {
    let window = Window {
        ms: HOUR_MS,
        log_ms: Some(window_ms),
        taking: false,
        now_ms,
        dry_run: false,
    };
    archive.prune(&*Written::new(), window, &|_, _| true).await
}

async fn restore(archive: &Archive, until: Until) -> Memory {
    let (batches, end) = read(archive, until).await;
    assert!(end.is_none(), "{until:?}: {end:?}");
    let (store, mut restoring) = Memory::restore();
    restoring.add(batches).await.unwrap();
    restoring.finish().await.unwrap();
    store
}

async fn head(store: &Memory) -> LogHead {
    store.head().await.unwrap()
}

async fn records(store: &Memory) -> Vec<String> {
    let snapshot = store.snapshot(SCOPE, At::Now).await.unwrap();
    let mut records = Vec::new();
    for id in 0..IDS {
        let id = format!("id{id}");
        records.push(format!("{:?}", snapshot.get(KIND, &id).await));
        for version in 1..40 {
            records.push(format!("{:?}", snapshot.version(KIND, &id, version).await));
        }
    }
    records
}

/// All that can be opened of an archive's segments and bases.
async fn opened(archive: &Archive) -> String {
    let mut all = String::new();
    for prefix in ["segments/", "bases/"] {
        for object in archive.destination.list(prefix).await.unwrap() {
            let bytes = archive
                .destination
                .get(&object.name)
                .await
                .unwrap()
                .unwrap();
            all.push_str(&text_of(&read_whole(&archive.keys, &bytes).0));
        }
    }
    all
}

/// What versions and entries hold: the store of these tests does not seal them.
fn text_of(batches: &[LogBatch]) -> String {
    let parts = batches.iter().flat_map(|batch| &batch.parts);
    let texts = parts.map(|part| match part {
        LogPart::Version(bytes) | LogPart::Audit { entry: bytes, .. } => {
            String::from_utf8_lossy(bytes)
        }
        LogPart::Purged(_) => "".into(),
    });
    texts.collect()
}

fn seeds() -> std::ops::Range<u64> {
    let seed = std::env::var("SALUS_ARCHIVE_SEED").ok();
    match seed.and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 1..7,
    }
}

#[tokio::test]
async fn any_instant_of_the_window_is_restored_before_and_after_pruning() {
    let (mut bases, mut pruned) = (0, 0);
    for seed in seeds() {
        println!("seed {seed}");
        let room = Room::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let window_ms = 2 * HOUR_MS;
        for _ in 0..120 {
            match room.below(10) {
                0..6 => room.commit().await,
                6 => room.ship().await,
                7 => {
                    let commits = room.below(4);
                    bases += u64::from(matches!(room.base(commits).await, Taken::Made(..)));
                }
                8 => {
                    let sizes = Sizes {
                        bytes: 2_000,
                        count: 2,
                    };
                    room.archive.merge(sizes, room.now_ms()).await.unwrap();
                }
                _ => {
                    room.ship().await;
                    let before = archive(room.objects.copy());
                    let went = room.prune(window_ms).await;
                    assert_eq!(went.faults, Vec::<String>::new());
                    pruned += went.log.len();
                    let commits = room.given.lock().len();
                    let first = commits.saturating_sub(11).max(1);
                    for commits in [first, first + room.below(12) as usize, commits] {
                        let commits = commits.min(room.given.lock().len());
                        if commits == 0 {
                            continue;
                        }
                        room.restores(&before, commits).await;
                        room.restores(&room.archive, commits).await;
                    }
                    room.is_whole(&room.archive).await;
                }
            }
        }
        room.ship().await;
        room.is_whole(&room.archive).await;
        let all = restore(&room.archive, Until::End).await;
        assert_eq!(head(&all).await, head(&room.store).await);
    }
    assert!(bases > 10 && pruned > 50, "{bases} bases, {pruned} objects");
}

/// A room of some commits with a base, whose line goes on behind it.
async fn with_base() -> Arc<Room> {
    let room = Room::new(77);
    for n in 0..20 {
        room.put(n % IDS).await;
    }
    assert!(matches!(room.base(3).await, Taken::Made(..)));
    for _ in 0..6 {
        room.commit().await;
    }
    room.ship().await;
    room
}

#[tokio::test]
async fn a_base_is_the_log_without_what_was_purged() {
    let folder = tempfile::tempdir().unwrap();
    let mut room = Room::new(3);
    let inner = Arc::get_mut(&mut room).unwrap();
    inner.archive = archive(Arc::new(Folder::open(folder.path())));
    for n in 0..20 {
        room.put(n % IDS).await;
    }
    room.ship().await;
    room.purge(2).await;
    let taken = room.base(0).await;
    let Taken::Made(name, whole) = taken else {
        panic!("{taken:?}");
    };
    assert!(whole.segments > 2, "{whole:?}");
    assert_eq!(whole.valid, (name.seq, room.now_ms() - 10 * MINUTE_MS));
    assert_eq!(room.base(0).await, Taken::There(name), "nothing is new");
    let mut reading = room.archive.read(Until::End).await.unwrap();
    let batches = reading.next().await.unwrap().unwrap();
    assert_eq!(reading.base().unwrap().0, name);
    assert!(!text_of(&batches).contains("content-2-1."));
    assert!(
        opened(&room.archive).await.contains("content-2-1."),
        "the line has it"
    );
    // What it purged is gone when the window has passed the base.
    let pruned = room.prune(HOUR_MS).await;
    assert_eq!(pruned.log, Vec::<String>::new(), "who reads has an hour");
    room.now_ms.fetch_add(3 * HOUR_MS, Ordering::Relaxed);
    let pruned = room.prune(HOUR_MS).await;
    assert_eq!(pruned.base, Some(name));
    let left = opened(&room.archive).await;
    assert!(!left.contains("content-2-1."));
    assert!(left.contains("content-2-4."), "the newest version is there");
    room.restores(&room.archive, 21).await;
    room.is_whole(&room.archive).await;
    let before = room.archive.read(Until::TimeMs(whole.valid.1 - 1)).await;
    assert!(
        matches!(before, Err(Error::Pruned(_))),
        "it is before the window"
    );
    let summary = room.archive.summary().await.unwrap();
    assert_eq!(summary.since_ms, Some(whole.valid.1));
    assert_eq!(summary.faults, []);
}

#[tokio::test]
async fn a_base_is_of_no_use_before_it_was_finished() {
    let room = with_base().await;
    let contents = room.archive.contents().await.unwrap();
    let (name, valid) = {
        let base = &contents.bases[0];
        (base.name, room.archive.whole(base).await.unwrap().valid)
    };
    assert!(valid.0 > name.seq, "commits came while it was taken");
    for (until, uses) in [
        (Until::Seq(Seq(valid.0.0 - 1)), false),
        (Until::Seq(valid.0), true),
        (Until::TimeMs(valid.1 - 1), false),
        (Until::TimeMs(valid.1), true),
        (Until::End, true),
    ] {
        let reading = room.archive.read(until).await.unwrap();
        assert_eq!(reading.base().is_some(), uses, "{until:?}");
    }
}
