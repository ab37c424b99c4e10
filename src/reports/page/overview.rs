//! The top of the page: the month in figures, what stands out, and one line for each cohort.

use maud::{Markup, html};

use super::figure::{framed, hundredths};
use super::trend_line::{pair, trend_line};
use super::{count, shown};
use crate::digest::{CohortDigest, Digest, Notable, NotableKind, decimal, grouped, metric_name, month_name, percent, plain};
use domain::Month;

/// The maximum number of cohorts that get a line of the table. With more, the page would be too large to mail.
const LINES: usize = 400;

/// The people of all cohorts together, and how many cohorts grew.
pub(super) fn tiles(digest: &Digest) -> Markup {
    let all = &digest.followed;
    let compared = compared_month(digest);
    let month = compared.map_or(String::new(), month_name);
    let before = all.followed - all.joined + all.departed;
    let (grew, shrank) = (changed(digest, |change| change > 0), changed(digest, |change| change < 0));
    let known = digest.cohorts.iter().filter(|cohort| cohort.joined.is_some()).count();
    html! {
        section aria-labelledby="headline" {
            h2 id="headline" class="unseen" { "The month in figures" }
            dl class="tiles" {
                (tile("stayed", "People in at least one cohort", &grouped(all.followed), &match compared {
                    Some(_) if all.first_seen == 0 && before > 0 => {
                        let change = all.followed - before;
                        format!("{} ({} %) since {month}", signed(change), signed_share(change as f64 / before as f64))
                    }
                    Some(_) => format!("{} of them for the first time", grouped(all.first_seen)),
                    None => "everyone counts once".to_string(),
                }))
                @if compared.is_some() {
                    (tile("joined", "Joined: in no cohort before", &grouped(all.joined), &format!("since {month}")))
                    (tile("left", "Left: in no cohort now", &grouped(all.departed), &format!("since {month}")))
                }
                @if known > 0 {
                    (tile("", "Cohorts that grew", &grew.to_string(), &match known - grew - shrank {
                        0 => format!("{shrank} shrank"),
                        same => format!("{shrank} shrank, {same} stayed as they were"),
                    }))
                }
                @if compared.is_some() {
                    (tile(
                        "left",
                        "Newly unsubscribed from all e-mails",
                        &grouped(all.newly_unsubscribed),
                        &format!("since {month}; {} in all", grouped(all.unsubscribed)),
                    ))
                } @else {
                    (tile("left", "Unsubscribed from all e-mails", &grouped(all.unsubscribed), &format!("of {}", grouped(all.followed))))
                }
            }
        }
    }
}

fn tile(meaning: &str, name: &str, figure: &str, more: &str) -> Markup {
    html! { div class=(format!("tile {meaning}")) { dt { (name) } dd { strong { (figure) } " " span { (more) } } } }
}

/// The month with which all cohorts are compared. `None` if there is none, or there are several.
fn compared_month(digest: &Digest) -> Option<Month> {
    let mut months = digest.cohorts.iter().filter_map(|cohort| cohort.compared_month);
    let first = months.next()?;
    months.all(|month| month == first).then_some(first)
}

fn changed(digest: &Digest, is_wanted: impl Fn(i64) -> bool) -> usize {
    let change = |cohort: &CohortDigest| Some(cohort.joined? - cohort.departed?);
    digest.cohorts.iter().filter_map(change).filter(|change| is_wanted(*change)).count()
}

fn signed(number: i64) -> String {
    if number > 0 { format!("+{}", grouped(number)) } else { grouped(number) }
}

fn signed_share(share: f64) -> String {
    let text = decimal(share * 100.0, 1);
    if share > 0.0 { format!("+{text}") } else { text }
}

/// A card for each entry of the digest's `notable`. `series` has the values by month of each entry's metric; `anchor` gives the section of
/// a cohort.
pub(super) fn stands_out(digest: &Digest, series: &[Vec<Option<f64>>], anchor: impl Fn(&str) -> Option<String>) -> Markup {
    html! {
        section aria-labelledby="notable" {
            h2 id="notable" { "What stands out" }
            @if digest.notable.is_empty() {
                p { "Nothing stands out this month." }
            } @else {
                ul class="cards" {
                    @for (position, notable) in digest.notable.iter().enumerate() {
                        li {
                            p class="what" {
                                (kind(notable.kind))
                                @if let Some(anchor) = anchor(&notable.cohort_key) { " · " a href=(format!("#{anchor}")) { (name(digest, notable)) } }
                            }
                            (drawing(notable, series.get(position).map_or(&[], Vec::as_slice)))
                            p { (notable.sentence) }
                        }
                    }
                }
            }
        }
    }
}

