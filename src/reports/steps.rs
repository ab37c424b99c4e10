//! The analysis of a month: a list of steps from the tables of the archive to the tables that reports are judged from.
//!
//! Every table is declared, also the small ones that are made for each month (`inputs`). Nothing is computed between two steps, so
//! every engine can run the list. The cost of a month does not grow with the number of months.

mod embedded;
mod inputs;
mod rules;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use polars::prelude::{DataFrame, IntoLazy, LazyFrame};

use crate::history::{
    COUNTS, Definitions, History, HistoryError, LEDGER, PROFILES, RULE_MEMBERS, STATES, State, TRIANGLE, scan_previous, source,
};
use crate::rules::Rule;
use archive::Archive;
use archive::engine::{Dialect, Engine, Input, Polars, Step};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, Snapshot};
use archive::table::{Table, TableError};

pub use embedded::Embedded;

pub(crate) use embedded::people;
use inputs::cohort_months;
pub use inputs::{CohortMonth, Compared, cohorts_of};
pub use tables::*;

macro_rules! step {
    ($table:expr, $file:literal) => {
        Step::new($table, include_str!(concat!("steps/", $file, ".sql")))
    };
}

/// The steps whose SQL is the same for every job, each after the steps whose tables it reads. The generated step of [`MEMBERSHIPS`]
/// comes after the first.
pub const STEPS: &[Step] = &[
    step!(&OPENED, "opened"),
    step!(&RULE_MEMBERS, "rule_members"),
    step!(&STANDING, "standing"),
    step!(&LEDGER, "ledger"),
    step!(&SIGNATURES, "signatures"),
    step!(&RELATIONS, "relations"),
    step!(&CELLS, "cells"),
    step!(&SIZES, "sizes"),
    step!(&COUNTS, "counts"),
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

/// What a month is counted from.
#[derive(Clone, Copy)]
pub struct Month<'a> {
    pub snapshot: &'a Snapshot,
    pub definitions: &'a Definitions,
    /// The history of the month before; `None` for a job's first month.
    pub previous: Option<&'a History>,
    /// The month before, if its history was made from these tables. Then they are not read again.
    pub counted_before: Option<&'a Counted>,
    /// The snapshots of earlier months that can be read, the newest last.
    pub earlier: &'a [&'a Snapshot],
}

/// A month that was counted.
#[derive(Clone)]
pub struct Counted {
    month: domain::Month,
    engine: Embedded,
    pub cohorts: Vec<CohortMonth>,
    /// The compared months whose contacts cannot be read: who unsubscribed or became a user since then is unknown.
    pub unreadable: BTreeSet<domain::Month>,
    /// The state of each cohort's history after this month.
    states: BTreeMap<String, State>,
}

