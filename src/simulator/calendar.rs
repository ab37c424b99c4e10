//! Calendar days and months of the workspace's time zone, as Unix seconds.

use chrono::{DateTime, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// Seconds of a day without a clock change.
pub const DAY: i64 = 86_400;
/// Seconds of a mean month.
pub const MONTH: i64 = 2_629_800;

/// First second of a local day. Midnight may not exist (the clock jumps over it: then the day begins at the jump) or exist twice (the first counts).
pub fn start_of_day(zone: Tz, date: NaiveDate) -> i64 {
    let midnight = date.and_time(NaiveTime::MIN);
    match zone.from_local_datetime(&midnight) {
        MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => instant.timestamp(),
        MappedLocalTime::None => {
            // Around a jump over midnight local dates only grow, so the first second with this date can be bisected.
            let (mut before, mut reached) = (midnight.and_utc().timestamp() - 26 * 3600, midnight.and_utc().timestamp() + 26 * 3600);
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

/// `[start, end)` of the local day that holds an instant; nothing when the calendar does not reach that far.
pub fn day_around(zone: Tz, instant: i64) -> Option<(i64, i64)> {
    let date = local_date(zone, instant)?;
    let next = date.checked_add_days(Days::new(1))?;
    Some((start_of_day(zone, date), start_of_day(zone, next)))
}

/// First second of a local month. Months outside 1..=12 roll over into other years.
pub fn start_of_month(zone: Tz, year: i32, month: i32) -> i64 {
    let (year, month) = (year + (month - 1).div_euclid(12), (month - 1).rem_euclid(12) + 1);
    NaiveDate::from_ymd_opt(year, month as u32, 1).map_or(0, |first| start_of_day(zone, first))
}

fn local_date(zone: Tz, instant: i64) -> Option<NaiveDate> {
    // The extremes of chrono's range overflow when an offset is added; no year beyond them matters here.
    const REACH: i64 = 8_000_000_000_000;
    if !(-REACH..=REACH).contains(&instant) {
        return None;
    }
    Some(DateTime::from_timestamp(instant, 0)?.with_timezone(&zone).date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(zone: Tz, instant: &str) -> (String, String) {
        let instant = DateTime::parse_from_rfc3339(instant).unwrap().timestamp();
        let (start, end) = day_around(zone, instant).unwrap();
        let text = |at| DateTime::from_timestamp(at, 0).unwrap().to_rfc3339();
        (text(start), text(end))
    }

    #[test]
    fn days_follow_the_clock_changes() {
        let spring = ("2026-03-29T00:00:00+00:00".to_owned(), "2026-03-29T23:00:00+00:00".to_owned());
        assert_eq!(day(Tz::Europe__Dublin, "2026-03-29T12:00:00Z"), spring, "23 hours");
        let autumn = ("2026-10-24T23:00:00+00:00".to_owned(), "2026-10-26T00:00:00+00:00".to_owned());
        assert_eq!(day(Tz::Europe__Dublin, "2026-10-25T12:00:00Z"), autumn, "25 hours");
    }

    #[test]
    fn a_midnight_that_does_not_exist_gives_the_first_second_that_does() {
        let date = NaiveDate::from_ymd_opt(2016, 4, 1).unwrap();
        let start = start_of_day(Tz::Asia__Amman, date);
        assert_eq!(DateTime::from_timestamp(start, 0).unwrap().to_rfc3339(), "2016-03-31T22:00:00+00:00");
    }

    #[test]
    fn a_midnight_that_exists_twice_gives_the_first() {
        let start = start_of_month(Tz::America__Havana, 2026, 11);
        assert_eq!(DateTime::from_timestamp(start, 0).unwrap().to_rfc3339(), "2026-11-01T04:00:00+00:00");
    }

    #[test]
    fn instants_beyond_the_calendar_have_no_day() {
        for instant in [i64::MIN, i64::MAX, 9_000_000_000_000] {
            assert_eq!(day_around(Tz::Europe__Dublin, instant), None);
        }
        assert!(day_around(Tz::Europe__Dublin, 1_790_000_000_000).is_some(), "milliseconds are a far year");
    }
}
