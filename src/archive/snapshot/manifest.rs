//! What a snapshot's `manifest.json` says. The manifest is the commit: readers believe nothing that it does not list.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::publish::{self, Damage, ListedFile, MANIFEST};
use domain::{Basis, Fit, GroupName, Month, MonthSpan, POPULATION};

/// Raised when older programs could no longer read what newer ones write.
pub(super) const FORMAT: u32 = 1;

/// What every manifest of every version says.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub job: String,
    /// `YYYY-MM`.
    pub month: String,
    /// The worst basis of the cohorts.
    pub basis: String,
    /// When the last page of the snapshot came.
    pub observed_at: DateTime<Utc>,
    pub program_version: String,
    pub api_version: String,
    pub timezone: String,
    /// The version of the IANA table that the month was cut by: `2026f`. Older programs did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone_table: Option<String>,
    pub month_start: DateTime<Utc>,
    pub month_end: DateTime<Utc>,
    pub workspace_id: Option<String>,
    /// The workspace that the contacts name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_workspace_id: Option<String>,
    /// `everyone`, `cohorts` or a cohort key.
    pub population: String,
    /// SHA-256 of the manifest that the month's history was built from when this one took its place; null where there was
    /// no history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Whether the month's conversations were fetched.
    pub conversations: bool,
    /// Sorted by `cohort_key`.
    pub cohorts: Vec<CohortEntry>,
    /// How identifiers are written: `keep`, `drop`, or `hash:` and the fingerprint of the key.
    #[serde(default = "kept")]
    pub identifiers: String,
    /// How e-mail addresses were spelled before they were hashed: `lowercase`. Older programs hashed them as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_hash: Option<String>,
    /// People that `cohorts forget` took out of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u64,
    pub files: Vec<ListedFile>,
    pub requests: u64,
    pub retries: u64,
    /// Cohort keys, `population` and `conversations` of which not everything came, or nothing at all, and that were
    /// published all the same (`--accept-incomplete`). Such a cohort is compared with no other month.
    pub incomplete: Vec<String>,
    /// What was noticed while observing; reported as data_quality.
    pub findings: Vec<Finding>,
}

/// As identifiers were written before there was a choice.
fn kept() -> String {
    "keep".to_string()
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortEntry {
    pub cohort_key: String,
    /// The group's name when it was observed.
    pub cohort_name: String,
    /// As the job named it: what a renamed group is found again by.
    pub configured: String,
    pub basis: String,
    /// When the last page of the cohort came.
    pub observed_at: DateTime<Utc>,
    /// Contacts observed, each once, whenever they were created.
    pub members: u64,
    /// The total that the API gave; null when it gave none.
    pub announced: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
    Info,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

/// Something that a reader of the month's reports should know. No contact's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    pub check_name: String,
    /// What it is about: a cohort key, a table, a setting.
    pub subject: String,
    pub value: Option<String>,
    pub expected: Option<String>,
    pub detail: String,
}

/// What is told of a month that somebody was taken out of.
pub(super) const FORGOTTEN: &str = "forgotten";

impl Finding {
    pub fn forgotten(people: u64) -> Finding {
        Finding {
            severity: Severity::Info,
            check_name: FORGOTTEN.to_string(),
            subject: "contacts".to_string(),
            value: Some(people.to_string()),
            expected: Some("0".to_string()),
            detail: "people who were taken out of this month on request (`cohorts forget`); every count is without them".to_string(),
        }
    }
}

impl Manifest {
    /// The manifest of a snapshot's folder, and the SHA-256 of its file.
    pub(super) fn read(folder: &Path) -> Result<(Manifest, String), SnapshotError> {
        let damage = |problem: String| Damage { folder: folder.to_path_buf(), problem };
        let read = publish::read_manifest(folder)?.ok_or_else(|| damage(format!("its {MANIFEST} is gone")))?;
        let not_understood = |error: serde_json::Error| damage(format!("its {MANIFEST} cannot be understood ({error})"));
        // The format first: of a newer one nothing else need be as it is here.
        let Format { format } = read.parse().map_err(not_understood)?;
        if format > FORMAT {
            return Err(SnapshotError::Format { path: folder.join(MANIFEST), found: format });
        }
        let manifest: Manifest = read.parse().map_err(not_understood)?;
        let cohort_bases = manifest.cohorts.iter().map(|cohort| &cohort.basis);
        for basis in cohort_bases.chain([&manifest.basis]) {
            Basis::parse(basis).ok_or_else(|| damage(format!("its {MANIFEST} has `{basis}` where a basis should be")))?;
        }
        manifest.month()?;
        Ok((manifest, read.hash))
    }

    pub fn month(&self) -> Result<Month, SnapshotError> {
        let problem = || format!("its {MANIFEST} has `{}` where a month should be", self.month);
        self.month.parse().map_err(|_| Damage { folder: PathBuf::from("snapshots"), problem: problem() }.into())
    }

    /// # Errors
    /// As [`Manifest::month`].
    pub fn span(&self) -> Result<MonthSpan, SnapshotError> {
        Ok(MonthSpan { month: self.month()?, start: self.month_start, end: self.month_end })
    }

    /// Read manifests hold known words only.
    pub fn basis(&self) -> Basis {
        Basis::parse(&self.basis).unwrap_or(Basis::Preliminary)
    }

    /// Whether everyone in the workspace was observed: then whoever was not is no longer there.
    pub fn has_everyone(&self) -> bool {
        self.population == "everyone" && !self.incomplete.iter().any(|key| key == POPULATION)
    }

    pub const CURRENT_FORMAT: u32 = FORMAT;
}

impl CohortEntry {
    /// Read manifests hold known words only.
    pub fn basis(&self) -> Basis {
        Basis::parse(&self.basis).unwrap_or(Basis::Preliminary)
    }

    /// How well a name fits the group: as the job named it, its name then, its ID or its key.
    pub fn fit(&self, name: &GroupName) -> Option<Fit> {
        name.fit(&self.cohort_key, [&self.configured, &self.cohort_name])
    }

    /// The first of the entries that a name fits exactly, else the first whose name it looks like.
    pub fn named<'a>(entries: &'a [CohortEntry], name: &GroupName) -> Option<&'a CohortEntry> {
        let first = |wanted: Fit| entries.iter().find(|entry| entry.fit(name) == Some(wanted));
        first(Fit::Exact).or_else(|| first(Fit::Alike))
    }

    /// `tag` or `segment`, and the id.
    pub fn kind_and_id(&self) -> (&str, &str) {
        self.cohort_key.split_once(':').unwrap_or(("", &self.cohort_key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::GroupKind;

    #[test]
    fn of_several_entries_the_one_that_a_name_fits_exactly_is_meant() {
        let entry = |key: &str, name: &str| CohortEntry {
            cohort_key: key.to_string(),
            cohort_name: name.to_string(),
            configured: name.to_string(),
            basis: "month_end".to_string(),
            observed_at: DateTime::UNIX_EPOCH,
            members: 0,
            announced: None,
        };
        let entries = [entry("tag:1", "VIP"), entry("tag:2", "vip"), entry("segment:3", "vip")];
        let named = |text: &str| CohortEntry::named(&entries, &GroupName::new(GroupKind::Tag, text)).map(|entry| entry.cohort_key.as_str());
        assert_eq!((named("VIP"), named("vip"), named("id:2")), (Some("tag:1"), Some("tag:2"), Some("tag:2")));
        assert_eq!((named("VIP\u{200b}"), named("VIPs")), (Some("tag:1"), None));
    }
}
