//! One stream, on its own task: taken over, gone on with or begun; followed to its end into its spool; and done once more
//! when what came cannot be all there is.

mod own_groups;
mod probe;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};

use super::plan::{PlannedStream, StreamKind};
use super::{Clock, Event, JobError, Observer, Scope, joined};
use crate::privacy::Privacy;
use archive::publish;
use archive::snapshot::{Others, Progress, SnapshotError, Spool, Spooled, StreamRecord, is_readable, load_progress, load_stream};
use domain::{Allowed, Contact, Conversation, DayPartition, Group, Partition, SecondPartition, agrees, shrank};
use intercom::{Client, Cursor, Page, RequestError, Stream, StreamError};

pub(super) use probe::Probe;

/// All pages of one stream come from within this time, else it is done again.
const STREAM_AGE_MAX: Duration = Duration::hours(24);

pub(super) struct StreamReader {
    pub client: Client,
    pub clock: Clock,
    pub observer: Observer,
    /// Of a partition, under its own key.
    pub planned: PlannedStream,
    /// The partition of the list, when it is not all of it.
    pub partition: Option<Partition>,
    /// Whether a list that turns out to be long is given back to be followed in partitions.
    pub may_partition: bool,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub folder: PathBuf,
    /// Groups that are looked for in the contacts' own lists.
    pub own_lists_of: Arc<[Group]>,
    /// What the other lists have.
    pub others: Others,
    pub scope: Scope,
    pub grace: std::time::Duration,
    pub tolerance: f64,
    pub privacy: Arc<Privacy>,
    /// Whether a stream that cannot be finished is worth what came of it.
    pub accepts_incomplete: bool,
}

/// How a stream ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Fetched(Box<Fetched>),
    /// The API gave rows of other days than those of the partition: the list cannot be followed in partitions.
    NotPartitioned(JobError),
}

/// What became of a stream.
#[derive(Debug)]
pub(super) struct Fetched {
    pub record: StreamRecord,
    /// Why it was not finished, where that is accepted.
    pub failure: Option<JobError>,
}

/// A stream before its first page, or one that an earlier run finished.
pub(super) enum Begun {
    Kept(StreamRecord),
    Open(Box<Opened>),
    /// It could not be begun, and what an earlier run has of it is accepted.
    Failed(JobError),
}

pub(super) struct Opened {
    at: DateTime<Utc>,
    stream: OpenStream,
    /// How far an earlier run came.
    progress: Option<Progress>,
}

enum OpenStream {
    Contacts(Stream<Contact>),
    Conversations(Stream<Conversation>),
}

/// Why a stream ended before its last page.
enum Ended {
    /// Done again from the start, it may come to its end.
    Again(JobError),
    Failed(JobError),
}

impl Begun {
    pub(super) fn is_shared(&self) -> bool {
        let Begun::Open(opened) = self else { return false };
        matches!(&opened.stream, OpenStream::Contacts(stream) if stream.is_shared())
    }

    /// Whether nothing of it came yet.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self, Begun::Open(opened) if opened.progress.is_none())
    }

    /// Whether an earlier run left records of its rows to other lists.
    pub(super) fn relies_on_others(&self) -> bool {
        match self {
            Begun::Kept(record) => record.held > 0,
            Begun::Open(opened) => opened.progress.as_ref().is_some_and(|progress| progress.record.held > 0),
            Begun::Failed(_) => true,
        }
    }
}

impl StreamReader {
    pub(super) async fn begin(&self) -> Result<Begun, JobError> {
        if let Some(record) = self.readable(self.kept(), |record| record).await? {
            return Ok(Begun::Kept(record));
        }
        let progress = self.readable(self.resumable(), |progress| &progress.record).await?;
        match self.open(progress).await {
            Ok(opened) => Ok(Begun::Open(Box::new(opened))),
            Err(error) if self.accepts_incomplete => Ok(Begun::Failed(error)),
            Err(error) => Err(error),
        }
    }

