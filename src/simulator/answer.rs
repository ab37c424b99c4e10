//! The HTTP layer. It checks credentials, rate limits and versions, and applies faults. The dialects (`v1`, `v2`) answer the requests.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde_json::{Value, json};

use super::api_error::ApiError;
use super::call::{Call, is_write};
use super::connection::ConnectionControl;
use super::context::ReadContext;
use super::corrupt::{RequestKey, corrupt};
use super::faults::{ErrorBody, Fault, scatter};
use super::limits::Verdict;
use super::prepared::{Content, takes_gzip};
use super::reply::{Delivery, HTML, JSON, Reply, TEXT, finish, hang};
use super::request_log::ReadRequest;
use super::tagging::count_members;
use super::traffic::InFlight;
use super::version::Version;
use super::world_view::WorldView;
use super::writes::LoggedWrite;
use super::{Simulator, probes, v1, v2};

/// The largest request body, in bytes. A larger one is refused.
const MAX_BODY: usize = 1 << 20;
/// The delay of a slow response.
const SLOW: Duration = Duration::from_millis(1_500);
/// The `Age` of a response that pretends to come from a cache, in seconds.
const AGE: i64 = 3_600;
/// The body of a garbage response.
const GARBAGE: &str = "<html><body>Please stand by.</body></html>";

/// Handles all requests.
pub(crate) async fn answer(State(simulator): State<Simulator>, request: Request) -> Response {
    let begun = Instant::now();
    let path = request.uri().path().to_owned();
    if path.starts_with("/_simulator") {
        return probe(&simulator, request).await;
    }
    let (number, in_flight) = (simulator.0.traffic.enter(), InFlight(simulator.clone()));
    let fault = simulator.0.faults.next(&path);
    let request_id = request_id(simulator.0.seed, number);
    let late = simulator.0.latency + if fault == Some(Fault::Slow) { SLOW } else { Duration::ZERO };
    if !late.is_zero() {
        tokio::time::sleep(late).await;
    }
    let connection = request.extensions().get::<ConnectInfo<ConnectionControl>>().map(|info| info.0.clone());
    let (parts, body) = request.into_parts();
    let (method, body) = (parts.method.clone(), receive(body).await);
    let written = is_write(&method, &path).then(|| body.as_ref().map_or((0, 0), |body| (count_members(body), body.len())));
    let second = unix_second();
    let reply = reply(&simulator, parts, body, fault, number, second, &request_id).await;
    if let Some((members, bytes)) = written {
        let status = reply.status.as_u16();
        simulator.0.writes.record(LoggedWrite { method: method.to_string(), path: path.clone(), members, bytes, status });
    }
    simulator.0.traffic.count_in_window(second, reply.status == StatusCode::TOO_MANY_REQUESTS);
    tracing::debug!(%path, status = reply.status.as_u16(), ?fault, number, "answered");
    if reply.delivery == Delivery::Never {
        // The request was executed, but its response is thrown away. The request still counts as in flight.
        drop(reply);
        return hang(connection).await;
    }
    finish(reply, &request_id, begun, connection, in_flight)
}

