//! Tables on disk: the description of a column, and how a table is written, scanned and counted. Apart from the counting queries,
//! only this module calls Polars' scans and sinks.

mod bundle;
mod cause;
mod csv;
mod gather;
mod jsonl;
mod numbers;
mod order;
mod parquet;
mod rows;

use std::io::{self, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use polars::prelude::{DataFrame, DataType, Field, Int64Chunked, IntoColumn, PolarsError, Schema, TimeUnit, TimeZone};

use crate::disk;

pub use bundle::{Bundle, bundle_has, read_bundle, read_bundled, write_bundle};
pub use csv::{CsvRows, write_csv};
pub use gather::{Gather, Source, TableRows};
pub use jsonl::write_jsonl;
pub use numbers::{ContactNumbers, Unnumbered};
pub use order::in_order;
pub use parquet::{ROW_GROUP_ROWS, read_file, scan, scan_or_empty, sink_parquet, write_parquet};
pub use rows::Rows;

/// One table: its name, what a row is, its key, its columns in order.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// What a row is, for the data dictionary.
    pub row: &'static str,
    /// The columns by which rows are unique and sorted.
    pub key: &'static [&'static str],
    pub columns: &'static [Column],
}

/// One column, as the data dictionary shows it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// What the column holds.
    pub about: &'static str,
    /// Set only if the unit differs from the unit of the kind: see [`Column::unit`].
    unit: Option<&'static str>,
    /// What null means; empty when the column is never null.
    pub null: &'static str,
    /// All values that the column may have; empty when they are not listed.
    pub values: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// Intercom's ID of a contact, as text. Counting queries use a number instead ([`ContactNumbers`]).
    Contact,
    /// JSON as text.
    Json,
    /// Whole numbers: Int64.
    Count,
    /// Float64.
    Ratio,
    Flag,
    /// A time in UTC, in microseconds.
    Instant,
    /// A calendar day.
    Day,
}

impl Column {
    pub const fn new(name: &'static str, kind: Kind, about: &'static str) -> Column {
        Column { name, kind, about, unit: None, null: "", values: &[] }
    }

    /// Sets a unit that differs from the unit of the kind.
    pub const fn in_unit(self, unit: &'static str) -> Column {
        Column { unit: Some(unit), ..self }
    }

    /// The unit of the values; `None` for texts and flags.
    pub fn unit(&self) -> Option<&'static str> {
        self.unit.or(match self.kind {
            Kind::Text | Kind::Contact | Kind::Json | Kind::Flag => None,
            Kind::Count => Some("contacts"),
            Kind::Ratio => Some("share, 0 to 1"),
            Kind::Instant => Some("instant, UTC"),
            Kind::Day => Some("calendar day"),
        })
    }

    /// Lists all values that the column may have.
    pub const fn one_of(self, values: &'static [&'static str]) -> Column {
        Column { values, ..self }
    }

    /// Makes the column nullable and says what null means.
    pub const fn or_null(self, null: &'static str) -> Column {
        Column { null, ..self }
    }
}

impl Kind {
    pub fn dtype(self) -> DataType {
        match self {
            Kind::Text | Kind::Contact | Kind::Json => DataType::String,
            Kind::Count => DataType::Int64,
            Kind::Ratio => DataType::Float64,
            Kind::Flag => DataType::Boolean,
            Kind::Instant => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Kind::Day => DataType::Date,
        }
    }

    /// Casts the column to this kind's type.
    fn of(self, column: &polars::prelude::Column) -> Result<polars::prelude::Column, PolarsError> {
        if column.dtype() == &self.dtype() { Ok(column.clone()) } else { column.strict_cast(&self.dtype()) }
    }

    /// The name of the type for people.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Text | Kind::Contact => "String",
            Kind::Json => "String (JSON)",
            Kind::Count => "Int64",
            Kind::Ratio => "Float64",
            Kind::Flag => "Boolean",
            Kind::Instant => "Timestamp (UTC, microseconds)",
            Kind::Day => "Date",
        }
    }
}

/// A column of instants.
pub fn instants(name: &str, values: impl Iterator<Item = Option<DateTime<Utc>>>) -> polars::prelude::Column {
    let micros: Int64Chunked = values.map(|at| at.map(|at| at.timestamp_micros())).collect();
    micros.with_name(name.into()).into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column()
}

impl Table {
    pub fn schema(&self) -> Schema {
        self.columns.iter().map(|column| Field::new(column.name.into(), column.kind.dtype())).collect()
    }

    pub fn empty(&self) -> DataFrame {
        DataFrame::empty_with_schema(&self.schema())
    }

    /// The frame with exactly this table's columns, order and types.
    ///
    /// # Errors
    /// When a column is missing or a value cannot be converted to the declared type.
    pub fn conform(&self, frame: &DataFrame) -> Result<DataFrame, PolarsError> {
        let columns = self.columns.iter().map(|column| {
            let found = frame.column(column.name)?;
            if column.kind == Kind::Contact && found.dtype() == &numbers::NUMBER {
                // A cast would turn the number into digits that look like a contact's ID.
                return Err(PolarsError::SchemaMismatch(format!("`{}` holds numbers for contacts", column.name).into()));
            }
            column.kind.of(found)
        });
        DataFrame::new(frame.height(), columns.collect::<Result<_, PolarsError>>()?)
    }

    /// As [`Table::conform`], but contacts may be numbers ([`ContactNumbers`]).
    pub fn conform_counted(&self, frame: &DataFrame) -> Result<DataFrame, PolarsError> {
        let columns = self.columns.iter().map(|column| {
            let found = frame.column(column.name)?;
            if column.kind == Kind::Contact && found.dtype() == &numbers::NUMBER { Ok(found.clone()) } else { column.kind.of(found) }
        });
        DataFrame::new(frame.height(), columns.collect::<Result<_, PolarsError>>()?)
    }
}

/// A table could not be read, counted or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {what}")]
pub struct TableError {
    action: &'static str,
    what: String,
    source: io::Error,
}

impl TableError {
    pub fn new(action: &'static str, what: impl Into<String>, source: PolarsError) -> TableError {
        TableError { action, what: what.into(), source: cause::of(&source) }
    }

    /// The error for a file with unexpected content.
    fn unfit(path: &Path, problem: String) -> TableError {
        TableError { action: "read", what: format!("`{}`", path.display()), source: io::Error::other(problem) }
    }

    /// The error for a failed write. The Parquet writer may hide the I/O error. Therefore 64 KiB are appended to the half-written file. If
    /// there is no space for them, the disk is full.
    fn writing(path: &Path, source: PolarsError) -> TableError {
        let mut cause = cause::of(&source);
        if has_no_room(path) {
            cause = io::Error::new(io::ErrorKind::StorageFull, cause.to_string());
        }
        TableError { action: "write", what: format!("`{}`", path.display()), source: cause }
    }
}

/// The I/O error inside a Polars error, if there is one.
pub fn io_error(error: &PolarsError) -> Option<&io::Error> {
    match error {
        PolarsError::IO { error, .. } => Some(error),
        PolarsError::Context { error, .. } => io_error(error),
        _ => None,
    }
}

/// Whether there is no space to append to a half-written file. The file is not used later: it is removed with its folder.
fn has_no_room(path: &Path) -> bool {
    let grown = std::fs::File::options().append(true).create(true).open(path).and_then(|mut file| file.write_all(&[0; 1 << 16]));
    grown.is_err_and(|error| disk::is_full(&error))
}
