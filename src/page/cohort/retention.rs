//! Who stays: of those who entered in a month, how many are there so many months later.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, grouped};
use crate::domain::Month;
use crate::page::figure::{Figure, Figures, Grid};
use crate::page::{share, shown};
use crate::table::Rows;

/// Entry months that are drawn, the last ones; as many ages.
const ENTRIES: usize = 13;

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

pub(super) fn figure(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "Who stays";
    let cells = cells(rows, cohort)?;
    let mut entries: Vec<Month> = cells.iter().map(|cell| cell.entry).collect();
    entries.dedup();
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
        // Age, entry, rate, entrants, retained, interval.
        "cells": shown_cells.iter().map(|(entry, cell)| {
            json!([cell.age, entry, cell.rate.map(short), cell.entrants, cell.retained, cell.low.map(short), cell.high.map(short)])
        }).collect::<Vec<_>>(),
    });
    let row = |(_, cell): &(usize, &Cell)| {
        vec![
            cell.entry.to_string() + if cell.is_censored { " or before" } else { "" },
            cell.age.to_string(),
            grouped(cell.entrants),
            grouped(cell.retained),
            share(cell.rate),
            format!("{} to {}", share(cell.low), share(cell.high)),
        ]
    };
    let table = Grid {
        caption: format!("{}: members by the month they entered and months since", shown(&cohort.name)),
        head: vec!["entered", "months since", "entrants", "still members", "share", "95 % interval"],
        texts: 1,
        rows: shown_cells.iter().map(row).collect(),
    };
    let about = "Each row is those who entered in a month; each column how many months later; each cell the share who are members then, \
                 after a break or without.";
    Ok(figures.add(Figure { id: format!("{anchor}-retention"), title, about: about.to_string(), chart, table }))
}

fn cells(rows: Rows<'_>, cohort: &CohortDigest) -> PolarsResult<Vec<Cell>> {
    let mut cells = Vec::new();
    for row in of_cohort(rows, cohort)? {
        let Some(entry) = rows.day("entry_month", row)?.map(Month::of) else { continue };
        cells.push(Cell {
            entry,
            is_censored: rows.flag("entry_is_censored", row)? == Some(true),
            age: rows.count("age_months", row)?.unwrap_or_default(),
            entrants: rows.count("entrants", row)?.unwrap_or_default(),
            retained: rows.count("retained", row)?.unwrap_or_default(),
            rate: rows.ratio("retention_rate", row)?,
            low: rows.ratio("rate_low", row)?,
            high: rows.ratio("rate_high", row)?,
        });
    }
    Ok(cells)
}

/// Four digits draw as well as seventeen, and are a quarter of the bytes.
fn short(number: f64) -> f64 {
    (number * 1e4).round() / 1e4
}
