//! The contact object.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::custom_attributes::custom_attributes;
use crate::search::contacts::DateField;
use crate::version::{V2_5, V2_11, V2_16, Version};
use crate::world::names::COUNTRIES;
use crate::world::people::Role;
use crate::world::subscriptions::Consent;
use crate::world::{ADMINS, WORKSPACE_ID};
use crate::world_view::WorldView;

/// The largest number of tags, notes, companies and subscriptions that are shown on a contact.
const SHOWN: usize = 10;

/// A contact as 2.x sends it. It also has the keys that are in Intercom's examples but not in its schema.
#[derive(Serialize)]
pub(super) struct ContactBody<'a> {
    r#type: &'static str,
    id: &'a str,
    workspace_id: &'static str,
    external_id: Option<&'a str>,
    role: &'static str,
    email: Option<&'a str>,
    /// This key is only in responses of 2.11.
    #[serde(skip_serializing_if = "Option::is_none")]
    email_domain: Option<&'a str>,
    phone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    formatted_phone: Option<&'a str>,
    name: Option<&'a str>,
    avatar: Option<Avatar>,
    owner_id: Option<OwnerId>,
    social_profiles: SocialProfiles<'a>,
    has_hard_bounced: bool,
    marked_email_as_spam: bool,
    unsubscribed_from_emails: bool,
    created_at: i64,
    updated_at: i64,
    signed_up_at: Option<i64>,
    last_seen_at: Option<i64>,
    last_replied_at: Option<i64>,
    last_contacted_at: Option<i64>,
    last_email_opened_at: Option<i64>,
    last_email_clicked_at: Option<i64>,
    language_override: Option<&'static str>,
    browser: Option<&'static str>,
    browser_version: Option<&'static str>,
    browser_language: Option<&'static str>,
    os: Option<&'static str>,
    location: Location,
    android_app_name: Option<()>,
    android_app_version: Option<()>,
    android_device: Option<()>,
    android_os_version: Option<()>,
    android_sdk_version: Option<()>,
    android_last_seen_at: Option<()>,
    ios_app_name: Option<()>,
    ios_app_version: Option<()>,
    ios_device: Option<()>,
    ios_os_version: Option<()>,
    ios_sdk_version: Option<()>,
    ios_last_seen_at: Option<()>,
    custom_attributes: Map<String, Value>,
    tags: Option<Linked>,
    notes: Linked,
    companies: Linked,
    #[serde(skip_serializing_if = "Option::is_none")]
    opted_out_subscription_types: Option<Linked>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opted_in_subscription_types: Option<Linked>,
    utm_campaign: Option<&'static str>,
    utm_content: Option<&'static str>,
    utm_medium: Option<&'static str>,
    utm_source: Option<&'static str>,
    utm_term: Option<&'static str>,
    referrer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enabled_push_messaging: Option<Option<bool>>,
    sms_consent: bool,
    unsubscribed_from_sms: bool,
    /// The contacts that were merged into a user. This key is only in responses from 2.16 on, if the client requests it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merge_history: Option<Vec<Merge<'a>>>,
    /// An invented key. Clients must ignore keys that are not documented.
    undocumented_score: f64,
}

#[derive(Serialize)]
struct Avatar {
    r#type: &'static str,
    image_url: Option<&'static str>,
}

/// The owner's id, which is a number up to 2.15 and a text from 2.16 on.
enum OwnerId {
    Number(u64),
    Text(u64),
}

impl Serialize for OwnerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OwnerId::Number(id) => serializer.serialize_u64(*id),
            OwnerId::Text(id) => serializer.collect_str(id),
        }
    }
}

#[derive(Serialize)]
struct SocialProfiles<'a> {
    r#type: &'static str,
    data: Vec<SocialProfile<'a>>,
}

#[derive(Serialize)]
struct SocialProfile<'a> {
    r#type: &'static str,
    name: &'static str,
    url: &'a str,
}

#[derive(Serialize)]
struct Location {
    r#type: &'static str,
    country: Option<&'static str>,
    region: Option<&'static str>,
    city: Option<&'static str>,
    country_code: Option<&'static str>,
    continent_code: Option<&'static str>,
}

/// Objects that belong to a contact: at most ten of them, and the URL of the full list.
#[derive(Serialize)]
struct Linked {
    r#type: &'static str,
    data: Vec<Link>,
    url: String,
    total_count: usize,
    has_more: bool,
}

#[derive(Serialize)]
struct Link {
    id: String,
    r#type: &'static str,
    url: String,
}