async fn reply(
    simulator: &Simulator,
    parts: Parts,
    body: Result<Bytes, ApiError>,
    fault: Option<Fault>,
    number: u64,
    second: u64,
    request_id: &str,
) -> Reply {
    let token = token(&parts.headers).filter(|token| simulator.knows(token));
    let Some(token) = token.filter(|_| !matches!(fault, Some(Fault::Status { status: 401, .. }))) else {
        return Reply::error(&ApiError::unauthorized(), request_id, None);
    };
    let rate = simulator.0.limits.take(&token, second);
    if !rate.allowed {
        return Reply::error(&ApiError::rate_limited(rate.limit), request_id, Some(rate));
    }
    let limited = Verdict { remaining: 0, allowed: false, ..rate };
    match fault {
        Some(Fault::Status { status, body }) => {
            let error = ApiError::of_status(status);
            return match body {
                ErrorBody::Json => Reply::error(&error, request_id, Some(rate)),
                ErrorBody::Html => Reply::error_page(error.status),
                ErrorBody::Nothing => Reply::bare(error.status),
            };
        }
        Some(Fault::Empty) => return Reply::new(StatusCode::OK, JSON, "", Some(rate)),
        Some(Fault::ErrorList) => return Reply::new(StatusCode::OK, JSON, error_list(request_id), Some(rate)),
        Some(Fault::Garbage) => return Reply::new(StatusCode::OK, HTML, GARBAGE, Some(rate)),
        Some(Fault::RateLimited) => return Reply::error(&ApiError::rate_limited(rate.limit), request_id, Some(limited)),
        Some(Fault::RateLimitedBare) => return Reply::error(&ApiError::rate_limited(rate.limit), request_id, None),
        _ => {}
    }
    let mut reply = match dialect(simulator, parts, body, &token, fault).await {
        Ok(content) => Reply { gzipped: content.gzipped, ..Reply::new(StatusCode::OK, JSON, content.bytes, Some(rate)) },
        Err(error) => Reply::error(&error, request_id, Some(rate)),
    };
    match fault {
        Some(Fault::Half) => reply.body.truncate(reply.body.len() / 2),
        Some(Fault::ContentType) => reply.content_type = Some(if number.is_multiple_of(2) { HTML } else { TEXT }),
        Some(Fault::NoHeaders) => reply.rate = None,
        Some(Fault::Date(by)) => reply.date = date(second, by),
        Some(Fault::BadDate) => reply.date = Some("a while ago".to_owned()),
        Some(Fault::Aged) => (reply.date, reply.age) = (date(second, -AGE), Some(AGE)),
        Some(Fault::Cut) => reply.delivery = Delivery::Cut,
        Some(Fault::Reset) => reply.delivery = Delivery::Reset,
        Some(Fault::Trickle) => reply.delivery = Delivery::Trickle,
        Some(Fault::Hang) => reply.delivery = Delivery::Never,
        _ => {}
    }
    reply
}

/// The body of a response that reports an error although its status is 200. It also has empty lists under the names that lists usually
/// have.
fn error_list(request_id: &str) -> String {
    let errors = json!([{"code": "server_error", "message": "Something went wrong"}]);
    json!({
        "type": "error.list", "request_id": request_id, "errors": errors,
        "data": [], "conversations": [], "users": [], "contacts": [], "tags": [], "segments": [], "total_count": 0,
    })
    .to_string()
}

/// Passes the request to the dialect of its version.
async fn dialect(
    simulator: &Simulator,
    parts: Parts,
    body: Result<Bytes, ApiError>,
    token: &str,
    fault: Option<Fault>,
) -> Result<Content, ApiError> {
    let headers = &parts.headers;
    if !accepts_json(headers) {
        return Err(ApiError::not_acceptable());
    }
    let version = match headers.get("Intercom-Version") {
        Some(version) => version.to_str().ok().and_then(Version::parse),
        None => Version::parse(&simulator.0.default_version),
    };
    let served = version.filter(|version| simulator.0.legacy || !version.is_legacy());
    let version = served.ok_or_else(ApiError::version_invalid)?;
    let base = base(simulator, headers);
    let query = query(&parts.uri)?;
    let (moves, is_behind) = (fault == Some(Fault::Move), fault == Some(Fault::IndexBehind));
    let path = parts.uri.path().to_owned();
    let call = Call { method: parts.method, path, query, body: body?, version, base, moves, is_behind };
    if call.is_write() && token.starts_with("readonly") {
        return Err(ApiError::forbidden(if call.path.contains("/tags") { "write_tags" } else { "write_users_and_companies" }));
    }
    let is_scroll = call.path.trim_end_matches('/').ends_with("/scroll");
    match fault {
        Some(Fault::ScrollRestart) if is_scroll => {
            simulator.0.scrolls.end();
            return Err(ApiError::scroll_broke());
        }
        // This behaves as if the scroll had expired.
        Some(Fault::Cursor) if is_scroll && call.parameter("scroll_param").is_some() => {
            simulator.0.scrolls.end();
            return Err(ApiError::scroll_not_found());
        }
        Some(Fault::Cursor) if call.cursor().is_some() => return Err(ApiError::bad_cursor()),
        _ => {}
    }
    let corrupting = match fault {
        Some(Fault::Page(fault)) => Some((fault, RequestKey::new(&call, &parts.uri))),
        _ => None,
    };
    if call.is_write() {
        let simulator = simulator.clone();
        return work(move || {
            let write = |view: &WorldView| if call.version.is_legacy() { v1::write(view, &call) } else { v2::write(view, &call) };
            simulator.write(write).map(Content::fresh)
        })
        .await;
    }
    let read = Arc::new(ReadRequest::new(&call, &parts.uri));
    // Only responses that depend on nothing but the request are cached. A scroll moves on with each request, and a page may lack an entry
    // that was moved by an earlier request.
    let prepares = simulator.0.prepares && fault.is_none() && !is_scroll && !simulator.0.moves.any();
    let takes_gzip = takes_gzip(headers);
    let kept = if prepares { simulator.view().prepared.find(&read, takes_gzip) } else { None };
    let content = match kept {
        Some(content) => content,
        None => {
            let (simulator, read) = (simulator.clone(), Arc::clone(&read));
            work(move || {
                let view = simulator.view();
                let body = answer_read(&simulator, &view, &call)?;
                Ok(match corrupting {
                    Some((fault, key)) => Content::fresh(corrupt(body, fault, &key)),
                    None if prepares => view.prepared.keep(read, Content::fresh(body), takes_gzip),
                    None => Content::fresh(body),
                })
            })
            .await?
        }
    };
    simulator.0.log.record(read, content.is_page);
    Ok(content)
}

