//! Writes a month's reports: each table as Parquet and CSV, a page and a workbook for people, and a manifest that records the inputs.

use std::panic::resume_unwind;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::analysis::ReportRows;
use archive::engine::EngineError;
use archive::publish::{self, ListedFile, PublishError, Staging};
use archive::store::Damage;
use archive::table::{Table, TableError, write_csv};
use archive::{Archive, Section};
use domain::Month;

/// Increased when the meaning of a report changes or a report is added. Reports of another format are out of date.
const FORMAT: u32 = 3;

/// The page's name in the folder of its month.
pub const PAGE: &str = "report.html";

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The file format of a table.
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

/// The hashes of the manifests from which the reports were built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportSource {
    pub snapshot: String,
    pub history: String,
}

/// The state of a month's reports on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The reports were built from the present snapshot and history, and are undamaged.
    Current,
    /// The reports are missing, or were built from another snapshot or history or by another version of this program.
    OutOfDate,
    /// Files differ from what was published: one text for each problem.
    Damaged(Vec<String>),
}

/// Compares the month's reports with these hashes. Without `reads_all`, checks only that files exist and their sizes.
///
/// # Errors
/// When the files of the reports cannot be fetched.
pub fn standing(archive: &Archive, month: Month, source: &ReportSource, reads_all: bool) -> Result<Standing, Damage> {
    let read = match archive.manifest(Section::Reports, month) {
        Ok(Some(read)) => read,
        Ok(None) => return Ok(Standing::OutOfDate),
        Err(damage) if damage.is_unreachable() => return Err(damage),
        Err(damage) => return Ok(Standing::Damaged(vec![damage.problem])),
    };
    let manifest = match read.parse_known::<ReportManifest>() {
        Ok(manifest) => manifest,
        Err(damage) => return Ok(Standing::Damaged(vec![damage.problem])),
    };
    let Some(manifest) = manifest.filter(|manifest| manifest.format == FORMAT && manifest.built_from == *source) else {
        return Ok(Standing::OutOfDate);
    };
    let problems = match read.files(&manifest.files) {
        Ok(files) => files.problems(reads_all)?,
        Err(damage) => vec![damage.problem],
    };
    Ok(if problems.is_empty() { Standing::Current } else { Standing::Damaged(problems) })
}

/// The files of a month's published reports. Empty if there are none.
///
/// # Errors
/// When the manifest of the reports cannot be read.
pub fn published_files(archive: &Archive, month: Month) -> Result<Vec<String>, Damage> {
    let Some(read) = archive.manifest(Section::Reports, month)? else { return Ok(Vec::new()) };
    let manifest = read.parse_known::<ReportManifest>()?;
    Ok(manifest.map_or(Vec::new(), |manifest| manifest.files.into_iter().map(|file| file.path).collect()))
}

/// Writes one month's reports, one table at a time.
#[derive(Debug)]
pub struct ReportWriter<'a> {
    archive: &'a Archive,
    staging: Staging,
    month: Month,
    formats: Vec<ReportFormat>,
    csv_max_rows: Option<u64>,
}

impl ReportWriter<'_> {
    /// A writer of these formats. A table with more rows than `csv_max_rows` is not written as CSV.
    pub fn new(
        archive: &Archive,
        month: Month,
        formats: Vec<ReportFormat>,
        csv_max_rows: Option<u64>,
    ) -> Result<ReportWriter<'_>, ReportError> {
        Ok(ReportWriter { archive, staging: archive.stage(Section::Reports, month)?, month, formats, csv_max_rows })
    }

    /// Writes a table in all formats, in parallel. Returns whether CSV was left out because the table has too many rows. If CSV is the only
    /// format, it is always written.
    pub fn add(&self, table: &'static Table, rows: &ReportRows) -> Result<bool, ReportError> {
        let is_too_long = self.formats.contains(&ReportFormat::Parquet) && self.csv_max_rows.is_some_and(|most| rows.count() > most);
        let is_left_out = |format: &&ReportFormat| **format == ReportFormat::Csv && is_too_long;
        thread::scope(|scope| {
            let formats = self.formats.iter().filter(|format| !is_left_out(format));
            let written: Vec<_> = formats.map(|format| scope.spawn(|| self.write(table, rows, *format))).collect();
            written.into_iter().try_for_each(|written| written.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })?;
        Ok(self.formats.iter().any(|format| is_left_out(&format)))
    }

    fn write(&self, table: &'static Table, rows: &ReportRows, format: ReportFormat) -> Result<(), ReportError> {
        let relative = match format {
            ReportFormat::Parquet => format!("{}.parquet", table.name),
            ReportFormat::Csv => format!("{}.csv", table.name),
        };
        match (rows, format) {
            (ReportRows::OnEngine { folder, query, .. }, ReportFormat::Parquet) => {
                return Ok(folder.publish(query, table, &self.staging)?);
            }
            (ReportRows::OnEngine { folder, query, .. }, ReportFormat::Csv) => {
                write_csv(&folder.rows(query, table)?, table, &self.staging.place(&relative)?)?;
            }
            (ReportRows::Here(rows), ReportFormat::Parquet) => rows.write_parquet(table, &self.staging.place(&relative)?)?,
            (ReportRows::Here(rows), ReportFormat::Csv) => rows.write_csv(table, &self.staging.place(&relative)?)?,
        }
        Ok(self.staging.list(&relative, rows.count())?)
    }

    /// Adds a file for people: the page, or the workbook.
    pub fn add_file(&self, name: &str, bytes: &[u8]) -> Result<(), ReportError> {
        publish::write_file(&self.staging.place(name)?, bytes)?;
        Ok(self.staging.list(name, 0)?)
    }

    /// Publishes the reports.
    pub fn commit(self, source: ReportSource) -> Result<(), ReportError> {
        let manifest = ReportManifest { format: FORMAT, month: self.month.to_string(), built_from: source, files: self.staging.files() };
        self.archive.publish(Section::Reports, self.month, self.staging, &manifest)?;
        Ok(())
    }
}
