//! The statistics: of each kind, a sample of its records drawn evenly, which
//! parameters ever had several values, and which no record ever lacked.
//!
//! What part of a sample satisfies conditions is about the part of all
//! records that does, whatever the conditions are and however they hang
//! together. It is drawn as versions are committed (Vitter's algorithm R), so
//! that it costs the write path a number, and is written beside them whenever
//! their number has grown by about a tenth. Where there is none, or too much
//! of it was superseded, the collector's thread draws a new one. No answer
//! depends on the sample, only how long the way there is.
//!
//! Answers do depend on the parameters, so each that first has several values,
//! or first is lacking, is written in the commit that brings it.
//!
//! Stored format 2: 1 byte format, in 8 bytes from how many versions it was
//! drawn, in 2 bytes how many parameters had several values, these in 4 bytes
//! each, the same of those that no record lacked, and the seqs of the sample
//! in 8 bytes each. In format 1 those that no record lacked are left out; such
//! a sample is drawn again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use salus_store::{Error, Kind, Param, Row, Rows, Scope, ValueRef};

use crate::core::Core;
use crate::keys;
use crate::kv::View;
use crate::reader::Reader;
use crate::row::Entry;

/// Versions in a sample at most; a multiple of 64.
pub(crate) const SIZE: usize = 256;

const FORMAT: u8 = 2;
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
    /// Parameters that no version lacked, in order; `None` before the first.
    always: Option<Vec<Param>>,
    /// It was drawn anew, and is not stored yet.
    unsaved: bool,
}

/// Which parameters a version has, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// With several values.
    pub(crate) several: Vec<Param>,
    /// With a value that has a place in an order.
    pub(crate) present: Vec<Param>,
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
    pub(crate) fn add(&self, of: Of, seq: u64, seen: &Seen) -> Option<Vec<u8>> {
        let mut drawn = self.drawn.write();
        let state = drawn.get_mut(&of)?;
        let (State::Known(drawn) | State::Missing(drawn)) = state;
        let before = drawn.of;
        drawn.add(seq);
        let news = drawn.observe(seen);
        // 16, 17, ... 32, 34, ... 64, 68 and so on.
        let step = (before / 16).next_power_of_two();
        let due = news || std::mem::take(&mut drawn.unsaved) || drawn.of / step > before / step;
        match state {
            State::Known(drawn) if due => Some(drawn.to_bytes()),
            State::Known(_) | State::Missing(_) => None,
        }
    }

    /// A version has other rows; the sample is given where it is to be stored.
    pub(crate) fn observe(&self, of: Of, seen: &Seen) -> Option<Vec<u8>> {
        let mut drawn = self.drawn.write();
        let state = drawn.get_mut(&of)?;
        let (State::Known(drawn) | State::Missing(drawn)) = state;
        let news = drawn.observe(seen);
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

    /// Whether no record ever lacked a value of a parameter.
    pub(crate) fn is_always(&self, of: Of, param: Param) -> bool {
        match self.drawn.read().get(&of) {
            Some(State::Known(Drawn {
                always: Some(always),
                ..
            })) => always.contains(&param),
            Some(State::Known(_) | State::Missing(_)) | None => false,
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

    /// Rows of samples leave the memory; they are read again when they are needed.
    pub(crate) fn unload(&self) {
        self.loaded.clear();
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
            new.take(old);
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

    /// Takes note of a version's parameters; says whether there is news.
    pub(crate) fn observe(&mut self, seen: &Seen) -> bool {
        let before = self.several.len();
        for param in &seen.several {
            if let Err(at) = self.several.binary_search(param) {
                self.several.insert(at, *param);
            }
        }
        let more = self.several.len() > before;
        self.keep(&seen.present) || more
    }

    /// Other parameters than these are lacking; says whether that is news.
    fn keep(&mut self, present: &[Param]) -> bool {
        let Some(always) = &mut self.always else {
            self.always = Some(present.to_vec());
            return true;
        };
        let before = always.len();
        always.retain(|param| present.binary_search(param).is_ok());
        always.len() < before
    }

    /// Takes note of what another knows.
    fn take(&mut self, other: &Self) {
        let present = other.always.clone();
        self.observe(&Seen {
            several: other.several.clone(),
            present: present.or_else(|| self.always.clone()).unwrap_or_default(),
        });
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.several.len() * 4 + self.seqs.len() * 8);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.of.to_be_bytes());
        bytes.extend_from_slice(&(self.several.len() as u16).to_be_bytes());
        bytes.extend(self.several.iter().flat_map(|param| param.0.to_be_bytes()));
        let always = self.always.as_deref().unwrap_or_default();
        bytes.extend_from_slice(&(always.len() as u16).to_be_bytes());
        bytes.extend(always.iter().flat_map(|param| param.0.to_be_bytes()));
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
        let (several, rest) = take_params(rest)?;
        let (always, rest) = take_params(rest)?;
        let (seqs, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let of = u64::from_be_bytes(*of);
        let sorted = several.is_sorted() && always.is_sorted();
        let fits = seqs.len() <= SIZE && seqs.len() as u64 <= of && sorted;
        fits.then(|| Self {
            of,
            seqs: seqs.iter().map(|seq| u64::from_be_bytes(*seq)).collect(),
            several,
            always: (of > 0).then_some(always),
            unsaved: false,
        })
    }
}

/// A number of parameters, and these.
fn take_params(bytes: &[u8]) -> Option<(Vec<Param>, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::from(u16::from_be_bytes(*count));
    let (params, rest) = rest.split_at_checked(count * 4)?;
    let (params, _) = params.as_chunks::<4>();
    let params = params.iter().map(|param| Param(u32::from_be_bytes(*param)));
    Some((params.collect(), rest))
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
            drawn.observe(&Seen::of_stored(Entry::read(&entry)?.rows()?));
            let seq = keys::last_number(key);
            if core.superseded.shows(seq, u64::MAX) {
                drawn.add(seq);
            }
        }
        core.samples.replace(of, drawn);
    }
    Ok(())
}

