//! Which of the objects in a list make up the log.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Base, BaseName, BasePart, Fault, SegmentName, What};

/// The segments and bases of an archive, as a list of names tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Those to read, in order: where segments were merged, the merged one.
    pub segments: Vec<SegmentName>,
    /// Those that a merged one has in it.
    pub spare: Vec<SegmentName>,
    /// Bases, the oldest first; not all of them are whole.
    pub bases: Vec<Base>,
    /// Up to the end of which base segments were pruned; those that are there all the same could
    /// not be removed yet. The newest of such marks is the last.
    pub pruned: Vec<BaseName>,
    /// What names alone show to be wrong.
    pub faults: Vec<Fault>,
}

/// A segment to be read: one of the line, or of a base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) name: SegmentName,
    pub(crate) base: Option<BaseName>,
}

impl Contents {
    /// Of the names of objects.
    #[must_use]
    pub fn of<'a>(objects: impl Iterator<Item = &'a str>) -> Self {
        let mut contents = Self::default();
        let mut names = Vec::new();
        let mut bases: BTreeMap<BaseName, Base> = BTreeMap::new();
        for object in objects {
            if let Some(name) = SegmentName::parse(object) {
                names.push(name);
            } else if let Some((name, part)) = BaseName::parse(object) {
                bases
                    .entry(name)
                    .or_insert_with(|| Base::of(name))
                    .add(part);
            } else if let Some(base) = BaseName::parse_mark(object) {
                contents.pruned.push(base);
            } else {
                contents.faults.push(Fault::new(object, What::Unknown));
            }
        }
        contents.pruned.sort_unstable();
        contents.bases = bases.into_values().collect();
        contents
            .bases
            .iter_mut()
            .for_each(|base| base.segments.sort_unstable());
        // Of those that begin alike, the one that goes furthest first.
        names.sort_unstable_by_key(|name| {
            (name.first.0, u64::MAX - name.last_number(), name.clone())
        });
        let mut next = 1;
        for name in names {
            contents.place(name, &mut next);
        }
        contents.look_for_base(next);
        contents
    }

    /// The number up to which segments were pruned; zero if none were.
    #[must_use]
    pub fn pruned_to(&self) -> u64 {
        self.pruned.last().map_or(0, |base| base.number)
    }

    /// Whether a segment ends where a base does, or the next one begins there.
    pub(crate) fn ends_at(&self, base: BaseName) -> bool {
        self.segments
            .iter()
            .any(|name| name.first.0 == base.number + 1 || name.last_number() == base.number)
    }

    /// What is to be read of a base, and of the line behind it; of the line alone without one.
    pub(crate) fn pieces(&self, base: Option<&Base>) -> Vec<Piece> {
        let number = base.map_or(0, |base| base.name.number);
        let of_base = base.into_iter().flat_map(Base::pieces);
        let segments = self.segments.iter().filter(|name| name.first.0 > number);
        let of_line = segments.map(|name| Piece {
            name: name.clone(),
            base: None,
        });
        of_base.chain(of_line).collect()
    }

    /// The segment that ends with a number, in its own form.
    pub(crate) fn ending(&self, number: u64) -> Option<&SegmentName> {
        let mut all = self.segments.iter().chain(&self.spare);
        all.find(|name| name.last_number() == number)
    }

    /// What was pruned is to be in a base.
    fn look_for_base(&mut self, next: u64) {
        let Some(last) = self.pruned.last() else {
            return;
        };
        let mut wholes = self.bases.iter().filter(|base| base.whole);
        if !wholes.any(|base| base.name >= *last) {
            let object = last.object(BasePart::Whole);
            self.faults
                .push(Fault::new(object, What::Missing { until: None }));
        }
        // The last segment is never pruned.
        if next <= last.number {
            let object = format!("segment {}", last.number);
            self.faults
                .push(Fault::new(object, What::Missing { until: None }));
        }
    }

    fn place(&mut self, name: SegmentName, next: &mut u64) {
        if name.first.0 >= *next {
            // What is before the end of a base may have been pruned.
            let from = (*next).max(self.pruned_to().saturating_add(1));
            if name.first.0 > from {
                self.faults.push(self.missing(from, name.first.0));
            }
            *next = name.last_number().saturating_add(1);
            self.segments.push(name);
            return;
        }
        match self.segments.last().filter(|other| has(other, &name)) {
            Some(_) => self.spare.push(name),
            None => {
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

/// Whether a merged segment has another in it.
fn has(merged: &SegmentName, name: &SegmentName) -> bool {
    let begins = merged.first.0 < name.first.0 || merged.first == name.first;
    let ends = match (merged.last, name.last) {
        (None, _) => false,
        (Some(merged), None) => name.first.0 <= merged.0,
        (Some(merged), Some(last)) => last.0 < merged.0 || last == merged,
    };
    begins && ends
}

impl Base {
    fn of(name: BaseName) -> Self {
        Self {
            name,
            segments: Vec::new(),
            whole: false,
        }
    }

    fn add(&mut self, part: BasePart) {
        match part {
            BasePart::Whole => self.whole = true,
            BasePart::Segment(number, seq) => self.segments.push((number, seq)),
        }
    }

    /// Its segments, as they are read.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece> {
        self.segments.iter().map(|first| Piece {
            name: SegmentName {
                first: *first,
                last: None,
            },
            base: Some(self.name),
        })
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, seq) = self.name.first;
        match &self.base {
            Some(base) => f.write_str(&base.object(BasePart::Segment(number, seq))),
            None => self.name.fmt(f),
        }
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
    fn what_is_merged_again_has_what_was_merged_before() {
        let (all, one_and_two) = (merged((1, 1), (3, 30)), merged((1, 1), (2, 19)));
        let names = [merged((2, 10), (3, 30)), one_and_two, all.clone()];
        let found = contents(&names);
        assert_eq!(found.segments, std::slice::from_ref(&all));
        assert_eq!((found.spare.len(), found.faults), (2, Vec::new()));
        for other in [merged((2, 10), (3, 31)), one(1, 2), merged((1, 2), (2, 19))] {
            assert_eq!(contents(&[all.clone(), other]).faults.len(), 1);
        }
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
    fn what_was_pruned_is_not_missing_if_a_base_has_it() {
        let base = BaseName {
            number: 3,
            seq: Seq(30),
        };
        let whole = [
            base.object(BasePart::Whole),
            base.object(BasePart::Segment(1, Seq(1))),
        ];
        let behind = [one(2, 10), one(4, 31)].map(|name| name.to_string());
        let texts = |names: &[String]| {
            let found = Contents::of(names.iter().map(String::as_str));
            found
                .faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let unmarked = [&whole[..], &behind].concat();
        assert_eq!(
            texts(&unmarked),
            ["segment 1: it is missing", "segment 3: it is missing"]
        );
        let marked = [&unmarked[..], &[base.mark()]].concat();
        assert_eq!(texts(&marked), [""; 0]);
        let later = one(6, 50).to_string();
        let gap = [&whole[..], &[later, base.mark()]].concat();
        assert_eq!(
            texts(&gap),
            ["segment 4: it is missing, and so are all up to number 5"]
        );
        let alone = [&behind[..], &[base.mark()]].concat();
        assert_eq!(texts(&alone).len(), 1, "without its base");
    }

    #[test]
    fn other_names_are_nothing_of_ours() {
        let found = Contents::of(["segments/x"].into_iter());
        assert_eq!(found.faults, [Fault::new("segments/x", What::Unknown)]);
    }
}
