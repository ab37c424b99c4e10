//! The custom attributes of a contact, which both generations send.

use serde_json::{Map, Value, json};

use super::world::people::{Contact, Plan};
use super::world_view::WorldView;

/// The length of a large text, in bytes.
const LARGE: usize = 1_000;

/// The custom attributes of a contact. An invented user has attributes of every type (text, number, boolean, date and object), a lead has
/// none of these. The large texts of the option `attribute_bytes` and the attributes that requests wrote are added.
pub(crate) fn custom_attributes(view: &WorldView, index: u32) -> Map<String, Value> {
    let (contact, now) = (view.contact(index), view.now);
    let mut attributes = Map::new();
    if let Some(plan) = contact.plan_attribute_at(now) {
        invented_attributes(contact, index, now, plan, &mut attributes);
    }
    large_texts(&contact.id, view.world.options.attribute_bytes, &mut attributes);
    if let Some(written) = &contact.written {
        attributes.extend(written.attributes.clone());
    }
    attributes
}

fn invented_attributes(contact: &Contact, index: u32, now: i64, plan: Plan, attributes: &mut Map<String, Value>) {
    let mut add = |name: &str, value: Value| attributes.insert(name.to_owned(), value);
    add("plan", json!(plan.word()));
    add("seats", json!(contact.seats));
    add("monthly_spend", json!(contact.monthly_spend_at(now)));
    add("industry", json!(contact.industry));
    if let Some(newsletter) = contact.newsletter_at(now) {
        add("newsletter", json!(newsletter));
    }
    if let Some(ends) = contact.trial_ends_at {
        add("trial_ends_at", json!(ends));
    }
    if contact.seats > 3 {
        let order = json!({"type": "order", "id": format!("{index}"), "external_id": format!("order-{index}")});
        add("last_orders", json!({"type": "order.list", "instances": [order]}));
    }
}

/// Texts with a total of this many bytes, different for each contact.
fn large_texts(id: &str, bytes: usize, attributes: &mut Map<String, Value>) {
    for (number, from) in (0..bytes).step_by(LARGE).enumerate() {
        let length = LARGE.min(bytes - from);
        attributes.insert(format!("large_text_{number:03}"), json!(id.chars().cycle().take(length).collect::<String>()));
    }
}
