//! The tables of a month's history.

use crate::table::{Column, Kind, Table};

pub const STANDING: Table = Table {
    name: "standing",
    row: "a contact and a cohort that it is in, or was in when the cohort was last observed at a month's end",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`"),
        Column::new("contact_id", Kind::Text, "Intercom's id of the contact"),
        Column::new("change", Kind::Text, "first_seen, retained, joined, returned or departed"),
        Column::new("entered_month", Kind::Day, "month in which the contact was first seen in the cohort")
            .or_null("it was there in the cohort's first month, or the month is outside the history"),
        Column::new("months_in_cohort", Kind::Count, "months of the present unbroken spell, this month included")
            .or_null("departed, or the month is outside the history"),
        Column::new("is_newly_unsubscribed", Kind::Flag, "unsubscribed now, and not so in the compared month"),
        Column::new("is_converted", Kind::Flag, "a user now, a lead in the compared month"),
        Column::new("is_gone", Kind::Flag, "no longer among the observed contacts"),
    ],
};

pub const LEDGER: Table = Table {
    name: "ledger",
    row: "a contact and a cohort that it was ever seen in at a month's end",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`"),
        Column::new("contact_id", Kind::Text, "Intercom's id of the contact"),
        Column::new("entered_month", Kind::Day, "month in which the contact was first seen in the cohort"),
        Column::new("entry_is_censored", Kind::Flag, "whether that was the cohort's first month, so that the true entry is not known"),
        Column::new("spell_start", Kind::Day, "first month of the present spell, or of the last one"),
        Column::new("spell_months", Kind::Count, "months of that spell"),
        Column::new("last_month", Kind::Day, "last month in which the contact was in the cohort"),
    ],
};

pub const RECORDS: Table = Table {
    name: "records",
    row: "a contact as it was in a month that some cohort is still compared with",
    key: &["month", "contact_id"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("contact_id", Kind::Text, "Intercom's id of the contact"),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("unsubscribed_from_emails", Kind::Flag, "whether the contact had unsubscribed from e-mails").or_null("not given"),
    ],
};

pub const PEOPLE: Table = Table {
    name: "people",
    row: "the last known record of a contact that is in a cohort or has just left one",
    key: &["contact_id"],
    columns: &[
        Column::new("contact_id", Kind::Text, "Intercom's id of the contact"),
        Column::new("external_id", Kind::Text, "the workspace's own id of the contact").or_null("none given"),
        Column::new("email", Kind::Text, "e-mail address").or_null("none given"),
        Column::new("name", Kind::Text, "name").or_null("none given"),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("last_seen_at", Kind::Instant, "when the contact was last seen").or_null("never, or not given"),
        Column::new("signed_up_at", Kind::Instant, "when the contact signed up").or_null("not given"),
        Column::new("created_at", Kind::Instant, "when Intercom first knew the contact").or_null("not given"),
        Column::new("unsubscribed_from_emails", Kind::Flag, "whether the contact unsubscribed from e-mails").or_null("not given"),
        Column::new("country", Kind::Text, "country of the last visit").or_null("unknown"),
    ],
};

pub const STATES: Table = Table {
    name: "states",
    row: "a cohort that was ever observed at a month's end",
    key: &["cohort_key"],
    columns: &[
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`"),
        Column::new("first_month", Kind::Day, "first month of the cohort's history"),
        Column::new("last_month", Kind::Day, "last month of the cohort's history"),
        Column::new("last_month_end", Kind::Instant, "end of that month"),
        Column::new("months", Kind::Count, "months of the cohort's history"),
    ],
};
