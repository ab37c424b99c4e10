//! When tags were put on their holders, as far as it was read: one answer a contact, kept in chunks, so that a later run
//! asks only for those who are missing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::{SnapshotError, publish};
use crate::domain::{ContactId, ContactIds, IdSet, TagDate};
use crate::table::{self, Kind, Table, TableError, instants, read_file, scan_or_empty, write_parquet};

/// Answers in memory before they are written: what an interruption costs.
const CHUNK_CONTACTS: usize = 500;

pub(super) const TAG_DATES: Table = Table {
    name: "tag_dates",
    row: "a contact that was asked about and a tag that it has, or none",
    key: &["contact_id", "tag_id"],
    columns: &[
        table::Column::new("contact_id", Kind::Contact, "Intercom's id of the contact"),
        table::Column::new("tag_id", Kind::Text, "Intercom's id of the tag").or_null("the contact has no tag"),
        table::Column::new("applied_at", Kind::Instant, "when the tag was put on the contact").or_null("not given or unreadable"),
    ],
};

/// The answers of one backfill, on disk but for the last few.
#[derive(Debug)]
pub struct TagDates {
    folder: PathBuf,
    known: IdSet,
    chunks: usize,
    pending: Vec<(String, Option<TagDate>)>,
    pending_contacts: usize,
}

/// Whoever had a tag before an instant, by these answers.
#[derive(Clone, Debug)]
pub struct TaggedBefore {
    pub dates: PathBuf,
    pub tag_id: String,
    pub end: DateTime<Utc>,
}

impl TagDates {
    /// Goes on with what the folder holds.
    pub fn open(folder: PathBuf) -> Result<TagDates, SnapshotError> {
        publish::create_folder(&folder)?;
        let mut dates = TagDates { chunks: 0, known: IdSet::default(), pending: Vec::new(), pending_contacts: 0, folder };
        while chunk(&dates.folder, dates.chunks).exists() {
            let read = scan_or_empty(&[chunk(&dates.folder, dates.chunks)], &TAG_DATES)?.select([col("contact_id")]).collect();
            let ids = read.map_err(|error| TableError::new("read", "the tag dates of an earlier run", error))?;
            let ids = ids.column("contact_id").and_then(|column| Ok(column.str()?.clone()));
            let ids = ids.map_err(|error| TableError::new("read", "the tag dates of an earlier run", error))?;
            ids.iter().flatten().for_each(|id| {
                dates.known.insert(id);
            });
            dates.chunks += 1;
        }
        Ok(dates)
    }

    /// Whether the contact was asked about, or is being asked about.
    pub fn knows(&self, contact_id: &str) -> bool {
        self.known.holds(contact_id)
    }

    /// Whether the contact has still to be asked about. Says so once.
    pub fn wants(&mut self, contact_id: &str) -> bool {
        self.known.insert(contact_id)
    }

    /// Takes an answer. Blocks now and then, to write.
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
        // A chunk that a crash cut short must not count as one.
        let staged = self.folder.join("staged.parquet");
        write_parquet(&frame, &TAG_DATES, &staged)?;
        let target = chunk(&self.folder, self.chunks);
        std::fs::rename(&staged, &target).map_err(|error| publish::PublishError::new("rename to", &target, error))?;
        self.chunks += 1;
        Ok(())
    }
}

/// The tags of these contacts, as far as they were asked.
pub(super) fn tags_of(folder: &Path, contacts: &BTreeSet<String>) -> Result<BTreeSet<(String, String)>, SnapshotError> {
    let mut tags = BTreeSet::new();
    for path in (0..).map(|index| chunk(folder, index)).take_while(|path| path.exists()) {
        let rows = read_file(&path, &TAG_DATES, Some(&["contact_id", "tag_id"]))?;
        let column =
            |name: &str| rows.column(name).and_then(|column| column.str()).map_err(|error| TableError::new("read", "tag dates", error));
        for (contact, tag) in column("contact_id")?.iter().zip(column("tag_id")?.iter()) {
            if let (Some(contact), Some(tag)) = (contact, tag)
                && contacts.contains(contact)
            {
                tags.insert((contact.to_string(), tag.to_string()));
            }
        }
    }
    Ok(tags)
}

impl TaggedBefore {
    fn dates(&self) -> Result<LazyFrame, TableError> {
        let chunks: Vec<PathBuf> = (0..).map(|index| chunk(&self.dates, index)).take_while(|path| path.exists()).collect();
        Ok(scan_or_empty(&chunks, &TAG_DATES)?.filter(col("tag_id").eq(lit(self.tag_id.as_str()))))
    }

    /// The contacts who had the tag.
    pub(super) fn contacts(&self) -> Result<ContactIds, TableError> {
        let failed = |error| TableError::new("read", "the tag dates", error);
        let end = lit(instants("end", [Some(self.end)].into_iter()).take_materialized_series()).first();
        let rows = self.dates()?.filter(col("applied_at").lt(end)).select([col("contact_id")]).collect().map_err(failed)?;
        let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(failed)?;
        Ok(ids.iter().flatten().map(ContactId::of).collect::<Vec<_>>().into())
    }

    /// Holders of the tag of whom it is not known when they got it.
    pub(super) fn undated(&self) -> Result<u64, TableError> {
        let rows = self.dates()?.filter(col("applied_at").is_null()).collect();
        Ok(rows.map_err(|error| TableError::new("read", "the tag dates", error))?.height() as u64)
    }
}

fn chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("tag_dates-{index:05}.parquet"))
}
