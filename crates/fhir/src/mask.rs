//! Elements that somebody may not see, and resources without them.
//!
//! A [`Path`] names elements as FHIRPath does, `Patient.contact.telecom`, with a
//! condition on one member of a repeating one at most:
//! `Patient.identifier.where(system='urn:x')`. A resource of which something is
//! hidden has no narrative (<https://hl7.org/fhir/R4/narrative.html>), for that
//! may tell the same, and is tagged as a part
//! (<https://hl7.org/fhir/R4/valueset-security-labels.html>, `SUBSETTED`)
//! whether or not it had what is hidden, so that the tag tells nothing.

mod hide;
mod keep;
mod path;
mod reads;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use keep::{Fault, keep};
pub use path::Path;

/// Elements of one type of resource; none lies within another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths(Vec<Path>);

impl Paths {
    /// No elements.
    pub const NONE: &'static Self = &Self(Vec::new());

    /// Those of a type among these.
    #[must_use]
    pub fn of<'p>(ty: &str, all: impl IntoIterator<Item = &'p Path>) -> Self {
        let own = all.into_iter().filter(|path| path.ty() == ty);
        Self::outermost(own.cloned().collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter()
    }

    /// What is among one or the other.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (_, true) => self.clone(),
            (true, _) => other.clone(),
            (false, false) => Self::outermost(self.iter().chain(other.iter()).cloned().collect()),
        }
    }

    /// What is among both; of two conditions that may hold of one element, what
    /// either names.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut both = Vec::new();
        for one in self.iter() {
            for other in other.iter() {
                one.meet(other, &mut both);
            }
        }
        Self::outermost(both)
    }

    fn outermost(mut paths: Vec<Path>) -> Self {
        paths.sort();
        paths.dedup();
        let all = paths.clone();
        paths.retain(|path| !all.iter().any(|other| other != path && other.holds(path)));
        Self(paths)
    }
}

/// Elements of several types of resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hidden(BTreeMap<&'static str, Paths>);

impl Hidden {
    /// Nothing.
    pub const NOTHING: &'static Self = &Self(BTreeMap::new());

    /// Adds elements of a type to those that there are.
    pub fn add(&mut self, ty: &'static str, paths: &Paths) {
        if !paths.is_empty() {
            let own = self.0.entry(ty).or_default();
            *own = own.or(paths);
        }
    }

    /// Those of a type.
    #[must_use]
    pub fn on(&self, ty: &str) -> &Paths {
        self.0.get(ty).unwrap_or(Paths::NONE)
    }

    /// Whether there are none at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The types that have some.
    pub fn types(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}
