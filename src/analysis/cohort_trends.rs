//! One row a cohort and metric: where it comes from, where it goes, and whether this month is out of the ordinary.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::metrics::{COUNTS, RATES, STOCKS};
use super::rows::{days_of, flags};
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, ratio};
use crate::domain::{Basis, Month};
use crate::stats;
use crate::table::{Column as Entry, Kind, Query, Table};

const OUTSIDE: &str = "the basis is not month_end";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "cohort_trends",
        row: "a cohort and a metric: each count and rate of cohort_summary",
        key: &["month", "cohort_key", "metric"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("metric", Kind::Text, "the column of cohort_summary"),
            Entry::new("value", Kind::Ratio, "its value this month, in its own unit")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("it is null in cohort_summary"),
            Entry::new("previous_value", Kind::Ratio, "its value in the compared month, the nearest earlier one observed at its end")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("there is none, or it was null"),
            Entry::new("change", Kind::Ratio, "value - previous_value")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("the compared month is not the month before"),
            Entry::new("change_rate", Kind::Ratio, "change / previous_value; 0.1 is ten per cent more")
                .in_unit("ratio")
                .or_null("change is null, or previous_value is 0"),
            Entry::new("year_ago_value", Kind::Ratio, "its value twelve months before")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("that month was not observed at its end"),
            Entry::new("year_rate", Kind::Ratio, "(value - year_ago_value) / year_ago_value")
                .in_unit("ratio")
                .or_null("year_ago_value is null or 0"),
            Entry::new("moving_average_3", Kind::Ratio, "mean of this month and the two before")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("one of the three was not observed at its end"),
            Entry::new("slope_per_month", Kind::Ratio, "Theil-Sen slope over the last 12 months: the median of all pairs' changes a month")
                .in_unit("the metric's own, a month")
                .or_null("fewer than two months are known"),
            Entry::new(
                "trend_test",
                Kind::Text,
                "signed_rank (exact Wilcoxon test of the monthly changes) for what is mostly carried over from the month before; \
                 mann_kendall (tie- and continuity-corrected) for the rest",
            ),
            Entry::new("trend_p", Kind::Ratio, "two-sided p of the test over the last 12 months")
                .in_unit("probability, 0 to 1")
                .or_null("too few months are known"),
            Entry::new("trend_q", Kind::Ratio, "trend_p after Benjamini and Hochberg, over all rows of the month's report")
                .in_unit("probability, 0 to 1")
                .or_null("trend_p is null"),
            Entry::new("direction", Kind::Text, "rising or falling where trend_q is below 0.05, flat otherwise")
                .or_null("fewer than 7 of the last 12 months are known"),
            Entry::new("robust_z", Kind::Ratio, "0.6745 x (change - median) / MAD, of all earlier monthly changes")
                .in_unit("standard deviations of the usual changes")
                .or_null("change is null, or the earlier changes hardly differ (MAD is 0)"),
            Entry::new(
                "is_anomaly",
                Kind::Flag,
                "whether |robust_z| > 3.5 with 13 months of history and, for counts, a change of at least 10; false where it cannot be told",
            ),
            Entry::new("history_months", Kind::Count, "months of the cohort's history, this one included")
                .in_unit("months")
                .or_null(OUTSIDE),
        ],
    },
    query: Query { name: "analysis/cohort_trends.sql", sql: include_str!("cohort_trends.sql") },
    judge,
};

/// A slope and its test look so many months back, this one included.
const WINDOW_MONTHS: i64 = 12;
const DIRECTION_MONTHS: usize = 7;
const DIRECTION_Q: f64 = 0.05;
const ANOMALY_Z: f64 = 3.5;
const ANOMALY_MONTHS: usize = 13;
const ANOMALY_CHANGE: f64 = 10.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    SignedRank,
    MannKendall,
}

/// What is judged of one metric of one cohort.
struct Trend<'a> {
    cohort: &'a CohortFacts,
    metric: &'static str,
    value: Option<f64>,
    previous_value: Option<f64>,
    change: Option<f64>,
    year_ago_value: Option<f64>,
    moving_average_3: Option<f64>,
    slope_per_month: Option<f64>,
    test: Test,
    trend_p: Option<f64>,
    has_direction: bool,
    robust_z: Option<f64>,
    is_anomaly: bool,
    history_months: Option<i64>,
}

/// One cohort's history: for each of its months, this one included when it belongs to it, the metrics.
struct Observed {
    months: BTreeMap<i64, Vec<Option<f64>>>,
    /// This month's, whether it belongs to the history or not.
    now: Vec<Option<f64>>,
}

