use std::collections::BTreeMap;

use super::intervals::Interval;
use super::student;
use super::trend::{mann_kendall, signed_rank, theil_sen};

/// Whether a metric is a stock or a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The number at the month's end, most of it carried over from the month before. The tests use the changes of a stock.
    Stock,
    /// The number of events within the month. The tests use the values of a flow.
    Flow,
}

/// The trend of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// How many of the last twelve months have a value.
    pub months: usize,
    /// The slope of Theil and Sen. None with fewer than two values.
    pub slope_per_month: Option<f64>,
    /// From the signed-rank test for a stock, and from Mann and Kendall's test for a flow. Both are two-sided. None when the test has no
    /// result.
    pub p_value: Option<f64>,
}

/// The value that is expected in a month, computed from the earlier months.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expectation {
    pub expected: f64,
    /// The 95 % prediction interval. None with fewer than six earlier values or changes.
    pub interval: Option<Interval>,
    /// The probability that a month like the earlier ones is at least as far from the expected value as this month, in either direction.
    /// None with fewer than twelve earlier values or changes, when these do not differ, and when this month has no value.
    pub p_value: Option<f64>,
}

/// The number of months of a trend, including the last one.
const WINDOW_MONTHS: i64 = 12;
const INTERVAL_SAMPLE_MIN: usize = 6;
const TEST_SAMPLE_MIN: usize = 12;
/// Because of rounding, equal changes of a share may differ in the last digits. A spread of up to this fraction of the largest value counts as
/// zero.
const ROUNDING: f64 = 1e-12;

/// The trend of the last twelve months up to `now`. The series has pairs of month and value, and months may be missing. The test of a
/// stock uses the changes from one of these months to the next, if both have a value.
pub fn trend(measure: Measure, series: &[(i64, f64)], now: i64) -> Trend {
    let first = now.saturating_sub(WINDOW_MONTHS - 1);
    let values: BTreeMap<i64, f64> = known(series).filter(|(month, _)| (first..=now).contains(month)).collect();
    let points: Vec<(f64, f64)> = values.iter().map(|(month, value)| ((month - first) as f64, *value)).collect();
    let sample: Vec<f64> = sample(measure, &values).into_values().collect();
    let p_value = match measure {
        Measure::Stock => signed_rank(&sample),
        Measure::Flow => mann_kendall(&sample),
    };
    Trend { months: points.len(), slope_per_month: theil_sen(&points), p_value }
}

