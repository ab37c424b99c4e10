//! The 2.x dialect: contacts, searches, cursors. A function of the moment, the open scroll and the call; HTTP around it is [`super::answer`]'s
//! business.

mod attributes;
mod contact_body;
mod contacts;
mod conversation_body;
mod conversations;

use super::api_error::ApiError;
use super::call::{Call, Desk};
use super::moment::Moment;
use super::version::V2_6;
use super::{companies, counts, segments, tagging, workspace};

/// Answers a call with a JSON body.
///
/// # Errors
/// What the API refuses, in its words. What 1.x alone has is 400 `intercom_version_invalid`; unknown paths and methods a path lacks are 404.
pub(crate) fn answer(desk: &Desk, call: &Call) -> Result<String, ApiError> {
    let moment = desk.moment;
    match (call.method.as_str(), call.segments().as_slice()) {
        ("GET", ["me"]) => workspace::me(moment),
        ("GET", ["admins"]) => workspace::admins(),
        ("GET", ["data_attributes"]) => attributes::list(call),
        ("GET", ["tags"]) => tagging::list(moment, call),
        ("GET", ["tags", id]) => tagging::show(moment, id),
        ("GET", ["segments"]) => segments::list(moment, call),
        ("GET", ["segments", id]) => segments::show(moment, call, id),
        ("GET", ["contacts"]) => contacts::list(moment, call),
        ("POST", ["contacts", "search"]) => contacts::search(moment, call),
        (_, ["contacts", "scroll"]) => Err(ApiError::version_invalid()),
        ("GET", ["contacts", id]) => contacts::show(moment, call, id),
        ("GET", ["contacts", id, "tags"]) => contacts::tags(moment, call, id),
        ("GET", ["contacts", id, "segments"]) => contacts::segments(moment, call, id),
        ("GET", ["contacts", id, "companies"]) => contacts::companies(moment, call, id),
        ("GET", ["conversations"]) => conversations::list(moment, call),
        ("POST", ["conversations", "search"]) => conversations::search(moment, call),
        ("GET", ["companies"]) => companies::list(desk, call),
        ("POST", ["companies", "list"]) => companies::list_all(desk, call),
        ("GET", ["companies", "scroll"]) => companies::scroll(desk, call),
        ("GET", ["companies", id]) => companies::show(moment, id),
        ("GET", ["counts"]) if call.version <= V2_6 => counts::counts(desk, call),
        (_, ["users", ..] | ["counts"]) => Err(ApiError::version_invalid()),
        _ => Err(ApiError::resource_not_found()),
    }
}

/// Does what a write asks, and answers it: the moment after it, and a body.
///
/// # Errors
/// As for reads; then nothing is done.
pub(crate) fn write(moment: &Moment, call: &Call) -> Result<(Moment, String), ApiError> {
    match (call.method.as_str(), call.segments().as_slice()) {
        ("POST", ["tags"]) => tagging::post(moment, call),
        ("DELETE", ["tags", id]) => tagging::delete(moment, call, id),
        ("POST", ["contacts"]) => contacts::create(moment, call),
        ("POST", ["contacts", id, "tags"]) => tagging::attach(moment, call, contacts::existing(moment, call, id)?),
        ("DELETE", ["contacts", id, "tags", tag]) => tagging::detach(moment, contacts::existing(moment, call, id)?, tag),
        (_, ["users", ..]) => Err(ApiError::version_invalid()),
        _ => Err(ApiError::resource_not_found()),
    }
}
