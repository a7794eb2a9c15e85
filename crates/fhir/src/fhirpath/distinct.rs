//! Collections without duplicates: unions, `distinct()`, `repeat()`.
//!
//! Values that are hashed by what makes them equal need no comparison with all the others, so
//! that thousands of codes or link ids stay cheap. Elements with children, dates and quantities
//! are compared one by one.

use super::Error;
use super::compare::number;
use super::evaluate::{Items, Run};
use super::item::{Item, Value};
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::collections::HashSet;

/// Collections up to this size are compared without hashing.
const COMPARED_MAX: usize = 16;

impl<'a> Run<'_, 'a> {
    /// Appends the items that are not in `out` yet, from `start` on.
    pub(super) fn merge(
        &self,
        start: usize,
        items: Items<'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let known = out.get(start..).unwrap_or_default();
        if known.len() + items.len() > COMPARED_MAX {
            return self.merge_hashed(start, items, out);
        }
        for item in items {
            let known = out.get(start..).unwrap_or_default();
            if !self.contains(known, &item)? {
                out.push(item);
            }
        }
        Ok(())
    }

    fn merge_hashed(
        &self,
        start: usize,
        items: Items<'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let mut keys = HashSet::new();
        let mut others = Vec::new();
        let known = out.get(start..).unwrap_or_default();
        self.charge(known.len() + items.len())?;
        for item in known {
            match Key::of(item) {
                Some(key) => {
                    keys.insert(key);
                }
                None => others.push(item.clone()),
            }
        }
        for item in items {
            let new = match Key::of(&item) {
                Some(key) => keys.insert(key),
                None => {
                    let new = !self.contains(&others, &item)?;
                    others.extend(new.then(|| item.clone()));
                    new
                }
            };
            if new {
                out.push(item);
            }
        }
        Ok(())
    }
}

/// What makes two values equal.
#[derive(Eq, Hash, PartialEq)]
enum Key<'a> {
    Boolean(bool),
    Number(Decimal),
    Text(Cow<'a, str>),
}

impl<'a> Key<'a> {
    fn of(item: &Item<'a>) -> Option<Key<'a>> {
        match item.value()? {
            Value::Boolean(value) => Some(Key::Boolean(value)),
            Value::String(text) => Some(Key::Text(text)),
            value @ (Value::Integer(_) | Value::Decimal(_)) => {
                number(&value).map(|value| Key::Number(value.normalize()))
            }
            Value::Date(_) | Value::DateTime(_) | Value::Time(_) | Value::Quantity(_) => None,
        }
    }
}
