//! How a run, a backfill or a report ended: the last line of its log, and the message to the webhook.

use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::field::display;

use super::failure::{Failure, INTERRUPTED};
use super::run_tracker::{Known, RunTracker, seconds};
use crate::notify::{self, Notification, NotifiedCohort};
use domain::Month;
use intercom::Traffic;
use job::Observed;
use job::settings::{MessageFormat, Notify};

pub(super) struct RunSummary {
    command: &'static str,
    run_id: String,
    outcome: &'static str,
    exit_code: u8,
    message: Option<String>,
    hint: Option<String>,
    known: Known,
    traffic: Traffic,
    started_at: DateTime<Utc>,
    ended_at: DateTime<Utc>,
    duration_seconds: f64,
}

impl RunSummary {
    /// `None` for a command without months.
    pub(super) fn of(tracker: &RunTracker, ended: &Result<u8, Failure>, now: DateTime<Utc>) -> Option<RunSummary> {
        let known = tracker.known();
        let (exit_code, failure) = match ended {
            Ok(code) => (*code, None),
            Err(failure) => (failure.code(), Some(failure)),
        };
        let outcome = match failure {
            _ if exit_code == INTERRUPTED => "interrupted",
            _ if known.is_new => "published",
            Some(_) => "failed",
            None => "unchanged",
        };
        Some(RunSummary {
            command: tracker.command?,
            run_id: tracker.run_id.to_string(),
            outcome,
            exit_code,
            message: failure.map(Failure::message),
            hint: failure.and_then(Failure::hint).map(str::to_string),
            known,
            traffic: tracker.traffic(),
            started_at: tracker.started_at,
            ended_at: now,
            duration_seconds: seconds(tracker.begun.elapsed()),
        })
    }

    fn last_month(&self) -> Option<Month> {
        Some(self.known.months?.last)
    }

    /// The last of the months, if it is published.
    fn last_observed(&self) -> Option<&Observed> {
        self.known.observed.iter().find(|observed| Some(observed.month) == self.last_month())
    }

    /// Writes the last line of the log.
    pub(super) fn log(&self) {
        let last = self.last_observed();
        let first_month = self.known.months.filter(|months| months.first != months.last).map(|months| display(months.first));
        tracing::info!(
            outcome = %self.outcome,
            exit_code = self.exit_code,
            first_month,
            month = self.last_month().map(display),
            basis = last.map(|last| display(last.basis)),
            cohorts = last.map(|last| last.cohorts.len()),
            members = last.map(|last| last.cohorts.iter().map(|cohort| cohort.members).sum::<u64>()),
            requests = self.traffic.requests,
            retries = self.traffic.retries,
            incomplete = self.known.incomplete.len(),
            missed = self.known.missed.len(),
            duration_seconds = self.duration_seconds,
            "run ended"
        );
    }

    /// Notifies the webhook, if there is one. A failure is only a warning.
    pub(super) async fn notify(&self) {
        let Some(notify) = self.known.notify.as_ref().filter(|_| self.exit_code != INTERRUPTED) else { return };
        let Some(url) = &notify.url else { return };
        let notification = self.notification();
        let message = match notify.format {
            MessageFormat::Json => json!(notification),
            MessageFormat::Slack => notify::slack_message(&notification, self.known.digest.as_ref(), self.link(notify)),
        };
        if let Err(error) = notify::send(&url.address, message.to_string().as_bytes()).await {
            tracing::warn!(host = %url.host, status = error.status(), "the webhook was not notified: {error}");
        }
    }

    /// Where people find the last of the months, if it is published.
    fn link(&self, notify: &Notify) -> Option<String> {
        Some(notify.link.as_ref()?.of(self.last_observed()?.month))
    }

    fn notification(&self) -> Notification {
        let cohorts = self.known.observed.iter().flat_map(|observed| {
            observed.cohorts.iter().map(|cohort| NotifiedCohort {
                month: observed.month.to_string(),
                cohort_key: cohort.cohort_key.clone(),
                cohort_name: cohort.cohort_name.clone(),
                basis: cohort.basis.to_string(),
                members: cohort.members,
            })
        });
        Notification {
            event: format!("cohorts.{}", self.command),
            outcome: self.outcome,
            exit_code: self.exit_code,
            job: self.known.job.clone(),
            month: self.last_month().map(|month| month.to_string()),
            months: self.known.months.into_iter().flat_map(|months| months.each()).map(|month| month.to_string()).collect(),
            basis: self.last_observed().map(|last| last.basis.to_string()),
            cohorts: cohorts.collect(),
            stands_out: self.known.digest.as_ref().map_or(Vec::new(), |digest| digest.notable.clone()),
            incomplete: self.known.incomplete.clone(),
            missed: self.known.missed.iter().map(Month::to_string).collect(),
            requests: self.traffic.requests,
            retries: self.traffic.retries,
            started_at: self.started_at,
            ended_at: self.ended_at,
            duration_seconds: self.duration_seconds,
            message: self.message.clone(),
            hint: self.hint.clone(),
            run_id: self.run_id.clone(),
            program_version: env!("CARGO_PKG_VERSION"),
        }
    }
}
