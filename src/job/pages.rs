//! The HTML pages beside the reports: the page of a month, and the index of all months.

use polars::prelude::{DataFrame, PolarsResult};

use super::JobError;
use crate::settings::{Format, Settings};
use archive::engine::EngineError;
use archive::snapshot::{Manifest, Snapshot};
use archive::table::{Rows, TableError, TableRows};
use archive::{Archive, Section};
use domain::Month;
use reports::analysis::{Report, ReportRows, SHOWN_MEMBERS, changed_definitions, expected_months, metric_series, odd_months};
use reports::digest::{Digest, Tables};
use reports::history::{self, History};
use reports::page::{self, About, CohortLine, MonthLine, Observation};
use reports::report::PAGE;

/// The number of months that a card of the page shows.
const MONTHS_OF_CARD: i64 = 12;

/// A month's page, while its tables are built.
pub(super) struct Page {
    pub tables: Tables,
    shows_members: bool,
    people: Option<DataFrame>,
}

impl Page {
    pub(super) fn new(shows_members: bool) -> Page {
        Page { tables: Tables::default(), shows_members, people: None }
    }

    /// Keeps the tables that a page shows. Of the members, only some are kept, and only if the page shows members. Other tables with a
    /// row for each contact are dropped.
    pub(super) fn take(&mut self, report: &'static Report, rows: ReportRows) -> Result<(), EngineError> {
        let name = report.table.name;
        let failed = |error| TableError::new("read", format!("`{name}`"), error);
        match (name, rows) {
            ("members", rows) if self.shows_members => {
                let members = match rows {
                    ReportRows::Here(rows) => rows.into_frame().map_err(failed)?,
                    ReportRows::OnEngine { folder, .. } => folder.rows(SHOWN_MEMBERS, &report.table)?,
                };
                self.people = Some(page::some_members(&members).map_err(failed)?);
            }
            (_, ReportRows::Here(TableRows::InMemory(rows))) => self.tables.add(name, rows),
            (_, ReportRows::Here(TableRows::Gathered(_)) | ReportRows::OnEngine { .. }) => {}
        }
        Ok(())
    }

    /// What the page and the workbook show about the month besides its tables.
    pub(super) fn about(&self, snapshot: &Snapshot, month: Month, digest: &Digest) -> PolarsResult<About> {
        let manifest = &snapshot.manifest;
        let counts = self.tables.named("counts")?.0;
        let notable: Vec<_> = digest.notable.iter().map(|notable| (notable.cohort_key.as_str(), notable.metric.as_str())).collect();
        Ok(About {
            job: manifest.job.clone(),
            month,
            observed_at: manifest.observed_at,
            timezone: manifest.timezone.clone(),
            population: manifest.population.clone(),
            odd_months: odd_months(counts, month, &page::marked_metrics())?,
            expected_months: expected_months(counts, month, &page::banded_metrics())?,
            changed_definitions: changed_definitions(counts, month)?,
            notable_series: metric_series(counts, month, &notable, MONTHS_OF_CARD)?,
        })
    }

    pub(super) fn html(&self, about: &About, digest: &Digest) -> PolarsResult<String> {
        page::month(about, digest, &self.tables, self.people.as_ref())
    }
}

/// Writes the index of the published months, if the job wants pages or wanted them before, so that no link is broken. The caller
/// must have the job's lock.
pub(super) fn write_index(archive: &Archive, settings: &Settings) -> Result<(), JobError> {
    if !settings.output.formats.contains(&Format::Html) && !archive.has_index()? {
        return Ok(());
    }
    let mut months = Vec::new();
    for (month, snapshot) in archive.snapshots()? {
        match snapshot {
            Ok(snapshot) => months.push(month_line(archive, month, Some(&snapshot))?),
            Err(error) if error.is_damage() => months.push(month_line(archive, month, None)?),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(archive.write_index(&page::index(&settings.job.name, &months))?)
}

/// A month's line in the index. Without a snapshot, the line is made only from the month's history.
fn month_line(archive: &Archive, month: Month, snapshot: Option<&Snapshot>) -> Result<MonthLine, JobError> {
    let manifest = snapshot.map(|snapshot| &snapshot.manifest);
    // A history that is missing, out of date or damaged has no counts to show.
    let counts = History::open(archive, month).ok().flatten().and_then(|history| history.scan(&history::COUNTS).ok());
    let cohorts = match counts {
        Some(counts) => {
            let lines = counts.collect().and_then(|counts| cohort_lines(&counts, month, manifest));
            lines.map_err(|error| JobError::table(month, TableError::new("read", format!("the counts of {month}"), error)))?
        }
        None => Vec::new(),
    };
    Ok(MonthLine {
        month,
        observation: manifest.map(|manifest| Observation {
            basis: manifest.basis(),
            observed_at: manifest.observed_at,
            is_incomplete: !manifest.incomplete.is_empty(),
        }),
        page: archive.link(Section::Reports, month, PAGE)?,
        cohorts,
    })
}

fn cohort_lines(counts: &DataFrame, month: Month, manifest: Option<&Manifest>) -> PolarsResult<Vec<CohortLine>> {
    let rows = Rows(counts);
    let mut lines = Vec::new();
    for row in 0..rows.count_all() {
        if rows.day("month", row)? != Some(month.first_day()) {
            continue;
        }
        let cohort_key = rows.text("cohort_key", row)?.to_string();
        let group = manifest.and_then(|manifest| manifest.cohorts.iter().find(|cohort| cohort.cohort_key == cohort_key));
        // A rule is no group: its key is `rule:<name>`.
        let name = group.map(|cohort| cohort.cohort_name.clone()).or_else(|| cohort_key.split_once(':').map(|(_, name)| name.to_string()));
        lines.push(CohortLine {
            name: name.unwrap_or_default(),
            members: rows.count("members", row)?.unwrap_or_default(),
            joined: rows.count("joined", row)?,
            departed: rows.count("departed", row)?,
            cohort_key,
        });
    }
    Ok(lines)
}
