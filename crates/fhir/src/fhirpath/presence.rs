//! What the presence of members alone decides of an expression.
//!
//! Most invariants say that one member needs, or excludes, another:
//! `value.empty() or system.exists()`. Whoever knows which members an object
//! has need not evaluate them. Here the conditions are found under which an
//! expression is true, false, without items, or has some, as far as they
//! depend on the members of `$this` only. They are sufficient, not necessary:
//! what no condition tells is left to the evaluation.

use super::Expression;
use super::ast::{Logic, Operator};
use super::function::{Collection, Function, Lambda, Resource, Text};
use super::item::Value;
use super::op::{Chain, Expr, Member, Path, Step};
use crate::definitions::{Parent, r4};

/// Members that an object has, and others that it has not: a bit for each
/// [`crate::definitions::Child::ordinal`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Presence {
    there: u128,
    missing: u128,
}

impl Presence {
    /// Is it so for an object that has these members?
    #[inline]
    pub(crate) fn holds(&self, members: u128) -> bool {
        members & self.there == self.there && members & self.missing == 0
    }

    fn and(self, other: Presence) -> Option<Presence> {
        let (there, missing) = (self.there | other.there, self.missing | other.missing);
        (there & missing == 0).then_some(Presence { there, missing })
    }

    /// Does this say all that the other says, and perhaps more?
    fn implies(self, other: Presence) -> bool {
        self.there & other.there == other.there && self.missing & other.missing == other.missing
    }
}

impl Expression {
    /// When an object of this shape cannot break this as an invariant: the
    /// expression is true or empty. Any of the conditions is enough. The
    /// object must be valid otherwise: what is there has something in it.
    pub(crate) fn kept_when(&self, parent: Parent) -> Vec<Presence> {
        let known = Study { parent }.expr(&self.root);
        any(&known.is_true, &known.is_empty)
    }
}

/// Conditions of which one is enough.
type Cases = Vec<Presence>;

/// More are not worth their checks.
const CASES_MAX: usize = 16;

/// When an expression is what.
#[derive(Clone, Debug, Default)]
struct Known {
    is_true: Cases,
    is_false: Cases,
    is_empty: Cases,
    is_filled: Cases,
}

impl Known {
    fn filled() -> Known {
        Known {
            is_filled: always(),
            ..Known::default()
        }
    }

    /// One truth value, whatever happens.
    fn truth(is_true: Cases, is_false: Cases) -> Known {
        Known {
            is_true,
            is_false,
            ..Known::filled()
        }
    }

    /// Of something that may be anything, but is nothing when this is.
    fn only_emptiness(self) -> Known {
        Known {
            is_empty: self.is_empty,
            ..Known::default()
        }
    }

    fn not(self) -> Known {
        Known {
            is_true: self.is_false,
            is_false: self.is_true,
            ..self
        }
    }
}

struct Study {
    parent: Parent,
}

impl Study {
    fn expr(&self, expr: &Expr) -> Known {
        match expr {
            Expr::Literal(Value::Boolean(true)) => Known::truth(always(), Vec::new()),
            Expr::Literal(Value::Boolean(false)) => Known::truth(Vec::new(), always()),
            Expr::Literal(_) | Expr::This => Known::filled(),
            Expr::Empty => Known {
                is_empty: always(),
                ..Known::default()
            },
            Expr::Path(path) => self.path(path),
            Expr::Logic(chain) => {
                let first = self.expr(&chain.first);
                let rest = chain.rest.iter();
                rest.fold(first, |left, (operator, right)| {
                    logic(*operator, &left, &self.expr(right))
                })
            }
            Expr::Chain(chain) => self.chain(chain),
            Expr::Variable(_)
            | Expr::Index
            | Expr::Total
            | Expr::Negate(_)
            | Expr::Plus(_)
            | Expr::Union(_) => Known::default(),
        }
    }

    fn path(&self, path: &Path) -> Known {
        let mut at_this = path.base.is_none();
        let mut known = match &path.base {
            Some(base) => self.expr(base),
            None => Known::filled(),
        };
        for step in &path.steps {
            known = match step {
                // The name of its own type leads nowhere else.
                Step::Start(test) if at_this && self.is_own(test) => continue,
                Step::Member(member) if at_this => self.member(member),
                Step::Call(call) => of_call(call.function, call.arguments.len(), known),
                Step::Member(_)
                | Step::Start(_)
                | Step::OfType(_)
                | Step::Where(_)
                | Step::As(_)
                | Step::Is(_)
                | Step::TargetIs(_)
                | Step::Index(_) => known.only_emptiness(),
            };
            at_this = false;
        }
        known
    }

