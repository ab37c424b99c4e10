//! One row for each cohort and age: how many of all entrants are members at that age.

use polars::prelude::*;

use super::triangle::triangles;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source, ratio};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use stats::{RetentionCurvePoint, retention_curve};

const NO_ENTRANTS: &str = "there were no entrants";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "retention_curve",
        row: "a cohort and an age (months since entry); the counts are summed over all entry months that are not censored and were observed at this age",
        key: &["month", "cohort_key", "age_months"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("age_months", Kind::Count, "months since entry").in_unit("months"),
            Entry::new("entry_months", Kind::Count, "months of entry in this row: those whose entrants were observed at that age")
                .in_unit("months of entry"),
            Entry::new("entrants", Kind::Count, "contacts that entered in those months"),
            Entry::new("retained", Kind::Count, "entrants who are members at that age, with or without a break"),
            Entry::new("retained_unbroken", Kind::Count, "entrants who were members in every observed month up to that age"),
            Entry::new("retention_rate", Kind::Ratio, "retained / entrants, 0 to 1").or_null(NO_ENTRANTS),
            Entry::new("rate_low", Kind::Ratio, "lower end of the rate's 95 % interval (Wilson)").or_null(NO_ENTRANTS),
            Entry::new("rate_high", Kind::Ratio, "upper end of the rate's 95 % interval (Wilson)").or_null(NO_ENTRANTS),
        ],
    },
    source: Source::Judged(&[&history::TRIANGLE], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let triangles = triangles(&tables[0])?;
    let of_cohort =
        |cohort: &CohortFacts| triangles.get(&cohort.cohort_key).map_or(Vec::new(), |triangle| retention_curve(&triangle.cells));
    let points: Vec<(&CohortFacts, RetentionCurvePoint)> =
        facts.cohorts.iter().flat_map(|cohort| of_cohort(cohort).into_iter().map(move |point| (cohort, point))).collect();
    let counts = |name: &str, value: fn(&RetentionCurvePoint) -> u64| {
        Column::new(name.into(), points.iter().map(|(_, point)| value(point) as i64).collect::<Vec<_>>())
    };
    let ends = |name: &str, value: fn(&RetentionCurvePoint) -> Option<f64>| {
        Column::new(name.into(), points.iter().map(|(_, point)| value(point)).collect::<Vec<Option<f64>>>())
    };
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); points.len()]),
        Column::new("cohort_key".into(), points.iter().map(|(cohort, _)| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), points.iter().map(|(cohort, _)| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("age_months".into(), points.iter().map(|(_, point)| point.age_months).collect::<Vec<_>>()),
        counts("entry_months", |point| point.entry_months),
        counts("entrants", |point| point.entrants),
        counts("retained", |point| point.retained),
        counts("retained_unbroken", |point| point.retained_unbroken),
        ends("retention_rate", |point| ratio(Some(point.retained as i64), Some(point.entrants as i64))),
        ends("rate_low", |point| Some(point.interval?.low)),
        ends("rate_high", |point| Some(point.interval?.high)),
    ];
    DataFrame::new(points.len(), columns)
}
