//! One row for each cohort and metric: its past values, its trend, and whether this month is unusual.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::metrics::{METRICS, Metric, RATES};
use super::rows::{days_of, flags};
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source, ratio};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use domain::{Basis, Month};
use stats::{self, Expectation, Interval, Measure};

const OUTSIDE: &str = "the basis is not month_end";
const TOO_FEW_FOR_INTERVAL: &str = "fewer than 6 earlier changes or values are known";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "cohort_trends",
        row: "a cohort and a metric: the counts and rates of cohort_summary that do not follow from others",
        key: &["month", "cohort_key", "metric"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("metric", Kind::Text, "the column of cohort_summary"),
            Entry::new("value", Kind::Ratio, "its value this month, in its own unit")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("it is null in cohort_summary, or the metric counts changes since a compared month that is not the month before"),
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
            Entry::new("moving_average_3", Kind::Ratio, "mean of this month and the two months before")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null("one of the three was not observed at its end"),
            Entry::new(
                "slope_per_month",
                Kind::Ratio,
                "Theil-Sen slope over the last 12 months: the median change per month over all pairs of months",
            )
            .in_unit("the metric's own, a month")
            .or_null("fewer than two months are known"),
            Entry::new(
                "trend_test",
                Kind::Text,
                "signed_rank (exact Wilcoxon test of the monthly changes) for stocks, which are mostly carried over from the month \
                 before; mann_kendall (tie- and continuity-corrected) for flows",
            )
            .one_of(&["signed_rank", "mann_kendall"]),
            Entry::new("trend_p", Kind::Ratio, "two-sided p of the test over the last 12 months")
                .in_unit("probability, 0 to 1")
                .or_null("too few months are known"),
            Entry::new("trend_q", Kind::Ratio, "trend_p after Benjamini and Hochberg, over the cohort's metrics")
                .in_unit("probability, 0 to 1")
                .or_null("trend_p is null"),
            Entry::new("direction", Kind::Text, "rising or falling if trend_q is below 0.05, else flat")
                .one_of(&["rising", "falling", "flat"])
                .or_null("fewer than 7 of the last 12 months are known"),
            Entry::new(
                "expected",
                Kind::Ratio,
                "the value expected from the earlier months: for a stock the previous value plus the mean of the earlier monthly changes, \
                 for a flow the mean of the earlier values",
            )
            .in_unit("the metric's own: contacts, conversations or a ratio")
            .or_null("too few earlier months are known"),
            Entry::new("expected_low", Kind::Ratio, "lower end of its 95 % prediction interval (Student's t)")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null(TOO_FEW_FOR_INTERVAL),
            Entry::new("expected_high", Kind::Ratio, "upper end of its 95 % prediction interval (Student's t)")
                .in_unit("the metric's own: contacts, conversations or a ratio")
                .or_null(TOO_FEW_FOR_INTERVAL),
            Entry::new("anomaly_p", Kind::Ratio, "two-sided p of a value this far from the expected one, by the same t")
                .in_unit("probability, 0 to 1")
                .or_null("value is null, or fewer than 12 earlier changes or values are known"),
            Entry::new("anomaly_q", Kind::Ratio, "anomaly_p after Benjamini and Hochberg, over all rows of the month's report")
                .in_unit("probability, 0 to 1")
                .or_null("anomaly_p is null"),
            Entry::new(
                "is_anomaly",
                Kind::Flag,
                "whether anomaly_q is below 0.05 and, for a count, the value is at least 10 away from the expected one; false for a \
                 return to the level before an odd month, and if it is unknown",
            ),
            Entry::new("history_months", Kind::Count, "months of the cohort's history, this one included")
                .in_unit("months")
                .or_null(OUTSIDE),
        ],
    },
    source: Source::Judged(&[&history::COUNTS], judge),
};

