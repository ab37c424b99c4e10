//! The attributes of the job's profile as dictionaries: each value is stored once, and a contact has the code of its value. Also the step
//! `profiles`, which counts the codes.

use std::collections::HashMap;

use polars::prelude::*;

use super::super::tables::{KEPT_MONTHS, PROFILE, PROFILES_BEFORE, STANDING, THIS_MONTH};
use super::columns::{self, texts};
use super::facts::Facts;
use super::merge::DEPARTED;
use crate::history::PROFILES;
use archive::engine::Polars;
use archive::snapshot::{ATTRIBUTES, CONTACTS};
use archive::table::in_order;

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
    /// The codes of values that are no numbers, and the codes of numbers; both by the text of the value.
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

/// Gives the rows of profiles.sql.
pub(super) fn profiles(tables: &Polars, facts: &Facts, attributes: &[Coded]) -> PolarsResult<DataFrame> {
    let standing = tables.table(STANDING.name)?;
    let keys = standing.column("cohort_key")?.str()?;
    let contacts = standing.column("contact_id")?.u32()?;
    let changes = standing.column("change")?.str()?;
    // The population itself has the empty key.
    let mut groups: Vec<(&str, Vec<u32>)> = vec![("", facts.population.clone())];
    for ((key, contact), change) in keys.iter().zip(contacts.iter()).zip(changes.iter()) {
        let (Some(key), Some(contact)) = (key, contact) else { continue };
        if groups.last().is_none_or(|(last, _)| *last != key) {
            groups.push((key, Vec::new()));
        }
        if let Some((_, members)) = groups.last_mut()
            && change != Some(DEPARTED)
            && facts.is_in_population(contact)
        {
            members.push(contact);
        }
    }
    let everyone = Coded {
        attribute: String::new(),
        codes: vec![0; tables.numbers().count()],
        values: StringChunked::from_slice_options("value".into(), &[None::<&str>]),
        numbers: Float64Chunked::from_slice_options("value_number".into(), &[None]),
    };
    let month = tables.table(THIS_MONTH.name)?.column("month")?.get(0)?.into_static();
    let mut rows = PROFILES.empty();
    for (attribute, counts_without_value) in std::iter::once((&everyone, true)).chain(attributes.iter().map(|attribute| (attribute, false)))
    {
        rows.vstack_mut_owned(with_values(attribute, counts_without_value, &groups, facts, &month)?)?;
    }
    let before = tables.table(PROFILES_BEFORE.name)?;
    let kept = tables.table(KEPT_MONTHS.name)?.column("month")?.date()?.physical().iter().collect::<Vec<_>>();
    let of_cohorts = before.column("cohort_key")?.str()?.iter().map(|key| key != Some(""));
    let is_kept = before.column("month")?.date()?.physical().iter().zip(of_cohorts).map(|(month, is)| is && kept.contains(&month));
    rows.vstack_mut_owned(before.filter(&is_kept.collect())?)?;
    in_order(rows, &PROFILES)
}

/// Counts the contacts of each group with each value of the attribute, by role.
fn with_values(
    attribute: &Coded,
    counts_without_value: bool,
    groups: &[(&str, Vec<u32>)],
    facts: &Facts,
    month: &AnyValue<'static>,
) -> PolarsResult<DataFrame> {
    // The first code of each text. A number and a text with the same characters have two codes, but count as one value with the first of
    // the two codes.
    let mut first: PlHashMap<Option<&str>, u32> = PlHashMap::default();
    let text_of: Vec<u32> = attribute.values.iter().zip(0..).map(|(text, code)| *first.entry(text).or_insert(code)).collect();
    let number_of: Vec<Option<f64>> = attribute.numbers.iter().collect();
    let mut numbers_of_text = vec![None; text_of.len()];
    text_of.iter().zip(&number_of).for_each(|(text, number)| numbers_of_text[*text as usize] = number.or(numbers_of_text[*text as usize]));

    let roles = facts.roles.len();
    let mut counted = vec![(0_i64, 0_i64); text_of.len() * roles];
    let mut found: Vec<u32> = Vec::new();
    let (mut of_groups, mut of_roles, mut of_values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut value_numbers, mut contacts, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (group, (_, members)) in groups.iter().enumerate() {
        for contact in members {
            let code = attribute.codes[*contact as usize] as usize;
            if code == 0 && !counts_without_value {
                continue;
            }
            let at = text_of[code] as usize * roles + facts.role(*contact);
            let (with_value, with_number) = &mut counted[at];
            if *with_value == 0 {
                found.push(at as u32);
            }
            *with_value += 1;
            *with_number += i64::from(number_of[code].is_some());
        }
        for at in found.drain(..) {
            let (value, role) = (at as usize / roles, at as usize % roles);
            let (with_value, with_number) = std::mem::take(&mut counted[at as usize]);
            of_groups.push(group as u32);
            of_roles.push(role as u32);
            of_values.push(value as u32);
            value_numbers.push(numbers_of_text[value].filter(|_| with_value == with_number));
            contacts.push(with_value);
            numbers.push(with_number);
        }
    }
    let n = contacts.len();
    let keys: Vec<&str> = groups.iter().map(|(key, _)| *key).collect();
    DataFrame::new(
        n,
        vec![
            Column::new_scalar("month".into(), Scalar::new(DataType::Date, month.clone()), n),
            texts("cohort_key", &columns::of(&keys), of_groups)?,
            Column::new_scalar("attribute".into(), Scalar::from(PlSmallStr::from_str(&attribute.attribute)), n),
            texts("role", &StringChunked::from_slice_options("".into(), &facts.roles), of_roles)?,
            texts("value", &attribute.values, of_values)?,
            Column::new("value_number".into(), value_numbers),
            Column::new("contacts".into(), contacts),
            Column::new("numbers".into(), numbers),
        ],
    )
}
