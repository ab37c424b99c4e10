use serde::Deserialize;

use crate::wire::attributes::Attributes;
use crate::wire::lenient::{Flag, Nested, Stamp, Text, some};
use crate::wire::subscriptions::{OwnList, own_subscriptions};
use crate::wire::tag_list::TagList;
use crate::wire::{checked_id, is_id};
use domain::{Contact, FoundContact, Oddities, Role};

#[derive(Deserialize)]
pub(super) struct WireContact {
    id: Option<Text>,
    workspace_id: Option<Text>,
    role: Option<Text>,
    external_id: Option<Text>,
    email: Option<Text>,
    phone: Option<Text>,
    name: Option<Text>,
    owner_id: Option<Text>,
    #[serde(default)]
    created_at: Stamp,
    #[serde(default)]
    updated_at: Stamp,
    #[serde(default)]
    signed_up_at: Stamp,
    #[serde(default)]
    last_seen_at: Stamp,
    #[serde(default)]
    last_replied_at: Stamp,
    #[serde(default)]
    last_contacted_at: Stamp,
    #[serde(default)]
    last_email_opened_at: Stamp,
    #[serde(default)]
    last_email_clicked_at: Stamp,
    #[serde(default)]
    android_last_seen_at: Stamp,
    #[serde(default)]
    ios_last_seen_at: Stamp,
    #[serde(default)]
    unsubscribed_from_emails: Flag,
    #[serde(default)]
    has_hard_bounced: Flag,
    #[serde(default)]
    marked_email_as_spam: Flag,
    #[serde(default)]
    location: Nested<Location>,
    browser: Option<Text>,
    browser_version: Option<Text>,
    browser_language: Option<Text>,
    os: Option<Text>,
    language_override: Option<Text>,
    android_device: Option<Text>,
    android_os_version: Option<Text>,
    ios_device: Option<Text>,
    ios_os_version: Option<Text>,
    utm_campaign: Option<Text>,
    utm_content: Option<Text>,
    utm_medium: Option<Text>,
    utm_source: Option<Text>,
    utm_term: Option<Text>,
    referrer: Option<Text>,
    #[serde(default)]
    tags: Nested<TagList>,
    #[serde(default)]
    custom_attributes: Nested<Attributes>,
    #[serde(default)]
    opted_out_subscription_types: Nested<OwnList>,
    #[serde(default)]
    opted_in_subscription_types: Nested<OwnList>,
}

#[derive(Default, Deserialize)]
struct Location {
    country: Option<Text>,
    region: Option<Text>,
    city: Option<Text>,
    country_code: Option<Text>,
    continent_code: Option<Text>,
}

impl WireContact {
    pub(super) fn workspace_id(&self) -> Option<String> {
        self.workspace_id.as_ref()?.0.as_ref().filter(|id| is_id(id)).map(ToString::to_string)
    }

    /// The contact's references, and whether it has the tag. `None` when the record has no id.
    pub(super) fn into_found_contact(self, tag: Option<&str>) -> Option<FoundContact> {
        let Contact { id, role, external_id, email, tags, .. } = self.into_contact(None, &mut Oddities::default())?;
        let is_tagged = tag.and_then(|tag| tags?.contains(tag));
        Some(FoundContact { id: id.into(), role, external_id: external_id.map(Into::into), email: email.map(Into::into), is_tagged })
    }

    /// The contact of this record. `None` when it has no id.
    pub(super) fn into_contact(self, expected_tag: Option<&str>, oddities: &mut Oddities) -> Option<Contact> {
        let id = checked_id(self.id)?;
        let external_id = some(self.external_id);
        let role = match some(self.role).as_deref() {
            Some("user") => Role::User,
            Some("lead") => Role::Lead,
            _ => {
                oddities.roles_unknown += 1;
                if external_id.is_some() { Role::User } else { Role::Lead }
            }
        };
        let tags = self.tags.0.and_then(TagList::own_if_said_complete);
        if let (Some(tag), Some(tags)) = (expected_tag, &tags)
            && tags.contains(tag) == Some(false)
        {
            oddities.tag_unconfirmed += 1;
        }
        let location = self.location.0.unwrap_or_default();
        Some(Contact {
            id,
            role,
            external_id,
            email: some(self.email),
            phone: some(self.phone),
            name: some(self.name),
            owner_id: some(self.owner_id),
            created_at: self.created_at.instant(oddities),
            updated_at: self.updated_at.instant(oddities),
            signed_up_at: self.signed_up_at.instant(oddities),
            last_seen_at: self.last_seen_at.instant(oddities),
            last_replied_at: self.last_replied_at.instant(oddities),
            last_contacted_at: self.last_contacted_at.instant(oddities),
            last_email_opened_at: self.last_email_opened_at.instant(oddities),
            last_email_clicked_at: self.last_email_clicked_at.instant(oddities),
            android_last_seen_at: self.android_last_seen_at.instant(oddities),
            ios_last_seen_at: self.ios_last_seen_at.instant(oddities),
            unsubscribed_from_emails: self.unsubscribed_from_emails.0,
            has_hard_bounced: self.has_hard_bounced.0,
            marked_email_as_spam: self.marked_email_as_spam.0,
            country: some(location.country),
            region: some(location.region),
            city: some(location.city),
            country_code: some(location.country_code),
            continent_code: some(location.continent_code),
            browser: some(self.browser),
            browser_version: some(self.browser_version),
            browser_language: some(self.browser_language),
            os: some(self.os),
            language_override: some(self.language_override),
            android_device: some(self.android_device),
            android_os_version: some(self.android_os_version),
            ios_device: some(self.ios_device),
            ios_os_version: some(self.ios_os_version),
            utm_campaign: some(self.utm_campaign),
            utm_content: some(self.utm_content),
            utm_medium: some(self.utm_medium),
            utm_source: some(self.utm_source),
            utm_term: some(self.utm_term),
            referrer: some(self.referrer),
            custom_attributes: self.custom_attributes.0.unwrap_or_default().0,
            tags,
            segments: None,
            subscriptions: own_subscriptions(self.opted_out_subscription_types.0, self.opted_in_subscription_types.0),
        })
    }
}
