//! The inputs of the steps: the cohorts of a month with the month with which each is compared, and the other small tables.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use super::tables::*;
use crate::history::{Definitions, HistoryError, State};
use crate::rules::{CONVERSATIONS_OPENED, Reference, Rule};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, CohortEntry, Manifest, Snapshot};
use archive::table::{Table, TableError, instants};
use domain::{Basis, Month, is_identifier};

/// One cohort of a month for histories and reports.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortMonth {
    pub cohort_key: String,
    pub cohort_name: String,
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    pub announced: Option<u64>,
    /// When the group was last changed, from Intercom's list of groups.
    pub definition_updated_at: Option<DateTime<Utc>>,
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

/// The cohorts of a snapshot and of the job's rules, sorted by key, as if the job had no earlier month.
pub fn cohorts_of(manifest: &Manifest, definitions: &Definitions) -> Vec<CohortMonth> {
    cohort_months(manifest, definitions, &BTreeMap::new())
}

/// The cohorts of a snapshot and of the job's rules, sorted by key. The compared month of each cohort comes from its state in `before`.
pub(super) fn cohort_months(manifest: &Manifest, definitions: &Definitions, before: &BTreeMap<String, State>) -> Vec<CohortMonth> {
    let cohort = |cohort_key: String, cohort_name: String, basis: Basis, observed_at, is_whole: bool| {
        // If members of a cohort are missing, it is unknown who left the cohort.
        let in_history = basis == Basis::MonthEnd && is_whole;
        let state = before.get(&cohort_key).filter(|_| in_history);
        CohortMonth {
            cohort_key,
            cohort_name,
            basis,
            observed_at,
            announced: None,
            definition_updated_at: None,
            in_history,
            compared: state.map(|state| Compared { month: Month::of(state.last_month), end: state.last_month_end }),
        }
    };
    let observed = manifest.cohorts.iter().map(|entry| {
        let is_whole = !manifest.incomplete.contains(&entry.cohort_key);
        CohortMonth {
            announced: entry.announced,
            definition_updated_at: entry.updated_at,
            ..cohort(entry.cohort_key.clone(), entry.cohort_name.clone(), entry.basis(), entry.observed_at, is_whole)
        }
    });
    // A rule may use every cohort and every contact, so it has the basis of the snapshot: the lowest basis of the cohorts. If any stream is
    // incomplete, the members of rules are unknown.
    let rules = definitions.rules.iter().filter(|rule| manifest.incomplete.is_empty() && has_facts(manifest, rule));
    let of_rules = rules.map(|rule| cohort(rule.cohort_key(), rule.name.clone(), manifest.basis(), manifest.observed_at, true));
    let mut cohorts: Vec<CohortMonth> = observed.chain(of_rules).collect();
    cohorts.sort_by(|a, b| a.cohort_key.cmp(&b.cohort_key));
    cohorts
}

/// Whether the month observed everything that the condition of a rule uses. If not, the rule's members are unknown, and the rule is left
/// out: a count of 0 would be wrong.
fn has_facts(manifest: &Manifest, rule: &Rule) -> bool {
    let has_conversations = manifest.conversations || !rule.condition.sql().contains(CONVERSATIONS_OPENED);
    has_conversations
        && rule.condition.references().iter().all(|reference| match reference {
            Reference::Subscription { .. } => manifest.subscriptions,
            Reference::Group { group, .. } => CohortEntry::named(&manifest.cohorts, group).is_some(),
            Reference::Attribute { .. } => true,
        })
}

