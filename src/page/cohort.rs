//! A cohort's own section: how it grew and shrank, who stays and for how long, what its members have in common, what they
//! did.

mod common;
mod conversations;
pub(super) mod growth;
mod retention;
mod survival;

use std::ops::Range;

use maud::{Markup, html};
use polars::prelude::PolarsResult;

use self::common::Common;
use self::growth::Growth;
use super::figure::Figures;
use super::{About, shown};
use crate::digest::{CohortDigest, Tables, metric_name, metric_value};
use crate::table::Rows;

/// What the sections are made of.
pub(super) struct Sections<'a> {
    trends: Rows<'a>,
    growth: Growth<'a>,
    retention: Rows<'a>,
    survival: Rows<'a>,
    conversations: Rows<'a>,
    common: Common<'a>,
}

impl<'a> Sections<'a> {
    pub(super) fn read(about: &'a About, tables: &'a Tables) -> PolarsResult<Sections<'a>> {
        Ok(Sections {
            trends: tables.named("cohort_trends")?,
            growth: Growth { months: tables.named("counts")?, until: about.month, odd: &about.odd_months },
            retention: tables.named("retention")?,
            survival: tables.named("membership_survival")?,
            conversations: tables.named("conversation_activity")?,
            common: Common::read(tables.named("attribute_profile")?, tables.named("numeric_profile")?)?,
        })
    }

    pub(super) fn drawn(&self, cohort: &CohortDigest, anchor: &str, people: Option<Markup>, figures: &mut Figures) -> PolarsResult<Markup> {
        let odd = self.odd(cohort)?;
        let retention = retention::figure(self.retention, cohort, anchor, figures)?;
        let survival = survival::figure(self.survival, cohort, anchor, figures)?;
        Ok(html! {
            section class="cohort" aria-labelledby=(anchor) {
                h2 id=(anchor) { (shown(&cohort.name)) " " small { (cohort.kind) } }
                p { (cohort.sentence) }
                @if let Some(odd) = odd { p { (odd) } }
                div class="figures" {
                    (self.growth.members(cohort, anchor, figures)?)
                    (retention)
                    (survival)
                    (self.common.figure(cohort, anchor, figures)?)
                    (conversations::figure(self.conversations, cohort, anchor, figures)?)
                    (self.growth.unsubscribes(cohort, anchor, figures)?)
                }
                @if let Some(people) = people { (people) }
                p class="up" { a href="#cohorts" { "Back to all cohorts" } }
            }
        })
    }
}

impl Sections<'_> {
    /// What was out of the ordinary this month, whether a chart shows it or not.
    fn odd(&self, cohort: &CohortDigest) -> PolarsResult<Option<String>> {
        let mut odd = Vec::new();
        for row in of_cohort(self.trends, cohort)? {
            let (Some(true), Some(value), Some(before)) =
                (self.trends.flag("is_anomaly", row)?, self.trends.ratio("value", row)?, self.trends.ratio("previous_value", row)?)
            else {
                continue;
            };
            let metric = self.trends.text("metric", row)?;
            odd.push(format!("{} ({} after {})", metric_name(metric), metric_value(metric, value), metric_value(metric, before)));
        }
        Ok((!odd.is_empty()).then(|| format!("Out of the ordinary this month: {}.", odd.join(", "))))
    }
}

/// What is said in place of a figure that there is nothing to draw of.
fn nothing(title: &str, why: &str) -> Markup {
    html! { div class="nothing" { h3 { (title) } p { (why) } } }
}

/// The rows of a cohort in a table that is sorted by month and cohort.
fn of_cohort(rows: Rows<'_>, cohort: &CohortDigest) -> PolarsResult<Range<usize>> {
    rows.of("cohort_key", &cohort.cohort_key)
}
