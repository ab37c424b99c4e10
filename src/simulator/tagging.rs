//! Reads and writes of `/tags`, in both generations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, write};
use super::companies;
use super::overlay::Overlay;
use super::version::{V2_5, V2_16};
use super::world::ADMINS;
use super::world::companies::SEGMENTS;
use super::world::groups::ARCHIVED_TAGS;
use super::world::people::{Role, TagSpell};
use super::world_view::{ListedTag, WorldView};

/// The longest name of a tag, in characters. Longer names are refused (an assumption).
const MAX_NAME: usize = 255;

/// `GET /tags`, which returns all tags in one response.
pub(crate) fn list(view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let tags: Vec<Value> = view.tags().map(|tag| tag_body(tag.id, tag.name)).collect();
    write(&if call.version.is_legacy() { json!({"type": "tag.list", "tags": tags}) } else { json!({"type": "list", "data": tags}) })
}

/// `GET /tags/{id}`, also for archived tags.
pub(crate) fn show(view: &WorldView, id: &str) -> Result<String, ApiError> {
    let archived = || ARCHIVED_TAGS.iter().find(|tag| tag.id == id).map(|tag| tag_body(tag.id, tag.name));
    let body = view.find_tag(id).map(|tag| tag_body(tag.id, tag.name)).or_else(archived);
    write(&body.ok_or_else(ApiError::resource_not_found)?)
}

fn tag_body(id: &str, name: &str) -> Value {
    json!({"type": "tag", "id": id, "name": name})
}

/// A tag of a contact or a conversation, with who added it and when.
pub(crate) fn applied_tag(tag: ListedTag, spell: &TagSpell) -> Value {
    let applied_by = json!({"type": "admin", "id": ADMINS[usize::from(spell.admin)].0.to_string()});
    json!({"type": "tag", "id": tag.id, "name": tag.name, "applied_at": spell.from, "applied_by": applied_by})
}

/// `POST /tags`: creates or renames a tag, adds it to contacts or companies, or removes it from them. The changed overlay is returned only
/// if the whole call succeeded. So before 2.16 nobody is tagged if one member is unknown. From 2.16 on, unknown members are skipped.
pub(crate) fn post(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
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
    let mut draft = (*view.overlay).clone();
    let number = match (id(body.get("id")), name) {
        (Some(id), name) => {
            let tag = view.find_tag(&id).ok_or_else(ApiError::resource_not_found)?;
            match name {
                Some(name) => rename(view, &mut draft, tag, name)?,
                None if users.is_none() && companies.is_none() => return Err(invalid()),
                None => {}
            }
            tag.number
        }
        (None, Some(name)) => match find_by_name(view, name) {
            Some(tag) => tag.number,
            None => draft.create_tag(&view.world, name.to_owned(), view.now).ok_or_else(|| ApiError::parameter_invalid("too many tags"))?,
        },
        (None, None) => return Err(invalid()),
    };
    // The changed members by id, and whether each has the tag now.
    let (mut done_users, mut done_companies) = (BTreeMap::new(), BTreeMap::new());
    let skips = call.version >= V2_16;
    for member in users.into_iter().flatten() {
        match find_contact(view, call, member) {
            Ok(index) => {
                draft.tag_contact(&view.world, index, number, !untags(member), view.now);
                done_users.insert(view.contact(index).id.clone(), !untags(member));
            }
            Err(error) if !skips || error.status != StatusCode::NOT_FOUND => return Err(error),
            Err(_) => {}
        }
    }
    for member in companies.into_iter().flatten() {
        match find_company(view, member) {
            Some(index) => {
                draft.tag_company(index, number, !untags(member), view.now);
                done_companies.insert(view.world.companies[index as usize].id.clone(), !untags(member));
            }
            None if !skips => return Err(companies::not_found()),
            None => {}
        }
    }
    let next = view.with_overlay(Arc::new(draft));
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

/// `DELETE /tags/{id}`, which answers 200 without a body.
pub(crate) fn delete(view: &WorldView, call: &Call, id: &str) -> Result<(WorldView, String), ApiError> {
    let tag = view.find_tag(id).ok_or_else(ApiError::resource_not_found)?;
    let dependent: Vec<&str> = SEGMENTS.iter().filter(|segment| segment.needs_tag() == Some(tag.id)).map(|segment| segment.name).collect();
    if !dependent.is_empty() {
        let mut message = "Unable to delete Tag with dependent objects.".to_owned();
        if call.version >= V2_5 {
            message.push_str(&format!(" Segments: {}.", dependent.join(", ")));
        }
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "tag_has_dependent_objects", message));
    }
    let mut draft = (*view.overlay).clone();
    if let Some(written) = draft.edit_tag(&view.world, tag.number) {
        written.deleted_at = Some(view.now);
    }
    Ok((view.with_overlay(Arc::new(draft)), String::new()))
}

