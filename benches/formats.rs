//! Size and time of each format of the reports, for a job of 500 cohorts in its 60th month: `cargo bench --bench formats`. The rows are
//! invented, with as many of them as such a job has. The page is measured by its test (`page::tests`), which has its tables.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::time::Instant;

use polars::prelude::{Column, DataFrame, IntoColumn, PolarsResult};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use archive::table::{Kind, Table, write_csv, write_parquet};
use domain::Month;
use reports::analysis::REPORTS;
use reports::digest::{Digest, Followed, Tables};
use reports::page::About;
use reports::workbook::workbook;

const COHORTS: usize = 500;
const MONTHS: usize = 60;

/// The number of rows of a report with a row for each cohort, or pair, or value; `None` for a report with a row for each contact.
fn rows(report: &str) -> Option<usize> {
    Some(match report {
        "cohort_summary" | "retention_change" => COHORTS,
        "cohort_trends" => COHORTS * 21,
        "retention" => COHORTS * MONTHS * (MONTHS + 1) / 2,
        "retention_curve" | "membership_survival" => COHORTS * MONTHS,
        "conversation_activity" => COHORTS * 8,
        "attribute_profile" => COHORTS * 5 * 51,
        "numeric_profile" => COHORTS * 5,
        "unsubscribes" => COHORTS * 7,
        "overlap" => COHORTS * (COHORTS - 1) / 2,
        "movement" => COHORTS * COHORTS / 10,
        "data_quality" => 1_000,
        _ => return None,
    })
}

fn invented(table: &Table, rows: usize, random: &mut ChaCha8Rng) -> PolarsResult<DataFrame> {
    let columns = table.columns.iter().map(|column| {
        let name = column.name.into();
        match column.kind {
            Kind::Text | Kind::Contact | Kind::Json => {
                Column::new(name, (0..rows).map(|row| format!("{} {}", column.name, row % COHORTS)).collect::<Vec<_>>())
            }
            Kind::Count => Column::new(name, (0..rows).map(|_| random.random_range(0..20_000_i64)).collect::<Vec<_>>()),
            Kind::Ratio => Column::new(name, (0..rows).map(|_| random.random::<f64>()).collect::<Vec<_>>()),
            Kind::Flag => Column::new(name, (0..rows).map(|_| random.random::<bool>()).collect::<Vec<_>>()),
            Kind::Day => Column::new(name, vec![month().first_day(); rows]),
            Kind::Instant => {
                let at = month().first_day().and_hms_opt(2, 0, 0).map(|at| at.and_utc());
                archive::table::instants(column.name, std::iter::repeat_n(at, rows)).into_column()
            }
        }
    });
    DataFrame::new(rows, columns.collect())
}

fn month() -> Month {
    Month::from_index(2026 * 12 + 9)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut tables = Tables::default();
    let mut frames: Vec<(&'static Table, DataFrame)> = Vec::new();
    for report in REPORTS {
        if let Some(rows) = rows(report.table.name) {
            frames.push((&report.table, invented(&report.table, rows, &mut random)?));
        }
    }
    let mut out = io::stdout();
    writeln!(out, "{} rows in {} reports", frames.iter().map(|(_, frame)| frame.height()).sum::<usize>(), frames.len())?;
    let timed = |format: &str, write: &mut dyn FnMut() -> Result<u64, Box<dyn Error>>| -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        let bytes = write()?;
        Ok(writeln!(io::stdout(), "{format:8} {:6.1} MB in {:5.1} s", bytes as f64 / 1e6, begun.elapsed().as_secs_f64())?)
    };
    timed("parquet", &mut || {
        let mut bytes = 0;
        for (table, frame) in &frames {
            let path = folder.path().join(format!("{}.parquet", table.name));
            write_parquet(frame, table, &path)?;
            bytes += fs::metadata(&path)?.len();
        }
        Ok(bytes)
    })?;
    timed("csv", &mut || {
        let mut bytes = 0;
        for (table, frame) in &frames {
            let path = folder.path().join(format!("{}.csv", table.name));
            write_csv(frame, table, &path)?;
            bytes += fs::metadata(&path)?.len();
        }
        Ok(bytes)
    })?;
    for (table, frame) in frames {
        tables.add(table.name, frame);
    }
    let about = About {
        job: "large".to_string(),
        month: month(),
        observed_at: "2026-11-01T02:00:00Z".parse()?,
        timezone: "UTC".to_string(),
        population: "everyone".to_string(),
        odd_months: Vec::new(),
        expected_months: Vec::new(),
        changed_definitions: Vec::new(),
        notable_series: Vec::new(),
    };
    let digest = Digest { month: month(), cohorts: Vec::new(), notable: Vec::new(), notices: Vec::new(), followed: Followed::default() };
    timed("xlsx", &mut || Ok(workbook(&about, &digest, &tables)?.len() as u64))?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    Ok(writeln!(out, "{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("peak memory unknown"))?)
}
