//! One row for each cohort and duration: how long entrants stay. This is the product-limit estimate in discrete time over first
//! spells. It is computed only from the retention triangle.

use polars::prelude::*;

use super::triangle::triangles;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use stats::{LifeTableRow, life_table, person_months};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "membership_survival",
        row: "a cohort and a number k of months since entry, from 1 up to the longest that was observed",
        key: &["month", "cohort_key", "duration_months"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("duration_months", Kind::Count, "k, months since the one in which they entered").in_unit("months"),
            Entry::new(
                "at_risk",
                Kind::Count,
                "contacts whose entry is known and that are members without a break k - 1 months after it, if that month and the next \
                 are both in the history",
            ),
            Entry::new("departed", Kind::Count, "contacts at risk that are no members at k months, also deleted or merged ones"),
            Entry::new(
                "censored",
                Kind::Count,
                "contacts at risk that are still members at k months, if the month after is not in the history",
            ),
            Entry::new(
                "resumed",
                Kind::Count,
                "contacts at risk whose month before k - 1 is not in the history: they are counted again from this age on",
            ),
            Entry::new("hazard", Kind::Ratio, "departed / at_risk, 0 to 1"),
            Entry::new(
                "survival",
                Kind::Ratio,
                "share of entrants still members after k months, without a break: the product of 1 - hazard",
            ),
            Entry::new("survival_low", Kind::Ratio, "lower end of its 95 % interval (Rothman-Wilson)"),
            Entry::new("survival_high", Kind::Ratio, "upper end of its 95 % interval (Rothman-Wilson)"),
        ],
    },
    source: Source::Judged(&[&history::TRIANGLE], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let triangles = triangles(&tables[0])?;
    let of_cohort = |cohort: &CohortFacts| {
        triangles.get(&cohort.cohort_key).map_or(Vec::new(), |triangle| life_table(&person_months(&triangle.cells, &triangle.months)))
    };
    let rows: Vec<(&CohortFacts, LifeTableRow)> =
        facts.cohorts.iter().flat_map(|cohort| of_cohort(cohort).into_iter().map(move |row| (cohort, row))).collect();
    let counts = |name: &str, value: fn(&LifeTableRow) -> u64| {
        Column::new(name.into(), rows.iter().map(|(_, row)| value(row) as i64).collect::<Vec<_>>())
    };
    let shares =
        |name: &str, value: fn(&LifeTableRow) -> f64| Column::new(name.into(), rows.iter().map(|(_, row)| value(row)).collect::<Vec<_>>());
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|(cohort, _)| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|(cohort, _)| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("duration_months".into(), rows.iter().map(|(_, row)| row.duration_months).collect::<Vec<_>>()),
        counts("at_risk", |row| row.counts.at_risk),
        counts("departed", |row| row.counts.departed),
        counts("censored", |row| row.counts.censored),
        counts("resumed", |row| row.counts.resumed),
        shares("hazard", |row| row.hazard),
        shares("survival", |row| row.survival),
        shares("survival_low", |row| row.interval.low),
        shares("survival_high", |row| row.interval.high),
    ];
    DataFrame::new(rows.len(), columns)
}
