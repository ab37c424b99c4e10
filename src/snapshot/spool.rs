//! A walk's pages on their way to disk: typed columns, in chunks of a few pages, each a Parquet file in the walk's own
//! folder of `.work/`. `progress.json` says after each chunk how far the walk has come, so that a later run goes on there;
//! `walk.json` comes last and says that the walk is whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::columns::{attribute_columns, contact_columns, conversation_columns};
use super::ids::IdMap;
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS};
use super::{SnapshotError, publish};
use crate::domain::{Contact, Conversation, Oddities};
use crate::table::{self, TableError, write_parquet};

/// Contacts in memory for one walk before they are written: some megabytes.
const CHUNK_ROWS: usize = 4_096;
/// Pages that an interruption may cost a walk, where it can be gone on with at all.
const CHUNK_PAGES: u64 = 10;
const WALK_FILE: &str = "walk.json";
const PROGRESS_FILE: &str = "progress.json";

/// What a finished walk says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WalkRecord {
    /// Distinct rows.
    pub rows: u64,
    /// Rows that came more than once: the list shifted while it was walked.
    pub repeated: u64,
    /// Those of them that had been changed since they came before.
    pub renewed: u64,
    pub chunks: usize,
    pub pages: u64,
    /// The total that the API gave with the first page and with the last.
    pub first_total: Option<u64>,
    pub last_total: Option<u64>,
    pub started_at: DateTime<Utc>,
    /// When the last page came.
    pub observed_at: DateTime<Utc>,
    /// Rows that `cohorts forget` took out.
    #[serde(default)]
    pub forgotten: u64,
    /// Rows that were not asked for and were left out (conversations of other months).
    pub outside: u64,
    /// By the names of `Oddities::counts`; what never occurred is left out.
    pub oddities: BTreeMap<String, u64>,
    /// Whether what came agrees with the announced totals. Only such a walk is taken over by a later run.
    pub is_complete: bool,
}

/// How far a walk has come, and where it goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    pub record: WalkRecord,
    /// The place in the list, as whoever follows it wrote it down.
    pub place: String,
}

impl WalkRecord {
    pub fn begun(at: DateTime<Utc>) -> WalkRecord {
        WalkRecord {
            rows: 0,
            repeated: 0,
            renewed: 0,
            chunks: 0,
            pages: 0,
            first_total: None,
            last_total: None,
            started_at: at,
            observed_at: at,
            forgotten: 0,
            outside: 0,
            oddities: BTreeMap::new(),
            is_complete: false,
        }
    }

    /// Distinct rows that came, whatever became of them.
    pub fn came(&self) -> u64 {
        self.rows + self.outside + self.forgotten
    }

