//! What a run will fetch: names → IDs, and the streams that follow from them.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::bounds::old_table_finding;
use super::partitioning::{FEW_PAGES, Partitioner, Partitioning};
use super::prior_month::{MonthSizes, prior_month};
use super::resolve::resolve;
use super::strategy::{TOTALS, expected_truncated_tags};
use super::{Context, JobError, JobFolder, Scope, Unresolved, basis_at};
use crate::settings::{Job, Population, ProfileAttribute, Settings, TagHistory};
use archive::snapshot::{Finding, Severity};
use domain::{Basis, Group, GroupKind, MonthSpan, Months, POPULATION, Partition, TimeZone, are_alike, did_you_mean, unseen_difference};
use intercom::{Client, RateWindow};

/// Everything that is decided before the first page of members.
#[derive(Clone, Debug)]
pub struct Plan {
    pub scope: Scope,
    /// Sorted by cohort key.
    pub cohorts: Vec<PlannedCohort>,
    pub population: PlannedPopulation,
    pub has_conversations: bool,
    /// In the order in which they are begun; the stream of the population, when there is one, first.
    pub streams: Vec<PlannedStream>,
    pub unresolved: Vec<Unresolved>,
    /// The basis of the snapshot that the month has already.
    pub held: Option<Basis>,
    /// Whether the dates of the tags' holders are read: some month is seen late, and the job asks for it.
    pub has_tag_dates: bool,
    pub(super) findings: Vec<Finding>,
    /// What the months before held.
    pub(super) sizes_before: Vec<MonthSizes>,
    /// Whether the run that is planned asks where to cut long lists once more.
    pub(super) is_planned_again: bool,
    /// Requests that it took to make the plan, which a run makes anew.
    pub(super) opening: u64,
    /// Contacts who are expected to be asked for their tags, because their own lists were cut short.
    pub(super) expected_contact_requests: u64,
}

/// What a plan costs, as far as sizes are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// For pages, and for what is asked beside them.
    pub requests: u64,
    /// Those of them that ask for names, sizes and totals.
    pub asking: u64,
    /// Beside them, about so many that ask contacts for their tags.
    pub contacts: u64,
    pub partitions: usize,
    /// At a second a page, and within the share of the rate limit.
    pub time: Duration,
}

/// Requests that follow one another before the first list is followed: workspace, groups, sizes, first page.
const BEGINNING: f64 = 4.0;
/// And those by which long lists are cut, a search for one row being no quicker than a page; and what it takes until
/// as many requests are under way as may be.
const CUTTING: f64 = 10.0;
/// What a page of a search takes in practice, as measured by other connectors.
const SECONDS_PER_PAGE: f64 = 1.0;
/// What one contact's tags take, at a guess.
const SECONDS_PER_CONTACT: f64 = 0.25;
/// The length of a rate window.
const SECONDS_PER_WINDOW: f64 = 10.0;

#[derive(Clone, Debug)]
pub struct PlannedCohort {
    pub group: Group,
    /// As the job names it.
    pub configured: String,
    /// Index of the stream that fetches its members.
    pub stream: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlannedPopulation {
    Everyone,
    /// The stream that fetches it.
    Group {
        group: Group,
        stream: usize,
    },
    Cohorts,
}

impl PlannedPopulation {
    /// As the manifest names it.
    pub fn label(&self) -> String {
        match self {
            PlannedPopulation::Everyone => "everyone".to_string(),
            PlannedPopulation::Group { group, .. } => group.key(),
            PlannedPopulation::Cohorts => "cohorts".to_string(),
        }
    }
}

/// One list of the API: a group, everyone, or the month's conversations. It is followed in one stream, or in one for each of
/// its partitions.
#[derive(Clone, Debug)]
pub struct PlannedStream {
    /// The key under which it is spooled, counted and told of.
    pub key: String,
    pub kind: StreamKind,
    /// Rows that the API announces, where it was asked.
    pub size: Option<u64>,
    /// Members that the listing of groups counts.
    pub listed: Option<u64>,
    /// Where the members of a tag are taken from the contacts' own lists of tags while everyone is read: how many the tag
    /// announced before.
    pub derived: Option<u64>,
    /// Its partitions, when it is long. Whether it is may turn out with its first page.
    pub partitioning: Option<Partitioning>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamKind {
    Everyone,
    Members(Group),
    Conversations,
}

impl StreamKind {
    pub(super) fn is_tag(&self) -> bool {
        self.group().is_some_and(|group| group.kind == GroupKind::Tag)
    }

