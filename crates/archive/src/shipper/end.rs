//! Where an archive ends, and whether a store goes on from there.

use salus_crypto::merkle::Frontier;
use salus_store::{Log, LogBatch, LogPart, Seq};

use crate::plan::Piece;
use crate::{Archive, Error, Fault, Segment};

/// Where the next segment goes on.
#[derive(Clone, Debug, Default)]
pub(crate) struct End {
    /// The number of the last segment.
    pub(crate) number: u64,
    /// The last seq.
    pub(crate) seq: Seq,
    /// What the next segment says of the one before it.
    pub(crate) hash: [u8; 32],
    /// The hash tree over all audit entries.
    pub(crate) frontier: Frontier,
    /// The chain of changes.
    pub(crate) chain: [u8; 32],
    /// The last batch; `None` if the archive is empty.
    last: Option<LogBatch>,
}

impl End {
    /// Lists an archive and reads its last segment.
    pub(crate) async fn of(archive: &Archive) -> Result<Self, Error> {
        let contents = archive.contents().await?;
        for fault in &contents.faults {
            tracing::warn!(archive = archive.label(), %fault, "the archive has a fault");
        }
        let Some(name) = contents.segments.last() else {
            return Ok(Self::default());
        };
        let piece = Piece {
            name: name.clone(),
            base: None,
        };
        Self::of_piece(archive, &piece).await
    }

    /// Reads a segment, as if it were the last.
    pub(crate) async fn of_piece(archive: &Archive, piece: &Piece) -> Result<Self, Error> {
        let mut opening = archive.open_piece(piece, None).await?;
        let mut last = None;
        let fault = |what| Fault::new(piece, what);
        while let Some(batches) = opening.next(&archive.keys).map_err(fault)? {
            last = batches.into_iter().last().or(last);
        }
        Ok(Self {
            number: opening.header().numbers.1,
            seq: opening.header().seqs.1,
            hash: opening.closes(),
            frontier: opening.footer().frontier.clone(),
            chain: opening.footer().chain,
            last,
        })
    }

    /// The end of an archive whose last segment is this one.
    pub(crate) fn behind(segment: &Segment) -> Self {
        Self {
            number: segment.header.numbers.1,
            seq: segment.header.seqs.1,
            hash: segment.hash,
            frontier: segment.footer.frontier.clone(),
            chain: segment.footer.chain,
            last: None,
        }
    }

    /// Why a store does not go on where this ends; `None` if it does.
    pub(crate) async fn foreign(&self, log: &dyn Log) -> Result<Option<&'static str>, Error> {
        let Some(last) = &self.last else {
            return Ok(None);
        };
        if log.head().await?.seq < self.seq {
            return Ok(Some(
                "the archive holds commits that this store does not have: another has shipped \
                 into it, or the store was restored to an earlier instant; give this store an \
                 archive of its own",
            ));
        }
        let before = Seq(last.first.0.saturating_sub(1));
        let own = log.batches(before, 1).await?;
        let same = own.first().is_some_and(|own| alike(own, last));
        Ok((!same).then_some(
            "the archive holds other commits than this store: it was shipped to by a copy of \
             it; give this store an archive of its own",
        ))
    }
}

/// Whether two batches are the same commit. Versions may have been purged since, which the chain
/// does not show.
pub(crate) fn alike(one: &LogBatch, other: &LogBatch) -> bool {
    (one.first, one.last, one.time_ms, one.scope, one.chain)
        == (
            other.first,
            other.last,
            other.time_ms,
            other.scope,
            other.chain,
        )
        && leaves(one).eq(leaves(other))
}

fn leaves(batch: &LogBatch) -> impl Iterator<Item = &[u8; 32]> {
    batch.parts.iter().filter_map(|part| match part {
        LogPart::Audit { leaf, .. } => Some(leaf),
        LogPart::Version(_) | LogPart::Purged(_) => None,
    })
}
