//! Versions as they lie in the log of changes: a header, and the body,
//! compressed and sealed. Format 1, a stored format:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format |
//! | 1 | flags: 1 deleted, 2 last of its batch, 4 sealed with a patient's key |
//! | 8 | the latest time of any version up to this one, filled in by the commit |
//! | 4 | scope |
//! | 4 | kind |
//! | 8 | version |
//! | 8 | time |
//! | 1 + n | id |
//! | 1 + n | id of the patient, if the flag is set |
//! | 4 | slot of the key |
//! | 1 | number of the dictionary, 255 if the body is not compressed |
//! | 4 | length of the plain body |
//! | rest | the sealed body; its AAD is scope, kind, version and id |
//!
//! Format 2 is what is left of a version that was purged: the same as far as
//! the id of the patient, and the SHA-256 of what was there, with zeros for the
//! latest time, as the chain of changes has it.

use bytes::Bytes;
use parking_lot::Mutex;
use salus_crypto::{Keyring, Slot};
use salus_store::{Content, Error, Kind, Record, Scope, SealKey, Seq};
use zstd::bulk::{Compressor, Decompressor};

const FORMAT: u8 = 1;
const PURGED: u8 = 2;
const DELETED: u8 = 1;
const ENDS_BATCH: u8 = 2;
const PATIENT: u8 = 4;

/// Where the commit fills in the latest time.
const LATEST_AT: usize = 2;

const NOT_COMPRESSED: u8 = 255;
/// Longer bodies than this are not written, so none is read.
pub(crate) const BODY_MAX: usize = 1 << 30;
/// Compressors kept for the next body.
const IDLE_MAX: usize = 4;
const LEVEL: i32 = 1;

/// Compresses bodies. Every dictionary that was ever used is in the store, by number.
pub(crate) struct Codec {
    dictionaries: Vec<Dictionary>,
    writing: u8,
}

struct Dictionary {
    bytes: Vec<u8>,
    compressors: Mutex<Vec<Compressor<'static>>>,
    decompressors: Mutex<Vec<Decompressor<'static>>>,
}

/// A version to be written.
pub(crate) struct NewVersion<'a> {
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    pub(crate) id: &'a str,
    pub(crate) version: u64,
    pub(crate) time_ms: i64,
    pub(crate) ends_batch: bool,
    pub(crate) seal: &'a SealKey,
    pub(crate) content: &'a Content,
}

/// A version as it was read, its body still sealed.
pub(crate) struct Stored<'a> {
    flags: u8,
    pub(crate) latest_ms: i64,
    pub(crate) scope: Scope,
    pub(crate) kind: Kind,
    pub(crate) version: u64,
    pub(crate) time_ms: i64,
    pub(crate) id: &'a str,
    patient: Option<&'a str>,
    body: Kept<'a>,
    /// The length of all before.
    head: usize,
}

enum Kept<'a> {
    Sealed {
        slot: Slot,
        dictionary: u8,
        length: usize,
        sealed: &'a [u8],
    },
    Purged {
        digest: [u8; 32],
    },
}

impl Codec {
    /// With all dictionaries, in the order of their numbers; the one of number
    /// `writing` is used for new bodies.
    pub(crate) fn new(dictionaries: Vec<Vec<u8>>, writing: u8) -> Self {
        let dictionaries = dictionaries.into_iter().map(|bytes| Dictionary {
            bytes,
            compressors: Mutex::new(Vec::new()),
            decompressors: Mutex::new(Vec::new()),
        });
        Self {
            dictionaries: dictionaries.collect(),
            writing,
        }
    }

    /// The compressed form, if it is shorter.
    fn compress(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let dictionary = self.dictionaries.get(usize::from(self.writing))?;
        let idle = dictionary.compressors.lock().pop();
        let mut compressor = idle.or_else(|| {
            let mut fresh = Compressor::with_dictionary(LEVEL, &dictionary.bytes).ok()?;
            // Number and length are in the header already.
            fresh.include_dictid(false).ok()?;
            fresh.include_contentsize(false).ok()?;
            Some(fresh)
        })?;
        let compressed = compressor.compress(plain).ok();
        keep(&dictionary.compressors, compressor);
        compressed.filter(|compressed| compressed.len() < plain.len())
    }

    /// Every dictionary, by number.
    pub(crate) fn dictionaries(&self) -> impl Iterator<Item = &[u8]> {
        self.dictionaries.iter().map(|one| one.bytes.as_slice())
    }

    fn decompress(&self, number: u8, compressed: &[u8], length: usize) -> Option<Vec<u8>> {
        let dictionary = self.dictionaries.get(usize::from(number))?;
        let idle = dictionary.decompressors.lock().pop();
        let mut decompressor =
            idle.or_else(|| Decompressor::with_dictionary(&dictionary.bytes).ok())?;
        let plain = decompressor.decompress(compressed, length).ok();
        keep(&dictionary.decompressors, decompressor);
        plain.filter(|plain| plain.len() == length)
    }
}

