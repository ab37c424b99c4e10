//! The true state of a month when it was observed, by the simulator's probes and not by the client.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::simulator::Simulator;

/// A month with its bounds, written by hand, and the instant of the run that observes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Month {
    pub name: &'static str,
    /// First instant of the month in its zone.
    pub start: &'static str,
    /// First instant of the next.
    pub end: &'static str,
    pub as_of: &'static str,
    pub basis: &'static str,
}

const fn at_its_end(name: &'static str, start: &'static str, end: &'static str, as_of: &'static str) -> Month {
    Month { name, start, end, as_of, basis: "month_end" }
}

// Dublin is an hour ahead of UTC until the last Sunday of October. The runs are two days after each month's end, so contacts who signed up in
// between have to be left out.
pub(crate) const MAY: Month = at_its_end("2026-05", "2026-04-30T23:00:00Z", "2026-05-31T23:00:00Z", "2026-06-02T23:00:00Z");
pub(crate) const JUNE: Month = at_its_end("2026-06", "2026-05-31T23:00:00Z", "2026-06-30T23:00:00Z", "2026-07-02T23:00:00Z");
pub(crate) const JULY: Month = at_its_end("2026-07", "2026-06-30T23:00:00Z", "2026-07-31T23:00:00Z", "2026-08-02T23:00:00Z");
pub(crate) const AUGUST: Month = at_its_end("2026-08", "2026-07-31T23:00:00Z", "2026-08-31T23:00:00Z", "2026-09-02T23:00:00Z");
pub(crate) const SEPTEMBER: Month = at_its_end("2026-09", "2026-08-31T23:00:00Z", "2026-09-30T23:00:00Z", "2026-10-02T23:00:00Z");
pub(crate) const OCTOBER: Month = at_its_end("2026-10", "2026-09-30T23:00:00Z", "2026-11-01T00:00:00Z", "2026-11-03T00:00:00Z");

impl Month {
    /// The same month observed at another time.
    pub(crate) const fn observed(self, as_of: &'static str, basis: &'static str) -> Month {
        Month { as_of, basis, ..self }
    }
}

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) struct Cohort {
    pub key: String,
    pub name: String,
    /// All contacts in the group, also those created after the month's end.
    pub holds: BTreeSet<String>,
}

/// One observed month.
pub(crate) struct Truth {
    pub month: String,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub observed_at: DateTime<Utc>,
    pub basis: String,
    /// All contacts of the workspace, by id, as the API shows them.
    pub contacts: BTreeMap<String, Value>,
    pub cohorts: Vec<Cohort>,
    pub conversations: BTreeSet<String>,
    /// How many conversations each contact opened in the month.
    pub opened: BTreeMap<String, i64>,
}

/// Key and name of a cohort.
pub(crate) type Named = (&'static str, &'static str);

impl Truth {
    pub(crate) fn ask(simulator: &Simulator, month: &Month, cohorts: &[Named]) -> Truth {
        let (start, end) = (instant(month.start), instant(month.end));
        let contacts = simulator.contacts().into_iter().map(|contact| (contact["id"].as_str().unwrap().to_string(), contact));
        let cohorts = cohorts.iter().map(|(key, name)| Cohort {
            key: key.to_string(),
            name: name.to_string(),
            holds: simulator.members(key).into_iter().collect(),
        });
        let mut truth = Truth {
            month: month.name.to_string(),
            start,
            end,
            observed_at: instant(month.as_of),
            basis: month.basis.to_string(),
            contacts: contacts.collect(),
            cohorts: cohorts.collect(),
            conversations: BTreeSet::new(),
            opened: BTreeMap::new(),
        };
        for conversation in simulator.conversations(start, end) {
            truth.conversations.insert(conversation["id"].as_str().unwrap().to_string());
            if matches!(conversation["author_type"].as_str().unwrap(), "user" | "lead") {
                *truth.opened.entry(conversation["author_id"].as_str().unwrap().to_string()).or_default() += 1;
            }
        }
        truth
    }

    pub(crate) fn cohort(&self, key: &str) -> Option<&Cohort> {
        self.cohorts.iter().find(|cohort| cohort.key == key)
    }

    /// S(C, m): the contacts in the group, without those created at or after the month's end.
    pub(crate) fn members(&self, key: &str) -> BTreeSet<String> {
        let Some(cohort) = self.cohort(key) else { return BTreeSet::new() };
        cohort.holds.iter().filter(|id| self.created_at(id) < self.end).cloned().collect()
    }

    /// Whether a contact is in S(C, m).
    pub(crate) fn has_member(&self, key: &str, id: &str) -> bool {
        self.cohort(key).is_some_and(|cohort| cohort.holds.contains(id)) && self.created_at(id) < self.end
    }

    pub(crate) fn created_at(&self, id: &str) -> DateTime<Utc> {
        seconds(&self.contacts[id]["created_at"]).unwrap()
    }

    pub(crate) fn is_in_history(&self) -> bool {
        self.basis == "month_end"
    }

    /// Months since year 0.
    pub(crate) fn index(&self) -> i64 {
        let (year, month) = self.month.split_once('-').unwrap();
        year.parse::<i64>().unwrap() * 12 + month.parse::<i64>().unwrap()
    }
}

/// An instant as the API shows it: in seconds or, in a few cases, in milliseconds.
pub(crate) fn seconds(value: &Value) -> Option<DateTime<Utc>> {
    let number = value.as_i64()?;
    if number > 100_000_000_000 { DateTime::from_timestamp_millis(number) } else { DateTime::from_timestamp(number, 0) }
}
