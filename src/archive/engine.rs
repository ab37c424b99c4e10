//! Steps: a table that is made from other tables by one SQL query. An engine runs them: [`Polars`] in this process.
//!
//! The SQL is plain, so that every engine gives the same rows. Its header declares the tables that it reads and the table that it
//! makes: `-- in: standing, cohorts` and `-- out: ledger`. The dialect: ARCHITECTURE.md, "The SQL".

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Instant;

use polars::prelude::*;
use polars::sql::SQLContext;

use crate::table::{ContactNumbers, Table, TableError, in_order};

/// A table that is made from other tables.
#[derive(Clone, Debug)]
pub struct Step {
    pub table: &'static Table,
    pub sql: Cow<'static, str>,
}

impl Step {
    pub const fn new(table: &'static Table, sql: &'static str) -> Step {
        Step { table, sql: Cow::Borrowed(sql) }
    }

    /// The names of the tables that the query reads, as its header declares them.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.header("-- in:")
    }

    /// The name of the table that the query makes, as its header declares it.
    pub fn output(&self) -> Option<&str> {
        self.header("-- out:").next()
    }

    fn header<'a>(&'a self, label: &'static str) -> impl Iterator<Item = &'a str> {
        let lines = self.sql.lines().take_while(|line| line.starts_with("--"));
        lines.filter_map(move |line| line.strip_prefix(label)).flat_map(|names| names.split(',')).map(str::trim)
    }
}

/// Runs steps in this process. While tables are counted, contacts are numbers.
#[derive(Clone)]
pub struct Polars {
    numbers: ContactNumbers,
    tables: HashMap<&'static str, LazyFrame>,
}

impl Polars {
    /// An engine that knows these tables. The first of them should have most of the contacts.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn over(inputs: Vec<(&'static Table, LazyFrame)>) -> Result<Polars, TableError> {
        let all: Vec<(LazyFrame, &Table)> = inputs.iter().map(|(table, rows)| (rows.clone(), *table)).collect();
        let numbers = ContactNumbers::of(&all)?;
        let tables = inputs.into_iter().map(|(table, rows)| (table.name, numbers.numbered(rows, table))).collect();
        Ok(Polars { numbers, tables })
    }

    /// The names of all known tables.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.tables.keys().copied()
    }

    /// The rows of a table. Contacts are numbers.
    pub fn table(&self, name: &str) -> Option<LazyFrame> {
        self.tables.get(name).cloned()
    }

    /// Makes the table of a step known.
    ///
    /// # Errors
    /// As [`Polars::result`].
    pub fn run(&mut self, step: &Step) -> Result<(), TableError> {
        let rows = self.result(step)?;
        self.tables.insert(step.table.name, rows.lazy());
        Ok(())
    }

    /// Makes a table known that is not made by SQL. Contacts are numbers in what `make` reads and returns.
    ///
    /// # Errors
    /// When a table that it reads is unknown, or the rows do not fit the table.
    pub fn put(
        &mut self,
        table: &'static Table,
        make: impl FnOnce(&dyn Fn(&Table) -> PolarsResult<DataFrame>) -> PolarsResult<DataFrame>,
    ) -> Result<(), TableError> {
        let failed = |error| TableError::new("count", format!("`{}`", table.name), error);
        let known = |table: &Table| {
            let rows = self.tables.get(table.name).ok_or_else(|| polars_err!(ComputeError: "there is no table `{}`", table.name))?;
            rows.clone().collect()
        };
        let rows = make(&known).and_then(|rows| table.conform_counted(&rows)).map_err(failed)?;
        self.tables.insert(table.name, rows.lazy());
        Ok(())
    }

    /// The rows of a step, with the columns of its table, sorted by its key. Contacts are numbers.
    ///
    /// # Errors
    /// When a table that it reads is unknown or cannot be read, or when the query does not fit the tables.
    pub fn result(&self, step: &Step) -> Result<DataFrame, TableError> {
        let name = step.table.name;
        let failed = |error| TableError::new("count", format!("`{name}`"), error);
        let mut context = SQLContext::new();
        for input in step.inputs() {
            let rows = self.tables.get(input).ok_or_else(|| failed(polars_err!(ComputeError: "there is no table `{input}`")))?;
            context.register(input, rows.clone());
        }
        let begun = Instant::now();
        let plan = context.execute(&step.sql).map_err(failed)?;
        // One plan has one result: only `collect_all` gives several.
        let rows = plan.collect_with_engine(Engine::Streaming).map(|result| result.unwrap_single()).map_err(failed)?;
        let rows = step.table.conform_counted(&rows).and_then(|rows| in_order(rows, step.table)).map_err(failed)?;
        tracing::debug!(table = name, rows = rows.height(), milliseconds = begun.elapsed().as_millis() as u64, "counted");
        Ok(rows)
    }

    /// Rows with the IDs of contacts instead of their numbers.
    ///
    /// # Errors
    /// When the rows do not fit the table.
    pub fn texts(&self, rows: DataFrame, table: &Table) -> Result<DataFrame, TableError> {
        let failed = |error| TableError::new("write", format!("`{}`", table.name), error);
        self.numbers.texts(rows, table).and_then(|rows| table.conform(&rows)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column as Entry, Kind};

    const PEOPLE: Table = Table {
        name: "people",
        row: "one",
        key: &["contact_id"],
        columns: &[Entry::new("contact_id", Kind::Contact, "who"), Entry::new("age", Kind::Count, "years").or_null("unknown")],
    };
    const OLDER: Table =
        Table { name: "older", row: "one", key: &["contact_id"], columns: &[Entry::new("contact_id", Kind::Contact, "who")] };
    const STEP: Step = Step::new(
        &OLDER,
        "-- People of more than ten years.\n-- in: people\n-- out: older\nSELECT p.contact_id FROM people AS p WHERE p.age > 10",
    );

    #[test]
    fn a_step_reads_what_its_header_declares_and_gives_rows_in_order() {
        assert_eq!((STEP.inputs().collect::<Vec<_>>(), STEP.output()), (vec!["people"], Some("older")));
        let people = df!("contact_id" => ["b", "a", "c"], "age" => [Some(11_i64), Some(12), None]).unwrap();
        let mut engine = Polars::over(vec![(&PEOPLE, people.lazy())]).unwrap();
        engine.run(&STEP).unwrap();
        let rows = engine.table("older").unwrap().collect().unwrap();
        assert_eq!(engine.texts(rows, &OLDER).unwrap(), df!("contact_id" => ["a", "b"]).unwrap());
        let error = Polars::over(Vec::new()).unwrap().result(&STEP).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("there is no table `people`"), "{error:?}");
    }
}
