//! Where somebody has signed in from of late, so that they can be told of a sign-in from elsewhere.
//!
//! A place is a code that only the server can make of a network and its user: nobody reads in
//! a store where people live, or who of them are in one place.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::{Saved, SystemRecord};

/// Places kept at most; the one that was used longest ago goes first.
const PLACES_MAX: usize = 20;
/// How long a place is known.
const KNOWN_MS: i64 = 90 * DAY_MS;
/// How much later a place has to be used for that to be kept.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The places of a user, under the user's id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    list: Vec<Place>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    code: String,
    used_ms: i64,
}
salus_phi::guard!(Place);

/// What a sign-in from a place means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// It is the first of all: there is nothing to compare it with.
    First,
    /// They were not there of late.
    New,
    /// They were, and it is time to keep that they are.
    Renewed,
    /// They were just now; nothing changed.
    Known,
}

impl SystemRecord for Places {
    const NAME: &'static str = "salus:Places";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Places {
    /// Notes a sign-in.
    pub fn visit(&mut self, code: &str, now_ms: i64) -> Visit {
        let first = self.list.is_empty();
        let known = self.list.iter_mut().find(|place| place.code == code);
        let since_ms = known
            .as_ref()
            .map(|place| now_ms.saturating_sub(place.used_ms));
        match (known, since_ms) {
            (Some(_), Some(..DAY_MS)) => return Visit::Known,
            (Some(place), _) => place.used_ms = now_ms,
            (None, _) => self.add(code, now_ms),
        }
        match since_ms {
            Some(..KNOWN_MS) => Visit::Renewed,
            _ if first => Visit::First,
            Some(_) | None => Visit::New,
        }
    }

    fn add(&mut self, code: &str, now_ms: i64) {
        if self.list.len() >= PLACES_MAX {
            self.list
                .sort_by_key(|place| std::cmp::Reverse(place.used_ms));
            self.list.truncate(PLACES_MAX - 1);
        }
        self.list.push(Place {
            code: code.to_owned(),
            used_ms: now_ms,
        });
    }

    /// The record of a user who has none yet.
    #[must_use]
    pub fn none(user: &str) -> Saved<Self> {
        Saved::new(user, Self::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_new_once_and_again_after_a_while() {
        let mut places = Places::default();
        let mut visit = |code: &str, now_ms| places.visit(code, now_ms);
        assert_eq!(visit("a", 0), Visit::First);
        assert_eq!(visit("a", DAY_MS - 1), Visit::Known);
        assert_eq!(visit("b", 5), Visit::New);
        assert_eq!(visit("a", DAY_MS), Visit::Renewed);
        assert_eq!(visit("a", DAY_MS + 1), Visit::Known);
        assert_eq!(visit("b", 5 + KNOWN_MS), Visit::New);
        assert_eq!(visit("a", DAY_MS + KNOWN_MS - 1), Visit::Renewed);
        // A clock that went back makes nobody a stranger.
        assert_eq!(visit("a", 0), Visit::Known);
    }

    #[test]
    fn only_so_many_are_kept_and_those_used_last() {
        let mut places = Places::default();
        for number in 0..30 {
            places.visit(&number.to_string(), number);
        }
        assert_eq!(places.list.len(), PLACES_MAX);
        assert_eq!(places.visit("29", 40), Visit::Known);
        assert_eq!(places.visit("5", 40), Visit::New);
    }
}
