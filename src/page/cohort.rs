//! A cohort's own section: how it grew and shrank, who stays and for how long, what its members have in common, what they
//! did.

mod common;
mod conversations;
mod growth;
mod retention;
mod survival;

use std::ops::Range;

use maud::{Markup, html};
use polars::prelude::PolarsResult;

use self::common::Common;
use self::growth::Growth;
use super::figure::Figures;
use super::{About, shown};
use crate::digest::{CohortDigest, Tables};
use crate::table::Rows;

/// What the sections are made of.
pub(super) struct Sections<'a> {
    growth: Growth<'a>,
    retention: Rows<'a>,
    survival: Rows<'a>,
    conversations: Rows<'a>,
    common: Common<'a>,
}

impl<'a> Sections<'a> {
    pub(super) fn read(about: &'a About, tables: &'a Tables) -> PolarsResult<Sections<'a>> {
        Ok(Sections {
            growth: Growth { months: tables.named("counts")?, until: about.month, odd: &about.odd_months },
            retention: tables.named("retention")?,
            survival: tables.named("membership_survival")?,
            conversations: tables.named("conversation_activity")?,
            common: Common::read(tables.named("attribute_profile")?, tables.named("numeric_profile")?)?,
        })
    }

    pub(super) fn drawn(&self, cohort: &CohortDigest, anchor: &str, people: Option<Markup>, figures: &mut Figures) -> PolarsResult<Markup> {
        let retention = retention::figure(self.retention, cohort, anchor, figures)?;
        let survival = survival::figure(self.survival, cohort, anchor, figures)?;
        Ok(html! {
            section class="cohort" aria-labelledby=(anchor) {
                h2 id=(anchor) { (shown(&cohort.name)) " " small { (cohort.kind) } }
                p { (cohort.sentence) }
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

/// What is said in place of a figure that there is nothing to draw of.
fn nothing(title: &str, why: &str) -> Markup {
    html! { div class="nothing" { p { strong { (title) } " " (why) } } }
}

/// The rows of a cohort in a table that is sorted by month and cohort.
fn of_cohort(rows: Rows<'_>, cohort: &CohortDigest) -> PolarsResult<Range<usize>> {
    rows.of("cohort_key", &cohort.cohort_key)
}
