//! One row for each cohort, month of entry and age: how many entrants are members at that age.

use polars::prelude::*;

use super::rows::flags;
use super::triangle::triangles;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source, ratio};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use domain::Month;
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
    source: Source::Judged(&[&history::TRIANGLE], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let triangles = triangles(&tables[0])?;
    let of_cohort = |cohort: &CohortFacts| triangles.get(&cohort.cohort_key).map_or(Vec::new(), |triangle| triangle.cells.clone());
    let cells: Vec<(&CohortFacts, RetentionCell)> =
        facts.cohorts.iter().flat_map(|cohort| of_cohort(cohort).into_iter().map(move |cell| (cohort, cell))).collect();
    let counts = |name: &str, value: fn(&RetentionCell) -> u64| {
        Column::new(name.into(), cells.iter().map(|(_, cell)| value(cell) as i64).collect::<Vec<_>>())
    };
    let rates = |name: &str, value: &dyn Fn(&RetentionCell) -> Option<f64>| {
        Column::new(name.into(), cells.iter().map(|(_, cell)| value(cell)).collect::<Vec<Option<f64>>>())
    };
    let entry_month = |(_, cell): &(&CohortFacts, RetentionCell)| Month::from_index(cell.entry_month).first_day();
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); cells.len()]),
        Column::new("cohort_key".into(), cells.iter().map(|(cohort, _)| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), cells.iter().map(|(cohort, _)| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("entry_month".into(), cells.iter().map(entry_month).collect::<Vec<_>>()),
        flags("entry_is_censored", cells.iter().map(|(_, cell)| cell.entry_is_censored)),
        Column::new("age_months".into(), cells.iter().map(|(_, cell)| cell.age_months).collect::<Vec<_>>()),
        counts("entrants", |cell| cell.entrants),
        counts("retained", |cell| cell.retained),
        counts("retained_unbroken", |cell| cell.retained_unbroken),
        rates("retention_rate", &|cell| ratio(Some(cell.retained as i64), Some(cell.entrants as i64))),
        rates("rate_low", &|cell| Some(wilson(cell.retained, cell.entrants)?.low)),
        rates("rate_high", &|cell| Some(wilson(cell.retained, cell.entrants)?.high)),
    ];
    DataFrame::new(cells.len(), columns)
}
