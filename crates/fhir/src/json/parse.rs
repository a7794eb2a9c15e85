//! The one pass over the text that checks it and builds the tape.
//!
//! The open containers are a stack of their own, so that depth costs heap, not stack.

use super::{Error, ErrorKind, EscapedKey, Kind, Limits, NO_KEY, Slot, write};
use std::collections::HashSet;

/// Objects up to this size compare each new name with the earlier ones; larger ones are
/// checked once, by hashing, when they close.
const COMPARED_MAX: u32 = 24;

/// Checks size and encoding.
pub(super) fn utf8(text: Vec<u8>, limits: &Limits) -> Result<String, Error> {
    let bytes_max = limits.bytes_max.min(u32::MAX as usize - 1);
    if text.len() > bytes_max {
        let expected = "a shorter text";
        return Err(Error::at(&text, bytes_max, ErrorKind::TooLarge, expected));
    }
    String::from_utf8(text).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let expected = "UTF-8";
        Error::at(error.as_bytes(), offset, ErrorKind::NotUtf8, expected)
    })
}

/// What one pass over a text makes of it.
pub(super) struct Tape {
    pub(super) slots: Vec<Slot>,
    /// The names that have escapes, without them: they belong behind the text.
    pub(super) names: String,
    pub(super) escaped_keys: Vec<EscapedKey>,
}

/// Builds the tape of a text that [`utf8`] let pass.
pub(super) fn tape(text: &str, limits: &Limits) -> Result<Tape, Error> {
    let mut parser = Parser {
        text,
        bytes: text.as_bytes(),
        at: 0,
        tape: Tape {
            slots: Vec::with_capacity((text.len() / 20 + 4).min(limits.nodes_max)),
            names: String::new(),
            escaped_keys: Vec::new(),
        },
        open: Vec::with_capacity(8),
        limits,
    };
    parser.document()?;
    Ok(parser.tape)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    tape: Tape,
    open: Vec<Open>,
    limits: &'a Limits,
}

/// A container whose end has not been seen.
struct Open {
    index: u32,
    object: bool,
    members: u32,
    /// One bit per hash of the member names so far: a clear bit proves that a name is new.
    seen: u64,
}

/// Where a member name stands; length 0 at `NO_KEY` for items.
#[derive(Clone, Copy)]
struct Key {
    start: u32,
    len: u16,
}

const ITEM: Key = Key {
    start: NO_KEY,
    len: 0,
};

