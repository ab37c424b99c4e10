//! Lists that are read by page number. The first page says how many pages there are. The other pages are requested concurrently and
//! returned in order. The URL in `next` is never followed: the page numbers are enough, and the URL may lead to another host.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};

use crate::error::{RequestError, StreamError};
use crate::stream::{Bounds, Cursor};
use crate::transport::{Request, Transport};
use crate::wire::DecodeError;
use domain::Oddities;

/// The number of records that page numbers can reach.
pub(crate) const NUMBERED_ROWS: u64 = 10_000;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub rows: Vec<T>,
    /// The number of rows of the whole list. `None` if the page does not say.
    pub total: Option<u64>,
    /// The number of the last page. `None` if the page does not say.
    pub last: Option<u32>,
    pub has_next: bool,
    pub oddities: Oddities,
}

pub(crate) type Decode<T> = fn(&[u8]) -> Result<Page<T>, DecodeError>;

pub(crate) struct Numbered<T> {
    transport: Arc<Transport>,
    request: Request,
    per_page: u32,
    decode: Decode<T>,
    /// How many pages are requested at the same time.
    ahead: usize,
    under_way: FuturesOrdered<BoxFuture<'static, Result<Page<T>, RequestError>>>,
    /// The number of the next page to request. `last` is the last page that is known so far.
    next_page: u32,
    last: u32,
    /// The total that the latest page announced.
    pub total: Option<u64>,
    bounds: Bounds,
}

/// Why a list was not read to its end.
pub(crate) enum ListError {
    /// The list is longer than page numbers reach.
    PageLimit,
    Failed(StreamError),
}

impl<T: Send + 'static> Numbered<T> {
    pub(crate) fn new(transport: Arc<Transport>, request: Request, per_page: u32, ahead: usize, decode: Decode<T>) -> Numbered<T> {
        let request = request.with("per_page", per_page.to_string());
        let (under_way, bounds) = (FuturesOrdered::new(), Bounds::default());
        Numbered { transport, request, per_page, decode, ahead, under_way, next_page: 1, last: 1, total: None, bounds }
    }

    /// Continues at the page of a cursor. A cursor that has no page number is ignored.
    pub(crate) fn skip_to(&mut self, cursor: &Cursor) {
        let Ok(page) = cursor.at.parse() else { return };
        self.under_way = FuturesOrdered::new();
        self.next_page = page;
        // The last page is unknown, but it is not before this one.
        self.last = self.last.max(page);
        self.bounds = Bounds::numbered_after(page, cursor.rows);
    }

    /// A cursor for the position after the pages that were returned so far. `None` after the last page.
    pub(crate) fn cursor(&self, list: usize) -> Option<Cursor> {
        let next = self.bounds.pages() + 1;
        (next <= self.last).then(|| self.bounds.cursor(list, next.to_string()))
    }

    /// Fetches the first page. `next` returns this page first. Returns whether page numbers reach the end of the list.
    pub(crate) async fn open(&mut self) -> Result<bool, RequestError> {
        let first = self.fetch(1).await?;
        self.next_page = 2;
        self.update_end(1, &first);
        self.under_way.push_back(std::future::ready(Ok(first)).boxed());
        Ok(u64::from(self.last) * u64::from(self.per_page) <= NUMBERED_ROWS)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Page<T>>, ListError> {
        while self.next_page <= self.last && self.under_way.len() < self.ahead {
            let page = self.fetch(self.next_page);
            self.under_way.push_back(page);
            self.next_page += 1;
        }
        let page = match self.under_way.next().await {
            None => return Ok(None),
            Some(Ok(page)) => page,
            Some(Err(error)) if error.is_page_limit() => return Err(ListError::PageLimit),
            Some(Err(error)) => return Err(ListError::Failed(error.into())),
        };
        // At the page limit, the API may return an empty page with a total of 0. This 0 is not the total of the list.
        let is_nothing = page.rows.is_empty() && page.total.unwrap_or_default() == 0;
        let announced = page.total.filter(|_| !is_nothing);
        let number = self.bounds.page(self.request.path(), page.rows.len(), announced).map_err(ListError::Failed)?;
        if number > 1 && is_nothing {
            return Err(ListError::PageLimit);
        }
        if let Some(last) = page.last.filter(|last| page.rows.is_empty() && number < *last) {
            return Err(ListError::Failed(StreamError::EmptyPage { path: self.request.path().to_string(), page: number, last }));
        }
        self.update_end(number, &page);
        Ok(Some(page))
    }

    /// The number of rows so far, including repeated ones.
    pub(crate) fn rows(&self) -> u64 {
        self.bounds.rows()
    }

    /// Updates the last page and the total. Lists grow and shrink while they are read, so the latest page counts. If this page does not
    /// give the number of the last page, another page is requested only if this page has a `next` or is full.
    fn update_end(&mut self, number: u32, page: &Page<T>) {
        self.total = page.total.or(self.total);
        let reported = page.last.filter(|last| *last > 0 || page.rows.is_empty());
        let is_full = page.rows.len() as u64 >= u64::from(self.per_page);
        self.last = reported.unwrap_or(if page.has_next || is_full { number + 1 } else { number });
    }

    fn fetch(&self, number: u32) -> BoxFuture<'static, Result<Page<T>, RequestError>> {
        let (transport, decode) = (self.transport.clone(), self.decode);
        let request = self.request.clone().with("page", number.to_string());
        async move { transport.send(&request, decode).await }.boxed()
    }
}
