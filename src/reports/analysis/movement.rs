//! One row for each pair of a cohort that contacts left and a cohort that they joined: how many contacts moved since the compared month.

use std::collections::HashMap;

use polars::prelude::*;

use super::rows::{days_of, rows_where};
use super::{Facts, MONTH, Report, Source, ratio};
use crate::history;
use crate::steps;
use archive::table::{Column as Entry, Kind, Table};

const NO_COHORT_LEFT: &str = "from_cohort is `(none)`, `(stayed)` or `(new)`";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "movement",
        row: "a cohort that was left and a cohort that was joined, if at least one contact did both. A word in parentheses stands in \
              place of a cohort if they left none or joined none. If cohorts overlap, a contact can be in several rows",
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
    source: Source::Judged(&[&steps::MOVES, &history::COUNTS], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let [moves, counts] = tables else { polars_bail!(ShapeMismatch: "movement has {} tables", tables.len()) };
    let (from, to) = (moves.column("from_cohort")?.str()?, moves.column("to_cohort")?.str()?);
    let name = |key: Option<&str>| {
        let cohort = facts.cohorts.iter().find(|cohort| Some(cohort.cohort_key.as_str()) == key);
        cohort.map_or(key.unwrap_or_default().to_string(), |cohort| cohort.cohort_name.clone())
    };
    let now = rows_where(counts, days_of(counts, "month")?.into_iter().map(|month| month == facts.first_day()))?;
    let (keys, members) = (now.column("cohort_key")?.str()?, now.column("previous_members")?.i64()?);
    let members: HashMap<Option<&str>, Option<i64>> = keys.iter().zip(members.iter()).collect();
    let previous: Vec<Option<i64>> = from.iter().map(|key| members.get(&key).copied().flatten()).collect();
    let share: Vec<Option<f64>> =
        moves.column("contacts")?.i64()?.iter().zip(&previous).map(|(contacts, previous)| ratio(contacts, *previous)).collect();
    let columns = [
        Column::new("month".into(), vec![facts.first_day(); moves.height()]),
        Column::new("from_name".into(), from.iter().map(name).collect::<Vec<_>>()),
        Column::new("to_name".into(), to.iter().map(name).collect::<Vec<_>>()),
        Column::new("previous_members".into(), previous),
        Column::new("share_of_from".into(), share),
    ];
    moves.hstack(&columns)
}
