//! One row for each cohort and numeric attribute: the distribution of the members' values, and whether they are larger than
//! those of other contacts.

use polars::prelude::*;

use super::profiles::{Group, Groups, Values};
use super::rows::q_within_cohorts;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use stats::{MannWhitney, Tally, mann_whitney, mean, quantile};

const NO_MEMBERS: &str = "no member has a value";
const ONE_IS_EMPTY: &str = "no member has a value, or no contact outside the cohort has one";
const NO_INTERVAL: &str = "cliffs_delta is null, a side has a single value, or all values of one side are above all of the other";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "numeric_profile",
        row: "a cohort and an attribute of the job's profile whose values are all numbers",
        key: &["month", "cohort_key", "attribute"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("attribute", Kind::Text, "the attribute as the job names it"),
            Entry::new("members", Kind::Count, "members of the cohort in the population that have a value"),
            Entry::new("mean", Kind::Ratio, "mean of the members' values").in_unit("the attribute's own").or_null(NO_MEMBERS),
            Entry::new("p10", Kind::Ratio, "a tenth of the members' values are below it (linear interpolation)")
                .in_unit("the attribute's own")
                .or_null(NO_MEMBERS),
            Entry::new("median", Kind::Ratio, "half of the members' values are below it")
                .in_unit("the attribute's own")
                .or_null(NO_MEMBERS),
            Entry::new("p90", Kind::Ratio, "nine tenths of the members' values are below it")
                .in_unit("the attribute's own")
                .or_null(NO_MEMBERS),
            Entry::new(
                "others",
                Kind::Count,
                "contacts that have a value, are in the population and not in the cohort, and have a role that some member has",
            ),
            Entry::new("others_median", Kind::Ratio, "half of their values are below it")
                .in_unit("the attribute's own")
                .or_null("no other contact has a value"),
            Entry::new(
                "cliffs_delta",
                Kind::Ratio,
                "the probability that a member's value is larger than another contact's, minus the probability that it is smaller: -1 to 1",
            )
            .in_unit("difference of shares, -1 to 1")
            .or_null(ONE_IS_EMPTY),
            Entry::new("delta_low", Kind::Ratio, "lower end of its 95 % interval (Brunner-Munzel)")
                .in_unit("difference of shares, -1 to 1")
                .or_null(NO_INTERVAL),
            Entry::new("delta_high", Kind::Ratio, "upper end of its 95 % interval (Brunner-Munzel)")
                .in_unit("difference of shares, -1 to 1")
                .or_null(NO_INTERVAL),
            Entry::new("p_value", Kind::Ratio, "two-sided Mann-Whitney test: normal approximation, corrected for ties and continuity")
                .in_unit("probability, 0 to 1")
                .or_null(ONE_IS_EMPTY),
            Entry::new("q_value", Kind::Ratio, "p_value after Benjamini and Hochberg, over the cohort's rows")
                .in_unit("probability, 0 to 1")
                .or_null(ONE_IS_EMPTY),
        ],
    },
    source: Source::Judged(&[&history::PROFILES], judge),
};

struct Row<'a> {
    cohort: &'a CohortFacts,
    attribute: &'a str,
    tallies: Vec<Tally>,
    test: Option<MannWhitney>,
}

impl Row<'_> {
    fn members(&self) -> impl Iterator<Item = (f64, u64)> + Clone {
        self.tallies.iter().map(|tally| (tally.value, tally.members))
    }

    fn others(&self) -> impl Iterator<Item = (f64, u64)> + Clone {
        self.tallies.iter().map(|tally| (tally.value, tally.others))
    }
}

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let groups = Groups::read(&tables[0], facts)?;
    let mut rows = Vec::new();
    for attribute in &facts.profile {
        let population = groups.population.values(attribute);
        if population.is_empty() || population.values().any(|value| value.number.is_none()) {
            continue;
        }
        for cohort in &facts.cohorts {
            let members = groups.cohort(&cohort.cohort_key);
            let mut tallies = tallies(population, members, attribute);
            tallies.retain(|tally| tally.members + tally.others > 0);
            let test = mann_whitney(&tallies);
            rows.push(Row { cohort, attribute, tallies, test });
        }
    }
    frame(facts, &rows)
}

/// The numbers, each once, ascending. Different texts may be the same number.
fn tallies(population: &Values, members: &Group, attribute: &str) -> Vec<Tally> {
    let mut all: Vec<Tally> = Vec::with_capacity(population.len());
    for (text, value) in population {
        let with = members.with(attribute, text);
        let others = (value.contacts - with).of_roles_in(members.everyone);
        all.push(Tally { value: value.number.unwrap_or_default(), members: with.total(), others: others.total() });
    }
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all.dedup_by(|next, kept| {
        // 0 and -0 are one number too.
        let is_same = next.value == kept.value;
        if is_same {
            kept.members += next.members;
            kept.others += next.others;
        }
        is_same
    });
    all
}

fn frame(facts: &Facts, rows: &[Row<'_>]) -> PolarsResult<DataFrame> {
    let p: Vec<Option<f64>> = rows.iter().map(|row| row.test.as_ref().map(|test| test.p_value)).collect();
    let total = |values: &mut dyn Iterator<Item = (f64, u64)>| values.map(|(_, count)| count as i64).sum::<i64>();
    let counts = |name: &str, value: &dyn Fn(&Row<'_>) -> i64| Column::new(name.into(), rows.iter().map(value).collect::<Vec<_>>());
    let ratios = |name: &str, value: &dyn Fn(&Row<'_>) -> Option<f64>| {
        Column::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|row| row.cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|row| row.cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("attribute".into(), rows.iter().map(|row| row.attribute).collect::<Vec<_>>()),
        counts("members", &|row| total(&mut row.members())),
        ratios("mean", &|row| mean(row.members())),
        ratios("p10", &|row| quantile(row.members(), 0.1)),
        ratios("median", &|row| quantile(row.members(), 0.5)),
        ratios("p90", &|row| quantile(row.members(), 0.9)),
        counts("others", &|row| total(&mut row.others())),
        ratios("others_median", &|row| quantile(row.others(), 0.5)),
        ratios("cliffs_delta", &|row| row.test.as_ref().map(|test| test.cliffs_delta)),
        ratios("delta_low", &|row| Some(row.test.as_ref()?.delta_interval?.low)),
        ratios("delta_high", &|row| Some(row.test.as_ref()?.delta_interval?.high)),
        Column::new("q_value".into(), q_within_cohorts(rows.iter().map(|row| row.cohort), &p)),
        Column::new("p_value".into(), p),
    ];
    DataFrame::new(rows.len(), columns)
}
