//! Six months in a few seconds: the embedded Intercom runs in this process, and the month-end job runs at each month's end. The job sends
//! real HTTP requests to the embedded Intercom, with the same code as `cohorts run`.

use chrono::Duration;
use tokio::net::TcpListener;

use super::arguments::Demo;
use super::failure::Failure;
use super::progress::Progress;
use super::{clock, run, stdout, summary};
use archive::Section;
use domain::Month;
use job::settings::{self, JobSource, SecretString, Sources};
use job::{self, RunOptions};
use reports::report::PAGE;
use simulator::{Options, Simulator, WorldOptions};

const TIMEZONE: &str = "Europe/Dublin";
/// The last month of the demo. It is fixed, so that a demo is the same every day.
const LAST_MONTH: &str = "2026-10";
/// How long after each month's end the job runs.
const AFTER_MONTH_END: Duration = Duration::hours(2);
/// Ten times the real limit, so that the demo does not wait for a rate-limit window.
const RATE_LIMIT: u32 = 16_670;
const JOB: &str = r#"
name = "demo"
timezone = "Europe/Dublin"
tags = ["value_lead", "VIP", "churn risk", "beta tester"]
segments = ["Active", "New", "Slipping Away", "Trial users", "Leads to call", "Big teams"]
profile = ["role", "country", "browser", "os", "custom_attributes.plan", "custom_attributes.seats"]

[[rules]]
name = "heavy-openers"
where = "conversations_opened >= 2 AND NOT unsubscribed_from_emails"
"#;

pub(super) async fn run(arguments: Demo, progress: &Progress) -> Result<u8, Failure> {
    let last: Month = LAST_MONTH.parse().map_err(|error| Failure::unexpected("the demo's calendar", error))?;
    let mut months = vec![last];
    while months.len() < arguments.months as usize {
        months.insert(0, months[0].previous());
    }

    let zone = settings::zones().zone(TIMEZONE).ok_or(job::JobError::NoTimezone { found: Some(TIMEZONE.to_string()) })?;

    progress.say("generating a workspace");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| Failure::unexpected("cannot listen on loopback", error))?;
    let address = listener.local_addr().map_err(|error| Failure::unexpected("the listener has no address", error))?;
    let timezone = TIMEZONE.parse().map_err(|error| Failure::unexpected("the time zone of the demo's workspace", error))?;
    let world = WorldOptions { seed: arguments.seed, contacts: arguments.contacts as usize, timezone, ..WorldOptions::default() };
    let options =
        Options { world, now: Some(last.span(&zone).end), rate_limit: RATE_LIMIT, workspace_rate_limit: RATE_LIMIT, ..Options::default() };
    let making = tokio::task::spawn_blocking(move || Simulator::new(options));
    let simulator = making.await.map_err(|error| Failure::unexpected("the simulated workspace could not be generated", error))?;
    let server = simulator.clone();
    tokio::spawn(async move { server.serve(listener, std::future::pending()).await });

    let sources = Sources {
        config: None,
        job: Some(JobSource::Text { label: "the demo's own job".to_string(), text: JOB.to_string() }),
        flags: vec![
            ("intercom.base_url", format!("http://{address}")),
            ("output.dir", arguments.out.display().to_string()),
            ("name", "demo".to_string()),
        ],
    };
    let settings = settings::load(&sources)?;
    let archive = job::archive(&settings)?;
    let mut digest = None;
    for (index, month) in months.iter().enumerate() {
        let now = month.span(&zone).end + AFTER_MONTH_END;
        simulator.set_now(now);
        let context = run::context(settings.clone(), SecretString::from("demo"), clock::standing_at(now), false, progress)?;
        if index == 0 {
            clear(&context).await?;
        }
        let outcome = job::run(&context, &RunOptions { month: Some(*month), ..RunOptions::default() }).await?;
        digest = outcome.rebuilt.into_iter().find(|rebuilt| rebuilt.month == *month).and_then(|rebuilt| rebuilt.digest);
    }
    progress.finish();

    let requests = simulator.stats().requests;
    let table = digest.as_ref().map(summary::summary).unwrap_or_default();
    stdout::print(&format!(
        "{last}{of}\n\n{table}\n\
         {requests} requests answered by the embedded Intercom\n\n\
         look at    {reports}/{PAGE}\nreports    {reports}\nsnapshots  {snapshots}\n\n\
         open them:  duckdb -c \"SELECT month, cohort_name, members, joined, departed FROM read_parquet('{all}/*/cohort_summary.parquet') ORDER BY cohort_name, month\"",
        of =
            if months.len() > 1 { format!(", the last of {} months, compared with the month before", months.len()) } else { String::new() },
        reports = archive.location_of(Section::Reports, last),
        snapshots = archive.location(Section::Snapshots),
        all = archive.location(Section::Reports),
    ))?;
    Ok(0)
}

/// Removes the files of an earlier demo. A folder with months of another workspace is refused.
async fn clear(context: &job::Context) -> Result<(), Failure> {
    let archive = &context.archive;
    let own = context.client.workspace().await.map_err(job::JobError::from)?.id;
    for (_, published) in archive.snapshots().map_err(job::JobError::from)? {
        if published.map_err(job::JobError::from)?.manifest.workspace_id != own {
            let message = format!("`{}` has months that are not from a demo", archive.place());
            return Err(Failure::usage(message, "choose another folder with --out"));
        }
    }
    let _lock = archive.lock("demo").map_err(job::JobError::from)?;
    Ok(archive.clear().map_err(job::JobError::from)?)
}
