//! Copies the months of a job to another place, with the bytes of their manifests.

use serde_json::Value;

use super::{Archive, ArchiveError, INDEX, Section, applied, month_path};
use crate::publish::{self, ListedFile, MANIFEST, Staging};
use crate::store::{Damage, Problem, ReadManifest};
use domain::Month;

/// What became of a month of one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// It was there already.
    Same,
    /// It was not there.
    New { bytes: u64 },
    /// It replaced an older or a damaged one: why.
    Replaced { bytes: u64, why: String },
    /// What is there is kept: why.
    Kept(String),
    /// It was not copied, because it is damaged here.
    Damaged(String),
}

impl Copied {
    /// Whether something is left that a person must decide.
    pub fn is_open(&self) -> bool {
        matches!(self, Copied::Kept(_) | Copied::Damaged(_))
    }
}

/// What of a manifest decides which of two is newer.
#[derive(Debug)]
struct Age<'a>(&'a Value);

impl Archive {
    /// Copies a month of a section. Every file is compared with its hash here, and again where it was written. The caller must have the
    /// locks of both.
    ///
    /// # Errors
    /// If one of the places cannot be read or written.
    pub fn copy_month(&self, section: Section, month: Month, to: &Archive) -> Result<Copied, ArchiveError> {
        let folder = month_path(section, month);
        let source = match open(self, &folder) {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(Copied::Damaged(format!("its {MANIFEST} is missing"))),
            Err(damage) if damage.is_unreachable => return Err(damage.into()),
            Err(damage) => return Ok(Copied::Damaged(damage.problem)),
        };
        let why = match open(to, &folder) {
            Ok(None) => None,
            Ok(Some(target)) if target.hash == source.hash => match target.missing(to, &folder) {
                None => return Ok(Copied::Same),
                problem => problem,
            },
            Ok(Some(target)) => match Age(&source.value).reason_to_keep(section, &Age(&target.value)) {
                Some(reason) => return Ok(Copied::Kept(reason)),
                None => Some("it was older".to_string()),
            },
            Err(damage) if damage.is_unreachable => return Err(damage.into()),
            Err(damage) => Some(damage.problem),
        };
        let staging = Staging::new(&to.store.staging(), &format!("copy-{}-{month}", section.name()))?;
        for file in &source.files {
            match self.store.fetch(&folder, file) {
                Ok(()) => {}
                Err(Problem::Damage(problem)) => return Ok(Copied::Damaged(problem)),
                Err(Problem::Unreachable(problem)) => return Err(unreachable(self, &folder, problem)),
            }
            publish::copy_file(&self.store.local_path(&folder, file), &staging.place(&file.path)?)?;
            staging.list(&file.path, file.rows)?;
        }
        publish::write_file(&staging.place(MANIFEST)?, &source.bytes)?;
        to.store.publish(staging, &folder)?;
        for file in &source.files {
            match to.store.verify(&folder, file) {
                Ok(()) => {}
                Err(Problem::Damage(problem)) => return Err(Damage::new(to.store.shown(&folder), problem).into()),
                Err(Problem::Unreachable(problem)) => return Err(unreachable(to, &folder, problem)),
            }
        }
        let bytes = source.files.iter().map(|file| file.bytes).sum::<u64>() + source.bytes.len() as u64;
        Ok(why.map_or(Copied::New { bytes }, |why| Copied::Replaced { bytes, why }))
    }

    /// Copies the page of the months and the files of `applied/` that belong to no month.
    ///
    /// # Errors
    /// If one of the places cannot be read or written.
    pub fn copy_files(&self, applied_names: &[&str], to: &Archive) -> Result<(), ArchiveError> {
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

/// A manifest with its files.
struct Source {
    bytes: Vec<u8>,
    hash: String,
    value: Value,
    files: Vec<ListedFile>,
}

impl Source {
    /// The problem of the files in a place that has this manifest.
    fn missing(&self, archive: &Archive, folder: &str) -> Option<String> {
        self.files.iter().find_map(|file| archive.store.misses(folder, file)).map(|problem| problem.to_string())
    }
}

fn open(archive: &Archive, folder: &str) -> Result<Option<Source>, Damage> {
    let Some(read) = ReadManifest::open(&archive.store, folder)? else { return Ok(None) };
    let not_understood = |_| read.damage("cannot be understood");
    let value: Value = read.parse().map_err(not_understood)?;
    let files = value.get("files").cloned().unwrap_or(Value::Array(Vec::new()));
    let files: Vec<ListedFile> = serde_json::from_value(files).map_err(not_understood)?;
    // Refuses paths that lead out of the folder.
    read.files(&files)?;
    let (bytes, hash) = (read.bytes().to_vec(), read.hash.clone());
    Ok(Some(Source { bytes, hash, value, files }))
}

fn unreachable(archive: &Archive, folder: &str, problem: String) -> ArchiveError {
    Damage { is_unreachable: true, ..Damage::new(archive.store.shown(folder), problem) }.into()
}

impl From<Damage> for ArchiveError {
    fn from(damage: Damage) -> ArchiveError {
        ArchiveError::Snapshot(damage.into())
    }
}

impl Age<'_> {
    /// Why another month of the same name must not be replaced by this one.
    fn reason_to_keep(&self, section: Section, other: &Age<'_>) -> Option<String> {
        if other.number("/format") > self.number("/format") {
            return Some("it is of a newer format".to_string());
        }
        match section {
            Section::Snapshots => {
                let [this, that] = [self, other].map(|age| age.text("/observed_at"));
                if that > this {
                    return Some(format!("it was observed later, at {that}"));
                }
                if that < this {
                    return None;
                }
                let [this, that] = [self, other].map(|age| age.number("/forgotten"));
                (that > this).then(|| format!("{that} people were removed from it on request (`cohorts forget`), and only {this} here"))
            }
            Section::Applied => {
                let [this, that] = [self, other].map(Age::last_applied);
                (that > this).then(|| format!("tags were applied later, at {that}"))
            }
            // They are derived: they follow their snapshots.
            Section::History | Section::Reports => None,
        }
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
