//! Lengths of time as settings have them: `7d`, `12h`, `500ms`. The one reader of such texts; who
//! asks says which units there are, and what is too short or too long.

/// What a length of time ends in, and how many milliseconds that is.
pub(crate) type Unit = (&'static str, u64);

pub(crate) const MILLISECOND: Unit = ("ms", 1);
pub(crate) const SECOND: Unit = ("s", 1000);
pub(crate) const MINUTE: Unit = ("m", 60 * SECOND.1);
pub(crate) const HOUR: Unit = ("h", 60 * MINUTE.1);
pub(crate) const DAY: Unit = ("d", 24 * HOUR.1);

/// More is no time that anybody means, and less than what numbers of milliseconds have room for.
const ENDLESS_MS: u64 = u32::MAX as u64 * DAY.1;

/// A whole number with one of these units behind it, in milliseconds.
pub(crate) fn read(text: &str, units: &[Unit]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, unit_ms) = units.iter().find(|(known, _)| *known == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*unit_ms)
}

/// A length of time of archives, in milliseconds; `None` for a word that says that there is no end
/// to it.
pub(crate) fn parse(text: &str, endless: &str) -> Result<Option<i64>, String> {
    if text == endless {
        return Ok(None);
    }
    let read_ms = read(text, &[MINUTE, HOUR, DAY]);
    let ms = read_ms.filter(|ms| (1..=ENDLESS_MS).contains(ms));
    match ms.and_then(|ms| i64::try_from(ms).ok()) {
        Some(ms) => Ok(Some(ms)),
        None => Err(format!(
            "give a time as 35d, 12h or 30m, or the word {endless}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_nothing_else() {
        assert_eq!(parse("never", "never"), Ok(None));
        assert_eq!(parse("7d", "never"), Ok(Some(7 * 24 * 60 * 60 * 1000)));
        assert_eq!(parse("90m", "forever"), Ok(Some(90 * 60 * 1000)));
        for text in [
            "",
            "d",
            "7",
            "0d",
            "-1d",
            "+1d",
            "7w",
            "7s",
            "forever",
            "7dd",
            "ä",
            "7ä",
            "99999999999d",
            "99999999999999999999d",
        ] {
            assert!(parse(text, "never").is_err(), "{text}");
        }
    }

    #[test]
    fn units_are_those_that_are_asked_for() {
        let units = [MILLISECOND, SECOND, ("", 7)];
        assert_eq!(read("500ms", &units), Some(500));
        assert_eq!(read("5s", &units), Some(5_000));
        assert_eq!(read("5", &units), Some(35));
        for text in ["", "ms", "5m", "5 s", "5.5s", "5sms"] {
            assert_eq!(read(text, &units), None, "{text}");
        }
    }
}
