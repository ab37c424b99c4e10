//! Lists of 2.x go on at a cursor. A stream ends where no cursor is and nowhere else: an empty page is not the end. It
//! refuses a cursor that was given before, and a next page that is anywhere but here.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wire::WirePage;
use crate::error::{RequestError, StreamError};
use crate::stream::{Bounds, Cursor, Page, Pages};
use crate::transport::{Ask, Transport};
use crate::wire::DecodeError;
use crate::wire::next::Next;

pub(super) struct CursorStream<T> {
    transport: Arc<Transport>,
    ask: Ask,
    per_page: u32,
    decode: Decode<T>,
    expected_tag: Option<String>,
    is_asked_for: Option<IsAskedFor<T>>,
    halves_late_pages: bool,
    at: At,
    /// Hashes of the cursors so far: eight bytes a page.
    seen: HashSet<u64>,
    bounds: Bounds,
}

type IsAskedFor<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type Decode<T> = fn(&[u8], Option<&str>) -> Result<WirePage<T>, DecodeError>;

enum At {
    First,
    After(String),
    End,
}

impl<T: Send + 'static> CursorStream<T> {
    pub(super) fn new(transport: Arc<Transport>, ask: Ask, per_page: u32, decode: Decode<T>) -> CursorStream<T> {
        let (at, seen, bounds) = (At::First, HashSet::new(), Bounds::default());
        CursorStream {
            transport,
            ask,
            per_page,
            decode,
            expected_tag: None,
            is_asked_for: None,
            halves_late_pages: false,
            at,
            seen,
            bounds,
        }
    }

    /// Goes on where an earlier stream of the same list stopped.
    pub(super) fn from(mut self, cursor: Option<&Cursor>) -> CursorStream<T> {
        if let Some(cursor) = cursor {
            self.seen.insert(hash(&cursor.at));
            self.at = At::After(cursor.at.clone());
            self.bounds = Bounds::after(cursor);
        }
        self
    }

    /// Halves the page, down to one row, when an answer does not come in time.
    pub(super) fn halving_late_pages(mut self) -> CursorStream<T> {
        self.halves_late_pages = true;
        self
    }

    /// Refuses rows that the search did not ask for: then it was not understood, and nobody knows what else is missing.
    pub(super) fn expecting(mut self, is_asked_for: impl Fn(&T) -> bool + Send + Sync + 'static) -> CursorStream<T> {
        self.is_asked_for = Some(Box::new(is_asked_for));
        self
    }

    /// Counts rows whose own list of tags is complete and lacks this one.
    pub(super) fn expecting_tag(mut self, id: Option<String>) -> CursorStream<T> {
        self.expected_tag = id;
        self
    }

    async fn next_page(&mut self) -> Result<Option<Page<T>>, StreamError> {
        let cursor = match &self.at {
            At::End => return Ok(None),
            At::First => None,
            At::After(cursor) => Some(cursor.as_str()),
        };
        let answer = self.ask_page(cursor).await;
        let path = || self.ask.path().to_string();
        let has_cursor = !matches!(std::mem::replace(&mut self.at, At::End), At::First);
        let (per_page, answer) = match answer {
            // A cursor does not live for ever; the list itself was answered before.
            Err(error) if has_cursor && error.is_cursor_refused() => {
                return Err(StreamError::CursorRefused { path: path(), page: self.bounds.pages() + 1, source: error.into() });
            }
            Err(error) if has_cursor && error.is_rejected() => {
                return Err(StreamError::PageRefused { path: path(), page: self.bounds.pages() + 1, source: error.into() });
            }
            answer => answer?,
        };
        self.per_page = per_page;
        let WirePage { rows, total, next, oddities, workspace_id } = answer;
        let page = self.bounds.page(self.ask.path(), rows.len(), total)?;
        let strangers = self.is_asked_for.as_ref().map_or(0, |is_asked_for| rows.iter().filter(|row| !is_asked_for(row)).count());
        if strangers > 0 {
            return Err(StreamError::NotAskedFor { path: path(), page, rows: strangers });
        }
        let cursor = match next {
            Next::End => None,
            Next::Address(_) => return Err(StreamError::ForeignNext { path: path(), page }),
            Next::After(text) => {
                if !self.seen.insert(hash(&text)) {
                    return Err(StreamError::CursorLoop { path: path(), page });
                }
                let cursor = self.bounds.cursor(0, text.clone());
                self.at = At::After(text);
                Some(cursor)
            }
        };
        Ok(Some(Page { rows, total, oddities, workspace_id, begins_anew: false, cursor }))
    }

    /// One page, and of how many rows it was asked for in the end.
    async fn ask_page(&self, cursor: Option<&str>) -> Result<(u32, WirePage<T>), RequestError> {
        let mut per_page = self.per_page;
        loop {
            let ask = self.ask.page(per_page, cursor);
            let ask = if self.halves_late_pages && per_page > 1 { ask.given_up_when_late() } else { ask };
            let (decode, tag) = (self.decode, self.expected_tag.clone());
            match self.transport.send(&ask, move |body| decode(body, tag.as_deref())).await {
                // Searches of conversations take longer than any proxy waits, the longer the more is asked for.
                Err(error) if per_page > 1 && error.is_late() && self.halves_late_pages => {
                    per_page /= 2;
                    tracing::warn!("`{}` was not answered in time; asking for {per_page} at once", self.ask.path());
                }
                answer => return Ok((per_page, answer?)),
            }
        }
    }

    /// Every row of a list that is known to be short.
    pub(super) async fn all(mut self) -> Result<Vec<T>, StreamError> {
        let mut rows = Vec::new();
        while let Some(page) = self.next_page().await? {
            rows.extend(page.rows);
        }
        Ok(rows)
    }

    /// The announced total alone: one request for one page.
    pub(super) async fn total(self) -> Result<Option<u64>, RequestError> {
        let decode = self.decode;
        let answer = self.transport.send(&self.ask.page(self.per_page, None), move |body| decode(body, None)).await?;
        Ok(answer.total)
    }
}

fn hash(cursor: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    cursor.hash(&mut hasher);
    hasher.finish()
}

impl<T: Send + 'static> Pages<T> for CursorStream<T> {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<T>>, StreamError>> {
        self.next_page().boxed()
    }
}
