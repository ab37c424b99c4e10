//! Selects what stands out in a month and puts it into words: large and unusual changes, subscriptions that many members left, significant
//! trends, whether newer entrants stay longer, and what the members of a cohort have in common. The reports do the statistical tests.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use polars::prelude::PolarsResult;
use serde::Serialize;

use super::odd::odd;
use super::words::{
    NAME_LENGTH, attribute_name, decimal, grouped, metric_name, month_name, number_word, one_line, percent, plain, shortened,
};
use super::{CohortDigest, Tables};
use crate::analysis::{InCommon, NumberApart, in_common, numbers_apart};
use archive::table::Rows;

/// The maximum number of sentences of each kind. The most important come first.
const OF_EACH: usize = 3;
/// The metrics whose trends are mentioned. The others follow from these, or mean little to most people.
const MENTIONED_TRENDS: &[&str] = &["members", "churn_rate", "active_rate", "opener_rate", "unsubscribed_rate"];

/// A cohort that grew or shrank is mentioned only if its growth rate is at least this, in either direction.
const LARGE_RATE: f64 = 0.1;
/// A cohort that grew or shrank is mentioned only if it also gained or lost at least this many members, net.
const LARGE_CHANGE: i64 = 10;

/// A cohort is back to its size of two months ago if the difference is at most one `BACK_WITHIN`th of the change since the month before.
const BACK_WITHIN: i64 = 4;
/// Members who left a subscription are mentioned only if they are at least this share of all, and at least [`LARGE_CHANGE`].
const LARGE_OPT_OUT: f64 = 0.05;

/// Metrics that only repeat that a cohort grew or shrank.
const SIZES: &[&str] = &["members", "users", "leads", "joined", "departed", "churn_rate", "quick_ratio"];

/// The number of months of a trend, this one included.
const TREND_MONTHS: i64 = 12;
/// Contacts that entered in this many months before this one are the newer entrants.
const RECENT_MONTHS: usize = 3;
/// A difference between newer and earlier entrants is mentioned if its q value is below this.
const CHANGE_Q: f64 = 0.05;

/// The month to describe.
pub(super) struct Month<'a> {
    pub month: domain::Month,
    pub cohorts: &'a [CohortDigest],
    /// The number of members in each month of the cohort's history, by cohort.
    pub members: &'a BTreeMap<String, BTreeMap<NaiveDate, i64>>,
}

impl Month<'_> {
    fn members_in(&self, cohort_key: &str, month: domain::Month) -> Option<i64> {
        self.members.get(cohort_key)?.get(&month.first_day()).copied()
    }

    /// The sentence for a cohort that has about the same size as two months ago, because the month between was unusual. `None` for other
    /// cohorts.
    fn back_to_usual(&self, cohort: &CohortDigest) -> Option<String> {
        let (last, earlier) = (self.month.previous(), self.month.previous().previous());
        let (was, usual) = (self.members_in(&cohort.cohort_key, last)?, self.members_in(&cohort.cohort_key, earlier)?);
        let (jump, change) = (was - usual, cohort.members - was);
        let is_back = jump.signum() == -change.signum() && (cohort.members - usual).abs() * BACK_WITHIN <= change.abs();
        is_back.then(|| {
            format!(
                "{} is back to {} members, after {} in {} and {} in {}.",
                shortened(&cohort.name, NAME_LENGTH),
                grouped(cohort.members),
                grouped(was),
                month_name(last),
                grouped(usual),
                month_name(earlier)
            )
        })
    }

    /// The months of a metric's trend, in words.
    fn months_of_trend(&self, cohort_key: &str, metric: &str) -> String {
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

    /// The first and last month of entry of the newer entrants, as in `retention_change`. These are the last months of the history
    /// before this one, without months whose month before was not observed. `None` if there are none.
    fn recent_entries(&self, cohort_key: &str) -> Option<(domain::Month, domain::Month)> {
        let months = self.members.get(cohort_key)?.range(..self.month.first_day());
        let recent = months.rev().take(RECENT_MONTHS).map(|(month, _)| domain::Month::of(*month));
        let known: Vec<domain::Month> = recent.filter(|month| self.members_in(cohort_key, month.previous()).is_some()).collect();
        Some((*known.last()?, *known.first()?))
    }
}

