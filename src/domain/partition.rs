use std::fmt;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use super::{Contact, Role, TimeZone};

/// A part of a stream with its own cursor. The partitions of a stream are disjoint, and together they are the whole stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    Contacts(ContactPartition),
    Conversations(SecondPartition),
}

/// Contacts that were created within a range of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactPartition {
    pub created: CreationRange,
    /// Only contacts of this role. `None` means both roles. A role is set for a day or second that is too large for one partition.
    pub role: Option<Role>,
}

/// When contacts were created. `None` means that the range is open at this end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreationRange {
    /// Calendar days of the workspace, in its own time zone. The first and the last day are included.
    Days { first: Option<NaiveDate>, last: Option<NaiveDate>, timezone: TimeZone },
    /// Seconds, from `start` on and before `end`.
    Seconds { start: Option<DateTime<Utc>>, end: Option<DateTime<Utc>> },
}

/// Conversations that were created at `start` or later, and before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondPartition {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl ContactPartition {
    pub fn contains(&self, contact: &Contact) -> bool {
        // A contact whose creation date is missing or unreadable may have been created at any time, so it is accepted here.
        contact.created_at.is_none_or(|instant| self.created.contains(instant)) && self.role.is_none_or(|role| contact.role == role)
    }
}

impl CreationRange {
    fn contains(&self, instant: DateTime<Utc>) -> bool {
        match self {
            CreationRange::Days { first, last, timezone } => {
                let day = timezone.date(instant);
                first.is_none_or(|first| first <= day) && last.is_none_or(|last| day <= last)
            }
            CreationRange::Seconds { start, end } => start.is_none_or(|start| start <= instant) && end.is_none_or(|end| instant < end),
        }
    }

    /// The exclusive lower bound of a search. `None` if the range is open at its start.
    ///
    /// For days, the bound is noon of the day before the first day, because the API compares whole days. Neither a clock change nor a zone
    /// that differs by some hours moves noon to another day. For seconds, the bound is the second before `start`.
    pub fn after(&self) -> Option<DateTime<Utc>> {
        match self {
            CreationRange::Days { first, timezone, .. } => {
                let first = (*first)?;
                noon_of((1..=2).filter_map(|days| first.checked_sub_days(Days::new(days))), timezone)
            }
            CreationRange::Seconds { start, .. } => start.map(|start| start - TimeDelta::seconds(1)),
        }
    }

    /// The exclusive upper bound of a search. For days, it is noon of the day after the last day; for seconds, it is `end`. `None` if the
    /// range is open at its end.
    pub fn before(&self) -> Option<DateTime<Utc>> {
        match self {
            CreationRange::Days { last, timezone, .. } => {
                let last = (*last)?;
                noon_of((1..=2).filter_map(|days| last.checked_add_days(Days::new(days))), timezone)
            }
            CreationRange::Seconds { end, .. } => *end,
        }
    }
}

/// Noon of the first of these days that exists. Zones that crossed the date line skipped a whole day, on which no contact was created.
fn noon_of(days: impl Iterator<Item = NaiveDate>, timezone: &TimeZone) -> Option<DateTime<Utc>> {
    days.filter_map(|day| timezone.noon(day)).next()
}

impl SecondPartition {
    pub fn contains(&self, instant: DateTime<Utc>) -> bool {
        self.start <= instant && instant < self.end
    }
}

/// The text is part of the partition's key, which is used for its folder and in the log: `2024-01-01..2024-03-31`, `..2023-12-31`,
/// `2026-10-30..2026-10-30,user`, `1711929600..1711929601,user`.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Contacts(ContactPartition { created, role }) => {
                match created {
                    CreationRange::Days { first, last, .. } => write!(f, "{}..{}", bound(first), bound(last))?,
                    CreationRange::Seconds { start, end } => {
                        write!(f, "{}..{}", bound(&start.map(|start| start.timestamp())), bound(&end.map(|end| end.timestamp())))?;
                    }
                }
                role.map_or(Ok(()), |role| write!(f, ",{}", role.as_str()))
            }
            Partition::Conversations(SecondPartition { start, end }) => write!(f, "{}..{}", start.timestamp(), end.timestamp()),
        }
    }
}

fn bound(bound: &Option<impl ToString>) -> String {
    bound.as_ref().map_or(String::new(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::embedded(name).unwrap()
    }

    fn days(first: &str, last: &str, timezone: TimeZone) -> CreationRange {
        CreationRange::Days { first: first.parse().ok(), last: last.parse().ok(), timezone }
    }

    fn seconds(start: &str, end: &str) -> CreationRange {
        CreationRange::Seconds { start: start.parse().ok(), end: end.parse().ok() }
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
            let partition = |first, last| {
                let created = CreationRange::Days { first, last, timezone: zone("Europe/Dublin") };
                ContactPartition { created, role: None }
            };
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
        // Samoa had no 30 December 2011. So the bound before the 31st is noon of the 29th, and the bound after the 29th is noon of the
        // 31st, which is still on the 30th in UTC.
        let partition = days("2011-12-31", "2011-12-31", zone("Pacific/Apia"));
        assert_eq!(partition.after().unwrap().to_rfc3339(), "2011-12-29T22:00:00+00:00");
        let partition = days("2011-12-29", "2011-12-29", zone("Pacific/Apia"));
        assert_eq!(partition.before().unwrap().to_rfc3339(), "2011-12-30T22:00:00+00:00");
        assert_eq!(days("", "", TimeZone::utc()).after(), None);
    }

    #[test]
    fn a_role_restricts_a_day() {
        let partition = ContactPartition { created: days("2026-10-25", "2026-10-25", TimeZone::utc()), role: Some(Role::Lead) };
        assert!(partition.contains(&created("2026-10-25T12:00:00Z", Role::Lead)));
        assert!(!partition.contains(&created("2026-10-25T12:00:00Z", Role::User)));
        assert_eq!(Partition::Contacts(partition).to_string(), "2026-10-25..2026-10-25,lead");
    }

    #[test]
    fn a_contact_belongs_to_exactly_one_of_adjoining_partitions_of_seconds() {
        let (start, end) = ("2024-04-02T09:00:00Z", "2024-04-02T09:00:01Z");
        let ranges = [seconds("", start), seconds(start, end), seconds(end, "")];
        let partitions = ranges.clone().map(|created| ContactPartition { created, role: None });
        let of = |at: &str| partitions.clone().map(|partition| partition.contains(&created(at, Role::User)));
        assert_eq!(of("2024-04-02T08:59:59Z"), [true, false, false]);
        assert_eq!(of(start), [false, true, false]);
        assert_eq!(of("2024-04-02T09:00:00.999Z"), [false, true, false], "a date in milliseconds is of its second");
        assert_eq!(of(end), [false, false, true]);
        assert_eq!(of("no date"), [true; 3], "it may be of any time");
        // Both bounds of a search are exclusive.
        let bounds = ranges.map(|range| (range.after().map(|at| at.timestamp()), range.before().map(|at| at.timestamp())));
        let first = 1_712_048_400;
        assert_eq!(bounds, [(None, Some(first)), (Some(first - 1), Some(first + 1)), (Some(first), None)]);
        let names = partitions.map(|partition| Partition::Contacts(partition).to_string());
        assert_eq!(names, ["..1712048400", "1712048400..1712048401", "1712048401.."]);
    }
}
