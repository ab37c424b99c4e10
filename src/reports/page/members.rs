//! Some members of a cohort by name: only where the job says `html_members = true`.

use maud::{Markup, html};
use polars::prelude::*;

use super::figure::{Grid, head};
use super::{count, shown};
use crate::digest::{CohortDigest, grouped};
use archive::table::Rows;

/// The maximum number of members of a cohort on the page. `shown_members.sql` contains the same number.
const SHOWN: usize = 25;

/// The members of each cohort that [`table`] shows: those who joined or departed, then those who opened most conversations.
///
/// # Errors
/// When a column is missing.
pub fn some_members(members: &DataFrame) -> PolarsResult<DataFrame> {
    let stayed = col("change").eq(lit("retained")).or(col("change").eq(lit("first_seen")));
    let order = SortMultipleOptions::default().with_order_descending_multi([false, false, true, false]).with_nulls_last(true);
    let sorted = members
        .clone()
        .lazy()
        .with_column(stayed.alias("stayed"))
        .sort_by_exprs([col("cohort_key"), col("stayed"), col("conversations_opened"), col("contact_id")], order)
        .collect()?;
    // The rows of a cohort are adjacent now. Only the first rows are kept.
    let keys = sorted.column("cohort_key")?.str()?;
    let (mut last, mut taken) = (None, 0);
    let is_kept: BooleanChunked = keys
        .iter()
        .map(|key| {
            taken = if key == last { taken + 1 } else { 1 };
            last = key;
            Some(taken <= SHOWN)
        })
        .collect();
    sorted.filter(&is_kept)
}

pub(super) fn table(people: &DataFrame, cohort: &CohortDigest) -> PolarsResult<Markup> {
    let rows = Rows(people);
    let mut cells = Vec::new();
    for row in rows.of("cohort_key", &cohort.cohort_key)? {
        let text = |name: &str| Ok::<_, PolarsError>(shown(rows.text(name, row)?));
        cells.push(vec![
            text("contact_id")?,
            text("name")?,
            text("email")?,
            text("role")?,
            text("change")?,
            text("country")?,
            rows.day("entered_month", row)?.map_or("–".to_string(), |day| day.format("%Y-%m").to_string()),
            count(rows.count("conversations_opened", row)?),
        ]);
    }
    let all = cohort.members + cohort.departed.unwrap_or_default();
    let grid = Grid {
        caption: format!(
            "Members of {}: {} of {}, first those who came or left, then those who opened most conversations",
            shown(&cohort.name),
            grouped(cells.len() as i64),
            grouped(all)
        ),
        head: head(&["contact", "name", "e-mail", "role", "change", "country", "in it since", "conversations"]),
        texts: 6,
        rows: cells,
    };
    Ok(html! { details { summary { "Some members by name" } (grid.drawn()) } })
}
