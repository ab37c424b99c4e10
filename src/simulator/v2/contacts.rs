//! `/contacts`: the list, the search, and what belongs to one contact.

use axum::http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::contact_body::ContactBody;
use crate::api_error::ApiError;
use crate::call::{Call, write};
use crate::companies;
use crate::contact_data::{ContactData, conflict};
use crate::paging::{self, Cut, Key, Pages, Position};
use crate::search::contacts::{found, key, parse, sortable};
use crate::search::sort::sort;
use crate::segments::SegmentBody;
use crate::tagging::applied_tag;
use crate::version::{V2_16, V2_17};
use crate::world::people::{End, Role};
use crate::world_view::WorldView;

#[derive(Serialize)]
struct ContactList<'a> {
    r#type: &'static str,
    data: Vec<ContactBody<'a>>,
    total_count: usize,
    pages: Pages,
}

/// A contact. `GET /contacts` and `GET /contacts/{id}` add the merge history on request, from 2.16 on.
fn body<'a>(view: &'a WorldView, call: &Call, index: u32) -> ContactBody<'a> {
    let body = ContactBody::new(view, index, call.version);
    let with_history = call.version >= V2_16 && call.method == Method::GET && call.parameter("include_merge_history") == Some("true");
    if with_history { body.with_merge_history(view, index) } else { body }
}

fn list_body(view: &WorldView, call: &Call, shown: &[u32], total_count: usize, pages: Pages) -> Result<String, ApiError> {
    let data = shown.iter().map(|index| body(view, call, *index)).collect();
    write(&ContactList { r#type: "list", data, total_count, pages })
}

/// `GET /contacts`: newest first (an assumption), ten per page by default.
pub(super) fn list(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let per_page = paging::per_page(call.parameter_value("per_page").as_ref(), 10)?;
    let after = call.parameter("starting_after").map(Position::from_list_cursor).transpose()?;
    let cut = Cut { descending: true, per_page, after, moves: call.moves };
    let (shown, next) = paging::page(&view.contacts, &cut, |index| (Key::Nothing, view.contact(index).id.clone()));
    let next = next.map(|position| (position.page, position.to_list_cursor()));
    list_body(view, call, &shown, view.contacts.len(), Pages::new(&cut, view.contacts.len(), next))
}

/// `POST /contacts/search`: newest first by default (an assumption). A cursor in the query string is ignored.
pub(super) fn search(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let body = call.object()?;
    let query = parse(view, body.get("query"), call.version)?;
    let sort = sort(body.get("sort"), "created_at", call.version >= V2_16)?;
    let field = sortable(sort.field).ok_or_else(|| ApiError::parameter_invalid(format!("'{}' is not a field to sort by", sort.field)))?;
    let pagination = body.get("pagination");
    let per_page = paging::per_page(pagination.and_then(|pagination| pagination.get("per_page")), 50)?;
    let after = search_cursor(pagination)?;
    // From 2.17 on, dates are compared in another way, so results are cached separately.
    let name = format!("contacts {} {field:?} {}", call.version >= V2_17, body["query"]);
    let all = call.indexed(view.found(name, || found(view, &query, field)));
    let cut = Cut { descending: sort.descending, per_page, after, moves: call.moves };
    let (shown, next) = paging::page(&all, &cut, |index| (key(view, index, field), view.contact(index).id.clone()));
    let next = next.map(|position| (position.page, position.to_search_cursor()));
    list_body(view, call, &shown, all.len(), Pages::new(&cut, all.len(), next))
}

/// The cursor in a search body.
pub(super) fn search_cursor(pagination: Option<&Value>) -> Result<Option<Position>, ApiError> {
    match pagination.and_then(|pagination| pagination.get("starting_after")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cursor)) => Position::from_search_cursor(cursor).map(Some),
        Some(_) => Err(ApiError::bad_cursor()),
    }
}

pub(super) fn show(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let index = existing(view, call, id)?;
    write(&body(view, call, index))
}

/// `GET /contacts/{id}/tags`: all tags without pages, each with the start of its current spell. Assumptions: their order, and 410 for merged
/// contacts from 2.16 on, which is documented for the contact itself only.
pub(super) fn tags(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let tags = view.tags_of(existing(view, call, id)?).map(|(tag, spell)| applied_tag(tag, spell));
    write(&json!({"type": "list", "data": tags.collect::<Vec<_>>()}))
}

pub(super) fn segments(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let segments: Vec<_> = view.segments_of(existing(view, call, id)?).map(|segment| SegmentBody::new(segment, view.now, None)).collect();
    write(&json!({"type": "list", "data": segments}))
}

/// `GET /contacts/{id}/companies`: all on one page.
pub(super) fn companies(view: &WorldView, call: &Call, id: &str) -> Result<String, ApiError> {
    let contact = view.contact(existing(view, call, id)?);
    let companies: Vec<_> = contact.companies.iter().map(|company| companies::body(view, *company)).collect();
    let pages = json!({"type": "pages", "next": null, "page": 1, "per_page": 50, "total_pages": 1});
    write(&json!({"type": "list", "total_count": companies.len(), "data": companies, "pages": pages}))
}

/// `POST /contacts`: creates a user, or with `role: lead` a lead. The answer is 409 if a user already has the external id or, for a new
/// user, the email address. A new lead may have the email address of another contact (an assumption).
pub(super) fn create(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    let body = call.object()?;
    let data = ContactData::read(&body, "external_id")?;
    let role = match body.get("role").and_then(Value::as_str) {
        Some("lead") => Role::Lead,
        Some("user") => Role::User,
        None if data.email.is_some() || data.external_id.is_some() => Role::User,
        _ => return Err(ApiError::parameter_invalid("one of email, external_id and role (user or lead) is required")),
    };
    if role == Role::Lead && data.external_id.is_some() {
        return Err(ApiError::parameter_invalid("a lead has no external_id"));
    }
    let same_id = data.external_id.as_deref().and_then(|external_id| view.find_user(external_id));
    let same_email = || view.with_email(data.email.as_deref().filter(|_| role == Role::User)?, Role::User).first().copied();
    if let Some(index) = same_id.or_else(same_email) {
        return Err(conflict(&view.contact(index).id));
    }
    let (next, index) = data.save(view, None, role);
    let body = write(&ContactBody::new(&next, index, call.version))?;
    Ok((next, body))
}

/// The index of a contact that exists. For a merged contact, this returns the error of the requested version.
pub(super) fn existing(view: &WorldView, call: &Call, id: &str) -> Result<u32, ApiError> {
    if let Some(index) = view.find_contact(id) {
        return Ok(index);
    }
    let mut canonical = None;
    let mut next = view.world.find_contact(id);
    // If the target was merged too, its target counts. A chain is followed for at most three merges.
    for _ in 0..3 {
        let merged = next.map(|index| view.contact(index)).and_then(|contact| contact.end).filter(|(at, _)| *at <= view.now);
        let Some((_, End::Merged(target))) = merged else { break };
        canonical = Some(format!("/contacts/{}", view.contact(target).id));
        next = Some(target);
    }
    match canonical {
        Some(_) if call.version >= V2_16 => {
            let message = "This contact has been merged. See the 'Link' header for the canonical contact.";
            Err(ApiError { canonical, ..ApiError::new(StatusCode::GONE, "contact_merged", message) })
        }
        _ => Err(ApiError::contact_not_found()),
    }
}
