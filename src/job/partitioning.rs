//! Splits long streams into partitions, each with its own cursor. The pages of one cursor come one after another, so the largest
//! partition sets how long a run takes. Partitions are therefore about equally large, and not too small.
//!
//! Probes give the number of rows in a range of days or seconds. Ranges that are too large are split again. Of contacts, a single day
//! (a single second, if the API searches by second) is split by role. Small neighbours are merged.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::try_join_all;

use super::Scope;
use super::stream::{Partitioning, SizedPartition, StreamKind};
use crate::settings::Settings;
use domain::{ContactPartition, CreationRange, Partition, Role, SecondPartition, TimeZone};
use intercom::{Client, RequestError};

/// A stream of up to this many pages has one partition. At a second a page, it takes a quarter of a minute.
pub(super) const FEW_PAGES: u64 = 16;
/// The minimum number of pages of a partition. Smaller partitions would cost too many requests, because each partition needs one more
/// request to find its end.
const PARTITION_PAGES: u64 = 8;
/// The number of partitions for each request that may be under way. With more than one, few of these requests are unused while the last
/// partitions end.
const PARTITIONS_PER_REQUEST: u64 = 2;
/// A range is split again if it is larger than wanted by this factor.
const TOO_LARGE: f64 = 1.5;
/// The maximum number of rounds of probes. They are enough to reach the one large day of a workspace that imported all its contacts
/// in an hour.
const ROUNDS_MAX: u32 = 6;
/// The maximum number of rounds of probes for contacts by seconds. They are enough to reach the one second in which a workspace imported
/// many of its contacts.
const SECOND_ROUNDS_MAX: u32 = 12;

/// Finds the partitions of a stream.
pub(super) struct Partitioner<'a> {
    pub client: &'a Client,
    pub scope: &'a Scope,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub now: DateTime<Utc>,
}

/// The range of creation times of a stream.
#[derive(Clone, Debug)]
enum FullRange {
    /// From the day of the first contact to today, in the time zone of the workspace. Contacts from before this range belong to the first
    /// partition, contacts from after it to the last one.
    Days { first: NaiveDate, last: NaiveDate, timezone: TimeZone },
    /// From the second of the first contact to the present second. Contacts from before this range belong to the first partition,
    /// contacts from after it to the last one.
    ContactSeconds { first: DateTime<Utc>, last: DateTime<Utc> },
    /// The period of the conversations.
    Seconds { start: DateTime<Utc>, end: DateTime<Utc> },
}

/// The number of pages for this number of rows, at least one; `None` if the number of rows is unknown.
pub fn pages(rows: Option<u64>, settings: &Settings) -> Option<u64> {
    let intercom = &settings.intercom;
    rows.map(|rows| intercom.capabilities().pages(rows, intercom.page_size))
}

/// The number of rows that a partition should have; `None` if the stream needs no partitions.
pub fn rows_per_partition(rows: u64, page_size: u64, max_concurrency: usize) -> Option<u64> {
    let pages = rows.div_ceil(page_size.max(1));
    if pages <= FEW_PAGES || max_concurrency < 2 {
        return None;
    }
    Some(pages.div_ceil(max_concurrency as u64 * PARTITIONS_PER_REQUEST).max(PARTITION_PAGES) * page_size)
}

/// A part of the full range: the days or seconds from the start of `at` up to its end (exclusive).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubRange {
    pub at: Range<i64>,
    pub role: Option<Role>,
    pub rows: u64,
}

/// Splits a range into parts of equal length. There are as many parts as are needed if the rows are spread evenly. A single day is
/// split by role.
pub fn split(range: &SubRange, rows_per_partition: u64, has_roles: bool) -> Vec<SubRange> {
    let length = range.at.end - range.at.start;
    let wanted = i64::try_from(range.rows.div_ceil(rows_per_partition.max(1))).unwrap_or(i64::MAX);
    let count = wanted.clamp(1, length.max(1));
    let sized = |at: Range<i64>, role| SubRange { at, role, rows: 0 };
    if count > 1 {
        // This is computed in i128, because the product of two long ranges of seconds can overflow i64.
        let edge = |index: i64| range.at.start + (i128::from(length) * i128::from(index) / i128::from(count)) as i64;
        return (0..count).map(|index| sized(edge(index)..edge(index + 1), range.role)).collect();
    }
    match range.role {
        None if has_roles && wanted > 1 => [Role::User, Role::Lead].map(|role| sized(range.at.clone(), Some(role))).into(),
        _ => Vec::new(),
    }
}

