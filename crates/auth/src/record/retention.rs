//! How long records are kept, and what was disposed of when that was over.

use std::collections::BTreeMap;

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The setting of a project. It has one such record at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Each type is in one class at most.
    pub classes: Vec<RetentionClass>,
}

/// Types that are kept alike.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionClass {
    /// What people call it.
    pub name: String,
    /// The types of resource.
    pub types: Vec<String>,
    /// How many years they are kept,
    pub years: u32,
    /// and from which date.
    #[serde(default)]
    pub from: KeptFrom,
    /// Records of who was a minor are kept longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minors: Option<Minors>,
    /// What happens when that is over.
    #[serde(default)]
    pub then: Then,
    /// After how many years, from the same date, they may be moved to cold storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_after_years: Option<u32>,
}
salus_phi::guard!(RetentionClass);

/// From which date records are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptFrom {
    /// The date of what the record is about; of its last update if it says none.
    #[default]
    MainDate,
    /// The last update.
    LastUpdate,
    /// The death of its patient: while they live, or nobody knows when they died, it is kept.
    Death,
    /// The end of the last encounter of its patient; the last update if there was none.
    LastEncounter,
}

/// How long records of minors are kept at least: until an age, and so many years more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minors {
    /// The age in years.
    pub until_age: u32,
    /// Years beyond it.
    #[serde(default)]
    pub years: u32,
}

/// What happens to records whose time is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// They are listed.
    #[default]
    Report,
    /// They are disposed of when somebody says so.
    Dispose,
}

impl SystemRecord for Retention {
    const NAME: &'static str = "salus:Retention";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

impl Retention {
    /// The class of a type.
    #[must_use]
    pub fn of(&self, ty: &str) -> Option<&RetentionClass> {
        let mut classes = self.classes.iter();
        classes.find(|class| class.types.iter().any(|one| one == ty))
    }
}

/// What was disposed of at once. The audit names each record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposal {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The label of who said so.
    pub by: Box<str>,
    /// Why.
    pub reason: String,
    /// How many records of each type.
    pub counts: BTreeMap<String, u64>,
    /// The same by class.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub classes: BTreeMap<String, BTreeMap<String, u64>>,
    /// How many of them were in cold storage.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cold: u64,
    /// Objects in cold storage that are to be removed when no other record lies in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// How many were due and are under legal hold.
    pub held: u64,
    /// Type and id of those that are deleted and whose versions are to be purged yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<(String, Box<str>)>,
}
salus_phi::guard!(Disposal);

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl SystemRecord for Disposal {
    const NAME: &'static str = "salus:Disposal";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}
