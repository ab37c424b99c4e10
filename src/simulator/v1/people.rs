//! `/users` and `/contacts` of 1.x, where a contact is a lead.

use std::sync::Arc;

use serde_json::{Value, json};

use super::person_body::{lead_user_id, person_body};
use crate::api_error::ApiError;
use crate::calendar::DAY;
use crate::call::{Call, Desk, write};
use crate::companies;
use crate::moment::Moment;
use crate::numbered;
use crate::paging::Key;
use crate::scroll::Kind;
use crate::search::contacts::{DateField, Field, key};
use crate::version::V1_1;
use crate::world::groups::{ARCHIVED_SEGMENTS, ARCHIVED_TAGS};
use crate::world::people::Role;

/// `GET /users`: users alone; with a tag, a segment or a company, leads among them.
pub(super) fn users(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    if let Some(user_id) = call.parameter("user_id") {
        return user(moment, moment.find_user(user_id).ok_or_else(ApiError::contact_not_found)?);
    }
    if let Some(email) = call.parameter("email") {
        let found = moment.with_email(email, Role::User);
        if call.version >= V1_1 {
            return page(desk, call, Role::User, found.into());
        }
        return match found[..] {
            [] => Err(ApiError::contact_not_found()),
            [one] => user(moment, one),
            _ => Err(ApiError::shared_email()),
        };
    }
    let filtered = ["tag_id", "segment_id", "company_id"].iter().any(|name| call.parameter(name).is_some());
    let roles: &[Role] = if filtered { &[Role::User, Role::Lead] } else { &[Role::User] };
    let found = listed(moment, call, roles, sort_field(call)?)?;
    page(desk, call, Role::User, if filtered { call.indexed(found) } else { found })
}

/// `GET /contacts`: leads, always by creation.
pub(super) fn leads(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    if let Some(user_id) = call.parameter("user_id") {
        return user(moment, find_lead_by_user_id(moment, user_id)?);
    }
    let found = match call.parameter("email") {
        Some(email) => moment.with_email(email, Role::Lead).into(),
        None => listed(moment, call, &[Role::Lead], Field::Date(DateField::Created))?,
    };
    page(desk, call, Role::Lead, found)
}

/// `GET /companies/{id}/users`.
pub(super) fn of_company(desk: &Desk, call: &Call, id: &str) -> Result<String, ApiError> {
    let company = companies::find(desk.moment, id).ok_or_else(companies::not_found)?;
    page(desk, call, Role::User, desk.moment.contacts_of_company(company).into())
}

pub(super) fn show(moment: &Moment, id: &str, role: Role) -> Result<String, ApiError> {
    user(moment, find(moment, id, role)?)
}

/// Everybody of a role, a hundred a call, in the order of creation (an assumption).
pub(super) fn scroll(desk: &Desk, call: &Call, role: Role) -> Result<String, ApiError> {
    let moment = desk.moment;
    let (kind, list, entries) = words(role);
    let all = || of_roles(moment, &moment.contacts, &[role]).collect::<Arc<[u32]>>();
    let (shown, param) = desk.scrolls.next(kind, call, all)?;
    // Whoever went since the scroll was opened is left out, so a page can be shorter.
    let shown = shown.into_iter().filter(|index| moment.contact(*index).exists_at(moment.now));
    let shown: Vec<Value> = shown.map(|index| person_body(moment, index)).collect();
    write(&json!({"type": list, entries: shown, "scroll_param": param}))
}

/// One person as a bare object.
pub(super) fn user(moment: &Moment, index: u32) -> Result<String, ApiError> {
    write(&person_body(moment, index))
}

/// A contact of a role by Intercom's id. That a lead is not found among the users, nor a user among the leads, is an assumption.
pub(super) fn find(moment: &Moment, id: &str, role: Role) -> Result<u32, ApiError> {
    let found = moment.find_contact(id).filter(|index| moment.contact(*index).role_at(moment.now) == role);
    found.ok_or_else(ApiError::contact_not_found)
}

/// A lead by the user id that was generated for it.
pub(super) fn find_lead_by_user_id(moment: &Moment, user_id: &str) -> Result<u32, ApiError> {
    let mut leads = of_roles(moment, &moment.contacts, &[Role::Lead]);
    leads.find(|index| lead_user_id(moment.contact(*index)) == user_id).ok_or_else(ApiError::contact_not_found)
}

