//! Reads, copies and removes the files that engines outside of this process write in a bucket.

use std::collections::BTreeSet;
use std::io;

use super::Shared;
use crate::publish::{self, Checksum, ListedFile, PublishError, Staging};
use crate::store::{BucketError, CHECK, ENGINE, LocalFile, SCRIPT, WrittenFile, is_of_engine};

impl Shared {
    pub(super) fn written_below(&self, folder: &str) -> Result<Vec<WrittenFile>, PublishError> {
        let found = self.objects.below(folder).map_err(self.failed("list", folder))?;
        // While Spark writes, it has unfinished files in a subfolder. So files in subfolders do not count.
        let has_rows = |path: &str| {
            path.strip_prefix(folder).and_then(|path| path.strip_prefix('/')).is_some_and(|name| !name.contains('/') && is_of_engine(name))
        };
        let files = found.into_iter().filter(|(path, _)| has_rows(path));
        Ok(files.map(|(path, entry)| WrittenFile { path, bytes: entry.bytes, tag: entry.tag }).collect())
    }

    pub(super) fn fetch_written(&self, file: &WrittenFile) -> Result<LocalFile, PublishError> {
        let folder = self.work.join("copies");
        publish::create_folder(&folder)?;
        let copy = LocalFile::Copy(folder.join(file.path.replace('/', "@")));
        let fetched = self.objects.download(&file.path, copy.path()).map_err(self.failed("read", &file.path))?;
        match fetched {
            Some(_) => Ok(copy),
            None => Err(self.failed("read", &file.path)(io::ErrorKind::NotFound.into())),
        }
    }

    pub(super) fn place(&self, file: &WrittenFile, staging: &Staging, relative: &str, rows: u64) -> Result<(), PublishError> {
        // The name of the copy needs a hash, but the checksum of the copy is not known yet, and in some buckets it differs from the
        // checksum of the original. So the hash is made from the path and the ETag of the original.
        let target = staging.listed_path(relative, &publish::sha256(format!("{} {:?}", file.path, file.tag).as_bytes()));
        let path = format!("{}/{target}", staging.target());
        self.check_lease(&path)?;
        let copy = self.objects.copy(&file.path, &path).map_err(self.failed("write", &path))?;
        if copy.bytes != file.bytes {
            let problem = format!("the copy has {} bytes, and the original {}", copy.bytes, file.bytes);
            return Err(self.failed("write", &path)(io::Error::other(BucketError::Refused(problem))));
        }
        let Some(tag) = copy.tag.clone() else {
            let problem = "the store gives no checksum for its objects".to_string();
            return Err(self.failed("write", &path)(io::Error::other(BucketError::Refused(problem))));
        };
        self.with(|known| known.found(&path, copy))?;
        staging.list_placed(ListedFile { path: target, rows, bytes: file.bytes, checksum: Checksum::Etag(tag) });
        Ok(())
    }

    pub(super) fn remove_below(&self, folder: &str) -> Result<(), PublishError> {
        let found = self.objects.below(folder).map_err(self.failed("list", folder))?;
        if folder.starts_with(&format!("{ENGINE}/{CHECK}")) {
            return found.keys().try_for_each(|path| self.objects.delete(path).map_err(self.failed("remove", path)));
        }
        found.keys().try_for_each(|path| self.delete(path))
    }

    /// Removes what engines wrote for interrupted commands, except folders with a script.
    pub(super) fn remove_of_engines(&self) -> Result<(), PublishError> {
        let paths = self.below(ENGINE)?;
        let folder = |path: &str| path.split('/').nth(1).unwrap_or_default().to_string();
        let kept: BTreeSet<String> = paths.iter().filter(|path| path.ends_with(SCRIPT)).map(|path| folder(path)).collect();
        paths.iter().filter(|path| !kept.contains(&folder(path))).try_for_each(|path| self.delete(path))
    }
}
