//! Which elements of a record are hidden from somebody, or not theirs to change.
//!
//! A rule that allows, allows a record but for the elements it names, and what
//! several allow is what any of them does: an element is shown if some rule
//! that shows the record shows it. A rule that denies elements takes them away,
//! whatever others show. So which elements are hidden may depend on which rules
//! match a record; what is hidden of some record is barred from searches of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use salus_fhir::mask::{Hidden, Paths};
use salus_store::{Filter, Kind};

use super::deed::{CHANGING, SEEING};
use super::{Deed, Statement};
use crate::record::Effect;

/// What is hidden and what is fixed, by kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masks {
    of: BTreeMap<Kind, OfKind>,
    hidden: Hidden,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct OfKind {
    hidden: Mask,
    /// By what is done, as in [`CHANGING`].
    fixed: [Mask; 3],
}

/// Elements of the records of a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mask {
    layers: Vec<Layer>,
    most: Paths,
}

/// What the rules of one set say: all of several sets count.
#[derive(Clone, Debug, Default, PartialEq)]
struct Layer {
    /// What each rule that allows leaves out.
    allow: Vec<(Arc<Filter>, Paths)>,
    /// What each that denies takes away.
    deny: Vec<(Arc<Filter>, Paths)>,
}

impl Masks {
    /// What statements say; `open` is where all is allowed but for what they deny.
    pub(super) fn of(open: bool, statements: &[Statement]) -> Option<Arc<Self>> {
        let concerns = |one: &&Statement| !one.hidden.is_empty() || !one.read_only.is_empty();
        let mut masks = Self::default();
        for kind in statements.iter().filter(concerns).map(|one| one.kind) {
            if masks.of.contains_key(&kind) {
                continue;
            }
            let about = || statements.iter().filter(move |one| one.kind == kind);
            let hidden = about().map(|one| (one, &one.hidden));
            let of = OfKind {
                hidden: Mask::over(open, hidden, &SEEING),
                fixed: CHANGING.map(|deed| Mask::fixed(open, about(), deed)),
            };
            masks.of.insert(kind, of);
        }
        masks.ended()
    }

    /// What either hides and fixes.
    pub(super) fn both(one: Option<&Arc<Self>>, other: Option<&Arc<Self>>) -> Option<Arc<Self>> {
        let (Some(one), Some(other)) = (one, other) else {
            return one.or(other).cloned();
        };
        let mut masks = (**one).clone();
        for (kind, more) in &other.of {
            let own = masks.of.entry(*kind).or_default();
            own.hidden.add(&more.hidden);
            for (own, more) in own.fixed.iter_mut().zip(&more.fixed) {
                own.add(more);
            }
        }
        masks.ended()
    }

    /// What is hidden of some record, by type.
    #[must_use]
    pub fn hidden(&self) -> &Hidden {
        &self.hidden
    }

    /// What is hidden of records of a kind, if anything.
    #[must_use]
    pub fn on(&self, kind: Kind) -> Option<&Mask> {
        let of = self.of.get(&kind)?;
        (!of.hidden.most.is_empty()).then_some(&of.hidden)
    }

    /// What may not be changed, besides what is hidden.
    #[must_use]
    pub fn fixed(&self, kind: Kind, deed: Deed) -> Option<&Mask> {
        let at = CHANGING.iter().position(|one| *one == deed)?;
        let mask = self.of.get(&kind)?.fixed.get(at)?;
        (!mask.most.is_empty()).then_some(mask)
    }

    fn ended(mut self) -> Option<Arc<Self>> {
        self.hidden = Hidden::default();
        for of in self.of.values() {
            if let Some(path) = of.hidden.most.iter().next() {
                self.hidden.add(path.ty(), &of.hidden.most);
            }
        }
        (!self.of.is_empty()).then(|| self.into())
    }
}

impl Mask {
    /// All that is left out of some record.
    #[must_use]
    pub fn most(&self) -> &Paths {
        &self.most
    }

    /// What has to be known of a record; nothing if all are alike.
    #[must_use]
    pub fn filters(&self) -> Vec<&Filter> {
        if self.layers.iter().all(Layer::is_same) {
            return Vec::new();
        }
        let parts = self.layers.iter().flat_map(Layer::parts);
        parts.map(|(filter, _)| &**filter).collect()
    }

