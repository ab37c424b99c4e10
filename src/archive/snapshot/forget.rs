//! Removes people from published snapshots and from the streams of unfinished work. A folder that contains a person is
//! written again without the person and replaces the old one in one step. Other folders stay unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use polars::prelude::*;

use super::answers::is_of_answers;
use super::chunks::tables_of;
use super::manifest::FORGOTTEN;
use super::record::{edit_records, load_progress, load_stream};
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTIONS, VANISHED};
use super::{Finding, Manifest, Snapshot, SnapshotError, StreamRecord};
use crate::publish::{self, PublishError, Staging};
use crate::table::{Table, TableError, read_bundle, read_bundled, scan, write_bundle, write_parquet};

/// The rows of a file in two parts: the rows about certain people, and all other rows. The other rows no longer name these people.
struct Parted {
    about: DataFrame,
    others: DataFrame,
    /// The people who were named in the other rows.
    named: BTreeSet<String>,
}

/// The snapshot without these people, ready to replace the old one; `None` if it contains none of them.
///
/// # Errors
/// When the snapshot is damaged. A new manifest would hide the damage.
pub(crate) fn without_people(
    snapshot: &Snapshot,
    people: &BTreeSet<String>,
    stage: impl FnOnce() -> Result<Staging, PublishError>,
) -> Result<Option<(Staging, Manifest)>, SnapshotError> {
    snapshot.verify()?;
    let mut manifest = snapshot.manifest.clone();
    let mut parted = BTreeMap::new();
    let mut found = BTreeSet::new();
    for file in &manifest.files {
        let Some(table) = table_of(&file.path) else { continue };
        let rows = collect(scan(&[snapshot.file(file)?], table)?)?;
        let Some(rows) = parted_rows(&rows, table, people)? else { continue };
        found.extend(texts(&rows.about, person_column(table))?);
        found.extend(rows.named.iter().cloned());
        if table.name == MEMBERS.name {
            for key in texts(&rows.about, "cohort_key")? {
                if let Some(cohort) = manifest.cohorts.iter_mut().find(|cohort| cohort.cohort_key == key) {
                    cohort.members = cohort.members.saturating_sub(1);
                }
            }
        }
        parted.insert(file.path.clone(), (table, rows.others));
    }
    if found.is_empty() {
        return Ok(None);
    }
    let staging = stage()?;
    for file in &manifest.files {
        let place = staging.place(&file.name())?;
        let rows = match parted.remove(&file.path) {
            Some((table, others)) => write_parquet(&sorted(others, table)?, table, &place)?,
            None => {
                publish::copy_file(&snapshot.file(file)?, &place)?;
                file.rows
            }
        };
        staging.list(&file.name(), rows)?;
    }
    manifest.files = staging.files();
    manifest.forgotten += found.len() as u64;
    manifest.findings.retain(|finding| finding.check_name != FORGOTTEN);
    manifest.findings.push(Finding::forgotten(manifest.forgotten));
    Ok(Some((staging, manifest)))
}

