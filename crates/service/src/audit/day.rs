//! A day as forms and accountings have it: `2026-11-23`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// A day; those of times are days in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Day(Date);

impl Day {
    /// What a text says: a year, a month and a day with `-` between them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        (date.to_string() == text).then_some(Self(date))
    }

    /// The day of a time in milliseconds since 1970 UTC.
    #[must_use]
    pub fn of(time_ms: i64) -> Self {
        let time = Timestamp::from_millisecond(time_ms).unwrap_or_default();
        Self(time.to_zoned(TimeZone::UTC).date())
    }

    /// When it begins, in milliseconds since 1970 UTC.
    #[must_use]
    pub fn begins_ms(self) -> i64 {
        let begin = self.0.to_zoned(TimeZone::UTC);
        begin.map_or(0, |begin| begin.timestamp().as_millisecond())
    }

    /// The same day so many years ago.
    #[must_use]
    pub fn years_ago(self, years: i64) -> Self {
        let ago = self.0.checked_sub(Span::new().years(years));
        Self(ago.unwrap_or(self.0))
    }

    /// The day so many days later.
    #[must_use]
    pub fn days_later(self, days: i64) -> Self {
        let later = self.0.checked_add(Span::new().days(days));
        Self(later.unwrap_or(self.0))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl TryFrom<String> for Day {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not a day, as 2026-11-23")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let day = |text| Day::parse(text).unwrap();
        assert_eq!(day("2028-02-29").years_ago(6), day("2022-02-28"));
        assert_eq!(day("2026-12-31").days_later(30), day("2027-01-30"));
        assert_eq!(Day::of(day("2026-11-23").begins_ms()), day("2026-11-23"));
        assert_eq!(
            Day::of(day("2026-11-23").begins_ms() - 1),
            day("2026-11-22")
        );
        for text in ["2026-13-01", "2026-1-1", "2026-11-23T00:00", ""] {
            assert_eq!(Day::parse(text), None, "{text}");
        }
    }
}
