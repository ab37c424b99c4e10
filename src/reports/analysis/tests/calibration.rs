//! Checks what the reports find in random data, in which coins decide who is a member of a cohort. The share of cohorts with any q
//! below 0.05 must be at most 0.05, except for random deviation. The queries are left out, because they only count: the test draws
//! their results.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const MONTHS_DRAWN: u64 = 200;
const CONTACTS: usize = 600;

/// 0.05 plus three standard errors of 200 months, as if a month's two cohorts were one: 0.05 + 3 √(0.05 · 0.95 / 200) = 0.0962.
const LIMIT: f64 = 0.096_233;

/// The share of cohorts, and the share of months, in which any value of this column is below 0.05. `months` is the number of drawn
/// months. The rows of a cohort are one family of tests.
fn shares_found(months: u64, planted: Planted, (report, column): (&str, &str), draw: Draw) -> (f64, f64) {
    let (mut found, mut cohorts, mut found_months) = (0, 0, 0);
    for seed in 0..months {
        let (counts, facts) = draw(&mut ChaCha8Rng::seed_from_u64(seed), planted);
        let report = judge(report, &[counts], &facts);
        let values = report.column(column).unwrap().f64().unwrap();
        assert!(values.null_count() < values.len(), "nothing was tested");
        let keys = report.column("cohort_key").unwrap().str().unwrap();
        let below = keys.iter().zip(values.iter()).filter(|(_, value)| value.is_some_and(|value| value < 0.05));
        let of_month = below.map(|(key, _)| key).collect::<BTreeSet<_>>().len();
        found += of_month;
        found_months += u64::from(of_month > 0);
        cohorts += facts.cohorts.len();
    }
    (found as f64 / cohorts as f64, found_months as f64 / months as f64)
}

#[track_caller]
fn check_calibrated(report: &str, q: &str, draw: Draw) {
    let (by_chance, _) = shares_found(MONTHS_DRAWN, Planted::Nothing, (report, q), draw);
    assert!(by_chance <= LIMIT, "{report}: {by_chance} of all cohorts have something, where there is nothing");
    // With loaded coins there is something to find.
    let (_, loaded) = shares_found(10, Planted::Something, (report, q), draw);
    assert!(loaded >= 0.9, "{report}: only {loaded} of all months have what is there");
}

/// Checks that the draws would reveal a wrong q. A cohort has many p values, so with p instead of q the share is above the limit.
#[track_caller]
fn check_that_p_would_fail(report: &str, p: &str, draw: Draw) {
    let (by_chance, _) = shares_found(50, Planted::Nothing, (report, p), draw);
    assert!(by_chance > LIMIT, "{report}: only {by_chance} of all cohorts have a small p");
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

/// Draws a month of contacts with a few attributes, and two cohorts. Loaded coins prefer one plan and many seats.
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
        Column::new("month".into(), vec![facts.first_day(); n]),
        column("cohort_key", |(key, ..)| Some(key.to_string())),
        column("attribute", |(_, attribute, ..)| Some(attribute.to_string())),
        column("role", |(_, _, role, _)| Some(role.to_string())),
        column("value", |(_, attribute, _, value)| (!attribute.is_empty()).then(|| value.clone())),
        Column::new("value_number".into(), counts.keys().map(number).collect::<Vec<_>>()),
        Column::new("contacts".into(), counts.values().copied().collect::<Vec<_>>()),
    ];
    (DataFrame::new(n, columns).unwrap(), facts)
}

/// Draws two years of two cohorts. Each month a coin decides for each contact whether it is in A, and two coins select a fourth of
/// all contacts to enter or leave B. Loaded coins put contacts into A a little more often each month.
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

