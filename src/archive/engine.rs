//! A step makes a table from other tables by one SQL query. An engine runs steps: [`Polars`] runs them in this process.
//!
//! The SQL is plain, so that every engine gives the same rows. The header of a query declares the tables that the query reads and the table
//! that it makes: `-- in: standing, cohorts` and `-- out: ledger`. ARCHITECTURE.md, "The SQL", says which SQL is allowed.

mod folder;
mod remote;
mod script;

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use polars::prelude::*;
use polars::sql::SQLContext;

use crate::table::{ContactNumbers, Table, TableError, Unnumbered, in_order};

pub use folder::EngineFolder;
pub use remote::{EngineError, Kept, Query, RemoteEngine, View, Work, declared};

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

/// How an engine spells the expressions for which no SQL is the same in all engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Polars,
    DuckDb,
    Spark,
}

impl Dialect {
    /// An instant as microseconds since 1970.
    pub fn micros(self, instant: &str) -> String {
        match self {
            Dialect::Polars => format!("CAST({instant} AS BIGINT)"),
            Dialect::DuckDb => format!("epoch_us({instant})"),
            Dialect::Spark => format!("unix_micros({instant})"),
        }
    }

    /// A condition of a rule, from its SQL for Polars. Spark reads a number with a decimal point as a decimal of at most 38 digits, a
    /// backslash in a text as an escape, and `${…}` anywhere as a variable. So these numbers and texts are rewritten for Spark.
    pub fn condition(self, sql: &str) -> Cow<'_, str> {
        if self != Dialect::Spark {
            return Cow::Borrowed(sql);
        }
        let mut written = String::new();
        let mut rest = sql;
        while let Some(start) = rest.find(|character: char| character == '\'' || character.is_ascii_digit()) {
            let (before, token) = rest.split_at(start);
            let is_in_name = before.ends_with(|character: char| character.is_alphanumeric() || character == '_');
            let (token, after) = token.split_at(if token.starts_with('\'') { text_end(token) } else { number_end(token) });
            written.push_str(before);
            match token.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
                Some(text) if text.contains(['\'', '\\', '$']) => {
                    let bytes: String = text.replace("''", "'").bytes().map(|byte| format!("{byte:02X}")).collect();
                    written.push_str(&format!("CAST(UNHEX('{bytes}') AS STRING)"));
                }
                None if token.contains('.') && !is_in_name => written.push_str(&format!("{token}E0")),
                _ => written.push_str(token),
            }
            rest = after;
        }
        written.push_str(rest);
        Cow::Owned(written)
    }
}

/// The length of the text literal with which the SQL begins. A quote in it is doubled.
fn text_end(sql: &str) -> usize {
    let mut end = 1;
    while let Some(quote) = sql[end..].find('\'') {
        end += quote + 1;
        if !sql[end..].starts_with('\'') {
            return end;
        }
        end += 1;
    }
    sql.len()
}

/// The length of the number with which the SQL begins.
fn number_end(sql: &str) -> usize {
    sql.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(sql.len())
}

/// Runs steps. Each step reads tables that the engine was given, or that an earlier step made.
pub trait Engine {
    /// Runs a step and keeps its table, so that later steps can read it. An engine may skip a step whose table no other step needs on this
    /// engine.
    ///
    /// # Errors
    /// When a table that the step reads is unknown, or when the query does not fit the tables.
    fn run(&mut self, step: &Step) -> Result<(), TableError>;

    /// The rows of a known table, with the IDs of contacts.
    ///
    /// # Errors
    /// When the table is unknown.
    fn rows(&self, table: &'static Table) -> Result<DataFrame, TableError>;
}

/// A table that an engine is given.
pub struct Input {
    pub table: &'static Table,
    /// Columns of the table that are left out are null.
    pub rows: LazyFrame,
    /// The numbering, if the rows have numbers for contacts; `None` if they have IDs.
    pub numbers: Option<ContactNumbers>,
}

impl Input {
    pub fn new(table: &'static Table, rows: LazyFrame) -> Input {
        Input { table, rows, numbers: None }
    }
}

/// Runs steps in this process, by their SQL. All tables are in memory, and contacts are numbers in them.
#[derive(Clone)]
pub struct Polars {
    numbers: ContactNumbers,
    tables: HashMap<&'static str, DataFrame>,
}

impl Polars {
    /// An engine with these tables. The first table should have most of the contacts: then giving them numbers is fastest. If several
    /// inputs are of one table, their rows are appended in the order of the inputs.
    ///
    /// # Errors
    /// When a table cannot be read.
    pub fn over(inputs: Vec<Input>) -> Result<Polars, TableError> {
        let names: Vec<&'static str> = inputs.iter().map(|input| input.table.name).collect();
        let read = |Input { table, rows, numbers }| {
            let begun = Instant::now();
            let failed = |error| TableError::new("read", format!("`{}`", table.name), error);
            let rows = rows.collect_with_engine(polars::prelude::Engine::Streaming).map_err(failed)?;
            // One plan has one result: only `collect_all` gives several.
            let mut rows = rows.unwrap_single();
            rows.rechunk_mut();
            let rows = with_all_columns(rows, table).map_err(failed)?;
            tracing::debug!(table = table.name, rows = rows.height(), milliseconds = begun.elapsed().as_millis() as u64, "read");
            Ok((table, Unnumbered { frame: rows, numbers }))
        };
        // The next table is read while the contacts of the last one get their numbers.
        let (numbers, frames) = thread::scope(|scope| {
            let (sender, tables) = mpsc::sync_channel(0);
            scope.spawn(move || inputs.into_iter().map(read).try_for_each(|table| sender.send(table)));
            ContactNumbers::of(tables.into_iter())
        })?;
        let mut tables: HashMap<&str, DataFrame> = HashMap::new();
        for (name, rows) in names.into_iter().zip(frames) {
            match tables.entry(name) {
                Entry::Vacant(place) => drop(place.insert(rows)),
                Entry::Occupied(mut others) => {
                    let joined = others.get_mut().vstack_mut_owned(rows).map(|all| all.rechunk_mut());
                    joined.map_err(|error| TableError::new("read", format!("`{name}`"), error))?;
                }
            }
        }
        Ok(Polars { numbers, tables })
    }

