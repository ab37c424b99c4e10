//! The webhook: its message and how it is sent. It has its own HTTP client, which never has the access token. A failure of the
//! webhook does not change the result of the run.

mod slack;

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use intercom::proxy::{self, Proxy, ProxyError, ProxyFailure};
use intercom::tls::CertificateProblem;
use reports::digest::Notable;

pub(crate) use slack::message as slack_message;

const USER_AGENT: &str = concat!("intercom-cohorts/", env!("CARGO_PKG_VERSION"));
const TRIES: usize = 4;
const DELAY_MIN: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit of one attempt.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of all attempts together, because systemd or cron waits for the end of the process.
const TIMEOUT_OF_ALL: Duration = Duration::from_secs(30);

/// The result of a run or a backfill. It has no contact data and no secret.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Notification {
    /// `cohorts.run` or `cohorts.backfill`.
    pub event: String,
    pub outcome: &'static str,
    pub exit_code: u8,
    pub job: String,
    /// The last of the months, as `YYYY-MM`; null if the run ended before the month was known.
    pub month: Option<String>,
    /// All months of the command; one for a run.
    pub months: Vec<String>,
    /// The basis of the last of the months; null if that month has no snapshot.
    pub basis: Option<String>,
    /// The cohorts of all the months.
    pub cohorts: Vec<NotifiedCohort>,
    /// What stands out in the last of the months. Empty unless this command built the reports of that month.
    pub stands_out: Vec<Notable>,
    /// Keys of the streams that do not agree with the totals of the API.
    pub incomplete: Vec<String>,
    /// Earlier months without a snapshot, which a run without `--month` warns of.
    pub missed: Vec<String>,
    pub requests: u64,
    pub retries: u64,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    pub duration_seconds: f64,
    /// The error with its causes; null if there was none.
    pub message: Option<String>,
    /// What to do about the error; null if there is no hint.
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

/// Why the webhook was not notified. No message contains the webhook's URL, which may be a secret.
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

    fn is_retryable(&self) -> bool {
        match self {
            NotifyError::Setup | NotifyError::NoProxy(_) => false,
            NotifyError::Proxy(failure) => !failure.is_final(),
            NotifyError::Connect | NotifyError::Certificate(_) | NotifyError::Timeout | NotifyError::Cut => true,
            NotifyError::Status(status) => matches!(status, 408 | 429 | 500..=599),
        }
    }
}

/// Sends the message, with retries, until the webhook accepts it.
pub(crate) async fn send(address: &SecretString, body: &[u8]) -> Result<(), NotifyError> {
    // If this process has a default crypto provider already, that provider stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = proxy::route(address.expose_secret()).map_err(NotifyError::NoProxy)?.proxy();
    let client = proxy::configure(reqwest::Client::builder(), proxy.as_ref())
        .map_err(|_| NotifyError::Setup)?
        .user_agent(USER_AGENT)
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        // Follow no redirect, so that the message goes only to the configured URL.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|_| NotifyError::Setup)?;
    let tries = tries(&client, proxy.as_ref(), address, body);
    tokio::time::timeout(TIMEOUT_OF_ALL, tries).await.unwrap_or(Err(NotifyError::Timeout))
}

async fn tries(client: &reqwest::Client, proxy: Option<&Proxy>, address: &SecretString, body: &[u8]) -> Result<(), NotifyError> {
    let delays = ExponentialBuilder::new().with_jitter().with_min_delay(DELAY_MIN).with_factor(2.0).with_max_times(TRIES - 1);
    let mut delays = delays.build();
    loop {
        let Err(error) = attempt(client, proxy, address, body).await else { return Ok(()) };
        match delays.next() {
            Some(delay) if error.is_retryable() => {
                tracing::debug!("the webhook was not reached, {error}; trying again in {:.1} s", delay.as_secs_f64());
                tokio::time::sleep(delay).await;
            }
            _ => return Err(error),
        }
    }
}

async fn attempt(client: &reqwest::Client, proxy: Option<&Proxy>, address: &SecretString, body: &[u8]) -> Result<(), NotifyError> {
    let request = client.post(address.expose_secret()).header(CONTENT_TYPE, "application/json").body(body.to_vec());
    // The text of the error is not used, because it contains the URL.
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
