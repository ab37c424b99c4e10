//! Progress: a live line on a terminal; elsewhere a log line for each step, and one every ten seconds in between. It
//! carries no fact that the log or a manifest lacks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::field::display;

use super::account::{Account, Step, seconds};
use crate::domain::Month;
use crate::job::{Built, Event, Observer};

const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_WIDTH: usize = 30;

/// Cheap to clone; clones draw the same line.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    state: Arc<Mutex<State>>,
    account: Account,
}

#[derive(Default)]
struct State {
    months: String,
    planned: usize,
    done: usize,
    walks: HashMap<String, Walked>,
    last_line: Option<Instant>,
}

/// How far a walk has come.
struct Walked {
    begun: Instant,
    pages: u64,
    rows: u64,
    total: Option<u64>,
}

impl Walked {
    fn begun() -> Walked {
        Walked { begun: Instant::now(), pages: 0, rows: 0, total: None }
    }
}

impl Progress {
    pub(super) fn new(draws: bool, account: Account) -> Progress {
        let bar = if draws { ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        if draws {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Progress { bar, state: Arc::default(), account }
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

    /// What begins: on the live line alone, since the log tells it when it is done.
    fn show(&self, message: String) {
        tracing::debug!("{message}");
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
            Event::Planning { months } => {
                self.account.is_about(months);
                return self.account.enter(Step::Plan, None);
            }
            Event::Planned { months, walks } => {
                *state = State { months: months.to_string(), planned: walks, last_line: Some(Instant::now()), ..State::default() };
                self.account.enter(Step::Fetch, Some(months));
                let first_month = (months.first != months.last).then_some(display(months.first));
                tracing::info!(first_month, month = %months.last, walks, "fetching");
            }
            Event::Expected { requests, time } => {
                drop(state);
                return self.say(format!("{requests} requests, about {}", humantime::format_duration(time)));
            }
            Event::Kept { walk, rows } => {
                tracing::info!(rows, "taken over from an earlier run");
                state.done += 1;
                state.walks.insert(walk, Walked { rows, total: Some(rows), ..Walked::begun() });
            }
            Event::Resumed { walk, rows } => {
                tracing::info!(rows, "going on where an earlier run stopped");
                state.walks.insert(walk, Walked { rows, ..Walked::begun() });
            }
            Event::Divided { slices } => state.planned += slices.saturating_sub(1),
            Event::Undivided => state.planned += 1,
            Event::WalkStarted { walk } => {
                tracing::debug!("walk begun");
                state.walks.insert(walk, Walked::begun());
            }
            Event::WalkAgain { walk, .. } => drop(state.walks.insert(walk, Walked::begun())),
            Event::Page { walk, rows, total } => {
                let walked = state.walks.entry(walk).or_insert_with(Walked::begun);
                *walked = Walked { pages: walked.pages + 1, rows, total, ..*walked };
                if self.bar.is_hidden() && state.last_line.is_some_and(|last| last.elapsed() >= LINE_EVERY) {
                    state.last_line = Some(Instant::now());
                    tracing::info!("{}", state.line());
                }
            }
            Event::WalkDone { walk, rows } => {
                let walked = state.walks.entry(walk).or_insert_with(Walked::begun);
                tracing::info!(rows, pages = walked.pages, duration_seconds = seconds(walked.begun.elapsed()), "walk done");
                state.done += 1;
            }
            Event::Publishing { month } => return self.enter(Step::Publish, month, format!("{month}  publishing the snapshot")),
            Event::Published { month, basis } => {
                return tracing::info!(%month, %basis, duration_seconds = self.in_step(), "snapshot published");
            }
            Event::Building { month, what: Built::History } => {
                return self.enter(Step::History, month, format!("{month}  building history"));
            }
            Event::Building { month, what: Built::Reports } => {
                return self.enter(Step::Report, month, format!("{month}  building reports"));
            }
            Event::Built { month, what } => {
                let what = match what {
                    Built::History => "history",
                    Built::Reports => "reports",
                };
                return tracing::info!(%month, duration_seconds = self.in_step(), "{what} built");
            }
            Event::Applying { rule } => {
                self.account.enter(Step::ApplyTags, None);
                return self.show(format!("bringing the tag of the rule `{rule}` up to date"));
            }
            Event::Applied { rule, gained, lost, failed } => {
                let duration_seconds = self.in_step();
                return tracing::info!(rule, gained, lost, failed, duration_seconds, "tag brought up to date");
            }
        }
        let line = state.line();
        drop(state);
        self.bar.set_message(line);
    }

    fn enter(&self, step: Step, month: Month, message: String) {
        self.account.enter(step, Some(month.into()));
        self.show(message);
    }

    fn in_step(&self) -> f64 {
        seconds(self.account.in_step())
    }
}

impl State {
    fn line(&self) -> String {
        let rows: u64 = self.walks.values().map(|walked| walked.rows).sum();
        let total: u64 = self.walks.values().map(|walked| walked.total.unwrap_or(walked.rows).max(walked.rows)).sum();
        format!("{}  fetching: {} of {} lists done, {rows} of {total} rows", self.months, self.done, self.planned)
    }
}
