//! What was observed for one month: contacts, members, conversations, custom attributes. The only thing that cannot be
//! made again; never edited once it is shown.
//!
//! Walks are spooled to the work folder as they come ([`spool`]); when all are there, they are put together as the
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

use crate::domain::Month;
use crate::publish::{self, ListedFile, MANIFEST, PublishError};
use crate::table::{self, Table, TableError};

pub use assemble::{Assembly, Cohort, Part, Written, members_of, without_record};
pub use chunks::{Spooled, is_readable};
pub use columns::contact_columns;
pub use forget::{forget_in_snapshot, forget_in_walk, people_in_walk_with_email, people_with_email};
pub use held::Held;
pub use manifest::{CohortEntry, Finding, Manifest, Severity};
pub use own_lists::{Comparison, Searched, compare};
pub use record::{Progress, WalkRecord, load_progress, load_walk};
pub use spool::{Others, Spool, walk_folder};
pub use tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS};
pub use tag_dates::{TagDates, TaggedBefore};
pub use tally::{Tallied, tally, untold};

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("`{path}` is no manifest that this program understands", path = .path.display())]
    Manifest { path: PathBuf, source: serde_json::Error },
    #[error("`{path}` was written in format {found}; this program reads format {known}", path = .path.display(), known = manifest::FORMAT)]
    Format { path: PathBuf, found: u32 },
    #[error("`{path}` says {problem}", path = .path.display())]
    Contents { path: PathBuf, problem: String },
}

impl SnapshotError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            SnapshotError::Publish(error) => error.is_disk_full(),
            SnapshotError::Table(error) => error.is_disk_full(),
            _ => false,
        }
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
    pub manifest: Manifest,
    /// SHA-256 of the manifest: what history and reports name as what they were built from.
    pub hash: String,
}

impl Snapshot {
    /// Opens the month's snapshot under `snapshots`; `None` when there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn open(snapshots: &Path, month: Month) -> Result<Option<Snapshot>, SnapshotError> {
        let folder = snapshots.join(month_folder(month));
        let path = folder.join(MANIFEST);
        // A link that leads nowhere is no month that was never observed.
        if folder.symlink_metadata().is_err() {
            return Ok(None);
        }
        if !path.exists() {
            return Err(SnapshotError::Contents {
                path: folder,
                problem: "nothing of what it holds: its manifest.json is gone".to_string(),
            });
        }
        let manifest = Manifest::read(&path)?;
        if manifest.month()? != month {
            return Err(SnapshotError::Contents { path, problem: format!("it is of {}, not of {month}", manifest.month) });
        }
        let (_, hash) = publish::hash_file(&path)?;
        Ok(Some(Snapshot { folder, manifest, hash }))
    }

    /// The listed files that are not what the manifest says, see [`publish::damaged`].
    pub fn damaged(&self, reads_all: bool) -> Vec<String> {
        publish::damaged(&self.folder, &self.manifest.files, reads_all)
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

    /// A lazy scan of one of the snapshot's tables. Equal numbers have equal texts, also where the files hold several.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, TableError> {
        let prefix = format!("{}/", table.name);
        let of_table = self.manifest.files.iter().filter(|file| file.path.starts_with(&prefix));
        let paths: Vec<PathBuf> = of_table.map(|file| self.folder.join(&file.path)).collect();
        let rows = table::scan_or_empty(&paths, table)?;
        Ok(if table.name == ATTRIBUTES.name { attribute_numbers::with_one_text(rows) } else { rows })
    }
}
