//! Index keys: a value as bytes in the order of values, and a test as the
//! spans of keys that hold what passes it.
//!
//! Long values are cut, codes are followed by a hash of themselves and their
//! system, a reference by the main date of the record. [`Access::exact`] says
//! whether a span holds nothing that the test refuses; where it does not, the
//! row of each record decides.

use salus_store::{Comparison, Filter, Kind, Param, Row, Scope, Test, Value, ValueRef, ordered};

use crate::hash::SipHash;
use crate::keys;

/// Text behind these bytes is not in the index.
const TEXT_MAX: usize = 72;
/// Bytes of a number behind these are not in the index.
const NUMBER_MAX: usize = 24;
/// Dates that last longer (32 days) have a second key, by their end.
const LONG_MS: i64 = 32 * 86_400_000;

/// The numbers of `Value`'s variants, as `ValueRef::put_key` uses them.
pub(crate) const TOKEN: u8 = 1;
const STRING: u8 = 2;
pub(crate) const DATE: u8 = 3;
const NUMBER: u8 = 4;
const QUANTITY: u8 = 5;
pub(crate) const REFERENCE: u8 = 6;
const URI: u8 = 7;

/// Makes the index keys of a store.
#[derive(Clone, Copy)]
pub(crate) struct Index {
    sip: SipHash,
}

/// Where the records lie whose value passes a test.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Read all of these.
    pub(crate) spans: Vec<Span>,
    /// Everything in them passes the test.
    pub(crate) exact: bool,
    /// No record is in them twice.
    pub(crate) single: bool,
    /// There is one span, and in it entries lie in the order of their seq.
    pub(crate) by_seq: bool,
    /// The keys are references to one record, in the order of main dates.
    pub(crate) by_date: bool,
    /// The values of the keys are [`Hints`].
    pub(crate) hinted: bool,
}

/// What the value of a reference's key tells about the record's codes: format
/// 1 in the first byte, then a byte of the hash of each parameter and code. A
/// patient's records with a certain code are found without reading the rows
/// of all the others.
pub(crate) struct Hints;

impl Hints {
    const FORMAT: u8 = 1;

    /// More codes than these are not told of.
    const CODES_MAX: usize = 40;

    pub(crate) fn of_rows(rows: &[Row]) -> Vec<u8> {
        let codes = rows.iter().filter_map(|row| match &row.value {
            Value::Token { code, .. } => Some(Self::hash(row.param, code)),
            Value::String { .. }
            | Value::Date { .. }
            | Value::Number(_)
            | Value::Quantity { .. }
            | Value::Reference { .. }
            | Value::Uri(_) => None,
        });
        let mut hints: Vec<u8> = codes.collect();
        hints.sort_unstable();
        hints.dedup();
        if hints.len() > Self::CODES_MAX {
            return Vec::new();
        }
        hints.insert(0, Self::FORMAT);
        hints
    }

    /// What a condition wants to see: one of these in each list, if it is about codes.
    pub(crate) fn wanted(filter: &Filter) -> Option<Vec<u8>> {
        match filter {
            Filter::Value(
                param,
                Test::Token {
                    code: Some(code), ..
                },
            ) => Some(vec![Self::hash(*param, code)]),
            Filter::Any(filters) => {
                let wanted = filters.iter().map(Self::wanted);
                let wanted: Vec<_> = wanted.collect::<Option<_>>()?;
                Some(wanted.concat())
            }
            Filter::Everything
            | Filter::Nothing
            | Filter::All(_)
            | Filter::Not(_)
            | Filter::Value(..)
            | Filter::Ids(_)
            | Filter::Updated(..) => None,
        }
    }

    /// Whether a record with these hints may satisfy all conditions.
    pub(crate) fn may_match(hints: &[u8], wanted: &[Vec<u8>]) -> bool {
        match hints.split_first() {
            Some((&Self::FORMAT, hints)) => wanted
                .iter()
                .all(|any| any.iter().any(|one| hints.contains(one))),
            _ => true,
        }
    }

