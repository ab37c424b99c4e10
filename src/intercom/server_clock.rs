//! The API's clock, estimated from the `Date` headers of its responses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AGE, DATE, HeaderMap};
use tokio::time::Instant;

/// The limits of the API's present time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    /// The earliest possible time.
    pub earliest: DateTime<Utc>,
    /// The latest possible time.
    pub latest: DateTime<Utc>,
}

/// Keeps the latest time that responses reported. A cached response reports a time that is too early. So of two responses the one with the
/// later time counts.
#[derive(Debug)]
pub(super) struct ServerClock {
    origin: Instant,
    /// The API's time at `origin`.
    at_origin: Mutex<Option<ServerTime>>,
}

impl ServerClock {
    pub(super) fn new() -> ServerClock {
        ServerClock { origin: Instant::now(), at_origin: Mutex::new(None) }
    }

    /// The API's time at `origin`, calculated from a response whose headers have just come and whose request was sent at `sent`. `None` if
    /// the response has no date.
    pub(super) fn read(&self, headers: &HeaderMap, sent: Instant) -> Option<ServerTime> {
        let date = date(headers)?;
        let sent = TimeDelta::from_std(sent - self.origin).ok()?;
        let received = TimeDelta::from_std(self.origin.elapsed()).ok()?;
        // `Date` has whole seconds. The server wrote it after the request was sent and before the response was received.
        Some(ServerTime { earliest: date.checked_sub_signed(received)?, latest: date.checked_sub_signed(sent)? + TimeDelta::seconds(1) })
    }

    /// Records the time of a successful response.
    pub(super) fn record(&self, time: ServerTime) {
        let mut known = self.at_origin.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(match *known {
            None => time,
            Some(known) => ServerTime { earliest: known.earliest.max(time.earliest), latest: known.latest.max(time.latest) },
        });
    }

    /// The API's time now. `None` if no response had a date.
    pub(super) fn now(&self) -> Option<ServerTime> {
        let known = (*self.at_origin.lock().unwrap_or_else(PoisonError::into_inner))?;
        let elapsed = TimeDelta::from_std(self.origin.elapsed()).ok()?;
        let on = |at: DateTime<Utc>| at.checked_add_signed(elapsed);
        Some(ServerTime { earliest: on(known.earliest)?, latest: on(known.latest)? })
    }
}

/// The server's time by the headers. It is `Date`, plus the time that the response spent in a cache.
fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?.trim()).ok()?.with_timezone(&Utc);
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
    date.checked_add_signed(TimeDelta::from_std(age.unwrap_or_default()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(date: &str, age: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, date.parse().unwrap());
        headers.extend(age.map(|age| (AGE, age.parse().unwrap())));
        headers
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_date_may_have_an_age_and_invalid_dates_are_ignored() {
        let read = |text: &str, age| date(&headers(text, age)).map(|at| at.to_rfc3339());
        assert_eq!(read("Sun, 01 Nov 2026 02:00:00 GMT", None).as_deref(), Some("2026-11-01T02:00:00+00:00"));
        assert_eq!(read("Sun, 01 Nov 2026 02:00:00 GMT", Some("3600")).as_deref(), Some("2026-11-01T03:00:00+00:00"));
        assert_eq!(read("Sun, 01 Nov 2026 02:00:00 GMT", Some("old")).as_deref(), Some("2026-11-01T02:00:00+00:00"));
        assert_eq!(read("Sun, 01 Nov 2026 02:00:00 GMT", Some("18446744073709551615")), None);
        assert_eq!((read("yesterday", None), read("", None), date(&HeaderMap::new())), (None, None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_duration_of_a_request_widens_the_bounds() {
        let clock = ServerClock::new();
        let sent = Instant::now();
        tokio::time::advance(Duration::from_secs(30)).await;
        let time = clock.read(&headers("Sun, 01 Nov 2026 02:00:00 GMT", None), sent).unwrap();
        clock.record(time);
        // The header was written between thirty seconds ago and now.
        assert_eq!(clock.now(), Some(ServerTime { earliest: at("2026-11-01T02:00:00Z"), latest: at("2026-11-01T02:00:31Z") }));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), Some(ServerTime { earliest: at("2026-11-01T02:01:00Z"), latest: at("2026-11-01T02:01:31Z") }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_date_counts() {
        let clock = ServerClock::new();
        assert_eq!(clock.now(), None);
        for date in ["Sat, 31 Oct 2026 14:00:00 GMT", "Sun, 01 Nov 2026 02:00:00 GMT", "Sat, 31 Oct 2026 14:00:00 GMT"] {
            clock.record(clock.read(&headers(date, None), Instant::now()).unwrap());
        }
        assert_eq!(clock.now().map(|time| time.earliest), Some(at("2026-11-01T02:00:00Z")));
    }

    /// The clock of a suspended machine stands still, but the API's clock does not.
    #[tokio::test(start_paused = true)]
    async fn a_later_date_corrects_time_lost_in_suspension() {
        let clock = ServerClock::new();
        for date in ["Sun, 01 Nov 2026 02:00:00 GMT", "Sun, 01 Nov 2026 12:00:00 GMT"] {
            clock.record(clock.read(&headers(date, None), Instant::now()).unwrap());
        }
        assert_eq!(clock.now().map(|time| time.earliest), Some(at("2026-11-01T12:00:00Z")));
    }
}
