//! Every list of a plan, side by side: each in one chain of pages, or in one for each of its partitions, the longest first and
//! as many at once as requests may be under way.
//!
//! A list in partitions is whole when each partition is, and when together they are about as many as the whole list announces
//! before and after. Where they are not, or where the API does not cut its lists as asked, the list is followed once more,
//! in one chain.

mod cross_check;
mod membership;

use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::task::JoinSet;
use tracing::Instrument;

pub(super) use self::cross_check::Witness;
use self::membership::{Told, Untold};
use super::partitioning::Partitioning;
use super::plan::{Plan, PlannedStream, StreamKind};
use super::reader::{Begun, Fetched, Look, Outcome, StreamReader};
use super::{Context, Event, JobError, joined, work};
use archive::publish;
use archive::snapshot::{Deduplication, RecordIndex, SpooledStream, lacks_records, stream_folder};
use domain::{Allowed, Group, Partition, agrees};
use intercom::RequestError;

/// What came of a list.
#[derive(Debug)]
pub(super) struct Followed {
    pub part: SpooledStream,
    /// Why it was not finished, where that is accepted.
    pub failure: Option<JobError>,
    /// What another source says of it.
    pub witness: Option<Witness>,
}

/// Follows every list of the plan, which is told of lists that turn out to be long.
pub(super) async fn follow(context: &Context, work: &Path, plan: &mut Plan, accepts_incomplete: bool) -> Result<Vec<Followed>, JobError> {
    let lists = plan.streams.iter().map(|_| List::default()).collect();
    // Dropped on `?`, which ends the chains that are still followed.
    let running = JoinSet::new();
    let has_everyone = plan.streams.iter().any(|stream| stream.kind == StreamKind::Everyone && stream.partitioning.is_none());
    let waits_for_everyone = has_everyone && context.client.capabilities().has_partitions;
    let mut chains = Chains {
        context,
        work,
        plan,
        accepts_incomplete,
        lists,
        waiting: Vec::new(),
        running,
        places_taken: 0,
        held: RecordIndex::default(),
        untold: Untold::default(),
        waits_for_everyone,
        is_in_doubt: false,
    };
    // Every stream is opened before any is followed: so they may share what they read.
    let all: Vec<usize> = (0..chains.lists.len()).collect();
    chains.begin(&all, true).await?;
    // What an earlier run has begun goes on as it was.
    let is_open = |waiting: &Waiting| chains.plan.streams[waiting.list].kind == StreamKind::Everyone && waiting.begun.is_fresh();
    chains.waits_for_everyone = waits_for_everyone && chains.waiting.iter().any(is_open);
    if context.client.capabilities().lists_own_segments {
        chains.choose_tallied_at_once();
        work::note(work, chains.plan)?;
    }
    chains.follow().await?;
    chains.complete().await?;
    chains.cross_check().await?;
    let key = |list: usize| chains.plan.streams[list].key.clone();
    chains.lists.into_iter().enumerate().map(|(at, list)| list.followed.ok_or_else(|| JobError::NotFollowed(key(at)))).collect()
}

struct Chains<'a> {
    context: &'a Context,
    work: &'a Path,
    plan: &'a mut Plan,
    accepts_incomplete: bool,
    /// As the plan has them.
    lists: Vec<List>,
    waiting: Vec<Waiting>,
    running: JoinSet<Done>,
    places_taken: usize,
    held: RecordIndex,
    untold: Untold,
    /// Whether it is open yet where the members of tags are taken from.
    waits_for_everyone: bool,
    /// Whether a list that others relied on may lack some of what it had.
    is_in_doubt: bool,
}

#[derive(Default)]
struct List {
    chains: Vec<Chain>,
    /// Why it cannot be followed in partitions.
    refused: Option<JobError>,
    followed: Option<Followed>,
    /// Whether the records of all its rows are kept, whatever other lists have.
    keeps_all: bool,
}

struct Chain {
    key: String,
    state: State,
}

enum State {
    Open,
    Fetched(Box<Fetched>),
    /// Of a list that is followed in another way instead.
    Dropped,
}

struct Waiting {
    list: usize,
    /// Whether its first page was looked at.
    is_looked_at: bool,
    chain: usize,
    reader: StreamReader,
    begun: Begun,
    /// As far as they are known: what is not, may be long.
    rows: Option<u64>,
}

