//! The reports for other tools: sources for dbt, views for DuckDB, an Open Data Contract. All three read the Parquet files of all months.
//!
//! Every JSON string is valid YAML. So every text is written as a JSON string, and YAML reads no name and no path as anything else.

use serde_json::Value;

use archive::table::{Column, Kind, Table};
use reports::digest::one_line;

/// Where the reports of a job are.
pub(super) struct Reports {
    pub job: String,
    /// The folder with a folder for each month: a path, or the URL of a folder in a bucket.
    pub place: String,
}

impl Reports {
    /// The files of a report in all months. `name` is the name of the report, or a placeholder for it.
    fn files(&self, name: &str) -> String {
        format!("{}/*/{name}.parquet", self.place)
    }
}

/// A script of views for DuckDB. If the script runs again, it replaces the views.
pub(super) fn duckdb<'a>(reports: &Reports, tables: impl Iterator<Item = &'a Table>) -> String {
    let view = |table: &Table| {
        let files = reports.files(table.name).replace('\'', "''");
        format!(
            "-- a row is {}\nCREATE OR REPLACE VIEW {} AS\nSELECT * FROM read_parquet('{files}', union_by_name = true, hive_partitioning = false);\n",
            table.row, table.name
        )
    };
    let views: Vec<String> = tables.map(view).collect();
    format!("-- The reports of the job {}, all months. Columns: cohorts schema\n\n{}", one_line(&reports.job), views.join("\n"))
}

/// `sources.yml` of dbt, with a test for each key, each column that is never null, and each column whose values are listed. dbt-duckdb reads
/// the files from `external_location`.
pub(super) fn dbt<'a>(reports: &Reports, tables: impl Iterator<Item = &'a Table>) -> String {
    // dbt-duckdb replaces `{name}` by the table's name and reads a doubled brace as one brace. Before that, dbt evaluates `{{ … }}` as an
    // expression. So each brace of the path becomes an expression with a doubled brace as its result.
    let brace = |character: char| match character {
        '{' => "{{ '{{' }}".to_string(),
        '}' => "{{ '}}' }}".to_string(),
        '\'' => "''".to_string(),
        other => other.to_string(),
    };
    let place: String = reports.place.chars().map(brace).collect();
    let location = format!("read_parquet('{place}/*/{{name}}.parquet', union_by_name = true, hive_partitioning = false)");
    let mut lines = Lines::default();
    lines.add(0, "version: 2");
    lines.add(0, "sources:");
    lines.add(1, format!("- name: {}", quoted(&reports.job)));
    lines.add(2, format!("description: {}", quoted(&format!("The reports of the job `{}`, all months.", reports.job))));
    lines.add(2, "config:");
    lines.add(3, "meta:");
    lines.add(4, format!("external_location: {}", quoted(&location)));
    lines.add(2, "tables:");
    for table in tables {
        lines.add(3, format!("- name: {}", quoted(table.name)));
        lines.add(4, format!("description: {}", quoted(&format!("A row is {}.", table.row))));
        lines.add(4, "data_tests:");
        lines.add(5, "- unique:");
        lines.add(7, "arguments:");
        lines.add(8, format!("column_name: {}", quoted(&format!("row({})", table.key.join(", ")))));
        lines.add(4, "columns:");
        for column in table.columns {
            lines.add(5, format!("- name: {}", quoted(column.name)));
            lines.add(6, format!("data_type: {}", quoted(sql_type(column.kind))));
            lines.add(6, format!("description: {}", quoted(&meaning(column))));
            if let Some(unit) = column.unit() {
                lines.add(6, "config:");
                lines.add(7, "meta:");
                lines.add(8, format!("unit: {}", quoted(unit)));
            }
            if column.null.is_empty() || !column.values.is_empty() {
                lines.add(6, "data_tests:");
            }
            if column.null.is_empty() {
                lines.add(7, "- not_null");
            }
            if !column.values.is_empty() {
                lines.add(7, "- accepted_values:");
                lines.add(9, "arguments:");
                lines.add(10, format!("values: {}", Value::from(column.values)));
            }
        }
    }
    lines.0
}

