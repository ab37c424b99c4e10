//! The notices at the top of the page, which a reader must see first, and the table of all findings.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};
use polars::prelude::PolarsResult;

use super::figure::{Grid, head};
use super::{About, shown};
use crate::digest::{Digest, month_name};
use archive::table::Rows;
use domain::Basis;

/// The maximum number of findings at the top of the page; the table at its end has more.
const AT_THE_TOP: usize = 6;
/// The maximum number of subjects that a notice names.
const SUBJECTS: usize = 8;
/// The maximum number of findings in the table.
const LISTED: usize = 200;

/// The notices of the month. Empty if it was observed at its end and has no finding that is an error or a warning.
pub(super) fn notices(about: &About, digest: &Digest, quality: Rows<'_>) -> PolarsResult<Markup> {
    let names = names(digest);
    let mut notices: Vec<(&str, String)> = basis(about, digest).into_iter().map(|text| ("warning", text)).collect();
    for severity in ["error", "warning"] {
        // Findings with the same text are one notice.
        let mut of_detail: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in quality.of("severity", severity)? {
            // Each basis has its own notice, see `basis`.
            if quality.text("check_name", row)? == "basis" {
                continue;
            }
            let subject = quality.text("subject", row)?;
            let subject = names.get(subject).cloned().unwrap_or_else(|| shown(subject));
            let value = if quality.text("value", row)?.is_empty() { String::new() } else { format!(" ({})", found(quality, row)?) };
            of_detail.entry(quality.text("detail", row)?).or_default().push(subject + &value);
        }
        notices.extend(of_detail.into_iter().map(|(detail, subjects)| (severity, sentence(detail, &subjects))));
    }
    if notices.is_empty() {
        return Ok(html! {});
    }
    let more = notices.len().saturating_sub(AT_THE_TOP);
    Ok(html! {
        section class="notices" aria-labelledby="notices" {
            h2 id="notices" { "Before you read on" }
            ul {
                @for (severity, text) in notices.iter().take(AT_THE_TOP) {
                    li class=(severity) { strong { @if *severity == "error" { "Error. " } @else { "Warning. " } } (text) }
                }
                @if more > 0 { li { (more) " more: see " a href="#quality" { "what was noticed" } "." } }
            }
        }
    })
}

/// The notice of a finding with its subjects. If there are many subjects, only the first ones are named.
fn sentence(detail: &str, subjects: &[String]) -> String {
    let more = subjects.len().saturating_sub(SUBJECTS);
    let named = subjects[..subjects.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{named}{more}: {}.", detail.trim_end_matches('.'))
}

fn names(digest: &Digest) -> HashMap<&str, String> {
    digest.cohorts.iter().map(|cohort| (cohort.cohort_key.as_str(), shown(&cohort.name))).collect()
}

/// Explains each basis other than month_end.
fn basis(about: &About, digest: &Digest) -> Vec<String> {
    let mut notices = Vec::new();
    for basis in [Basis::Preliminary, Basis::Late, Basis::Reconstructed] {
        let of_basis: Vec<String> =
            digest.cohorts.iter().filter(|cohort| cohort.basis == basis.as_str()).map(|cohort| shown(&cohort.name)).collect();
        if of_basis.is_empty() {
            continue;
        }
        let month = month_name(about.month);
        let what = match basis {
            Basis::Preliminary => format!("{month} had not ended when this was observed: its figures are not final."),
            Basis::Late => format!(
                "Who is in a cohort was observed on {}, not at the end of {month}: whoever came or left since is counted as of that day. \
                 Conversations and sign-ups are exact for the month.",
                about.observed_at.format("%Y-%m-%d")
            ),
            Basis::Reconstructed => format!(
                "Members were reconstructed from when their tag was applied: contacts who lost it since {month} are missing, so that \
                 the counts are lower bounds."
            ),
            Basis::MonthEnd => continue,
        };
        let whom = if of_basis.len() == digest.cohorts.len() { "all cohorts".to_string() } else { of_basis.join(", ") };
        notices.push(format!("{what} This is true of {whom}."));
    }
    notices
}

fn found(quality: Rows<'_>, row: usize) -> PolarsResult<String> {
    let (value, expected) = (quality.text("value", row)?, quality.text("expected", row)?);
    Ok(if expected.is_empty() { shown(value) } else { format!("{}, expected {}", shown(value), shown(expected)) })
}

/// The table of all findings, the most severe first.
pub(super) fn all(digest: &Digest, quality: Rows<'_>) -> PolarsResult<Markup> {
    let names = names(digest);
    let mut rows = Vec::new();
    for severity in ["error", "warning", "info"] {
        for row in quality.of("severity", severity)? {
            let subject = quality.text("subject", row)?;
            rows.push(vec![
                severity.to_string(),
                names.get(subject).cloned().unwrap_or_else(|| shown(subject)),
                quality.text("detail", row)?.to_string(),
                found(quality, row)?,
            ]);
        }
    }
    let more = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    let grid = Grid {
        caption: "What was noticed while the month was observed".to_string(),
        head: head(&["severity", "about", "what it means", "found"]),
        texts: 4,
        rows,
    };
    Ok(html! {
        section aria-labelledby="quality" {
            h2 id="quality" { "What was noticed" }
            p { "Checks that the job makes on each month. Those of severity info only say what was counted." }
            (grid.drawn())
            @if more > 0 { p { (more) " more are in the report " code { "data_quality" } "." } }
        }
    })
}
