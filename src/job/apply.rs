//! `run --apply-tags`: writes the tags of the job's rules to Intercom. Only the difference to the last applied state is sent. Only
//! contacts that this job tagged are untagged: a tag that a person added stays.
//!
//! The contacts that the job tagged are recorded beside the months, in `applied/run_month=…/`. The snapshot cannot record them: it
//! is never edited, and tags are written only after everything is published. Before a change is sent, its contacts are recorded as
//! pending. So after an interrupted run it is known which contacts this job tagged.

mod notes;

use std::collections::BTreeSet;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Context, Event, JobError, Unresolved, Why};
use crate::settings::JobRule;
use crate::tagging::{self, Item, ItemResult, Stopped, Target};
use archive::table::TableError;
use archive::{Archive, Section};
use domain::{Fit, Group, GroupKind, GroupName, Month, Reference};
use intercom::{Change, StreamError};
use reports::history::{History, RULE_MEMBERS};

use self::notes::{Pending, Tagged, applied_before, publish_applied, read_pending};

pub(super) use self::notes::{PENDING_FILES, forget, problems};

/// The result for one rule's tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub rule: String,
    pub tag_id: String,
    pub tag_name: String,
    /// The number of members of the rule.
    pub members: u64,
    /// The numbers of contacts that this run tagged (`gained`) and untagged (`lost`).
    pub gained: u64,
    pub lost: u64,
    /// The number of members that had the tag before. This job never removes the tag from them.
    pub carried_before: u64,
    /// The number of contacts that no longer exist.
    pub gone: u64,
    /// The number of contacts for which the API refused the change or gave no clear answer. The next run tries again.
    pub failed: u64,
}

/// Brings the tags of the month's rules up to date. The caller must have the lock. The month must be published and up to date.
pub(super) async fn apply(context: &Context, month: Month, is_forced: bool) -> Result<Vec<Applied>, JobError> {
    let archive = &context.archive;
    let rules: Vec<&JobRule> = context.settings.job.rules.iter().filter(|rule| rule.apply_tag.is_some()).collect();
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(newest) = archive.months()?.into_iter().max().filter(|newest| *newest > month) {
        return Err(JobError::NotNewest { month, newest });
    }
    let observed = archive.snapshot(month)?;
    if let Some(snapshot) = &observed
        && !snapshot.manifest.incomplete.is_empty()
    {
        return Err(JobError::IncompleteTags { month, incomplete: snapshot.manifest.incomplete.clone() });
    }
    let existing: Vec<Group> = context.client.tags().await?.into_iter().map(|listed| listed.group).collect();
    let mut tags = Tags { archive, certain: applied_before(archive)?, pending: read_pending(archive)? };
    let mut plans = Vec::new();
    for rule in rules {
        let (name, target) = (&rule.rule.name, target(rule, &existing)?);
        // If the rule's earlier tag was deleted or replaced, no contact has the new tag yet.
        tags.certain.retain(|(of_rule, _), tag| of_rule != name || matches!(&target, Target::Existing(group) if group.id == *tag));
        plans.push(Plan::make(archive, month, rule, target, &tags)?);
    }
    let observed = observed.map_or(0, |snapshot| snapshot.contacts());
    for plan in &plans {
        plan.check(observed, context.settings.job.max_tag_change, is_forced)?;
    }

    let mut results = Vec::new();
    for plan in plans {
        (context.observer)(Event::Applying { rule: plan.rule.rule.name.clone() });
        let mut applied = plan.applied();
        tags.forget_unsent(&plan);
        let done = plan.carry_out(context, &mut tags, &mut applied).await;
        if done.is_ok() {
            let Applied { gained, lost, failed, .. } = applied;
            (context.observer)(Event::Applied { rule: applied.rule.clone(), gained, lost, failed });
        }
        results.push(applied);
        // Record the changes so far, even if the rest fails.
        if let Err(error) = done {
            tags.write_pending()?;
            publish_applied(context, month, results, &tags.certain)?;
            return Err(error);
        }
    }
    if results.iter().any(Applied::is_change) {
        publish_applied(context, month, results.clone(), &tags.certain)?;
    }
    tags.write_pending()?;
    Ok(results)
}

/// The recorded tags of this job.
struct Tags<'a> {
    archive: &'a Archive,
    certain: Tagged,
    pending: Pending,
}

