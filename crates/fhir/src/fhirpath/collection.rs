//! Functions on whole collections: existence, filtering, subsets, sets, order
//! (<http://hl7.org/fhirpath/N1/#existence>).

use super::Error;
use super::evaluate::{Frame, Items, Run};
use super::function::{Collection, Lambda, Sets, Truths};
use super::item::{Item, Value};
use super::op::Call;
use super::singleton::{boolean, integer, single};
use super::unit;
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::cmp::Ordering;

impl<'a> Run<'_, 'a> {
    pub(super) fn exists(
        &self,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
    ) -> Result<bool, Error> {
        let Some(criteria) = call.arguments.first() else {
            return Ok(!input.is_empty());
        };
        for (at, item) in input.iter().enumerate() {
            self.charge(1)?;
            if self.truth(criteria, frame.with(item, at))? == Some(true) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Functions whose arguments are collections or numbers.
    pub(super) fn collection(
        &self,
        function: Collection,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match function {
            Collection::Count => out.push(integer(input.len())),
            Collection::First => out.extend(input.into_iter().next()),
            Collection::Last => out.extend(input.into_iter().next_back()),
            Collection::Single => out.extend(single(&input)?.cloned()),
            Collection::Tail => out.extend(input.into_iter().skip(1)),
            Collection::Skip => {
                let count = self.integer_argument(call, 0, frame)?;
                let count = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
                out.extend(input.into_iter().skip(count));
            }
            Collection::Take => {
                let count = self.integer_argument(call, 0, frame)?;
                let count = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
                out.extend(input.into_iter().take(count));
            }
            Collection::Truths(function) => out.push(boolean(truths(function, &input)?)),
            Collection::Distinct => {
                let start = out.len();
                self.merge(start, input, out)?;
            }
            Collection::IsDistinct => {
                let count = input.len();
                let mut distinct = Vec::new();
                self.merge(0, input, &mut distinct)?;
                out.push(boolean(distinct.len() == count));
            }
            Collection::Sets(function) => {
                let other = self.argument(call, 0, frame)?;
                self.sets(function, input, other, out)?;
            }
        }
        Ok(())
    }

    fn sets(
        &self,
        function: Sets,
        input: Items<'a>,
        other: Items<'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let start = out.len();
        match function {
            Sets::Union => {
                self.merge(start, input, out)?;
                self.merge(start, other, out)?;
            }
            Sets::Combine => {
                out.extend(input);
                out.extend(other);
            }
            Sets::Intersect => {
                let mut common = Vec::new();
                for item in input {
                    if self.contains(&other, &item)? {
                        common.push(item);
                    }
                }
                self.merge(start, common, out)?;
            }
            Sets::Exclude => {
                for item in input {
                    if !self.contains(&other, &item)? {
                        out.push(item);
                    }
                }
            }
            Sets::SupersetOf => out.push(boolean(self.within(&other, &input)?)),
            Sets::SubsetOf => out.push(boolean(self.within(&input, &other)?)),
        }
        Ok(())
    }

    fn within(&self, items: &[Item<'a>], of: &[Item<'a>]) -> Result<bool, Error> {
        for item in items {
            if !self.contains(of, item)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Functions that evaluate an argument for each item.
    pub(super) fn lambda(
        &self,
        function: Lambda,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        match (function, call.arguments.as_slice()) {
            (Lambda::Where, [criteria]) => {
                for (at, item) in input.into_iter().enumerate() {
                    if self.truth(criteria, frame.with(&item, at))? == Some(true) {
                        out.push(item);
                    }
                }
            }
            (Lambda::Select, [projection]) => {
                for (at, item) in input.iter().enumerate() {
                    self.charge(1)?;
                    self.expr(projection, frame.with(item, at), out)?;
                }
            }
            (Lambda::All, [criteria]) => {
                for (at, item) in input.iter().enumerate() {
                    if self.truth(criteria, frame.with(item, at))? != Some(true) {
                        out.push(boolean(false));
                        return Ok(());
                    }
                }
                out.push(boolean(true));
            }
            (Lambda::Repeat, [projection]) => {
                self.repeat(input, out, |run, item, found| {
                    run.expr(projection, frame.with(item, 0), found)
                })?;
            }
            (Lambda::Aggregate, [step, initial @ ..]) => {
                let mut total = match initial.first() {
                    Some(initial) => self.items(initial, frame)?,
                    None => Vec::new(),
                };
                for (at, item) in input.iter().enumerate() {
                    self.charge(1 + total.len())?;
                    let frame = Frame {
                        total: &total,
                        ..frame.with(item, at)
                    };
                    total = self.items(step, frame)?;
                }
                out.append(&mut total);
            }
            (Lambda::Sort, _) => self.sort(call, input, frame, out)?,
            (Lambda::Trace, _) => self.trace(call, input, frame, out)?,
            (Lambda::Iif, _) => self.iif(call, &input, frame, out)?,
            // The compiler has counted the arguments.
            (
                Lambda::Where | Lambda::Select | Lambda::All | Lambda::Repeat | Lambda::Aggregate,
                _,
            ) => {}
        }
        Ok(())
    }

    fn iif(
        &self,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let frame = Frame {
            this: single(input)?,
            ..frame
        };
        let criteria = self.argument(call, 0, frame)?;
        let branch = match single(&criteria)?.map(Item::value) {
            Some(Some(Value::Boolean(true))) => 1,
            None | Some(Some(Value::Boolean(false))) => 2,
            Some(_) => return Err(Error::evaluation("iif() expects a truth value")),
        };
        match call.arguments.get(branch) {
            Some(branch) => self.expr(branch, frame, out),
            None => Ok(()),
        }
    }

    fn trace(
        &self,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let name = self.string_argument(call, 0, frame)?.unwrap_or_default();
        match call.arguments.get(1) {
            None => self.context.environment.trace(&name, &input),
            Some(projection) => {
                let mut shown = Vec::new();
                for (at, item) in input.iter().enumerate() {
                    self.expr(projection, frame.with(item, at), &mut shown)?;
                }
                self.context.environment.trace(&name, &shown);
            }
        }
        out.extend(input);
        Ok(())
    }

    pub(super) fn descendants(&self, input: Items<'a>, out: &mut Items<'a>) -> Result<(), Error> {
        // A tree has no equal places, so nothing needs comparing as in `repeat`.
        let mut level = input;
        while !level.is_empty() {
            let mut next = Vec::new();
            for item in &level {
                self.children(item, &mut next)?;
            }
            out.extend_from_slice(&next);
            level = next;
        }
        Ok(())
    }

    /// Applies a projection to its own results until there are no new ones.
    fn repeat(
        &self,
        input: Items<'a>,
        out: &mut Items<'a>,
        project: impl Fn(&Self, &Item<'a>, &mut Items<'a>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let start = out.len();
        let mut level = input;
        while !level.is_empty() {
            let mut found = Vec::new();
            for item in &level {
                self.charge(1)?;
                project(self, item, &mut found)?;
            }
            let before = out.len();
            self.merge(start, found, out)?;
            level = out.get(before..).unwrap_or_default().to_vec();
        }
        Ok(())
    }

    fn sort(
        &self,
        call: &'a Call,
        input: Items<'a>,
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        self.charge(input.len().saturating_mul(8))?;
        let mut keyed = Vec::with_capacity(input.len());
        for (at, item) in input.into_iter().enumerate() {
            let mut keys = Vec::new();
            for key in &call.arguments {
                let key = self.items(key, frame.with(&item, at))?;
                keys.push(single(&key)?.and_then(Item::value).map(SortKey::of));
            }
            if call.arguments.is_empty() {
                keys.push(item.value().map(SortKey::of));
            }
            keyed.push((keys, item));
        }
        keyed.sort_by(|(left, _), (right, _)| {
            let pairs = left.iter().zip(right).enumerate();
            let orders = pairs.map(|(at, (left, right))| match (left, right) {
                (Some(left), Some(right)) if call.descending.get(at) == Some(&true) => {
                    right.cmp(left)
                }
                // Items without the key come first in both directions.
                _ => left.cmp(right),
            });
            orders.fold(Ordering::Equal, Ordering::then)
        });
        out.extend(keyed.into_iter().map(|(_, item)| item));
        Ok(())
    }
}

/// A value in a total order, as sorting needs one: values of different types by type, points in
/// time by their first instant.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum SortKey<'a> {
    Boolean(bool),
    Number(Decimal),
    Text(Cow<'a, str>),
    Moment(i64, i128),
    TimeOfDay(i64),
    Quantity(String, Decimal),
}

impl<'a> SortKey<'a> {
    fn of(value: Value<'a>) -> SortKey<'a> {
        match value {
            Value::Boolean(value) => SortKey::Boolean(value),
            Value::Integer(value) => SortKey::Number(Decimal::from(value)),
            Value::Decimal(value) => SortKey::Number(value),
            Value::String(value) => SortKey::Text(value),
            Value::Date(value) | Value::DateTime(value) => {
                SortKey::Moment(value.bounds(0).start, value.local_nanos())
            }
            Value::Time(value) => SortKey::TimeOfDay(value.nanos_of_day()),
            Value::Quantity(quantity) => {
                let (unit, value) = unit::canonical(&quantity);
                SortKey::Quantity(unit, value)
            }
        }
    }
}

fn truths(function: Truths, input: &[Item<'_>]) -> Result<bool, Error> {
    let mut values = Vec::with_capacity(input.len());
    for item in input {
        match item.value() {
            Some(Value::Boolean(value)) => values.push(value),
            _ => return Err(Error::evaluation("expected truth values only")),
        }
    }
    Ok(match function {
        Truths::AllTrue => values.iter().all(|value| *value),
        Truths::AllFalse => values.iter().all(|value| !*value),
        Truths::AnyTrue => values.iter().any(|value| *value),
        Truths::AnyFalse => values.iter().any(|value| !*value),
    })
}
