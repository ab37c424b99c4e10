//! The reports. Each report turns frames into a frame and uses no paths, no settings file, no clock and no network.
//!
//! The steps of `steps` count: they do everything that must read every row. A report judges: it turns small tables of counts into rates and
//! orders the columns. Two reports have a row for each member; their SQL is beside the SQL of the steps. The data dictionary is made from
//! the column lists of the reports.

mod attribute_profile;
mod cohort_summary;
mod cohort_trends;
mod conversation_activity;
mod data_quality;
mod definitions;
mod in_common;
mod member_attributes;
mod members;
mod membership_survival;
mod metrics;
mod movement;
mod numeric_profile;
mod overlap;
mod profiles;
mod retention;
mod retention_change;
mod retention_curve;
mod rows;
mod triangle;
mod unsubscribes;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use crate::steps::{Counted, Embedded, ReportQueries};
use archive::engine::{EngineError, EngineFolder, Kept, Query, Step};
use archive::table::{self, Gather, Table, TableError, TableRows};
use domain::{Basis, Month};

pub use cohort_trends::{ExpectedMonth, OddMonth, expected_months, metric_series, odd_months};
pub use data_quality::Found;
pub use definitions::{ChangedDefinition, changed_definitions};
pub use in_common::{InCommon, NumberApart, in_common, numbers_apart};

/// One report.
#[derive(Debug)]
pub struct Report {
    pub table: Table,
    source: Source,
}

/// Where the rows of a report come from.
#[derive(Debug)]
enum Source {
    /// Judged from small counted tables.
    Judged(&'static [&'static Table], fn(&Facts, &[DataFrame]) -> PolarsResult<DataFrame>),
    /// A query that gives a row for each member. Nothing is judged. In this process the rows are put together while they are written.
    PerMember { sql: &'static str, embedded: fn(&'static Table, &Embedded) -> PolarsResult<Gather> },
}

/// The rows of a report.
pub enum ReportRows {
    Here(TableRows),
    /// In the files that an engine outside of this process wrote for this query.
    OnEngine {
        folder: EngineFolder,
        query: String,
        rows: u64,
    },
}

impl ReportRows {
    pub fn count(&self) -> u64 {
        match self {
            ReportRows::Here(rows) => rows.height() as u64,
            ReportRows::OnEngine { rows, .. } => *rows,
        }
    }
}

/// All reports, in the order in which they are built and listed.
pub const REPORTS: &[&Report] = &[
    &cohort_summary::REPORT,
    &cohort_trends::REPORT,
    &retention::REPORT,
    &retention_curve::REPORT,
    &retention_change::REPORT,
    &membership_survival::REPORT,
    &conversation_activity::REPORT,
    &attribute_profile::REPORT,
    &numeric_profile::REPORT,
    &unsubscribes::REPORT,
    &overlap::REPORT,
    &movement::REPORT,
    &members::REPORT,
    &member_attributes::REPORT,
    &data_quality::REPORT,
];

/// The facts of a month that a report needs besides the tables.
#[derive(Clone, Debug)]
pub struct Facts {
    pub month: Month,
    /// The cohorts, sorted by key.
    pub cohorts: Vec<CohortFacts>,
    pub population: PopulationKind,
    /// Whether the month's conversations were fetched.
    pub has_conversations: bool,
    /// The job's thresholds for `conversation_activity`, ascending: the report counts the members who opened at least this many
    /// conversations.
    pub opened_at_least: Vec<u32>,
    /// The attributes that describe members, as the job names them.
    pub profile: Vec<String>,
    /// The findings from the observation of the month.
    pub found: Vec<Found>,
}

#[derive(Clone, Debug)]
pub struct CohortFacts {
    pub cohort_key: String,
    pub cohort_name: String,
    pub cohort_kind: String,
    pub cohort_id: String,
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    pub announced: Option<u64>,
    /// The month with which this month is compared: p.
    pub compared_month: Option<Month>,
}

/// The kind of population with which the cohorts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopulationKind {
    Everyone,
    Group,
    /// The union of the cohorts.
    Cohorts,
}

/// The query of the members that the page shows by name.
pub const SHOWN_MEMBERS: &str = "shown_members";

