//! Reads the golden files of `tests/golden/stats`, which the scripts there write.

use std::collections::HashMap;

/// A row of a golden file, by column.
pub(super) struct Row(HashMap<String, String>);

impl Row {
    pub(super) fn text(&self, column: &str) -> &str {
        self.0.get(column).unwrap_or_else(|| panic!("no column {column}"))
    }

    pub(super) fn case(&self) -> &str {
        self.text("case")
    }

    pub(super) fn count(&self, column: &str) -> u64 {
        self.text(column).parse().unwrap()
    }

    pub(super) fn number(&self, column: &str) -> f64 {
        self.text(column).parse().unwrap()
    }

    /// None if the field is empty: there is no result, or it is too small for f64.
    pub(super) fn optional(&self, column: &str) -> Option<f64> {
        let text = self.text(column);
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    /// Numbers separated by spaces.
    pub(super) fn numbers(&self, column: &str) -> Vec<f64> {
        self.text(column).split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    /// Parses groups of numbers, such as `value:count:count`, that are separated by spaces.
    pub(super) fn tallies(&self, column: &str) -> Vec<Vec<f64>> {
        let tally = |text: &str| text.split(':').map(|number| number.parse().unwrap()).collect();
        self.text(column).split_whitespace().map(tally).collect()
    }
}

pub(super) fn rows(file: &str) -> Vec<Row> {
    let rows: Vec<Row> = csv::Reader::from_reader(file.as_bytes()).deserialize().map(|row| Row(row.unwrap())).collect();
    assert!(!rows.is_empty(), "a golden file without rows tests nothing");
    rows
}

#[track_caller]
pub(super) fn assert_close(actual: f64, expected: f64, case: &str) {
    assert!((actual - expected).abs() <= 1e-9 * expected.abs(), "{case}: {actual:e}, expected {expected:e}");
}

/// If `expected` is none, the p-value is less than 1e-300, and any value from 0 to 1e-300 passes.
#[track_caller]
pub(super) fn assert_p(actual: Option<f64>, expected: Option<f64>, case: &str) {
    let actual = actual.unwrap_or_else(|| panic!("{case}: no p-value"));
    match expected {
        Some(expected) => assert_close(actual, expected, case),
        None => assert!((0.0..1e-300).contains(&actual), "{case}: {actual:e}, expected less than 1e-300"),
    }
}
