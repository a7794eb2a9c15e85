//! What provisions mean for a subject: first what is known of it, then, for
//! each type, a filter of what is denied and one of what is permitted.

use std::collections::HashSet;

use salus_auth::PurposeOfUse;
use salus_auth::policy::Label;
use salus_store::{Filter, Kind, Param, Test};

use super::read::{Code, Provision, Values};

const CONFIDENTIALITY: &str = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality";
/// Parameters of codes that say what a record is.
const CODES: [&str; 6] = [
    "code",
    "type",
    "category",
    "class",
    "vaccine-code",
    "service-type",
];

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    Yes,
    No,
    Unknown,
}

impl Truth {
    /// Whether it counts as so where it denies, or where it permits.
    fn counts(self, denies: bool) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Unknown => denies,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

/// Who asks, and when.
pub(crate) struct About {
    /// What it is called; `None` of whom nothing is known.
    pub(crate) actors: Option<HashSet<(Kind, Box<str>)>>,
    /// What for; nothing if nobody knows.
    pub(crate) purposes: Vec<PurposeOfUse>,
    pub(crate) now_ms: i64,
}

/// A provision as far as it is about the subject.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Settled {
    permits: bool,
    reads: Truth,
    writes: Truth,
    labels: Values<Code>,
    classes: Values<Box<str>>,
    codes: Values<Code>,
    data: Values<(Kind, Box<str>)>,
    nested: Vec<Settled>,
}
salus_phi::guard!(Settled);

impl Settled {
    /// `None` if it is not about the subject.
    pub(super) fn of(provision: &Provision, about: &About) -> Option<Self> {
        let time = match provision.time {
            Some(time) if time.has(about.now_ms) => Truth::Yes,
            Some(_) => Truth::No,
            None => Truth::Unknown,
        };
        let actors = one_of(&provision.actors, about.actors.as_ref(), |own, actor| {
            own.contains(actor)
        });
        let purposes = Some(&about.purposes).filter(|own| !own.is_empty());
        let purposes = one_of(&provision.purposes, purposes, |own, purpose| {
            own.iter().any(|one| one.is(*purpose))
        });
        let subject = time.and(actors).and(purposes);
        let action = |codes: &[&str]| {
            let is = |codes: &&[&str], code: &&'static str| codes.contains(code);
            subject.and(one_of(&provision.actions, Some(codes), is))
        };
        let nested = provision
            .nested
            .iter()
            .filter_map(|one| Self::of(one, about));
        (subject != Truth::No).then(|| Self {
            permits: provision.permits,
            reads: action(&["access", "use", "disclose"]),
            writes: action(&["collect", "correct"]),
            labels: provision.labels.clone(),
            classes: provision.classes.clone(),
            codes: provision.codes.clone(),
            data: provision.data.clone(),
            nested: nested.collect(),
        })
    }

    /// One that denies everything.
    pub(super) fn denied() -> Self {
        Self {
            permits: false,
            reads: Truth::Yes,
            writes: Truth::Yes,
            labels: Values::default(),
            classes: Values::default(),
            codes: Values::default(),
            data: Values::default(),
            nested: Vec::new(),
        }
    }

    /// The records of a type that it denies, or may deny.
    pub(super) fn denies(&self, ty: &str, writes: bool) -> Filter {
        let nested = |of: fn(&Self, &str, bool) -> Filter| {
            any(self.nested.iter().map(|one| of(one, ty, writes)).collect())
        };
        let mut denied = vec![nested(Self::denies)];
        if !self.permits {
            denied.push(not(nested(Self::permits)));
        }
        all(vec![self.matches(ty, writes, true), any(denied)])
    }

    /// The records of a type that it surely permits.
    pub(super) fn permits(&self, ty: &str, writes: bool) -> Filter {
        let nested = |of: fn(&Self, &str, bool) -> Filter| {
            any(self.nested.iter().map(|one| of(one, ty, writes)).collect())
        };
        let permitted = match self.permits {
            true => Filter::Everything,
            false => nested(Self::permits),
        };
        let denied = not(nested(Self::denies));
        all(vec![self.matches(ty, writes, false), permitted, denied])
    }