/// The queries that an engine outside of this process runs for the reports with a row for each member.
pub fn queries() -> ReportQueries {
    let of_reports = REPORTS.iter().filter_map(|report| Some(Query::new(&report.query(), report.step()?, Kept::SortedFiles)));
    let shown = Step::new(&members::REPORT.table, include_str!("steps/shown_members.sql"));
    ReportQueries { queries: of_reports.chain([Query::new(SHOWN_MEMBERS, shown, Kept::Files)]).collect(), members: members::REPORT.query() }
}

impl Report {
    pub fn named(name: &str) -> Option<&'static Report> {
        REPORTS.iter().copied().find(|report| report.table.name == name)
    }

    /// The name of the query whose rows an engine writes. It has a prefix, because the snapshot has a table `members`, too.
    fn query(&self) -> String {
        format!("report_{}", self.table.name)
    }

    /// The step that gives the rows; `None` if they are judged.
    pub fn step(&'static self) -> Option<Step> {
        match self.source {
            Source::PerMember { sql, .. } => Some(Step::new(&self.table, sql)),
            Source::Judged(..) => None,
        }
    }

    /// Whether the report has a row for each member.
    pub fn is_per_member(&self) -> bool {
        matches!(self.source, Source::PerMember { .. })
    }

    /// The counted tables from which the report is judged.
    pub fn inputs(&self) -> &'static [&'static Table] {
        match self.source {
            Source::PerMember { .. } => &[],
            Source::Judged(tables, _) => tables,
        }
    }

    /// The rows have the report's columns in order and with their types, and are sorted by the report's key.
    ///
    /// # Errors
    /// When a counted table does not fit.
    pub fn build(&'static self, counted: &Counted, facts: &Facts) -> Result<ReportRows, EngineError> {
        let rows = match (&self.source, counted.embedded(), counted.engine_folder()) {
            (Source::PerMember { .. }, Some(engine), _) => self.per_member(engine).transpose()?.map(TableRows::Gathered),
            (Source::PerMember { .. }, None, Some(folder)) => {
                let rows = folder.count(&self.query())?;
                return Ok(ReportRows::OnEngine { folder: folder.clone(), query: self.query(), rows });
            }
            _ => None,
        };
        if let Some(rows) = rows {
            return Ok(ReportRows::Here(rows));
        }
        let tables = self.inputs().iter().map(|table| counted.table(table)).collect::<Result<Vec<_>, _>>()?;
        Ok(ReportRows::Here(TableRows::InMemory(self.judged(&tables, facts)?)))
    }

    /// The rows of a report with a row for each member; `None` for other reports.
    ///
    /// # Errors
    /// When a counted table does not fit.
    pub fn per_member(&'static self, engine: &Embedded) -> Option<Result<Gather, TableError>> {
        let Source::PerMember { embedded, .. } = self.source else { return None };
        Some(embedded(&self.table, engine).map_err(|error| TableError::new("collect", format!("`{}`", self.table.name), error)))
    }

    fn judged(&self, tables: &[DataFrame], facts: &Facts) -> Result<DataFrame, TableError> {
        let failed = |error| TableError::new("judge", format!("the report `{}`", self.table.name), error);
        let Source::Judged(_, judge) = self.source else { return Ok(self.table.empty()) };
        let judged = judge(facts, tables).and_then(|rows| table::in_order(rows, &self.table)).map_err(failed)?;
        self.table.conform(&judged).map_err(failed)
    }
}

impl Facts {
    fn first_day(&self) -> NaiveDate {
        self.month.first_day()
    }
}

/// The first columns of every table of cohorts.
const MONTH: table::Column = table::Column::new("month", table::Kind::Day, "first day of the month");
const COHORT_KEY: table::Column =
    table::Column::new("cohort_key", table::Kind::Text, "`tag:<id>`, `segment:<id>` or `rule:<name>`; stable when the name changes");
const COHORT_NAME: table::Column = table::Column::new("cohort_name", table::Kind::Text, "the cohort's name when it was observed");

/// part / whole; null if the whole is 0 or either is null.
fn ratio(part: Option<i64>, whole: Option<i64>) -> Option<f64> {
    match (part, whole) {
        (Some(part), Some(whole)) if whole != 0 => Some(part as f64 / whole as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
