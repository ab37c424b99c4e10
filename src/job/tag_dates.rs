//! When the job's tags were applied to contacts: one request for each contact, side by side. Each answer is saved.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};

use super::{Context, Event, JobError, joined};
use archive::snapshot::{SpooledStream, TagDates, members_of};
use domain::Months;

/// The folder of the answers in the work folder, and their name in the log.
pub(super) const ANSWERS: &str = "tag_dates";

/// Requests the tags of each member of these tags that was not requested yet. Returns the folder of the answers.
pub(super) async fn fetch(context: &Context, months: Months, tags: Vec<SpooledStream>, work: &Path) -> Result<PathBuf, JobError> {
    let reading = tokio::task::spawn_blocking(move || -> Result<BTreeSet<String>, JobError> {
        let mut holders = BTreeSet::new();
        for part in &tags {
            holders.extend(members_of(part)?.texts().map(String::from));
        }
        Ok(holders)
    });
    let holders = joined(reading.await)?;
    let asking = TagRequests::open(context, months, work).await?;
    asking.ask(&holders, Gone::HaveNoTags).await?;
    asking.end()
}

/// How to treat contacts that no longer exist when their tags are requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// A deleted contact has no tags.
    HaveNoTags,
    /// The contacts existed when everyone was read, but their tags are unknown.
    AreUnknown,
}

/// Requests the tags of contacts, each once, for all streams that need them.
#[derive(Clone)]
pub(super) struct TagRequests {
    context: Context,
    months: Months,
    folder: PathBuf,
    so_far: Arc<Mutex<SoFar>>,
}

struct SoFar {
    answers: TagDates,
    wanted: u64,
    asked: u64,
}

impl TagRequests {
    /// Continues with the answers of an earlier run.
    pub(super) async fn open(context: &Context, months: Months, work: &Path) -> Result<TagRequests, JobError> {
        let folder = work.join(ANSWERS);
        let opening = folder.clone();
        let answers = joined(tokio::task::spawn_blocking(move || Ok(TagDates::open(opening)?)).await)?;
        (context.observer)(Event::StreamStarted { stream: ANSWERS.to_string() });
        let so_far = Arc::new(Mutex::new(SoFar { answers, wanted: 0, asked: 0 }));
        Ok(TagRequests { context: context.clone(), months, folder, so_far })
    }

    /// The number of these contacts whose tags were not requested yet.
    pub(super) fn unanswered(&self, contacts: &BTreeSet<String>) -> usize {
        let so_far = self.lock();
        contacts.iter().filter(|id| !so_far.answers.knows(id)).count()
    }

    /// Requests the tags of these contacts, except those already requested.
    pub(super) async fn ask(&self, contacts: &BTreeSet<String>, gone: Gone) -> Result<(), JobError> {
        let wanted: Vec<String> = {
            let mut so_far = self.lock();
            let wanted: Vec<String> = contacts.iter().filter(|id| so_far.answers.claim(id)).cloned().collect();
            so_far.wanted += wanted.len() as u64;
            wanted
        };
        let asks = wanted.into_iter().map(|id| async move {
            let tags = self.context.client.tag_dates(&id).await;
            (id, tags)
        });
        let mut answers = stream::iter(asks).buffer_unordered(self.context.settings.intercom.max_concurrency);
        while let Some((id, tags)) = answers.next().await {
            let mut so_far = self.lock();
            let tags = match tags {
                Ok(tags) => tags,
                Err(source) => {
                    // Answers so far are kept.
                    so_far.answers.flush()?;
                    return Err(JobError::Fetch { months: self.months, stream: "the dates of tags".to_string(), source: source.into() });
                }
            };
            if tags.is_some() || gone == Gone::HaveNoTags {
                so_far.answers.push(id, tags.unwrap_or_default())?;
            }
            so_far.asked += 1;
            let event = Event::Page { stream: ANSWERS.to_string(), rows: so_far.asked, total: Some(so_far.wanted) };
            drop(so_far);
            (self.context.observer)(event);
        }
        Ok(())
    }

    /// The folder of the answers, after the last request.
    pub(super) fn end(&self) -> Result<PathBuf, JobError> {
        let mut so_far = self.lock();
        so_far.answers.flush()?;
        (self.context.observer)(Event::StreamDone { stream: ANSWERS.to_string(), rows: so_far.asked });
        Ok(self.folder.clone())
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        // An answer is added completely or not at all, so a panic elsewhere leaves the state valid.
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