    pub fn numbers(&self) -> &ContactNumbers {
        &self.numbers
    }

    /// The names of all known tables.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.tables.keys().copied()
    }

    /// The rows of a known table. Contacts are numbers.
    ///
    /// # Errors
    /// When the table is unknown.
    pub fn table(&self, name: &str) -> PolarsResult<&DataFrame> {
        self.tables.get(name).ok_or_else(|| polars_err!(ComputeError: "there is no table `{name}`"))
    }

    /// Stores the rows as the table of this name, so that later steps can read them. Contacts are numbers in them, see [`ContactNumbers`].
    ///
    /// # Errors
    /// When the rows do not fit the table.
    pub fn put(&mut self, table: &'static Table, rows: &DataFrame) -> PolarsResult<()> {
        self.tables.insert(table.name, table.conform_counted(rows)?);
        Ok(())
    }

    /// Removes all tables except these.
    pub fn keep(&mut self, tables: &[&Table]) {
        self.tables.retain(|name, _| tables.iter().any(|table| table.name == *name));
    }

    /// Removes all columns of a table except these. The removed columns become null.
    ///
    /// # Errors
    /// When the table lacks one of the columns.
    pub fn keep_columns(&mut self, table: &'static Table, columns: &[&str]) -> PolarsResult<()> {
        let kept = self.table(table.name)?.select(columns.iter().copied())?;
        self.tables.insert(table.name, with_all_columns(kept, table)?);
        Ok(())
    }

    /// Removes these tables.
    pub fn forget(&mut self, tables: &[&Table]) {
        self.tables.retain(|name, _| !tables.iter().any(|table| table.name == *name));
    }

    /// The rows of a step, by its SQL, with the columns of its table, sorted by its key. Contacts are numbers.
    ///
    /// # Errors
    /// When a table that it reads is unknown, or when the query does not fit the tables.
    pub fn result(&self, step: &Step) -> Result<DataFrame, TableError> {
        let counted = || {
            let mut context = SQLContext::new();
            for input in step.inputs() {
                context.register(input, self.table(input)?.clone().lazy());
            }
            let rows = context.execute(&step.sql)?.collect()?;
            step.table.conform_counted(&rows).and_then(|rows| in_order(rows, step.table))
        };
        counted().map_err(|error| TableError::new("count", format!("`{}`", step.table.name), error))
    }
}

/// The rows with all columns of the table. Columns that the rows lack are null, which takes no memory.
fn with_all_columns(mut rows: DataFrame, table: &Table) -> PolarsResult<DataFrame> {
    for column in table.columns {
        if rows.column(column.name).is_err() {
            rows.with_column(Column::full_null(column.name.into(), rows.height(), &column.kind.dtype()))?;
        }
    }
    Ok(rows)
}

impl Engine for Polars {
    fn run(&mut self, step: &Step) -> Result<(), TableError> {
        let rows = self.result(step)?;
        self.tables.insert(step.table.name, rows);
        Ok(())
    }

    fn rows(&self, table: &'static Table) -> Result<DataFrame, TableError> {
        let rows = self.table(table.name).and_then(|rows| self.numbers.texts(rows.clone(), table)).and_then(|rows| table.conform(&rows));
        rows.map_err(|error| TableError::new("collect", format!("`{}`", table.name), error))
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
    fn a_condition_in_spark_has_no_decimals_and_no_escapes() {
        for (sql, expected) in [
            ("opened >= 5 AND attribute_1 > 49.5", "opened >= 5 AND attribute_1 > 49.5E0"),
            ("opened IN (1.0, -2.5)", "opened IN (1.0E0, -2.5E0)"),
            ("name = 'v4.0' AND city = ''", "name = 'v4.0' AND city = ''"),
            ("name = 'it''s' OR name = 'a\\b'", "name = CAST(UNHEX('69742773') AS STRING) OR name = CAST(UNHEX('615C62') AS STRING)"),
            ("name LIKE '%${x}'", "name LIKE CAST(UNHEX('25247B787D') AS STRING)"),
            ("name IN ('', 'ü', '''')", "name IN ('', 'ü', CAST(UNHEX('27') AS STRING))"),
        ] {
            assert_eq!(Dialect::Spark.condition(sql), expected);
            assert_eq!(Dialect::Polars.condition(sql), sql);
        }
    }

    #[test]
    fn a_step_reads_what_its_header_declares_and_gives_rows_in_order() {
        assert_eq!((STEP.inputs().collect::<Vec<_>>(), STEP.output()), (vec!["people"], Some("older")));
        let people = df!("contact_id" => ["b", "a", "c"], "age" => [Some(11_i64), Some(12), None]).unwrap();
        let mut engine = Polars::over(vec![Input::new(&PEOPLE, people.lazy())]).unwrap();
        engine.run(&STEP).unwrap();
        assert_eq!(engine.rows(&OLDER).unwrap(), df!("contact_id" => ["a", "b"]).unwrap());
        let error = Polars::over(Vec::new()).unwrap().result(&STEP).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("there is no table `people`"), "{error:?}");
    }
}