const DIRECTION_MONTHS: usize = 7;
const DIRECTION_Q: f64 = 0.05;
const ANOMALY_Q: f64 = 0.05;
/// A count is odd only if it differs from the expected count by at least this.
const ANOMALY_COUNT: f64 = 10.0;

/// The results for one metric of one cohort.
struct Trend<'a> {
    cohort: &'a CohortFacts,
    metric: &'static Metric,
    value: Option<f64>,
    previous_value: Option<f64>,
    change: Option<f64>,
    year_ago_value: Option<f64>,
    moving_average_3: Option<f64>,
    slope_per_month: Option<f64>,
    trend_p: Option<f64>,
    has_direction: bool,
    expectation: Option<Expectation>,
    /// Whether the value counts as odd if its p value is low.
    may_be_odd: bool,
    history_months: Option<i64>,
}

/// One cohort's metrics, in the order of [`METRICS`].
struct Observed {
    /// The values of each month of the cohort's history, by [`Month::index`].
    months: BTreeMap<i64, Vec<Option<f64>>>,
    /// The values of this month, also if it does not belong to the history.
    now: Vec<Option<f64>>,
}

impl Observed {
    /// A metric's values in the months of the history in which it has a value.
    fn known(&self, metric: usize) -> BTreeMap<i64, f64> {
        self.months.iter().filter_map(|(month, values)| Some((*month, values[metric]?))).collect()
    }
}

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let observed = observed(&tables[0], facts.month)?;
    let mut trends = Vec::new();
    for cohort in &facts.cohorts {
        let Some(observed) = observed.get(cohort.cohort_key.as_str()) else { continue };
        for (index, metric) in METRICS.iter().enumerate() {
            trends.push(trend(cohort, metric, facts.month.index(), observed.now[index], &observed.known(index), observed.months.len()));
        }
    }
    frame(facts, &trends)
}

/// The metrics of every month, by cohort.
fn observed(counts: &DataFrame, now: Month) -> PolarsResult<BTreeMap<String, Observed>> {
    let keys = counts.column("cohort_key")?.str()?;
    let months = days_of(counts, "month")?;
    let in_history = counts.column("in_history")?.bool()?;
    let column = |name: &str| -> PolarsResult<Vec<Option<i64>>> { Ok(counts.column(name)?.i64()?.iter().collect()) };
    let values = METRICS.iter().map(|metric| match RATES.iter().find(|rate| rate.name == metric.name) {
        Some(rate) => Ok(column(rate.part)?.into_iter().zip(column(rate.whole)?).map(|(part, whole)| ratio(part, whole)).collect()),
        None => Ok(column(metric.name)?.into_iter().map(|count| count.map(|count| count as f64)).collect()),
    });
    let values = values.collect::<PolarsResult<Vec<Vec<Option<f64>>>>>()?;
    let mut cohorts: BTreeMap<String, Observed> = BTreeMap::new();
    for row in 0..counts.height() {
        let cohort = cohorts
            .entry(keys.get(row).unwrap_or_default().to_string())
            .or_insert_with(|| Observed { months: BTreeMap::new(), now: vec![None; METRICS.len()] });
        let of_month: Vec<Option<f64>> = values.iter().map(|values| values[row]).collect();
        let month = Month::of(months[row]).index();
        if month == now.index() {
            cohort.now.clone_from(&of_month);
        }
        if in_history.get(row) == Some(true) {
            cohort.months.insert(month, of_month);
        }
    }
    for cohort in cohorts.values_mut() {
        cohort.remove_changes_over_gaps(now.index());
    }
    Ok(cohorts)
}

impl Observed {
    /// Removes each change whose compared month is not the month before: such a change covers several months.
    fn remove_changes_over_gaps(&mut self, now: i64) {
        let months: Vec<i64> = self.months.keys().copied().collect();
        let is_after_gap = |month: i64| months.binary_search(&(month - 1)).is_err();
        let of_now = is_after_gap(now).then_some(&mut self.now);
        let over_gaps = self.months.iter_mut().filter(|(month, _)| is_after_gap(**month)).map(|(_, values)| values);
        for values in over_gaps.chain(of_now) {
            for (value, _) in values.iter_mut().zip(METRICS).filter(|(_, metric)| metric.is_since_compared) {
                *value = None;
            }
        }
    }
}