fn answer_read(simulator: &Simulator, view: &WorldView, call: &Call) -> Result<String, ApiError> {
    let context = ReadContext { view, scrolls: &simulator.0.scrolls, moves: &simulator.0.moves, cap_silent: simulator.0.cap_silent };
    if call.version.is_legacy() { v1::answer(&context, call) } else { v2::answer(&context, call) }
}

/// Runs on a blocking thread: a search can take a while in an unoptimised build, and other connections must not wait.
async fn work(work: impl FnOnce() -> Result<Content, ApiError> + Send + 'static) -> Result<Content, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a request ended in a panic");
        Err(ApiError::of_status(500))
    })
}

async fn probe(simulator: &Simulator, request: Request) -> Response {
    let uri = request.uri().clone();
    let simulator = simulator.clone();
    let found = tokio::task::spawn_blocking(move || {
        let query = query(&uri).ok()?;
        probes::answer(&simulator, uri.path(), &query)
    });
    let (status, body) = match found.await {
        Ok(Some(body)) => (StatusCode::OK, body),
        Ok(None) => (StatusCode::NOT_FOUND, json!({"error": probes::HELP})),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Value::Null),
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// The token of `Authorization: Bearer …`, or the user name of `Basic`, as the 1.x clients send it.
fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => credentials.trim().to_owned(),
        "basic" => {
            let pair = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
            pair.split_once(':').map_or(pair.as_str(), |(user, _)| user).to_owned()
        }
        _ => return None,
    };
    (!token.is_empty()).then_some(token)
}

/// Whether the client accepts JSON. A missing `Accept` header is allowed here, although according to the documentation the API answers
/// 406.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut asked = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    asked.peek().is_none()
        || asked.any(|range| {
            let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            matches!(range.as_str(), "*/*" | "application/*" | "application/json")
                || (range.starts_with("application/vnd.intercom.") && range.ends_with("+json"))
        })
}

/// The base of absolute links. It has the host that the client requested, because the client may reach the simulator through a tunnel.
fn base(simulator: &Simulator, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let listening = || simulator.0.address.get().map(ToString::to_string);
    format!("http://{}", host.or_else(listening).unwrap_or_else(|| "localhost".to_owned()))
}

fn query(uri: &Uri) -> Result<Vec<(String, String)>, ApiError> {
    let Query(query) = Query::try_from_uri(uri).map_err(|_| ApiError::parameter_invalid("the query string cannot be decoded"))?;
    Ok(query)
}

async fn receive(body: Body) -> Result<Bytes, ApiError> {
    to_bytes(body, MAX_BODY).await.map_err(|_| ApiError::parameter_invalid("the request body is too long or was cut"))
}

/// A request id: twenty lower-case letters and digits, as on the real service.
fn request_id(seed: u64, number: u64) -> String {
    const SIGNS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    (0..20).map(|place| SIGNS[(scatter(seed, place, number) % 36) as usize] as char).collect()
}

/// A time in the format of the `Date` header, shifted by `by` seconds.
fn date(second: u64, by: i64) -> Option<String> {
    let at = DateTime::from_timestamp(i64::try_from(second).ok()?.checked_add(by)?, 0)?;
    Some(at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

/// The wall clock in Unix seconds. Rate windows follow the wall clock, not the world's clock.
fn unix_second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
