//! Reads one stream, or one partition of it, into its spool, on its own task. It reuses or resumes the rows of an earlier run,
//! and reads the stream a second time if the rows cannot be complete.

mod own_groups;
mod pages;
mod probe;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::stream::{Partitioning, StreamKind};
use super::{Clock, Event, JobError, Observer, Scope, joined};
use crate::privacy::Privacy;
use archive::publish;
use archive::snapshot::{Progress, StreamRecord, is_readable, load_progress, load_stream};
use domain::{Contact, ContactPartition, Conversation, Group, Partition, SecondPartition};
use intercom::{Client, Cursor, RequestError, Stream, StreamError};

/// All pages of a stream must come within this time. Otherwise the stream is read again.
const STREAM_AGE_MAX: Duration = Duration::hours(24);

pub(super) struct StreamReader {
    pub client: Client,
    pub clock: Clock,
    pub observer: Observer,
    /// The name of the stream's folder, and its name in the log.
    pub key: String,
    pub kind: StreamKind,
    /// The announced total of a whole stream; `None` if it was not requested.
    pub size: Option<u64>,
    /// The partition to read; `None` for the whole stream.
    pub partition: Option<Partition>,
    /// Whether a long stream is handed back to the scheduler, to be partitioned.
    pub may_partition: bool,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub folder: PathBuf,
    /// Groups to look for in the contacts' own lists.
    pub own_lists_of: Arc<[Group]>,
    pub scope: Scope,
    pub grace: std::time::Duration,
    pub tolerance: f64,
    pub privacy: Arc<Privacy>,
    /// Whether the contacts' choices about subscriptions are written.
    pub has_subscriptions: bool,
    /// Whether the rows of a stream that failed are accepted.
    pub accepts_incomplete: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Fetched(Box<Fetched>),
    /// The API returned rows from outside the partition: the stream cannot be partitioned.
    NotPartitioned(JobError),
}

/// The result of a stream or partition.
#[derive(Debug)]
pub(super) struct Fetched {
    pub record: StreamRecord,
    /// Why the stream was not finished. Set only if an incomplete stream is accepted.
    pub failure: Option<JobError>,
}

/// What the first page of a stream shows.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// The partitions of the stream; `None` if it is not long.
    pub partitioning: Option<Partitioning>,
    /// The expected share of contacts whose own list of tags is truncated.
    pub truncated_tags: f64,
}

/// A stream of which this run has read no page yet.
pub(super) enum Begun {
    Kept(StreamRecord),
    Open(Box<Opened>),
    /// The stream could not be opened, and the rows of an earlier run are accepted.
    Failed(JobError),
}

pub(super) struct Opened {
    at: DateTime<Utc>,
    stream: OpenStream,
    /// The progress of an earlier run; `None` if there is none.
    progress: Option<Progress>,
}

enum OpenStream {
    Contacts(Stream<Contact>),
    Conversations(Stream<Conversation>),
}

/// Why a stream ended before its last page.
enum Ended {
    /// The stream may succeed if it is read again from the start.
    Again(JobError),
    Failed(JobError),
}

impl Begun {
    pub(super) fn is_shared(&self) -> bool {
        let Begun::Open(opened) = self else { return false };
        matches!(&opened.stream, OpenStream::Contacts(stream) if stream.is_shared())
    }

    /// Whether no page of the stream came yet.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self, Begun::Open(opened) if opened.progress.is_none())
    }
}

impl StreamReader {
    pub(super) async fn begin(&self) -> Result<Begun, JobError> {
        if let Some(record) = self.readable(self.reusable(), |record| record).await? {
            return Ok(Begun::Kept(record));
        }
        let progress = self.readable(self.resumable(), |progress| &progress.record).await?;
        match self.open(progress).await {
            Ok(opened) => Ok(Begun::Open(Box::new(opened))),
            Err(error) if self.accepts_incomplete => Ok(Begun::Failed(error)),
            Err(error) => Err(error),
        }
    }

