//! How long something that was read from records holds: until one of them
//! changes, or until a time that one of them names.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// Whether what was read still holds.
#[derive(Debug)]
pub struct Fresh {
    stale: AtomicBool,
    until_ms: AtomicI64,
}

impl Default for Fresh {
    fn default() -> Self {
        Self {
            stale: AtomicBool::new(false),
            until_ms: AtomicI64::new(i64::MAX),
        }
    }
}

impl Fresh {
    /// Whether it holds at a time.
    #[must_use]
    pub fn holds(&self, now_ms: i64) -> bool {
        !self.stale.load(Ordering::SeqCst) && now_ms < self.until_ms.load(Ordering::SeqCst)
    }

    /// It holds no longer than until then.
    pub fn until(&self, ms: i64) {
        self.until_ms.fetch_min(ms, Ordering::SeqCst);
    }

    /// It does not hold any more.
    pub fn end(&self) {
        self.stale.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_holds_until_its_time_or_a_change() {
        let fresh = Fresh::default();
        assert!(fresh.holds(i64::MAX - 1));
        fresh.until(10);
        fresh.until(20);
        assert!(fresh.holds(9) && !fresh.holds(10));
        fresh.end();
        assert!(!fresh.holds(0));
    }
}
