//! The job's months, opened and replaced in one place: nothing is used that is not what was published.

use super::{JobError, JobFolder};
use archive::publish::{self, Damage, PublishError, Staging};
use archive::snapshot::{Manifest, Snapshot, SnapshotError, month_folder};
use domain::Month;
use reports::history::{self, History};

/// A month whose snapshot cannot be used, and why.
#[derive(Debug)]
pub struct DamagedMonth {
    pub month: Month,
    pub error: SnapshotError,
}

impl std::fmt::Display for DamagedMonth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.month, self.error)
    }
}

impl JobFolder {
    /// The month's snapshot; `None` when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be used. A snapshot whose history was built from another one that it does not say it
    /// replaces was not put there by this program.
    pub fn snapshot(&self, month: Month) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(snapshot) = Snapshot::open(&self.snapshots(), month)? else { return Ok(None) };
        match history::recorded_snapshot(&self.histories(), month) {
            Some(recorded) if recorded != snapshot.hash && snapshot.manifest.replaces.as_ref() != Some(&recorded) => {
                let problem = format!("its {} is not the one that its history was built from, and nothing replaced it", publish::MANIFEST);
                Err(Damage { folder: self.snapshots().join(month_folder(month)), problem }.into())
            }
            _ => Ok(Some(snapshot)),
        }
    }

    /// The month's history; `None` when there is none that this program understands.
    ///
    /// # Errors
    /// When its manifest is damaged.
    pub fn history(&self, month: Month) -> Result<Option<History>, Damage> {
        History::open(&self.histories(), month)
    }

    /// Shows a month's snapshot, in place of the one that is there. The manifest says from which one the history was built
    /// that is out of date from then on.
    pub(super) fn publish_snapshot(&self, month: Month, staging: Staging, manifest: Manifest) -> Result<(), PublishError> {
        let manifest = Manifest { replaces: history::recorded_snapshot(&self.histories(), month), ..manifest };
        staging.commit(&self.snapshots().join(month_folder(month)), &manifest).map(drop)
    }

    /// Gives up what is damaged of a month, so that the job goes on without it. Needs the job's lock.
    ///
    /// # Errors
    /// When there is no such month.
    pub fn accept_loss(&self, month: Month) -> Result<AcceptedLoss, JobError> {
        let opened = match Snapshot::open(&self.snapshots(), month) {
            Ok(None) => return Err(JobError::NoSnapshot { month, path: self.snapshots() }),
            Ok(Some(snapshot)) => snapshot.verify().map_err(SnapshotError::from),
            // Not damage: another program can read it.
            Err(error @ SnapshotError::Format { .. }) => return Err(error.into()),
            Err(error) => Err(error),
        };
        let is_accused = self.snapshot(month).is_err();
        publish::retire(&self.histories().join(month_folder(month)), &self.work())?;
        match opened {
            Ok(()) if is_accused => Ok(AcceptedLoss::TakenAsItIs),
            Ok(()) => Ok(AcceptedLoss::None),
            Err(error) => {
                publish::retire(&self.reports().join(month_folder(month)), &self.work())?;
                publish::retire(&self.snapshots().join(month_folder(month)), &self.work())?;
                Ok(AcceptedLoss::Month(error))
            }
        }
    }
}

/// What was given up of a month.
#[derive(Debug)]
pub enum AcceptedLoss {
    /// Its snapshot is whole.
    None,
    /// Its snapshot is whole, but not the one that its history was built from: from now on it is the month's.
    TakenAsItIs,
    /// All of it: snapshot, history and reports are removed.
    Month(SnapshotError),
}
