//! Simulates how often trends and odd months are found, in workspaces without a change and in workspaces with a planted change. The counts
//! of cohorts are drawn at random and tested as `cohort_trends` defines. The test `figures` prints the figures of `docs/statistics.md`:
//! `cargo test -p cohorts-stats calibration -- --ignored --nocapture`.

use std::io::Write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::draws::{binomial, exponential, happens, poisson};
use super::{Measure, benjamini_hochberg, expectation, trend};
use Measure::{Flow, Stock};

/// The metrics of `cohort_trends`: counts, then ratios of counts.
const COUNTS: [(&str, Measure); 16] = [
    ("members", Stock),
    ("users", Stock),
    ("leads", Stock),
    ("active_members", Stock),
    ("unsubscribed", Stock),
    ("hard_bounced", Stock),
    ("marked_spam", Stock),
    ("new_contacts", Flow),
    ("openers", Flow),
    ("conversations_opened", Flow),
    ("joined", Flow),
    ("returned", Flow),
    ("departed", Flow),
    ("departed_gone", Flow),
    ("newly_unsubscribed", Flow),
    ("converted_leads", Flow),
];
const RATIOS: [(&str, &str, &str, Measure); 5] = [
    ("active_rate", "active_members", "members", Stock),
    ("unsubscribed_rate", "unsubscribed", "members", Stock),
    ("churn_rate", "departed", "previous_members", Flow),
    ("quick_ratio", "joined", "departed", Flow),
    ("opener_rate", "openers", "members", Flow),
];
const MONTHS: i64 = 24;
const FIRST_REPORT: i64 = 12;

/// The change that is planted in a cohort.
#[derive(Clone, Copy, PartialEq)]
enum Planted {
    Nothing,
    /// How many more members join than leave each month, as a share of all members.
    Growth(f64),
    /// In the last month, this many times the usual number of members leave.
    Shock(f64),
}

/// A metric with its values by month. The first month is 1.
struct Metric {
    name: &'static str,
    measure: Measure,
    is_count: bool,
    series: Vec<(i64, f64)>,
}

/// The lasting properties of a member.
struct Member {
    is_user: bool,
    is_unsubscribed: bool,
    has_bounced: bool,
    has_marked_spam: bool,
    active: f64,
    opens: f64,
}

fn member(rng: &mut ChaCha8Rng) -> Member {
    // Half of all members open conversations, each at its own rate.
    let opens = if happens(rng, 0.5) { 0.18 * exponential(rng) } else { 0.0 };
    Member {
        is_user: happens(rng, 0.8),
        is_unsubscribed: happens(rng, 0.1),
        has_bounced: happens(rng, 0.02),
        has_marked_spam: happens(rng, 0.01),
        active: rng.random_range(0.0..1.0),
        opens,
    }
}

