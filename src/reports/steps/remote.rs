//! A month that is counted by an engine outside of this process: what it reads, and which queries it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use polars::prelude::*;
use serde_json::json;

use super::tables::{CONTACTS_BEFORE, SUBSCRIPTIONS_BEFORE};
use super::{BEFORE, Counted, Month, Plan, Tables, all};
use crate::history::{COUNTS, HistoryError, LEDGER, RULE_MEMBERS, State};
use archive::engine::{Dialect, EngineError, EngineFolder, Kept, Query, RemoteEngine, Step, View, Work};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTION_TYPES, SUBSCRIPTIONS, VANISHED};
use archive::table::{Table, TableError};
use domain::is_identifier;

/// The queries of the reports that have a row for each member.
#[derive(Clone, Debug)]
pub struct ReportQueries {
    pub queries: Vec<Query>,
    /// The query with a row for each member and for everyone who departed. Its rows are compared with the counts.
    pub members: String,
}

/// Whether the history contains a table's rows as an engine wrote them. This is so for tables with a row for each contact.
pub(super) fn is_published_by_engine(table: &Table) -> bool {
    [LEDGER.name, RULE_MEMBERS.name].contains(&table.name)
}

impl Month<'_> {
    /// Lets an engine run the steps, and the queries of the reports that have a row for each member. After each query, `watch` gets its
    /// name, its time, and the number of all queries.
    ///
    /// # Errors
    /// When the engine cannot be reached or refuses a query, or when the rows that it wrote cannot be correct.
    pub fn count_on(
        &self,
        engine: &dyn RemoteEngine,
        folder: EngineFolder,
        reports: &ReportQueries,
        watch: &(dyn Fn(&str, Duration, usize) + Sync),
    ) -> Result<Counted, HistoryError> {
        let (plan, readable, work) = self.work(&folder, reports)?;
        let queries = work.queries.len();
        engine.run(&work, &folder, &|name, time| watch(name, time, queries))?;
        let counted = plan.counted(Tables::OnEngine(folder), &readable);
        counted.check_rows(&reports.members)?;
        Ok(counted)
    }

    /// The queries as a script for `spark-sql`. The small tables are written to the folder. `place` is the location of the archive as the
    /// cluster spells it. [`Month::keep_for_script`] keeps the folder.
    ///
    /// # Errors
    /// When a file is damaged, or cannot be written.
    pub fn script(&self, folder: &EngineFolder, reports: &ReportQueries, place: &str) -> Result<String, HistoryError> {
        folder.clear()?;
        let (_, _, work) = self.work(folder, reports)?;
        Ok(work.script(folder, place))
    }

    /// Keeps the folder until a person has run the script.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_for_script(&self, folder: &EngineFolder) -> Result<(), HistoryError> {
        Ok(folder.keep_for_script(self.fingerprint().as_bytes())?)
    }

    /// The month, if a person has run its script. `None` if there is no script, or if it was made from other months or definitions; in that
    /// case the folder is cleared.
    ///
    /// # Errors
    /// When the script has not run to its end, or when the rows that it wrote cannot be correct.
    pub fn counted_by_script(&self, folder: EngineFolder, reports: &ReportQueries) -> Result<Option<Counted>, HistoryError> {
        let Some(from) = folder.script()? else { return Ok(None) };
        if from != self.fingerprint().as_bytes() {
            tracing::warn!(month = %self.snapshot.manifest.month()?, "the script of the month was made from other data; what it wrote is removed");
            folder.clear()?;
            return Ok(None);
        }
        let (plan, readable, work) = self.work(&folder, reports)?;
        work.queries.iter().filter(|query| query.kept != Kept::View).try_for_each(|query| folder.take_from_script(&query.name))?;
        let counted = plan.counted(Tables::OnEngine(folder), &readable);
        counted.check_rows(&reports.members)?;
        Ok(Some(counted))
    }

    /// Identifies the inputs of the month, and the version of the program, which writes the queries.
    fn fingerprint(&self) -> String {
        let history = self.previous.map(|history| &history.hash);
        let (version, definitions) = (env!("CARGO_PKG_VERSION"), self.definitions.fingerprint());
        json!({ "version": version, "snapshot": self.snapshot.hash, "history": history, "definitions": definitions }).to_string()
    }

    /// The month's plan, the earlier months whose snapshots can be read, and the tables and queries for the engine. Tables that are in no file yet
    /// are written to the folder.
    fn work(&self, folder: &EngineFolder, reports: &ReportQueries) -> Result<(Plan<'_>, BTreeSet<domain::Month>, Work), HistoryError> {
        let plan = Plan::of(self, State::read(self.previous)?)?;
        let mut views = Vec::new();
        let mut view = |name: &str, table: &'static Table, files: Vec<String>| -> Result<(), HistoryError> {
            let files = if files.is_empty() { vec![folder.put(table, &table.empty())?] } else { files };
            views.push(View { name: name.to_string(), table, files });
            Ok(())
        };
        for table in [&CONTACTS, &MEMBERS, &CONVERSATIONS, &ATTRIBUTES, &SUBSCRIPTIONS, &SUBSCRIPTION_TYPES, &VANISHED] {
            view(table.name, table, self.snapshot.for_engine(table)?)?;
        }
        for (table, kept) in BEFORE {
            view(table.name, table, self.previous.map_or_else(|| Ok(Vec::new()), |history| history.for_engine(kept))?)?;
        }
        let (mut contacts, mut subscriptions) = (Vec::new(), Vec::new());
        let mut readable = BTreeSet::new();
        for snapshot in self.earlier {
            let month = snapshot.manifest.month()?;
            if !plan.wants(month) {
                continue;
            }
            let files = snapshot.for_engine(&CONTACTS).and_then(|files| Ok((files, snapshot.for_engine(&SUBSCRIPTIONS)?)));
            match files {
                Ok((files, files_of_subscriptions)) => {
                    let name = |table: &Table| format!("{}_of_{}", table.name, month.to_string().replace('-', "_"));
                    let is_comparable = snapshot.manifest.identifiers == self.snapshot.manifest.identifiers;
                    contacts.push(of_month(&CONTACTS_BEFORE, &name(&CONTACTS), month, is_comparable));
                    view(&name(&CONTACTS), &CONTACTS, files)?;
                    if !files_of_subscriptions.is_empty() {
                        subscriptions.push(of_month(&SUBSCRIPTIONS_BEFORE, &name(&SUBSCRIPTIONS), month, true));
                        view(&name(&SUBSCRIPTIONS), &SUBSCRIPTIONS, files_of_subscriptions)?;
                    }
                    readable.insert(month);
                }
                // A damaged snapshot is left out.
                Err(damage) if !damage.is_unreachable() => continue,
                Err(damage) => return Err(damage.into()),
            }
        }
        for (table, rows) in plan.small_tables(self, &readable)? {
            let file = folder.put(table, &rows)?;
            view(table.name, table, vec![file])?;
        }
        let mut queries = Vec::new();
        let before: [(&'static Table, Vec<String>); 2] = [(&CONTACTS_BEFORE, contacts), (&SUBSCRIPTIONS_BEFORE, subscriptions)];
        for (table, parts) in before {
            if parts.is_empty() {
                view(table.name, table, Vec::new())?;
            } else {
                queries.push(Query::new(table.name, Step { table, sql: parts.join("UNION ALL\n").into() }, Kept::View));
            }
        }
        for step in all(plan.rules.iter().copied(), self.snapshot.manifest.conversations, Dialect::Spark) {
            let kept = if is_published_by_engine(step.table) { Kept::SortedFiles } else { Kept::Files };
            queries.push(Query::new(step.table.name, step, kept));
        }
        queries.extend(reports.queries.iter().cloned());
        Ok((plan, readable, Work { views, queries }))
    }
}

