//! Where the walk is, written as FHIRPath only when a fault is found
//! (<https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.expression>).

use std::fmt;

/// A place below another: each lives on the stack of the walk.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    up: Option<&'p Place<'p>>,
    name: &'p str,
    index: Option<usize>,
    depth: usize,
}

impl<'p> Place<'p> {
    /// The place of the whole resource; without a name when its type is not
    /// known.
    pub(super) fn root(name: &'p str) -> Place<'p> {
        Place {
            up: None,
            name,
            index: None,
            depth: 0,
        }
    }

    pub(super) fn is_root(&self) -> bool {
        self.up.is_none()
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// An element of this object.
    pub(super) fn child(&'p self, name: &'p str) -> Place<'p> {
        Place {
            up: Some(self),
            name,
            index: None,
            depth: self.depth + 1,
        }
    }

    /// One item of this repeating element.
    pub(super) fn item(&self, index: usize) -> Place<'p> {
        Place {
            index: Some(index),
            ..*self
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
            f.write_str(".")?;
        }
        f.write_str(self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}

/// The name, if it can stand in a path or a message: an identifier of a
/// length that element names have. Anything else might be content.
pub(crate) fn plain(name: &str) -> Option<&str> {
    let mut letters = name.bytes();
    let first = letters.next()?;
    let is_plain = name.len() <= 64
        && (first.is_ascii_alphabetic() || first == b'_')
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_plain.then_some(name)
}