/// Two years of a cohort of about `size` members. Each month, the share `churn` of the members leaves, and about as many join.
fn cohort(rng: &mut ChaCha8Rng, size: f64, churn: f64, planted: Planted) -> Vec<Metric> {
    let mut metrics: Vec<Metric> =
        COUNTS.iter().map(|&(name, measure)| Metric { name, measure, is_count: true, series: Vec::new() }).collect();
    let mut previous: Vec<(i64, f64)> = Vec::new();
    let mut members: Vec<Member> = (0..poisson(rng, size)).map(|_| member(rng)).collect();
    for month in 1..=MONTHS {
        let before = members.len();
        let (more_join, more_leave) = match planted {
            Planted::Growth(rate) => (rate * before as f64, 1.0),
            Planted::Shock(times) if month == MONTHS => (0.0, times),
            _ => (0.0, 1.0),
        };
        let (mut joined, mut departed) = (0, 0);
        if month > 1 {
            members.retain(|_| !happens(rng, churn * more_leave));
            departed = (before - members.len()) as u64;
            joined = poisson(rng, size.max(if more_join > 0.0 { before as f64 } else { 0.0 }) * churn + more_join);
            members.extend((0..joined).map(|_| member(rng)));
        }
        let count = |of: fn(&Member) -> bool| members.iter().filter(|member| of(member)).count() as u64;
        let (users, unsubscribed) = (count(|member| member.is_user), count(|member| member.is_unsubscribed));
        let (bounced, spam) = (count(|member| member.has_bounced), count(|member| member.has_marked_spam));
        let now = members.len() as u64;
        let (mut active, mut openers, mut opened) = (0, 0, 0);
        for member in &members {
            active += u64::from(happens(rng, member.active));
            let conversations = if member.opens > 0.0 { poisson(rng, member.opens) } else { 0 };
            openers += u64::from(conversations > 0);
            opened += conversations;
        }
        let values = [now, users, now - users, active, unsubscribed, bounced, spam, binomial(rng, joined, 0.4), openers, opened];
        let since = [
            joined,
            binomial(rng, joined, 0.2),
            departed,
            binomial(rng, departed, 0.2),
            binomial(rng, now, 0.005),
            binomial(rng, now, 0.005),
        ];
        // Counts since the month before are unknown for the first month.
        let known = if month > 1 { since.as_slice() } else { &[] };
        for (metric, value) in metrics.iter_mut().zip(values.iter().chain(known)) {
            metric.series.push((month, *value as f64));
        }
        previous.push((month, before as f64));
    }
    let ratios: Vec<Metric> = RATIOS
        .iter()
        .map(|&(name, part, whole, measure)| {
            let of = |name: &str| metrics.iter().find(|metric| metric.name == name).map_or(&previous, |metric| &metric.series);
            let value = |&(month, part): &(i64, f64)| {
                let (_, whole) = of(whole).iter().find(|(of, _)| *of == month)?;
                (*whole > 0.0).then_some((month, part / whole))
            };
            Metric { name, measure, is_count: false, series: of(part).iter().filter_map(value).collect() }
        })
        .collect();
    metrics.extend(ratios);
    metrics
}

