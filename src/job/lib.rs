//! The month-end job: lock, check the existing snapshot, plan, fetch, publish the snapshot, then bring history and reports up to
//! date. Everything before the snapshot can be repeated at the cost of requests; everything after it can be rebuilt offline.

pub mod census;
pub mod check;
pub mod listing;
pub mod privacy;
pub mod settings;
pub mod tagging;

mod apply;
mod backfill;
mod bounds;
mod clock;
mod error;
mod estimate;
mod events;
mod fetch;
mod findings;
mod folder;
mod forget;
mod lock;
mod months;
mod observed;
mod pages;
mod partitioning;
mod plan;
mod prior_month;
mod reader;
mod refresh;
mod resolve;
mod scheduler;
mod scope;
mod status;
mod strategy;
mod stream;
mod tag_dates;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::privacy::{HashKey, Identifiers, Privacy, PrivacyError};
use archive::publish::{self, Staging};
use archive::snapshot::{CohortEntry, Manifest, Snapshot};
use domain::{Basis, GroupName, Month, MonthSpan, Months, TimeZone};
use intercom::{Client, ClientError, Options, Workspace};
use settings::{Job, Missing, SecretString, Settings};

pub use apply::Applied;
pub use backfill::{BackfillOptions, BackfillOutcome, BackfillPlan, backfill, backfill_dry_run};
pub use bounds::{TIMEZONE_CHANGED, old_table};
pub use clock::{ClockOffset, Otherwise, clock_offset};
pub use error::JobError;
pub use estimate::Estimate;
pub use events::{Built, Event, Observer};
pub use folder::JobFolder;
pub use forget::{Forgotten, Person, forget};
pub use lock::{Holder, Lock};
pub use months::{AcceptedLoss, DamagedMonth};
pub use observed::{Observed, ObservedCohort, observed};
pub use partitioning::{SubRange, merge, pages, rows_per_partition, split};
pub use plan::{Plan, similar_attribute, unknown_attributes};
pub use prior_month::{PriorMonth, prior_month};
pub use refresh::{Rebuilt, Refreshed, Scope as RefreshScope, cohort_facts, refresh};
pub use resolve::{Unresolved, Why, resolve};
pub use scope::basis_at;
pub use status::{MonthStatus, Status, status};
pub use stream::{Partitioning, PlannedStream, SizedPartition, StreamKind};

pub use scope::Scope;
use scope::prospect;
use status::{missed_before, stale_after};

/// The current time: the wall clock, or the fixed instant of `--as-of`.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// `None`: the last month that has ended.
    pub month: Option<Month>,
    pub replace: bool,
    pub accept_incomplete: bool,
    /// Leave history and reports to a later `report` or run.
    pub snapshot_only: bool,
    pub apply_tags: ApplyTags,
}

/// Whether the tags of rules are written to Intercom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApplyTags {
    #[default]
    No,
    /// Unless more would change than the job allows.
    Within,
    /// No limit.
    All,
}

/// The result of a run that did not fail.
#[derive(Debug)]
pub struct RunOutcome {
    pub month: Month,
    pub published: Published,
    /// Groups that were not found; the others were published.
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
    /// Earlier months without a snapshot, when no month was named.
    pub missed: Vec<Month>,
    /// The results for the rules' tags.
    pub applied: Vec<Applied>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Now(Basis),
    /// The month had a snapshot of this basis already, which was kept.
    Before(Basis),
}

/// Everything that a run needs from its caller.
#[derive(Clone)]
pub struct Context {
    pub settings: Settings,
    pub client: Client,
    pub privacy: Arc<Privacy>,
    pub clock: Clock,
    /// Whether the clock is compared with the API's. A fixed clock is not.
    pub checks_clock: bool,
    pub observer: Observer,
}

/// A client for the settings' workspace.
pub fn client(settings: &Settings, token: SecretString) -> Result<Client, ClientError> {
    let intercom = &settings.intercom;
    Client::new(&Options {
        base_url: intercom.base_url.clone(),
        token,
        api_version: intercom.api_version.clone(),
        user_agent: concat!("intercom-cohorts/", env!("CARGO_PKG_VERSION")).to_string(),
        page_size: intercom.page_size,
        max_concurrency: intercom.max_concurrency,
        rate_share: intercom.rate_share,
        request_timeout: intercom.request_timeout,
        give_up_after: intercom.give_up_after,
    })
}

