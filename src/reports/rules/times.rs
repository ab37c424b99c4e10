//! Instants and spans of time as microseconds.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The longest span of time in a rule, in microseconds.
const LONGEST: i64 = 365_250 * DAY;

/// Reads `2026-10-01` (its first instant in UTC), an RFC 3339 instant, or a date and time without an offset, in UTC. Returns
/// microseconds since 1970.
pub(super) fn instant(text: &str) -> Option<i64> {
    let starts_with_a_year =
        text.len() >= 10 && text.as_bytes().iter().take(5).map(|byte| byte.is_ascii_digit()).eq([true, true, true, true, false]);
    if !starts_with_a_year {
        return None;
    }
    if text.len() == 10 {
        return date(text);
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .map(|instant| instant.and_utc().timestamp_micros())
}

pub(super) fn date(text: &str) -> Option<i64> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)?;
    Some(date.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}

/// Reads `90 days` or `1 day 12 hours`.
pub(super) fn span(text: &str) -> Result<i64, &'static str> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (pairs, []) = words.as_chunks::<2>() else { return Err(HOW) };
    if pairs.is_empty() {
        return Err(HOW);
    }
    pairs.iter().try_fold(0_i64, |sum, [count, unit]| {
        let count: i64 = count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse().ok()).flatten().ok_or(HOW)?;
        let micros = count.checked_mul(unit_of(unit)?).and_then(|micros| sum.checked_add(micros));
        micros.filter(|micros| *micros <= LONGEST).ok_or("it is longer than 1,000 years")
    })
}

pub(super) const HOW: &str = "an interval is written like INTERVAL '90 days' or INTERVAL '1 day 12 hours'";

fn unit_of(word: &str) -> Result<i64, &'static str> {
    match word.to_ascii_lowercase().trim_end_matches('s') {
        "week" => Ok(7 * DAY),
        "day" => Ok(DAY),
        "hour" => Ok(3_600 * SECOND),
        "minute" | "min" => Ok(60 * SECOND),
        "second" | "sec" => Ok(SECOND),
        "month" | "quarter" | "year" => Err("months and years differ in length; write days, or compare with month_start or month_end"),
        _ => Err("the unit of an interval must be weeks, days, hours, minutes or seconds"),
    }
}
