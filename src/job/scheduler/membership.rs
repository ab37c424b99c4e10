//! Derives the members of groups from the contacts' own lists while everyone is read.

use std::path::PathBuf;

use futures_util::future::{join_all, try_join_all};

use super::{Done, Scheduler, StreamResult, StreamRun, Waiting, Witness};
use crate::partitioning::{FEW_PAGES, pages};
use crate::reader::Probe;
use crate::stream::StreamKind;
use crate::tag_dates::{Gone, TagRequests};
use crate::{Context, Event, JobError, error, joined, work};
use archive::publish;
use archive::snapshot::{DerivedTag, SpooledStream, StreamRecord, derive_members, stream_folder, truncated_tags};
use domain::{Allowed, Group, Months, agrees};
use intercom::RequestError;

/// The share of everyone that is enough to estimate the rest.
const SAMPLE: f64 = 0.1;

impl Scheduler<'_> {
    /// Requests the sizes of tags while other streams are fetched.
    pub(super) fn ask_tag_sizes(&mut self, waiting: Waiting, probe: Probe) {
        let is_fresh = |waiting: &&Waiting| self.plan.streams[waiting.stream].kind.is_tag() && waiting.begun.is_fresh();
        let tag = |waiting: &Waiting| Some((waiting.stream, self.plan.streams[waiting.stream].kind.group()?.clone()));
        let tags: Vec<(usize, Group)> = self.waiting.iter().filter(is_fresh).filter_map(tag).collect();
        let client = self.context.client.clone();
        self.running.spawn(async move {
            let totals = try_join_all(tags.iter().map(|(_, tag)| client.member_count(tag, None))).await;
            let sized =
                |totals: Vec<Option<u64>>| tags.iter().zip(totals).filter_map(|((stream, _), total)| Some((*stream, total?))).collect();
            Done::TagSizes { waiting: Box::new(waiting), probe, tags: totals.map(sized) }
        });
    }

    /// Chooses the membership strategy of the tags, then continues everyone.
    pub(super) async fn choose_strategy(
        &mut self,
        waiting: Waiting,
        probe: Probe,
        tags: Result<Vec<(usize, u64)>, RequestError>,
    ) -> Result<(), JobError> {
        self.waits_for_everyone = false;
        match (tags, &probe.partitioning) {
            (Ok(tags), Some(everyone)) => {
                let chosen = self.plan.choose_derived(tags, everyone.total, probe.truncated_tags, &self.context.settings);
                self.derive_from_everyone(&chosen);
            }
            (Err(error), _) => tracing::warn!(%error, "the sizes of the tags are unknown; the members of each tag are fetched by a search"),
            (Ok(_), None) => {}
        }
        self.fetch_probed(waiting, probe).await
    }

    /// The same on 1.x, where contacts list all of their groups and streams announce their size when they are opened. Groups
    /// that share the scroll cost no requests anyway.
    pub(super) fn choose_strategy_at_once(&mut self) {
        let announced = |waiting: &Waiting| waiting.reader.announced(&waiting.begun);
        let everyone = self.waiting.iter().find(|waiting| self.plan.streams[waiting.stream].kind == StreamKind::Everyone);
        let Some(everyone) = everyone.and_then(announced) else { return };
        if pages(Some(everyone), &self.context.settings).is_none_or(|pages| pages <= FEW_PAGES) {
            return;
        }
        let is_of_group = |waiting: &&Waiting| self.plan.streams[waiting.stream].kind.group().is_some() && !waiting.begun.is_shared();
        let groups = self.waiting.iter().filter(is_of_group).filter_map(|waiting| Some((waiting.stream, announced(waiting)?))).collect();
        let chosen = self.plan.choose_derived(groups, everyone, 0.0, &self.context.settings);
        self.derive_from_everyone(&chosen);
    }

    fn derive_from_everyone(&mut self, streams: &[usize]) {
        for &stream in streams {
            self.waiting.retain(|waiting| waiting.stream != stream);
            self.streams[stream].partitions.clear();
        }
    }

    pub(super) fn everyone(&self) -> Option<&StreamRun> {
        let stream = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone)?;
        Some(&self.streams[stream])
    }

    /// Streams whose members will be derived from everyone.
    fn pending_derived(&self) -> Vec<usize> {
        let is_pending = |stream: &usize| self.plan.streams[*stream].derived.is_some() && self.streams[*stream].result.is_none();
        (0..self.streams.len()).filter(is_pending).collect()
    }

    /// Requests all tags of the contacts with truncated lists in one partition of everyone, while other partitions are fetched.
    pub(super) async fn ask_truncated_tags(&mut self, partition: usize) -> Result<(), JobError> {
        let streams = self.pending_derived();
        let partition = self
            .everyone()
            .and_then(|everyone| everyone.partitions.get(partition))
            .and_then(|partition| Some((partition, partition.fetched()?)));
        let Some((partition, fetched)) =
            partition.filter(|_| !streams.is_empty() && !self.context.client.capabilities().lists_own_segments)
        else {
            return Ok(());
        };
        let part = SpooledStream::whole(stream_folder(self.work, &partition.key), fetched.record.clone());
        let truncated = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&part)?)).await)?;
        self.truncated_tags.found += truncated.len() as u64;
        let search_requests = self.search_requests(&streams);
        if self.truncated_tags.found > search_requests {
            // `DeriveMembers` decides once everyone was read.
            return Ok(());
        }
        let expected = self.expected_truncated_tags();
        if expected > search_requests && self.has_read(SAMPLE) {
            return self
                .search(&streams, &format!("about {expected} contacts with truncated lists of tags would have to be requested"))
                .await;
        }
        if truncated.is_empty() || expected > search_requests {
            return Ok(());
        }
        let asking = match &self.truncated_tags.asking {
            Some(asking) => asking.clone(),
            None => self.truncated_tags.asking.insert(TagRequests::open(self.context, self.plan.scope.months, self.work).await?).clone(),
        };
        self.truncated_tags.under_way += 1;
        self.running.spawn(async move { Done::Asked(asking.ask(truncated, Gone::HaveNoTags).await.err()) });
        Ok(())
    }

    /// Whether at least this share of everyone was read.
    fn has_read(&self, part: f64) -> bool {
        self.read_of_everyone().is_some_and(|(read, total)| read >= total * part)
    }

    /// How many contacts with truncated lists there will be, estimated from those found so far.
    fn expected_truncated_tags(&self) -> u64 {
        let found = self.truncated_tags.found as f64;
        self.read_of_everyone().map_or(self.truncated_tags.found, |(read, total)| (found * total / read.max(1.0)).ceil() as u64)
    }

    /// Rows of everyone in finished partitions, and in total.
    fn read_of_everyone(&self) -> Option<(f64, f64)> {
        let stream = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone)?;
        let read = self.streams[stream].fetched().map(|fetched| fetched.record.rows).sum::<u64>() as f64;
        Some((read, (self.plan.streams[stream].partitioning.as_ref()?.total as f64).max(read)))
    }

    /// Requests that it takes to search for the members of these groups.
    fn search_requests(&self, streams: &[usize]) -> u64 {
        streams.iter().filter_map(|stream| pages(self.plan.streams[*stream].derived, &self.context.settings)).sum()
    }

    /// The requests for truncated lists of one partition ended or failed.
    pub(super) async fn asked(&mut self, error: Option<JobError>) -> Result<(), JobError> {
        self.truncated_tags.under_way -= 1;
        self.truncated_tags.failure = self.truncated_tags.failure.take().or(error);
        let has_everyone = self.everyone().is_some_and(|everyone| everyone.result.is_some());
        if has_everyone { self.derive_members().await } else { Ok(()) }
    }

    /// Starts to derive the members of tags, once everyone was read and no request for a truncated list is under way.
    pub(super) async fn derive_members(&mut self) -> Result<(), JobError> {
        let streams = self.pending_derived();
        if self.truncated_tags.under_way > 0 {
            return Ok(());
        }
        if let Some(failure) = self.truncated_tags.failure.take() {
            return self.search(&streams, &error::in_a_line(&failure)).await;
        }
        let everyone = self.everyone().and_then(|everyone| everyone.result.as_ref()).filter(|result| result.part.record.is_complete);
        let (Some(everyone), false) = (everyone.map(|result| result.part.clone()), streams.is_empty()) else {
            return self.search(&streams, "everyone is incomplete").await;
        };
        let group = |stream: usize| Some((stream, self.plan.streams[stream].kind.group()?.clone(), self.plan.streams[stream].derived?));
        let work = DeriveMembers {
            context: self.context.clone(),
            months: self.plan.scope.months,
            work: self.work.to_path_buf(),
            asking: self.truncated_tags.asking.take(),
            search_requests: self.search_requests(&streams),
            everyone,
            groups: streams.into_iter().filter_map(group).map(|(stream, group, total)| PendingGroup { stream, group, total }).collect(),
        };
        self.running.spawn(async move { Done::Derived(Box::new(work.run().await)) });
        Ok(())
    }

    /// Takes the derived members. A group whose members could not be derived, or do not agree with its total, is searched for.
    pub(super) async fn take_derived(&mut self, derivation: Derivation) -> Result<(), JobError> {
        let groups = match derivation {
            Derivation::Members(groups) => groups,
            Derivation::Failed { streams, why } => return self.search(&streams, &why).await,
        };
        let tolerance = Allowed::Tolerance(self.context.settings.completeness.tolerance);
        let mut disagree = Vec::new();
        for (stream, part) in groups {
            let record = &part.record;
            if !agrees(record.received(), record.first_total, record.last_total, tolerance) {
                disagree.push(stream);
                continue;
            }
            let key = self.plan.streams[stream].key();
            let _span = tracing::info_span!("stream", key).entered();
            (self.context.observer)(Event::StreamDone { stream: key, rows: record.rows });
            self.streams[stream].result = Some(StreamResult { part, failure: None, witness: Some(Witness::Totals) });
        }
        self.search(&disagree, "the members derived from the contacts' own lists do not agree with the group's total").await
    }

    /// Falls back to searching for the members of groups.
    async fn search(&mut self, streams: &[usize], why: &str) -> Result<(), JobError> {
        for &stream in streams {
            let planned = &mut self.plan.streams[stream];
            planned.derived = None;
            publish::remove_folder(&stream_folder(self.work, &planned.key()))?;
        }
        if streams.is_empty() {
            return Ok(());
        }
        tracing::info!("searching for the members of {} groups instead: {why}", streams.len());
        work::note(self.work, self.plan)?;
        self.begin(streams, true).await
    }
}

