//! Of which types superseded versions are not kept, or not for ever.

use salus_store::Row;
use serde::{Deserialize, Serialize};

use super::SystemRecord;

/// The setting of a project. It has one such record at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Types of resource, in order, whose versions are purged some time after
    /// they were superseded.
    pub purged: Vec<Purged>,
}

/// Which versions of a type are purged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Kept")]
pub struct Purged {
    /// The type of resource.
    #[serde(rename = "type")]
    pub ty: String,
    /// How many of the newest versions of each resource stay, at least 1.
    pub keep: u32,
    /// How many days a version stays after it was superseded.
    pub days: u32,
}
salus_phi::guard!(Purged);

impl Purged {
    /// All versions of a type but the newest, at once.
    #[must_use]
    pub fn all_of(ty: String) -> Self {
        let (keep, days) = (1, 0);
        Self { ty, keep, days }
    }
}

/// Either form in which it is kept; the first one had no more than names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Name(String),
    Rule {
        #[serde(rename = "type")]
        ty: String,
        keep: u32,
        days: u32,
    },
}

impl From<Kept> for Purged {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Name(ty) => Self::all_of(ty),
            Kept::Rule { ty, keep, days } => Self { ty, keep, days },
        }
    }
}

impl SystemRecord for History {
    const NAME: &'static str = "salus:History";

    fn rows(&self) -> Vec<Row> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_names_are_read() {
        let text = r#"{"purged":["Patient",{"type":"Observation","keep":2,"days":30}]}"#;
        let read: History = serde_json::from_str(text).unwrap();
        let rule = Purged {
            ty: "Observation".into(),
            keep: 2,
            days: 30,
        };
        assert_eq!(read.purged, [Purged::all_of("Patient".into()), rule]);
        let text = serde_json::to_string(&read).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), read);
    }
}
