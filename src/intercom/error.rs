//! Errors. Their messages contain method, path, status, Intercom's error code and request id, the number of attempts and the time. They
//! never contain the token, a query (which may contain a cursor) or a body (which may contain a contact's data).

use std::fmt;
use std::time::Duration;

use super::wire::{self, DecodeError};
use crate::proxy::{ProxyError, ProxyFailure};
use crate::tls::CertificateProblem;

/// The client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    /// The configured proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The API version cannot be sent as a header.
    #[error("`{0}` is no usable API version")]
    Version(String),
}

/// A request that failed after all its attempts.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{method} {path}` {failure} ({attempts} in {elapsed:.1?})", attempts = Attempts(*.attempts))]
pub struct RequestError {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'static str,
    /// The path, without ids of contacts.
    pub path: Box<str>,
    /// The number of times that the request was sent.
    pub attempts: u32,
    /// The time from the first attempt to the failure of the last.
    pub elapsed: Duration,
    /// How the last attempt failed.
    pub failure: Failure,
    /// Whether this client had successful responses before. Then the base URL, the token and the API version are right.
    pub after_success: bool,
}

/// How one attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no response, or only the beginning of one.
    NoAnswer(NoAnswer),
    /// The request did not get through the proxy.
    Proxy(ProxyFailure),
    /// A status other than 200. `canonical` is the ID of the contact into which the requested contact was merged.
    Status { status: u16, code: Option<String>, request_id: Option<Box<str>>, canonical: Option<Box<str>> },
    /// Status 200 with an empty body.
    Empty,
    /// Status 200, but the body is not a JSON object. It is truncated, or it is the HTML page of a proxy.
    Unreadable(String),
    /// Status 200 with an error as its body.
    ErrorList { code: Option<String>, request_id: Option<Box<str>> },
    /// Status 200 and JSON, but not as the API documents it. For example, a list is missing, or a row has no id.
    Undocumented { path: String },
    /// A list that is documented as unpaged came in pages, and its next page cannot be requested.
    Paged { page: u32 },
}

/// Why there is no complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// No connection to the host.
    Connect,
    /// The host's certificate is not accepted.
    Certificate(CertificateProblem),
    /// The response did not come in time.
    Timeout,
    /// The response ended early.
    Cut,
    /// The body is larger than any page.
    TooLarge,
}

/// A stream that stopped before its end, because a request failed or because it could not be trusted to be complete.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// A request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A page has a cursor that an earlier page had.
    #[error("page {page} of `{path}` has a cursor that an earlier page had; the stream would never end")]
    CursorLoop { path: String, page: u32 },
    /// The API no longer knows the cursor.
    #[error("page {page} of `{path}` was refused: its cursor has expired")]
    CursorRefused { path: String, page: u32, source: Box<RequestError> },
    /// A later page was refused.
    #[error("page {page} of `{path}` was refused, although the pages before it were answered")]
    PageRefused { path: String, page: u32, source: Box<RequestError> },
    /// The page has rows from outside the requested partition or period, so the API did not filter as documented.
    #[error("page {page} of `{path}` holds {rows} rows of times that were not requested")]
    UnexpectedRows { path: String, page: u32, rows: usize },
    /// The next page is given as a URL. URLs are not followed, because they may lead to another host.
    #[error("page {page} of `{path}` names a next page on another host or of an unknown form; it was not followed")]
    ForeignNext { path: String, page: u32 },
    /// There were too many empty pages in a row.
    #[error("`{path}` returned {pages} empty pages in a row up to page {page}, each with a new cursor; the stream would never end")]
    Empty { path: String, page: u32, pages: u32 },
    /// There were far more rows than the API announced.
    #[error("`{path}` returned {rows} rows up to page {page} although it announced {announced}; the stream would never end")]
    Endless { path: String, page: u32, rows: u64, announced: u64 },
    /// The list of API 1.x ended at its limit, before it reached the requested rows.
    #[error("`{path}` of 1.x ends at 10,000 records, before the start of the requested period")]
    TooLong { path: String },
    /// The list is longer than page numbers reach.
    #[error("`{path}` gives at most 10,000 companies, and the group has more; ask for smaller groups")]
    PageLimit { path: String },
    /// A page in the middle is empty.
    #[error("page {page} of `{path}` is empty although there are {last} pages; its rows are missing")]
    EmptyPage { path: String, page: u32, last: u32 },
    /// There were fewer rows than the API announced.
    #[error("`{path}` ended after {rows} rows although it announced {announced}")]
    TooFewRows { path: String, rows: u64, announced: u64 },
    /// The task that read the stream is gone.
    #[error("the stream was abandoned")]
    Abandoned,
}

