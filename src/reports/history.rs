//! What a month's reports need from earlier months: `history(m) = f(snapshot(m), history of the month before)`. A history can always be
//! rebuilt. Only the history of the month before is read, so month 36 costs about as much as month 2. Members who departed stay in the
//! history.
//!
//! A cohort's own history, H, is the months in which it was observed with basis `month_end`. Only months of H are compared. The
//! compared month, p, is the nearest earlier month in H. A month outside H does not change the ledger.
//!
//! The steps of `steps` count. This code carries their tables from month to month.

mod definitions;
mod states;
mod tables;

use polars::prelude::{IntoLazy, LazyFrame, SortMultipleOptions};
use serde::{Deserialize, Serialize};

use archive::engine::EngineError;
use archive::publish::{ListedFile, PublishError, Staging};
use archive::snapshot::{Snapshot, SnapshotError};
use archive::store::{Damage, ListedFiles};
use archive::table::{Table, TableError, scan_or_empty};
use archive::{Archive, Section};
use domain::Month;

pub use definitions::{Definitions, ProfileEntry};
pub(crate) use states::State;
pub use tables::{COUNTS, LEDGER, OPT_OUTS, PROFILES, RULE_MEMBERS, STATES, TRIANGLE};

/// Increased when the meaning of a table changes. Histories of another format are out of date.
const FORMAT: u32 = 7;

/// Every table of a history.
pub const TABLES: &[&Table] = &[&RULE_MEMBERS, &LEDGER, &STATES, &COUNTS, &OPT_OUTS, &TRIANGLE, &PROFILES];

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Damaged(#[from] Damage),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryManifest {
    pub format: u32,
    pub month: String,
    pub built_from: HistorySource,
    /// How identifiers are written, as in the snapshot's manifest.
    #[serde(default)]
    pub identifiers: String,
    pub files: Vec<ListedFile>,
}

/// The hashes of the inputs from which a history was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySource {
    pub snapshot: String,
    /// The hash of the history before; null for a job's first month.
    pub history: Option<String>,
    /// The hash of the definitions in the job file: [`Definitions::fingerprint`].
    pub definitions: String,
    /// Compared months whose contacts could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// One month's history on disk.
#[derive(Clone, Debug)]
pub struct History {
    files: ListedFiles,
    manifest: HistoryManifest,
    /// SHA-256 of the manifest.
    pub hash: String,
}

impl History {
    /// Opens the month's history; `None` if there is none, or if the history has another format: then it can be rebuilt.
    ///
    /// # Errors
    /// When its manifest is damaged.
    pub fn open(archive: &Archive, month: Month) -> Result<Option<History>, Damage> {
        let Some(read) = archive.manifest(Section::History, month)? else { return Ok(None) };
        let Some(manifest) = read.parse_known::<HistoryManifest>()? else { return Ok(None) };
        if manifest.format != FORMAT {
            return Ok(None);
        }
        let is_this_month = manifest.month == month.to_string();
        if !(read.has_checksum && is_this_month) {
            return Err(read.damage(if is_this_month { "has lost its checksum" } else { "is of another month" }));
        }
        Ok(Some(History { files: read.files(&manifest.files)?, manifest, hash: read.hash }))
    }

    /// The SHA-256 of the manifest of the snapshot from which this history was built.
    pub fn snapshot(&self) -> &str {
        &self.manifest.built_from.snapshot
    }

    /// The compared months whose contacts could not be read when this history was built. Once one of these months can be read, the history
    /// is out of date.
    pub fn without(&self) -> impl Iterator<Item = Month> {
        self.manifest.built_from.without.iter().filter_map(|month| month.parse().ok())
    }

    /// The problems of the history's files, one text each. Without `reads_all`, checks only that the files exist and their sizes.
    ///
    /// # Errors
    /// When a file cannot be fetched.
    pub fn problems(&self, reads_all: bool) -> Result<Vec<String>, Damage> {
        self.files.problems(reads_all)
    }

    /// Checks the files for an engine that reads them itself.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub fn verify_for_engine(&self) -> Result<(), Damage> {
        self.files.for_engine(|_| true).map(drop)
    }

    /// Checks every file against its hash in the manifest.
    ///
    /// # Errors
    /// When a file differs from what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.files.verify()
    }

    /// Checks the file of one table, if that needs no request. In a bucket, nothing is checked here.
    pub fn verify_table(&self, table: &Table) -> Result<(), Damage> {
        let name = format!("{}.parquet", table.name);
        self.files.verify_if_near(|path| path == name)
    }

    fn files_of(&self, table: &Table) -> Result<Vec<std::path::PathBuf>, Damage> {
        self.files.verified(|path| is_of(table, path))
    }

    /// The paths of a table's files in the archive, for an engine that reads them itself.
    ///
    /// # Errors
    /// When a file is missing or differs from what was published.
    pub(crate) fn for_engine(&self, table: &Table) -> Result<Vec<String>, Damage> {
        self.files.for_engine(|path| is_of(table, path))
    }

    /// Whether this history was built from this snapshot, these definitions and the history before. If the snapshot can no longer
    /// be read, it is `None`, and only the definitions and the history before are compared.
    pub fn is_of(&self, snapshot: Option<&Snapshot>, definitions: &Definitions, previous: Option<&History>) -> bool {
        let snapshot = snapshot.map_or(&self.manifest.built_from.snapshot, |snapshot| &snapshot.hash);
        self.manifest.built_from == source(snapshot, definitions, previous, self.manifest.built_from.without.clone())
    }

    /// Verifies one of the history's tables and returns a lazy scan over it.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, HistoryError> {
        let files = self.files_of(table)?;
        let rows = scan_or_empty(&files, table)?;
        // An engine outside of this process writes several files. Each of them is in order, but not all rows together.
        let is_in_order = files.len() < 2;
        Ok(if is_in_order { rows } else { rows.sort(table.key.iter().copied(), SortMultipleOptions::default()) })
    }
}

/// Whether a file is one of a table's: `ledger.parquet`, or `ledger/part-00000.parquet` of an engine.
fn is_of(table: &Table, path: &str) -> bool {
    path.strip_prefix(table.name).is_some_and(|rest| rest == ".parquet" || rest.starts_with('/'))
}

pub(crate) fn source(snapshot: &str, definitions: &Definitions, previous: Option<&History>, without: Vec<String>) -> HistorySource {
    HistorySource {
        snapshot: snapshot.to_string(),
        history: previous.map(|history| history.hash.clone()),
        definitions: definitions.fingerprint(),
        without,
    }
}

pub(crate) fn scan_previous(previous: Option<&History>, table: &'static Table) -> Result<LazyFrame, HistoryError> {
    previous.map_or_else(|| Ok(table.empty().lazy()), |history| history.scan(table))
}

impl History {
    /// Publishes the tables of a month. `write` puts the files of a table into the folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn publish(
        archive: &Archive,
        snapshot: &Snapshot,
        source: HistorySource,
        write: impl Fn(&'static Table, &Staging) -> Result<(), HistoryError>,
    ) -> Result<History, HistoryError> {
        let month = snapshot.manifest.month()?;
        let staging = archive.stage(Section::History, month)?;
        TABLES.iter().try_for_each(|table| write(table, &staging))?;
        let manifest = HistoryManifest {
            format: FORMAT,
            month: month.to_string(),
            built_from: source,
            identifiers: snapshot.manifest.identifiers.clone(),
            files: staging.files(),
        };
        let (files, hash) = archive.publish(Section::History, month, staging, &manifest)?;
        Ok(History { files, manifest, hash })
    }
}

#[cfg(test)]
mod tests;
