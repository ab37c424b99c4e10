//! CSV: RFC 4180, UTF-8, ISO dates, `.` decimals, lines that end with CR LF. Null is an empty cell, an empty text is `""`. A `'` is added
//! before each text, or part of a text, that a spreadsheet would run as a formula: see [`neutralised`].

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use polars::prelude::*;

use super::{Table, TableError};

pub(super) const SEPARATOR: &[u8] = b",";
pub(super) const LINE_END: &[u8] = b"\r\n";
/// The size in bytes at which lines in memory are written to the file.
const BUFFER: usize = 1 << 20;

/// Writes rows as one CSV file, with the same rows and columns as the Parquet file of the table.
///
/// # Errors
/// When the frame does not hold the table's columns, or the file cannot be written.
pub fn write_csv(frame: &DataFrame, table: &'static Table, path: &Path) -> Result<(), TableError> {
    write_file(path, |file| CsvRows::new(file, table).append(frame))
}

/// Creates the file and writes it.
pub(super) fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> PolarsResult<()>) -> Result<(), TableError> {
    let failed = |error| TableError::writing(path, error);
    let mut file = BufWriter::with_capacity(BUFFER, File::create(path).map_err(|error| failed(error.into()))?);
    write(&mut file).and_then(|()| Ok(file.flush()?)).map_err(failed)
}

/// Writes CSV one frame at a time.
pub struct CsvRows<W> {
    out: W,
    table: &'static Table,
    has_header: bool,
}

impl<W: Write> CsvRows<W> {
    pub fn new(out: W, table: &'static Table) -> CsvRows<W> {
        CsvRows { out, table, has_header: false }
    }

    /// Writes these rows. The first call also writes the header, even if there are no rows.
    pub fn append(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        if !std::mem::replace(&mut self.has_header, true) {
            self.out.write_all(&header(self.table))?;
        }
        let frame = self.table.conform(frame)?;
        let columns = Cells::of_all(frame.columns())?;
        write_lines(&mut self.out, frame.height(), |row, lines| write_cells(&columns, row, LINE_END, lines))?;
        Ok(self.out.flush()?)
    }
}

/// Writes the line of each row.
pub(super) fn write_lines(out: &mut impl Write, rows: usize, write: impl Fn(usize, &mut Vec<u8>)) -> PolarsResult<()> {
    let mut lines = Vec::new();
    for row in 0..rows {
        write(row, &mut lines);
        if lines.len() >= BUFFER {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    Ok(out.write_all(&lines)?)
}

pub(super) fn header(table: &Table) -> Vec<u8> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    [names.join(",").as_bytes(), LINE_END].concat()
}

/// Writes the row's cells with separators, and `end` after the last one.
pub(super) fn write_cells(columns: &[Cells], row: usize, end: &[u8], out: &mut Vec<u8>) {
    for (index, cells) in columns.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(SEPARATOR);
        }
        (cells.0)(row, out);
    }
    out.extend_from_slice(end);
}

/// Writes the cells of a column, one row at a time.
pub(super) struct Cells(Box<WriteCell>);

/// Writes the cell of a row.
type WriteCell = dyn Fn(usize, &mut Vec<u8>);

impl Cells {
    pub(super) fn of_all(columns: &[Column]) -> PolarsResult<Vec<Cells>> {
        columns.iter().map(Cells::of).collect()
    }

