//! The attributes of the job's profile as dictionaries: each value is stored once, and a contact has the code of its value.

use std::collections::HashMap;

use polars::prelude::*;

use super::super::tables::{PROFILE, SIGNATURES, THIS_MONTH};
use archive::engine::Polars;
use archive::snapshot::{ATTRIBUTES, CONTACTS};

/// An attribute. Code 0 means that the contact has no value.
pub(super) struct Coded {
    pub(super) attribute: String,
    /// The code of each contact, by number.
    pub(super) codes: Vec<u32>,
    /// The value of each code. A number and a text with the same characters have two codes.
    pub(super) values: StringChunked,
    pub(super) numbers: Float64Chunked,
}

/// The attributes in the order of their names.
pub(super) fn coded(tables: &Polars) -> PolarsResult<Vec<Coded>> {
    let profile = tables.table(PROFILE.name)?;
    let names = profile.column("attribute")?.str()?.iter();
    let custom = profile.column("custom_name")?.str()?.iter();
    let mut all: Vec<(String, Option<&str>)> =
        names.zip(custom).map(|(name, custom)| (name.unwrap_or_default().to_string(), custom)).collect();
    all.sort();
    let count = tables.numbers().count();
    let mut of_custom: HashMap<&str, Dictionary<'_>> =
        all.iter().filter_map(|(_, custom)| Some(((*custom)?, Dictionary::new(count)))).collect();
    let attributes = tables.table(ATTRIBUTES.name)?;
    let contacts = attributes.column("contact_id")?.u32()?.iter();
    let values = attributes.column("value")?.str()?.iter().zip(attributes.column("value_number")?.f64()?.iter());
    for ((contact, name), (value, number)) in contacts.zip(attributes.column("attribute")?.str()?.iter()).zip(values) {
        if let (Some(contact), Some(value), Some(of)) = (contact, value, name.and_then(|name| of_custom.get_mut(name))) {
            of.add(contact, value, number);
        }
    }
    let contacts = tables.table(CONTACTS.name)?;
    let of_column = |name: &str| -> PolarsResult<Coded> {
        let mut of = Dictionary::new(count);
        let numbers = contacts.column("contact_id")?.u32()?.iter();
        let values = contacts.column(name)?;
        match values.dtype() {
            DataType::Boolean => {
                for (contact, flag) in numbers.zip(values.bool()?.iter()) {
                    if let (Some(contact), Some(flag)) = (contact, flag) {
                        of.add(contact, if flag { "true" } else { "false" }, None);
                    }
                }
            }
            _ => {
                for (contact, value) in numbers.zip(values.str()?.iter()) {
                    if let (Some(contact), Some(value)) = (contact, value) {
                        of.add(contact, value, None);
                    }
                }
            }
        }
        Ok(of.coded(name.to_string()))
    };
    let coded = all.iter().map(|(name, custom)| match custom.and_then(|custom| of_custom.remove(custom)) {
        Some(of) => Ok(of.coded(name.clone())),
        None => of_column(name),
    });
    coded.collect()
}

struct Dictionary<'a> {
    codes: Vec<u32>,
    /// The code of each text, and of each text that is a number.
    known: [PlHashMap<&'a str, u32>; 2],
    values: Vec<Option<&'a str>>,
    numbers: Vec<Option<f64>>,
}

impl<'a> Dictionary<'a> {
    fn new(contacts: usize) -> Dictionary<'a> {
        Dictionary { codes: vec![0; contacts], known: Default::default(), values: vec![None], numbers: vec![None] }
    }

    fn add(&mut self, contact: u32, value: &'a str, number: Option<f64>) {
        let Dictionary { codes, known, values, numbers } = self;
        codes[contact as usize] = *known[usize::from(number.is_some())].entry(value).or_insert_with(|| {
            values.push(Some(value));
            numbers.push(number);
            values.len() as u32 - 1
        });
    }

    fn coded(self, attribute: String) -> Coded {
        let values = StringChunked::from_iter_options("value".into(), self.values.into_iter());
        Coded { attribute, codes: self.codes, values, numbers: Float64Chunked::from_slice_options("value_number".into(), &self.numbers) }
    }
}

/// As described.sql.
pub(super) fn described(tables: &Polars) -> PolarsResult<DataFrame> {
    let people = Population::read(tables)?;
    let everyone = Coded {
        attribute: String::new(),
        codes: vec![0; tables.numbers().count()],
        values: StringChunked::from_slice_options("value".into(), &[None::<&str>]),
        numbers: Float64Chunked::from_slice_options("value_number".into(), &[None]),
    };
    let mut rows = people.with_values(&everyone, |_| true)?;
    for attribute in coded(tables)? {
        rows.vstack_mut_owned(people.with_values(&attribute, |code| code > 0)?)?;
    }
    rows.rechunk_mut();
    Ok(rows)
}

