//! The codes that are in a value set.

use std::sync::Arc;

use crate::Error;

/// What is in a value set: codes, and code systems with all their codes where
/// these cannot be listed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// Systems and codes, sorted, each once.
    codes: Vec<(Arc<str>, Box<str>)>,
    /// Sorted, each once.
    systems: Vec<Arc<str>>,
}
salus_phi::guard!(Members);

impl Members {
    pub(crate) fn of(mut codes: Vec<(Arc<str>, Box<str>)>) -> Self {
        codes.sort_unstable();
        codes.dedup();
        Self {
            codes,
            systems: Vec::new(),
        }
    }

    pub(crate) fn system(system: &str) -> Self {
        Self {
            codes: Vec::new(),
            systems: vec![system.into()],
        }
    }

    /// Is a code in?
    #[must_use]
    pub fn contains(&self, system: &str, code: &str) -> bool {
        self.has_system(system) || self.lists(system, code)
    }

    /// The codes that are listed: system and code, sorted.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.codes.iter().map(|(system, code)| (&**system, &**code))
    }

    /// The code systems of which all codes are in, listed or not.
    pub fn systems(&self) -> impl ExactSizeIterator<Item = &str> {
        self.systems.iter().map(|system| &**system)
    }

    fn lists(&self, system: &str, code: &str) -> bool {
        let place = |(s, c): &(Arc<str>, Box<str>)| (**s).cmp(system).then((**c).cmp(code));
        self.codes.binary_search_by(place).is_ok()
    }

    fn has_system(&self, system: &str) -> bool {
        self.systems.binary_search_by(|s| (**s).cmp(system)).is_ok()
    }

    /// What is in either.
    pub(crate) fn or(mut self, mut other: Self) -> Self {
        if self.codes.is_empty() {
            std::mem::swap(&mut self.codes, &mut other.codes);
        }
        if !other.codes.is_empty() {
            self.codes.append(&mut other.codes);
            self.codes.sort_unstable();
            self.codes.dedup();
        }
        self.systems.append(&mut other.systems);
        self.systems.sort_unstable();
        self.systems.dedup();
        self
    }

    /// What is in both.
    pub(crate) fn and(self, other: &Self) -> Self {
        let of_other = other.codes.iter().filter(|(s, _)| self.has_system(s));
        let mut codes: Vec<_> = of_other.cloned().collect();
        let own = self.codes.into_iter();
        codes.extend(own.filter(|(system, code)| other.contains(system, code)));
        let own = self.systems.into_iter();
        let systems = own.filter(|system| other.has_system(system)).collect();
        Self {
            systems,
            ..Self::of(codes)
        }
    }

    /// What is in this and not in the other.
    pub(crate) fn without(mut self, other: &Self) -> Result<Self, Error> {
        self.systems.retain(|system| !other.has_system(system));
        if other
            .codes
            .iter()
            .any(|(system, _)| self.has_system(system))
        {
            return Err(Error::UnknownSystemOfPart);
        }
        self.codes
            .retain(|(system, code)| !other.contains(system, code));
        Ok(self)
    }

    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }
}
