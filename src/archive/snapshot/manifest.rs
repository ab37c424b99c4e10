//! The `manifest.json` of a snapshot. A file belongs to the snapshot only if the manifest lists it: readers ignore all other files.

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::publish::{ListedFile, MANIFEST};
use crate::store::{Damage, ReadManifest, Store};
use domain::{Basis, Fit, GroupName, Month, MonthSpan, POPULATION};

/// The format of snapshots. It is increased when older versions of the program cannot read the new files.
pub(super) const FORMAT: u32 = 1;

/// The one field that all versions of a manifest have.
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
    /// The lowest basis of the cohorts.
    pub basis: String,
    /// When the last page of the snapshot came.
    pub observed_at: DateTime<Utc>,
    pub program_version: String,
    pub api_version: String,
    pub timezone: String,
    /// The version of the IANA time zone table for the month's bounds: `2026f`. Older versions of the program did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone_table: Option<String>,
    pub month_start: DateTime<Utc>,
    pub month_end: DateTime<Utc>,
    pub workspace_id: Option<String>,
    /// The workspace ID in the contacts' records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact_workspace_id: Option<String>,
    /// `everyone`, `cohorts` or a cohort key.
    pub population: String,
    /// The SHA-256 of the snapshot manifest from which the month's history had been built when this snapshot was published. It shows that
    /// this snapshot replaced that one. Null if there was no history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// Whether the month's conversations were fetched.
    pub conversations: bool,
    /// Whether the contacts' choices about subscriptions were observed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub subscriptions: bool,
    /// Counts of the members of the last month that no stream had this month. Null if the API was not asked about them: it does not
    /// distinguish merged contacts from deleted ones, or the month was not observed at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vanished: Option<Vanished>,
    /// The cohorts, sorted by `cohort_key`.
    pub cohorts: Vec<CohortEntry>,
    /// How identifiers are written: `keep`, `drop`, or `hash:` and the fingerprint of the key.
    #[serde(default = "kept")]
    pub identifiers: String,
    /// How e-mail addresses were normalised before hashing: `lowercase`. Older versions hashed them as they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_hash: Option<String>,
    /// The number of people that `cohorts forget` removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub forgotten: u64,
    pub files: Vec<ListedFile>,
    pub requests: u64,
    pub retries: u64,
    /// The incomplete streams that were published with `--accept-incomplete`: cohort keys, `population` or `conversations`.
    /// An incomplete cohort is not compared with other months.
    pub incomplete: Vec<String>,
    /// What was found while observing. The report data_quality shows it.
    pub findings: Vec<Finding>,
}

/// Of the members of the last month that no stream had this month: how many the API was asked about, and how many not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vanished {
    pub asked: u64,
    pub not_asked: u64,
}

/// How identifiers were written before the setting existed.
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
    /// The name in the job file. It finds the group again after a rename.
    pub configured: String,
    pub basis: String,
    /// When the last page of the cohort came.
    pub observed_at: DateTime<Utc>,
    /// The number of distinct contacts, also those that were created after the month.
    pub members: u64,
    /// The total that the API gave; null if the API gave no total.
    pub announced: Option<u64>,
    /// When the group was created, from the API's list of groups; null if that list has no creation time, as for tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// When the group was last changed, as the list of groups said. For a segment, its filter may have been edited then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<DateTime<Utc>>,
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

/// Something that a reader of the month's reports should know. It contains no contact's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    pub check_name: String,
    /// What the finding is about: a cohort key, a table, a setting.
    pub subject: String,
    pub value: Option<String>,
    pub expected: Option<String>,
    pub detail: String,
}

/// The check name of the finding that `cohorts forget` adds to a month.
pub(super) const FORGOTTEN: &str = "forgotten";

impl Finding {
    pub fn info(check_name: &str, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Severity::Info, check_name, subject, detail)
    }

    pub fn warning(check_name: &str, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, check_name, subject, detail)
    }

    pub fn error(check_name: &str, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        Finding::new(Severity::Error, check_name, subject, detail)
    }

    pub fn new(severity: Severity, check_name: &str, subject: impl Into<String>, detail: impl Into<String>) -> Finding {
        let (check_name, subject, detail) = (check_name.to_string(), subject.into(), detail.into());
        Finding { severity, check_name, subject, value: None, expected: None, detail }
    }

    #[must_use]
    pub fn value(self, value: impl ToString) -> Finding {
        Finding { value: Some(value.to_string()), ..self }
    }

    #[must_use]
    pub fn expected(self, expected: impl ToString) -> Finding {
        Finding { expected: Some(expected.to_string()), ..self }
    }

    pub fn forgotten(people: u64) -> Finding {
        let detail = "people who were removed from this month on request (`cohorts forget`); no count includes them";
        Finding::info(FORGOTTEN, "contacts", detail).value(people).expected(0)
    }
}