fn judge(facts: &Facts, counts: DataFrame) -> PolarsResult<DataFrame> {
    let observed = observed(&counts, facts.month)?;
    let mut trends = Vec::new();
    for cohort in &facts.cohorts {
        let Some(observed) = observed.get(cohort.cohort_key.as_str()) else { continue };
        for (index, metric) in metrics().enumerate() {
            let months: BTreeMap<i64, f64> = observed.months.iter().filter_map(|(month, values)| Some((*month, values[index]?))).collect();
            trends.push(trend(cohort, metric, facts.month.index(), observed.now[index], &months, observed.months.len()));
        }
    }
    frame(facts, &trends)
}

fn metrics() -> impl Iterator<Item = &'static str> {
    COUNTS.iter().copied().chain(RATES.iter().map(|rate| rate.name))
}

/// The counts and rates of every month, by cohort.
fn observed(counts: &DataFrame, now: Month) -> PolarsResult<BTreeMap<String, Observed>> {
    let keys = counts.column("cohort_key")?.str()?;
    let months = days_of(counts, "month")?;
    let in_history = counts.column("in_history")?.bool()?;
    let column = |name: &str| -> PolarsResult<Vec<Option<i64>>> { Ok(counts.column(name)?.i64()?.iter().collect()) };
    let all = COUNTS.iter().map(|name| column(name)).collect::<PolarsResult<Vec<_>>>()?;
    let rates = RATES.iter().map(|rate| Ok((column(rate.part)?, column(rate.whole)?))).collect::<PolarsResult<Vec<_>>>()?;
    let mut cohorts: BTreeMap<String, Observed> = BTreeMap::new();
    for row in 0..counts.height() {
        let counted = all.iter().map(|values| values[row].map(|count| count as f64));
        let values: Vec<Option<f64>> = counted.chain(rates.iter().map(|(part, whole)| ratio(part[row], whole[row]))).collect();
        let cohort = cohorts
            .entry(keys.get(row).unwrap_or_default().to_string())
            .or_insert_with(|| Observed { months: BTreeMap::new(), now: vec![None; values.len()] });
        let month = Month::of(months[row]).index();
        if month == now.index() {
            cohort.now.clone_from(&values);
        }
        if in_history.get(row) == Some(true) {
            cohort.months.insert(month, values);
        }
    }
    Ok(cohorts)
}

/// `known`: the metric's values in the months of the history in which it has one.
fn trend<'a>(
    cohort: &'a CohortFacts,
    metric: &'static str,
    now: i64,
    value: Option<f64>,
    known: &BTreeMap<i64, f64>,
    history_months: usize,
) -> Trend<'a> {
    let test = if STOCKS.contains(&metric) { Test::SignedRank } else { Test::MannKendall };
    let outside = Trend {
        cohort,
        metric,
        value,
        previous_value: None,
        change: None,
        year_ago_value: None,
        moving_average_3: None,
        slope_per_month: None,
        test,
        trend_p: None,
        has_direction: false,
        robust_z: None,
        is_anomaly: false,
        history_months: None,
    };
    if cohort.basis != Basis::MonthEnd {
        return outside;
    }
    let at = |month: i64| known.get(&month).copied();
    let previous_value = cohort.compared_month.and_then(|month| at(month.index()));
    let change_at = |month: i64| Some(at(month)? - at(month - 1)?);
    let change = change_at(now);
    let (robust_z, is_anomaly) = oddness(metric, now, known, history_months);

    let window = now - WINDOW_MONTHS + 1..=now;
    let points: Vec<(f64, f64)> = known.range(window.clone()).map(|(month, value)| ((*month - now) as f64, *value)).collect();
    let trend_p = match test {
        Test::SignedRank => stats::signed_rank(&window.skip(1).filter_map(change_at).collect::<Vec<_>>()),
        Test::MannKendall => stats::mann_kendall(&points.iter().map(|(_, value)| *value).collect::<Vec<_>>()),
    };
    Trend {
        previous_value,
        change,
        year_ago_value: at(now - 12),
        moving_average_3: at(now).zip(at(now - 1)).zip(at(now - 2)).map(|((a, b), c)| (c + b + a) / 3.0),
        slope_per_month: stats::theil_sen(&points),
        trend_p,
        has_direction: points.len() >= DIRECTION_MONTHS,
        robust_z,
        is_anomaly,
        history_months: Some(history_months as i64),
        ..outside
    }
}

