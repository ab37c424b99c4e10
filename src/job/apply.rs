//! `run --apply-tags`: the members of the job's rules get the rules' tags in Intercom, as a difference to what this job
//! did before. Only whom this job tagged is ever untagged: a tag that a person put on stays.
//!
//! What the job has tagged is kept beside the months, `applied/run_month=…/`: a snapshot is never edited, and tags are
//! written only when everything is published. Before a change is sent, whom it is about is written down as pending, so
//! that an interrupted run knows afterwards whom it tagged itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Context, Event, JobError, JobFolder, Unresolved, Why};
use crate::domain::{Fit, Group, GroupKind, GroupName, Month, Reference};
use crate::history::STANDING;
use crate::intercom::{Change, WalkError};
use crate::publish::{self, Damage, ListedFile, ListedFiles, Staging};
use crate::settings::JobRule;
use crate::snapshot::{SnapshotError, month_folder, months_in};
use crate::table::{self, Kind, Table, TableError, read_bundle, scan_or_empty, write_bundle, write_parquet};
use crate::tagging::{self, Became, Item, Stopped, Target};

const TAGGED: Table = Table {
    name: "tagged",
    row: "a contact that carries a rule's tag because this job put it on",
    key: &["rule", "contact_id"],
    columns: &[
        table::Column::new("rule", Kind::Text, "the rule's name"),
        table::Column::new("tag_id", Kind::Text, "Intercom's id of the tag"),
        table::Column::new("contact_id", Kind::Contact, "Intercom's id of the contact"),
    ],
};

const PENDING: Table = Table {
    name: "pending",
    row: "a contact that a run was allowed to put a rule's tag on, and that is not settled yet",
    key: &["rule", "contact_id"],
    columns: &[
        table::Column::new("rule", Kind::Text, "the rule's name"),
        table::Column::new("contact_id", Kind::Contact, "Intercom's id of the contact"),
        table::Column::new("may_carry", Kind::Flag, "whether it may carry the tag by this job's doing: it was sent, or was about to be"),
    ],
};

const FORMAT: u32 = 1;

const TAGGED_FILE: &str = "tagged.parquet";
/// Beside the months: [`crate::table::write_bundle`].
const PENDING_FILE: &str = "pending.arrows";

/// What was written to Intercom for a month, and (`tagged.parquet`) what this job may take back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AppliedManifest {
    format: u32,
    job: String,
    month: String,
    runs: Vec<AppliedRun>,
    files: Vec<ListedFile>,
}

/// One run that changed something, or tried to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AppliedRun {
    applied_at: DateTime<Utc>,
    program_version: String,
    rules: Vec<Applied>,
}

/// What became of one rule's tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    pub rule: String,
    pub tag_id: String,
    pub tag_name: String,
    /// Members of the rule.
    pub members: u64,
    /// Tagged, and untagged, by this run.
    pub gained: u64,
    pub lost: u64,
    /// Members that carry the tag without this job's doing; it never takes it from them.
    pub carried_before: u64,
    /// Contacts that are no longer there.
    pub gone: u64,
    /// What the API refused or did not answer cleanly; the next run tries again.
    pub failed: u64,
}

/// Whom this job tagged: by rule and contact, the tag's ID.
type Tagged = BTreeMap<(String, String), String>;

/// Whom a run was allowed to tag and could not settle: by rule and contact, whether they may carry the tag by now.
type Pending = BTreeMap<(String, String), bool>;

