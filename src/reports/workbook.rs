//! `report.xlsx`: a sheet that reads like the top of the page, then a sheet for each report. The reports with a row for each contact are
//! left out.
//!
//! Only values are written, never formulas, so Excel never runs a text of the workspace. The creation time of the workbook is the time of
//! the observation: the same month gives the same bytes.

mod front;
mod style;

use polars::prelude::{DataFrame, DataType, PolarsError, PolarsResult, polars_err};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Note, Workbook, Worksheet, XlsxError};

use self::style::{Styles, width};
use crate::analysis::REPORTS;
use crate::digest::{Digest, Tables};
use crate::page::About;
use archive::table::{Column, Table};

/// The workbook's name in the folder of its month.
pub const WORKBOOK: &str = "report.xlsx";
/// The maximum number of rows of a sheet, without the head. Excel allows a million, but opens such a sheet slowly. A workbook is also made
/// in memory: the 915,000 rows of `retention` of 500 cohorts and 60 months took 4 GB (`benches/formats.rs`).
pub const ROWS_MAX: usize = 250_000;
/// The maximum length of a text, in UTF-16 code units: a limit of the format.
const TEXT_MAX: usize = 32_767;
/// The width of a note and the height of a line in pixels, and about how many characters fit in a line.
const NOTE_WIDTH: u32 = 320;
const NOTE_LINE_HEIGHT: u32 = 17;
const NOTE_LINE: usize = 48;
/// The width of a printed page, in characters.
const PAGE_WIDTH: f64 = 150.0;
/// The number that a sheet uses for the day 1970-01-01. Sheets have no time zones: instants are in UTC.
const EPOCH: f64 = 25_569.0;
const MICROS_A_DAY: f64 = 86_400e6;
/// The number of characters of a month, of a day with a time, and of a flag.
const MONTH_LENGTH: usize = 7;
const TIME_LENGTH: usize = 20;
const FLAG_LENGTH: usize = 6;

/// The workbook of a month. A report with more than [`ROWS_MAX`] rows is left out; the first sheet says so.
///
/// # Errors
/// When a table or a column is missing.
pub fn workbook(about: &About, digest: &Digest, tables: &Tables) -> PolarsResult<Vec<u8>> {
    let reports = REPORTS.iter().filter(|report| !report.is_per_member());
    let reports = reports.map(|report| Ok((&report.table, tables.named(report.table.name)?.0))).collect::<PolarsResult<Vec<_>>>()?;
    let (shown, left_out): (Vec<_>, Vec<_>) = reports.into_iter().partition(|(_, rows)| rows.height() <= ROWS_MAX);
    let left_out: Vec<&str> = left_out.iter().map(|(table, _)| table.name).collect();
    made(about, digest, &shown, &left_out).map_err(|error| polars_err!(ComputeError: "the workbook: {error}"))
}