fn words(role: Role) -> (Kind, &'static str, &'static str) {
    match role {
        Role::User => (Kind::Users, "user.list", "users"),
        Role::Lead => (Kind::Leads, "contact.list", "contacts"),
    }
}

fn of_roles(moment: &Moment, members: &[u32], roles: &[Role]) -> impl Iterator<Item = u32> {
    members.iter().copied().filter(|index| roles.contains(&moment.contact(*index).role_at(moment.now)))
}

fn page(desk: &Desk, call: &Call, role: Role, found: Arc<[u32]>) -> Result<String, ApiError> {
    let page = numbered::page(desk, call, &found, numbered::descending(call)?, 50, desk.cap_silent)?;
    let shown: Vec<Value> = page.shown.into_iter().map(|index| person_body(desk.moment, index)).collect();
    let (_, list, entries) = words(role);
    let mut body = json!({"type": list, "pages": page.pages, entries: shown, "total_count": page.total_count});
    if role == Role::Lead {
        body["limited"] = json!(false);
    }
    write(&body)
}

/// Everybody that the filters let through, ascending by the sort field, then id.
fn listed(moment: &Moment, call: &Call, roles: &[Role], sort: Field) -> Result<Arc<[u32]>, ApiError> {
    let (tag, segment, company) = (call.parameter("tag_id"), call.parameter("segment_id"), call.parameter("company_id"));
    if tag.is_some() && segment.is_some() {
        return Err(ApiError::parameter_invalid("tag_id and segment_id cannot be combined"));
    }
    let mut groups: Vec<&[u32]> = Vec::new();
    groups.extend(tag.map(|id| members_of_tag(moment, id)).transpose()?);
    groups.extend(segment.map(|id| members_of_segment(moment, id)).transpose()?);
    groups.extend(company.map(|id| members_of_company(moment, id)).transpose()?);
    let days = call.parameter("created_since").map(str::parse::<i64>).transpose();
    let days = days.map_err(|_| ApiError::parameter_invalid("created_since must be a number of days"))?;
    let since = days.map_or(i64::MIN, |days| moment.now.saturating_sub(days.saturating_mul(DAY)));
    let name = format!("1.x {roles:?} {sort:?} {tag:?} {segment:?} {company:?} {since}");
    Ok(moment.found(name, || {
        let (first, others) = groups.split_first().map_or((&moment.contacts[..], &[][..]), |(first, others)| (*first, others));
        let mut found: Vec<u32> = of_roles(moment, first, roles)
            .filter(|index| moment.contact(*index).created_at >= since)
            .filter(|index| others.iter().all(|members| members.binary_search_by(|member| moment.order(*member, *index)).is_ok()))
            .collect();
        if sort != Field::Date(DateField::Created) {
            let place = |index: &u32| -> (Key, &str) { (key(moment, *index, sort), &moment.contact(*index).id) };
            found.sort_by_cached_key(place);
        }
        found
    }))
}

/// Archived tags have no members to list, unknown ones are 404 (both assumptions).
fn members_of_tag<'a>(moment: &'a Moment, id: &str) -> Result<&'a [u32], ApiError> {
    let known = moment.find_tag(id).is_some() || ARCHIVED_TAGS.iter().any(|tag| tag.id == id);
    if known { Ok(moment.members_of_tag(id)) } else { Err(ApiError::resource_not_found()) }
}

fn members_of_segment<'a>(moment: &'a Moment, id: &str) -> Result<&'a [u32], ApiError> {
    let known = moment.world.segments.iter().any(|segment| segment.id == id) || ARCHIVED_SEGMENTS.iter().any(|segment| segment.id == id);
    if known { Ok(moment.members_of_segment(id)) } else { Err(ApiError::resource_not_found()) }
}

/// The id is the customer's own or, as an assumption, Intercom's.
fn members_of_company<'a>(moment: &'a Moment, id: &str) -> Result<&'a [u32], ApiError> {
    let company = companies::find_by_company_id(moment, id).or_else(|| companies::find(moment, id));
    company.map(|company| moment.contacts_of_company(company)).ok_or_else(companies::not_found)
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
