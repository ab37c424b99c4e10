use std::iter::repeat_n;

use super::location::median;
use super::normal::two_sided;

/// The median of the slopes between all pairs of points with different x, in y per x: Theil (1950) and Sen (1968), Estimates
/// of the regression coefficient based on Kendall's tau, JASA 63:1379-1389. None without such a pair.
pub fn theil_sen(points: &[(f64, f64)]) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let mut slopes = Vec::new();
    for (i, (x1, y1)) in points.iter().enumerate() {
        for (x2, y2) in points.iter().skip(i + 1) {
            // Both differences are halved, which leaves the slope the same: the difference of two finite values may be infinite.
            let (run, rise) = (x2 / 2.0 - x1 / 2.0, y2 / 2.0 - y1 / 2.0);
            if run != 0.0 {
                slopes.push((rise / run).clamp(f64::MIN, f64::MAX));
            }
        }
    }
    median(&slopes)
}

/// The maximum number of changes: fifty years of monthly changes. The time of the test grows with the third power of the number of changes.
const MOST_CHANGES: usize = 600;

/// The signed-rank test of Wilcoxon (1945), Individual comparisons by ranking methods, Biometrics 1:80-83: whether changes are symmetric
/// about zero. It is exact, because it counts all combinations of signs. Ties get mid-ranks (Pratt and Gibbons 1981, Concepts of
/// nonparametric theory, 3.7). Zeros are dropped. The p-value is two-sided: twice the smaller tail, and at most 1.
///
/// The p-value is 1 when all changes are zero. None without changes, or with more than 600 that are not zero.
pub fn signed_rank(changes: &[f64]) -> Option<f64> {
    let mut changes: Vec<f64> = changes.iter().copied().filter(|change| change.is_finite()).collect();
    if changes.is_empty() {
        return None;
    }
    changes.retain(|change| *change != 0.0);
    if changes.len() > MOST_CHANGES {
        return None;
    }
    changes.sort_by(|a, b| a.abs().total_cmp(&b.abs()));

    // Ranks are doubled, so that mid-ranks are whole numbers. `chances` has the probability of each sum of the ranks of positive changes.
    let (mut chances, mut observed, mut below) = (vec![1.0], 0, 0);
    for tied in changes.chunk_by(|a, b| a.abs() == b.abs()) {
        let rank = 2 * below + tied.len() + 1;
        below += tied.len();
        for change in tied {
            let negative = chances.iter().copied().chain(repeat_n(0.0, rank));
            let positive = repeat_n(0.0, rank).chain(chances.iter().copied());
            chances = negative.zip(positive).map(|(negative, positive)| (negative + positive) / 2.0).collect();
            observed += if *change > 0.0 { rank } else { 0 };
        }
    }
    let at_most: f64 = chances.iter().take(observed + 1).sum();
    let at_least: f64 = chances.iter().skip(observed).sum();
    Some((2.0 * at_most.min(at_least)).min(1.0))
}

/// Whether values in order of time rise or fall: Mann (1945), Nonparametric tests against trend, Econometrica 13:245-259,
/// with the normal approximation of Kendall (1975), Rank correlation methods, corrected for ties and continuity. Two-sided.
///
/// The p-value is 1 when all values are equal. None with fewer than two values. Two values always give 1.
pub fn mann_kendall(values: &[f64]) -> Option<f64> {
    let mut values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if values.len() < 2 {
        return None;
    }
    let later = |i| values.iter().skip(i + 1);
    let score: i64 = values.iter().enumerate().map(|(i, a)| later(i).map(|b| i64::from(b > a) - i64::from(b < a)).sum::<i64>()).sum();

    values.sort_by(f64::total_cmp);
    let tied: u128 = values.chunk_by(|a, b| a == b).map(|tied| eighteen_variances(tied.len())).sum();
    let variance = (eighteen_variances(values.len()) - tied) as f64 / 18.0;
    if variance == 0.0 {
        return Some(1.0);
    }
    Some(two_sided(score.unsigned_abs().saturating_sub(1) as f64 / variance.sqrt()))
}

