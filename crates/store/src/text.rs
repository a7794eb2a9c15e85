//! Conditions on the words of a text, and how well a text fits them.
//!
//! Relevance is the term frequency part of BM25 (Robertson and Zaragoza, *The
//! Probabilistic Relevance Framework: BM25 and Beyond*, 2009, section 3.2.3):
//! `tf / (tf + k1 (1 - b + b dl / avdl))`. Neither how many records have a
//! word nor how long they are on average counts: it depends on nothing but
//! the text, so that no record shows through in the score of another.

use crate::words::{Entry, WordsRef};
use crate::{Param, Rows};

/// How fast more of the same word counts less.
const K1: f64 = 1.2;
/// How much the length of the text counts.
const B: f64 = 0.75;
/// A text of so many words is neither short nor long.
const LENGTH: f64 = 64.0;
/// What a prefix adds to the relevance, whatever its words.
pub const PREFIX_IMPACT: u8 = 128;
/// Conditions inside each other at most.
const DEPTH_MAX: usize = 32;

/// A test of the words of a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextTest {
    /// Only the words of the lead count.
    pub lead: bool,
    /// Which words there must be.
    pub wanted: Wanted,
}

/// Which words a text must have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// One word.
    One(Piece),
    /// Words one behind the other.
    Phrase(Vec<Piece>),
    /// Each of them; never, if there are none.
    All(Vec<Wanted>),
    /// At least one of them.
    Any(Vec<Wanted>),
    /// Those of the first, and not those of the second.
    Without(Box<Wanted>, Box<Wanted>),
}

/// A word asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Some form of a word: one with this stem.
    Stem(Box<str>),
    /// A word that begins so.
    Prefix(Box<str>),
}
salus_phi::guard!(Piece);

/// What an order by relevance is about: some tests of texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relevance(pub Vec<(Param, TextTest)>);

impl TextTest {
    /// How well the words of a text fit, from their bytes: a sum of what each
    /// word asked for adds; `None` if they do not pass.
    #[must_use]
    pub fn points(&self, words: &[u8]) -> Option<u32> {
        let words = WordsRef::read(words)?;
        let lead = self.lead;
        Text { words, lead }.points(&self.wanted)
    }

    /// The most points that there can be.
    #[must_use]
    pub fn points_max(&self) -> u32 {
        self.wanted.points_max()
    }
}

impl Wanted {
    /// Whether a text or a passage has them, from the bytes of its words.
    #[must_use]
    pub fn is_in(&self, words: &[u8]) -> bool {
        let words = WordsRef::read(words);
        words.is_some_and(|words| Text { words, lead: false }.points(self).is_some())
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.depth() <= DEPTH_MAX
    }

    fn points_max(&self) -> u32 {
        match self {
            Self::One(_) | Self::Phrase(_) => u32::from(u8::MAX),
            Self::All(all) | Self::Any(all) => all.iter().map(Self::points_max).sum(),
            Self::Without(one, _) => one.points_max(),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Self::One(_) | Self::Phrase(_) => 0,
            Self::All(all) | Self::Any(all) => 1 + all.iter().map(Self::depth).max().unwrap_or(0),
            Self::Without(one, other) => 1 + one.depth().max(other.depth()),
        }
    }
}

impl Relevance {
    /// How well a record fits: the sum of the points of all tests.
    #[must_use]
    pub fn points(&self, rows: Rows<'_>) -> u32 {
        let points = |(param, test): &(Param, TextTest)| {
            let texts = rows.texts(*param);
            let points = texts.filter_map(|words| test.points(words));
            points.max().unwrap_or(0)
        };
        self.0.iter().map(points).sum()
    }

    /// The same between 0 and 1.
    #[must_use]
    pub fn score(&self, rows: Rows<'_>) -> f64 {
        let most: u32 = self.0.iter().map(|(_, test)| test.points_max()).sum();
        f64::from(self.points(rows)) / f64::from(most.max(1))
    }
}

/// What a word adds to the relevance of a text of so many words where it
/// stands so often.
pub(crate) fn impact(often: u32, words: u32) -> u8 {
    let (often, words) = (f64::from(often), f64::from(words));
    let part = often / (often + K1 * (1.0 - B + B * words / LENGTH));
    (part * f64::from(u8::MAX)).round().max(1.0) as u8
}

struct Text<'a> {
    words: WordsRef<'a>,
    lead: bool,
}

impl<'a> Text<'a> {
    fn points(&self, wanted: &Wanted) -> Option<u32> {
        match wanted {
            Wanted::One(piece) => self.one(piece).map(u32::from),
            Wanted::Phrase(pieces) => self.phrase(pieces).map(u32::from),
            Wanted::All(all) if all.is_empty() => None,
            Wanted::All(all) => all.iter().map(|one| self.points(one)).sum(),
            Wanted::Any(any) => {
                let mut found = any.iter().filter_map(|one| self.points(one)).peekable();
                found.peek()?;
                Some(found.sum())
            }
            Wanted::Without(one, other) => {
                let points = self.points(one)?;
                self.points(other).is_none().then_some(points)
            }
        }
    }

