//! Keys that become old get successors without being asked for, where that is set.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use salus_crypto::{Due, Founding, Keyring, SecretKey, Slot};
use salus_store::memory::Memory;

use super::{DAY_MS, Settings};
use crate::Service;
use crate::context::World;

/// 2026-01-10.
const START_MS: i64 = 1_768_003_200_000;
const WARDS: [u32; 2] = [7, 8];

struct Clock(AtomicI64);

impl Clock {
    fn add_days(&self, days: i64) {
        self.0.fetch_add(days * DAY_MS, Ordering::Relaxed);
    }
}

impl World for Clock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

struct Stage {
    service: Arc<Service>,
    keyring: Arc<Keyring>,
    clock: Arc<Clock>,
    sealed: Vec<(Slot, Vec<u8>)>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(rotate_days: Option<u32>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (keyring, sealed) = founded(folder.path());
        let settings = crate::Settings {
            keys: Settings {
                keyring: Some(Arc::clone(&keyring)),
                rotate_days,
                ..Settings::default()
            },
            ..crate::Settings::default()
        };
        let clock = Arc::new(Clock(AtomicI64::new(START_MS)));
        let world: Arc<dyn World> = clock.clone();
        let (store, key) = (Arc::new(Memory::new()), SecretKey::from_bytes([7; 32]));
        let service = Service::open(store.clone(), store, world, settings, key).await;
        Self {
            service: Arc::new(service.unwrap()),
            keyring,
            clock,
            sealed,
            _folder: folder,
        }
    }

    /// Lets keys be kept until the keys of these projects are so old, and their patients' are
    /// wrapped by them.
    async fn keeps_until(&self, created_ms: [i64; 2]) {
        let service = Arc::clone(&self.service);
        let keeping = tokio::spawn(async move { service.keep_keys().await });
        while self.created_ms() != created_ms || self.keyring.due().unwrap().is_some() {
            tokio::task::yield_now().await;
        }
        keeping.abort();
        let status = self.keyring.status().unwrap();
        let behind = status.projects.iter().map(|one| one.patients.behind);
        assert_eq!(behind.sum::<u64>(), 0);
        for (slot, text) in &self.sealed {
            assert_eq!(
                self.keyring.open_sealed(*slot, b"a", text).unwrap(),
                b"text"
            );
        }
    }

    fn created_ms(&self) -> [i64; 2] {
        let status = self.keyring.status().unwrap();
        let of = |scope| status.projects.iter().find(|one| one.scope == scope);
        WARDS.map(|scope| of(scope).unwrap().created_ms)
    }
}

/// A keyring with two projects and a patient in each, and what their keys sealed.
fn founded(dir: &Path) -> (Arc<Keyring>, Vec<(Slot, Vec<u8>)>) {
    let keyring = Keyring::open(&dir.join("keys"), Founding::New, START_MS).unwrap();
    let mut all = Vec::new();
    for (scope, label) in WARDS
        .into_iter()
        .flat_map(|scope| [(scope, None), (scope, Some("p"))])
    {
        let slot = keyring.slot(scope, label, START_MS).unwrap();
        let mut sealed = Vec::new();
        keyring.seal(slot, b"a", b"text", &mut sealed).unwrap();
        all.push((slot, sealed));
    }
    keyring.sync().unwrap();
    (keyring, all)
}

#[tokio::test]
async fn keys_of_projects_that_are_too_old_are_rotated_by_themselves() {
    let stage = Stage::new(Some(30)).await;
    stage.clock.add_days(30);
    stage.service.rotate_what_is_old(&stage.keyring, 30);
    assert_eq!(stage.keyring.due().unwrap(), None, "not older than that");
    // One that was rotated by hand is young.
    let by_hand = START_MS + 30 * DAY_MS;
    let due = Due {
        scope: Some(WARDS[0]),
        projects: true,
        patients: false,
        before_ms: by_hand,
    };
    stage.keyring.rotate(due).unwrap();
    stage.keeps_until([by_hand, START_MS]).await;
    stage.clock.add_days(1);
    let first = by_hand + DAY_MS;
    stage.keeps_until([by_hand, first]).await;
    // And again when the others are.
    stage.clock.add_days(30);
    stage.keeps_until([first + 30 * DAY_MS, first]).await;
}

#[tokio::test]
async fn keys_are_left_alone_where_no_age_is_set() {
    let stage = Stage::new(None).await;
    stage.clock.add_days(4_000);
    let now = START_MS + 4_000 * DAY_MS;
    let due = Due {
        scope: Some(WARDS[1]),
        projects: true,
        patients: false,
        before_ms: now,
    };
    stage.keyring.rotate(due).unwrap();
    // What was asked for is done, and nothing else with it.
    stage.keeps_until([START_MS, now]).await;
}
