//! Sends one request. It waits for the rate limiter, sends the request, decodes the response, and retries where that can help.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::body::{Body, Decoding};
use super::concurrency::Outcome;
use super::error::{ClientError, Failure, NoAnswer, RequestError};
use super::rate_limiter::{RateLimiter, RateWindow, WindowReport};
use super::retry::{Retries, RetryContext, Verdict};
use super::server_clock::{ServerClock, ServerTime};
use super::types::{Options, Traffic};
use super::wire;
use super::wire::next::ListNext;
use crate::proxy::{self, Proxy};
use crate::tls::CertificateProblem;

const VERSION: HeaderName = HeaderName::from_static("intercom-version");
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The most pages of a list that is documented as unpaged.
const LIST_PAGES_MAX: u32 = 1_000;
/// The longest time to a reset that is accepted. Windows last ten seconds, so a later reset is wrong.
const RESET_MAX: Duration = Duration::from_secs(60);

/// One request, without the parts that all requests share.
#[derive(Clone, Debug)]
pub(super) struct Request {
    method: Method,
    /// The path as messages show it, without the ids of contacts.
    path: String,
    /// The path to send to. `None` if it is the same as `path`.
    address: Option<String>,
    query: Vec<(&'static str, String)>,
    body: Option<serde_json::Value>,
    /// Whether the request may be sent again after the server may have acted on it.
    is_repeatable: bool,
    /// Whether a timeout is returned to the caller instead of being retried. The caller then requests a smaller page.
    returns_timeouts: bool,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Get,
    Post,
    Delete,
}

impl Request {
    pub(super) fn get(path: &str) -> Request {
        Request {
            method: Method::Get,
            path: path.to_string(),
            address: None,
            query: Vec::new(),
            body: None,
            is_repeatable: true,
            returns_timeouts: false,
        }
    }

    /// A search. Query, sort and paging are in the body. The API ignores a cursor in the query string and would always return page 1.
    pub(super) fn search(path: &str, query: serde_json::Value, sort: serde_json::Value) -> Request {
        let body = serde_json::json!({ "query": query, "sort": sort });
        Request::post(path, body)
    }

    /// A search or a change. All changes of this client are idempotent, so they may be sent twice.
    pub(super) fn post(path: &str, body: serde_json::Value) -> Request {
        Request { method: Method::Post, body: Some(body), ..Request::get(path) }
    }

    /// A deletion at `address`. Messages show `path` in place of `address`.
    pub(super) fn delete(path: &str, address: String) -> Request {
        Request { method: Method::Delete, address: Some(address), ..Request::get(path) }
    }

    /// The same request with this body.
    pub(super) fn with_body(mut self, body: serde_json::Value) -> Request {
        self.body = Some(body);
        self
    }

    /// Sends to `address`. Messages still show the path.
    pub(super) fn at(mut self, address: String) -> Request {
        self.address = Some(address);
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.query.push((name, value.into()));
        self
    }

    /// Forbids to send the request again after the server may have acted on it. For example, a request for a page of the scroll must not be
    /// repeated, because each such request moves the scroll to the next page.
    pub(super) fn once(mut self) -> Request {
        self.is_repeatable = false;
        self
    }

    /// Returns a timeout to the caller instead of retrying.
    pub(super) fn returning_timeouts(mut self) -> Request {
        self.returns_timeouts = true;
        self
    }

    /// The request for one page of a list.
    pub(super) fn page(&self, per_page: u32, cursor: Option<&str>) -> Request {
        let mut request = self.clone();
        match &mut request.body {
            Some(body) => {
                let mut pagination = serde_json::json!({ "per_page": per_page });
                if let Some(cursor) = cursor {
                    pagination["starting_after"] = cursor.into();
                }
                body["pagination"] = pagination;
            }
            None => {
                request.query.push(("per_page", per_page.to_string()));
                if let Some(cursor) = cursor {
                    request.query.push(("starting_after", cursor.to_string()));
                }
            }
        }
        request
    }

