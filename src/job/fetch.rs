//! Fetches the streams of a plan side by side into the spool.
//!
//! A stream that an earlier, interrupted run finished is reused if its basis is better than that of a new reading, or if its basis
//! is the same and it is less than a day old. A stream that was not finished is resumed.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::plan::{Plan, PlannedCohort, PlannedPopulation};
use super::scheduler::{StreamResult, Witness};
use super::stream::StreamKind;
use super::{Context, Event, JobError, basis_at, scheduler, subscriptions, tag_dates, vanished, work};
use archive::publish;
use archive::snapshot::{Assembly, Cohort, CohortEntry, ObservedSubscriptions, SpooledStream, TaggedBefore, Vanished};
use domain::{Basis, GroupKind, MonthSpan, Shortfall};
use intercom::ConversationTotals;

/// What was fetched, by stream of the plan.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    streams: Vec<FetchedStream>,
    /// The folder with the dates at which tags were applied to members; `None` if the plan does not want these dates.
    tag_dates: Option<PathBuf>,
    subscriptions: Option<ObservedSubscriptions>,
    /// What was asked about members of the last month that are gone.
    vanished: Option<vanished::Asked>,
    /// `None` if the job reads no conversations, or there is no second source.
    pub conversation_totals: Option<ConversationTotals>,
}

#[derive(Clone, Debug)]
pub(super) struct FetchedStream {
    pub key: String,
    pub kind: StreamKind,
    /// The number of members in the listing of groups; `None` if the listing has no number.
    pub listed: Option<u64>,
    pub part: SpooledStream,
    /// Why the stream was not finished. Set only if an incomplete stream was accepted.
    pub failure: Option<String>,
    /// What a second source says about the stream's members; `None` if there is no second source.
    pub witness: Option<Witness>,
}

/// Fetches the streams of the plan. Rows that came stay on disk, even if another stream fails.
///
/// If an incomplete month is accepted, the rows of a failed stream are used. Cohorts without a single page leave the plan, and
/// incomplete conversations are not counted.
pub(super) async fn fetch(context: &Context, plan: &mut Plan, accepts_incomplete: bool) -> Result<Fetched, JobError> {
    let months = plan.scope.months;
    let work = context.archive.work_of(months);
    work::claim(&work, context, plan)?;
    (context.observer)(Event::Planned { months, streams: plan.streams.len() });

    let results = match scheduler::fetch_streams(context, &work, plan, accepts_incomplete).await {
        // Conversations do not name their workspace. So all rows are removed: a later run must not reuse rows of the wrong
        // workspace.
        Err(error @ JobError::OtherWorkspace { .. }) => {
            publish::remove_folder(&work)?;
            return Err(error);
        }
        results => results?,
    };
    let fetched = |(planned, results): (&super::PlannedStream, &StreamResult)| FetchedStream {
        key: planned.key(),
        kind: planned.kind.clone(),
        listed: planned.listed,
        part: results.part.clone(),
        failure: results.failure.as_ref().map(super::error::in_a_line),
        witness: results.witness,
    };
    let streams: Vec<FetchedStream> = plan.streams.iter().zip(&results).map(fetched).collect();
    leave_out_unfetched(plan, results)?;
    let mut fetched = Fetched { streams, tag_dates: None, subscriptions: None, vanished: None, conversation_totals: None };
    if accepts_incomplete || fetched.incomplete().next().is_none() {
        fetched.ask_about_contacts(context, plan, &work).await?;
    }
    Ok(fetched)
}

/// The number of requests of [`conversation_totals`].
pub(super) const CONVERSATION_TOTALS: u64 = 2;

/// The number of all conversations by two sources: the source that the run reads, and another one. The numbers are only for a finding, so
/// a failure is only logged.
async fn conversation_totals(context: &Context) -> Option<ConversationTotals> {
    let totals = context.client.conversation_totals().await.inspect_err(|error| {
        tracing::warn!(%error, "the number of conversations could not be compared with a second source");
    });
    totals.ok().flatten()
}

