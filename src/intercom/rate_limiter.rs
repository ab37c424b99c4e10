//! The one rate limiter that every request passes: as many at once as the server carries ([`super::pace`]), evenly over the rate
//! window, and not before a pause ends.
//!
//! Intercom counts requests in fixed windows of ten seconds and tells limit, remainder and end in headers. The rate limiter
//! spends its share of a window evenly: a small burst, then one request each `10 s / share`, so that no window of any
//! alignment sees more than the share.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::clock::{Clock, Reference};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::concurrency::{Came, ConcurrencyController};

/// Windows last ten seconds.
const WINDOW: Duration = Duration::from_secs(10);
/// What is assumed until a response tells the limit: the former limit of 1,000 a minute.
const ASSUMED_LIMIT: u32 = 167;
/// A server that asks for a longer pause has its clock wrong; windows last ten seconds.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a response says about the rate window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WindowReport {
    pub limit: Option<u32>,
    pub remaining: Option<u32>,
    /// Time from now to the window's end, by the server's own clock.
    pub resets_in: Option<Duration>,
}

/// A rate window of ten seconds, as responses tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// Requests that the window allows.
    pub limit: u32,
    /// How many of them are left, when the last response said so.
    pub remaining: Option<u32>,
    /// How many of them this client sends at the most.
    pub share: u32,
}

impl RateWindow {
    /// Requests that it allows in a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.limit) / WINDOW.as_secs_f64()
    }
}

#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Told when a place has become free.
    freed: Notify,
    concurrency: u32,
    share: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: u32,
    limiter: Arc<Limiter>,
    not_before: Instant,
    controller: ConcurrencyController,
    under_way: usize,
    /// What the last response said that gave a limit.
    told: Option<WindowReport>,
}

type Limiter = governor::RateLimiter<NotKeyed, InMemoryState, TokioClock, governor::middleware::NoOpMiddleware<Ticks>>;

impl RateLimiter {
    pub(super) fn new(concurrency: usize, share: f64) -> RateLimiter {
        let burst = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let limiter = limiter(ASSUMED_LIMIT, share, burst);
        let (controller, not_before) = (ConcurrencyController::new(concurrency), Instant::now());
        let state = State { limit: ASSUMED_LIMIT, limiter, not_before, controller, under_way: 0, told: None };
        RateLimiter { freed: Notify::new(), concurrency: burst, share, state: Mutex::new(state) }
    }