    /// The records that its criteria are about.
    fn matches(&self, ty: &str, writes: bool, denies: bool) -> Filter {
        let done = if writes { self.writes } else { self.reads };
        if !done.counts(denies) {
            return Filter::Nothing;
        }
        let class = self.classes.known.iter().any(|class| &**class == ty);
        let labels = self
            .labels
            .known
            .iter()
            .map(|label| labelled(ty, label, denies));
        let labels: Vec<Filter> = labels.collect();
        let codes = self.codes.known.iter().flat_map(|code| coded(ty, code));
        let ids = self.data.known.iter();
        let ids = ids.filter(|(kind, _)| *kind == Kind::named(ty));
        let ids: Vec<Box<str>> = ids.map(|(_, id)| id.clone()).collect();
        let is = |one: bool| {
            if one {
                Filter::Everything
            } else {
                Filter::Nothing
            }
        };
        // A label may be said by several codes: a permission is for what has them all.
        let of_labels = match denies {
            true => any(labels),
            false => all(labels),
        };
        all(vec![
            criterion(&self.classes, is(class), denies),
            criterion(&self.labels, of_labels, denies),
            criterion(&self.codes, any(codes.collect()), denies),
            criterion(&self.data, Filter::Ids(ids), denies),
        ])
    }
}

/// Whether one of the values is the subject's.
fn one_of<T, O>(values: &Values<T>, own: Option<O>, is: impl Fn(&O, &T) -> bool) -> Truth {
    if !values.is_some() {
        return Truth::Yes;
    }
    let Some(own) = own else {
        return Truth::Unknown;
    };
    match values.known.iter().any(|value| is(&own, value)) {
        true => Truth::Yes,
        false if values.unknown => Truth::Unknown,
        false => Truth::No,
    }
}

/// What a criterion leaves: all if there is none, and if not all of it was
/// understood, all or nothing more.
fn criterion<T>(values: &Values<T>, known: Filter, denies: bool) -> Filter {
    match (values.is_some(), values.unknown && denies) {
        (false, _) | (_, true) => Filter::Everything,
        // Of several labels none may be missing where it permits.
        (true, false) if values.known.is_empty() => Filter::Nothing,
        (true, false) => known,
    }
}

/// Records with a label. Of confidentiality, a permission is for so much at most
/// (a high water mark), and what is denied is so much at least.
fn labelled(ty: &str, (system, code): &Code, denies: bool) -> Filter {
    let is_level = system.as_deref() == Some(CONFIDENTIALITY);
    let label = match system {
        Some(system) => Label::parse(&format!("{system}|{code}")),
        None => None,
    };
    match (label, is_level && !denies) {
        (Some(label), true) => {
            // What is as much is not above.
            let above = label.above();
            not(Label::any_of(ty, &above))
        }
        (Some(label), false) => Label::any_of(ty, &[label]),
        (None, _) => {
            let test = Test::Token {
                system: system.clone(),
                code: Some(code.clone()),
            };
            Filter::Value(Param::named(ty, "_security"), test)
        }
    }
}

fn coded(ty: &str, (system, code): &Code) -> Vec<Filter> {
    let test = Test::Token {
        system: system.clone(),
        code: Some(code.clone()),
    };
    let of = |name: &str| Filter::Value(Param::named(ty, name), test.clone());
    CODES.iter().map(|name| of(name)).collect()
}

/// Each of them.
pub(super) fn all(mut filters: Vec<Filter>) -> Filter {
    filters.retain(|one| *one != Filter::Everything);
    if filters.contains(&Filter::Nothing) {
        return Filter::Nothing;
    }
    match filters.len() {
        0 => Filter::Everything,
        1 => filters.remove(0),
        _ => Filter::All(filters),
    }
}

/// At least one of them.
pub(super) fn any(mut filters: Vec<Filter>) -> Filter {
    filters.retain(|one| *one != Filter::Nothing);
    if filters.contains(&Filter::Everything) {
        return Filter::Everything;
    }
    match filters.len() {
        0 => Filter::Nothing,
        1 => filters.remove(0),
        _ => Filter::Any(filters),
    }
}

/// The opposite.
pub(super) fn not(filter: Filter) -> Filter {
    if filter == Filter::Everything {
        return Filter::Nothing;
    }
    match filter == Filter::Nothing {
        true => Filter::Everything,
        false => Filter::Not(filter.into()),
    }
}
