//! What the reports find where there is nothing to find: cohorts whose members are told by coins. The share of months in which
//! any q is below 0.05 has to be at most 0.05, but for the chance of 200 draws. The queries are left out, since they only count:
//! here are their results.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const MONTHS_DRAWN: u64 = 200;
const CONTACTS: usize = 600;

/// At most 0.05 and three standard errors: 0.05 + 3 √(0.05 · 0.95 / 200) = 0.0962.
const LIMIT: f64 = 0.096_233;

/// The share of the first months drawn in which any value of this column is below 0.05.
fn share_found(months: u64, planted: Planted, (report, column): (&str, &str), draw: Draw) -> f64 {
    let finds = |seed: &u64| {
        let (counts, facts) = draw(&mut ChaCha8Rng::seed_from_u64(*seed), planted);
        let report = (Report::named(report).unwrap().judge)(&facts, counts).unwrap();
        let values = report.column(column).unwrap().f64().unwrap();
        assert!(values.null_count() < values.len(), "nothing was tested");
        values.iter().flatten().any(|value| value < 0.05)
    };
    (0..months).filter(finds).count() as f64 / months as f64
}

#[track_caller]
fn check_calibrated(report: &str, q: &str, draw: Draw) {
    let by_chance = share_found(MONTHS_DRAWN, Planted::Nothing, (report, q), draw);
    assert!(by_chance <= LIMIT, "{report}: {by_chance} of all months find something, where there is nothing");
    // The coins can be read: where they are loaded, it is seen.
    let loaded = share_found(10, Planted::Something, (report, q), draw);
    assert!(loaded >= 0.9, "{report}: only {loaded} of all months find what is there");
}

/// That the draws would show a q that is none: p, of which a report has many, is below 0.05 somewhere in most of them.
#[track_caller]
fn check_that_p_would_fail(report: &str, p: &str, draw: Draw) {
    let by_chance = share_found(50, Planted::Nothing, (report, p), draw);
    assert!(by_chance > 0.5, "{report}: only {by_chance} of all months have a small p");
}

type Draw = fn(&mut ChaCha8Rng, Planted) -> (DataFrame, Facts);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Planted {
    Nothing,
    Something,
}

#[test]
fn coins_have_nothing_in_common() {
    check_calibrated("attribute_profile", "q_value", drawn_profiles);
    check_that_p_would_fail("attribute_profile", "p_value", drawn_profiles);
}

#[test]
fn coins_have_no_more_of_anything() {
    check_calibrated("numeric_profile", "q_value", drawn_profiles);
}

#[test]
fn coins_go_nowhere() {
    check_calibrated("cohort_trends", "trend_q", drawn_months);
    check_that_p_would_fail("cohort_trends", "trend_p", drawn_months);
}

