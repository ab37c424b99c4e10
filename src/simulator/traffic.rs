//! Counts of requests: in total, under way at the same time, and in each window of the rate limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Simulator;
use super::limits::WINDOW;

/// What the simulator has seen so far. Requests to `/_simulator/` do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// The number of requests received.
    pub requests: u64,
    /// The most requests in flight at the same time.
    pub max_in_flight: u64,
    /// The number of responses with status 429.
    pub rate_limited: u64,
    /// The number of pages that were answered with 200 to a request that had been answered with 200 before.
    pub pages_repeated: u64,
    /// The windows in which there were requests, oldest first.
    pub windows: Vec<WindowStats>,
}

/// The requests in one window of the rate limit: ten seconds of the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowStats {
    /// The first second of the window, in Unix seconds.
    pub start: u64,
    /// The number of requests in this window.
    pub requests: u64,
    /// How many of these requests were answered with 429.
    pub rate_limited: u64,
}

/// Counts of requests.
#[derive(Default)]
pub(crate) struct Traffic {
    requests: AtomicU64,
    pub(super) in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    /// The windows by their first second.
    windows: Mutex<BTreeMap<u64, WindowStats>>,
}

impl Traffic {
    /// Counts a new request and returns its number. The first number is 1.
    pub(crate) fn enter(&self) -> u64 {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Ordering::Relaxed);
        number
    }

    /// Counts a request in the rate window of this second.
    pub(crate) fn count_in_window(&self, second: u64, rate_limited: bool) {
        let start = second / WINDOW * WINDOW;
        // The counters are valid even if a thread panicked between two additions.
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(start).or_insert(WindowStats { start, ..WindowStats::default() });
        window.requests += 1;
        window.rate_limited += u64::from(rate_limited);
    }

    pub(crate) fn stats(&self, pages_repeated: u64) -> Stats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let windows: Vec<_> = self.windows.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect();
        Stats {
            requests: read(&self.requests),
            max_in_flight: read(&self.max_in_flight),
            rate_limited: windows.iter().map(|window| window.rate_limited).sum(),
            pages_repeated,
            windows,
        }
    }
}

/// A request in flight, until its response was sent.
pub(crate) struct InFlight(pub Simulator);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