    /// What an earlier run left, unless it cannot be read: everything can be fetched again.
    async fn readable<T: Send + 'static>(&self, left: Option<T>, record: fn(&T) -> &StreamRecord) -> Result<Option<T>, JobError> {
        let Some(left) = left else { return Ok(None) };
        let (folder, kind) = (self.folder.clone(), self.planned.kind.clone());
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
        let cursor = progress.as_ref().and_then(|progress| serde_json::from_str::<Cursor>(&progress.place).ok());
        let progress = progress.filter(|_| cursor.is_some());
        let from = cursor.as_ref();
        let stream = match &self.planned.kind {
            StreamKind::Everyone => self.client.everyone(self.days(), from).await.map(OpenStream::Contacts),
            StreamKind::Members(group) => self.client.members(group, self.days(), from).await.map(OpenStream::Contacts),
            StreamKind::Conversations => {
                let SecondPartition { start, end } = self.seconds();
                Ok(OpenStream::Conversations(self.client.conversations(start, end, from)))
            }
        };
        let stream = stream.map_err(|source| self.failed(source))?;
        Ok(Opened { at, stream, progress })
    }

    fn days(&self) -> Option<&DayPartition> {
        match &self.partition {
            Some(Partition::Contacts(days)) => Some(days),
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
        JobError::Fetch { months: self.scope.months, stream: self.planned.title(), source: source.into() }
    }

    pub(super) async fn run(self, begun: Begun) -> Result<Outcome, JobError> {
        let opened = match begun {
            Begun::Kept(record) => {
                self.tell(Event::Kept { stream: self.key(), rows: record.rows });
                return Ok(Outcome::Fetched(Box::new(Fetched { record, failure: None })));
            }
            Begun::Failed(error) => return self.given_up(error).await,
            Begun::Open(opened) => opened,
        };
        self.tell(Event::StreamStarted { stream: self.key() });
        let is_resumed = opened.progress.is_some();
        let mut outcome = self.once(*opened, None).await;
        if let (true, Err(Ended::Again(error))) = (is_resumed, &outcome) {
            // An expired cursor, say. A stream that was never fetched whole is not yet fetched once.
            self.tell_again(reason(error));
            outcome = self.anew(None).await;
        }
        // The first time, what came has to agree exactly; the second time, within the tolerance.
        let (before, why) = match outcome {
            Ok(record) if record.is_complete => return Ok(self.done(record)),
            Ok(record) => {
                let why = shortfall(&record, self.planned.size);
                (record, why)
            }
            Err(Ended::Again(error)) if self.partition.is_some() && is_not_asked_for(&error) => return Ok(Outcome::NotPartitioned(error)),
            Err(Ended::Again(error)) => (StreamRecord::begun((self.clock)()), reason(&error)),
            Err(Ended::Failed(error)) => return self.given_up(error).await,
        };
        self.tell_again(why);
        self.put_aside()?;
        match self.anew(Some(&before)).await {
            Ok(record) if record.is_complete => Ok(self.done(record)),
            // The job decides what becomes of a stream that is still not whole; it is told of the fuller one.
            Ok(_) => {
                let record = self.fuller().await?;
                Ok(self.done(record))
            }
            Err(Ended::Again(error) | Ended::Failed(error)) => self.given_up(error).await,
        }
    }

    /// Where the first stream is while there is a second one: it may have brought more.
    fn aside(&self) -> PathBuf {
        self.folder.with_extension("first")
    }

    fn put_aside(&self) -> Result<(), JobError> {
        publish::remove_folder(&self.aside())?;
        Ok(publish::move_folder(&self.folder, &self.aside())?)
    }

    /// The fuller one of the streams on disk, which is put in the place of the other.
    async fn fuller(&self) -> Result<StreamRecord, JobError> {
        let left = |folder: &std::path::Path| load_progress(folder).map(|progress| progress.record).or_else(|| load_stream(folder));
        let (first, second) = (left(&self.aside()), left(&self.folder));
        let rows = |record: &Option<StreamRecord>| record.as_ref().map_or(0, |record| record.rows);
        if rows(&first) > rows(&second) {
            publish::remove_folder(&self.folder)?;
            publish::move_folder(&self.aside(), &self.folder)?;
        }
        let kept = self.readable(left(&self.folder), |record| record).await?;
        Ok(kept.unwrap_or_else(|| StreamRecord::begun((self.clock)())))
    }

    /// A stream that could not be finished: an error, or what is on disk of it.
    async fn given_up(self, error: JobError) -> Result<Outcome, JobError> {
        if !self.accepts_incomplete || matches!(error, JobError::OtherWorkspace { .. }) {
            return Err(error);
        }
        tracing::error!("the stream is taken as far as it came: {}", super::error::in_a_line(&error));
        let record = self.fuller().await?;
        Ok(Outcome::Fetched(Box::new(Fetched { record: StreamRecord { is_complete: false, ..record }, failure: Some(error) })))
    }

    /// The stream that an earlier run finished, when it is as good as one made now.
    pub(super) fn kept(&self) -> Option<StreamRecord> {
        let now = (self.clock)();
        let basis = |at| self.scope.basis_at(at, self.grace);
        // What was observed at the month's end is worth more than what could be fetched later, however old it is.
        let is_as_good = |record: &StreamRecord| {
            let (then, now_basis) = (basis(record.observed_at), basis(now));
            let is_worth_it = then > now_basis || (then == now_basis && self.is_young(record));
            record.is_complete && record.started_at <= now && is_worth_it
        };
        load_stream(&self.folder).filter(is_as_good)
    }

    /// How far an earlier run came, when going on makes a stream as good as one begun now: all of it from within a day, and
    /// nothing of it from before the month's end that would be from after it.
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

    async fn anew(&self, before: Option<&StreamRecord>) -> Result<StreamRecord, Ended> {
        self.once(self.open(None).await.map_err(Ended::Failed)?, before).await
    }

    async fn once(&self, opened: Opened, before: Option<&StreamRecord>) -> Result<StreamRecord, Ended> {
        let Opened { at, stream, progress } = opened;
        match stream {
            OpenStream::Contacts(stream) => {
                let as_written = |contact| self.with_own_groups(self.privacy.apply(contact));
                self.follow(stream, at, progress, |_| true, as_written, before).await
            }
            OpenStream::Conversations(stream) => {
                let seconds = self.seconds();
                let is_wanted = move |row: &Conversation| seconds.contains(row.created_at);
                self.follow(stream, at, progress, is_wanted, |row| row, before).await
            }
        }
    }

    /// Every page of the stream into its spool, and whether they can be all there are. `before` is the stream that could not.
    async fn follow<R: Spooled>(
        &self,
        mut stream: Stream<R>,
        opened_at: DateTime<Utc>,
        progress: Option<Progress>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
        before: Option<&StreamRecord>,
    ) -> Result<StreamRecord, Ended> {
        let mut pages = Pages { spool: None, others_before: HashSet::new(), cursor: None };
        if let Some(progress) = progress {
            self.tell(Event::Resumed { stream: self.key(), rows: progress.record.rows });
            let (folder, others) = (self.folder.clone(), self.others.clone());
            let resumed = tokio::task::spawn_blocking(move || Spool::resume(folder, others, progress).map_err(JobError::from));
            // Chunks that cannot be read are no reason to fail: everything can be fetched again.
            let mut spool = joined(resumed.await).map_err(Ended::Again)?;
            // What was not looked for before is not known of those who came before.
            spool.record().own_lists_of.retain(|key| self.own_lists_of.iter().any(|group| group.key() == *key));
            pages.spool = Some(spool);
        }
        let came = self.take_pages(&mut stream, &mut pages, opened_at, is_wanted, as_written).await;
        if let Err(ended) = came {
            // What came since the last chunk stays, too; what it failed of is told, whether or not this succeeds.
            if let (Some(spool), Some(cursor)) = (pages.spool, pages.cursor)
                && let Err(error) = self.save(spool, Some(cursor)).await
            {
                tracing::warn!(%error, "what came last could not be kept");
            }
            return Err(ended);
        }
        let mut spool = match pages.spool {
            Some(spool) => spool,
            // A list without a single page.
            None => self.create(opened_at).map_err(Ended::Failed)?,
        };
        let came = spool.len() + spool.record().outside + spool.record().forgotten;
        spool.record().is_complete = self.is_complete(came, spool.record(), before);
        let finished = tokio::task::spawn_blocking(move || spool.finish().map_err(JobError::from));
        joined(finished.await).map_err(Ended::Failed)
    }

    async fn take_pages<R: Spooled>(
        &self,
        stream: &mut Stream<R>,
        pages: &mut Pages<R>,
        opened_at: DateTime<Utc>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
    ) -> Result<(), Ended> {
        let months = self.scope.months;
        loop {
            let page = match stream.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(StreamError::Request(source)) => return Err(Ended::Failed(self.failed(source))),
                Err(source) => return Err(Ended::Again(JobError::Stream { months, stream: self.planned.title(), source: source.into() })),
            };
            if let (Some(expected), Some(found)) = (&self.scope.expected_workspace, &page.workspace_id)
                && expected != found
            {
                return Err(Ended::Failed(JobError::OtherWorkspace { held: expected.clone(), found: found.clone() }));
            }
            let mut spool = match pages.spool.take() {
                Some(spool) if !page.begins_anew => spool,
                Some(_) => {
                    pages.others_before.clear();
                    self.create((self.clock)()).map_err(Ended::Failed)?
                }
                // Only now: what an earlier run has of it may still be worth something while nothing came.
                None => self.create(opened_at).map_err(Ended::Failed)?,
            };
            let (total, cursor) = (page.total, page.cursor.clone());
            pages.take(&mut spool, page, (self.clock)(), &is_wanted, &as_written);
            let record = spool.record();
            let is_too_slow = record.observed_at - record.started_at > STREAM_AGE_MAX;
            if is_too_slow {
                return Err(Ended::Again(JobError::TooSlow { months, stream: self.planned.title() }));
            }
            if spool.is_full(cursor.is_some()) {
                spool = self.save(spool, cursor.clone()).await.map_err(Ended::Failed)?;
            }
            self.tell(Event::Page { stream: self.key(), rows: spool.len(), total });
            pages.spool = Some(spool);
            pages.cursor = cursor;
        }
    }

    /// Whether what came can be all there is. The first time it has to agree with the totals; the second time, within the
    /// tolerance.
    fn is_complete(&self, came: u64, record: &StreamRecord, before: Option<&StreamRecord>) -> bool {
        let tolerance = Allowed::Tolerance(self.tolerance);
        let allowed = if before.is_some() { tolerance } else { Allowed::Nothing };
        // A search that gives nobody for a group that the listing says has members is no answer.
        let is_empty_answer = came == 0 && self.planned.size.is_some_and(|listed| listed > tolerance.of(listed));
        // A group that people do leave begins the second time about where it ended the first time.
        let shrunk_before = before.filter(|before| shrank(before.first_total, before.last_total, tolerance));
        let has_really_shrunk = shrunk_before.and_then(|before| before.last_total).zip(record.first_total);
        let has_really_shrunk = has_really_shrunk.is_some_and(|(then, now)| now <= then + tolerance.of(then));
        let is_cut_short = shrank(record.first_total, record.last_total, tolerance) && !has_really_shrunk;
        !is_empty_answer && !is_cut_short && agrees(came, record.first_total, record.last_total, allowed)
    }

    fn create<R: Spooled>(&self, at: DateTime<Utc>) -> Result<Spool<R>, JobError> {
        let mut spool = Spool::create(self.folder.clone(), self.others.clone(), at)?;
        spool.record().own_lists_of = self.own_lists_of.iter().map(Group::key).collect();
        Ok(spool)
    }

    /// Writes what is in memory, and where the stream goes on.
    async fn save<R: Spooled>(&self, mut spool: Spool<R>, cursor: Option<Cursor>) -> Result<Spool<R>, JobError> {
        // A place is a few texts and numbers.
        let cursor = cursor.and_then(|cursor| serde_json::to_string(&cursor).ok());
        let saved = tokio::task::spawn_blocking(move || spool.save(cursor).map(|()| spool).map_err(|error: SnapshotError| error.into()));
        joined(saved.await)
    }

    pub(super) fn key(&self) -> String {
        self.planned.key.clone()
    }

    fn tell(&self, event: Event) {
        (self.observer)(event);
    }

    fn tell_again(&self, why: String) {
        tracing::warn!("the stream is done again: {why}");
        self.tell(Event::StreamAgain { stream: self.key(), why });
    }

    fn done(self, record: StreamRecord) -> Outcome {
        self.tell(Event::StreamDone { stream: self.key(), rows: record.rows });
        Outcome::Fetched(Box::new(Fetched { record, failure: None }))
    }
}

