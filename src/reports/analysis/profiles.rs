//! Counts by attribute and value, for the population and each cohort: the input of both profile reports.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Add, Sub};

use chrono::NaiveDate;
use polars::prelude::*;

use super::Facts;
use super::rows::days_of;
use stats::TwoByTwo;

/// Numbers of contacts by role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByRole {
    users: u64,
    leads: u64,
}

impl ByRole {
    pub(super) fn total(self) -> u64 {
        self.users + self.leads
    }

    /// One table for each role that members have. It counts members and others, each with and without the value.
    pub(super) fn strata([members_with, members, others_with, others]: [ByRole; 4]) -> Vec<TwoByTwo> {
        let of_role = |role: fn(ByRole) -> u64| TwoByTwo {
            members_with: role(members_with),
            members_without: role(members - members_with),
            others_with: role(others_with),
            others_without: role(others - others_with),
        };
        let roles: [fn(ByRole) -> u64; 2] = [|by_role| by_role.users, |by_role| by_role.leads];
        roles.into_iter().filter(|role| role(members) > 0).map(of_role).collect()
    }

    /// The numbers of the roles that occur in `group`, and 0 for other roles.
    pub(super) fn of_roles_in(self, group: ByRole) -> ByRole {
        ByRole { users: if group.users > 0 { self.users } else { 0 }, leads: if group.leads > 0 { self.leads } else { 0 } }
    }
}

impl Add for ByRole {
    type Output = ByRole;

    fn add(self, other: ByRole) -> ByRole {
        ByRole { users: self.users + other.users, leads: self.leads + other.leads }
    }
}

impl Sub for ByRole {
    type Output = ByRole;

    /// A part is never larger than its whole. If the tables disagree, the result is 0.
    fn sub(self, other: ByRole) -> ByRole {
        ByRole { users: self.users.saturating_sub(other.users), leads: self.leads.saturating_sub(other.leads) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Value {
    pub contacts: ByRole,
    /// The value, if it is a number.
    pub number: Option<f64>,
}

/// The values of one attribute. Contacts without a value are not counted here.
pub(super) type Values = BTreeMap<String, Value>;

/// The population, or a cohort within it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub everyone: ByRole,
    attributes: HashMap<String, Values>,
}

static NO_VALUES: Values = BTreeMap::new();

impl Group {
    pub(super) fn values(&self, attribute: &str) -> &Values {
        self.attributes.get(attribute).unwrap_or(&NO_VALUES)
    }

    /// The number of contacts with this value.
    pub(super) fn with(&self, attribute: &str, value: &str) -> ByRole {
        self.values(attribute).get(value).map_or(ByRole::default(), |value| value.contacts)
    }

    /// The number of contacts that have the attribute.
    pub(super) fn with_any(&self, attribute: &str) -> ByRole {
        self.values(attribute).values().fold(ByRole::default(), |sum, value| sum + value.contacts)
    }
}

/// All groups of a month. A group without counts is empty.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub population: Group,
    now: HashMap<String, Group>,
    compared: HashMap<String, Group>,
    empty: Group,
}

impl Groups {
    /// From the rows of [`PROFILES`](crate::history::PROFILES).
    pub(super) fn read(counts: &DataFrame, facts: &Facts) -> PolarsResult<Groups> {
        let text = |name: &str| counts.column(name)?.str();
        let (keys, attributes, roles, values) = (text("cohort_key")?, text("attribute")?, text("role")?, text("value")?);
        let numbers = counts.column("value_number")?.f64()?;
        let months = days_of(counts, "month")?;
        let compared: HashMap<&str, NaiveDate> =
            facts.cohorts.iter().filter_map(|cohort| Some((cohort.cohort_key.as_str(), cohort.compared_month?.first_day()))).collect();
        let contacts = counts.column("contacts")?.i64()?;
        let mut groups = Groups::default();
        for (row, month) in months.into_iter().enumerate() {
            let key = keys.get(row).unwrap_or_default();
            let is_now = month == facts.first_day();
            let group = if is_now && key.is_empty() {
                &mut groups.population
            } else if is_now {
                groups.now.entry(key.to_string()).or_default()
            } else if compared.get(key) == Some(&month) {
                groups.compared.entry(key.to_string()).or_default()
            } else {
                continue;
            };
            let count = contacts.get(row).unwrap_or_default() as u64;
            let contacts =
                if roles.get(row) == Some("user") { ByRole { users: count, leads: 0 } } else { ByRole { users: 0, leads: count } };
            match (attributes.get(row).unwrap_or_default(), values.get(row)) {
                ("", _) => group.everyone = group.everyone + contacts,
                (attribute, Some(value)) => {
                    let values = group.attributes.entry(attribute.to_string()).or_default();
                    let number = numbers.get(row).filter(|number| number.is_finite());
                    let entry = values.entry(value.to_string()).or_insert(Value { contacts: ByRole::default(), number });
                    entry.contacts = entry.contacts + contacts;
                    // Two contacts may have the same characters, one as a number and one as a text. Then the value is no number.
                    entry.number = entry.number.and(number);
                }
                (_, None) => {}
            }
        }
        Ok(groups)
    }

    pub(super) fn cohort(&self, key: &str) -> &Group {
        self.now.get(key).unwrap_or(&self.empty)
    }

    /// The cohort in the compared month. Empty if it has no counts of that month.
    pub(super) fn compared(&self, key: &str) -> &Group {
        self.compared.get(key).unwrap_or(&self.empty)
    }
}
