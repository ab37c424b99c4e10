//! The concurrency controller decides how many requests are under way at the same time. It starts with a few requests. It allows more while
//! responses stay as fast as before, and fewer when responses slow down, fail or are rate limited. It works like TCP congestion control:
//! first the number doubles with each round of responses, later it grows by one per round. Response times are compared only within one kind
//! of request, because a page of 150 rows takes longer than a page of one row.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// The initial number of requests under way. Slow responses alone never reduce the number below this.
const FIRST: f64 = 4.0;
/// Responses count as slow when their mean time is this many times the fastest time of their kind. Then the server or this machine is at
/// its limit.
const SLOWED: f64 = 2.0;
/// Shorter differences between response times are ignored as noise.
const NOISE: Duration = Duration::from_millis(20);
/// The weight of a new response time in the moving mean.
const WEIGHT: f64 = 0.2;
/// The length of a period. The fastest response time of a period is used until the end of the next period. Older times are dropped, because
/// the server may have become slower.
const MEMORY: Duration = Duration::from_secs(300);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// A server error, or no response.
    Failure,
    /// Status 429.
    RateLimited,
}

#[derive(Debug)]
pub(super) struct ConcurrencyController {
    permits: f64,
    most: f64,
    /// Whether the number of permits still doubles. It doubles until it is reduced for the first time.
    is_doubling: bool,
    /// Before this instant the number is not reduced again, so it is reduced at most once per round of responses.
    no_reduction_before: Instant,
    kinds: HashMap<u64, Kind>,
}

/// Response times of one kind of request, in seconds.
#[derive(Debug)]
struct Kind {
    /// The fastest time of this period, and that of the period before.
    fastest: [f64; 2],
    period_start: Instant,
    mean: f64,
}

impl Kind {
    fn new(seconds: f64, now: Instant) -> Kind {
        Kind { fastest: [seconds; 2], period_start: now, mean: seconds }
    }

    fn record(&mut self, seconds: f64, now: Instant) {
        if now - self.period_start > MEMORY {
            self.fastest = [seconds, self.fastest[0]];
            self.period_start = now;
        }
        self.fastest[0] = self.fastest[0].min(seconds);
        self.mean += WEIGHT * (seconds - self.mean);
    }

    fn is_slow(&self) -> bool {
        self.mean > self.fastest[0].min(self.fastest[1]) * SLOWED + NOISE.as_secs_f64()
    }
}

impl ConcurrencyController {
    pub(super) fn new(most: usize) -> ConcurrencyController {
        let most = most.max(1) as f64;
        ConcurrencyController {
            permits: FIRST.min(most),
            most,
            is_doubling: true,
            no_reduction_before: Instant::now(),
            kinds: HashMap::new(),
        }
    }

    /// The number of requests that may be under way.
    pub(super) fn permits(&self) -> usize {
        self.permits as usize
    }

    /// Records how a request of this kind ended. `is_full` means that all permits were in use when this request got its permit.
    pub(super) fn record(&mut self, kind: u64, took: Duration, outcome: Outcome, is_full: bool) {
        let now = Instant::now();
        let seconds = took.as_secs_f64();
        let kind = self.kinds.entry(kind).or_insert_with(|| Kind::new(seconds, now));
        if outcome == Outcome::Success {
            kind.record(seconds, now);
        }
        let (part, least) = match outcome {
            Outcome::RateLimited => (0.5, 1.0),
            Outcome::Failure => (0.7, 1.0),
            Outcome::Success if kind.is_slow() => (0.9, FIRST.min(self.permits)),
            Outcome::Success => {
                if is_full {
                    self.permits = (self.permits + if self.is_doubling { 1.0 } else { 1.0 / self.permits }).min(self.most);
                }
                return;
            }
        };
        self.is_doubling = false;
        if now >= self.no_reduction_before {
            self.permits = (self.permits * part).max(least);
            self.no_reduction_before = now + Duration::from_secs_f64(kind.mean.max(seconds).min(10.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(300);

    /// Simulates rounds of responses. `took` gives the response time for a number of permits.
    async fn rounds(controller: &mut ConcurrencyController, rounds: usize, took: impl Fn(usize) -> Duration) -> Vec<usize> {
        let mut permits = Vec::new();
        for _ in 0..rounds {
            let now = controller.permits();
            let took = took(now);
            tokio::time::advance(took).await;
            for _ in 0..now {
                controller.record(1, took, Outcome::Success, true);
            }
            permits.push(controller.permits());
        }
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn it_doubles_up_to_the_maximum() {
        let mut controller = ConcurrencyController::new(50);
        assert_eq!(controller.permits(), 4);
        assert_eq!(rounds(&mut controller, 5, |_| FAST).await, [8, 16, 32, 50, 50]);
        assert_eq!(ConcurrencyController::new(1).permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_finds_the_capacity_of_the_server() {
        // The server handles ten requests at a time in 300 ms each. Others wait in a queue.
        let mut controller = ConcurrencyController::new(200);
        let permits = rounds(&mut controller, 60, |permits| FAST.mul_f64((permits as f64 / 10.0).max(1.0))).await;
        let late = &permits[30..];
        assert!(late.iter().all(|permits| (10..=30).contains(permits)), "{permits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_stays_slow_gets_more_than_one_request() {
        let mut controller = ConcurrencyController::new(50);
        rounds(&mut controller, 6, |_| FAST).await;
        rounds(&mut controller, 40, |_| FAST * 5).await;
        assert_eq!(controller.permits(), 4, "as if concurrency were the reason");
        rounds(&mut controller, 1_000, |_| FAST * 5).await;
        assert_eq!(controller.permits(), 50, "concurrency was not the reason");
    }

    #[tokio::test(start_paused = true)]
    async fn unused_permits_do_not_grow() {
        let mut controller = ConcurrencyController::new(50);
        for _ in 0..100 {
            controller.record(1, FAST, Outcome::Success, false);
        }
        assert_eq!(controller.permits(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limit_halves_it_once_a_round_and_it_recovers_slowly() {
        let mut controller = ConcurrencyController::new(64);
        rounds(&mut controller, 6, |_| FAST).await;
        for _ in 0..10 {
            controller.record(1, FAST, Outcome::RateLimited, true);
        }
        assert_eq!(controller.permits(), 32);
        let permits = rounds(&mut controller, 4, |_| FAST).await;
        assert!(permits.iter().all(|permits| (32..=36).contains(permits)), "{permits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_and_large_pages_are_timed_apart() {
        let mut controller = ConcurrencyController::new(40);
        for _ in 0..200 {
            tokio::time::advance(FAST).await;
            controller.record(1, Duration::from_millis(30), Outcome::Success, true);
            controller.record(2, Duration::from_secs(1), Outcome::Success, true);
        }
        assert_eq!(controller.permits(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn one_permit_always_remains() {
        let mut controller = ConcurrencyController::new(8);
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(20)).await;
            controller.record(1, FAST, Outcome::Failure, true);
        }
        assert_eq!(controller.permits(), 1);
    }
}
