//! What stands out in a month: changes that are out of the ordinary, trends that stood their test, whether newer entrants stay
//! longer, and what the members of a cohort have in common. All of it was judged for the reports; here it is chosen and put into words.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use polars::prelude::PolarsResult;

use super::odd::odd;
use super::words::{NAME_LENGTH, attribute_name, decimal, grouped, metric_name, number_word, one_line, percent, plain, shortened};
use super::{CohortDigest, Tables};
use crate::analysis::{InCommon, NumberApart, in_common, numbers_apart};
use archive::table::Rows;
use domain;

/// Sentences of each sort, the most telling first.
const OF_EACH: usize = 3;
/// What a trend is told of: the others follow from these, or mean little to most people.
const TOLD_TRENDS: &[&str] = &["members", "churn_rate", "active_rate", "opener_rate", "unsubscribed_rate"];

/// A change is told when it is of so much of a cohort, and of so many contacts.
const LARGE_RATE: f64 = 0.1;
const LARGE_CHANGE: i64 = 10;

/// What says again that there are more members, or fewer.
const SIZES: &[&str] = &["members", "users", "leads", "joined", "departed", "churn_rate", "quick_ratio"];

/// A trend looks so many months back, this one included.
const TREND_MONTHS: i64 = 12;
/// Those who entered in so many months before this one are the newer ones.
const RECENT_MONTHS: usize = 3;
/// It is told that they stay longer, or leave sooner, when its q value is below this.
const CHANGE_Q: f64 = 0.05;

/// The month that is told of.
pub(super) struct Month<'a> {
    pub month: domain::Month,
    pub cohorts: &'a [CohortDigest],
    /// By cohort, the members of each month of its history.
    pub members: &'a BTreeMap<String, BTreeMap<NaiveDate, i64>>,
}

impl Month<'_> {
    fn members_in(&self, cohort_key: &str, month: domain::Month) -> Option<i64> {
        self.members.get(cohort_key)?.get(&month.first_day()).copied()
    }

    /// The months that the trend of a metric looks at, in words.
    fn looked_at(&self, cohort_key: &str, metric: &str) -> String {
        let now = self.month.index();
        let has_members = |month| self.members_in(cohort_key, month).is_some_and(|members| members > 0);
        let is_known = |month: domain::Month| match metric {
            "churn_rate" => self.members_in(cohort_key, month).is_some() && has_members(month.previous()),
            metric if metric.ends_with("_rate") => has_members(month),
            _ => self.members_in(cohort_key, month).is_some(),
        };
        let months: Vec<i64> = (now - TREND_MONTHS + 1..=now).filter(|month| is_known(domain::Month::from_index(*month))).collect();
        let span = months.first().map_or(0, |first| now - first + 1) as usize;
        if span == months.len() {
            format!("the last {} months", number_word(span))
        } else {
            format!("{} of the last {} months", number_word(months.len()), number_word(span))
        }
    }

    /// The months of entry of the newer members, as `retention_change` has them: the last ones of the history before this
    /// one, of those whose month before was observed.
    fn recent_entries(&self, cohort_key: &str) -> Option<(domain::Month, domain::Month)> {
        let months = self.members.get(cohort_key)?.range(..self.month.first_day());
        let recent = months.rev().take(RECENT_MONTHS).map(|(month, _)| domain::Month::of(*month));
        let known: Vec<domain::Month> = recent.filter(|month| self.members_in(cohort_key, month.previous()).is_some()).collect();
        Some((*known.last()?, *known.first()?))
    }
}

/// A sentence, and how telling it is among those of its sort.
struct Told {
    cohort_key: String,
    weight: f64,
    sentence: String,
}

