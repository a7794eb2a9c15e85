//! What `_text`, `_content` and `:text` ask for
//! (<https://hl7.org/fhir/R4/search.html#content>, which leaves the syntax to
//! servers).
//!
//! ```text
//! any   = all *( "OR" all )
//! all   = 1*( [ "AND" ] [ "-" / "NOT" ] one )
//! one   = word / word "*" / DQUOTE phrase DQUOTE / "(" any ")"
//! ```
//!
//! A word stands for all its forms, `word*` for all words that begin so, as
//! they are written. Words with a sign between them, as in `beta-blocker`, are
//! a phrase. What may not be there needs something beside it that must.
//! With `:text` a word stands for all that begin so, too: R4 has it find what
//! begins with the value (<https://hl7.org/fhir/R4/search.html#token>).

use super::fold::fold;
use super::operand::Expected;
use crate::text::tokens::{stem, words_of};

/// The words that a text must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextQuery {
    /// One word.
    One(Piece),
    /// Words one behind the other, two or more.
    Phrase(Vec<Piece>),
    /// Each of them, two or more.
    All(Vec<TextQuery>),
    /// At least one of them, two or more.
    Any(Vec<TextQuery>),
    /// The first without the second.
    Without(Box<TextQuery>, Box<TextQuery>),
}

/// A word asked for.
#[derive(Clone, PartialEq, Eq)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub enum Piece {
    /// A word in any form: its stem.
    Stem(Box<str>),
    /// A word that begins so.
    Prefix(Box<str>),
}
#[cfg(not(test))]
salus_phi::guard!(Piece);

/// Most words of one value.
pub(super) const WORDS_MAX: usize = 64;
/// Parentheses inside each other at most.
const DEPTH_MAX: usize = 8;

const SHAPE: &str = "allowed: words, beginnings as infect*, phrases in double quotes, - or NOT in \
                     front of what must not be there, OR, AND and parentheses";

impl TextQuery {
    /// Reads one value, without the escapes of a search.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, Expected> {
        Self::read(text, false)
    }

    /// The same for `:text`.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub(super) fn parse_with_beginnings(text: &str) -> Result<Self, Expected> {
        Self::read(text, true)
    }

    fn read(text: &str, beginnings: bool) -> Result<Self, Expected> {
        let mut reading = Reading {
            rest: text,
            words: 0,
            beginnings,
        };
        let query = reading.any(0)?;
        match reading.rest.is_empty() {
            true => Ok(query),
            false => Err(wrong("has a parenthesis that closes nothing")),
        }
    }
}

fn wrong(what: &str) -> Expected {
    format!("{what}; {SHAPE}").into()
}

struct Reading<'t> {
    rest: &'t str,
    words: usize,
    /// A word that is not quoted may be the beginning of one.
    beginnings: bool,
}

impl<'t> Reading<'t> {
    /// Alternatives, up to the end or a parenthesis.
    fn any(&mut self, depth: usize) -> Result<TextQuery, Expected> {
        let mut any = vec![self.all(depth)?];
        while self.take_word("OR") {
            any.push(self.all(depth)?);
        }
        Ok(match any.len() {
            1 => any.remove(0),
            _ => TextQuery::Any(any),
        })
    }

    fn all(&mut self, depth: usize) -> Result<TextQuery, Expected> {
        let (mut all, mut without) = (Vec::new(), Vec::new());
        loop {
            let and = self.take_word("AND");
            if self.at_end() {
                if and || all.is_empty() && without.is_empty() {
                    return Err(wrong("lacks a word"));
                }
                break;
            }
            let is_not = self.take_word("NOT") || self.take("-");
            let list = if is_not { &mut without } else { &mut all };
            list.push(self.one(depth)?);
        }
        let all = match all.len() {
            0 => return Err(wrong("has nothing beside what must not be there")),
            1 => all.remove(0),
            _ => TextQuery::All(all),
        };
        Ok(match without.len() {
            0 => all,
            1 => TextQuery::Without(all.into(), without.remove(0).into()),
            _ => TextQuery::Without(all.into(), TextQuery::Any(without).into()),
        })
    }

