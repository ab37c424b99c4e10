use super::conditional::exact_p;
use super::intervals::Interval;
use super::normal::{Z_95, two_sided, two_sided_quantile};
use super::tables::TwoByTwo;

/// A ratio of members to others. Above 1, the value is more common among members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub ratio: f64,
    /// The standard error of the ratio's logarithm. None when the ratio is 0.
    pub log_error: Option<f64>,
}

impl Ratio {
    /// The ratio whose 95 % interval begins at `low`. None when `ratio` or `low` is not over 0, or when `low` is over the ratio.
    pub fn from_low(ratio: f64, low: f64) -> Option<Ratio> {
        let is_interval = 0.0 < low && low <= ratio && ratio.is_finite();
        is_interval.then(|| Ratio { ratio, log_error: Some((ratio / low).ln() / Z_95) })
    }

    /// The 95 % interval, computed for the logarithm.
    pub fn interval(&self) -> Option<Interval> {
        let reach = (Z_95 * self.log_error?).exp();
        Some(Interval { low: self.ratio / reach, high: (self.ratio * reach).min(f64::MAX) })
    }

    /// The lower end of the two-sided interval at level 1 - `alpha`. None for an invalid `alpha`.
    pub fn low_at(&self, alpha: f64) -> Option<f64> {
        Some(self.ratio / (two_sided_quantile(alpha)? * self.log_error?).exp())
    }
}

/// The share of members with the value, divided by the share of others with it, as a common ratio over the strata: Mantel and Haenszel
/// (1959), Statistical aspects of the analysis of data from retrospective studies, JNCI 22:719-748, for shares by Tarone (1981). The error
/// is that of Greenland and Robins (1985), Estimation of a common effect parameter from sparse follow-up data, Biometrics 41:55-68. With
/// one stratum it is the plain ratio, with the interval of Katz et al. (1978).
///
/// When all contacts have the value, or none has it, a half is added to each cell of each stratum. None when a group is empty. Also none
/// when no other contact with the value can be compared.
pub fn risk_ratio(strata: &[TwoByTwo]) -> Option<Ratio> {
    let (mut members, mut others, mut spread) = (0.0, 0.0, 0.0);
    for [a, b, c, d] in cells(strata)? {
        let (row, other_row, all) = (a + b, c + d, a + b + c + d);
        members += a * (other_row / all);
        others += c * (row / all);
        // This is (row · other_row · (a + c) - a · c · all) / all², computed without a difference.
        spread += a * (row / all) * (d / all) + c * (other_row / all) * (b / all);
    }
    ratio(members, others, spread / members / others)
}

/// The common odds ratio of the strata: Mantel and Haenszel (1959). The error is that of Robins, Breslow and
/// Greenland (1986), Estimators of the Mantel-Haenszel variance consistent in both sparse data and large-strata limiting models,
/// Biometrics 42:311-323. With one stratum it is the plain ratio, with the interval of Woolf (1955).
///
/// When all contacts have the value, or none has it, a half is added to each cell of each stratum. None when a group is empty. Also none
/// when no member without the value can be compared with another contact that has it.
pub fn odds_ratio(strata: &[TwoByTwo]) -> Option<Ratio> {
    let (mut agree, mut differ) = (0.0, 0.0);
    let (mut of_agree, mut of_both, mut of_differ) = (0.0, 0.0, 0.0);
    for [a, b, c, d] in cells(strata)? {
        let all = a + b + c + d;
        let (p, q) = ((a + d) / all, (b + c) / all);
        let (r, s) = (a * (d / all), b * (c / all));
        agree += r;
        differ += s;
        of_agree += p * r;
        of_both += p * s + q * r;
        of_differ += q * s;
    }
    let variance = of_agree / agree / agree / 2.0 + of_both / agree / differ / 2.0 + of_differ / differ / differ / 2.0;
    ratio(agree, differ, variance)
}

fn ratio(above: f64, below: f64, variance: f64) -> Option<Ratio> {
    let ratio = above / below;
    ratio.is_finite().then(|| Ratio { ratio, log_error: (ratio > 0.0 && variance.is_finite()).then(|| variance.max(0.0).sqrt()) })
}