    pub(super) fn group(&self) -> Option<&Group> {
        match self {
            StreamKind::Members(group) => Some(group),
            StreamKind::Everyone | StreamKind::Conversations => None,
        }
    }
}

impl PlannedStream {
    /// For messages: the key, and the group's name as far as it can be printed.
    pub(super) fn title(&self) -> String {
        match &self.kind {
            StreamKind::Members(group) => {
                let name: String = group.name.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
                format!("{} ({name})", self.key)
            }
            StreamKind::Everyone | StreamKind::Conversations => self.key.clone(),
        }
    }
}

impl Plan {
    pub(super) async fn make(context: &Context, folder: &JobFolder, scope: &Scope) -> Result<Plan, JobError> {
        let job = &context.settings.job;
        let prior_month = prior_month(folder, scope.workspace_id.as_deref())?;
        prior_month.check_key(&context.privacy.label())?;
        for (month, error) in &prior_month.unreadable {
            tracing::error!(%error, "the snapshot of {month} cannot be read");
        }
        let mut scope = scope.clone();
        let unnamed_workspace = prior_month.workspace_id.clone().filter(|_| scope.workspace_id.is_none());
        scope.expected_workspace = unnamed_workspace.clone();
        let mut existing = Vec::new();
        for kind in [GroupKind::Tag, GroupKind::Segment] {
            if job.has_kind(kind) {
                let listed = match kind {
                    GroupKind::Tag => context.client.tags().await?,
                    GroupKind::Segment => context.client.segments().await?,
                };
                existing.extend(listed.into_iter().map(|listed| (listed.group, listed.count)));
            }
        }
        let groups: Vec<Group> = existing.iter().map(|(group, _)| group.clone()).collect();
        let announced = |group: &Group| existing.iter().find(|(other, _)| other == group).and_then(|(_, count)| *count);

        let mut plan = Plan { has_conversations: job.conversations, ..Plan::empty(scope.clone()) };
        let find = |plan: &mut Plan, name| match resolve(name, &groups, &prior_month.cohorts) {
            Ok((group, was_renamed)) => {
                if was_renamed {
                    plan.renamed(&group, &name.text);
                }
                Some(group)
            }
            Err(unresolved) => {
                plan.unresolved.push(unresolved);
                None
            }
        };
        match &job.population {
            Population::Everyone => {
                plan.population = PlannedPopulation::Everyone;
                plan.streams.push(PlannedStream {
                    key: POPULATION.to_string(),
                    kind: StreamKind::Everyone,
                    size: None,
                    listed: None,
                    derived: None,
                    partitioning: None,
                });
            }
            Population::Cohorts => {}
            Population::Group(name) => match find(&mut plan, name) {
                Some(group) => {
                    let stream = plan.stream_of(&group, announced(&group));
                    plan.population = PlannedPopulation::Group { group, stream };
                }
                // Without its population the month's comparisons would mean something else.
                None => return Err(JobError::Unresolved(plan.unresolved)),
            },
        }
        for name in &job.groups {
            let Some(group) = find(&mut plan, name) else { continue };
            if plan.cohorts.iter().any(|cohort| cohort.group == group) {
                tracing::warn!("{name} is a group that the job names already; it is observed once");
                continue;
            }
            let stream = plan.stream_of(&group, announced(&group));
            plan.cohorts.push(PlannedCohort { group, configured: name.text.clone(), stream });
        }
        plan.cohorts.sort_by_key(|cohort| cohort.group.key());
        if plan.has_conversations {
            plan.streams.push(PlannedStream {
                key: "conversations".to_string(),
                kind: StreamKind::Conversations,
                size: None,
                listed: None,
                derived: None,
                partitioning: None,
            });
        }
        let now = (context.clock)();
        let is_late = |span: &MonthSpan| basis_at(now, span, job.grace) == Basis::Late;
        plan.has_tag_dates =
            job.tag_history == TagHistory::AppliedAt && scope.spans.iter().any(is_late) && plan.tag_cohorts().next().is_some();
        for unresolved in std::mem::take(&mut plan.unresolved) {
            plan.miss(unresolved);
        }
        for (month, finding) in &scope.findings {
            tracing::warn!("{month}: {}", finding.detail);
        }
        if let Some(finding) = old_table_finding(&scope.timezone, now) {
            tracing::warn!("{}", finding.detail);
            plan.findings.push(finding);
        }
        if let Some(expected) = unnamed_workspace {
            plan.workspace_unnamed(expected, context.client.capabilities().names_workspace);
        }
        plan.sizes_before = prior_month.sizes;
        plan.check_profile(context).await;
        let traffic = context.client.traffic();
        plan.opening = traffic.requests - traffic.retries;
        Ok(plan)
    }

