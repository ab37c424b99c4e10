//! Reads the pages of a stream into its spool, and decides whether the rows can be complete.

use std::collections::HashSet;

use chrono::{DateTime, Utc};

use super::{Ended, OpenStream, Opened, STREAM_AGE_MAX, StreamReader};
use crate::{Event, JobError, joined};
use archive::snapshot::{Progress, SnapshotError, Spool, Spooled, StreamRecord};
use domain::{Allowed, Conversation, Group, agrees, shrank};
use intercom::{Cursor, Page, Stream, StreamError};

impl StreamReader {
    pub(super) async fn read_again(&self, before: Option<&StreamRecord>) -> Result<StreamRecord, Ended> {
        self.read(self.open(None).await.map_err(Ended::Failed)?, before).await
    }

    pub(super) async fn read(&self, opened: Opened, before: Option<&StreamRecord>) -> Result<StreamRecord, Ended> {
        let Opened { at, stream, progress } = opened;
        match stream {
            OpenStream::Contacts(stream) => {
                let as_written = |contact| self.with_own_groups(self.privacy.apply(contact));
                self.read_pages_of(stream, at, progress, |_| true, as_written, before).await
            }
            OpenStream::Conversations(stream) => {
                let seconds = self.seconds();
                let is_wanted = move |row: &Conversation| seconds.contains(row.created_at);
                self.read_pages_of(stream, at, progress, is_wanted, |row| row, before).await
            }
        }
    }

    /// Reads every page into the spool and decides whether the rows can be complete. `before` is the first reading, if this is
    /// the second.
    async fn read_pages_of<R: Spooled>(
        &self,
        mut stream: Stream<R>,
        opened_at: DateTime<Utc>,
        progress: Option<Progress>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
        before: Option<&StreamRecord>,
    ) -> Result<StreamRecord, Ended> {
        let mut pages = Pages { spool: None, unwanted_before: HashSet::new(), cursor: None };
        if let Some(progress) = progress {
            self.report(Event::Resumed { stream: self.key(), rows: progress.record.rows });
            let folder = self.folder.clone();
            let resumed = tokio::task::spawn_blocking(move || Spool::resume(folder, progress).map_err(JobError::from));
            // If chunks cannot be read, the stream is fetched again.
            let mut spool = joined(resumed.await).map_err(Ended::Again)?;
            // The rows of the earlier run have only the groups that it looked for, so the record keeps only the groups that both runs
            // look for.
            spool.record().own_lists_of.retain(|key| self.own_lists_of.iter().any(|group| group.key() == *key));
            pages.spool = Some(spool);
        }
        let came = self.take_pages(&mut stream, &mut pages, opened_at, is_wanted, as_written).await;
        if let Err(ended) = came {
            // Save the rows since the last chunk, too. The first error is returned, whether or not this succeeds.
            if let (Some(spool), Some(cursor)) = (pages.spool, pages.cursor)
                && let Err(error) = self.save(spool, Some(cursor)).await
            {
                tracing::warn!(%error, "the last rows could not be saved");
            }
            return Err(ended);
        }
        let mut spool = match pages.spool {
            Some(spool) => spool,
            // No page came.
            None => self.create(opened_at).map_err(Ended::Failed)?,
        };
        let came = spool.len() + spool.record().outside + spool.record().forgotten;
        spool.record().is_complete = self.is_complete(came, spool.record(), before);
        let finished = tokio::task::spawn_blocking(move || spool.finish().map_err(JobError::from));
        joined(finished.await).map_err(Ended::Failed)
    }