fn made(about: &About, digest: &Digest, reports: &[(&'static Table, &DataFrame)], left_out: &[&str]) -> Result<Vec<u8>, XlsxError> {
    let styles = Styles::default();
    let mut workbook = Workbook::new();
    let created = ExcelDateTime::from_timestamp(about.observed_at.timestamp())?;
    workbook.set_properties(&DocProperties::new().set_title(front::title(about)).set_creation_datetime(&created));
    front::write(workbook.add_worksheet(), &styles, about, digest, left_out)?;
    for (table, rows) in reports {
        write(workbook.add_worksheet(), &styles, table, rows)?;
    }
    workbook.save_to_buffer()
}

/// A sheet with the rows of a report.
fn write(sheet: &mut Worksheet, styles: &Styles, table: &'static Table, rows: &DataFrame) -> Result<(), XlsxError> {
    // The names of cohorts stay in view.
    let fixed = if table.columns.get(2).is_some_and(|column| column.name == "cohort_name") { 3 } else { 0 };
    sheet.set_name(table.name)?.set_freeze_panes(1, fixed)?;
    let last = (table.columns.len() - 1) as u16;
    sheet.autofilter(0, 0, rows.height().max(1) as u32, last)?;
    let mut all = 0.0;
    for (place, column) in (0_u16..).zip(table.columns) {
        sheet.write_string_with_format(0, place, column.name, styles.head_of(column))?;
        let text = meaning(column);
        let (lines, wide) = (text.lines().map(|line| line.len() / NOTE_LINE + 1).sum::<usize>() as u32, NOTE_WIDTH);
        sheet.insert_note(0, place, &Note::new(text).add_author_prefix(false).set_height(lines * NOTE_LINE_HEIGHT + 12).set_width(wide))?;
        let widest = write_column(sheet, styles, place, column, rows)?;
        let width = width(widest.max(column.name.len() + 4));
        sheet.set_column_width(place, width)?;
        all += width;
    }
    let pages = (all / PAGE_WIDTH).ceil() as u16;
    sheet.set_landscape().set_repeat_rows(0, 0)?.set_print_fit_to_pages(pages, 0);
    if fixed > 0 && pages > 1 {
        sheet.set_repeat_columns(0, fixed - 1)?;
    }
    Ok(())
}

/// What a column holds, its unit, and what an empty cell means.
fn meaning(column: &Column) -> String {
    let mut text = column.about.to_string();
    if let Some(unit) = column.unit() {
        text.push_str(&format!("\nUnit: {unit}"));
    }
    if !column.null.is_empty() {
        text.push_str(&format!("\nEmpty: {}", column.null));
    }
    text
}

/// Writes the cells of a column; nothing for null. Returns the length of the longest.
fn write_column(sheet: &mut Worksheet, styles: &Styles, place: u16, column: &Column, rows: &DataFrame) -> Result<usize, XlsxError> {
    let format = styles.of(column);
    let cells = cells(rows, column.name).map_err(|error| XlsxError::ParameterError(error.to_string()))?;
    let mut longest = 0;
    for (row, cell) in (1_u32..).zip(cells) {
        if let Some(cell) = cell {
            let format = match cell {
                Cell::Number(number) => format.unwrap_or_else(|| styles.of_number(number)),
                _ => format.unwrap_or(&styles.text),
            };
            longest = longest.max(write_cell(sheet, (row, place), cell, format)?);
        }
    }
    Ok(longest)
}

enum Cell<'a> {
    Text(&'a str),
    Number(f64),
    Flag(bool),
    /// Days since 1970, with a fraction.
    Time(f64),
}

/// Writes a cell, and returns about how many characters it shows.
fn write_cell(sheet: &mut Worksheet, (row, place): (u32, u16), cell: Cell<'_>, format: &Format) -> Result<usize, XlsxError> {
    match cell {
        Cell::Text(text) => {
            let text = fitting(text);
            sheet.write_string_with_format(row, place, text, format)?;
            return Ok(text.chars().count());
        }
        // A sheet has no infinity or NaN, so they are written as text.
        Cell::Number(number) if !number.is_finite() => sheet.write_string(row, place, number.to_string())?,
        Cell::Number(number) => {
            sheet.write_number_with_format(row, place, number, format)?;
            return Ok(number.abs().max(1.0).log10() as usize * 4 / 3 + 5);
        }
        Cell::Flag(flag) => sheet.write_boolean_with_format(row, place, flag, format)?,
        Cell::Time(days) => {
            sheet.write_number_with_format(row, place, days + EPOCH, format)?;
            return Ok(if days.fract() == 0.0 { MONTH_LENGTH } else { TIME_LENGTH });
        }
    };
    Ok(FLAG_LENGTH)
}

/// The cells of a column, from the first row on; `None` for null.
fn cells<'a>(rows: &'a DataFrame, name: &str) -> PolarsResult<Box<dyn Iterator<Item = Option<Cell<'a>>> + 'a>> {
    let column = rows.column(name)?;
    Ok(match column.dtype() {
        DataType::String => Box::new(column.str()?.iter().map(|cell| cell.map(Cell::Text))),
        DataType::Int64 => Box::new(column.i64()?.iter().map(|cell| cell.map(|count| Cell::Number(count as f64)))),
        DataType::Float64 => Box::new(column.f64()?.iter().map(|cell| cell.map(Cell::Number))),
        DataType::Boolean => Box::new(column.bool()?.iter().map(|cell| cell.map(Cell::Flag))),
        DataType::Date => Box::new(column.date()?.physical().iter().map(|cell| cell.map(|days| Cell::Time(f64::from(days))))),
        DataType::Datetime(..) => {
            let days = |micros: i64| Cell::Time(micros as f64 / MICROS_A_DAY);
            Box::new(column.datetime()?.physical().iter().map(move |cell| cell.map(days)))
        }
        other => return Err(PolarsError::SchemaMismatch(format!("no report has columns of the type {other}").into())),
    })
}

/// The text, or as much of it as a cell can have.
fn fitting(text: &str) -> &str {
    let mut units = 0;
    let end = text.char_indices().find(|(_, character)| {
        units += character.len_utf16();
        units > TEXT_MAX
    });
    end.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests;
