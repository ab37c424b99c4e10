//! What a run, a backfill or a report has come to so far. It is kept beside the work, not in it: every line of the JSON
//! log says where the work is, and how it ended is told however it ended.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use domain::{Month, Months};
use intercom::{Client, RateWindow, Traffic};
use job::settings::{Settings, WebhookUrl};
use job::{self, JobError, JobFolder, Observed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Plan,
    Fetch,
    Publish,
    History,
    Report,
    ApplyTags,
}

/// Where the work is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub step: Option<Step>,
    pub months: Option<Months>,
    step_begun: Instant,
}

/// Cheap to clone; clones are of the same process.
#[derive(Clone)]
pub(super) struct RunTracker {
    pub run_id: Arc<str>,
    /// `run`, `backfill` or `report`; none for a command that works on no month.
    pub command: Option<&'static str>,
    pub started_at: DateTime<Utc>,
    pub begun: Instant,
    state: Arc<Mutex<State>>,
}

struct State {
    place: Place,
    known: Known,
    client: Option<Client>,
}

/// What there is to tell at the end.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// All that it is about.
    pub months: Option<Months>,
    pub job: String,
    /// Nobody, before the settings are read and for what only looks.
    pub webhook: Option<WebhookUrl>,
    /// Whether a snapshot, history or report is new.
    pub is_new: bool,
    /// Those of the months that are held.
    pub observed: Vec<Observed>,
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
        // Two processes may begin in the same second; the standard library seeds its hashers at random.
        let random = RandomState::new().build_hasher().finish() as u32;
        let place = Place { step: None, months: None, step_begun: begun };
        RunTracker {
            run_id: format!("{}-{random:08x}", now.format("%Y%m%dT%H%M%SZ")).into(),
            command,
            started_at: now,
            begun,
            state: Arc::new(Mutex::new(State { place, known: Known::default(), client: None })),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn place(&self) -> Place {
        self.state().place
    }

    pub(super) fn known(&self) -> Known {
        self.state().known.clone()
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().client.as_ref().map(Client::traffic).unwrap_or_default()
    }

    /// What the rate limit allows, once a response has told it.
    pub(super) fn requests_per_second_allowed(&self) -> Option<f64> {
        self.state().client.as_ref()?.rate_window().map(RateWindow::per_second)
    }

    /// The months that the command is about.
    pub(super) fn is_about(&self, months: Months) {
        let mut state = self.state();
        state.known.months = Some(months);
        state.place.months = Some(months);
    }

    /// The settings are read: from here on there is somebody to tell, unless it only looks.
    pub(super) fn has_settings(&self, settings: &Settings, only_looks: bool) {
        let mut state = self.state();
        state.known.job.clone_from(&settings.job.name);
        state.known.webhook = settings.notify.url.clone().filter(|_| !only_looks);
        state.place.step = Some(Step::Plan);
    }

    pub(super) fn asks(&self, client: &Client) {
        self.state().client = Some(client.clone());
    }

    pub(super) fn enter(&self, step: Step, months: Option<Months>) {
        let place = &mut self.state().place;
        *place = Place { step: Some(step), months: months.or(place.months), step_begun: Instant::now() };
    }

    /// How long the present step has taken.
    pub(super) fn in_step(&self) -> Duration {
        self.place().step_begun.elapsed()
    }

    pub(super) fn failed(&self, error: &JobError) {
        if let JobError::Incomplete { streams, .. } = error {
            self.state().known.incomplete = streams.iter().map(|shortfall| shortfall.stream.clone()).collect();
        }
    }

    /// The work is done; what its months hold now is looked up.
    pub(super) fn did(&self, is_new: bool, missed: &[Month], settings: &Settings) {
        let folder = JobFolder::new(settings);
        let months = self.state().known.months;
        let mut observed = Vec::new();
        for month in months.into_iter().flat_map(Months::each) {
            match job::observed(&folder, &settings.job, month) {
                Ok(found) => observed.extend(found),
                Err(error) => tracing::warn!(%error, "the cohorts of {month} could not be counted"),
            }
        }
        let mut state = self.state();
        state.known.is_new = is_new;
        state.known.missed = missed.to_vec();
        state.known.incomplete = observed.iter().flat_map(|month| month.incomplete.iter().cloned()).collect();
        state.known.observed = observed;
    }
}

/// For the log and the webhook, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000.0).round() / 1_000.0
}
