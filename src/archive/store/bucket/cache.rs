//! Copies of a bucket's files on this machine. A copy is named by its SHA-256, and each process that uses the copy compares it with this
//! hash once. For a file that is listed with an ETag, the SHA-256 is unknown, so each process fetches the file once. The folder may be
//! removed at any time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::publish::{self, PublishError};

/// The end of the name of a file that is being fetched.
const PART: &str = ".part";

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
    /// The files that this process uses. They are never removed to make room.
    used: Mutex<BTreeSet<String>>,
}

impl Cache {
    pub(super) fn new(folder: PathBuf, max_bytes: u64) -> Cache {
        Cache { folder, max_bytes, used: Mutex::default() }
    }

    pub(super) fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }

    /// Whether the file is here, undamaged. A damaged file is removed.
    pub(super) fn has(&self, sha256: &str) -> Result<bool, PublishError> {
        let path = self.path(sha256);
        if !path.exists() {
            return Ok(false);
        }
        self.use_of(sha256);
        if publish::hash_file(&path)?.1 != sha256 {
            publish::remove_file(&path)?;
            return Ok(false);
        }
        // The modification time is the time of the last use: the least recently used files are removed first. If it cannot be set, the file
        // is removed earlier.
        let _ = File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(true)
    }

    /// A path for a file of this size that is being fetched. Makes room for it.
    pub(super) fn place(&self, sha256: &str, bytes: u64) -> Result<PathBuf, PublishError> {
        publish::create_folder(&self.folder)?;
        self.use_of(sha256);
        self.make_room(bytes);
        // Two threads may fetch two files with the same hash, so each download has its own path.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Ok(self.folder.join(format!("{sha256}.{}-{}{PART}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))))
    }

    /// Gives its final name to a file that was fetched and compared with its hash.
    pub(super) fn keep(&self, sha256: &str, part: &Path) -> Result<(), PublishError> {
        let path = self.path(sha256);
        fs::rename(part, &path).map_err(|error| PublishError::new("keep", &path, error))
    }

    /// Moves a file that was just written into the cache, so that it need not be fetched.
    pub(super) fn take(&self, sha256: &str, bytes: u64, file: &Path) -> Result<(), PublishError> {
        publish::create_folder(&self.folder)?;
        self.use_of(sha256);
        self.make_room(bytes);
        self.keep(sha256, file)
    }

    /// Removes the files that have none of these hashes.
    pub(super) fn retain(&self, kept: &BTreeSet<String>) -> Result<(), PublishError> {
        let files = self.files().into_iter();
        files
            .filter(|(name, ..)| !name.split('.').next().is_some_and(|sha256| kept.contains(sha256)))
            .try_for_each(|(_, path, ..)| publish::remove_file(&path))
    }

    /// Removes the least recently used files beyond the limit.
    pub(super) fn trim(&self) {
        self.make_room(0);
    }

    fn use_of(&self, sha256: &str) {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(sha256.to_string());
    }

    /// Removes the least recently used files until there is room for this many bytes.
    fn make_room(&self, bytes: u64) {
        let mut files = self.files();
        files.sort_by_key(|(.., used)| *used);
        let mut total: u64 = files.iter().map(|(_, _, bytes, _)| bytes).sum();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, path, size, modified) in files {
            if total + bytes <= self.max_bytes {
                break;
            }
            if !used.iter().any(|used| name.starts_with(used)) && !is_being_fetched(&name, modified) && fs::remove_file(path).is_ok() {
                total -= size;
            }
        }
    }

    /// Name, path, size and last use of each file.
    fn files(&self) -> Vec<(String, PathBuf, u64, SystemTime)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let file = |entry: fs::DirEntry| -> io::Result<_> {
            let found = entry.metadata()?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.path(), found.len(), found.modified()?))
        };
        entries.filter_map(|entry| file(entry).ok()).collect()
    }
}

/// Whether another process may be fetching this file. A file that nothing was added to for an hour was left by a process that was killed. If
/// the clock says that the file is of the future, nothing is known.
fn is_being_fetched(name: &str, modified: SystemTime) -> bool {
    name.ends_with(PART) && !modified.elapsed().is_ok_and(|age| age >= Duration::from_secs(3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &Cache, text: &str) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        fs::write(&path, text).unwrap();
        let sha256 = publish::hash_file(&path).unwrap().1;
        let part = cache.place(&sha256, text.len() as u64).unwrap();
        fs::write(&part, text).unwrap();
        cache.keep(&sha256, &part).unwrap();
        sha256
    }

    #[test]
    fn the_least_recently_used_files_make_room_but_none_that_is_in_use() {
        let place = tempfile::tempdir().unwrap();
        let cache = || Cache::new(place.path().join("cache"), 25);
        let [a, b] = ["aaaaaaaaaa", "bbbbbbbbbb"].map(|text| put(&cache(), text));
        let hour = Duration::from_secs(3600);
        File::options().append(true).open(cache().path(&b)).unwrap().set_modified(SystemTime::now() - hour).unwrap();
        File::options().append(true).open(cache().path(&a)).unwrap().set_modified(SystemTime::now() - 2 * hour).unwrap();
        assert!(cache().has(&a).unwrap(), "it was used just now");
        let third = cache();
        let c = put(&third, "cccccccccc");
        assert_eq!([&a, &b, &c].map(|sha256| third.path(sha256).exists()), [true, false, true]);
        // All files in the cache are in use: they stay, although they exceed the limit.
        assert!(third.has(&a).unwrap());
        let d = put(&third, "dddddddddd");
        assert_eq!([&a, &c, &d].map(|sha256| third.path(sha256).exists()), [true, true, true]);
    }

    #[test]
    fn what_another_process_fetches_stays_until_it_is_an_hour_old() {
        let place = tempfile::tempdir().unwrap();
        let cache = |max_bytes| Cache::new(place.path().to_path_buf(), max_bytes);
        let [fetched, left] = ["ab", "cd"].map(|sha256| cache(1000).place(sha256, 4).unwrap());
        for part in [&fetched, &left] {
            fs::write(part, "half").unwrap();
        }
        let future = cache(1000).place("ef", 4).unwrap();
        fs::write(&future, "half").unwrap();
        File::options().append(true).open(&future).unwrap().set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
        let two_hours_ago = SystemTime::now() - Duration::from_secs(7200);
        File::options().append(true).open(&left).unwrap().set_modified(two_hours_ago).unwrap();
        cache(0).trim();
        assert_eq!([fetched.exists(), left.exists(), future.exists()], [true, false, true]);
        cache(1000).retain(&BTreeSet::from(["ab".to_string()])).unwrap();
        assert_eq!([fetched.exists(), future.exists()], [true, false], "a file is kept that is being fetched and has one of the hashes");
    }

    #[test]
    fn a_file_that_was_changed_is_not_used() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::new(place.path().to_path_buf(), 1000);
        let a = put(&cache, "one text");
        assert!(cache.has(&a).unwrap());
        fs::write(cache.path(&a), "One text").unwrap();
        assert!(!cache.has(&a).unwrap() && !cache.path(&a).exists());
        let b = put(&cache, "another");
        let c = put(&cache, "a third");
        cache.retain(&BTreeSet::from([c.clone()])).unwrap();
        assert!(!cache.has(&b).unwrap() && cache.has(&c).unwrap());
    }
}
