//! All network work of a month: every walk of the plan, side by side, into the spool.
//!
//! A walk that an earlier, interrupted run finished is taken over when it is of a better basis than a walk made now would
//! have, or of the same and younger than a day. A walk whose count disagrees with the announced total is done a second time.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::plan::{Plan, PlannedCohort, PlannedPopulation, PlannedWalk, WalkKind};
use super::{Clock, Context, Event, JobError, JobFolder, Observer, Scope, basis_at, joined, tag_dates};
use crate::domain::{Allowed, Basis, Contact, Conversation, GroupKind, MonthSpan, agrees};
use crate::intercom::{Client, RequestError, Walk, WalkError};
use crate::publish;
use crate::snapshot::{
    Assembly, Cohort, CohortEntry, Part, SnapshotError, Spool, Spooled, TaggedBefore, WalkRecord, load_walk, walk_folder,
};

/// All pages of one walk come from within this time, else it is done again.
const WALK_AGE_MAX: Duration = Duration::hours(24);
const PLAN_FILE: &str = "plan.json";

/// What was fetched, by walk of the plan.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    walks: Vec<FetchedWalk>,
    /// When the tags of tag members were put on them, where the plan asks for it.
    tag_dates: Option<PathBuf>,
}

#[derive(Clone, Debug)]
pub(super) struct FetchedWalk {
    pub key: String,
    pub kind: WalkKind,
    /// The members that the listing of groups told, where it told any.
    pub listed: Option<u64>,
    pub part: Part,
}

/// What the spooled walks of a month are only good for together.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    workspace_id: Option<String>,
    api_version: String,
    month_start: DateTime<Utc>,
    month_end: DateTime<Utc>,
}

/// Fetches what the plan names. Finished walks stay on disk whatever happens to the others.
pub(super) async fn fetch(context: &Context, folder: &JobFolder, plan: &Plan) -> Result<Fetched, JobError> {
    let scope = &plan.scope;
    let work = folder.work_of(scope.months);
    claim(&work, context, plan)?;
    (context.observer)(Event::Planned { months: scope.months, walks: plan.walks.len() });

    // Every walk is opened before any is followed: so they may share what they read.
    let walkers = plan.walks.iter().map(|planned| {
        let walker = Walker {
            client: context.client.clone(),
            clock: context.clock.clone(),
            observer: context.observer.clone(),
            planned: planned.clone(),
            folder: walk_folder(&work, &planned.key),
            scope: scope.clone(),
            grace: context.settings.job.grace,
            tolerance: context.settings.completeness.tolerance,
        };
        async move { walker.begin().await.map(|begun| (walker, begun)) }
    });
    let begun = try_join_all(walkers).await?;

    let places = Arc::new(Semaphore::new(context.settings.intercom.max_concurrency));
    let mut walks = JoinSet::new(); // dropped on `?`, which ends the other walks
    for (index, (walker, begun)) in begun.into_iter().enumerate() {
        let places = places.clone();
        let span = tracing::info_span!("walk", key = walker.planned.key);
        let walk = async move {
            // A walk that shares its pages would make the others wait for its place. The semaphore is never closed;
            // without a place a walk would only wait for its turn at the gate instead.
            let _place = if begun.is_shared() { None } else { places.acquire().await.ok() };
            (index, walker.run(begun).await)
        };
        walks.spawn(walk.instrument(span));
    }
    let mut fetched: Vec<Option<FetchedWalk>> = plan.walks.iter().map(|_| None).collect();
    while let Some(done) = walks.join_next().await {
        let (index, walk) = match done {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(JobError::Interrupted),
        };
        fetched[index] = Some(walk?);
    }
    // Every index was spawned once and came back once.
    let walks: Vec<FetchedWalk> = fetched.into_iter().flatten().collect();
    let tags: Vec<Part> = plan.tag_cohorts().map(|cohort| walks[cohort.walk].part.clone()).collect();
    let tag_dates = if plan.has_tag_dates { Some(tag_dates::fetch(context, scope.months, tags, &work).await?) } else { None };
    Ok(Fetched { walks, tag_dates })
}

