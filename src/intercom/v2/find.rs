//! People by their address or the workspace's own id.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::cursor::CursorStream;
use super::{V2, wire};
use crate::error::{RequestError, StreamError};
use crate::transport::Ask;
use domain::{Holder, Reference, TagDate};

/// Filters that one search takes.
const FILTERS_MAX: usize = 15;

impl V2 {
    pub(crate) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<Holder>, StreamError> {
        let filters: Vec<Value> = references.iter().flat_map(filters).collect();
        let found = try_join_all(filters.chunks(FILTERS_MAX).map(|some| self.find_some(some, tag))).await?;
        let Some(tag) = tag else { return Ok(found.into_iter().flatten().collect()) };
        // A contact shows ten of its tags: whether this one is among the others is asked.
        let told = found.into_iter().flatten().map(|holder| async move {
            let is_tagged = match holder.is_tagged {
                Some(is_tagged) => is_tagged,
                None => self.tag_dates(&holder.id).await?.unwrap_or_default().iter().any(|found| found.tag_id == tag),
            };
            Ok::<_, StreamError>(Holder { is_tagged: Some(is_tagged), ..holder })
        });
        try_join_all(told).await
    }

    /// The tags of a contact, with when each was put on; `None` when the contact is no longer there.
    pub(crate) async fn tag_dates(&self, contact_id: &str) -> Result<Option<Vec<TagDate>>, RequestError> {
        // Whatever else stands in it is no ID, and would be another path.
        if contact_id.is_empty() || !contact_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Ok(None);
        }
        let ask = Ask::get("/contacts/{id}/tags").at(format!("/contacts/{contact_id}/tags"));
        match self.transport.whole_list(&ask, crate::wire::tag_dates).await {
            Err(error) if error.is_not_found() || error.is_gone() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Every page: an address may be shared by more people than a page holds.
    async fn find_some(&self, filters: &[Value], tag: Option<&str>) -> Result<Vec<Holder>, StreamError> {
        let ask = Ask::search("/contacts/search", json!({ "operator": "OR", "value": filters }), super::by_creation());
        CursorStream::new(self.transport.clone(), ask, self.page_size, wire::holders).expecting_tag(tag.map(str::to_string)).all().await
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
