//! Every counting query of a job's last month on its Parquet, here and in DuckDB (benches/duckdb_queries.py).

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use archive::Archive;
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS};
use archive::table::{Query, Table};
use domain::Month;
use polars::prelude::*;
use reports::analysis::REPORTS;
use reports::history::{self, COUNTED, Definitions, History, ProfileEntry};

use super::Failure;

pub(crate) const PROFILE: &[&str] = &["role", "country", "browser", "os", "custom_attributes.plan", "custom_attributes.seats"];
/// Each query runs so often; the quickest counts.
const TRIES: usize = 3;

/// A query, and the seconds that it takes; in DuckDB where that could be asked.
pub(crate) struct Timed {
    pub name: String,
    pub here: f64,
    pub duckdb: Option<f64>,
}

/// Times the queries of a month that has one before it. `root` is the job's folder; the small tables are written to
/// `inputs` for DuckDB to read. Without DuckDB it says why not, and the queries are timed here alone.
pub(crate) fn compare(root: &Path, inputs: &Path, month: Month) -> Result<(Vec<Timed>, Option<String>), Failure> {
    let ours = here(root, inputs, month)?;
    let (theirs, why_not) = match in_duckdb(root, inputs) {
        Ok(theirs) => (theirs, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let found = |name: &str| theirs.iter().find(|(known, _)| known == name).map(|(_, seconds)| *seconds);
    let timed = ours.into_iter().map(|(name, here)| Timed { duckdb: found(&name), name, here }).collect();
    Ok((timed, why_not))
}

/// Sums over those that ran in both: here and in DuckDB.
pub(crate) fn sums(timed: &[Timed]) -> Option<(f64, f64)> {
    let both = timed.iter().filter_map(|timed| Some((timed.here, timed.duckdb?)));
    let (here, duckdb) = both.fold((0.0, 0.0), |(here, duckdb), one| (here + one.0, duckdb + one.1));
    (duckdb > 0.0).then_some((here, duckdb))
}

fn in_duckdb(root: &Path, inputs: &Path) -> Result<Vec<(String, f64)>, Failure> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/duckdb_queries.py");
    let python = std::env::var("PYTHON").unwrap_or("python3".to_string());
    let ran = Command::new(&python).arg(script).arg(root).arg(inputs).stderr(Stdio::inherit()).output();
    let ran = ran.map_err(|error| format!("`{python}` cannot be started: {error}"))?;
    if !ran.status.success() {
        return Err(format!("`{python}` ended with {}; it needs the packages duckdb and pyarrow", ran.status).into());
    }
    let line = |line: &str| Some((line.split_whitespace().next()?.to_string(), line.split_whitespace().nth(1)?.parse().ok()?));
    Ok(String::from_utf8(ran.stdout)?.lines().filter_map(line).collect())
}

/// Name and seconds of each query.
fn here(root: &Path, inputs: &Path, month: Month) -> Result<Vec<(String, f64)>, Failure> {
    let archive = Archive::new(root.to_path_buf());
    let snapshot = archive.snapshot(month)?.ok_or("the last snapshot is gone")?;
    let previous = History::open(&archive, month.previous())?.ok_or("the history before the last is gone")?;
    let current = History::open(&archive, month)?.ok_or("the last history is gone")?;
    let entry = |name: &&str| ProfileEntry {
        attribute: name.to_string(),
        custom_name: name.strip_prefix("custom_attributes.").map(str::to_string),
    };
    let definitions = Definitions { profile: PROFILE.iter().map(entry).collect(), ..Definitions::default() };
    let cohorts = history::cohort_months(&snapshot.manifest, &definitions, Some(&previous))?;
    let small = [
        ("cohorts", history::cohorts_frame(&cohorts, &snapshot.manifest)?),
        ("population", history::population_frame(&snapshot.manifest)?),
        ("profile", definitions.profile_frame(&snapshot.manifest)?),
    ];
    fs::create_dir_all(inputs)?;
    for (name, frame) in &small {
        ParquetWriter::new(fs::File::create(inputs.join(format!("{name}.parquet")))?).finish(&mut frame.clone())?;
    }
    let mut before: Vec<(&str, LazyFrame)> = small.iter().map(|(name, frame)| (*name, frame.clone().lazy())).collect();
    for table in [&CONTACTS, &ATTRIBUTES, &MEMBERS, &CONVERSATIONS] {
        before.push((table.name, snapshot.scan(table)?));
    }
    let mut after = before.clone();
    for table in history::TABLES.iter().copied() {
        before.push((table.name, previous.scan(table)?));
        after.push((table.name, current.scan(table)?));
    }
    // What a history's query reads of the month itself, where it also reads the month before.
    let replaced = |query: &Query| -> Result<Vec<(&'static str, LazyFrame)>, Failure> {
        let of = |table: &'static Table, history: &History| Ok::<_, Failure>((table.name, history.scan(table)?));
        Ok(match query.name {
            "history/standing.sql" => Vec::new(),
            "history/ledger.sql" => vec![of(&history::STANDING, &current)?],
            "history/people.sql" => {
                vec![of(&history::STANDING, &current)?, of(&history::LEDGER, &current)?, of(&history::STATES, &current)?]
            }
            _ => vec![of(&history::STANDING, &current)?, of(&history::LEDGER, &current)?, of(&history::COUNTS, &current)?],
        })
    };
    let mut timed = Vec::new();
    for (_, query) in COUNTED {
        let mut inputs = before.clone();
        for (name, frame) in replaced(query)? {
            inputs.retain(|(known, _)| *known != name);
            inputs.push((name, frame));
        }
        timed.push((query.name.to_string(), quickest(query, &inputs)?));
    }
    // Some reports are made of the same counts.
    let mut named = HashSet::new();
    for report in REPORTS.iter().filter(|report| named.insert(report.query.name)) {
        timed.push((report.query.name.to_string(), quickest(&report.query, &after)?));
    }
    Ok(timed)
}

fn quickest(query: &Query, inputs: &[(&str, LazyFrame)]) -> Result<f64, Failure> {
    let mut best = f64::INFINITY;
    for _ in 0..TRIES {
        let begun = Instant::now();
        query.run(inputs)?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}
