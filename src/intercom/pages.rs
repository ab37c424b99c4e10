//! Following a list from its first page to its last. A walk ends where no cursor is and nowhere else: an empty page is
//! not the end. It refuses a cursor that was given before, and a next page that is anywhere but here.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::error::{RequestError, WalkError};
use super::transport::{Ask, Transport};
use super::wire::{self, Next, WirePage};
use crate::domain::Oddities;

/// Rows that a list may give beyond twice its announced total before the walk is stopped: live lists grow.
const ENDLESS_SLACK: u64 = 1_000;
/// Empty pages in a row, each with a new cursor, before a walk is stopped. A few may stand between full ones.
const EMPTY_MAX: u32 = 50;

/// One page, checked and typed.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// How many rows the API says the whole list has, as of this page.
    pub total: Option<u64>,
    pub oddities: Oddities,
}

/// A list being followed.
#[derive(Debug)]
pub struct Walk<T> {
    transport: Arc<Transport>,
    ask: Ask,
    per_page: u32,
    decode: Decode<T>,
    expected_tag: Option<String>,
    at: At,
    /// Hashes of the cursors so far: eight bytes a page.
    seen: HashSet<u64>,
    page: u32,
    rows: u64,
    /// Empty pages since the last row.
    empty: u32,
}

type Decode<T> = fn(&[u8], Option<&str>) -> Result<WirePage<T>, wire::DecodeError>;

#[derive(Debug)]
enum At {
    First,
    After(String),
    End,
}

impl<T> Walk<T> {
    pub(super) fn new(transport: Arc<Transport>, ask: Ask, per_page: u32, decode: Decode<T>) -> Walk<T> {
        Walk { transport, ask, per_page, decode, expected_tag: None, at: At::First, seen: HashSet::new(), page: 0, rows: 0, empty: 0 }
    }

    /// Counts rows whose own list of tags is complete and lacks this one.
    pub(super) fn expect_tag(&mut self, id: &str) {
        self.expected_tag = Some(id.to_string());
    }

    /// The next page, or `None` after the last.
    ///
    /// # Errors
    /// When the request failed for good, or when the list would never end. After an error the walk is over.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, WalkError> {
        let cursor = match &self.at {
            At::End => return Ok(None),
            At::First => None,
            At::After(cursor) => Some(cursor.as_str()),
        };
        let ask = self.ask.page(self.per_page, cursor);
        self.page += 1;
        let answer = self.transport.send(&ask, |body| (self.decode)(body, self.expected_tag.as_deref())).await;
        self.at = At::End;
        let WirePage { rows, total, next, oddities } = answer?;
        self.rows += rows.len() as u64;
        let path = || self.ask.path().to_string();
        self.at = match next {
            Next::End => At::End,
            Next::Elsewhere => return Err(WalkError::ForeignNext { path: path(), page: self.page }),
            Next::After(cursor) => {
                let mut hasher = DefaultHasher::new();
                cursor.hash(&mut hasher);
                if !self.seen.insert(hasher.finish()) {
                    return Err(WalkError::CursorLoop { path: path(), page: self.page });
                }
                At::After(cursor)
            }
        };
        self.empty = if rows.is_empty() { self.empty + 1 } else { 0 };
        if self.empty > EMPTY_MAX {
            return Err(WalkError::Empty { path: path(), page: self.page, pages: self.empty });
        }
        if let Some(announced) = total
            && self.rows > announced.saturating_mul(2).saturating_add(ENDLESS_SLACK)
        {
            return Err(WalkError::Endless { path: path(), page: self.page, rows: self.rows, announced });
        }
        Ok(Some(Page { rows, total, oddities }))
    }

    /// The announced total alone: one request for one page.
    pub(super) async fn total(self) -> Result<Option<u64>, RequestError> {
        let answer = self.transport.send(&self.ask.page(self.per_page, None), |body| (self.decode)(body, None)).await?;
        Ok(answer.total)
    }
}
