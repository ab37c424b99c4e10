//! How long members stay: the survival curve of first spells.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::{Value, json};

use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, grouped};
use crate::page::figure::{Figure, Figures, Grid, drawn, head};
use crate::page::{share, shown};
use crate::table::Rows;

/// Durations that are drawn.
const MONTHS: usize = 36;

pub(super) fn figure(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "How long they stay";
    let mut points: Vec<Value> = Vec::new();
    let mut cells = Vec::new();
    for row in of_cohort(rows, cohort)?.take(MONTHS) {
        let duration = rows.count("duration_months", row)?.unwrap_or_default();
        let count = |name: &str| Ok::<_, polars::prelude::PolarsError>(rows.count(name, row)?.unwrap_or_default());
        // Nobody was followed further: of who stays longer it tells nothing.
        if count("at_risk")? == count("censored")? {
            break;
        }
        let (survival, low, high) = (rows.ratio("survival", row)?, rows.ratio("survival_low", row)?, rows.ratio("survival_high", row)?);
        points.push(json!([duration, survival.map(drawn), low.map(drawn), high.map(drawn), count("at_risk")?]));
        cells.push(vec![
            duration.to_string(),
            grouped(count("at_risk")?),
            grouped(count("departed")?),
            grouped(count("censored")?),
            share(survival),
            format!("{} to {}", share(low), share(high)),
        ]);
    }
    if points.is_empty() {
        return Ok(nothing(title, "Is known once somebody has entered after the first month and another month has passed."));
    }
    let table = Grid {
        caption: format!("{}: share of first spells that last longer than so many months", shown(&cohort.name)),
        head: head(&["months", "followed so long", "departed then", "followed no further", "still members", "95 % interval"]),
        texts: 0,
        rows: cells,
    };
    let about = "Of those who entered after the first month observed, the share that is still there after so many months (Kaplan-Meier), \
                 with its 95 % interval. Whoever was followed no further in a month counts as still there in it.";
    let chart = json!({ "kind": "survival", "points": points });
    Ok(figures.add(Figure { id: format!("{anchor}-survival"), title, about: about.to_string(), chart, table }))
}