fn keep<T>(idle: &Mutex<Vec<T>>, one: T) {
    let mut idle = idle.lock();
    if idle.len() < IDLE_MAX {
        idle.push(one);
    }
}

impl NewVersion<'_> {
    /// The bytes to be written. Makes the key of a patient or a scope when there is none.
    pub(crate) fn to_bytes(&self, codec: &Codec, keyring: &Keyring) -> Result<Vec<u8>, Error> {
        let (plain, deleted) = match self.content {
            Content::Body(body) => (body.as_ref(), 0),
            Content::Deleted => (&[][..], DELETED),
        };
        if plain.len() > BODY_MAX {
            return Err(Error::Misuse("a body of more than 1 GiB"));
        }
        let compressed = codec.compress(plain);
        let (dictionary, packed) = match &compressed {
            Some(compressed) => (codec.writing, compressed.as_slice()),
            None => (NOT_COMPRESSED, plain),
        };
        let (patient_flag, label) = match self.seal {
            SealKey::Scope => (0, None),
            SealKey::Patient(id) => (PATIENT, Some(id.as_ref())),
        };
        let slot = keyring
            .slot(self.scope.0, label, self.time_ms)
            .map_err(sealing)?;
        let ends_batch = if self.ends_batch { ENDS_BATCH } else { 0 };
        let mut bytes = Vec::with_capacity(112 + packed.len() + salus_crypto::OVERHEAD);
        bytes.extend_from_slice(&[FORMAT, deleted | ends_batch | patient_flag]);
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&self.scope.0.to_be_bytes());
        bytes.extend_from_slice(&self.kind.0.to_be_bytes());
        bytes.extend_from_slice(&self.version.to_be_bytes());
        bytes.extend_from_slice(&self.time_ms.to_be_bytes());
        for text in [Some(self.id), label].into_iter().flatten() {
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.extend_from_slice(&slot.number().to_be_bytes());
        bytes.push(dictionary);
        bytes.extend_from_slice(&(plain.len() as u32).to_be_bytes());
        let aad = aad(self.scope, self.kind, self.version, self.id);
        keyring
            .seal(slot, &aad, packed, &mut bytes)
            .map_err(sealing)?;
        Ok(bytes)
    }
}

/// The digest of a version in the chain of changes: of its bytes with zeros for
/// the latest time.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut bytes = bytes.to_vec();
    set_latest(&mut bytes, 0);
    salus_crypto::sha256(&bytes)
}

/// Fills in the latest time of any version so far.
pub(crate) fn set_latest(bytes: &mut [u8], latest_ms: i64) {
    if let Some(place) = bytes.get_mut(LATEST_AT..LATEST_AT + 8) {
        place.copy_from_slice(&latest_ms.to_be_bytes());
    }
}

impl<'a> Stored<'a> {
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut rest = bytes;
        Self::take(&mut rest).ok_or_else(|| Error::Damaged("the header of a version".into()))
    }

    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let whole = rest.len();
        let [format, flags] = take::<2>(rest)?;
        let latest_ms = i64::from_be_bytes(take(rest)?);
        let scope = Scope(u32::from_be_bytes(take(rest)?));
        let kind = Kind(u32::from_be_bytes(take(rest)?));
        let version = u64::from_be_bytes(take(rest)?);
        let time_ms = i64::from_be_bytes(take(rest)?);
        let id = take_text(rest)?;
        let patient = match flags & PATIENT {
            0 => None,
            _ => Some(take_text(rest)?),
        };
        let head = whole - rest.len();
        let body = match format {
            FORMAT => Kept::sealed(rest)?,
            PURGED => Kept::Purged {
                digest: std::mem::take(rest).try_into().ok()?,
            },
            _ => return None,
        };
        Some(Self {
            flags,
            latest_ms,
            scope,
            kind,
            version,
            time_ms,
            id,
            patient,
            body,
            head,
        })
    }

    /// The digest of what was there before it was purged.
    pub(crate) fn purged(&self) -> Option<[u8; 32]> {
        match self.body {
            Kept::Purged { digest } => Some(digest),
            Kept::Sealed { .. } => None,
        }
    }

    pub(crate) fn seal(&self) -> SealKey {
        self.patient
            .map_or(SealKey::Scope, |id| SealKey::Patient(id.into()))
    }

    /// What a purge leaves of the bytes that this was read from.
    pub(crate) fn left_of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut left = bytes.get(..self.head).unwrap_or_default().to_vec();
        if let Some(format) = left.first_mut() {
            *format = PURGED;
        }
        left.extend_from_slice(&digest(bytes));
        left
    }

    /// The version as a log of changes shows it, if it was purged.
    pub(crate) fn without_body(&self, seq: u64) -> Record {
        Record {
            kind: self.kind,
            id: self.id.into(),
            version: self.version,
            time_ms: self.time_ms,
            seq: Seq(seq),
            seal: self.seal(),
            content: Content::Body(Bytes::new()),
        }
    }

    /// The slot of the key that its body is sealed with, unless it was purged.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match self.body {
            Kept::Sealed { slot, .. } => Some(slot),
            Kept::Purged { .. } => None,
        }
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    pub(crate) fn ends_batch(&self) -> bool {
        self.flags & ENDS_BATCH != 0
    }

    /// The version with its body opened.
    pub(crate) fn open(&self, seq: u64, codec: &Codec, keyring: &Keyring) -> Result<Record, Error> {
        self.unseal(seq, keyring)?.record(codec)
    }

    /// The version with its body opened, but still compressed.
    pub(crate) fn unseal(&self, seq: u64, keyring: &Keyring) -> Result<Opened, Error> {
        let Kept::Sealed {
            slot,
            dictionary,
            length,
            sealed,
        } = self.body
        else {
            return Err(Error::Purged);
        };
        let aad = aad(self.scope, self.kind, self.version, self.id);
        let packed = keyring
            .open_sealed(slot, &aad, sealed)
            .map_err(|e| opening(&e, seq))?;
        Ok(Opened {
            scope: self.scope,
            kind: self.kind,
            id: self.id.into(),
            version: self.version,
            time_ms: self.time_ms,
            seq,
            patient: self.patient.map(Into::into),
            deleted: self.is_deleted(),
            dictionary,
            length,
            packed: packed.into(),
        })
    }
}

