//! What can be the matter with an archive: it cannot be reached, or something in it is not what
//! was written. The second is a [`Fault`], which names the object.

use salus_store::Seq;

use crate::{SegmentName, Trouble};

/// Why an archive could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Where it lies did not do as asked.
    #[error(transparent)]
    Destination(#[from] Trouble),
    /// Something in it is not what was written.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// A key could not be used.
    #[error(transparent)]
    Keys(#[from] salus_crypto::Error),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] salus_store::Error),
    /// A store does not go on where the archive ends.
    #[error("{0}")]
    Elsewhere(&'static str),
    /// What is asked for was pruned.
    #[error("the archive does not go back so far: its log up to seq {} was pruned by its window, and begins with a base now", .0.0)]
    Pruned(Seq),
    /// A batch is longer than the format can say.
    #[error("the batch at {0:?} is too long for a segment")]
    TooLong(Seq),
}

/// Something in an archive that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {what}")]
pub struct Fault {
    /// The object, or the one that should be there.
    pub object: String,
    /// What is the matter.
    pub what: What,
}

/// What is the matter with an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// It is not there, nor are others behind it.
    #[error("it is missing{}", up_to(*.until))]
    Missing {
        /// The number before which the next is there; `None` if it is this one alone.
        until: Option<u64>,
    },
    /// It belongs to the archive of another store, or is sealed with other keys.
    #[error("it is of another store: the keyring is not the one that this archive belongs to")]
    Foreign,
    /// Some of its bytes are not those that were written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It is another segment than its name says.
    #[error("its name is not its own: in it is {0}")]
    Misplaced(SegmentName),
    /// Another object says that it is the same segment.
    #[error("there is another of the same number, {0}")]
    Doubled(SegmentName),
    /// It does not continue the segment before it: one of the two is of another history.
    #[error("it does not follow the segment before it: {0}")]
    Unchained(&'static str),
    /// The name is none that an archive has.
    #[error("it is nothing of an archive's")]
    Unknown,
}

fn up_to(until: Option<u64>) -> String {
    match until {
        Some(until) => format!(", and so are all up to number {}", until.saturating_sub(1)),
        None => String::new(),
    }
}

impl Fault {
    pub(crate) fn new(object: impl ToString, what: What) -> Self {
        Self {
            object: object.to_string(),
            what,
        }
    }

    pub(crate) fn damaged(object: impl ToString, what: &'static str) -> Self {
        Self::new(object, What::Damaged(what))
    }
}
