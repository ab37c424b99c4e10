//! `/counts` of 1.x. A few responses have the sizes of all groups, keyed by name.

use super::{V1, wire};
use crate::error::RequestError;
use crate::transport::Request;
use crate::types::{ConversationTotals, Counted, ListedGroup, Totals, id_field};
use crate::wire as shared;
use domain::{Group, GroupKind};

/// The page size of the sizes by name, the only count that has pages, and the most pages. A workspace hardly has so many tags. The limit
/// stops a server that always reports a further page.
const PER_PAGE: u32 = 60;
const PAGES_MAX: u32 = 1_000;

impl V1 {
    pub(crate) async fn totals(&self) -> Result<Totals, RequestError> {
        self.transport.send(&Request::get("/counts"), wire::totals).await
    }

    pub(crate) async fn conversation_states(&self) -> Result<Vec<(&'static str, Option<u64>)>, RequestError> {
        self.transport.send(&Request::get("/counts").with("type", "conversation"), wire::conversation_states).await
    }

    /// The list is requested before the counts. So a conversation that is created between the two requests is in `known`, but not in
    /// `found`.
    pub(crate) async fn conversation_totals(&self) -> Result<Option<ConversationTotals>, RequestError> {
        let list = Request::get("/conversations").with("per_page", "1").once();
        let found = self.transport.send(&list, shared::total).await?;
        let counts = Request::get("/counts").with("type", "conversation").once();
        let states = self.transport.send(&counts, wire::conversation_states).await?;
        // Snoozed conversations count as open; assigned and unassigned ones are counted again.
        let of = |wanted: &str| states.iter().find(|(state, _)| *state == wanted).and_then(|(_, count)| *count);
        let known = of("open").zip(of("closed")).map(|(open, closed)| open + closed);
        Ok(found.zip(known).map(|(found, known)| ConversationTotals { found, known }))
    }

    /// The sizes of all groups of a kind, by name. Archived groups are included. Two groups may have the same name. `None` for
    /// conversations.
    pub(crate) async fn sizes_by_name(&self, of: Counted, kind: GroupKind) -> Result<Option<Vec<(String, u64)>>, RequestError> {
        let of = match of {
            Counted::People => "user",
            Counted::Companies => "company",
            Counted::Conversations => return Ok(None),
        };
        let request = Request::get("/counts").with("type", of).with("count", kind.as_str());
        let decode = move |body: &[u8]| wire::sizes(body, of, kind.as_str());
        let mut sizes = Vec::new();
        for page in 1..=PAGES_MAX {
            let request = request.clone().with("per_page", PER_PAGE.to_string()).with("page", page.to_string());
            let answer = self.transport.send(&request, decode).await?;
            sizes.extend(answer.sizes);
            if page >= answer.last {
                break;
            }
        }
        Ok(Some(sizes))
    }

    /// Company segments with their sizes. The API has a separate list of them.
    pub(crate) async fn company_segments(&self) -> Result<Vec<ListedGroup>, RequestError> {
        let request = Request::get("/segments").with("type", "company").with("include_count", "true");
        self.transport.full_list(&request, shared::segments).await
    }

    /// The number of companies that have a tag or are in a segment.
    pub(crate) async fn company_count(&self, group: &Group) -> Result<Option<u64>, RequestError> {
        let request = Request::get("/companies").with(id_field(group.kind), group.id.as_str()).with("per_page", "1");
        self.transport.send(&request, shared::total).await
    }
}
