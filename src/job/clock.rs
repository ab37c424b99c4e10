//! Compares this machine's clock with the API's. The clock decides which month has ended, and the basis of a month. With a wrong
//! clock, a run would publish a month that has not ended.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Context, JobError, basis_at};
use archive::snapshot::Finding;
use domain::{Basis, Month, Months, TimeZone};
use intercom::{Client, ServerTime};

/// The allowed difference between the clocks.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// The smallest difference between this machine's clock and the API's that the answers allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockOffset {
    now: DateTime<Utc>,
    /// Positive if this machine's clock is ahead.
    ahead: TimeDelta,
}

/// What would be different with the API's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Another month is the last one that has ended.
    Month { here: Month, there: Month },
    /// The month would be observed on another basis.
    Basis { month: Month, here: Basis, there: Basis },
}

impl ClockOffset {
    fn of(now: DateTime<Utc>, there: ServerTime) -> ClockOffset {
        let ahead = if now < there.earliest {
            now - there.earliest
        } else if now > there.latest {
            now - there.latest
        } else {
            TimeDelta::zero()
        };
        ClockOffset { now, ahead }
    }

    pub fn is_tolerable(&self) -> bool {
        self.ahead.abs() <= TOLERANCE
    }

    fn there(&self) -> DateTime<Utc> {
        self.now - self.ahead
    }

    /// What would be different with the API's clock for these months, or for the last ended month. `None` if nothing would, or if
    /// the difference between the clocks is allowed.
    pub fn otherwise(&self, grace: Duration, timezone: &TimeZone, asked: Option<Months>) -> Option<Otherwise> {
        if self.is_tolerable() {
            return None;
        }
        let (here, there) = (Month::last_ended(self.now, timezone), Month::last_ended(self.there(), timezone));
        if asked.is_none() && here != there {
            return Some(Otherwise::Month { here, there });
        }
        asked.unwrap_or(here.into()).each().find_map(|month| {
            let span = month.span(timezone);
            let (here, there) = (basis_at(self.now, &span, grace), basis_at(self.there(), &span, grace));
            (here != there).then_some(Otherwise::Basis { month, here, there })
        })
    }

    /// The difference as text, such as `2h 3m 5s ahead`.
    fn text(&self) -> String {
        let by = Duration::from_secs(self.ahead.num_seconds().unsigned_abs());
        let way = if self.ahead > TimeDelta::zero() { "ahead" } else { "behind" };
        format!("{} {way}", humantime::format_duration(by))
    }

    fn finding(&self) -> Finding {
        let detail = "this machine's clock differs from the API's; month and basis are the same with both, but `observed_at` is as wrong \
                      as the clock";
        Finding::warning("clock_differs", "clock", detail).value(self.text()).expected("within 5m")
    }
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_tolerable() {
            f.write_str("this machine's clock is within 5 minutes of the API's")
        } else {
            let of = if self.ahead > TimeDelta::zero() { " of" } else { "" };
            write!(f, "this machine's clock is {}{of} the API's", self.text())
        }
    }
}

impl fmt::Display for Otherwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Otherwise::Month { here, there } => {
                write!(f, "the last month that has ended is {here} by this machine's clock, and {there} by the API's")
            }
            Otherwise::Basis { month, here, there } => {
                write!(f, "{month} would be `{here}` by this machine's clock, and `{there}` by the API's")
            }
        }
    }
}

/// `None` if the API's time is unknown.
pub(super) fn clock_offset(client: &Client, now: DateTime<Utc>) -> Option<ClockOffset> {
    client.server_time().map(|there| ClockOffset::of(now, there))
}

/// Checks the clock before anything is fetched, after the first answer of the API.
///
/// # Errors
/// If the requested months, or the last ended month, are different with the API's clock.
pub(super) async fn check(context: &Context, timezone: &TimeZone, asked: Option<Months>) -> Result<(), JobError> {
    if apart(context).is_none() {
        return Ok(());
    }
    // A cache in between may have given an old answer. A search is not cached, so it is sent now.
    if let Err(error) = context.client.oldest(None).await {
        tracing::debug!(%error, "requesting the time again failed");
    }
    let Some(offset) = apart(context) else { return Ok(()) };
    match offset.otherwise(context.settings.job.grace, timezone, asked) {
        Some(otherwise) => Err(JobError::ClockDiffers { offset, otherwise }),
        None => {
            tracing::warn!("{offset}");
            Ok(())
        }
    }
}

/// The finding for the month's reports. The clocks are compared again here, so it also reports a clock that became wrong while the month
/// was fetched.
pub(super) fn finding(context: &Context) -> Option<Finding> {
    apart(context).map(|offset| offset.finding())
}

fn apart(context: &Context) -> Option<ClockOffset> {
    let offset = clock_offset(&context.client, (context.clock)()).filter(|_| context.checks_clock)?;
    (!offset.is_tolerable()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn offset(here: &str, there: &str) -> ClockOffset {
        ClockOffset::of(at(here), ServerTime { earliest: at(there), latest: at(there) + TimeDelta::seconds(1) })
    }

    #[test]
    fn an_offset_is_the_least_that_the_answers_allow() {
        let text = |here: &str, there: &str| offset(here, there).to_string();
        let within = "this machine's clock is within 5 minutes of the API's";
        assert_eq!(text("2026-11-01T02:00:00Z", "2026-11-01T02:05:00Z"), within);
        assert_eq!(text("2026-11-01T02:05:01Z", "2026-11-01T02:00:00Z"), within);
        let behind = "this machine's clock is 5m 1s behind the API's";
        assert_eq!(text("2026-11-01T02:00:00Z", "2026-11-01T02:05:01Z"), behind);
        assert_eq!(text("2026-11-01T02:05:02Z", "2026-11-01T02:00:00Z"), "this machine's clock is 5m 1s ahead of the API's");
    }

    #[test]
    fn only_another_month_or_basis_is_reported() {
        let grace = Duration::from_secs(3 * 24 * 3600);
        let otherwise_text = |here: &str, there: &str, asked: Option<&str>| {
            let asked = asked.map(|month| month.parse::<Month>().unwrap().into());
            offset(here, there).otherwise(grace, &TimeZone::utc(), asked).map(|otherwise| otherwise.to_string())
        };
        // The month has ended by one clock and not by the other.
        let month = "the last month that has ended is 2026-10 by this machine's clock, and 2026-09 by the API's";
        assert_eq!(otherwise_text("2026-11-01T00:03:00Z", "2026-10-31T23:50:00Z", None).as_deref(), Some(month));
        let ended = "2026-10 would be `month_end` by this machine's clock, and `preliminary` by the API's";
        assert_eq!(otherwise_text("2026-11-01T00:03:00Z", "2026-10-31T23:50:00Z", Some("2026-10")).as_deref(), Some(ended));
        // The grace is over by one clock and not by the other.
        let late = "2026-10 would be `month_end` by this machine's clock, and `late` by the API's";
        assert_eq!(otherwise_text("2026-11-03T23:00:00Z", "2026-11-04T00:00:01Z", None).as_deref(), Some(late));
        // Month and basis are the same with both clocks, or the difference is allowed.
        assert_eq!(otherwise_text("2026-11-02T00:00:00Z", "2026-11-02T05:00:00Z", None), None);
        assert_eq!(otherwise_text("2026-11-01T00:03:00Z", "2026-10-31T23:50:00Z", Some("2026-08")), None);
        assert_eq!(otherwise_text("2026-11-01T00:03:00Z", "2026-10-31T23:59:00Z", None), None);
    }
}