/// `known`: the metric's values in the months of the history in which it has a value.
fn trend<'a>(
    cohort: &'a CohortFacts,
    metric: &'static Metric,
    now: i64,
    value: Option<f64>,
    known: &BTreeMap<i64, f64>,
    history_months: usize,
) -> Trend<'a> {
    let outside = Trend {
        cohort,
        metric,
        value,
        previous_value: None,
        change: None,
        year_ago_value: None,
        moving_average_3: None,
        slope_per_month: None,
        trend_p: None,
        has_direction: false,
        expectation: None,
        may_be_odd: false,
        history_months: None,
    };
    if cohort.basis != Basis::MonthEnd {
        return outside;
    }
    let at = |month: i64| known.get(&month).copied();
    let series: Vec<(i64, f64)> = known.iter().map(|(month, value)| (*month, *value)).collect();
    let trend = stats::trend(metric.measure, &series, now);
    let expectation = stats::expectation(metric.measure, &series, now);
    Trend {
        previous_value: cohort.compared_month.and_then(|month| at(month.index())),
        change: at(now).zip(at(now - 1)).map(|(now, before)| now - before),
        year_ago_value: at(now - 12),
        moving_average_3: at(now).zip(at(now - 1)).zip(at(now - 2)).map(|((a, b), c)| (c + b + a) / 3.0),
        slope_per_month: trend.slope_per_month,
        trend_p: trend.p_value,
        has_direction: trend.months >= DIRECTION_MONTHS,
        expectation,
        may_be_odd: may_be_odd(metric, &series, now, expectation),
        history_months: Some(history_months as i64),
        ..outside
    }
}

/// Whether an unlikely value may be reported as odd. If the metric is a count, the value must also differ from the expected one by at least
/// [`ANOMALY_COUNT`]. A stock is not odd if it lies in the interval that was expected for the month before: then it has only returned after
/// an odd month.
fn may_be_odd(metric: &Metric, series: &[(i64, f64)], now: i64, expectation: Option<Expectation>) -> bool {
    let Some((expectation, (_, value))) = expectation.zip(series.iter().find(|(month, _)| *month == now)) else { return false };
    let is_far = !metric.is_count() || (value - expectation.expected).abs() >= ANOMALY_COUNT;
    let is_back = || {
        let before = stats::expectation(metric.measure, series, now - 1).and_then(|before| before.interval);
        metric.measure == Measure::Stock && before.is_some_and(|usual| usual.low <= *value && *value <= usual.high)
    };
    is_far && !is_back()
}

/// A month in which a metric of a cohort was odd, by the same rule as `is_anomaly` in that month's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddMonth {
    pub cohort_key: String,
    pub month: Month,
    pub metric: &'static str,
}

