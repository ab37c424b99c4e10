//! Tests whether a bucket can store a job.

use std::io;

use super::Shared;
use super::lease;
use super::objects::{If, Put, Version};
use crate::publish;
use crate::store::{BucketError, StoreError, Tried};

impl Shared {
    /// Writes, lists, reads and removes a test object, and tries writes that the bucket must refuse.
    pub(super) fn try_out(&self) -> Result<Tried, StoreError> {
        publish::create_folder(&self.work)?;
        let objects = &self.objects;
        let path = format!(".check-{}-{}", std::process::id(), crate::store::machine::Process::this().started);
        let conditional = |put: Put| match put {
            Put::Done(version) => Ok(version),
            Put::Conflict => Err(io::Error::other(BucketError::Refused("another object with its name is there".to_string()))),
        };
        let tried = || -> io::Result<bool> {
            let first: Version = conditional(objects.put_if(&path, b"first\n", If::Absent)?)?;
            conditional(objects.put_if(&path, b"second\n", If::Is(first.clone()))?)?;
            let is_conditional = lease::is_conditional(objects, &path, &first)?;
            let is_listed = objects.list()?.contains_key(&path);
            let is_read = objects.get(&path)?.is_some_and(|(bytes, _)| bytes == b"second\n");
            if is_conditional && !(is_listed && is_read) {
                return Err(io::Error::other(BucketError::Refused("what was written is not what is listed and read".to_string())));
            }
            Ok(is_conditional)
        };
        let is_conditional = tried().map_err(self.failed("try out", &path));
        let removed = objects.delete(&path).map_err(self.failed("remove", &path));
        if !is_conditional? {
            return Err(StoreError::Unconditional { place: self.shown("") });
        }
        removed?;
        Ok(Tried::Bucket)
    }
}