    fn of(column: &Column) -> PolarsResult<Cells> {
        // One chunk: the row is then the index into the chunk.
        let column = column.as_materialized_series().rechunk();
        macro_rules! cells {
            ($values:expr, $write:expr) => {{
                let values = $values.clone();
                let write = $write;
                Box::new(move |row, out: &mut Vec<u8>| {
                    if let Some(value) = values.get(row) {
                        write(value, out);
                    }
                })
            }};
        }
        Ok(Cells(match column.dtype() {
            DataType::String => cells!(column.str()?, write_text),
            DataType::Boolean => {
                cells!(column.bool()?, |flag, out: &mut Vec<u8>| out.extend_from_slice(if flag { b"true" } else { b"false" }))
            }
            DataType::Int64 => cells!(column.i64()?, |count: i64, out: &mut Vec<u8>| put(out, format_args!("{count}"))),
            DataType::Float64 => cells!(column.f64()?, |ratio: f64, out: &mut Vec<u8>| put(out, format_args!("{ratio}"))),
            DataType::Date => cells!(column.date()?.physical(), write_day),
            DataType::Datetime(TimeUnit::Microseconds, _) => cells!(column.datetime()?.physical(), write_instant),
            other => return Err(polars_err!(ComputeError: "no table has columns of the type {other}")),
        }))
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory cannot fail.
    let _ = out.write_fmt(text);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    let safe = neutralised(text).map_or(Cow::Borrowed(text), Cow::Owned);
    let must_be_quoted = safe.is_empty() || safe.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n'));
    if !must_be_quoted {
        return out.extend_from_slice(safe.as_bytes());
    }
    out.push(b'"');
    for (index, part) in safe.split('"').enumerate() {
        if index > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

fn write_day(days: i32, out: &mut Vec<u8>) {
    if let Some(day) = NaiveDate::from_epoch_days(days) {
        write_date(day, out);
    }
}

fn write_date(day: NaiveDate, out: &mut Vec<u8>) {
    // Formatting by chrono takes ten times as long, which matters for four instants of each of a million contacts.
    match u32::try_from(day.year()) {
        Ok(year @ ..=9_999) => {
            digits(year, 4, out);
            out.push(b'-');
            digits(day.month(), 2, out);
            out.push(b'-');
            digits(day.day(), 2, out);
        }
        _ => put(out, format_args!("{day}")),
    }
}

/// `2026-11-01T02:00:00Z`, with three or six decimals if there are any.
fn write_instant(micros: i64, out: &mut Vec<u8>) {
    let Some(at) = DateTime::from_timestamp_micros(micros) else { return };
    write_date(at.date_naive(), out);
    for (before, part) in [(b'T', at.hour()), (b':', at.minute()), (b':', at.second())] {
        out.push(before);
        digits(part, 2, out);
    }
    match at.timestamp_subsec_micros() {
        0 => {}
        fraction if fraction % 1_000 == 0 => {
            out.push(b'.');
            digits(fraction / 1_000, 3, out);
        }
        fraction => {
            out.push(b'.');
            digits(fraction, 6, out);
        }
    }
    out.push(b'Z');
}

/// Writes a number with leading zeros.
fn digits(number: u32, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        out.push(b'0' + (number / 10_u32.pow(place) % 10) as u8);
    }
}

/// Puts a `'` before every formula that a spreadsheet would find in the text; `None` if there is none.
///
/// A formula may be at the start of the text. It may also come after a `;`, a tab or a line break. In many countries spreadsheets
/// separate cells by `;` or tabs. For such a spreadsheet, the quotes around a text are in the middle of a cell and have no effect.
/// Commas are safe: a spreadsheet that separates cells by commas respects the quotes.
fn neutralised(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| matches!(byte, b';' | b'\t' | b'\r' | b'\n')) {
        return is_formula(text).then(|| format!("'{text}"));
    }
    let mut safe = String::new();
    let mut written = 0;
    let starts = text.match_indices([';', '\t', '\r', '\n']).map(|(separator, _)| separator + 1);
    for start in std::iter::once(0).chain(starts) {
        let cell = &text[start..];
        // Quotes in a text are doubled. Two quotes at the start of a cell are an empty text, and a spreadsheet may run what follows
        // them.
        let is_run = if start == 0 { is_formula(cell) } else { begins_formula(cell.trim_start_matches('"')) };
        if is_run {
            safe.push_str(&text[written..start]);
            safe.push('\'');
            written = start;
        }
    }
    if safe.is_empty() {
        return None;
    }
    safe.push_str(&text[written..]);
    Some(safe)
}

/// Whether spreadsheets take the text for a formula. A plain number such as `-5` or `+353` is not a formula.
fn is_formula(text: &str) -> bool {
    match text.strip_prefix(['+', '-']) {
        Some(rest) => rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'),
        None => text.starts_with(['\t', '\r', '\n']) || begins_formula(text),
    }
}

fn begins_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind};
    use super::*;

    const TABLE: Table = Table {
        name: "sample",
        row: "a sample",
        key: &["text"],
        columns: &[
            Column::new("text", Kind::Text, "a text"),
            Column::new("count", Kind::Count, "a count"),
            Column::new("ratio", Kind::Ratio, "a ratio"),
            Column::new("flag", Kind::Flag, "a flag"),
            Column::new("day", Kind::Day, "a day"),
            Column::new("at", Kind::Instant, "an instant"),
        ],
    };

    fn sample(texts: &[Option<&str>]) -> DataFrame {
        let n = texts.len();
        let day = Column_::new("day".into(), vec![20_000_i32; n]).cast(&DataType::Date).unwrap();
        let at = Column_::new("at".into(), vec![1_577_869_200_500_000_i64; n]).cast(&Kind::Instant.dtype()).unwrap();
        let mut frame =
            df!("text" => texts, "count" => vec![Some(1_i64); n], "ratio" => vec![0.000_000_1; n], "flag" => vec![Some(true); n]).unwrap();
        frame.with_column(day).unwrap();
        frame.with_column(at).unwrap();
        frame
    }

    use polars::prelude::Column as Column_;

    fn texts(texts: &[Option<&str>]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample.csv");
        write_csv(&sample(texts), &TABLE, &path).unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn csv_is_rfc_4180_with_iso_dates() {
        let text = texts(&[Some("a,\"b\"\nc"), None, Some("")]);
        let rest = "1,0.0000001,true,2024-10-04,2020-01-01T09:00:00.500Z\r\n";
        assert_eq!(text, format!("text,count,ratio,flag,day,at\r\n\"a,\"\"b\"\"\nc\",{rest},{rest}\"\",{rest}"));
    }

    #[test]
    fn formulas_are_neutralised_and_numbers_are_not() {
        for (text, expected) in [
            ("+＝", "'+＝"),
            ("＝1", "'＝1"),
            ("=1+2", "'=1+2"),
            ("@x", "'@x"),
            ("+x", "'+x"),
            ("-x", "'-x"),
            ("-5", "-5"),
            ("+353.1", "+353.1"),
            ("a=b", "a=b"),
            ("-", "'-"),
            ("\tx", "'\tx"),
        ] {
            assert!(texts(&[Some(text)]).contains(&format!("\r\n{expected},")), "{text}");
        }
    }

    /// The rows and cells of a CSV as a spreadsheet reads it. A quote has an effect only at the start of a cell.
    fn cells(text: &str, separators: &[char]) -> Vec<String> {
        let mut cells = vec![String::new()];
        let mut characters = text.chars().peekable();
        let (mut is_new, mut is_quoted) = (true, false);
        while let Some(character) = characters.next() {
            let cell = cells.last_mut().unwrap();
            match character {
                '"' if is_quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
                '"' if is_quoted => is_quoted = false,
                '"' if is_new => is_quoted = true,
                _ if !is_quoted && (separators.contains(&character) || matches!(character, '\r' | '\n')) => {
                    cells.push(String::new());
                    is_new = true;
                    continue;
                }
                _ => cell.push(character),
            }
            is_new = false;
        }
        cells
    }

    #[test]
    fn no_cell_is_a_formula_whatever_separates_the_cells() {
        let signs = ["=", "+", "-", "@", "＝"];
        let formulas = signs.map(|sign| format!("{sign}cmd|' /C calc'!A0"));
        let mut hostile = Vec::new();
        for before in
            ["", "x", ",", "\"", "\"\"", "x;", "\t", "x\t\t", "x\n", "x\r\n", "x\r", "a, b;c\t", "x;\"", "x;\"\"", "\n\"", "'", "é;"]
        {
            for after in ["", ";", ",\"", "\t=1+1", "\n@x"] {
                hostile.extend(formulas.iter().map(|formula| format!("{before}{formula}{after}")));
            }
        }
        let rows: Vec<Option<&str>> = hostile.iter().map(|text| Some(text.as_str())).collect();
        // The table has two columns. A quote of the second column is at the start of a cell only if the comma is a separator.
        const TWICE: Table = Table {
            name: "twice",
            row: "a sample",
            key: &["first"],
            columns: &[Column::new("first", Kind::Text, "a text"), Column::new("second", Kind::Text, "a text")],
        };
        let mut csv = Vec::new();
        CsvRows::new(&mut csv, &TWICE).append(&df!("first" => &rows, "second" => &rows).unwrap()).unwrap();
        let csv = String::from_utf8(csv).unwrap();
        for separators in [&[','][..], &[';'], &['\t'], &[',', ';', '\t'], &[';', '\t']] {
            let cells = cells(&csv, separators);
            assert!(cells.len() > rows.len(), "{separators:?}");
            let run: Vec<&String> = cells.iter().filter(|cell| begins_formula(cell)).collect();
            assert!(run.is_empty(), "{separators:?}: {run:?}");
        }
        // No other character changes.
        for text in &hostile {
            let safe = neutralised(text).unwrap_or_else(|| text.clone());
            assert_eq!(safe.replace('\'', ""), text.replace('\'', ""));
        }
    }

    #[test]
    fn texts_without_a_formula_do_not_change() {
        for text in ["a;b", "a; =b", "[1,-5]", "x,=1", "a=b;c=d", "multi\nline", "-5", "{\"a\":\"b;c\"}", "a\t\tb", ";", ""] {
            assert_eq!(neutralised(text), None, "{text:?}");
        }
        for (text, expected) in [("x;=1", "x;'=1"), ("=1;-2\n@", "'=1;'-2\n'@"), ("a\t=1+1", "a\t'=1+1"), ("x;\"=1", "x;'\"=1")] {
            assert_eq!(neutralised(text).as_deref(), Some(expected), "{text:?}");
        }
    }
}
