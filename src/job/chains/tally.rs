//! Groups whose members are taken from the contacts' own lists while everyone is read: which ones, and what comes of it.

use futures_util::future::{join_all, try_join_all};

use super::{Chains, Followed, Waiting};
use crate::domain::{Allowed, agrees};
use crate::job::division::FEW_PAGES;
use crate::job::plan::{WalkKind, pages};
use crate::job::{Event, JobError, error, joined, tag_dates, work};
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

    /// The members of the tags that are taken from everyone, once everyone is there. Where that cannot be done, or does not
    /// agree with what the tags announce, they are searched for.
    pub(super) async fn tally(&mut self) -> Result<(), JobError> {
        let is_tallied = |list: &usize| self.plan.walks[*list].tallied.is_some() && self.lists[*list].followed.is_none();
        let lists: Vec<usize> = (0..self.lists.len()).filter(is_tallied).collect();
        let everyone = self.plan.walks.iter().position(|walk| walk.kind == WalkKind::Everyone);
        let everyone = everyone.and_then(|list| self.lists[list].followed.as_ref()).filter(|followed| followed.part.record.is_complete);
        let (Some(everyone), false) = (everyone.map(|followed| followed.part.clone()), lists.is_empty()) else {
            return self.search(&lists, "not everyone came").await;
        };
        let reading = everyone.clone();
        let untold = joined(tokio::task::spawn_blocking(move || Ok(untold(&reading)?)).await)?;
        let searching: u64 = lists.iter().filter_map(|list| pages(self.plan.walks[*list].tallied, &self.context.settings)).sum();
        if self.context.client.has_own_groups() && !untold.is_empty() {
            return self.search(&lists, "contacts do not list all of their groups").await;
        }
        if untold.len() as u64 > searching {
            let (untold, tags) = (untold.len(), lists.len());
            return self
                .search(&lists, &format!("to ask {untold} contacts whose lists were cut short takes longer, for {tags} tags"))
                .await;
        }
        let answers = match tag_dates::ask(self.context, self.plan.scope.months, untold.clone(), self.work).await {
            Ok(answers) => answers,
            Err(error) => return self.search(&lists, &error::in_a_line(&error)).await,
        };
        let tags: Vec<Tallied> = lists
            .iter()
            .filter_map(|list| {
                let walk = &self.plan.walks[*list];
                Some(Tallied { key: walk.kind.group()?.key(), folder: walk_folder(self.work, &walk.key) })
            })
            .collect();
        let folders = tags.clone();
        // What contacts were asked is of now, however long ago everyone was read.
        let asked_at = (!untold.is_empty()).then(|| (self.context.clock)());
        let records = joined(tokio::task::spawn_blocking(move || Ok(tally(&everyone, &tags, &untold, &answers)?)).await)?;
        let client = &self.context.client;
        let groups = lists.iter().filter_map(|list| self.plan.walks[*list].kind.group());
        let totals = join_all(groups.map(|tag| client.member_count(tag, None))).await;
        let tolerance = Allowed::Tolerance(self.context.settings.completeness.tolerance);
        let mut disagree = Vec::new();
        for (((list, tag), record), total) in lists.into_iter().zip(folders).zip(records).zip(totals) {
            let walk = &self.plan.walks[list];
            let record = WalkRecord { first_total: walk.tallied, last_total: total.ok().flatten().or(walk.tallied), ..record };
            let record = WalkRecord { observed_at: record.observed_at.max(asked_at.unwrap_or(record.observed_at)), ..record };
            if !agrees(record.came(), record.first_total, record.last_total, tolerance) {
                disagree.push(list);
                continue;
            }
            (self.context.observer)(Event::WalkDone { walk: walk.key.clone(), rows: record.rows });
            self.lists[list].followed = Some(Followed { part: Part::whole(tag.folder, record), failure: None });
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
