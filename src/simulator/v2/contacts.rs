//! `/contacts`: the list, the search, and what belongs to one contact.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::contact_body::ContactBody;
use super::groups::SegmentBody;
use super::{Call, write};
use crate::simulator::api_error::ApiError;
use crate::simulator::moment::Moment;
use crate::simulator::paging::{self, Cut, Key, Pages, Position};
use crate::simulator::search::contacts::{found, key, parse, sortable};
use crate::simulator::search::sort::sort;
use crate::simulator::version::V2_16;
use crate::simulator::world::people::End;
use crate::simulator::world::{ADMINS, WORKSPACE_ID};

#[derive(Serialize)]
struct ContactList<'a> {
    r#type: &'static str,
    data: Vec<ContactBody<'a>>,
    total_count: usize,
    pages: Pages,
}

fn list_body(moment: &Moment, call: &Call, shown: &[u32], total_count: usize, pages: Pages) -> Result<String, ApiError> {
    let data = shown.iter().map(|index| ContactBody::new(moment, *index, call.version)).collect();
    write(&ContactList { r#type: "list", data, total_count, pages })
}

/// `GET /contacts`: newest first (an assumption), ten a page unless asked otherwise.
pub fn list(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    let per_page = paging::per_page(call.parameter_value("per_page").as_ref(), 10)?;
    let after = call.parameter("starting_after").map(Position::from_list_cursor).transpose()?;
    let cut = Cut { descending: true, per_page, after };
    let (shown, next) = paging::page(&moment.contacts, &cut, |index| (Key::Nothing, moment.world.contact(index).id.clone()));
    let next = next.map(|position| (position.page, position.to_list_cursor()));
    list_body(moment, call, &shown, moment.contacts.len(), Pages::new(&cut, moment.contacts.len(), next))
}

/// `POST /contacts/search`: newest first unless asked otherwise (an assumption). A cursor in the query string is not looked at.
pub fn search(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    let body = call.object()?;
    let query = parse(moment, body.get("query"))?;
    let sort = sort(body.get("sort"), "created_at", call.version >= V2_16)?;
    let field = sortable(sort.field).ok_or_else(|| ApiError::parameter_invalid(format!("'{}' is not a field to sort by", sort.field)))?;
    let pagination = body.get("pagination");
    let per_page = paging::per_page(pagination.and_then(|pagination| pagination.get("per_page")), 50)?;
    let after = search_cursor(pagination)?;
    let name = format!("contacts {field:?} {}", body["query"]);
    let all = moment.found(name, || found(moment, &query, field));
    let cut = Cut { descending: sort.descending, per_page, after };
    let (shown, next) = paging::page(&all, &cut, |index| (key(moment, index, field), moment.world.contact(index).id.clone()));
    let next = next.map(|position| (position.page, position.to_search_cursor()));
    list_body(moment, call, &shown, all.len(), Pages::new(&cut, all.len(), next))
}

/// The cursor in a search body.
pub fn search_cursor(pagination: Option<&Value>) -> Result<Option<Position>, ApiError> {
    match pagination.and_then(|pagination| pagination.get("starting_after")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cursor)) => Position::from_search_cursor(cursor).map(Some),
        Some(_) => Err(ApiError::bad_cursor()),
    }
}

pub fn show(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    let index = existing(moment, call, id)?;
    write(&ContactBody::new(moment, index, call.version))
}

pub fn tags(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    let contact = moment.world.contact(existing(moment, call, id)?);
    let tags = contact.tags_at(moment.now).map(|spell| {
        let tag = &moment.world.tags[usize::from(spell.tag)];
        let applied_by = json!({"type": "admin", "id": ADMINS[usize::from(spell.admin)].0.to_string()});
        json!({"type": "tag", "id": tag.id, "name": tag.name, "applied_at": spell.from, "applied_by": applied_by})
    });
    write(&json!({"type": "list", "data": tags.collect::<Vec<_>>()}))
}

pub fn segments(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    let contact = moment.world.contact(existing(moment, call, id)?);
    let segments = moment.world.segments.iter().filter(|segment| segment.holds(contact, moment.now));
    let segments: Vec<_> = segments.map(|segment| SegmentBody::new(segment, None)).collect();
    write(&json!({"type": "list", "data": segments}))
}

/// `GET /contacts/{id}/companies`: one page holds them all.
pub fn companies(moment: &Moment, call: &Call, id: &str) -> Result<String, ApiError> {
    let contact = moment.world.contact(existing(moment, call, id)?);
    let companies = contact.companies.iter().map(|company| {
        let company = &moment.world.companies[*company as usize];
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
            "tags": {"type": "tag.list", "tags": []},
            "segments": {"type": "segment.list", "segments": []},
            "plan": {},
            "custom_attributes": {},
        })
    });
    let companies: Vec<_> = companies.collect();
    let pages = json!({"type": "pages", "next": null, "page": 1, "per_page": 50, "total_pages": 1});
    write(&json!({"type": "list", "total_count": companies.len(), "data": companies, "pages": pages}))
}

/// The index of a contact that exists; for merged ones the answer of the version.
fn existing(moment: &Moment, call: &Call, id: &str) -> Result<u32, ApiError> {
    if let Some(index) = moment.find_contact(id) {
        return Ok(index);
    }
    let mut canonical = None;
    let mut next = moment.world.find_contact(id);
    // Up to three hops are followed.
    for _ in 0..3 {
        let merged = next.map(|index| moment.world.contact(index)).and_then(|contact| contact.end).filter(|(at, _)| *at <= moment.now);
        let Some((_, End::Merged(target))) = merged else { break };
        canonical = Some(format!("/contacts/{}", moment.world.contact(target).id));
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
