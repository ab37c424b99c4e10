//! What members have in common: values that they have more often than others, and numbers that are higher or lower.

use maud::{Markup, html};
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::analysis::{InCommon, NumberApart, in_common, numbers_apart};
use crate::digest::{CohortDigest, attribute_name, decimal, grouped, plain};
use crate::page::figure::{Figure, Figures, Grid, drawn, head};
use crate::page::{share, shown};
use archive::table::Rows;

/// The maximum numbers of values in the table and in the chart. The strongest values come first.
const VALUES: usize = 12;
const DRAWN: usize = 6;

pub(super) struct Common<'a> {
    values: Vec<InCommon>,
    profile: Rows<'a>,
    numbers: Vec<NumberApart>,
}

impl<'a> Common<'a> {
    pub(super) fn read(profile: Rows<'a>, numbers: Rows<'a>) -> PolarsResult<Common<'a>> {
        Ok(Common { values: in_common(profile.0)?, profile, numbers: numbers_apart(numbers.0)? })
    }

    pub(super) fn figure(&self, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
        let title = "What they have in common";
        let values: Vec<&InCommon> = self.values.iter().filter(|value| value.cohort_key == cohort.cohort_key).take(VALUES).collect();
        let numbers = self.numbers(cohort);
        if values.is_empty() {
            let why = match (cohort.members, self.has_others(cohort)?) {
                (0, _) => "It has no members.",
                (_, false) => "There is nobody to compare them with.",
                _ => "No value is clearly more frequent among members than among others.",
            };
            return Ok(html! { div { (nothing(title, why)) @if let Some(numbers) = numbers { (numbers) } } });
        }
        let label = |value: &InCommon| format!("{}: {}", attribute_name(&value.attribute), shown(&value.value));
        let row = |value: &&InCommon| {
            let of = |part: i64, whole: i64, of: f64| format!("{} of {} ({})", grouped(part), grouped(whole), share(Some(of)));
            vec![
                label(value),
                of(value.members, value.of_members, value.member_share),
                of(value.others, value.of_others, value.other_share),
                decimal(value.lift, 2),
                format!("{} to {}", decimal(value.lift_low, 2), decimal(value.lift_high, 2)),
                q(value.q_value),
            ]
        };
        let table = Grid {
            caption: format!("{}: values that members have more often than others", shown(&cohort.name)),
            head: head(&["value", "members", "others", "times as often", "95 % interval", "q"]),
            texts: 1,
            rows: values.iter().map(row).collect(),
        };
        let charted = values.iter().take(DRAWN).map(|value| {
            json!({ "label": label(value), "lift": drawn(value.lift), "low": drawn(value.lift_low), "high": drawn(value.lift_high),
                    "members": value.members, "of_members": value.of_members, "others": value.others, "of_others": value.of_others })
        });
        let chart = json!({ "kind": "lift", "values": charted.collect::<Vec<_>>() });
        let about = "How many times as frequent a value is among members as among others of the same role, with its 95 % interval. Only \
                     contacts whose value is known are counted. A value is shown if at least five members have it and if it is more than \
                     1.5 times as frequent, by more than chance can explain. This takes into account how many values were tested.";
        let id = format!("{anchor}-common");
        let figure = figures.add(Figure { id, title, about: about.to_string(), chart, table });
        Ok(html! { div { (figure) @if let Some(numbers) = numbers { (numbers) } } })
    }

    fn has_others(&self, cohort: &CohortDigest) -> PolarsResult<bool> {
        for row in of_cohort(self.profile, cohort)? {
            if self.profile.count("others", row)?.is_some_and(|others| others > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Numeric attributes whose values are mostly higher or lower among members.
    fn numbers(&self, cohort: &CohortDigest) -> Option<Markup> {
        let median = |median: Option<f64>| median.map_or("–".to_string(), plain);
        let row = |number: &NumberApart| {
            let end = |end: Option<f64>| end.map_or("–".to_string(), |end| decimal(end, 2));
            vec![
                attribute_name(&number.attribute),
                if number.cliffs_delta > 0.0 { "higher" } else { "lower" }.to_string(),
                median(number.median),
                median(number.others_median),
                decimal(number.cliffs_delta, 2),
                format!("{} to {}", end(number.delta_low), end(number.delta_high)),
                grouped(number.members),
                q(number.q_value),
            ]
        };
        let rows: Vec<Vec<String>> = self.numbers.iter().filter(|number| number.cohort_key == cohort.cohort_key).map(row).collect();
        let names =
            ["attribute", "members have it", "median", "others' median", "Cliff's delta", "95 % interval", "members with a value", "q"];
        let caption = format!("{}: numbers that are mostly higher or lower among members than among others", shown(&cohort.name));
        (!rows.is_empty()).then(|| Grid { caption, head: head(&names), texts: 2, rows }.drawn())
    }
}

/// A q value, rounded for people.
fn q(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_string() } else { decimal(value, 3) }
}
