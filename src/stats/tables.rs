use super::conditional::exact_p;
use super::normal::{Z_95, two_sided};

/// How many of two disjoint groups have a value, and how many have not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoByTwo {
    pub members_with: u64,
    pub members_without: u64,
    pub others_with: u64,
    pub others_without: u64,
}

/// The odds of members over the odds of others, with the ends of its 95 % interval. Above 1: commoner among members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OddsRatio {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

/// The share of members over the share of others, with the ends of its 95 % interval. Above 1: commoner among members.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lift {
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
}

/// The sums of a table whose groups are both inhabited.
pub(super) struct Margins {
    pub(super) members: u64,
    pub(super) others: u64,
    pub(super) with: u64,
    pub(super) without: u64,
    pub(super) total: u64,
}

impl TwoByTwo {
    /// The ratio, with the logit interval of Woolf (1955), On estimating the relation between blood group and disease,
    /// Ann. Hum. Genet. 19:251-253. When a cell is 0, a half is added to all four: Haldane (1956) and Anscombe (1956).
    /// None when a group is empty.
    pub fn odds_ratio(&self) -> Option<OddsRatio> {
        self.margins()?;
        let cells = [self.members_with, self.members_without, self.others_with, self.others_without];
        let shift = if cells.contains(&0) { 0.5 } else { 0.0 };
        let [a, b, c, d] = cells.map(|cell| cell as f64 + shift);
        let ratio = (a / b) * (d / c);
        let reach = (Z_95 * (1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d).sqrt()).exp();
        Some(OddsRatio { ratio, low: ratio / reach, high: ratio * reach })
    }

    /// The ratio of the shares, with the interval of Katz, Baptista, Azen and Pike (1978), Obtaining confidence intervals for
    /// the risk ratio in cohort studies, Biometrics 34:469-474: that of its logarithm. None when a group is empty or has
    /// nobody with the value.
    pub fn lift(&self) -> Option<Lift> {
        let margins = self.margins()?;
        if self.members_with == 0 || self.others_with == 0 {
            return None;
        }
        let [a, members, c, others] = [self.members_with, margins.members, self.others_with, margins.others].map(|count| count as f64);
        let ratio = (a / members) / (c / others);
        let reach = (Z_95 * (1.0 / a - 1.0 / members + 1.0 / c - 1.0 / others).max(0.0).sqrt()).exp();
        Some(Lift { ratio, low: ratio / reach, high: ratio * reach })
    }

    /// How likely groups alike would differ as much. Fisher's exact test when a cell is expected to be under 5 (Cochran 1954,
    /// Some methods for strengthening the common χ² tests, Biometrics 10:417-451), else Pearson's chi-square with one degree
    /// of freedom, without correction. 1 for a value that all have, or none; None when a group is empty.
    pub fn p_value(&self) -> Option<f64> {
        let margins = self.margins()?;
        if margins.with == 0 || margins.without == 0 {
            return Some(1.0);
        }
        // The least expected cell is where the smaller margins meet; compared without division.
        let least = u128::from(margins.members.min(margins.others)) * u128::from(margins.with.min(margins.without));
        let few = least < 5 * u128::from(margins.total);
        Some(if few { exact_p(&[*self]) } else { self.chi_square(&margins) })
    }

    /// None when a group is empty, and when the total is beyond u64.
    pub(super) fn margins(&self) -> Option<Margins> {
        let members = self.members_with.checked_add(self.members_without)?;
        let others = self.others_with.checked_add(self.others_without)?;
        let total = members.checked_add(others)?;
        let with = self.members_with + self.others_with;
        (members > 0 && others > 0).then_some(Margins { members, others, with, without: total - with, total })
    }

