//! The steps `standing` and `ledger`: each merges two lists that are sorted by cohort and contact.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use polars::prelude::*;

use super::super::tables::{COHORTS, CONTACTS_BEFORE, LEDGER_BEFORE, MEMBERSHIPS, PAST, STANDING};
use super::columns::{self, Counts, Days, texts};
use super::facts::Facts;
use super::ledger::{Cohort, Ledger, runs};
use archive::engine::Polars;
use archive::snapshot::VANISHED;

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

/// Gives the rows of past.sql if no contact was merged: the unchanged ledger of the month before. `None` if a contact was merged.
pub(super) fn past(tables: &Polars) -> PolarsResult<Option<DataFrame>> {
    let merged_into = tables.table(VANISHED.name)?.column("merged_into")?;
    if merged_into.null_count() < merged_into.len() {
        return Ok(None);
    }
    tables.table(LEDGER_BEFORE.name).cloned().map(Some)
}

/// What became of each contact that is gone, by number.
fn fates(tables: &Polars) -> PolarsResult<PlHashMap<u32, Fate>> {
    let vanished = tables.table(VANISHED.name)?;
    let rows = vanished.column("contact_id")?.u32()?.iter().zip(vanished.column("fate")?.str()?.iter());
    let fate = |fate: &str| if fate == "merged" { Fate::Merged } else { Fate::Other };
    Ok(rows.filter_map(|(contact, text)| Some((contact?, fate(text?)))).collect())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Merged,
    Other,
}

/// Gives the rows of standing.sql.
pub(super) fn standing(tables: &Polars, facts: &Facts) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let compared_months: BTreeSet<i32> = cohorts.iter().filter_map(|cohort| Some(cohort.compared?.month)).collect();
    let flags_before = contacts_before(tables, &compared_months)?;
    let mut members_of = memberships(tables, &cohorts)?;
    let ledger = Ledger::read(tables.table(PAST.name)?)?;
    let fates = fates(tables)?;
    let most = members_of.iter().map(Vec::len).sum::<usize>() + ledger.contacts.len();
    let mut rows = StandingRows::with_capacity(most);
    for (index, cohort) in cohorts.iter().enumerate() {
        let mut members = std::mem::take(&mut members_of[index]);
        members.retain(|contact| facts.is_here(*contact) && facts.created_at(*contact).is_none_or(|at| at < cohort.month_end));
        if !members.is_sorted() {
            members.sort_unstable();
        }
        let compared = cohort.compared;
        let past_rows = compared.and_then(|_| ledger.runs.get(cohort.key).cloned()).unwrap_or_default();
        let flags_before = compared.and_then(|compared| flags_before.get(&compared.month));
        for (contact, member, past) in merged(&members, &ledger.contacts[past_rows.clone()]) {
            let past_row = past.map(|past| past_rows.start + past);
            let is_member = member.is_some();
            let was_member = compared.is_some_and(|compared| past_row.is_some_and(|row| ledger.last_month[row] == compared.month));
            let change = match (is_member, compared) {
                (false, _) if was_member => Change::Departed,
                (false, _) => continue,
                (true, None) => Change::FirstSeen,
                (true, Some(_)) if was_member => Change::Retained,
                (true, Some(_)) if past_row.is_some() => Change::Returned,
                (true, Some(_)) => Change::Joined,
            };
            let months_since = compared.map(|compared| compared.months_since);
            let entered_month = match change {
                Change::FirstSeen => None,
                Change::Joined => (months_since == Some(1)).then_some(cohort.month),
                Change::Retained | Change::Returned | Change::Departed => {
                    past_row.filter(|row| ledger.is_censored.get(*row) != Some(true)).map(|row| ledger.entered_month[row])
                }
            };
            let months_in_cohort = match change {
                Change::Retained => past_row.zip(months_since).map(|(row, months)| ledger.spell_months[row] + months),
                Change::Departed => None,
                Change::FirstSeen | Change::Joined | Change::Returned => cohort.in_history.then_some(1),
            };
            let before = flags_before.map_or(0, |flags| flags[contact as usize]);
            let is_created_since =
                is_member && compared.is_some_and(|compared| facts.created_at(contact).is_some_and(|at| at >= compared.end));
            let is_newly_unsubscribed = is_member && facts.is_unsubscribed(contact) && (before & SUBSCRIBED > 0 || is_created_since);
            rows.cohort.push(index as u32);
            rows.contact.push(contact);
            rows.change.push(change as u32);
            rows.entered_month.push(entered_month);
            rows.months_in_cohort.push(months_in_cohort);
            rows.is_newly_unsubscribed.push(is_newly_unsubscribed);
            rows.is_converted.push(is_member && facts.is_user(contact) && before & LEAD > 0);
            let is_gone = !is_member && !facts.is_here(contact);
            let fate = if is_gone { fates.get(&contact) } else { None };
            rows.is_gone.push(is_gone);
            rows.is_merged.push(fate == Some(&Fate::Merged));
            rows.is_of_unknown_fate.push(is_gone && fate.is_none());
            rows.is_created_since.push(is_created_since);
        }
    }
    rows.frame(&cohorts)
}

