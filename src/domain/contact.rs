use chrono::{DateTime, Utc};
use compact_str::CompactString;

use super::Number;

/// A tag of a contact, and when it was put on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagDate {
    pub tag_id: String,
    /// `None` where the API gives none that can be read.
    pub applied_at: Option<DateTime<Utc>>,
}

/// A contact is a user or a lead, under these names whichever API version it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    User,
    Lead,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::User => "user",
            Role::Lead => "lead",
        }
    }
}

/// The columns that tell who a contact is, in every table that has them.
pub const IDENTIFIERS: &[&str] = &["external_id", "email", "phone", "name"];

/// The columns of the contacts table that `profile` may name: texts and flags that describe a contact.
/// Tests hold the snapshot's table and the counting queries against it.
pub const PROFILE_COLUMNS: &[&str] = &[
    "role",
    "owner_id",
    "unsubscribed_from_emails",
    "has_hard_bounced",
    "marked_email_as_spam",
    "country",
    "region",
    "city",
    "country_code",
    "continent_code",
    "browser",
    "browser_version",
    "browser_language",
    "os",
    "language_override",
    "android_device",
    "android_os_version",
    "ios_device",
    "ios_os_version",
    "utm_campaign",
    "utm_content",
    "utm_medium",
    "utm_source",
    "utm_term",
    "referrer",
];

/// One contact as observed, checked. `None` is what the API gave as null, left out, or what could not be read
/// (counted as one of the page's `Oddities`). An empty text stays an empty text.
///
/// Texts of up to 24 bytes, which most are, Intercom's ids among them, stand in the contact itself.
#[derive(Clone, Debug)]
pub struct Contact {
    pub id: CompactString,
    pub role: Role,
    pub external_id: Option<CompactString>,
    pub email: Option<CompactString>,
    pub phone: Option<CompactString>,
    pub name: Option<CompactString>,
    pub owner_id: Option<CompactString>,
    pub created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub signed_up_at: Option<DateTime<Utc>>,
    pub last_seen_at: Option<DateTime<Utc>>,
    pub last_replied_at: Option<DateTime<Utc>>,
    pub last_contacted_at: Option<DateTime<Utc>>,
    pub last_email_opened_at: Option<DateTime<Utc>>,
    pub last_email_clicked_at: Option<DateTime<Utc>>,
    pub android_last_seen_at: Option<DateTime<Utc>>,
    pub ios_last_seen_at: Option<DateTime<Utc>>,
    pub unsubscribed_from_emails: Option<bool>,
    pub has_hard_bounced: Option<bool>,
    pub marked_email_as_spam: Option<bool>,
    pub country: Option<CompactString>,
    pub region: Option<CompactString>,
    pub city: Option<CompactString>,
    pub country_code: Option<CompactString>,
    pub continent_code: Option<CompactString>,
    pub browser: Option<CompactString>,
    pub browser_version: Option<CompactString>,
    pub browser_language: Option<CompactString>,
    pub os: Option<CompactString>,
    pub language_override: Option<CompactString>,
    pub android_device: Option<CompactString>,
    pub android_os_version: Option<CompactString>,
    pub ios_device: Option<CompactString>,
    pub ios_os_version: Option<CompactString>,
    pub utm_campaign: Option<CompactString>,
    pub utm_content: Option<CompactString>,
    pub utm_medium: Option<CompactString>,
    pub utm_source: Option<CompactString>,
    pub utm_term: Option<CompactString>,
    pub referrer: Option<CompactString>,
    pub custom_attributes: Vec<CustomAttribute>,
    /// What the contact itself says it carries; `None` when it does not say.
    pub tags: Option<OwnTags>,
    /// The segments that it says it is in. Only 1.x tells.
    pub segments: Option<OwnTags>,
}

impl Contact {
    /// Of whom nothing else is known. Each generation of the API fills in what it tells.
    pub fn unknown(id: impl Into<CompactString>, role: Role) -> Contact {
        Contact {
            id: id.into(),
            role,
            external_id: None,
            email: None,
            phone: None,
            name: None,
            owner_id: None,
            created_at: None,
            updated_at: None,
            signed_up_at: None,
            last_seen_at: None,
            last_replied_at: None,
            last_contacted_at: None,
            last_email_opened_at: None,
            last_email_clicked_at: None,
            android_last_seen_at: None,
            ios_last_seen_at: None,
            unsubscribed_from_emails: None,
            has_hard_bounced: None,
            marked_email_as_spam: None,
            country: None,
            region: None,
            city: None,
            country_code: None,
            continent_code: None,
            browser: None,
            browser_version: None,
            browser_language: None,
            os: None,
            language_override: None,
            android_device: None,
            android_os_version: None,
            ios_device: None,
            ios_os_version: None,
            utm_campaign: None,
            utm_content: None,
            utm_medium: None,
            utm_source: None,
            utm_term: None,
            referrer: None,
            custom_attributes: Vec::new(),
            tags: None,
            segments: None,
        }
    }
}

/// The IDs of a contact's tags, as the contact itself lists them; or of its segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTags {
    pub ids: Vec<CompactString>,
    /// Whether there are no others: 2.x lists ten at the most.
    pub is_complete: bool,
}

impl OwnTags {
    /// Whether one is among them; `None` when it may be among those that are not listed.
    pub fn tell(&self, id: &str) -> Option<bool> {
        if self.ids.iter().any(|own| own == id) { Some(true) } else { self.is_complete.then_some(false) }
    }
}

/// One custom attribute of one contact. Null ones are left out: not set and null are the same to the API.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomAttribute {
    pub name: CompactString,
    pub value: AttributeValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    Text(CompactString),
    Number(Number),
    Bool(bool),
    /// Whatever else the API sent (references to custom objects), as JSON text.
    Json(CompactString),
}

/// One conversation of the month.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub opener: Opener,
    /// The ids of the contacts that take part in it, as it lists them.
    pub contact_ids: Vec<String>,
    pub author_type: Option<String>,
    pub source_type: Option<String>,
    pub delivered_as: Option<String>,
    pub state: Option<String>,
}

/// Who wrote first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A user or lead: it counts as opened by this contact.
    Contact(String),
    /// A user or lead, but the API does not say which one.
    UnknownContact,
    /// An admin, a bot, a campaign: nobody's opened conversation.
    Workspace,
    /// The conversation has no author: a bot, a workflow or an import made it. Nobody's either.
    NoAuthor,
}
