//! Guessing held up: how often a password of an account was wrong, and how often
//! an address was (OWASP ASVS 5.0, 6.3.1).
//!
//! Attempts are counted before they are checked, so that many at once count as
//! many, and by what was typed in, so that an account that is not there is held
//! shut as one that is. The table is bounded: when it is full, what was counted
//! longest ago goes. To push a count out takes more attempts than hashing passwords
//! lets through while the count would last.

use std::collections::HashMap;
use std::hash::Hash;

/// Counts kept at most.
const ENTRIES_MAX: usize = 100_000;
/// A full table is made so much smaller, so that it is not full at once again.
const KEPT: usize = ENTRIES_MAX / 4 * 3;

/// How many attempts are let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many in a row, and then none for so many milliseconds after the last.
    Row(u32, i64),
    /// So many at once, and one more whenever so many milliseconds have passed.
    Rate(u32, i64),
}

impl Limit {
    /// What is left of a number of attempts after some time.
    fn left(self, attempts: u32, elapsed_ms: i64) -> u32 {
        match self {
            Self::Row(_, shut_ms) if elapsed_ms >= shut_ms => 0,
            Self::Row(..) => attempts,
            Self::Rate(_, each_ms) => {
                let gone = elapsed_ms / each_ms.max(1);
                attempts.saturating_sub(u32::try_from(gone).unwrap_or(u32::MAX))
            }
        }
    }

    fn most(self) -> u32 {
        match self {
            Self::Row(attempts, _) | Self::Rate(attempts, _) => attempts,
        }
    }

    /// After how long an attempt is let through again.
    fn pause_ms(self) -> i64 {
        match self {
            Self::Row(_, ms) | Self::Rate(_, ms) => ms,
        }
    }

    /// After how long nothing is left of a full count.
    fn whole_ms(self) -> i64 {
        match self {
            Self::Row(_, ms) => ms,
            Self::Rate(attempts, ms) => ms.saturating_mul(i64::from(attempts)),
        }
    }
}

/// Counts of attempts by what they were made on.
#[derive(Debug)]
pub struct Throttle<K> {
    counts: HashMap<K, Count>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    attempts: u32,
    last_ms: i64,
    /// When it is forgotten.
    until_ms: i64,
}

impl<K> Default for Throttle<K> {
    fn default() -> Self {
        Self {
            counts: HashMap::new(),
        }
    }
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// Counts an attempt.
    ///
    /// # Errors
    /// In how many milliseconds to try again, if there were too many. Such a
    /// one is not counted: whoever waits gets in.
    pub fn attempt(&mut self, key: &K, limit: Limit, now_ms: i64) -> Result<(), i64> {
        let until_ms = now_ms.saturating_add(limit.whole_ms());
        if let Some(count) = self.counts.get_mut(key) {
            let elapsed_ms = now_ms.saturating_sub(count.last_ms).max(0);
            let left = limit.left(count.attempts, elapsed_ms);
            if left >= limit.most() {
                return Err(limit.pause_ms().saturating_sub(elapsed_ms).max(1));
            }
            *count = Count {
                attempts: left + 1,
                last_ms: now_ms,
                until_ms,
            };
            return Ok(());
        }
        if self.counts.len() >= ENTRIES_MAX {
            self.make_room(now_ms);
        }
        let first = Count {
            attempts: 1,
            last_ms: now_ms,
            until_ms,
        };
        self.counts.insert(key.clone(), first);
        Ok(())
    }

    /// Forgets the attempts: one was right, or somebody lets them try again.
    pub fn forget(&mut self, key: &K) {
        self.counts.remove(key);
    }

    /// Takes an attempt back that was right, and leaves those before it.
    pub fn forgive(&mut self, key: &K) {
        if let Some(count) = self.counts.get_mut(key) {
            count.attempts = count.attempts.saturating_sub(1);
        }
    }

    /// The same for every key of which `which` holds.
    pub fn forget_all(&mut self, which: impl Fn(&K) -> bool) {
        self.counts.retain(|key, _| !which(key));
    }

