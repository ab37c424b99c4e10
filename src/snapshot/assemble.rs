//! Spooled walks → the tables of a snapshot. Chunk by chunk, so that memory holds a part and never a table; in the
//! order of the plan, so that the same walks give the same bytes however they were interleaved.

use std::path::{Path, PathBuf};

use polars::prelude::*;

use super::chunks::{Updated, attributes_chunk, contacts_chunk, conversations_chunk, held_chunk, ids_of};
use super::ids::ContactId;
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, HELD, MEMBERS};
use super::{SnapshotError, TaggedBefore, WalkRecord};
use crate::domain::MonthSpan;
use crate::publish::Staging;
use crate::table::{ROW_GROUP_ROWS, Table, TableError, instants, read_file, scan_or_empty, write_parquet};

/// What came of a list of contacts or conversations: spooled in one folder, or in one for each slice.
#[derive(Clone, Debug)]
pub struct Part {
    /// Each with the number of its chunks.
    folders: Vec<(PathBuf, usize)>,
    /// Of the list as a whole.
    pub record: WalkRecord,
}

impl Part {
    pub fn whole(folder: PathBuf, record: WalkRecord) -> Part {
        Part { folders: vec![(folder, record.chunks)], record }
    }

    /// With the totals that the whole list announced before and after.
    pub fn of_slices(slices: Vec<(PathBuf, WalkRecord)>, first_total: u64, last_total: Option<u64>) -> Part {
        let (folders, records): (Vec<PathBuf>, Vec<WalkRecord>) = slices.into_iter().unzip();
        let record = WalkRecord::of_slices(&records, first_total, last_total);
        Part { folders: folders.into_iter().zip(records.iter().map(|record| record.chunks)).collect(), record }
    }

    /// Its folders, each with the number of its chunks.
    pub(super) fn folders(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.folders.iter().map(|(folder, chunks)| (folder.as_path(), *chunks))
    }

    /// Folder and number of each chunk, in the order in which they came.
    fn chunks(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.folders.iter().flat_map(|(folder, chunks)| (0..*chunks).map(move |chunk| (folder.as_path(), chunk)))
    }
}

/// A cohort, and which walk of contacts holds its members.
#[derive(Clone, Debug)]
pub struct Cohort {
    pub key: String,
    pub walk: usize,
    /// Where the month's members are those of the walk who had the tag by then.
    pub tagged_before: Option<TaggedBefore>,
}

/// Everything that makes up a snapshot's tables.
#[derive(Clone, Debug)]
pub struct Assembly {
    /// Walks of contacts. Of a contact that several walks saw, the newest record is kept.
    pub walks: Vec<Part>,
    /// The walk whose contacts are the population, or `None` when all contacts are.
    pub population: Option<usize>,
    /// Sorted by key.
    pub cohorts: Vec<Cohort>,
    pub conversations: Option<Part>,
    /// The month whose conversations are taken.
    pub span: MonthSpan,
}

/// What was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The number of contacts that each walk was the first to hold.
    pub firsts: Vec<u64>,
    /// How often a later walk held a newer record of a contact than the walks before it.
    pub drifted: u64,
    /// The members of each cohort, in the order of the cohorts.
    pub members: Vec<u64>,
    /// Holders of each cohort's tag without a date, where dates decided.
    pub undated: Vec<u64>,
}

impl Assembly {
    /// Writes and lists all parts.
    pub fn write(&self, staging: &mut Staging) -> Result<Written, SnapshotError> {
        let (firsts, drifted) = self.write_contacts(staging)?;
        let members = self.write_members(staging)?;
        self.write_conversations(staging)?;
        let undated = |cohort: &Cohort| cohort.tagged_before.as_ref().map_or(Ok(0), TaggedBefore::undated);
        let undated = self.cohorts.iter().map(undated).collect::<Result<_, TableError>>()?;
        Ok(Written { firsts, drifted, members, undated })
    }

