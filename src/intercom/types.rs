//! Types that several parts of the client share.

use std::time::Duration;

use secrecy::SecretString;

use domain::{Group, GroupKind};

/// The settings of a [`Client`](super::Client).
#[derive(Clone, Debug)]
pub struct Options {
    /// `https://api.intercom.io`, `https://api.eu.intercom.io` or `https://api.au.intercom.io`.
    pub base_url: String,
    /// The access token of the workspace.
    pub token: SecretString,
    /// The version to request, such as `2.14`. One that starts with `1.` selects the first generation of the API.
    pub api_version: String,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Rows per page, capped at what the API allows.
    pub page_size: u32,
    /// The most requests under way at once.
    pub max_concurrency: usize,
    /// The share of the rate limit that this client may use, from 0 to 1. Other programs may use the rest.
    pub rate_share: f64,
    /// The timeout of a single attempt.
    pub request_timeout: Duration,
    /// Requests fail when the client has made no progress for this long.
    pub give_up_after: Duration,
}

/// The workspace that the token belongs to.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Intercom's id of the workspace.
    pub id: Option<String>,
    /// The IANA name of its time zone.
    pub timezone: Option<String>,
    /// The region that hosts it: `US`, `EU` or `AU`.
    pub region: Option<String>,
}

/// A tag or segment with the number of its members, if the list has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedGroup {
    /// The tag or segment.
    pub group: Group,
    /// The number of members. It may lag behind.
    pub count: Option<u64>,
}

/// The size of a workspace. `None` where the API did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Contacts with the role `user`.
    pub users: Option<u64>,
    /// Contacts with the role `lead`.
    pub leads: Option<u64>,
    /// Companies.
    pub companies: Option<u64>,
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

/// How many requests a client has sent.
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
