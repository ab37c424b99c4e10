//! What a run needs from published months: the IDs of renamed groups, the bounds of months, and how identifiers are written.

use std::collections::BTreeMap;

use super::JobError;
use super::bounds::{PublishedMonth, cut};
use crate::privacy::HASH_PREFIX;
use archive::Archive;
use archive::snapshot::{CONTACTS, CohortEntry, Finding, Snapshot, SnapshotError};
use domain::{Allowed, Basis, Month, POPULATION, TimeZone};

/// What the manifests of a job's months say, the newest month first.
#[derive(Debug, Default)]
pub(super) struct PriorMonth {
    pub cohorts: Vec<CohortEntry>,
    /// The workspace of the newest month that names one: the ID in its contacts' records, otherwise the ID that the API gave.
    pub workspace_id: Option<String>,
    /// Sizes at the end of months, to compare a new month with.
    pub sizes: PriorSizes,
    months: Vec<PublishedMonth>,
    /// How each month writes identifiers.
    identifiers: Vec<(Month, String)>,
    /// Months that cannot be read. They do not block a new month. The reports built from them will show the problem.
    pub unreadable: Vec<(Month, SnapshotError)>,
}

/// The sizes in earlier months, the newest month first.
#[derive(Clone, Debug, Default)]
pub(super) struct PriorSizes(Vec<MonthSizes>);

/// The sizes of a month's cohorts that were completely observed at its end.
#[derive(Clone, Debug)]
struct MonthSizes {
    month: Month,
    /// The sizes by cohort key. If the population is everyone, its size has the key `population`.
    sizes: BTreeMap<String, u64>,
}

impl MonthSizes {
    fn of(month: Month, snapshot: &Snapshot) -> MonthSizes {
        let manifest = &snapshot.manifest;
        let is_complete = |key: &str| !manifest.incomplete.iter().any(|incomplete| incomplete == key);
        let cohorts = manifest.cohorts.iter().filter(|cohort| cohort.basis() == Basis::MonthEnd);
        let mut sizes: BTreeMap<String, u64> = cohorts.map(|cohort| (cohort.cohort_key.clone(), cohort.members)).collect();
        if manifest.has_everyone() {
            sizes.insert(POPULATION.to_string(), snapshot.rows_of(&CONTACTS));
        }
        sizes.retain(|key, _| is_complete(key));
        MonthSizes { month, sizes }
    }
}

impl PriorSizes {
    /// The latest earlier month in which a cohort, or everyone, was observed completely with basis `month_end`, and its size then.
    pub(super) fn before(&self, key: &str, month: Month) -> Option<(Month, u64)> {
        let before = self.0.iter().filter(|before| before.month < month);
        before.filter_map(|before| Some((before.month, *before.sizes.get(key)?))).next()
    }

    /// The latest earlier month with cohorts that were observed completely at its end, and the number of their members.
    pub(super) fn last_before(&self, month: Month) -> Option<(Month, u64)> {
        let members = |before: &MonthSizes| before.sizes.iter().filter(|(key, _)| *key != POPULATION).map(|(_, size)| size).sum();
        let has_cohorts = |before: &&MonthSizes| before.sizes.keys().any(|key| key != POPULATION);
        self.0.iter().filter(|before| before.month < month).find(has_cohorts).map(|before| (before.month, members(before)))
    }

    /// Whether fewer rows came than this cohort had in the latest earlier month that was observed at its end, by more than the tolerance.
    pub(super) fn is_fewer_than_before(&self, key: &str, month: Month, came: u64, tolerance: f64) -> bool {
        self.before(key, month).is_some_and(|(_, before)| came + Allowed::Tolerance(tolerance).of(before) < before)
    }
}

impl PriorMonth {
    /// # Errors
    /// If identifiers were hashed with another key: the same contact would have two identifiers.
    pub(super) fn check_key(&self, label: &str) -> Result<(), JobError> {
        let is_other = |(_, other): &&(Month, String)| [label, other].iter().all(|label| label.starts_with(HASH_PREFIX)) && other != label;
        match self.identifiers.iter().find(is_other) {
            Some((month, published)) => Err(JobError::OtherKey { month: *month, published: published.clone(), found: label.to_string() }),
            None => Ok(()),
        }
    }

    /// The findings of a run about the bounds of this month, or of the next month if this one is published already.
    pub(super) fn bounds(&self, month: Month, timezone: &TimeZone) -> Vec<Finding> {
        let is_published = self.months.iter().any(|published| published.span.month == month);
        let month = if is_published { month.next() } else { month };
        cut(month.into(), timezone, &self.months, |_| true).findings.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// # Errors
/// If a month is of another workspace.
pub(super) fn prior_month(archive: &Archive, workspace_id: Option<&str>) -> Result<PriorMonth, JobError> {
    let mut all = PriorMonth::default();
    for (month, snapshot) in archive.snapshots()?.rev() {
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => {
                all.unreadable.push((month, error));
                continue;
            }
        };
        if let (Some(published), Some(found)) = (&snapshot.manifest.workspace_id, workspace_id)
            && published != found
        {
            return Err(JobError::OtherWorkspace { published: published.clone(), found: found.to_string() });
        }
        all.months.extend(PublishedMonth::of(&snapshot.manifest));
        all.sizes.0.push(MonthSizes::of(month, &snapshot));
        let of_contacts = snapshot.manifest.contact_workspace_id.or(snapshot.manifest.workspace_id);
        all.workspace_id = all.workspace_id.take().or(of_contacts);
        all.identifiers.push((month, snapshot.manifest.identifiers));
        all.cohorts.extend(snapshot.manifest.cohorts);
    }
    Ok(all)
}
