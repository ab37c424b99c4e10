use super::arguments::Backfill;
use super::failure::Failure;
use super::progress::Progress;
use super::run_tracker::RunTracker;
use super::{clock, plan, run, stdout};
use archive::{Archive, Section};
use domain::{Basis, Month, Months};
use job::settings;
use job::{self, BackfillOptions, BackfillOutcome, JobError};

pub(super) async fn run(arguments: Backfill, progress: &Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    let (first, last) = (arguments.from, arguments.to);
    if last < first {
        return Err(Failure::usage(format!("--from {first} is after --to {last}"), "the first month goes with --from"));
    }
    tracker.is_about(Months { first, last });
    let settings = run::load(&arguments.job.sources())?;
    tracker.has_settings(&settings, arguments.dry_run);
    let clock = clock::clock(arguments.as_of, &settings)?;
    let token = settings::read_token(settings.intercom.token_file.as_deref())?;
    let context = run::context(settings, token, clock, arguments.as_of.is_none(), progress)?;
    tracker.asks(&context.client);
    let options = BackfillOptions { months: Months { first, last }, replace: arguments.replace, snapshot_only: arguments.snapshot_only };
    if arguments.dry_run {
        let planned = job::backfill_dry_run(&context, &options).await.map_err(failed)?;
        progress.finish();
        let mut text = kept(&planned.kept);
        let unresolved = match &planned.plan {
            None => {
                text.push_str("nothing to do\n");
                Vec::new()
            }
            Some(planned) => {
                let window = context.client.rate_window();
                text.push_str(&plan::describe(planned, &context.settings, window));
                planned.unresolved.clone()
            }
        };
        stdout::print(&text)?;
        return if unresolved.is_empty() { Ok(0) } else { Err(JobError::Unresolved(unresolved).into()) };
    }
    let outcome = job::backfill(&context, &options).await.inspect_err(|error| tracker.failed(error)).map_err(failed)?;
    progress.finish();
    let is_new = !outcome.published.is_empty() || !outcome.rebuilt.is_empty();
    tracker.did(is_new, &[], &outcome.rebuilt, &context.archive, &context.settings.job);
    report(&context.archive, outcome, options.snapshot_only)
}

/// Replaces those hints that name flags of `run` which `backfill` does not have.
fn failed(error: JobError) -> Failure {
    let hint = match &error {
        JobError::NotBegun { .. } => "choose an earlier --to",
        JobError::Incomplete { .. } => "the complete streams are kept: run it again later",
        _ => return error.into(),
    };
    Failure::from(error).but(hint)
}

fn kept(months: &[(Month, Basis)]) -> String {
    months.iter().map(|(month, basis)| format!("{month} is published already, basis {basis}\n")).collect()
}

fn report(archive: &Archive, outcome: BackfillOutcome, snapshot_only: bool) -> Result<u8, Failure> {
    let mut text = kept(&outcome.kept);
    for (month, basis) in &outcome.published {
        text.push_str(&format!("{month} published, basis {basis}\n"));
    }
    if outcome.published.is_empty() {
        text.push_str("nothing was fetched (--replace replaces months of the same basis)\n");
    }
    let reports = if snapshot_only { run::NOT_BUILT.to_string() } else { archive.location(Section::Reports) };
    text.push_str(&format!("\nreports    {reports}\nsnapshots  {}\n", archive.location(Section::Snapshots)));
    stdout::print(&text)?;
    run::warn_of_stale(&outcome.stale);
    if !outcome.damaged.is_empty() {
        run::warn_of_unresolved(&outcome.unresolved);
        return Err(JobError::Damaged(outcome.damaged).into());
    }
    if outcome.unresolved.is_empty() { Ok(0) } else { Err(Failure::published_without(outcome.unresolved)) }
}
