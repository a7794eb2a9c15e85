//! The end of an archive, as it grows: for who has the log up to a point and wants what comes
//! behind it, soon after it appears.
//!
//! Number and first seq of the next segment follow from the one before, so one read of a known
//! name tells whether it is there. A list is asked for at the beginning and now and then: segments
//! may have been merged meanwhile, or be missing.

use salus_crypto::merkle::Frontier;
use salus_store::{Log, LogBatch, LogHead, Seq};

use crate::segment::Opening;
use crate::shipper::alike;
use crate::{Archive, Error, Fault, Form, Put, Segment, SegmentName, Start, Trouble, What};

#[cfg(test)]
mod tests;

/// Of so many looks one asks for a list, if the next segment is not there by its name.
const LIST_EVERY: u32 = 8;

/// The log behind a point.
pub struct Tail {
    archive: Archive,
    /// The last seq that was given.
    after: Seq,
    /// The segment that ends there; `None` before it is known.
    end: Option<End>,
    opening: Option<(SegmentName, Opening)>,
    /// Looks since a list that had nothing new; `None` if the next one has to ask for a list.
    looks: Option<u32>,
    /// The last seq that is known to be there.
    known: Seq,
    /// When the last batch that was given or compared was committed.
    time_ms: Option<i64>,
}

/// The end of a segment that was read.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// Its number.
    pub number: u64,
    /// The last seq.
    pub seq: Seq,
    /// What the next one says of it.
    pub hash: [u8; 32],
    /// The chain of changes.
    pub chain: [u8; 32],
    /// The hash tree over all audit entries.
    pub frontier: Frontier,
}

impl End {
    /// Whether a log that is at the end of the segment is what the archive says.
    #[must_use]
    pub fn is(&self, head: &LogHead) -> bool {
        let audit = (self.frontier.size(), self.frontier.root());
        (head.seq, head.chain, (head.audit_size, head.audit_root)) == (self.seq, self.chain, audit)
    }
}

impl Archive {
    /// What comes behind a point of a log that has all before.
    #[must_use]
    pub fn tail(&self, after: Seq) -> Tail {
        Tail {
            archive: self.clone(),
            after,
            end: (after == Seq(0)).then(End::default),
            opening: None,
            looks: None,
            known: after,
            time_ms: None,
        }
    }
}

impl Tail {
    /// The next batches; none if there are none yet. The log has all that was given before.
    ///
    /// # Errors
    /// [`Error::Fault`] when something is not what was written, [`Error::Elsewhere`] when the log
    /// is of another history than the archive; others when the destination cannot be reached. It
    /// may be asked again, and goes on where it was.
    pub async fn next(&mut self, log: &dyn Log) -> Result<Vec<LogBatch>, Error> {
        loop {
            match self.step(log).await {
                Ok(Some(batches)) if batches.is_empty() => {}
                Ok(batches) => return Ok(batches.unwrap_or_default()),
                Err(error) => {
                    // What was read of the segment is read again.
                    self.opening = None;
                    return Err(error);
                }
            }
        }
    }