    /// Of which nothing is decided.
    pub(super) fn empty(scope: Scope) -> Plan {
        Plan {
            scope,
            cohorts: Vec::new(),
            population: PlannedPopulation::Cohorts,
            has_conversations: false,
            streams: Vec::new(),
            unresolved: Vec::new(),
            held: None,
            has_tag_dates: false,
            findings: Vec::new(),
            sizes_before: Vec::new(),
            is_planned_again: false,
            opening: 0,
            expected_contact_requests: 0,
        }
    }

    /// The stream of this group, shared by everything that needs it.
    fn stream_of(&mut self, group: &Group, size: Option<u64>) -> usize {
        let kind = StreamKind::Members(group.clone());
        match self.streams.iter().position(|stream| stream.kind == kind) {
            Some(stream) => stream,
            None => {
                self.streams.push(PlannedStream { key: group.key(), kind, size, listed: size, derived: None, partitioning: None });
                self.streams.len() - 1
            }
        }
    }

    /// A group that the month goes without.
    pub(super) fn miss(&mut self, unresolved: Unresolved) {
        self.findings.push(Finding {
            severity: Severity::Error,
            check_name: "group_not_found".to_string(),
            subject: format!("{}:{}", unresolved.name.kind, unresolved.name.text),
            value: None,
            expected: None,
            detail: format!("{unresolved}; the month was published without it"),
        });
        self.unresolved.push(unresolved);
    }

    fn workspace_unnamed(&mut self, expected: String, is_documented: bool) {
        // 1.x is not documented to have `/me`: there is nothing odd about it.
        let severity = if is_documented { Severity::Warning } else { Severity::Info };
        if is_documented {
            tracing::warn!("`GET /me` names no workspace; the months before are of `{expected}`, and contacts of another one are refused");
        }
        self.findings.push(Finding {
            severity,
            check_name: "workspace_unnamed".to_string(),
            subject: "workspace".to_string(),
            value: None,
            expected: Some(expected),
            detail: "`GET /me` named no workspace; contacts that name another one than the months before are refused, and where they \
                     name none, nothing shows whose they are"
                .to_string(),
        });
    }

    fn renamed(&mut self, group: &Group, configured: &str) {
        tracing::warn!("{} `{configured}` is now named `{}`; found by its ID", group.kind, group.name);
        self.findings.push(Finding {
            severity: Severity::Warning,
            check_name: "group_renamed".to_string(),
            subject: group.key(),
            value: Some(group.name.clone()),
            expected: Some(configured.to_string()),
            detail: "the name in the job no longer resolves; the ID of the last month's manifest was used".to_string(),
        });
    }

