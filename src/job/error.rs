//! Why a job failed. The command line adds what to do about it.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::{ClockOffset, Otherwise, Unresolved};
use crate::settings::TokenError;
use archive::ArchiveError;
use archive::engine::EngineError;
use archive::publish::PublishError;
use archive::snapshot::SnapshotError;
use archive::store::{Damage, StoreError};
use archive::table::TableError;
use domain::{Basis, Month, Months, Shortfall};
use intercom::{ClientError, RequestError, StreamError};
use reports::history::HistoryError;
use reports::report::ReportError;

#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error("the workspace's own time zone is {}", .found.as_ref().map_or("not given by the API".to_string(), |name| format!("`{name}`, which is no IANA name")))]
    NoTimezone { found: Option<String> },
    #[error("{month} has not begun: it starts at {start}")]
    NotBegun { month: Month, start: DateTime<Utc> },
    #[error("{offset}: {otherwise}")]
    ClockDiffers { offset: ClockOffset, otherwise: Otherwise },
    #[error("{month} has a snapshot of basis `{published}`; a new one would have the lower basis `{now}` and does not replace it")]
    LowerBasis { month: Month, published: Basis, now: Basis },
    #[error("{month}: a replacement would lose groups of the snapshot that are no longer found: {}", .dropped.join(", "))]
    WouldDrop { month: Month, dropped: Vec<String> },
    #[error("{month}: the published snapshot is complete and its replacement would not be, so it is kept: {}", .lost.join(", "))]
    WouldLose { month: Month, lost: Vec<String> },
    #[error("{month} is incomplete ({}): the members of rules are unknown, so no tag was added or removed", .incomplete.join(", "))]
    IncompleteTags { month: Month, incomplete: Vec<String> },
    #[error("the job's folder has months of the workspace `{published}`; the token belongs to `{found}`")]
    OtherWorkspace { published: String, found: String },
    #[error("the identifiers in the snapshot of {month} were hashed with another key (`{published}`; this one is `{found}`)")]
    OtherKey { month: Month, published: String, found: String },
    #[error("not every group was found{}", unresolved_lines(.0))]
    Unresolved(Vec<Unresolved>),
    #[error("{months}: after two readings the members still differ from what the API says elsewhere, so nothing was published{}", incomplete_lines(.streams))]
    Incomplete { months: Months, streams: Vec<Shortfall> },
    #[error("{months}: `{stream}` could not be read to its end, so nothing was published")]
    Stream { months: Months, stream: String, source: Box<StreamError> },
    #[error("{months}: the pages of `{stream}` came more than a day apart, twice, so nothing was published")]
    TooSlow { months: Months, stream: String },
    #[error("{months}: `{stream}` was not fetched, so nothing was published")]
    Fetch { months: Months, stream: String, source: Box<RequestError> },
    #[error("the first requests of the job failed")]
    Request(#[from] RequestError),
    #[error("the HTTP client could not be set up")]
    Client(#[from] ClientError),
    #[error("{month} is not the newest published month, {newest} is: tags must show the newest month")]
    NotNewest { month: Month, newest: Month },
    #[error(
        "the rule `{rule}` would add its tag to {gains} contacts and remove it from {losses}, together more than {:.0} % of {of}; nothing was changed",
        .allowed * 100.0
    )]
    LargeTagChange { rule: String, gains: u64, losses: u64, of: u64, allowed: f64 },
    #[error("the tag of the rule `{rule}` was not brought up to date; the month is published, and the changes so far are recorded")]
    Apply { rule: String, source: Box<StreamError> },
    #[error("the tag of the rule `{rule}` was renamed or deleted in the meantime: the API used another tag, id:{id}")]
    OtherTag { rule: String, id: String },
    #[error("a `cohorts forget` did not finish in `{place}`: a copy would keep people who are to be removed")]
    ForgetUnfinished { place: String },
    #[error("the months in `{place}` {what}")]
    OtherCopy { place: String, what: String },
    #[error("there is no folder on this machine for unfinished work")]
    NoWorkFolder,
    #[error("the work was interrupted")]
    Interrupted,
    #[error("`{0}` was never fetched: this is a bug of this program")]
    NotFetched(String),
    #[error("what is kept of a month could not be used")]
    Snapshot(#[from] SnapshotError),
    #[error("not every month can be used{}", damaged_lines(.0))]
    Damaged(Vec<DamagedMonth>),
    #[error("the persons of an unfinished `cohorts forget` cannot be read from `{path}`", path = .path.display())]
    DamagedJournal { path: PathBuf },
    /// The record of the tags written to Intercom. It cannot be rebuilt.
    #[error("the record of the contacts that this job tagged is damaged")]
    DamagedApplied(#[source] Damage),
    #[error("the engine cannot be used: {problem}")]
    Engine { problem: String },
    #[error("the script was not written")]
    Script(#[source] PublishError),
    #[error(transparent)]
    EngineCheck(EngineError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the history of {month} failed")]
    History { month: Month, source: HistoryError },
    #[error("the reports of {month} failed")]
    Report { month: Month, source: ReportError },
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The job's folder is locked, cannot be used, or lacks a month.
    #[error(transparent)]
    Archive(ArchiveError),
}

/// A month whose snapshot cannot be used, and why.
#[derive(Debug)]
pub struct DamagedMonth {
    pub month: Month,
    pub error: SnapshotError,
}

impl std::fmt::Display for DamagedMonth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.month, self.error)
    }
}

