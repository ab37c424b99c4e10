use chrono::{DateTime, Utc};
use compact_str::CompactString;

use super::{CustomAttribute, OwnTags};

/// One company. A field is `None` if the API sent null, left the field out, or sent a value that could not be read.
#[derive(Clone, Debug)]
pub struct Company {
    /// Intercom's ID.
    pub id: CompactString,
    /// The workspace's own ID.
    pub company_id: Option<CompactString>,
    pub name: Option<CompactString>,
    /// The name of the plan.
    pub plan: Option<CompactString>,
    pub monthly_spend: Option<f64>,
    pub session_count: Option<u64>,
    pub user_count: Option<u64>,
    pub created_at: Option<DateTime<Utc>>,
    /// When the company was created, as set by the workspace.
    pub remote_created_at: Option<DateTime<Utc>>,
    pub updated_at: Option<DateTime<Utc>>,
    pub last_request_at: Option<DateTime<Utc>>,
    pub industry: Option<CompactString>,
    /// The number of employees.
    pub size: Option<u64>,
    pub website: Option<CompactString>,
    pub custom_attributes: Vec<CustomAttribute>,
    /// The company's own list of tags. `None` if the record has no list.
    pub tags: Option<OwnTags>,
}
