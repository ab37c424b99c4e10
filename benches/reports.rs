//! Each report of a month of 10,000 contacts in 12 groups: from the counted tables to the finished frame.
//!
//!     cargo bench --bench reports
//!     cargo bench --bench reports -- overlap

#[path = "shared/workspace.rs"]
mod workspace;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use criterion::Criterion;
use domain::Month;
use job::settings::{self, JobSource, SecretString, Settings, Sources};
use job::{self, Context, RunOptions};
use reports::analysis::{Facts, PopulationKind, REPORTS};
use reports::history::{Definitions, History, ProfileEntry};
use reports::steps::{self, Counted};

type Failure = Box<dyn std::error::Error>;

const HOW_MANY: usize = 10_000;
const MONTH: &str = "2026-10";
const A_MONTH_BEFORE: &str = "2026-10-01T02:00:00Z";
const OPENED_AT_LEAST: [u32; 2] = [1, 5];
const JOB: &str = r#"
name = "bench"
timezone = "Europe/Dublin"
segments = ["Active", "New", "Slipping Away", "Trial users", "Leads to call"]
tags = ["cohort 001", "cohort 002", "cohort 003", "cohort 004", "cohort 005", "cohort 006", "cohort 007"]
profile = ["role", "country", "browser", "os", "custom_attributes.plan", "custom_attributes.seats"]
opened_at_least = [1, 5]
"#;

fn main() -> Result<(), Failure> {
    let folder = Folder(std::env::temp_dir().join(format!("cohorts-reports-{}", std::process::id())));
    let runtime = tokio::runtime::Runtime::new()?;
    let settings = runtime.block_on(months(&folder.0))?;
    let (inputs, facts) = of_month(&settings, MONTH.parse()?)?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(format!("report of {HOW_MANY} contacts"));
    // Tens of milliseconds each: a hundred samples would take minutes.
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    for report in REPORTS {
        // One that fails would be measured as a quick one.
        report.build(&inputs, &facts)?;
        group.bench_function(report.table.name, |bencher| bencher.iter(|| report.build(&inputs, &facts)));
    }
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// A folder that goes when the bench ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The month and the one before it, made as the program makes them.
async fn months(folder: &Path) -> Result<Settings, Failure> {
    let (simulator, address) = workspace::serve(HOW_MANY).await?;
    let sources = Sources {
        config: None,
        job: Some(JobSource::Text { label: "the bench's job".to_string(), text: JOB.to_string() }),
        flags: vec![("intercom.base_url", address), ("output.dir", folder.display().to_string())],
    };
    let settings = settings::load(&sources)?;
    for now in [A_MONTH_BEFORE, workspace::NOW] {
        let now = now.parse::<DateTime<Utc>>()?;
        simulator.set_now(now);
        let context = Context {
            client: job::client(&settings, SecretString::from("bench"))?,
            privacy: Arc::new(job::privacy(&settings)?),
            archive: job::archive(&settings)?,
            settings: settings.clone(),
            clock: Arc::new(move || now),
            checks_clock: false,
            observer: Arc::new(|_| {}),
        };
        job::run(&context, &RunOptions::default()).await?;
    }
    Ok(settings)
}

/// What the reports are built from.
fn of_month(settings: &Settings, month: Month) -> Result<(Counted, Facts), Failure> {
    let archive = job::archive(settings)?;
    let snapshot = archive.snapshot(month)?.ok_or("there is no snapshot")?;
    let before = archive.snapshot(month.previous())?.ok_or("there is no snapshot before")?;
    let previous = History::open(&archive, month.previous())?.ok_or("there is no history before")?;
    let entry = |attribute: &settings::ProfileAttribute| ProfileEntry {
        attribute: attribute.label(),
        custom_name: attribute.custom_name().cloned(),
    };
    let definitions = Definitions {
        profile: settings.job.profile.iter().map(entry).collect(),
        opened_at_least: OPENED_AT_LEAST.to_vec(),
        ..Definitions::default()
    };
    let counted = steps::Month {
        snapshot: &snapshot,
        definitions: &definitions,
        previous: Some(&previous),
        counted_before: None,
        earlier: &[&before],
    }
    .count()?;
    let facts = Facts {
        month,
        cohorts: counted.cohorts.iter().map(job::cohort_facts).collect(),
        population: PopulationKind::Everyone,
        has_conversations: true,
        opened_at_least: OPENED_AT_LEAST.to_vec(),
        profile: definitions.profile.iter().map(|entry| entry.attribute.clone()).collect(),
        found: Vec::new(),
    };
    Ok((counted, facts))
}