    /// One byte of FNV-1a, folded: a wrong guess costs a row that is read in vain.
    fn hash(param: Param, code: &str) -> u8 {
        let bytes = param.0.to_be_bytes();
        let bytes = bytes.iter().chain(code.as_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        (hash ^ (hash >> 32) ^ (hash >> 16)) as u8
    }
}

/// Keys from `start` to `end` that pass a test of their own.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    pub(crate) test: KeyTest,
}

/// What of a test can be decided on the key.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyTest {
    Any,
    /// The hash in front of the seq is this.
    System(u64),
    Date {
        comparison: Comparison,
        from_ms: i64,
        to_ms: i64,
        /// Long ones are found by another span.
        skip_long: bool,
        /// The end comes first in the key.
        end_first: bool,
    },
}

impl KeyTest {
    pub(crate) fn passes(self, key: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::System(hash) => number_before_seq(key, 1) == hash,
            Self::Date {
                comparison,
                from_ms,
                to_ms,
                skip_long,
                end_first,
            } => {
                let (first, second) = (date(key, 2), date(key, 1));
                let (from, to) = match end_first {
                    true => (second, first),
                    false => (first, second),
                };
                !(skip_long && is_long(from, to))
                    && comparison.holds_for_span((from, to), (from_ms, to_ms))
            }
        }
    }
}

impl Index {
    pub(crate) fn new(sip: SipHash) -> Self {
        Self { sip }
    }

    /// Adds the keys of a row, eight bytes left free at the end of each for the seq.
    pub(crate) fn put_keys(
        &self,
        (scope, kind): (Scope, Kind),
        row: &Row,
        main_date_ms: Option<i64>,
        out: &mut Vec<Vec<u8>>,
    ) {
        if let Value::Date { from_ms, to_ms } = row.value
            && is_long(from_ms, to_ms)
        {
            out.push(long_key((scope, kind, row.param), from_ms, to_ms));
        }
        let mut key = keys::of_param(keys::INDEX, scope, kind, row.param);
        self.put_value(&mut key, row.value.borrow(), main_date_ms);
        ordered::put_u64(&mut key, 0);
        out.push(key);
    }

    /// Adds what stands for a value in its key. But for references and the
    /// systems of tokens, its order is the order of values, as far as it goes.
    pub(crate) fn put_value(
        &self,
        key: &mut Vec<u8>,
        value: ValueRef<'_>,
        main_date_ms: Option<i64>,
    ) {
        match value {
            ValueRef::Token { system, code } => {
                key.push(TOKEN);
                self.put_code(key, code);
                ordered::put_u64(key, self.sip.hash(system.as_bytes()));
            }
            ValueRef::String { folded, .. } => {
                key.push(STRING);
                put_text(key, folded);
            }
            ValueRef::Date { from_ms, to_ms } => {
                key.push(DATE);
                ordered::put_i64(key, from_ms);
                ordered::put_i64(key, to_ms);
            }
            ValueRef::Number(value) => {
                key.push(NUMBER);
                put_number(key, value);
            }
            ValueRef::Quantity { value, .. } => {
                key.push(QUANTITY);
                put_number(key, value);
            }
            ValueRef::Reference { kind, id } => {
                key.push(REFERENCE);
                put_reference_id(key, id);
                ordered::put_u32(key, kind.0);
                ordered::put_i64(key, main_date_key(main_date_ms));
            }
            ValueRef::Uri(uri) => {
                key.push(URI);
                put_text(key, uri);
            }
        }
    }

