//! A chunk of a walk's rows, as the files that it is kept in. Written and read once, by this program alone: what counts is
//! speed, not size.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::columns::{ContactColumns, ContactFrames, ConversationColumns, HeldColumns};
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, HELD, TAGGED};
use super::{SnapshotError, WalkRecord};
use crate::domain::{Contact, Conversation};
use crate::table::{Table, TableError, read_file, write_file};

/// When a record was last changed, in seconds of 1970 on: of two records of one row, the newer one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Updated(u32);

impl Updated {
    pub fn at(instant: Option<DateTime<Utc>>) -> Updated {
        let seconds = instant.map_or(0, |instant| instant.timestamp());
        Updated(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }

    fn of_micros(micros: Option<i64>) -> Updated {
        Updated::at(micros.and_then(DateTime::from_timestamp_micros))
    }
}

/// A row that can be spooled.
pub trait Spooled: Send + Sized + 'static {
    /// Rows as columns, from the moment they come.
    type Columns: Default + Send;

    fn id(&self) -> &str;
    fn created_at(&self) -> Option<DateTime<Utc>>;
    fn updated_at(&self) -> Option<DateTime<Utc>>;
    /// Takes the row in. Of one that may be there already, this record counts.
    fn push(self, columns: &mut Self::Columns, may_be_there: bool);
    /// Takes in who it is, because its record is held elsewhere.
    fn push_held(&self, held: &mut HeldColumns);
    fn len(columns: &Self::Columns) -> usize;
    /// Writes one chunk of rows to its files, and sees to it that they outlast a power cut.
    fn write_chunk(columns: Self::Columns, held: HeldColumns, folder: &Path, index: usize) -> Result<(), SnapshotError>;
    /// Reads all of a chunk, to find out whether it can be read.
    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError>;
    /// The ids of the rows of a chunk, each with when it was updated.
    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError>;
}

impl Spooled for Contact {
    type Columns = ContactColumns;

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<DateTime<Utc>> {
        self.created_at
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn push(self, columns: &mut ContactColumns, is_there: bool) {
        columns.push(&self, is_there);
    }

    fn push_held(&self, held: &mut HeldColumns) {
        held.push(&self.id, self.updated_at);
    }

    fn len(columns: &ContactColumns) -> usize {
        columns.len()
    }

    fn write_chunk(columns: ContactColumns, held: HeldColumns, folder: &Path, index: usize) -> Result<(), SnapshotError> {
        let ContactFrames { contacts, attributes, tagged } = columns.finish()?;
        write_file(contacts, &CONTACTS, &contacts_chunk(folder, index))?;
        write_file(attributes, &ATTRIBUTES, &attributes_chunk(folder, index))?;
        write_file(tagged, &TAGGED, &tagged_chunk(folder, index))?;
        Ok(write_file(held.finish()?, &HELD, &held_chunk(folder, index))?)
    }

    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError> {
        read_file(&contacts_chunk(folder, index), &CONTACTS, None)?;
        read_file(&attributes_chunk(folder, index), &ATTRIBUTES, None)?;
        read_file(&tagged_chunk(folder, index), &TAGGED, None)?;
        Ok(read_file(&held_chunk(folder, index), &HELD, None).map(drop)?)
    }

    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError> {
        let mut rows = ids_of(&contacts_chunk(folder, index), &CONTACTS)?;
        rows.extend(ids_of(&held_chunk(folder, index), &HELD)?);
        Ok(rows)
    }
}

impl Spooled for Conversation {
    type Columns = ConversationColumns;

    fn id(&self) -> &str {
        &self.id
    }

    fn created_at(&self) -> Option<DateTime<Utc>> {
        Some(self.created_at)
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn push(self, columns: &mut ConversationColumns, is_there: bool) {
        columns.push(&self, is_there);
    }

    /// Only one list has conversations.
    fn push_held(&self, _: &mut HeldColumns) {}

    fn len(columns: &ConversationColumns) -> usize {
        columns.len()
    }

    fn write_chunk(columns: ConversationColumns, _: HeldColumns, folder: &Path, index: usize) -> Result<(), SnapshotError> {
        Ok(write_file(columns.finish()?, &CONVERSATIONS, &conversations_chunk(folder, index))?)
    }

    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError> {
        Ok(read_file(&conversations_chunk(folder, index), &CONVERSATIONS, None).map(drop)?)
    }

    /// The table has no time of the last change: any record that comes after an interruption counts as newer.
    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError> {
        let rows = read_file(&conversations_chunk(folder, index), &CONVERSATIONS, Some(&["conversation_id"]))?;
        let ids = rows.column("conversation_id").and_then(|column| column.str()).map_err(reading)?;
        Ok(ids.iter().flatten().map(|id| (id.to_string(), Updated::default())).collect())
    }
}

pub(super) fn contacts_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("contacts-{index:05}.parquet"))
}

pub(super) fn attributes_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("attributes-{index:05}.parquet"))
}

pub(super) fn held_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("held-{index:05}.parquet"))
}

pub(super) fn tagged_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("tagged-{index:05}.parquet"))
}

pub(super) fn conversations_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("conversations-{index:05}.parquet"))
}

/// Whether everything that the record of a walk counts can be read. Blocks.
pub fn is_readable<R: Spooled>(folder: &Path, record: &WalkRecord) -> bool {
    (0..record.chunks).all(|index| match R::check_chunk(folder, index) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("chunk {index} of `{}` cannot be read, and the list is fetched anew: {error}", folder.display());
            false
        }
    })
}

/// The ids in a file of contacts, with when each record was updated.
pub(super) fn ids_of(path: &Path, of: &'static Table) -> Result<Vec<(String, Updated)>, SnapshotError> {
    let rows = read_file(path, of, Some(&["contact_id", "updated_at"]))?;
    let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(reading)?;
    let updated = rows.column("updated_at").and_then(|column| column.datetime()).map_err(reading)?;
    let pairs = ids.iter().zip(updated.physical().iter());
    Ok(pairs.map(|(id, micros)| (id.unwrap_or_default().to_string(), Updated::of_micros(micros))).collect())
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "a spooled walk", error)
}
