//! One row for each cohort, month of entry and age: how many entrants are members at that age.

use std::collections::HashMap;

use polars::prelude::*;

use super::rows::flags;
use super::triangle::{self, triangles};
use super::{COHORT_KEY, COHORT_NAME, Facts, MONTH, Report, ratio};
use archive::table::{Column as Entry, Kind, Table};
use stats::{RetentionCell, wilson};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "retention",
        row: "a cohort, a month in which contacts entered it, and a number of months since; each month's report has all of these rows",
        key: &["month", "cohort_key", "entry_month", "age_months"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("entry_month", Kind::Day, "month in which the contacts were first seen in the cohort"),
            Entry::new(
                "entry_is_censored",
                Kind::Flag,
                "whether the month before is not in the cohort's history, so that it is unknown when they entered: true for its first \
                 month and the first after each gap",
            ),
            Entry::new("age_months", Kind::Count, "months since entry; months that were not observed at their end are left out")
                .in_unit("months"),
            Entry::new("entrants", Kind::Count, "contacts first seen in that month; in the first month, all members"),
            Entry::new("retained", Kind::Count, "entrants who are members at that age, with or without a break"),
            Entry::new("retained_unbroken", Kind::Count, "entrants who were members in every observed month up to that age"),
            Entry::new("retention_rate", Kind::Ratio, "retained / entrants, 0 to 1").or_null("there were no entrants"),
            Entry::new("rate_low", Kind::Ratio, "lower end of the rate's 95 % interval (Wilson)").or_null("there were no entrants"),
            Entry::new("rate_high", Kind::Ratio, "upper end of the rate's 95 % interval (Wilson)").or_null("there were no entrants"),
        ],
    },
    query: triangle::QUERY,
    judge,
};

fn judge(_: &Facts, rows: DataFrame) -> PolarsResult<DataFrame> {
    let keys = rows.column("cohort_key")?.str()?;
    let mut cells = triangles(&rows)?.into_iter().map(|(key, triangle)| (key, triangle.cells.into_iter())).collect::<HashMap<_, _>>();
    let cells: Vec<RetentionCell> = keys.iter().filter_map(|key| cells.get_mut(key.unwrap_or_default())?.next()).collect();
    let rates = |name: &str, value: &dyn Fn(&RetentionCell) -> Option<f64>| {
        Column::new(name.into(), cells.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let columns = [
        flags("entry_is_censored", cells.iter().map(|cell| cell.entry_is_censored)),
        Column::new("age_months".into(), cells.iter().map(|cell| cell.age_months).collect::<Vec<_>>()),
        rates("retention_rate", &|cell| ratio(Some(cell.retained as i64), Some(cell.entrants as i64))),
        rates("rate_low", &|cell| Some(wilson(cell.retained, cell.entrants)?.low)),
        rates("rate_high", &|cell| Some(wilson(cell.retained, cell.entrants)?.high)),
    ];
    rows.hstack(&columns)
}
