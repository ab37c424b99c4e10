//! API 1.0 to 1.4. It has separate lists for users and leads, which can be read by page number up to 10,000 records. Longer lists are read
//! by one scroll over everyone. All streams that need the scroll share it.

mod contacts;
mod conversations;
mod counts;
mod find;
mod scroll;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use self::contacts::{ContactStream, Selection};
use self::conversations::ConversationStream;
use self::scroll::Scroll;
use super::companies::companies;
use super::error::RequestError;
use super::stream::{Cursor, Stream};
use super::transport::{Request, Transport};
use super::wire::DecodeError;
use domain::{Company, Contact, Conversation, Group};

pub(super) use super::numbered::NUMBERED_ROWS;

/// The largest page size.
pub(super) const PAGE_SIZE_MAX: u32 = 60;
/// The number of records on a page of the scroll.
pub(super) const SCROLL_ROWS: u64 = 100;

#[derive(Clone, Debug)]
pub(super) struct V1 {
    transport: Arc<Transport>,
    scroll: Arc<Scroll>,
    page_size: u32,
}

impl V1 {
    pub(super) fn new(transport: Arc<Transport>, page_size: u32, give_up_after: Duration) -> V1 {
        let scroll = Arc::new(Scroll::new(transport.clone(), give_up_after));
        V1 { transport, scroll, page_size: page_size.clamp(1, PAGE_SIZE_MAX) }
    }

    pub(super) async fn everyone(&self, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        self.contacts(Selection::Everyone, from).await
    }

    pub(super) async fn members(&self, group: &Group, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        self.contacts(Selection::Members(group.clone()), from).await
    }

    async fn contacts(&self, selection: Selection, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        ContactStream::open(self.transport.clone(), self.scroll.clone(), self.page_size, selection, from).await
    }

    pub(super) async fn member_count(&self, group: &Group) -> Result<Option<u64>, RequestError> {
        Selection::Members(group.clone()).total(&self.transport).await
    }

    pub(super) async fn contact_count(&self) -> Result<Option<u64>, RequestError> {
        Selection::Everyone.total(&self.transport).await
    }

    pub(super) fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>, from: Option<&Cursor>) -> Stream<Conversation> {
        Stream::new(ConversationStream::new(self.transport.clone(), self.page_size, start, end).from(from))
    }

    pub(super) fn companies(&self, group: &Group) -> Stream<Company> {
        companies(self.transport.clone(), self.page_size, group)
    }

    pub(super) async fn try_conversations(&self) -> Result<(), RequestError> {
        self.transport.send(&Request::get("/conversations").with("per_page", "1"), wire::conversations).await.map(|_| ())
    }
}

pub(super) fn person_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::contacts(body).map(|page| page.rows.len())
}

pub(super) fn scroll_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::scroll_page(body).map(|page| page.persons.len())
}

pub(super) fn conversation_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::conversations(body).map(|page| page.rows.len())
}
