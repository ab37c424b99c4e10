//! Computes the reports from the truth, by the contract's definitions and in the simplest way: with sets of ids, and for each month with all months
//! before it. It leaves out what needs a distribution (p, q, intervals): the statistics have their own tests.

mod flows;
mod profiles;
mod trends;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tables::{Cell, Row, count, day, text};
use super::truth::{Truth, seconds};

/// Rows by their key.
pub(crate) type Rows = BTreeMap<Vec<String>, Row>;

/// The months of a job, ascending, as they were observed.
pub(crate) struct Oracle<'a> {
    pub months: &'a [Truth],
    pub opened_at_least: &'a [i64],
    pub profile: &'a [&'a str],
}

fn row(cells: impl IntoIterator<Item = (&'static str, Cell)>) -> Row {
    cells.into_iter().map(|(name, cell)| (name.to_string(), cell)).collect()
}

fn length<T>(set: &BTreeSet<T>) -> i64 {
    i64::try_from(set.len()).unwrap()
}

/// part / whole, null where either is unknown or the whole is 0.
fn ratio(part: Option<i64>, whole: Option<i64>) -> Cell {
    match (part, whole) {
        (Some(part), Some(whole)) if whole != 0 => Cell::Ratio(part as f64 / whole as f64),
        _ => Cell::Null,
    }
}

fn maybe_text(value: &Value) -> Cell {
    value.as_str().map_or(Cell::Null, text)
}

fn maybe_instant(value: &Value) -> Cell {
    seconds(value).map_or(Cell::Null, Cell::Instant)
}

impl<'a> Oracle<'a> {
    fn at(&self, month: &str) -> (usize, &'a Truth) {
        let index = self.months.iter().position(|truth| truth.month == month).unwrap();
        (index, &self.months[index])
    }

    /// H of a cohort up to a month, including the month if it is in H.
    fn history(&self, index: usize, key: &str) -> Vec<&'a Truth> {
        self.months[..=index].iter().filter(|truth| truth.is_in_history() && truth.cohort(key).is_some()).collect()
    }

    /// The months of H before this one; none when this one is outside H.
    fn past(&self, index: usize, key: &str) -> Vec<&'a Truth> {
        let mut past = self.history(index, key);
        if past.pop().is_some_and(|last| last.month == self.months[index].month) { past } else { Vec::new() }
    }

    pub(crate) fn cohort_summary(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        truth.cohorts.iter().map(|cohort| (vec![cohort.key.clone()], self.summary(index, &cohort.key))).collect()
    }

    fn summary(&self, index: usize, key: &str) -> Row {
        let truth = &self.months[index];
        let cohort = truth.cohort(key).unwrap();
        let members = truth.members(key);
        let counted = |is: &dyn Fn(&str, &Value) -> bool| -> i64 {
            length(&members.iter().filter(|id| is(id, &truth.contacts[id.as_str()])).collect())
        };
        let flag = |name: &'static str| counted(&|_, contact| contact[name] == true);
        let (total, unsubscribed) = (length(&members), flag("unsubscribed_from_emails"));
        let active = counted(&|_, contact| seconds(&contact["last_seen_at"]).is_some_and(|seen| seen >= truth.start));
        let active = truth.is_in_history().then_some(active);
        let openers = counted(&|id, _| truth.opened.contains_key(id));

        let past = self.past(index, key);
        let previous = past.last();
        let before = previous.map(|previous| previous.members(key)).unwrap_or_default();
        let earlier: BTreeSet<String> = past.iter().rev().skip(1).flat_map(|truth| truth.members(key)).collect();
        let known = |count: i64| previous.map(|_| count);
        let joined: BTreeSet<&String> = members.difference(&before).collect();
        let retained = known(length(&members.intersection(&before).collect()));
        let joined_count = known(length(&joined));
        let departed_set: BTreeSet<&String> = before.difference(&members).collect();
        let departed = known(length(&departed_set));
        let previous_members = known(length(&before));
        let net_change = known(total - length(&before));
        let newly_unsubscribed = counted(&|id, contact| {
            contact["unsubscribed_from_emails"] == true
                && previous.is_some_and(|previous| {
                    let record = previous.contacts.get(id);
                    record.is_some_and(|record| record["unsubscribed_from_emails"] == false) || truth.created_at(id) >= previous.end
                })
        });
        let converted = counted(&|id, contact| {
            let was = previous.and_then(|previous| previous.contacts.get(id));
            contact["role"] == "user" && was.is_some_and(|was| was["role"] == "lead")
        });
        let (kind, id) = key.split_once(':').unwrap();
        row([
            ("month", Cell::Day(day(&truth.month))),
            ("cohort_key", text(key)),
            ("cohort_name", text(&cohort.name)),
            ("cohort_kind", text(kind)),
            ("cohort_id", text(id)),
            ("basis", text(&truth.basis)),
            ("observed_at", Cell::Instant(truth.observed_at)),
            ("members", count(total)),
            ("users", count(counted(&|_, contact| contact["role"] == "user"))),
            ("leads", count(counted(&|_, contact| contact["role"] == "lead"))),
            ("intercom_count", count(length(&cohort.holds))),
            ("new_contacts", count(counted(&|id, _| truth.created_at(id) >= truth.start))),
            ("active_members", count(active)),
            ("openers", count(openers)),
            ("conversations_opened", count(members.iter().filter_map(|id| truth.opened.get(id)).sum::<i64>())),
            ("unsubscribed", count(unsubscribed)),
            ("hard_bounced", count(flag("has_hard_bounced"))),
            ("marked_spam", count(flag("marked_email_as_spam"))),
            ("compared_month", previous.map_or(Cell::Null, |previous| Cell::Day(day(&previous.month)))),
            ("previous_members", count(previous_members)),
            ("retained", count(retained)),
            ("joined", count(joined_count)),
            ("returned", count(known(length(&joined.iter().filter(|id| earlier.contains(**id)).collect())))),
            ("departed", count(departed)),
            ("departed_gone", count(known(length(&departed_set.iter().filter(|id| !truth.contacts.contains_key(**id)).collect())))),
            // The API of these months does not tell.
            ("departed_deleted", Cell::Null),
            ("departed_merged", Cell::Null),
            ("net_change", count(net_change)),
            ("newly_unsubscribed", count(known(newly_unsubscribed))),
            ("converted_leads", count(known(converted))),
            ("growth_rate", ratio(net_change, previous_members)),
            ("retention_rate", ratio(retained, previous_members)),
            ("churn_rate", ratio(departed, previous_members)),
            ("quick_ratio", ratio(joined_count, departed)),
            ("active_rate", ratio(active, Some(total))),
            ("opener_rate", ratio(Some(openers), Some(total))),
            ("unsubscribed_rate", ratio(Some(unsubscribed), Some(total))),
        ])
    }

    /// By cohort key and contact id.
    pub(crate) fn members(&self, month: &str) -> Rows {
        let (index, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let present = truth.members(&cohort.key);
            let before = self.past(index, &cohort.key).last().map(|previous| previous.members(&cohort.key)).unwrap_or_default();
            for id in present.union(&before) {
                rows.insert(vec![cohort.key.clone(), id.clone()], self.member(index, &cohort.key, &cohort.name, id));
            }
        }
        rows
    }

    fn member(&self, index: usize, key: &str, name: &str, id: &str) -> Row {
        let truth = &self.months[index];
        let past = self.past(index, key);
        let was_in = |truth: &Truth| truth.has_member(key, id);
        let is_present = was_in(truth);
        let change = match past.split_last() {
            None => "first_seen",
            Some(_) if !is_present => "departed",
            Some((previous, _)) if was_in(previous) => "retained",
            Some((_, earlier)) if earlier.iter().any(|truth| was_in(truth)) => "returned",
            Some(_) => "joined",
        };
        // The entry is known for contacts that were absent in the month before; outside H it is unknown.
        let history = self.history(index, key);
        let first_seen = history.iter().position(|truth| was_in(truth));
        let entered = first_seen.filter(|first| {
            truth.is_in_history() && history[..*first].last().is_some_and(|before| before.index() + 1 == history[*first].index())
        });
        let entered = entered.map(|first| day(&history[first].month));
        let spell = history.iter().rev().take_while(|truth| was_in(truth)).last();
        let spell = spell.filter(|_| is_present && truth.is_in_history()).map(|start| truth.index() - start.index() + 1);
        // For contacts that no longer exist, the last known record is from an earlier month.
        let record = self.months[..=index].iter().rev().find_map(|truth| truth.contacts.get(id)).unwrap();
        row([
            ("month", Cell::Day(day(&truth.month))),
            ("cohort_key", text(key)),
            ("cohort_name", text(name)),
            ("contact_id", text(id)),
            ("external_id", maybe_text(&record["external_id"])),
            ("email", maybe_text(&record["email"])),
            ("name", maybe_text(&record["name"])),
            ("role", maybe_text(&record["role"])),
            ("change", text(change)),
            ("entered_month", entered.map_or(Cell::Null, Cell::Day)),
            ("months_in_cohort", count(spell)),
            ("conversations_opened", count(truth.opened.get(id).copied().unwrap_or_default())),
            ("last_seen_at", maybe_instant(&record["last_seen_at"])),
            ("signed_up_at", maybe_instant(&record["signed_up_at"])),
            ("created_at", maybe_instant(&record["created_at"])),
            ("unsubscribed_from_emails", record["unsubscribed_from_emails"].as_bool().map_or(Cell::Null, Cell::Flag)),
            ("country", maybe_text(&record["location"]["country"])),
        ])
    }

    /// By contact id and attribute.
    pub(crate) fn member_attributes(&self, month: &str) -> Rows {
        let (_, truth) = self.at(month);
        let present: BTreeSet<String> = truth.cohorts.iter().flat_map(|cohort| truth.members(&cohort.key)).collect();
        let mut rows = Rows::new();
        for id in &present {
            let contact = &truth.contacts[id];
            for attribute in self.profile {
                let value = profiles::value_of(contact, attribute);
                let shown = match value {
                    Value::Null => Cell::Null,
                    Value::String(value) => text(value),
                    other => text(&other.to_string()),
                };
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("contact_id", text(id)),
                    ("attribute", text(attribute)),
                    ("value", shown),
                    ("value_number", value.as_f64().map_or(Cell::Null, Cell::Ratio)),
                ];
                rows.insert(vec![id.clone(), attribute.to_string()], row(cells));
            }
        }
        rows
    }

    /// By the keys of both cohorts. The population is everyone.
    pub(crate) fn overlap(&self, month: &str) -> Rows {
        let (_, truth) = self.at(month);
        let population = length(&truth.contacts.keys().filter(|id| truth.created_at(id) < truth.end).collect());
        let mut cohorts: Vec<_> = truth.cohorts.iter().collect();
        cohorts.sort_by_key(|cohort| &cohort.key);
        let mut rows = Rows::new();
        for (position, a) in cohorts.iter().enumerate() {
            for b in &cohorts[position + 1..] {
                let (in_a, in_b) = (truth.members(&a.key), truth.members(&b.key));
                let (members_a, members_b) = (length(&in_a), length(&in_b));
                let in_both = length(&in_a.intersection(&in_b).collect());
                let in_either = length(&in_a.union(&in_b).collect());
                let cells = [
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_a", text(&a.key)),
                    ("cohort_a_name", text(&a.name)),
                    ("cohort_b", text(&b.key)),
                    ("cohort_b_name", text(&b.name)),
                    ("members_a", count(members_a)),
                    ("members_b", count(members_b)),
                    ("in_both", count(in_both)),
                    ("in_either", count(in_either)),
                    ("jaccard", ratio(Some(in_both), Some(in_either))),
                    ("share_of_a", ratio(Some(in_both), Some(members_a))),
                    ("share_of_b", ratio(Some(in_both), Some(members_b))),
                    ("population", count(population)),
                    ("population_a", count(members_a)),
                    ("population_b", count(members_b)),
                    ("population_both", count(in_both)),
                    ("lift", ratio(Some(in_both * population), Some(members_a * members_b))),
                ];
                rows.insert(vec![a.key.clone(), b.key.clone()], row(cells));
            }
        }
        rows
    }

    /// By cohort key, measure and lower bound.
    pub(crate) fn conversation_activity(&self, month: &str) -> Rows {
        let (_, truth) = self.at(month);
        let mut rows = Rows::new();
        for cohort in &truth.cohorts {
            let members = truth.members(&cohort.key);
            let opened: Vec<i64> = members.iter().map(|id| truth.opened.get(id).copied().unwrap_or_default()).collect();
            let buckets = [("0", 0, 0), ("1", 1, 1), ("2", 2, 2), ("3-4", 3, 4), ("5-9", 5, 9), ("10+", 10, i64::MAX)];
            let buckets = buckets.map(|(label, least, most)| ("bucket", Some(label.to_string()), least, most));
            let thresholds = self.opened_at_least.iter().map(|least| ("at_least", None, *least, i64::MAX));
            for (measure, label, least, most) in buckets.into_iter().chain(thresholds) {
                let those: Vec<i64> = opened.iter().copied().filter(|number| (least..=most).contains(number)).collect();
                let contacts = i64::try_from(those.len()).unwrap();
                let mut cells = row([
                    ("month", Cell::Day(day(&truth.month))),
                    ("cohort_key", text(&cohort.key)),
                    ("cohort_name", text(&cohort.name)),
                    ("measure", text(measure)),
                    ("lower_bound", count(least)),
                    ("contacts", count(contacts)),
                    ("contacts_share", ratio(Some(contacts), Some(length(&members)))),
                    ("conversations_opened", count(those.iter().sum::<i64>())),
                ]);
                // The contract gives the labels of buckets, but not those of thresholds.
                cells.extend(label.map(|label| ("label".to_string(), Cell::Text(label))));
                rows.insert(vec![cohort.key.clone(), measure.to_string(), least.to_string()], cells);
            }
        }
        rows
    }
}
