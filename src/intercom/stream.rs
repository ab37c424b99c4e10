//! A stream of pages, read from the first page to the last by cursor, page number or scroll.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::error::StreamError;
use domain::Oddities;

/// A stream is stopped when it has this many rows more than twice the announced total. Some rows more than announced are normal, because
/// streams grow while they are read.
const ENDLESS_SLACK: u64 = 1_000;
/// The most empty pages in a row that are allowed. The API may send a few empty pages between full ones.
const EMPTY_MAX: u32 = 50;

/// One page of a stream.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows of the page. There may be none.
    pub rows: Vec<T>,
    /// The number of rows of the whole stream, as this page announces it. `None` if it does not.
    pub total: Option<u64>,
    /// How many values on the page were not as documented.
    pub oddities: Oddities,
    /// The workspace ID in the page's contacts. `None` if they have none.
    pub workspace_id: Option<String>,
    /// The stream has restarted: discard all rows that came before this page.
    pub is_restart: bool,
    /// The position from which the stream, or a later process, continues after this page. `None` on the last page, and for streams that
    /// cannot be continued later.
    pub cursor: Option<Cursor>,
}

/// The position from which a stream continues. It can be stored as JSON. Only this crate can read its contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The API's cursor, or a page number.
    pub(super) at: String,
    /// The index of the list, if the stream consists of several lists.
    pub(super) list: usize,
    /// The numbers of pages and rows before this position.
    pub(super) pages: u32,
    pub(super) rows: u64,
}

/// A stream of contacts, conversations or companies. Call [`Stream::next`] until it returns `None`.
pub struct Stream<T> {
    pages: Box<dyn Pages<T>>,
    /// The next page, if `peek` has fetched it. `None` otherwise.
    peeked: Option<Result<Option<Page<T>>, StreamError>>,
    is_shared: bool,
}

/// Gets the pages of a stream: by cursor, by page number or from a scroll.
pub(super) trait Pages<T>: Send {
    /// The next page, or `None` after the last. There are no more pages after an error.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<T>>, StreamError>>;

    /// The number of rows of the stream. `None` if it is not known before the first page is taken.
    fn announced(&self) -> Option<u64> {
        None
    }
}

impl<T> Stream<T> {
    pub(super) fn new(pages: impl Pages<T> + 'static) -> Stream<T> {
        Stream { pages: Box::new(pages), peeked: None, is_shared: false }
    }

    /// A stream that gets its pages together with other streams.
    pub(super) fn shared(pages: impl Pages<T> + 'static) -> Stream<T> {
        Stream { pages: Box::new(pages), peeked: None, is_shared: true }
    }

    /// Whether this stream gets its pages together with other streams. Read such streams concurrently, because each waits until the others
    /// have taken their pages.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The number of rows of the stream. `None` if it is not known yet.
    pub fn announced(&self) -> Option<u64> {
        self.pages.announced()
    }

    /// Returns the next page without taking it. `None` when there is no next page, or when its request failed.
    pub async fn peek(&mut self) -> Option<&Page<T>> {
        if self.peeked.is_none() {
            self.peeked = Some(self.pages.next().await);
        }
        self.peeked.as_ref()?.as_ref().ok()?.as_ref()
    }

    /// The next page, or `None` after the last.
    ///
    /// # Errors
    /// When a request failed after all its attempts, or when the stream would never end. There are no more pages after an error.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, StreamError> {
        match self.peeked.take() {
            Some(page) => page,
            None => self.pages.next().await,
        }
    }
}

impl<T> std::fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("is_shared", &self.is_shared).finish_non_exhaustive()
    }
}

/// Stops a stream that would never end.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    page: u32,
    rows: u64,
    /// The number of empty pages since the last row.
    empty: u32,
}

impl Bounds {
    /// The bounds of a stream that continues at a cursor.
    pub(super) fn after(cursor: &Cursor) -> Bounds {
        Bounds { page: cursor.pages, rows: cursor.rows, empty: 0 }
    }

    /// The bounds of a stream that continues at this page number.
    pub(super) fn numbered_after(page: u32, rows: u64) -> Bounds {
        Bounds { page: page.saturating_sub(1), rows, empty: 0 }
    }

    /// A cursor for the position after the pages so far.
    pub(super) fn cursor(&self, list: usize, at: String) -> Cursor {
        Cursor { at, list, pages: self.page, rows: self.rows }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn pages(&self) -> u32 {
        self.page
    }

    /// Counts a page and returns its number.
    ///
    /// # Errors
    /// When the stream would never end.
    pub(super) fn page(&mut self, path: &str, rows: usize, total: Option<u64>) -> Result<u32, StreamError> {
        self.page += 1;
        self.rows += rows as u64;
        self.empty = if rows == 0 { self.empty + 1 } else { 0 };
        let (path, page) = (path.to_string(), self.page);
        if self.empty > EMPTY_MAX {
            return Err(StreamError::Empty { path, page, pages: self.empty });
        }
        match total {
            Some(announced) if self.rows > announced.saturating_mul(2).saturating_add(ENDLESS_SLACK) => {
                Err(StreamError::Endless { path, page, rows: self.rows, announced })
            }
            _ => Ok(page),
        }
    }
}