pub(super) fn notable(month: &Month<'_>, tables: &Tables) -> PolarsResult<Vec<String>> {
    let trends = tables.named("cohort_trends")?;
    let large = large_changes(month.cohorts);
    let odd = odd_values(trends, &large)?;
    let common = in_common(tables.named("attribute_profile")?.0)?;
    let numbers = numbers_apart(tables.named("numeric_profile")?.0)?;
    let all = [
        large,
        odd,
        lasting(month, trends)?,
        newer_entrants(month, tables.named("retention_change")?)?,
        common.iter().map(|common| of_value(month.cohorts, common)).collect(),
        numbers.iter().map(of_number).collect(),
    ];
    Ok(all.into_iter().flat_map(most_telling).collect())
}

/// One of each cohort: several cohorts tell more than several metrics of one.
fn most_telling(mut told: Vec<Told>) -> impl Iterator<Item = String> {
    told.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut seen = HashSet::new();
    told.into_iter().filter(move |told| seen.insert(told.cohort_key.clone())).take(OF_EACH).map(|told| told.sentence)
}

fn name(rows: Rows<'_>, column: &str, row: usize) -> PolarsResult<String> {
    Ok(short(rows.text(column, row)?))
}

/// What grew or shrank most, in its own terms.
fn large_changes(cohorts: &[CohortDigest]) -> Vec<Told> {
    let mut told = Vec::new();
    for cohort in cohorts {
        let (Some(joined), Some(departed), Some(rate)) = (cohort.joined, cohort.departed, cohort.growth_rate) else { continue };
        let change = joined - departed;
        if rate.abs() < LARGE_RATE || change.abs() < LARGE_CHANGE {
            continue;
        }
        let how = if change > 0 { "grew" } else { "shrank" };
        let sentence = format!(
            "{} {how} by {}, from {} members to {}.",
            shortened(&cohort.name, NAME_LENGTH),
            percent(rate.abs()),
            grouped(cohort.members - change),
            grouped(cohort.members)
        );
        told.push(Told { cohort_key: cohort.cohort_key.clone(), weight: rate.abs(), sentence });
    }
    told
}

/// What was not expected, the farthest off first. Of a cohort whose size is told already, what is not about its size.
fn odd_values(trends: Rows<'_>, large: &[Told]) -> PolarsResult<Vec<Told>> {
    let mut told = Vec::new();
    for row in 0..trends.count_all() {
        let ratio = |name: &str| trends.ratio(name, row);
        let (Some(value), Some(expected), Some(low), Some(high)) =
            (ratio("value")?, ratio("expected")?, ratio("expected_low")?, ratio("expected_high")?)
        else {
            continue;
        };
        let (cohort_key, metric) = (trends.text("cohort_key", row)?, trends.text("metric", row)?);
        let is_told = SIZES.contains(&metric) && large.iter().any(|told| told.cohort_key == cohort_key);
        if trends.flag("is_anomaly", row)? == Some(true) && !is_told {
            let sentence = format!("{}: {}.", name(trends, "cohort_name", row)?, odd(metric, value, low, high));
            told.push(Told { cohort_key: cohort_key.to_string(), weight: (value - expected).abs() / (high - low), sentence });
        }
    }
    Ok(told)
}

fn lasting(month: &Month<'_>, trends: Rows<'_>) -> PolarsResult<Vec<Told>> {
    let mut told = Vec::new();
    for row in 0..trends.count_all() {
        let (metric, direction) = (trends.text("metric", row)?, trends.text("direction", row)?);
        if !TOLD_TRENDS.contains(&metric) || !["rising", "falling"].contains(&direction) {
            continue;
        }
        let (Some(q), Some(slope)) = (trends.ratio("trend_q", row)?, trends.ratio("slope_per_month", row)?) else { continue };
        // This month may be the end of it.
        if trends.ratio("change", row)?.is_some_and(|change| change * slope < 0.0) {
            continue;
        }
        let (name, cohort_key) = (name(trends, "cohort_name", row)?, trends.text("cohort_key", row)?);
        let months = month.looked_at(cohort_key, metric);
        let sentence =
            format!("{name}: {} {direction} over {months}, by about {} a month.", metric_name(metric), slope_of(metric, slope.abs()));
        told.push(Told { cohort_key: cohort_key.to_string(), weight: -q, sentence });
    }
    Ok(told)
}

