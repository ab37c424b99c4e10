//! Fetches the streams of a plan side by side. A short stream has one partition, a long one has several. The longest partitions
//! start first. As many partitions run as requests may be under way.
//!
//! A partitioned stream is complete when each partition is complete and when their rows together agree with the totals that the
//! API announces for the whole stream, before and after. If they do not agree, or if the API returns rows outside a partition,
//! the whole stream is fetched again with one cursor.

mod cross_check;
mod derivation;
mod membership;
mod witness;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::task::JoinSet;
use tracing::Instrument;

use self::derivation::{Derivation, TruncatedTags};
pub(super) use self::witness::Witness;
use super::plan::Plan;
use super::reader::{Begun, Fetched, Outcome, Probe, StreamReader};
use super::stream::{Partitioning, PlannedStream, StreamKind};
use super::{Context, Event, JobError, work};
use archive::publish;
use archive::snapshot::{SpooledStream, stream_folder};
use domain::{Allowed, Group, Partition, agrees};
use intercom::RequestError;

/// The result of one stream.
#[derive(Debug)]
pub(super) struct StreamResult {
    pub part: SpooledStream,
    /// Why the stream was not finished. Set only if an incomplete stream is accepted.
    pub failure: Option<JobError>,
    /// What a second source says about the stream's members; `None` if there is no second source.
    pub witness: Option<Witness>,
}

/// Fetches every stream of the plan. Writes the partitions of long streams into the plan.
pub(super) async fn fetch_streams(
    context: &Context,
    work: &Path,
    plan: &mut Plan,
    accepts_incomplete: bool,
) -> Result<Vec<StreamResult>, JobError> {
    let streams = plan.streams.iter().map(|_| StreamRun::default()).collect();
    // If `?` returns an error, this is dropped, which cancels the partitions that are still running.
    let running = JoinSet::new();
    let has_everyone = plan.streams.iter().any(|stream| stream.kind == StreamKind::Everyone && stream.partitioning.is_none());
    let waits_for_everyone = has_everyone && context.client.capabilities().has_partitions;
    let mut scheduler = Scheduler {
        context,
        work,
        plan,
        accepts_incomplete,
        streams,
        waiting: Vec::new(),
        running,
        permits_taken: 0,
        truncated_tags: TruncatedTags::default(),
        waits_for_everyone,
    };
    // Open all streams before fetching any, so that they can share one scroll.
    let all: Vec<usize> = (0..scheduler.streams.len()).collect();
    scheduler.begin(&all, true).await?;
    // A stream that an earlier run began keeps its strategy.
    let is_fresh = |waiting: &Waiting| scheduler.plan.streams[waiting.stream].kind == StreamKind::Everyone && waiting.begun.is_fresh();
    scheduler.waits_for_everyone = waits_for_everyone && scheduler.waiting.iter().any(is_fresh);
    if context.client.capabilities().lists_own_segments {
        scheduler.choose_strategy_at_once();
        work::note(work, scheduler.plan)?;
    }
    scheduler.run_to_end().await?;
    scheduler.cross_check().await?;
    let key = |stream: usize| scheduler.plan.streams[stream].key();
    scheduler.streams.into_iter().enumerate().map(|(at, stream)| stream.result.ok_or_else(|| JobError::NotFetched(key(at)))).collect()
}

struct Scheduler<'a> {
    context: &'a Context,
    work: &'a Path,
    plan: &'a mut Plan,
    accepts_incomplete: bool,
    /// The streams in the order of the plan.
    streams: Vec<StreamRun>,
    waiting: Vec<Waiting>,
    running: JoinSet<Done>,
    permits_taken: usize,
    truncated_tags: TruncatedTags,
    /// Whether tags wait until their membership strategy is chosen, after the first page of everyone.
    waits_for_everyone: bool,
}

#[derive(Default)]
struct StreamRun {
    partitions: Vec<PartitionRun>,
    /// Why the stream cannot be fetched in partitions.
    refused: Option<JobError>,
    result: Option<StreamResult>,
}

struct PartitionRun {
    key: String,
    state: State,
}

enum State {
    Open,
    Fetched(Box<Fetched>),
    /// The partition is not used: its stream is fetched with one cursor instead.
    Dropped,
}

struct Waiting {
    stream: usize,
    /// Whether the first page was read to learn the size of the stream.
    is_probed: bool,
    partition: usize,
    reader: StreamReader,
    begun: Begun,
    /// The number of rows; `None` if unknown: then there may be many.
    rows: Option<u64>,
}

