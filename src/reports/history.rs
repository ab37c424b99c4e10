//! What a month's reports need from earlier months: `history(m) = f(snapshot(m), history of the month before)`. Always
//! rebuildable. Month 36 costs about what month 2 did, and members who left are not forgotten.
//!
//! A cohort's own history, H, is the months in which it was observed with basis `month_end`. What compares months uses
//! H alone; p, the month compared with, is the nearest earlier one in H. A month outside H leaves the ledger as it is.
//!
//! The counting is in the `.sql` files beside this one; here is what carries from month to month.

mod cohorts;
mod definitions;
mod members;
mod states;
mod tables;

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use archive::publish::{self, Damage, ListedFile, ListedFiles, PublishError, Staging};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, Snapshot, SnapshotError, month_folder};
use archive::table::{ContactNumbers, Query, Table, TableError, in_order, scan_or_empty, write_parquet};
use domain::{IDENTIFIERS, Month};

use states::State;

pub use cohorts::{CohortMonth, Compared, cohort_months, cohorts_frame};
pub use definitions::{Definitions, ProfileEntry, population_frame};
pub use tables::{COUNTS, LEDGER, PEOPLE, PROFILES, RECORDS, STANDING, STATES, TRIANGLE};

/// Raised when the tables mean something else than before: histories of another format are stale.
const FORMAT: u32 = 5;

const STANDING_QUERY: Query = Query { name: "history/standing.sql", sql: include_str!("history/standing.sql") };
const LEDGER_QUERY: Query = Query { name: "history/ledger.sql", sql: include_str!("history/ledger.sql") };
const PEOPLE_QUERY: Query = Query { name: "history/people.sql", sql: include_str!("history/people.sql") };
const COUNTS_QUERY: Query = Query { name: "history/counts.sql", sql: include_str!("history/counts.sql") };
const TRIANGLE_QUERY: Query = Query { name: "history/triangle.sql", sql: include_str!("history/triangle.sql") };
const PROFILES_QUERY: Query = Query { name: "history/profiles.sql", sql: include_str!("history/profiles.sql") };

/// The tables that a counting query makes, with it: for the dictionary.
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

