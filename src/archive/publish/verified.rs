//! Checks the files of a published folder against the hashes in its manifest before they are used.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{ListedFile, MANIFEST, hash_file};

/// A published folder differs from what was published and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{folder}` is damaged: {problem}", folder = .folder.display())]
pub struct Damage {
    pub folder: PathBuf,
    pub problem: String,
}

/// The files that a manifest lists. Each file is verified only once, because clones share the set of verified files.
#[derive(Clone, Debug)]
pub struct ListedFiles {
    folder: PathBuf,
    files: Vec<ListedFile>,
    verified: Arc<Mutex<BTreeSet<String>>>,
}

impl ListedFiles {
    /// # Errors
    /// When a path leads out of the folder.
    pub(crate) fn new(folder: &Path, files: &[ListedFile]) -> Result<ListedFiles, Damage> {
        let is_inside = |file: &&ListedFile| {
            let mut parts = Path::new(&file.path).components().peekable();
            parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
        };
        match files.iter().find(|file| !is_inside(file)) {
            Some(outside) => {
                let problem = format!("its {MANIFEST} lists the path `{}`, which leads outside the folder", outside.path.escape_debug());
                Err(Damage { folder: folder.to_path_buf(), problem })
            }
            None => Ok(ListedFiles { folder: folder.to_path_buf(), files: files.to_vec(), verified: Arc::default() }),
        }
    }

    /// Files that this process has just written and hashed. They count as verified.
    pub(crate) fn just_written(folder: &Path, files: &[ListedFile]) -> ListedFiles {
        let verified = files.iter().map(|file| file.path.clone()).collect();
        ListedFiles { folder: folder.to_path_buf(), files: files.to_vec(), verified: Arc::new(Mutex::new(verified)) }
    }

    /// Verifies the files whose relative paths are wanted and returns their paths.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn verified(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, Damage> {
        let wanted: Vec<&ListedFile> = self.files.iter().filter(|file| is_wanted(&file.path)).collect();
        let unverified: Vec<&ListedFile> = {
            let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            wanted.iter().copied().filter(|file| !verified.contains(&file.path)).collect()
        };
        let problems = problems(&self.folder, &unverified, true);
        if let Some(problem) = problems.first() {
            let others = if problems.len() > 1 { format!(", and {} more", problems.len() - 1) } else { String::new() };
            return Err(Damage { folder: self.folder.clone(), problem: format!("{problem}{others}") });
        }
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.extend(unverified.into_iter().map(|file| file.path.clone()));
        Ok(wanted.iter().map(|file| self.folder.join(&file.path)).collect())
    }

    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.verified(|_| true).map(drop)
    }

    /// The problems of the files, one text each. Without `reads_all`, checks only that the files exist and their sizes.
    pub fn problems(&self, reads_all: bool) -> Vec<String> {
        problems(&self.folder, &self.files.iter().collect::<Vec<_>>(), reads_all)
    }
}

/// The problems in the order of the files. All cores compute hashes.
fn problems(folder: &Path, files: &[&ListedFile], reads_all: bool) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || {
        while let Some((index, file)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|index| Some((index, files.get(index)?))) {
            if let Some(problem) = problem(folder, file, reads_all) {
                found.lock().unwrap_or_else(PoisonError::into_inner).push((index, problem));
            }
        }
    };
    let threads = if reads_all { thread::available_parallelism().map_or(1, usize::from).min(files.len()) } else { 1 };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort();
    found.into_iter().map(|(_, problem)| problem).collect()
}

fn problem(folder: &Path, file: &ListedFile, reads_all: bool) -> Option<String> {
    let path = folder.join(&file.path);
    let name = &file.path;
    let bytes = match std::fs::metadata(&path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(format!("`{name}` is missing")),
        Err(error) => return Some(format!("`{name}` cannot be read ({error})")),
    };
    if bytes != file.bytes {
        return Some(format!("`{name}` has {bytes} bytes instead of {}", file.bytes));
    }
    if !reads_all {
        return None;
    }
    match hash_file(&path) {
        Ok((_, sha256)) if sha256 == file.sha256 => None,
        Ok(_) => Some(format!("`{name}` differs from what was published")),
        Err(error) => Some(format!("`{name}` cannot be read ({})", error.source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(folder: &Path, names: &[&str]) -> Vec<ListedFile> {
        let file = |name: &&str| {
            std::fs::write(folder.join(name), format!("what is in {name}")).unwrap();
            let (bytes, sha256) = hash_file(&folder.join(name)).unwrap();
            ListedFile { path: name.to_string(), rows: 0, bytes, sha256 }
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn a_file_is_used_only_if_it_has_the_published_bytes() {
        let place = tempfile::tempdir().unwrap();
        let files = ListedFiles::new(place.path(), &listed(place.path(), &["a", "b", "c"])).unwrap();
        assert_eq!(files.verified(|name| name != "c").unwrap(), [place.path().join("a"), place.path().join("b")]);
        std::fs::write(place.path().join("c"), "What is in c").unwrap();
        assert!(files.problems(false).is_empty());
        assert_eq!(files.problems(true), ["`c` differs from what was published"]);
        let damage = files.verify().unwrap_err();
        assert!(damage.to_string().contains("damaged: `c` differs from"), "{damage}");
        std::fs::write(place.path().join("c"), "short").unwrap();
        assert_eq!(files.problems(false), ["`c` has 5 bytes instead of 12"]);
        std::fs::remove_file(place.path().join("c")).unwrap();
        assert_eq!(files.problems(false), ["`c` is missing"]);
        assert!(files.verified(|name| name == "a").is_ok());
    }

    #[test]
    fn a_listed_path_stays_in_its_folder() {
        let place = tempfile::tempdir().unwrap();
        for path in ["../a", "/etc/hosts", "", "a/../../b", "."] {
            let file = ListedFile { path: path.to_string(), rows: 0, bytes: 0, sha256: String::new() };
            assert!(ListedFiles::new(place.path(), &[file]).is_err(), "{path}");
        }
    }
}