    /// A number that is equal for requests that take the server about the same time: those with the same path and page size.
    fn kind(&self) -> u64 {
        let in_query = self.query.iter().find(|(name, _)| *name == "per_page").map(|(_, number)| number.as_str());
        let in_body = self.body.as_ref().and_then(|body| body["pagination"]["per_page"].as_u64());
        let mut hasher = DefaultHasher::new();
        (&self.path, in_query, in_body).hash(&mut hasher);
        hasher.finish()
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    proxy: Option<Proxy>,
    /// The token, to detect it in responses. The HTTP client adds the token to requests.
    token: SecretString,
    base_url: String,
    rate_limiter: RateLimiter,
    decoding: Decoding,
    give_up_after: Duration,
    requests: AtomicU64,
    retries: AtomicU64,
    had_success: AtomicBool,
    last_progress: Mutex<Instant>,
    server_clock: ServerClock,
}

/// The shortest token, in bytes, that is searched in responses. A shorter one is no secret, and may be in a response by chance.
const SHORTEST_SECRET: usize = 8;

impl Transport {
    pub(super) fn new(options: &Options) -> Result<Transport, ClientError> {
        // This fails if a crypto provider is installed already. Then the installed provider is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let version = HeaderValue::from_str(&options.api_version).map_err(|_| ClientError::Version(options.api_version.clone()))?;
        headers.insert(VERSION, version);
        // A token that cannot be in a header is not sent. Then the API answers 401.
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", options.token.expose_secret())).unwrap_or(HeaderValue::from_static("Bearer"));
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let proxy = proxy::route(&options.base_url)?.proxy();
        if let Some(proxy) = &proxy {
            tracing::debug!("requests go through the proxy {proxy}");
        }
        let builder = proxy::configure(reqwest::Client::builder(), proxy.as_ref()).map_err(ClientError::Setup)?;
        // Plain http is sent only to this machine. It needs no CA certificates, so the client also works where the system has none.
        let is_plain = proxy.is_none() && options.base_url.starts_with("http://");
        let http = if is_plain { builder.tls_certs_only([]) } else { builder }
            .default_headers(headers)
            .user_agent(&options.user_agent)
            // `Decoding` inflates the bodies, so the HTTP client must not.
            .gzip(false)
            .timeout(options.request_timeout)
            // This is shorter than the request's timeout, so that a missing connection through a proxy can be recognised.
            .connect_timeout(CONNECT_TIMEOUT.min(options.request_timeout * 9 / 10))
            .pool_max_idle_per_host(options.max_concurrency)
            // A redirect would send the token to a URL that nobody configured.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ClientError::Setup)?;
        Ok(Transport {
            http,
            proxy,
            token: options.token.clone(),
            base_url: options.base_url.trim_end_matches('/').to_string(),
            rate_limiter: RateLimiter::new(options.max_concurrency, options.rate_share),
            decoding: Decoding::new(),
            give_up_after: options.give_up_after,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            had_success: AtomicBool::new(false),
            last_progress: Mutex::new(Instant::now()),
            server_clock: ServerClock::new(),
        })
    }

    pub(super) fn rate_window(&self) -> Option<RateWindow> {
        self.rate_limiter.window()
    }

    pub(super) fn server_time(&self) -> Option<ServerTime> {
        self.server_clock.now()
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic { requests: self.requests.load(Ordering::Relaxed), retries: self.retries.load(Ordering::Relaxed) }
    }

