//! The reports. Each report turns frames into a frame and uses no paths, no settings file, no clock and no network.
//!
//! Each report is a pair. A `.sql` file counts: it does everything that must read every row. A function judges: it turns small
//! tables of counts into rates and orders the columns. The data dictionary is made from the column lists of the reports.

mod attribute_profile;
mod cohort_summary;
mod cohort_trends;
mod conversation_activity;
mod data_quality;
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

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use archive::table::{self, ContactNumbers, Query, Table, TableError};
use domain::{Basis, Month};

pub use cohort_trends::{ExpectedMonth, OddMonth, expected_months, odd_months};
pub use data_quality::Found;
pub use in_common::{InCommon, NumberApart, in_common, numbers_apart};

/// One report.
#[derive(Debug)]
pub struct Report {
    pub table: Table,
    pub query: Query,
    judge: fn(&Facts, DataFrame) -> PolarsResult<DataFrame>,
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

/// The tables that the counting queries use: tables of the snapshot and of the history, and small tables that are made for each
/// month.
#[derive(Clone)]
pub struct Inputs {
    /// The IDs of the contacts. The tables contain numbers instead of these IDs.
    pub numbers: ContactNumbers,
    pub contacts: LazyFrame,
    pub attributes: LazyFrame,
    pub members: LazyFrame,
    pub conversations: LazyFrame,
    pub standing: LazyFrame,
    pub people: LazyFrame,
    pub counts: LazyFrame,
    pub triangle: LazyFrame,
    pub profiles: LazyFrame,
    pub cohorts: LazyFrame,
    pub population: LazyFrame,
    pub profile: LazyFrame,
}

impl Inputs {
    fn named(&self) -> [(&'static str, LazyFrame); 12] {
        [
            ("contacts", self.contacts.clone()),
            ("attributes", self.attributes.clone()),
            ("members", self.members.clone()),
            ("conversations", self.conversations.clone()),
            ("standing", self.standing.clone()),
            ("people", self.people.clone()),
            ("counts", self.counts.clone()),
            ("triangle", self.triangle.clone()),
            ("profiles", self.profiles.clone()),
            ("cohorts", self.cohorts.clone()),
            ("population", self.population.clone()),
            ("profile", self.profile.clone()),
        ]
    }
}

/// The names and columns of the small tables, for the data dictionary. These tables are made for each month and are not files.
pub const SMALL_INPUTS: &[(&str, &str)] = &[
    (
        "cohorts",
        "one row for each cohort: cohort_key, cohort_name, has_conversations, knows_gone (the population is everyone), in_history, intercom_count, \
         month, month_start, month_end, compared_month, compared_end, months_since_compared",
    ),
    ("population", "one row: in_population (true), month, month_end"),
    ("profile", "one row for each attribute: month, attribute, custom_name (null for a column of contacts)"),
];

impl Report {
    pub fn named(name: &str) -> Option<&'static Report> {
        REPORTS.iter().copied().find(|report| report.table.name == name)
    }

    /// Counts and judges. The frame has the report's columns in order and with their types, and is sorted by the report's key.
    ///
    /// # Errors
    /// When an input cannot be read or does not fit the query.
    pub fn build(&self, inputs: &Inputs, facts: &Facts) -> Result<DataFrame, TableError> {
        let failed = |error| TableError::new("build", format!("the report `{}`", self.table.name), error);
        let counts = self.query.run(&inputs.named())?;
        let judged = (self.judge)(facts, counts).and_then(|rows| table::in_order(rows, &self.table)).map_err(failed)?;
        inputs.numbers.texts(judged, &self.table).and_then(|rows| self.table.conform(&rows)).map_err(failed)
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
