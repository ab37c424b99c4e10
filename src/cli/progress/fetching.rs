//! How far the fetching has come: lists, pages, rows, how quickly, and how much of the rate limit that takes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use reports::digest::grouped;

/// How quickly it goes is told of so much of the past: a rate window.
const RECENT: Duration = Duration::from_secs(10);

/// One plan being fetched.
pub(super) struct Fetching {
    months: String,
    planned: usize,
    done: usize,
    walks: HashMap<String, Walked>,
    pages: u64,
    /// Rows that came from the API, whatever an earlier run had.
    rows_come: u64,
    /// Rows come and requests sent by then, over the last seconds.
    samples: VecDeque<Sample>,
}

/// How far a walk has come.
struct Walked {
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

struct Told {
    rows: u64,
    total: u64,
    /// Rows a second.
    speed: Option<u64>,
    /// Of the rate limit, in per cent.
    share: Option<f64>,
    left: Option<String>,
}

fn count(number: u64) -> String {
    grouped(i64::try_from(number).unwrap_or(i64::MAX))
}

impl Walked {
    fn begun(now: Instant) -> Walked {
        Walked { begun: now, pages: 0, rows: 0, total: None }
    }
}

impl Fetching {
    pub(super) fn begin(months: String, walks: usize) -> Fetching {
        Fetching { months, planned: walks, done: 0, walks: HashMap::new(), pages: 0, rows_come: 0, samples: VecDeque::new() }
    }

    pub(super) fn kept(&mut self, walk: String, rows: u64, now: Instant) {
        self.done += 1;
        self.walks.insert(walk, Walked { rows, total: Some(rows), ..Walked::begun(now) });
    }

    pub(super) fn resumed(&mut self, walk: String, rows: u64, now: Instant) {
        self.walks.insert(walk, Walked { rows, ..Walked::begun(now) });
    }

    pub(super) fn more_walks(&mut self, walks: usize) {
        self.planned += walks;
    }

    pub(super) fn begun(&mut self, walk: String, now: Instant) {
        self.walks.insert(walk, Walked::begun(now));
    }

    pub(super) fn page(&mut self, walk: String, rows: u64, total: Option<u64>, now: Instant) {
        let walked = self.walks.entry(walk).or_insert_with(|| Walked::begun(now));
        self.rows_come += rows.saturating_sub(walked.rows);
        self.pages += 1;
        *walked = Walked { pages: walked.pages + 1, rows, total, ..*walked };
    }

    /// Pages of the walk, and how long it took.
    pub(super) fn done(&mut self, walk: String, now: Instant) -> (u64, Duration) {
        self.done += 1;
        let walked = self.walks.entry(walk).or_insert_with(|| Walked::begun(now));
        (walked.pages, now.saturating_duration_since(walked.begun))
    }

    /// Where it stands, so that it is known how quickly it goes.
    pub(super) fn sample(&mut self, requests: u64, now: Instant) {
        self.samples.push_back(Sample { at: now, rows: self.rows_come, requests });
        while self.samples.len() > 2 && self.samples.get(1).is_some_and(|next| now.saturating_duration_since(next.at) >= RECENT) {
            self.samples.pop_front();
        }
    }

    /// For the log. `per_second`: requests that the rate limit allows.
    pub(super) fn line(&self, per_second: Option<f64>) -> String {
        let Told { rows, total, speed, share, left } = self.told(per_second);
        let mut line = format!(
            "{}  fetching: {} of {} lists, {} pages, {} of {} rows",
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

    /// The same for a terminal, where a line is short: what is looked for first stands first.
    pub(super) fn brief(&self, per_second: Option<f64>) -> String {
        let Told { rows, total, speed, share, left } = self.told(per_second);
        let mut line = format!("{}  fetching", self.months);
        line.extend(left.map(|left| format!("  {left} left")));
        line.push_str(&format!("  {}/{} lists  {}/{} rows", self.done, self.planned, count(rows), count(total)));
        line.extend(speed.map(|speed| format!("  {}/s", count(speed))));
        line.extend(share.map(|share| format!("  {share:.0} % of limit")));
        line.push_str(&format!("  {} pages", count(self.pages)));
        line
    }

    fn told(&self, per_second: Option<f64>) -> Told {
        let rows: u64 = self.walks.values().map(|walked| walked.rows).sum();
        let total: u64 = self.walks.values().map(|walked| walked.total.unwrap_or(walked.rows).max(walked.rows)).sum();
        let Some((speed, requests)) = self.speeds() else { return Told { rows, total, speed: None, share: None, left: None } };
        let left = (speed > 0.0 && total > rows).then(|| {
            let left = Duration::from_secs(((total - rows) as f64 / speed).ceil() as u64);
            // What has not begun has told no total yet.
            let at_least = if self.walks.len() < self.planned { "at least" } else { "about" };
            format!("{at_least} {}", humantime::format_duration(left))
        });
        let share = per_second.filter(|allowed| *allowed > 0.0).map(|allowed| requests / allowed * 100.0);
        Told { rows, total, speed: Some(speed.round() as u64), share, left }
    }

    /// Rows and requests a second, of late.
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
    fn the_line_tells_lists_pages_speed_share_and_time() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut fetching = Fetching::begin("2026-10".to_string(), 3);
        fetching.kept("tag:1".to_string(), 500, start);
        fetching.sample(10, start);
        assert_eq!(fetching.line(Some(100.0)), "2026-10  fetching: 1 of 3 lists, 0 pages, 500 of 500 rows");
        fetching.begun("population".to_string(), start);
        fetching.page("population".to_string(), 1_500, Some(10_000), at(4));
        fetching.page("population".to_string(), 4_000, Some(10_000), at(9));
        fetching.sample(110, at(10));
        assert_eq!(
            fetching.line(Some(100.0)),
            "2026-10  fetching: 1 of 3 lists, 2 pages, 4,500 of 10,500 rows, 400 a second, 10 % of the rate limit, at least 15s left"
        );
        let brief = fetching.brief(Some(100.0));
        assert_eq!(brief, "2026-10  fetching  at least 15s left  1/3 lists  4,500/10,500 rows  400/s  10 % of limit  2 pages");
        fetching.begun("conversations".to_string(), at(10));
        assert!(fetching.line(None).ends_with("400 a second, about 15s left"));
        // Nothing has come for a while.
        for second in 11..=21 {
            fetching.sample(110, at(second));
        }
        assert!(fetching.line(Some(100.0)).ends_with(" rows, 0 a second, 0 % of the rate limit"), "{}", fetching.line(Some(100.0)));
        assert_eq!(fetching.done("population".to_string(), at(30)), (2, Duration::from_secs(30)));
    }
}
