//! A job's folder on this machine.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ENGINE, Holder, LocalFile, Lock, OldVersions, Problem, SCRIPT, Store, StoreError, Tried, WrittenFile, flock};
use crate::publish::{self, ListedFile, MANIFEST, PublishError, Staging};
use domain::Month;

/// The folders in the job's folder that contain published folders.
const SECTIONS: [&str; 4] = ["snapshots", "history", "reports", "applied"];
/// How the names of published folders begin.
const MONTH: &str = "run_month=";

/// A job's folder. What is published appears in it in one step.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    work: PathBuf,
}

impl Folder {
    /// `work` is the folder for unfinished runs, by default `.work` in the job's folder.
    pub(crate) fn new(root: PathBuf, work: Option<PathBuf>) -> Folder {
        Folder { work: work.unwrap_or_else(|| staging_in(&root)), root }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The sections that exist.
    fn sections(&self) -> impl Iterator<Item = PathBuf> {
        SECTIONS.map(|name| self.at(name)).into_iter().filter(|section| is_there(section))
    }

    fn lock_file(&self) -> PathBuf {
        flock::path(&self.root)
    }

    /// Creates the folders. Checks, before the first request, that they can be written and that finished folders can be moved to
    /// their target. The caller must have the lock: without it, two processes would remove each other's test file.
    fn prepare(&self) -> Result<(), StoreError> {
        let staging = self.staging();
        for folder in [&self.work, &staging] {
            publish::create_folder(folder)?;
        }
        for section in ["snapshots", "history", "reports"] {
            publish::create_folder(&self.at(section))?;
        }
        prove(&self.work, &self.work, ".writable")?;
        prove(&staging, &staging, ".writable")?;
        self.sections().try_for_each(|section| prove(&staging, &section, ".writable"))
    }

    /// Recovers from a crash during a swap, and removes staged files and what engines left. Keeps finished streams, and files in the
    /// folders of months that this program did not write. The caller must have the lock.
    fn recover(&self) -> Result<(), PublishError> {
        publish::recover(&self.staging())?;
        let engines = self.at(ENGINE);
        for name in publish::folder_names(&engines)? {
            if !is_there(&engines.join(&name).join(SCRIPT)) {
                publish::remove_folder(&engines.join(&name))?;
            }
        }
        let is_month = |name: &str| name.strip_prefix(MONTH).is_some_and(|month| month.parse::<Month>().is_ok());
        self.sections()
            .try_for_each(|section| publish::recover_beside(&section, |name, aside| is_month(name) && aside.join(MANIFEST).exists()))
    }
}

impl Store for Folder {
    fn shown(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.at(path) }
    }

    fn work(&self) -> &Path {
        &self.work
    }

    /// Folders are moved to their target in one step, so they are written on the same file system.
    fn staging(&self) -> PathBuf {
        staging_in(&self.root)
    }

    fn is_remote(&self) -> bool {
        false
    }

    fn folders(&self, path: &str) -> Result<Vec<String>, PublishError> {
        publish::folder_names(&self.at(path))
    }

