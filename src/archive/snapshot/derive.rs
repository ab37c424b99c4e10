//! Derives the members of groups from the contacts' own lists of tags (on 1.x also of segments) in the stream of everyone. This
//! needs no search: only contacts whose lists the API cut are asked one by one. The result is a stream of members. Their records
//! are in the stream of everyone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::chunks::{Spooled, chunk, each_contact};
use super::columns::MemberColumns;
use super::record::load_stream;
use super::tables::{ATTRIBUTES, CONTACTS, OWN_SUBSCRIPTIONS, TAGGED};
use super::tag_dates::tags_of;
use super::{SnapshotError, SpooledStream, StreamRecord};
use crate::publish;
use crate::table::{TableError, read_bundled, write_bundle};
use domain::{Contact, ContactId, GroupKind, cohort_key};

/// A chunk is written when this many members of a group are in memory.
const CHUNK_MEMBERS: usize = 65_536;

/// A group whose members are derived, and the folder for its stream.
#[derive(Clone, Debug)]
pub struct DerivedTag {
    pub key: String,
    pub folder: PathBuf,
}

/// The contacts whose own list of tags is truncated, ascending.
pub fn truncated_tags(everyone: &SpooledStream) -> Result<BTreeSet<String>, SnapshotError> {
    let mut truncated = BTreeSet::new();
    each_tag(everyone, &mut |contact, tag| {
        if tag.is_none() {
            truncated.insert(contact.to_string());
        }
        Ok(())
    })?;
    Ok(truncated)
}

/// Writes the streams of these groups. `truncated` are the contacts with truncated lists, and `answers` is the folder with the tags
/// that were fetched for each of them. Blocks.
pub fn derive_members(
    everyone: &SpooledStream,
    tags: &[DerivedTag],
    truncated: &BTreeSet<String>,
    answers: &Path,
) -> Result<Vec<StreamRecord>, SnapshotError> {
    let mut streams: HashMap<&str, MemberWriter<'_>> = HashMap::new();
    for tag in tags {
        streams.insert(&tag.key, MemberWriter::new(&tag.folder)?);
    }
    // A contact with a truncated list has the tags in its list and also the tags in its answer.
    let answered = tags_of(answers, truncated)?.into_iter();
    let mut completed: BTreeSet<(String, String)> = answered.map(|(contact, tag)| (contact, cohort_key(GroupKind::Tag, &tag))).collect();
    each_tag(everyone, &mut |contact, tag| {
        let Some(tag) = tag else { return Ok(()) };
        if truncated.contains(contact) {
            completed.insert((contact.to_string(), tag.to_string()));
            return Ok(());
        }
        streams.get_mut(tag).map_or(Ok(()), |stream| stream.push(contact))
    })?;
    for (contact, tag) in &completed {
        streams.get_mut(tag.as_str()).map_or(Ok(()), |stream| stream.push(contact))?;
    }
    let finished = tags.iter().filter_map(|tag| Some(streams.remove(tag.key.as_str())?.finish(&everyone.record)));
    finished.collect()
}

/// Called with a contact and the cohort key of one of its groups, or with `None` for a contact whose list is truncated.
pub(super) type VisitTag<'a> = dyn FnMut(&str, Option<&str>) -> Result<(), SnapshotError> + 'a;

/// Visits each contact with each of its groups. The newest record of the contact decides.
pub(super) fn each_tag(everyone: &SpooledStream, visit: &mut VisitTag<'_>) -> Result<(), SnapshotError> {
    for (folder, chunks) in everyone.folders() {
        // A newer record of a contact is in a later chunk, so the last chunk is read first.
        let has_renewed = load_stream(folder).is_none_or(|record| record.renewed > 0);
        let mut later: HashSet<ContactId> = HashSet::new();
        for index in (0..chunks).rev() {
            let path = chunk::<Contact>(folder, index);
            let rows = read_bundled(&path, Contact::TABLES, &TAGGED, None)?;
            let column = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(reading);
            for (contact, tag) in column("contact_id")?.iter().zip(column("cohort_key")?.iter()) {
                let contact = contact.unwrap_or_default();
                if !has_renewed || !later.contains(&ContactId::of(contact)) {
                    visit(contact, tag)?;
                }
            }
            if has_renewed {
                each_contact(&path, &CONTACTS, &mut |id, _| later.extend([ContactId::of(id)]))?;
            }
        }
    }
    Ok(())
}

