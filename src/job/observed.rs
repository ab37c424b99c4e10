//! A month's cohorts from its snapshot and history, for the run summary.

use std::collections::HashMap;

use polars::prelude::{PolarsResult, col, lit};

use super::JobError;
use super::refresh::definitions;
use crate::settings::Job;
use archive::Archive;
use archive::table::TableError;
use domain::{Basis, Month};
use reports::history::{COUNTS, History, HistoryError};
use reports::steps;

/// A published month.
#[derive(Clone, Debug)]
pub struct Observed {
    pub month: Month,
    pub basis: Basis,
    /// The cohorts of the month, including rules.
    pub cohorts: Vec<ObservedCohort>,
    /// Keys of the streams that were published although they do not agree with the totals of the API.
    pub incomplete: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ObservedCohort {
    pub cohort_key: String,
    pub cohort_name: String,
    pub basis: Basis,
    pub members: u64,
}

/// A published month; `None` if the month has no snapshot. Cohorts that the history has not counted are left out.
pub fn observed(archive: &Archive, job: &Job, month: Month) -> Result<Option<Observed>, JobError> {
    let Some(snapshot) = archive.snapshot(month)? else { return Ok(None) };
    let in_history = |source| JobError::History { month, source };
    let counts = match History::open(archive, month).map_err(|damage| in_history(damage.into()))? {
        Some(history) => counts(&history, month).map_err(in_history)?,
        None => HashMap::new(),
    };
    let cohorts = steps::cohorts_of(&snapshot.manifest, &definitions(job));
    let cohorts = cohorts.into_iter().filter_map(|cohort| {
        let members = *counts.get(&cohort.cohort_key)?;
        Some(ObservedCohort { cohort_key: cohort.cohort_key, cohort_name: cohort.cohort_name, basis: cohort.basis, members })
    });
    Ok(Some(Observed {
        month,
        basis: snapshot.manifest.basis(),
        cohorts: cohorts.collect(),
        incomplete: snapshot.manifest.incomplete.clone(),
    }))
}

/// The number of the month's members, by cohort.
fn counts(history: &History, month: Month) -> Result<HashMap<String, u64>, HistoryError> {
    let of_month = history.scan(&COUNTS)?.filter(col("month").eq(lit(month.first_day()))).select([col("cohort_key"), col("members")]);
    let read = || -> PolarsResult<HashMap<String, u64>> {
        let frame = of_month.collect()?;
        let (keys, members) = (frame.column("cohort_key")?.str()?, frame.column("members")?.i64()?);
        let row = |(key, members): (Option<&str>, Option<i64>)| Some((key?.to_string(), u64::try_from(members?).ok()?));
        Ok(keys.iter().zip(members.iter()).filter_map(row).collect())
    };
    Ok(read().map_err(|error| TableError::new("read", "the history's counts", error))?)
}
