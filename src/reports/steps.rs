//! The analysis of a month: a list of steps from the tables of the archive to the tables that reports are judged from.
//!
//! Every table is declared, also the small ones that are made for each month (`inputs`). Nothing happens to a table between two steps, so
//! every engine can run the list. The cost of a month does not grow with the number of months.

mod inputs;
mod rules;
mod signatures;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use polars::prelude::{DataFrame, IntoLazy};

use crate::history::{
    COUNTS, Definitions, History, HistoryError, LEDGER, PROFILES, RULE_MEMBERS, STATES, State, TRIANGLE, scan_previous, source,
};
use archive::Archive;
use archive::engine::{Polars, Step};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, Snapshot};
use archive::table::{Table, TableError};

pub use inputs::{CohortMonth, Compared, cohort_months};
pub use tables::*;

macro_rules! step {
    ($table:expr, $file:literal) => {
        Step::new($table, include_str!(concat!("steps/", $file, ".sql")))
    };
}

const OPENED_STEP: Step = step!(&OPENED, "opened");

/// The steps whose SQL is the same for every job, each after the steps whose tables it reads. The generated step of [`MEMBERSHIPS`]
/// comes after the first.
pub const STEPS: &[Step] = &[
    OPENED_STEP,
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
    step!(&DESCRIBED, "described"),
    step!(&PROFILES, "profiles"),
    step!(&QUALITY, "quality"),
];

/// All steps of a job without rules, in order. A rule adds a part to the query of [`MEMBERSHIPS`].
pub fn without_rules() -> Vec<Step> {
    let mut all = STEPS.to_vec();
    all.insert(1, rules::memberships(&[], true));
    all
}

/// What a month is counted from.
#[derive(Clone, Copy)]
pub struct Month<'a> {
    pub snapshot: &'a Snapshot,
    pub definitions: &'a Definitions,
    /// The history of the month before; `None` for a job's first month.
    pub previous: Option<&'a History>,
    /// The snapshots of earlier months that can be read, the newest last.
    pub earlier: &'a [&'a Snapshot],
}

/// A month that was counted.
pub struct Counted {
    engine: Polars,
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
        let cohorts = cohort_months(&self.snapshot.manifest, self.definitions, self.previous)?;
        let compared = compared_months(&cohorts);
        let is_compared = |earlier: &&&Snapshot| earlier.manifest.month().is_ok_and(|month| compared.contains(&month));
        let earlier: Vec<&Snapshot> = self.earlier.iter().filter(is_compared).copied().collect();
        let (_, readable) = inputs::contacts_before(&earlier, &self.snapshot.manifest.identifiers)?;
        Ok(compared.difference(&readable).copied().collect())
    }

    /// Runs the steps.
    ///
    /// # Errors
    /// When a table cannot be read, or does not fit a step.
    pub fn count(&self) -> Result<Counted, HistoryError> {
        let Month { snapshot, definitions, previous, .. } = *self;
        let manifest = &snapshot.manifest;
        let span = manifest.span()?;
        let month = span.month.first_day();
        let cohorts = cohort_months(manifest, definitions, previous)?;
        let in_history = cohorts.iter().filter(|cohort| cohort.in_history).map(|cohort| cohort.cohort_key.as_str());
        let states = State::all_after(State::read(previous)?, in_history, &span);
        let kept = kept_months(&cohorts, &states, month);
        let compared = compared_months(&cohorts);
        let rules: Vec<&crate::rules::Rule> =
            definitions.rules.iter().filter(|rule| cohorts.iter().any(|cohort| cohort.cohort_key == rule.cohort_key())).collect();
        let references =
            rules::references(&rules, manifest, month).map_err(|error| TableError::new("make", "the names that rules use", error))?;
        let mut names: Vec<&str> = definitions.profile.iter().filter_map(|entry| entry.custom_name.as_deref()).collect();
        names.extend(rules.iter().flat_map(|rule| rule.condition.references()).filter_map(|reference| match reference {
            crate::rules::Reference::Attribute { name, .. } => Some(name.as_str()),
            crate::rules::Reference::Group { .. } => None,
        }));
        let is_needed =
            |earlier: &&&Snapshot| earlier.manifest.month().is_ok_and(|month| compared.first().is_some_and(|first| month >= *first));
        let earlier: Vec<&Snapshot> = self.earlier.iter().filter(is_needed).copied().collect();
        let (contacts_before, readable) = inputs::contacts_before(&earlier, &manifest.identifiers)?;
        let unreadable = compared.difference(&readable).copied().collect();
        let mut engine = Polars::over(vec![
            (&CONTACTS, snapshot.scan(&CONTACTS)?),
            (&MEMBERS, snapshot.scan(&MEMBERS)?),
            (&CONVERSATIONS, snapshot.scan(&CONVERSATIONS)?),
            (&ATTRIBUTES, inputs::wanted(snapshot.scan(&ATTRIBUTES)?, &names)),
            (&CONTACTS_BEFORE, contacts_before),
            (&LEDGER_BEFORE, scan_previous(previous, &LEDGER)?),
            (&COUNTS_BEFORE, scan_previous(previous, &COUNTS)?),
            (&TRIANGLE_BEFORE, scan_previous(previous, &TRIANGLE)?),
            (&PROFILES_BEFORE, scan_previous(previous, &PROFILES)?),
            (&COHORTS, inputs::cohorts_frame(&cohorts, manifest, &readable)?.lazy()),
            (&THIS_MONTH, inputs::this_month_frame(manifest)?.lazy()),
            (&PROFILE, inputs::profile_frame(definitions, manifest)?.lazy()),
            (&KEPT_MONTHS, inputs::kept_months_frame(&kept)?.lazy()),
            (&RULE_REFERENCES, references.lazy()),
        ])?;
        engine.run(&OPENED_STEP)?;
        engine.run(&rules::memberships(&rules, manifest.conversations))?;
        for step in STEPS.iter().filter(|step| step.table.name != OPENED.name) {
            if step.table.name == SIGNATURES.name {
                engine.put(step.table, |tables| signatures::signatures(&tables(&STANDING)?))?;
            } else {
                engine.run(step)?;
            }
        }
        Ok(Counted { engine, cohorts, unreadable, states })
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

    /// The engine, with all tables. In its tables contacts are numbers.
    pub fn engine(&self) -> &Polars {
        &self.engine
    }

    /// The rows of a table, with the IDs of contacts.
    ///
    /// # Errors
    /// When no step makes such a table.
    pub fn table(&self, table: &'static Table) -> Result<DataFrame, TableError> {
        let failed = |error| TableError::new("collect", format!("`{}`", table.name), error);
        let rows = self.engine.table(table.name).ok_or_else(|| failed(polars::prelude::polars_err!(ComputeError: "no step makes it")))?;
        self.engine.texts(rows.collect().map_err(failed)?, table)
    }

    /// The rows of a step that no other step reads.
    ///
    /// # Errors
    /// When the query does not fit the tables.
    pub fn result(&self, step: &Step) -> Result<DataFrame, TableError> {
        self.engine.texts(self.engine.result(step)?, step.table)
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
        for step in &without_rules() {
            assert_eq!(step.output(), Some(step.table.name));
            for input in step.inputs() {
                assert!(known.contains(input), "{} reads `{input}` before it is made", step.table.name);
            }
            known.insert(step.table.name);
        }
    }
}