    /// Where the records lie that pass a test on a parameter.
    pub(crate) fn access(&self, scope: Scope, kind: Kind, param: Param, test: &Test) -> Access {
        let of_param = keys::of_param(keys::INDEX, scope, kind, param);
        let tagged = |tag: u8| {
            let mut key = of_param.clone();
            key.push(tag);
            key
        };
        match test {
            Test::Present => several(vec![prefix(&of_param)], true),
            Test::Token { system, code } => {
                self.token(tagged(TOKEN), system.as_deref(), code.as_deref())
            }
            Test::StringStarts(text) => text_start(tagged(STRING), text),
            Test::StringContains(_) | Test::StringIs(_) => {
                several(vec![prefix(&tagged(STRING))], false)
            }
            Test::Date(comparison, from_ms, to_ms) => {
                let long = keys::of_param(keys::LONG, scope, kind, param);
                dates(&tagged(DATE), &long, *comparison, (*from_ms, *to_ms))
            }
            Test::Number(comparison, from, to) => {
                let bounds = (from.as_bytes(), to.as_bytes());
                several(vec![numbers(tagged(NUMBER), *comparison, bounds)], false)
            }
            Test::Quantity {
                comparison,
                from,
                to,
                ..
            } => {
                let bounds = (from.as_bytes(), to.as_bytes());
                several(vec![numbers(tagged(QUANTITY), *comparison, bounds)], false)
            }
            Test::Reference { kind, id } => reference(tagged(REFERENCE), *kind, id),
            Test::UriIs(uri) => {
                let mut key = tagged(URI);
                let whole = put_text(&mut key, uri);
                one(&key, whole, true)
            }
            // What lies below a URI begins with it, but not all that begins so lies below.
            Test::UriBelow(uri) => Access {
                exact: false,
                ..text_start(tagged(URI), uri)
            },
            Test::UriAbove(_) => several(vec![prefix(&tagged(URI))], false),
        }
    }

    fn token(&self, mut key: Vec<u8>, system: Option<&str>, code: Option<&str>) -> Access {
        let hash = system.map(|system| self.sip.hash(system.as_bytes()));
        let Some(code) = code else {
            let test = hash.map_or(KeyTest::Any, KeyTest::System);
            let span = Span {
                test,
                ..prefix(&key)
            };
            return several(vec![span], true);
        };
        self.put_code(&mut key, code);
        match hash {
            Some(hash) => {
                ordered::put_u64(&mut key, hash);
                one(&key, true, true)
            }
            None => several(vec![prefix(&key)], true),
        }
    }

    /// A code, and a hash of it if it was cut.
    fn put_code(&self, key: &mut Vec<u8>, code: &str) {
        if !put_text(key, code) {
            ordered::put_u64(key, self.sip.hash(code.as_bytes()));
        }
    }
}

fn number_before_seq(key: &[u8], back: usize) -> u64 {
    let end = key.len().saturating_sub(back * 8);
    keys::last_number(&key[..end])
}

fn date(key: &[u8], back: usize) -> i64 {
    (number_before_seq(key, back) ^ (1 << 63)).cast_signed()
}

fn is_long(from_ms: i64, to_ms: i64) -> bool {
    to_ms.saturating_sub(from_ms) > LONG_MS
}

/// The least number is for those without a date.
fn main_date_key(main_date_ms: Option<i64>) -> i64 {
    main_date_ms.map_or(i64::MIN, |date| date.max(i64::MIN + 1))
}

/// Whether a key of the index is a reference.
pub(crate) fn is_reference(key: &[u8]) -> bool {
    let mut rest = key;
    key.first() == Some(&keys::INDEX)
        && keys::skip_param(&mut rest).is_some()
        && rest.first() == Some(&REFERENCE)
}

