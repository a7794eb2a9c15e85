//! Seeded choices for the random cases.

use super::data::*;
use crate::{
    Comparison, Filter, Kind, Param, Piece, Place, References, Relevance, Row, Sort, Test,
    TextTest, Tokens, Value, Wanted, Word, Words,
};

/// A generator of numbers (SplitMix64), and of the small things made from them.
pub(super) struct Choice {
    state: u64,
    /// Texts and numbers are the first two of their lists, so that tuples share some.
    narrow: bool,
}

/// Parameters, each with the type of its values; the last has all types.
/// Composites are there often, so that a record has several.
pub(super) const PARAMS: [(Param, u64); 19] = [
    (Param(0), 0),
    (CODE, 0),
    (NAME, 1),
    (DATE, 2),
    (Param(4), 3),
    (Param(5), 4),
    (REFERENCE, 5),
    (REFERENCE, 5),
    (Param(8), 6),
    (COMPOSITE, 7),
    (COMPOSITE, 7),
    (COMPOSITE, 7),
    (WORDS, 9),
    (WORDS, 9),
    (WORDS, 9),
    (Param(10), 10),
    (PASSAGES, 11),
    (PASSAGES, 11),
    (Param(u32::MAX), 8),
];
const REFERENCE: Param = Param(6);
const PASSAGES: Param = Param(11);
const COMPOSITE: Param = Param(7);
const WORDS: Param = Param(9);
/// Words and their stems.
const SPOKEN: [(&str, &str); 6] = [
    ("a", "a"),
    ("ab", "ab"),
    ("abs", "ab"),
    ("abby", "abbi"),
    ("é", "é"),
    ("b", "ab"),
];
/// The types of the components of composites.
const COMPOSITES: [&[u64]; 6] = [&[0, 4], &[0, 0], &[0, 4], &[0, 2], &[0, 3, 3], &[5, 1]];
/// Kinds that references point to.
const KINDS: [Kind; 3] = [PATIENT, OBSERVATION, Kind(0)];
/// Ids that references point to, more often than to others.
const IDS: [&str; 4] = ["a", "b", "c", "aa"];
const TEXTS: [&str; 12] = [
    "",
    "a",
    "ab",
    "abc",
    "b",
    "B",
    "a\0",
    "a\u{1}",
    "é",
    "a\u{10FFFF}",
    "ba",
    "a/b",
];
const NUMBERS: [&str; 12] = [
    "0", "1", "1.0", "-1", "1.5", "-1.5", "0.99", "100", "1e2", "1e70", "-1e70", "1e-70",
];
const URIS: [&str; 11] = [
    "", "u", "u/", "u/a", "u/ab", "u/a/b", "v/a", "u|", "u|1", "u|1.2", "u|12",
];
const COMPARISONS: [Comparison; 9] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Greater,
    Comparison::Less,
    Comparison::GreaterOrEqual,
    Comparison::LessOrEqual,
    Comparison::After,
    Comparison::Before,
    Comparison::Overlaps,
];

