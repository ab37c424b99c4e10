//! Counts over the months: one chart for members (with the contacts that joined and departed), and one for unsubscribed members.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::analysis::{ChangedDefinition, ExpectedMonth, OddMonth};
use crate::digest::{CohortDigest, grouped, metric_name};
use crate::page::figure::{Figure, Figures, Grid, head};
use crate::page::{count, shown};
use archive::table::Rows;
use domain::{Basis, Month};

/// The maximum number of months that are drawn: the last ones.
pub(super) const MONTHS: i64 = 36;

pub(super) struct Growth<'a> {
    /// The history's counts.
    pub months: Rows<'a>,
    pub until: Month,
    pub odd: &'a [OddMonth],
    pub expected: &'a [ExpectedMonth],
    pub changed: &'a [ChangedDefinition],
}

/// A chart with a line for a number of members (`level`), above bars for the members that were added (`up`) and removed (`down`).
struct Series {
    level: &'static str,
    up: &'static str,
    down: Option<&'static str>,
    /// The line of the level has the colour that the legend gives to this meaning.
    meaning: &'static str,
    /// The metrics that mark a month as odd in this chart.
    odd: &'static [&'static str],
    /// Whether the chart marks a month if the group was changed before that month.
    marks_changes: bool,
}

const MEMBERS: Series = Series {
    level: "members",
    up: "joined",
    down: Some("departed"),
    meaning: "stayed",
    odd: &["members", "joined", "departed", "churn_rate"],
    marks_changes: true,
};

const UNSUBSCRIBED: Series = Series {
    level: "unsubscribed",
    up: "newly_unsubscribed",
    down: None,
    meaning: "left",
    odd: &["unsubscribed", "newly_unsubscribed", "unsubscribed_rate"],
    marks_changes: false,
};

/// All metrics that mark a month in one of the charts.
pub(in crate::page) fn marked() -> Vec<&'static str> {
    [MEMBERS.odd, UNSUBSCRIBED.odd].concat()
}

/// All metrics whose expected values are drawn in one of the charts.
pub(in crate::page) fn banded() -> Vec<&'static str> {
    vec![MEMBERS.level, UNSUBSCRIBED.level]
}

