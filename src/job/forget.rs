//! Removes one person from everything that the job keeps: snapshots, unfinished work, the record of tags, and the histories and reports
//! built from them. The person is recorded in the archive until all of this is done, so that a second call can finish the first.
//! Afterwards only the number of forgotten persons is kept.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::refresh::{Scope as RefreshScope, refresh};
use super::{DamagedMonth, JobError, Observer, Rebuilt, Refreshed, apply, work};
use crate::privacy::{HASH_PREFIX, Privacy, same_address};
use crate::settings::Settings;
use archive::publish::PublishError;
use archive::snapshot::{CONTACTS, merged, people_with_email};
use archive::store::{BucketError, OldVersions};
use archive::{Archive, Section};
use domain::{Month, Months};

/// The person to forget.
#[derive(Clone, Debug)]
pub enum Person {
    Contact(String),
    Email(String),
}

/// The result.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// The number of contact IDs that were searched for, with the IDs of merged contacts; 0 if no contact has the e-mail address.
    pub people: usize,
    /// Months whose snapshots contained any of the persons.
    pub snapshots: Vec<Month>,
    /// Unfinished runs and backfills that contained any of the persons.
    pub work: Vec<Months>,
    /// Whether the record of tags contained any of the persons.
    pub tags: bool,
    pub rebuilt: Vec<Rebuilt>,
    /// Months without a snapshot whose history or reports were removed, because they cannot be rebuilt.
    pub orphans: Vec<Month>,
    /// Months that cannot be searched by e-mail address, because they contain no e-mail addresses.
    pub unsearchable: Vec<Month>,
    /// Months that could not be searched, because they are damaged. A person may still be in them, and in everything built from
    /// them.
    pub damaged: Vec<DamagedMonth>,
    /// Months whose record of tags could not be searched, because it is damaged, and the damage.
    pub damaged_tags: Vec<(Month, String)>,
    /// The number of old versions of files that were removed from a bucket.
    pub versions_removed: u64,
    /// Why persons may still be in old versions of files that a bucket keeps.
    pub old_versions: Option<String>,
    /// Months and unfinished work whose e-mail addresses were hashed without normalizing. There, only the e-mail address as given and in
    /// lower case was searched for.
    pub as_spelled: Vec<Months>,
}

impl Forgotten {
    pub fn is_nothing(&self) -> bool {
        self.snapshots.is_empty() && self.work.is_empty() && !self.tags && self.orphans.is_empty()
    }

    /// Whether a person may still be in damaged months or damaged records, so that a later call must search them again.
    pub fn is_unfinished(&self) -> bool {
        !self.damaged.is_empty() || !self.damaged_tags.is_empty()
    }
}

/// The persons of an unfinished call.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Journal {
    contact_ids: BTreeSet<String>,
}