/// All odd months of these metrics in the history up to `now`, from the history's `counts`.
///
/// # Errors
/// When a column is missing.
pub fn odd_months(counts: &DataFrame, now: Month, of: &[&str]) -> PolarsResult<Vec<OddMonth>> {
    // The p values of a month are corrected together, as in its report.
    let mut by_month: BTreeMap<i64, Vec<(OddMonth, Option<f64>, bool)>> = BTreeMap::new();
    for (cohort_key, observed) in observed(counts, now)? {
        for (index, metric) in METRICS.iter().enumerate() {
            let series: Vec<(i64, f64)> = observed.known(index).into_iter().collect();
            for month in observed.months.keys() {
                let expectation = stats::expectation(metric.measure, &series, *month);
                let odd = OddMonth { cohort_key: cohort_key.clone(), month: Month::from_index(*month), metric: metric.name };
                let may_be_odd = may_be_odd(metric, &series, *month, expectation);
                let p_value = expectation.and_then(|expectation| expectation.p_value);
                by_month.entry(*month).or_default().push((odd, p_value, may_be_odd));
            }
        }
    }
    let mut found = Vec::new();
    for months in by_month.into_values() {
        let q = stats::benjamini_hochberg(&months.iter().map(|(_, p, _)| *p).collect::<Vec<_>>());
        let is_odd = |(_, may_be_odd): (&OddMonth, bool), q: Option<f64>| may_be_odd && q.is_some_and(|q| q < ANOMALY_Q);
        for ((odd, _, may_be_odd), q) in months.into_iter().zip(q) {
            if of.contains(&odd.metric) && is_odd((&odd, may_be_odd), q) {
                found.push(odd);
            }
        }
    }
    Ok(found)
}

/// The values of each of these metrics, given as cohort and metric, over this many months up to `now`. `None` for a month that does not
/// belong to the cohort's history, or in which the metric has no value. Empty if there is no such cohort or metric.
///
/// # Errors
/// When a column is missing.
pub fn metric_series(counts: &DataFrame, now: Month, of: &[(&str, &str)], months: i64) -> PolarsResult<Vec<Vec<Option<f64>>>> {
    let observed = observed(counts, now)?;
    let series = |(cohort_key, metric): &(&str, &str)| {
        let (Some(cohort), Some(index)) = (observed.get(*cohort_key), METRICS.iter().position(|of| of.name == *metric)) else {
            return Vec::new();
        };
        let known = cohort.known(index);
        (now.index() - months + 1..=now.index()).map(|month| known.get(&month).copied()).collect()
    };
    Ok(of.iter().map(series).collect())
}

/// The interval expected for a metric of a cohort from the months before, as in that month's own report.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedMonth {
    pub cohort_key: String,
    pub month: Month,
    pub metric: &'static str,
    pub low: f64,
    pub high: f64,
}

/// All expected intervals of these metrics in the history up to `now`, from the history's `counts`.
///
/// # Errors
/// When a column is missing.
pub fn expected_months(counts: &DataFrame, now: Month, of: &[&str]) -> PolarsResult<Vec<ExpectedMonth>> {
    let mut found = Vec::new();
    for (cohort_key, observed) in observed(counts, now)? {
        for (index, metric) in METRICS.iter().enumerate().filter(|(_, metric)| of.contains(&metric.name)) {
            let series: Vec<(i64, f64)> = observed.known(index).into_iter().collect();
            for month in observed.months.keys() {
                let interval = stats::expectation(metric.measure, &series, *month).and_then(|expectation| expectation.interval);
                let (cohort_key, month) = (cohort_key.clone(), Month::from_index(*month));
                found.extend(interval.map(|Interval { low, high }| ExpectedMonth { cohort_key, month, metric: metric.name, low, high }));
            }
        }
    }
    Ok(found)
}

