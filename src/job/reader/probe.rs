//! What a list tells of itself before it is followed: whether it is long, and where it would be cut.

use super::{Begun, List, StreamReader};
use crate::partitioning::{Partitioner, Partitioning};
use crate::plan::StreamKind;
use crate::strategy::expected_untold;

/// What a first page tells of its list.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// Its partitions, when it is long.
    pub partitioning: Option<Partitioning>,
    /// The part of the contacts, as far as can be expected, whose own list of tags does not tell all of them.
    pub untold: f64,
}

impl StreamReader {
    /// Looks at the first page, which tells whether the list is long, and how it is to be divided then. Sizes that cannot be
    /// asked are no reason to fail: one chain is as good, and tells what is the matter.
    pub(crate) async fn look(&self, begun: &mut Begun) -> Look {
        let Begun::Open(opened) = begun else { return Look::default() };
        if !self.may_partition || opened.progress.is_some() {
            return Look::default();
        }
        let (total, oldest, untold) = match &mut opened.list {
            List::Contacts(stream) if stream.is_shared() => return Look::default(),
            List::Contacts(stream) => {
                let Some(page) = stream.peek().await else { return Look::default() };
                // Only searches give the oldest first.
                let is_search = matches!(self.planned.kind, StreamKind::Members(_));
                let oldest = page.rows.first().filter(|_| is_search).and_then(|oldest| oldest.created_at);
                (page.total, oldest, expected_untold(&page.rows))
            }
            List::Conversations(stream) => (stream.peek().await.and_then(|page| page.total), None, 1.0),
        };
        let Some(total) = total else { return Look::default() };
        let partitioner =
            Partitioner { client: &self.client, scope: &self.scope, page_size: self.page_size, places: self.places, now: (self.clock)() };
        let partitioning = partitioner.partition(&self.planned.kind, total, oldest).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the list could not be divided, and is followed in one chain");
            None
        });
        Look { partitioning, untold }
    }

    /// Rows of the list, where they are known before its first page is taken.
    pub(crate) fn announced(&self, begun: &Begun) -> Option<u64> {
        let Begun::Open(opened) = begun else { return None };
        match &opened.list {
            List::Contacts(stream) if opened.progress.is_none() => stream.announced(),
            List::Contacts(_) | List::Conversations(_) => None,
        }
    }
}
