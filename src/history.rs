//! What a month's reports need from earlier months: `history(m) = f(snapshot(m), history of the month before)`. Always
//! rebuildable. Month 36 costs about what month 2 did, and members who left are not forgotten.
//!
//! A cohort's own history, H, is the months in which it was observed with basis `month_end`. What compares months uses
//! H alone; p, the month compared with, is the nearest earlier one in H. A month outside H leaves the ledger as it is.
//!
//! The counting is in the `.sql` files beside this one; here is what carries from month to month.

mod tables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::domain::{Basis, Month};
use crate::publish::{self, ListedFile, MANIFEST, PublishError, Staging};
use crate::snapshot::{CONTACTS, MEMBERS, Manifest, Snapshot, SnapshotError, month_folder};
use crate::table::{Query, Table, TableError, instants, scan_or_empty, write_parquet};

pub use tables::{LEDGER, PEOPLE, RECORDS, STANDING, STATES};

/// Raised when the tables mean something else than before: histories of another format are stale.
const FORMAT: u32 = 1;

const STANDING_QUERY: Query = Query { name: "history/standing.sql", sql: include_str!("history/standing.sql") };
const LEDGER_QUERY: Query = Query { name: "history/ledger.sql", sql: include_str!("history/ledger.sql") };
const PEOPLE_QUERY: Query = Query { name: "history/people.sql", sql: include_str!("history/people.sql") };

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl HistoryError {
    pub fn is_disk_full(&self) -> bool {
        match self {
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
    pub files: Vec<ListedFile>,
}

/// The hashes of the manifests that a history was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistorySource {
    pub snapshot: String,
    /// Null for a job's first month.
    pub history: Option<String>,
}

/// One month's history on disk.
#[derive(Clone, Debug)]
pub struct History {
    folder: PathBuf,
    manifest: HistoryManifest,
    /// SHA-256 of the manifest.
    pub hash: String,
}

/// One cohort of a month, as reports and histories see it: what was observed, and what it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortMonth {
    pub cohort_key: String,
    pub cohort_name: String,
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    pub announced: Option<u64>,
    /// Whether the month belongs to the cohort's H.
    pub in_history: bool,
    /// p: null for the cohort's first month, and outside H.
    pub compared: Option<Compared>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    pub month: Month,
    pub end: DateTime<Utc>,
}

impl History {
    /// Opens the month's history; `None` when there is none that is whole and that this program understands,
    /// which is no loss.
    pub fn open(histories: &Path, month: Month) -> Result<Option<History>, HistoryError> {
        let folder = histories.join(month_folder(month));
        let path = folder.join(MANIFEST);
        let Ok(bytes) = std::fs::read(&path) else { return Ok(None) };
        let Some(manifest) = serde_json::from_slice::<HistoryManifest>(&bytes).ok().filter(|manifest| manifest.format == FORMAT) else {
            return Ok(None);
        };
        if !publish::damaged(&folder, &manifest.files, false).is_empty() {
            return Ok(None);
        }
        let (_, hash) = publish::hash_file(&path)?;
        Ok(Some(History { folder, manifest, hash }))
    }

    /// Whether this is what the snapshot and the month before give.
    pub fn is_of(&self, snapshot: &Snapshot, previous: Option<&History>) -> bool {
        self.manifest.built_from == source(snapshot, previous)
    }

    /// A lazy scan of one of the history's tables.
    pub fn scan(&self, table: &'static Table) -> Result<LazyFrame, TableError> {
        let name = format!("{}.parquet", table.name);
        let listed = self.manifest.files.iter().filter(|file| file.path == name);
        scan_or_empty(&listed.map(|file| self.folder.join(&file.path)).collect::<Vec<_>>(), table)
    }
}

fn source(snapshot: &Snapshot, previous: Option<&History>) -> HistorySource {
    HistorySource { snapshot: snapshot.hash.clone(), history: previous.map(|history| history.hash.clone()) }
}

fn scan_previous(previous: Option<&History>, table: &'static Table) -> Result<LazyFrame, TableError> {
    previous.map_or_else(|| Ok(table.empty().lazy()), |history| history.scan(table))
}

