//! Whether the lines of an export are all there, once, and in their order.

use std::collections::BTreeSet;

use super::report::{Finding, Report};

/// Places left out that are remembered one by one.
const GAPS_MAX: u64 = 100_000;

/// How far the lines came.
pub(super) struct Order {
    first: u64,
    expected: u64,
    last_seq: Option<u64>,
    missing: BTreeSet<u64>,
    /// Places left out that were too many to remember.
    lost: Vec<(u64, u64)>,
}

/// Where a line stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where it should.
    Next,
    /// Behind others that are not there.
    Behind,
    /// Its place was left out before.
    Late,
    /// Its place is taken.
    Again,
    /// Where its number says, but its entry came before the one in front of it.
    Earlier,
}

impl Order {
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            expected: first,
            last_seq: None,
            missing: BTreeSet::new(),
            lost: Vec::new(),
        }
    }

    pub(super) fn is_at_start(&self) -> bool {
        self.expected == self.first
    }

    /// The place of the next line.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Takes the next line.
    pub(super) fn take(&mut self, index: u64, seq: Option<u64>) -> Place {
        if index < self.expected {
            return match self.missing.remove(&index) {
                true => Place::Late,
                false => Place::Again,
            };
        }
        let gap = self.expected..index;
        self.expected = index + 1;
        if !gap.is_empty() {
            self.last_seq = seq.or(self.last_seq);
            let left = GAPS_MAX.saturating_sub(self.missing.len() as u64);
            match gap.end - gap.start <= left {
                true => self.missing.extend(gap),
                false => self.lost.push((gap.start, gap.end)),
            }
            return Place::Behind;
        }
        let earlier = seq.is_some_and(|seq| self.last_seq.is_some_and(|last| seq <= last));
        self.last_seq = seq.or(self.last_seq);
        if earlier { Place::Earlier } else { Place::Next }
    }

    /// What never came.
    pub(super) fn end(&mut self, report: &mut Report) {
        let mut missing = std::mem::take(&mut self.missing).into_iter().peekable();
        while let Some(from) = missing.next() {
            let mut to = from + 1;
            while missing.next_if_eq(&to).is_some() {
                to += 1;
            }
            self.lost.push((from, to));
        }
        self.lost.sort_unstable();
        for (from, to) in self.lost.drain(..) {
            report.find(Finding::Deleted { from, to });
        }
    }
}
