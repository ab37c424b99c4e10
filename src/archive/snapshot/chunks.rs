//! A chunk of a stream's rows, and the file of the chunk.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::columns::{ContactColumns, ContactFrames, ConversationColumns};
use super::tables::{
    ATTRIBUTES, CONTACTS, CONVERSATIONS, FATE_ANSWERS, OWN_SUBSCRIPTIONS, SUBSCRIPTION_ANSWERS, TAG_DATE_ANSWERS, TAGGED, WITHOUT_RECORD,
};
use super::{SnapshotError, StreamRecord};
use crate::table::{Bundle, Table, TableError, read_bundle, read_bundled, write_bundle};
use domain::{Contact, Conversation};

/// When a record was last changed, in seconds since 1970. If a row has two records, the newer one counts.
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
    /// The rows in memory, as columns.
    type Columns: Default + Send;
    /// The tables of a chunk.
    const TABLES: &'static Bundle;

    fn id(&self) -> &str;
    fn updated_at(&self) -> Option<DateTime<Utc>>;
    /// Adds the row. If the columns may already have a record of it (`may_repeat`), this record replaces it.
    fn push(self, columns: &mut Self::Columns, may_repeat: bool);
    fn len(columns: &Self::Columns) -> usize;
    /// The approximate number of bytes in all texts.
    fn bytes(columns: &Self::Columns) -> usize;
    /// The tables of a chunk with these rows.
    fn frames(columns: Self::Columns) -> Result<Vec<DataFrame>, SnapshotError>;
    /// Calls `visit` with the ID of each row of a chunk and when the row was updated.
    fn each(chunk: &Path, visit: &mut Visit<'_>) -> Result<(), SnapshotError>;
}

/// Called with the ID of a row and when it was updated.
pub(super) type Visit<'a> = dyn FnMut(&str, Updated) + 'a;

impl Spooled for Contact {
    type Columns = ContactColumns;
    const TABLES: &'static Bundle = &[&CONTACTS, &ATTRIBUTES, &TAGGED, &WITHOUT_RECORD, &OWN_SUBSCRIPTIONS];

    fn id(&self) -> &str {
        &self.id
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn push(self, columns: &mut ContactColumns, may_repeat: bool) {
        columns.push(&self, may_repeat);
    }

    fn len(columns: &ContactColumns) -> usize {
        columns.len()
    }

    fn bytes(columns: &ContactColumns) -> usize {
        columns.bytes()
    }

    fn frames(columns: ContactColumns) -> Result<Vec<DataFrame>, SnapshotError> {
        let ContactFrames { contacts, attributes, tagged, subscriptions } = columns.finish()?;
        Ok(vec![contacts, attributes, tagged, WITHOUT_RECORD.empty(), subscriptions])
    }

    fn each(chunk: &Path, visit: &mut Visit<'_>) -> Result<(), SnapshotError> {
        each_contact(chunk, &CONTACTS, visit)?;
        each_contact(chunk, &WITHOUT_RECORD, visit)
    }
}

impl Spooled for Conversation {
    type Columns = ConversationColumns;
    const TABLES: &'static Bundle = &[&CONVERSATIONS];

    fn id(&self) -> &str {
        &self.id
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn push(self, columns: &mut ConversationColumns, may_repeat: bool) {
        columns.push(&self, may_repeat);
    }

    fn len(columns: &ConversationColumns) -> usize {
        columns.len()
    }

    fn bytes(columns: &ConversationColumns) -> usize {
        columns.bytes()
    }

    fn frames(columns: ConversationColumns) -> Result<Vec<DataFrame>, SnapshotError> {
        Ok(vec![columns.finish()?])
    }

    /// The table of conversations does not contain the time of the last change. So each record that comes after an interruption
    /// counts as newer.
    fn each(chunk: &Path, visit: &mut Visit<'_>) -> Result<(), SnapshotError> {
        let rows = read_bundled(chunk, Self::TABLES, &CONVERSATIONS, Some(&["conversation_id"]))?;
        let ids = rows.column("conversation_id").and_then(|column| column.str()).map_err(reading)?;
        ids.iter().flatten().for_each(|id| visit(id, Updated::default()));
        Ok(())
    }
}

/// The file of a chunk. It is named after the first table.
pub(super) fn chunk<R: Spooled>(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{}-{index:05}.{CHUNK}", R::TABLES[0].name))
}

/// The file extension of chunks.
pub(super) const CHUNK: &str = "arrows";

/// The tables and the number of a chunk, from the name of its file; `None` if the file is no chunk.
pub(super) fn tables_of(name: &str) -> Option<(&'static Bundle, usize)> {
    let (table, index) = name.strip_suffix(CHUNK)?.strip_suffix('.')?.rsplit_once('-')?;
    let bundles = [Contact::TABLES, Conversation::TABLES, TAG_DATE_ANSWERS, SUBSCRIPTION_ANSWERS, FATE_ANSWERS];
    let bundle = bundles.into_iter().find(|bundle| bundle[0].name == table)?;
    Some((bundle, index.parse().ok()?))
}

/// Writes and syncs one chunk.
pub(super) fn write_chunk<R: Spooled>(columns: R::Columns, folder: &Path, index: usize) -> Result<(), SnapshotError> {
    Ok(write_bundle(&R::frames(columns)?, R::TABLES, &chunk::<R>(folder, index))?)
}

/// Whether all chunks of a stream can be read. The record of the stream says how many there are. Blocks.
pub fn is_readable<R: Spooled>(folder: &Path, record: &StreamRecord) -> bool {
    (0..record.chunks).all(|index| match read_bundle(&chunk::<R>(folder, index), R::TABLES) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!("chunk {index} of `{}` cannot be read, so the stream is fetched again: {error}", folder.display());
            false
        }
    })
}

/// Calls `visit` with each contact in one table of a chunk.
pub(super) fn each_contact(chunk: &Path, of: &'static Table, visit: &mut Visit<'_>) -> Result<(), SnapshotError> {
    let rows = read_bundled(chunk, Contact::TABLES, of, Some(&["contact_id", "updated_at"]))?;
    let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(reading)?;
    let updated = rows.column("updated_at").and_then(|column| column.datetime()).map_err(reading)?;
    let pairs = ids.iter().zip(updated.physical().iter());
    pairs.for_each(|(id, micros)| visit(id.unwrap_or_default(), Updated::of_micros(micros)));
    Ok(())
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "a spooled stream", error)
}
