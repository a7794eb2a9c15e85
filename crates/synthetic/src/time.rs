//! Days and clock times of a life.

use jiff::civil::Date;

/// The town's clock: one fixed offset, so that a visit never crosses a change of hours.
const OFFSET: &str = "-05:00";

/// A minute of a day.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Moment {
    pub(crate) date: Date,
    minute: u16,
}

impl Moment {
    /// `minute` counts from midnight; the last minute of the day is the latest possible.
    pub(crate) fn new(date: Date, minute: i64) -> Moment {
        Moment {
            date,
            minute: minute.clamp(0, 24 * 60 - 1) as u16,
        }
    }

    /// Later on the same day: no visit of ours runs past midnight by minutes.
    pub(crate) fn plus_minutes(self, minutes: i64) -> Moment {
        Moment::new(self.date, i64::from(self.minute) + minutes)
    }

    /// The `dateTime` form, with seconds and offset.
    pub(crate) fn write(self, out: &mut String) {
        write_date(self.date, out);
        out.push('T');
        push_padded(out, u32::from(self.minute / 60), 2);
        out.push(':');
        push_padded(out, u32::from(self.minute % 60), 2);
        out.push_str(":00");
        out.push_str(OFFSET);
    }
}

/// The `date` form: year, month, day.
pub(crate) fn write_date(date: Date, out: &mut String) {
    push_padded(out, date.year().unsigned_abs().into(), 4);
    out.push('-');
    push_padded(out, date.month().unsigned_abs().into(), 2);
    out.push('-');
    push_padded(out, date.day().unsigned_abs().into(), 2);
}

fn push_padded(out: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        out.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
    }
}

/// `days` after `date`, or before when negative; stops at the ends of the calendar.
pub(crate) fn plus_days(date: Date, days: i64) -> Date {
    date.saturating_add(jiff::SignedDuration::from_hours(
        days.clamp(-80_000, 80_000) * 24,
    ))
}

/// `months` after `date`; the last day of a shorter month stands for the missing ones.
pub(crate) fn plus_months(date: Date, months: i64) -> Date {
    date.saturating_add(jiff::Span::new().months(months.clamp(-4_000, 4_000)))
}

/// Days from one date to a later one, negative if it is earlier.
pub(crate) fn days_between(from: Date, to: Date) -> i64 {
    from.duration_until(to).as_hours() / 24
}

/// Age in years, with its fraction.
pub(crate) fn years_between(from: Date, to: Date) -> f64 {
    days_between(from, to) as f64 / 365.25
}

/// Completed months, as vaccination schedules count them.
pub(crate) fn months_between(from: Date, to: Date) -> i64 {
    let months = i64::from(to.year() - from.year()) * 12 + i64::from(to.month() - from.month());
    if to.day() < from.day() {
        months - 1
    } else {
        months
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn moments_are_written_as_date_times_with_an_offset() {
        let mut out = String::new();
        Moment::new(date(2024, 3, 5), 9 * 60 + 7).write(&mut out);
        assert_eq!(out, "2024-03-05T09:07:00-05:00");
    }

    #[test]
    fn months_count_only_when_completed() {
        assert_eq!(months_between(date(2020, 1, 31), date(2020, 3, 30)), 1);
        assert_eq!(months_between(date(2020, 1, 31), date(2020, 3, 31)), 2);
    }

    #[test]
    fn days_cross_leap_years() {
        assert_eq!(plus_days(date(2024, 2, 28), 2), date(2024, 3, 1));
        assert_eq!(days_between(date(2024, 2, 28), date(2024, 3, 1)), 2);
    }
}
