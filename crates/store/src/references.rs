//! A set of references, such as the patients of a practitioner.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::Kind;

/// References to records of one kind, to be tested at once. A clone shares them.
#[derive(Clone)]
pub struct References {
    kind: Kind,
    /// In order, each once.
    ids: Arc<[Box<str>]>,
}
salus_phi::guard!(References);

impl PartialEq for References {
    fn eq(&self, other: &Self) -> bool {
        // Those of one subject are one set, and compared for each type and deed.
        let same = Arc::ptr_eq(&self.ids, &other.ids) || self.ids == other.ids;
        self.kind == other.kind && same
    }
}

impl Eq for References {}

impl Hash for References {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.ids.hash(state);
    }
}

impl References {
    /// Those to records of a kind with these ids.
    #[must_use]
    pub fn of(kind: Kind, mut ids: Vec<Box<str>>) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self {
            kind,
            ids: ids.into(),
        }
    }

    /// The kind pointed to.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The ids pointed to, in order.
    #[must_use]
    pub fn ids(&self) -> &[Box<str>] {
        &self.ids
    }

    /// Whether a reference is one of them.
    #[must_use]
    pub fn contains(&self, kind: Kind, id: &str) -> bool {
        kind == self.kind && self.ids.binary_search_by(|own| (**own).cmp(id)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_one_of_them_by_kind_and_id() {
        let (patient, group) = (Kind::named("Patient"), Kind::named("Group"));
        let set = References::of(patient, vec!["b".into(), "a".into(), "b".into()]);
        assert_eq!(set.ids(), ["a".into(), "b".into()]);
        assert!(set.contains(patient, "a") && set.contains(patient, "b"));
        assert!(!set.contains(patient, "c") && !set.contains(group, "a"));
        assert!(!References::of(patient, Vec::new()).contains(patient, ""));
    }
}
