//! Which contacts a search finds.

use super::{Dates, FieldValue, Kind, Query, Test};
use crate::api_error::ApiError;
use crate::paging::Key;
use crate::version::{V2_17, Version};
use crate::world::ADMINS;
use crate::world::names::COUNTRIES;
use crate::world::people::Contact;
use crate::world_view::WorldView;

/// A searchable field of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Role,
    Name,
    OwnerId,
    Email,
    EmailDomain,
    Phone,
    ExternalId,
    Language,
    Browser,
    Os,
    Country,
    Region,
    City,
    Unsubscribed,
    MarkedAsSpam,
    HardBounced,
    Segment,
    Tag,
    Plan,
    Industry,
    Seats,
    MonthlySpend,
    Newsletter,
    Date(DateField),
    /// A documented field that has no value in any search: the avatar and the fields of mobile apps.
    Never,
}

/// A date of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateField {
    Created,
    Updated,
    SignedUp,
    LastSeen,
    LastContacted,
    LastReplied,
    LastEmailOpened,
    LastEmailClicked,
    TrialEnds,
}

impl DateField {
    /// The date at an instant.
    pub(crate) fn of(self, contact: &Contact, now: i64) -> Option<i64> {
        match self {
            DateField::Created => Some(contact.created_at),
            DateField::Updated => Some(contact.updated_at(now)),
            DateField::SignedUp => contact.signed_up_at.filter(|_| contact.user_since.is_some_and(|since| since <= now)),
            DateField::LastSeen => contact.last_seen_at(now),
            DateField::LastContacted => contact.last_contacted_at(now),
            DateField::LastReplied => contact.last_replied_at(now),
            DateField::LastEmailOpened => contact.last_email_opened_at(now),
            DateField::LastEmailClicked => contact.last_email_clicked_at(now),
            DateField::TrialEnds => contact.trial_ends_at,
        }
    }
}

/// A field by its name in the documentation's table.
pub(crate) fn find(name: &str) -> Option<(Field, Kind)> {
    let date = |field| Some((Field::Date(field), Kind::Date));
    let text = |field| Some((field, Kind::Text));
    match name {
        "id" => text(Field::Id),
        "role" => text(Field::Role),
        "name" => text(Field::Name),
        "owner_id" => text(Field::OwnerId),
        "email" => text(Field::Email),
        "email_domain" => text(Field::EmailDomain),
        "phone" | "formatted_phone" => text(Field::Phone),
        "external_id" => text(Field::ExternalId),
        "language_override" => text(Field::Language),
        "browser" => text(Field::Browser),
        "browser_language" => text(Field::Language),
        "os" => text(Field::Os),
        "location.country" => text(Field::Country),
        "location.region" => text(Field::Region),
        "location.city" => text(Field::City),
        "segment_id" => text(Field::Segment),
        "custom_attributes.plan" => text(Field::Plan),
        "custom_attributes.industry" => text(Field::Industry),
        "avatar"
        | "ios_app_version"
        | "ios_device"
        | "ios_app_device"
        | "ios_os_version"
        | "ios_app_name"
        | "ios_sdk_version"
        | "android_app_version"
        | "android_device"
        | "android_app_name"
        | "andoid_sdk_version" => text(Field::Never),
        "ios_last_seen_at" | "android_last_seen_at" => Some((Field::Never, Kind::Date)),
        "tag_id" => Some((Field::Tag, Kind::Tag)),
        "unsubscribed_from_emails" => Some((Field::Unsubscribed, Kind::Boolean)),
        "marked_email_as_spam" => Some((Field::MarkedAsSpam, Kind::Boolean)),
        "has_hard_bounced" => Some((Field::HardBounced, Kind::Boolean)),
        "custom_attributes.newsletter" => Some((Field::Newsletter, Kind::Boolean)),
        "custom_attributes.seats" => Some((Field::Seats, Kind::Number)),
        "custom_attributes.monthly_spend" => Some((Field::MonthlySpend, Kind::Number)),
        "custom_attributes.trial_ends_at" => Some((Field::Date(DateField::TrialEnds), Kind::CustomDate)),
        "created_at" => date(DateField::Created),
        "updated_at" => date(DateField::Updated),
        "signed_up_at" => date(DateField::SignedUp),
        "last_seen_at" => date(DateField::LastSeen),
        "last_contacted_at" => date(DateField::LastContacted),
        "last_replied_at" => date(DateField::LastReplied),
        "last_email_opened_at" => date(DateField::LastEmailOpened),
        "last_email_clicked_at" => date(DateField::LastEmailClicked),
        _ => None,
    }
}

/// Parses the `query` of a contact search. The same query can have other results from 2.17 on.
pub(crate) fn parse(view: &WorldView, query: Option<&serde_json::Value>, version: Version) -> Result<Query<Field>, ApiError> {
    let dates = if version >= V2_17 { Dates::ExactSeconds } else { Dates::Days(&view.world.options.timezone) };
    super::parse(query, dates, &find)
}

