use std::sync::Arc;

use super::arguments::Run;
use super::failure::Failure;
use super::progress::Progress;
use super::run_tracker::RunTracker;
use super::{clock, plan, stdout, summary};
use archive::{Archive, Section};
use domain::{Basis, Month};
use intercom::Client;
use job::settings::{self, SecretString, Settings, Sources};
use job::{self, ApplyTags, Clock, Context, JobError, Published, RunOptions, RunOutcome, Unresolved};
use reports::digest::one_line;
use reports::report::PAGE;

pub(super) async fn run(arguments: Run, progress: &Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    if let Some(month) = arguments.month {
        tracker.is_about(month.into());
    }
    let settings = load(&arguments.job.sources())?;
    tracker.has_settings(&settings, arguments.dry_run);
    let clock = clock::clock(arguments.as_of, &settings)?;
    let token = settings::read_token(settings.intercom.token_file.as_deref())?;
    let context = context(settings, token, clock, arguments.as_of.is_none(), progress)?;
    tracker.asks(&context.client);
    let apply_tags = match (arguments.apply_tags, arguments.force_tags) {
        (false, _) => ApplyTags::No,
        (true, false) => ApplyTags::Within,
        (true, true) => ApplyTags::All,
    };
    let options = RunOptions {
        month: arguments.month,
        replace: arguments.replace,
        accept_incomplete: arguments.accept_incomplete,
        snapshot_only: arguments.snapshot_only,
        apply_tags,
    };
    if arguments.dry_run {
        let planned = job::dry_run(&context, &options).await?;
        progress.finish();
        stdout::print(&plan::describe(&planned, &context.settings, context.client.rate_window()))?;
        return if planned.unresolved.is_empty() { Ok(0) } else { Err(JobError::Unresolved(planned.unresolved).into()) };
    }
    let outcome = job::run(&context, &options).await.inspect_err(|error| tracker.failed(error))?;
    progress.finish();
    let is_new = matches!(outcome.published, Published::Now(_)) || !outcome.rebuilt.is_empty();
    tracker.did(is_new, &outcome.missed, &outcome.rebuilt, &context.archive, &context.settings.job);
    report(&context.archive, &context.settings, outcome, options.snapshot_only)
}

/// Loads the settings and logs their notices as warnings.
pub(super) fn load(sources: &Sources) -> Result<Settings, Failure> {
    let settings = settings::load(sources)?;
    for notice in &settings.notices {
        tracing::warn!("{notice}");
    }
    Ok(settings)
}

/// A client for the workspace of these settings, with the token that they name.
pub(super) fn client(settings: &Settings) -> Result<Client, Failure> {
    let token = settings::read_token(settings.intercom.token_file.as_deref())?;
    Ok(job::client(settings, token)?)
}

pub(super) fn context(
    settings: Settings,
    token: SecretString,
    clock: Clock,
    checks_clock: bool,
    progress: &Progress,
) -> Result<Context, Failure> {
    let client = job::client(&settings, token)?;
    let privacy = Arc::new(job::privacy(&settings)?);
    Ok(Context { archive: job::archive(&settings)?, settings, client, privacy, clock, checks_clock, observer: progress.observer() })
}

/// Warns that later months are out of date. They are not rebuilt, because that may take long.
pub(super) fn warn_of_stale(months: &[Month]) {
    if !months.is_empty() {
        let names: Vec<String> = months.iter().map(Month::to_string).collect();
        tracing::warn!(
            "later months are stale now: {}; `cohorts report --all` rebuilds them all, and so does the next run for the newest month",
            names.join(", ")
        );
    }
}

/// Logs the groups that were not found. A run that ends with another failure calls this, because its failure does not name these groups.
pub(super) fn warn_of_unresolved(unresolved: &[Unresolved]) {
    for missing in unresolved {
        tracing::warn!("{missing}");
    }
}

/// The incomplete cohorts, as the end of a sentence.
fn incomplete(keys: &[String]) -> String {
    if keys.is_empty() { String::new() } else { format!(", incomplete: {}; data_quality says why", keys.join(", ")) }
}

fn warn_of_missed(months: &[Month]) {
    if let (Some(first), Some(last)) = (months.first(), months.last()) {
        let names: Vec<String> = months.iter().map(Month::to_string).collect();
        tracing::warn!(
            "months without a snapshot: {}; they can no longer be observed as month_end, but `cohorts backfill --from {first} --to {last}` \
             fetches them with basis late",
            names.join(", ")
        );
    }
}