impl Growth<'_> {
    pub(super) fn members(&self, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
        let title = "Members over time";
        let about = "Members at each month's end, and below who joined and who departed since the month before.";
        self.figure(cohort, &format!("{anchor}-members"), title, about, &MEMBERS, figures)
    }

    pub(super) fn unsubscribes(&self, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
        let title = "Unsubscribed from e-mails";
        let about = "Members who are unsubscribed, and below those who became so since the month before.";
        self.figure(cohort, &format!("{anchor}-unsubscribed"), title, about, &UNSUBSCRIBED, figures)
    }

    fn figure(
        &self,
        cohort: &CohortDigest,
        id: &str,
        title: &'static str,
        about: &str,
        series: &Series,
        figures: &mut Figures,
    ) -> PolarsResult<Markup> {
        let rows = self.rows(cohort)?;
        let (Some(first), true) = (rows.first().map(|(month, _)| *month), rows.len() > 1) else {
            return Ok(nothing(title, "Needs a second month."));
        };
        let column = |name: &str, month: Month| -> PolarsResult<Option<i64>> {
            match rows.iter().find(|(of, _)| *of == month) {
                Some((_, row)) => self.months.count(name, *row),
                None => Ok(None),
            }
        };
        if rows.iter().all(|(_, row)| matches!(self.months.count(series.level, *row), Ok(Some(0)))) {
            return Ok(nothing(title, "Nobody, in all of these months."));
        }
        // Missing months are shown as gaps.
        let months: Vec<Month> = (first.index()..=self.until.index()).map(Month::from_index).collect();
        let values = |name: &str| months.iter().map(|month| column(name, *month)).collect::<PolarsResult<Vec<_>>>();
        let (level, up) = (values(series.level)?, values(series.up)?);
        let down = series.down.map(values).transpose()?;
        // Only the last month can be outside the history. If it was not observed at its end, its label contains the basis.
        let is_late = cohort.basis != Basis::MonthEnd.as_str();
        let names: Vec<String> = months
            .iter()
            .map(|month| if is_late && *month == self.until { format!("{month} ({})", cohort.basis) } else { month.to_string() })
            .collect();
        let has_gap = level.iter().any(Option::is_none);
        let odd: Vec<String> = months.iter().map(|month| self.odd_in(cohort, *month, series)).collect();

        let expected: Vec<Option<(i64, i64)>> = months.iter().map(|month| self.expected_in(cohort, *month, series)).collect();

        let mut cells = Vec::new();
        for index in (0..months.len()).rev() {
            let mut row = vec![names[index].clone(), count(level[index]), count(up[index])];
            row.extend(down.as_ref().map(|down| count(down[index])));
            row.push(expected[index].map_or(String::new(), |(low, high)| format!("{} to {}", grouped(low), grouped(high))));
            row.push(odd[index].clone());
            cells.push(row);
        }
        let (level_name, up_name, down_name) = (metric_name(series.level), metric_name(series.up), series.down.map(metric_name));
        let chart = json!({
            "kind": "growth",
            "meaning": series.meaning,
            "months": names,
            "level": { "name": level_name, "values": level },
            "up": { "name": up_name, "values": up },
            "down": down.map(|down| json!({ "name": down_name, "values": down })),
            "expected": { "name": format!("expected {level_name}"), "values": &expected },
            "odd": &odd,
        });
        let columns: Vec<&str> =
            ["month", series.level, words(series.up)].into_iter().chain(series.down).chain(["expected", "odd"]).collect();
        let caption = format!("{}: {} by month", shown(&cohort.name), metric_name(series.level));
        let table = Grid { caption, head: head(&columns), texts: 1, rows: cells };
        let gap = if has_gap { " After a month that was missed, they are all since the last one observed." } else { "" };
        let marks = if odd.iter().any(|odd| !odd.is_empty()) {
            " Months that are out of the ordinary, or before which the group was changed, are marked."
        } else {
            ""
        };
        let band = if expected.iter().flatten().count() > 1 { " The band is what the months before let expect (95 %)." } else { "" };
        Ok(figures.add(Figure { id: id.to_string(), title, about: format!("{about}{band}{gap}{marks}"), chart, table }))
    }

    /// The months that are drawn, ascending, with their rows: months of the cohort's history, and this month.
    fn rows(&self, cohort: &CohortDigest) -> PolarsResult<Vec<(Month, usize)>> {
        let mut rows = Vec::new();
        for row in of_cohort(self.months, cohort)? {
            let Some(month) = self.months.day("month", row)?.map(Month::of) else { continue };
            if month <= self.until && self.until.index() - month.index() < MONTHS {
                rows.push((month, row));
            }
        }
        Ok(rows)
    }

    /// The interval expected for a month from the months before. Its ends are never below 0.
    fn expected_in(&self, cohort: &CohortDigest, month: Month, series: &Series) -> Option<(i64, i64)> {
        let is_of = |of: &&ExpectedMonth| of.cohort_key == cohort.cohort_key && of.month == month && of.metric == series.level;
        let end = |end: f64| end.max(0.0).round() as i64;
        self.expected.iter().find(is_of).map(|of| (end(of.low), end(of.high)))
    }

    /// The odd metrics of a series in a month, and whether the group was changed before it.
    fn odd_in(&self, cohort: &CohortDigest, month: Month, series: &Series) -> String {
        let is_of = |odd: &&OddMonth| odd.cohort_key == cohort.cohort_key && odd.month == month && series.odd.contains(&odd.metric);
        let is_changed = |of: &ChangedDefinition| of.cohort_key == cohort.cohort_key && of.month == month;
        let changed = (series.marks_changes && self.changed.iter().any(is_changed)).then(|| "the group was changed".to_string());
        self.odd.iter().filter(is_of).map(|odd| metric_name(odd.metric)).chain(changed).collect::<Vec<_>>().join(", ")
    }
}

/// A metric's name for the head of a table.
fn words(metric: &'static str) -> &'static str {
    if metric == "newly_unsubscribed" { "newly so" } else { metric }
}
