//! `index.html`: the months of a job, the newest first.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::figure::framed;
use super::overview::floats;
use super::trend_line::trend_line;
use super::{count, document, shown};
use crate::digest::{grouped, month_name};
use domain::{Basis, Month};

/// The number of months for which the members of each cohort are shown as numbers.
const MONTHS_SHOWN: usize = 12;

/// A month of the job.
#[derive(Clone, Debug)]
pub struct MonthLine {
    pub month: Month,
    /// `None` if the month's snapshot is damaged.
    pub observation: Option<Observation>,
    /// The URL of the month's page, relative to the index; `None` if the month has no page.
    pub page: Option<String>,
    pub cohorts: Vec<CohortLine>,
}

#[derive(Clone, Debug)]
pub struct Observation {
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    /// Whether the month was published although it is incomplete.
    pub is_incomplete: bool,
}

#[derive(Clone, Debug)]
pub struct CohortLine {
    pub cohort_key: String,
    pub name: String,
    pub members: i64,
    pub joined: Option<i64>,
    pub departed: Option<i64>,
}

/// The index page. `months` may be in any order.
pub fn index(job: &str, months: &[MonthLine]) -> String {
    let mut months: Vec<&MonthLine> = months.iter().collect();
    months.sort_by_key(|line| std::cmp::Reverse(line.month));
    let body = html! {
        header {
            p class="job" { (shown(job)) }
            h1 { "Customers by month" }
        }
        main {
            @if months.is_empty() { p { "There are no months." } } @else { (list(&months)) (cohorts(&months)) }
        }
        footer { p { "Made by cohorts. The meaning of each figure: " code { "cohorts schema" } "." } }
    };
    document::without_script(&format!("{}: months", shown(job)), &body)
}

fn list(months: &[&MonthLine]) -> Markup {
    let sum = |line: &MonthLine, of: fn(&CohortLine) -> Option<i64>| {
        let known: Vec<i64> = line.cohorts.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    };
    let caption = "The months, newest first; a contact counts once in each cohort that it is in";
    html! {
        section aria-labelledby="months" {
            h2 id="months" { "Months" }
            (framed(caption, &html! {
                thead {
                    tr {
                        @for name in ["month", "observed", "when"] { th scope="col" { (name) } }
                        @for name in ["cohorts", "memberships", "memberships begun", "memberships ended"] { th scope="col" class="number" { (name) } }
                    }
                }
                tbody {
                    @for (position, line) in months.iter().enumerate() {
                        @for missed in missed(months, position) {
                            tr { th scope="row" { (month_name(missed)) } td colspan="6" { "not observed" } }
                        }
                        tr {
                            th scope="row" {
                                @if let Some(page) = &line.page { a href=(page) { (month_name(line.month)) } }
                                @else { (month_name(line.month)) }
                            }
                            @if let Some(observation) = &line.observation {
                                td { (observation.observed_at.format("%Y-%m-%d")) }
                                td { (observed(observation.basis)) @if observation.is_incomplete { ", incomplete" } }
                            } @else {
                                td {}
                                td { "its snapshot is damaged" }
                            }
                            td class="number" { (line.cohorts.len()) }
                            td class="number" { (count(sum(line, |cohort| Some(cohort.members)))) }
                            td class="number" { (count(sum(line, |cohort| cohort.joined))) }
                            td class="number" { (count(sum(line, |cohort| cohort.departed))) }
                        }
                    }
                }
            }))
        }
    }
}

/// The missing months between the month at `position` and the next newer month in `months`, the newest first.
fn missed(months: &[&MonthLine], position: usize) -> Vec<Month> {
    let Some(newer) = position.checked_sub(1).and_then(|position| months.get(position)) else { return Vec::new() };
    (months[position].month.index() + 1..newer.month.index()).rev().map(Month::from_index).collect()
}

/// A basis in words.
fn observed(basis: Basis) -> &'static str {
    match basis {
        Basis::MonthEnd => "at the month's end",
        Basis::Reconstructed => "later, reconstructed",
        Basis::Late => "late",
        Basis::Preliminary => "before the month's end",
    }
}

fn members(line: &MonthLine, key: &str) -> Option<i64> {
    line.cohorts.iter().find(|cohort| cohort.cohort_key == key).map(|cohort| cohort.members)
}

/// The members of a cohort from the first month of the job to the newest one; `None` for a month that was not observed.
fn trend(months: &[&MonthLine], key: &str) -> Vec<Option<i64>> {
    let (Some(newest), Some(oldest)) = (months.first(), months.last()) else { return Vec::new() };
    let of = |month: i64| members(months.iter().find(|line| line.month.index() == month)?, key);
    (oldest.month.index()..=newest.month.index()).map(of).collect()
}

/// The members of each cohort of the newest month: all months as a trend, the last [`MONTHS_SHOWN`] months as numbers.
fn cohorts(months: &[&MonthLine]) -> Markup {
    let Some(newest) = months.first() else { return html! {} };
    let shown_months = &months[..months.len().min(MONTHS_SHOWN)];
    let caption = "Members of each cohort by month: the trend of all months, and the numbers of the last twelve";
    html! {
        section aria-labelledby="cohorts" {
            h2 id="cohorts" { "Cohorts" }
            (framed(caption, &html! {
                thead {
                    tr {
                        th scope="col" { "cohort" }
                        th scope="col" { "trend" }
                        @for line in shown_months {
                            th scope="col" class="number" {
                                @if let Some(page) = &line.page { a href=(page) { (line.month) } } @else { (line.month) }
                            }
                        }
                    }
                }
                tbody {
                    @for cohort in &newest.cohorts {
                        @let trend = trend(months, &cohort.cohort_key);
                        tr {
                            th scope="row" { (shown(&cohort.name)) }
                            td { (trend_line(&floats(&trend), &format!("{} months, {} members now", trend.len(), grouped(cohort.members)))) }
                            @for line in shown_months { td class="number" { (count(members(line, &cohort.cohort_key))) } }
                        }
                    }
                }
            }))
        }
    }
}
