//! What members have in common: values that they have more often than others, and numbers that are higher or lower.

use maud::{Markup, html};
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::analysis::{DELTA_MIN, InCommon, MEMBERS_MIN, STANDS_BELOW, in_common};
use crate::digest::{CohortDigest, attribute_name, decimal, grouped};
use crate::page::figure::{Figure, Figures, Grid, drawn, head};
use crate::page::{share, shown};
use crate::table::Rows;

/// Values that are drawn, the strongest.
const VALUES: usize = 12;

pub(super) struct Common<'a> {
    values: Vec<InCommon>,
    profile: Rows<'a>,
    numbers: Rows<'a>,
}

impl<'a> Common<'a> {
    pub(super) fn read(profile: Rows<'a>, numbers: Rows<'a>) -> PolarsResult<Common<'a>> {
        Ok(Common { values: in_common(profile.0)?, profile, numbers })
    }

    pub(super) fn figure(&self, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
        let title = "What they have in common";
        let values: Vec<&InCommon> = self.values.iter().filter(|value| value.cohort_key == cohort.cohort_key).take(VALUES).collect();
        let numbers = self.numbers(cohort)?;
        if values.is_empty() {
            let why = match (cohort.members, self.has_others(cohort)?) {
                (0, _) => "It has no members.",
                (_, false) => "There is nobody to compare them with.",
                _ => "No value is more frequent among members than among others beyond what chance gives.",
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
        let charted = values.iter().map(|value| {
            json!({ "label": label(value), "lift": drawn(value.lift), "low": drawn(value.lift_low), "high": drawn(value.lift_high),
                    "members": value.members, "of_members": value.of_members, "others": value.others, "of_others": value.of_others })
        });
        let chart = json!({ "kind": "lift", "values": charted.collect::<Vec<_>>() });
        let about = "How many times as often members have a value as others of the same role have it, with its 95 % interval; of those \
                     whose value is known. Only what is more than one and a half times as often beyond chance, also after correction \
                     for how many were looked at, of five members or more.";
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

    /// Numeric attributes whose values are higher or lower among members.
    fn numbers(&self, cohort: &CohortDigest) -> PolarsResult<Option<Markup>> {
        let rows = self.numbers;
        let mut cells = Vec::new();
        for row in of_cohort(rows, cohort)? {
            let (Some(q_value), Some(delta)) = (rows.ratio("q_value", row)?, rows.ratio("cliffs_delta", row)?) else { continue };
            let members = rows.count("members", row)?.unwrap_or_default();
            // A median of a few would be somebody's own value.
            if q_value >= STANDS_BELOW || members < MEMBERS_MIN || delta.abs() < DELTA_MIN {
                continue;
            }
            let number = |name: &str| {
                Ok::<_, polars::prelude::PolarsError>(rows.ratio(name, row)?.map_or("–".to_string(), |value| decimal(value, 2)))
            };
            let which = if delta > 0.0 { "higher" } else { "lower" };
            cells.push(vec![
                attribute_name(rows.text("attribute", row)?),
                which.to_string(),
                number("median")?,
                number("others_median")?,
                decimal(delta, 2),
                grouped(members),
                q(q_value),
            ]);
        }
        if cells.is_empty() {
            return Ok(None);
        }
        let grid = Grid {
            caption: format!("{}: numbers that are higher or lower among members than among others", shown(&cohort.name)),
            head: head(&["attribute", "members have it", "median", "others' median", "Cliff's delta", "members with a value", "q"]),
            texts: 2,
            rows: cells,
        };
        Ok(Some(grid.drawn()))
    }
}

/// A q value, as precise as anybody reads it.
fn q(value: f64) -> String {
    if value < 0.001 { "< 0.001".to_string() } else { decimal(value, 3) }
}
