//! What can go wrong, told for a person: method, path, status, Intercom's code and request id, tries and time. Never
//! the token, never a query (it may hold a cursor), never a body (it may hold a contact's data).

use std::fmt;
use std::time::Duration;

use super::wire::{self, DecodeError};
use crate::proxy::{ProxyError, ProxyFailure};
use crate::tls::CertificateProblem;

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("`{0}` is no usable API version")]
    Version(String),
}

/// One request that failed for good.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{method} {path}` {failure} ({attempts} in {elapsed:.1?})", attempts = Attempts(*.attempts))]
pub struct RequestError {
    pub method: &'static str,
    pub path: String,
    pub attempts: u32,
    pub elapsed: Duration,
    pub failure: Failure,
    /// Whether this client has had good answers before: then address, token and version are right.
    pub follows_answers: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer, or only the beginning of one.
    NoAnswer(NoAnswer),
    /// It did not get through the proxy.
    Proxy(ProxyFailure),
    /// An answer with a status that says no.
    Status { status: u16, code: Option<String>, request_id: Option<String> },
    /// Status 200, and nothing.
    Empty,
    /// Status 200, but no JSON of this API: half of it, or a page of something in between.
    Unreadable(String),
    /// Status 200 with the body of an error.
    ErrorList { code: Option<String>, request_id: Option<String> },
    /// Status 200 and JSON, but not as the API documents it: a list that is none, a row without an id.
    Undocumented { path: String },
    /// A list that is documented to come whole came in pages, and its next page cannot be asked for.
    InPages { page: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    Connect,
    /// Whoever answers is nobody whom the program can trust.
    Certificate(CertificateProblem),
    Timeout,
    Cut,
    TooLarge,
}

/// A stream that cannot be trusted to have seen, or ever to see, every page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("page {page} of `{path}` gives a cursor that was given before; the listing would never end")]
    CursorLoop { path: String, page: u32 },
    #[error("page {page} of `{path}` was refused: its cursor has expired")]
    CursorRefused { path: String, page: u32, source: Box<RequestError> },
    #[error("page {page} of `{path}` was refused, although the pages before it were answered")]
    PageRefused { path: String, page: u32, source: Box<RequestError> },
    #[error("page {page} of `{path}` holds {rows} rows of days that were not asked for")]
    NotAskedFor { path: String, page: u32, rows: usize },
    #[error("page {page} of `{path}` names a next page on another host or of an unknown form; it was not followed")]
    ForeignNext { path: String, page: u32 },
    #[error("`{path}` has given {pages} empty pages in a row by page {page}, each with a new cursor; the listing would never end")]
    Empty { path: String, page: u32, pages: u32 },
    #[error("`{path}` has given {rows} rows by page {page} although it announced {announced}; the listing would never end")]
    Endless { path: String, page: u32, rows: u64, announced: u64 },
    #[error(
        "`{path}` of 1.x ends at 10,000 records, before the month's first; use an `intercom.api_version` from 2.0 on, or set `conversations = false`"
    )]
    TooLong { path: String },
    #[error("page {page} of `{path}` is empty although there are {last}; what should have been on it did not come")]
    Hole { path: String, page: u32, last: u32 },
    #[error("`{path}` ended after {rows} rows although it announced {announced}")]
    Short { path: String, rows: u64, announced: u64 },
    #[error("the stream was abandoned")]
    Abandoned,
}

