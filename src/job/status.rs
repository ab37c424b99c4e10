//! The status of a job: months, bases, sizes, gaps, reports that are out of date, damage, unfinished work. Reads only manifests,
//! unless all bytes are to be checked.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::refresh::definitions;
use super::{JobError, apply};
use crate::settings::{Job, zones};
use archive::Archive;
use archive::snapshot::SnapshotError;
use archive::store::Holder;
use domain::{Basis, Month, Months, TimeZone};
use reports::history::History;
use reports::report::{self, ReportSource, Standing};

#[derive(Clone, Debug)]
pub struct Status {
    pub job: String,
    pub months: Vec<MonthStatus>,
    /// Months without a snapshot after the first published month, and before the last published or the last ended month, whichever is
    /// later.
    pub gaps: Vec<Month>,
    /// The last month that has ended, if it has no snapshot.
    pub due: Option<Month>,
    /// Months with unfinished work of a run or a backfill.
    pub unfinished: Vec<Months>,
    /// The folder on this machine with the unfinished work.
    pub work_folder: PathBuf,
    /// Months whose counting waits for a script of `report --engine-script`.
    pub scripts: Vec<Month>,
    /// Whether a `forget` is unfinished.
    pub is_forgetting: bool,
    /// The process that works on the job now; `None` if there is none. The unfinished work belongs to this process.
    pub holder: Option<Holder>,
    /// Months whose snapshot cannot be read, and why.
    pub unreadable: Vec<(Month, String)>,
    /// Damage in the record of tags that this job added, by month.
    pub damaged_applied: Vec<(Month, String)>,
}

#[derive(Clone, Debug)]
pub struct MonthStatus {
    pub month: Month,
    pub basis: Basis,
    pub observed_at: DateTime<Utc>,
    pub cohorts: usize,
    /// The sum of the members of all cohorts.
    pub members: u64,
    pub bytes: u64,
    /// Whether history and reports are up to date.
    pub is_current: bool,
    /// Damage in files of the snapshot, the history and the reports, as texts.
    pub damaged: Vec<String>,
    pub damaged_history: Vec<String>,
    pub damaged_reports: Vec<String>,
    pub incomplete: Vec<String>,
    pub missing_groups: usize,
}

impl Status {
    /// Whether something is missing or out of date.
    pub fn needs_attention(&self) -> bool {
        let is_wanting = |month: &MonthStatus| {
            !month.is_current || !month.damaged.is_empty() || month.missing_groups > 0 || !month.incomplete.is_empty()
        };
        self.months.iter().any(is_wanting)
            || !self.damaged_applied.is_empty()
            || !self.unreadable.is_empty()
            || self.months.is_empty()
            || !self.gaps.is_empty()
            || self.due.is_some()
            || !self.unfinished.is_empty()
            || !self.scripts.is_empty()
            || self.is_forgetting
    }
}

/// The status of a job. With `reads_all`, every byte of snapshots, histories, reports and the record of tags is read and compared
/// with its manifest. Otherwise only the sizes are compared. `now` decides which month is due. If the job names no time zone, the
/// newest snapshot's is used.
pub fn status(archive: &Archive, job: &Job, now: DateTime<Utc>, reads_all: bool) -> Result<Status, JobError> {
    let Manifests { months, unreadable, timezone } = read_manifests(archive, job, reads_all)?;
    let zone = job.timezone.clone().or(timezone);
    let is_published = |month: &Month| {
        months.iter().any(|published| published.month == *month) || unreadable.iter().any(|(unreadable, _)| unreadable == month)
    };
    let last_ended = zone.map(|zone| Month::last_ended(now, &zone));
    let due = last_ended.filter(|month| !is_published(month));
    let gaps = match (months.first(), months.last()) {
        // Gaps are searched up to the newest snapshot, or up to the month that is due. The due month itself is reported separately.
        (Some(first), Some(last)) => {
            let end = last_ended.map_or(last.month, |ended| ended.max(last.month));
            between(first.month, end).filter(|month| !is_published(month)).collect()
        }
        _ => Vec::new(),
    };
    Ok(Status {
        job: job.name.clone(),
        months,
        gaps,
        due,
        unfinished: archive.unfinished()?,
        scripts: scripts(archive)?,
        work_folder: archive.work_folder().to_path_buf(),
        is_forgetting: archive.journal()?.is_some(),
        damaged_applied: apply::problems(archive, reads_all)?,
        // A lock that cannot be opened is reported by the next run.
        holder: archive.holder().ok().flatten(),
        unreadable,
    })
}

