//! Reading small tables of counts row by row.

use std::collections::HashMap;

use chrono::NaiveDate;
use polars::prelude::*;

use super::CohortFacts;
use stats::benjamini_hochberg;

/// A table of counts with one row for each key.
pub(super) struct Counts<'a> {
    frame: &'a DataFrame,
    row_of: HashMap<String, usize>,
}

impl<'a> Counts<'a> {
    /// Finds rows by the texts of these columns.
    pub(super) fn by(frame: &'a DataFrame, keys: &[&str]) -> PolarsResult<Counts<'a>> {
        let keys = keys.iter().map(|key| frame.column(key)?.str()).collect::<PolarsResult<Vec<_>>>()?;
        let key_of = |row: usize| key(&keys.iter().map(|key| key.get(row).unwrap_or_default()).collect::<Vec<_>>());
        let row_of = (0..frame.height()).map(|row| (key_of(row), row)).collect();
        Ok(Counts { frame, row_of })
    }

    /// The count in this row and column; 0 if there is no row for the key.
    pub(super) fn get(&self, keys: &[&str], column: &str) -> PolarsResult<i64> {
        let counts = self.frame.column(column)?.i64()?;
        Ok(self.row_of.get(&key(keys)).and_then(|row| counts.get(*row)).unwrap_or(0))
    }
}

fn key(parts: &[&str]) -> String {
    // No cohort key contains this separator, so ("a", "b") and ("ab", "") differ.
    parts.join("\u{1f}")
}

/// The q-values of rows in any order. The rows of each cohort are one family of tests.
pub(super) fn q_within_cohorts<'a>(cohorts: impl Iterator<Item = &'a CohortFacts>, p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut families: HashMap<&str, Vec<usize>> = HashMap::new();
    for (row, cohort) in cohorts.enumerate() {
        families.entry(cohort.cohort_key.as_str()).or_default().push(row);
    }
    let mut q = vec![None; p.len()];
    for rows in families.into_values() {
        let of_family = benjamini_hochberg(&rows.iter().map(|row| p[*row]).collect::<Vec<_>>());
        for (row, q_value) in rows.into_iter().zip(of_family) {
            q[row] = q_value;
        }
    }
    q
}

/// The rows for which the condition is true.
pub(super) fn rows_where(frame: &DataFrame, condition: impl Iterator<Item = bool>) -> PolarsResult<DataFrame> {
    frame.filter(&condition.map(Some).collect::<BooleanChunked>())
}

/// A column of counts that is never null.
pub(super) fn counts_of(frame: &DataFrame, name: &str) -> PolarsResult<Vec<i64>> {
    Ok(frame.column(name)?.i64()?.iter().map(Option::unwrap_or_default).collect())
}

/// A column of days that is never null.
pub(super) fn days_of(frame: &DataFrame, name: &str) -> PolarsResult<Vec<NaiveDate>> {
    let days = frame.column(name)?.date()?.physical();
    Ok(days.iter().map(|day| day.and_then(NaiveDate::from_epoch_days).unwrap_or_default()).collect())
}

pub(super) fn flags(name: &str, values: impl Iterator<Item = bool>) -> Column {
    let values: BooleanChunked = values.map(Some).collect();
    values.with_name(name.into()).into_column()
}