/// The expected value of the month `now`, computed from the months before. For a stock, it is the value of the month before, plus the mean
/// of all earlier changes from one month to the next. For a flow, it is the mean of all earlier values. The interval is that of one more
/// normal observation, with s √(1 + 1/n) and t of n - 1 degrees of freedom (Hahn and Meeker 1991, Statistical intervals, 4.7). The test
/// uses the same t.
///
/// None without an earlier value or change. For a stock also none without a value of the month before. If the earlier values or changes do
/// not differ, the interval has no width.
pub fn expectation(measure: Measure, series: &[(i64, f64)], now: i64) -> Option<Expectation> {
    let values: BTreeMap<i64, f64> = known(series).filter(|(month, _)| *month <= now).collect();
    let base = match measure {
        Measure::Stock => *values.get(&now.checked_sub(1)?)?,
        Measure::Flow => 0.0,
    };
    let mut earlier = sample(measure, &values);
    let observed = earlier.remove(&now);

    let n = earlier.len() as f64;
    let mean = earlier.values().sum::<f64>() / n;
    let expected = base + mean;
    if !expected.is_finite() {
        return None;
    }
    let largest = values.values().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let deviation = (earlier.values().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let spread = if deviation <= ROUNDING * largest { 0.0 } else { deviation * (1.0 + 1.0 / n).sqrt() };
    let enough = |least: usize| (earlier.len() >= least && spread.is_finite()).then_some(());
    let interval = enough(INTERVAL_SAMPLE_MIN).and_then(|()| {
        let reach = student::reach_95(n - 1.0)? * spread;
        Some(Interval { low: (expected - reach).max(f64::MIN), high: (expected + reach).min(f64::MAX) })
    });
    let p_value = enough(TEST_SAMPLE_MIN).filter(|()| spread > 0.0).and_then(|()| student::two_sided((observed? - mean) / spread, n - 1.0));
    Some(Expectation { expected, interval, p_value })
}

fn known(series: &[(i64, f64)]) -> impl Iterator<Item = (i64, f64)> {
    series.iter().copied().filter(|(_, value)| value.is_finite())
}

/// The numbers by month from which mean and interval are computed: the values of a flow, or the changes of a stock from the month before.
fn sample(measure: Measure, values: &BTreeMap<i64, f64>) -> BTreeMap<i64, f64> {
    match measure {
        Measure::Flow => values.clone(),
        Measure::Stock => {
            let change = |(month, value): (&i64, &f64)| Some((*month, value - values.get(&month.checked_sub(1)?)?));
            values.iter().filter_map(change).filter(|(_, change)| change.is_finite()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, assert_p, rows};

    fn months(values: &[f64]) -> Vec<(i64, f64)> {
        (1..).zip(values.iter().copied()).collect()
    }

    #[test]
    fn a_flow_by_hand() {
        // Mean 4, s² = (9 + 4 + 1 + 1 + 4 + 9) / 5 = 5.6, t(5) = 2.570581835636305, reach t √(5.6 · 7/6).
        let series = months(&[1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 100.0]);
        let found = expectation(Measure::Flow, &series, 7).unwrap();
        let Interval { low, high } = found.interval.unwrap();
        let reach = 2.570_581_835_636_305 * (5.6_f64 * 7.0 / 6.0).sqrt();
        assert_eq!((found.expected, found.p_value), (4.0, None));
        assert_close(low, 4.0 - reach, "low");
        assert_close(high, 4.0 + reach, "high");
        // The month itself and later months have no influence.
        assert_eq!(expectation(Measure::Flow, &series[..6], 7), Some(found));
        assert_eq!(expectation(Measure::Flow, &[&series[..], &[(8, 3.0)]].concat(), 7), Some(found));
        assert_eq!(expectation(Measure::Flow, &series, 6).unwrap().interval, None, "five earlier values");
    }

    #[test]
    fn a_stock_is_expected_to_change_as_before() {
        // The changes of 10, 12, 13, 19 are 2, 1 and 6. Their mean is 3, so 19 + 3 is expected.
        let series = months(&[10.0, 12.0, 13.0, 19.0, 0.0]);
        assert_eq!(expectation(Measure::Stock, &series, 5).unwrap().expected, 22.0);
        assert_eq!(expectation(Measure::Stock, &series, 2), None, "no earlier change");
        // A change over a gap is not a change of one month. It is not among the earlier changes, and no value is expected after a gap.
        let gap = [(1, 10.0), (2, 12.0), (4, 50.0), (5, 51.0), (7, 60.0)];
        assert_eq!(expectation(Measure::Stock, &gap, 6).unwrap().expected, 52.5);
        assert_eq!(expectation(Measure::Stock, &gap, 7), None);
        assert_eq!(expectation(Measure::Flow, &gap, 7).unwrap().expected, 30.75);
    }

    #[test]
    fn a_return_to_the_usual_value_is_expected() {
        let usual = |month: i64| 60.0 + (month * month % 11) as f64;
        let mut series: Vec<(i64, f64)> = (1..=24).map(|month| (month, usual(month))).collect();
        series[22].1 = 600.0;
        let p = |now| expectation(Measure::Flow, &series, now).unwrap().p_value.unwrap();
        assert!(p(23) < 1e-9, "{}", p(23));
        assert!(p(24) > 0.5, "{}", p(24));
    }

    #[test]
    fn months_that_do_not_differ_test_nothing() {
        // The steps of 0.1, 0.2, … are equal, but rounding makes their last digits differ.
        let shares: Vec<f64> = (1..=20).map(|month| f64::from(month) / 10.0).collect();
        for (measure, series, expected) in [(Measure::Flow, vec![7.0; 20], 7.0), (Measure::Stock, shares, 2.0)] {
            let found = expectation(measure, &months(&series), 20).unwrap();
            assert_close(found.expected, expected, "expected");
            assert_eq!(found.interval, Some(Interval { low: found.expected, high: found.expected }));
            assert_eq!(found.p_value, None);
        }
    }

    #[test]
    fn a_trend_sees_twelve_months() {
        // The values rise for twelve months after a steep fall. One month is missing.
        let series: Vec<(i64, f64)> =
            (1..=24_i64).map(|month| (month, (month - 13).abs() as f64)).filter(|(month, _)| *month != 20).collect();
        for (measure, p_value) in
            [(Measure::Stock, signed_rank(&[1.0; 9])), (Measure::Flow, mann_kendall(&(0..11).map(f64::from).collect::<Vec<_>>()))]
        {
            assert_eq!(trend(measure, &series, 24), Trend { months: 11, slope_per_month: Some(1.0), p_value });
        }
        assert_eq!(trend(Measure::Stock, &series, 60), Trend { months: 0, slope_per_month: None, p_value: None });
    }

    #[test]
    fn odd_numbers_give_numbers_or_nothing() {
        let odd = [f64::NAN, f64::MAX, f64::MIN, f64::INFINITY, 0.0, f64::MAX, f64::MIN, 1.0, 5e-324];
        let series: Vec<(i64, f64)> = (1..=20).map(|month| (month, odd[month as usize % odd.len()])).collect();
        for measure in [Measure::Stock, Measure::Flow] {
            for now in [i64::MIN, 0, 1, 5, 13, 20, 21, i64::MAX] {
                let found = expectation(measure, &series, now);
                assert!(found.is_none_or(|found| found.expected.is_finite()));
                assert!(
                    found
                        .and_then(|found| found.interval)
                        .is_none_or(|Interval { low, high }| low <= high && low.is_finite() && high.is_finite())
                );
                assert!(found.and_then(|found| found.p_value).is_none_or(|p| (0.0..=1.0).contains(&p)));
                assert!(trend(measure, &series, now).slope_per_month.is_none_or(f64::is_finite));
            }
            assert_eq!(expectation(measure, &[], 3), None);
        }
    }

    #[test]
    fn agrees_with_statsmodels_and_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/expectation.csv")) {
            let measure = if row.text("measure") == "stock" { Measure::Stock } else { Measure::Flow };
            let months = row.numbers("months").into_iter().map(|month| month as i64);
            let series: Vec<(i64, f64)> = months.zip(row.numbers("values")).collect();
            let found = expectation(measure, &series, row.count("now") as i64).unwrap();
            assert_close(found.expected, row.number("expected"), row.case());
            assert_eq!(found.interval.map(|_| ()), row.optional("low").map(|_| ()), "{}", row.case());
            if let Some(Interval { low, high }) = found.interval {
                assert_close(low, row.number("low"), row.case());
                assert_close(high, row.number("high"), row.case());
            }
            assert_eq!(found.p_value.is_some(), row.optional("p_value").is_some(), "{}", row.case());
            if found.p_value.is_some() {
                assert_p(found.p_value, row.optional("p_value"), row.case());
            }
        }
    }
}
