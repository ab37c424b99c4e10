//! The snapshot's tables.

use crate::table::{Bundle, Column, Kind, Table};

macro_rules! contacts_table {
    ($($name:ident: $kind:ident, $use:ident, $about:literal, $null:literal;)*) => {
        pub const CONTACTS: Table = Table {
            name: "contacts",
            row: "a contact that was in the population or in a cohort when the month was observed",
            key: &["contact_id"],
            columns: &[
                Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
                Column::new("in_population", Kind::Flag, "whether the contact is in the population, with which the cohorts are compared"),
                Column::new("role", Kind::Text, "`user` or `lead`"),
                $(Column::new(stringify!($name), Kind::$kind, $about).or_null($null),)*
            ],
        };
    };
}

domain::contact_fields!(contacts_table);

pub const ATTRIBUTES: Table = Table {
    name: "attributes",
    row: "a custom attribute that a contact has",
    key: &["contact_id", "attribute"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("attribute", Kind::Text, "name of the custom attribute, without `custom_attributes.`"),
        Column::new(
            "value",
            Kind::Text,
            "the value as text; JSON for what is neither text, number nor flag. Equal numbers have equal texts (49 for 49.0, 0 for \
             -0.0): whole numbers under 10^21 have all of their digits, others the fewest that give the same double; an exponent \
             is used from 10^21 on and below 10^-6 (1.5e21, 1e-7)",
        ),
        Column::new("value_number", Kind::Ratio, "the value, if it is a number")
            .in_unit("the attribute's own")
            .or_null("the value is not a number"),
        Column::new("value_type", Kind::Text, "`text`, `number`, `flag` or `json`"),
    ],
};

pub const MEMBERS: Table = Table {
    name: "members",
    row: "a contact that was in a cohort when the cohort was observed, whenever the contact was created",
    key: &["cohort_key", "contact_id"],
    columns: &[
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`"),
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
    ],
};

/// This table has rows only in the spool of a stream whose members are derived. An earlier version of the program also used it for members
/// whose record was in another stream.
pub(super) const WITHOUT_RECORD: Table = Table {
    name: "held",
    row: "a member of a group whose record is in another stream",
    key: &["contact_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("updated_at", Kind::Instant, "when the contact's record last changed").or_null("not given or unreadable"),
    ],
};

/// This table is only in the spool of everyone.
pub(super) const TAGGED: Table = Table {
    name: "tagged",
    row: "a contact and a group of the job that the contact's own lists name; also, without a group, each contact whose lists the API cut",
    key: &["contact_id", "cohort_key"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`")
            .or_null("the API cut the contact's lists: it may be in more groups"),
    ],
};

pub const SUBSCRIPTIONS: Table = Table {
    name: "subscriptions",
    row: "an explicit choice of a contact about a type of subscription",
    key: &["contact_id", "subscription_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription"),
        Column::new(
            "state",
            Kind::Text,
            "`opted_out` or `opted_in`. A contact without a row made no choice: it gets messages of a type with the consent type opt_out, \
             and none of one with opt_in",
        ),
    ],
};

pub const SUBSCRIPTION_TYPES: Table = Table {
    name: "subscription_types",
    row: "a type of subscription of the workspace",
    key: &["subscription_id"],
    columns: &[
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription"),
        Column::new("name", Kind::Text, "its name in the workspace's own language; its ID if the workspace gave it none"),
        Column::new("consent_type", Kind::Text, "`opt_out` or `opt_in`: what silence means").or_null("not given"),
        Column::new("state", Kind::Text, "`live`, `draft` or `archived`").or_null("not given"),
    ],
};

pub const VANISHED: Table = Table {
    name: "vanished",
    row: "a member of the last month observed at its end that no list had this month and that was asked for",
    key: &["contact_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("fate", Kind::Text, "`deleted`, `merged` into another contact, or `present`: it exists, though no list had it"),
        Column::new("merged_into", Kind::Contact, "contact_id of the contact that goes on").or_null("the contact was not merged"),
    ],
};

/// This table is only in the spool: the choices in a contact's record.
pub(super) const OWN_SUBSCRIPTIONS: Table = Table {
    name: "own_subscriptions",
    row: "a choice in the record of a contact; or a contact whose choices the API cut",
    key: &["contact_id", "subscription_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("subscription_id", Kind::Text, "Intercom's ID of the type of subscription")
            .or_null("there are more choices than the record has; in an answer: there are none"),
        Column::new("state", Kind::Text, "`opted_out` or `opted_in`").or_null("as subscription_id"),
    ],
};

pub const CONVERSATIONS: Table = Table {
    name: "conversations",
    row: "a conversation created in the month",
    key: &["conversation_id"],
    columns: &[
        Column::new("conversation_id", Kind::Text, "Intercom's ID of the conversation"),
        Column::new("created_at", Kind::Instant, "when it was created, within the month"),
        Column::new(
            "opened_by",
            Kind::Contact,
            "contact_id of the user or lead who wrote first. If the API names none, or one that was merged since: the conversation's only contact",
        )
        .or_null("an admin or bot wrote first; a bot, workflow or import made it without an author; or it is unknown who wrote first"),
        Column::new("contact_ids", Kind::Text, "contact_id of each contact in the conversation, separated by spaces")
            .or_null("none given, or observed by a version of the program that did not keep them"),
        Column::new("author_type", Kind::Text, "who wrote first: user, lead, admin, bot").or_null("not given"),
        Column::new("source_type", Kind::Text, "how it came in: conversation, email, push, ...").or_null("not given"),
        Column::new("delivered_as", Kind::Text, "customer_initiated, campaigns_initiated, operator_initiated, ...").or_null("not given"),
        Column::new("state", Kind::Text, "open, closed or snoozed, when it was observed").or_null("not given"),
    ],
};

/// The table of a chunk of answers, for each question about contacts.
pub(super) const TAG_DATE_ANSWERS: &Bundle = &[&TAG_DATES];
pub(super) const SUBSCRIPTION_ANSWERS: &Bundle = &[&OWN_SUBSCRIPTIONS];
pub(super) const FATE_ANSWERS: &Bundle = &[&VANISHED];

pub(super) const TAG_DATES: Table = Table {
    name: "tag_dates",
    row: "a contact that was asked for its tags, and one of its tags, or no tag",
    key: &["contact_id", "tag_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("tag_id", Kind::Text, "Intercom's ID of the tag").or_null("the contact has no tag"),
        Column::new("applied_at", Kind::Instant, "when the tag was put on the contact").or_null("not given or unreadable"),
    ],
};
