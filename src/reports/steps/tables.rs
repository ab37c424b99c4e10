//! The tables that exist only while a month is counted. The tables that a history keeps are in the module `history`.

use crate::history::{COUNTS, LEDGER, OPT_OUTS, PROFILES, TRIANGLE};
use archive::table::{Column, Kind, Table};

const COHORT_KEY: &str = "`tag:<id>`, `segment:<id>` or `rule:<name>`";

pub const STANDING: Table = Table {
    name: "standing",
    row: "a contact and a cohort that it is in, or was in when the cohort was last observed at a month's end",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("change", Kind::Text, "first_seen, retained, joined, returned or departed"),
        Column::new("entered_month", Kind::Day, "month in which the contact was first seen in the cohort")
            .or_null("unknown: the contact was already a member in the first month of the cohort's history, or joined in the first month after a gap; or it was first seen in a month outside the history"),
        Column::new("months_in_cohort", Kind::Count, "months of the present spell without a break, this month included")
            .in_unit("months")
            .or_null("the contact has departed, or the month is outside the cohort's history"),
        Column::new("is_newly_unsubscribed", Kind::Flag, "whether the contact is unsubscribed now and was not in the compared month"),
        Column::new("is_converted", Kind::Flag, "whether the contact is a user now and was a lead in the compared month"),
        Column::new("is_gone", Kind::Flag, "whether the contact has departed and is no longer among the observed contacts"),
        Column::new("is_merged", Kind::Flag, "whether the contact is gone because it was merged into another"),
        Column::new("is_of_unknown_fate", Kind::Flag, "whether the contact is gone, and was not asked for"),
        Column::new("is_created_since", Kind::Flag, "whether the contact was created since the compared month"),
    ],
};

const NO_COMPARISON: &str = "nothing to compare with: the first month of the cohort's history, or a month outside it";

/// The members of all cohorts: those of the snapshot, and those of the job's rules.
pub const MEMBERSHIPS: Table = Table {
    name: "memberships",
    row: "a contact that is in a cohort, the cohorts of rules included",
    key: &[],
    columns: &[Column::new("cohort_key", Kind::Text, COHORT_KEY), Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact")],
};

pub const OPENED: Table = Table {
    name: "opened",
    row: "a contact that opened a conversation in the month",
    key: &[],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("conversations", Kind::Count, "conversations that the contact opened").in_unit("conversations"),
    ],
};

/// Contacts with one signature have the same relations to the same cohorts, so their relations are counted once for all of them.
pub const SIGNATURES: Table = Table {
    name: "signatures",
    row: "a contact that is in a cohort, or was in one in the compared month",
    key: &[],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("signature", Kind::Contact, "a contact with the same relations to the same cohorts; the same for all such contacts"),
    ],
};

pub const RELATIONS: Table = Table {
    name: "relations",
    row: "a signature and a cohort to which its contacts have a relation",
    key: &[],
    columns: &[
        Column::new("signature", Kind::Contact, SIGNATURE),
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("change", Kind::Text, "first_seen, retained, joined, returned or departed"),
        Column::new("is_newly_unsubscribed", Kind::Flag, "whether its contacts are unsubscribed now and were not in the compared month"),
        Column::new("is_converted", Kind::Flag, "whether its contacts are users now and were leads in the compared month"),
        Column::new("is_gone", Kind::Flag, "whether its contacts have departed and are no longer among the observed contacts"),
        Column::new("is_merged", Kind::Flag, "whether its contacts are gone because they were merged into others"),
        Column::new("is_of_unknown_fate", Kind::Flag, "whether its contacts are gone, and were not asked for"),
        Column::new("is_created_since", Kind::Flag, "whether its contacts were created since the compared month"),
    ],
};

const SIGNATURE: &str = "contacts with the same relations to the same cohorts";

