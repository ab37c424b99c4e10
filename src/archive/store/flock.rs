//! The lock of a job's folder: only one process at a time may write.
//!
//! The lock is `flock` on `.lock`. The system releases it when the process ends, even after a crash. A file can be deleted and
//! created again while it is locked. Therefore the work folder is locked too, if the file system can lock folders, and a lock
//! counts only if its file is still at the path.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

use super::{Holder, StoreError};
use crate::publish::{self, PublishError};

/// The maximum number of bytes that are read of a lock file.
const HOLDER_MAX: u64 = 200;
/// The number of tries. The first try may fail although no process works on the job: another process only checks the lock, or the
/// file was just deleted.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Kept while a process writes into the job's folder. Released when dropped, or when the process ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    /// The work folder, which is locked too if the file system can lock folders.
    _folder: Option<File>,
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Empties the file. If a killed process left its text in the file, the text is ignored.
        let _ = self.file.set_len(0);
    }
}

/// The result of one try.
enum Try {
    Taken(FileLock),
    Held(Holder),
    /// The locked file is no longer at the path.
    Replaced,
}

/// Takes the lock and writes this process into it; `purpose` is the command.
///
/// # Errors
/// If another process has the lock. A process that has ended has no lock, even if the file still names it.
pub(super) fn take(path: &Path, work: &Path, purpose: &str) -> Result<FileLock, StoreError> {
    publish::create_folder(work)?;
    let mut outcome = Try::Replaced;
    for attempt in 0..TRIES {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        outcome = once(path, work).map_err(|error| PublishError::new("lock", path, error))?;
        if matches!(outcome, Try::Taken(_)) {
            break;
        }
    }
    match outcome {
        Try::Taken(mut lock) => {
            let holder = format!("process {} (`cohorts {purpose}`)", std::process::id());
            // The text is only for messages, so a full disk does not matter here.
            let _ = lock.file.set_len(0).and_then(|()| lock.file.write_all(holder.as_bytes()));
            Ok(lock)
        }
        Try::Held(holder) => Err(StoreError::Locked { path: path.to_path_buf(), holder }),
        Try::Replaced => {
            let problem = io::Error::other("another program deletes and creates it all the time");
            Err(PublishError::new("lock", path, problem).into())
        }
    }
}

fn once(path: &Path, work: &Path) -> io::Result<Try> {
    let file = opened(path, OpenOptions::new().create(true).truncate(false))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Try::Held(holder_in(&file))),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if !is_at(&file, path)? {
        return Ok(Try::Replaced);
    }
    // If the file system cannot lock folders (NFS), only the file is locked.
    let folder = File::open(work).ok();
    if let Some(Err(TryLockError::WouldBlock)) = folder.as_ref().map(File::try_lock) {
        return Ok(Try::Held(Holder { process: "another process".to_string(), since: None }));
    }
    Ok(Try::Taken(FileLock { file, _folder: folder }))
}

/// The process that has the lock; `None` if there is none. Creates nothing. Takes only a shared lock and releases it immediately.
///
/// # Errors
/// If the lock file exists but cannot be opened.
pub(super) fn holder(path: &Path, work: &Path) -> Result<Option<Holder>, StoreError> {
    let is_held = |file: &File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    match opened(path, &mut OpenOptions::new()) {
        Ok(file) if is_held(&file) => return Ok(Some(holder_in(&file))),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(PublishError::new("open", path, error).into()),
        Ok(_) | Err(_) => {}
    }
    let is_at_work = File::open(work).is_ok_and(|folder| is_held(&folder));
    Ok(is_at_work.then(|| Holder { process: "another process".to_string(), since: None }))
}

/// Opens the lock file itself, never the target of a link.
fn opened(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.read(true).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    options.open(path).map_err(|error| match path.symlink_metadata() {
        Ok(found) if found.is_symlink() => io::Error::other("it is a symbolic link, which cannot be locked; delete it"),
        _ => error,
    })
}