enum Done {
    Probed {
        waiting: Box<Waiting>,
        probe: Probe,
    },
    /// Everyone was probed, and the sizes of the tags were requested.
    TagSizes {
        waiting: Box<Waiting>,
        probe: Probe,
        tags: Result<Vec<(usize, u64)>, RequestError>,
    },
    Partition {
        stream: usize,
        partition: usize,
        has_permit: bool,
        outcome: Box<Result<Outcome, JobError>>,
    },
    /// The announced total of a partitioned stream after its last page.
    Closed {
        stream: usize,
        total: Option<u64>,
    },
    /// The tags of contacts with truncated lists were requested, or this error ended the requests.
    Asked(Option<JobError>),
    /// Members were derived from the contacts' own lists.
    Derived(Box<Result<Derivation, JobError>>),
}

impl Scheduler<'_> {
    /// Runs all waiting partitions to the end, also the partitions that follow from their results.
    async fn run_to_end(&mut self) -> Result<(), JobError> {
        loop {
            self.start();
            let Some(done) = self.running.join_next().await else { return Ok(()) };
            match done {
                Ok(done) => self.take(done).await?,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(JobError::Interrupted),
            }
        }
    }

    /// Opens the partitions of these streams.
    async fn begin(&mut self, streams: &[usize], may_partition: bool) -> Result<(), JobError> {
        let mut readers = Vec::new();
        for &stream in streams {
            let planned = &self.plan.streams[stream];
            let partitions = planned.partitions();
            self.streams[stream].partitions =
                partitions.iter().map(|(range, _)| PartitionRun { key: key(planned, *range), state: State::Open }).collect();
            readers.extend(partitions.into_iter().enumerate().map(|(at, (range, rows))| {
                let reader = self.reader(planned, range, may_partition);
                async move {
                    reader.begin().await.map(|begun| Waiting { stream, is_probed: !may_partition, partition: at, reader, begun, rows })
                }
            }));
        }
        self.waiting.extend(try_join_all(readers).await?);
        Ok(())
    }

    fn reader(&self, planned: &PlannedStream, partition: Option<&Partition>, may_partition: bool) -> StreamReader {
        let settings = &self.context.settings;
        let key = key(planned, partition);
        let folder = stream_folder(self.work, &key);
        let own_lists_of = self.own_lists_of(&planned.kind);
        StreamReader {
            client: self.context.client.clone(),
            clock: self.context.clock.clone(),
            observer: self.context.observer.clone(),
            key,
            kind: planned.kind.clone(),
            // The size is that of the whole stream, so a partition does not get it.
            size: planned.size.filter(|_| partition.is_none()),
            partition: partition.cloned(),
            may_partition: may_partition && partition.is_none(),
            own_lists_of,
            page_size: settings.intercom.page_size,
            max_concurrency: settings.intercom.max_concurrency,
            folder,
            scope: self.plan.scope.clone(),
            grace: settings.job.grace,
            tolerance: settings.completeness.tolerance,
            privacy: self.context.privacy.clone(),
            has_subscriptions: self.plan.has_subscriptions,
            accepts_incomplete: self.accepts_incomplete,
        }
    }

    /// The groups of the job to look for in the own lists of a stream's contacts. They are used to derive the members of these groups, or
    /// to check them.
    fn own_lists_of(&self, kind: &StreamKind) -> Arc<[Group]> {
        let groups = self.plan.streams.iter().filter_map(|stream| stream.kind.group()).filter(|_| *kind == StreamKind::Everyone);
        groups.filter(|group| self.context.client.capabilities().lists_own(group.kind)).cloned().collect()
    }

    /// Starts the next partitions while there are free permits: first those of everyone, because the members of other streams are derived
    /// from them, then those of unknown length, then the longest ones. So all partitions end at about the same time.
    fn start(&mut self) {
        loop {
            // Streams that share one scroll take no permit: a stream that waits for a permit would block the others.
            let shared = self.waiting.iter().position(|waiting| waiting.begun.is_shared());
            if shared.is_none() && self.permits_taken >= self.context.settings.intercom.max_concurrency.max(1) {
                return;
            }
            let rows = |at: &usize| {
                let Waiting { stream, rows, .. } = &self.waiting[*at];
                (self.plan.streams[*stream].kind == StreamKind::Everyone, rows.unwrap_or(u64::MAX))
            };
            let may_start = |at: &usize| !self.is_undecided(self.waiting[*at].stream);
            // If several are equally long, this chooses the first.
            let longest = || (0..self.waiting.len()).rev().filter(may_start).max_by_key(rows);
            let Some(next) = shared.or_else(longest) else { return };
            let mut waiting = self.waiting.remove(next);
            if shared.is_some() {
                self.run(waiting, false);
                continue;
            }
            self.permits_taken += 1;
            if waiting.is_probed {
                self.run(waiting, true);
                continue;
            }
            let span = tracing::info_span!("stream", key = waiting.reader.key());
            let probe = async move {
                let probe = waiting.reader.probe(&mut waiting.begun).await;
                waiting.is_probed = true;
                Done::Probed { waiting: Box::new(waiting), probe }
            };
            self.running.spawn(probe.instrument(span));
        }
    }

    fn run(&mut self, waiting: Waiting, has_permit: bool) {
        let Waiting { stream, partition, reader, begun, .. } = waiting;
        let span = tracing::info_span!("stream", key = reader.key());
        let task = async move { Done::Partition { stream, partition, has_permit, outcome: Box::new(reader.run(begun).await) } };
        self.running.spawn(task.instrument(span));
    }

    async fn take(&mut self, done: Done) -> Result<(), JobError> {
        let (stream, partition, outcome) = match done {
            Done::Closed { stream, total } => return self.close(stream, total).await,
            Done::Probed { waiting, probe } => return self.probed(*waiting, probe).await,
            Done::TagSizes { waiting, probe, tags } => return self.choose_strategy(*waiting, probe, tags).await,
            Done::Asked(error) => return self.asked(error).await,
            Done::Derived(derivation) => return self.take_derived((*derivation)?).await,
            Done::Partition { stream, partition, has_permit, outcome } => {
                self.permits_taken -= usize::from(has_permit);
                (stream, partition, *outcome)
            }
        };
        let state = match outcome? {
            Outcome::Fetched(fetched) => State::Fetched(fetched),
            Outcome::NotPartitioned(error) => {
                // Partitions of the stream that are under way must end before it is fetched again: they still write to their folders.
                self.streams[stream].refused = Some(error);
                for waiting in self.waiting.extract_if(.., |waiting| waiting.stream == stream) {
                    self.streams[stream].partitions[waiting.partition].state = State::Dropped;
                }
                State::Dropped
            }
        };
        let is_fetched = matches!(state, State::Fetched(_));
        self.streams[stream].partitions[partition].state = state;
        if is_fetched && self.plan.streams[stream].kind == StreamKind::Everyone {
            self.ask_truncated_tags(partition).await?;
        }
        if self.streams[stream].partitions.iter().any(|partition| matches!(partition.state, State::Open)) {
            return Ok(());
        }
        match self.streams[stream].refused.take() {
            Some(error) => self.refetch_unpartitioned(stream, &super::error::in_a_line(&error)).await,
            None => self.finish(stream).await,
        }
    }

    /// Before the stream of everyone continues, its first page is used to choose the membership strategy of the tags.
    async fn probed(&mut self, waiting: Waiting, probe: Probe) -> Result<(), JobError> {
        let is_awaited = self.plan.streams[waiting.stream].kind == StreamKind::Everyone && self.waits_for_everyone;
        if is_awaited && probe.partitioning.is_some() {
            self.ask_tag_sizes(waiting, probe);
            return Ok(());
        }
        self.waits_for_everyone &= !is_awaited;
        self.fetch_probed(waiting, probe).await
    }

    /// Continues a probed stream: with one cursor, or in partitions.
    async fn fetch_probed(&mut self, waiting: Waiting, probe: Probe) -> Result<(), JobError> {
        match probe.partitioning {
            Some(partitioning) => {
                self.permits_taken -= 1;
                self.partition(waiting.stream, partitioning).await
            }
            None => {
                self.run(waiting, true);
                Ok(())
            }
        }
    }

    /// Whether a stream waits until its membership strategy is chosen.
    fn is_undecided(&self, stream: usize) -> bool {
        self.waits_for_everyone && self.plan.streams[stream].kind.is_tag()
    }

    async fn partition(&mut self, stream: usize, partitioning: Partitioning) -> Result<(), JobError> {
        let planned = &mut self.plan.streams[stream];
        tracing::info!(
            "`{}` has {} rows and is fetched in {} partitions",
            planned.key(),
            partitioning.total,
            partitioning.partitions.len()
        );
        (self.context.observer)(Event::Partitioned { partitions: partitioning.partitions.len() });
        planned.partitioning = Some(partitioning);
        work::note(self.work, self.plan)?;
        self.begin(&[stream], false).await
    }

    /// Fetches a stream again with one cursor.
    async fn refetch_unpartitioned(&mut self, stream: usize, why: &str) -> Result<(), JobError> {
        let planned = &mut self.plan.streams[stream];
        tracing::warn!("`{}` is fetched again with one cursor instead of partitions: {why}", planned.key());
        planned.partitioning = None;
        work::note(self.work, self.plan)?;
        self.restart(stream).await
    }

    async fn restart(&mut self, stream: usize) -> Result<(), JobError> {
        (self.context.observer)(Event::Unpartitioned);
        for partition in &self.streams[stream].partitions {
            publish::remove_folder(&stream_folder(self.work, &partition.key))?;
        }
        self.streams[stream].result = None;
        if self.plan.streams[stream].kind == StreamKind::Everyone {
            self.truncated_tags.contacts = Arc::default();
            self.truncated_tags.read.clear();
        }
        self.begin(&[stream], false).await
    }

    /// Called when all partitions of a stream have ended.
    async fn finish(&mut self, stream: usize) -> Result<(), JobError> {
        let is_whole = self.streams[stream].fetched().all(|fetched| fetched.failure.is_none() && fetched.record.is_complete);
        let planned = &self.plan.streams[stream];
        if planned.partitioning.is_none() || !is_whole {
            return self.close(stream, None).await;
        }
        let (client, kind) = (self.context.client.clone(), planned.kind.clone());
        let (start, end) = (self.plan.scope.start(), self.plan.scope.end());
        self.running.spawn(async move {
            let total = match &kind {
                StreamKind::Everyone => client.contact_count(None).await,
                StreamKind::Members(group) => client.member_count(group, None).await,
                StreamKind::Conversations => client.conversation_count(start, end).await,
            };
            if let Err(error) = &total {
                tracing::warn!(%error, "the closing total of the stream is unknown; its first total is used");
            }
            Done::Closed { stream, total: total.ok().flatten() }
        });
        Ok(())
    }

    async fn close(&mut self, stream: usize, last_total: Option<u64>) -> Result<(), JobError> {
        let part = |partition: &PartitionRun, fetched: &Fetched| (stream_folder(self.work, &partition.key), fetched.record.clone());
        let came: Vec<_> =
            self.streams[stream].partitions.iter().filter_map(|partition| Some(part(partition, partition.fetched()?))).collect();
        let part = match (&self.plan.streams[stream].partitioning, came.as_slice()) {
            (None, [(folder, record)]) => SpooledStream::whole(folder.clone(), record.clone()),
            (None, _) => return Err(JobError::NotFetched(self.plan.streams[stream].key())), // one cursor, so one partition
            (Some(partitioning), _) => SpooledStream::of_partitions(came, partitioning.total, last_total),
        };
        let tolerance = Allowed::Tolerance(self.context.settings.completeness.tolerance);
        let (came, first, last) = (part.record.received(), part.record.first_total, part.record.last_total);
        if self.plan.streams[stream].partitioning.is_some() && part.record.is_complete && !agrees(came, first, last, tolerance) {
            let announced = last.max(first).unwrap_or_default();
            return self.refetch_unpartitioned(stream, &format!("the partitions have {came} rows, the API announces {announced}")).await;
        }
        let is_everyone = self.plan.streams[stream].kind == StreamKind::Everyone;
        let run = &mut self.streams[stream];
        let failure = run.partitions.iter_mut().find_map(|partition| match &mut partition.state {
            State::Fetched(fetched) => fetched.failure.take(),
            State::Open | State::Dropped => None,
        });
        run.result = Some(StreamResult { part, failure, witness: None });
        if is_everyone { self.derive_members().await } else { Ok(()) }
    }
}

impl StreamRun {
    fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.partitions.iter().filter_map(PartitionRun::fetched)
    }
}

impl PartitionRun {
    fn fetched(&self) -> Option<&Fetched> {
        match &self.state {
            State::Fetched(fetched) => Some(fetched),
            State::Open | State::Dropped => None,
        }
    }
}

/// The key of a partition: the name of its folder, and its name in the log.
fn key(planned: &PlannedStream, partition: Option<&Partition>) -> String {
    partition.map_or(planned.key(), |partition| format!("{}@{partition}", planned.key()))
}