/// The p-value for the hypothesis that the groups are alike in each stratum. It comes from the χ² test of Cochran (1954), Some methods for
/// strengthening the common χ² tests, Biometrics 10:417-451, and Mantel and Haenszel (1959), without continuity correction. If the expected
/// count of a cell, summed over the strata, is under 5, the p-value comes from the exact conditional test.
///
/// The p-value is 1 when no stratum is informative. None when a group is empty.
pub fn association(strata: &[TwoByTwo]) -> Option<f64> {
    Pooled::of(strata)?;
    let (mut difference, mut variance) = (0.0, 0.0);
    let mut expected = [0.0; 4];
    for table in strata {
        let Some(margins) = table.margins() else { continue };
        let [members, others, with, without, total] =
            [margins.members, margins.others, margins.with, margins.without, margins.total].map(|count| count as f64);
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let (ad, bc) = (product(table.members_with, table.others_without), product(table.members_without, table.others_with));
        // The difference a - members · with / total is equal to (ad - bc) / total, and ad - bc is exact.
        let distance = ad.abs_diff(bc) as f64 / total;
        difference += if ad < bc { -distance } else { distance };
        variance += members / total * (others / total) * with * (without / (total - 1.0));
        for (sum, (group, part)) in expected.iter_mut().zip([(members, with), (members, without), (others, with), (others, without)]) {
            *sum += group * part / total;
        }
    }
    if variance <= 0.0 {
        return Some(1.0);
    }
    // Rounding may make a sum of 5 slightly less.
    let is_sparse = expected.iter().any(|count| *count < 5.0 - 1e-11);
    Some(if is_sparse { exact_p(strata) } else { two_sided(difference / variance.sqrt()) })
}

/// The sums over all strata.
struct Pooled {
    with: u128,
    without: u128,
}

impl Pooled {
    /// None when a group is empty, and when the total exceeds u64.
    fn of(strata: &[TwoByTwo]) -> Option<Pooled> {
        let sum = |cell: fn(&TwoByTwo) -> u64| strata.iter().map(|table| u128::from(cell(table))).sum::<u128>();
        let [a, b, c, d] = [
            sum(|table| table.members_with),
            sum(|table| table.members_without),
            sum(|table| table.others_with),
            sum(|table| table.others_without),
        ];
        let is_counted = a + b + c + d <= u128::from(u64::MAX);
        (is_counted && a + b > 0 && c + d > 0).then_some(Pooled { with: a + c, without: b + d })
    }
}

