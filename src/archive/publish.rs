//! The one way anything becomes visible on disk. A folder is staged in the work folder, listed, synced, and put in its
//! place in one step: it appears whole or not at all. How it replaces one that is there already: [`swap`].
//!
//! ```text
//! .work/staged-…/          being written
//! <table>/run_month=M      what readers see
//! ```

mod manifest;
mod swap;
mod verified;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::disk;

pub use manifest::{ReadManifest, read_manifest};
pub use swap::{recover, recover_beside};
pub use verified::{Damage, ListedFiles};

pub const MANIFEST: &str = "manifest.json";
/// How the names of folders begin that are being written.
pub const STAGED: &str = "staged-";

/// What could not be done, and to which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`", path = .path.display())]
pub struct PublishError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl PublishError {
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> PublishError {
        PublishError { action, path: path.to_path_buf(), source }
    }

    pub fn is_disk_full(&self) -> bool {
        disk::is_full(&self.source)
    }
}

/// One file of a folder, as its manifest lists it. Manifests do not list themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// Relative to the folder, with `/`.
    pub path: String,
    /// Rows of the table in it; 0 for what is no table.
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

/// A folder being written. Dropped without a commit, it is removed.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    files: Mutex<Vec<ListedFile>>,
    is_committed: bool,
}

impl Staging {
    /// A new, empty folder under `work`. What an earlier, interrupted try left under the same name is removed.
    pub fn new(work: &Path, name: &str) -> Result<Staging, PublishError> {
        let path = work.join(format!("{STAGED}{name}"));
        remove_folder(&path)?;
        create_folder(&path)?;
        Ok(Staging { path, files: Mutex::default(), is_committed: false })
    }

    /// Where the file of this relative path is to be written; its folder exists.
    pub fn place(&self, relative: &str) -> Result<PathBuf, PublishError> {
        let path = self.path.join(relative);
        create_folder(path.parent().unwrap_or(&self.path))?;
        Ok(path)
    }

    /// Lists a file that has been written to its place.
    pub fn list(&self, relative: &str, rows: u64) -> Result<(), PublishError> {
        let path = self.path.join(relative);
        let (bytes, sha256) = hash_file(&path)?;
        sync_file(&path)?;
        // One file or none is added, whatever happens elsewhere.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(ListedFile { path: relative.to_string(), rows, bytes, sha256 });
        Ok(())
    }

    /// What was listed, by path: in whatever order it was written.
    pub fn files(&self) -> Vec<ListedFile> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    /// Where the files are until they are shown.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Shows the folder at `target` without a manifest, in place of what was there.
    pub fn replace(mut self, target: &Path) -> Result<(), PublishError> {
        self.show(target)
    }

    /// Writes the manifest last and shows the folder at `target`, in place of what was there. Returns the SHA-256 of the
    /// manifest.
    pub fn commit(mut self, target: &Path, manifest: &impl Serialize) -> Result<String, PublishError> {
        let hash = manifest::write_manifest(&self.path, manifest)?;
        self.show(target)?;
        Ok(hash)
    }

    fn show(&mut self, target: &Path) -> Result<(), PublishError> {
        sync_folders(&self.path)?;
        create_folder(parent(target))?;
        swap::put_in_place(&self.path, target)?;
        self.is_committed = true;
        Ok(())
    }

    /// Shows one of the folder's files at `target`, in place of what was there. The rest of the folder is removed.
    pub fn commit_file(self, relative: &str, target: &Path) -> Result<(), PublishError> {
        let path = self.path.join(relative);
        sync_file(&path)?;
        rename(&path, target)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_committed {
            // Best effort: what stays is removed when the name is staged again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The names of the folders in a folder, sorted, links to folders among them, also those that lead nowhere now; none when
/// it does not exist.
pub fn folder_names(folder: &Path) -> Result<Vec<String>, PublishError> {
    let is_folder = |entry: &fs::DirEntry| -> io::Result<bool> {
        let kind = entry.file_type()?;
        Ok(kind.is_dir() || kind.is_symlink() && fs::metadata(entry.path()).map_or(true, |found| found.is_dir()))
    };
    names(folder, is_folder)
}

/// The names of the files in a folder, sorted; none when it does not exist.
pub fn file_names(folder: &Path) -> Result<Vec<String>, PublishError> {
    names(folder, |entry| Ok(entry.file_type()?.is_file()))
}

/// The names of everything in a folder, sorted; none when it does not exist.
fn entry_names(folder: &Path) -> Result<Vec<String>, PublishError> {
    names(folder, |_| Ok(true))
}

fn names(folder: &Path, is_wanted: impl Fn(&fs::DirEntry) -> io::Result<bool>) -> Result<Vec<String>, PublishError> {
    let unreadable = |error| PublishError::new("list", folder, error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(unreadable)?;
        if is_wanted(&entry).map_err(unreadable)? {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}

/// Creates a folder and its parents, readable by their owner only. What was missing of them outlasts a power cut.
pub fn create_folder(path: &Path) -> Result<(), PublishError> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| PublishError::new("create the folder", path, error))?;
    path.ancestors().take(missing).try_for_each(|made| sync_folder(parent(made)))
}

/// The folder that something is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a folder with all that is in it, if it is there. Of a link the link alone.
pub fn remove_folder(path: &Path) -> Result<(), PublishError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Takes a published folder away, if it is there: whole, and then removes it from `work`.
pub fn retire(published: &Path, work: &Path) -> Result<(), PublishError> {
    let retired = work.join(format!("{STAGED}retired"));
    remove_folder(&retired)?;
    match fs::rename(published, &retired) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PublishError::new("take away", published, error)),
        Ok(()) => {}
    }
    sync_folder(published.parent().unwrap_or(Path::new(".")))?;
    remove_folder(&retired)
}

/// Moves a folder within its parent, if it is there.
pub fn move_folder(from: &Path, to: &Path) -> Result<(), PublishError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("move", from, error)),
        _ => Ok(()),
    }
}

