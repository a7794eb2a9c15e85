//! The shred ledger: whose keys were destroyed on purpose, and whether all that follows from it
//! is done.
//!
//! It lies beside the keyring, in `shreds`, and is only ever appended to. A shredding is in it
//! before its key is destroyed and once more when it is done: one that a crash interrupts is
//! known at the next opening, and a keyring or a store that is put back from before is told
//! what must not be in it. A record of version 1 is 128 bytes:
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version, 1 |
//! | 1 | what: 1 begun, 2 done |
//! | 2 | length of the label, 1 to 64 |
//! | 3 | zero |
//! | 4..8 | number of the record, from 0 |
//! | 8..12 | scope |
//! | 12..20 | when, in milliseconds since 1970 UTC |
//! | 20..84 | the label: the id of a patient, then zeros |
//! | 84..96 | zero |
//! | 96..128 | HMAC-SHA256 of the MAC before, or 32 zeros, and the bytes before, by the key `shred-ledger` of the keyring |
//!
//! Numbers are big-endian. The MACs make a chain: no record can be changed, moved or left out
//! but the last ones. A last record that is not whole was never acknowledged, and is cut off.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::root::io;
use crate::{Ed25519Key, Error, Keyring, SecretKey};

/// Bytes of a record.
const LEN: usize = 128;
const VERSION: u8 = 1;
const LABEL_MAX: usize = 64;
const CHECKED: usize = 96;
/// Records of a ledger: more are refused.
const RECORDS_MAX: usize = 1 << 22;

/// A shredding, as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shredding {
    /// The scope of the key.
    pub scope: u32,
    /// Whose it was.
    pub label: Box<str>,
    /// When it was begun, in milliseconds since 1970 UTC.
    pub begun_ms: i64,
    /// When all that follows from it was done.
    pub done_ms: Option<i64>,
}

/// The ledger of a keyring, open.
pub struct Shreds {
    path: PathBuf,
    keyring: Arc<Keyring>,
    key: SecretKey,
    signer: Ed25519Key,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    ledger: Ledger,
}

impl std::fmt::Debug for Shreds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shreds").field("path", &self.path).finish()
    }
}

impl Shreds {
    /// Opens the ledger in the folder of a keyring, or makes it there, and destroys what the
    /// keyring still has of the keys that it names: a keyring that was put back from before
    /// has them.
    ///
    /// # Errors
    /// A ledger that cannot be read, is damaged, or belongs to another keyring.
    pub fn open(dir: &Path, keyring: &Arc<Keyring>) -> Result<Arc<Self>, Error> {
        let path = dir.join("shreds");
        let key = keyring.derive("shred-ledger")?;
        let signer = Ed25519Key::from_secret(&keyring.derive("shred-certificate")?)?;
        let file = open_private(&path).map_err(|source| io("open", &path, source))?;
        let bytes = read_all(&file, &path)?;
        let ledger =
            Ledger::read(&bytes, &key).ok_or_else(|| Error::LedgerDamaged(path.clone()))?;
        let whole = (ledger.count * LEN) as u64;
        if whole < bytes.len() as u64 {
            file.set_len(whole)
                .and_then(|()| file.sync_all())
                .map_err(|source| io("repair", &path, source))?;
        }
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|source| io("write", dir, source))?;
        for shredding in &ledger.shreddings {
            keyring.destroy(shredding.scope, &shredding.label)?;
        }
        Ok(Arc::new(Self {
            path,
            keyring: Arc::clone(keyring),
            key,
            signer,
            inner: Mutex::new(Inner { file, ledger }),
        }))
    }

    /// Every shredding, in the order in which they were begun.
    #[must_use]
    pub fn all(&self) -> Vec<Shredding> {
        self.inner.lock().ledger.shreddings.clone()
    }

    /// Writes down that a shredding begins, durably. One that is there already stays as it is.
    ///
    /// # Errors
    /// A label that can be none, or when the disk fails.
    pub fn begin(&self, scope: u32, label: &str, now_ms: i64) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        match inner.ledger.find(scope, label) {
            Some(_) => Ok(()),
            None => self.append(&mut inner, What::Begun, (scope, label), now_ms),
        }
    }

    /// Destroys the keys of a shredding that is begun; how many there were.
    ///
    /// # Errors
    /// When it was not begun, or the disk fails.
    pub fn destroy(&self, scope: u32, label: &str) -> Result<u32, Error> {
        let begun = self.inner.lock().ledger.find(scope, label).is_some();
        match begun {
            true => self.keyring.destroy(scope, label),
            false => Err(Error::Library("a shredding that was not begun")),
        }
    }

    /// Whether the keyring has no key of this label and gives it none.
    #[must_use]
    pub fn is_destroyed(&self, scope: u32, label: &str) -> bool {
        self.keyring.is_destroyed(scope, label)
    }

    /// Writes down that all that follows from a shredding is done.
    ///
    /// # Errors
    /// When it was not begun, or the disk fails.
    pub fn finish(&self, scope: u32, label: &str, now_ms: i64) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        match inner.ledger.find(scope, label) {
            None => Err(Error::Library("a shredding that was not begun")),
            Some(known) if known.done_ms.is_some() => Ok(()),
            Some(_) => self.append(&mut inner, What::Done, (scope, label), now_ms),
        }
    }

    /// The key that signs what is said of shreddings.
    #[must_use]
    pub fn signer(&self) -> &Ed25519Key {
        &self.signer
    }

    fn append(
        &self,
        inner: &mut Inner,
        what: What,
        (scope, label): (u32, &str),
        now_ms: i64,
    ) -> Result<(), Error> {
        if !is_label(label) || inner.ledger.count >= RECORDS_MAX {
            return Err(Error::Library("the shred ledger cannot hold this"));
        }
        let mut next = inner.ledger.clone();
        let record = next.add(&self.key, what, (scope, label), now_ms);
        let place = (inner.ledger.count * LEN) as u64;
        inner
            .file
            .write_all_at(&record, place)
            .and_then(|()| inner.file.sync_data())
            .map_err(|source| io("write", &self.path, source))?;
        inner.ledger = next;
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Begun = 1,
    Done = 2,
}

