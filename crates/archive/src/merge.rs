//! Merging: the small segments of a live stream become large ones, with the same content.
//!
//! What was merged is read back from where it lies and compared, batch by batch, before anybody
//! may remove what it was merged from. The last segment is left alone: that is where a shipper
//! goes on.

use std::sync::Arc;

use salus_crypto::{Sha256, random};
use salus_store::LogBatch;

use crate::plan::Piece;
use crate::segment::{Footer, Opening, Segment};
use crate::{Archive, Error, Fault, Form, Header, Put, SegmentName, What, batch, name};

/// How segments are merged.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// How large a merged segment gets, about: so much of it is in memory a few times.
    pub bytes: u64,
    /// So many small ones are merged, even if they do not make a large one.
    pub count: usize,
}

impl Sizes {
    /// The usual ones.
    pub const USUAL: Self = Self {
        bytes: 64 << 20,
        count: 256,
    };
}

impl Archive {
    /// Merges what there is to be merged, and says how many segments became how many.
    ///
    /// # Errors
    /// When the destination cannot be reached; a [`Fault`] if something is not what was written.
    pub async fn merge(&self, sizes: Sizes, now_ms: i64) -> Result<(u64, u64), Error> {
        let (mut from, mut to) = (0, 0);
        for run in self.runs(sizes).await? {
            from += run.len() as u64;
            self.merge_run(&run, now_ms).await?;
            to += 1;
        }
        Ok((from, to))
    }

    /// Neighbours that are to become one.
    async fn runs(&self, sizes: Sizes) -> Result<Vec<Vec<SegmentName>>, Error> {
        let contents = self.contents().await?;
        let objects = self.destination.list(name::SEGMENTS).await?;
        let lengths: std::collections::HashMap<_, _> = objects
            .iter()
            .map(|object| (&*object.name, object.bytes))
            .collect();
        let mut runs = Vec::new();
        let (mut run, mut length) = (Vec::new(), 0);
        let segments = contents
            .segments
            .split_last()
            .map_or(&[][..], |(_, all)| all);
        let pruned = contents.pruned_to();
        for name in segments.iter().filter(|name| name.last_number() > pruned) {
            let bytes = lengths.get(&*name.to_string()).copied().unwrap_or(0);
            let follows = run
                .last()
                .is_none_or(|last: &SegmentName| last.last_number() + 1 == name.first.0);
            // The line has to go on behind each base, also one that is being taken.
            let at_base = contents
                .bases
                .iter()
                .any(|base| base.name.number + 1 == name.first.0);
            if !follows || at_base || bytes >= sizes.bytes / 2 {
                // Nothing is merged across a gap either, and what is large already stays.
                finish(&mut runs, &mut run, sizes.count);
                length = 0;
            }
            if bytes >= sizes.bytes / 2 {
                continue;
            }
            run.push(name.clone());
            length += bytes;
            if length >= sizes.bytes {
                finish(&mut runs, &mut run, 2);
                length = 0;
            }
        }
        finish(&mut runs, &mut run, sizes.count);
        Ok(runs)
    }

    async fn merge_run(&self, run: &[SegmentName], now_ms: i64) -> Result<(), Error> {
        let mut content = Content::default();
        let (mut first, mut last): (Option<Header>, Option<Opening>) = (None, None);
        let mut footer = Footer::default();
        for name in run {
            let read = self.read_segment(name, last.as_ref(), &mut content).await?;
            footer.add(read.footer());
            first.get_or_insert_with(|| read.header().clone());
            last = Some(read);
        }
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        let header = Header {
            form: Form::Merged(last.closes()),
            numbers: (first.numbers.0, last.header().numbers.1),
            seqs: (first.seqs.0, last.header().seqs.1),
            times_ms: content.times_ms.unwrap_or_default(),
            made_ms: now_ms,
            salt: random::bytes()?,
            ..first
        };
        let digest = content.digest();
        let (keys, plain) = (self.keys.clone(), Arc::new(content.plain));
        let sealed =
            tokio::task::spawn_blocking(move || Segment::seal_plain(&keys, header, &plain, footer));
        let ended = |_| salus_store::Error::Unavailable("its work was ended".into());
        let segment = sealed.await.map_err(ended)??;
        self.put_merged(&segment, digest).await
    }

    async fn put_merged(&self, segment: &Segment, digest: [u8; 32]) -> Result<(), Error> {
        let object = segment.name.to_string();
        let put = self.destination.put(&object, segment.bytes.clone()).await?;
        let mut content = Content::default();
        let read = self.read_segment(&segment.name, None, &mut content).await?;
        // One that was there before may have been merged by another, but not from anything else.
        let same = content.digest() == digest && *read.footer() == segment.footer;
        if same {
            tracing::debug!(%object, made = (put == Put::Made), "merged");
            return Ok(());
        }
        if put == Put::Made {
            self.destination.remove(&object).await?;
        }
        Err(Fault::damaged(object, "it is not what it was merged from").into())
    }

    /// Reads a segment that follows another, if that is known.
    async fn read_segment(
        &self,
        name: &SegmentName,
        before: Option<&Opening>,
        content: &mut Content,
    ) -> Result<Opening, Error> {
        let fault = |what| Error::Fault(Fault::new(name, what));
        let piece = Piece {
            name: name.clone(),
            base: None,
        };
        let frontier = before.map(|before| before.footer().frontier.clone());
        let mut opening = self.open_piece(&piece, frontier).await?;
        if before.is_some_and(|before| before.closes() != opening.header().before) {
            return Err(fault(What::Unchained("its predecessor had another hash")));
        }
        while let Some(batches) = opening.next(&self.keys).map_err(fault)? {
            batches.iter().try_for_each(|batch| content.add(batch))?;
        }
        Ok(opening)
    }
}

/// What is in segments, as it stands in them.
#[derive(Default)]
struct Content {
    plain: Vec<u8>,
    times_ms: Option<(i64, i64)>,
}

impl Content {
    fn add(&mut self, one: &LogBatch) -> Result<(), Error> {
        let (earliest, latest) = self.times_ms.unwrap_or((one.time_ms, one.time_ms));
        self.times_ms = Some((earliest.min(one.time_ms), latest.max(one.time_ms)));
        batch::put(one, &mut self.plain).ok_or(Error::TooLong(one.first))
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.plain);
        hash.finish()
    }
}

impl Footer {
    /// Adds one that follows.
    fn add(&mut self, next: &Self) {
        *self = Self {
            batches: self.batches + next.batches,
            versions: self.versions + next.versions,
            audit: self.audit + next.audit,
            purges: self.purges + next.purges,
            ..next.clone()
        };
    }
}

/// Ends a run, and keeps it if it is long enough.
fn finish(runs: &mut Vec<Vec<SegmentName>>, run: &mut Vec<SegmentName>, count: usize) {
    let run = std::mem::take(run);
    if run.len() >= count.max(2) {
        runs.push(run);
    }
}

#[cfg(test)]
mod tests;
