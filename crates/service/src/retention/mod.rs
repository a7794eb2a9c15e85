//! Retention: how long a project keeps records, which of them are under legal hold, and what
//! is disposed of when their time is over.
//!
//! What ends records for good, and what forbids it, take turns: a hold that is placed while
//! something is disposed of waits until that is decided, and holds whatever comes after.

mod classes;
mod dispose;
mod due;
mod holds;
mod signed;
mod step;

pub use dispose::{Disposed, NewDisposal};
pub use due::{ClassReport, RetentionReport, TypeReport};
pub(crate) use due::{Counted, Patients, Until, kept_until};
pub use holds::NewHold;
pub(crate) use holds::{Held, understood};
pub(crate) use step::{entry, purges};

use crate::error::Error;

/// Characters of what somebody says, at most.
const TEXT_MAX: usize = 1000;
/// And at least, or it says nothing.
const TEXT_MIN: usize = 10;

/// What somebody says, if it says something.
pub(crate) fn said(text: &str, place: &str) -> Result<String, Error> {
    let text = text.trim();
    match (TEXT_MIN..=TEXT_MAX).contains(&text.chars().count()) {
        true => Ok(text.to_owned()),
        false => Err(Error::invalid(format!(
            "{place} must have 10 to 1000 characters"
        ))),
    }
}