/// Takes the work folder over when it is of this workspace, version and month; else begins anew.
fn claim(work: &std::path::Path, context: &Context, plan: &Plan) -> Result<(), JobError> {
    let fingerprint = Fingerprint {
        workspace_id: plan.scope.workspace_id.clone(),
        api_version: context.settings.intercom.api_version.clone(),
        month_start: plan.scope.start(),
        month_end: plan.scope.end(),
    };
    let path = work.join(PLAN_FILE);
    let found = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Fingerprint>(&bytes).ok());
    if found.as_ref() != Some(&fingerprint) {
        publish::remove_folder(work)?;
        publish::create_folder(work)?;
        publish::write_json(&path, &fingerprint)?;
    }
    Ok(())
}

/// One walk, on its own task.
struct Walker {
    client: Client,
    clock: Clock,
    observer: Observer,
    planned: PlannedWalk,
    folder: PathBuf,
    scope: Scope,
    grace: std::time::Duration,
    tolerance: f64,
}

/// Why a walk ended before its last page.
enum Ended {
    /// Done again from the start, it may come to its end.
    Again(JobError),
    Failed(JobError),
}

/// A walk before its first page, or one that an earlier run finished.
enum Begun {
    Kept(WalkRecord),
    Open(Opened),
}

struct Opened {
    at: DateTime<Utc>,
    list: List,
}

enum List {
    Contacts(Walk<Contact>),
    Conversations(Walk<Conversation>),
}

impl Begun {
    fn is_shared(&self) -> bool {
        matches!(self, Begun::Open(Opened { list: List::Contacts(walk), .. }) if walk.is_shared())
    }
}

impl Walker {
    async fn begin(&self) -> Result<Begun, JobError> {
        match self.kept() {
            Some(record) => Ok(Begun::Kept(record)),
            None => self.open().await.map(Begun::Open),
        }
    }

    async fn open(&self) -> Result<Opened, JobError> {
        let at = (self.clock)();
        let list = match &self.planned.kind {
            WalkKind::Everyone => self.client.everyone().await.map(List::Contacts),
            WalkKind::Members(group) => self.client.members(group).await.map(List::Contacts),
            WalkKind::Conversations => Ok(List::Conversations(self.client.conversations(self.scope.start(), self.scope.end()))),
        };
        let list = list.map_err(|source| self.failed(source))?;
        Ok(Opened { at, list })
    }

    fn failed(&self, source: RequestError) -> JobError {
        JobError::Fetch { months: self.scope.months, walk: self.planned.title(), source: source.into() }
    }

    async fn run(self, begun: Begun) -> Result<FetchedWalk, JobError> {
        let opened = match begun {
            Begun::Kept(record) => {
                self.tell(Event::Kept { walk: self.key(), rows: record.rows });
                return Ok(self.fetched(record));
            }
            Begun::Open(opened) => opened,
        };
        self.tell(Event::WalkStarted { walk: self.key() });
        // The first time, what came has to agree exactly; the second time, within the tolerance.
        let why = match self.once(opened, Allowed::Nothing).await {
            Ok(record) if record.is_complete => return Ok(self.done(record)),
            Ok(record) => {
                let announced = record.last_total.max(self.planned.size).unwrap_or_default();
                format!("{} came, {announced} announced", record.rows + record.outside)
            }
            Err(Ended::Again(JobError::Walk { source, .. })) => source.to_string(),
            Err(Ended::Again(error)) => error.to_string(),
            Err(Ended::Failed(error)) => return Err(error),
        };
        tracing::warn!("the walk is done again: {why}");
        self.tell(Event::WalkAgain { walk: self.key(), why });
        match self.once(self.open().await?, Allowed::Tolerance(self.tolerance)).await {
            Ok(record) => Ok(self.done(record)),
            Err(Ended::Again(error) | Ended::Failed(error)) => Err(error),
        }
    }