/// The cohorts as a small table for the counting queries. Each row has the month's bounds, so that no query needs a literal.
pub(super) fn cohorts_frame(
    cohorts: &[CohortMonth],
    manifest: &Manifest,
    readable: &BTreeSet<Month>,
    with_subscriptions: &BTreeSet<Month>,
) -> Result<DataFrame, HistoryError> {
    let span = manifest.span()?;
    let n = cohorts.len();
    let days = |name: &str, values: Vec<Option<NaiveDate>>| Column::new(name.into(), values);
    let since = |cohort: &CohortMonth| cohort.compared.map(|compared| span.month.index() - compared.month.index());
    let knows_compared = |cohort: &CohortMonth| cohort.compared.is_some_and(|compared| readable.contains(&compared.month));
    let knows_subscriptions = |cohort: &CohortMonth| {
        let is_known = |compared: Compared| readable.contains(&compared.month) && with_subscriptions.contains(&compared.month);
        manifest.subscriptions && cohort.compared.is_some_and(is_known)
    };
    let announced = |cohort: &CohortMonth| cohort.announced.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let columns = vec![
        Column::new("cohort_key".into(), cohorts.iter().map(|cohort| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), cohorts.iter().map(|cohort| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("has_conversations".into(), vec![manifest.conversations; n]),
        // A missing contact has certainly left the workspace only if everyone was observed.
        Column::new("knows_gone".into(), vec![manifest.has_everyone(); n]),
        Column::new("knows_fates".into(), vec![manifest.vanished.is_some(); n]),
        instants("definition_updated_at", cohorts.iter().map(|cohort| cohort.definition_updated_at)),
        Column::new("in_history".into(), cohorts.iter().map(|cohort| cohort.in_history).collect::<Vec<_>>()),
        Column::new("intercom_count".into(), cohorts.iter().map(announced).collect::<Vec<Option<i64>>>()),
        days("month", vec![Some(span.month.first_day()); n]),
        instants("month_start", std::iter::repeat_n(Some(span.start), n)),
        instants("month_end", std::iter::repeat_n(Some(span.end), n)),
        days("compared_month", cohorts.iter().map(|cohort| cohort.compared.map(|compared| compared.month.first_day())).collect()),
        Column::new("knows_compared".into(), cohorts.iter().map(knows_compared).collect::<Vec<_>>()),
        Column::new("knows_compared_subscriptions".into(), cohorts.iter().map(knows_subscriptions).collect::<Vec<_>>()),
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

/// The columns of `contacts` that the steps read for every job.
const READ: [&str; 13] = [
    "contact_id",
    "in_population",
    "role",
    "external_id",
    "email",
    "name",
    "created_at",
    "signed_up_at",
    "last_seen_at",
    "unsubscribed_from_emails",
    "has_hard_bounced",
    "marked_email_as_spam",
    "country",
];

/// The snapshot's contacts. Columns that no step of the job reads are left out.
pub(super) fn contacts(snapshot: &Snapshot, definitions: &Definitions, rules: &[&Rule]) -> Result<LazyFrame, HistoryError> {
    let is_read = |name: &str| {
        READ.contains(&name)
            || definitions.profile.iter().any(|entry| entry.attribute == name)
            || rules.iter().any(|rule| rule.condition.sql().contains(name))
    };
    let columns = CONTACTS.columns.iter().filter(|column| is_read(column.name)).map(|column| col(column.name));
    Ok(snapshot.scan(&CONTACTS)?.select(columns.collect::<Vec<_>>()))
}

/// Who opened each conversation. The other columns are not read.
pub(super) fn conversations(snapshot: &Snapshot) -> Result<LazyFrame, HistoryError> {
    Ok(snapshot.scan(&CONVERSATIONS)?.select([col("opened_by")]))
}

/// The custom attributes that the profile and the rules name. Other attributes are not read, because they may be many and large.
pub(super) fn attributes(snapshot: &Snapshot, definitions: &Definitions, rules: &[&Rule]) -> Result<LazyFrame, HistoryError> {
    let of_rules = rules.iter().flat_map(|rule| rule.condition.references()).filter_map(|reference| match reference {
        Reference::Attribute { name, .. } => Some(name.as_str()),
        Reference::Subscription { .. } | Reference::Group { .. } => None,
    });
    let names = definitions.profile.iter().filter_map(|entry| entry.custom_name.as_deref()).chain(of_rules);
    let is_named = names.map(|name| col("attribute").eq(lit(name))).reduce(Expr::or).unwrap_or(lit(false));
    Ok(snapshot.scan(&ATTRIBUTES)?.filter(is_named))
}

/// The contacts of an earlier snapshot. Identifiers are null if the two months write them in different ways: hashes of another key are
/// useless, and an identifier that is hidden now must not come back from an earlier month.
pub(super) fn contacts_of_month(contacts: LazyFrame, month: Month, is_comparable: bool) -> LazyFrame {
    let columns = CONTACTS_BEFORE.columns.iter().map(|column| match column.name {
        "month" => lit(month.first_day()).cast(DataType::Date).alias("month"),
        name if is_identifier(name) && !is_comparable => lit(NULL).cast(DataType::String).alias(name),
        name => col(name),
    });
    contacts.select(columns.collect::<Vec<_>>())
}

/// The choices about subscriptions of an earlier snapshot.
pub(super) fn subscriptions_of_month(subscriptions: LazyFrame, month: Month) -> LazyFrame {
    let columns = SUBSCRIPTIONS_BEFORE.columns.iter().map(|column| match column.name {
        "month" => lit(month.first_day()).cast(DataType::Date).alias("month"),
        name => col(name),
    });
    subscriptions.select(columns.collect::<Vec<_>>())
}

pub(super) fn reading(table: &Table) -> impl Fn(PolarsError) -> TableError + use<> {
    let name = table.name;
    move |error| TableError::new("read", format!("`{name}`"), error)
}
