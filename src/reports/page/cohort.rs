//! The section of a cohort: how it grew and shrank, who stays and for how long, what its members have in common, what they
//! did.

mod common;
mod conversations;
mod curve;
pub(super) mod growth;
mod retention;
mod subscriptions;

use std::ops::Range;

use maud::{Markup, html};
use polars::prelude::PolarsResult;

use self::common::Common;
use self::growth::Growth;
use super::figure::Figures;
use super::{About, shown};
use crate::digest::{self, CohortDigest, Tables};
use archive::table::Rows;

/// The input of all sections.
pub(super) struct Sections<'a> {
    trends: Rows<'a>,
    growth: Growth<'a>,
    retention: Rows<'a>,
    retention_curve: Rows<'a>,
    survival: Rows<'a>,
    conversations: Rows<'a>,
    opt_outs: Rows<'a>,
    common: Common<'a>,
}

impl<'a> Sections<'a> {
    pub(super) fn read(about: &'a About, tables: &'a Tables) -> PolarsResult<Sections<'a>> {
        Ok(Sections {
            trends: tables.named("cohort_trends")?,
            growth: Growth {
                months: tables.named("counts")?,
                until: about.month,
                odd: &about.odd_months,
                expected: &about.expected_months,
                changed: &about.changed_definitions,
            },
            retention: tables.named("retention")?,
            retention_curve: tables.named("retention_curve")?,
            survival: tables.named("membership_survival")?,
            conversations: tables.named("conversation_activity")?,
            opt_outs: tables.named("opt_outs")?,
            common: Common::read(tables.named("attribute_profile")?, tables.named("numeric_profile")?)?,
        })
    }

    pub(super) fn drawn(&self, cohort: &CohortDigest, anchor: &str, people: Option<Markup>, figures: &mut Figures) -> PolarsResult<Markup> {
        let odd = self.odd(cohort)?;
        let retention = retention::figure(self.retention, cohort, anchor, figures)?;
        let together = curve::retention(self.retention_curve, cohort, anchor, figures)?;
        let survival = curve::survival(self.survival, cohort, anchor, figures)?;
        Ok(html! {
            section class="cohort" aria-labelledby=(anchor) {
                h2 id=(anchor) { (shown(&cohort.name)) " " small { (cohort.kind) } }
                p { (cohort.sentence) }
                @if let Some(odd) = odd { p { (odd) } }
                (legend())
                div class="figures" {
                    (self.growth.members(cohort, anchor, figures)?)
                    (retention)
                    (together)
                    (survival)
                    (self.common.figure(cohort, anchor, figures)?)
                    (conversations::figure(self.conversations, cohort, anchor, figures)?)
                    (self.growth.unsubscribes(cohort, anchor, figures)?)
                    (subscriptions::figure(self.opt_outs, self.growth.until, cohort, anchor, figures)?)
                }
                @if let Some(people) = people { (people) }
                p class="up" { a href="#cohorts" { "Back to all cohorts" } }
            }
        })
    }
}

impl Sections<'_> {
    /// This month's odd metrics with their expected values, in words. Metrics that no chart shows are included. `None` if nothing
    /// is odd.
    fn odd(&self, cohort: &CohortDigest) -> PolarsResult<Option<String>> {
        let mut odd = Vec::new();
        for row in of_cohort(self.trends, cohort)? {
            let ratio = |name: &str| self.trends.ratio(name, row);
            let (Some(true), Some(value), Some(low), Some(high)) =
                (self.trends.flag("is_anomaly", row)?, ratio("value")?, ratio("expected_low")?, ratio("expected_high")?)
            else {
                continue;
            };
            let metric = self.trends.text("metric", row)?;
            odd.push((metric, digest::odd(metric, value, low, high)));
        }
        let metrics: Vec<&str> = odd.iter().map(|(metric, _)| *metric).collect();
        odd.retain(|(metric, _)| !digest::is_implied_by(metric, &metrics));
        let odd: Vec<String> = odd.into_iter().map(|(_, sentence)| sentence).collect();
        Ok((!odd.is_empty()).then(|| format!("Out of the ordinary this month: {}.", odd.join("; "))))
    }
}

/// What the colours mean, in every chart of the page.
fn legend() -> Markup {
    html! {
        p class="legend" {
            @for (meaning, name) in [("stayed", "members, those who stay"), ("joined", "joined"), ("left", "left"), ("expected", "95 % range")] {
                span class=(meaning) { (name) }
            }
        }
    }
}

/// The text instead of a figure without data.
fn nothing(title: &str, why: &str) -> Markup {
    html! { div class="nothing" { h3 { (title) } p { (why) } } }
}

/// The rows of a cohort in a table that is sorted by month and cohort.
fn of_cohort(rows: Rows<'_>, cohort: &CohortDigest) -> PolarsResult<Range<usize>> {
    rows.of("cohort_key", &cohort.cohort_key)
}
