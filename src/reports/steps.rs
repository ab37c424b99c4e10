//! The analysis of a month: a list of steps from the tables of the archive to the small tables from which reports are made.
//!
//! Every table is declared, also the small ones that are made for each month (`inputs`). Nothing is computed between two steps, so
//! every engine can run the list. The cost of a month does not grow with the number of months.

mod embedded;
mod inputs;
mod remote;
mod rules;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use polars::prelude::{DataFrame, IntoLazy, LazyFrame};

use crate::history::{
    COUNTS, Definitions, History, HistoryError, LEDGER, OPT_OUTS, PROFILES, RULE_MEMBERS, STATES, State, TRIANGLE, scan_previous, source,
};
use crate::rules::Rule;
use archive::Archive;
use archive::engine::{Dialect, Engine, EngineError, EngineFolder, Input, Polars, Step};
use archive::publish::Staging;
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTION_TYPES, SUBSCRIPTIONS, Snapshot, VANISHED};
use archive::table::{Table, write_parquet};
use domain::MonthSpan;

pub use embedded::Embedded;
pub use remote::ReportQueries;

pub(crate) use embedded::people;
use inputs::cohort_months;
pub use inputs::{CohortMonth, Compared, cohorts_of};
pub use tables::*;

macro_rules! step {
    ($table:expr, $file:literal) => {
        Step::new($table, include_str!(concat!("steps/", $file, ".sql")))
    };
}

/// The steps whose SQL is the same for every job, each after the steps whose tables it reads. The step of [`MEMBERSHIPS`] is generated for
/// each job, so it is not in this list: [`all`] inserts it after the first step.
pub const STEPS: &[Step] = &[
    step!(&OPENED, "opened"),
    step!(&RULE_MEMBERS, "rule_members"),
    step!(&CHOICES, "choices"),
    step!(&PAST, "past"),
    step!(&STANDING, "standing"),
    step!(&LEDGER, "ledger"),
    step!(&SIGNATURES, "signatures"),
    step!(&RELATIONS, "relations"),
    step!(&CELLS, "cells"),
    step!(&SIZES, "sizes"),
    step!(&FOLLOWED, "followed"),
    step!(&COUNTS, "counts"),
    step!(&OPT_OUTS, "opt_outs"),
    step!(&TRIANGLE, "triangle"),
    step!(&ACTIVITY, "activity"),
    step!(&SHARED, "shared"),
    step!(&MOVES, "moves"),
    step!(&ATTRIBUTE_VALUES, "attribute_values"),
    step!(&DESCRIBED, "described"),
    step!(&PROFILES, "profiles"),
    step!(&QUALITY, "quality"),
];

/// All steps of a job with these rules, in order. A rule adds a part to the query of [`MEMBERSHIPS`].
pub fn all<'a>(rules: impl IntoIterator<Item = &'a Rule>, has_conversations: bool, dialect: Dialect) -> Vec<Step> {
    let mut all = STEPS.to_vec();
    all.insert(1, rules::memberships(rules, has_conversations, dialect));
    all
}

/// The tables of the history of the month before: the name that the steps use, and the table in that history.
const BEFORE: [(&Table, &Table); 5] = [
    (&LEDGER_BEFORE, &LEDGER),
    (&COUNTS_BEFORE, &COUNTS),
    (&OPT_OUTS_BEFORE, &OPT_OUTS),
    (&TRIANGLE_BEFORE, &TRIANGLE),
    (&PROFILES_BEFORE, &PROFILES),
];

/// What a month is counted from.
#[derive(Clone, Copy)]
pub struct Month<'a> {
    pub snapshot: &'a Snapshot,
    pub definitions: &'a Definitions,
    /// The history of the month before; `None` for a job's first month.
    pub previous: Option<&'a History>,
    /// The month before, if `previous` was made from its tables. If these tables are still in memory, `previous` is not read.
    pub counted_before: Option<&'a Counted>,
    /// The snapshots of earlier months that can be read, the newest last.
    pub earlier: &'a [&'a Snapshot],
}

/// A month that was counted.
#[derive(Clone)]
pub struct Counted {
    month: domain::Month,
    tables: Tables,
    pub cohorts: Vec<CohortMonth>,
    /// The compared months whose contacts cannot be read: who unsubscribed or became a user since then is unknown.
    pub unreadable: BTreeSet<domain::Month>,
    /// The state of each cohort's history after this month.
    states: BTreeMap<String, State>,
}

/// Where the tables of a counted month are.
#[derive(Clone)]
enum Tables {
    InMemory(Embedded),
    /// Where an engine outside of this process wrote them.
    OnEngine(EngineFolder),
}

