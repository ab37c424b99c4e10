//! The rate limiter, which every request has to pass. It limits how many requests are under way (see [`super::concurrency`]), spreads the
//! requests evenly over the rate window, and lets no request pass during a pause.
//!
//! Intercom counts requests in fixed windows of ten seconds. Headers report the limit, the remainder and the end of a window. The rate
//! limiter spreads its share of a window's requests evenly: after a small burst, the requests pass at equal intervals. So no period of ten
//! seconds has more requests than the share, whenever the period begins.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::clock::{Clock, Reference};
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::concurrency::{ConcurrencyController, Outcome};

/// Windows last ten seconds.
const WINDOW: Duration = Duration::from_secs(10);
/// The limit until a response reports one. It is Intercom's former limit of 1,000 requests a minute, converted to ten seconds.
const ASSUMED_LIMIT: u32 = 167;
/// The longest pause. Windows last ten seconds, so a server that asks for a longer pause has a wrong clock.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What a response says about the rate window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WindowReport {
    pub limit: Option<u32>,
    pub remaining: Option<u32>,
    /// The time from now to the window's end, by the server's own clock.
    pub resets_in: Option<Duration>,
}

/// The API's rate window of ten seconds, as responses report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateWindow {
    /// The number of requests that the window allows.
    pub limit: u32,
    /// How many of these requests are left. `None` if the last response did not report it.
    pub remaining: Option<u32>,
    /// How many of these requests this client may use.
    pub share: u32,
}

impl RateWindow {
    /// The number of requests per second that the window allows.
    pub fn per_second(self) -> f64 {
        f64::from(self.limit) / WINDOW.as_secs_f64()
    }
}

#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Notified when a permit becomes free.
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
    /// The last report that gave a limit.
    last_report: Option<WindowReport>,
}

type Limiter = governor::RateLimiter<NotKeyed, InMemoryState, TokioClock, governor::middleware::NoOpMiddleware<Ticks>>;

impl RateLimiter {
    pub(super) fn new(concurrency: usize, share: f64) -> RateLimiter {
        let burst = u32::try_from(concurrency).unwrap_or(u32::MAX);
        let limiter = limiter(ASSUMED_LIMIT, share, burst);
        let (controller, not_before) = (ConcurrencyController::new(concurrency), Instant::now());
        let state = State { limit: ASSUMED_LIMIT, limiter, not_before, controller, under_way: 0, last_report: None };
        RateLimiter { freed: Notify::new(), concurrency: burst, share, state: Mutex::new(state) }
    }