/// An Open Data Contract, version 3.2 of the standard.
pub(super) fn odcs<'a>(reports: &Reports, tables: impl Iterator<Item = &'a Table>) -> String {
    let mut lines = Lines::default();
    lines.add(0, "apiVersion: \"v3.2.0\"");
    lines.add(0, "kind: \"DataContract\"");
    lines.add(0, format!("id: {}", quoted(&format!("cohorts-{}", reports.job))));
    lines.add(0, format!("name: {}", quoted(&format!("Reports of the job {}", reports.job))));
    lines.add(0, format!("version: {}", quoted(env!("CARGO_PKG_VERSION"))));
    lines.add(0, "status: \"active\"");
    lines.add(0, "description:");
    lines.add(1, "purpose: \"Month-end reports of the cohorts of an Intercom workspace\"");
    lines.add(0, "servers:");
    lines.add(1, "- server: \"reports\"");
    let place = reports.files("{model}");
    // The standard has no type for Google's buckets, so they are `custom`.
    let (kind, key) = match place.split_once("://") {
        Some(("s3", _)) => ("s3", "location"),
        Some(("az", _)) => ("azure", "location"),
        Some(_) => ("custom", "location"),
        None => ("local", "path"),
    };
    lines.add(2, format!("type: {}", quoted(kind)));
    lines.add(2, format!("{key}: {}", quoted(&place)));
    lines.add(2, "format: \"parquet\"");
    lines.add(0, "schema:");
    for table in tables {
        lines.add(1, format!("- name: {}", quoted(table.name)));
        lines.add(2, "physicalType: \"file\"");
        lines.add(2, format!("description: {}", quoted(&format!("A row is {}.", table.row))));
        lines.add(2, format!("dataGranularityDescription: {}", quoted(table.row)));
        lines.add(2, "properties:");
        for column in table.columns {
            lines.add(3, format!("- name: {}", quoted(column.name)));
            lines.add(4, format!("logicalType: {}", quoted(logical_type(column.kind))));
            if column.kind == Kind::Instant {
                lines.add(4, "logicalTypeOptions:");
                lines.add(5, "timezone: true");
                lines.add(5, "defaultTimezone: \"UTC\"");
            }
            // `datacontract test` does not know the longer name of this type.
            let physical = if column.kind == Kind::Instant { "TIMESTAMP" } else { sql_type(column.kind) };
            lines.add(4, format!("physicalType: {}", quoted(physical)));
            lines.add(4, format!("description: {}", quoted(&meaning(column))));
            if column.null.is_empty() {
                lines.add(4, "required: true");
            }
            if let Some(position) = table.key.iter().position(|key| *key == column.name) {
                lines.add(4, "primaryKey: true");
                lines.add(4, format!("primaryKeyPosition: {}", position + 1));
            }
            if !column.values.is_empty() {
                lines.add(4, "enum:");
                column.values.iter().for_each(|value| lines.add(5, format!("- value: {}", quoted(value))));
            }
            if let Some(unit) = column.unit() {
                lines.add(4, "customProperties:");
                lines.add(5, "- property: \"unit\"");
                lines.add(6, format!("value: {}", quoted(unit)));
            }
        }
    }
    lines.0
}

/// Lines of YAML.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, depth: usize, line: impl AsRef<str>) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }
}

/// A text as a JSON string. The control characters that JSON allows unescaped, but YAML does not, are escaped.
fn quoted(text: &str) -> String {
    let escaped = |character: char| match character {
        '\u{7f}'..='\u{9f}' => format!("\\u{:04x}", u32::from(character)),
        other => other.to_string(),
    };
    Value::from(text).to_string().chars().map(escaped).collect()
}

/// What a column holds, and what null means.
fn meaning(column: &Column) -> String {
    let null = if column.null.is_empty() { String::new() } else { format!(" Null: {}.", column.null) };
    format!("{}.{null}", column.about)
}

fn sql_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Contact | Kind::Json => "VARCHAR",
        Kind::Count => "BIGINT",
        Kind::Ratio => "DOUBLE",
        Kind::Flag => "BOOLEAN",
        Kind::Instant => "TIMESTAMP WITH TIME ZONE",
        Kind::Day => "DATE",
    }
}

fn logical_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Contact | Kind::Json => "string",
        Kind::Count => "integer",
        Kind::Ratio => "number",
        Kind::Flag => "boolean",
        Kind::Instant => "timestamp",
        Kind::Day => "date",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reports::analysis::Report;

    fn of(place: &str, print: fn(&Reports, std::iter::Once<&'static Table>) -> String) -> String {
        let reports = Reports { job: "a \"b\"\n\u{85}".to_string(), place: place.to_string() };
        print(&reports, std::iter::once(&Report::named("movement").unwrap().table))
    }

    #[test]
    fn a_place_is_read_as_it_is_by_each_tool() {
        let views = of("/srv/it's", duckdb);
        assert!(views.contains("read_parquet('/srv/it''s/*/movement.parquet', "), "{views}");
        assert!(views.starts_with("-- The reports of the job a \"b\"  , all months."), "{views}");
        let sources = of("/srv/{a}", dbt);
        assert!(sources.contains("\"read_parquet('/srv/{{ '{{' }}a{{ '}}' }}/*/{name}.parquet', "), "{sources}");
        assert!(sources.contains(r#"- name: "a \"b\"\n\u0085""#), "{sources}");
    }

    #[test]
    fn a_contract_names_the_kind_of_store() {
        for (place, server) in [
            ("/srv/x", "type: \"local\"\n    path: \"/srv/x/*/{model}.parquet\""),
            ("s3://b/x", "type: \"s3\"\n    location: \"s3://b/x/*/{model}.parquet\""),
            ("az://c/x", "type: \"azure\"\n    location: \"az://c/x/*/{model}.parquet\""),
            ("gs://b/x", "type: \"custom\"\n    location: \"gs://b/x/*/{model}.parquet\""),
        ] {
            let contract = of(place, odcs);
            assert!(contract.contains(server), "{contract}");
        }
    }
}