/// The cohorts of a snapshot, with what each is compared with according to the history before it. Sorted by key.
pub fn cohort_months(manifest: &Manifest, previous: Option<&History>) -> Result<Vec<CohortMonth>, HistoryError> {
    let states = State::read(previous)?;
    let mut cohorts: Vec<CohortMonth> = manifest
        .cohorts
        .iter()
        .map(|entry| {
            let in_history = entry.basis() == Basis::MonthEnd;
            let state = states.get(&entry.cohort_key).filter(|_| in_history);
            CohortMonth {
                cohort_key: entry.cohort_key.clone(),
                cohort_name: entry.cohort_name.clone(),
                basis: entry.basis(),
                observed_at: entry.observed_at,
                announced: entry.announced,
                in_history,
                compared: state.map(|state| Compared { month: Month::of(state.last_month), end: state.last_month_end }),
            }
        })
        .collect();
    cohorts.sort_by(|a, b| a.cohort_key.cmp(&b.cohort_key));
    Ok(cohorts)
}

/// The cohorts as a small table for the counting queries: each row carries the month's bounds, so that no query needs
/// a literal.
pub fn cohorts_frame(cohorts: &[CohortMonth], manifest: &Manifest) -> Result<DataFrame, HistoryError> {
    let span = manifest.span()?;
    let n = cohorts.len();
    let days = |name: &str, values: Vec<Option<NaiveDate>>| Column::new(name.into(), values);
    let since = |cohort: &CohortMonth| cohort.compared.map(|compared| span.month.index() - compared.month.index());
    let columns = vec![
        Column::new("cohort_key".into(), cohorts.iter().map(|cohort| cohort.cohort_key.as_str()).collect::<Vec<_>>()),
        Column::new("cohort_name".into(), cohorts.iter().map(|cohort| cohort.cohort_name.as_str()).collect::<Vec<_>>()),
        Column::new("has_conversations".into(), vec![manifest.conversations; n]),
        Column::new("in_history".into(), cohorts.iter().map(|cohort| cohort.in_history).collect::<Vec<_>>()),
        days("month", vec![Some(span.month.first_day()); n]),
        instants("month_start", std::iter::repeat_n(Some(span.start), n)),
        instants("month_end", std::iter::repeat_n(Some(span.end), n)),
        days("compared_month", cohorts.iter().map(|cohort| cohort.compared.map(|compared| compared.month.first_day())).collect()),
        instants("compared_end", cohorts.iter().map(|cohort| cohort.compared.map(|compared| compared.end))),
        Column::new("months_since_compared".into(), cohorts.iter().map(since).collect::<Vec<Option<i64>>>()),
    ];
    Ok(DataFrame::new(n, columns).map_err(|error| TableError::new("make", "the table of cohorts", error))?)
}

/// Builds and publishes the month's history.
pub fn build(snapshot: &Snapshot, previous: Option<&History>, histories: &Path, work: &Path) -> Result<History, HistoryError> {
    let span = snapshot.manifest.span()?;
    let cohorts = cohort_months(&snapshot.manifest, previous)?;
    let cohorts_table = cohorts_frame(&cohorts, &snapshot.manifest)?.lazy();
    let contacts = snapshot.scan(&CONTACTS)?;
    let ledger = scan_previous(previous, &LEDGER)?;
    let records = scan_previous(previous, &RECORDS)?;

    let mut staging = Staging::new(work, &format!("history-{}", span.month))?;
    let standing = STANDING_QUERY.run(&[
        ("members", snapshot.scan(&MEMBERS)?),
        ("contacts", contacts.clone()),
        ("cohorts", cohorts_table.clone()),
        ("ledger", ledger.clone()),
        ("records", records.clone()),
    ])?;
    let standing = write(&mut staging, &STANDING, standing)?;

    let ledger = LEDGER_QUERY.run(&[("standing", standing.clone()), ("cohorts", cohorts_table), ("ledger", ledger)])?;
    let ledger = write(&mut staging, &LEDGER, ledger)?;

    let mut states = State::read(previous)?;
    for cohort in cohorts.iter().filter(|cohort| cohort.in_history) {
        let first_month = span.month.first_day();
        let state = states.entry(cohort.cohort_key.clone()).or_insert(State {
            first_month,
            last_month: first_month,
            last_month_end: span.end,
            months: 0,
        });
        *state = State { last_month: first_month, last_month_end: span.end, months: state.months + 1, ..*state };
    }
    let states_table = write(&mut staging, &STATES, State::frame(&states)?)?;

    let people = PEOPLE_QUERY.run(&[
        ("standing", standing),
        ("ledger", ledger),
        ("states", states_table),
        ("contacts", contacts.clone()),
        ("people", scan_previous(previous, &PEOPLE)?),
    ])?;
    let _ = write(&mut staging, &PEOPLE, people)?;

    // The months that some cohort will be compared with next, and those it is compared with now.
    let pinned: Vec<NaiveDate> = states.values().map(|state| state.last_month).collect();
    let compared = cohorts.iter().filter_map(|cohort| cohort.compared.map(|compared| compared.month.first_day()));
    let mut kept: Vec<NaiveDate> = pinned.iter().copied().chain(compared).filter(|month| *month != span.month.first_day()).collect();
    kept.sort();
    kept.dedup();
    let is_kept = kept.iter().map(|month| col("month").eq(lit(*month).cast(DataType::Date))).reduce(Expr::or).unwrap_or(lit(false));
    let mut all = vec![records.filter(is_kept)];
    if pinned.contains(&span.month.first_day()) {
        let columns = [
            lit(span.month.first_day()).cast(DataType::Date).alias("month"),
            col("contact_id"),
            col("role"),
            col("unsubscribed_from_emails"),
        ];
        all.push(contacts.select(columns));
    }
    let records =
        concat(all, UnionArgs::default()).and_then(LazyFrame::collect).map_err(|error| TableError::new("gather", "the records", error))?;
    let _ = write(&mut staging, &RECORDS, records)?;

    let manifest = HistoryManifest {
        format: FORMAT,
        month: span.month.to_string(),
        built_from: source(snapshot, previous),
        files: staging.files().to_vec(),
    };
    let folder = histories.join(month_folder(span.month));
    staging.commit(&folder, &manifest)?;
    let (_, hash) = publish::hash_file(&folder.join(MANIFEST))?;
    Ok(History { folder, manifest, hash })
}

