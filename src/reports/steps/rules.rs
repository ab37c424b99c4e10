//! The step that adds the members of the job's rules to those of the snapshot. Its SQL is generated from the conditions.

use std::borrow::Cow;
use std::fmt::Write;

use archive::engine::{Dialect, Step};
use archive::snapshot::{CohortEntry, Manifest};
use archive::table::TableError;
use polars::prelude::{Column, DataFrame};

use super::tables::MEMBERSHIPS;
use crate::rules::{CONVERSATIONS_OPENED, FACTS, FactKind, MONTH_END, MONTH_START, NEWLY_UNSUBSCRIBED, Reference, Rule};

const HEADER: &str = "-- The members of all cohorts: those of the snapshot, and the contacts for which the condition of a rule is true.
-- in: members, contacts, attributes, subscriptions, subscription_types, opened, contacts_before, cohorts, this_month, rule_references
-- out: memberships
SELECT m.cohort_key, m.contact_id
FROM members AS m
";

/// The step for these rules.
pub(super) fn memberships<'a>(rules: impl IntoIterator<Item = &'a Rule>, has_conversations: bool, dialect: Dialect) -> Step {
    let mut sql = HEADER.to_string();
    for rule in rules {
        let key = rule.cohort_key();
        // A rule's name has only letters, digits, `-` and `_`. Names of attributes and groups are in `rule_references`, not in the SQL.
        let _ = write!(
            sql,
            "UNION ALL\nSELECT '{key}' AS cohort_key, f.contact_id\nFROM (\n{}\n) AS f\nWHERE {}\n",
            facts(&key, rule, has_conversations, dialect),
            dialect.condition(rule.condition.sql())
        );
    }
    Step { table: &MEMBERSHIPS, sql: Cow::Owned(sql) }
}

