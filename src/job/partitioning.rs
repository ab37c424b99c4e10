//! Lists that are too long for one chain are cut into partitions, each a chain of its own. A chain of pages is serial, so the
//! longest one sets how long a run takes: partitions are made about equally large, and no smaller than is worth a chain.
//!
//! Where to cut is asked: searches for one row tell how many there are in a stretch of days or seconds. Stretches that are
//! too large are cut again, a single day by role; small neighbours are put together.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::try_join_all;

use super::Scope;
use super::plan::StreamKind;
use domain::{DayPartition, Partition, Role, SecondPartition, TimeZone};
use intercom::{Client, RequestError};

/// Lists of up to so many pages are one chain: at a second a page, a quarter of a minute.
pub(super) const FEW_PAGES: u64 = 16;
/// Slices are no shorter than so many pages: finding where they end takes a request each.
const SLICE_PAGES: u64 = 8;
/// Slices for each request that may be under way, so that the last ones to end leave few of them idle.
const SLICES_PER_PLACE: u64 = 2;
/// Stretches that are this much larger than they should be are cut again.
const TOO_LARGE: f64 = 1.5;
/// How often at the most: a workspace that imported all its contacts in an hour has its one large day by then.
const ROUNDS_MAX: u32 = 6;

/// A list in partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitioning {
    pub partitions: Vec<SizedPartition>,
    /// Rows of the list as a whole when it was divided.
    pub total: u64,
    /// What it took to find the partitions.
    pub requests: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizedPartition {
    pub partition: Partition,
    /// Rows when the list was divided.
    pub rows: u64,
}

/// What lists are divided by.
pub(super) struct Partitioner<'a> {
    pub client: &'a Client,
    pub scope: &'a Scope,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub now: DateTime<Utc>,
}

/// Where a list is cut.
#[derive(Clone, Debug)]
enum Stretch {
    /// From the day of the first contact to today, as days of the workspace. Contacts of before and after belong to the
    /// first and last partition.
    Days {
        first: NaiveDate,
        last: NaiveDate,
        timezone: TimeZone,
    },
    Seconds {
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    },
}

/// Rows that a partition of a list should have; `None` when the list is as well followed in one chain.
pub fn rows_per_partition(rows: u64, page_size: u64, max_concurrency: usize) -> Option<u64> {
    let pages = rows.div_ceil(page_size.max(1));
    if pages <= FEW_PAGES || max_concurrency < 2 {
        return None;
    }
    Some(pages.div_ceil(max_concurrency as u64 * SLICES_PER_PLACE).max(SLICE_PAGES) * page_size)
}

/// A piece of the stretch: from this day or second on, and before that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub at: Range<i64>,
    pub role: Option<Role>,
    pub rows: u64,
}

/// As many pieces of equal length as it takes for so many rows, if they were spread evenly. A single day is cut by role.
pub fn cut(piece: &Piece, rows_per_partition: u64, has_roles: bool) -> Vec<Piece> {
    let length = piece.at.end - piece.at.start;
    let wanted = i64::try_from(piece.rows.div_ceil(rows_per_partition.max(1))).unwrap_or(i64::MAX);
    let count = wanted.clamp(1, length.max(1));
    let sized = |at: Range<i64>, role| Piece { at, role, rows: 0 };
    if count > 1 {
        // In i128: the product of two long stretches of seconds is no i64.
        let edge = |index: i64| piece.at.start + (i128::from(length) * i128::from(index) / i128::from(count)) as i64;
        return (0..count).map(|index| sized(edge(index)..edge(index + 1), piece.role)).collect();
    }
    match piece.role {
        None if has_roles && wanted > 1 => [Role::User, Role::Lead].map(|role| sized(piece.at.clone(), Some(role))).into(),
        _ => Vec::new(),
    }
}