/// The cells of the strata. If all contacts have the value, or none has it, a half is added to each cell of each stratum. Otherwise empty
/// strata are left out. None when a group is empty.
fn cells(strata: &[TwoByTwo]) -> Option<impl Iterator<Item = [f64; 4]>> {
    let pooled = Pooled::of(strata)?;
    let shift = if pooled.with == 0 || pooled.without == 0 { 0.5 } else { 0.0 };
    let of = move |table: &TwoByTwo| {
        [table.members_with, table.members_without, table.others_with, table.others_without].map(|cell| cell as f64 + shift)
    };
    Some(strata.iter().map(of).filter(|cells| cells.iter().sum::<f64>() > 0.0))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::draws::binomial;
    use crate::golden::{Row, assert_close, assert_p, rows};

    fn table([members_with, members_without, others_with, others_without]: [u64; 4]) -> TwoByTwo {
        TwoByTwo { members_with, members_without, others_with, others_without }
    }

    fn strata_of(row: &Row) -> Vec<TwoByTwo> {
        row.tallies("strata").into_iter().map(|of| table([of[0] as u64, of[1] as u64, of[2] as u64, of[3] as u64])).collect()
    }

    #[track_caller]
    fn assert_ends(found: Option<Ratio>, [ratio, low, high]: [f64; 3], case: &str) {
        let found = found.unwrap();
        let interval = found.interval().unwrap();
        for (actual, expected) in [(found.ratio, ratio), (interval.low, low), (interval.high, high)] {
            assert_close(actual, expected, case);
        }
    }

    #[test]
    fn one_stratum_by_hand() {
        // Risk ratio: (6 / 8) / (1 / 4) = 3, and its interval reaches by the factor e^(z √(1/6 - 1/8 + 1/1 - 1/4)).
        // Odds ratio: (6 · 3) / (2 · 1) = 9, and its interval reaches by the factor e^(z √(1/6 + 1/2 + 1/1 + 1/3)).
        let reach = (Z_95 * (19.0_f64 / 24.0).sqrt()).exp();
        assert_ends(risk_ratio(&[table([6, 2, 1, 3])]), [3.0, 3.0 / reach, 3.0 * reach], "Katz");
        let reach = (Z_95 * 2.0_f64.sqrt()).exp();
        assert_ends(odds_ratio(&[table([6, 2, 1, 3])]), [9.0, 9.0 / reach, 9.0 * reach], "Woolf");
        // χ² = 19 / 20 · 7.2, where each cell is expected to be 5.
        assert_close(association(&[table([8, 2, 2, 8])]).unwrap(), two_sided(6.84_f64.sqrt()), "Cochran");
        // With one contact fewer, a cell is expected to be 9 · 9 / 19 = 4.3, so the test is exact. Of 92378 tables, C(10,k) C(9,9-k) have k
        // members with the value. At most as probable as the observed k = 7 are k = 7, 8, 9 with 4320 + 405 + 10 tables, and k = 2, 1, 0
        // with 1620 + 90 + 1.
        assert_close(association(&[table([7, 3, 2, 7])]).unwrap(), 6446.0 / 92378.0, "Fisher");
    }

    #[test]
    fn two_strata_by_hand() {
        // 4 of 10 users against 10 of 100, and 6 of 20 leads against 2 of 10. The strata are pooled by others / all and members / all.
        let strata = [table([4, 6, 10, 90]), table([6, 14, 2, 8])];
        let (members, others) = (4.0 * 100.0 / 110.0 + 6.0 * 10.0 / 30.0, 10.0 * 10.0 / 110.0 + 2.0 * 20.0 / 30.0);
        assert_close(risk_ratio(&strata).unwrap().ratio, members / others, "shares");
        let (agree, differ) = (4.0 * 90.0 / 110.0 + 6.0 * 8.0 / 30.0, 6.0 * 10.0 / 110.0 + 14.0 * 2.0 / 30.0);
        assert_close(odds_ratio(&strata).unwrap().ratio, agree / differ, "odds");
        // The numbers of ways are the coefficients of (1 + 4x + x²) and (1 + x), where the exponent is the number of members with the
        // value. Their product is 1 + 5x + 5x² + x³. The observed number 3 is as rare as 0.
        assert_close(association(&[table([2, 0, 0, 2]), table([1, 0, 0, 1])]).unwrap(), 2.0 / 12.0, "convolved");
        assert_eq!(association(&[table([1, 1, 1, 1]), table([1, 0, 0, 1])]), Some(1.0));
    }

    #[test]
    fn a_value_of_one_role_is_no_difference() {
        // Most members are leads, and leads have the value more often. Without strata, the value would look 3.4 times as common among
        // members.
        let strata = [table([1, 9, 10, 90]), table([45, 45, 5, 5])];
        assert_close(risk_ratio(&strata).unwrap().ratio, 1.0, "lift");
        assert_close(odds_ratio(&strata).unwrap().ratio, 1.0, "odds");
        assert_close(association(&strata).unwrap(), 1.0, "p");
    }

    #[test]
    fn empty_groups_and_values_that_all_or_none_have() {
        for strata in [&[][..], &[table([0; 4])], &[table([0, 0, 3, 4])], &[table([3, 4, 0, 0]), table([1, 2, 0, 0])]] {
            assert_eq!((risk_ratio(strata), odds_ratio(strata), association(strata)), (None, None, None), "{strata:?}");
        }
        // All contacts have the value, so halves are added: (5.5 / 6) / (7.5 / 8), and (5.5 · 0.5) / (0.5 · 7.5).
        let all = [table([5, 0, 7, 0])];
        assert_close(risk_ratio(&all).unwrap().ratio, 5.5 / 6.0 / (7.5 / 8.0), "shares");
        assert_close(odds_ratio(&all).unwrap().ratio, 5.5 / 7.5, "odds");
        assert_eq!(association(&all), Some(1.0));
        // If no member has the value, the ratio is 0, with an unknown error. If no other contact has it, there is no ratio.
        let (nobody, only_members) = ([table([0, 8, 3, 5])], [table([3, 5, 0, 8])]);
        for found in [risk_ratio(&nobody), odds_ratio(&nobody)] {
            assert_eq!(found, Some(Ratio { ratio: 0.0, log_error: None }));
            assert_eq!(found.and_then(|found| found.interval()), None);
        }
        assert_eq!((risk_ratio(&only_members), odds_ratio(&only_members)), (None, None));
        assert_eq!(odds_ratio(&[table([3, 0, 4, 8])]), None, "all members have it");
        assert!(risk_ratio(&[table([3, 0, 4, 8])]).is_some());
        // The groups have different roles, so nothing is compared.
        let apart = [table([3, 4, 0, 0]), table([0, 0, 5, 6])];
        assert_eq!((risk_ratio(&apart), odds_ratio(&apart), association(&apart)), (None, None, Some(1.0)));
    }

    #[test]
    fn ends_at_other_levels() {
        let found = risk_ratio(&[table([6, 2, 1, 3])]).unwrap();
        let low = found.interval().unwrap().low;
        assert_close(found.low_at(0.05).unwrap(), low, "95 %");
        // Φ⁻¹(0.995) = 2.575829303548901.
        assert_close(found.low_at(0.01).unwrap(), 3.0 / (2.575_829_303_548_901 * (19.0_f64 / 24.0).sqrt()).exp(), "99 %");
        assert_close(Ratio::from_low(3.0, low).unwrap().low_at(0.01).unwrap(), found.low_at(0.01).unwrap(), "from a report");
        assert_eq!(found.low_at(1.0), Some(3.0));
        assert_eq!([0.0, -1.0, f64::NAN].map(|alpha| found.low_at(alpha)), [None; 3]);
        for (ratio, low) in [(2.0, 0.0), (2.0, 3.0), (f64::NAN, 1.0), (2.0, f64::NAN), (f64::INFINITY, 1.0), (0.0, 0.0)] {
            assert_eq!(Ratio::from_low(ratio, low), None, "{ratio} {low}");
        }
    }

    #[test]
    fn any_counts_give_numbers() {
        let counts = [0, 1, 4, 5, 1 << 20, (1 << 53) + 1, u64::MAX / 4];
        let pairs = || counts.iter().flat_map(|a| counts.iter().map(move |b| (*a, *b)));
        for ((a, b), (c, d)) in pairs().flat_map(|first| pairs().map(move |second| (first, second))) {
            for strata in [vec![table([a, b, c, d])], vec![table([a, b, c, d]), table([3, 4, 1, 9])]] {
                assert!(association(&strata).is_none_or(|p| (0.0..=1.0).contains(&p)), "{strata:?}");
                for found in [risk_ratio(&strata), odds_ratio(&strata)].into_iter().flatten() {
                    assert!(found.ratio.is_finite() && found.log_error.is_none_or(|error| error.is_finite() && error >= 0.0), "{strata:?}");
                    assert!(found.interval().is_none_or(|of| of.low <= found.ratio && found.ratio <= of.high && of.high.is_finite()));
                }
            }
        }
    }

    #[test]
    fn intervals_hold_the_ratio_that_strata_share() {
        // 10 % of the other users and 30 % of the other leads have the value. Members have it 1.8 times as often, or with odds 2.5 times
        // as high.
        let rng = &mut ChaCha8Rng::seed_from_u64(6);
        let (mut lifts, mut odds) = (0, 0);
        for _ in 0..2_000 {
            let mut draw = |size: u64, chance: f64| {
                let with = binomial(rng, size, chance);
                [with, size - with]
            };
            let mut strata = |raised: fn(f64) -> f64| {
                [(60, 400, 0.1), (25, 60, 0.3)].map(|(members, others, chance)| {
                    let ([a, b], [c, d]) = (draw(members, raised(chance)), draw(others, chance));
                    table([a, b, c, d])
                })
            };
            let holds = |found: Option<Ratio>, truth: f64| {
                found.and_then(|found| found.interval()).is_some_and(|of| of.low <= truth && truth <= of.high)
            };
            lifts += u32::from(holds(risk_ratio(&strata(|chance| 1.8 * chance)), 1.8));
            odds += u32::from(holds(odds_ratio(&strata(|chance| 2.5 * chance / (1.0 + 1.5 * chance))), 2.5));
        }
        for held in [lifts, odds] {
            assert!((1_870..=1_940).contains(&held), "{held} of 2000");
        }
    }

    #[test]
    fn agrees_with_statsmodels_scipy_and_enumeration() {
        for row in rows(include_str!("../../tests/golden/stats/mantel_haenszel.csv")) {
            let strata = strata_of(&row);
            assert_ends(risk_ratio(&strata), ["risk_ratio", "risk_low", "risk_high"].map(|column| row.number(column)), row.case());
            assert_ends(odds_ratio(&strata), ["odds_ratio", "odds_low", "odds_high"].map(|column| row.number(column)), row.case());
        }
        for file in [
            include_str!("../../tests/golden/stats/cochran_mantel_haenszel.csv"),
            include_str!("../../tests/golden/stats/exact_strata.csv"),
        ] {
            for row in rows(file) {
                assert_p(association(&strata_of(&row)), row.optional("p_value"), row.case());
            }
        }
    }
}
