//! Groups whose members are taken from the contacts' own lists while everyone is read: which ones, and what comes of it.

use std::path::PathBuf;

use futures_util::future::{join_all, try_join_all};

use super::{Chains, Done, Followed, List, Waiting, Witness};
use crate::partitioning::FEW_PAGES;
use crate::plan::{StreamKind, pages};
use crate::reader::Look;
use crate::tag_dates::{Asking, Gone};
use crate::{Context, Event, JobError, error, joined, work};
use archive::publish;
use archive::snapshot::{DerivedTag, SpooledStream, StreamRecord, derive_members, stream_folder, truncated_tags};
use domain::{Allowed, Group, Months, agrees};
use intercom::RequestError;

/// The part of everyone that tells how it will go on.
const A_SAMPLE: f64 = 0.1;

impl Chains<'_> {
    /// Asks for the sizes of tags, beside what is followed already.
    pub(super) fn weigh(&mut self, waiting: Waiting, look: Look) {
        let is_fresh = |waiting: &&Waiting| self.plan.streams[waiting.list].kind.is_tag() && waiting.begun.is_fresh();
        let tag = |waiting: &Waiting| Some((waiting.list, self.plan.streams[waiting.list].kind.group()?.clone()));
        let tags: Vec<(usize, Group)> = self.waiting.iter().filter(is_fresh).filter_map(tag).collect();
        let client = self.context.client.clone();
        self.running.spawn(async move {
            let totals = try_join_all(tags.iter().map(|(_, tag)| client.member_count(tag, None))).await;
            let sized = |totals: Vec<Option<u64>>| tags.iter().zip(totals).filter_map(|((list, _), total)| Some((*list, total?))).collect();
            Done::Weighed { waiting: Box::new(waiting), look, tags: totals.map(sized) }
        });
    }

    /// Decides which tags' members are taken from the contacts' own lists of tags, and goes on with everyone.
    pub(super) async fn weighed(
        &mut self,
        waiting: Waiting,
        look: Look,
        tags: Result<Vec<(usize, u64)>, RequestError>,
    ) -> Result<(), JobError> {
        self.waits_for_everyone = false;
        match (tags, &look.partitioning) {
            (Ok(tags), Some(everyone)) => {
                let chosen = self.plan.tally(tags, everyone.total, look.untold, &self.context.settings);
                self.leave_to_everyone(&chosen);
            }
            (Err(error), _) => tracing::warn!(%error, "the sizes of the tags were not told; each is searched for"),
            (Ok(_), None) => {}
        }
        self.go_on(waiting, look).await
    }

    /// The same where contacts list all of their groups, and lists tell their length when they are opened. Those that ride on
    /// the scroll cost nothing as it is.
    pub(super) fn choose_tallied_at_once(&mut self) {
        let announced = |waiting: &Waiting| waiting.reader.announced(&waiting.begun);
        let everyone = self.waiting.iter().find(|waiting| self.plan.streams[waiting.list].kind == StreamKind::Everyone);
        let Some(everyone) = everyone.and_then(announced) else { return };
        if pages(Some(everyone), &self.context.settings).is_none_or(|pages| pages <= FEW_PAGES) {
            return;
        }
        let is_of_group = |waiting: &&Waiting| self.plan.streams[waiting.list].kind.group().is_some() && !waiting.begun.is_shared();
        let groups = self.waiting.iter().filter(is_of_group).filter_map(|waiting| Some((waiting.list, announced(waiting)?))).collect();
        let chosen = self.plan.tally(groups, everyone, 0.0, &self.context.settings);
        self.leave_to_everyone(&chosen);
    }

    fn leave_to_everyone(&mut self, lists: &[usize]) {
        for &list in lists {
            self.waiting.retain(|waiting| waiting.list != list);
            self.lists[list].chains.clear();
        }
    }

    pub(super) fn everyone(&self) -> Option<&List> {
        let list = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone)?;
        Some(&self.lists[list])
    }

    /// Lists whose members are taken from everyone, and are not there yet.
    fn awaited(&self) -> Vec<usize> {
        let is_awaited = |list: &usize| self.plan.streams[*list].tallied.is_some() && self.lists[*list].followed.is_none();
        (0..self.lists.len()).filter(is_awaited).collect()
    }

    /// Asks the contacts of a chain of everyone whose own lists were cut short, while the others are still followed.
    pub(super) async fn ask_untold(&mut self, chain: usize) -> Result<(), JobError> {
        let lists = self.awaited();
        let chain = self.everyone().and_then(|everyone| everyone.chains.get(chain)).and_then(|chain| Some((chain, chain.fetched()?)));
        let Some((chain, fetched)) = chain.filter(|_| !lists.is_empty() && !self.context.client.capabilities().lists_own_segments) else {
            return Ok(());
        };
        let part = SpooledStream::whole(stream_folder(self.work, &chain.key), fetched.record.clone());
        let untold = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&part)?)).await)?;
        self.untold.found += untold.len() as u64;
        let searching = self.searching(&lists);
        if self.untold.found > searching {
            // Whoever is left is told once everyone is there.
            return Ok(());
        }
        let expected = self.expected_untold();
        if expected > searching && self.has_read(A_SAMPLE) {
            return self.search(&lists, &format!("about {expected} contacts would be asked, whose lists are cut short")).await;
        }
        if untold.is_empty() || expected > searching {
            return Ok(());
        }
        let asking = match &self.untold.asking {
            Some(asking) => asking.clone(),
            None => self.untold.asking.insert(Asking::open(self.context, self.plan.scope.months, self.work).await?).clone(),
        };
        self.untold.under_way += 1;
        self.running.spawn(async move { Done::Asked(asking.ask(untold, Gone::HaveNoTags).await.err()) });
        Ok(())
    }

    /// Whether at least such a part of everyone was read.
    fn has_read(&self, part: f64) -> bool {
        self.read_of_everyone().is_some_and(|(read, total)| read >= total * part)
    }

    /// How many contacts will be asked, if it goes on like this.
    fn expected_untold(&self) -> u64 {
        let found = self.untold.found as f64;
        self.read_of_everyone().map_or(self.untold.found, |(read, total)| (found * total / read.max(1.0)).ceil() as u64)
    }

    /// Rows of everyone that came in finished chains, and all there are.
    fn read_of_everyone(&self) -> Option<(f64, f64)> {
        let list = self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone)?;
        let read = self.lists[list].fetched().map(|fetched| fetched.record.rows).sum::<u64>() as f64;
        Some((read, (self.plan.streams[list].partitioning.as_ref()?.total as f64).max(read)))
    }

    /// Requests that it takes to search for the members of these groups.
    fn searching(&self, lists: &[usize]) -> u64 {
        lists.iter().filter_map(|list| pages(self.plan.streams[*list].tallied, &self.context.settings)).sum()
    }

    /// Some were asked, or could not be.
    pub(super) async fn asked(&mut self, error: Option<JobError>) -> Result<(), JobError> {
        self.untold.under_way -= 1;
        self.untold.failure = self.untold.failure.take().or(error);
        let is_there = self.everyone().is_some_and(|everyone| everyone.followed.is_some());
        if is_there { self.tally().await } else { Ok(()) }
    }

    /// Begins to take the members of tags from everyone, once everyone is there and nobody is being asked.
    pub(super) async fn tally(&mut self) -> Result<(), JobError> {
        let lists = self.awaited();
        if self.untold.under_way > 0 {
            return Ok(());
        }
        if let Some(failure) = self.untold.failure.take() {
            return self.search(&lists, &error::in_a_line(&failure)).await;
        }
        let everyone = self.everyone().and_then(|everyone| everyone.followed.as_ref()).filter(|followed| followed.part.record.is_complete);
        let (Some(everyone), false) = (everyone.map(|followed| followed.part.clone()), lists.is_empty()) else {
            return self.search(&lists, "not everyone came").await;
        };
        let group = |list: usize| Some((list, self.plan.streams[list].kind.group()?.clone(), self.plan.streams[list].tallied?));
        let tallying = Tallying {
            context: self.context.clone(),
            months: self.plan.scope.months,
            work: self.work.to_path_buf(),
            asking: self.untold.asking.take(),
            searching: self.searching(&lists),
            everyone,
            groups: lists.into_iter().filter_map(group).map(|(list, group, total)| Awaited { list, group, total }).collect(),
        };
        self.running.spawn(async move { Done::Tallied(Box::new(tallying.run().await)) });
        Ok(())
    }

    /// What came of it. What could not be told, or does not agree with what the tags announce, is searched for.
    pub(super) async fn tallied_all(&mut self, told: Told) -> Result<(), JobError> {
        let groups = match told {
            Told::Members(groups) => groups,
            Told::Nothing { lists, why } => return self.search(&lists, &why).await,
        };
        let tolerance = Allowed::Tolerance(self.context.settings.completeness.tolerance);
        let mut disagree = Vec::new();
        for (list, part) in groups {
            let record = &part.record;
            if !agrees(record.received(), record.first_total, record.last_total, tolerance) {
                disagree.push(list);
                continue;
            }
            let stream = self.plan.streams[list].key.clone();
            let _span = tracing::info_span!("stream", key = stream).entered();
            (self.context.observer)(Event::StreamDone { stream, rows: record.rows });
            self.lists[list].followed = Some(Followed { part, failure: None, witness: Some(Witness::Totals) });
        }
        self.search(&disagree, "what the contacts' own lists tell does not agree with the group's total").await
    }

    /// Searches for the members of tags after all.
    async fn search(&mut self, lists: &[usize], why: &str) -> Result<(), JobError> {
        for &list in lists {
            let stream = &mut self.plan.streams[list];
            stream.tallied = None;
            publish::remove_folder(&stream_folder(self.work, &stream.key))?;
        }
        if lists.is_empty() {
            return Ok(());
        }
        tracing::info!("{} groups are searched for after all: {why}", lists.len());
        work::note(self.work, self.plan)?;
        self.begin(lists, true).await
    }
}

