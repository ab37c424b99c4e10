//! `/conversations`: the list, the search, one conversation and its tags.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::contacts::search_cursor;
use super::conversation_body::{conversation_body, priority_word};
use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::overlay::ConversationChange;
use crate::paging::{self, Cut, Key, Pages, Position};
use crate::search::conversations::{found, key, parse, sortable};
use crate::search::sort::sort;
use crate::tagging::{self, applied_tag};
use crate::version::V2_16;
use crate::world::ADMINS;
use crate::world::conversations::Conversation;
use crate::world::people::TagSpell;
use crate::world_view::{ListedTag, WorldView};

#[derive(Serialize)]
struct ConversationList {
    r#type: &'static str,
    pages: Pages,
    total_count: usize,
    conversations: Vec<Value>,
}

fn list_body(view: &WorldView, call: &Call, shown: &[u32], total_count: usize, pages: Pages) -> Result<String, ApiError> {
    let conversations = shown.iter().map(|index| conversation_body(view, *index, call.version)).collect();
    write(&ConversationList { r#type: "conversation.list", pages, total_count, conversations })
}

/// `GET /conversations`: newest first (an assumption). It uses cursors in every version. The page numbers of 2.0 to 2.5 are not simulated.
pub(super) fn list(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let per_page = paging::per_page(call.parameter_value("per_page").as_ref(), 20)?;
    let after = call.parameter("starting_after").map(Position::from_list_cursor).transpose()?;
    let cut = Cut { descending: true, per_page, after, moves: call.moves };
    let total = view.conversations().len();
    let all = view.found("conversations".to_owned(), || (0..total as u32).collect());
    let (shown, next) = paging::page(&all, &cut, |index| (Key::Nothing, view.conversations()[index as usize].id.to_string()));
    let next = next.map(|position| (position.page, position.to_list_cursor()));
    list_body(view, call, &shown, total, Pages::new(&cut, total, next))
}

/// `GET /conversations/{id}`. The body is the same as in lists, because the simulated conversations have no replies (an assumption).
pub(super) fn show(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let index = view.find_conversation(id).ok_or_else(ApiError::resource_not_found)?;
    write(&conversation_body(view, index, call.version))
}

/// `POST /conversations/{id}/tags`. If the conversation has the tag already, nothing changes (an assumption). `updated_at` never changes
/// (an assumption).
pub(super) fn attach(view: &WorldView, call: &Call, id: &str) -> Result<(WorldView, String), ApiError> {
    let body = call.object()?;
    let index = view.find_conversation(id).ok_or_else(conversation_not_found)?;
    let tag = tagging::id(body.get("id")).ok_or_else(|| ApiError::parameter_invalid("id is required"))?;
    let admin = admin(&body)?;
    let tag = view.find_tag(&tag).ok_or_else(tag_not_found)?;
    let has_tag = |view: &WorldView| view.tags_of_conversation(index).into_iter().find(|(own, _)| own.number == tag.number).map(answer);
    if let Some(answer) = has_tag(view) {
        return Ok((view.with_overlay(Arc::clone(&view.overlay)), write(&answer)?));
    }
    let next = change(view, index, ConversationChange::Attach { tag: tag.number, admin });
    let answer = write(&has_tag(&next))?;
    Ok((next, answer))
}

/// `DELETE /conversations/{id}/tags/{tag_id}`. The answer is 404 if the conversation does not have the tag (an assumption).
pub(super) fn detach(view: &WorldView, call: &Call, id: &str, tag: &str) -> Result<(WorldView, String), ApiError> {
    let index = view.find_conversation(id).ok_or_else(conversation_not_found)?;
    admin(&call.object()?)?;
    let found = view.tags_of_conversation(index).into_iter().find(|(own, _)| own.id == tag).ok_or_else(tag_not_found)?;
    let next = change(view, index, ConversationChange::Detach { tag: found.0.number });
    let answer = write(&answer(found))?;
    Ok((next, answer))
}

fn answer((tag, spell): (ListedTag<'_>, TagSpell)) -> Value {
    applied_tag(tag, &spell)
}

fn change(view: &WorldView, index: u32, change: ConversationChange) -> WorldView {
    let mut draft = (*view.overlay).clone();
    let before = view.conversations().get(index as usize).and_then(Conversation::tag_spell);
    draft.tag_conversation(index, before, change, view.now);
    view.with_overlay(Arc::new(draft))
}

/// The admin that a body names, as an index into [`ADMINS`]. The error code for an unknown admin follows the pattern of other resources (an
/// assumption).
fn admin(body: &Value) -> Result<u8, ApiError> {
    let id = tagging::id(body.get("admin_id")).ok_or_else(|| ApiError::parameter_invalid("admin_id is required"))?;
    let found = ADMINS.iter().zip(0u8..).find(|((admin, ..), _)| admin.to_string() == id);
    found.map(|(_, number)| number).ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "admin_not_found", "Admin not found"))
}

fn conversation_not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "Conversation not found")
}

/// Intercom's API description has this error only for `DELETE`. For `POST` it is an assumption.
fn tag_not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "tag_not_found", "Tag not found")
}

/// `POST /conversations/search`: last updated first by default (an assumption).
pub(super) fn search(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let body = call.object()?;
    let query = parse(body.get("query"))?;
    // In 2.16, only contact searches are known to check the sort order.
    let sort = sort(body.get("sort"), "updated_at", false)?;
    let field = sortable(sort.field).ok_or_else(|| ApiError::parameter_invalid(format!("'{}' is not a field to sort by", sort.field)))?;
    let pagination = body.get("pagination");
    let per_page = paging::per_page(pagination.and_then(|pagination| pagination.get("per_page")), 20)?;
    let cut = Cut { descending: sort.descending, per_page, after: search_cursor(pagination)?, moves: call.moves };
    // Priorities have other names from 2.16 on, so a search can have other results.
    let name = format!("conversations {} {field:?} {}", call.version >= V2_16, body["query"]);
    let all = view.found(name, || found(view, &query, field, priority_word(call.version)));
    let (shown, next) = paging::page(&all, &cut, |index| (key(view, index, field), view.conversations()[index as usize].id.to_string()));
    let next = next.map(|position| (position.page, position.to_search_cursor()));
    list_body(view, call, &shown, all.len(), Pages::new(&cut, all.len(), next))
}
