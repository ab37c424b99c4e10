//! The progress of fetching: streams, pages, rows, speed, and the share of the rate limit.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use reports::digest::grouped;

/// The time over which the speed is measured: the length of a rate-limit window.
const RECENT: Duration = Duration::from_secs(10);

/// One plan being fetched.
pub(super) struct Fetching {
    months: String,
    planned: usize,
    done: usize,
    streams: HashMap<String, Fetched>,
    pages: u64,
    /// The number of rows that came from the API in this run.
    rows_come: u64,
    /// The numbers of rows and requests so far, sampled during the last ten seconds.
    samples: VecDeque<Sample>,
}

/// The progress of a stream.
struct Fetched {
    begun: Instant,
    pages: u64,
    rows: u64,
    total: Option<u64>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    rows: u64,
    requests: u64,
}

struct Numbers {
    rows: u64,
    total: u64,
    /// The number of rows that come in a second.
    speed: Option<u64>,
    /// The used share of the rate limit, in per cent.
    share: Option<f64>,
    left: Option<String>,
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Fetched {
    fn begun(now: Instant) -> Fetched {
        Fetched { begun: now, pages: 0, rows: 0, total: None }
    }
}

impl Fetching {
    pub(super) fn begin(months: String, streams: usize) -> Fetching {
        Fetching { months, planned: streams, done: 0, streams: HashMap::new(), pages: 0, rows_come: 0, samples: VecDeque::new() }
    }

    pub(super) fn kept(&mut self, stream: String, rows: u64, now: Instant) {
        self.done += 1;
        self.streams.insert(stream, Fetched { rows, total: Some(rows), ..Fetched::begun(now) });
    }

    pub(super) fn resumed(&mut self, stream: String, rows: u64, now: Instant) {
        self.streams.insert(stream, Fetched { rows, ..Fetched::begun(now) });
    }

    pub(super) fn more_streams(&mut self, streams: usize) {
        self.planned += streams;
    }

    pub(super) fn begun(&mut self, stream: String, now: Instant) {
        self.streams.insert(stream, Fetched::begun(now));
    }

    pub(super) fn page(&mut self, stream: String, rows: u64, total: Option<u64>, now: Instant) {
        let fetched = self.streams.entry(stream).or_insert_with(|| Fetched::begun(now));
        self.rows_come += rows.saturating_sub(fetched.rows);
        self.pages += 1;
        *fetched = Fetched { pages: fetched.pages + 1, rows, total, ..*fetched };
    }

    /// Ends a stream. Returns the number of its pages and how long it took.
    pub(super) fn done(&mut self, stream: String, now: Instant) -> (u64, Duration) {
        self.done += 1;
        let fetched = self.streams.entry(stream).or_insert_with(|| Fetched::begun(now));
        (fetched.pages, now.saturating_duration_since(fetched.begun))
    }

    /// Takes a sample, to measure the speed.
    pub(super) fn sample(&mut self, requests: u64, now: Instant) {
        self.samples.push_back(Sample { at: now, rows: self.rows_come, requests });
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|next| now.saturating_duration_since(next.at) >= RECENT) {
            self.samples.pop_front();
        }
    }

    /// A line for the log. `per_second` is the number of requests a second that the rate limit allows.
    pub(super) fn line(&self, per_second: Option<f64>) -> String {
        let Numbers { rows, total, speed, share, left } = self.numbers(per_second);
        let mut line = format!(
            "{}  fetching: {} of {} streams, {} pages, {} of {} rows",
            self.months,
            self.done,
            self.planned,
            count(self.pages),
            count(rows),
            count(total)
        );
        line.extend(speed.map(|speed| format!(", {} a second", count(speed))));
        line.extend(share.map(|share| format!(", {share:.0} % of the rate limit")));
        line.extend(left.map(|left| format!(", {left} left")));
        line
    }

    /// The same for a terminal, where a line is short. The most important numbers come first.
    pub(super) fn brief(&self, per_second: Option<f64>) -> String {
        let Numbers { rows, total, speed, share, left } = self.numbers(per_second);
        let mut line = format!("{}  fetching", self.months);
        line.extend(left.map(|left| format!("  {left} left")));
        line.push_str(&format!("  {}/{} streams  {}/{} rows", self.done, self.planned, count(rows), count(total)));
        line.extend(speed.map(|speed| format!("  {}/s", count(speed))));
        line.extend(share.map(|share| format!("  {share:.0} % of limit")));
        line.push_str(&format!("  {} pages", count(self.pages)));
        line
    }

    fn numbers(&self, per_second: Option<f64>) -> Numbers {
        let rows: u64 = self.streams.values().map(|fetched| fetched.rows).sum();
        let total: u64 = self.streams.values().map(|fetched| fetched.total.unwrap_or(fetched.rows).max(fetched.rows)).sum();
        let Some((speed, requests)) = self.speeds() else { return Numbers { rows, total, speed: None, share: None, left: None } };
        let left = (speed > 0.0 && total > rows).then(|| {
            let left = Duration::from_secs(((total - rows) as f64 / speed).ceil() as u64);
            // Streams that have not begun have no total yet, so more time may be left.
            let at_least = if self.streams.len() < self.planned { "at least" } else { "about" };
            format!("{at_least} {}", humantime::format_duration(left))
        });
        let share = per_second.filter(|allowed| *allowed > 0.0).map(|allowed| requests / allowed * 100.0);
        Numbers { rows, total, speed: Some(speed.round() as u64), share, left }
    }

    /// The numbers of rows and of requests a second, over the last seconds.
    fn speeds(&self) -> Option<(f64, f64)> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        (seconds >= 1.0).then(|| ((last.rows - first.rows) as f64 / seconds, last.requests.saturating_sub(first.requests) as f64 / seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_shows_streams_pages_speed_share_and_time() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut fetching = Fetching::begin("2026-10".to_string(), 3);
        fetching.kept("tag:1".to_string(), 500, start);
        fetching.sample(10, start);
        assert_eq!(fetching.line(Some(100.0)), "2026-10  fetching: 1 of 3 streams, 0 pages, 500 of 500 rows");
        fetching.begun("population".to_string(), start);
        fetching.page("population".to_string(), 1_500, Some(10_000), at(4));
        fetching.page("population".to_string(), 4_000, Some(10_000), at(9));
        fetching.sample(110, at(10));
        assert_eq!(
            fetching.line(Some(100.0)),
            "2026-10  fetching: 1 of 3 streams, 2 pages, 4,500 of 10,500 rows, 400 a second, 10 % of the rate limit, at least 15s left"
        );
        let brief = fetching.brief(Some(100.0));
        assert_eq!(brief, "2026-10  fetching  at least 15s left  1/3 streams  4,500/10,500 rows  400/s  10 % of limit  2 pages");
        fetching.begun("conversations".to_string(), at(10));
        assert!(fetching.line(None).ends_with("400 a second, about 15s left"));
        // For a while no rows come.
        for second in 11..=21 {
            fetching.sample(110, at(second));
        }
        assert!(fetching.line(Some(100.0)).ends_with(" rows, 0 a second, 0 % of the rate limit"), "{}", fetching.line(Some(100.0)));
        assert_eq!(fetching.done("population".to_string(), at(30)), (2, Duration::from_secs(30)));
    }
}
