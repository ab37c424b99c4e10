//! The profiles of members, contact by contact.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Oracle, Rows, length, ratio, row};
use crate::support::tables::{Cell, count, day, text};
use crate::support::truth::Truth;

/// A contact's value of an attribute, by its name in the job; null when it has none.
pub(super) fn value_of<'a>(contact: &'a Value, attribute: &str) -> &'a Value {
    match attribute.strip_prefix("custom_attributes.") {
        Some(custom) => &contact["custom_attributes"][custom],
        None if attribute == "country" || attribute == "city" => &contact["location"][attribute],
        None => &contact[attribute],
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Everyone who was created before the month's end.
fn population(truth: &Truth) -> BTreeSet<String> {
    truth.contacts.keys().filter(|id| truth.created_at(id) < truth.end).cloned().collect()
}

/// The population without the cohort, of the roles that occur in it.
fn others(truth: &Truth, members: &BTreeSet<String>) -> BTreeSet<String> {
    let roles: BTreeSet<&str> = members.iter().map(|id| truth.contacts[id]["role"].as_str().unwrap()).collect();
    let has_role = |id: &String| roles.contains(truth.contacts[id]["role"].as_str().unwrap());
    population(truth).difference(members).filter(|id| has_role(id)).cloned().collect()
}

impl Oracle<'_> {
    /// By cohort key, attribute and value. The population is everyone, and all cohorts are within it.
    pub(crate) fn attribute_profile(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for attribute in self.profile {
            let mut frequent: BTreeMap<String, i64> = BTreeMap::new();
            for id in population(truth) {
                if let Some(value) = text_of(value_of(&truth.contacts[&id], attribute)) {
                    *frequent.entry(value).or_default() += 1;
                }
            }
            let mut frequent: Vec<(String, i64)> = frequent.into_iter().collect();
            frequent.sort_by_key(|(value, contacts)| (-contacts, value.clone()));
            let shown: BTreeSet<String> = frequent.into_iter().take(50).map(|(value, _)| value).collect();
            let label = |truth: &Truth, id: &String| match text_of(value_of(&truth.contacts[id], attribute)) {
                None => "(unknown)".to_string(),
                Some(value) if shown.contains(&value) => value,
                Some(_) => "(other)".to_string(),
            };
            let counted = |truth: &Truth, ids: &BTreeSet<String>| {
                let mut counts: BTreeMap<String, i64> = BTreeMap::new();
                ids.iter().for_each(|id| *counts.entry(label(truth, id)).or_default() += 1);
                counts
            };
            let labels: BTreeSet<String> = counted(truth, &population(truth)).into_keys().collect();
            for cohort in &truth.cohorts {
                let members = truth.members(&cohort.key);
                let others = others(truth, &members);
                let before = self.past(index, &cohort.key).last().map(|previous| {
                    let before = previous.members(&cohort.key);
                    Share::counted(&counted(previous, &before), length(&before))
                });
                let of = |ids: &BTreeSet<String>| Share::counted(&counted(truth, ids), length(ids));
                let (in_cohort, outside) = (of(&members), of(&others));
                let strata: Vec<[Share; 2]> = ["user", "lead"]
                    .map(|role| {
                        let of_role = |ids: &BTreeSet<String>| -> BTreeSet<String> {
                            ids.iter().filter(|id| truth.contacts[id.as_str()]["role"] == role).cloned().collect()
                        };
                        [of(&of_role(&members)), of(&of_role(&others))]
                    })
                    .into();
                for value in &labels {
                    let previous_share = before.as_ref().map_or(Cell::Null, |before| before.share(value));
                    let (member_share, other_share) = (in_cohort.share(value), outside.share(value));
                    let share_change = match (&member_share, &previous_share) {
                        (Cell::Ratio(now), Cell::Ratio(then)) => Cell::Ratio(now - then),
                        _ => Cell::Null,
                    };
                    let cells = [
                        ("month", Cell::Day(day(&truth.month))),
                        ("cohort_key", text(&cohort.key)),
                        ("cohort_name", text(&cohort.name)),
                        ("attribute", text(attribute)),
                        ("value", text(value)),
                        ("members", count(in_cohort.with(value))),
                        ("members_known", count(in_cohort.known)),
                        ("others", count(outside.with(value))),
                        ("others_known", count(outside.known)),
                        ("lift", mantel_haenszel(&strata, value, |[a, b, c, d], n| (a * (c + d) / n, c * (a + b) / n))),
                        ("odds_ratio", mantel_haenszel(&strata, value, |[a, b, c, d], n| (a * d / n, b * c / n))),
                        ("member_share", member_share),
                        ("other_share", other_share),
                        ("previous_members", count(before.as_ref().map(|before| before.with(value)))),
                        ("previous_known", count(before.as_ref().map(|before| before.known))),
                        ("previous_share", previous_share),
                        ("share_change", share_change),
                    ];
                    rows.insert(vec![cohort.key.clone(), attribute.to_string(), value.clone()], row(cells));
                }
            }
        }
        rows
    }

    /// By cohort key and attribute.
    pub(crate) fn numeric_profile(&self, month: &str) -> Rows {
        let (_, truth) = self.at(month);
        let mut rows = Rows::new();
        for attribute in self.profile {
            let values = |ids: &BTreeSet<String>| -> Vec<&Value> {
                ids.iter().map(|id| value_of(&truth.contacts[id], attribute)).filter(|value| !value.is_null()).collect()
            };
            let all = values(&population(truth));
            if all.is_empty() || !all.iter().all(|value| value.is_number()) {
                continue;
            }
            let numbers = |ids: &BTreeSet<String>| {
                let mut numbers: Vec<f64> = values(ids).into_iter().map(|value| value.as_f64().unwrap()).collect();
                numbers.sort_by(f64::total_cmp);
                numbers
            };
            for cohort in &truth.cohorts {
                let members = truth.members(&cohort.key);
                let (in_cohort, outside) = (numbers(&members), numbers(&others(truth, &members)));
                let mean = in_cohort.iter().sum::<f64>() / in_cohort.len() as f64;
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("attribute", text(attribute)),
                    ("members", count(in_cohort.len() as i64)),
                    ("mean", if in_cohort.is_empty() { Cell::Null } else { Cell::Ratio(mean) }),
                    ("p10", quantile(&in_cohort, 0.1)),
                    ("median", quantile(&in_cohort, 0.5)),
                    ("p90", quantile(&in_cohort, 0.9)),
                    ("others", count(outside.len() as i64)),
                    ("others_median", quantile(&outside, 0.5)),
                    ("cliffs_delta", cliffs_delta(&in_cohort, &outside)),
                ];
                rows.insert(vec![cohort.key.clone(), attribute.to_string()], row(cells));
            }
        }
        rows
    }
}

