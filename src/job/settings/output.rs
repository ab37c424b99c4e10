//! `[output]`: where the results are written, and in which formats.

use std::path::PathBuf;

use serde::Deserialize;

use super::setting::{Findings, Setting, list, word};

#[derive(Clone, Debug)]
pub struct Output {
    pub dir: PathBuf,
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
}

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("output.dir", |all| all.output.dir.display().to_string()),
    Setting::new("output.formats", |all| list(all.output.formats.iter().map(|format| word(format, &FORMATS)))),
    Setting::new("output.csv_max_rows", |all| all.output.csv_max_rows.unwrap_or(NO_LIMIT).to_string()),
];

/// How "no limit" is written.
const NO_LIMIT: u64 = 0;

const FORMATS: [(&str, Format); 3] = [("parquet", Format::Parquet), ("csv", Format::Csv), ("html", Format::Html)];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    dir: PathBuf,
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
        findings.add("output.formats", "names no format; use parquet, csv, html");
    }
    if raw.dir.as_os_str().is_empty() {
        findings.add("output.dir", "names no folder");
    }
    Output { dir: raw.dir, formats, csv_max_rows: Some(raw.csv_max_rows).filter(|rows| *rows != NO_LIMIT) }
}
