//! Tables as rows of cells, from Parquet (read by Polars) and from CSV (read here, by RFC 4180).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Days, NaiveDate, Utc};
use polars::prelude::{AnyValue, DataFrame, DataType, IpcStreamReader, ParquetReader, SerReader, TimeUnit};

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Text(String),
    Count(i64),
    Ratio(f64),
    Flag(bool),
    Day(NaiveDate),
    Instant(DateTime<Utc>),
}

pub(crate) fn text(text: &str) -> Cell {
    Cell::Text(text.to_string())
}

/// A count, or null.
pub(crate) fn count(count: impl Into<Option<i64>>) -> Cell {
    count.into().map_or(Cell::Null, Cell::Count)
}

/// The first day of a month `YYYY-MM`.
pub(crate) fn day(month: &str) -> NaiveDate {
    format!("{month}-01").parse().unwrap()
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    pub columns: Vec<(String, DataType)>,
    pub rows: Vec<Vec<Cell>>,
}

/// One row, by the names of its columns.
pub(crate) type Row = BTreeMap<String, Cell>;

impl Table {
    pub(crate) fn parquet(path: &Path) -> Table {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Table::of(&ParquetReader::new(file).finish().unwrap())
    }

    /// The tables in a file of a job's folder; an empty list for files of other kinds.
    pub(crate) fn all_in(path: &Path) -> Vec<Table> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => vec![Table::parquet(path)],
            Some("arrows") => Table::streams(path),
            // Files in a cache are named by their hashes.
            _ if std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"PAR1")) => vec![Table::parquet(path)],
            _ => Vec::new(),
        }
    }

    /// The tables of a chunk of unfinished work: length and checksum of each, then each as an Arrow stream.
    fn streams(path: &Path) -> Vec<Table> {
        let bytes = std::fs::read(path).unwrap();
        let tables = if path.file_name().unwrap().to_str().unwrap().starts_with("contacts-") { 5 } else { 1 };
        let mut start = tables * 12;
        let stream = |entry: &[u8]| {
            let length = u64::from_le_bytes(entry[..8].try_into().unwrap()) as usize;
            start += length;
            Table::of(&IpcStreamReader::new(Cursor::new(&bytes[start - length..start])).finish().unwrap())
        };
        bytes[..tables * 12].chunks(12).map(stream).collect()
    }

    pub(crate) fn parquet_parts(paths: &[PathBuf]) -> Table {
        let mut parts = paths.iter().map(|path| Table::parquet(path));
        let first = parts.next().expect("at least one part");
        parts.fold(first, |mut all, part| {
            assert_eq!(all.columns, part.columns);
            all.rows.extend(part.rows);
            all
        })
    }

    fn of(frame: &DataFrame) -> Table {
        let columns = frame.columns().iter().map(|column| (column.name().to_string(), column.dtype().clone())).collect();
        let cell = |value: AnyValue<'_>| match value {
            AnyValue::Null => Cell::Null,
            AnyValue::String(text) => Cell::Text(text.to_string()),
            AnyValue::StringOwned(text) => Cell::Text(text.to_string()),
            AnyValue::Int64(count) => Cell::Count(count),
            AnyValue::Float64(ratio) => Cell::Ratio(ratio),
            AnyValue::Boolean(flag) => Cell::Flag(flag),
            AnyValue::Date(days) => Cell::Day(NaiveDate::default() + Days::new(days.try_into().unwrap())),
            AnyValue::Datetime(micros, TimeUnit::Microseconds, Some(_))
            | AnyValue::DatetimeOwned(micros, TimeUnit::Microseconds, Some(_)) => {
                Cell::Instant(DateTime::from_timestamp_micros(micros).unwrap())
            }
            other => panic!("no type of the contract: {other:?}"),
        };
        let rows = (0..frame.height()).map(|row| frame.columns().iter().map(|column| cell(column.get(row).unwrap())).collect());
        Table { columns, rows: rows.collect() }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(crate) fn rows_by_name(&self) -> Vec<Row> {
        let names = self.columns.iter().map(|(name, _)| name.clone());
        self.rows.iter().map(|row| names.clone().zip(row.iter().cloned()).collect()).collect()
    }

    /// The rows by their keys, which must be unique.
    pub(crate) fn keyed(&self, key: &[&str]) -> BTreeMap<Vec<String>, Row> {
        let mut keyed = BTreeMap::new();
        for row in self.rows_by_name() {
            let key = key.iter().map(|name| row[*name].shown()).collect::<Vec<_>>();
            assert!(keyed.insert(key.clone(), row).is_none(), "two rows of {key:?}");
        }
        keyed
    }

    /// The texts of one column.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.rows_by_name().into_iter().map(|row| row[name].shown()).collect()
    }
}

