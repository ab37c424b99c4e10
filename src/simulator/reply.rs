//! Sends a response: adds the common headers, and decides how much of the response is sent, and when.

use std::io;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures_util::stream;

use super::api_error::ApiError;
use super::connection::ConnectionControl;
use super::limits::Verdict;
use super::traffic::InFlight;

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// The hash of the server's build. It is not the API's version.
const BUILD: &str = "3f0c7c8d1b5e4a6f9d2e8c7b6a5f4e3d2c1b0a9f";
/// The size in bytes of a chunk of a trickling response, and the pause after each chunk. A page of usual length takes minutes, but the
/// response for a single object does not.
const CHUNK: usize = 256;
const PAUSE: Duration = Duration::from_secs(1);

/// A response before the common headers.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub content_type: Option<&'static str>,
    pub body: Bytes,
    /// Whether the body is compressed already.
    pub gzipped: bool,
    pub link: Option<String>,
    /// Replaces the server's own `Date`.
    pub date: Option<String>,
    /// The `Age` header, in seconds.
    pub age: Option<i64>,
    pub rate: Option<Verdict>,
    pub delivery: Delivery,
}

/// How a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    /// Half of the body, then the end of the connection.
    Cut,
    /// Nothing. The connection is reset.
    Reset,
    /// In small chunks.
    Trickle,
    /// Nothing. The connection stays open.
    Never,
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>, rate: Option<Verdict>) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            body: body.into(),
            gzipped: false,
            link: None,
            date: None,
            age: None,
            rate,
            delivery: Delivery::Whole,
        }
    }

    pub(crate) fn error(error: &ApiError, request_id: &str, rate: Option<Verdict>) -> Self {
        let link = error.canonical.as_ref().map(|path| format!("<{path}>; rel=\"canonical\""));
        // Errors of the server itself come without rate headers.
        let rate = rate.filter(|_| !error.status.is_server_error());
        Self { link, ..Self::new(error.status, JSON, error.body(request_id), rate) }
    }

    /// An error of the server or of a proxy, as an HTML page.
    pub(crate) fn error_page(status: StatusCode) -> Self {
        let title = match status {
            StatusCode::INTERNAL_SERVER_ERROR => "We're sorry, but something went wrong (500)".to_owned(),
            other => other.to_string(),
        };
        let body = format!("<!DOCTYPE html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
        Self::new(status, HTML, body, None)
    }

    /// A status and nothing else.
    pub(crate) fn bare(status: StatusCode) -> Self {
        Self { content_type: None, ..Self::new(status, JSON, "", None) }
    }
}

/// Builds the response. For a trickling response, `in_flight` is dropped when the whole body was sent; for other responses, when this
/// function returns.
pub(crate) fn finish(
    reply: Reply,
    request_id: &str,
    begun: Instant,
    connection: Option<ConnectionControl>,
    in_flight: InFlight,
) -> Response {
    let length = reply.body.len();
    let body = match reply.delivery {
        Delivery::Trickle => trickling(reply.body, connection.clone(), in_flight),
        _ => Body::from(reply.body),
    };
    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if let Some(content_type) = reply.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if matches!(reply.delivery, Delivery::Cut | Delivery::Trickle) {
        // This prevents compression, so that the part of the body that is sent is readable as it is.
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if reply.gzipped {
        // This body is already compressed. The compression layer skips it and does not add `Vary`, so `Vary` is added here.
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    // All values below are visible ASCII. A value that is not valid in a header would be left out.
    let mut add = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    add("x-request-id", request_id.to_owned());
    add("x-intercom-version", BUILD.to_owned());
    add("x-runtime", format!("{:.6}", begun.elapsed().as_secs_f64()));
    if let Some(rate) = reply.rate {
        add("x-ratelimit-limit", rate.limit.to_string());
        add("x-ratelimit-remaining", rate.remaining.to_string());
        add("x-ratelimit-reset", rate.reset.to_string());
    }
    let link = reply.link.map(|link| ("link", link));
    let age = reply.age.map(|age| ("age", age.to_string()));
    for (name, value) in link.into_iter().chain(reply.date.map(|date| ("date", date))).chain(age) {
        add(name, value);
    }
    match (reply.delivery, connection) {
        (Delivery::Cut, Some(connection)) => connection.cut_after(length / 2),
        (Delivery::Reset, Some(connection)) => connection.reset(),
        _ => {}
    }
    response
}

/// Keeps the client waiting until it disconnects, which drops this future, or until the server stops. Sends nothing in either case.
pub(crate) async fn hang(connection: Option<ConnectionControl>) -> Response {
    match connection {
        Some(connection) => {
            connection.server_stops().await;
            connection.reset();
        }
        None => std::future::pending().await,
    }
    Response::new(Body::empty())
}

/// The body in chunks. It is dropped when the client disconnects, and ends early when the server stops.
fn trickling(body: Bytes, connection: Option<ConnectionControl>, in_flight: InFlight) -> Body {
    Body::from_stream(stream::unfold(
        (body, Duration::ZERO, connection, in_flight),
        |(mut rest, pause, connection, in_flight)| async move {
            if rest.is_empty() {
                return None;
            }
            let stops = async {
                match &connection {
                    Some(connection) => connection.server_stops().await,
                    None => std::future::pending().await,
                }
            };
            let chunk = tokio::select! {
                () = tokio::time::sleep(pause) => Ok(rest.split_to(CHUNK.min(rest.len()))),
                () = stops => Err(io::Error::from(io::ErrorKind::ConnectionAborted)),
            };
            Some((chunk, (rest, PAUSE, connection, in_flight)))
        },
    ))
}
