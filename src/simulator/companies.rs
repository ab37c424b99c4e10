//! `/companies` of both generations.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, write};
use super::context::ReadContext;
use super::numbered;
use super::scroll::Kind;
use super::world::WORKSPACE_ID;
use super::world::people::Role;
use super::world_view::WorldView;

/// `GET /companies`. With `company_id` or `name` it returns one company as a bare object, because Intercom's API description says "a single
/// company". Otherwise it returns a list, which may be filtered by `tag_id` or `segment_id`.
pub(crate) fn list(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    if let Some(company_id) = call.parameter("company_id") {
        let found = view.companies().find(|(_, company)| company.company_id == company_id);
        return single(view, found.map(|(index, _)| index));
    }
    if let Some(name) = call.parameter("name") {
        return single(view, view.companies().find(|(_, company)| company.name == name).map(|(index, _)| index));
    }
    let tagged = |index: u32| call.parameter("tag_id").is_none_or(|id| view.tags_of_company(index).any(|(tag, _)| tag.id == id));
    let in_segment =
        |index: u32| call.parameter("segment_id").is_none_or(|id| view.segments_of_company(index).any(|segment| segment.id == id));
    let found: Vec<u32> = view.companies().map(|(index, _)| index).filter(|index| tagged(*index) && in_segment(*index)).collect();
    page(context, call, &found)
}

/// `POST /companies/list`, which lists only companies with users.
pub(crate) fn list_all(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let found: Vec<u32> = context.view.companies().map(|(index, _)| index).filter(|index| users(context.view, *index) > 0).collect();
    page(context, call, &found)
}

pub(crate) fn show(view: &WorldView, id: &str) -> Result<String, ApiError> {
    single(view, find(view, id))
}

/// `GET /companies/scroll`.
pub(crate) fn scroll(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let entries = || context.view.companies().map(|(index, _)| index).collect::<Arc<[u32]>>();
    let (shown, param) = context.scrolls.next(Kind::Companies, call, entries)?;
    let shown: Vec<Value> = shown.into_iter().map(|index| full_body(context.view, index)).collect();
    write(&if call.version.is_legacy() {
        json!({"type": "company.list", "companies": shown, "scroll_param": param})
    } else {
        json!({"type": "list", "data": shown, "pages": null, "total_count": null, "scroll_param": param})
    })
}

/// A company by Intercom's id.
pub(crate) fn find(view: &WorldView, id: &str) -> Option<u32> {
    view.companies().find(|(_, company)| company.id == id).map(|(index, _)| index)
}

/// A company by the workspace's own id.
pub(crate) fn find_by_company_id(view: &WorldView, company_id: &str) -> Option<u32> {
    view.companies().find(|(_, company)| company.company_id == company_id).map(|(index, _)| index)
}

pub(crate) fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "company_not_found", "Company Not Found")
}

/// The number of users that belong to a company.
pub(crate) fn users(view: &WorldView, company: u32) -> usize {
    let contacts = view.contacts_of_company(company).iter();
    contacts.filter(|index| view.contact(**index).role_at(view.now) == Role::User).count()
}

fn single(view: &WorldView, index: Option<u32>) -> Result<String, ApiError> {
    write(&full_body(view, index.ok_or_else(not_found)?))
}

/// A page of companies. Lists of companies end at the page limit without an error, as on the real service.
fn page(context: &ReadContext, call: &Call, found: &[u32]) -> Result<String, ApiError> {
    let default = if call.version.is_legacy() { 50 } else { 15 };
    let page = numbered::page(context.moves, call, found, numbered::descending(call)?, default, true)?;
    let shown: Vec<Value> = page.shown.into_iter().map(|index| full_body(context.view, index)).collect();
    let (kind, entries) = if call.version.is_legacy() { ("company.list", "companies") } else { ("list", "data") };
    write(&json!({"type": kind, entries: shown, "total_count": page.total_count, "pages": page.pages}))
}

/// A company as part of a contact.
pub(crate) fn body(view: &WorldView, index: u32) -> Value {
    let company = &view.world.companies[index as usize];
    let tags: Vec<Value> = view.tags_of_company(index).map(|(tag, _)| json!({"type": "tag", "id": tag.id, "name": tag.name})).collect();
    json!({
        "type": "company",
        "company_id": company.company_id,
        "id": company.id,
        "app_id": WORKSPACE_ID,
        "name": company.name,
        "remote_created_at": company.created_at,
        "created_at": company.created_at,
        "updated_at": company.created_at,
        "last_request_at": null,
        "monthly_spend": company.monthly_spend,
        "session_count": 0,
        "user_count": 1,
        "tags": {"type": "tag.list", "tags": tags},
        "segments": {"type": "segment.list", "segments": []},
        "plan": {},
        "custom_attributes": {},
    })
}

/// A company as `/companies` shows it, with the number of its users and with its segments.
fn full_body(view: &WorldView, index: u32) -> Value {
    let mut body = body(view, index);
    let segments: Vec<Value> = view.segments_of_company(index).map(|segment| json!({"type": "segment", "id": segment.id})).collect();
    body["user_count"] = json!(users(view, index));
    body["segments"]["segments"] = json!(segments);
    body
}
