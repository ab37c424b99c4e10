//! One row for each pair of cohorts, also for pairs without common members.

use polars::prelude::*;

use super::rows::Counts;
use super::{CohortFacts, Facts, MONTH, PopulationKind, Report, Source, ratio};
use crate::steps;
use archive::table::{Column as Entry, Kind, Table};

const NO_POPULATION: &str = "the population is the cohorts themselves";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "overlap",
        row: "a pair of cohorts, cohort_a < cohort_b",
        key: &["month", "cohort_a", "cohort_b"],
        columns: &[
            MONTH,
            Entry::new("cohort_a", Kind::Text, "cohort_key of the first cohort"),
            Entry::new("cohort_a_name", Kind::Text, "name of the first cohort"),
            Entry::new("cohort_b", Kind::Text, "cohort_key of the second cohort"),
            Entry::new("cohort_b_name", Kind::Text, "name of the second cohort"),
            Entry::new("members_a", Kind::Count, "members of the first cohort"),
            Entry::new("members_b", Kind::Count, "members of the second cohort"),
            Entry::new("in_both", Kind::Count, "members of both"),
            Entry::new("in_either", Kind::Count, "members of one or both"),
            Entry::new("jaccard", Kind::Ratio, "in_both / in_either, 0 to 1").or_null("both are empty"),
            Entry::new("share_of_a", Kind::Ratio, "in_both / members_a, 0 to 1").or_null("members_a is 0"),
            Entry::new("share_of_b", Kind::Ratio, "in_both / members_b, 0 to 1").or_null("members_b is 0"),
            Entry::new("population", Kind::Count, "contacts of the population").or_null(NO_POPULATION),
            Entry::new("population_a", Kind::Count, "members of the first cohort in the population").or_null(NO_POPULATION),
            Entry::new("population_b", Kind::Count, "members of the second cohort in the population").or_null(NO_POPULATION),
            Entry::new("population_both", Kind::Count, "members of both in the population").or_null(NO_POPULATION),
            Entry::new(
                "lift",
                Kind::Ratio,
                "population_both x population / (population_a x population_b); 1 if membership of one is independent of the other",
            )
            .in_unit("ratio")
            .or_null("a cohort has no member in the population, or the population is the cohorts themselves"),
        ],
    },
    source: Source::Judged(&[&steps::SHARED], judge),
};

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let counts = Counts::by(&tables[0], &["cohort_a", "cohort_b"])?;
    let cohorts = &facts.cohorts;
    let pairs: Vec<(&CohortFacts, &CohortFacts)> =
        cohorts.iter().enumerate().flat_map(|(index, a)| cohorts[index + 1..].iter().map(move |b| (a, b))).collect();
    let shared = |a: &CohortFacts, b: &CohortFacts, column: &str| counts.get(&[&a.cohort_key, &b.cohort_key], column);
    let population = counts.get(&["", ""], "in_both_of_population")?;

    let members_a = pairs.iter().map(|(a, _)| shared(a, a, "in_both")).collect::<PolarsResult<Vec<i64>>>()?;
    let members_b = pairs.iter().map(|(_, b)| shared(b, b, "in_both")).collect::<PolarsResult<Vec<i64>>>()?;
    let in_both = pairs.iter().map(|(a, b)| shared(a, b, "in_both")).collect::<PolarsResult<Vec<i64>>>()?;
    let in_either: Vec<i64> = (0..pairs.len()).map(|row| members_a[row] + members_b[row] - in_both[row]).collect();
    let is_known = facts.population != PopulationKind::Cohorts;
    let of_population = |count: &dyn Fn(&(&CohortFacts, &CohortFacts)) -> PolarsResult<i64>| -> PolarsResult<Vec<Option<i64>>> {
        pairs.iter().map(|pair| if is_known { count(pair).map(Some) } else { Ok(None) }).collect()
    };
    let counted = |a: &CohortFacts, b: &CohortFacts| shared(a, b, "in_both_of_population");
    let population_a = of_population(&|(a, _)| counted(a, a))?;
    let population_b = of_population(&|(_, b)| counted(b, b))?;
    let population_both = of_population(&|(a, b)| counted(a, b))?;
    let lift: Vec<Option<f64>> = (0..pairs.len())
        .map(|row| {
            let expected = population_a[row]? as f64 * population_b[row]? as f64;
            if expected > 0.0 { Some(population_both[row]? as f64 * population as f64 / expected) } else { None }
        })
        .collect();
    let share =
        |whole: &[i64]| -> Vec<Option<f64>> { in_both.iter().zip(whole).map(|(part, whole)| ratio(Some(*part), Some(*whole))).collect() };

    let texts = |name: &str, values: Vec<&str>| Column::new(name.into(), values);
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); pairs.len()]),
        texts("cohort_a", pairs.iter().map(|(a, _)| a.cohort_key.as_str()).collect()),
        texts("cohort_a_name", pairs.iter().map(|(a, _)| a.cohort_name.as_str()).collect()),
        texts("cohort_b", pairs.iter().map(|(_, b)| b.cohort_key.as_str()).collect()),
        texts("cohort_b_name", pairs.iter().map(|(_, b)| b.cohort_name.as_str()).collect()),
        Column::new("jaccard".into(), share(&in_either)),
        Column::new("share_of_a".into(), share(&members_a)),
        Column::new("share_of_b".into(), share(&members_b)),
        Column::new("population".into(), vec![is_known.then_some(population); pairs.len()]),
        Column::new("population_a".into(), population_a),
        Column::new("population_b".into(), population_b),
        Column::new("population_both".into(), population_both),
        Column::new("lift".into(), lift),
        Column::new("members_a".into(), members_a),
        Column::new("members_b".into(), members_b),
        Column::new("in_both".into(), in_both.clone()),
        Column::new("in_either".into(), in_either),
    ];
    DataFrame::new(pairs.len(), columns)
}
