//! Mathematics in exact decimals: <http://hl7.org/fhirpath/N1/#math>. What overflows, or has no
//! real result, is empty.

use super::Error;
use super::call::value_of;
use super::compare::number;
use super::evaluate::{Frame, Items, Run};
use super::function::{Math, Real, Whole};
use super::item::{Item, Value};
use super::op::Call;
use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy};

/// Exponents beyond this overflow for any base that is not next to 1.
const EXPONENT_MAX: i32 = 4096;

impl<'a> Run<'_, 'a> {
    pub(super) fn math(
        &self,
        function: Math,
        call: &'a Call,
        input: &[Item<'a>],
        frame: Frame<'_, 'a>,
        out: &mut Items<'a>,
    ) -> Result<(), Error> {
        let Some(value) = value_of(input)? else {
            return Ok(());
        };
        self.charge(16)?;
        let result = match function {
            Math::Abs => abs(&value)?,
            Math::Whole(function) => whole(function, numeric(&value)?),
            Math::Real(function) => real(function, numeric(&value)?),
            Math::Round => self.round(call, numeric(&value)?, frame)?,
            Math::Log => match value_of(&self.argument(call, 0, frame)?)? {
                Some(base) => log(numeric(&value)?, numeric(&base)?),
                None => None,
            },
            Math::Power => match value_of(&self.argument(call, 0, frame)?)? {
                Some(exponent) => power(&value, &exponent)?,
                None => None,
            },
        };
        out.extend(result.map(Item::Value));
        Ok(())
    }

    fn round(
        &self,
        call: &'a Call,
        value: Decimal,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Value<'a>>, Error> {
        let digits = self.integer_argument(call, 0, frame)?.unwrap_or(0);
        let Ok(digits) = u32::try_from(digits) else {
            return Err(Error::evaluation("round() expects a count of digits"));
        };
        let strategy = RoundingStrategy::MidpointAwayFromZero;
        Ok(Some(Value::Decimal(
            value.round_dp_with_strategy(digits, strategy),
        )))
    }
}

fn numeric(value: &Value<'_>) -> Result<Decimal, Error> {
    number(value).ok_or_else(|| Error::evaluation("expected a number"))
}

fn abs<'a>(value: &Value<'a>) -> Result<Option<Value<'a>>, Error> {
    Ok(match value {
        Value::Integer(value) => value.checked_abs().map(Value::Integer),
        Value::Decimal(value) => Some(Value::Decimal(value.abs())),
        Value::Quantity(quantity) => {
            let mut quantity = quantity.clone();
            quantity.value = quantity.value.abs();
            Some(Value::Quantity(quantity))
        }
        Value::Boolean(_)
        | Value::String(_)
        | Value::Date(_)
        | Value::DateTime(_)
        | Value::Time(_) => return Err(Error::evaluation("expected a number")),
    })
}

fn whole<'a>(function: Whole, value: Decimal) -> Option<Value<'a>> {
    let value = match function {
        Whole::Ceiling => value.ceil(),
        Whole::Floor => value.floor(),
        Whole::Truncate => value.trunc(),
    };
    i32::try_from(value).ok().map(Value::Integer)
}

fn real<'a>(function: Real, value: Decimal) -> Option<Value<'a>> {
    let value = match function {
        Real::Sqrt => value.sqrt(),
        Real::Ln => value.checked_ln(),
        Real::Exp => value.checked_exp(),
    };
    value.map(Value::Decimal)
}

fn log<'a>(value: Decimal, base: Decimal) -> Option<Value<'a>> {
    let quotient = value.checked_ln()?.checked_div(base.checked_ln()?)?;
    // Logarithms are series cut off at the last digits; a whole result should be whole.
    Some(Value::Decimal(quotient.round_dp(16).normalize()))
}

fn power<'a>(base: &Value<'a>, exponent: &Value<'a>) -> Result<Option<Value<'a>>, Error> {
    if let (Value::Integer(base), Value::Integer(exponent @ 0..)) = (base, exponent) {
        let value = base.checked_pow(exponent.unsigned_abs());
        return Ok(value.map(Value::Integer));
    }
    let (base, exponent) = (numeric(base)?, numeric(exponent)?);
    let real = !base.is_sign_negative() || exponent.fract().is_zero();
    if !real || exponent.abs() > Decimal::from(EXPONENT_MAX) {
        return Ok(None);
    }
    Ok(base.checked_powd(exponent).map(Value::Decimal))
}
