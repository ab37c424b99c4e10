use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use polars::prelude::*;

use super::{Table, TableError};

/// Writes the same rows and columns as the Parquet as CSV: RFC 4180, UTF-8, ISO dates, `.` decimals. Null is an empty
/// cell, an empty text is `""`. A text that a spreadsheet would run as a formula gets a `'` in front.
///
/// # Errors
/// When the frame does not hold the table's columns, or the file cannot be written.
pub fn write_csv(frame: &DataFrame, table: &'static Table, path: &Path) -> Result<(), TableError> {
    let failed = |error| TableError::writing(path, error);
    let file = BufWriter::new(File::create(path).map_err(|error| failed(error.into()))?);
    CsvRows::new(file, table).append(frame).map_err(failed)
}

/// The same, a frame at a time.
pub struct CsvRows<W> {
    out: W,
    table: &'static Table,
    has_header: bool,
}

impl<W: Write> CsvRows<W> {
    pub fn new(out: W, table: &'static Table) -> CsvRows<W> {
        CsvRows { out, table, has_header: false }
    }

    /// Writes these rows, after the header when they are the first. A table without rows has its header, too.
    pub fn append(&mut self, frame: &DataFrame) -> PolarsResult<()> {
        let mut frame = self.table.conform(frame).and_then(|frame| neutralise(&frame))?;
        CsvWriter::new(&mut self.out)
            .include_header(!std::mem::replace(&mut self.has_header, true))
            .with_line_terminator("\r\n".into())
            .with_date_format(Some("%Y-%m-%d".into()))
            .with_datetime_format(Some("%Y-%m-%dT%H:%M:%S%.fZ".into()))
            .with_float_scientific(Some(false))
            .with_quote_style(QuoteStyle::Necessary)
            .finish(&mut frame)?;
        Ok(self.out.flush()?)
    }
}

fn neutralise(frame: &DataFrame) -> PolarsResult<DataFrame> {
    let columns = frame.columns().iter().map(|column| match column.dtype() {
        DataType::String => {
            let texts = column.str()?;
            if !texts.iter().flatten().any(is_formula) {
                return Ok(column.clone());
            }
            let safe: StringChunked =
                texts.iter().map(|text| text.map(|text| if is_formula(text) { format!("'{text}") } else { text.to_string() })).collect();
            Ok(safe.with_name(column.name().clone()).into_column())
        }
        _ => Ok(column.clone()),
    });
    DataFrame::new(frame.height(), columns.collect::<PolarsResult<_>>()?)
}

/// What spreadsheets take as the beginning of a formula. A plain number such as `-5` or `+353` is none.
fn is_formula(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let is_number = || text[1..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && text.len() > 1;
    match first {
        '=' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠' => true,
        '+' | '-' => !is_number(),
        _ => false,
    }
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
}
