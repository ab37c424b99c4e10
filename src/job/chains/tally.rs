//! Groups whose members are taken from the contacts' own lists while everyone is read: which ones, and what comes of it.

use std::path::PathBuf;

use futures_util::future::{join_all, try_join_all};

use super::{Chains, Done, Followed, Waiting};
use crate::domain::{Allowed, Group, Months, agrees};
use crate::job::division::FEW_PAGES;
use crate::job::plan::{WalkKind, pages};
use crate::job::{Context, Event, JobError, error, joined, tag_dates, work};
use crate::publish;
use crate::snapshot::{Part, Tallied, WalkRecord, tally, untold, walk_folder};

impl Chains<'_> {
    /// Decides which tags' members are taken from the contacts' own lists of tags.
    pub(super) async fn choose_tallied(&mut self, everyone: u64, untold: f64) -> Result<(), JobError> {
        let is_fresh = |waiting: &&Waiting| self.plan.walks[waiting.list].kind.is_tag() && waiting.begun.is_fresh();
        let tags: Vec<usize> = self.waiting.iter().filter(is_fresh).map(|waiting| waiting.list).collect();
        let client = &self.context.client;
        let totals =
            try_join_all(tags.iter().filter_map(|list| self.plan.walks[*list].kind.group()).map(|tag| client.member_count(tag, None)));
        let totals = match totals.await {
            Ok(totals) => totals,
            Err(error) => {
                tracing::warn!(%error, "the sizes of the tags were not told; each is searched for");
                return Ok(());
            }
        };
        let sized = tags.into_iter().zip(totals).filter_map(|(list, total)| Some((list, total?))).collect();
        let chosen = self.plan.tally(sized, everyone, untold, &self.context.settings);
        self.leave_to_everyone(&chosen);
        Ok(())
    }

    /// The same where contacts list all of their groups, and lists tell their length when they are opened. Those that ride on
    /// the scroll cost nothing as it is.
    pub(super) fn choose_tallied_at_once(&mut self) {
        let announced = |waiting: &Waiting| waiting.walker.announced(&waiting.begun);
        let everyone = self.waiting.iter().find(|waiting| self.plan.walks[waiting.list].kind == WalkKind::Everyone);
        let Some(everyone) = everyone.and_then(announced) else { return };
        if pages(Some(everyone), &self.context.settings).is_none_or(|pages| pages <= FEW_PAGES) {
            return;
        }
        let is_of_group = |waiting: &&Waiting| self.plan.walks[waiting.list].kind.group().is_some() && !waiting.begun.is_shared();
        let groups = self.waiting.iter().filter(is_of_group).filter_map(|waiting| Some((waiting.list, announced(waiting)?))).collect();
        let chosen = self.plan.tally(groups, everyone, 0.0, &self.context.settings);
        self.leave_to_everyone(&chosen);
        // Those that were opened before it was known do not look for them.
        let tallied = self.tallied(&WalkKind::Everyone);
        for waiting in self.waiting.iter_mut().filter(|waiting| self.plan.walks[waiting.list].kind == WalkKind::Everyone) {
            waiting.walker.tallied = tallied.clone();
        }
    }

    fn leave_to_everyone(&mut self, lists: &[usize]) {
        for &list in lists {
            self.waiting.retain(|waiting| waiting.list != list);
            self.lists[list].chains.clear();
        }
    }

    /// Begins to take the members of tags from everyone, once everyone is there.
    pub(super) async fn tally(&mut self) -> Result<(), JobError> {
        let is_tallied = |list: &usize| self.plan.walks[*list].tallied.is_some() && self.lists[*list].followed.is_none();
        let lists: Vec<usize> = (0..self.lists.len()).filter(is_tallied).collect();
        let everyone = self.plan.walks.iter().position(|walk| walk.kind == WalkKind::Everyone);
        let everyone = everyone.and_then(|list| self.lists[list].followed.as_ref()).filter(|followed| followed.part.record.is_complete);
        let (Some(everyone), false) = (everyone.map(|followed| followed.part.clone()), lists.is_empty()) else {
            return self.search(&lists, "not everyone came").await;
        };
        let group = |list: usize| Some((list, self.plan.walks[list].kind.group()?.clone(), self.plan.walks[list].tallied?));
        let tallying = Tallying {
            context: self.context.clone(),
            months: self.plan.scope.months,
            work: self.work.to_path_buf(),
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
            if !agrees(record.came(), record.first_total, record.last_total, tolerance) {
                disagree.push(list);
                continue;
            }
            (self.context.observer)(Event::WalkDone { walk: self.plan.walks[list].key.clone(), rows: record.rows });
            self.lists[list].followed = Some(Followed { part, failure: None });
        }
        self.search(&disagree, "what the contacts' own lists tell does not agree with the group's total").await
    }

    /// Searches for the members of tags after all.
    async fn search(&mut self, lists: &[usize], why: &str) -> Result<(), JobError> {
        for &list in lists {
            let walk = &mut self.plan.walks[list];
            walk.tallied = None;
            publish::remove_folder(&walk_folder(self.work, &walk.key))?;
        }
        if lists.is_empty() {
            return Ok(());
        }
        tracing::warn!("tags are searched for after all ({}): {why}", lists.len());
        work::note(self.work, self.plan)?;
        self.begin(lists, true).await
    }
}