impl RequestError {
    /// Status 401, 402 or 403. Another token or permission is needed, so a retry does not help.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 401..=403, .. })
    }

    /// The API refuses the version that was asked for.
    pub fn is_version_refused(&self) -> bool {
        matches!(&self.failure, Failure::Status { code: Some(code), .. } if code == "intercom_version_invalid")
    }

    /// Status 404.
    pub fn is_not_found(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 404, .. })
    }

    /// The contact was merged into another one.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 410, .. })
    }

    /// A redirect, 404 or 405. If no request has succeeded, the base URL is that of another server or of another API.
    pub fn is_wrong_address(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 300..=399 | 404 | 405, .. })
    }

    /// The list is too long to be read by page numbers. The scroll has no such limit.
    pub(super) fn is_page_limit(&self) -> bool {
        self.has_code(400, wire::PAGE_LIMIT)
    }

    pub(super) fn is_scroll_open_elsewhere(&self) -> bool {
        self.has_code(400, wire::SCROLL_EXISTS)
    }

    /// The open scroll expired, or the server dropped it.
    pub(super) fn is_scroll_lost(&self) -> bool {
        let is_expired = self.path.ends_with("/scroll") && matches!(&self.failure, Failure::Status { status: 404, .. });
        is_expired || self.has_code(500, wire::SCROLL_RESTART)
    }

    fn has_code(&self, expected: u16, word: &str) -> bool {
        matches!(&self.failure, Failure::Status { status, code: Some(code), .. } if *status == expected && code == word)
    }

    /// Whether a page was refused because of its cursor. Only the error's message shows this, not its status or code: a search may also
    /// fail with a 404 or with `client_error` because its index has a deleted row.
    pub(super) fn is_cursor_refused(&self) -> bool {
        [400, 404, 422].into_iter().any(|status| self.has_code(status, wire::CURSOR_INVALID))
    }

    /// A 4xx that is not about the token or the rate. A later attempt cannot fix it.
    pub(super) fn is_rejected(&self) -> bool {
        let is_4xx = matches!(self.failure, Failure::Status { status: 400 | 404..=407 | 409..=428 | 430..=499, .. });
        is_4xx && !self.is_version_refused() && !self.is_transient()
    }

    /// A rejected request of a client that had successful responses before. So the base URL, the token and the API version are right, and
    /// the reason is what was requested.
    pub fn is_rejected_after_success(&self) -> bool {
        self.after_success && self.is_rejected()
    }

    pub(super) fn is_timeout(&self) -> bool {
        self.failure.is_timeout()
    }

    /// Status 200 with an empty body.
    pub fn is_empty(&self) -> bool {
        self.failure == Failure::Empty
    }

    /// A response came that is not one of this API.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.failure, Failure::Unreadable(_))
    }

    /// The responses are not as documented, and further retries do not help. A person has to find out why.
    pub fn is_unusable(&self) -> bool {
        matches!(self.failure, Failure::Undocumented { .. } | Failure::Paged { .. })
    }

    /// The body is larger than any page.
    pub fn is_too_large(&self) -> bool {
        self.failure == Failure::NoAnswer(NoAnswer::TooLarge)
    }

    /// Why the request did not get through the proxy. `None` if it failed for another reason.
    pub fn proxy_failure(&self) -> Option<&ProxyFailure> {
        match &self.failure {
            Failure::Proxy(failure) => Some(failure),
            _ => None,
        }
    }

    /// What is wrong with the host's certificate. `None` if the request failed for another reason.
    pub fn certificate_problem(&self) -> Option<CertificateProblem> {
        match self.failure {
            Failure::NoAnswer(NoAnswer::Certificate(problem)) => Some(problem),
            _ => None,
        }
    }

    /// Whether the same request may succeed later. For example, a scroll that another program has open ends at some time.
    pub fn is_transient(&self) -> bool {
        self.failure.is_retryable() || self.is_scroll_lost() || self.is_scroll_open_elsewhere()
    }
}

