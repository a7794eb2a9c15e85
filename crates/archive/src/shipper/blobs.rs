//! Ships blobs, each before the segment whose records may name it.
//!
//! A blob is cut into parts. The first one is shipped last: while it is not there, the blob is
//! not, and is shipped again.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use salus_store::{SealedBlob, SealedBlobs};

use crate::name::{self, BlobPart};
use crate::{Archive, Error};

/// Bytes in each part but the last.
pub(crate) const PART_BYTES: usize = 8 << 20;
/// Blobs that are shipped at once.
const AT_ONCE: usize = 4;

/// What was shipped.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shipped {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
}

/// Ships the blobs that were finished behind a count, or all that the archive does not hold, if
/// they are not known.
pub(crate) async fn ship(
    blobs: &dyn SealedBlobs,
    archive: &Archive,
    since: Option<u64>,
) -> Result<Shipped, Error> {
    let told = since.and_then(|count| blobs.finished_since(count));
    let wanted = match told {
        Some(told) => told,
        None => missing(blobs, archive).await?,
    };
    let each = stream::iter(wanted).map(|blob| one(blobs, archive, blob));
    let shipped = each.buffer_unordered(AT_ONCE);
    shipped
        .try_fold(Shipped::default(), |all, bytes| async move {
            Ok(Shipped {
                blobs: all.blobs + 1,
                bytes: all.bytes + bytes,
            })
        })
        .await
}

async fn missing(blobs: &dyn SealedBlobs, archive: &Archive) -> Result<Vec<SealedBlob>, Error> {
    let all = blobs.all().await?;
    if all.is_empty() {
        return Ok(all);
    }
    let there = archive.destination.list(name::BLOBS).await?;
    let whole = there.iter().filter_map(|object| {
        let name = BlobPart::parse(&object.name)?;
        (name.part == 0).then_some(name.blob)
    });
    let whole: HashSet<_> = whole.collect();
    let missing = all.into_iter().filter(|blob| !whole.contains(blob));
    Ok(missing.collect())
}

async fn one(blobs: &dyn SealedBlobs, archive: &Archive, blob: SealedBlob) -> Result<u64, Error> {
    let mut shipped = 0;
    let mut part = 1;
    loop {
        let bytes = put(blobs, archive, &blob, part).await?;
        if bytes == 0 {
            break;
        }
        shipped += bytes;
        part += 1;
    }
    Ok(shipped + put(blobs, archive, &blob, 0).await?)
}

/// Puts a part, if there is one; that it is there already is as well: a blob never changes.
async fn put(
    blobs: &dyn SealedBlobs,
    archive: &Archive,
    blob: &SealedBlob,
    part: u32,
) -> Result<u64, Error> {
    let mut bytes = Vec::new();
    let start = u64::from(part) * PART_BYTES as u64;
    while bytes.len() < PART_BYTES {
        let at = start + bytes.len() as u64;
        match blobs.sealed(blob, at, PART_BYTES - bytes.len()).await? {
            Some(more) if !more.is_empty() => bytes.extend_from_slice(&more),
            // The end, or it was removed: then no record names it that is not gone as well.
            Some(_) | None => break,
        }
    }
    if bytes.is_empty() {
        return Ok(0);
    }
    let length = bytes.len() as u64;
    let name = BlobPart {
        blob: blob.clone(),
        part,
    };
    archive
        .destination
        .put(&name.to_string(), bytes.into())
        .await?;
    Ok(length)
}