    fn one(&self, piece: &Piece) -> Option<u8> {
        let often: usize = self
            .entries(piece)
            .map(|entry| self.places(entry).count())
            .sum();
        if often == 0 {
            return None;
        }
        let words = match self.lead {
            true => self.words.lead_count,
            false => self.words.count,
        };
        Some(match piece {
            Piece::Stem(_) => impact(often as u32, words),
            Piece::Prefix(_) => PREFIX_IMPACT,
        })
    }

    /// The rarest of its words says what a phrase adds.
    fn phrase(&self, pieces: &[Piece]) -> Option<u8> {
        let least = pieces
            .iter()
            .map(|piece| self.one(piece).unwrap_or(0))
            .min()?;
        if least == 0 {
            return None;
        }
        let places = pieces.iter().map(|piece| {
            let mut places: Vec<u32> = Vec::new();
            self.entries(piece)
                .for_each(|entry| places.extend(self.places(entry)));
            places.sort_unstable();
            places
        });
        let places: Vec<Vec<u32>> = places.collect();
        let (first, rest) = places.split_first()?;
        let follow = |at: u32| {
            let mut rest = rest.iter().zip(1..);
            rest.all(|(places, behind)| {
                let at = at.checked_add(behind);
                at.is_some_and(|at| places.binary_search(&at).is_ok())
            })
        };
        first.iter().any(|at| follow(*at)).then_some(least)
    }

    fn entries(&self, piece: &'a Piece) -> impl Iterator<Item = Entry<'a>> {
        let entries = self.words.entries();
        entries.filter(move |entry| match piece {
            Piece::Stem(stem) => entry.has_stem(stem),
            Piece::Prefix(start) => entry.word.starts_with(&**start),
        })
    }

    fn places(&self, entry: Entry<'a>) -> impl Iterator<Item = u32> {
        let end = if self.lead {
            self.words.lead_end
        } else {
            u32::MAX
        };
        entry.places.take_while(move |at| *at < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Word, Words};

    /// Words whose stems are their first three letters; a bar ends the lead.
    fn words(text: &str) -> Words {
        let (lead, rest) = text.split_once('|').unwrap_or(("", text));
        let lead_end = lead.split(' ').count() as u32;
        let all = lead.split(' ').chain(rest.split(' ')).zip(0..);
        let all = all.map(|(word, at)| Word {
            word: word.into(),
            stem: word.get(..3).unwrap_or(word).into(),
            at,
        });
        Words::of(all.collect(), lead_end)
    }

    fn stem(stem: &str) -> Piece {
        Piece::Stem(stem.into())
    }

    fn prefix(start: &str) -> Piece {
        Piece::Prefix(start.into())
    }

    #[track_caller]
    fn check(text: &str, wanted: &Wanted, expected: bool) {
        let (lead, wanted) = (false, wanted.clone());
        let test = TextTest { lead, wanted };
        assert_eq!(test.points(words(text).as_bytes()).is_some(), expected);
    }

    #[test]
    fn a_word_is_found_in_all_its_forms() {
        check("the infection", &Wanted::One(stem("inf")), true);
        check("the infection", &Wanted::One(stem("infection")), false);
        check("the infection", &Wanted::One(prefix("infecti")), true);
        check("the infection", &Wanted::One(prefix("fect")), false);
    }

    #[test]
    fn the_words_of_a_phrase_follow_each_other() {
        let phrase = Wanted::Phrase(vec![stem("hea"), stem("att"), prefix("a")]);
        check("one heart attack ago", &phrase, true);
        check("one attack heart ago", &phrase, false);
        check("hearts and attacks ago", &phrase, false);
        check("heart heart attacks ago", &phrase, true);
    }

    #[test]
    fn conditions_are_combined() {
        let one = |word| Wanted::One(stem(word));
        check("a b", &Wanted::All(vec![one("a"), one("b")]), true);
        check("a", &Wanted::All(vec![one("a"), one("b")]), false);
        check("a", &Wanted::Any(vec![one("a"), one("b")]), true);
        check("c", &Wanted::Any(vec![one("a"), one("b")]), false);
        let without = Wanted::Without(one("a").into(), one("b").into());
        check("a", &without, true);
        check("a b", &without, false);
    }

    #[test]
    fn the_lead_is_asked_alone() {
        let wanted = Wanted::One(stem("b"));
        let test = TextTest { lead: true, wanted };
        assert!(test.points(words("a b|c").as_bytes()).is_some());
        assert!(test.points(words("a|b").as_bytes()).is_none());
    }

    #[test]
    fn often_in_a_short_text_is_most_relevant() {
        assert!(impact(2, 10) > impact(1, 10));
        assert!(impact(1, 10) > impact(1, 1000));
        assert!(impact(1, 20_000) >= 1);
        assert_eq!(impact(20_000, 1), 255);
    }
}
