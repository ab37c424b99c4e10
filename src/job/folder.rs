//! The job's folder under the output folder: what is where, its lock, and its state after a crash.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::JobError;
use crate::domain::{Month, Months};
use crate::publish::{self, MANIFEST, PublishError};
use crate::report::PAGE;
use crate::settings::Settings;
use crate::snapshot::{month_folder, month_of, months_in};

const BACKFILL: &str = "backfill=";
/// Bytes of a lock file that are read.
const HOLDER_MAX: u64 = 200;

/// Where a job keeps everything.
#[derive(Clone, Debug)]
pub struct JobFolder {
    root: PathBuf,
}

/// Held while something writes into the job's folder; released when dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody holds it any more. What a process that was killed left there is passed over.
        let _ = self.file.set_len(0);
    }
}

impl JobFolder {
    pub fn new(settings: &Settings) -> JobFolder {
        JobFolder { root: settings.output.dir.join(&settings.job.name) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The page that lists the months.
    pub fn index(&self) -> PathBuf {
        self.root.join("index.html")
    }

    pub fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub fn histories(&self) -> PathBuf {
        self.root.join("history")
    }

    pub fn reports(&self) -> PathBuf {
        self.root.join("reports")
    }

    /// A month's page.
    pub fn page(&self, month: Month) -> PathBuf {
        self.reports().join(month_folder(month)).join(PAGE)
    }

    /// What this job wrote back to Intercom.
    pub fn applied(&self) -> PathBuf {
        self.root.join("applied")
    }

    /// Whom a run is tagging, or was when it was interrupted.
    pub fn pending(&self) -> PathBuf {
        self.applied().join("pending.parquet")
    }

    pub fn work(&self) -> PathBuf {
        self.root.join(".work")
    }

    /// Whom a `forget` that has not ended is about.
    pub fn forgetting(&self) -> PathBuf {
        self.work().join("forgetting.json")
    }

    /// Where the walks of a run, or of a backfill, are spooled.
    pub fn work_of(&self, months: Months) -> PathBuf {
        let name =
            if months.first == months.last { month_folder(months.first) } else { format!("{BACKFILL}{}_{}", months.first, months.last) };
        self.work().join(name)
    }

    /// The months of the runs and backfills that have not ended.
    pub fn unfinished(&self) -> Result<Vec<Months>, PublishError> {
        let range = |name: &str| -> Option<Months> {
            let (first, last) = name.strip_prefix(BACKFILL)?.split_once('_')?;
            Some(Months { first: first.parse().ok()?, last: last.parse().ok()? })
        };
        let runs = months_in(&self.work())?.into_iter().map(Months::from);
        Ok(runs.chain(publish::folder_names(&self.work())?.iter().filter_map(|name| range(name))).collect())
    }

    /// The folders of published folders.
    fn tables(&self) -> [PathBuf; 4] {
        [self.snapshots(), self.histories(), self.reports(), self.applied()]
    }

    /// Makes the folders and proves that they can be written, before anything is asked of the API. Needs the lock: two
    /// processes that prove it at once would take each other's proof away.
    pub fn prepare(&self) -> Result<(), JobError> {
        for folder in [self.snapshots(), self.histories(), self.reports(), self.work()] {
            publish::create_folder(&folder)?;
            let probe = folder.join(".writable");
            publish::write_file(&probe, b"")?;
            std::fs::remove_file(&probe).map_err(|error| PublishError::new("write in", &folder, error))?;
        }
        Ok(())
    }

    /// Finds out whether the folders can be written, made where they are missing included, and leaves everything as it
    /// was: the folder that was tried, the nearest that exists. Needs no lock.
    pub fn try_out(&self) -> Result<PathBuf, PublishError> {
        // The name is this process's own: the proof of a run beside it stays.
        let name = format!(".writable-{}", std::process::id());
        let existing = self.root.ancestors().find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
        let mut folders = vec![existing.to_path_buf()];
        if existing == self.root {
            folders.extend([self.snapshots(), self.histories(), self.reports(), self.work()]);
        }
        for folder in folders.iter().filter(|folder| folder.symlink_metadata().is_ok()) {
            let probe = folder.join(&name);
            let proof = OpenOptions::new().write(true).create_new(true).open(&probe).and_then(|_| std::fs::remove_file(&probe));
            proof.map_err(|error| PublishError::new("write in", folder, error))?;
        }
        Ok(existing.to_path_buf())
    }

    /// Whether a process works on the job. Only looks: nothing is made, and what it takes for the look is shared and gone
    /// at once.
    ///
    /// # Errors
    /// When the lock is there and a run could not open it.
    pub fn is_locked(&self) -> Result<bool, JobError> {
        let path = self.root.join(".lock");
        match OpenOptions::new().write(true).open(&path) {
            Ok(file) => Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(PublishError::new("open", &path, error).into()),
        }
    }

    /// Takes the job's lock, and writes into it who holds it: `purpose` is the command.
    ///
    /// # Errors
    /// When another process holds it. A process that has ended holds nothing, whatever stands in the file.
    pub fn lock(&self, purpose: &str) -> Result<Lock, JobError> {
        publish::create_folder(&self.root)?;
        let path = self.root.join(".lock");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).map_err(|error| PublishError::new("open", &path, error))?;
        match file.try_lock() {
            Ok(()) => {
                let holder = format!("process {} (`cohorts {purpose}`)", std::process::id());
                // Who holds it is for a message only: a disk that is full is found out where it matters.
                let _ = file.set_len(0).and_then(|()| file.write_all(holder.as_bytes()));
                Ok(Lock { file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What is no text, or of no use, is left out of the message.
                let _ = file.take(HOLDER_MAX).read_to_string(&mut holder);
                let is_plain = !holder.is_empty() && !holder.contains(|character: char| character.is_control());
                Err(JobError::Locked { path, holder: if is_plain { holder } else { "another process".to_string() } })
            }
            Err(TryLockError::Error(error)) => Err(PublishError::new("lock", &path, error).into()),
        }
    }

    /// Puts right what a crash in the middle of a swap may have left, and removes what was being written. Finished walks
    /// stay, and so does everything in the folders of months that this program did not put there. Needs the lock.
    pub fn recover(&self) -> Result<(), JobError> {
        publish::recover(&self.work())?;
        let is_month = |shown: &str, aside: &Path| month_of(shown).is_some() && aside.join(MANIFEST).exists();
        self.tables().iter().try_for_each(|table| publish::recover_beside(table, is_month))?;
        for months in self.unfinished()? {
            publish::recover_beside(&self.work_of(months), |_, _| true)?;
        }
        Ok(())
    }
}
