//! Retention, survival and movement.

use std::collections::{BTreeMap, BTreeSet};

use super::{Oracle, Rows, length, ratio, row};
use crate::support::tables::{Cell, count, day, text};
use crate::support::truth::Truth;

impl Oracle<'_> {
    /// By cohort key, month of entry and age.
    pub(crate) fn retention(&self, month: &str) -> Rows {
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
                        ("entry_is_censored", Cell::Flag(!knows_entries(&history, entry))),
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

    /// By cohort key and age.
    pub(crate) fn retention_curve(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let history = self.history(index, &cohort.key);
            let members = |at: i64| history.iter().find(|truth| truth.index() == at).map(|truth| truth.members(&cohort.key));
            let spells = first_spells(&history, &cohort.key);
            for age in 0..=history.first().map_or(-1, |first| truth.index() - first.index()) {
                // The known entry months that were observed at that age; their entrants, members, and members without a break.
                let entries: Vec<&&Truth> = history.iter().filter(|entry| knows_entries(&history, entry)).collect();
                let entries: Vec<&&Truth> = entries.into_iter().filter(|entry| members(entry.index() + age).is_some()).collect();
                let is_of = |spell: &&FirstSpell| entries.iter().any(|entry| entry.index() == spell.entered);
                let entrants: Vec<&FirstSpell> = spells.iter().filter(is_of).collect();
                let those = |is: &dyn Fn(&FirstSpell) -> bool| entrants.iter().filter(|spell| is(spell)).count() as i64;
                let retained = those(&|spell| members(spell.entered + age).unwrap().contains(&spell.id));
                if entries.is_empty() {
                    continue;
                }
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("age_months", count(age)),
                    ("entry_months", count(entries.len() as i64)),
                    ("entrants", count(entrants.len() as i64)),
                    ("retained", count(retained)),
                    ("retained_unbroken", count(those(&|spell| spell.seen.contains(&(spell.entered + age))))),
                    ("retention_rate", ratio(Some(retained), Some(entrants.len() as i64))),
                ];
                rows.insert(vec![cohort.key.clone(), age.to_string()], row(cells));
            }
        }
        rows
    }

    /// By cohort key. The entrants that departed, and how many were expected to, contact by contact.
    pub(crate) fn retention_change(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let history = self.history(index, &cohort.key);
            let before: Vec<i64> = history.iter().map(|entry| entry.index()).filter(|at| *at < truth.index()).collect();
            let recent = &before[before.len().saturating_sub(3)..];
            let known = |spell: &&FirstSpell| before.contains(&(spell.entered - 1)) && before.contains(&spell.entered);
            let spells = first_spells(&history, &cohort.key);
            let (late, early): (Vec<&FirstSpell>, Vec<&FirstSpell>) =
                spells.iter().filter(known).partition(|spell| recent.contains(&spell.entered));
            let (mut departed, mut expected) = (0, 0.0);
            for k in 1..=truth.index() {
                let [(recent, gone), (others, others_gone)] = [&late, &early].map(|spells| at_risk(spells, &history, k));
                if recent + others == 0 {
                    break;
                }
                departed += gone;
                expected += (gone + others_gone) as f64 * (recent as f64 / (recent + others) as f64);
            }
            let cells = [
                ("month", Cell::Day(day(&truth.month))),
                ("cohort_key", text(&cohort.key)),
                ("cohort_name", text(&cohort.name)),
                ("recent_entrants", count(late.len() as i64)),
                ("earlier_entrants", count(early.len() as i64)),
                ("recent_departed", count(departed)),
                ("recent_expected", Cell::Ratio(expected)),
            ];
            rows.insert(vec![cohort.key.clone()], row(cells));
        }
        rows
    }

    /// By cohort key and duration, contact by contact.
    pub(crate) fn membership_survival(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let history = self.history(index, &cohort.key);
            let is_observed = |at: i64| history.iter().any(|truth| truth.index() == at);
            let spells = first_spells(&history, &cohort.key);
            let known: Vec<&FirstSpell> = spells.iter().filter(|spell| is_observed(spell.entered - 1)).collect();
            let mut survival = 1.0;
            for k in 1.. {
                let (at_risk, departed) = at_risk(&known, &history, k);
                if at_risk == 0 {
                    break;
                }
                let followed = |spell: &&&FirstSpell| spell.seen.contains(&(spell.entered + k - 1)) && is_observed(spell.entered + k);
                let those = |is: &dyn Fn(&FirstSpell) -> bool| known.iter().filter(followed).filter(|spell| is(spell)).count() as i64;
                let hazard = departed as f64 / at_risk as f64;
                survival *= 1.0 - hazard;
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("duration_months", count(k)),
                    ("at_risk", count(at_risk)),
                    ("departed", count(departed)),
                    ("censored", count(those(&|spell| spell.seen.contains(&(spell.entered + k)) && !is_observed(spell.entered + k + 1)))),
                    ("resumed", count(those(&|spell| k > 1 && !is_observed(spell.entered + k - 2)))),
                    ("hazard", Cell::Ratio(hazard)),
                    ("survival", Cell::Ratio(survival)),
                ];
                rows.insert(vec![cohort.key.clone(), k.to_string()], row(cells));
            }
        }
        rows
    }

    /// By the keys of source and target. The population is everyone.
    pub(crate) fn movement(&self, month: &str) -> Rows {
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
        let (left_any, joined_any) = (in_any(&|flow| flows[flow].3.clone()), in_any(&|flow| flows[flow].4.clone()));
        // The contacts that stayed in a cohort, and those in any cohort of the job, even one that is not compared.
        let stayed = in_any(&|flow| {
            let (cohort, _, before, ..) = &flows[flow];
            before.intersection(&truth.members(&cohort.key)).cloned().collect()
        });
        let is_anywhere = |id: &String| truth.cohorts.iter().any(|cohort| truth.members(&cohort.key).contains(id));

        let mut moves: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut go = |from: &str, to: &str| *moves.entry((from.to_string(), to.to_string())).or_default() += 1;
        for (from, _, _, left, _) in &flows {
            for (to, _, _, _, joined) in &flows {
                left.intersection(joined).for_each(|_| go(&from.key, &to.key));
            }
            for id in left.difference(&joined_any) {
                let there = if is_anywhere(id) { "(stayed)" } else { "(none)" };
                go(&from.key, if truth.contacts.contains_key(id) { there } else { "(gone)" });
            }
        }
        for (to, previous, _, _, joined) in &flows {
            for id in joined.difference(&left_any) {
                let before = if stayed.contains(id) { "(stayed)" } else { "(none)" };
                go(if truth.created_at(id) >= previous.end { "(new)" } else { before }, &to.key);
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
                    ("previous_members", count(members_before(&from))),
                    ("share_of_from", ratio(Some(contacts), members_before(&from))),
                ];
                (vec![from, to], row(cells))
            })
            .collect()
    }
}

