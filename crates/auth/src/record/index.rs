//! How far the search indexes of a project are: what has to be indexed still,
//! and where in the project's records that has got to.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// What is left to be indexed in a project. It has one such record at most.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Which revision of extraction has made the rows of all records.
    pub revision: u32,
    /// Which revision the goals without an id lead to.
    #[serde(default)]
    pub towards: u32,
    /// Nothing is indexed until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// URLs under which the server answered, as far as they are known:
    /// references below them are to its own records.
    #[serde(default)]
    pub bases: Vec<String>,
    /// What is not complete yet.
    #[serde(default)]
    pub goals: Vec<Goal>,
    /// Where the walk over the records of each type is: those after this
    /// point are behind it. A walk goes from the newest to the oldest version,
    /// and begins anew while there are goals.
    #[serde(default)]
    pub places: Vec<(String, u64)>,
}
salus_phi::guard!(Index);

/// A search parameter that is to be indexed, or no longer is, on one type.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The id of its `SearchParameter`; empty for all parameters of R4.
    pub id: String,
    /// The type of resource.
    pub ty: String,
    /// How far it is.
    pub step: Step,
    /// Records that were looked at.
    #[serde(default)]
    pub done: u64,
    /// Records that there were, about; 0 while that is not known.
    #[serde(default)]
    pub total: u64,
    /// Records that could not be indexed.
    #[serde(default)]
    pub failed: u64,
}
salus_phi::guard!(Goal);

/// How far a goal is. A walk that is under way already takes it along, and
/// then comes back to the records that were behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Not begun.
    Waiting,
    /// Begun at this point, towards older versions.
    Since(u64),
    /// At the oldest it began again; what is before this point is done.
    Until(u64),
    /// All is done but for records that cannot be indexed. It is not begun
    /// again before somebody asks for it.
    Ended,
}

impl SystemRecord for Index {
    const NAME: &'static str = "salus:Index";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
