//! People by their address or the workspace's own id.

use futures_util::future::try_join_all;
use serde_json::json;

use super::cursor::CursorWalk;
use super::{V2, wire};
use crate::domain::{Holder, Reference};
use crate::intercom::error::WalkError;
use crate::intercom::transport::Ask;

/// Filters that one search takes.
const FILTERS_MAX: usize = 15;

impl V2 {
    pub(in crate::intercom) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<Holder>, WalkError> {
        let found = try_join_all(references.chunks(FILTERS_MAX).map(|some| self.find_some(some, tag))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Every page: an address may be shared by more people than a page holds.
    async fn find_some(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<Holder>, WalkError> {
        let filter = |reference: &Reference| {
            let field = match reference {
                Reference::ContactId(_) => "id",
                Reference::ExternalId(_) => "external_id",
                Reference::Email(_) => "email",
                Reference::CompanyId(_) => return None,
            };
            Some(json!({ "field": field, "operator": "=", "value": reference.text() }))
        };
        let filters: Vec<_> = references.iter().filter_map(filter).collect();
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        let ask = Ask::search("/contacts/search", json!({ "operator": "OR", "value": filters }), super::by_creation());
        CursorWalk::new(self.transport.clone(), ask, self.page_size, wire::holders).expecting_tag(tag.map(str::to_string)).all().await
    }
}
