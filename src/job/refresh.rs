//! History and reports, brought up to date with the snapshots: offline, a month at a time, oldest first. What is
//! current is left alone, so that a second run changes nothing.

use std::collections::BTreeSet;

use polars::prelude::IntoLazy;

use super::pages::{self, Page};
use super::{Built, Event, JobError, JobFolder, Observer};
use crate::analysis::{CohortFacts, Facts, Found, Inputs, PopulationKind, REPORTS};
use crate::digest::Digest;
use crate::domain::Month;
use crate::history::{self, CohortMonth, Definitions, History, ProfileEntry};
use crate::report::{self, ReportFormat, ReportSource, ReportWriter};
use crate::settings::{Format, Job, Settings};
use crate::snapshot::{ATTRIBUTES, CONTACTS, CONVERSATIONS, Finding, MEMBERS, Manifest, Snapshot, months_in};
use crate::table::{ContactNumbers, Table, TableError};

/// Which months are built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those up to this month whose history or reports are missing or stale.
    StaleUntil(Month),
    /// These, and whatever they need.
    Months(BTreeSet<Month>),
    All,
}

/// A month that was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    pub month: Month,
    pub history: bool,
    /// What the reports tell, when they were built.
    pub digest: Option<Digest>,
}

/// Needs the job's lock.
pub fn refresh(folder: &JobFolder, settings: &Settings, scope: Scope, observer: &Observer) -> Result<Vec<Rebuilt>, JobError> {
    let mut rebuilt = Vec::new();
    let mut previous: Option<History> = None;
    let definitions = definitions(&settings.job);
    for month in months_in(&folder.snapshots())? {
        let Some(snapshot) = Snapshot::open(&folder.snapshots(), month)? else { continue };
        let failed = |source| JobError::History { month, source };
        if matches!(scope, Scope::StaleUntil(last) if month > last) {
            break;
        }
        let is_wanted = match &scope {
            Scope::StaleUntil(_) => false,
            Scope::Months(months) => months.contains(&month),
            Scope::All => true,
        };
        let held = History::open(&folder.histories(), month)
            .map_err(failed)?
            .filter(|held| !is_wanted && held.is_of(&snapshot, &definitions, previous.as_ref()));
        let (current, has_built_history) = match held {
            Some(held) => (held, false),
            None => {
                observer(Event::Building { month, what: Built::History });
                let built = history::build(&snapshot, &definitions, previous.as_ref(), &folder.histories(), &folder.work());
                let built = built.map_err(failed)?;
                observer(Event::Built { month, what: Built::History });
                (built, true)
            }
        };
        let source = ReportSource { snapshot: snapshot.hash.clone(), history: current.hash.clone() };
        // With single months asked for, the reports of the others are left as they are.
        let may_build = is_wanted || matches!(scope, Scope::StaleUntil(_));
        let builds_report = may_build && (is_wanted || !report::is_current(&folder.reports(), month, &source));
        let mut digest = None;
        if builds_report {
            observer(Event::Building { month, what: Built::Reports });
            digest = Some(build_reports(folder, settings, &snapshot, &definitions, (previous.as_ref(), &current), source)?);
            observer(Event::Built { month, what: Built::Reports });
        }
        if has_built_history || builds_report {
            rebuilt.push(Rebuilt { month, history: has_built_history, digest });
        }
        previous = Some(current);
    }
    pages::write_index(folder, settings)?;
    Ok(rebuilt)
}

fn build_reports(
    folder: &JobFolder,
    settings: &Settings,
    snapshot: &Snapshot,
    definitions: &Definitions,
    (previous, current): (Option<&History>, &History),
    source: ReportSource,
) -> Result<Digest, JobError> {
    let month = snapshot.manifest.month()?;
    let in_history = |source| JobError::History { month, source };
    let cohorts = history::cohort_months(&snapshot.manifest, definitions, previous).map_err(in_history)?;
    let facts = facts(definitions, snapshot, &cohorts)?;
    let lazy = |frame: Result<polars::prelude::DataFrame, history::HistoryError>| frame.map(IntoLazy::lazy).map_err(in_history);
    let table = |error| JobError::table(month, error);
    let of_snapshot = |of: &'static Table| snapshot.scan(of).map_err(table);
    let of_history = |of: &'static Table| current.scan(of).map_err(table);
    let (contacts, conversations) = (of_snapshot(&CONTACTS)?, of_snapshot(&CONVERSATIONS)?);
    let (standing, people) = (of_history(&history::STANDING)?, of_history(&history::PEOPLE)?);
    let numbers = ContactNumbers::of(&[
        (contacts.clone(), &CONTACTS),
        (conversations.clone(), &CONVERSATIONS),
        (standing.clone(), &history::STANDING),
        (people.clone(), &history::PEOPLE),
    ]);
    let numbers = numbers.map_err(table)?;
    let inputs = Inputs {
        contacts: numbers.numbered(contacts, &CONTACTS),
        attributes: numbers.numbered(definitions.wanted(of_snapshot(&ATTRIBUTES)?), &ATTRIBUTES),
        members: numbers.numbered(of_snapshot(&MEMBERS)?, &MEMBERS),
        conversations: numbers.numbered(conversations, &CONVERSATIONS),
        standing: numbers.numbered(standing, &history::STANDING),
        people: numbers.numbered(people, &history::PEOPLE),
        numbers,
        counts: of_history(&history::COUNTS)?,
        triangle: of_history(&history::TRIANGLE)?,
        spells: of_history(&history::SPELLS)?,
        profiles: of_history(&history::PROFILES)?,
        cohorts: lazy(history::cohorts_frame(&cohorts, &snapshot.manifest))?,
        population: lazy(history::population_frame(&snapshot.manifest))?,
        profile: lazy(definitions.profile_frame(&snapshot.manifest))?,
    };
    let failed = |source| JobError::Report { month, source };
    let unread = |error| table(TableError::new("tell", format!("the reports of {month}"), error));
    let formats: Vec<ReportFormat> = settings.output.formats.iter().filter_map(table_format).collect();
    let mut writer = ReportWriter::new(&folder.work(), month, &formats).map_err(failed)?;
    let mut page = Page::new(settings.job.html_members);
    page.take("counts", inputs.counts.clone().collect().map_err(unread)?).map_err(unread)?;
    for report in REPORTS {
        let frame = report.build(&inputs, &facts).map_err(table)?;
        tracing::debug!(report = report.table.name, rows = frame.height(), "counted");
        writer.add(&report.table, &frame).map_err(failed)?;
        page.take(report.table.name, frame).map_err(unread)?;
    }
    let digest = Digest::of(month, &page.tables).map_err(unread)?;
    if settings.output.formats.contains(&Format::Html) {
        writer.add_page(&page.html(snapshot, month, &digest).map_err(unread)?).map_err(failed)?;
    }
    writer.commit(&folder.reports(), source).map_err(failed)?;
    Ok(digest)
}

