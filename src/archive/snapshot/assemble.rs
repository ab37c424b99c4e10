//! Assembles the tables of a snapshot from spooled streams. Chunks of contacts are read one by one, so memory has one part of the contacts
//! and never the whole table. All chunks are read in the order of the plan, so the same streams give the same bytes, in whatever order the
//! pages came.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};

use polars::prelude::*;

use super::chunks::{Spooled, Updated, chunk, each_contact};
use super::parts::{Batch, PartWriter, write_part};
use super::subscriptions::{self, Completion, ObservedSubscriptions};
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS, SUBSCRIPTIONS, VANISHED};
use super::{SnapshotError, StreamRecord, TaggedBefore, answers};
use crate::publish::Staging;
use crate::table::{TableError, instants, read_bundled};
use domain::{Contact, ContactId, ContactIds, Conversation, MonthSpan};

/// A stream of contacts or conversations on disk: in one folder, or in one folder for each partition.
#[derive(Clone, Debug)]
pub struct SpooledStream {
    /// Each folder with the number of its chunks.
    folders: Vec<(PathBuf, usize)>,
    /// The record of the whole stream.
    pub record: StreamRecord,
}

impl SpooledStream {
    pub fn whole(folder: PathBuf, record: StreamRecord) -> SpooledStream {
        SpooledStream { folders: vec![(folder, record.chunks)], record }
    }

    /// A stream in partitions, with the totals that the whole stream announced before and after.
    pub fn of_partitions(partitions: Vec<(PathBuf, StreamRecord)>, first_total: u64, last_total: Option<u64>) -> SpooledStream {
        let (folders, records): (Vec<PathBuf>, Vec<StreamRecord>) = partitions.into_iter().unzip();
        let record = StreamRecord::of_partitions(&records, first_total, last_total);
        SpooledStream { folders: folders.into_iter().zip(records.iter().map(|record| record.chunks)).collect(), record }
    }

    /// Each folder with the number of its chunks.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.folders.iter().map(|(folder, chunks)| (folder.as_path(), *chunks))
    }

    /// The file of each chunk, in the order in which the chunks were written.
    pub(super) fn chunks<R: Spooled>(&self) -> impl Iterator<Item = PathBuf> {
        self.folders().flat_map(|(folder, chunks)| (0..chunks).map(move |index| chunk::<R>(folder, index)))
    }
}

/// A cohort, and the stream of contacts with its members.
#[derive(Clone, Debug)]
pub struct Cohort {
    pub key: String,
    pub stream: usize,
    /// If set, only contacts of the stream that had the tag by the month's end are members.
    pub tagged_before: Option<TaggedBefore>,
}

/// Everything that makes up a snapshot's tables.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// Streams of contacts. If several streams have a contact, its newest record is kept.
    pub streams: Vec<SpooledStream>,
    /// The stream whose contacts are the population; `None` if all contacts are.
    pub population: Option<usize>,
    /// The cohorts, sorted by key.
    pub cohorts: Vec<Cohort>,
    pub conversations: Option<SpooledStream>,
    /// `None` if the contacts' choices about subscriptions are not observed.
    pub subscriptions: Option<ObservedSubscriptions>,
    /// The folder with the answers about members of the last month that no stream has; `None` if the API was not asked about them.
    pub fates: Option<PathBuf>,
    /// The month. Only conversations that were created in it are written.
    pub span: MonthSpan,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// For each stream, the number of contacts that no earlier stream had.
    pub firsts: Vec<u64>,
    /// How often a later stream had a newer record of a contact than the streams before it.
    pub drifted: u64,
    /// The number of members of each cohort, in the order of the cohorts.
    pub members: Vec<u64>,
    /// For each cohort, the number of contacts that have its tag without a date; 0 if dates do not decide about membership.
    pub undated: Vec<u64>,
    /// The number of conversations that count for another contact, because their author was merged into that contact.
    pub merged_authors: u64,
    /// The number of contacts whose choices about subscriptions are incomplete; `None` if no choices were written: they are not observed,
    /// or a stream of an earlier version of the program lacks them.
    pub cut_subscriptions: Option<u64>,
}

impl Assembly {
    /// Writes all parts and adds them to the list of files.
    pub fn write(&self, staging: &Staging) -> Result<Written, SnapshotError> {
        // Overlap I/O with CPU work.
        let (contacts, others) = side_by_side(
            || self.write_contacts(staging),
            || {
                let members = self.write_members(staging)?;
                Ok::<_, SnapshotError>((members, self.write_conversations(staging)?))
            },
        );
        let ((firsts, drifted, cut_subscriptions), (members, merged_authors)) = (contacts?, others?);
        let undated = |cohort: &Cohort| cohort.tagged_before.as_ref().map_or(Ok(0), TaggedBefore::undated);
        let undated = self.cohorts.iter().map(undated).collect::<Result<_, SnapshotError>>()?;
        Ok(Written { firsts, drifted, members, undated, merged_authors, cut_subscriptions })
    }