/// With so many places that it is not 0, and no more than it needs.
fn slope_of(metric: &str, slope: f64) -> String {
    if metric.ends_with("_rate") {
        let points = slope * 100.0;
        format!("{} percentage points", decimal(points, if points < 0.1 { 2 } else { 1 }))
    } else {
        rounded(slope)
    }
}

/// A number of contacts that need not be whole: with a decimal while it is small.
fn rounded(contacts: f64) -> String {
    if contacts < 10.0 { plain((contacts * 10.0).round() / 10.0) } else { grouped(contacts.round() as i64) }
}

/// Whether those who entered lately stay longer than those before them.
fn newer_entrants(month: &Month<'_>, changes: Rows<'_>) -> PolarsResult<Vec<Told>> {
    let mut told = Vec::new();
    for row in 0..changes.count_all() {
        let ratio = |name: &str| changes.ratio(name, row);
        let (Some(q), Some(hazard), Some(expected)) = (ratio("q_value")?, ratio("hazard_ratio")?, ratio("recent_expected")?) else {
            continue;
        };
        let cohort_key = changes.text("cohort_key", row)?;
        let Some((first, last)) = month.recent_entries(cohort_key).filter(|_| q < CHANGE_Q) else { continue };
        let entered = if first == last { format!("in {last}") } else { format!("from {first} to {last}") };
        let how = if hazard < 1.0 { "stay longer" } else { "leave sooner" };
        let sentence = format!(
            "{}: newer entrants {how}: of those who entered {entered}, {} departed, where {} were expected from earlier entrants of the \
             same age (hazard ratio {}).",
            name(changes, "cohort_name", row)?,
            grouped(changes.count("recent_departed", row)?.unwrap_or_default()),
            rounded(expected),
            decimal(hazard, 2),
        );
        told.push(Told { cohort_key: cohort_key.to_string(), weight: -q, sentence });
    }
    Ok(told)
}

fn short(text: &str) -> String {
    shortened(&one_line(text), NAME_LENGTH)
}

/// A value that members have in common.
fn of_value(cohorts: &[CohortDigest], common: &InCommon) -> Told {
    let attribute = attribute_name(&common.attribute);
    let value = if common.is_unknown() { "unknown".to_string() } else { short(&common.value) };
    let is_everyone = cohorts.iter().any(|cohort| cohort.cohort_key == common.cohort_key && cohort.members == common.of_members);
    let of_members = grouped(common.of_members);
    let whom = match (common.is_unknown(), is_everyone) {
        (_, true) => format!("its {of_members} members"),
        (true, false) => format!("{of_members} members"),
        (false, false) => format!("{of_members} members whose {attribute} is known"),
    };
    let sentence = format!(
        "{}: {attribute} is {value} for {} of {whom} ({}), {} times as often as for others of the same role ({}).",
        short(&common.cohort_name),
        grouped(common.members),
        percent(common.member_share),
        decimal(common.lift, 1),
        percent(common.other_share),
    );
    Told { cohort_key: common.cohort_key.clone(), weight: common.strength, sentence }
}

/// A number that is mostly larger, or smaller, among members.
fn of_number(number: &NumberApart) -> Told {
    let which = if number.cliffs_delta > 0.0 { "higher" } else { "lower" };
    let medians = match (number.median.map(plain), number.others_median.map(plain)) {
        (Some(median), Some(others)) if median != others => format!("median {median}, of others {others}; "),
        _ => String::new(),
    };
    let sentence = format!(
        "{}: {} is mostly {which} than for others ({medians}Cliff's delta {}).",
        short(&number.cohort_name),
        attribute_name(&number.attribute),
        decimal(number.cliffs_delta, 2),
    );
    Told { cohort_key: number.cohort_key.clone(), weight: number.cliffs_delta.abs(), sentence }
}