/// Something that stands out in a month: a sentence, and its facts for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notable {
    pub kind: NotableKind,
    pub cohort_key: String,
    /// A metric of `cohort_trends`; for what members have in common, the attribute.
    pub metric: String,
    /// The value that members have in common, or the subscription that they left; `None` for the other kinds.
    pub attribute_value: Option<String>,
    /// The observed value of the metric. For a trend, its slope per month; for what members have in common, their share; for a number,
    /// their median.
    pub value: Option<f64>,
    /// What `value` is compared with: the earlier number for a large change and for a subscription, the expected value, or the share or the
    /// median of other contacts. `None` for a trend.
    pub expected: Option<f64>,
    pub sentence: String,
    /// The importance among the entries of the same kind.
    #[serde(skip)]
    weight: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotableKind {
    /// A cohort grew or shrank much, relative to its size.
    LargeChange,
    /// Many members left a subscription.
    OptOuts,
    /// A value outside of what was expected from the months before.
    Unexpected,
    Trend,
    /// Newer entrants stay longer, or leave sooner, than earlier ones.
    NewerEntrants,
    /// A value that members have more often than others.
    InCommon,
    /// A number that is mostly higher, or lower, among members.
    NumberApart,
}

/// The most important entries of a month: the first entry of each kind before the second entry of any kind. The result has the order of
/// `notable`.
pub(super) fn headlines(notable: &[Notable], most: usize) -> Vec<&Notable> {
    let mut of_kind: Vec<NotableKind> = Vec::new();
    let mut ranked: Vec<(usize, usize)> = Vec::new();
    for (place, entry) in notable.iter().enumerate() {
        ranked.push((of_kind.iter().filter(|kind| **kind == entry.kind).count(), place));
        of_kind.push(entry.kind);
    }
    ranked.sort_unstable();
    ranked.truncate(most);
    ranked.sort_unstable_by_key(|(_, place)| *place);
    ranked.into_iter().map(|(_, place)| &notable[place]).collect()
}

pub(super) fn notable(month: &Month<'_>, tables: &Tables) -> PolarsResult<Vec<Notable>> {
    let trends = tables.named("cohort_trends")?;
    let large = large_changes(month);
    let odd = odd_values(trends, &large)?;
    let common = in_common(tables.named("attribute_profile")?.0)?;
    let numbers = numbers_apart(tables.named("numeric_profile")?.0)?;
    let all = [
        large,
        opt_outs(month, tables)?,
        odd,
        lasting(month, trends)?,
        newer_entrants(month, tables.named("retention_change")?)?,
        common.iter().map(|common| of_value(month.cohorts, common)).collect(),
        numbers.iter().map(of_number).collect(),
    ];
    Ok(all.into_iter().flat_map(most_important).collect())
}

/// The most important sentences, at most [`OF_EACH`]. Each is about another cohort, so that one cohort does not use up the limit.
fn most_important(mut sentences: Vec<Notable>) -> impl Iterator<Item = Notable> {
    sentences.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut seen = HashSet::new();
    sentences.into_iter().filter(move |sentence| seen.insert(sentence.cohort_key.clone())).take(OF_EACH)
}

fn name(rows: Rows<'_>, column: &str, row: usize) -> PolarsResult<String> {
    Ok(short(rows.text(column, row)?))
}

/// Cohorts that grew or shrank much, relative to their size.
fn large_changes(month: &Month<'_>) -> Vec<Notable> {
    let mut sentences = Vec::new();
    for cohort in month.cohorts {
        let (Some(joined), Some(departed), Some(rate)) = (cohort.joined, cohort.departed, cohort.growth_rate) else { continue };
        let change = joined - departed;
        if rate.abs() < LARGE_RATE || change.abs() < LARGE_CHANGE {
            continue;
        }
        let how = if change > 0 { "grew" } else { "shrank" };
        let text = format!(
            "{} {how} by {}, from {} members to {}{}.",
            shortened(&cohort.name, NAME_LENGTH),
            percent(rate.abs()),
            grouped(cohort.members - change),
            grouped(cohort.members),
            cohort.changed_at.map_or(String::new(), |at| format!(
                "; the group was changed on {}, its filter may have been edited",
                at.format("%Y-%m-%d")
            ))
        );
        let text = month.back_to_usual(cohort).unwrap_or(text);
        sentences.push(Notable {
            kind: NotableKind::LargeChange,
            cohort_key: cohort.cohort_key.clone(),
            metric: "members".to_string(),
            attribute_value: None,
            value: Some(cohort.members as f64),
            expected: Some((cohort.members - change) as f64),
            sentence: text,
            weight: rate.abs(),
        });
    }
    sentences
}

