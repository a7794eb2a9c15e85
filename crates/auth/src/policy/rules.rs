//! What all rules come to for one subject: a gate for each type and deed, and
//! the records that it is open for.
//!
//! Compiled once, then looked up: deciding reads no rule. What is not allowed
//! is refused; a record is there if some rule that allows matches it and none
//! that denies does. Two such sets meet in [`Rules::and`], which gives what
//! both give: scopes of a token and policies, say.

use std::collections::BTreeMap;
use std::sync::Arc;

use salus_fhir::mask::Paths;
use salus_store::{Filter, Kind};

use super::operation::{Gate, Operation, Operations};
use super::{Deed, Masks, Target};
use crate::record::Effect;

/// Rule names in an audit entry.
const NAMED_MAX: usize = 4;

/// What rules allow somebody.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    of: BTreeMap<Kind, OfKind>,
    /// Of kinds that are not named.
    others: OfKind,
    /// What is hidden of records, and what is not to be changed.
    masks: Option<Arc<Masks>>,
    /// What they say of operations; each set counts.
    operations: Vec<Operations>,
}

/// By deed.
type OfKind = [Option<Arc<Allowed>>; Deed::ALL.len()];

/// What may be done, to which records, and the rules that say so.
#[derive(Clone, PartialEq)]
pub(crate) struct Allowed {
    pub(crate) rule: Arc<str>,
    /// `None` is all records.
    pub(crate) filter: Option<Arc<Filter>>,
}
salus_phi::guard!(Allowed);

/// A rule as it is for one subject and one kind of record.
#[derive(Clone)]
pub struct Statement {
    /// Its name.
    pub rule: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// The kind.
    pub kind: Kind,
    /// What is done.
    pub deeds: Vec<Deed>,
    /// The records.
    pub filter: Filter,
    /// What of them it does not show, or, if it denies, takes away.
    pub hidden: Paths,
    /// What of them it does not let change.
    pub read_only: Paths,
}
salus_phi::guard!(Statement);

impl Statement {
    /// Whether it says something of whole records.
    fn is_of_records(&self) -> bool {
        let of_fields = !self.hidden.is_empty() || !self.read_only.is_empty();
        self.effect == Effect::Allow || !of_fields
    }
}

impl Rules {
    /// Everything, but for what statements deny.
    #[must_use]
    pub fn unless(rule: &str, statements: &[Statement]) -> Self {
        let all = Arc::new(Allowed {
            rule: rule.into(),
            filter: None,
        });
        let others = Deed::ALL.map(|_| Some(Arc::clone(&all)));
        Self::over(others, statements, Masks::of(true, statements))
    }

    /// Nothing, but for what statements allow and do not deny.
    #[must_use]
    pub fn of(statements: &[Statement]) -> Self {
        let masks = Masks::of(false, statements);
        Self::over(OfKind::default(), statements, masks)
    }

    /// Everything, but of these kinds only the records of a filter.
    pub(crate) fn seeing_only(visible: BTreeMap<Kind, Filter>) -> Self {
        let of = |filter: Option<Arc<Filter>>| {
            let allowed = Arc::new(Allowed {
                rule: "all".into(),
                filter,
            });
            Deed::ALL.map(|_| Some(Arc::clone(&allowed)))
        };
        let kinds = visible.into_iter();
        Self {
            of: kinds
                .map(|(kind, filter)| (kind, of(Some(filter.into()))))
                .collect(),
            others: of(None),
            masks: None,
            operations: Vec::new(),
        }
    }

    fn over(others: OfKind, statements: &[Statement], masks: Option<Arc<Masks>>) -> Self {
        let mut by_kind: BTreeMap<Kind, Vec<&Statement>> = BTreeMap::new();
        for statement in statements.iter().filter(|one| one.is_of_records()) {
            by_kind.entry(statement.kind).or_default().push(statement);
        }
        let of = by_kind.into_iter();
        let of = of.map(|(kind, about)| (kind, of_kind(&others, &about)));
        Self {
            of: of.collect(),
            others,
            masks,
            operations: Vec::new(),
        }
    }

    /// The same rules, with what they say of operations.
    #[must_use]
    pub fn with(mut self, operations: Operations) -> Self {
        self.operations
            .extend((!operations.is_empty()).then_some(operations));
        self
    }

