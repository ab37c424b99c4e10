//! An index of the contact records that a run has spooled. It deduplicates contacts that are in several streams: a later
//! stream keeps only the ID of a contact whose record an earlier stream has.
//!
//! Only finished streams that come earlier in the plan count. So the tables do not depend on which stream was faster.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use super::chunks::Updated;
use domain::{IdMap, object_id};

/// The index that all streams of a run share.
#[derive(Clone, Debug, Default)]
pub struct RecordIndex(Arc<RwLock<Vec<StreamIds>>>);

/// The contacts of one finished stream, sorted: sixteen bytes a contact.
#[derive(Debug)]
struct StreamIds {
    /// The position of the stream in the plan.
    rank: usize,
    first_created: DateTime<Utc>,
    last_created: DateTime<Utc>,
    object_ids: Vec<([u8; 12], Updated)>,
    other_ids: HashMap<Box<str>, Updated>,
}

/// The first and the last time at which contacts of a stream were created.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Created(Option<(DateTime<Utc>, DateTime<Utc>)>);

impl Created {
    pub(super) fn include(&mut self, instant: Option<DateTime<Utc>>) {
        let Some(instant) = instant else { return };
        let (first, last) = self.0.unwrap_or((instant, instant));
        self.0 = Some((first.min(instant), last.max(instant)));
    }
}

impl RecordIndex {
    /// Whether an earlier stream of the plan has a record of the contact that is at least as new.
    pub(super) fn has(&self, rank: usize, id: &str, created_at: Option<DateTime<Utc>>, updated: Updated) -> bool {
        let Some(created_at) = created_at else { return false };
        let streams = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let earlier = streams.iter().filter(|ids| ids.rank < rank && ids.first_created <= created_at && created_at <= ids.last_created);
        earlier.filter_map(|ids| ids.updated(id)).any(|found| found >= updated)
    }

    /// Adds the contacts of a finished stream.
    pub(super) fn add(&self, rank: usize, created: Created, seen: IdMap<Updated>) {
        let Some((first_created, last_created)) = created.0 else { return };
        let (object_ids, other_ids) = seen.into_sorted();
        let ids = StreamIds { rank, first_created, last_created, object_ids, other_ids };
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(ids);
    }

    /// Removes the contacts of a stream, because it is fetched again.
    pub fn remove(&self, rank: usize) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|ids| ids.rank != rank);
    }
}

impl StreamIds {
    fn updated(&self, id: &str) -> Option<Updated> {
        match object_id(id) {
            Some(bytes) => self.object_ids.binary_search_by_key(&bytes, |(id, _)| *id).ok().map(|at| self.object_ids[at].1),
            None => self.other_ids.get(id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Deduplication, Spool, SpooledStream, lacks_records};
    use domain::{Contact, Role};

    const ID: &str = "667d60a98a68186f43bafdb9";

    fn at(text: &str) -> Option<DateTime<Utc>> {
        text.parse().ok()
    }

    #[test]
    fn a_contact_in_two_streams_is_kept_once_and_its_record_is_missing_without_the_first_stream() {
        let place = tempfile::tempdir().unwrap();
        let contact = |id: &str| Contact { created_at: at("2026-01-02T00:00:00Z"), ..Contact::unknown(id.to_string(), Role::User) };
        let index = RecordIndex::default();
        let stream = |rank: usize, ids: &[&str]| {
            let deduplication = Deduplication { index: index.clone(), rank, keeps_all: false };
            let folder = place.path().join(rank.to_string());
            let mut spool = Spool::create(folder.clone(), deduplication, DateTime::<Utc>::UNIX_EPOCH).unwrap();
            spool.push(ids.iter().map(|id| contact(id)).collect());
            spool.record().is_complete = true;
            SpooledStream::whole(folder, spool.finish().unwrap())
        };
        let (everyone, group) = (stream(0, &[ID, "b"]), stream(1, &[ID, "c"]));
        assert_eq!((everyone.record.deferred, group.record.deferred, group.record.rows), (0, 1, 2));
        assert_eq!(lacks_records(&[everyone, group.clone()]).unwrap(), [false, false]);
        assert_eq!(lacks_records(&[group]).unwrap(), [true], "the record was in the stream that is gone");
    }

    #[test]
    fn only_earlier_streams_and_records_that_are_as_new_count() {
        let index = RecordIndex::default();
        let (created_at, updated) = (at("2026-01-02T00:00:00Z"), Updated::at(at("2026-02-01T00:00:00Z")));
        let (mut seen, mut created) = (IdMap::default(), Created::default());
        for id in [ID, "not hex"] {
            seen.entry(id, updated);
            created.include(created_at);
        }
        index.add(1, created, seen);
        for id in [ID, "not hex"] {
            assert!(index.has(2, id, created_at, updated));
            assert!(!index.has(1, id, created_at, updated), "the same stream");
            assert!(!index.has(0, id, created_at, updated), "an earlier stream");
            assert!(!index.has(2, id, created_at, Updated::at(at("2026-02-01T00:00:01Z"))), "a newer record");
            assert!(!index.has(2, id, None, updated));
        }
        assert!(!index.has(2, "667d60a98a68186f43bafdba", created_at, updated));
        index.remove(1);
        assert!(!index.has(2, ID, created_at, updated));
    }
}
