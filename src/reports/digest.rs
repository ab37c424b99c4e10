//! A month in sentences and a few figures, for people who open no table. The numbers of contacts and the results of tests come from the
//! history and the reports.

mod notable;
mod notices;
mod odd;
mod sentence;
mod words;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use self::sentence::{Compared, MonthOfCohort, Observed, sentence};
use crate::analysis::changed_definitions;
use archive::table::Rows;
use domain::{Basis, Month};

pub use notable::{Notable, NotableKind};
pub use notices::{Notice, found as finding, names};
pub use odd::{is_implied_by, odd};
pub use words::{NAME_LENGTH, attribute_name, decimal, grouped, metric_name, month_name, one_line, percent, plain, shortened, sparkline};

/// The number of months in a cohort's series, this one included.
const MONTHS_SHOWN: usize = 12;
/// The number of headlines.
const HEADLINES: usize = 5;

/// The small tables of a month, by name: the `counts` of its history, and its reports. Reports with a row for each contact are left
/// out.
#[derive(Clone, Debug, Default)]
pub struct Tables(BTreeMap<&'static str, DataFrame>);

impl Tables {
    pub fn add(&mut self, name: &'static str, frame: DataFrame) {
        self.0.insert(name, frame);
    }

    /// # Errors
    /// When the table was not added.
    pub fn named(&self, name: &str) -> PolarsResult<Rows<'_>> {
        let missing = || PolarsError::ColumnNotFound(format!("the table `{name}`").into());
        self.0.get(name).map(Rows).ok_or_else(missing)
    }
}

/// A month of all cohorts.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    pub month: Month,
    /// The cohorts in the order of the reports.
    pub cohorts: Vec<CohortDigest>,
    /// What stands out, by kind.
    pub notable: Vec<Notable>,
    /// What a reader must know first: errors and warnings.
    pub notices: Vec<Notice>,
    pub followed: Followed,
}

/// The people of all cohorts together: everyone counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Contacts in at least one cohort.
    pub followed: i64,
    /// Contacts in at least one cohort that were in no cohort in the compared months.
    pub joined: i64,
    /// Contacts that are in no cohort, but were in one in a compared month.
    pub departed: i64,
    /// Contacts of which it is unknown whether they were in a cohort before.
    pub first_seen: i64,
    pub unsubscribed: i64,
    pub newly_unsubscribed: i64,
}

impl Followed {
    fn of(rows: Rows<'_>) -> PolarsResult<Followed> {
        if rows.count_all() == 0 {
            return Ok(Followed::default());
        }
        let count = |name: &str| Ok::<_, PolarsError>(rows.count(name, 0)?.unwrap_or_default());
        Ok(Followed {
            followed: count("followed")?,
            joined: count("joined")?,
            departed: count("departed")?,
            first_seen: count("first_seen")?,
            unsubscribed: count("unsubscribed")?,
            newly_unsubscribed: count("newly_unsubscribed")?,
        })
    }
}

/// The month of one cohort. `None` means the same as null in `cohort_summary`.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortDigest {
    pub cohort_key: String,
    pub name: String,
    pub kind: String,
    pub basis: String,
    pub observed_at: Option<DateTime<Utc>>,
    pub members: i64,
    pub joined: Option<i64>,
    pub departed: Option<i64>,
    pub openers: Option<i64>,
    pub unsubscribed: Option<i64>,
    pub growth_rate: Option<f64>,
    pub churn_rate: Option<f64>,
    pub compared_month: Option<Month>,
    /// When Intercom last changed the group, if that was since the compared month: its filter may have been edited.
    pub changed_at: Option<DateTime<Utc>>,
    /// The month in a sentence.
    pub sentence: String,
    /// The number of members in the last twelve months, this one last; `None` for a month outside the cohort's history.
    pub series: Vec<Option<i64>>,
}

impl Digest {
    /// # Errors
    /// When a table or a column is missing.
    pub fn of(month: Month, tables: &Tables) -> PolarsResult<Digest> {
        let counts = tables.named("counts")?;
        let members = members_by_month(counts)?;
        let summary = tables.named("cohort_summary")?;
        let changed = changed_definitions(counts.0, month)?;
        let changed_at = |key: &str| changed.iter().find(|of| of.month == month && of.cohort_key == key).map(|of| of.updated_at);
        let no_months = BTreeMap::new();
        let cohorts = (0..summary.count_all()).map(|row| {
            let cohort_key = summary.text("cohort_key", row)?.to_string();
            let observed = match summary.text("basis", row)? {
                basis if basis != Basis::MonthEnd.as_str() => Observed::AnotherTime,
                _ if !is_in_history(counts, &cohort_key, month)? => Observed::Incomplete,
                _ => Observed::Whole,
            };
            cohort(month, observed, summary, row, members.get(&cohort_key).unwrap_or(&no_months), changed_at(&cohort_key))
        });
        let cohorts = cohorts.collect::<PolarsResult<Vec<_>>>()?;
        let notable = notable::notable(&notable::Month { month, cohorts: &cohorts, members: &members }, tables)?;
        let notices = notices::notices(month, &cohorts, tables.named("data_quality")?)?;
        let followed = Followed::of(tables.named("followed")?)?;
        Ok(Digest { month, cohorts, notable, notices, followed })
    }
}

