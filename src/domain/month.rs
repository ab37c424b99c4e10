use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, Utc};

use super::TimeZone;

/// A calendar month, written `YYYY-MM`. Which instants belong to it depends on a time zone: see [`Month::span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i32,
    /// 1 to 12.
    month: u32,
}

/// The instants of a month in one time zone. `start` is the first instant of the month, `end` is the first instant after the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthSpan {
    pub month: Month,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// Consecutive months that are observed together. If there is only one month, the text is that of a [`Month`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Months {
    pub first: Month,
    /// This month is never before `first`.
    pub last: Month,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no month: write it as YYYY-MM, for example 2026-10")]
pub struct MonthError(String);

impl Month {
    /// The month that contains this day.
    pub fn of(day: NaiveDate) -> Month {
        Month { year: day.year(), month: day.month() }
    }

    pub fn first_day(self) -> NaiveDate {
        // The default is never used: the year has four digits or is that of an existing date, or it is the year before or after.
        NaiveDate::from_ymd_opt(self.year, self.month, 1).unwrap_or(NaiveDate::MIN)
    }

    pub fn next(self) -> Month {
        if self.month == 12 { Month { year: self.year + 1, month: 1 } } else { Month { month: self.month + 1, ..self } }
    }

    pub fn previous(self) -> Month {
        if self.month == 1 { Month { year: self.year - 1, month: 12 } } else { Month { month: self.month - 1, ..self } }
    }

    /// The number of months since year 0. The difference of two indices is the number of months between them.
    pub fn index(self) -> i64 {
        i64::from(self.year) * 12 + i64::from(self.month) - 1
    }

    /// The month of this [index](Month::index).
    pub fn from_index(index: i64) -> Month {
        // The casts are exact: the remainder is 0 to 11, and the year is that of an existing month.
        Month { year: index.div_euclid(12) as i32, month: index.rem_euclid(12) as u32 + 1 }
    }

    /// The last month that has ended at `now` in this time zone.
    pub fn last_ended(now: DateTime<Utc>, timezone: &TimeZone) -> Month {
        let mut month = Month::of(timezone.date(now)).next();
        // This takes at most three steps: the search starts one month after the local date, and a clock change moves a date by a day at
        // most.
        while month.span(timezone).end > now {
            month = month.previous();
        }
        month
    }

    /// The month lasts from the first instant of its first local day to the first instant of the next month, see
    /// [`TimeZone::first_instant`].
    pub fn span(self, timezone: &TimeZone) -> MonthSpan {
        MonthSpan { month: self, start: timezone.first_instant(self.first_day()), end: timezone.first_instant(self.next().first_day()) }
    }
}

impl MonthSpan {
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }
}

impl Months {
    /// All months from the first to the last, in order.
    pub fn each(self) -> impl Iterator<Item = Month> {
        std::iter::successors(Some(self.first), move |month| Some(month.next()).filter(|next| *next <= self.last))
    }
}

impl From<Month> for Months {
    fn from(month: Month) -> Months {
        Months { first: month, last: month }
    }
}

impl fmt::Display for Months {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{} to {}", self.first, self.last) }
    }
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Month, MonthError> {
        let error = || MonthError(text.to_string());
        let (year, month) = text.split_once('-').ok_or_else(error)?;
        let digits = |part: &str, len: usize| part.len() == len && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(year, 4) || !digits(month, 2) {
            return Err(error());
        }
        let (year, month) = (year.parse().map_err(|_| error())?, month.parse().map_err(|_| error())?);
        if !(1..=12).contains(&month) || year == 0 {
            return Err(error());
        }
        Ok(Month { year, month })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::embedded(name).unwrap()
    }

    fn span(month: &str, timezone: &str) -> (String, String) {
        let span = month.parse::<Month>().unwrap().span(&zone(timezone));
        (span.start.to_rfc3339(), span.end.to_rfc3339())
    }

    fn check(month: &str, timezone: &str, start: &str, end: &str) {
        assert_eq!(span(month, timezone), (format!("{start}+00:00"), format!("{end}+00:00")));
    }

    #[test]
    fn a_month_follows_the_clock_changes_of_its_zone() {
        check("2026-10", "Europe/Dublin", "2026-09-30T23:00:00", "2026-11-01T00:00:00");
        check("2026-03", "America/Los_Angeles", "2026-03-01T08:00:00", "2026-04-01T07:00:00");
        check("2026-12", "Pacific/Kiritimati", "2026-11-30T10:00:00", "2026-12-31T10:00:00");
        check("2024-02", "UTC", "2024-02-01T00:00:00", "2024-03-01T00:00:00");
        check("2026-01", "Asia/Kathmandu", "2025-12-31T18:15:00", "2026-01-31T18:15:00");
    }

    #[test]
    fn a_missing_midnight_begins_after_the_gap() {
        check("2016-04", "Asia/Amman", "2016-03-31T22:00:00", "2016-04-30T21:00:00");
    }

    #[test]
    fn the_first_of_two_midnights_counts() {
        // Since 2026 Havana keeps summer time, so no clock goes back on 2026-11-01.
        check("2020-11", "America/Havana", "2020-11-01T04:00:00", "2020-12-01T05:00:00");
        check("2026-11", "America/Havana", "2026-11-01T04:00:00", "2026-12-01T04:00:00");
    }

    #[test]
    fn the_last_ended_month_is_the_zones() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let last = |text: &str, timezone: &str| Month::last_ended(at(text), &zone(timezone)).to_string();
        assert_eq!(last("2026-11-01T00:00:00Z", "UTC"), "2026-10");
        assert_eq!(last("2026-10-31T23:59:59Z", "UTC"), "2026-09");
        assert_eq!(last("2026-10-31T11:00:00Z", "Pacific/Kiritimati"), "2026-10");
        assert_eq!(last("2026-11-01T06:59:59Z", "America/Los_Angeles"), "2026-09");
        assert_eq!(last("2026-11-01T07:00:00Z", "America/Los_Angeles"), "2026-10");
        // Between Havana's two midnights it is November already.
        assert_eq!(last("2020-11-01T04:30:00Z", "America/Havana"), "2020-10");
        assert_eq!(last("2027-01-01T00:00:00Z", "UTC"), "2026-12");
    }

    #[test]
    fn only_a_plain_year_and_month_is_a_month() {
        for text in ["2026-13", "2026-00", "2026-1", "26-10", "2026/10", "2026-10-01", "", "0000-01", "+026-10", "２０２６-10"] {
            assert!(text.parse::<Month>().is_err(), "{text}");
        }
        assert_eq!("2026-10".parse::<Month>().unwrap().to_string(), "2026-10");
    }

    #[test]
    fn months_are_counted_over_years() {
        let month = |text: &str| text.parse::<Month>().unwrap();
        assert_eq!(month("2027-01").index() - month("2026-11").index(), 2);
        assert_eq!(month("2026-12").next(), month("2027-01"));
        assert_eq!(month("2027-01").previous(), month("2026-12"));
    }
}
