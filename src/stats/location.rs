/// The quantile `q`, by linear interpolation between the two nearest values: type 7 of Hyndman and
/// Fan (1996), Sample quantiles in statistical packages, Am. Stat. 50:361-365, the default of NumPy and R.
///
/// `tallies` are values with their counts, ascending. None without values, or with `q` outside 0..=1.
pub fn quantile(tallies: impl Iterator<Item = (f64, u64)> + Clone, q: f64) -> Option<f64> {
    let tallies = counted(tallies);
    let last = total(tallies.clone()).checked_sub(1)?;
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let value_at = |rank: u128| {
        let mut seen = 0;
        tallies.clone().find_map(|(value, count)| {
            seen += u128::from(count);
            (rank < seen).then_some(value)
        })
    };
    let position = last as f64 * q;
    let rank = (position as u128).min(last);
    let (low, high) = (value_at(rank)?, value_at((rank + 1).min(last))?);
    // A weighted mean, because the difference of two finite values may be infinite.
    let part = position - position.floor();
    Some((low * (1.0 - part) + high * part).max(low).min(high))
}

/// The mean of values with their counts: the sum in the given order, divided by the sum of the counts. None without values.
pub fn mean(tallies: impl Iterator<Item = (f64, u64)> + Clone) -> Option<f64> {
    let tallies = counted(tallies);
    let count = total(tallies.clone()) as f64;
    if count == 0.0 {
        return None;
    }
    let mean = tallies.clone().map(|(value, times)| value * times as f64).sum::<f64>() / count;
    if mean.is_finite() {
        return Some(mean);
    }
    // The sum is too large for f64, though the mean is not.
    let mean = tallies.map(|(value, times)| value * (times as f64 / count)).sum::<f64>();
    Some(mean.clamp(f64::MIN, f64::MAX))
}

/// The middle value, or the mean of the two in the middle. The values may be in any order. None without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
    Some(f64::midpoint(*values.get(low)?, *values.get(high)?))
}

fn counted(tallies: impl Iterator<Item = (f64, u64)> + Clone) -> impl Iterator<Item = (f64, u64)> + Clone {
    tallies.filter(|(value, count)| value.is_finite() && *count > 0)
}

fn total(tallies: impl Iterator<Item = (f64, u64)>) -> u128 {
    tallies.map(|(_, count)| u128::from(count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, rows};

    fn once(values: &[f64]) -> impl Iterator<Item = (f64, u64)> + Clone {
        values.iter().map(|value| (*value, 1))
    }

    #[test]
    fn quantiles_by_hand() {
        // The values are 1, 2, 2, 2, 10. The position is 4 · 0.9 = 3.6, so the quantile is 2 + 0.6 · (10 - 2) = 6.8.
        let tallies = [(1.0, 1), (2.0, 3), (10.0, 1)];
        let quantile = |q| quantile(tallies.into_iter(), q);
        assert_close(quantile(0.9).unwrap(), 6.8, "p90");
        assert_eq!([0.0, 0.5, 1.0].map(quantile), [Some(1.0), Some(2.0), Some(10.0)]);
        assert_eq!([-0.1, 1.1, f64::NAN].map(quantile), [None; 3]);
    }

    #[test]
    fn means_by_hand() {
        // (1 + 3 · 2 + 10) / 5 = 3.4.
        assert_close(mean([(1.0, 1), (2.0, 3), (10.0, 1)].into_iter()).unwrap(), 3.4, "mean");
        assert_eq!(mean([(1.0, 0), (f64::NAN, 1)].into_iter()), None);
        assert_eq!(mean([(1.0, 1), (f64::INFINITY, 1), (3.0, 1)].into_iter()), Some(2.0));
        // These sums are too large for f64.
        assert_eq!(mean([(f64::MAX, u64::MAX)].into_iter()), Some(f64::MAX));
        assert_eq!(mean([(f64::MAX, 2), (f64::MIN, 2)].into_iter()), Some(0.0));
        assert_close(mean([(1e308, 3), (-1e308, 1)].into_iter()).unwrap(), 5e307, "three to one");
    }

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(median(&[9.0, f64::NAN, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[9.0, 1.0, 4.0, 5.0]), Some(4.5));
        assert_eq!(median(&[f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn extremes_give_numbers() {
        let extremes = [f64::NEG_INFINITY, f64::MIN, -1.0, 0.0, f64::MAX, f64::INFINITY, f64::NAN];
        for q in [0.0, 0.1, 0.5, 0.9, 1.0] {
            assert!(quantile(once(&extremes), q).unwrap().is_finite());
            assert!(quantile([(1.0, u64::MAX), (2.0, u64::MAX)].into_iter(), q).is_some());
        }
        assert_eq!(quantile(once(&[]), 0.5), None);
        assert_eq!(quantile([(1.0, 0)].into_iter(), 0.5), None);
    }

    #[test]
    fn agrees_with_numpy_and_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/location.csv")) {
            let tallies: Vec<(f64, u64)> = row.tallies("tallies").into_iter().map(|tally| (tally[0], tally[1] as u64)).collect();
            for (q, column) in [(0.1, "p10"), (0.5, "median"), (0.9, "p90"), (0.975, "p975")] {
                assert_close(quantile(tallies.iter().copied(), q).unwrap(), row.number(column), row.case());
            }
            assert_close(mean(tallies.iter().copied()).unwrap(), row.number("mean"), row.case());
            let values: Vec<f64> = tallies.iter().rev().flat_map(|(value, count)| std::iter::repeat_n(*value, *count as usize)).collect();
            assert_close(median(&values).unwrap(), row.number("median"), row.case());
        }
    }
}