/// The contacts of the population that were created before the month's end.
struct Population {
    contacts: Vec<u32>,
    /// The signature and the role of each of them, as one number.
    groups: Vec<u64>,
    roles: Vec<String>,
}

/// In a group's number: the lowest bits are the role, the others are the signature plus one, or zero.
const ROLE_BITS: u32 = 2;

impl Population {
    fn read(tables: &Polars) -> PolarsResult<Population> {
        let mut signature_of = vec![0_u64; tables.numbers().count()];
        let signatures = tables.table(SIGNATURES.name)?;
        for (contact, signature) in signatures.column("contact_id")?.u32()?.iter().zip(signatures.column("signature")?.u32()?.iter()) {
            if let (Some(contact), Some(signature)) = (contact, signature) {
                signature_of[contact as usize] = u64::from(signature) + 1;
            }
        }
        let month_end = tables.table(THIS_MONTH.name)?.column("month_end")?.datetime()?.physical().get(0);
        let frame = tables.table(CONTACTS.name)?;
        let facts = frame.column("in_population")?.bool()?.iter().zip(frame.column("created_at")?.datetime()?.physical().iter());
        let contacts = frame.column("contact_id")?.u32()?.iter().zip(frame.column("role")?.str()?.iter());
        let mut all = Population { contacts: Vec::new(), groups: Vec::new(), roles: Vec::new() };
        for ((contact, role), (in_population, created_at)) in contacts.zip(facts) {
            let is_in_time = created_at.is_none() || created_at < month_end;
            let Some(contact) = contact.filter(|_| in_population == Some(true) && is_in_time) else { continue };
            let role = role.unwrap_or_default();
            let role = all.roles.iter().position(|known| known == role).unwrap_or_else(|| {
                all.roles.push(role.to_string());
                all.roles.len() - 1
            });
            all.contacts.push(contact);
            all.groups.push(signature_of[contact as usize] << ROLE_BITS | role as u64);
        }
        if all.roles.len() > 1 << ROLE_BITS {
            return Err(polars_err!(ComputeError: "contacts have more than {} roles", 1 << ROLE_BITS));
        }
        Ok(all)
    }

    /// Counts the contacts of each group with each value of the attribute.
    fn with_values(&self, attribute: &Coded, counts: impl Fn(usize) -> bool) -> PolarsResult<DataFrame> {
        // The codes of one text: a number and a text with the same characters count as one value.
        let mut first: PlHashMap<Option<&str>, u32> = PlHashMap::default();
        let text_of: Vec<u32> = attribute.values.iter().zip(0..).map(|(text, code)| *first.entry(text).or_insert(code)).collect();
        let number_of: Vec<Option<f64>> = attribute.numbers.iter().collect();
        let mut counted: PlHashMap<(u64, u32), Counted> = PlHashMap::default();
        for (contact, group) in self.contacts.iter().zip(&self.groups) {
            let code = attribute.codes[*contact as usize] as usize;
            if counts(code) {
                let value = counted.entry((*group, text_of[code])).or_default();
                value.contacts += 1;
                value.numbers += i64::from(number_of[code].is_some());
                value.number = number_of[code].map(|number| value.number.map_or(number, |greatest| greatest.max(number))).or(value.number);
            }
        }
        let mut of_rows: Vec<((u64, u32), Counted)> = counted.into_iter().collect();
        of_rows.sort_unstable_by_key(|(key, _)| *key);
        let (keys, counted): (Vec<(u64, u32)>, Vec<Counted>) = of_rows.into_iter().unzip();
        let signature = |(group, _): &(u64, u32)| (group >> ROLE_BITS).checked_sub(1).map(|signature| signature as u32);
        let role = |(group, _): &(u64, u32)| (group & ((1 << ROLE_BITS) - 1)) as u32;
        let at = |index: &dyn Fn(&(u64, u32)) -> u32| UInt32Chunked::from_vec("at".into(), keys.iter().map(index).collect());
        DataFrame::new(
            keys.len(),
            vec![
                Column::new("signature".into(), keys.iter().map(signature).collect::<Vec<_>>()),
                StringChunked::from_slice("role".into(), &self.roles).take(&at(&role))?.into_column(),
                Column::new_scalar("attribute".into(), Scalar::from(PlSmallStr::from_str(&attribute.attribute)), keys.len()),
                attribute.values.take(&at(&|(_, code)| *code))?.into_column(),
                Column::new("value_number".into(), counted.iter().map(|value| value.number).collect::<Vec<_>>()),
                Column::new("contacts".into(), counted.iter().map(|value| value.contacts).collect::<Vec<_>>()),
                Column::new("numbers".into(), counted.iter().map(|value| value.numbers).collect::<Vec<_>>()),
            ],
        )
    }
}

#[derive(Default)]
struct Counted {
    contacts: i64,
    numbers: i64,
    number: Option<f64>,
}
