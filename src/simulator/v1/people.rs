//! `/users` and `/contacts` of 1.x. In these versions, a contact is a lead.

use std::sync::Arc;

use serde_json::{Value, json};

use super::person_body::{lead_user_id, person_body};
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::call::{Call, write};
use crate::companies;
use crate::context::ReadContext;
use crate::numbered;
use crate::paging::Key;
use crate::scroll::Kind;
use crate::search::contacts::{DateField, Field, key};
use crate::version::V1_1;
use crate::world::groups::{ARCHIVED_SEGMENTS, ARCHIVED_TAGS};
use crate::world::people::Role;
use crate::world_view::WorldView;

/// `GET /users`. It lists users. If a tag, a segment or a company is given, it also lists leads.
pub(super) fn users(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    if let Some(user_id) = call.parameter("user_id") {
        return user(view, view.find_user(user_id).ok_or_else(ApiError::contact_not_found)?);
    }
    if let Some(email) = call.parameter("email") {
        let found = view.with_email(email, Role::User);
        if call.version >= V1_1 {
            return page(context, call, Role::User, found.into());
        }
        return match found[..] {
            [] => Err(ApiError::contact_not_found()),
            [one] => user(view, one),
            _ => Err(ApiError::shared_email()),
        };
    }
    let filtered = ["tag_id", "segment_id", "company_id"].iter().any(|name| call.parameter(name).is_some());
    let roles: &[Role] = if filtered { &[Role::User, Role::Lead] } else { &[Role::User] };
    let found = listed(view, call, roles, sort_field(call)?)?;
    page(context, call, Role::User, if filtered { call.indexed(found) } else { found })
}

/// `GET /contacts`. It lists leads, always in the order of creation.
pub(super) fn leads(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    if let Some(user_id) = call.parameter("user_id") {
        return user(view, find_lead_by_user_id(view, user_id)?);
    }
    let found = match call.parameter("email") {
        Some(email) => view.with_email(email, Role::Lead).into(),
        None => listed(view, call, &[Role::Lead], Field::Date(DateField::Created))?,
    };
    page(context, call, Role::Lead, found)
}

/// `GET /companies/{id}/users`.
pub(super) fn of_company(context: &ReadContext, call: &Call, id: &str) -> Result<String, ApiError> {
    let company = companies::find(context.view, id).ok_or_else(companies::not_found)?;
    page(context, call, Role::User, context.view.contacts_of_company(company).into())
}

pub(super) fn show(view: &WorldView, id: &str, role: Role) -> Result<String, ApiError> {
    user(view, find(view, id, role)?)
}

/// All contacts of a role, a hundred per call, in the order of creation (an assumption).
pub(super) fn scroll(context: &ReadContext, call: &Call, role: Role) -> Result<String, ApiError> {
    let view = context.view;
    let (kind, list, entries) = words(role);
    let all = || of_roles(view, &view.contacts, &[role]).collect::<Arc<[u32]>>();
    let (shown, param) = context.scrolls.next(kind, call, all)?;
    // Contacts that were deleted since the scroll was opened are left out, so a page can be shorter.
    let shown = shown.into_iter().filter(|index| view.contact(*index).exists_at(view.now));
    let shown: Vec<Value> = shown.map(|index| person_body(view, index)).collect();
    write(&json!({"type": list, entries: shown, "scroll_param": param}))
}

/// One contact, without a list around it.
pub(super) fn user(view: &WorldView, index: u32) -> Result<String, ApiError> {
    write(&person_body(view, index))
}

/// A contact of a role by Intercom's id. It is an assumption that a lead is not found among the users, and a user not among the leads.
pub(super) fn find(view: &WorldView, id: &str, role: Role) -> Result<u32, ApiError> {
    let found = view.find_contact(id).filter(|index| view.contact(*index).role_at(view.now) == role);
    found.ok_or_else(ApiError::contact_not_found)
}

/// A lead by the user id that was generated for it.
pub(super) fn find_lead_by_user_id(view: &WorldView, user_id: &str) -> Result<u32, ApiError> {
    let mut leads = of_roles(view, &view.contacts, &[Role::Lead]);
    leads.find(|index| lead_user_id(view.contact(*index)) == user_id).ok_or_else(ApiError::contact_not_found)
}

fn words(role: Role) -> (Kind, &'static str, &'static str) {
    match role {
        Role::User => (Kind::Users, "user.list", "users"),
        Role::Lead => (Kind::Leads, "contact.list", "contacts"),
    }
}

