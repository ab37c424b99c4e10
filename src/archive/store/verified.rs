//! What a manifest says, and the files that it lists. Files are compared with their hashes before they are used.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde::de::DeserializeOwned;

use super::{Problem, Store};
use crate::publish::{self, Checksum, ListedFile, MANIFEST, PublishError};

/// A published folder that cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{folder}` {}: {problem}", if .source.is_some() { "cannot be read" } else { "is damaged" }, folder = .folder.display())]
pub struct Damage {
    pub folder: PathBuf,
    pub problem: String,
    /// Why the folder could not be read, so that nothing is known about it. `None` if the folder differs from what was published.
    source: Option<Arc<PublishError>>,
}

impl Damage {
    pub fn new(folder: PathBuf, problem: impl Into<String>) -> Damage {
        Damage { folder, problem: problem.into(), source: None }
    }

    pub(crate) fn of(folder: PathBuf, problem: Problem) -> Damage {
        match problem {
            Problem::Damage(text) => Damage::new(folder, text),
            Problem::Unreachable(error) => {
                Damage { source: Some(error.clone()), ..Damage::new(folder, format!("{error} ({})", error.cause())) }
            }
        }
    }

    /// Whether nothing is known about the folder, because it could not be read. It may be as it was published.
    pub fn is_unreachable(&self) -> bool {
        self.source.is_some()
    }
}

/// The bytes of a manifest. If it has a checksum, it was verified.
#[derive(Debug)]
pub struct ReadManifest {
    store: Arc<dyn Store>,
    folder: String,
    bytes: Vec<u8>,
    /// SHA-256 of the file.
    pub hash: String,
    /// Whether the manifest has a checksum. Manifests of older versions have none.
    pub has_checksum: bool,
}

impl ReadManifest {
    /// The manifest of a published folder; `None` if it has none.
    ///
    /// # Errors
    /// When the manifest cannot be read or differs from its checksum.
    pub(crate) fn open(store: &Arc<dyn Store>, folder: &str) -> Result<Option<ReadManifest>, Damage> {
        let damage = |problem: String| Damage::new(store.shown(folder), format!("its {MANIFEST} {problem}"));
        let bytes = match store.read(&format!("{folder}/{MANIFEST}")) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) if super::says_nothing(error.cause()) => {
                return Err(Damage::of(store.shown(folder), Problem::Unreachable(Arc::new(error))));
            }
            Err(error) => return Err(damage(format!("cannot be read ({})", error.cause()))),
        };
        let Some((hash, has_checksum)) = publish::checked_hash(&bytes) else {
            return Err(damage("differs from its own checksum".to_string()));
        };
        Ok(Some(ReadManifest { store: store.clone(), folder: folder.to_string(), bytes, hash, has_checksum }))
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The manifest; `None` if it is JSON of another shape. Another version of the program may have written that.
    ///
    /// # Errors
    /// When the manifest is not JSON.
    pub fn parse_known<T: DeserializeOwned>(&self) -> Result<Option<T>, Damage> {
        match self.parse() {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.is_data() => Ok(None),
            Err(_) => Err(self.damage("is not JSON")),
        }
    }

    /// # Errors
    /// When the manifest is not JSON of that shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.bytes)
    }

    /// The files that the manifest lists.
    ///
    /// # Errors
    /// When a path leads out of the folder.
    pub fn files(&self, listed: &[ListedFile]) -> Result<ListedFiles, Damage> {
        ListedFiles::new(&self.store, &self.folder, listed)
    }

    /// The error for a manifest with this problem.
    pub fn damage(&self, problem: &str) -> Damage {
        Damage::new(self.store.shown(&self.folder), format!("its {MANIFEST} {problem}"))
    }
}

/// The files that a manifest lists. Each file is verified only once, because clones share the set of verified files.
#[derive(Clone, Debug)]
pub struct ListedFiles {
    store: Arc<dyn Store>,
    folder: String,
    files: Vec<ListedFile>,
    verified: Arc<Mutex<BTreeSet<String>>>,
}