/// How identifiers are written, from the settings.
pub fn privacy(settings: &Settings) -> Result<Privacy, PrivacyError> {
    let privacy = &settings.privacy;
    let identifiers = match (privacy.identifiers, &privacy.hash_key_file) {
        (settings::Identifiers::Keep, _) => Identifiers::Keep,
        (settings::Identifiers::Hash, Some(path)) => Identifiers::Hash(HashKey::read(path)?),
        // Settings that hash without a key are refused before.
        (settings::Identifiers::Drop, _) | (settings::Identifiers::Hash, None) => Identifiers::Drop,
    };
    Ok(Privacy::new(identifiers, privacy.drop.iter().cloned()))
}

/// The time zone of the months: the job's, otherwise the workspace's.
pub fn timezone(job: &Job, workspace: &Workspace) -> Result<TimeZone, JobError> {
    match (&job.timezone, &workspace.timezone) {
        (Some(timezone), _) => Ok(timezone.clone()),
        (None, Some(name)) => settings::zones().zone(name).ok_or_else(|| JobError::NoTimezone { found: Some(name.clone()) }),
        (None, None) => Err(JobError::NoTimezone { found: None }),
    }
}

/// The month-end job.
pub async fn run(context: &Context, options: &RunOptions) -> Result<RunOutcome, JobError> {
    let folder = JobFolder::new(&context.settings);
    let _lock = folder.lock("run")?;
    folder.prepare()?;
    folder.recover()?;

    // If the job names its time zone, the month is known without a request, and so is whether it is published.
    if let Some(timezone) = context.settings.job.timezone.clone()
        && let Some(outcome) = published_before(context, &folder, &Scope::at(context, options.month, timezone)?, options).await?
    {
        return Ok(outcome);
    }
    let mut plan = match planned(context, &folder, options).await? {
        Planned::Before(outcome) => return Ok(*outcome),
        Planned::Now(plan) => *plan,
    };
    let month = plan.scope.newest().month;
    report_unfinished(&folder, plan.months())?;
    let (published, incomplete) = observe(context, &folder, &mut plan, options.accept_incomplete).await?;
    // One month is published; otherwise `observe` returned an error.
    let basis = published.first().map_or(plan.scope.basis, |(_, basis)| *basis);
    let (Refreshed { rebuilt, damaged }, stale) = rebuilt(context, &folder, month, options).await?;
    let missed = missed(&folder, month, options)?;
    let applied = applied(context, &folder, month, options).await?;
    Ok(RunOutcome {
        month,
        published: Published::Now(basis),
        unresolved: plan.unresolved,
        incomplete,
        lacking: Vec::new(),
        rebuilt,
        stale,
        damaged,
        missed,
        applied,
    })
}

enum Planned {
    /// The month is published already, and its snapshot is kept.
    Before(Box<RunOutcome>),
    Now(Box<Plan>),
}

/// The fetch plan. If the API does not answer and an incomplete month is accepted, the plan of an earlier, unfinished run: so its
/// rows can be published.
async fn planned(context: &Context, folder: &JobFolder, options: &RunOptions) -> Result<Planned, JobError> {
    let asked = async {
        let scope = Scope::ask(context, options.month).await?;
        match published_before(context, folder, &scope, options).await? {
            Some(outcome) => Ok(Planned::Before(Box::new(outcome))),
            None => Plan::make(context, folder, &scope).await.map(|plan| Planned::Now(Box::new(plan))),
        }
    };
    match asked.await {
        Err(JobError::Request(error)) if options.accept_incomplete => {
            let Some(plan) = work::resume_plan(context, folder, options.month)? else { return Err(error.into()) };
            tracing::error!(%error, "the API does not answer; using the rows of an earlier run of {}", plan.months());
            match published_before(context, folder, &plan.scope, options).await? {
                Some(outcome) => Ok(Planned::Before(Box::new(outcome))),
                None => Ok(Planned::Now(Box::new(plan))),
            }
        }
        planned => planned,
    }
}

/// Reports unfinished work of other months, and an unfinished `forget`. It is not removed: its rows may have been observed at the
/// end of their month.
fn report_unfinished(folder: &JobFolder, months: Months) -> Result<(), JobError> {
    if folder.forgetting().exists() {
        tracing::warn!("a `cohorts forget` did not finish: run it again to continue it for the same persons");
    }
    for others in work::of_others(folder, months)? {
        let again = if others.first == others.last {
            format!("cohorts run --month {}", others.first)
        } else {
            format!("cohorts backfill --from {} --to {}", others.first, others.last)
        };
        tracing::warn!("unfinished work of {others} is kept: `{again}` continues it, or delete `{}`", folder.work_of(others).display());
    }
    Ok(())
}