impl Linked {
    fn new(contact: &str, path: &str, kind: &'static str, ids: Vec<String>) -> Self {
        let total_count = ids.len();
        let link = |id: String| Link { url: format!("/{path}/{id}"), r#type: kind, id };
        let data = ids.into_iter().take(SHOWN).map(link).collect();
        Self { r#type: "list", data, url: format!("/contacts/{contact}/{path}"), total_count, has_more: total_count > SHOWN }
    }
}

#[derive(Serialize)]
struct Merge<'a> {
    r#type: &'static str,
    source_contact_id: &'a str,
    source_contact_role: &'static str,
    merged_at: i64,
}

impl<'a> ContactBody<'a> {
    /// The contact with its merges, if it is a user. Assumptions: the newest merge is first, and earlier merges into a contact that was
    /// merged into this user are not included.
    pub(super) fn with_merge_history(self, view: &'a WorldView, index: u32) -> Self {
        let merge = |source: &u32| {
            let source = view.contact(*source);
            let merged_at = source.gone_at().filter(|at| *at <= view.now)?;
            let role = source.role_at(merged_at - 1).word();
            Some(Merge { r#type: "merge_history", source_contact_id: &source.id, source_contact_role: role, merged_at })
        };
        let mut merges: Vec<Merge<'a>> = view.world.merged_into(index).iter().filter_map(merge).collect();
        merges.sort_by_key(|merge| std::cmp::Reverse(merge.merged_at));
        let is_user = view.contact(index).role_at(view.now) == Role::User;
        Self { merge_history: is_user.then_some(merges), ..self }
    }

    /// A contact as a version shows it.
    pub(super) fn new(view: &'a WorldView, index: u32, version: Version) -> Self {
        let (world, now) = (&view.world, view.now);
        let contact = view.contact(index);
        let role = contact.role_at(now);
        let place = contact.place.map(|(country, city)| (&COUNTRIES[country], COUNTRIES[country].cities[city]));
        let reached = |at: Option<i64>| at.is_some_and(|at| at <= now);
        let date = |field: DateField| field.of(contact, now);
        let link = |path: &str, kind, ids| Linked::new(&contact.id, path, kind, ids);
        let tags: Vec<String> = view.tags_of(index).map(|(tag, _)| tag.id.to_owned()).collect();
        let chosen = |consent: Consent| {
            let ids = contact.subscriptions_at(now).filter(|kind| kind.consent == consent).map(|kind| kind.id.to_owned());
            (version >= V2_5).then(|| link("subscriptions", "subscription", ids.collect()))
        };
        let owner_id = contact.owner.map(|owner| ADMINS[owner].0);
        let social = if contact.notes == 3 {
            vec![SocialProfile { r#type: "social_profile", name: "Fosstodon", url: "https://social.example/@someone" }]
        } else {
            vec![]
        };
        Self {
            r#type: "contact",
            id: &contact.id,
            workspace_id: WORKSPACE_ID,
            external_id: contact.external_id_at(now),
            role: role.word(),
            email: contact.email.as_deref(),
            email_domain: contact.email_domain().filter(|_| version == V2_11),
            phone: contact.phone.as_deref(),
            formatted_phone: contact.phone.as_deref().filter(|_| version == V2_11),
            name: contact.name.as_deref(),
            avatar: contact
                .browser
                .filter(|_| contact.seats.is_multiple_of(2))
                .map(|_| Avatar { r#type: "avatar", image_url: Some("https://static.example.com/a.png") }),
            owner_id: owner_id.map(|id| if version >= V2_16 { OwnerId::Text(id) } else { OwnerId::Number(id) }),
            social_profiles: SocialProfiles { r#type: "list", data: social },
            has_hard_bounced: reached(contact.bounced_at),
            marked_email_as_spam: reached(contact.spam_at),
            unsubscribed_from_emails: reached(contact.unsubscribed_at),
            created_at: contact.created_at,
            updated_at: contact.updated_at(now),
            signed_up_at: date(DateField::SignedUp),
            last_seen_at: date(DateField::LastSeen),
            last_replied_at: date(DateField::LastReplied),
            last_contacted_at: date(DateField::LastContacted),
            last_email_opened_at: date(DateField::LastEmailOpened),
            last_email_clicked_at: date(DateField::LastEmailClicked),
            language_override: contact.language,
            browser: contact.browser.map(|(name, _)| name),
            browser_version: contact.browser.map(|(_, version)| version),
            browser_language: contact.language,
            os: contact.os,
            location: Location {
                r#type: "location",
                country: place.map(|(country, _)| country.name),
                region: place.map(|(_, (region, _))| region),
                city: place.map(|(_, (_, city))| city),
                country_code: place.map(|(country, _)| country.code),
                continent_code: place.map(|(country, _)| country.continent),
            },
            android_app_name: None,
            android_app_version: None,
            android_device: None,
            android_os_version: None,
            android_sdk_version: None,
            android_last_seen_at: None,
            ios_app_name: None,
            ios_app_version: None,
            ios_device: None,
            ios_os_version: None,
            ios_sdk_version: None,
            ios_last_seen_at: None,
            custom_attributes: custom_attributes(view, index),
            // The documentation says "The whole may be null". Here, `tags` is null for leads that have no tag now and never visit.
            tags: (role == Role::User || !tags.is_empty() || !contact.visits.is_empty()).then(|| link("tags", "tag", tags)),
            notes: link("notes", "note", (1..=contact.notes).map(|number| format!("{}{number:02}", 3000 + index)).collect()),
            companies: link(
                "companies",
                "company",
                contact.companies.iter().map(|company| world.companies[*company as usize].id.clone()).collect(),
            ),
            opted_out_subscription_types: chosen(Consent::OptOut),
            opted_in_subscription_types: chosen(Consent::OptIn),
            utm_campaign: contact.utm_source.map(|_| "launch, \"phase 2\""),
            utm_content: None,
            utm_medium: contact.utm_source.map(|_| "web"),
            utm_source: contact.utm_source,
            utm_term: None,
            referrer: contact.utm_source.map(|_| "https://www.example.org/?q=a&b=c"),
            enabled_push_messaging: (version >= V2_16).then_some(None),
            sms_consent: false,
            unsubscribed_from_sms: false,
            merge_history: None,
            undocumented_score: 0.5,
        }
    }
}