impl HistoryError {
    pub fn is_disk_full(&self) -> bool {
        match self {
            HistoryError::Damaged(_) => false,
            HistoryError::Publish(error) => error.is_disk_full(),
            HistoryError::Table(error) => error.is_disk_full(),
            HistoryError::Snapshot(error) => error.is_disk_full(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryManifest {
    pub format: u32,
    pub month: String,
    pub built_from: HistorySource,
    /// How identifiers are written in it, as in the snapshot's manifest.
    #[serde(default)]
    pub identifiers: String,
    pub files: Vec<ListedFile>,
}

/// The hashes of the manifests that a history was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySource {
    pub snapshot: String,
    /// Null for a job's first month.
    pub history: Option<String>,
    /// What the job file said: [`Definitions::fingerprint`].
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
    /// Opens the month's history; `None` when there is none, or one of another format, which is no loss.
    ///
    /// # Errors
    /// When its manifest is damaged.
    pub fn open(histories: &Path, month: Month) -> Result<Option<History>, Damage> {
        let folder = histories.join(month_folder(month));
        let Some(read) = publish::read_manifest(&folder)? else { return Ok(None) };
        let Ok(manifest) = read.parse::<HistoryManifest>() else { return Ok(None) };
        if manifest.format != FORMAT {
            return Ok(None);
        }
        let is_this_month = manifest.month == month.to_string();
        if !(read.has_checksum && is_this_month) {
            let problem = if is_this_month { "has lost its checksum" } else { "is of another month" };
            return Err(Damage { folder, problem: format!("its {} {problem}", publish::MANIFEST) });
        }
        Ok(Some(History { files: ListedFiles::new(&folder, &manifest.files)?, manifest, hash: read.hash }))
    }

    /// The SHA-256 of the manifest of the snapshot that it was built from.
    pub fn snapshot(&self) -> &str {
        &self.manifest.built_from.snapshot
    }

    /// What is wrong with its files, a text each. Without `reads_all`, only whether they are there and their sizes.
    pub fn problems(&self, reads_all: bool) -> Vec<String> {
        self.files.problems(reads_all)
    }

    /// Holds every file to the hash of the manifest.
    ///
    /// # Errors
    /// When one is not what was published.
    pub fn verify(&self) -> Result<(), Damage> {
        self.files.verify()
    }

    /// The same of one table.
    pub fn verify_table(&self, table: &Table) -> Result<(), Damage> {
        self.files_of(table).map(drop)
    }

    fn files_of(&self, table: &Table) -> Result<Vec<std::path::PathBuf>, Damage> {
        let name = format!("{}.parquet", table.name);
        self.files.verified(|path| path == name)
    }

    /// Whether this is what the snapshot, the job file and the month before give. Where the snapshot cannot be read any
    /// more, what was built from it while it could still counts.
    pub fn is_of(&self, snapshot: Option<&Snapshot>, definitions: &Definitions, previous: Option<&History>) -> bool {
        let snapshot = snapshot.map_or(&self.manifest.built_from.snapshot, |snapshot| &snapshot.hash);
        self.manifest.built_from == source(snapshot, definitions, previous)
    }

    /// A lazy scan of one of the history's tables, verified.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, HistoryError> {
        Ok(scan_or_empty(&self.files_of(table)?, table)?)
    }
}

/// The SHA-256 of the snapshot's manifest that the month's history was built from, whatever the history's format; `None`
/// where nothing says it.
pub fn recorded_snapshot(histories: &Path, month: Month) -> Option<String> {
    #[derive(Deserialize)]
    struct Source {
        snapshot: String,
    }
    #[derive(Deserialize)]
    struct Recorded {
        built_from: Source,
    }
    let read = publish::read_manifest(&histories.join(month_folder(month))).ok()??;
    Some(read.parse::<Recorded>().ok()?.built_from.snapshot)
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

/// The last known records, without identifiers that were written in another way than this month's: hashes of another key
/// say nothing here, and who is hidden now is not shown because of an earlier month.
fn people_before(previous: Option<&History>, identifiers: &str) -> Result<LazyFrame, HistoryError> {
    let people = scan_previous(previous, &PEOPLE)?;
    if previous.is_none_or(|previous| previous.manifest.identifiers == identifiers) {
        return Ok(people);
    }
    let hidden = PEOPLE.columns.iter().filter(|column| IDENTIFIERS.contains(&column.name));
    Ok(people.with_columns(hidden.map(|column| lit(NULL).cast(DataType::String).alias(column.name)).collect::<Vec<_>>()))
}

/// Builds and publishes the month's history.
pub fn build(
    snapshot: &Snapshot,
    definitions: &Definitions,
    previous: Option<&History>,
    histories: &Path,
    work: &Path,
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

    let staging = Staging::new(work, &format!("history-{}", span.month))?;
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
    let counts = write(&COUNTS, gathered(&COUNTS, scan_previous(previous, &COUNTS)?.filter(col("in_history")), counts)?)?;

    let edge = TRIANGLE_QUERY.run(&[("ledger", ledger.clone()), ("counts", counts), ("cohorts", cohorts_table.clone())])?;
    let _ = write(&TRIANGLE, gathered(&TRIANGLE, scan_previous(previous, &TRIANGLE)?, edge)?)?;

    let kept = is_pinned(&states, &cohorts, month);
    let profiles = PROFILES_QUERY.run(&[
        ("standing", standing),
        ("contacts", contacts.clone()),
        ("attributes", attributes),
        ("population", population_frame(manifest)?.lazy()),
        ("profile", definitions.profile_frame(manifest)?.lazy()),
    ])?;
    let profiles = profiles.lazy().with_column(lit(month).cast(DataType::Date).alias("month"));
    let profiles_before = scan_previous(previous, &PROFILES)?.filter(kept.clone().and(col("cohort_key").neq(lit(""))));
    let profiles = gathered(&PROFILES, profiles_before, collect(profiles)?)?;
    let _ = write(&PROFILES, profiles)?;

    let now =
        contacts.select([lit(month).cast(DataType::Date).alias("month"), col("contact_id"), col("role"), col("unsubscribed_from_emails")]);
    // Only a month that some cohort will be compared with is looked at again.
    let now = if states.values().any(|state| state.last_month == month) { now } else { now.limit(0) };
    let _ = write(&RECORDS, gathered(&RECORDS, records_before.filter(kept), collect(now)?)?)?;

    let manifest = HistoryManifest {
        format: FORMAT,
        month: span.month.to_string(),
        built_from: source(&snapshot.hash, definitions, previous),
        identifiers: manifest.identifiers.clone(),
        files: staging.files(),
    };
    let folder = histories.join(month_folder(span.month));
    let hash = staging.commit(&folder, &manifest)?;
    Ok(History { files: ListedFiles::just_written(&folder, &manifest.files), manifest, hash })
}

/// Whether a row is of an earlier month that some cohort is compared with now, or will be next.
fn is_pinned(states: &BTreeMap<String, State>, cohorts: &[CohortMonth], now: NaiveDate) -> Expr {
    let next = states.values().map(|state| state.last_month);
    let compared = cohorts.iter().filter_map(|cohort| cohort.compared.map(|compared| compared.month.first_day()));
    let mut months: Vec<NaiveDate> = next.chain(compared).filter(|month| *month != now).collect();
    months.sort();
    months.dedup();
    months.into_iter().map(|month| col("month").eq(lit(month).cast(DataType::Date))).reduce(Expr::or).unwrap_or(lit(false))
}

/// What earlier months left, and this month's rows.
fn gathered(table: &'static Table, before: LazyFrame, now: DataFrame) -> Result<DataFrame, HistoryError> {
    let failed = |error| TableError::new("gather", format!("`{}`", table.name), error);
    let now = table.conform_counted(&now).map_err(failed)?;
    Ok(concat([before, now.lazy()], UnionArgs::default()).and_then(LazyFrame::collect).map_err(failed)?)
}

fn collect(plan: LazyFrame) -> Result<DataFrame, HistoryError> {
    Ok(plan.collect().map_err(|error| TableError::new("gather", "the month's rows", error))?)
}

/// Sorts by the table's key, writes, and gives the rows for the next query.
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
