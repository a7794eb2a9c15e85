//! An archive, read back from its first byte to its last: every frame is opened, every chain
//! followed, and every fault named, also behind the first.

use futures_util::future::BoxFuture;
use salus_crypto::frames::{Frames, Header as BlobHeader};
use salus_crypto::merkle::Frontier;
use salus_crypto::{Error as CryptoError, Keyring};
use salus_store::{LogBatch, SealedBlob, Seq};

use crate::plan::Piece;
use crate::segment::Opening;
use crate::{Archive, Error, Fault, SegmentName, What};

mod bases;

use self::bases::Way;

/// Tells whether a batch follows the chain of changes before it, as its engine says.
pub type Follows<'a> = dyn Fn([u8; 32], &LogBatch) -> bool + Send + Sync + 'a;
/// Is told how many of how many objects were read.
pub type Progress<'a> = dyn Fn(u64, u64) + Send + Sync + 'a;

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Bases that are what was written.
    pub bases: u64,
    /// Segments that are what was written.
    pub segments: u64,
    /// Commits in them.
    pub batches: u64,
    /// Versions of records.
    pub versions: u64,
    /// Audit entries.
    pub audit: u64,
    /// Blobs that are what was written.
    pub blobs: u64,
    /// Blobs whose keys were destroyed, so that nobody can open them.
    pub shredded: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// The last seq that can be restored.
    pub seq: Seq,
    /// The first and the last instant that can be, in milliseconds since 1970 UTC.
    pub times_ms: Option<(i64, i64)>,
    /// The hash tree over all audit entries up to there.
    pub frontier: Frontier,
    /// All that is not what was written.
    pub faults: Vec<String>,
}

/// The end of what came before; it is not known behind a fault.
#[derive(Clone)]
struct Before {
    number: u64,
    seq: Seq,
    hash: [u8; 32],
    chain: [u8; 32],
    frontier: Frontier,
}

