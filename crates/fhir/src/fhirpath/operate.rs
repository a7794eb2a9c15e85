//! The binary operators on collections: <http://hl7.org/fhirpath/N1/#operations>.

use super::ast::{Arithmetic, Operator, Order};
use super::compare::number;
use super::evaluate::{Items, Run, three_valued};
use super::item::{Item, Value};
use super::quantity::{Quantity, Unit};
use super::singleton::{as_truth, boolean, single, string};
use super::{Error, temporal, text, unit};
use rust_decimal::Decimal;
use std::cmp::Ordering;

impl<'a> Run<'_, 'a> {
    /// The value of `left operator right`.
    pub(super) fn operate(
        &self,
        operator: Operator,
        left: Items<'a>,
        right: Items<'a>,
    ) -> Result<Items<'a>, Error> {
        self.charge(1)?;
        let truth = |value: Option<bool>| value.map(boolean).into_iter().collect();
        let not = |value: Option<bool>| value.map(|value| !value);
        match operator {
            Operator::Equal => self.equal(&left, &right).map(truth),
            Operator::NotEqual => self.equal(&left, &right).map(|value| truth(not(value))),
            Operator::Equivalent => self
                .equivalent(&left, &right)
                .map(|value| truth(Some(value))),
            Operator::NotEquivalent => self
                .equivalent(&left, &right)
                .map(|value| truth(Some(!value))),
            Operator::In => self.membership(&left, &right).map(truth),
            Operator::Contains => self.membership(&right, &left).map(truth),
            Operator::Order(order) => self.ordered(order, &left, &right).map(truth),
            Operator::Union => {
                let mut out = Vec::new();
                self.merge(0, left, &mut out)?;
                self.merge(0, right, &mut out)?;
                Ok(out)
            }
            Operator::Concatenate => self.concatenate(&left, &right),
            Operator::Logic(logic) => {
                let (left, right) = (as_truth(&left)?, as_truth(&right)?);
                Ok(truth(three_valued(logic, left, right)))
            }
            Operator::Arithmetic(operator) => {
                let value = arithmetic(operator, &left, &right)?;
                if let Some(Value::String(text)) = &value {
                    self.charge(text::cost(text.len())?)?;
                }
                Ok(value.map(Item::Value).into_iter().collect())
            }
            // Compiled to steps.
            Operator::Is | Operator::As => Err(Error::evaluation("expected a type")),
        }
    }

    pub(super) fn negate(&self, items: &[Item<'a>], out: &mut Items<'a>) -> Result<(), Error> {
        let negated = match single(items)?.map(Item::value) {
            None => return Ok(()),
            Some(Some(Value::Integer(value))) => match value.checked_neg() {
                Some(value) => Value::Integer(value),
                None => return Ok(()),
            },
            Some(Some(Value::Decimal(value))) => Value::Decimal(-value),
            Some(Some(Value::Quantity(mut quantity))) => {
                quantity.value = -quantity.value;
                Value::Quantity(quantity)
            }
            Some(_) => return Err(Error::evaluation("expected a number behind `-`")),
        };
        out.push(Item::Value(negated));
        Ok(())
    }

    fn membership(&self, item: &[Item<'a>], items: &[Item<'a>]) -> Result<Option<bool>, Error> {
        match single(item)? {
            None => Ok(None),
            Some(_) if items.is_empty() => Ok(Some(false)),
            Some(item) => self.contains(items, item).map(Some),
        }
    }

    fn ordered(
        &self,
        order: Order,
        left: &[Item<'a>],
        right: &[Item<'a>],
    ) -> Result<Option<bool>, Error> {
        let accept = match order {
            Order::Less => Ordering::is_lt,
            Order::LessOrEqual => Ordering::is_le,
            Order::Greater => Ordering::is_gt,
            Order::GreaterOrEqual => Ordering::is_ge,
        };
        match (single(left)?, single(right)?) {
            (Some(left), Some(right)) => Ok(self.order(left, right)?.map(accept)),
            _ => Ok(None),
        }
    }

    /// `&`, for which nothing is the empty text.
    fn concatenate(&self, left: &[Item<'a>], right: &[Item<'a>]) -> Result<Items<'a>, Error> {
        let part = |items: &[Item<'a>]| match single(items)?.map(Item::value) {
            None => Ok("".into()),
            Some(Some(Value::String(text))) => Ok(text),
            Some(_) => Err(Error::evaluation("expected strings around `&`")),
        };
        let (left, right) = (part(left)?, part(right)?);
        self.charge(text::cost(left.len() + right.len())?)?;
        Ok(vec![string(format!("{left}{right}"))])
    }
}

fn arithmetic<'a>(
    operator: Arithmetic,
    left: &[Item<'a>],
    right: &[Item<'a>],
) -> Result<Option<Value<'a>>, Error> {
    let (Some(left), Some(right)) = (single(left)?, single(right)?) else {
        return Ok(None);
    };
    let (Some(left), Some(right)) = (left.value(), right.value()) else {
        return Err(unfit());
    };
    if let (Value::Integer(left), Value::Integer(right)) = (&left, &right) {
        return Ok(integers(operator, *left, *right));
    }
    if let (Some(left), Some(right)) = (number(&left), number(&right)) {
        return Ok(decimals(operator, left, right));
    }
    let adds = matches!(operator, Arithmetic::Add | Arithmetic::Subtract);
    match (&left, &right) {
        (Value::String(left), Value::String(right)) if operator == Arithmetic::Add => {
            Ok(Some(Value::String(format!("{left}{right}").into())))
        }
        (Value::Date(_) | Value::DateTime(_) | Value::Time(_), Value::Quantity(by)) if adds => {
            let sign = if operator == Arithmetic::Add { 1 } else { -1 };
            temporal::add(&left, by, sign)
        }
        _ => match (quantity(&left), quantity(&right)) {
            (Some(left), Some(right)) => quantities(operator, &left, &right),
            _ => Err(unfit()),
        },
    }
}

fn unfit() -> Error {
    Error::evaluation("the operator does not take these types")
}

/// A number alone counts as a quantity without dimension.
fn quantity(value: &Value<'_>) -> Option<Quantity> {
    if let Value::Quantity(quantity) = value {
        return Some((**quantity).clone());
    }
    number(value).map(|value| Quantity {
        value,
        unit: Unit::Code("1".to_owned()),
    })
}

fn integers<'a>(operator: Arithmetic, left: i32, right: i32) -> Option<Value<'a>> {
    let value = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Div => left.checked_div(right),
        Arithmetic::Mod => left.checked_rem(right),
        Arithmetic::Divide => return decimals(operator, left.into(), right.into()),
    };
    value.map(Value::Integer)
}

