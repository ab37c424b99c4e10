//! The snapshot's tables.

use crate::table::{Bundle, Column, Kind, Table};

pub const CONTACTS: Table = Table {
    name: "contacts",
    row: "a contact that was in the population or in a cohort when the month was observed",
    key: &["contact_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("in_population", Kind::Flag, "whether the contact is in the population, with which the cohorts are compared"),
        Column::new("role", Kind::Text, "`user` or `lead`"),
        Column::new("external_id", Kind::Text, "the workspace's own ID of the contact").or_null("none given"),
        Column::new("email", Kind::Text, "e-mail address; not unique").or_null("none given"),
        Column::new("phone", Kind::Text, "phone number").or_null("none given"),
        Column::new("name", Kind::Text, "name").or_null("none given"),
        Column::new("owner_id", Kind::Text, "ID of the admin who owns the contact").or_null("nobody"),
        Column::new("created_at", Kind::Instant, "when the contact was created in Intercom").or_null("not given or unreadable"),
        Column::new("updated_at", Kind::Instant, "when the contact's record last changed").or_null("not given or unreadable"),
        Column::new("signed_up_at", Kind::Instant, "when the contact signed up, as set by the workspace")
            .or_null("not given or unreadable"),
        Column::new("last_seen_at", Kind::Instant, "when the contact was last seen").or_null("never, or not given"),
        Column::new("last_replied_at", Kind::Instant, "when the contact last replied to a message").or_null("never, or not given"),
        Column::new("last_contacted_at", Kind::Instant, "when the workspace last sent a message to the contact")
            .or_null("never, or not given"),
        Column::new("last_email_opened_at", Kind::Instant, "when the contact last opened an e-mail").or_null("never, or not given"),
        Column::new("last_email_clicked_at", Kind::Instant, "when the contact last clicked a link in an e-mail")
            .or_null("never, or not given"),
        Column::new("android_last_seen_at", Kind::Instant, "when the contact was last seen on Android").or_null("never, or not given"),
        Column::new("ios_last_seen_at", Kind::Instant, "when the contact was last seen on iOS").or_null("never, or not given"),
        Column::new("unsubscribed_from_emails", Kind::Flag, "whether the contact unsubscribed from e-mails").or_null("not given"),
        Column::new("has_hard_bounced", Kind::Flag, "whether e-mails to the contact bounced permanently").or_null("not given"),
        Column::new("marked_email_as_spam", Kind::Flag, "whether the contact marked an e-mail as spam").or_null("not given"),
        Column::new("country", Kind::Text, "country of the last visit").or_null("unknown"),
        Column::new("region", Kind::Text, "region of the last visit").or_null("unknown"),
        Column::new("city", Kind::Text, "city of the last visit").or_null("unknown"),
        Column::new("country_code", Kind::Text, "three-letter code of the country").or_null("unknown"),
        Column::new("continent_code", Kind::Text, "two-letter code of the continent").or_null("unknown"),
        Column::new("browser", Kind::Text, "browser of the last visit").or_null("unknown"),
        Column::new("browser_version", Kind::Text, "version of the browser").or_null("unknown"),
        Column::new("browser_language", Kind::Text, "language of the browser").or_null("unknown"),
        Column::new("os", Kind::Text, "operating system of the last visit").or_null("unknown"),
        Column::new("language_override", Kind::Text, "language chosen for the contact").or_null("none"),
        Column::new("android_device", Kind::Text, "Android device").or_null("none known"),
        Column::new("android_os_version", Kind::Text, "Android version").or_null("none known"),
        Column::new("ios_device", Kind::Text, "iOS device").or_null("none known"),
        Column::new("ios_os_version", Kind::Text, "iOS version").or_null("none known"),
        Column::new("utm_campaign", Kind::Text, "campaign that led to the workspace's site").or_null("not given"),
        Column::new("utm_content", Kind::Text, "content of the campaign").or_null("not given"),
        Column::new("utm_medium", Kind::Text, "medium of the campaign").or_null("not given"),
        Column::new("utm_source", Kind::Text, "source of the campaign").or_null("not given"),
        Column::new("utm_term", Kind::Text, "term of the campaign").or_null("not given"),
        Column::new("referrer", Kind::Text, "page that led to the workspace's site").or_null("not given"),
    ],
};

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

/// Only in the spool of a stream whose members are derived. An earlier version also left out records that another stream had.
pub(super) const WITHOUT_RECORD: Table = Table {
    name: "held",
    row: "a member of a group whose record is in another stream",
    key: &["contact_id"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("updated_at", Kind::Instant, "when the contact's record last changed").or_null("not given or unreadable"),
    ],
};

/// Only in the spool of everyone.
pub(super) const TAGGED: Table = Table {
    name: "tagged",
    row: "a contact and a group of the job that its own lists name; or a contact whose lists the API cut",
    key: &["contact_id", "cohort_key"],
    columns: &[
        Column::new("contact_id", Kind::Contact, "Intercom's ID of the contact"),
        Column::new("cohort_key", Kind::Text, "`tag:<id>` or `segment:<id>`")
            .or_null("the API cut the contact's lists: it may be in more groups"),
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

/// The table of a chunk of answers.
pub(super) const ANSWERS: &Bundle = &[&TAG_DATES];

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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::PROFILE_COLUMNS;

    #[test]
    fn every_profile_attribute_is_a_text_or_flag_of_the_contacts_table() {
        for name in PROFILE_COLUMNS {
            let column = CONTACTS.columns.iter().find(|column| column.name == *name);
            assert!(column.is_some_and(|column| matches!(column.kind, Kind::Text | Kind::Flag)), "{name}");
        }
    }
}
