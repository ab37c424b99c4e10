//! API 2.0 to 2.17. It has cursors, and searches with the query in the body.

mod contact;
mod counts;
mod cursor;
mod find;
mod wire;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use self::cursor::CursorStream;
use super::companies::companies;
use super::error::RequestError;
use super::stream::{Cursor, Stream};
use super::transport::{Request, Transport};
use super::types::id_field;
use super::wire::DecodeError;
use domain::{Company, Contact, ContactPartition, Conversation, Group, GroupKind};

/// The largest page size.
pub(super) const PAGE_SIZE_MAX: u32 = 150;
/// The longest day: the one on which summer time ends.
const DAY: TimeDelta = TimeDelta::hours(25);

#[derive(Clone, Debug)]
pub(super) struct V2 {
    transport: Arc<Transport>,
    page_size: u32,
}

impl V2 {
    pub(super) fn new(transport: Arc<Transport>, page_size: u32) -> V2 {
        V2 { transport, page_size: page_size.clamp(1, PAGE_SIZE_MAX) }
    }

    fn contacts(&self, request: Request, per_page: u32) -> CursorStream<Contact> {
        CursorStream::new(self.transport.clone(), request, per_page, wire::contacts)
    }

    fn conversation_stream(&self, request: Request, per_page: u32) -> CursorStream<Conversation> {
        CursorStream::new(self.transport.clone(), request, per_page, wire::conversations)
    }

    pub(super) fn everyone(&self, partition: Option<&ContactPartition>, from: Option<&Cursor>) -> Stream<Contact> {
        match partition {
            Some(partition) => self.partitioned(contact_search(None, Some(partition)), partition, None, from),
            None => Stream::new(self.contacts(Request::get("/contacts"), self.page_size).from(from)),
        }
    }

    /// The oldest contact comes first. `created_at` never changes, so no contact moves behind the cursor while the stream is read.
    pub(super) fn members(&self, group: &Group, partition: Option<&ContactPartition>, from: Option<&Cursor>) -> Stream<Contact> {
        let tag = (group.kind == GroupKind::Tag).then(|| group.id.clone());
        let search = contact_search(Some(group), partition);
        match partition {
            Some(partition) => self.partitioned(search, partition, tag, from),
            None => Stream::new(self.contacts(search, self.page_size).expecting_tag(tag).from(from)),
        }
    }

    /// The API compares dates by day up to 2.16, and by second from 2.17 on. If it compares them in another way, or by days of another time
    /// zone, a page has rows from outside the partition. Such a page is refused, because otherwise a contact might be in two partitions or
    /// in none.
    fn partitioned(&self, search: Request, partition: &ContactPartition, tag: Option<String>, from: Option<&Cursor>) -> Stream<Contact> {
        let partition = partition.clone();
        let stream = self.contacts(search, self.page_size).expecting_tag(tag).expecting(move |row| partition.contains(row));
        Stream::new(stream.from(from))
    }

    pub(super) async fn member_count(&self, group: &Group, partition: Option<&ContactPartition>) -> Result<Option<u64>, RequestError> {
        self.contacts(contact_search(Some(group), partition), 1).total().await
    }

    pub(super) async fn contact_count(&self, partition: Option<&ContactPartition>) -> Result<Option<u64>, RequestError> {
        match partition {
            Some(partition) => self.contacts(contact_search(None, Some(partition)), 1).total().await,
            None => self.contacts(Request::get("/contacts"), 1).total().await,
        }
    }

    pub(super) async fn oldest(&self, group: Option<&Group>) -> Result<Option<DateTime<Utc>>, RequestError> {
        let request = contact_search(group, None).page(1, None);
        let page = self.transport.send(&request, |body| wire::contacts(body, None)).await?;
        Ok(page.rows.first().and_then(|contact| contact.created_at))
    }

    /// The search is a second wider on both sides, because sources disagree on whether the API's comparisons include their bounds.
    pub(super) fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>, from: Option<&Cursor>) -> Stream<Conversation> {
        let stream = self.conversation_stream(conversation_search(start, end), self.page_size);
        // The API is known to round comparisons to days, but not further. So rows may be up to a day outside the period.
        let (first, last) = (start - DAY, end + DAY);
        let stream = stream.expecting(move |row: &Conversation| first <= row.created_at && row.created_at <= last);
        Stream::new(stream.halving_late_pages().from(from))
    }

    pub(super) fn companies(&self, group: &Group) -> Stream<Company> {
        companies(self.transport.clone(), self.page_size, group)
    }

    pub(super) async fn conversation_count(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        self.conversation_stream(conversation_search(start, end), 1).total().await
    }
}

pub(super) fn contact_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::contacts(body, None).map(|page| page.rows.len())
}

pub(super) fn contact_rows_of<'de, D: serde::Deserializer<'de>>(json: D) -> Result<usize, D::Error> {
    wire::contact_rows_of(json)
}

pub(super) fn conversation_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::conversations(body, None).map(|page| page.rows.len())
}

fn by_creation() -> serde_json::Value {
    json!({ "field": "created_at", "order": "ascending" })
}

/// The search for the members of a group or for everyone. It may be restricted to a partition. It has one level and at most four filters,
/// well within the API's limits.
fn contact_search(group: Option<&Group>, partition: Option<&ContactPartition>) -> Request {
    let filter = |field: &str, operator: &str, value: serde_json::Value| json!({ "field": field, "operator": operator, "value": value });
    let mut filters = Vec::new();
    if let Some(group) = group {
        filters.push(filter(id_field(group.kind), "=", json!(group.id)));
    }
    if let Some(partition) = partition {
        filters.extend(partition.created.after().map(|bound| filter("created_at", ">", json!(bound.timestamp()))));
        filters.extend(partition.created.before().map(|bound| filter("created_at", "<", json!(bound.timestamp()))));
        filters.extend(partition.role.map(|role| filter("role", "=", json!(role.as_str()))));
    }
    let query = match filters.len() {
        // A search needs a filter. Every contact has one of these roles, so this filter matches everyone.
        0 => json!({ "operator": "OR", "value": [filter("role", "=", json!("user")), filter("role", "=", json!("lead"))] }),
        1 => filters.remove(0),
        _ => json!({ "operator": "AND", "value": filters }),
    };
    Request::search("/contacts/search", query, by_creation())
}

fn conversation_search(start: DateTime<Utc>, end: DateTime<Utc>) -> Request {
    let query = json!({ "operator": "AND", "value": [
        { "field": "created_at", "operator": ">", "value": start.timestamp().saturating_sub(1) },
        { "field": "created_at", "operator": "<", "value": end.timestamp().saturating_add(1) },
    ]});
    Request::search("/conversations/search", query, by_creation())
}
