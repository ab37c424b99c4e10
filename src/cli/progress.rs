//! Progress: a live line on a terminal; elsewhere a log line for each step, and one every ten seconds in between. It
//! carries no fact that the log or a manifest lacks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::job::{Event, Observer};

const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_WIDTH: usize = 30;

/// Cheap to clone; clones draw the same line.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    months: String,
    planned: usize,
    done: usize,
    /// Rows so far and announced, of each walk.
    walks: HashMap<String, (u64, Option<u64>)>,
    last_line: Option<Instant>,
}

impl Progress {
    pub(super) fn new(draws: bool) -> Progress {
        let bar = if draws { ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        if draws {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Progress { bar, state: Arc::default() }
    }

    /// Runs with the line out of the way.
    pub(super) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(super) fn say(&self, message: impl Into<String>) {
        let message = message.into();
        if self.bar.is_hidden() {
            tracing::info!("{message}");
        }
        self.bar.set_message(message);
    }

    /// How far a count has come.
    pub(super) fn count(&self, what: &str, done: u64, all: u64) {
        let line = format!("{what}: {done} of {all}");
        if self.bar.is_hidden() {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.last_line.get_or_insert_with(Instant::now).elapsed() >= LINE_EVERY {
                state.last_line = Some(Instant::now());
                tracing::info!("{line}");
            }
        } else {
            let filled = (done * BAR_WIDTH as u64).checked_div(all).map_or(BAR_WIDTH, |filled| BAR_WIDTH.min(filled as usize));
            self.bar.set_message(format!("{}{} {line}", "█".repeat(filled), "░".repeat(BAR_WIDTH - filled)));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    pub(super) fn observer(&self) -> Observer {
        let progress = self.clone();
        Arc::new(move |event| progress.take(event))
    }

    fn take(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Planned { months, walks } => {
                *state = State { months: months.to_string(), planned: walks, last_line: Some(Instant::now()), ..State::default() };
                tracing::info!(month = %months, walks, "fetching");
            }
            Event::Expected { requests, time } => {
                drop(state);
                return self.say(format!("{requests} requests, about {}", humantime::format_duration(time)));
            }
            Event::Kept { walk, rows } => {
                tracing::info!(rows, "taken over from an earlier run");
                state.done += 1;
                state.walks.insert(walk, (rows, Some(rows)));
            }
            Event::Resumed { walk, rows } => {
                tracing::info!(rows, "going on where an earlier run stopped");
                state.walks.insert(walk, (rows, None));
            }
            Event::WalkStarted { .. } => tracing::debug!("walk begun"),
            Event::WalkAgain { walk, .. } => drop(state.walks.remove(&walk)),
            Event::Page { walk, rows, total } => {
                state.walks.insert(walk, (rows, total));
                if self.bar.is_hidden() && state.last_line.is_some_and(|last| last.elapsed() >= LINE_EVERY) {
                    state.last_line = Some(Instant::now());
                    tracing::info!("{}", state.line());
                }
            }
            Event::WalkDone { rows, .. } => {
                tracing::info!(rows, "walk done");
                state.done += 1;
            }
            Event::Publishing { month } => {
                drop(state);
                return self.say(format!("{month}  publishing the snapshot"));
            }
            Event::Applying { rule } => {
                drop(state);
                return self.say(format!("bringing the tag of the rule `{rule}` up to date"));
            }
            Event::Building { month, what } => {
                drop(state);
                return self.say(format!("{month}  building {what}"));
            }
        }
        let line = state.line();
        drop(state);
        self.bar.set_message(line);
    }
}

impl State {
    fn line(&self) -> String {
        let rows: u64 = self.walks.values().map(|(rows, _)| rows).sum();
        let total: u64 = self.walks.values().map(|(rows, total)| total.unwrap_or(*rows).max(*rows)).sum();
        format!("{}  fetching: {} of {} lists done, {rows} of {total} rows", self.months, self.done, self.planned)
    }
}