/// The contacts that match, ascending by the sort field, then by id. It checks only the smallest group that the search requires, and of
/// this group only the contacts that were created in the required range.
pub(crate) fn found(view: &WorldView, query: &Query<Field>, sort: Field) -> Vec<u32> {
    let mut candidates: &[u32] = &view.contacts;
    let (mut from, mut until) = (i64::MIN, view.now - view.search_delay + 1);
    for (field, test) in query.required() {
        let group = match (field, test.single_text()) {
            (Field::Tag, Some(id)) => view.members_of_tag(id),
            (Field::Segment, Some(id)) => view.members_of_segment(id),
            _ => &view.contacts[..],
        };
        if group.len() < candidates.len() {
            candidates = group;
        }
        if let (Field::Date(DateField::Created), Some((start, end))) = (field, test.date_range()) {
            (from, until) = (from.max(start), until.min(end));
        }
    }
    // The candidates are sorted by creation, so those that were created in a range are a slice.
    let created_before = |limit: i64| candidates.partition_point(|index| view.contact(*index).created_at < limit);
    let (start, end) = (created_before(from), created_before(until));
    let slice = candidates.get(start..end).unwrap_or(&[]);
    let mut found: Vec<u32> =
        slice.iter().copied().filter(|index| query.matches(&|field, test| passes(view, *index, field, test))).collect();
    if !matches!(sort, Field::Id | Field::Date(DateField::Created)) {
        found.sort_by_cached_key(|index| (key(view, *index, sort), view.contact(*index).id.as_str()));
    }
    found
}

/// The field with this name, if contacts can be sorted by it: dates, ids, names and email addresses (an assumption).
pub(crate) fn sortable(name: &str) -> Option<Field> {
    find(name).map(|(field, _)| field).filter(|field| matches!(field, Field::Id | Field::Name | Field::Email | Field::Date(_)))
}

/// The sort key of a contact.
pub(crate) fn key(view: &WorldView, index: u32, sort: Field) -> Key {
    let contact = view.contact(index);
    match sort {
        Field::Date(date) => Key::date(date.of(contact, view.now)),
        Field::Name => Key::text(contact.name.as_deref()),
        Field::Email => Key::text(contact.email.as_deref()),
        _ => Key::text(Some(&contact.id)),
    }
}

fn passes(view: &WorldView, index: u32, field: Field, test: &Test) -> bool {
    let (contact, now) = (view.contact(index), view.now);
    let text = |text: Option<&str>| test.accepts(text.map(FieldValue::Text));
    let place = contact.place.map(|(country, city)| (&COUNTRIES[country], COUNTRIES[country].cities[city]));
    let reached = |at: Option<i64>| test.accepts([FieldValue::Boolean(at.is_some_and(|at| at <= now))]);
    match field {
        Field::Id => text(Some(&contact.id)),
        Field::Role => text(Some(contact.role_at(now).word())),
        Field::Name => text(contact.name.as_deref()),
        Field::OwnerId => text(contact.owner.map(|owner| ADMINS[owner].0.to_string()).as_deref()),
        Field::Email => text(contact.email.as_deref()),
        Field::EmailDomain => text(contact.email_domain()),
        Field::Phone => text(contact.phone.as_deref()),
        Field::ExternalId => text(contact.external_id_at(now)),
        Field::Language => text(contact.language),
        Field::Browser => text(contact.browser.map(|(name, _)| name)),
        Field::Os => text(contact.os),
        Field::Country => text(place.map(|(country, _)| country.name)),
        Field::Region => text(place.map(|(_, (region, _))| region)),
        Field::City => text(place.map(|(_, (_, city))| city)),
        Field::Unsubscribed => reached(contact.unsubscribed_at),
        Field::MarkedAsSpam => reached(contact.spam_at),
        Field::HardBounced => reached(contact.bounced_at),
        Field::Tag => test.accepts(view.tags_of(index).map(|(tag, _)| FieldValue::Text(tag.id))),
        Field::Segment => test.accepts(view.segments_of(index).map(|segment| FieldValue::Text(segment.id))),
        Field::Plan => text(contact.plan_attribute_at(now).map(|plan| plan.word())),
        Field::Industry => text(contact.industry),
        Field::Seats => test.accepts(contact.plan_attribute_at(now).map(|_| FieldValue::Number(f64::from(contact.seats)))),
        Field::MonthlySpend => test.accepts(contact.monthly_spend_at(now).map(FieldValue::Number)),
        Field::Newsletter => test.accepts(contact.newsletter_at(now).map(FieldValue::Boolean)),
        Field::Date(date) => test.accepts(date.of(contact, now).map(FieldValue::Date)),
        Field::Never => test.accepts([]),
    }
}
