//! Stores the files of a job: in a folder of this machine, or below a prefix in a bucket. This folder or prefix is the job's location. All
//! other modules of this crate use paths relative to it, with `/` between names: `snapshots/run_month=2026-10/manifest.json`.

pub(crate) mod bucket;
mod flock;
pub(crate) mod folder;
mod location;
mod machine;
mod verified;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::publish::{ListedFile, PublishError, Staging};

pub use location::{BucketUri, Location};
pub use verified::{Damage, ListedFiles, ReadManifest};

#[cfg(test)]
mod tests;

/// The folder, relative to the job's location, in which engines outside of this process write. The next command removes what an interrupted
/// command left in it.
pub(crate) const ENGINE: &str = ".engine";
/// The prefix of the names of folders below [`ENGINE`] in which an engine is tested, without the lock.
pub(crate) const CHECK: &str = "check-";
/// A folder below [`ENGINE`] with this file is not removed, because a person runs the queries of its script.
pub(crate) const SCRIPT: &str = "script.json";

/// Stores the files of a job. All methods block.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// A path as it is written in messages.
    fn shown(&self, path: &str) -> PathBuf;

    /// The folder on this machine for unfinished runs.
    fn work(&self) -> &Path;

    /// The folder on this machine in which folders are written before they are published.
    fn staging(&self) -> PathBuf;

    /// Whether reading a file costs a request.
    fn is_remote(&self) -> bool;

    /// The names of the folders that were published below a path, ascending.
    fn folders(&self, path: &str) -> Result<Vec<String>, PublishError>;

    /// Whether there is a file, or a published folder, with this path. A broken link counts.
    fn is_there(&self, path: &str) -> Result<bool, PublishError>;

    /// The bytes of a small file; `None` if it does not exist.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError>;

    /// The path on this machine of a small file, or of a copy of it; `None` if it does not exist.
    fn copy(&self, path: &str) -> Result<Option<PathBuf>, PublishError>;

    /// Writes a small file, or replaces it in one step.
    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError>;

    /// Removes a file, if it exists.
    fn remove_file(&self, path: &str) -> Result<(), PublishError>;

    /// Publishes a folder with its manifest, which becomes visible last. Replaces the existing folder.
    fn publish(&self, staging: Staging, target: &str) -> Result<(), PublishError>;

    /// Unpublishes a folder, if it exists, and removes its files.
    fn retire(&self, path: &str) -> Result<(), PublishError>;

    /// Removes files of earlier versions of a published folder immediately, and not only when they are a day old.
    fn purge(&self, path: &str) -> Result<(), PublishError>;

    /// Removes the old versions that a bucket keeps of files that were replaced or removed.
    fn purge_versions(&self) -> Result<OldVersions, PublishError>;

    /// The path on this machine of a listed file. It may not exist yet.
    fn local_path(&self, folder: &str, file: &ListedFile) -> PathBuf;

    /// Brings a listed file to its path on this machine, if it is not there, and compares it with its hash.
    fn fetch(&self, folder: &str, file: &ListedFile) -> Result<(), Problem>;

    /// Compares a listed file with its hash where it is stored, and ignores a cached copy on this machine.
    fn verify(&self, folder: &str, file: &ListedFile) -> Result<(), Problem>;

    /// The problem of a listed file, if it is missing or has another size.
    fn misses(&self, folder: &str, file: &ListedFile) -> Option<Problem>;

    /// The bytes of all files below a path.
    fn bytes_below(&self, path: &str) -> u64;

    /// The Parquet files that an engine wrote directly into a folder, in the order of their names. Each call lists the folder again.
    fn written_below(&self, folder: &str) -> Result<Vec<WrittenFile>, PublishError>;

    /// The last bytes of a file that an engine wrote.
    fn tail(&self, file: &WrittenFile, bytes: u64) -> Result<Vec<u8>, PublishError>;

    /// Makes a file that an engine wrote available on this machine.
    fn fetch_written(&self, file: &WrittenFile) -> Result<LocalFile, PublishError>;

    /// Adds a file that an engine wrote to a folder that is being written. In a bucket, the file is copied to where the folder will be
    /// published.
    fn place(&self, file: &WrittenFile, staging: &Staging, relative: &str, rows: u64) -> Result<(), PublishError>;

    /// Removes a folder of an engine.
    fn remove_below(&self, folder: &str) -> Result<(), PublishError>;

    /// Takes the job's lock; `purpose` is the command. Then prepares the job's location for writing, and repairs what a crash left.
    ///
    /// # Errors
    /// If another process has the lock, or if nothing can be written.
    fn lock(&self, purpose: &str) -> Result<Lock, StoreError>;

    /// The process that has the job's lock; `None` if there is none. Changes nothing.
    fn holder(&self) -> Result<Option<Holder>, StoreError>;

    /// Tests, without the job's lock, whether the job can be stored at its location. Leaves no change.
    fn try_out(&self) -> Result<Tried, StoreError>;
}

