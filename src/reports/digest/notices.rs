//! What a reader must know before the figures of a month: findings that are errors or warnings, and cohorts that were not observed at its
//! end.

use std::collections::{BTreeMap, HashMap};

use polars::prelude::PolarsResult;
use serde::Serialize;

use super::words::month_name;
use super::{CohortDigest, NAME_LENGTH, one_line, shortened};
use archive::table::Rows;
use domain::{Basis, Month};

/// The maximum number of subjects that a notice names.
const SUBJECTS: usize = 8;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// `error` or `warning`.
    pub severity: &'static str,
    pub text: String,
}

/// The notices of the month. Empty if the month was observed at its end and has no finding that is an error or a warning.
pub(super) fn notices(month: Month, cohorts: &[CohortDigest], quality: Rows<'_>) -> PolarsResult<Vec<Notice>> {
    let names = names(cohorts);
    let mut notices: Vec<Notice> = basis(month, cohorts).into_iter().map(|text| Notice { severity: "warning", text }).collect();
    for severity in ["error", "warning"] {
        // Findings with the same text are one notice.
        let mut of_detail: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for row in quality.of("severity", severity)? {
            // The function `basis` makes a notice of each basis, so these findings are skipped.
            if quality.text("check_name", row)? == "basis" {
                continue;
            }
            let subject = quality.text("subject", row)?;
            let subject = names.get(subject).cloned().unwrap_or_else(|| shown(subject));
            let value = if quality.text("value", row)?.is_empty() { String::new() } else { format!(" ({})", found(quality, row)?) };
            of_detail.entry(quality.text("detail", row)?).or_default().push(subject + &value);
        }
        notices.extend(of_detail.into_iter().map(|(detail, subjects)| Notice { severity, text: sentence(detail, &subjects) }));
    }
    Ok(notices)
}

/// What a finding found, and what was expected.
pub fn found(quality: Rows<'_>, row: usize) -> PolarsResult<String> {
    let (value, expected) = (quality.text("value", row)?, quality.text("expected", row)?);
    Ok(if expected.is_empty() { shown(value) } else { format!("{}, expected {}", shown(value), shown(expected)) })
}

/// The names of the cohorts, by key.
pub fn names(cohorts: &[CohortDigest]) -> HashMap<&str, String> {
    cohorts.iter().map(|cohort| (cohort.cohort_key.as_str(), shown(&cohort.name))).collect()
}

fn shown(name: &str) -> String {
    shortened(&one_line(name), NAME_LENGTH)
}

/// The notice of a finding with its subjects. If there are many subjects, only the first ones are named.
fn sentence(detail: &str, subjects: &[String]) -> String {
    let more = subjects.len().saturating_sub(SUBJECTS);
    let named = subjects[..subjects.len() - more].join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{named}{more}: {}.", detail.trim_end_matches('.'))
}

/// Explains each basis other than month_end.
fn basis(month: Month, cohorts: &[CohortDigest]) -> Vec<String> {
    let mut notices = Vec::new();
    for basis in [Basis::Preliminary, Basis::Late, Basis::Reconstructed] {
        let of_basis: Vec<&CohortDigest> = cohorts.iter().filter(|cohort| cohort.basis == basis.as_str()).collect();
        let Some(observed_at) = of_basis.iter().filter_map(|cohort| cohort.observed_at).max() else { continue };
        let month = month_name(month);
        let what = match basis {
            Basis::Preliminary => format!("{month} had not ended when this was observed: its figures are not final."),
            Basis::Late => format!(
                "Who is in a cohort was observed on {}, not at the end of {month}: whoever came or left since is counted as of that day. \
                 Conversations and sign-ups are exact for the month.",
                observed_at.format("%Y-%m-%d")
            ),
            Basis::Reconstructed => format!(
                "Members were reconstructed from when their tag was applied: contacts who lost it since {month} are missing, so that \
                 the counts are lower bounds."
            ),
            Basis::MonthEnd => continue,
        };
        let whom = if of_basis.len() == cohorts.len() {
            "all cohorts".to_string()
        } else {
            of_basis.iter().map(|cohort| shown(&cohort.name)).collect::<Vec<_>>().join(", ")
        };
        notices.push(format!("{what} This is true of {whom}."));
    }
    notices
}