fn frame(facts: &Facts, trends: &[Trend<'_>]) -> PolarsResult<DataFrame> {
    let anomaly_p: Vec<Option<f64>> = trends.iter().map(|trend| trend.expectation.and_then(|expectation| expectation.p_value)).collect();
    let anomaly_q = stats::benjamini_hochberg(&anomaly_p);
    // The metrics of each cohort are one family of tests.
    let trend_q: Vec<Option<f64>> = trends
        .chunk_by(|a, b| a.cohort.cohort_key == b.cohort.cohort_key)
        .flat_map(|of_cohort| stats::benjamini_hochberg(&of_cohort.iter().map(|trend| trend.trend_p).collect::<Vec<_>>()))
        .collect();
    let direction = trends.iter().zip(&trend_q).map(|(trend, q)| match (trend.has_direction, q, trend.slope_per_month) {
        (false, ..) => None,
        (true, Some(q), Some(slope)) if *q < DIRECTION_Q && slope > 0.0 => Some("rising"),
        (true, Some(q), Some(slope)) if *q < DIRECTION_Q && slope < 0.0 => Some("falling"),
        _ => Some("flat"),
    });
    let is_anomaly: Vec<bool> =
        trends.iter().zip(&anomaly_q).map(|(trend, q)| trend.may_be_odd && q.is_some_and(|q| q < ANOMALY_Q)).collect();
    let share = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
        (Some(part), Some(whole)) if whole != 0.0 => Some(part / whole),
        _ => None,
    };
    let ratios = |name: &str, value: &dyn Fn(&Trend<'_>) -> Option<f64>| {
        Column::new(name.into(), trends.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let texts = |name: &str, value: &dyn Fn(&Trend<'_>) -> String| Column::new(name.into(), trends.iter().map(value).collect::<Vec<_>>());
    let test = |trend: &Trend<'_>| match trend.metric.measure {
        Measure::Stock => "signed_rank".to_string(),
        Measure::Flow => "mann_kendall".to_string(),
    };
    let since_a_year = |trend: &Trend<'_>| share(trend.value.zip(trend.year_ago_value).map(|(now, then)| now - then), trend.year_ago_value);
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); trends.len()]),
        texts("cohort_key", &|trend| trend.cohort.cohort_key.clone()),
        texts("cohort_name", &|trend| trend.cohort.cohort_name.clone()),
        texts("metric", &|trend| trend.metric.name.to_string()),
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
        Column::new("trend_q".into(), trend_q.clone()),
        Column::new("direction".into(), direction.collect::<Vec<Option<&str>>>()),
        ratios("expected", &|trend| Some(trend.expectation?.expected)),
        ratios("expected_low", &|trend| Some(trend.expectation?.interval?.low)),
        ratios("expected_high", &|trend| Some(trend.expectation?.interval?.high)),
        Column::new("anomaly_p".into(), anomaly_p),
        Column::new("anomaly_q".into(), anomaly_q),
        flags("is_anomaly", is_anomaly.into_iter()),
        Column::new("history_months".into(), trends.iter().map(|trend| trend.history_months).collect::<Vec<Option<i64>>>()),
    ];
    DataFrame::new(trends.len(), columns)
}

#[cfg(test)]
mod tests {
    use super::super::metrics::COUNTS;
    use super::*;

    #[test]
    fn each_month_has_the_interval_expected_from_the_months_before() {
        let members: [i64; 9] = [100, 104, 103, 109, 111, 118, 119, 300, 121];
        let first: Month = "2026-01".parse().unwrap();
        let months: Vec<Month> = (0..9).map(|after| Month::from_index(first.index() + after)).collect();
        let mut columns = vec![
            Column::new("cohort_key".into(), vec!["tag:1"; 9]),
            Column::new("month".into(), months.iter().map(|month| month.first_day()).collect::<Vec<_>>()),
            Column::new("in_history".into(), vec![true; 9]),
        ];
        columns.extend(COUNTS.iter().map(|name| Column::new((*name).into(), members)));
        let counts = DataFrame::new(9, columns).unwrap();
        let found = expected_months(&counts, months[8], &["members"]).unwrap();
        // An interval needs six earlier changes, so the eighth month is the first with an interval.
        assert_eq!(
            found.iter().map(|of| (of.cohort_key.as_str(), of.month)).collect::<Vec<_>>(),
            [("tag:1", months[7]), ("tag:1", months[8])]
        );
        let series: Vec<(i64, f64)> = months.iter().zip(members).map(|(month, members)| (month.index(), members as f64)).collect();
        let interval = stats::expectation(Measure::Stock, &series, months[7].index()).unwrap().interval.unwrap();
        assert_eq!((found[0].low, found[0].high), (interval.low, interval.high));
    }
}
