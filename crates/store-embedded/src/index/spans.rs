//! Where in the index the records lie that pass a test.

use salus_store::{
    Comparison, Kind, Param, Place, References, Scope, Test, Tokens, ValueRef, ordered,
};

use super::values::{LONG_MS, cut, is_long, put_number, put_reference_id, put_text};
use super::{
    COMPOSITE, DATE, Index, NUMBER, PLACE, QUANTITY, REFERENCE, STRING, TOKEN, URI, places,
};
use crate::keys;

/// More tokens than these are compared with the index before each has a span.
pub(crate) const SPANS_MAX: usize = 64;
/// References to more records than these are left to the rows.
pub(crate) const REFERENCES_MAX: usize = 1024;

/// Where the records lie whose value passes a test.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Read all of these.
    pub(crate) spans: Vec<Span>,
    /// Versions that are known without the index, and current.
    pub(crate) given: Vec<u64>,
    /// Everything in them passes the test.
    pub(crate) exact: bool,
    /// No record is in them twice.
    pub(crate) single: bool,
    /// There is one span, and in it entries lie in the order of their seq.
    pub(crate) by_seq: bool,
    /// The keys of each span are references to one record, in the order of main dates.
    pub(crate) by_date: bool,
    /// The values of the keys are [`Hints`].
    pub(crate) hinted: bool,
}

impl Access {
    /// Where the records lie that lie in these spans, and no others.
    pub(crate) fn of_spans(spans: Vec<Span>) -> Self {
        several(spans, true)
    }

    /// Where the records lie that lie in any of these.
    pub(crate) fn any(mut all: Vec<Self>) -> Self {
        all.retain(|one| !one.spans.is_empty() || !one.given.is_empty());
        let mut any = Self {
            exact: all.iter().all(|one| one.exact),
            by_date: !all.is_empty() && all.iter().all(|one| one.by_date),
            hinted: all.iter().all(|one| one.hinted),
            ..several(Vec::new(), true)
        };
        for one in all {
            any.spans.extend(one.spans);
            any.given.extend(one.given);
        }
        any
    }
}

