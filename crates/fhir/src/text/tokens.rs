//! Words: Unicode Standard Annex 29, clause 4 (word boundaries).
//!
//! What UAX #29 keeps together at full stops, colons and low lines is taken
//! apart where letters stand beside them: `Synthea.Version` are two words, as
//! it is meant, and `3.5` is one. Words without letters of English, and those
//! with digits, are their own stems.

use std::borrow::Cow;
use std::cell::RefCell;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};
use unicode_segmentation::UnicodeSegmentation;

use super::WORDS_MAX;

/// A word in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Word<'t> {
    /// The word, folded.
    pub word: &'t str,
    /// What it has in common with its other forms.
    pub stem: Cow<'t, str>,
    /// Its place; words that follow each other have the next one.
    pub at: u32,
}
salus_phi::guard!(Word<'_>);

/// Adds the words of all lines, whose first place is `at`; gives the place
/// behind them. No phrase goes from one line to the next.
pub(super) fn put_lines<'t>(text: &'t str, mut at: u32, words: &mut Vec<Word<'t>>) -> u32 {
    for line in text.lines() {
        for word in words_of(line) {
            if words.len() > WORDS_MAX {
                return at;
            }
            let stem = stem(word);
            words.push(Word { word, stem, at });
            at += 1;
        }
        at += 1;
    }
    at
}

/// The words of a folded text.
pub(crate) fn words_of(folded: &str) -> impl Iterator<Item = &str> {
    let words = folded.unicode_words();
    words.flat_map(|word| {
        let joined = |c: char| matches!(c, '.' | ':' | '_') && !is_number(word);
        word.split(joined).filter(|part| !part.is_empty())
    })
}

fn is_number(word: &str) -> bool {
    word.bytes()
        .all(|b| b.is_ascii_digit() || b.is_ascii_punctuation())
}

/// What a word has in common with its other forms.
pub(crate) fn stem(word: &str) -> Cow<'_, str> {
    static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    let is_english = |b: u8| b.is_ascii_lowercase() || b == b'\'';
    match word.len() > 2 && word.bytes().all(is_english) {
        true => LATELY.with_borrow_mut(|lately| lately.stem(word, |word| ENGLISH.stem(word))),
        false => Cow::Borrowed(word),
    }
}

thread_local! {
    static LATELY: RefCell<Lately> = RefCell::default();
}

/// Stems that were found lately: few words make most of a text, and to find a stem takes longer
/// than all else that is done with a word.
#[derive(Default)]
struct Lately(Vec<(Box<str>, Box<str>)>);

impl Lately {
    const PLACES: usize = 2048;

    fn stem<'w>(&mut self, word: &'w str, find: impl Fn(&str) -> Cow<'_, str>) -> Cow<'w, str> {
        if self.0.is_empty() {
            self.0.resize(Self::PLACES, Default::default());
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(word.as_bytes());
        let place = hasher.finish() as usize % Self::PLACES;
        let Some((held, stem)) = self.0.get_mut(place) else {
            return Cow::Owned(find(word).into_owned());
        };
        if &**held != word {
            (*held, *stem) = (word.into(), find(word).into());
        }
        match word.strip_prefix(&**stem) {
            Some(rest) => Cow::Borrowed(&word[..word.len() - rest.len()]),
            None => Cow::Owned(stem.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::fold;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let folded = fold(text);
        let words: Vec<_> = words_of(&folded).collect();
        assert_eq!(words, expected);
    }

    #[test]
    fn words_are_those_that_people_see() {
        check("Heart attack, 2019", &["heart", "attack", "2019"]);
        check("beta-blocker (3.5 mg)", &["beta", "blocker", "3.5", "mg"]);
        check(
            "by Synthea.Version id_1",
            &["by", "synthea", "version", "id", "1"],
        );
        check("l'été à Zürich", &["l'ete", "a", "zurich"]);
        check("-- * --", &[]);
        check("糖尿病", &["糖", "尿", "病"]);
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for word in ["infection", "infections", "infected"] {
            assert_eq!(stem(word), "infect");
        }
        for _ in ["found", "held"] {
            assert_eq!(stem("patient's"), "patient");
            assert_eq!(stem("happy"), "happi");
            assert_eq!(stem("patient"), "patient");
        }
        assert_eq!(stem("2019"), "2019");
        assert_eq!(stem("été"), "été");
    }

    #[test]
    fn lines_are_apart() {
        let mut words = Vec::new();
        let end = put_lines("heart attack\nacute", 0, &mut words);
        let places: Vec<_> = words.iter().map(|word| (word.word, word.at)).collect();
        assert_eq!(places, [("heart", 0), ("attack", 1), ("acute", 3)]);
        assert_eq!(end, 5);
    }
}
