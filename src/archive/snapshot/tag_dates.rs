//! When tags were put on contacts: one answer for each contact that was asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::SnapshotError;
use super::answers::{Answer, frames};
use super::tables::TAG_DATE_ANSWERS;
use crate::table::{Bundle, TableError, instants};
use domain::{ContactId, ContactIds, TagDate};

/// Selects the contacts who had a tag before an instant, according to the answers.
#[derive(Clone, Debug)]
pub struct TaggedBefore {
    pub dates: PathBuf,
    pub tag_id: String,
    pub end: DateTime<Utc>,
}

impl Answer for TagDate {
    const TABLES: &'static Bundle = TAG_DATE_ANSWERS;

    fn columns(rows: &[Option<&TagDate>]) -> Vec<Column> {
        vec![
            Column::new("tag_id".into(), rows.iter().map(|tag| tag.map(|tag| tag.tag_id.as_str())).collect::<Vec<_>>()),
            instants("applied_at", rows.iter().map(|tag| tag.and_then(|tag| tag.applied_at))),
        ]
    }
}

/// The tags of these contacts, as pairs of contact and tag. Contacts without an answer are left out.
pub(super) fn tags_of(folder: &Path, contacts: &BTreeSet<String>) -> Result<BTreeSet<(String, String)>, SnapshotError> {
    let mut tags = BTreeSet::new();
    for rows in frames::<TagDate>(folder)? {
        each(&rows, |contact, tag, _| {
            if let Some(tag) = tag.filter(|_| contacts.contains(contact)) {
                tags.insert((contact.to_string(), tag.to_string()));
            }
        })?;
    }
    Ok(tags)
}

impl TaggedBefore {
    /// The contacts who had the tag before `end`.
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
        for rows in frames::<TagDate>(&self.dates)? {
            each(&rows, |contact, tag, applied_at| {
                if tag == Some(self.tag_id.as_str()) {
                    visit(contact, applied_at);
                }
            })?;
        }
        Ok(())
    }
}

/// Calls `visit` with each row of a chunk: the contact, the tag, and the time in microseconds at which the tag was put on.
fn each<F>(rows: &DataFrame, mut visit: F) -> Result<(), SnapshotError>
where
    F: FnMut(&str, Option<&str>, Option<i64>),
{
    let failed = |error| TableError::new("read", "the dates of tags", error);
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let applied = rows.column("applied_at").and_then(|column| column.datetime()).map_err(failed)?;
    let columns = text("contact_id")?.iter().zip(text("tag_id")?.iter()).zip(applied.physical().iter());
    columns.for_each(|((contact, tag), applied_at)| visit(contact.unwrap_or_default(), tag, applied_at));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish;
    use crate::snapshot::answers::{Answers, chunk_name};

    fn dates(tag_id: &str) -> Vec<TagDate> {
        vec![TagDate { tag_id: tag_id.to_string(), applied_at: DateTime::from_timestamp(1, 0) }]
    }

    #[test]
    fn a_damaged_chunk_loses_only_its_own_answers() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("answers");
        let mut answers = Answers::open(folder.clone()).unwrap();
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

        let mut bytes = std::fs::read(folder.join(chunk_name::<TagDate>(1))).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(folder.join(chunk_name::<TagDate>(1)), bytes).unwrap();
        // An earlier version of the program wrote files with these names.
        for name in ["tag_dates-00000.parquet", "staged.parquet"] {
            std::fs::write(folder.join(name), b"a").unwrap();
        }
        assert!(holders().is_err(), "a damaged chunk is an error, not skipped");
        let mut answers = Answers::open(folder.clone()).unwrap();
        assert_eq!(["a", "b", "c"].map(|id| answers.knows(id)), [true, false, true]);
        assert_eq!(publish::file_names(&folder).unwrap(), ["tag_dates-00000.arrows", "tag_dates-00002.arrows"]);
        answers.push("b".to_string(), dates("vip")).unwrap();
        answers.flush().unwrap();
        assert_eq!(holders().unwrap(), ["a", "b", "c"]);
    }
}