/// How far a month's change is from the changes before it, and whether that is out of the ordinary.
fn oddness(metric: &str, now: i64, known: &BTreeMap<i64, f64>, history_months: usize) -> (Option<f64>, bool) {
    let change_at = |month: i64| Some(known.get(&month)? - known.get(&(month - 1))?);
    let is_count = COUNTS.contains(&metric);
    // Changes of a rate that are the same on paper differ in their last digits, and would have a MAD of next to nothing.
    let on_paper = |change: f64| if is_count { change } else { (change * 1e12).round() / 1e12 };
    let earlier: Vec<f64> = known.range(..now).filter_map(|(month, _)| change_at(*month)).map(on_paper).collect();
    let change = change_at(now);
    let robust_z = change.and_then(|change| stats::robust_z(on_paper(change), &earlier));
    let is_large = !is_count || change.is_some_and(|change| change.abs() >= ANOMALY_CHANGE);
    (robust_z, is_large && history_months >= ANOMALY_MONTHS && robust_z.is_some_and(|z| z.abs() > ANOMALY_Z))
}

/// A month in which a metric of a cohort was out of the ordinary, as that month's own report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddMonth {
    pub cohort_key: String,
    pub month: Month,
    pub metric: &'static str,
}

/// All of them in the history up to `now`, of these metrics, from the history's `counts`.
///
/// # Errors
/// When a column is missing.
pub fn odd_months(counts: &DataFrame, now: Month, of: &[&str]) -> PolarsResult<Vec<OddMonth>> {
    let mut odd = Vec::new();
    for (cohort_key, observed) in observed(counts, now)? {
        for (index, metric) in metrics().enumerate().filter(|(_, metric)| of.contains(metric)) {
            let known: BTreeMap<i64, f64> = observed.months.iter().filter_map(|(month, values)| Some((*month, values[index]?))).collect();
            for (before, month) in observed.months.keys().enumerate() {
                if oddness(metric, *month, &known, before + 1).1 {
                    odd.push(OddMonth { cohort_key: cohort_key.clone(), month: Month::from_index(*month), metric });
                }
            }
        }
    }
    Ok(odd)
}

fn frame(facts: &Facts, trends: &[Trend<'_>]) -> PolarsResult<DataFrame> {
    let q = stats::benjamini_hochberg(&trends.iter().map(|trend| trend.trend_p).collect::<Vec<_>>());
    let direction = trends.iter().zip(&q).map(|(trend, q)| match (trend.has_direction, q, trend.slope_per_month) {
        (false, ..) => None,
        (true, Some(q), Some(slope)) if *q < DIRECTION_Q && slope > 0.0 => Some("rising"),
        (true, Some(q), Some(slope)) if *q < DIRECTION_Q && slope < 0.0 => Some("falling"),
        _ => Some("flat"),
    });
    let share = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
        (Some(part), Some(whole)) if whole != 0.0 => Some(part / whole),
        _ => None,
    };
    let ratios = |name: &str, value: &dyn Fn(&Trend<'_>) -> Option<f64>| {
        Column::new(name.into(), trends.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let texts = |name: &str, value: &dyn Fn(&Trend<'_>) -> String| Column::new(name.into(), trends.iter().map(value).collect::<Vec<_>>());
    let test = |trend: &Trend<'_>| match trend.test {
        Test::SignedRank => "signed_rank".to_string(),
        Test::MannKendall => "mann_kendall".to_string(),
    };
    let since_a_year = |trend: &Trend<'_>| share(trend.value.zip(trend.year_ago_value).map(|(now, then)| now - then), trend.year_ago_value);
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); trends.len()]),
        texts("cohort_key", &|trend| trend.cohort.cohort_key.clone()),
        texts("cohort_name", &|trend| trend.cohort.cohort_name.clone()),
        texts("metric", &|trend| trend.metric.to_string()),
        ratios("value", &|trend| trend.value),
        ratios("previous_value", &|trend| trend.previous_value),
        ratios("change", &|trend| trend.change),
        ratios("change_rate", &|trend| share(trend.change, trend.previous_value)),
        ratios("year_ago_value", &|trend| trend.year_ago_value),
        ratios("year_rate", &since_a_year),
        ratios("moving_average_3", &|trend| trend.moving_average_3),
        ratios("slope_per_month", &|trend| trend.slope_per_month),
        texts("trend_test", &test),
        ratios("trend_p", &|trend| trend.trend_p),
        Column::new("trend_q".into(), q.clone()),
        Column::new("direction".into(), direction.collect::<Vec<Option<&str>>>()),
        ratios("robust_z", &|trend| trend.robust_z),
        flags("is_anomaly", trends.iter().map(|trend| trend.is_anomaly)),
        Column::new("history_months".into(), trends.iter().map(|trend| trend.history_months).collect::<Vec<Option<i64>>>()),
    ];
    DataFrame::new(trends.len(), columns)
}
