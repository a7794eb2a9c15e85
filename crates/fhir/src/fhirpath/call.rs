//! Which function does what.

use super::Error;
use super::evaluate::{Frame, Items, Run, as_integer, as_string, boolean, single};
use super::function::Function;
use super::item::{Item, Value};
use super::op::Call;
use std::borrow::Cow;

impl<'a> Run<'_, 'a> {
    /// Applies a function to its input.
    pub(super) fn call(
        &self,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match call.function {
            Function::Empty => out.push(boolean(input.is_empty())),
            Function::Exists => out.push(boolean(self.exists(call, &input, frame)?)),
            Function::Not => out.extend(super::evaluate::as_truth(&input)?.map(|is| boolean(!is))),
            Function::Count
            | Function::First
            | Function::Last
            | Function::Single
            | Function::Tail
            | Function::Skip
            | Function::Take
            | Function::Intersect
            | Function::Exclude
            | Function::Union
            | Function::Combine
            | Function::Distinct
            | Function::IsDistinct
            | Function::SubsetOf
            | Function::SupersetOf
            | Function::AllTrue
            | Function::AnyTrue
            | Function::AllFalse
            | Function::AnyFalse => return self.collection(call, input, frame, out),
            Function::Where
            | Function::Select
            | Function::All
            | Function::Repeat
            | Function::Aggregate
            | Function::Sort
            | Function::Trace
            | Function::Iif => return self.lambda(call, input, frame, out),
            Function::Children => {
                return input.iter().try_for_each(|item| self.children(item, out));
            }
            Function::Descendants => return self.descendants(input, out),
            Function::To(_) | Function::Converts(_) => {
                return self.convert(call, &input, frame, out);
            }
            Function::Abs
            | Function::Ceiling
            | Function::Exp
            | Function::Floor
            | Function::Ln
            | Function::Log
            | Function::Power
            | Function::Round
            | Function::Sqrt
            | Function::Truncate => return self.math(call, &input, frame, out),
            Function::LowBoundary | Function::HighBoundary | Function::Precision => {
                return self.boundary(call, &input, frame, out);
            }
            Function::Now | Function::Today | Function::TimeOfDay => {
                out.push(Item::Value(self.clock(call.function)?));
            }
            Function::Contains
            | Function::Decode
            | Function::Encode
            | Function::EndsWith
            | Function::Escape
            | Function::IndexOf
            | Function::Join
            | Function::LastIndexOf
            | Function::Length
            | Function::Lower
            | Function::Matches
            | Function::MatchesFull
            | Function::Replace
            | Function::ReplaceMatches
            | Function::Split
            | Function::StartsWith
            | Function::Substring
            | Function::ToChars
            | Function::Trim
            | Function::Unescape
            | Function::Upper => return self.text(call, &input, frame, out),
            Function::CheckModifiers
            | Function::Comparable
            | Function::ConformsTo
            | Function::ElementDefinition
            | Function::Extension
            | Function::GetValue
            | Function::HasValue
            | Function::HtmlChecks
            | Function::MemberOf
            | Function::Resolve
            | Function::Slice
            | Function::SubsumedBy
            | Function::Subsumes
            | Function::Type => return self.of_resource(call, input, frame, out),
            // Compiled to steps.
            Function::Is | Function::As | Function::OfType => {}
        }
        Ok(())
    }

    /// The value of an argument; nothing when it was left out.
    pub(super) fn argument(
        &self,
        call: &'a Call,
        at: usize,
        frame: Frame<'_, 'a>,
    ) -> Result<Items<'a>, Error> {
        match call.arguments.get(at) {
            Some(argument) => self.items(argument, frame),
            None => Ok(Vec::new()),
        }
    }

    pub(super) fn string_argument(
        &self,
        call: &'a Call,
        at: usize,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Cow<'a, str>>, Error> {
        as_string(&self.argument(call, at, frame)?)
    }

    pub(super) fn integer_argument(
        &self,
        call: &'a Call,
        at: usize,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<i32>, Error> {
        as_integer(&self.argument(call, at, frame)?)
    }

    fn clock(&self, function: Function) -> Result<Value<'a>, Error> {
        let Some(now) = self.context.now else {
            return Err(Error::unsupported("there is no clock here"));
        };
        Ok(match function {
            Function::Today => Value::Date(now.date()),
            Function::TimeOfDay => Value::Time(now.time),
            _ => Value::DateTime(now),
        })
    }
}

/// The value of the only item; an error when it has none.
pub(super) fn value_of<'a>(input: &[Item<'a>]) -> Result<Option<Value<'a>>, Error> {
    match single(input)? {
        None => Ok(None),
        Some(item) => match item.value() {
            Some(value) => Ok(Some(value)),
            None => Err(Error::evaluation("expected a value")),
        },
    }
}
