//! Publishes a range of past months. Members, contacts and conversations are read once. Each month that has no snapshot, or one
//! with a lower basis, gets a new snapshot. Members are those at the time of the observation (basis `late`), except for tags whose
//! dates are read (`reconstructed`).

use super::plan::first_requests;
use super::run::{observe, rebuild, report_unfinished};
use super::scope::prospect;
use super::{Context, DamagedMonth, Event, JobError, Plan, Rebuilt, Refreshed, Scope, Unresolved, clock, timezone};
use domain::{Basis, Month, Months};

#[derive(Clone, Copy, Debug)]
pub struct BackfillOptions {
    pub months: Months,
    /// Whether a snapshot of the same basis is replaced.
    pub replace: bool,
    /// Whether history and reports are left to a later `report` or run.
    pub snapshot_only: bool,
}

#[derive(Debug)]
pub struct BackfillOutcome {
    pub published: Vec<(Month, Basis)>,
    /// Months whose snapshots are kept.
    pub kept: Vec<(Month, Basis)>,
    /// Groups that were not found. All other groups were published.
    pub unresolved: Vec<Unresolved>,
    pub rebuilt: Vec<Rebuilt>,
    /// Months whose snapshots are damaged.
    pub damaged: Vec<DamagedMonth>,
    /// Later months, which are out of date now.
    pub stale: Vec<Month>,
}

/// What a backfill would do.
#[derive(Debug)]
pub struct BackfillPlan {
    /// `None` if every month is published: nothing is fetched.
    pub plan: Option<Plan>,
    pub kept: Vec<(Month, Basis)>,
}

pub async fn backfill(context: &Context, options: &BackfillOptions) -> Result<BackfillOutcome, JobError> {
    let _lock = context.archive.lock("backfill")?;
    report_unfinished(&context.archive, options.months)?;
    let BackfillPlan { plan, kept } = planned(context, options).await?;
    let (published, unresolved) = match plan {
        None => (Vec::new(), Vec::new()),
        Some(mut plan) => {
            let estimate = plan.estimate(&context.settings, context.client.rate_window());
            (context.observer)(Event::Expected { requests: estimate.requests, time: estimate.time });
            (observe(context, &mut plan, false).await?.0, plan.unresolved)
        }
    };
    let nothing = (Refreshed::default(), Vec::new());
    let (Refreshed { rebuilt, damaged }, stale) =
        if options.snapshot_only { nothing } else { rebuild(context, options.months.last).await? };
    Ok(BackfillOutcome { published, kept, unresolved, rebuilt, stale, damaged })
}

/// Resolves names and requests sizes, but fetches no page of members and writes nothing.
pub async fn backfill_dry_run(context: &Context, options: &BackfillOptions) -> Result<BackfillPlan, JobError> {
    let mut planned = planned(context, options).await?;
    if let Some(plan) = &mut planned.plan {
        // The backfill makes the same plan, by the same requests, before it fetches.
        plan.repeated = first_requests(context);
    }
    Ok(planned)
}

async fn planned(context: &Context, options: &BackfillOptions) -> Result<BackfillPlan, JobError> {
    let workspace = context.client.workspace().await?;
    let timezone = timezone(&context.settings.job, &workspace)?;
    clock::check(context, &timezone, Some(options.months)).await?;
    let scope = Scope::over(context, options.months, timezone)?.of(workspace);
    let mut kept = Vec::new();
    let mut wanted = Vec::new();
    for span in &scope.spans {
        let now = prospect(&context.settings.job, (context.clock)(), span);
        match context.archive.snapshot(span.month)?.map(|published| published.manifest.basis()) {
            Some(published) if now < published || (now == published && !options.replace) => kept.push((span.month, published)),
            _ => wanted.push(span.month),
        }
    }
    if wanted.is_empty() {
        return Ok(BackfillPlan { plan: None, kept });
    }
    let scope = scope.only(context, &wanted)?;
    let mut plan = Plan::make(context, &scope).await?;
    plan.size(context).await?;
    Ok(BackfillPlan { plan: Some(plan), kept })
}
