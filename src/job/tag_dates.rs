//! When the job's tags were put on their holders: one request a contact, side by side, each answer kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, stream};

use super::{Context, Event, JobError, joined};
use crate::domain::Months;
use crate::snapshot::{Part, TagDates, members_of};

const WALK: &str = "tag_dates";

/// Asks about every member of these tags that was not asked about yet. Gives the folder of the answers.
pub(super) async fn fetch(context: &Context, months: Months, tags: Vec<Part>, work: &Path) -> Result<PathBuf, JobError> {
    let reading = tokio::task::spawn_blocking(move || -> Result<BTreeSet<String>, JobError> {
        let mut holders = BTreeSet::new();
        for part in &tags {
            holders.extend(members_of(part)?.texts().map(String::from));
        }
        Ok(holders)
    });
    ask(context, months, joined(reading.await)?, work).await
}

/// Asks these contacts for their tags, but for those who were asked before. Gives the folder of the answers.
pub(super) async fn ask(context: &Context, months: Months, contacts: BTreeSet<String>, work: &Path) -> Result<PathBuf, JobError> {
    let folder = work.join(WALK);
    let opening = folder.clone();
    let opened = tokio::task::spawn_blocking(move || -> Result<(TagDates, Vec<String>), JobError> {
        let mut dates = TagDates::open(opening)?;
        let wanted = contacts.into_iter().filter(|id| dates.wants(id)).collect();
        Ok((dates, wanted))
    });
    let (mut dates, wanted) = joined(opened.await)?;

    (context.observer)(Event::WalkStarted { walk: WALK.to_string() });
    let total = wanted.len() as u64;
    let asks = wanted.into_iter().map(|id| async move {
        let tags = context.client.tag_dates(&id).await;
        (id, tags)
    });
    let mut answers = stream::iter(asks).buffer_unordered(context.settings.intercom.max_concurrency);
    let mut asked = 0;
    while let Some((id, tags)) = answers.next().await {
        let tags = match tags {
            Ok(tags) => tags,
            Err(source) => {
                // What came stays.
                dates.flush()?;
                return Err(JobError::Fetch { months, walk: "the dates of tags".to_string(), source: source.into() });
            }
        };
        dates.push(id, tags)?;
        asked += 1;
        (context.observer)(Event::Page { walk: WALK.to_string(), rows: asked, total: Some(total) });
    }
    dates.flush()?;
    (context.observer)(Event::WalkDone { walk: WALK.to_string(), rows: asked });
    Ok(folder)
}
