//! The fetch plan of `--dry-run`, as text.

use std::cmp::Ordering;

use comfy_table::Cell;

use super::summary::{drawn, right, trimmed};
use intercom::RateWindow;
use job::settings::Settings;
use job::{Plan, StreamKind, pages};
use reports::digest::{grouped, one_line};

pub(super) fn describe(plan: &Plan, settings: &Settings, window: Option<RateWindow>) -> String {
    let months = plan.months();
    let mut text = format!("{months} in {}, an observation now has basis {}\n", plan.timezone(), plan.scope.basis);
    if months.first != months.last {
        let names: Vec<String> = plan.scope.spans.iter().map(|span| span.month.to_string()).collect();
        text.push_str(&format!("would get a snapshot: {}\n", names.join(", ")));
    }
    if let Some(published) = plan.published {
        let would = match plan.scope.basis.cmp(&published) {
            Ordering::Greater => "a run would replace it",
            Ordering::Equal => "a run would change nothing without --replace",
            Ordering::Less => "a run would change nothing, and refuse --replace",
        };
        text.push_str(&format!("the month has a snapshot already, basis {published}: {would}\n"));
    }
    text.push('\n');
    let number = |number: Option<u64>| number.map_or("unknown".to_string(), |number| grouped(i64::try_from(number).unwrap_or(i64::MAX)));
    let mut table = drawn(&["stream", "of", "rows", "partitions", "requests"]);
    for stream in &plan.streams {
        let of = match &stream.kind {
            StreamKind::Everyone => "everyone".to_string(),
            StreamKind::Conversations if months.first == months.last => "conversations of the month".to_string(),
            StreamKind::Conversations => "conversations of these months".to_string(),
            StreamKind::Members(group) if stream.derived.is_some() => {
                format!("{} {}, from everyone's own lists", group.kind, one_line(&group.name))
            }
            StreamKind::Members(group) => format!("{} {}", group.kind, one_line(&group.name)),
        };
        let partitions = stream.partitions();
        let requests = partitions.iter().filter_map(|(_, rows)| pages(*rows, settings)).sum();
        let requests = stream.size.map(|_| requests);
        table.add_row(vec![
            Cell::new(stream.key()),
            Cell::new(of),
            right(number(stream.size)),
            right(partitions.len().to_string()),
            right(number(requests)),
        ]);
    }
    if plan.has_tag_dates {
        let most = number(Some(plan.tag_date_requests()));
        table.add_row(vec![
            Cell::new("tag_dates"),
            Cell::new("contacts with the tags, each once"),
            right(&most),
            Cell::new(""),
            right(&most),
        ]);
    }
    text.push_str(&trimmed(&table));
    let estimate = plan.estimate(settings, window);
    let requests = number(Some(estimate.requests));
    let asking = number(Some(estimate.asking));
    text.push_str(&format!(
        "\n{} partitions, {requests} requests, {asking} of them for names, sizes and totals",
        number(Some(estimate.partitions as u64))
    ));
    if estimate.contacts > 0 {
        text.push_str(&format!("; about {} more for contacts with truncated lists", number(Some(estimate.contacts))));
    }
    if plan.may_cut_subscriptions() {
        text.push_str("; one for each contact with more than ten subscriptions of a kind");
        if estimate.subscriptions > 0 {
            text.push_str(&format!(", about {}", number(Some(estimate.subscriptions))));
        }
    }
    if let Some((month, _)) = plan.vanished_from.filter(|_| estimate.vanished > 0) {
        let most = number(Some(estimate.vanished));
        text.push_str(&format!("; one for each member of {month} that is in no list any more, at most {most}"));
    }
    if plan.streams.iter().any(|stream| stream.size.is_none() && stream.derived.is_none()) {
        text.push_str("; and the pages of streams of unknown size");
    }
    text.push_str(&format!("\nabout {} at one second a request\n", humantime::format_duration(estimate.time)));
    text
}