/// Brings the tags of the month's rules up to date. Needs the lock, and a month that is published and current.
pub(super) async fn apply(context: &Context, folder: &JobFolder, month: Month, is_forced: bool) -> Result<Vec<Applied>, JobError> {
    let rules: Vec<&JobRule> = context.settings.job.rules.iter().filter(|rule| rule.apply_tag.is_some()).collect();
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(newest) = months_in(&folder.snapshots())?.into_iter().max().filter(|newest| *newest > month) {
        return Err(JobError::NotNewest { month, newest });
    }
    let observed = folder.snapshot(month)?;
    if let Some(snapshot) = &observed
        && !snapshot.manifest.incomplete.is_empty()
    {
        return Err(JobError::IncompleteTags { month, incomplete: snapshot.manifest.incomplete.clone() });
    }
    let existing: Vec<Group> = context.client.tags().await?.into_iter().map(|listed| listed.group).collect();
    let mut tags = Tags { folder, certain: applied_before(folder)?, pending: read_pending(folder)? };
    let mut plans = Vec::new();
    for rule in rules {
        let (name, target) = (&rule.rule.name, target(rule, &existing)?);
        // Of a tag that was deleted, or that the rule had before another one, nobody carries this one.
        tags.certain.retain(|(of_rule, _), tag| of_rule != name || matches!(&target, Target::Existing(group) if group.id == *tag));
        plans.push(Plan::make(folder, month, rule, target, &tags)?);
    }
    let observed = observed.map_or(0, |snapshot| snapshot.contacts());
    for plan in &plans {
        plan.check(observed, context.settings.job.max_tag_change, is_forced)?;
    }

    let mut told = Vec::new();
    for plan in plans {
        (context.observer)(Event::Applying { rule: plan.rule.rule.name.clone() });
        let mut applied = plan.applied();
        tags.forget_unsent(&plan);
        let done = plan.carry_out(context, &mut tags, &mut applied).await;
        if done.is_ok() {
            let Applied { gained, lost, failed, .. } = applied;
            (context.observer)(Event::Applied { rule: applied.rule.clone(), gained, lost, failed });
        }
        told.push(applied);
        // What was done is written down, whatever becomes of the rest.
        if let Err(error) = done {
            tags.write_pending()?;
            publish_applied(context, folder, month, told, &tags.certain)?;
            return Err(error);
        }
    }
    if told.iter().any(Applied::is_change) {
        publish_applied(context, folder, month, told.clone(), &tags.certain)?;
    }
    tags.write_pending()?;
    Ok(told)
}

/// What is known of the tags that this job put on.
struct Tags<'a> {
    folder: &'a JobFolder,
    certain: Tagged,
    pending: Pending,
}

impl Tags<'_> {
    fn write_pending(&self) -> Result<(), JobError> {
        publish::remove_file(&old_pending(self.folder))?;
        if self.pending.is_empty() {
            return Ok(publish::remove_file(&self.folder.pending())?);
        }
        publish::create_folder(&self.folder.applied())?;
        let staging = Staging::new(&self.folder.work(), "pending")?;
        write_pending(&self.pending, &staging.place(PENDING_FILE)?)?;
        Ok(staging.commit_file(PENDING_FILE, &self.folder.pending())?)
    }

    /// Whoever was to be tagged, was not, and is no member any more needs nothing.
    fn forget_unsent(&mut self, plan: &Plan<'_>) {
        let name = &plan.rule.rule.name;
        self.pending.retain(|(rule, contact), may_carry| rule != name || *may_carry || plan.members.contains(contact));
    }

    /// Takes note of what became of one contact.
    fn settle(&mut self, key: (String, String), change: Change, became: Became, applied: &mut Applied) {
        let pending = self.pending.remove(&key);
        let was_certain = self.certain.remove(&key).is_some();
        let mut is_ours = false;
        match (change, became) {
            (Change::Tag, Became::Tagged) => {
                applied.gained += 1;
                is_ours = true;
            }
            (Change::Tag, Became::AlreadyTagged) if pending == Some(true) => is_ours = true,
            (Change::Tag, Became::AlreadyTagged) => applied.carried_before += 1,
            (Change::Untag, Became::Untagged) => applied.lost += 1,
            (Change::Untag, Became::NotTagged) => {}
            (_, Became::NotFound) => applied.gone += 1,
            // The next run tries again, without asking whether it may.
            (_, became) => {
                applied.failed += 1;
                is_ours = was_certain;
                if let Some(may_carry) = pending {
                    let is_told = change == Change::Tag && became != Became::Unknown;
                    self.pending.insert(key.clone(), may_carry && !is_told);
                }
            }
        }
        if is_ours {
            self.certain.insert(key, applied.tag_id.clone());
        }
    }
}

/// What has to change for one rule.
struct Plan<'a> {
    rule: &'a JobRule,
    target: Target,
    members: BTreeSet<String>,
    /// Whom this job tagged for the rule.
    tagged: BTreeSet<String>,
    gains: Vec<String>,
    losses: Vec<String>,
    /// Gains that an earlier run was allowed already.
    allowed: usize,
}

