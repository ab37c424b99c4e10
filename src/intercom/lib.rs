//! The client of Intercom's REST API: what the program asks, typed and checked, in the words of one inner model. It
//! knows nothing of months, cohorts, files or Polars.
//!
//! Every request goes through the [`rate_limiter`] (rate window, pauses, concurrency) and one [`transport`] (retries, errors).
//! Each generation of the API has an adapter, [`v1`] and [`v2`]; what both give is a [`stream`], and nobody outside can
//! tell them apart. JSON as sent lives in [`wire`] and in the adapters' own, and nowhere else.

mod body;
mod capabilities;
mod concurrency;
mod decoders;
mod error;
pub mod proxy;
mod rate_limiter;
mod retry;
mod server_clock;
mod stream;
mod tagging;
pub mod tls;
mod transport;
mod v1;
mod v2;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use domain::{Contact, Conversation, DayPartition, Group, GroupKind, TagDate};
use transport::{Ask, Transport};
use wire::Decode;

pub use capabilities::Capabilities;
pub use decoders::{DECODERS, Decoder};
pub use error::{ClientError, Failure, RequestError, StreamError};
pub use rate_limiter::RateWindow;
pub use server_clock::ServerTime;
pub use stream::{Cursor, Page, Stream};
pub use tagging::{Change, TagAnswer, TagCall};

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
    /// Where it is hosted: `US`, `EU` or `AU`.
    pub region: Option<String>,
}

/// A group with the number of members, where the listing gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedGroup {
    pub group: Group,
    pub count: Option<u64>,
}

/// How many there are of each. `None` where the API did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub users: Option<u64>,
    pub leads: Option<u64>,
    pub companies: Option<u64>,
}

/// What can be counted in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Users and leads.
    People,
    Companies,
    Conversations,
}

/// How many requests were made, and how many of them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    pub requests: u64,
    pub retries: u64,
}

/// Cheap to clone; clones share the rate limiter and the connections.
#[derive(Clone, Debug)]
pub struct Client {
    transport: Arc<Transport>,
    api: Api,
    capabilities: Capabilities,
}

/// The adapter of a generation.
#[derive(Clone, Debug)]
enum Api {
    V1(v1::V1),
    V2(v2::V2),
}

impl Client {
    pub fn new(options: &Options) -> Result<Client, ClientError> {
        let transport = Arc::new(Transport::new(options)?);
        let api = if options.api_version.starts_with("1.") {
            Api::V1(v1::V1::new(transport.clone(), options.page_size, options.give_up_after))
        } else {
            Api::V2(v2::V2::new(transport.clone(), options.page_size))
        };
        Ok(Client { transport, api, capabilities: Capabilities::of(&options.api_version) })
    }

    pub fn traffic(&self) -> Traffic {
        self.transport.traffic()
    }

    /// The rate window as the last response told it; `None` before any has.
    pub fn rate_window(&self) -> Option<RateWindow> {
        self.transport.rate_window()
    }

    /// What time it is at the API, as its answers so far say; `None` when none of them had a date.
    pub fn server_time(&self) -> Option<ServerTime> {
        self.transport.server_time()
    }

    /// The workspace that the token belongs to. 1.x is not documented to have `/me`: where it is not found, nothing is known.
    pub async fn workspace(&self) -> Result<Workspace, RequestError> {
        match (self.transport.send(&Ask::get("/me"), wire::workspace).await, &self.api) {
            (Err(error), Api::V1(_)) if error.is_not_found() => Ok(Workspace::default()),
            (answer, _) => answer,
        }
    }

    pub async fn tags(&self) -> Result<Vec<ListedGroup>, RequestError> {
        self.whole_list(Ask::get("/tags"), wire::tags).await
    }

    pub async fn segments(&self) -> Result<Vec<ListedGroup>, RequestError> {
        self.whole_list(Ask::get("/segments").with("include_count", "true"), wire::segments).await
    }

