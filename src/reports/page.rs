//! The pages for people: a month's `report.html` and the job's `index.html`. Each page is one file with styles, charting library
//! and figures. A page loads nothing from a network. Tables are HTML, so they work without script. The charts are drawn from the
//! same figures as JSON.
//!
//! This module uses no paths and no clock, so the same month gives the same bytes.

mod between;
mod cohort;
mod document;
mod figure;
mod index;
mod members;
mod month;
mod notices;
mod overview;
mod trend_line;

pub use index::{CohortLine, MonthLine, Observation, index};
pub use members::some_members;
pub use month::{About, month};

/// The metrics that mark a month as odd in one of a page's charts.
pub fn marked_metrics() -> Vec<&'static str> {
    cohort::growth::marked()
}

/// The metrics whose expected values are drawn in one of a page's charts.
pub fn banded_metrics() -> Vec<&'static str> {
    cohort::growth::banded()
}

/// A name as the page shows it.
fn shown(name: &str) -> String {
    crate::digest::shortened(&crate::digest::one_line(name), crate::digest::NAME_LENGTH)
}

/// A count, or a dash where there is none.
fn count(number: Option<i64>) -> String {
    number.map_or("–".to_string(), crate::digest::grouped)
}

/// A share, or a dash where there is none.
fn share(number: Option<f64>) -> String {
    number.map_or("–".to_string(), crate::digest::percent)
}

#[cfg(test)]
mod tests;