/// Writes the members of one group in chunks.
struct MemberWriter<'a> {
    folder: &'a Path,
    members: MemberColumns,
    rows: u64,
    chunks: usize,
}

impl<'a> MemberWriter<'a> {
    fn new(folder: &'a Path) -> Result<MemberWriter<'a>, SnapshotError> {
        publish::remove_folder(folder)?;
        publish::create_folder(folder)?;
        Ok(MemberWriter { folder, members: MemberColumns::default(), rows: 0, chunks: 0 })
    }

    fn push(&mut self, contact: &str) -> Result<(), SnapshotError> {
        self.members.push(contact, None);
        self.rows += 1;
        if self.members.len() >= CHUNK_MEMBERS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), SnapshotError> {
        let members = std::mem::take(&mut self.members).finish()?;
        let frames = [CONTACTS.empty(), ATTRIBUTES.empty(), TAGGED.empty(), members, OWN_SUBSCRIPTIONS.empty()];
        write_bundle(&frames, Contact::TABLES, &chunk::<Contact>(self.folder, self.chunks))?;
        self.chunks += 1;
        Ok(())
    }

    fn finish(mut self, everyone: &StreamRecord) -> Result<StreamRecord, SnapshotError> {
        if self.members.len() > 0 {
            self.write()?;
        }
        let record = StreamRecord {
            rows: self.rows,
            chunks: self.chunks,
            observed_at: everyone.observed_at,
            is_complete: everyone.is_complete,
            ..StreamRecord::new(everyone.started_at)
        };
        Ok(record)
    }
}

fn reading(error: PolarsError) -> TableError {
    TableError::new("read", "the contacts' own lists of tags", error)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::snapshot::{Answers, Spool, members_of};
    use domain::{OwnTags, Role, TagDate};

    fn contact(id: &str, updated_at: i64, tags: &[&str], is_complete: bool) -> Contact {
        let tags = OwnTags { ids: tags.iter().map(|tag| (*tag).into()).collect(), is_complete };
        Contact { updated_at: DateTime::from_timestamp(updated_at, 0), tags: Some(tags), ..Contact::unknown(id.to_string(), Role::User) }
    }

    fn members(folder: &Path, record: &StreamRecord) -> Vec<String> {
        members_of(&SpooledStream::whole(folder.to_path_buf(), record.clone())).unwrap().texts().map(String::from).collect()
    }

    #[test]
    fn the_newest_record_of_a_contact_counts_and_answers_complete_truncated_lists() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("population");
        let mut spool = Spool::create(folder.clone(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
        spool.push(vec![contact("a", 1, &["vip"], true), contact("b", 1, &["vip", "press"], true), contact("c", 1, &["vip"], false)]);
        spool.save(Some("{}".to_string())).unwrap();
        // `d` has a newer record in the same chunk, `a` has one in a later chunk.
        spool.push(vec![contact("d", 1, &["vip"], true), contact("d", 2, &["press"], true), contact("a", 2, &["press"], true)]);
        spool.record().is_complete = true;
        let everyone = SpooledStream::whole(folder, spool.finish().unwrap());
        let truncated = truncated_tags(&everyone).unwrap();
        assert_eq!(truncated, BTreeSet::from(["c".to_string()]));

        let answers = place.path().join("answers");
        let mut dates = Answers::open(answers.clone()).unwrap();
        for (id, tag) in [("c", "press"), ("somebody else", "vip")] {
            dates.push(id.to_string(), vec![TagDate { tag_id: tag.to_string(), applied_at: None }]).unwrap();
        }
        dates.flush().unwrap();
        let tag = |tag_id: &str| DerivedTag { key: format!("tag:{tag_id}"), folder: place.path().join(tag_id) };
        let tags = [tag("vip"), tag("press"), tag("nobody")];
        let records = derive_members(&everyone, &tags, &truncated, &answers).unwrap();
        let found: Vec<Vec<String>> = tags.iter().zip(&records).map(|(tag, record)| members(&tag.folder, record)).collect();
        assert_eq!(found, [vec!["b", "c"], vec!["a", "b", "c", "d"], vec![]]);
        assert_eq!(records.iter().map(|record| record.rows).collect::<Vec<_>>(), [2, 4, 0]);
        assert!(records.iter().all(|record| record.is_complete));
    }
}
