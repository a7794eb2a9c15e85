//! What was found in an export.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::audit::log::Head;

/// More findings than this are counted only.
const FINDINGS_MAX: usize = 100;

/// What an export holds, and what is wrong with it.
// No PHI: numbers and names of files, of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which log.
    pub origin: String,
    /// Leaves of the log, as the export says.
    pub size: u64,
    /// Leaves that it leaves out in front.
    pub after: u64,
    /// Leaves whose entries are shown.
    pub shown: u64,
    /// Of those, how many do not commit to their time and project.
    pub undated: u64,
    /// Leaves whose entries are not shown.
    pub hidden: u64,
    /// Checkpoints of the export, of this log and signed with its key.
    pub checkpoints: u64,
    /// The same from elsewhere.
    pub elsewhere: u64,
    /// The largest of all: how many leaves it covers, and when it was signed, in seconds since
    /// 1970 UTC.
    pub newest: Option<(u64, Option<u64>)>,
    /// Of each witness asked for, the largest size that it has cosigned.
    pub witnesses: BTreeMap<String, Option<u64>>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Findings and checkpoints that do not fit and were not listed.
    pub further: u64,
    /// Checkpoints that could not be compared, since leaves before them are missing.
    pub not_compared: u64,
    /// Checkpoints from elsewhere that were left out, since they cover more than a part of a log.
    pub later: u64,
    /// The largest size that a checkpoint covers beyond the export.
    pub(super) beyond: Option<u64>,
}

/// Where a checkpoint was.
// No PHI: names of files, of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the export.
    Export,
    /// In this file.
    Elsewhere(String),
}

/// What is wrong. Places are those of leaves, from 0.
// No PHI: names of files and checkpoints, of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The entry is not the one that its leaf stands for.
    Edited {
        /// Its place.
        index: u64,
        /// Its number in the log.
        seq: u64,
    },
    /// Places that are left out.
    Deleted {
        /// The first.
        from: u64,
        /// One behind the last.
        to: u64,
    },
    /// A place that is there once more, or is none of the log.
    Inserted {
        /// The place.
        index: u64,
        /// Its entry's number in the log, if it is shown.
        seq: Option<u64>,
    },
    /// A line that does not stand where it belongs.
    Reordered {
        /// Its place.
        index: u64,
        /// Its entry's number in the log, if it is shown.
        seq: Option<u64>,
    },
    /// The tree is not the one that was signed, and was between these two.
    Changed {
        /// Up to here it is.
        from: u64,
        /// Here it is not.
        to: u64,
    },
    /// Leaves are missing at the end.
    Truncated {
        /// How many are there.
        there: u64,
        /// How many there were.
        size: u64,
    },
    /// A checkpoint from elsewhere is of another tree.
    Forked {
        /// Up to here they are the same.
        from: u64,
        /// Here they are not.
        size: u64,
        /// Where the checkpoint was.
        source: Source,
    },
    /// A checkpoint from elsewhere covers more than the log has.
    RolledBack {
        /// How many leaves there are.
        there: u64,
        /// How many there were.
        size: u64,
        /// Where the checkpoint was.
        source: Source,
    },
    /// No checkpoint covers the last leaves.
    Uncovered {
        /// The first of them.
        from: u64,
        /// One behind the last.
        to: u64,
    },
    /// A checkpoint has no signature of the key.
    AnotherKey {
        /// What it covers.
        size: u64,
        /// Where it was.
        source: Source,
    },
    /// A signature is not of the key that it names.
    Forged {
        /// What the checkpoint covers.
        size: u64,
        /// Where it was.
        source: Source,
    },
    /// A checkpoint is of another log.
    AnotherLog {
        /// Where it was.
        source: Source,
        /// The log.
        origin: String,
    },
    /// A note is no checkpoint.
    NoCheckpoint {
        /// Where it was.
        source: Source,
    },
    /// A line cannot be read.
    Unreadable {
        /// How many leaves came before it.
        after: u64,
    },
}

impl Report {
    pub(super) fn of(head: &Head) -> Self {
        Self {
            origin: head.origin.clone(),
            size: head.size,
            after: head.after,
            ..Self::default()
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn is_truncated(&self) -> bool {
        let mut findings = self.findings.iter();
        findings.any(|finding| matches!(finding, Finding::Truncated { .. }))
    }

    pub(super) fn find(&mut self, finding: Finding) {
        match self.findings.len() < FINDINGS_MAX {
            true => self.findings.push(finding),
            false => self.further += 1,
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Export => f.write_str("of the export"),
            Self::Elsewhere(place) => write!(f, "in {place}"),
        }
    }
}

/// An entry by its place, and its id if it is known: that of its AuditEvent.
struct Named(u64, Option<u64>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(seq) => write!(f, "entry {} (seq {seq})", self.0),
            None => write!(f, "entry {}", self.0),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edited { index, seq } => {
                let entry = Named(*index, Some(*seq));
                write!(f, "{entry} was edited: it is not the one that was signed")
            }
            Self::Deleted { from, to } if to - from == 1 => write!(f, "entry {from} was deleted"),
            Self::Deleted { from, to } => {
                write!(f, "entries {from} to {} were deleted", to - 1)
            }
            Self::Inserted { index, seq } => {
                write!(f, "{} was inserted", Named(*index, *seq))
            }
            Self::Reordered { index, seq } => {
                write!(f, "{} does not stand in its place", Named(*index, *seq))
            }
            Self::Changed { from, to } => write!(
                f,
                "entries {from} to {} are not those that were signed: one was edited, deleted, \
                 inserted or moved, and what would show which was made anew",
                to - 1
            ),
            Self::Truncated { there, size } => {
                write!(
                    f,
                    "the log was truncated: {there} entries of {size} are there"
                )
            }
            Self::Forked { from, size, source } => write!(
                f,
                "the log was forked behind entry {from}: the checkpoint of {size} entries {source} \
                 is of another log under the same name"
            ),
            Self::RolledBack {
                there,
                size,
                source,
            } => write!(
                f,
                "the log was rolled back to {there} entries, or the export is older than the \
                 checkpoint of {size} entries {source}"
            ),
            Self::Uncovered { from, to } => {
                write!(
                    f,
                    "entries {from} to {} are covered by no checkpoint",
                    to - 1
                )
            }
            Self::AnotherKey { size, source } => {
                write!(
                    f,
                    "the checkpoint of {size} entries {source} is signed with another key"
                )
            }
            Self::Forged { size, source } => {
                write!(
                    f,
                    "the checkpoint of {size} entries {source} has a forged signature"
                )
            }
            Self::AnotherLog { source, origin } => {
                write!(f, "a checkpoint {source} is of another log, {origin:?}")
            }
            Self::NoCheckpoint { source } => write!(f, "a note {source} is no checkpoint"),
            Self::Unreadable { after } => {
                write!(f, "the line behind {after} entries cannot be read")
            }
        }
    }
}
