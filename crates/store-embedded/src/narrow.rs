//! Large sets of tokens against the codes that an index has.
//!
//! A value set may have thousands of codes of which the records of a project
//! have a few. The set and the index are in the same order: going from one to
//! the other and back costs as many seeks as the smaller of the two has codes,
//! and gives the spans of those that both have. It is begun only when nothing
//! else has turned out to be few, and goes on where it stopped.

use std::collections::HashMap;

use salus_store::{Error, Filter, Param, Test, Tokens};

use crate::index::{Access, SPANS_MAX, Span};
use crate::plan::SEEK;
use crate::search::Search;

/// What was found out about the sets of a query, by the place of the set in it.
pub(crate) type Sets = HashMap<*const Tokens, Narrowed>;

/// A set as far as it was compared with the index.
#[derive(Default)]
pub(crate) struct Narrowed {
    spans: Vec<Span>,
    /// Behind this code; `None` before the first.
    behind: Option<Box<str>>,
    /// As many entries were gone to.
    tried: usize,
    access: Option<Access>,
}

impl Search<'_> {
    /// Compares the large sets among the conditions with the index, going to
    /// about so many entries for each; says whether one more is known.
    pub(crate) fn narrow(&mut self, most: usize) -> Result<bool, Error> {
        let mut sets = Vec::new();
        for filter in &self.conditions.all {
            put_sets(filter, &mut sets);
        }
        let mut more = false;
        for (param, tokens) in sets {
            more |= self.narrow_one(param, tokens, most)?;
        }
        Ok(more)
    }

    /// The places of a set's tokens, if it is small or was compared.
    pub(crate) fn of_tokens(&self, param: Param, tokens: &Tokens) -> Option<Access> {
        if is_large(tokens) {
            return self.sets.get(&std::ptr::from_ref(tokens))?.access.clone();
        }
        let test = Test::Tokens(tokens.clone());
        let (scope, kind) = (self.reader.scope, self.query.kind);
        Some(self.reader.core.index.access(scope, kind, param, &test))
    }

    fn narrow_one<'t>(
        &mut self,
        param: Param,
        tokens: &'t Tokens,
        most: usize,
    ) -> Result<bool, Error> {
        let set = self.sets.entry(tokens).or_default();
        let mut steps = (most / SEEK).saturating_sub(set.tried);
        if set.access.is_some() || steps == 0 {
            return Ok(false);
        }
        let reader = self.reader;
        let index = &reader.core.index;
        let codes = index.codes(reader.scope, self.query.kind, param);
        let mut cursor = reader.view.forward(&codes.start, &codes.end)?;
        // Those that are cut in the index have spans whatever it holds.
        let whole = |mut code: Option<&'t str>| {
            while let Some(cut) = code.filter(|code| index.is_cut(code)) {
                code = tokens.code_behind(cut);
            }
            code
        };
        let mut wanted = whole(match &set.behind {
            None => tokens.code_from(""),
            Some(code) => tokens.code_behind(code),
        });
        let mut seek = true;
        while let Some(code) = wanted {
            if steps == 0 {
                return Ok(false);
            }
            steps -= 1;
            set.tried += 1;
            self.links.touch()?;
            if seek {
                cursor.seek(&index.code_start(&codes, code))?;
            }
            let Some(key) = cursor.next_key()? else {
                break;
            };
            // A code that was cut stands between two others.
            seek = true;
            let Some(found) = codes.code_of(key) else {
                seek = false;
                continue;
            };
            for system in tokens.systems_of(&found) {
                set.spans.push(index.token_span(&codes, system, &found));
            }
            // What lies before the code that was found is in one of the two only.
            wanted = whole(tokens.code_behind(&found));
            set.behind = Some(found);
        }
        let long = tokens.iter().filter(|(code, _)| index.is_cut(code));
        let long = long.map(|(code, system)| index.token_span(&codes, system, code));
        let mut spans = std::mem::take(&mut set.spans);
        spans.extend(long);
        set.access = Some(Access::of_spans(spans));
        Ok(true)
    }
}

/// Whether a set is compared with the index before its tokens are gone to.
pub(crate) fn is_large(tokens: &Tokens) -> bool {
    tokens.len() > SPANS_MAX
}

/// Whether a filter has sets to be compared.
pub(crate) fn has_sets(filter: &Filter) -> bool {
    let mut sets = Vec::new();
    put_sets(filter, &mut sets);
    !sets.is_empty()
}

/// The large sets of which one must hold a record's token for the filter to hold.
fn put_sets<'a>(filter: &'a Filter, sets: &mut Vec<(Param, &'a Tokens)>) {
    filter.each_value(&mut |_, param, test| {
        if let Test::Tokens(tokens) = test
            && is_large(tokens)
        {
            sets.push((param, tokens));
        }
    });
}
