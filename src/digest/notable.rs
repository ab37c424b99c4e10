//! What stands out in a month: changes that are out of the ordinary, trends that stood their test, and what the members of
//! a cohort have in common. All of it was judged for the reports; here it is chosen and put into words.

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

/// A sentence and how telling it is.
type Told = (f64, String);

pub(super) fn notable(cohorts: &[CohortDigest], tables: &Tables) -> PolarsResult<Vec<String>> {
    let trends = tables.named("cohort_trends")?;
    let all =
        [large_changes(cohorts), odd_changes(trends)?, lasting(trends)?, commonest(&in_common(tables.named("attribute_profile")?.0)?)];
    Ok(all.into_iter().flat_map(most_telling).collect())
}

fn most_telling(mut told: Vec<Told>) -> impl Iterator<Item = String> {
    told.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    told.into_iter().take(OF_EACH).map(|(_, sentence)| sentence)
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
        told.push((
            rate.abs(),
            format!(
                "{} {how} by {}, from {} to {} members.",
                shortened(&cohort.name, NAME_LENGTH),
                percent(rate.abs()),
                grouped(cohort.members - change),
                grouped(cohort.members)
            ),
        ));
    }
    told
}

fn odd_changes(trends: Rows<'_>) -> PolarsResult<Vec<Told>> {
    let mut told = Vec::new();
    for row in 0..trends.count_all() {
        let (Some(value), Some(before), Some(z)) =
            (trends.ratio("value", row)?, trends.ratio("previous_value", row)?, trends.ratio("robust_z", row)?)
        else {
            continue;
        };
        if trends.flag("is_anomaly", row)? == Some(true) {
            let (name, metric) = (name(trends, "cohort_name", row)?, trends.text("metric", row)?);
            let (value, before) = (metric_value(metric, value), metric_value(metric, before));
            let metric = metric_name(metric);
            told.push((z.abs(), format!("{name}: {metric} went from {before} to {value}, which is far from its usual changes.")));
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
        let name = name(trends, "cohort_name", row)?;
        let slope = slope.abs();
        let slope = if metric.ends_with("_rate") {
            format!("{} percentage points", decimal(slope * 100.0, 1))
        } else {
            grouped(slope.round() as i64)
        };
        let metric = metric_name(metric);
        told.push((-q, format!("{name}: {metric} {direction} over the last twelve months, by about {slope} a month.")));
    }
    Ok(told)
}

/// One of each cohort, the strongest.
fn commonest(found: &[InCommon]) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let mut last = "";
    for common in found {
        let Some(lift) = common.lift.filter(|_| common.cohort_key != last) else { continue };
        last = &common.cohort_key;
        let short = |text: &str| shortened(&one_line(text), NAME_LENGTH);
        let sentence = format!(
            "{}: {} is {} for {} of its {} members ({}), {} times as often as for others ({}).",
            short(&common.cohort_name),
            attribute_name(&common.attribute),
            short(&common.value),
            grouped(common.members),
            grouped(common.of_members),
            percent(common.members as f64 / common.of_members.max(1) as f64),
            decimal(lift.ratio, 1),
            percent(common.others as f64 / common.of_others.max(1) as f64),
        );
        told.push((lift.ratio, sentence));
    }
    told
}