impl<'a> Kept<'a> {
    fn sealed(rest: &mut &'a [u8]) -> Option<Self> {
        let slot = Slot::from_number(u32::from_be_bytes(take(rest)?));
        let [dictionary] = take(rest)?;
        let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
        Some(Self::Sealed {
            slot,
            dictionary,
            length: (length <= BODY_MAX).then_some(length)?,
            sealed: std::mem::take(rest),
        })
    }
}

/// A version whose body is open, though still compressed.
pub(crate) struct Opened {
    pub(crate) scope: Scope,
    kind: Kind,
    id: Box<str>,
    version: u64,
    time_ms: i64,
    seq: u64,
    patient: Option<Box<str>>,
    deleted: bool,
    dictionary: u8,
    length: usize,
    packed: Bytes,
}

impl Opened {
    /// What it occupies, about.
    pub(crate) fn bytes(&self) -> usize {
        let patient = self.patient.as_ref().map_or(0, |id| id.len());
        size_of::<Self>() + self.id.len() + patient + self.packed.len()
    }

    /// The version as it was written.
    pub(crate) fn record(&self, codec: &Codec) -> Result<Record, Error> {
        let plain = match self.dictionary {
            NOT_COMPRESSED => Some(self.packed.clone()),
            number => codec
                .decompress(number, &self.packed, self.length)
                .map(Bytes::from),
        };
        let damaged = || Error::Damaged(format!("the body of version {}", self.seq));
        Ok(self.with(plain.ok_or_else(damaged)?))
    }

    /// The same without its body, which stays compressed.
    pub(crate) fn head(&self) -> Record {
        self.with(Bytes::new())
    }

    fn with(&self, body: Bytes) -> Record {
        Record {
            kind: self.kind,
            id: self.id.clone(),
            version: self.version,
            time_ms: self.time_ms,
            seq: Seq(self.seq),
            seal: match &self.patient {
                Some(id) => SealKey::Patient(id.clone()),
                None => SealKey::Scope,
            },
            content: match self.deleted {
                true => Content::Deleted,
                false => Content::Body(body),
            },
        }
    }
}

pub(crate) fn aad(scope: Scope, kind: Kind, version: u64, id: &str) -> Vec<u8> {
    let mut aad = Vec::with_capacity(16 + id.len());
    aad.extend_from_slice(&scope.0.to_be_bytes());
    aad.extend_from_slice(&kind.0.to_be_bytes());
    aad.extend_from_slice(&version.to_be_bytes());
    aad.extend_from_slice(id.as_bytes());
    aad
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*bytes)
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let [length] = take(rest)?;
    let (text, behind) = rest.split_at_checked(usize::from(length))?;
    *rest = behind;
    str::from_utf8(text).ok()
}

/// The keyring could not seal: its messages hold no content.
pub(crate) fn sealing(error: salus_crypto::Error) -> Error {
    use salus_crypto::Error as Crypto;
    if let Crypto::LabelDestroyed | Crypto::Destroyed(_) = error {
        return Error::KeyDestroyed;
    }
    Error::Unavailable(format!("keyring: {error}"))
}

/// The keyring could not open.
pub(crate) fn opening(error: &salus_crypto::Error, seq: u64) -> Error {
    if let salus_crypto::Error::Destroyed(_) = error {
        return Error::KeyDestroyed;
    }
    Error::Damaged(format!("the sealed text at {seq}: {error}"))
}
