//! The engine of this process. Most steps run by their SQL. For the steps that read or make a row for each contact, this folder has a
//! quicker way to the same rows: contacts are numbers without gaps, so a join is a look-up in a list, and tables that are sorted by
//! cohort and contact are merged. Tests compare each way with the SQL of its step.

mod attributes;
mod merge;
pub(crate) mod people;
mod signatures;

use std::time::Instant;

use polars::prelude::{DataFrame, PolarsResult};

use super::tables::{DESCRIBED, SIGNATURES, STANDING};
use crate::history::LEDGER;
use archive::engine::{Engine, Polars, Step};
use archive::table::{Table, TableError};

/// Makes the table of a step from the tables before it.
type Kernel = fn(&Polars) -> PolarsResult<DataFrame>;

fn kernel(table: &str) -> Option<Kernel> {
    const KERNELS: &[(&Table, Kernel)] = &[
        (&STANDING, merge::standing),
        (&LEDGER, merge::ledger),
        (&SIGNATURES, signatures::signatures),
        (&DESCRIBED, attributes::described),
    ];
    KERNELS.iter().find(|(known, _)| known.name == table).map(|(_, kernel)| *kernel)
}

/// Runs the steps in this process.
#[derive(Clone)]
pub struct Embedded(pub Polars);

impl Engine for Embedded {
    fn run(&mut self, step: &Step) -> Result<(), TableError> {
        let begun = Instant::now();
        match kernel(step.table.name) {
            Some(kernel) => {
                let rows = kernel(&self.0).and_then(|rows| self.0.put(step.table, &rows));
                rows.map_err(|error| TableError::new("count", format!("`{}`", step.table.name), error))?;
            }
            None => self.0.run(step)?,
        }
        tracing::debug!(table = step.table.name, milliseconds = begun.elapsed().as_millis() as u64, "counted");
        Ok(())
    }

    fn rows(&self, table: &'static Table) -> Result<DataFrame, TableError> {
        self.0.rows(table)
    }
}

#[cfg(test)]
mod tests;
