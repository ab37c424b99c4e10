//! Everything that is derived from snapshots: the members of rules, the history, the reports, the month in words, the page. This
//! crate uses no clock and no network.

pub mod analysis;
pub mod digest;
pub mod history;
pub mod page;
pub mod report;
pub mod rules;
pub mod steps;
pub mod workbook;

#[cfg(test)]
mod on_paper;
