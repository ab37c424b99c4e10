//! One row a cohort, month of entry and age: how many of those who entered are still, or again, members.

use std::collections::HashSet;

use polars::prelude::*;

use super::rows::{counts_of, days_of, flags};
use super::{COHORT_KEY, COHORT_NAME, Facts, MONTH, Report};
use crate::domain::Month;
use crate::stats::wilson;
use crate::table::{Column as Entry, Kind, Query, Table};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "retention",
        row: "a cohort, a month in which contacts entered it, and a number of months since; each month holds all of them",
        key: &["month", "cohort_key", "entry_month", "age_months"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("entry_month", Kind::Day, "month in which the contacts were first seen in the cohort"),
            Entry::new(
                "entry_is_censored",
                Kind::Flag,
                "whether the month before is not in the cohort's history, so that nobody knows when they entered: its first month, and \
                 the first after each gap",
            ),
            Entry::new("age_months", Kind::Count, "months since entry; months that were not observed at their end are left out")
                .in_unit("months"),
            Entry::new("entrants", Kind::Count, "contacts first seen in that month; in the first month, everyone there"),
            Entry::new("retained", Kind::Count, "those of them who are members at that age, after a break or without"),
            Entry::new("retained_unbroken", Kind::Count, "those who were members in every observed month up to that age"),
            Entry::new("retention_rate", Kind::Ratio, "retained / entrants, 0 to 1").or_null("there were no entrants"),
            Entry::new("rate_low", Kind::Ratio, "lower end of the rate's 95 % interval (Wilson)").or_null("there were no entrants"),
            Entry::new("rate_high", Kind::Ratio, "upper end of the rate's 95 % interval (Wilson)").or_null("there were no entrants"),
        ],
    },
    query: Query { name: "analysis/retention.sql", sql: include_str!("retention.sql") },
    judge,
};

fn judge(_: &Facts, rows: DataFrame) -> PolarsResult<DataFrame> {
    let (entered, observed) = (days_of(&rows, "entry_month")?, days_of(&rows, "observed_month")?);
    let (entrants, retained) = (counts_of(&rows, "entrants")?, counts_of(&rows, "retained")?);
    let ages: Vec<i64> =
        entered.iter().zip(&observed).map(|(entered, observed)| Month::of(*observed).index() - Month::of(*entered).index()).collect();
    // Each month of a cohort's history is a month of entry here.
    let keys = rows.column("cohort_key")?.str()?;
    let history: HashSet<(Option<&str>, i64)> = keys.iter().zip(&entered).map(|(key, month)| (key, Month::of(*month).index())).collect();
    let is_censored = keys.iter().zip(&entered).map(|(key, month)| !history.contains(&(key, Month::of(*month).index() - 1)));
    let intervals: Vec<_> = retained.iter().zip(&entrants).map(|(part, whole)| wilson(*part as u64, *whole as u64)).collect();
    let rate = retained.iter().zip(&entrants).map(|(part, whole)| super::ratio(Some(*part), Some(*whole)));
    let columns = [
        flags("entry_is_censored", is_censored),
        Column::new("age_months".into(), ages),
        Column::new("retention_rate".into(), rate.collect::<Vec<_>>()),
        Column::new("rate_low".into(), intervals.iter().map(|interval| interval.map(|interval| interval.low)).collect::<Vec<_>>()),
        Column::new("rate_high".into(), intervals.iter().map(|interval| interval.map(|interval| interval.high)).collect::<Vec<_>>()),
    ];
    rows.hstack(&columns)
}
