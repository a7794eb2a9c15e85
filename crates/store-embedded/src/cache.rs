//! Versions read lately, in memory.
//!
//! A version never changes, so what was read of one stays right for good and
//! nothing has to be taken back, but for its rows when it is indexed anew, and
//! for its body when it is purged. Bodies are kept as they are sealed, that is
//! compressed: twice as many find room, and opening costs more than expanding.

use std::sync::Arc;

use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache as Kept;

use crate::body::Opened;

/// What an entry occupies beside its content, about.
const ENTRY_BYTES: u64 = 128;
/// What the content of an entry occupies, about: only for the first allocation.
const CONTENT_BYTES: u64 = 512;

/// Bodies and rows, by seq.
pub(crate) struct Cache {
    bodies: Kept<u64, Arc<Opened>, ByLength>,
    rows: Kept<u64, Arc<[u8]>, ByLength>,
    replaced: RwLock<Era>,
}

/// How often something was taken back until some view was opened. What an older
/// view reads is not kept: it may be just that.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Era(u64);

impl Cache {
    /// With room for so many bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        // Rows are about as long as compressed bodies.
        let each = bytes_max / 2;
        let entries = (each / (ENTRY_BYTES + CONTENT_BYTES)) as usize;
        Self {
            bodies: Kept::with_weighter(entries, each, ByLength),
            rows: Kept::with_weighter(entries, each, ByLength),
            replaced: RwLock::default(),
        }
    }

    /// The body of a version, from here or from what `read` finds.
    pub(crate) fn body<E>(
        &self,
        seq: u64,
        era: Era,
        read: impl FnOnce() -> Result<Opened, E>,
    ) -> Result<Arc<Opened>, E> {
        if let Some(body) = self.bodies.get(&seq) {
            return Ok(body);
        }
        let body = Arc::new(read()?);
        let now = self.replaced.read();
        if *now == era {
            self.bodies.insert(seq, Arc::clone(&body));
        }
        Ok(body)
    }

    /// Whether a body is here.
    pub(crate) fn has_body(&self, seq: u64) -> bool {
        self.bodies.contains_key(&seq)
    }

    /// Nothing that was read is kept: not what an older view reads, either.
    pub(crate) fn clear(&self) {
        let mut era = self.replaced.write();
        era.0 += 1;
        self.bodies.clear();
        self.rows.clear();
    }

    /// The bodies of these versions are gone, and no view that is opened from
    /// now on shows them.
    pub(crate) fn purge(&self, seqs: impl Iterator<Item = u64>) {
        let mut era = self.replaced.write();
        era.0 += 1;
        for seq in seqs {
            self.bodies.remove(&seq);
        }
    }

    /// To be asked before a view is opened.
    pub(crate) fn era(&self) -> Era {
        *self.replaced.read()
    }

    /// The rows of these versions are others now, and every view that is opened
    /// from now on shows them.
    pub(crate) fn replace(&self, seqs: &[u64]) {
        let mut era = self.replaced.write();
        era.0 += 1;
        for seq in seqs {
            self.rows.remove(seq);
        }
    }

    /// The rows of a version, from here or from what `read` finds in a view.
    pub(crate) fn rows<E>(
        &self,
        seq: u64,
        era: Era,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<[u8]>, E> {
        if let Some(rows) = self.rows.get(&seq) {
            return Ok(rows);
        }
        let rows: Arc<[u8]> = read()?.into();
        let now = self.replaced.read();
        if *now == era {
            self.rows.insert(seq, Arc::clone(&rows));
        }
        Ok(rows)
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<u64, Arc<Opened>> for ByLength {
    fn weight(&self, _seq: &u64, body: &Arc<Opened>) -> u64 {
        ENTRY_BYTES + body.bytes() as u64
    }
}

impl Weighter<u64, Arc<[u8]>> for ByLength {
    fn weight(&self, _seq: &u64, rows: &Arc<[u8]>) -> u64 {
        ENTRY_BYTES + rows.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cache: &Cache, seq: u64, found: &[u8]) -> Arc<[u8]> {
        let read = || Ok::<_, std::convert::Infallible>(found.to_vec());
        cache.rows(seq, cache.era(), read).unwrap()
    }

    #[test]
    fn what_was_read_is_not_read_again() {
        let cache = Cache::new(1 << 20);
        assert_eq!(*rows(&cache, 1, b"first"), *b"first");
        assert_eq!(*rows(&cache, 1, b"second"), *b"first");
        assert_eq!(*rows(&cache, 2, b"second"), *b"second");
    }

    #[test]
    fn rows_that_were_replaced_are_not_kept() {
        let cache = Cache::new(1 << 20);
        assert_eq!(*rows(&cache, 1, b"old"), *b"old");
        let before = cache.era();
        cache.replace(&[1]);
        let late = cache.rows(1, before, || Ok::<_, ()>(b"old".to_vec()));
        assert_eq!(*late.unwrap(), *b"old");
        assert_eq!(*rows(&cache, 1, b"new"), *b"new");
        assert_eq!(*rows(&cache, 1, b"newer"), *b"new");
    }

    #[test]
    fn a_failure_is_not_kept() {
        let cache = Cache::new(1 << 20);
        assert_eq!(cache.rows(1, cache.era(), || Err("broken")), Err("broken"));
        assert_eq!(*rows(&cache, 1, b"whole"), *b"whole");
    }

    #[test]
    fn it_does_not_grow_beyond_its_room() {
        let cache = Cache::new(1 << 20);
        for seq in 0..10_000 {
            rows(&cache, seq, &[0; 1000]);
        }
        assert!(cache.rows.weight() <= 1 << 19);
        assert!(cache.rows.len() > 100);
    }
}
