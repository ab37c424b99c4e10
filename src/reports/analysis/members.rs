//! One row for each cohort and contact: the members, and the contacts that departed since the compared month.

use super::{COHORT_KEY, COHORT_NAME, MONTH, Report, Source};
use crate::steps::people;
use archive::table::{Column as Entry, Kind, Table};

pub(super) const REPORT: Report = Report {
    table: Table {
        name: "members",
        row: "a cohort and a contact that is in it, or has left since the compared month",
        key: &["month", "cohort_key", "contact_id"],
        columns: &[
            MONTH,
            COHORT_KEY,
            COHORT_NAME,
            Entry::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
            Entry::new("external_id", Kind::Text, "the workspace's own ID of the contact").or_null("none given"),
            Entry::new("email", Kind::Text, "e-mail address; not unique").or_null("none given"),
            Entry::new("name", Kind::Text, "name").or_null("none given"),
            Entry::new("role", Kind::Text, "`user` or `lead`").one_of(&["user", "lead"]),
            Entry::new(
                "change",
                Kind::Text,
                "first_seen (the cohort's first month, or outside its history), retained, joined, returned or departed",
            )
            .one_of(&["first_seen", "retained", "joined", "returned", "departed"]),
            Entry::new("entered_month", Kind::Day, "month in which the contact was first seen in the cohort")
                .or_null("unknown: the contact was already a member in the first month of the cohort's history, or joined in the first month after a gap; or it was first seen in a month outside the history"),
            Entry::new("months_in_cohort", Kind::Count, "months of membership without a break up to this one, which is included; only months in which the contact was observed in the cohort")
                .in_unit("months")
                .or_null("the contact has departed, or the month is outside the cohort's history"),
            Entry::new("conversations_opened", Kind::Count, "conversations of the month that the contact opened")
                .in_unit("conversations")
                .or_null("the job does not fetch conversations"),
            Entry::new("last_seen_at", Kind::Instant, "when the contact was last seen").or_null("never, or not given"),
            Entry::new("signed_up_at", Kind::Instant, "when the contact signed up").or_null("not given"),
            Entry::new("created_at", Kind::Instant, "when the contact was created in Intercom").or_null("not given"),
            Entry::new("unsubscribed_from_emails", Kind::Flag, "whether the contact unsubscribed from e-mails").or_null("not given"),
            Entry::new("country", Kind::Text, "country of the last visit").or_null("unknown"),
        ],
    },
    source: Source::PerMember { sql: include_str!("../steps/members.sql"), embedded: people::members },
};
