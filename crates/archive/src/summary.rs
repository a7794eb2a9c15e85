//! What an archive holds, as far as lists, the heads of two segments, and what bases say of
//! themselves tell.

use salus_store::{Log, Seq};

use crate::shipper::End;
use crate::{Archive, BaseName, Contents, Error, Fault, Header, SegmentName, What, Whole, name};

/// What an archive holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Segments that make up the log.
    pub segments: u64,
    /// How many of them were merged.
    pub merged: u64,
    /// Bases that say that they are whole, the oldest first.
    pub bases: Vec<(BaseName, Whole)>,
    /// Bases that were cut off, or are being taken.
    pub cut_off: u64,
    /// Since when any instant can be restored, in milliseconds since 1970 UTC; `None` if the
    /// archive is empty, or nothing of it can be.
    pub since_ms: Option<i64>,
    /// Bytes of all objects.
    pub bytes: u64,
    /// Blobs.
    pub blobs: u64,
    /// The last seq.
    pub last_seq: Seq,
    /// The times of the first and the last commit, in milliseconds since 1970 UTC.
    pub times_ms: Option<(i64, i64)>,
    /// What names and these two heads show to be wrong.
    pub faults: Vec<Fault>,
}

impl Archive {
    /// What it holds.
    ///
    /// # Errors
    /// When the destination cannot be reached.
    pub async fn summary(&self) -> Result<Summary, Error> {
        let contents = self.contents().await?;
        let mut objects = self.destination.list(name::SEGMENTS).await?;
        objects.extend(self.destination.list(name::BASES).await?);
        let (wholes, damaged) = self.wholes(&contents).await?;
        let blobs = self.blobs().await?;
        let bytes = objects.iter().map(|object| object.bytes);
        let merged = contents.segments.iter().filter(|name| name.last.is_some());
        let mut summary = Summary {
            segments: contents.segments.len() as u64,
            merged: merged.count() as u64,
            bytes: bytes.chain(blobs.iter().map(|(_, bytes)| *bytes)).sum(),
            blobs: blobs.len() as u64,
            cut_off: contents.bases.iter().filter(|base| !base.whole).count() as u64,
            faults: contents.faults.iter().cloned().chain(damaged).collect(),
            ..Summary::default()
        };
        if let (Some(first), Some(last)) = (contents.segments.first(), contents.segments.last()) {
            match (self.header(first).await, self.header(last).await) {
                (Ok(first), Ok(last)) => {
                    summary.last_seq = last.seqs.1;
                    summary.times_ms = Some((first.times_ms.0, last.times_ms.1));
                }
                (Err(Error::Fault(fault)), _) | (_, Err(Error::Fault(fault))) => {
                    summary.faults.push(fault);
                }
                (Err(error), _) | (_, Err(error)) => return Err(error),
            }
        }
        let pruned = contents.pruned_to();
        let begin = wholes.iter().rfind(|(base, _)| base.name.number >= pruned);
        summary.since_ms = match pruned {
            0 => summary.times_ms.map(|(first, _)| first),
            _ => begin.map(|(_, whole)| whole.valid.1),
        };
        let named = wholes.into_iter().rev();
        summary.bases = named.map(|(base, whole)| (base.name, whole)).collect();
        Ok(summary)
    }

    /// The last seq that the archive holds.
    pub(crate) async fn last_seq(&self, contents: &Contents) -> Result<Seq, Error> {
        match contents.segments.last() {
            Some(last) => Ok(self.header(last).await?.seqs.1),
            None => Ok(Seq(0)),
        }
    }

    pub(crate) async fn header(&self, name: &SegmentName) -> Result<Header, Error> {
        let object = name.to_string();
        let fault = |what| Error::Fault(Fault::new(&object, what));
        let head = self.destination.head(&object, 512).await?;
        let head = head.ok_or_else(|| fault(What::Missing { until: None }))?;
        let header = Header::read(&head).map_err(|what| fault(What::Damaged(what)))?;
        match header.store == self.keys.store() {
            true => Ok(header),
            false => Err(fault(What::Foreign)),
        }
    }

    /// Refuses a store that does not go on where this archive ends: it may not change anything
    /// here.
    ///
    /// # Errors
    /// [`Error::Elsewhere`]; others when archive or store cannot be read.
    pub async fn must_belong(&self, log: &dyn Log) -> Result<(), Error> {
        let end = End::of(self).await?;
        match end.foreign(log).await? {
            None => Ok(()),
            Some(reason) => Err(Error::Elsewhere(reason)),
        }
    }
}
