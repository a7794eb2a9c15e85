//! The text of a resource for full text search, `_text` and `_content`
//! (<https://hl7.org/fhir/R4/search.html#content>).
//!
//! The text begins with the narrative. Behind it stand all strings and
//! markdown of the resource and of those contained in it, each once, but for
//! what is an address rather than text: ids, identifiers, references, URLs
//! and codes. Words are those of UAX #29, folded, and their stems those of
//! the English Snowball stemmer. All of it is part of the stored format.

mod collect;
pub(crate) mod tokens;

pub use tokens::Word;

use crate::json::Node;

/// Words of one resource that are found at most; narratives come first.
pub const WORDS_MAX: usize = 20_000;

/// The words of a passage, which is folded already.
#[must_use]
pub fn passage(folded: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    tokens::put_lines(folded, 0, &mut words);
    words
}

/// The text of a resource, folded.
#[derive(Clone, Default)]
pub struct Text {
    /// A line for each string.
    folded: String,
    /// Bytes of the narrative at the front.
    narrative: usize,
}
salus_phi::guard!(Text);

/// The words of a resource.
#[derive(Clone, Debug)]
pub struct Words<'t> {
    /// Each with its place, rising.
    pub words: Vec<Word<'t>>,
    /// Words of the narrative have places below this.
    pub narrative_end: u32,
}

impl Text {
    /// The text of a resource.
    #[must_use]
    pub fn of(resource: Node<'_>) -> Self {
        let mut text = Self::default();
        collect::collect(resource, &mut text);
        text
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> Words<'_> {
        let (narrative, rest) = self.folded.split_at(self.narrative);
        let mut words = Vec::with_capacity(self.folded.len() / 6 + 1);
        let narrative_end = tokens::put_lines(narrative, 0, &mut words);
        tokens::put_lines(rest, narrative_end, &mut words);
        words.truncate(WORDS_MAX);
        Words {
            words,
            narrative_end,
        }
    }
}