impl Choice {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            state: seed,
            narrow: false,
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to one less than `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(super) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    /// Up to `most` things made one after the other.
    pub(super) fn some<T>(&mut self, most: u64, make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(most + 1);
        self.exactly(count, make)
    }

    fn exactly<T>(&mut self, count: u64, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| make(self)).collect()
    }

    pub(super) fn time(&mut self) -> i64 {
        match self.below(20) {
            0 => i64::MIN,
            1 => i64::MAX,
            number => number as i64 - 10,
        }
    }

    pub(super) fn param(&mut self) -> Param {
        self.of(&PARAMS).0
    }

    /// Up to `most` rows, of which one may be a text.
    pub(super) fn rows(&mut self, most: u64) -> Vec<Row> {
        let mut rows = self.some(most, Self::row);
        let mut is_first = true;
        rows.retain(|row| {
            let is_text = matches!(row.value, Value::Words(_));
            !is_text || std::mem::replace(&mut is_first, false)
        });
        rows
    }

    pub(super) fn row(&mut self) -> Row {
        let (param, kind_of_value) = *self.of(&PARAMS);
        let value = self.value(kind_of_value);
        Row { param, value }
    }

    fn text(&mut self) -> Box<str> {
        let texts = if self.narrow { &TEXTS[1..3] } else { &TEXTS };
        (*self.of(texts)).into()
    }

    fn id(&mut self) -> Box<str> {
        if self.one_in(3) {
            return self.text();
        }
        (*self.of(&IDS)).into()
    }

    fn number(&mut self) -> crate::ordered::Decimal {
        let numbers = if self.narrow { &NUMBERS[..2] } else { &NUMBERS };
        let number: &&str = self.of(numbers);
        decimal(number)
    }

    /// Mostly near the ends of the map.
    fn place(&mut self) -> Place {
        let latitude = *self.of(&[-90.0, -89.99, 0.0, 0.005, 48.0, 50.0, 89.5, 90.0]);
        let longitude = *self.of(&[-180.0, -179.995, -1.0, 0.0, 2.0, 179.995, 180.0]);
        Place::of_degrees(latitude, longitude).expect("they are on the Earth")
    }

    fn span(&mut self) -> (i64, i64) {
        let (a, b) = (self.time(), self.time());
        (a.min(b), a.max(b))
    }

    fn value(&mut self, kind_of_value: u64) -> Value {
        match kind_of_value {
            0 => Value::Token {
                system: self.text(),
                code: self.text(),
            },
            1 => Value::String {
                folded: self.text(),
                exact: self.text(),
            },
            2 => {
                let (from_ms, to_ms) = self.span();
                Value::Date { from_ms, to_ms }
            }
            3 => Value::Number(self.number()),
            4 => Value::Quantity {
                value: self.number(),
                system: self.text(),
                code: self.text(),
            },
            5 => Value::Reference {
                kind: *self.of(&KINDS),
                id: self.id(),
            },
            6 => Value::Uri((*self.of(&URIS)).into()),
            7 => Value::Composite(self.components(Self::value).into()),
            9 => Value::Words(self.words()),
            10 => Value::Place(self.place()),
            11 => Value::Passage(self.words()),
            _ => {
                let any = self.below(8);
                self.value(any)
            }
        }
    }

    fn test(&mut self, kind_of_value: u64) -> Test {
        if self.one_in(10) {
            return Test::Present;
        }
        if self.one_in(12) {
            return Test::Other(self.test(kind_of_value).into());
        }
        match kind_of_value {
            0 if self.one_in(4) => Test::Tokens(self.tokens()),
            0 => Test::Token {
                system: self.maybe_text(),
                code: self.maybe_text(),
            },
            1 => match self.below(5) {
                0 => Test::StringStarts(self.text()),
                1 => Test::StringContains(self.text()),
                2 => Test::StringEnds(self.text()),
                3 => Test::StringOrder(self.comparison(), self.text()),
                _ => Test::StringIs(self.text()),
            },
            2 => {
                let (from, to) = self.span();
                Test::Date(self.comparison(), from, to)
            }
            3 => {
                let (from, to) = self.numbers();
                Test::Number(self.comparison(), from, to)
            }
            4 => {
                let (from, to) = self.numbers();
                Test::Quantity {
                    comparison: self.comparison(),
                    from,
                    to,
                    system: self.maybe_text(),
                    code: self.maybe_text(),
                }
            }
            5 if self.one_in(4) => Test::References(self.references()),
            5 => Test::Reference {
                kind: self.one_in(2).then(|| *self.of(&KINDS)),
                id: self.id(),
            },
            6 => {
                let uri = (*self.of(&URIS)).into();
                match self.below(3) {
                    0 => Test::UriIs(uri),
                    1 => Test::UriBelow(uri),
                    _ => Test::UriAbove(uri),
                }
            }
            7 => Test::Composite(self.components(Self::test)),
            9 => Test::Words(self.text_test()),
            11 => Test::Passage(self.wanted(2)),
            10 => {
                let kilometres = *self.of(&[0, 1, 500, 3_000, 19_000, 30_000]);
                Test::Near(self.place(), kilometres * 1_000_000)
            }
            _ => {
                let any = self.below(8);
                self.test(any)
            }
        }
    }

    fn words(&mut self) -> Words {
        let count = self.below(8) as u32;
        let words = (0..count).map(|at| {
            let (word, stem) = *self.of(&SPOKEN);
            let (word, stem) = (word.into(), stem.into());
            Word { word, stem, at }
        });
        let words = words.collect();
        Words::of(words, self.below(5) as u32)
    }

    fn text_test(&mut self) -> TextTest {
        let lead = self.one_in(3);
        let wanted = self.wanted(2);
        TextTest { lead, wanted }
    }

    fn wanted(&mut self, depth: u64) -> Wanted {
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0..4 => Wanted::One(self.piece()),
            4..6 => Wanted::Phrase(self.some(3, Self::piece)),
            6 => Wanted::All(self.some(3, |choice| choice.wanted(depth - 1))),
            7 | 8 => Wanted::Any(self.some(3, |choice| choice.wanted(depth - 1))),
            _ => {
                let (one, other) = (self.wanted(depth - 1), self.wanted(depth - 1));
                Wanted::Without(one.into(), other.into())
            }
        }
    }

    fn piece(&mut self) -> Piece {
        let (word, stem) = *self.of(&SPOKEN);
        match self.below(3) {
            0 => Piece::Prefix(word.get(..1).unwrap_or(word).into()),
            1 => Piece::Prefix(word.into()),
            _ => Piece::Stem(stem.into()),
        }
    }

    /// Of each component's type what is made for it.
    fn components<T>(&mut self, mut make: impl FnMut(&mut Self, u64) -> T) -> Vec<T> {
        let kinds = self.of(&COMPOSITES);
        self.narrow = true;
        let made = kinds.iter().map(|kind| make(self, *kind)).collect();
        self.narrow = false;
        made
    }

    /// Sometimes so many that an engine may look at what it has first.
    fn tokens(&mut self) -> Tokens {
        let mut tokens = self.some(5, |choice| (choice.text(), choice.text()));
        if self.one_in(3) {
            let more = (0..100).map(|at| (self.text(), format!("a{at}").into()));
            tokens.extend(more.collect::<Vec<_>>());
        }
        Tokens::of(tokens.iter().map(|(system, code)| (&**system, &**code)))
    }

    fn references(&mut self) -> References {
        let mut ids = self.some(5, Self::id);
        if self.one_in(4) {
            ids.extend((0..2_000).map(|at| Box::from(format!("m{at}"))));
        }
        References::of(*self.of(&KINDS), ids)
    }

    fn maybe_text(&mut self) -> Option<Box<str>> {
        self.one_in(2).then(|| self.text())
    }

    pub(super) fn comparison(&mut self) -> Comparison {
        *self.of(&COMPARISONS)
    }

    fn numbers(&mut self) -> (crate::ordered::Decimal, crate::ordered::Decimal) {
        let (a, b) = (self.number(), self.number());
        if a < b { (a, b) } else { (b, a) }
    }

    /// A filter at most so deep.
    pub(super) fn filter(&mut self, ids: &[&str], depth: u64) -> Filter {
        match self.below(if depth == 0 { 10 } else { 20 }) {
            0 if self.one_in(2) => Filter::Nothing,
            0 => Filter::Everything,
            1 => Filter::Ids(self.some(4, |choice| (*choice.of(ids)).into())),
            2 => {
                let (from, to) = self.span();
                Filter::Updated(self.comparison(), from, to)
            }
            3..10 => {
                let (param, kind_of_value) = *self.of(&PARAMS);
                Filter::Value(param, self.test(kind_of_value))
            }
            10..13 => Filter::All(self.some(3, |choice| choice.filter(ids, depth - 1))),
            13..15 => Filter::Any(self.some(3, |choice| choice.filter(ids, depth - 1))),
            15 => Filter::Not(Box::new(self.filter(ids, depth - 1))),
            16 | 17 => Filter::Refers {
                param: self.reference(),
                kind: *self.of(&KINDS),
                filter: Box::new(self.filter(ids, depth - 1)),
            },
            _ => Filter::Referred {
                kind: *self.of(&KINDS),
                param: self.reference(),
                filter: Box::new(self.filter(ids, depth - 1)),
            },
        }
    }

    fn reference(&mut self) -> Param {
        if self.one_in(4) {
            return self.param();
        }
        REFERENCE
    }

    pub(super) fn sort(&mut self) -> Vec<Sort> {
        self.some(2, |choice| {
            let descending = choice.one_in(2);
            match choice.below(6) {
                0 => Sort::Updated { descending },
                1 => Sort::Id { descending },
                2 => Sort::Relevance(Relevance(vec![(WORDS, choice.text_test())])),
                _ => Sort::Value {
                    param: choice.param(),
                    descending,
                },
            }
        })
    }
}
