//! The steps `standing` and `ledger`: each merges two lists that are sorted by cohort and contact. And the step `triangle`, which counts the
//! ledger.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use polars::prelude::*;

use super::super::tables::{COHORTS, CONTACTS_BEFORE, LEDGER_BEFORE, MEMBERSHIPS, STANDING, TRIANGLE_BEFORE};
use crate::history::{COUNTS, LEDGER, TRIANGLE};
use archive::engine::Polars;
use archive::snapshot::CONTACTS;
use archive::table::in_order;

pub(super) const DEPARTED: &str = "departed";
const RETAINED: &str = "retained";
/// The texts of changes.
const CHANGES: [&str; 5] = ["first_seen", RETAINED, "joined", "returned", DEPARTED];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    FirstSeen,
    Retained,
    Joined,
    Returned,
    Departed,
}

/// As standing.sql.
pub(super) fn standing(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let contacts = Contacts::read(tables)?;
    let compared: BTreeSet<i32> = cohorts.iter().filter_map(|cohort| Some(cohort.compared?.month)).collect();
    let before = contacts_before(tables, &compared)?;
    let mut present = memberships(tables, &cohorts)?;
    let ledger = LedgerRows::read(tables.table(LEDGER_BEFORE.name)?)?;
    let most = present.iter().map(Vec::len).sum::<usize>() + ledger.contacts.len();
    let mut rows = StandingRows::with_capacity(most);
    for (index, cohort) in cohorts.iter().enumerate() {
        let mut present = std::mem::take(&mut present[index]);
        present.retain(|contact| contacts.is_here(*contact) && contacts.created_at(*contact).is_none_or(|at| at < cohort.month_end));
        if !present.is_sorted() {
            present.sort_unstable();
        }
        let past = cohort.compared.and_then(|_| ledger.runs.get(cohort.key).cloned()).unwrap_or_default();
        let was = cohort.compared.and_then(|compared| before.get(&compared.month));
        for (contact, now, past) in
            merged(&present, &ledger.contacts[past.clone()]).map(|(contact, now, at)| (contact, now, at.map(|at| past.start + at)))
        {
            let was_member = cohort.compared.is_some_and(|compared| past.is_some_and(|row| ledger.last_month[row] == compared.month));
            let change = match (now, cohort.compared) {
                (None, _) if was_member => Change::Departed,
                (None, _) => continue,
                (Some(_), None) => Change::FirstSeen,
                (Some(_), Some(_)) if was_member => Change::Retained,
                (Some(_), Some(_)) if past.is_some() => Change::Returned,
                (Some(_), Some(_)) => Change::Joined,
            };
            let months_since = cohort.compared.map(|compared| compared.months_since);
            let known_entry = past.filter(|row| !ledger.is_censored.get(*row).unwrap_or_default()).map(|row| ledger.entered_month[row]);
            let entered = match change {
                Change::FirstSeen => None,
                Change::Joined => (months_since == Some(1)).then_some(cohort.month),
                _ => known_entry,
            };
            let months = match change {
                Change::Retained => past.zip(months_since).map(|(row, since)| ledger.spell_months[row] + since),
                Change::Departed => None,
                _ => cohort.in_history.then_some(1),
            };
            let was = was.map_or(0, |was| was[contact as usize]);
            let is_present = now.is_some();
            let is_created_since =
                is_present && cohort.compared.is_some_and(|compared| contacts.created_at(contact).is_some_and(|at| at >= compared.end));
            rows.cohort.push(index as u32);
            rows.contact.push(contact);
            rows.change.push(change as u32);
            rows.entered_month.push(entered);
            rows.months_in_cohort.push(months);
            rows.is_newly_unsubscribed
                .push(is_present && contacts.has(contact, UNSUBSCRIBED) && (was & SUBSCRIBED > 0 || is_created_since));
            rows.is_converted.push(is_present && contacts.has(contact, USER) && was & LEAD > 0);
            rows.is_gone.push(!is_present && !contacts.is_here(contact));
            rows.is_created_since.push(is_created_since);
        }
    }
    rows.frame(&cohorts)
}