/// Sorts by the table's key, writes, and gives the rows for the next query.
fn write(staging: &mut Staging, table: &Table, frame: DataFrame) -> Result<LazyFrame, HistoryError> {
    let failed = |error| TableError::new("sort", format!("`{}`", table.name), error);
    let frame = table.conform(&frame).map_err(failed)?.sort(table.key.iter().copied(), SortMultipleOptions::default()).map_err(failed)?;
    let relative = format!("{}.parquet", table.name);
    let rows = write_parquet(&frame, table, &staging.place(&relative)?)?;
    staging.list(&relative, rows)?;
    Ok(frame.lazy())
}

/// What is known of one cohort's H.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    first_month: NaiveDate,
    last_month: NaiveDate,
    last_month_end: DateTime<Utc>,
    months: i64,
}

impl State {
    fn read(previous: Option<&History>) -> Result<BTreeMap<String, State>, HistoryError> {
        let failed = |error| TableError::new("read", "`states` of the last history", error);
        let frame = scan_previous(previous, &STATES)?.collect().map_err(failed)?;
        let rows = || -> PolarsResult<BTreeMap<String, State>> {
            let keys = frame.column("cohort_key")?.str()?;
            let first = frame.column("first_month")?.date()?;
            let last = frame.column("last_month")?.date()?;
            let end = frame.column("last_month_end")?.datetime()?;
            let months = frame.column("months")?.i64()?;
            let mut states = BTreeMap::new();
            for row in 0..frame.height() {
                let state = || {
                    Some(State {
                        first_month: NaiveDate::from_epoch_days(first.physical().get(row)?)?,
                        last_month: NaiveDate::from_epoch_days(last.physical().get(row)?)?,
                        last_month_end: DateTime::from_timestamp_micros(end.physical().get(row)?)?,
                        months: months.get(row)?,
                    })
                };
                if let (Some(key), Some(state)) = (keys.get(row), state()) {
                    states.insert(key.to_string(), state);
                }
            }
            Ok(states)
        };
        Ok(rows().map_err(failed)?)
    }

    fn frame(states: &BTreeMap<String, State>) -> Result<DataFrame, HistoryError> {
        let columns = vec![
            Column::new("cohort_key".into(), states.keys().map(String::as_str).collect::<Vec<_>>()),
            Column::new("first_month".into(), states.values().map(|state| state.first_month).collect::<Vec<_>>()),
            Column::new("last_month".into(), states.values().map(|state| state.last_month).collect::<Vec<_>>()),
            instants("last_month_end", states.values().map(|state| Some(state.last_month_end))),
            Column::new("months".into(), states.values().map(|state| state.months).collect::<Vec<_>>()),
        ];
        Ok(DataFrame::new(states.len(), columns).map_err(|error| TableError::new("make", "`states`", error))?)
    }
}
