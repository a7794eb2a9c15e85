//! `near`: places by their distance
//! (<https://hl7.org/fhir/R4/location.html#search>, "Positional Searching").
//!
//! `[latitude]|[longitude]|[distance]|[units]`. The specification leaves to
//! servers what is near without a distance. Units are UCUM's, kilometres when
//! there are none.

use super::decimal::Number;
use super::operand::{Expected, split};
use crate::definitions::SearchParameter;
use crate::ucum::Unit;

/// All places so near to one.
#[derive(Clone, Copy, PartialEq, Eq)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub struct Near {
    /// Ten-millionths of degrees north of the equator.
    pub latitude: i32,
    /// Ten-millionths of degrees east of Greenwich.
    pub longitude: i32,
    /// How far they may be.
    pub millimetres: u64,
}
#[cfg(not(test))]
salus_phi::guard!(Near);

/// What is near, when the client does not say.
const KILOMETRES_DEFAULT: &str = "10";
/// More than once around the Earth is all of it.
const METRES_MAX: f64 = 50_000_000.0;

/// The parameter that reads such values.
pub(super) fn is_near(parameter: &SearchParameter) -> bool {
    parameter.url == "http://hl7.org/fhir/SearchParameter/Location-near"
}

/// Reads a value of `near`.
pub(super) fn near(text: &str) -> Result<Near, Expected> {
    let parts: Vec<&str> = split(text, b'|').collect();
    let shape = "must be latitude|longitude|distance|units; without units in km, \
                 without a distance as near as 10 km";
    let (latitude, longitude, distance, unit) = match parts[..] {
        [latitude, longitude] => (latitude, longitude, "", ""),
        [latitude, longitude, distance] => (latitude, longitude, distance, ""),
        [latitude, longitude, distance, unit] => (latitude, longitude, distance, unit),
        _ => return Err(shape.into()),
    };
    let (distance, unit) = match (distance, unit) {
        ("", _) => (KILOMETRES_DEFAULT, "km"),
        (distance, "") => (distance, "km"),
        told => told,
    };
    Ok(Near {
        latitude: degrees(latitude, 90.0).ok_or("must begin with a latitude from -90 to 90")?,
        longitude: degrees(longitude, 180.0)
            .ok_or("must have a longitude from -180 to 180 behind the latitude")?,
        millimetres: millimetres(distance, unit)?,
    })
}

fn degrees(text: &str, most: f64) -> Option<i32> {
    let degrees: f64 = Number::exactly(text)?.from.parse().ok()?;
    (degrees.abs() <= most).then_some((degrees * 1e7).round() as i32)
}

fn millimetres(distance: &str, unit: &str) -> Result<u64, Expected> {
    let number = Number::exactly(distance).filter(|_| !distance.starts_with('-'));
    let number = number.ok_or("must have a number, not less than 0, as its distance")?;
    let unit = Unit::parse(unit).ok();
    let length = unit.filter(|unit| unit.dimension().to_string() == "m");
    let metres = length.and_then(|unit| unit.canonical(&number.from)?.parse::<f64>().ok());
    let metres = metres.ok_or("must have a unit of length of UCUM, such as km, m or [mi_i]")?;
    Ok((metres.clamp(0.0, METRES_MAX) * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (i32, i32, u64)) {
        let near = near(text).unwrap_or_else(|expected| panic!("{text}: {expected}"));
        let found = (near.latitude, near.longitude, near.millimetres);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn distances_have_units() {
        let place = (-834_690_000, 422_549_283);
        let with = |millimetres| (place.0, place.1, millimetres);
        check("-83.469|42.2549283|11.20|km", with(11_200_000));
        check("-83.469|42.2549283|11.20", with(11_200_000));
        check("-83.469|42.2549283|11.20|", with(11_200_000));
        check("-83.469|42.2549283|500|m", with(500_000));
        check("-83.469|42.2549283|1|[mi_i]", with(1_609_344));
        check("-83.469|42.2549283|1|[ft_i]", with(305));
        check("-83.469|42.2549283", with(10_000_000));
        check("-83.469|42.2549283||", with(10_000_000));
        check("-83.469|42.2549283|0|km", with(0));
        check("-83.469|42.2549283|1e20|km", with(50_000_000_000));
        check("90|-180|1", (900_000_000, -1_800_000_000, 1_000_000));
    }

    #[track_caller]
    fn refuse(text: &str, words: &str) {
        let expected = near(text).expect_err(text);
        assert!(expected.contains(words), "{text}: {expected}");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        refuse("", "latitude|longitude");
        refuse("1", "latitude|longitude");
        refuse("1|2|3|km|5", "latitude|longitude");
        refuse("90.1|0", "latitude from");
        refuse("x|0", "latitude from");
        refuse("0|-180.5", "longitude from");
        refuse("0|", "longitude from");
        refuse("0|0|far", "number");
        refuse("0|0|-1", "number");
        refuse("0|0|1|kg", "length");
        refuse("0|0|1|miles", "length");
    }
}
