//! Dates and times as spans: `2013-01` is the whole month
//! (<https://hl7.org/fhir/R4/search.html#date>).
//!
//! A time without a zone is read as UTC, in resources and in queries alike.
//! (A `date` has no zone by definition, so every reading is a choice; this one
//! makes the index independent of where the server runs.)

/// A span of time, half open, in milliseconds since 1970 UTC; `i64::MIN` and
/// `i64::MAX` are open ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
// The tests of this crate tell values by their text.
#[cfg_attr(test, derive(Debug))]
pub struct Span {
    /// First millisecond in it.
    pub from_ms: i64,
    /// First millisecond after it.
    pub to_ms: i64,
}
#[cfg(not(test))]
salus_phi::guard!(Span);

impl Span {
    /// All of time.
    pub const ALWAYS: Self = Self {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
    };

    /// Reads a date, dateTime or instant of any precision: `YYYY`, `YYYY-MM`,
    /// `YYYY-MM-DD`, `…Thh:mm`, `…Thh:mm:ss`, `…Thh:mm:ss.fff`, the last three
    /// with or without a zone.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut scan = Scan(text.as_bytes());
        let year = scan.digits(4)?;
        if year == 0 {
            return None;
        }
        if scan.at_end() {
            return Some(Self::days(
                day_number(year, 1, 1),
                day_number(year + 1, 1, 1),
            ));
        }
        scan.byte(b'-')?;
        let month = within(scan.digits(2)?, 1, 12)?;
        if scan.at_end() {
            let next = if month == 12 {
                (year + 1, 1)
            } else {
                (year, month + 1)
            };
            return Some(Self::days(
                day_number(year, month, 1),
                day_number(next.0, next.1, 1),
            ));
        }
        scan.byte(b'-')?;
        let day = within(scan.digits(2)?, 1, days_in(year, month))?;
        let date = day_number(year, month, day);
        if scan.at_end() {
            return Some(Self::days(date, date + 1));
        }
        scan.byte(b'T')?;
        scan.time(date * DAY_MS)
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            from_ms: self.from_ms.min(other.from_ms),
            to_ms: self.to_ms.max(other.to_ms),
        }
    }

    /// The span widened on both sides, as far as time goes.
    #[must_use]
    pub fn widened(self, by_ms: i64) -> Self {
        Self {
            from_ms: self.from_ms.saturating_sub(by_ms),
            to_ms: self.to_ms.saturating_add(by_ms),
        }
    }

    fn days(from: i64, to: i64) -> Self {
        Self {
            from_ms: from * DAY_MS,
            to_ms: to * DAY_MS,
        }
    }
}

const DAY_MS: i64 = 86_400_000;

struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == wanted).then_some(())
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        head.iter().try_fold(0, |n, b| {
            b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0'))
        })
    }

    /// What follows the `T`, on the day that begins at `day_ms`.
    fn time(&mut self, day_ms: i64) -> Option<Span> {
        let hour = within(self.digits(2)?, 0, 23)?;
        self.byte(b':')?;
        let minute = within(self.digits(2)?, 0, 59)?;
        let mut from_ms = day_ms + (hour * 60 + minute) * 60_000;
        let mut length_ms = 60_000;
        if self.0.first() == Some(&b':') {
            self.byte(b':')?;
            // 60 is a leap second, which the count of milliseconds does not know.
            from_ms += within(self.digits(2)?, 0, 60)? * 1000;
            length_ms = 1000;
            if self.0.first() == Some(&b'.') {
                self.byte(b'.')?;
                let (fraction_ms, precision_ms) = self.fraction()?;
                from_ms += fraction_ms;
                length_ms = precision_ms;
            }
        }
        from_ms -= self.zone()? * 60_000;
        Some(Span {
            from_ms,
            to_ms: from_ms + length_ms,
        })
    }

    /// The digits after the point: their value and their precision.
    fn fraction(&mut self) -> Option<(i64, i64)> {
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if count == 0 || count > 12 {
            return None;
        }
        let (mut value, mut unit) = (0, 1000);
        for n in 0..count {
            let digit = self.digits(1)?;
            if n < 3 {
                unit /= 10;
                value += digit * unit;
            }
        }
        Some((value, unit))
    }

    /// The zone in minutes east of Greenwich; 0 when there is none.
    fn zone(&mut self) -> Option<i64> {
        let Some((sign, rest)) = self.0.split_first() else {
            return Some(0);
        };
        self.0 = rest;
        let minutes = match sign {
            b'Z' => 0,
            b'+' | b'-' => {
                let hours = within(self.digits(2)?, 0, 14)?;
                self.byte(b':')?;
                let minutes = hours * 60 + within(self.digits(2)?, 0, 59)?;
                if *sign == b'-' { -minutes } else { minutes }
            }
            _ => return None,
        };
        self.at_end().then_some(minutes)
    }
}