/// What the reports are told of a cohort in a month.
pub fn cohort_facts(cohort: &CohortMonth) -> CohortFacts {
    let (kind, id) = cohort.cohort_key.split_once(':').unwrap_or_default();
    CohortFacts {
        cohort_key: cohort.cohort_key.clone(),
        cohort_name: cohort.cohort_name.clone(),
        cohort_kind: kind.to_string(),
        cohort_id: id.to_string(),
        basis: cohort.basis,
        observed_at: cohort.observed_at,
        announced: cohort.announced,
        compared_month: cohort.compared.map(|compared| compared.month),
    }
}

fn facts(definitions: &Definitions, snapshot: &Snapshot, cohorts: &[CohortMonth]) -> Result<Facts, JobError> {
    let manifest = &snapshot.manifest;
    let span = manifest.span()?;
    let found = |finding: &Finding| Found {
        severity: finding.severity.as_str().to_string(),
        check_name: finding.check_name.clone(),
        subject: finding.subject.clone(),
        value: finding.value.clone(),
        expected: finding.expected.clone(),
        detail: finding.detail.clone(),
    };
    Ok(Facts {
        month: span.month,
        cohorts: cohorts.iter().map(cohort_facts).collect(),
        population: match manifest.population.as_str() {
            "everyone" => PopulationKind::Everyone,
            "cohorts" => PopulationKind::Cohorts,
            _ => PopulationKind::Group,
        },
        has_conversations: manifest.conversations,
        opened_at_least: definitions.opened_at_least.clone(),
        profile: definitions.profile.iter().map(|entry| entry.attribute.clone()).collect(),
        found: manifest.findings.iter().map(found).chain(noticed(definitions, manifest, cohorts, span.month)).collect(),
    })
}

/// What follows from the months before, and from what is missing.
fn noticed(definitions: &Definitions, manifest: &Manifest, cohorts: &[CohortMonth], month: Month) -> Vec<Found> {
    let warning = |check_name: &str, subject: &str, value: Option<String>, expected: Option<String>, detail: &str| Found {
        severity: "warning".to_string(),
        check_name: check_name.to_string(),
        subject: subject.to_string(),
        value,
        expected,
        detail: detail.to_string(),
    };
    let mut noticed = Vec::new();
    for cohort in cohorts {
        if let Some(compared) = cohort.compared.map(|compared| compared.month).filter(|compared| compared.next() != month) {
            let detail = "compared with an earlier month than the last one, which was not observed at its end or did not come whole: \
                          who joined and who departed did so since then";
            noticed.push(warning("compared_over_a_gap", &cohort.cohort_key, Some(compared.to_string()), None, detail));
        }
    }
    for rule in definitions.rules.iter().filter(|_| !manifest.incomplete.is_empty()) {
        let detail = "not everything of the month came: nobody knows who is a member of the rule, and it is left out";
        noticed.push(warning("rule_not_counted", &rule.cohort_key(), None, None, detail));
    }
    noticed
}

/// What the job file says that histories and reports depend on.
pub(super) fn definitions(job: &Job) -> Definitions {
    let entry = |attribute: &crate::settings::ProfileAttribute| ProfileEntry {
        attribute: attribute.label(),
        custom_name: attribute.custom_name().cloned(),
    };
    Definitions {
        rules: job.rules.iter().map(|rule| rule.rule.clone()).collect(),
        profile: job.profile.iter().map(entry).collect(),
        opened_at_least: job.opened_at_least.clone(),
    }
}

fn table_format(format: &Format) -> Option<ReportFormat> {
    match format {
        Format::Parquet => Some(ReportFormat::Parquet),
        Format::Csv => Some(ReportFormat::Csv),
        Format::Html => None,
    }
}
