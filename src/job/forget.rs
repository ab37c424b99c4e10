//! One person out of everything that the job keeps: every snapshot, unfinished work, what was tagged, and the histories
//! and reports that follow from them. Whom it is about stands in the work folder until all of it is done, so that a
//! second call finishes what a first one began; afterwards only how many were forgotten is left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::refresh::{Scope as RefreshScope, refresh};
use super::{DamagedMonth, JobError, JobFolder, Observer, Rebuilt, Refreshed, apply, work};
use crate::privacy::{HASH_PREFIX, Privacy, same_address};
use crate::settings::Settings;
use archive::publish::{self, PublishError};
use archive::snapshot::{
    CONTACTS, forget_in_stream, month_folder, months_in, people_in_stream_with_email, people_with_email, without_people,
};
use domain::{Month, Months};

/// Whom to forget.
#[derive(Clone, Debug)]
pub enum Person {
    Contact(String),
    Email(String),
}

/// What was done.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// People who were looked for, by contact id; none when nobody has the address.
    pub people: usize,
    /// Months whose snapshots held any of them.
    pub snapshots: Vec<Month>,
    /// Unfinished runs and backfills that did.
    pub work: Vec<Months>,
    /// Whether the notes of what was tagged did.
    pub tags: bool,
    pub rebuilt: Vec<Rebuilt>,
    /// Months without a snapshot whose history or reports were removed: nothing could build them anew.
    pub orphans: Vec<Month>,
    /// Months that keep no addresses to look through.
    pub unsearchable: Vec<Month>,
    /// Months that could not be looked through, because they are damaged: whoever they hold is still in them, and in what
    /// was built from them.
    pub damaged: Vec<DamagedMonth>,
    /// The same of the notes of whom this job tagged.
    pub damaged_tags: Vec<(Month, String)>,
    /// Months, and unfinished work, whose addresses were hashed as they came: they were looked through for the address as it was
    /// given and in small letters, and for no other spelling.
    pub as_spelled: Vec<Months>,
}

impl Forgotten {
    pub fn is_nothing(&self) -> bool {
        self.snapshots.is_empty() && self.work.is_empty() && !self.tags && self.orphans.is_empty()
    }

    /// Whether a later call has something left to do.
    pub fn is_unfinished(&self) -> bool {
        !self.damaged.is_empty() || !self.damaged_tags.is_empty()
    }
}

/// Whom a call that has not ended is about.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    contact_ids: BTreeSet<String>,
}

/// Needs the job's lock. Blocks.
pub fn forget(
    folder: &JobFolder,
    settings: &Settings,
    privacy: &Privacy,
    person: &Person,
    observer: &Observer,
) -> Result<Forgotten, JobError> {
    let mut done = Forgotten::default();
    let mut people = unfinished(folder)?;
    people.extend(match person {
        Person::Contact(id) => BTreeSet::from([id.clone()]),
        Person::Email(address) => find(folder, privacy, address, &mut done)?,
    });
    done.people = people.len();
    if people.is_empty() {
        return Ok(done);
    }
    // They are all looked through again.
    done.damaged.clear();
    publish::write_json(&folder.forgetting(), &Journal { contact_ids: people.clone() })?;

    let months = months_in(&folder.snapshots())?;
    let mut damaged = BTreeMap::new();
    for month in &months {
        match forget_in_month(folder, *month, &people) {
            Ok(false) => {}
            Ok(true) => done.snapshots.push(*month),
            Err(JobError::Snapshot(error)) if error.is_damage() => {
                damaged.insert(*month, error);
            }
            Err(error) => return Err(error),
        }
    }
    for months in folder.unfinished()? {
        let mut held = false;
        for stream in streams(&folder.work_of(months))? {
            held |= forget_in_stream(&stream, &people, &folder.work())?;
        }
        if held {
            done.work.push(months);
        }
    }
    (done.tags, done.damaged_tags) = apply::forget(folder, &people)?;
    // Whatever was built from another snapshot is stale now. What was built from a damaged one may hold the person, so
    // that nothing is built on it.
    if let Some(last) = months.last() {
        let without = damaged.keys().copied().collect();
        let Refreshed { rebuilt, damaged: found } = refresh(folder, settings, &RefreshScope::StaleUntil(*last), &without, observer)?;
        done.rebuilt = rebuilt;
        damaged.extend(found.into_iter().map(|found| (found.month, found.error)));
    }
    done.damaged = damaged.into_iter().map(|(month, error)| DamagedMonth { month, error }).collect();
    for table in [folder.histories(), folder.reports()] {
        for month in months_in(&table)?.into_iter().filter(|month| !months.contains(month)) {
            publish::remove_folder(&table.join(month_folder(month)))?;
            done.orphans.push(month);
        }
    }
    done.orphans.sort();
    done.orphans.dedup();
    if !done.is_unfinished() {
        publish::remove_file(&folder.forgetting())?;
    }
    Ok(done)
}

