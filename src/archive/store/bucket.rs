//! A job in a bucket. Files are written first and the manifest last. A manifest is replaced only if it is still the manifest that was there
//! when this process took the lock. Readers use only files that a manifest lists. So no process overwrites what another process published.

mod cache;
mod client;
mod engine;
mod failure;
mod known;
mod lease;
mod objects;
mod trial;
mod versions;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;

use chrono::TimeDelta;
use object_store::ObjectStore;

use super::location::BucketUri;
use super::{CHECK, ENGINE, Holder, LocalFile, Lock, OldVersions, Problem, Store, StoreError, Tried, WrittenFile, flock};
use crate::publish::{self, Checksum, ListedFile, MANIFEST, PublishError, Staging};
use cache::Cache;
use known::Known;
use lease::{Lease, Taken, Term};
use objects::{Entry, Fetched, If, Objects, Put};

pub(crate) use client::client;
pub(crate) use versions::Versions;

/// These bytes replace the manifest of a folder that is being removed. No real manifest is as short, because it has at least a checksum.
const REMOVED: &[u8] = b"{\"removed\": true}\n";
/// How many files are sent at once.
const UPLOADS: usize = 4;

/// A job in a bucket, and its folder for unfinished work on this machine.
#[derive(Debug)]
pub(crate) struct Bucket {
    shared: Arc<Shared>,
    versions: Versions,
    term: Term,
    /// How long an object is kept that no manifest lists: a reader may still be reading it.
    kept_unlisted: TimeDelta,
}

#[derive(Debug)]
struct Shared {
    objects: Objects,
    uri: String,
    work: PathBuf,
    cache: Cache,
    /// What is known of the objects; `None` before they were listed.
    known: Mutex<Option<Known>>,
    lease: Mutex<Weak<Lease>>,
}

/// Kept while this process has the lock.
struct Held {
    shared: Arc<Shared>,
    lease: Option<Arc<Lease>>,
    /// The lock of the work folder: one process at a time uses it.
    _work: flock::FileLock,
}

impl Drop for Held {
    fn drop(&mut self) {
        let is_ours = self.lease.as_ref().is_some_and(|lease| lease.check().is_ok());
        if is_ours && let Some(known) = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            known.write_catalog(&self.shared.objects);
        }
        drop(self.lease.take());
    }
}

impl Bucket {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, versions: Versions, uri: &BucketUri, work: PathBuf, cache_max_bytes: u64) -> Bucket {
        let objects = Objects::new(store, &uri.prefix);
        let cache = Cache::new(work.join("cache"), cache_max_bytes);
        let shared = Shared { objects, uri: uri.to_string(), work, cache, known: Mutex::default(), lease: Mutex::default() };
        Bucket { shared: Arc::new(shared), versions, term: Term::USUAL, kept_unlisted: TimeDelta::hours(24) }
    }
}

impl Shared {
    fn shown(&self, path: &str) -> PathBuf {
        if path.is_empty() { PathBuf::from(&self.uri) } else { PathBuf::from(format!("{}/{path}", self.uri)) }
    }

    fn failed(&self, action: &'static str, path: &str) -> impl FnOnce(io::Error) -> PublishError {
        let shown = self.shown(path);
        move |error| PublishError::new(action, &shown, error)
    }

