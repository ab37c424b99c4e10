use std::collections::{BTreeMap, BTreeSet};

use super::intervals::{Interval, wilson};
use super::life_table::PersonMonths;
use super::normal::two_sided;

/// A cell of one cohort's retention triangle: the contacts that entered in `entry_month`, `age_months` later. There is a cell for each
/// observed month from the entry on. Months are numbered without gaps: an unobserved month has a number too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionCell {
    pub entry_month: i64,
    pub age_months: i64,
    /// Whether the month before the entry was not observed, so that the contacts may have entered earlier.
    pub entry_is_censored: bool,
    pub entrants: u64,
    /// The number of members at that age, with or without a break.
    pub retained: u64,
    /// The number of members in every observed month up to that age.
    pub retained_unbroken: u64,
}

/// How many contacts are members at an age. Contacts with a censored entry are left out, and so are entry months without a cell at this
/// age.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetentionCurvePoint {
    pub age_months: i64,
    /// The number of entry months that are pooled.
    pub entry_months: u64,
    pub entrants: u64,
    pub retained: u64,
    pub retained_unbroken: u64,
    /// Wilson's interval of retained / entrants. None without entrants.
    pub interval: Option<Interval>,
}

/// Whether recent entrants depart sooner or later than earlier ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetentionChange {
    pub recent_entrants: u64,
    pub earlier_entrants: u64,
    pub recent_departed: u64,
    pub earlier_departed: u64,
    /// How many of the recent entrants would have departed if recent and earlier entrants had the same hazard at each age.
    pub recent_expected: f64,
    /// None with fewer than ten departures of either recent or earlier entrants.
    pub test: Option<LogRank>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRank {
    /// The hazard of the recent entrants divided by that of the earlier ones. Under 1, recent entrants stay longer.
    pub hazard_ratio: f64,
    pub interval: Interval,
    /// Two-sided.
    pub p_value: f64,
}

/// The number of observed months before the current month whose entries are recent.
const RECENT_MONTHS: usize = 3;
const DEPARTURES_MIN: u64 = 10;
/// The half-width of the interval in standard errors, as in the source of the interval.
const REACH: f64 = 1.96;

/// The pooled retention of all entry months that are not censored, at each age that any of them has, lowest age first.
pub fn retention_curve(cells: &[RetentionCell]) -> Vec<RetentionCurvePoint> {
    let mut ages: BTreeMap<i64, RetentionCurvePoint> = BTreeMap::new();
    for cell in known(cells) {
        let point = ages.entry(cell.age_months).or_insert(RetentionCurvePoint {
            age_months: cell.age_months,
            entry_months: 0,
            entrants: 0,
            retained: 0,
            retained_unbroken: 0,
            interval: None,
        });
        point.entry_months += 1;
        point.entrants = point.entrants.saturating_add(cell.entrants);
        point.retained = point.retained.saturating_add(cell.retained);
        point.retained_unbroken = point.retained_unbroken.saturating_add(cell.retained_unbroken);
    }
    ages.into_values().map(|point| RetentionCurvePoint { interval: wilson(point.retained, point.entrants), ..point }).collect()
}

/// The input of a life table: the person-months of first spells with a known entry, for k = 1, 2, … until nobody is at risk. `months` are
/// the observed months, in any order.
pub fn person_months(cells: &[RetentionCell], months: &[i64]) -> Vec<PersonMonths> {
    let all = by_duration(known(cells), &months.iter().copied().collect());
    in_order(&all).copied().collect()
}

