//! Publishes folders. Only this module makes the files of a month visible to readers. A folder is first staged in the work folder,
//! and its files are listed and synced. Then the folder is moved to its target in one step, so it appears whole or not at all.
//! [`swap`] replaces a folder that exists already.
//!
//! ```text
//! .work/staged-…/          being written
//! <table>/run_month=M      visible to readers
//! ```

mod manifest;
mod swap;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use manifest::checked_hash;
pub(crate) use swap::{recover, recover_beside};

pub const MANIFEST: &str = "manifest.json";
/// How many digits of a file's hash are a part of its name.
const HASH_IN_NAME: usize = 16;
/// The prefix of the names of folders that are being written.
const STAGED: &str = "staged-";

/// A failed action and its path.
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

    /// Why it failed, without the path.
    pub fn reason(&self) -> String {
        self.source.to_string()
    }

    pub(crate) fn cause(&self) -> &io::Error {
        &self.source
    }
}

/// One file of a folder, as listed in its manifest. A manifest does not list itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// The path relative to the folder, with `/` between names.
    pub path: String,
    /// The number of rows; 0 if the file is no table.
    pub rows: u64,
    pub bytes: u64,
    #[serde(flatten)]
    pub checksum: Checksum,
}

/// What the bytes of a file are compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Checksum {
    Sha256(String),
    /// The ETag of the file's object in a bucket. An engine wrote the file, and its rows did not pass through this program, so there is no
    /// SHA-256. In some buckets the ETag is the MD5 of the bytes; in others it means nothing outside of the bucket.
    Etag(String),
}

impl Checksum {
    /// A text of hexadecimal digits, different for different files.
    pub(crate) fn digits(&self) -> Cow<'_, str> {
        match self {
            Checksum::Sha256(hash) => Cow::Borrowed(hash),
            Checksum::Etag(tag) => Cow::Owned(sha256(format!("etag {tag}").as_bytes())),
        }
    }

    /// The MD5 of the bytes, if that is what the bucket gave.
    pub(crate) fn md5(&self) -> Option<&str> {
        let Checksum::Etag(tag) = self else { return None };
        Some(tag.as_str()).filter(|tag| tag.len() == 32 && tag.bytes().all(|digit| digit.is_ascii_hexdigit()))
    }

    /// Whether a file of this machine has these bytes; `None` if that cannot be known.
    pub(crate) fn is_of(&self, path: &Path) -> Result<Option<bool>, PublishError> {
        match self {
            Checksum::Sha256(hash) => Ok(Some(hash_file(path)?.1 == *hash)),
            Checksum::Etag(_) => self.md5().map(|md5| Ok(digest_of::<md5::Md5>(path)?.1 == md5)).transpose(),
        }
    }
}

impl ListedFile {
    /// The path without the hash that [`Staging::with_hashed_names`] put into it.
    pub fn name(&self) -> Cow<'_, str> {
        let file = self.path.rfind('/').map_or(0, |slash| slash + 1);
        let is_inserted = |part: &str| match &self.checksum {
            Checksum::Sha256(hash) => hash.get(..HASH_IN_NAME) == Some(part),
            // The hash in the name cannot be compared with an ETag. So any part that looks like a hash counts as one.
            Checksum::Etag(_) => part.len() == HASH_IN_NAME && part.bytes().all(|digit| digit.is_ascii_hexdigit()),
        };
        match self.path[file..].split('.').position(is_inserted) {
            Some(at) if at > 0 => {
                let parts: Vec<&str> =
                    self.path[file..].split('.').enumerate().filter(|(index, _)| *index != at).map(|(_, part)| part).collect();
                Cow::Owned(format!("{}{}", &self.path[..file], parts.join(".")))
            }
            _ => Cow::Borrowed(&self.path),
        }
    }
}

/// A folder that is being written. It is removed when dropped without a commit.
#[derive(Debug)]
pub struct Staging {
    path: PathBuf,
    files: Mutex<Vec<ListedFile>>,
    is_committed: bool,
    names_are_hashed: bool,
    /// Where the folder will be published, relative to the job's location. Empty if this is not set.
    target: String,
}

impl Staging {
    /// A new, empty folder under `work`. Removes a folder of the same name that an interrupted attempt left.
    pub fn new(work: &Path, name: &str) -> Result<Staging, PublishError> {
        let path = work.join(format!("{STAGED}{name}"));
        remove_folder(&path)?;
        create_folder(&path)?;
        Ok(Staging { path, files: Mutex::default(), is_committed: false, names_are_hashed: false, target: String::new() })
    }

    /// Files get a part of their hash as a part of their name when they are listed: `ledger.6ca13d52ca70c883.parquet`. So a new version of
    /// a file never replaces the version before, which a reader may be reading.
    #[must_use]
    pub fn with_hashed_names(mut self) -> Staging {
        self.names_are_hashed = true;
        self
    }

