//! The statistics: of each kind, a sample of its records drawn evenly, and
//! which parameters ever had several values.
//!
//! What part of a sample satisfies conditions is about the part of all
//! records that does, whatever the conditions are and however they hang
//! together. It is drawn as versions are committed (Vitter's algorithm R), so
//! that it costs the write path a number, and is written beside them whenever
//! their number has grown by about a tenth. Where there is none, or too much
//! of it was superseded, the collector's thread draws a new one. No answer
//! depends on the sample, only how long the way there is.
//!
//! Answers do depend on the parameters, so each that first has several values
//! is written in the commit that brings them.
//!
//! Stored format 1: 1 byte format, in 8 bytes from how many versions it was
//! drawn, in 2 bytes how many parameters had several values, these in 4 bytes
//! each, and the seqs of the sample in 8 bytes each.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use salus_store::{Error, Kind, Param, Rows, Scope};

use crate::core::Core;
use crate::keys;
use crate::kv::View;
use crate::reader::Reader;
use crate::row::Entry;

/// Versions in a sample at most; a multiple of 64.
pub(crate) const SIZE: usize = 256;

const FORMAT: u8 = 1;
/// Samples whose rows are in memory: so many bytes.
const LOADED_BYTES: u64 = 12 << 20;
/// Kinds that wait to be drawn again; more may ask later.
const WANTED_MAX: usize = 256;

type Of = (Scope, Kind);

/// The samples of a store.
pub(crate) struct Samples {
    drawn: RwLock<HashMap<Of, State>>,
    loaded: Cache<Of, Arc<Loaded>, ByLength>,
    /// Those to be drawn anew.
    wanted: Mutex<Vec<Of>>,
}

enum State {
    Known(Drawn),
    /// None was stored, though there are records: what was put since.
    Missing(Drawn),
}

/// The versions in a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawn {
    /// From so many.
    of: u64,
    seqs: Vec<u64>,
    /// Parameters of which some version had several values, in order.
    several: Vec<Param>,
    /// It was drawn anew, and is not stored yet.
    unsaved: bool,
}

/// A sample with what is kept beside its versions.
pub(crate) struct Loaded {
    of: u64,
    /// The newest first.
    pub(crate) entries: Vec<(u64, Vec<u8>)>,
}

impl Samples {
    pub(crate) fn new() -> Self {
        let entries = LOADED_BYTES as usize / (64 << 10);
        Self {
            drawn: RwLock::default(),
            loaded: Cache::with_weighter(entries, LOADED_BYTES, ByLength),
            wanted: Mutex::default(),
        }
    }

    /// Reads what is stored for a kind, unless it is known.
    pub(crate) fn load(&self, view: &View, of: Of) -> Result<(), Error> {
        if self.drawn.read().contains_key(&of) {
            return Ok(());
        }
        let stored = view.get(&keys::of_kind(keys::SAMPLE, of.0, of.1))?;
        let state = match stored.as_deref().map(Drawn::read) {
            Some(Some(drawn)) => State::Known(drawn),
            None if is_new(view, of)? => State::Known(Drawn::default()),
            Some(None) | None => State::Missing(Drawn::default()),
        };
        self.drawn.write().entry(of).or_insert(state);
        Ok(())
    }

    /// Another version was put; the sample is given where it is to be stored.
    pub(crate) fn add(&self, of: Of, seq: u64, several: &[Param]) -> Option<Vec<u8>> {
        let mut drawn = self.drawn.write();
        let state = drawn.get_mut(&of)?;
        let (State::Known(drawn) | State::Missing(drawn)) = state;
        let before = drawn.of;
        drawn.add(seq);
        let news = drawn.observe(several);
        // 16, 17, ... 32, 34, ... 64, 68 and so on.
        let step = (before / 16).next_power_of_two();
        let due = news || std::mem::take(&mut drawn.unsaved) || drawn.of / step > before / step;
        match state {
            State::Known(drawn) if due => Some(drawn.to_bytes()),
            State::Known(_) | State::Missing(_) => None,
        }
    }

    /// A version has other rows; the sample is given where it is to be stored.
    pub(crate) fn observe(&self, of: Of, several: &[Param]) -> Option<Vec<u8>> {
        let mut drawn = self.drawn.write();
        let state = drawn.get_mut(&of)?;
        let (State::Known(drawn) | State::Missing(drawn)) = state;
        let news = drawn.observe(several);
        match state {
            State::Known(drawn) if news => Some(drawn.to_bytes()),
            State::Known(_) | State::Missing(_) => None,
        }
    }

    /// Whether no record ever had several values of a parameter.
    pub(crate) fn is_single(&self, of: Of, param: Param) -> bool {
        match self.drawn.read().get(&of) {
            Some(State::Known(drawn)) => !drawn.several.contains(&param),
            Some(State::Missing(_)) | None => false,
        }
    }

