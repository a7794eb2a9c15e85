//! What readers and the committer share, and how it comes to be.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use salus_crypto::{Keyring, Slot, merkle::Frontier};
use salus_store::{Error, Kind, Scope, ordered};
use tokio::sync::watch;

use crate::aside::Aside;
use crate::blobs::Folder;
use crate::body::{Codec, sealing};
use crate::cache::Cache;
use crate::counted::Counted;
use crate::hash::SipHash;
use crate::index::Index;
use crate::kv::{Kv, View, When, Write};
use crate::main_date::MainDate;
use crate::sample::Samples;
use crate::space::Space;
use crate::superseded::Superseded;
use crate::tree::Tree;
use crate::{Options, ahead, format, keys, restore};

pub(crate) const META_STATE: &str = "state";
pub(crate) const META_FLOOR: &str = "floor";
pub(crate) const META_FRONTIER: &str = "frontier";
const META_DICTIONARY: &str = "dictionary/";

/// Says why nothing may be committed just now.
pub(crate) type Gate = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

pub(crate) struct Core {
    pub(crate) kv: Kv,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) codec: Codec,
    pub(crate) index: Index,
    pub(crate) cache: Cache,
    pub(crate) superseded: Arc<Superseded>,
    pub(crate) space: Space,
    pub(crate) blobs: Folder,
    pub(crate) rows_max: u64,
    pub(crate) time_max: Duration,
    pub(crate) aside: Aside,
    pub(crate) main_dates: RwLock<HashMap<(Scope, Kind), MainDate>>,
    pub(crate) samples: Samples,
    /// Held while blocks of postings are changed, or versions purged.
    pub(crate) texts: tokio::sync::Mutex<()>,
    pub(crate) counted: Counted,
    /// The last point that readers may see.
    visible: AtomicU64,
    /// The same, for those who wait for more.
    grown: watch::Sender<u64>,
    /// The audit's tree at that point.
    frontier: RwLock<Frontier>,
    /// See [`State::lag_ms`].
    lag_ms: AtomicI64,
    /// Why nothing is committed any more.
    fault: Mutex<Option<String>>,
    /// Asked before anything is committed.
    pub(crate) gate: OnceLock<Gate>,
    slots: RwLock<HashMap<Scope, Slot>>,
    /// Held while the store is open.
    _lock: File,
}

/// What the committer knows when the store opens. Kept under one key, format 1:
/// 1 byte format, the last seq in 8 bytes, the latest time of any batch in 8,
/// the farthest that a batch's time lay before the latest in 8, the number of
/// slots the keyring had in 4, the end of the chain of changes in 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) seq: u64,
    pub(crate) latest_ms: i64,
    pub(crate) lag_ms: i64,
    pub(crate) slots: u32,
    pub(crate) chain: [u8; 32],
}