impl ListedFiles {
    /// # Errors
    /// When a path leads out of the folder.
    fn new(store: &Arc<dyn Store>, folder: &str, files: &[ListedFile]) -> Result<ListedFiles, Damage> {
        let is_inside = |file: &&ListedFile| {
            let mut parts = Path::new(&file.path).components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        match files.iter().find(|file| !is_inside(file)) {
            Some(outside) => {
                let problem = format!("its {MANIFEST} lists the path `{}`, which leads outside the folder", outside.path.escape_debug());
                Err(Damage::new(store.shown(folder), problem))
            }
            None => Ok(ListedFiles { store: store.clone(), folder: folder.to_string(), files: files.to_vec(), verified: Arc::default() }),
        }
    }

    /// Files that this process has just written and hashed. They count as verified.
    pub(crate) fn just_written(store: &Arc<dyn Store>, folder: &str, files: Vec<ListedFile>) -> ListedFiles {
        let verified = files.iter().map(|file| file.path.clone()).collect();
        ListedFiles { store: store.clone(), folder: folder.to_string(), files, verified: Arc::new(Mutex::new(verified)) }
    }

    /// Verifies the files whose names are wanted, and returns their paths on this machine. A name is the relative path, without the
    /// hash that a file may have in it.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published, or cannot be fetched.
    pub fn verified(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Damage> {
        let wanted: Vec<&ListedFile> = self.files.iter().filter(|file| is_wanted(&file.name())).collect();
        let unverified: Vec<&ListedFile> = {
            let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.iter().copied().filter(|file| !verified.contains(&file.path)).collect()
        };
        let problems = self.each(&unverified, |file| self.store.fetch(&self.folder, file));
        if let Some(damage) = self.damage(problems) {
            return Err(damage);
        }
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.extend(unverified.into_iter().map(|file| file.path.clone()));
        Ok(wanted.iter().map(|file| self.store.local_path(&self.folder, file)).collect())
    }

    /// Verifies the wanted files if they are in a folder of this machine. Files in a bucket are verified when they are read.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn verify_if_near(&self, is_wanted: impl Fn(&str) -> bool) -> Result<(), Damage> {
        if self.store.is_remote() { Ok(()) } else { self.verified(is_wanted).map(drop) }
    }

    /// The paths of the wanted files, relative to the job's location, for an engine that reads them itself. Files in a folder of this
    /// machine are verified. In a bucket, only the size of a file is checked, or its ETag if it is listed with one.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn for_engine(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<String>, Damage> {
        self.verify_if_near(&is_wanted)?;
        let wanted: Vec<&ListedFile> = self.files.iter().filter(|file| is_wanted(&file.name())).collect();
        let misses = wanted.iter().filter_map(|file| match file.checksum {
            Checksum::Etag(_) => self.store.verify(&self.folder, file).err(),
            Checksum::Sha256(_) => self.store.misses(&self.folder, file),
        });
        match self.damage(misses.collect()) {
            Some(damage) => Err(damage),
            None => Ok(wanted.iter().map(|file| format!("{}/{}", self.folder, file.path)).collect()),
        }
    }

    /// # Errors
    /// When a file is missing or differs from what was published, or cannot be fetched.
    pub fn verify(&self) -> Result<(), Damage> {
        self.verified(|_| true).map(drop)
    }

    /// Verifies all files where they are stored, and ignores cached copies on this machine.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published, or cannot be fetched.
    pub fn verify_in_place(&self) -> Result<(), Damage> {
        let files: Vec<&ListedFile> = self.files.iter().collect();
        self.damage(self.each(&files, |file| self.store.verify(&self.folder, file))).map_or(Ok(()), Err)
    }