    /// The sample of a kind with its rows, if there is one.
    pub(crate) fn of(&self, reader: &Reader, kind: Kind) -> Result<Option<Arc<Loaded>>, Error> {
        let of = (reader.scope, kind);
        self.load(&reader.view, of)?;
        let known = self.loaded.get(&of);
        let seqs = {
            let drawn = self.drawn.read();
            let Some(State::Known(drawn)) = drawn.get(&of) else {
                self.want(of);
                return Ok(None);
            };
            match known {
                Some(loaded) if loaded.is_fresh(drawn.of) => return Ok(Some(loaded)),
                _ => drawn.clone(),
            }
        };
        let loaded = Arc::new(Loaded::read(reader, kind, seqs)?);
        self.loaded.insert(of, Arc::clone(&loaded));
        Ok(Some(loaded))
    }

    /// Asks for a new sample of a kind.
    pub(crate) fn want(&self, of: Of) {
        let mut wanted = self.wanted.lock();
        if wanted.len() < WANTED_MAX && !wanted.contains(&of) {
            wanted.push(of);
        }
    }

    /// A kind of which a new sample is to be drawn.
    fn next_wanted(&self) -> Option<Of> {
        self.wanted.lock().pop()
    }

    /// Takes a new sample in place of the one there is. The next commit stores
    /// it: only the committer may, or what it took note of could be lost.
    fn replace(&self, of: Of, mut new: Drawn) {
        let mut drawn = self.drawn.write();
        if let Some(State::Known(old) | State::Missing(old)) = drawn.get(&of) {
            // Of those put meanwhile.
            new.observe(&old.several);
        }
        new.unsaved = true;
        drawn.insert(of, State::Known(new));
        self.loaded.remove(&of);
    }
}

#[cfg(test)]
impl Samples {
    /// As if none was stored.
    pub(crate) fn forget(&self, of: Of) {
        let missing = State::Missing(Drawn::default());
        self.drawn.write().insert(of, missing);
        self.loaded.remove(&of);
    }

    /// As if these versions had been drawn.
    pub(crate) fn pretend(&self, of: Of, seqs: std::ops::Range<u64>) {
        if let Some(State::Known(drawn)) = self.drawn.write().get_mut(&of) {
            drawn.seqs = seqs.collect();
        }
        self.loaded.remove(&of);
    }
}

impl Drawn {
    /// Each version stays with the same chance.
    pub(crate) fn add(&mut self, seq: u64) {
        self.of += 1;
        if self.seqs.len() < SIZE {
            self.seqs.push(seq);
            return;
        }
        let at = mixed(seq) % self.of;
        if let Some(place) = usize::try_from(at)
            .ok()
            .and_then(|at| self.seqs.get_mut(at))
        {
            *place = seq;
        }
    }

    /// Takes note of parameters with several values; says whether any is new.
    pub(crate) fn observe(&mut self, several: &[Param]) -> bool {
        let before = self.several.len();
        for param in several {
            if let Err(at) = self.several.binary_search(param) {
                self.several.insert(at, *param);
            }
        }
        self.several.len() > before
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.several.len() * 4 + self.seqs.len() * 8);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.of.to_be_bytes());
        bytes.extend_from_slice(&(self.several.len() as u16).to_be_bytes());
        bytes.extend(self.several.iter().flat_map(|param| param.0.to_be_bytes()));
        let seqs = self.seqs.iter().flat_map(|seq| seq.to_be_bytes());
        bytes.extend(seqs);
        bytes
    }

    /// `None` if it is damaged: another will be drawn.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let ([FORMAT], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (of, rest) = rest.split_first_chunk()?;
        let (several, rest) = rest.split_first_chunk()?;
        let several = usize::from(u16::from_be_bytes(*several));
        let (several, rest) = rest.split_at_checked(several * 4)?;
        let (several, _) = several.as_chunks::<4>();
        let (seqs, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let of = u64::from_be_bytes(*of);
        let several = several.iter().map(|param| u32::from_be_bytes(*param));
        let several: Vec<_> = several.map(Param).collect();
        let fits = seqs.len() <= SIZE && seqs.len() as u64 <= of && several.is_sorted();
        fits.then(|| Self {
            of,
            seqs: seqs.iter().map(|seq| u64::from_be_bytes(*seq)).collect(),
            several,
            unsaved: false,
        })
    }
}

impl Loaded {
    fn read(reader: &Reader, kind: Kind, drawn: Drawn) -> Result<Self, Error> {
        let mut seqs = drawn.seqs;
        seqs.sort_unstable_by(|a, b| b.cmp(a));
        let mut entries = Vec::with_capacity(seqs.len());
        for seq in seqs {
            // What was superseded may be gone, what was just put not yet seen.
            let key = keys::of_kind_at(keys::CURRENT, reader.scope, kind, seq);
            entries.extend(reader.view.get(&key)?.map(|entry| (seq, entry)));
        }
        Ok(Self {
            of: drawn.of,
            entries,
        })
    }

