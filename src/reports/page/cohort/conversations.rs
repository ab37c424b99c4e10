//! How many conversations the members opened in the month.

use maud::Markup;
use polars::prelude::PolarsResult;
use serde_json::json;

use super::{nothing, of_cohort};
use crate::digest::{CohortDigest, grouped};
use crate::page::figure::{Figure, Figures, Grid, head, hundredths};
use crate::page::shown;
use archive::table::Rows;

pub(super) fn figure(rows: Rows<'_>, cohort: &CohortDigest, anchor: &str, figures: &mut Figures) -> PolarsResult<Markup> {
    let title = "Conversations opened this month";
    let (mut labels, mut contacts, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for row in of_cohort(rows, cohort)? {
        let (measure, label) = (rows.text("measure", row)?, rows.text("label", row)?);
        let counted = rows.count("contacts", row)?.unwrap_or_default();
        let opened = rows.count("conversations_opened", row)?.unwrap_or_default();
        let is_bucket = measure == "bucket";
        let what = if is_bucket { label.to_string() } else { format!("at least {}", label.trim_end_matches('+')) };
        cells.push(vec![what, grouped(counted), hundredths(rows.ratio("contacts_share", row)?), grouped(opened)]);
        if is_bucket {
            labels.push(label);
            contacts.push(counted);
        }
    }
    if labels.is_empty() {
        return Ok(nothing(title, "Not counted: the job does not fetch conversations."));
    }
    let table = Grid {
        caption: format!("{}: members by the conversations they opened in the month", shown(&cohort.name)),
        head: head(&["conversations", "members", "share, %", "opened by them"]),
        texts: 1,
        rows: cells,
    };
    let about = "Members by how many conversations they began.";
    let chart = json!({ "kind": "histogram", "labels": labels, "members": contacts });
    Ok(figures.add(Figure { id: format!("{anchor}-conversations"), title, about: about.to_string(), chart, table }))
}