impl Month<'_> {
    /// The compared months whose contacts cannot be read.
    ///
    /// # Errors
    /// When the history before cannot be read.
    pub fn unreadable(&self) -> Result<BTreeSet<domain::Month>, HistoryError> {
        let compared = compared_months(&cohort_months(&self.snapshot.manifest, self.definitions, &State::read(self.previous)?));
        let (_, readable) = self.contacts_before(|month| compared.contains(&month))?;
        Ok(compared.difference(&readable).copied().collect())
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
        let manifest = &snapshot.manifest;
        let span = manifest.span()?;
        let before = self.counted_before().map_or_else(|| State::read(self.previous), |counted| Ok(counted.states.clone()))?;
        let cohorts = cohort_months(manifest, definitions, &before);
        let in_history = cohorts.iter().filter(|cohort| cohort.in_history).map(|cohort| cohort.cohort_key.as_str());
        let states = State::all_after(before, in_history, &span);
        let compared = compared_months(&cohorts);
        let rules: Vec<&Rule> =
            definitions.rules.iter().filter(|rule| cohorts.iter().any(|cohort| cohort.cohort_key == rule.cohort_key())).collect();
        // Members that are gone are described by the last month that had them.
        let (contacts_before, readable) = self.contacts_before(|month| compared.first().is_some_and(|first| month >= *first))?;
        let unreadable = compared.difference(&readable).copied().collect();
        let mut inputs = vec![
            Input::new(&CONTACTS, inputs::contacts(snapshot, definitions, &rules)?),
            Input::new(&MEMBERS, snapshot.scan(&MEMBERS)?),
            Input::new(&CONVERSATIONS, inputs::conversations(snapshot)?),
            Input::new(&ATTRIBUTES, inputs::attributes(snapshot, definitions, &rules)?),
            self.before(&LEDGER_BEFORE, &LEDGER)?,
            self.before(&COUNTS_BEFORE, &COUNTS)?,
            self.before(&TRIANGLE_BEFORE, &TRIANGLE)?,
            self.before(&PROFILES_BEFORE, &PROFILES)?,
            Input::new(&COHORTS, inputs::cohorts_frame(&cohorts, manifest, &readable)?.lazy()),
            Input::new(&THIS_MONTH, inputs::this_month_frame(manifest)?.lazy()),
            Input::new(&PROFILE, inputs::profile_frame(definitions, manifest)?.lazy()),
            Input::new(&KEPT_MONTHS, inputs::kept_months_frame(&kept_months(&cohorts, &states, span.month.first_day()))?.lazy()),
            Input::new(&RULE_REFERENCES, rules::references(&rules, manifest, span.month.first_day())?.lazy()),
        ];
        inputs.extend(contacts_before);
        let mut engine = Embedded::over(Polars::over(inputs)?)?;
        for step in all(rules, manifest.conversations, Dialect::Polars) {
            engine.run(&step)?;
            watch(&engine, &step);
            engine.forget_after(&step).map_err(inputs::reading(step.table))?;
        }
        Ok(Counted { month: span.month, engine, cohorts, unreadable, states })
    }

    fn counted_before(&self) -> Option<&Counted> {
        self.counted_before.filter(|counted| counted.tables().table(LEDGER.name).is_ok())
    }

    /// A table of the history before.
    fn before(&self, table: &'static Table, kept: &'static Table) -> Result<Input, HistoryError> {
        match self.counted_before() {
            Some(counted) => Ok(counted.input(table, counted.tables().table(kept.name).map_err(inputs::reading(kept))?.clone().lazy())),
            None => Ok(Input::new(table, scan_previous(self.previous, kept)?)),
        }
    }

    /// The contacts of the wanted earlier months, and the months that can be read.
    fn contacts_before(&self, is_wanted: impl Fn(domain::Month) -> bool) -> Result<(Vec<Input>, BTreeSet<domain::Month>), HistoryError> {
        let mut all = vec![Input::new(&CONTACTS_BEFORE, CONTACTS_BEFORE.empty().lazy())];
        let mut months = BTreeSet::new();
        let identifiers = &self.snapshot.manifest.identifiers;
        for snapshot in self.earlier {
            let month = snapshot.manifest.month()?;
            if !is_wanted(month) {
                continue;
            }
            let is_comparable = &snapshot.manifest.identifiers == identifiers;
            if let Some(counted) = self.counted_before().filter(|counted| counted.month == month) {
                let contacts = counted.tables().table(CONTACTS.name).map_err(inputs::reading(&CONTACTS))?;
                all.push(counted.input(&CONTACTS_BEFORE, inputs::contacts_of_month(contacts.clone().lazy(), month, is_comparable)));
            } else {
                match snapshot.scan(&CONTACTS) {
                    Ok(contacts) => all.push(Input::new(&CONTACTS_BEFORE, inputs::contacts_of_month(contacts, month, is_comparable))),
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
        let table = |table: &'static Table| {
            if table.name == STATES.name { State::frame(&self.states) } else { Ok(self.table(table)?) }
        };
        let without = self.unreadable.iter().map(ToString::to_string).collect();
        History::publish(archive, month.snapshot, source(&month.snapshot.hash, month.definitions, month.previous, without), table)
    }

    /// The engine that counted the month.
    pub fn engine(&self) -> &Embedded {
        &self.engine
    }

    /// All tables. Contacts are numbers.
    pub fn tables(&self) -> &Polars {
        self.engine.tables()
    }

    /// The rows of a table, with the IDs of contacts.
    ///
    /// # Errors
    /// When no step makes such a table.
    pub fn table(&self, table: &'static Table) -> Result<DataFrame, TableError> {
        self.engine.rows(table)
    }

    /// Forgets the ledger, which no report reads. No month can be counted from this one afterwards.
    pub fn forget_ledger(&mut self) {
        self.engine.forget_ledger();
    }

    /// Only what the next month is counted from. The other tables need about as much memory.
    pub fn for_next_month(mut self) -> Counted {
        self.engine.keep_for_next_month();
        self
    }

    fn input(&self, table: &'static Table, rows: LazyFrame) -> Input {
        Input { numbers: Some(self.tables().numbers().clone()), ..Input::new(table, rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUTS: &[&Table] = &[
        &CONTACTS,
        &MEMBERS,
        &CONVERSATIONS,
        &ATTRIBUTES,
        &CONTACTS_BEFORE,
        &LEDGER_BEFORE,
        &COUNTS_BEFORE,
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
        let mut known: BTreeSet<&str> = INPUTS.iter().map(|table| table.name).collect();
        for step in &all(&[], true, Dialect::Polars) {
            assert_eq!(step.output(), Some(step.table.name));
            for input in step.inputs() {
                assert!(known.contains(input), "{} reads `{input}` before it is made", step.table.name);
            }
            known.insert(step.table.name);
        }
    }
}
