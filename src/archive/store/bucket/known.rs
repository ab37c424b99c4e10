//! What this process knows about the objects of a job: one listing of the bucket, and the manifests. Between commands, one object (the
//! catalog) contains all manifests, so that unchanged months cost no request.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::objects::{Entry, Objects, Version};
use crate::publish::MANIFEST;

/// The object with the catalog. It may be deleted.
const CATALOG: &str = ".manifests.json";

#[derive(Debug, Default)]
pub(super) struct Known {
    pub entries: BTreeMap<String, Entry>,
    manifests: BTreeMap<String, Catalogued>,
    is_changed: bool,
}

/// A manifest, with the ETag that identifies its version in a list. If a list has another ETag, the manifest must be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Catalogued {
    tag: String,
    text: String,
}

impl Known {
    /// Lists the objects, and reads the catalog.
    pub(super) fn list(objects: &Objects) -> io::Result<Known> {
        let entries = objects.list()?;
        let catalog = if entries.contains_key(CATALOG) { objects.get(CATALOG)? } else { None };
        let manifests = catalog.and_then(|(bytes, _)| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Ok(Known { entries, manifests, is_changed: false })
    }

    /// The objects whose paths begin with the prefix.
    pub(super) fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a Entry)> {
        self.entries.range(prefix.to_string()..).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// The folders of months: `snapshots/run_month=2026-10`.
    pub(super) fn month_folders(&self) -> Vec<String> {
        let folder = |path: &String| -> Option<String> {
            let mut names = path.split('/');
            let (section, month) = (names.next()?, names.next()?);
            (month.starts_with("run_month=") && names.next().is_some()).then(|| format!("{section}/{month}"))
        };
        let mut folders: Vec<String> = self.entries.keys().filter_map(folder).collect();
        folders.dedup();
        folders
    }

    /// Whether a manifest that an earlier command saw is missing, although its folder has objects. This program removes a manifest after
    /// all other objects of its folder, so somebody else removed it.
    pub(super) fn has_lost(&self, manifest: &str) -> bool {
        let folder = manifest.strip_suffix(MANIFEST).unwrap_or(manifest);
        !self.entries.contains_key(manifest) && self.manifests.contains_key(manifest) && self.below(folder).next().is_some()
    }

    /// The bytes of a manifest, if the catalog has its version.
    pub(super) fn manifest(&self, path: &str, entry: &Entry) -> Option<Vec<u8>> {
        let catalogued = self.manifests.get(path)?;
        (entry.tag.as_ref() == Some(&catalogued.tag)).then(|| catalogued.text.clone().into_bytes())
    }

    /// Records a manifest that was read.
    pub(super) fn read(&mut self, path: &str, bytes: &[u8], version: &Version) {
        if let (Some(tag), Ok(text)) = (version.tag(), String::from_utf8(bytes.to_vec())) {
            self.manifests.insert(path.to_string(), Catalogued { tag, text });
            self.is_changed = true;
        }
    }

    /// Records an object that was written.
    pub(super) fn wrote(&mut self, path: &str, bytes: &[u8], version: &Version) {
        self.sent(path, bytes.len() as u64, version);
        if path.ends_with(MANIFEST) {
            self.read(path, bytes, version);
        }
    }

    /// Records a file that was written.
    pub(super) fn sent(&mut self, path: &str, bytes: u64, version: &Version) {
        // The object is new by every clock, so no sweep of this command removes it.
        self.entries.insert(path.to_string(), Entry { bytes, modified: chrono::DateTime::<chrono::Utc>::MAX_UTC, tag: version.tag() });
    }

    /// Records an object that another program wrote, or that the store made as a copy.
    pub(super) fn found(&mut self, path: &str, entry: Entry) {
        self.entries.insert(path.to_string(), entry);
    }

    pub(super) fn removed(&mut self, path: &str) {
        self.entries.remove(path);
        self.is_changed |= self.manifests.remove(path).is_some();
    }

    /// Writes the catalog for the next command. Without the catalog, that command reads each manifest separately.
    pub(super) fn write_catalog(&mut self, objects: &Objects) {
        if !std::mem::take(&mut self.is_changed) {
            return;
        }
        let is_of_now = |path: &str, catalogued: &Catalogued| {
            self.has_lost(path) || self.entries.get(path).is_some_and(|entry| entry.tag.as_ref() == Some(&catalogued.tag))
        };
        let manifests: BTreeMap<_, _> = self.manifests.iter().filter(|(path, catalogued)| is_of_now(path, catalogued)).collect();
        if let Ok(bytes) = serde_json::to_vec(&manifests)
            && let Err(error) = objects.put(CATALOG, bytes)
        {
            tracing::debug!("the catalog was not written: {error}");
        }
    }
}
