//! The words of a text, as a value by which a record is found.
//!
//! Format 1, part of the stored rows. In LEB128: the position behind the lead,
//! how many words the lead has, how many all of it has. Then each different
//! word, in the order of their bytes: its length in a byte and itself; how
//! many bytes to cut off for its stem in a byte, whose high bit says that a
//! length and what to add follow; and its positions, rising, each in LEB128 as
//! twice the distance from the one before, with 1 added to the last.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::text::impact;

/// The longest word, in bytes.
pub const WORD_BYTES_MAX: usize = 64;
/// Words of one text at most.
pub const WORDS_MAX: usize = 20_000;
const ADDS: u8 = 0x80;

/// The words of a text with their stems and places. Which language they are
/// of is the caller's to know: both are compared byte by byte.
///
/// The first part of a text is its lead, which can be asked for alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Words(Box<[u8]>);
salus_phi::guard!(Words);

/// A word in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word, as it is compared.
    pub word: Cow<'a, str>,
    /// What it has in common with the other forms of the word.
    pub stem: Cow<'a, str>,
    /// Its place. Words follow each other where the next place is one more.
    pub at: u32,
}
salus_phi::guard!(Word<'_>);

impl Words {
    /// These words. Places below `lead_end` are in the lead. Words that are
    /// empty or too long, and those after [`WORDS_MAX`], are left out.
    #[must_use]
    pub fn of(mut words: Vec<Word<'_>>, lead_end: u32) -> Self {
        words.retain(|word| (1..=WORD_BYTES_MAX).contains(&word.word.len()));
        words.truncate(WORDS_MAX);
        words.sort_unstable_by(|a, b| (&a.word, a.at).cmp(&(&b.word, b.at)));
        words.dedup_by(|a, b| (&a.word, a.at) == (&b.word, b.at));
        let lead = words.iter().filter(|word| word.at < lead_end).count();
        let mut bytes = Vec::with_capacity(8 + words.len() * 10);
        put_number(&mut bytes, u64::from(lead_end));
        put_number(&mut bytes, lead as u64);
        put_number(&mut bytes, words.len() as u64);
        for run in words.chunk_by(|a, b| a.word == b.word) {
            put_run(&mut bytes, run);
        }
        Self(bytes.into())
    }

    /// From bytes that [`Self::as_bytes`] gave; `None` if it did not.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut entries = WordsRef::read(bytes)?.entries();
        while !entries.rest.is_empty() {
            entries.next()?;
        }
        Some(Self(bytes.into()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

fn put_run(bytes: &mut Vec<u8>, run: &[Word<'_>]) {
    let Some(Word { word, stem, .. }) = run.first() else {
        return;
    };
    bytes.push(word.len() as u8);
    bytes.extend_from_slice(word.as_bytes());
    let stem = if stem.len() > WORD_BYTES_MAX {
        word
    } else {
        stem
    };
    let same = same_start(word, stem);
    let (cut, added) = (word.len() - same, &stem[same..]);
    if added.is_empty() {
        bytes.push(cut as u8);
    } else {
        bytes.extend_from_slice(&[cut as u8 | ADDS, added.len() as u8]);
        bytes.extend_from_slice(added.as_bytes());
    }
    let mut before = 0;
    for (left, word) in (0..run.len()).rev().zip(run) {
        let distance = u64::from(word.at - before);
        put_number(bytes, distance * 2 + u64::from(left == 0));
        before = word.at;
    }
}

/// The length of the start that two texts have in common.
fn same_start(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same)
        .rev()
        .find(|at| a.is_char_boundary(*at) && b.is_char_boundary(*at))
        .unwrap_or(0)
}

/// The words of a text, as they are stored.
#[derive(Clone, Copy)]
pub(crate) struct WordsRef<'a> {
    /// The place behind the lead.
    pub(crate) lead_end: u32,
    /// How many are in the lead,
    pub(crate) lead_count: u32,
    /// and how many there are.
    pub(crate) count: u32,
    entries: &'a [u8],
}

impl<'a> WordsRef<'a> {
    pub(crate) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        Some(Self {
            lead_end: take_number(&mut bytes)?,
            lead_count: take_number(&mut bytes)?,
            count: take_number(&mut bytes)?,
            entries: bytes,
        })
    }

    /// Each different word. What cannot be read ends them.
    pub(crate) fn entries(self) -> Entries<'a> {
        Entries { rest: self.entries }
    }
}

pub(crate) struct Entries<'a> {
    rest: &'a [u8],
}

/// A word and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) word: &'a str,
    kept: &'a str,
    added: &'a str,
    pub(crate) places: Places<'a>,
}

impl<'a> Entry<'a> {
    pub(crate) fn has_stem(&self, stem: &str) -> bool {
        stem.strip_prefix(self.kept) == Some(self.added)
    }

    pub(crate) fn stem(&self) -> Cow<'a, str> {
        match self.added {
            "" => Cow::Borrowed(self.kept),
            added => Cow::Owned([self.kept, added].concat()),
        }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let word = take_short(&mut self.rest)?;
        let (cut, rest) = self.rest.split_first()?;
        self.rest = rest;
        let kept = word.get(..word.len().checked_sub(usize::from(cut & !ADDS))?)?;
        let added = match cut & ADDS {
            0 => "",
            _ => take_short(&mut self.rest)?,
        };
        let places = Places {
            rest: self.rest,
            at: 0,
            ended: false,
        };
        let mut passed = places;
        while passed.next().is_some() {}
        self.rest = passed.rest;
        passed.ended.then_some(Entry {
            word,
            kept,
            added,
            places,
        })
    }
}