/// Gives the rows of ledger.sql.
pub(super) fn ledger(tables: &Polars) -> PolarsResult<DataFrame> {
    let cohorts = Cohort::all(tables.table(COHORTS.name)?)?;
    let counted: HashMap<&str, &Cohort<'_>> =
        cohorts.iter().filter(|cohort| cohort.in_history).map(|cohort| (cohort.key, cohort)).collect();
    let past = Ledger::read(tables.table(PAST.name)?)?;
    let standing = tables.table(STANDING.name)?;
    let contacts = standing.column("contact_id")?.u32()?.rechunk();
    let contacts = contacts.cont_slice()?;
    let months_in_cohort = standing.column("months_in_cohort")?.i64()?;
    let changes = standing.column("change")?.str()?;
    let present = runs(standing.column("cohort_key")?.str()?, contacts)?;
    let keys: Vec<&str> = past.runs.keys().chain(present.keys()).copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut rows = LedgerRows::with_capacity(contacts.len() + past.contacts.len());
    for (index, key) in keys.iter().enumerate() {
        let cohort = counted.get(key).copied();
        let standing_rows = present.get(key).filter(|_| cohort.is_some()).cloned().unwrap_or_default();
        let member_rows: Vec<usize> = standing_rows.filter(|row| changes.get(*row) != Some(DEPARTED)).collect();
        let members: Vec<u32> = member_rows.iter().map(|row| contacts[*row]).collect();
        let past_rows = past.runs.get(key).cloned().unwrap_or_default();
        for (contact, member, before) in merged(&members, &past.contacts[past_rows.clone()]) {
            let past_row = before.map(|before| past_rows.start + before);
            let of_past = |values: &[i32]| past_row.map(|row| values[row]);
            let member = member.map(|member| member_rows[member]).zip(cohort);
            let month = member.map(|(_, cohort)| cohort.month);
            let goes_on = member.is_none_or(|(row, _)| changes.get(row) == Some(RETAINED));
            rows.cohort.push(index as u32);
            rows.contact.push(contact);
            rows.entered_month.push(of_past(past.entered_month).or(month));
            rows.is_censored.push(match past_row {
                Some(row) => past.is_censored.get(row) == Some(true),
                None => member.and_then(|(_, cohort)| cohort.compared).is_none_or(|compared| compared.months_since != 1),
            });
            rows.spell_start.push(if goes_on { of_past(past.spell_start) } else { month });
            rows.spell_months.push(match member {
                Some((row, _)) => months_in_cohort.get(row),
                None => past_row.map(|row| past.spell_months[row]),
            });
            rows.last_month.push(month.or(of_past(past.last_month)));
        }
    }
    rows.frame(&keys)
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

const LEAD: u8 = 1;
const SUBSCRIBED: u8 = 2;

/// For each of these months: the flags [`LEAD`] and [`SUBSCRIBED`] of each contact, by number.
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
    is_merged: Vec<bool>,
    is_of_unknown_fate: Vec<bool>,
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
            is_merged: Vec::with_capacity(rows),
            is_of_unknown_fate: Vec::with_capacity(rows),
            is_created_since: Vec::with_capacity(rows),
        }
    }

    fn frame(self, cohorts: &[Cohort<'_>]) -> PolarsResult<DataFrame> {
        let keys: Vec<&str> = cohorts.iter().map(|cohort| cohort.key).collect();
        let flags = |name: &str, flags: Vec<bool>| Column::new(name.into(), flags);
        DataFrame::new(
            self.contact.len(),
            vec![
                texts("cohort_key", &columns::of(&keys), self.cohort)?,
                Column::new("contact_id".into(), self.contact),
                texts("change", &columns::of(&CHANGES), self.change)?,
                self.entered_month.column("entered_month")?,
                self.months_in_cohort.column("months_in_cohort")?,
                flags("is_newly_unsubscribed", self.is_newly_unsubscribed),
                flags("is_converted", self.is_converted),
                flags("is_gone", self.is_gone),
                flags("is_merged", self.is_merged),
                flags("is_of_unknown_fate", self.is_of_unknown_fate),
                flags("is_created_since", self.is_created_since),
            ],
        )
    }
}

struct LedgerRows {
    /// The index of the cohort's key.
    cohort: Vec<u32>,
    contact: Vec<u32>,
    entered_month: Days,
    is_censored: Vec<bool>,
    spell_start: Days,
    spell_months: Counts,
    last_month: Days,
}

impl LedgerRows {
    fn with_capacity(rows: usize) -> LedgerRows {
        LedgerRows {
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
                texts("cohort_key", &columns::of(keys), self.cohort)?,
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
