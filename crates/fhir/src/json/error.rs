//! Why a JSON text was refused, and where; never what it said.

use std::fmt;

/// A refusal with its place. It carries no content of the text, so it may be logged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// What kind of rule was broken.
    pub kind: ErrorKind,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Counted from 0, in bytes.
    pub offset: usize,
    /// What would have been right at this place.
    pub expected: &'static str,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// Not JSON.
    Syntax,
    /// Containers nested deeper than the limit.
    TooDeep,
    /// More bytes than the limit.
    TooLarge,
    /// More values than the limit.
    TooMany,
    /// Not UTF-8.
    NotUtf8,
    /// A member name occurs twice in one object.
    DuplicateKey,
}

impl Error {
    pub(super) fn at(
        bytes: &[u8],
        offset: usize,
        kind: ErrorKind,
        expected: &'static str,
    ) -> Error {
        let (line, column) = position(bytes, offset);
        Error {
            kind,
            line,
            column,
            offset,
            expected,
        }
    }
}

/// Line and column of a byte, counted from 1, the column in characters.
pub(crate) fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
    let characters = before
        .iter()
        .skip(line_start)
        .filter(|&&byte| byte & 0xC0 != 0x80);
    let lines = memchr::memchr_iter(b'\n', before).count();
    (1 + lines, 1 + characters.count())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.kind {
            ErrorKind::Syntax => "not JSON",
            ErrorKind::TooDeep => "nested too deep",
            ErrorKind::TooLarge => "too large",
            ErrorKind::TooMany => "too many values",
            ErrorKind::NotUtf8 => "not UTF-8",
            ErrorKind::DuplicateKey => "duplicate member name",
        };
        write!(
            f,
            "{problem} at line {}, column {}: expected {}",
            self.line, self.column, self.expected
        )
    }
}

impl std::error::Error for Error {}