    /// Sends a request until it succeeds or its retries are used up. A body that cannot be decoded counts as a failed attempt, because a
    /// truncated body or a proxy's HTML page may be replaced by a good body next time.
    ///
    /// The permit of the rate limiter is released before the body is decoded. The caller waits for the decoding, so there are never more
    /// bodies in memory than callers.
    pub(super) async fn send<T: Send + 'static>(
        &self,
        request: &Request,
        decode: impl Fn(&[u8]) -> Result<T, wire::DecodeError> + Clone + Send + 'static,
    ) -> Result<T, RequestError> {
        let begun = Instant::now();
        let mut retries = Retries::new();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (failure, retry_after) = match self.attempt(request).await {
                Ok((body, server_time)) => match self.decoded(body, decode.clone()).await {
                    Ok(value) => {
                        if let Some(time) = server_time {
                            self.server_clock.record(time);
                        }
                        self.had_success.store(true, Ordering::Relaxed);
                        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                        return Ok(value);
                    }
                    Err(failure) => (failure, None),
                },
                Err(failed) => failed,
            };
            let progress = *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
            let context = RetryContext {
                had_success: self.had_success.load(Ordering::Relaxed),
                stalled_for: progress.max(begun).elapsed(),
                give_up_after: self.give_up_after,
                retry_after,
            };
            let method = request.method.name();
            let may_repeat = request.is_repeatable || failure.was_not_acted_on();
            let is_left_to_caller = request.returns_timeouts && failure.is_timeout();
            if is_left_to_caller {
                self.retries.fetch_add(1, Ordering::Relaxed);
            }
            match retries.after(&failure, context) {
                Verdict::Retry(delay) if may_repeat && !is_left_to_caller => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%failure, "`{method} {}` failed, trying again in {:.1} s", request.path, delay.as_secs_f64());
                    if matches!(failure, Failure::Status { status: 429, .. }) {
                        // All requests wait, because they share the window.
                        self.rate_limiter.pause(delay);
                    } else {
                        tokio::time::sleep(delay).await;
                    }
                }
                Verdict::Retry(_) | Verdict::GiveUp => {
                    let (path, elapsed) = (request.path.clone(), begun.elapsed());
                    let after_success = context.had_success;
                    return Err(RequestError { method, path: path.into(), attempts: attempt, elapsed, failure, after_success });
                }
            }
        }
    }

    /// All rows of a list that is documented as unpaged. If the list comes in pages nevertheless, they are requested one by one.
    ///
    /// # Errors
    /// When a request fails, when a next page cannot be requested, and when there is no end. An incomplete list is never returned.
    pub(super) async fn full_list<T: PartialEq + Send + 'static>(
        &self,
        request: &Request,
        decode: wire::Decode<T>,
    ) -> Result<Vec<T>, RequestError> {
        let begun = Instant::now();
        let mut rows: Vec<T> = Vec::new();
        let mut asked: HashSet<String> = HashSet::new();
        let mut next = request.clone();
        for page in 1.. {
            let answer = self.send(&next, decode).await?;
            // A server that ignores the paging parameter returns the same page again.
            let is_repeated = !answer.rows.is_empty() && rows.ends_with(&answer.rows);
            rows.extend(answer.rows);
            next = match answer.pages.after(page) {
                ListNext::End if !is_repeated && !answer.length.exceeds(rows.len()) => return Ok(rows),
                ListNext::With(name, value) if page < LIST_PAGES_MAX && !is_repeated && asked.insert(value.clone()) => {
                    request.clone().with(name, value)
                }
                ListNext::End | ListNext::With(..) | ListNext::Unknown => {
                    let (method, path) = (request.method.name(), request.path.clone());
                    let failure = Failure::Paged { page: page + 1 };
                    return Err(RequestError {
                        method,
                        path: path.into(),
                        attempts: 1,
                        elapsed: begun.elapsed(),
                        failure,
                        after_success: true,
                    });
                }
            };
        }
        Ok(rows)
    }

    async fn decoded<T: Send + 'static>(
        &self,
        body: Body,
        decode: impl FnOnce(&[u8]) -> Result<T, wire::DecodeError> + Send + 'static,
    ) -> Result<T, Failure> {
        let decode = |body: &[u8]| match body.trim_ascii() {
            [] => Err(Failure::Empty),
            _ => decode(body).map_err(Failure::from),
        };
        self.decoding.run(body, decode).await.map_err(Failure::NoAnswer)?
    }

    /// Makes one attempt. Returns the body of a 200 and the server's time, or the failure and how long the server asks to wait.
    async fn attempt(&self, request: &Request) -> Result<(Body, Option<ServerTime>), (Failure, Option<Duration>)> {
        let permit = self.rate_limiter.pass(request.kind()).await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{}", self.base_url, request.address.as_ref().unwrap_or(&request.path));
        let mut builder = match request.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Delete => self.http.delete(url),
        };
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        if let Some(body) = &request.body {
            builder = builder.json(body);
        }
        let begun = Instant::now();
        let sent = builder.send().await;
        if sent.is_err() {
            permit.record(Outcome::Failure);
        }
        let response = sent.map_err(|error| (no_answer(&error, self.proxy.as_ref()), None))?;
        let window = window_report(response.headers());
        let retry_after = retry_after(response.headers()).or(window.resets_in);
        self.rate_limiter.apply(window);
        let server_time = self.server_clock.read(response.headers(), begun);
        let status = response.status().as_u16();
        let request_id = request_id(response.headers());
        let canonical = canonical_contact(response.headers());
        let body = Body::read(response).await;
        permit.record(match (status, &body) {
            (429, _) => Outcome::RateLimited,
            (500.., _) | (_, Err(_)) => Outcome::Failure,
            _ => Outcome::Success,
        });
        drop(permit);
        let body = match body {
            Ok(body) => body,
            // The status matters more than a body that was cut off.
            Err(_) if status != 200 => Body::empty(),
            Err(reason) => return Err((Failure::NoAnswer(reason), None)),
        };
        tracing::debug!(method = request.method.name(), path = request.path, status, bytes = body.len(), "answered");
        if status == 200 {
            return Ok((body, server_time));
        }
        let error = self.decoding.run(body, wire::error_body).await.unwrap_or_default();
        // A proxy or gateway may repeat the token in its response. An error code or request id with the token is dropped, because messages
        // show it.
        let token = self.token.expose_secret();
        let is_harmless = |text: &str| token.len() < SHORTEST_SECRET || !text.contains(token);
        let code = error.code.filter(|code| is_harmless(code));
        let request_id = error.request_id.or(request_id).filter(|id| is_harmless(id));
        let failure = Failure::Status { status, code, request_id, canonical };
        Err((failure, retry_after.filter(|_| status == 429 || status == 503)))
    }
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

