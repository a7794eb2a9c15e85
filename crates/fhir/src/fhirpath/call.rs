//! Which function does what.

use super::Error;
use super::evaluate::{Frame, Items, Run};
use super::function::{Clock, Function};
use super::item::{Item, Value};
use super::op::Call;
use super::singleton::{as_integer, as_string, as_truth, boolean, single};
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
            Function::Not => out.extend(as_truth(&input)?.map(|is| boolean(!is))),
            Function::Children => {
                for item in &input {
                    self.children(item, out)?;
                }
            }
            Function::Descendants => self.descendants(input, out)?,
            Function::Collection(function) => {
                self.collection(function, call, input, frame, out)?;
            }
            Function::Lambda(function) => self.lambda(function, call, input, frame, out)?,
            Function::To(to) => {
                let value = self.converted(to, call, &input, frame)?;
                out.extend(value.flatten().map(Item::Value));
            }
            Function::Converts(to) => {
                let value = self.converted(to, call, &input, frame)?;
                out.extend(value.map(|value| boolean(value.is_some())));
            }
            Function::Math(function) => self.math(function, call, &input, frame, out)?,
            Function::Boundary(function) => self.boundary(function, call, &input, frame, out)?,
            Function::Clock(function) => out.push(Item::Value(self.clock(function)?)),
            Function::Text(function) => self.text(function, call, &input, frame, out)?,
            Function::Resource(function) => {
                self.of_resource(function, call, input, frame, out)?;
            }
            Function::Type(_) => return Err(Error::evaluation("expected the name of a type")),
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

    fn clock(&self, function: Clock) -> Result<Value<'a>, Error> {
        let Some(now) = self.context.now else {
            return Err(Error::unsupported("there is no clock here"));
        };
        Ok(match function {
            Clock::Now => Value::DateTime(now),
            Clock::Today => Value::Date(now.date()),
            Clock::TimeOfDay => Value::Time(now.time),
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
