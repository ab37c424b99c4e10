use super::intervals::{Interval, score};

/// Counts of members between k - 1 and k months after their entry: the input of one row of a life table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonMonths {
    /// The number of members that were there in every observed month up to k - 1 months after their entry. They count only if the months at
    /// k - 1 and at k months were both observed.
    pub at_risk: u64,
    /// How many of those at risk are absent at k months.
    pub departed: u64,
    /// How many of those at risk are still members at k months, if the month at k + 1 months was not observed.
    pub censored: u64,
    /// How many of those at risk are not at risk in the row before, because the month at k - 2 months was not observed.
    pub resumed: u64,
}

/// A row of a life table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LifeTableRow {
    /// k, in whole months from 1.
    pub duration_months: i64,
    pub counts: PersonMonths,
    /// The share of those at risk that departs within the k-th month.
    pub hazard: f64,
    /// The share of all entrants that is still a member after k months, 0..=1, and its 95 % interval.
    pub survival: f64,
    pub interval: Interval,
}

/// The product-limit estimate in discrete time: Kaplan and Meier (1958), Nonparametric estimation from incomplete observations, JASA
/// 53:457-481, with delayed entries (members who are at risk again after an unobserved month). Its interval is that of Rothman (1978),
/// Estimation of confidence limits for the cumulative probability of survival in life table analysis, J. Chronic Dis. 31:557-560. It is
/// Wilson's interval of the survival S as a share of the effective number n* = (1 - S) / (S · Σ d / (n (n - d))). The sum Σ is Greenwood's
/// (1926).
///
/// As long as nobody departed, n* is the least number at risk so far. Once everybody departed, n* is that of the row before; in the first
/// row it is the number at risk.
///
/// `months` has the counts of k = 1, 2, …. There is a row for each k until nobody is at risk. If more departed than were at risk, all of
/// those at risk departed.
pub fn life_table(months: &[PersonMonths]) -> Vec<LifeTableRow> {
    // `lost` is 1 - S. It is summed up, because a difference would lose the digits of a small value.
    let (mut survival, mut lost, mut greenwood) = (1.0_f64, 0.0_f64, 0.0_f64);
    let mut effective: Option<f64> = None;
    let row = |(duration_months, counts): (i64, &PersonMonths)| {
        let (n, d) = (counts.at_risk as f64, counts.departed.min(counts.at_risk) as f64);
        let hazard = d / n;
        lost += survival * hazard;
        survival *= (n - d) / n;
        if d < n {
            greenwood += d / n / (n - d);
        }
        let number = if survival <= 0.0 {
            effective.unwrap_or(n)
        } else if lost <= 0.0 {
            effective.map_or(n, |least| least.min(n))
        } else {
            lost / (survival * greenwood)
        };
        effective = Some(number);
        let interval = score(survival * number, lost * number, number);
        LifeTableRow { duration_months, counts: *counts, hazard, survival, interval }
    };
    (1..).zip(months.iter().take_while(|months| months.at_risk > 0)).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, rows};
    use crate::wilson;

    fn months(rows: &[(u64, u64)]) -> Vec<PersonMonths> {
        rows.iter().map(|&(at_risk, departed)| PersonMonths { at_risk, departed, ..PersonMonths::default() }).collect()
    }

    #[test]
    fn one_entry_month_without_a_gap_is_wilson() {
        let table = life_table(&months(&[(20, 0), (20, 3), (17, 0), (17, 16), (1, 1)]));
        for (row, members) in table.iter().zip([20, 17, 17, 1, 0]) {
            let expected = wilson(members, 20).unwrap();
            assert_close(row.survival, members as f64 / 20.0, "survival");
            assert_close(row.interval.low, expected.low, "low");
            assert_close(row.interval.high, expected.high, "high");
        }
        assert_eq!(table.iter().map(|row| row.hazard).collect::<Vec<_>>(), [0.0, 0.15, 0.0, 16.0 / 17.0, 1.0]);
    }

    #[test]
    fn effective_numbers_by_hand() {
        // While nobody departs, n* is the least number at risk so far. Then 1 of 10 departs: Σ = 1 / 90, S = 9 / 10, n* = (1/10) / (9/10 /
        // 90) = 10.
        let table = life_table(&months(&[(30, 0), (12, 0), (40, 0), (10, 1), (5, 5), (7, 1)]));
        let expected = [(1.0, 30.0), (1.0, 12.0), (1.0, 12.0), (0.9, 10.0), (0.0, 10.0), (0.0, 10.0)];
        for (row, (survival, number)) in table.iter().zip(expected) {
            assert_close(row.survival, survival, "survival");
            let expected = score(survival * number, (1.0 - survival) * number, number);
            assert_close(row.interval.low, expected.low, "low");
            assert_close(row.interval.high, expected.high, "high");
        }
        // If all depart in the first month, n* is the number at risk.
        let [row] = life_table(&months(&[(3, 3)]))[..] else { panic!("no row") };
        assert_eq!((row.survival, Some(row.interval)), (0.0, wilson(0, 3)));
    }

    #[test]
    fn odd_counts() {
        assert_eq!(life_table(&[]), []);
        assert_eq!(life_table(&months(&[(0, 0), (5, 1)])), []);
        assert_eq!(life_table(&months(&[(5, 1), (0, 3), (5, 1)])).len(), 1);
        for row in life_table(&months(&[(u64::MAX, 1), (3, 9), (u64::MAX, u64::MAX), (1, 0), (2, 1)])) {
            assert!((0.0..=1.0).contains(&row.survival) && (0.0..=1.0).contains(&row.hazard), "{row:?}");
            assert!(0.0 <= row.interval.low && row.interval.high <= 1.0 && row.interval.low <= row.interval.high, "{row:?}");
        }
    }

    #[test]
    fn agrees_with_lifelines_and_statsmodels() {
        let golden = rows(include_str!("../../tests/golden/stats/life_table.csv"));
        for of_case in golden.chunk_by(|a, b| a.case() == b.case()) {
            let counts: Vec<_> = of_case.iter().map(|row| (row.count("at_risk"), row.count("departed"))).collect();
            let table = life_table(&months(&counts));
            assert_eq!(table.len(), of_case.len(), "{}", of_case[0].case());
            for (actual, row) in table.iter().zip(of_case) {
                assert_close(actual.survival, row.number("survival"), row.case());
                assert_close(actual.interval.low, row.number("low"), row.case());
                assert_close(actual.interval.high, row.number("high"), row.case());
            }
        }
    }
}
