//! Intervals, tests and ranks on plain slices, each with its source named. This crate uses no other crate of the project, no data frames
//! and no files.
//!
//! No result is NaN or infinite, and no input panics. Values that are NaN or infinite are ignored. A result is `None` if the remaining
//! values do not determine it. Intervals are 95 % unless a level is given. All tests are two-sided. The golden files of
//! `tests/golden/stats` have the results of known libraries or of exact arithmetic; the functions agree with them within 1e-9 relative, for
//! p-values down to 1e-200. A p-value under 1e-300 may be 0. `docs/statistics.md` says what each number is for, and what it assumes.

#[cfg(test)]
mod calibration;
#[cfg(test)]
mod calibration_groups;
mod conditional;
#[cfg(test)]
mod draws;
mod expectation;
#[cfg(test)]
mod golden;
mod intervals;
mod life_table;
mod location;
mod multiple;
mod normal;
mod ranks;
mod retention;
mod strata;
mod student;
mod tables;
mod trend;

pub use expectation::{Expectation, Measure, Trend, expectation, trend};
pub use intervals::{Interval, wilson};
pub use life_table::{LifeTableRow, PersonMonths, life_table};
pub use location::{mean, median, quantile};
pub use multiple::{benjamini_hochberg, selected_alpha};
pub use ranks::{MannWhitney, Tally, mann_whitney};
pub use retention::{LogRank, RetentionCell, RetentionChange, RetentionCurvePoint, person_months, retention_change, retention_curve};
pub use strata::{Ratio, association, odds_ratio, risk_ratio};
pub use tables::TwoByTwo;
pub use trend::{mann_kendall, signed_rank, theil_sen};
