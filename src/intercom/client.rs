use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::capabilities::Capabilities;
use super::error::{ClientError, RequestError};
use super::rate_limiter::RateWindow;
use super::server_clock::ServerTime;
use super::stream::{Cursor, Stream};
use super::transport::{Request, Transport};
use super::types::{ConversationTotals, Counted, ListedGroup, Options, Totals, Traffic, Workspace};
use super::wire::Decode;
use super::{v1, v2, wire};
use domain::{Company, Contact, ContactPartition, Conversation, Fate, Group, GroupKind, Subscription, SubscriptionType, TagDate};

/// A client for one workspace. Cloning it is cheap, and clones share the rate limiter and the connections.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) transport: Arc<Transport>,
    pub(super) api: Api,
    capabilities: Capabilities,
}

/// The adapter for a generation of the API: 1.x or 2.x.
#[derive(Clone, Debug)]
pub(super) enum Api {
    V1(v1::V1),
    V2(v2::V2),
}

impl Client {
    /// Creates a client. Sends nothing.
    ///
    /// # Errors
    /// When the proxy of the environment cannot be used, or the API version cannot be sent as a header.
    pub fn new(options: &Options) -> Result<Client, ClientError> {
        let transport = Arc::new(Transport::new(options)?);
        let api = if options.api_version.starts_with("1.") {
            Api::V1(v1::V1::new(transport.clone(), options.page_size, options.give_up_after))
        } else {
            Api::V2(v2::V2::new(transport.clone(), options.page_size))
        };
        Ok(Client { transport, api, capabilities: Capabilities::of(&options.api_version) })
    }

    /// The number of requests that were sent.
    pub fn traffic(&self) -> Traffic {
        self.transport.traffic()
    }

    /// The rate window as the latest response reports it. `None` before the first response.
    pub fn rate_window(&self) -> Option<RateWindow> {
        self.transport.rate_window()
    }

    /// The API's time, estimated from its responses. `None` if no response had a date.
    pub fn server_time(&self) -> Option<ServerTime> {
        self.transport.server_time()
    }

    /// The workspace that the token belongs to. `/me` is not documented for 1.x. If it does not exist there, all fields are `None`.
    pub async fn workspace(&self) -> Result<Workspace, RequestError> {
        match (self.transport.send(&Request::get("/me"), wire::workspace).await, &self.api) {
            (Err(error), Api::V1(_)) if error.is_not_found() => Ok(Workspace::default()),
            (answer, _) => answer,
        }
    }

    /// All tags, with the number of members if the API gives it.
    pub async fn tags(&self) -> Result<Vec<ListedGroup>, RequestError> {
        self.full_list(Request::get("/tags"), wire::tags).await
    }

    /// All segments of contacts, with the number of members.
    pub async fn segments(&self) -> Result<Vec<ListedGroup>, RequestError> {
        self.full_list(Request::get("/segments").with("include_count", "true"), wire::segments).await
    }

