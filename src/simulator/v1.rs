//! The 1.x dialect: users and leads apart, page numbers, scrolls. A function of the moment, the open scroll and the call.

mod conversations;
mod people;
mod person_body;

use super::api_error::ApiError;
use super::call::{Call, Desk};
use super::enrolment::Data;
use super::world::people::Role;
use super::world_view::WorldView;
use super::{companies, counts, segments, tagging, workspace};

use self::people::{leads, user};

/// Answers a read with a JSON body.
///
/// # Errors
/// What the API refuses, in its words. What 2.x alone has is 400 `intercom_version_invalid`; unknown paths and methods a path lacks are 404.
pub(crate) fn answer(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let view = desk.view;
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["users"]) => people::users(desk, call),
        ("GET", ["users", "scroll"]) => people::scroll(desk, call, Role::User),
        ("GET", ["users", id]) => people::show(view, id, Role::User),
        ("GET", ["contacts"]) => leads(desk, call),
        ("GET", ["contacts", "scroll"]) => people::scroll(desk, call, Role::Lead),
        ("GET", ["contacts", id]) => people::show(view, id, Role::Lead),
        ("GET", ["tags"]) => tagging::list(view, call),
        ("GET", ["tags", id]) => tagging::show(view, id),
        ("GET", ["segments"]) => segments::list(view, call),
        ("GET", ["segments", id]) => segments::show(view, call, id),
        ("GET", ["counts"]) => counts::counts(desk, call),
        ("GET", ["companies"]) => companies::list(desk, call),
        ("GET", ["companies", "scroll"]) => companies::scroll(desk, call),
        ("GET", ["companies", id]) => companies::show(view, id),
        ("GET", ["companies", id, "users"]) => people::of_company(desk, call, id),
        ("GET", ["conversations"]) => conversations::list(desk, call),
        ("GET", ["conversations", id]) => conversations::show(view, id),
        ("GET", ["admins"]) => workspace::admins(),
        ("GET", ["me"]) => workspace::me(view),
        (_, ["contacts" | "conversations", "search"] | ["contacts", _, _, ..] | ["companies", "list"] | ["data_attributes"]) => {
            Err(ApiError::version_invalid())
        }
        _ => Err(ApiError::resource_not_found()),
    }
}

/// Does what a write asks, and answers it: the moment after it, and a body.
///
/// # Errors
/// As for reads; then nothing is done.
pub(crate) fn write(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    match (call.method.as_str(), call.segments().as_slice()) {
        ("POST", ["tags"]) => tagging::post(view, call),
        ("DELETE", ["tags", id]) => tagging::delete(view, call, id),
        ("POST", ["users"]) => save_user(view, call),
        ("POST", ["contacts"]) => save_lead(view, call),
        (_, ["contacts", _, ..] | ["data_attributes", ..]) => Err(ApiError::version_invalid()),
        _ => Err(ApiError::resource_not_found()),
    }
}

/// `POST /users`: writes to the user by id, by user id, or by an address of one user alone; else makes one.
fn save_user(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    let data = Data::read(&call.object()?, "user_id")?;
    if data.id.is_none() && data.external_id.is_none() && data.email.as_deref().unwrap_or_default().is_empty() {
        return Err(ApiError::parameter_invalid("one of id, user_id and email is required"));
    }
    let existing = data.find_user(view)?;
    let (next, index) = data.save(view, existing, Role::User);
    let body = user(&next, index)?;
    Ok((next, body))
}

/// `POST /contacts`: a new lead every time, unless an id or a lead's generated user id names one.
fn save_lead(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    let mut data = Data::read(&call.object()?, "user_id")?;
    let existing = match (&data.id, data.external_id.take()) {
        (Some(id), _) => Some(people::find(view, id, Role::Lead)?),
        (None, Some(user_id)) => Some(people::find_lead_by_user_id(view, &user_id)?),
        (None, None) => None,
    };
    let (next, index) = data.save(view, existing, Role::Lead);
    let body = user(&next, index)?;
    Ok((next, body))
}
