use polars::prelude::{DataFrame, df};

use super::*;
use crate::analysis::Report;
use domain::Month;

fn month() -> Month {
    "2026-10".parse().unwrap()
}

fn about() -> About {
    About {
        job: "j".to_string(),
        month: month(),
        observed_at: "2026-11-01T02:00:00Z".parse().unwrap(),
        timezone: "UTC".to_string(),
        population: "everyone".to_string(),
        odd_months: Vec::new(),
        expected_months: Vec::new(),
        changed_definitions: Vec::new(),
        notable_series: Vec::new(),
    }
}

fn made(name: &'static str, rows: DataFrame) -> Vec<u8> {
    let digest = Digest { month: month(), cohorts: Vec::new(), notable: Vec::new(), notices: Vec::new(), followed: Default::default() };
    let mut tables = Tables::default();
    REPORTS.iter().for_each(|report| tables.add(report.table.name, report.table.empty()));
    tables.add(name, rows);
    workbook(&about(), &digest, &tables).unwrap()
}

#[test]
fn any_text_fits_in_a_cell_and_the_same_rows_give_the_same_bytes() {
    let long = "🦀".repeat(TEXT_MAX);
    let texts = ["=1+1", "_x0041_", "\u{0}\u{1b}\u{fffe}", "", &long];
    let rows = df![
        "month" => [month().first_day(); 5],
        "severity" => texts, "check_name" => texts, "subject" => texts, "value" => texts, "expected" => [None::<&str>; 5], "detail" => texts,
    ];
    let rows = rows.unwrap();
    let bytes = made("data_quality", rows.clone());
    assert_eq!(bytes, made("data_quality", rows));
    assert_eq!(fitting(&long).encode_utf16().count(), TEXT_MAX - 1);
}

#[test]
fn a_report_that_is_too_long_has_no_sheet() {
    let table = &Report::named("movement").unwrap().table;
    let rows = |count: usize| {
        let empty = |column: &Column| polars::prelude::Column::full_null(column.name.into(), count, &column.kind.dtype());
        DataFrame::new(count, table.columns.iter().map(empty).collect()).unwrap()
    };
    // The file names in a ZIP archive are not compressed, so the name of a sheet can be found in the bytes.
    let last = format!("xl/worksheets/sheet{}.xml", 1 + REPORTS.iter().filter(|report| !report.is_per_member()).count());
    let has_sheet = |bytes: &[u8]| bytes.windows(last.len()).any(|part| part == last.as_bytes());
    assert!(has_sheet(&made(table.name, rows(1))));
    assert!(!has_sheet(&made(table.name, rows(ROWS_MAX + 1))));
}
