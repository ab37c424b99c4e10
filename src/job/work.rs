//! Unfinished work names its workspace, months, API version, plan and the time when it began. A later run continues the work if
//! workspace, API version, identifiers and bounds are the same. Unfinished work of other months is reported and not changed.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::plan::{Plan, PlannedCohort, PlannedPopulation};
use super::stream::{PlannedStream, StreamKind};
use super::{Archive, Context, JobError, Scope, Unresolved, Why};
use crate::privacy::HASH_PREFIX;
use crate::settings::zones;
use archive::publish;
use domain::{Month, Months};

const PLAN_FILE: &str = "plan.json";

/// The content of `plan.json` in the work folder of a run.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    /// The work is continued only if all of this is the same for the new run. Otherwise its rows cannot be combined with new rows.
    #[serde(flatten)]
    of: Of,
    started_at: DateTime<Utc>,
    /// How e-mail addresses were normalized before they were hashed when the work began. An older program did not normalize them. Its
    /// unfinished work is continued without normalizing, because its rows cannot be fetched again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    email_hash: Option<String>,
    timezone: String,
    population: String,
    cohorts: Vec<WorkCohort>,
    #[serde(rename = "walks")]
    streams: Vec<PlannedStream>,
    /// Streams of an earlier plan that this plan lacks. If the job names them again, they continue.
    #[serde(rename = "others", default, skip_serializing_if = "Vec::is_empty")]
    unplanned: Vec<PlannedStream>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Of {
    workspace_id: Option<String>,
    api_version: String,
    /// How identifiers are written in the work, as a label.
    identifiers: String,
    month_start: DateTime<Utc>,
    month_end: DateTime<Utc>,
}

impl Of {
    /// Whether only the bounds of the month differ.
    fn differs_in_bounds_from(&self, other: &Of) -> bool {
        let with_bounds = |of: &Of| (of.month_start, of.month_end);
        let without = |of: &Of| (of.workspace_id.clone(), of.api_version.clone(), of.identifiers.clone());
        without(self) == without(other) && with_bounds(self) != with_bounds(other)
    }

