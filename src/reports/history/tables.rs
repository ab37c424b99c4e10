//! The tables of a month's history.

use archive::table::{Column, Kind, Table};

const COHORT_KEY: &str = "`tag:<id>`, `segment:<id>` or `rule:<name>`";
const NO_FATES: &str =
    "departed_gone is null; or the API does not distinguish merged contacts from deleted ones; or some who are gone were not asked for";
const NO_SUBSCRIPTIONS_BEFORE: &str = "nothing to compare with, or the subscriptions of the compared month are not known";
const NO_COMPARISON: &str = "nothing to compare with: the first month of the cohort's history, or a month outside it";
const NO_CONVERSATIONS: &str = "the job did not fetch conversations";

pub const RULE_MEMBERS: Table = Table {
    name: "rule_members",
    row: "a contact for which the condition of a rule is true",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, "`rule:<name>`"),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
    ],
};

pub const LEDGER: Table = Table {
    name: "ledger",
    row: "a cohort and a contact that was ever seen in it at a month's end",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("entered_month", Kind::Day, "month in which the contact was first seen in the cohort"),
        Column::new(
            "entry_is_censored",
            Kind::Flag,
            "true if the month before this one is not in the cohort's history: then the true entry is unknown",
        ),
        Column::new("spell_start", Kind::Day, "first month of the present spell, or of the last one"),
        Column::new("spell_months", Kind::Count, "months of that spell").in_unit("months"),
        Column::new("last_month", Kind::Day, "last month in which the contact was in the cohort"),
    ],
};

pub const STATES: Table = Table {
    name: "states",
    row: "a cohort that was ever observed at a month's end",
    key: &["cohort_key"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("first_month", Kind::Day, "first month of the cohort's history"),
        Column::new("last_month", Kind::Day, "last month of the cohort's history"),
        Column::new("last_month_end", Kind::Instant, "end of that month"),
        Column::new("months", Kind::Count, "months of the cohort's history").in_unit("months"),
    ],
};

/// The input of `cohort_summary` and `cohort_trends`.
pub const COUNTS: Table = Table {
    name: "counts",
    row: "a cohort and a month of its history; also this month, even if it does not belong to the history",
    key: &["cohort_key", "month"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("in_history", Kind::Flag, "whether the month was observed at its end"),
        Column::new("members", Kind::Count, "contacts in the cohort that were created before the month's end"),
        Column::new("users", Kind::Count, "members with the role user"),
        Column::new("leads", Kind::Count, "members with the role lead"),
        Column::new("intercom_count", Kind::Count, "the total that the API gave for the group").or_null("the API gave none"),
        Column::new("new_contacts", Kind::Count, "members created in the month"),
        Column::new("active_members", Kind::Count, "members last seen at or after the month's start")
            .or_null("the month is outside the cohort's history"),
        Column::new("openers", Kind::Count, "members who opened a conversation in the month").or_null(NO_CONVERSATIONS),
        Column::new("conversations_opened", Kind::Count, "conversations of the month that a member opened")
            .in_unit("conversations")
            .or_null(NO_CONVERSATIONS),
        Column::new("unsubscribed", Kind::Count, "members unsubscribed from e-mails"),
        Column::new("hard_bounced", Kind::Count, "members whose e-mails bounced permanently"),
        Column::new("marked_spam", Kind::Count, "members who marked an e-mail as spam"),
        Column::new("previous_members", Kind::Count, "members in the compared month").or_null(NO_COMPARISON),
        Column::new("retained", Kind::Count, "members in both months").or_null(NO_COMPARISON),
        Column::new("joined", Kind::Count, "members now who were not members in the compared month").or_null(NO_COMPARISON),
        Column::new("returned", Kind::Count, "of those who joined, the ones who were members in a month before the compared month")
            .or_null(NO_COMPARISON),
        Column::new("departed", Kind::Count, "members in the compared month who are not members now").or_null(NO_COMPARISON),
        Column::new("departed_gone", Kind::Count, "departed members who are no longer in the workspace")
            .or_null("nothing to compare with, or the population is not everyone"),
        Column::new("departed_deleted", Kind::Count, "of those who are gone, the ones that were not merged into another contact")
            .or_null(NO_FATES),
        Column::new("departed_merged", Kind::Count, "of those who are gone, the ones whose record was merged into another contact")
            .or_null(NO_FATES),
        Column::new("net_change", Kind::Count, "joined - departed").or_null(NO_COMPARISON),
        Column::new(
            "newly_unsubscribed",
            Kind::Count,
            "members who are unsubscribed now, and were subscribed in the compared month or were created since",
        )
        .or_null(NO_COMPARISON),
        Column::new("converted_leads", Kind::Count, "members who are users now and were leads in the compared month")
            .or_null(NO_COMPARISON),
        Column::new("definition_updated_at", Kind::Instant, "when the group was last changed, as the list of groups said")
            .or_null("the list does not say it, as for tags; or it is a rule"),
    ],
};

/// The input of `unsubscribes`.
pub const OPT_OUTS: Table = Table {
    name: "opt_outs",
    row: "a cohort, a month of its history, and a type of subscription that a member made a choice about; also this month",
    key: &["cohort_key", "month", "subscription_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("in_history", Kind::Flag, "whether the month was observed at its end"),
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription; empty for all e-mails"),
        Column::new("subscription_name", Kind::Text, "its name when it was observed"),
        Column::new("members", Kind::Count, "members of the cohort"),
        Column::new("opted_out", Kind::Count, "members who opted out of this type of subscription"),
        Column::new("newly_opted_out", Kind::Count, "those of them who were not in the compared month").or_null(NO_SUBSCRIPTIONS_BEFORE),
        Column::new("newly_opted_in", Kind::Count, "members who opted into this type, and had not in the compared month")
            .or_null(NO_SUBSCRIPTIONS_BEFORE),
    ],
};

/// The input of every report about retention.
pub const TRIANGLE: Table = Table {
    name: "triangle",
    row: "a cohort, an entry month in its history, and a month of the history from the entry month on",
    key: &["cohort_key", "entry_month", "observed_month"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("entry_month", Kind::Day, "month in which the contacts were first seen in the cohort"),
        Column::new("observed_month", Kind::Day, "month in which they are counted"),
        Column::new("retained", Kind::Count, "entrants who are members in the observed month; in the month of entry, all of them"),
        Column::new("retained_unbroken", Kind::Count, "entrants who were members in every month of the history up to the observed month"),
    ],
};

/// The input of `attribute_profile` and `numeric_profile`.
pub const PROFILES: Table = Table {
    name: "profiles",
    row: "a cohort (or the whole population), a role and a value of an attribute, in this month or in a compared month",
    key: &["month", "cohort_key", "attribute", "role", "value"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new(
            "cohort_key",
            Kind::Text,
            "the cohort: only members that are in the population are counted. Empty: the population itself",
        ),
        Column::new("attribute", Kind::Text, "the attribute as the job names it"),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("value", Kind::Text, "the value as text").or_null("the contacts have none"),
        Column::new("value_number", Kind::Ratio, "the value, if it is a number")
            .in_unit("the attribute's own")
            .or_null("it is not a number"),
        Column::new("contacts", Kind::Count, "contacts of that role with that value"),
        Column::new(
            "numbers",
            Kind::Count,
            "contacts for which the value is a number: fewer than contacts if some have a text with the same characters",
        ),
    ],
};
