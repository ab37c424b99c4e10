//! Opens and replaces the job's months, and checks that a month is the one that was published.

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
    /// The month's snapshot; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be used. A history that was built from another snapshot, which this one does not name as replaced, shows that
    /// this program did not publish it.
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

    /// The month's history; `None` if there is none that this program can read.
    ///
    /// # Errors
    /// If its manifest is damaged.
    pub fn history(&self, month: Month) -> Result<Option<History>, Damage> {
        History::open(&self.histories(), month)
    }

    /// Publishes a month's snapshot, and replaces the existing one. The manifest names the snapshot from which the existing history
    /// was built; that history is out of date from then on.
    pub(super) fn publish_snapshot(&self, month: Month, staging: Staging, manifest: Manifest) -> Result<(), PublishError> {
        let manifest = Manifest { replaces: history::recorded_snapshot(&self.histories(), month), ..manifest };
        staging.commit(&self.snapshots().join(month_folder(month)), &manifest).map(drop)
    }

    /// Removes a damaged month, so that the job can continue without it. Needs the job's lock.
    ///
    /// # Errors
    /// If there is no such month.
    pub fn accept_loss(&self, month: Month) -> Result<AcceptedLoss, JobError> {
        let opened = match Snapshot::open(&self.snapshots(), month) {
            Ok(None) => return Err(JobError::NoSnapshot { month, path: self.snapshots() }),
            Ok(Some(snapshot)) => snapshot.verify().map_err(SnapshotError::from),
            // Not damage: another version of the program can read it.
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

/// What was removed of a month.
#[derive(Debug)]
pub enum AcceptedLoss {
    /// Its snapshot is not damaged.
    None,
    /// Its snapshot is not damaged, but its history was built from another one: it is accepted from now on.
    TakenAsItIs,
    /// Snapshot, history and reports were removed.
    Month(SnapshotError),
}