impl Digest {
    /// A sentence that names the months with which this month is compared.
    pub fn compared(&self) -> String {
        let mut months: Vec<Month> = self.cohorts.iter().filter_map(|cohort| cohort.compared_month).collect();
        months.sort_unstable();
        months.dedup();
        match &months[..] {
            [] if self.cohorts.iter().all(|cohort| cohort.basis != Basis::MonthEnd.as_str()) => {
                "It was not observed at its end, and is compared with no other month.".to_string()
            }
            [] => "There is no month that it could be compared with.".to_string(),
            [month] => format!("Compared with {}.", month_name(*month)),
            months => {
                let names: Vec<String> = months.iter().map(|month| month_name(*month)).collect();
                format!("Compared with {}, each cohort with the last month before that it was seen at the end of.", names.join(", "))
            }
        }
    }

    /// The most important of what stands out, as the terminal and a message show it.
    pub fn headlines(&self) -> Vec<&Notable> {
        notable::headlines(&self.notable, HEADLINES)
    }
}

fn is_in_history(counts: Rows<'_>, cohort_key: &str, month: Month) -> PolarsResult<bool> {
    for row in counts.of("cohort_key", cohort_key)? {
        if counts.day("month", row)? == Some(month.first_day()) {
            return Ok(counts.flag("in_history", row)? == Some(true));
        }
    }
    Ok(false)
}

fn cohort(
    month: Month,
    observed: Observed,
    summary: Rows<'_>,
    row: usize,
    members: &BTreeMap<NaiveDate, i64>,
    changed_at: Option<DateTime<Utc>>,
) -> PolarsResult<CohortDigest> {
    let count = |name: &str| summary.count(name, row);
    let name = one_line(summary.text("cohort_name", row)?);
    let (joined, departed) = (count("joined")?, count("departed")?);
    let compared_month = summary.day("compared_month", row)?.map(Month::of);
    let compared = match (compared_month, count("previous_members")?, joined, departed) {
        (Some(month), Some(members), Some(joined), Some(departed)) => Some(Compared { month, members, joined, departed }),
        _ => None,
    };
    let now = count("members")?.unwrap_or_default();
    let mut sentence = sentence(&MonthOfCohort { name: &name, month, observed, members: now, compared, streak: streak(members, month) });
    if let Some(at) = changed_at {
        sentence.push_str(&format!(" The group was changed on {}: its filter may have been edited.", at.format("%Y-%m-%d")));
    }
    let mut series: Vec<Option<i64>> =
        months_back(month).take(MONTHS_SHOWN).map(|month| members.get(&month.first_day()).copied()).collect();
    series.reverse();
    Ok(CohortDigest {
        cohort_key: summary.text("cohort_key", row)?.to_string(),
        kind: summary.text("cohort_kind", row)?.to_string(),
        basis: summary.text("basis", row)?.to_string(),
        observed_at: summary.instant("observed_at", row)?,
        members: now,
        joined,
        departed,
        openers: count("openers")?,
        unsubscribed: count("unsubscribed")?,
        growth_rate: summary.ratio("growth_rate", row)?,
        churn_rate: summary.ratio("churn_rate", row)?,
        compared_month,
        changed_at,
        sentence,
        series,
        name,
    })
}

fn months_back(from: Month) -> impl Iterator<Item = Month> {
    std::iter::successors(Some(from), |month| Some(month.previous()))
}

/// The number of members of each cohort, in the months of its history and in this month.
fn members_by_month(counts: Rows<'_>) -> PolarsResult<BTreeMap<String, BTreeMap<NaiveDate, i64>>> {
    let mut members: BTreeMap<String, BTreeMap<NaiveDate, i64>> = BTreeMap::new();
    for row in 0..counts.count_all() {
        let (Some(month), Some(count)) = (counts.day("month", row)?, counts.count("members", row)?) else { continue };
        members.entry(counts.text("cohort_key", row)?.to_string()).or_default().insert(month, count);
    }
    Ok(members)
}

/// How many months in a row, up to this one, the number of members grew (positive) or fell (negative).
fn streak(members: &BTreeMap<NaiveDate, i64>, month: Month) -> i64 {
    let change = |month: Month| Some((members.get(&month.first_day())? - members.get(&month.previous().first_day())?).signum());
    let Some(now) = change(month) else { return 0 };
    let months = months_back(month).take_while(|month| change(*month) == Some(now)).count();
    months as i64 * now
}

#[cfg(test)]
mod tests;
