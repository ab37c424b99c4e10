//! History and all reports of one month that has a month before it, and the counting queries alone, here and in DuckDB.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use archive::engine::Engine as _;
use archive::snapshot::{ATTRIBUTES, CONTACTS, MEMBERS};
use archive::table::write_parquet;
use domain::Month;
use polars::prelude::{Engine, LazyFrame};
use reports::analysis::REPORTS;
use reports::history::LEDGER;
use sha2::{Digest, Sha256};

use super::job::Job;
use super::queries::{Opened, compare, sums};
use super::server::{A_MONTH_BEFORE, Intercom, NOW, Server};
use super::table::{Figure, mebibytes, seconds, whole};
use super::{Bench, Failure, machine, say};

const CONTACTS_OF_WORKSPACE: usize = 1_000_000;
const MONTH: &str = "2026-10";
const SECONDS: f64 = 11.0;
const CPU_SECONDS: f64 = 18.0;
const PEAK_KIB: u64 = 11 * 1024 * 1024 / 10;
/// The report beside reading and writing alone.
const OF_BOUND: f64 = 1.3;
/// The steps beside DuckDB: with the queries that the program had before, and with the same SQL.
const OF_OLD: f64 = 0.2;
const OF_SAME: f64 = 1.0;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS_OF_WORKSPACE);
    let mut job = Job::new(bench.folder.path().join("analysis"), true)?;
    // Without a month to compare with, half of the queries would have nothing to count.
    for now in [A_MONTH_BEFORE, NOW] {
        let server = Server::start(&Intercom { now, ..Intercom::of(contacts) })?;
        job.as_of = now;
        job.run(&server)?;
    }
    let took = rebuild(&job)?;
    let month = MONTH.parse::<Month>()?;
    let bound = bound(&job.root(), &job.folder, month)?;
    let (timed, why_not) = compare(&job.root(), &job.folder.join("inputs"), month)?;
    let shown = |seconds: Option<f64>| seconds.map_or("not run".to_string(), |seconds| format!("{seconds:.3} s"));
    for query in &timed {
        say(&format!("  {:<36} {:>9}   DuckDB {}", query.name, shown(query.here), shown(query.duckdb)))?;
    }
    job.clear()?;

    let name = format!("analysis of a month, {} contacts, conversations too", whole(contacts as f64));
    let of_all = timed.iter().filter_map(|timed| timed.here).sum();
    let steps = Figure::reported(&name, "all steps, the quickest of three runs each", seconds(of_all));
    let report = "`cohorts report`: history and all reports, every format";
    let mut figures = vec![
        Figure::reported(&name, report, seconds(took.seconds)).wanted("under 11 s", took.seconds < SECONDS),
        Figure::reported(&name, "its CPU time", seconds(took.cpu_seconds)).wanted("under 18 s", took.cpu_seconds < CPU_SECONDS),
        Figure::reported(&name, "its CPU time beside that of reading and writing alone", seconds(took.cpu_seconds)).at_most(
            OF_BOUND,
            seconds(bound),
            took.cpu_seconds / bound,
        ),
        Figure::reported(&name, "its peak memory", mebibytes(took.peak_kib)).wanted("under 1.1 GiB", took.peak_kib < PEAK_KIB),
    ];
    match sums(&timed) {
        Some((here, same, old)) => {
            figures.push(steps.clone().at_most(
                OF_OLD,
                format!("DuckDB, the queries before there were steps {}", seconds(old)),
                here / old,
            ));
            figures.push(steps.at_most(OF_SAME, format!("DuckDB, the same steps {}", seconds(same)), here / same));
        }
        None => figures.push(Figure {
            bound: format!("DuckDB not run: {}", why_not.unwrap_or_default()),
            wanted: format!("at most {OF_OLD} x"),
            ..steps
        }),
    }
    Ok(figures)
}

