//! The job's folder. Only this module knows where a month is, opens manifests and takes the lock.

mod lock;
mod months;

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use crate::publish::{self, MANIFEST, PublishError};
use crate::snapshot::SnapshotError;
use domain::{Month, Months};
use months::{month_folder, month_of, months_in};

pub use lock::{Holder, Lock};
pub use months::AcceptedLoss;

const BACKFILL: &str = "backfill=";

/// All that a job keeps: its months, its unfinished work and its lock.
#[derive(Clone, Debug)]
pub struct Archive {
    root: PathBuf,
}

/// A part of the archive that has a folder for each month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Snapshots,
    History,
    Reports,
    /// The tags that this job wrote to Intercom.
    Applied,
}

impl Section {
    const ALL: [Section; 4] = [Section::Snapshots, Section::History, Section::Reports, Section::Applied];

    fn name(self) -> &'static str {
        match self {
            Section::Snapshots => "snapshots",
            Section::History => "history",
            Section::Reports => "reports",
            Section::Applied => "applied",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("`{path}` is locked: {holder}", path = .path.display())]
    Locked { path: PathBuf, holder: Holder },
    #[error("`{}` is on another file system than `{}`: finished folders cannot be moved there in one step", .folder.display(), .work.display())]
    OtherFileSystem { folder: PathBuf, work: PathBuf },
    #[error("there is no snapshot of {month} in `{location}`")]
    NoSnapshot { month: Month, location: String },
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Archive {
    pub fn new(root: PathBuf) -> Archive {
        Archive { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a section, as text for messages.
    pub fn location(&self, section: Section) -> String {
        self.section(section).display().to_string()
    }

    /// The path of a month of a section, as text for messages.
    pub fn location_of(&self, section: Section, month: Month) -> String {
        self.month(section, month).display().to_string()
    }

    fn section(&self, section: Section) -> PathBuf {
        self.root.join(section.name())
    }

    fn month(&self, section: Section, month: Month) -> PathBuf {
        self.section(section).join(month_folder(month))
    }

    /// The sections that exist.
    fn sections(&self) -> impl Iterator<Item = PathBuf> {
        Section::ALL.map(|section| self.section(section)).into_iter().filter(|section| is_there(section))
    }

    fn work(&self) -> PathBuf {
        self.root.join(".work")
    }

    /// The file with the people whom an unfinished `forget` removes.
    pub fn forgetting(&self) -> PathBuf {
        self.work().join("forgetting.json")
    }

    /// The work folder of a run or a backfill, with its spools.
    pub fn work_of(&self, months: Months) -> PathBuf {
        let name =
            if months.first == months.last { month_folder(months.first) } else { format!("{BACKFILL}{}_{}", months.first, months.last) };
        self.work().join(name)
    }

    /// The months of unfinished runs and backfills.
    pub fn unfinished(&self) -> Result<Vec<Months>, PublishError> {
        let range = |name: &str| -> Option<Months> {
            let (first, last) = name.strip_prefix(BACKFILL)?.split_once('_')?;
            Some(Months { first: first.parse().ok()?, last: last.parse().ok()? })
        };
        let runs = months_in(&self.work())?.into_iter().map(Months::from);
        Ok(runs.chain(publish::folder_names(&self.work())?.iter().filter_map(|name| range(name))).collect())
    }

    /// The path of a file in `applied/` that belongs to no month.
    pub fn applied_file(&self, name: &str) -> PathBuf {
        self.section(Section::Applied).join(name)
    }

    /// Publishes a file in `applied/` that belongs to no month. Replaces the existing file.
    pub fn publish_applied_file<E: From<PublishError>>(&self, name: &str, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
        publish::create_folder(&self.section(Section::Applied))?;
        let staging = publish::Staging::new(&self.work(), "pending")?;
        write(&staging.place(name)?)?;
        Ok(staging.commit_file(name, &self.applied_file(name))?)
    }

    /// Whether there is a page that lists the months.
    pub fn has_index(&self) -> bool {
        self.index().exists()
    }

    /// Writes the page that lists the months, unless it is unchanged.
    pub fn write_index(&self, html: &str) -> Result<(), PublishError> {
        let is_same = std::fs::read(self.index()).is_ok_and(|existing| existing == html.as_bytes());
        if is_same { Ok(()) } else { publish::write_file(&self.index(), html.as_bytes()) }
    }

    fn index(&self) -> PathBuf {
        self.root.join("index.html")
    }

    /// The address of a month's file, relative to the page that lists the months; `None` if the file does not exist.
    pub fn link(&self, section: Section, month: Month, file: &str) -> Option<String> {
        let link = format!("{}/{}/{file}", section.name(), month_folder(month));
        self.root.join(&link).exists().then_some(link)
    }

    /// Takes the job's lock and writes this process into it; `purpose` is the command. Then prepares the folder, and repairs it after
    /// a crash.
    ///
    /// # Errors
    /// If another process has the lock, or if the folder cannot be written.
    pub fn lock(&self, purpose: &str) -> Result<Lock, ArchiveError> {
        let lock = lock::take(&lock::path(&self.root), &self.work(), purpose)?;
        self.prepare()?;
        self.recover()?;
        Ok(lock)
    }

    /// The process that has the job's lock; `None` if there is none. Changes nothing.
    ///
    /// # Errors
    /// If the lock file exists but cannot be opened.
    pub fn holder(&self) -> Result<Option<Holder>, ArchiveError> {
        lock::holder(&lock::path(&self.root), &self.work())
    }

    /// Creates the folders. Checks, before the first request, that they can be written and that finished folders can be moved to
    /// their target. The caller must have the lock: without it, two processes would remove each other's test file.
    fn prepare(&self) -> Result<(), ArchiveError> {
        publish::create_folder(&self.work())?;
        for section in [Section::Snapshots, Section::History, Section::Reports] {
            publish::create_folder(&self.section(section))?;
        }
        prove(&self.work(), &self.work(), ".writable")?;
        self.sections().try_for_each(|section| prove(&self.work(), &section, ".writable"))
    }

    /// Makes the checks of `prepare` without the lock, and leaves no change. Tests the nearest existing folder and returns its
    /// path.
    pub fn try_out(&self) -> Result<PathBuf, ArchiveError> {
        // The name contains the process ID. So the test file of a run at the same time is not removed.
        let name = format!(".writable-{}", std::process::id());
        let existing = self.root.ancestors().find(|folder| is_there(folder)).unwrap_or(Path::new("."));
        prove(existing, existing, &name)?;
        if existing == self.root {
            let work = if is_there(&self.work()) { self.work() } else { self.root.clone() };
            prove(&work, &work, &name)?;
            self.sections().try_for_each(|section| prove(&work, &section, &name))?;
        }
        Ok(existing.to_path_buf())
    }

    /// Recovers from a crash during a swap and removes staged files. Keeps finished streams, and files in the folders of months
    /// that this program did not write. The caller must have the lock.
    fn recover(&self) -> Result<(), PublishError> {
        publish::recover(&self.work())?;
        let is_month = |shown: &str, aside: &Path| month_of(shown).is_some() && aside.join(MANIFEST).exists();
        self.sections().try_for_each(|section| publish::recover_beside(&section, is_month))?;
        for months in self.unfinished()? {
            publish::recover_beside(&self.work_of(months), |_, _| true)?;
        }
        Ok(())
    }

    /// Removes all months and all unfinished work, but not `applied/`. The caller must have the lock.
    pub fn clear(&self) -> Result<(), PublishError> {
        for section in [Section::Snapshots, Section::History, Section::Reports] {
            publish::remove_folder(&self.section(section))?;
        }
        publish::remove_folder(&self.work())
    }
}

/// Whether the path exists. A broken link counts as existing.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Tests that both folders can be written and that a file can be moved from one to the other: creates an empty file in `work`, moves it
/// to `folder` and removes it.
fn prove(work: &Path, folder: &Path, name: &str) -> Result<(), ArchiveError> {
    let (written, moved) = (work.join(name), folder.join(name));
    // A process that was killed may have left this file.
    let _ = std::fs::remove_file(&written);
    let write = || OpenOptions::new().write(true).create_new(true).open(&written).map(drop);
    write().map_err(|error| PublishError::new("write in", work, error))?;
    std::fs::rename(&written, &moved).and_then(|()| std::fs::remove_file(&moved)).map_err(|error| {
        // If the move failed, the file is still here.
        let _ = std::fs::remove_file(&written);
        match error.kind() {
            io::ErrorKind::CrossesDevices => ArchiveError::OtherFileSystem { folder: folder.to_path_buf(), work: work.to_path_buf() },
            _ => PublishError::new("write in", folder, error).into(),
        }
    })
}