/// Removes a person from everything that the job keeps. The caller must have the job's lock. Blocks.
pub fn forget(
    archive: &Archive,
    settings: &Settings,
    privacy: &Privacy,
    person: &Person,
    observer: &Observer,
) -> Result<Forgotten, JobError> {
    let mut done = Forgotten::default();
    let mut people = unfinished(archive)?;
    people.extend(match person {
        Person::Contact(id) => BTreeSet::from([id.clone()]),
        Person::Email(address) => find(archive, privacy, address, &mut done)?,
    });
    add_merged(archive, &mut people)?;
    done.people = people.len();
    if people.is_empty() {
        return Ok(done);
    }
    // The months are searched again below, which finds the damaged ones again.
    done.damaged.clear();
    let journal = serde_json::to_vec_pretty(&Journal { contact_ids: people.clone() });
    archive.set_journal(Some(&journal.map_err(|error| PublishError::new("write", &archive.journal_path(), error.into()))?))?;

    let months = archive.months()?;
    let mut damaged = BTreeMap::new();
    for month in &months {
        match archive.forget(*month, &people) {
            Ok(false) => {}
            Ok(true) => done.snapshots.push(*month),
            Err(error) if error.is_damage() => {
                damaged.insert(*month, error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    for months in archive.unfinished()? {
        if archive.forget_in_work(months, &people)? {
            done.work.push(months);
        }
    }
    (done.tags, done.damaged_tags) = apply::forget(archive, &people)?;
    // Histories of changed snapshots are out of date now. A history of a damaged snapshot may contain the person, so no other
    // history is built on it.
    if let Some(last) = months.last() {
        let without = damaged.keys().copied().collect();
        let Refreshed { rebuilt, damaged: found } = refresh(archive, settings, &RefreshScope::StaleUntil(*last), &without, observer)?;
        done.rebuilt = rebuilt;
        damaged.extend(found.into_iter().map(|found| (found.month, found.error)));
    }
    done.damaged = damaged.into_iter().map(|(month, error)| DamagedMonth { month, error }).collect();
    for section in [Section::History, Section::Reports] {
        for month in archive.months_of(section)?.into_iter().filter(|month| !months.contains(month)) {
            archive.remove(section, month)?;
            done.orphans.push(month);
        }
    }
    done.orphans.sort();
    done.orphans.dedup();
    let is_kept_in_versions = match archive.purge() {
        Ok(OldVersions::Removed(versions)) => {
            done.versions_removed = versions;
            false
        }
        Ok(OldVersions::Unknown(advice)) => {
            done.old_versions = Some(advice);
            false
        }
        Err(error) if matches!(BucketError::find_in(&error), Some(BucketError::Refused(_))) => {
            done.old_versions = Some(error.reason());
            true
        }
        Err(error) => return Err(error.into()),
    };
    if !done.is_unfinished() && !is_kept_in_versions {
        archive.set_journal(None)?;
        // The journal with the persons was in the archive, too, so its old versions are removed.
        archive.purge_versions()?;
    }
    Ok(done)
}

/// The persons of an unfinished call.
///
/// # Errors
/// If the persons were recorded and cannot be read.
fn unfinished(archive: &Archive) -> Result<BTreeSet<String>, JobError> {
    let Some(bytes) = archive.journal()? else { return Ok(BTreeSet::new()) };
    match serde_json::from_slice::<Journal>(&bytes) {
        Ok(journal) => Ok(journal.contact_ids),
        Err(_) => Err(JobError::DamagedJournal { path: archive.journal_path() }),
    }
}

/// Adds the other records of these persons: contacts that were merged into theirs, and contacts into which theirs were merged.
fn add_merged(archive: &Archive, people: &mut BTreeSet<String>) -> Result<(), JobError> {
    let mut pairs = Vec::new();
    for (_, snapshot) in archive.snapshots()? {
        match snapshot.and_then(|snapshot| merged(&snapshot)) {
            Ok(found) => pairs.extend(found),
            // The damaged month is reported when the persons are removed.
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let mut known = 0;
    while known < people.len() {
        known = people.len();
        for (from, into) in &pairs {
            if people.contains(from) || people.contains(into) {
                people.extend([from.clone(), into.clone()]);
            }
        }
    }
    Ok(())
}

/// The contacts that ever had this e-mail address. It is found in any spelling, except where e-mail addresses were hashed without
/// normalizing: see [`Forgotten::as_spelled`].
fn find(archive: &Archive, privacy: &Privacy, address: &str, done: &mut Forgotten) -> Result<BTreeSet<String>, JobError> {
    let address = address.trim();
    let same = same_address(address);
    // Older programs hashed e-mail addresses without normalizing them.
    let spellings = [address.to_string(), address.to_lowercase(), same.clone()];
    let written: BTreeSet<String> = spellings.into_iter().filter_map(|text| privacy.written(Some(text))).collect();
    let is_it = |email: &str| same_address(email) == same || written.contains(email);
    let mut found = BTreeSet::new();
    for (month, snapshot) in archive.snapshots()? {
        let looked = snapshot.and_then(|snapshot| Ok((snapshot.files_of(&CONTACTS)?, snapshot)));
        let (parts, snapshot) = match looked {
            Ok(looked) => looked,
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
    for months in archive.unfinished()? {
        if work::is_hashed_unnormalized(&archive.work_of(months), &privacy.label()) && !done.as_spelled.contains(&months) {
            done.as_spelled.push(months);
        }
        found.extend(archive.people_in_work_with_email(months, &is_it)?);
    }
    Ok(found)
}
