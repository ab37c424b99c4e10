//! The steps of a job's last month, here and in DuckDB; and the queries that the program ran before it had steps (`benches/old_sql`), in DuckDB
//! on the same tables (benches/duckdb_queries.py).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use archive::Archive;
use archive::engine::{Engine as _, Polars, Step};
use archive::snapshot::Snapshot;
use domain::Month;
use polars::prelude::*;
use reports::analysis::REPORTS;
use reports::history::{Definitions, History, ProfileEntry};
use reports::steps::{self, Counted, Embedded};

use super::Failure;

pub(crate) const PROFILE: &[&str] = &["role", "country", "browser", "os", "custom_attributes.plan", "custom_attributes.seats"];
/// Each query runs so often; the quickest counts.
const TRIES: usize = 3;

/// A step or an old query, and the seconds that it takes. A step runs in both, an old query in DuckDB alone.
pub(crate) struct Timed {
    pub name: String,
    pub here: Option<f64>,
    pub duckdb: Option<f64>,
}

/// Times the steps of a month that has one before it. `root` is the job's folder; the tables are written to `inputs` for DuckDB to
/// read. Without DuckDB it says why not, and the steps are timed here alone.
pub(crate) fn compare(root: &Path, inputs: &Path, month: Month) -> Result<(Vec<Timed>, Option<String>), Failure> {
    let ours = here(root, inputs, month)?;
    let (theirs, why_not) = match in_duckdb(inputs) {
        Ok(theirs) => (theirs, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let found = |name: &str| theirs.iter().find(|(known, _)| known == name).map(|(_, seconds)| *seconds);
    let mut timed: Vec<Timed> = ours.into_iter().map(|(name, here)| Timed { duckdb: found(&name), name, here: Some(here) }).collect();
    let old = theirs.iter().filter(|(name, _)| name.starts_with("old/"));
    timed.extend(old.map(|(name, seconds)| Timed { name: name.clone(), here: None, duckdb: Some(*seconds) }));
    Ok((timed, why_not))
}

/// Seconds: of all steps here, of the same steps in DuckDB, and of the old queries in DuckDB.
pub(crate) fn sums(timed: &[Timed]) -> Option<(f64, f64, f64)> {
    let here = timed.iter().filter_map(|timed| timed.here).sum();
    let steps: f64 = timed.iter().filter(|timed| timed.here.is_some()).filter_map(|timed| timed.duckdb).sum();
    let old = timed.iter().filter(|timed| timed.here.is_none()).filter_map(|timed| timed.duckdb).sum();
    (steps > 0.0).then_some((here, steps, old))
}

fn in_duckdb(inputs: &Path) -> Result<Vec<(String, f64)>, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/duckdb_queries.py");
    let python = std::env::var("PYTHON").unwrap_or("python3".to_string());
    let ran = Command::new(&python).arg(script).arg(inputs).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| format!("`{python}` cannot be started: {error}"))?;
    if !ran.status.success() {
        return Err(format!("`{python}` ended with {}; it needs the packages duckdb and pyarrow", ran.status).into());
    }
    let line = |line: &str| Some((line.split_whitespace().next()?.to_string(), line.split_whitespace().nth(1)?.parse().ok()?));
    Ok(String::from_utf8(ran.stdout)?.lines().filter_map(line).collect())
}

/// A month that has one before it, with what it is counted from.
pub(crate) struct Opened {
    pub snapshot: Snapshot,
    pub before: Snapshot,
    pub previous: History,
    definitions: Definitions,
}

impl Opened {
    pub(crate) fn of(root: &Path, month: Month) -> Result<Opened, Failure> {
        let archive = Archive::in_folder(root.to_path_buf(), None);
        let entry = |name: &&str| ProfileEntry {
            attribute: name.to_string(),
            custom_name: name.strip_prefix("custom_attributes.").map(str::to_string),
        };
        Ok(Opened {
            snapshot: archive.snapshot(month)?.ok_or("the last snapshot is gone")?,
            before: archive.snapshot(month.previous())?.ok_or("the snapshot before the last is gone")?,
            previous: History::open(&archive, month.previous())?.ok_or("the history before the last is gone")?,
            definitions: Definitions { profile: PROFILE.iter().map(entry).collect(), ..Definitions::default() },
        })
    }

    pub(crate) fn count(&self, watch: impl FnMut(&Embedded, &Step)) -> Result<Counted, Failure> {
        let month = steps::Month {
            snapshot: &self.snapshot,
            definitions: &self.definitions,
            previous: Some(&self.previous),
            counted_before: None,
            earlier: &[&self.before],
        };
        Ok(month.count_watched(watch)?)
    }
}

/// The steps with their seconds. Writes what DuckDB reads: the tables as `<table>.parquet`, the steps as `steps/<number>-<table>.sql`.
fn here(root: &Path, inputs: &Path, month: Month) -> Result<Vec<(String, f64)>, Failure> {
    fs::create_dir_all(inputs.join("steps"))?;
    let mut timed: Vec<Result<(String, f64), Failure>> = Vec::new();
    let mut given = None;
    let counted = Opened::of(root, month)?.count(|engine, step| {
        // The engine forgets tables that it no longer needs.
        let given = given.get_or_insert_with(|| engine.tables().clone());
        timed.push(step_of(engine, step, given, inputs, timed.len()));
    })?;
    // The engine of this process counts these once for several steps. DuckDB does it within them.
    let given = given.ok_or("there are no steps")?;
    let facts = || {
        Embedded::over(given.clone())?;
        Ok(())
    };
    timed.push(quickest(facts).map(|seconds| ("facts-and-attributes".to_string(), seconds)));
    drop(given);
    for report in REPORTS {
        let Some(step) = report.step() else { continue };
        let name = format!("report-{}", step.table.name);
        fs::write(inputs.join(format!("steps/{:02}-{name}.sql", timed.len())), step.sql.as_bytes())?;
        // The rows of a report are put together while they are written; here they are put together in memory.
        let put_together = || {
            report.per_member(counted.embedded().ok_or("counted elsewhere")?).ok_or("no report")??.lazy()?.collect()?;
            Ok(())
        };
        timed.push(quickest(put_together).map(|seconds| (name, seconds)));
    }
    timed.into_iter().collect()
}

/// Times a step that was just run. Writes its table and its SQL, and before the first step all tables that the steps are given.
fn step_of(engine: &Embedded, step: &Step, given: &mut Polars, inputs: &Path, number: usize) -> Result<(String, f64), Failure> {
    let write = |name: &str, rows: &DataFrame| -> Result<(), Failure> {
        ParquetWriter::new(fs::File::create(inputs.join(format!("{name}.parquet")))?).finish(&mut rows.clone())?;
        Ok(())
    };
    let name = step.table.name;
    if number == 0 {
        given.names().try_for_each(|name| write(name, given.table(name)?))?;
    }
    // The engine of this process makes no table of some steps. DuckDB reads it for the step after.
    let rows = engine.tables().table(name).cloned().or_else(|_| given.result(step))?;
    write(name, &rows)?;
    given.put(step.table, &rows)?;
    fs::write(inputs.join(format!("steps/{number:02}-{name}.sql")), step.sql.as_bytes())?;
    let seconds = quickest(|| Ok(engine.clone().run(step)?))?;
    Ok((name.to_string(), seconds))
}

fn quickest(mut run: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let begun = Instant::now();
        run()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
