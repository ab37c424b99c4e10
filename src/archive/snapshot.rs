//! What was observed for one month: contacts, members, conversations, custom attributes. The only thing that cannot be
//! made again; never edited once it is shown.
//!
//! Streams are spooled to the work folder as they come ([`spool`]); when all are there, they are put together as the
//! month's folder ([`assemble`]), and the [`manifest`] says what it holds.

mod assemble;
mod attribute_numbers;
mod chunks;
mod columns;
mod forget;
mod held;
mod manifest;
mod own_lists;
mod parts;
mod record;
mod spool;
mod tables;
mod tag_dates;
mod tally;

use std::path::{Path, PathBuf};

use polars::prelude::LazyFrame;

use crate::publish::{self, Damage, ListedFile, ListedFiles, PublishError};
use crate::table::{self, Table, TableError};
use domain::Month;

pub use assemble::{Assembly, Cohort, Part, Written, members_of, without_record};
pub use chunks::{Spooled, is_readable};
pub use columns::contact_columns;
pub use forget::{forget_in_stream, people_in_stream_with_email, people_with_email, without_people};
pub use held::Held;
pub use manifest::{CohortEntry, Finding, Manifest, Severity};
pub use own_lists::{Comparison, Searched, compare};
pub use record::{Progress, StreamRecord, load_progress, load_stream};
pub use spool::{Others, Spool, stream_folder};
pub use tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS};
pub use tag_dates::{TagDates, TaggedBefore};
pub use tally::{Tallied, tally, untold};

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error("`{path}` was written in format {found}; this program reads format {known}", path = .path.display(), known = manifest::FORMAT)]
    Format { path: PathBuf, found: u32 },
}

impl SnapshotError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            SnapshotError::Publish(error) => error.is_disk_full(),
            SnapshotError::Table(error) => error.is_disk_full(),
            _ => false,
        }
    }

    /// Whether a stored month is not what was published.
    pub fn is_damage(&self) -> bool {
        matches!(self, SnapshotError::Damaged(_))
    }
}

/// A month's folder name, the same under snapshots, history and reports.
pub fn month_folder(month: Month) -> String {
    format!("run_month={month}")
}

/// The month of a folder of this name.
pub fn month_of(name: &str) -> Option<Month> {
    name.strip_prefix("run_month=")?.parse().ok()
}

/// The months that a folder of month folders holds, ascending, linked ones among them.
pub fn months_in(folder: &Path) -> Result<Vec<Month>, PublishError> {
    Ok(publish::folder_names(folder)?.iter().filter_map(|name| month_of(name)).collect())
}

/// One published snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    folder: PathBuf,
    files: ListedFiles,
    pub manifest: Manifest,
    /// SHA-256 of the manifest: what history and reports name as what they were built from.
    pub hash: String,
}

impl Snapshot {
    /// Opens the month's snapshot under `snapshots`; `None` when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be used: its manifest is damaged, or of a newer program.
    pub fn open(snapshots: &Path, month: Month) -> Result<Option<Snapshot>, SnapshotError> {
        let folder = snapshots.join(month_folder(month));
        // A link that leads nowhere is no month that was never observed.
        if folder.symlink_metadata().is_err() {
            return Ok(None);
        }
        let (manifest, hash) = Manifest::read(&folder)?;
        if manifest.month()? != month {
            let problem = format!("its {} is of {}, not of {month}", publish::MANIFEST, manifest.month);
            return Err(Damage { folder, problem }.into());
        }
        let files = ListedFiles::new(&folder, &manifest.files)?;
        Ok(Some(Snapshot { folder, files, manifest, hash }))
    }

    /// What is wrong with its files, a text each. Without `reads_all`, only whether they are there and their sizes.
    pub fn problems(&self, reads_all: bool) -> Vec<String> {
        self.files.problems(reads_all)
    }

    /// Holds every file to the hash of the manifest.
    ///
    /// # Errors
    /// When one is not what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.files.verify()
    }

    /// How many contacts it holds.
    pub fn contacts(&self) -> u64 {
        self.rows_of(&CONTACTS)
    }

    /// How many rows one of its tables has, as the manifest says.
    pub fn rows_of(&self, table: &Table) -> u64 {
        let is_of_table = |file: &&ListedFile| file.path.split('/').next() == Some(table.name);
        self.manifest.files.iter().filter(is_of_table).map(|file| file.rows).sum()
    }

    /// The files of one of its tables, once they are verified.
    ///
    /// # Errors
    /// When one of them is not what was published.
    pub fn files_of(&self, table: &Table) -> Result<Vec<PathBuf>, Damage> {
        self.files.verified(|path| path.split('/').next() == Some(table.name))
    }

    /// A lazy scan of one of the snapshot's tables, verified. Equal numbers have equal texts, also where the files hold
    /// several.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, SnapshotError> {
        let rows = table::scan_or_empty(&self.files_of(table)?, table)?;
        Ok(if table.name == ATTRIBUTES.name { attribute_numbers::with_one_text(rows) } else { rows })
    }
}
