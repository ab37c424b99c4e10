use super::intervals::Interval;
use super::normal::two_sided;
use super::student;

/// The number of contacts with this value, in each of two disjoint groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tally {
    pub value: f64,
    pub members: u64,
    pub others: u64,
}

/// The comparison of two groups by ranks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MannWhitney {
    /// The number of pairs of a member and another contact in which the member has the larger value. Ties count half.
    pub u_members: f64,
    /// Two-sided.
    pub p_value: f64,
    /// The probability that a member's value is larger than another contact's, minus the probability that it is smaller. It is from -1 to
    /// 1, and positive when the values of members are larger.
    pub cliffs_delta: f64,
    /// The 95 % interval of delta, within -1..=1. `None` if one of the groups has a single contact. Also `None` if all values are equal, or
    /// if all values of one group are larger than all values of the other: then the effect of chance cannot be estimated.
    pub delta_interval: Option<Interval>,
}

/// Up to this number of contacts, of both groups together, sums and cubes are exact.
const MOST_CONTACTS: u128 = 1 << 42;

/// The rank test of Mann and Whitney (1947), Ann. Math. Stat. 18:50-60. It is the normal approximation, with the variance corrected for
/// ties (Lehmann 2006, Nonparametrics, 1.2), and corrected for continuity. The delta is that of Cliff (1993), Dominance statistics,
/// Psychol. Bull. 114:494-509, as 2U / (n₁ n₂) - 1. Its interval has the variance and the degrees of freedom of Brunner and Munzel (2000),
/// The nonparametric Behrens-Fisher problem, Biom. J. 42:17-25, which allow groups to differ in spread.
///
/// `tallies` has a row for each distinct value, ascending. The p-value is 1 when all values are equal. None when a group is empty, or when
/// both together have more than 2⁴² contacts.
pub fn mann_whitney(tallies: &[Tally]) -> Option<MannWhitney> {
    let rows: Vec<(u128, u128)> =
        tallies.iter().filter(|tally| tally.value.is_finite()).map(|tally| (tally.members.into(), tally.others.into())).collect();
    let members: u128 = rows.iter().map(|(members, _)| members).sum();
    let others: u128 = rows.iter().map(|(_, others)| others).sum();
    let total = members + others;
    if members == 0 || others == 0 || total > MOST_CONTACTS {
        return None;
    }

    let (mut twice_u, mut others_below, mut tied) = (0, 0, 0);
    for &(members_here, others_here) in &rows {
        twice_u += members_here * (2 * others_below + others_here);
        others_below += others_here;
        tied += cubed_less_itself(members_here + others_here);
    }
    let pairs = members * others;
    let untied = cubed_less_itself(total) - tied;
    let variance = pairs as f64 * (untied as f64 / (12 * total * (total - 1)) as f64);
    // Twice the distance of U from its mean. The continuity correction, which is a half, is 1 on this scale.
    let distance = twice_u.abs_diff(pairs);
    let p_value = if untied == 0 { 1.0 } else { two_sided(distance.saturating_sub(1) as f64 / 2.0 / variance.sqrt()) };
    let delta = distance as f64 / pairs as f64;
    let cliffs_delta = if twice_u < pairs { -delta } else { delta };
    let delta_interval =
        delta_reach(&rows).map(|reach| Interval { low: (cliffs_delta - reach).max(-1.0), high: (cliffs_delta + reach).min(1.0) });
    Some(MannWhitney { u_members: twice_u as f64 / 2.0, p_value, cliffs_delta, delta_interval })
}

/// The half-width of the interval of delta. None when there is no interval.
fn delta_reach(rows: &[(u128, u128)]) -> Option<f64> {
    let swapped: Vec<(u128, u128)> = rows.iter().map(|&(members, others)| (others, members)).collect();
    let ((members, of_members), (others, of_others)) = (placements(rows)?, placements(&swapped)?);
    let variance = of_members + of_others;
    let degrees = variance * variance / (of_members * of_members / (members - 1.0) + of_others * of_others / (others - 1.0));
    (variance > 0.0).then_some(2.0 * student::reach_95(degrees)? * variance.sqrt())
}

/// The size of the first group, and the variance of the mean of its placements. The placement of a contact is the share of the second
/// group with smaller values; ties count half. None when the first group has fewer than two contacts.
fn placements(rows: &[(u128, u128)]) -> Option<(f64, f64)> {
    let second = rows.iter().map(|(_, second)| second).sum::<u128>() as f64;
    let mut below = 0;
    let placed: Vec<(f64, f64)> = rows
        .iter()
        .map(|(first, second_here)| {
            let placement = (2 * below + second_here) as f64 / 2.0 / second;
            below += second_here;
            (*first as f64, placement)
        })
        .collect();
    let first = rows.iter().map(|(first, _)| first).sum::<u128>() as f64;
    let mean = placed.iter().map(|(count, placement)| count * placement).sum::<f64>() / first;
    let squares: f64 = placed.iter().map(|(count, placement)| count * (placement - mean).powi(2)).sum();
    // Rounding may make the last digits of equal placements differ, so a variance under 1e-24 counts as 0.
    let variance = squares / (first - 1.0);
    (first >= 2.0).then_some((first, if variance < 1e-24 { 0.0 } else { variance / first }))
}