fn scripts(archive: &Archive) -> Result<Vec<Month>, JobError> {
    let has_script = |month: &Month| match archive.engine_folder(*month).script() {
        Ok(script) => script.map(|_| Ok(*month)),
        Err(source) => Some(Err(JobError::History { month: *month, source: source.into() })),
    };
    archive.months()?.iter().filter_map(has_script).collect()
}

/// The months without a snapshot between the first published month and this one.
pub(super) fn missed_before(archive: &Archive, month: Month) -> Result<Vec<Month>, JobError> {
    let published = archive.months()?;
    let Some(first) = published.iter().min() else { return Ok(Vec::new()) };
    Ok(between(*first, month).filter(|between| !published.contains(between)).collect())
}

/// The months after the first and before the last.
fn between(first: Month, last: Month) -> impl Iterator<Item = Month> {
    std::iter::successors(Some(first.next()), |month| Some(month.next())).take_while(move |month| *month < last)
}

/// The months after this one whose histories or reports are out of date.
pub(super) fn stale_after(archive: &Archive, job: &Job, last: Month) -> Result<Vec<Month>, JobError> {
    let stale = read_manifests(archive, job, false)?.months.into_iter().filter(|month| month.month > last && !month.is_current);
    Ok(stale.map(|month| month.month).collect())
}

/// The content of a job's manifests, oldest month first.
struct Manifests {
    months: Vec<MonthStatus>,
    unreadable: Vec<(Month, String)>,
    /// The time zone of the newest snapshot.
    timezone: Option<TimeZone>,
}

fn read_manifests(archive: &Archive, job: &Job, reads_all: bool) -> Result<Manifests, JobError> {
    let mut all = Manifests { months: Vec::new(), unreadable: Vec::new(), timezone: None };
    let definitions = definitions(job);
    let mut previous: Option<History> = None;
    for (month, snapshot) in archive.snapshots()? {
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            // A snapshot whose storage cannot be reached is not known to be damaged, so the command fails. A month of a newer format is
            // listed here, too.
            Err(SnapshotError::Damaged(damage)) if damage.is_unreachable() => return Err(SnapshotError::from(damage).into()),
            Err(error) => {
                all.unreadable.push((month, error.to_string()));
                continue;
            }
        };
        let manifest = &snapshot.manifest;
        all.timezone = zones().zone(&manifest.timezone).or(all.timezone);
        let (history, damaged_history) = match History::open(archive, month) {
            Ok(history) => {
                let problems =
                    history.as_ref().map_or(Ok(Vec::new()), |history| history.problems(reads_all)).map_err(SnapshotError::from)?;
                (history, problems)
            }
            Err(damage) if damage.is_unreachable() => return Err(SnapshotError::from(damage).into()),
            Err(damage) => (None, vec![damage.problem]),
        };
        let current = history.filter(|history| history.is_of(Some(&snapshot), &definitions, previous.as_ref()));
        let standing = current
            .as_ref()
            .map_or(Ok(Standing::OutOfDate), |history| {
                let source = ReportSource { snapshot: snapshot.hash.clone(), history: history.hash.clone() };
                report::standing(archive, month, &source, reads_all)
            })
            .map_err(SnapshotError::from)?;
        let is_current = standing == Standing::Current && damaged_history.is_empty();
        let damaged_reports = if let Standing::Damaged(problems) = standing { problems } else { Vec::new() };
        all.months.push(MonthStatus {
            month,
            basis: manifest.basis(),
            observed_at: manifest.observed_at,
            cohorts: manifest.cohorts.len(),
            members: manifest.cohorts.iter().map(|cohort| cohort.members).sum(),
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
            is_current,
            damaged: snapshot.problems(reads_all).map_err(SnapshotError::from)?,
            damaged_history,
            damaged_reports,
            incomplete: manifest.incomplete.clone(),
            missing_groups: manifest.findings.iter().filter(|finding| finding.check_name == "group_not_found").count(),
        });
        previous = current;
    }
    Ok(all)
}
