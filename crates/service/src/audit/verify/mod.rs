//! Checks an export of the audit log with nothing but a key: offline, in one pass, in little memory.
//!
//! Leaves are recomputed from the entries that are shown and hashed into the tree. Wherever a
//! checkpoint stands, of the export or from elsewhere, the root has to be its. What the lines
//! themselves tell (a place left out, one that comes twice) names the entry; what was renumbered
//! to hide it is named by the two checkpoints around it.

mod checkpoints;
mod order;
mod report;

use std::io::{self, BufRead, Read};

use base64ct::{Base64, Encoding};
use salus_crypto::checkpoint::{Note, VerifierKey};
use salus_crypto::merkle::Frontier;
use salus_store::LeafForm;

use crate::audit::log::{CHECKPOINT, Head, Leaf, Line};
use checkpoints::Checkpoints;
use order::{Order, Place};
pub use report::{Finding, Report, Source};

/// The longest line; an entry is no longer than a part of it.
const LINE_MAX: u64 = 16 << 20;
/// Lines between two reports of progress.
const STEP: u64 = 4096;

/// What an export is checked with.
#[derive(Clone, Default)]
pub struct Means {
    /// Keys of the log.
    pub keys: Vec<VerifierKey>,
    /// Keys of witnesses.
    pub witnesses: Vec<VerifierKey>,
    /// Checkpoints from elsewhere, each with where it was.
    pub elsewhere: Vec<(String, Note)>,
    /// The export is a part of the log, from an archive: checkpoints from elsewhere that cover
    /// more are left out, and counted.
    pub part: bool,
}
salus_phi::guard!(Means);

/// Checks an export; `progress` is told how many leaves were read, and of how many.
///
/// # Errors
/// When it cannot be read, or is no export at all.
pub fn verify(
    reader: &mut dyn BufRead,
    means: &Means,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<Report> {
    let not_one = || {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it is no export of an audit log",
        )
    };
    let mut line = Vec::new();
    if !read_line(reader, &mut line)? {
        return Err(not_one());
    }
    let head = std::str::from_utf8(&line).ok().and_then(Head::read);
    let head = head.ok_or_else(not_one)?;
    let roots = head.roots().ok_or_else(not_one)?;
    let frontier = Frontier::of_roots(head.after, roots).ok_or_else(not_one)?;
    let mut checked = Checked::new(head, frontier, means);
    let mut more = read_line(reader, &mut line)?;
    while more && line.starts_with(CHECKPOINT.as_bytes()) {
        checked.line(&line);
        more = read_line(reader, &mut line)?;
    }
    checked.begin();
    let (mut lines, size) = (0, checked.report.size);
    while more {
        checked.line(&line);
        lines += 1;
        if lines % STEP == 0 {
            progress(lines, size);
        }
        more = read_line(reader, &mut line)?;
    }
    Ok(checked.end())
}

/// An export as far as it was read.
struct Checked<'a> {
    checkpoints: Checkpoints<'a>,
    order: Order,
    frontier: Frontier,
    /// Whether the tree can still be computed: no leaf was left out.
    whole: bool,
    report: Report,
    body: Vec<u8>,
}

impl<'a> Checked<'a> {
    fn new(head: Head, frontier: Frontier, means: &'a Means) -> Self {
        let report = Report::of(&head);
        Self {
            checkpoints: Checkpoints::new(means, &head.origin),
            order: Order::new(head.after),
            frontier,
            whole: true,
            report,
            body: Vec::new(),
        }
    }

    /// When all checkpoints of the export are known, and before its first leaf.
    fn begin(&mut self) {
        self.checkpoints.add_elsewhere(&mut self.report);
        self.checkpoints.skip_before(self.frontier.size());
        self.compare();
    }

    fn line(&mut self, line: &[u8]) {
        match Line::read(line) {
            Some(Line::Checkpoint(note)) if self.order.is_at_start() => {
                self.checkpoints
                    .add(Source::Export, &note, &mut self.report);
            }
            Some(Line::Leaf(leaf)) => self.leaf(&leaf),
            Some(Line::Checkpoint(_)) | None => {
                let after = self.order.expected();
                self.report.find(Finding::Unreadable { after });
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf<'_>) {
        let (index, seq) = (leaf.index, leaf.entry.as_ref().map(|entry| entry.seq));
        if index >= self.report.size {
            return self.report.find(Finding::Inserted { index, seq });
        }
        match self.order.take(index, seq) {
            Place::Next => {}
            Place::Behind => self.whole = false,
            Place::Late => return self.report.find(Finding::Reordered { index, seq }),
            Place::Again => return self.report.find(Finding::Inserted { index, seq }),
            Place::Earlier => self.report.find(Finding::Reordered { index, seq }),
        }
        self.open(leaf);
        if self.whole {
            self.frontier.append(leaf.leaf);
            self.compare();
        }
    }

    /// Whether the entry of a leaf is the one that it stands for.
    fn open(&mut self, leaf: &Leaf<'_>) {
        let Some(entry) = &leaf.entry else {
            self.report.hidden += 1;
            return;
        };
        self.report.shown += 1;
        self.report.undated += u64::from(entry.form == LeafForm::Entry);
        self.body.resize(entry.body.len(), 0);
        let same = Base64::decode(entry.body, &mut self.body).is_ok_and(|body| {
            let leaf_of = entry
                .form
                .leaf(&entry.salt, entry.scope, entry.time_ms, body);
            leaf_of == leaf.leaf
        });
        if !same {
            let (index, seq) = (leaf.index, entry.seq);
            self.report.find(Finding::Edited { index, seq });
        }
    }

    /// Holds the tree against checkpoints of its size, if there are some.
    fn compare(&mut self) {
        let size = self.frontier.size();
        if self.checkpoints.next_size() == Some(size) {
            let root = self.frontier.root();
            self.checkpoints.compare(size, &root, &mut self.report);
        }
    }

    fn end(mut self) -> Report {
        self.order.end(&mut self.report);
        let there = self.order.expected();
        self.checkpoints.end(there, self.whole, &mut self.report);
        let size = self.report.size;
        if there < size && !self.report.is_truncated() {
            self.report.find(Finding::Truncated { there, size });
        }
        self.report
    }
}

/// Reads a line without its end; false behind the last.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = Read::take(&mut *reader, LINE_MAX).read_until(b'\n', line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read as u64 == LINE_MAX {
        let why = "a line is longer than any of an export";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(read > 0)
}
