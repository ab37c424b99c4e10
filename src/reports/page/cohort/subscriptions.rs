//! The types of subscriptions from which the most members opted out, over the months.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::json;

use super::growth::MONTHS;
use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, NAME_LENGTH, one_line, shortened};
use crate::page::figure::{Figure, Figures, Grid};
use crate::page::{count, shown};
use archive::table::Rows;
use domain::Month;

/// The number of types that are drawn.
const TYPES: usize = 4;

/// One type of subscription: its newest name, and the number of members who opted out of it, by month.
#[derive(Default)]
struct OfType {
    name: String,
    opted_out: BTreeMap<Month, i64>,
}

/// `rows` are the history's `opt_outs`.
pub(super) fn figure(rows: Rows<'_>, until: Month, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "Unsubscribed from …";
    let mut types: BTreeMap<&str, OfType> = BTreeMap::new();
    // The months in which members made choices. In such a month, a type without a row counts as 0. Other months are gaps.
    let mut observed: BTreeSet<Month> = BTreeSet::new();
    for row in of_cohort(rows, cohort)? {
        let id = rows.text("subscription_id", row)?;
        let Some(month) = rows.day("month", row)?.map(Month::of) else { continue };
        // The empty ID is the flag for all e-mails, which has a chart of its own.
        if id.is_empty() || month > until || until.index() - month.index() >= MONTHS {
            continue;
        }
        observed.insert(month);
        let of_type = types.entry(id).or_default();
        of_type.name = shortened(&one_line(rows.text("subscription_name", row)?), NAME_LENGTH);
        of_type.opted_out.insert(month, rows.count("opted_out", row)?.unwrap_or_default());
    }
    types.retain(|_, of_type| of_type.opted_out.values().any(|count| *count > 0));
    let Some(first) = observed.first().filter(|_| !types.is_empty()) else {
        return Ok(nothing(title, "No member is known to have left one."));
    };
    let now = |of_type: &OfType| of_type.opted_out.get(&until).copied().unwrap_or_default();
    let mut most: Vec<(&str, OfType)> = types.into_iter().collect();
    most.sort_by_key(|(_, of_type)| Reverse((now(of_type), of_type.opted_out.values().max().copied())));
    let left_out = most.len().saturating_sub(TYPES);
    most.truncate(TYPES);
    let months: Vec<Month> = (first.index()..=until.index()).map(Month::from_index).collect();
    let in_month =
        |of_type: &OfType, month: &Month| observed.contains(month).then(|| of_type.opted_out.get(month).copied().unwrap_or_default());
    let values = |of_type: &OfType| months.iter().map(|month| in_month(of_type, month)).collect::<Vec<_>>();
    let series: Vec<_> = most.iter().map(|(_, of_type)| json!({ "name": shown(&of_type.name), "values": values(of_type) })).collect();
    let names: Vec<String> = months.iter().map(ToString::to_string).collect();
    let columns: Vec<String> = std::iter::once("month".to_string()).chain(most.iter().map(|(_, of_type)| of_type.name.clone())).collect();
    let of_month = |month: &Month| most.iter().map(|(_, of_type)| count(in_month(of_type, month))).collect::<Vec<_>>();
    let rows = months.iter().map(|month| [vec![month.to_string()], of_month(month)].concat()).collect();
    let caption = format!("{}: members who opted out of a type of subscription", shown(&cohort.name));
    let table = Grid { caption, head: columns, texts: 1, rows };
    let others = match left_out {
        0 => String::new(),
        1 => " One more type is in the report unsubscribes.".to_string(),
        others => format!(" {others} more types are in the report unsubscribes."),
    };
    let about = format!("Members who opted out of a type of subscription: the types that most left.{others}");
    let chart = json!({ "kind": "lines", "months": names, "series": series });
    Ok(figures.add(Figure { id: format!("{anchor}-subscriptions"), title, about, chart, table }))
}
