//! Simulates how often sentences are reported for groups whose members have nothing in common, and for groups whose members have something
//! in common. The counts of values are drawn at random. A value is reported under the same conditions as in the reports.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::draws::binomial;
use super::{Ratio, TwoByTwo, association, benjamini_hochberg, risk_ratio, selected_alpha};

/// Draws how many users and how many leads of a group have each value of an attribute. The weight of a value is one over its rank. The
/// value of the second rank has `favoured` times this weight.
fn drawn(rng: &mut ChaCha8Rng, contacts: [u64; 2], values: u64, favoured: f64) -> Vec<[u64; 2]> {
    let weight = |rank: u64| if rank == 2 { favoured / 2.0 } else { 1.0 / rank as f64 };
    let mut left = contacts;
    (1..=values)
        .map(|rank| {
            let rest: f64 = (rank..=values).map(weight).sum();
            left.each_mut().map(|left| {
                let with = binomial(rng, *left, weight(rank) / rest);
                *left -= with;
                with
            })
        })
        .collect()
}

/// A value of an attribute that is tested for a difference between members and others. `rank` is its position in the attribute, from 1.
struct Value {
    rank: u64,
    members: u64,
    lift: Option<Ratio>,
}

/// The number of values that are reported for a cohort of 170 among 5,000 contacts, and whether a favoured value is among them. The
/// contacts have three attributes, of 5, 30 and 40 values.
fn reported(rng: &mut ChaCha8Rng, favoured: f64) -> (usize, bool) {
    const MEMBERS: [u64; 2] = [140, 30];
    const OTHERS: [u64; 2] = [3_800, 1_030];
    let (mut judged, mut p) = (Vec::new(), Vec::new());
    for values in [5, 30, 40] {
        let (members, others) = (drawn(rng, MEMBERS, values, favoured), drawn(rng, OTHERS, values, 1.0));
        for (rank, (members, others)) in (1..).zip(members.into_iter().zip(others)) {
            let strata = [0, 1].map(|role| TwoByTwo {
                members_with: members[role],
                members_without: MEMBERS[role] - members[role],
                others_with: others[role],
                others_without: OTHERS[role] - others[role],
            });
            judged.push(Value { rank, members: members.iter().sum(), lift: risk_ratio(&strata) });
            p.push(association(&strata));
        }
    }
    let q = benjamini_hochberg(&p);
    let alpha = selected_alpha(&q);
    let is_reported = |(value, q): &(Value, Option<f64>)| {
        let low = alpha.and_then(|alpha| value.lift?.low_at(alpha));
        value.members >= 5 && q.is_some_and(|q| q < 0.05) && low.is_some_and(|low| low > 1.5)
    };
    let chosen: Vec<_> = judged.into_iter().zip(q).filter(is_reported).collect();
    (chosen.len(), chosen.iter().any(|(value, _)| value.rank == 2))
}

#[test]
fn chance_differences_are_not_reported() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let found = (0..600).filter(|_| reported(rng, 1.0).0 > 0).count();
    assert!(found <= 30, "{found} of 600 cohorts without anything in common have a sentence");
}

#[test]
fn common_properties_of_members_are_reported() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let found = (0..60).filter(|_| reported(rng, 4.0).1).count();
    assert!(found >= 54, "{found} of 60");
}