    /// The walk that an earlier run finished, when it is as good as one made now.
    fn kept(&self) -> Option<WalkRecord> {
        let now = (self.clock)();
        let basis = |at| self.scope.basis_at(at, self.grace);
        // What was observed at the month's end is worth more than what could be fetched later, however old it is.
        let is_as_good = |record: &WalkRecord| {
            let is_young = now - record.started_at <= WALK_AGE_MAX;
            let (then, now_basis) = (basis(record.observed_at), basis(now));
            let is_worth_it = then > now_basis || (then == now_basis && is_young);
            record.is_complete && record.started_at <= now && is_worth_it
        };
        load_walk(&self.folder).filter(is_as_good)
    }

    async fn once(&self, opened: Opened, allowed: Allowed) -> Result<WalkRecord, Ended> {
        match opened.list {
            List::Contacts(walk) => self.follow(walk, opened.at, |_| true, allowed).await,
            List::Conversations(walk) => {
                self.follow(walk, opened.at, |row| self.scope.start() <= row.created_at && row.created_at < self.scope.end(), allowed).await
            }
        }
    }

    /// Every page of the walk into a new spool. Rows that are not wanted were not asked for: the API cuts wider.
    async fn follow<R: Spooled>(
        &self,
        mut walk: Walk<R>,
        opened_at: DateTime<Utc>,
        is_wanted: impl Fn(&R) -> bool,
        allowed: Allowed,
    ) -> Result<WalkRecord, Ended> {
        let months = self.scope.months;
        let failed = |error: SnapshotError| Ended::Failed(error.into());
        let mut spool = Spool::create(self.folder.clone()).map_err(failed)?;
        let mut record = WalkRecord::begun(opened_at);
        let mut others_before = HashSet::new();
        loop {
            let page = match walk.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(WalkError::Request(source)) => return Err(Ended::Failed(self.failed(source))),
                Err(source) => return Err(Ended::Again(JobError::Walk { months, walk: self.planned.title(), source: source.into() })),
            };
            if page.begins_anew {
                spool = Spool::create(self.folder.clone()).map_err(failed)?;
                record = WalkRecord::begun((self.clock)());
                others_before.clear();
            }
            let (wanted, others): (Vec<R>, Vec<R>) = page.rows.into_iter().partition(&is_wanted);
            // Each once: a list that shifts gives a row again on the same page or on the next one.
            let others: HashSet<String> = others.iter().map(|row| row.id().to_string()).collect();
            record.page((self.clock)(), page.total, others.difference(&others_before).count() as u64, page.oddities);
            others_before = others;
            if record.observed_at - record.started_at > WALK_AGE_MAX {
                return Err(Ended::Again(JobError::TooSlow { months, walk: self.planned.title() }));
            }
            if spool.push(wanted) {
                let flushed = tokio::task::spawn_blocking(move || spool.flush().map(|()| spool).map_err(JobError::from));
                spool = joined(flushed.await).map_err(Ended::Failed)?;
            }
            self.tell(Event::Page { walk: self.key(), rows: spool.len(), total: page.total });
        }
        let came = spool.len() + record.outside;
        // A search that gives nobody for a group that the listing says has members is no answer.
        let is_empty_answer = came == 0 && self.planned.size.is_some_and(|listed| listed > Allowed::Tolerance(self.tolerance).of(listed));
        record.is_complete = !is_empty_answer && agrees(came, record.first_total, record.last_total, allowed);
        let finished = tokio::task::spawn_blocking(move || spool.finish(record).map_err(JobError::from));
        joined(finished.await).map_err(Ended::Failed)
    }

    fn key(&self) -> String {
        self.planned.key.clone()
    }

    fn tell(&self, event: Event) {
        (self.observer)(event);
    }

    fn done(self, record: WalkRecord) -> FetchedWalk {
        self.tell(Event::WalkDone { walk: self.key(), rows: record.rows });
        self.fetched(record)
    }

    fn fetched(self, record: WalkRecord) -> FetchedWalk {
        FetchedWalk {
            key: self.planned.key,
            kind: self.planned.kind,
            listed: self.planned.size,
            part: Part { folder: self.folder, record },
        }
    }
}

