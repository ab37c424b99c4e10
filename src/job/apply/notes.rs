//! The record of the tags that this job added: a table and a manifest for each month, and a file with the pending contacts of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::Applied;
use crate::{Context, JobError};
use archive::publish::{ListedFile, MANIFEST};
use archive::snapshot::SnapshotError;
use archive::store::{Damage, ListedFiles};
use archive::table::{self, Kind, Table, TableError, read_bundle, scan_or_empty, write_bundle, write_parquet};
use archive::{Archive, Section};
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
/// The file with the pending contacts, in `applied/` next to the folders of the months. [`archive::table::write_bundle`] writes it.
const PENDING_FILE: &str = "pending.arrows";
/// The name of the file with the pending contacts in programs before 2026-12.
const OLD_PENDING_FILE: &str = "pending.parquet";
/// The files in `applied/` that belong to no month.
pub(crate) const PENDING_FILES: [&str; 2] = [PENDING_FILE, OLD_PENDING_FILE];

/// The tags written to Intercom for a month. The file `tagged.parquet` lists the tags that this job may remove.
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

/// The contacts that this job tagged: the tag's ID for each rule and contact.
pub(super) type Tagged = BTreeMap<(String, String), String>;

/// Contacts that a run was allowed to tag and that are not certainly tagged: for each rule and contact, whether the contact may have the
/// tag now.
pub(super) type Pending = BTreeMap<(String, String), bool>;

/// The contacts that this job has tagged, from the newest month with applied tags.
pub(super) fn applied_before(archive: &Archive) -> Result<Tagged, JobError> {
    let Some(newest) = archive.months_of(Section::Applied)?.into_iter().max() else { return Ok(Tagged::new()) };
    read_applied(archive, newest).map(|(_, tagged)| tagged)
}

/// A month's record of tags.
///
/// # Errors
/// If the record is damaged.
fn read_applied(archive: &Archive, month: Month) -> Result<(AppliedManifest, Tagged), JobError> {
    let (manifest, files) = open_applied(archive, month).map_err(JobError::DamagedApplied)?;
    let paths = files.verified(|path| path == TAGGED_FILE).map_err(JobError::DamagedApplied)?;
    let tagged = paths.iter().map(|path| read_tagged(path)).collect::<Result<Vec<_>, _>>()?;
    Ok((manifest, tagged.into_iter().flatten().collect()))
}

fn open_applied(archive: &Archive, month: Month) -> Result<(AppliedManifest, ListedFiles), Damage> {
    let gone = || archive.damage(Section::Applied, month, format!("its {MANIFEST} is gone"));
    let read = archive.manifest(Section::Applied, month)?.ok_or_else(gone)?;
    let manifest: AppliedManifest = read.parse().map_err(|_| read.damage("cannot be understood"))?;
    let files = read.files(&manifest.files)?;
    Ok((manifest, files))
}

/// Damage in the records of tags, by month.
pub(crate) fn problems(archive: &Archive, reads_all: bool) -> Result<Vec<(Month, String)>, JobError> {
    let mut problems = Vec::new();
    for month in archive.months_of(Section::Applied)? {
        match open_applied(archive, month) {
            Ok((_, files)) => {
                let found = files.problems(reads_all).map_err(JobError::DamagedApplied)?;
                problems.extend(found.into_iter().map(|problem| (month, problem)));
            }
            Err(damage) => problems.push((month, damage.problem)),
        }
    }
    Ok(problems)
}

pub(super) fn publish_applied(context: &Context, month: Month, rules: Vec<Applied>, tagged: &Tagged) -> Result<(), JobError> {
    let archive = &context.archive;
    let mut runs = if archive.months_of(Section::Applied)?.contains(&month) { read_applied(archive, month)?.0.runs } else { Vec::new() };
    runs.push(AppliedRun { applied_at: (context.clock)(), program_version: env!("CARGO_PKG_VERSION").to_string(), rules });
    let job = context.settings.job.name.clone();
    let manifest = AppliedManifest { format: FORMAT, job, month: month.to_string(), runs, files: Vec::new() };
    write_applied(archive, month, manifest, tagged)
}

/// Publishes a month's record of tags, and replaces the existing one.
fn write_applied(archive: &Archive, month: Month, mut manifest: AppliedManifest, tagged: &Tagged) -> Result<(), JobError> {
    let staging = archive.stage(Section::Applied, month)?;
    let rows = write_tagged(tagged, &staging.place(TAGGED_FILE)?)?;
    staging.list(TAGGED_FILE, rows)?;
    manifest.files = staging.files();
    archive.publish(Section::Applied, month, staging, &manifest)?;
    Ok(())
}

/// Removes persons from the records of tags. Returns whether the records contained any of them, and the damaged records, which are
/// not changed.
pub(crate) fn forget(archive: &Archive, people: &BTreeSet<String>) -> Result<(bool, Vec<(Month, String)>), JobError> {
    let (mut found, mut damaged) = (false, Vec::new());
    let mut pending = read_pending(archive)?;
    if pending.keys().any(|(_, contact)| people.contains(contact)) {
        pending.retain(|(_, contact), _| !people.contains(contact));
        write_pending(archive, &pending)?;
        found = true;
    }
    for month in archive.months_of(Section::Applied)? {
        let (manifest, mut tagged) = match read_applied(archive, month) {
            Ok(applied) => applied,
            Err(JobError::DamagedApplied(damage)) => {
                damaged.push((month, damage.problem));
                continue;
            }
            Err(error) => return Err(error),
        };
        if tagged.keys().any(|(_, contact)| people.contains(contact)) {
            tagged.retain(|(_, contact), _| !people.contains(contact));
            write_applied(archive, month, manifest, &tagged)?;
            found = true;
        }
    }
    Ok((found, damaged))
}

/// Saves the pending contacts of a run. If there are none, removes the file.
pub(super) fn write_pending(archive: &Archive, pending: &Pending) -> Result<(), JobError> {
    archive.remove_applied_file(OLD_PENDING_FILE)?;
    if pending.is_empty() {
        return Ok(archive.remove_applied_file(PENDING_FILE)?);
    }
    archive.publish_applied_file(PENDING_FILE, |path| write_pending_table(pending, path))
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
pub(super) fn read_pending(archive: &Archive) -> Result<Pending, JobError> {
    let failed = |error| unreadable("read", Path::new(PENDING_FILE), error);
    let damage = |error: TableError| {
        let problem = format!("`{PENDING_FILE}` cannot be read ({error})");
        JobError::DamagedApplied(Damage::new(archive.location(Section::Applied).into(), problem))
    };
    let rows = if let Some(path) = archive.applied_file(PENDING_FILE)? {
        read_bundle(&path, &[&PENDING]).map_err(damage)?.swap_remove(0)
    } else if let Some(path) = archive.applied_file(OLD_PENDING_FILE)? {
        scan_or_empty(&[path], &PENDING).map_err(SnapshotError::from)?.collect().map_err(failed)?
    } else {
        return Ok(Pending::new());
    };
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let (rules, contacts) = (text("rule")?, text("contact_id")?);
    let may_carry = rows.column("may_carry").and_then(|column| column.bool()).map_err(failed)?;
    let row = |row: usize| Some(((rules.get(row)?.to_string(), contacts.get(row)?.to_string()), may_carry.get(row)?));
    Ok((0..rows.height()).filter_map(row).collect())
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
