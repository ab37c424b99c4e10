//! `[output]`: where the results are written, and in which formats.

use std::path::PathBuf;

use serde::Deserialize;

use super::setting::{Findings, Setting, list, word};

#[derive(Clone, Debug)]
pub struct Output {
    pub dir: PathBuf,
    pub formats: Vec<Format>,
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
];

const FORMATS: [(&str, Format); 3] = [("parquet", Format::Parquet), ("csv", Format::Csv), ("html", Format::Html)];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    dir: PathBuf,
    formats: Vec<String>,
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
    Output { dir: raw.dir, formats }
}