    /// Pearson (1900): χ² = N (ad - bc)² / (product of the margins), with ad - bc exact.
    fn chi_square(&self, margins: &Margins) -> f64 {
        let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
        let ad = product(self.members_with, self.others_without);
        let bc = product(self.members_without, self.others_with);
        let scale = product(margins.members, margins.others) as f64 * (product(margins.with, margins.without) as f64);
        two_sided(ad.abs_diff(bc) as f64 * (margins.total as f64 / scale).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::golden::{Row, assert_close, assert_p, rows};

    fn table([members_with, members_without, others_with, others_without]: [u64; 4]) -> TwoByTwo {
        TwoByTwo { members_with, members_without, others_with, others_without }
    }

    fn table_of(row: &Row) -> TwoByTwo {
        table(["members_with", "members_without", "others_with", "others_without"].map(|column| row.count(column)))
    }

    #[test]
    fn the_lady_tasting_tea_by_hand() {
        // 3 of 4 guessed: tables of 4 and 4 have 1, 16, 36, 16, 1 ways of 70; as probable or less: 34 of 70.
        assert_close(table([3, 1, 1, 3]).p_value().unwrap(), 34.0 / 70.0, "tea");
        assert_close(table([0, 4, 4, 0]).p_value().unwrap(), 2.0 / 70.0, "all wrong");
        assert_eq!(table([2, 2, 2, 2]).p_value(), Some(1.0));
    }

    #[test]
    fn chi_square_by_hand_once_every_cell_is_expected_to_be_five() {
        // N (ad - bc)² / (10 · 10 · 10 · 10) = 20 (64 - 4)² / 10⁴ = 7.2, and P(χ² >= 7.2) = 0.007290358091535.
        assert_close(table([8, 2, 2, 8]).p_value().unwrap(), 0.007_290_358_091_535, "expected 5");
        // One contact fewer, and 9 · 9 / 19 = 4.3 is expected: tables of 10 and 9 with 9 have C(10,k) C(9,9-k) ways of
        // 92378: k = 7 and more 4320 + 405 + 10, k = 2 and fewer 1620 + 90 + 1.
        assert_close(table([7, 3, 2, 7]).p_value().unwrap(), 6446.0 / 92378.0, "expected 4.3");
    }

    #[test]
    fn odds_by_hand() {
        // (6 · 3) / (2 · 1) = 9, and e^(z √(1/6 + 1/2 + 1/1 + 1/3)) = e^(z √2) = e^2.771807648699 = 15.98750770.
        let odds = table([6, 2, 1, 3]).odds_ratio().unwrap();
        assert_close(odds.ratio, 9.0, "ratio");
        assert_close(odds.high, 9.0 * 2.771_807_648_699_f64.exp(), "high");
        assert_close(odds.low, 9.0 / 2.771_807_648_699_f64.exp(), "low");
        // With a half everywhere (2.5 · 4.5) / (1.5 · 0.5) = 15.
        assert_close(table([2, 1, 0, 4]).odds_ratio().unwrap().ratio, 15.0, "a zero cell");
    }

    #[test]
    fn lift_by_hand() {
        // (6 / 8) / (1 / 4) = 3, and e^(z √(1/6 - 1/8 + 1/1 - 1/4)) = e^(z √(19/24)) = e^1.743903149.
        let lift = table([6, 2, 1, 3]).lift().unwrap();
        assert_close(lift.ratio, 3.0, "ratio");
        let reach = (Z_95 * (19.0_f64 / 24.0).sqrt()).exp();
        assert_close(lift.low, 3.0 / reach, "low");
        assert_close(lift.high, 3.0 * reach, "high");
        // Everybody has it: both shares are certain.
        assert_eq!(table([5, 0, 7, 0]).lift(), Some(Lift { ratio: 1.0, low: 1.0, high: 1.0 }));
        for cells in [[0, 4, 4, 0], [4, 0, 0, 4], [0, 0, 3, 4], [3, 4, 0, 0]] {
            assert_eq!(table(cells).lift(), None, "{cells:?}");
        }
    }

    #[test]
    fn empty_groups_and_empty_margins() {
        for cells in [[0, 0, 0, 0], [0, 0, 3, 4], [3, 4, 0, 0], [u64::MAX, 1, 1, 1], [u64::MAX, 0, 0, 1]] {
            assert_eq!(table(cells).p_value(), None, "{cells:?}");
            assert_eq!(table(cells).odds_ratio(), None, "{cells:?}");
        }
        assert_eq!(table([0, 3, 0, 4]).p_value(), Some(1.0), "none has it");
        assert_eq!(table([3, 0, 4, 0]).p_value(), Some(1.0), "all have it");
    }

    #[test]
    fn any_counts_give_numbers() {
        let counts = [0, 1, 4, 5, 1 << 20, (1 << 53) + 1, u64::MAX / 4];
        let pairs = || counts.iter().flat_map(|a| counts.iter().map(move |b| (*a, *b)));
        for ((a, b), (c, d)) in pairs().flat_map(|first| pairs().map(move |second| (first, second))) {
            let table = table([a, b, c, d]);
            let inhabited = a + b > 0 && c + d > 0;
            assert_eq!(table.p_value().is_some(), inhabited, "{table:?}");
            assert!(table.p_value().is_none_or(|p| (0.0..=1.0).contains(&p)), "{table:?}");
            assert!(table.lift().is_none_or(|lift| lift.low <= lift.ratio && lift.ratio <= lift.high && lift.high.is_finite()));
            assert!(table.odds_ratio().is_none_or(|odds| odds.low <= odds.ratio && odds.ratio <= odds.high && odds.high.is_finite()));
        }
    }

    #[test]
    fn agrees_with_scipy() {
        for file in [include_str!("../../tests/golden/stats/fisher.csv"), include_str!("../../tests/golden/stats/chi_square.csv")] {
            for row in rows(file) {
                assert_p(table_of(&row).p_value(), row.optional("p_value"), row.case());
            }
        }
    }

    #[test]
    fn agrees_with_statsmodels() {
        for row in rows(include_str!("../../tests/golden/stats/odds_ratio.csv")) {
            let odds = table_of(&row).odds_ratio().unwrap();
            for (actual, column) in [(odds.ratio, "ratio"), (odds.low, "low"), (odds.high, "high")] {
                assert_close(actual, row.number(column), row.case());
            }
        }
    }
}
