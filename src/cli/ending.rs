//! How a run, a backfill or a report ended: the line that ends its log.

use tracing::field::display;

use super::account::{Account, Known, seconds};
use super::failure::{Failure, INTERRUPTED};
use crate::domain::Month;
use crate::intercom::Traffic;
use crate::job::Observed;

pub(super) struct Ending {
    outcome: &'static str,
    exit_code: u8,
    known: Known,
    traffic: Traffic,
    duration_seconds: f64,
}

impl Ending {
    /// `None` for a command that works on no month.
    pub(super) fn of(account: &Account, ended: &Result<u8, Failure>) -> Option<Ending> {
        let known = account.known();
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
        account.command?;
        Some(Ending { outcome, exit_code, known, traffic: account.traffic(), duration_seconds: seconds(account.begun.elapsed()) })
    }

    fn last_month(&self) -> Option<Month> {
        Some(self.known.months?.last)
    }

    /// The last of the months, when it is held.
    fn last_observed(&self) -> Option<&Observed> {
        self.known.observed.iter().find(|observed| Some(observed.month) == self.last_month())
    }

    /// The last line of the log.
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
}
