//! The months of a job. Only this module knows where a month is, opens manifests and takes the lock.

mod copy;
mod month;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::EngineFolder;
use crate::publish::{self, PublishError, Staging};
use crate::snapshot::SnapshotError;
use crate::store::bucket::{self, Bucket};
use crate::store::folder::Folder;
use crate::store::{BucketUri, CHECK, ENGINE, Holder, Lock, OldVersions, Store, StoreError, Tried};
use domain::{Month, Months};
use month::{month_folder, month_of};

pub use copy::Copied;
pub use month::AcceptedLoss;

const BACKFILL: &str = "backfill=";
/// The file with the people whom an unfinished `forget` removes. It is stored at the job's location, because the work folder may be on a
/// machine that no longer exists.
const JOURNAL: &str = ".work/forgetting.json";
/// The page that lists the months.
const INDEX: &str = "index.html";

/// All that a job keeps: its months, its unfinished work and its lock.
#[derive(Clone, Debug)]
pub struct Archive {
    store: Arc<dyn Store>,
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
    fn name(self) -> &'static str {
        match self {
            Section::Snapshots => "snapshots",
            Section::History => "history",
            Section::Reports => "reports",
            Section::Applied => "applied",
        }
    }

    /// Whether files have a part of their hash in their names. Reports keep their names, because people search for reports by name.
    fn has_hashed_names(self) -> bool {
        self != Section::Reports
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("there is no snapshot of {month} in `{location}`")]
    NoSnapshot { month: Month, location: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Archive {
    /// A job's folder on this machine. `work` is the folder for its unfinished runs, by default `.work` in the job's folder.
    pub fn in_folder(root: PathBuf, work: Option<PathBuf>) -> Archive {
        Archive { store: Arc::new(Folder::new(root, work)) }
    }

    /// A job in a bucket. `work` is the folder on this machine for its unfinished runs, and for a cache of its files of at most
    /// `cache_max_bytes`. A failing request is repeated for at most `give_up_after`.
    ///
    /// # Errors
    /// If environment variables that a request needs are missing or invalid.
    pub fn in_bucket(uri: &BucketUri, work: PathBuf, cache_max_bytes: u64, give_up_after: Duration) -> Result<Archive, PublishError> {
        let (client, versions) = bucket::client(uri, give_up_after)?;
        Ok(Archive { store: Arc::new(Bucket::new(client, versions, uri, work, cache_max_bytes)) })
    }

    /// Where the job is kept, as text for messages.
    pub fn place(&self) -> String {
        self.shown("")
    }

    /// Whether the job's folder exists, or the bucket has an object of the job.
    ///
    /// # Errors
    /// If the bucket cannot be read.
    pub fn exists(&self) -> Result<bool, PublishError> {
        self.store.is_there("")
    }

    /// The folder of a month for an engine. The caller must have the lock.
    pub fn engine_folder(&self, month: Month) -> EngineFolder {
        EngineFolder::new(&self.store, &month_folder(month), true)
    }

    /// A folder for trying out an engine, without the lock.
    pub fn engine_check_folder(&self) -> EngineFolder {
        EngineFolder::new(&self.store, &format!("{CHECK}{}", std::process::id()), false)
    }

    /// The path of a section, as text for messages.
    pub fn location(&self, section: Section) -> String {
        self.shown(section.name())
    }

    /// The path of a month of a section, as text for messages.
    pub fn location_of(&self, section: Section, month: Month) -> String {
        self.shown(&month_path(section, month))
    }

    fn shown(&self, path: &str) -> String {
        self.store.shown(path).display().to_string()
    }

    /// The people whom an unfinished `forget` removes, as `forget` wrote them; `None` if no `forget` is unfinished.
    pub fn journal(&self) -> Result<Option<Vec<u8>>, PublishError> {
        self.store.read(JOURNAL)
    }

    /// The path of the file with the people whom an unfinished `forget` removes, for messages.
    pub fn journal_path(&self) -> PathBuf {
        self.store.shown(JOURNAL)
    }

    /// Writes the file with the people whom a `forget` removes, or removes this file if `journal` is `None`.
    pub fn set_journal(&self, journal: Option<&[u8]>) -> Result<(), PublishError> {
        match journal {
            Some(bytes) => self.store.write(JOURNAL, bytes),
            None => self.store.remove_file(JOURNAL),
        }
    }

    /// The work folder of a run or a backfill, with its spools.
    pub fn work_of(&self, months: Months) -> PathBuf {
        let name =
            if months.first == months.last { month_folder(months.first) } else { format!("{BACKFILL}{}_{}", months.first, months.last) };
        self.work_folder().join(name)
    }

    /// The months of unfinished runs and backfills on this machine.
    pub fn unfinished(&self) -> Result<Vec<Months>, PublishError> {
        let range = |name: &str| -> Option<Months> {
            let (first, last) = name.strip_prefix(BACKFILL)?.split_once('_')?;
            Some(Months { first: first.parse().ok()?, last: last.parse().ok()? })
        };
        let names = publish::folder_names(self.work_folder())?;
        let runs = names.iter().filter_map(|name| month_of(name)).map(Months::from);
        Ok(runs.chain(names.iter().filter_map(|name| range(name))).collect())
    }

    /// The local path of a file in `applied/` that belongs to no month; `None` if it does not exist.
    pub fn applied_file(&self, name: &str) -> Result<Option<PathBuf>, PublishError> {
        self.store.copy(&applied(name))
    }

    /// Publishes a file in `applied/` that belongs to no month. Replaces the existing file.
    pub fn publish_applied_file<E: From<PublishError>>(&self, name: &str, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
        let staging = Staging::new(&self.store.staging(), "pending")?;
        let path = staging.place(name)?;
        write(&path)?;
        let bytes = std::fs::read(&path).map_err(|error| PublishError::new("read", &path, error))?;
        Ok(self.store.write(&applied(name), &bytes)?)
    }

    /// Removes a file in `applied/`, if it exists.
    pub fn remove_applied_file(&self, name: &str) -> Result<(), PublishError> {
        self.store.remove_file(&applied(name))
    }

    /// Whether reading a file costs a request.
    pub fn is_remote(&self) -> bool {
        self.store.is_remote()
    }

    /// Whether there is a page that lists the months.
    pub fn has_index(&self) -> Result<bool, PublishError> {
        self.store.is_there(INDEX)
    }

    /// Writes the page that lists the months, unless it is unchanged.
    pub fn write_index(&self, html: &str) -> Result<(), PublishError> {
        let is_same = self.store.read(INDEX)?.is_some_and(|existing| existing == html.as_bytes());
        if is_same { Ok(()) } else { self.store.write(INDEX, html.as_bytes()) }
    }

    /// The URL of a month's file, relative to the page that lists the months; `None` if the file does not exist.
    pub fn link(&self, section: Section, month: Month, file: &str) -> Result<Option<String>, PublishError> {
        let link = format!("{}/{file}", month_path(section, month));
        Ok(self.store.is_there(&link)?.then_some(link))
    }

    /// Takes the job's lock and writes this process into it; `purpose` is the command. Then prepares the job's location for writing, and
    /// repairs what a crash left.
    ///
    /// # Errors
    /// If another process has the lock, or if nothing can be written.
    pub fn lock(&self, purpose: &str) -> Result<Lock, ArchiveError> {
        let lock = self.store.lock(purpose)?;
        publish::recover(self.work_folder())?;
        let unfinished = self.unfinished()?;
        if let Some(host) = lock.unfinished_on.as_ref().filter(|_| unfinished.is_empty()) {
            tracing::warn!(
                "the last run did not end; if its machine `{host}` is another one, what it fetched is there. It is fetched again here: `{}` has nothing of it",
                self.work_folder().display()
            );
        }
        for months in unfinished {
            publish::recover_beside(&self.work_of(months), |_, _| true)?;
        }
        Ok(lock)
    }

    /// The process that has the job's lock; `None` if there is none. Changes nothing.
    ///
    /// # Errors
    /// If the lock exists but cannot be read.
    pub fn holder(&self) -> Result<Option<Holder>, ArchiveError> {
        Ok(self.store.holder()?)
    }

    /// Tests, without the job's lock, whether the job can be stored at its location. Leaves no change.
    ///
    /// # Errors
    /// If nothing can be written, or if a bucket does not honour conditional writes.
    pub fn try_out(&self) -> Result<Tried, ArchiveError> {
        Ok(self.store.try_out()?)
    }

    /// The folder on this machine for unfinished runs. It needs space for a month.
    pub fn work_folder(&self) -> &Path {
        self.store.work()
    }

    /// Removes all months and all unfinished work, but not `applied/`. The caller must have the lock.
    pub fn clear(&self) -> Result<(), PublishError> {
        for section in [Section::Snapshots, Section::History, Section::Reports] {
            for name in self.store.folders(section.name())? {
                self.store.retire(&format!("{}/{name}", section.name()))?;
            }
        }
        self.store.remove_below(ENGINE)?;
        publish::remove_folder(self.work_folder())
    }

    /// Removes the remains of earlier versions of all months: files that no manifest lists (in a bucket they otherwise stay for a day),
    /// files of engines, and old versions that a bucket keeps. The caller must have the lock.
    pub fn purge(&self) -> Result<OldVersions, PublishError> {
        for section in [Section::Snapshots, Section::History, Section::Reports, Section::Applied] {
            for name in self.store.folders(section.name())? {
                self.store.purge(&format!("{}/{name}", section.name()))?;
            }
        }
        self.store.remove_below(ENGINE)?;
        self.purge_versions()
    }

    /// Removes the old versions that a bucket keeps of files that were replaced or removed.
    pub fn purge_versions(&self) -> Result<OldVersions, PublishError> {
        self.store.purge_versions()
    }

    /// A folder to write a month of a section into.
    pub fn stage(&self, section: Section, month: Month) -> Result<Staging, PublishError> {
        let staging =
            Staging::new(&self.store.staging(), &format!("{}-{month}", section.name()))?.published_at(&month_path(section, month));
        Ok(if section.has_hashed_names() { staging.with_hashed_names() } else { staging })
    }
}

/// The path of a month of a section.
fn month_path(section: Section, month: Month) -> String {
    format!("{}/{}", section.name(), month_folder(month))
}

fn applied(name: &str) -> String {
    format!("{}/{name}", Section::Applied.name())
}
