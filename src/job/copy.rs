//! Copies the archive of a job to another folder or bucket, for example as a backup. Nothing is removed, and nothing newer is replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::JobError;
use super::apply::PENDING_FILES;
use archive::snapshot::{Manifest, SnapshotError};
use archive::store::OldVersions;
use archive::{Archive, Copied, Section};
use domain::Month;

/// What became of a month, section by section, in the order in which they are copied.
#[derive(Debug, Default)]
pub struct CopiedMonths {
    pub months: BTreeMap<Month, Vec<(Section, Copied)>>,
}

impl CopiedMonths {
    /// Whether something was not copied, so that a person must decide what to do about it.
    pub fn has_open(&self) -> bool {
        self.months.values().flatten().any(|(_, copied)| copied.is_open())
    }
}

const SECTIONS: [Section; 4] = [Section::Snapshots, Section::History, Section::Reports, Section::Applied];

/// Copies all months. The caller must have the locks of both archives. Blocks.
///
/// # Errors
/// If one of the archives cannot be read or written, or if a `forget` is unfinished in one of them.
pub fn copy(from: &Archive, to: &Archive) -> Result<CopiedMonths, JobError> {
    for archive in [from, to] {
        if archive.journal()?.is_some() {
            return Err(JobError::ForgetUnfinished { place: archive.place() });
        }
    }
    check_kinship(from, to)?;
    let mut done = CopiedMonths::default();
    // Months whose snapshot was not copied. Their history and reports are not copied either, because they belong to the snapshot that was
    // not copied.
    let mut not_copied = BTreeSet::new();
    for section in SECTIONS {
        for month in from.months_of(section)? {
            let is_derived = matches!(section, Section::History | Section::Reports);
            let copied = if is_derived && not_copied.contains(&month) {
                Copied::Kept("its snapshot was not copied".to_string())
            } else {
                from.copy_month(section, month, to)?
            };
            if let Copied::New { bytes } | Copied::Replaced { bytes, .. } = copied {
                tracing::info!(bytes, "copied {}", from.location_of(section, month));
            }
            if section == Section::Snapshots && copied.is_open() {
                not_copied.insert(month);
            }
            done.months.entry(month).or_default().push((section, copied));
        }
    }
    from.copy_files(&PENDING_FILES, to)?;
    // A replaced month may have contained a person who was forgotten here. Old versions of the replaced files still contain this person.
    let forgets = |(_, copied): &(Section, Copied)| matches!(copied, Copied::Replaced { forgets: true, .. });
    if done.months.values().flatten().any(forgets) {
        match to.purge()? {
            OldVersions::Removed(versions) => {
                tracing::info!("people who were forgotten were removed there too, with {versions} old versions")
            }
            OldVersions::Unknown(advice) => tracing::warn!("people who were forgotten may still be in old versions there: {advice}"),
        }
    }
    Ok(done)
}

/// Checks that the newest months of both archives are of the same workspace, and write identifiers in the same way.
fn check_kinship(from: &Archive, to: &Archive) -> Result<(), JobError> {
    let newest = |archive: &Archive| -> Result<Option<(Month, Manifest)>, JobError> {
        for month in archive.months()?.into_iter().rev() {
            match archive.manifest(Section::Snapshots, month) {
                Err(damage) if damage.is_unreachable() => return Err(SnapshotError::from(damage).into()),
                // A damaged month is reported when it is copied. Here, the next older month is used.
                read => {
                    if let Some(manifest) = read.ok().flatten().and_then(|read| read.parse().ok()) {
                        return Ok(Some((month, manifest)));
                    }
                }
            }
        }
        Ok(None)
    };
    let (Some((_, here)), Some((month, there))) = (newest(from)?, newest(to)?) else { return Ok(()) };
    let workspace = |manifest: &Manifest| manifest.workspace_id.clone().or_else(|| manifest.contact_workspace_id.clone());
    if let (Some(found), Some(published)) = (workspace(&here), workspace(&there))
        && found != published
    {
        return Err(JobError::OtherCopy {
            place: to.place(),
            what: format!("are of the workspace `{published}`; those here of `{found}`"),
        });
    }
    if here.identifiers != there.identifiers {
        let what = format!("write identifiers as `{}` ({month}); those here as `{}`", there.identifiers, here.identifiers);
        return Err(JobError::OtherCopy { place: to.place(), what });
    }
    Ok(())
}
