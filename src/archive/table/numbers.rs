//! Replaces the IDs of contacts by numbers while tables are counted. A number takes a sixth of the memory of the text, and can be used as
//! an index into a table, without a search. Numbers have the same order as the texts, so a table that is sorted by numbers is also sorted
//! by texts.

use std::collections::HashMap;
use std::sync::Arc;

use compact_str::CompactString;
use polars::prelude::*;

use super::{Kind, Table, TableError};
use domain::{ContactId, ContactIds};

/// The type of a contact's number.
pub(super) const NUMBER: DataType = DataType::UInt32;

/// A number for each contact of some tables, from 0 and less than [`ContactNumbers::count`]. Queries use these numbers; files contain the
/// contacts' IDs as texts.
#[derive(Clone, Debug, Default)]
pub struct ContactNumbers {
    /// A contact's number is its position here.
    ids: Arc<ContactIds>,
    texts: StringChunked,
}

impl ContactNumbers {
    /// The tables with numbers for contacts; null stays null. This is fastest if the first table has most of the contacts, in order. The
    /// next table is taken from the iterator after the texts of the table before it were freed.
    ///
    /// # Errors
    /// When a table is an error or lacks a column of contacts.
    pub fn of<'a>(
        tables: impl Iterator<Item = Result<(&'a Table, Unnumbered), TableError>>,
    ) -> Result<(ContactNumbers, Vec<DataFrame>), TableError> {
        let failed = |error| TableError::new("number", "the contacts of the tables", error);
        let mut numbering = Numbering::default();
        let mut numbered = Vec::new();
        for table in tables {
            let (table, rows) = table?;
            numbered.push((table, numbering.table(table, rows).map_err(failed)?));
        }
        let (numbers, last) = numbering.finish().map_err(failed)?;
        let renumbered = |(table, mut frame): (&Table, DataFrame)| {
            if let Some(last) = &last {
                for name in contact_columns(table) {
                    let numbers: UInt32Chunked =
                        frame.column(name)?.u32()?.apply_nonnull_values_generic(NUMBER, |number| last[number as usize]);
                    frame.with_column(numbers.into_column())?;
                }
            }
            Ok(frame)
        };
        let numbered = numbered.into_iter().map(renumbered).collect::<PolarsResult<_>>().map_err(failed)?;
        Ok((numbers, numbered))
    }

    /// How many contacts have a number.
    pub fn count(&self) -> usize {
        self.ids.len()
    }

    /// The IDs of all contacts, in the order of their numbers.
    pub fn ids(&self) -> &StringChunked {
        &self.texts
    }

    /// The table's rows with texts instead of numbers for contacts. Contacts that are already texts do not change.
    ///
    /// # Errors
    /// When the rows lack a column of contacts, or hold a number that no contact has.
    pub fn texts(&self, mut rows: DataFrame, table: &Table) -> PolarsResult<DataFrame> {
        for name in contact_columns(table) {
            let column = rows.column(name)?;
            if column.dtype() == &NUMBER {
                let texts = self.texts.take(column.u32()?)?.with_name(name.into());
                rows.with_column(texts.into_column())?;
            }
        }
        Ok(rows)
    }
}

/// A table's rows before they are numbered.
pub struct Unnumbered {
    pub frame: DataFrame,
    /// The numbering of the frame, if its contacts are numbers already; `None` if they are texts.
    pub numbers: Option<ContactNumbers>,
}

/// Gives numbers to contacts in the order in which they come. If later columns have contacts that the first column lacks, all numbers are
/// replaced at the end, so that they have the order of the texts.
#[derive(Default)]
struct Numbering {
    known: ContactIds,
    others: HashMap<ContactId, u32>,
    /// The other contacts in the order of their numbers.
    found: Vec<ContactId>,
}

impl Numbering {
    fn table(&mut self, table: &Table, rows: Unnumbered) -> PolarsResult<DataFrame> {
        let Unnumbered { mut frame, numbers } = rows;
        for name in contact_columns(table) {
            let column = frame.column(name)?;
            let numbered = match &numbers {
                None => self.of_texts(column.str()?),
                Some(before) => self.of_numbers(column.u32()?, before),
            };
            frame.with_column(numbered.with_name(name.into()).into_column())?;
        }
        Ok(frame)
    }

    fn of_texts(&mut self, texts: &StringChunked) -> UInt32Chunked {
        self.begin_with(texts.iter().flatten().map(ContactId::of));
        let mut near = 0;
        texts.iter().map(|text| text.map(|text| self.number(&ContactId::of(text), &mut near))).collect()
    }

    fn of_numbers(&mut self, numbers: &UInt32Chunked, before: &ContactNumbers) -> UInt32Chunked {
        // Contacts that no row uses any more get no number.
        let mut is_used = vec![false; before.count()];
        numbers.iter().flatten().for_each(|number| is_used[number as usize] = true);
        let all = || before.ids.iter().zip(&is_used);
        self.begin_with(all().filter(|(_, is_used)| **is_used).map(|(id, _)| id.clone()));
        let mut near = 0;
        let now: Vec<u32> = all().map(|(id, is_used)| if *is_used { self.number(id, &mut near) } else { 0 }).collect();
        numbers.apply_nonnull_values_generic(NUMBER, |number| now[number as usize])
    }

