//! A walk's pages on their way to disk: typed columns, in chunks of a few thousand rows, each a Parquet file in the
//! walk's own folder of `.work/`. `walk.json` comes last and says that the walk is whole; a later run of the same month
//! takes such a walk over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::columns::{attribute_columns, contact_columns, conversation_columns};
use super::ids::IdSet;
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS};
use super::{SnapshotError, publish};
use crate::domain::{Contact, Conversation, Oddities};
use crate::table::write_parquet;

/// Contacts in memory for one walk before they are written: some megabytes.
const CHUNK_ROWS: usize = 4_096;
const WALK_FILE: &str = "walk.json";

/// What a finished walk says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalkRecord {
    /// Distinct rows.
    pub rows: u64,
    /// Rows that came more than once: the list shifted while it was walked.
    pub repeated: u64,
    pub chunks: usize,
    pub pages: u64,
    /// The total that the API gave with the first page and with the last.
    pub first_total: Option<u64>,
    pub last_total: Option<u64>,
    pub started_at: DateTime<Utc>,
    /// When the last page came.
    pub observed_at: DateTime<Utc>,
    /// Rows that were not asked for and were left out (conversations of other months).
    pub outside: u64,
    /// By the names of `Oddities::counts`; what never occurred is left out.
    pub oddities: BTreeMap<String, u64>,
    /// Whether what came agrees with the announced totals. Only such a walk is taken over by a later run.
    pub is_complete: bool,
}

impl WalkRecord {
    pub fn begun(at: DateTime<Utc>) -> WalkRecord {
        WalkRecord {
            rows: 0,
            repeated: 0,
            chunks: 0,
            pages: 0,
            first_total: None,
            last_total: None,
            started_at: at,
            observed_at: at,
            outside: 0,
            oddities: BTreeMap::new(),
            is_complete: false,
        }
    }

    /// Takes note of a page that came.
    pub fn page(&mut self, at: DateTime<Utc>, total: Option<u64>, outside: u64, oddities: Oddities) {
        self.pages += 1;
        self.observed_at = at;
        self.first_total = self.first_total.or(total);
        self.last_total = total.or(self.last_total);
        self.outside += outside;
        for (name, count) in oddities.counts() {
            if count > 0 {
                *self.oddities.entry(name.to_string()).or_default() += count;
            }
        }
    }
}

pub fn walk_folder(work: &Path, walk: &str) -> PathBuf {
    // Cohort keys hold a colon, which some file systems refuse.
    work.join(walk.replace(':', "-"))
}

/// The record of a walk that an earlier run finished.
pub fn load_walk(folder: &Path) -> Option<WalkRecord> {
    // A record that cannot be read is as good as none: the walk is done again.
    serde_json::from_slice(&std::fs::read(folder.join(WALK_FILE)).ok()?).ok()
}

pub(super) fn contacts_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("contacts-{index:05}.parquet"))
}

pub(super) fn attributes_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("attributes-{index:05}.parquet"))
}

pub(super) fn conversations_chunk(folder: &Path, index: usize) -> PathBuf {
    folder.join(format!("conversations-{index:05}.parquet"))
}

/// A row that can be spooled.
pub trait Spooled: Send + Sized + 'static {
    fn id(&self) -> &str;
    /// Writes one chunk of rows to its files.
    fn write_chunk(rows: &[Self], folder: &Path, index: usize) -> Result<(), SnapshotError>;
}

impl Spooled for Contact {
    fn id(&self) -> &str {
        &self.id
    }

    fn write_chunk(rows: &[Contact], folder: &Path, index: usize) -> Result<(), SnapshotError> {
        write_parquet(&contact_columns(rows)?, &CONTACTS, &contacts_chunk(folder, index))?;
        write_parquet(&attribute_columns(rows)?, &ATTRIBUTES, &attributes_chunk(folder, index))?;
        Ok(())
    }
}

impl Spooled for Conversation {
    fn id(&self) -> &str {
        &self.id
    }

    fn write_chunk(rows: &[Conversation], folder: &Path, index: usize) -> Result<(), SnapshotError> {
        write_parquet(&conversation_columns(rows)?, &CONVERSATIONS, &conversations_chunk(folder, index))?;
        Ok(())
    }
}

/// The rows of one walk, each once.
#[derive(Debug)]
pub struct Spool<R> {
    folder: PathBuf,
    seen: IdSet,
    rows: Vec<R>,
    repeated: u64,
    chunks: usize,
}

impl<R: Spooled> Spool<R> {
    /// Begins anew in this folder.
    pub fn create(folder: PathBuf) -> Result<Spool<R>, SnapshotError> {
        publish::remove_folder(&folder)?;
        publish::create_folder(&folder)?;
        Ok(Spool { folder, seen: IdSet::default(), rows: Vec::new(), repeated: 0, chunks: 0 })
    }

    /// Takes a page. Whether a chunk is full, and [`Spool::flush`] is due.
    pub fn push(&mut self, page: Vec<R>) -> bool {
        for row in page {
            if self.seen.insert(row.id()) {
                self.rows.push(row);
            } else {
                self.repeated += 1;
            }
        }
        self.rows.len() >= CHUNK_ROWS
    }

    /// Distinct rows so far.
    pub fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the rows in memory as a chunk. Blocks.
    pub fn flush(&mut self) -> Result<(), SnapshotError> {
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            R::write_chunk(&rows, &self.folder, self.chunks)?;
            self.chunks += 1;
        }
        Ok(())
    }

    /// Writes the rest, then the record, completed with what the spool counted. Blocks.
    pub fn finish(mut self, record: WalkRecord) -> Result<WalkRecord, SnapshotError> {
        self.flush()?;
        let record = WalkRecord { rows: self.len(), repeated: self.repeated, chunks: self.chunks, ..record };
        publish::write_json(&self.folder.join(WALK_FILE), &record)?;
        Ok(record)
    }
}