/// What the records of a ledger come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Every shredding, in the order in which they were begun.
    pub shreddings: Vec<Shredding>,
    /// Where in the list each is.
    places: HashMap<(u32, Box<str>), usize>,
    count: usize,
    mac: [u8; 32],
}

impl Ledger {
    /// Reads the records of a ledger, all but a last one that is not whole; `None` when
    /// something else is not as it was written by who has the key.
    #[must_use]
    pub fn read(bytes: &[u8], key: &SecretKey) -> Option<Self> {
        let (records, _torn) = bytes.as_chunks::<LEN>();
        let mut ledger = Self::default();
        for (at, record) in records.iter().enumerate() {
            let is_last = at + 1 == records.len();
            match ledger.take(record, key) {
                Some(()) => {}
                // A disk may write the sectors of a record that was cut short in any order.
                None if is_last && is_torn(record) => return Some(ledger),
                None => return None,
            }
        }
        (ledger.count <= RECORDS_MAX).then_some(ledger)
    }

    fn find(&self, scope: u32, label: &str) -> Option<&Shredding> {
        let place = self.places.get(&(scope, label.into()))?;
        self.shreddings.get(*place)
    }

    /// Takes the next record.
    fn take(&mut self, record: &[u8; LEN], key: &SecretKey) -> Option<()> {
        let (checked, mac) = record.split_at(CHECKED);
        let expected = self.mac_of(key, checked);
        crate::same(&expected, mac).then_some(())?;
        let [VERSION, what, length, 0, rest @ ..] = record else {
            return None;
        };
        let (number, rest) = rest.split_first_chunk()?;
        let (scope, rest) = rest.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let label = rest.get(..usize::from(*length))?;
        let label = str::from_utf8(label).ok().filter(|label| is_label(label))?;
        let (scope, time_ms) = (u32::from_be_bytes(*scope), i64::from_be_bytes(*time));
        (u32::from_be_bytes(*number) as usize == self.count).then_some(())?;
        match what {
            1 => self.note(What::Begun, (scope, label), time_ms),
            2 => self.note(What::Done, (scope, label), time_ms),
            _ => return None,
        }
        (self.count, self.mac) = (self.count + 1, expected);
        Some(())
    }

    /// The record that says it, and what it changes here.
    fn add(
        &mut self,
        key: &SecretKey,
        what: What,
        (scope, label): (u32, &str),
        now_ms: i64,
    ) -> [u8; LEN] {
        let mut record = [0; LEN];
        record[0] = VERSION;
        record[1] = what as u8;
        record[2] = label.len() as u8;
        record[4..8].copy_from_slice(&(self.count as u32).to_be_bytes());
        record[8..12].copy_from_slice(&scope.to_be_bytes());
        record[12..20].copy_from_slice(&now_ms.to_be_bytes());
        for (to, from) in record[20..20 + LABEL_MAX].iter_mut().zip(label.bytes()) {
            *to = from;
        }
        let mac = self.mac_of(key, &record[..CHECKED]);
        record[CHECKED..].copy_from_slice(&mac);
        self.note(what, (scope, label), now_ms);
        (self.count, self.mac) = (self.count + 1, mac);
        record
    }