    /// What is known of the objects. Lists them at the first call.
    fn known(&self) -> Result<MutexGuard<'_, Option<Known>>, PublishError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            *known = Some(Known::list(&self.objects).map_err(self.failed("list", ""))?);
        }
        Ok(known)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Known) -> T) -> Result<T, PublishError> {
        // `known` has set the value, so the default is never used.
        Ok(ask(self.known()?.get_or_insert_default()))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, PublishError> {
        self.with(|known| known.entries.get(path).cloned())
    }

    /// The paths of the objects below a folder.
    fn below(&self, folder: &str) -> Result<Vec<String>, PublishError> {
        let prefix = format!("{folder}/");
        self.with(|known| known.below(&prefix).map(|(path, _)| path.clone()).collect())
    }

    /// Whether the folder has a manifest, and is not being removed. A folder whose manifest was lost counts too, because it was published.
    fn is_published(&self, folder: &str) -> Result<bool, PublishError> {
        let manifest = manifest_in(folder);
        match self.entry(&manifest)? {
            Some(entry) => Ok(entry.bytes != REMOVED.len() as u64),
            None => self.with(|known| known.has_lost(&manifest)),
        }
    }

    /// Checks, before a write, that this process has the lock. A process that never took it does not write.
    fn check_lease(&self, path: &str) -> Result<(), PublishError> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let checked = lease.map_or_else(|| Err(lease::lost("it was never taken")), |lease| lease.check());
        checked.map_err(self.failed("write", path))
    }

    /// The condition for replacing a manifest: it must be the version that was listed when this process took the lock, or that this process
    /// wrote later.
    fn condition(&self, path: &str) -> Result<If, PublishError> {
        let Some(entry) = self.entry(path)? else { return Ok(If::Absent) };
        let found = self.objects.get(path).map_err(self.failed("read", path))?;
        match found {
            Some((_, version)) if entry.tag.is_none() || version.tag() == entry.tag => Ok(If::Is(version)),
            _ => Err(self.failed("replace", path)(lease::lost("another process has replaced this file since"))),
        }
    }

    fn put_manifest(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        self.check_lease(path)?;
        let condition = self.condition(path)?;
        match self.objects.put_if(path, bytes, condition).map_err(self.failed("write", path))? {
            Put::Done(version) => self.with(|known| known.wrote(path, bytes, &version)),
            Put::Conflict => Err(self.failed("replace", path)(lease::lost("another process has replaced this file since"))),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        self.check_lease(path)?;
        let version = self.objects.put(path, bytes.to_vec()).map_err(self.failed("write", path))?;
        self.with(|known| known.wrote(path, bytes, &version))
    }

    fn delete(&self, path: &str) -> Result<(), PublishError> {
        self.check_lease(path)?;
        self.objects.delete(path).map_err(self.failed("remove", path))?;
        self.with(|known| known.removed(path))
    }

    /// Sends all files, also if the bucket has an object with the same name: that object may have other bytes.
    fn upload(&self, staging: &Staging, target: &str) -> Result<(), PublishError> {
        let next = Mutex::new(staging.files().into_iter().filter(is_of_staging));
        let send = || -> Result<(), PublishError> {
            loop {
                let Some(file) = next.lock().unwrap_or_else(PoisonError::into_inner).next() else { return Ok(()) };
                let path = format!("{target}/{}", file.path);
                self.check_lease(&path)?;
                let sent = self.objects.upload(&path, &staging.folder().join(&file.path));
                let version = sent.map_err(self.failed("write", &path))?;
                self.with(|known| known.sent(&path, file.bytes, &version))?;
            }
        };
        thread::scope(|scope| {
            let senders: Vec<_> = (0..UPLOADS).map(|_| scope.spawn(send)).collect();
            let sent: Vec<_> =
                senders.into_iter().map(|sender| sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect();
            sent.into_iter().collect()
        })
    }

    /// The bytes of a manifest; `None` if the folder is not published.
    fn manifest(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        let Some(entry) = self.entry(path)? else { return Ok(None) };
        // Somebody may have changed the catalog. If the checksum of a catalogued manifest is missing or wrong, the manifest itself is read.
        let catalogued = self.with(|known| known.manifest(path, &entry))?;
        if let Some(bytes) = catalogued.filter(|bytes| publish::checked_hash(bytes).is_some_and(|(_, has_checksum)| has_checksum)) {
            return Ok(Some(bytes));
        }
        let found = self.objects.get(path).map_err(self.failed("read", path))?.filter(|(bytes, _)| bytes != REMOVED);
        let Some((bytes, version)) = found else { return Ok(None) };
        self.with(|known| known.read(path, &bytes, &version))?;
        Ok(Some(bytes))
    }

    /// The files that the manifest of a folder lists; `None` if it cannot be read.
    fn files_of(&self, folder: &str) -> Result<Option<Vec<ListedFile>>, PublishError> {
        #[derive(serde::Deserialize)]
        struct Files {
            files: Vec<ListedFile>,
        }
        let Some(bytes) = self.manifest(&manifest_in(folder))? else { return Ok(Some(Vec::new())) };
        let is_sound = publish::checked_hash(&bytes).is_some();
        Ok(serde_json::from_slice::<Files>(&bytes).ok().filter(|_| is_sound).map(|listed| listed.files))
    }

    /// Removes the objects of a folder that its manifest does not list and that are due.
    fn remove_unlisted(&self, folder: &str, is_due: impl Fn(&Entry) -> bool) -> Result<(), PublishError> {
        let unlisted: Vec<String> = {
            let prefix = format!("{folder}/");
            self.with(|known| known.below(&prefix).filter(|(_, entry)| is_due(entry)).map(|(path, _)| path.clone()).collect())?
        };
        if unlisted.is_empty() {
            return Ok(());
        }
        // Without its manifest, it is unknown which files belong to a month, so all files stay.
        if self.with(|known| known.has_lost(&manifest_in(folder)))? {
            return Ok(());
        }
        let Some(files) = self.files_of(folder)? else { return Ok(()) };
        let mut listed: BTreeSet<String> = files.into_iter().map(|file| format!("{folder}/{}", file.path)).collect();
        listed.insert(manifest_in(folder));
        unlisted.iter().filter(|path| !listed.contains(*path)).try_for_each(|path| self.delete(path))
    }

    /// Removes what interrupted runs and replaced months left, once it is old enough by the clock of the store.
    fn sweep(&self, kept_unlisted: TimeDelta) -> Result<(), PublishError> {
        let Some(now) = self.entry(lease::PATH)?.map(|lease| lease.modified) else { return Ok(()) };
        self.remove_of_engines()?;
        for folder in self.with(|known| known.month_folders())?.into_iter().filter(|folder| !folder.starts_with(ENGINE)) {
            if self.entry(&manifest_in(&folder))?.is_some() && !self.is_published(&folder)? {
                self.remove_folder(&folder)?;
            } else {
                self.remove_unlisted(&folder, |entry| now - entry.modified > kept_unlisted)?;
            }
        }
        Ok(())
    }

    /// Removes the objects of a folder that is marked as removed, the mark last.
    fn remove_folder(&self, folder: &str) -> Result<(), PublishError> {
        let manifest = manifest_in(folder);
        for path in self.below(folder)?.into_iter().filter(|path| *path != manifest) {
            self.delete(&path)?;
        }
        self.delete(&manifest)
    }

    /// Downloads a file to the cache, and compares it with its hash. Without `trusts_cache`, downloads it even if the cache has it.
    fn fetch(&self, path: &str, file: &ListedFile, trusts_cache: bool) -> Result<(), Problem> {
        let name = &file.path;
        let key = file.checksum.digits();
        let failed = |error: PublishError| Problem::Unreachable(Arc::new(error));
        if trusts_cache && self.cache.has(&key).map_err(failed)? {
            return Ok(());
        }
        let part = self.cache.place(&key, file.bytes).map_err(failed)?;
        let fetched = self.objects.download(path, &part).map_err(self.failed("read", path));
        let problem = match fetched {
            Ok(Some(found)) if self.is_same(&found, file, &part).map_err(failed)? => return self.cache.keep(&key, &part).map_err(failed),
            Ok(Some(_)) => Problem::Damage(format!("`{name}` differs from what was published")),
            Ok(None) => Problem::Damage(format!("`{name}` is missing")),
            Err(error) => failed(error),
        };
        publish::remove_file(&part).map_err(failed)?;
        Err(problem)
    }

    /// Whether what was fetched is the listed file.
    fn is_same(&self, found: &Fetched, file: &ListedFile, path: &Path) -> Result<bool, PublishError> {
        match &file.checksum {
            Checksum::Sha256(hash) => Ok(found.sha256 == *hash),
            Checksum::Etag(tag) if found.tag.as_ref() == Some(tag) => Ok(true),
            // The file was copied from another bucket, so its object has another ETag here. Its bytes are compared.
            Checksum::Etag(_) => Ok(file.checksum.is_of(path)? == Some(true)),
        }
    }
}

impl Store for Bucket {
    fn shown(&self, path: &str) -> PathBuf {
        self.shared.shown(path)
    }

    fn work(&self) -> &Path {
        &self.shared.work
    }

    fn staging(&self) -> PathBuf {
        self.shared.work.clone()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn folders(&self, path: &str) -> Result<Vec<String>, PublishError> {
        let prefix = format!("{path}/");
        let names = self.shared.with(|known| {
            let folders = known.month_folders();
            folders.iter().filter_map(|folder| folder.strip_prefix(&prefix)).map(str::to_string).collect::<Vec<_>>()
        })?;
        let mut published = Vec::new();
        for name in names {
            if self.shared.is_published(&format!("{prefix}{name}"))? {
                published.push(name);
            }
        }
        Ok(published)
    }

    fn is_there(&self, path: &str) -> Result<bool, PublishError> {
        if path.is_empty() {
            return self.shared.with(|known| !known.entries.is_empty());
        }
        Ok(self.shared.entry(path)?.is_some() || self.shared.is_published(path)?)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, PublishError> {
        if path.ends_with(MANIFEST) {
            return self.shared.manifest(path);
        }
        if self.shared.entry(path)?.is_none() {
            return Ok(None);
        }
        let found = self.shared.objects.get(path).map_err(self.shared.failed("read", path))?;
        Ok(found.map(|(bytes, _)| bytes))
    }

    fn copy(&self, path: &str) -> Result<Option<PathBuf>, PublishError> {
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        let copy = self.shared.work.join("copies").join(path.replace('/', "@"));
        publish::create_folder(&self.shared.work.join("copies"))?;
        publish::write_file(&copy, &bytes)?;
        Ok(Some(copy))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> Result<(), PublishError> {
        if path.starts_with(&format!("{ENGINE}/{CHECK}")) {
            return self.shared.objects.put(path, bytes.to_vec()).map(drop).map_err(self.shared.failed("write", path));
        }
        self.shared.put(path, bytes)
    }

    fn remove_file(&self, path: &str) -> Result<(), PublishError> {
        if self.shared.entry(path)?.is_some() { self.shared.delete(path) } else { Ok(()) }
    }

    fn publish(&self, staging: Staging, target: &str) -> Result<(), PublishError> {
        let shared = &self.shared;
        let path = staging.folder().join(MANIFEST);
        let manifest = std::fs::read(&path).map_err(|error| PublishError::new("read", &path, error))?;
        shared.upload(&staging, target)?;
        shared.put_manifest(&manifest_in(target), &manifest)?;
        // Files with hashed names go to the cache: later months are counted from them and need not fetch them.
        let has_hashed_names = staging.files().iter().all(|file| file.name() != file.path);
        if !has_hashed_names {
            // Reports have fixed names. Files of formats that are no longer wanted must not stay beside them.
            return shared.remove_unlisted(target, |_| true);
        }
        for file in staging.files().into_iter().filter(is_of_staging) {
            // The month is published, so this is no failure: a file that is not cached is fetched when it is needed.
            if let Err(error) = shared.cache.take(&file.checksum.digits(), file.bytes, &staging.folder().join(&file.path)) {
                tracing::warn!(%error, "a published file was not cached on this machine");
                break;
            }
        }
        Ok(())
    }

    fn retire(&self, path: &str) -> Result<(), PublishError> {
        let manifest = manifest_in(path);
        if self.shared.entry(&manifest)?.is_none() && !self.shared.is_published(path)? {
            return Ok(());
        }
        // A deletion cannot have a condition, and could remove the manifest of another process. So the manifest is first replaced, on a
        // condition.
        self.shared.put_manifest(&manifest, REMOVED)?;
        self.shared.remove_folder(path)
    }

    fn purge(&self, path: &str) -> Result<(), PublishError> {
        self.shared.remove_unlisted(path, |_| true)
    }

    fn purge_versions(&self) -> Result<OldVersions, PublishError> {
        let mut kept = BTreeSet::new();
        for folder in self.shared.with(|known| known.month_folders())? {
            kept.extend(self.shared.files_of(&folder)?.unwrap_or_default().into_iter().map(|file| file.checksum.digits().into_owned()));
        }
        self.shared.cache.retain(&kept)?;
        publish::remove_folder(&self.shared.work.join("copies"))?;
        self.versions.purge(self.shared.objects.prefix()).map_err(self.shared.failed("remove old versions in", ""))
    }

    fn local_path(&self, _folder: &str, file: &ListedFile) -> PathBuf {
        self.shared.cache.path(&file.checksum.digits())
    }

    fn fetch(&self, folder: &str, file: &ListedFile) -> Result<(), Problem> {
        // A cached copy must not hide that the file is missing in the bucket.
        if let Some(problem) = self.misses(folder, file) {
            return Err(problem);
        }
        self.shared.fetch(&format!("{folder}/{}", file.path), file, true)
    }

    fn verify(&self, folder: &str, file: &ListedFile) -> Result<(), Problem> {
        if let Checksum::Etag(tag) = &file.checksum
            && self.misses(folder, file).is_none()
            && matches!(self.shared.entry(&format!("{folder}/{}", file.path)), Ok(Some(entry)) if entry.tag.as_ref() == Some(tag))
        {
            // The object has the ETag that the manifest lists, so its bytes are unchanged.
            return Ok(());
        }
        self.shared.fetch(&format!("{folder}/{}", file.path), file, false)
    }

    fn misses(&self, folder: &str, file: &ListedFile) -> Option<Problem> {
        let name = &file.path;
        match self.shared.entry(&format!("{folder}/{name}")) {
            Ok(Some(entry)) if entry.bytes == file.bytes => None,
            Ok(Some(entry)) => Some(Problem::Damage(format!("`{name}` has {} bytes instead of {}", entry.bytes, file.bytes))),
            Ok(None) => Some(Problem::Damage(format!("`{name}` is missing"))),
            Err(error) => Some(Problem::Unreachable(Arc::new(error))),
        }
    }

    fn bytes_below(&self, path: &str) -> u64 {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.shared.with(|known| known.below(&prefix).map(|(_, entry)| entry.bytes).sum()).unwrap_or(0)
    }

    fn written_below(&self, folder: &str) -> Result<Vec<WrittenFile>, PublishError> {
        self.shared.written_below(folder)
    }

    fn tail(&self, file: &WrittenFile, bytes: u64) -> Result<Vec<u8>, PublishError> {
        self.shared.objects.tail(&file.path, file.bytes, bytes).map_err(self.shared.failed("read", &file.path))
    }

    fn fetch_written(&self, file: &WrittenFile) -> Result<LocalFile, PublishError> {
        self.shared.fetch_written(file)
    }

    fn place(&self, file: &WrittenFile, staging: &Staging, relative: &str, rows: u64) -> Result<(), PublishError> {
        self.shared.place(file, staging, relative, rows)
    }

    fn remove_below(&self, folder: &str) -> Result<(), PublishError> {
        self.shared.remove_below(folder)
    }

    fn lock(&self, purpose: &str) -> Result<Lock, StoreError> {
        let shared = &self.shared;
        let work = flock::take(&flock::path(&shared.work), &shared.work, purpose)?;
        let lease = match lease::take(&shared.objects, purpose, self.term).map_err(shared.failed("lock", lease::PATH))? {
            Taken::Lease(lease) => Arc::new(lease),
            Taken::Held(holder) => return Err(StoreError::Locked { path: shared.shown(lease::PATH), holder }),
            Taken::Unconditional => return Err(StoreError::Unconditional { place: shared.shown("") }),
        };
        *shared.lease.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&lease);
        let unfinished_on = lease.unfinished_on.clone();
        let held = Held { shared: shared.clone(), lease: Some(lease), _work: work };
        shared.cache.trim();
        // The objects may have changed before the lease was taken, so they are listed again.
        *shared.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        shared.sweep(self.kept_unlisted)?;
        Ok(Lock { unfinished_on, ..Lock::new(Mutex::new(held)) })
    }

    fn holder(&self) -> Result<Option<Holder>, StoreError> {
        Ok(lease::holder(&self.shared.objects).map_err(self.shared.failed("read", lease::PATH))?)
    }

    fn try_out(&self) -> Result<Tried, StoreError> {
        self.shared.try_out()
    }
}

/// Whether a listed file must be sent from the staged folder. A file that an engine wrote was copied to its target already.
fn is_of_staging(file: &ListedFile) -> bool {
    matches!(file.checksum, Checksum::Sha256(_))
}

fn manifest_in(folder: &str) -> String {
    format!("{folder}/{MANIFEST}")
}

#[cfg(test)]
mod tests;