/// Replaces a stream of unfinished work by a stream without these people. Returns whether it contained any of them.
///
/// Removes files that no later run can use: chunks that the stream's record does not count (a crash left them), Parquet files of an earlier
/// version, and chunks of answers that cannot be read. If any other chunk cannot be read, removes the whole stream and returns true.
pub(crate) fn forget_in_stream(stream: &Path, people: &BTreeSet<String>, work: &Path) -> Result<bool, SnapshotError> {
    let chunks = load_stream(stream).or_else(|| load_progress(stream).map(|progress| progress.record)).map_or(0, |record| record.chunks);
    let mut parted = BTreeMap::new();
    let mut rows_gone = BTreeSet::new();
    for name in publish::file_names(stream)? {
        let path = stream.join(&name);
        let is_of_answers = tables_of(&name).is_some_and(|(bundle, _)| is_of_answers(bundle));
        // No record counts the chunks of answers, so none of them is left over, whatever its number. An earlier version of the program
        // wrote answers as Parquet; no run reads those files any more.
        let is_left_over = tables_of(&name).is_some_and(|(_, index)| index >= chunks) && !is_of_answers;
        if is_left_over || name.ends_with(".parquet") {
            publish::remove_file(&path)?;
            continue;
        }
        let tables = match tables_in(&path, &name) {
            Ok(tables) => tables,
            Err(_) if is_of_answers => {
                publish::remove_file(&path)?;
                continue;
            }
            Err(_) => {
                publish::remove_folder(stream)?;
                return Ok(true);
            }
        };
        let mut is_about_them = false;
        let mut others = Vec::new();
        for (table, rows) in tables {
            let parted = parted_rows(&rows, table, people)?;
            if let Some(rows) = &parted {
                is_about_them = true;
                match table.name {
                    "contacts" | "held" => rows_gone.extend(texts(&rows.about, "contact_id")?),
                    "conversations" => rows_gone.extend(texts(&rows.about, "conversation_id")?),
                    _ => {}
                }
            }
            others.push(parted.map_or(rows, |parted| parted.others));
        }
        if is_about_them {
            parted.insert(name, others);
        }
    }
    if parted.is_empty() {
        return Ok(false);
    }
    let staging = Staging::new(work, "forget-walk")?;
    for name in publish::file_names(stream)? {
        let place = staging.place(&name)?;
        match (parted.remove(&name), tables_of(&name)) {
            (Some(others), Some((bundle, _))) => write_bundle(&others, bundle, &place)?,
            _ => publish::copy_file(&stream.join(&name), &place)?,
        }
        publish::sync_file(&place)?;
    }
    let gone = rows_gone.len() as u64;
    edit_records(staging.folder(), load_stream(stream), load_progress(stream), |record: &mut StreamRecord| {
        record.rows = record.rows.saturating_sub(gone);
        record.forgotten += gone;
    })?;
    staging.replace(stream)?;
    Ok(true)
}

/// The IDs of the people whose stored e-mail address matches, from a snapshot's files of contacts.
pub fn people_with_email(files: &[std::path::PathBuf], is_it: &dyn Fn(&str) -> bool) -> Result<BTreeSet<String>, SnapshotError> {
    let mut found = BTreeSet::new();
    for file in files {
        let rows = collect(scan(std::slice::from_ref(file), &CONTACTS)?.select([col("contact_id"), col("email")]))?;
        found.extend(with_email(&rows, is_it)?);
    }
    Ok(found)
}

/// The contacts that were merged, each with the contact into which it was merged.
pub fn merged(snapshot: &Snapshot) -> Result<Vec<(String, String)>, SnapshotError> {
    let rows = collect(snapshot.scan(&VANISHED)?)?;
    let column = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(reading);
    let pairs = column("contact_id")?.iter().zip(column("merged_into")?.iter());
    Ok(pairs.filter_map(|(from, into)| Some((from?.to_string(), into?.to_string()))).collect())
}

/// The same as `people_with_email`, for a stream of unfinished work. Skips files that cannot be read, because no later run can read
/// them.
pub(crate) fn people_in_stream_with_email(stream: &Path, is_it: &dyn Fn(&str) -> bool) -> Result<BTreeSet<String>, SnapshotError> {
    let mut found = BTreeSet::new();
    for name in publish::file_names(stream)? {
        let bundle = tables_of(&name).map(|(bundle, _)| bundle).filter(|bundle| bundle[0].name == CONTACTS.name);
        let rows = bundle.map(|bundle| read_bundled(&stream.join(&name), bundle, &CONTACTS, Some(&["contact_id", "email"])));
        if let Some(Ok(rows)) = rows {
            found.extend(with_email(&rows, is_it)?);
        }
    }
    Ok(found)
}

fn with_email(rows: &DataFrame, is_it: &dyn Fn(&str) -> bool) -> Result<Vec<String>, SnapshotError> {
    let column = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(reading);
    let pairs = column("contact_id")?.iter().zip(column("email")?.iter());
    Ok(pairs.filter(|(_, email)| email.is_some_and(is_it)).filter_map(|(id, _)| id.map(str::to_string)).collect())
}

/// The tables in a file of a stream. Empty if the file is no chunk.
fn tables_in(path: &Path, name: &str) -> Result<Vec<(&'static Table, DataFrame)>, SnapshotError> {
    let Some((bundle, _)) = tables_of(name) else { return Ok(Vec::new()) };
    Ok(bundle.iter().copied().zip(read_bundle(path, bundle)?).collect())
}

