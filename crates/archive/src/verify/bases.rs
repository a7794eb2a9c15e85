//! Bases, read back, and what they have to do with the line: each ends where a segment does, with the
//! same chain of changes and the same tree; and the line can be restored from one where it is broken
//! or pruned before it.

use std::collections::BTreeMap;

use super::{Before, Follows, Verified};
use crate::{Archive, BaseName, Contents, Error, Fault, SegmentName, What, Whole};

/// Bases that are what was written, by the number of the segment where they end.
pub(super) type Bases = BTreeMap<u64, (BaseName, Whole)>;

impl Archive {
    /// Reads the bases back that say that they are whole; others are being taken, or never used.
    pub(super) async fn verify_bases(
        &self,
        contents: &Contents,
        follows: &Follows<'_>,
        told: &(dyn Fn(u64) + Send + Sync),
        verified: &mut Verified,
    ) -> Result<Bases, Error> {
        if let (Some(mark), None) = (contents.pruned.last(), self.marked(contents).await?) {
            verified.add(&Fault::damaged(mark.mark(), "it is not what was sealed"));
        }
        let (mut bases, mut read) = (Bases::new(), 0);
        let pruned = contents.pruned_to();
        for base in &contents.bases {
            // What is older than the mark is to go, and may be gone in part.
            if base.whole && base.name.number >= pruned {
                let name = base.name;
                let checked = async {
                    let whole = self.whole(base).await?;
                    let before = read;
                    let tell = |done, _| told(before + done);
                    self.check_line(base, &whole, follows, &tell).await?;
                    if !contents.ends_at(name) {
                        let what = What::Unchained("no segment ends where it does");
                        return Err(Fault::new(name, what).into());
                    }
                    Ok(whole)
                };
                match checked.await {
                    Ok(whole) => {
                        verified.bases += 1;
                        verified.bytes += whole.bytes;
                        bases.insert(name.number, (name, whole));
                    }
                    Err(Error::Fault(fault)) => verified.add(&fault),
                    Err(error) => return Err(error),
                }
            }
            read += base.segments.len() as u64;
            told(read);
        }
        Ok(bases)
    }
}

/// How far the line was followed, and what of it can be restored.
pub(super) struct Way {
    /// The end of the segment before; it is not known behind a fault.
    pub(super) before: Option<Before>,
    /// The line can be restored from this seq on; `None` behind a fault, before the next base.
    pub(super) whole_from: Option<salus_store::Seq>,
}

impl Way {
    /// At the beginning of the log, or of what is left of it.
    pub(super) fn new(bases: &Bases, pruned: u64, verified: &mut Verified) -> Self {
        if pruned == 0 {
            return Self {
                before: Some(Before::beginning()),
                whole_from: Some(salus_store::Seq(0)),
            };
        }
        let mut way = Self {
            before: None,
            whole_from: None,
        };
        way.restart(bases, pruned, verified);
        way
    }

    /// Goes on at a base, if what came before the next segment is not known.
    pub(super) fn join(&mut self, bases: &Bases, name: &SegmentName, verified: &mut Verified) {
        let before = name.first.0.saturating_sub(1);
        let known = self.before.as_ref().is_some_and(|it| it.number == before);
        if !known || self.whole_from.is_none() {
            self.restart(bases, before, verified);
        }
    }

    /// Compares a base that ends here with the line.
    pub(super) fn reach(&mut self, after: Before, bases: &Bases, verified: &mut Verified) {
        if let Some((name, whole)) = bases.get(&after.number) {
            let same = (after.seq, after.hash, after.chain) == (name.seq, whole.ends, whole.chain)
                && after.frontier == whole.frontier;
            if !same {
                let what = What::Unchained("the segment at its end has another history");
                verified.add(&Fault::new(*name, what));
            }
        }
        if self.whole_from.is_some_and(|from| from <= after.seq) {
            verified.seq = after.seq;
            verified.frontier = after.frontier.clone();
        }
        self.before = Some(after);
    }

    fn restart(&mut self, bases: &Bases, number: u64, verified: &mut Verified) {
        let Some((name, whole)) = bases.get(&number) else {
            return;
        };
        self.before = Some(Before {
            number,
            seq: name.seq,
            hash: whole.ends,
            chain: whole.chain,
            frontier: whole.frontier.clone(),
        });
        self.whole_from = Some(whole.valid.0);
        if whole.valid.0 == name.seq {
            verified.seq = name.seq;
            verified.frontier = whole.frontier.clone();
        }
        let time_ms = whole.valid.1;
        let (_, last) = verified.times_ms.unwrap_or((time_ms, time_ms));
        verified.times_ms = Some((time_ms, last.max(time_ms)));
    }
}
