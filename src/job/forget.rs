//! One person out of everything that the job keeps: every snapshot, unfinished work, what was tagged, and the histories
//! and reports that follow from them. Whom it is about stands in the work folder until all of it is done, so that a
//! second call finishes what a first one began; afterwards only how many were forgotten is left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::refresh::{Scope as RefreshScope, refresh};
use super::{JobError, JobFolder, Observer, Rebuilt, apply, work};
use crate::domain::{Month, Months};
use crate::privacy::{HASH_PREFIX, Privacy, same_address};
use crate::publish;
use crate::settings::Settings;
use crate::snapshot::{
    Snapshot, forget_in_snapshot, forget_in_walk, month_folder, months_in, people_in_walk_with_email, people_with_email,
};

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
    /// Months, and unfinished work, whose addresses were hashed as they came: they were looked through for the address as it was
    /// given and in small letters, and for no other spelling.
    pub as_spelled: Vec<Months>,
}

impl Forgotten {
    pub fn is_nothing(&self) -> bool {
        self.snapshots.is_empty() && self.work.is_empty() && !self.tags && self.orphans.is_empty()
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
    let mut people = unfinished(folder);
    people.extend(match person {
        Person::Contact(id) => BTreeSet::from([id.clone()]),
        Person::Email(address) => find(folder, privacy, address, &mut done)?,
    });
    done.people = people.len();
    if people.is_empty() {
        return Ok(done);
    }
    publish::write_json(&folder.forgetting(), &Journal { contact_ids: people.clone() })?;

    let months = months_in(&folder.snapshots())?;
    for month in &months {
        if let Some(snapshot) = Snapshot::open(&folder.snapshots(), *month)?
            && forget_in_snapshot(&snapshot, &people, &folder.work())? > 0
        {
            done.snapshots.push(*month);
        }
    }
    for months in folder.unfinished()? {
        let mut held = false;
        for walk in walks(&folder.work_of(months))? {
            held |= forget_in_walk(&walk, &people, &folder.work())?;
        }
        if held {
            done.work.push(months);
        }
    }
    done.tags = apply::forget(folder, &people)?;
    // Whatever was built from another snapshot is stale now.
    if let Some(last) = months.last() {
        done.rebuilt = refresh(folder, settings, RefreshScope::StaleUntil(*last), observer)?;
    }
    for table in [folder.histories(), folder.reports()] {
        for month in months_in(&table)?.into_iter().filter(|month| !months.contains(month)) {
            publish::remove_folder(&table.join(month_folder(month)))?;
            done.orphans.push(month);
        }
    }
    done.orphans.sort();
    done.orphans.dedup();
    publish::remove_file(&folder.forgetting())?;
    Ok(done)
}

/// Whom a call was about that has not ended.
fn unfinished(folder: &JobFolder) -> BTreeSet<String> {
    let journal = std::fs::read(folder.forgetting()).ok().and_then(|bytes| serde_json::from_slice::<Journal>(&bytes).ok());
    journal.unwrap_or_default().contact_ids
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
        let Some(snapshot) = Snapshot::open(&folder.snapshots(), month)? else { continue };
        let identifiers = &snapshot.manifest.identifiers;
        if identifiers != crate::privacy::KEEP && *identifiers != privacy.label() || identifiers == crate::privacy::DROP {
            done.unsearchable.push(month);
        } else if identifiers.starts_with(HASH_PREFIX) && snapshot.manifest.email_hash.is_none() {
            done.as_spelled.push(month.into());
        }
        let listed = snapshot.manifest.files.iter().filter(|file| file.path.starts_with("contacts/"));
        let parts: Vec<PathBuf> = listed.map(|file| folder.snapshots().join(month_folder(month)).join(&file.path)).collect();
        found.extend(people_with_email(&parts, &is_it)?);
    }
    for months in folder.unfinished()? {
        let work = folder.work_of(months);
        if work::is_hashed_as_it_came(&work, &privacy.label()) && !done.as_spelled.contains(&months) {
            done.as_spelled.push(months);
        }
        for walk in walks(&work)? {
            found.extend(people_in_walk_with_email(&walk, &is_it)?);
        }
    }
    Ok(found)
}

fn walks(work: &Path) -> Result<Vec<PathBuf>, JobError> {
    Ok(publish::folder_names(work)?.into_iter().map(|name| work.join(name)).collect())
}