impl Cell {
    pub(crate) fn shown(&self) -> String {
        match self {
            Cell::Null => String::new(),
            Cell::Text(text) => text.clone(),
            Cell::Count(count) => count.to_string(),
            Cell::Ratio(ratio) => ratio.to_string(),
            Cell::Flag(flag) => flag.to_string(),
            Cell::Day(day) => day.to_string(),
            Cell::Instant(at) => at.to_rfc3339(),
        }
    }

    /// Whether the cells are equal; ratios may differ in their last bits, since the order of operations is not specified.
    pub(crate) fn agrees(&self, other: &Cell) -> bool {
        match (self, other) {
            (Cell::Ratio(a), Cell::Ratio(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
            _ => self == other,
        }
    }
}

/// Asserts that the keys are those of `expected`, and that the columns named there have the expected values.
#[track_caller]
pub(crate) fn check_rows(found: &BTreeMap<Vec<String>, Row>, expected: &BTreeMap<Vec<String>, Row>, what: &str) {
    let keys = |rows: &BTreeMap<Vec<String>, Row>| rows.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(found), keys(expected), "the rows of {what}");
    for (key, row) in expected {
        for (name, cell) in row {
            let seen = &found[key][name];
            assert!(seen.agrees(cell), "{what}, {key:?}: `{name}` is {seen:?}, expected {cell:?}");
        }
    }
}

/// A cell of a CSV file: its text, and whether it was quoted (an empty text is, a null is not).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CsvCell {
    pub text: String,
    pub quoted: bool,
}

/// Parses RFC 4180 strictly: lines end with CRLF, quotes enclose whole cells and are doubled inside.
pub(crate) fn csv(path: &Path) -> (Vec<String>, Vec<Vec<CsvCell>>) {
    let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    assert!(text.ends_with("\r\n"), "{} does not end with a line break", path.display());
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let cell = if let Some(quoted) = rest.strip_prefix('"') {
            let mut cell = String::new();
            rest = quoted;
            loop {
                let end = rest.find('"').expect("a quote is closed");
                cell.push_str(&rest[..end]);
                rest = &rest[end + 1..];
                match rest.strip_prefix('"') {
                    Some(more) => {
                        cell.push('"');
                        rest = more;
                    }
                    None => break CsvCell { text: cell, quoted: true },
                }
            }
        } else {
            let end = rest.find([',', '\r', '\n', '"']).expect("a cell ends");
            let cell = rest[..end].to_string();
            rest = &rest[end..];
            CsvCell { text: cell, quoted: false }
        };
        row.push(cell);
        if let Some(next) = rest.strip_prefix(',') {
            rest = next;
            assert!(!rest.is_empty(), "a last cell is followed by a line break");
        } else {
            rest = rest.strip_prefix("\r\n").unwrap_or_else(|| panic!("{}: a cell is followed by {rest:.20?}", path.display()));
            rows.push(std::mem::take(&mut row));
        }
    }
    let head = rows.remove(0).into_iter().map(|cell| cell.text).collect();
    (head, rows)
}