/// The places of a word, rising.
#[derive(Clone, Copy)]
pub(crate) struct Places<'a> {
    rest: &'a [u8],
    at: u32,
    ended: bool,
}

impl Iterator for Places<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.ended {
            return None;
        }
        let number = take_long(&mut self.rest)?;
        self.at = self.at.checked_add(u32::try_from(number / 2).ok()?)?;
        self.ended = number % 2 == 1;
        Some(self.at)
    }
}

/// What an index keeps of a text for one of its words or stems.
#[derive(Clone, PartialEq, Eq)]
pub struct Posting {
    /// The term: a word as it stands, or a stem.
    pub term: Box<str>,
    /// It is a word of the text.
    pub word: bool,
    /// It is a word of the lead.
    pub word_in_lead: bool,
    /// If it is the stem of a word: what it adds to the relevance of the text.
    pub stem: Option<u8>,
    /// If it is the stem of a word of the lead: what it adds to that of the lead.
    pub stem_in_lead: Option<u8>,
}
salus_phi::guard!(Posting);

impl Words {
    /// The postings of the text, in the order of terms. Bytes that are no
    /// words have none.
    #[must_use]
    pub fn postings(bytes: &[u8]) -> Vec<Posting> {
        let Some(words) = WordsRef::read(bytes) else {
            return Vec::new();
        };
        let mut terms: BTreeMap<Cow<'_, str>, Counts> = BTreeMap::new();
        for entry in words.entries() {
            let all = entry.places.count() as u32;
            let lead = entry.places.take_while(|at| *at < words.lead_end).count() as u32;
            let word = terms.entry(Cow::Borrowed(entry.word)).or_default();
            word.word = true;
            word.word_in_lead |= lead > 0;
            let stem = terms.entry(entry.stem()).or_default();
            stem.all += all;
            stem.lead += lead;
        }
        let posting = |(term, counts): (Cow<'_, str>, Counts)| Posting {
            term: term.into(),
            word: counts.word,
            word_in_lead: counts.word_in_lead,
            stem: (counts.all > 0).then(|| impact(counts.all, words.count)),
            stem_in_lead: (counts.lead > 0).then(|| impact(counts.lead, words.lead_count)),
        };
        terms.into_iter().map(posting).collect()
    }
}

#[derive(Default)]
struct Counts {
    word: bool,
    word_in_lead: bool,
    /// How often its words stand in the text,
    all: u32,
    /// and in the lead.
    lead: u32,
}

fn take_short<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    *bytes = rest;
    str::from_utf8(text).ok()
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_long(bytes)?).ok()
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &'static str, stem: &'static str, at: u32) -> Word<'static> {
        let (word, stem) = (word.into(), stem.into());
        Word { word, stem, at }
    }

    fn some() -> Words {
        let words = vec![
            word("infection", "infect", 0),
            word("infect", "infect", 1),
            word("happy", "happi", 9),
            word("infection", "infect", 300),
        ];
        Words::of(words, 2)
    }

    #[test]
    fn words_are_read_as_they_were_written() {
        let words = some();
        assert_eq!(Words::from_bytes(words.as_bytes()), Some(words.clone()));
        let entries = WordsRef::read(words.as_bytes()).unwrap().entries();
        let read: Vec<_> = entries
            .map(|entry| (entry.word, entry.stem(), entry.places.collect::<Vec<_>>()))
            .collect();
        let expected = [
            ("happy", "happi".into(), vec![9]),
            ("infect", "infect".into(), vec![1]),
            ("infection", "infect".into(), vec![0, 300]),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_was_cut_is_refused_or_has_fewer_words() {
        let words = some();
        let whole = words.as_bytes();
        for end in 0..whole.len() {
            if let Some(cut) = Words::from_bytes(&whole[..end]) {
                let count = |bytes| WordsRef::read(bytes).unwrap().entries().count();
                assert!(count(cut.as_bytes()) < count(whole));
            }
        }
    }

    #[test]
    fn a_stem_has_the_places_of_all_its_words() {
        let postings = Words::postings(some().as_bytes());
        let terms: Vec<_> = postings.iter().map(|posting| &*posting.term).collect();
        assert_eq!(terms, ["happi", "happy", "infect", "infection"]);
        let [happi, happy, infect, infection] = &postings[..] else {
            panic!("four terms");
        };
        assert!(!happi.word && happi.stem.is_some() && happi.stem_in_lead.is_none());
        assert!(happy.word && !happy.word_in_lead && happy.stem.is_none());
        assert!(infect.word && infect.word_in_lead && infect.stem > happi.stem);
        assert!(infection.word_in_lead && infection.stem.is_none());
    }

    #[test]
    fn words_that_are_too_long_or_too_many_are_left_out() {
        let long = "a".repeat(WORD_BYTES_MAX + 1);
        let mut words = vec![Word {
            word: long.clone().into(),
            stem: long.into(),
            at: 0,
        }];
        words.extend((0..WORDS_MAX as u32 + 5).map(|at| word("a", "a", at)));
        let words = Words::of(words, 0);
        assert_eq!(WordsRef::read(words.as_bytes()).unwrap().count, 20_000);
        assert_eq!(Words::postings(words.as_bytes()).len(), 1);
    }
}
