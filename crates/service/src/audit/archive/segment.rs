//! A segment of the audit archive: a whole span of the log, sealed. Format 1, a stored format:
//!
//! | bytes | |
//! |---|---|
//! | 1 | format |
//! | 8, 8 | the places of its entries in the log: the first, and one behind the last |
//! | 8, 8 | the seqs of the first and the last entry |
//! | 8, 8 | the earliest and the latest time, in milliseconds since 1970 UTC |
//! | 8 | when it was made |
//! | 32, 32 | roots of the log's hash tree: before the first entry, and behind the last |
//! | frames | kind in 1 byte, slot of the key in 4, length in 4, and so many bytes of sealed text |
//!
//! | kind | sealed with | |
//! |---|---|---|
//! | 1 | the archive's key | the first lines of an export (docs/audit-export.md) of this span: its head, and checkpoints |
//! | 2 | the archive's key | the leaves of up to 2048 entries, 32 bytes each |
//! | 3 | a project's key | its entries among those: scope in 4 bytes, and of each its place among those leaves in 4, seq in 8, time in 8, form in 1, salt in 32, length in 4, and the entry |
//! | 4 | the archive's key | nothing: the end |
//!
//! A frame of kind 2 comes before the frames of its entries. Authenticated with each are a word,
//! the whole head, the frame's number (4), its kind and its slot (zero for the archive's key). So
//! the entries of a project whose key is destroyed can be read nowhere, and their leaves still
//! prove all others.

use std::collections::BTreeMap;

use bytes::Bytes;
use salus_crypto::merkle::Hash;
use salus_crypto::{Error as KeyError, Keyring, SecretKey, Slot};
use salus_store::{LeafForm, OpenedLeaf, Scope, Seq, TreeLeaf};

const FORMAT: u8 = 1;
const WORD: &[u8] = b"salus audit segment";
pub(super) const HEAD_LEN: usize = 1 + 7 * 8 + 2 * 32;
const FRAME_HEAD_LEN: usize = 9;
/// Leaves in a frame.
const LEAVES: usize = 2048;
/// What the archive's key is derived for. It never means anything else.
const KEY_PURPOSE: &str = "salus audit archive 1";

const LINES: u8 = 1;
const LEAF: u8 = 2;
const ENTRIES: u8 = 3;
const END: u8 = 4;

/// What can be said of a segment that is not the one that was written.
// No PHI: why a segment is not the one that was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is no segment of an audit archive that this version reads")]
    NoSegment,
    #[error("it was cut off, or something was added to it")]
    Length,
    #[error("it was changed, or is of another server")]
    Changed,
    #[error("the keys cannot be used: {0}")]
    Keys(String),
}

/// The head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) places: (u64, u64),
    pub(super) seqs: (u64, u64),
    pub(super) times_ms: (i64, i64),
    pub(super) made_ms: i64,
    pub(super) roots: (Hash, Hash),
}

/// A span of the log, as it is sealed and as it is read back.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) head: Head,
    /// The first lines of its export.
    pub(super) lines: String,
    /// In their order. Of one that cannot be opened there is the leaf alone.
    pub(super) leaves: Vec<TreeLeaf>,
}
salus_phi::guard!(Segment);

/// What seals segments: both follow from the keyring.
pub(super) struct Keys<'a> {
    keyring: &'a Keyring,
    own: SecretKey,
}

impl<'a> Keys<'a> {
    pub(super) fn of(keyring: &'a Keyring) -> Result<Self, Fault> {
        let own = keyring.derive(KEY_PURPOSE).map_err(unusable)?;
        Ok(Self { keyring, own })
    }
}

fn unusable(error: KeyError) -> Fault {
    Fault::Keys(error.to_string())
}

