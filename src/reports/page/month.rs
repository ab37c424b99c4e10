//! `report.html`: what happened to the customers this month.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use polars::prelude::{DataFrame, PolarsResult};

use super::cohort::Sections;
use super::figure::Figures;
use super::{between, document, members, notices, overview, shown};
use crate::analysis::{ChangedDefinition, ExpectedMonth, OddMonth};
use crate::digest::{CohortDigest, Digest, Tables, month_name};
use domain::Month;

/// The maximum number of cohorts with a section of their own: the largest ones.
const SECTIONS: usize = 40;
/// The maximum size of a page in bytes, so that the page can be mailed. Sections are added while the page is smaller.
const BYTES_MAX: usize = 2_900_000;

/// What a page needs besides the digest and the tables.
#[derive(Clone, Debug)]
pub struct About {
    pub job: String,
    pub month: Month,
    pub observed_at: DateTime<Utc>,
    pub timezone: String,
    /// The population as in the snapshot's manifest: `everyone`, `cohorts` or a cohort key.
    pub population: String,
    pub odd_months: Vec<OddMonth>,
    pub expected_months: Vec<ExpectedMonth>,
    pub changed_definitions: Vec<ChangedDefinition>,
    /// For each entry of the digest's `notable`: the values of its metric by month, this month last.
    pub notable_series: Vec<Vec<Option<f64>>>,
}

/// The page of a month. `people` are rows of members to show by name; `None` if the job does not show members.
///
/// # Errors
/// When a table or a column is missing.
pub fn month(about: &About, digest: &Digest, tables: &Tables, people: Option<&DataFrame>) -> PolarsResult<String> {
    let title = format!("{}: {}", month_name(about.month), shown(&about.job));
    let mut figures = Figures::default();
    let movement = between::movement(digest, tables.named("movement")?, &mut figures)?;
    let overlap = between::overlap(digest, tables.named("overlap")?, &mut figures)?;
    let quality = tables.named("data_quality")?;
    let notices = notices::notices(&digest.notices);
    let noticed = notices::all(digest, quality)?;
    // The size of the parts that every page has. Which cohorts get a section depends on this size, so it is measured as if every link to a
    // section existed.
    let anywhere = || Some("cohort-000".to_string());
    let overview = overview::cohorts(digest, |_| anywhere());
    let cards = overview::stands_out(digest, &about.notable_series, |_| anywhere());
    let parts = [&overview, &cards, &movement, &overlap, &notices, &noticed];
    let room = BYTES_MAX.saturating_sub(document::FRAME_BYTES + parts.map(|part| part.0.len()).iter().sum::<usize>());
    let sections = sections(about, digest, tables, people, room.saturating_sub(figures.bytes()), &mut figures)?;
    let left_out = digest.cohorts.len() - sections.len();
    let anchor_at = |position: usize| sections.contains_key(&position).then(|| anchor(position));
    let anchor_of = |key: &str| anchor_at(digest.cohorts.iter().position(|cohort| cohort.cohort_key == key)?);
    let body = html! {
        a class="skip" href="#cohorts" { "Skip to the cohorts" }
        header {
            p class="job" { (shown(&about.job)) }
            h1 { "Customers in " (month_name(about.month)) }
            p {
                "Tags, segments and rules of this job: who was in them, who came, who left. Observed on "
                (about.observed_at.format("%Y-%m-%d at %H:%M UTC")) ", months in the time zone " (about.timezone) ". "
                (digest.compared())
            }
        }
        main {
            (overview::tiles(digest))
            (notices)
            (overview::stands_out(digest, &about.notable_series, anchor_of))
            (overview::cohorts(digest, anchor_at))
            section aria-labelledby="between" {
                h2 id="between" { "Between the cohorts" }
                (movement)
                (overlap)
            }
            @for section in sections.values() { (section) }
            @if left_out > 0 {
                p { (left_out) " smaller cohorts have no section here; all of them are in the reports beside this page." }
            }
            (noticed)
        }
        footer {
            p {
                "Made by cohorts from the snapshot of this month and those before it. Every figure is in the Parquet and CSV files of the "
                "same run; " code { "cohorts schema" } " says what each means. " (population(about, digest))
                " Intervals are of 95 %. Charts by Apache ECharts, under the Apache License 2.0."
            }
        }
    };
    Ok(document::with_charts(&title, &body, &figures.into_json()))
}

/// The sections of the largest cohorts, as many as fit into the limit of bytes. The key is the cohort's position in the digest.
fn sections(
    about: &About,
    digest: &Digest,
    tables: &Tables,
    people: Option<&DataFrame>,
    mut room: usize,
    figures: &mut Figures,
) -> PolarsResult<BTreeMap<usize, Markup>> {
    let made = Sections::read(about, tables)?;
    let mut by_size: Vec<(usize, &CohortDigest)> = digest.cohorts.iter().enumerate().collect();
    by_size.sort_by_key(|(position, cohort)| (Reverse(cohort.members), *position));
    let mut sections = BTreeMap::new();
    for (position, cohort) in by_size.into_iter().take(SECTIONS) {
        let mut own = Figures::default();
        let people = people.map(|people| members::table(people, cohort)).transpose()?;
        let section = made.drawn(cohort, &anchor(position), people, &mut own)?;
        let bytes = section.0.len() + own.bytes();
        if bytes > room {
            break;
        }
        room -= bytes;
        figures.extend(own);
        sections.insert(position, section);
    }
    Ok(sections)
}

fn anchor(position: usize) -> String {
    format!("cohort-{position}")
}

fn population(about: &About, digest: &Digest) -> String {
    let what = match about.population.as_str() {
        "everyone" => "all other contacts of the workspace".to_string(),
        "cohorts" => "the other contacts that are in at least one cohort of the job".to_string(),
        key => {
            let name = digest.cohorts.iter().find(|cohort| cohort.cohort_key == key).map_or(key, |cohort| cohort.name.as_str());
            format!("the other contacts in {}", shown(name))
        }
    };
    format!("What members have in common is compared with {what}, of the same roles.")
}
