use std::io::Write;

use polars::prelude::DataFrame;

use super::{ListingError, Rows};
use archive::table::{CsvRows, Table, write_jsonl};

/// Writes rows as lines of text.
pub enum Lines<W> {
    Csv(CsvRows<W>),
    Jsonl(W, &'static Table),
}

impl<W: Write> Lines<W> {
    pub fn csv(out: W, table: &'static Table) -> Lines<W> {
        Lines::Csv(CsvRows::new(out, table))
    }

    pub fn jsonl(out: W, table: &'static Table) -> Lines<W> {
        Lines::Jsonl(out, table)
    }
}

impl<W: Write> Rows for Lines<W> {
    /// Each page is written when it comes.
    fn at_once(&self) -> usize {
        1
    }

    fn take(&mut self, rows: &DataFrame) -> Result<(), ListingError> {
        match self {
            Lines::Csv(csv) => csv.append(rows),
            Lines::Jsonl(out, table) => write_jsonl(rows, table, out),
        }
        .map_err(ListingError::write)
    }

    fn restart(&mut self) -> Result<bool, ListingError> {
        Ok(false)
    }

    fn finish(self) -> Result<(), ListingError> {
        Ok(())
    }
}
