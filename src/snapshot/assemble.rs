//! Spooled walks → the tables of a snapshot. Chunk by chunk, so that memory holds a part and never a table; in the
//! order of the plan, so that the same walks give the same bytes however they were interleaved.

use std::path::PathBuf;

use polars::prelude::*;

use super::ids::IdSet;
use super::spool::{attributes_chunk, contacts_chunk, conversations_chunk};
use super::tables::{ATTRIBUTES, CONTACTS, CONVERSATIONS, MEMBERS};
use super::{SnapshotError, TaggedBefore, WalkRecord};
use crate::domain::MonthSpan;
use crate::publish::Staging;
use crate::table::{ROW_GROUP_ROWS, Table, TableError, instants, scan, scan_or_empty, write_parquet};

/// One finished walk of contacts or conversations.
#[derive(Clone, Debug)]
pub struct Part {
    pub folder: PathBuf,
    pub record: WalkRecord,
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
    /// Walks of contacts. Of a contact that several walks saw, the first one's record is kept.
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
    /// The members of each cohort, in the order of the cohorts.
    pub members: Vec<u64>,
    /// Holders of each cohort's tag without a date, where dates decided.
    pub undated: Vec<u64>,
}

impl Assembly {
    /// Writes and lists all parts.
    pub fn write(&self, staging: &mut Staging) -> Result<Written, SnapshotError> {
        let firsts = self.write_contacts(staging)?;
        let members = self.write_members(staging)?;
        self.write_conversations(staging)?;
        let undated = |cohort: &Cohort| cohort.tagged_before.as_ref().map_or(Ok(0), TaggedBefore::undated);
        let undated = self.cohorts.iter().map(undated).collect::<Result<_, TableError>>()?;
        Ok(Written { firsts, members, undated })
    }

    fn write_contacts(&self, staging: &mut Staging) -> Result<Vec<u64>, SnapshotError> {
        let mut seen = IdSet::default();
        let mut firsts = vec![0; self.walks.len()];
        let mut contacts = PartWriter::default();
        // The population's own walk goes first: who is in it is known when a contact is met.
        let mut order: Vec<usize> = (0..self.walks.len()).collect();
        order.sort_by_key(|walk| self.population != Some(*walk));
        for walk in order {
            let part = &self.walks[walk];
            let in_population = self.population.is_none_or(|population| population == walk);
            for chunk in 0..part.record.chunks {
                let rows = collect(scan(&[contacts_chunk(&part.folder, chunk)], &CONTACTS)?)?;
                let mut attributes = collect(scan(&[attributes_chunk(&part.folder, chunk)], &ATTRIBUTES)?)?;
                let is_new: BooleanChunked =
                    text(&rows, "contact_id")?.iter().map(|id| Some(id.is_some_and(|id| seen.insert(id)))).collect();
                let new_rows = is_new.sum().unwrap_or_default() as usize;
                let mut rows = rows;
                if new_rows < rows.height() {
                    rows = rows.filter(&is_new).map_err(assembling)?;
                    let ids = rows.clone().lazy().select([col("contact_id")]);
                    attributes = collect(attributes.lazy().semi_join(ids, col("contact_id"), col("contact_id")))?;
                }
                firsts[walk] += rows.height() as u64;
                let flag = BooleanChunked::full("in_population".into(), in_population, rows.height());
                rows.with_column(flag.into_column()).map_err(assembling)?;
                contacts.push(rows, attributes, staging)?;
            }
        }
        contacts.finish(staging)?;
        Ok(firsts)
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
            Some(part) => (0..part.record.chunks).map(|chunk| conversations_chunk(&part.folder, chunk)).collect(),
            None => Vec::new(),
        };
        let all = scan_or_empty(&chunks, &CONVERSATIONS)?;
        // The walk may have been over several months.
        let bound = |at| lit(instants("bound", [Some(at)].into_iter()).take_materialized_series()).first();
        let in_month = col("created_at").gt_eq(bound(self.span.start)).and(col("created_at").lt(bound(self.span.end)));
        let rows = all.filter(in_month).sort(["conversation_id"], SortMultipleOptions::default());
        write_part(staging, &CONVERSATIONS, 0, &collect(rows)?)
    }
}

/// The contacts that a walk of contacts holds, as a column `contact_id`.
pub fn members_of(part: &Part) -> Result<LazyFrame, TableError> {
    let chunks: Vec<PathBuf> = (0..part.record.chunks).map(|chunk| contacts_chunk(&part.folder, chunk)).collect();
    Ok(scan_or_empty(&chunks, &CONTACTS)?.select([col("contact_id")]))
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
        if self.rows >= ROW_GROUP_ROWS { self.flush(staging) } else { Ok(()) }
    }

    /// Writes the last part; the only one when there are no contacts at all.
    fn finish(mut self, staging: &mut Staging) -> Result<(), SnapshotError> {
        if self.rows > 0 || self.parts == 0 { self.flush(staging) } else { Ok(()) }
    }

    fn flush(&mut self, staging: &mut Staging) -> Result<(), SnapshotError> {
        let sorted = |frames: &mut Vec<DataFrame>, table: &Table, by: &[&str]| -> Result<DataFrame, SnapshotError> {
            let mut all = table.empty();
            for frame in frames.drain(..) {
                all.vstack_mut(&table.conform(&frame).map_err(assembling)?).map_err(assembling)?;
            }
            Ok(all.sort(by.iter().copied(), SortMultipleOptions::default()).map_err(assembling)?)
        };
        let contacts = sorted(&mut self.contacts, &CONTACTS, CONTACTS.key)?;
        write_part(staging, &CONTACTS, self.parts, &contacts)?;
        let attributes = sorted(&mut self.attributes, &ATTRIBUTES, ATTRIBUTES.key)?;
        write_part(staging, &ATTRIBUTES, self.parts, &attributes)?;
        self.rows = 0;
        self.parts += 1;
        Ok(())
    }
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