    async fn take_pages<R: Spooled>(
        &self,
        stream: &mut Stream<R>,
        pages: &mut Pages<R>,
        opened_at: DateTime<Utc>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
    ) -> Result<(), Ended> {
        let months = self.scope.months;
        loop {
            let page = match stream.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(()),
                Err(StreamError::Request(source)) => return Err(Ended::Failed(self.failed(source))),
                Err(source) => return Err(Ended::Again(JobError::Stream { months, stream: self.title(), source: source.into() })),
            };
            if let (Some(expected), Some(found)) = (&self.scope.expected_workspace, &page.workspace_id)
                && expected != found
            {
                return Err(Ended::Failed(JobError::OtherWorkspace { published: expected.clone(), found: found.clone() }));
            }
            let mut spool = match pages.spool.take() {
                Some(spool) if !page.is_restart => spool,
                Some(_) => {
                    pages.unwanted_before.clear();
                    self.create((self.clock)()).map_err(Ended::Failed)?
                }
                // A new spool removes the rows of an earlier run. They are needed if no page comes, so the spool is created only after
                // the first page.
                None => self.create(opened_at).map_err(Ended::Failed)?,
            };
            let (total, cursor) = (page.total, page.cursor.clone());
            pages.take(&mut spool, page, (self.clock)(), &is_wanted, &as_written);
            let record = spool.record();
            let is_too_slow = record.observed_at - record.started_at > STREAM_AGE_MAX;
            if is_too_slow {
                return Err(Ended::Again(JobError::TooSlow { months, stream: self.title() }));
            }
            if spool.is_full(cursor.is_some()) {
                spool = self.save(spool, cursor.clone()).await.map_err(Ended::Failed)?;
            }
            self.report(Event::Page { stream: self.key(), rows: spool.len(), total });
            pages.spool = Some(spool);
            pages.cursor = cursor;
        }
    }

    /// Whether the rows can be complete. The first reading must agree with the totals exactly, the second within the tolerance.
    fn is_complete(&self, came: u64, record: &StreamRecord, before: Option<&StreamRecord>) -> bool {
        let tolerance = Allowed::Tolerance(self.tolerance);
        let allowed = if before.is_some() { tolerance } else { Allowed::Nothing };
        // If the listing of groups counts members, a search that returns nobody is not accepted.
        let is_empty_answer = came == 0 && self.size.is_some_and(|listed| listed > tolerance.of(listed));
        // If people really left the group, the second reading begins with about the total that the first one ended with.
        let shrunk_before = before.filter(|before| shrank(before.first_total, before.last_total, tolerance));
        let has_really_shrunk = shrunk_before.and_then(|before| before.last_total).zip(record.first_total);
        let has_really_shrunk = has_really_shrunk.is_some_and(|(then, now)| now <= then + tolerance.of(then));
        let is_cut_short = shrank(record.first_total, record.last_total, tolerance) && !has_really_shrunk;
        !is_empty_answer && !is_cut_short && agrees(came, record.first_total, record.last_total, allowed)
    }

    fn create<R: Spooled>(&self, at: DateTime<Utc>) -> Result<Spool<R>, JobError> {
        let mut spool = Spool::create(self.folder.clone(), at)?;
        spool.record().own_lists_of = self.own_lists_of.iter().map(Group::key).collect();
        Ok(spool)
    }

    /// Writes the rows in memory, and the cursor.
    async fn save<R: Spooled>(&self, mut spool: Spool<R>, cursor: Option<Cursor>) -> Result<Spool<R>, JobError> {
        let cursor = cursor.and_then(|cursor| serde_json::to_string(&cursor).ok());
        let saved = tokio::task::spawn_blocking(move || spool.save(cursor).map(|()| spool).map_err(|error: SnapshotError| error.into()));
        joined(saved.await)
    }
}

/// What a stream has read so far.
struct Pages<R: Spooled> {
    /// `None` before the first page, and while a page is processed.
    spool: Option<Spool<R>>,
    /// IDs on the previous page that were not wanted.
    unwanted_before: HashSet<String>,
    /// The cursor after the last page.
    cursor: Option<Cursor>,
}

impl<R: Spooled> Pages<R> {
    /// Adds a page to the spool, without the rows that were not requested: the API may return a wider range.
    fn take(
        &mut self,
        spool: &mut Spool<R>,
        page: Page<R>,
        at: DateTime<Utc>,
        is_wanted: impl Fn(&R) -> bool,
        as_written: impl Fn(R) -> R,
    ) {
        let (wanted, unwanted): (Vec<R>, Vec<R>) = page.rows.into_iter().partition(is_wanted);
        // Each dropped row is counted once. If the stream shifts, the same row can come again on the same page or on the next one.
        spool.record().workspace_id = spool.record().workspace_id.take().or(page.workspace_id);
        let unwanted: HashSet<String> = unwanted.iter().map(|row| row.id().to_string()).collect();
        let outside = unwanted.difference(&self.unwanted_before).count() as u64;
        spool.record().page(at, page.total, outside, page.oddities);
        self.unwanted_before = unwanted;
        spool.push(wanted.into_iter().map(as_written).collect());
    }
}