fn cubed_less_itself(count: u128) -> u128 {
    count * count * count - count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{Row, assert_close, assert_p, rows};

    fn tallies(rows: &[(f64, u64, u64)]) -> Vec<Tally> {
        rows.iter().map(|&(value, members, others)| Tally { value, members, others }).collect()
    }

    fn tallies_of(row: &Row) -> Vec<Tally> {
        let tally = |tally: Vec<f64>| Tally { value: tally[0], members: tally[1] as u64, others: tally[2] as u64 };
        row.tallies("tallies").into_iter().map(tally).collect()
    }

    #[test]
    fn five_contacts_by_hand() {
        // Members 2, 3, 3 and others 1, 3: U = 1 + (1 + ½) + (1 + ½) = 4 of 6 pairs, delta = 8/6 - 1 = 1/3.
        // Variance 6/12 · (6 - (3³ - 3) / (5 · 4)) = 2.4, z = (4 - 3 - ½) / √2.4 = 0.322748612183951,
        // and P(|Z| >= z) = 0.746885...
        let test = mann_whitney(&tallies(&[(1.0, 0, 1), (2.0, 1, 0), (3.0, 2, 1)])).unwrap();
        assert_eq!(test.u_members, 4.0);
        assert_close(test.cliffs_delta, 1.0 / 3.0, "delta");
        assert_close(test.p_value, two_sided(0.322_748_612_183_951), "p");
        // With the two groups exchanged: U = 2, delta = -1/3, the same p.
        let mirrored = mann_whitney(&tallies(&[(1.0, 1, 0), (2.0, 0, 1), (3.0, 1, 2)])).unwrap();
        assert_eq!((mirrored.u_members, mirrored.cliffs_delta, mirrored.p_value), (2.0, -test.cliffs_delta, test.p_value));
    }

    #[test]
    fn an_interval_by_hand() {
        // Members 1 and 3, others 2 and 4: the placements of members are 0 and 1/2, those of others 1/2 and 1. In each group, the variance
        // of the mean is (1/8) / 2, together 1/8. The degrees are (1/8)² / (2 (1/16)²) = 2, and t = 4.302652729911275. The reach 2 t √(1/8)
        // is over 3/2, so the interval is cut at -1 and at 1.
        let four = [(1.0, 1, 0), (2.0, 0, 1), (3.0, 1, 0), (4.0, 0, 1)];
        let test = mann_whitney(&tallies(&four)).unwrap();
        assert_eq!((test.cliffs_delta, test.delta_interval), (-0.5, Some(Interval { low: -1.0, high: 1.0 })));
        assert_close(delta_reach(&[(1, 0), (0, 1), (1, 0), (0, 1)]).unwrap(), 2.0 * 4.302_652_729_911_275 / 8.0_f64.sqrt(), "reach");
        // There is no interval for a group of one contact, when all values are equal, and when the groups do not overlap.
        for rows in [&[(1.0, 1, 2), (2.0, 0, 3)][..], &[(1.0, 5, 5)], &[(1.0, 3, 0), (2.0, 2, 0), (3.0, 0, 4)]] {
            assert_eq!(mann_whitney(&tallies(rows)).unwrap().delta_interval, None, "{rows:?}");
        }
    }

    #[test]
    fn groups_without_a_difference() {
        let tied = mann_whitney(&tallies(&[(7.0, 3, 4)])).unwrap();
        assert_eq!(tied, MannWhitney { u_members: 6.0, p_value: 1.0, cliffs_delta: 0.0, delta_interval: None });
        let alike = mann_whitney(&tallies(&[(1.0, 1, 1), (2.0, 1, 1)])).unwrap();
        assert_eq!((alike.u_members, alike.p_value, alike.cliffs_delta), (2.0, 1.0, 0.0));
    }

    #[test]
    fn empty_groups_and_invalid_values() {
        assert_eq!(mann_whitney(&[]), None);
        assert_eq!(mann_whitney(&tallies(&[(1.0, 0, 5)])), None);
        assert_eq!(mann_whitney(&tallies(&[(1.0, 5, 0), (f64::NAN, 0, 5), (f64::INFINITY, 0, 5)])), None);
        let plain = tallies(&[(1.0, 2, 3), (2.0, 4, 1)]);
        let odd = tallies(&[(f64::NEG_INFINITY, 9, 0), (1.0, 2, 3), (2.0, 4, 1), (f64::INFINITY, 0, 9)]);
        assert_eq!(mann_whitney(&odd), mann_whitney(&plain));
    }

    #[test]
    fn any_counts_give_numbers() {
        assert_eq!(mann_whitney(&tallies(&[(1.0, u64::MAX, 1), (2.0, u64::MAX, u64::MAX)])), None);
        let half = 1 << 41;
        let apart = mann_whitney(&tallies(&[(1.0, half, 0), (2.0, 0, half)])).unwrap();
        assert_eq!((apart.u_members, apart.p_value, apart.cliffs_delta), (0.0, 0.0, -1.0));
        let one_apart = mann_whitney(&tallies(&[(1.0, half, half - 1), (2.0, 0, 1)])).unwrap();
        assert!((0.0..=1.0).contains(&one_apart.p_value) && one_apart.cliffs_delta < 0.0);
    }

    #[test]
    fn agrees_with_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/mann_whitney.csv")) {
            let test = mann_whitney(&tallies_of(&row)).unwrap();
            assert_close(test.u_members, row.number("u_members"), row.case());
            assert_close(test.cliffs_delta, row.number("cliffs_delta"), row.case());
            assert_p(Some(test.p_value), row.optional("p_value"), row.case());
        }
        for row in rows(include_str!("../../tests/golden/stats/brunner_munzel.csv")) {
            let Interval { low, high } = mann_whitney(&tallies_of(&row)).unwrap().delta_interval.unwrap();
            assert_close(low, row.number("low"), row.case());
            assert_close(high, row.number("high"), row.case());
        }
    }
}
