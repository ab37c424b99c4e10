//! Groups whose definition may have changed: Intercom's date of the last change of the group moved between two months.

use chrono::{DateTime, Utc};
use polars::prelude::*;

use archive::table::Rows;
use domain::Month;

/// A month before which a group was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedDefinition {
    pub cohort_key: String,
    /// The month, and the last month of the cohort's history before it.
    pub month: Month,
    pub before: Month,
    /// When Intercom last changed the group, as it was shown in each of these months.
    pub updated_at: DateTime<Utc>,
    pub updated_at_before: DateTime<Utc>,
}

/// All months up to `now` before which a group was changed, from the history's `counts`. Whether its filter was edited is not known: the
/// date may move for other reasons, too.
///
/// # Errors
/// When a column is missing.
pub fn changed_definitions(counts: &DataFrame, now: Month) -> PolarsResult<Vec<ChangedDefinition>> {
    let rows = Rows(counts);
    let mut found = Vec::new();
    let mut last: Option<(String, Month, DateTime<Utc>)> = None;
    // The rows are sorted by cohort and month. A month outside the history is compared with nothing.
    for row in 0..rows.count_all() {
        let Some(month) = rows.day("month", row)?.map(Month::of).filter(|month| *month <= now) else { continue };
        if rows.flag("in_history", row)? != Some(true) {
            continue;
        }
        let cohort_key = rows.text("cohort_key", row)?.to_string();
        let Some(updated_at) = rows.instant("definition_updated_at", row)? else { continue };
        if let Some((key, before, updated_at_before)) = last.take().filter(|(key, ..)| *key == cohort_key)
            && updated_at > updated_at_before
        {
            found.push(ChangedDefinition { cohort_key: key, month, before, updated_at, updated_at_before });
        }
        last = Some((cohort_key, month, updated_at));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_paper::table;

    #[test]
    fn a_definition_changed_if_its_date_moved_between_two_months_of_the_history() {
        let counts = table(
            "
            cohort_key  month:day   in_history  definition_updated_at:instant
            segment:a   2026-07     true        2026-01-01T00:00:00Z
            segment:a   2026-08     true        2026-01-01T00:00:00Z
            segment:a   2026-10     true        2026-09-12T10:00:00Z
            segment:a   2026-11     false       2026-10-12T10:00:00Z
            segment:b   2026-10     true        2026-09-30T00:00:00Z
            tag:c       2026-09     true        -
            tag:c       2026-10     true        -",
        );
        let found = changed_definitions(&counts, "2026-11".parse().unwrap()).unwrap();
        let shown: Vec<String> = found.iter().map(|of| format!("{} {} {} {}", of.cohort_key, of.before, of.month, of.updated_at)).collect();
        assert_eq!(shown, ["segment:a 2026-08 2026-10 2026-09-12 10:00:00 UTC"]);
        assert_eq!(changed_definitions(&counts, "2026-09".parse().unwrap()).unwrap(), []);
    }
}
