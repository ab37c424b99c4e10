//! `/tags`, read and written, in both generations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, write};
use super::companies;
use super::moment::{ListedTag, Moment};
use super::overlay::Overlay;
use super::version::{V2_5, V2_16};
use super::world::ADMINS;
use super::world::companies::SEGMENTS;
use super::world::groups::ARCHIVED_TAGS;
use super::world::people::{Role, TagSpell};

/// Longer names of tags are refused (an assumption).
const MAX_NAME: usize = 255;

/// `GET /tags`: all of them at once.
pub(crate) fn list(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    let tags: Vec<Value> = moment.tags().map(|tag| tag_body(tag.id, tag.name)).collect();
    write(&if call.version.is_legacy() { json!({"type": "tag.list", "tags": tags}) } else { json!({"type": "list", "data": tags}) })
}

/// `GET /tags/{id}`; archived tags are shown, too.
pub(crate) fn show(moment: &Moment, id: &str) -> Result<String, ApiError> {
    let archived = || ARCHIVED_TAGS.iter().find(|tag| tag.id == id).map(|tag| tag_body(tag.id, tag.name));
    let body = moment.find_tag(id).map(|tag| tag_body(tag.id, tag.name)).or_else(archived);
    write(&body.ok_or_else(ApiError::resource_not_found)?)
}

fn tag_body(id: &str, name: &str) -> Value {
    json!({"type": "tag", "id": id, "name": name})
}

/// A tag on a contact, with who put it there and when.
pub(crate) fn applied_tag(tag: ListedTag, spell: &TagSpell) -> Value {
    let applied_by = json!({"type": "admin", "id": ADMINS[usize::from(spell.admin)].0.to_string()});
    json!({"type": "tag", "id": tag.id, "name": tag.name, "applied_at": spell.from, "applied_by": applied_by})
}

/// `POST /tags`: makes or renames a tag, puts it on contacts or on companies, or takes it from them. A draft is given back only when everything
/// went well, so an unknown member leaves everybody untagged.
pub(crate) fn post(moment: &Moment, call: &Call) -> Result<(Moment, String), ApiError> {
    let invalid = || ApiError::parameter_invalid("invalid tag parameters");
    let body = call.object()?;
    let name = match body.get("name") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) if !name.trim().is_empty() => Some(name.as_str()),
        Some(_) => return Err(invalid()),
    };
    if name.is_some_and(|name| name.chars().count() > MAX_NAME) {
        return Err(ApiError::parameter_invalid(format!("tag name is too long (maximum is {MAX_NAME} characters)")));
    }
    let (users, companies) = (members(&body, "users")?, members(&body, "companies")?);
    if users.is_some() && companies.is_some() {
        return Err(ApiError::parameter_invalid("users and companies cannot be tagged in one request"));
    }
    let mut draft = (*moment.overlay).clone();
    let number = match (id(body.get("id")), name) {
        (Some(id), name) => {
            let tag = moment.find_tag(&id).ok_or_else(ApiError::resource_not_found)?;
            match name {
                Some(name) => rename(moment, &mut draft, tag, name)?,
                None if users.is_none() && companies.is_none() => return Err(invalid()),
                None => {}
            }
            tag.number
        }
        (None, Some(name)) => match find_by_name(moment, name) {
            Some(tag) => tag.number,
            None => {
                draft.create_tag(&moment.world, name.to_owned(), moment.now).ok_or_else(|| ApiError::parameter_invalid("too many tags"))?
            }
        },
        (None, None) => return Err(invalid()),
    };
    // Handled members by id, and whether each carries the tag now.
    let (mut done_users, mut done_companies) = (BTreeMap::new(), BTreeMap::new());
    let skips = call.version >= V2_16;
    for member in users.into_iter().flatten() {
        match find_contact(moment, call, member) {
            Ok(index) => {
                draft.tag_contact(&moment.world, index, number, !untags(member), moment.now);
                done_users.insert(moment.contact(index).id.clone(), !untags(member));
            }
            Err(error) if !skips || error.status != StatusCode::NOT_FOUND => return Err(error),
            Err(_) => {}
        }
    }
    for member in companies.into_iter().flatten() {
        match find_company(moment, member) {
            Some(index) => {
                draft.tag_company(index, number, !untags(member), moment.now);
                done_companies.insert(moment.world.companies[index as usize].id.clone(), !untags(member));
            }
            None if !skips => return Err(companies::not_found()),
            None => {}
        }
    }
    let next = moment.with_overlay(Arc::new(draft));
    let tag = next.tag(number).ok_or_else(ApiError::resource_not_found)?;
    let mut answer = tag_body(tag.id, tag.name);
    if skips {
        let listed = |done: BTreeMap<String, bool>| done.into_iter().map(|(id, tagged)| json!({"id": id, "tagged": tagged})).collect();
        answer["users"] = listed(done_users);
        answer["companies"] = listed(done_companies);
    }
    let answer = write(&answer)?;
    Ok((next, answer))
}

