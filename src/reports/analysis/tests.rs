//! Tests the definitions of the reports. Each report is counted and judged on a table that is small enough to check by hand.

mod attributes;
mod calibration;
mod definitions;
mod movement;
mod numbers;
mod retention;
mod summary;
mod survival;
mod trends;

use polars::prelude::*;

use super::*;
use crate::on_paper::{assert_shows, table};
use crate::{history, steps};
use archive::engine::{Input, Polars};
use domain::MonthSpan;

/// A cohort `tag:<letter>` that is named by its letter, observed at the month's end.
fn cohort(letter: &str, compared_month: Option<&str>) -> CohortFacts {
    CohortFacts {
        cohort_key: format!("tag:{letter}"),
        cohort_name: letter.to_uppercase(),
        cohort_kind: "tag".to_string(),
        cohort_id: letter.to_string(),
        basis: Basis::MonthEnd,
        observed_at: DateTime::UNIX_EPOCH,
        announced: None,
        compared_month: compared_month.map(month),
    }
}

fn month(text: &str) -> Month {
    text.parse().unwrap()
}

fn facts(of: &str, cohorts: Vec<CohortFacts>) -> Facts {
    Facts {
        month: month(of),
        cohorts,
        population: PopulationKind::Everyone,
        has_conversations: true,
        opened_at_least: Vec::new(),
        profile: Vec::new(),
        found: Vec::new(),
    }
}

/// The small tables that are made for each month.
fn small_tables(facts: &Facts) -> Vec<(&'static Table, DataFrame)> {
    let span = |month: Month| month.span(&domain::TimeZone::utc());
    let now: MonthSpan = span(facts.month);
    let cohorts = &facts.cohorts;
    let n = cohorts.len();
    let days =
        |name: &str, day: &dyn Fn(&CohortFacts) -> Option<NaiveDate>| Column::new(name.into(), cohorts.iter().map(day).collect::<Vec<_>>());
    let columns = vec![
        Column::new("cohort_key".into(), cohorts.iter().map(|cohort| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("knows_gone".into(), vec![facts.population == PopulationKind::Everyone; n]),
        days("month", &|_| Some(facts.first_day())),
        table::instants("month_end", cohorts.iter().map(|_| Some(now.end))),
        days("compared_month", &|cohort| cohort.compared_month.map(Month::first_day)),
    ];
    let this_month = vec![Column::new("month".into(), [facts.first_day()]), table::instants("month_end", [Some(now.end)].into_iter())];
    vec![(&steps::COHORTS, DataFrame::new(n, columns).unwrap()), (&steps::THIS_MONTH, DataFrame::new(1, this_month).unwrap())]
}

/// Runs the step of a table over these tables and the small ones.
fn counted(table: &'static Table, given: Vec<(&'static Table, DataFrame)>, facts: &Facts) -> DataFrame {
    let all = given.into_iter().chain(small_tables(facts)).map(|(table, rows)| Input::new(table, rows.lazy())).collect();
    let step = steps::STEPS.iter().find(|step| step.table.name == table.name).unwrap();
    Polars::over(all).unwrap().result(step).unwrap()
}

fn judge(report: &str, tables: &[DataFrame], facts: &Facts) -> DataFrame {
    Report::named(report).unwrap().judged(tables, facts).unwrap()
}

/// The rows in which this column has this text.
fn only(frame: &DataFrame, column: &str, text: &str) -> DataFrame {
    frame.clone().lazy().filter(col(column).eq(lit(text))).collect().unwrap()
}

/// The history's `counts`. Columns that are not written are null.
fn counts(written: DataFrame) -> DataFrame {
    let mut frame = written;
    for name in metrics::COUNTS {
        if frame.column(name).is_err() {
            frame.with_column(Column::full_null((*name).into(), frame.height(), &DataType::Int64)).unwrap();
        }
    }
    frame
}

/// Counts of consecutive months, all in the cohort's history.
fn months_in_a_row(letter: &str, first: &str, metrics: &[(&str, &[i64])]) -> DataFrame {
    let n = metrics[0].1.len();
    let months: Vec<NaiveDate> =
        std::iter::successors(Some(month(first)), |month| Some(month.next())).take(n).map(Month::first_day).collect();
    let mut columns = vec![
        Column::new("cohort_key".into(), vec![format!("tag:{letter}"); n]),
        Column::new("month".into(), months),
        Column::new("in_history".into(), vec![true; n]),
    ];
    columns.extend(metrics.iter().map(|(name, values)| Column::new((*name).into(), *values)));
    DataFrame::new(n, columns).unwrap()
}