impl RequestError {
    /// 401, 402 and 403: another token or another permission is needed, trying again does not help.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 401..=403, .. })
    }

    /// The API refuses the version that was asked for.
    pub fn is_version_refused(&self) -> bool {
        matches!(&self.failure, Failure::Status { code: Some(code), .. } if code == "intercom_version_invalid")
    }

    pub fn is_not_found(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 404, .. })
    }

    /// The contact was merged into another one.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 410, .. })
    }

    /// A redirect or 404: this is not the API, or not this API.
    pub fn is_misdirected(&self) -> bool {
        matches!(self.failure, Failure::Status { status: 300..=399 | 404 | 405, .. })
    }

    /// Page numbers reach no further; the scroll does.
    pub(super) fn is_page_limit(&self) -> bool {
        self.has_code(400, wire::PAGE_LIMIT)
    }

    pub(super) fn is_scroll_open_elsewhere(&self) -> bool {
        self.has_code(400, wire::SCROLL_EXISTS)
    }

    /// The open scroll expired, or the server gave it up.
    pub(super) fn is_scroll_over(&self) -> bool {
        let is_expired = self.path.ends_with("/scroll") && matches!(&self.failure, Failure::Status { status: 404, .. });
        is_expired || self.has_code(500, wire::SCROLL_RESTART)
    }

    fn has_code(&self, expected: u16, word: &str) -> bool {
        matches!(&self.failure, Failure::Status { status, code: Some(code), .. } if *status == expected && code == word)
    }

    /// Whether a page was refused for the cursor that it goes on from. Only its message says so: a 404, or another
    /// `client_error`, is also what a search answers whose index holds a row that was deleted.
    pub(super) fn is_cursor_refused(&self) -> bool {
        [400, 404, 422].into_iter().any(|status| self.has_code(status, wire::CURSOR_INVALID))
    }

    /// A 4xx that is neither about the token nor about the rate, and that no waiting cures.
    pub(super) fn is_rejected(&self) -> bool {
        let is_4xx = matches!(self.failure, Failure::Status { status: 400 | 404..=407 | 409..=428 | 430..=499, .. });
        is_4xx && !self.is_version_refused() && !self.is_passing()
    }

    /// The same, to a client that had good answers before: what was asked for is the matter, not address, token or version.
    pub fn is_refused_later(&self) -> bool {
        self.follows_answers && self.is_rejected()
    }

    pub(super) fn is_late(&self) -> bool {
        self.failure.is_late()
    }

    /// Good answers came, with nothing in them.
    pub fn is_empty(&self) -> bool {
        self.failure == Failure::Empty
    }

    /// An answer came, and it is none of this API.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.failure, Failure::Unreadable(_))
    }

    /// Good answers came that can never be used, however often they are asked for: a person has to look.
    pub fn is_unusable(&self) -> bool {
        matches!(self.failure, Failure::Undocumented { .. } | Failure::InPages { .. })
    }

    pub fn is_too_large(&self) -> bool {
        self.failure == Failure::NoAnswer(NoAnswer::TooLarge)
    }

    /// Why it did not get through the proxy, when that is why it failed.
    pub fn proxy_failure(&self) -> Option<&ProxyFailure> {
        match &self.failure {
            Failure::Proxy(failure) => Some(failure),
            _ => None,
        }
    }

    /// What is wrong with the certificate of the host, when that is why it failed.
    pub fn certificate_problem(&self) -> Option<CertificateProblem> {
        match self.failure {
            Failure::NoAnswer(NoAnswer::Certificate(problem)) => Some(problem),
            _ => None,
        }
    }

    /// Whether the same request may well work later. A scroll that is open elsewhere ends there some time.
    pub fn is_passing(&self) -> bool {
        self.failure.is_worth_another_try() || self.is_scroll_over() || self.is_scroll_open_elsewhere()
    }
}

impl Failure {
    /// The classes that are tried again: 408, 429, 5xx, transport errors, and 200 with an unreadable body.
    pub fn is_worth_another_try(&self) -> bool {
        match self {
            Failure::NoAnswer(reason) => *reason != NoAnswer::TooLarge,
            Failure::Proxy(failure) => !failure.is_final(),
            Failure::Status { status, .. } => matches!(status, 408 | 429 | 500..=599),
            Failure::Unreadable(_) | Failure::Empty | Failure::ErrorList { .. } | Failure::Undocumented { .. } => true,
            Failure::InPages { .. } => false,
        }
    }
}

impl Failure {
    /// The answer did not come in time, here or at a gateway on the way.
    pub(super) fn is_late(&self) -> bool {
        matches!(self, Failure::NoAnswer(NoAnswer::Timeout) | Failure::Status { status: 408 | 504, .. })
    }

    /// Nothing was done about the request: it did not arrive, or was refused for its rate alone.
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
            Failure::InPages { page } => {
                write!(f, "was answered with a list in pages, of which page {page} cannot be asked for; it is documented to come whole")
            }
            Failure::ErrorList { code, request_id } => write_told(f, "was answered with status 200 and an error", code, request_id),
            Failure::Status { status, code, request_id } => write_told(f, &format!("answered {status}"), code, request_id),
        }
    }
}

fn write_told(f: &mut fmt::Formatter<'_>, what: &str, code: &Option<String>, request_id: &Option<String>) -> fmt::Result {
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
