//! Of which types superseded versions are not kept.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The setting of a project. It has one such record at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Types of resource, in order, whose versions are purged some time after
    /// they were superseded.
    pub purged: Vec<String>,
}

impl SystemRecord for History {
    const NAME: &'static str = "salus:History";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
