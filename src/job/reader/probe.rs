//! Learns the size of a stream before it is fetched, and how to partition it if it is long.

use super::{Begun, OpenStream, Probe, StreamReader};
use crate::partitioning::Partitioner;
use crate::strategy::expected_truncated_tags;
use crate::stream::StreamKind;

impl StreamReader {
    /// Reads the first page, and the sizes of partitions if the stream is long. If these requests fail, the stream is fetched with one
    /// cursor, and that fetch reports the error if it fails too.
    pub(crate) async fn probe(&self, begun: &mut Begun) -> Probe {
        let Begun::Open(opened) = begun else { return Probe::default() };
        if !self.may_partition || opened.progress.is_some() {
            return Probe::default();
        }
        let (total, oldest, truncated_tags) = match &mut opened.stream {
            OpenStream::Contacts(stream) if stream.is_shared() => return Probe::default(),
            OpenStream::Contacts(stream) => {
                let Some(page) = stream.peek().await else { return Probe::default() };
                // Only searches return the oldest contact first.
                let is_search = matches!(self.kind, StreamKind::Members(_));
                let oldest = page.rows.first().filter(|_| is_search).and_then(|oldest| oldest.created_at);
                (page.total, oldest, expected_truncated_tags(&page.rows))
            }
            OpenStream::Conversations(stream) => (stream.peek().await.and_then(|page| page.total), None, 1.0),
        };
        let Some(total) = total else { return Probe::default() };
        let partitioner = Partitioner {
            client: &self.client,
            scope: &self.scope,
            page_size: self.page_size,
            max_concurrency: self.max_concurrency,
            now: (self.clock)(),
        };
        let partitioning = partitioner.partition(&self.kind, total, oldest).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the stream could not be partitioned and is fetched with one cursor");
            None
        });
        Probe { partitioning, truncated_tags }
    }

    /// The number of rows of the stream; `None` if unknown before its first page.
    pub(crate) fn announced(&self, begun: &Begun) -> Option<u64> {
        let Begun::Open(opened) = begun else { return None };
        match &opened.stream {
            OpenStream::Contacts(stream) if opened.progress.is_none() => stream.announced(),
            OpenStream::Contacts(_) | OpenStream::Conversations(_) => None,
        }
    }
}
