//! The members of all cohorts of a month: the observed ones, and those of the job's rules.

use polars::prelude::*;

use super::{CohortMonth, Compared, Definitions, HistoryError};
use crate::rules::{CONVERSATIONS_OPENED, FACTS, FactKind, MONTH_END, MONTH_START, NEWLY_UNSUBSCRIBED, Reference, Rule};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, CohortEntry, MEMBERS, Snapshot};
use archive::table::{TableError, filter_sql};
use domain::GroupName;

/// All members, with the columns of the snapshot's members. `records` is the table of the history before.
pub(super) fn of(
    snapshot: &Snapshot,
    definitions: &Definitions,
    cohorts: &[CohortMonth],
    records: LazyFrame,
) -> Result<LazyFrame, HistoryError> {
    let mut all = vec![snapshot.scan(&MEMBERS)?];
    for rule in &definitions.rules {
        let key = rule.cohort_key();
        let Some(cohort) = cohorts.iter().find(|cohort| cohort.cohort_key == key) else { continue };
        let compared = cohort.compared;
        let facts = facts(snapshot, rule, compared, records.clone())?;
        let name = format!("the rule `{}`", rule.name);
        all.push(filter_sql(facts, &name, rule.condition.sql())?.select([lit(key).alias("cohort_key"), col("contact_id")]));
    }
    Ok(concat(all, UnionArgs::default()).map_err(|error| TableError::new("collect", "the members", error))?)
}

/// The facts of each contact that existed at the month's end: the columns that the module `rules` documents.
fn facts(snapshot: &Snapshot, rule: &Rule, compared: Option<Compared>, records: LazyFrame) -> Result<LazyFrame, HistoryError> {
    let span = snapshot.manifest.span()?;
    let micros = |at: chrono::DateTime<chrono::Utc>| lit(at.timestamp_micros());
    let created = || col("created_at").cast(DataType::Int64);
    let mut facts = snapshot.scan(&CONTACTS)?.filter(created().is_null().or(created().lt(micros(span.end))));

    if snapshot.manifest.conversations {
        let opened = snapshot.scan(&CONVERSATIONS)?.filter(col("opened_by").is_not_null()).group_by([col("opened_by")]);
        let opened = opened.agg([len().cast(DataType::Float64).alias(CONVERSATIONS_OPENED)]);
        facts = joined(facts, opened, "opened_by").with_column(col(CONVERSATIONS_OPENED).fill_null(lit(0.0)));
    } else {
        facts = facts.with_column(lit(NULL).cast(DataType::Float64).alias(CONVERSATIONS_OPENED));
    }
    facts = match compared {
        Some(compared) => {
            let before = records
                .filter(col("month").eq(lit(compared.month.first_day()).cast(DataType::Date)))
                .select([col("contact_id").alias("before_id"), col("unsubscribed_from_emails").alias("was_unsubscribed")]);
            let is_new = col("was_unsubscribed").not().or(created().gt_eq(micros(compared.end)));
            let newly = col("unsubscribed_from_emails").and(is_new).fill_null(lit(false)).alias(NEWLY_UNSUBSCRIBED);
            joined(facts, before, "before_id").with_column(newly)
        }
        None => facts.with_column(lit(NULL).cast(DataType::Boolean).alias(NEWLY_UNSUBSCRIBED)),
    };
    for reference in rule.condition.references() {
        facts = match reference {
            Reference::Attribute { name, kind, alias } => {
                let value = match kind {
                    FactKind::Text => col("value"),
                    FactKind::Number => col("value_number"),
                    FactKind::Flag => when(col("value_type").eq(lit("flag"))).then(col("value").eq(lit("true"))).otherwise(lit(NULL)),
                    // Intercom writes dates as seconds.
                    FactKind::Instant => (col("value_number") * lit(1_000_000.0)).cast(DataType::Int64),
                };
                let of_attribute = snapshot.scan(&ATTRIBUTES)?.filter(col("attribute").eq(lit(name.as_str())));
                joined(facts, of_attribute.select([col("contact_id").alias("of_id"), value.alias(alias.as_str())]), "of_id")
            }
            Reference::Group { group, alias } => with_group(snapshot, facts, group, alias)?,
        };
    }
    let month = [micros(span.start).alias(format!("{MONTH_START}_us")), micros(span.end).alias(format!("{MONTH_END}_us"))];
    let of_contact = |column: &&crate::rules::FactColumn| CONTACTS.columns.iter().any(|known| known.name == column.name);
    let instants: Vec<Expr> = FACTS
        .iter()
        .filter(|column| column.kind == FactKind::Instant)
        .filter(of_contact)
        .map(|column| col(column.name).cast(DataType::Int64).alias(column.sql_name()))
        .collect();
    Ok(facts.with_columns(month).with_columns(instants))
}

/// Adds whether each contact is in a group; null for everyone if the snapshot does not have the group.
fn with_group(snapshot: &Snapshot, facts: LazyFrame, group: &GroupName, alias: &str) -> Result<LazyFrame, HistoryError> {
    let Some(cohort) = CohortEntry::named(&snapshot.manifest.cohorts, group) else {
        return Ok(facts.with_column(lit(NULL).cast(DataType::Boolean).alias(alias)));
    };
    let members = snapshot.scan(&MEMBERS)?.filter(col("cohort_key").eq(lit(cohort.cohort_key.as_str())));
    let members = members.select([col("contact_id").alias("member_id"), lit(true).alias(alias)]);
    Ok(joined(facts, members, "member_id").with_column(col(alias).fill_null(lit(false))))
}

fn joined(facts: LazyFrame, other: LazyFrame, id: &str) -> LazyFrame {
    facts.join(other, [col("contact_id")], [col(id)], JoinArgs::new(JoinType::Left))
}

#[cfg(test)]
mod tests {
    use super::*;
    use archive::table::Kind;

    #[test]
    fn a_rule_can_use_every_column_of_a_contact() {
        let facts: Vec<&str> = FACTS.iter().map(|column| column.name).collect();
        for column in CONTACTS.columns.iter().filter(|column| !["contact_id", "in_population"].contains(&column.name)) {
            let fact = FACTS.iter().find(|fact| fact.name == column.name).map(|fact| fact.kind);
            let kind = match column.kind {
                Kind::Text => FactKind::Text,
                Kind::Flag => FactKind::Flag,
                Kind::Instant => FactKind::Instant,
                other => panic!("{}: {other:?}", column.name),
            };
            assert_eq!(fact, Some(kind), "{}", column.name);
        }
        assert_eq!(facts.len(), CONTACTS.columns.len() - 2 + 4, "facts that are no column of contacts: {facts:?}");
    }
}
