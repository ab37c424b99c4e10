//! The engine of this process. Most steps run by their SQL. For the steps that read or make a row for each contact, this folder has code
//! that makes the same rows more quickly: contacts are numbers without gaps, so a join is a look-up in a list, and tables that are sorted
//! by cohort and contact are merged. Tests compare the rows of this code with the rows of the SQL.

mod attributes;
mod columns;
mod counts;
mod facts;
mod ledger;
mod merge;
pub(crate) mod people;
mod signatures;
mod triangle;

use std::sync::Arc;
use std::time::Instant;

use polars::prelude::{BooleanChunked, DataFrame, PolarsResult};

use super::tables::*;
use crate::history::{COUNTS, LEDGER, OPT_OUTS, PROFILES, TRIANGLE};
use archive::engine::{Engine, Polars, Step};
use archive::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTIONS};
use archive::table::{Table, TableError};
use attributes::Coded;
use facts::Facts;

/// Runs the steps in this process.
#[derive(Clone)]
pub struct Embedded {
    tables: Polars,
    /// The facts of contacts. Empty after `profiles`, the last step that reads them.
    facts: Arc<Facts>,
    attributes: Arc<Vec<Coded>>,
}

impl Embedded {
    /// # Errors
    /// When a table does not fit.
    pub fn over(tables: Polars) -> Result<Embedded, TableError> {
        let failed = |error| TableError::new("count", "the facts and attributes of contacts", error);
        let facts = Facts::read(&tables).map_err(failed)?;
        let attributes = attributes::coded(&tables).map_err(failed)?;
        Ok(Embedded { tables, facts: Arc::new(facts), attributes: Arc::new(attributes) })
    }

    /// The tables. Contacts are numbers.
    pub fn tables(&self) -> &Polars {
        &self.tables
    }

    /// The attributes of the profile.
    fn attributes(&self) -> &[Coded] {
        &self.attributes
    }

    /// The table of a step, if this engine makes it without the SQL.
    fn made(&self, table: &str) -> Option<PolarsResult<DataFrame>> {
        let tables = &self.tables;
        match table {
            name if name == PAST.name => merge::past(tables).transpose(),
            name if name == STANDING.name => Some(merge::standing(tables, &self.facts)),
            name if name == LEDGER.name => Some(merge::ledger(tables)),
            name if name == SIGNATURES.name => Some(signatures::signatures(tables)),
            name if name == CELLS.name => Some(facts::cells(tables, &self.facts)),
            name if name == COUNTS.name => Some(counts::counts(tables)),
            name if name == TRIANGLE.name => Some(triangle::triangle(tables)),
            name if name == PROFILES.name => Some(attributes::profiles(tables, &self.facts, &self.attributes)),
            _ => None,
        }
    }

    /// Forgets the large tables that no later step reads.
    pub(super) fn forget_after(&mut self, step: &Step) -> PolarsResult<()> {
        match step.table.name {
            name if name == STANDING.name => {
                // Of the earlier records, only those of contacts that are gone are kept. Every other contact has a record in this month.
                let before = self.tables.table(CONTACTS_BEFORE.name)?;
                let contacts = before.column("contact_id")?.u32()?.iter();
                let is_gone: BooleanChunked = contacts.map(|contact| contact.map(|contact| !self.facts.is_here(contact))).collect();
                let gone = before.filter(&is_gone)?;
                self.tables.put(&CONTACTS_BEFORE, &gone)?;
            }
            name if name == PROFILES.name => self.facts = Arc::default(),
            // No later step reads these tables: `opened` has the conversations, and the profile's attributes are stored as codes.
            name if name == MEMBERSHIPS.name => self.tables.forget(&[&ATTRIBUTES, &CONVERSATIONS]),
            name if name == PAST.name => self.tables.forget(&[&LEDGER_BEFORE]),
            name if name == LEDGER.name => self.tables.forget(&[&PAST]),
            name if name == CHOICES.name => self.tables.forget(&[&SUBSCRIPTIONS_BEFORE]),
            name if name == OPT_OUTS.name => self.tables.forget(&[&CHOICES]),
            name if name == QUALITY.name => {
                self.tables.forget(&[&MEMBERS, &MEMBERSHIPS]);
                self.tables.keep_columns(&CONTACTS, &[&["contact_id"], &people::RECORD[..]].concat())?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn forget_ledger(&mut self) {
        self.tables.forget(&[&LEDGER]);
    }

    /// Keeps only the tables from which the next month is counted.
    pub(super) fn keep_for_next_month(&mut self) {
        self.tables.keep(&[&CONTACTS, &SUBSCRIPTIONS, &LEDGER, &COUNTS, &OPT_OUTS, &TRIANGLE, &PROFILES]);
        self.attributes = Arc::default();
    }
}

impl Engine for Embedded {
    fn run(&mut self, step: &Step) -> Result<(), TableError> {
        // Only the SQL of `profiles` and of `member_attributes` reads these tables.
        if [ATTRIBUTE_VALUES.name, DESCRIBED.name].contains(&step.table.name) {
            return Ok(());
        }
        let begun = Instant::now();
        match self.made(step.table.name) {
            Some(rows) => {
                let rows = rows.and_then(|rows| self.tables.put(step.table, &rows));
                rows.map_err(|error| TableError::new("count", format!("`{}`", step.table.name), error))?;
            }
            None => self.tables.run(step)?,
        }
        tracing::debug!(table = step.table.name, milliseconds = begun.elapsed().as_millis() as u64, "counted");
        Ok(())
    }

    fn rows(&self, table: &'static Table) -> Result<DataFrame, TableError> {
        self.tables.rows(table)
    }
}

#[cfg(test)]
mod tests;
