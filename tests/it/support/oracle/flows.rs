//! Who stays, for how long, and where the others go.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, Rows, length, ratio, row};
use crate::support::tables::{Cell, count, day, text};
use crate::support::truth::Truth;

impl Oracle<'_> {
    /// By cohort key, month of entry and age.
    pub fn retention(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let history = self.history(index, &cohort.key);
            let mut seen: BTreeSet<String> = BTreeSet::new();
            for (first, entry) in history.iter().enumerate() {
                let entrants: BTreeSet<String> = entry.members(&cohort.key).difference(&seen).cloned().collect();
                seen.extend(entrants.iter().cloned());
                let mut unbroken = entrants.clone();
                for later in &history[first..] {
                    let members = later.members(&cohort.key);
                    let retained = length(&entrants.intersection(&members).collect());
                    unbroken = unbroken.intersection(&members).cloned().collect();
                    let age = later.index() - entry.index();
                    let cells = [
                        ("month", Cell::Day(day(&truth.month))),
                        ("cohort_key", text(&cohort.key)),
                        ("cohort_name", text(&cohort.name)),
                        ("entry_month", Cell::Day(day(&entry.month))),
                        ("entry_is_censored", Cell::Flag(first == 0)),
                        ("age_months", count(age)),
                        ("entrants", count(length(&entrants))),
                        ("retained", count(retained)),
                        ("retained_unbroken", count(length(&unbroken))),
                        ("retention_rate", ratio(Some(retained), Some(length(&entrants)))),
                    ];
                    rows.insert(vec![cohort.key.clone(), day(&entry.month).to_string(), age.to_string()], row(cells));
                }
            }
        }
        rows
    }

    /// By cohort key and duration.
    pub fn membership_survival(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            // Of each first spell that began after the first month: how long it lasted, and whether its end was seen.
            let spells: Vec<(i64, bool)> = first_spells(&self.history(index, &cohort.key), &cohort.key);
            let mut survival = 1.0;
            for duration in 1..=spells.iter().map(|(duration, _)| *duration).max().unwrap_or_default() {
                let those = |is: &dyn Fn(&(i64, bool)) -> bool| i64::try_from(spells.iter().filter(|spell| is(spell)).count()).unwrap();
                let at_risk = those(&|(lasted, _)| *lasted >= duration);
                let departed = those(&|(lasted, ended)| *lasted == duration && *ended);
                survival *= 1.0 - departed as f64 / at_risk as f64;
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("duration_months", count(duration)),
                    ("at_risk", count(at_risk)),
                    ("departed", count(departed)),
                    ("censored", count(those(&|(lasted, ended)| *lasted == duration && !*ended))),
                    ("survival", Cell::Ratio(survival)),
                ];
                rows.insert(vec![cohort.key.clone(), duration.to_string()], row(cells));
            }
        }
        rows
    }

    /// By the keys of both places. The population is everyone.
    pub fn movement(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        // A cohort, p, who left it, who joined it.
        let flows: Vec<_> = truth
            .cohorts
            .iter()
            .filter_map(|cohort| {
                let previous = *self.past(index, &cohort.key).last()?;
                let (before, now) = (previous.members(&cohort.key), truth.members(&cohort.key));
                let left: BTreeSet<String> = before.difference(&now).cloned().collect();
                let joined: BTreeSet<String> = now.difference(&before).cloned().collect();
                Some((cohort, previous, before, left, joined))
            })
            .collect();
        let in_any = |of: &dyn Fn(usize) -> BTreeSet<String>| -> BTreeSet<String> { (0..flows.len()).flat_map(of).collect() };
        let joined_any = in_any(&|flow| flows[flow].4.clone());
        let were_in_any = in_any(&|flow| flows[flow].2.clone());

        let mut moves: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut go = |from: &str, to: &str| *moves.entry((from.to_string(), to.to_string())).or_default() += 1;
        for (from, _, _, left, _) in &flows {
            for (to, _, _, _, joined) in &flows {
                left.intersection(joined).for_each(|_| go(&from.key, &to.key));
            }
            for id in left.difference(&joined_any) {
                go(&from.key, if truth.contacts.contains_key(id) { "(none)" } else { "(gone)" });
            }
        }
        for (to, previous, _, _, joined) in &flows {
            for id in joined.difference(&were_in_any) {
                go(if truth.created_at(id) >= previous.end { "(new)" } else { "(none)" }, &to.key);
            }
        }
        let name = |key: &str| truth.cohort(key).map_or(text(key), |cohort| text(&cohort.name));
        let members_before = |key: &str| flows.iter().find(|(cohort, ..)| cohort.key == key).map(|(_, _, before, ..)| length(before));
        moves
            .into_iter()
            .map(|((from, to), contacts)| {
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("from_cohort", text(&from)),
                    ("from_name", name(&from)),
                    ("to_cohort", text(&to)),
                    ("to_name", name(&to)),
                    ("contacts", count(contacts)),
                    ("share_of_from", ratio(Some(contacts), members_before(&from))),
                ];
                (vec![from, to], row(cells))
            })
            .collect()
    }
}

fn first_spells(history: &[&Truth], key: &str) -> Vec<(i64, bool)> {
    let seen: BTreeSet<String> = history.iter().flat_map(|truth| truth.members(key)).collect();
    let mut spells = Vec::new();
    for id in &seen {
        let first = history.iter().position(|truth| truth.has_member(key, id)).unwrap();
        if first == 0 {
            continue;
        }
        let mut last = first;
        let ended = loop {
            let Some(next) = history.get(last + 1) else { break false };
            if next.index() != history[last].index() + 1 {
                break false;
            }
            if !next.has_member(key, id) {
                break true;
            }
            last += 1;
        };
        spells.push((history[last].index() - history[first].index() + 1, ended));
    }
    spells
}
