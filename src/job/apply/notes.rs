//! The record of the tags that this job added: one for each month with its manifest, and the pending contacts of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Applied;
use crate::{Context, JobError, JobFolder};
use archive::publish::{self, Damage, ListedFile, ListedFiles, Staging};
use archive::snapshot::{SnapshotError, month_folder, months_in};
use archive::table::{self, Kind, Table, TableError, read_bundle, scan_or_empty, write_bundle, write_parquet};
use domain::Month;

const TAGGED: Table = Table {
    name: "tagged",
    row: "a contact that carries a rule's tag because this job put it on",
    key: &["rule", "contact_id"],
    columns: &[
        table::Column::new("rule", Kind::Text, "the rule's name"),
        table::Column::new("tag_id", Kind::Text, "Intercom's id of the tag"),
        table::Column::new("contact_id", Kind::Contact, "Intercom's id of the contact"),
    ],
};

const PENDING: Table = Table {
    name: "pending",
    row: "a contact that a run was allowed to put a rule's tag on, and that is not settled yet",
    key: &["rule", "contact_id"],
    columns: &[
        table::Column::new("rule", Kind::Text, "the rule's name"),
        table::Column::new("contact_id", Kind::Contact, "Intercom's id of the contact"),
        table::Column::new("may_carry", Kind::Flag, "whether it may carry the tag by this job's doing: it was sent, or was about to be"),
    ],
};

const FORMAT: u32 = 1;

const TAGGED_FILE: &str = "tagged.parquet";
/// Beside the months: [`archive::table::write_bundle`].
const PENDING_FILE: &str = "pending.arrows";

/// The tags written to Intercom for a month, and (`tagged.parquet`) those that this job may remove.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AppliedManifest {
    format: u32,
    job: String,
    month: String,
    runs: Vec<AppliedRun>,
    files: Vec<ListedFile>,
}

/// One run that changed tags, or tried to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AppliedRun {
    applied_at: DateTime<Utc>,
    program_version: String,
    rules: Vec<Applied>,
}

/// The contacts that this job tagged: by rule and contact, the tag's ID.
pub(super) type Tagged = BTreeMap<(String, String), String>;

/// Contacts that a run was allowed to tag and whose result is unknown: by rule and contact, whether they may have the tag now.
pub(super) type Pending = BTreeMap<(String, String), bool>;

/// The contacts that this job has tagged, from the newest month with applied tags.
pub(super) fn applied_before(folder: &JobFolder) -> Result<Tagged, JobError> {
    let Some(newest) = months_in(&folder.applied())?.into_iter().max() else { return Ok(Tagged::new()) };
    read_applied(folder, newest).map(|(_, tagged)| tagged)
}

/// A month's record of tags.
///
/// # Errors
/// If it is damaged.
fn read_applied(folder: &JobFolder, month: Month) -> Result<(AppliedManifest, Tagged), JobError> {
    let (manifest, files) = open_applied(folder, month).map_err(JobError::DamagedApplied)?;
    let paths = files.verified(|path| path == TAGGED_FILE).map_err(JobError::DamagedApplied)?;
    let tagged = paths.iter().map(|path| read_tagged(path)).collect::<Result<Vec<_>, _>>()?;
    Ok((manifest, tagged.into_iter().flatten().collect()))
}

fn open_applied(folder: &JobFolder, month: Month) -> Result<(AppliedManifest, ListedFiles), Damage> {
    let target = folder.applied().join(month_folder(month));
    let damage = |problem: &str| Damage { folder: target.clone(), problem: format!("its {} {problem}", publish::MANIFEST) };
    let read = publish::read_manifest(&target)?.ok_or_else(|| damage("is gone"))?;
    let manifest: AppliedManifest = read.parse().map_err(|_| damage("cannot be understood"))?;
    let files = ListedFiles::new(&target, &manifest.files)?;
    Ok((manifest, files))
}

/// Damage in the records of tags, by month.
pub(crate) fn problems(folder: &JobFolder, reads_all: bool) -> Result<Vec<(Month, String)>, JobError> {
    let mut problems = Vec::new();
    for month in months_in(&folder.applied())? {
        match open_applied(folder, month) {
            Ok((_, files)) => problems.extend(files.problems(reads_all).into_iter().map(|problem| (month, problem))),
            Err(damage) => problems.push((month, damage.problem)),
        }
    }
    Ok(problems)
}

pub(super) fn publish_applied(
    context: &Context,
    folder: &JobFolder,
    month: Month,
    rules: Vec<Applied>,
    tagged: &Tagged,
) -> Result<(), JobError> {
    let target = folder.applied().join(month_folder(month));
    let mut runs = if target.exists() { read_applied(folder, month)?.0.runs } else { Vec::new() };
    runs.push(AppliedRun { applied_at: (context.clock)(), program_version: env!("CARGO_PKG_VERSION").to_string(), rules });
    let job = context.settings.job.name.clone();
    let manifest = AppliedManifest { format: FORMAT, job, month: month.to_string(), runs, files: Vec::new() };
    write_applied(folder, month, manifest, tagged)
}

/// Publishes a month's record of tags, and replaces the existing one.
fn write_applied(folder: &JobFolder, month: Month, mut manifest: AppliedManifest, tagged: &Tagged) -> Result<(), JobError> {
    let staging = Staging::new(&folder.work(), &format!("applied-{month}"))?;
    let rows = write_tagged(tagged, &staging.place(TAGGED_FILE)?)?;
    staging.list(TAGGED_FILE, rows)?;
    manifest.files = staging.files();
    staging.commit(&folder.applied().join(month_folder(month)), &manifest)?;
    Ok(())
}