impl Manifest {
    /// Reads the manifest in a snapshot's folder. Also returns its bytes as they were read.
    pub(super) fn read(store: &Arc<dyn Store>, folder: &str) -> Result<(Manifest, ReadManifest), SnapshotError> {
        let missing = || Damage::new(store.shown(folder), format!("its {MANIFEST} is missing"));
        let read = ReadManifest::open(store, folder)?.ok_or_else(missing)?;
        let not_understood = |error: serde_json::Error| read.damage(&format!("cannot be understood ({error})"));
        // The format is read first: in a newer format, any other field may differ.
        let Format { format } = read.parse().map_err(not_understood)?;
        if format > FORMAT {
            return Err(SnapshotError::Format { path: store.shown(folder).join(MANIFEST), found: format });
        }
        let manifest: Manifest = read.parse().map_err(not_understood)?;
        let cohort_bases = manifest.cohorts.iter().map(|cohort| &cohort.basis);
        for basis in cohort_bases.chain([&manifest.basis]) {
            Basis::parse(basis).ok_or_else(|| read.damage(&format!("has `{basis}` where a basis should be")))?;
        }
        manifest.month()?;
        Ok((manifest, read))
    }

    pub fn month(&self) -> Result<Month, SnapshotError> {
        let problem = || format!("its {MANIFEST} has `{}` where a month should be", self.month);
        self.month.parse().map_err(|_| Damage::new(PathBuf::from("snapshots"), problem()).into())
    }

    /// # Errors
    /// As [`Manifest::month`].
    pub fn span(&self) -> Result<MonthSpan, SnapshotError> {
        Ok(MonthSpan { month: self.month()?, start: self.month_start, end: self.month_end })
    }

    /// `Manifest::read` refuses an unknown basis, so the fallback is never used.
    pub fn basis(&self) -> Basis {
        Basis::parse(&self.basis).unwrap_or(Basis::Preliminary)
    }

    /// Whether everyone in the workspace was observed. If so, a contact that is not in the snapshot no longer exists.
    pub fn has_everyone(&self) -> bool {
        self.population == "everyone" && !self.incomplete.iter().any(|key| key == POPULATION)
    }

    pub const CURRENT_FORMAT: u32 = FORMAT;
}

impl CohortEntry {
    /// `Manifest::read` refuses an unknown basis, so the fallback is never used.
    pub fn basis(&self) -> Basis {
        Basis::parse(&self.basis).unwrap_or(Basis::Preliminary)
    }

    /// How well a name matches the group: its name in the job file, its name when observed, its ID or its key. `None` if it matches
    /// none of them.
    pub fn fit(&self, name: &GroupName) -> Option<Fit> {
        name.fit(&self.cohort_key, [&self.configured, &self.cohort_name])
    }

    /// The first entry that a name matches exactly, else the first with a similar name.
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
    fn an_exact_match_of_a_name_comes_before_similar_names() {
        let entry = |key: &str, name: &str| CohortEntry {
            cohort_key: key.to_string(),
            cohort_name: name.to_string(),
            configured: name.to_string(),
            basis: "month_end".to_string(),
            observed_at: DateTime::UNIX_EPOCH,
            members: 0,
            announced: None,
            created_at: None,
            updated_at: None,
        };
        let entries = [entry("tag:1", "VIP"), entry("tag:2", "vip"), entry("segment:3", "vip")];
        let named = |text: &str| CohortEntry::named(&entries, &GroupName::new(GroupKind::Tag, text)).map(|entry| entry.cohort_key.as_str());
        assert_eq!((named("VIP"), named("vip"), named("id:2")), (Some("tag:1"), Some("tag:2"), Some("tag:2")));
        assert_eq!((named("VIP\u{200b}"), named("VIPs")), (Some("tag:1"), None));
    }
}
