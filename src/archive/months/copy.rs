//! Copies the months of a job to another location. Manifests are copied byte for byte.

use serde_json::Value;

use super::{Archive, ArchiveError, INDEX, Section, applied, month_path};
use crate::publish::{self, Checksum, ListedFile, MANIFEST, PublishError, Staging};
use crate::store::{Damage, ListedFiles, ReadManifest};
use domain::{Basis, Month};

/// What became of a month of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The target has it already, and it is undamaged in the source and in the target.
    Same,
    /// The target did not have it.
    New { bytes: u64 },
    /// It replaced the target's month, for the reason `why`. `forgets`: more people were removed from it than from the replaced month.
    Replaced { bytes: u64, why: String, forgets: bool },
    /// It was not copied, and the target stays unchanged: the reason.
    Kept(String),
    /// It is damaged in the source, or the copy in the target is damaged: the problem.
    Damaged(String),
}

impl Copied {
    /// Whether something is left that a person must decide.
    pub fn is_open(&self) -> bool {
        matches!(self, Copied::Kept(_) | Copied::Damaged(_))
    }
}

impl Archive {
    /// Copies a month of a section. Every file is compared with its hash on both sides. The caller must have the locks of both archives.
    ///
    /// # Errors
    /// If one of the archives cannot be read or written.
    pub fn copy_month(&self, section: Section, month: Month, to: &Archive) -> Result<Copied, ArchiveError> {
        let folder = month_path(section, month);
        let source = match Opened::of(self, &folder) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(Copied::Damaged(format!("its {MANIFEST} is missing"))),
            Err(damage) => return damaged(damage, Copied::Damaged),
        };
        let (why, forgets) = match Opened::of(to, &folder) {
            Ok(None) => (None, false),
            Ok(Some(target)) if target.read.hash == source.read.hash => match target.listed.verify_in_place() {
                Ok(()) => {
                    let verified = source.listed.verify_in_place();
                    return verified.map_or_else(|damage| damaged(damage, Copied::Damaged), |()| Ok(Copied::Same));
                }
                Err(damage) if damage.is_unreachable() => return Err(damage.into()),
                Err(damage) => (Some(format!("it was damaged there: {}", damage.problem)), false),
            },
            Ok(Some(target)) => {
                let (this, that) = (Age(&source.value), Age(&target.value));
                if let Some(reason) = this.reason_to_keep(section, &that) {
                    return Ok(Copied::Kept(reason));
                }
                let why = match section {
                    Section::Snapshots | Section::Applied => "it was older there",
                    Section::History | Section::Reports => "it was another one there",
                };
                (Some(why.to_string()), this.number("/forgotten") > that.number("/forgotten"))
            }
            Err(damage) if damage.is_unreachable() => return Err(damage.into()),
            Err(damage) => (Some(format!("it was damaged there: {}", damage.problem)), false),
        };
        if source.files.iter().any(|file| matches!(file.checksum, Checksum::Etag(_)) && file.checksum.md5().is_none()) {
            let reason = "an engine wrote it, and this bucket gives checksums that no other place can compare; it is built there anew";
            return Ok(Copied::Kept(reason.to_string()));
        }
        // A cached copy on this machine must not hide that the original is damaged.
        let paths = match source.listed.verify_in_place().and_then(|()| source.listed.verified(|_| true)) {
            Ok(paths) => paths,
            Err(damage) => return damaged(damage, Copied::Damaged),
        };
        let staging = Staging::new(&to.store.staging(), &format!("copy-{}-{month}", section.name()))?;
        for (file, path) in source.files.iter().zip(paths) {
            // The bytes are copied, not linked: with a link, damage to one of the two files would be damage to both.
            let place = staging.place(&file.path)?;
            publish::copy_bytes(&path, &place)?;
            staging.list(&file.path, file.rows)?;
        }
        publish::write_file(&staging.place(MANIFEST)?, source.read.bytes())?;
        to.store.publish(staging, &folder)?;
        if let Err(damage) = ListedFiles::just_written(&to.store, &folder, source.files.clone()).verify_in_place() {
            return damaged(damage, |problem| Copied::Damaged(format!("what was written there differs: {problem}")));
        }
        let bytes = source.files.iter().map(|file| file.bytes).sum::<u64>() + source.read.bytes().len() as u64;
        Ok(why.map_or(Copied::New { bytes }, |why| Copied::Replaced { bytes, why, forgets }))
    }

    /// Copies the page of the months and the files of `applied/` that belong to no month.
    ///
    /// # Errors
    /// If one of the archives cannot be read or written.
    pub fn copy_files(&self, applied_names: &[&str], to: &Archive) -> Result<(), PublishError> {
        let names = applied_names.iter().map(|name| applied(name)).chain([INDEX.to_string()]);
        for path in names {
            if let Some(bytes) = self.store.read(&path)?
                && to.store.read(&path)?.as_ref() != Some(&bytes)
            {
                to.store.write(&path, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Damage is a result of the copy. If a month could not be read, nothing is known about it, so this is an error.
fn damaged(damage: Damage, copied: impl FnOnce(String) -> Copied) -> Result<Copied, ArchiveError> {
    if damage.is_unreachable() { Err(damage.into()) } else { Ok(copied(damage.problem)) }
}

/// A manifest with its files.
struct Opened {
    read: ReadManifest,
    value: Value,
    files: Vec<ListedFile>,
    listed: ListedFiles,
}

impl Opened {
    fn of(archive: &Archive, folder: &str) -> Result<Option<Opened>, Damage> {
        let Some(read) = ReadManifest::open(&archive.store, folder)? else { return Ok(None) };
        let not_understood = |_| read.damage("cannot be understood");
        let value: Value = read.parse().map_err(not_understood)?;
        let files = value.get("files").cloned().unwrap_or(Value::Array(Vec::new()));
        let files: Vec<ListedFile> = serde_json::from_value(files).map_err(not_understood)?;
        let listed = read.files(&files)?;
        Ok(Some(Opened { read, value, files, listed }))
    }
}

impl From<Damage> for ArchiveError {
    fn from(damage: Damage) -> ArchiveError {
        ArchiveError::Snapshot(damage.into())
    }
}

/// A manifest. Its fields decide which of two copies of a month is newer.
#[derive(Debug)]
struct Age<'a>(&'a Value);

impl Age<'_> {
    /// Why this month must not replace `other`, another copy of the same month; `None` if it may.
    fn reason_to_keep(&self, section: Section, other: &Age<'_>) -> Option<String> {
        if other.number("/format") > self.number("/format") {
            return Some("it is of a newer format".to_string());
        }
        match section {
            Section::Snapshots => self.snapshot_to_keep(other),
            Section::Applied => {
                let [this, that] = [self, other].map(Age::last_applied);
                (that > this).then(|| format!("tags were applied later there, at {that}"))
            }
            // History and reports are derived from snapshots, so a copy may always replace them.
            Section::History | Section::Reports => None,
        }
    }

    /// Compares basis, completeness, time of observation and number of removed people, in this order. The first difference decides. A
    /// snapshot must not replace a snapshot with a higher basis, a complete snapshot if it is incomplete itself, a later observation, or a
    /// snapshot from which more people were removed.
    fn snapshot_to_keep(&self, other: &Age<'_>) -> Option<String> {
        let [this, that] = [self, other].map(|age| Basis::parse(&age.text("/basis")));
        if that != this {
            return (that > this)
                .then(|| format!("it is of basis `{}` there, and only `{}` here", other.text("/basis"), self.text("/basis")));
        }
        let [this, that] =
            [self, other].map(|age| age.0.pointer("/incomplete").and_then(Value::as_array).is_some_and(|keys| !keys.is_empty()));
        if this != that {
            return this.then(|| "it is complete there, and incomplete here".to_string());
        }
        let [this, that] = [self, other].map(|age| age.text("/observed_at"));
        if that != this {
            return (that > this).then(|| format!("it was observed later there, at {that}"));
        }
        let [this, that] = [self, other].map(|age| age.number("/forgotten"));
        (that > this).then(|| format!("{that} people were removed from it there on request (`cohorts forget`), and only {this} here"))
    }

    fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    fn text(&self, pointer: &str) -> String {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string()
    }

    fn last_applied(&self) -> String {
        let runs = self.0.pointer("/runs").and_then(Value::as_array);
        let instants = runs.into_iter().flatten().filter_map(|run| run.get("applied_at")?.as_str());
        instants.max().unwrap_or_default().to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_older_month_replaces_none() {
        let is_kept = |section: Section, this: Value, that: Value| Age(&this).reason_to_keep(section, &Age(&that)).is_some();
        let observed = |at: &str, forgotten: u64| json!({"format": 1, "observed_at": at, "forgotten": forgotten});
        let (early, late) = ("2026-10-01T01:00:00Z", "2026-10-02T01:00:00Z");
        let of_basis = |basis: &str, at: &str, incomplete: &[&str]| json!({"basis": basis, "observed_at": at, "incomplete": incomplete});
        let (whole, later): (&[&str], _) = (&[], "2026-12-01T01:00:00Z");
        assert!(is_kept(Section::Snapshots, of_basis("late", later, whole), of_basis("month_end", early, whole)));
        assert!(!is_kept(Section::Snapshots, of_basis("month_end", early, whole), of_basis("late", later, whole)));
        assert!(is_kept(Section::Snapshots, of_basis("late", later, &["tag:1"]), of_basis("late", early, whole)));
        assert!(!is_kept(Section::Snapshots, of_basis("late", early, whole), of_basis("late", later, &["tag:1"])));
        assert!(is_kept(Section::Snapshots, observed(early, 0), observed(late, 0)));
        assert!(!is_kept(Section::Snapshots, observed(late, 0), observed(early, 0)));
        assert!(is_kept(Section::Snapshots, observed(early, 1), observed(early, 2)), "nobody comes back");
        assert!(!is_kept(Section::Snapshots, observed(early, 2), observed(early, 1)));
        let runs = |at: &[&str]| json!({"format": 1, "runs": at.iter().map(|at| json!({"applied_at": at})).collect::<Vec<_>>()});
        assert!(
            is_kept(Section::Applied, runs(&[early]), runs(&[early, late])) && !is_kept(Section::Applied, runs(&[late]), runs(&[early]))
        );
        assert!(is_kept(Section::Reports, json!({"format": 1}), json!({"format": 2})));
        assert!(!is_kept(Section::History, json!({"format": 2}), json!({"format": 1})));
    }
}
