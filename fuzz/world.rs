//! A world in which nothing is left to chance, for targets with a service in memory.

use std::sync::atomic::{AtomicU64, Ordering};

use salus_service::context::World;

/// Its time stands still, and what is random counts up.
#[derive(Default)]
pub(crate) struct Counted(AtomicU64);

impl World for Counted {
    fn now_ms(&self) -> i64 {
        1_767_225_600_000
    }

    fn random(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            chunk.copy_from_slice(&next[..chunk.len()]);
        }
    }
}