enum Done {
    Looked {
        waiting: Box<Waiting>,
        look: Look,
    },
    /// Everyone was looked at, and the sizes of tags were asked.
    Weighed {
        waiting: Box<Waiting>,
        look: Look,
        tags: Result<Vec<(usize, u64)>, RequestError>,
    },
    Chain {
        list: usize,
        chain: usize,
        has_place: bool,
        outcome: Box<Result<Outcome, JobError>>,
    },
    /// The closing total of a list in partitions.
    Closed {
        list: usize,
        total: Option<u64>,
    },
    /// Contacts whose own lists were cut short, or why they could not be asked.
    Asked(Option<JobError>),
    /// The members that contacts' own lists tell.
    Tallied(Box<Result<Told, JobError>>),
}

impl Chains<'_> {
    /// Follows what waits, and what comes of it, to the end.
    async fn follow(&mut self) -> Result<(), JobError> {
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

    /// Follows lists anew that have members whose record was left to a list that does not have it any more.
    async fn complete(&mut self) -> Result<(), JobError> {
        // Each time round more lists keep all of their records.
        while std::mem::take(&mut self.is_in_doubt) {
            let is_of_contacts = |list: &usize| self.plan.streams[*list].kind != StreamKind::Conversations;
            let lists: Vec<usize> = (0..self.lists.len()).filter(is_of_contacts).collect();
            let parts: Vec<SpooledStream> =
                lists.iter().filter_map(|list| Some(self.lists[*list].followed.as_ref()?.part.clone())).collect();
            let asked = tokio::task::spawn_blocking(move || Ok(lacks_records(&parts)?));
            let lacking: Vec<bool> = joined(asked.await)?;
            for (list, _) in lists.into_iter().zip(lacking).filter(|(_, lacks)| *lacks) {
                tracing::warn!(
                    "`{}` is followed once more: records of its members were left to a list that has changed",
                    self.plan.streams[list].key
                );
                self.lists[list].keeps_all = true;
                // Everyone's own lists tell members, and no records.
                self.plan.streams[list].tallied = None;
                self.anew(list).await?;
            }
            self.follow().await?;
        }
        Ok(())
    }

    /// Opens the chains of these lists.
    async fn begin(&mut self, lists: &[usize], may_partition: bool) -> Result<(), JobError> {
        let mut readers = Vec::new();
        for &list in lists {
            let planned = &self.plan.streams[list];
            let chains = self.plan.chains(planned);
            self.lists[list].chains =
                chains.iter().map(|(partition, _)| Chain { key: key(planned, *partition), state: State::Open }).collect();
            readers.extend(chains.into_iter().enumerate().map(|(chain, (partition, rows))| {
                let reader = self.reader(list, planned, partition, may_partition);
                async move { reader.begin().await.map(|begun| Waiting { list, is_looked_at: !may_partition, chain, reader, begun, rows }) }
            }));
        }
        let begun = try_join_all(readers).await?;
        self.is_in_doubt |= begun.iter().any(|waiting| waiting.begun.relies_on_others());
        self.waiting.extend(begun);
        Ok(())
    }

    fn reader(&self, list: usize, planned: &PlannedStream, partition: Option<&Partition>, may_partition: bool) -> StreamReader {
        let settings = &self.context.settings;
        let key = key(planned, partition);
        let folder = stream_folder(self.work, &key);
        let own_lists_of = self.own_lists_of(&planned.kind);
        let planned = match partition {
            // What the listing of groups tells is of the whole.
            Some(_) => PlannedStream { key, kind: planned.kind.clone(), size: None, listed: None, tallied: None, partitioning: None },
            None => planned.clone(),
        };
        StreamReader {
            client: self.context.client.clone(),
            clock: self.context.clock.clone(),
            observer: self.context.observer.clone(),
            planned,
            partition: partition.cloned(),
            may_partition: may_partition && partition.is_none(),
            own_lists_of,
            page_size: settings.intercom.page_size,
            places: settings.intercom.max_concurrency,
            folder,
            others: Deduplication { index: self.held.clone(), rank: list, keeps_all: self.lists[list].keeps_all },
            scope: self.plan.scope.clone(),
            grace: settings.job.grace,
            tolerance: settings.completeness.tolerance,
            privacy: self.context.privacy.clone(),
            accepts_incomplete: self.accepts_incomplete,
        }
    }

    /// The groups of the job that are looked for in the own lists of a list's contacts: their members are taken from there,
    /// or held against it.
    fn own_lists_of(&self, kind: &StreamKind) -> Arc<[Group]> {
        let groups = self.plan.streams.iter().filter_map(|stream| stream.kind.group()).filter(|_| *kind == StreamKind::Everyone);
        groups.filter(|group| self.context.client.capabilities().lists_own(group.kind)).cloned().collect()
    }

    /// Starts what waits, as long as there are places. Everyone first, from whom others take members and records; then those
    /// of unknown length, then the longest: so all end at about the same time.
    fn start(&mut self) {
        loop {
            // A chain that shares its pages would make the others wait for its place.
            let shared = self.waiting.iter().position(|waiting| waiting.begun.is_shared());
            if shared.is_none() && self.places_taken >= self.context.settings.intercom.max_concurrency.max(1) {
                return;
            }
            let rows = |at: &usize| {
                let Waiting { list, rows, .. } = &self.waiting[*at];
                (self.plan.streams[*list].kind == StreamKind::Everyone, rows.unwrap_or(u64::MAX))
            };
            let may_start = |at: &usize| !self.is_undecided(self.waiting[*at].list);
            // Of equally long ones the first.
            let longest = || (0..self.waiting.len()).rev().filter(may_start).max_by_key(rows);
            let Some(next) = shared.or_else(longest) else { return };
            let mut waiting = self.waiting.remove(next);
            if shared.is_some() {
                self.run(waiting, false);
                continue;
            }
            self.places_taken += 1;
            if waiting.is_looked_at {
                self.run(waiting, true);
                continue;
            }
            let span = tracing::info_span!("stream", key = waiting.reader.key());
            let look = async move {
                let look = waiting.reader.look(&mut waiting.begun).await;
                waiting.is_looked_at = true;
                Done::Looked { waiting: Box::new(waiting), look }
            };
            self.running.spawn(look.instrument(span));
        }
    }

    fn run(&mut self, waiting: Waiting, has_place: bool) {
        let Waiting { list, chain, reader, begun, .. } = waiting;
        let span = tracing::info_span!("stream", key = reader.key());
        let stream = async move { Done::Chain { list, chain, has_place, outcome: Box::new(reader.run(begun).await) } };
        self.running.spawn(stream.instrument(span));
    }

    async fn take(&mut self, done: Done) -> Result<(), JobError> {
        let (list, chain, outcome) = match done {
            Done::Closed { list, total } => return self.close(list, total).await,
            Done::Looked { waiting, look } => return self.looked(*waiting, look).await,
            Done::Weighed { waiting, look, tags } => return self.weighed(*waiting, look, tags).await,
            Done::Asked(error) => return self.asked(error).await,
            Done::Tallied(told) => return self.tallied_all((*told)?).await,
            Done::Chain { list, chain, has_place, outcome } => {
                self.places_taken -= usize::from(has_place);
                (list, chain, *outcome)
            }
        };
        let state = match outcome? {
            Outcome::Fetched(fetched) => State::Fetched(fetched),
            Outcome::NotPartitioned(error) => {
                // The partitions that are under way end first: they write to their folders.
                self.lists[list].refused = Some(error);
                for waiting in self.waiting.extract_if(.., |waiting| waiting.list == list) {
                    self.lists[list].chains[waiting.chain].state = State::Dropped;
                }
                State::Dropped
            }
        };
        self.lists[list].chains[chain].state = state;
        if self.plan.streams[list].kind == StreamKind::Everyone {
            self.ask_untold(chain).await?;
        }
        if self.lists[list].chains.iter().any(|chain| matches!(chain.state, State::Open)) {
            return Ok(());
        }
        match self.lists[list].refused.take() {
            Some(error) => self.read_whole(list, &super::error::in_a_line(&error)).await,
            None => self.finish(list).await,
        }
    }

    /// What the first page of everyone tells is weighed before it goes on: whether the members of tags are taken from there.
    async fn looked(&mut self, waiting: Waiting, look: Look) -> Result<(), JobError> {
        let is_awaited = self.plan.streams[waiting.list].kind == StreamKind::Everyone && self.waits_for_everyone;
        if is_awaited && look.partitioning.is_some() {
            self.weigh(waiting, look);
            return Ok(());
        }
        self.waits_for_everyone &= !is_awaited;
        self.go_on(waiting, look).await
    }

    /// A list goes on in one chain, or in partitions.
    async fn go_on(&mut self, waiting: Waiting, look: Look) -> Result<(), JobError> {
        match look.partitioning {
            Some(partitioning) => {
                self.places_taken -= 1;
                self.partition(waiting.list, partitioning).await
            }
            None => {
                self.run(waiting, true);
                Ok(())
            }
        }
    }

    /// Whether a list waits for what the first page of everyone tells.
    fn is_undecided(&self, list: usize) -> bool {
        self.waits_for_everyone && self.plan.streams[list].kind.is_tag()
    }

    async fn partition(&mut self, list: usize, partitioning: Partitioning) -> Result<(), JobError> {
        let stream = &mut self.plan.streams[list];
        tracing::info!("`{}` has {} rows and is followed in {} partitions", stream.key, partitioning.total, partitioning.partitions.len());
        (self.context.observer)(Event::Partitioned { partitions: partitioning.partitions.len() });
        stream.partitioning = Some(partitioning);
        work::note(self.work, self.plan)?;
        self.begin(&[list], false).await
    }

    /// Begins a list anew, in one chain.
    async fn read_whole(&mut self, list: usize, why: &str) -> Result<(), JobError> {
        let stream = &mut self.plan.streams[list];
        tracing::warn!("`{}` is followed once more, in one chain instead of partitions: {why}", stream.key);
        stream.partitioning = None;
        work::note(self.work, self.plan)?;
        self.anew(list).await
    }

    async fn anew(&mut self, list: usize) -> Result<(), JobError> {
        (self.context.observer)(Event::Unpartitioned);
        self.held.remove(list);
        self.is_in_doubt = true;
        for chain in &self.lists[list].chains {
            publish::remove_folder(&stream_folder(self.work, &chain.key))?;
        }
        self.lists[list].followed = None;
        self.begin(&[list], false).await
    }

    /// All chains of a list have ended.
    async fn finish(&mut self, list: usize) -> Result<(), JobError> {
        let is_whole = self.lists[list].fetched().all(|fetched| fetched.failure.is_none() && fetched.record.is_complete);
        let planned = &self.plan.streams[list];
        if planned.partitioning.is_none() || !is_whole {
            return self.close(list, None).await;
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
                tracing::warn!(%error, "the closing total of the list was not told; its first one counts");
            }
            Done::Closed { list, total: total.ok().flatten() }
        });
        Ok(())
    }

    async fn close(&mut self, list: usize, last_total: Option<u64>) -> Result<(), JobError> {
        let part = |chain: &Chain, fetched: &Fetched| (stream_folder(self.work, &chain.key), fetched.record.clone());
        let came: Vec<_> = self.lists[list].chains.iter().filter_map(|chain| Some(part(chain, chain.fetched()?))).collect();
        let part = match (&self.plan.streams[list].partitioning, came.as_slice()) {
            (None, [(folder, record)]) => SpooledStream::whole(folder.clone(), record.clone()),
            (None, _) => return Err(JobError::NotFollowed(self.plan.streams[list].key.clone())), // a list in one chain has one
            (Some(partitioning), _) => SpooledStream::of_partitions(came, partitioning.total, last_total),
        };
        let tolerance = Allowed::Tolerance(self.context.settings.completeness.tolerance);
        let (came, first, last) = (part.record.received(), part.record.first_total, part.record.last_total);
        if self.plan.streams[list].partitioning.is_some() && part.record.is_complete && !agrees(came, first, last, tolerance) {
            let announced = last.max(first).unwrap_or_default();
            return self.read_whole(list, &format!("{came} came in partitions, the whole list announces {announced}")).await;
        }
        let is_everyone = self.plan.streams[list].kind == StreamKind::Everyone;
        let list = &mut self.lists[list];
        let failure = list.chains.iter_mut().find_map(|chain| match &mut chain.state {
            State::Fetched(fetched) => fetched.failure.take(),
            State::Open | State::Dropped => None,
        });
        list.followed = Some(Followed { part, failure, witness: None });
        if is_everyone { self.tally().await } else { Ok(()) }
    }
}

impl List {
    fn fetched(&self) -> impl Iterator<Item = &Fetched> {
        self.chains.iter().filter_map(Chain::fetched)
    }
}

impl Chain {
    fn fetched(&self) -> Option<&Fetched> {
        match &self.state {
            State::Fetched(fetched) => Some(fetched),
            State::Open | State::Dropped => None,
        }
    }
}

/// The name of a stream: of its folder, and of it in the log.
fn key(planned: &PlannedStream, partition: Option<&Partition>) -> String {
    partition.map_or(planned.key.clone(), |partition| format!("{}@{partition}", planned.key))
}