/// Neighbours that are small enough together become one.
pub fn merge(pieces: Vec<Piece>, rows_per_partition: u64) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::new();
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if last.role.is_none() && piece.role.is_none() && last.rows + piece.rows <= rows_per_partition => {
                last.at.end = piece.at.end;
                last.rows += piece.rows;
            }
            _ => merged.push(piece),
        }
    }
    merged
}

impl Partitioning {
    /// What a run asks before the pages of the partitions: the first page of the whole list, which tells its size, and what
    /// the cuts take.
    pub(super) fn sizing(&self) -> u64 {
        1 + self.requests
    }
}

impl Partitioner<'_> {
    pub(super) fn is_long(&self, rows: u64) -> bool {
        self.client.capabilities().has_partitions && rows_per_partition(rows, u64::from(self.page_size), self.max_concurrency).is_some()
    }

    /// Slices of a list of so many rows. `oldest` is when the first of a group's members was created, where that is known.
    ///
    /// `None` when it is as well followed in one chain, and when it cannot be divided: sizes are not told, the workspace's
    /// time zone is not known, or all of it is of one day.
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
        let stretch = match (kind, &self.scope.workspace_timezone) {
            (StreamKind::Conversations, _) => Stretch::Seconds { start: self.scope.start(), end: self.scope.end() },
            (_, None) => return Ok(None),
            (kind, Some(timezone)) => {
                let group = kind.group();
                let oldest = match oldest {
                    Some(oldest) => Some(oldest),
                    None => {
                        requests += 1;
                        self.client.oldest(group).await?
                    }
                };
                let Some(oldest) = oldest else { return Ok(None) };
                let day = |instant: DateTime<Utc>| timezone.date(instant);
                Stretch::Days { first: day(oldest), last: day(self.now).max(day(oldest)), timezone: timezone.clone() }
            }
        };
        let Some(pieces) = self.pieces(kind, &stretch, rows, rows_per_partition, &mut requests).await? else { return Ok(None) };
        let sized = |piece: &Piece| SizedPartition { partition: stretch.partition(piece), rows: piece.rows };
        Ok((pieces.len() > 1).then(|| Partitioning { partitions: pieces.iter().map(sized).collect(), total: rows, requests }))
    }

    async fn pieces(
        &self,
        kind: &StreamKind,
        stretch: &Stretch,
        rows: u64,
        rows_per_partition: u64,
        requests: &mut u64,
    ) -> Result<Option<Vec<Piece>>, RequestError> {
        let has_roles = matches!(stretch, Stretch::Days { .. });
        let is_too_large = |piece: &Piece| piece.rows as f64 > rows_per_partition as f64 * TOO_LARGE;
        let mut pieces = vec![Piece { at: stretch.range(), role: None, rows }];
        for _ in 0..ROUNDS_MAX {
            let of = |piece: &Piece| if is_too_large(piece) { cut(piece, rows_per_partition, has_roles) } else { Vec::new() };
            let cuts: Vec<Vec<Piece>> = pieces.iter().map(of).collect();
            if cuts.iter().all(Vec::is_empty) {
                break;
            }
            *requests += cuts.iter().map(Vec::len).sum::<usize>() as u64;
            let counts = try_join_all(cuts.iter().flatten().map(|piece| self.count(kind, stretch.partition(piece)))).await?;
            let mut counts = counts.into_iter();
            let mut next = Vec::new();
            for (piece, parts) in pieces.into_iter().zip(cuts) {
                if parts.is_empty() {
                    next.push(piece);
                }
                for part in parts {
                    let Some(rows) = counts.next().flatten() else { return Ok(None) };
                    next.push(Piece { rows, ..part });
                }
            }
            pieces = next;
        }
        Ok(Some(merge(pieces, rows_per_partition)))
    }

    async fn count(&self, kind: &StreamKind, partition: Partition) -> Result<Option<u64>, RequestError> {
        match (partition, kind.group()) {
            (Partition::Contacts(partition), Some(group)) => self.client.member_count(group, Some(&partition)).await,
            (Partition::Contacts(partition), None) => self.client.contact_count(Some(&partition)).await,
            (Partition::Conversations(partition), _) => self.client.conversation_count(partition.start, partition.end).await,
        }
    }
}

