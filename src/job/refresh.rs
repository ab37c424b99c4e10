//! Brings history and reports up to date with the snapshots: offline, a month at a time, oldest first. Current files are not
//! changed, so a second run changes nothing.

mod noticed;
mod script;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pages::{self, Page};
use super::{Built, DamagedMonth, Event, JobError, Observer};
use crate::settings::{Format, Job, Settings};
use archive::engine::{EngineError, RemoteEngine};
use archive::snapshot::{Finding, Snapshot, SnapshotError};
use archive::store::Damage;
use archive::table::TableError;
use archive::{Archive, Section};
use domain::Month;
use reports::analysis::{self, CohortFacts, Facts, Found, PopulationKind, REPORTS};

use noticed::{noticed, too_long_for_csv, too_long_for_xlsx};
use reports::digest::Digest;
use reports::history::{self, Definitions, History, ProfileEntry};
use reports::report::{self, PAGE, ReportFormat, ReportSource, ReportWriter, Standing};
use reports::steps::{self, CohortMonth, Counted};
use reports::workbook::{self, WORKBOOK};

pub use script::engine_script;

/// The months to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The months up to this one whose history or reports are missing or out of date.
    StaleUntil(Month),
    /// These months, and the earlier histories that they need.
    Months(BTreeSet<Month>),
    All,
}

impl Scope {
    fn wants(&self, month: Month) -> bool {
        match self {
            Scope::StaleUntil(_) => false,
            Scope::Months(months) => months.contains(&month),
            Scope::All => true,
        }
    }

    fn may_build(&self, month: Month) -> bool {
        self.wants(month) || matches!(self, Scope::StaleUntil(_))
    }
}

/// A month that was built.
#[derive(Clone, Debug, PartialEq)]
pub struct Rebuilt {
    pub month: Month,
    pub history: bool,
    /// The digest of the reports; `None` if they were not built.
    pub digest: Option<Digest>,
}

/// The result of a refresh.
#[derive(Debug, Default)]
pub struct Refreshed {
    pub rebuilt: Vec<Rebuilt>,
    /// Months that could not be built, because their snapshots are damaged. The next month is built as if this month were missing.
    pub damaged: Vec<DamagedMonth>,
}

/// Brings histories and reports up to date. The caller must have the job's lock. Months in `without` are not changed, and no other
/// month is built on them.
pub fn refresh(
    archive: &Archive,
    settings: &Settings,
    scope: &Scope,
    without: &BTreeSet<Month>,
    observer: &Observer,
) -> Result<Refreshed, JobError> {
    let definitions = definitions(&settings.job);
    let engine = super::remote_engine(settings)?;
    let mut chain = Chain {
        archive,
        definitions: &definitions,
        observer,
        engine: engine.as_deref(),
        links: Vec::new(),
        last_counted: None,
        done: Refreshed::default(),
    };
    let is_in_scope = |month: &Month| !matches!(scope, Scope::StaleUntil(last) if month > last);
    let mut months =
        archive.snapshots()?.filter(|(month, _)| !without.contains(month)).take_while(|(month, _)| is_in_scope(month)).peekable();
    while let Some((month, snapshot)) = months.next() {
        let is_followed = months.peek().is_some_and(|(next, _)| scope.may_build(*next));
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) if error.is_damage() => {
                let current = chain.current_history(month, None)?;
                chain.cannot_build(month, error, current);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let is_wanted = scope.wants(month);
        let current = chain.current_history(month, Some(&snapshot))?;
        // If the compared month is damaged now, the current history and reports were built before the damage and are better than new
        // ones.
        let is_wanted = is_wanted && !(current.is_some() && chain.lacks_compared(month, &snapshot)?);
        let has_built_history = match current {
            Some(history) if !is_wanted => {
                chain.links.push(Link { month, snapshot: Some(snapshot), history, is_verified: false });
                false
            }
            current => {
                if !chain.build(month, snapshot, current)? {
                    continue;
                }
                true
            }
        };
        // If single months are requested, the reports of other months are not changed.
        let builds_report = scope.may_build(month) && (is_wanted || chain.needs_report(month)?);
        let digest = if builds_report { chain.build_reports(month, is_followed, settings)? } else { None };
        chain.last_counted = chain.last_counted.take().filter(|_| is_followed).map(|(month, counted)| (month, counted.for_next_month()));
        if has_built_history || builds_report {
            let folder = archive.engine_folder(month);
            let is_used = chain.engine.is_some() || folder.script().is_ok_and(|script| script.is_some());
            let cleared = if is_used { folder.clear() } else { Ok(()) };
            cleared.map_err(|error| JobError::History { month, source: error.into() })?;
        }
        if has_built_history || digest.is_some() {
            chain.done.rebuilt.push(Rebuilt { month, history: has_built_history, digest });
        }
    }
    let done = chain.done;
    // The lines of the index are read from the history of each month. In a bucket, this takes a request for each month.
    let is_unchanged = archive.is_remote() && done.rebuilt.is_empty() && done.damaged.is_empty() && archive.has_index()?;
    if !is_unchanged {
        pages::write_index(archive, settings)?;
    }
    Ok(done)
}

