//! Lengths of time as the settings of archives have them: `7d`, `12h`, `30m`.

/// A length of time, in milliseconds; `None` for a word that says that there is no end to it.
pub(crate) fn parse(text: &str, endless: &str) -> Result<Option<i64>, String> {
    if text == endless {
        return Ok(None);
    }
    let unit_ms = match text.chars().last() {
        Some('d') => 24 * 60 * 60 * 1000,
        Some('h') => 60 * 60 * 1000,
        Some('m') => 60 * 1000,
        _ => 0,
    };
    let number = text.get(..text.len().saturating_sub(1));
    let number = number.and_then(|number| number.parse::<u32>().ok());
    match number.filter(|number| *number > 0 && unit_ms > 0) {
        Some(number) => Ok(Some(i64::from(number) * unit_ms)),
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
        for text in ["", "d", "7", "0d", "-1d", "7w", "forever", "7dd", "ä"] {
            assert!(parse(text, "never").is_err(), "{text}");
        }
    }
}
