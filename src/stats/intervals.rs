use super::normal::Z_95;

/// The ends of a 95 % interval, in the unit of the estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// The score interval of a share, both ends in 0..=1, without continuity correction: Wilson (1927), Probable inference,
/// the law of succession, and statistical inference, JASA 22:209-212. None without trials, or with more successes than trials.
pub fn wilson(successes: u64, trials: u64) -> Option<Interval> {
    if trials == 0 || successes > trials {
        return None;
    }
    Some(score(successes as f64, (trials - successes) as f64, trials as f64))
}

/// Wilson's interval for successes and failures that need not be whole numbers. Their sum is `n`, which is over 0.
pub(super) fn score(successes: f64, failures: f64, n: f64) -> Interval {
    let (s, f, z2) = (successes, failures, Z_95 * Z_95);
    // The ends solve (n + z²) p² - (2s + z²) p + s²/n = 0. The lower end is the product of both ends divided by the upper end, because the
    // difference in the usual formula loses the digits of a small share.
    let high = (2.0 * s + z2 + Z_95 * (z2 + 4.0 * s * (f / n)).sqrt()) / (2.0 * (n + z2));
    let low = s * (s / n) / ((n + z2) * high);
    Interval { low: low.clamp(0.0, 1.0), high: high.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, rows};

    #[test]
    fn half_of_four_by_hand() {
        // z² = 3.841458820694124. The centre is (2 + z²/2) / (4 + z²) = 1/2, and half the width is
        // z √(2 · 2/4 + z²/4) / (4 + z²) = 1.959963984540054 · √1.960364705173531 / 7.841458820694124 = 0.34996101084785.
        let interval = wilson(2, 4).unwrap();
        assert_close(interval.low, 0.5 - 0.349_961_010_847_85, "low");
        assert_close(interval.high, 0.5 + 0.349_961_010_847_85, "high");
    }

    #[test]
    fn the_ends_are_reached() {
        let Interval { low, high } = wilson(0, 10).unwrap();
        // z² / (10 + z²) = 3.841458820694124 / 13.841458820694124 = 0.277532799862889.
        assert_eq!(low, 0.0);
        assert_close(high, 0.277_532_799_862_889, "high");
        let Interval { low, high } = wilson(10, 10).unwrap();
        assert_close(low, 1.0 - 0.277_532_799_862_889, "low");
        assert_eq!(high, 1.0);
    }

    #[test]
    fn nothing_is_said_without_trials() {
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(2, 1), None);
        for successes in [0, 1, u64::MAX / 2, u64::MAX] {
            let Interval { low, high } = wilson(successes, u64::MAX).unwrap();
            assert!(0.0 <= low && low <= high && high <= 1.0, "{successes}");
        }
    }

    #[test]
    fn agrees_with_statsmodels() {
        for row in rows(include_str!("../../tests/golden/stats/wilson.csv")) {
            let interval = wilson(row.count("successes"), row.count("trials")).unwrap();
            assert_close(interval.low, row.number("low"), row.case());
            assert_close(interval.high, row.number("high"), row.case());
        }
    }
}
