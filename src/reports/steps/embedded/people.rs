//! The reports with a row for each member: rows are put together while they are written.

use std::collections::{BTreeSet, HashMap};

use polars::prelude::*;

use super::super::tables::{COHORTS, CONTACTS_BEFORE, STANDING, THIS_MONTH};
use super::Embedded;
use super::columns::positions;
use super::facts::conversations_by_contact;
use super::merge::DEPARTED;
use archive::engine::Polars;
use archive::snapshot::CONTACTS;
use archive::table::{Gather, Source, Table};

/// The columns of `members` that are a contact's record.
pub(super) const RECORD: [&str; 9] =
    ["external_id", "email", "name", "role", "last_seen_at", "signed_up_at", "created_at", "unsubscribed_from_emails", "country"];
/// The columns of `members` that are in `standing`.
const OF_STANDING: [&str; 3] = ["change", "entered_month", "months_in_cohort"];

/// Gives the rows of members.sql.
pub(crate) fn members(table: &'static Table, engine: &Embedded) -> PolarsResult<Gather> {
    let tables = engine.tables();
    let standing = tables.table(STANDING.name)?;
    let cohorts = tables.table(COHORTS.name)?;
    let keys = cohorts.column("cohort_key")?.str()?;
    let row_of: HashMap<Option<&str>, u32> = keys.iter().zip(0..).collect();
    let cohort_rows = known(standing.column("cohort_key")?.str()?.iter().map(|key| row_of.get(&key).copied()))?;
    let (records, record_of) = records(tables, standing.column("contact_id")?.u32()?)?;
    let record_rows = known(standing.column("contact_id")?.u32()?.iter().map(|contact| Some(record_of[contact? as usize])))?;
    let sources = vec![
        Source::Constant(tables.table(THIS_MONTH.name)?.select(["month"])?),
        Source::Lookup(cohorts.select(["cohort_key", "cohort_name"])?, cohort_rows),
        Source::Lookup(records, record_rows),
        Source::Rows(standing.select(OF_STANDING)?),
    ];
    Gather::new(table, standing.height(), sources)
}

/// The records of all observed contacts, and the last record of each contact in `standing` that is gone. Also the row of the record, by the
/// number of the contact.
fn records(tables: &Polars, in_standing: &UInt32Chunked) -> PolarsResult<(DataFrame, Vec<u32>)> {
    const NONE: u32 = u32::MAX;
    let mut record_of = vec![NONE; tables.numbers().count()];
    let contacts = tables.table(CONTACTS.name)?;
    let here = contacts.column("contact_id")?.u32()?;
    for (contact, row) in here.iter().zip(0..) {
        if let Some(contact) = contact {
            record_of[contact as usize] = row;
        }
    }
    let is_gone = |contact: &u32| record_of[*contact as usize] == NONE;
    let gone: BTreeSet<u32> = in_standing.iter().flatten().filter(is_gone).collect();
    let before = tables.table(CONTACTS_BEFORE.name)?;
    let months = before.column("month")?.date()?.physical().clone();
    let mut newest: HashMap<u32, (Option<i32>, IdxSize)> = HashMap::new();
    for (row, contact) in before.column("contact_id")?.u32()?.iter().enumerate() {
        if let Some(contact) = contact.filter(|contact| gone.contains(contact)) {
            let found = (months.get(row), row as IdxSize);
            newest.entry(contact).and_modify(|last| *last = found.max(*last)).or_insert(found);
        }
    }
    let last: IdxCa = gone.iter().map(|contact| newest.get(contact).map(|(_, row)| *row)).collect();
    let mut records = contacts.select(RECORD)?;
    records.vstack_mut_owned(before.select(RECORD)?.take(&last)?)?;
    gone.iter().zip(contacts.height() as u32..).for_each(|(contact, row)| record_of[*contact as usize] = row);

    let numbers: IdxCa = here.iter().chain(gone.iter().map(|contact| Some(*contact))).collect();
    records.with_column(tables.numbers().ids().take(&numbers)?.with_name("contact_id".into()).into_column())?;
    records.with_column(conversations(tables, &numbers)?)?;
    Ok((records, record_of))
}

/// The conversations of the month that each of these contacts opened; null if the job fetches none.
fn conversations(tables: &Polars, contacts: &IdxCa) -> PolarsResult<Column> {
    let name = PlSmallStr::from_static("conversations_opened");
    let cohorts = tables.table(COHORTS.name)?;
    if !cohorts.column("has_conversations")?.bool()?.all() {
        return Ok(Column::full_null(name, contacts.len(), &DataType::Int64));
    }
    let of_contacts = conversations_by_contact(tables)?;
    let counts = contacts.iter().map(|contact| contact.map(|contact| of_contacts[contact as usize]));
    Ok(counts.collect::<Int64Chunked>().with_name(name).into_column())
}

/// Gives the rows of member_attributes.sql.
pub(crate) fn member_attributes(table: &'static Table, engine: &Embedded) -> PolarsResult<Gather> {
    let (tables, attributes) = (engine.tables(), engine.attributes());
    let standing = tables.table(STANDING.name)?;
    let mut is_member = vec![false; tables.numbers().count()];
    for (contact, change) in standing.column("contact_id")?.u32()?.iter().zip(standing.column("change")?.str()?.iter()) {
        if let Some(contact) = contact.filter(|_| change != Some(DEPARTED)) {
            is_member[contact as usize] = true;
        }
    }
    let members: Vec<u32> = is_member.iter().zip(0..).filter(|(is_member, _)| **is_member).map(|(_, contact)| contact).collect();
    // The values of all attributes, one attribute after another.
    let mut values = table.empty().select(["attribute", "value", "value_number"])?;
    let mut begins = Vec::new();
    for attribute in attributes {
        let count = attribute.values.len();
        begins.push(values.height() as u32);
        let of_attribute = vec![
            Column::new_scalar("attribute".into(), Scalar::from(PlSmallStr::from_str(&attribute.attribute)), count),
            attribute.values.clone().into_column(),
            attribute.numbers.clone().into_column(),
        ];
        values.vstack_mut_owned(DataFrame::new(count, of_attribute)?)?;
    }
    let rows = members.len() * attributes.len();
    let mut value_rows = Vec::with_capacity(rows);
    for contact in &members {
        value_rows.extend(attributes.iter().zip(&begins).map(|(attribute, begin)| begin + attribute.codes[*contact as usize]));
    }
    let contact_rows = members.iter().flat_map(|contact| std::iter::repeat_n(*contact, attributes.len())).collect();
    let ids = tables.numbers().ids().clone().with_name("contact_id".into()).into_column();
    let sources = vec![
        Source::Constant(tables.table(THIS_MONTH.name)?.select(["month"])?),
        Source::Lookup(DataFrame::new(ids.len(), vec![ids])?, positions(contact_rows)),
        Source::Lookup(values, positions(value_rows)),
    ];
    Gather::new(table, rows, sources)
}

/// The rows as positions. It is an error if one of them is unknown.
fn known(rows: impl Iterator<Item = Option<u32>>) -> PolarsResult<UInt32Chunked> {
    let rows: Option<Vec<u32>> = rows.collect();
    let rows = rows.ok_or_else(|| polars_err!(ComputeError: "a row of `standing` is of a cohort that the month does not have"))?;
    Ok(positions(rows))
}