impl<'a> Plan<'a> {
    fn make(folder: &JobFolder, month: Month, rule: &'a JobRule, target: Target, tags: &Tags<'_>) -> Result<Plan<'a>, JobError> {
        let members = members(folder, month, &rule.rule.cohort_key())?;
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
    /// When more would change than the job allows unasked: of those tagged before, or the first time of everyone.
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
            let failed = |source: WalkError| JobError::Apply { rule: rule.clone(), source: source.into() };
            let items = contacts.into_iter().map(|id| Item { row: None, given: Ok(Reference::ContactId(id)) }).collect();
            let told = |_: &str, _: usize, _: usize| {};
            let work = tagging::prepare(&context.client, self.target.clone(), change, items, &told).await.map_err(failed)?;
            // Whoever is to be tagged is not tagged yet: if it turns out later that they are, this run did it.
            if change == Change::Tag {
                tags.pending.extend(work.to_change().map(|id| ((rule.clone(), id.to_string()), true)));
                tags.write_pending()?;
            }
            let done = work.carry_out(&context.client, &told, std::future::pending()).await.map_err(|error| failed(error.into()))?;
            if let Some(tag) = &done.tag {
                applied.tag_id.clone_from(&tag.id);
                applied.tag_name.clone_from(&tag.name);
            }
            for (item, outcome) in done.items.iter().zip(&done.outcomes) {
                let Ok(Reference::ContactId(id)) = &item.given else { continue };
                tags.settle((rule.clone(), id.clone()), change, outcome.became, applied);
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

/// The tag of a rule; one that is not there yet will be made.
///
/// # Errors
/// When nothing must be written, because it is not certain which tag is meant: the name fits several tags, is the ID of
/// none, or only looks like the name of one. Intercom itself tells names apart in everything but case, so that a call with
/// this name would make a second tag that nobody could tell from the first.
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

/// Whether Intercom takes this for the name of the tag, or it is the tag's ID.
fn is_named(name: &GroupName, tag: &Group) -> bool {
    let plain = |text: &str| text.trim().to_lowercase();
    name.fit(&tag.key(), [&tag.name, &tag.name]) == Some(Fit::Exact) || plain(&name.text) == plain(&tag.name)
}

/// Written as an ID, which no tag can be made from.
fn is_id(name: &GroupName) -> bool {
    ["id:", "tag:"].iter().any(|prefix| name.text.starts_with(prefix))
}

/// Who is in a cohort this month.
fn members(folder: &JobFolder, month: Month, key: &str) -> Result<BTreeSet<String>, JobError> {
    let in_history = |source| JobError::History { month, source };
    let history = folder.history(month).map_err(|damage| in_history(damage.into()))?;
    // It has just been built. Without it nobody would be a member, and everybody would lose the tag.
    let gone = || Damage { folder: folder.histories().join(month_folder(month)), problem: "it is gone".to_string() };
    let history = history.ok_or_else(|| in_history(gone().into()))?;
    let failed = |error| JobError::table(month, error);
    let present =
        history.scan(&STANDING).map_err(in_history)?.filter(col("cohort_key").eq(lit(key)).and(col("change").neq(lit("departed"))));
    let rows = present.select([col("contact_id")]).collect().map_err(|error| failed(TableError::new("read", "the standing", error)))?;
    let ids = rows
        .column("contact_id")
        .and_then(|column| column.str())
        .map_err(|error| failed(TableError::new("read", "the standing", error)))?;
    Ok(ids.iter().flatten().map(str::to_string).collect())
}

/// Whom this job has tagged, as the newest month with applied tags says.
fn applied_before(folder: &JobFolder) -> Result<Tagged, JobError> {
    let Some(newest) = months_in(&folder.applied())?.into_iter().max() else { return Ok(Tagged::new()) };
    read_applied(folder, newest).map(|(_, tagged)| tagged)
}

/// A month's notes of tags.
///
/// # Errors
/// When they are not what was written.
fn read_applied(folder: &JobFolder, month: Month) -> Result<(AppliedManifest, Tagged), JobError> {
    let (manifest, files) = open_applied(folder, month).map_err(JobError::DamagedApplied)?;
    let paths = files.verified(|path| path == TAGGED_FILE).map_err(JobError::DamagedApplied)?;
    let tagged = paths.iter().map(|path| read_tagged(path)).collect::<Result<Vec<_>, _>>()?;
    Ok((manifest, tagged.into_iter().flatten().collect()))
}

fn open_applied(folder: &JobFolder, month: Month) -> Result<(AppliedManifest, ListedFiles), Damage> {
    let target = folder.applied().join(month_folder(month));
    let damage = |problem: &str| Damage { folder: target.clone(), problem: format!("its {} {problem}", publish::MANIFEST) };
    let read = publish::read_manifest(&target)?.ok_or_else(|| damage("is gone"))?;
    let manifest: AppliedManifest = read.parse().map_err(|_| damage("cannot be understood"))?;
    let files = ListedFiles::new(&target, &manifest.files)?;
    Ok((manifest, files))
}

/// What is wrong with the notes of tags, by month.
pub(super) fn problems(folder: &JobFolder, reads_all: bool) -> Result<Vec<(Month, String)>, JobError> {
    let mut problems = Vec::new();
    for month in months_in(&folder.applied())? {
        match open_applied(folder, month) {
            Ok((_, files)) => problems.extend(files.problems(reads_all).into_iter().map(|problem| (month, problem))),
            Err(damage) => problems.push((month, damage.problem)),
        }
    }
    Ok(problems)
}

fn publish_applied(context: &Context, folder: &JobFolder, month: Month, rules: Vec<Applied>, tagged: &Tagged) -> Result<(), JobError> {
    let target = folder.applied().join(month_folder(month));
    let mut runs = if target.exists() { read_applied(folder, month)?.0.runs } else { Vec::new() };
    runs.push(AppliedRun { applied_at: (context.clock)(), program_version: env!("CARGO_PKG_VERSION").to_string(), rules });
    let job = context.settings.job.name.clone();
    let manifest = AppliedManifest { format: FORMAT, job, month: month.to_string(), runs, files: Vec::new() };
    write_applied(folder, month, manifest, tagged)
}

/// Shows a month's notes of tags, in place of those that are there.
fn write_applied(folder: &JobFolder, month: Month, mut manifest: AppliedManifest, tagged: &Tagged) -> Result<(), JobError> {
    let staging = Staging::new(&folder.work(), &format!("applied-{month}"))?;
    let rows = write_tagged(tagged, &staging.place(TAGGED_FILE)?)?;
    staging.list(TAGGED_FILE, rows)?;
    manifest.files = staging.files();
    staging.commit(&folder.applied().join(month_folder(month)), &manifest)?;
    Ok(())
}

/// Takes people out of what is kept of tagging: they are nobody's to untag any more. Whether they were in it, and what is
/// damaged and therefore left as it is.
pub(super) fn forget(folder: &JobFolder, people: &BTreeSet<String>) -> Result<(bool, Vec<(Month, String)>), JobError> {
    let (mut held, mut damaged) = (false, Vec::new());
    let mut pending = read_pending(folder)?;
    if pending.keys().any(|(_, contact)| people.contains(contact)) {
        pending.retain(|(_, contact), _| !people.contains(contact));
        Tags { folder, certain: Tagged::new(), pending }.write_pending()?;
        held = true;
    }
    for month in months_in(&folder.applied())? {
        let (manifest, mut tagged) = match read_applied(folder, month) {
            Ok(applied) => applied,
            Err(JobError::DamagedApplied(damage)) => {
                damaged.push((month, damage.problem));
                continue;
            }
            Err(error) => return Err(error),
        };
        if tagged.keys().any(|(_, contact)| people.contains(contact)) {
            tagged.retain(|(_, contact), _| !people.contains(contact));
            write_applied(folder, month, manifest, &tagged)?;
            held = true;
        }
    }
    Ok((held, damaged))
}

fn write_tagged(tagged: &Tagged, path: &Path) -> Result<u64, JobError> {
    let columns = vec![
        Column::new("rule".into(), tagged.keys().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>()),
        Column::new("tag_id".into(), tagged.values().map(String::as_str).collect::<Vec<_>>()),
        Column::new("contact_id".into(), tagged.keys().map(|(_, contact)| contact.as_str()).collect::<Vec<_>>()),
    ];
    let frame = DataFrame::new(tagged.len(), columns).map_err(|error| unreadable("make", path, error))?;
    Ok(write_parquet(&frame, &TAGGED, path).map_err(SnapshotError::from)?)
}

fn write_pending(pending: &Pending, path: &Path) -> Result<(), JobError> {
    let columns = vec![
        Column::new("rule".into(), pending.keys().map(|(rule, _)| rule.as_str()).collect::<Vec<_>>()),
        Column::new("contact_id".into(), pending.keys().map(|(_, contact)| contact.as_str()).collect::<Vec<_>>()),
        Column::new("may_carry".into(), pending.values().copied().collect::<Vec<bool>>()),
    ];
    let frame = DataFrame::new(pending.len(), columns).map_err(|error| unreadable("make", path, error))?;
    Ok(write_bundle(&[frame], &[&PENDING], path).map_err(SnapshotError::from)?)
}

/// Nobody, when the file is not there.
///
/// # Errors
/// When it is not what was written.
fn read_pending(folder: &JobFolder) -> Result<Pending, JobError> {
    let (path, old_path) = (folder.pending(), old_pending(folder));
    let failed = |error| unreadable("read", &path, error);
    let damage = |error: TableError| {
        JobError::DamagedApplied(Damage { folder: folder.applied(), problem: format!("`{PENDING_FILE}` cannot be read ({error})") })
    };
    let rows = if path.exists() {
        read_bundle(&path, &[&PENDING]).map_err(damage)?.swap_remove(0)
    } else if old_path.exists() {
        scan_or_empty(&[old_path], &PENDING).map_err(SnapshotError::from)?.collect().map_err(failed)?
    } else {
        return Ok(Pending::new());
    };
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let (rules, contacts) = (text("rule")?, text("contact_id")?);
    let may_carry = rows.column("may_carry").and_then(|column| column.bool()).map_err(failed)?;
    let row = |row: usize| Some(((rules.get(row)?.to_string(), contacts.get(row)?.to_string()), may_carry.get(row)?));
    Ok((0..rows.height()).filter_map(row).collect())
}

/// Where programs before 2026-12 kept what is pending.
fn old_pending(folder: &JobFolder) -> std::path::PathBuf {
    folder.applied().join("pending.parquet")
}

fn read_tagged(path: &Path) -> Result<Tagged, JobError> {
    let failed = |error| unreadable("read", path, error);
    let rows = scan_or_empty(&[path.to_path_buf()], &TAGGED).map_err(SnapshotError::from)?.collect().map_err(failed)?;
    let text = |name: &str| rows.column(name).and_then(|column| column.str()).map_err(failed);
    let (rules, tags, contacts) = (text("rule")?, text("tag_id")?, text("contact_id")?);
    let row = |row: usize| Some(((rules.get(row)?.to_string(), contacts.get(row)?.to_string()), tags.get(row)?.to_string()));
    Ok((0..rows.height()).filter_map(row).collect())
}

fn unreadable(action: &'static str, path: &Path, error: PolarsError) -> JobError {
    SnapshotError::from(TableError::new(action, format!("`{}`", path.display()), error)).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Condition;

    #[test]
    fn a_rules_tag_is_the_one_that_intercom_takes_the_name_for_or_a_new_one() {
        let tag = |id: &str, name: &str| Group { kind: GroupKind::Tag, id: id.into(), name: name.into() };
        let existing = [tag("7", "VIP\u{200b}"), tag("8", "Heavy Openers"), tag("9", "STRASSE")];
        let told = |name: &str| {
            let condition = Condition::parse("role = 'user'", crate::rules::FACTS, &[]).unwrap();
            let rule = JobRule { rule: crate::rules::Rule { name: "rule".into(), condition }, apply_tag: Some(name.into()) };
            match target(&rule, &existing) {
                Ok(Target::Existing(tag)) => format!("id:{}", tag.id),
                Ok(Target::New(name)) => format!("new {name}"),
                Err(JobError::Unresolved(unresolved)) => unresolved[0].to_string(),
                Err(other) => panic!("{other}"),
            }
        };
        for name in ["Heavy Openers", "heavy openers", "HEAVY OPENERS", "8", "id:8", "tag:8"] {
            assert_eq!(told(name), "id:8", "{name}");
        }
        assert_eq!(told("Light Openers"), "new Light Openers");
        // A tag that only looks like it is neither used nor doubled.
        let looks = told("VIP");
        assert!(looks.contains("did you mean `VIP\u{200b}` (id:7)? It looks the same") && looks.contains("U+200B"), "{looks}");
        assert_eq!(told("straße"), "tag `straße` is not in the workspace; did you mean `STRASSE`?");
        assert_eq!(told("id:99"), "tag `id:99` is not in the workspace");
    }
}