fn is_not_asked_for(error: &JobError) -> bool {
    matches!(error, JobError::Stream { source, .. } if matches!(**source, StreamError::NotAskedFor { .. }))
}

/// Why a stream that came to its end cannot have brought all there is.
fn shortfall(record: &StreamRecord, listed: Option<u64>) -> String {
    let came = record.came();
    match (record.first_total, record.last_total) {
        (Some(first), Some(last)) if last < first && came >= last => {
            format!("the announced total fell from {first} to {last} while {came} came")
        }
        (first, last) => format!("{came} came, {} announced", last.max(first).max(listed).unwrap_or_default()),
    }
}

/// Why a stream has to be done again.
fn reason(error: &JobError) -> String {
    match error {
        JobError::Stream { source, .. } => source.to_string(),
        error => error.to_string(),
    }
}

/// What came of a stream so far.
struct Pages<R: Spooled> {
    /// `None` before the first page, and while a page is taken.
    spool: Option<Spool<R>>,
    /// Rows of the page before that were not wanted.
    others_before: HashSet<String>,
    /// Where the list goes on after the last page.
    cursor: Option<Cursor>,
}

impl<R: Spooled> Pages<R> {
    /// Rows that are not wanted were not asked for: the API cuts wider.
    fn take(
        &mut self,
        spool: &mut Spool<R>,
        page: Page<R>,
        at: DateTime<Utc>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
    ) {
        let (wanted, others): (Vec<R>, Vec<R>) = page.rows.into_iter().partition(is_wanted);
        // Each once: a list that shifts gives a row again on the same page or on the next one.
        spool.record().workspace_id = spool.record().workspace_id.take().or(page.workspace_id);
        let others: HashSet<String> = others.iter().map(|row| row.id().to_string()).collect();
        let outside = others.difference(&self.others_before).count() as u64;
        spool.record().page(at, page.total, outside, page.oddities);
        self.others_before = others;
        spool.push(wanted.into_iter().map(as_written).collect());
    }
}