impl From<ArchiveError> for JobError {
    fn from(error: ArchiveError) -> JobError {
        match error {
            ArchiveError::Snapshot(error) => error.into(),
            ArchiveError::Publish(error) | ArchiveError::Store(StoreError::Publish(error)) => error.into(),
            error => JobError::Archive(error),
        }
    }
}

impl JobError {
    /// The request that failed, if any.
    pub fn request(&self) -> Option<&RequestError> {
        match self {
            JobError::Request(error) => Some(error),
            JobError::Fetch { source, .. } => Some(source),
            JobError::Apply { source, .. } => match &**source {
                StreamError::Request(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// The error of an engine outside of this process, if an engine caused this error.
    pub fn engine(&self) -> Option<&EngineError> {
        match self {
            JobError::History { source: HistoryError::Engine(error), .. } | JobError::Report { source: ReportError::Engine(error), .. } => {
                Some(error)
            }
            _ => None,
        }
    }

    /// Whether the API sent an empty body instead of an answer, also after retries.
    pub fn is_unsound_answer(&self) -> bool {
        match self {
            JobError::Fetch { source, .. } => source.is_empty(),
            _ => false,
        }
    }

    pub(super) fn table(month: Month, error: TableError) -> JobError {
        JobError::Report { month, source: error.into() }
    }
}

/// An error and its causes, for a manifest.
pub(super) fn in_a_line(error: &JobError) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    // If a stream failed, its message is left out and only its causes are kept. The message ends with "nothing was published", which is
    // wrong when the month is published with an incomplete stream.
    if matches!(error, JobError::Fetch { .. } | JobError::Stream { .. }) {
        parts.remove(0);
    }
    parts.dedup();
    parts.join(": ")
}

/// The result of a blocking task. A panic in it is resumed here.
pub(super) fn joined<T>(result: Result<Result<T, JobError>, tokio::task::JoinError>) -> Result<T, JobError> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Blocking tasks are cancelled only when the runtime ends.
        Err(_) => Err(JobError::Interrupted),
    }
}

fn unresolved_lines(unresolved: &[Unresolved]) -> String {
    unresolved.iter().map(|missing| format!("\n  {missing}")).collect()
}

fn damaged_lines(months: &[DamagedMonth]) -> String {
    months.iter().map(|month| format!("\n  {month}")).collect()
}

fn incomplete_lines(streams: &[Shortfall]) -> String {
    streams.iter().map(|stream| format!("\n  {stream}")).collect()
}
