//! The inputs of the steps: the cohorts of a month with the month with which each is compared, and the other small tables.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use super::tables::*;
use crate::history::{Definitions, History, HistoryError, State};
use archive::snapshot::{CONTACTS, Manifest, Snapshot};
use archive::table::{TableError, instants};
use domain::{Basis, Month, is_identifier};

/// One cohort of a month for histories and reports.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortMonth {
    pub cohort_key: String,
    pub cohort_name: String,
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    pub announced: Option<u64>,
    /// Whether the month belongs to the cohort's H.
    pub in_history: bool,
    /// The compared month, p; `None` in the cohort's first month and outside H.
    pub compared: Option<Compared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    pub month: Month,
    pub end: DateTime<Utc>,
}

/// The cohorts of a snapshot and of the job's rules, sorted by key. The history before says with which month each is compared.
pub fn cohort_months(manifest: &Manifest, definitions: &Definitions, previous: Option<&History>) -> Result<Vec<CohortMonth>, HistoryError> {
    let states = State::read(previous)?;
    let cohort = |cohort_key: String, cohort_name: String, basis: Basis, observed_at, announced, is_whole: bool| {
        // If members of a cohort are missing, it is unknown who left the cohort.
        let in_history = basis == Basis::MonthEnd && is_whole;
        let state = states.get(&cohort_key).filter(|_| in_history);
        CohortMonth {
            cohort_key,
            cohort_name,
            basis,
            observed_at,
            announced,
            in_history,
            compared: state.map(|state| Compared { month: Month::of(state.last_month), end: state.last_month_end }),
        }
    };
    let observed = manifest.cohorts.iter().map(|entry| {
        let is_whole = !manifest.incomplete.contains(&entry.cohort_key);
        cohort(entry.cohort_key.clone(), entry.cohort_name.clone(), entry.basis(), entry.observed_at, entry.announced, is_whole)
    });
    // A rule may use every cohort and every contact, so it has the lowest basis of them. If anything is incomplete, the
    // members of rules are unknown.
    let rules = definitions.rules.iter().filter(|_| manifest.incomplete.is_empty());
    let of_rules = rules.map(|rule| cohort(rule.cohort_key(), rule.name.clone(), manifest.basis(), manifest.observed_at, None, true));
    let mut cohorts: Vec<CohortMonth> = observed.chain(of_rules).collect();
    cohorts.sort_by(|a, b| a.cohort_key.cmp(&b.cohort_key));
    Ok(cohorts)
}