impl Core {
    pub(crate) fn open(options: Options) -> Result<(Arc<Self>, State, Tree), Error> {
        let Options {
            dir,
            keyring,
            dictionary,
            memory,
            rows_max,
            time_max,
            disk_bytes_min,
            restoring,
            retention: _,
        } = options;
        let lock = lock(&dir)?;
        if !restoring {
            restore::refuse_torn(&dir)?;
        }
        let key = keyring.derive("storage-engine").map_err(sealing)?;
        let engine = dir.join("engine");
        let kv = match restoring {
            true => Kv::open_to_fill(&engine, &key, memory)?,
            false => Kv::open(&engine, &key, memory)?,
        };
        format::bring_up_to_date(&kv, &dir)?;
        ahead::remove(&kv)?;
        let view = kv.view()?;
        let blobs = Folder::open(&dir)?;
        let codec = open_codec(&kv, &view, dictionary)?;
        let state = State::load(&view)?;
        if state.slots > keyring.slots() {
            return Err(Error::Damaged(
                "the keyring is older than the store: keys are missing".into(),
            ));
        }
        let tree = Tree::load(&view)?;
        let superseded = load_superseded(&view)?;
        let main_dates = load_main_dates(&view)?;
        drop(view);
        let hash_key = keyring.derive("storage-index").map_err(sealing)?;
        let [low @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = hash_key.as_bytes();
        let core = Self {
            kv,
            keyring,
            codec,
            index: Index::new(SipHash::new(low)),
            cache: Cache::new(memory.versions),
            superseded: Arc::new(superseded),
            space: Space::new(dir, disk_bytes_min),
            blobs,
            rows_max,
            time_max,
            aside: Aside::default(),
            main_dates: RwLock::new(main_dates),
            samples: Samples::new(),
            texts: tokio::sync::Mutex::new(()),
            counted: Counted::new(),
            visible: AtomicU64::new(state.seq),
            grown: watch::Sender::new(state.seq),
            frontier: RwLock::new(tree.frontier().clone()),
            lag_ms: AtomicI64::new(state.lag_ms),
            fault: Mutex::new(None),
            gate: OnceLock::new(),
            slots: RwLock::default(),
            _lock: lock,
        };
        Ok((Arc::new(core), state, tree))
    }

    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Shows a point, with the audit's tree there, and how far times may lie before the latest
    /// until there.
    pub(crate) fn show(&self, seq: u64, lag_ms: i64, frontier: &Frontier) {
        self.frontier.write().clone_from(frontier);
        self.lag_ms.store(lag_ms, Ordering::Release);
        self.visible.store(seq, Ordering::Release);
        self.grown.send_replace(seq);
    }

    /// Waits until a point behind this one is shown.
    pub(crate) async fn grown(&self, after: u64) {
        // Nobody but this drops the sender.
        drop(self.grown.subscribe().wait_for(|seq| *seq > after).await);
    }

    /// The audit's tree as far as it is durable.
    pub(crate) fn frontier(&self) -> Frontier {
        self.frontier.read().clone()
    }

    pub(crate) fn lag_ms(&self) -> i64 {
        self.lag_ms.load(Ordering::Acquire)
    }

    /// Ends all committing: what is on disk is known again only after a new opening.
    pub(crate) fn fail(&self, why: &Error) {
        self.fault.lock().get_or_insert_with(|| why.to_string());
    }

    /// Says whether anything can be committed, as far as is known.
    pub(crate) fn ready(&self) -> Result<(), Error> {
        if let Some(why) = self.fault.lock().as_ref() {
            return Err(Error::Unavailable(format!(
                "{why}; the store must be opened again"
            )));
        }
        match (self.kv.stopped(), self.gate.get()) {
            (Some(error), _) => Err(error),
            (None, Some(gate)) => gate().map_err(Error::Unavailable),
            (None, None) => Ok(()),
        }
    }

    /// The slot of a scope's own key.
    pub(crate) fn scope_slot(&self, scope: Scope, now_ms: i64) -> Result<Slot, Error> {
        if let Some(slot) = self.slots.read().get(&scope) {
            return Ok(*slot);
        }
        let slot = self.keyring.slot(scope.0, None, now_ms).map_err(sealing)?;
        self.slots.write().insert(scope, slot);
        Ok(slot)
    }
}

impl State {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.latest_ms.to_be_bytes());
        bytes.extend_from_slice(&self.lag_ms.to_be_bytes());
        bytes.extend_from_slice(&self.slots.to_be_bytes());
        bytes.extend_from_slice(&self.chain);
        bytes
    }

    pub(crate) fn load(view: &View) -> Result<Self, Error> {
        let Some(bytes) = view.get(&keys::meta(META_STATE))? else {
            return Ok(Self {
                seq: 0,
                latest_ms: i64::MIN,
                lag_ms: 0,
                slots: 0,
                chain: [0; 32],
            });
        };
        Self::read(&bytes).ok_or_else(|| Error::Damaged("the state of the store".into()))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let ([1], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (seq, rest) = rest.split_first_chunk()?;
        let (latest, rest) = rest.split_first_chunk()?;
        let (lag, rest) = rest.split_first_chunk()?;
        let (slots, rest) = rest.split_first_chunk()?;
        Some(Self {
            seq: u64::from_be_bytes(*seq),
            latest_ms: i64::from_be_bytes(*latest),
            lag_ms: i64::from_be_bytes(*lag),
            chain: rest.try_into().ok()?,
            slots: u32::from_be_bytes(*slots),
        })
    }
}

