use std::collections::BTreeSet;
use std::path::Path;

use super::arguments::Report;
use super::failure::Failure;
use super::progress::Progress;
use super::run_tracker::RunTracker;
use super::{run, stdout};
use archive::{AcceptedLoss, Archive, ArchiveError, Section};
use domain::{Month, Months};
use job::settings::Settings;
use job::{self, JobError, RefreshScope, Refreshed};

pub(super) async fn run(arguments: Report, progress: &Progress, tracker: &RunTracker) -> Result<u8, Failure> {
    if let Some(month) = arguments.month {
        tracker.is_about(month.into());
    }
    let settings = run::load(&arguments.job.sources())?;
    let archive = job::archive(&settings)?;
    let published = archive.months().map_err(JobError::from)?;
    let (Some(oldest), Some(newest)) = (published.first(), published.last()) else {
        return Err(Failure::usage(
            format!("there is no snapshot in `{}`", archive.location(Section::Snapshots)),
            "`cohorts run` makes one; check the job's name and `output.dir`",
        ));
    };
    tracker.is_about(match arguments.month {
        Some(month) => month.into(),
        None if arguments.all => Months { first: *oldest, last: *newest },
        None => (*newest).into(),
    });
    let scope = match arguments.month {
        _ if arguments.all => RefreshScope::All,
        Some(month) if arguments.accept_loss && published.contains(&month) => RefreshScope::StaleUntil(*newest),
        Some(month) if !published.contains(&month) => {
            let missing = ArchiveError::NoSnapshot { month, location: archive.location(Section::Snapshots) };
            return Err(JobError::from(missing).into());
        }
        month => RefreshScope::Months(BTreeSet::from([month.unwrap_or(*newest)])),
    };
    let _lock = archive.lock("report").map_err(JobError::from)?;
    if let (Some(month), Some(file)) = (arguments.month, arguments.engine_script) {
        return script(archive, settings, month, &file, progress).await;
    }
    let lost = arguments.month.filter(|_| arguments.accept_loss);
    let (work_archive, work_settings, observer) = (archive.clone(), settings.clone(), progress.observer());
    let rebuilding = tokio::task::spawn_blocking(move || {
        let accepted = lost.map(|month| work_archive.accept_loss(month)).transpose()?;
        let refreshed = job::refresh(&work_archive, &work_settings, &scope, &BTreeSet::new(), &observer)?;
        Ok::<_, JobError>((accepted, refreshed))
    });
    let rebuilding = rebuilding.await.map_err(|error| Failure::unexpected("rebuilding stopped", error))?;
    let (accepted, Refreshed { rebuilt, damaged }) = rebuilding?;
    progress.finish();
    tracker.did(!rebuilt.is_empty(), &[], &rebuilt, &archive, &settings.job);
    let mut text = String::new();
    if let (Some(month), Some(accepted)) = (lost, accepted) {
        text.push_str(&loss_text(month, &accepted));
    }
    for month in &rebuilt {
        let what = match (month.history, month.digest.is_some()) {
            (true, true) => "history and reports",
            (true, false) => "history",
            (false, _) => "reports",
        };
        text.push_str(&format!("{}  {what} rebuilt\n", month.month));
    }
    text.push_str(&format!("\nreports  {}\n", archive.location(Section::Reports)));
    stdout::print(&text)?;
    if damaged.is_empty() { Ok(0) } else { Err(JobError::Damaged(damaged).into()) }
}

/// Writes the queries that count a month as one SQL script, for an engine that runs it later.
async fn script(archive: Archive, settings: Settings, month: Month, file: &Path, progress: &Progress) -> Result<u8, Failure> {
    let (observer, path) = (progress.observer(), file.to_path_buf());
    let writing = tokio::task::spawn_blocking(move || job::engine_script(&archive, &settings, month, &path, &observer));
    writing.await.map_err(|error| Failure::unexpected("the script was not written", error))??;
    progress.finish();
    stdout::print(&format!(
        "{month}  its counting is in {file}\n\nrun it with      spark-sql -f {file}\nand then         cohorts report --job … --month {month}\n",
        file = file.display()
    ))?;
    Ok(0)
}

fn loss_text(month: Month, accepted: &AcceptedLoss) -> String {
    match accepted {
        AcceptedLoss::None => format!("{month}  its snapshot is not damaged: nothing was given up\n"),
        AcceptedLoss::TakenAsItIs => format!("{month}  its snapshot is accepted as it is; it differs from the published one\n"),
        AcceptedLoss::Month(error) => format!("{month}  given up: snapshot, history and reports removed ({error})\n"),
    }
}
