//! The 2.x dialect: routes and bodies. A function of the moment and the call alone; HTTP around it is [`super::answer`]'s business.

mod attributes;
mod contact_body;
mod contacts;
mod conversation_body;
mod conversations;
mod groups;

use axum::body::Bytes;
use axum::http::Method;
use serde::Serialize;
use serde_json::Value;

use super::api_error::ApiError;
use super::moment::Moment;
use super::version::Version;

/// A request as far as the dialect sees it.
pub struct Call {
    pub method: Method,
    pub path: String,
    /// Decoded pairs, in order.
    pub query: Vec<(String, String)>,
    pub body: Bytes,
    pub version: Version,
}

impl Call {
    /// A query parameter; the last one counts.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter as JSON text, for code that takes values from bodies, too.
    fn parameter_value(&self, name: &str) -> Option<Value> {
        self.parameter(name).map(Value::from)
    }

    /// The body as a JSON object.
    fn object(&self) -> Result<Value, ApiError> {
        let body: Value = serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::parameter_invalid(format!("Request body is not valid JSON: {error}")))?;
        if body.is_object() { Ok(body) } else { Err(ApiError::parameter_invalid("Request body is not a JSON object")) }
    }
}

/// Answers a call with a JSON body.
///
/// # Errors
/// What the API refuses, in its words. Unknown paths and methods a path lacks are 404.
pub fn answer(moment: &Moment, call: &Call) -> Result<String, ApiError> {
    let path: Vec<&str> = call.path.trim_matches('/').split('/').collect();
    match (call.method.as_str(), path.as_slice()) {
        ("GET", ["me"]) => attributes::me(moment),
        ("GET", ["data_attributes"]) => attributes::list(call),
        ("GET", ["tags"]) => groups::tags(moment),
        ("GET", ["tags", id]) => groups::tag(moment, id),
        ("GET", ["segments"]) => groups::segments(moment, call),
        ("GET", ["segments", id]) => groups::segment(moment, call, id),
        ("GET", ["contacts"]) => contacts::list(moment, call),
        ("POST", ["contacts", "search"]) => contacts::search(moment, call),
        ("GET", ["contacts", id]) => contacts::show(moment, call, id),
        ("GET", ["contacts", id, "tags"]) => contacts::tags(moment, call, id),
        ("GET", ["contacts", id, "segments"]) => contacts::segments(moment, call, id),
        ("GET", ["contacts", id, "companies"]) => contacts::companies(moment, call, id),
        ("GET", ["conversations"]) => conversations::list(moment, call),
        ("POST", ["conversations", "search"]) => conversations::search(moment, call),
        _ => Err(ApiError::resource_not_found()),
    }
}

/// Writes a body. Bodies are plain structs and maps with text keys, which always have a JSON form.
fn write(body: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "a body has no JSON form");
        ApiError::of_status(500)
    })
}