    #[must_use]
    pub(crate) fn published_at(mut self, target: &str) -> Staging {
        self.target = target.to_string();
        self
    }

    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The path for a file with this relative path. Creates its folder.
    pub fn place(&self, relative: &str) -> Result<PathBuf, PublishError> {
        let path = self.path.join(relative);
        create_folder(path.parent().unwrap_or(&self.path))?;
        Ok(path)
    }

    /// Adds a written file to the list of files: hashes and syncs it, and gives it its final name.
    pub fn list(&self, relative: &str, rows: u64) -> Result<(), PublishError> {
        let path = self.path.join(relative);
        let (bytes, sha256) = hash_file(&path)?;
        sync_file(&path)?;
        let checksum = Checksum::Sha256(sha256);
        let listed = self.listed_path(relative, &checksum.digits());
        if listed != relative {
            rename(&path, &self.path.join(&listed))?;
        }
        self.list_placed(ListedFile { path: listed, rows, bytes, checksum });
        Ok(())
    }

    /// The path of a file with this hash in the published folder.
    pub(crate) fn listed_path(&self, relative: &str, hash: &str) -> String {
        if self.names_are_hashed { with_hash(relative, hash) } else { relative.to_string() }
    }

    /// Adds a file to the list that is not in this folder, but already where the folder will be published.
    pub(crate) fn list_placed(&self, file: ListedFile) {
        // A poisoned lock is harmless: the list is never half changed.
        self.files.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// The listed files, sorted by path.
    pub fn files(&self) -> Vec<ListedFile> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        files
    }

    /// The folder with the files before they are published.
    pub fn folder(&self) -> &Path {
        &self.path
    }

    /// Writes the manifest, the last of the files. Returns its SHA-256.
    pub(crate) fn seal(&self, manifest: &impl Serialize) -> Result<String, PublishError> {
        manifest::write_manifest(&self.path, manifest)
    }

    /// Moves the folder to `target`. Replaces what was there.
    pub fn replace(mut self, target: &Path) -> Result<(), PublishError> {
        sync_folders(&self.path)?;
        create_folder(parent(target))?;
        swap::put_in_place(&self.path, target)?;
        self.is_committed = true;
        Ok(())
    }

    /// Moves one of the folder's files to `target`. Replaces what was there. Removes the rest of the folder.
    pub fn commit_file(self, relative: &str, target: &Path) -> Result<(), PublishError> {
        let path = self.path.join(relative);
        sync_file(&path)?;
        rename(&path, target)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.is_committed {
            // Best effort: a folder that stays is removed when the same name is staged again.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// The path with the first digits of a hash before the ending.
fn with_hash(path: &str, sha256: &str) -> String {
    let hash = sha256.get(..HASH_IN_NAME).unwrap_or(sha256);
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let end = path[name..].rfind('.').map_or(path.len(), |dot| name + dot);
    format!("{}.{hash}{}", &path[..end], &path[end..])
}

/// The sorted names of the folders in a folder, including links to folders and broken links. Empty if the folder does not exist.
pub fn folder_names(folder: &Path) -> Result<Vec<String>, PublishError> {
    let is_folder = |entry: &fs::DirEntry| -> io::Result<bool> {
        let kind = entry.file_type()?;
        Ok(kind.is_dir() || kind.is_symlink() && fs::metadata(entry.path()).map_or(true, |found| found.is_dir()))
    };
    names(folder, is_folder)
}

/// The sorted names of the files in a folder. Empty if the folder does not exist.
pub fn file_names(folder: &Path) -> Result<Vec<String>, PublishError> {
    names(folder, |entry| Ok(entry.file_type()?.is_file()))
}

/// The sorted names of all entries of a folder. Empty if the folder does not exist.
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

/// Creates a folder and its missing parents, readable by their owner only, and syncs them.
pub fn create_folder(path: &Path) -> Result<(), PublishError> {
    let missing = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).count();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| PublishError::new("create the folder", path, error))?;
    path.ancestors().take(missing).try_for_each(|made| sync_folder(parent(made)))
}

/// The folder that contains the path.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Removes a folder with its content, if it exists. If the path is a link, removes only the link.
pub fn remove_folder(path: &Path) -> Result<(), PublishError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Unpublishes a folder, if it exists: moves it to `work` in one step, then removes it there.
pub(crate) fn retire(published: &Path, work: &Path) -> Result<(), PublishError> {
    let retired = work.join(format!("{STAGED}retired"));
    remove_folder(&retired)?;
    match fs::rename(published, &retired) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(PublishError::new("unpublish", published, error)),
        Ok(()) => {}
    }
    sync_folder(published.parent().unwrap_or(Path::new(".")))?;
    remove_folder(&retired)
}

/// Moves a folder within its parent, if it exists.
pub fn move_folder(from: &Path, to: &Path) -> Result<(), PublishError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("move", from, error)),
        _ => Ok(()),
    }
}

/// Removes a file, if it exists.
pub fn remove_file(path: &Path) -> Result<(), PublishError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(PublishError::new("remove", path, error)),
        _ => Ok(()),
    }
}

