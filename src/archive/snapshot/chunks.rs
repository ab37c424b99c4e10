//! A chunk of a stream's rows, and the file that it is kept in.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::columns::{ContactColumns, ContactFrames, ConversationColumns, HeldColumns};
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, HELD, TAGGED};
use super::tag_dates::ANSWERS;
use super::{SnapshotError, StreamRecord};
use crate::table::{Bundle, Table, TableError, read_bundle, read_bundled, write_bundle};
use domain::{Contact, Conversation};

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
    /// The tables of a chunk.
    const TABLES: &'static Bundle;

    fn id(&self) -> &str;
    fn created_at(&self) -> Option<DateTime<Utc>>;
    fn updated_at(&self) -> Option<DateTime<Utc>>;
    /// Takes the row in. Of one that may be there already, this record counts.
    fn push(self, columns: &mut Self::Columns, may_be_there: bool);
    /// Takes in who it is, because its record is held elsewhere.
    fn push_held(&self, held: &mut HeldColumns);
    fn len(columns: &Self::Columns) -> usize;
    /// About how many bytes their texts have.
    fn bytes(columns: &Self::Columns) -> usize;
    /// The tables of a chunk of these rows.
    fn frames(columns: Self::Columns, held: HeldColumns) -> Result<Vec<DataFrame>, SnapshotError>;
    /// Tells the id of each row of a chunk, and when the row was updated.
    fn each(chunk: &Path, tell: &mut Tell<'_>) -> Result<(), SnapshotError>;
}

/// Is told of rows, by their ids.
pub(super) type Tell<'a> = dyn FnMut(&str, Updated) + 'a;

impl Spooled for Contact {
    type Columns = ContactColumns;
    const TABLES: &'static Bundle = &[&CONTACTS, &ATTRIBUTES, &TAGGED, &HELD];

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

    fn bytes(columns: &ContactColumns) -> usize {
        columns.bytes()
    }

    fn frames(columns: ContactColumns, held: HeldColumns) -> Result<Vec<DataFrame>, SnapshotError> {
        let ContactFrames { contacts, attributes, tagged } = columns.finish()?;
        Ok(vec![contacts, attributes, tagged, held.finish()?])
    }

    fn each(chunk: &Path, tell: &mut Tell<'_>) -> Result<(), SnapshotError> {
        each_contact(chunk, &CONTACTS, tell)?;
        each_contact(chunk, &HELD, tell)
    }
}

impl Spooled for Conversation {
    type Columns = ConversationColumns;
    const TABLES: &'static Bundle = &[&CONVERSATIONS];

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

    fn bytes(columns: &ConversationColumns) -> usize {
        columns.bytes()
    }

    fn frames(columns: ConversationColumns, _: HeldColumns) -> Result<Vec<DataFrame>, SnapshotError> {
        Ok(vec![columns.finish()?])
    }

    /// The table has no time of the last change: any record that comes after an interruption counts as newer.
    fn each(chunk: &Path, tell: &mut Tell<'_>) -> Result<(), SnapshotError> {
        let rows = read_bundled(chunk, Self::TABLES, &CONVERSATIONS, Some(&["conversation_id"]))?;
        let ids = rows.column("conversation_id").and_then(|column| column.str()).map_err(reading)?;
        ids.iter().flatten().for_each(|id| tell(id, Updated::default()));
        Ok(())
    }
}

/// The file of a chunk, by the first of its tables.
pub(super) fn chunk<R: Spooled>(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("{}-{index:05}.{CHUNK}", R::TABLES[0].name))
}

/// How the names of chunks end.
pub(super) const CHUNK: &str = "arrows";

/// The tables of a chunk, by the name of its file; `None` when that is another file.
pub(super) fn tables_of(name: &str) -> Option<(&'static Bundle, usize)> {
    let (table, index) = name.strip_suffix(CHUNK)?.strip_suffix('.')?.rsplit_once('-')?;
    let bundle = [Contact::TABLES, Conversation::TABLES, ANSWERS].into_iter().find(|bundle| bundle[0].name == table)?;
    Some((bundle, index.parse().ok()?))
}

/// Writes one chunk, and sees to it that it outlasts a power cut.
pub(super) fn write_chunk<R: Spooled>(columns: R::Columns, held: HeldColumns, folder: &Path, index: usize) -> Result<(), SnapshotError> {
    Ok(write_bundle(&R::frames(columns, held)?, R::TABLES, &chunk::<R>(folder, index))?)
}

/// Whether everything that the record of a stream counts can be read. Blocks.
pub fn is_readable<R: Spooled>(folder: &Path, record: &StreamRecord) -> bool {
    (0..record.chunks).all(|index| match read_bundle(&chunk::<R>(folder, index), R::TABLES) {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!("chunk {index} of `{}` cannot be read, and the list is fetched anew: {error}", folder.display());
            false
        }
    })
}

/// Tells of each contact in one table of a chunk.
pub(super) fn each_contact(chunk: &Path, of: &'static Table, tell: &mut Tell<'_>) -> Result<(), SnapshotError> {
    let rows = read_bundled(chunk, Contact::TABLES, of, Some(&["contact_id", "updated_at"]))?;
    let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(reading)?;
    let updated = rows.column("updated_at").and_then(|column| column.datetime()).map_err(reading)?;
    let pairs = ids.iter().zip(updated.physical().iter());
    pairs.for_each(|(id, micros)| tell(id.unwrap_or_default(), Updated::of_micros(micros)));
    Ok(())
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "a spooled stream", error)
}
