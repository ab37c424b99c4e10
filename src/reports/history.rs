//! What a month's reports need from earlier months: `history(m) = f(snapshot(m), history of the month before)`. It can always be
//! rebuilt. Only the history of the month before is read, so month 36 costs about as much as month 2. Members who left are kept.
//!
//! A cohort's own history, H, is the months in which it was observed with basis `month_end`. Only months of H are compared. The
//! compared month, p, is the nearest earlier month in H. A month outside H does not change the ledger.
//!
//! The `.sql` files in the folder `history` count. This code carries their results from month to month.

mod cohorts;
mod definitions;
mod members;
mod states;
mod tables;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use archive::publish::{Damage, ListedFile, ListedFiles, PublishError, Staging};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, Snapshot, SnapshotError};
use archive::table::{ContactNumbers, Query, Table, TableError, in_order, scan_or_empty, write_parquet};
use archive::{Archive, Section};
use domain::{Month, is_identifier};

use states::State;

pub use cohorts::{CohortMonth, Compared, cohort_months, cohorts_frame};
pub use definitions::{Definitions, ProfileEntry, population_frame};
pub use tables::{COUNTS, LEDGER, PEOPLE, PROFILES, RECORDS, STANDING, STATES, TRIANGLE};

/// Increased when the meaning of a table changes. Histories of another format are out of date.
const FORMAT: u32 = 5;

const STANDING_QUERY: Query = Query { name: "history/standing.sql", sql: include_str!("history/standing.sql") };
const LEDGER_QUERY: Query = Query { name: "history/ledger.sql", sql: include_str!("history/ledger.sql") };
const PEOPLE_QUERY: Query = Query { name: "history/people.sql", sql: include_str!("history/people.sql") };
const COUNTS_QUERY: Query = Query { name: "history/counts.sql", sql: include_str!("history/counts.sql") };
const TRIANGLE_QUERY: Query = Query { name: "history/triangle.sql", sql: include_str!("history/triangle.sql") };
const PROFILES_QUERY: Query = Query { name: "history/profiles.sql", sql: include_str!("history/profiles.sql") };

/// The tables that counting queries make, each with its query, for the data dictionary.
pub const COUNTED: &[(&Table, Query)] = &[
    (&STANDING, STANDING_QUERY),
    (&LEDGER, LEDGER_QUERY),
    (&PEOPLE, PEOPLE_QUERY),
    (&COUNTS, COUNTS_QUERY),
    (&TRIANGLE, TRIANGLE_QUERY),
    (&PROFILES, PROFILES_QUERY),
];

/// Every table of a history.
pub const TABLES: &[&Table] = &[&STANDING, &LEDGER, &RECORDS, &PEOPLE, &STATES, &COUNTS, &TRIANGLE, &PROFILES];

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Damaged(#[from] Damage),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryManifest {
    pub format: u32,
    pub month: String,
    pub built_from: HistorySource,
    /// How identifiers are written, as in the snapshot's manifest.
    #[serde(default)]
    pub identifiers: String,
    pub files: Vec<ListedFile>,
}

/// The hashes of the inputs from which a history was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySource {
    pub snapshot: String,
    /// The hash of the history before; null for a job's first month.
    pub history: Option<String>,
    /// The hash of the definitions in the job file: [`Definitions::fingerprint`].
    pub definitions: String,
}

/// One month's history on disk.
#[derive(Clone, Debug)]
pub struct History {
    files: ListedFiles,
    manifest: HistoryManifest,
    /// SHA-256 of the manifest.
    pub hash: String,
}

impl History {
    /// Opens the month's history; `None` if there is none. Also `None` if its format is another one: such a history can be rebuilt.
    ///
    /// # Errors
    /// When its manifest is damaged.
    pub fn open(archive: &Archive, month: Month) -> Result<Option<History>, Damage> {
        let Some(read) = archive.manifest(Section::History, month)? else { return Ok(None) };
        let Ok(manifest) = read.parse::<HistoryManifest>() else { return Ok(None) };
        if manifest.format != FORMAT {
            return Ok(None);
        }
        let is_this_month = manifest.month == month.to_string();
        if !(read.has_checksum && is_this_month) {
            return Err(read.damage(if is_this_month { "has lost its checksum" } else { "is of another month" }));
        }
        Ok(Some(History { files: read.files(&manifest.files)?, manifest, hash: read.hash }))
    }

    /// The SHA-256 of the manifest of the snapshot from which this history was built.
    pub fn snapshot(&self) -> &str {
        &self.manifest.built_from.snapshot
    }

    /// The problems of the history's files, one text each. Without `reads_all`, checks only that the files exist and their sizes.
    pub fn problems(&self, reads_all: bool) -> Vec<String> {
        self.files.problems(reads_all)
    }