/// Fetches the plan and publishes its months' snapshots. Also returns the keys of what is incomplete.
async fn observe(
    context: &Context,
    folder: &JobFolder,
    plan: &mut Plan,
    accept_incomplete: bool,
) -> Result<(Vec<(Month, Basis)>, Vec<String>), JobError> {
    if !plan.unresolved.is_empty() && (context.settings.job.missing == Missing::Fail || plan.cohorts.is_empty()) {
        return Err(JobError::Unresolved(plan.unresolved.clone()));
    }
    for span in &plan.scope.spans {
        let dropped = dropped(context, folder, plan, span)?;
        if !dropped.is_empty() {
            return Err(JobError::WouldDrop { month: span.month, dropped });
        }
    }
    let fetched = fetch::fetch(context, folder, plan, accept_incomplete).await?;
    plan.findings.extend(clock::finding(context));
    let incomplete = fetched.incomplete_keys();
    if !incomplete.is_empty() && !accept_incomplete {
        return Err(JobError::Incomplete { months: plan.months(), streams: fetched.shortfalls(context.settings.completeness.tolerance) });
    }
    let mut published = Vec::new();
    for span in &plan.scope.spans {
        (context.observer)(Event::Publishing { month: span.month });
        let basis = publish_snapshot(context, folder, plan, &fetched, span, &incomplete).await?;
        (context.observer)(Event::Published { month: span.month, basis });
        published.push((span.month, basis));
    }
    publish::remove_folder(&folder.work_of(plan.months()))?;
    Ok((published, incomplete))
}

/// Ends a run whose month is published already and kept: brings history and reports up to date, without requests.
async fn published_before(
    context: &Context,
    folder: &JobFolder,
    scope: &Scope,
    options: &RunOptions,
) -> Result<Option<RunOutcome>, JobError> {
    let month = scope.newest().month;
    let Some(snapshot) = folder.snapshot(month)? else { return Ok(None) };
    let (published, now) = (snapshot.manifest.basis(), scope.basis);
    if options.replace && now < published {
        return Err(JobError::LowerBasis { month, published, now });
    }
    if options.replace || now > published {
        return Ok(None);
    }
    let work = folder.work_of(month.into());
    if work::is_of_before(&work, snapshot.manifest.observed_at) {
        // A crash after the snapshot was published, before its work folder was removed.
        publish::remove_folder(&work)?;
    } else if work.exists() {
        tracing::warn!(
            "there is unfinished work of a replacement of {month}: --replace continues it; to keep the month as it is, delete `{}`",
            work.display()
        );
    }
    let lacking = lacking(&context.settings.job, &snapshot);
    let (Refreshed { rebuilt, damaged }, stale) = rebuilt(context, folder, month, options).await?;
    let missed = missed(folder, month, options)?;
    let applied = applied(context, folder, month, options).await?;
    Ok(Some(RunOutcome {
        month,
        published: Published::Before(published),
        unresolved: Vec::new(),
        incomplete: snapshot.manifest.incomplete,
        lacking,
        rebuilt,
        stale,
        damaged,
        missed,
        applied,
    }))
}

/// History and reports, where they are wanted, and the months after them that are out of date.
async fn rebuilt(context: &Context, folder: &JobFolder, month: Month, options: &RunOptions) -> Result<(Refreshed, Vec<Month>), JobError> {
    if options.snapshot_only { Ok((Refreshed::default(), Vec::new())) } else { rebuild(context, folder, month).await }
}

async fn applied(context: &Context, folder: &JobFolder, month: Month, options: &RunOptions) -> Result<Vec<Applied>, JobError> {
    match options.apply_tags {
        ApplyTags::No => Ok(Vec::new()),
        how => apply::apply(context, folder, month, how == ApplyTags::All).await,
    }
}

/// Nothing if a month was named.
fn missed(folder: &JobFolder, month: Month, options: &RunOptions) -> Result<Vec<Month>, JobError> {
    if options.month.is_some() { Ok(Vec::new()) } else { missed_before(folder, month) }
}

/// The groups that the job names and a snapshot lacks.
fn lacking(job: &Job, snapshot: &Snapshot) -> Vec<GroupName> {
    let holds = |name: &&GroupName| snapshot.manifest.cohorts.iter().any(|cohort| name.means(&job.groups, |name| cohort.fit(name)));
    job.groups.iter().filter(|name| !holds(name)).cloned().collect()
}

