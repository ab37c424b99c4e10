//! Checks the members that a search returned against their [`Witness`]. The witness for tags (on 1.x also for segments) is the
//! contacts' own lists, which are read in the same run. The counts in the listing of segments are a weaker witness, because they
//! may be behind.
//!
//! A stream that differs from its witness by more than is allowed is fetched again. If it still differs, its members are derived
//! from the contacts' own lists. For this, the lists must be complete, or a few requests must be enough to complete them. Otherwise
//! the stream is incomplete, or the difference is a warning.

use std::sync::Arc;

use super::{Scheduler, StreamResult, Witness};
use crate::stream::StreamKind;
use crate::tag_dates::{Gone, TAG_DATES, TagRequests};
use crate::{JobError, error, joined};
use archive::publish;
use archive::snapshot::{Comparison, DerivedTag, Searched, SpooledStream, StreamRecord, compare, derive_members, stream_folder};
use domain::Group;

/// The maximum number of contacts that are asked for all of their tags when their lists contradict a search.
const REQUESTED_MAX: usize = 2_000;

impl Scheduler<'_> {
    /// Checks every stream against its witness.
    pub(super) async fn cross_check(&mut self) -> Result<(), JobError> {
        self.read_witnesses().await?;
        if self.complete_own_lists().await? {
            self.read_witnesses().await?;
        }
        let again: Vec<usize> = self.contradicted().into_iter().filter(|stream| self.may_refetch(*stream)).collect();
        for &stream in &again {
            tracing::warn!("`{}` is fetched again: {}", self.plan.streams[stream].key(), self.difference(stream));
            self.restart(stream).await?;
        }
        if !again.is_empty() {
            self.run_to_end().await?;
            self.read_witnesses().await?;
        }
        for stream in self.contradicted() {
            self.settle(stream).await?;
        }
        Ok(())
    }

    /// Finds the witness of each stream.
    async fn read_witnesses(&mut self) -> Result<(), JobError> {
        let mut compared = self.own_lists().await?;
        for (stream, planned) in self.plan.streams.iter().enumerate() {
            let Some(result) = self.streams[stream].result.as_mut().filter(|result| result.failure.is_none()) else { continue };
            if result.witness == Some(Witness::Totals) || !matches!(planned.kind, StreamKind::Members(_)) {
                continue;
            }
            let of_own_lists = compared.iter().position(|(compared, _)| *compared == stream).map(|at| compared.swap_remove(at).1);
            result.witness = of_own_lists.map(Witness::OwnLists).or(planned.listed.map(Witness::Listing));
        }
        Ok(())
    }

    /// Requests all tags of contacts with truncated lists if the result matters: if the lists contradict a search, or if a search
    /// returned fewer members than before and the lists cannot confirm that. Does nothing if the contacts are too many. Returns whether
    /// the tags were requested.
    async fn complete_own_lists(&mut self) -> Result<bool, JobError> {
        let tolerance = self.context.settings.completeness.tolerance;
        let matters = |stream: usize| {
            let Some(result) = &self.streams[stream].result else { return false };
            let Some(witness @ Witness::OwnLists(comparison)) = result.witness else { return false };
            let came = result.part.record.received();
            let (key, first) = (self.plan.streams[stream].key(), self.plan.months().first);
            let is_fewer = self.plan.sizes_before.is_fewer_than_before(&key, first, came, tolerance);
            comparison.unknown > 0 && (witness.contradicts(came, tolerance) || (is_fewer && !witness.can_confirm(came, tolerance)))
        };
        let is_needed = (0..self.streams.len()).any(matters) && !self.context.client.capabilities().lists_own_segments;
        if !is_needed || self.whole_everyone().is_none() {
            return Ok(false);
        }
        let truncated = self.truncated().await?;
        if truncated.len() > REQUESTED_MAX {
            return Ok(false);
        }
        tracing::info!("requesting all tags of {} contacts whose lists were truncated", truncated.len());
        let asking = TagRequests::open(self.context, self.plan.scope.months, self.work).await?;
        if let Err(error) = asking.ask(&truncated, Gone::AreUnknown).await {
            tracing::warn!("requesting the tags of these contacts failed: {}", error::in_a_line(&error));
        }
        asking.end()?;
        Ok(true)
    }

    /// The streams that their witness contradicts.
    fn contradicted(&self) -> Vec<usize> {
        let tolerance = self.context.settings.completeness.tolerance;
        let is_contradicted = |result: &StreamResult| {
            let record = &result.part.record;
            // An incomplete stream needs no second reason. But if the search returned nobody, own lists may still name members.
            (record.is_complete || record.received() == 0)
                && result.witness.is_some_and(|witness| witness.contradicts(record.received(), tolerance))
        };
        (0..self.streams.len()).filter(|stream| self.streams[*stream].result.as_ref().is_some_and(is_contradicted)).collect()
    }

    /// Compares the groups that were searched for with everyone's own lists.
    async fn own_lists(&mut self) -> Result<Vec<(usize, Comparison)>, JobError> {
        let Some(everyone) = self.whole_everyone() else { return Ok(Vec::new()) };
        let searched = |stream: usize| {
            let result = self.streams[stream].result.as_ref().filter(|result| result.failure.is_none())?;
            let group = self.plan.streams[stream].kind.group()?;
            let is_compared = result.witness != Some(Witness::Totals) && everyone.record.own_lists_of.contains(&group.key());
            is_compared.then(|| (stream, Searched { group: group.clone(), part: result.part.clone() }))
        };
        let (streams, searched): (Vec<usize>, Vec<Searched>) = (0..self.streams.len()).filter_map(searched).unzip();
        if streams.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.work.join(TAG_DATES.name);
        // The truncated lists are only needed together with the answers of their contacts.
        let truncated = if answers.exists() { self.truncated().await? } else { Arc::default() };
        let compared = tokio::task::spawn_blocking(move || Ok(compare(&everyone, &searched, &truncated, &answers)?));
        let compared = joined(compared.await)?;
        Ok(streams.into_iter().zip(compared).collect())
    }

    /// The stream of everyone, if it is complete.
    fn whole_everyone(&self) -> Option<SpooledStream> {
        let result = self.everyone()?.result.as_ref()?;
        (result.failure.is_none() && result.part.record.is_complete).then(|| result.part.clone())
    }

    /// Whether the stream may be fetched again: it must get at least the same basis. If an incomplete month is accepted, no stream
    /// is fetched again. The API may not answer at all, so the rows that came are kept.
    fn may_refetch(&self, stream: usize) -> bool {
        let basis = |at| self.plan.scope.basis_at(at, self.context.settings.job.grace);
        let result = self.streams[stream].result.as_ref();
        !self.accepts_incomplete && result.is_some_and(|result| basis(result.part.record.observed_at) <= basis((self.context.clock)()))
    }

    /// How the stream differs from its witness, as text.
    fn difference(&self, stream: usize) -> String {
        let Some(result) = &self.streams[stream].result else { return String::new() };
        let came = result.part.record.received();
        match result.witness {
            Some(Witness::OwnLists(comparison)) => format!(
                "the search returned {came} members; the contacts' own lists name {} ({} of them are missing from the search, {} are in \
                 the search but not in their own list, and {} contacts with truncated lists are unknown)",
                comparison.holders, comparison.missing, comparison.unconfirmed, comparison.unknown
            ),
            Some(Witness::Listing(listed)) => format!("the search returned {came} members; the listing of segments counts {listed}"),
            Some(Witness::Totals) | None => format!("the search returned {came} members"),
        }
    }

    /// Decides how to publish a stream that its witness still contradicts.
    async fn settle(&mut self, stream: usize) -> Result<(), JobError> {
        let (key, difference) = (self.plan.streams[stream].key(), self.difference(stream));
        let tolerance = self.context.settings.completeness.tolerance;
        let group = self.plan.streams[stream].kind.group().cloned();
        let everyone = self.whole_everyone();
        let Some(result) = &mut self.streams[stream].result else { return Ok(()) };
        match (result.witness, group, everyone) {
            (Some(Witness::OwnLists(comparison)), Some(group), Some(everyone)) if comparison.unknown == 0 => {
                tracing::warn!("the members of `{key}` are derived from the contacts' own lists, not from the search: {difference}");
                let record = result.part.record.clone();
                let part = self.derived(&group, everyone, record).await?;
                self.streams[stream].result = Some(StreamResult { part, failure: None, witness: Some(Witness::OwnLists(comparison)) });
            }
            (Some(witness), ..) if witness.proves_incomplete(result.part.record.received(), tolerance) => {
                tracing::error!("`{key}` is incomplete: {difference}");
                result.part.record.is_complete = false;
                if matches!(witness, Witness::OwnLists(_)) {
                    self.discard_everyone()?;
                }
            }
            _ => tracing::warn!("`{key}` is published as the search returned it: {difference}"),
        }
        Ok(())
    }

    /// The members of a group, derived from the contacts' own lists instead of the search.
    async fn derived(&mut self, group: &Group, everyone: SpooledStream, searched: StreamRecord) -> Result<SpooledStream, JobError> {
        let tag = DerivedTag { key: group.key(), folder: stream_folder(self.work, &group.key()) };
        let (folder, answers, truncated) = (tag.folder.clone(), self.work.join(TAG_DATES.name), self.truncated().await?);
        let deriving = tokio::task::spawn_blocking(move || Ok(derive_members(&everyone, &[tag], &truncated, &answers)?));
        let record = joined(deriving.await)?.into_iter().next();
        let record = record.ok_or_else(|| JobError::NotFetched(group.key()))?;
        let StreamRecord { first_total, last_total, .. } = searched;
        Ok(SpooledStream::whole(folder, StreamRecord { first_total, last_total, searched: Some(searched.received()), ..record }))
    }

    /// Removes the rows of everyone, so that the next run reads them again. The same rows would give the same difference.
    fn discard_everyone(&self) -> Result<(), JobError> {
        let at = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone).filter(|stream| self.may_refetch(*stream));
        for partition in at.iter().flat_map(|stream| &self.streams[*stream].partitions) {
            publish::remove_folder(&stream_folder(self.work, &partition.key))?;
        }
        Ok(())
    }
}
