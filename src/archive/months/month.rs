//! The archive's months: opens and replaces them, and checks that a month is the one that was published.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::{Archive, ArchiveError, Section, month_path};
use crate::publish::{self, PublishError, Staging};
use crate::snapshot::{self, Manifest, Snapshot, SnapshotError};
use crate::store::{Damage, ListedFiles, ReadManifest};
use domain::{Month, Months};

/// The name of a month's folder, the same in all sections.
pub(super) fn month_folder(month: Month) -> String {
    format!("run_month={month}")
}

/// The month of a folder with this name.
pub(super) fn month_of(name: &str) -> Option<Month> {
    name.strip_prefix("run_month=")?.parse().ok()
}

/// What `accept_loss` removed of a month.
#[derive(Debug)]
pub enum AcceptedLoss {
    /// The snapshot is not damaged. Only the history was removed.
    None,
    /// The snapshot is not damaged, but the history was built from another snapshot. Only the history was removed, so the snapshot
    /// is accepted from now on.
    TakenAsItIs,
    /// Snapshot, history and reports were removed.
    Month(SnapshotError),
}

impl Archive {
    /// The months that have a snapshot, ascending.
    pub fn months(&self) -> Result<Vec<Month>, PublishError> {
        self.months_of(Section::Snapshots)
    }

    /// The months of a section, ascending. A link to a month counts as a month.
    pub fn months_of(&self, section: Section) -> Result<Vec<Month>, PublishError> {
        Ok(self.store.folders(section.name())?.iter().filter_map(|name| month_of(name)).collect())
    }

    /// The months that have a snapshot, ascending. Each comes with its snapshot, or with the reason why the snapshot cannot be
    /// used.
    pub fn snapshots(&self) -> Result<impl DoubleEndedIterator<Item = (Month, Result<Snapshot, SnapshotError>)>, PublishError> {
        Ok(self.months()?.into_iter().filter_map(|month| Some((month, self.snapshot(month).transpose()?))))
    }

    /// The manifest of a month; `None` if there is none.
    ///
    /// # Errors
    /// If the manifest is damaged.
    pub fn manifest(&self, section: Section, month: Month) -> Result<Option<ReadManifest>, Damage> {
        ReadManifest::open(&self.store, &month_path(section, month))
    }

    /// The error for a damaged month.
    pub fn damage(&self, section: Section, month: Month, problem: impl Into<String>) -> Damage {
        Damage::new(self.store.shown(&month_path(section, month)), problem)
    }

    /// The month's snapshot; `None` if there is none.
    ///
    /// # Errors
    /// If the snapshot cannot be used, or if this program did not publish it. This program did not publish it if the history was built from
    /// another snapshot and `replaces` in the manifest does not name that other snapshot.
    pub fn snapshot(&self, month: Month) -> Result<Option<Snapshot>, SnapshotError> {
        let Some(snapshot) = self.open_snapshot(month)? else { return Ok(None) };
        match self.recorded_snapshot(month) {
            Some(recorded) if recorded != snapshot.hash && snapshot.manifest.replaces.as_ref() != Some(&recorded) => {
                let problem = format!("its {} is not the one that its history was built from, and nothing replaced it", publish::MANIFEST);
                Err(self.damage(Section::Snapshots, month, problem).into())
            }
            _ => Ok(Some(snapshot)),
        }
    }

    fn open_snapshot(&self, month: Month) -> Result<Option<Snapshot>, SnapshotError> {
        let folder = month_path(Section::Snapshots, month);
        // A broken link is an error: the month may have been observed.
        if self.store.is_there(&folder)? { Snapshot::open(&self.store, &folder, month).map(Some) } else { Ok(None) }
    }

    /// The hash of the snapshot from which the month's history was built; `None` if it is not recorded. Histories of all formats
    /// can be read.
    fn recorded_snapshot(&self, month: Month) -> Option<String> {
        let manifest: Value = self.manifest(Section::History, month).ok()??.parse().ok()?;
        Some(manifest.pointer("/built_from/snapshot")?.as_str()?.to_string())
    }