impl Fetched {
    pub(super) fn walks(&self) -> &[FetchedWalk] {
        &self.walks
    }

    fn incomplete(&self) -> impl Iterator<Item = &FetchedWalk> {
        self.walks.iter().filter(|walk| !walk.part.record.is_complete)
    }

    pub(super) fn incomplete_keys(&self) -> Vec<String> {
        self.incomplete().map(|walk| walk.key.clone()).collect()
    }

    /// Key, what came, what was announced.
    pub(super) fn incomplete_walks(&self) -> Vec<(String, u64, u64)> {
        let told = |walk: &FetchedWalk| {
            let record = &walk.part.record;
            (walk.key.clone(), record.rows + record.outside, record.last_total.max(walk.listed).unwrap_or_default())
        };
        self.incomplete().map(told).collect()
    }

    /// When the last page of all came.
    pub(super) fn observed_at(&self) -> DateTime<Utc> {
        self.walks.iter().map(|walk| walk.part.record.observed_at).max().unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The cohorts as observed for one of the plan's months.
    pub(super) fn cohort_entries(&self, plan: &Plan, span: &MonthSpan, grace: std::time::Duration) -> Vec<CohortEntry> {
        let entry = |cohort: &PlannedCohort| {
            let record = &self.walks[cohort.walk].part.record;
            let basis = basis_at(record.observed_at, span, grace);
            CohortEntry {
                cohort_key: cohort.group.key(),
                cohort_name: cohort.group.name.clone(),
                configured: cohort.configured.clone(),
                basis: if self.is_reconstructed(cohort, basis) { Basis::Reconstructed } else { basis }.to_string(),
                observed_at: record.observed_at,
                members: record.rows,
                announced: record.last_total,
            }
        };
        plan.cohorts.iter().map(entry).collect()
    }

    /// Whether the members of the month are worked out from the dates of their tags.
    fn is_reconstructed(&self, cohort: &PlannedCohort, basis: Basis) -> bool {
        self.tag_dates.is_some() && cohort.group.kind == GroupKind::Tag && basis == Basis::Late
    }

    /// What becomes the snapshot of one of the plan's months.
    pub(super) fn assembly(&self, plan: &Plan, span: &MonthSpan, grace: std::time::Duration) -> Assembly {
        let cohort = |cohort: &PlannedCohort| {
            let basis = basis_at(self.walks[cohort.walk].part.record.observed_at, span, grace);
            let tagged_before = self.tag_dates.clone().filter(|_| self.is_reconstructed(cohort, basis));
            Cohort {
                key: cohort.group.key(),
                walk: cohort.walk,
                tagged_before: tagged_before.map(|dates| TaggedBefore { dates, tag_id: cohort.group.id.clone(), end: span.end }),
            }
        };
        let is_conversations = |walk: &&FetchedWalk| walk.kind == WalkKind::Conversations;
        Assembly {
            // The walk of conversations is the plan's last: the indices of the others are the plan's.
            walks: self.walks.iter().filter(|walk| !is_conversations(walk)).map(|walk| walk.part.clone()).collect(),
            population: match &plan.population {
                PlannedPopulation::Group { walk, .. } => Some(*walk),
                PlannedPopulation::Everyone | PlannedPopulation::Cohorts => None,
            },
            cohorts: plan.cohorts.iter().map(cohort).collect(),
            conversations: self.walks.iter().find(is_conversations).map(|walk| walk.part.clone()),
            span: *span,
        }
    }
}