/// As ledger.sql.
pub(super) fn ledger(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let of_key: HashMap<&str, &Cohort<'_>> = cohorts.iter().map(|cohort| (cohort.key, cohort)).collect();
    let past = LedgerRows::read(tables.table(LEDGER_BEFORE.name)?)?;
    let standing = tables.table(STANDING.name)?;
    let contacts = standing.column("contact_id")?.u32()?.rechunk();
    let contacts = contacts.cont_slice()?;
    let months_in_cohort = standing.column("months_in_cohort")?.i64()?;
    let changes = standing.column("change")?.str()?;
    let present = runs(standing.column("cohort_key")?.str()?, contacts)?;
    let keys: Vec<&str> = past.runs.keys().chain(present.keys()).copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut rows = LedgerOut::with_capacity(contacts.len() + past.contacts.len());
    for (index, key) in keys.iter().enumerate() {
        let cohort = of_key.get(key).copied();
        let is_counted = cohort.is_some_and(|cohort| cohort.in_history);
        let of_standing = present.get(key).filter(|_| is_counted).cloned().unwrap_or_default();
        let members: Vec<usize> = of_standing.filter(|row| changes.get(*row) != Some(DEPARTED)).collect();
        let now: Vec<u32> = members.iter().map(|row| contacts[*row]).collect();
        let of_past = past.runs.get(key).cloned().unwrap_or_default();
        for (contact, now, before) in merged(&now, &past.contacts[of_past.clone()]) {
            let before = before.map(|at| of_past.start + at);
            let now = now.map(|at| members[at]).zip(cohort);
            let is_retained = now.is_some_and(|(row, _)| changes.get(row) == Some(RETAINED));
            let month = now.map(|(_, cohort)| cohort.month);
            let of_before = |values: &[i32]| before.map(|row| values[row]);
            rows.cohort.push(index as u32);
            rows.contact.push(contact);
            rows.entered_month.push(of_before(past.entered_month).or(month));
            rows.is_censored.push(match before {
                Some(row) => past.is_censored.get(row).unwrap_or_default(),
                None => now.is_none_or(|(_, cohort)| cohort.compared.is_none_or(|compared| compared.months_since != 1)),
            });
            rows.spell_start.push(if now.is_none() || is_retained { of_before(past.spell_start) } else { month });
            rows.spell_months.push(match now {
                Some((row, _)) => months_in_cohort.get(row),
                None => before.map(|row| past.spell_months[row]),
            });
            rows.last_month.push(month.or(of_before(past.last_month)));
        }
    }
    rows.frame(&keys)
}

/// As triangle.sql.
pub(super) fn triangle(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let ledger = LedgerRows::read(tables.table(LEDGER.name)?)?;
    let counts = tables.table(COUNTS.name)?;
    let (keys, months) = (counts.column("cohort_key")?.str()?, counts.column("month")?.date()?);
    let in_history = counts.column("in_history")?.bool()?;
    let mut months_of: HashMap<&str, Vec<i32>> = HashMap::new();
    for ((key, month), in_history) in keys.iter().zip(months.physical().iter()).zip(in_history.iter()) {
        if let (Some(key), Some(month), Some(true)) = (key, month, in_history) {
            months_of.entry(key).or_default().push(month);
        }
    }
    let (mut of_keys, mut entry_month, mut observed_month) = (Vec::new(), Days::with_capacity(0), Days::with_capacity(0));
    let (mut retained, mut unbroken) = (Vec::new(), Vec::new());
    for cohort in cohorts.iter().filter(|cohort| cohort.in_history) {
        let mut present: HashMap<i32, (i64, i64)> = HashMap::new();
        for row in ledger.runs.get(cohort.key).cloned().unwrap_or_default().filter(|row| ledger.last_month[*row] == cohort.month) {
            let (all, since) = present.entry(ledger.entered_month[row]).or_default();
            *all += 1;
            *since += i64::from(ledger.spell_start[row] == ledger.entered_month[row]);
        }
        for month in months_of.get(cohort.key).into_iter().flatten() {
            let (all, since) = present.get(month).copied().unwrap_or_default();
            of_keys.push(cohort.key);
            entry_month.push(Some(*month));
            observed_month.push(Some(cohort.month));
            retained.push(all);
            unbroken.push(since);
        }
    }
    let mut rows = DataFrame::new(
        of_keys.len(),
        vec![
            Column::new("cohort_key".into(), of_keys),
            entry_month.column("entry_month")?,
            observed_month.column("observed_month")?,
            Column::new("retained".into(), retained),
            Column::new("retained_unbroken".into(), unbroken),
        ],
    )?;
    rows.vstack_mut(tables.table(TRIANGLE_BEFORE.name)?)?;
    in_order(rows, &TRIANGLE)
}

/// The contacts of two sorted lists in order, each with its position in one list, the other, or both.
fn merged(one: &[u32], other: &[u32]) -> impl Iterator<Item = (u32, Option<usize>, Option<usize>)> {
    let (mut at, mut beside) = (0, 0);
    std::iter::from_fn(move || {
        let order = match (one.get(at), other.get(beside)) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(first), Some(second)) => first.cmp(second),
        };
        let contact = if order.is_le() { one[at] } else { other[beside] };
        let found = (order.is_le().then_some(at), order.is_ge().then_some(beside));
        at += usize::from(order.is_le());
        beside += usize::from(order.is_ge());
        Some((contact, found.0, found.1))
    })
}