fn kind(kind: NotableKind) -> &'static str {
    match kind {
        NotableKind::LargeChange => "large change",
        NotableKind::OptOuts => "unsubscribed",
        NotableKind::Unexpected => "not expected",
        NotableKind::Trend => "trend",
        NotableKind::NewerEntrants => "newer entrants",
        NotableKind::InCommon | NotableKind::NumberApart => "in common",
    }
}

fn name(digest: &Digest, notable: &Notable) -> String {
    let cohort = digest.cohorts.iter().find(|cohort| cohort.cohort_key == notable.cohort_key);
    shown(cohort.map_or(notable.cohort_key.as_str(), |cohort| cohort.name.as_str()))
}

/// The chart of a card: two bars if the entry compares two values, otherwise the trend line of the metric.
fn drawing(notable: &Notable, series: &[Option<f64>]) -> Markup {
    let names = match notable.kind {
        NotableKind::OptOuts => Some(["now", "the month before"]),
        NotableKind::NewerEntrants => Some(["left", "expected"]),
        NotableKind::InCommon => Some(["of members", "of others"]),
        NotableKind::NumberApart => Some(["median of members", "of others"]),
        NotableKind::LargeChange | NotableKind::Unexpected | NotableKind::Trend => None,
    };
    let text = |value: f64| match notable.kind {
        NotableKind::InCommon => percent(value),
        NotableKind::NumberApart => plain(value),
        _ => grouped(value.round() as i64),
    };
    match (names, notable.value, notable.expected) {
        (Some([name, other]), Some(value), Some(expected)) => {
            let texts = [format!("{} {name}", text(value)), format!("{} {other}", text(expected))];
            let meaning = if matches!(notable.kind, NotableKind::OptOuts | NotableKind::NewerEntrants) { "left" } else { "other" };
            pair([value, expected], &texts, meaning)
        }
        _ => trend_line(series, &format!("{} over {} months", metric_name(&notable.metric), series.len())),
    }
}

/// `anchor` gives the section of the cohort at a position, if it has one.
pub(super) fn cohorts(digest: &Digest, anchor: impl Fn(usize) -> Option<String>) -> Markup {
    let more = digest.cohorts.len().saturating_sub(LINES);
    let caption = "The cohorts this month, with their members month by month, twelve at the most";
    html! {
        section aria-labelledby="cohorts" {
            h2 id="cohorts" { "The cohorts" }
            (framed(caption, &html! {
                thead {
                    tr {
                        th scope="col" { "cohort" }
                        th scope="col" { "kind" }
                        th scope="col" class="number" { "members" }
                        th scope="col" { "trend" }
                        @for name in ["joined", "left", "churn, %", "change, %", "opened conversations", "unsubscribed"] {
                            th scope="col" class="number" { (name) }
                        }
                        th scope="col" class="words" { "in words" }
                    }
                }
                tbody {
                    @for (position, cohort) in digest.cohorts.iter().take(LINES).enumerate() {
                        tr {
                            th scope="row" {
                                @if let Some(anchor) = anchor(position) { a href=(format!("#{anchor}")) { (shown(&cohort.name)) } }
                                @else { (shown(&cohort.name)) }
                            }
                            td { (cohort.kind) }
                            td class="number" { (grouped(cohort.members)) }
                            td { (trend_line(&floats(&cohort.series), &trend_label(cohort))) }
                            td class="number" { (count(cohort.joined)) }
                            td class="number" { (count(cohort.departed)) }
                            td class="number" { (hundredths(cohort.churn_rate)) }
                            td class="number" { (cohort.growth_rate.map_or("–".to_string(), signed_share)) }
                            td class="number" { (count(cohort.openers)) }
                            td class="number" { (count(cohort.unsubscribed)) }
                            td class="words" { details { summary { "read" span class="unseen" { " about " (shown(&cohort.name)) } } (cohort.sentence) } }
                        }
                    }
                }
            }))
            @if more > 0 { p { (more) " more cohorts are in the report " code { "cohort_summary" } "." } }
        }
    }
}

/// Converts counts for a trend line.
pub(super) fn floats(counts: &[Option<i64>]) -> Vec<Option<f64>> {
    counts.iter().map(|count| count.map(|count| count as f64)).collect()
}

fn trend_label(cohort: &CohortDigest) -> String {
    let known: Vec<i64> = cohort.series.iter().flatten().copied().collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) => format!("from {} to {} members in {} months", grouped(*first), grouped(*last), known.len()),
        _ => String::new(),
    }
}
