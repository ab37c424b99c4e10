//! One row for each cohort: do newer entrants stay longer than earlier ones?

use polars::prelude::*;

use super::triangle::{self, triangles};
use super::{COHORT_KEY, COHORT_NAME, Facts, MONTH, Report, Source};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use stats::{LogRank, RetentionChange, benjamini_hochberg, retention_change};

const TOO_FEW: &str = "fewer than 10 departures among recent or earlier entrants";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "retention_change",
        row: "a cohort: whether its recent entrants stay longer than its earlier ones. Recent: entered in the last 3 months of its history before this month",
        key: &["month", "cohort_key"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("recent_entrants", Kind::Count, "contacts that entered in the last 3 months before this one, whose entry is known"),
            Entry::new("earlier_entrants", Kind::Count, "contacts that entered before, whose entry is known"),
            Entry::new("recent_departed", Kind::Count, "first departures of recent entrants"),
            Entry::new(
                "recent_expected",
                Kind::Ratio,
                "first departures of recent entrants that are expected if both groups have the same hazard at each age",
            )
            .in_unit("contacts"),
            Entry::new(
                "hazard_ratio",
                Kind::Ratio,
                "hazard of recent entrants / hazard of earlier ones; below 1, newer entrants stay longer",
            )
            .in_unit("ratio")
            .or_null(TOO_FEW),
            Entry::new("ratio_low", Kind::Ratio, "lower end of its 95 % interval (Peto)").in_unit("ratio").or_null(TOO_FEW),
            Entry::new("ratio_high", Kind::Ratio, "upper end of its 95 % interval (Peto)").in_unit("ratio").or_null(TOO_FEW),
            Entry::new("p_value", Kind::Ratio, "two-sided log-rank test, hypergeometric variance")
                .in_unit("probability, 0 to 1")
                .or_null(TOO_FEW),
            Entry::new("q_value", Kind::Ratio, "p_value after Benjamini and Hochberg, over all rows of the month's report")
                .in_unit("probability, 0 to 1")
                .or_null(TOO_FEW),
        ],
    },
    source: Source::Judged(&[&history::TRIANGLE], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let triangles = triangles(&tables[0])?;
    let none = triangle::Triangle::default();
    let changes: Vec<RetentionChange> = facts
        .cohorts
        .iter()
        .map(|cohort| triangles.get(&cohort.cohort_key).unwrap_or(&none))
        .map(|triangle| retention_change(&triangle.cells, &triangle.months, facts.month.index()))
        .collect();
    let counts = |name: &str, value: fn(&RetentionChange) -> u64| {
        Column::new(name.into(), changes.iter().map(|change| value(change) as i64).collect::<Vec<_>>())
    };
    let of_test = |name: &str, value: fn(&LogRank) -> f64| {
        Column::new(name.into(), changes.iter().map(|change| change.test.as_ref().map(value)).collect::<Vec<Option<f64>>>())
    };
    let p: Vec<Option<f64>> = changes.iter().map(|change| change.test.map(|test| test.p_value)).collect();
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); changes.len()]),
        Column::new("cohort_key".into(), facts.cohorts.iter().map(|cohort| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), facts.cohorts.iter().map(|cohort| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        counts("recent_entrants", |change| change.recent_entrants),
        counts("earlier_entrants", |change| change.earlier_entrants),
        counts("recent_departed", |change| change.recent_departed),
        Column::new("recent_expected".into(), changes.iter().map(|change| change.recent_expected).collect::<Vec<_>>()),
        of_test("hazard_ratio", |test| test.hazard_ratio),
        of_test("ratio_low", |test| test.interval.low),
        of_test("ratio_high", |test| test.interval.high),
        Column::new("q_value".into(), benjamini_hochberg(&p)),
        Column::new("p_value".into(), p),
    ];
    DataFrame::new(changes.len(), columns)
}
