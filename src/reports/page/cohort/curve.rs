//! How long members stay: the share of members over the months since entry, with its interval. One chart includes members after a
//! break. The other one shows only members who never left.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::{Value, json};

use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, grouped};
use crate::page::figure::{Figure, Figures, Grid, drawn, head, hundredths};
use crate::page::shown;
use archive::table::Rows;

/// The maximum number of months since entry that are drawn.
const MONTHS: i64 = 36;
const NOTHING: &str = "Is known once somebody has entered after the first month observed and another month has passed.";

/// The share of all entrants who are members some months later.
pub(super) fn retention(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "Who stays, all together";
    let (mut points, mut cells) = (Vec::new(), Vec::new());
    for row in of_cohort(rows, cohort)? {
        let count = |name: &str| Ok::<_, polars::prelude::PolarsError>(rows.count(name, row)?.unwrap_or_default());
        let (age, entrants) = (count("age_months")?, count("entrants")?);
        if age > MONTHS || entrants == 0 {
            continue;
        }
        let [rate, low, high] = ends(rows, ["retention_rate", "rate_low", "rate_high"], row)?;
        points.push(point(age, [rate, low, high], entrants));
        cells.push(vec![
            age.to_string(),
            grouped(count("entry_months")?),
            grouped(entrants),
            grouped(count("retained")?),
            grouped(count("retained_unbroken")?),
            hundredths(rate),
            format!("{} to {}", hundredths(low), hundredths(high)),
        ]);
    }
    // The first point says nothing: at entry, all entrants are members.
    if points.len() < 2 {
        return Ok(nothing(title, NOTHING));
    }
    let table = Grid {
        caption: format!("{}: of all who entered, how many are members so many months later", shown(&cohort.name)),
        head: head(&["months", "months of entry", "entrants", "members then", "without a break", "share, %", "95 % interval"]),
        texts: 0,
        rows: cells,
    };
    let about = "The rows of \"Who stays\" added up. For each number of months since entry: the share of entrants who are members then, with its 95 % \
                 interval. A contact that left and came back counts as a member. Entrants count only if their month of entry is known and \
                 at least that many months ago.";
    let chart = json!({ "kind": "curve", "axis": "months since they entered", "of": "entered so long ago", "points": points });
    Ok(figures.add(Figure { id: format!("{anchor}-curve"), title, about: about.to_string(), chart, table }))
}

/// The share of all entrants who are still members after some months, without a break.
pub(super) fn survival(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "How long they stay";
    let (mut points, mut cells) = (Vec::new(), Vec::new());
    for row in of_cohort(rows, cohort)? {
        let count = |name: &str| Ok::<_, polars::prelude::PolarsError>(rows.count(name, row)?.unwrap_or_default());
        let (months, at_risk) = (count("duration_months")?, count("at_risk")?);
        if months > MONTHS {
            break;
        }
        let [survival, low, high] = ends(rows, ["survival", "survival_low", "survival_high"], row)?;
        points.push(point(months, [survival, low, high], at_risk));
        cells.push(vec![
            months.to_string(),
            grouped(at_risk),
            grouped(count("departed")?),
            grouped(count("censored")?),
            grouped(count("resumed")?),
            hundredths(rows.ratio("hazard", row)?),
            hundredths(survival),
            format!("{} to {}", hundredths(low), hundredths(high)),
        ]);
    }
    if points.is_empty() {
        return Ok(nothing(title, NOTHING));
    }
    let names = ["months", "members before", "departed", "seen no further", "seen again", "hazard, %", "still members, %", "95 % interval"];
    let table = Grid {
        caption: format!("{}: share of those who entered who are still members after so many months", shown(&cohort.name)),
        head: head(&names),
        texts: 0,
        rows: cells,
    };
    let about = "Of those whose month of entry is known, the share who are still members after so many months, without a break, with its \
                 95 % interval. Each month counts those who were members until the month before: the share who departed then is the hazard.";
    let chart = json!({ "kind": "curve", "axis": "months without a break", "of": "were members a month earlier", "points": points });
    Ok(figures.add(Figure { id: format!("{anchor}-survival"), title, about: about.to_string(), chart, table }))
}

fn ends(rows: Rows<'_>, names: [&str; 3], row: usize) -> PolarsResult<[Option<f64>; 3]> {
    let [share, low, high] = names.map(|name| rows.ratio(name, row));
    Ok([share?, low?, high?])
}

/// A point of a curve: the months since entry, the share with its interval, and the number of contacts to which the share refers.
fn point(months: i64, [share, low, high]: [Option<f64>; 3], of: i64) -> Value {
    json!([months, share.map(drawn), low.map(drawn), high.map(drawn), of])
}
