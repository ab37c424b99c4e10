//! The state of a run, a backfill or a report. It is kept outside the work itself, for two reasons: every line of the JSON log
//! shows the current step, and the run summary is written however the work ended.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use archive::Archive;
use domain::{Month, Months};
use intercom::{Client, RateWindow, Traffic};
use job::settings::{Job, Notify, Settings};
use job::{self, JobError, Observed, Rebuilt};
use reports::digest::Digest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Plan,
    Fetch,
    Publish,
    History,
    Report,
    ApplyTags,
}

/// The current step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub step: Option<Step>,
    pub months: Option<Months>,
    step_begun: Instant,
}

/// The tracker of this process. All clones have the same state.
#[derive(Clone)]
pub(super) struct RunTracker {
    pub run_id: Arc<str>,
    /// `run`, `backfill` or `report`; `None` for a command without months.
    pub command: Option<&'static str>,
    pub started_at: DateTime<Utc>,
    pub begun: Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    position: Position,
    known: Known,
    client: Option<Client>,
}

/// What the run summary reports.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// All months of the command.
    pub months: Option<Months>,
    pub job: String,
    /// `None` before the settings are read, and for a dry run.
    pub notify: Option<Notify>,
    /// Whether a snapshot, history or report is new.
    pub is_new: bool,
    /// The months of the command that are published.
    pub observed: Vec<Observed>,
    /// The digest of the last of the months, if its reports were built.
    pub digest: Option<Digest>,
    pub incomplete: Vec<String>,
    pub missed: Vec<Month>,
}

impl Step {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Step::Plan => "plan",
            Step::Fetch => "fetch",
            Step::Publish => "publish",
            Step::History => "history",
            Step::Report => "report",
            Step::ApplyTags => "apply_tags",
        }
    }
}

impl RunTracker {
    pub(super) fn begin(command: Option<&'static str>, now: DateTime<Utc>) -> RunTracker {
        let begun = Instant::now();
        // Two processes may begin in the same second, so the run ID ends with a random number: the standard library seeds its hashers at
        // random.
        let random = RandomState::new().build_hasher().finish() as u32;
        let position = Position { step: None, months: None, step_begun: begun };
        RunTracker {
            run_id: format!("{}-{random:08x}", now.format("%Y%m%dT%H%M%SZ")).into(),
            command,
            started_at: now,
            begun,
            state: Arc::new(Mutex::new(State { position, known: Known::default(), client: None })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn position(&self) -> Position {
        self.state().position
    }

    pub(super) fn known(&self) -> Known {
        self.state().known.clone()
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().client.as_ref().map(Client::traffic).unwrap_or_default()
    }

    /// The number of requests a second that the rate limit allows; `None` until a response has shown it.
    pub(super) fn requests_per_second_allowed(&self) -> Option<f64> {
        self.state().client.as_ref()?.rate_window().map(RateWindow::per_second)
    }

    /// Sets the months of the command.
    pub(super) fn is_about(&self, months: Months) {
        let mut state = self.state();
        state.known.months = Some(months);
        state.position.months = Some(months);
    }

    /// Called when the settings are read. Sets the job's name and, unless this is a dry run, the webhook.
    pub(super) fn has_settings(&self, settings: &Settings, is_dry_run: bool) {
        let mut state = self.state();
        state.known.job.clone_from(&settings.job.name);
        state.known.notify = (!is_dry_run).then(|| settings.notify.clone());
        state.position.step = Some(Step::Plan);
    }

    pub(super) fn asks(&self, client: &Client) {
        self.state().client = Some(client.clone());
    }

    pub(super) fn enter(&self, step: Step, months: Option<Months>) {
        let position = &mut self.state().position;
        *position = Position { step: Some(step), months: months.or(position.months), step_begun: Instant::now() };
    }

    /// How long the current step has taken.
    pub(super) fn in_step(&self) -> Duration {
        self.position().step_begun.elapsed()
    }

    pub(super) fn failed(&self, error: &JobError) {
        if let JobError::Incomplete { streams, .. } = error {
            self.state().known.incomplete = streams.iter().map(|shortfall| shortfall.stream.clone()).collect();
        }
    }

    /// Called when the work is done. Reads the cohorts of its months.
    pub(super) fn did(&self, is_new: bool, missed: &[Month], rebuilt: &[Rebuilt], archive: &Archive, named: &Job) {
        let months = self.state().known.months;
        let mut observed = Vec::new();
        for month in months.into_iter().flat_map(Months::each) {
            match job::observed(archive, named, month) {
                Ok(found) => observed.extend(found),
                Err(error) => tracing::warn!(%error, "the cohorts of {month} could not be counted"),
            }
        }
        let mut state = self.state();
        state.known.is_new = is_new;
        state.known.missed = missed.to_vec();
        state.known.incomplete = observed.iter().flat_map(|month| month.incomplete.iter().cloned()).collect();
        state.known.observed = observed;
        let last = rebuilt.iter().find(|rebuilt| months.is_some_and(|months| rebuilt.month == months.last));
        state.known.digest = last.and_then(|last| last.digest.clone());
    }
}

/// A duration in seconds, rounded to milliseconds, for the log and the webhook.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
