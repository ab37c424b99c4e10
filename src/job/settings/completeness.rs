//! `[completeness]`: when a stream has all of its rows.

use serde::Deserialize;

use super::numbers;
use super::setting::{Findings, Setting};

#[derive(Clone, Copy, Debug)]
pub struct Completeness {
    pub tolerance: f64,
}

pub(super) const SETTINGS: &[Setting] = &[Setting::new("completeness.tolerance", |all| all.completeness.tolerance.to_string())];

#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    #[serde(deserialize_with = "numbers::number")]
    tolerance: f64,
}

pub(super) fn check(Raw { tolerance }: Raw, findings: &mut Findings<'_>) -> Completeness {
    if !(0.0..1.0).contains(&tolerance) {
        findings.add("completeness.tolerance", format!("must be at least 0 and less than 1, and is {tolerance}"));
    }
    Completeness { tolerance }
}
