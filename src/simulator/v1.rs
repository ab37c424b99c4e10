//! The 1.x dialect: separate users and leads, page numbers, scrolls. A response depends only on the view, the open scroll and the call.

mod conversations;
mod people;
mod person_body;

use super::api_error::ApiError;
use super::call::Call;
use super::contact_data::ContactData;
use super::context::ReadContext;
use super::world::people::Role;
use super::world_view::WorldView;
use super::{companies, counts, segments, tagging, workspace};

use self::people::{leads, user};

/// Answers a read with a JSON body.
///
/// # Errors
/// Errors as the API sends them: 400 `intercom_version_invalid` for resources that only 2.x has, 404 for unknown paths and methods.
pub(crate) fn answer(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["users"]) => people::users(context, call),
        ("GET", ["users", "scroll"]) => people::scroll(context, call, Role::User),
        ("GET", ["users", id]) => people::show(view, id, Role::User),
        ("GET", ["contacts"]) => leads(context, call),
        ("GET", ["contacts", "scroll"]) => people::scroll(context, call, Role::Lead),
        ("GET", ["contacts", id]) => people::show(view, id, Role::Lead),
        ("GET", ["tags"]) => tagging::list(view, call),
        ("GET", ["tags", id]) => tagging::show(view, id),
        ("GET", ["segments"]) => segments::list(view, call),
        ("GET", ["segments", id]) => segments::show(view, call, id),
        ("GET", ["counts"]) => counts::counts(context, call),
        ("GET", ["companies"]) => companies::list(context, call),
        ("GET", ["companies", "scroll"]) => companies::scroll(context, call),
        ("GET", ["companies", id]) => companies::show(view, id),
        ("GET", ["companies", id, "users"]) => people::of_company(context, call, id),
        ("GET", ["conversations"]) => conversations::list(context, call),
        ("GET", ["conversations", id]) => conversations::show(view, id),
        ("GET", ["admins"]) => workspace::admins(),
        ("GET", ["me"]) => workspace::me(view),
        (
            _,
            ["contacts" | "conversations", "search"]
            | ["contacts", _, _, ..]
            | ["companies", "list"]
            | ["data_attributes" | "subscription_types"],
        ) => Err(ApiError::version_invalid()),
        _ => Err(ApiError::resource_not_found()),
    }
}

/// Executes a write. Returns the view after it, and the body of the response.
///
/// # Errors
/// The same errors as for reads. After an error nothing was changed.
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

/// `POST /users`: updates the user with this id, user id or unique email address, or creates a user if there is none.
fn save_user(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    let data = ContactData::read(&call.object()?, "user_id")?;
    if data.id.is_none() && data.external_id.is_none() && data.email.as_deref().unwrap_or_default().is_empty() {
        return Err(ApiError::parameter_invalid("one of id, user_id and email is required"));
    }
    let existing = data.find_user(view)?;
    let (next, index) = data.save(view, existing, Role::User);
    let body = user(&next, index)?;
    Ok((next, body))
}

/// `POST /contacts`: updates a lead, which is found by its `id`, or else by the user id that was generated for it. If the request has neither,
/// a new lead is created.
fn save_lead(view: &WorldView, call: &Call) -> Result<(WorldView, String), ApiError> {
    let mut data = ContactData::read(&call.object()?, "user_id")?;
    let existing = match (&data.id, data.external_id.take()) {
        (Some(id), _) => Some(people::find(view, id, Role::Lead)?),
        (None, Some(user_id)) => Some(people::find_lead_by_user_id(view, &user_id)?),
        (None, None) => None,
    };
    let (next, index) = data.save(view, existing, Role::Lead);
    let body = user(&next, index)?;
    Ok((next, body))
}
