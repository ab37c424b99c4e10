//! A month's reports on disk: each table as Parquet and CSV, a page to look at, and a manifest that says what they were built
//! from.

use std::path::{Path, PathBuf};

use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};

use archive::publish::{self, ListedFile, ListedFiles, PublishError, Staging};
use archive::snapshot::month_folder;
use archive::table::{Table, TableError, write_csv, write_parquet};
use domain::Month;

/// Raised when a report of the same name means something else than before, or there is a new one: reports of another format
/// are stale.
const FORMAT: u32 = 3;

/// The page's name in the folder of its month.
pub const PAGE: &str = "report.html";

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
}

impl ReportError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            ReportError::Publish(error) => error.is_disk_full(),
            ReportError::Table(error) => error.is_disk_full(),
        }
    }
}

/// A format that tables are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportFormat {
    Parquet,
    Csv,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportManifest {
    pub format: u32,
    pub month: String,
    pub built_from: ReportSource,
    pub files: Vec<ListedFile>,
}

/// The hashes of the manifests that the reports were made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSource {
    pub snapshot: String,
    pub history: String,
}

/// What there is of a month's reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Built from the snapshot and history that are there now, and whole.
    Current,
    /// None, or built from others, or by another version of this program.
    OutOfDate,
    /// Not what was published: what is wrong, a text each.
    Damaged(Vec<String>),
}

/// How the month's reports stand to these hashes. Without `reads_all`, only sizes of files are looked at.
pub fn standing(reports: &Path, month: Month, source: &ReportSource, reads_all: bool) -> Standing {
    let folder = reports.join(month_folder(month));
    let read = match publish::read_manifest(&folder) {
        Ok(Some(read)) => read,
        Ok(None) => return Standing::OutOfDate,
        Err(damage) => return Standing::Damaged(vec![damage.problem]),
    };
    let Some(manifest) = read.parse::<ReportManifest>().ok().filter(|manifest| manifest.format == FORMAT && manifest.built_from == *source)
    else {
        return Standing::OutOfDate;
    };
    let problems = match ListedFiles::new(&folder, &manifest.files) {
        Ok(files) => files.problems(reads_all),
        Err(damage) => vec![damage.problem],
    };
    if problems.is_empty() { Standing::Current } else { Standing::Damaged(problems) }
}

/// Writes one month's reports, one table at a time.
#[derive(Debug)]
pub struct ReportWriter {
    staging: Staging,
    month: Month,
    formats: Vec<ReportFormat>,
}

impl ReportWriter {
    pub fn new(work: &Path, month: Month, formats: &[ReportFormat]) -> Result<ReportWriter, ReportError> {
        Ok(ReportWriter { staging: Staging::new(work, &format!("report-{month}"))?, month, formats: formats.to_vec() })
    }

    pub fn add(&mut self, table: &'static Table, frame: &DataFrame) -> Result<(), ReportError> {
        for format in &self.formats {
            let relative = match format {
                ReportFormat::Parquet => format!("{}.parquet", table.name),
                ReportFormat::Csv => format!("{}.csv", table.name),
            };
            let path = self.staging.place(&relative)?;
            match format {
                ReportFormat::Parquet => drop(write_parquet(frame, table, &path)?),
                ReportFormat::Csv => write_csv(frame, table, &path)?,
            }
            self.staging.list(&relative, frame.height() as u64)?;
        }
        Ok(())
    }

    /// The month's page.
    pub fn add_page(&self, html: &str) -> Result<(), ReportError> {
        publish::write_file(&self.staging.place(PAGE)?, html.as_bytes())?;
        Ok(self.staging.list(PAGE, 0)?)
    }

    /// Shows the reports. Returns their folder.
    pub fn commit(self, reports: &Path, source: ReportSource) -> Result<PathBuf, ReportError> {
        let manifest = ReportManifest { format: FORMAT, month: self.month.to_string(), built_from: source, files: self.staging.files() };
        let folder = reports.join(month_folder(self.month));
        self.staging.commit(&folder, &manifest)?;
        Ok(folder)
    }
}
