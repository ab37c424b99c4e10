//! Subscription types, and the choices of a contact. Choices are only read: writing them is not simulated.

use serde_json::{Value, json};

use super::contacts::existing;
use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::world::subscriptions::{SubscriptionType, TYPES};
use crate::world_view::WorldView;

/// `GET /subscription_types`: all types, also drafts and archived ones, in one response.
pub(super) fn types() -> Result<String, ApiError> {
    write(&json!({"type": "list", "data": TYPES.iter().map(body).collect::<Vec<_>>()}))
}

/// `GET /contacts/{id}/subscriptions`: the types that the contact left or joined, without pages. Assumptions: their order, and 410 for
/// merged contacts from 2.16 on.
pub(super) fn of_contact(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let contact = view.contact(existing(view, call, id)?);
    write(&json!({"type": "list", "data": contact.subscriptions_at(view.now).map(body).collect::<Vec<_>>()}))
}

fn body(kind: &SubscriptionType) -> Value {
    let SubscriptionType { id, name, description, state, consent, content } = kind;
    let translation = json!({"name": name, "description": description, "locale": "en"});
    json!({
        "type": "subscription",
        "id": id,
        "state": state,
        "consent_type": consent.word(),
        "default_translation": translation,
        "translations": [translation],
        "content_types": [content],
    })
}