    /// What is left out of a record that is or is not among those of each of
    /// [`Self::filters`].
    #[must_use]
    pub fn of(&self, holds: &[bool]) -> Paths {
        if holds.is_empty() {
            return self.most.clone();
        }
        let mut rest = holds.iter().copied();
        let layers = self.layers.iter();
        layers.fold(Paths::default(), |all, layer| all.or(&layer.of(&mut rest)))
    }

    fn over<'s>(
        open: bool,
        statements: impl Iterator<Item = (&'s Statement, &'s Paths)>,
        deeds: &[Deed],
    ) -> Self {
        let everything = || (Arc::new(Filter::Everything), Paths::default());
        let mut layer = Layer {
            allow: open.then(everything).into_iter().collect(),
            deny: Vec::new(),
        };
        for (statement, paths) in statements {
            let does = deeds.iter().any(|deed| statement.deeds.contains(deed));
            if !does || statement.filter == Filter::Nothing {
                continue;
            }
            let part = (Arc::new(statement.filter.clone()), paths.clone());
            match statement.effect {
                Effect::Allow => layer.allow.push(part),
                Effect::Deny if paths.is_empty() => {}
                Effect::Deny => layer.deny.push(part),
            }
        }
        let most = layer.most();
        let layers = Vec::from_iter((!most.is_empty()).then_some(layer));
        Self { layers, most }
    }

    /// What a rule hides, nobody changes by it.
    fn fixed<'s>(open: bool, statements: impl Iterator<Item = &'s Statement>, deed: Deed) -> Self {
        let both: Vec<(&Statement, Paths)> = statements
            .map(|one| match one.effect {
                Effect::Allow => (one, one.read_only.or(&one.hidden)),
                Effect::Deny => (one, one.read_only.clone()),
            })
            .collect();
        let both = both.iter().map(|(one, paths)| (*one, paths));
        Self::over(open, both, &[deed])
    }

    fn add(&mut self, other: &Self) {
        self.layers.extend(other.layers.iter().cloned());
        self.most = self.most.or(&other.most);
    }
}

impl Layer {
    fn parts(&self) -> impl Iterator<Item = &(Arc<Filter>, Paths)> {
        self.allow.iter().chain(&self.deny)
    }

    fn is_same(&self) -> bool {
        let mut pairs = self.allow.iter().zip(self.allow.iter().skip(1));
        let mut deny = self.deny.iter();
        pairs.all(|((_, one), (_, next))| one == next)
            && deny.all(|(filter, _)| **filter == Filter::Everything)
    }

    /// What may be left out of a record that some rule shows.
    fn most(&self) -> Paths {
        let all = self.allow.iter().map(|(_, paths)| paths);
        let mut most = all.fold(Paths::default(), |all, paths| all.or(paths));
        for (filter, paths) in &self.allow {
            if **filter == Filter::Everything {
                most = most.and(paths);
            }
        }
        let taken = self.deny.iter().map(|(_, paths)| paths);
        taken.fold(most, |all, paths| all.or(paths))
    }

    fn of(&self, holds: &mut impl Iterator<Item = bool>) -> Paths {
        let allowed: Vec<&Paths> = held(&self.allow, holds);
        let mut hidden = match allowed.split_first() {
            // What no rule shows any more, as a record that was deleted.
            None => self.most(),
            Some((first, others)) => {
                let first = (*first).clone();
                others.iter().fold(first, |both, paths| both.and(paths))
            }
        };
        for paths in held(&self.deny, holds) {
            hidden = hidden.or(paths);
        }
        hidden
    }
}

fn held<'l>(
    parts: &'l [(Arc<Filter>, Paths)],
    holds: &mut impl Iterator<Item = bool>,
) -> Vec<&'l Paths> {
    // Every part takes its answer, whatever it is.
    let answers: Vec<bool> = holds.take(parts.len()).collect();
    let pairs = parts.iter().zip(answers);
    pairs
        .filter_map(|((_, paths), holds)| holds.then_some(paths))
        .collect()
}

#[cfg(test)]
mod tests {
    use salus_fhir::mask::Path;

    use super::*;