    async fn whole_list<T: PartialEq + Send + 'static>(&self, ask: Ask, decode: Decode<T>) -> Result<Vec<T>, RequestError> {
        self.transport.whole_list(&ask, decode).await
    }

    /// The group of this ID, archived ones too, which no list shows; `None` when there is none.
    pub async fn group(&self, kind: GroupKind, id: &str) -> Result<Option<Group>, RequestError> {
        // Whatever else stands in it is no ID, and would be another path.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let ask = Ask::get(&format!("/{kind}s/{id}"));
        match self.transport.send(&ask, move |body| wire::group(body, kind)).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The groups of a kind that this can be counted by; `None` where the API has none.
    pub async fn groups(&self, of: Counted, kind: GroupKind) -> Result<Option<Vec<ListedGroup>>, RequestError> {
        match (&self.api, of, kind) {
            (_, Counted::People, GroupKind::Segment) => self.segments().await.map(Some),
            (_, Counted::People | Counted::Companies, GroupKind::Tag) => self.tags().await.map(Some),
            (Api::V1(api), Counted::Companies, GroupKind::Segment) => api.company_segments().await.map(Some),
            (Api::V2(_), Counted::Conversations, GroupKind::Tag) => self.tags().await.map(Some),
            (Api::V2(_), Counted::Companies | Counted::Conversations, GroupKind::Segment) => Ok(None),
            (Api::V1(_), Counted::Conversations, _) => Ok(None),
        }
    }

    /// The sizes of all groups of a kind, told by their names alone, in a few answers; `None` where the API has none.
    pub async fn sizes_by_name(&self, of: Counted, kind: GroupKind) -> Result<Option<Vec<(String, u64)>>, RequestError> {
        match &self.api {
            Api::V1(api) => api.sizes_by_name(of, kind).await,
            Api::V2(_) => Ok(None),
        }
    }

    /// The size of one group, one of [`Client::groups`].
    pub async fn size(&self, of: Counted, group: &Group) -> Result<Option<u64>, RequestError> {
        match (&self.api, of) {
            (_, Counted::People) => self.member_count(group, None).await,
            (Api::V1(api), Counted::Companies) => api.company_count(group).await,
            (Api::V2(api), Counted::Companies) => api.company_count(Some(group)).await,
            (Api::V1(_), Counted::Conversations) => Ok(None),
            (Api::V2(api), Counted::Conversations) => api.tagged_conversation_count(group).await,
        }
    }

    pub async fn totals(&self) -> Result<Totals, RequestError> {
        match &self.api {
            Api::V1(api) => api.totals().await,
            Api::V2(api) => api.totals().await,
        }
    }

    /// How many conversations are in each state that the API counts. In 1.x open ones include those that are snoozed,
    /// and assigned and unassigned ones are counted across.
    pub async fn conversation_states(&self) -> Result<Vec<(&'static str, Option<u64>)>, RequestError> {
        match &self.api {
            Api::V1(api) => api.conversation_states().await,
            Api::V2(api) => api.conversation_states().await,
        }
    }

    /// The names of the workspace's custom attributes of contacts, archived ones too; `None` where the API has no list.
    pub async fn custom_attributes(&self) -> Result<Option<Vec<String>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(_) => {
                let ask = Ask::get("/data_attributes").with("model", "contact").with("include_archived", "true");
                let names = self.whole_list(ask, wire::attribute_names).await?;
                Ok(Some(names.into_iter().flatten().collect()))
            }
        }
    }

    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Everyone in the workspace, users and leads, or a partition of them; from the start or from a place that an earlier stream
    /// came to. A partition is searched for, everyone is listed.
    pub async fn everyone(&self, partition: Option<&DayPartition>, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        match &self.api {
            Api::V1(api) => api.everyone(from).await,
            Api::V2(api) => Ok(api.everyone(partition, from)),
        }
    }

    /// The members of one group, likewise.
    ///
    /// Streams that are opened before any of them is followed may share what they read.
    pub async fn members(
        &self,
        group: &Group,
        partition: Option<&DayPartition>,
        from: Option<&Cursor>,
    ) -> Result<Stream<Contact>, RequestError> {
        match &self.api {
            Api::V1(api) => api.members(group, from).await,
            Api::V2(api) => Ok(api.members(group, partition, from)),
        }
    }

    /// The tags of a contact, with when each was put on; `None` when the contact is no longer there, and in 1.x, which does
    /// not tell.
    pub async fn tag_dates(&self, contact_id: &str) -> Result<Option<Vec<TagDate>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.tag_dates(contact_id).await,
        }
    }

    /// How many members the API says a group has, or a partition of it: the total of a list or search, asked for one contact.
    pub async fn member_count(&self, group: &Group, partition: Option<&DayPartition>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.member_count(group).await,
            Api::V2(api) => api.member_count(group, partition).await,
        }
    }

    pub async fn contact_count(&self, partition: Option<&DayPartition>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.contact_count().await,
            Api::V2(api) => api.contact_count(partition).await,
        }
    }

    /// When the first of a group's members was created, or the first of everyone; `None` where that cannot be asked.
    pub async fn oldest(&self, group: Option<&Group>) -> Result<Option<DateTime<Utc>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.oldest(group).await,
        }
    }

    /// The conversations created between these instants and, as the API's comparisons may cut wider, some beside them:
    /// the caller filters again.
    pub fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>, from: Option<&Cursor>) -> Stream<Conversation> {
        match &self.api {
            Api::V1(api) => api.conversations(start, end, from),
            Api::V2(api) => api.conversations(start, end, from),
        }
    }

    /// As [`Client::conversation_count`], but where the API cannot tell it is asked all the same, for one conversation:
    /// whether they may be read at all.
    pub async fn try_conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.try_conversations().await.map(|()| None),
            Api::V2(api) => api.conversation_count(start, end).await,
        }
    }

    /// How many conversations there are between these instants; `None` where the API cannot tell.
    pub async fn conversation_count(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.conversation_count(start, end).await,
        }
    }
}

/// The name of a group's ID in queries, the same in both generations.
fn id_field(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Tag => "tag_id",
        GroupKind::Segment => "segment_id",
    }
}