/// The work of taking the members of groups from everyone, beside the other lists.
struct Tallying {
    context: Context,
    months: Months,
    work: PathBuf,
    everyone: Part,
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
    Members(Vec<(usize, Part)>),
    Nothing { lists: Vec<usize>, why: String },
}

impl Tallying {
    async fn run(self) -> Result<Told, JobError> {
        let nothing = |why: String| Ok(Told::Nothing { lists: self.groups.iter().map(|awaited| awaited.list).collect(), why });
        let (context, reading) = (&self.context, self.everyone.clone());
        let untold = joined(tokio::task::spawn_blocking(move || Ok(untold(&reading)?)).await)?;
        if context.client.has_own_groups() && !untold.is_empty() {
            return nothing("contacts do not list all of their groups".to_string());
        }
        let searching: u64 = self.groups.iter().filter_map(|awaited| pages(Some(awaited.total), &context.settings)).sum();
        if untold.len() as u64 > searching {
            let (untold, tags) = (untold.len(), self.groups.len());
            return nothing(format!("to ask {untold} contacts whose lists were cut short takes longer, for {tags} tags"));
        }
        let answers = match tag_dates::ask(context, self.months, untold.clone(), &self.work).await {
            Ok(answers) => answers,
            Err(error) => return nothing(error::in_a_line(&error)),
        };
        let folder = |awaited: &Awaited| Tallied { key: awaited.group.key(), folder: walk_folder(&self.work, &awaited.group.key()) };
        let tags: Vec<Tallied> = self.groups.iter().map(folder).collect();
        let (folders, everyone) = (tags.clone(), self.everyone.clone());
        // What contacts were asked is of now, however long ago everyone was read.
        let asked_at = (!untold.is_empty()).then(|| (context.clock)());
        let records = joined(tokio::task::spawn_blocking(move || Ok(tally(&everyone, &tags, &untold, &answers)?)).await)?;
        let totals = join_all(self.groups.iter().map(|awaited| context.client.member_count(&awaited.group, None))).await;
        let told = self.groups.iter().zip(folders).zip(records).zip(totals).map(|(((awaited, tag), record), total)| {
            let record = WalkRecord {
                first_total: Some(awaited.total),
                last_total: total.ok().flatten().or(Some(awaited.total)),
                observed_at: record.observed_at.max(asked_at.unwrap_or(record.observed_at)),
                ..record
            };
            (awaited.list, Part::whole(tag.folder, record))
        });
        Ok(Told::Members(told.collect()))
    }
}