    fn one(&mut self, depth: usize) -> Result<TextQuery, Expected> {
        if self.take("(") {
            if depth == DEPTH_MAX {
                return Err(wrong("has parentheses in too many levels"));
            }
            let query = self.any(depth + 1)?;
            self.skip_spaces();
            return match self.take(")") {
                true => Ok(query),
                false => Err(wrong("has a parenthesis that is not closed")),
            };
        }
        if self.take("\"") {
            let (phrase, rest) = self
                .rest
                .split_once('"')
                .ok_or_else(|| wrong("has a phrase that is not closed"))?;
            self.rest = rest;
            return self.pieces(phrase, false);
        }
        let end = |c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')');
        let (run, rest) = self
            .rest
            .split_at(self.rest.find(end).unwrap_or(self.rest.len()));
        self.rest = rest;
        self.pieces(run, self.beginnings)
    }

    /// The words of a phrase, or of what stands together; the last may be a beginning.
    fn pieces(&mut self, text: &str, may_begin: bool) -> Result<TextQuery, Expected> {
        let (text, is_start) = match text.trim_end().strip_suffix('*') {
            Some(text) => (text, true),
            None => (text, false),
        };
        if text.contains('*') {
            return Err(wrong("has a * that is not at the end of a word"));
        }
        let folded = fold(text);
        let words: Vec<&str> = words_of(&folded).collect();
        self.words += words.len();
        if self.words > WORDS_MAX {
            return Err(wrong(&format!("has more than {WORDS_MAX} words")));
        }
        let ends_in_word = words.last().is_some_and(|word| folded.ends_with(word));
        let Some((last, before)) = words.split_last().filter(|_| !is_start || ends_in_word) else {
            return Err(wrong("lacks a word"));
        };
        let form = |word: &&str| Piece::Stem(stem(word).into());
        let ending_in = |last: Piece| match before {
            [] => TextQuery::One(last),
            _ => TextQuery::Phrase(before.iter().map(form).chain([last]).collect()),
        };
        let beginning = ending_in(Piece::Prefix((*last).into()));
        Ok(match (is_start, may_begin && ends_in_word) {
            (true, _) => beginning,
            (false, true) => TextQuery::Any(vec![ending_in(form(last)), beginning]),
            (false, false) => ending_in(form(last)),
        })
    }

    /// At the end of what stands together: of all, of an alternative, of a parenthesis.
    fn at_end(&mut self) -> bool {
        self.skip_spaces();
        let rest = self.rest;
        rest.is_empty() || rest.starts_with(')') || self.peek_word() == "OR"
    }

    fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest.strip_prefix(sign);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.skip_spaces();
        let found = self.peek_word() == word;
        if found {
            self.rest = &self.rest[word.len()..];
            self.skip_spaces();
        }
        found
    }

    fn peek_word(&self) -> &'t str {
        let end = |c: char| c.is_whitespace() || matches!(c, '"' | '(' | ')');
        self.rest.split(end).next().unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The query in brackets: stems as they are, beginnings with a star.
    fn shown(query: &TextQuery) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Stem(stem) => stem.to_string(),
            Piece::Prefix(start) => format!("{start}*"),
        };
        let list = |all: &[TextQuery], between: &str| {
            let all: Vec<_> = all.iter().map(shown).collect();
            format!("({})", all.join(between))
        };
        match query {
            TextQuery::One(one) => piece(one),
            TextQuery::Phrase(all) => {
                let all: Vec<_> = all.iter().map(piece).collect();
                format!("\"{}\"", all.join(" "))
            }
            TextQuery::All(all) => list(all, " "),
            TextQuery::Any(any) => list(any, "|"),
            TextQuery::Without(one, other) => format!("({} -{})", shown(one), shown(other)),
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let query = TextQuery::parse(text).map(|query| shown(&query));
        assert_eq!(query.as_deref(), Ok(expected));
    }

    #[track_caller]
    fn refused(text: &str, expected: &str) {
        let error = TextQuery::parse(text).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn all_words_are_wanted_in_any_form() {
        check("infections", "infect");
        check("Heart  attacks", "(heart attack)");
        check("heart AND attack", "(heart attack)");
        check("diabète", "diabet");
    }

    #[test]
    fn alternatives_are_weaker_than_all() {
        check("a1 b1 OR c1", "((a1 b1)|c1)");
        check("a1 (b1 OR c1)", "(a1 (b1|c1))");
        check("or not and", "(or not and)");
    }

    #[test]
    fn what_must_not_be_there_is_taken_away() {
        check("a1 -b1", "(a1 -b1)");
        check("a1 NOT b1 -c1", "(a1 -(b1|c1))");
        check("-b1 a1", "(a1 -b1)");
        check("a1 -(b1 c1)", "(a1 -(b1 c1))");
    }

    #[test]
    fn phrases_are_quoted_or_stand_together() {
        check("\"heart attacks\"", "\"heart attack\"");
        check("beta-blockers", "\"beta blocker\"");
        check("\"heart\"", "heart");
        check("\"heart att*\"", "\"heart att*\"");
        check("a1\"b1 c1\"d1", "(a1 \"b1 c1\" d1)");
    }

    #[test]
    fn beginnings_are_not_stemmed() {
        check("infections*", "infections*");
        check("covid-1*", "\"covid 1*\"");
    }

    #[test]
    fn words_may_be_beginnings_where_that_is_asked() {
        let check = |text: &str, expected: &str| {
            let query = TextQuery::parse_with_beginnings(text).map(|query| shown(&query));
            assert_eq!(query.as_deref(), Ok(expected));
        };
        check("Infections", "(infect|infections*)");
        check("a1 b1", "((a1|a1*) (b1|b1*))");
        check("beta-block", "(\"beta block\"|\"beta block*\")");
        check("\"heart attacks\"", "\"heart attack\"");
        check("infect*", "infect*");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        refused("", "lacks a word");
        refused("  ", "lacks a word");
        refused("-- ?", "lacks a word");
        refused("*", "lacks a word");
        refused("a1 -*", "lacks a word");
        refused("a1 OR", "lacks a word");
        refused("a1 AND", "lacks a word");
        refused("a1 NOT", "lacks a word");
        refused("-a1", "has nothing beside");
        refused("a1 OR -b1", "has nothing beside");
        refused("(a1", "has a parenthesis that is not closed");
        refused("a1)", "has a parenthesis that closes nothing");
        refused("\"a1", "has a phrase that is not closed");
        refused("a*b", "has a *");
        refused(&"(".repeat(100), "has parentheses in too many levels");
        refused(&"a1 ".repeat(65), "has more than 64 words");
    }
}
