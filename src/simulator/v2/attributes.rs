//! `/data_attributes`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::version::{V2_16, V2_17, Version};
use crate::world::{ADMINS, WORKSPACE_CREATED_AT};

/// Custom attributes of contacts as `(id, name, type)`.
const CUSTOM: [(u64, &str, &str); 6] = [
    (41, "plan", "string"),
    (42, "seats", "integer"),
    (43, "monthly_spend", "float"),
    (44, "newsletter", "boolean"),
    (45, "trial_ends_at", "date"),
    (46, "industry", "string"),
];

/// Standard attributes of contacts.
const STANDARD: [(&str, &str); 26] = [
    ("id", "string"),
    ("role", "string"),
    ("name", "string"),
    ("email", "string"),
    ("phone", "string"),
    ("external_id", "string"),
    ("owner_id", "string"),
    ("created_at", "date"),
    ("updated_at", "date"),
    ("signed_up_at", "date"),
    ("last_seen_at", "date"),
    ("last_contacted_at", "date"),
    ("last_replied_at", "date"),
    ("last_email_opened_at", "date"),
    ("last_email_clicked_at", "date"),
    ("ios_last_seen_at", "date"),
    ("android_last_seen_at", "date"),
    ("language_override", "string"),
    ("browser", "string"),
    ("os", "string"),
    ("location.country", "string"),
    ("location.region", "string"),
    ("location.city", "string"),
    ("unsubscribed_from_emails", "boolean"),
    ("marked_email_as_spam", "boolean"),
    ("has_hard_bounced", "boolean"),
];

const OF_COMPANIES: [(&str, &str); 5] =
    [("name", "string"), ("company_id", "string"), ("remote_created_at", "date"), ("user_count", "integer"), ("monthly_spend", "float")];

pub(super) fn list(call: &Call) -> Result<String, ApiError> {
    let all = match call.parameter("model") {
        Some("contact") => of_contacts(call.version),
        Some("company") => of_companies(),
        Some("conversation") if call.version >= V2_16 => {
            let message = "model=conversation is no longer supported. Use GET /conversations/attributes instead";
            return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "parameter_invalid", message));
        }
        Some("conversation") => Vec::new(),
        None => [of_contacts(call.version), of_companies()].concat(),
        Some(other) => return Err(ApiError::parameter_invalid(format!("'{other}' is not a model: use contact, company or conversation"))),
    };
    write(&json!({"type": "list", "data": all}))
}

/// The attributes of contacts. From 2.17 on, standard dates are of type `datetime`. It is assumed that custom dates are still of type `date`.
fn of_contacts(version: Version) -> Vec<Value> {
    let shown = |data_type| if data_type == "date" && version >= V2_17 { "datetime" } else { data_type };
    let standard = STANDARD.iter().map(|(name, data_type)| attribute(name, name, shown(*data_type), "contact", None));
    let custom =
        CUSTOM.iter().map(|(id, name, data_type)| attribute(name, &format!("custom_attributes.{name}"), data_type, "contact", Some(*id)));
    standard.chain(custom).collect()
}

fn of_companies() -> Vec<Value> {
    OF_COMPANIES.iter().map(|(name, data_type)| attribute(name, name, data_type, "company", None)).collect()
}

fn attribute(name: &str, full_name: &str, data_type: &str, model: &str, custom_id: Option<u64>) -> Value {
    let mut attribute = json!({
        "type": "data_attribute",
        "name": name.rsplit('.').next().unwrap_or(name),
        "full_name": full_name,
        "label": name,
        "description": null,
        "data_type": data_type,
        "api_writable": custom_id.is_some(),
        "ui_writable": false,
        "messenger_writable": true,
        "custom": custom_id.is_some(),
        "archived": false,
        "model": model,
    });
    if let Some(id) = custom_id {
        attribute["id"] = json!(id);
        attribute["created_at"] = json!(WORKSPACE_CREATED_AT + 86_400);
        attribute["updated_at"] = json!(WORKSPACE_CREATED_AT + 86_400);
        attribute["admin_id"] = json!(ADMINS[0].0.to_string());
    }
    attribute
}