/// The facts of each contact that existed at the month's end: the columns that the module `rules` documents.
fn facts(key: &str, rule: &Rule, has_conversations: bool, dialect: Dialect) -> String {
    let mut columns = vec!["k.contact_id".to_string()];
    // The condition may contain the name of a fact within another word. Then the column of the fact is there, but not used.
    for fact in FACTS.iter().filter(|fact| rule.condition.sql().contains(fact.name)) {
        columns.push(match fact.name {
            CONVERSATIONS_OPENED if has_conversations => {
                format!("COALESCE(CAST(o.conversations AS DOUBLE), CAST(0 AS DOUBLE)) AS {}", fact.name)
            }
            CONVERSATIONS_OPENED => format!("CAST(NULL AS DOUBLE) AS {}", fact.name),
            NEWLY_UNSUBSCRIBED => format!(
                "CASE WHEN c.knows_compared THEN CASE WHEN k.unsubscribed_from_emails AND (NOT r.unsubscribed_from_emails \
                 OR k.created_at >= c.compared_end) THEN TRUE ELSE FALSE END END AS {}",
                fact.name
            ),
            MONTH_START | MONTH_END => format!("{} AS {}", dialect.micros(&format!("m.{}", fact.name)), fact.sql_name()),
            name if fact.kind == FactKind::Instant => format!("{} AS {}", dialect.micros(&format!("k.{name}")), fact.sql_name()),
            name => format!("k.{name}"),
        });
    }
    let mut joins = String::new();
    for reference in rule.condition.references() {
        let alias = reference.alias();
        let wanted = format!("n.cohort_key = '{key}' AND n.alias = '{alias}'");
        match reference {
            Reference::Attribute { kind, .. } => {
                let value = match kind {
                    FactKind::Text => "a.value",
                    FactKind::Number => "a.value_number",
                    FactKind::Flag => "CASE WHEN a.value_type = 'flag' THEN a.value = 'true' END",
                    // Intercom writes dates as seconds. A larger number is no instant, and engines refuse to cast it.
                    FactKind::Instant => "CAST(CASE WHEN ABS(a.value_number) < 9000000000000 THEN a.value_number * 1000000 END AS BIGINT)",
                };
                columns.push(format!("{alias}.value AS {alias}"));
                let _ = write!(
                    joins,
                    "\n    LEFT JOIN (\n        SELECT a.contact_id, {value} AS value\n        FROM attributes AS a\n        JOIN rule_references \
                     AS n ON n.name = a.attribute\n        WHERE {wanted}\n    ) AS {alias} ON {alias}.contact_id = k.contact_id"
                );
            }
            // Types of subscriptions may share a name. A contact that opted out of one of them opted out.
            Reference::Subscription { .. } => {
                columns.push(format!("{alias}.value AS {alias}"));
                let _ = write!(
                    joins,
                    "\n    LEFT JOIN (\n        SELECT s.contact_id, MAX(s.state) AS value\n        FROM subscriptions AS s\n        JOIN \
                     subscription_types AS t ON t.subscription_id = s.subscription_id\n        JOIN rule_references AS n ON n.name = \
                     t.name\n        WHERE {wanted}\n        GROUP BY s.contact_id\n    ) AS {alias} ON {alias}.contact_id = k.contact_id"
                );
            }
            Reference::Group { .. } => {
                columns.push(format!("CASE WHEN {alias}_known.name IS NOT NULL THEN {alias}.contact_id IS NOT NULL END AS {alias}"));
                let _ = write!(
                    joins,
                    "\n    LEFT JOIN (\n        SELECT n.month, n.name\n        FROM rule_references AS n\n        WHERE {wanted}\n    ) AS \
                     {alias}_known ON {alias}_known.month = m.month\n    LEFT JOIN (\n        SELECT g.contact_id\n        FROM members AS g\n        \
                     JOIN rule_references AS n ON n.name = g.cohort_key\n        WHERE {wanted}\n    ) AS {alias} ON {alias}.contact_id = k.contact_id"
                );
            }
        }
    }
    format!(
        "    SELECT\n        {}\n    FROM contacts AS k\n    CROSS JOIN this_month AS m\n    LEFT JOIN (\n        SELECT h.month, h.compared_month, \
         h.compared_end, h.knows_compared\n        FROM cohorts AS h\n        WHERE h.cohort_key = '{key}'\n    ) AS c ON c.month = \
         m.month\n    LEFT JOIN opened AS o ON o.contact_id = k.contact_id\n    LEFT JOIN contacts_before AS r ON r.month = \
         c.compared_month AND r.contact_id = k.contact_id{joins}\n    WHERE k.created_at IS NULL OR k.created_at < m.month_end",
        columns.join(",\n        ")
    )
}

/// The names that the conditions use: of custom attributes and of subscriptions, and the keys of groups that the snapshot has.
pub(super) fn references(rules: &[&Rule], manifest: &Manifest, month: chrono::NaiveDate) -> Result<DataFrame, TableError> {
    let mut rows: Vec<(String, String, String)> = Vec::new();
    for rule in rules {
        for reference in rule.condition.references() {
            let name = match reference {
                Reference::Attribute { name, .. } | Reference::Subscription { name, .. } => Some(name.clone()),
                Reference::Group { group, .. } => CohortEntry::named(&manifest.cohorts, group).map(|cohort| cohort.cohort_key.clone()),
            };
            rows.extend(name.map(|name| (rule.cohort_key(), reference.alias().to_string(), name)));
        }
    }
    let texts = |name: &str, of: fn(&(String, String, String)) -> &str| Column::new(name.into(), rows.iter().map(of).collect::<Vec<_>>());
    let columns = vec![
        Column::new("month".into(), vec![month; rows.len()]),
        texts("cohort_key", |row| &row.0),
        texts("alias", |row| &row.1),
        texts("name", |row| &row.2),
    ];
    DataFrame::new(rows.len(), columns).map_err(|error| TableError::new("make", "the names that rules use", error))
}
