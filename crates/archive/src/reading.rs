//! An archive, read: its log from the beginning to an instant.

use std::sync::Arc;

use bytes::Bytes;
use salus_crypto::merkle::Frontier;
use salus_store::{LogBatch, SealedBlob, Seq};

use crate::name::{self, BlobPart};
use crate::segment::Opening;
use crate::{Contents, Destination, Error, Fault, Keys, SegmentName, What};

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

    /// Which segments are there, as their names tell.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn contents(&self) -> Result<Contents, Error> {
        let objects = self.destination.list(name::SEGMENTS).await?;
        Ok(Contents::of(objects.iter().map(|object| &*object.name)))
    }

    /// The log from its beginning.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn read(&self, until: Until) -> Result<Reading, Error> {
        let contents = self.contents().await?;
        Ok(Reading::new(self.clone(), contents, until))
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
    next: usize,
    opening: Option<(SegmentName, Opening)>,
    reached: Reached,
    ended: bool,
}

impl Reading {
    pub(crate) fn new(archive: Archive, contents: Contents, until: Until) -> Self {
        Self {
            archive,
            contents,
            until,
            next: 0,
            opening: None,
            reached: Reached::default(),
            ended: false,
        }
    }

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
            match self.step().await {
                Ok(Some(batches)) if batches.is_empty() => {}
                Ok(Some(batches)) => return Ok(Some(batches)),
                Ok(None) => self.ended = true,
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
        &self.reached
    }

    /// How many segments there are, and how many of them were read.
    #[must_use]
    pub fn progress(&self) -> (usize, usize) {
        (self.next, self.contents.segments.len())
    }

    async fn step(&mut self) -> Result<Option<Vec<LogBatch>>, Error> {
        let Some((name, mut opening)) = self.opening.take() else {
            return self.begin().await;
        };
        let fault = |what| Error::Fault(Fault::new(&name, what));
        match opening.next(&self.archive.keys).map_err(fault)? {
            Some(mut batches) => {
                let passed = self.wanted(&mut batches);
                self.opening = Some((name, opening));
                self.ended = passed;
                Ok(Some(batches))
            }
            None => {
                self.reached.key_slots = opening.footer().key_slots;
                self.reached.segments += 1;
                self.reached.number = opening.header().numbers.1;
                self.reached.hash = opening.closes();
                Ok(Some(Vec::new()))
            }
        }
    }

    /// Opens the next segment; `None` if there is none.
    async fn begin(&mut self) -> Result<Option<Vec<LogBatch>>, Error> {
        let Some(name) = self.contents.segments.get(self.next).cloned() else {
            return Ok(None);
        };
        let expected = self.reached.number + 1;
        if name.first.0 != expected {
            let object = format!("segment {expected}, from seq {}", self.reached.seq.0 + 1);
            let until = (name.first.0 > expected + 1).then_some(name.first.0);
            return Err(Fault::new(object, What::Missing { until }).into());
        }
        let bytes = self.archive.get(&name.to_string()).await?;
        let before = Some(self.reached.frontier.clone());
        let opening = Opening::new(&self.archive.keys, &bytes, before);
        let opening = opening.map_err(|what| Fault::new(&name, what))?;
        self.check(&name, &opening)
            .map_err(|what| Fault::new(&name, what))?;
        self.next += 1;
        self.opening = Some((name, opening));
        Ok(Some(Vec::new()))
    }

    fn check(&self, name: &SegmentName, opening: &Opening) -> Result<(), What> {
        let header = opening.header();
        if header.name() != *name {
            return Err(What::Misplaced(header.name()));
        }
        if header.before != self.reached.hash {
            return Err(What::Unchained("its predecessor had another hash"));
        }
        if header.seqs.0.0 != self.reached.seq.0 + 1 {
            return Err(What::Unchained("a seq is missing between them"));
        }
        Ok(())
    }

    /// Leaves those that are wanted, and says whether that was the end.
    fn wanted(&mut self, batches: &mut Vec<LogBatch>) -> bool {
        let until = self.until;
        let wanted = |batch: &LogBatch| match until {
            Until::End => true,
            Until::Seq(seq) => batch.last <= seq,
            Until::TimeMs(time_ms) => batch.time_ms <= time_ms,
        };
        let count = batches.iter().position(|batch| !wanted(batch));
        batches.truncate(count.unwrap_or(batches.len()));
        for batch in &*batches {
            self.reached.follow(batch);
        }
        count.is_some()
    }
}

impl Reached {
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
