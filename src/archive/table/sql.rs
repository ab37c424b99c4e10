use polars::prelude::*;
use polars::sql::SQLContext;

use super::TableError;

/// One counting query: plain SQL over named inputs. ARCHITECTURE.md, "The SQL", describes the dialect.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// The name of the query, for messages.
    pub name: &'static str,
    pub sql: &'static str,
}

impl Query {
    /// Runs the query on the streaming engine.
    ///
    /// # Errors
    /// When an input cannot be read or the query does not fit the inputs.
    pub fn run(&self, inputs: &[(&str, LazyFrame)]) -> Result<DataFrame, TableError> {
        let failed = |error| TableError::new("count", format!("`{}`", self.name), error);
        let mut context = SQLContext::new();
        for (name, frame) in inputs {
            context.register(name, frame.clone());
        }
        let begun = std::time::Instant::now();
        let plan = context.execute(self.sql).map_err(failed)?;
        let counted = plan.collect_with_engine(Engine::Streaming).map(|result| result.unwrap_single()).map_err(failed)?;
        tracing::debug!(query = self.name, rows = counted.height(), milliseconds = begun.elapsed().as_millis() as u64, "counted");
        Ok(counted)
    }
}

/// The rows for which a condition is true. `name` is for messages.
///
/// # Errors
/// When the condition does not fit the rows.
pub fn filter_sql(rows: LazyFrame, name: &str, condition: &str) -> Result<LazyFrame, TableError> {
    let mut context = SQLContext::new();
    context.register("facts", rows);
    context.execute(&format!("SELECT * FROM facts WHERE {condition}")).map_err(|error| TableError::new("evaluate", name, error))
}