impl Head {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.get(..HEAD_LEN)?;
        let [FORMAT] = take(&mut rest)? else {
            return None;
        };
        let mut number = || take(&mut rest).map(u64::from_be_bytes);
        let (places, seqs) = ((number()?, number()?), (number()?, number()?));
        let mut time = || take(&mut rest).map(i64::from_be_bytes);
        Some(Self {
            places,
            seqs,
            times_ms: (time()?, time()?),
            made_ms: time()?,
            roots: (take(&mut rest)?, take(&mut rest)?),
        })
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        for number in [self.places.0, self.places.1, self.seqs.0, self.seqs.1] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        for time in [self.times_ms.0, self.times_ms.1, self.made_ms] {
            bytes.extend_from_slice(&time.to_be_bytes());
        }
        bytes.extend_from_slice(&self.roots.0);
        bytes.extend_from_slice(&self.roots.1);
        bytes
    }
}

impl Segment {
    /// The whole object.
    pub(super) fn seal(&self, keys: &Keys<'_>) -> Result<Bytes, Fault> {
        let mut out = Writer {
            bytes: self.head.to_bytes(),
            number: 0,
            keys,
        };
        out.frame(LINES, None, self.lines.as_bytes())?;
        for leaves in self.leaves.chunks(LEAVES) {
            let hashes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.leaf).collect();
            out.frame(LEAF, None, &hashes)?;
            for (scope, entries) in by_scope(leaves) {
                // It was opened with a key, so there is one.
                let slot = keys.keyring.find(scope.0, None);
                let slot = slot.ok_or_else(|| Fault::Keys("a project has none".into()))?;
                out.frame(ENTRIES, Some(slot), &entries)?;
            }
        }
        out.frame(END, None, &[])?;
        Ok(out.bytes.into())
    }

    /// Reads it back.
    pub(super) fn open(keys: &Keys<'_>, bytes: &[u8]) -> Result<Self, Fault> {
        let head = Head::read(bytes).ok_or(Fault::NoSegment)?;
        let (about, rest) = bytes.split_at(HEAD_LEN);
        let (mut reader, mut ended) = (Reader::new(keys, about, rest), false);
        let (mut lines, mut leaves, mut begun) = (String::new(), Vec::new(), 0);
        while let Some((kind, plain)) = reader.next()? {
            match (kind, plain) {
                _ if ended => return Err(Fault::Length),
                (LINES, Some(text)) => {
                    lines = String::from_utf8(text).map_err(|_| Fault::Changed)?;
                }
                (LEAF, Some(hashes)) => {
                    begun = leaves.len();
                    leaves.extend(hashes.as_chunks().0.iter().copied().map(hidden));
                }
                (ENTRIES, Some(entries)) => {
                    let of = leaves.get_mut(begun..).unwrap_or_default();
                    fill(of, &entries).ok_or(Fault::Changed)?;
                }
                // Its key was destroyed.
                (ENTRIES, None) => {}
                (END, Some(_)) => ended = true,
                _ => return Err(Fault::Changed),
            }
        }
        let count = head.places.1.checked_sub(head.places.0);
        match ended && count == Some(leaves.len() as u64) {
            true => Ok(Self {
                head,
                lines,
                leaves,
            }),
            false => Err(Fault::Length),
        }
    }
}

/// A leaf of which nothing else is known.
fn hidden(leaf: Hash) -> TreeLeaf {
    TreeLeaf {
        scope: Scope(0),
        seq: Seq(0),
        time_ms: 0,
        leaf,
        opened: None,
        cleared: false,
    }
}

/// The entries that can be opened, project by project.
fn by_scope(leaves: &[TreeLeaf]) -> BTreeMap<Scope, Vec<u8>> {
    let mut all = BTreeMap::new();
    for (place, leaf) in (0_u32..).zip(leaves) {
        let Some(opened) = &leaf.opened else {
            continue;
        };
        let begun = || leaf.scope.0.to_be_bytes().to_vec();
        let out = all.entry(leaf.scope).or_insert_with(begun);
        out.extend_from_slice(&place.to_be_bytes());
        out.extend_from_slice(&leaf.seq.0.to_be_bytes());
        out.extend_from_slice(&leaf.time_ms.to_be_bytes());
        out.push(opened.form as u8);
        out.extend_from_slice(&opened.salt);
        out.extend_from_slice(&(opened.body.len() as u32).to_be_bytes());
        out.extend_from_slice(&opened.body);
    }
    all
}