    fn is_own(&self, test: &super::op::TypeTest) -> bool {
        match self.parent {
            Parent::Type(ty) => test.is_type(ty),
            Parent::Element(_) => false,
        }
    }

    /// A member of the object itself.
    fn member(&self, member: &Member) -> Known {
        let known = member.known.as_ref();
        let Some(known) = known.filter(|known| known.parent == self.parent) else {
            return Known::default();
        };
        let ordinals = known.fields.iter().map(|field| {
            let child = r4().child(self.parent, field.json);
            child.map(|child| child.ordinal)
        });
        let mut bits = 0;
        for ordinal in ordinals {
            let Some(ordinal) = ordinal else {
                return Known::default();
            };
            bits |= 1_u128 << ordinal;
        }
        if !bits.is_power_of_two() {
            return Known::default();
        }
        Known {
            is_empty: vec![Presence {
                there: 0,
                missing: bits,
            }],
            is_filled: vec![Presence {
                there: bits,
                missing: 0,
            }],
            ..Known::default()
        }
    }

    /// Operators that give nothing for nothing; equality of truth values.
    fn chain(&self, chain: &Chain<Operator>) -> Known {
        let [(operator, right)] = chain.rest.as_slice() else {
            return Known::default();
        };
        let (left, right) = (self.expr(&chain.first), self.expr(right));
        let is_empty = any(&left.is_empty, &right.is_empty);
        let same = any(
            &both(&left.is_true, &right.is_true),
            &both(&left.is_false, &right.is_false),
        );
        let different = any(
            &both(&left.is_true, &right.is_false),
            &both(&left.is_false, &right.is_true),
        );
        match operator {
            Operator::Equal => Known {
                is_empty,
                ..Known::truth(same, different)
            },
            Operator::NotEqual => Known {
                is_empty,
                ..Known::truth(different, same)
            },
            Operator::Order(_) | Operator::Arithmetic(_) => Known {
                is_empty,
                ..Known::default()
            },
            Operator::In => left.only_emptiness(),
            Operator::Concatenate
            | Operator::Is
            | Operator::As
            | Operator::Union
            | Operator::Equivalent
            | Operator::NotEquivalent
            | Operator::Contains
            | Operator::Logic(_) => Known::default(),
        }
    }
}

/// What a function makes of its input.
fn of_call(function: Function, arguments: usize, input: Known) -> Known {
    match function {
        Function::Exists if arguments == 0 => Known::truth(input.is_filled, input.is_empty),
        Function::Exists => Known::truth(Vec::new(), input.is_empty),
        Function::Empty => Known::truth(input.is_empty, input.is_filled),
        Function::Not => input.not(),
        Function::Resource(Resource::HasValue) => Known::truth(Vec::new(), input.is_empty),
        Function::Lambda(Lambda::All) | Function::Collection(Collection::IsDistinct) => {
            Known::truth(input.is_empty, Vec::new())
        }
        Function::Children
        | Function::Descendants
        | Function::To(_)
        | Function::Math(_)
        | Function::Lambda(Lambda::Select | Lambda::Where | Lambda::Trace)
        | Function::Collection(
            Collection::First
            | Collection::Last
            | Collection::Tail
            | Collection::Skip
            | Collection::Take
            | Collection::Distinct,
        )
        | Function::Text(
            Text::Length | Text::Matches | Text::MatchesFull | Text::Substring | Text::With(_),
        )
        | Function::Resource(Resource::Extension | Resource::Resolve) => input.only_emptiness(),
        Function::Collection(_)
        | Function::Lambda(_)
        | Function::Type(_)
        | Function::Converts(_)
        | Function::Boundary(_)
        | Function::Clock(_)
        | Function::Text(_)
        | Function::Resource(_) => Known::default(),
    }
}

