//! The archive's months: opens and replaces them, and checks that a month is the one that was published.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{Archive, ArchiveError, Section, is_there};
use crate::publish::{self, Damage, ListedFiles, PublishError, ReadManifest, Staging};
use crate::snapshot::{self, Manifest, Snapshot, SnapshotError};
use domain::{Month, Months};

/// The name of a month's folder, the same in all sections.
pub(super) fn month_folder(month: Month) -> String {
    format!("run_month={month}")
}

/// The month of a folder with this name.
pub(super) fn month_of(name: &str) -> Option<Month> {
    name.strip_prefix("run_month=")?.parse().ok()
}

/// The months in a folder of month folders, ascending. A link to a month counts as a month.
pub(super) fn months_in(folder: &Path) -> Result<Vec<Month>, PublishError> {
    Ok(publish::folder_names(folder)?.iter().filter_map(|name| month_of(name)).collect())
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

    /// The months of a section, ascending.
    pub fn months_of(&self, section: Section) -> Result<Vec<Month>, PublishError> {
        months_in(&self.section(section))
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
        publish::read_manifest(&self.month(section, month))
    }

    /// The error for a damaged month.
    pub fn damage(&self, section: Section, month: Month, problem: impl Into<String>) -> Damage {
        Damage { folder: self.month(section, month), problem: problem.into() }
    }

    /// The month's snapshot; `None` if there is none.
    ///
    /// # Errors
    /// If the snapshot cannot be used, or if this program did not publish it. The second is shown by the history: it was built from
    /// another snapshot, and this snapshot does not say that it replaced that one.
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
        let folder = self.month(Section::Snapshots, month);
        // A broken link is an error: the month may have been observed.
        if is_there(&folder) { Snapshot::open(folder, month).map(Some) } else { Ok(None) }
    }

    /// The hash of the snapshot from which the month's history was built; `None` if it is not recorded. Histories of all formats
    /// can be read.
    fn recorded_snapshot(&self, month: Month) -> Option<String> {
        let manifest: Value = self.manifest(Section::History, month).ok()??.parse().ok()?;
        Some(manifest.pointer("/built_from/snapshot")?.as_str()?.to_string())
    }

    /// A folder to write a month of a section into.
    pub fn stage(&self, section: Section, month: Month) -> Result<Staging, PublishError> {
        Staging::new(&self.work(), &format!("{}-{month}", section.name()))
    }

    /// Publishes a month of a section, and replaces the existing one. Returns its files, which count as verified, and the SHA-256
    /// of the manifest. For a snapshot, use `publish_snapshot`.
    pub fn publish<M>(&self, section: Section, month: Month, staging: Staging, manifest: &M) -> Result<(ListedFiles, String), PublishError>
    where
        M: Serialize,
    {
        let (folder, files) = (self.month(section, month), staging.files());
        let hash = staging.commit(&folder, manifest)?;
        Ok((ListedFiles::just_written(&folder, &files), hash))
    }

    /// Publishes a month's snapshot, and replaces the existing one. The manifest names the snapshot from which the existing history
    /// was built. From then on that history is out of date.
    pub fn publish_snapshot(&self, month: Month, staging: Staging, manifest: Manifest) -> Result<(), PublishError> {
        let manifest = Manifest { replaces: self.recorded_snapshot(month), ..manifest };
        self.publish(Section::Snapshots, month, staging, &manifest).map(drop)
    }

    /// Removes a month of a section, if it exists.
    pub fn remove(&self, section: Section, month: Month) -> Result<(), PublishError> {
        publish::retire(&self.month(section, month), &self.work())
    }

    /// Removes a damaged month, so that the job can continue without it. Needs the job's lock.
    ///
    /// # Errors
    /// If there is no such month.
    pub fn accept_loss(&self, month: Month) -> Result<AcceptedLoss, ArchiveError> {
        let opened = match self.open_snapshot(month) {
            Ok(None) => return Err(ArchiveError::NoSnapshot { month, location: self.location(Section::Snapshots) }),
            Ok(Some(snapshot)) => snapshot.verify().map_err(SnapshotError::from),
            // A newer format is not damage: another version of the program can read the snapshot.
            Err(error @ SnapshotError::Format { .. }) => return Err(error.into()),
            Err(error) => Err(error),
        };
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
        let Some((staging, manifest)) = snapshot::without_people(&snapshot, people, &self.work())? else { return Ok(false) };
        self.publish_snapshot(month, staging, manifest)?;
        Ok(true)
    }

    /// Removes people from unfinished work. Returns whether it had any of them.
    pub fn forget_in_work(&self, months: Months, people: &BTreeSet<String>) -> Result<bool, SnapshotError> {
        let forget = |found, stream: &PathBuf| Ok(found | snapshot::forget_in_stream(stream, people, &self.work())?);
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
        [Section::Snapshots, Section::History, Section::Reports].map(|section| bytes_in(&self.month(section, month))).iter().sum()
    }
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let found = entry.metadata().ok()?;
        Some(if found.is_dir() { bytes_in(&entry.path()) } else { found.len() })
    });
    bytes.sum()
}
