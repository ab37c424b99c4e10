//! One row for each way from one cohort to another: how many contacts moved since the compared month.

use polars::prelude::*;

use super::{Facts, MONTH, Report, ratio};
use archive::table::{Column as Entry, Kind, Query, Table};

const NO_COHORT_LEFT: &str = "from_cohort is `(none)`, `(stayed)` or `(new)`";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "movement",
        row: "a cohort that contacts left and a cohort that they joined, if at least one contact did both; if cohorts overlap, a \
              contact can be in two rows",
        key: &["month", "from_cohort", "to_cohort"],
        columns: &[
            MONTH,
            Entry::new(
                "from_cohort",
                Kind::Text,
                "cohort_key of the cohort left; `(none)`: they were in no cohort of the job; `(stayed)`: they were in cohorts and left \
                 none; `(new)`: created since the compared month",
            ),
            Entry::new("from_name", Kind::Text, "name of the cohort that they left"),
            Entry::new(
                "to_cohort",
                Kind::Text,
                "cohort_key of the cohort joined; `(none)`: they are in no cohort of the job now; `(stayed)`: they joined none and are \
                 in another; `(gone)`: they left the workspace, which is known only if the population is everyone",
            ),
            Entry::new("to_name", Kind::Text, "name of the cohort that they joined"),
            Entry::new("contacts", Kind::Count, "contacts that moved from `from_cohort` to `to_cohort`"),
            Entry::new("previous_members", Kind::Count, "members of the cohort left, in the compared month").or_null(NO_COHORT_LEFT),
            Entry::new("share_of_from", Kind::Ratio, "contacts / previous_members, 0 to 1").or_null(NO_COHORT_LEFT),
        ],
    },
    query: Query { name: "analysis/movement.sql", sql: include_str!("movement.sql") },
    judge,
};

fn judge(_: &Facts, rows: DataFrame) -> PolarsResult<DataFrame> {
    let (contacts, previous) = (rows.column("contacts")?.i64()?, rows.column("previous_members")?.i64()?);
    let share: Float64Chunked = contacts.iter().zip(previous.iter()).map(|(contacts, previous)| ratio(contacts, previous)).collect();
    rows.hstack(&[share.with_name("share_of_from".into()).into_column()])
}
