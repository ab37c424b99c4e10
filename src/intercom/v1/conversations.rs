//! The conversations of a period. The API has no filter by date, so they are read newest first, until all rows of a page are from before
//! the period.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::wire;
use crate::error::StreamError;
use crate::numbered::{ListError, Numbered};
use crate::stream::{Cursor, Page, Pages};
use crate::transport::{Request, Transport};
use domain::{Allowed, Conversation};

const PATH: &str = "/conversations";
/// How many pages are requested at the same time. The last of them may not be needed.
const AHEAD: usize = 4;
/// The share of a list that may disappear while it is read.
const DRIFT: f64 = 0.001;

pub(super) struct ConversationStream {
    list: Numbered<Conversation>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    /// Whether all pages so far were in the requested order.
    is_newest_first: bool,
    is_over: bool,
}

impl ConversationStream {
    pub(super) fn new(transport: Arc<Transport>, per_page: u32, start: DateTime<Utc>, end: DateTime<Utc>) -> ConversationStream {
        let request = Request::get(PATH).with("order", "desc").with("sort", "created_at");
        let list = Numbered::new(transport, request, per_page, AHEAD, wire::conversations);
        ConversationStream { list, start, end, is_newest_first: true, is_over: false }
    }

    /// Continues at a cursor. New conversations have moved the pages since then, so some rows come again.
    pub(super) fn from(mut self, cursor: Option<&Cursor>) -> ConversationStream {
        if let Some(cursor) = cursor {
            self.list.skip_to(cursor);
        }
        self
    }

    async fn next_page(&mut self) -> Result<Option<Page<Conversation>>, StreamError> {
        if self.is_over {
            return Ok(None);
        }
        let page = match self.list.next().await {
            Ok(Some(page)) => page,
            // The list ended before the start of the period was reached, so all of its rows must have come.
            Ok(None) => return self.check_complete().map(|()| None),
            Err(ListError::PageLimit) => return Err(StreamError::TooLong { path: PATH.to_string() }),
            Err(ListError::Failed(error)) => return Err(error),
        };
        self.is_newest_first &= page.rows.is_sorted_by(|a, b| a.created_at >= b.created_at);
        self.is_over = !page.rows.is_empty() && page.rows.iter().all(|row| self.is_before(row));
        // The period is a second wider on both sides, as in a search of 2.x.
        let second = TimeDelta::seconds(1);
        let wanted = |row: &Conversation| self.start - second <= row.created_at && row.created_at < self.end + second;
        let rows = page.rows.into_iter().filter(wanted).collect();
        let cursor = self.list.cursor(0).filter(|_| !self.is_over);
        Ok(Some(Page { rows, total: None, oddities: page.oddities, workspace_id: None, is_restart: false, cursor }))
    }

    fn check_complete(&self) -> Result<(), StreamError> {
        let (rows, announced) = (self.list.rows(), self.list.total.unwrap_or_default());
        if rows + Allowed::Tolerance(DRIFT).of(announced) < announced {
            return Err(StreamError::TooFewRows { path: PATH.to_string(), rows, announced });
        }
        Ok(())
    }

    /// Whether this conversation and all rows after it were created before the period. If the API sorts by the latest change instead of the
    /// creation, this is certain only if the conversation last changed before the period.
    fn is_before(&self, row: &Conversation) -> bool {
        let was_changed_before = row.updated_at.is_some_and(|updated_at| updated_at < self.start);
        row.created_at < self.start && (self.is_newest_first || was_changed_before)
    }
}

impl Pages<Conversation> for ConversationStream {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Page<Conversation>>, StreamError>> {
        self.next_page().boxed()
    }
}
