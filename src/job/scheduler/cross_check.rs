//! What other sources say of the lists that came: a total is no witness for the rows it came with. The contacts' own lists
//! are one for tags (in 1.x for segments, too), read in the same run and whichever way the members were found; the counts
//! of the listing of segments are a weaker one, as they may lag.
//!
//! A list that differs from a witness by more than is allowed is followed once more. If it still does, its members are taken
//! from the contacts' own lists where those are whole, or can be made so by asking a few; else it is incomplete, or the
//! difference is a warning.

use super::{Chains, Followed};
use crate::plan::StreamKind;
use crate::tag_dates::{ANSWERS, Asking, Gone};
use crate::{JobError, error, joined};
use archive::publish;
use archive::snapshot::{
    Comparison, DerivedTag, Searched, SpooledStream, StreamRecord, compare, derive_members, stream_folder, truncated_tags,
};
use domain::{Allowed, Group, differs_from_listing};

/// What another source says of a list, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// The members are those that the contacts' own lists name, and the group's total agrees.
    Totals,
    /// The own lists of everyone's contacts.
    OwnLists(Comparison),
    /// The members that the listing of groups counts.
    Listing(u64),
}

/// Contacts who are asked for all of their tags where their lists contradict a search, at the most.
const ASKED_MAX: usize = 2_000;

impl Witness {
    /// Whether it contradicts what came by more than is allowed.
    pub(crate) fn contradicts(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::Totals => false,
            Witness::OwnLists(comparison) => {
                let allowed = Allowed::Tolerance(tolerance).of(comparison.holders.max(came));
                comparison.missing > allowed || comparison.unconfirmed > allowed
            }
            Witness::Listing(listed) => differs_from_listing(came, *listed),
        }
    }

    /// Whether it can say that what came is all there is. Own lists that were cut short cannot.
    pub(crate) fn vouches(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::OwnLists(comparison) => comparison.unknown_missing <= Allowed::Tolerance(tolerance).of(comparison.holders.max(came)),
            Witness::Totals | Witness::Listing(_) => true,
        }
    }

    /// Whether what came cannot be all there is, on the word of this witness alone.
    fn proves_incomplete(&self, came: u64, tolerance: f64) -> bool {
        match self {
            Witness::Listing(listed) => self.contradicts(came, tolerance) && came.saturating_mul(2) < *listed,
            Witness::Totals | Witness::OwnLists(_) => self.contradicts(came, tolerance),
        }
    }
}

