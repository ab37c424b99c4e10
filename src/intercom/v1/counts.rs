//! `/counts` of 1.x: a few answers for everything, keyed by name.

use super::{V1, wire};
use crate::error::RequestError;
use crate::transport::Ask;
use crate::wire as shared;
use crate::{Counted, ListedGroup, Totals, id_field};
use domain::{Group, GroupKind};

/// Tags a page of the one count that is paged, and how many pages are asked for at the most: as many tags as a
/// workspace may sensibly have, and an end to a list that names a next page for ever.
const PER_PAGE: u32 = 60;
const PAGES_MAX: u32 = 1_000;

impl V1 {
    pub(crate) async fn totals(&self) -> Result<Totals, RequestError> {
        self.transport.send(&Ask::get("/counts"), wire::totals).await
    }

    pub(crate) async fn conversation_states(&self) -> Result<Vec<(&'static str, Option<u64>)>, RequestError> {
        self.transport.send(&Ask::get("/counts").with("type", "conversation"), wire::conversation_states).await
    }

    /// The sizes of all groups of a kind, by name: archived ones are among them, and two may have the same name.
    pub(crate) async fn sizes_by_name(&self, of: Counted, kind: GroupKind) -> Result<Option<Vec<(String, u64)>>, RequestError> {
        let of = match of {
            Counted::People => "user",
            Counted::Companies => "company",
            Counted::Conversations => return Ok(None),
        };
        let ask = Ask::get("/counts").with("type", of).with("count", kind.as_str());
        let decode = move |body: &[u8]| wire::sizes(body, of, kind.as_str());
        let mut sizes = Vec::new();
        for page in 1..=PAGES_MAX {
            let ask = ask.clone().with("per_page", PER_PAGE.to_string()).with("page", page.to_string());
            let answer = self.transport.send(&ask, decode).await?;
            sizes.extend(answer.sizes);
            if page >= answer.last {
                break;
            }
        }
        Ok(Some(sizes))
    }

    /// Segments of companies, which are listed apart, with their sizes.
    pub(crate) async fn company_segments(&self) -> Result<Vec<ListedGroup>, RequestError> {
        let ask = Ask::get("/segments").with("type", "company").with("include_count", "true");
        self.transport.whole_list(&ask, shared::segments).await
    }

    /// How many companies hold a tag or are in a segment.
    pub(crate) async fn company_count(&self, group: &Group) -> Result<Option<u64>, RequestError> {
        let ask = Ask::get("/companies").with(id_field(group.kind), group.id.as_str()).with("per_page", "1");
        self.transport.send(&ask, shared::total).await
    }
}
