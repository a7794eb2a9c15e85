//! How a query was answered, for those who operate the store. Nothing here
//! holds a value that somebody asked for or that a record has.

use std::time::Duration;

use crate::Param;

/// How a query was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Records of the kind, if the engine knows.
    pub records: Option<u64>,
    /// The conditions, each of which a record must satisfy.
    pub conditions: Vec<PlanCondition>,
    /// What was done, in turn.
    pub steps: Vec<PlanStep>,
    /// Rows looked at in all.
    pub rows: u64,
}

/// A condition of a query, without its values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanCondition {
    /// The parameters of the record that it looks at.
    pub params: Vec<Param>,
    /// It looks at ids.
    pub ids: bool,
    /// It looks at times of versions.
    pub times: bool,
    /// It looks at other records.
    pub linked: bool,
    /// About so many records satisfy it, if that was asked.
    pub estimate: Option<u64>,
}

/// A step on the way to an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanStep {
    /// What is done.
    pub what: &'static str,
    /// By means of these of the conditions.
    pub conditions: Vec<usize>,
    /// Rows that it should touch.
    pub rows_expected: Option<u64>,
    /// Rows that it touched.
    pub rows: u64,
    /// How long it took.
    pub time: Duration,
}
