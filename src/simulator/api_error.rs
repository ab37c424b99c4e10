//! Errors as the API sends them.

use axum::http::StatusCode;
use serde_json::json;

/// An error as it goes over the wire: a status and one entry of an `error.list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// The path in the `Link` header: the contact that a merged contact was merged into. `None` for other errors.
    pub canonical: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), canonical: None }
    }

    /// 400 `parameter_invalid`. The API's message for refused searches is not known. This message says what is refused and why.
    pub(crate) fn parameter_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter_invalid", message)
    }

    /// 400 for an invalid cursor.
    pub(crate) fn bad_cursor() -> Self {
        let message = "Invalid starting_after param. Please try again using a starting_after value from a paginated response";
        Self::new(StatusCode::BAD_REQUEST, "client_error", message)
    }

    /// 404 for unknown tags, segments and paths, and for methods that a path does not have.
    pub(crate) fn resource_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Resource Not Found")
    }

    /// 404 for unknown contacts.
    pub(crate) fn contact_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "User Not Found")
    }

    /// 409 for a request that identifies a user by an email address that several users have. The message is an assumption.
    pub(crate) fn shared_email() -> Self {
        let message = "Multiple existing users match this email address - must be more specific using user_id";
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    /// 403 for a token that may only read.
    pub(crate) fn forbidden(scope: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", format!("You do not have the required scope ({scope}) to access this resource"))
    }

    /// 500 for a broken scroll, which the client has to start again.
    pub(crate) fn scroll_broke() -> Self {
        let message = "Request failed due to an internal network error. Please restart the scroll operation.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// 404 for a scroll that is no longer open, or that is open for another list.
    pub(crate) fn scroll_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "scroll parameter not found")
    }

    /// 401 for missing or wrong credentials.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "Access Token Invalid")
    }

    /// 400 for a version that is not served.
    pub(crate) fn version_invalid() -> Self {
        let message = "Requested resource is not available in current API version.";
        Self::new(StatusCode::BAD_REQUEST, "intercom_version_invalid", message)
    }

    /// 406 for a client that does not accept JSON. The code is an assumption, because only the status is documented.
    pub(crate) fn not_acceptable() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "media_type_not_acceptable", "The Accept header should send a media type of application/json")
    }

    /// 429 for a request beyond the rate limit.
    pub(crate) fn rate_limited(limit: u32) -> Self {
        let message = format!("Exceeded rate limit of {limit} in 10_seconds");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
    }

    /// The error for a status that a fault requests.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::unauthorized(),
            403 => Self::new(StatusCode::FORBIDDEN, "api_plan_restricted", "Active subscription needed."),
            404 => Self::resource_not_found(),
            502 => Self::new(StatusCode::BAD_GATEWAY, "server_error", "Bad Gateway"),
            503 => Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", "Sorry, the API service is temporarily unavailable"),
            504 => Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", "Gateway Timeout"),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Request failed due to an internal network error."),
        }
    }

    /// The JSON body.
    pub(crate) fn body(&self, request_id: &str) -> String {
        let entry = json!({"code": self.code, "message": self.message});
        json!({"type": "error.list", "request_id": request_id, "errors": [entry]}).to_string()
    }
}
