//! The table that ends a run: each cohort's month in a line.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Drawn, presets};
use polars::prelude::{DataFrame, PolarsResult};

use crate::analysis::Report;
use crate::domain::Month;
use crate::job::JobFolder;
use crate::snapshot::month_folder;
use crate::table;

/// A table as all commands draw them: no lines but one under the head.
pub(super) fn drawn(head: &[&str]) -> Drawn {
    let mut drawn = Drawn::new();
    drawn.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    drawn.set_header(head.iter().map(Cell::new));
    drawn
}

pub(super) fn right(text: impl ToString) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

/// 12345 as 12,345.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A month's cohorts from its published report; `None` when it is not there as Parquet.
pub(super) fn summary(folder: &JobFolder, month: Month) -> Option<String> {
    let report = Report::named("cohort_summary")?;
    let path = folder.reports().join(month_folder(month)).join("cohort_summary.parquet");
    if !path.exists() {
        return None;
    }
    let frame = table::scan(&[path], &report.table).ok()?.collect().ok()?;
    rows(&frame).ok()
}

fn rows(frame: &DataFrame) -> PolarsResult<String> {
    let mut drawn = drawn(&["cohort", "", "members", "joined", "departed", "openers", "unsubscribed", "change"]);
    let text = |name: &str, row: usize| -> PolarsResult<String> { Ok(frame.column(name)?.str()?.get(row).unwrap_or_default().to_string()) };
    let count =
        |name: &str, row: usize| -> PolarsResult<String> { Ok(frame.column(name)?.i64()?.get(row).map_or("–".to_string(), grouped)) };
    for row in 0..frame.height() {
        let rate = frame.column("growth_rate")?.f64()?.get(row);
        drawn.add_row(vec![
            Cell::new(one_line(&text("cohort_name", row)?)),
            Cell::new(text("cohort_kind", row)?),
            right(count("members", row)?),
            right(count("joined", row)?),
            right(count("departed", row)?),
            right(count("openers", row)?),
            right(count("unsubscribed", row)?),
            right(rate.map_or("–".to_string(), |rate| format!("{:+.1} %", rate * 100.0))),
        ]);
    }
    Ok(trimmed(&drawn))
}

/// The drawn table without the padding at the ends of lines.
pub(super) fn trimmed(drawn: &Drawn) -> String {
    drawn.lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// Names are data: line breaks and control characters would break the table.
pub(super) fn one_line(name: &str) -> String {
    name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