impl Tags<'_> {
    fn write_pending(&self) -> Result<(), JobError> {
        notes::write_pending(self.archive, &self.pending)
    }

    /// Drops pending contacts that were not tagged and are no longer members.
    fn forget_unsent(&mut self, plan: &Plan<'_>) {
        let name = &plan.rule.rule.name;
        self.pending.retain(|(rule, contact), may_carry| rule != name || *may_carry || plan.members.contains(contact));
    }

    /// Records the result for one contact.
    fn settle(&mut self, key: (String, String), change: Change, result: ItemResult, applied: &mut Applied) {
        let pending = self.pending.remove(&key);
        let was_certain = self.certain.remove(&key).is_some();
        let mut is_ours = false;
        match (change, result) {
            (Change::Tag, ItemResult::Tagged) => {
                applied.gained += 1;
                is_ours = true;
            }
            (Change::Tag, ItemResult::AlreadyTagged) if pending == Some(true) => is_ours = true,
            (Change::Tag, ItemResult::AlreadyTagged) => applied.carried_before += 1,
            (Change::Untag, ItemResult::Untagged) => applied.lost += 1,
            (Change::Untag, ItemResult::NotTagged) => {}
            (_, ItemResult::NotFound) => applied.gone += 1,
            // The next run tries again. Contacts to tag stay pending, so `max_tag_change` does not limit them again.
            (_, result) => {
                applied.failed += 1;
                is_ours = was_certain;
                if let Some(may_carry) = pending {
                    let is_known = change == Change::Tag && result != ItemResult::Unknown;
                    self.pending.insert(key.clone(), may_carry && !is_known);
                }
            }
        }
        if is_ours {
            self.certain.insert(key, applied.tag_id.clone());
        }
    }
}

/// The changes for one rule.
struct Plan<'a> {
    rule: &'a JobRule,
    target: Target,
    members: BTreeSet<String>,
    /// The contacts that this job tagged for the rule.
    tagged: BTreeSet<String>,
    gains: Vec<String>,
    losses: Vec<String>,
    /// The number of `gains` that an earlier run was already allowed to make. They do not count for the limit again.
    allowed: usize,
}

impl<'a> Plan<'a> {
    fn make(archive: &Archive, month: Month, rule: &'a JobRule, target: Target, tags: &Tags<'_>) -> Result<Plan<'a>, JobError> {
        let members = members(archive, month, &rule.rule.cohort_key())?;
        let is_of_rule = |name: &String| *name == rule.rule.name;
        let certain: BTreeSet<String> =
            tags.certain.keys().filter(|(name, _)| is_of_rule(name)).map(|(_, contact)| contact.clone()).collect();
        let unsettled = || tags.pending.iter().filter(|((name, _), _)| is_of_rule(name));
        let perhaps = unsettled().filter(|(_, may_carry)| **may_carry).map(|((_, contact), _)| contact.clone()).collect();
        Ok(Plan {
            gains: members.difference(&certain).cloned().collect(),
            losses: certain.union(&perhaps).filter(|contact| !members.contains(*contact)).cloned().collect(),
            allowed: unsettled().filter(|((_, contact), _)| members.contains(contact)).count(),
            tagged: certain,
            members,
            rule,
            target,
        })
    }

    /// # Errors
    /// If more would change than the job allows. The limit is a share of the contacts that this job tagged before. If there are none, it
    /// is a share of all contacts in the snapshot.
    fn check(&self, observed: u64, allowed: f64, is_forced: bool) -> Result<(), JobError> {
        let changes = (self.gains.len() + self.losses.len()).saturating_sub(self.allowed) as u64;
        let of = if self.tagged.is_empty() { observed } else { self.tagged.len() as u64 };
        if is_forced || changes as f64 <= allowed * of as f64 {
            return Ok(());
        }
        Err(JobError::LargeTagChange {
            rule: self.rule.rule.name.clone(),
            gains: self.gains.len() as u64,
            losses: self.losses.len() as u64,
            of,
            allowed,
        })
    }

    fn applied(&self) -> Applied {
        Applied {
            rule: self.rule.rule.name.clone(),
            tag_id: match &self.target {
                Target::Existing(tag) => tag.id.clone(),
                Target::New(_) => String::new(),
            },
            tag_name: self.rule.apply_tag.clone().unwrap_or_default(),
            members: self.members.len() as u64,
            gained: 0,
            lost: 0,
            carried_before: 0,
            gone: 0,
            failed: 0,
        }
    }

    async fn carry_out(self, context: &Context, tags: &mut Tags<'_>, applied: &mut Applied) -> Result<(), JobError> {
        let rule = self.rule.rule.name.clone();
        for (change, contacts) in [(Change::Tag, self.gains), (Change::Untag, self.losses)] {
            if contacts.is_empty() {
                continue;
            }
            let failed = |source: StreamError| JobError::Apply { rule: rule.clone(), source: source.into() };
            let items = contacts.into_iter().map(|id| Item { row: None, given: Ok(Reference::ContactId(id)) }).collect();
            let on_progress = |_: &str, _: usize, _: usize| {};
            let work = tagging::prepare(&context.client, self.target.clone(), change, items, None, &on_progress).await.map_err(failed)?;
            // These contacts do not have the tag yet. If this run is interrupted and they have the tag later, this run added it.
            if change == Change::Tag {
                tags.pending.extend(work.to_change().map(|id| ((rule.clone(), id.to_string()), true)));
                tags.write_pending()?;
            }
            let done = work.carry_out(&context.client, &on_progress, std::future::pending()).await.map_err(|error| failed(error.into()))?;
            if let Some(tag) = &done.tag {
                applied.tag_id.clone_from(&tag.id);
                applied.tag_name.clone_from(&tag.name);
            }
            for (item, outcome) in done.items.iter().zip(&done.outcomes) {
                let Ok(Reference::ContactId(id)) = &item.given else { continue };
                tags.settle((rule.clone(), id.clone()), change, outcome.result, applied);
            }
            match done.stopped {
                Some(Stopped::Failed(error)) => return Err(failed(error.into())),
                Some(Stopped::OtherTag(id)) => return Err(JobError::OtherTag { rule, id }),
                Some(Stopped::Interrupted) => return Err(JobError::Interrupted),
                None => {}
            }
        }
        Ok(())
    }
}

