use std::fmt;

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::{Contact, Role, TimeZone};

/// A part of a stream with its own cursor. The partitions of a stream are disjoint, and together they are the whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    Contacts(DayPartition),
    Conversations(SecondPartition),
}

/// Contacts that were created on these calendar days of the workspace. The first and the last day are included. `None` means that
/// the range is open at this end. The unit is days, because Intercom compares contacts' dates by day, in the workspace's own time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayPartition {
    pub first: Option<NaiveDate>,
    pub last: Option<NaiveDate>,
    pub timezone: TimeZone,
    /// Only contacts of this role. `None` means both roles. A role is set for a day that is too large for one partition.
    pub role: Option<Role>,
}

/// Conversations that were created at `start` or later, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondPartition {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl DayPartition {
    pub fn contains(&self, contact: &Contact) -> bool {
        // A contact whose creation date is missing or unreadable may be of any day, so it is accepted here.
        let is_of_days = contact.created_at.is_none_or(|instant| {
            let day = self.timezone.date(instant);
            self.first.is_none_or(|first| first <= day) && self.last.is_none_or(|last| day <= last)
        });
        is_of_days && self.role.is_none_or(|role| contact.role == role)
    }

    /// Noon of the day before the first. All days of the partition are later than this day. `None` if the range has no first day.
    /// Noon is used, because neither a clock change nor a zone that differs by some hours moves noon to another day.
    pub fn after(&self) -> Option<DateTime<Utc>> {
        let first = self.first?;
        self.noon_of((1..=2).filter_map(|days| first.checked_sub_days(Days::new(days))))
    }

    /// Noon of the day after the last. `None` if the range has no last day.
    pub fn before(&self) -> Option<DateTime<Utc>> {
        let last = self.last?;
        self.noon_of((1..=2).filter_map(|days| last.checked_add_days(Days::new(days))))
    }

    /// Noon of the first of these days that exists. Zones that crossed the date line skipped a whole day, on which no contact was created.
    fn noon_of(&self, days: impl Iterator<Item = NaiveDate>) -> Option<DateTime<Utc>> {
        days.filter_map(|day| self.timezone.noon(day)).next()
    }
}

impl SecondPartition {
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }
}

/// Used as part of a name: `2024-01-01..2024-03-31`, `..2023-12-31`, `2026-10-30..2026-10-30,user`.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Contacts(DayPartition { first, last, role, .. }) => {
                let day = |day: &Option<NaiveDate>| day.map_or(String::new(), |day| day.to_string());
                write!(f, "{}..{}", day(first), day(last))?;
                role.map_or(Ok(()), |role| write!(f, ",{}", role.as_str()))
            }
            Partition::Conversations(SecondPartition { start, end }) => write!(f, "{}..{}", start.timestamp(), end.timestamp()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::embedded(name).unwrap()
    }

    fn days(first: &str, last: &str, timezone: TimeZone) -> DayPartition {
        DayPartition { first: first.parse().ok(), last: last.parse().ok(), timezone, role: None }
    }

    fn created(at: &str, role: Role) -> Contact {
        Contact { created_at: at.parse().ok(), ..Contact::unknown("1".to_string(), role) }
    }

    #[test]
    fn a_contact_belongs_to_exactly_one_of_adjoining_partitions_when_the_clocks_change() {
        // Dublin: 25 October 2026 lasts from 2026-10-24T23:00Z to 2026-10-26T00:00Z, 29 March from 00:00Z to 23:00Z.
        for (day, edges) in [
            ("2026-10-25", ["2026-10-24T22:59:59Z", "2026-10-24T23:00:00Z", "2026-10-25T23:59:59Z", "2026-10-26T00:00:00Z"]),
            ("2026-03-29", ["2026-03-28T23:59:59Z", "2026-03-29T00:00:00Z", "2026-03-29T22:59:59Z", "2026-03-29T23:00:00Z"]),
        ] {
            let day: NaiveDate = day.parse().unwrap();
            let partition = |first, last| DayPartition { first, last, timezone: zone("Europe/Dublin"), role: None };
            let partitions = [partition(None, day.pred_opt()), partition(Some(day), Some(day)), partition(day.succ_opt(), None)];
            let of: Vec<Vec<bool>> =
                edges.map(|at| partitions.iter().map(|partition| partition.contains(&created(at, Role::User))).collect()).into();
            assert_eq!(of, [[true, false, false], [false, true, false], [false, true, false], [false, false, true]]);
        }
    }

    #[test]
    fn bounds_are_noons_of_the_days_around() {
        let partition = days("2026-10-25", "2026-10-25", zone("Europe/Dublin"));
        assert_eq!(partition.after().unwrap().to_rfc3339(), "2026-10-24T11:00:00+00:00");
        assert_eq!(partition.before().unwrap().to_rfc3339(), "2026-10-26T12:00:00+00:00");
        // Samoa had no 30 December 2011, so this is noon of the 29th. The 30th in UTC is already the 31st in Samoa.
        let partition = days("2011-12-31", "2011-12-31", zone("Pacific/Apia"));
        assert_eq!(partition.after().unwrap().to_rfc3339(), "2011-12-29T22:00:00+00:00");
        let partition = days("2011-12-29", "2011-12-29", zone("Pacific/Apia"));
        assert_eq!(partition.before().unwrap().to_rfc3339(), "2011-12-30T22:00:00+00:00");
        assert_eq!(days("", "", TimeZone::utc()).after(), None);
    }

    #[test]
    fn a_role_restricts_a_day() {
        let partition = DayPartition { role: Some(Role::Lead), ..days("2026-10-25", "2026-10-25", TimeZone::utc()) };
        assert!(partition.contains(&created("2026-10-25T12:00:00Z", Role::Lead)));
        assert!(!partition.contains(&created("2026-10-25T12:00:00Z", Role::User)));
        assert_eq!(Partition::Contacts(partition).to_string(), "2026-10-25..2026-10-25,lead");
    }
}
