//! Findings of a month that its snapshot does not have: from the months before, from missing streams, and from the reports themselves.

use crate::settings::Settings;
use archive::snapshot::Manifest;
use domain::Month;
use reports::analysis::Found;
use reports::history::Definitions;
use reports::steps::Counted;
use reports::workbook::ROWS_MAX;

/// Findings from the months before, and from missing streams.
pub(super) fn noticed(definitions: &Definitions, manifest: &Manifest, counted: &Counted, month: Month) -> Vec<Found> {
    let warning = |check_name: &str, subject: &str, value: Option<String>, expected: Option<String>, detail: &str| Found {
        severity: "warning".to_string(),
        check_name: check_name.to_string(),
        subject: subject.to_string(),
        value,
        expected,
        detail: detail.to_string(),
    };
    let mut noticed = Vec::new();
    for cohort in &counted.cohorts {
        if let Some(compared) = cohort.compared.map(|compared| compared.month).filter(|compared| compared.next() != month) {
            let detail = "compared with an earlier month than the last one, which was not observed at its end or was incomplete: \
                          joined and departed count since then";
            noticed.push(warning("compared_over_a_gap", &cohort.cohort_key, Some(compared.to_string()), None, detail));
        }
    }
    // Only the snapshot shows which members were merged. Without this, a comparison counts merged members as departed, so only months
    // that are compared have this finding.
    if manifest.vanished.is_none() && counted.cohorts.iter().any(|cohort| cohort.compared.is_some()) {
        noticed.push(Found {
            severity: "info".to_string(),
            check_name: "merges_unknown".to_string(),
            subject: "contacts".to_string(),
            value: Some(manifest.api_version.clone()),
            expected: Some("2.16 or later".to_string()),
            detail: "members who are in no list any more were not asked for: whether they were deleted or merged into another contact is \
                     unknown, and a merged member counts as departed"
                .to_string(),
        });
    }
    for unreadable in &counted.unreadable {
        let detail = "the snapshot of the compared month cannot be read: who unsubscribed or became a user since then is unknown, and so are \
                      the records of contacts that are gone";
        noticed.push(warning("compared_month_damaged", &unreadable.to_string(), None, None, detail));
    }
    for rule in definitions.rules.iter().filter(|_| !manifest.incomplete.is_empty()) {
        let detail = "the month is incomplete: the members of the rule are unknown, and it is left out";
        noticed.push(warning("rule_not_counted", &rule.cohort_key(), None, None, detail));
    }
    noticed
}

/// The finding that a report has too many rows for a sheet. `data_quality` is the last report, so it can name the reports before it.
pub(super) fn too_long_for_xlsx(report: &str, rows: u64) -> Found {
    Found {
        severity: "info".to_string(),
        check_name: "too_long_for_xlsx".to_string(),
        subject: report.to_string(),
        value: Some(rows.to_string()),
        expected: Some(ROWS_MAX.to_string()),
        detail: "has no sheet in `report.xlsx`, because it has more rows than people read there; the Parquet and CSV files have them, if `output.formats` names these".to_string(),
    }
}

pub(super) fn too_long_for_csv(report: &str, rows: u64, settings: &Settings) -> Found {
    Found {
        severity: "info".to_string(),
        check_name: "too_long_for_csv".to_string(),
        subject: report.to_string(),
        value: Some(rows.to_string()),
        expected: settings.output.csv_max_rows.map(|most| most.to_string()),
        detail: "written as Parquet and not as CSV, because it has more rows than `output.csv_max_rows`; 0 writes every report as CSV"
            .to_string(),
    }
}