/// The log-rank test of Mantel (1966), Evaluation of survival data and two new rank order statistics, Cancer Chemother. Rep. 50:163-170,
/// over the person-months of the life table. It compares entries in the last three observed months before `now` with earlier entries. The
/// variance is hypergeometric. With O observed and E expected departures, the hazard ratio is O / E of the recent entries divided by O / E
/// of the earlier ones. The variance of its logarithm is the sum of 1 / E of the recent and 1 / E of the earlier entries: Peto et al.
/// (1977), Design and analysis of randomized clinical trials, Br. J. Cancer 35:1-39.
pub fn retention_change(cells: &[RetentionCell], months: &[i64], now: i64) -> RetentionChange {
    let months: BTreeSet<i64> = months.iter().copied().collect();
    let recent_months: BTreeSet<i64> = months.range(..now).rev().take(RECENT_MONTHS).copied().collect();
    let is_recent = |cell: &&RetentionCell| recent_months.contains(&cell.entry_month);
    let is_earlier = |cell: &&RetentionCell| recent_months.first().is_some_and(|first| cell.entry_month < *first);

    let recent = by_duration(known(cells).filter(is_recent), &months);
    let earlier = by_duration(known(cells).filter(is_earlier), &months);
    let both = by_duration(known(cells).filter(|cell| is_recent(cell) || is_earlier(cell)), &months);
    let (mut recent_departed, mut earlier_departed) = (0, 0);
    let (mut recent_expected, mut earlier_expected, mut difference, mut variance) = (0.0, 0.0, 0.0, 0.0);
    for (k, both) in (1..).zip(in_order(&both)) {
        let part = |of: &BTreeMap<i64, PersonMonths>| of.get(&k).copied().unwrap_or_default();
        let (recent, earlier) = (part(&recent), part(&earlier));
        recent_departed += recent.departed;
        earlier_departed += earlier.departed;
        let (n, d) = (both.at_risk as f64, both.departed as f64);
        let (share, rest) = (recent.at_risk as f64 / n, earlier.at_risk as f64 / n);
        recent_expected += d * share;
        earlier_expected += d * rest;
        difference += recent.departed as f64 * rest - earlier.departed as f64 * share;
        if both.at_risk > 1 {
            variance += d * share * rest * ((n - d) / (n - 1.0));
        }
    }
    let test = (recent_departed.min(earlier_departed) >= DEPARTURES_MIN).then(|| {
        let hazard_ratio = recent_departed as f64 / recent_expected / (earlier_departed as f64 / earlier_expected);
        let reach = (REACH * (1.0 / recent_expected + 1.0 / earlier_expected).sqrt()).exp();
        let interval = Interval { low: hazard_ratio / reach, high: (hazard_ratio * reach).min(f64::MAX) };
        // If the variance is 0, recent and earlier entries can be compared at no age.
        let p_value = if variance > 0.0 { two_sided(difference / variance.sqrt()) } else { 1.0 };
        LogRank { hazard_ratio, interval, p_value }
    });
    RetentionChange {
        recent_entrants: entrants(known(cells).filter(is_recent)),
        earlier_entrants: entrants(known(cells).filter(is_earlier)),
        recent_departed,
        earlier_departed,
        recent_expected,
        test,
    }
}

fn known(cells: &[RetentionCell]) -> impl Iterator<Item = &RetentionCell> {
    cells.iter().filter(|cell| !cell.entry_is_censored && cell.age_months >= 0)
}

fn entrants<'a>(cells: impl Iterator<Item = &'a RetentionCell>) -> u64 {
    cells.filter(|cell| cell.age_months == 0).map(|cell| cell.entrants).fold(0, u64::saturating_add)
}

/// The person-months by duration k. There are none for a k if no entry month has cells at both k - 1 and k months.
fn by_duration<'a>(cells: impl Iterator<Item = &'a RetentionCell>, months: &BTreeSet<i64>) -> BTreeMap<i64, PersonMonths> {
    let unbroken: BTreeMap<(i64, i64), u64> = cells.map(|cell| ((cell.entry_month, cell.age_months), cell.retained_unbroken)).collect();
    let is_observed = |entry: i64, age: i64| entry.checked_add(age).is_some_and(|month| months.contains(&month));
    let mut durations: BTreeMap<i64, PersonMonths> = BTreeMap::new();
    for (&(entry, age), &before) in &unbroken {
        let Some(&after) = age.checked_add(1).and_then(|next| unbroken.get(&(entry, next))) else { continue };
        let counts = durations.entry(age + 1).or_default();
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        let after = after.min(before);
        add(&mut counts.at_risk, before);
        add(&mut counts.departed, before - after);
        if !is_observed(entry, age.saturating_add(2)) {
            add(&mut counts.censored, after);
        }
        if age > 0 && !is_observed(entry, age - 1) {
            add(&mut counts.resumed, before);
        }
    }
    durations
}

/// The person-months in order of duration k (months since entry), from 1 to the last k at which somebody is at risk.
fn in_order(durations: &BTreeMap<i64, PersonMonths>) -> impl Iterator<Item = &PersonMonths> {
    (1..).map_while(|k| durations.get(&k).filter(|counts| counts.at_risk > 0))
}

#[cfg(test)]
mod tests;
