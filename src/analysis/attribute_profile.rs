//! One row a cohort, attribute and value: what members have in common that others do not.

use std::collections::HashSet;

use polars::prelude::*;

use super::profiles::{ByRole, Group, Groups};
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report};
use crate::stats::{OddsRatio, TwoByTwo, benjamini_hochberg};
use crate::table::{Column as Entry, Kind, Query, Table};

/// So many values of an attribute have a row of their own.
const VALUES_MAX: usize = 50;
pub(super) const OTHER: &str = "(other)";
const UNKNOWN: &str = "(unknown)";

const ONE_IS_EMPTY: &str = "there are no members, or no others";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "attribute_profile",
        row: "a cohort, an attribute of the job's profile and a value of it; the 50 values most frequent in the population, \
              the rest as (other), none as (unknown)",
        key: &["month", "cohort_key", "attribute", "value"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("attribute", Kind::Text, "the attribute as the job names it"),
            Entry::new("value", Kind::Text, "the value as text; `(other)`, `(unknown)`"),
            Entry::new("members", Kind::Count, "members of the cohort, within the population, with that value"),
            Entry::new("member_share", Kind::Ratio, "members / all members within the population, 0 to 1").or_null("there are no members"),
            Entry::new(
                "others",
                Kind::Count,
                "contacts of the population outside the cohort with that value, of the roles that occur in it",
            ),
            Entry::new("other_share", Kind::Ratio, "others / all such contacts, 0 to 1").or_null("there are no others"),
            Entry::new("lift", Kind::Ratio, "member_share / other_share; 2 is twice as frequent among members")
                .in_unit("ratio")
                .or_null("there are no members, or no others with that value"),
            Entry::new("odds_ratio", Kind::Ratio, "odds of the value among members / among others; 0.5 added to each count when one is 0")
                .in_unit("ratio")
                .or_null(ONE_IS_EMPTY),
            Entry::new("odds_low", Kind::Ratio, "lower end of its 95 % interval (Woolf's logit)").in_unit("ratio").or_null(ONE_IS_EMPTY),
            Entry::new("odds_high", Kind::Ratio, "upper end of its 95 % interval (Woolf's logit)").in_unit("ratio").or_null(ONE_IS_EMPTY),
            Entry::new(
                "p_value",
                Kind::Ratio,
                "two-sided: Fisher's exact test when an expected count is below 5, else Pearson's chi-square without correction",
            )
            .in_unit("probability, 0 to 1")
            .or_null(ONE_IS_EMPTY),
            Entry::new("q_value", Kind::Ratio, "p_value after Benjamini and Hochberg, over all rows of the month's report")
                .in_unit("probability, 0 to 1")
                .or_null(ONE_IS_EMPTY),
            Entry::new("previous_share", Kind::Ratio, "member_share of the compared month")
                .or_null("nothing to compare with, or no members then"),
            Entry::new("share_change", Kind::Ratio, "member_share - previous_share")
                .in_unit("difference of shares, -1 to 1")
                .or_null("either is null"),
        ],
    },
    query: Query { name: "analysis/attribute_profile.sql", sql: include_str!("attribute_profile.sql") },
    judge,
};

struct Row<'a> {
    cohort: &'a CohortFacts,
    attribute: &'a str,
    value: String,
    table: TwoByTwo,
    member_share: Option<f64>,
    other_share: Option<f64>,
    previous_share: Option<f64>,
}

fn judge(facts: &Facts, counts: DataFrame) -> PolarsResult<DataFrame> {
    let groups = Groups::read(&counts)?;
    let mut rows = Vec::new();
    for attribute in &facts.profile {
        let shown = Shown::of(&groups.population, attribute);
        for cohort in &facts.cohorts {
            let (members, before) = (groups.cohort(&cohort.cohort_key), groups.compared(&cohort.cohort_key));
            let others = (groups.population.everyone - members.everyone).of_roles_in(members.everyone);
            for value in shown.labels() {
                let with = shown.counted(members, attribute, value);
                let others_with = (shown.counted(&groups.population, attribute, value) - with).of_roles_in(members.everyone);
                let table = TwoByTwo {
                    members_with: with.total(),
                    members_without: (members.everyone - with).total(),
                    others_with: others_with.total(),
                    others_without: (others - others_with).total(),
                };
                let before_with = shown.counted(before, attribute, value).total();
                rows.push(Row {
                    cohort,
                    attribute,
                    value: value.to_string(),
                    table,
                    member_share: share(with.total(), members.everyone.total()),
                    other_share: share(others_with.total(), others.total()),
                    previous_share: cohort.compared_month.and_then(|_| share(before_with, before.everyone.total())),
                });
            }
        }
    }
    frame(facts, &rows)
}