/// Removes cohorts without a single page, and incomplete conversations, from the plan.
///
/// # Errors
/// The failure of a stream, if no cohort is left.
fn leave_out_unfetched(plan: &mut Plan, results: Vec<StreamResult>) -> Result<(), JobError> {
    let has_rows: Vec<bool> = results.iter().map(|stream| stream.part.record.pages > 0 || stream.failure.is_none()).collect();
    let is_complete: Vec<bool> = results.iter().map(|stream| stream.part.record.is_complete).collect();
    plan.cohorts.retain(|cohort| has_rows[cohort.stream]);
    if plan.cohorts.is_empty()
        && let Some(failure) = results.into_iter().find_map(|stream| stream.failure)
    {
        return Err(failure);
    }
    let conversations = plan.streams.iter().position(|stream| stream.kind == StreamKind::Conversations);
    // A part of a month's conversations would look like a quiet month, so they are not counted.
    plan.has_conversations &= conversations.is_none_or(|stream| is_complete[stream]);
    let population = match &plan.population {
        PlannedPopulation::Everyone => plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone),
        PlannedPopulation::Group { stream, .. } => Some(*stream),
        PlannedPopulation::Cohorts => None,
    };
    if population.is_some_and(|stream| !has_rows[stream]) {
        // All contacts that came are in some cohort, so the population is the union of the cohorts.
        plan.population = PlannedPopulation::Cohorts;
    }
    Ok(())
}

impl FetchedStream {
    /// How many rows came, how many were expected, and according to which source.
    pub(super) fn shortfall(&self, tolerance: f64) -> Shortfall {
        let record = &self.part.record;
        let (stream, came) = (self.key.clone(), record.received());
        match self.witness.filter(|witness| witness.contradicts(came, tolerance)) {
            Some(Witness::OwnLists(comparison)) => {
                let differing = format!(
                    "{} are missing, {} came but do not have the group in their own list",
                    comparison.missing, comparison.unconfirmed
                );
                let unknown = match comparison.unknown {
                    0 => String::new(),
                    unknown => format!("; {unknown} more are unknown: their lists were truncated and their tags could not be requested"),
                };
                let source = "have it in the contacts' own lists";
                Shortfall { stream, came, expected: comparison.holders, source, detail: Some(format!("{differing}{unknown}")) }
            }
            Some(Witness::Listing(listed)) => {
                Shortfall { stream, came, expected: listed, source: "in the listing of segments", detail: None }
            }
            Some(Witness::Totals) | None => {
                let expected = record.last_total.max(record.first_total).max(self.listed).unwrap_or_default();
                Shortfall { stream, came, expected, source: "announced", detail: None }
            }
        }
    }
}

impl Fetched {
    /// Asks what the streams do not contain: facts about single contacts, and the number of conversations by a second source. The caller
    /// skips this for a month that will not be published, because the rows of everyone may have been removed from the spool.
    async fn ask_about_contacts(&mut self, context: &Context, plan: &Plan, work: &Path) -> Result<(), JobError> {
        let months = plan.scope.months;
        let part = |stream: usize| &self.streams[stream].part;
        if plan.has_tag_dates {
            let tags = plan.tag_cohorts().map(|cohort| part(cohort.stream).clone()).collect();
            self.tag_dates = Some(tag_dates::fetch(context, months, tags, work).await?);
        }
        let of_contacts = self.streams.iter().filter(|stream| stream.kind != StreamKind::Conversations);
        let contacts: Vec<SpooledStream> = of_contacts.map(|stream| stream.part.clone()).collect();
        if plan.has_subscriptions {
            self.subscriptions = Some(subscriptions::complete(context, months, plan, contacts.clone(), work).await?);
        }
        let is_month_end = |cohort: &PlannedCohort| {
            let at = part(cohort.stream).record.observed_at;
            plan.scope.spans.iter().any(|span| basis_at(at, span, context.settings.job.grace) == Basis::MonthEnd)
        };
        if plan.cohorts.iter().any(is_month_end) {
            self.vanished = vanished::ask(context, months, plan, contacts, work).await?;
        }
        if plan.has_conversations {
            self.conversation_totals = conversation_totals(context).await;
        }
        Ok(())
    }

    pub(super) fn streams(&self) -> &[FetchedStream] {
        &self.streams
    }

