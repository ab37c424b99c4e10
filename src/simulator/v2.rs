//! The 2.x dialect: contacts, searches, cursors. A response depends only on the view, the open scroll and the call. [`super::answer`] is
//! the HTTP layer.

mod attributes;
mod contact_body;
mod contacts;
mod conversation_body;
mod conversations;
mod subscriptions;

use super::api_error::ApiError;
use super::call::Call;
use super::context::ReadContext;
use super::version::{V2_5, V2_6};
use super::world_view::WorldView;
use super::{companies, counts, segments, tagging, workspace};

/// Answers a call with a JSON body.
///
/// # Errors
/// Errors as the API sends them: 400 `intercom_version_invalid` for resources that only 1.x has, 404 for unknown paths and methods.
pub(crate) fn answer(context: &ReadContext, call: &Call) -> Result<String, ApiError> {
    let view = context.view;
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["me"]) => workspace::me(view),
        ("GET", ["admins"]) => workspace::admins(),
        ("GET", ["data_attributes"]) => attributes::list(call),
        ("GET", ["tags"]) => tagging::list(view, call),
        ("GET", ["tags", id]) => tagging::show(view, id),
        ("GET", ["segments"]) => segments::list(view, call),
        ("GET", ["segments", id]) => segments::show(view, call, id),
        ("GET", ["contacts"]) => contacts::list(view, call),
        ("POST", ["contacts", "search"]) => contacts::search(view, call),
        (_, ["contacts", "scroll"]) => Err(ApiError::version_invalid()),
        ("GET", ["contacts", id]) => contacts::show(view, call, id),
        ("GET", ["contacts", id, "tags"]) => contacts::tags(view, call, id),
        ("GET", ["contacts", id, "subscriptions"]) if call.version >= V2_5 => subscriptions::of_contact(view, call, id),
        ("GET", ["subscription_types"]) if call.version >= V2_5 => subscriptions::types(),
        ("GET", ["contacts", id, "segments"]) => contacts::segments(view, call, id),
        ("GET", ["contacts", id, "companies"]) => contacts::companies(view, call, id),
        ("GET", ["conversations"]) => conversations::list(view, call),
        ("GET", ["conversations", id]) => conversations::show(view, call, id),
        ("POST", ["conversations", "search"]) => conversations::search(view, call),
        ("GET", ["companies"]) => companies::list(context, call),
        ("POST", ["companies", "list"]) => companies::list_all(context, call),
        ("GET", ["companies", "scroll"]) => companies::scroll(context, call),
        ("GET", ["companies", id]) => companies::show(view, id),
        ("GET", ["counts"]) if call.version <= V2_6 => counts::counts(context, call),
        (_, ["users", ..] | ["counts"]) => Err(ApiError::version_invalid()),
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
        ("POST", ["contacts"]) => contacts::create(view, call),
        ("POST", ["contacts", id, "tags"]) => tagging::attach(view, call, contacts::existing(view, call, id)?),
        ("DELETE", ["contacts", id, "tags", tag]) => tagging::detach(view, contacts::existing(view, call, id)?, tag),
        ("POST", ["conversations", id, "tags"]) => conversations::attach(view, call, id),
        ("DELETE", ["conversations", id, "tags", tag]) => conversations::detach(view, call, id, tag),
        (_, ["users", ..]) => Err(ApiError::version_invalid()),
        _ => Err(ApiError::resource_not_found()),
    }
}
