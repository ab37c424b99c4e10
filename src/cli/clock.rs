//! The current time. The wall clock is read once; after that, the elapsed time is added. So if NTP or a person sets the clock during a run,
//! the time of the run neither goes back nor jumps past the end of a month.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::failure::Failure;
use job::Clock;
use job::settings::Settings;

#[expect(clippy::disallowed_methods, reason = "the one place that asks the wall what time it is, for everyone")]
pub(super) fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

/// The running clock, or the fixed instant of `--as-of`.
pub(super) fn clock(as_of: Option<DateTime<Utc>>, settings: &Settings) -> Result<Clock, Failure> {
    match as_of {
        None => Ok(running()),
        Some(instant) if settings.intercom.is_loopback => Ok(standing_at(instant)),
        Some(_) => Err(Failure::usage(
            format!("--as-of is refused: `{}` is not on this machine", settings.intercom.base_url),
            "--as-of is for tests with `cohorts simulate`; a real workspace only shows who is in a group now",
        )),
    }
}

pub(super) fn standing_at(instant: DateTime<Utc>) -> Clock {
    Arc::new(move || instant)
}

/// The elapsed time is the larger of two measures. Setting the clock changes neither of them. [`Instant`] does not count the time
/// that a machine was suspended. [`uptime`] counts this time, but only on Linux. On other systems, and after a virtual machine was
/// paused without notice, this clock falls behind. Then the API's `Date` shows the difference, and the month reports it
/// (`clock_differs`).
fn running() -> Clock {
    let (begun, up) = (Instant::now(), uptime());
    let slept = move || uptime().zip(up).map(|(now, then)| now.saturating_sub(then)).unwrap_or_default();
    since(wall_clock(), move || begun.elapsed().max(slept()))
}

/// A clock that begins at `start`. It never goes back.
fn since(start: DateTime<Utc>, elapsed: impl Fn() -> Duration + Send + Sync + 'static) -> Clock {
    let furthest = AtomicU64::new(0);
    Arc::new(move || {
        let nanos = u64::try_from(elapsed().as_nanos()).unwrap_or(u64::MAX);
        let nanos = furthest.fetch_max(nanos, Ordering::Relaxed).max(nanos);
        start + TimeDelta::nanoseconds(i64::try_from(nanos).unwrap_or(i64::MAX))
    })
}

/// How long the machine has been up, including suspended time.
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    Duration::try_from_secs_f64(text.split_whitespace().next()?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_adds_the_elapsed_time_to_its_start() {
        let start: DateTime<Utc> = "2026-10-31T23:59:58Z".parse().unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = since(start, {
            let seconds = seconds.clone();
            move || Duration::from_secs(seconds.load(Ordering::Relaxed))
        });
        assert_eq!(clock(), start);
        seconds.store(5, Ordering::Relaxed);
        assert_eq!(clock().to_rfc3339(), "2026-11-01T00:00:03+00:00");
        seconds.store(4, Ordering::Relaxed);
        assert_eq!(clock().to_rfc3339(), "2026-11-01T00:00:03+00:00");
    }

    #[test]
    fn the_running_clock_begins_at_the_wall_and_never_goes_back() {
        let (before, clock) = (wall_clock(), running());
        let instants: Vec<DateTime<Utc>> = (0..1_000).map(|_| clock()).collect();
        assert!(instants.is_sorted() && before <= instants[0], "{before} {instants:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_uptime_of_the_machine_is_known() {
        assert!(uptime().is_some_and(|up| !up.is_zero()));
    }
}