impl Seen {
    /// Those of rows in the order of parameters.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut seen = Self::default();
        for run in rows.chunk_by(|a, b| a.param == b.param) {
            let Some(Row { param, .. }) = run.first() else {
                continue;
            };
            if run.len() > 1 {
                seen.several.push(*param);
            }
            if run.iter().any(|row| is_sorted_by(&row.value.borrow())) {
                seen.present.push(*param);
            }
        }
        seen
    }

    fn of_stored(rows: Rows<'_>) -> Self {
        let mut seen = Self::default();
        for param in rows.params() {
            if seen.present.last() == Some(&param) || seen.several.last() == Some(&param) {
                continue;
            }
            let (mut count, mut present) = (0, false);
            for value in rows.values(param) {
                count += 1;
                present |= is_sorted_by(&value);
            }
            if count > 1 {
                seen.several.push(param);
            }
            if present {
                seen.present.push(param);
            }
        }
        seen
    }
}

/// Whether a record is sorted by such a value.
fn is_sorted_by(value: &ValueRef<'_>) -> bool {
    value.is_ordered() && !matches!(value, ValueRef::Words(_) | ValueRef::Passage(_))
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

    fn seen(several: &[u32], present: &[u32]) -> Seen {
        let params = |params: &[u32]| params.iter().copied().map(Param).collect();
        Seen {
            several: params(several),
            present: params(present),
        }
    }

    #[test]
    fn what_no_version_lacks_is_known() {
        let samples = Samples::new();
        let of = (Scope(1), Kind(1));
        let none = State::Known(Drawn::default());
        samples.drawn.write().insert(of, none);
        assert!(!samples.is_always(of, Param(1)));
        assert!(samples.add(of, 1, &seen(&[], &[1, 2])).is_some());
        assert!(samples.is_always(of, Param(1)));
        let stored = samples.observe(of, &seen(&[], &[2, 3])).unwrap();
        assert_eq!(Drawn::read(&stored).unwrap().always, Some(vec![Param(2)]));
        assert!(!samples.is_always(of, Param(1)));
        assert!(samples.is_always(of, Param(2)));
        assert_eq!(samples.observe(of, &seen(&[], &[1, 2])), None);
        let mut new = Drawn::default();
        new.observe(&seen(&[], &[1, 2]));
        samples.replace(of, new);
        assert!(!samples.is_always(of, Param(1)));
        assert!(samples.is_always(of, Param(2)));
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
        drawn.observe(&seen(&[3, 7], &[3, 5, 7]));
        let bytes = drawn.to_bytes();
        assert_eq!(Drawn::read(&bytes), Some(drawn));
        assert_eq!(Drawn::read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Drawn::read(&[9]), None);
        assert_eq!(Drawn::read(&[]), None);
        let more_than_there_are = [&[FORMAT][..], &1_u64.to_be_bytes(), &[0; 20]].concat();
        assert_eq!(Drawn::read(&more_than_there_are), None);
    }

    #[test]
    fn it_is_stored_when_their_number_has_grown_or_a_parameter_is_new() {
        let samples = Samples::new();
        let of = (Scope(1), Kind(1));
        let none = State::Known(Drawn::default());
        samples.drawn.write().insert(of, none);
        let stored = (1..=100_000).filter(|seq| samples.add(of, *seq, &Seen::default()).is_some());
        let count = stored.count();
        assert!((100..400).contains(&count), "{count}");
        assert!(samples.is_single(of, Param(5)));
        let stored = samples.add(of, 100_001, &seen(&[5], &[]));
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
        assert_eq!(samples.add(of, 1, &seen(&[5], &[5])), None);
        samples.replace(of, drawn(1..100));
        assert!(!samples.is_single(of, Param(5)));
        assert!(samples.is_single(of, Param(6)));
    }
}