/// One process at a time: the lock is the system's, and goes with the process.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let trouble = |e: std::io::Error| Error::Unavailable(format!("{}: {e}", dir.display()));
    make_folder(dir).map_err(trouble)?;
    let file = File::options()
        .create(true)
        .append(true)
        .open(dir.join("lock"))
        .map_err(trouble)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Unavailable(format!(
            "{}: another process has the store open",
            dir.display()
        ))),
        Err(TryLockError::Error(e)) => Err(trouble(e)),
    }
}

/// Only the owner may look inside.
pub(crate) fn make_folder(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Loads all dictionaries that bodies may need, and adds the one given if it is new.
fn open_codec(kv: &Kv, view: &View, wanted: &[u8]) -> Result<Codec, Error> {
    let start = keys::meta(META_DICTIONARY);
    let mut cursor = view.forward(&start, &keys::after_prefix(&start))?;
    let mut dictionaries = vec![Vec::new()];
    while let Some((_, dictionary)) = cursor.next()? {
        dictionaries.push(dictionary.into_owned());
    }
    let known = dictionaries.iter().position(|one| one == wanted);
    let number = match known {
        Some(number) => number,
        None => {
            let number = dictionaries.len();
            let mut key = start;
            key.push(number as u8);
            dictionaries.push(wanted.into());
            kv.write_here(vec![(key, Some(wanted.into()))], When::Now)?;
            number
        }
    };
    match u8::try_from(number) {
        Ok(number) if number < u8::MAX => Ok(Codec::new(dictionaries, number)),
        _ => Err(Error::Misuse("too many dictionaries")),
    }
}

/// The writes of dictionaries by number; none are needed for the one without a word.
pub(crate) fn dictionary_writes(dictionaries: &[Bytes]) -> Result<Vec<Write>, Error> {
    if dictionaries.len() > usize::from(u8::MAX) {
        return Err(Error::Misuse("too many dictionaries"));
    }
    let writes = (0_u8..).zip(dictionaries).skip(1);
    let writes = writes.map(|(number, dictionary)| {
        let mut key = keys::meta(META_DICTIONARY);
        key.push(number);
        set(key, dictionary.to_vec())
    });
    Ok(writes.collect())
}

fn load_superseded(view: &View) -> Result<Superseded, Error> {
    let superseded = Superseded::default();
    if let Some(bytes) = view.get(&keys::meta(META_FLOOR))? {
        superseded.raise_floor(keys::last_number(&bytes));
    }
    let mut cursor = view.forward(&[keys::GARBAGE], &[keys::GARBAGE + 1])?;
    let mut pairs = Vec::new();
    while let Some(key) = cursor.next_key()? {
        let mut rest = &key[1..];
        let numbers = (ordered::take_u64(&mut rest), ordered::take_u64(&mut rest));
        let (Some(newer), Some(older)) = numbers else {
            return Err(Error::Damaged("a superseded version".into()));
        };
        pairs.push((older, newer));
    }
    superseded.add(pairs.into_iter());
    Ok(superseded)
}

fn load_main_dates(view: &View) -> Result<HashMap<(Scope, Kind), MainDate>, Error> {
    let mut cursor = view.forward(&[keys::DATES], &[keys::DATES + 1])?;
    let mut dates = HashMap::new();
    while let Some((key, value)) = cursor.next()? {
        let of = kind_of_key(key).ok_or_else(|| Error::Damaged("a main date's key".into()))?;
        dates.insert(of, MainDate::read(&value)?);
    }
    Ok(dates)
}

/// Scope and kind of a key that is made of them.
pub(crate) fn kind_of_key(key: &[u8]) -> Option<(Scope, Kind)> {
    let (_, mut rest) = key.split_first()?;
    let scope = keys::take_scope(&mut rest)?;
    Some((scope, Kind(ordered::take_u32(&mut rest)?)))
}

/// The count of a kind, as its key holds it.
pub(crate) fn read_count(view: &View, scope: Scope, kind: Kind) -> Result<u64, Error> {
    match view.get(&keys::of_kind(keys::COUNT, scope, kind))? {
        None => Ok(0),
        Some(bytes) => match <[u8; 8]>::try_from(bytes.as_slice()) {
            Ok(count) => Ok(u64::from_be_bytes(count)),
            Err(_) => Err(Error::Damaged("the count of a kind".into())),
        },
    }
}

/// A write of a value.
pub(crate) fn set(key: Vec<u8>, value: Vec<u8>) -> Write {
    (key, Some(value))
}
