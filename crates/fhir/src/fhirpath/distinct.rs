//! Collections without duplicates: unions, `distinct()`, `repeat()`.
//!
//! Values and elements are hashed by what makes them equal, so that thousands of codes or link
//! ids stay cheap. Only dates and quantities, whose equality is no matter of text, are compared
//! one by one.

use super::Error;
use super::compare::number;
use super::evaluate::{Items, Run};
use super::item::{Item, Value};
use crate::json::{Kind, Node};
use crate::primitive::decimal;
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

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
        let known = out.get(start..).unwrap_or_default().to_vec();
        let mut seen = Seen::default();
        for item in known {
            self.is_new(&mut seen, &item)?;
        }
        for item in items {
            if self.is_new(&mut seen, &item)? {
                out.push(item);
            }
        }
        Ok(())
    }

    /// Remembers an item; true when there was no equal one.
    fn is_new(&self, seen: &mut Seen<'a>, item: &Item<'a>) -> Result<bool, Error> {
        self.charge(1)?;
        if let Some(key) = Key::of(item) {
            return Ok(seen.keys.insert(key));
        }
        let digest = match item.element() {
            Some(element) if item.value().is_none() => {
                let node = element.value.or(element.extra);
                let digest = node.map(|node| self.digest(&seen.state, node));
                digest.transpose()?.unwrap_or_default()
            }
            _ => 0,
        };
        let alike = seen.others.entry(digest).or_default();
        let new = !self.contains(alike, item)?;
        alike.extend(new.then(|| item.clone()));
        Ok(new)
    }

    /// The same for elements that are equal: members count in any order, numbers by value.
    fn digest(&self, state: &RandomState, node: Node<'a>) -> Result<u64, Error> {
        self.charge(1)?;
        Ok(match node.kind() {
            Kind::Null | Kind::Bool => state.hash_one(node.raw()),
            Kind::String => state.hash_one(node.str()),
            Kind::Number => match node.number().and_then(decimal::parse) {
                Some(value) => state.hash_one(value.normalize()),
                None => state.hash_one(node.raw()),
            },
            Kind::Array => {
                let mut sum = 1;
                for item in node.children() {
                    sum = state.hash_one((sum, self.digest(state, item)?));
                }
                sum
            }
            Kind::Object => {
                let mut sum = 2u64;
                for member in node.children() {
                    let value = self.digest(state, member)?;
                    sum = sum.wrapping_add(state.hash_one((member.key(), value)));
                }
                sum
            }
        })
    }
}

/// What a collection has so far.
#[derive(Default)]
struct Seen<'a> {
    keys: HashSet<Key<'a>>,
    /// What has no key: elements by their digest, dates and quantities together.
    others: HashMap<u64, Vec<Item<'a>>>,
    state: RandomState,
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
