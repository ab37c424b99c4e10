//! When tags were put on contacts: one answer for each contact that was asked. Answers are kept in chunks, like the rows of
//! streams, so that a later run asks only for missing answers. Chunks do not depend on one another: if one chunk cannot be read,
//! only its contacts are asked again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::chunks::{CHUNK, tables_of};
use super::tables::{ANSWERS, TAG_DATES};
use super::{SnapshotError, publish};
use crate::table::{Bundle, TableError, instants, read_bundled, write_bundle};
use domain::{ContactId, ContactIds, IdSet, TagDate};

/// A chunk is written when this many answers are in memory. So an interruption loses no more answers than this.
const CHUNK_CONTACTS: usize = 500;

/// The answers of one backfill. All but the last few are on disk.
#[derive(Debug)]
pub struct TagDates {
    folder: PathBuf,
    known: IdSet,
    chunks: usize,
    pending: Vec<(String, Option<TagDate>)>,
    pending_contacts: usize,
}

/// Selects the contacts who had a tag before an instant, according to the answers.
#[derive(Clone, Debug)]
pub struct TaggedBefore {
    pub dates: PathBuf,
    pub tag_id: String,
    pub end: DateTime<Utc>,
}

impl TagDates {
    /// Opens a folder and continues with its answers.
    pub fn open(folder: PathBuf) -> Result<TagDates, SnapshotError> {
        publish::create_folder(&folder)?;
        let mut dates = TagDates { chunks: 0, known: IdSet::default(), pending: Vec::new(), pending_contacts: 0, folder };
        for name in publish::file_names(&dates.folder)? {
            let path = dates.folder.join(&name);
            let Some(index) = index_of(&name) else {
                // The file was written by an earlier version of the program.
                publish::remove_file(&path)?;
                continue;
            };
            dates.chunks = index + 1;
            let known = &mut dates.known;
            let read = each(&path, |contact, _, _| {
                known.insert(contact);
            });
            if let Err(error) = read {
                tracing::warn!("`{}` cannot be read, so its contacts are asked again for their tags: {error}", path.display());
                publish::remove_file(&path)?;
            }
        }
        Ok(dates)
    }

    /// Whether the contact has an answer, or is being asked.
    pub fn knows(&self, contact_id: &str) -> bool {
        self.known.contains(contact_id)
    }

    /// Claims a contact for asking. Returns true only once for each contact, and false if it has an answer.
    pub fn claim(&mut self, contact_id: &str) -> bool {
        self.known.insert(contact_id)
    }

    /// Adds an answer. Sometimes writes a chunk, so it may block.
    pub fn push(&mut self, contact_id: String, tags: Vec<TagDate>) -> Result<(), SnapshotError> {
        if tags.is_empty() {
            self.pending.push((contact_id, None));
        } else {
            self.pending.extend(tags.into_iter().map(|tag| (contact_id.clone(), Some(tag))));
        }
        self.pending_contacts += 1;
        if self.pending_contacts >= CHUNK_CONTACTS { self.flush() } else { Ok(()) }
    }

    pub fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.pending);
        self.pending_contacts = 0;
        let tag_ids: Vec<Option<&str>> = rows.iter().map(|(_, tag)| tag.as_ref().map(|tag| tag.tag_id.as_str())).collect();
        let columns = vec![
            Column::new("contact_id".into(), rows.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>()),
            Column::new("tag_id".into(), tag_ids),
            instants("applied_at", rows.iter().map(|(_, tag)| tag.as_ref().and_then(|tag| tag.applied_at))),
        ];
        let frame = DataFrame::new(rows.len(), columns).map_err(|error| TableError::new("make", "the columns of tag dates", error))?;
        write_bundle(&[frame], ANSWERS, &chunk(&self.folder, self.chunks))?;
        self.chunks += 1;
        Ok(())
    }
}

/// The tags of these contacts, as pairs of contact and tag. Contacts without an answer are left out.
pub(super) fn tags_of(folder: &Path, contacts: &BTreeSet<String>) -> Result<BTreeSet<(String, String)>, SnapshotError> {
    let mut tags = BTreeSet::new();
    for path in chunks(folder)? {
        each(&path, |contact, tag, _| {
            if let Some(tag) = tag.filter(|_| contacts.contains(contact)) {
                tags.insert((contact.to_string(), tag.to_string()));
            }
        })?;
    }
    Ok(tags)
}