impl Stretch {
    fn range(&self) -> Range<i64> {
        match self {
            Stretch::Days { first, last, .. } => number(*first)..number(*last) + 1,
            Stretch::Seconds { start, end } => start.timestamp()..end.timestamp(),
        }
    }

    fn partition(&self, piece: &Piece) -> Partition {
        let whole = self.range();
        let (is_first, is_last) = (piece.at.start <= whole.start, piece.at.end >= whole.end);
        match self {
            Stretch::Days { timezone, .. } => Partition::Contacts(DayPartition {
                first: (!is_first).then(|| day(piece.at.start)),
                last: (!is_last).then(|| day(piece.at.end - 1)),
                timezone: timezone.clone(),
                role: piece.role,
            }),
            Stretch::Seconds { start, end } => {
                let instant = |second: i64| DateTime::from_timestamp(second, 0);
                Partition::Conversations(SecondPartition {
                    start: instant(piece.at.start).filter(|_| !is_first).unwrap_or(*start),
                    end: instant(piece.at.end).filter(|_| !is_last).unwrap_or(*end),
                })
            }
        }
    }
}

fn number(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce())
}

/// The inverse of [`number`]; every number comes from there, or lies between two that do.
fn day(number: i64) -> NaiveDate {
    i32::try_from(number).ok().and_then(NaiveDate::from_num_days_from_ce_opt).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(at: Range<i64>, rows: u64) -> Piece {
        Piece { at, role: None, rows }
    }

    #[test]
    fn short_lists_are_one_chain_and_long_ones_fill_the_places_twice() {
        assert_eq!(rows_per_partition(2_400, 150, 16), None);
        assert_eq!(rows_per_partition(2_401, 150, 16), Some(1_200));
        assert_eq!(rows_per_partition(1_000_000, 150, 16), Some(209 * 150));
        assert_eq!(rows_per_partition(1_000_000, 150, 1), None, "one request at a time gains nothing");
    }

    #[test]
    fn pieces_adjoin_and_cover_what_was_cut() {
        for (at, rows) in [(0..100, 1_000), (-5..2, 10_000), (0..1, 50), (7..3_000, 333)] {
            let pieces = cut(&piece(at.clone(), rows), 100, false);
            let edges: Vec<i64> = pieces.iter().map(|piece| piece.at.start).chain(pieces.last().map(|last| last.at.end)).collect();
            assert!(edges.windows(2).all(|pair| pair[0] < pair[1]), "{edges:?}");
            if let Some(first) = pieces.first() {
                assert_eq!((first.at.start, edges[edges.len() - 1]), (at.start, at.end));
            }
            assert!(pieces.len() as i64 <= at.end - at.start);
        }
    }

    #[test]
    fn a_single_day_is_cut_by_role_and_no_further() {
        let roles: Vec<Option<Role>> = cut(&piece(5..6, 1_000), 100, true).iter().map(|piece| piece.role).collect();
        assert_eq!(roles, [Some(Role::User), Some(Role::Lead)]);
        assert_eq!(cut(&Piece { role: Some(Role::User), ..piece(5..6, 1_000) }, 100, true), []);
        assert_eq!(cut(&piece(5..6, 1_000), 100, false), [], "a second of conversations has no roles");
        assert_eq!(cut(&piece(5..6, 90), 100, true), []);
    }

    #[test]
    fn small_neighbours_become_one() {
        let merged = merge(vec![piece(0..1, 40), piece(1..2, 60), piece(2..3, 1), piece(3..9, 200), piece(9..10, 0)], 100);
        assert_eq!(merged, [piece(0..2, 100), piece(2..3, 1), piece(3..9, 200), piece(9..10, 0)]);
    }
}
