//! `/me` and `/admins`: the same in both generations.

use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::write;
use super::world::{ADMINS, WORKSPACE_CREATED_AT, WORKSPACE_ID};
use super::world_view::WorldView;

pub(crate) fn me(view: &WorldView) -> Result<String, ApiError> {
    let (id, name, email) = ADMINS[0];
    write(&json!({
        "type": "admin",
        "id": id.to_string(),
        "email": email,
        "name": name,
        "email_verified": true,
        "app": {
            "type": "app",
            "id_code": WORKSPACE_ID,
            "name": "Invented workspace",
            "created_at": WORKSPACE_CREATED_AT,
            "secure": false,
            "identity_verification": false,
            "timezone": view.world.options.timezone.name(),
            "region": "EU",
        },
        "avatar": {"type": "avatar", "image_url": "https://static.example.com/admins/1.png"},
        "has_inbox_seat": true,
    }))
}

pub(crate) fn admins() -> Result<String, ApiError> {
    let admin = |(id, name, email): &(u64, &str, &str)| {
        json!({
            "type": "admin",
            "id": id.to_string(),
            "name": name,
            "email": email,
            "away_mode_enabled": false,
            "away_mode_reassign": false,
            "has_inbox_seat": true,
            "team_ids": [],
        })
    };
    let admins: Vec<Value> = ADMINS.iter().map(admin).collect();
    write(&json!({"type": "admin.list", "admins": admins}))
}