    fn write_contacts(&self, staging: &mut Staging) -> Result<(Vec<u64>, u64), SnapshotError> {
        // The population's own walk goes first: who is in it is known when a contact is met.
        let mut order: Vec<usize> = (0..self.walks.len()).collect();
        order.sort_by_key(|walk| self.population != Some(*walk));

        let records = Records::read(&order.iter().map(|walk| &self.walks[*walk]).collect::<Vec<_>>())?;
        let population = match self.population {
            Some(walk) => Some(self.walks[walk].ids()?),
            None => None,
        };
        let mut firsts = vec![0; self.walks.len()];
        let mut contacts = PartWriter::default();
        let mut place = 0;
        for &walk in &order {
            for (folder, chunk) in self.walks[walk].chunks() {
                let rows = read_file(&contacts_chunk(folder, chunk), &CONTACTS, None)?;
                let places = place..place + rows.height();
                place = places.end;
                firsts[walk] += places.clone().filter(|place| records.is_first[*place]).count() as u64;
                let counts = &records.counts[places];
                let counting = counts.iter().filter(|counts| **counts).count();
                if counting == 0 {
                    continue;
                }
                let mut attributes = read_file(&attributes_chunk(folder, chunk), &ATTRIBUTES, None)?;
                let mut rows = rows;
                if counting < counts.len() {
                    rows = rows.filter(&BooleanChunked::new("counts".into(), counts)).map_err(assembling)?;
                    let ids = rows.clone().lazy().select([col("contact_id")]);
                    attributes = collect(attributes.lazy().semi_join(ids, col("contact_id"), col("contact_id")))?;
                }
                if let Some(population) = &population {
                    let is_in: BooleanChunked =
                        text(&rows, "contact_id")?.iter().map(|id| Some(id.is_some_and(|id| population.holds(id)))).collect();
                    rows.with_column(is_in.with_name("in_population".into()).into_column()).map_err(assembling)?;
                }
                contacts.push(rows, attributes, staging)?;
            }
        }
        contacts.finish(staging)?;
        Ok((firsts, records.drifted))
    }

    fn write_members(&self, staging: &mut Staging) -> Result<Vec<u64>, SnapshotError> {
        let mut counts = Vec::with_capacity(self.cohorts.len());
        for (index, cohort) in self.cohorts.iter().enumerate() {
            let mut ids = members_of(&self.walks[cohort.walk])?;
            if let Some(tagged_before) = &cohort.tagged_before {
                ids = ids.semi_join(tagged_before.contacts()?, col("contact_id"), col("contact_id"));
            }
            let members = ids.select([lit(cohort.key.as_str()).alias("cohort_key"), col("contact_id")]);
            let members = collect(members.sort(["contact_id"], SortMultipleOptions::default()))?;
            counts.push(members.height() as u64);
            write_part(staging, &MEMBERS, index, &members)?;
        }
        if self.cohorts.is_empty() {
            write_part(staging, &MEMBERS, 0, &MEMBERS.empty())?;
        }
        Ok(counts)
    }

    fn write_conversations(&self, staging: &mut Staging) -> Result<(), SnapshotError> {
        let chunks = match &self.conversations {
            Some(part) => part.chunks().map(|(folder, chunk)| conversations_chunk(folder, chunk)).collect(),
            None => Vec::new(),
        };
        let all = scan_or_empty(&chunks, &CONVERSATIONS)?;
        // The walk may have been over several months.
        let bound = |at| lit(instants("bound", [Some(at)].into_iter()).take_materialized_series()).first();
        let in_month = col("created_at").gt_eq(bound(self.span.start)).and(col("created_at").lt(bound(self.span.end)));
        // The spool keeps a record that comes again only when it is newer.
        let newest = all.unique_stable_generic(Some(vec![col("conversation_id")]), UniqueKeepStrategy::Last);
        let rows = newest.filter(in_month).sort(["conversation_id"], SortMultipleOptions::default());
        write_part(staging, &CONVERSATIONS, 0, &collect(rows)?)
    }
}

