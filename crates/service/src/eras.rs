//! Which requests may still write with an earlier time.
//!
//! A version has the time at which its request came, and is in the store only
//! when it is committed. Whoever wants all that was written until some time
//! (`transactionTime` of an export) must know that nobody is about to write
//! with an earlier one. So each request holds the era in which it came, and the
//! commit holds it until it is decided: an era that nobody holds is over for
//! good. Times never go back while the server runs, whatever its clock does.

use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use crate::context::World;

/// The requests that came from one moment on until the next era began.
#[derive(Debug, Default)]
pub struct Era {
    from_ms: i64,
}

/// After this time the next request begins a new era.
const ERA_MS: i64 = 100;

pub(crate) struct Eras(RwLock<Known>);

struct Known {
    current: Arc<Era>,
    /// Those before it that may still be held, the oldest first, and when they began.
    past: Vec<(i64, Weak<Era>)>,
}

impl Eras {
    pub(crate) fn new(world: &dyn World) -> Self {
        let from_ms = world.now_ms();
        Self(RwLock::new(Known {
            current: Arc::new(Era { from_ms }),
            past: Vec::new(),
        }))
    }

    /// The time of a request that comes now, and its era.
    pub(crate) fn enter(&self, world: &dyn World) -> (i64, Arc<Era>) {
        {
            let known = self.0.read();
            let now_ms = world.now_ms().max(known.current.from_ms);
            if now_ms - known.current.from_ms < ERA_MS {
                return (now_ms, Arc::clone(&known.current));
            }
        }
        let mut known = self.0.write();
        known.begin(world.now_ms());
        (known.current.from_ms, Arc::clone(&known.current))
    }

    /// A time up to which all that was written is in every snapshot that is
    /// opened from now on: whatever is committed later has a later one.
    pub(crate) fn settled_ms(&self, world: &dyn World) -> i64 {
        let mut known = self.0.write();
        known.begin(world.now_ms());
        // What those who let go of an era have done is seen by who goes on from here.
        fence(Ordering::Acquire);
        let oldest = known.past.first().map(|(from_ms, _)| *from_ms);
        oldest.unwrap_or(known.current.from_ms) - 1
    }
}

impl Known {
    fn begin(&mut self, now_ms: i64) {
        let from_ms = now_ms.max(self.current.from_ms);
        let ended = std::mem::replace(&mut self.current, Arc::new(Era { from_ms }));
        self.past.push((ended.from_ms, Arc::downgrade(&ended)));
        drop(ended);
        self.past.retain(|(_, era)| era.strong_count() > 0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;

    struct Clock(AtomicI64);

    impl World for Clock {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }

        fn random(&self, _buffer: &mut [u8]) {}
    }

    #[test]
    fn nothing_is_settled_while_an_earlier_request_may_write() {
        let clock = Clock(AtomicI64::new(1000));
        let eras = Eras::new(&clock);
        let at = |ms| clock.0.store(ms, Ordering::Relaxed);
        let (first_ms, first) = eras.enter(&clock);
        at(1500);
        let (second_ms, second) = eras.enter(&clock);
        assert_eq!((first_ms, second_ms), (1000, 1500));
        at(2000);
        assert_eq!(eras.settled_ms(&clock), 999);
        drop(first);
        assert_eq!(eras.settled_ms(&clock), 1499);
        // One that comes in the same moment comes later than what is settled.
        drop(second);
        let settled_ms = eras.settled_ms(&clock);
        assert_eq!(settled_ms, 1999);
        let (now_ms, _held) = eras.enter(&clock);
        assert!(now_ms > settled_ms);
    }

    #[test]
    fn times_do_not_go_back_with_the_clock() {
        let clock = Clock(AtomicI64::new(5000));
        let eras = Eras::new(&clock);
        let settled_ms = eras.settled_ms(&clock);
        clock.0.store(10, Ordering::Relaxed);
        let (now_ms, _era) = eras.enter(&clock);
        assert!(now_ms > settled_ms);
        assert_eq!(eras.settled_ms(&clock), 4999);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let clock = Clock(AtomicI64::new(0));
        let eras = Eras::new(&clock);
        for ms in 0..10_000 {
            clock.0.store(ms, Ordering::Relaxed);
            drop(eras.enter(&clock));
        }
        assert!(eras.0.read().past.len() <= 1);
    }
}
