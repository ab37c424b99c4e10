//! What the months that are held tell a new one: the IDs that names had, where months end, how identifiers are written.

use std::collections::BTreeMap;

use super::bounds::{HeldMonth, cut};
use super::plan::Plan;
use super::{JobError, JobFolder};
use crate::privacy::HASH_PREFIX;
use archive::snapshot::{CONTACTS, CohortEntry, Finding, Snapshot, SnapshotError, months_in};
use domain::{Allowed, Basis, Month, POPULATION, TimeZone};

/// What the manifests of a job's months tell, the newest month first.
#[derive(Debug, Default)]
pub struct PriorMonth {
    pub cohorts: Vec<CohortEntry>,
    /// The workspace of the newest month that names one: as its contacts name it, else as the API did.
    pub workspace_id: Option<String>,
    /// Sizes at the end of months, for a month to be held against.
    pub sizes: Vec<MonthSizes>,
    months: Vec<HeldMonth>,
    /// How identifiers are written.
    identifiers: Vec<(Month, String)>,
    /// An old month that cannot be read must not keep this one from being observed; what is built from it will say so.
    pub unreadable: Vec<(Month, SnapshotError)>,
}

/// What a month held, of what was observed whole at its end.
#[derive(Clone, Debug)]
pub struct MonthSizes {
    pub month: Month,
    /// By cohort key, and `population` where that is everyone.
    sizes: BTreeMap<String, u64>,
}

impl MonthSizes {
    fn of(month: Month, snapshot: &Snapshot) -> MonthSizes {
        let manifest = &snapshot.manifest;
        let is_whole = |key: &str| !manifest.incomplete.iter().any(|incomplete| incomplete == key);
        let cohorts = manifest.cohorts.iter().filter(|cohort| cohort.basis() == Basis::MonthEnd);
        let mut sizes: BTreeMap<String, u64> = cohorts.map(|cohort| (cohort.cohort_key.clone(), cohort.members)).collect();
        if manifest.has_everyone() {
            sizes.insert(POPULATION.to_string(), snapshot.rows_of(&CONTACTS));
        }
        sizes.retain(|key, _| is_whole(key));
        MonthSizes { month, sizes }
    }

    pub fn get(&self, key: &str) -> Option<u64> {
        self.sizes.get(key).copied()
    }
}

impl Plan {
    /// How large a cohort, or everyone, was in the last month before this one that observed it whole at its end.
    pub(super) fn size_before(&self, key: &str, month: Month) -> Option<(Month, u64)> {
        let before = self.sizes_before.iter().filter(|before| before.month < month);
        before.filter_map(|before| Some((before.month, before.get(key)?))).next()
    }

    /// Whether fewer came than the month before had, by more than is allowed.
    pub(super) fn is_fewer_than_before(&self, key: &str, month: Month, came: u64, tolerance: f64) -> bool {
        self.size_before(key, month).is_some_and(|(_, before)| came + Allowed::Tolerance(tolerance).of(before) < before)
    }
}

impl PriorMonth {
    /// # Errors
    /// When identifiers were hashed with another key: nobody could be told to be the same any more.
    pub fn check_key(&self, label: &str) -> Result<(), JobError> {
        let is_other = |(_, held): &&(Month, String)| [label, held].iter().all(|label| label.starts_with(HASH_PREFIX)) && held != label;
        match self.identifiers.iter().find(is_other) {
            Some((month, held)) => Err(JobError::OtherKey { month: *month, held: held.clone(), found: label.to_string() }),
            None => Ok(()),
        }
    }

    /// What a run would say about where the month begins and ends, or the one after it when it is held already.
    pub fn bounds(&self, month: Month, timezone: &TimeZone) -> Vec<Finding> {
        let is_held = self.months.iter().any(|held| held.span.month == month);
        let month = if is_held { month.next() } else { month };
        cut(month.into(), timezone, &self.months, |_| true).findings.into_iter().map(|(_, finding)| finding).collect()
    }
}

/// # Errors
/// When a month is of another workspace than this one.
pub fn prior_month(folder: &JobFolder, workspace_id: Option<&str>) -> Result<PriorMonth, JobError> {
    let mut all = PriorMonth::default();
    for month in months_in(&folder.snapshots())?.into_iter().rev() {
        let snapshot = match folder.snapshot(month) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => continue,
            Err(error) => {
                all.unreadable.push((month, error));
                continue;
            }
        };
        if let (Some(held), Some(found)) = (&snapshot.manifest.workspace_id, workspace_id)
            && held != found
        {
            return Err(JobError::OtherWorkspace { held: held.clone(), found: found.to_string() });
        }
        all.months.extend(HeldMonth::of(&snapshot.manifest));
        all.sizes.push(MonthSizes::of(month, &snapshot));
        let of_contacts = snapshot.manifest.contact_workspace_id.or(snapshot.manifest.workspace_id);
        all.workspace_id = all.workspace_id.take().or(of_contacts);
        all.identifiers.push((month, snapshot.manifest.identifiers));
        all.cohorts.extend(snapshot.manifest.cohorts);
    }
    Ok(all)
}