/// The rows of each cohort in a table that is sorted by cohort and contact.
fn runs<'a>(keys: &'a StringChunked, contacts: &[u32]) -> PolarsResult<HashMap<&'a str, Range<usize>>> {
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

struct Cohort<'a> {
    key: &'a str,
    in_history: bool,
    /// Days since 1970.
    month: i32,
    /// Microseconds since 1970.
    month_end: i64,
    compared: Option<Compared>,
}

#[derive(Clone, Copy)]
struct Compared {
    month: i32,
    end: i64,
    months_since: i64,
}

impl<'a> Cohort<'a> {
    /// All cohorts, in the order of their keys.
    fn all(frame: &'a DataFrame) -> PolarsResult<Vec<Cohort<'a>>> {
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

const HERE: u8 = 1;
const USER: u8 = 2;
const UNSUBSCRIBED: u8 = 4;

/// The observed contacts by number.
struct Contacts {
    flags: Vec<u8>,
    /// Microseconds since 1970; [`UNKNOWN`] if it was not given.
    created_at: Vec<i64>,
}

const UNKNOWN: i64 = i64::MIN;

impl Contacts {
    fn read(tables: &Polars) -> PolarsResult<Contacts> {
        let frame = tables.table(CONTACTS.name)?;
        let created_at = frame.column("created_at")?.datetime()?;
        let roles = frame.column("role")?.str()?.iter();
        let unsubscribed = frame.column("unsubscribed_from_emails")?.bool()?.iter();
        let numbers = frame.column("contact_id")?.u32()?.iter();
        let count = tables.numbers().count();
        let mut contacts = Contacts { flags: vec![0; count], created_at: vec![UNKNOWN; count] };
        for (((number, role), unsubscribed), created_at) in numbers.zip(roles).zip(unsubscribed).zip(created_at.physical().iter()) {
            let Some(number) = number.map(|number| number as usize) else { continue };
            let user = if role == Some("user") { USER } else { 0 };
            contacts.flags[number] = HERE | user | if unsubscribed == Some(true) { UNSUBSCRIBED } else { 0 };
            contacts.created_at[number] = created_at.unwrap_or(UNKNOWN);
        }
        Ok(contacts)
    }

    fn has(&self, contact: u32, flag: u8) -> bool {
        self.flags[contact as usize] & flag > 0
    }

    fn is_here(&self, contact: u32) -> bool {
        self.has(contact, HERE)
    }

    fn created_at(&self, contact: u32) -> Option<i64> {
        Some(self.created_at[contact as usize]).filter(|at| *at != UNKNOWN)
    }
}

const LEAD: u8 = 1;
const SUBSCRIBED: u8 = 2;

/// What the contacts were in each of these months, by number.
fn contacts_before(tables: &Polars, months: &BTreeSet<i32>) -> PolarsResult<PlHashMap<i32, Vec<u8>>> {
    let frame = tables.table(CONTACTS_BEFORE.name)?;
    let numbers = frame.column("contact_id")?.u32()?.iter();
    let roles = frame.column("role")?.str()?.iter();
    let unsubscribed = frame.column("unsubscribed_from_emails")?.bool()?.iter();
    let of = frame.column("month")?.date()?;
    let mut flags: PlHashMap<i32, Vec<u8>> = months.iter().map(|month| (*month, vec![0; tables.numbers().count()])).collect();
    for (((number, role), unsubscribed), month) in numbers.zip(roles).zip(unsubscribed).zip(of.physical().iter()) {
        if let Some((number, flags)) = number.zip(month.and_then(|month| flags.get_mut(&month))) {
            let lead = if role == Some("lead") { LEAD } else { 0 };
            flags[number as usize] = lead | if unsubscribed == Some(false) { SUBSCRIBED } else { 0 };
        }
    }
    Ok(flags)
}

/// The members of each cohort.
fn memberships(tables: &Polars, cohorts: &[Cohort<'_>]) -> PolarsResult<Vec<Vec<u32>>> {
    let frame = tables.table(MEMBERSHIPS.name)?;
    let index: HashMap<&str, usize> = cohorts.iter().enumerate().map(|(index, cohort)| (cohort.key, index)).collect();
    let mut members = vec![Vec::new(); cohorts.len()];
    let (mut last, mut at) = (None, None);
    for (key, contact) in frame.column("cohort_key")?.str()?.iter().zip(frame.column("contact_id")?.u32()?.iter()) {
        if key != last {
            (last, at) = (key, key.and_then(|key| index.get(key)).copied());
        }
        if let (Some(at), Some(contact)) = (at, contact) {
            members[at].push(contact);
        }
    }
    Ok(members)
}

/// The columns of a ledger.
struct LedgerRows<'a> {
    runs: HashMap<&'a str, Range<usize>>,
    contacts: &'a [u32],
    entered_month: &'a [i32],
    is_censored: &'a BooleanChunked,
    spell_start: &'a [i32],
    spell_months: &'a [i64],
    last_month: &'a [i32],
}

impl<'a> LedgerRows<'a> {
    /// The frame must have one chunk.
    fn read(frame: &'a DataFrame) -> PolarsResult<LedgerRows<'a>> {
        let day = |name: &str| frame.column(name)?.date()?.physical().cont_slice();
        let contacts = frame.column("contact_id")?.u32()?.cont_slice()?;
        Ok(LedgerRows {
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

struct StandingRows {
    /// The index of the cohort.
    cohort: Vec<u32>,
    contact: Vec<u32>,
    /// The index into [`CHANGES`].
    change: Vec<u32>,
    entered_month: Days,
    months_in_cohort: Counts,
    is_newly_unsubscribed: Vec<bool>,
    is_converted: Vec<bool>,
    is_gone: Vec<bool>,
    is_created_since: Vec<bool>,
}

impl StandingRows {
    fn with_capacity(rows: usize) -> StandingRows {
        StandingRows {
            cohort: Vec::with_capacity(rows),
            contact: Vec::with_capacity(rows),
            change: Vec::with_capacity(rows),
            entered_month: Days::with_capacity(rows),
            months_in_cohort: Counts::with_capacity(rows),
            is_newly_unsubscribed: Vec::with_capacity(rows),
            is_converted: Vec::with_capacity(rows),
            is_gone: Vec::with_capacity(rows),
            is_created_since: Vec::with_capacity(rows),
        }
    }

    fn frame(self, cohorts: &[Cohort<'_>]) -> PolarsResult<DataFrame> {
        let keys: Vec<&str> = cohorts.iter().map(|cohort| cohort.key).collect();
        let flags = |name: &str, flags: Vec<bool>| Column::new(name.into(), flags);
        DataFrame::new(
            self.contact.len(),
            vec![
                named("cohort_key", &keys, self.cohort)?,
                Column::new("contact_id".into(), self.contact),
                named("change", &CHANGES, self.change)?,
                self.entered_month.column("entered_month")?,
                self.months_in_cohort.column("months_in_cohort")?,
                flags("is_newly_unsubscribed", self.is_newly_unsubscribed),
                flags("is_converted", self.is_converted),
                flags("is_gone", self.is_gone),
                flags("is_created_since", self.is_created_since),
            ],
        )
    }
}

struct LedgerOut {
    /// The index of the cohort's key.
    cohort: Vec<u32>,
    contact: Vec<u32>,
    entered_month: Days,
    is_censored: Vec<bool>,
    spell_start: Days,
    spell_months: Counts,
    last_month: Days,
}

impl LedgerOut {
    fn with_capacity(rows: usize) -> LedgerOut {
        LedgerOut {
            cohort: Vec::with_capacity(rows),
            contact: Vec::with_capacity(rows),
            entered_month: Days::with_capacity(rows),
            is_censored: Vec::with_capacity(rows),
            spell_start: Days::with_capacity(rows),
            spell_months: Counts::with_capacity(rows),
            last_month: Days::with_capacity(rows),
        }
    }

    fn frame(self, keys: &[&str]) -> PolarsResult<DataFrame> {
        DataFrame::new(
            self.contact.len(),
            vec![
                named("cohort_key", keys, self.cohort)?,
                Column::new("contact_id".into(), self.contact),
                self.entered_month.column("entered_month")?,
                Column::new("entry_is_censored".into(), self.is_censored),
                self.spell_start.column("spell_start")?,
                self.spell_months.column("spell_months")?,
                self.last_month.column("last_month")?,
            ],
        )
    }
}

/// A column of texts from their indexes.
fn named(name: &str, texts: &[&str], at: Vec<u32>) -> PolarsResult<Column> {
    let texts = StringChunked::from_slice(name.into(), texts);
    Ok(texts.take(&UInt32Chunked::from_vec("at".into(), at))?.into_column())
}

/// A column of days, or of counts, that may be null.
struct Optional<T: PolarsNumericType>(PrimitiveChunkedBuilder<T>);
type Days = Optional<Int32Type>;
type Counts = Optional<Int64Type>;

impl<T: PolarsNumericType> Optional<T> {
    fn with_capacity(rows: usize) -> Optional<T> {
        Optional(PrimitiveChunkedBuilder::new("".into(), rows))
    }

    fn push(&mut self, value: Option<T::Native>) {
        self.0.append_option(value);
    }
}

impl Days {
    fn column(self, name: &str) -> PolarsResult<Column> {
        self.0.finish().with_name(name.into()).into_series().cast(&DataType::Date).map(IntoColumn::into_column)
    }
}

impl Counts {
    fn column(self, name: &str) -> PolarsResult<Column> {
        Ok(self.0.finish().with_name(name.into()).into_column())
    }
}
