//! `[output]`: where the results are written, and in which formats.

use std::path::PathBuf;

use serde::Deserialize;

use super::setting::{Findings, Setting, list, path};
use archive::store::Location;

#[derive(Clone, Debug)]
pub struct Output {
    /// The folder or bucket in which each job has a folder of its name.
    pub dir: Location,
    /// The folder on this machine for unfinished runs. `None`: [`crate::archive`] chooses one.
    pub work_dir: Option<PathBuf>,
    /// The maximum number of bytes of a bucket's months that are kept on this machine.
    pub cache_max_bytes: u64,
    pub formats: Vec<Format>,
    /// A report of more rows is not written as CSV. `None`: no limit.
    pub csv_max_rows: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Parquet,
    Csv,
    /// A page to look at.
    Html,
    /// A workbook for a spreadsheet.
    Xlsx,
}

impl Format {
    /// The name of the format in a job file.
    pub fn as_str(self) -> &'static str {
        FORMATS.iter().find(|(_, format)| *format == self).map_or("", |(word, _)| word)
    }

    /// Whether a file of the reports is of this format.
    pub fn is_of(self, file: &str) -> bool {
        file.rsplit_once('.').is_some_and(|(_, ending)| ending == self.as_str())
    }
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("output.dir", |all| all.output.dir.to_string()),
    Setting::new("output.work_dir", |all| path(all.output.work_dir.as_deref())),
    Setting::new("output.cache_max_bytes", |all| all.output.cache_max_bytes.to_string()),
    Setting::new("output.formats", |all| list(all.output.formats.iter().map(|format| format.as_str().to_string()))),
    Setting::new("output.csv_max_rows", |all| all.output.csv_max_rows.unwrap_or(NO_LIMIT).to_string()),
];

/// How "no limit" is written.
const NO_LIMIT: u64 = 0;

const FORMATS: [(&str, Format); 4] = [("parquet", Format::Parquet), ("csv", Format::Csv), ("html", Format::Html), ("xlsx", Format::Xlsx)];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    dir: String,
    work_dir: Option<PathBuf>,
    cache_max_bytes: u64,
    formats: Vec<String>,
    csv_max_rows: u64,
}

pub(super) fn check(raw: Raw, findings: &mut Findings<'_>) -> Output {
    let mut formats = Vec::new();
    for word in &raw.formats {
        if let Some(format) = findings.one_of("output.formats", word, &FORMATS)
            && !formats.contains(&format)
        {
            formats.push(format);
        }
    }
    if raw.formats.is_empty() {
        findings.add("output.formats", "names no format; use parquet, csv, html, xlsx");
    }
    let dir = Location::parse(&raw.dir).unwrap_or_else(|problem| {
        findings.add("output.dir", problem);
        Location::Folder(PathBuf::new())
    });
    if raw.work_dir.as_ref().is_some_and(|folder| folder.as_os_str().is_empty() || folder.to_string_lossy().contains("://")) {
        findings.add("output.work_dir", "must be a folder of this machine");
    }
    Output {
        dir,
        work_dir: raw.work_dir,
        cache_max_bytes: raw.cache_max_bytes,
        formats,
        csv_max_rows: Some(raw.csv_max_rows).filter(|rows| *rows != NO_LIMIT),
    }
}
