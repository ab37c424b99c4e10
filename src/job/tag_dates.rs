//! When the job's tags were applied to contacts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::contact_requests::{ContactRequests, Question};
use super::{Context, JobError, joined};
use archive::snapshot::{SpooledStream, members_of};
use domain::{Months, TagDate};

/// The tags of contacts, with their dates.
pub(super) const TAG_DATES: Question = Question { name: "tag_dates", about: "the dates of tags", is_optional: false };

/// Requests the tags, with dates, of every contact that has one of these tags, unless they were requested already. Returns the folder of
/// the answers.
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
    requests: ContactRequests<TagDate>,
}

impl TagRequests {
    /// Continues with the answers of an earlier run.
    pub(super) async fn open(context: &Context, months: Months, work: &Path) -> Result<TagRequests, JobError> {
        Ok(TagRequests { context: context.clone(), requests: ContactRequests::open(context, months, work, TAG_DATES).await? })
    }

    /// The number of these contacts whose tags were not requested yet.
    pub(super) fn unanswered(&self, contacts: &BTreeSet<String>) -> usize {
        self.requests.unanswered(contacts)
    }

    /// Requests the tags of these contacts, except those already requested.
    pub(super) async fn ask(&self, contacts: &BTreeSet<String>, gone: Gone) -> Result<(), JobError> {
        let client = &self.context.client;
        let ask = |id: String| async move {
            let tags = client.tag_dates(&id).await?;
            Ok((tags.is_some() || gone == Gone::HaveNoTags).then(|| tags.unwrap_or_default()))
        };
        self.requests.ask(contacts, ask).await.map(drop)
    }

    /// The folder of the answers, after the last request.
    pub(super) fn end(&self) -> Result<PathBuf, JobError> {
        self.requests.end()
    }
}
