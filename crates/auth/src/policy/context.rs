//! Access to a Binary is access to its security context
//! (<https://hl7.org/fhir/R4/binary.html#security>): who may not read the
//! resource that `Binary.securityContext` refers to does not see the Binary.
//!
//! It becomes a part of the filter that every query for Binaries has, over two
//! parameters that a Binary with a context is stored with.

use salus_store::{Filter, Kind, Param, Test};

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

/// Which Binaries are there for a subject; `None` is all.
pub(super) fn binaries(subject: &Subject) -> Option<Filter> {
    let mut conditions: Vec<Filter> = subject.visible(BINARY).cloned().into_iter().collect();
    if let Rights::Scopes(scopes) = subject.rights()
        && scopes.on_all_types(Right::READ).is_none()
    {
        let mut any = vec![not(Filter::Value(CONTEXT_KIND, Test::Present))];
        any.extend(scopes.types(Right::READ).map(|ty| is(Kind::named(ty))));
        conditions.push(Filter::Any(any));
    }
    for (kind, filter) in subject.narrowed().filter(|(kind, _)| **kind != BINARY) {
        conditions.push(Filter::Any(vec![not(is(*kind)), refers(*kind, filter)]));
    }
    if conditions.is_empty() {
        return None;
    }
    // A Binary may stand for another one, but for none that stands for a third.
    let mut of_other = conditions.clone();
    of_other.push(not(is(BINARY)));
    let other = refers(BINARY, &Filter::All(of_other));
    conditions.push(Filter::Any(vec![not(is(BINARY)), other]));
    Some(Filter::All(conditions))
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
