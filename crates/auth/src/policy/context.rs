//! Access to a Binary is access to its security context
//! (<https://hl7.org/fhir/R4/binary.html#security>): who may not read the
//! resource that `Binary.securityContext` refers to does not see the Binary.
//!
//! It becomes a part of the filter that every query for Binaries has, over two
//! parameters that a Binary with a context is stored with.

use std::sync::Arc;

use salus_store::{Filter, Kind, Param, Test};

use super::{Deed, Rules};
use crate::Subject;
use crate::scopes::Rights as Right;
use crate::subject::Rights;

/// The kind of a Binary.
pub const BINARY: Kind = Kind::named("Binary");

/// The record that a Binary's context is, if it is one of this server.
pub const CONTEXT: Param = Param::named("Binary", "_context");

/// The kind of that record, as [`context_code`] writes it; an empty code if the
/// context is anything else.
pub const CONTEXT_KIND: Param = Param::named("Binary", "_context:kind");

/// A kind as the code of a token.
#[must_use]
pub fn context_code(kind: Kind) -> String {
    format!("{:08x}", kind.0)
}

/// The Binaries to which a subject may do something; `None` is all.
pub(super) fn binaries(subject: &Subject, deed: Deed) -> Option<Filter> {
    let contexts = contexts(subject);
    let own = subject.visible(deed, BINARY);
    if contexts.is_empty() && own.is_none() {
        return None;
    }
    let with = |own: Option<Arc<Filter>>| {
        let own = own.map(|own| (*own).clone());
        own.into_iter().chain(contexts.iter().cloned())
    };
    // A Binary may stand for another one, but for none that stands for a third.
    let mut of_other: Vec<Filter> = with(subject.visible(Deed::Read, BINARY)).collect();
    of_other.push(not(is(BINARY)));
    let other = refers(BINARY, &Filter::All(of_other));
    let mut conditions: Vec<Filter> = with(own).collect();
    conditions.push(Filter::Any(vec![not(is(BINARY)), other]));
    Some(Filter::All(conditions))
}

/// What must hold of the context of a Binary for the one who may read what
/// this one may.
fn contexts(subject: &Subject) -> Vec<Filter> {
    let scopes = match subject.rights() {
        Rights::Scopes(scopes) if scopes.on_all_types(Right::READ).is_none() => Some(scopes),
        Rights::Scopes(_)
        | Rights::None
        | Rights::Everything
        | Rights::Roles(_)
        | Rights::Rules => None,
    };
    let kinds = || subject.rules().into_iter().flat_map(Rules::kinds);
    let closed = |rules: &Rules| rules.of_others(Deed::Read).is_none();
    let any_of: Vec<Kind> = match (scopes, subject.rules()) {
        (Some(scopes), _) => scopes.types(Right::READ).map(Kind::named).collect(),
        (None, Some(rules)) if closed(rules) => kinds().collect(),
        (None, _) => {
            let narrowed = kinds().filter(|kind| *kind != BINARY);
            let narrowed = narrowed.map(|kind| (kind, subject.visible(Deed::Read, kind)));
            let narrowed = narrowed.filter_map(|(kind, filter)| Some((kind, filter?)));
            let only = |(kind, filter): (Kind, Arc<Filter>)| {
                Filter::Any(vec![not(is(kind)), refers(kind, &filter)])
            };
            return narrowed.map(only).collect();
        }
    };
    let none = not(Filter::Value(CONTEXT_KIND, Test::Present));
    let allowed = any_of
        .into_iter()
        .filter_map(|kind| match subject.visible(Deed::Read, kind) {
            None => Some(is(kind)),
            Some(filter) if *filter == Filter::Nothing => None,
            Some(_) if kind == BINARY => Some(is(kind)),
            Some(filter) => Some(Filter::All(vec![is(kind), refers(kind, &filter)])),
        });
    vec![Filter::Any([none].into_iter().chain(allowed).collect())]
}

fn is(kind: Kind) -> Filter {
    let test = Test::Token {
        system: None,
        code: Some(context_code(kind).into()),
    };
    Filter::Value(CONTEXT_KIND, test)
}

fn not(filter: Filter) -> Filter {
    Filter::Not(filter.into())
}

fn refers(kind: Kind, filter: &Filter) -> Filter {
    Filter::Refers {
        param: CONTEXT,
        kind,
        filter: filter.clone().into(),
    }
}