/// Subscriptions that many members left since the compared month. The flag for all e-mails is a metric, see [`odd_values`].
fn opt_outs(month: &Month<'_>, tables: &Tables) -> PolarsResult<Vec<Notable>> {
    let (rows, history) = (tables.named("unsubscribes")?, tables.named("opt_outs")?);
    let before = |cohort_key: &str, subscription: &str| -> PolarsResult<Option<i64>> {
        for row in history.of("cohort_key", cohort_key)? {
            let is_of = history.text("subscription_id", row)? == subscription;
            if is_of && history.day("month", row)? == Some(month.month.previous().first_day()) {
                return history.count("newly_opted_out", row);
            }
        }
        Ok(None)
    };
    let mut sentences = Vec::new();
    for row in 0..rows.count_all() {
        let (cohort_key, subscription) = (rows.text("cohort_key", row)?, rows.text("subscription_id", row)?);
        let (Some(left), Some(members)) = (rows.count("newly_opted_out", row)?, rows.count("members", row)?) else { continue };
        let share = left as f64 / members.max(1) as f64;
        if subscription.is_empty() || left < LARGE_CHANGE || share < LARGE_OPT_OUT {
            continue;
        }
        let (name, earlier) = (name(rows, "subscription_name", row)?, before(cohort_key, subscription)?);
        let text = format!(
            "{}: {} of {} members unsubscribed from {name} ({}){}.",
            short(rows.text("cohort_name", row)?),
            grouped(left),
            grouped(members),
            percent(share),
            earlier.map_or(String::new(), |earlier| format!("; {} the month before", grouped(earlier))),
        );
        sentences.push(Notable {
            kind: NotableKind::OptOuts,
            cohort_key: cohort_key.to_string(),
            metric: "newly_opted_out".to_string(),
            attribute_value: Some(name),
            value: Some(left as f64),
            expected: earlier.map(|earlier| earlier as f64),
            sentence: text,
            weight: left as f64,
        });
    }
    Ok(sentences)
}

/// Values that were not expected, the farthest off first. If a cohort's size is already mentioned (`large`), its size metrics
/// are left out.
fn odd_values(trends: Rows<'_>, large: &[Notable]) -> PolarsResult<Vec<Notable>> {
    let mut sentences = Vec::new();
    for row in 0..trends.count_all() {
        let ratio = |name: &str| trends.ratio(name, row);
        let (Some(value), Some(expected), Some(low), Some(high)) =
            (ratio("value")?, ratio("expected")?, ratio("expected_low")?, ratio("expected_high")?)
        else {
            continue;
        };
        let (cohort_key, metric) = (trends.text("cohort_key", row)?, trends.text("metric", row)?);
        let is_mentioned = SIZES.contains(&metric) && large.iter().any(|sentence| sentence.cohort_key == cohort_key);
        if trends.flag("is_anomaly", row)? == Some(true) && !is_mentioned {
            let text = format!("{}: {}.", name(trends, "cohort_name", row)?, odd(metric, value, low, high));
            sentences.push(Notable {
                kind: NotableKind::Unexpected,
                cohort_key: cohort_key.to_string(),
                metric: metric.to_string(),
                attribute_value: None,
                value: Some(value),
                expected: Some(expected),
                sentence: text,
                weight: (value - expected).abs() / (high - low),
            });
        }
    }
    Ok(sentences)
}

fn lasting(month: &Month<'_>, trends: Rows<'_>) -> PolarsResult<Vec<Notable>> {
    let mut sentences = Vec::new();
    for row in 0..trends.count_all() {
        let (metric, direction) = (trends.text("metric", row)?, trends.text("direction", row)?);
        if !MENTIONED_TRENDS.contains(&metric) || !["rising", "falling"].contains(&direction) {
            continue;
        }
        let (Some(q), Some(slope)) = (trends.ratio("trend_q", row)?, trends.ratio("slope_per_month", row)?) else { continue };
        // If this month goes against the trend, the trend may have ended.
        if trends.ratio("change", row)?.is_some_and(|change| change * slope < 0.0) {
            continue;
        }
        let (name, cohort_key) = (name(trends, "cohort_name", row)?, trends.text("cohort_key", row)?);
        let months = month.months_of_trend(cohort_key, metric);
        let text =
            format!("{name}: {} {direction} over {months}, by about {} a month.", metric_name(metric), slope_of(metric, slope.abs()));
        sentences.push(Notable {
            kind: NotableKind::Trend,
            cohort_key: cohort_key.to_string(),
            metric: metric.to_string(),
            attribute_value: None,
            value: Some(slope),
            expected: None,
            sentence: text,
            weight: -q,
        });
    }
    Ok(sentences)
}

