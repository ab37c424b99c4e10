//! The columns of cohorts and of ledgers that the steps read.

use std::collections::HashMap;
use std::ops::Range;

use polars::prelude::*;

pub(super) struct Cohort<'a> {
    pub(super) key: &'a str,
    pub(super) in_history: bool,
    /// Days since 1970.
    pub(super) month: i32,
    /// Microseconds since 1970.
    pub(super) month_end: i64,
    pub(super) compared: Option<Compared>,
}

#[derive(Clone, Copy)]
pub(super) struct Compared {
    pub(super) month: i32,
    pub(super) end: i64,
    pub(super) months_since: i64,
}

impl<'a> Cohort<'a> {
    /// All cohorts, in the order of their keys.
    pub(super) fn all(frame: &'a DataFrame) -> PolarsResult<Vec<Cohort<'a>>> {
        let keys = frame.column("cohort_key")?.str()?;
        let in_history = frame.column("in_history")?.bool()?;
        let day = |name: &str| Ok::<_, PolarsError>(frame.column(name)?.date()?.physical().clone());
        let instant = |name: &str| Ok::<_, PolarsError>(frame.column(name)?.datetime()?.physical().clone());
        let (month, compared_month) = (day("month")?, day("compared_month")?);
        let (month_end, compared_end) = (instant("month_end")?, instant("compared_end")?);
        let months_since = frame.column("months_since_compared")?.i64()?;
        let cohort = |row: usize| {
            let compared =
                || Some(Compared { month: compared_month.get(row)?, end: compared_end.get(row)?, months_since: months_since.get(row)? });
            Some(Cohort {
                key: keys.get(row)?,
                in_history: in_history.get(row)?,
                month: month.get(row)?,
                month_end: month_end.get(row)?,
                compared: compared(),
            })
        };
        let mut cohorts: Vec<Cohort<'_>> = (0..frame.height()).filter_map(cohort).collect();
        cohorts.sort_by_key(|cohort| cohort.key);
        Ok(cohorts)
    }
}

/// The columns of a ledger.
pub(super) struct Ledger<'a> {
    /// The rows of each cohort.
    pub(super) runs: HashMap<&'a str, Range<usize>>,
    pub(super) contacts: &'a [u32],
    pub(super) entered_month: &'a [i32],
    pub(super) is_censored: &'a BooleanChunked,
    pub(super) spell_start: &'a [i32],
    pub(super) spell_months: &'a [i64],
    pub(super) last_month: &'a [i32],
}

impl<'a> Ledger<'a> {
    /// The frame must have one chunk.
    pub(super) fn read(frame: &'a DataFrame) -> PolarsResult<Ledger<'a>> {
        let day = |name: &str| frame.column(name)?.date()?.physical().cont_slice();
        let contacts = frame.column("contact_id")?.u32()?.cont_slice()?;
        Ok(Ledger {
            runs: runs(frame.column("cohort_key")?.str()?, contacts)?,
            contacts,
            entered_month: day("entered_month")?,
            is_censored: frame.column("entry_is_censored")?.bool()?,
            spell_start: day("spell_start")?,
            spell_months: frame.column("spell_months")?.i64()?.cont_slice()?,
            last_month: day("last_month")?,
        })
    }
}

/// The rows of each cohort in a table that is sorted by cohort and contact.
pub(super) fn runs<'a>(keys: &'a StringChunked, contacts: &[u32]) -> PolarsResult<HashMap<&'a str, Range<usize>>> {
    let mut runs: HashMap<&str, Range<usize>> = HashMap::new();
    let mut begin = 0;
    while begin < keys.len() {
        let key = keys.get(begin).unwrap_or_default();
        let end = end_of_run(keys, begin);
        let is_in_order = contacts[begin..end].windows(2).all(|pair| pair[0] < pair[1]);
        if !is_in_order || runs.insert(key, begin..end).is_some() {
            return Err(polars_err!(ComputeError: "the rows of `{key}` are not in the order of their key"));
        }
        begin = end;
    }
    Ok(runs)
}

/// The end of the run of equal texts that begins here, in a sorted column.
fn end_of_run(texts: &StringChunked, begin: usize) -> usize {
    let is_same = |row: usize| row < texts.len() && texts.get(row) == texts.get(begin);
    let mut reach = 1;
    while is_same(begin + reach) {
        reach *= 2;
    }
    let (mut same, mut other) = (begin + reach / 2, (begin + reach).min(texts.len()));
    while same + 1 < other {
        let middle = usize::midpoint(same, other);
        if is_same(middle) { same = middle } else { other = middle }
    }
    other
}