    /// Waits for a place, for the end of a pause, and for the next slot of the window. The place is held until it is
    /// dropped; `kind` tells requests apart that take as long as each other.
    pub(super) async fn pass(&self, kind: u64) -> Permit<'_> {
        let mut permit = self.permit(kind).await;
        loop {
            let (not_before, limiter) = {
                let state = self.lock();
                (state.not_before, state.limiter.clone())
            };
            if not_before > Instant::now() {
                tokio::time::sleep_until(not_before).await;
                continue;
            }
            match limiter.check() {
                Ok(()) => {
                    permit.since = Instant::now();
                    return permit;
                }
                Err(wait) => tokio::time::sleep(wait.wait_time_from(TokioClock.now())).await,
            }
        }
    }

    async fn permit(&self, kind: u64) -> Permit<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listening before looking: a place that becomes free in between is not missed.
            freed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.under_way < state.controller.permits() {
                    state.under_way += 1;
                    let is_full = state.under_way >= state.controller.permits();
                    return Permit { rate_limiter: self, kind, since: Instant::now(), is_full };
                }
            }
            freed.await;
        }
    }

    /// Nobody passes before `pause` is over. A pause only ever grows: a late answer does not shorten it.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause.min(PAUSE_MAX);
        let mut state = self.lock();
        state.not_before = state.not_before.max(until);
    }

    /// Takes over what a response says: another limit, or a window that is spent.
    pub(super) fn learn(&self, report: WindowReport) {
        if let Some(limit) = report.limit.filter(|limit| *limit > 0) {
            let mut state = self.lock();
            state.told = Some(report);
            if state.limit != limit {
                tracing::debug!(limit, "the rate window allows another number of requests");
                state.limit = limit;
                state.limiter = limiter(limit, self.share, self.concurrency);
            }
        }
        if let (Some(0), Some(reset)) = (report.remaining, report.resets_in) {
            self.pause(reset);
        }
    }

    pub(super) fn window(&self) -> Option<RateWindow> {
        let told = self.lock().told?;
        let limit = told.limit?;
        Some(RateWindow { limit, remaining: told.remaining, share: allowed(limit, self.share) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after each statement, so that a panic elsewhere leaves nothing half-done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the requests that are under way.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    rate_limiter: &'a RateLimiter,
    kind: u64,
    since: Instant,
    /// Whether it was the last one.
    is_full: bool,
}

impl Permit<'_> {
    /// How the answer came, as far as it tells how much the server carries.
    pub(super) fn answered(&self, came: Came) {
        self.rate_limiter.lock().controller.answered(self.kind, self.since.elapsed(), came, self.is_full);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let free = {
            let mut state = self.rate_limiter.lock();
            state.under_way -= 1;
            state.controller.permits().saturating_sub(state.under_way)
        };
        // Each who waits takes one; there may be more than this one since there was an answer.
        for _ in 0..free.max(1) {
            self.rate_limiter.freed.notify_one();
        }
    }
}

/// A share of a small window may round to nothing; one request a window always passes.
fn allowed(limit: u32, share: f64) -> u32 {
    ((f64::from(limit) * share).floor() as u32).max(1)
}

/// A limiter that lets at most `share` of `limit` pass in any ten seconds: a burst and an even flow that together
/// make up the share.
fn limiter(limit: u32, share: f64, concurrency: u32) -> Arc<Limiter> {
    let allowed = allowed(limit, share);
    // What the burst takes, the flow lacks for good: a fortieth keeps over 97 % of the share in use.
    let burst = (allowed / 40).clamp(1, concurrency.max(1));
    let flow = (allowed - burst).max(1);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(WINDOW / flow).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    Arc::new(governor::RateLimiter::direct_with_clock(quota, TokioClock))
}

/// Tokio's clock for the governor, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

/// Time since the clock was first asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ticks(Instant);

impl Clock for TokioClock {
    type Instant = Ticks;

    fn now(&self) -> Ticks {
        Ticks(Instant::now())
    }
}

impl std::ops::Add<Nanos> for Ticks {
    type Output = Ticks;

    fn add(self, nanos: Nanos) -> Ticks {
        Ticks(self.0 + Duration::from_nanos(nanos.as_u64()))
    }
}

impl Reference for Ticks {
    fn duration_since(&self, earlier: Ticks) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Ticks {
        self.0.checked_sub(Duration::from_nanos(duration.as_u64())).map_or(*self, Ticks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The moments at which `count` requests pass, in milliseconds from the first call.
    async fn passes(rate_limiter: &RateLimiter, count: usize) -> Vec<u128> {
        let start = Instant::now();
        let mut moments = Vec::new();
        for _ in 0..count {
            drop(rate_limiter.pass(0).await);
            moments.push(start.elapsed().as_millis());
        }
        moments
    }

    #[tokio::test]
    async fn the_window_is_what_was_told_last() {
        let rate_limiter = RateLimiter::new(4, 0.8);
        assert_eq!(rate_limiter.window(), None);
        rate_limiter.learn(WindowReport { limit: Some(83), remaining: Some(80), resets_in: None });
        assert_eq!(rate_limiter.window(), Some(RateWindow { limit: 83, remaining: Some(80), share: 66 }));
        rate_limiter.learn(WindowReport::default());
        assert_eq!(rate_limiter.window().and_then(|window| window.remaining), Some(80), "a response without headers says nothing");
        rate_limiter.learn(WindowReport { limit: Some(1), remaining: None, resets_in: None });
        assert_eq!(rate_limiter.window(), Some(RateWindow { limit: 1, remaining: None, share: 1 }));
    }

    #[tokio::test(start_paused = true)]
    async fn no_ten_seconds_see_more_than_the_share() {
        for (limit, share, concurrency) in [(83, 0.8, 16), (167, 0.5, 4), (1667, 0.8, 16), (3, 0.1, 16), (10, 1.0, 1)] {
            let rate_limiter = RateLimiter::new(concurrency, share);
            rate_limiter.learn(WindowReport { limit: Some(limit), ..WindowReport::default() });
            let allowed = ((f64::from(limit) * share) as usize).max(1);
            let moments = passes(&rate_limiter, allowed * 3).await;
            for (index, moment) in moments.iter().enumerate() {
                let within = moments[index..].iter().filter(|other| **other < moment + 10_000).count();
                assert!(within <= allowed, "{within} of {allowed} allowed in the ten seconds from {moment} ms, limit {limit}");
            }
            // And evenly: the whole takes about as long as the share demands, not twice as long.
            assert!(moments[moments.len() - 1] <= 33_000, "{moments:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_only_grows() {
        let rate_limiter = RateLimiter::new(4, 1.0);
        rate_limiter.pause(Duration::from_secs(9));
        rate_limiter.pause(Duration::from_secs(2));
        rate_limiter.learn(WindowReport { limit: Some(1667), remaining: Some(0), resets_in: Some(Duration::from_secs(1)) });
        assert_eq!(passes(&rate_limiter, 1).await, [9_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_window_pauses_and_an_absurd_reset_is_capped() {
        let rate_limiter = RateLimiter::new(4, 1.0);
        rate_limiter.learn(WindowReport { limit: Some(1667), remaining: Some(0), resets_in: Some(Duration::from_secs(7)) });
        assert_eq!(passes(&rate_limiter, 1).await, [7_000]);
        rate_limiter.pause(Duration::from_secs(100_000));
        assert_eq!(passes(&rate_limiter, 1).await, [60_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_held_until_it_is_dropped() {
        let rate_limiter = RateLimiter::new(1, 1.0);
        let held = rate_limiter.pass(0).await;
        let second = tokio::time::timeout(Duration::from_secs(60), rate_limiter.pass(0)).await;
        assert!(second.is_err());
        drop(held);
        drop(rate_limiter.pass(0).await);
    }
}