    /// The problems of the files, one text each. Always checks that each file exists and has the right size. With `reads_all`, also
    /// compares the content of each file with its checksum; for a file in a bucket, asks the bucket and does not use the cache.
    ///
    /// # Errors
    /// When the store cannot be read, so that it is unknown whether a file is good.
    pub fn problems(&self, reads_all: bool) -> Result<Vec<String>, Damage> {
        let files: Vec<&ListedFile> = self.files.iter().collect();
        let problems = if reads_all {
            self.each(&files, |file| self.store.verify(&self.folder, file))
        } else {
            files.iter().filter_map(|file| self.store.misses(&self.folder, file)).collect()
        };
        let texts = problems.into_iter().map(|problem| match problem {
            Problem::Damage(text) => Ok(text),
            problem => Err(Damage::of(self.store.shown(&self.folder), problem)),
        });
        texts.collect()
    }

    /// The problems as one error. If a file could not be read, this error is returned and not the damage of other files.
    fn damage(&self, mut problems: Vec<Problem>) -> Option<Damage> {
        let unreachable = problems.iter().position(|problem| matches!(problem, Problem::Unreachable(_)));
        let first = if problems.is_empty() { return None } else { problems.swap_remove(unreachable.unwrap_or(0)) };
        let first = match first {
            Problem::Damage(text) if !problems.is_empty() => Problem::Damage(format!("{text}, and {} more", problems.len())),
            problem => problem,
        };
        Some(Damage::of(self.store.shown(&self.folder), first))
    }

    /// Checks the files on all cores. Returns the problems in the order of the files.
    fn each(&self, files: &[&ListedFile], check: impl Fn(&ListedFile) -> Result<(), Problem> + Sync) -> Vec<Problem> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || {
            while let Some((index, file)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, files.get(index)?))) {
                if let Err(problem) = check(file) {
                    found.lock().unwrap_or_else(PoisonError::into_inner).push((index, problem));
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
        thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, problem)| problem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::hash_file;
    use crate::store::folder::Folder;

    fn store(place: &tempfile::TempDir) -> Arc<dyn Store> {
        Arc::new(Folder::new(place.path().to_path_buf(), None))
    }

    fn listed(folder: &Path, names: &[&str]) -> Vec<ListedFile> {
        let file = |name: &&str| {
            std::fs::write(folder.join(name), format!("what is in {name}")).unwrap();
            let (bytes, sha256) = hash_file(&folder.join(name)).unwrap();
            ListedFile { path: name.to_string(), rows: 0, bytes, checksum: Checksum::Sha256(sha256) }
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn a_file_is_used_only_if_it_has_the_published_bytes() {
        let place = tempfile::tempdir().unwrap();
        let files = ListedFiles::new(&store(&place), "", &listed(place.path(), &["a", "b", "c"])).unwrap();
        assert_eq!(files.verified(|name| name != "c").unwrap(), [place.path().join("a"), place.path().join("b")]);
        std::fs::write(place.path().join("c"), "What is in c").unwrap();
        assert!(files.problems(false).unwrap().is_empty());
        assert_eq!(files.problems(true).unwrap(), ["`c` differs from what was published"]);
        let damage = files.verify().unwrap_err();
        assert!(damage.to_string().contains("damaged: `c` differs from"), "{damage}");
        std::fs::write(place.path().join("c"), "short").unwrap();
        assert_eq!(files.problems(false).unwrap(), ["`c` has 5 bytes instead of 12"]);
        std::fs::remove_file(place.path().join("c")).unwrap();
        assert_eq!(files.problems(false).unwrap(), ["`c` is missing"]);
        assert!(files.verified(|name| name == "a").is_ok());
    }

    #[test]
    fn a_listed_path_stays_in_its_folder() {
        let place = tempfile::tempdir().unwrap();
        for path in ["../a", "/etc/hosts", "", "a/../../b", "."] {
            let file = ListedFile { path: path.to_string(), rows: 0, bytes: 0, checksum: Checksum::Sha256(String::new()) };
            assert!(ListedFiles::new(&store(&place), "", &[file]).is_err(), "{path}");
        }
    }
}