/// What a run would do: resolves names and requests sizes, but fetches no page of members and writes nothing.
pub async fn dry_run(context: &Context, options: &RunOptions) -> Result<Plan, JobError> {
    let folder = JobFolder::new(&context.settings);
    let scope = Scope::ask(context, options.month).await?;
    let mut plan = Plan::make(context, &folder, &scope).await?;
    plan.published = folder.snapshot(scope.newest().month)?.map(|snapshot| snapshot.manifest.basis());
    plan.size(context).await?;
    plan.is_planned_again = true;
    Ok(plan)
}

/// The cohorts of the month's snapshot that the job still names and that are no longer found. A replacement would lose them, and
/// they cannot be observed again.
fn dropped(context: &Context, folder: &JobFolder, plan: &Plan, span: &MonthSpan) -> Result<Vec<String>, JobError> {
    // Each month of a backfill has its own basis.
    let now = prospect(&context.settings.job, (context.clock)(), span);
    let Some(published) = folder.snapshot(span.month)? else { return Ok(Vec::new()) };
    let groups = &context.settings.job.groups;
    let is_meant = |cohort: &CohortEntry, name: &GroupName| name.means(groups, |name| cohort.fit(name));
    let is_lost =
        |cohort: &&CohortEntry| cohort.basis() >= now && plan.unresolved.iter().any(|unresolved| is_meant(cohort, &unresolved.name));
    Ok(published.manifest.cohorts.iter().filter(is_lost).map(|cohort| format!("{} ({})", cohort.configured, cohort.cohort_key)).collect())
}

async fn publish_snapshot(
    context: &Context,
    folder: &JobFolder,
    plan: &Plan,
    fetched: &fetch::Fetched,
    span: &MonthSpan,
    incomplete: &[String],
) -> Result<Basis, JobError> {
    let settings = &context.settings;
    let traffic = context.client.traffic();
    let cohorts: Vec<CohortEntry> = fetched.cohort_entries(plan, span, settings.job.grace);
    // A plan without cohorts ends before anything is fetched.
    let basis = cohorts.iter().map(CohortEntry::basis).min().unwrap_or(plan.scope.basis);
    if let Some(published) = folder.snapshot(span.month)? {
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
        cohorts,
        identifiers: context.privacy.label(),
        email_hash: work::email_hash(&folder.work_of(plan.months())),
        forgotten: fetched.forgotten(),
        files: Vec::new(),
        requests: traffic.requests,
        retries: traffic.retries,
        incomplete: incomplete.to_vec(),
        findings: findings::of_month(plan, fetched, span, settings),
    };
    let (folder, month) = (folder.clone(), span.month);
    let staging = Staging::new(&folder.work(), &format!("snapshot-{}", span.month))?;
    let assembly = fetched.assembly(plan, span, settings.job.grace);
    let tolerance = settings.completeness.tolerance;
    let committed = tokio::task::spawn_blocking(move || -> Result<(), JobError> {
        let mut manifest = manifest;
        let written = assembly.write(&staging)?;
        manifest.findings.extend(findings::of_assembly(&assembly, &manifest.cohorts, &written, tolerance));
        for (entry, members) in manifest.cohorts.iter_mut().zip(written.members) {
            entry.members = members;
        }
        manifest.files = staging.files();
        Ok(folder.publish_snapshot(month, staging, manifest)?)
    });
    joined(committed.await)?;
    Ok(basis)
}

/// Brings the histories and reports of the months up to `last` up to date. Returns those that were built, and the later months
/// that are out of date now.
async fn rebuild(context: &Context, folder: &JobFolder, last: Month) -> Result<(Refreshed, Vec<Month>), JobError> {
    let (folder, settings, observer) = (folder.clone(), context.settings.clone(), context.observer.clone());
    let rebuilding = tokio::task::spawn_blocking(move || {
        let refreshed = refresh(&folder, &settings, &RefreshScope::StaleUntil(last), &BTreeSet::new(), &observer)?;
        let stale = stale_after(&folder, &settings.job, last)?;
        Ok((refreshed, stale))
    });
    joined(rebuilding.await)
}

/// The result of a blocking task. A panic in it is resumed here.
fn joined<T>(result: Result<Result<T, JobError>, tokio::task::JoinError>) -> Result<T, JobError> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Blocking tasks are cancelled only when the runtime ends.
        Err(_) => Err(JobError::Interrupted),
    }
}