pub const CELLS: Table = Table {
    name: "cells",
    row: "a signature and a combination of facts that some of its contacts have",
    key: &[],
    columns: &[
        Column::new("signature", Kind::Contact, SIGNATURE).or_null("contacts without a relation to a cohort"),
        Column::new("role", Kind::Text, "`user` or `lead`").or_null("the contacts are no longer observed"),
        Column::new("is_in_population", Kind::Flag, "whether the contacts are in the population and were created before the month's end"),
        Column::new("is_new", Kind::Flag, "whether the contacts were created in the month"),
        Column::new("is_active", Kind::Flag, "whether the contacts were last seen at or after the month's start"),
        Column::new("is_unsubscribed", Kind::Flag, "whether the contacts unsubscribed from e-mails"),
        Column::new("is_bounced", Kind::Flag, "whether e-mails to the contacts bounced permanently"),
        Column::new("is_spam", Kind::Flag, "whether the contacts marked an e-mail as spam"),
        Column::new("conversations", Kind::Count, "conversations that each of the contacts opened in the month").in_unit("conversations"),
        Column::new("contacts", Kind::Count, "contacts of the signature with these facts"),
    ],
};

pub const SIZES: Table = Table {
    name: "sizes",
    row: "a signature",
    key: &[],
    columns: &[
        Column::new("signature", Kind::Contact, SIGNATURE).or_null("contacts without a relation to a cohort"),
        Column::new("contacts", Kind::Count, "contacts of the signature"),
        Column::new("of_population", Kind::Count, "contacts in the population, created before the month's end"),
        Column::new("users", Kind::Count, "contacts with the role user"),
        Column::new("leads", Kind::Count, "contacts with the role lead"),
        Column::new("new_contacts", Kind::Count, "contacts created in the month"),
        Column::new("active_members", Kind::Count, "contacts last seen at or after the month's start"),
        Column::new("openers", Kind::Count, "contacts that opened a conversation in the month"),
        Column::new("conversations_opened", Kind::Count, "conversations that they opened").in_unit("conversations"),
        Column::new("unsubscribed", Kind::Count, "contacts that unsubscribed from e-mails"),
        Column::new("hard_bounced", Kind::Count, "contacts whose e-mails bounced permanently"),
        Column::new("marked_spam", Kind::Count, "contacts that marked an e-mail as spam"),
    ],
};

pub const FOLLOWED: Table = Table {
    name: "followed",
    row: "the month",
    key: &[],
    columns: &[
        Column::new("followed", Kind::Count, "contacts in at least one cohort"),
        Column::new("joined", Kind::Count, "of these, contacts that were in no cohort in the compared months"),
        Column::new("departed", Kind::Count, "contacts in no cohort that were in one in a compared month"),
        Column::new("first_seen", Kind::Count, "contacts of which it is unknown whether they were in a cohort before"),
        Column::new("unsubscribed", Kind::Count, "contacts in a cohort that are unsubscribed from e-mails"),
        Column::new("newly_unsubscribed", Kind::Count, "contacts in a cohort that are unsubscribed, and were not in the compared month"),
    ],
};

pub const ACTIVITY: Table = Table {
    name: "activity",
    row: "a cohort and a number of conversations that some of its members opened in the month",
    key: &["cohort_key", "conversations"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("conversations", Kind::Count, "conversations that each of the members opened").in_unit("conversations"),
        Column::new("contacts", Kind::Count, "members that opened so many"),
    ],
};

pub const SHARED: Table = Table {
    name: "shared",
    row: "two cohorts that share contacts; or a cohort paired with itself (its members); or, with both keys empty, the population",
    key: &["cohort_a", "cohort_b"],
    columns: &[
        Column::new("cohort_a", Kind::Text, COHORT_KEY),
        Column::new("cohort_b", Kind::Text, COHORT_KEY),
        Column::new("in_both", Kind::Count, "contacts in both"),
        Column::new("in_both_of_population", Kind::Count, "contacts of the population in both"),
    ],
};