fn of_roles(view: &WorldView, members: &[u32], roles: &[Role]) -> impl Iterator<Item = u32> {
    members.iter().copied().filter(|index| roles.contains(&view.contact(*index).role_at(view.now)))
}

fn page(context: &ReadContext, call: &Call, role: Role, found: Arc<[u32]>) -> Result<String, ApiError> {
    let page = numbered::page(context.moves, call, &found, numbered::descending(call)?, 50, context.cap_silent)?;
    let shown: Vec<Value> = page.shown.into_iter().map(|index| person_body(context.view, index)).collect();
    let (_, list, entries) = words(role);
    let mut body = json!({"type": list, "pages": page.pages, entries: shown, "total_count": page.total_count});
    if role == Role::Lead {
        body["limited"] = json!(false);
    }
    write(&body)
}

/// The contacts that pass the filters, ascending by the sort field, then id.
fn listed(view: &WorldView, call: &Call, roles: &[Role], sort: Field) -> Result<Arc<[u32]>, ApiError> {
    let (tag, segment, company) = (call.parameter("tag_id"), call.parameter("segment_id"), call.parameter("company_id"));
    if tag.is_some() && segment.is_some() {
        return Err(ApiError::parameter_invalid("tag_id and segment_id cannot be combined"));
    }
    let mut groups: Vec<&[u32]> = Vec::new();
    groups.extend(tag.map(|id| members_of_tag(view, id)).transpose()?);
    groups.extend(segment.map(|id| members_of_segment(view, id)).transpose()?);
    groups.extend(company.map(|id| members_of_company(view, id)).transpose()?);
    let days = call.parameter("created_since").map(str::parse::<i64>).transpose();
    let days = days.map_err(|_| ApiError::parameter_invalid("created_since must be a number of days"))?;
    let since = days.map_or(i64::MIN, |days| view.now.saturating_sub(days.saturating_mul(DAY)));
    let name = format!("1.x {roles:?} {sort:?} {tag:?} {segment:?} {company:?} {since}");
    Ok(view.found(name, || {
        let (first, others) = groups.split_first().map_or((&view.contacts[..], &[][..]), |(first, others)| (*first, others));
        let mut found: Vec<u32> = of_roles(view, first, roles)
            .filter(|index| view.contact(*index).created_at >= since)
            .filter(|index| others.iter().all(|members| members.binary_search_by(|member| view.order(*member, *index)).is_ok()))
            .collect();
        if sort != Field::Date(DateField::Created) {
            let place = |index: &u32| -> (Key, &str) { (key(view, *index, sort), &view.contact(*index).id) };
            found.sort_by_cached_key(place);
        }
        found
    }))
}

/// The members of a tag. Archived tags have no members to list, and unknown tags are 404 (both are assumptions).
fn members_of_tag<'a>(view: &'a WorldView, id: &str) -> Result<&'a [u32], ApiError> {
    let known = view.find_tag(id).is_some() || ARCHIVED_TAGS.iter().any(|tag| tag.id == id);
    if known { Ok(view.members_of_tag(id)) } else { Err(ApiError::resource_not_found()) }
}

/// The members of a segment. Archived segments have no members to list, and unknown or deleted segments are 404 (both are assumptions).
fn members_of_segment<'a>(view: &'a WorldView, id: &str) -> Result<&'a [u32], ApiError> {
    let known = view.segments().any(|(segment, _)| segment.id == id) || ARCHIVED_SEGMENTS.iter().any(|segment| segment.id == id);
    if known { Ok(view.members_of_segment(id)) } else { Err(ApiError::resource_not_found()) }
}

/// The contacts of a company. The id is the workspace's own or Intercom's (the latter is an assumption).
fn members_of_company<'a>(view: &'a WorldView, id: &str) -> Result<&'a [u32], ApiError> {
    let company = companies::find_by_company_id(view, id).or_else(|| companies::find(view, id));
    company.map(|company| view.contacts_of_company(company)).ok_or_else(companies::not_found)
}

fn sort_field(call: &Call) -> Result<Field, ApiError> {
    Ok(Field::Date(match call.parameter("sort") {
        None | Some("created_at") => DateField::Created,
        Some("last_request_at") => DateField::LastSeen,
        Some("signed_up_at") => DateField::SignedUp,
        Some("updated_at") => DateField::Updated,
        Some(other) => return Err(ApiError::parameter_invalid(format!("'{other}' is not a field to sort by"))),
    }))
}
