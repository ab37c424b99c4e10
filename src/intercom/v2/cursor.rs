//! Lists of 2.x go on at a cursor. A walk ends where no cursor is and nowhere else: an empty page is not the end. It
//! refuses a cursor that was given before, and a next page that is anywhere but here.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wire::{Next, WirePage};
use crate::intercom::error::{RequestError, WalkError};
use crate::intercom::transport::{Ask, Transport};
use crate::intercom::walk::{Bounds, Page, Pages};
use crate::intercom::wire::DecodeError;

pub(super) struct CursorWalk<T> {
    transport: Arc<Transport>,
    ask: Ask,
    per_page: u32,
    decode: Decode<T>,
    expected_tag: Option<String>,
    at: At,
    /// Hashes of the cursors so far: eight bytes a page.
    seen: HashSet<u64>,
    bounds: Bounds,
}

type Decode<T> = fn(&[u8], Option<&str>) -> Result<WirePage<T>, DecodeError>;

enum At {
    First,
    After(String),
    End,
}

impl<T> CursorWalk<T> {
    pub(super) fn new(transport: Arc<Transport>, ask: Ask, per_page: u32, decode: Decode<T>) -> CursorWalk<T> {
        let (at, seen, bounds) = (At::First, HashSet::new(), Bounds::default());
        CursorWalk { transport, ask, per_page, decode, expected_tag: None, at, seen, bounds }
    }

    /// Counts rows whose own list of tags is complete and lacks this one.
    pub(super) fn expecting_tag(mut self, id: Option<String>) -> CursorWalk<T> {
        self.expected_tag = id;
        self
    }

    async fn next_page(&mut self) -> Result<Option<Page<T>>, WalkError> {
        let cursor = match &self.at {
            At::End => return Ok(None),
            At::First => None,
            At::After(cursor) => Some(cursor.as_str()),
        };
        let ask = self.ask.page(self.per_page, cursor);
        let answer = self.transport.send(&ask, |body| (self.decode)(body, self.expected_tag.as_deref())).await;
        self.at = At::End;
        let WirePage { rows, total, next, oddities } = answer?;
        let page = self.bounds.page(self.ask.path(), rows.len(), total)?;
        let path = || self.ask.path().to_string();
        self.at = match next {
            Next::End => At::End,
            Next::Elsewhere => return Err(WalkError::ForeignNext { path: path(), page }),
            Next::After(cursor) => {
                let mut hasher = DefaultHasher::new();
                cursor.hash(&mut hasher);
                if !self.seen.insert(hasher.finish()) {
                    return Err(WalkError::CursorLoop { path: path(), page });
                }
                At::After(cursor)
            }
        };
        Ok(Some(Page { rows, total, oddities, begins_anew: false }))
    }

    /// Every row of a list that is known to be short.
    pub(super) async fn all(mut self) -> Result<Vec<T>, WalkError> {
        let mut rows = Vec::new();
        while let Some(page) = self.next_page().await? {
            rows.extend(page.rows);
        }
        Ok(rows)
    }

    /// The announced total alone: one request for one page.
    pub(super) async fn total(self) -> Result<Option<u64>, RequestError> {
        let answer = self.transport.send(&self.ask.page(self.per_page, None), |body| (self.decode)(body, None)).await?;
        Ok(answer.total)
    }
}

impl<T: Send> Pages<T> for CursorWalk<T> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<T>>, WalkError>> {
        self.next_page().boxed()
    }
}
