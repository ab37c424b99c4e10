//! Engines outside of this process. They read the files of the archive and write the results of queries into the same folder or bucket, so
//! that no row of a large table passes through this program.

use std::fmt;
use std::time::Duration;

use super::{EngineFolder, Step};
use crate::publish::PublishError;
use crate::table::{Kind, Table, TableError};

/// What an engine does to count a month.
#[derive(Debug)]
pub struct Work {
    pub views: Vec<View>,
    /// The queries in order: each query comes after the queries whose results it reads.
    pub queries: Vec<Query>,
}

/// A table that an engine reads from files.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    pub table: &'static Table,
    /// The paths of at least one file, relative to the job's location. A column that a file lacks is null.
    pub files: Vec<String>,
}

/// A query whose rows an engine keeps.
#[derive(Clone, Debug)]
pub struct Query {
    /// The name under which later queries read the rows. It also names the folder with the rows.
    pub name: String,
    pub step: Step,
    pub kept: Kept,
}

/// How the rows of a query are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The rows are not kept: each query that reads them runs this query as a part of itself.
    View,
    /// In files, in any order.
    Files,
    /// In files that are published unchanged: the rows of each file are sorted by the table's key.
    SortedFiles,
}

impl Query {
    pub fn new(name: &str, step: Step, kept: Kept) -> Query {
        Query { name: name.to_string(), step, kept }
    }

    /// The SQL with exactly the columns of the table, in order and with their types.
    pub fn sql(&self) -> String {
        let columns: Vec<String> =
            self.step.table.columns.iter().map(|column| format!("CAST(q.{0} AS {1}) AS {0}", column.name, sql_type(column.kind))).collect();
        format!("SELECT\n    {}\nFROM (\n{}\n) AS q", columns.join(",\n    "), self.step.sql)
    }
}

/// The name of a type in SQL.
fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Contact | Kind::Json => "STRING",
        Kind::Count => "BIGINT",
        Kind::Ratio => "DOUBLE",
        Kind::Flag => "BOOLEAN",
        Kind::Instant => "TIMESTAMP",
        Kind::Day => "DATE",
    }
}

/// The columns of a table as SQL declares them: `contact_id STRING, month DATE`.
pub fn declared(table: &Table) -> String {
    let columns: Vec<String> = table.columns.iter().map(|column| format!("{} {}", column.name, sql_type(column.kind))).collect();
    columns.join(", ")
}

/// An engine outside of this process. Its methods block.
pub trait RemoteEngine: fmt::Debug + Send + Sync {
    /// Runs the queries, and records in `folder` where their rows are. Calls `watch` with the name and the duration of each query.
    ///
    /// # Errors
    /// When the engine cannot be reached for too long, or refuses a query.
    fn run(&self, work: &Work, folder: &EngineFolder, watch: &(dyn Fn(&str, Duration) + Sync)) -> Result<(), EngineError>;

    /// Tests whether the engine can read what this program writes into this folder, and whether this program can read what the engine
    /// writes. Returns the engine's description of itself.
    ///
    /// # Errors
    /// As [`RemoteEngine::run`].
    fn check(&self, folder: &EngineFolder) -> Result<String, EngineError>;

    /// Stops the queries that run on the engine.
    fn interrupt(&self);
}

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The same query works when the engine is back.
    #[error("the engine at `{at}` {problem}")]
    Unreachable { at: String, problem: String },
    #[error("what answers at `{at}` does not understand a client of Spark Connect: {problem}")]
    NotSpark { at: String, problem: String },
    #[error("the certificate of the engine at `{at}` is not trusted: {problem}")]
    Untrusted { at: String, problem: String },
    #[error("the engine at `{at}` refuses it: {problem}")]
    Denied { at: String, problem: String },
    #[error("the engine cannot run the query of `{query}`: {problem}")]
    Refused { query: String, problem: String },
    #[error("the engine's result for `{query}` cannot be right: {problem}")]
    Unsound { query: String, problem: String },
    #[error("the script for `{folder}` has not run to its end: it has no rows of `{query}`")]
    NotRun { folder: String, query: String },
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Table(#[from] TableError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Column;

    #[test]
    fn a_query_has_the_columns_of_its_table() {
        const TABLE: Table = Table {
            name: "ages",
            row: "one",
            key: &["contact_id"],
            columns: &[Column::new("contact_id", Kind::Contact, "who"), Column::new("age", Kind::Count, "years")],
        };
        let query = Query::new("ages", Step::new(&TABLE, "-- out: ages\nSELECT 1 AS age, 'a' AS contact_id"), Kept::Files);
        let expected = "SELECT\n    CAST(q.contact_id AS STRING) AS contact_id,\n    CAST(q.age AS BIGINT) AS age\nFROM (\n-- out: ages\nSELECT 1 AS age, \
                        'a' AS contact_id\n) AS q";
        assert_eq!(query.sql(), expected);
        assert_eq!(declared(&TABLE), "contact_id STRING, age BIGINT");
    }
}
