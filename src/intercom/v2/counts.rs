//! Sizes on 2.x, which has no `/counts`. They are the totals of lists and searches, taken from requests for one row.

use futures_util::future::{try_join_all, try_join3};
use serde_json::{Value, json};

use super::V2;
use crate::error::RequestError;
use crate::transport::Request;
use crate::types::{ConversationTotals, Totals, id_field};
use crate::wire as shared;
use domain::{Group, Role};

impl V2 {
    pub(crate) async fn totals(&self) -> Result<Totals, RequestError> {
        let role = |role: Role| self.search_total("/contacts/search", equals("role", role.as_str()));
        let (users, leads, companies) = try_join3(role(Role::User), role(Role::Lead), self.company_count(None)).await?;
        Ok(Totals { users, leads, companies })
    }

    /// The number of companies, or the number of companies with a tag.
    pub(crate) async fn company_count(&self, group: Option<&Group>) -> Result<Option<u64>, RequestError> {
        let mut request = Request::get("/companies").with("per_page", "1");
        if let Some(group) = group {
            request = request.with(id_field(group.kind), group.id.as_str());
        }
        self.transport.send(&request, shared::total).await
    }

    pub(crate) async fn conversation_states(&self) -> Result<Vec<(&'static str, Option<u64>)>, RequestError> {
        let states = ["open", "snoozed", "closed"].map(|state| async move {
            let total = self.search_total("/conversations/search", equals("state", state)).await?;
            Ok((state, total))
        });
        try_join_all(states).await
    }

    /// The search is sent before the list. So a conversation that is created between the two requests is in `known`, but not in `found`.
    pub(crate) async fn conversation_totals(&self) -> Result<Option<ConversationTotals>, RequestError> {
        let all = json!({ "field": "created_at", "operator": ">", "value": 0 });
        let search = Request::search("/conversations/search", all, super::by_creation()).page(1, None).once();
        let found = self.transport.send(&search, shared::total).await?;
        let list = Request::get("/conversations").with("per_page", "1").once();
        let known = self.transport.send(&list, shared::total).await?;
        Ok(found.zip(known).map(|(found, known)| ConversationTotals { found, known }))
    }

    /// The number of conversations that have a tag.
    pub(crate) async fn tagged_conversation_count(&self, tag: &Group) -> Result<Option<u64>, RequestError> {
        self.search_total("/conversations/search", equals("tag_ids", &tag.id)).await
    }

    async fn search_total(&self, path: &str, query: Value) -> Result<Option<u64>, RequestError> {
        let request = Request::search(path, query, super::by_creation()).page(1, None);
        self.transport.send(&request, shared::total).await
    }
}

fn equals(field: &str, value: &str) -> Value {
    json!({ "field": field, "operator": "=", "value": value })
}
