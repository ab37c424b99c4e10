//! The overview of the month: what stands out, and one line for each cohort.

use maud::{Markup, html};

use super::figure::framed;
use super::trend_line::trend_line;
use super::{count, share, shown};
use crate::digest::{CohortDigest, Digest, grouped};

/// The maximum number of cohorts that get a line of the table. With more, the page would be too large to mail.
const LINES: usize = 400;

pub(super) fn stands_out(digest: &Digest) -> Markup {
    html! {
        section aria-labelledby="notable" {
            h2 id="notable" { "What stands out" }
            @if digest.notable.is_empty() {
                p { "Nothing stands out this month." }
            } @else {
                ul { @for sentence in &digest.notable { li { (sentence.sentence) } } }
            }
        }
    }
}

/// `anchor` gives the section of the cohort at a position, if it has one.
pub(super) fn cohorts(digest: &Digest, anchor: impl Fn(usize) -> Option<String>) -> Markup {
    let more = digest.cohorts.len().saturating_sub(LINES);
    let caption = "The cohorts this month, with their members month by month, twelve at the most";
    html! {
        section aria-labelledby="cohorts" {
            h2 id="cohorts" { "The cohorts" }
            ul { @for cohort in digest.cohorts.iter().take(LINES) { li { (cohort.sentence) } } }
            (framed(caption, &html! {
                thead {
                    tr {
                        th scope="col" { "cohort" }
                        th scope="col" { "kind" }
                        th scope="col" class="number" { "members" }
                        th scope="col" { "trend" }
                        @for name in ["joined", "departed", "churn", "change", "opened conversations", "unsubscribed"] {
                            th scope="col" class="number" { (name) }
                        }
                    }
                }
                tbody {
                    @for (position, cohort) in digest.cohorts.iter().take(LINES).enumerate() {
                        tr {
                            th scope="row" {
                                @if let Some(anchor) = anchor(position) { a href=(format!("#{anchor}")) { (shown(&cohort.name)) } }
                                @else { (shown(&cohort.name)) }
                            }
                            td { (cohort.kind) }
                            td class="number" { (grouped(cohort.members)) }
                            td { (trend_line(&cohort.series, &trend_label(cohort))) }
                            td class="number" { (count(cohort.joined)) }
                            td class="number" { (count(cohort.departed)) }
                            td class="number" { (share(cohort.churn_rate)) }
                            td class="number" { (share(cohort.growth_rate)) }
                            td class="number" { (count(cohort.openers)) }
                            td class="number" { (count(cohort.unsubscribed)) }
                        }
                    }
                }
            }))
            @if more > 0 { p { (more) " more cohorts are in the report " code { "cohort_summary" } "." } }
        }
    }
}

fn trend_label(cohort: &CohortDigest) -> String {
    let known: Vec<i64> = cohort.series.iter().flatten().copied().collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) => format!("from {} to {} members in {} months", grouped(*first), grouped(*last), known.len()),
        _ => String::new(),
    }
}
