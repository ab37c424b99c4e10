//! `/conversations` of 1.x.

use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::context::ReadContext;
use crate::numbered;
use crate::world::ADMINS;
use crate::world::conversations::Conversation;
use crate::world::people::Role;
use crate::world_view::WorldView;

/// `GET /conversations`. By default it sorts by latest change, newest first. It has no filter by date.
pub(super) fn list(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let (view, now) = (context.view, context.view.now);
    let person = person(view, call)?;
    let admin = match call.parameter("type") {
        Some("admin") => call.parameter("admin_id"),
        _ => None,
    };
    let flag = |name: &str| call.parameter(name).map(|word| word == "true");
    let (open, unread) = (flag("open"), flag("unread"));
    let passes = |conversation: &Conversation| {
        let assignee = || conversation.assignee.map(|admin| ADMINS[usize::from(admin)].0.to_string());
        person.is_none_or(|person| conversation.participants().any(|index| index == person))
            && admin.is_none_or(|id| assignee().as_deref() == Some(id))
            && open.is_none_or(|open| conversation.open_at(now) == open)
            // Closed conversations count as read. `unread=false` has no effect.
            && (unread != Some(true) || conversation.open_at(now))
    };
    let all = view.conversations();
    let mut found: Vec<u32> = all.iter().zip(0u32..).filter(|(conversation, _)| passes(conversation)).map(|(_, index)| index).collect();
    match call.parameter("sort") {
        Some("created_at") => {}
        None | Some("updated_at") => found.sort_by_key(|index| (all[*index as usize].updated_at(now), *index)),
        Some("waiting_since") => found.sort_by_key(|index| (waiting_since(&all[*index as usize], now), *index)),
        Some(other) => return Err(ApiError::parameter_invalid(format!("'{other}' is not a field to sort by"))),
    }
    let page = numbered::page(context.moves, call, &found, numbered::descending(call)?, 20, context.cap_silent)?;
    let plain = call.parameter("display_as") == Some("plaintext");
    let shown: Vec<Value> = page.shown.into_iter().map(|index| body(view, index, plain)).collect();
    write(&json!({"type": "conversation.list", "pages": page.pages, "total_count": page.total_count, "conversations": shown}))
}

/// `GET /conversations/{id}`. It has the first message only, because this world has no other parts (an assumption).
pub(super) fn show(view: &WorldView, id: &str) -> Result<String, ApiError> {
    let index = view.find_conversation(id).ok_or_else(ApiError::resource_not_found)?;
    let mut body = body(view, index, false);
    body["conversation_parts"] = json!({"type": "conversation_part.list", "conversation_parts": [], "total_count": 0});
    write(&body)
}

/// The contact whose conversations are requested. `intercom_user_id` is also used for leads.
fn person(view: &WorldView, call: &Call) -> Result<Option<u32>, ApiError> {
    if call.parameter("type") == Some("admin") {
        return Ok(None);
    }
    let found = match (call.parameter("intercom_user_id"), call.parameter("user_id"), call.parameter("email")) {
        (Some(id), ..) => view.find_contact(id),
        (None, Some(user_id), _) => view.find_user(user_id),
        (None, None, Some(email)) => match view.with_email(email, Role::User)[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(ApiError::shared_email()),
        },
        (None, None, None) => return Ok(None),
    };
    found.map(Some).ok_or_else(ApiError::contact_not_found)
}

fn waiting_since(conversation: &Conversation, now: i64) -> Option<i64> {
    conversation.open_at(now).then_some(conversation.created_at)
}

fn body(view: &WorldView, index: u32, plain: bool) -> Value {
    let (world, now) = (&view.world, view.now);
    let conversation = &view.conversations()[index as usize];
    let author = conversation.author(world);
    let person = |index: u32| {
        let contact = view.contact(index);
        json!({"type": contact.role_at(conversation.created_at).word(), "id": contact.id})
    };
    let assignee = conversation.assignee.map(|admin| ADMINS[usize::from(admin)].0.to_string());
    let tags = view.tags_of_conversation(index);
    let tags: Vec<Value> = tags.iter().map(|(tag, _)| json!({"type": "tag", "id": tag.id, "name": tag.name})).collect();
    let text = if plain { "this is the message body" } else { "<p>this is the message body</p>" };
    json!({
        "type": "conversation",
        "id": conversation.id.to_string(),
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at(now),
        "waiting_since": waiting_since(conversation, now),
        "snoozed_until": (conversation.state_at(now) == "snoozed").then_some(conversation.closed_at),
        "user": person(conversation.contact),
        "customers": conversation.participants().map(person).collect::<Vec<Value>>(),
        "assignee": {"type": if assignee.is_some() { "admin" } else { "nobody_admin" }, "id": assignee},
        "conversation_message": {
            "type": "conversation_message",
            "id": (conversation.id + 3).to_string(),
            "delivered_as": conversation.delivered_as(),
            "subject": "",
            "body": text,
            "author": {"type": author.kind, "id": author.id},
            "attachments": [],
            "url": null,
        },
        "open": conversation.open_at(now),
        "state": conversation.state_at(now),
        "read": !conversation.open_at(now),
        "tags": {"type": "tag.list", "tags": tags},
    })
}