impl TaggedBefore {
    /// The contacts who had the tag.
    pub(super) fn contacts(&self) -> Result<ContactIds, SnapshotError> {
        let (mut contacts, end) = (Vec::new(), self.end.timestamp_micros());
        self.each_holder(&mut |contact, applied_at| {
            if applied_at.is_some_and(|at| at < end) {
                contacts.push(ContactId::of(contact));
            }
        })?;
        Ok(contacts.into())
    }

    /// The number of contacts that have the tag without a date.
    pub(super) fn undated(&self) -> Result<u64, SnapshotError> {
        let mut undated = 0;
        self.each_holder(&mut |_, applied_at| undated += u64::from(applied_at.is_none()))?;
        Ok(undated)
    }

    /// Calls `visit` with each contact that has the tag, and the time in microseconds at which the tag was put on.
    fn each_holder(&self, visit: &mut dyn FnMut(&str, Option<i64>)) -> Result<(), SnapshotError> {
        for path in chunks(&self.dates)? {
            each(&path, |contact, tag, applied_at| {
                if tag == Some(self.tag_id.as_str()) {
                    visit(contact, applied_at);
                }
            })?;
        }
        Ok(())
    }
}

/// Calls `visit` with each row of a chunk: the contact, the tag, and the time in microseconds at which the tag was put on.
fn each<F>(chunk: &Path, mut visit: F) -> Result<(), SnapshotError>
where
    F: FnMut(&str, Option<&str>, Option<i64>),
{
    let failed = |error| TableError::new("read", "the dates of tags", error);
    let rows = read_bundled(chunk, ANSWERS, &TAG_DATES, None)?;
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let applied = rows.column("applied_at").and_then(|column| column.datetime()).map_err(failed)?;
    let columns = text("contact_id")?.iter().zip(text("tag_id")?.iter()).zip(applied.physical().iter());
    columns.for_each(|((contact, tag), applied_at)| visit(contact.unwrap_or_default(), tag, applied_at));
    Ok(())
}

fn chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{}-{index:05}.{CHUNK}", TAG_DATES.name))
}

/// The chunks in the folder, in the order in which they were written.
fn chunks(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let names = publish::file_names(folder)?.into_iter();
    Ok(names.filter(|name| index_of(name).is_some()).map(|name| folder.join(name)).collect())
}

/// The number of a chunk, from its file name; `None` if the file is no chunk.
fn index_of(name: &str) -> Option<usize> {
    tables_of(name).filter(|(bundle, _)| is_of_answers(bundle)).map(|(_, index)| index)
}

/// Whether these are the tables of a chunk of answers.
pub(super) fn is_of_answers(bundle: &Bundle) -> bool {
    bundle[0].name == TAG_DATES.name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dates(tag_id: &str) -> Vec<TagDate> {
        vec![TagDate { tag_id: tag_id.to_string(), applied_at: DateTime::from_timestamp(1, 0) }]
    }

    #[test]
    fn a_damaged_chunk_loses_only_its_own_answers() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("answers");
        let mut answers = TagDates::open(folder.clone()).unwrap();
        for id in ["a", "b", "c"] {
            assert!(answers.claim(id));
            answers.push(id.to_string(), dates("vip")).unwrap();
            answers.flush().unwrap();
        }
        let holders = || {
            let of = TaggedBefore { dates: folder.clone(), tag_id: "vip".to_string(), end: DateTime::from_timestamp(2, 0).unwrap() };
            of.contacts().map(|contacts| contacts.texts().map(String::from).collect::<Vec<_>>())
        };
        assert_eq!(holders().unwrap(), ["a", "b", "c"]);

        let mut bytes = std::fs::read(chunk(&folder, 1)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(chunk(&folder, 1), bytes).unwrap();
        // Files of an earlier version.
        for name in ["tag_dates-00000.parquet", "staged.parquet"] {
            std::fs::write(folder.join(name), b"a").unwrap();
        }
        assert!(holders().is_err(), "a damaged chunk is an error, not skipped");
        let mut answers = TagDates::open(folder.clone()).unwrap();
        assert_eq!(["a", "b", "c"].map(|id| answers.knows(id)), [true, false, true]);
        assert_eq!(publish::file_names(&folder).unwrap(), ["tag_dates-00000.arrows", "tag_dates-00002.arrows"]);
        answers.push("b".to_string(), dates("vip")).unwrap();
        answers.flush().unwrap();
        assert_eq!(holders().unwrap(), ["a", "b", "c"]);
    }
}