/// Printed in place of the location of the reports, after `--snapshot-only`.
pub(super) const NOT_BUILT: &str = "not built yet: `cohorts report` or the next run builds them";

/// Prints the result to standard output. Groups that were not found are reported on standard error.
fn report(archive: &Archive, settings: &Settings, outcome: RunOutcome, snapshot_only: bool) -> Result<u8, Failure> {
    let month = outcome.month;
    let mut text = match outcome.published {
        Published::Now(basis) => format!("{month} published, basis {basis}{}\n\n", incomplete(&outcome.incomplete)),
        Published::Before(basis) => format!(
            "{month} is published already, basis {basis}{}; nothing was fetched (--replace fetches it again)\n",
            incomplete(&outcome.incomplete)
        ),
    };
    if let Published::Before(_) = outcome.published
        && outcome.rebuilt.iter().any(|rebuilt| rebuilt.month == month)
    {
        text.push_str("its history or reports were missing or stale, and were rebuilt from the snapshot\n");
    }
    let lacking = job::lacking_formats(archive, settings, month);
    if !lacking.is_empty() && !snapshot_only {
        text.push_str(&format!(
            "its reports were not written as {}: `cohorts report --all` writes those of every month\n",
            lacking.join(", ")
        ));
    }
    warn_of_missed(&outcome.missed);
    if !outcome.incomplete.is_empty() && matches!(outcome.published, Published::Before(_)) {
        tracing::warn!("the published snapshot of {month} is incomplete ({}); --replace fetches it again", outcome.incomplete.join(", "));
    }
    for name in &outcome.lacking {
        tracing::warn!("the job names {name}, which the published snapshot of {month} lacks; --replace fetches it again");
    }
    if matches!(outcome.published, Published::Now(_)) {
        if let Some(digest) = outcome.rebuilt.iter().find(|rebuilt| rebuilt.month == month).and_then(|rebuilt| rebuilt.digest.as_ref()) {
            text.push_str(&summary::summary(digest));
        }
        if outcome.published == Published::Now(Basis::Late) {
            text.push_str(
                "\nits basis is late: members are those of today, so the month is compared with no other. Observe the next month within `grace` \
                 of its end (docs/scheduling.md)\n",
            );
        }
        text.push('\n');
        if snapshot_only {
            text.push_str(&format!("reports   {NOT_BUILT}\n"));
        } else {
            if settings.output.formats.contains(&settings::Format::Html) {
                text.push_str(&format!("page      {}/{PAGE}\n", archive.location_of(Section::Reports, month)));
            }
            text.push_str(&format!("reports   {}\n", archive.location_of(Section::Reports, month)));
        }
        text.push_str(&format!("snapshot  {}\n", archive.location_of(Section::Snapshots, month)));
    }
    let earlier: Vec<String> =
        outcome.rebuilt.iter().filter(|rebuilt| rebuilt.month != month).map(|rebuilt| rebuilt.month.to_string()).collect();
    if !earlier.is_empty() {
        text.push_str(&format!("also brought up to date: {}\n", earlier.join(", ")));
    }
    for applied in &outcome.applied {
        text.push_str(&format!(
            "rule {}: tag `{}` added to {}, removed from {}; {} members, {} of them had it before\n",
            applied.rule,
            one_line(&applied.tag_name),
            applied.gained,
            applied.lost,
            applied.members,
            applied.carried_before
        ));
    }
    stdout::print(&text)?;
    let undone: u64 = outcome.applied.iter().map(|applied| applied.gone + applied.failed).sum();
    if undone > 0 && outcome.unresolved.is_empty() {
        return Err(Failure::not_all(
            format!("the tags of {undone} contacts could not be brought up to date"),
            "run it again with --apply-tags: completed contacts are skipped",
        ));
    }
    warn_of_stale(&outcome.stale);
    if !outcome.damaged.is_empty() {
        warn_of_unresolved(&outcome.unresolved);
        return Err(JobError::Damaged(outcome.damaged).into());
    }
    if outcome.unresolved.is_empty() { Ok(0) } else { Err(Failure::published_without(outcome.unresolved)) }
}
