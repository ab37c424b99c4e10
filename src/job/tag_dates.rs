//! When the job's tags were put on their holders: one request a contact, side by side, each answer kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt, stream};

use super::{Context, Event, JobError, joined};
use archive::snapshot::{SpooledStream, TagDates, members_of};
use domain::Months;

/// The folder of the answers in that of the work, and their name in the log.
pub(super) const ANSWERS: &str = "tag_dates";

/// Asks about every member of these tags that was not asked about yet. Gives the folder of the answers.
pub(super) async fn fetch(context: &Context, months: Months, tags: Vec<SpooledStream>, work: &Path) -> Result<PathBuf, JobError> {
    let reading = tokio::task::spawn_blocking(move || -> Result<BTreeSet<String>, JobError> {
        let mut holders = BTreeSet::new();
        for part in &tags {
            holders.extend(members_of(part)?.texts().map(String::from));
        }
        Ok(holders)
    });
    let holders = joined(reading.await)?;
    let asking = Asking::open(context, months, work).await?;
    asking.ask(holders, Gone::HaveNoTags).await?;
    asking.end()
}

/// What is made of contacts that are not there any more when they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// Whoever was deleted carries no tag.
    HaveNoTags,
    /// They were there when everyone was read, and nobody knows what they carried.
    AreUnknown,
}

/// Contacts being asked for their tags, whoever wants to know: each once.
#[derive(Clone)]
pub(super) struct Asking {
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

impl Asking {
    /// Goes on with the answers that an earlier run has.
    pub(super) async fn open(context: &Context, months: Months, work: &Path) -> Result<Asking, JobError> {
        let folder = work.join(ANSWERS);
        let opening = folder.clone();
        let answers = joined(tokio::task::spawn_blocking(move || Ok(TagDates::open(opening)?)).await)?;
        (context.observer)(Event::StreamStarted { stream: ANSWERS.to_string() });
        let so_far = Arc::new(Mutex::new(SoFar { answers, wanted: 0, asked: 0 }));
        Ok(Asking { context: context.clone(), months, folder, so_far })
    }

    /// How many of these contacts were not asked before.
    pub(super) fn unanswered(&self, contacts: &BTreeSet<String>) -> usize {
        let so_far = self.lock();
        contacts.iter().filter(|id| !so_far.answers.knows(id)).count()
    }

    /// Asks these contacts, but for those who were asked before.
    pub(super) async fn ask(&self, contacts: BTreeSet<String>, gone: Gone) -> Result<(), JobError> {
        let wanted: Vec<String> = {
            let mut so_far = self.lock();
            let wanted: Vec<String> = contacts.into_iter().filter(|id| so_far.answers.claim(id)).collect();
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
                    // What came stays.
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

    /// The folder of the answers, once nobody asks any more.
    pub(super) fn end(&self) -> Result<PathBuf, JobError> {
        let mut so_far = self.lock();
        so_far.answers.flush()?;
        (self.context.observer)(Event::StreamDone { stream: ANSWERS.to_string(), rows: so_far.asked });
        Ok(self.folder.clone())
    }

    fn lock(&self) -> MutexGuard<'_, SoFar> {
        // An answer is taken whole or not at all, whatever happens elsewhere.
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