    const PATIENT: Kind = Kind::named("Patient");

    fn paths(texts: &[&str]) -> Paths {
        let all: Vec<Path> = texts
            .iter()
            .map(|text| Path::parse(text).unwrap())
            .collect();
        Paths::of("Patient", &all)
    }

    fn says(effect: Effect, id: &str, hidden: &[&str]) -> Statement {
        Statement {
            rule: "r".into(),
            effect,
            kind: PATIENT,
            deeds: Deed::ALL.to_vec(),
            filter: match id {
                "" => Filter::Everything,
                id => Filter::Ids(vec![id.into()]),
            },
            hidden: paths(hidden),
            read_only: Paths::default(),
        }
    }

    /// What is hidden of the patients `a`, `b` and of one that no rule is about.
    #[track_caller]
    fn check(open: bool, statements: &[Statement], expected: [&[&str]; 3], most: &[&str]) {
        let masks = Masks::of(open, statements).unwrap();
        assert_eq!(masks.hidden().on("Patient"), &paths(most));
        for (id, expected) in ["a", "b", "c"].into_iter().zip(expected) {
            let found = masks.on(PATIENT).map_or(Paths::default(), |mask| {
                let holds = |filter: &&Filter| {
                    matches!(filter, Filter::Everything)
                        || matches!(filter, Filter::Ids(ids) if ids.iter().any(|one| **one == *id))
                };
                let holds: Vec<bool> = mask.filters().iter().map(holds).collect();
                mask.of(&holds)
            });
            assert_eq!(found, paths(expected), "{id}");
        }
    }

    #[test]
    fn a_field_is_shown_if_some_rule_that_shows_the_record_shows_it() {
        use Effect::{Allow, Deny};
        let (tel, name, both) = (
            &["Patient.telecom"][..],
            &["Patient.name"][..],
            &["Patient.telecom", "Patient.name"][..],
        );
        let all = says(Allow, "", tel);
        check(false, std::slice::from_ref(&all), [tel; 3], tel);
        check(
            false,
            &[all.clone(), says(Allow, "a", &[])],
            [&[], tel, tel],
            tel,
        );
        check(false, &[all.clone(), says(Allow, "", &[])], [&[]; 3], &[]);
        check(
            false,
            &[all.clone(), says(Allow, "a", name)],
            [&[], tel, tel],
            tel,
        );
        check(
            false,
            &[all.clone(), says(Deny, "a", name)],
            [both, tel, tel],
            both,
        );
        let (a, b) = (says(Allow, "a", tel), says(Allow, "b", name));
        check(false, &[a, b], [tel, name, both], both);
        check(true, &[says(Deny, "a", tel)], [tel, &[], &[]], tel);
        check(true, &[says(Deny, "", tel)], [tel; 3], tel);
    }

    #[test]
    fn of_two_sets_both_count() {
        let one = Masks::of(false, &[says(Effect::Allow, "", &["Patient.telecom"])]);
        let other = Masks::of(true, &[says(Effect::Deny, "a", &["Patient.name"])]);
        let both = Masks::both(one.as_ref(), other.as_ref()).unwrap();
        let mask = both.on(PATIENT).unwrap();
        assert_eq!(mask.filters().len(), 3);
        let of = |a| mask.of(&[true, true, a]);
        assert_eq!(of(true), paths(&["Patient.telecom", "Patient.name"]));
        assert_eq!(of(false), paths(&["Patient.telecom"]));
        assert_eq!(Masks::both(one.as_ref(), None), one);
    }

    #[test]
    fn what_a_rule_hides_is_not_changed_by_it() {
        let see = Statement {
            deeds: vec![Deed::Read],
            hidden: Paths::default(),
            ..says(Effect::Allow, "", &[])
        };
        let change = says(Effect::Allow, "", &["Patient.telecom"]);
        let masks = Masks::of(false, &[see, change]).unwrap();
        assert!(masks.hidden().is_empty() && masks.on(PATIENT).is_none());
        let fixed = masks.fixed(PATIENT, Deed::Update).unwrap();
        assert_eq!(fixed.most(), &paths(&["Patient.telecom"]));
        assert!(masks.fixed(PATIENT, Deed::Delete).is_none());
    }
}