impl Chains<'_> {
    /// Holds what came against what other sources say.
    pub(super) async fn cross_check(&mut self) -> Result<(), JobError> {
        self.hear_witnesses().await?;
        if self.ask_whose_lists_were_cut().await? {
            self.hear_witnesses().await?;
        }
        let again: Vec<usize> = self.doubtful().into_iter().filter(|list| self.may_follow_again(*list)).collect();
        for &list in &again {
            tracing::warn!("`{}` is read once more: {}", self.plan.streams[list].key, self.difference(list));
            self.anew(list).await?;
        }
        if !again.is_empty() {
            self.follow().await?;
            self.complete().await?;
            self.hear_witnesses().await?;
        }
        for list in self.doubtful() {
            self.settle(list).await?;
        }
        Ok(())
    }

    /// Asks the witnesses of each list.
    async fn hear_witnesses(&mut self) -> Result<(), JobError> {
        let mut compared = self.own_lists().await?;
        for (list, planned) in self.plan.streams.iter().enumerate() {
            let Some(followed) = self.lists[list].followed.as_mut().filter(|followed| followed.failure.is_none()) else { continue };
            if followed.witness == Some(Witness::Totals) || !matches!(planned.kind, StreamKind::Members(_)) {
                continue;
            }
            let of_own_lists = compared.iter().position(|(compared, _)| *compared == list).map(|at| compared.swap_remove(at).1);
            followed.witness = of_own_lists.map(Witness::OwnLists).or(planned.listed.map(Witness::Listing));
        }
        Ok(())
    }

    /// Makes own lists whole where that matters: where they contradict a search, and where they cannot vouch for one that
    /// gives fewer members than the month before had. Asks contacts whose lists were cut short, if they are few.
    async fn ask_whose_lists_were_cut(&self) -> Result<bool, JobError> {
        let tolerance = self.context.settings.completeness.tolerance;
        let matters = |list: usize| {
            let Some(followed) = &self.lists[list].followed else { return false };
            let Some(witness @ Witness::OwnLists(comparison)) = followed.witness else { return false };
            let came = followed.part.record.received();
            let (key, first) = (&self.plan.streams[list].key, self.plan.months().first);
            let is_fewer = self.plan.is_fewer_than_before(key, first, came, tolerance);
            comparison.unknown > 0 && (witness.contradicts(came, tolerance) || (is_fewer && !witness.vouches(came, tolerance)))
        };
        let is_needed = (0..self.lists.len()).any(matters) && !self.context.client.capabilities().lists_own_segments;
        let Some(everyone) = self.whole_everyone().filter(|_| is_needed) else { return Ok(false) };
        let untold = joined(tokio::task::spawn_blocking(move || Ok(truncated_tags(&everyone)?)).await)?;
        if untold.len() > ASKED_MAX {
            return Ok(false);
        }
        tracing::info!("{} contacts whose lists of tags were cut short are asked for all of them", untold.len());
        let asking = Asking::open(self.context, self.plan.scope.months, self.work).await?;
        if let Err(error) = asking.ask(untold, Gone::AreUnknown).await {
            tracing::warn!("they could not be asked: {}", error::in_a_line(&error));
        }
        asking.end()?;
        Ok(true)
    }

    /// The lists that their witness contradicts.
    fn doubtful(&self) -> Vec<usize> {
        let tolerance = self.context.settings.completeness.tolerance;
        let is_doubtful = |followed: &Followed| {
            let record = &followed.part.record;
            // What is incomplete as it is needs no other reason; but own lists may know what a search knows nothing of.
            (record.is_complete || record.received() == 0)
                && followed.witness.is_some_and(|witness| witness.contradicts(record.received(), tolerance))
        };
        (0..self.lists.len()).filter(|list| self.lists[*list].followed.as_ref().is_some_and(is_doubtful)).collect()
    }

    /// What everyone's own lists say of the groups that were searched for.
    async fn own_lists(&self) -> Result<Vec<(usize, Comparison)>, JobError> {
        let Some(everyone) = self.whole_everyone() else { return Ok(Vec::new()) };
        let searched = |list: usize| {
            let followed = self.lists[list].followed.as_ref().filter(|followed| followed.failure.is_none())?;
            let group = self.plan.streams[list].kind.group()?;
            let is_compared = followed.witness != Some(Witness::Totals) && everyone.record.own_lists_of.contains(&group.key());
            is_compared.then(|| (list, Searched { group: group.clone(), part: followed.part.clone() }))
        };
        let (lists, searched): (Vec<usize>, Vec<Searched>) = (0..self.lists.len()).filter_map(searched).unzip();
        if lists.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.work.join(ANSWERS);
        let compared = joined(tokio::task::spawn_blocking(move || Ok(compare(&everyone, &searched, &answers)?)).await)?;
        Ok(lists.into_iter().zip(compared).collect())
    }

    /// Everyone, if all of them came.
    fn whole_everyone(&self) -> Option<SpooledStream> {
        let followed = self.everyone()?.followed.as_ref()?;
        (followed.failure.is_none() && followed.part.record.is_complete).then(|| followed.part.clone())
    }

    /// Whether a list that is read now is worth as much as what there is of it. Where an incomplete month is accepted, the
    /// API may not answer at all, and what came stays.
    fn may_follow_again(&self, list: usize) -> bool {
        let basis = |at| self.plan.scope.basis_at(at, self.context.settings.job.grace);
        let followed = self.lists[list].followed.as_ref();
        !self.accepts_incomplete
            && followed.is_some_and(|followed| basis(followed.part.record.observed_at) <= basis((self.context.clock)()))
    }

    /// What a witness says, in words.
    fn difference(&self, list: usize) -> String {
        let Some(followed) = &self.lists[list].followed else { return String::new() };
        let came = followed.part.record.received();
        match followed.witness {
            Some(Witness::OwnLists(comparison)) => format!(
                "{came} members came; the contacts' own lists name {} ({} of them did not come, {} came whose list lacks the group, and \
                 of {} contacts whose lists were cut short nobody knows)",
                comparison.holders, comparison.missing, comparison.unconfirmed, comparison.unknown
            ),
            Some(Witness::Listing(listed)) => format!("{came} members came; the listing of segments counts {listed}"),
            Some(Witness::Totals) | None => format!("{came} members came"),
        }
    }

    /// Decides what becomes of a list that its witness still contradicts.
    async fn settle(&mut self, list: usize) -> Result<(), JobError> {
        let (key, difference) = (self.plan.streams[list].key.clone(), self.difference(list));
        let tolerance = self.context.settings.completeness.tolerance;
        let group = self.plan.streams[list].kind.group().cloned();
        let everyone = self.whole_everyone();
        let Some(followed) = &mut self.lists[list].followed else { return Ok(()) };
        match (followed.witness, group, everyone) {
            (Some(Witness::OwnLists(comparison)), Some(group), Some(everyone)) if comparison.unknown == 0 => {
                tracing::warn!("the members of `{key}` are taken from the contacts' own lists, against the search: {difference}");
                let record = followed.part.record.clone();
                let part = self.derived(&group, everyone, record).await?;
                self.lists[list].followed = Some(Followed { part, failure: None, witness: Some(Witness::OwnLists(comparison)) });
            }
            (Some(witness), ..) if witness.proves_incomplete(followed.part.record.received(), tolerance) => {
                tracing::error!("`{key}` is incomplete: {difference}");
                followed.part.record.is_complete = false;
                if matches!(witness, Witness::OwnLists(_)) {
                    self.forget_everyone()?;
                }
            }
            _ => tracing::warn!("`{key}` is published as it came: {difference}"),
        }
        Ok(())
    }

    /// The members of a group by the contacts' own lists, in the place of what was searched for.
    async fn derived(&self, group: &Group, everyone: SpooledStream, searched: StreamRecord) -> Result<SpooledStream, JobError> {
        let tallied = DerivedTag { key: group.key(), folder: stream_folder(self.work, &group.key()) };
        let (folder, answers) = (tallied.folder.clone(), self.work.join(ANSWERS));
        let taking = tokio::task::spawn_blocking(move || -> Result<Vec<StreamRecord>, JobError> {
            let untold = truncated_tags(&everyone)?;
            Ok(derive_members(&everyone, &[tallied], &untold, &answers)?)
        });
        let record = joined(taking.await)?.into_iter().next();
        let record = record.ok_or_else(|| JobError::NotFollowed(group.key()))?;
        let StreamRecord { first_total, last_total, .. } = searched;
        Ok(SpooledStream::whole(folder, StreamRecord { first_total, last_total, searched: Some(searched.received()), ..record }))
    }

    /// The next run reads everyone anew: as long as it has what was read before, it would find the same difference.
    fn forget_everyone(&self) -> Result<(), JobError> {
        let at =
            self.plan.streams.iter().position(|stream| stream.kind == StreamKind::Everyone).filter(|list| self.may_follow_again(*list));
        for chain in at.iter().flat_map(|list| &self.lists[*list].chains) {
            publish::remove_folder(&stream_folder(self.work, &chain.key))?;
        }
        Ok(())
    }
}