    /// Returns `left`, which an earlier run wrote, if the chunks of its rows can be read. Otherwise returns `None`, and the stream is
    /// fetched again.
    async fn readable<T: Send + 'static>(&self, left: Option<T>, record: fn(&T) -> &StreamRecord) -> Result<Option<T>, JobError> {
        let Some(left) = left else { return Ok(None) };
        let (folder, kind) = (self.folder.clone(), self.kind.clone());
        let checked = tokio::task::spawn_blocking(move || {
            let is_fine = match kind {
                StreamKind::Conversations => is_readable::<Conversation>(&folder, record(&left)),
                StreamKind::Everyone | StreamKind::Members(_) => is_readable::<Contact>(&folder, record(&left)),
            };
            Ok(Some(left).filter(|_| is_fine))
        });
        joined(checked.await)
    }

    async fn open(&self, progress: Option<Progress>) -> Result<Opened, JobError> {
        let at = (self.clock)();
        let cursor = progress.as_ref().and_then(|progress| serde_json::from_str::<Cursor>(&progress.cursor).ok());
        let progress = progress.filter(|_| cursor.is_some());
        let from = cursor.as_ref();
        let stream = match &self.kind {
            StreamKind::Everyone => self.client.everyone(self.contacts(), from).await.map(OpenStream::Contacts),
            StreamKind::Members(group) => self.client.members(group, self.contacts(), from).await.map(OpenStream::Contacts),
            StreamKind::Conversations => {
                let SecondPartition { start, end } = self.seconds();
                Ok(OpenStream::Conversations(self.client.conversations(start, end, from)))
            }
        };
        let stream = stream.map_err(|source| self.failed(source))?;
        Ok(Opened { at, stream, progress })
    }

    fn contacts(&self) -> Option<&ContactPartition> {
        match &self.partition {
            Some(Partition::Contacts(contacts)) => Some(contacts),
            Some(Partition::Conversations(_)) | None => None,
        }
    }

    fn seconds(&self) -> SecondPartition {
        match &self.partition {
            Some(Partition::Conversations(seconds)) => *seconds,
            Some(Partition::Contacts(_)) | None => SecondPartition { start: self.scope.start(), end: self.scope.end() },
        }
    }

    fn failed(&self, source: RequestError) -> JobError {
        JobError::Fetch { months: self.scope.months, stream: self.title(), source: source.into() }
    }

    pub(super) async fn run(self, begun: Begun) -> Result<Outcome, JobError> {
        let opened = match begun {
            Begun::Kept(record) => {
                self.report(Event::Kept { stream: self.key(), rows: record.rows });
                return Ok(Outcome::Fetched(Box::new(Fetched { record, failure: None })));
            }
            Begun::Failed(error) => return self.given_up(error).await,
            Begun::Open(opened) => opened,
        };
        self.report(Event::StreamStarted { stream: self.key() });
        let is_resumed = opened.progress.is_some();
        let mut outcome = self.read(*opened, None).await;
        if let (true, Err(Ended::Again(error))) = (is_resumed, &outcome) {
            // The rows of an earlier run cannot be continued, for example because the cursor expired. This does not count as the
            // first reading, because the stream was never read as a whole.
            self.report_again(reason(error));
            outcome = self.read_again(None).await;
        }
        // The first reading must agree with the totals exactly, the second within the tolerance.
        let (before, why) = match outcome {
            Ok(record) if record.is_complete => return Ok(self.done(record)),
            Ok(record) => {
                let why = shortfall(&record, self.size);
                (record, why)
            }
            Err(Ended::Again(error)) if self.partition.is_some() && is_outside_partition(&error) => {
                return Ok(Outcome::NotPartitioned(error));
            }
            Err(Ended::Again(error)) => (StreamRecord::new((self.clock)()), reason(&error)),
            Err(Ended::Failed(error)) => return self.given_up(error).await,
        };
        self.report_again(why);
        self.set_aside()?;
        match self.read_again(Some(&before)).await {
            Ok(record) if record.is_complete => Ok(self.done(record)),
            // The stream is still incomplete. The caller decides whether to publish it. Only the reading with more rows is used.
            Ok(_) => {
                let record = self.fuller().await?;
                Ok(self.done(record))
            }
            Err(Ended::Again(error) | Ended::Failed(error)) => self.given_up(error).await,
        }
    }

    /// The folder that keeps the first reading during the second one. The first reading may have more rows.
    fn aside(&self) -> PathBuf {
        self.folder.with_extension("first")
    }

    fn set_aside(&self) -> Result<(), JobError> {
        publish::remove_folder(&self.aside())?;
        Ok(publish::move_folder(&self.folder, &self.aside())?)
    }

    /// Keeps the reading with more rows.
    async fn fuller(&self) -> Result<StreamRecord, JobError> {
        let left = |folder: &std::path::Path| load_progress(folder).map(|progress| progress.record).or_else(|| load_stream(folder));
        let (first, second) = (left(&self.aside()), left(&self.folder));
        let rows = |record: &Option<StreamRecord>| record.as_ref().map_or(0, |record| record.rows);
        if rows(&first) > rows(&second) {
            publish::remove_folder(&self.folder)?;
            publish::move_folder(&self.aside(), &self.folder)?;
        }
        let kept = self.readable(left(&self.folder), |record| record).await?;
        Ok(kept.unwrap_or_else(|| StreamRecord::new((self.clock)())))
    }

    /// Ends a stream that failed: returns the error, or the rows on disk if an incomplete stream is accepted.
    async fn given_up(self, error: JobError) -> Result<Outcome, JobError> {
        if !self.accepts_incomplete || matches!(error, JobError::OtherWorkspace { .. }) {
            return Err(error);
        }
        tracing::error!("the stream failed; the rows that came are used: {}", super::error::in_a_line(&error));
        let record = self.fuller().await?;
        Ok(Outcome::Fetched(Box::new(Fetched { record: StreamRecord { is_complete: false, ..record }, failure: Some(error) })))
    }

    /// The rows of an earlier run that finished the stream, if they are as good as rows fetched now.
    pub(super) fn reusable(&self) -> Option<StreamRecord> {
        let now = (self.clock)();
        let basis = |at| self.scope.basis_at(at, self.grace);
        // An observation at the month's end has a better basis than a later one, however old it is.
        let is_as_good = |record: &StreamRecord| {
            let (then, now_basis) = (basis(record.observed_at), basis(now));
            let is_worth_it = then > now_basis || (then == now_basis && self.is_young(record));
            record.is_complete && record.started_at <= now && is_worth_it
        };
        load_stream(&self.folder).filter(is_as_good)
    }

    /// The progress of an earlier run, if resuming is as good as a fresh start: all pages must come within a day. If a fresh start would
    /// be after the month's end, no page may be from before it, unless an incomplete month is accepted.
    fn resumable(&self) -> Option<Progress> {
        let now = (self.clock)();
        let basis = |at| self.scope.basis_at(at, self.grace);
        let is_as_good = |record: &StreamRecord| {
            record.started_at <= now && self.is_young(record) && (basis(record.started_at) >= basis(now) || self.accepts_incomplete)
        };
        load_progress(&self.folder).filter(|progress| is_as_good(&progress.record))
    }

    fn is_young(&self, record: &StreamRecord) -> bool {
        (self.clock)() - record.started_at <= STREAM_AGE_MAX
    }

    pub(super) fn key(&self) -> String {
        self.key.clone()
    }

    /// The name of the stream in messages: the key, and the group's name without control characters.
    fn title(&self) -> String {
        let Some(group) = self.kind.group() else { return self.key() };
        let name: String = group.name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
        format!("{} ({name})", self.key)
    }

    fn report(&self, event: Event) {
        (self.observer)(event);
    }

    fn report_again(&self, why: String) {
        tracing::warn!("the stream is read again: {why}");
        self.report(Event::StreamAgain { stream: self.key(), why });
    }

    fn done(self, record: StreamRecord) -> Outcome {
        self.report(Event::StreamDone { stream: self.key(), rows: record.rows });
        Outcome::Fetched(Box::new(Fetched { record, failure: None }))
    }
}

fn is_outside_partition(error: &JobError) -> bool {
    matches!(error, JobError::Stream { source, .. } if matches!(**source, StreamError::UnexpectedRows { .. }))
}

/// Why the rows of a finished stream cannot be complete.
fn shortfall(record: &StreamRecord, listed: Option<u64>) -> String {
    let came = record.received();
    match (record.first_total, record.last_total) {
        (Some(first), Some(last)) if last < first && came >= last => {
            format!("the announced total fell from {first} to {last} while {came} rows came")
        }
        (first, last) => format!("{came} rows came, {} announced", last.max(first).max(listed).unwrap_or_default()),
    }
}

/// Why a stream must be read again.
fn reason(error: &JobError) -> String {
    match error {
        JobError::Stream { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}