/// `POST /contacts/{id}/tags`.
pub(crate) fn attach(view: &WorldView, call: &Call, contact: u32) -> Result<(WorldView, String), ApiError> {
    let id = id(call.object()?.get("id")).ok_or_else(|| ApiError::parameter_invalid("id is required"))?;
    let tag = view.find_tag(&id).ok_or_else(ApiError::resource_not_found)?;
    let mut draft = (*view.overlay).clone();
    draft.tag_contact(&view.world, contact, tag.number, true, view.now);
    let next = view.with_overlay(Arc::new(draft));
    let answer = next.tags_of(contact).find(|(carried, _)| carried.number == tag.number).map(|(tag, spell)| applied_tag(tag, spell));
    let answer = write(&answer)?;
    Ok((next, answer))
}

/// `DELETE /contacts/{id}/tags/{tag_id}`. The answer is 404 if the contact does not have the tag (an assumption).
pub(crate) fn detach(view: &WorldView, contact: u32, id: &str) -> Result<(WorldView, String), ApiError> {
    let (tag, spell) = view.tags_of(contact).find(|(tag, _)| tag.id == id).ok_or_else(ApiError::resource_not_found)?;
    let mut draft = (*view.overlay).clone();
    draft.tag_contact(&view.world, contact, tag.number, false, view.now);
    let answer = write(&applied_tag(tag, spell))?;
    Ok((view.with_overlay(Arc::new(draft)), answer))
}

/// The number of members in a write, for tests.
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

/// Finds a tag by its name. Case does not matter.
fn find_by_name<'a>(view: &'a WorldView, name: &str) -> Option<ListedTag<'a>> {
    let name = name.to_lowercase();
    view.tags().find(|tag| tag.name.to_lowercase() == name)
}

/// Renames a tag. It is an assumption that a name in use is refused.
fn rename(view: &WorldView, draft: &mut Overlay, tag: ListedTag, name: &str) -> Result<(), ApiError> {
    if find_by_name(view, name).is_some_and(|other| other.number != tag.number) {
        return Err(ApiError::parameter_invalid("tag name is already in use"));
    }
    if let Some(written) = draft.edit_tag(&view.world, tag.number) {
        written.tag.name = name.to_owned();
    }
    Ok(())
}

/// The index of the contact that an entry of a tag call identifies, by Intercom's id. In 1.x, a user may also be identified by the
/// workspace's own id, or by an email address that no other user has.
fn find_contact(view: &WorldView, call: &Call, member: &Value) -> Result<u32, ApiError> {
    let found = match (id(member.get("id")), id(member.get("user_id")), id(member.get("email"))) {
        (Some(id), ..) => view.find_contact(&id),
        (None, Some(user_id), _) if call.version.is_legacy() => view.find_user(&user_id),
        (None, None, Some(email)) if call.version.is_legacy() => match view.with_email(&email, Role::User)[..] {
            [] => None,
            [one] => Some(one),
            _ => return Err(ApiError::shared_email()),
        },
        _ => None,
    };
    found.ok_or_else(ApiError::contact_not_found)
}

fn find_company(view: &WorldView, member: &Value) -> Option<u32> {
    match (id(member.get("id")), id(member.get("company_id"))) {
        (Some(id), _) => companies::find(view, &id),
        (None, Some(company_id)) => companies::find_by_company_id(view, &company_id),
        (None, None) => None,
    }
}

/// Reads an id, which may be a text or a number.
pub(crate) fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}
