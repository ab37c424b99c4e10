//! Conditions as people write them, and the result: SQL or an error.

mod accepted;
mod limits;
mod refused;

use super::*;
use domain::GroupKind;

const COLUMNS: &[FactColumn] = &[
    column("conversations_opened", FactKind::Number),
    column("newly_unsubscribed", FactKind::Flag),
    column("unsubscribed_from_emails", FactKind::Flag),
    column("has_hard_bounced", FactKind::Flag),
    column("marked_email_as_spam", FactKind::Flag),
    column("role", FactKind::Text),
    column("country", FactKind::Text),
    column("region", FactKind::Text),
    column("city", FactKind::Text),
    column("browser", FactKind::Text),
    column("os", FactKind::Text),
    column("owner_id", FactKind::Text),
    column("external_id", FactKind::Text),
    column("email", FactKind::Text),
    column("name", FactKind::Text),
    column("created_at", FactKind::Instant),
    column("signed_up_at", FactKind::Instant),
    column("last_seen_at", FactKind::Instant),
    column("last_replied_at", FactKind::Instant),
    column("last_contacted_at", FactKind::Instant),
    column("updated_at", FactKind::Instant),
    column("month_start", FactKind::Instant),
    column("month_end", FactKind::Instant),
];

const fn column(name: &'static str, kind: FactKind) -> FactColumn {
    FactColumn { name, kind, about: "" }
}

fn groups() -> Vec<GroupName> {
    vec![
        GroupName::new(GroupKind::Tag, "value_lead"),
        GroupName::new(GroupKind::Tag, "Big one"),
        GroupName::new(GroupKind::Tag, "id:1373897"),
        GroupName::new(GroupKind::Tag, "it's \"so\"\n; -- Über"),
        GroupName::new(GroupKind::Tag, "Twin"),
        GroupName::new(GroupKind::Segment, "twin"),
        GroupName::new(GroupKind::Segment, "Slipping Away"),
        GroupName::new(GroupKind::Segment, "Both"),
        GroupName::new(GroupKind::Tag, "Both"),
    ]
}

fn parse(text: &str) -> Result<Condition, ConditionError> {
    Condition::parse(text, COLUMNS, &groups())
}

#[track_caller]
fn accepted(text: &str) -> Condition {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[track_caller]
fn becomes(table: &[(&str, &str)]) {
    for (text, sql) in table {
        assert_eq!(accepted(text).sql(), *sql, "{text}");
    }
}

/// Checks that each text is refused, with the start of its message.
#[track_caller]
fn refused(table: &[(&str, &str)]) {
    for (text, message) in table {
        match parse(text) {
            Ok(condition) => panic!("{text} became {}", condition.sql()),
            Err(error) => assert!(error.to_string().starts_with(message), "{text}\n  says:     {error}\n  expected: {message}"),
        }
    }
}
