//! What the random cases are made of: every form of filter, test, value and
//! order comes up, so that none is only ever answered by one engine.

use std::collections::BTreeMap;

use super::choice::Choice;
use crate::{Filter, Sort, Test};

/// How often each form came up.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, u64>);

const FORMS: [&str; 41] = [
    // Filters.
    "everything",
    "nothing",
    "all",
    "all of none",
    "any",
    "any of none",
    "not",
    "value",
    "ids",
    "updated",
    "refers",
    "referred",
    // Tests.
    "present",
    "a token",
    "tokens",
    "starts",
    "contains",
    "ends",
    "in order",
    "is",
    "a date",
    "a number",
    "a quantity",
    "a reference",
    "references",
    "uri is",
    "uri below",
    "uri above",
    "a composite",
    "near",
    "other",
    "words",
    "passage",
    // Orders.
    "by value, ascending",
    "by value, descending",
    "by time, ascending",
    "by time, descending",
    "by id, ascending",
    "by id, descending",
    "by relevance",
    "by two keys",
];
const VALUES: [&str; 11] = [
    "token",
    "string",
    "date",
    "number",
    "quantity",
    "reference",
    "uri",
    "composite",
    "text",
    "place",
    "passage",
];

impl Seen {
    fn note(&mut self, form: &'static str) {
        *self.0.entry(form).or_default() += 1;
    }

    /// A new kind of filter stops the build here, and needs a name above.
    fn filter(&mut self, filter: &Filter) {
        let form = match filter {
            Filter::Everything => "everything",
            Filter::Nothing => "nothing",
            Filter::All(filters) if filters.is_empty() => "all of none",
            Filter::All(_) => "all",
            Filter::Any(filters) if filters.is_empty() => "any of none",
            Filter::Any(_) => "any",
            Filter::Not(_) => "not",
            Filter::Value(_, test) => {
                self.test(test);
                "value"
            }
            Filter::Ids(_) => "ids",
            Filter::Updated(..) => "updated",
            Filter::Refers { .. } => "refers",
            Filter::Referred { .. } => "referred",
        };
        self.note(form);
        if let Filter::All(filters) | Filter::Any(filters) = filter {
            filters.iter().for_each(|filter| self.filter(filter));
        }
        if let Filter::Not(filter)
        | Filter::Refers { filter, .. }
        | Filter::Referred { filter, .. } = filter
        {
            self.filter(filter);
        }
    }

    fn test(&mut self, test: &Test) {
        let form = match test {
            Test::Present => "present",
            Test::Token { .. } => "a token",
            Test::Tokens(_) => "tokens",
            Test::StringStarts(_) => "starts",
            Test::StringContains(_) => "contains",
            Test::StringEnds(_) => "ends",
            Test::StringOrder(..) => "in order",
            Test::StringIs(_) => "is",
            Test::Date(..) => "a date",
            Test::Number(..) => "a number",
            Test::Quantity { .. } => "a quantity",
            Test::Reference { .. } => "a reference",
            Test::References(_) => "references",
            Test::UriIs(_) => "uri is",
            Test::UriBelow(_) => "uri below",
            Test::UriAbove(_) => "uri above",
            Test::Composite(_) => "a composite",
            Test::Words(_) => "words",
            Test::Passage(_) => "passage",
            Test::Near(..) => "near",
            Test::Other(test) => {
                self.test(test);
                "other"
            }
        };
        self.note(form);
    }

    fn sort(&mut self, keys: &[Sort]) {
        if keys.len() == 2 {
            self.note("by two keys");
        }
        for key in keys {
            self.note(match key {
                Sort::Value { descending, .. } if *descending => "by value, descending",
                Sort::Value { .. } => "by value, ascending",
                Sort::Updated { descending: true } => "by time, descending",
                Sort::Updated { descending: false } => "by time, ascending",
                Sort::Id { descending: true } => "by id, descending",
                Sort::Id { descending: false } => "by id, ascending",
                Sort::Relevance(_) => "by relevance",
            });
        }
    }
}

/// As many as a run of the random operations asks for and puts.
#[test]
fn every_form_comes_up_often() {
    let mut choice = Choice::new(super::random::SEED);
    let mut seen = Seen::default();
    for _ in 0..1_500 {
        seen.filter(&choice.filter(&["a", "b"], 3));
        seen.sort(&choice.sort());
        for row in choice.rows(2) {
            seen.note(row.value.name());
        }
    }
    for form in FORMS.iter().chain(&VALUES) {
        let count = seen.0.get(form).copied().unwrap_or(0);
        assert!(count >= 10, "{form}: {count} times");
    }
}