/// A query that turns the view of an earlier month into rows of the table of all earlier months. Identifiers are null if the two months
/// write them in different ways.
fn of_month(table: &Table, view: &str, month: domain::Month, is_comparable: bool) -> String {
    let columns = table.columns.iter().map(|column| match column.name {
        "month" => format!("CAST('{}' AS DATE) AS month", month.first_day()),
        name if is_identifier(name) && !is_comparable => format!("CAST(NULL AS STRING) AS {name}"),
        name => format!("k.{name}"),
    });
    format!("SELECT {}\nFROM {view} AS k\n", columns.collect::<Vec<_>>().join(", "))
}

impl Counted {
    /// Compares the number of rows in `counts` with the number of cohorts, and the number of rows of the report `members` with the sum in
    /// `counts`. Both tables come from the same members, in different ways. If an engine writes its files to another location, this check
    /// finds no rows.
    fn check_rows(&self, members: &str) -> Result<(), HistoryError> {
        let Tables::OnEngine(folder) = &self.tables else { return Ok(()) };
        let counts = self.table(&COUNTS)?;
        let of_now = || -> PolarsResult<Vec<i64>> {
            let (months, members, departed) = (counts.column("month")?.date()?, counts.column("members")?, counts.column("departed")?);
            let rows = months.physical().iter().zip(members.i64()?.iter()).zip(departed.i64()?.iter());
            let now = self.month.first_day().to_epoch_days();
            let of_now = rows.filter(|((month, _), _)| *month == Some(now));
            Ok(of_now.map(|((_, members), departed)| members.unwrap_or_default() + departed.unwrap_or_default()).collect())
        };
        let of_now = of_now().map_err(|error| TableError::new("read", "`counts`", error))?;
        let unsound = |query: &str, problem: String| Err(EngineError::Unsound { query: query.to_string(), problem }.into());
        if of_now.len() != self.cohorts.len() {
            return unsound(COUNTS.name, format!("{} rows for {} cohorts", of_now.len(), self.cohorts.len()));
        }
        let (expected, found) = (of_now.iter().sum::<i64>(), folder.count(members)?);
        if u64::try_from(expected) != Ok(found) {
            return unsound(members, format!("{found} rows, where the counts have {expected} members and departed"));
        }
        Ok(())
    }
}