/// Removes persons from the records of tags. Returns whether they were in it, and the damaged records, which are not changed.
pub(crate) fn forget(folder: &JobFolder, people: &BTreeSet<String>) -> Result<(bool, Vec<(Month, String)>), JobError> {
    let (mut found, mut damaged) = (false, Vec::new());
    let mut pending = read_pending(folder)?;
    if pending.keys().any(|(_, contact)| people.contains(contact)) {
        pending.retain(|(_, contact), _| !people.contains(contact));
        write_pending(folder, &pending)?;
        found = true;
    }
    for month in months_in(&folder.applied())? {
        let (manifest, mut tagged) = match read_applied(folder, month) {
            Ok(applied) => applied,
            Err(JobError::DamagedApplied(damage)) => {
                damaged.push((month, damage.problem));
                continue;
            }
            Err(error) => return Err(error),
        };
        if tagged.keys().any(|(_, contact)| people.contains(contact)) {
            tagged.retain(|(_, contact), _| !people.contains(contact));
            write_applied(folder, month, manifest, &tagged)?;
            found = true;
        }
    }
    Ok((found, damaged))
}

/// Saves the pending contacts of a run. If there are none, there is no file.
pub(super) fn write_pending(folder: &JobFolder, pending: &Pending) -> Result<(), JobError> {
    publish::remove_file(&old_pending(folder))?;
    if pending.is_empty() {
        return Ok(publish::remove_file(&folder.pending())?);
    }
    publish::create_folder(&folder.applied())?;
    let staging = Staging::new(&folder.work(), "pending")?;
    write_pending_table(pending, &staging.place(PENDING_FILE)?)?;
    Ok(staging.commit_file(PENDING_FILE, &folder.pending())?)
}

fn write_tagged(tagged: &Tagged, path: &Path) -> Result<u64, JobError> {
    let columns = vec![
        Column::new("rule".into(), tagged.keys().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>()),
        Column::new("tag_id".into(), tagged.values().map(String::as_str).collect::<Vec<_>>()),
        Column::new("contact_id".into(), tagged.keys().map(|(_, contact)| contact.as_str()).collect::<Vec<_>>()),
    ];
    let frame = DataFrame::new(tagged.len(), columns).map_err(|error| unreadable("make", path, error))?;
    Ok(write_parquet(&frame, &TAGGED, path).map_err(SnapshotError::from)?)
}

fn write_pending_table(pending: &Pending, path: &Path) -> Result<(), JobError> {
    let columns = vec![
        Column::new("rule".into(), pending.keys().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>()),
        Column::new("contact_id".into(), pending.keys().map(|(_, contact)| contact.as_str()).collect::<Vec<_>>()),
        Column::new("may_carry".into(), pending.values().copied().collect::<Vec<bool>>()),
    ];
    let frame = DataFrame::new(pending.len(), columns).map_err(|error| unreadable("make", path, error))?;
    Ok(write_bundle(&[frame], &[&PENDING], path).map_err(SnapshotError::from)?)
}

/// The pending contacts; empty if there is no file.
///
/// # Errors
/// If the file is damaged.
pub(super) fn read_pending(folder: &JobFolder) -> Result<Pending, JobError> {
    let (path, old_path) = (folder.pending(), old_pending(folder));
    let failed = |error| unreadable("read", &path, error);
    let damage = |error: TableError| {
        JobError::DamagedApplied(Damage { folder: folder.applied(), problem: format!("`{PENDING_FILE}` cannot be read ({error})") })
    };
    let rows = if path.exists() {
        read_bundle(&path, &[&PENDING]).map_err(damage)?.swap_remove(0)
    } else if old_path.exists() {
        scan_or_empty(&[old_path], &PENDING).map_err(SnapshotError::from)?.collect().map_err(failed)?
    } else {
        return Ok(Pending::new());
    };
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let (rules, contacts) = (text("rule")?, text("contact_id")?);
    let may_carry = rows.column("may_carry").and_then(|column| column.bool()).map_err(failed)?;
    let row = |row: usize| Some(((rules.get(row)?.to_string(), contacts.get(row)?.to_string()), may_carry.get(row)?));
    Ok((0..rows.height()).filter_map(row).collect())
}

/// The file of pending contacts in programs before 2026-12.
fn old_pending(folder: &JobFolder) -> PathBuf {
    folder.applied().join("pending.parquet")
}

fn read_tagged(path: &Path) -> Result<Tagged, JobError> {
    let failed = |error| unreadable("read", path, error);
    let rows = scan_or_empty(&[path.to_path_buf()], &TAGGED).map_err(SnapshotError::from)?.collect().map_err(failed)?;
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let (rules, tags, contacts) = (text("rule")?, text("tag_id")?, text("contact_id")?);
    let row = |row: usize| Some(((rules.get(row)?.to_string(), contacts.get(row)?.to_string()), tags.get(row)?.to_string()));
    Ok((0..rows.height()).filter_map(row).collect())
}

fn unreadable(action: &'static str, path: &Path, error: PolarsError) -> JobError {
    SnapshotError::from(TableError::new(action, format!("`{}`", path.display()), error)).into()
}
