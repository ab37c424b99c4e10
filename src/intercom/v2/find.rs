//! People by their address or the workspace's own id.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::cursor::CursorWalk;
use super::{V2, wire};
use crate::domain::{Holder, Reference};
use crate::intercom::error::WalkError;
use crate::intercom::transport::Ask;

/// Filters that one search takes.
const FILTERS_MAX: usize = 15;

impl V2 {
    pub(in crate::intercom) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<Holder>, WalkError> {
        let filters: Vec<Value> = references.iter().flat_map(filters).collect();
        let found = try_join_all(filters.chunks(FILTERS_MAX).map(|some| self.find_some(some, tag))).await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Every page: an address may be shared by more people than a page holds.
    async fn find_some(&self, filters: &[Value], tag: Option<&str>) -> Result<Vec<Holder>, WalkError> {
        let ask = Ask::search("/contacts/search", json!({ "operator": "OR", "value": filters }), super::by_creation());
        CursorWalk::new(self.transport.clone(), ask, self.page_size, wire::holders).expecting_tag(tag.map(str::to_string)).all().await
    }
}

/// Whether `=` minds the case of an address is not known: those with capitals are asked for in small letters, too.
fn filters(reference: &Reference) -> Vec<Value> {
    let filter = |field: &str, value: &str| json!({ "field": field, "operator": "=", "value": value });
    match reference {
        Reference::ContactId(id) => vec![filter("id", id)],
        Reference::ExternalId(id) => vec![filter("external_id", id)],
        Reference::Email(email) => {
            let small = email.to_lowercase();
            let mut filters = vec![filter("email", email)];
            if small != *email {
                filters.push(filter("email", &small));
            }
            filters
        }
        Reference::CompanyId(_) => Vec::new(),
    }
}
