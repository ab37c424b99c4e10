//! Derives the members of groups from the contacts' own lists while everyone is read.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::derivation::{Derivation, DeriveMembers, PendingGroup};
use super::{Done, Scheduler, StreamResult, StreamRun, Waiting, Witness};
use crate::partitioning::{FEW_PAGES, pages};
use crate::reader::Probe;
use crate::strategy::{MembershipStrategy, membership_strategy};
use crate::stream::StreamKind;
use crate::tag_dates::{Gone, TagRequests};
use crate::{Event, JobError, error, joined, work};
use archive::publish;
use archive::snapshot::{SpooledStream, stream_folder, truncated_tags};
use domain::{Allowed, Group, agrees};
use intercom::RequestError;

/// The share of everyone that must be read to estimate the rest.
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

    /// Chooses the membership strategy of the tags, then continues the stream of everyone.
    pub(super) async fn choose_strategy(
        &mut self,
        waiting: Waiting,
        probe: Probe,
        tags: Result<Vec<(usize, u64)>, RequestError>,
    ) -> Result<(), JobError> {
        self.waits_for_everyone = false;
        match (tags, &probe.partitioning) {
            (Ok(tags), Some(everyone)) => {
                let chosen = self.plan.choose_strategy(tags, everyone.total, probe.truncated_tags, &self.context.settings);
                self.derive_from_everyone(&chosen);
            }
            (Err(error), _) => tracing::warn!(%error, "the sizes of the tags are unknown; the members of each tag are fetched by a search"),
            (Ok(_), None) => {}
        }
        self.fetch_probed(waiting, probe).await
    }

    /// Chooses the strategy on 1.x. There, contacts list all of their groups, and streams announce their size when they are opened.
    /// Groups that share the scroll are left out, because the scroll returns their members without additional requests.
    pub(super) fn choose_strategy_at_once(&mut self) {
        let announced = |waiting: &Waiting| waiting.reader.announced(&waiting.begun);
        let everyone = self.waiting.iter().find(|waiting| self.plan.streams[waiting.stream].kind == StreamKind::Everyone);
        let Some(everyone) = everyone.and_then(announced) else { return };
        if pages(Some(everyone), &self.context.settings).is_none_or(|pages| pages <= FEW_PAGES) {
            return;
        }
        let is_of_group = |waiting: &&Waiting| self.plan.streams[waiting.stream].kind.group().is_some() && !waiting.begun.is_shared();
        let groups = self.waiting.iter().filter(is_of_group).filter_map(|waiting| Some((waiting.stream, announced(waiting)?))).collect();
        let chosen = self.plan.choose_strategy(groups, everyone, 0.0, &self.context.settings);
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

    /// Asks the contacts with truncated lists for all of their tags, for one partition of everyone. Other partitions are fetched
    /// meanwhile. Does nothing if too many contacts would have to be asked.
    pub(super) async fn ask_truncated_tags(&mut self, partition: usize) -> Result<(), JobError> {
        let streams = self.pending_derived();
        if streams.is_empty() || self.context.client.capabilities().lists_own_segments {
            return Ok(());
        }
        let truncated = self.read_truncated(partition).await?;
        let search_requests = self.search_requests(&streams);
        let is_too_many = |contacts| membership_strategy(search_requests, 0, contacts) == MembershipStrategy::SearchMembers;
        if is_too_many(self.truncated_tags.contacts.len() as u64) {
            // Too many contacts were found so far. `DeriveMembers` compares the numbers of requests again after everyone was read.
            return Ok(());
        }
        let expected = self.expected_truncated_tags();
        if is_too_many(expected) && self.has_read(SAMPLE) {
            return self
                .search(&streams, &format!("about {expected} contacts with truncated lists of tags would have to be requested"))
                .await;
        }
        if truncated.is_empty() || is_too_many(expected) {
            return Ok(());
        }
        let asking = match &self.truncated_tags.asking {
            Some(asking) => asking.clone(),
            None => self.truncated_tags.asking.insert(TagRequests::open(self.context, self.plan.scope.months, self.work).await?).clone(),
        };
        self.truncated_tags.under_way += 1;
        self.running.spawn(async move { Done::Asked(asking.ask(&truncated, Gone::HaveNoTags).await.err()) });
        Ok(())
    }

    /// The contacts with truncated lists in a partition of everyone.
    async fn read_truncated(&mut self, partition: usize) -> Result<BTreeSet<String>, JobError> {
        let run = self.everyone().and_then(|everyone| everyone.partitions.get(partition));
        let Some((run, fetched)) = run.and_then(|run| Some((run, run.fetched()?))) else { return Ok(BTreeSet::new()) };
        let part = SpooledStream::whole(stream_folder(self.work, &run.key), fetched.record.clone());
        let truncated = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&part)?)).await)?;
        Arc::make_mut(&mut self.truncated_tags.contacts).extend(truncated.iter().cloned());
        self.truncated_tags.read.insert(partition);
        Ok(truncated)
    }

    /// The contacts of everyone with truncated lists. Each partition is read once.
    pub(super) async fn truncated(&mut self) -> Result<Arc<BTreeSet<String>>, JobError> {
        for partition in 0..self.everyone().map_or(0, |everyone| everyone.partitions.len()) {
            if !self.truncated_tags.read.contains(&partition) {
                self.read_truncated(partition).await?;
            }
        }
        Ok(self.truncated_tags.contacts.clone())
    }

    /// Whether at least this share of everyone was read.
    fn has_read(&self, part: f64) -> bool {
        self.read_of_everyone().is_some_and(|(read, total)| read >= total * part)
    }

    /// The number of contacts with truncated lists in all of everyone, estimated from the contacts found so far.
    fn expected_truncated_tags(&self) -> u64 {
        let count = self.truncated_tags.contacts.len();
        let found = count as f64;
        self.read_of_everyone().map_or(count as u64, |(read, total)| (found * total / read.max(1.0)).ceil() as u64)
    }

    /// The number of rows of everyone in finished partitions, and in total; `None` if the total is unknown.
    fn read_of_everyone(&self) -> Option<(f64, f64)> {
        let stream = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone)?;
        let read = self.streams[stream].fetched().map(|fetched| fetched.record.rows).sum::<u64>() as f64;
        Some((read, (self.plan.streams[stream].partitioning.as_ref()?.total as f64).max(read)))
    }

    /// The number of requests that it takes to search for the members of these groups.
    fn search_requests(&self, streams: &[usize]) -> u64 {
        streams.iter().filter_map(|stream| pages(self.plan.streams[*stream].derived, &self.context.settings)).sum()
    }

    /// Called when the requests for the truncated lists of one partition ended or failed.
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
        let truncated = self.truncated().await?;
        let group = |stream: usize| Some((stream, self.plan.streams[stream].kind.group()?.clone(), self.plan.streams[stream].derived?));
        let work = DeriveMembers {
            context: self.context.clone(),
            months: self.plan.scope.months,
            work: self.work.to_path_buf(),
            asking: self.truncated_tags.asking.take(),
            search_requests: self.search_requests(&streams),
            truncated,
            everyone,
            groups: streams.into_iter().filter_map(group).map(|(stream, group, total)| PendingGroup { stream, group, total }).collect(),
        };
        self.running.spawn(async move { Done::Derived(Box::new(work.run().await)) });
        Ok(())
    }

    /// Takes the members that were derived. If the members of a group could not be derived, or if their number does not agree with the
    /// group's total, they are fetched by a search instead.
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

    /// Searches for the members of groups instead of deriving them.
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
