//! Writes the pages of a stream to disk: as typed columns, in chunks of a few pages. Each chunk is a file in the stream's
//! folder under `.work/`. `progress.json` is written after each chunk, so that a later run can continue the stream.
//! `walk.json` is written last and marks the stream as finished.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::chunks::{Spooled, Updated, chunk, write_chunk};
use super::{Progress, SnapshotError, StreamRecord, publish};
use domain::IdMap;

/// A chunk is written when a stream has this many rows in memory: some megabytes.
const CHUNK_ROWS: usize = 4_096;
/// A chunk is also written at this number of bytes of texts, for contacts that are larger than usual. This limits memory, because
/// many streams are fetched side by side.
const CHUNK_BYTES: usize = 3 << 20;
/// If the stream can be continued, a chunk is also written after this many pages. So an interruption loses no more pages than this.
const CHUNK_PAGES: u64 = 10;

/// The folder of a stream in the work folder.
pub fn stream_folder(work: &Path, stream: &str) -> PathBuf {
    // Some file systems refuse the colon of cohort keys. Also, a key may come from a plan on disk and not from a checked ID. So
    // every character that could lead to another folder is replaced.
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-@,.".contains(character);
    let name = stream.replace(|character| !is_part(character), "-");
    work.join(if name.starts_with('.') { format!("-{name}") } else { name })
}

/// The rows of one stream. When a row comes again with a newer record, both records are kept, because the older one may already be
/// on disk. The newest record is chosen when the snapshot is assembled.
pub struct Spool<R: Spooled> {
    folder: PathBuf,
    seen: IdMap<Updated>,
    /// Rows since the last chunk.
    rows: R::Columns,
    record: StreamRecord,
    /// The number of pages when the last chunk was written.
    saved_pages: u64,
}

impl<R: Spooled> Spool<R> {
    /// Starts a new spool in this folder. Removes what was in it.
    pub fn create(folder: PathBuf, at: DateTime<Utc>) -> Result<Spool<R>, SnapshotError> {
        publish::remove_folder(&folder)?;
        publish::create_folder(&folder)?;
        Ok(Spool::of(folder, StreamRecord::new(at)))
    }

    fn of(folder: PathBuf, record: StreamRecord) -> Spool<R> {
        Spool { folder, seen: IdMap::default(), rows: R::Columns::default(), saved_pages: record.pages, record }
    }

    /// Continues the spool of an earlier run. Blocks.
    ///
    /// # Errors
    /// When a chunk cannot be read. Then the stream must be fetched again from the start.
    pub fn resume(folder: PathBuf, progress: Progress) -> Result<Spool<R>, SnapshotError> {
        let mut spool = Spool::of(folder, progress.record);
        for index in 0..spool.record.chunks {
            R::each(&chunk::<R>(&spool.folder, index), &mut |id, updated| {
                let (known, _) = spool.seen.entry(id, updated);
                *known = updated.max(*known);
            })?;
        }
        Ok(spool)
    }

    /// The record of the pages so far.
    pub fn record(&mut self) -> &mut StreamRecord {
        &mut self.record
    }

    /// Adds the rows of a page.
    pub fn push(&mut self, page: Vec<R>) {
        for row in page {
            let updated = Updated::at(row.updated_at());
            let (known, is_new) = self.seen.entry(row.id(), updated);
            if !is_new {
                self.record.repeated += 1;
                if updated <= *known {
                    continue;
                }
                *known = updated;
                self.record.renewed += 1;
            }
            row.push(&mut self.rows, !is_new);
        }
    }

    /// Whether a chunk is full and [`Spool::save`] is due. Pages count only if the stream has a cursor to continue from.
    pub fn is_full(&self, has_cursor: bool) -> bool {
        R::len(&self.rows) >= CHUNK_ROWS
            || R::bytes(&self.rows) >= CHUNK_BYTES
            || (has_cursor && self.record.pages - self.saved_pages >= CHUNK_PAGES)
    }

    /// The number of distinct rows so far.
    pub fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the rows in memory as a chunk. With a cursor, also writes the progress of the stream. Blocks.
    pub fn save(&mut self, cursor: Option<String>) -> Result<(), SnapshotError> {
        let rows = std::mem::take(&mut self.rows);
        if R::len(&rows) > 0 {
            write_chunk::<R>(rows, &self.folder, self.record.chunks)?;
            self.record.chunks += 1;
        }
        self.record.rows = self.len();
        if let Some(cursor) = cursor {
            // The chunk is already synced, so the progress counts only what is on disk.
            self.record.write_progress(&self.folder, cursor)?;
            self.saved_pages = self.record.pages;
        }
        Ok(())
    }

    /// Writes the remaining rows, then the record. Blocks.
    pub fn finish(mut self) -> Result<StreamRecord, SnapshotError> {
        self.save(None)?;
        self.record.write(&self.folder)?;
        Ok(self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttributeValue, Contact, CustomAttribute, Role};

    #[test]
    fn a_chunk_is_full_after_a_number_of_rows_pages_or_bytes() {
        let place = tempfile::tempdir().unwrap();
        let filled = |rows: usize, bytes: usize, pages: u64, has_cursor: bool| {
            let mut spool = Spool::create(place.path().join("walk"), DateTime::<Utc>::UNIX_EPOCH).unwrap();
            let text = AttributeValue::Text("x".repeat(bytes).into());
            let contact = |row: usize| Contact {
                custom_attributes: vec![CustomAttribute { name: "note".into(), value: text.clone() }],
                ..Contact::unknown(row.to_string(), Role::User)
            };
            spool.push((0..rows).map(contact).collect());
            spool.record().pages = pages;
            spool.is_full(has_cursor)
        };
        assert!(!filled(150, 200, 1, true) && filled(150, 200, CHUNK_PAGES, true) && !filled(150, 200, CHUNK_PAGES, false));
        assert!(filled(CHUNK_ROWS, 0, 1, false) && !filled(CHUNK_ROWS - 1, 0, 1, true));
        for has_cursor in [true, false] {
            assert!(filled(150, CHUNK_BYTES / 150, 1, has_cursor) && !filled(75, CHUNK_BYTES / 150, 1, has_cursor));
        }
    }

    #[test]
    fn the_folder_of_a_stream_is_in_the_work_folder() {
        let name = |stream: &str| stream_folder(Path::new("work"), stream).to_str().unwrap().to_string();
        assert_eq!(name("tag:1373897"), "work/tag-1373897");
        assert_eq!(name("population@2026-01-01..2026-03-31,user"), "work/population@2026-01-01..2026-03-31,user");
        for stream in ["tag:x/../../victim", "..", "../victim", "/etc", "a\\b", "tag:\u{202e}x\0"] {
            let folder = stream_folder(Path::new("work"), stream);
            let parts = folder.components().count();
            assert!(parts == 2 && folder.starts_with("work") && !folder.ends_with(".."), "{stream}: {}", folder.display());
        }
    }
}