/// The values of an attribute that have rows of their own, and which of the remainders are needed.
struct Shown<'a> {
    values: Vec<&'a str>,
    is_shown: HashSet<&'a str>,
    has_other: bool,
    has_unknown: bool,
}

impl<'a> Shown<'a> {
    fn of(population: &'a Group, attribute: &str) -> Shown<'a> {
        // Values that look like the remainders' labels are counted with them.
        let all = population.values(attribute).iter().filter(|(value, _)| ![OTHER, UNKNOWN].contains(&value.as_str()));
        let mut values: Vec<(&str, u64)> = all.map(|(value, counted)| (value.as_str(), counted.contacts.total())).collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        values.truncate(VALUES_MAX);
        let values: Vec<&str> = values.into_iter().map(|(value, _)| value).collect();
        let mut shown = Shown { is_shown: values.iter().copied().collect(), values, has_other: false, has_unknown: false };
        shown.has_other = shown.counted(population, attribute, OTHER).total() > 0;
        shown.has_unknown = shown.counted(population, attribute, UNKNOWN).total() > 0;
        shown
    }

    fn labels(&self) -> impl Iterator<Item = &'a str> {
        let remainders = [(OTHER, self.has_other), (UNKNOWN, self.has_unknown)];
        self.values.clone().into_iter().chain(remainders.into_iter().filter(|(_, is_needed)| *is_needed).map(|(label, _)| label))
    }

    fn counted(&self, group: &Group, attribute: &str, label: &str) -> ByRole {
        let shown = || self.values.iter().fold(ByRole::default(), |sum, value| sum + group.with(attribute, value));
        match label {
            UNKNOWN => group.everyone - group.with_any(attribute) + group.with(attribute, UNKNOWN),
            OTHER => group.with_any(attribute) - shown() - group.with(attribute, UNKNOWN),
            value if self.is_shown.contains(value) => group.with(attribute, value),
            _ => ByRole::default(),
        }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    if whole == 0 { None } else { Some(part as f64 / whole as f64) }
}

fn frame(facts: &Facts, rows: &[Row<'_>]) -> PolarsResult<DataFrame> {
    let p: Vec<Option<f64>> = rows.iter().map(|row| row.table.p_value()).collect();
    let odds: Vec<Option<OddsRatio>> = rows.iter().map(|row| row.table.odds_ratio()).collect();
    let of_odds = |name: &str, value: fn(&OddsRatio) -> f64| {
        Column::new(name.into(), odds.iter().map(|odds| odds.as_ref().map(value)).collect::<Vec<_>>())
    };
    let ratios = |name: &str, value: &dyn Fn(&Row<'_>) -> Option<f64>| {
        Column::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let counts = |name: &str, value: fn(&TwoByTwo) -> u64| {
        Column::new(name.into(), rows.iter().map(|row| value(&row.table) as i64).collect::<Vec<_>>())
    };
    let lift = |row: &Row<'_>| {
        let other_share = row.other_share.filter(|share| *share > 0.0)?;
        Some(row.member_share? / other_share)
    };
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|row| row.cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|row| row.cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("attribute".into(), rows.iter().map(|row| row.attribute).collect::<Vec<_>>()),
        Column::new("value".into(), rows.iter().map(|row| row.value.as_str()).collect::<Vec<_>>()),
        counts("members", |table| table.members_with),
        ratios("member_share", &|row| row.member_share),
        counts("others", |table| table.others_with),
        ratios("other_share", &|row| row.other_share),
        ratios("lift", &lift),
        of_odds("odds_ratio", |odds| odds.ratio),
        of_odds("odds_low", |odds| odds.low),
        of_odds("odds_high", |odds| odds.high),
        Column::new("q_value".into(), benjamini_hochberg(&p)),
        Column::new("p_value".into(), p),
        ratios("previous_share", &|row| row.previous_share),
        ratios("share_change", &|row| Some(row.member_share? - row.previous_share?)),
    ];
    DataFrame::new(rows.len(), columns)
}