    fn differs_from(&self, found: &Of) -> &'static str {
        if found.workspace_id != self.workspace_id {
            "it is of another workspace"
        } else if found.api_version != self.api_version {
            "it was fetched with another API version"
        } else if found.identifiers != self.identifiers {
            "it writes identifiers in another way"
        } else {
            "its month begins or ends at another time"
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct WorkCohort {
    configured: String,
    #[serde(rename = "walk")]
    stream: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    updated_at: Option<DateTime<Utc>>,
}

/// Takes over the work folder if its workspace, API version, identifiers and month are those of this run. Otherwise the run starts with
/// an empty folder.
pub(super) fn claim(work: &Path, context: &Context, plan: &mut Plan) -> Result<(), JobError> {
    let mut of = Of {
        workspace_id: plan.scope.workspace_id.clone(),
        api_version: context.settings.intercom.api_version.clone(),
        identifiers: context.privacy.label(),
        month_start: plan.scope.start(),
        month_end: plan.scope.end(),
    };
    let found = read(work);
    if let Some(begun) = found.as_ref().filter(|found| found.of.differs_in_bounds_from(&of))
        && let Some(scope) = plan.scope.as_begun(context, &begun.timezone, (begun.of.month_start, begun.of.month_end))?
    {
        plan.scope = scope;
        (of.month_start, of.month_end) = (begun.of.month_start, begun.of.month_end);
    }
    if found.as_ref().is_none_or(|found| found.of != of) {
        if work.exists() {
            let why = found.as_ref().map_or("its `plan.json` cannot be read", |found| of.differs_from(&found.of));
            tracing::warn!("the unfinished work in `{}` cannot be continued and is removed: {why}", work.display());
        }
        publish::remove_folder(work)?;
        publish::create_folder(work)?;
    }
    let found = found.filter(|found| found.of == of);
    let email_hash = match &found {
        Some(found) => found.email_hash.clone(),
        None => context.privacy.email_hash().map(str::to_string),
    };
    let started_at = found.as_ref().map_or_else(|| (context.clock)(), |found| found.started_at);
    // Members can only be derived if everyone is read.
    let has_everyone = plan.streams.iter().any(|stream| stream.kind == StreamKind::Everyone);
    let mut unplanned = Vec::new();
    // The rows of a partition are only of use if the stream keeps the same partitions.
    for stream in found.into_iter().flat_map(|found| found.streams.into_iter().chain(found.unplanned)) {
        match plan.streams.iter_mut().find(|planned| planned.kind == stream.kind) {
            Some(planned) => (planned.partitioning, planned.derived) = (stream.partitioning, stream.derived.filter(|_| has_everyone)),
            None => unplanned.push(PlannedStream { derived: None, ..stream }),
        }
    }
    let cohort = |cohort: &PlannedCohort| {
        let PlannedCohort { configured, stream, created_at, updated_at, .. } = cohort.clone();
        WorkCohort { configured, stream, created_at, updated_at }
    };
    let written = Work {
        of,
        started_at,
        email_hash,
        timezone: plan.scope.timezone.name().to_string(),
        population: plan.population.label(),
        cohorts: plan.cohorts.iter().map(cohort).collect(),
        streams: plan.streams.clone(),
        unplanned,
    };
    Ok(publish::write_json(&work.join(PLAN_FILE), &written)?)
}

/// Writes the current partitions and strategies of the streams into the work folder.
pub(super) fn note(work: &Path, plan: &Plan) -> Result<(), JobError> {
    // `claim` wrote the file.
    let Some(mut written) = read(work) else { return Ok(()) };
    written.streams = plan.streams.clone();
    Ok(publish::write_json(&work.join(PLAN_FILE), &written)?)
}

/// The plan of the month's unfinished run, to publish its rows if the API no longer answers. If `month` is `None`, this is the plan
/// of the newest unfinished run.
pub(super) fn resume_plan(context: &Context, month: Option<Month>) -> Result<Option<Plan>, JobError> {
    let newest = || {
        Ok::<_, JobError>(
            context.archive.unfinished()?.into_iter().filter(|months| months.first == months.last).max_by_key(|months| months.last),
        )
    };
    let months = match month {
        Some(month) => Some(Months::from(month)),
        None => newest()?,
    };
    let Some(months) = months else { return Ok(None) };
    let Some(work) = read(&context.archive.work_of(months)) else { return Ok(None) };
    let Some(timezone) = zones().zone(&work.timezone) else { return Ok(None) };
    // The bounds are those with which the work was fetched. Another table might give other bounds.
    let mut scope = Scope::over(context, months, timezone)?.cut_at(context, work.of.month_start, work.of.month_end);
    scope.workspace_id = work.of.workspace_id.clone();
    let Some(mut plan) = work.into_plan(scope) else { return Ok(None) };
    plan.has_subscriptions = context.settings.job.subscriptions && context.client.capabilities().has_subscriptions;
    // The unfinished run did not fetch groups that the job has named since then.
    for name in &context.settings.job.groups {
        let is_it = |cohort: &PlannedCohort| {
            let names = [cohort.configured.as_str(), &cohort.group.name];
            name.means(&context.settings.job.groups, |name| name.fit(&cohort.group.key(), names))
        };
        if !plan.cohorts.iter().any(is_it) {
            plan.miss(Unresolved { name: name.clone(), why: Why::NotAsked });
        }
    }
    Ok(Some(plan))
}

/// Whether work began at this instant or before it. If a snapshot was observed at that instant, the snapshot was made from this work.
/// Work whose plan cannot be read counts as older, because no run can use it.
pub(super) fn is_of_before(work: &Path, instant: DateTime<Utc>) -> bool {
    work.exists() && read(work).is_none_or(|work| work.started_at <= instant)
}

/// How e-mail addresses in unfinished work were normalized before they were hashed.
pub(super) fn email_hash(work: &Path) -> Option<String> {
    read(work)?.email_hash
}

/// Whether e-mail addresses in unfinished work were hashed without being normalized, with the key of this label.
pub(super) fn is_hashed_unnormalized(work: &Path, label: &str) -> bool {
    let is_it = |work: Work| label.starts_with(HASH_PREFIX) && work.of.identifiers == label && work.email_hash.is_none();
    read(work).is_some_and(is_it)
}

/// Unfinished work of other months than these.
pub(super) fn of_others(archive: &Archive, months: Months) -> Result<Vec<Months>, JobError> {
    Ok(archive.unfinished()?.into_iter().filter(|other| *other != months).collect())
}

fn read(work: &Path) -> Option<Work> {
    serde_json::from_slice(&std::fs::read(work.join(PLAN_FILE)).ok()?).ok()
}

impl Work {
    /// The plan of this work; `None` if the work is inconsistent.
    fn into_plan(self, scope: Scope) -> Option<Plan> {
        let streams = self.streams;
        let group_of = |stream: usize| streams.get(stream)?.kind.group().cloned();
        let cohort = |cohort: WorkCohort| {
            let (created_at, updated_at) = (cohort.created_at, cohort.updated_at);
            Some(PlannedCohort {
                group: group_of(cohort.stream)?,
                configured: cohort.configured,
                stream: cohort.stream,
                created_at,
                updated_at,
            })
        };
        let cohorts = self.cohorts.into_iter().map(cohort).collect::<Option<_>>()?;
        let population = match self.population.as_str() {
            "everyone" => PlannedPopulation::Everyone,
            "cohorts" => PlannedPopulation::Cohorts,
            key => {
                let stream = streams.iter().position(|stream| stream.key() == key)?;
                PlannedPopulation::Group { group: group_of(stream)?, stream }
            }
        };
        let has_conversations = streams.iter().any(|stream| stream.kind == StreamKind::Conversations);
        Some(Plan { cohorts, population, has_conversations, streams, ..Plan::empty(scope) })
    }
}
