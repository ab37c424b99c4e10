//! One request: through the rate limiter, sent, answered, decoded, and tried again where that makes sense.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::body::{Body, Decoding};
use super::concurrency::Came;
use super::error::{ClientError, Failure, NoAnswer, RequestError};
use super::rate_limiter::{RateLimiter, RateWindow, WindowReport};
use super::retry::{Circumstances, Tries, Verdict};
use super::server_clock::{ServerClock, ServerTime};
use super::wire::next::ListNext;
use super::{Options, Traffic, wire};
use crate::proxy::{self, Proxy};
use crate::tls::CertificateProblem;

const VERSION: HeaderName = HeaderName::from_static("intercom-version");
const USER_AGENT: &str = concat!("intercom-cohorts/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Pages of a list that is documented to come whole.
const LIST_PAGES_MAX: u32 = 1_000;
/// Windows last ten seconds.
const RESET_MAX: Duration = Duration::from_secs(60);

/// What is asked, without the parts that are the same for every request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    /// As messages name it: ids of contacts are left out.
    path: String,
    /// Where it goes, when that is not the same.
    address: Option<String>,
    query: Vec<(&'static str, String)>,
    body: Option<serde_json::Value>,
    /// Whether an answer that was lost may be asked for once more.
    is_repeatable: bool,
    /// Whether an answer that did not come in time is left to the caller, who asks for less.
    is_given_up_when_late: bool,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    Get,
    Post,
    Delete,
}

impl Ask {
    pub(super) fn get(path: &str) -> Ask {
        Ask {
            method: Method::Get,
            path: path.to_string(),
            address: None,
            query: Vec::new(),
            body: None,
            is_repeatable: true,
            is_given_up_when_late: false,
        }
    }

    /// A search: query, sort and paging stand in the body. (As a query parameter a cursor is ignored, and page 1
    /// comes back for ever.)
    pub(super) fn search(path: &str, query: serde_json::Value, sort: serde_json::Value) -> Ask {
        let body = serde_json::json!({ "query": query, "sort": sort });
        Ask::post(path, body)
    }

    /// A change. Every one that this client knows may be sent again: the second time it changes nothing.
    pub(super) fn post(path: &str, body: serde_json::Value) -> Ask {
        Ask { method: Method::Post, body: Some(body), ..Ask::get(path) }
    }

    /// `path` stands for `address` in messages.
    pub(super) fn delete(path: &str, address: String) -> Ask {
        Ask { method: Method::Delete, address: Some(address), ..Ask::get(path) }
    }

    /// The same at another address, for which the path stands in messages.
    pub(super) fn at(mut self, address: String) -> Ask {
        self.address = Some(address);
        self
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.query.push((name, value.into()));
        self
    }

    /// The same, but not to be sent again once it may have been answered: the answer moves something on.
    pub(super) fn once(mut self) -> Ask {
        self.is_repeatable = false;
        self
    }

    /// The same, but an answer that does not come in time is not asked for again as it is.
    pub(super) fn given_up_when_late(mut self) -> Ask {
        self.is_given_up_when_late = true;
        self
    }

    /// The same, for one page of a list.
    pub(super) fn page(&self, per_page: u32, cursor: Option<&str>) -> Ask {
        let mut ask = self.clone();
        match &mut ask.body {
            Some(body) => {
                let mut pagination = serde_json::json!({ "per_page": per_page });
                if let Some(cursor) = cursor {
                    pagination["starting_after"] = cursor.into();
                }
                body["pagination"] = pagination;
            }
            None => {
                ask.query.push(("per_page", per_page.to_string()));
                if let Some(cursor) = cursor {
                    ask.query.push(("starting_after", cursor.to_string()));
                }
            }
        }
        ask
    }

    /// The same for requests that take the server about as long: whose path, and whose pages, are the same.
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
    /// To be recognised where it should not be; requests carry it by themselves.
    token: SecretString,
    base_url: String,
    rate_limiter: RateLimiter,
    decoding: Decoding,
    give_up_after: Duration,
    requests: AtomicU64,
    retries: AtomicU64,
    had_answer: AtomicBool,
    last_progress: Mutex<Instant>,
    server_clock: ServerClock,
}

/// What is shorter is no secret, and may well be a part of what the API says.
const SHORTEST_SECRET: usize = 8;

impl Transport {
    pub(super) fn new(options: &Options) -> Result<Transport, ClientError> {
        // Twice in one process (the demo, tests) is fine: the first provider stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let version = HeaderValue::from_str(&options.api_version).map_err(|_| ClientError::Version(options.api_version.clone()))?;
        headers.insert(VERSION, version);
        // Settings let only visible ASCII through as a token.
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", options.token.expose_secret())).unwrap_or(HeaderValue::from_static("Bearer"));
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        let proxy = proxy::route(&options.base_url)?.proxy();
        if let Some(proxy) = &proxy {
            tracing::debug!("requests go through the proxy {proxy}");
        }
        let http = proxy::configure(reqwest::Client::builder(), proxy.as_ref())
            .map_err(ClientError::Setup)?
            .default_headers(headers)
            .user_agent(USER_AGENT)
            // Bodies are inflated where they are decoded.
            .gzip(false)
            .timeout(options.request_timeout)
            // Shorter than the request's own, so that it shows when there is no connection through a proxy.
            .connect_timeout(CONNECT_TIMEOUT.min(options.request_timeout * 9 / 10))
            .pool_max_idle_per_host(options.max_concurrency)
            // A redirect would carry the token to an address that nobody configured.
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
            had_answer: AtomicBool::new(false),
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

    /// Asks until there is a good answer or the budget is spent. A body that cannot be decoded counts as a failed
    /// try: half a body and a proxy's HTML page pass.
    ///
    /// A body is decoded elsewhere and holds no place of the rate limiter meanwhile; whoever sends waits for it, so that there are
    /// never more bodies than there are senders.
    pub(super) async fn send<T: Send + 'static>(
        &self,
        ask: &Ask,
        decode: impl Fn(&[u8]) -> Result<T, wire::DecodeError> + Clone + Send + 'static,
    ) -> Result<T, RequestError> {
        let begun = Instant::now();
        let mut tries = Tries::new();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (failure, asked_to_wait) = match self.attempt(ask).await {
                Ok((body, heard)) => match self.decoded(body, decode.clone()).await {
                    Ok(value) => {
                        if let Some(heard) = heard {
                            self.server_clock.learn(heard);
                        }
                        self.had_answer.store(true, Ordering::Relaxed);
                        *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                        return Ok(value);
                    }
                    Err(failure) => (failure, None),
                },
                Err(failed) => failed,
            };
            let progress = *self.last_progress.lock().unwrap_or_else(PoisonError::into_inner);
            let circumstances = Circumstances {
                had_answer: self.had_answer.load(Ordering::Relaxed),
                stalled_for: progress.max(begun).elapsed(),
                give_up_after: self.give_up_after,
                asked_to_wait,
            };
            let method = ask.method.name();
            let may_repeat = ask.is_repeatable || failure.was_not_acted_on();
            let is_left_to_caller = ask.is_given_up_when_late && failure.is_late();
            if is_left_to_caller {
                self.retries.fetch_add(1, Ordering::Relaxed);
            }
            match tries.after(&failure, circumstances) {
                Verdict::Again(delay) if may_repeat && !is_left_to_caller => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%failure, "`{method} {}` failed, trying again in {:.1} s", ask.path, delay.as_secs_f64());
                    if matches!(failure, Failure::Status { status: 429, .. }) {
                        // Everyone waits: the window is everyone's.
                        self.rate_limiter.pause(delay);
                    } else {
                        tokio::time::sleep(delay).await;
                    }
                }
                Verdict::Again(_) | Verdict::GiveUp => {
                    let (path, elapsed) = (ask.path.clone(), begun.elapsed());
                    let follows_answers = circumstances.had_answer;
                    return Err(RequestError { method, path, attempts: attempt, elapsed, failure, follows_answers });
                }
            }
        }
    }

    /// Every row of a list that is documented to come whole. Should it come in pages after all, they are asked for one by
    /// one.
    ///
    /// # Errors
    /// Also when a next page is named that cannot be asked for, or that never ends: half a list is none.
    pub(super) async fn whole_list<T: PartialEq + Send + 'static>(
        &self,
        ask: &Ask,
        decode: wire::Decode<T>,
    ) -> Result<Vec<T>, RequestError> {
        let begun = Instant::now();
        let mut rows: Vec<T> = Vec::new();
        let mut asked: HashSet<String> = HashSet::new();
        let mut next = ask.clone();
        for page in 1.. {
            let answer = self.send(&next, decode).await?;
            // A server that passes over what asks for the next page gives the same one again.
            let is_repeated = !answer.rows.is_empty() && rows.ends_with(&answer.rows);
            rows.extend(answer.rows);
            next = match answer.pages.after(page) {
                ListNext::End if !is_repeated && !answer.length.exceeds(rows.len()) => return Ok(rows),
                ListNext::With(name, value) if page < LIST_PAGES_MAX && !is_repeated && asked.insert(value.clone()) => {
                    ask.clone().with(name, value)
                }
                ListNext::End | ListNext::With(..) | ListNext::Unknown => {
                    let (method, path) = (ask.method.name(), ask.path.clone());
                    let failure = Failure::InPages { page: page + 1 };
                    return Err(RequestError { method, path, attempts: 1, elapsed: begun.elapsed(), failure, follows_answers: true });
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

    /// One try: the body of a 200 and what it says of the time, or why there is none and how long the server asks to wait.
    async fn attempt(&self, ask: &Ask) -> Result<(Body, Option<ServerTime>), (Failure, Option<Duration>)> {
        let permit = self.rate_limiter.pass(ask.kind()).await;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{}", self.base_url, ask.address.as_ref().unwrap_or(&ask.path));
        let mut request = match ask.method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
            Method::Delete => self.http.delete(url),
        };
        if !ask.query.is_empty() {
            request = request.query(&ask.query);
        }
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let begun = Instant::now();
        let sent = request.send().await;
        if sent.is_err() {
            permit.answered(Came::Badly);
        }
        let response = sent.map_err(|error| (no_answer(&error, self.proxy.as_ref()), None))?;
        let window = window_report(response.headers());
        let asked_to_wait = retry_after(response.headers()).or(window.resets_in);
        self.rate_limiter.learn(window);
        let heard = self.server_clock.heard(response.headers(), begun);
        let status = response.status().as_u16();
        let request_id = request_id(response.headers());
        let body = Body::read(response).await;
        permit.answered(match (status, &body) {
            (429, _) => Came::TooSoon,
            (500.., _) | (_, Err(_)) => Came::Badly,
            _ => Came::Well,
        });
        drop(permit);
        let body = match body {
            Ok(body) => body,
            // What the status says weighs more than a body that broke off.
            Err(_) if status != 200 => Body::empty(),
            Err(reason) => return Err((Failure::NoAnswer(reason), None)),
        };
        tracing::debug!(method = ask.method.name(), path = ask.path, status, bytes = body.len(), "answered");
        if status == 200 {
            return Ok((body, heard));
        }
        let told = self.decoding.run(body, wire::error_body).await.unwrap_or_default();
        // What sits between may send back what it was sent.
        let token = self.token.expose_secret();
        let is_harmless = |text: &String| token.len() < SHORTEST_SECRET || !text.contains(token);
        let code = told.code.filter(is_harmless);
        let failure = Failure::Status { status, code, request_id: told.request_id.or(request_id).filter(is_harmless) };
        Err((failure, asked_to_wait.filter(|_| status == 429 || status == 503)))
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

/// The rate headers. The reset is an instant of the server's clock: `Date` tells what time it is there, so that a
/// wrong clock here does not make the pause wrong.
fn window_report(headers: &HeaderMap) -> WindowReport {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let there = headers.get(DATE).and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok());
    let now = there.map(|date| date.timestamp()).unwrap_or_else(|| wall_clock().timestamp());
    let resets_in = number("x-ratelimit-reset").map(|reset| {
        let seconds = reset.saturating_sub(u64::try_from(now).unwrap_or_default());
        // `Date` has whole seconds: a reset within this second is at most a second away.
        Duration::from_secs(seconds.max(1))
    });
    // A reset beyond any window is a wrong clock or another unit: as good as none.
    let resets_in = resets_in.filter(|reset| *reset <= RESET_MAX);
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    WindowReport { limit: number("x-ratelimit-limit").map(small), remaining: number("x-ratelimit-remaining").map(small), resets_in }
}

/// The one place of the client that asks the wall clock: what a server without a `Date` header means by its reset.
fn wall_clock() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Intercom's id of the request, when it looks like one: it ends up in messages.
fn request_id(headers: &HeaderMap) -> Option<String> {
    wire::plain_token(headers.get("x-request-id")?.to_str().ok()?)
}
