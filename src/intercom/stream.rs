//! A list being followed from its first page to its last, whichever way the API pages it.

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::error::StreamError;
use domain::Oddities;

/// Rows that a list may give beyond twice its announced total before the stream is stopped: live lists grow.
const ENDLESS_SLACK: u64 = 1_000;
/// Empty pages in a row before a stream is stopped. A few may stand between full ones.
const EMPTY_MAX: u32 = 50;

/// One page, checked and typed.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// How many rows the API says the whole list has, as of this page.
    pub total: Option<u64>,
    pub oddities: Oddities,
    /// The workspace that the contacts on the page say they are of.
    pub workspace_id: Option<String>,
    /// The list is read again from its start: what came before this page counts no more.
    pub begins_anew: bool,
    /// Where the list goes on after this page, for a later process; `None` on the last page, and where a list can only be
    /// read in one go.
    pub cursor: Option<Cursor>,
}

/// A place in a list, to go on from. Whoever keeps it need not understand it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// A cursor, or the number of a page.
    pub(super) at: String,
    /// Which of the lists that make up the stream.
    pub(super) list: usize,
    /// Pages and rows before it.
    pub(super) pages: u32,
    pub(super) rows: u64,
}

/// A list being followed.
pub struct Stream<T> {
    pages: Box<dyn Pages<T>>,
    /// The first page, when it was looked at before it was taken.
    peeked: Option<Result<Option<Page<T>>, StreamError>>,
    is_shared: bool,
}

/// A way of paging.
pub(super) trait Pages<T>: Send {
    /// The next page, or `None` after the last. After an error the stream is over.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<T>>, StreamError>>;

    /// How many rows the list has, where that is known before its first page is taken.
    fn announced(&self) -> Option<u64> {
        None
    }
}

impl<T> Stream<T> {
    pub(super) fn new(pages: impl Pages<T> + 'static) -> Stream<T> {
        Stream { pages: Box::new(pages), peeked: None, is_shared: false }
    }

    /// Of a stream whose pages come to several streams at the same time.
    pub(super) fn shared(pages: impl Pages<T> + 'static) -> Stream<T> {
        Stream { pages: Box::new(pages), peeked: None, is_shared: true }
    }

    /// Whether other streams wait for this one to take its pages: such streams are followed side by side, none after another.
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// How many rows the list has, where that is known already.
    pub fn announced(&self) -> Option<u64> {
        self.pages.announced()
    }

    /// The next page, which stays the next one; `None` when there is none, or when it failed.
    pub async fn peek(&mut self) -> Option<&Page<T>> {
        if self.peeked.is_none() {
            self.peeked = Some(self.pages.next().await);
        }
        self.peeked.as_ref()?.as_ref().ok()?.as_ref()
    }

    /// The next page, or `None` after the last.
    ///
    /// # Errors
    /// When a request failed for good, or when the list would never end. After an error the stream is over.
    pub async fn next(&mut self) -> Result<Option<Page<T>>, StreamError> {
        match self.peeked.take() {
            Some(page) => page,
            None => self.pages.next().await,
        }
    }
}

impl<T> std::fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Walk").field("is_shared", &self.is_shared).finish_non_exhaustive()
    }
}

/// Stops a stream that would never end.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    page: u32,
    rows: u64,
    /// Empty pages since the last row.
    empty: u32,
}

impl Bounds {
    /// Of a list whose first pages came before.
    pub(super) fn after(cursor: &Cursor) -> Bounds {
        Bounds { page: cursor.pages, rows: cursor.rows, empty: 0 }
    }

    /// Of a list that goes on at the page of this number.
    pub(super) fn numbered_after(page: u32, rows: u64) -> Bounds {
        Bounds { page: page.saturating_sub(1), rows, empty: 0 }
    }

    /// The place at which the list goes on after the pages so far.
    pub(super) fn cursor(&self, list: usize, at: String) -> Cursor {
        Cursor { at, list, pages: self.page, rows: self.rows }
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn pages(&self) -> u32 {
        self.page
    }

    /// Takes note of a page: its number.
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
