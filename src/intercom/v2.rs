//! What 2.0 to 2.16 are asked: cursors, and searches whose query stands in the body.

mod counts;
mod cursor;
mod find;
mod wire;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use self::cursor::CursorStream;
use super::error::RequestError;
use super::id_field;
use super::stream::{Cursor, Stream};
use super::transport::{Ask, Transport};
use super::wire::DecodeError;
use domain::{Contact, Conversation, DayPartition, Group, GroupKind};

/// The most that a page holds.
pub(super) const PAGE_SIZE_MAX: u32 = 150;
/// The longest day there is, at the end of summer time.
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

    fn contacts(&self, ask: Ask, per_page: u32) -> CursorStream<Contact> {
        CursorStream::new(self.transport.clone(), ask, per_page, wire::contacts)
    }

    fn conversation_stream(&self, ask: Ask, per_page: u32) -> CursorStream<Conversation> {
        CursorStream::new(self.transport.clone(), ask, per_page, wire::conversations)
    }

    pub(super) fn everyone(&self, partition: Option<&DayPartition>, from: Option<&Cursor>) -> Stream<Contact> {
        match partition {
            Some(partition) => self.partitioned(contact_search(None, Some(partition)), partition, None, from),
            None => Stream::new(self.contacts(Ask::get("/contacts"), self.page_size).from(from)),
        }
    }

    /// Oldest contact first: `created_at` never changes, so that nobody moves behind the cursor while the stream goes on.
    pub(super) fn members(&self, group: &Group, partition: Option<&DayPartition>, from: Option<&Cursor>) -> Stream<Contact> {
        let tag = (group.kind == GroupKind::Tag).then(|| group.id.clone());
        let search = contact_search(Some(group), partition);
        match partition {
            Some(partition) => self.partitioned(search, partition, tag, from),
            None => Stream::new(self.contacts(search, self.page_size).expecting_tag(tag).from(from)),
        }
    }

    /// Dates are days in the versions that say so. Where they are seconds, or days of another zone, rows come that are of
    /// no day of the partition: better refused than counted in two partitions or in none.
    fn partitioned(&self, search: Ask, partition: &DayPartition, tag: Option<String>, from: Option<&Cursor>) -> Stream<Contact> {
        let partition = partition.clone();
        let stream = self.contacts(search, self.page_size).expecting_tag(tag).expecting(move |row| partition.contains(row));
        Stream::new(stream.from(from))
    }

    pub(super) async fn member_count(&self, group: &Group, partition: Option<&DayPartition>) -> Result<Option<u64>, RequestError> {
        self.contacts(contact_search(Some(group), partition), 1).total().await
    }

    pub(super) async fn contact_count(&self, partition: Option<&DayPartition>) -> Result<Option<u64>, RequestError> {
        match partition {
            Some(partition) => self.contacts(contact_search(None, Some(partition)), 1).total().await,
            None => self.contacts(Ask::get("/contacts"), 1).total().await,
        }
    }

    pub(super) async fn oldest(&self, group: Option<&Group>) -> Result<Option<DateTime<Utc>>, RequestError> {
        let ask = contact_search(group, None).page(1, None);
        let page = self.transport.send(&ask, |body| wire::contacts(body, None)).await?;
        Ok(page.rows.first().and_then(|contact| contact.created_at))
    }

    /// A second wider on both sides: whether the API's comparisons include their bounds is not agreed upon.
    pub(super) fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>, from: Option<&Cursor>) -> Stream<Conversation> {
        let stream = self.conversation_stream(conversation_search(start, end), self.page_size);
        // Days are the widest that a comparison is known to be cut to.
        let (first, last) = (start - DAY, end + DAY);
        let stream = stream.expecting(move |row: &Conversation| first <= row.created_at && row.created_at <= last);
        Stream::new(stream.halving_late_pages().from(from))
    }

    pub(super) async fn conversation_count(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        self.conversation_stream(conversation_search(start, end), 1).total().await
    }
}

pub(super) fn contact_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::contacts(body, None).map(|page| page.rows.len())
}

pub(super) fn conversation_rows(body: &[u8]) -> Result<usize, DecodeError> {
    wire::conversations(body, None).map(|page| page.rows.len())
}

fn by_creation() -> serde_json::Value {
    json!({ "field": "created_at", "order": "ascending" })
}

/// The search for the members of a group, or for everyone; of a partition, or all of them. No two levels and at most four
/// filters: well within what a search takes.
fn contact_search(group: Option<&Group>, partition: Option<&DayPartition>) -> Ask {
    let filter = |field: &str, operator: &str, value: serde_json::Value| json!({ "field": field, "operator": operator, "value": value });
    let mut filters = Vec::new();
    if let Some(group) = group {
        filters.push(filter(id_field(group.kind), "=", json!(group.id)));
    }
    if let Some(partition) = partition {
        filters.extend(partition.after().map(|noon| filter("created_at", ">", json!(noon.timestamp()))));
        filters.extend(partition.before().map(|noon| filter("created_at", "<", json!(noon.timestamp()))));
        filters.extend(partition.role.map(|role| filter("role", "=", json!(role.as_str()))));
    }
    let query = match filters.len() {
        // A search needs a filter; everyone is one or the other.
        0 => json!({ "operator": "OR", "value": [filter("role", "=", json!("user")), filter("role", "=", json!("lead"))] }),
        1 => filters.remove(0),
        _ => json!({ "operator": "AND", "value": filters }),
    };
    Ask::search("/contacts/search", query, by_creation())
}

fn conversation_search(start: DateTime<Utc>, end: DateTime<Utc>) -> Ask {
    let query = json!({ "operator": "AND", "value": [
        { "field": "created_at", "operator": ">", "value": start.timestamp().saturating_sub(1) },
        { "field": "created_at", "operator": "<", "value": end.timestamp().saturating_add(1) },
    ]});
    Ask::search("/conversations/search", query, by_creation())
}
