use compact_str::CompactString;
use serde::Deserialize;

use super::html::unescaped;
use crate::wire::attributes::Attributes;
use crate::wire::checked_id;
use crate::wire::lenient::{Flag, Listed, Nested, Stamp, Text, some};
use domain::{Contact, GroupKind, Oddities, OwnTags, Role};

/// A user or a lead, with its own lists of groups.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub contact: Contact,
    pub oddities: Oddities,
    /// The workspace ID in the record.
    pub workspace_id: Option<CompactString>,
}

impl Person {
    /// Whether the person is in a group. `None` when the record has no list of this kind, or an incomplete list that does not have the
    /// group.
    pub(crate) fn is_in(&self, kind: GroupKind, id: &str) -> Option<bool> {
        let own = match kind {
            GroupKind::Tag => &self.contact.tags,
            GroupKind::Segment => &self.contact.segments,
        };
        own.as_ref()?.contains(id)
    }
}

#[derive(Deserialize)]
pub(super) struct WirePerson {
    #[serde(rename = "type")]
    kind: Option<Text>,
    id: Option<Text>,
    /// What 2.x calls `workspace_id`.
    app_id: Option<Text>,
    user_id: Option<Text>,
    #[serde(default)]
    anonymous: Flag,
    email: Option<Text>,
    phone: Option<Text>,
    /// The name is escaped for HTML. Other texts have not been seen escaped.
    name: Option<Text>,
    owner_id: Option<Text>,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
    #[serde(default)]
    signed_up_at: Stamp,
    /// `signed_up_at` under its old name.
    #[serde(default)]
    remote_created_at: Stamp,
    /// What 2.x calls `last_seen_at`.
    #[serde(default)]
    last_request_at: Stamp,
    #[serde(default)]
    unsubscribed_from_emails: Flag,
    #[serde(default)]
    has_hard_bounced: Flag,
    #[serde(default)]
    marked_email_as_spam: Flag,
    #[serde(default)]
    location_data: Nested<Location>,
    utm_campaign: Option<Text>,
    utm_content: Option<Text>,
    utm_medium: Option<Text>,
    utm_source: Option<Text>,
    utm_term: Option<Text>,
    referrer: Option<Text>,
    #[serde(default)]
    tags: Nested<Tags>,
    #[serde(default)]
    segments: Nested<Segments>,
    #[serde(default)]
    custom_attributes: Nested<Attributes>,
}

#[derive(Default, Deserialize)]
struct Location {
    country_name: Option<Text>,
    region_name: Option<Text>,
    city_name: Option<Text>,
    country_code: Option<Text>,
    continent_code: Option<Text>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Listed<Reference>,
}

#[derive(Deserialize)]
struct Segments {
    #[serde(default)]
    segments: Listed<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<Text>,
}

/// Reads an own list. 1.x lists all groups, so the list is complete unless an ID is missing.
fn own(references: Vec<Reference>) -> OwnTags {
    let listed = references.len();
    let ids: Vec<_> = references.into_iter().filter_map(|reference| some(reference.id)).collect();
    let is_complete = ids.len() == listed;
    OwnTags { ids, is_complete }
}

impl WirePerson {
    /// The contact of this record. `None` when it has no id.
    pub(super) fn into_person(self) -> Option<Person> {
        let id = checked_id(self.id)?;
        let mut oddities = Oddities::default();
        let role = match some(self.kind).as_deref() {
            Some("user") => Role::User,
            // 1.x calls a lead `contact`.
            Some("contact" | "lead") => Role::Lead,
            _ => {
                oddities.roles_unknown += 1;
                if self.anonymous.0 == Some(true) { Role::Lead } else { Role::User }
            }
        };
        let location = self.location_data.0.unwrap_or_default();
        let signed_up_at = self.signed_up_at.instant(&mut oddities);
        let contact = Contact {
            // Intercom generates the `user_id` of a lead. It is left out, because it is not the workspace's own id, and 2.x does not send
            // it.
            external_id: some(self.user_id).filter(|_| role == Role::User),
            email: some(self.email),
            phone: some(self.phone),
            name: some(self.name).map(unescaped),
            owner_id: some(self.owner_id),
            created_at: self.created_at.instant(&mut oddities),
            updated_at: self.updated_at.instant(&mut oddities),
            signed_up_at: signed_up_at.or_else(|| self.remote_created_at.instant(&mut oddities)),
            last_seen_at: self.last_request_at.instant(&mut oddities),
            unsubscribed_from_emails: self.unsubscribed_from_emails.0,
            has_hard_bounced: self.has_hard_bounced.0,
            marked_email_as_spam: self.marked_email_as_spam.0,
            country: some(location.country_name),
            region: some(location.region_name),
            city: some(location.city_name),
            country_code: some(location.country_code),
            continent_code: some(location.continent_code),
            utm_campaign: some(self.utm_campaign),
            utm_content: some(self.utm_content),
            utm_medium: some(self.utm_medium),
            utm_source: some(self.utm_source),
            utm_term: some(self.utm_term),
            referrer: some(self.referrer),
            custom_attributes: self.custom_attributes.0.unwrap_or_default().0,
            tags: self.tags.0.and_then(|list| list.tags.0).map(own),
            segments: self.segments.0.and_then(|list| list.segments.0).map(own),
            ..Contact::unknown(id, role)
        };
        Some(Person { contact, oddities, workspace_id: checked_id(self.app_id) })
    }
}