fn no_answer(error: &reqwest::Error, proxy: Option<&Proxy>) -> Failure {
    if let Some(failure) = proxy.and_then(|proxy| proxy.failure(error)) {
        return Failure::Proxy(failure);
    }
    Failure::NoAnswer(if error.is_timeout() {
        NoAnswer::Timeout
    } else if let Some(problem) = CertificateProblem::of(error) {
        NoAnswer::Certificate(problem)
    } else if error.is_connect() {
        NoAnswer::Connect
    } else {
        NoAnswer::Cut
    })
}

/// Reads the rate headers. The reset is a time by the server's clock. It is compared with the `Date` header, so that the pause is right
/// even if the clock of this machine is wrong.
fn window_report(headers: &HeaderMap) -> WindowReport {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let server_date = headers.get(DATE).and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok());
    let now = server_date.map(|date| date.timestamp()).unwrap_or_else(|| wall_clock().timestamp());
    let resets_in = number("x-ratelimit-reset").map(|reset| {
        let seconds = reset.saturating_sub(u64::try_from(now).unwrap_or_default());
        // `Date` has whole seconds. So a reset that seems to be now may be up to a second away.
        Duration::from_secs(seconds.max(1))
    });
    // A reset far beyond the window means a wrong clock or another unit. It is ignored.
    let resets_in = resets_in.filter(|reset| *reset <= RESET_MAX);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    WindowReport { limit: number("x-ratelimit-limit").map(small), remaining: number("x-ratelimit-remaining").map(small), resets_in }
}

/// The wall clock. It is used only for the reset of a server without a `Date` header, and nowhere else in this crate.
fn wall_clock() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The id of the contact into which the requested one was merged: `Link: </contacts/{id}>; rel="canonical"`.
fn canonical_contact(headers: &HeaderMap) -> Option<Box<str>> {
    let links = headers.get_all(LINK).iter().filter_map(|link| link.to_str().ok()).flat_map(|links| links.split(','));
    links.filter(|link| link.contains("canonical")).find_map(|link| {
        let (address, _) = link.split_once('<')?.1.split_once('>')?;
        let (_, id) = address.rsplit_once("/contacts/")?;
        wire::is_id(id).then(|| id.into())
    })
}

/// Intercom's id of the request. `None` if there is none, or if it cannot be printed safely.
fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    wire::plain_token(headers.get("x-request-id")?.to_str().ok()?).map(String::into_boxed_str)
}