fn within(n: i64, least: i64, most: i64) -> Option<i64> {
    (least..=most).contains(&n).then_some(n)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, extended to all years.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day ends them.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, from: &str, to: &str) {
        let ms = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let expected = Span {
            from_ms: ms(from),
            to_ms: ms(to),
        };
        assert_eq!(Span::parse(text), Some(expected), "{text}");
    }

    #[track_caller]
    fn refuse(text: &str) {
        assert_eq!(Span::parse(text), None, "{text}");
    }

    #[test]
    fn precision_is_the_length_of_the_span() {
        check("2013", "2013-01-01T00:00:00Z", "2014-01-01T00:00:00Z");
        check("2013-12", "2013-12-01T00:00:00Z", "2014-01-01T00:00:00Z");
        check("2012-02", "2012-02-01T00:00:00Z", "2012-03-01T00:00:00Z");
        check("2012-02-29", "2012-02-29T00:00:00Z", "2012-03-01T00:00:00Z");
        check("1969-12-31", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");
        check(
            "2013-01-14T10:00",
            "2013-01-14T10:00:00Z",
            "2013-01-14T10:01:00Z",
        );
        check(
            "2013-01-14T10:00:05",
            "2013-01-14T10:00:05Z",
            "2013-01-14T10:00:06Z",
        );
        check(
            "2013-01-14T10:00:05.1Z",
            "2013-01-14T10:00:05.1Z",
            "2013-01-14T10:00:05.2Z",
        );
        check(
            "2013-01-14T10:00:05.1234567Z",
            "2013-01-14T10:00:05.123Z",
            "2013-01-14T10:00:05.124Z",
        );
    }

    #[test]
    fn a_zone_moves_the_span() {
        check(
            "2013-01-14T10:00:00+05:30",
            "2013-01-14T04:30:00Z",
            "2013-01-14T04:30:01Z",
        );
        check(
            "2013-01-14T20:00:00-04:00",
            "2013-01-15T00:00:00Z",
            "2013-01-15T00:00:01Z",
        );
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "201",
            "0000",
            "20130",
            "2013-",
            "2013-1",
            "2013-13",
            "2013-00",
            "2013-02-29",
            "2013-01-32",
            "2013-01-01T",
            "2013-01-01T10",
            "2013-01-01T24:00",
            "2013-01-01T10:60",
            "2013-01-01T10:00:61",
            "2013-01-01T10:00:00.",
            "2013-01-01T10:00:00+15:00",
            "2013-01-01T10:00:00+5",
            "2013-01-01T10:00:00ZZ",
            "2013-01-01 10:00",
            "2013-01-01Z",
            " 2013",
            "2013 ",
            "now",
            "２０１３",
        ] {
            refuse(text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1000,
            failure_persistence: None,
            rng_seed: proptest::test_runner::RngSeed::Fixed(1),
            ..ProptestConfig::default()
        })]

        #[test]
        fn it_never_panics(text in "[0-9T:Z+.-]{0,30}") {
            let _ = Span::parse(&text);
        }

        #[test]
        fn every_instant_is_read_as_the_library_reads_it(ms in -62_135_596_800_000_i64..253_402_300_799_000) {
            let instant = jiff::Timestamp::from_millisecond(ms).unwrap();
            let text = format!("{instant:.3}");
            prop_assert_eq!(Span::parse(&text), Some(Span { from_ms: ms, to_ms: ms + 1 }));
        }
    }
}
