//! Progress. On a terminal it is a live line. Elsewhere it is a log line for each step, and one every ten seconds within a step.
//! Every fact in it is also in the log or in a manifest.

mod fetching;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::field::display;

use self::fetching::Fetching;
use super::run_tracker::{RunTracker, Step, seconds};
use domain::Month;
use job::{Built, Event, Observer};

const LINE_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(1);
const BAR_WIDTH: usize = 30;

/// The progress of a command. All clones draw the same line.
#[derive(Clone)]
pub(super) struct Progress {
    bar: ProgressBar,
    state: Arc<Mutex<State>>,
    tracker: RunTracker,
}

#[derive(Default)]
struct State {
    doing: Doing,
    last_line: Option<Instant>,
}

/// What the progress line shows.
#[derive(Default)]
enum Doing {
    #[default]
    Nothing,
    /// A step with a name only, and when it began.
    Step(String, Instant),
    Fetching(Fetching),
}

impl Progress {
    pub(super) fn new(draws: bool, tracker: RunTracker) -> Progress {
        let bar = if draws { ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        if draws {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Progress { bar, state: Arc::default(), tracker }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the progress while the work runs: the live line every second, otherwise a log line every ten seconds.
    pub(super) async fn keep_updating(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let requests = self.tracker.traffic().requests;
            let mut state = self.state();
            if let Doing::Fetching(fetching) = &mut state.doing {
                fetching.sample(requests, Instant::now());
            }
            let Some(line) = self.line(&state.doing) else { continue };
            if !self.bar.is_hidden() {
                self.bar.set_message(line);
            } else if state.last_line.get_or_insert_with(Instant::now).elapsed() >= LINE_EVERY {
                state.last_line = Some(Instant::now());
                tracing::info!("{line}");
            }
        }
    }

    fn fetching_line(&self, fetching: &Fetching) -> String {
        let allowed = self.tracker.requests_per_second_allowed();
        if self.bar.is_hidden() { fetching.line(allowed) } else { fetching.brief(allowed) }
    }

    fn line(&self, doing: &Doing) -> Option<String> {
        match doing {
            Doing::Nothing => None,
            Doing::Step(name, begun) => {
                let time = begun.elapsed().as_secs();
                Some(if time == 0 { name.clone() } else { format!("{name} ({time} s)") })
            }
            Doing::Fetching(fetching) => Some(self.fetching_line(fetching)),
        }
    }

    /// Hides the line while `print` runs.
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

    /// Shows the start of a step on the live line. The log has the start only at the debug level; the info level has the end of the step.
    fn show(&self, message: String) {
        tracing::debug!("{message}");
        self.bar.set_message(message.clone());
        *self.state() = State { doing: Doing::Step(message, Instant::now()), last_line: Some(Instant::now()) };
    }

    /// Shows a count.
    pub(super) fn count(&self, what: &str, done: u64, all: u64) {
        let line = format!("{what}: {done} of {all}");
        if self.bar.is_hidden() {
            let mut state = self.state();
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
        self.state().doing = Doing::Nothing;
        self.bar.finish_and_clear();
    }

    pub(super) fn observer(&self) -> Observer {
        let progress = self.clone();
        Arc::new(move |event| progress.take(event))
    }

    fn take(&self, event: Event) {
        match event {
            Event::Planning { months } => {
                self.tracker.is_about(months);
                self.tracker.enter(Step::Plan, None);
                self.show(format!("{months}  planning"));
            }
            Event::Planned { months, streams } => {
                let fetching = Fetching::begin(months.to_string(), streams);
                *self.state() = State { doing: Doing::Fetching(fetching), last_line: Some(Instant::now()) };
                self.tracker.enter(Step::Fetch, Some(months));
                let first_month = (months.first != months.last).then_some(display(months.first));
                tracing::info!(first_month, month = %months.last, streams, "fetching");
            }
            Event::Expected { requests, time } => self.say(format!("{requests} requests, about {}", humantime::format_duration(time))),
            Event::Publishing { month } => self.enter(Step::Publish, month, format!("{month}  publishing the snapshot")),
            Event::Published { month, basis } => {
                tracing::info!(%month, %basis, duration_seconds = self.in_step(), "snapshot published");
            }
            Event::Building { month, what: Built::History } => self.enter(Step::History, month, format!("{month}  building history")),
            Event::Counted { month, query, time, done, all } => {
                let milliseconds = time.as_millis() as u64;
                tracing::info!(month = %month, query, milliseconds, "counted, {done} of {all}");
                self.bar.set_message(format!("{month}  counting on the engine, {done} of {all} queries ({query})"));
            }
            Event::Building { month, what: Built::Reports } => self.enter(Step::Report, month, format!("{month}  building reports")),
            Event::Built { month, what } => {
                let what = match what {
                    Built::History => "history",
                    Built::Reports => "reports",
                };
                tracing::info!(%month, duration_seconds = self.in_step(), "{what} built");
            }
            Event::Damaged { month, what, problem } => {
                let what = match what {
                    Built::History => "history",
                    Built::Reports => "reports",
                };
                tracing::warn!(%month, "the {what} of {month} is damaged and is rebuilt from the snapshots: {problem}");
            }
            Event::Applying { rule } => {
                self.tracker.enter(Step::ApplyTags, None);
                self.show(format!("bringing the tag of the rule `{rule}` up to date"));
            }
            Event::Applied { rule, gained, lost, failed } => {
                let duration_seconds = self.in_step();
                tracing::info!(rule, gained, lost, failed, duration_seconds, "tag brought up to date");
            }
            event => self.take_of_fetching(event),
        }
    }

    fn take_of_fetching(&self, event: Event) {
        let mut state = self.state();
        // `Event::Planned` starts the state that is updated here. Without this state, the event is ignored.
        let Doing::Fetching(fetching) = &mut state.doing else { return };
        let now = Instant::now();
        match event {
            Event::Kept { stream, rows } => {
                tracing::info!(rows, "reused from an earlier run");
                fetching.kept(stream, rows, now);
            }
            Event::Resumed { stream, rows } => {
                tracing::info!(rows, "resuming where an earlier run stopped");
                fetching.resumed(stream, rows, now);
            }
            Event::Partitioned { partitions } => fetching.more_streams(partitions.saturating_sub(1)),
            Event::Unpartitioned => fetching.more_streams(1),
            Event::StreamStarted { stream } => {
                tracing::debug!("stream begun");
                fetching.begun(stream, now);
            }
            Event::StreamAgain { stream, .. } => fetching.begun(stream, now),
            Event::Page { stream, rows, total } => fetching.page(stream, rows, total, now),
            Event::StreamDone { stream, rows } => {
                let (pages, time) = fetching.done(stream, now);
                tracing::info!(rows, pages, duration_seconds = seconds(time), "stream done");
            }
            _ => {}
        }
        if !self.bar.is_hidden() {
            self.bar.set_message(self.fetching_line(fetching));
        }
    }

    fn enter(&self, step: Step, month: Month, message: String) {
        self.tracker.enter(step, Some(month.into()));
        self.show(message);
    }

    fn in_step(&self) -> f64 {
        seconds(self.tracker.in_step())
    }
}
