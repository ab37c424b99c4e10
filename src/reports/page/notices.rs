//! The notices at the top of the page, which a reader must see first, and the table of all findings.

use maud::{Markup, html};
use polars::prelude::PolarsResult;

use super::figure::{Grid, head};
use super::shown;
use crate::digest::{Digest, Notice, finding, names};
use archive::table::Rows;

/// The maximum number of findings at the top of the page; the table at its end has more.
const AT_THE_TOP: usize = 6;
/// The maximum number of findings in the table.
const LISTED: usize = 200;

pub(super) fn notices(notices: &[Notice]) -> Markup {
    if notices.is_empty() {
        return html! {};
    }
    let more = notices.len().saturating_sub(AT_THE_TOP);
    html! {
        section class="notices" aria-labelledby="notices" {
            h2 id="notices" { "Before you read on" }
            ul {
                @for notice in notices.iter().take(AT_THE_TOP) {
                    li class=(notice.severity) {
                        strong { @if notice.severity == "error" { "Error. " } @else { "Warning. " } } (notice.text)
                    }
                }
                @if more > 0 { li { (more) " more: see " a href="#quality" { "what was noticed" } "." } }
            }
        }
    }
}

/// The table of all findings, the most severe first.
pub(super) fn all(digest: &Digest, quality: Rows<'_>) -> PolarsResult<Markup> {
    let names = names(&digest.cohorts);
    let mut rows = Vec::new();
    for severity in ["error", "warning", "info"] {
        for row in quality.of("severity", severity)? {
            let subject = quality.text("subject", row)?;
            rows.push(vec![
                severity.to_string(),
                names.get(subject).cloned().unwrap_or_else(|| shown(subject)),
                quality.text("detail", row)?.to_string(),
                finding(quality, row)?,
            ]);
        }
    }
    let more = rows.len().saturating_sub(LISTED);
    rows.truncate(LISTED);
    let grid = Grid {
        caption: "What was noticed while the month was observed".to_string(),
        head: head(&["severity", "about", "what it means", "found"]),
        texts: 4,
        rows,
    };
    Ok(html! {
        section aria-labelledby="quality" {
            h2 id="quality" { "What was noticed" }
            p { "Checks that the job makes on each month. Those of severity info only say what was counted." }
            (grid.drawn())
            @if more > 0 { p { (more) " more are in the report " code { "data_quality" } "." } }
        }
    })
}
