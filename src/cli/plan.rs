//! The plan of `--dry-run`, for a person.

use comfy_table::Cell;

use super::summary::{drawn, grouped, one_line, right, trimmed};
use crate::job::{Plan, WalkKind};
use crate::settings::Settings;

/// What a page of a search takes in practice, as measured by other connectors.
const SECONDS_PER_PAGE: f64 = 1.0;

pub(super) fn describe(plan: &Plan, settings: &Settings) -> String {
    let page_size = u64::from(settings.intercom.page_size);
    let mut text = format!("{} in {}, an observation now has basis {}\n", plan.month(), plan.timezone(), plan.basis());
    if let Some(held) = plan.held {
        let would = if plan.basis() > held { "a run would replace it" } else { "a run would change nothing without --replace" };
        text.push_str(&format!("the month has a snapshot already, basis {held}: {would}\n"));
    }
    text.push('\n');
    let mut table = drawn(&["walk", "of", "rows", "requests"]);
    let mut longest = 0;
    let mut requests = 0;
    for walk in &plan.walks {
        let pages = walk.size.map(|size| size.div_ceil(page_size).max(1));
        longest = longest.max(pages.unwrap_or(1));
        requests += pages.unwrap_or(1);
        let of = match &walk.kind {
            WalkKind::Everyone => "everyone".to_string(),
            WalkKind::Conversations => "conversations of the month".to_string(),
            WalkKind::Members(group) => format!("{} {}", group.kind, one_line(&group.name)),
        };
        let number =
            |number: Option<u64>| number.map_or("not told".to_string(), |number| grouped(i64::try_from(number).unwrap_or(i64::MAX)));
        table.add_row(vec![Cell::new(&walk.key), Cell::new(of), right(number(walk.size)), right(number(pages))]);
    }
    text.push_str(&trimmed(&table));
    let side_by_side = settings.intercom.max_concurrency.min(plan.walks.len()).max(1) as f64;
    // The longest walk is a chain of its own; the others fill the places beside it.
    let seconds = (longest as f64).max(requests as f64 / side_by_side) * SECONDS_PER_PAGE;
    text.push_str(&format!(
        "\n{} walks, {} requests, about {} at one second a page\n",
        plan.walks.len(),
        grouped(i64::try_from(requests).unwrap_or(i64::MAX)),
        humantime::format_duration(std::time::Duration::from_secs(seconds.ceil() as u64))
    ));
    text
}