    fn note(&mut self, what: What, (scope, label): (u32, &str), time_ms: i64) {
        let place = self.places.get(&(scope, label.into()));
        let known = place.and_then(|place| self.shreddings.get_mut(*place));
        match (what, known) {
            (What::Begun, None) => {
                self.places
                    .insert((scope, label.into()), self.shreddings.len());
                self.shreddings.push(Shredding {
                    scope,
                    label: label.into(),
                    begun_ms: time_ms,
                    done_ms: None,
                });
            }
            (What::Done, Some(known)) => known.done_ms = Some(time_ms),
            (What::Begun, Some(_)) | (What::Done, None) => {}
        }
    }

    fn mac_of(&self, key: &SecretKey, checked: &[u8]) -> [u8; 32] {
        key.mac(&[&self.mac[..], checked].concat())
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_MAX).contains(&label.len()) && !label.contains('\0')
}

/// Whether a write may have been cut short: its end never came.
fn is_torn(record: &[u8; LEN]) -> bool {
    record[CHECKED..].iter().all(|byte| *byte == 0)
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn read_all(mut file: &File, path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let most = ((RECORDS_MAX + 1) * LEN) as u64;
    file.by_ref()
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|source| io("read", path, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Founding;

    fn ring(dir: &Path) -> Arc<Keyring> {
        Keyring::open(dir, Founding::New, 0).unwrap()
    }

    #[test]
    fn what_was_begun_and_done_is_known_again() {
        let dir = tempfile::TempDir::new().unwrap();
        let dir = dir.path();
        {
            let ring = ring(dir);
            ring.slot(1, Some("a"), 0).unwrap();
            let shreds = Shreds::open(dir, &ring).unwrap();
            shreds.destroy(1, "a").unwrap_err();
            shreds.begin(1, "a", 5).unwrap();
            shreds.begin(1, "a", 6).unwrap();
            shreds.begin(2, "a", 7).unwrap();
            assert_eq!(shreds.destroy(1, "a").unwrap(), 1);
            shreds.finish(1, "a", 8).unwrap();
            shreds.finish(1, "b", 8).unwrap_err();
            shreds.begin(1, "", 8).unwrap_err();
            shreds.begin(1, &"x".repeat(65), 8).unwrap_err();
        }
        let ring = ring(dir);
        let all = Shreds::open(dir, &ring).unwrap().all();
        let said = |one: &Shredding| (one.scope, one.begun_ms, one.done_ms);
        let said: Vec<_> = all.iter().map(said).collect();
        assert_eq!(said, [(1, 5, Some(8)), (2, 7, None)]);
        assert!(ring.is_destroyed(2, "a"), "begun: destroyed at the opening");
    }

    #[test]
    fn a_keyring_from_before_loses_the_keys_again() {
        let dir = tempfile::TempDir::new().unwrap();
        let dir = dir.path();
        let slot = {
            let ring = ring(dir);
            let slot = ring.slot(1, Some("a"), 0).unwrap();
            ring.sync().unwrap();
            slot
        };
        let before = std::fs::read(dir.join("keyring")).unwrap();
        {
            let ring = ring(dir);
            let shreds = Shreds::open(dir, &ring).unwrap();
            shreds.begin(1, "a", 5).unwrap();
            shreds.destroy(1, "a").unwrap();
        }
        std::fs::write(dir.join("keyring"), before).unwrap();
        let ring = ring(dir);
        assert!(!ring.is_destroyed(1, "a"));
        Shreds::open(dir, &ring).unwrap();
        let sealed = ring.open_sealed(slot, b"", &[0; 64]);
        assert!(matches!(sealed, Err(Error::Destroyed(_))));
    }

    #[test]
    fn a_record_cut_short_is_dropped_and_any_other_change_is_named() {
        let key = SecretKey::from_bytes([1; 32]);
        let mut ledger = Ledger::default();
        let mut bytes = Vec::new();
        for (at, label) in ["a", "b", "a"].into_iter().enumerate() {
            let what = if at == 2 { What::Done } else { What::Begun };
            bytes.extend(ledger.add(&key, what, (1, label), 7));
        }
        assert_eq!(Ledger::read(&bytes, &key).as_ref(), Some(&ledger));
        for cut in 0..bytes.len() {
            let read = Ledger::read(&bytes[..cut], &key).unwrap();
            assert_eq!(read.count, cut / LEN);
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Ledger::read(&changed, &key), None, "at {at}");
        }
        let mut torn = bytes.clone();
        torn[2 * LEN + CHECKED..].fill(0);
        assert_eq!(Ledger::read(&torn, &key).unwrap().count, 2);
        let moved = [&bytes[LEN..2 * LEN], &bytes[..LEN]].concat();
        assert_eq!(Ledger::read(&moved, &key), None);
        assert_eq!(Ledger::read(&bytes, &SecretKey::from_bytes([2; 32])), None);
    }
}
