//! What was observed for one month: contacts, members, conversations, custom attributes. A snapshot cannot be fetched again
//! later, and it is never edited after it is published.
//!
//! Streams are spooled to the work folder as they come ([`spool`]). When all are finished, they are assembled into the
//! month's folder ([`assemble`]), and the [`manifest`] lists its files.

mod answers;
mod assemble;
mod attribute_numbers;
mod chunks;
mod columns;
mod derive;
mod forget;
mod manifest;
mod own_lists;
mod parts;
mod record;
mod spool;
mod subscriptions;
mod tables;
mod tag_dates;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use polars::prelude::{LazyFrame, col};

use crate::publish::{self, ListedFile, PublishError};
use crate::store::{Damage, ListedFiles, Store};
use crate::table::{self, Table, TableError};
use domain::Month;

pub use answers::{Answer, Answers};
pub use assemble::{Assembly, Cohort, SpooledStream, Written, members_of, missing_in};
pub use chunks::{Spooled, is_readable};
pub use columns::contact_columns;
pub use derive::{DerivedTag, derive_members, truncated_tags};
pub(crate) use forget::{forget_in_stream, people_in_stream_with_email, without_people};
pub use forget::{merged, people_with_email};
pub use manifest::{CohortEntry, Finding, Manifest, Severity, Vanished};
pub use own_lists::{Comparison, Searched, compare};
pub use record::{Progress, StreamRecord, load_progress, load_stream};
pub use spool::{Spool, stream_folder};
pub use subscriptions::{ObservedSubscriptions, cut_subscriptions};
pub use tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTION_TYPES, SUBSCRIPTIONS, VANISHED};
pub use tag_dates::TaggedBefore;

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
    /// Whether a month on disk differs from what was published.
    pub fn is_damage(&self) -> bool {
        matches!(self, SnapshotError::Damaged(damage) if !damage.is_unreachable())
    }
}

/// The contacts in the column `contact_id`.
pub fn contact_ids(rows: LazyFrame) -> Result<BTreeSet<String>, SnapshotError> {
    let failed = |error| TableError::new("read", "the IDs of contacts", error);
    let rows = rows.select([col("contact_id")]).collect().map_err(failed)?;
    let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(failed)?;
    Ok(ids.iter().flatten().map(str::to_string).collect())
}

/// One published snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    files: ListedFiles,
    pub manifest: Manifest,
    /// SHA-256 of the manifest. History and reports record it as their input.
    pub hash: String,
}

impl Snapshot {
    /// Opens the month's snapshot in this folder.
    ///
    /// # Errors
    /// When the snapshot cannot be used: its manifest is missing or damaged, or a newer program wrote it.
    pub(crate) fn open(store: &Arc<dyn Store>, folder: &str, month: Month) -> Result<Snapshot, SnapshotError> {
        let (manifest, read) = Manifest::read(store, folder)?;
        if manifest.month()? != month {
            return Err(read.damage(&format!("is of {}, not of {month}", manifest.month)).into());
        }
        Ok(Snapshot { files: read.files(&manifest.files)?, manifest, hash: read.hash })
    }

    /// The problems of the snapshot's files, one text each. Without `reads_all`, checks only that the files exist and their sizes.
    ///
    /// # Errors
    /// When a file cannot be fetched.
    pub fn problems(&self, reads_all: bool) -> Result<Vec<String>, Damage> {
        self.files.problems(reads_all)
    }

    /// Checks every file against its hash in the manifest.
    ///
    /// # Errors
    /// When a file differs from what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.files.verify()
    }

    /// Checks every file as [`Snapshot::verify`] does, but ignores cached copies on this machine: a file in a bucket is checked in the
    /// bucket.
    ///
    /// # Errors
    /// When a file differs from what was published, or cannot be fetched.
    pub fn verify_in_place(&self) -> Result<(), Damage> {
        self.files.verify_in_place()
    }

    /// The number of contacts.
    pub fn contacts(&self) -> u64 {
        self.rows_of(&CONTACTS)
    }

    /// The number of rows of one of the snapshot's tables, from the manifest.
    pub fn rows_of(&self, table: &Table) -> u64 {
        let is_of_table = |file: &&ListedFile| file.path.split('/').next() == Some(table.name);
        self.manifest.files.iter().filter(is_of_table).map(|file| file.rows).sum()
    }

    /// Verifies the files of one of the snapshot's tables and returns their paths on this machine.
    ///
    /// # Errors
    /// When a file differs from what was published.
    pub fn files_of(&self, table: &Table) -> Result<Vec<PathBuf>, Damage> {
        self.files.verified(|path| path.split('/').next() == Some(table.name))
    }

    /// The paths of the files of one of the snapshot's tables, relative to the job's location, for an engine that reads the files itself.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn for_engine(&self, table: &Table) -> Result<Vec<String>, Damage> {
        self.files.for_engine(|path| path.split('/').next() == Some(table.name))
    }

    /// Checks all files for an engine that reads them itself, see [`ListedFiles::for_engine`].
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn verify_for_engine(&self) -> Result<(), Damage> {
        self.files.for_engine(|_| true).map(drop)
    }

    /// Verifies a file and returns its path on this machine.
    fn file(&self, file: &ListedFile) -> Result<PathBuf, Damage> {
        let name = file.name();
        let gone = || Damage::new(PathBuf::from(&file.path), "it is not listed");
        self.files.verified(|listed| *listed == *name)?.pop().ok_or_else(gone)
    }

    /// The contacts that were members of a cohort.
    pub fn member_ids(&self) -> Result<BTreeSet<String>, SnapshotError> {
        contact_ids(self.scan(&MEMBERS)?)
    }

    /// Verifies the files of one of the snapshot's tables and returns a lazy scan over them. In the scan, equal numbers have equal
    /// texts, even if the files contain several texts for one number.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, SnapshotError> {
        let rows = table::scan_or_empty(&self.files_of(table)?, table)?;
        Ok(if table.name == ATTRIBUTES.name { attribute_numbers::with_one_text(rows) } else { rows })
    }
}