/// <http://hl7.org/fhirpath/N1/#boolean-logic>
fn logic(operator: Logic, left: &Known, right: &Known) -> Known {
    let (l, r) = (left, right);
    let unknown = both(&l.is_empty, &r.is_empty);
    let (is_true, is_false, is_empty) = match operator {
        Logic::And => (
            both(&l.is_true, &r.is_true),
            any(&l.is_false, &r.is_false),
            any(
                &any(
                    &both(&l.is_empty, &r.is_true),
                    &both(&l.is_true, &r.is_empty),
                ),
                &unknown,
            ),
        ),
        Logic::Or => (
            any(&l.is_true, &r.is_true),
            both(&l.is_false, &r.is_false),
            any(
                &any(
                    &both(&l.is_empty, &r.is_false),
                    &both(&l.is_false, &r.is_empty),
                ),
                &unknown,
            ),
        ),
        Logic::Implies => (
            any(&l.is_false, &r.is_true),
            both(&l.is_true, &r.is_false),
            any(
                &any(
                    &both(&l.is_empty, &r.is_false),
                    &both(&l.is_true, &r.is_empty),
                ),
                &unknown,
            ),
        ),
        Logic::Xor => (
            any(
                &both(&l.is_true, &r.is_false),
                &both(&l.is_false, &r.is_true),
            ),
            any(
                &both(&l.is_true, &r.is_true),
                &both(&l.is_false, &r.is_false),
            ),
            any(&l.is_empty, &r.is_empty),
        ),
    };
    Known {
        is_true,
        is_false,
        is_empty,
        is_filled: Vec::new(),
    }
}

fn always() -> Cases {
    vec![Presence::default()]
}

fn any(left: &[Presence], right: &[Presence]) -> Cases {
    let mut cases = Cases::new();
    for case in left.iter().chain(right) {
        if !cases.iter().any(|known| case.implies(*known)) {
            cases.retain(|known| !known.implies(*case));
            cases.push(*case);
        }
    }
    cases.truncate(CASES_MAX);
    cases
}

fn both(left: &[Presence], right: &[Presence]) -> Cases {
    let mut cases = Cases::new();
    for a in left {
        cases.extend(right.iter().filter_map(|b| a.and(*b)));
    }
    any(&cases, &[])
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::fhirpath::Shape;

    /// The conditions as names, with `!` before those that must be missing.
    #[track_caller]
    fn check(ty: &str, text: &str, expect: &[&str]) {
        let shape = Shape::of_type(r4().type_named(ty).unwrap());
        let expression = Expression::compile_with(text, Some(shape), Options::default()).unwrap();
        let show = |case: &Presence| {
            let all = (0..128).filter_map(|ordinal| {
                let (there, missing) = (case.there >> ordinal & 1, case.missing >> ordinal & 1);
                let key = r4().key_at(shape.parent, ordinal)?;
                let name = r4().element(key.element).name;
                match (there, missing) {
                    (0, 0) => None,
                    (0, _) => Some(format!("!{name}")),
                    _ => Some(name.to_owned()),
                }
            });
            all.collect::<Vec<_>>().join(" ")
        };
        let cases = expression.kept_when(shape.parent);
        assert_eq!(cases.iter().map(show).collect::<Vec<_>>(), expect, "{text}");
    }

    #[test]
    fn one_member_may_need_another() {
        check(
            "Quantity",
            "code.empty() or system.exists()",
            &["!code", "system"],
        );
        check(
            "Quantity",
            "code.exists() implies system.exists()",
            &["!code", "system"],
        );
        check(
            "Appointment",
            "start.exists() = end.exists()",
            &["start end", "!start !end"],
        );
        check(
            "Appointment",
            "start.exists() xor end.exists()",
            &["start !end", "!start end"],
        );
        check(
            "Appointment",
            "(start.exists() and end.exists()).not()",
            &["!start", "!end"],
        );
        check("Observation", "Observation.value.empty()", &["!value"]);
    }

    #[test]
    fn what_lies_deeper_counts_when_it_cannot_be_there() {
        check(
            "Observation",
            "component.code.where(coding.exists()).empty()",
            &["!component"],
        );
        check(
            "Observation",
            "component.code.coding.code = 'x'",
            &["!component"],
        );
        check(
            "Period",
            "start.hasValue().not() or (start <= end)",
            &["!start"],
        );
        check("Bundle", "entry.all(resource.exists())", &["!entry"]);
        check(
            "Group",
            "member.empty() or actual = true",
            &["!member", "!actual member"],
        );
    }

    #[test]
    fn what_is_not_certain_is_left_to_the_evaluation() {
        check("Observation", "component.code.exists()", &[]);
        check("Observation", "component.exists(code.exists())", &[]);
        check("Observation", "(name.count() + value.count()) > 0", &[]);
        check("Observation", "%resource.value.empty()", &[]);
        check("Observation", "component.value.empty().not()", &[]);
        check("Observation", "value & 'x' = 'x'", &[]);
        check("Observation", "true", &[""]);
    }
}