    async fn full_list<T: PartialEq + Send + 'static>(&self, request: Request, decode: Decode<T>) -> Result<Vec<T>, RequestError> {
        self.transport.full_list(&request, decode).await
    }

    /// The group with this ID. It may be archived, although no list contains archived groups. `None` when there is no such group.
    pub async fn group(&self, kind: GroupKind, id: &str) -> Result<Option<Group>, RequestError> {
        // A group's ID has only letters and digits. Other characters might change the path of the request.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let request = Request::get(&format!("/{kind}s/{id}"));
        match self.transport.send(&request, move |body| wire::group(body, kind)).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The groups of a kind whose contacts, companies or conversations (`of`) can be counted. `None` where the API has no such groups.
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

    /// The names and sizes of all groups of a kind, in a few requests. `None` where the API has no such request.
    pub async fn sizes_by_name(&self, of: Counted, kind: GroupKind) -> Result<Option<Vec<(String, u64)>>, RequestError> {
        match &self.api {
            Api::V1(api) => api.sizes_by_name(of, kind).await,
            Api::V2(_) => Ok(None),
        }
    }

    /// The size of one group of [`Client::groups`]. `None` where the API does not give it.
    pub async fn size(&self, of: Counted, group: &Group) -> Result<Option<u64>, RequestError> {
        match (&self.api, of) {
            (_, Counted::People) => self.member_count(group, None).await,
            (Api::V1(api), Counted::Companies) => api.company_count(group).await,
            (Api::V2(api), Counted::Companies) => api.company_count(Some(group)).await,
            (Api::V1(_), Counted::Conversations) => Ok(None),
            (Api::V2(api), Counted::Conversations) => api.tagged_conversation_count(group).await,
        }
    }

    /// The number of users, leads and companies.
    pub async fn totals(&self) -> Result<Totals, RequestError> {
        match &self.api {
            Api::V1(api) => api.totals().await,
            Api::V2(api) => api.totals().await,
        }
    }

    /// The number of conversations in each state that the API counts. In 1.x, snoozed conversations count as open, and the open
    /// conversations are also counted as assigned or unassigned.
    pub async fn conversation_states(&self) -> Result<Vec<(&'static str, Option<u64>)>, RequestError> {
        match &self.api {
            Api::V1(api) => api.conversation_states().await,
            Api::V2(api) => api.conversation_states().await,
        }
    }

    /// The names of the workspace's custom attributes of contacts, including archived ones. `None` where the API has no list of them.
    pub async fn custom_attributes(&self) -> Result<Option<Vec<String>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(_) => {
                let request = Request::get("/data_attributes").with("model", "contact").with("include_archived", "true");
                let names = self.full_list(request, wire::attribute_names).await?;
                Ok(Some(names.into_iter().flatten().collect()))
            }
        }
    }

    /// What this version of the API can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// All contacts of the workspace, users and leads, or a partition of them. The stream begins at the start, or at a cursor of an
    /// earlier stream. Partitions need [`Capabilities::has_partitions`].
    pub async fn everyone(&self, partition: Option<&ContactPartition>, from: Option<&Cursor>) -> Result<Stream<Contact>, RequestError> {
        match &self.api {
            Api::V1(api) => api.everyone(from).await,
            Api::V2(api) => Ok(api.everyone(partition, from)),
        }
    }

    /// The members of one group, or a partition of them. The arguments are those of [`Client::everyone`].
    ///
    /// Streams that are opened before any of them is read may share their requests, see [`Stream::is_shared`].
    pub async fn members(
        &self,
        group: &Group,
        partition: Option<&ContactPartition>,
        from: Option<&Cursor>,
    ) -> Result<Stream<Contact>, RequestError> {
        match &self.api {
            Api::V1(api) => api.members(group, from).await,
            Api::V2(api) => Ok(api.members(group, partition, from)),
        }
    }

    /// The companies of a group of [`Client::groups`].
    pub fn companies(&self, group: &Group) -> Stream<Company> {
        match &self.api {
            Api::V1(api) => api.companies(group),
            Api::V2(api) => api.companies(group),
        }
    }

    /// The tags of a contact, with the time when each was added. `None` if the contact no longer exists. Also `None` in 1.x, which has no
    /// such times.
    pub async fn tag_dates(&self, contact_id: &str) -> Result<Option<Vec<TagDate>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.tag_dates(contact_id).await,
        }
    }

    /// All choices of a contact about subscriptions. `None` if the contact no longer exists, and where the API has no subscriptions.
    pub async fn subscriptions(&self, contact_id: &str) -> Result<Option<Vec<Subscription>>, RequestError> {
        match &self.api {
            Api::V2(api) if self.capabilities.has_subscriptions => api.subscriptions(contact_id).await,
            _ => Ok(None),
        }
    }

    /// The workspace's types of subscriptions. `None` where the API has no subscriptions.
    pub async fn subscription_types(&self) -> Result<Option<Vec<SubscriptionType>>, RequestError> {
        if !self.capabilities.has_subscriptions {
            return Ok(None);
        }
        self.full_list(Request::get("/subscription_types"), wire::subscriptions::subscription_types).await.map(Some)
    }

    /// What became of a contact that no list has. `is_known` says which contacts are known to exist; these contacts are not requested.
    /// `None` where the API does not distinguish merged contacts from deleted ones.
    pub async fn fate(&self, contact_id: &str, is_known: &(dyn Fn(&str) -> bool + Sync)) -> Result<Option<Fate>, RequestError> {
        match &self.api {
            Api::V2(api) if self.capabilities.follows_merges => api.fate(contact_id, is_known).await.map(Some),
            _ => Ok(None),
        }
    }

    /// The number of members of a group or of its partition. A request for one row gets the total of the list or search.
    pub async fn member_count(&self, group: &Group, partition: Option<&ContactPartition>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.member_count(group).await,
            Api::V2(api) => api.member_count(group, partition).await,
        }
    }

    /// The number of all contacts, or of the contacts in a partition. It is the total in the response to a request for one row.
    pub async fn contact_count(&self, partition: Option<&ContactPartition>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.contact_count().await,
            Api::V2(api) => api.contact_count(partition).await,
        }
    }

    /// When the oldest member of a group was created, or the oldest contact if `group` is `None`. `None` where the API does not give it.
    pub async fn oldest(&self, group: Option<&Group>) -> Result<Option<DateTime<Utc>>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.oldest(group).await,
        }
    }

    /// The conversations created between these instants. The stream may also have conversations from before `start` or after `end`, so
    /// filter the rows again.
    pub fn conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>, from: Option<&Cursor>) -> Stream<Conversation> {
        match &self.api {
            Api::V1(api) => api.conversations(start, end, from),
            Api::V2(api) => api.conversations(start, end, from),
        }
    }

    /// Returns the same as [`Client::conversation_count`], and checks the permission to read conversations. Where the API has no such
    /// count, one conversation is requested to check the permission.
    pub async fn try_conversations(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(api) => api.try_conversations().await.map(|()| None),
            Api::V2(api) => api.conversation_count(start, end).await,
        }
    }

    /// The number of all conversations, from two sources. `None` if one of the sources does not give a number. A request that the API may
    /// have received is not sent again, so a failure causes little delay.
    pub async fn conversation_totals(&self) -> Result<Option<ConversationTotals>, RequestError> {
        match &self.api {
            Api::V1(api) => api.conversation_totals().await,
            Api::V2(api) => api.conversation_totals().await,
        }
    }

    /// The number of conversations created between these instants. `None` where the API has no such count.
    pub async fn conversation_count(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> Result<Option<u64>, RequestError> {
        match &self.api {
            Api::V1(_) => Ok(None),
            Api::V2(api) => api.conversation_count(start, end).await,
        }
    }
}
