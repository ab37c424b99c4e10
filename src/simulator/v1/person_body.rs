//! The user object of 1.x, which is also used for leads.

use serde_json::{Map, Value, json};

use crate::custom_attributes::custom_attributes;
use crate::faults::scatter;
use crate::scroll::uuid;
use crate::search::contacts::DateField;
use crate::world::names::COUNTRIES;
use crate::world::people::{Contact, Role};
use crate::world::{ADMINS, WORKSPACE_ID};
use crate::world_view::WorldView;

/// A user or a lead as 1.x shows it. Unlike 2.x, it shows all tags, not only ten.
pub(super) fn person_body(view: &WorldView, index: u32) -> Value {
    let (contact, now) = (view.contact(index), view.now);
    let is_lead = contact.role_at(now) == Role::Lead;
    let date = |field: DateField| field.of(contact, now);
    let reached = |at: Option<i64>| at.is_some_and(|at| at <= now);
    let user_id = if is_lead { Some(lead_user_id(contact)) } else { contact.external_id_at(now).map(str::to_owned) };
    let tags: Vec<Value> = view.tags_of(index).map(|(tag, _)| json!({"type": "tag", "id": tag.id, "name": tag.name})).collect();
    let segments: Vec<Value> = view.segments_of(index).map(|segment| json!({"type": "segment", "id": segment.id})).collect();
    let companies: Vec<Value> = contact
        .companies
        .iter()
        .map(|company| &view.world.companies[*company as usize])
        .map(|company| json!({"type": "company", "company_id": company.company_id, "id": company.id, "name": company.name}))
        .collect();
    let browser = contact.browser.map(|(name, version)| format!("{name}/{version} ({})", contact.os.unwrap_or("unknown")));
    // Custom objects exist only in 2.x, so attributes that are objects are left out.
    let attributes: Map<String, Value> = custom_attributes(view, index).into_iter().filter(|(_, value)| !value.is_object()).collect();
    json!({
        "type": if is_lead { "contact" } else { "user" },
        "id": contact.id,
        "user_id": user_id,
        "anonymous": is_lead,
        "email": contact.email,
        "phone": contact.phone,
        "name": contact.name.as_deref().map(escaped),
        "pseudonym": is_lead.then(|| pseudonym(contact)),
        "avatar": {"type": "avatar", "image_url": null},
        "app_id": WORKSPACE_ID,
        "owner_id": contact.owner.map(|owner| ADMINS[owner].0.to_string()),
        "referrer": contact.utm_source.map(|_| "https://www.example.org/?q=a&b=c"),
        "utm_campaign": contact.utm_source.map(|_| "launch, \"phase 2\""),
        "utm_content": null,
        "utm_medium": contact.utm_source.map(|_| "web"),
        "utm_source": contact.utm_source,
        "utm_term": null,
        "last_seen_ip": contact.browser.map(|_| "192.0.2.17"),
        "user_agent_data": browser,
        "created_at": contact.created_at,
        "updated_at": contact.updated_at(now),
        "signed_up_at": date(DateField::SignedUp),
        "remote_created_at": date(DateField::SignedUp),
        "last_request_at": date(DateField::LastSeen),
        "session_count": contact.visits.iter().filter(|visits| visits.from <= now).count() * 3,
        "unsubscribed_from_emails": reached(contact.unsubscribed_at),
        "marked_email_as_spam": reached(contact.spam_at),
        "has_hard_bounced": reached(contact.bounced_at),
        "location_data": location_data(contact, view),
        "social_profiles": {"type": "social_profile.list", "social_profiles": social_profiles(contact)},
        "companies": {"type": "company.list", "companies": companies},
        "segments": {"type": "segment.list", "segments": segments},
        "tags": {"type": "tag.list", "tags": tags},
        "custom_attributes": attributes,
    })
}

/// A name escaped for HTML, once, as 1.x sends it.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            '\'' => text.push_str("&#39;"),
            other => text.push(other),
        }
    }
    text
}

/// The user id that was generated for a lead. It is a UUID, and always the same for one lead.
pub(super) fn lead_user_id(contact: &Contact) -> String {
    let bytes = contact.id.bytes().fold(0, |sum, byte| scatter(sum, 3, u64::from(byte)));
    uuid(bytes, 0)
}

fn pseudonym(contact: &Contact) -> String {
    const COLOURS: [&str; 5] = ["Amber", "Blue", "Coral", "Green", "Violet"];
    const THINGS: [&str; 5] = ["Kettle", "Lantern", "Rocket", "Teapot", "Umbrella"];
    let (day, second) = (contact.created_at.unsigned_abs() / 86_400, contact.created_at.unsigned_abs());
    format!("{} {}", COLOURS[(day % 5) as usize], THINGS[(second % 5) as usize])
}

/// The location, empty if no place is known. Latitudes are numbers, text or null, as in samples.
fn location_data(contact: &Contact, view: &WorldView) -> Value {
    let Some((country, city)) = contact.place else {
        return json!({});
    };
    let country = &COUNTRIES[country];
    let (region, city) = country.cities[city];
    let (latitude, longitude) = match contact.created_at % 3 {
        0 => (json!(53.3478), json!(-6.2597)),
        1 => (json!("53.3478"), json!("-6.2597")),
        _ => (Value::Null, Value::Null),
    };
    json!({
        "type": "location_data",
        "city_name": city,
        "continent_code": country.continent,
        "country_code": country.code,
        "country_name": country.name,
        "latitude": latitude,
        "longitude": longitude,
        "postal_code": null,
        "region_name": region,
        "timezone": view.world.options.timezone.name(),
    })
}

fn social_profiles(contact: &Contact) -> Vec<Value> {
    let profile = json!({"name": "Fosstodon", "id": null, "username": "someone", "url": "https://social.example/@someone"});
    if contact.notes == 3 { vec![profile] } else { Vec::new() }
}
