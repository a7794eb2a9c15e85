//! Operations as rules name them: `$everything`, `$export`.
//!
//! An operation does what other actions do, and needs these. A rule may shut it
//! for its subjects besides; and where a rule allows it by name, it is closed to
//! all users whom none does. What otherwise only administrators may do is open to
//! whom a rule allows it. Which records it touches the other actions decide.

use std::sync::Arc;

use salus_store::Kind;

use super::Target;
use crate::record::Effect;

/// Every operation.
const NAMES: [&str; 19] = [
    "audit",
    "diff",
    "disclosures",
    "document",
    "everything",
    "export",
    "import",
    "lastn",
    "match",
    "merge",
    "merge-undo",
    "meta",
    "meta-add",
    "meta-delete",
    "process-message",
    "purge-history",
    "reindex",
    "stats",
    "validate",
];

/// An operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operation(&'static str);

impl Operation {
    /// `$audit`: seeing entries of the audit whole, as an auditor does.
    pub const AUDIT: Self = Self("audit");
    /// `$disclosures`: recording disclosures, and accounting for them.
    pub const DISCLOSURES: Self = Self("disclosures");
    /// `$export`
    pub const EXPORT: Self = Self("export");
    /// `$import`
    pub const IMPORT: Self = Self("import");

    /// The one of a name, without the `$`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut names = NAMES.into_iter();
        names.find(|known| *known == name).map(Self)
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(Self)
    }

    /// Its name, without the `$`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// What a rule says of an operation to one subject.
#[derive(Clone, PartialEq)]
pub struct Named {
    /// The rule's name.
    pub rule: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// The operation.
    pub operation: Operation,
    /// The type on which it is called; `None` is every type and the endpoint.
    pub on: Option<Kind>,
}
salus_phi::guard!(Named);

/// What rules say of operations to one subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operations {
    /// What they say.
    pub named: Vec<Named>,
    /// Those that are open only to whom a rule allows them, by the type that is called.
    pub closed: Vec<(Operation, Option<Kind>)>,
}

/// What rules come to for a call.
#[derive(Clone, PartialEq)]
pub(super) enum Gate {
    /// None is about it.
    Unnamed,
    /// This rule allows it.
    Allowed(Arc<str>),
    Shut,
}
salus_phi::guard!(Gate);

impl Operations {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.closed.is_empty()
    }

    /// What is said of calling one on something.
    pub fn about(&self, operation: Operation, target: Target<'_>) -> impl Iterator<Item = &Named> {
        let called = target.type_name().map(Kind::named);
        let about = move |one: &&Named| one.operation == operation && is_on(one.on, called);
        self.named.iter().filter(about)
    }

    pub(super) fn gate(&self, operation: Operation, target: Target<'_>) -> Gate {
        let mut allowed = None;
        for one in self.about(operation, target) {
            match one.effect {
                Effect::Deny => return Gate::Shut,
                Effect::Allow => allowed = allowed.or(Some(&one.rule)),
            }
        }
        if let Some(rule) = allowed {
            return Gate::Allowed(Arc::clone(rule));
        }
        let called = target.type_name().map(Kind::named);
        let mut closed = self.closed.iter();
        match closed.any(|(one, on)| *one == operation && is_on(*on, called)) {
            true => Gate::Shut,
            false => Gate::Unnamed,
        }
    }
}

fn is_on(on: Option<Kind>, called: Option<Kind>) -> bool {
    on.is_none() || on == called
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_denies_wins_and_what_is_named_is_closed_to_others() {
        let export = Operation::EXPORT;
        let group = Some(Kind::named("Group"));
        let named = |effect, on| Named {
            rule: "p/r".into(),
            effect,
            operation: export,
            on,
        };
        let gate = |named: &[Named], closed: &[_], target| {
            let (named, closed) = (named.to_vec(), closed.to_vec());
            Operations { named, closed }.gate(export, target)
        };
        let (on_group, system) = (Target::Type("Group"), Target::System);
        assert_eq!(gate(&[], &[], system), Gate::Unnamed);
        assert_eq!(gate(&[], &[(export, None)], system), Gate::Shut);
        assert_eq!(gate(&[], &[(export, group)], system), Gate::Unnamed);
        assert_eq!(gate(&[], &[(export, group)], on_group), Gate::Shut);
        assert_eq!(
            gate(&[], &[(Operation::IMPORT, None)], system),
            Gate::Unnamed
        );
        let allow = named(Effect::Allow, None);
        let deny = named(Effect::Deny, group);
        let allowed = Gate::Allowed("p/r".into());
        let both = [allow, deny];
        assert_eq!(gate(&both, &[(export, None)], system), allowed);
        assert_eq!(gate(&both, &[(export, None)], on_group), Gate::Shut);
    }
}