/// The main date as it stands in the keys of references.
pub(crate) fn main_date_bytes(main_date_ms: Option<i64>) -> [u8; 8] {
    (main_date_key(main_date_ms).cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

fn long_key(of: (Scope, Kind, Param), from_ms: i64, to_ms: i64) -> Vec<u8> {
    let mut key = keys::of_param(keys::LONG, of.0, of.1, of.2);
    ordered::put_i64(&mut key, to_ms);
    ordered::put_i64(&mut key, from_ms);
    ordered::put_u64(&mut key, 0);
    key
}

/// The part of a text that is in keys, and whether that is all of it.
fn cut(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(TEXT_MAX);
    (&text[..end], end == text.len())
}

/// What a text that was cut ends with: no text that was not has this in its key.
const CUT: [u8; 2] = [1, 0];

/// A text that ends itself; says whether it is whole.
fn put_text(key: &mut Vec<u8>, text: &str) -> bool {
    let (start, whole) = cut(text);
    ordered::put_text_start(key, start);
    key.extend_from_slice(if whole { &[0] } else { &CUT });
    whole
}

fn put_number(key: &mut Vec<u8>, number: &[u8]) {
    key.extend_from_slice(&number[..number.len().min(NUMBER_MAX)]);
}

fn put_reference_id(key: &mut Vec<u8>, id: &str) {
    keys::put_id(key, cut(id).0);
}

fn prefix(start: &[u8]) -> Span {
    Span {
        start: start.to_vec(),
        end: keys::after_prefix(start),
        test: KeyTest::Any,
    }
}

fn several(spans: Vec<Span>, exact: bool) -> Access {
    Access {
        spans,
        exact,
        single: false,
        by_seq: false,
        by_date: false,
        hinted: false,
    }
}

/// All keys that begin so, where a record has at most one of them.
fn one(start: &[u8], exact: bool, by_seq: bool) -> Access {
    Access {
        single: true,
        by_seq,
        ..several(vec![prefix(start)], exact)
    }
}

fn text_start(mut key: Vec<u8>, text: &str) -> Access {
    let (start, whole) = cut(text);
    ordered::put_text_start(&mut key, start);
    several(vec![prefix(&key)], whole)
}

fn reference(mut key: Vec<u8>, kind: Option<Kind>, id: &str) -> Access {
    put_reference_id(&mut key, id);
    let whole = cut(id).1;
    match kind {
        Some(kind) => {
            ordered::put_u32(&mut key, kind.0);
            Access {
                by_date: true,
                hinted: true,
                ..one(&key, whole, false)
            }
        }
        None => Access {
            hinted: true,
            ..several(vec![prefix(&key)], whole)
        },
    }
}

fn numbers(tagged: Vec<u8>, comparison: Comparison, (from, to): (&[u8], &[u8])) -> Span {
    let all = prefix(&tagged);
    let bound = |number: &[u8]| {
        let mut key = tagged.clone();
        put_number(&mut key, number);
        key
    };
    // The ends are included, whether or not the comparison does: the row decides.
    let (start, end) = match comparison {
        Comparison::NotEqual => return all,
        Comparison::Equal | Comparison::Overlaps => (bound(from), keys::after_prefix(&bound(to))),
        Comparison::Greater | Comparison::GreaterOrEqual | Comparison::After => {
            (bound(from), all.end.clone())
        }
        Comparison::Less | Comparison::LessOrEqual | Comparison::Before => {
            (all.start.clone(), keys::after_prefix(&bound(to)))
        }
    };
    Span {
        start,
        end,
        test: KeyTest::Any,
    }
}

fn dates(tagged: &[u8], long: &[u8], comparison: Comparison, (x, y): (i64, i64)) -> Access {
    let lowest = i64::MIN;
    let highest = i64::MAX;
    // By their beginning, ends included: the key's own test decides.
    let (first, last, by_end) = match comparison {
        Comparison::Equal => (x, y, None),
        Comparison::NotEqual => (lowest, highest, None),
        Comparison::Less => (lowest, x, None),
        Comparison::LessOrEqual => (lowest, x.max(y), None),
        Comparison::After => (y, highest, None),
        Comparison::Before => (lowest, x, None),
        Comparison::Greater => (y.saturating_sub(LONG_MS), highest, Some(y)),
        Comparison::GreaterOrEqual => (x.min(y.saturating_sub(LONG_MS)), highest, Some(x.min(y))),
        Comparison::Overlaps => (x.saturating_sub(LONG_MS), y, Some(x)),
    };
    let test = |end_first: bool| KeyTest::Date {
        comparison,
        from_ms: x,
        to_ms: y,
        skip_long: by_end.is_some() && !end_first,
        end_first,
    };
    let mut spans = vec![Span {
        start: with_date(tagged, first),
        end: keys::after_prefix(&with_date(tagged, last)),
        test: test(false),
    }];
    if let Some(end_ms) = by_end {
        spans.push(Span {
            start: with_date(long, end_ms),
            end: keys::after_prefix(long),
            test: test(true),
        });
    }
    several(spans, true)
}

fn with_date(key: &[u8], date_ms: i64) -> Vec<u8> {
    let mut key = key.to_vec();
    ordered::put_i64(&mut key, date_ms);
    key
}