    /// Whether not many were put since it was read.
    fn is_fresh(&self, of: u64) -> bool {
        of >= self.of && of - self.of <= self.of / 8
    }
}

/// Whether nothing was ever put of a kind, so that nothing had to be stored.
fn is_new(view: &View, of: Of) -> Result<bool, Error> {
    for space in [keys::CURRENT, keys::PAST] {
        let start = keys::of_kind(space, of.0, of.1);
        let end = keys::after_prefix(&start);
        if view.forward(&start, &end)?.next_key()?.is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Draws new samples of the kinds that want one. Reads all their records, so
/// it is not for threads that answer requests.
pub(crate) fn draw(core: &Core, is_stopped: impl Fn() -> bool) -> Result<(), Error> {
    while let Some(of) = core.samples.next_wanted() {
        // Opened when all that is put from now on is taken note of.
        let view = core.kv.view()?;
        let start = keys::of_kind(keys::CURRENT, of.0, of.1);
        let mut cursor = view.forward(&start, &keys::after_prefix(&start))?;
        let mut drawn = Drawn::default();
        while let Some((key, entry)) = cursor.next()? {
            if is_stopped() {
                return Ok(());
            }
            drawn.observe(&several(Entry::read(&entry)?.rows()?));
            let seq = keys::last_number(key);
            if core.superseded.shows(seq, u64::MAX) {
                drawn.add(seq);
            }
        }
        core.samples.replace(of, drawn);
    }
    Ok(())
}

fn several(rows: Rows<'_>) -> Vec<Param> {
    let mut before = None;
    let again = rows
        .params()
        .filter(|param| before.replace(*param) == Some(*param));
    again.collect()
}

/// A number that looks random: the end of splitmix64.
fn mixed(seq: u64) -> u64 {
    let mixed = seq.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[derive(Clone)]
struct ByLength;

impl Weighter<Of, Arc<Loaded>> for ByLength {
    fn weight(&self, _of: &Of, loaded: &Arc<Loaded>) -> u64 {
        let entries = loaded.entries.iter();
        64 + entries
            .map(|(_, entry)| 48 + entry.len() as u64)
            .sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seqs: std::ops::Range<u64>) -> Drawn {
        let mut drawn = Drawn::default();
        seqs.for_each(|seq| drawn.add(seq));
        drawn
    }

    #[test]
    fn each_version_stays_with_the_same_chance() {
        let mut of_tenth = [0_u32; 10];
        for start in 0..40_u64 {
            let first = 1 + start * 1_000_003;
            for seq in drawn(first..first + 10_000).seqs {
                of_tenth[((seq - first) / 1000) as usize] += 1;
            }
        }
        let expected = 40 * SIZE as u32 / 10;
        for count in of_tenth {
            assert!(count.abs_diff(expected) < expected / 8, "{of_tenth:?}");
        }
    }

    #[test]
    fn a_sample_reads_back_or_is_drawn_again() {
        let mut drawn = drawn(1..1000);
        drawn.observe(&[Param(7), Param(3)]);
        let bytes = drawn.to_bytes();
        assert_eq!(Drawn::read(&bytes), Some(drawn));
        assert_eq!(Drawn::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Drawn::read(&[9]), None);
        assert_eq!(Drawn::read(&[]), None);
        let more_than_there_are = [&[FORMAT][..], &1_u64.to_be_bytes(), &[0; 18]].concat();
        assert_eq!(Drawn::read(&more_than_there_are), None);
    }

    #[test]
    fn it_is_stored_when_their_number_has_grown_or_a_parameter_is_new() {
        let samples = Samples::new();
        let of = (Scope(1), Kind(1));
        let none = State::Known(Drawn::default());
        samples.drawn.write().insert(of, none);
        let stored = (1..=100_000).filter(|seq| samples.add(of, *seq, &[]).is_some());
        let count = stored.count();
        assert!((100..400).contains(&count), "{count}");
        assert!(samples.is_single(of, Param(5)));
        let stored = samples.add(of, 100_001, &[Param(5)]);
        assert_eq!(Drawn::read(&stored.unwrap()).unwrap().several, [Param(5)]);
        assert!(!samples.is_single(of, Param(5)));
    }

    #[test]
    fn what_was_put_while_a_sample_is_drawn_counts() {
        let samples = Samples::new();
        let of = (Scope(1), Kind(1));
        let missing = State::Missing(Drawn::default());
        samples.drawn.write().insert(of, missing);
        assert!(!samples.is_single(of, Param(5)));
        assert_eq!(samples.add(of, 1, &[Param(5)]), None);
        samples.replace(of, drawn(1..100));
        assert!(!samples.is_single(of, Param(5)));
        assert!(samples.is_single(of, Param(6)));
    }
}