/// The months so far that have a history, each built on the one before it.
struct Chain<'a> {
    archive: &'a Archive,
    definitions: &'a Definitions,
    observer: &'a Observer,
    /// The engine outside of this process that counts the months.
    engine: Option<&'a dyn RemoteEngine>,
    links: Vec<Link>,
    /// The last month whose history was built by this command, in memory: the next month is counted from it.
    last_counted: Option<(Month, Counted)>,
    done: Refreshed,
}

struct Link {
    month: Month,
    /// `None` if the snapshot is damaged.
    snapshot: Option<Snapshot>,
    history: History,
    /// Whether all files of the history were verified.
    is_verified: bool,
}

impl Chain<'_> {
    /// The month's history, if it is up to date. Tables that are read anyway are verified here. The other tables are verified
    /// before another history is built on this one.
    ///
    /// # Errors
    /// If the history cannot be fetched from the archive.
    fn current_history(&self, month: Month, snapshot: Option<&Snapshot>) -> Result<Option<History>, JobError> {
        let opened = History::open(self.archive, month).and_then(|history| {
            let Some(history) = history else { return Ok(None) };
            if let Some(problem) = history.problems(false)?.into_iter().next() {
                return Err(self.archive.damage(Section::History, month, problem));
            }
            [&history::COUNTS, &history::STATES].into_iter().try_for_each(|table| history.verify_table(table))?;
            Ok(Some(history))
        });
        let is_readable = |month: Month| self.links.iter().any(|link| link.month == month && link.snapshot.is_some());
        match opened {
            Ok(history) => Ok(history.filter(|history| {
                let previous = self.links.last().map(|link| &link.history);
                history.is_of(snapshot, self.definitions, previous) && !history.without().any(is_readable)
            })),
            Err(damage) if damage.is_unreachable() => Err(SnapshotError::from(damage).into()),
            Err(damage) => {
                self.warn(month, Built::History, &damage.problem);
                Ok(None)
            }
        }
    }

    /// Whether the contacts of a month with which this one is compared cannot be read.
    fn lacks_compared(&self, month: Month, snapshot: &Snapshot) -> Result<bool, JobError> {
        let (previous, earlier) = (self.links.last().map(|link| &link.history), snapshots(&self.links));
        let counting = steps::Month { snapshot, definitions: self.definitions, previous, counted_before: None, earlier: &earlier };
        counting.unreadable(self.engine.is_some()).map(|months| !months.is_empty()).map_err(|source| JobError::History { month, source })
    }

    fn warn(&self, month: Month, what: Built, problem: &str) {
        (self.observer)(Event::Damaged { month, what, problem: problem.to_string() });
    }

    /// Records that a month's snapshot is damaged. A history that was built before the damage is still correct, and later months
    /// are built on it.
    fn cannot_build(&mut self, month: Month, error: SnapshotError, current: Option<History>) {
        self.done.damaged.push(DamagedMonth { month, error });
        self.links.extend(current.map(|history| Link { month, snapshot: None, history, is_verified: false }));
    }

    /// Builds a month's history from the history of the last link. Returns false if the month's snapshot is damaged. Then the current
    /// history is kept.
    fn build(&mut self, month: Month, snapshot: Snapshot, current: Option<History>) -> Result<bool, JobError> {
        self.verify_last()?;
        (self.observer)(Event::Building { month, what: Built::History });
        let last_counted = self.take_counted(self.links.last().map(|link| link.month));
        let previous = self.links.last().map(|link| &link.history);
        let verified = if self.engine.is_some() { snapshot.verify_for_engine() } else { snapshot.verify() };
        let built = verified.map_err(|damage| history::HistoryError::Snapshot(damage.into())).and_then(|()| {
            let earlier = snapshots(&self.links);
            let counted_before = last_counted.as_ref();
            let month = steps::Month { snapshot: &snapshot, definitions: self.definitions, previous, counted_before, earlier: &earlier };
            let counted = self.count(&month)?;
            let history = counted.publish_history(self.archive, &month)?;
            Ok((counted, history))
        });
        match built {
            Ok((counted, history)) => {
                (self.observer)(Event::Built { month, what: Built::History });
                self.last_counted = Some((month, counted));
                self.links.push(Link { month, snapshot: Some(snapshot), history, is_verified: true });
                Ok(true)
            }
            Err(history::HistoryError::Snapshot(error)) if error.is_damage() => {
                self.cannot_build(month, error, current);
                Ok(false)
            }
            Err(source) => Err(JobError::History { month, source }),
        }
    }

    /// Counts a month: takes what a script has counted, or counts in this process or on the engine.
    fn count(&self, counting: &steps::Month<'_>) -> Result<Counted, history::HistoryError> {
        let month = counting.snapshot.manifest.month()?;
        let folder = self.archive.engine_folder(month);
        if let Some(counted) = counting.counted_by_script(folder.clone(), &analysis::queries())? {
            return Ok(counted);
        }
        let Some(engine) = self.engine else { return counting.count() };
        folder.clear()?;
        let done = AtomicUsize::new(0);
        counting.count_on(engine, folder, &analysis::queries(), &|query, time, all| {
            let (query, done) = (query.to_string(), done.fetch_add(1, Ordering::Relaxed) + 1);
            (self.observer)(Event::Counted { month, query, time, done, all });
        })
    }

    /// The counted tables of this month, if they are still in memory.
    fn take_counted(&mut self, month: Option<Month>) -> Option<Counted> {
        self.last_counted.take_if(|(counted, _)| Some(*counted) == month).map(|(_, counted)| counted)
    }

    /// Verifies the last history. Rebuilds it if it is damaged, and the damaged histories before it.
    fn verify_last(&mut self) -> Result<(), JobError> {
        let mut damaged = Vec::new();
        while let Some(link) = self.links.last_mut().filter(|link| !link.is_verified) {
            let verified = if self.engine.is_some() { link.history.verify_for_engine() } else { link.history.verify() };
            match verified {
                Ok(()) => link.is_verified = true,
                Err(damage) if damage.is_unreachable() => return Err(SnapshotError::from(damage).into()),
                Err(Damage { problem, .. }) => {
                    let month = link.month;
                    damaged.extend(self.links.pop());
                    self.warn(month, Built::History, &problem);
                }
            }
        }
        while let Some(Link { month, snapshot, .. }) = damaged.pop() {
            // A month with a damaged snapshot was reported already. The next month is built as if this month were missing.
            if let Some(snapshot) = snapshot
                && self.build(month, snapshot, None)?
            {
                self.done.rebuilt.push(Rebuilt { month, history: true, digest: None });
            }
        }
        Ok(())
    }

    /// Whether the reports of the last month are missing, out of date or damaged.
    ///
    /// # Errors
    /// If they cannot be fetched from the archive.
    fn needs_report(&self, month: Month) -> Result<bool, JobError> {
        let Some(link) = self.links.last() else { return Ok(false) };
        match report::standing(self.archive, month, &link.source(), false).map_err(SnapshotError::from)? {
            Standing::Current => Ok(false),
            Standing::OutOfDate => Ok(true),
            Standing::Damaged(problems) => {
                self.warn(month, Built::Reports, &problems.join("; "));
                Ok(true)
            }
        }
    }

    /// Builds the reports of this month, which must be the last one of the chain. `None` if its snapshot is damaged; the damage is
    /// recorded. `is_followed`: whether the next month may be counted from this one.
    fn build_reports(&mut self, month: Month, is_followed: bool, settings: &Settings) -> Result<Option<Digest>, JobError> {
        self.verify_last()?;
        let just_built = self.take_counted(Some(month));
        let before = self.take_counted(self.links.len().checked_sub(2).map(|before| self.links[before].month));
        let Some((link, earlier)) = self.links.split_last().filter(|(link, _)| link.month == month) else { return Ok(None) };
        let Some(snapshot) = &link.snapshot else { return Ok(None) };
        (self.observer)(Event::Building { month, what: Built::Reports });
        let is_kept = is_followed && just_built.is_some();
        let counted = match just_built {
            Some(counted) => Ok(counted),
            // The history is current and was built by an earlier command. The next month is not counted from this result: if an earlier
            // month is damaged, the result may know less than the history.
            None => {
                let previous = earlier.last().map(|link| &link.history);
                let (earlier, counted_before) = (snapshots(earlier), before.as_ref());
                let counting = steps::Month { snapshot, definitions: self.definitions, previous, counted_before, earlier: &earlier };
                self.count(&counting).map_err(|error| match error {
                    history::HistoryError::Snapshot(error) => error.into(),
                    source => JobError::History { month, source },
                })
            }
        };
        drop(before);
        let built = counted.and_then(|mut counted| {
            if !is_kept {
                counted.forget_ledger();
            }
            let digest = build_reports(self.archive, settings, snapshot, self.definitions, &counted, link.source())?;
            Ok((digest, counted))
        });
        match built {
            Ok((digest, counted)) => {
                self.last_counted = is_kept.then_some((month, counted));
                (self.observer)(Event::Built { month, what: Built::Reports });
                Ok(Some(digest))
            }
            Err(JobError::Snapshot(error)) if error.is_damage() => {
                self.done.damaged.push(DamagedMonth { month, error });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The snapshots of these months that can be read.
fn snapshots(links: &[Link]) -> Vec<&Snapshot> {
    links.iter().filter_map(|link| link.snapshot.as_ref()).collect()
}

impl Link {
    fn source(&self) -> ReportSource {
        ReportSource { snapshot: self.history.snapshot().to_string(), history: self.history.hash.clone() }
    }
}

fn build_reports(
    archive: &Archive,
    settings: &Settings,
    snapshot: &Snapshot,
    definitions: &Definitions,
    counted: &Counted,
    source: ReportSource,
) -> Result<Digest, JobError> {
    let month = snapshot.manifest.month()?;
    let table = |error| JobError::table(month, error);
    let mut facts = facts(definitions, snapshot, counted)?;
    let failed = |source| JobError::Report { month, source };
    let unread = |error| table(TableError::new("summarize", format!("the reports of {month}"), error));
    let wants = |format: Format| settings.output.formats.contains(&format);
    let formats = settings.output.formats.iter().filter_map(table_format).collect();
    let writer = ReportWriter::new(archive, month, formats, settings.output.csv_max_rows).map_err(failed)?;
    let mut page = Page::new(settings.job.html_members);
    let of_engine = |source: EngineError| failed(source.into());
    for table in [&history::COUNTS, &history::OPT_OUTS, &steps::FOLLOWED] {
        page.tables.add(table.name, counted.table(table).map_err(of_engine)?);
    }
    for report in REPORTS {
        let rows = report.build(counted, &facts).map_err(of_engine)?;
        if writer.add(&report.table, &rows).map_err(failed)? {
            facts.found.push(too_long_for_csv(report.table.name, rows.count(), settings));
        }
        if wants(Format::Xlsx) && !report.is_per_member() && rows.count() > workbook::ROWS_MAX as u64 {
            facts.found.push(too_long_for_xlsx(report.table.name, rows.count()));
        }
        tracing::debug!(report = report.table.name, rows = rows.count(), "written");
        page.take(report, rows).map_err(of_engine)?;
    }
    let digest = Digest::of(month, &page.tables).map_err(unread)?;
    if wants(Format::Html) || wants(Format::Xlsx) {
        let about = page.about(snapshot, month, &digest).map_err(unread)?;
        if wants(Format::Html) {
            writer.add_file(PAGE, page.html(&about, &digest).map_err(unread)?.as_bytes()).map_err(failed)?;
        }
        if wants(Format::Xlsx) {
            writer.add_file(WORKBOOK, &workbook::workbook(&about, &digest, &page.tables).map_err(unread)?).map_err(failed)?;
        }
    }
    writer.commit(source).map_err(failed)?;
    Ok(digest)
}

/// The formats that the job wants and that the published reports of a month lack: they were built before the job named these formats.
/// Empty if the manifest of the reports cannot be read.
pub fn lacking_formats(archive: &Archive, settings: &Settings, month: Month) -> Vec<&'static str> {
    let files = report::published_files(archive, month).unwrap_or_default();
    let is_lacking = |format: &&Format| !files.is_empty() && !files.iter().any(|file| format.is_of(file));
    settings.output.formats.iter().filter(is_lacking).map(|format| format.as_str()).collect()
}

/// The facts about a cohort in a month that the reports need.
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

fn facts(definitions: &Definitions, snapshot: &Snapshot, counted: &Counted) -> Result<Facts, JobError> {
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
        cohorts: counted.cohorts.iter().map(cohort_facts).collect(),
        population: match manifest.population.as_str() {
            "everyone" => PopulationKind::Everyone,
            "cohorts" => PopulationKind::Cohorts,
            _ => PopulationKind::Group,
        },
        has_conversations: manifest.conversations,
        opened_at_least: definitions.opened_at_least.clone(),
        profile: definitions.profile.iter().map(|entry| entry.attribute.clone()).collect(),
        found: manifest.findings.iter().map(found).chain(noticed(definitions, manifest, counted, span.month)).collect(),
    })
}

/// The part of the job file that histories and reports depend on.
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
        Format::Html | Format::Xlsx => None,
    }
}
