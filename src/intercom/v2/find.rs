//! Looks up contacts by e-mail address or external id, and conversations by id.

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::cursor::CursorStream;
use super::{V2, wire};
use crate::error::{RequestError, StreamError};
use crate::transport::Request;
use crate::wire::is_id;
use domain::{FoundContact, OwnTags, Reference};

/// The most filters in one search.
const FILTERS_MAX: usize = 15;

impl V2 {
    pub(crate) async fn find(&self, references: &[Reference], tag: Option<&str>) -> Result<Vec<FoundContact>, StreamError> {
        let filters: Vec<Value> = references.iter().flat_map(filters).collect();
        let found = try_join_all(filters.chunks(FILTERS_MAX).map(|some| self.find_some(some, tag))).await?;
        let Some(tag) = tag else { return Ok(found.into_iter().flatten().collect()) };
        // A contact's record lists only ten of its tags. If the tag is not listed and the list is incomplete, all tags of the contact are
        // requested.
        let checked = found.into_iter().flatten().map(|holder| async move {
            let is_tagged = match holder.is_tagged {
                Some(is_tagged) => is_tagged,
                None => self.tag_dates(&holder.id).await?.unwrap_or_default().iter().any(|found| found.tag_id == tag),
            };
            Ok::<_, StreamError>(FoundContact { is_tagged: Some(is_tagged), ..holder })
        });
        try_join_all(checked).await
    }

    /// The tags of a conversation. `None` when it does not exist.
    pub(crate) async fn conversation_tags(&self, id: &str) -> Result<Option<OwnTags>, RequestError> {
        if !is_id(id) {
            return Ok(None);
        }
        let request = Request::get("/conversations/{id}").at(format!("/conversations/{id}"));
        match self.transport.send(&request, wire::conversation_tags).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// Reads all pages, because more contacts than fit on a page may share an e-mail address.
    async fn find_some(&self, filters: &[Value], tag: Option<&str>) -> Result<Vec<FoundContact>, StreamError> {
        let request = Request::search("/contacts/search", json!({ "operator": "OR", "value": filters }), super::by_creation());
        CursorStream::new(self.transport.clone(), request, self.page_size, wire::found_contacts)
            .expecting_tag(tag.map(str::to_string))
            .all()
            .await
    }
}

/// The filters for a reference. It is not known whether `=` is case-sensitive for e-mail addresses. So an e-mail address with capitals is
/// also searched in lower case.
fn filters(reference: &Reference) -> Vec<Value> {
    let filter = |field: &str, value: &str| json!({ "field": field, "operator": "=", "value": value });
    match reference {
        Reference::ContactId(id) => vec![filter("id", id)],
        Reference::ExternalId(id) => vec![filter("external_id", id)],
        Reference::Email(email) => {
            let lower = email.to_lowercase();
            let mut filters = vec![filter("email", email)];
            if lower != *email {
                filters.push(filter("email", &lower));
            }
            filters
        }
        Reference::CompanyId(_) | Reference::ConversationId(_) => Vec::new(),
    }
}
