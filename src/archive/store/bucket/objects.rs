//! The requests to a bucket, as calls that block. If the answer to a conditional write is lost, the object is read to find out whether the
//! write was done.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::Path as FilePath;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

use super::failure::io_error;
use crate::publish::hexadecimal;

/// A file of more bytes is sent in parts of this size, so that memory does not grow with the file.
const PART: usize = 8 << 20;
/// How often an object is read after a conflict, while the store still returns the version that the write expected.
const READS: usize = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// The objects below one prefix of a bucket. Paths are relative to the prefix.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version(UpdateVersion);

/// What a list says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub bytes: u64,
    /// When it was written, by the clock of the store.
    pub modified: DateTime<Utc>,
    /// What identifies its version; `None` if the store does not say.
    pub tag: Option<String>,
}

/// An object that was written into a file of this machine.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub sha256: String,
    /// What identifies the version that was read.
    pub tag: Option<String>,
}

/// On which condition an object is written.
#[derive(Clone, Debug)]
pub(super) enum If {
    /// The object does not exist.
    Absent,
    /// The object has this version.
    Is(Version),
}

/// The result of a conditional write.
#[derive(Debug)]
pub(super) enum Put {
    Done(Version),
    /// The condition does not hold: somebody else wrote the object.
    Conflict,
}

impl Version {
    /// The ETag that identifies the version in a list, without quotes: some stores put it in quotes in some answers and not in others.
    pub(super) fn tag(&self) -> Option<String> {
        self.0.e_tag.as_deref().map(unquoted)
    }
}

fn unquoted(tag: &str) -> String {
    tag.trim_start_matches("W/").trim_matches('"').to_string()
}

impl Objects {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Objects {
        Objects { store, prefix: Path::from(prefix) }
    }

    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    fn key(&self, path: &str) -> Path {
        path.split('/').fold(self.prefix.clone(), |key, name| key.join(name))
    }

    /// Every object below the prefix, by its path.
    pub(super) fn list(&self) -> io::Result<BTreeMap<String, Entry>> {
        let (store, prefix) = (self.store.clone(), self.prefix.clone());
        wait(async move {
            let mut found = BTreeMap::new();
            let mut objects = store.list(Some(&prefix));
            while let Some(object) = objects.next().await {
                let object = object.map_err(io_error)?;
                let Some(path) = object.location.prefix_match(&prefix) else { continue };
                let path: Vec<String> = path.map(|name| name.as_ref().to_string()).collect();
                let tag = object.e_tag.as_deref().map(unquoted);
                found.insert(path.join("/"), Entry { bytes: object.size, modified: object.last_modified, tag });
            }
            Ok(found)
        })
    }

