use chrono::{DateTime, Utc};
use compact_str::CompactString;

use super::Number;

/// A tag of a contact, and when it was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagDate {
    pub tag_id: String,
    /// `None` if the API gives no readable date.
    pub applied_at: Option<DateTime<Utc>>,
}

/// A contact is a user or a lead. These names are used for all API versions.
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

/// The columns that identify a contact, in every table that has them.
pub const IDENTIFIERS: &[&str] = &["external_id", "email", "phone", "name"];

/// The columns of the contacts table that `profile` may name: texts and flags that describe a contact.
/// Tests compare the snapshot's table and the counting queries with it.
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

/// One contact as observed, checked. A field is `None` if the API sent null, left it out, or sent a value that could not be read (counted in the
/// page's `Oddities`). An empty text stays an empty text.
///
/// Texts of up to 24 bytes, among them most texts and Intercom's ids, are stored in the contact itself.
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
    /// The contact's own list of tags; `None` if the record has none.
    pub tags: Option<OwnTags>,
    /// The contact's own list of segments. Only 1.x has it.
    pub segments: Option<OwnTags>,
}

impl Contact {
    /// A contact without data. Each generation of the API fills in the fields that it has.
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

/// A contact's own list of tags, or of segments: their IDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTags {
    pub ids: Vec<CompactString>,
    /// Whether the list has all of them: 2.x lists at most ten.
    pub is_complete: bool,
}

impl OwnTags {
    /// Whether the contact has this tag or segment; `None` when the list is not complete and lacks it.
    pub fn contains(&self, id: &str) -> Option<bool> {
        if self.ids.iter().any(|own| own == id) { Some(true) } else { self.is_complete.then_some(false) }
    }
}

/// One custom attribute of one contact. Null ones are left out: for the API, null and not set are the same.
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
    /// Any other value that the API sent (references to custom objects), as JSON text.
    Json(CompactString),
}

/// One conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub opener: Opener,
    /// The ids of its contacts, as it lists them.
    pub contact_ids: Vec<String>,
    pub author_type: Option<String>,
    pub source_type: Option<String>,
    pub delivered_as: Option<String>,
    pub state: Option<String>,
}

/// Who opened a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A user or lead: this contact opened it.
    Contact(String),
    /// A user or lead, but the API does not say which one.
    UnknownContact,
    /// An admin, a bot or a campaign. It counts for no contact.
    Workspace,
    /// The conversation has no author: a bot, a workflow or an import created it. It counts for no contact.
    NoAuthor,
}
