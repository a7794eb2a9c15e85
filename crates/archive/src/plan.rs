//! Which of the objects in a list make up the log.

use crate::{Fault, SegmentName, What};

/// The segments of an archive, as a list of names tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Those to read, in order: where segments were merged, the merged one.
    pub segments: Vec<SegmentName>,
    /// Those that a merged one has in it.
    pub spare: Vec<SegmentName>,
    /// What names alone show to be wrong.
    pub faults: Vec<Fault>,
}

impl Contents {
    /// Of the names of objects.
    #[must_use]
    pub fn of<'a>(objects: impl Iterator<Item = &'a str>) -> Self {
        let mut contents = Self::default();
        let mut names = Vec::new();
        for object in objects {
            match SegmentName::parse(object) {
                Some(name) => names.push(name),
                None => contents.faults.push(Fault::new(object, What::Unknown)),
            }
        }
        // Of those that begin alike, the one that goes furthest first.
        names.sort_unstable_by_key(|name| {
            (name.first.0, u64::MAX - name.last_number(), name.clone())
        });
        let mut next = 1;
        for name in names {
            contents.place(name, &mut next);
        }
        contents
    }

    fn place(&mut self, name: SegmentName, next: &mut u64) {
        if name.first.0 >= *next {
            if name.first.0 > *next {
                self.faults.push(self.missing(*next, name.first.0));
            }
            *next = name.last_number().saturating_add(1);
            self.segments.push(name);
            return;
        }
        let inside = |other: &&SegmentName| {
            other.first.0 <= name.first.0 && name.last_number() <= other.last_number()
        };
        match self.segments.last().filter(inside) {
            Some(other) if other.last.is_some() && other.last != name.last => {
                self.spare.push(name);
            }
            Some(_) | None => {
                if let Some(other) = self.segments.last().cloned() {
                    self.faults.push(Fault::new(name, What::Doubled(other)));
                }
            }
        }
    }

    /// Segments from one number up to another are missing.
    fn missing(&self, number: u64, until: u64) -> Fault {
        let after = self.segments.last().and_then(|name| name.last);
        let object = match after {
            // The seq is known if the one before was merged.
            Some((_, seq)) => format!("segment {number}, from seq {}", seq.0.saturating_add(1)),
            None => format!("segment {number}"),
        };
        let until = (until > number.saturating_add(1)).then_some(until);
        Fault::new(object, What::Missing { until })
    }
}

#[cfg(test)]
mod tests {
    use salus_store::Seq;

    use super::*;

    fn one(number: u64, seq: u64) -> SegmentName {
        SegmentName {
            first: (number, Seq(seq)),
            last: None,
        }
    }

    fn merged(first: (u64, u64), last: (u64, u64)) -> SegmentName {
        SegmentName {
            first: (first.0, Seq(first.1)),
            last: Some((last.0, Seq(last.1))),
        }
    }

    fn contents(names: &[SegmentName]) -> Contents {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        Contents::of(names.iter().map(String::as_str))
    }

    #[test]
    fn merged_ones_stand_for_what_is_in_them() {
        let all = merged((1, 1), (3, 30));
        let names = [one(1, 1), one(2, 10), one(3, 20), one(4, 31), all.clone()];
        let found = contents(&names);
        assert_eq!(found.segments, [all, one(4, 31)]);
        assert_eq!(found.spare, &names[..3]);
        assert_eq!(found.faults, []);
    }

    #[test]
    fn gaps_and_doubles_are_named() {
        let found = contents(&[one(1, 1), one(4, 31), one(4, 33)]);
        assert_eq!(found.segments, [one(1, 1), one(4, 31)]);
        let texts: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "segment 2: it is missing, and so are all up to number 3",
                "segments/000000000004-00000000000000000033: there is another of the same \
                 number, segments/000000000004-00000000000000000031",
            ]
        );
    }

    #[test]
    fn what_overlaps_without_being_in_another_is_a_double() {
        let found = contents(&[merged((1, 1), (3, 30)), merged((2, 10), (5, 50))]);
        assert_eq!(found.segments.len(), 1);
        assert_eq!(found.faults.len(), 1);
    }

    #[test]
    fn other_names_are_nothing_of_ours() {
        let found = Contents::of(["segments/x"].into_iter());
        assert_eq!(found.faults, [Fault::new("segments/x", What::Unknown)]);
    }
}
