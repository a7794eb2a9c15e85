//! An emergency in which somebody went past what rules else allow them with one
//! patient: who, why, how long, and what whoever looked at it afterwards found.
//!
//! Records of it are not deleted, and what was said at the beginning is not changed.

use salus_store::{Comparison, Filter, Param, Position, Query, Row, Sort, Test, Value};
use serde::{Deserialize, Serialize};

use super::{SystemRecord, matching, token_row};

const USER: Param = Param::named("salus:BreakGlass", "user");
const TIME: Param = Param::named("salus:BreakGlass", "time");
const STATE: Param = Param::named("salus:BreakGlass", "state");

/// One emergency.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakGlass {
    /// The id of the user.
    pub user: Box<str>,
    /// The id of the patient.
    pub patient: Box<str>,
    /// From when, in milliseconds since 1970 UTC.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// When the user ended it, if they did before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// Why.
    pub reason: Reason,
    /// What the user attests of records under 42 CFR Part 2; without it they stay shut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_2: Option<String>,
    /// What a review came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}
salus_phi::guard!(BreakGlass);

/// Why the glass was broken.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is.
    pub code: ReasonCode,
    /// In the user's words.
    pub text: String,
}
salus_phi::guard!(Reason);

/// Reasons, after v3-ActReason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ReasonCode {
    /// Emergency treatment.
    Etreat,
    /// A threat to the patient or others.
    Threat,
    /// Treatment that nobody with rights to is there for.
    Treat,
}

/// What a review came to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The label of who reviewed it.
    pub by: Box<str>,
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Whether it was right.
    pub outcome: ReviewOutcome,
    /// A remark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}
salus_phi::guard!(Review);

/// Whether it was right to break the glass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReviewOutcome {
    /// It was.
    Justified,
    /// It was not.
    Unjustified,
    /// Somebody else has to look at it.
    Escalated,
}

impl SystemRecord for BreakGlass {
    const NAME: &'static str = "salus:BreakGlass";

    fn rows(&self) -> Vec<Row> {
        let state = match self.review {
            None => "open",
            Some(_) => "reviewed",
        };
        let time = Row {
            param: TIME,
            value: Value::Date {
                from_ms: self.from_ms,
                to_ms: self.ends_ms(),
            },
        };
        vec![token_row(USER, &self.user), time, token_row(STATE, state)]
    }
}

impl BreakGlass {
    /// When it ends or has ended.
    #[must_use]
    pub fn ends_ms(&self) -> i64 {
        let ended_ms = self.ended_ms.unwrap_or(self.until_ms);
        // A span has a length, or no index finds it.
        ended_ms.min(self.until_ms).max(self.from_ms + 1)
    }

    /// Whether it is open at a time.
    #[must_use]
    pub fn is_open(&self, now_ms: i64) -> bool {
        self.from_ms <= now_ms && now_ms < self.ends_ms()
    }

    /// The user to whom a row of such a record belongs, if it says that.
    #[must_use]
    pub fn user_of(row: &Row) -> Option<&str> {
        let Value::Token { code, .. } = &row.value else {
            return None;
        };
        (row.param == USER).then_some(code)
    }

    /// Those of a user that have not ended by a time.
    #[must_use]
    pub fn of_user(user: &str, now_ms: i64) -> Query {
        matching::<Self>(Filter::All(vec![
            token(USER, user),
            Filter::Value(TIME, Test::Date(Comparison::Overlaps, now_ms, i64::MAX)),
        ]))
    }

    /// Those that wait for a review, or all; the newest first.
    #[must_use]
    pub fn listed(only_open: bool, limit: usize, after: Option<Position>) -> Query {
        let filter = match only_open {
            true => token(STATE, "open"),
            false => Filter::Everything,
        };
        Query {
            sort: vec![Sort::Updated { descending: true }],
            limit,
            after,
            ..matching::<Self>(filter)
        }
    }
}

fn token(param: Param, code: &str) -> Filter {
    let test = Test::Token {
        system: None,
        code: Some(code.into()),
    };
    Filter::Value(param, test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glass_is_whole_again_by_itself_or_sooner() {
        let mut glass = BreakGlass {
            user: "u".into(),
            patient: "p".into(),
            from_ms: 10,
            until_ms: 20,
            ended_ms: None,
            reason: Reason {
                code: ReasonCode::Etreat,
                text: "x".into(),
            },
            part_2: None,
            review: None,
        };
        assert!(!glass.is_open(9) && glass.is_open(10) && glass.is_open(19) && !glass.is_open(20));
        glass.ended_ms = Some(15);
        assert!(glass.is_open(14) && !glass.is_open(15));
        let text = serde_json::to_string(&glass).unwrap();
        assert!(text.contains(r#""code":"ETREAT""#), "{text}");
        assert_eq!(serde_json::from_str::<BreakGlass>(&text).unwrap(), glass);
        let users = glass.rows();
        let users = users.iter().filter_map(BreakGlass::user_of);
        assert_eq!(users.collect::<Vec<_>>(), ["u"]);
    }
}