/// Whether an opened file is the file at the path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let held = file.metadata()?;
    match path.symlink_metadata() {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// The process that a lock file names. If the text of the file cannot be used, this is `another process`.
fn holder_in(file: &File) -> Holder {
    let mut process = String::new();
    let _ = file.take(HOLDER_MAX).read_to_string(&mut process);
    if process.is_empty() || process.contains(|character: char| character.is_control()) {
        return Holder { process: "another process".to_string(), since: None };
    }
    // The file is written once, when the lock is taken. So its modification time is the time of the lock.
    let since = file.metadata().and_then(|found| found.modified()).ok();
    Holder { process, since: since.map(|since| DateTime::<Utc>::from(since).trunc_subsecs(0)) }
}

/// The path of a job's lock.
pub(super) fn path(root: &Path) -> PathBuf {
    root.join(".lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            Place(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            path(self.0.path())
        }

        fn work(&self) -> PathBuf {
            self.0.path().join(".work")
        }

        fn take(&self) -> Result<FileLock, StoreError> {
            take(&self.path(), &self.work(), "run")
        }

        fn holder(&self) -> Option<Holder> {
            holder(&self.path(), &self.work()).unwrap()
        }
    }

    #[test]
    fn one_at_a_time_and_its_holder_is_named() {
        let place = Place::new();
        assert_eq!(place.holder(), None, "and nothing is made by looking");
        assert!(!place.work().exists() && !place.path().exists());
        let lock = place.take().unwrap();
        let holder = place.holder().unwrap();
        assert_eq!(holder.process, format!("process {} (`cohorts run`)", std::process::id()));
        let since = holder.since.unwrap();
        let age = DateTime::<Utc>::from(std::time::SystemTime::now()) - since;
        assert!((0..60).contains(&age.num_seconds()), "{age}");
        let refused = place.take().unwrap_err().to_string();
        assert!(refused.contains(&holder.to_string()) && refused.contains("since 2"), "{refused}");
        drop(lock);
        assert_eq!(place.holder(), None);
        drop(place.take().unwrap());
    }

    #[test]
    fn a_lock_file_that_is_deleted_and_created_again_lets_nobody_else_in() {
        let place = Place::new();
        let lock = place.take().unwrap();
        std::fs::remove_file(place.path()).unwrap();
        assert!(place.holder().is_some());
        assert!(matches!(place.take(), Err(StoreError::Locked { .. })));
        assert!(matches!(place.take(), Err(StoreError::Locked { .. })), "nor when it is there again");
        drop(lock);
        place.take().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_counts_only_on_the_file_at_the_path() {
        let place = Place::new();
        publish::create_folder(&place.work()).unwrap();
        let file = opened(&place.path(), OpenOptions::new().create(true).truncate(false)).unwrap();
        assert!(is_at(&file, &place.path()).unwrap());
        std::fs::remove_file(place.path()).unwrap();
        assert!(!is_at(&file, &place.path()).unwrap());
        std::fs::write(place.path(), "").unwrap();
        assert!(!is_at(&file, &place.path()).unwrap());
        // A lock on the deleted file does not stop a process that locks the new file at the path.
        file.try_lock().unwrap();
        place.take().unwrap();
    }

    #[test]
    fn a_look_keeps_nobody_out() {
        let place = Place::new();
        drop(place.take().unwrap());
        let looking = File::open(place.path()).unwrap();
        looking.lock_shared().unwrap();
        std::thread::scope(|scope| {
            let taking = scope.spawn(|| place.take().map(drop));
            std::thread::sleep(PAUSE);
            drop(looking);
            taking.join().unwrap().unwrap();
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_locked_through() {
        let place = Place::new();
        std::fs::write(place.0.path().join("victim"), "theirs").unwrap();
        for target in ["victim", "nothing"] {
            std::os::unix::fs::symlink(place.0.path().join(target), place.path()).unwrap();
            let error = place.take().unwrap_err();
            let message = format!("{error}: {}", std::error::Error::source(&error).unwrap());
            assert!(message.contains(".lock") && message.contains("symbolic link"), "{message}");
            assert!(holder(&place.path(), &place.work()).is_err());
            std::fs::remove_file(place.path()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(place.0.path().join("victim")).unwrap(), "theirs");
        assert!(!place.0.path().join("nothing").exists());
    }
}