/// Writes a file as `NAME.part` and renames it to `NAME`. It is readable by its owner only.
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

/// Copies a file, by a hard link if possible. Two paths may share the bytes, because files are never edited.
pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<(), PublishError> {
    let linked = fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop));
    linked.map_err(|error| PublishError::new("copy to", to, error))
}

/// Copies the bytes of a file. The copy is readable by its owner only, whoever may read the original.
pub(crate) fn copy_bytes(from: &Path, to: &Path) -> Result<(), PublishError> {
    let copied = fs::copy(from, to).map(drop);
    #[cfg(unix)]
    let copied = copied.and_then(|()| fs::set_permissions(to, std::os::unix::fs::PermissionsExt::from_mode(0o600)));
    copied.map_err(|error| PublishError::new("copy to", to, error))
}

/// Syncs a file to disk, so that it survives a power cut.
pub fn sync_file(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| PublishError::new("sync", path, error))
}

/// Writes a value as indented JSON with a line break at the end.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), PublishError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| PublishError::new("write", path, error.into()))?;
    bytes.push(b'\n');
    write_file(path, &bytes)
}

/// The size and SHA-256 of a file.
pub fn hash_file(path: &Path) -> Result<(u64, String), PublishError> {
    digest_of::<Sha256>(path)
}

fn digest_of<D: Digest>(path: &Path) -> Result<(u64, String), PublishError> {
    let failed = |error| PublishError::new("read", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let mut hasher = D::new();
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

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

pub(crate) fn hexadecimal(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn rename(from: &Path, to: &Path) -> Result<(), PublishError> {
    fs::rename(from, to).map_err(|error| PublishError::new("put in place", to, error))
}

/// Syncs a folder to disk, so that the names in it survive a power cut.
fn sync_folder(path: &Path) -> Result<(), PublishError> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(path).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync folders. And a user may be allowed to write into a folder, but not to read it.
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(PublishError::new("sync", path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Syncs a folder and all folders below it.
fn sync_folders(path: &Path) -> Result<(), PublishError> {
    for name in folder_names(path)? {
        sync_folders(&path.join(name))?;
    }
    sync_folder(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk;

    fn publish(root: &Path, text: &str) {
        let staging = Staging::new(&root.join(".work"), "x").unwrap();
        fs::write(staging.place("a/b.txt").unwrap(), text).unwrap();
        staging.list("a/b.txt", 1).unwrap();
        staging.seal(&staging.files()).unwrap();
        staging.replace(&root.join("t/run_month=2026-10")).unwrap();
    }

    fn published(root: &Path) -> String {
        fs::read_to_string(root.join("t/run_month=2026-10/a/b.txt")).unwrap()
    }

    #[test]
    fn a_folder_replaces_another_one() {
        let root = tempfile::tempdir().unwrap();
        publish(root.path(), "first");
        publish(root.path(), "second");
        assert_eq!(published(root.path()), "second");
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
        assert_eq!(published(root.path()), "first");
        assert!(folder_names(&root.path().join(".work")).unwrap().is_empty());
    }

    #[test]
    fn a_sync_that_fails_for_lack_of_space_means_a_full_disk() {
        use rustix::io::Errno;
        let failed = |errno: Errno| PublishError::new("sync", Path::new("part"), io::Error::from_raw_os_error(errno.raw_os_error()));
        assert!([Errno::NOSPC, Errno::DQUOT, Errno::FBIG].into_iter().all(|errno| disk::is_full_in(&failed(errno))));
        assert!(!disk::is_full_in(&failed(Errno::IO)));
    }

    #[test]
    fn missing_parents_are_created() {
        let root = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            create_folder(&root.path().join("a/b/c")).unwrap();
        }
        assert!(root.path().join("a/b/c").is_dir());
        fs::write(root.path().join("file"), "").unwrap();
        assert!(create_folder(&root.path().join("file/below")).is_err());
    }

    #[test]
    fn a_file_with_its_hash_in_its_name_is_known_by_its_name_without() {
        let root = tempfile::tempdir().unwrap();
        for (name, hashed) in [("a/part-0.parquet", "a/part-0.#.parquet"), ("x.y/plain", "x.y/plain.#"), ("t.tar.gz", "t.tar.#.gz")] {
            let staging = Staging::new(root.path(), "x").unwrap().with_hashed_names();
            fs::write(staging.place(name).unwrap(), name).unwrap();
            staging.list(name, 0).unwrap();
            let file = staging.files().remove(0);
            assert_eq!(file.path, hashed.replace('#', &file.checksum.digits()[..16]));
            assert_eq!(fs::read_to_string(staging.folder().join(&file.path)).unwrap(), name);
            assert_eq!(file.name(), name);
            // A file of an older version of the program has its name without a hash.
            assert_eq!(ListedFile { path: name.to_string(), ..file }.name(), name);
        }
    }
}