    /// Checks every file against its hash in the manifest.
    ///
    /// # Errors
    /// When a file differs from what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.files.verify()
    }

    /// Checks the file of one table.
    pub fn verify_table(&self, table: &Table) -> Result<(), Damage> {
        self.files_of(table).map(drop)
    }

    fn files_of(&self, table: &Table) -> Result<Vec<std::path::PathBuf>, Damage> {
        let name = format!("{}.parquet", table.name);
        self.files.verified(|path| path == name)
    }

    /// Whether this history was built from this snapshot, these definitions and the history before. If the snapshot can no longer
    /// be read, it is `None`, and only the definitions and the history before are compared.
    pub fn is_of(&self, snapshot: Option<&Snapshot>, definitions: &Definitions, previous: Option<&History>) -> bool {
        let snapshot = snapshot.map_or(&self.manifest.built_from.snapshot, |snapshot| &snapshot.hash);
        self.manifest.built_from == source(snapshot, definitions, previous)
    }

    /// Verifies one of the history's tables and returns a lazy scan over it.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, HistoryError> {
        Ok(scan_or_empty(&self.files_of(table)?, table)?)
    }
}

fn source(snapshot: &str, definitions: &Definitions, previous: Option<&History>) -> HistorySource {
    HistorySource {
        snapshot: snapshot.to_string(),
        history: previous.map(|history| history.hash.clone()),
        definitions: definitions.fingerprint(),
    }
}

fn scan_previous(previous: Option<&History>, table: &'static Table) -> Result<LazyFrame, HistoryError> {
    previous.map_or_else(|| Ok(table.empty().lazy()), |history| history.scan(table))
}

/// The last known records of people. If the history before wrote identifiers in another way than this month, the identifiers are
/// removed. Hashes of another key are useless, and an identifier that is hidden now must not come back from an earlier month.
fn people_before(previous: Option<&History>, identifiers: &str) -> Result<LazyFrame, HistoryError> {
    let people = scan_previous(previous, &PEOPLE)?;
    if previous.is_none_or(|previous| previous.manifest.identifiers == identifiers) {
        return Ok(people);
    }
    let hidden = PEOPLE.columns.iter().filter(|column| is_identifier(column.name));
    Ok(people.with_columns(hidden.map(|column| lit(NULL).cast(DataType::String).alias(column.name)).collect::<Vec<_>>()))
}