    /// Publishes a month of a section, and replaces the existing one. Returns its files, which count as verified, and the SHA-256
    /// of the manifest. For a snapshot, use `publish_snapshot`.
    pub fn publish<M>(&self, section: Section, month: Month, staging: Staging, manifest: &M) -> Result<(ListedFiles, String), PublishError>
    where
        M: Serialize,
    {
        let (folder, files) = (month_path(section, month), staging.files());
        let hash = staging.seal(manifest)?;
        self.store.publish(staging, &folder)?;
        Ok((ListedFiles::just_written(&self.store, &folder, files), hash))
    }

    /// Publishes a month's snapshot, and replaces the existing one. The manifest names the snapshot from which the existing history
    /// was built. From then on that history is out of date.
    pub fn publish_snapshot(&self, month: Month, staging: Staging, manifest: Manifest) -> Result<(), PublishError> {
        let manifest = Manifest { replaces: self.recorded_snapshot(month), ..manifest };
        self.publish(Section::Snapshots, month, staging, &manifest).map(drop)
    }

    /// Removes a month of a section, if it exists.
    pub fn remove(&self, section: Section, month: Month) -> Result<(), PublishError> {
        self.store.retire(&month_path(section, month))
    }

    /// Removes a damaged month, so that the job can continue without it. Needs the job's lock.
    ///
    /// # Errors
    /// If there is no such month.
    pub fn accept_loss(&self, month: Month) -> Result<AcceptedLoss, ArchiveError> {
        let opened = match self.open_snapshot(month) {
            Ok(None) => return Err(ArchiveError::NoSnapshot { month, location: self.location(Section::Snapshots) }),
            Ok(Some(snapshot)) => snapshot.verify_in_place().map_err(SnapshotError::from),
            Err(error) => Err(error),
        };
        // A newer format is no damage, because a newer version of the program can read the snapshot. A store that does not answer is no
        // damage either. In both cases nothing is removed.
        if let Err(error) = &opened
            && !error.is_damage()
        {
            return opened.map(|()| AcceptedLoss::None).map_err(ArchiveError::from);
        }
        let is_accused = self.snapshot(month).is_err();
        self.remove(Section::History, month)?;
        match opened {
            Ok(()) if is_accused => Ok(AcceptedLoss::TakenAsItIs),
            Ok(()) => Ok(AcceptedLoss::None),
            Err(error) => {
                self.remove(Section::Reports, month)?;
                self.remove(Section::Snapshots, month)?;
                Ok(AcceptedLoss::Month(error))
            }
        }
    }

    /// Removes people from the month's snapshot. Returns whether it had any of them.
    pub fn forget(&self, month: Month, people: &BTreeSet<String>) -> Result<bool, SnapshotError> {
        let Some(snapshot) = self.snapshot(month)? else { return Ok(false) };
        let stage = || self.stage(Section::Snapshots, month);
        let Some((staging, manifest)) = snapshot::without_people(&snapshot, people, stage)? else { return Ok(false) };
        self.publish_snapshot(month, staging, manifest)?;
        Ok(true)
    }

    /// Removes people from unfinished work. Returns whether it had any of them.
    pub fn forget_in_work(&self, months: Months, people: &BTreeSet<String>) -> Result<bool, SnapshotError> {
        let forget = |found, stream: &PathBuf| Ok(found | snapshot::forget_in_stream(stream, people, self.work_folder())?);
        self.streams(months)?.iter().try_fold(false, forget)
    }

    /// The IDs of the contacts in unfinished work whose e-mail address matches.
    pub fn people_in_work_with_email(&self, months: Months, is_it: &dyn Fn(&str) -> bool) -> Result<BTreeSet<String>, SnapshotError> {
        let found = self.streams(months)?.into_iter().map(|stream| snapshot::people_in_stream_with_email(&stream, is_it));
        Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The folders of the streams in unfinished work.
    fn streams(&self, months: Months) -> Result<Vec<PathBuf>, PublishError> {
        let work = self.work_of(months);
        Ok(publish::folder_names(&work)?.into_iter().map(|name| work.join(name)).collect())
    }

    /// The bytes of a month's snapshot, history and reports.
    pub fn bytes_of(&self, month: Month) -> u64 {
        [Section::Snapshots, Section::History, Section::Reports]
            .map(|section| self.store.bytes_below(&month_path(section, month)))
            .iter()
            .sum()
    }
}
