//! `/companies`, in the words of both generations.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, Desk, write};
use super::moment::Moment;
use super::numbered;
use super::scroll::Kind;
use super::world::WORKSPACE_ID;
use super::world::people::Role;

/// `GET /companies`: one by `company_id` or `name` (a bare object: the description says "a single company"), else a list, filtered by `tag_id` or
/// `segment_id`.
pub(crate) fn list(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    if let Some(company_id) = call.parameter("company_id") {
        let found = moment.companies().find(|(_, company)| company.company_id == company_id);
        return single(moment, found.map(|(index, _)| index));
    }
    if let Some(name) = call.parameter("name") {
        return single(moment, moment.companies().find(|(_, company)| company.name == name).map(|(index, _)| index));
    }
    let tagged = |index: u32| call.parameter("tag_id").is_none_or(|id| moment.tags_of_company(index).any(|(tag, _)| tag.id == id));
    let in_segment =
        |index: u32| call.parameter("segment_id").is_none_or(|id| moment.segments_of_company(index).any(|segment| segment.id == id));
    let found: Vec<u32> = moment.companies().map(|(index, _)| index).filter(|index| tagged(*index) && in_segment(*index)).collect();
    page(desk, call, &found)
}

/// `POST /companies/list`: those with users only.
pub(crate) fn list_all(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let found: Vec<u32> = desk.moment.companies().map(|(index, _)| index).filter(|index| users(desk.moment, *index) > 0).collect();
    page(desk, call, &found)
}

pub(crate) fn show(moment: &Moment, id: &str) -> Result<String, ApiError> {
    single(moment, find(moment, id))
}

/// `GET /companies/scroll`.
pub(crate) fn scroll(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let entries = || desk.moment.companies().map(|(index, _)| index).collect::<Arc<[u32]>>();
    let (shown, param) = desk.scrolls.next(Kind::Companies, call, entries)?;
    let shown: Vec<Value> = shown.into_iter().map(|index| full_body(desk.moment, index)).collect();
    write(&if call.version.is_legacy() {
        json!({"type": "company.list", "companies": shown, "scroll_param": param})
    } else {
        json!({"type": "list", "data": shown, "pages": null, "total_count": null, "scroll_param": param})
    })
}

/// A company by Intercom's id.
pub(crate) fn find(moment: &Moment, id: &str) -> Option<u32> {
    moment.companies().find(|(_, company)| company.id == id).map(|(index, _)| index)
}

/// A company by the customer's own id.
pub(crate) fn find_by_company_id(moment: &Moment, company_id: &str) -> Option<u32> {
    moment.companies().find(|(_, company)| company.company_id == company_id).map(|(index, _)| index)
}

pub(crate) fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "company_not_found", "Company Not Found")
}

/// How many users belong to a company.
pub(crate) fn users(moment: &Moment, company: u32) -> usize {
    let contacts = moment.contacts_of_company(company).iter();
    contacts.filter(|index| moment.contact(**index).role_at(moment.now) == Role::User).count()
}

fn single(moment: &Moment, index: Option<u32>) -> Result<String, ApiError> {
    write(&full_body(moment, index.ok_or_else(not_found)?))
}

/// Companies end silently at the cap, as seen on the live service.
fn page(desk: &Desk, call: &Call, found: &[u32]) -> Result<String, ApiError> {
    let default = if call.version.is_legacy() { 50 } else { 15 };
    let page = numbered::page(desk, call, found, numbered::descending(call)?, default, true)?;
    let shown: Vec<Value> = page.shown.into_iter().map(|index| full_body(desk.moment, index)).collect();
    let (kind, entries) = if call.version.is_legacy() { ("company.list", "companies") } else { ("list", "data") };
    write(&json!({"type": kind, entries: shown, "total_count": page.total_count, "pages": page.pages}))
}

/// A company as a contact's own list shows it.
pub(crate) fn body(moment: &Moment, index: u32) -> Value {
    let company = &moment.world.companies[index as usize];
    let tags: Vec<Value> = moment.tags_of_company(index).map(|(tag, _)| json!({"type": "tag", "id": tag.id, "name": tag.name})).collect();
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

/// A company as `/companies` shows it: with its users counted and its segments named.
fn full_body(moment: &Moment, index: u32) -> Value {
    let mut body = body(moment, index);
    let segments: Vec<Value> = moment.segments_of_company(index).map(|segment| json!({"type": "segment", "id": segment.id})).collect();
    body["user_count"] = json!(users(moment, index));
    body["segments"]["segments"] = json!(segments);
    body
}
