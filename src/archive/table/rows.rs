//! A small table, read cell by cell.

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{DataFrame, PolarsResult};

/// Use this only for small tables: each cell looks up its column again.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a>(pub &'a DataFrame);

impl<'a> Rows<'a> {
    pub fn count_all(&self) -> usize {
        self.0.height()
    }

    /// The text of a cell. Empty for null.
    pub fn text(&self, name: &str, row: usize) -> PolarsResult<&'a str> {
        Ok(self.0.column(name)?.str()?.get(row).unwrap_or_default())
    }

    pub fn count(&self, name: &str, row: usize) -> PolarsResult<Option<i64>> {
        Ok(self.0.column(name)?.i64()?.get(row))
    }

    pub fn ratio(&self, name: &str, row: usize) -> PolarsResult<Option<f64>> {
        Ok(self.0.column(name)?.f64()?.get(row))
    }

    pub fn flag(&self, name: &str, row: usize) -> PolarsResult<Option<bool>> {
        Ok(self.0.column(name)?.bool()?.get(row))
    }

    pub fn day(&self, name: &str, row: usize) -> PolarsResult<Option<NaiveDate>> {
        Ok(self.0.column(name)?.date()?.physical().get(row).and_then(NaiveDate::from_epoch_days))
    }

    pub fn instant(&self, name: &str, row: usize) -> PolarsResult<Option<DateTime<Utc>>> {
        Ok(self.0.column(name)?.datetime()?.physical().get(row).and_then(DateTime::from_timestamp_micros))
    }

    /// The rows that have this text in the column. The table must be sorted by this column.
    pub fn of(&self, name: &str, text: &str) -> PolarsResult<std::ops::Range<usize>> {
        let column = self.0.column(name)?.str()?;
        let mut rows = (0..self.0.height()).filter(|row| column.get(*row) == Some(text));
        let Some(first) = rows.next() else { return Ok(0..0) };
        Ok(first..rows.last().unwrap_or(first) + 1)
    }
}
