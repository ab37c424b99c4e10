//! Which records the run has on disk already: a contact that is in several lists is kept once.
//!
//! Only finished streams count, and only those that come before in the plan: so the same streams give the same tables however
//! they were interleaved.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::chunks::Updated;
use domain::{IdMap, object_id};

/// What all streams of a run share.
#[derive(Clone, Debug, Default)]
pub struct Held(Arc<RwLock<Vec<Run>>>);

/// What one finished stream holds, sorted: sixteen bytes a contact.
#[derive(Debug)]
struct Run {
    /// Where its list is in the plan.
    rank: usize,
    first_created: DateTime<Utc>,
    last_created: DateTime<Utc>,
    ids: Vec<([u8; 12], Updated)>,
    others: HashMap<Box<str>, Updated>,
}

/// From when to when the contacts of a stream were created.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Created(Option<(DateTime<Utc>, DateTime<Utc>)>);

impl Created {
    pub(super) fn at(&mut self, instant: Option<DateTime<Utc>>) {
        let Some(instant) = instant else { return };
        let (first, last) = self.0.unwrap_or((instant, instant));
        self.0 = Some((first.min(instant), last.max(instant)));
    }
}

impl Held {
    /// Whether a list before this one has a record of the contact that is as new.
    pub(super) fn has(&self, rank: usize, id: &str, created_at: Option<DateTime<Utc>>, updated: Updated) -> bool {
        let Some(created_at) = created_at else { return false };
        let runs = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_day = runs.iter().filter(|run| run.rank < rank && run.first_created <= created_at && created_at <= run.last_created);
        of_day.filter_map(|run| run.updated(id)).any(|held| held >= updated)
    }

    /// Takes over what a finished stream has seen.
    pub(super) fn take(&self, rank: usize, created: Created, seen: IdMap<Updated>) {
        let Some((first_created, last_created)) = created.0 else { return };
        let (ids, others) = seen.into_sorted();
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(Run { rank, first_created, last_created, ids, others });
    }

    /// Forgets what a list had: it is followed anew.
    pub fn withdraw(&self, rank: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|run| run.rank != rank);
    }
}

impl Run {
    fn updated(&self, id: &str) -> Option<Updated> {
        match object_id(id) {
            Some(bytes) => self.ids.binary_search_by_key(&bytes, |(id, _)| *id).ok().map(|at| self.ids[at].1),
            None => self.others.get(id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Others, Part, Spool, without_record};
    use domain::{Contact, Role};

    const ID: &str = "667d60a98a68186f43bafdb9";

    fn at(text: &str) -> Option<DateTime<Utc>> {
        text.parse().ok()
    }

    #[test]
    fn a_contact_that_a_finished_list_has_is_kept_once_and_is_missed_when_that_list_goes() {
        let place = tempfile::tempdir().unwrap();
        let contact = |id: &str| Contact { created_at: at("2026-01-02T00:00:00Z"), ..Contact::unknown(id.to_string(), Role::User) };
        let held = Held::default();
        let stream = |rank: usize, ids: &[&str]| {
            let others = Others { held: held.clone(), rank, keeps_all: false };
            let folder = place.path().join(rank.to_string());
            let mut spool = Spool::create(folder.clone(), others, DateTime::<Utc>::UNIX_EPOCH).unwrap();
            spool.push(ids.iter().map(|id| contact(id)).collect());
            spool.record().is_complete = true;
            Part::whole(folder, spool.finish().unwrap())
        };
        let (everyone, group) = (stream(0, &[ID, "b"]), stream(1, &[ID, "c"]));
        assert_eq!((everyone.record.held, group.record.held, group.record.rows), (0, 1, 2));
        assert_eq!(without_record(&[everyone, group.clone()]).unwrap(), [false, false]);
        assert_eq!(without_record(&[group]).unwrap(), [true], "its record was left to the list that is gone");
    }

    #[test]
    fn only_lists_before_and_records_as_new_count() {
        let held = Held::default();
        let (created_at, updated) = (at("2026-01-02T00:00:00Z"), Updated::at(at("2026-02-01T00:00:00Z")));
        let (mut seen, mut created) = (IdMap::default(), Created::default());
        for id in [ID, "not hex"] {
            seen.entry(id, updated);
            created.at(created_at);
        }
        held.take(1, created, seen);
        for id in [ID, "not hex"] {
            assert!(held.has(2, id, created_at, updated));
            assert!(!held.has(1, id, created_at, updated), "the list itself");
            assert!(!held.has(0, id, created_at, updated), "a list before it");
            assert!(!held.has(2, id, created_at, Updated::at(at("2026-02-01T00:00:01Z"))), "a newer record");
            assert!(!held.has(2, id, None, updated));
        }
        assert!(!held.has(2, "667d60a98a68186f43bafdba", created_at, updated));
        held.withdraw(1);
        assert!(!held.has(2, ID, created_at, updated));
    }
}