/// The metrics with a finding in a report: the index of the cohort, and the name of the metric.
type Found = Vec<(usize, &'static str)>;

/// The metrics that rise or fall in the months up to `now`. The q-values are computed over the metrics of one cohort.
fn directions(cohorts: &[Vec<Metric>], now: i64) -> Found {
    let mut found = Vec::new();
    for (cohort, metrics) in cohorts.iter().enumerate() {
        let trends: Vec<_> = metrics.iter().map(|metric| trend(metric.measure, &metric.series, now)).collect();
        let q = benjamini_hochberg(&trends.iter().map(|trend| trend.p_value).collect::<Vec<_>>());
        for ((metric, trend), q) in metrics.iter().zip(&trends).zip(q) {
            let is_going = trend.months >= 7 && trend.slope_per_month.is_some_and(|slope| slope != 0.0);
            if is_going && q.is_some_and(|q| q < 0.05) {
                found.push((cohort, metric.name));
            }
        }
    }
    found
}

/// The metrics that are odd in the month `now`. The q-values are computed over all metrics of the report.
fn anomalies(cohorts: &[Vec<Metric>], now: i64) -> Found {
    let (mut rows, mut p) = (Vec::new(), Vec::new());
    for (cohort, metrics) in cohorts.iter().enumerate() {
        for metric in metrics {
            let expectation = expectation(metric.measure, &metric.series, now);
            let value = metric.series.iter().find(|(month, _)| *month == now).map(|(_, value)| *value);
            let is_far = expectation.zip(value).is_some_and(|(of, value)| !metric.is_count || (value - of.expected).abs() >= 10.0);
            rows.push((cohort, metric.name, is_far));
            p.push(expectation.and_then(|of| of.p_value));
        }
    }
    let q = benjamini_hochberg(&p);
    rows.into_iter()
        .zip(q)
        .filter(|((.., is_far), q)| *is_far && q.is_some_and(|q| q < 0.05))
        .map(|((cohort, name, _), _)| (cohort, name))
        .collect()
}

/// The ten cohorts of a report. The first one has the planted change.
fn workspace(rng: &mut ChaCha8Rng, churn: f64, planted: Planted) -> Vec<Vec<Metric>> {
    (0..10).map(|index| cohort(rng, 500.0, churn, if index == 0 { planted } else { Planted::Nothing })).collect()
}

/// The share of reports with a false direction, and the share with a false anomaly. A workspace has reports from the twelfth month to the
/// last.
fn false_reports(rng: &mut ChaCha8Rng, churn: f64, worlds: u32) -> [f64; 2] {
    let (mut turned, mut odd) = (0, 0);
    for _ in 0..worlds {
        let cohorts = workspace(rng, churn, Planted::Nothing);
        for now in FIRST_REPORT..=MONTHS {
            turned += u32::from(!directions(&cohorts, now).is_empty());
            odd += u32::from(!anomalies(&cohorts, now).is_empty());
        }
    }
    let reports = f64::from(worlds) * (MONTHS - FIRST_REPORT + 1) as f64;
    [turned, odd].map(|found| f64::from(found) / reports)
}

/// The share of workspaces in which growth is found, as a rising number of members, after one year and after two.
fn growth_found(rng: &mut ChaCha8Rng, churn: f64, rate: f64, worlds: u32) -> [f64; 2] {
    let mut found = [0; 2];
    for _ in 0..worlds {
        let cohorts = [cohort(rng, 500.0, churn, Planted::Growth(rate))];
        for (found, now) in found.iter_mut().zip([12, MONTHS]) {
            *found += u32::from(directions(&cohorts, now).contains(&(0, "members")));
        }
    }
    found.map(|found| f64::from(found) / f64::from(worlds))
}

/// The share of workspaces in which a shock of the last month is found: the members, the departures or the churn are odd.
fn shock_found(rng: &mut ChaCha8Rng, churn: f64, times: f64, worlds: u32) -> f64 {
    let found = (0..worlds).filter(|_| {
        let found = anomalies(&workspace(rng, churn, Planted::Shock(times)), MONTHS);
        ["members", "departed", "churn_rate"].iter().any(|metric| found.contains(&(0, metric)))
    });
    found.count() as f64 / f64::from(worlds)
}

#[test]
fn workspaces_without_a_change_rarely_have_findings() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for churn in [0.02, 0.1, 0.5] {
        let [turned, odd] = false_reports(rng, churn, 12);
        assert!(turned <= 1.0 / 5.0, "churn {churn}: a share of {turned} of the reports shows a direction, although nothing changed");
        assert!(odd <= 1.0 / 8.0, "churn {churn}: a share of {odd} of the reports shows an anomaly, although nothing changed");
    }
}

#[test]
fn growth_and_shocks_are_found() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let [one_year, two_years] = growth_found(rng, 0.05, 0.02, 100);
    // Growth must be found at least as often as by signed-rank tests with q-values over all rows of a report: these find growth in the
    // shares 0.43 and 0.655 of 200 workspaces.
    assert!(one_year >= 0.43 && two_years >= 0.655, "{one_year} after a year, {two_years} after two");
    let found = shock_found(rng, 0.05, 2.6, 40);
    assert!(found >= 0.8, "{found}");
}

#[test]
#[ignore = "takes minutes, and prints the figures of docs/statistics.md"]
fn figures() {
    let mut out = std::io::stdout();
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for churn in [0.02, 0.1, 0.5] {
        let [turned, odd] = false_reports(rng, churn, 300);
        writeln!(out, "churn {churn}: {turned:.3} with a false direction, {odd:.3} with a false anomaly").unwrap();
    }
    for churn in [0.02, 0.05, 0.1] {
        let [one_year, two_years] = growth_found(rng, churn, 0.02, 1_000);
        writeln!(out, "growth of 2 %, churn {churn}: {one_year:.3} after a year, {two_years:.3} after two").unwrap();
    }
    for (churn, times) in [0.05, 0.1].into_iter().flat_map(|churn| [1.6, 1.8, 2.0, 2.2, 2.4, 2.6].map(|times| (churn, times))) {
        writeln!(out, "shock {times}, churn {churn}: {:.3}", shock_found(rng, churn, times, 300)).unwrap();
    }
}