    fn begin_with(&mut self, ids: impl Iterator<Item = ContactId>) {
        if self.known.is_empty() && self.found.is_empty() {
            self.known = ContactIds::from(ids.collect::<Vec<_>>());
        }
    }

    fn number(&mut self, id: &ContactId, near: &mut usize) -> u32 {
        if let Some(position) = self.known.position(id, *near) {
            *near = position;
            return position as u32;
        }
        if let Some(number) = self.others.get(id) {
            return *number;
        }
        let number = (self.known.len() + self.found.len()) as u32;
        self.others.insert(id.clone(), number);
        self.found.push(id.clone());
        number
    }

    /// The final numbers. If they differ from the numbers given so far, also the final number for each number given so far.
    fn finish(self) -> PolarsResult<(ContactNumbers, Option<Vec<u32>>)> {
        let Numbering { known, found, .. } = self;
        if u32::try_from(known.len() + found.len()).is_err() {
            return Err(polars_err!(ComputeError: "there are more than {} contacts", u32::MAX));
        }
        let before: Vec<ContactId> = if found.is_empty() { Vec::new() } else { known.iter().chain(&found).cloned().collect() };
        let ids = known.with(found);
        let mut near = 0;
        let mut last = |id: &ContactId| {
            near = ids.position(id, near).unwrap_or_default();
            near as u32
        };
        let last = (!before.is_empty()).then(|| before.iter().map(&mut last).collect());
        let texts: Vec<CompactString> = ids.texts().collect();
        let texts = StringChunked::from_iter_values("contact_id".into(), texts.iter().map(CompactString::as_str));
        Ok((ContactNumbers { ids: Arc::new(ids), texts }, last))
    }
}

fn contact_columns<'a>(table: &'a Table) -> impl Iterator<Item = &'static str> + use<'a> {
    table.columns.iter().filter(|column| column.kind == Kind::Contact).map(|column| column.name)
}

#[cfg(test)]
mod tests {
    use super::super::Column as Entry;
    use super::*;

    const OPENED: Table = Table {
        name: "opened",
        row: "a sample",
        key: &["contact_id"],
        columns: &[Entry::new("contact_id", Kind::Contact, "who"), Entry::new("opened_by", Kind::Contact, "by whom").or_null("nobody")],
    };

    fn opened(rows: &[(&str, Option<&str>)]) -> DataFrame {
        let (contacts, openers): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
        df!("contact_id" => contacts, "opened_by" => openers).unwrap()
    }

    fn texts(frame: &DataFrame) -> Unnumbered {
        Unnumbered { frame: frame.clone(), numbers: None }
    }

    fn of(tables: Vec<Unnumbered>) -> (ContactNumbers, Vec<DataFrame>) {
        ContactNumbers::of(tables.into_iter().map(|rows| Ok((&OPENED, rows)))).unwrap()
    }

    #[test]
    fn numbers_have_the_order_of_the_texts_and_convert_back() {
        let rows = opened(&[("b", Some("é")), ("a", None), ("B", Some("a")), ("", Some("b"))]);
        let (numbers, numbered) = of(vec![texts(&rows)]);
        let expected = df!("contact_id" => [3_u32, 2, 1, 0], "opened_by" => [Some(4_u32), None, Some(2), Some(3)]).unwrap();
        assert!(numbered[0].equals_missing(&expected), "{numbered:?}");
        assert!(numbers.texts(numbered[0].clone(), &OPENED).unwrap().equals_missing(&rows));
    }

    #[test]
    fn a_contact_of_another_month_that_is_in_no_table_any_more_gets_no_number() {
        let (earlier, numbered) = of(vec![texts(&opened(&[("a", None), ("b", None), ("c", None)]))]);
        let only_b = numbered[0].slice(1, 1);
        let (numbers, rows) = of(vec![Unnumbered { frame: only_b, numbers: Some(earlier) }]);
        assert_eq!(numbers.count(), 1);
        assert!(numbers.texts(rows[0].clone(), &OPENED).unwrap().equals_missing(&opened(&[("b", None)])));
    }

    #[test]
    fn numbers_of_another_month_become_those_of_this_one() {
        let before = opened(&[("c", Some("gone")), ("d", None)]);
        let (earlier, numbered) = of(vec![texts(&before)]);
        let now = opened(&[("a", None), ("d", Some("c")), ("z", Some("a"))]);
        let (numbers, numbered) = of(vec![texts(&now), Unnumbered { frame: numbered[0].clone(), numbers: Some(earlier) }]);
        assert_eq!(numbers.count(), 5);
        for (rows, numbered) in [now, before].into_iter().zip(numbered) {
            assert!(numbers.texts(numbered, &OPENED).unwrap().equals_missing(&rows));
        }
    }
}
