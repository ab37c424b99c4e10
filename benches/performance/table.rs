//! Figures as a table, and the table in docs/performance.md.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::Failure;

/// What stands around the figures in docs/performance.md.
const BEGIN: &str = "<!-- figures: written by `cargo bench --bench performance -- --write` -->";
const END: &str = "<!-- end of figures -->";

/// One row: what was measured, beside its bound.
#[derive(Clone)]
pub(crate) struct Figure {
    pub scenario: String,
    pub what: String,
    pub measured: String,
    pub bound: String,
    pub ratio: Option<f64>,
    pub wanted: String,
    /// `None` for what only explains another figure.
    pub is_reached: Option<bool>,
}

impl Figure {
    /// A figure that nothing is asked of.
    pub(crate) fn reported(scenario: &str, what: &str, measured: String) -> Figure {
        let (scenario, what) = (scenario.to_string(), what.to_string());
        Figure { scenario, what, measured, bound: String::new(), ratio: None, wanted: String::new(), is_reached: None }
    }

    /// A figure that is at most so many times its bound.
    pub(crate) fn at_most(self, factor: f64, bound: String, ratio: f64) -> Figure {
        let wanted = format!("at most {factor} x");
        Figure { bound, ratio: Some(ratio), wanted, is_reached: Some(ratio <= factor), ..self }
    }

    /// A figure beside a bound, without a limit.
    pub(crate) fn beside(self, bound: String, ratio: f64) -> Figure {
        Figure { bound, ratio: Some(ratio), ..self }
    }

    /// A figure with a limit of its own.
    pub(crate) fn wanted(self, wanted: &str, is_reached: bool) -> Figure {
        Figure { wanted: wanted.to_string(), is_reached: Some(is_reached), ..self }
    }
}

pub(crate) fn markdown(figures: &[Figure]) -> String {
    let mut text = "| scenario | figure | measured | bound | ratio | wanted | reached |\n|---|---|---|---|---|---|---|\n".to_string();
    let mut above = "";
    for figure in figures {
        // A scenario is named in its first row.
        let scenario = if figure.scenario == above { "" } else { figure.scenario.as_str() };
        above = &figure.scenario;
        let Figure { what, measured, bound, wanted, .. } = figure;
        let ratio = figure.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"));
        let reached = match figure.is_reached {
            Some(true) => "yes",
            Some(false) => "**missed**",
            None => "",
        };
        // Into a string it cannot fail.
        let _ = writeln!(text, "| {scenario} | {what} | {measured} | {bound} | {ratio} | {wanted} | {reached} |");
    }
    text
}

/// Replaces the figures of a page by others.
pub(crate) fn put_into(path: &Path, report: &str) -> Result<(), Failure> {
    let page = fs::read_to_string(path)?;
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no place for figures")?;
    let (_, after) = rest.split_once(END).ok_or("the place for figures has no end")?;
    Ok(fs::write(path, format!("{before}{BEGIN}\n\n{report}\n{END}{after}"))?)
}

pub(crate) fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{} MiB", kib / 1024)
}

/// 12,345
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
