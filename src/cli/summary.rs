//! The summary of a run: one line for each cohort, and what stands out.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as Drawn, presets};

use domain::Month;
use reports::digest::{Digest, grouped, one_line, shortened, sparkline};

/// The maximum length of a name. Longer names would make the table wider than a terminal.
const NAME_LENGTH: usize = 40;

/// The table style of all commands: only one line, under the header.
pub(super) fn drawn(head: &[&str]) -> Drawn {
    let mut drawn = Drawn::new();
    drawn.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    drawn.set_header(head.iter().map(Cell::new));
    drawn
}

pub(super) fn right(text: impl ToString) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

/// The drawn table without the padding at the ends of lines.
pub(super) fn trimmed(drawn: &Drawn) -> String {
    drawn.lines().map(|line| line.trim_end().to_string() + "\n").collect()
}

/// Names the cohorts whose compared month is not the month before.
fn compared_over_a_gap(digest: &Digest) -> String {
    let mut months: BTreeMap<Month, Vec<String>> = BTreeMap::new();
    for cohort in &digest.cohorts {
        if let Some(compared) = cohort.compared_month.filter(|compared| compared.next() != digest.month) {
            months.entry(compared).or_default().push(shortened(&one_line(&cohort.name), NAME_LENGTH));
        }
    }
    months.iter().map(|(month, names)| format!("joined and departed since {month}: {}\n", names.join(", "))).collect()
}

/// A month's cohorts, and what stands out in it.
pub(super) fn summary(digest: &Digest) -> String {
    let mut drawn = drawn(&["cohort", "", "members", "trend", "joined", "departed", "openers", "unsubscribed", "change"]);
    let count = |number: Option<i64>| right(number.map_or("–".to_string(), grouped));
    for cohort in &digest.cohorts {
        drawn.add_row(vec![
            Cell::new(shortened(&one_line(&cohort.name), NAME_LENGTH)),
            Cell::new(&cohort.kind),
            count(Some(cohort.members)),
            Cell::new(sparkline(&cohort.series)),
            count(cohort.joined),
            count(cohort.departed),
            count(cohort.openers),
            count(cohort.unsubscribed),
            right(cohort.growth_rate.map_or("–".to_string(), |rate| format!("{:+.1} %", rate * 100.0))),
        ]);
    }
    let mut text = trimmed(&drawn);
    let since = compared_over_a_gap(digest);
    if !since.is_empty() {
        text.push_str(&format!("\n{since}"));
    }
    let headlines = digest.headlines();
    if !headlines.is_empty() {
        text.push_str("\nwhat stands out\n");
        text.extend(headlines.iter().map(|notable| format!("  {}\n", notable.sentence)));
    }
    let more = digest.notable.len() - headlines.len();
    if more > 0 {
        text.push_str(&format!("  and {more} more in the reports\n"));
    }
    text
}