impl Archive {
    /// Reads everything back. Blobs are opened with the keys of the keyring.
    ///
    /// # Errors
    /// When the destination cannot be reached; what is wrong with the archive is in the answer.
    pub fn verify<'a>(
        &'a self,
        keyring: &'a Keyring,
        follows: &'a Follows<'a>,
        progress: &'a Progress<'a>,
    ) -> BoxFuture<'a, Result<Verified, Error>> {
        Box::pin(async move {
            let blobs = self.blobs().await?;
            let more = blobs.len() as u64;
            let of_all = |done, all| progress(done, all + more);
            let mut verified = self.verify_log(follows, &of_all).await?;
            let contents = self.contents().await?;
            let of_bases: usize = contents.bases.iter().map(|base| base.segments.len()).sum();
            let before = (contents.segments.len() + of_bases) as u64;
            for (index, (blob, bytes)) in blobs.iter().enumerate() {
                match self.verify_blob(blob, *bytes, keyring).await {
                    Ok(true) => verified.blobs += 1,
                    Ok(false) => verified.shredded += 1,
                    Err(Error::Fault(fault)) => verified.add(&fault),
                    Err(error) => return Err(error),
                }
                verified.bytes += bytes;
                progress(before + index as u64 + 1, before + more);
            }
            Ok(verified)
        })
    }

    /// Reads the log back, without blobs.
    ///
    /// # Errors
    /// When the destination cannot be reached; what is wrong with the archive is in the answer.
    pub async fn verify_log(
        &self,
        follows: &Follows<'_>,
        progress: &Progress<'_>,
    ) -> Result<Verified, Error> {
        let contents = self.contents().await?;
        let pruned = contents.pruned_to();
        let line = contents.segments.iter();
        let line: Vec<_> = line.filter(|name| name.last_number() > pruned).collect();
        let of_bases: usize = contents.bases.iter().map(|base| base.segments.len()).sum();
        let all = (line.len() + of_bases) as u64;
        let mut verified = Verified::default();
        verified
            .faults
            .extend(contents.faults.iter().map(Fault::to_string));
        let told = |read| progress(read, all);
        let bases = self
            .verify_bases(&contents, follows, &told, &mut verified)
            .await?;
        let mut way = Way::new(&bases, pruned, &mut verified);
        for (index, name) in line.into_iter().enumerate() {
            way.join(&bases, name, &mut verified);
            let before = way.before.take();
            let read = self
                .verify_segment(name, before, follows, &mut verified)
                .await;
            match read {
                Ok(after) => way.reach(after, &bases, &mut verified),
                Err(Error::Fault(fault)) => {
                    verified.add(&fault);
                    way.whole_from = None;
                }
                Err(error) => return Err(error),
            }
            progress((of_bases + index) as u64 + 1, all);
        }
        if let Err(Error::Fault(fault)) = self.dictionaries().await {
            verified.add(&fault);
        }
        for fault in self.faults_of_fences().await? {
            verified.add(&fault);
        }
        Ok(verified)
    }

    async fn verify_segment(
        &self,
        name: &SegmentName,
        before: Option<Before>,
        follows: &Follows<'_>,
        verified: &mut Verified,
    ) -> Result<Before, Error> {
        let fault = |what| Error::Fault(Fault::new(name, what));
        let piece = Piece {
            name: name.clone(),
            base: None,
        };
        let frontier = before.as_ref().map(|before| before.frontier.clone());
        let mut opening = self.open_piece(&piece, frontier).await?;
        verified.bytes += opening.bytes();
        if let Some(before) = &before {
            before.check(&opening).map_err(fault)?;
        }
        let mut chain = before.map(|before| before.chain);
        while let Some(batches) = opening.next(&self.keys).map_err(fault)? {
            for batch in &batches {
                if chain.is_some_and(|chain| !follows(chain, batch)) {
                    return Err(fault(What::Damaged("its chain of changes is broken")));
                }
                chain = Some(batch.chain);
            }
        }
        let (header, footer) = (opening.header(), opening.footer());
        verified.segments += 1;
        verified.batches += footer.batches;
        verified.versions += footer.versions;
        verified.audit += footer.audit;
        let (first, last) = verified.times_ms.unwrap_or(header.times_ms);
        verified.times_ms = Some((first, last.max(header.times_ms.1)));
        Ok(Before {
            number: header.numbers.1,
            seq: header.seqs.1,
            hash: opening.closes(),
            chain: footer.chain,
            frontier: footer.frontier.clone(),
        })
    }

    /// Whether a blob can be opened; false if its key was destroyed.
    async fn verify_blob(
        &self,
        blob: &SealedBlob,
        bytes: u64,
        keyring: &Keyring,
    ) -> Result<bool, Error> {
        let object = format!("blob {} of scope {}", blob.id, blob.scope.0);
        let damaged = |what| Error::Fault(Fault::damaged(&object, what));
        let mut sealed = Sealed::new(self, blob);
        let missing = || damaged("its first part is missing");
        let start = self.blob_part(blob, 0).await?.ok_or_else(missing)?;
        let header = BlobHeader::read(&start).map_err(|_| damaged("it has no head"))?;
        if (header.scope, &*header.id) != (blob.scope.0, &*blob.id) {
            return Err(damaged("it is another blob"));
        }
        let layout = header.layout(bytes);
        let layout = layout.ok_or_else(|| damaged("it has not its length"))?;
        sealed.take(layout.header as usize).await?;
        let mut frames = Frames::new(&header);
        for number in 0..layout.frames {
            let frame = sealed.take(layout.sealed(number)).await?;
            let frame = frame.ok_or_else(|| damaged("a part of it is missing"))?;
            let which = (number, number == layout.last());
            match frames.open(keyring, which, &frame, &mut Vec::new()) {
                Ok(()) => {}
                Err(CryptoError::Destroyed(_)) => return Ok(false),
                Err(CryptoError::NotAuthentic) => {
                    return Err(damaged("a frame is not the one that was sealed"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}

impl Before {
    fn beginning() -> Self {
        Self {
            number: 0,
            seq: Seq(0),
            hash: [0; 32],
            chain: [0; 32],
            frontier: Frontier::default(),
        }
    }

    fn check(&self, opening: &Opening) -> Result<(), What> {
        let header = opening.header();
        if header.numbers.0 != self.number + 1 || header.seqs.0.0 != self.seq.0 + 1 {
            return Err(What::Unchained("something between them is missing"));
        }
        if header.before != self.hash {
            return Err(What::Unchained("its predecessor had another hash"));
        }
        Ok(())
    }
}

impl Verified {
    fn add(&mut self, fault: &Fault) {
        self.faults.push(fault.to_string());
    }
}

/// The bytes of a blob, one behind the other.
struct Sealed<'a> {
    archive: &'a Archive,
    blob: &'a SealedBlob,
    part: u32,
    read: bytes::BytesMut,
}

impl<'a> Sealed<'a> {
    fn new(archive: &'a Archive, blob: &'a SealedBlob) -> Self {
        Self {
            archive,
            blob,
            part: 0,
            read: bytes::BytesMut::new(),
        }
    }

    /// The next so many bytes; `None` if there are not so many.
    async fn take(&mut self, bytes: usize) -> Result<Option<bytes::BytesMut>, Error> {
        while self.read.len() < bytes {
            match self.archive.blob_part(self.blob, self.part).await? {
                Some(part) => self.read.extend_from_slice(&part),
                None => return Ok(None),
            }
            self.part += 1;
        }
        Ok(Some(self.read.split_to(bytes)))
    }
}