    fn write_contacts(&self, staging: &Staging) -> Result<(Vec<u64>, u64, Option<u64>), SnapshotError> {
        // The population's own stream comes first: if two records are equally new, the record of the earlier stream is kept.
        let mut order: Vec<usize> = (0..self.streams.len()).collect();
        order.sort_by_key(|stream| self.population != Some(*stream));

        let records = Records::read(&order.iter().map(|stream| &self.streams[*stream]).collect::<Vec<_>>())?;
        let mut firsts = vec![0; order.len()];
        order.iter().zip(&records.firsts).for_each(|(stream, count)| firsts[*stream] = *count);
        let population = match self.population {
            Some(stream) => Some(members_of(&self.streams[stream])?),
            None => None,
        };
        let mut completion = match &self.subscriptions {
            Some(observed) if subscriptions::are_in(&self.streams)? => {
                subscriptions::write_types(&observed.types, staging)?;
                Some(Completion::open(&observed.answers)?)
            }
            _ => None,
        };
        let has_subscriptions = completion.is_some();
        let (sender, batches) = mpsc::sync_channel(1);
        // Each side owns its end of the channel: if one side fails, the other ends too.
        let (read, written) = side_by_side(
            || self.read_contacts(&order, &records, population.as_ref(), completion.as_mut(), sender),
            || {
                let mut parts = PartWriter::new(has_subscriptions);
                batches.into_iter().try_for_each(|batch| parts.push(batch, staging))?;
                parts.finish(staging)
            },
        );
        written?;
        read?;
        Ok((firsts, records.drifted, completion.map(|completion| completion.left.len() as u64)))
    }

