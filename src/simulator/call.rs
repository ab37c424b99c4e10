//! A request as the dialects get it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::http::Method;
use serde::Serialize;
use serde_json::Value;

use super::api_error::ApiError;
use super::version::Version;

pub(crate) struct Call {
    pub method: Method,
    pub path: String,
    /// The decoded parameters of the query, in order.
    pub query: Vec<(String, String)>,
    pub body: Bytes,
    pub version: Version,
    /// `http://host:port` as the client wrote it. It is the base of absolute links.
    pub base: String,
    /// Whether a fault moves the last entry of a list page to the top of the next page.
    pub moves: bool,
    /// Whether a fault removes a tenth of the contacts from the index of searches and groups, and from its totals.
    pub is_behind: bool,
}

impl Call {
    /// The value of a query parameter. If a name comes several times, the last value counts. `None` if the name is missing.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter as a JSON value, for code that also reads values from bodies.
    pub(crate) fn parameter_value(&self, name: &str) -> Option<Value> {
        self.parameter(name).map(Value::from)
    }

    /// The body as a JSON object.
    pub(crate) fn object(&self) -> Result<Value, ApiError> {
        let body: Value = serde_json::from_slice(&self.body)
            .map_err(|error| ApiError::parameter_invalid(format!("Request body is not valid JSON: {error}")))?;
        if body.is_object() { Ok(body) } else { Err(ApiError::parameter_invalid("Request body is not a JSON object")) }
    }

    /// The cursor of a 2.x request, which is in the query of a list or in the body of a search. `None` if there is none, and in 1.x.
    pub(crate) fn cursor(&self) -> Option<String> {
        if self.version.is_legacy() {
            return None;
        }
        if self.method == Method::GET {
            return self.parameter("starting_after").map(str::to_owned);
        }
        let body: Value = serde_json::from_slice(&self.body).ok()?;
        Some(body["pagination"]["starting_after"].as_str()?.to_owned())
    }

    /// The contacts of `found` that the search index contains: all of them or, with `is_behind`, nine of ten.
    pub(crate) fn indexed(&self, found: Arc<[u32]>) -> Arc<[u32]> {
        if self.is_behind { found.iter().copied().filter(|index| index % 10 != 0).collect() } else { found }
    }

    /// The parts of the path.
    pub(crate) fn segments(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }

    /// Whether the request changes the workspace. Searches and `POST /companies/list` only read.
    pub(crate) fn is_write(&self) -> bool {
        is_write(&self.method, &self.path)
    }
}

pub(crate) fn is_write(method: &Method, path: &str) -> bool {
    !matches!(*method, Method::GET | Method::HEAD) && !path.ends_with("/search") && path.trim_end_matches('/') != "/companies/list"
}

/// Serialises a body. Bodies are plain structs and maps with text keys, for which this cannot fail.
pub(crate) fn write(body: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(body).map_err(|error| {
        tracing::error!(%error, "a body has no JSON form");
        ApiError::of_status(500)
    })
}
