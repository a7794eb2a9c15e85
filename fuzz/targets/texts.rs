//! Words and postings as they lie on disk, and the words of resources: what is
//! said of a text by its words is said by its postings.
#![no_main]

use libfuzzer_sys::fuzz_target;

use salus_fhir::json::{Document, Limits};
use salus_fhir::text::Text;
use salus_store::{Piece, TextTest, Wanted, Word, Words};

fuzz_target!(|bytes: &[u8]| {
    if let Some(words) = Words::from_bytes(bytes) {
        let _ = Words::postings(words.as_bytes());
    }
    let Ok(document) = Document::parse(bytes.to_vec(), &Limits::default()) else {
        return;
    };
    let text = Text::of(document.root());
    let found = text.words();
    let words = found.words.iter().map(|word| Word {
        word: word.word.into(),
        stem: word.stem.clone(),
        at: word.at,
    });
    let words = Words::of(words.collect(), found.narrative_end);
    assert_eq!(Words::from_bytes(words.as_bytes()), Some(words.clone()));
    for posting in Words::postings(words.as_bytes()) {
        for lead in [false, true] {
            let points = |piece| {
                let wanted = Wanted::One(piece);
                TextTest { lead, wanted }.points(words.as_bytes())
            };
            let (stem, word) = match lead {
                false => (posting.stem, posting.word),
                true => (posting.stem_in_lead, posting.word_in_lead),
            };
            let stemmed = points(Piece::Stem(posting.term.clone()));
            assert_eq!(stemmed, stem.map(u32::from));
            let begins = points(Piece::Prefix(posting.term.clone()));
            assert!(begins.is_some() || !word);
        }
    }
});