/// What the inputs of the steps are made from.
struct Plan<'a> {
    span: MonthSpan,
    cohorts: Vec<CohortMonth>,
    states: BTreeMap<String, State>,
    rules: Vec<&'a Rule>,
    compared: BTreeSet<domain::Month>,
}

impl<'a> Plan<'a> {
    fn of(month: &Month<'a>, before: BTreeMap<String, State>) -> Result<Plan<'a>, HistoryError> {
        let manifest = &month.snapshot.manifest;
        let span = manifest.span()?;
        let cohorts = cohort_months(manifest, month.definitions, &before);
        let in_history = cohorts.iter().filter(|cohort| cohort.in_history).map(|cohort| cohort.cohort_key.as_str());
        let states = State::all_after(before, in_history, &span);
        let has_cohort = |rule: &&Rule| cohorts.iter().any(|cohort| cohort.cohort_key == rule.cohort_key());
        let rules = month.definitions.rules.iter().filter(has_cohort).collect();
        let compared = compared_months(&cohorts);
        Ok(Plan { span, cohorts, states, rules, compared })
    }

    /// Whether the contacts of an earlier month are read, to describe members that are gone: not if the month is before all compared
    /// months.
    fn wants(&self, month: domain::Month) -> bool {
        self.compared.first().is_some_and(|first| month >= *first)
    }

    /// The small tables that are made for each month.
    fn small_tables(
        &self,
        month: &Month<'_>,
        readable: &BTreeSet<domain::Month>,
    ) -> Result<[(&'static Table, DataFrame); 5], HistoryError> {
        let manifest = &month.snapshot.manifest;
        let first_day = self.span.month.first_day();
        Ok([
            (&COHORTS, inputs::cohorts_frame(&self.cohorts, manifest, readable, &months_with_subscriptions(month)?)?),
            (&THIS_MONTH, inputs::this_month_frame(manifest)?),
            (&PROFILE, inputs::profile_frame(month.definitions, manifest)?),
            (&KEPT_MONTHS, inputs::kept_months_frame(&kept_months(&self.cohorts, &self.states, first_day))?),
            (&RULE_REFERENCES, rules::references(&self.rules, manifest, first_day)?),
        ])
    }

    fn counted(self, tables: Tables, readable: &BTreeSet<domain::Month>) -> Counted {
        let unreadable = self.compared.difference(readable).copied().collect();
        Counted { month: self.span.month, tables, cohorts: self.cohorts, unreadable, states: self.states }
    }
}

impl Month<'_> {
    /// The compared months whose contacts or subscriptions cannot be read. If `is_for_engine`, the files are not fetched, because an engine
    /// outside of this process reads them.
    ///
    /// # Errors
    /// When the history of the month before cannot be read, or a snapshot cannot be fetched.
    pub fn unreadable(&self, is_for_engine: bool) -> Result<BTreeSet<domain::Month>, HistoryError> {
        let mut compared = compared_months(&cohort_months(&self.snapshot.manifest, self.definitions, &State::read(self.previous)?));
        for snapshot in self.earlier {
            let month = snapshot.manifest.month()?;
            if !compared.contains(&month) {
                continue;
            }
            let of = |table| if is_for_engine { snapshot.for_engine(table).map(drop) } else { snapshot.files_of(table).map(drop) };
            let found = of(&CONTACTS).and_then(|()| of(&SUBSCRIPTIONS));
            match found {
                Ok(()) => drop(compared.remove(&month)),
                Err(damage) if damage.is_unreachable() => return Err(damage.into()),
                Err(_) => {}
            }
        }
        Ok(compared)
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// When a table cannot be read, or does not fit a step.
    pub fn count(&self) -> Result<Counted, HistoryError> {
        self.count_watched(|_, _| {})
    }

    /// As [`Month::count`]. `watch` sees the engine after each step, before it forgets the tables that no later step reads.
    ///
    /// # Errors
    /// As [`Month::count`].
    pub fn count_watched(&self, mut watch: impl FnMut(&Embedded, &Step)) -> Result<Counted, HistoryError> {
        let Month { snapshot, definitions, .. } = *self;
        let before = self.counted_before().map_or_else(|| State::read(self.previous), |(counted, _)| Ok(counted.states.clone()))?;
        let plan = Plan::of(self, before)?;
        // A member that is gone is described by its last record, so months between the compared months are read, too.
        let (contacts_before, readable) = self.contacts_before(|month| plan.wants(month))?;
        let mut inputs = vec![
            Input::new(&CONTACTS, inputs::contacts(snapshot, definitions, &plan.rules)?),
            Input::new(&MEMBERS, snapshot.scan(&MEMBERS)?),
            Input::new(&CONVERSATIONS, inputs::conversations(snapshot)?),
            Input::new(&ATTRIBUTES, inputs::attributes(snapshot, definitions, &plan.rules)?),
            Input::new(&SUBSCRIPTIONS, snapshot.scan(&SUBSCRIPTIONS)?),
            Input::new(&SUBSCRIPTION_TYPES, snapshot.scan(&SUBSCRIPTION_TYPES)?),
            Input::new(&VANISHED, snapshot.scan(&VANISHED)?),
        ];
        for (table, kept) in BEFORE {
            inputs.push(self.before(table, kept)?);
        }
        inputs.extend(plan.small_tables(self, &readable)?.map(|(table, rows)| Input::new(table, rows.lazy())));
        inputs.extend(contacts_before);
        let mut engine = Embedded::over(Polars::over(inputs)?)?;
        for step in all(plan.rules.iter().copied(), snapshot.manifest.conversations, Dialect::Polars) {
            engine.run(&step)?;
            watch(&engine, &step);
            engine.forget_after(&step).map_err(inputs::reading(step.table))?;
        }
        Ok(plan.counted(Tables::InMemory(engine), &readable))
    }

    /// The month before, if its tables are in memory.
    fn counted_before(&self) -> Option<(&Counted, &Polars)> {
        let counted = self.counted_before?;
        let tables = counted.tables().filter(|tables| tables.table(LEDGER.name).is_ok())?;
        Some((counted, tables))
    }

    /// A table of the history before.
    fn before(&self, table: &'static Table, kept: &'static Table) -> Result<Input, HistoryError> {
        match self.counted_before() {
            Some((_, tables)) => Ok(input(tables, table, tables.table(kept.name).map_err(inputs::reading(kept))?.clone().lazy())),
            None => Ok(Input::new(table, scan_previous(self.previous, kept)?)),
        }
    }

    /// The contacts of the wanted earlier months, and the months that can be read.
    fn contacts_before(&self, is_wanted: impl Fn(domain::Month) -> bool) -> Result<(Vec<Input>, BTreeSet<domain::Month>), HistoryError> {
        let mut all = vec![
            Input::new(&CONTACTS_BEFORE, CONTACTS_BEFORE.empty().lazy()),
            Input::new(&SUBSCRIPTIONS_BEFORE, SUBSCRIPTIONS_BEFORE.empty().lazy()),
        ];
        let mut months = BTreeSet::new();
        let identifiers = &self.snapshot.manifest.identifiers;
        for snapshot in self.earlier {
            let month = snapshot.manifest.month()?;
            if !is_wanted(month) {
                continue;
            }
            let is_comparable = &snapshot.manifest.identifiers == identifiers;
            if let Some((_, tables)) = self.counted_before().filter(|(counted, _)| counted.month == month) {
                let of =
                    |table: &'static Table| Ok::<_, HistoryError>(tables.table(table.name).map_err(inputs::reading(table))?.clone().lazy());
                all.push(input(tables, &CONTACTS_BEFORE, inputs::contacts_of_month(of(&CONTACTS)?, month, is_comparable)));
                all.push(input(tables, &SUBSCRIPTIONS_BEFORE, inputs::subscriptions_of_month(of(&SUBSCRIPTIONS)?, month)));
            } else {
                let scanned = snapshot.scan(&CONTACTS).and_then(|contacts| Ok((contacts, snapshot.scan(&SUBSCRIPTIONS)?)));
                match scanned {
                    Ok((contacts, subscriptions)) => {
                        all.push(Input::new(&CONTACTS_BEFORE, inputs::contacts_of_month(contacts, month, is_comparable)));
                        all.push(Input::new(&SUBSCRIPTIONS_BEFORE, inputs::subscriptions_of_month(subscriptions, month)));
                    }
                    // A damaged snapshot is left out.
                    Err(error) if error.is_damage() => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            months.insert(month);
        }
        Ok((all, months))
    }
}

/// The earlier months whose subscriptions were observed.
fn months_with_subscriptions(month: &Month<'_>) -> Result<BTreeSet<domain::Month>, HistoryError> {
    let observed = month.earlier.iter().filter(|snapshot| snapshot.manifest.subscriptions);
    observed.map(|snapshot| Ok(snapshot.manifest.month()?)).collect()
}

fn compared_months(cohorts: &[CohortMonth]) -> BTreeSet<domain::Month> {
    cohorts.iter().filter_map(|cohort| Some(cohort.compared?.month)).collect()
}

/// The earlier months with which a cohort is compared now, or will be compared next.
fn kept_months(cohorts: &[CohortMonth], states: &BTreeMap<String, State>, now: NaiveDate) -> BTreeSet<NaiveDate> {
    let next = states.values().map(|state| state.last_month);
    let compared = cohorts.iter().filter_map(|cohort| cohort.compared.map(|compared| compared.month.first_day()));
    next.chain(compared).filter(|month| *month != now).collect()
}

impl Counted {
    /// Publishes the month's history.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn publish_history(&self, archive: &Archive, month: &Month<'_>) -> Result<History, HistoryError> {
        let write = |table: &'static Table, staging: &Staging| {
            if let Tables::OnEngine(folder) = &self.tables
                && remote::is_published_by_engine(table)
            {
                return Ok(folder.publish(table.name, table, staging)?);
            }
            let rows = if table.name == STATES.name { State::frame(&self.states)? } else { self.table(table)? };
            let relative = format!("{}.parquet", table.name);
            let rows = write_parquet(&rows, table, &staging.place(&relative)?)?;
            Ok(staging.list(&relative, rows)?)
        };
        let without = self.unreadable.iter().map(ToString::to_string).collect();
        History::publish(archive, month.snapshot, source(&month.snapshot.hash, month.definitions, month.previous, without), write)
    }

    /// The engine of this process that counted the month; `None` if an engine outside of this process did.
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.tables {
            Tables::InMemory(engine) => Some(engine),
            Tables::OnEngine(_) => None,
        }
    }

    /// The folder of the engine outside of this process that counted the month; `None` if this process did.
    pub fn engine_folder(&self) -> Option<&EngineFolder> {
        match &self.tables {
            Tables::InMemory(_) => None,
            Tables::OnEngine(folder) => Some(folder),
        }
    }

    /// The tables in memory. Contacts are numbers.
    fn tables(&self) -> Option<&Polars> {
        self.embedded().map(Embedded::tables)
    }

    /// The rows of a table, with the IDs of contacts.
    ///
    /// # Errors
    /// When no step makes this table, or when the table cannot be read.
    pub fn table(&self, table: &'static Table) -> Result<DataFrame, EngineError> {
        match &self.tables {
            Tables::InMemory(engine) => Ok(engine.rows(table)?),
            Tables::OnEngine(folder) => folder.rows(table.name, table),
        }
    }

    /// Forgets the ledger, which no report reads. No month can be counted from this one afterwards.
    pub fn forget_ledger(&mut self) {
        if let Tables::InMemory(engine) = &mut self.tables {
            engine.forget_ledger();
        }
    }

    /// The month with only the tables from which the next month is counted. The other tables need about as much memory.
    pub fn for_next_month(mut self) -> Counted {
        if let Tables::InMemory(engine) = &mut self.tables {
            engine.keep_for_next_month();
        }
        self
    }
}

fn input(tables: &Polars, table: &'static Table, rows: LazyFrame) -> Input {
    Input { numbers: Some(tables.numbers().clone()), ..Input::new(table, rows) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &[&Table] = &[
        &CONTACTS,
        &MEMBERS,
        &CONVERSATIONS,
        &ATTRIBUTES,
        &SUBSCRIPTIONS,
        &SUBSCRIPTION_TYPES,
        &VANISHED,
        &CONTACTS_BEFORE,
        &SUBSCRIPTIONS_BEFORE,
        &LEDGER_BEFORE,
        &COUNTS_BEFORE,
        &OPT_OUTS_BEFORE,
        &TRIANGLE_BEFORE,
        &PROFILES_BEFORE,
        &COHORTS,
        &THIS_MONTH,
        &PROFILE,
        &KEPT_MONTHS,
        &RULE_REFERENCES,
    ];

    #[test]
    fn every_header_declares_the_tables_that_the_step_reads_and_makes() {
        let mut known: BTreeSet<String> = INPUTS.iter().map(|table| table.name.to_string()).collect();
        let of_reports = crate::analysis::queries().queries;
        let steps = all(&[], true, Dialect::Polars).into_iter().map(|step| (step.table.name.to_string(), step));
        for (name, step) in steps.chain(of_reports.into_iter().map(|query| (query.name, query.step))) {
            assert_eq!(step.output(), Some(step.table.name));
            for input in step.inputs() {
                assert!(known.contains(input), "{name} reads `{input}` before it is made");
            }
            known.insert(name);
        }
    }
}
