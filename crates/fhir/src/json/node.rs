//! Places on the tape and how to walk from one to the next.

use super::{Document, Kind, NO_KEY, Slot, write};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// A value in a [`Document`]: two words, copied freely.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    document: &'a Document,
    index: u32,
}

impl<'a> Node<'a> {
    pub(super) fn new(document: &'a Document, index: u32) -> Node<'a> {
        Node { document, index }
    }

    fn slot(self) -> &'a Slot {
        &self.document.slots[self.index as usize]
    }

    /// The document this value is part of.
    #[must_use]
    pub fn document(self) -> &'a Document {
        self.document
    }

    /// Its number on the tape: the root is 0, and a value comes before everything inside it.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// What kind of value it is.
    #[inline]
    #[must_use]
    pub fn kind(self) -> Kind {
        self.slot().kind
    }

    /// True for `{...}`.
    #[inline]
    #[must_use]
    pub fn is_object(self) -> bool {
        self.kind() == Kind::Object
    }

    /// True for `[...]`.
    #[inline]
    #[must_use]
    pub fn is_array(self) -> bool {
        self.kind() == Kind::Array
    }

    /// True for `null`.
    #[inline]
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The member name without escapes, when it is a member of an object.
    #[inline]
    #[must_use]
    pub fn key(self) -> Option<&'a str> {
        let slot = self.slot();
        if slot.key_start == NO_KEY {
            return None;
        }
        let start = slot.key_start as usize;
        Some(&self.document.text[start..start + slot.key_len as usize])
    }

    /// The member of this name; nothing when it is not an object.
    #[inline]
    #[must_use]
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        let slots = &self.document.slots;
        let text = self.document.text.as_bytes();
        let slot = self.slot();
        if slot.kind != Kind::Object {
            return None;
        }
        let mut at = self.index + 1;
        while at < slot.next {
            let member = &slots[at as usize];
            let start = member.key_start as usize;
            if member.key_len as usize == key.len()
                && &text[start..start + key.len()] == key.as_bytes()
            {
                return Some(Node::new(self.document, at));
            }
            at = member.next;
        }
        None
    }

    /// Its members or items in order; none for the other kinds.
    #[inline]
    #[must_use]
    pub fn children(self) -> Children<'a> {
        Children {
            document: self.document,
            at: self.index + 1,
            end: self.slot().next,
        }
    }

    /// How many members or items it has; counted by walking them.
    #[must_use]
    pub fn len(self) -> usize {
        self.children().count()
    }

    /// Whether it has no members or items.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.slot().next == self.index + 1
    }

    /// The value of a string, borrowed unless it has escapes.
    #[must_use]
    pub fn str(self) -> Option<Cow<'a, str>> {
        let slot = self.slot();
        if slot.kind != Kind::String {
            return None;
        }
        let inner = self.inner();
        Some(if slot.escaped {
            Cow::Owned(write::unescape(inner))
        } else {
            Cow::Borrowed(inner)
        })
    }

    /// The value of a string without escapes.
    #[inline]
    #[must_use]
    pub fn plain_str(self) -> Option<&'a str> {
        let slot = self.slot();
        (slot.kind == Kind::String && !slot.escaped).then(|| self.inner())
    }

    /// The exact text of a number.
    #[must_use]
    pub fn number(self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The value of `true` or `false`.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == "true")
    }

    /// The exact text of the value.
    #[must_use]
    pub fn raw(self) -> &'a str {
        &self.document.text[self.span()]
    }

    /// Where the value stands in the document's text, in bytes.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        let slot = self.slot();
        slot.start as usize..slot.end as usize
    }

    /// Where `"key": value` stands; the value's own span when it is no member.
    #[must_use]
    pub fn member_span(self) -> Range<usize> {
        let end = self.slot().end as usize;
        match self.key_span() {
            Some(key) => key.start - 1..end,
            None => self.span(),
        }
    }

    /// The member name as it was written, between its quotes.
    #[must_use]
    pub(super) fn raw_key(self) -> Option<&'a str> {
        Some(&self.document.text[self.key_span()?])
    }

    /// Where the member name stands in the document's text.
    fn key_span(self) -> Option<Range<usize>> {
        let slot = self.slot();
        let start = slot.key_start as usize;
        if slot.key_start == NO_KEY {
            return None;
        }
        if start < self.document.received_len {
            return Some(start..start + slot.key_len as usize);
        }
        let keys = &self.document.escaped_keys;
        let found = keys.binary_search_by_key(&slot.key_start, |key| key.key_start);
        let key = keys.get(found.ok()?)?;
        Some(key.start as usize..key.end as usize)
    }

    /// The number of the first value behind this one and all inside it.
    #[must_use]
    pub fn end_index(self) -> usize {
        self.slot().next as usize
    }

    /// The text between the quotes of a string.
    fn inner(self) -> &'a str {
        let slot = self.slot();
        &self.document.text[slot.start as usize + 1..slot.end as usize - 1]
    }
}

/// The same place in the same document.
impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.document, other.document) && self.index == other.index
    }
}

impl Eq for Node<'_> {}

/// Shows the place only: what is there may be confidential.
impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({} {:?})", self.index, self.kind())
    }
}

/// The members of an object or the items of an array.
#[derive(Clone, Debug)]
pub struct Children<'a> {
    document: &'a Document,
    at: u32,
    end: u32,
}

impl<'a> Iterator for Children<'a> {
    type Item = Node<'a>;

    #[inline]
    fn next(&mut self) -> Option<Node<'a>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node::new(self.document, self.at);
        self.at = self.document.slots[self.at as usize].next;
        Some(node)
    }
}
