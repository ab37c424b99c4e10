//! Why a job ended without success. What to do about it is the command line's to say.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::lock::Holder;
use super::{ClockOffset, DamagedMonth, Otherwise, Unresolved};
use archive::publish::{Damage, PublishError};
use archive::snapshot::SnapshotError;
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
    #[error("{month} holds a snapshot of basis `{held}`; one made now would be `{now}`, which is worth less and does not replace it")]
    LowerBasis { month: Month, held: Basis, now: Basis },
    #[error("{month}: a replacement would lose what the snapshot holds of groups that are no longer found: {}", .dropped.join(", "))]
    WouldDrop { month: Month, dropped: Vec<String> },
    #[error("{month}: what is published came whole, and a replacement would not, so it stays: {}", .lost.join(", "))]
    WouldLose { month: Month, lost: Vec<String> },
    #[error("{month} is incomplete ({}): nobody knows who is a member of a rule, so no tag was put on or taken", .incomplete.join(", "))]
    IncompleteTags { month: Month, incomplete: Vec<String> },
    #[error("the job's folder holds months of the workspace `{held}`; the token belongs to `{found}`")]
    OtherWorkspace { held: String, found: String },
    #[error("the identifiers in the snapshot of {month} were hashed with another key (`{held}`; this one is `{found}`)")]
    OtherKey { month: Month, held: String, found: String },
    #[error("not every group was found{}", unresolved_lines(.0))]
    Unresolved(Vec<Unresolved>),
    #[error("{months}: after two streams the members that came still differ from what the API says elsewhere, so nothing was published{}", incomplete_lines(.streams))]
    Incomplete { months: Months, streams: Vec<Shortfall> },
    #[error("{months}: `{stream}` could not be followed to its end, so nothing was published")]
    Stream { months: Months, stream: String, source: Box<StreamError> },
    #[error("{months}: the pages of `{stream}` came more than a day apart, twice, so nothing was published")]
    TooSlow { months: Months, stream: String },
    #[error("{months}: `{stream}` was not fetched, so nothing was published")]
    Fetch { months: Months, stream: String, source: Box<RequestError> },
    #[error("the API did not answer what the job needs to begin")]
    Request(#[from] RequestError),
    #[error("the client could not be made")]
    Client(#[from] ClientError),
    #[error("`{path}` is locked: {holder}", path = .path.display())]
    Locked { path: PathBuf, holder: Holder },
    #[error("`{}` is on another file system than `{}`: what is finished cannot be moved there in one step", .folder.display(), .work.display())]
    OtherFileSystem { folder: PathBuf, work: PathBuf },
    #[error("there is no snapshot of {month} in `{path}`", path = .path.display())]
    NoSnapshot { month: Month, path: PathBuf },
    #[error("{month} is not the newest month that is held, {newest} is: tags say what holds now")]
    NotNewest { month: Month, newest: Month },
    #[error(
        "the rule `{rule}` would put its tag on {gains} and take it from {losses}, together more than {:.0} % of {of}; nobody was changed",
        .allowed * 100.0
    )]
    LargeTagChange { rule: String, gains: u64, losses: u64, of: u64, allowed: f64 },
    #[error("the tag of the rule `{rule}` was not brought up to date; the month is published, and what was done is noted")]
    Apply { rule: String, source: Box<StreamError> },
    #[error("the tag of the rule `{rule}` was renamed or deleted meanwhile: the API used another one, id:{id}")]
    OtherTag { rule: String, id: String },
    #[error("the work was interrupted")]
    Interrupted,
    #[error("`{0}` was never followed, by a mistake of this program")]
    NotFetched(String),
    #[error("the snapshot failed")]
    Snapshot(#[from] SnapshotError),
    #[error("not every month can be used{}", damaged_lines(.0))]
    Damaged(Vec<DamagedMonth>),
    #[error("whom an unfinished `cohorts forget` is about cannot be read in `{path}`", path = .path.display())]
    DamagedJournal { path: PathBuf },
    /// What was written to Intercom, which nothing can rebuild.
    #[error("what this job tagged is not known for certain")]
    DamagedApplied(#[source] Damage),
    #[error("the history of {month} failed")]
    History { month: Month, source: HistoryError },
    #[error("the reports of {month} failed")]
    Report { month: Month, source: ReportError },
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl JobError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            JobError::Snapshot(error) => error.is_disk_full(),
            JobError::History { source, .. } => source.is_disk_full(),
            JobError::Report { source, .. } => source.is_disk_full(),
            JobError::Publish(error) => error.is_disk_full(),
            _ => false,
        }
    }

    /// The request that failed, when one did.
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

    /// A stream that would never come right, or a page that holds nothing however often it is asked for.
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
    // Of a list, why it ended is enough: that nothing was published because of it is not true where it is accepted.
    if matches!(error, JobError::Fetch { .. } | JobError::Stream { .. }) {
        parts.remove(0);
    }
    parts.dedup();
    parts.join(": ")
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
