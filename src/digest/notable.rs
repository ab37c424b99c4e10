//! What stands out in a month: changes that are out of the ordinary, trends that stood their test, and what the members of
//! a cohort have in common. All of it was judged for the reports; here it is chosen and put into words.

use std::collections::HashSet;

use polars::prelude::PolarsResult;

use super::words::{NAME_LENGTH, attribute_name, decimal, grouped, metric_name, metric_value, one_line, percent, shortened};
use super::{CohortDigest, Tables};
use crate::analysis::{InCommon, in_common};
use crate::table::Rows;

/// Sentences of each sort, the most telling first.
const OF_EACH: usize = 3;
/// What a trend is told of: the others follow from these, or mean little to most people.
const TOLD_TRENDS: &[&str] = &["members", "churn_rate", "active_rate", "opener_rate", "unsubscribed_rate"];

/// A change is told when it is of so much of a cohort, and of so many contacts.
const LARGE_RATE: f64 = 0.1;
const LARGE_CHANGE: i64 = 10;

/// What says again that there are more members, or fewer.
const SIZES: &[&str] =
    &["members", "users", "leads", "net_change", "growth_rate", "joined", "departed", "retained", "retention_rate", "churn_rate"];

/// A sentence, and how telling it is among those of its sort.
struct Told {
    cohort_key: String,
    weight: f64,
    sentence: String,
}

pub(super) fn notable(cohorts: &[CohortDigest], tables: &Tables) -> PolarsResult<Vec<String>> {
    let trends = tables.named("cohort_trends")?;
    let large = large_changes(cohorts);
    let odd = odd_changes(trends, &large)?;
    let all = [large, odd, lasting(trends)?, commonest(&in_common(tables.named("attribute_profile")?.0)?)];
    Ok(all.into_iter().flat_map(most_telling).collect())
}

/// One of each cohort: several cohorts tell more than several metrics of one.
fn most_telling(mut told: Vec<Told>) -> impl Iterator<Item = String> {
    told.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut seen = HashSet::new();
    told.into_iter().filter(move |told| seen.insert(told.cohort_key.clone())).take(OF_EACH).map(|told| told.sentence)
}

fn name(rows: Rows<'_>, column: &str, row: usize) -> PolarsResult<String> {
    Ok(shortened(&one_line(rows.text(column, row)?), NAME_LENGTH))
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

/// What changed far more than it uses to. Of a cohort whose size is told already, what is not about its size.
fn odd_changes(trends: Rows<'_>, large: &[Told]) -> PolarsResult<Vec<Told>> {
    let mut told = Vec::new();
    for row in 0..trends.count_all() {
        let (Some(value), Some(before), Some(z)) =
            (trends.ratio("value", row)?, trends.ratio("previous_value", row)?, trends.ratio("robust_z", row)?)
        else {
            continue;
        };
        let (cohort_key, metric) = (trends.text("cohort_key", row)?, trends.text("metric", row)?);
        let is_told = SIZES.contains(&metric) && large.iter().any(|told| told.cohort_key == cohort_key);
        if trends.flag("is_anomaly", row)? == Some(true) && !is_told {
            let name = name(trends, "cohort_name", row)?;
            let (value, before) = (metric_value(metric, value), metric_value(metric, before));
            let sentence = format!("{name}: {} went from {before} to {value}, far from its usual changes.", metric_name(metric));
            told.push(Told { cohort_key: cohort_key.to_string(), weight: z.abs(), sentence });
        }
    }
    Ok(told)
}

fn lasting(trends: Rows<'_>) -> PolarsResult<Vec<Told>> {
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
        let name = name(trends, "cohort_name", row)?;
        let slope = slope.abs();
        let slope = if metric.ends_with("_rate") {
            format!("{} percentage points", decimal(slope * 100.0, 1))
        } else {
            grouped(slope.round() as i64)
        };
        let sentence = format!("{name}: {} {direction} over the last twelve months, by about {slope} a month.", metric_name(metric));
        told.push(Told { cohort_key: trends.text("cohort_key", row)?.to_string(), weight: -q, sentence });
    }
    Ok(told)
}

fn commonest(found: &[InCommon]) -> Vec<Told> {
    let told = |common: &InCommon| {
        let short = |text: &str| shortened(&one_line(text), NAME_LENGTH);
        let sentence = format!(
            "{}: {} is {} for {} of its {} members ({}), {} times as often as for others ({}).",
            short(&common.cohort_name),
            attribute_name(&common.attribute),
            short(&common.value),
            grouped(common.members),
            grouped(common.of_members),
            percent(common.member_share),
            decimal(common.lift, 1),
            percent(common.other_share),
        );
        Told { cohort_key: common.cohort_key.clone(), weight: common.lift_low, sentence }
    };
    found.iter().map(told).collect()
}