    /// Custom attributes of the profile that the workspace does not have are worth a warning, not a failure.
    async fn check_profile(&mut self, context: &Context) {
        if !context.settings.job.has_custom_attributes() {
            return;
        }
        let listed = context.client.custom_attributes().await;
        let existing = match listed {
            Ok(Some(existing)) => existing,
            // Nothing of the month depends on this list.
            listed => {
                if let Err(error) = listed {
                    tracing::warn!(%error, "the workspace's attributes could not be listed; the profile's names were not checked");
                }
                self.findings.push(Finding {
                    severity: Severity::Info,
                    check_name: "profile_not_checked".to_string(),
                    subject: "profile".to_string(),
                    value: None,
                    expected: None,
                    detail: "the workspace's attributes could not be listed".to_string(),
                });
                return;
            }
        };
        for name in unknown_attributes(&context.settings.job, &existing) {
            tracing::warn!("the profile names `custom_attributes.{name}`, which the workspace does not have");
            self.findings.push(Finding {
                severity: Severity::Warning,
                check_name: "profile_attribute_unknown".to_string(),
                subject: format!("custom_attributes.{name}"),
                value: None,
                expected: None,
                detail: format!("the workspace does not list such an attribute{}", similar_attribute(name, &existing)),
            });
        }
    }

    /// Asks for the sizes that are not known yet, one request each, and where long lists are to be cut.
    pub(super) async fn size(&mut self, context: &Context) -> Result<(), JobError> {
        let scope = self.scope.clone();
        let (client, scope) = (&context.client, &scope);
        let intercom = &context.settings.intercom;
        let partitioner =
            Partitioner { client, scope, page_size: intercom.page_size, max_concurrency: intercom.max_concurrency, now: (context.clock)() };
        let sized = self.streams.iter().map(|stream| async {
            let size = match (stream.size, &stream.kind) {
                (Some(size), _) => Some(size),
                (None, StreamKind::Everyone) => client.contact_count(None).await?,
                (None, StreamKind::Members(group)) => client.member_count(group, None).await?,
                (None, StreamKind::Conversations) => client.conversation_count(scope.start(), scope.end()).await?,
            };
            let Some(rows) = size.filter(|_| stream.partitioning.is_none()) else { return Ok((size, None)) };
            // A run reads this off the first page, which it needs all the same.
            let oldest = match &stream.kind {
                StreamKind::Members(group) if partitioner.is_long(rows) => client.oldest(Some(group)).await?,
                _ => None,
            };
            Ok::<_, JobError>((size, partitioner.partition(&stream.kind, rows, oldest).await?))
        });
        let sized = try_join_all(sized).await?;
        for (stream, (size, partitioning)) in self.streams.iter_mut().zip(sized) {
            stream.size = size;
            stream.partitioning = stream.partitioning.take().or(partitioning);
        }
        // Only where everyone is many: of a short list there is not much to save.
        let tells_all = client.capabilities().lists_own_segments;
        let everyone = self.streams.iter().find(|stream| stream.kind == StreamKind::Everyone);
        let is_long = |stream: &&PlannedStream| {
            stream.partitioning.is_some() || (tells_all && pages(stream.size, &context.settings) > Some(FEW_PAGES))
        };
        if let Some(everyone) = everyone.filter(is_long).and_then(|stream| stream.size) {
            let may_be = |stream: &PlannedStream| if tells_all { stream.kind.group().is_some() } else { stream.kind.is_tag() };
            let groups = self.streams.iter().enumerate().filter(|(_, stream)| may_be(stream));
            let sized: Vec<(usize, u64)> = groups.filter_map(|(list, stream)| Some((list, stream.size?))).collect();
            // As a run does, which weighs by the first page of everyone.
            let truncated_tags = if tells_all { 0.0 } else { truncated_tags(client).await? };
            for list in self.choose_derived(sized, everyone, truncated_tags, &context.settings) {
                self.streams[list].partitioning = None;
            }
        }
        Ok(())
    }

    pub fn months(&self) -> Months {
        self.scope.months
    }

    /// The cohorts that are tags.
    pub fn tag_cohorts(&self) -> impl Iterator<Item = &PlannedCohort> {
        self.cohorts.iter().filter(|cohort| cohort.group.kind == GroupKind::Tag)
    }

    /// The requests for the dates of tags, at the most: one for each holder of any.
    pub fn tag_date_requests(&self) -> u64 {
        if !self.has_tag_dates {
            return 0;
        }
        self.tag_cohorts().filter_map(|cohort| self.streams[cohort.stream].size).sum()
    }