/// The contacts whose own lists were cut short.
#[derive(Default)]
pub(super) struct Untold {
    found: u64,
    asking: Option<Asking>,
    /// How many chains' contacts are being asked.
    under_way: usize,
    failure: Option<JobError>,
}

/// The work of taking the members of groups from everyone, beside the other lists.
struct Tallying {
    context: Context,
    months: Months,
    work: PathBuf,
    /// Where some were asked while the others were followed.
    asking: Option<Asking>,
    /// Requests that it takes to search for the members instead.
    searching: u64,
    everyone: SpooledStream,
    groups: Vec<Awaited>,
}

/// A group whose members are awaited.
struct Awaited {
    list: usize,
    group: Group,
    /// What it announced.
    total: u64,
}

/// What the contacts' own lists tell.
pub(super) enum Told {
    /// By list.
    Members(Vec<(usize, SpooledStream)>),
    Nothing {
        lists: Vec<usize>,
        why: String,
    },
}

impl Tallying {
    async fn run(self) -> Result<Told, JobError> {
        let nothing = |why: String| Ok(Told::Nothing { lists: self.groups.iter().map(|awaited| awaited.list).collect(), why });
        let (context, reading) = (&self.context, self.everyone.clone());
        let untold = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&reading)?)).await)?;
        if context.client.capabilities().lists_own_segments && !untold.is_empty() {
            return nothing("contacts do not list all of their groups".to_string());
        }
        // Who was asked already costs nothing more.
        let left = self.asking.as_ref().map_or(untold.len(), |asking| asking.unanswered(&untold)) as u64;
        if left > self.searching {
            return nothing(format!("to ask {left} contacts whose lists were cut short takes longer"));
        }
        let asking = match self.asking.clone() {
            Some(asking) => asking,
            None => Asking::open(context, self.months, &self.work).await?,
        };
        if let Err(error) = asking.ask(untold.clone(), Gone::HaveNoTags).await {
            return nothing(error::in_a_line(&error));
        }
        let answers = asking.end()?;
        let folder = |awaited: &Awaited| DerivedTag { key: awaited.group.key(), folder: stream_folder(&self.work, &awaited.group.key()) };
        let tags: Vec<DerivedTag> = self.groups.iter().map(folder).collect();
        let (folders, everyone) = (tags.clone(), self.everyone.clone());
        // What contacts were asked is of now, however long ago everyone was read.
        let asked_at = (!untold.is_empty()).then(|| (context.clock)());
        let records = joined(tokio::task::spawn_blocking(move || Ok(derive_members(&everyone, &tags, &untold, &answers)?)).await)?;
        let totals = join_all(self.groups.iter().map(|awaited| context.client.member_count(&awaited.group, None))).await;
        let told = self.groups.iter().zip(folders).zip(records).zip(totals).map(|(((awaited, tag), record), total)| {
            let record = StreamRecord {
                first_total: Some(awaited.total),
                last_total: total.ok().flatten().or(Some(awaited.total)),
                observed_at: record.observed_at.max(asked_at.unwrap_or(record.observed_at)),
                ..record
            };
            (awaited.list, SpooledStream::whole(tag.folder, record))
        });
        Ok(Told::Members(told.collect()))
    }
}