    /// Sends the records to keep, in the order of the streams.
    fn read_contacts(
        &self,
        order: &[usize],
        records: &Records,
        population: Option<&ContactIds>,
        mut completion: Option<&mut Completion>,
        batches: SyncSender<Batch>,
    ) -> Result<(), SnapshotError> {
        let mut position = 0;
        for &stream in order {
            for chunk in self.streams[stream].chunks::<Contact>() {
                let mut rows = read_bundled(&chunk, Contact::TABLES, &CONTACTS, None)?;
                let positions = position..position + rows.height();
                position = positions.end;
                let is_kept = &records.is_kept[positions];
                if !is_kept.contains(&true) {
                    continue;
                }
                if let Some(population) = population {
                    let ids = rows.column("contact_id").and_then(|column| column.str()).map_err(assembling)?;
                    let is_in: BooleanChunked = ids.iter().map(|id| Some(id.is_some_and(|id| population.contains(id)))).collect();
                    rows.with_column(is_in.with_name("in_population".into()).into_column()).map_err(assembling)?;
                }
                let attributes = read_bundled(&chunk, Contact::TABLES, &ATTRIBUTES, None)?;
                let subscriptions = match completion.as_deref_mut() {
                    Some(completion) => completion.rows(&chunk)?,
                    None => SUBSCRIPTIONS.empty(),
                };
                if batches.send(Batch::new(rows, attributes, subscriptions)?.only(is_kept)?).is_err() {
                    // The writer failed and returns its own error.
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn write_members(&self, staging: &Staging) -> Result<Vec<u64>, SnapshotError> {
        let mut counts = Vec::with_capacity(self.cohorts.len());
        for (index, cohort) in self.cohorts.iter().enumerate() {
            let members = members_of(&self.streams[cohort.stream])?;
            let holders = cohort.tagged_before.as_ref().map(TaggedBefore::contacts).transpose()?;
            let mut ids = StringChunkedBuilder::new("contact_id".into(), members.len());
            members.texts().filter(|id| holders.as_ref().is_none_or(|holders| holders.contains(id))).for_each(|id| ids.append_value(id));
            let ids = ids.finish();
            counts.push(ids.len() as u64);
            let key = Column::new_scalar("cohort_key".into(), PlSmallStr::from_str(&cohort.key).into(), ids.len());
            let rows = DataFrame::new_infer_height(vec![key, ids.into_column()]).map_err(assembling)?;
            write_part(staging, &MEMBERS, index, rows)?;
        }
        if self.cohorts.is_empty() {
            write_part(staging, &MEMBERS, 0, MEMBERS.empty())?;
        }
        Ok(counts)
    }

    /// Writes what became of the members of the last month that no stream has. Returns the merged contacts, each with the contact into
    /// which it was merged.
    fn write_vanished(&self, staging: &Staging) -> Result<HashMap<String, String>, SnapshotError> {
        let Some(fates) = &self.fates else { return Ok(HashMap::new()) };
        let rows = answers::vanished(fates)?;
        let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(assembling);
        let pairs = text("contact_id")?.iter().zip(text("merged_into")?.iter());
        let merged = pairs.filter_map(|(id, into)| Some((id?.to_string(), into?.to_string()))).collect();
        write_part(staging, &VANISHED, 0, rows)?;
        Ok(merged)
    }

    /// Writes the month's conversations. Returns how many of them count for another contact, because their author was merged into that
    /// contact.
    fn write_conversations(&self, staging: &Staging) -> Result<u64, SnapshotError> {
        let merged_into = self.write_vanished(staging)?;
        let mut all = CONVERSATIONS.empty();
        for chunk in self.conversations.iter().flat_map(SpooledStream::chunks::<Conversation>) {
            all.vstack_mut_owned(read_bundled(&chunk, Conversation::TABLES, &CONVERSATIONS, None)?).map_err(assembling)?;
        }
        // The stream may cover several months.
        let bound = |at| lit(instants("bound", [Some(at)].into_iter()).take_materialized_series()).first();
        let in_month = col("created_at").gt_eq(bound(self.span.start)).and(col("created_at").lt(bound(self.span.end)));
        // The spool keeps a repeated record only if it is newer. So the last record is the newest.
        let newest = all.lazy().unique_stable_generic(Some(vec![col("conversation_id")]), UniqueKeepStrategy::Last);
        let rows = newest.filter(in_month).sort(["conversation_id"], SortMultipleOptions::default());
        let mut rows = rows.collect().map_err(assembling)?;
        let merged = self.replace_merged_authors(&mut rows, &merged_into)?;
        write_part(staging, &CONVERSATIONS, 0, rows)?;
        Ok(merged)
    }

    /// Replaces each author who was merged by the contact into which the author was merged. `known` has that contact for members of the
    /// last month. Any other author counts as merged into the conversation's only contact if the author is neither in the conversation nor
    /// in any stream of contacts. Returns the number of replaced authors.
    fn replace_merged_authors(&self, conversations: &mut DataFrame, known: &HashMap<String, String>) -> Result<u64, SnapshotError> {
        let text = |name: &str| conversations.column(name).and_then(|column| column.str()).map_err(assembling);
        let merged_into = |(author, contacts): (Option<&str>, Option<&str>)| {
            let (author, contacts) = (author?, contacts?);
            (author != contacts && !contacts.contains(' ')).then(|| (ContactId::of(author), contacts.to_string()))
        };
        let candidates: Vec<Option<(ContactId, String)>> =
            text("opened_by")?.iter().zip(text("contact_ids")?.iter()).map(merged_into).collect();
        let mut gone: HashSet<ContactId> = candidates.iter().flatten().map(|(author, _)| author.clone()).collect();
        if gone.is_empty() && known.is_empty() {
            return Ok(0);
        }
        for chunk in self.streams.iter().flat_map(SpooledStream::chunks::<Contact>) {
            Contact::each(&chunk, &mut |id, _| {
                gone.remove(&ContactId::of(id));
            })?;
        }
        let mut merged = 0;
        let opened_by: StringChunked = candidates
            .iter()
            .zip(text("opened_by")?.iter())
            .map(|(candidate, author)| match candidate {
                _ if author.is_some_and(|author| known.contains_key(author)) => {
                    merged += 1;
                    author.and_then(|author| known.get(author)).cloned()
                }
                Some((author, contact)) if gone.contains(author) => {
                    merged += 1;
                    Some(contact.clone())
                }
                _ => author.map(str::to_string),
            })
            .collect();
        conversations.with_column(opened_by.with_name("opened_by".into()).into_column()).map_err(assembling)?;
        Ok(merged)
    }
}

/// The contacts of a stream.
pub fn members_of(part: &SpooledStream) -> Result<ContactIds, SnapshotError> {
    let mut ids = Vec::new();
    for chunk in part.chunks::<Contact>() {
        Contact::each(&chunk, &mut |id, _| ids.push(ContactId::of(id)))?;
    }
    Ok(ids.into())
}

/// Those of `contacts` that no stream has.
pub fn missing_in(streams: &[SpooledStream], mut contacts: BTreeSet<String>) -> Result<BTreeSet<String>, SnapshotError> {
    for chunk in streams.iter().flat_map(SpooledStream::chunks::<Contact>) {
        Contact::each(&chunk, &mut |id, _| {
            contacts.remove(id);
        })?;
    }
    Ok(contacts)
}

/// Which spooled records are kept: the newest of each contact. If several are equally new, the first is kept.
struct Records {
    /// One entry for each spooled record, in the order in which they are read.
    is_kept: Vec<bool>,
    /// The number of contacts that no earlier stream had, for each stream in the order in which they are read.
    firsts: Vec<u64>,
    drifted: u64,
}

impl Records {
    /// Reads only the two small columns that decide which record is kept (the ID and the time of the last change), before any record is
    /// written. Memory has an entry for each contact and for each row of one stream.
    fn read(parts: &[&SpooledStream]) -> Result<Records, SnapshotError> {
        let rows = parts.iter().map(|part| part.record.rows + part.record.renewed).sum::<u64>() as usize;
        let mut newest: Vec<(ContactId, Updated, u32)> = Vec::with_capacity(rows);
        let (mut position, mut firsts, mut drifted) = (0, Vec::new(), 0);
        for part in parts {
            let before = newest.len();
            for chunk in part.chunks::<Contact>() {
                each_contact(&chunk, &CONTACTS, &mut |id, updated| {
                    newest.push((ContactId::of(id), updated, position));
                    position = position.saturating_add(1);
                })?;
            }
            // Brings the records of each contact together. The sort is stable: the records of one contact stay in the order of the streams.
            newest.sort_by(|(one, ..), (other, ..)| one.cmp(other));
            newest.dedup_by(|later, kept| {
                let is_same = later.0 == kept.0;
                if is_same && later.1 > kept.1 {
                    drifted += 1;
                    std::mem::swap(later, kept);
                }
                is_same
            });
            firsts.push((newest.len() - before) as u64);
        }
        let mut is_kept = vec![false; position as usize];
        newest.iter().for_each(|(_, _, position)| is_kept[*position as usize] = true);
        Ok(Records { is_kept, firsts, drifted })
    }
}

fn side_by_side<A: Send, B>(one: impl FnOnce() -> A + Send, other: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        (one.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), other)
    })
}

fn assembling(error: PolarsError) -> TableError {
    TableError::new("assemble", "the spooled streams", error)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::snapshot::Spool;
    use domain::{AttributeValue, CustomAttribute, Month, Role};

    #[test]
    fn the_newest_record_of_a_contact_is_kept_and_of_equally_new_ones_the_first() {
        let place = tempfile::tempdir().unwrap();
        let stream = |name: &str, rows: &[(&str, i64)]| {
            let contact = |(id, updated): &(&str, i64)| Contact {
                updated_at: DateTime::from_timestamp(*updated, 0),
                ..Contact::unknown((*id).to_string(), Role::User)
            };
            let mut spool = Spool::create(place.path().join(name), DateTime::<Utc>::UNIX_EPOCH).unwrap();
            spool.push(rows.iter().map(contact).collect());
            SpooledStream::whole(place.path().join(name), spool.finish().unwrap())
        };
        let everyone = stream("population", &[("b", 5), ("667d60a98a68186f43bafdb9", 5), ("a", 5)]);
        let group = stream("tag-1", &[("667d60a98a68186f43bafdb9", 6), ("a", 5), ("c", 5), ("b", 4)]);
        let Records { is_kept, firsts, drifted } = Records::read(&[&everyone, &group]).unwrap();
        assert_eq!(is_kept, [true, false, true, true, false, true, false]);
        assert_eq!((firsts, drifted), (vec![3, 1], 1));
    }

    #[test]
    fn a_chunk_that_is_changed_before_it_is_assembled_is_an_error_and_no_deadlock() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("population");
        let attribute = CustomAttribute { name: "plan".into(), value: AttributeValue::Text("marker".into()) };
        let contact = Contact { custom_attributes: vec![attribute], ..Contact::unknown("a".to_string(), Role::User) };
        let mut spool = Spool::create(folder.clone(), DateTime::<Utc>::UNIX_EPOCH).unwrap();
        spool.push(vec![contact]);
        let part = SpooledStream::whole(folder.clone(), spool.finish().unwrap());
        let span = "2026-10".parse::<Month>().unwrap().span(&domain::TimeZone::utc());
        let assembly = Assembly {
            streams: vec![part],
            population: None,
            cohorts: Vec::new(),
            conversations: None,
            subscriptions: None,
            fates: None,
            span,
        };
        let written = |name: &str| assembly.write(&Staging::new(place.path(), name).unwrap());
        assert_eq!(written("whole").unwrap().firsts, [1]);

        // The IDs can still be read, but the attributes cannot.
        let chunk = chunk::<Contact>(&folder, 0);
        let mut bytes = std::fs::read(&chunk).unwrap();
        let at = bytes.windows(6).position(|word| word == b"marker").unwrap();
        bytes[at] ^= 1;
        std::fs::write(&chunk, bytes).unwrap();
        assert!(written("changed").is_err());
    }
}
