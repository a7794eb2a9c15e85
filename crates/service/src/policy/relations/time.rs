//! When a relationship holds.

use salus_fhir::json::Node;
use salus_fhir::search::Span;

/// A span of time, half open, in milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    from_ms: i64,
    to_ms: i64,
}

impl Time {
    /// Without an end.
    pub(crate) const ALWAYS: Self = Self {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };

    /// Up to then.
    pub(crate) fn until(to_ms: i64) -> Self {
        Self {
            to_ms,
            ..Self::ALWAYS
        }
    }

    /// That of a Period, or without an end if there is none. `None` if it cannot be
    /// read: then nobody knows when it holds.
    pub(crate) fn of(period: Option<Node<'_>>) -> Option<Self> {
        let mut time = Self::ALWAYS;
        let Some(period) = period else {
            return Some(time);
        };
        if let Some(start) = period.get("start") {
            time.from_ms = Span::parse(&start.str()?)?.from_ms;
        }
        if let Some(end) = period.get("end") {
            // To the end of the day, where it names a day.
            time.to_ms = Span::parse(&end.str()?)?.to_ms;
        }
        Some(time)
    }

    /// What both have.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            from_ms: self.from_ms.max(other.from_ms),
            to_ms: self.to_ms.min(other.to_ms),
        }
    }

    /// The same for longer.
    pub(crate) fn and_longer(self, by_ms: i64) -> Self {
        Self {
            to_ms: self.to_ms.saturating_add(by_ms),
            ..self
        }
    }

    /// Whether it has an end.
    pub(crate) fn ends(self) -> bool {
        self.to_ms < i64::MAX
    }

    /// Whether it is such a time.
    pub(crate) fn has(self, now_ms: i64) -> bool {
        self.from_ms <= now_ms && now_ms < self.to_ms
    }

    /// The next time at which the answer to [`Self::has`] may be another.
    pub(crate) fn changes_after(self, now_ms: i64) -> i64 {
        let ends = [self.from_ms, self.to_ms].into_iter();
        let next = ends.filter(|end| *end > now_ms).min();
        next.unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_begins_and_ends() {
        let time = Time {
            from_ms: 10,
            to_ms: 20,
        };
        assert!(!time.has(9) && time.has(10) && time.has(19) && !time.has(20));
        assert_eq!(
            [9, 10, 20].map(|now| time.changes_after(now)),
            [10, 20, i64::MAX]
        );
        assert_eq!(time.and_longer(5).to_ms, 25);
        assert_eq!(Time::ALWAYS.and_longer(5), Time::ALWAYS);
        assert!(time.ends() && !Time::ALWAYS.ends());
    }
}