/// The contacts that a walk of contacts holds, as a column `contact_id`.
pub fn members_of(part: &Part) -> Result<LazyFrame, TableError> {
    let of = |table: &'static Table, chunk: fn(&Path, usize) -> PathBuf| {
        let chunks: Vec<PathBuf> = part.chunks().map(|(folder, index)| chunk(folder, index)).collect();
        Ok::<_, TableError>(scan_or_empty(&chunks, table)?.select([col("contact_id")]))
    };
    let all = concat([of(&CONTACTS, contacts_chunk)?, of(&HELD, held_chunk)?], UnionArgs::default()).map_err(assembling)?;
    // A contact that changed while the list was read may be in two chunks.
    Ok(all.unique(None, UniqueKeepStrategy::Any))
}

/// Which of the records that were spooled count: of each contact the newest, and of equally new ones the first.
struct Records {
    /// By place among all that were spooled.
    counts: Vec<bool>,
    /// The first of its contact.
    is_first: Vec<bool>,
    drifted: u64,
}

impl Records {
    /// Read before any is written, in columns that are small.
    fn read(parts: &[&Part]) -> Result<Records, SnapshotError> {
        let rows = parts.iter().map(|part| part.record.rows + part.record.renewed).sum::<u64>() as usize;
        let mut records: Vec<(ContactId, Updated, u32)> = Vec::with_capacity(rows);
        for part in parts {
            for (folder, chunk) in part.chunks() {
                let rows = ids_of(&contacts_chunk(folder, chunk), &CONTACTS)?;
                for (id, updated) in rows {
                    let place = u32::try_from(records.len()).unwrap_or(u32::MAX);
                    records.push((ContactId::of(&id), updated, place));
                }
            }
        }
        let all = records.len();
        let mut told = Records { counts: vec![false; all], is_first: vec![false; all], drifted: 0 };
        // Those of a contact in their order.
        records.sort_unstable_by(|(one, _, at), (other, _, place)| one.cmp(other).then(at.cmp(place)));
        for same in records.chunk_by(|(one, ..), (other, ..)| one == other) {
            let (mut newest, mut counts) = (same[0].1, same[0].2);
            for (_, updated, place) in &same[1..] {
                if *updated > newest {
                    told.drifted += 1;
                    (newest, counts) = (*updated, *place);
                }
            }
            told.is_first[same[0].2 as usize] = true;
            told.counts[counts as usize] = true;
        }
        Ok(told)
    }
}

/// Members of these walks whose record no walk has: another list was to have it, and was followed anew since. By walk.
pub fn without_record(walks: &[Part]) -> Result<Vec<bool>, SnapshotError> {
    let mut all = IdSorted::default();
    for part in walks {
        for (folder, chunk) in part.chunks() {
            all.extend(ids_of(&contacts_chunk(folder, chunk), &CONTACTS)?);
        }
    }
    all.sort();
    let mut lacking = Vec::with_capacity(walks.len());
    for part in walks {
        let mut lacks = false;
        for (folder, chunk) in part.chunks() {
            lacks |= ids_of(&held_chunk(folder, chunk), &HELD)?.iter().any(|(id, _)| !all.holds(id));
        }
        lacking.push(lacks);
    }
    Ok(lacking)
}

impl Part {
    /// Everyone that the list holds.
    fn ids(&self) -> Result<IdSorted, SnapshotError> {
        let mut ids = IdSorted::default();
        for (folder, chunk) in self.chunks() {
            ids.extend(ids_of(&contacts_chunk(folder, chunk), &CONTACTS)?);
            ids.extend(ids_of(&held_chunk(folder, chunk), &HELD)?);
        }
        ids.sort();
        Ok(ids)
    }
}

