//! An archive, read: its log from the beginning to an instant.
//!
//! It begins with the newest base that is of use for that instant, if there is one. Where a base
//! turns out to be damaged, an older one or the log itself is read in its stead, from the place
//! where it broke off: the batches are the same ones.

use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::merkle::Frontier;
use salus_store::{LogBatch, SealedBlob, Seq};

use crate::name::{self, BlobPart};
use crate::{Base, BaseName, Contents, Destination, Error, Fault, Keys, What, Whole};

mod line;

pub(crate) use self::line::Line;

/// The archive of a store in a destination.
#[derive(Clone)]
pub struct Archive {
    pub(crate) destination: Arc<dyn Destination>,
    pub(crate) keys: Keys,
    /// See [`Self::of_generation`].
    pub(crate) generation: u64,
}

/// How far a log is read: whole batches only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the end.
    End,
    /// To the last batch that ends at or before this seq.
    Seq(Seq),
    /// To the first batch that is later than this, in milliseconds since 1970 UTC, without it.
    TimeMs(i64),
}

/// How far a log was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The last seq.
    pub seq: Seq,
    /// The time of the last batch, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The chain of changes.
    pub chain: [u8; 32],
    /// The hash tree over all audit entries.
    pub frontier: Frontier,
    /// Slots of the keyring that may be named, as the last segment that was read to its end says.
    pub key_slots: u32,
    /// Segments that were read to their ends.
    pub segments: u64,
    /// The number of the last of them.
    pub number: u64,
    /// What the next one says of the one before it.
    pub hash: [u8; 32],
}

impl Archive {
    /// The archive in a destination. Nothing is read yet.
    #[must_use]
    pub fn open(destination: Arc<dyn Destination>, keys: Keys) -> Self {
        Self {
            destination,
            keys,
            generation: 0,
        }
    }

    /// What it is called in messages.
    #[must_use]
    pub fn label(&self) -> &str {
        self.destination.label()
    }

    /// Which segments and bases are there, as their names tell.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn contents(&self) -> Result<Contents, Error> {
        let mut objects = self.destination.list(name::SEGMENTS).await?;
        for prefix in [name::BASES, name::PRUNED] {
            objects.extend(self.destination.list(prefix).await?);
        }
        Ok(Contents::of(objects.iter().map(|object| &*object.name)))
    }

    /// The log from its beginning.
    ///
    /// # Errors
    /// [`Error::Pruned`] for an instant before those that can be restored; others when the
    /// destination cannot be reached.
    pub async fn read(&self, until: Until) -> Result<Reading, Error> {
        let contents = self.contents().await?;
        let (wholes, damaged) = self.wholes(&contents).await?;
        // Without its beginning the line alone is of no use, but tells what is missing.
        let whole_line = contents
            .segments
            .first()
            .is_none_or(|name| name.first.0 == 1);
        let known = wholes.into_iter().rev();
        let ways =
            known.filter(|(base, whole)| contents.ends_at(base.name) && whole.reaches(until));
        let mut ways: Vec<_> = ways.map(Some).collect();
        if let (true, Some(pruned)) = (
            ways.is_empty() && damaged.is_empty(),
            contents.pruned.last(),
        ) && !whole_line
        {
            return Err(Error::Pruned(pruned.seq));
        }
        if whole_line || ways.is_empty() {
            ways.insert(0, None);
        }
        let line = self.next_way(&contents, &mut ways).await?;
        Ok(Reading {
            archive: self.clone(),
            contents,
            until,
            ways,
            line,
            given: Reached::default(),
            damaged,
            broken: false,
            ended: false,
        })
    }

    /// The best way that is left. A base is of use if the line is whole behind it, up to where it
    /// says that it is: there stands what was purged while it was taken.
    async fn next_way(
        &self,
        contents: &Contents,
        ways: &mut Vec<Option<(Base, Whole)>>,
    ) -> Result<Line, Error> {
        while let Some(Some((base, whole))) = ways.last() {
            let behind = self.check_behind(contents, base.name, whole, &unasked);
            let found = match behind.await {
                Ok(_) => Some((base.clone(), whole.clone())),
                Err(Error::Fault(_)) => None,
                Err(error) => return Err(error),
            };
            ways.pop();
            if found.is_some() {
                return Ok(Line::new(contents, found));
            }
        }
        ways.pop();
        Ok(Line::new(contents, None))
    }

    /// What bodies were compressed with, by number.
    ///
    /// # Errors
    /// When the destination cannot be reached; a [`Fault`] for one that is missing or damaged.
    pub async fn dictionaries(&self) -> Result<Vec<Bytes>, Error> {
        let objects = self.destination.list(name::DICTIONARIES).await?;
        let mut dictionaries = Vec::new();
        for object in objects {
            let place = dictionaries.len();
            if name::parse_dictionary(&object.name) != Some(place) {
                let what = What::Missing { until: None };
                return Err(Fault::new(name::dictionary(place), what).into());
            }
            let sealed = self.get(&object.name).await?;
            let opened = self.keys.open(object.name.as_bytes(), &sealed);
            let damaged = |_| Fault::damaged(&object.name, "it is not what was sealed");
            dictionaries.push(opened.map_err(damaged)?.into());
        }
        Ok(dictionaries)
    }

    /// All blobs that are there, with how many bytes they have together; which a restored store
    /// needs, its records tell.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn blobs(&self) -> Result<Vec<(SealedBlob, u64)>, Error> {
        let objects = self.destination.list(name::BLOBS).await?;
        let mut blobs: Vec<(SealedBlob, u64)> = Vec::new();
        for object in objects {
            let Some(BlobPart { blob, .. }) = BlobPart::parse(&object.name) else {
                continue;
            };
            match blobs.last_mut().filter(|(last, _)| *last == blob) {
                Some((_, bytes)) => *bytes += object.bytes,
                None => blobs.push((blob, object.bytes)),
            }
        }
        Ok(blobs)
    }

    /// A part of a blob, sealed as the store had it; they count from zero. `None` behind the
    /// last, and so at once if there is no such blob.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn blob_part(&self, blob: &SealedBlob, part: u32) -> Result<Option<Bytes>, Error> {
        let name = BlobPart {
            blob: blob.clone(),
            part,
        };
        Ok(self.destination.get(&name.to_string()).await?)
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Bytes, Error> {
        let got = self.destination.get(name).await?;
        Ok(got.ok_or_else(|| Fault::new(name, What::Missing { until: None }))?)
    }
}

