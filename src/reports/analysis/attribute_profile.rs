//! One row for each cohort, attribute and value: what members have more often than others.

use std::collections::HashSet;

use polars::prelude::*;

use super::profiles::{ByRole, Group, Groups};
use super::rows::q_within_cohorts;
use super::{COHORT_KEY, COHORT_NAME, CohortFacts, Facts, MONTH, Report, Source};
use crate::history;
use archive::table::{Column as Entry, Kind, Table};
use stats::{Ratio, TwoByTwo, association, odds_ratio, risk_ratio};

/// The number of values of an attribute that have a row of their own.
const VALUES_MAX: usize = 50;
pub(super) const OTHER: &str = "(other)";
pub(super) const UNKNOWN: &str = "(unknown)";

const ONE_IS_EMPTY: &str = "no member, or no other contact, has a known value";
const NO_RATIO: &str = "no member, or no other contact of a role that members have, has that value";
const NOTHING_COMPARED: &str = "nothing to compare with";

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "attribute_profile",
        row: "a cohort, an attribute of the job's profile and a value of it: the 50 values most frequent in the population, \
              `(other)` for the rest, `(unknown)` for no value",
        key: &["month", "cohort_key", "attribute", "value"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("attribute", Kind::Text, "the attribute as the job names it"),
            Entry::new("value", Kind::Text, "the value as text; `(other)`, `(unknown)`"),
            Entry::new("members", Kind::Count, "members of the cohort in the population with that value"),
            Entry::new("members_known", Kind::Count, "members in the population whose value is known"),
            Entry::new("member_share", Kind::Ratio, "members / members_known, 0 to 1; for `(unknown)`: the share of all members")
                .or_null("there are no such members"),
            Entry::new(
                "others",
                Kind::Count,
                "contacts of the population outside the cohort with that value; only roles that members have",
            ),
            Entry::new("others_known", Kind::Count, "such contacts whose value is known"),
            Entry::new("other_share", Kind::Ratio, "others / others_known, 0 to 1; for `(unknown)`: the share of all such contacts")
                .or_null("there are no such contacts"),
            Entry::new(
                "lift",
                Kind::Ratio,
                "how many times as frequent the value is among members as among others (Mantel-Haenszel by role)",
            )
            .in_unit("ratio")
            .or_null(NO_RATIO),
            Entry::new("lift_low", Kind::Ratio, "lower end of its 95 % interval (Greenland-Robins; Katz where members have one role)")
                .in_unit("ratio")
                .or_null(NO_RATIO),
            Entry::new("lift_high", Kind::Ratio, "upper end of its 95 % interval (Greenland-Robins; Katz where members have one role)")
                .in_unit("ratio")
                .or_null(NO_RATIO),
            Entry::new("odds_ratio", Kind::Ratio, "odds of the value among members / among others (Mantel-Haenszel by role)")
                .in_unit("ratio")
                .or_null(NO_RATIO),
            Entry::new(
                "odds_low",
                Kind::Ratio,
                "lower end of its 95 % interval (Robins-Breslow-Greenland; Woolf where members have one role)",
            )
            .in_unit("ratio")
            .or_null(NO_RATIO),
            Entry::new(
                "odds_high",
                Kind::Ratio,
                "upper end of its 95 % interval (Robins-Breslow-Greenland; Woolf where members have one role)",
            )
            .in_unit("ratio")
            .or_null(NO_RATIO),
            Entry::new(
                "p_value",
                Kind::Ratio,
                "two-sided: Cochran-Mantel-Haenszel by role, without correction; the exact conditional test when an expected count is \
                 below 5",
            )
            .in_unit("probability, 0 to 1")
            .or_null(ONE_IS_EMPTY),
            Entry::new("q_value", Kind::Ratio, "p_value after Benjamini and Hochberg, over the cohort's rows")
                .in_unit("probability, 0 to 1")
                .or_null(ONE_IS_EMPTY),
            Entry::new("previous_members", Kind::Count, "members of the compared month").or_null(NOTHING_COMPARED),
            Entry::new("previous_known", Kind::Count, "members_known of the compared month").or_null(NOTHING_COMPARED),
            Entry::new("previous_share", Kind::Ratio, "member_share of the compared month")
                .or_null("nothing to compare with, or no members then"),
            Entry::new("share_change", Kind::Ratio, "member_share - previous_share")
                .in_unit("difference of shares, -1 to 1")
                .or_null("either is null"),
        ],
    },
    source: Source::Judged(&[&history::PROFILES], judge),
};

struct Row<'a> {
    cohort: &'a CohortFacts,
    attribute: &'a str,
    value: String,
    members: Part,
    others: Part,
    previous: Option<Part>,
    /// One table for each role.
    strata: Vec<TwoByTwo>,
}

/// Numbers of contacts: `with` have the value, `known` have any known value, and the share is `with` divided by `of`.
#[derive(Clone, Copy)]
struct Part {
    with: u64,
    known: u64,
    of: u64,
}

impl Part {
    fn share(self) -> Option<f64> {
        if self.of == 0 { None } else { Some(self.with as f64 / self.of as f64) }
    }
}

