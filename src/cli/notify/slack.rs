//! The message for a chat channel: blocks for Slack, and the same content as one text. Slack shows the text where it does not show blocks.
//! Mattermost accepts the same message and shows only the text.
//!
//! Names and sentences come from the data. In blocks they are plain text or in a code block, and never become markup.

use comfy_table::Cell;
use serde_json::{Value, json};

use super::Notification;
use crate::summary::{drawn, right, trimmed};
use reports::digest::{Digest, Notice, grouped, one_line, shortened};

/// The maximum number of warnings.
const WARNINGS: usize = 5;
/// The maximum length of a cohort's name, so that a line of the table fits on a phone.
const NAME_LENGTH: usize = 24;
/// The maximum length of the table, and of any other text: Slack refuses a block of more than 3,000 characters, and a heading of more than 150.
const BLOCK_MAX: usize = 2_900;
const HEADING_MAX: usize = 150;

/// A part of the message.
enum Part {
    Text(String),
    Table(String),
    Link(String),
}

/// `digest` is about the last month of the command, if its reports were built. `link` is the URL at which people find that month.
pub(crate) fn message(notification: &Notification, digest: Option<&Digest>, link: Option<String>) -> Value {
    let heading = heading(notification);
    let parts = parts(notification, digest, link);
    let blocks = [json!({ "type": "header", "text": { "type": "plain_text", "text": shortened(&heading, HEADING_MAX - 1) } })];
    let blocks: Vec<Value> = blocks.into_iter().chain(parts.iter().map(Part::block)).collect();
    let text: Vec<String> = std::iter::once(markup_free(&heading)).chain(parts.iter().map(Part::text)).collect();
    json!({ "text": text.join("\n\n"), "blocks": blocks })
}

fn heading(notification: &Notification) -> String {
    let Notification { job, outcome, exit_code, month, months, .. } = notification;
    let what = match (&months[..], month) {
        ([first, .., last], _) => format!("{job}: {first} to {last} {outcome}"),
        (_, Some(month)) => format!("{job}: {month} {outcome}"),
        (_, None) if job.is_empty() => outcome.to_string(),
        (_, None) => format!("{job}: {outcome}"),
    };
    if *exit_code == 0 { what } else { format!("{what}, exit code {exit_code}") }
}

fn parts(notification: &Notification, digest: Option<&Digest>, link: Option<String>) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(message) = &notification.message {
        let hint = notification.hint.as_ref().map_or(String::new(), |hint| format!("\nWhat to do: {hint}"));
        parts.push(Part::Text(format!("{message}{hint}")));
    }
    let warnings = warnings(notification, digest);
    if !warnings.is_empty() {
        parts.push(Part::Text(list("Warnings", &warnings)));
    }
    if let Some(digest) = digest {
        let headlines: Vec<String> = digest.headlines().into_iter().map(|notable| notable.sentence.clone()).collect();
        parts.push(Part::Text(if headlines.is_empty() { "Nothing stands out.".to_string() } else { list("What stands out", &headlines) }));
        parts.push(Part::Table(table(digest)));
    }
    parts.extend(link.map(Part::Link));
    parts
}

fn warnings(notification: &Notification, digest: Option<&Digest>) -> Vec<String> {
    let notices = digest.map_or(&[][..], |digest| &digest.notices);
    let mut warnings: Vec<String> = notices.iter().take(WARNINGS).map(|Notice { text, .. }| text.clone()).collect();
    if notices.len() > WARNINGS {
        warnings.push(format!("{} more are in the report data_quality.", notices.len() - WARNINGS));
    }
    if !notification.incomplete.is_empty() && digest.is_none() {
        warnings.push(format!("Incomplete: {}.", notification.incomplete.join(", ")));
    }
    if !notification.missed.is_empty() {
        warnings.push(format!("Months without a snapshot: {}.", notification.missed.join(", ")));
    }
    warnings
}

fn list(heading: &str, lines: &[String]) -> String {
    format!("{heading}\n{}", lines.iter().map(|line| format!("• {}", one_line(line))).collect::<Vec<_>>().join("\n"))
}

/// The figures of the cohorts: as many lines as fit.
fn table(digest: &Digest) -> String {
    let mut table = drawn(&["cohort", "members", "joined", "left", "change"]);
    for cohort in &digest.cohorts {
        let count = |number: Option<i64>| right(number.map_or("–".to_string(), grouped));
        table.add_row(vec![
            Cell::new(shortened(&one_line(&cohort.name), NAME_LENGTH)),
            count(Some(cohort.members)),
            count(cohort.joined),
            count(cohort.departed),
            right(cohort.growth_rate.map_or("–".to_string(), |rate| format!("{:+.1} %", rate * 100.0))),
        ]);
    }
    // Backticks would end the code block.
    let table = trimmed(&table).replace('`', "'");
    let lines: Vec<&str> = table.lines().collect();
    let mut length = 0;
    // `escaped` turns one character into up to five, so the length is that of the escaped text.
    let fitting = lines.iter().take_while(|line| {
        length += escaped(line).chars().count() + 1;
        length <= BLOCK_MAX - 100
    });
    let fitting = fitting.count();
    let more = lines.len() - fitting;
    let more = if more > 0 { format!("\nand {more} more") } else { String::new() };
    format!("{}{more}", lines[..fitting].join("\n"))
}

impl Part {
    fn block(&self) -> Value {
        let text = match self {
            Part::Text(text) => json!({ "type": "plain_text", "text": shortened(text, BLOCK_MAX), "emoji": false }),
            Part::Table(table) => json!({ "type": "mrkdwn", "text": format!("```\n{}\n```", escaped(table)), "verbatim": true }),
            Part::Link(link) => json!({ "type": "mrkdwn", "text": format!("<{}|Open the report>", escaped(link).replace('|', "%7C")) }),
        };
        json!({ "type": "section", "text": text })
    }

    fn text(&self) -> String {
        match self {
            Part::Text(text) => markup_free(text),
            Part::Table(table) => format!("```\n{}\n```", escaped(table)),
            Part::Link(link) => escaped(link),
        }
    }
}

/// Escapes the three characters that have a meaning in Slack's markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A text that mentions nobody (`@channel`) and contains no link, in Slack or Mattermost.
fn markup_free(text: &str) -> String {
    escaped(text).replace('@', "@\u{200b}").replace("](", "]\u{200b}(")
}

#[cfg(test)]
mod tests;