    fn incomplete(&self) -> impl Iterator<Item = &FetchedStream> {
        self.streams.iter().filter(|stream| !stream.part.record.is_complete)
    }

    pub(super) fn incomplete_keys(&self) -> Vec<String> {
        self.incomplete().map(|stream| stream.key.clone()).collect()
    }

    /// The number of persons that `forget` removed from unfinished work: the largest number in one stream.
    pub(super) fn forgotten(&self) -> u64 {
        let contacts = self.streams.iter().filter(|stream| stream.kind != StreamKind::Conversations);
        contacts.map(|stream| stream.part.record.forgotten).max().unwrap_or_default()
    }

    /// What is missing in the incomplete streams.
    pub(super) fn shortfalls(&self, tolerance: f64) -> Vec<Shortfall> {
        self.incomplete().map(|stream| stream.shortfall(tolerance)).collect()
    }

    /// The ID of the workspace in the contacts' records.
    pub(super) fn contact_workspace_id(&self) -> Option<String> {
        self.streams.iter().find_map(|stream| stream.part.record.workspace_id.clone())
    }

    /// When the last page of all streams came.
    pub(super) fn observed_at(&self) -> DateTime<Utc> {
        self.streams.iter().map(|stream| stream.part.record.observed_at).max().unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The numbers of members of the last month that are gone: those that the run asked about, and those that it did not ask about.
    pub(super) fn vanished(&self) -> Option<Vanished> {
        self.vanished.as_ref().map(|vanished| vanished.counts)
    }

    /// The cohorts as observed for one of the plan's months.
    pub(super) fn cohort_entries(&self, plan: &Plan, span: &MonthSpan, grace: std::time::Duration) -> Vec<CohortEntry> {
        let entry = |cohort: &PlannedCohort| {
            let record = &self.streams[cohort.stream].part.record;
            let basis = basis_at(record.observed_at, span, grace);
            CohortEntry {
                cohort_key: cohort.group.key(),
                cohort_name: cohort.group.name.clone(),
                configured: cohort.configured.clone(),
                basis: if self.is_reconstructed(cohort, basis) { Basis::Reconstructed } else { basis }.to_string(),
                observed_at: record.observed_at,
                members: record.rows,
                announced: record.last_total,
                created_at: cohort.created_at,
                updated_at: cohort.updated_at,
            }
        };
        plan.cohorts.iter().map(entry).collect()
    }

    /// Whether the members of the cohort are reconstructed from the dates of its tag.
    fn is_reconstructed(&self, cohort: &PlannedCohort, basis: Basis) -> bool {
        self.tag_dates.is_some() && cohort.group.kind == GroupKind::Tag && basis == Basis::Late
    }

    /// The input for the snapshot of one month.
    pub(super) fn assembly(&self, plan: &Plan, span: &MonthSpan, grace: std::time::Duration) -> Assembly {
        let cohort = |cohort: &PlannedCohort| {
            let basis = basis_at(self.streams[cohort.stream].part.record.observed_at, span, grace);
            let tagged_before = self.tag_dates.clone().filter(|_| self.is_reconstructed(cohort, basis));
            Cohort {
                key: cohort.group.key(),
                stream: cohort.stream,
                tagged_before: tagged_before.map(|dates| TaggedBefore { dates, tag_id: cohort.group.id.clone(), end: span.end }),
            }
        };
        let is_conversations = |stream: &&FetchedStream| stream.kind == StreamKind::Conversations;
        Assembly {
            // Conversations are the last stream of the plan, so the indices of the other streams do not change.
            streams: self.streams.iter().filter(|stream| !is_conversations(stream)).map(|stream| stream.part.clone()).collect(),
            population: match &plan.population {
                PlannedPopulation::Group { stream, .. } => Some(*stream),
                PlannedPopulation::Everyone | PlannedPopulation::Cohorts => None,
            },
            cohorts: plan.cohorts.iter().map(cohort).collect(),
            conversations: self.streams.iter().find(is_conversations).map(|stream| stream.part.clone()),
            subscriptions: self.subscriptions.clone(),
            fates: self.vanished.as_ref().map(|vanished| vanished.answers.clone()),
            span: *span,
        }
    }
}