/// Merges neighbours that are small enough together.
pub fn merge(ranges: Vec<SubRange>, rows_per_partition: u64) -> Vec<SubRange> {
    let mut merged: Vec<SubRange> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.role.is_none() && range.role.is_none() && last.rows + range.rows <= rows_per_partition => {
                last.at.end = range.at.end;
                last.rows += range.rows;
            }
            _ => merged.push(range),
        }
    }
    merged
}

impl Partitioner<'_> {
    pub(super) fn is_long(&self, rows: u64) -> bool {
        self.client.capabilities().has_partitions && rows_per_partition(rows, u64::from(self.page_size), self.max_concurrency).is_some()
    }

    /// The partitions of a stream of this many rows. `oldest` is when the first member of a group was created, if known.
    ///
    /// `None` if the stream needs no partitions, or cannot be partitioned: this API version has no partitions, a size or the oldest
    /// contact is unknown, or contacts are searched by day and the workspace's time zone is unknown.
    pub(super) async fn partition(
        &self,
        kind: &StreamKind,
        rows: u64,
        oldest: Option<DateTime<Utc>>,
    ) -> Result<Option<Partitioning>, RequestError> {
        let page_size = u64::from(self.page_size);
        let Some(rows_per_partition) =
            rows_per_partition(rows, page_size, self.max_concurrency).filter(|_| self.client.capabilities().has_partitions)
        else {
            return Ok(None);
        };
        let mut requests = 0;
        let full = if *kind == StreamKind::Conversations {
            FullRange::Seconds { start: self.scope.start(), end: self.scope.end() }
        } else {
            let is_by_second = self.client.capabilities().searches_by_second;
            let timezone = self.scope.workspace_timezone.as_ref();
            if timezone.is_none() && !is_by_second {
                return Ok(None);
            }
            let oldest = match oldest {
                Some(oldest) => Some(oldest),
                None => {
                    requests += 1;
                    self.client.oldest(kind.group()).await?
                }
            };
            let Some(oldest) = oldest else { return Ok(None) };
            FullRange::of_contacts(oldest, self.now, timezone.filter(|_| !is_by_second))
        };
        let Some(ranges) = self.ranges(kind, &full, rows, rows_per_partition, &mut requests).await? else { return Ok(None) };
        let sized = |range: &SubRange| SizedPartition { partition: full.partition(range), rows: range.rows };
        Ok((ranges.len() > 1).then(|| Partitioning { partitions: ranges.iter().map(sized).collect(), total: rows, requests }))
    }

    async fn ranges(
        &self,
        kind: &StreamKind,
        full: &FullRange,
        rows: u64,
        rows_per_partition: u64,
        requests: &mut u64,
    ) -> Result<Option<Vec<SubRange>>, RequestError> {
        let (has_roles, rounds) = match full {
            FullRange::Days { .. } => (true, ROUNDS_MAX),
            FullRange::ContactSeconds { .. } => (true, SECOND_ROUNDS_MAX),
            FullRange::Seconds { .. } => (false, ROUNDS_MAX),
        };
        let is_too_large = |range: &SubRange| range.rows as f64 > rows_per_partition as f64 * TOO_LARGE;
        let mut ranges = vec![SubRange { at: full.range(), role: None, rows }];
        for _ in 0..rounds {
            let of = |range: &SubRange| if is_too_large(range) { split(range, rows_per_partition, has_roles) } else { Vec::new() };
            let splits: Vec<Vec<SubRange>> = ranges.iter().map(of).collect();
            if splits.iter().all(Vec::is_empty) {
                break;
            }
            *requests += splits.iter().map(Vec::len).sum::<usize>() as u64;
            let counts = try_join_all(splits.iter().flatten().map(|range| self.count(kind, full.partition(range)))).await?;
            let mut counts = counts.into_iter();
            let mut next = Vec::new();
            for (range, parts) in ranges.into_iter().zip(splits) {
                if parts.is_empty() {
                    next.push(range);
                }
                for part in parts {
                    let Some(rows) = counts.next().flatten() else { return Ok(None) };
                    next.push(SubRange { rows, ..part });
                }
            }
            ranges = next;
        }
        Ok(Some(merge(ranges, rows_per_partition)))
    }

    async fn count(&self, kind: &StreamKind, partition: Partition) -> Result<Option<u64>, RequestError> {
        match (partition, kind.group()) {
            (Partition::Contacts(partition), Some(group)) => self.client.member_count(group, Some(&partition)).await,
            (Partition::Contacts(partition), None) => self.client.contact_count(Some(&partition)).await,
            (Partition::Conversations(partition), _) => self.client.conversation_count(partition.start, partition.end).await,
        }
    }
}