    /// The end of the last segment, if all of it was given.
    #[must_use]
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref().filter(|end| end.seq == self.after)
    }

    /// The last seq that is known to be in the archive.
    #[must_use]
    pub fn known(&self) -> Seq {
        self.known
    }

    /// When the last commit was that is known to be on both sides, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn time_ms(&self) -> Option<i64> {
        self.time_ms
    }

    /// Lists at the next look, if nothing new has come.
    pub fn look_again(&mut self) {
        self.looks = None;
    }

    /// Some batches; `None` if there is nothing just now.
    async fn step(&mut self, log: &dyn Log) -> Result<Option<Vec<LogBatch>>, Error> {
        let Some((name, mut opening)) = self.opening.take() else {
            return self.begin(log).await;
        };
        let fault = |what| Error::Fault(Fault::new(&name, what));
        let Some(mut batches) = opening.next(&self.archive.keys).map_err(fault)? else {
            self.end = Some(End {
                number: opening.header().numbers.1,
                seq: opening.header().seqs.1,
                hash: opening.closes(),
                chain: opening.footer().chain,
                frontier: opening.footer().frontier.clone(),
            });
            return Ok(Some(Vec::new()));
        };
        let known = batches.iter().rposition(|batch| batch.last <= self.after);
        if let Some(known) = known {
            // All of them are compared by the last: the chain, the tree, and what the store checks.
            if let Some(last) = batches.get(known).filter(|last| last.last == self.after) {
                belongs(log, last).await?;
                self.time_ms = Some(last.time_ms);
            }
            batches.drain(..=known);
        }
        let follows = |first: &LogBatch| first.first.0 == self.after.0 + 1;
        if !batches.first().is_none_or(follows) {
            return Err(elsewhere());
        }
        if let Some(last) = batches.last() {
            self.after = last.last;
            self.time_ms = Some(last.time_ms);
        }
        self.opening = Some((name, opening));
        Ok(Some(batches))
    }

    /// Opens the segment that has what comes next, if there is one.
    async fn begin(&mut self, log: &dyn Log) -> Result<Option<Vec<LogBatch>>, Error> {
        // Given, but cut off within a segment: what is behind it is found by the list.
        if let Some(end) = self.end().cloned() {
            let name = SegmentName {
                first: (end.number + 1, Seq(end.seq.0 + 1)),
                last: None,
            };
            if let Some(bytes) = self.archive.destination.get(&name.to_string()).await? {
                self.looks = self.looks.map(|looks| looks.saturating_add(1));
                return self.open(name, &bytes, Some(end)).map(Some);
            }
        }
        if self.end().is_some()
            && let Some(looks) = self.looks.filter(|looks| *looks < LIST_EVERY)
        {
            self.looks = Some(looks + 1);
            return Ok(None);
        }
        let Some(name) = self.listed(log).await? else {
            self.looks = Some(0);
            return Ok(None);
        };
        // Behind a merged segment may be another, which has no name that is known: there is nothing
        // new only when a list says so.
        self.looks = None;
        let bytes = self.archive.get(&name.to_string()).await?;
        self.open(name, &bytes, None).map(Some)
    }

    /// The segment in the list that has the next seq, or the last one before it.
    async fn listed(&self, log: &dyn Log) -> Result<Option<SegmentName>, Error> {
        let contents = self.archive.contents().await?;
        let segments = &contents.segments;
        // Before the end is known, the segment that has the last seq is read to compare it.
        let upto = self.after.0 + u64::from(self.end().is_some());
        let behind = segments.partition_point(|name| name.first.1.0 <= upto);
        let name = behind.checked_sub(1).and_then(|at| segments.get(at));
        let own = log.head().await?.seq;
        let Some(name) = name else {
            return match (segments.first(), own) {
                (None, Seq(0)) => Ok(None),
                (None, _) => Err(Error::Destination(Trouble {
                    label: self.archive.label().to_owned(),
                    reason: "it is empty, or not what it was".into(),
                    lasting: false,
                })),
                // Whoever is behind what was pruned has to begin anew, with a base.
                (Some(_), _) if !contents.pruned.is_empty() => {
                    let seq = contents.pruned.last().map_or(Seq(0), |base| base.seq);
                    Err(Error::Pruned(seq))
                }
                (Some(first), _) => Err(missing(1, first.first.0)),
            };
        };
        let Some(end) = self.end() else {
            // Which segment has the point is known when it is read.
            let next = segments.get(behind);
            return match self.reaches(name).await? {
                true => Ok(Some(name.clone())),
                false => match next {
                    Some(next) => Err(missing(name.last_number() + 1, next.first.0)),
                    None => Err(shorter()),
                },
            };
        };
        if name.last_number() > end.number {
            return Ok(Some(name.clone()));
        }
        match segments.get(behind) {
            Some(next) => Err(missing(end.number + 1, next.first.0)),
            None if segments
                .last()
                .is_some_and(|last| last.last_number() < end.number) =>
            {
                Err(shorter())
            }
            None => Ok(None),
        }
    }

    /// Whether a segment has the last seq that was given, by its head.
    async fn reaches(&self, name: &SegmentName) -> Result<bool, Error> {
        let header = self.archive.header(name).await?;
        Ok(header.seqs.1 >= self.after)
    }

    /// Begins a segment, of which the one before is known or not.
    fn open(
        &mut self,
        name: SegmentName,
        bytes: &bytes::Bytes,
        before: Option<End>,
    ) -> Result<Vec<LogBatch>, Error> {
        let fault = |what| Error::Fault(Fault::new(&name, what));
        let frontier = before.as_ref().map(|end| end.frontier.clone());
        let opening = Opening::new(&self.archive.keys, bytes, frontier).map_err(fault)?;
        let header = opening.header();
        if header.name() != name {
            return Err(fault(What::Misplaced(header.name())));
        }
        if before.is_some_and(|end| end.hash != header.before) {
            return Err(fault(What::Unchained("its predecessor had another hash")));
        }
        if header.seqs.1 < self.after {
            return Err(shorter());
        }
        self.known = self.known.max(header.seqs.1);
        self.opening = Some((name, opening));
        Ok(Vec::new())
    }
}

