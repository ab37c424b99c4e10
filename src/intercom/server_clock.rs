//! What time it is at the API, as far as the `Date` headers of its answers say.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{AGE, DATE, HeaderMap};
use tokio::time::Instant;

/// The bounds between which the API's clock stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerTime {
    pub earliest: DateTime<Utc>,
    pub latest: DateTime<Utc>,
}

/// The freshest of what answers said. What something between gave from its store says an earlier time than it is: so of two
/// answers the one counts that says a later time.
#[derive(Debug)]
pub(super) struct ServerClock {
    origin: Instant,
    /// Where the API's clock stood at the origin.
    at_origin: Mutex<Option<ServerTime>>,
}

impl ServerClock {
    pub(super) fn new() -> ServerClock {
        ServerClock { origin: Instant::now(), at_origin: Mutex::new(None) }
    }

    /// What an answer to a request that was sent at an instant, and whose head has just come, says of the time.
    pub(super) fn heard(&self, headers: &HeaderMap, sent: Instant) -> Option<ServerTime> {
        let said = date(headers)?;
        let sent = TimeDelta::from_std(sent - self.origin).ok()?;
        let came = TimeDelta::from_std(self.origin.elapsed()).ok()?;
        // `Date` has whole seconds, and was written between sending and coming.
        Some(ServerTime { earliest: said.checked_sub_signed(came)?, latest: said.checked_sub_signed(sent)? + TimeDelta::seconds(1) })
    }

    /// Takes note of it, for an answer that was a good one.
    pub(super) fn learn(&self, heard: ServerTime) {
        let mut known = self.at_origin.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(match *known {
            None => heard,
            Some(known) => ServerTime { earliest: known.earliest.max(heard.earliest), latest: known.latest.max(heard.latest) },
        });
    }

    /// `None` before any answer had a date.
    pub(super) fn now(&self) -> Option<ServerTime> {
        let known = (*self.at_origin.lock().unwrap_or_else(PoisonError::into_inner))?;
        let elapsed = TimeDelta::from_std(self.origin.elapsed()).ok()?;
        let on = |at: DateTime<Utc>| at.checked_add_signed(elapsed);
        Some(ServerTime { earliest: on(known.earliest)?, latest: on(known.latest)? })
    }
}

/// What the headers say that the time is: `Date`, and the time that the answer has lain in a store since.
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
    fn a_date_may_have_an_age_and_what_is_none_says_nothing() {
        let told = |text: &str, age| date(&headers(text, age)).map(|at| at.to_rfc3339());
        assert_eq!(told("Sun, 01 Nov 2026 02:00:00 GMT", None).as_deref(), Some("2026-11-01T02:00:00+00:00"));
        assert_eq!(told("Sun, 01 Nov 2026 02:00:00 GMT", Some("3600")).as_deref(), Some("2026-11-01T03:00:00+00:00"));
        assert_eq!(told("Sun, 01 Nov 2026 02:00:00 GMT", Some("old")).as_deref(), Some("2026-11-01T02:00:00+00:00"));
        assert_eq!(told("Sun, 01 Nov 2026 02:00:00 GMT", Some("18446744073709551615")), None);
        assert_eq!((told("yesterday", None), told("", None), date(&HeaderMap::new())), (None, None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_request_is_allowed_for() {
        let clock = ServerClock::new();
        let sent = Instant::now();
        tokio::time::advance(Duration::from_secs(30)).await;
        let heard = clock.heard(&headers("Sun, 01 Nov 2026 02:00:00 GMT", None), sent).unwrap();
        clock.learn(heard);
        // It was written up to thirty seconds ago, or just now.
        assert_eq!(clock.now(), Some(ServerTime { earliest: at("2026-11-01T02:00:00Z"), latest: at("2026-11-01T02:00:31Z") }));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(), Some(ServerTime { earliest: at("2026-11-01T02:01:00Z"), latest: at("2026-11-01T02:01:31Z") }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_freshest_answer_counts() {
        let clock = ServerClock::new();
        assert_eq!(clock.now(), None);
        for date in ["Sat, 31 Oct 2026 14:00:00 GMT", "Sun, 01 Nov 2026 02:00:00 GMT", "Sat, 31 Oct 2026 14:00:00 GMT"] {
            clock.learn(clock.heard(&headers(date, None), Instant::now()).unwrap());
        }
        assert_eq!(clock.now().map(|time| time.earliest), Some(at("2026-11-01T02:00:00Z")));
    }

    /// The time of a suspended machine stands still, the API's goes on.
    #[tokio::test(start_paused = true)]
    async fn time_that_passed_unnoticed_is_made_up_for() {
        let clock = ServerClock::new();
        for date in ["Sun, 01 Nov 2026 02:00:00 GMT", "Sun, 01 Nov 2026 12:00:00 GMT"] {
            clock.learn(clock.heard(&headers(date, None), Instant::now()).unwrap());
        }
        assert_eq!(clock.now().map(|time| time.earliest), Some(at("2026-11-01T12:00:00Z")));
    }
}