    fn is_there(&self, path: &str) -> Result<bool, PublishError> {
        Ok(is_there(&self.at(path)))
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let path = self.at(path);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(PublishError::new("read", &path, error)),
        }
    }

    fn copy(&self, path: &str) -> Result<Option<PathBuf>, PublishError> {
        Ok(Some(self.at(path)).filter(|path| path.exists()))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        let path = self.at(path);
        publish::create_folder(path.parent().unwrap_or(&self.root))?;
        publish::write_file(&path, bytes)
    }

    fn remove_file(&self, path: &str) -> Result<(), PublishError> {
        publish::remove_file(&self.at(path))
    }

    fn publish(&self, staging: Staging, target: &str) -> Result<(), PublishError> {
        staging.replace(&self.at(target))
    }

    fn retire(&self, path: &str) -> Result<(), PublishError> {
        publish::retire(&self.at(path), &self.staging())
    }

    /// A folder is replaced whole, so no file of an earlier version is left.
    fn purge(&self, _path: &str) -> Result<(), PublishError> {
        Ok(())
    }

    fn purge_versions(&self) -> Result<OldVersions, PublishError> {
        Ok(OldVersions::Removed(0))
    }

    fn local_path(&self, folder: &str, file: &ListedFile) -> PathBuf {
        self.at(folder).join(&file.path)
    }

    fn fetch(&self, folder: &str, file: &ListedFile) -> Result<(), Problem> {
        if let Some(problem) = self.misses(folder, file) {
            return Err(problem);
        }
        match file.checksum.is_of(&self.local_path(folder, file)) {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(Problem::Damage(format!("`{}` differs from what was published", file.path))),
            Ok(None) => Err(Problem::Damage(format!("`{}` has a checksum that only its bucket can compare", file.path))),
            Err(error) if super::says_nothing(error.cause()) => Err(Problem::Unreachable(Arc::new(error))),
            Err(error) => Err(Problem::Damage(format!("`{}` cannot be read ({})", file.path, error.cause()))),
        }
    }

    fn verify(&self, folder: &str, file: &ListedFile) -> Result<(), Problem> {
        self.fetch(folder, file)
    }

    fn misses(&self, folder: &str, file: &ListedFile) -> Option<Problem> {
        let name = &file.path;
        let path = self.local_path(folder, file);
        let problem = match std::fs::metadata(&path) {
            Ok(found) if found.len() == file.bytes => return None,
            Ok(found) => format!("`{name}` has {} bytes instead of {}", found.len(), file.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => format!("`{name}` is missing"),
            Err(error) if super::says_nothing(&error) => {
                return Some(Problem::Unreachable(Arc::new(PublishError::new("read", &path, error))));
            }
            Err(error) => format!("`{name}` cannot be read ({error})"),
        };
        Some(Problem::Damage(problem))
    }

    fn bytes_below(&self, path: &str) -> u64 {
        bytes_in(&self.at(path))
    }

    fn written_below(&self, folder: &str) -> Result<Vec<WrittenFile>, PublishError> {
        let names = publish::file_names(&self.at(folder))?.into_iter().filter(|name| super::is_of_engine(name));
        let file = |name: String| {
            let path = format!("{folder}/{name}");
            let found = std::fs::metadata(self.at(&path)).map_err(|error| PublishError::new("read", &self.at(&path), error))?;
            Ok(WrittenFile { path, bytes: found.len(), tag: None })
        };
        names.map(file).collect()
    }

    fn tail(&self, file: &WrittenFile, bytes: u64) -> Result<Vec<u8>, PublishError> {
        let path = self.at(&file.path);
        let read = || {
            let mut opened = std::fs::File::open(&path)?;
            opened.seek(io::SeekFrom::Start(file.bytes.saturating_sub(bytes)))?;
            let mut end = Vec::new();
            opened.take(bytes).read_to_end(&mut end)?;
            Ok(end)
        };
        read().map_err(|error| PublishError::new("read", &path, error))
    }

    fn fetch_written(&self, file: &WrittenFile) -> Result<LocalFile, PublishError> {
        Ok(LocalFile::InPlace(self.at(&file.path)))
    }

    fn place(&self, file: &WrittenFile, staging: &Staging, relative: &str, rows: u64) -> Result<(), PublishError> {
        // The bytes are copied, not linked: an engine may still have the file open.
        let (from, to) = (self.at(&file.path), staging.place(relative)?);
        publish::copy_bytes(&from, &to)?;
        staging.list(relative, rows)
    }

    fn remove_below(&self, folder: &str) -> Result<(), PublishError> {
        publish::remove_folder(&self.at(folder))?;
        // Best effort: an empty folder is harmless.
        let _ = std::fs::remove_dir(self.at(ENGINE));
        Ok(())
    }

    fn lock(&self, purpose: &str) -> Result<Lock, StoreError> {
        let lock = flock::take(&self.lock_file(), &self.staging(), purpose)?;
        self.prepare()?;
        self.recover()?;
        Ok(Lock::new(lock))
    }

    fn holder(&self) -> Result<Option<Holder>, StoreError> {
        flock::holder(&self.lock_file(), &self.staging())
    }

    /// Makes the checks of `prepare`, in the nearest existing folder.
    fn try_out(&self) -> Result<Tried, StoreError> {
        // The name contains the process ID. So the test file of a run at the same time is not removed.
        let name = format!(".writable-{}", std::process::id());
        let existing = nearest(&self.root);
        prove(existing, existing, &name)?;
        if self.work != self.staging() {
            let work = nearest(&self.work);
            prove(work, work, &name)?;
        }
        if existing != self.root {
            return Ok(Tried::CanBeMade(existing.to_path_buf()));
        }
        let staging = Some(self.staging()).filter(|staging| is_there(staging)).unwrap_or_else(|| self.root.clone());
        prove(&staging, &staging, &name)?;
        self.sections().try_for_each(|section| prove(&staging, &section, &name))?;
        Ok(Tried::Writable)
    }
}

fn staging_in(root: &Path) -> PathBuf {
    root.join(".work")
}

/// The folder itself, or the nearest one above it that exists.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| is_there(folder)).unwrap_or(Path::new("."))
}

/// Whether the path exists. A broken link counts as existing.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.filter_map(|entry| {
        let found = entry.metadata().ok()?;
        Some(if found.is_dir() { bytes_in(&entry.path()) } else { found.len() })
    });
    bytes.sum()
}

/// Tests that both folders can be written and that a file can be moved from one to the other: creates an empty file in `work`, moves it
/// to `folder` and removes it.
fn prove(work: &Path, folder: &Path, name: &str) -> Result<(), StoreError> {
    let (written, moved) = (work.join(name), folder.join(name));
    // A process that was killed may have left this file.
    let _ = std::fs::remove_file(&written);
    let write = || OpenOptions::new().write(true).create_new(true).open(&written).map(drop);
    write().map_err(|error| PublishError::new("write in", work, error))?;
    std::fs::rename(&written, &moved).and_then(|()| std::fs::remove_file(&moved)).map_err(|error| {
        // If the move failed, the file is still here.
        let _ = std::fs::remove_file(&written);
        match error.kind() {
            io::ErrorKind::CrossesDevices => StoreError::OtherFileSystem { folder: folder.to_path_buf(), work: work.to_path_buf() },
            _ => PublishError::new("write in", folder, error).into(),
        }
    })
}