impl Parser<'_> {
    fn document(&mut self) -> Result<(), Error> {
        self.space();
        let mut key = ITEM;
        loop {
            let mut closed = true;
            match self.peek() {
                Some(b'{') => closed = self.open(Kind::Object, key)?,
                Some(b'[') => closed = self.open(Kind::Array, key)?,
                _ => self.scalar(key)?,
            }
            if closed && self.close_finished()? {
                break;
            }
            let object = self.open.last().is_some_and(|open| open.object);
            key = if object { self.member()? } else { ITEM };
        }
        self.space();
        if self.at < self.bytes.len() {
            return self.refuse("the end of the text");
        }
        Ok(())
    }

    /// Opens a container; true when it was empty and is closed again.
    fn open(&mut self, kind: Kind, key: Key) -> Result<bool, Error> {
        if self.open.len() >= self.limits.depth_max {
            return self.fail(self.at, ErrorKind::TooDeep, "fewer levels of nesting");
        }
        let start = self.at;
        self.at += 1;
        let index = self.push(kind, start, key, false)?;
        self.open.push(Open {
            index,
            object: kind == Kind::Object,
            members: 0,
            seen: 0,
        });
        self.space();
        let end = if kind == Kind::Object { b'}' } else { b']' };
        if self.peek() != Some(end) {
            return Ok(false);
        }
        self.close()?;
        Ok(true)
    }

    /// Behind a value: closes what ends here and passes the comma. True at the end of the root.
    fn close_finished(&mut self) -> Result<bool, Error> {
        loop {
            let Some(open) = self.open.last() else {
                return Ok(true);
            };
            let object = open.object;
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                    return Ok(false);
                }
                Some(b'}') if object => self.close()?,
                Some(b']') if !object => self.close()?,
                _ if object => return self.refuse("`,` or `}`"),
                _ => return self.refuse("`,` or `]`"),
            }
        }
    }

    fn close(&mut self) -> Result<(), Error> {
        self.at += 1;
        let next = self.tape.slots.len() as u32;
        if let Some(open) = self.open.pop() {
            if open.members > COMPARED_MAX {
                self.hash_names(open.index)?;
            }
            let slot = &mut self.tape.slots[open.index as usize];
            slot.end = self.at as u32;
            slot.next = next;
        }
        Ok(())
    }

    /// Reads `"name":` and the space behind it.
    fn member(&mut self) -> Result<Key, Error> {
        if self.peek() != Some(b'"') {
            return self.refuse("a member name in double quotes");
        }
        let start = self.at + 1;
        let escaped = self.string()?;
        let Ok(len) = u16::try_from(self.at - 1 - start) else {
            return self.fail(start, ErrorKind::TooLarge, "a shorter member name");
        };
        let mut key = Key {
            start: start as u32,
            len,
        };
        if escaped {
            key = self.unescaped(start)?;
        }
        self.refuse_known(key)?;
        self.space();
        if self.peek() != Some(b':') {
            return self.refuse("`:`");
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Puts the name that has just been read aside, without its escapes.
    #[cold]
    fn unescaped(&mut self, start: usize) -> Result<Key, Error> {
        let end = self.at - 1;
        let name = write::unescape(self.text.get(start..end).unwrap_or_default());
        let key_start = self.bytes.len() + self.tape.names.len();
        let fits = key_start + name.len() < NO_KEY as usize;
        let (true, Ok(len)) = (fits, u16::try_from(name.len())) else {
            return self.fail(start, ErrorKind::TooLarge, "a shorter member name");
        };
        let key_start = key_start as u32;
        self.tape.names.push_str(&name);
        self.tape.escaped_keys.push(EscapedKey {
            key_start,
            start: start as u32,
            end: end as u32,
        });
        Ok(Key {
            start: key_start,
            len,
        })
    }

    /// Refuses a name that this small object already has.
    fn refuse_known(&mut self, key: Key) -> Result<(), Error> {
        let name = self.name(key);
        let bit = 1u64 << (name_hash(name) & 63);
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        let maybe = open.seen & bit != 0;
        open.seen |= bit;
        open.members += 1;
        if !maybe || open.members > COMPARED_MAX {
            return Ok(());
        }
        let mut at = open.index as usize + 1;
        while let Some(slot) = self.tape.slots.get(at) {
            if self.name(slot.key()) == self.name(key) {
                return self.duplicate(key);
            }
            at = slot.next as usize;
        }
        Ok(())
    }

    /// Checks all names of a large object that has just ended.
    fn hash_names(&self, index: u32) -> Result<(), Error> {
        let mut names = HashSet::new();
        let mut at = index as usize + 1;
        while let Some(slot) = self.tape.slots.get(at) {
            if !names.insert(self.name(slot.key())) {
                return self.duplicate(slot.key());
            }
            at = slot.next as usize;
        }
        Ok(())
    }

    fn duplicate<T>(&self, key: Key) -> Result<T, Error> {
        let expected = "a name that this object does not have yet";
        let mut escaped = self.tape.escaped_keys.iter();
        let start = match escaped.find(|aside| aside.key_start == key.start) {
            Some(aside) => aside.start,
            None => key.start,
        };
        self.fail(start as usize, ErrorKind::DuplicateKey, expected)
    }

    #[inline]
    fn name(&self, key: Key) -> &[u8] {
        let (start, len) = (key.start as usize, key.len as usize);
        match self.bytes.get(start..start + len) {
            Some(name) => name,
            // It has escapes, and is put aside.
            None => &self.tape.names.as_bytes()[start - self.bytes.len()..][..len],
        }
    }

    fn scalar(&mut self, key: Key) -> Result<(), Error> {
        let start = self.at;
        let mut escaped = false;
        let kind = match self.peek() {
            Some(b'"') => {
                escaped = self.string()?;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.word(b"true", Kind::Bool)?,
            Some(b'f') => self.word(b"false", Kind::Bool)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            _ => return self.refuse("a value"),
        };
        self.push(kind, start, key, escaped)?;
        Ok(())
    }

    fn push(&mut self, kind: Kind, start: usize, key: Key, escaped: bool) -> Result<u32, Error> {
        let index = self.tape.slots.len();
        if index >= self.limits.nodes_max {
            return self.fail(start, ErrorKind::TooMany, "fewer values");
        }
        self.tape.slots.push(Slot {
            start: start as u32,
            end: self.at as u32,
            next: index as u32 + 1,
            key_start: key.start,
            key_len: key.len,
            kind,
            escaped,
        });
        Ok(index as u32)
    }

    /// Passes a string; true when it has escapes.
    fn string(&mut self) -> Result<bool, Error> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return self.refuse("an escape in place of a control character"),
                None => return self.refuse("a closing double quote"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Error> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                match self.hex()? {
                    0xDC00..=0xDFFF => self.refuse("a high surrogate before the low one"),
                    0xD800..=0xDBFF => self.low_surrogate(),
                    _ => Ok(()),
                }
            }
            _ => self.refuse("one of \" \\ / b f n r t u"),
        }
    }

    fn low_surrogate(&mut self) -> Result<(), Error> {
        let paired = self.bytes[self.at..].starts_with(b"\\u") && {
            self.at += 2;
            (0xDC00..=0xDFFF).contains(&self.hex()?)
        };
        if paired {
            return Ok(());
        }
        self.refuse("a low surrogate behind the high one")
    }

    fn hex(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| (byte as char).to_digit(16));
            let Some(digit) = digit else {
                return self.refuse("four hexadecimal digits");
            };
            value = value << 4 | digit;
            self.at += 1;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Kind, Error> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return self.refuse("a number without leading zero");
            }
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            return self.refuse("a digit");
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Error> {
        if !self.bytes[self.at..].starts_with(word) {
            return self.refuse("a value");
        }
        self.at += word.len();
        Ok(kind)
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[cold]
    fn refuse<T>(&self, expected: &'static str) -> Result<T, Error> {
        self.fail(self.at, ErrorKind::Syntax, expected)
    }

    #[cold]
    fn fail<T>(&self, at: usize, kind: ErrorKind, expected: &'static str) -> Result<T, Error> {
        Err(Error::at(self.bytes, at, kind, expected))
    }
}

impl Slot {
    fn key(&self) -> Key {
        Key {
            start: self.key_start,
            len: self.key_len,
        }
    }
}

fn name_hash(name: &[u8]) -> u32 {
    let first = name.first().copied().unwrap_or(0);
    let last = name.last().copied().unwrap_or(0);
    let middle = name.get(name.len() / 2).copied().unwrap_or(0);
    u32::from(first) * 31 + u32::from(last) * 17 + u32::from(middle) * 7 + name.len() as u32
}

/// The next quote, backslash, control character or end at or behind `at`.
///
/// Eight bytes at a time: most strings of a resource are shorter than what `memchr` needs to
/// pay off, and this finds all three kinds of ends in the same step.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = word ^ (LOW * b'"' as u64);
        let backslash = word ^ (LOW * b'\\' as u64);
        let found = (quote.wrapping_sub(LOW) & !quote)
            | (backslash.wrapping_sub(LOW) & !backslash)
            | (word.wrapping_sub(LOW * 0x20) & !word);
        let found = found & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = bytes.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            break;
        }
        at += 1;
    }
    at
}
