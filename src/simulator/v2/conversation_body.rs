//! The conversation object.

use serde_json::{Value, json};

use crate::tagging::applied_tag;
use crate::version::{V2_11, V2_15, V2_16, Version};
use crate::world::ADMINS;
use crate::world_view::WorldView;

/// The name of a priority. There are two names up to 2.15, and levels from 2.16 on.
pub(super) fn priority_word(version: Version) -> fn(u8) -> &'static str {
    if version >= V2_16 {
        |level| ["none", "low", "medium", "high", "urgent"][usize::from(level.min(4))]
    } else {
        |level| if level == 0 { "not_priority" } else { "priority" }
    }
}

/// A conversation as a version shows it.
pub(super) fn conversation_body(view: &WorldView, index: u32, version: Version) -> Value {
    let (world, now) = (&view.world, view.now);
    let conversation = &view.conversations()[index as usize];
    let author = conversation.author(world);
    let open = conversation.open_at(now);
    let contacts: Vec<Value> = conversation
        .participants()
        .map(|index| {
            let contact = view.contact(index);
            // The real service leaves a missing external id out, so it is not null here.
            match contact.external_id_at(now) {
                Some(external_id) => json!({"type": "contact", "id": contact.id, "external_id": external_id}),
                None => json!({"type": "contact", "id": contact.id}),
            }
        })
        .collect();
    let tags: Vec<Value> = view.tags_of_conversation(index).iter().map(|(tag, spell)| applied_tag(*tag, spell)).collect();
    let unassigned = if version >= V2_16 { json!(0) } else { Value::Null };
    let state = conversation.state_at(now);
    let mut body = json!({
        "type": "conversation",
        "id": conversation.id.to_string(),
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at(now),
        "waiting_since": open.then_some(conversation.created_at),
        "snoozed_until": (state == "snoozed").then_some(conversation.closed_at),
        "source": {
            "type": conversation.source_type(),
            "id": (conversation.id + 3).to_string(),
            "delivered_as": conversation.delivered_as(),
            "subject": "",
            "body": "<p>this is the message body</p>",
            "author": {"type": author.kind, "id": author.id, "name": author.name, "email": author.email},
            "attachments": [],
            "url": null,
            "redacted": false,
        },
        "contacts": {"type": "contact.list", "contacts": contacts},
        "first_contact_reply": null,
        "admin_assignee_id": conversation.assignee.map_or(unassigned.clone(), |admin| json!(ADMINS[usize::from(admin)].0)),
        "team_assignee_id": unassigned,
        "open": open,
        "state": state,
        "read": !open,
        "tags": {"type": "tag.list", "tags": tags},
        "priority": priority_word(version)(conversation.priority),
        "sla_applied": null,
        "statistics": null,
        "conversation_rating": null,
        "teammates": null,
        "title": null,
        "custom_attributes": {},
        "topics": {},
        "ticket": null,
        "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": false},
    });
    if version >= V2_11 {
        body["ai_agent"] = Value::Null;
        body["ai_agent_participated"] = json!(false);
    }
    if version >= V2_15 {
        body["company"] = Value::Null;
    }
    if version >= V2_16 {
        body["channel"] = Value::Null;
    }
    body
}
