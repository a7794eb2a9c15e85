//! Times as FHIR writes them.

/// An instant with milliseconds, in UTC: `2026-11-22T08:30:00.123Z`.
#[must_use]
pub fn instant(time_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(time_ms).unwrap_or_default();
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn instants_have_milliseconds() {
        assert_eq!(
            super::instant(1_700_000_000_000),
            "2023-11-14T22:13:20.000Z"
        );
        assert_eq!(super::instant(1), "1970-01-01T00:00:00.001Z");
    }
}
