//! Why an expression could not be compiled or evaluated.

use std::borrow::Cow;
use std::fmt;

/// A refusal. The text speaks of the expression only, never of the data it ran on.
#[derive(Clone, Eq, PartialEq)]
pub struct Error {
    /// What kind of rule was broken.
    pub kind: ErrorKind,
    /// Where in the expression, in bytes from 0, when known.
    pub offset: Option<usize>,
    /// What is wrong.
    pub message: Cow<'static, str>,
}
salus_phi::guard_debug!(Error);

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// It does not follow the grammar.
    Syntax,
    /// It names a function, type or element that does not exist, or uses one wrongly.
    Semantic,
    /// It is too long, too deep, or ran for too many steps.
    TooCostly,
    /// It met a collection or type of value that its operator or function does not take.
    Evaluation,
    /// It needs something that this server does not offer.
    Unsupported,
}

impl Error {
    pub(super) fn syntax(offset: usize, message: impl Into<Cow<'static, str>>) -> Error {
        Error::at(ErrorKind::Syntax, offset, message)
    }

    pub(super) fn semantic(offset: usize, message: impl Into<Cow<'static, str>>) -> Error {
        Error::at(ErrorKind::Semantic, offset, message)
    }

    pub(super) fn at(
        kind: ErrorKind,
        offset: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error {
            kind,
            offset: Some(offset),
            message: message.into(),
        }
    }

    pub(super) fn evaluation(message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            kind: ErrorKind::Evaluation,
            offset: None,
            message: message.into(),
        }
    }

    /// For what an environment does not offer.
    pub fn unsupported(message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            kind: ErrorKind::Unsupported,
            offset: None,
            message: message.into(),
        }
    }

    pub(super) fn costly(message: &'static str) -> Error {
        Error {
            kind: ErrorKind::TooCostly,
            offset: None,
            message: Cow::Borrowed(message),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} (at character {})", self.message, offset + 1),
            None => write!(f, "{}", self.message),
        }
    }
}

impl std::error::Error for Error {}