/// The CPU seconds of what cannot be left out: reading what the steps read, writing the finished tables as Parquet, and writing (and
/// hashing) the bytes of the CSV.
fn bound(root: &Path, place: &Path, month: Month) -> Result<f64, Failure> {
    let opened = Opened::of(root, month)?;
    let mut spent = 0.0;
    let mut timed = |work: &mut dyn FnMut() -> Result<(), Failure>| -> Result<(), Failure> {
        let before = machine::cpu_seconds(std::process::id()).ok_or("no CPU time is reported")?;
        work()?;
        spent += machine::cpu_seconds(std::process::id()).ok_or("no CPU time is reported")? - before;
        Ok(())
    };
    let read = |rows: LazyFrame| -> Result<(), Failure> {
        rows.collect_with_engine(Engine::Streaming)?;
        Ok(())
    };
    let mut columns: Vec<_> = super::queries::PROFILE.iter().filter(|name| !name.contains('.')).copied().collect();
    columns.extend(["contact_id", "in_population", "external_id", "email", "name", "created_at", "signed_up_at", "last_seen_at"]);
    columns.extend(["unsubscribed_from_emails", "has_hard_bounced", "marked_email_as_spam"]);
    timed(&mut || {
        read(opened.snapshot.scan(&CONTACTS)?.select(columns.iter().map(|name| polars::prelude::col(*name)).collect::<Vec<_>>()))
    })?;
    timed(&mut || read(opened.snapshot.scan(&MEMBERS)?))?;
    timed(&mut || read(opened.snapshot.scan(&ATTRIBUTES)?))?;
    let known = ["contact_id", "role", "unsubscribed_from_emails"].map(polars::prelude::col);
    timed(&mut || read(opened.before.scan(&CONTACTS)?.select(known.clone())))?;
    timed(&mut || read(opened.previous.scan(&LEDGER)?))?;
    let mut ledger = LEDGER.empty();
    let counted = opened.count(|engine, step| {
        if step.table.name == LEDGER.name {
            ledger = engine.rows(&LEDGER).unwrap_or_default();
        }
    })?;
    let path = place.join("bound");
    timed(&mut || Ok(write_parquet(&ledger, &LEDGER, &path).map(|_| ())?))?;
    for report in REPORTS {
        let Some(rows) = counted.embedded().and_then(|engine| report.per_member(engine)) else { continue };
        let rows = rows?;
        let finished = rows.lazy()?.collect()?;
        timed(&mut || Ok(write_parquet(&finished, &report.table, &path).map(|_| ())?))?;
        drop(finished);
        rows.write_csv(&path)?;
        let bytes = std::fs::read(&path)?;
        timed(&mut || {
            File::create(&path)?.write_all(&bytes)?;
            std::hint::black_box(Sha256::digest(&bytes));
            Ok(())
        })?;
    }
    Ok(spent)
}

struct Took {
    seconds: f64,
    cpu_seconds: f64,
    peak_kib: u64,
}

/// `cohorts report` for the month.
fn rebuild(job: &Job) -> Result<Took, Failure> {
    let begun = Instant::now();
    let mut report = Command::new(env!("CARGO_BIN_EXE_cohorts"));
    let mut child = report.args(["report", "--quiet", "--month", MONTH, "--job"]).arg(&job.file).stdout(Stdio::null()).spawn()?;
    let process = child.id();
    let watcher = std::thread::spawn(move || {
        let (mut peak_kib, mut cpu_seconds) = (0, 0.0);
        // A process that has ended but was not waited for has no memory left.
        while let Some((mark, spent)) = machine::peak_memory(process).zip(machine::cpu_seconds(process)) {
            (peak_kib, cpu_seconds) = (mark, spent);
            std::thread::sleep(Duration::from_millis(10));
        }
        (peak_kib, cpu_seconds)
    });
    let status = child.wait()?;
    let seconds = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the report ended with {status}").into());
    }
    let (peak_kib, cpu_seconds) = watcher.join().map_err(|_| "the watcher failed")?;
    Ok(Took { seconds, cpu_seconds, peak_kib })
}
