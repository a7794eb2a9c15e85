//! The resource types of FHIR, as kinds of records.

use std::collections::HashMap;
use std::sync::LazyLock;

use salus_fhir::definitions;
use salus_store::Kind;

/// A type of resource that can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name, as in a URL.
    pub name: &'static str,
    /// Its kind in the store.
    pub kind: Kind,
}

static BY_NAME: LazyLock<HashMap<&'static str, ResourceType>> = LazyLock::new(|| {
    definitions::r4()
        .resource_types()
        .map(|ty| {
            let kind = Kind::named(ty.name);
            (
                ty.name,
                ResourceType {
                    name: ty.name,
                    kind,
                },
            )
        })
        .collect()
});

static BY_KIND: LazyLock<HashMap<Kind, ResourceType>> =
    LazyLock::new(|| BY_NAME.values().map(|ty| (ty.kind, *ty)).collect());

impl ResourceType {
    /// The audit log as FHIR shows it; kept by the store's audit log, not as records.
    pub const AUDIT_EVENT: &str = "AuditEvent";

    /// The type of this name, if FHIR R4 has it and it can be stored.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        BY_NAME.get(name).copied()
    }

    /// The type whose records have this kind.
    #[must_use]
    pub fn of(kind: Kind) -> Option<Self> {
        BY_KIND.get(&kind).copied()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<_> = BY_NAME.values().copied().collect();
        all.sort_by_key(|ty| ty.name);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_types_share_a_kind() {
        assert_eq!(BY_NAME.len(), BY_KIND.len());
        assert!(ResourceType::named("Patient").is_some());
        assert!(ResourceType::named("DomainResource").is_none());
    }
}
