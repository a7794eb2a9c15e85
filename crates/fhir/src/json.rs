//! JSON as received (RFC 8259), readable as a tree and never re-serialised.
//!
//! FHIR decimals must keep their digits and a stored resource must read back byte for byte, so
//! a [`Document`] keeps the received text and a tape: one 20-byte slot per value, in the order
//! of the text, with the place of its key, its own text and the slot behind its subtree. A
//! [`Node`] is a place on that tape; walking it neither copies nor allocates.

mod error;
mod node;
mod parse;
pub mod write;

#[cfg(test)]
mod tests;

pub(crate) use error::position;
pub use error::{Error, ErrorKind};
pub use node::{Children, Node};

/// What a document may cost at most.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Length of the text in bytes; never more than 4 GiB - 2.
    pub bytes_max: usize,
    /// Containers inside each other, the outermost being 1.
    pub depth_max: usize,
    /// Values of any kind, containers included.
    pub nodes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            bytes_max: 64 << 20,
            depth_max: 64,
            nodes_max: 4_000_000,
        }
    }
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Hash)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// Kept as the digits that were written.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

/// A parsed text together with its tape.
#[derive(Clone)]
pub struct Document {
    /// The text as received, and behind it the member names that have escapes, without them.
    text: String,
    received_len: usize,
    slots: Vec<Slot>,
    /// In the order of the text.
    escaped_keys: Vec<EscapedKey>,
}
salus_phi::guard!(Document);

/// A member name with escapes, such as `"\u0069d"`: rare enough to be kept aside.
#[derive(Clone, Copy, Debug)]
struct EscapedKey {
    /// Its [`Slot::key_start`], behind the text as received.
    key_start: u32,
    /// Where it stands in the text as received, without its quotes.
    start: u32,
    end: u32,
}

/// One value on the tape. Offsets are bytes in the text.
#[derive(Clone, Copy, Debug)]
struct Slot {
    start: u32,
    end: u32,
    /// The first slot that is not inside this value.
    next: u32,
    /// Behind the opening quote of the member name; `NO_KEY` outside of objects. A name with
    /// escapes stands without them behind the text as received.
    key_start: u32,
    key_len: u16,
    kind: Kind,
    /// A string with at least one escape.
    escaped: bool,
}

const NO_KEY: u32 = u32::MAX;

impl Document {
    /// Parses one JSON text. Strict: UTF-8 without byte order mark, no duplicate member names
    /// (without their escapes), nothing behind the value.
    pub fn parse(text: Vec<u8>, limits: &Limits) -> Result<Document, Error> {
        let mut text = parse::utf8(text, limits)?;
        let tape = parse::tape(&text, limits)?;
        let received_len = text.len();
        text.push_str(&tape.names);
        Ok(Document {
            text,
            received_len,
            slots: tape.slots,
            escaped_keys: tape.escaped_keys,
        })
    }

    /// The text as received.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text[..self.received_len]
    }

    /// The outermost value.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// The value with this number on the tape; see [`Node::index`].
    #[must_use]
    pub fn node(&self, index: usize) -> Option<Node<'_>> {
        let index = u32::try_from(index).ok()?;
        ((index as usize) < self.slots.len()).then(|| Node::new(self, index))
    }

    /// How many values the document has, for side tables indexed by [`Node::index`].
    #[must_use]
    pub fn nodes_len(&self) -> usize {
        self.slots.len()
    }

    /// Gives the text back and drops the tape.
    #[must_use]
    pub fn into_text(mut self) -> String {
        self.text.truncate(self.received_len);
        self.text
    }
}
