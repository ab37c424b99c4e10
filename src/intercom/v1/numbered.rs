//! Lists by page number. Once the first page tells how many there are, the others are asked for side by side and given
//! in their order. The `next` address is never followed: the numbers are enough, and it may lead anywhere.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};

use crate::error::{RequestError, StreamError};
use crate::stream::{Bounds, Cursor};
use crate::transport::{Ask, Transport};
use crate::wire::DecodeError;
use domain::Oddities;

/// Records that page numbers reach.
pub(crate) const NUMBERED_ROWS: u64 = 10_000;

/// One page, typed.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub rows: Vec<T>,
    /// How many rows the list has.
    pub total: Option<u64>,
    /// The number of the last page.
    pub last: Option<u32>,
    pub has_next: bool,
    pub oddities: Oddities,
}

pub(super) type Decode<T> = fn(&[u8]) -> Result<Page<T>, DecodeError>;

pub(super) struct Numbered<T> {
    transport: Arc<Transport>,
    ask: Ask,
    per_page: u32,
    decode: Decode<T>,
    /// Pages asked for at the same time.
    ahead: usize,
    under_way: FuturesOrdered<BoxFuture<'static, Result<Page<T>, RequestError>>>,
    /// The next page to ask for, and the last that there is as far as known.
    to_ask: u32,
    last: u32,
    /// What the list announced with its latest page.
    pub total: Option<u64>,
    bounds: Bounds,
}

/// Why a list did not come to its end.
pub(super) enum Broken {
    /// Page numbers reach no further.
    Capped,
    Failed(StreamError),
}

impl<T: Send + 'static> Numbered<T> {
    pub(super) fn new(transport: Arc<Transport>, ask: Ask, per_page: u32, ahead: usize, decode: Decode<T>) -> Numbered<T> {
        let ask = ask.with("per_page", per_page.to_string());
        let (under_way, bounds) = (FuturesOrdered::new(), Bounds::default());
        Numbered { transport, ask, per_page, decode, ahead, under_way, to_ask: 1, last: 1, total: None, bounds }
    }

    /// Goes on at a page: those before it came before. A place of another kind of list is passed over.
    pub(super) fn skip_to(&mut self, cursor: &Cursor) {
        let Ok(page) = cursor.at.parse() else { return };
        self.under_way = FuturesOrdered::new();
        self.to_ask = page;
        // As long as nothing else is known, the page itself is asked for.
        self.last = self.last.max(page);
        self.bounds = Bounds::numbered_after(page, cursor.rows);
    }

    /// Where the list goes on after the pages that were given; `None` after the last.
    pub(super) fn cursor(&self, list: usize) -> Option<Cursor> {
        let next = self.bounds.pages() + 1;
        (next <= self.last).then(|| self.bounds.cursor(list, next.to_string()))
    }

    /// Asks for the first page, which will be given first. Whether page numbers reach the end of the list.
    pub(super) async fn open(&mut self) -> Result<bool, RequestError> {
        let first = self.request(1).await?;
        self.to_ask = 2;
        self.learn(1, &first);
        self.under_way.push_back(std::future::ready(Ok(first)).boxed());
        Ok(u64::from(self.last) * u64::from(self.per_page) <= NUMBERED_ROWS)
    }

    pub(super) async fn next(&mut self) -> Result<Option<Page<T>>, Broken> {
        while self.to_ask <= self.last && self.under_way.len() < self.ahead {
            let request = self.request(self.to_ask);
            self.under_way.push_back(request);
            self.to_ask += 1;
        }
        let page = match self.under_way.next().await {
            None => return Ok(None),
            Some(Ok(page)) => page,
            Some(Err(error)) if error.is_page_limit() => return Err(Broken::Capped),
            Some(Err(error)) => return Err(Broken::Failed(error.into())),
        };
        // The cap may show as an empty page that says there is nothing at all: no total to hold the rows so far against.
        let is_nothing = page.rows.is_empty() && page.total.unwrap_or_default() == 0;
        let announced = page.total.filter(|_| !is_nothing);
        let number = self.bounds.page(self.ask.path(), page.rows.len(), announced).map_err(Broken::Failed)?;
        if number > 1 && is_nothing {
            return Err(Broken::Capped);
        }
        if let Some(last) = page.last.filter(|last| page.rows.is_empty() && number < *last) {
            return Err(Broken::Failed(StreamError::Hole { path: self.ask.path().to_string(), page: number, last }));
        }
        self.learn(number, &page);
        Ok(Some(page))
    }

    /// Rows so far, repeated ones among them.
    pub(super) fn rows(&self) -> u64 {
        self.bounds.rows()
    }

    /// Lists grow and shrink while they are read: the latest page knows best. Where it does not say whether more follow, a
    /// full one is asked for its next.
    fn learn(&mut self, number: u32, page: &Page<T>) {
        self.total = page.total.or(self.total);
        let told = page.last.filter(|last| *last > 0 || page.rows.is_empty());
        let is_full = page.rows.len() as u64 >= u64::from(self.per_page);
        self.last = told.unwrap_or(if page.has_next || is_full { number + 1 } else { number });
    }

    fn request(&self, number: u32) -> BoxFuture<'static, Result<Page<T>, RequestError>> {
        let (transport, decode) = (self.transport.clone(), self.decode);
        let ask = self.ask.clone().with("page", number.to_string());
        async move { transport.send(&ask, decode).await }.boxed()
    }
}