/// 18 times the variance of the score of `count` values without ties. It is also what `count` tied values subtract from 18 times the
/// variance of all values.
fn eighteen_variances(count: usize) -> u128 {
    let n = count as u128;
    n * n.saturating_sub(1) * (2 * n + 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, assert_p, rows};

    #[test]
    fn slopes_by_hand() {
        // The slopes of (0, 0), (1, 1), (2, 4) are 1, 2 and 3. A second point at x = 2, (2, 10), adds the slopes 5 and 9. Two points at the
        // same x have no slope.
        assert_eq!(theil_sen(&[(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)]), Some(2.0));
        assert_eq!(theil_sen(&[(0.0, 0.0), (1.0, 1.0), (2.0, 4.0), (2.0, 10.0)]), Some(3.0));
        assert_eq!(theil_sen(&[(5.0, 1.0), (3.0, 5.0)]), Some(-2.0));
    }

    #[test]
    fn no_slope_without_two_places() {
        assert_eq!(theil_sen(&[]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0)]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(theil_sen(&[(1.0, 1.0), (f64::NAN, 2.0), (3.0, f64::INFINITY)]), None);
        assert_eq!(theil_sen(&[(f64::MIN, f64::MIN), (f64::MAX, f64::MAX)]), Some(1.0));
        assert_eq!(theil_sen(&[(0.0, f64::MIN), (1e-300, f64::MAX)]), Some(f64::MAX));
    }

    #[test]
    fn signs_by_hand() {
        // The ranks are 1, 2 and 3, and all signs are positive. This is one of 8 patterns of signs, and p is twice 1/8.
        assert_eq!(signed_rank(&[1.0, 2.0, 3.0]), Some(0.25));
        // The positive ranks of -1, 2, 3, 4 have the sum 9. The sums 9 and 10 have one pattern each of the 16 patterns of signs, and p is
        // twice 2/16.
        assert_eq!(signed_rank(&[2.0, -1.0, 4.0, 3.0]), Some(0.25));
        // The ranks are 1.5, 1.5 and 3, and the positive ranks have the sum 4.5. Three of 8 patterns have this sum or more: 6, 4.5 and 4.5.
        assert_eq!(signed_rank(&[1.0, -1.0, 0.0, 5.0]), Some(0.75));
        // If all seven changes are positive, p is 2 / 128. No other signs give a smaller p.
        assert_eq!(signed_rank(&[1.0; 7]), Some(0.015625));
        assert_eq!(signed_rank(&[2.0, -2.0]), Some(1.0));
    }

    #[test]
    fn signs_of_odd_changes() {
        assert_eq!(signed_rank(&[]), None);
        assert_eq!(signed_rank(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(signed_rank(&[0.0, -0.0]), Some(1.0));
        assert_eq!(signed_rank(&[1.0, f64::NAN, 2.0, 3.0]), Some(0.25));
        assert_eq!(signed_rank(&[1.0; 601]), None);
        assert!(signed_rank(&[1.0; 600]).is_some_and(|p| p > 0.0 && p < 1e-179), "2 / 2^600");
    }

    #[test]
    fn kendall_by_hand() {
        // 1, 2, 3, 4: S = 6, variance 4 · 3 · 13 / 18 = 26/3, z = 5 / √(26/3) = 1.698415551216894.
        assert_close(mann_kendall(&[1.0, 2.0, 3.0, 4.0]).unwrap(), two_sided(1.698_415_551_216_894), "up");
        assert_eq!(mann_kendall(&[4.0, 3.0, 2.0, 1.0]), mann_kendall(&[1.0, 2.0, 3.0, 4.0]));
        // 1, 1, 2, 3: S = 5, variance (4 · 3 · 13 - 2 · 1 · 9) / 18 = 23/3, z = 4 / √(23/3) = 1.444630237029230.
        assert_close(mann_kendall(&[1.0, 1.0, 2.0, 3.0]).unwrap(), two_sided(1.444_630_237_029_23), "tied");
    }

    #[test]
    fn kendall_of_odd_values() {
        assert_eq!(mann_kendall(&[]), None);
        assert_eq!(mann_kendall(&[1.0, f64::NAN]), None);
        assert_eq!(mann_kendall(&[1.0, 2.0]), Some(1.0));
        assert_eq!(mann_kendall(&[3.0; 5]), Some(1.0));
        assert_eq!(mann_kendall(&[0.0, -0.0, 0.0]), Some(1.0));
        assert_eq!(mann_kendall(&[1.0, f64::INFINITY, 2.0, 3.0, f64::NAN, 4.0]), mann_kendall(&[1.0, 2.0, 3.0, 4.0]));
    }

    #[test]
    fn agrees_with_scipy_and_pymannkendall() {
        for row in rows(include_str!("../../tests/golden/stats/theil_sen.csv")) {
            let points: Vec<(f64, f64)> = row.numbers("x").into_iter().zip(row.numbers("y")).collect();
            assert_close(theil_sen(&points).unwrap(), row.number("slope"), row.case());
        }
        for row in rows(include_str!("../../tests/golden/stats/signed_rank.csv")) {
            assert_p(signed_rank(&row.numbers("changes")), row.optional("p_value"), row.case());
        }
        for row in rows(include_str!("../../tests/golden/stats/mann_kendall.csv")) {
            assert_p(mann_kendall(&row.numbers("values")), row.optional("p_value"), row.case());
        }
    }
}