impl Applied {
    fn is_change(&self) -> bool {
        self.gained + self.lost + self.gone + self.failed > 0
    }
}

/// The tag of a rule. A missing tag is created later.
///
/// # Errors
/// If it is not certain which tag is meant: the name fits several tags, is an ID that does not exist, or only looks like the name of
/// a tag. Intercom ignores only case in names, so a call with this name would create a second tag that looks like the first.
fn target(rule: &JobRule, existing: &[Group]) -> Result<Target, JobError> {
    let name = GroupName::new(GroupKind::Tag, rule.apply_tag.clone().unwrap_or_default());
    let refused = |why| Err(JobError::Unresolved(vec![Unresolved { name: name.clone(), why }]));
    match super::resolve(&name, existing, &[]) {
        Ok((tag, _)) if is_named(&name, &tag) => Ok(Target::Existing(tag)),
        Ok((tag, _)) => refused(Why::NotFound { nearest: Some(tag) }),
        Err(unresolved) if unresolved.is_absent() && !is_id(&name) => Ok(Target::New(name.text)),
        Err(unresolved) => refused(unresolved.why),
    }
}

/// Whether the name is the tag's name, as Intercom compares names, or its ID.
fn is_named(name: &GroupName, tag: &Group) -> bool {
    let plain = |text: &str| text.trim().to_lowercase();
    name.fit(&tag.key(), [&tag.name, &tag.name]) == Some(Fit::Exact) || plain(&name.text) == plain(&tag.name)
}

/// Whether the name is written as an ID. No tag can be created from an ID.
fn is_id(name: &GroupName) -> bool {
    ["id:", "tag:"].iter().any(|prefix| name.text.starts_with(prefix))
}

/// The members of a rule this month.
fn members(archive: &Archive, month: Month, key: &str) -> Result<BTreeSet<String>, JobError> {
    let in_history = |source| JobError::History { month, source };
    let history = History::open(archive, month).map_err(|damage| in_history(damage.into()))?;
    // The history was just built, so it must exist. Without it the rule would have no members, and all contacts would lose the tag.
    let gone = || archive.damage(Section::History, month, "it is gone");
    let history = history.ok_or_else(|| in_history(gone().into()))?;
    let failed = |error| JobError::table(month, error);
    let present = history.scan(&RULE_MEMBERS).map_err(in_history)?.filter(col("cohort_key").eq(lit(key)));
    let rows =
        present.select([col("contact_id")]).collect().map_err(|error| failed(TableError::new("read", "the members of rules", error)))?;
    let ids = rows
        .column("contact_id")
        .and_then(|column| column.str())
        .map_err(|error| failed(TableError::new("read", "the members of rules", error)))?;
    Ok(ids.iter().flatten().map(str::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reports::rules::Condition;

    #[test]
    fn a_rules_tag_is_the_one_that_intercom_takes_the_name_for_or_a_new_one() {
        let tag = |id: &str, name: &str| Group { kind: GroupKind::Tag, id: id.into(), name: name.into() };
        let existing = [tag("7", "VIP\u{200b}"), tag("8", "Heavy Openers"), tag("9", "STRASSE")];
        let target_of = |name: &str| {
            let condition = Condition::parse("role = 'user'", reports::rules::FACTS, &[]).unwrap();
            let rule = JobRule { rule: reports::rules::Rule { name: "rule".into(), condition }, apply_tag: Some(name.into()) };
            match target(&rule, &existing) {
                Ok(Target::Existing(tag)) => format!("id:{}", tag.id),
                Ok(Target::New(name)) => format!("new {name}"),
                Err(JobError::Unresolved(unresolved)) => unresolved[0].to_string(),
                Err(other) => panic!("{other}"),
            }
        };
        for name in ["Heavy Openers", "heavy openers", "HEAVY OPENERS", "8", "id:8", "tag:8"] {
            assert_eq!(target_of(name), "id:8", "{name}");
        }
        assert_eq!(target_of("Light Openers"), "new Light Openers");
        // A tag whose name only looks the same is neither used nor created a second time.
        let looks = target_of("VIP");
        assert!(looks.contains("did you mean `VIP\u{200b}` (id:7)? It looks the same") && looks.contains("U+200B"), "{looks}");
        assert_eq!(target_of("straße"), "tag `straße` is not in the workspace; did you mean `STRASSE`?");
        assert_eq!(target_of("id:99"), "tag `id:99` is not in the workspace");
    }
}