/// Whether the month's snapshot held any of them.
fn forget_in_month(folder: &JobFolder, month: Month, people: &BTreeSet<String>) -> Result<bool, JobError> {
    let Some(snapshot) = folder.snapshot(month)? else { return Ok(false) };
    match without_people(&snapshot, people, &folder.work())? {
        Some((staging, manifest)) => {
            folder.publish_snapshot(month, staging, manifest)?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Whom a call was about that has not ended.
///
/// # Errors
/// When that was written down and cannot be read any more.
fn unfinished(folder: &JobFolder) -> Result<BTreeSet<String>, JobError> {
    let path = folder.forgetting();
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(PublishError::new("read", &path, error).into()),
    };
    match serde_json::from_slice::<Journal>(&bytes) {
        Ok(journal) => Ok(journal.contact_ids),
        Err(_) => Err(JobError::DamagedJournal { path }),
    }
}

/// The contacts that ever had this address, whichever way addresses are written.
fn find(folder: &JobFolder, privacy: &Privacy, address: &str, done: &mut Forgotten) -> Result<BTreeSet<String>, JobError> {
    let address = address.trim();
    let same = same_address(address);
    // Months hashed by older programs hold the address as it came.
    let spellings = [address.to_string(), address.to_lowercase(), same.clone()];
    let written: BTreeSet<String> = spellings.into_iter().filter_map(|text| privacy.written(Some(text))).collect();
    let is_it = |email: &str| same_address(email) == same || written.contains(email);
    let mut found = BTreeSet::new();
    for month in months_in(&folder.snapshots())? {
        let looked = folder.snapshot(month).and_then(|snapshot| {
            let Some(snapshot) = snapshot else { return Ok(None) };
            let parts = snapshot.files_of(&CONTACTS)?;
            Ok(Some((snapshot, parts)))
        });
        let (snapshot, parts) = match looked {
            Ok(Some(looked)) => looked,
            Ok(None) => continue,
            Err(error) if error.is_damage() => {
                done.damaged.push(DamagedMonth { month, error });
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let identifiers = &snapshot.manifest.identifiers;
        if identifiers != crate::privacy::KEEP && *identifiers != privacy.label() || identifiers == crate::privacy::DROP {
            done.unsearchable.push(month);
        } else if identifiers.starts_with(HASH_PREFIX) && snapshot.manifest.email_hash.is_none() {
            done.as_spelled.push(month.into());
        }
        found.extend(people_with_email(&parts, &is_it)?);
    }
    for months in folder.unfinished()? {
        let work = folder.work_of(months);
        if work::is_hashed_unnormalized(&work, &privacy.label()) && !done.as_spelled.contains(&months) {
            done.as_spelled.push(months);
        }
        for stream in streams(&work)? {
            found.extend(people_in_stream_with_email(&stream, &is_it)?);
        }
    }
    Ok(found)
}

fn streams(work: &Path) -> Result<Vec<PathBuf>, JobError> {
    Ok(publish::folder_names(work)?.into_iter().map(|name| work.join(name)).collect())
}