/// A file that an engine wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenFile {
    pub path: String,
    pub bytes: u64,
    /// The ETag of the file's version in a bucket; `None` for a file in a folder.
    pub tag: Option<String>,
}

/// Whether a file of this name has rows. Engines also write files without rows (checksums, markers of success), whose names begin with `_`
/// or `.`.
fn is_of_engine(name: &str) -> bool {
    name.ends_with(".parquet") && !name.starts_with(['_', '.'])
}

/// A file on this machine.
#[derive(Debug)]
pub(crate) enum LocalFile {
    InPlace(PathBuf),
    /// A copy, which is removed when this is dropped.
    Copy(PathBuf),
}

impl LocalFile {
    pub(crate) fn path(&self) -> &Path {
        match self {
            LocalFile::InPlace(path) | LocalFile::Copy(path) => path,
        }
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        if let LocalFile::Copy(path) = self {
            // Best effort: a copy that stays is removed with its folder by [`Store::purge_versions`].
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Why a job cannot be stored at a location.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("`{path}` is locked: {holder}", path = .path.display())]
    Locked { path: PathBuf, holder: Holder },
    #[error("`{}` is on another file system than `{}`: finished folders cannot be moved there in one step", .folder.display(), .work.display())]
    OtherFileSystem { folder: PathBuf, work: PathBuf },
    #[error("`{place}` accepts writes whose condition does not hold, so two runs could overwrite each other's months", place = .place.display())]
    Unconditional { place: PathBuf },
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why a bucket did not do what it was asked. It is the inner error of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// It could not be reached, or kept failing. The same request works later.
    #[error("{0}")]
    Unreachable(String),
    /// It refused the request. The same request is refused again.
    #[error("{0}")]
    Refused(String),
    /// Another process has the job's lock now.
    #[error("this run no longer has the job's lock: {0}")]
    LostLock(String),
}

impl BucketError {
    /// The error of a bucket among the causes of an error.
    pub fn find_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a BucketError> {
        let mut causes = std::iter::successors(Some(error), |&cause| cause.source());
        causes.find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
    }
}

/// The process that works on a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub process: String,
    /// When the process took the lock; `None` if unknown.
    pub since: Option<DateTime<Utc>>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} works on this job", self.process)?;
        match self.since {
            Some(since) => write!(f, " since {}", since.format("%Y-%m-%d %H:%M:%S UTC")),
            None => Ok(()),
        }
    }
}

/// What became of the old versions of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldVersions {
    /// This number of old versions was removed. 0 if none are kept.
    Removed(u64),
    /// It is unknown whether there are old versions. The text says why, and what to do.
    Unknown(String),
}

/// What is wrong with a file.
#[derive(Clone, Debug)]
pub(crate) enum Problem {
    /// It differs from what was published, or the disk cannot read it.
    Damage(String),
    /// It is unknown whether the file is damaged, because it could not be read: the store does not answer, a permission is missing, or the
    /// disk is full.
    Unreachable(Arc<PublishError>),
}

/// Whether an error does not show that a file is damaged: the bucket failed, a permission is missing, or the disk is full.
fn says_nothing(error: &io::Error) -> bool {
    let is_of_bucket = error.get_ref().is_some_and(|error| error.is::<BucketError>());
    is_of_bucket || error.kind() == io::ErrorKind::PermissionDenied || crate::disk::is_full(error)
}

/// The result of a successful test of the job's location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The job's folder can be written.
    Writable,
    /// The job's folder does not exist, and can be made in this folder.
    CanBeMade(PathBuf),
    /// The bucket can be read and written, and honours conditional writes.
    Bucket,
}

/// Kept while a process writes. The lock is released when this is dropped, or when the process ends.
pub struct Lock {
    _held: Box<dyn Any + Send + Sync>,
    /// The host of a run that did not end. The unfinished work of that run is on that host.
    pub(crate) unfinished_on: Option<String>,
}

impl Lock {
    pub(crate) fn new(held: impl Any + Send + Sync) -> Lock {
        Lock { _held: Box::new(held), unfinished_on: None }
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lock")
    }
}
