//! Types that several parts of the client share.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use domain::{Group, GroupKind};

/// The settings of a [`Client`](super::Client).
#[derive(Clone, Debug)]
pub struct Options {
    /// The URL of the API: `https://api.intercom.io`, `https://api.eu.intercom.io` or `https://api.au.intercom.io`.
    pub base_url: String,
    /// The access token of the workspace.
    pub token: SecretString,
    /// The version to request, such as `2.14`. A version that starts with `1.` selects the first generation of the API.
    pub api_version: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The number of rows per page. It is capped at what the API allows.
    pub page_size: u32,
    /// The most requests that are under way at the same time.
    pub max_concurrency: usize,
    /// The share of the rate limit that this client may use, from 0 to 1. Other programs may use the rest.
    pub rate_share: f64,
    /// The timeout of a single attempt.
    pub request_timeout: Duration,
    /// A request fails when the client has made no progress for this long.
    pub give_up_after: Duration,
}

/// The workspace that the token belongs to.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Intercom's id of the workspace.
    pub id: Option<String>,
    /// The IANA name of the workspace's time zone.
    pub timezone: Option<String>,
    /// The region that hosts the workspace: `US`, `EU` or `AU`.
    pub region: Option<String>,
    /// The ID of the admin to whom the token belongs.
    pub admin_id: Option<String>,
}

/// A tag or segment, with the number of its members.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedGroup {
    pub group: Group,
    /// The number of members. It may lag behind. `None` if the list does not have it.
    pub count: Option<u64>,
    /// When the group was created. `None` if the list does not have it, as for tags.
    pub created_at: Option<DateTime<Utc>>,
    /// When the group was last changed. For a segment, this may be when its filter was edited. `None` if the list does not have it.
    pub updated_at: Option<DateTime<Utc>>,
}

/// The size of a workspace. A number is `None` if the API did not give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// The number of contacts with the role `user`.
    pub users: Option<u64>,
    /// The number of contacts with the role `lead`.
    pub leads: Option<u64>,
    /// The number of companies.
    pub companies: Option<u64>,
}

/// The number of all conversations, from two sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationTotals {
    /// The total of the source that a run reads conversations from: the search of 2.x, the list of 1.x.
    pub found: u64,
    /// The total of the other source: the list of 2.x, the counts of 1.x.
    pub known: u64,
}

/// What can be counted in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Users and leads.
    People,
    /// Companies.
    Companies,
    /// Conversations.
    Conversations,
}

/// The number of requests that a client has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// All requests, including retries.
    pub requests: u64,
    /// Requests that were sent again after a failure.
    pub retries: u64,
}

/// The query parameter for the ID of a group, the same in both generations.
pub(super) fn id_field(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Tag => "tag_id",
        GroupKind::Segment => "segment_id",
    }
}