    /// What both allow.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let kinds = self.of.keys().chain(other.of.keys());
        let of = kinds.map(|kind| (*kind, both(self.on(*kind), other.on(*kind))));
        Self {
            of: of.collect(),
            others: both(&self.others, &other.others),
            masks: Masks::both(self.masks.as_ref(), other.masks.as_ref()),
            operations: [&*self.operations, &*other.operations].concat(),
        }
    }

    /// What is hidden of records, and what is not to be changed.
    pub(crate) fn masks(&self) -> Option<&Arc<Masks>> {
        self.masks.as_ref()
    }

    /// What they say of calling an operation: shut wins over allowed.
    pub(super) fn gate(&self, operation: Operation, target: Target<'_>) -> Gate {
        let mut gate = Gate::Unnamed;
        for one in &self.operations {
            match one.gate(operation, target) {
                Gate::Unnamed => {}
                Gate::Shut => return Gate::Shut,
                allowed @ Gate::Allowed(_) => gate = allowed,
            }
        }
        gate
    }

    /// What may be done to records of a kind; `None` is nothing.
    pub(crate) fn allowed(&self, kind: Kind, deed: Deed) -> Option<&Arc<Allowed>> {
        let [read, search, history, create, update, patch, delete] = self.on(kind);
        match deed {
            Deed::Read => read,
            Deed::Search => search,
            Deed::History => history,
            Deed::Create => create,
            Deed::Update => update,
            Deed::Patch => patch,
            Deed::Delete => delete,
        }
        .as_ref()
    }

    /// The rule that allows something on some kind.
    pub(crate) fn somewhere(&self, deed: Deed) -> Option<&Arc<Allowed>> {
        let mut kinds = self.of.keys().copied();
        kinds
            .find_map(|kind| self.allowed(kind, deed))
            .or_else(|| self.others.get(deed as usize)?.as_ref())
    }

    /// The kinds that are not like all others.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.of.keys().copied()
    }

    /// What may be done to kinds that are not named.
    pub(crate) fn of_others(&self, deed: Deed) -> Option<&Arc<Allowed>> {
        self.others.get(deed as usize)?.as_ref()
    }

    /// Whether nothing is allowed at all.
    pub(crate) fn is_empty(&self) -> bool {
        let mut all = self.of.values().chain([&self.others]);
        let mut named = self.operations.iter().flat_map(|one| &one.named);
        let opens = named.any(|one| one.effect == Effect::Allow);
        !opens && all.all(|of| of.iter().all(Option::is_none))
    }

    fn on(&self, kind: Kind) -> &OfKind {
        self.of.get(&kind).unwrap_or(&self.others)
    }
}

fn of_kind(others: &OfKind, about: &[&Statement]) -> OfKind {
    let mut made: Vec<Option<Arc<Allowed>>> = Vec::with_capacity(Deed::ALL.len());
    for (deed, base) in Deed::ALL.iter().zip(others) {
        let of_deed = || about.iter().filter(|one| one.deeds.contains(deed)).copied();
        let new = compose(base.as_ref(), of_deed()).map(Arc::new);
        // Most rules are about several deeds: they share one filter.
        let same = made.iter().find(|known| known.as_deref() == new.as_deref());
        made.push(same.cloned().unwrap_or(new));
    }
    made.try_into().unwrap_or_default()
}

/// What some statements leave of what there was.
fn compose<'s>(
    base: Option<&Arc<Allowed>>,
    statements: impl Iterator<Item = &'s Statement>,
) -> Option<Allowed> {
    let (mut any, mut none, mut names) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(base) = base {
        any.push(
            base.filter
                .as_deref()
                .unwrap_or(&Filter::Everything)
                .clone(),
        );
        names.push(&*base.rule);
    }
    for statement in statements {
        match statement.effect {
            Effect::Allow if statement.filter != Filter::Nothing => {
                any.push(statement.filter.clone());
                names.push(&statement.rule);
            }
            Effect::Deny if statement.filter != Filter::Nothing => {
                none.push(statement.filter.clone());
            }
            Effect::Allow | Effect::Deny => {}
        }
    }
    if any.is_empty() || none.contains(&Filter::Everything) {
        return None;
    }
    let filter = unless(alternatives(any), none);
    Some(Allowed {
        rule: joined(&names),
        filter: (filter != Filter::Everything).then(|| filter.into()),
    })
}

fn alternatives(mut any: Vec<Filter>) -> Filter {
    if any.contains(&Filter::Everything) {
        return Filter::Everything;
    }
    match any.len() {
        1 => any.remove(0),
        _ => Filter::Any(any),
    }
}

fn unless(filter: Filter, none: Vec<Filter>) -> Filter {
    if none.is_empty() {
        return filter;
    }
    let not = Filter::Not(alternatives(none).into());
    match filter == Filter::Everything {
        true => not,
        false => Filter::All(vec![filter, not]),
    }
}

fn both(a: &OfKind, b: &OfKind) -> OfKind {
    let mut pairs = a.iter().zip(b);
    std::array::from_fn(|_| {
        let (Some(a), Some(b)) = pairs.next()? else {
            return None;
        };
        let filter = match (&a.filter, &b.filter) {
            (None, filter) | (filter, None) => filter.clone(),
            (Some(a), Some(b)) if a == b => Some(Arc::clone(a)),
            (Some(a), Some(b)) => {
                let all = Filter::All(vec![(**a).clone(), (**b).clone()]);
                Some(Arc::new(all))
            }
        };
        let rule = match a.rule == b.rule {
            true => Arc::clone(&a.rule),
            false => format!("{} and {}", a.rule, b.rule).into(),
        };
        Some(Arc::new(Allowed { rule, filter }))
    })
}

/// The names of rules of which any may have decided.
fn joined(names: &[&str]) -> Arc<str> {
    let mut text = names[..names.len().min(NAMED_MAX)].join(" or ");
    if names.len() > NAMED_MAX {
        text.push_str(" or others");
    }
    text.into()
}