/// A month of contacts with a few attributes, and two cohorts. Loaded coins like one plan and many seats.
fn drawn_profiles(rng: &mut ChaCha8Rng, planted: Planted) -> (DataFrame, Facts) {
    let mut counts: BTreeMap<(&str, &str, &str, String), i64> = BTreeMap::new();
    for _ in 0..CONTACTS {
        let role = if rng.random_bool(0.8) { "user" } else { "lead" };
        let (plan, seats) = (rng.random_range(0..4), rng.random_range(1..=20));
        // Some countries are common and some are rare, so that both tests are used.
        let country = rng.random_range(0..4) * rng.random_range(0..5);
        let weight = if planted == Planted::Something && (plan == 0 || seats > 15) { 0.8 } else { 0.5 };
        let mut keys = vec![""];
        keys.extend(["tag:a", "tag:b"].into_iter().filter(|_| rng.random_bool(weight)));
        for key in keys {
            let mut count = |attribute, value| *counts.entry((key, attribute, role, value)).or_default() += 1;
            count("", String::new());
            count("role", role.to_string());
            count("plan", format!("plan {plan}"));
            count("country", format!("country {country}"));
            count("seats", seats.to_string());
        }
    }
    let cohorts = ["a", "b"].map(|letter| cohort(letter, None)).into();
    let profile = ["role", "plan", "country", "seats"].map(str::to_string).into();
    let facts = Facts { profile, ..facts("2026-03", cohorts) };
    let n = counts.len();
    let column = |name: &str, value: fn(&(&str, &str, &str, String)) -> Option<String>| {
        Column::new(name.into(), counts.keys().map(value).collect::<Vec<_>>())
    };
    let number = |(_, attribute, _, value): &(&str, &str, &str, String)| (*attribute == "seats").then(|| value.parse::<f64>().unwrap());
    let columns = vec![
        Column::new("is_now".into(), vec![true; n]),
        column("cohort_key", |(key, ..)| Some(key.to_string())),
        column("attribute", |(_, attribute, ..)| Some(attribute.to_string())),
        column("role", |(_, _, role, _)| Some(role.to_string())),
        column("value", |(_, attribute, _, value)| (!attribute.is_empty()).then(|| value.clone())),
        Column::new("value_number".into(), counts.keys().map(number).collect::<Vec<_>>()),
        Column::new("contacts".into(), counts.values().copied().collect::<Vec<_>>()),
    ];
    (DataFrame::new(n, columns).unwrap(), facts)
}

/// Two years of two cohorts. All throw a coin each month for being in A; a fourth of all, by two coins, change sides about B. Loaded
/// coins fall a little more often on A's side each month.
fn drawn_months(rng: &mut ChaCha8Rng, planted: Planted) -> (DataFrame, Facts) {
    const METRICS: [&str; 14] = [
        "members",
        "users",
        "leads",
        "active_members",
        "openers",
        "conversations_opened",
        "unsubscribed",
        "previous_members",
        "retained",
        "joined",
        "departed",
        "net_change",
        "new_contacts",
        "hard_bounced",
    ];
    let mut frame: Option<DataFrame> = None;
    for letter in ["a", "b"] {
        let mut series: Vec<Vec<i64>> = vec![Vec::new(); METRICS.len()];
        let mut before: BTreeSet<usize> = (0..CONTACTS).filter(|_| rng.random_bool(0.5)).collect();
        for month in 0..24 {
            let weight = if planted == Planted::Something { 0.5 + 0.012 * f64::from(month) } else { 0.5 };
            let is_in = |contact: &usize| match letter {
                "a" => rng.random_bool(weight),
                _ => before.contains(contact) != rng.random_bool(0.25),
            };
            let members: BTreeSet<usize> = (0..CONTACTS).filter(is_in).collect();
            let length = |count: usize| count as i64;
            let mut some = |chance: f64| length(members.iter().filter(|_| rng.random_bool(chance)).count());
            let openers = some(0.2);
            let (retained, users) =
                (length(members.intersection(&before).count()), length(members.iter().filter(|id| **id % 5 > 0).count()));
            let (now, then) = (length(members.len()), length(before.len()));
            let values = [
                now,
                users,
                now - users,
                some(0.4),
                openers,
                openers + some(0.1),
                length(members.iter().filter(|id| **id % 11 == 0).count()),
                then,
                retained,
                now - retained,
                then - retained,
                now - then,
                some(0.05),
                length(members.iter().filter(|id| **id % 37 == 0).count()),
            ];
            series.iter_mut().zip(values).for_each(|(series, value)| series.push(value));
            before = members;
        }
        let metrics: Vec<(&str, &[i64])> = METRICS.into_iter().zip(series.iter().map(Vec::as_slice)).collect();
        let months = months_in_a_row(letter, "2025-01", &metrics);
        frame = Some(frame.map_or(months.clone(), |frame| frame.vstack(&months).unwrap()));
    }
    let facts = facts("2026-12", ["a", "b"].map(|letter| cohort(letter, Some("2026-11"))).into());
    (counts(frame.unwrap()), facts)
}
