//! The retention triangle of each cohort: the entrants of each month of its history, in each later month of the history. It
//! is the only input of all reports about retention.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use polars::prelude::*;

use super::rows::{counts_of, days_of};
use domain::Month;
use stats::RetentionCell;

/// The triangle of one cohort.
#[derive(Clone, Debug, Default)]
pub(super) struct Triangle {
    pub cells: Vec<RetentionCell>,
    /// The months of the cohort's history, by [`Month::index`].
    pub months: Vec<i64>,
}

/// The triangles by cohort, from the rows of [`TRIANGLE`](crate::history::TRIANGLE). The cells are in the order of the rows.
pub(super) fn triangles(rows: &DataFrame) -> PolarsResult<BTreeMap<String, Triangle>> {
    let keys = rows.column("cohort_key")?.str()?;
    let (entered, observed) = (days_of(rows, "entry_month")?, days_of(rows, "observed_month")?);
    let (retained, unbroken) = (counts_of(rows, "retained")?, counts_of(rows, "retained_unbroken")?);
    // In the month of entry, all entrants are members, so the number of members is the number of entrants.
    let entry_rows = keys.iter().enumerate().filter(|(row, _)| entered[*row] == observed[*row]);
    let entrants: HashMap<_, i64> = entry_rows.map(|(row, key)| ((key, entered[row]), retained[row])).collect();
    // The rows have each month of a cohort's history as a month of entry, so the months of entry are the months of the history.
    let mut months: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for (key, month) in keys.iter().zip(&entered) {
        months.entry(key.unwrap_or_default()).or_default().insert(Month::of(*month).index());
    }
    let mut all: BTreeMap<String, Triangle> = BTreeMap::new();
    for (key, of_history) in &months {
        all.insert((*key).to_string(), Triangle { cells: Vec::new(), months: of_history.iter().copied().collect() });
    }
    for (row, key) in keys.iter().enumerate() {
        let Some(entrants) = entrants.get(&(key, entered[row])) else { continue };
        let key = key.unwrap_or_default();
        let entry_month = Month::of(entered[row]).index();
        let of_history = months.get(key);
        let cell = RetentionCell {
            entry_month,
            age_months: Month::of(observed[row]).index() - entry_month,
            // If the month before is not in the history, its members are unknown.
            entry_is_censored: of_history.is_none_or(|months| !months.contains(&(entry_month - 1))),
            entrants: entrants.unsigned_abs(),
            retained: retained[row].unsigned_abs(),
            retained_unbroken: unbroken[row].unsigned_abs(),
        };
        if let Some(triangle) = all.get_mut(key) {
            triangle.cells.push(cell);
        }
    }
    Ok(all)
}
