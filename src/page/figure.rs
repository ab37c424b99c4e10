//! A figure: a chart with the table of its numbers behind it.

use maud::{Markup, html};
use serde_json::{Map, Value};

/// A table for people: the first cell of a row names it.
pub(super) struct Grid {
    pub caption: String,
    pub head: Vec<&'static str>,
    /// How many of the first columns are text; the others are numbers, and stand to the right.
    pub texts: usize,
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// Wide tables scroll within themselves: so the keyboard has to reach them.
    pub(super) fn drawn(&self) -> Markup {
        let class = |column: usize| (column >= self.texts).then_some("number");
        html! {
            div class="scroll" role="region" tabindex="0" aria-label=(self.caption) {
                table {
                    caption { (self.caption) }
                    thead { tr { @for (column, name) in self.head.iter().enumerate() { th scope="col" class=[class(column)] { (name) } } } }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (column, cell) in row.iter().enumerate() {
                                    @if column == 0 { th scope="row" { (cell) } } @else { td class=[class(column)] { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The figures of a page, by the id of their chart.
#[derive(Default)]
pub(super) struct Figures {
    charts: Map<String, Value>,
}

pub(super) struct Figure<'a> {
    /// Unique on the page.
    pub id: String,
    pub title: &'a str,
    /// What it shows and how to read it.
    pub about: String,
    /// What the script draws; its `kind` says how.
    pub chart: Value,
    pub table: Grid,
}

impl Figures {
    pub(super) fn add(&mut self, figure: Figure<'_>) -> Markup {
        let Figure { id, title, about, chart, table } = figure;
        let markup = html! {
            figure {
                figcaption { strong { (title) } " " span { (about) } }
                div class="chart" id=(id) role="img" aria-label=(format!("Chart: {}. The table below has its numbers.", table.caption)) {}
                details { summary { "The numbers: " (title) } (table.drawn()) }
            }
        };
        self.charts.insert(id, chart);
        markup
    }

    pub(super) fn into_json(self) -> Value {
        Value::Object(self.charts)
    }
}