/// Removes a file, if it is there.
pub fn remove_file(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Writes a file beside its place and renames it there, readable by its owner only.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let failed = |error| PublishError::new("write", path, error);
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&part).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)
}

/// The same bytes in another place. Files are never edited, so they may share them.
pub fn copy_file(from: &Path, to: &Path) -> Result<(), PublishError> {
    let linked = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
    linked.map_err(|error| PublishError::new("copy to", to, error))
}

/// Sees to it that what was written to a file outlasts a power cut.
pub fn sync_file(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| PublishError::new("sync", path, error))
}

/// Pretty JSON with a line break at the end.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PublishError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| PublishError::new("write", path, error.into()))?;
    bytes.push(b'\n');
    write_file(path, &bytes)
}

/// The size and SHA-256 of a file.
pub fn hash_file(path: &Path) -> Result<(u64, String), PublishError> {
    let failed = |error| PublishError::new("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    Ok((bytes, hexadecimal(&hasher.finalize())))
}

fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rename(from: &Path, to: &Path) -> Result<(), PublishError> {
    fs::rename(from, to).map_err(|error| PublishError::new("put in place", to, error))
}

/// The same for the names in a folder.
fn sync_folder(path: &Path) -> Result<(), PublishError> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Some file systems sync no folders, and one that this user may write in he may still not read.
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(PublishError::new("sync", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The same with all folders in it.
fn sync_folders(path: &Path) -> Result<(), PublishError> {
    for name in folder_names(path)? {
        sync_folders(&path.join(name))?;
    }
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(root: &Path, text: &str) {
        let staging = Staging::new(&root.join(".work"), "x").unwrap();
        fs::write(staging.place("a/b.txt").unwrap(), text).unwrap();
        staging.list("a/b.txt", 1).unwrap();
        let files = staging.files();
        staging.commit(&root.join("t/run_month=2026-10"), &files).unwrap();
    }

    fn shown(root: &Path) -> String {
        fs::read_to_string(root.join("t/run_month=2026-10/a/b.txt")).unwrap()
    }

    #[test]
    fn a_folder_replaces_another_whole() {
        let root = tempfile::tempdir().unwrap();
        publish(root.path(), "first");
        publish(root.path(), "second");
        assert_eq!(shown(root.path()), "second");
        assert_eq!(folder_names(&root.path().join("t")).unwrap(), ["run_month=2026-10"]);
        assert!(folder_names(&root.path().join(".work")).unwrap().is_empty());
    }

    #[test]
    fn an_abandoned_staging_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        publish(root.path(), "first");
        let staging = Staging::new(&root.path().join(".work"), "x").unwrap();
        fs::write(staging.place("b.txt").unwrap(), "half").unwrap();
        drop(staging);
        assert_eq!(shown(root.path()), "first");
        assert!(folder_names(&root.path().join(".work")).unwrap().is_empty());
    }

    #[test]
    fn a_disk_that_is_found_to_be_full_when_a_file_is_synced_is_full() {
        use rustix::io::Errno;
        let failed = |errno: Errno| PublishError::new("sync", Path::new("part"), io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!([Errno::NOSPC, Errno::DQUOT, Errno::FBIG].into_iter().all(|errno| failed(errno).is_disk_full()));
        assert!(!failed(Errno::IO).is_disk_full());
    }

    #[test]
    fn parents_are_made_where_they_are_missing() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            create_folder(&root.path().join("a/b/c")).unwrap();
        }
        assert!(root.path().join("a/b/c").is_dir());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(create_folder(&root.path().join("file/below")).is_err());
    }
}
