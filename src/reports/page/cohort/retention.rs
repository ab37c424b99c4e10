//! Retention: how many of the entrants of a month are members some months later.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, grouped};
use crate::page::figure::{Figure, Figures, Grid, drawn};
use crate::page::{share, shown};
use archive::table::Rows;
use domain::Month;

/// The maximum number of months of entry that are drawn: the last ones with entrants.
const ENTRIES: usize = 13;
/// The maximum number of months since entry that are drawn.
const AGES: i64 = 24;

struct Cell {
    entry: Month,
    is_censored: bool,
    age: i64,
    entrants: i64,
    retained: i64,
    rate: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
}

impl Cell {
    /// The count, the share and its interval.
    fn text(&self) -> String {
        // At entry, all entrants are members, so the share is left out.
        if self.age == 0 {
            return grouped(self.retained);
        }
        format!("{}: {} ({} to {})", grouped(self.retained), share(self.rate), share(self.low), share(self.high))
    }
}

pub(super) fn figure(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "Who stays";
    let cells = cells(rows, cohort)?;
    let mut entries: Vec<Month> = cells.iter().map(|cell| cell.entry).collect();
    entries.dedup();
    if cells.is_empty() {
        return Ok(nothing(title, "Nobody has entered."));
    }
    if !cells.iter().any(|cell| cell.age > 0) {
        return Ok(nothing(title, "Needs a second month."));
    }
    let entries = &entries[entries.len().saturating_sub(ENTRIES)..];
    let place = |cell: &Cell| entries.iter().position(|entry| *entry == cell.entry);
    let shown_cells: Vec<(usize, &Cell)> = cells.iter().filter_map(|cell| Some((place(cell)?, cell))).collect();
    let chart = json!({
        "kind": "retention",
        "entries": entries.iter().map(|entry| {
            let is_censored = cells.iter().any(|cell| cell.entry == *entry && cell.is_censored);
            if is_censored { format!("{entry} or before") } else { entry.to_string() }
        }).collect::<Vec<_>>(),
        // A cell has: age, entry, rate, entrants, retained, low and high end of the interval.
        "cells": shown_cells.iter().map(|(entry, cell)| {
            json!([cell.age, entry, cell.rate.map(drawn), cell.entrants, cell.retained, cell.low.map(drawn), cell.high.map(drawn)])
        }).collect::<Vec<_>>(),
    });
    let ages = 0..=shown_cells.iter().map(|(_, cell)| cell.age).max().unwrap_or_default();
    let row = |(place, entry): (usize, &Month)| {
        let of_entry: Vec<&Cell> = shown_cells.iter().filter(|(of, _)| *of == place).map(|(_, cell)| *cell).collect();
        let first = of_entry.first();
        let censored = if first.is_some_and(|cell| cell.is_censored) { " or before" } else { "" };
        let entrants = first.map_or(String::new(), |cell| grouped(cell.entrants));
        let of_age = |age: i64| of_entry.iter().find(|cell| cell.age == age).map_or(String::new(), |cell| cell.text());
        [format!("{entry}{censored}"), entrants].into_iter().chain(ages.clone().map(of_age)).collect()
    };
    let names = ["entered".to_string(), "entrants".to_string()].into_iter();
    let table = Grid {
        caption: format!("{}: of those who entered in a month, how many are members so many months later", shown(&cohort.name)),
        head: names.chain(ages.clone().map(|age| if age == 1 { "1 month".to_string() } else { format!("{age} months") })).collect(),
        texts: 1,
        rows: entries.iter().enumerate().map(row).collect(),
    };
    let about = "Each row is those who entered in a month; each column how many months later; each cell the share who are members then, \
                 after a break or without.";
    Ok(figures.add(Figure { id: format!("{anchor}-retention"), title, about: about.to_string(), chart, table }))
}

/// The cells of months with entrants.
fn cells(rows: Rows<'_>, cohort: &CohortDigest) -> PolarsResult<Vec<Cell>> {
    let mut cells = Vec::new();
    for row in of_cohort(rows, cohort)? {
        let count = |name: &str| rows.count(name, row);
        let (Some(entry), Some(age), Some(entrants)) =
            (rows.day("entry_month", row)?.map(Month::of), count("age_months")?, count("entrants")?)
        else {
            continue;
        };
        if entrants == 0 || age > AGES {
            continue;
        }
        cells.push(Cell {
            entry,
            is_censored: rows.flag("entry_is_censored", row)? == Some(true),
            age,
            entrants,
            retained: rows.count("retained", row)?.unwrap_or_default(),
            rate: rows.ratio("retention_rate", row)?,
            low: rows.ratio("rate_low", row)?,
            high: rows.ratio("rate_high", row)?,
        });
    }
    Ok(cells)
}