impl Failure {
    /// Whether a request is tried again: after 408, 429, 5xx, an error of the connection or proxy, or 200 with a body that cannot be used.
    /// Not tried again are a body that is too large, an error that only a person can fix, and a list in pages that cannot be requested.
    pub fn is_retryable(&self) -> bool {
        match self {
            Failure::NoAnswer(reason) => *reason != NoAnswer::TooLarge,
            Failure::Proxy(failure) => !failure.is_final(),
            Failure::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Failure::Unreadable(_) | Failure::Empty | Failure::ErrorList { .. } | Failure::Undocumented { .. } => true,
            Failure::Paged { .. } => false,
        }
    }

    /// The response did not come in time. Either this client or a gateway stopped waiting.
    pub(super) fn is_timeout(&self) -> bool {
        matches!(self, Failure::NoAnswer(NoAnswer::Timeout) | Failure::Status { status: 408 | 504, .. })
    }

    /// The API did not act on the request, because the request did not arrive or was rate limited.
    pub(super) fn was_not_acted_on(&self) -> bool {
        let is_unsent = matches!(self, Failure::NoAnswer(NoAnswer::Connect | NoAnswer::Certificate(_)) | Failure::Proxy(_));
        is_unsent || matches!(self, Failure::Status { status: 429, .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoAnswer(NoAnswer::Connect) => write!(f, "could not be sent: no connection to the host"),
            Failure::NoAnswer(NoAnswer::Certificate(problem)) => write!(f, "could not be sent: no TLS connection to the host, {problem}"),
            Failure::NoAnswer(NoAnswer::Timeout) => write!(f, "was not answered in time"),
            Failure::NoAnswer(NoAnswer::Cut) => write!(f, "was cut off in the middle of the answer"),
            Failure::NoAnswer(NoAnswer::TooLarge) => write!(f, "was answered with more than any page can hold"),
            Failure::Proxy(failure) => write!(f, "could not be sent: {failure}"),
            Failure::Empty => write!(f, "was answered with nothing: status 200 and an empty body"),
            Failure::Unreadable(problem) => write!(f, "was answered with {problem}"),
            Failure::Undocumented { path } => write!(f, "was answered with JSON that is not as documented at `{path}`"),
            Failure::Paged { page } => {
                write!(
                    f,
                    "was answered with only a part of a list: there is no way to request page {page}, as the API documents this list as one without pages"
                )
            }
            Failure::ErrorList { code, request_id } => write_with_ids(f, "was answered with status 200 and an error", code, request_id),
            Failure::Status { status, code, request_id, .. } => write_with_ids(f, &format!("answered {status}"), code, request_id),
        }
    }
}

fn write_with_ids(f: &mut fmt::Formatter<'_>, what: &str, code: &Option<String>, request_id: &Option<Box<str>>) -> fmt::Result {
    f.write_str(what)?;
    if let Some(code) = code {
        write!(f, " `{code}`")?;
    }
    match request_id {
        Some(id) => write!(f, ", request id {id}"),
        None => Ok(()),
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Failure {
        match error {
            DecodeError::Empty => Failure::Empty,
            DecodeError::Shape { path } => Failure::Undocumented { path },
            DecodeError::ErrorList { code, request_id } => Failure::ErrorList { code, request_id },
            error => Failure::Unreadable(error.to_string()),
        }
    }
}

struct Attempts(u32);

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 attempt"),
            n => write!(f, "{n} attempts"),
        }
    }
}
