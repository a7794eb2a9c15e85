//! Pruning: what no instant in the window needs any more goes.
//!
//! What goes are segments that a merged one has in it, some time after that was made, so that who
//! reads them is done; blobs that have been gone from the store for longer than their window; and,
//! if the log has a window, what lies before the base that its beginning is restored from
//! (`prune/log.rs`). When a blob is missed first, a mark says so: no state stands elsewhere.

mod log;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use salus_store::{SealedBlob, SealedBlobs};

use crate::{Archive, BaseName, Error, Follows, Header, Object, SegmentName, name};

/// Who reads an archive has so long for it after it has listed it.
pub(crate) const READ_MS: i64 = 60 * 60 * 1000;

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Segments that a merged one has in it.
    pub segments: Vec<String>,
    /// Segments and parts of bases that no instant of the window needs.
    pub log: Vec<String>,
    /// The base before which the log went.
    pub base: Option<BaseName>,
    /// What was wrong with bases: nothing went by them.
    pub faults: Vec<String>,
    /// Blobs that are gone from the store.
    pub blobs: Vec<SealedBlob>,
    /// Blobs that are gone from the store, and stay until the window has passed them.
    pub waiting: u64,
    /// Bytes of all that went.
    pub bytes: u64,
    /// Objects that cannot be removed, as they are locked.
    pub kept: u64,
}

/// What decides about what goes.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Any instant so long ago can be restored with its blobs, in milliseconds.
    pub ms: i64,
    /// Any instant so long ago can be restored; any at all if there is no such window.
    pub log_ms: Option<i64>,
    /// A base is being taken: what is not whole is not cut off.
    pub taking: bool,
    /// Now, in milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// Only say what would go.
    pub dry_run: bool,
}

impl Archive {
    /// Removes what no instant in a window needs. The store has to be the one that ships into
    /// the archive: what it does not have is gone.
    ///
    /// # Errors
    /// When destination or store cannot be reached.
    pub fn prune<'a>(
        &'a self,
        blobs: &'a dyn SealedBlobs,
        window: Window,
        follows: &'a Follows<'a>,
    ) -> BoxFuture<'a, Result<Pruned, Error>> {
        Box::pin(async move {
            let mut pruned = Pruned::default();
            self.prune_log(window, follows, &mut pruned).await?;
            self.prune_segments(window, &mut pruned).await?;
            self.prune_blobs(blobs, window, &mut pruned).await?;
            Ok(pruned)
        })
    }

    async fn prune_segments(&self, window: Window, pruned: &mut Pruned) -> Result<(), Error> {
        let objects = self.destination.list(name::SEGMENTS).await?;
        let contents = crate::Contents::of(objects.iter().map(|object| &*object.name));
        let lengths: HashMap<_, _> = objects.iter().map(|o| (&*o.name, o.bytes)).collect();
        let mut settled: HashMap<&SegmentName, bool> = HashMap::new();
        for spare in &contents.spare {
            let over = contents.segments.iter().find(|name| covers(name, spare));
            let Some(over) = over else { continue };
            let ready = match settled.get(over) {
                Some(ready) => *ready,
                None => self.is_settled(over, window).await?,
            };
            settled.insert(over, ready);
            let object = spare.to_string();
            if ready && !pruned.log.contains(&object) {
                let bytes = lengths.get(&*object).copied().unwrap_or(0);
                if self.take(&object, bytes, window, pruned).await {
                    pruned.segments.push(object);
                }
            }
        }
        Ok(())
    }

    /// Whether a merged segment was made so long ago that nobody reads its parts any more. That
    /// it is what they were was proved when it was made.
    async fn is_settled(&self, name: &SegmentName, window: Window) -> Result<bool, Error> {
        let head = self.destination.head(&name.to_string(), 512).await?;
        let header = head.and_then(|head| Header::read(&head).ok());
        let header =
            header.filter(|header| header.store == self.keys.store() && header.name() == *name);
        Ok(header.is_some_and(|header| window.now_ms - header.made_ms > READ_MS))
    }

    async fn prune_blobs(
        &self,
        blobs: &dyn SealedBlobs,
        window: Window,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        // Listed before the store is asked: what is here was there.
        let marks = self.destination.list(name::GONE).await?;
        let parts = self.destination.list(name::BLOBS).await?;
        let all: HashSet<_> = blobs.all().await?.into_iter().collect();
        let mut gone: HashMap<SealedBlob, Vec<&Object>> = HashMap::new();
        for object in &parts {
            if let Some(name) = name::BlobPart::parse(&object.name)
                && !all.contains(&name.blob)
            {
                gone.entry(name.blob).or_default().push(object);
            }
        }
        let marks = marks.iter().filter_map(|mark| name::parse_gone(&mark.name));
        let marked: HashSet<_> = marks.collect();
        for (blob, parts) in gone {
            let mark = name::gone(&blob);
            match marked.contains(&blob) {
                true => self.prune_blob(blob, &parts, window, pruned).await?,
                false => {
                    pruned.waiting += 1;
                    if !window.dry_run {
                        let now = Bytes::from(window.now_ms.to_string());
                        self.destination.put(&mark, now).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn prune_blob(
        &self,
        blob: SealedBlob,
        parts: &[&Object],
        window: Window,
        pruned: &mut Pruned,
    ) -> Result<(), Error> {
        let mark = name::gone(&blob);
        let since = self.destination.get(&mark).await?;
        let since = since.and_then(|text| std::str::from_utf8(&text).ok()?.parse::<i64>().ok());
        if since.is_none_or(|since| window.now_ms - since <= window.ms) {
            pruned.waiting += 1;
            return Ok(());
        }
        let mut all = true;
        for part in parts {
            all &= self.take(&part.name, part.bytes, window, pruned).await;
        }
        if all {
            self.take(&mark, 0, window, pruned).await;
            pruned.blobs.push(blob);
        }
        Ok(())
    }

    /// Removes an object; whether it is, or would be, gone.
    async fn take(&self, object: &str, bytes: u64, window: Window, pruned: &mut Pruned) -> bool {
        if !window.dry_run
            && let Err(error) = self.destination.remove(object).await
        {
            tracing::debug!(%error, object, "could not be removed");
            pruned.kept += 1;
            return false;
        }
        pruned.bytes += bytes;
        true
    }
}

fn covers(merged: &SegmentName, spare: &SegmentName) -> bool {
    merged.last.is_some()
        && merged.first.0 <= spare.first.0
        && spare.last_number() <= merged.last_number()
        && merged != spare
}