/// A contact's first spell in a cohort.
struct FirstSpell {
    id: String,
    entered: i64,
    /// The months of the history from the entry on in which it was a member, up to the first in which it was not.
    seen: BTreeSet<i64>,
}

fn first_spells(history: &[&Truth], key: &str) -> Vec<FirstSpell> {
    let ids: BTreeSet<String> = history.iter().flat_map(|truth| truth.members(key)).collect();
    let spell = |id: String| {
        let seen = history.iter().skip_while(|truth| !truth.has_member(key, &id)).take_while(|truth| truth.has_member(key, &id));
        let seen: BTreeSet<i64> = seen.map(|truth| truth.index()).collect();
        FirstSpell { entered: *seen.first().unwrap(), seen, id }
    };
    ids.into_iter().map(spell).collect()
}

/// Whether contacts that are first seen in this month are known to have entered in it.
fn knows_entries(history: &[&Truth], entry: &Truth) -> bool {
    history.iter().any(|truth| truth.index() == entry.index() - 1)
}

/// The number of members k - 1 months after their entry whose next month was observed too, and how many of them had departed then.
fn at_risk(spells: &[&FirstSpell], history: &[&Truth], k: i64) -> (i64, i64) {
    let is_observed = |at: i64| history.iter().any(|truth| truth.index() == at);
    let followed = spells.iter().filter(|spell| spell.seen.contains(&(spell.entered + k - 1)) && is_observed(spell.entered + k));
    followed.fold((0, 0), |(at_risk, departed), spell| (at_risk + 1, departed + i64::from(!spell.seen.contains(&(spell.entered + k)))))
}
