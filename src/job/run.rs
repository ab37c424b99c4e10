//! The month-end job: lock, check the existing snapshot, plan, fetch, publish the snapshot, then bring history and reports up to
//! date. Everything before the snapshot can be repeated at the cost of requests. Everything after it can be rebuilt offline.

use std::collections::BTreeSet;
use std::ops::ControlFlow::{self, Break, Continue};

use super::apply::{self, Applied};
use super::error::joined;
use super::plan::{Plan, first_requests};
use super::refresh::{Rebuilt, Refreshed, Scope as RefreshScope, refresh};
use super::scope::{Scope, prospect};
use super::status::{missed_before, stale_after};
use super::{Context, DamagedMonth, Event, JobError, Unresolved, clock, fetch, findings, work};
use crate::settings::{Job, Missing};
use archive::publish;
use archive::snapshot::{CohortEntry, Manifest, Snapshot};
use archive::{Archive, Section};
use domain::{Basis, GroupName, Month, MonthSpan, Months};

#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The month to observe; `None` for the last month that has ended.
    pub month: Option<Month>,
    pub replace: bool,
    pub accept_incomplete: bool,
    /// Whether history and reports are left to a later `report` or run.
    pub snapshot_only: bool,
    pub apply_tags: ApplyTags,
}

/// Whether the tags of rules are written to Intercom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplyTags {
    #[default]
    No,
    /// Tags are written unless more would change than the job allows.
    Within,
    /// Tags are written without a limit.
    All,
}

/// The result of a run that did not fail.
#[derive(Debug)]
pub struct RunOutcome {
    pub month: Month,
    pub published: Published,
    /// Groups that were not found. All other groups were published.
    pub unresolved: Vec<Unresolved>,
    /// What was published incomplete: cohort keys, `population`, `conversations`.
    pub incomplete: Vec<String>,
    /// Groups that the job names and the published snapshot lacks.
    pub lacking: Vec<GroupName>,
    /// Months whose history or reports were brought up to date.
    pub rebuilt: Vec<Rebuilt>,
    /// Later months, which are out of date now.
    pub stale: Vec<Month>,
    /// Months whose snapshots are damaged.
    pub damaged: Vec<DamagedMonth>,
    /// Earlier months without a snapshot. Empty if the user named a month.
    pub missed: Vec<Month>,
    /// The results for the rules' tags.
    pub applied: Vec<Applied>,
}

