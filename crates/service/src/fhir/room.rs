//! How many bundles are worked on at once, by their length.
//!
//! A bundle takes about thirteen times its length in memory until it is written.
//! Were as many of them under way as there are clients, memory would have no
//! bound; with more than the processors can work on, nothing is gained.

use tokio::sync::{Semaphore, SemaphorePermit};

/// What is counted.
const UNIT_BYTES: usize = 1024;
/// So many units are under way at once: 2 MiB, or one bundle that is longer.
const UNITS: u32 = 2048;

/// The bundles under way.
pub(crate) struct Room(Semaphore);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(UNITS as usize))
    }

    /// Waits until there is room for a body of this length, in order of arrival.
    pub(crate) async fn enter(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(UNITS);
        // It is never closed, so there is always a permit in the end.
        self.0.acquire_many(units.min(UNITS)).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn small_ones_go_together_and_a_large_one_goes_alone() {
        let room = Room::new();
        let small = room.enter(1).now_or_never().flatten();
        assert!(small.is_some());
        let other = room.enter(1 << 20).now_or_never().flatten();
        assert!(other.is_some());
        assert!(room.enter(usize::MAX).now_or_never().is_none());
        drop((small, other));
        let large = room.enter(usize::MAX).now_or_never().flatten();
        assert!(large.is_some());
        assert!(room.enter(1).now_or_never().is_none());
    }
}