pub const MOVES: Table = Table {
    name: "moves",
    row: "a cohort that contacts left and a cohort that they joined, or what stands in place of one of them",
    key: &["from_cohort", "to_cohort"],
    columns: &[
        Column::new(
            "from_cohort",
            Kind::Text,
            "cohort_key of the cohort that they left; if they left none: `(new)` created since, `(stayed)` still in others, `(none)` in no cohort before",
        ),
        Column::new(
            "to_cohort",
            Kind::Text,
            "cohort_key of the cohort that they joined; if they joined none: `(gone)` left the workspace, `(stayed)` still in others, `(none)` in no cohort now",
        ),
        Column::new("contacts", Kind::Count, "contacts that moved"),
    ],
};

pub const ATTRIBUTE_VALUES: Table = Table {
    name: "attribute_values",
    row: "a contact and an attribute of the job's profile that it has",
    key: &[],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("attribute", Kind::Text, "the attribute as the job names it"),
        Column::new("value", Kind::Text, "the value as text; flags as true and false"),
        Column::new("value_number", Kind::Ratio, "the value of a custom attribute, if it is a number")
            .in_unit("the attribute's own")
            .or_null("it is not a number"),
    ],
};

pub const DESCRIBED: Table = Table {
    name: "described",
    row: "a signature, role and value of an attribute that contacts of the population have; or a signature and role (empty attribute)",
    key: &[],
    columns: &[
        Column::new("signature", Kind::Contact, SIGNATURE).or_null("contacts without a relation to a cohort"),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("attribute", Kind::Text, "the attribute as the job names it"),
        Column::new("value", Kind::Text, "the value as text").or_null("the attribute is empty"),
        Column::new("value_number", Kind::Ratio, "the value, if it is a number for one of the contacts")
            .in_unit("the attribute's own")
            .or_null("it is a number for none of the contacts"),
        Column::new("contacts", Kind::Count, "contacts with that value"),
        Column::new("numbers", Kind::Count, "contacts for which the value is a number"),
    ],
};

pub const QUALITY: Table = Table {
    name: "quality",
    row: "something that is wrong or unusual in the month's tables",
    key: &["check_name", "subject"],
    columns: &[
        Column::new("check_name", Kind::Text, "what was checked"),
        Column::new("subject", Kind::Text, "a cohort_key, a table or an attribute"),
        Column::new("found", Kind::Count, "how often it was found").in_unit("rows"),
    ],
};

// The small tables that are made for each month, and the tables of earlier months under the names that the steps give them.

pub const COHORTS: Table = Table {
    name: "cohorts",
    row: "a cohort of the month",
    key: &["cohort_key"],
    columns: &[
        Column::new("cohort_key", Kind::Text, COHORT_KEY),
        Column::new("cohort_name", Kind::Text, "the cohort's name when it was observed"),
        Column::new("has_conversations", Kind::Flag, "whether the month's conversations were fetched"),
        Column::new("knows_gone", Kind::Flag, "whether the population is everyone; if so, a missing contact has left the workspace"),
        Column::new("knows_fates", Kind::Flag, "whether members that are gone were asked for"),
        Column::new("definition_updated_at", Kind::Instant, "when the group was last changed, as the list of groups said")
            .or_null("the list does not say it, as for tags; or it is a rule"),
        Column::new("in_history", Kind::Flag, "whether the month is in the cohort's history"),
        Column::new("intercom_count", Kind::Count, "the total that the API gave for the group").or_null("the API gave none"),
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("month_start", Kind::Instant, "first instant of the month"),
        Column::new("month_end", Kind::Instant, "first instant after the month"),
        Column::new("compared_month", Kind::Day, "first day of the compared month").or_null(NO_COMPARISON),
        Column::new("knows_compared", Kind::Flag, "whether the contacts of the compared month can be read"),
        Column::new(
            "knows_compared_subscriptions",
            Kind::Flag,
            "whether the subscriptions of this and of the compared month were observed",
        ),
        Column::new("compared_end", Kind::Instant, "first instant after the compared month").or_null(NO_COMPARISON),
        Column::new("months_since_compared", Kind::Count, "months from the compared month to this one")
            .in_unit("months")
            .or_null(NO_COMPARISON),
    ],
};

