//! JSON lines: one object for each row, with keys in the order of the columns.

use std::io::{self, Write};

use chrono::{DateTime, NaiveDate, SecondsFormat};
use polars::prelude::*;
use serde::Serializer;
use serde::ser::SerializeMap;

use super::{Kind, Table};

/// Writes the rows of a frame, one JSON object a line. Null is written as `null`, an instant as RFC 3339 in UTC.
///
/// # Errors
/// When the frame does not hold the table's columns, or the rows cannot be written.
pub fn write_jsonl(frame: &DataFrame, table: &Table, out: &mut impl Write) -> PolarsResult<()> {
    let frame = table.conform(frame)?;
    let mut line = Vec::new();
    for row in 0..frame.height() {
        line.clear();
        write_row(&frame, table, row, &mut line)?;
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(out.flush()?)
}

fn write_row(frame: &DataFrame, table: &Table, row: usize, line: &mut Vec<u8>) -> PolarsResult<()> {
    let failed = |error: serde_json::Error| PolarsError::from(io::Error::from(error));
    let mut json = serde_json::Serializer::new(line);
    let mut object = json.serialize_map(Some(table.columns.len())).map_err(failed)?;
    for (described, column) in table.columns.iter().zip(frame.columns()) {
        let name = described.name;
        match described.kind {
            Kind::Text | Kind::Contact => object.serialize_entry(name, &column.str()?.get(row)),
            // A text that is not valid JSON is written as a JSON string.
            Kind::Json => {
                let parse = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::from(text));
                object.serialize_entry(name, &column.str()?.get(row).map(parse))
            }
            Kind::Count => object.serialize_entry(name, &column.i64()?.get(row)),
            Kind::Ratio => object.serialize_entry(name, &column.f64()?.get(row)),
            Kind::Flag => object.serialize_entry(name, &column.bool()?.get(row)),
            Kind::Instant => {
                let instant = column.datetime()?.physical().get(row).and_then(DateTime::from_timestamp_micros);
                object.serialize_entry(name, &instant.map(|instant| instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
            }
            Kind::Day => {
                let day = column.date()?.physical().get(row).and_then(NaiveDate::from_epoch_days);
                object.serialize_entry(name, &day.map(|day| day.to_string()))
            }
        }
        .map_err(failed)?;
    }
    object.end().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    const TABLE: Table = Table {
        name: "sample",
        row: "a sample",
        key: &["text"],
        columns: &[
            Column::new("text", Kind::Text, "a text"),
            Column::new("json", Kind::Json, "anything"),
            Column::new("count", Kind::Count, "a count"),
            Column::new("at", Kind::Instant, "an instant"),
            Column::new("day", Kind::Day, "a day"),
        ],
    };

    #[test]
    fn a_line_is_an_object_in_the_order_of_the_columns() {
        let frame = df!(
            "count" => [Some(1_i64), None],
            "json" => [Some(r#"{"plan":"pro","seats":3}"#), Some("no json")],
            "text" => [Some("a \"b\"\n"), None],
            "at" => [Some(1_577_869_200_500_000_i64), None],
            "day" => [Some(20_000_i32), None],
        )
        .unwrap();
        let mut lines = Vec::new();
        write_jsonl(&frame, &TABLE, &mut lines).unwrap();
        let first = r#"{"text":"a \"b\"\n","json":{"plan":"pro","seats":3},"count":1,"at":"2020-01-01T09:00:00.500Z","day":"2024-10-04"}"#;
        let second = r#"{"text":null,"json":"no json","count":null,"at":null,"day":null}"#;
        assert_eq!(String::from_utf8(lines).unwrap(), format!("{first}\n{second}\n"));
    }
}
