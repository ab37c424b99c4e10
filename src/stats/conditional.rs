use super::tables::{Margins, TwoByTwo};

/// The probability of each number of members with the value, given the margins. `weights` has these probabilities up to a common factor,
/// for each number from `first` on.
struct Distribution {
    first: u128,
    weights: Vec<f64>,
}

/// The p-value of the exact conditional test. It is the probability, given the margins of all strata, that the number of members with the
/// value over all strata is at most as probable as the observed number. The tolerance of this comparison is 1e-14. With one stratum it is
/// the test of Fisher (1935), The logic of inductive inference, JRSS 98:39-82. With several strata the distributions are convolved: Gart
/// (1970), Point and interval estimation of the common odds ratio, Biometrika 57:471-475. The p-value is 1 when no stratum has both groups.
pub(super) fn exact_p(strata: &[TwoByTwo]) -> f64 {
    let compared: Vec<(&TwoByTwo, Margins)> = strata.iter().filter_map(|table| Some((table, table.margins()?))).collect();
    let together = compared.iter().map(|(_, margins)| hypergeometric(margins)).reduce(|sum, one| convolved(&sum, &one));
    let Some(Distribution { first, weights }) = together else { return 1.0 };
    let observed: u128 = compared.iter().map(|(table, _)| u128::from(table.members_with)).sum();
    // `weights` leaves out numbers that are too improbable for f64. If the observed number is left out, the p-value is 0.
    let place = observed.checked_sub(first).and_then(|place| usize::try_from(place).ok());
    let limit = place.and_then(|place| weights.get(place)).map_or(0.0, |weight| weight * (1.0 + 1e-14));
    let all: f64 = weights.iter().sum();
    let extreme: f64 = weights.iter().filter(|weight| **weight <= limit).sum();
    (extreme / all).min(1.0)
}

/// The probabilities of the possible numbers of members with the value in one table, relative to the most probable number. Each probability
/// is computed from that of the next or previous number by their ratio, because logarithms of factorials lose up to 1e-9 with a million
/// contacts. If an expected cell is under 5, two equally probable numbers on both sides of the most probable number are within about 20
/// steps of it, so rounding errors stay below the tolerance. After about 400 steps the probabilities are too small for f64, whatever the
/// total is. Such numbers have no weight.
fn hypergeometric(margins: &Margins) -> Distribution {
    let [members, with, total] = [margins.members, margins.with, margins.total].map(u128::from);
    let lowest = (members + with).saturating_sub(total);
    let highest = members.min(with);
    let mode = ((members + 1) * (with + 1) / (total + 2)).clamp(lowest, highest);
    // P(k + 1) / P(k), for k under the highest.
    let ratio = |k: u128| ((members - k) * (with - k)) as f64 / ((k + 1) * (total + k + 1 - members - with)) as f64;

    let above = (mode..highest).scan(1.0, |weight, k| {
        *weight *= ratio(k);
        (*weight >= f64::MIN_POSITIVE).then_some(*weight)
    });
    let below = (lowest..mode).rev().scan(1.0, |weight, k| {
        *weight /= ratio(k);
        (*weight >= f64::MIN_POSITIVE).then_some(*weight)
    });
    let mut weights: Vec<f64> = below.collect();
    let first = mode - weights.len() as u128;
    weights.reverse();
    weights.push(1.0);
    weights.extend(above);
    Distribution { first, weights }
}

fn convolved(one: &Distribution, other: &Distribution) -> Distribution {
    let mut weights = vec![0.0; (one.weights.len() + other.weights.len()).saturating_sub(1)];
    for (place, weight) in one.weights.iter().enumerate() {
        for (sum, factor) in weights.iter_mut().skip(place).zip(&other.weights) {
            *sum += weight * factor;
        }
    }
    Distribution { first: one.first + other.first, weights }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_close, assert_p, rows};

    fn fisher([members_with, members_without, others_with, others_without]: [u64; 4]) -> f64 {
        exact_p(&[TwoByTwo { members_with, members_without, others_with, others_without }])
    }

    #[test]
    fn the_lady_tasting_tea_by_hand() {
        // 3 of the 4 cups were guessed. Tables with all margins 4 arise in 1, 16, 36, 16 and 1 of 70 ways. Of the 70 ways, 34 give a table
        // that is at most as probable as the observed one.
        assert_close(fisher([3, 1, 1, 3]), 34.0 / 70.0, "tea");
        assert_close(fisher([0, 4, 4, 0]), 2.0 / 70.0, "all wrong");
        assert_close(fisher([2, 2, 2, 2]), 1.0, "half");
    }

    #[test]
    fn agrees_with_scipy() {
        for row in rows(include_str!("../../tests/golden/stats/fisher.csv")) {
            let cells = ["members_with", "members_without", "others_with", "others_without"].map(|column| row.count(column));
            assert_p(Some(fisher(cells)), row.optional("p_value"), row.case());
        }
    }
}
