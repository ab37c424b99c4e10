//! The columns that every workspace's facts have.

use super::{FactColumn, FactKind};

const fn column(name: &'static str, kind: FactKind, about: &'static str) -> FactColumn {
    FactColumn { name, kind, about }
}

pub const CONVERSATIONS_OPENED: &str = "conversations_opened";
pub const NEWLY_UNSUBSCRIBED: &str = "newly_unsubscribed";
pub const MONTH_START: &str = "month_start";
pub const MONTH_END: &str = "month_end";

const OF_CONTACT: &str = "as in the snapshot's contacts";

/// The facts of a contact that a rule can use, besides its custom attributes and the job's groups. The first four facts depend on the
/// month. The others are columns of the snapshot's `contacts`, with the same names. A test in `history/members.rs` compares the two lists.
pub const FACTS: &[FactColumn] = &[
    column(CONVERSATIONS_OPENED, FactKind::Number, "conversations of the month that the contact opened; null if the job fetches none"),
    column(NEWLY_UNSUBSCRIBED, FactKind::Flag, "unsubscribed now and not in the compared month; null if there is no compared month"),
    column(MONTH_START, FactKind::Instant, "first instant of the month"),
    column(MONTH_END, FactKind::Instant, "first instant after the month"),
    column("role", FactKind::Text, "`user` or `lead`"),
    column("unsubscribed_from_emails", FactKind::Flag, OF_CONTACT),
    column("has_hard_bounced", FactKind::Flag, OF_CONTACT),
    column("marked_email_as_spam", FactKind::Flag, OF_CONTACT),
    column("external_id", FactKind::Text, OF_CONTACT),
    column("email", FactKind::Text, OF_CONTACT),
    column("phone", FactKind::Text, OF_CONTACT),
    column("name", FactKind::Text, OF_CONTACT),
    column("owner_id", FactKind::Text, OF_CONTACT),
    column("country", FactKind::Text, OF_CONTACT),
    column("region", FactKind::Text, OF_CONTACT),
    column("city", FactKind::Text, OF_CONTACT),
    column("country_code", FactKind::Text, OF_CONTACT),
    column("continent_code", FactKind::Text, OF_CONTACT),
    column("browser", FactKind::Text, OF_CONTACT),
    column("browser_version", FactKind::Text, OF_CONTACT),
    column("browser_language", FactKind::Text, OF_CONTACT),
    column("os", FactKind::Text, OF_CONTACT),
    column("language_override", FactKind::Text, OF_CONTACT),
    column("android_device", FactKind::Text, OF_CONTACT),
    column("android_os_version", FactKind::Text, OF_CONTACT),
    column("ios_device", FactKind::Text, OF_CONTACT),
    column("ios_os_version", FactKind::Text, OF_CONTACT),
    column("utm_campaign", FactKind::Text, OF_CONTACT),
    column("utm_content", FactKind::Text, OF_CONTACT),
    column("utm_medium", FactKind::Text, OF_CONTACT),
    column("utm_source", FactKind::Text, OF_CONTACT),
    column("utm_term", FactKind::Text, OF_CONTACT),
    column("referrer", FactKind::Text, OF_CONTACT),
    column("created_at", FactKind::Instant, OF_CONTACT),
    column("updated_at", FactKind::Instant, OF_CONTACT),
    column("signed_up_at", FactKind::Instant, OF_CONTACT),
    column("last_seen_at", FactKind::Instant, OF_CONTACT),
    column("last_replied_at", FactKind::Instant, OF_CONTACT),
    column("last_contacted_at", FactKind::Instant, OF_CONTACT),
    column("last_email_opened_at", FactKind::Instant, OF_CONTACT),
    column("last_email_clicked_at", FactKind::Instant, OF_CONTACT),
    column("android_last_seen_at", FactKind::Instant, OF_CONTACT),
    column("ios_last_seen_at", FactKind::Instant, OF_CONTACT),
];
