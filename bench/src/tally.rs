//! The outcome of one phase: a histogram and the first reasons of failure for each class of operation.

use crate::histogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Reasons kept for each class: the first few say what is wrong, more would only repeat it.
const REASONS_MAX: usize = 5;

/// What happened, class by class.
#[derive(Default)]
pub(crate) struct Tally {
    classes: BTreeMap<&'static str, Class>,
}

/// One class of operation, e.g. `create` or a search shape.
pub(crate) struct Class {
    /// Time to the full answer.
    pub(crate) latency: Histogram,
    /// What the operations amount to: themselves, or the entries of a bundle.
    pub(crate) units: u64,
    /// Operations that failed or whose answer was wrong.
    pub(crate) errors: u64,
    /// Why, for the first few.
    pub(crate) reasons: Vec<String>,
}

impl Tally {
    /// Counts one operation. A wrong answer counts as an error, and its time counts too.
    pub(crate) fn record(
        &mut self,
        class: &'static str,
        units: u64,
        took: Duration,
        outcome: Result<(), String>,
    ) {
        let class = self.class(class);
        class
            .latency
            .record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        match outcome {
            Ok(()) => class.units += units,
            Err(reason) => class.fault(reason),
        }
    }

    /// Adds a wrong answer that was found beside the measured operations.
    pub(crate) fn fault(&mut self, class: &'static str, reason: String) {
        self.class(class).fault(reason);
    }

    /// Units of all classes.
    pub(crate) fn units(&self) -> u64 {
        self.classes.values().map(|class| class.units).sum()
    }

    /// Errors of all classes.
    pub(crate) fn errors(&self) -> u64 {
        self.classes.values().map(|class| class.errors).sum()
    }

    /// All classes by name.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&'static str, &Class)> {
        self.classes.iter().map(|(name, class)| (*name, class))
    }

    fn class(&mut self, name: &'static str) -> &mut Class {
        self.classes.entry(name).or_insert_with(|| Class {
            latency: Histogram::new(),
            units: 0,
            errors: 0,
            reasons: Vec::new(),
        })
    }
}

impl Class {
    fn fault(&mut self, reason: String) {
        self.errors += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_keep_their_first_reasons_and_add_no_units() {
        let mut tally = Tally::default();
        tally.record("import", 500, Duration::from_millis(3), Ok(()));
        for n in 0..10 {
            tally.record(
                "import",
                500,
                Duration::from_millis(1),
                Err(format!("reason {n}")),
            );
        }
        tally.fault("read", "differs".to_owned());
        assert_eq!((tally.units(), tally.errors()), (500, 11));
        let (name, import) = tally.classes().next().unwrap();
        assert_eq!(
            (name, import.reasons.len(), import.latency.count()),
            ("import", 5, 11)
        );
        assert_eq!(import.reasons[0], "reason 0");
    }
}
