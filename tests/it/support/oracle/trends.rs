//! The trends of each metric of the summary over the months of a cohort's history.

use std::collections::BTreeMap;

use super::{Oracle, Rows, row};
use crate::support::tables::{Cell, Row, count, day, text};

const STOCKS: [&str; 9] =
    ["members", "users", "leads", "active_members", "unsubscribed", "hard_bounced", "marked_spam", "active_rate", "unsubscribed_rate"];

const FLOWS: [&str; 4] = ["new_contacts", "openers", "conversations_opened", "opener_rate"];

/// Flows that are counted since the compared month.
const SINCE_COMPARED: [&str; 8] =
    ["joined", "returned", "departed", "departed_gone", "newly_unsubscribed", "converted_leads", "churn_rate", "quick_ratio"];

impl Oracle<'_> {
    /// By cohort key and metric.
    pub(crate) fn cohort_trends(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let history = self.history(index, &cohort.key);
            let position = |month: &str| self.months.iter().position(|truth| truth.month == month).unwrap();
            let summaries: BTreeMap<i64, Row> =
                history.iter().map(|truth| (truth.index(), self.summary(position(&truth.month), &cohort.key))).collect();
            let previous = self.past(index, &cohort.key).last().map(|truth| truth.index());
            let now = self.summary(index, &cohort.key);
            for metric in STOCKS.into_iter().chain(FLOWS).chain(SINCE_COMPARED) {
                // If the compared month is not the month before, the count covers several months.
                let is_of_a_month = |month: i64| !SINCE_COMPARED.contains(&metric) || summaries.contains_key(&(month - 1));
                let at = |month: i64| summaries.get(&month).filter(|_| is_of_a_month(month)).and_then(|summary| number(&summary[metric]));
                let this = truth.index();
                let is_in_history = truth.is_in_history();
                let before = previous.and_then(at);
                let change = at(this).zip(at(this - 1)).map(|(now, then)| now - then);
                let since = |change: Option<f64>, then: Option<f64>| change.zip(then.filter(|then| *then != 0.0)).map(|(a, b)| a / b);
                let year_ago = at(this - 12).filter(|_| is_in_history);
                let average = at(this).zip(at(this - 1)).zip(at(this - 2)).map(|((a, b), c)| (a + b + c) / 3.0);
                let points: Vec<(i64, f64)> = (this - 11..=this).filter_map(|month| Some((month, at(month)?))).collect();
                let earlier: Vec<f64> = summaries.keys().filter(|month| **month < this).filter_map(|month| at(*month)).collect();
                let changes = summaries.keys().filter(|month| **month < this).filter_map(|month| Some(at(*month)? - at(month - 1)?));
                let expected = match STOCKS.contains(&metric) {
                    true => at(this - 1).zip(mean(&changes.collect::<Vec<_>>())).map(|(before, change)| before + change),
                    false => mean(&earlier),
                };
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("metric", text(metric)),
                    ("value", maybe(number(&now[metric]).filter(|_| is_of_a_month(this)))),
                    ("previous_value", maybe(before)),
                    ("change", maybe(change)),
                    ("change_rate", maybe(since(change, before))),
                    ("year_ago_value", maybe(year_ago)),
                    ("year_rate", maybe(since(at(this).zip(year_ago).map(|(now, then)| now - then), year_ago))),
                    ("moving_average_3", maybe(average)),
                    ("slope_per_month", maybe(median_slope(&points).filter(|_| is_in_history))),
                    ("trend_test", text(if STOCKS.contains(&metric) { "signed_rank" } else { "mann_kendall" })),
                    ("expected", maybe(expected.filter(|_| is_in_history))),
                    ("history_months", count(is_in_history.then_some(history.len() as i64))),
                ];
                rows.insert(vec![cohort.key.clone(), metric.to_string()], row(cells));
            }
        }
        rows
    }
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Count(count) => Some(*count as f64),
        Cell::Ratio(ratio) => Some(*ratio),
        _ => None,
    }
}

fn maybe(ratio: Option<f64>) -> Cell {
    ratio.map_or(Cell::Null, Cell::Ratio)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median of the slopes between all pairs of months.
fn median_slope(points: &[(i64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (index, (first, from)) in points.iter().enumerate() {
        for (second, to) in &points[index + 1..] {
            slopes.push((to - from) / (second - first) as f64);
        }
    }
    slopes.sort_by(f64::total_cmp);
    let middle = slopes.len() / 2;
    match slopes.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(slopes[middle]),
        _ => Some((slopes[middle - 1] + slopes[middle]) / 2.0),
    }
}