/// The slope with enough decimal places to differ from 0.
fn slope_of(metric: &str, slope: f64) -> String {
    if metric.ends_with("_rate") {
        let points = slope * 100.0;
        format!("{} pp", decimal(points, if points < 0.1 { 2 } else { 1 }))
    } else {
        rounded(slope)
    }
}

/// A fractional number of contacts: with one decimal below 10, else rounded.
fn rounded(contacts: f64) -> String {
    if contacts < 10.0 { plain((contacts * 10.0).round() / 10.0) } else { grouped(contacts.round() as i64) }
}

/// Cohorts whose newer entrants stay longer or leave sooner than earlier ones.
fn newer_entrants(month: &Month<'_>, changes: Rows<'_>) -> PolarsResult<Vec<Notable>> {
    let mut sentences = Vec::new();
    for row in 0..changes.count_all() {
        let ratio = |name: &str| changes.ratio(name, row);
        let (Some(q), Some(hazard), Some(expected)) = (ratio("q_value")?, ratio("hazard_ratio")?, ratio("recent_expected")?) else {
            continue;
        };
        let cohort_key = changes.text("cohort_key", row)?;
        let Some((first, last)) = month.recent_entries(cohort_key).filter(|_| q < CHANGE_Q) else { continue };
        let entered = if first == last { format!("in {last}") } else { format!("from {first} to {last}") };
        let how = if hazard < 1.0 { "stay longer" } else { "leave sooner" };
        let departed = changes.count("recent_departed", row)?.unwrap_or_default();
        let text = format!(
            "{}: newer entrants {how}: of those who entered {entered}, {} departed, where {} were expected from earlier entrants of the \
             same age (hazard ratio {}).",
            name(changes, "cohort_name", row)?,
            grouped(departed),
            rounded(expected),
            decimal(hazard, 2),
        );
        sentences.push(Notable {
            kind: NotableKind::NewerEntrants,
            cohort_key: cohort_key.to_string(),
            metric: "recent_departed".to_string(),
            attribute_value: None,
            value: Some(departed as f64),
            expected: Some(expected),
            sentence: text,
            weight: -q,
        });
    }
    Ok(sentences)
}

fn short(text: &str) -> String {
    shortened(&one_line(text), NAME_LENGTH)
}

/// The sentence for a value that members have in common.
fn of_value(cohorts: &[CohortDigest], common: &InCommon) -> Notable {
    let attribute = attribute_name(&common.attribute);
    let value = if common.is_unknown() { "unknown".to_string() } else { short(&common.value) };
    let is_everyone = cohorts.iter().any(|cohort| cohort.cohort_key == common.cohort_key && cohort.members == common.of_members);
    let of_members = grouped(common.of_members);
    let whom = match (common.is_unknown(), is_everyone) {
        (_, true) => format!("its {of_members} members"),
        (true, false) => format!("{of_members} members"),
        (false, false) => format!("{of_members} members whose {attribute} is known"),
    };
    let text = format!(
        "{}: {attribute} is {value} for {} of {whom} ({}{}), {} times as often as for others of the same role ({} of all others).",
        short(&common.cohort_name),
        grouped(common.members),
        percent(common.member_share),
        common.previous_share.map_or(String::new(), |before| format!(", before {}", percent(before))),
        decimal(common.lift, 1),
        percent(common.other_share),
    );
    Notable {
        kind: NotableKind::InCommon,
        cohort_key: common.cohort_key.clone(),
        metric: common.attribute.clone(),
        attribute_value: Some(common.value.clone()),
        value: Some(common.member_share),
        expected: Some(common.other_share),
        sentence: text,
        weight: common.strength,
    }
}

/// The sentence for a number that is mostly larger, or smaller, among members.
fn of_number(number: &NumberApart) -> Notable {
    let which = if number.cliffs_delta > 0.0 { "higher" } else { "lower" };
    let medians = match (number.median.map(plain), number.others_median.map(plain)) {
        (Some(median), Some(others)) if median != others => format!("median {median}, of others {others}; "),
        _ => String::new(),
    };
    let text = format!(
        "{}: {} is mostly {which} than for others ({medians}Cliff's delta {}).",
        short(&number.cohort_name),
        attribute_name(&number.attribute),
        decimal(number.cliffs_delta, 2),
    );
    Notable {
        kind: NotableKind::NumberApart,
        cohort_key: number.cohort_key.clone(),
        metric: number.attribute.clone(),
        attribute_value: None,
        value: number.median,
        expected: number.others_median,
        sentence: text,
        weight: number.cliffs_delta.abs(),
    }
}