/// The table of a snapshot's file, from its path (`contacts/…`).
fn table_of(relative: &str) -> Option<&'static Table> {
    let name = relative.split('/').next().unwrap_or_default();
    [&CONTACTS, &ATTRIBUTES, &MEMBERS, &CONVERSATIONS, &SUBSCRIPTIONS, &VANISHED].into_iter().find(|table| table.name == name)
}

/// The column with the ID of the person that a row is about.
fn person_column(table: &Table) -> &'static str {
    if table.name == CONVERSATIONS.name { "opened_by" } else { "contact_id" }
}

/// Splits the rows; `None` if no row is about any of these people or names them.
fn parted_rows(rows: &DataFrame, table: &Table, people: &BTreeSet<String>) -> Result<Option<Parted>, SnapshotError> {
    let ids = rows.column(person_column(table)).and_then(|column| column.str()).map_err(reading)?;
    let is_about: BooleanChunked = ids.iter().map(|id| Some(id.is_some_and(|id| people.contains(id)))).collect();
    let mut others = rows.filter(&!&is_about).map_err(reading)?;
    let named = match table.name {
        name if name == CONVERSATIONS.name => without_names(&mut others, people)?,
        name if name == VANISHED.name => without_targets(&mut others, people)?,
        _ => BTreeSet::new(),
    };
    if !is_about.any() && named.is_empty() {
        return Ok(None);
    }
    let about = rows.filter(&is_about).map_err(reading)?;
    Ok(Some(Parted { about, others: rewritten(others)?, named }))
}

/// Removes these people from `contact_ids` of conversations that other people opened. Returns the people whom it removed.
fn without_names(conversations: &mut DataFrame, people: &BTreeSet<String>) -> Result<BTreeSet<String>, SnapshotError> {
    let mut named = BTreeSet::new();
    let lists = conversations.column("contact_ids").and_then(|column| column.str()).map_err(reading)?;
    let without = lists.iter().map(|list| {
        let (gone, stay): (Vec<&str>, Vec<&str>) = list?.split(' ').partition(|id| people.contains(*id));
        named.extend(gone.into_iter().map(str::to_string));
        (!stay.is_empty()).then(|| stay.join(" "))
    });
    let without: StringChunked = without.collect();
    if !named.is_empty() {
        conversations.with_column(without.with_name("contact_ids".into()).into_column()).map_err(reading)?;
    }
    Ok(named)
}

/// Clears `merged_into` in the rows of contacts that were merged into these people. Returns the people whose IDs it removed.
fn without_targets(vanished: &mut DataFrame, people: &BTreeSet<String>) -> Result<BTreeSet<String>, SnapshotError> {
    let targets = vanished.column("merged_into").and_then(|column| column.str()).map_err(reading)?;
    let named: BTreeSet<String> = targets.iter().flatten().filter(|id| people.contains(*id)).map(str::to_string).collect();
    let without: StringChunked = targets.iter().map(|target| target.filter(|id| !people.contains(*id))).collect();
    vanished.with_column(without.with_name("merged_into".into()).into_column()).map_err(reading)?;
    Ok(named)
}

/// Copies all texts, because filtered columns still contain the texts of the removed rows.
fn rewritten(mut rows: DataFrame) -> Result<DataFrame, SnapshotError> {
    let is_text = |column: &&Column| column.dtype() == &DataType::String;
    let texts: Vec<Column> = rows.columns().iter().filter(is_text).cloned().collect();
    for column in texts {
        let own: StringChunked = column.str().map_err(reading)?.iter().collect();
        rows.with_column(own.with_name(column.name().clone()).into_column()).map_err(reading)?;
    }
    Ok(rows)
}

fn texts(rows: &DataFrame, column: &str) -> Result<Vec<String>, SnapshotError> {
    let column = rows.column(column).and_then(|column| column.str()).map_err(reading)?;
    Ok(column.iter().flatten().map(str::to_string).collect())
}

fn sorted(rows: DataFrame, table: &Table) -> Result<DataFrame, SnapshotError> {
    Ok(rows.sort(table.key.iter().copied(), SortMultipleOptions::default()).map_err(reading)?)
}

fn collect(rows: LazyFrame) -> Result<DataFrame, SnapshotError> {
    Ok(rows.collect().map_err(reading)?)
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "the tables of contacts", error)
}
