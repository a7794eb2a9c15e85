//! Why a patch could not be read or applied.

use std::borrow::Cow;
use std::fmt;

/// A refusal. The text names the operation by its place and the rule, never a value.
// No PHI: places and rules of the standard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    /// What kind of rule was broken.
    pub kind: ErrorKind,
    /// The place of the operation in the patch, from 0.
    pub operation: Option<usize>,
    /// What is wrong.
    pub message: Cow<'static, str>,
}

/// The kinds of refusals, as RFC 5789, 2.2 tells them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// The patch cannot be understood, whatever it is applied to.
    Malformed,
    /// The resource is not as the patch expects it.
    Mismatch,
    /// The result is no resource.
    Invalid,
    /// The patch, or its result, is too large.
    TooCostly,
}

impl Error {
    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Malformed, message)
    }

    pub(super) fn mismatch(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Mismatch, message)
    }

    pub(super) fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::Invalid, message)
    }

    pub(super) fn costly(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorKind::TooCostly, message)
    }

    /// The same, about an operation.
    pub(super) fn of(self, operation: usize) -> Error {
        Error {
            operation: Some(operation),
            ..self
        }
    }

    fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            kind,
            operation: None,
            message: message.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(operation) => write!(f, "operation {operation} of the patch: {}", self.message),
            None => write!(f, "{}", self.message),
        }
    }
}

impl std::error::Error for Error {}
