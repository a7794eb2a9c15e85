//! Blobs as they leave the store, sealed as they lie in it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use salus_store::{Blob, Error, Reply, Scope, SealedBlob, SealedBlobs};

use super::{Folder, aside, trouble};
use crate::Embedded;

/// So many of those that were finished last are known by name.
const KNOWN_MAX: usize = 4096;

/// What was finished since the store was opened.
#[derive(Default)]
pub(super) struct Finished {
    count: u64,
    last: VecDeque<SealedBlob>,
}

impl Finished {
    pub(super) fn add(&mut self, blob: SealedBlob) {
        self.count += 1;
        self.last.push_back(blob);
        if self.last.len() > KNOWN_MAX {
            self.last.pop_front();
        }
    }

    fn since(&self, count: u64) -> Option<Vec<SealedBlob>> {
        let known = self.last.len() as u64;
        let wanted = self.count.checked_sub(count).filter(|n| *n <= known)?;
        let skipped = (known - wanted) as usize;
        Some(self.last.iter().skip(skipped).cloned().collect())
    }
}

impl Folder {
    fn all(&self) -> Result<Vec<SealedBlob>, Error> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(trouble)? {
            let name = entry.map_err(trouble)?.file_name();
            let name = name.to_string_lossy();
            // What has no such name holds no finished blob.
            let Ok(scope) = u32::from_str_radix(&name, 16) else {
                continue;
            };
            for shard in 0..=u8::MAX {
                let ids = self.ids(Scope(scope), shard)?.into_iter();
                all.extend(ids.map(|id| SealedBlob {
                    scope: Scope(scope),
                    id: id.into(),
                }));
            }
        }
        Ok(all)
    }

    fn sealed(&self, blob: &SealedBlob, at: u64, max: usize) -> Result<Option<Bytes>, Error> {
        if !Blob::is_id(&blob.id) {
            return Ok(None);
        }
        let file = match File::open(self.finished(blob.scope, &blob.id)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble(error)),
        };
        let length = file.metadata().map_err(trouble)?.len();
        let wanted = length.saturating_sub(at).min(max as u64);
        let mut bytes = vec![0; wanted as usize];
        file.read_exact_at(&mut bytes, at).map_err(trouble)?;
        Ok(Some(bytes.into()))
    }
}

impl SealedBlobs for Embedded {
    fn all(&self) -> Reply<'_, Vec<SealedBlob>> {
        let core = Arc::clone(&self.core);
        Box::pin(aside(move || core.blobs.all()))
    }

    fn sealed<'a>(&'a self, blob: &'a SealedBlob, at: u64, max: usize) -> Reply<'a, Option<Bytes>> {
        let (core, blob) = (Arc::clone(&self.core), blob.clone());
        Box::pin(aside(move || core.blobs.sealed(&blob, at, max)))
    }

    fn finished(&self) -> u64 {
        self.core.blobs.told.lock().count
    }

    fn finished_since(&self, count: u64) -> Option<Vec<SealedBlob>> {
        self.core.blobs.told.lock().since(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_finished_long_ago_is_not_told() {
        let mut finished = Finished::default();
        let blob = |n: usize| SealedBlob {
            scope: Scope(1),
            id: n.to_string().into(),
        };
        assert_eq!(finished.since(0), Some(Vec::new()));
        (0..3).for_each(|n| finished.add(blob(n)));
        assert_eq!(finished.since(1), Some(vec![blob(1), blob(2)]));
        assert_eq!(finished.since(4), None, "more than there were");
        (3..KNOWN_MAX + 2).for_each(|n| finished.add(blob(n)));
        assert_eq!(finished.since(1), None);
        assert_eq!(finished.since(2).map(|some| some.len()), Some(KNOWN_MAX));
    }
}
