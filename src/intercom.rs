//! The client of Intercom's REST API 2.x: what the job asks, typed and checked. It knows nothing of months, cohorts,
//! files or Polars.
//!
//! Every request goes through one [`gate`] (rate window, pauses, concurrency) and one [`transport`] (retries, errors);
//! lists are followed by one kind of [`pages`] walk. JSON as sent lives in [`wire`] and nowhere else.

mod error;
mod gate;
mod pages;
mod retry;
mod transport;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::domain::{Contact, Conversation, Group, GroupKind};

pub use error::{ClientError, Failure, RequestError, WalkError};
pub use pages::{Page, Walk};

/// What the client is made from. `page_size` is capped to what the API allows.
#[derive(Clone, Debug)]
pub struct Options {
    pub base_url: String,
    pub token: SecretString,
    pub api_version: String,
    pub page_size: u32,
    pub max_concurrency: usize,
    pub rate_share: f64,
    pub request_timeout: Duration,
    pub give_up_after: Duration,
}

/// The workspace that the token belongs to.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    pub id: Option<String>,
    /// An IANA name, as Intercom gives it.
    pub timezone: Option<String>,
}

/// A group with the number of members, where the listing gives it.
#[derive(Clone, Debug)]
pub struct ListedGroup {
    pub group: Group,
    pub count: Option<u64>,
}

/// How many requests were made, and how many of them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    pub retries: u64,
}

/// Cheap to clone; clones share the gate and the connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<transport::Transport>,
    page_size: u32,
}

/// The most that a page of 2.x holds.
const PAGE_SIZE_MAX: u32 = 150;

impl Client {
    pub fn new(options: &Options) -> Result<Client, ClientError> {
        let transport = Arc::new(transport::Transport::new(options)?);
        Ok(Client { transport, page_size: options.page_size.clamp(1, PAGE_SIZE_MAX) })
    }

    pub fn traffic(&self) -> Traffic {
        self.transport.traffic()
    }

    pub async fn workspace(&self) -> Result<Workspace, RequestError> {
        self.transport.send(&transport::Ask::get("/me"), wire::workspace).await
    }

    pub async fn tags(&self) -> Result<Vec<ListedGroup>, RequestError> {
        self.transport.send(&transport::Ask::get("/tags"), wire::tags).await
    }

    pub async fn segments(&self) -> Result<Vec<ListedGroup>, RequestError> {
        let ask = transport::Ask::get("/segments").with("include_count", "true");
        self.transport.send(&ask, wire::segments).await
    }

    /// The names of the workspace's custom attributes of contacts, archived ones too.
    pub async fn custom_attributes(&self) -> Result<Vec<String>, RequestError> {
        let ask = transport::Ask::get("/data_attributes").with("model", "contact").with("include_archived", "true");
        self.transport.send(&ask, wire::custom_attributes).await
    }

    /// Everyone in the workspace, users and leads.
    pub fn everyone(&self) -> Walk<Contact> {
        Walk::new(self.transport.clone(), transport::Ask::get("/contacts"), self.page_size, wire::contacts)
    }

    /// The members of one group, oldest contact first: `created_at` never changes, so that nobody moves behind the
    /// cursor while the walk goes on.
    pub fn members(&self, group: &Group) -> Walk<Contact> {
        let mut walk = Walk::new(self.transport.clone(), member_search(group), self.page_size, wire::contacts);
        if group.kind == GroupKind::Tag {
            walk.expect_tag(&group.id);
        }
        walk
    }

    /// How many members the API says a group has: the total of a search for one contact.
    pub async fn member_count(&self, group: &Group) -> Result<Option<u64>, RequestError> {
        Walk::new(self.transport.clone(), member_search(group), 1, wire::contacts).total().await
    }

    pub async fn contact_count(&self) -> Result<Option<u64>, RequestError> {
        Walk::new(self.transport.clone(), transport::Ask::get("/contacts"), 1, wire::contacts).total().await
    }

    /// The conversations created between these instants, a second wider on both sides: whether the API's comparisons
    /// include their bounds is not agreed upon, so that the caller filters again.
    pub fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Walk<Conversation> {
        Walk::new(self.transport.clone(), conversation_search(start, end), self.page_size, wire::conversations)
    }

    pub async fn conversation_count(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        Walk::new(self.transport.clone(), conversation_search(start, end), 1, wire::conversations).total().await
    }
}

fn member_search(group: &Group) -> transport::Ask {
    let field = match group.kind {
        GroupKind::Tag => "tag_id",
        GroupKind::Segment => "segment_id",
    };
    transport::Ask::search(
        "/contacts/search",
        serde_json::json!({ "field": field, "operator": "=", "value": group.id }),
        serde_json::json!({ "field": "created_at", "order": "ascending" }),
    )
}

fn conversation_search(start: DateTime<Utc>, end: DateTime<Utc>) -> transport::Ask {
    transport::Ask::search(
        "/conversations/search",
        serde_json::json!({ "operator": "AND", "value": [
            { "field": "created_at", "operator": ">", "value": start.timestamp().saturating_sub(1) },
            { "field": "created_at", "operator": "<", "value": end.timestamp().saturating_add(1) },
        ]}),
        serde_json::json!({ "field": "created_at", "order": "ascending" }),
    )
}
