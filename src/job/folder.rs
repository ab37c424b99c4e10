//! The job's folder under the output folder: its paths, and recovery after a crash.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use super::JobError;
use super::lock::{self, Holder, Lock};
use crate::settings::Settings;
use archive::publish::{self, MANIFEST, PublishError};
use archive::snapshot::{month_folder, month_of, months_in};
use domain::{Month, Months};
use reports::report::PAGE;

const BACKFILL: &str = "backfill=";

/// The folder of a job.
#[derive(Clone, Debug)]
pub struct JobFolder {
    root: PathBuf,
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

    /// The tags that this job wrote to Intercom.
    pub fn applied(&self) -> PathBuf {
        self.root.join("applied")
    }

    /// The contacts that a run is tagging, or was tagging when it was interrupted.
    pub fn pending(&self) -> PathBuf {
        self.applied().join("pending.arrows")
    }

    pub fn work(&self) -> PathBuf {
        self.root.join(".work")
    }

    /// The persons of an unfinished `forget`.
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

    /// The folders of published folders.
    fn tables(&self) -> [PathBuf; 4] {
        [self.snapshots(), self.histories(), self.reports(), self.applied()]
    }

    /// Creates the folders and checks, before the first request, that they can be written and that finished folders can be moved
    /// to their place. Needs the lock: two processes would remove each other's test file.
    pub fn prepare(&self) -> Result<(), JobError> {
        for folder in [self.work(), self.snapshots(), self.histories(), self.reports()] {
            publish::create_folder(&folder)?;
        }
        prove(&self.work(), &self.work(), ".writable")?;
        self.tables().iter().filter(|table| is_there(table)).try_for_each(|table| prove(&self.work(), table, ".writable"))
    }

    /// Checks the same without a change that stays, and without the lock. Returns the folder that was tried: the nearest existing
    /// one.
    pub fn try_out(&self) -> Result<PathBuf, JobError> {
        // A name of this process: the test file of a run at the same time stays.
        let name = format!(".writable-{}", std::process::id());
        let existing = self.root.ancestors().find(|folder| is_there(folder)).unwrap_or(Path::new("."));
        prove(existing, existing, &name)?;
        if existing == self.root {
            let work = if is_there(&self.work()) { self.work() } else { self.root.clone() };
            prove(&work, &work, &name)?;
            self.tables().iter().filter(|table| is_there(table)).try_for_each(|table| prove(&work, table, &name))?;
        }
        Ok(existing.to_path_buf())
    }

    /// The process that works on the job. Changes nothing.
    ///
    /// # Errors
    /// If there is a lock that a run could not open.
    pub fn holder(&self) -> Result<Option<Holder>, JobError> {
        lock::holder(&lock::path(&self.root), &self.work())
    }

    /// Takes the job's lock and writes this process into it; `purpose` is the command.
    ///
    /// # Errors
    /// If another process has it.
    pub fn lock(&self, purpose: &str) -> Result<Lock, JobError> {
        lock::take(&lock::path(&self.root), &self.work(), purpose)
    }

    /// Recovers from a crash during a swap and removes staged files. Finished streams stay, and so do files of others in the
    /// folders of months. Needs the lock.
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

/// Whether the path exists, also as a dangling link.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Writes a file into one folder, moves it to another, and removes it.
fn prove(work: &Path, folder: &Path, name: &str) -> Result<(), JobError> {
    let (written, moved) = (work.join(name), folder.join(name));
    // The file of a process that was killed.
    let _ = std::fs::remove_file(&written);
    let write = || OpenOptions::new().write(true).create_new(true).open(&written).map(drop);
    write().map_err(|error| PublishError::new("write in", work, error))?;
    std::fs::rename(&written, &moved).and_then(|()| std::fs::remove_file(&moved)).map_err(|error| {
        // It may not have been moved.
        let _ = std::fs::remove_file(&written);
        match error.kind() {
            io::ErrorKind::CrossesDevices => JobError::OtherFileSystem { folder: folder.to_path_buf(), work: work.to_path_buf() },
            _ => PublishError::new("write in", folder, error).into(),
        }
    })
}
