//! The steps of a job's last month, here and in DuckDB; and the queries that the program ran before it had steps (`benches/old_sql`), in DuckDB
//! on the same tables (benches/duckdb_queries.py).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use archive::Archive;
use archive::engine::{Dialect, Engine as _};
use archive::snapshot::Snapshot;
use domain::Month;
use polars::prelude::*;
use reports::analysis::REPORTS;
use reports::history::{Definitions, History, ProfileEntry};
use reports::steps;

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

/// The steps with their seconds. Writes what DuckDB reads: the tables as `<table>.parquet`, the steps as `steps/<number>-<table>.sql`.
fn here(root: &Path, inputs: &Path, month: Month) -> Result<Vec<(String, f64)>, Failure> {
    let archive = Archive::new(root.to_path_buf());
    let snapshot = archive.snapshot(month)?.ok_or("the last snapshot is gone")?;
    let before = archive.snapshot(month.previous())?.ok_or("the snapshot before the last is gone")?;
    let previous = History::open(&archive, month.previous())?.ok_or("the history before the last is gone")?;
    let entry = |name: &&str| ProfileEntry {
        attribute: name.to_string(),
        custom_name: name.strip_prefix("custom_attributes.").map(str::to_string),
    };
    let definitions = Definitions { profile: PROFILE.iter().map(entry).collect(), ..Definitions::default() };
    let earlier: [&Snapshot; 1] = [&before];
    let month =
        steps::Month { snapshot: &snapshot, definitions: &definitions, previous: Some(&previous), counted_before: None, earlier: &earlier };
    let counted = month.count()?;
    fs::create_dir_all(inputs.join("steps"))?;
    let tables = counted.tables();
    for name in tables.names() {
        let file = fs::File::create(inputs.join(format!("{name}.parquet")))?;
        ParquetWriter::new(file).finish(&mut tables.table(name)?.clone())?;
    }
    let mut timed = Vec::new();
    let mut engine = counted.engine().clone();
    let steps = steps::all(&[], true, Dialect::Polars).into_iter().map(|step| (step, None));
    let of_reports = REPORTS.iter().filter_map(|report| Some((report.step()?, Some(*report))));
    for (number, (step, report)) in steps.chain(of_reports).enumerate() {
        let name = step.table.name;
        fs::write(inputs.join(format!("steps/{number:02}-{name}.sql")), step.sql.as_bytes())?;
        let seconds = quickest(|| match report {
            None => Ok(engine.run(&step)?),
            // The rows of a report are put together while they are written; here they are put together in memory.
            Some(report) => Ok(drop(report.per_member(counted.tables()).ok_or("no report")??.lazy()?.collect()?)),
        })?;
        timed.push((name.to_string(), seconds));
    }
    Ok(timed)
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
