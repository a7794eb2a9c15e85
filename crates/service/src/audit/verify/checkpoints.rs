//! The checkpoints that an export is held against, in the order of their sizes.

use std::collections::BTreeMap;

use salus_crypto::checkpoint::{Note, Verdict};
use salus_crypto::merkle::Hash;

use super::Means;
use super::report::{Finding, Report, Source};

/// Checkpoints of all sizes.
pub(super) struct Checkpoints<'a> {
    means: &'a Means,
    origin: String,
    /// Those that the tree was not held against yet.
    left: BTreeMap<u64, Vec<(Source, Hash)>>,
    /// The largest size up to which the tree was that of a checkpoint of the export.
    good: u64,
    /// The same of one from elsewhere.
    agreed: u64,
    /// Whether a checkpoint of the export itself was not that of its tree.
    changed: bool,
    /// The first checkpoint from elsewhere with another tree, and up to where they agreed.
    forked: Option<(u64, u64, Source)>,
}

impl<'a> Checkpoints<'a> {
    pub(super) fn new(means: &'a Means, origin: &str) -> Self {
        Self {
            means,
            origin: origin.to_owned(),
            left: BTreeMap::new(),
            good: 0,
            agreed: 0,
            changed: false,
            forked: None,
        }
    }

    pub(super) fn add_elsewhere(&mut self, report: &mut Report) {
        for (place, note) in &self.means.elsewhere {
            let beyond = |size: u64| self.means.part && size > report.size;
            if note.checkpoint().is_ok_and(|one| beyond(one.size)) {
                report.later += 1;
                continue;
            }
            let source = Source::Elsewhere(place.clone());
            self.add(source, note, report);
        }
    }

    /// Adds one, if it is of this log and signed with its key.
    pub(super) fn add(&mut self, source: Source, note: &Note, report: &mut Report) {
        let Ok(checkpoint) = note.checkpoint() else {
            report.find(Finding::NoCheckpoint { source });
            return;
        };
        let (size, root) = (checkpoint.size, checkpoint.root);
        if checkpoint.origin != self.origin {
            let origin = checkpoint.origin;
            report.find(Finding::AnotherLog { source, origin });
            return;
        }
        let verdicts = self.means.keys.iter().map(|key| note.verify(key));
        let verdicts: Vec<_> = verdicts.collect();
        if !verdicts.contains(&Verdict::Signed(None)) {
            report.find(match verdicts.contains(&Verdict::Forged) {
                true => Finding::Forged { size, source },
                false => Finding::AnotherKey { size, source },
            });
            return;
        }
        self.count_witnesses(note, &source, size, report);
        match source {
            Source::Export => report.checkpoints += 1,
            Source::Elsewhere(_) => report.elsewhere += 1,
        }
        if report.newest.is_none_or(|(newest, _)| newest <= size) {
            report.newest = Some((size, checkpoint.time_s()));
        }
        let of_size = self.left.entry(size).or_default();
        if !of_size.contains(&(source.clone(), root)) {
            of_size.push((source, root));
        }
    }

    fn count_witnesses(&self, note: &Note, source: &Source, size: u64, report: &mut Report) {
        for key in &self.means.witnesses {
            let seen = report.witnesses.entry(key.name().to_owned()).or_default();
            match note.verify(key) {
                Verdict::Signed(_) => *seen = (*seen).max(Some(size)),
                Verdict::Forged => report.find(Finding::Forged {
                    size,
                    source: source.clone(),
                }),
                Verdict::NotSigned => {}
            }
        }
    }

    /// Leaves out those that lie before the export.
    pub(super) fn skip_before(&mut self, after: u64) {
        self.left = self.left.split_off(&after);
    }

    pub(super) fn next_size(&self) -> Option<u64> {
        self.left.first_key_value().map(|(size, _)| *size)
    }

    /// Holds the tree against those of its size.
    pub(super) fn compare(&mut self, size: u64, root: &Hash, report: &mut Report) {
        let of_size = self.left.remove(&size).unwrap_or_default();
        let (from, agreed) = (self.good.max(self.agreed), self.agreed);
        for (source, expected) in of_size {
            match (expected == *root, source) {
                (true, Source::Export) => self.good = size,
                (true, Source::Elsewhere(_)) => self.agreed = size,
                (false, _) if self.changed => report.further += 1,
                (false, Source::Export) => {
                    self.changed = true;
                    report.find(Finding::Changed { from, to: size });
                }
                (false, source @ Source::Elsewhere(_)) => match &self.forked {
                    None => self.forked = Some((agreed, size, source)),
                    Some(_) => report.further += 1,
                },
            }
        }
    }

    /// What is left when the last of `there` leaves was read.
    pub(super) fn end(mut self, there: u64, whole: bool, report: &mut Report) {
        match self.forked {
            // The export does not even agree with itself: that says more.
            Some(_) if self.changed => report.further += 1,
            Some((from, size, source)) => report.find(Finding::Forked { from, size, source }),
            None => {}
        }
        let beyond = self.left.split_off(&there.saturating_add(1));
        for (size, sources) in beyond.into_iter().rev() {
            for (source, _) in sources {
                if report.beyond.is_none() {
                    report.beyond = Some(size);
                    report.find(match source {
                        Source::Export => Finding::Truncated { there, size },
                        Source::Elsewhere(_) => Finding::RolledBack {
                            there,
                            size,
                            source,
                        },
                    });
                }
            }
        }
        let covered = report.newest.map_or(0, |(size, _)| size);
        if covered < there {
            report.find(Finding::Uncovered {
                from: covered,
                to: there,
            });
        }
        // Behind a place that is missing, nothing could be compared.
        report.not_compared = if whole { 0 } else { self.left.len() as u64 };
    }
}