/// The cohorts as a small table for the counting queries. Each row has the month's bounds, so that no query needs a literal.
pub(super) fn cohorts_frame(cohorts: &[CohortMonth], manifest: &Manifest, readable: &BTreeSet<Month>) -> Result<DataFrame, HistoryError> {
    let span = manifest.span()?;
    let n = cohorts.len();
    let days = |name: &str, values: Vec<Option<NaiveDate>>| Column::new(name.into(), values);
    let since = |cohort: &CohortMonth| cohort.compared.map(|compared| span.month.index() - compared.month.index());
    let knows_compared = |cohort: &CohortMonth| cohort.compared.is_some_and(|compared| readable.contains(&compared.month));
    let announced = |cohort: &CohortMonth| cohort.announced.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let columns = vec![
        Column::new("cohort_key".into(), cohorts.iter().map(|cohort| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), cohorts.iter().map(|cohort| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("has_conversations".into(), vec![manifest.conversations; n]),
        // A missing contact has certainly left the workspace only if everyone was observed.
        Column::new("knows_gone".into(), vec![manifest.has_everyone(); n]),
        Column::new("in_history".into(), cohorts.iter().map(|cohort| cohort.in_history).collect::<Vec<_>>()),
        Column::new("intercom_count".into(), cohorts.iter().map(announced).collect::<Vec<Option<i64>>>()),
        days("month", vec![Some(span.month.first_day()); n]),
        instants("month_start", std::iter::repeat_n(Some(span.start), n)),
        instants("month_end", std::iter::repeat_n(Some(span.end), n)),
        days("compared_month", cohorts.iter().map(|cohort| cohort.compared.map(|compared| compared.month.first_day())).collect()),
        Column::new("knows_compared".into(), cohorts.iter().map(knows_compared).collect::<Vec<_>>()),
        instants("compared_end", cohorts.iter().map(|cohort| cohort.compared.map(|compared| compared.end))),
        Column::new("months_since_compared".into(), cohorts.iter().map(since).collect::<Vec<Option<i64>>>()),
    ];
    Ok(DataFrame::new(n, columns).map_err(|error| TableError::new("make", "the table of cohorts", error))?)
}

pub(super) fn this_month_frame(manifest: &Manifest) -> Result<DataFrame, HistoryError> {
    let span = manifest.span()?;
    let columns = vec![
        Column::new("month".into(), [span.month.first_day()]),
        instants("month_start", [Some(span.start)].into_iter()),
        instants("month_end", [Some(span.end)].into_iter()),
    ];
    Ok(DataFrame::new(1, columns).map_err(|error| TableError::new("make", "the table of the month", error))?)
}

pub(super) fn profile_frame(definitions: &Definitions, manifest: &Manifest) -> Result<DataFrame, HistoryError> {
    let month = manifest.month()?.first_day();
    let profile = &definitions.profile;
    let columns = vec![
        Column::new("month".into(), vec![month; profile.len()]),
        Column::new("attribute".into(), profile.iter().map(|entry| entry.attribute.as_str()).collect::<Vec<_>>()),
        Column::new("custom_name".into(), profile.iter().map(|entry| entry.custom_name.as_deref()).collect::<Vec<Option<&str>>>()),
    ];
    Ok(DataFrame::new(profile.len(), columns).map_err(|error| TableError::new("make", "the table of attributes", error))?)
}

/// The earlier months with which a cohort is compared now, or will be compared next.
pub(super) fn kept_months_frame(months: &BTreeSet<NaiveDate>) -> Result<DataFrame, HistoryError> {
    let columns = vec![Column::new("month".into(), months.iter().copied().collect::<Vec<_>>())];
    Ok(DataFrame::new(months.len(), columns).map_err(|error| TableError::new("make", "the table of months", error))?)
}

/// The contacts of earlier snapshots. Identifiers are null if they were written in another way than now: hashes of another key are
/// useless, and an identifier that is hidden now must not come back from an earlier month.
///
/// Also returns their months. A damaged snapshot is left out.
pub(super) fn contacts_before(earlier: &[&Snapshot], identifiers: &str) -> Result<(LazyFrame, BTreeSet<Month>), HistoryError> {
    let mut all = vec![CONTACTS_BEFORE.empty().lazy()];
    let mut months = BTreeSet::new();
    for snapshot in earlier {
        let month = snapshot.manifest.month()?.first_day();
        let is_comparable = snapshot.manifest.identifiers == identifiers;
        let columns = CONTACTS_BEFORE.columns.iter().map(|column| match column.name {
            "month" => lit(month).cast(DataType::Date).alias("month"),
            name if is_identifier(name) && !is_comparable => lit(NULL).cast(DataType::String).alias(name),
            name => col(name),
        });
        let contacts = match snapshot.scan(&CONTACTS) {
            Ok(contacts) => contacts,
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        all.push(contacts.select(columns.collect::<Vec<_>>()));
        months.insert(snapshot.manifest.month()?);
    }
    let all = concat(all, UnionArgs::default()).map_err(|error| TableError::new("collect", "the contacts of earlier months", error))?;
    Ok((all, months))
}

/// Only these custom attributes. The others may be many and large and are not read.
pub(super) fn wanted(attributes: LazyFrame, names: &[&str]) -> LazyFrame {
    attributes.filter(names.iter().map(|name| col("attribute").eq(lit(*name))).reduce(Expr::or).unwrap_or(lit(false)))
}