/// Keys from `start` to `end` that pass a test of their own.
#[derive(Clone)]
pub(crate) struct Span {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
    pub(crate) test: KeyTest,
}
salus_phi::guard!(Span);

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
    /// Where the records lie that pass a test on a parameter.
    pub(crate) fn access(&self, scope: Scope, kind: Kind, param: Param, test: &Test) -> Access {
        let of_param = keys::of_param(keys::INDEX, scope, kind, param);
        if let Test::Composite(tests) = test {
            return self.composite(of_param, tests);
        }
        let long = keys::of_param(keys::LONG, scope, kind, param);
        self.plain(&of_param, Some(&long), test)
    }

    /// The keys that begin so, and then with a value that passes. Dates that
    /// last long are found by their own keys, if there are.
    fn plain(&self, start: &[u8], long: Option<&[u8]>, test: &Test) -> Access {
        let tagged = |tag: u8| [start, &[tag]].concat();
        match test {
            Test::Present => several(vec![prefix(start)], true),
            Test::Token { system, code } => {
                self.token(tagged(TOKEN), system.as_deref(), code.as_deref())
            }
            Test::Tokens(tokens) => self.tokens(&tagged(TOKEN), tokens),
            Test::StringStarts(text) => text_start(tagged(STRING), text),
            Test::StringContains(_) | Test::StringEnds(_) | Test::StringIs(_) => {
                several(vec![prefix(&tagged(STRING))], false)
            }
            Test::StringOrder(comparison, text) => texts(tagged(STRING), *comparison, text),
            Test::Date(comparison, from_ms, to_ms) => {
                dates(&tagged(DATE), long, *comparison, (*from_ms, *to_ms))
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
            Test::References(set) => references(&tagged(REFERENCE), set),
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
            // Nothing that is a component passes. Texts have postings.
            Test::Composite(_) | Test::Words(_) | Test::Passage(_) => several(Vec::new(), true),
            Test::Near(place, millimetres) => near(&tagged(PLACE), *place, *millimetres),
            Test::Other(_) => several(vec![prefix(start)], false),
        }
    }

    /// The components that have to be certain values, and then those that pass
    /// the next test; what follows is for the row to decide.
    fn composite(&self, mut key: Vec<u8>, tests: &[Test]) -> Access {
        key.extend_from_slice(&[COMPOSITE, tests.len() as u8]);
        let mut tests = tests.iter();
        let mut exact = true;
        while let Some(test) = tests.next() {
            let access = self.plain(&key, None, test);
            let is_last = tests.len() == 0;
            if is_last {
                return Access {
                    exact: exact && access.exact,
                    by_date: false,
                    hinted: false,
                    ..access
                };
            }
            match self.certain(&key, test) {
                Some((start, whole)) => {
                    key = start;
                    exact &= whole;
                }
                None => {
                    let spans = access.spans.into_iter();
                    // Its test is for the end of a key.
                    let spans = spans.map(|span| Span {
                        test: KeyTest::Any,
                        ..span
                    });
                    return several(spans.collect(), false);
                }
            }
        }
        several(Vec::new(), true)
    }

    /// The start of all keys whose next component passes, if it has to be one
    /// certain value, and whether all that begin so pass.
    fn certain(&self, start: &[u8], test: &Test) -> Option<(Vec<u8>, bool)> {
        let mut key = start.to_vec();
        match test {
            Test::Token {
                system: Some(system),
                code: Some(code),
            } => {
                self.put_value(&mut key, ValueRef::Token { code, system }, None);
                Some((key, true))
            }
            Test::Reference {
                kind: Some(kind),
                id,
            } => {
                self.put_value(&mut key, ValueRef::Reference { kind: *kind, id }, None);
                Some((key, cut(id).1))
            }
            Test::UriIs(uri) => {
                self.put_value(&mut key, ValueRef::Uri(uri), None);
                Some((key, cut(uri).1))
            }
            Test::Present
            | Test::Token { .. }
            | Test::Tokens(_)
            | Test::StringStarts(_)
            | Test::StringContains(_)
            | Test::StringEnds(_)
            | Test::StringOrder(..)
            | Test::StringIs(_)
            | Test::Date(..)
            | Test::Number(..)
            | Test::Quantity { .. }
            | Test::Reference { .. }
            | Test::References(_)
            | Test::UriBelow(_)
            | Test::UriAbove(_)
            | Test::Composite(_)
            | Test::Words(_)
            | Test::Passage(_)
            | Test::Near(..)
            | Test::Other(_) => None,
        }
    }

    /// A span for each, in the order of keys; too many are left to the rows.
    fn tokens(&self, tagged: &[u8], tokens: &Tokens) -> Access {
        if tokens.len() > SPANS_MAX {
            return several(vec![prefix(tagged)], false);
        }
        let spans = tokens.iter().flat_map(|(code, system)| {
            let one = self.token(tagged.to_vec(), Some(system), Some(code));
            one.spans
        });
        Access::of_spans(spans.collect())
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
}

fn number_before_seq(key: &[u8], back: usize) -> u64 {
    let end = key.len().saturating_sub(back * 8);
    keys::last_number(&key[..end])
}

fn date(key: &[u8], back: usize) -> i64 {
    (number_before_seq(key, back) ^ (1 << 63)).cast_signed()
}

pub(super) fn prefix(start: &[u8]) -> Span {
    Span {
        start: start.to_vec(),
        end: keys::after_prefix(start),
        test: KeyTest::Any,
    }
}

fn several(spans: Vec<Span>, exact: bool) -> Access {
    Access {
        spans,
        given: Vec::new(),
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

/// The cells around a place; the row tells what is near indeed.
fn near(tagged: &[u8], place: Place, millimetres: u64) -> Access {
    let around = place.around(millimetres as f64 / 1000.0);
    let spans = around.iter().flat_map(places::spans).map(|(from, to)| {
        let key = |at: u64| {
            let mut key = tagged.to_vec();
            ordered::put_u64(&mut key, at);
            key
        };
        Span {
            start: key(from),
            end: keys::after_prefix(&key(to)),
            test: KeyTest::Any,
        }
    });
    several(spans.collect(), false)
}

/// Texts are cut in keys, so the row decides at the ends.
fn texts(tagged: Vec<u8>, comparison: Comparison, text: &str) -> Access {
    let all = prefix(&tagged);
    let mut bound = tagged;
    let (start, whole) = cut(text);
    if matches!(comparison, Comparison::Equal | Comparison::Overlaps) {
        put_text(&mut bound, text);
        return several(vec![prefix(&bound)], whole);
    }
    ordered::put_text_start(&mut bound, start);
    let (start, end) = match comparison {
        Comparison::Equal | Comparison::Overlaps | Comparison::NotEqual => (all.start, all.end),
        Comparison::Greater | Comparison::GreaterOrEqual | Comparison::After => (bound, all.end),
        Comparison::Less | Comparison::LessOrEqual | Comparison::Before => {
            (all.start, keys::after_prefix(&bound))
        }
    };
    let test = KeyTest::Any;
    several(vec![Span { start, end, test }], false)
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

/// A span for each; too many are left to the rows.
fn references(tagged: &[u8], set: &References) -> Access {
    if set.ids().len() > REFERENCES_MAX {
        return several(vec![prefix(tagged)], false);
    }
    let each = set.ids().iter();
    let each = each.map(|id| reference(tagged.to_vec(), Some(set.kind()), id));
    Access::any(each.collect())
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

fn dates(tagged: &[u8], long: Option<&[u8]>, comparison: Comparison, (x, y): (i64, i64)) -> Access {
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
    // Without keys by their end, those that last long may begin at any time.
    let (first, by_end) = match (long, by_end) {
        (Some(long), Some(end_ms)) => (first, Some((long, end_ms))),
        (None, Some(_)) => (lowest, None),
        (_, None) => (first, None),
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
    if let Some((long, end_ms)) = by_end {
        spans.push(Span {
            start: with_date(long, end_ms),
            end: keys::after_prefix(long),
            test: test(true),
        });
    }
    Access {
        hinted: true,
        ..several(spans, true)
    }
}

fn with_date(key: &[u8], date_ms: i64) -> Vec<u8> {
    let mut key = key.to_vec();
    ordered::put_i64(&mut key, date_ms);
    key
}