    /// The bytes of an object and its version; `None` if there is none.
    pub(super) fn get(&self, path: &str) -> io::Result<Option<(Vec<u8>, Version)>> {
        let (store, key) = (self.store.clone(), self.key(path));
        wait(async move {
            let found = match store.get(&key).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(io_error(error)),
            };
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
            Ok(Some((found.bytes().await.map_err(io_error)?.to_vec(), Version(version))))
        })
    }

    /// Writes an object, whatever was there.
    pub(super) fn put(&self, path: &str, bytes: Vec<u8>) -> io::Result<Version> {
        let (store, key) = (self.store.clone(), self.key(path));
        wait(async move { store.put(&key, PutPayload::from(bytes)).await.map(written).map_err(io_error) })
    }

    /// Writes an object on a condition, and does not read it afterwards. So after an error it is unknown whether the write was done.
    pub(super) fn put_once(&self, path: &str, bytes: Vec<u8>, condition: If) -> io::Result<Put> {
        let (store, key) = (self.store.clone(), self.key(path));
        // For an update, `NotFound` means that the object was removed: a conflict. For a new object, it means that the bucket does not
        // exist: an error.
        let is_update = matches!(condition, If::Is(_));
        let mode = match condition {
            If::Absent => PutMode::Create,
            If::Is(Version(version)) => PutMode::Update(version),
        };
        wait(async move {
            use object_store::Error::{AlreadyExists, NotFound, NotModified, Precondition};
            match store.put_opts(&key, PutPayload::from(bytes), mode.into()).await {
                Ok(result) => Ok(Put::Done(written(result))),
                Err(AlreadyExists { .. } | Precondition { .. } | NotModified { .. }) => Ok(Put::Conflict),
                Err(NotFound { .. }) if is_update => Ok(Put::Conflict),
                Err(error) => Err(io_error(error)),
            }
        })
    }

    /// Writes an object on a condition. If the store says that the condition does not hold, or gives no answer, the object is read. If it
    /// has these bytes, the write was done and its answer was lost. So no other writer may write the same bytes.
    pub(super) fn put_if(&self, path: &str, bytes: &[u8], condition: If) -> io::Result<Put> {
        let failed = match self.put_once(path, bytes.to_vec(), condition.clone()) {
            Ok(Put::Done(version)) => return Ok(Put::Done(version)),
            Ok(Put::Conflict) => None,
            Err(error) => Some(error),
        };
        for read in 0..READS {
            if read > 0 {
                std::thread::sleep(PAUSE);
            }
            match (self.get(path)?, &condition) {
                (Some((found, version)), _) if found == bytes => return Ok(Put::Done(version)),
                // The store contradicts itself: it reported a conflict, but this read returns the expected state. So the object is read
                // again.
                (Some((_, version)), If::Is(expected)) if failed.is_none() && version == *expected => {}
                (None, If::Absent) if failed.is_none() => {}
                _ => break,
            }
        }
        failed.map_or(Ok(Put::Conflict), Err)
    }

    /// Removes an object, if it exists.
    pub(super) fn delete(&self, path: &str) -> io::Result<()> {
        let (store, key) = (self.store.clone(), self.key(path));
        wait(async move {
            match store.delete(&key).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(io_error(error)),
            }
        })
    }

    /// Uploads a file. If the upload fails, removes the parts that were sent.
    pub(super) fn upload(&self, path: &str, file: &FilePath) -> io::Result<Version> {
        if std::fs::metadata(file)?.len() <= PART as u64 {
            return self.put(path, std::fs::read(file)?);
        }
        let (store, key, mut file) = (self.store.clone(), self.key(path), File::open(file)?);
        wait(async move {
            let mut upload = store.put_multipart(&key).await.map_err(io_error)?;
            let sent = async {
                loop {
                    let mut part = Vec::with_capacity(PART);
                    // The file was just written and is in memory, so this blocking read does not wait for the disk.
                    (&mut file).take(PART as u64).read_to_end(&mut part)?;
                    if part.is_empty() {
                        return upload.complete().await.map(written).map_err(io_error);
                    }
                    upload.put_part(part.into()).await.map_err(io_error)?;
                }
            }
            .await;
            if sent.is_err() {
                // Best effort: a rule of the bucket can remove the parts of uploads that were never completed.
                let _ = upload.abort().await;
            }
            sent
        })
    }

    /// Writes an object into a file of this machine; `None` if there is no such object.
    pub(super) fn download(&self, path: &str, file: &FilePath) -> io::Result<Option<Fetched>> {
        let (store, key, file) = (self.store.clone(), self.key(path), file.to_path_buf());
        wait(async move {
            let found = match store.get(&key).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(io_error(error)),
            };
            let mut options = tokio::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            options.mode(0o600);
            let mut target = options.open(&file).await?;
            let tag = found.meta.e_tag.as_deref().map(unquoted);
            let (mut hasher, mut bytes) = (Sha256::new(), found.into_stream());
            while let Some(chunk) = bytes.try_next().await.map_err(io_error)? {
                hasher.update(&chunk);
                target.write_all(&chunk).await?;
            }
            target.flush().await?;
            Ok(Some(Fetched { sha256: hexadecimal(&hasher.finalize()), tag }))
        })
    }

    /// The objects below a folder as they are now, by their path.
    pub(super) fn below(&self, folder: &str) -> io::Result<BTreeMap<String, Entry>> {
        Objects { store: self.store.clone(), prefix: self.key(folder) }
            .list()
            .map(|found| found.into_iter().map(|(path, entry)| (format!("{folder}/{path}"), entry)).collect())
    }

    /// Copies an object within the bucket. Returns what a list would say of the copy.
    pub(super) fn copy(&self, from: &str, to: &str) -> io::Result<Entry> {
        let (store, from, to) = (self.store.clone(), self.key(from), self.key(to));
        wait(async move {
            store.copy(&from, &to).await.map_err(io_error)?;
            let copy = store.head(&to).await.map_err(io_error)?;
            Ok(Entry { bytes: copy.size, modified: copy.last_modified, tag: copy.e_tag.as_deref().map(unquoted) })
        })
    }

    /// The last bytes of an object of this size.
    pub(super) fn tail(&self, path: &str, size: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let (store, key) = (self.store.clone(), self.key(path));
        wait(async move { store.get_range(&key, size.saturating_sub(bytes)..size).await.map(|bytes| bytes.to_vec()).map_err(io_error) })
    }
}

fn written(result: object_store::PutResult) -> Version {
    Version(result.into())
}

/// Runs a request on a separate runtime and blocks until it is done. The runtime is separate because some callers are on a thread of
/// another runtime, which must not run it in `block_on`.
pub(super) fn wait<T: Send + 'static>(request: impl Future<Output = io::Result<T>> + Send + 'static) -> io::Result<T> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(1).thread_name("bucket").enable_all().build().map_err(|error| error.to_string())
    });
    let runtime = runtime.as_ref().map_err(|error| io::Error::other(error.clone()))?;
    let (sender, receiver) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        // If the program is ending, nobody waits for the result, so a failed send does not matter.
        let _ = sender.send(request.await);
    });
    receiver.recv().unwrap_or_else(|_| Err(io::Error::other("the request was given up")))
}