/// The log of an archive as it is read, from its beginning.
pub struct Reading {
    archive: Archive,
    contents: Contents,
    until: Until,
    /// Where else it can be read, the best of them last.
    ways: Vec<Option<(Base, Whole)>>,
    line: Line,
    /// What was given, which may be more than the line has come to again.
    given: Reached,
    damaged: Vec<Fault>,
    /// The base is damaged, and another way has to be found.
    broken: bool,
    ended: bool,
}

impl Reading {
    /// The next batches, at least one; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Fault`] when something is not what was written: all before it was given, and
    /// nothing comes behind it. Other errors when the destination cannot be reached; then it
    /// may be asked again.
    pub async fn next(&mut self) -> Result<Option<Vec<LogBatch>>, Error> {
        loop {
            if self.ended {
                return Ok(None);
            }
            if self.broken {
                let way = self.archive.next_way(&self.contents, &mut self.ways);
                self.line = way.await?;
                self.broken = false;
            }
            let in_base = self.line.is_in_base();
            match self.line.step(&self.archive).await {
                Ok(Some(batches)) => {
                    let batches = self.wanted(batches);
                    if !batches.is_empty() {
                        return Ok(Some(batches));
                    }
                }
                Ok(None) => self.ended = true,
                Err(Error::Fault(fault)) if in_base && !self.ways.is_empty() => {
                    self.damaged.push(fault);
                    self.broken = true;
                }
                Err(error) => {
                    self.ended = matches!(error, Error::Fault(_));
                    return Err(error);
                }
            }
        }
    }

    /// How far it is with what was given so far.
    #[must_use]
    pub fn reached(&self) -> &Reached {
        &self.given
    }

    /// The base that it began with, or that stands in for a damaged one.
    #[must_use]
    pub fn base(&self) -> Option<(BaseName, &Whole)> {
        let base = self.line.base.as_ref();
        base.map(|(base, whole)| (base.name, whole))
    }

    /// What is wrong with bases that were passed over: nothing is missing for it.
    #[must_use]
    pub fn damaged(&self) -> &[Fault] {
        &self.damaged
    }

    /// How many segments there are, and how many of them were read.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        self.line.progress()
    }

    /// Of the batches that the line came to, those that are wanted and were not given yet. At a
    /// segment's end, where none come, what it says of itself is known.
    fn wanted(&mut self, mut batches: Vec<LogBatch>) -> Vec<LogBatch> {
        if batches.is_empty() && self.line.reached.seq == self.given.seq {
            self.given = self.line.reached.clone();
        }
        let given = self.given.seq;
        batches.retain(|batch| batch.last > given);
        let until = self.until;
        let wanted = |batch: &LogBatch| match until {
            Until::End => true,
            Until::Seq(seq) => batch.last <= seq,
            Until::TimeMs(time_ms) => batch.time_ms <= time_ms,
        };
        if let Some(count) = batches.iter().position(|batch| !wanted(batch)) {
            batches.truncate(count);
            self.ended = true;
        }
        batches.iter().for_each(|batch| self.given.follow(batch));
        batches
    }
}

/// The engine is not asked whether a batch follows: it will be when it takes it.
fn unasked(_: [u8; 32], _: &LogBatch) -> bool {
    true
}

impl Whole {
    /// Whether the base is of use for an instant.
    fn reaches(&self, until: Until) -> bool {
        match until {
            Until::End => true,
            Until::Seq(seq) => seq >= self.valid.0,
            Until::TimeMs(time_ms) => time_ms >= self.valid.1,
        }
    }
}

impl Reached {
    fn next(&self) -> Seq {
        Seq(self.seq.0 + 1)
    }

    fn follow(&mut self, batch: &LogBatch) {
        self.seq = batch.last;
        self.time_ms = batch.time_ms;
        self.chain = batch.chain;
        for part in &batch.parts {
            if let salus_store::LogPart::Audit { leaf, .. } = part {
                self.frontier.append(*leaf);
            }
        }
    }
}
