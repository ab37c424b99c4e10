//! Small tables as a person would write them, for tests that can be checked by hand.
//!
//! One line of column names, then one line for each row. Blanks separate cells. `-` is null, `''` an empty text, `2026-01` the
//! first day of that month. The first cell decides the kind of a column, unless the kind follows the column's name: `value:text`. The kind
//! `contact` is a contact's number.

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::*;

use archive::table::instants;

/// Reads a table. Texts cannot contain blanks.
pub(crate) fn table(text: &str) -> DataFrame {
    let mut lines = lines(text);
    let names = lines.next().expect("a line of names");
    let rows: Vec<Vec<String>> = lines.collect();
    let column = |(index, name): (usize, &String)| {
        let cell = |row: &Vec<String>| {
            let cell = row.get(index).unwrap_or_else(|| panic!("{row:?} is shorter than {names:?}"));
            (cell != "-").then(|| if cell == "''" { String::new() } else { cell.clone() })
        };
        let cells: Vec<Option<String>> = rows.iter().map(cell).collect();
        let (name, kind) = name.split_once(':').unwrap_or_else(|| (name, kind_of(name, &cells)));
        match kind {
            "text" => Column::new(name.into(), cells),
            "count" => Column::new(name.into(), parsed::<i64>(&cells)),
            "contact" => Column::new(name.into(), parsed::<u32>(&cells)),
            "ratio" => Column::new(name.into(), parsed::<f64>(&cells)),
            "flag" => Column::new(name.into(), parsed::<bool>(&cells)),
            "instant" => instants(name, parsed::<DateTime<Utc>>(&cells).into_iter()),
            "day" => Column::new(name.into(), cells.iter().map(|cell| cell.as_deref().map(|text| day(text).unwrap())).collect::<Vec<_>>()),
            other => panic!("no kind of column: {other}"),
        }
    };
    let columns = names.iter().enumerate().map(column).collect();
    DataFrame::new(rows.len(), columns).unwrap()
}

/// Asserts that the frame has the rows of `expected`, in the same order. The first line of `expected` names the columns. Ratios have up to
/// six decimals.
#[track_caller]
pub(crate) fn assert_shows(frame: &DataFrame, expected: &str) {
    let mut lines = lines(expected);
    let names = lines.next().expect("a line of names");
    let columns: Vec<&Column> = names.iter().map(|name| frame.column(name).unwrap()).collect();
    let row = |row: usize| columns.iter().map(|column| shown(column.get(row).unwrap())).collect::<Vec<_>>().join("  ");
    let found: Vec<String> = (0..frame.height()).map(row).collect();
    let expected: Vec<String> = lines.map(|cells| cells.join("  ")).collect();
    assert_eq!(found, expected, "the columns {}", names.join(", "));
}

fn lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    let lines = text.lines().map(|line| line.split_whitespace().map(str::to_string).collect::<Vec<_>>());
    lines.filter(|cells| !cells.is_empty())
}

fn day(text: &str) -> Option<NaiveDate> {
    format!("{text}-01").parse().ok()
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(cells: &[Option<String>]) -> Vec<Option<T>> {
    cells.iter().map(|cell| cell.as_ref().map(|text| text.parse().unwrap())).collect()
}

fn kind_of(name: &str, cells: &[Option<String>]) -> &'static str {
    let first = cells.iter().flatten().next().unwrap_or_else(|| panic!("the kind of `{name}` is unknown: write `{name}:kind`"));
    match first.as_str() {
        text if text.len() == 7 && day(text).is_some() => "day",
        text if text.parse::<i64>().is_ok() => "count",
        text if text.parse::<f64>().is_ok() => "ratio",
        text if text.parse::<bool>().is_ok() => "flag",
        text if text.parse::<DateTime<Utc>>().is_ok() => "instant",
        _ => "text",
    }
}

fn shown(cell: AnyValue<'_>) -> String {
    match cell {
        AnyValue::Null => "-".to_string(),
        AnyValue::String("") => "''".to_string(),
        AnyValue::String(text) => text.to_string(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Int64(count) => count.to_string(),
        AnyValue::UInt32(contact) => contact.to_string(),
        AnyValue::Boolean(flag) => flag.to_string(),
        AnyValue::Float64(ratio) => {
            let digits = format!("{ratio:.6}");
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            if digits == "-0" { "0".to_string() } else { digits.to_string() }
        }
        AnyValue::Date(days) => NaiveDate::from_epoch_days(days).unwrap().format("%Y-%m").to_string(),
        AnyValue::Datetime(micros, ..) | AnyValue::DatetimeOwned(micros, ..) => {
            DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        }
        other => panic!("no cell of our tables: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "
        key    month    count  share     flag   at                    nothing
        a      2026-01  1      0.5       true   2026-01-31T23:00:00Z  -
        ''     -        -      -         -      -                     -";

    #[test]
    fn a_table_shows_what_was_written() {
        let frame = table(&TABLE.replace("nothing", "nothing:count"));
        assert_eq!(frame.column("month").unwrap().dtype(), &DataType::Date);
        assert_eq!(frame.column("nothing").unwrap().dtype(), &DataType::Int64);
        assert_shows(&frame, TABLE);
    }

    #[test]
    #[should_panic(expected = "the columns count")]
    fn a_different_cell_fails() {
        assert_shows(&table("count\n 1\n 2"), "count\n 1\n 3");
    }
}
