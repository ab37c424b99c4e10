//! How many requests are under way at once: a modest number at first, more as long as answers come as quickly as before,
//! fewer when they slow down, fail or are refused for their rate. Doubling at first, then one more a round of answers: the
//! way TCP finds what a path carries, here per kind of request, since a page of 150 takes longer than a page of one.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// Requests under way at first; slowness alone never makes it fewer.
const FIRST: f64 = 4.0;
/// Answers that take this much longer than the quickest of their kind mean that the server, or this machine, is full.
const SLOWED: f64 = 2.0;
/// Differences below this are noise.
const NOISE: Duration = Duration::from_millis(20);
/// How much an answer counts in the mean of the latest ones.
const WEIGHT: f64 = 0.2;
/// For how long, and once more, the quickest answer is remembered: what was quick an hour ago need not be possible now.
const MEMORY: Duration = Duration::from_secs(300);

/// How an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    Well,
    /// An error of the server, or no answer.
    Badly,
    /// Refused for its rate.
    TooSoon,
}

#[derive(Debug)]
pub(super) struct ConcurrencyController {
    permits: f64,
    most: f64,
    /// Until the first time that it was too much.
    is_doubling: bool,
    /// Within a round of answers it is too much once.
    calm_until: Instant,
    kinds: HashMap<u64, Kind>,
}

/// Answers to one kind of request, in seconds.
#[derive(Debug)]
struct Kind {
    /// Of this stretch of time, and of the one before.
    quickest: [f64; 2],
    since: Instant,
    mean: f64,
}

impl Kind {
    fn new(seconds: f64, now: Instant) -> Kind {
        Kind { quickest: [seconds; 2], since: now, mean: seconds }
    }

    fn took(&mut self, seconds: f64, now: Instant) {
        if now - self.since > MEMORY {
            self.quickest = [seconds, self.quickest[0]];
            self.since = now;
        }
        self.quickest[0] = self.quickest[0].min(seconds);
        self.mean += WEIGHT * (seconds - self.mean);
    }

    fn is_slow(&self) -> bool {
        self.mean > self.quickest[0].min(self.quickest[1]) * SLOWED + NOISE.as_secs_f64()
    }
}

impl ConcurrencyController {
    pub(super) fn new(most: usize) -> ConcurrencyController {
        let most = most.max(1) as f64;
        ConcurrencyController { permits: FIRST.min(most), most, is_doubling: true, calm_until: Instant::now(), kinds: HashMap::new() }
    }

    /// Requests that may be under way.
    pub(super) fn permits(&self) -> usize {
        self.permits as usize
    }

    /// Takes note of an answer to a request of this kind. `is_full`: whether every place was taken, so that more of them
    /// would have been used.
    pub(super) fn answered(&mut self, kind: u64, took: Duration, came: Came, is_full: bool) {
        let now = Instant::now();
        let seconds = took.as_secs_f64();
        let kind = self.kinds.entry(kind).or_insert_with(|| Kind::new(seconds, now));
        if came == Came::Well {
            kind.took(seconds, now);
        }
        let (part, least) = match came {
            Came::TooSoon => (0.5, 1.0),
            Came::Badly => (0.7, 1.0),
            Came::Well if kind.is_slow() => (0.9, FIRST.min(self.permits)),
            Came::Well => {
                if is_full {
                    self.permits = (self.permits + if self.is_doubling { 1.0 } else { 1.0 / self.permits }).min(self.most);
                }
                return;
            }
        };
        self.is_doubling = false;
        if now >= self.calm_until {
            self.permits = (self.permits * part).max(least);
            self.calm_until = now + Duration::from_secs_f64(kind.mean.max(seconds).min(10.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(300);

    /// Answers of so many rounds, each as long as `took` says for the permits that there are.
    async fn rounds(controller: &mut ConcurrencyController, rounds: usize, took: impl Fn(usize) -> Duration) -> Vec<usize> {
        let mut permits = Vec::new();
        for _ in 0..rounds {
            let now = controller.permits();
            let took = took(now);
            tokio::time::advance(took).await;
            for _ in 0..now {
                controller.answered(1, took, Came::Well, true);
            }
            permits.push(controller.permits());
        }
        permits
    }

    #[tokio::test(start_paused = true)]
    async fn it_doubles_up_to_what_is_allowed() {
        let mut controller = ConcurrencyController::new(50);
        assert_eq!(controller.permits(), 4);
        assert_eq!(rounds(&mut controller, 5, |_| QUICK).await, [8, 16, 32, 50, 50]);
        assert_eq!(ConcurrencyController::new(1).permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_finds_what_the_server_carries() {
        // Ten at once are served in 300 ms; more wait for each other.
        let mut controller = ConcurrencyController::new(200);
        let permits = rounds(&mut controller, 60, |permits| QUICK.mul_f64((permits as f64 / 10.0).max(1.0))).await;
        let late = &permits[30..];
        assert!(late.iter().all(|permits| (10..=30).contains(permits)), "{permits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_become_slow_for_good_is_not_left_with_one_request() {
        let mut controller = ConcurrencyController::new(50);
        rounds(&mut controller, 6, |_| QUICK).await;
        rounds(&mut controller, 40, |_| QUICK * 5).await;
        assert_eq!(controller.permits(), 4, "as if the places were why");
        rounds(&mut controller, 1_000, |_| QUICK * 5).await;
        assert_eq!(controller.permits(), 50, "but they were not");
    }

    #[tokio::test(start_paused = true)]
    async fn places_that_nobody_takes_do_not_grow() {
        let mut controller = ConcurrencyController::new(50);
        for _ in 0..100 {
            controller.answered(1, QUICK, Came::Well, false);
        }
        assert_eq!(controller.permits(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_halves_it_once_a_round_and_it_comes_back_slowly() {
        let mut controller = ConcurrencyController::new(64);
        rounds(&mut controller, 6, |_| QUICK).await;
        for _ in 0..10 {
            controller.answered(1, QUICK, Came::TooSoon, true);
        }
        assert_eq!(controller.permits(), 32);
        let permits = rounds(&mut controller, 4, |_| QUICK).await;
        assert!(permits.iter().all(|permits| (32..=36).contains(permits)), "{permits:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_pages_beside_large_ones_do_not_make_these_look_slow() {
        let mut controller = ConcurrencyController::new(40);
        for _ in 0..200 {
            tokio::time::advance(QUICK).await;
            controller.answered(1, Duration::from_millis(30), Came::Well, true);
            controller.answered(2, Duration::from_secs(1), Came::Well, true);
        }
        assert_eq!(controller.permits(), 40);
    }

    #[tokio::test(start_paused = true)]
    async fn one_place_always_stays() {
        let mut controller = ConcurrencyController::new(8);
        for _ in 0..50 {
            tokio::time::advance(Duration::from_secs(20)).await;
            controller.answered(1, QUICK, Came::Badly, true);
        }
        assert_eq!(controller.permits(), 1);
    }
}
