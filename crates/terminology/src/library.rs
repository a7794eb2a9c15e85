//! Code systems and value sets by canonical URL.

use std::collections::HashMap;
use std::sync::Arc;

use salus_fhir::definitions;
use salus_fhir::reference::Canonical;

use crate::compose::Expanding;
use crate::{CodeSystem, Error, Members, ValueSet};

/// More codes than these are in no expansion.
pub const CODES_MAX: usize = 100_000;
/// More value sets than these do not build on each other.
pub const SETS_MAX: usize = 200;

/// What is known, under the canonical URLs by which others ask for it, with
/// the version that they ask for.
#[derive(Default)]
pub struct Library {
    systems: HashMap<Box<str>, Arc<CodeSystem>>,
    sets: HashMap<Box<str>, Arc<ValueSet>>,
}
salus_phi::guard!(Library);

impl Library {
    /// Adds what a canonical URL means.
    pub fn add_system(&mut self, canonical: &str, system: Arc<CodeSystem>) {
        self.systems.insert(canonical.into(), system);
    }

    /// Adds what a canonical URL means.
    ///
    /// # Errors
    /// [`Error::TooManySets`]
    pub fn add_set(&mut self, canonical: &str, set: Arc<ValueSet>) -> Result<(), Error> {
        self.sets.insert(canonical.into(), set);
        match self.sets.len() > SETS_MAX {
            true => Err(Error::TooManySets),
            false => Ok(()),
        }
    }

    /// Whether it knows a value set.
    #[must_use]
    pub fn has_set(&self, canonical: &str) -> bool {
        self.sets.contains_key(canonical)
    }

    /// Whether it knows a code system.
    #[must_use]
    pub fn has_system(&self, canonical: &str) -> bool {
        self.systems.contains_key(canonical)
    }

    pub(crate) fn set(&self, canonical: &str) -> Option<&ValueSet> {
        self.sets.get(canonical).map(|set| &**set)
    }

    pub(crate) fn system(&self, canonical: &str) -> Option<&CodeSystem> {
        self.systems.get(canonical).map(|system| &**system)
    }

    /// The codes of a value set.
    ///
    /// # Errors
    /// When it builds on what is not here, on itself, or has more codes than
    /// [`CODES_MAX`].
    pub fn expand(&self, set: &ValueSet) -> Result<Members, Error> {
        Expanding::in_library(self).expand(set)
    }
}

/// A code system of the definitions by canonical URL, if they have this version.
pub(crate) fn defined_system(canonical: &str) -> Option<&'static definitions::CodeSystem> {
    let asked = Canonical::parse(canonical);
    let system = definitions::r4().code_system(asked.url)?;
    is_version(asked.version, system.version).then_some(system)
}

/// A value set of the definitions by canonical URL, if they have this version.
pub(crate) fn defined_set(canonical: &str) -> Option<definitions::ValueSet<'static>> {
    let asked = Canonical::parse(canonical);
    let set = definitions::r4().value_set(asked.url)?;
    is_version(asked.version, set.version()).then_some(set)
}

fn is_version(asked: Option<&str>, version: &str) -> bool {
    asked.is_none_or(|asked| asked == version)
}