/// Refuses a batch that the log has otherwise.
async fn belongs(log: &dyn Log, batch: &LogBatch) -> Result<(), Error> {
    match has(log, batch).await? {
        true => Ok(()),
        false => Err(elsewhere()),
    }
}

/// Whether the log has the same commit.
async fn has(log: &dyn Log, batch: &LogBatch) -> Result<bool, Error> {
    let before = Seq(batch.first.0.saturating_sub(1));
    let own = log.batches(before, 1).await?;
    Ok(own.first().is_some_and(|own| alike(own, batch)))
}

impl Archive {
    /// The last seq up to which a log and the archive have the same commits, if they have up to
    /// this one: what the log has behind it, the archive does not have.
    ///
    /// # Errors
    /// As [`Tail::next`].
    pub async fn common(&self, log: &dyn Log, from: Seq) -> Result<Seq, Error> {
        let (mut tail, mut common) = (self.tail(from), from);
        loop {
            let batches = tail.next(log).await?;
            if batches.is_empty() {
                return Ok(common);
            }
            for batch in batches {
                if !has(log, &batch).await? {
                    return Ok(common);
                }
                common = batch.last;
            }
        }
    }

    /// Offers batches as the segment behind the end; whether it is there now, and ours.
    ///
    /// # Errors
    /// When it cannot be made, or it is not known whether it was.
    pub async fn claim(
        &self,
        end: &End,
        batches: &[LogBatch],
        (key_slots, made_ms): (u32, i64),
    ) -> Result<bool, Error> {
        let start = Start {
            form: Form::Shipped,
            numbers: (end.number + 1, end.number + 1),
            before: end.hash,
            frontier: end.frontier.clone(),
            key_slots,
            made_ms,
        };
        let Some(segment) = Segment::seal(&self.keys, start, batches)? else {
            return Ok(false);
        };
        let name = segment.name.to_string();
        match self.destination.put(&name, segment.bytes.clone()).await? {
            Put::Made => Ok(true),
            Put::Taken => {
                let there = self.destination.get(&name).await?;
                Ok(there.is_some_and(|there| there == segment.bytes))
            }
        }
    }

    /// How far the log goes, and how many slots of the keyring it may name.
    ///
    /// # Errors
    /// When the last segment cannot be read.
    pub async fn reach(&self) -> Result<(Seq, u32), Error> {
        let contents = self.contents().await?;
        let Some(name) = contents.segments.last() else {
            return Ok((Seq(0), 0));
        };
        let bytes = self.get(&name.to_string()).await?;
        let read = || {
            let mut opening = Opening::new(&self.keys, &bytes, None)?;
            while opening.next(&self.keys)?.is_some() {}
            Ok((opening.header().seqs.1, opening.footer().key_slots))
        };
        Ok(read().map_err(|what| Fault::new(name, what))?)
    }
}

fn elsewhere() -> Error {
    Error::Elsewhere(
        "the archive is of another history than this store: at the end of what the store has, \
         the archive has another commit",
    )
}

fn shorter() -> Error {
    Error::Elsewhere(
        "this store has commits that the archive does not have: it is of another history, or the \
         archive lost its end",
    )
}

fn missing(number: u64, next: u64) -> Error {
    let until = (next > number + 1).then_some(next);
    Fault::new(format!("segment {number}"), What::Missing { until }).into()
}
