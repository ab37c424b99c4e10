//! A stream's pages on their way to disk: typed columns, in chunks of a few pages, each a file in the stream's own folder of
//! `.work/`. `progress.json` says after each chunk how far the stream has come, so that a later run goes on there;
//! `stream.json` comes last and says that the stream is whole.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::chunks::{Spooled, Updated, chunk, write_chunk};
use super::columns::HeldColumns;
use super::held::{Created, Held};
use super::{Progress, SnapshotError, StreamRecord, publish};
use domain::IdMap;

/// Contacts in memory for one stream before they are written: some megabytes.
const CHUNK_ROWS: usize = 4_096;
/// Bytes of texts likewise, where contacts are larger than usual: as many streams are followed at once as requests are allowed.
const CHUNK_BYTES: usize = 3 << 20;
/// Pages that an interruption may cost a stream, where it can be gone on with at all.
const CHUNK_PAGES: u64 = 10;

/// The folder of a stream in that of the work.
pub fn stream_folder(work: &Path, stream: &str) -> PathBuf {
    // Cohort keys hold a colon, which some file systems refuse. They are made of checked ids, but may also come from a plan
    // on disk: whatever could lead elsewhere is no part of a name.
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_-@,.".contains(character);
    let name = stream.replace(|character| !is_part(character), "-");
    work.join(if name.starts_with('.') { format!("-{name}") } else { name })
}

/// The rows of one stream. Of a row that comes again a newer record is kept, beside the older one when that is on disk
/// already: when the streams are put together, the newest one counts.
pub struct Spool<R: Spooled> {
    folder: PathBuf,
    seen: IdMap<Updated>,
    created: Created,
    /// Since the last chunk.
    rows: R::Columns,
    /// Likewise, rows whose record another list has.
    held: HeldColumns,
    others: Others,
    record: StreamRecord,
    /// Pages when the last chunk was written.
    saved_pages: u64,
}

/// The lists beside this one.
#[derive(Clone, Debug, Default)]
pub struct Others {
    pub held: Held,
    /// Where this list is in the plan.
    pub rank: usize,
    /// Whether the records of all rows are kept, whatever others have.
    pub keeps_all: bool,
}

impl<R: Spooled> Spool<R> {
    /// Begins anew in this folder.
    pub fn create(folder: PathBuf, others: Others, at: DateTime<Utc>) -> Result<Spool<R>, SnapshotError> {
        publish::remove_folder(&folder)?;
        publish::create_folder(&folder)?;
        Ok(Spool::of(folder, others, StreamRecord::begun(at)))
    }

    fn of(folder: PathBuf, others: Others, record: StreamRecord) -> Spool<R> {
        let saved_pages = record.pages;
        let (rows, held) = (R::Columns::default(), HeldColumns::default());
        Spool { folder, seen: IdMap::default(), created: Created::default(), rows, held, others, record, saved_pages }
    }

    /// Goes on with what an earlier run spooled. Blocks.
    ///
    /// # Errors
    /// When a chunk cannot be read: then the stream is best begun anew.
    pub fn resume(folder: PathBuf, others: Others, progress: Progress) -> Result<Spool<R>, SnapshotError> {
        let mut spool = Spool::of(folder, others, progress.record);
        for index in 0..spool.record.chunks {
            R::each(&chunk::<R>(&spool.folder, index), &mut |id, updated| {
                let (known, _) = spool.seen.entry(id, updated);
                *known = updated.max(*known);
            })?;
        }
        Ok(spool)
    }

    /// What is told of the pages so far.
    pub fn record(&mut self) -> &mut StreamRecord {
        &mut self.record
    }

    /// Takes the rows of a page.
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
            self.created.at(row.created_at());
            let Others { held, rank, keeps_all } = &self.others;
            if !keeps_all && held.has(*rank, row.id(), row.created_at(), updated) {
                row.push_held(&mut self.held);
                self.record.held += 1;
            } else {
                row.push(&mut self.rows, !is_new);
            }
        }
    }

    /// Whether a chunk is full, and [`Spool::save`] is due. A stream that cannot be gone on with is only held to rows and bytes.
    pub fn is_full(&self, has_place: bool) -> bool {
        R::len(&self.rows) + self.held.len() >= CHUNK_ROWS
            || R::bytes(&self.rows) >= CHUNK_BYTES
            || (has_place && self.record.pages - self.saved_pages >= CHUNK_PAGES)
    }

    /// Distinct rows so far.
    pub fn len(&self) -> u64 {
        self.seen.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the rows in memory as a chunk and, where the stream can be gone on with, how far it has come. Blocks.
    pub fn save(&mut self, place: Option<String>) -> Result<(), SnapshotError> {
        let (rows, held) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.held));
        if R::len(&rows) + held.len() > 0 {
            write_chunk::<R>(rows, held, &self.folder, self.record.chunks)?;
            self.record.chunks += 1;
        }
        self.record.rows = self.len();
        if let Some(place) = place {
            // Chunks are on disk before anything counts on them.
            self.record.write_progress(&self.folder, place)?;
            self.saved_pages = self.record.pages;
        }
        Ok(())
    }

    /// Writes the rest, then the record. Blocks.
    pub fn finish(mut self) -> Result<StreamRecord, SnapshotError> {
        self.save(None)?;
        self.record.write(&self.folder)?;
        if self.record.is_complete {
            self.others.held.take(self.others.rank, self.created, self.seen);
        }
        Ok(self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttributeValue, Contact, CustomAttribute, Role};

    #[test]
    fn a_chunk_is_full_after_so_many_rows_pages_or_bytes() {
        let place = tempfile::tempdir().unwrap();
        let filled = |rows: usize, bytes: usize, pages: u64, has_place: bool| {
            let mut spool = Spool::create(place.path().join("walk"), Others::default(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
            let text = AttributeValue::Text("x".repeat(bytes).into());
            let contact = |row: usize| Contact {
                custom_attributes: vec![CustomAttribute { name: "note".into(), value: text.clone() }],
                ..Contact::unknown(row.to_string(), Role::User)
            };
            spool.push((0..rows).map(contact).collect());
            spool.record().pages = pages;
            spool.is_full(has_place)
        };
        assert!(!filled(150, 200, 1, true) && filled(150, 200, CHUNK_PAGES, true) && !filled(150, 200, CHUNK_PAGES, false));
        assert!(filled(CHUNK_ROWS, 0, 1, false) && !filled(CHUNK_ROWS - 1, 0, 1, true));
        for has_place in [true, false] {
            assert!(filled(150, CHUNK_BYTES / 150, 1, has_place) && !filled(75, CHUNK_BYTES / 150, 1, has_place));
        }
    }

    #[test]
    fn the_folder_of_a_walk_is_in_the_work() {
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