/// Puts what [`by_scope`] wrote to the leaves.
fn fill(leaves: &mut [TreeLeaf], mut rest: &[u8]) -> Option<()> {
    let scope = Scope(u32::from_be_bytes(take(&mut rest)?));
    while !rest.is_empty() {
        let place = u32::from_be_bytes(take(&mut rest)?);
        let leaf = leaves.get_mut(usize::try_from(place).ok()?)?;
        leaf.scope = scope;
        leaf.seq = Seq(u64::from_be_bytes(take(&mut rest)?));
        leaf.time_ms = i64::from_be_bytes(take(&mut rest)?);
        let [form] = take(&mut rest)?;
        let (form, salt) = (LeafForm::of_number(form)?, take(&mut rest)?);
        let length = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let (body, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let body = Bytes::copy_from_slice(body);
        leaf.opened = Some(OpenedLeaf { form, salt, body });
    }
    Some(())
}

struct Writer<'a> {
    bytes: Vec<u8>,
    number: u32,
    keys: &'a Keys<'a>,
}

impl Writer<'_> {
    fn frame(&mut self, kind: u8, slot: Option<Slot>, plain: &[u8]) -> Result<(), Fault> {
        let number = slot.map_or(0, Slot::number);
        let about = about(self.bytes.get(..HEAD_LEN), self.number, kind, number);
        let mut sealed = Vec::with_capacity(plain.len() + salus_crypto::OVERHEAD);
        match slot {
            Some(slot) => self.keys.keyring.seal(slot, &about, plain, &mut sealed),
            None => self.keys.own.seal(&about, plain, &mut sealed),
        }
        .map_err(unusable)?;
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&number.to_be_bytes());
        let length = u32::try_from(sealed.len()).map_err(|_| Fault::Length)?;
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&sealed);
        self.number += 1;
        Ok(())
    }
}

struct Reader<'a> {
    keys: &'a Keys<'a>,
    head: &'a [u8],
    rest: &'a [u8],
    number: u32,
}

/// The kind of a frame and its text; none if its key was destroyed.
type Frame = (u8, Option<Vec<u8>>);

impl<'a> Reader<'a> {
    fn new(keys: &'a Keys<'a>, head: &'a [u8], rest: &'a [u8]) -> Self {
        Self {
            keys,
            head,
            rest,
            number: 0,
        }
    }

    /// The next frame.
    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let cut = || Fault::Length;
        let (frame, behind) = self.rest.split_at_checked(FRAME_HEAD_LEN).ok_or_else(cut)?;
        let [kind, s0, s1, s2, s3, l0, l1, l2, l3] = *frame else {
            return Err(Fault::Length);
        };
        let slot = u32::from_be_bytes([s0, s1, s2, s3]);
        let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).map_err(|_| cut())?;
        let (sealed, behind) = behind.split_at_checked(length).ok_or_else(cut)?;
        let about = about(Some(self.head), self.number, kind, slot);
        self.rest = behind;
        self.number += 1;
        let plain = match kind {
            ENTRIES => self.opened(Slot::from_number(slot), &about, sealed)?,
            _ => {
                let mut plain = Vec::with_capacity(sealed.len());
                let opened = self.keys.own.open_onto(&about, sealed, &mut plain);
                opened.map_err(|_| Fault::Changed)?;
                Some(plain)
            }
        };
        Ok(Some((kind, plain)))
    }

    fn opened(&self, slot: Slot, about: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        if slot.number() >= self.keys.keyring.slots() {
            let why = "the keyring is older than the segment: it lacks keys";
            return Err(Fault::Keys(why.into()));
        }
        match self.keys.keyring.open_sealed(slot, about, sealed) {
            Ok(plain) => Ok(Some(plain)),
            Err(KeyError::Destroyed(_)) => Ok(None),
            Err(_) => Err(Fault::Changed),
        }
    }
}

/// What is authenticated with a frame.
fn about(head: Option<&[u8]>, number: u32, kind: u8, slot: u32) -> Vec<u8> {
    let mut about = WORD.to_vec();
    about.extend_from_slice(head.unwrap_or_default());
    about.extend_from_slice(&number.to_be_bytes());
    about.push(kind);
    about.extend_from_slice(&slot.to_be_bytes());
    about
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests;
