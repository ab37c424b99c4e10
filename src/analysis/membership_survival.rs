//! One row a cohort and duration: how long those stay who come. Kaplan-Meier over first spells.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::rows::counts_of;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report};
use crate::stats::{SpellCount, Survival, kaplan_meier};
use crate::table::{Column as Entry, Kind, Query, Table};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "membership_survival",
        row: "a cohort and a duration of membership, from 1 month to the longest one known",
        key: &["month", "cohort_key", "duration_months"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("duration_months", Kind::Count, "months from the first one in the cohort, that one included").in_unit("months"),
            Entry::new(
                "at_risk",
                Kind::Count,
                "first spells that were seen to last at least so long; none began in the cohort's first month",
            )
            .in_unit("first spells"),
            Entry::new("departed", Kind::Count, "those that ended after exactly so long: absent from the next month, deleted or not")
                .in_unit("first spells"),
            Entry::new("censored", Kind::Count, "those followed no further: they go on in the last month, or a month was missed")
                .in_unit("first spells"),
            Entry::new("survival", Kind::Ratio, "share of spells that last longer than that (Kaplan-Meier), 0 to 1"),
            Entry::new("survival_low", Kind::Ratio, "lower end of its 95 % interval (log(-log), Greenwood)"),
            Entry::new("survival_high", Kind::Ratio, "upper end of its 95 % interval (log(-log), Greenwood)"),
        ],
    },
    query: Query { name: "analysis/membership_survival.sql", sql: include_str!("membership_survival.sql") },
    judge,
};

fn judge(facts: &Facts, counts: DataFrame) -> PolarsResult<DataFrame> {
    let keys = counts.column("cohort_key")?.str()?;
    let (durations, departed, censored) =
        (counts_of(&counts, "duration_months")?, counts_of(&counts, "departed")?, counts_of(&counts, "censored")?);
    let mut spells: BTreeMap<&str, Vec<SpellCount>> = BTreeMap::new();
    for (row, key) in keys.iter().enumerate() {
        let spell = SpellCount { duration: durations[row], departed: departed[row] as u64, censored: censored[row] as u64 };
        spells.entry(key.unwrap_or_default()).or_default().push(spell);
    }
    let mut rows: Vec<(&CohortFacts, Survival)> = Vec::new();
    for cohort in &facts.cohorts {
        let of_cohort = spells.get(cohort.cohort_key.as_str()).map_or(&[][..], Vec::as_slice);
        rows.extend(kaplan_meier(of_cohort).into_iter().map(|survival| (cohort, survival)));
    }
    let count = |name: &str, value: fn(&Survival) -> u64| {
        Column::new(name.into(), rows.iter().map(|(_, survival)| value(survival) as i64).collect::<Vec<_>>())
    };
    let share = |name: &str, value: fn(&Survival) -> f64| {
        Column::new(name.into(), rows.iter().map(|(_, survival)| value(survival)).collect::<Vec<_>>())
    };
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|(cohort, _)| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|(cohort, _)| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("duration_months".into(), rows.iter().map(|(_, survival)| survival.duration).collect::<Vec<_>>()),
        count("at_risk", |survival| survival.at_risk),
        count("departed", |survival| survival.departed),
        count("censored", |survival| survival.censored),
        share("survival", |survival| survival.survival),
        share("survival_low", |survival| survival.low),
        share("survival_high", |survival| survival.high),
    ];
    DataFrame::new(rows.len(), columns)
}