fn judge(facts: &Facts, tables: &[DataFrame]) -> PolarsResult<DataFrame> {
    let groups = Groups::read(&tables[0], facts)?;
    let mut rows = Vec::new();
    for attribute in &facts.profile {
        let shown = Shown::of(&groups.population, attribute);
        for cohort in &facts.cohorts {
            let (members, before) = (groups.cohort(&cohort.cohort_key), groups.compared(&cohort.cohort_key));
            let of_others = |population: ByRole, members_of_them: ByRole| (population - members_of_them).of_roles_in(members.everyone);
            let others = of_others(groups.population.everyone, members.everyone);
            let members_known = known(members, attribute);
            let others_known = of_others(known(&groups.population, attribute), members_known);
            for value in shown.labels() {
                let with = shown.counted(members, attribute, value);
                let others_with = of_others(shown.counted(&groups.population, attribute, value), with);
                // `(unknown)` is a share of everyone, because none of these contacts has a known value.
                let among = |known: ByRole, everyone: ByRole| if value == UNKNOWN { everyone } else { known };
                let (of_members, of_others) = (among(members_known, members.everyone), among(others_known, others));
                let part = |with: ByRole, known: ByRole, of: ByRole| Part { with: with.total(), known: known.total(), of: of.total() };
                let before_known = known(before, attribute);
                let before_with = shown.counted(before, attribute, value);
                rows.push(Row {
                    cohort,
                    attribute,
                    value: value.to_string(),
                    members: part(with, members_known, of_members),
                    others: part(others_with, others_known, of_others),
                    previous: cohort.compared_month.map(|_| part(before_with, before_known, among(before_known, before.everyone))),
                    strata: ByRole::strata([with, of_members, others_with, of_others]),
                });
            }
        }
    }
    frame(facts, &rows)
}

/// The number of contacts whose value is known. A value that equals the label `(unknown)` counts as unknown.
fn known(group: &Group, attribute: &str) -> ByRole {
    group.with_any(attribute) - group.with(attribute, UNKNOWN)
}

/// The values of an attribute that have rows of their own, and whether `(other)` and `(unknown)` are needed.
struct Shown<'a> {
    values: Vec<&'a str>,
    is_shown: HashSet<&'a str>,
    has_other: bool,
    has_unknown: bool,
}

impl<'a> Shown<'a> {
    fn of(population: &'a Group, attribute: &str) -> Shown<'a> {
        // Values that equal these labels are counted with them.
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
            UNKNOWN => group.everyone - known(group, attribute),
            OTHER => known(group, attribute) - shown(),
            value if self.is_shown.contains(value) => group.with(attribute, value),
            _ => ByRole::default(),
        }
    }
}

fn frame(facts: &Facts, rows: &[Row<'_>]) -> PolarsResult<DataFrame> {
    let p: Vec<Option<f64>> = rows.iter().map(|row| association(&row.strata)).collect();
    let lift: Vec<Option<Ratio>> = rows.iter().map(|row| risk_ratio(&row.strata)).collect();
    let odds: Vec<Option<Ratio>> = rows.iter().map(|row| odds_ratio(&row.strata)).collect();
    let of_ratios = |name: &str, ratios: &[Option<Ratio>], value: fn(&Ratio) -> Option<f64>| {
        Column::new(name.into(), ratios.iter().map(|ratio| value(ratio.as_ref()?)).collect::<Vec<Option<f64>>>())
    };
    let ratios = |name: &str, value: &dyn Fn(&Row<'_>) -> Option<f64>| {
        Column::new(name.into(), rows.iter().map(value).collect::<Vec<Option<f64>>>())
    };
    let counts = |name: &str, value: &dyn Fn(&Row<'_>) -> u64| {
        Column::new(name.into(), rows.iter().map(|row| value(row) as i64).collect::<Vec<_>>())
    };
    let previous = |name: &str, value: fn(Part) -> u64| {
        Column::new(name.into(), rows.iter().map(|row| row.previous.map(|part| value(part) as i64)).collect::<Vec<Option<i64>>>())
    };
    let columns = vec![
        Column::new("month".into(), vec![facts.first_day(); rows.len()]),
        Column::new("cohort_key".into(), rows.iter().map(|row| row.cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), rows.iter().map(|row| row.cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("attribute".into(), rows.iter().map(|row| row.attribute).collect::<Vec<_>>()),
        Column::new("value".into(), rows.iter().map(|row| row.value.as_str()).collect::<Vec<_>>()),
        counts("members", &|row| row.members.with),
        counts("members_known", &|row| row.members.known),
        ratios("member_share", &|row| row.members.share()),
        counts("others", &|row| row.others.with),
        counts("others_known", &|row| row.others.known),
        ratios("other_share", &|row| row.others.share()),
        of_ratios("lift", &lift, |lift| Some(lift.ratio)),
        of_ratios("lift_low", &lift, |lift| Some(lift.interval()?.low)),
        of_ratios("lift_high", &lift, |lift| Some(lift.interval()?.high)),
        of_ratios("odds_ratio", &odds, |odds| Some(odds.ratio)),
        of_ratios("odds_low", &odds, |odds| Some(odds.interval()?.low)),
        of_ratios("odds_high", &odds, |odds| Some(odds.interval()?.high)),
        Column::new("q_value".into(), q_within_cohorts(rows.iter().map(|row| row.cohort), &p)),
        Column::new("p_value".into(), p),
        previous("previous_members", |part| part.with),
        previous("previous_known", |part| part.known),
        ratios("previous_share", &|row| row.previous?.share()),
        ratios("share_change", &|row| Some(row.members.share()? - row.previous?.share()?)),
    ];
    DataFrame::new(rows.len(), columns)
}