    /// Waits for a permit, for the end of a pause, and for the next slot of the window. The permit is released on drop.
    /// Requests of the same `kind` take about the same time.
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
                    permit.sent_at = Instant::now();
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
            // Register for the notification before checking for a permit, so that a permit that becomes free in between is not missed.
            freed.as_mut().enable();
            {
                let mut state = self.lock();
                if state.under_way < state.controller.permits() {
                    state.under_way += 1;
                    let is_full = state.under_way >= state.controller.permits();
                    return Permit { rate_limiter: self, kind, sent_at: Instant::now(), is_full };
                }
            }
            freed.await;
        }
    }

    /// Blocks all requests until `pause` is over. Another pause that ends earlier does not shorten it.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause.min(PAUSE_MAX);
        let mut state = self.lock();
        state.not_before = state.not_before.max(until);
    }

    /// Applies what a response reports: a new limit, or that the window is used up.
    pub(super) fn apply(&self, report: WindowReport) {
        if let Some(limit) = report.limit.filter(|limit| *limit > 0) {
            let mut state = self.lock();
            state.last_report = Some(report);
            if state.limit != limit {
                tracing::debug!(limit, "the limit of the rate window has changed");
                state.limit = limit;
                state.limiter = limiter(limit, self.share, self.concurrency);
            }
        }
        if let (Some(0), Some(reset)) = (report.remaining, report.resets_in) {
            self.pause(reset);
        }
    }

    pub(super) fn window(&self) -> Option<RateWindow> {
        let report = self.lock().last_report?;
        let limit = report.limit?;
        Some(RateWindow { limit, remaining: report.remaining, share: allowed(limit, self.share) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is valid after each statement, so it is usable even if another thread panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The permission to have one request under way.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    rate_limiter: &'a RateLimiter,
    kind: u64,
    sent_at: Instant,
    /// Whether this was the last free permit.
    is_full: bool,
}

impl Permit<'_> {
    /// Records how the request ended.
    pub(super) fn record(&self, outcome: Outcome) {
        self.rate_limiter.lock().controller.record(self.kind, self.sent_at.elapsed(), outcome, self.is_full);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let free = {
            let mut state = self.rate_limiter.lock();
            state.under_way -= 1;
            state.controller.permits().saturating_sub(state.under_way)
        };
        // Each waiter takes one permit. The number of permits may have grown, so more than one may be free.
        for _ in 0..free.max(1) {
            self.rate_limiter.freed.notify_one();
        }
    }
}

/// The number of requests that a share of a limit allows. It is at least one, because the share of a small limit may round to 0.
fn allowed(limit: u32, share: f64) -> u32 {
    ((f64::from(limit) * share).floor() as u32).max(1)
}

/// A limiter that lets at most `share` of `limit` pass in any ten seconds. A burst and an even flow together make up this share.
fn limiter(limit: u32, share: f64, concurrency: u32) -> Arc<Limiter> {
    let allowed = allowed(limit, share);
    // A burst reduces the steady flow, because both come out of the share. With a burst of a fortieth, the flow is still over 97 % of the
    // share.
    let burst = (allowed / 40).clamp(1, concurrency.max(1));
    let flow = (allowed - burst).max(1);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(WINDOW / flow).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
    Arc::new(governor::RateLimiter::direct_with_clock(quota, TokioClock))
}

/// Tokio's clock for governor, so that tests can pause it.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

/// An instant of `TokioClock`.
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

    /// The times at which `count` requests pass, in milliseconds since the first call.
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
    async fn the_window_is_the_last_one_reported() {
        let rate_limiter = RateLimiter::new(4, 0.8);
        assert_eq!(rate_limiter.window(), None);
        rate_limiter.apply(WindowReport { limit: Some(83), remaining: Some(80), resets_in: None });
        assert_eq!(rate_limiter.window(), Some(RateWindow { limit: 83, remaining: Some(80), share: 66 }));
        rate_limiter.apply(WindowReport::default());
        assert_eq!(rate_limiter.window().and_then(|window| window.remaining), Some(80), "a response without headers says nothing");
        rate_limiter.apply(WindowReport { limit: Some(1), remaining: None, resets_in: None });
        assert_eq!(rate_limiter.window(), Some(RateWindow { limit: 1, remaining: None, share: 1 }));
    }

    #[tokio::test(start_paused = true)]
    async fn no_ten_seconds_see_more_than_the_share() {
        for (limit, share, concurrency) in [(83, 0.8, 16), (167, 0.5, 4), (1667, 0.8, 16), (3, 0.1, 16), (10, 1.0, 1)] {
            let rate_limiter = RateLimiter::new(concurrency, share);
            rate_limiter.apply(WindowReport { limit: Some(limit), ..WindowReport::default() });
            let allowed = ((f64::from(limit) * share) as usize).max(1);
            let moments = passes(&rate_limiter, allowed * 3).await;
            for (index, moment) in moments.iter().enumerate() {
                let within = moments[index..].iter().filter(|other| **other < moment + 10_000).count();
                assert!(within <= allowed, "{within} of {allowed} allowed in the ten seconds from {moment} ms, limit {limit}");
            }
            // The share is also used: all requests take about as long as the share demands, not twice as long.
            assert!(moments[moments.len() - 1] <= 33_000, "{moments:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_only_grows() {
        let rate_limiter = RateLimiter::new(4, 1.0);
        rate_limiter.pause(Duration::from_secs(9));
        rate_limiter.pause(Duration::from_secs(2));
        rate_limiter.apply(WindowReport { limit: Some(1667), remaining: Some(0), resets_in: Some(Duration::from_secs(1)) });
        assert_eq!(passes(&rate_limiter, 1).await, [9_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_spent_window_pauses_and_an_absurd_reset_is_capped() {
        let rate_limiter = RateLimiter::new(4, 1.0);
        rate_limiter.apply(WindowReport { limit: Some(1667), remaining: Some(0), resets_in: Some(Duration::from_secs(7)) });
        assert_eq!(passes(&rate_limiter, 1).await, [7_000]);
        rate_limiter.pause(Duration::from_secs(100_000));
        assert_eq!(passes(&rate_limiter, 1).await, [60_000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_held_until_it_is_dropped() {
        let rate_limiter = RateLimiter::new(1, 1.0);
        let held = rate_limiter.pass(0).await;
        let second = tokio::time::timeout(Duration::from_secs(60), rate_limiter.pass(0)).await;
        assert!(second.is_err());
        drop(held);
        drop(rate_limiter.pass(0).await);
    }
}