fn decimals<'a>(operator: Arithmetic, left: Decimal, right: Decimal) -> Option<Value<'a>> {
    let value = match operator {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Mod => left.checked_rem(right),
        Arithmetic::Div => {
            let whole = left.checked_div(right)?.trunc();
            return i32::try_from(whole).ok().map(Value::Integer);
        }
    };
    value.map(Value::Decimal)
}

fn quantities<'a>(
    operator: Arithmetic,
    left: &Quantity,
    right: &Quantity,
) -> Result<Option<Value<'a>>, Error> {
    let result = match operator {
        Arithmetic::Multiply => unit::combined(left, right, false),
        Arithmetic::Divide => unit::combined(left, right, true),
        Arithmetic::Add | Arithmetic::Subtract => {
            let Some(right) = unit::converted(right, &left.unit) else {
                return Err(Error::evaluation("quantities of different kinds"));
            };
            let value = if operator == Arithmetic::Add {
                left.value.checked_add(right)
            } else {
                left.value.checked_sub(right)
            };
            value.map(|value| Quantity {
                value,
                unit: left.unit.clone(),
            })
        }
        Arithmetic::Div | Arithmetic::Mod => return Err(unfit()),
    };
    Ok(result.map(|quantity| Value::Quantity(Box::new(quantity))))
}
