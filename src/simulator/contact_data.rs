//! Creating and updating contacts, in both generations.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::api_error::ApiError;
use super::overlay::Overlay;
use super::tagging::id;
use super::world::people::{Contact, Role};
use super::world_view::WorldView;

/// The data of a contact in a request.
pub(crate) struct ContactData {
    pub id: Option<String>,
    /// The workspace's own id of a user: `user_id` in 1.x, `external_id` in 2.x.
    pub external_id: Option<String>,
    pub email: Option<String>,
    name: Option<String>,
    phone: Option<String>,
    signed_up_at: Option<i64>,
    attributes: Map<String, Value>,
}

impl ContactData {
    /// Reads a body. `own_id` is the key of the workspace's own id in the body. Unknown keys are ignored.
    pub(crate) fn read(body: &Value, own_id: &str) -> Result<Self, ApiError> {
        let text = |key: &str| id(body.get(key));
        let attributes = match body.get("custom_attributes") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(attributes)) if attributes.values().all(|value| !value.is_object() && !value.is_array()) => {
                attributes.clone()
            }
            Some(_) => return Err(ApiError::parameter_invalid("custom_attributes must be an object of plain values")),
        };
        if text("email").is_some_and(|email| !email.is_empty() && !email.contains('@')) {
            return Err(ApiError::parameter_invalid("email is invalid"));
        }
        Ok(Self {
            id: text("id"),
            external_id: text(own_id),
            email: text("email"),
            name: text("name"),
            phone: text("phone"),
            signed_up_at: body.get("signed_up_at").and_then(Value::as_i64),
            attributes,
        })
    }

    /// The user with the given Intercom `id`; without an `id`, with the given external id; without both, with the given email. An external
    /// id takes precedence over an email, so several users can get the same email. `None` if no user has this external id or email. An
    /// unknown `id`, and an email that several users have, are errors.
    pub(crate) fn find_user(&self, view: &WorldView) -> Result<Option<u32>, ApiError> {
        if let Some(id) = &self.id {
            let found = view.find_contact(id).filter(|index| view.contact(*index).role_at(view.now) == Role::User);
            return found.map(Some).ok_or_else(ApiError::contact_not_found);
        }
        if let Some(external_id) = &self.external_id {
            return Ok(view.find_user(external_id));
        }
        match view.with_email(self.email.as_deref().unwrap_or_default(), Role::User)[..] {
            [] => Ok(None),
            [one] => Ok(Some(one)),
            _ => Err(ApiError::shared_email()),
        }
    }

    /// Updates an existing contact or creates one. Returns the view after the change, and the contact's index.
    pub(crate) fn save(self, view: &WorldView, existing: Option<u32>, role: Role) -> (WorldView, u32) {
        let mut draft: Overlay = (*view.overlay).clone();
        let index = existing.unwrap_or_else(|| draft.create_contact(&view.world, view.now));
        let contact = draft.edit_data(&view.world, index, view.now);
        if existing.is_none() && role == Role::User {
            contact.user_since = Some(view.now);
        }
        self.write(contact);
        (view.with_overlay(Arc::new(draft)), index)
    }

    fn write(self, contact: &mut Contact) {
        let ContactData { id: _, external_id, email, name, phone, signed_up_at, attributes } = self;
        contact.external_id = external_id.or(contact.external_id.take());
        contact.email = email.or(contact.email.take());
        contact.name = name.or(contact.name.take());
        contact.phone = phone.or(contact.phone.take());
        contact.signed_up_at = signed_up_at.or(contact.signed_up_at);
        contact.written.get_or_insert_default().attributes.extend(attributes);
    }
}

/// 409 for a new contact whose external id or email address a user has already. `id` is the user's Intercom id.
pub(crate) fn conflict(id: &str) -> ApiError {
    let message = format!("A contact matching those details already exists with id={id}");
    ApiError::new(StatusCode::CONFLICT, "conflict", message)
}