/// `DELETE /tags/{id}`: 200 without a body.
pub(crate) fn delete(moment: &Moment, call: &Call, id: &str) -> Result<(Moment, String), ApiError> {
    let tag = moment.find_tag(id).ok_or_else(ApiError::resource_not_found)?;
    let dependent: Vec<&str> = SEGMENTS.iter().filter(|segment| segment.needs_tag() == Some(tag.id)).map(|segment| segment.name).collect();
    if !dependent.is_empty() {
        let mut message = "Unable to delete Tag with dependent objects.".to_owned();
        if call.version >= V2_5 {
            message.push_str(&format!(" Segments: {}.", dependent.join(", ")));
        }
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "tag_has_dependent_objects", message));
    }
    let mut draft = (*moment.overlay).clone();
    if let Some(written) = draft.edit_tag(&moment.world, tag.number) {
        written.deleted_at = Some(moment.now);
    }
    Ok((moment.with_overlay(Arc::new(draft)), String::new()))
}

/// `POST /contacts/{id}/tags`.
pub(crate) fn attach(moment: &Moment, call: &Call, contact: u32) -> Result<(Moment, String), ApiError> {
    let id = id(call.object()?.get("id")).ok_or_else(|| ApiError::parameter_invalid("id is required"))?;
    let tag = moment.find_tag(&id).ok_or_else(ApiError::resource_not_found)?;
    let mut draft = (*moment.overlay).clone();
    draft.tag_contact(&moment.world, contact, tag.number, true, moment.now);
    let next = moment.with_overlay(Arc::new(draft));
    let answer = next.tags_of(contact).find(|(carried, _)| carried.number == tag.number).map(|(tag, spell)| applied_tag(tag, spell));
    let answer = write(&answer)?;
    Ok((next, answer))
}

/// `DELETE /contacts/{id}/tags/{tag_id}`; a tag that the contact does not carry is not found (an assumption).
pub(crate) fn detach(moment: &Moment, contact: u32, id: &str) -> Result<(Moment, String), ApiError> {
    let (tag, spell) = moment.tags_of(contact).find(|(tag, _)| tag.id == id).ok_or_else(ApiError::resource_not_found)?;
    let mut draft = (*moment.overlay).clone();
    draft.tag_contact(&moment.world, contact, tag.number, false, moment.now);
    let answer = write(&applied_tag(tag, spell))?;
    Ok((moment.with_overlay(Arc::new(draft)), answer))
}

/// How many members a write names, for tests.
pub(crate) fn count_members(body: &[u8]) -> usize {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    ["users", "companies"].iter().filter_map(|key| body[key].as_array()).map(Vec::len).sum()
}

fn members<'a>(body: &'a Value, key: &str) -> Result<Option<&'a Vec<Value>>, ApiError> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(members)) if members.iter().all(Value::is_object) => Ok(Some(members)),
        Some(_) => Err(ApiError::parameter_invalid("invalid tag parameters")),
    }
}

fn untags(member: &Value) -> bool {
    member["untag"] == true
}

/// Names are compared without case.
fn find_by_name<'a>(moment: &'a Moment, name: &str) -> Option<ListedTag<'a>> {
    let name = name.to_lowercase();
    moment.tags().find(|tag| tag.name.to_lowercase() == name)
}

/// That a name somebody else has is refused is an assumption.
fn rename(moment: &Moment, draft: &mut Overlay, tag: ListedTag, name: &str) -> Result<(), ApiError> {
    if find_by_name(moment, name).is_some_and(|other| other.number != tag.number) {
        return Err(ApiError::parameter_invalid("tag name is already in use"));
    }
    if let Some(written) = draft.edit_tag(&moment.world, tag.number) {
        written.tag.name = name.to_owned();
    }
    Ok(())
}

/// A member by Intercom's id or, in 1.x, as a user by the customer's own id or by an address that nobody else has. Leads have Intercom's id only.
fn find_contact(moment: &Moment, call: &Call, member: &Value) -> Result<u32, ApiError> {
    let found = match (id(member.get("id")), id(member.get("user_id")), id(member.get("email"))) {
        (Some(id), ..) => moment.find_contact(&id),
        (None, Some(user_id), _) if call.version.is_legacy() => moment.find_user(&user_id),
        (None, None, Some(email)) if call.version.is_legacy() => match moment.with_email(&email, Role::User)[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(ApiError::shared_email()),
        },
        _ => None,
    };
    found.ok_or_else(ApiError::contact_not_found)
}

fn find_company(moment: &Moment, member: &Value) -> Option<u32> {
    match (id(member.get("id")), id(member.get("company_id"))) {
        (Some(id), _) => companies::find(moment, &id),
        (None, Some(company_id)) => companies::find_by_company_id(moment, &company_id),
        (None, None) => None,
    }
}

/// Ids come as text and as numbers.
pub(crate) fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}
