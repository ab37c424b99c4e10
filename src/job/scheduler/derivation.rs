//! Derives the members of groups from everyone, and asks contacts with truncated lists for all of their tags.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::join_all;

use crate::strategy::{MembershipStrategy, membership_strategy};
use crate::tag_dates::{Gone, TagRequests};
use crate::{Context, JobError, error, joined};
use archive::snapshot::{DerivedTag, SpooledStream, StreamRecord, derive_members, stream_folder};
use domain::{Group, Months};

/// The contacts whose own lists of tags were truncated.
#[derive(Default)]
pub(super) struct TruncatedTags {
    pub contacts: Arc<BTreeSet<String>>,
    /// The numbers of the partitions of everyone whose contacts are in `contacts`.
    pub read: BTreeSet<usize>,
    pub asking: Option<TagRequests>,
    /// The number of partitions whose contacts are being asked.
    pub under_way: usize,
    pub failure: Option<JobError>,
}

/// Derives the members of groups from everyone, while other streams are fetched.
pub(super) struct DeriveMembers {
    pub context: Context,
    pub months: Months,
    pub work: PathBuf,
    /// The answers so far; `None` if no contact was asked yet.
    pub asking: Option<TagRequests>,
    /// The number of requests that a search for the members would take.
    pub search_requests: u64,
    /// The contacts of everyone with truncated lists.
    pub truncated: Arc<BTreeSet<String>>,
    pub everyone: SpooledStream,
    pub groups: Vec<PendingGroup>,
}

/// A group whose members are to be derived.
pub(super) struct PendingGroup {
    pub stream: usize,
    pub group: Group,
    /// The total that the API announced for the group.
    pub total: u64,
}

/// Members derived from the contacts' own lists.
pub(super) enum Derivation {
    /// The derived members, by stream.
    Members(Vec<(usize, SpooledStream)>),
    Failed {
        streams: Vec<usize>,
        why: String,
    },
}

impl DeriveMembers {
    pub(super) async fn run(self) -> Result<Derivation, JobError> {
        let failed = |why: String| Ok(Derivation::Failed { streams: self.groups.iter().map(|pending| pending.stream).collect(), why });
        let (context, truncated) = (&self.context, self.truncated.clone());
        if context.client.capabilities().lists_own_segments && !truncated.is_empty() {
            return failed("contacts do not list all of their groups".to_string());
        }
        // Contacts whose tags were already requested cost no more requests.
        let left = self.asking.as_ref().map_or(truncated.len(), |asking| asking.unanswered(&truncated)) as u64;
        if membership_strategy(self.search_requests, 0, left) == MembershipStrategy::SearchMembers {
            return failed(format!("it would take {left} requests for contacts with truncated lists"));
        }
        let asking = match self.asking.clone() {
            Some(asking) => asking,
            None => TagRequests::open(context, self.months, &self.work).await?,
        };
        if let Err(error) = asking.ask(&truncated, Gone::HaveNoTags).await {
            return failed(error::in_a_line(&error));
        }
        let answers = asking.end()?;
        let folder =
            |pending: &PendingGroup| DerivedTag { key: pending.group.key(), folder: stream_folder(&self.work, &pending.group.key()) };
        let tags: Vec<DerivedTag> = self.groups.iter().map(folder).collect();
        let (folders, everyone) = (tags.clone(), self.everyone.clone());
        // The requested tags are observed now, even if everyone was read long ago.
        let asked_at = (!truncated.is_empty()).then(|| (context.clock)());
        let records = joined(tokio::task::spawn_blocking(move || Ok(derive_members(&everyone, &tags, &truncated, &answers)?)).await)?;
        let totals = join_all(self.groups.iter().map(|pending| context.client.member_count(&pending.group, None))).await;
        let members = self.groups.iter().zip(folders).zip(records).zip(totals).map(|(((pending, tag), record), total)| {
            let record = StreamRecord {
                first_total: Some(pending.total),
                last_total: total.ok().flatten().or(Some(pending.total)),
                observed_at: record.observed_at.max(asked_at.unwrap_or(record.observed_at)),
                ..record
            };
            (pending.stream, SpooledStream::whole(tag.folder, record))
        });
        Ok(Derivation::Members(members.collect()))
    }
}
