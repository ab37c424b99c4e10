//! One row for each finding: what a reader of the month's numbers should know.

use polars::prelude::*;

use super::rows::Counts;
use super::{Facts, MONTH, PopulationKind, Report, Source, changed_definitions, expected_months};
use crate::history;
use crate::steps;
use archive::table::{Column as Entry, Kind, Rows, Table};
use domain::Basis;

/// Usually, at most one in this many conversations was begun by a contact that was not observed. A larger share is a warning.
const USUAL_SHARE: i64 = 100;

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "data_quality",
        row: "a finding",
        key: &["month", "severity", "check_name", "subject", "detail"],
        columns: &[
            MONTH,
            Entry::new("severity", Kind::Text, "info, warning or error").one_of(&["info", "warning", "error"]),
            Entry::new("check_name", Kind::Text, "what was checked"),
            Entry::new("subject", Kind::Text, "what it is about: a cohort_key, a table, a setting"),
            Entry::new("value", Kind::Text, "what was found").or_null("the finding has no value"),
            Entry::new("expected", Kind::Text, "what was expected").or_null("no particular value was expected"),
            Entry::new("detail", Kind::Text, "what it means, in words"),
        ],
    },
    source: Source::Judged(&[&steps::QUALITY, &history::COUNTS], judge),
};

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub severity: String,
    pub check_name: String,
    pub subject: String,
    pub value: Option<String>,
    pub expected: Option<String>,
    pub detail: String,
}

impl Found {
    fn new(severity: &str, check_name: &str, subject: &str, value: impl ToString, expected: &str, detail: impl Into<String>) -> Found {
        Found {
            severity: severity.to_string(),
            check_name: check_name.to_string(),
            subject: subject.to_string(),
            value: Some(value.to_string()),
            expected: Some(expected.to_string()),
            detail: detail.into(),
        }
    }
}

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let counts = Counts::by(&tables[0], &["check_name", "subject"])?;
    let mut found = facts.found.clone();
    for cohort in &facts.cohorts {
        let key = &cohort.cohort_key;
        let late = counts.get(&["created_after_month_end", key], "found")?;
        let detail = "contacts of the cohort that were created at or after the month's end; they are left out of its members";
        found.push(Found::new("info", "created_after_month_end", key, late, "0", detail));
        if cohort.basis != Basis::MonthEnd {
            let detail = "the cohort was not observed at the month's end: its month is compared with no other";
            found.push(Found::new("warning", "basis", key, cohort.basis, Basis::MonthEnd.as_str(), detail));
        }
    }
    let strangers = counts.get(&["opened_by_unknown_contact", "conversations"], "found")?;
    if strangers > 0 {
        // If the population is not everyone, it is normal that contacts outside it open conversations. In any month, some contacts are
        // deleted or merged.
        let is_usual = strangers * USUAL_SHARE <= counts.get(&["opened", "conversations"], "found")?;
        let severity = if facts.population == PopulationKind::Everyone && !is_usual { "warning" } else { "info" };
        let detail = "conversations that were begun by contacts who are not among those observed (deleted, merged or outside the population): they count for no cohort";
        found.push(Found::new(severity, "opened_by_unknown_contact", "conversations", strangers, "0", detail));
    }
    let undated = counts.get(&["created_at_missing", "contacts"], "found")?;
    if undated > 0 {
        let detail = "contacts without a creation date; they are counted as created before the month's end";
        found.push(Found::new("warning", "created_at_missing", "contacts", undated, "0", detail));
    }
    for attribute in &facts.profile {
        let texts = counts.get(&["mixed_attribute", attribute], "found")?;
        if texts > 0 {
            let detail = "contacts whose value of the attribute is no number, while others' is: it is left out of numeric_profile";
            found.push(Found::new("warning", "mixed_attribute", attribute, texts, "0", detail));
        }
    }
    found.extend(of_definitions(facts, &tables[1])?);
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); found.len()]),
        Column::new("severity".into(), found.iter().map(|row| row.severity.as_str()).collect::<Vec<_>>()),
        Column::new("check_name".into(), found.iter().map(|row| row.check_name.as_str()).collect::<Vec<_>>()),
        Column::new("subject".into(), found.iter().map(|row| row.subject.as_str()).collect::<Vec<_>>()),
        Column::new("value".into(), found.iter().map(|row| row.value.as_deref()).collect::<Vec<_>>()),
        Column::new("expected".into(), found.iter().map(|row| row.expected.as_deref()).collect::<Vec<_>>()),
        Column::new("detail".into(), found.iter().map(|row| row.detail.as_str()).collect::<Vec<_>>()),
    ];
    DataFrame::new(found.len(), columns)
}

/// Groups that were changed since the compared month. The finding is a warning if the group's number of members is outside of the expected
/// interval.
fn of_definitions(facts: &Facts, counts: &DataFrame) -> PolarsResult<Vec<Found>> {
    let changed = changed_definitions(counts, facts.month)?;
    let expected = expected_months(counts, facts.month, &["members"])?;
    let rows = Rows(counts);
    let mut found = Vec::new();
    for changed in changed.iter().filter(|changed| changed.month == facts.month) {
        let key = &changed.cohort_key;
        let mut members = None;
        for row in rows.of("cohort_key", key)? {
            if rows.day("month", row)? == Some(facts.first_day()) {
                members = rows.count("members", row)?;
            }
        }
        let interval = expected.iter().find(|of| of.cohort_key == *key && of.month == facts.month);
        let is_odd = members.zip(interval).is_some_and(|(members, of)| (members as f64) < of.low || members as f64 > of.high);
        let (severity, also) = match is_odd {
            true => ("warning", ", and its number of members is not what the months before let expect"),
            false => ("info", ""),
        };
        let detail = format!(
            "Intercom's date of the last change of the group moved since {}{also}: its filter may have been edited, so that its members of the \
             two months are not comparable",
            changed.before
        );
        let instant = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let (now, before) = (instant(changed.updated_at), instant(changed.updated_at_before));
        found.push(Found::new(severity, "definition_may_have_changed", key, now, &before, detail));
    }
    Ok(found)
}