    /// The chains of pages that a list is followed in, each with its rows as far as they are known.
    pub fn partitions<'a>(&self, stream: &'a PlannedStream) -> Vec<(Option<&'a Partition>, Option<u64>)> {
        match &stream.partitioning {
            _ if stream.derived.is_some() => Vec::new(),
            Some(partitioning) => partitioning.partitions.iter().map(|sized| (Some(&sized.partition), Some(sized.rows))).collect(),
            None => vec![(None, stream.size)],
        }
    }

    pub fn estimate(&self, settings: &Settings, window: Option<RateWindow>) -> Estimate {
        let partitions = self.streams.iter().flat_map(|stream| self.partitions(stream));
        let pages: Vec<u64> = partitions.map(|(_, rows)| pages(rows, settings).unwrap_or(1)).collect();
        let sizing = |partitioning: &Partitioning| if self.is_planned_again { partitioning.sizing() } else { 0 };
        // Each list in partitions ends with its total.
        let sizing: u64 =
            self.streams.iter().filter_map(|stream| stream.partitioning.as_ref()).map(|partitioning| sizing(partitioning) + 1).sum();
        let tallied = self.streams.iter().filter(|stream| stream.derived.is_some()).count() as u64;
        let deriving = tallied * if self.is_planned_again { TOTALS } else { 1 };
        // Whether a tag is worth it is asked of each, once it is known that everyone is many.
        let asks_tag_sizes =
            self.is_planned_again && self.streams.iter().any(|stream| stream.kind == StreamKind::Everyone && stream.partitioning.is_some());
        let is_other_tag = |stream: &&PlannedStream| asks_tag_sizes && stream.kind.is_tag() && stream.derived.is_none();
        let deriving = deriving + self.streams.iter().filter(is_other_tag).count() as u64;
        let opening = if self.is_planned_again { self.opening } else { 0 };
        let asking = opening + sizing + deriving;
        let requests = pages.iter().sum::<u64>() + asking;
        let places = settings.intercom.max_concurrency.max(1) as f64;
        let longest = pages.iter().copied().max().unwrap_or_default() as f64;
        let rate = |requests: u64| window.map_or(0.0, |window| requests as f64 / f64::from(window.share.max(1)) * SECONDS_PER_WINDOW);
        // The longest stream is a chain of its own; the others fill the places beside it.
        let is_cut = self.streams.iter().any(|stream| stream.partitioning.is_some());
        let beginning = BEGINNING + if is_cut { CUTTING } else { 0.0 };
        let all = requests + self.expected_contact_requests;
        let walking = (beginning + longest.max(all as f64 / places.min(pages.len().max(1) as f64))) * SECONDS_PER_PAGE;
        let dates = self.tag_date_requests();
        let dating = (dates as f64 * SECONDS_PER_CONTACT / places).max(rate(dates));
        let time = Duration::from_secs((walking.max(rate(all)) + dating).ceil() as u64);
        Estimate { requests: requests + dates, asking, contacts: self.expected_contact_requests, partitions: pages.len(), time }
    }

    pub fn timezone(&self) -> &TimeZone {
        &self.scope.timezone
    }
}

/// Pages of so many rows, of which there is one at least.
pub fn pages(rows: Option<u64>, settings: &Settings) -> Option<u64> {
    let intercom = &settings.intercom;
    rows.map(|rows| intercom.capabilities().pages(rows, intercom.page_size))
}

/// The part of everyone whose lists of tags are cut short, by their first page.
async fn truncated_tags(client: &Client) -> Result<f64, JobError> {
    let mut everyone = client.everyone(None, None).await?;
    Ok(everyone.peek().await.map_or(0.0, |page| expected_truncated_tags(&page.rows)))
}

/// The custom attributes that the job's profile names and the workspace does not have.
pub fn unknown_attributes<'a>(job: &'a Job, existing: &[String]) -> Vec<&'a String> {
    job.profile.iter().filter_map(ProfileAttribute::custom_name).filter(|name| !existing.contains(name)).collect()
}

/// The end of a sentence that says which attribute of the workspace has a name that looks like an unknown one: values are
/// found by the exact name alone.
pub fn similar_attribute(unknown: &str, existing: &[String]) -> String {
    let similar = existing.iter().find(|name| are_alike(name, unknown) || unseen_difference(unknown, name).is_some());
    similar.map_or(String::new(), |name| did_you_mean(unknown, name))
}
