//! The codes that the index has under a parameter.

use salus_store::{Kind, Param, Scope, ordered};

use super::spans::prefix;
use super::values::cut;
use super::{Index, Span, TOKEN};
use crate::keys;

/// Where the tokens of a parameter are.
pub(crate) struct Codes {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Codes {
    /// The code of a key; `None` if the key has only the beginning of it.
    pub(crate) fn code_of(&self, key: &[u8]) -> Option<Box<str>> {
        ordered::take_text(&mut key.get(self.start.len()..)?)
    }
}

impl Index {
    /// Where the tokens of a parameter are.
    pub(crate) fn codes(&self, scope: Scope, kind: Kind, param: Param) -> Codes {
        let mut start = keys::of_param(keys::INDEX, scope, kind, param);
        start.push(TOKEN);
        Codes {
            end: keys::after_prefix(&start),
            start,
        }
    }

    /// The first key that a code could have.
    pub(crate) fn code_start(&self, codes: &Codes, code: &str) -> Vec<u8> {
        let mut key = codes.start.clone();
        ordered::put_text_start(&mut key, cut(code).0);
        key
    }

    /// Where the records with a token are.
    pub(crate) fn token_span(&self, codes: &Codes, system: &str, code: &str) -> Span {
        let mut key = codes.start.clone();
        self.put_code(&mut key, code);
        ordered::put_u64(&mut key, self.sip.hash(system.as_bytes()));
        prefix(&key)
    }

    /// Whether a key has only the beginning of a code.
    pub(crate) fn is_cut(&self, code: &str) -> bool {
        !cut(code).1
    }
}
