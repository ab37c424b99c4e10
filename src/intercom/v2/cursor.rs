//! Streams of 2.x, paged by cursor. A stream ends only at a page without a cursor; an empty page is not the end. A cursor that an earlier
//! page had is an error. A next page that is given as a URL is an error too.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wire::WirePage;
use crate::error::{RequestError, StreamError};
use crate::stream::{Bounds, Cursor, Page, Pages};
use crate::transport::{Request, Transport};
use crate::wire::DecodeError;
use crate::wire::next::Next;

pub(super) struct CursorStream<T> {
    transport: Arc<Transport>,
    request: Request,
    per_page: u32,
    decode: Decode<T>,
    expected_tag: Option<String>,
    is_expected: Option<IsExpected<T>>,
    halves_late_pages: bool,
    at: At,
    /// Hashes of the cursors so far, eight bytes per page.
    seen: HashSet<u64>,
    bounds: Bounds,
}

type IsExpected<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type Decode<T> = fn(&[u8], Option<&str>) -> Result<WirePage<T>, DecodeError>;

enum At {
    First,
    After(String),
    End,
}

impl<T: Send + 'static> CursorStream<T> {
    pub(super) fn new(transport: Arc<Transport>, request: Request, per_page: u32, decode: Decode<T>) -> CursorStream<T> {
        let (at, seen, bounds) = (At::First, HashSet::new(), Bounds::default());
        CursorStream {
            transport,
            request,
            per_page,
            decode,
            expected_tag: None,
            is_expected: None,
            halves_late_pages: false,
            at,
            seen,
            bounds,
        }
    }

    /// Continues at the cursor of an earlier stream.
    pub(super) fn from(mut self, cursor: Option<&Cursor>) -> CursorStream<T> {
        if let Some(cursor) = cursor {
            self.seen.insert(hash(&cursor.at));
            self.at = At::After(cursor.at.clone());
            self.bounds = Bounds::after(cursor);
        }
        self
    }

    /// Halves the page size after a timeout, down to one row.
    pub(super) fn halving_late_pages(mut self) -> CursorStream<T> {
        self.halves_late_pages = true;
        self
    }

    /// Refuses rows that the search did not request. Such rows mean that the API did not apply the filter, so other rows may be missing.
    pub(super) fn expecting(mut self, is_expected: impl Fn(&T) -> bool + Send + Sync + 'static) -> CursorStream<T> {
        self.is_expected = Some(Box::new(is_expected));
        self
    }

    /// Counts rows as odd if their own list of tags is complete but does not have this tag.
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
        let answer = self.fetch(cursor).await;
        let path = || self.request.path().to_string();
        let has_cursor = !matches!(std::mem::replace(&mut self.at, At::End), At::First);
        let (per_page, answer) = match answer {
            // The API accepted the request itself before, so the cursor has expired.
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
        let page = self.bounds.page(self.request.path(), rows.len(), total)?;
        let unexpected = self.is_expected.as_ref().map_or(0, |is_expected| rows.iter().filter(|row| !is_expected(row)).count());
        if unexpected > 0 {
            return Err(StreamError::UnexpectedRows { path: path(), page, rows: unexpected });
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
        Ok(Some(Page { rows, total, oddities, workspace_id, is_restart: false, cursor }))
    }

    /// Fetches one page. Returns the page size that worked, and the page.
    async fn fetch(&self, cursor: Option<&str>) -> Result<(u32, WirePage<T>), RequestError> {
        let mut per_page = self.per_page;
        loop {
            let request = self.request.page(per_page, cursor);
            let request = if self.halves_late_pages && per_page > 1 { request.returning_timeouts() } else { request };
            let (decode, tag) = (self.decode, self.expected_tag.clone());
            match self.transport.send(&request, move |body| decode(body, tag.as_deref())).await {
                // Searches of conversations can take longer than a proxy waits. Smaller pages are faster.
                Err(error) if per_page > 1 && error.is_timeout() && self.halves_late_pages => {
                    per_page /= 2;
                    tracing::warn!("`{}` was not answered in time; requesting {per_page} rows at once", self.request.path());
                }
                answer => return Ok((per_page, answer?)),
            }
        }
    }

    /// Reads all rows, for streams that are known to be short.
    pub(super) async fn all(mut self) -> Result<Vec<T>, StreamError> {
        let mut rows = Vec::new();
        while let Some(page) = self.next_page().await? {
            rows.extend(page.rows);
        }
        Ok(rows)
    }

    /// The announced total. A request for one page gets it.
    pub(super) async fn total(self) -> Result<Option<u64>, RequestError> {
        let decode = self.decode;
        let answer = self.transport.send(&self.request.page(self.per_page, None), move |body| decode(body, None)).await?;
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