pub const THIS_MONTH: Table = Table {
    name: "this_month",
    row: "the month (one row)",
    key: &["month"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("month_start", Kind::Instant, "first instant of the month"),
        Column::new("month_end", Kind::Instant, "first instant after the month"),
    ],
};

pub const PROFILE: Table = Table {
    name: "profile",
    row: "an attribute of the job's profile",
    key: &["attribute"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("attribute", Kind::Text, "the attribute as the job names it"),
        Column::new("custom_name", Kind::Text, "name of the custom attribute").or_null("it is a column of contacts"),
    ],
};

pub const KEPT_MONTHS: Table = Table {
    name: "kept_months",
    row: "an earlier month with which a cohort is compared now, or will be compared next",
    key: &["month"],
    columns: &[Column::new("month", Kind::Day, "first day of the month")],
};

/// The contacts of earlier months, from the earliest compared month on.
pub const CONTACTS_BEFORE: Table = Table {
    name: "contacts_before",
    row: "a contact as it was observed in an earlier month",
    key: &["month", "contact_id"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("external_id", Kind::Text, "the workspace's own ID of the contact").or_null(NONE_GIVEN),
        Column::new("email", Kind::Text, "e-mail address").or_null(NONE_GIVEN),
        Column::new("name", Kind::Text, "name").or_null(NONE_GIVEN),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("last_seen_at", Kind::Instant, "when the contact was last seen").or_null("never, or not given"),
        Column::new("signed_up_at", Kind::Instant, "when the contact signed up").or_null("not given"),
        Column::new("created_at", Kind::Instant, "when the contact was created in Intercom").or_null("not given"),
        Column::new("unsubscribed_from_emails", Kind::Flag, "whether the contact unsubscribed from e-mails").or_null("not given"),
        Column::new("country", Kind::Text, "country of the last visit").or_null("unknown"),
    ],
};

const NONE_GIVEN: &str = "none given, or identifiers are written in another way now";

/// The choices about subscriptions of earlier months, from the earliest compared month on.
pub const SUBSCRIPTIONS_BEFORE: Table = Table {
    name: "subscriptions_before",
    row: "an explicit choice of a contact about a type of subscription, as it was observed in an earlier month",
    key: &["month", "contact_id", "subscription_id"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription"),
        Column::new("state", Kind::Text, "`opted_out` or `opted_in`"),
    ],
};

pub const CHOICES: Table = Table {
    name: "choices",
    row: "an explicit choice of a contact, and a month with which it is compared",
    key: &[],
    columns: &[
        Column::new("compared_day", Kind::Day, "first day of the compared month; of this month for cohorts that are compared with none"),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription; empty for all e-mails"),
        Column::new("state", Kind::Text, "`opted_out` or `opted_in`"),
        Column::new("is_new", Kind::Flag, "whether the contact's record in the compared month says something else"),
    ],
};

/// The ledger of the month before. A contact that was merged into a member is replaced by that member.
pub const PAST: Table = Table { name: "past", ..LEDGER };

pub const OPT_OUTS_BEFORE: Table = Table { name: "opt_outs_before", ..OPT_OUTS };
pub const LEDGER_BEFORE: Table = Table { name: "ledger_before", ..LEDGER };
pub const COUNTS_BEFORE: Table = Table { name: "counts_before", ..COUNTS };
pub const TRIANGLE_BEFORE: Table = Table { name: "triangle_before", ..TRIANGLE };
pub const PROFILES_BEFORE: Table = Table { name: "profiles_before", ..PROFILES };

/// The conditions of rules name attributes, subscriptions and groups by an alias, so that no name of a workspace is in the SQL.
pub const RULE_REFERENCES: Table = Table {
    name: "rule_references",
    row: "a custom attribute or a group that the condition of a rule uses",
    key: &["cohort_key", "alias"],
    columns: &[
        Column::new("month", Kind::Day, "first day of the month"),
        Column::new("cohort_key", Kind::Text, "`rule:<name>`"),
        Column::new("alias", Kind::Text, "the alias in the condition"),
        Column::new("name", Kind::Text, "the name of the custom attribute, or the cohort_key of the group"),
    ],
};