/// The number of contacts by value, and of those with a known value.
struct Share {
    counts: BTreeMap<String, i64>,
    known: i64,
    all: i64,
}

impl Share {
    fn counted(counts: &BTreeMap<String, i64>, all: i64) -> Share {
        let unknown = counts.get("(unknown)").copied().unwrap_or_default();
        Share { counts: counts.clone(), known: all - unknown, all }
    }

    fn with(&self, value: &str) -> i64 {
        self.counts.get(value).copied().unwrap_or_default()
    }

    /// The number of contacts that the share of `value` refers to.
    fn of(&self, value: &str) -> i64 {
        if value == "(unknown)" { self.all } else { self.known }
    }

    fn share(&self, value: &str) -> Cell {
        ratio(Some(self.with(value)), Some(self.of(value)))
    }
}

/// The sums over the strata of members and others, one over the other.
fn mantel_haenszel(strata: &[[Share; 2]], value: &str, terms: fn([f64; 4], f64) -> (f64, f64)) -> Cell {
    // If no member has a known value, there is nothing to compare.
    let tables = strata.iter().filter(|[members, _]| members.of(value) > 0).map(|groups| {
        let [a, c] = [0, 1].map(|group| groups[group].with(value) as f64);
        let [b, d] = [0, 1].map(|group| (groups[group].of(value) - groups[group].with(value)) as f64);
        [a, b, c, d]
    });
    let tables: Vec<[f64; 4]> = tables.collect();
    let sum = |cells: &[usize]| tables.iter().flat_map(|table| cells.iter().map(|cell| table[*cell])).sum::<f64>();
    if sum(&[0, 1]) == 0.0 || sum(&[2, 3]) == 0.0 {
        return Cell::Null;
    }
    let shift = if sum(&[0, 2]) == 0.0 || sum(&[1, 3]) == 0.0 { 0.5 } else { 0.0 };
    let tables = tables.iter().filter(|table| table.iter().sum::<f64>() + shift > 0.0).map(|table| table.map(|cell| cell + shift));
    let (above, below) =
        tables.map(|table| terms(table, table.iter().sum())).fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1));
    if below == 0.0 { Cell::Null } else { Cell::Ratio(above / below) }
}

/// By linear interpolation between the two nearest of these sorted values.
fn quantile(sorted: &[f64], q: f64) -> Cell {
    let Some(last) = sorted.len().checked_sub(1) else { return Cell::Null };
    let position = last as f64 * q;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    Cell::Ratio(low + (high - low) * position.fract())
}

/// Over all pairs of a member and another contact: the share in which the member is larger minus the share in which it is smaller.
fn cliffs_delta(members: &[f64], others: &[f64]) -> Cell {
    let pairs = members.iter().flat_map(|member| others.iter().map(move |other| i64::from(member > other) - i64::from(member < other)));
    ratio(Some(pairs.sum()), Some((members.len() * others.len()) as i64))
}