/// The contacts whose own lists of tags were truncated.
#[derive(Default)]
pub(super) struct TruncatedTags {
    found: u64,
    asking: Option<TagRequests>,
    /// Partitions whose contacts are being requested.
    under_way: usize,
    failure: Option<JobError>,
}

/// Derives the members of groups from everyone, while other streams are fetched.
struct DeriveMembers {
    context: Context,
    months: Months,
    work: PathBuf,
    /// The answers so far, if some contacts were requested already.
    asking: Option<TagRequests>,
    /// Requests that a search for the members would take.
    search_requests: u64,
    everyone: SpooledStream,
    groups: Vec<PendingGroup>,
}

/// A group whose members are to be derived.
struct PendingGroup {
    stream: usize,
    group: Group,
    /// The total that it announced.
    total: u64,
}

/// Members derived from the contacts' own lists.
pub(super) enum Derivation {
    /// By stream.
    Members(Vec<(usize, SpooledStream)>),
    Failed {
        streams: Vec<usize>,
        why: String,
    },
}

impl DeriveMembers {
    async fn run(self) -> Result<Derivation, JobError> {
        let failed = |why: String| Ok(Derivation::Failed { streams: self.groups.iter().map(|pending| pending.stream).collect(), why });
        let (context, reading) = (&self.context, self.everyone.clone());
        let truncated = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&reading)?)).await)?;
        if context.client.capabilities().lists_own_segments && !truncated.is_empty() {
            return failed("contacts do not list all of their groups".to_string());
        }
        // Contacts that were requested already cost nothing more.
        let left = self.asking.as_ref().map_or(truncated.len(), |asking| asking.unanswered(&truncated)) as u64;
        if left > self.search_requests {
            return failed(format!("it would take {left} requests for contacts with truncated lists"));
        }
        let asking = match self.asking.clone() {
            Some(asking) => asking,
            None => TagRequests::open(context, self.months, &self.work).await?,
        };
        if let Err(error) = asking.ask(truncated.clone(), Gone::HaveNoTags).await {
            return failed(error::in_a_line(&error));
        }
        let answers = asking.end()?;
        let folder =
            |pending: &PendingGroup| DerivedTag { key: pending.group.key(), folder: stream_folder(&self.work, &pending.group.key()) };
        let tags: Vec<DerivedTag> = self.groups.iter().map(folder).collect();
        let (folders, everyone) = (tags.clone(), self.everyone.clone());
        // The answers of contacts are observed now, even if everyone was read long ago.
        let asked_at = (!truncated.is_empty()).then(|| (context.clock)());
        let records = joined(tokio::task::spawn_blocking(move || Ok(derive_members(&everyone, &tags, &truncated, &answers)?)).await)?;
        let totals = join_all(self.groups.iter().map(|pending| context.client.member_count(&pending.group, None))).await;
        let members = self.groups.iter().zip(folders).zip(records).zip(totals).map(|(((pending, tag), record), total)| {
            let record = StreamRecord {
                first_total: Some(pending.total),
                last_total: total.ok().flatten().or(Some(pending.total)),
                observed_at: record.observed_at.max(asked_at.unwrap_or(record.observed_at)),
                ..record
            };
            (pending.stream, SpooledStream::whole(tag.folder, record))
        });
        Ok(Derivation::Members(members.collect()))
    }
}
