//! A figure: a chart and the table of its numbers.

use maud::{Markup, html};
use serde_json::{Value, json};

use super::document::escaped;
use crate::digest::decimal;

/// A table for people. The first cell of a row is its name.
pub(super) struct Grid {
    pub caption: String,
    pub head: Vec<String>,
    /// The number of text columns at the start, 6 at most. The others are numbers, aligned to the right.
    pub texts: usize,
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn drawn(&self) -> Markup {
        let rows = html! {
            thead { tr { @for name in &self.head { th scope="col" { (name) } } } }
            tbody {
                @for row in &self.rows {
                    tr {
                        @for (column, cell) in row.iter().enumerate() {
                            @if column == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                        }
                    }
                }
            }
        };
        html! { div class=(format!("texts-{}", self.texts)) { (framed(&self.caption, &rows)) } }
    }
}

/// Puts the rows into a table. A wide table scrolls on its own, so it must be reachable by keyboard.
pub(super) fn framed(caption: &str, rows: &Markup) -> Markup {
    html! { div class="scroll" role="region" tabindex="0" aria-label=(caption) { table { caption { (caption) } (rows) } } }
}

/// The heads of columns.
pub(super) fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_string()).collect()
}

/// The figures of a page for the script: JSON that is safe in HTML, by the ID of the chart.
#[derive(Default)]
pub(super) struct Figures {
    entries: Vec<String>,
    bytes: usize,
}

pub(super) struct Figure<'a> {
    /// Unique on the page.
    pub id: String,
    pub title: &'a str,
    /// An explanation of what the figure shows.
    pub about: String,
    /// The data for the script. Its `kind` selects the chart.
    pub chart: Value,
    pub table: Grid,
}

impl Figures {
    pub(super) fn add(&mut self, figure: Figure<'_>) -> Markup {
        let Figure { id, title, about, chart, table } = figure;
        let entry = format!("{}:{}", json!(id), escaped(&chart));
        self.bytes += entry.len() + 1;
        self.entries.push(entry);
        html! {
            figure {
                figcaption { h3 { (title) } }
                div class="chart" id=(id) role="img" aria-label=(format!("Chart: {}. The table below has its numbers.", table.caption)) {}
                details { summary { "Numbers, and how to read them" span class="unseen" { ": " (title) } } p { (about) } (table.drawn()) }
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the figures of another part of the page.
    pub(super) fn extend(&mut self, other: Figures) {
        self.bytes += other.bytes;
        self.entries.extend(other.entries);
    }

    pub(super) fn into_json(self) -> String {
        format!("{{{}}}", self.entries.join(","))
    }
}

/// A share in per cent without the unit, which is in the head of the column; a dash if there is no share.
pub(super) fn hundredths(share: Option<f64>) -> String {
    share.map_or("–".to_string(), |share| decimal(share * 100.0, 1))
}

/// Rounds a number for a chart. More digits are invisible and only make the page larger: it has thousands of numbers.
pub(super) fn drawn(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