/// A stable workspace of ten cohorts with a thousand members each: every month, some members are replaced by as many others, and the
/// probability of each action stays the same. A shock multiplies the number of openers in the last month.
fn steady(rng: &mut ChaCha8Rng, churn: f64, months: usize, shock: f64) -> (DataFrame, Facts) {
    const METRICS: [&str; 10] = [
        "members",
        "active_members",
        "unsubscribed",
        "openers",
        "conversations_opened",
        "new_contacts",
        "previous_members",
        "joined",
        "departed",
        "newly_unsubscribed",
    ];
    // A binomial draw by the normal approximation: cheap and accurate enough.
    let mut some = |of: i64, chance: f64| {
        let bell = (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let mean = of as f64 * chance;
        (mean + bell * (mean * (1.0 - chance)).max(0.0).sqrt()).round().clamp(0.0, of as f64) as i64
    };
    let letters: Vec<String> = ('a'..='j').map(|letter| letter.to_string()).collect();
    let mut frame: Option<DataFrame> = None;
    for letter in &letters {
        let mut series: Vec<Vec<i64>> = vec![Vec::new(); METRICS.len()];
        // Ten thousand contacts outside the cohort: on average as many enter as members leave.
        let (mut members, mut unsubscribed) = (1_000, 100);
        for month in 0..months {
            let before = members;
            let (departed, joined) = (some(before, churn), some(10_000, churn * 0.1));
            let unsubscribed_stay = unsubscribed - some(unsubscribed, departed as f64 / before as f64);
            let (of_joined, newly) = (some(joined, 0.1), some(before, 0.002));
            // As many contacts subscribe again, so that the share does not change.
            unsubscribed = (unsubscribed_stay + of_joined + newly - some(unsubscribed_stay, 0.018)).clamp(0, before);
            members = before - departed + joined;
            let openers = some(members, if month + 1 == months { 0.02 * shock } else { 0.02 });
            let values = [
                members,
                some(members, 0.4),
                unsubscribed,
                openers,
                openers + some(openers, 0.3),
                some(members, 0.05),
                before,
                joined,
                departed,
                newly,
            ];
            series.iter_mut().zip(values).for_each(|(series, value)| series.push(value));
        }
        let metrics: Vec<(&str, &[i64])> = METRICS.into_iter().zip(series.iter().map(Vec::as_slice)).collect();
        let of_cohort = months_in_a_row(letter, "2025-01", &metrics);
        frame = Some(frame.map_or(of_cohort.clone(), |frame| frame.vstack(&of_cohort).unwrap()));
    }
    let now = (1..months).fold(month("2025-01"), |month, _| month.next());
    let before = now.previous().to_string();
    let facts = facts(&now.to_string(), letters.iter().map(|letter| cohort(letter, Some(&before))).collect());
    (counts(frame.unwrap()), facts)
}

/// The share of workspaces whose report has any direction that is not flat, and the share with any odd month.
fn share_of_reports(workspaces: u64, shock: f64) -> (f64, f64) {
    let (mut directed, mut odd, mut reports) = (0, 0, 0);
    for churn in [0.02, 0.1, 0.5] {
        for seed in 0..workspaces {
            let months = 13 + seed as usize % 12;
            let (counts, facts) = steady(&mut ChaCha8Rng::seed_from_u64(seed), churn, months, shock);
            let report = judge("cohort_trends", &[counts], &facts);
            let directions = report.column("direction").unwrap().str().unwrap();
            directed += u64::from(directions.iter().flatten().any(|direction| direction != "flat"));
            odd += u64::from(report.column("is_anomaly").unwrap().bool().unwrap().any());
            reports += 1;
        }
    }
    (directed as f64 / reports as f64, odd as f64 / reports as f64)
}

#[test]
fn few_reports_of_a_stable_workspace_have_a_direction_or_an_odd_month() {
    // The limits are 1 in 5 and 1 in 8, plus three standard errors of 120 reports. The documentation has the shares of many more
    // reports.
    let (directed, odd) = share_of_reports(40, 1.0);
    assert!(directed <= 0.2 + 3.0 * (0.2_f64 * 0.8 / 120.0).sqrt(), "{directed} have a direction");
    assert!(odd <= 0.125 + 3.0 * (0.125_f64 * 0.875 / 120.0).sqrt(), "{odd} have an odd month");
    // Four times as many openers in the last month are odd.
    let (_, odd) = share_of_reports(4, 4.0);
    assert!(odd >= 0.9, "{odd} have the odd month");
}
