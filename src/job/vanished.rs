//! The members of the last month that no stream has any more. A request for each shows whether it was deleted or merged into another
//! contact.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::contact_requests::{ContactRequests, Question};
use super::plan::Plan;
use super::{Context, JobError, joined};
use archive::Archive;
use archive::snapshot::{SpooledStream, Vanished, contact_ids, missing_in};
use domain::{Basis, Fate, IdSet, Month, Months};
use reports::history::{History, RULE_MEMBERS};

const FATES: Question = Question { name: "vanished", about: "the members of the last month that are gone", is_optional: true };

/// What was asked about the members that are gone.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The folder with the answers.
    pub answers: PathBuf,
    pub counts: Vanished,
}

impl Plan {
    /// Decides whether the run asks what became of members that are gone.
    pub(super) fn plan_vanished(&mut self, context: &Context) {
        let Some(before) = self.sizes_before.last_before(self.scope.newest().month) else { return };
        self.vanished_from = Some(before).filter(|_| context.client.capabilities().follows_merges);
    }

    /// The maximum number of requests for members that are gone. Only months that are observed at their end are compared with earlier
    /// ones.
    pub fn vanished_requests(&self, vanished_max: u64) -> u64 {
        let is_compared = self.scope.basis == Basis::MonthEnd;
        self.vanished_from.filter(|_| is_compared).map_or(0, |(_, members)| members.min(vanished_max))
    }
}

/// Asks what became of the members of the last month that no stream has. `None` if the plan does not want this, or if that month cannot
/// be read.
pub(super) async fn ask(
    context: &Context,
    months: Months,
    plan: &Plan,
    streams: Vec<SpooledStream>,
    work: &Path,
) -> Result<Option<Asked>, JobError> {
    let Some((month, _)) = plan.vanished_from else { return Ok(None) };
    let archive = context.archive.clone();
    let everyone = streams.clone();
    let missing = joined(tokio::task::spawn_blocking(move || missing_members(&archive, month, &streams)).await)?;
    let Some(missing) = missing else { return Ok(None) };
    let most = usize::try_from(context.settings.job.vanished_max).unwrap_or(usize::MAX);
    let wanted: BTreeSet<String> = missing.iter().take(most).cloned().collect();
    if !wanted.is_empty() {
        tracing::info!("{} members of {month} are in no list any more; asking what became of {}", missing.len(), wanted.len());
    }
    let requests: ContactRequests<Fate> = ContactRequests::open(context, months, work, FATES).await?;
    let known = joined(tokio::task::spawn_blocking(move || all_contacts(&everyone)).await)?;
    let (client, known) = (&context.client, &known);
    let ask = |id: String| async move {
        let fate = client.fate(&id, &|id| known.contains(id)).await?;
        Ok(fate.map(|fate| vec![fate]))
    };
    let asked = wanted.len() as u64 - requests.ask(&wanted, ask).await?;
    let counts = Vanished { asked, not_asked: missing.len() as u64 - asked };
    Ok(Some(Asked { answers: requests.end()?, counts }))
}

/// The members of a month, also of its rules, that no stream has. `None` if the month cannot be read.
fn missing_members(archive: &Archive, month: Month, streams: &[SpooledStream]) -> Result<Option<BTreeSet<String>>, JobError> {
    let Some(snapshot) = archive.snapshot(month)? else { return Ok(None) };
    let mut members = match snapshot.member_ids() {
        Ok(members) => members,
        Err(error) if error.is_damage() => {
            tracing::error!(%error, "the members of {month} cannot be read, so nobody is asked what became of those who are gone");
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    // If the history cannot be read, the fates of the members of rules stay unknown.
    let of_rules = History::open(archive, month).ok().flatten().and_then(|history| contact_ids(history.scan(&RULE_MEMBERS).ok()?).ok());
    members.extend(of_rules.into_iter().flatten());
    Ok(Some(missing_in(streams, members)?))
}

/// The contacts of all streams.
fn all_contacts(streams: &[SpooledStream]) -> Result<IdSet, JobError> {
    let mut all = IdSet::default();
    for stream in streams {
        archive::snapshot::members_of(stream)?.texts().for_each(|id| _ = all.insert(&id));
    }
    Ok(all)
}