    /// Whether an attempt was counted whose time is not over.
    #[must_use]
    pub fn remembers(&self, key: &K, now_ms: i64) -> bool {
        self.counts
            .get(key)
            .is_some_and(|count| count.until_ms > now_ms)
    }

    fn make_room(&mut self, now_ms: i64) {
        self.counts.retain(|_, count| count.until_ms > now_ms);
        if self.counts.len() <= KEPT {
            return;
        }
        let mut times: Vec<i64> = self.counts.values().map(|count| count.last_ms).collect();
        let dropped = times.len() - KEPT;
        let (_, newest_dropped, _) = times.select_nth_unstable(dropped - 1);
        let mut left = dropped;
        let newest_dropped = *newest_dropped;
        self.counts.retain(|_, count| {
            let goes = left > 0 && count.last_ms <= newest_dropped;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit::Row(3, 1000);

    #[test]
    fn after_so_many_attempts_there_is_a_pause() {
        let mut throttle = Throttle::default();
        for now_ms in [0, 10, 20] {
            throttle.attempt(&"a", LIMIT, now_ms).unwrap();
        }
        assert_eq!(throttle.attempt(&"a", LIMIT, 30), Err(990));
        assert_eq!(throttle.attempt(&"a", LIMIT, 1019), Err(1));
        throttle.attempt(&"b", LIMIT, 30).unwrap();
        // Then as many as before, and not one only.
        for now_ms in [1020, 1021, 1022] {
            throttle.attempt(&"a", LIMIT, now_ms).unwrap();
        }
        assert_eq!(throttle.attempt(&"a", LIMIT, 1023), Err(999));
    }

    #[test]
    fn a_rate_lets_one_more_through_each_time() {
        let rate = Limit::Rate(3, 100);
        let mut throttle = Throttle::default();
        for _ in 0..3 {
            throttle.attempt(&"a", rate, 0).unwrap();
        }
        assert_eq!(throttle.attempt(&"a", rate, 40), Err(60));
        throttle.attempt(&"a", rate, 100).unwrap();
        assert_eq!(throttle.attempt(&"a", rate, 100), Err(100));
        throttle.attempt(&"a", rate, 310).unwrap();
        throttle.attempt(&"a", rate, 310).unwrap();
        throttle.attempt(&"a", rate, i64::MAX).unwrap();
    }

    #[test]
    fn one_that_was_right_ends_the_row() {
        let mut throttle = Throttle::default();
        for _ in 0..2 {
            throttle.attempt(&"a", LIMIT, 0).unwrap();
            throttle.attempt(&"a", LIMIT, 0).unwrap();
            throttle.forget(&"a");
        }
        throttle.attempt(&"a", LIMIT, 0).unwrap();
    }

    #[test]
    fn one_that_is_taken_back_leaves_those_before_it() {
        let mut throttle = Throttle::default();
        throttle.attempt(&"a", LIMIT, 0).unwrap();
        throttle.attempt(&"a", LIMIT, 0).unwrap();
        for _ in 0..9 {
            throttle.attempt(&"a", LIMIT, 0).unwrap();
            throttle.forgive(&"a");
        }
        throttle.attempt(&"a", LIMIT, 0).unwrap();
        assert!(throttle.attempt(&"a", LIMIT, 0).is_err());
    }

    #[test]
    fn a_full_table_drops_what_was_counted_longest_ago() {
        let mut throttle = Throttle::default();
        for key in 0..ENTRIES_MAX as i64 {
            throttle.attempt(&key, LIMIT, key / 1000).unwrap();
        }
        let newest = ENTRIES_MAX as i64 - 1;
        throttle.attempt(&newest, LIMIT, 99).unwrap();
        throttle.attempt(&newest, LIMIT, 99).unwrap();
        throttle.attempt(&-1, LIMIT, 99).unwrap();
        assert_eq!(throttle.counts.len(), KEPT + 1);
        assert!(throttle.attempt(&newest, LIMIT, 99).is_err());
        // Those whose time is over go first, and all of them.
        for key in 0..ENTRIES_MAX as i64 {
            throttle.attempt(&key, LIMIT, 100_000).unwrap();
        }
        assert!(throttle.counts.len() <= ENTRIES_MAX);
    }
}
