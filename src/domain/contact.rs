use chrono::{DateTime, Utc};
use compact_str::CompactString;

use super::{Number, OwnSubscriptions};

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

/// Calls a macro with the fields of a contact, in the order of the snapshot's columns. This is the only place that lists them: the
/// struct, the snapshot's columns and the facts of rules are generated from it. For each field:
///
/// - its name, and its kind: `Text`, `Instant` or `Flag`;
/// - its use: the setting `privacy` says how an `identifier` is written, the setting `profile` may name a `profile` field, `other` is
///   neither;
/// - what the field contains, and what null means.
#[macro_export]
macro_rules! contact_fields {
    ($generate:ident) => {
        $generate! {
            external_id: Text, identifier, "the workspace's own ID of the contact", "none given";
            email: Text, identifier, "e-mail address; not unique", "none given";
            phone: Text, identifier, "phone number", "none given";
            name: Text, identifier, "name", "none given";
            owner_id: Text, profile, "ID of the admin who owns the contact", "nobody";
            created_at: Instant, other, "when the contact was created in Intercom", "not given or unreadable";
            updated_at: Instant, other, "when the contact's record last changed", "not given or unreadable";
            signed_up_at: Instant, other, "when the contact signed up, as set by the workspace", "not given or unreadable";
            last_seen_at: Instant, other, "when the contact was last seen", "never, or not given";
            last_replied_at: Instant, other, "when the contact last replied to a message", "never, or not given";
            last_contacted_at: Instant, other, "when the workspace last sent a message to the contact", "never, or not given";
            last_email_opened_at: Instant, other, "when the contact last opened an e-mail", "never, or not given";
            last_email_clicked_at: Instant, other, "when the contact last clicked a link in an e-mail", "never, or not given";
            android_last_seen_at: Instant, other, "when the contact was last seen on Android", "never, or not given";
            ios_last_seen_at: Instant, other, "when the contact was last seen on iOS", "never, or not given";
            unsubscribed_from_emails: Flag, profile, "whether the contact unsubscribed from e-mails", "not given";
            has_hard_bounced: Flag, profile, "whether e-mails to the contact bounced permanently", "not given";
            marked_email_as_spam: Flag, profile, "whether the contact marked an e-mail as spam", "not given";
            country: Text, profile, "country of the last visit", "unknown";
            region: Text, profile, "region of the last visit", "unknown";
            city: Text, profile, "city of the last visit", "unknown";
            country_code: Text, profile, "three-letter code of the country", "unknown";
            continent_code: Text, profile, "two-letter code of the continent", "unknown";
            browser: Text, profile, "browser of the last visit", "unknown";
            browser_version: Text, profile, "version of the browser", "unknown";
            browser_language: Text, profile, "language of the browser", "unknown";
            os: Text, profile, "operating system of the last visit", "unknown";
            language_override: Text, profile, "language chosen for the contact", "none";
            android_device: Text, profile, "Android device", "none known";
            android_os_version: Text, profile, "Android version", "none known";
            ios_device: Text, profile, "iOS device", "none known";
            ios_os_version: Text, profile, "iOS version", "none known";
            utm_campaign: Text, profile, "campaign that led to the workspace's site", "not given";
            utm_content: Text, profile, "content of the campaign", "not given";
            utm_medium: Text, profile, "medium of the campaign", "not given";
            utm_source: Text, profile, "source of the campaign", "not given";
            utm_term: Text, profile, "term of the campaign", "not given";
            referrer: Text, profile, "page that led to the workspace's site", "not given";
        }
    };
}

/// The Rust type of each kind of field.
mod kind {
    pub(super) type Text = compact_str::CompactString;
    pub(super) type Instant = chrono::DateTime<chrono::Utc>;
    pub(super) type Flag = bool;
}

macro_rules! write_identifier {
    (identifier, $field:expr, $name:expr, $written:ident) => {
        $field = $written($name, $field.take());
    };
    ($other:ident, $field:expr, $name:expr, $written:ident) => {};
}

macro_rules! struct_of_fields {
    ($($name:ident: $kind:ident, $use:ident, $about:literal, $null:literal;)*) => {
        /// One contact as it was observed, after the checks. A field is `None` if the API sent null, left the field out, or sent a value
        /// that could not be read. Unreadable values are counted in the page's `Oddities`. An empty text stays an empty text.
        ///
        /// Texts of up to 24 bytes, among them most texts and Intercom's ids, are stored in the contact itself.
        #[derive(Clone, Debug)]
        pub struct Contact {
            pub id: CompactString,
            pub role: Role,
            $(#[doc = $about] pub $name: Option<kind::$kind>,)*
            pub custom_attributes: Vec<CustomAttribute>,
            /// The contact's own list of tags. `None` if the record has no list.
            pub tags: Option<OwnTags>,
            /// The contact's own list of segments. `None` if the record has no list, and always in 2.x.
            pub segments: Option<OwnTags>,
            /// The contact's choices about subscriptions. `None` if the record has no list of choices, as before 2.5.
            pub subscriptions: Option<OwnSubscriptions>,
        }

        impl Contact {
            /// A contact with only an id and a role. The decoder of each generation of the API fills in the fields that this generation
            /// sends.
            pub fn unknown(id: impl Into<CompactString>, role: Role) -> Contact {
                let (custom_attributes, tags, segments, subscriptions) = (Vec::new(), None, None, None);
                Contact { id: id.into(), role, $($name: None,)* custom_attributes, tags, segments, subscriptions }
            }

            /// Replaces each identifier by the result of `written`, which gets the column and the value.
            pub fn write_identifiers(&mut self, written: impl Fn(&str, Option<CompactString>) -> Option<CompactString>) {
                $(write_identifier!($use, self.$name, stringify!($name), written);)*
            }
        }

        const USES: &[(&str, Use)] = &[$((stringify!($name), Use::$use)),*];
    };
}

contact_fields!(struct_of_fields);

#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "the variants are spelled as in the macro `contact_fields`")]
enum Use {
    identifier,
    profile,
    other,
}

/// Whether a column identifies a contact. The answer is the same for every table that has the column.
pub fn is_identifier(column: &str) -> bool {
    USES.contains(&(column, Use::identifier))
}

/// The columns of the contacts table that `profile` may name: texts and flags that describe a contact.
pub fn profile_columns() -> impl Iterator<Item = &'static str> {
    ["role"].into_iter().chain(USES.iter().filter(|(_, used)| *used == Use::profile).map(|(name, _)| *name))
}

/// The IDs in the own list of tags of a contact, company or conversation, or in a contact's own list of segments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTags {
    pub ids: Vec<CompactString>,
    /// Whether the list has all tags or all segments. 2.x lists at most ten tags of a contact.
    pub is_complete: bool,
}

impl OwnTags {
    /// Whether the owner of the list has this tag or segment. `None` if the list is not complete and does not have the ID.
    pub fn contains(&self, id: &str) -> Option<bool> {
        if self.ids.iter().any(|own| own == id) { Some(true) } else { self.is_complete.then_some(false) }
    }
}

/// One custom attribute of one contact. Attributes that are null are left out, because for the API null and not set are the same.
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

#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub opener: Opener,
    /// The ids of the conversation's contacts, as the API lists them.
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
    /// An admin, a bot or a campaign. The conversation counts for no contact.
    Workspace,
    /// The conversation has no author: a bot, a workflow or an import created it. The conversation counts for no contact.
    NoAuthor,
}
