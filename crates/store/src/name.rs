//! Names as numbers: short in keys, the same in every engine and every build.

/// A tenant: every record, row and audit entry belongs to one. Scope 0 is the
/// system's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(pub u32);

impl Scope {
    /// Where projects, and what belongs to none of them, are kept.
    pub const SYSTEM: Self = Self(0);
}

/// The kind of a record: a FHIR type, or one of our own with a prefix (`salus:User`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(pub u32);

impl Kind {
    /// The kind of this name. Two names with one number are refused where names are
    /// declared, not here.
    #[must_use]
    pub const fn named(name: &str) -> Self {
        Self(hash(FNV_OFFSET, name))
    }
}

/// A search parameter of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Param(pub u32);

impl Param {
    /// The parameter `code` of `kind`, as in `Patient` and `birthdate`.
    #[must_use]
    pub const fn named(kind: &str, code: &str) -> Self {
        Self(hash(hash(hash(FNV_OFFSET, kind), "."), code))
    }
}

/// A point in the order of commits, the same for all scopes. Every put takes
/// the next one, and then every audit entry of the batch, each in its order;
/// the first of a store is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;

/// FNV-1a, 32 bits. Part of the stored format: never changes.
const fn hash(mut state: u32, text: &str) -> u32 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        state = (state ^ bytes[i] as u32).wrapping_mul(FNV_PRIME);
        i += 1;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_names_never_change() {
        assert_eq!(Kind::named("Patient").0, 0x078f_2dfe);
        assert_ne!(
            Param::named("Patient", "name"),
            Param::named("Person", "name")
        );
    }
}