impl RunOutcome {
    fn of(month: Month, published: Published, incomplete: Vec<String>) -> RunOutcome {
        let (unresolved, lacking, rebuilt, stale) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (damaged, missed, applied) = (Vec::new(), Vec::new(), Vec::new());
        RunOutcome { month, published, unresolved, incomplete, lacking, rebuilt, stale, damaged, missed, applied }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Now(Basis),
    /// The month had a snapshot of this basis already, which was kept.
    Before(Basis),
}

/// The month-end job.
pub async fn run(context: &Context, options: &RunOptions) -> Result<RunOutcome, JobError> {
    let _lock = context.archive.lock("run")?;

    // If the job names its time zone, the month is known without a request. So it is also known whether the month is published.
    if let Some(timezone) = context.settings.job.timezone.clone()
        && let Some(outcome) = published_before(context, &Scope::at(context, options.month, timezone)?, options).await?
    {
        return Ok(outcome);
    }
    let mut plan = match planned(context, options).await? {
        Break(outcome) => return Ok(outcome),
        Continue(plan) => plan,
    };
    let month = plan.scope.newest().month;
    report_unfinished(&context.archive, plan.months())?;
    let (published, incomplete) = observe(context, &mut plan, options.accept_incomplete).await?;
    // One month is published here. If none was, `observe` returned an error.
    let basis = published.first().map_or(plan.scope.basis, |(_, basis)| *basis);
    let outcome = RunOutcome { unresolved: plan.unresolved, ..RunOutcome::of(month, Published::Now(basis), incomplete) };
    completed(context, options, outcome).await
}

/// The fetch plan, unless the month is published already and kept. If the API does not answer and an incomplete month is accepted,
/// this is the plan of an earlier, unfinished run, so that its rows can be published.
async fn planned(context: &Context, options: &RunOptions) -> Result<ControlFlow<RunOutcome, Plan>, JobError> {
    let asked = async {
        let scope = Scope::ask(context, options.month).await?;
        match published_before(context, &scope, options).await? {
            Some(outcome) => Ok(Break(outcome)),
            None => Plan::make(context, &scope).await.map(Continue),
        }
    };
    match asked.await {
        Err(JobError::Request(error)) if options.accept_incomplete => {
            let Some(plan) = work::resume_plan(context, options.month)? else { return Err(error.into()) };
            tracing::error!(%error, "the API does not answer; using the rows of an earlier run of {}", plan.months());
            Ok(published_before(context, &plan.scope, options).await?.map_or(Continue(plan), Break))
        }
        planned => planned,
    }
}

/// Reports unfinished work of other months, and an unfinished `forget`. Unfinished work is not removed, because its rows may have
/// been observed at the end of their month.
pub(super) fn report_unfinished(archive: &Archive, months: Months) -> Result<(), JobError> {
    if archive.journal()?.is_some() {
        tracing::warn!("a `cohorts forget` did not finish: run it again to continue it for the same persons");
    }
    for others in work::of_others(archive, months)? {
        let again = if others.first == others.last {
            format!("cohorts run --month {}", others.first)
        } else {
            format!("cohorts backfill --from {} --to {}", others.first, others.last)
        };
        tracing::warn!("unfinished work of {others} is kept: `{again}` continues it, or delete `{}`", archive.work_of(others).display());
    }
    Ok(())
}

/// Fetches the streams of the plan and publishes its months' snapshots. Also returns the keys of what is incomplete.
pub(super) async fn observe(
    context: &Context,
    plan: &mut Plan,
    accept_incomplete: bool,
) -> Result<(Vec<(Month, Basis)>, Vec<String>), JobError> {
    if !plan.unresolved.is_empty() && (context.settings.job.missing == Missing::Fail || plan.cohorts.is_empty()) {
        return Err(JobError::Unresolved(plan.unresolved.clone()));
    }
    for span in &plan.scope.spans {
        let dropped = dropped(context, plan, span)?;
        if !dropped.is_empty() {
            return Err(JobError::WouldDrop { month: span.month, dropped });
        }
    }
    let fetched = fetch::fetch(context, plan, accept_incomplete).await?;
    plan.findings.extend(clock::finding(context));
    let incomplete = fetched.incomplete_keys();
    if !incomplete.is_empty() && !accept_incomplete {
        return Err(JobError::Incomplete { months: plan.months(), streams: fetched.shortfalls(context.settings.completeness.tolerance) });
    }
    let mut published = Vec::new();
    for span in &plan.scope.spans {
        (context.observer)(Event::Publishing { month: span.month });
        let basis = publish_snapshot(context, plan, &fetched, span, &incomplete).await?;
        (context.observer)(Event::Published { month: span.month, basis });
        published.push((span.month, basis));
    }
    publish::remove_folder(&context.archive.work_of(plan.months()))?;
    Ok((published, incomplete))
}

/// Ends a run whose month is published already and kept: brings history and reports up to date, without requests.
async fn published_before(context: &Context, scope: &Scope, options: &RunOptions) -> Result<Option<RunOutcome>, JobError> {
    let month = scope.newest().month;
    let Some(snapshot) = context.archive.snapshot(month)? else { return Ok(None) };
    let (published, now) = (snapshot.manifest.basis(), scope.basis);
    if options.replace && now < published {
        return Err(JobError::LowerBasis { month, published, now });
    }
    if options.replace || now > published {
        return Ok(None);
    }
    let work = context.archive.work_of(month.into());
    if work::is_of_before(&work, snapshot.manifest.observed_at) {
        // The process crashed after the snapshot was published and before its work folder was removed.
        publish::remove_folder(&work)?;
    } else if work.exists() {
        tracing::warn!(
            "there is unfinished work of a replacement of {month}: --replace continues it; to keep the month as it is, delete `{}`",
            work.display()
        );
    }
    let lacking = lacking(&context.settings.job, &snapshot);
    let outcome = RunOutcome { lacking, ..RunOutcome::of(month, Published::Before(published), snapshot.manifest.incomplete) };
    completed(context, options, outcome).await.map(Some)
}

/// Does what follows a published snapshot: brings history and reports up to date, and applies the tags of rules.
async fn completed(context: &Context, options: &RunOptions, mut outcome: RunOutcome) -> Result<RunOutcome, JobError> {
    let month = outcome.month;
    if !options.snapshot_only {
        let (Refreshed { rebuilt, damaged }, stale) = rebuild(context, month).await?;
        (outcome.rebuilt, outcome.damaged, outcome.stale) = (rebuilt, damaged, stale);
    }
    if options.month.is_none() {
        outcome.missed = missed_before(&context.archive, month)?;
    }
    if options.apply_tags != ApplyTags::No {
        outcome.applied = apply::apply(context, month, options.apply_tags == ApplyTags::All).await?;
    }
    Ok(outcome)
}

/// The groups that the job names and a snapshot lacks.
fn lacking(job: &Job, snapshot: &Snapshot) -> Vec<GroupName> {
    let holds = |name: &&GroupName| snapshot.manifest.cohorts.iter().any(|cohort| name.means(&job.groups, |name| cohort.fit(name)));
    job.groups.iter().filter(|name| !holds(name)).cloned().collect()
}

/// What a run would do: resolves names and requests sizes, but fetches no page of members and writes nothing.
pub async fn dry_run(context: &Context, options: &RunOptions) -> Result<Plan, JobError> {
    let scope = Scope::ask(context, options.month).await?;
    let mut plan = Plan::make(context, &scope).await?;
    plan.repeated = first_requests(context);
    plan.published = context.archive.snapshot(scope.newest().month)?.map(|snapshot| snapshot.manifest.basis());
    plan.size(context).await?;
    plan.is_planned_again = true;
    Ok(plan)
}

/// The cohorts that a replacement of the month's snapshot would lose: the job still names them, but they are no longer found. They cannot
/// be observed again.
fn dropped(context: &Context, plan: &Plan, span: &MonthSpan) -> Result<Vec<String>, JobError> {
    // Each month of a backfill has its own basis.
    let now = prospect(&context.settings.job, (context.clock)(), span);
    let Some(published) = context.archive.snapshot(span.month)? else { return Ok(Vec::new()) };
    let groups = &context.settings.job.groups;
    let is_meant = |cohort: &CohortEntry, name: &GroupName| name.means(groups, |name| cohort.fit(name));
    let is_lost =
        |cohort: &&CohortEntry| cohort.basis() >= now && plan.unresolved.iter().any(|unresolved| is_meant(cohort, &unresolved.name));
    Ok(published.manifest.cohorts.iter().filter(is_lost).map(|cohort| format!("{} ({})", cohort.configured, cohort.cohort_key)).collect())
}

async fn publish_snapshot(
    context: &Context,
    plan: &Plan,
    fetched: &fetch::Fetched,
    span: &MonthSpan,
    incomplete: &[String],
) -> Result<Basis, JobError> {
    let settings = &context.settings;
    let traffic = context.client.traffic();
    let cohorts: Vec<CohortEntry> = fetched.cohort_entries(plan, span, settings.job.grace);
    // A plan without cohorts is refused before anything is fetched, so there is always a minimum.
    let basis = cohorts.iter().map(CohortEntry::basis).min().unwrap_or(plan.scope.basis);
    if let Some(published) = context.archive.snapshot(span.month)? {
        let published_basis = published.manifest.basis();
        if basis < published_basis {
            return Err(JobError::LowerBasis { month: span.month, published: published_basis, now: basis });
        }
        // A complete cohort is not replaced by an incomplete one.
        let lost: Vec<String> = incomplete.iter().filter(|key| !published.manifest.incomplete.contains(key)).cloned().collect();
        if basis == published_basis && !lost.is_empty() {
            return Err(JobError::WouldLose { month: span.month, lost });
        }
    }
    let manifest = Manifest {
        format: Manifest::CURRENT_FORMAT,
        job: settings.job.name.clone(),
        month: span.month.to_string(),
        basis: basis.to_string(),
        observed_at: fetched.observed_at(),
        program_version: env!("CARGO_PKG_VERSION").to_string(),
        api_version: settings.intercom.api_version.clone(),
        timezone: plan.scope.timezone.name().to_string(),
        timezone_table: Some(plan.scope.timezone.table().version_text()),
        month_start: span.start,
        month_end: span.end,
        workspace_id: plan.scope.workspace_id.clone(),
        contact_workspace_id: fetched.contact_workspace_id(),
        population: plan.population.label(),
        replaces: None,
        conversations: plan.has_conversations,
        subscriptions: plan.has_subscriptions,
        vanished: fetched.vanished(),
        cohorts,
        identifiers: context.privacy.label(),
        email_hash: work::email_hash(&context.archive.work_of(plan.months())),
        forgotten: fetched.forgotten(),
        files: Vec::new(),
        requests: traffic.requests,
        retries: traffic.retries,
        incomplete: incomplete.to_vec(),
        findings: findings::of_month(plan, fetched, span, settings),
    };
    let (archive, month) = (context.archive.clone(), span.month);
    let staging = archive.stage(Section::Snapshots, month)?;
    let assembly = fetched.assembly(plan, span, settings.job.grace);
    let tolerance = settings.completeness.tolerance;
    let committed = tokio::task::spawn_blocking(move || -> Result<(), JobError> {
        let mut manifest = manifest;
        let written = assembly.write(&staging)?;
        manifest.subscriptions = written.cut_subscriptions.is_some();
        manifest.findings.extend(findings::of_assembly(&assembly, &manifest.cohorts, &written, tolerance));
        for (entry, members) in manifest.cohorts.iter_mut().zip(written.members) {
            entry.members = members;
        }
        manifest.files = staging.files();
        Ok(archive.publish_snapshot(month, staging, manifest)?)
    });
    joined(committed.await)?;
    Ok(basis)
}

/// Brings the histories and reports of the months up to `last` up to date. Returns the months that were built, and the later months
/// that are out of date now.
pub(super) async fn rebuild(context: &Context, last: Month) -> Result<(Refreshed, Vec<Month>), JobError> {
    let (archive, settings, observer) = (context.archive.clone(), context.settings.clone(), context.observer.clone());
    let rebuilding = tokio::task::spawn_blocking(move || {
        let refreshed = refresh(&archive, &settings, &RefreshScope::StaleUntil(last), &BTreeSet::new(), &observer)?;
        let stale = stale_after(&archive, &settings.job, last)?;
        Ok((refreshed, stale))
    });
    joined(rebuilding.await)
}
