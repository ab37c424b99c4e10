//! History and all reports of one month that has a month before it, and the counting queries alone, here and in DuckDB.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use domain::Month;

use super::job::Job;
use super::queries::{compare, sums};
use super::server::{A_MONTH_BEFORE, Intercom, NOW, Server};
use super::table::{Figure, mebibytes, seconds, whole};
use super::{Bench, Failure, machine, say};

const CONTACTS: usize = 1_000_000;
const MONTH: &str = "2026-10";
const SECONDS: f64 = 10.0;
const PEAK_KIB: u64 = 2 * 1024 * 1024;
const RATIO: f64 = 1.2;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Figure>, Failure> {
    let contacts = bench.contacts(CONTACTS);
    let mut job = Job::new(bench.folder.path().join("analysis"), true)?;
    // Without a month to compare with, half of the queries would have nothing to count.
    for now in [A_MONTH_BEFORE, NOW] {
        let server = Server::start(&Intercom { now, ..Intercom::of(contacts) })?;
        job.as_of = now;
        job.run(&server)?;
    }
    let (took, peak) = rebuild(&job)?;
    let (timed, why_not) = compare(&job.root(), &job.folder.join("inputs"), MONTH.parse::<Month>()?)?;
    let shown = |seconds: Option<f64>| seconds.map_or("not run".to_string(), |seconds| format!("{seconds:.3} s"));
    for query in &timed {
        say(&format!("  {:<36} {:>9}   DuckDB {}", query.name, shown(query.here), shown(query.duckdb)))?;
    }
    job.clear()?;

    let name = format!("analysis of a month, {} contacts, conversations too", whole(contacts as f64));
    let of_all = timed.iter().filter_map(|timed| timed.here).sum();
    let queries = Figure::reported(&name, "all steps by their SQL, the quickest of three runs each", seconds(of_all));
    Ok(vec![
        Figure::reported(&name, "`cohorts report`: history and all reports", seconds(took)).wanted("under 10 s", took < SECONDS),
        Figure::reported(&name, "its peak memory", mebibytes(peak)).wanted("under 2 GiB", peak < PEAK_KIB),
        match sums(&timed) {
            Some((here, steps, old)) => {
                let bound = format!("DuckDB, the old queries {}, the same steps {}", seconds(old), seconds(steps));
                queries.at_most(RATIO, bound, here / old)
            }
            None => Figure {
                bound: format!("DuckDB not run: {}", why_not.unwrap_or_default()),
                wanted: format!("at most {RATIO} x"),
                ..queries
            },
        },
    ])
}

/// `cohorts report` for the month: seconds and peak memory in KiB.
fn rebuild(job: &Job) -> Result<(f64, u64), Failure> {
    let begun = Instant::now();
    let mut report = Command::new(env!("CARGO_BIN_EXE_cohorts"));
    let mut child = report.args(["report", "--quiet", "--month", MONTH, "--job"]).arg(&job.file).stdout(Stdio::null()).spawn()?;
    let process = child.id();
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended but was not waited for has no memory left.
        while let Some(mark) = machine::peak_memory(process) {
            peak = mark;
            std::thread::sleep(Duration::from_millis(10));
        }
        peak
    });
    let status = child.wait()?;
    let took = begun.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("the report ended with {status}").into());
    }
    Ok((took, watcher.join().map_err(|_| "the watcher broke off")?))
}
