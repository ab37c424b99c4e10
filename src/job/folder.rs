//! The job's folder under the output folder: what is where, and its state after a crash.

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

/// Where a job keeps everything.
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

    /// What this job wrote back to Intercom.
    pub fn applied(&self) -> PathBuf {
        self.root.join("applied")
    }

    /// Whom a run is tagging, or was when it was interrupted.
    pub fn pending(&self) -> PathBuf {
        self.applied().join("pending.arrows")
    }

    pub fn work(&self) -> PathBuf {
        self.root.join(".work")
    }

    /// Whom a `forget` that has not ended is about.
    pub fn forgetting(&self) -> PathBuf {
        self.work().join("forgetting.json")
    }

    /// Where the streams of a run, or of a backfill, are spooled.
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

    /// Makes the folders and proves that they can be written, and that what is finished can be moved to where it is
    /// shown, before anything is asked of the API. Needs the lock: two processes that prove it at once would take each
    /// other's proof away.
    pub fn prepare(&self) -> Result<(), JobError> {
        for folder in [self.work(), self.snapshots(), self.histories(), self.reports()] {
            publish::create_folder(&folder)?;
        }
        prove(&self.work(), &self.work(), ".writable")?;
        self.tables().iter().filter(|table| is_there(table)).try_for_each(|table| prove(&self.work(), table, ".writable"))
    }

    /// Finds out the same, made where they are missing included, and leaves everything as it was: the folder that was
    /// tried, the nearest that exists. Needs no lock.
    pub fn try_out(&self) -> Result<PathBuf, JobError> {
        // The name is this process's own: the proof of a run beside it stays.
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

    /// Who works on the job. Only looks.
    ///
    /// # Errors
    /// When the lock is there and a run could not open it.
    pub fn holder(&self) -> Result<Option<Holder>, JobError> {
        lock::holder(&lock::path(&self.root), &self.work())
    }

    /// Takes the job's lock, and writes into it who holds it: `purpose` is the command.
    ///
    /// # Errors
    /// When another process holds it.
    pub fn lock(&self, purpose: &str) -> Result<Lock, JobError> {
        lock::take(&lock::path(&self.root), &self.work(), purpose)
    }

    /// Puts right what a crash in the middle of a swap may have left, and removes what was being written. Finished streams
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

/// Whether there is something at the path, be it a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Writes a file into one folder and moves it to another, from where it is removed.
fn prove(work: &Path, folder: &Path, name: &str) -> Result<(), JobError> {
    let (written, moved) = (work.join(name), folder.join(name));
    // What a process that was killed left.
    let _ = std::fs::remove_file(&written);
    let write = || OpenOptions::new().write(true).create_new(true).open(&written).map(drop);
    write().map_err(|error| PublishError::new("write in", work, error))?;
    std::fs::rename(&written, &moved).and_then(|()| std::fs::remove_file(&moved)).map_err(|error| {
        // It may still be where it was written.
        let _ = std::fs::remove_file(&written);
        match error.kind() {
            io::ErrorKind::CrossesDevices => JobError::OtherFileSystem { folder: folder.to_path_buf(), work: work.to_path_buf() },
            _ => PublishError::new("write in", folder, error).into(),
        }
    })
}