    /// Of a list that was followed in slices; with the totals that the whole of it announced before and after.
    pub fn of_slices(records: &[WalkRecord], first_total: u64, last_total: Option<u64>) -> WalkRecord {
        let sum = |count: fn(&WalkRecord) -> u64| records.iter().map(count).sum::<u64>();
        let (rows, forgotten) = (sum(|record| record.rows), sum(|record| record.forgotten));
        let last_total = last_total.unwrap_or(first_total);
        // A row at the edge of two slices came with both, and is outside of one: only those are outside of the list that
        // its total counts.
        let most = sum(|record| record.outside);
        let outside = last_total.saturating_sub(rows + forgotten).min(most);
        let mut oddities = BTreeMap::new();
        for (name, count) in records.iter().flat_map(|record| &record.oddities) {
            *oddities.entry(name.clone()).or_default() += count;
        }
        WalkRecord {
            rows,
            repeated: sum(|record| record.repeated),
            renewed: sum(|record| record.renewed),
            chunks: records.iter().map(|record| record.chunks).sum(),
            pages: sum(|record| record.pages),
            first_total: Some(first_total),
            last_total: Some(last_total),
            started_at: records.iter().map(|record| record.started_at).min().unwrap_or_default(),
            observed_at: records.iter().map(|record| record.observed_at).max().unwrap_or_default(),
            forgotten,
            outside,
            oddities,
            is_complete: records.iter().all(|record| record.is_complete),
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

/// How far an earlier run came with a walk that it did not finish.
pub fn load_progress(folder: &Path) -> Option<Progress> {
    serde_json::from_slice(&std::fs::read(folder.join(PROGRESS_FILE)).ok()?).ok()
}

/// Writes the records of a walk into another folder, edited.
pub(super) fn edit_records(
    folder: &Path,
    walk: Option<WalkRecord>,
    progress: Option<Progress>,
    edit: impl Fn(&mut WalkRecord),
) -> Result<(), SnapshotError> {
    if let Some(mut record) = walk {
        edit(&mut record);
        publish::write_json(&folder.join(WALK_FILE), &record)?;
    }
    if let Some(mut progress) = progress {
        edit(&mut progress.record);
        publish::write_json(&folder.join(PROGRESS_FILE), &progress)?;
    }
    Ok(())
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
    fn updated_at(&self) -> Option<DateTime<Utc>>;
    /// Writes one chunk of rows to its files, and sees to it that they outlast a power cut.
    fn write_chunk(rows: &[Self], folder: &Path, index: usize) -> Result<(), SnapshotError>;
    /// Reads all of a chunk, to find out whether it can be read.
    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError>;
    /// The ids of the rows of a chunk, each with when it was updated.
    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError>;
}

impl Spooled for Contact {
    fn id(&self) -> &str {
        &self.id
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn write_chunk(rows: &[Contact], folder: &Path, index: usize) -> Result<(), SnapshotError> {
        let (contacts, attributes) = (contacts_chunk(folder, index), attributes_chunk(folder, index));
        write_parquet(&contact_columns(rows)?, &CONTACTS, &contacts)?;
        write_parquet(&attribute_columns(rows)?, &ATTRIBUTES, &attributes)?;
        Ok([contacts, attributes].iter().try_for_each(|path| publish::sync_file(path))?)
    }

    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError> {
        read_all(&contacts_chunk(folder, index), &CONTACTS)?;
        read_all(&attributes_chunk(folder, index), &ATTRIBUTES)
    }

    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError> {
        ids_of(&contacts_chunk(folder, index), &CONTACTS, "contact_id", Some("updated_at"))
    }
}

impl Spooled for Conversation {
    fn id(&self) -> &str {
        &self.id
    }

    fn updated_at(&self) -> Option<DateTime<Utc>> {
        self.updated_at
    }

    fn write_chunk(rows: &[Conversation], folder: &Path, index: usize) -> Result<(), SnapshotError> {
        let path = conversations_chunk(folder, index);
        write_parquet(&conversation_columns(rows)?, &CONVERSATIONS, &path)?;
        Ok(publish::sync_file(&path)?)
    }

    fn check_chunk(folder: &Path, index: usize) -> Result<(), SnapshotError> {
        read_all(&conversations_chunk(folder, index), &CONVERSATIONS)
    }

    /// The table has no time of the last change: any record that comes after an interruption counts as newer.
    fn read_chunk(folder: &Path, index: usize) -> Result<Vec<(String, Updated)>, SnapshotError> {
        ids_of(&conversations_chunk(folder, index), &CONVERSATIONS, "conversation_id", None)
    }
}

fn read_all(path: &Path, of: &'static table::Table) -> Result<(), SnapshotError> {
    let rows = table::scan(&[path.to_path_buf()], of)?.collect();
    Ok(rows.map(drop).map_err(|error| TableError::new("read", "a spooled walk", error))?)
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

/// When a record was last changed, in seconds of 1970 on: of two records of one row, the newer one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Updated(u32);

impl Updated {
    pub fn at(instant: Option<DateTime<Utc>>) -> Updated {
        let seconds = instant.map_or(0, |instant| instant.timestamp());
        Updated(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }
}

/// The ids in a chunk, with when each record was updated as far as the table tells.
pub(super) fn ids_of(
    path: &Path,
    of: &'static table::Table,
    id: &str,
    updated_at: Option<&str>,
) -> Result<Vec<(String, Updated)>, SnapshotError> {
    let failed = |error: PolarsError| TableError::new("read", "a spooled walk", error);
    let columns: Vec<Expr> = [Some(id), updated_at].into_iter().flatten().map(col).collect();
    let rows = table::scan(&[path.to_path_buf()], of)?.select(columns).collect().map_err(failed)?;
    let ids = rows.column(id).and_then(|column| column.str()).map_err(failed)?;
    let instants: Vec<Option<i64>> = match updated_at {
        Some(name) => rows.column(name).and_then(|column| Ok(column.datetime()?.physical().iter().collect())).map_err(failed)?,
        None => vec![None; rows.height()],
    };
    let updated = instants.into_iter().map(|micros| Updated::at(micros.and_then(DateTime::from_timestamp_micros)));
    Ok(ids.iter().map(|id| id.unwrap_or_default().to_string()).zip(updated).collect())
}

/// The rows of one walk. Of a row that comes again a newer record is kept, beside the older one when that is on disk
/// already: when the walks are put together, the newest one counts.
#[derive(Debug)]
pub struct Spool<R> {
    folder: PathBuf,
    seen: IdMap<Updated>,
    rows: Vec<R>,
    record: WalkRecord,
    /// Pages when the last chunk was written.
    saved_pages: u64,
}

impl<R: Spooled> Spool<R> {
    /// Begins anew in this folder.
    pub fn create(folder: PathBuf, at: DateTime<Utc>) -> Result<Spool<R>, SnapshotError> {
        publish::remove_folder(&folder)?;
        publish::create_folder(&folder)?;
        Ok(Spool { folder, seen: IdMap::default(), rows: Vec::new(), record: WalkRecord::begun(at), saved_pages: 0 })
    }

    /// Goes on with what an earlier run spooled. Blocks.
    ///
    /// # Errors
    /// When a chunk cannot be read: then the walk is best begun anew.
    pub fn resume(folder: PathBuf, progress: Progress) -> Result<Spool<R>, SnapshotError> {
        let mut seen = IdMap::default();
        for index in 0..progress.record.chunks {
            for (id, updated) in R::read_chunk(&folder, index)? {
                let (known, _) = seen.entry(&id, updated);
                *known = updated.max(*known);
            }
        }
        let saved_pages = progress.record.pages;
        Ok(Spool { folder, seen, rows: Vec::new(), record: progress.record, saved_pages })
    }

    /// What is told of the pages so far.
    pub fn record(&mut self) -> &mut WalkRecord {
        &mut self.record
    }

    /// Takes the rows of a page.
    pub fn push(&mut self, page: Vec<R>) {
        for row in page {
            let updated = Updated::at(row.updated_at());
            let (known, is_new) = self.seen.entry(row.id(), updated);
            if is_new {
                self.rows.push(row);
                continue;
            }
            self.record.repeated += 1;
            if updated > *known {
                *known = updated;
                self.record.renewed += 1;
                // A chunk holds each row once, so that an attribute in it is of one record. It is rare enough to search.
                match self.rows.iter_mut().find(|waiting| waiting.id() == row.id()) {
                    Some(waiting) => *waiting = row,
                    None => self.rows.push(row),
                }
            }
        }
    }

    /// Whether a chunk is full, and [`Spool::save`] is due. A walk that cannot be gone on with is only held to the rows.
    pub fn is_full(&self, has_place: bool) -> bool {
        self.rows.len() >= CHUNK_ROWS || (has_place && self.record.pages - self.saved_pages >= CHUNK_PAGES)
    }

    /// Distinct rows so far.
    pub fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the rows in memory as a chunk and, where the walk can be gone on with, how far it has come. Blocks.
    pub fn save(&mut self, place: Option<String>) -> Result<(), SnapshotError> {
        let rows = std::mem::take(&mut self.rows);
        if !rows.is_empty() {
            R::write_chunk(&rows, &self.folder, self.record.chunks)?;
            self.record.chunks += 1;
        }
        self.record.rows = self.len();
        if let Some(place) = place {
            // Chunks are on disk before anything counts on them.
            publish::write_json(&self.folder.join(PROGRESS_FILE), &Progress { record: self.record.clone(), place })?;
            self.saved_pages = self.record.pages;
        }
        Ok(())
    }

    /// Writes the rest, then the record. Blocks.
    pub fn finish(mut self) -> Result<WalkRecord, SnapshotError> {
        self.save(None)?;
        publish::write_json(&self.folder.join(WALK_FILE), &self.record)?;
        publish::remove_file(&self.folder.join(PROGRESS_FILE))?;
        Ok(self.record)
    }
}