/// Builds and publishes the month's history.
pub fn build(
    archive: &Archive,
    snapshot: &Snapshot,
    definitions: &Definitions,
    previous: Option<&History>,
) -> Result<History, HistoryError> {
    let manifest = &snapshot.manifest;
    let span = manifest.span()?;
    let month = span.month.first_day();
    let cohorts = cohort_months(manifest, definitions, previous)?;
    let cohorts_table = cohorts_frame(&cohorts, manifest)?.lazy();
    let members = members::of(snapshot, definitions, &cohorts, scan_previous(previous, &RECORDS)?)?;
    let contacts = snapshot.scan(&CONTACTS)?;
    let conversations = snapshot.scan(&CONVERSATIONS)?;
    let attributes = definitions.wanted(snapshot.scan(&ATTRIBUTES)?);
    let ledger_before = scan_previous(previous, &LEDGER)?;
    let records_before = scan_previous(previous, &RECORDS)?;
    let people_before = people_before(previous, &manifest.identifiers)?;

    let numbers = ContactNumbers::of(&[
        (contacts.clone(), &CONTACTS),
        (conversations.clone(), &CONVERSATIONS),
        (ledger_before.clone(), &LEDGER),
        (records_before.clone(), &RECORDS),
        (people_before.clone(), &PEOPLE),
    ])?;
    let members = numbers.numbered(members, &MEMBERS);
    let contacts = numbers.numbered(contacts, &CONTACTS);
    let conversations = numbers.numbered(conversations, &CONVERSATIONS);
    let attributes = numbers.numbered(attributes, &ATTRIBUTES);
    let ledger_before = numbers.numbered(ledger_before, &LEDGER);
    let records_before = numbers.numbered(records_before, &RECORDS);
    let people_before = numbers.numbered(people_before, &PEOPLE);

    let staging = archive.stage(Section::History, span.month)?;
    let write = |table, frame| write(&staging, &numbers, table, frame);
    let standing = STANDING_QUERY.run(&[
        ("members", members),
        ("contacts", contacts.clone()),
        ("cohorts", cohorts_table.clone()),
        ("ledger", ledger_before.clone()),
        ("records", records_before.clone()),
    ])?;
    let standing = write(&STANDING, standing)?;

    let ledger =
        LEDGER_QUERY.run(&[("standing", standing.clone()), ("cohorts", cohorts_table.clone()), ("ledger", ledger_before.clone())])?;
    let ledger = write(&LEDGER, ledger)?;

    let states = State::all_after(State::read(previous)?, &cohorts, &span);
    let states_table = write(&STATES, State::frame(&states)?)?;

    let people = PEOPLE_QUERY.run(&[
        ("standing", standing.clone()),
        ("ledger", ledger.clone()),
        ("states", states_table.clone()),
        ("contacts", contacts.clone()),
        ("people", people_before),
    ])?;
    let _ = write(&PEOPLE, people)?;

    let counts = COUNTS_QUERY.run(&[
        ("standing", standing.clone()),
        ("contacts", contacts.clone()),
        ("conversations", conversations),
        ("cohorts", cohorts_table.clone()),
    ])?;
    let counts = write(&COUNTS, appended(&COUNTS, scan_previous(previous, &COUNTS)?.filter(col("in_history")), counts)?)?;

    let edge = TRIANGLE_QUERY.run(&[("ledger", ledger.clone()), ("counts", counts), ("cohorts", cohorts_table.clone())])?;
    let _ = write(&TRIANGLE, appended(&TRIANGLE, scan_previous(previous, &TRIANGLE)?, edge)?)?;

    let is_kept = is_still_compared(&states, &cohorts, month);
    let profiles = PROFILES_QUERY.run(&[
        ("standing", standing),
        ("contacts", contacts.clone()),
        ("attributes", attributes),
        ("population", population_frame(manifest)?.lazy()),
        ("profile", definitions.profile_frame(manifest)?.lazy()),
    ])?;
    let profiles = profiles.lazy().with_column(lit(month).cast(DataType::Date).alias("month"));
    let profiles_before = scan_previous(previous, &PROFILES)?.filter(is_kept.clone().and(col("cohort_key").neq(lit(""))));
    let profiles = appended(&PROFILES, profiles_before, collect(profiles)?)?;
    let _ = write(&PROFILES, profiles)?;

    let now =
        contacts.select([lit(month).cast(DataType::Date).alias("month"), col("contact_id"), col("role"), col("unsubscribed_from_emails")]);
    // The rows are needed only if some cohort will be compared with this month.
    let now = if states.values().any(|state| state.last_month == month) { now } else { now.limit(0) };
    let _ = write(&RECORDS, appended(&RECORDS, records_before.filter(is_kept), collect(now)?)?)?;

    let manifest = HistoryManifest {
        format: FORMAT,
        month: span.month.to_string(),
        built_from: source(&snapshot.hash, definitions, previous),
        identifiers: manifest.identifiers.clone(),
        files: staging.files(),
    };
    let (files, hash) = archive.publish(Section::History, span.month, staging, &manifest)?;
    Ok(History { files, manifest, hash })
}

/// Selects the rows of earlier months that comparisons still need: some cohort is compared with their month now, or will be next.
fn is_still_compared(states: &BTreeMap<String, State>, cohorts: &[CohortMonth], now: NaiveDate) -> Expr {
    let next = states.values().map(|state| state.last_month);
    let compared = cohorts.iter().filter_map(|cohort| cohort.compared.map(|compared| compared.month.first_day()));
    let mut months: Vec<NaiveDate> = next.chain(compared).filter(|month| *month != now).collect();
    months.sort();
    months.dedup();
    months.into_iter().map(|month| col("month").eq(lit(month).cast(DataType::Date))).reduce(Expr::or).unwrap_or(lit(false))
}

/// The rows of earlier months, followed by this month's rows.
fn appended(table: &'static Table, before: LazyFrame, now: DataFrame) -> Result<DataFrame, HistoryError> {
    let failed = |error| TableError::new("collect", format!("`{}`", table.name), error);
    let now = table.conform_counted(&now).map_err(failed)?;
    Ok(concat([before, now.lazy()], UnionArgs::default()).and_then(LazyFrame::collect).map_err(failed)?)
}

fn collect(plan: LazyFrame) -> Result<DataFrame, HistoryError> {
    Ok(plan.collect().map_err(|error| TableError::new("collect", "the month's rows", error))?)
}

/// Sorts the rows by the table's key, writes them, and returns them for the next query.
fn write(staging: &Staging, numbers: &ContactNumbers, table: &'static Table, frame: DataFrame) -> Result<LazyFrame, HistoryError> {
    let failed = |error| TableError::new("sort", format!("`{}`", table.name), error);
    let frame = table.conform_counted(&frame).and_then(|frame| in_order(frame, table)).map_err(failed)?;
    let relative = format!("{}.parquet", table.name);
    let rows = write_parquet(&numbers.texts(frame.clone(), table).map_err(failed)?, table, &staging.place(&relative)?)?;
    staging.list(&relative, rows)?;
    Ok(frame.lazy())
}

#[cfg(test)]
mod tests;