impl FullRange {
    /// The range of a stream of contacts: days of this time zone, or seconds without one.
    fn of_contacts(oldest: DateTime<Utc>, now: DateTime<Utc>, timezone: Option<&TimeZone>) -> FullRange {
        let newest = now.max(oldest);
        match timezone {
            Some(timezone) => FullRange::Days { first: timezone.date(oldest), last: timezone.date(newest), timezone: timezone.clone() },
            None => FullRange::ContactSeconds { first: oldest, last: newest },
        }
    }

    fn range(&self) -> Range<i64> {
        match self {
            FullRange::Days { first, last, .. } => number(*first)..number(*last) + 1,
            FullRange::ContactSeconds { first, last } => first.timestamp()..last.timestamp() + 1,
            FullRange::Seconds { start, end } => start.timestamp()..end.timestamp(),
        }
    }

    fn partition(&self, range: &SubRange) -> Partition {
        let whole = self.range();
        let (is_first, is_last) = (range.at.start <= whole.start, range.at.end >= whole.end);
        let start = DateTime::from_timestamp(range.at.start, 0).filter(|_| !is_first);
        let end = DateTime::from_timestamp(range.at.end, 0).filter(|_| !is_last);
        let contacts = |created| Partition::Contacts(ContactPartition { created, role: range.role });
        match self {
            FullRange::Days { timezone, .. } => contacts(CreationRange::Days {
                first: (!is_first).then(|| day(range.at.start)),
                last: (!is_last).then(|| day(range.at.end - 1)),
                timezone: timezone.clone(),
            }),
            FullRange::ContactSeconds { .. } => contacts(CreationRange::Seconds { start, end }),
            FullRange::Seconds { start: first, end: last } => {
                Partition::Conversations(SecondPartition { start: start.unwrap_or(*first), end: end.unwrap_or(*last) })
            }
        }
    }
}

fn number(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce())
}

/// The inverse of [`number`]. Every number given here comes from that function, or lies between two such numbers.
fn day(number: i64) -> NaiveDate {
    i32::try_from(number).ok().and_then(NaiveDate::from_num_days_from_ce_opt).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(at: Range<i64>, rows: u64) -> SubRange {
        SubRange { at, role: None, rows }
    }

    #[test]
    fn short_streams_have_one_partition_and_long_ones_two_per_request() {
        assert_eq!(rows_per_partition(2_400, 150, 16), None);
        assert_eq!(rows_per_partition(2_401, 150, 16), Some(1_200));
        assert_eq!(rows_per_partition(1_000_000, 150, 16), Some(209 * 150));
        assert_eq!(rows_per_partition(1_000_000, 150, 1), None, "one request at a time gains nothing");
    }

    #[test]
    fn parts_adjoin_and_cover_the_range() {
        for (at, rows) in [(0..100, 1_000), (-5..2, 10_000), (0..1, 50), (7..3_000, 333)] {
            let ranges = split(&range(at.clone(), rows), 100, false);
            let edges: Vec<i64> = ranges.iter().map(|range| range.at.start).chain(ranges.last().map(|last| last.at.end)).collect();
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
            if let Some(first) = ranges.first() {
                assert_eq!((first.at.start, edges[edges.len() - 1]), (at.start, at.end));
            }
            assert!(ranges.len() as i64 <= at.end - at.start);
        }
    }

    #[test]
    fn a_single_day_is_split_by_role_and_no_further() {
        let roles: Vec<Option<Role>> = split(&range(5..6, 1_000), 100, true).iter().map(|range| range.role).collect();
        assert_eq!(roles, [Some(Role::User), Some(Role::Lead)]);
        assert_eq!(split(&SubRange { role: Some(Role::User), ..range(5..6, 1_000) }, 100, true), []);
        assert_eq!(split(&range(5..6, 1_000), 100, false), [], "a second of conversations has no roles");
        assert_eq!(split(&range(5..6, 90), 100, true), []);
    }

    #[test]
    fn small_neighbours_are_merged() {
        let merged = merge(vec![range(0..1, 40), range(1..2, 60), range(2..3, 1), range(3..9, 200), range(9..10, 0)], 100);
        assert_eq!(merged, [range(0..2, 100), range(2..3, 1), range(3..9, 200), range(9..10, 0)]);
    }
}
