//! The first sheet: the month, what a reader must know, what stands out, and the cohorts.

use rust_xlsxwriter::{Format, Sparkline, Worksheet, XlsxError};

use super::style::{BLUE, Styles};
use crate::digest::{CohortDigest, Digest, month_name};
use crate::page::About;

const SHEET: &str = "Month";
/// The columns of the table of cohorts, with their widths.
const COLUMNS: [(&str, f64); 11] = [
    ("cohort", 28.0),
    ("kind", 10.0),
    ("members", 11.0),
    ("trend", 20.0),
    ("joined", 10.0),
    ("departed", 11.0),
    ("churn", 10.0),
    ("change", 10.0),
    ("opened conversations", 16.0),
    ("unsubscribed", 15.0),
    ("", 3.0),
];
/// The column of the trend, and the first column of the monthly numbers that the trend shows.
const TREND: u16 = 3;
const MONTHS: u16 = COLUMNS.len() as u16;
/// About how many characters of a sentence fit in the width of the table.
const LINE: usize = 140;
/// The maximum number of notices, as on the page.
const NOTICES: usize = 6;
/// The height of a line of text, in points.
const LINE_HEIGHT: usize = 15;

pub(super) fn title(about: &About) -> String {
    format!("Customers in {}", month_name(about.month))
}

pub(super) fn write(sheet: &mut Worksheet, styles: &Styles, about: &About, digest: &Digest, left_out: &[&str]) -> Result<(), XlsxError> {
    sheet.set_name(SHEET)?.set_landscape().set_print_fit_to_pages(1, 0).set_screen_gridlines(false);
    for (column, (_, width)) in (0_u16..).zip(COLUMNS) {
        sheet.set_column_width(column, width)?;
    }
    let mut texts = Texts { sheet, styles, row: 0 };
    texts.line(&title(about), &styles.title)?;
    texts.line(&format!("Job: {}", about.job), &styles.quiet)?;
    texts.sentence(&format!(
        "Observed on {}, months in the time zone {}. {}",
        about.observed_at.format("%Y-%m-%d at %H:%M UTC"),
        about.timezone,
        digest.compared()
    ))?;
    if !digest.notices.is_empty() {
        texts.heading("Before you read on")?;
        for notice in digest.notices.iter().take(NOTICES) {
            texts.sentence(&format!("{}: {}", if notice.severity == "error" { "Error" } else { "Warning" }, notice.text))?;
        }
        let more = digest.notices.len().saturating_sub(NOTICES);
        if more > 0 {
            texts.sentence(&format!("{more} more are in the sheet data_quality."))?;
        }
    }
    texts.heading("What stands out")?;
    if digest.notable.is_empty() {
        texts.sentence("Nothing stands out this month.")?;
    }
    for notable in &digest.notable {
        texts.sentence(&notable.sentence)?;
    }
    texts.heading("The cohorts")?;
    let row = texts.row;
    let row = cohorts(sheet, styles, digest, row)?;
    let mut texts = Texts { sheet, styles, row: row + 1 };
    for report in left_out {
        texts.sentence(&format!("The report {report} has no sheet: it has more rows than people read here. See data_quality."))?;
    }
    texts.sentence("Each of the other sheets is a report. A note on the head of each column says what it holds.")
}

/// Writes texts, one below the other.
struct Texts<'a> {
    sheet: &'a mut Worksheet,
    styles: &'a Styles,
    row: u32,
}

impl Texts<'_> {
    fn line(&mut self, text: &str, format: &Format) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.row, 0, text, format)?;
        self.row += 1;
        Ok(())
    }

    fn heading(&mut self, text: &str) -> Result<(), XlsxError> {
        self.row += 1;
        self.line(text, &self.styles.heading)
    }

    /// A text over the width of the table, on as many lines as it needs.
    fn sentence(&mut self, text: &str) -> Result<(), XlsxError> {
        let text = super::fitting(text);
        // Characters of East Asia are twice as wide.
        let width = text.chars().map(|character| if character >= '\u{1100}' { 2 } else { 1 }).sum::<usize>();
        let lines = width.div_ceil(LINE).max(1);
        self.sheet.merge_range(self.row, 0, self.row, MONTHS - 2, text, &self.styles.sentence)?;
        self.sheet.set_row_height(self.row, (lines * LINE_HEIGHT) as f64)?;
        self.row += 1;
        Ok(())
    }
}

/// The table of cohorts, with their members of the last months beside it. Returns the row after it.
fn cohorts(sheet: &mut Worksheet, styles: &Styles, digest: &Digest, top: u32) -> Result<u32, XlsxError> {
    // The number of months from the first one with a value to this month.
    let known = |cohort: &CohortDigest| cohort.series.iter().position(Option::is_some).map_or(0, |first| cohort.series.len() - first);
    let months = digest.cohorts.iter().map(known).max().unwrap_or_default() as u16;
    for (column, (name, _)) in (0_u16..).zip(COLUMNS).filter(|(_, (name, _))| !name.is_empty()) {
        let is_text = matches!(name, "cohort" | "kind" | "trend");
        sheet.write_string_with_format(top, column, name, if is_text { &styles.head } else { &styles.number_head })?;
    }
    for place in 0..months {
        let month = domain::Month::from_index(digest.month.index() - i64::from(months - 1 - place));
        sheet.write_string_with_format(top, MONTHS + place, month.to_string(), &styles.number_head)?;
    }
    let mut row = top;
    for cohort in &digest.cohorts {
        row += 1;
        line(sheet, styles, cohort, row)?;
        for (place, members) in (0_u16..).zip(&cohort.series[cohort.series.len() - usize::from(months)..]) {
            number(sheet, row, MONTHS + place, members.map(|members| members as f64), &styles.count)?;
        }
        if cohort.series.iter().flatten().count() > 1 {
            let range = (SHEET, row, MONTHS, row, MONTHS + months - 1);
            sheet.add_sparkline(row, TREND, &Sparkline::new().set_range(range).show_last_point(true).set_sparkline_color(BLUE))?;
        }
    }
    Ok(row + 1)
}

fn line(sheet: &mut Worksheet, styles: &Styles, cohort: &CohortDigest, row: u32) -> Result<(), XlsxError> {
    sheet.write_string_with_format(row, 0, super::fitting(&cohort.name), &styles.text)?;
    sheet.write_string_with_format(row, 1, &cohort.kind, &styles.text)?;
    let count = |count: Option<i64>| count.map(|count| count as f64);
    let numbers = [
        (2, Some(cohort.members as f64), &styles.count),
        (4, count(cohort.joined), &styles.count),
        (5, count(cohort.departed), &styles.count),
        (6, cohort.churn_rate, &styles.share),
        (7, cohort.growth_rate, &styles.change),
        (8, count(cohort.openers), &styles.count),
        (9, count(cohort.unsubscribed), &styles.count),
    ];
    numbers.into_iter().try_for_each(|(column, value, format)| number(sheet, row, column, value, format))
}

/// Writes a number; nothing if there is none.
fn number(sheet: &mut Worksheet, row: u32, column: u16, value: Option<f64>, format: &Format) -> Result<(), XlsxError> {
    if let Some(value) = value {
        sheet.write_number_with_format(row, column, value, format)?;
    }
    Ok(())
}
