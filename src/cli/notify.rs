//! The webhook: what it is told of how a run ended, and how that is sent. It has a client of its own, which has never
//! seen the access token, and what becomes of it changes nothing for the run.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use intercom::proxy::{self, Proxy, ProxyError, ProxyFailure};
use intercom::tls::CertificateProblem;

const USER_AGENT: &str = concat!("intercom-cohorts/", env!("CARGO_PKG_VERSION"));
const TRIES: usize = 4;
const DELAY_MIN: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one try.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For all of them: a scheduler waits for the end of the process.
const TIMEOUT_OF_ALL: Duration = Duration::from_secs(30);

/// How a run or a backfill ended. No contact's data, and no secret.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notification {
    /// `cohorts.run` or `cohorts.backfill`.
    pub event: String,
    pub outcome: &'static str,
    pub exit_code: u8,
    pub job: String,
    /// The last of the months, as `YYYY-MM`; null when the run ended before it was known.
    pub month: Option<String>,
    /// All that the command was about: of a run the one.
    pub months: Vec<String>,
    /// Of the last of the months; null when it has no snapshot that this run made or found.
    pub basis: Option<String>,
    /// Of all the months.
    pub cohorts: Vec<NotifiedCohort>,
    /// Keys of the streams that disagree with the totals of the API.
    pub incomplete: Vec<String>,
    /// Earlier months without a snapshot, which a run without `--month` warns of.
    pub missed: Vec<String>,
    pub requests: u64,
    pub retries: u64,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub duration_seconds: f64,
    /// What went wrong, with its causes; null when nothing did.
    pub message: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    pub run_id: String,
    pub program_version: &'static str,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct NotifiedCohort {
    pub month: String,
    pub cohort_key: String,
    pub cohort_name: String,
    pub basis: String,
    pub members: u64,
}

/// Why nobody was told. Without the address: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error("the HTTP client could not be set up")]
    Setup,
    #[error("{0}")]
    NoProxy(ProxyError),
    #[error("{0}")]
    Proxy(ProxyFailure),
    #[error("there is no connection to it")]
    Connect,
    #[error("there is no TLS connection to it, {0}; {hint}", hint = .0.hint())]
    Certificate(CertificateProblem),
    #[error("it did not answer in time")]
    Timeout,
    #[error("its answer broke off")]
    Cut,
    #[error("it answered {0}")]
    Status(u16),
}

impl NotifyError {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            NotifyError::Status(status) => Some(*status),
            _ => None,
        }
    }

    fn is_worth_another_try(&self) -> bool {
        match self {
            NotifyError::Setup | NotifyError::NoProxy(_) => false,
            NotifyError::Proxy(failure) => !failure.is_final(),
            NotifyError::Connect | NotifyError::Certificate(_) | NotifyError::Timeout | NotifyError::Cut => true,
            NotifyError::Status(status) => matches!(status, 408 | 429 | 500..=599),
        }
    }
}

/// Sends it, some times if need be, until an answer says that it was taken.
pub(crate) async fn send(address: &SecretString, notification: &Notification) -> Result<(), NotifyError> {
    // The first provider of a process stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = proxy::route(address.expose_secret()).map_err(NotifyError::NoProxy)?.proxy();
    let client = proxy::configure(reqwest::Client::builder(), proxy.as_ref())
        .map_err(|_| NotifyError::Setup)?
        .user_agent(USER_AGENT)
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        // What is told is for the address that was configured.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| NotifyError::Setup)?;
    let body = serde_json::to_vec(notification).map_err(|_| NotifyError::Setup)?;
    let tries = tries(&client, proxy.as_ref(), address, &body);
    tokio::time::timeout(TIMEOUT_OF_ALL, tries).await.unwrap_or(Err(NotifyError::Timeout))
}

async fn tries(client: &reqwest::Client, proxy: Option<&Proxy>, address: &SecretString, body: &[u8]) -> Result<(), NotifyError> {
    let delays = ExponentialBuilder::new().with_jitter().with_min_delay(DELAY_MIN).with_factor(2.0).with_max_times(TRIES - 1);
    let mut delays = delays.build();
    loop {
        let Err(error) = attempt(client, proxy, address, body).await else { return Ok(()) };
        match delays.next() {
            Some(delay) if error.is_worth_another_try() => {
                tracing::debug!("the webhook was not reached, {error}; trying again in {:.1} s", delay.as_secs_f64());
                tokio::time::sleep(delay).await;
            }
            _ => return Err(error),
        }
    }
}

async fn attempt(client: &reqwest::Client, proxy: Option<&Proxy>, address: &SecretString, body: &[u8]) -> Result<(), NotifyError> {
    let request = client.post(address.expose_secret()).header(CONTENT_TYPE, "application/json").body(body.to_vec());
    // The error itself names the address.
    let response = request.send().await.map_err(|error| {
        if let Some(failure) = proxy.and_then(|proxy| proxy.failure(&error)) {
            NotifyError::Proxy(failure)
        } else if error.is_timeout() {
            NotifyError::Timeout
        } else if let Some(problem) = CertificateProblem::of(&error) {
            NotifyError::Certificate(problem)
        } else if error.is_connect() {
            NotifyError::Connect
        } else {
            NotifyError::Cut
        }
    })?;
    if response.status().is_success() { Ok(()) } else { Err(NotifyError::Status(response.status().as_u16())) }
}
