//! Why a text was refused as FHIR XML, or a resource has no XML; never what
//! it said.

use std::borrow::Cow;
use std::fmt;

use crate::issue::{Issue, IssueType};
use crate::json;

/// A refusal with its place. It carries no content of the text, so it may be
/// logged.
// No PHI: places and rules of the standard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// What kind of rule was broken.
    pub kind: ErrorKind,
    /// Where, as FHIRPath: `Patient.name[0].given[1]`; empty outside of the
    /// resource.
    pub place: String,
    /// Line and column of the XML, counted from 1, the column in characters;
    /// none of what was to be written as XML.
    pub position: Option<(usize, usize)>,
    /// What is wrong, or would have been right.
    pub rule: Cow<'static, str>,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// Not XML, or a part of XML that FHIR does not allow.
    Syntax,
    /// An element or attribute that must not be here.
    Structure,
    /// A value that its type does not have.
    Value,
    /// Deeper or larger than the limits.
    TooLarge,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, rule: impl Into<Cow<'static, str>>) -> Error {
        Error {
            kind,
            place: String::new(),
            position: None,
            rule: rule.into(),
        }
    }

    /// The same, found at this byte of the text.
    pub(super) fn at(mut self, text: &str, offset: usize) -> Error {
        self.position
            .get_or_insert_with(|| json::position(text.as_bytes(), offset));
        self
    }

    /// The same, seen from the element around its place.
    pub(super) fn within(mut self, name: &str, index: Option<usize>) -> Error {
        let index = index.map_or_else(String::new, |index| format!("[{index}]"));
        let dot = if self.place.is_empty() { "" } else { "." };
        self.place = [name, &index, dot, &self.place].concat();
        self
    }

    /// The same for the caller.
    #[must_use]
    pub fn issue(&self) -> Issue {
        let code = match self.kind {
            ErrorKind::Syntax | ErrorKind::Structure => IssueType::Structure,
            ErrorKind::Value => IssueType::Value,
            ErrorKind::TooLarge => IssueType::TooLong,
        };
        let details = match self.position {
            Some((line, column)) => {
                format!("{} (XML line {line}, column {column})", self.rule).into()
            }
            None => self.rule.clone(),
        };
        Issue::error(code, self.place.clone(), details)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.issue().fmt(f)
    }
}

impl std::error::Error for Error {}
