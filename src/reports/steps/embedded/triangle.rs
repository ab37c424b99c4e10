//! The step `triangle`.

use std::collections::HashMap;

use polars::prelude::*;

use super::super::tables::{COHORTS, TRIANGLE_BEFORE};
use super::columns::Days;
use super::ledger::{Cohort, Ledger};
use crate::history::{COUNTS, LEDGER, TRIANGLE};
use archive::engine::Polars;
use archive::table::in_order;

/// Gives the rows of triangle.sql.
pub(super) fn triangle(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let ledger = Ledger::read(tables.table(LEDGER.name)?)?;
    let counts = tables.table(COUNTS.name)?;
    let (keys, months) = (counts.column("cohort_key")?.str()?, counts.column("month")?.date()?);
    let in_history = counts.column("in_history")?.bool()?;
    let mut months_of: HashMap<&str, Vec<i32>> = HashMap::new();
    for ((key, month), in_history) in keys.iter().zip(months.physical().iter()).zip(in_history.iter()) {
        if let (Some(key), Some(month), Some(true)) = (key, month, in_history) {
            months_of.entry(key).or_default().push(month);
        }
    }
    let (mut of_keys, mut entry_month, mut observed_month) = (Vec::new(), Days::with_capacity(0), Days::with_capacity(0));
    let (mut retained, mut unbroken) = (Vec::new(), Vec::new());
    for cohort in cohorts.iter().filter(|cohort| cohort.in_history) {
        let mut present: HashMap<i32, (i64, i64)> = HashMap::new();
        for row in ledger.runs.get(cohort.key).cloned().unwrap_or_default().filter(|row| ledger.last_month[*row] == cohort.month) {
            let (all, since) = present.entry(ledger.entered_month[row]).or_default();
            *all += 1;
            *since += i64::from(ledger.spell_start[row] == ledger.entered_month[row]);
        }
        for month in months_of.get(cohort.key).into_iter().flatten() {
            let (all, since) = present.get(month).copied().unwrap_or_default();
            of_keys.push(cohort.key);
            entry_month.push(Some(*month));
            observed_month.push(Some(cohort.month));
            retained.push(all);
            unbroken.push(since);
        }
    }
    let mut rows = DataFrame::new(
        of_keys.len(),
        vec![
            Column::new("cohort_key".into(), of_keys),
            entry_month.column("entry_month")?,
            observed_month.column("observed_month")?,
            Column::new("retained".into(), retained),
            Column::new("retained_unbroken".into(), unbroken),
        ],
    )?;
    rows.vstack_mut(tables.table(TRIANGLE_BEFORE.name)?)?;
    in_order(rows, &TRIANGLE)
}