/// Ids to look up.
#[derive(Default)]
struct IdSorted(Vec<ContactId>);

impl IdSorted {
    fn extend(&mut self, rows: Vec<(String, Updated)>) {
        self.0.extend(rows.iter().map(|(id, _)| ContactId::of(id)));
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
    }

    fn holds(&self, id: &str) -> bool {
        self.0.binary_search(&ContactId::of(id)).is_ok()
    }
}

/// Gathers contacts and their attributes until they fill a part.
#[derive(Default)]
struct PartWriter {
    contacts: Vec<DataFrame>,
    attributes: Vec<DataFrame>,
    rows: usize,
    parts: usize,
}

impl PartWriter {
    fn push(&mut self, contacts: DataFrame, attributes: DataFrame, staging: &mut Staging) -> Result<(), SnapshotError> {
        self.rows += contacts.height();
        self.contacts.push(contacts);
        self.attributes.push(attributes);
        if self.rows >= ROW_GROUP_ROWS { self.write(staging, ROW_GROUP_ROWS) } else { Ok(()) }
    }

    /// Writes the last part; the only one when there are no contacts at all.
    fn finish(mut self, staging: &mut Staging) -> Result<(), SnapshotError> {
        if self.rows > 0 || self.parts == 0 { self.write(staging, self.rows) } else { Ok(()) }
    }

    /// Writes a part of so many contacts, whatever chunks they came in: how a walk was interrupted shows in no file.
    fn write(&mut self, staging: &mut Staging, rows: usize) -> Result<(), SnapshotError> {
        let contacts = stacked(&mut self.contacts, &CONTACTS)?;
        let mut attributes = stacked(&mut self.attributes, &ATTRIBUTES)?;
        let (part, rest) = contacts.split_at(rows as i64);
        if rest.height() > 0 {
            let of = |attributes: &DataFrame, contacts: &DataFrame| {
                let ids = contacts.clone().lazy().select([col("contact_id")]);
                collect(attributes.clone().lazy().semi_join(ids, col("contact_id"), col("contact_id")))
            };
            self.attributes.push(of(&attributes, &rest)?);
            attributes = of(&attributes, &part)?;
        }
        self.rows = rest.height();
        self.contacts.push(rest);
        write_part(staging, &CONTACTS, self.parts, &sorted(part, &CONTACTS)?)?;
        write_part(staging, &ATTRIBUTES, self.parts, &sorted(attributes, &ATTRIBUTES)?)?;
        self.parts += 1;
        Ok(())
    }
}

fn stacked(frames: &mut Vec<DataFrame>, table: &Table) -> Result<DataFrame, SnapshotError> {
    let mut all = table.empty();
    for frame in frames.drain(..) {
        all.vstack_mut(&table.conform(&frame).map_err(assembling)?).map_err(assembling)?;
    }
    Ok(all)
}

fn sorted(rows: DataFrame, table: &Table) -> Result<DataFrame, SnapshotError> {
    Ok(rows.sort(table.key.iter().copied(), SortMultipleOptions::default()).map_err(assembling)?)
}

fn write_part(staging: &mut Staging, table: &Table, index: usize, rows: &DataFrame) -> Result<(), SnapshotError> {
    let relative = format!("{}/part-{index:04}.parquet", table.name);
    let rows = write_parquet(rows, table, &staging.place(&relative)?)?;
    Ok(staging.list(&relative, rows)?)
}

fn text<'a>(frame: &'a DataFrame, name: &str) -> Result<&'a StringChunked, SnapshotError> {
    Ok(frame.column(name).and_then(|column| column.str()).map_err(assembling)?)
}

fn collect(plan: LazyFrame) -> Result<DataFrame, SnapshotError> {
    Ok(plan.collect().map_err(assembling)?)
}

fn assembling(error: PolarsError) -> TableError {
    TableError::new("put together", "the spooled walks", error)
}
